/*
 * Gradients: reverse accumulation over a graph, giving more nodes of the same graph.
 * In: a scalar and the values it is differentiated by. Out: one value each.
 * Holds: the order of nodes made depends on the graph alone. What flows back to one value is summed by one n-ary `add`.
 * What flows back through runs of a value's elements (view, element) is laid side by side by one `pack` or `stack` in the
 * order of offsets, zeros only where no run is; runs that overlap form further layers, which are added.
 * Start reading at ftso_graph_gradient.
 */
#include "ir/ir.h"

#include <stdlib.h>
#include <string.h>

/* A share of one value's gradient: whole, or that of elements [offset, offset + count). */
typedef struct share {
    ftso_value value;
    bool whole;
    int64_t offset, count;
    size_t order; /* of arrival, for a stable sort */
} share;

typedef struct shares {
    share *items;
    size_t count, capacity;
} shares;

typedef struct reverse {
    ftso_graph *graph;
    ftso_arena scratch;
    shares *of;    /* per value of the forward graph */
    bool *depends; /* on one of `wrt` */
    size_t count;
} reverse;

static void give(reverse *r, ftso_value to, share item)
{
    shares *list = &r->of[to];
    item.order = list->count;
    FTSO_PUSH(&r->scratch, list->items, list->count, list->capacity, item);
}

/* ---------------------------------------------------------------- runs of elements */

static int by_place(const void *left, const void *right)
{
    const share *a = left, *b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Shares of the same elements under the same shape become one. */
static size_t merge_equal(reverse *r, share *runs, size_t count)
{
    size_t kept = 0;
    ftso_value *terms = FTSO_ARRAY(&r->scratch, ftso_value, count);
    for (size_t i = 0; i < count;) {
        size_t same = 0, k = i;
        ftso_shape shape = ftso_graph_shape(r->graph, runs[i].value);
        for (; k < count && runs[k].offset == runs[i].offset && runs[k].count == runs[i].count &&
               ftso_shape_equal(shape, ftso_graph_shape(r->graph, runs[k].value));
             k++)
            terms[same++] = runs[k].value;
        runs[kept] = runs[i];
        runs[kept++].value = ftso_graph_sum(r->graph, terms, same);
        i = k;
    }
    return kept;
}

enum { STACKED_GAP = 64 }; /* longest gap that is worth single zeros */

/* Disjoint runs in order, side by side in a vector as long as the value has elements; then in the value's shape. */
static ftso_value lay_out(reverse *r, ftso_shape shape, const share *runs, size_t count)
{
    ftso_graph *graph = r->graph;
    int64_t total = ftso_shape_count(shape), at = 0, gaps = 0;
    bool scalars = true;
    for (size_t i = 0; i < count; i++) {
        gaps += runs[i].offset - at;
        at = runs[i].offset + runs[i].count;
        scalars = scalars && ftso_graph_shape(graph, runs[i].value).rank == 0;
    }
    gaps += total - at;
    if (count == 1 && gaps == 0 && ftso_shape_equal(ftso_graph_shape(graph, runs[0].value), shape))
        return runs[0].value;
    bool stacked = scalars && gaps <= STACKED_GAP;
    ftso_value *parts = NULL, zero = FTSO_NO_VALUE;
    size_t part_count = 0, part_capacity = 0;
    at = 0;
    for (size_t i = 0; i <= count; i++) {
        int64_t next = i < count ? runs[i].offset : total;
        if (stacked && next > at) {
            if (zero == FTSO_NO_VALUE) zero = ftso_graph_constant(graph, ftso_shape_scalar(), 0);
            for (; at < next; at++) FTSO_PUSH(&r->scratch, parts, part_count, part_capacity, zero);
        } else if (next > at) {
            ftso_value gap = ftso_graph_constant(graph, ftso_shape_vector(next - at), 0);
            FTSO_PUSH(&r->scratch, parts, part_count, part_capacity, gap);
        }
        if (i == count) break;
        FTSO_PUSH(&r->scratch, parts, part_count, part_capacity, runs[i].value);
        at = runs[i].offset + runs[i].count;
    }
    ftso_value vector =
        ftso_graph_add(graph, stacked ? "stack" : "pack", parts, part_count, NULL, 0);
    return shape.rank == 1 ? vector : ftso_graph_view(graph, vector, 0, shape);
}

/* Appends to `terms` one value per layer of disjoint runs: one layer unless runs overlap. */
static void collect_runs(reverse *r, ftso_shape shape, share *runs, size_t count, ftso_value *terms,
                         size_t *term_count)
{
    qsort(runs, count, sizeof *runs, by_place);
    count = merge_equal(r, runs, count);
    share *layer = FTSO_ARRAY(&r->scratch, share, count);
    while (count > 0) {
        size_t taken = 0, left = 0;
        int64_t end = 0;
        for (size_t i = 0; i < count; i++) {
            if (runs[i].offset >= end) {
                end = runs[i].offset + runs[i].count;
                layer[taken++] = runs[i];
            } else {
                runs[left++] = runs[i];
            }
        }
        terms[(*term_count)++] = lay_out(r, shape, layer, taken);
        count = left;
    }
}

/* ---------------------------------------------------------------- reverse accumulation */

/* The whole gradient of `value`, or FTSO_NO_VALUE when nothing flowed back to it. */
static ftso_value total(reverse *r, ftso_value value)
{
    shares *list = &r->of[value];
    if (list->count == 0) return FTSO_NO_VALUE;
    ftso_value *terms = FTSO_ARRAY(&r->scratch, ftso_value, list->count);
    share *runs = FTSO_ARRAY(&r->scratch, share, list->count);
    size_t term_count = 0, run_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].whole)
            terms[term_count++] = list->items[i].value;
        else
            runs[run_count++] = list->items[i];
    }
    if (run_count)
        collect_runs(r, ftso_graph_shape(r->graph, value), runs, run_count, terms, &term_count);
    return ftso_graph_sum(r->graph, terms, term_count);
}

