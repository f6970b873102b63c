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

/*
 * A region: cores (window or reduction operators that share a kernel), the pointwise nodes computed with them, and what
 * goes in and out of memory. Nodes that the cores need are their prologue, nodes that need a core's result are the
 * epilogue. A pointwise node may be computed in several regions (recomputed rather than stored). A reduction
 * (channel_sum, channel_dot) in a region runs over the same pixels as the region's output.
 * kernel_class "algebra" is a list of scalar and vector nodes that run one after another.
 */
typedef struct ftso_region {
    const char *kernel_class;
    ftso_value *cores;
    size_t core_count; /* 0: pointwise or algebra */
    ftso_value *nodes; /* all computed here, cores included, topological */
    size_t node_count;
    ftso_value
        *reads; /* values that must be in memory before: leaves, and writes of earlier regions */
    size_t read_count;
    ftso_value *writes; /* values put in memory: images, vectors, scalars */
    size_t write_count;
} ftso_region;

typedef struct ftso_schedule {
    const ftso_graph *graph;
    ftso_region *regions; /* in the order they run; dependencies point backwards only */
    size_t region_count, region_capacity;
} ftso_schedule;

/* What the region former may do; each switch can be off, results stay the same. */
typedef struct ftso_fusion {
    bool prologue; /* pointwise nodes are recomputed where they are read */
    bool
        epilogue; /* pointwise nodes and reductions join the region that makes their last operand */
    bool horizontal; /* cores that read the same operand over the same window share a region */
    int max_sources; /* a recomputed value that reads more stored images than this is stored instead; default 6 */
} ftso_fusion;
ftso_fusion ftso_fusion_default(void);

ftso_status FTSO_MUST_USE ftso_schedule_form(ftso_arena *arena, const ftso_graph *graph,
                                             const ftso_fusion *fusion,
                                             ftso_schedule **out_schedule);
void ftso_schedule_print(const ftso_schedule *schedule, ftso_text *out);
/* Reads before writes, every read available, every output and state written. */
ftso_status FTSO_MUST_USE ftso_schedule_verify(const ftso_schedule *schedule);
/*
 * The region's text with values renumbered from zero and no names: equal texts mean the same machine code serves.
 * Operand numbers follow `reads` then nodes.
 */
void ftso_region_key(const ftso_schedule *schedule, const ftso_region *region, ftso_text *out);

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

/* Bytes that `value` takes in the emitter's layout (padding included). */
typedef int64_t (*ftso_size_rule)(const void *user, ftso_shape shape);

/*
 * Gives every stored value an offset, aligned to `alignment_bytes`. Values whose lifetimes (region index of first write
 * to last read) do not overlap share memory; aliases (view, pack) lie inside their base; a state's new content shares
 * the state's place when no region reads the old one afterwards.
 */
ftso_status FTSO_MUST_USE ftso_plan_make(ftso_arena *arena, const ftso_schedule *schedule,
                                         ftso_size_rule size, const void *user,
                                         int64_t alignment_bytes, ftso_plan **out_plan);

#endif
