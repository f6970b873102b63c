/*
 * Space, Cell and Recipe: the records that the language fills, search reads and lowering turns into graphs.
 *
 * In: nothing. Out: plain data in an arena; names are resolved, arithmetic is still symbolic in the parameters
 * (C channels, s stride, K, classes …) because a composite is instantiated at many sizes.
 * Must hold: C code knows primitives only. Composite operators, pre-processing of a cell's inputs, partial channels, stems
 * and heads are all ftso_opexpr trees written in the language.
 */
#ifndef FTSO_IR_SPACE_H
#define FTSO_IR_SPACE_H

#include "ir/ir.h"

/* ---------------------------------------------------------------- arithmetic and operator expressions */

typedef enum ftso_arith_kind {
    FTSO_ARITH_NUMBER, /* exact rational num/den where den != 0; `value` always */
    FTSO_ARITH_NAME,   /* a parameter in scope */
    FTSO_ARITH_NEG,
    FTSO_ARITH_NOT,
    FTSO_ARITH_ADD,
    FTSO_ARITH_SUB,
    FTSO_ARITH_MUL,
    FTSO_ARITH_DIV,
    FTSO_ARITH_EQ,
    FTSO_ARITH_NE,
    FTSO_ARITH_LT,
    FTSO_ARITH_LE,
    FTSO_ARITH_GT,
    FTSO_ARITH_GE,
    FTSO_ARITH_AND,
    FTSO_ARITH_OR,
    FTSO_ARITH_SELECT /* a ? b : c */
} ftso_arith_kind;

typedef struct ftso_arith {
    ftso_arith_kind kind;
    ftso_span span;
    int64_t num, den;
    double value;
    const char *name;
    const struct ftso_arith *a, *b, *c;
} ftso_arith;

typedef struct ftso_arg {
    const char *
        name; /* resolved: never NULL after sema, positional arguments have taken their parameter's name */
    const ftso_arith *value;
    ftso_span span;
} ftso_arg;

typedef enum ftso_opexpr_kind {
    FTSO_OPEXPR_PRIMITIVE, /* conv(C, k=3): `name` is a primitive of the language (ir/lower.c maps it onto graph nodes) */
    FTSO_OPEXPR_COMPOSITE,  /* sep_conv(C, s, k=3): `composite` is declared in the file */
    FTSO_OPEXPR_CANDIDATES, /* candidates(C, s): the edge's mixture over the opset in a super-net, its one operator in a network */
    FTSO_OPEXPR_CHAIN,      /* a -> b -> c */
    FTSO_OPEXPR_BRANCHES, /* [ a | b ]: several values; the next link must join them (sum, concat) */
    FTSO_OPEXPR_SELECT,   /* cond ? a : b */
    FTSO_OPEXPR_MODE /* in supernet { a } / in network { a }: a in that mode, identity in the other */
} ftso_opexpr_kind;

typedef enum ftso_mode { FTSO_SUPERNET, FTSO_NETWORK } ftso_mode;

typedef struct ftso_opexpr {
    ftso_opexpr_kind kind;
    ftso_span span;
    const char *name;
    const struct ftso_operator *composite;
    ftso_arg *args;
    size_t arg_count;
    struct ftso_opexpr **children; /* CHAIN, BRANCHES; SELECT: two; MODE: one */
    size_t child_count;
    const ftso_arith *condition;
    ftso_mode mode;
} ftso_opexpr;

typedef struct ftso_param {
    const char *name;
    const ftso_arith *fallback; /* NULL: must be given */
    ftso_span span;
} ftso_param;

/* op sep_conv(C, s, k) = …;  On an edge an operator is given C and s by name; its other parameters have a fallback. */
typedef struct ftso_operator {
    const char *name;
    ftso_param *params;
    size_t param_count;
    ftso_opexpr *body;
    ftso_span span;
} ftso_operator;

typedef struct ftso_opset {
    const char *name;
    const ftso_operator **operators; /* the order is the index order of alphas and of genotypes */
    size_t operator_count;
    ftso_span span;
} ftso_opset;

/* ---------------------------------------------------------------- space */

typedef enum ftso_join { FTSO_JOIN_CONCAT, FTSO_JOIN_SUM, FTSO_JOIN_LAST } ftso_join;

/*
 * A searched cell: state ids 0..input_count-1 are its inputs (0 the oldest), then the nodes. edges[j] lists, for node j,
 * the source state ids. A fixed cell has `body` instead (a residual block). `channels` and the map's side come from the stack.
 */
