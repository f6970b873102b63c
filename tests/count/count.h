/*
 * tests/count: parameters and multiply-adds of the published networks, by formulas written down from their papers and
 * reference code. Shares nothing with the compiler: no graph, no records, not even the word for an operator but its
 * public name. In: numbers and names. Out: two totals.
 */
#ifndef FTSO_TESTS_COUNT_H
#define FTSO_TESTS_COUNT_H

#include <stdbool.h>
#include <stdint.h>

enum { COUNT_MAX_EDGES = 128 };

typedef struct count_total {
    int64_t params, macs;
} count_total;

/* Edges of a DARTS-like cell with two inputs (states 0 and 1): edge e carries ops[e] from state from[e]; how nodes share
 * the edges does not matter to a count. `concat`: number of states put out. */
typedef struct count_cell {
    int edge_count, concat;
    const char *ops[COUNT_MAX_EDGES];
    int from[COUNT_MAX_EDGES];
} count_cell;

/* The macro network of DARTS: stem (CIFAR, or the two strided ones of ImageNet), `layers` cells reduced at 1/3 and 2/3. */
typedef struct count_net {
    int64_t channels, layers, classes, side;
    int64_t stem_width; /* 0: 3 * channels */
    bool
        imagenet_stem; /* cell 0 gets the two last maps of the stem; the head of ImageNet has no second batch norm */
    bool affine; /* affine: batch norm in cells has scale and offset */
    bool aux;
    int64_t partial; /* operators act on 1 / partial of the channels */
    count_cell normal, reduce;
} count_net;

count_total count_darts(const count_net *net);
/* NAS-Bench-201: stem, 3 stages of `repeat` cells with the six operators given, residual reductions, head. */
count_total count_nb201(int64_t channels, int64_t repeat, int64_t classes, int64_t side,
                        const char *const ops[6]);

#endif
