/*
 * Random choice, the baseline: edge weights are uniform random numbers; selection and report are the other methods'.
 *
 * In: a seed. Out: weights in [0, 1). Holds: among the edges of a node every subset of `keep` is equally likely.
 */
#include "search_internal.h"

#include <math.h>

static ftso_status run(ftso_search_job *job, uint64_t seed, ftso_found *out)
{
    int64_t count = job->network->arch_total;
    out->beta_count = count;
    out->beta = FTSO_ARRAY(job->arena, double, (size_t)count);
    out->beta_start = FTSO_ARRAY(job->arena, double, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        ftso_random r = ftso_random_at(seed, FTSO_STREAM_RANDOM_CELL, 0, (uint64_t)i);
        out->beta[i] = out->beta_start[i] =
            ftso_random_uniform(r.word[0]) + ftso_random_uniform(r.word[1]) * 0x1p-32;
    }
    out->val_loss = out->arch_loss = out->train_loss = NAN;
    return FTSO_STATUS_OK;
}

const ftso_method ftso_method_random = {
    .name = "random",
    .doc = "edges chosen by chance; nothing is trained",
    .run = run,
};