typedef struct ftso_cell_decl {
    const char *name; /* "normal", "reduce": also the key of its genotype */
    ftso_span span;
    int input_count, node_count;
    bool *edge_present; /* [node_count][input_count + node_count - 1] row-major */
    int keep;           /* edges kept per node by the topology phase; 0: all */
    int input_stride;   /* stride of edges whose source is a cell input; 1 or 2 */
    ftso_join output;   /* of the nodes; CONCAT over a genotype's concat list where it has one */
    const ftso_opexpr *
        preprocess; /* per cell input; scope C, s: s is 2 where that input's map is twice as wide */
    const ftso_opexpr
        *edge; /* in a super-net, scope C, s; contains candidates(…). NULL: candidates(C, s) */
    const ftso_opexpr *body; /* fixed cell; scope C, s */
} ftso_cell_decl;

/* One place in the stack: which cell, and the channels per node there as a multiple of the base width. */
typedef struct ftso_stack_item {
    const ftso_cell_decl *cell;
    int64_t widen; /* C = channels * widen */
    ftso_span span;
} ftso_stack_item;

/* The stack as written: an explicit order, or `layers` normal cells of which those at the given fractions are reductions. */
typedef struct ftso_stack {
    int64_t layers, channels;
    int64_t widen;                         /* factor at each reduction */
    const ftso_cell_decl *normal, *reduce; /* the two kinds of a counted stack */
    int64_t reduce_num[8], reduce_den[8];  /* at floor(layers * num / den) */
    size_t reduce_count;
    ftso_stack_item *order; /* an explicit order, or NULL */
    size_t order_count;
} ftso_stack;

/* bn(affine = false) in cells, conv(bias = true) in cells …: an argument's default in one mode, inside cells or everywhere. */
typedef struct ftso_default {
    ftso_mode mode;
    bool cells_only;
    const char *primitive, *arg;
    const ftso_arith *value;
    ftso_span span;
} ftso_default;

typedef struct ftso_space {
    const char *name;
    ftso_span span;
    const ftso_opset *ops;
    ftso_cell_decl **cells;
    size_t cell_count;
    const ftso_opexpr **
        stems; /* each reads the one before; the last `input_count` of them are the first cell's inputs,
                                  the last one repeated where there are too few */
    size_t stem_count;
    ftso_stack network, supernet; /* the found network's, the search's */
    const ftso_opexpr *head;      /* scope classes; ends in [N, classes, 1, 1] */
    const ftso_opexpr *aux_head;  /* or NULL; scope classes */
    int64_t aux_num, aux_den;     /* after cell floor(layers * num / den) */
    double aux_weight;
    int64_t image_channels, image_side,
        classes; /* of the data the space is written for; a dataset overrides them */
    ftso_default *defaults;
    size_t default_count;
    ftso_arg *constants; /* let K = 4: names in scope everywhere in the space */
    size_t constant_count;
} ftso_space;

/* ---------------------------------------------------------------- cells (genotypes) */

typedef struct ftso_cell_edge {
    int from; /* state id */
    const ftso_operator *op;
    double beta; /* weight that chose it, NAN where there was none */
} ftso_cell_edge;

/* Edges of node j are edges[node_start[j] .. node_start[j+1]), in the order they were listed. */
typedef struct ftso_cell {
    const ftso_cell_decl *decl;
    ftso_cell_edge *edges;
    size_t edge_count;
    int node_count;
    int *node_start;
    int *concat; /* state ids that form the output */
    size_t concat_count;
} ftso_cell;

typedef struct ftso_genotype {
    const char *name;
    const ftso_space *space; /* the one it was declared for or found in */
    ftso_cell *cells;        /* one per searched cell of the space, in its order */
    size_t cell_count;
    ftso_span span;
} ftso_genotype;

/* ---------------------------------------------------------------- recipes */

typedef enum ftso_schedule_kind {
    FTSO_LR_CONSTANT,
    FTSO_LR_COSINE,
    FTSO_LR_LINEAR,
    FTSO_LR_EXPONENTIAL
} ftso_schedule_kind;

typedef struct ftso_lr {
    ftso_schedule_kind kind;
    double first, last; /* EXPONENTIAL: last is the factor per epoch */
    int64_t warmup;     /* epoch e of the first `warmup` takes first * (e + 1) / warmup instead */
    int64_t
        tail; /* LINEAR over E epochs: reaches its end at E - tail, then first * (E - e) / ((E - tail) * tail) */
} ftso_lr;

