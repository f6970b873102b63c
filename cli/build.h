/*
 * Building artefacts: a network and its weights become an executable, a library, an object.
 *
 * In: a graph of the evaluation network, weights, choices. Out: files. Start reading at ftso_build_run.
 */
#ifndef FTSO_CLI_BUILD_H
#define FTSO_CLI_BUILD_H

#include "cli/cli.h"

typedef struct ftso_build_options {
    const char *kind;          /* "exe", … : a row of ftso_build_kinds */
    const char *output;        /* path */
    const char *cpu;           /* as ftso_target_named */
    const ftso_system *system; /* to make it for; NULL: this one */
    const char *prefix;        /* of a library's names */
    bool is_static;
    int64_t batch; /* images of a run, at most */
    ftso_device_options device;
} ftso_build_options;

/* What an artefact is made of; everything lives as long as the input. */
typedef struct ftso_build_source {
    const char *name;        /* of the network, for people */
    const ftso_space *space; /* what the network is lowered from */
    const ftso_genotype *genotype;
    const ftso_dataset *dataset; /* or NULL */
    const ftso_train *train;     /* how it was trained, which decides its size; or NULL */
    ftso_element precision;      /* of images between regions */
    /* From a picture to an image, as ftso_transform_parse reads it (NULL: x / 255), and the classes' names (NULL: numbers). */
    const char *transform;
    const char *const *class_names;
    const char *weights_name; /* where the weights come from, for the record: "seed 1" */
    float *weights, *running; /* flat, as the network's tables say; NULL for a kind that is_code */
} ftso_build_source;

/* A kind of artefact: how the objects become files. One row each in build_kinds.c. */
typedef struct ftso_build_files ftso_build_files;
typedef struct ftso_build_kind {
    const char *name, *doc;
    const char *
        place; /* of the file in the output folder, %s being the prefix; NULL: the output is the file */
    bool needs_prefix; /* it is a library's interface that others link to */
    bool is_code;      /* the code alone: no weights, nothing of the runtime, no seal */
    bool trains;       /* it carries the training step too, and takes a recipe */
    ftso_status (*link)(const ftso_build_files *files);
    ftso_status (*finish)(const ftso_build_files *files); /* what lies beside the file; or NULL */
} ftso_build_kind;
const ftso_build_kind *ftso_build_kinds(size_t *out_count);
const ftso_build_kind *ftso_build_kind_find(const char *name);
/*
 * What of an artefact can be loaded into a process: NULL for an executable; else a shared library, in a scratch folder (NULL
 * where there is none) that the caller removes.
 */
ftso_status FTSO_MUST_USE ftso_build_loadable(ftso_arena *arena, const char *kind, const char *path,
                                              const char **out_library, const char **out_scratch);

/* Objects written to a folder of their own, and where the result goes. */
struct ftso_build_files {
    ftso_arena *arena;
    const ftso_build_options *options;
    const ftso_artefact *artefact;
    const char *folder; /* scratch, removed afterwards */
    /* archives: what all artefacts carry, what libraries do, what reads pictures (or NULL) */
    const char *runtime, *library, *decoders;
    const char **objects; /* paths; none of a kind that is_code */
    size_t object_count;
    ftso_compiler *const *compilers; /* one for each of the artefact's codes */
    const char *result;              /* in `folder`, to be made */
};
/* Header, pkg-config and CMake files into the output folder (build_header.c). */
ftso_status FTSO_MUST_USE ftso_build_write_header(const ftso_build_files *files);
const char *ftso_build_header_path(ftso_arena *arena, const ftso_build_options *options);
/* Whether names can begin like that: letters, digits, _; at most 64. */
bool ftso_build_prefix_fits(const char *prefix);

/* How far rounding alone takes results from the exact ones: sums of squares over all numbers of all images. */
typedef struct ftso_growth {
    double difference, norm;
} ftso_growth;
/*
 * The reference's results for one image, and what every operation's rounding makes of them (ftso_interp_disturb), which is
 * added to *growth. The interpreters are of the same reference and have the same content bound.
 */
ftso_status FTSO_MUST_USE ftso_build_reference(ftso_interp *exact, ftso_interp *disturbed,
                                               const ftso_reference *reference, double *out_logits,
                                               ftso_growth *growth);
