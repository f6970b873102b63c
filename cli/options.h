/*
 * The options that several verbs share, as argp children: input (--set), and the road (--dump, --stop-after, --disable,
 * --time, --cpu, --threads, --no-cache).
 */
#ifndef FTSO_CLI_OPTIONS_H
#define FTSO_CLI_OPTIONS_H

#include "cli/cli.h"

#include <argp.h>

enum { MAX_OVERRIDES = 64, MAX_DISABLED = 32 };

/* Child input of `ftso_argp_input`. */
typedef struct ftso_input_options {
    const char *overrides[MAX_OVERRIDES];
    size_t override_count;
} ftso_input_options;
extern const struct argp ftso_argp_input;

/* Child input of `ftso_argp_road`. Start from ftso_road_options_init. */
typedef struct ftso_road_options {
    const char *disabled[MAX_DISABLED];
    ftso_device_options device;
    bool reference; /* --device=reference */
    bool cached;
} ftso_road_options;
extern const struct argp ftso_argp_road;
void ftso_road_options_init(ftso_road_options *options);
ftso_status FTSO_MUST_USE ftso_road_open(ftso_arena *arena, ftso_road_options *options,
                                         ftso_device *out_device);

/* What nearly every verb has: both children, for a struct that keeps them as `input` and `road`. */
extern const struct argp_child ftso_argp_children[];
/*
 * The plain arguments of a verb, a path and perhaps a name in it. `most` says what may stand there at most, `question` asks
 * for what is missing; both end the parsing as wrong usage. Other keys are ARGP_ERR_UNKNOWN.
 */
error_t ftso_parse_subject(int key, char *arg, struct argp_state *state, const char **path,
                           const char **name, const char *most, const char *question);

/* The value of --precision: fp32 or bf16; else wrong usage. */
ftso_element ftso_parse_precision(const char *arg, struct argp_state *state);
#define FTSO_PRECISION_DOC                                                                         \
    "how images are kept between regions: fp32 or bf16 (default: as the recipe says)"

/* Parses; the exit code to leave with, or -1 to go on. argp prints help and usage errors itself. */
int ftso_argp_run(const struct argp *argp, int argc, char **argv, void *input);

#endif