typedef enum ftso_optimizer_kind { FTSO_SGD, FTSO_ADAM } ftso_optimizer_kind;

typedef struct ftso_optimizer {
    ftso_optimizer_kind kind;
    ftso_lr lr;
    double momentum, weight_decay, clip; /* clip 0: none */
    bool nesterov;
    double beta1, beta2, eps;
    ftso_span span;
} ftso_optimizer;

typedef struct ftso_dataset {
    const char *name;
    const char *
        kind; /* "cifar10", "cifar100", "idx", "imagefolder", "npy": a row of the runtime's reader table */
    ftso_span kind_span;
    const char *path; /* as written */
    int64_t channels, side, classes;
    const char *
        *class_names; /* `classes` of them, in the order of their labels; NULL: not written */
    double mean[4], std[4];
    ftso_transform train, test; /* the steps as written; `test` has no chance in it */
    int64_t train_images,
        test_images; /* as written, 0 where not: lets `check` see a batch larger than the data */
    ftso_span span;
} ftso_dataset;

typedef enum ftso_budget_unit { FTSO_ITERATIONS, FTSO_EPOCHS } ftso_budget_unit;
typedef enum ftso_normalize { FTSO_NORMALIZE_SOFTMAX, FTSO_NORMALIZE_RAW } ftso_normalize;

typedef struct ftso_search {
    const char *name;
    ftso_span span;
    const ftso_space *space;
    const ftso_dataset *dataset;
    const char *method; /* "ftso", "random": a row of search's table */
    ftso_span method_span;
    ftso_arg *parameters; /* K = 1 …: overrides of the space's constants */
    size_t parameter_count;
    const ftso_opset
        *topology_ops; /* operators on each edge in the topology phase (one: skip_connect) */
    int64_t budget;
    ftso_budget_unit budget_unit;
    int64_t
        schedule_epochs; /* length that the learning-rate schedule is stretched over; 0: the budget */
    int64_t freeze_epochs; /* first epochs without steps of the edge weights */
    ftso_normalize normalize;
    double init_std;              /* of the normal initial betas; default 1e-3 */
    const ftso_operator *replace; /* the replace strategy's operator */
    double train_portion;         /* 0.5 */
    int64_t batch;
    ftso_optimizer weights, arch;
    bool augment_valid; /* the validation half is augmented too (default, as DARTS) */
    uint64_t *seeds;
    size_t seed_count;
    ftso_element precision;    /* of the super-net's images between regions */
    bool select_best;          /* best(val_loss), else first */
    const ftso_arith *require; /* of the found network: truth about `params` and `macs`, or NULL */
} ftso_search;

typedef struct ftso_train {
    const char *name;
    ftso_span span;
    const ftso_space *space;
    ftso_arg *parameters; /* overrides of the space's constants */
    size_t parameter_count;
    const ftso_genotype *cell; /* or NULL: from the command line */
    const ftso_dataset *dataset;
    int64_t layers, channels; /* of the trained network; 0: the space's */
    int64_t epochs, batch;
    double drop_path, aux_weight, label_smoothing;
    ftso_optimizer optimizer;
    uint64_t seed;
    ftso_element precision; /* of images between regions */
    int64_t
        checkpoint_steps; /* checkpoints every so many steps beside those after each epoch; 0: none */
    int64_t checkpoint_keep;   /* how many stay */
    const ftso_arith *require; /* truth about `params` and `macs`, or NULL */
} ftso_train;

/* All that one space file (with its includes) declares. Owned by the arena that it was read into. */
typedef struct ftso_unit {
    ftso_operator **operators;
    size_t operator_count, operator_capacity;
    ftso_opset **opsets;
    size_t opset_count, opset_capacity;
    ftso_space **spaces;
    size_t space_count, space_capacity;
    ftso_genotype **genotypes;
    size_t genotype_count, genotype_capacity;
    ftso_dataset **datasets;
    size_t dataset_count, dataset_capacity;
    ftso_search **searches;
    size_t search_count, search_capacity;
    ftso_train **trains;
    size_t train_count, train_capacity;
} ftso_unit;

/* ---------------------------------------------------------------- lowering: records to graphs */

/*
 * The language's primitives and how each becomes graph nodes: name, parameters (for sema), expansion. One row each in
 * ir/lower/primitives.c.
 */
typedef struct ftso_primitive_param {
    const char *name;
    double fallback; /* NAN: must be given */
    double lowest, highest;
    bool integral;
    const char *doc;
} ftso_primitive_param;

