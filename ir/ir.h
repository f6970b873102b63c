/*
 * ir: the records that everything between the language and the machine code is made of.
 *
 * In: a Space, a Cell, a Recipe (filled by frontend/ and search/). Out: Graphs, and their Regions (region.h part below).
 * Must hold: a graph is SSA in topological order (operands before users), every shape is static, every node is one
 * primitive operator of the table that was handed in; nothing here knows a space, a cell or a composite by name, and
 * nothing assumes that a value is an image.
 * Start reading at ftso_node, then at one operator file in ir/ops/.
 */
#ifndef FTSO_IR_H
#define FTSO_IR_H

#include "base/base.h"

/* ---------------------------------------------------------------- shapes */

enum { FTSO_MAX_RANK = 4 };

/*
 * Rank 0: a scalar. Rank 1: a vector [n] (per-channel numbers, a flat parameter store, edge weights).
 * Rank 4: [N, C, H, W] where N is the batch when `batched`, else a plain dimension (weights: [O, I, kh, kw]).
 * Rank 1 batched: [N], one number per image (labels, drop-path masks).
 * The batch is the one dimension that may be smaller at run time: a graph is planned for dim[0] = N and runs any 1 <= n <= N.
 */
typedef struct ftso_shape {
    uint8_t rank;
    bool batched;
    int64_t dim[FTSO_MAX_RANK];
} ftso_shape;

ftso_shape ftso_shape_scalar(void);
ftso_shape ftso_shape_vector(int64_t n);
ftso_shape ftso_shape_image(int64_t n, int64_t c, int64_t h, int64_t w); /* batched */
ftso_shape ftso_shape_weight(int64_t o, int64_t i, int64_t kh, int64_t kw);
bool ftso_shape_equal(ftso_shape a, ftso_shape b);
/* Number of elements; the caller has checked that it fits (ftso_graph_verify does). */
int64_t ftso_shape_count(ftso_shape shape);
/* "[N=256, 16, 32, 32]", "[28]", "[]". */
void ftso_shape_print(ftso_shape shape, ftso_text *out);

/* ---------------------------------------------------------------- numbers in memory */

/* What an image's numbers are between regions. Arithmetic is float32 or wider whatever they are. */
typedef enum ftso_element { FTSO_ELEMENT_FP32, FTSO_ELEMENT_BF16 } ftso_element;

/* "fp32", "bf16": the words of the language. */
const char *ftso_element_name(ftso_element element);
/* Those words, in the order of the enumeration. */
const char *const *ftso_element_names(size_t *out_count);
int64_t ftso_element_bytes(ftso_element element);
/* `number` as an element of that kind holds it: to nearest, ties to even. Of fp32 that is float32. */
double ftso_element_round(ftso_element element, double number);

/* ---------------------------------------------------------------- graph */

/* The number of the node that makes it: every node makes exactly one value. */
typedef uint32_t ftso_value;
#define FTSO_NO_VALUE UINT32_MAX

enum { FTSO_MAX_ATTRS = 8 };

typedef enum ftso_attr_kind { FTSO_ATTR_INT, FTSO_ATTR_REAL, FTSO_ATTR_NAME } ftso_attr_kind;

typedef union ftso_attr_value {
    int64_t i;
    double r;
    const char *name; /* lives as long as the graph */
} ftso_attr_value;

typedef struct ftso_attr_spec {
    const char *name;
    ftso_attr_kind kind;
    ftso_attr_value fallback; /* the value printed as nothing */
    const char *doc;
} ftso_attr_spec;

typedef struct ftso_op ftso_op;

/* Where a node comes from: for messages, for `#line`, for per-operator tables. All may be empty. */
typedef struct ftso_origin {
    ftso_span span;   /* the place in the space file */
    const char *path; /* "cells.3.edge.2-0", stable; weights take their names from it */
} ftso_origin;

typedef struct ftso_node {
    const ftso_op *op;
    uint32_t input_count;
    ftso_value *inputs;
    ftso_attr_value attrs[FTSO_MAX_ATTRS]; /* as op->attrs names them */
    ftso_shape shape;
    ftso_origin origin;
} ftso_node;

/* A result that the runner keeps. With `state` set the value becomes that state's content after the run. */
typedef struct ftso_output {
    const char *name;
    ftso_value value;
    ftso_value state; /* a `state` node, or FTSO_NO_VALUE */
} ftso_output;

