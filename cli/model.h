/*
 * Models: which network a command line names, as FILE NAME, as FILE GENOTYPE.json, or as a run directory.
 */
#ifndef FTSO_CLI_MODEL_H
#define FTSO_CLI_MODEL_H

#include "cli/cli.h"

typedef struct ftso_model {
    ftso_arena arena; /* what the input refers to */
    ftso_input input; /* the space file, or a run's own copy of it */
    const ftso_space *space;
    const ftso_genotype *genotype;
    const ftso_dataset *dataset; /* of the recipe or search that goes with it, or NULL */
    const ftso_train *train;     /* the recipe, where a recipe or its run was named; or NULL */
    const char *name;            /* of the genotype, or of the run's space */
    const char *run;             /* the run directory, or NULL */
} ftso_model;

/*
 * Reads what is named. `name` may be NULL where there is one genotype only. False after an error, which is printed; its
 * exit code is in *out_exit. `deinit` in any case.
 */
bool ftso_model_read(ftso_model *model, const char *path, const char *name,
                     const char *const *overrides, size_t override_count, int *out_exit);
void ftso_model_deinit(ftso_model *model);

#endif
