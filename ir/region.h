/*
 * Passes, regions and the buffer plan: what turns a graph into work for a device.
 *
 * In: a verified graph. Out: a schedule of regions that any emitter can read, CPU or GPU.
 * Must hold: a region says what is computed, read and written, never how: no layout, no tile, no vector width.
 */
#ifndef FTSO_IR_REGION_H
#define FTSO_IR_REGION_H

#include "ir/ir.h"

/* ---------------------------------------------------------------- graph passes */

/* What is known to hold of a graph; passes need, make and break these. */
typedef enum ftso_property {
    FTSO_HAS_GRADIENTS = 1, /* gradient nodes are in */
    FTSO_IS_SPLIT = 2,      /* no batch_norm node is left: statistics and affine forms instead */
    FTSO_IS_CANONICAL = 4,  /* common subexpressions merged, dead nodes gone, identities folded */
    FTSO_IS_LINEAR_FOLDED = 8
} ftso_property;

/* One pass: rebuilds `in` as `out` (fresh, same arena rules) with the same outputs by name. */
typedef struct ftso_pass {
    const char *name; /* for --dump=, --stop-after=, --disable=, --time */
    const char *doc;
    unsigned needs, makes, breaks; /* ftso_property sets */
    bool optional;                 /* may be switched off; results stay the same */
    ftso_status (*run)(const ftso_graph *in, ftso_graph *out);
} ftso_pass;

typedef struct ftso_pass_table {
    const ftso_pass *rows; /* in the order they run */
    size_t count;
} ftso_pass_table;

/* The one list (ir/passes/passes.c). */
const ftso_pass_table *ftso_passes(void);

/* Called after each pass, for dumps and timing; returning false stops there. */
typedef bool (*ftso_pass_watch)(void *user, const ftso_pass *pass, const ftso_graph *graph,
                                double seconds);

/*
 * Runs the table's passes over `in`, the verifier after each. `disabled` names passes to leave out (unknown name: FTSO_ERROR_USAGE).
 * The result lives in `arena`.
 */
ftso_status FTSO_MUST_USE ftso_passes_run(ftso_arena *arena, const ftso_graph *in,
                                          const char *const *disabled, size_t disabled_count,
                                          ftso_pass_watch watch, void *user,
                                          ftso_graph **out_graph);

/* ---------------------------------------------------------------- regions */

/* What a value is to regions and emitters; follows from its operator and shape alone. */
typedef enum ftso_role {
    FTSO_ROLE_LEAF,    /* input, state: in memory before the first region */
    FTSO_ROLE_LITERAL, /* constant: spelt out in every region that uses it, never read */
    FTSO_ROLE_ALIAS, /* view, pack: other values' memory under another shape; no region computes it */
    FTSO_ROLE_ALGEBRA,   /* without a batch: scalars, vectors, flat weights; mean_scale too */
    FTSO_ROLE_POINTWISE, /* with a batch, pixel by pixel: computed wherever it is needed */
    FTSO_ROLE_CORE,      /* window, weight gradient, image operator: computed once, by its region */
    FTSO_ROLE_REDUCTION /* channel_sum, channel_dot, dot: a vector or scalar over batch and pixels, computed once */
} ftso_role;
ftso_role ftso_value_role(const ftso_graph *graph, ftso_value value);
/* Operands whose numbers the node needs: all, but none for `zero`, which looks at the shape alone. */
uint32_t ftso_node_needs(const ftso_node *node);