/* Hands the gradient of `value` on to its operands. */
static void pass_back(reverse *r, ftso_value value, ftso_value dy)
{
    ftso_node node = *ftso_graph_node(r->graph, value);
    bool any = false;
    for (uint32_t i = 0; i < node.input_count; i++) any = any || r->depends[node.inputs[i]];
    if (!any) return;
    if (node.op->part_offset) {
        share run = {.value = dy,
                     .offset = node.op->part_offset(node.attrs),
                     .count = ftso_shape_count(node.shape)};
        give(r, node.inputs[0], run);
        return;
    }
    if (!node.op->gradient) fprintf(stderr, "ftso: operator %s has no gradient\n", node.op->name);
    FTSO_ASSERT(node.op->gradient != NULL);
    bool *wanted = FTSO_ARRAY(&r->scratch, bool, node.input_count);
    ftso_value *out = FTSO_ARRAY(&r->scratch, ftso_value, node.input_count);
    for (uint32_t i = 0; i < node.input_count; i++) {
        wanted[i] = r->depends[node.inputs[i]];
        out[i] = FTSO_NO_VALUE;
    }
    node.op->gradient(r->graph, value, dy, wanted, out);
    for (uint32_t i = 0; i < node.input_count; i++)
        if (wanted[i] && out[i] != FTSO_NO_VALUE) {
            FTSO_ASSERT(ftso_shape_equal(ftso_graph_shape(r->graph, out[i]),
                                         ftso_graph_shape(r->graph, node.inputs[i])));
            give(r, node.inputs[i], (share){.value = out[i], .whole = true});
        }
}

static void find_dependents(reverse *r, const ftso_value *wrt, size_t wrt_count)
{
    for (size_t i = 0; i < wrt_count; i++) r->depends[wrt[i]] = true;
    for (size_t v = 0; v < r->count; v++) {
        const ftso_node *node = &r->graph->nodes[v];
        for (uint32_t i = 0; i < node->input_count; i++)
            r->depends[v] = r->depends[v] || r->depends[node->inputs[i]];
    }
}

void ftso_graph_gradient(ftso_graph *graph, ftso_value loss, const ftso_value *wrt,
                         size_t wrt_count, ftso_value *out_gradients)
{
    FTSO_ASSERT(ftso_graph_shape(graph, loss).rank == 0);
    reverse r = {.graph = graph, .count = (size_t)loss + 1};
    ftso_origin origin = graph->origin;
    ftso_arena_init(&r.scratch);
    for (size_t i = 0; i < wrt_count; i++) {
        FTSO_ASSERT(wrt[i] < graph->node_count);
        out_gradients[i] = FTSO_NO_VALUE;
        if (wrt[i] >= r.count) r.count = (size_t)wrt[i] + 1;
    }
    r.of = FTSO_ARRAY(&r.scratch, shares, r.count);
    r.depends = FTSO_ARRAY(&r.scratch, bool, r.count);
    find_dependents(&r, wrt, wrt_count);
    if (r.depends[loss])
        give(&r, loss,
             (share){.value = ftso_graph_constant(graph, ftso_shape_scalar(), 1), .whole = true});
    for (size_t v = (size_t)loss + 1; v-- > 0;) {
        if (!r.depends[v] || r.of[v].count == 0) continue;
        graph->origin = graph->nodes[v].origin;
        ftso_value dy = total(&r, (ftso_value)v);
        for (size_t i = 0; i < wrt_count; i++)
            if (wrt[i] == v) out_gradients[i] = dy;
        pass_back(&r, (ftso_value)v, dy);
    }
    graph->origin = origin;
    for (size_t i = 0; i < wrt_count; i++)
        if (out_gradients[i] == FTSO_NO_VALUE)
            out_gradients[i] = ftso_graph_constant(graph, ftso_graph_shape(graph, wrt[i]), 0);
    ftso_arena_deinit(&r.scratch);
}