/*
 * The relative L2 distance that right code stays within on these images: a few times the disturbed runs', and no less than
 * roundings come to without any gain.
 */
double ftso_build_tolerance(const ftso_reference *reference, const ftso_growth *growth);
/* Its parts: so many times the distance of a disturbed run, which is one of many, since right code rounds in another order;
 * and the distance of roundings without any gain. */
enum { FTSO_BUILD_ALLOWANCE = 4 };
double ftso_build_without_gain(const ftso_reference *reference);

/*
 * What a trainer carries besides (build_trainer.c): the setup as data, and what the reference makes of a training step on the
 * stored `images`.
 */
struct ftso_setup;
ftso_status FTSO_MUST_USE ftso_build_trainer(ftso_input *input, const struct ftso_setup *setup,
                                             const float *weights, const float *running,
                                             const float *images, int64_t image_count,
                                             ftso_trainer *out);
/* Images of the stored step: as few as batch norm allows, at least two where the batch has them. */
int64_t ftso_build_trainer_images(const struct ftso_setup *setup);
/* Adds what a trainer's record says besides. */
struct cJSON;
void ftso_build_trainer_describe(const struct ftso_setup *setup, struct cJSON *record);

/* `count` numbers as doubles, in `arena`. */
const double *ftso_build_wide(ftso_arena *arena, const float *numbers, int64_t count);
/* Binds a leaf of a reference by its name; what the passes dropped needs no numbers. */
ftso_status FTSO_MUST_USE ftso_build_bind(ftso_interp *interp, const ftso_graph *graph,
                                          const char *name, const double *numbers, int64_t count);
/* The output of that name, or FTSO_NO_VALUE. */
ftso_value ftso_build_output(const ftso_graph *graph, const char *name);
/* `count` standard normal numbers, a function of the seed. */
void ftso_images_draw(uint64_t seed, int64_t count, float *out);

/* The evaluation network at `batch` images, with the data set's image size and classes where there is one. NULL: told in diag. */
ftso_network *ftso_build_lower(ftso_input *input, const ftso_build_source *source, int64_t batch);
/* Makes the artefact, or finds that it is there already (*out_fresh false). */
ftso_status FTSO_MUST_USE ftso_build_run(ftso_input *input, const ftso_build_source *source,
                                         const ftso_build_options *options, bool *out_fresh);

/* How the text of a network's code begins. */
#define FTSO_CODE_TEXT "; The code of a network, made by ftso."
/* Why a file in which `section` was not found is no artefact: always an error of code 5. */
ftso_status FTSO_MUST_USE ftso_build_no_artefact(const char *path, const char *section,
                                                 const char *bytes, size_t size);

/* ---------------------------------------------------------------- other programs (tools.c) */

/* Runs a program found on PATH; `argv` ends with NULL. What it says on stderr is in the status of a failure. */
ftso_status FTSO_MUST_USE ftso_tool_run(const char *const *argv);
/* Where a program is, or NULL. */
const char *ftso_tool_find(ftso_arena *arena, const char *name);
/* A folder of this process's own under TMPDIR or /tmp, and its end with the files in it. */
ftso_status FTSO_MUST_USE ftso_scratch_new(ftso_arena *arena, const char **out_path);
void ftso_scratch_remove(const char *path);
/* A file that another program reads soon: neither synced nor renamed. */
ftso_status FTSO_MUST_USE ftso_scratch_write(const char *path, const void *bytes, size_t length);
/* A tool of the system ("gcc" of the package's cross compiler, "cc" where the system is this one). */
const char *ftso_tool_of(ftso_arena *arena, const ftso_system *system, const char *name);
/* The target's name among installed files: "x86_64-linux-gnu". */
const char *ftso_system_of(ftso_arena *arena, const ftso_target *target);
/* How artefacts of a system come to read pictures, for people; its decoders are not there. */
const char *ftso_decoders_wanted(ftso_arena *arena, const ftso_system *system);
/* A file that is installed with ftso, found relative to it: artefact/TRIPLE/NAME. NULL where it is not. */
const char *ftso_installed_file(ftso_arena *arena, const char *triple, const char *name);

#endif