/*
 * A region: cores that share a kernel, the pointwise nodes computed with them, and what goes in and out of memory.
 *
 * What an emitter may rely on:
 * - kernel_class is the cores' ftso_op.kernel_class; "pointwise" without cores; "algebra" for small serial arithmetic.
 * - Every operand of a node that is needed (ftso_node_needs) is in `nodes` before it, or in `reads`. A value in `reads` is
 *   in memory; one in `nodes` is not, except that a region never reads what it writes.
 * - A pointwise node is evaluated at whatever pixel its user wants it. What a core's operands need is the prologue, at the
 *   operand's pixels; what `writes` and reductions need beyond the cores is the epilogue, at the cores' output pixels. One
 *   node may be part of both. All operators of class pointwise occur in both, `concat`, `slice`, `embed` and `shuffle`
 *   among them: an epilogue may ask for any channel of a core's result at that pixel. A core's result itself need not be
 *   written, nor anything but a reduction. Operands outside the image are the
 *   window's padding: zero after the prologue, not before it.
 *   An image operator that ends in one pixel per image (global pool, loss and its gradient) has no epilogue.
 * - Vectors and scalars that an image region uses are literals (`constant` in `nodes`) or in `reads`; weights are in
 *   `reads`. A constant image is a literal too.
 *   The one batched vector is the mask of `sample_mul`; where it is a `column` its numbers lie as far apart as the images of
 *   the column's operand, an input.
 * - Several cores: `conv` over the same operand with the same window (kernel, stride, dilation, padding); their
 *   weights differ, and so may their numbers of output channels. Or `conv_dx` of any operands and windows whose results
 *   have one shape and one user, the same `add` of this region: an emitter may add them up as it goes. Cores come first to
 *   last in `cores`; of those that add up, the ones without a stride first.
 * - A lead makes the cores' operand on their map; it is in `nodes` and not in `cores`. Either a `dwconv` leads convolutions
 *   under a 1x1 window without stride or padding: its result may be written, or part of the epilogue, like a core's. Or a
 *   `conv_dx` under such a window leads one `dwconv_dx` that covers its operand (ftso_covers_operand): its result is then read
 *   by this core and by weight gradients of this region, by nothing else.
 * - Weight gradients beside a single core: `conv_dw` and `dwconv_dw` whose first operand is also the operand of that core, a
 *   `conv_dx` or `dwconv_dx` that covers it, or the operand of the lead of such a core. They are in `nodes`, in `writes`, and
 *   not in `cores`; their second operand is a value that other regions make, or a prologue.
 * - Pool gradients beside `conv_dx` cores: their windows lie side by side and cover the cores' map (ftso_tiles_map), with the stride
 *   of the last core. They are in `nodes` and not in `cores`; their results may be part of the epilogue, like a core's, and
 *   their operands follow from nothing that the cores make.
 * - A region that makes images makes all of them on one map [H, W]. Reductions run over that map: `channel_sum` and
 *   `channel_dot` are written as vectors [C], `dot` as a scalar; other results without a batch (a weight gradient, the
 *   loss) are written in canonical order. All of these have exactly their elements: nothing may be stored past the end.
 * - "algebra": only nodes of role algebra and literals, run one after another over whole values; a rank 4 value without
 *   a batch is then a flat list of its elements. Only what other regions need is in `writes`. The new content of a state
 *   may share the memory of the old one (same shape, element by element): element i of such a write may be stored once
 *   element i of every operand has been read, not earlier.
 * - Operands of `pack` are written straight into the pack's memory, a `view` lies inside its base. So an address in `reads`
 *   or `writes` of a value without a batch is aligned to one number only; images are aligned to the plan's alignment.
 * - Order in `reads` and `nodes` depends on the region's own structure, so that equal regions print equally.
 */
typedef struct ftso_region {
    const char *kernel_class;
    ftso_value *cores;
    size_t core_count; /* 0: pointwise or algebra */
    ftso_value *leads; /* cores of another class that make the operand; one at the most */
    size_t lead_count;
    ftso_value *gradients; /* weight gradients that read what the core reads, or its lead */
    size_t gradient_count;
    ftso_value *pools; /* gradients of pools on the cores' map */
    size_t pool_count;
    ftso_value *nodes; /* all computed here, cores included, topological */
    size_t node_count;
    ftso_value *
        reads; /* values that must be in memory before: leaves, aliases, writes of earlier regions */
    size_t read_count;
    ftso_value *writes; /* values put in memory: images, vectors, scalars */
    size_t write_count;
} ftso_region;

