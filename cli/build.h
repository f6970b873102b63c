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
    const char *weights_name;    /* where the weights come from, for the record: "seed 1" */
    float *weights, *running;    /* flat, as the network's tables say */
} ftso_build_source;

/* A kind of artefact: how the objects become files. One row each in build_kinds.c. */
typedef struct ftso_build_files ftso_build_files;
typedef struct ftso_build_kind {
    const char *name, *doc, *suffix;
    ftso_status (*link)(const ftso_build_files *files);
} ftso_build_kind;
const ftso_build_kind *ftso_build_kinds(size_t *out_count);

/* Objects written to a folder of their own, and where the result goes. */
struct ftso_build_files {
    ftso_arena *arena;
    const ftso_build_options *options;
    const char *folder;   /* scratch, removed afterwards */
    const char *archive;  /* the runtime */
    const char **objects; /* paths */
    size_t object_count;
    const char *result; /* in `folder`, to be made */
};

/* The evaluation network at `batch` images, with the data set's image size and classes where there is one. NULL: told in diag. */
ftso_network *ftso_build_lower(ftso_input *input, const ftso_build_source *source, int64_t batch);
/* Makes the artefact, or finds that it is there already (*out_fresh false). */
ftso_status FTSO_MUST_USE ftso_build_run(ftso_input *input, const ftso_build_source *source,
                                         const ftso_build_options *options, bool *out_fresh);

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
/* A file that is installed with ftso, found relative to it: artefact/TRIPLE/NAME. NULL where it is not. */
const char *ftso_installed_file(ftso_arena *arena, const char *triple, const char *name);

#endif