enum { FTSO_MAX_PRIMITIVE_PARAMS = 8 };
typedef struct ftso_builder ftso_builder; /* ir/lower/lower_internal.h */

typedef struct ftso_primitive {
    const char *
        name; /* conv, dwconv, linear, relu, bn, maxpool, avgpool, global_avgpool, identity, zero, shift, slice, shuffle, sum, concat */
    const char *doc;
    bool joins; /* takes several values: sum, concat */
    ftso_primitive_param params[FTSO_MAX_PRIMITIVE_PARAMS];
    int param_count;
    /* Appends nodes. `args` in the order of params. Returns the value, or FTSO_NO_VALUE with a sentence in `why`. */
    ftso_value (*lower)(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                        const double *args, ftso_text *why);
} ftso_primitive;

const ftso_primitive *ftso_primitive_find(const char *name);
const ftso_primitive *ftso_primitive_rows(size_t *out_count);

/* One trainable tensor of a lowered network: a view into the flat `weights` state. */
typedef struct ftso_weight {
    const char *name; /* "stem.0.weight", "cells.3.edge.2-0.1.weight": stable */
    const char *
        module; /* the same in code written for DARTS: "cells.3._ops.1.op.1.weight" (ir/lower/modules.c) */
    bool is_matrix; /* of a linear layer: [outputs, inputs] there */
    ftso_shape shape;
    int64_t offset; /* elements into the flat weight state */
    int64_t fan_in; /* 0: not a kernel */
    double fill;    /* initial value where fan_in is 0 (bn gamma 1, beta 0) */
    ftso_value view;
} ftso_weight;

/* Where each searched cell kind's edge weights lie in the flat `arch` state. */
typedef struct ftso_arch_slice {
    const ftso_cell_decl *cell;
    int64_t beta_offset, edge_count;
    int64_t alpha_offset, op_count; /* alphas: edge_count x op_count; op_count 1: none are made */
    int *edge_node,
        *edge_from; /* state ids that edge e joins; edges of a node lie together, by ascending source */
} ftso_arch_slice;

/* A network as a graph: forward pass, logits and loss. Further outputs are appended by search and training. */
typedef struct ftso_network {
    ftso_graph *graph;
    ftso_value image, label;  /* inputs */
    ftso_value weights, arch; /* flat states; arch FTSO_NO_VALUE in a found network */
    ftso_value logits, aux_logits, loss;
    ftso_weight *weight_table;
    size_t weight_count, weight_capacity;
    int64_t weight_total, arch_total;
    /*
     * Running statistics of batch norm (options `inference` or `running`): a flat state "running", fan_in 0, `fill` its start;
     * FTSO_NO_VALUE where there are none. With `running` it is an output too: every run moves it by a tenth.
     */
    ftso_value running;
    ftso_weight *running_table;
    size_t running_count, running_capacity;
    int64_t running_total;
    ftso_arch_slice *arch_slices; /* one per searched cell of the space, in its order */
    size_t arch_slice_count;
    ftso_value
        drop_path; /* input "drop_path" [N, drop_count, 1, 1], or FTSO_NO_VALUE: nothing can be dropped */
    int64_t drop_count; /* edges that can be dropped */
} ftso_network;

typedef struct ftso_lower_options {
    int64_t batch;
    int64_t image_channels, image_side, classes; /* 0: the space's */
    int64_t layers, channels;                    /* 0: the stack's */
    const ftso_opset *ops; /* candidates on every edge of a super-net; NULL: the space's opset */
    const ftso_arg *parameters; /* overrides of the space's constants */
    size_t parameter_count;
    ftso_normalize normalize;
    bool edge_weights; /* betas exist (FTSO, PC-DARTS); false: plain sums (DARTS) */
    bool inference;    /* batch norm uses running statistics; no loss */
    bool running;      /* training form: keeps running statistics */
    bool
        drop_path; /* a found network: each edge's result times its image's number in the input "drop_path" */
    bool
        aux; /* with the auxiliary head; in the inference form its tensors alone, so that tables agree */
    double aux_weight; /* of its loss; 0: the space's */
    double label_smoothing;
    ftso_element storage;       /* of images between regions: the graph's */
    const ftso_genotype *prune; /* a super-net on these edges only, or NULL */
} ftso_lower_options;

/* Super-net of `space`, or the found network of `genotype`. What cannot be built is the user's error: told in `diag`, NULL then. */
ftso_network *ftso_lower_supernet(ftso_arena *arena, ftso_diag *diag, const ftso_space *space,
                                  const ftso_lower_options *options);
