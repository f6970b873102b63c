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

/*
 * What time is measured by: seconds on the wall, or seconds of processor time that the threads had on average. The second is
 * for machines that are busy with other work, and exact with one thread.
 */
typedef enum ftso_clock_kind { FTSO_CLOCK_WALL, FTSO_CLOCK_PROCESSOR } ftso_clock_kind;
double ftso_clock_read(ftso_clock_kind kind, int threads);

/* Takes about a third of a second. The vector width is the target's; 0 bytes where there is no memory to read. */
ftso_ceilings ftso_ceilings_measure(ftso_pool *pool, const ftso_target *target,
                                    ftso_clock_kind clock);
/* Memory's alone, bytes a second, in a tenth of that time. */
double ftso_ceilings_memory(ftso_pool *pool, ftso_clock_kind clock);

#endif
