/*
 * parameters: the tensors of a flat state ("weights", "running") by name, as plain data that needs no graph.
 *
 * In: a table. Out: initial numbers, views for files. Must hold: a table lists a network's tensors in one order for ever,
 * since both the random numbers and the files hang on it.
 */
#ifndef FTSO_RUNTIME_PARAMETERS_H
#define FTSO_RUNTIME_PARAMETERS_H

#include "runtime/runtime.h"
#include "runtime/safetensors.h"

typedef struct ftso_parameter {
    const char *name; /* stable: "cells.3.edge.2-0.1.weight" */
    int rank;
    int64_t dim[4];
    int64_t offset; /* elements into the flat state */
    int64_t fan_in; /* 0: not a kernel */
    double fill;    /* initial value where fan_in is 0 */
} ftso_parameter;

int64_t ftso_parameter_count(const ftso_parameter *parameter);
/* Length of the flat state. */
int64_t ftso_parameters_total(const ftso_parameter *table, size_t count);
/* Initial values of all tensors into the flat state `out`. */
void ftso_parameters_draw(const ftso_parameter *table, size_t count, uint64_t seed, float *out);
/* The tensor as a view into the flat state. */
ftso_safetensor ftso_parameter_tensor(const ftso_parameter *parameter, const float *state);

/*
 * Reads a file into flat states: every tensor of every table must be there with its shape, and nothing else. Otherwise
 * code 5, and the message names the first differences.
 */
ftso_status FTSO_MUST_USE ftso_parameters_read(const char *path,
                                               const ftso_parameter *const *tables,
                                               const size_t *counts, float *const *states,
                                               size_t state_count);

#endif
