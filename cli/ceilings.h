/*
 * The machine's own ceilings, measured: what no code on it can exceed.
 */
#ifndef FTSO_CLI_CEILINGS_H
#define FTSO_CLI_CEILINGS_H

#include "cli/cli.h"

typedef struct ftso_ceilings {
    double flops_per_s; /* multiply-adds counted as two, all threads of the pool together */
    double bytes_per_s; /* read from memory far larger than the caches */
} ftso_ceilings;

/* Takes about a fifth of a second. The vector width is the target's. */
ftso_ceilings ftso_ceilings_measure(ftso_pool *pool, const ftso_target *target);

#endif
