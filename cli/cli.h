/*
 * cli: the verbs, and the one road from a graph to running code.
 *
 * In: the command line. Out: exit codes (ftso_code), text on stdout, progress and errors on stderr, run directories.
 * Start reading at ftso_pipeline_run (the road) and at the table of verbs in verbs.c.
 */
#ifndef FTSO_CLI_H
#define FTSO_CLI_H

#include "base/base.h"
#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "ir/ir.h"
#include "runtime/runtime.h"
#include "search/search.h"

int ftso_main(int argc, char **argv);

/* ---------------------------------------------------------------- verbs */

typedef struct ftso_verb {
    const char *name, *doc;            /* one line each, for the list in --help */
    int (*run)(int argc, char **argv); /* argv[0] is "ftso NAME"; returns an exit code */
} ftso_verb;
const ftso_verb *ftso_verb_rows(size_t *out_count);

int ftso_verb_build(int argc, char **argv);
int ftso_verb_bench(int argc, char **argv);
int ftso_verb_check(int argc, char **argv);
int ftso_verb_count(int argc, char **argv);
int ftso_verb_doctor(int argc, char **argv);
int ftso_verb_eval(int argc, char **argv);
int ftso_verb_weights(int argc, char **argv);
int ftso_verb_explain(int argc, char **argv);
int ftso_verb_fmt(int argc, char **argv);
int ftso_verb_new(int argc, char **argv);
int ftso_verb_resume(int argc, char **argv);
int ftso_verb_search(int argc, char **argv);
int ftso_verb_show(int argc, char **argv);
int ftso_verb_train(int argc, char **argv);
int ftso_verb_verify(int argc, char **argv);

/* Prints "ftso: message" to stderr and returns the status's exit code; OK prints nothing. */
int ftso_report(ftso_status status);
/* " (did you mean 'x'?)" for the nearest of `names` in `arena`, or "". */
const char *ftso_did_you_mean(ftso_arena *arena, const char *name, const char *const *names,
                              size_t count);
/* From now on memory that runs out ends the process with exit code 3 and a line that says so, wherever it happens. */
void ftso_watch_memory(void);
/* Colours for this stream: a terminal, TERM not "dumb", NO_COLOR unset. */
bool ftso_wants_color(FILE *stream);

/* ---------------------------------------------------------------- input */

/* A space file, read and checked, with what was said about it. */
typedef struct ftso_input {
    ftso_arena arena;
    ftso_diag diag;
    ftso_ast *ast;
    ftso_unit *unit; /* NULL when there were errors */
    const char *path;
    size_t file_count; /* of diag's sources, the first are the file and what it includes */
    const char *const *overrides;
    size_t override_count;
    double parse_s, check_s;
} ftso_input;

/* The tree of `path`, "-" being standard input. */
ftso_status FTSO_MUST_USE ftso_input_parse(ftso_arena *arena, ftso_diag *diag, const char *path,
                                           ftso_ast **out_ast);
/*
 * Reads `path` ("-": standard input), applies the overrides ("--set a.b=c" texts), checks, and prints what is wrong to
 * stderr. False after an error; the exit code is in *out_exit then. `deinit` in any case.
 */
bool ftso_input_read(ftso_input *input, const char *path, const char *const *overrides,
                     size_t override_count, int *out_exit);
/* The stages that a read file has behind it, "ast" and "space"; NULL is none. */
bool ftso_stage_is_early(const char *stage);
/* Prints what was said since (warnings, errors of lowering). */
void ftso_input_print(ftso_input *input);
void ftso_input_deinit(ftso_input *input);

/* The declaration of that name, or the only one when `name` is NULL; a status that lists the names otherwise. */
ftso_status FTSO_MUST_USE ftso_pick_search(const ftso_unit *unit, const char *name,
                                           const ftso_search **out);
ftso_status FTSO_MUST_USE ftso_pick_space(const ftso_unit *unit, const char *name,
                                          const ftso_space **out);
ftso_status FTSO_MUST_USE ftso_pick_genotype(const ftso_unit *unit, const char *name,
                                             const ftso_genotype **out);
ftso_status FTSO_MUST_USE ftso_pick_train(const ftso_unit *unit, const char *name,
                                          const ftso_train **out);

/* ---------------------------------------------------------------- the road */