/* Open record; owned by `arena`. Nodes are only ever appended, or rebuilt whole by a pass into a fresh graph. */
typedef struct ftso_graph {
    ftso_arena *arena;
    const struct ftso_op_table *ops;
    ftso_node *nodes;
    size_t node_count, node_capacity;
    ftso_output *outputs;
    size_t output_count, output_capacity;
    ftso_origin origin; /* given to nodes appended from here on */
    /* How a schedule keeps the images that it stores between regions (ftso_schedule.elements); passes hand it on. */
    ftso_element storage;
} ftso_graph;

void ftso_graph_init(ftso_graph *graph, ftso_arena *arena, const struct ftso_op_table *ops);

/*
 * Appends a node. `attrs` are in the order of op->attrs, missing ones (attr_count smaller) take their fallback.
 * The shape comes from the operator's shape rule; a rule that refuses is a bug of the caller (asserts): user-facing code
 * asks ftso_op_shape first.
 */
ftso_value ftso_graph_add(ftso_graph *graph, const char *op_name, const ftso_value *inputs,
                          size_t input_count, const ftso_attr_value *attrs, size_t attr_count);
/* Leaves with a shape of their own: `input` (given at each run), `state` (kept between runs). Names are unique. */
ftso_value ftso_graph_input(ftso_graph *graph, const char *name, ftso_shape shape);
ftso_value ftso_graph_state(ftso_graph *graph, const char *name, ftso_shape shape);
/* The same number in every element. */
ftso_value ftso_graph_constant(ftso_graph *graph, ftso_shape shape, double value);
void ftso_graph_output(ftso_graph *graph, const char *name, ftso_value value, ftso_value state);
const ftso_node *ftso_graph_node(const ftso_graph *graph, ftso_value value);
ftso_shape ftso_graph_shape(const ftso_graph *graph, ftso_value value);
/* Appends a node like `node` (operator, attributes, origin; leaves too) on other inputs: what a rebuilding pass needs. */
ftso_value ftso_graph_copy(ftso_graph *graph, const ftso_node *node, const ftso_value *inputs);
/* The input or state of that name, or FTSO_NO_VALUE. */
ftso_value ftso_graph_find(const ftso_graph *graph, const char *name);

/* Short forms for the operators that lowering, gradients and rewrites use most. */
#define FTSO_I(value) ((ftso_attr_value){.i = (value)})
#define FTSO_R(value) ((ftso_attr_value){.r = (value)})
ftso_value ftso_graph_unary(ftso_graph *graph, const char *op_name, ftso_value a);
ftso_value ftso_graph_binary(ftso_graph *graph, const char *op_name, ftso_value a, ftso_value b);
/* One term: the term itself. */
ftso_value ftso_graph_sum(ftso_graph *graph, const ftso_value *terms, size_t count);
/* Elements [offset, offset + count of shape) of an unbatched value, under `shape`. */
ftso_value ftso_graph_view(ftso_graph *graph, ftso_value base, int64_t offset, ftso_shape shape);
/* x times a literal: scale(x, constant). */
ftso_value ftso_graph_times(ftso_graph *graph, ftso_value x, double factor);
/*
 * Batch statistics of an image as batch norm needs them, the one spelling that gradient and split-bn share so that common
 * subexpressions merge: mean = channel_sum(x) * mean_scale, var = channel_dot(x, x) * mean_scale - mean^2,
 * rstd = rsqrt(var; eps). Any out pointer may be NULL.
 */
void ftso_graph_statistics(ftso_graph *graph, ftso_value x, double eps, ftso_value *out_mean,
                           ftso_value *out_var, ftso_value *out_rstd);
/*
 * What x is before per-channel numbers were added to it (a bias). Batch norm takes them away again with the mean, so it and
 * its gradient work on this value: the variance E[x^2] - mean^2 of a shifted value would lose digits.
 */
ftso_value ftso_graph_unshifted(const ftso_graph *graph, ftso_value x);
/* The smallest batch this graph runs: 2 where a batch norm sees one pixel per image, else 1. */
int64_t ftso_graph_min_batch(const ftso_graph *graph);

/*
 * Text form: `storage bf16` where images are not kept as fp32, then one line a node, `%5 = conv(%3, %4) {stride=2, pad=1} : [N=256, 16, 32, 32]`, then `output "loss" %9` and
 * `output "w" %12 -> %1`. Print, parse, print gives the same bytes. Node i prints as %i; attributes at their fallback and
 * the shape attributes of FTSO_OP_SHAPED operators are left out; origins are not printed.
 */
