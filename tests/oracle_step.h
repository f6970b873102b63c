/*
 * tests/oracle_step: a stored case built by our own front end and lowering: the two steps of a bilevel iteration.
 *
 * In: an oracle file. Out: graphs with gradients as outputs "gradient", initial weights in our flat order.
 */
#ifndef FTSO_TESTS_ORACLE_STEP_H
#define FTSO_TESTS_ORACLE_STEP_H

#include "tests/oracle_file.h"

/* One step's graph. `arch_step` is NULL in a found network's case. */
typedef struct oracle_step {
    ftso_network *network;
    ftso_value gradient;
    const char *target; /* "arch" or "weights" */
} oracle_step;

typedef struct oracle_case {
    const oracle *file;
    oracle_step steps[2];    /* of arch, of weights */
    ftso_network *inference; /* a found network with running statistics, or NULL */
    bool has_arch;
    bool trains;        /* the weight step keeps running statistics */
    int64_t drop_count; /* columns of its drop-path masks; 0: none */
    int64_t batch, weight_total, arch_total, running_total;
    double *weights, *arch, *running; /* where the case starts */
    ftso_optimizer weight_rule, arch_rule;
} oracle_case;

/* Every stored case: X(identifier, "file"). */
#define ORACLE_CASES(X)                                                                            \
    X(skip_k1, "skip-k1")                                                                          \
    X(skip_k4, "skip-k4")                                                                          \
    X(skip_k1_raw, "skip-k1-raw")                                                                  \
    X(skip_k4_raw, "skip-k4-raw")                                                                  \
    X(skip_k2_grey, "skip-k2-grey")                                                                \
    X(skip_k1_nodes5, "skip-k1-nodes5")                                                            \
    X(pool_k1, "pool-k1")                                                                          \
    X(pool_k4, "pool-k4")                                                                          \
    X(sep3_k1, "sep3-k1")                                                                          \
    X(three_ops, "three-ops")                                                                      \
    X(darts, "darts")                                                                              \
    X(pc_darts, "pc-darts")                                                                        \
    X(nb201_search, "nb201-search")                                                                \
    X(found_darts_v2, "found-darts-v2")                                                            \
    X(found_all_kinds, "found-all-kinds")                                                          \
    X(found_aux, "found-aux")                                                                      \
    X(nb201_found, "nb201-found")                                                                  \
    X(train_sgd, "train-sgd")                                                                      \
    X(train_adam, "train-adam")                                                                    \
    X(train_nesterov, "train-nesterov")                                                            \
    X(train_nb201, "train-nb201")

oracle_case *oracle_build(ftso_arena *arena, const char *name);
/* The stored tensors PREFIX/<weight name> put together in our flat order; every weight must be there. */
double *oracle_gather(ftso_arena *arena, const oracle_case *c, const char *prefix);
/* The same for running statistics. */
double *oracle_gather_running(ftso_arena *arena, const oracle_case *c, const char *prefix);
/* 1/(1 - beta^t), as the step wants it. */
double oracle_correction(double beta, int64_t t);

#endif
