/*
 * What the passes share: the folder, through which every pass appends nodes, and the frame of a rebuilding pass.
 * A folder merges common subexpressions and applies the rules of rules.c to each node before it is appended, so that a
 * pass never has to think of identities.
 */
#ifndef FTSO_PASSES_INTERNAL_H
#define FTSO_PASSES_INTERNAL_H

#include "ir/ir.h"

typedef struct ftso_folder {
    ftso_graph *graph;  /* appended to */
    ftso_arena scratch; /* table and temporary lists, freed with the folder */
    ftso_value *slots;  /* open addressing; FTSO_NO_VALUE: free */
    size_t slot_count, used;
    bool plain; /* merge only, no rules: for what must stay as it is */
} ftso_folder;

void ftso_folder_init(ftso_folder *folder, ftso_graph *graph);
void ftso_folder_deinit(ftso_folder *folder);
/* The value of such a node: an equal one that is there already, what a rule makes of it, or a new node. */
ftso_value ftso_fold(ftso_folder *folder, const ftso_op *op, const ftso_value *inputs,
                     size_t input_count, const ftso_attr_value *attrs);
/* The value of such a node (attributes at their fallback) if the graph has it, else FTSO_NO_VALUE. */
ftso_value ftso_fold_find(ftso_folder *folder, const ftso_op *op, const ftso_value *inputs,
                          size_t input_count);
/* Short forms. `attrs` in the order of op->attrs, all of them, or NULL where there are none. */
ftso_value ftso_fold_named(ftso_folder *folder, const char *op_name, const ftso_value *inputs,
                           size_t input_count, const ftso_attr_value *attrs);
ftso_value ftso_fold_unary(ftso_folder *folder, const char *op_name, ftso_value a);
ftso_value ftso_fold_binary(ftso_folder *folder, const char *op_name, ftso_value a, ftso_value b);
/* n-ary add; one term: the term itself. */
ftso_value ftso_fold_sum(ftso_folder *folder, const ftso_value *terms, size_t count);
ftso_value ftso_fold_constant(ftso_folder *folder, ftso_shape shape, double number);
ftso_value ftso_fold_slice(ftso_folder *folder, ftso_value x, int64_t begin, int64_t end);
/* `power` may be anything; it counts modulo the order. */
ftso_value ftso_fold_shuffle(ftso_folder *folder, ftso_value x, int64_t groups, int64_t power);

bool ftso_is_shuffled_image(const ftso_node *node);
/* Whether shuffle `b` shuffles like `times` times shuffle `a`; -1 times: like `a` undone. */
bool ftso_is_shuffle_power(const ftso_node *a, const ftso_node *b, int64_t times);

/* True for `constant`; its number in `*out` (may be NULL). */
bool ftso_is_constant(const ftso_graph *graph, ftso_value value, double *out);
bool ftso_is_number(const ftso_graph *graph, ftso_value value, double number);
/* Channels of an image, elements of a vector. */
int64_t ftso_channel_count(ftso_shape shape);

/*
 * rules.c: what becomes of a node about to be appended (operands in folder->graph, shape known), or FTSO_NO_VALUE.
 * Every rule gives something with fewer or simpler nodes, so that folding ends.
 */
ftso_value ftso_rules_apply(ftso_folder *folder, const ftso_node *node);

/* ---------------------------------------------------------------- rebuilding passes */

typedef struct ftso_rebuild {
    const ftso_graph *in;
    ftso_folder folder;
    ftso_value *map;   /* value of `in` to value of folder.graph */
    bool *live;        /* needed by an output; inputs and states always */
    size_t *use_count; /* by live nodes and outputs */
} ftso_rebuild;

void ftso_rebuild_begin(ftso_rebuild *rebuild, const ftso_graph *in, ftso_graph *out);
/* New operands of a node of `in`, in the folder's scratch. */
ftso_value *ftso_rebuild_operands(ftso_rebuild *rebuild, const ftso_node *node);
/* The node on its new operands, through the folder. */
ftso_value ftso_rebuild_node(ftso_rebuild *rebuild, const ftso_node *node);
/* Appends the outputs and frees what the rebuild held. */
void ftso_rebuild_end(ftso_rebuild *rebuild);

/* One per pass; the rows are in passes.c. */
ftso_status ftso_pass_simplify(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_split_bn(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_fold_shift(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_linear(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_concat(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_merge(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_shuffle_sum(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_shuffle_dot(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_global_pool(const ftso_graph *in, ftso_graph *out);
ftso_status ftso_pass_place(const ftso_graph *in, ftso_graph *out);

#endif