void ftso_graph_print(const ftso_graph *graph, ftso_text *out);
/* Parses the text form; what is wrong goes to `diag` (source `file`), false then. */
bool ftso_graph_parse(ftso_graph *graph, ftso_diag *diag, uint32_t file);
/* Checks every invariant: order, arity, attributes in range, shapes as the rules give them, no overflow. Run after every pass.
 * A violation is a status of code FTSO_ERROR_INTERNAL that names node and rule. */
ftso_status FTSO_MUST_USE ftso_graph_verify(const ftso_graph *graph);

/*
 * Reverse mode: appends the gradient of scalar `loss` with respect to each of `wrt` and writes the values to out_gradients.
 * A `wrt` value that the loss does not depend on gets a constant of zeros. Gradients are ordinary nodes.
 */
void ftso_graph_gradient(ftso_graph *graph, ftso_value loss, const ftso_value *wrt,
                         size_t wrt_count, ftso_value *out_gradients);

/* ---------------------------------------------------------------- primitive operators */

/* How passes and emitters may treat an operator. */
typedef enum ftso_op_class {
    /* input, state, constant, mean_scale */
    FTSO_CLASS_LEAF,
    /* scalars and vectors only (rank <= 1, not batched): small serial arithmetic */
    FTSO_CLASS_ALGEBRA,
    /* Output pixel (n, ., h, w) depends on the inputs at (n, ., h, w) alone; vectors and scalars broadcast.
     * The same operator on rank <= 1 values counts as algebra (ftso_node_is_algebra). */
    FTSO_CLASS_POINTWISE,
    /* a core: contraction, depthwise, pool: reads a window of pixels of one image */
    FTSO_CLASS_WINDOW,
    /* [N, C, H, W] -> vector or scalar over batch and pixels, or a weight gradient */
    FTSO_CLASS_REDUCTION,
    /* whole image -> one pixel or back, per image (global pool, its gradient, loss) */
    FTSO_CLASS_IMAGE,
    /* the same numbers under another shape or place: view, pack, column */
    FTSO_CLASS_ALIAS
} ftso_op_class;

typedef enum ftso_op_flags {
    /* linear in its first input (and in all inputs, for add and concat) with the others fixed */
    FTSO_OP_LINEAR = 1,
    /* inputs may be swapped */
    FTSO_OP_COMMUTES = 2,
    /* not differentiable everywhere: relu, max pooling, min, max */
    FTSO_OP_KINKED = 4,
    /* not nameable in the language: made by lowering, gradients and passes only */
    FTSO_OP_INTERNAL = 8,
    /* attributes `rank`, (`batched`,) `d0`..`d3` are the output's shape; printed as that alone */
    FTSO_OP_SHAPED = 16
} ftso_op_flags;

/* Work of one node, for `count`, for bench and for cost models. `macs` are multiply-adds of contractions (conv, linear). */
typedef struct ftso_cost {
    int64_t flops, macs, bytes_read, bytes_written;
} ftso_cost;

/* A tensor of the reference interpreter: doubles, canonical order (N,C,H,W / O,I,kh,kw), dim[0] is the actual batch. */
typedef struct ftso_tensor {
    ftso_shape shape;
    double *data;
} ftso_tensor;

/*
 * What the interpreter hands to an operator's reference evaluation. `frozen` is NULL, or where kinked choices of the base
 * point are kept: the first run writes them, later runs (replay true) read them, so that a finite difference stays on one
 * smooth piece (ReLU masks, max-pool choices).
 */
typedef struct ftso_eval {
    const ftso_graph *graph;
    const ftso_node *node;
    const ftso_tensor *inputs;
    int64_t batch; /* actual n */
    /* As many entries as the largest of output and inputs has elements (relu: 0/1; max_pool: tap), or NULL. */
    int32_t *frozen;
    bool replay;
} ftso_eval;

