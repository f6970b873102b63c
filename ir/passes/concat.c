/*
 * concat: who reads some channels of a concatenation, or reduces it channel by channel, reads the parts.
 * In: any graph. Out: slices of pointwise values that a concat feeds are pointwise values of the parts; channel_sum and
 * channel_dot of a concat are concats (vectors) of the parts' sums, so that each part's reduction joins the region that
 * makes the part. What reads a whole concat (a convolution) still does; regions never write it.
 */
#include "ir/passes/passes_internal.h"

static const ftso_node *node_of(const ftso_folder *f, ftso_value value)
{
    return &f->graph->nodes[value];
}

enum { DEEPEST = 6 };

/* Pointwise and channel by channel: channel c of the result from channel c of the operands. */
static bool is_channelwise(const ftso_node *node)
{
    static const char *const names[] = {"add",  "sub",       "mul",         "scale",
                                        "relu", "relu_mask", "channel_mul", "channel_add",
                                        "min",  "max",       "div",         "sample_mul"};
    if (!node->shape.batched || node->shape.rank != 4) return false;
    for (size_t i = 0; i < FTSO_COUNT(names); i++)
        if (ftso_node_is(node, names[i])) return true;
    return false;
}

/* For each value whether a slice of it would come to a part of a concat, through at most DEEPEST nodes. */
static bool *find_leading(const ftso_graph *graph, ftso_arena *arena)
{
    int *distance = FTSO_ARRAY(arena, int, graph->node_count);
    bool *leads = FTSO_ARRAY(arena, bool, graph->node_count);
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        distance[v] = ftso_node_is(node, "concat") ? 0 : DEEPEST + 1;
        for (uint32_t i = 0; is_channelwise(node) && i < node->input_count; i++)
            if (distance[node->inputs[i]] + 1 < distance[v])
                distance[v] = distance[node->inputs[i]] + 1;
        leads[v] = distance[v] <= DEEPEST;
    }
    return leads;
}

/*
 * Values that slices replace altogether: they lead to a concat and are read by slices and such values alone. Others are
 * computed as wholes anyway, and slicing their operands too would do the work twice.
 */
static bool *find_dissolved(const ftso_rebuild *r, ftso_arena *arena)
{
    const ftso_graph *in = r->in;
    bool *dissolved = FTSO_ARRAY(arena, bool, in->node_count);
    bool *whole = FTSO_ARRAY(arena, bool, in->node_count);
    const bool *leads = find_leading(in, arena);
    for (size_t i = 0; i < in->output_count; i++) whole[in->outputs[i].value] = true;
    for (size_t v = in->node_count; v-- > 0;) {
        const ftso_node *node = &in->nodes[v];
        if (!r->live[v]) continue;
        dissolved[v] = !whole[v] && is_channelwise(node) && leads[v];
        for (uint32_t i = 0; i < node->input_count; i++)
            if (!dissolved[v] && !ftso_node_is(node, "slice")) whole[node->inputs[i]] = true;
    }
    return dissolved;
}

/* Channels [begin, end) of a value of the graph read, taken through what dissolves. */
static ftso_value take(ftso_rebuild *r, const bool *dissolved, ftso_value value, int64_t begin,
                       int64_t end)
{
    ftso_folder *f = &r->folder;
    const ftso_node *node = &r->in->nodes[value];
    if (!dissolved[value]) return ftso_fold_slice(f, r->map[value], begin, end);
    ftso_value *operands = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++) {
        ftso_shape shape = r->in->nodes[node->inputs[i]].shape;
        bool channels = shape.rank == 4 || (shape.rank == 1 && !shape.batched);
        operands[i] =
            channels ? take(r, dissolved, node->inputs[i], begin, end) : r->map[node->inputs[i]];
    }
    return ftso_fold(f, node->op, operands, node->input_count, node->attrs);
}