ftso_network *ftso_lower_network(ftso_arena *arena, ftso_diag *diag, const ftso_space *space,
                                 const ftso_genotype *genotype, const ftso_lower_options *options);

/*
 * How `train` wants a found network lowered: its batch, size, data set's images, parameters of the space. For training:
 * with running statistics, its drop path, auxiliary head and label smoothing (then ftso_lower_step with train->optimizer);
 * with `inference`: the form that is judged and shipped. Both have the same tables of weights and of running statistics.
 */
ftso_lower_options ftso_train_lower_options(const ftso_train *train, bool inference);

/*
 * Appends one optimiser step to a network's graph: the gradient of the loss with respect to `weights` (or `arch`), clipping,
 * the update, and the state outputs. Learning rate, and Adam's 1/(1-beta^t) factors, are scalar inputs named
 * "<state>.lr", "<state>.adam1", "<state>.adam2" so that a schedule changes no code.
 * Moments are states named "<state>.momentum", "<state>.m", "<state>.v". Returns the gradient's value.
 */
ftso_value ftso_lower_step(ftso_network *network, const ftso_optimizer *optimizer, bool of_arch);

/* ---------------------------------------------------------------- values of arithmetic expressions (ir/lower/arith.c) */

/* A number of the language: num / den exactly where den > 0, `value` always; den 0 where no 64-bit fraction holds it. */
typedef struct ftso_number {
    int64_t num, den;
    double value;
} ftso_number;

ftso_number ftso_number_whole(int64_t value);
/* Sets `*out` to what `name` stands for, or returns false where it is not in scope. */
typedef bool (*ftso_name_lookup)(const void *user, const char *name, ftso_number *out);
/* Value of `arith`; truth is 1 or 0. False with a sentence in `why` (unknown name, division by zero); then `*out_culprit` is its place. */
bool ftso_arith_eval(const ftso_arith *arith, ftso_name_lookup lookup, const void *user,
                     ftso_number *out, const ftso_arith **out_culprit, ftso_text *why);

/* ---------------------------------------------------------------- counts (ir/lower/count.c, ir/lower/size.c) */

/* What a network weighs: trainable numbers, architecture scalars, multiply-adds of convolutions and linear layers per image. */
typedef struct ftso_counts {
    int64_t parameters, arch_scalars, macs;
} ftso_counts;
/* Of a network as lowered, before a step is appended (gradients have multiply-adds too). Saturates. */
ftso_counts ftso_network_count(const ftso_network *network);

/*
 * Whether a found network is as small as `require` (NULL: it is) wants it: counted without the auxiliary head, as `options`
 * would lower it. E0511 in `diag` names the part that does not hold and the counts; what cannot be built is told too.
 */
bool ftso_network_require(ftso_arena *arena, ftso_diag *diag, const ftso_arith *require,
                          const ftso_space *space, const ftso_genotype *genotype,
                          const ftso_lower_options *options);

/* How many cells a space holds, exactly, in decimal digits. */
typedef struct ftso_space_size {
    int64_t edges;          /* of all searched cells */
    const char *topologies; /* choices of kept edges */
    const char *genotypes;  /* times choices of operators on them */
} ftso_space_size;
/*
 * Cells are chosen independently. Where all edges are kept every operator counts, zeros too (an edge may vanish); where a
 * node keeps some of its edges, the kept ones carry something, so operators that make zeros alone do not count (DARTS).
 */
ftso_space_size ftso_space_measure(ftso_arena *arena, const ftso_space *space);
/* True where the operator is nothing but the primitive zero, whatever it is called. */
bool ftso_operator_is_zero(const ftso_operator *op);

/*
 * Theorems 1 and 2 of the FTSO paper: what the edges of a cell with n nodes (inputs and the output counted) cost when each
 * carries p convolutions of side k from Ci to Co channels (DARTS), and when each carries one weight (FTSO). Co maps of Ho x Wo,
 * Ci maps of Hi x Wi.
 */
typedef struct ftso_theorem {
    int64_t n, edges, p, k, in_channels, out_channels, in_side, out_side;
    double darts_parameters, darts_flops, ftso_parameters, ftso_flops;
    double parameter_ratio, flop_ratio; /* FTSO / DARTS */
} ftso_theorem;
/* n and p from a space and its first searched cell; k, channels (Ci = Co) and side (Hi = Ho) as given. */
ftso_theorem ftso_theorem_of(const ftso_space *space, int64_t k, int64_t channels, int64_t side);

#endif