/* Called with the text form of each stage that is asked for: after "graph", each pass, "regions", "plan", "llvm", "asm". */
typedef struct ftso_pipeline {
    const char *const *disabled; /* passes left out */
    size_t disabled_count;
    ftso_fusion fusion;
    const char *dump;       /* stage whose text goes to `out`, or NULL */
    const char *stop_after; /* stage to stop at, or NULL */
    FILE *out;
    bool time; /* seconds of each stage to stderr */
} ftso_pipeline;
ftso_pipeline ftso_pipeline_default(void);
/* The seconds of one stage to stderr, where they are asked for. */
void ftso_pipeline_time(const ftso_pipeline *pipeline, const char *label, const char *stage,
                        double seconds);
/* What `pipeline` wants to see of the stages "ast" and "space": their times, their text. */
void ftso_input_stages(const ftso_input *input, const ftso_pipeline *pipeline);
/* The stages by name, in order, NULL at the end; for --help and for checking --dump. */
const char *const *ftso_stage_names(ftso_arena *arena);

/*
 * Graph to program: passes, regions, code. `label` names the step in dumps and times. *out_program is NULL where
 * stop_after came first. The program lives in `arena`, its code in `compiler`.
 */
ftso_status FTSO_MUST_USE ftso_pipeline_run(const ftso_pipeline *pipeline, ftso_arena *arena,
                                            ftso_compiler *compiler,
                                            const ftso_compiler_options *options, const char *label,
                                            const ftso_graph *graph, ftso_program **out_program);

/*
 * What the interpreter runs so that it rounds where compiled code does: a graph itself, or, where its images are stored in
 * fewer bits than float32, what the passes make of it, with the elements that the schedule chose (by value; else NULL).
 * Leaves and outputs have the names they had; leaves that nothing needs may be gone.
 */
typedef struct ftso_reference {
    const ftso_graph *graph;
    const ftso_element *elements;
} ftso_reference;
/* Lives in `arena`, or is `graph`. */
ftso_status FTSO_MUST_USE ftso_pipeline_reference(const ftso_pipeline *pipeline, ftso_arena *arena,
                                                  const ftso_graph *graph,
                                                  ftso_reference *out_reference);
/* The caller frees it, before the reference goes. */
ftso_status FTSO_MUST_USE ftso_reference_interp(const ftso_reference *reference,
                                                ftso_interp **out_interp);

/* ---------------------------------------------------------------- devices (device_cpu.c, device_reference.c) */

typedef struct ftso_device_options {
    int threads;           /* 0: one per processor */
    const char *cpu;       /* as ftso_target_named; NULL: native */
    const char *cache_dir; /* NULL: none */
    ftso_pipeline pipeline;
} ftso_device_options;

/* The target that the options name; refused where this machine cannot run its code, unless it is only to be looked at. */
ftso_status FTSO_MUST_USE ftso_device_target(ftso_arena *arena, const ftso_device_options *options,
                                             ftso_target *out_target);
/* Compiled code on this machine. Close with ftso_device_close. */
ftso_status FTSO_MUST_USE ftso_device_open_cpu(const ftso_device_options *options,
                                               ftso_device *out_device);
/* The reference interpreter in double behind the same interface: slow, for comparison. */
ftso_status FTSO_MUST_USE ftso_device_open_reference(const ftso_device_options *options,
                                                     ftso_device *out_device);
void ftso_device_close(ftso_device *device);
/* $XDG_CACHE_HOME/ftso or ~/.cache/ftso, made if missing; NULL where neither can be (then nothing is cached). */
const char *ftso_cache_dir(ftso_arena *arena);

/* ---------------------------------------------------------------- images */

/* The data set's training (or test) part, from `path` or, where that is NULL, from the place that the space file names. */
ftso_status FTSO_MUST_USE ftso_images_load(const ftso_dataset *dataset, const char *path, bool test,
                                           ftso_images *out);
/*
 * Tells on `out`, a line each, what weights say of their images otherwise than a data set; `class_names` are what it knows of
 * them (NULL: nothing), `holds` says at the end of a line whose word counts.
 */
void ftso_words_compare(FILE *out, const char *path, const ftso_weights_words *words,
                        const ftso_dataset *dataset, const char *const *class_names,
                        const char *holds);

#endif
