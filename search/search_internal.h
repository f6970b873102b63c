/*
 * Shared inside search/: one call of ftso_search_run as methods see it, the images of both halves, the log's events.
 */
#ifndef FTSO_SEARCH_INTERNAL_H
#define FTSO_SEARCH_INTERNAL_H

#include "search/search.h"

/* One call of ftso_search_run. */
struct ftso_search_job {
    ftso_arena *arena; /* owns the result */
    ftso_arena work;   /* owns graphs and batches; gone when the call returns */
    const ftso_search *search;
    const ftso_images *images;
    const ftso_device *device;
    const ftso_search_options *options;
    const ftso_network *network; /* the super-net; no step is appended to it */
    ftso_progress progress;
    bool measures; /* val_loss is wanted */
    int64_t seeds_done;
    void *self; /* the method's own */
};

/* The super-net as the search wants it, in the job's work arena. */
ftso_status FTSO_MUST_USE ftso_search_lower(ftso_search_job *job, ftso_network **out_network);

/* ---------------------------------------------------------------- images (feed.c) */

/* One batch in the form that `bind` takes. */
typedef struct ftso_feed_batch {
    float *image, *label;
    int64_t count;
} ftso_feed_batch;

/* One batch of a seed: of the half that trains weights or of the other one. */
typedef struct ftso_feed_turn {
    bool valid;
    uint64_t seed;
    int64_t iteration;
} ftso_feed_turn;

/*
 * Both halves of the training images: [0, train_count) trains weights, [train_count, train_count + valid_count) drives
 * `arch`. Epochs and batches are pure functions of seed and iteration.
 */
typedef struct ftso_feed {
    const ftso_images *images;
    ftso_pool *pool;
    int64_t batch, side, train_count, valid_count;
    int64_t per_epoch; /* iterations; the last batch may be smaller */
    ftso_transform train, valid, plain;
    int32_t *order, *valid_order; /* of the current epoch; of the current iteration */
    uint64_t order_seed;
    int64_t order_epoch; /* -1: none yet */
    int64_t iterations;  /* of a seed; no batch is begun for later ones. Set by the method */
    ftso_feed_batch made[2];
    int turn;          /* which of them was given last */
    ftso_maker *maker; /* makes the next one meanwhile; NULL where images lie in memory */
    bool begun, both;  /* `next` is in the making; the last turns were one of each half */
    ftso_feed_turn next;
} ftso_feed;

ftso_status FTSO_MUST_USE ftso_feed_init(ftso_feed *feed, ftso_arena *arena,
                                         const ftso_search *search, const ftso_images *images,
                                         ftso_pool *pool);
void ftso_feed_deinit(ftso_feed *feed);
/* Batches of iteration `iteration` (from 0). The content lives until the next call on this feed. */
ftso_status FTSO_MUST_USE ftso_feed_train(ftso_feed *feed, uint64_t seed, int64_t iteration,
                                          const ftso_feed_batch **out);
ftso_status FTSO_MUST_USE ftso_feed_valid(ftso_feed *feed, uint64_t seed, int64_t iteration,
                                          const ftso_feed_batch **out);
/* Images [begin, begin + count) of the validation half, unaugmented. */
ftso_status FTSO_MUST_USE ftso_feed_plain(ftso_feed *feed, int64_t begin, int64_t count,
                                          const ftso_feed_batch **out);

/* ---------------------------------------------------------------- selection (select.c) */

/*
 * The cells that edge weights `beta` (content of `arch`) stand for: per node the top `keep` edges, all with the search's
 * `replace` operator. Each edge's weight is noted as the reading has it: its share of the node's softmax, or raw.
 */
void ftso_select_genotype(ftso_arena *arena, const ftso_search *search, const ftso_network *network,
                          const double *beta, ftso_genotype *out_genotype);

/* ---------------------------------------------------------------- events (events.c): nothing without a log */

ftso_status FTSO_MUST_USE ftso_event_start(const ftso_search_job *job);
ftso_status FTSO_MUST_USE ftso_event_iteration(const ftso_search_job *job, uint64_t seed,
                                               int64_t iteration, double arch_loss,
                                               double train_loss, const float *arch, int64_t count);
ftso_status FTSO_MUST_USE ftso_event_seed(const ftso_search_job *job, const ftso_found *found);
ftso_status FTSO_MUST_USE ftso_event_end(const ftso_search_job *job,
                                         const ftso_search_result *result);
/* The readings as people and logs are told them, one "name: words" each; NULL where the method has no such question. */
size_t ftso_reading_count(void);
const char *ftso_reading(ftso_arena *arena, const ftso_search *search, size_t number,
                         const char **out_name);

/* ---------------------------------------------------------------- methods */

extern const ftso_method ftso_method_ftso, ftso_method_random;

#endif
