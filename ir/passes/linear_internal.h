/*
 * What the two halves of linear folding share: forms of image values (linear.c), and reductions over them (linear_dot.c).
 */
#ifndef FTSO_LINEAR_INTERNAL_H
#define FTSO_LINEAR_INTERNAL_H

#include "ir/passes/passes_internal.h"

/* One shuffle, slice or embed (a node of the graph read), applied after `inner`. */
typedef struct ftso_link {
    const ftso_node *node;
    const struct ftso_link *inner;
} ftso_link;

/* factor * chain(root). The factor is a scalar of the new graph, FTSO_NO_VALUE for 1; the root a value of the old one. */
typedef struct ftso_term {
    ftso_value factor, root;
    const ftso_link *chain;
} ftso_term;

/* The terms of an add; count 0 for every other value. */
typedef struct ftso_form {
    ftso_term *terms;
    size_t count;
} ftso_form;

/*
 * An inner product that some `dot` asks for as such, of roots of the graph read behind what is left of their chains when the
 * outermost shuffles are moved to y, as one of this power.
 */
typedef struct ftso_pair {
    ftso_value u, y;
    const ftso_link *u_chain, *y_chain;
    int64_t power;
} ftso_pair;

typedef struct ftso_pairs {
    ftso_arena *arena;
    ftso_pair *items;
    size_t count, capacity;
} ftso_pairs;

typedef struct ftso_linear {
    ftso_rebuild r;
    ftso_form *forms;
    ftso_pairs *pairs;
    bool collect; /* the run that fills `pairs` */
} ftso_linear;

/* The value as one term, scalings and links taken off; sums stay roots. */
ftso_term ftso_linear_peel(ftso_linear *linear, ftso_value value);
/* chain(root) in the new graph. */
ftso_value ftso_linear_term_value(ftso_linear *linear, const ftso_term *term);
ftso_value ftso_linear_apply(ftso_folder *folder, const ftso_link *chain, ftso_value x);
const ftso_link *ftso_linear_join(ftso_linear *linear, const ftso_link *outer,
                                  const ftso_link *inner);
/* x times a scalar, or x when the factor is FTSO_NO_VALUE. */
ftso_value ftso_linear_times(ftso_folder *folder, ftso_value x, ftso_value factor);
/* dot, channel_dot and channel_sum over folded values; FTSO_NO_VALUE for other nodes and where nothing is gained. */
ftso_value ftso_linear_reduce(ftso_linear *linear, const ftso_node *node);

#endif