typedef struct ftso_schedule {
    const ftso_graph *graph;
    /*
     * Per value, what its numbers are in memory. As graph->storage says: images of more than one pixel that a region writes
     * and the outputs do not name. Everything else is fp32: leaves, weights, sums, losses, logits. A value that is not
     * fp32 *is* its rounded number, for the region that makes it too.
     */
    ftso_element *elements;
    ftso_region *regions; /* in the order they run; dependencies point backwards only */
    size_t region_count, region_capacity;
} ftso_schedule;

/* Whether the region's cores are several `conv_dx` that only add up, as described above. */
bool ftso_region_adds_up(const ftso_schedule *schedule, const ftso_region *region);

/* Whether a transposed core has its operand's map, and every pixel of it under the same pixel of the result. */
bool ftso_covers_operand(const ftso_graph *graph, const ftso_node *core);

/* What the region former may do; each switch can be off, results stay the same. */
typedef struct ftso_fusion {
    bool prologue; /* pointwise nodes are recomputed where they are read */
    bool
        epilogue; /* pointwise nodes and reductions join the region that makes their last operand */
    bool horizontal; /* cores that read the same operand share a region */
    bool
        chained; /* a depthwise convolution joins the 1x1 convolutions that read it; backward too */
    int max_sources; /* a recomputed value that reads more stored images than this is stored instead; default 6 */
} ftso_fusion;
ftso_fusion ftso_fusion_default(void);

/*
 * Forms regions for everything the outputs need. The graph must be split (no batch_norm) and placed (pass `place`), else
 * an internal error says which node has no kernel. What is stored between regions is chosen by a minimum cut per region.
 */
ftso_status FTSO_MUST_USE ftso_schedule_form(ftso_arena *arena, const ftso_graph *graph,
                                             const ftso_fusion *fusion,
                                             ftso_schedule **out_schedule);
void ftso_schedule_print(const ftso_schedule *schedule, ftso_text *out);
/* Reads before writes, every read available, every output and state written, everything stored written once, and all that
 * ftso_region promises. */
ftso_status FTSO_MUST_USE ftso_schedule_verify(const ftso_schedule *schedule);
/*
 * The region's text with values renumbered from zero and no names: equal texts mean the same machine code serves.
 * Operand numbers follow `reads` then nodes.
 */
void ftso_region_key(const ftso_schedule *schedule, const ftso_region *region, ftso_text *out);

/*
 * What depends on states alone, in a program that updates none (inference): per region, whether all of it does (then it
 * need not run again until a state changes, and the plan keeps what it writes); per value, whether it holds such numbers.
 * Where states are updated nothing does. `arena` owns both.
 */
typedef struct ftso_frozen {
    bool *regions, *values;
} ftso_frozen;
ftso_frozen ftso_schedule_frozen(ftso_arena *arena, const ftso_schedule *schedule);

/* ---------------------------------------------------------------- buffer plan */

/* Where a value lives: one allocation per program, offsets known before it runs. */
typedef struct ftso_place {
    bool stored;
    int64_t offset_bytes, size_bytes;
} ftso_place;

typedef struct ftso_plan {
    ftso_place *places; /* one per value of the graph */
    int64_t total_bytes;
    int64_t leaf_bytes; /* of these: inputs and states, which live all the time */
} ftso_plan;

/* Bytes that a value takes in the emitter's layout (padding included). */
typedef int64_t (*ftso_size_rule)(const void *user, ftso_shape shape, ftso_element element);

/*
 * Gives every stored value an offset, aligned to `alignment_bytes`. Values whose lifetimes (region index of first write
 * to last read) do not overlap share memory; aliases (view, pack) lie inside their base; a state's new content shares
 * the state's place when no region reads the old one afterwards; where it does not (the places differ), the runner copies
 * it there after the last region.
 */
ftso_status FTSO_MUST_USE ftso_plan_make(ftso_arena *arena, const ftso_schedule *schedule,
                                         ftso_size_rule size, const void *user,
                                         int64_t alignment_bytes, ftso_plan **out_plan);
/* No two values that are alive in the same region overlap, but for aliases and updates of a state in place. */
ftso_status FTSO_MUST_USE ftso_plan_verify(const ftso_schedule *schedule, const ftso_plan *plan,
                                           ftso_size_rule size, const void *user);

#endif