/* channel_sum of a concat, channel_dot of two whose parts match: by parts. */
static ftso_value split_reduction(ftso_folder *f, const ftso_node *node, const ftso_value *inputs)
{
    if (!ftso_node_is(node, "channel_sum") && !ftso_node_is(node, "channel_dot"))
        return FTSO_NO_VALUE;
    const ftso_node *first = node_of(f, inputs[0]),
                    *last = node_of(f, inputs[node->input_count - 1]);
    if (!ftso_node_is(first, "concat") || !ftso_node_is(last, "concat") ||
        first->input_count != last->input_count)
        return FTSO_NO_VALUE;
    for (uint32_t k = 0; k < first->input_count; k++)
        if (!ftso_shape_equal(node_of(f, first->inputs[k])->shape,
                              node_of(f, last->inputs[k])->shape))
            return FTSO_NO_VALUE;
    ftso_value *parts = FTSO_ARRAY(&f->scratch, ftso_value, first->input_count);
    for (uint32_t k = 0; k < first->input_count; k++) {
        ftso_value operands[2] = {first->inputs[k], last->inputs[k]};
        parts[k] = ftso_fold(f, node->op, operands, node->input_count, node->attrs);
    }
    return ftso_fold_named(f, "concat", parts, first->input_count, NULL);
}

/* For each value the slices of it, as a list through `next`. */
typedef struct slices {
    ftso_value *first, *next;
} slices;

static slices list_slices(const ftso_rebuild *r, ftso_arena *arena)
{
    slices list = {FTSO_ARRAY(arena, ftso_value, r->in->node_count),
                   FTSO_ARRAY(arena, ftso_value, r->in->node_count)};
    for (size_t v = 0; v < r->in->node_count; v++) list.first[v] = FTSO_NO_VALUE;
    for (size_t v = r->in->node_count; v-- > 0;) {
        const ftso_node *node = &r->in->nodes[v];
        if (!r->live[v] || !ftso_node_is(node, "slice")) continue;
        list.next[v] = list.first[node->inputs[0]];
        list.first[node->inputs[0]] = (ftso_value)v;
    }
    return list;
}

/* A slice of what dissolves; where a wider slice of it is asked for too, a slice of that one. */
static ftso_value take_slice(ftso_rebuild *r, const bool *dissolved, const slices *list,
                             const ftso_node *node)
{
    int64_t begin = node->attrs[0].i, end = node->attrs[1].i, wide_begin = begin, wide_end = end;
    for (ftso_value v = list->first[node->inputs[0]]; v != FTSO_NO_VALUE; v = list->next[v]) {
        const ftso_attr_value *other = r->in->nodes[v].attrs;
        if (other[0].i > wide_begin || other[1].i < wide_end) continue;
        wide_begin = other[0].i;
        wide_end = other[1].i;
    }
    ftso_value wide = take(r, dissolved, node->inputs[0], wide_begin, wide_end);
    return ftso_fold_slice(&r->folder, wide, begin - wide_begin, end - wide_begin);
}

ftso_status ftso_pass_concat(const ftso_graph *in, ftso_graph *out)
{
    ftso_rebuild r;
    ftso_rebuild_begin(&r, in, out);
    const bool *dissolved = find_dissolved(&r, &r.folder.scratch);
    const slices list = list_slices(&r, &r.folder.scratch);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!r.live[v]) continue;
        const ftso_value *inputs = ftso_rebuild_operands(&r, node);
        out->origin = node->origin;
        r.map[v] = split_reduction(&r.folder, node, inputs);
        if (r.map[v] == FTSO_NO_VALUE && node->shape.rank == 4 && ftso_node_is(node, "slice"))
            r.map[v] = take_slice(&r, dissolved, &list, node);
        if (r.map[v] == FTSO_NO_VALUE) r.map[v] = ftso_rebuild_node(&r, node);
    }
    ftso_rebuild_end(&r);
    return FTSO_STATUS_OK;
}
