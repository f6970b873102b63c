/*
 * training: a recipe made ready to run, for `train`, `resume` and `eval`.
 *
 * In: a train record, a genotype, a device, a data set. Out: both forms of the network on the device, images, the recipe as
 * numbers: all that ftso_train_run and ftso_judge take. Start reading at ftso_setup_open.
 */
#ifndef FTSO_CLI_TRAINING_H
#define FTSO_CLI_TRAINING_H

#include "cli/rundir.h"
#include "runtime/train.h"

typedef struct ftso_setup {
    const ftso_train *train;
    const ftso_genotype *genotype;
    const ftso_device *device;
    const ftso_network
        *network; /* training form, or inference form where only that was asked for */
    const ftso_network *judge_network; /* inference form */
    ftso_step *step, *judge;           /* NULL where not asked for, or where the road was left */
    ftso_images images, test_images;
    ftso_transform transform, test_transform;
    ftso_recipe recipe;
    const ftso_parameter *weights, *running;
    size_t weight_count, running_count;
    int64_t weight_total, running_total;
    const char **moments;
    size_t moment_count;
    ftso_metadata *metadata; /* of the weights */
    size_t metadata_count;
    uint64_t layout, origin, step_hash; /* step_hash: of the step's graph alone */
} ftso_setup;

/*
 * The cells that `--cell` names: a genotype that the file declares, the run directory of a search, a genotype's JSON file, or
 * DARTS text; NULL: what the recipe says, or the only genotype of its space.
 */
ftso_status FTSO_MUST_USE ftso_pick_cells(ftso_input *input, const ftso_train *train,
                                          const char *cell, const ftso_genotype **out);
/* Builds the network, and all but images and steps. With `trains` both forms, else the inference form alone. */
ftso_status FTSO_MUST_USE ftso_setup_lower(ftso_input *input, const ftso_train *train,
                                           const ftso_genotype *genotype, bool trains,
                                           ftso_setup *out);
/* The same, and loads the network. With `trains` both forms, else the inference form alone. `close` in any case. */
ftso_status FTSO_MUST_USE ftso_setup_open(ftso_input *input, const ftso_train *train,
                                          const ftso_genotype *genotype, const ftso_device *device,
                                          bool trains, ftso_setup *out);
/* Loads the images of the parts that the forms need. `data` as --data. */
ftso_status FTSO_MUST_USE ftso_setup_images(ftso_input *input, ftso_setup *setup, const char *data);
/* Reads weights and statistics from a safetensors file into the device; tells on stderr where it names classes or a transform
 * other than the data set's. */
ftso_status FTSO_MUST_USE ftso_setup_weights(const ftso_setup *setup, const char *path);
void ftso_setup_close(ftso_setup *setup);

/* Curves of loss and accuracy over the epochs (curves.c). */
void ftso_curves_print_svg(const ftso_epoch *epochs, size_t count, int64_t planned,
                           const char *title, ftso_text *out);
/* The epochs that a log tells of, to go on with. */
ftso_status FTSO_MUST_USE ftso_curves_read(ftso_arena *arena, const char *log,
                                           ftso_epoch **out_epochs, size_t *out_count);

#endif
