/*
 * train: a found network is trained, judged and kept, on any device and without a compiler.
 *
 * In: two loaded steps (training and inference form), images, a recipe as numbers. Out: weights, a log, checkpoints.
 * Must hold: what step s sees and does is a function of recipe, seed and s; so a run that was killed anywhere goes on from
 * its last checkpoint to the very bytes of the run that was not. Start reading at ftso_train_run (train.c).
 */
#ifndef FTSO_RUNTIME_TRAIN_H
#define FTSO_RUNTIME_TRAIN_H

#include "runtime/checkpoint.h"
#include "runtime/parameters.h"

/* ---------------------------------------------------------------- judging (judge.c) */

/* What a network says of labelled images. Sums, so that parts can be added. */
typedef struct ftso_score {
    int64_t images;
    int64_t top1, top5; /* images whose label is the first, or among the first five, by logit */
    double loss_sum;    /* cross entropy, in double */
} ftso_score;

/* Adds images to the score. Logits [count][classes]; labels as a batch has them. With `confusion` [classes][classes], counts
 * [label][said]; with `said`, the class of each image. Equal logits: the smaller class first. A logit that is no number is
 * the least of all. */
void ftso_score_add(ftso_score *score, const float *logits, const float *labels, int64_t count,
                    int64_t classes, int64_t *confusion, int32_t *said);

typedef struct ftso_judging {
    const ftso_device *device;
    ftso_step *step; /* inference form: "image" to "logits" */
    const ftso_images *images;
    const ftso_transform *transform;
    int64_t batch, classes;
    int64_t channels, side;   /* of the images as the network takes them */
    const volatile int *stop; /* or NULL */
    int64_t *confusion;       /* [classes][classes], zeroed here; or NULL */
    int32_t *said;            /* one per image, or NULL */
    ftso_progress *progress;  /* one step per batch; or NULL */
} ftso_judging;
/* All images, in order, with the states as they are. FTSO_ERROR_INTERRUPTED after a stop. */
ftso_status FTSO_MUST_USE ftso_judge(const ftso_judging *judging, ftso_score *out_score);

/* ---------------------------------------------------------------- training (train.c) */

/* The recipe as numbers. Plain data but for the two texts' worth of pointers that the job holds. */
typedef struct ftso_recipe {
    int64_t epochs, batch, classes;
    int64_t channels, side; /* of the images that go in */
    ftso_rate rate;
    double beta1, beta2; /* Adam's; 0 with SGD */
    double drop_path;    /* P: the probability in epoch e is P * e / epochs */
    int64_t drop_count;  /* edges that can be dropped; 0: the network has no input "drop_path" */
    int64_t least_batch; /* images that batch norm needs at least */
    uint64_t seed;
} ftso_recipe;

/* One epoch's outcome. */
typedef struct ftso_epoch {
    int64_t epoch, step; /* counted from 1 */
    double rate, drop_path;
    double train_loss,
        train_top1; /* means over the epoch, while it was trained; the loss with its auxiliary part */
    ftso_score test;
    bool best; /* better than all before */
    double seconds;
} ftso_epoch;

enum { FTSO_SAVE_SECONDS = 600 }; /* between saves, for `save_seconds` */

typedef struct ftso_training {
    const ftso_recipe *recipe;
    const ftso_device *device;
    ftso_step *step, *judge; /* training form with its optimiser; inference form */
    const ftso_images *images, *test_images;
    const ftso_transform *transform, *test_transform;
    const ftso_parameter *weights, *running; /* tables of the flat states "weights" and "running" */
    size_t weight_count, running_count;
    const char *const *moments; /* further states, as long as "weights", zero at first */
    size_t moment_count;

    const float *first_weights,
        *first_running; /* what it begins with; NULL: weights drawn from the seed */
    const char *
        folder; /* where checkpoints/, weights.safetensors and best.safetensors go; NULL: nothing is kept */
    int keep;                      /* checkpoints that stay, besides the best one */
    int64_t save_steps;            /* also every so many steps; 0: not */
    double save_seconds;           /* also after so many seconds; 0: not */
    const ftso_metadata *metadata; /* of the weights */
    size_t metadata_count;
    uint64_t layout, origin; /* see ftso_checkpoint */
    ftso_log *log;           /* opened by the caller, or NULL */

    ftso_progress_mode progress;
    FILE *progress_out;
    const volatile int *stop;
    void (*on_epoch)(void *user, const ftso_epoch *epoch); /* or NULL */
    void (*note)(void *user, const char *text);            /* what the user should know; or NULL */
    void *user;
} ftso_training;

/* ---------------------------------------------------------------- its words, its beginning (train_report.c) */

/* What the training will take, and the head of the table of epochs, to `out` (NULL: not said). Code 3 where it takes more
 * memory than the machine has. */
ftso_status FTSO_MUST_USE ftso_training_announce(const ftso_training *training, const char *name,
                                                 FILE *out);
/* A row of that table. */
void ftso_epoch_print(const ftso_epoch *epoch, FILE *out);
/* The newest checkpoint of the training's folder; what was passed over goes to `note`. Another network's is refused. */
ftso_status FTSO_MUST_USE ftso_training_take_up(const ftso_training *training,
                                                ftso_checkpoint_file *out);
/* The names of the classes, from the recipe or from beside the images, as a row of the weights' metadata in `arena`. False
 * where there are none. */
bool ftso_class_names_row(ftso_arena *arena, const ftso_images *images, ftso_metadata *out);
/* Hash over the recipe's numbers, for `origin`. */
uint64_t ftso_recipe_hash(uint64_t seed, const ftso_recipe *recipe);

/* ---------------------------------------------------------------- the loop */

typedef struct ftso_trained {
    int64_t step, epochs; /* taken; measured */
    ftso_best best;
    double seconds; /* of this call */
} ftso_trained;

/*
 * Trains from `from` (NULL: from the start) to the end of the recipe. On a stop it saves
 * and returns FTSO_ERROR_INTERRUPTED. A loss that is no number ends it with the step and the epoch; nothing is saved then.
 */
ftso_status FTSO_MUST_USE ftso_train_run(const ftso_training *training,
                                         const ftso_checkpoint_file *from, ftso_trained *out);

#endif
