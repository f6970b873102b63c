/*
 * tests/region_run: runs a schedule region by region, in the memory that the buffer plan gives, with the operators'
 * reference evaluations.
 * In: a schedule, contents of its leaves, a batch. Out: every value that is in memory at the end.
 * Holds: a region sees what it declares in `reads` and what it computes, nothing else; memory starts as NaN; writes land
 * as soon as they are computed. So a schedule or plan that is wrong gives wrong numbers.
 */
#ifndef FTSO_TESTS_REGION_RUN_H
#define FTSO_TESTS_REGION_RUN_H

#include "tests/support.h"

typedef struct region_run region_run;
/* Verifies the schedule, plans and verifies the plan; fails the test where one of them is wrong. */
region_run *region_run_new(const ftso_schedule *schedule);
void region_run_free(region_run *run);
void region_run_bind(region_run *run, ftso_value leaf, const double *data, size_t count);
void region_run_go(region_run *run, int64_t batch);
/* Numbers of a value in memory (an output, a state). */
const double *region_run_get(const region_run *run, ftso_value value);
/* Bytes of the plan, float32. */
int64_t region_run_bytes(const region_run *run);

#endif
