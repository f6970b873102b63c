/*
 * tests/nets: graphs that passes, regions and plans are tested on, and the comparison of two ways to run one.
 * In: an arena, sizes. Out: super-nets of examples/darts.ftso with one step, random graphs with gradients.
 */
#ifndef FTSO_TESTS_NETS_H
#define FTSO_TESTS_NETS_H

#include "tests/support.h"

typedef struct nets_options {
    const char *opset; /* of examples/operators.ftso: "skip_only", "darts_8" … */
    int64_t k, batch, side, layers, channels;
    bool of_arch; /* the step on arch, else on weights */
    bool no_step; /* loss and logits alone */
} nets_options;

/* The DARTS super-net with outputs "loss", "logits", and "gradient" beside those of the step. */
ftso_graph *nets_darts(ftso_arena *arena, const nets_options *options);
/*
 * A published cell as a network of three cells, side 32: a training step with drop path, auxiliary head, label smoothing and
 * running statistics, outputs as nets_darts; or its inference form.
 */
ftso_graph *nets_found(ftso_arena *arena, const char *cell, bool inference);
/* A random graph of images with batch norm, shuffles, slices, scalar weights; outputs of values and gradients. */
ftso_graph *nets_random(ftso_arena *arena, test_random *random);

/* Contents for every input and state of a graph, by name, the same for equal seeds. */
typedef struct nets_leaf {
    const char *name;
    double *data;
    size_t count; /* at `batch` images */
} nets_leaf;
nets_leaf *nets_leaves(ftso_arena *arena, const ftso_graph *graph, int64_t batch, uint64_t seed,
                       size_t *out_count);

/* Passes, leaving out `disabled`; fails the test when they do. */
ftso_graph *nets_passes(ftso_arena *arena, const ftso_graph *graph, const char *const *disabled,
                        size_t disabled_count);
/* The verified schedule of what the passes make of the graph. */
ftso_schedule *nets_schedule(ftso_arena *arena, const ftso_graph *graph);
/*
 * Runs both graphs by the interpreter on the same contents; outputs, by name, must agree to `tolerance` of the larger
 * of their norm and `floor`.
 */
void nets_same_graphs(const ftso_graph *a, const ftso_graph *b, int64_t batch, double tolerance);
/* The same for a graph and a schedule of it or of what passes made of it. */
void nets_same_schedule(const ftso_graph *graph, const ftso_schedule *schedule, int64_t batch,
                        double tolerance);

#endif