struct ftso_op {
    const char *name;     /* the field's word, as in the language and in printed graphs */
    const char *doc;      /* one line: what comes out, in terms of what goes in */
    const char *operands; /* their names in order, as doc uses them: "dy, w[O, I, kh, kw]" */
    ftso_op_class op_class;
    unsigned flags;
    int min_inputs, max_inputs; /* max_inputs -1: any number */
    ftso_attr_spec attrs[FTSO_MAX_ATTRS];
    int attr_count;
    /* The output's shape, or false with a reason (a sentence for the user, e.g. "the side 7 is odd") in `why`. */
    bool (*shape)(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why);
    ftso_cost (*cost)(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out);
    /* Plain loops, double accumulation: the oracle. Writes every element of `out` (shape set, data allocated). */
    void (*eval)(const ftso_eval *eval, ftso_tensor *out);
    /*
     * Appends d loss / d input[i] for every i with wanted[i], given `dy` = d loss / d output, writes values to out[i]
     * (FTSO_NO_VALUE: no gradient flows). NULL: not differentiable (labels, gradients of gradients that nobody needs).
     */
    void (*gradient)(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out);
    /*
     * For an operator whose output is a run of its one input's elements: where the run starts. Such operators have no
     * `gradient`: what flows back through all runs of one value is collected by one `pack` or `stack`.
     */
    int64_t (*part_offset)(const ftso_attr_value *attrs);
    /* The smallest batch it can run, NULL: 1. */
    int64_t (*min_batch)(const ftso_shape *inputs, const ftso_attr_value *attrs);
    /* Relative L2 distance (float32 kernel from double reference) that a right kernel stays within, on inputs of order one. */
    double tolerance;
    /* The row of the kernel table that lowers it, or NULL: folded away before regions form. */
    const char *kernel_class;
};

typedef struct ftso_op_table {
    const ftso_op *const *rows;
    size_t count;
} ftso_op_table;

/* All primitives: the one list (ir/ops/ops.c). */
const ftso_op_table *ftso_primitives(void);
const ftso_op *ftso_op_find(const ftso_op_table *table, const char *name);
/* Arity, then the shape rule, then that the element count is below 2^40; false with a sentence in `why` (may be NULL). */
bool ftso_op_shape(const ftso_op *op, const ftso_shape *inputs, size_t input_count,
                   const ftso_attr_value *attrs, ftso_shape *out, ftso_text *why);
/* Applications of shuffle(groups) after which `channels` are in place again; powers count modulo this. */
int64_t ftso_shuffle_order(int64_t channels, int64_t groups);
/* Work of one node of the graph. */
ftso_cost ftso_node_cost(const ftso_graph *graph, ftso_value value);
/* Index of an attribute in op->attrs, or -1. */
int ftso_op_attr(const ftso_op *op, const char *attr_name);
int64_t ftso_node_int(const ftso_node *node, const char *attr_name); /* asserts that it exists */
double ftso_node_real(const ftso_node *node, const char *attr_name);
bool ftso_node_is(const ftso_node *node, const char *op_name);
/* True when the node is scalar or vector arithmetic whatever its class (pointwise on rank <= 1, unbatched). */
bool ftso_node_is_algebra(const ftso_node *node);

/* ---------------------------------------------------------------- reference interpreter */

/* Content of a leaf, for a run. The data is the caller's. */
typedef struct ftso_binding {
    ftso_value leaf;
    const double *data;
} ftso_binding;

typedef struct ftso_interp ftso_interp;
ftso_interp *ftso_interp_new(const ftso_graph *graph);
void ftso_interp_free(ftso_interp *interp);
/* Keep (then replay) kinked choices across runs, see ftso_eval. */
void ftso_interp_freeze(ftso_interp *interp, bool frozen);
/* Rounds every node's result to float32, as a compiled program stores it (for error studies); default false. */
void ftso_interp_round(ftso_interp *interp, bool to_float32);
/*
 * Disturbs what every operator makes by as much as its arithmetic in float32 may: each operation on a number's way rounds
 * once, by up to 2^-24 of the size that numbers have there, each by chance of its own. The distance of such a run from an
 * exact one says how far rounding alone takes a right program. `seed` 0: no more.
 */
void ftso_interp_disturb(ftso_interp *interp, uint64_t seed);
/*
 * Rounds the values to the elements that a schedule stores them as (ftso_schedule.elements, one per value; NULL: nothing), as
 * compiled code does; `elements` must live as long. Whoever reads such a value gets the rounded one.
 */
void ftso_interp_store(ftso_interp *interp, const ftso_element *elements);
/* Sets a leaf's content; states keep theirs between runs and take the state outputs after each run. Batched leaves: `batch` images. */
ftso_status FTSO_MUST_USE ftso_interp_bind(ftso_interp *interp, ftso_value leaf, const double *data,
                                           size_t count);
/* Runs with `batch` images, 1 <= batch <= planned. All values stay readable until the next run. */
ftso_status FTSO_MUST_USE ftso_interp_run(ftso_interp *interp, int64_t batch);
const ftso_tensor *ftso_interp_get(const ftso_interp *interp, ftso_value value);
/* Current content of a state (after state outputs were applied). */
const ftso_tensor *ftso_interp_state(const ftso_interp *interp, ftso_value state);

#include "ir/region.h"
#include "ir/space.h"

#endif
