/*
 * Run directories: what a search or a training leaves behind.
 *
 * In: inputs, results. Out: files in a folder that names no place outside itself. Must hold: one process at a time works in
 * such a folder, by the lock; every file is written whole or not at all.
 */
#ifndef FTSO_CLI_RUNDIR_H
#define FTSO_CLI_RUNDIR_H

#include "cli/options.h"

#include <cjson/cJSON.h>

/*
 * Makes `wanted`, or runs/NAME, runs/NAME-2, … the first that is free, when `wanted` is NULL. The caller holds its lock then:
 * a descriptor that ftso_folder_unlock closes; -1 after a failure.
 */
ftso_status FTSO_MUST_USE ftso_rundir_create(ftso_arena *arena, const char *wanted,
                                             const char *name, const char **out_path,
                                             int *out_lock);

/* Copies the space file and what it includes, under their names; standard input becomes space.ftso. */
ftso_status FTSO_MUST_USE ftso_rundir_copy_sources(const char *run, const ftso_input *input);
/* One file, ending in a newline. */
ftso_status FTSO_MUST_USE ftso_rundir_write(const char *run, const char *name, ftso_text *text);
/* genotype.json, genotype.txt, cell-NAME.svg. */
ftso_status FTSO_MUST_USE ftso_rundir_write_genotype(const char *run, const ftso_space *space,
                                                     const ftso_genotype *genotype);
/* next.txt: the command with the run behind it. */
ftso_status FTSO_MUST_USE ftso_rundir_write_next(const char *run, const char *command);
/* The files of a search: cells, run.json with every seed's outcome, next.txt. */
ftso_status FTSO_MUST_USE ftso_rundir_write_search(const char *run, const ftso_input *input,
                                                   const ftso_search *search,
                                                   const ftso_search_result *result,
                                                   const char *device_name, bool interrupted);

/* The head of run.json, to add to; and its writing, which takes the record over. */
cJSON *ftso_run_record_new(const char *verb, const ftso_input *input);
ftso_status FTSO_MUST_USE ftso_run_record_write(const char *run, cJSON *record);

/* What later verbs need of run.json. NULL or 0 where it says nothing of it. */
typedef struct ftso_run_record {
    const char *verb, *file, *space; /* file: the space file's name in the run directory */
    const char *search, *train, *data, *device;
    int vector_floats;
    bool halves; /* of vectors, as ftso_target has it */
    bool done;
    const char *overrides[MAX_OVERRIDES];
    size_t override_count;
} ftso_run_record;
ftso_status FTSO_MUST_USE ftso_run_record_read(ftso_arena *arena, const char *run,
                                               ftso_run_record *out);
/* The genotype of a run, or of a JSON file. The input holds the space's file and its operators. */
ftso_status FTSO_MUST_USE ftso_run_genotype(ftso_input *input, const char *run,
                                            const ftso_space *space, const ftso_genotype **out);
ftso_status FTSO_MUST_USE ftso_genotype_read(ftso_input *input, const char *path,
                                             const ftso_space *space, const ftso_genotype **out);

#endif
