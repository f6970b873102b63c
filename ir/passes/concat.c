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

/* Whether a slice of the value would come to a part of a concat. */
static bool leads_to_concat(const ftso_graph *graph, ftso_value value, int depth)
{
    const ftso_node *node = &graph->nodes[value];
    if (ftso_node_is(node, "concat")) return true;
    if (depth == 0 || !is_channelwise(node)) return false;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (leads_to_concat(graph, node->inputs[i], depth - 1)) return true;
    return false;
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
    for (size_t i = 0; i < in->output_count; i++) whole[in->outputs[i].value] = true;
    for (size_t v = in->node_count; v-- > 0;) {
        const ftso_node *node = &in->nodes[v];
        if (!r->live[v]) continue;
        dissolved[v] =
            !whole[v] && is_channelwise(node) && leads_to_concat(in, (ftso_value)v, DEEPEST);
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

/* Where the parts of a concat end; count 0 when the value leads to none. */
static size_t part_ends(ftso_folder *f, ftso_value value, int64_t **out_ends)
{
    const ftso_node *node = node_of(f, value);
    if (!ftso_node_is(node, "concat")) return 0;
    int64_t *ends = FTSO_ARRAY(&f->scratch, int64_t, node->input_count), at = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        at += ftso_channel_count(node_of(f, node->inputs[i])->shape);
        ends[i] = at;
    }
    *out_ends = ends;
    return node->input_count;
}

/* channel_sum and channel_dot over the parts of the operand that is a concat. */
static ftso_value split_reduction(ftso_folder *f, const ftso_node *node, const ftso_value *inputs)
{
    if (!ftso_node_is(node, "channel_sum") && !ftso_node_is(node, "channel_dot"))
        return FTSO_NO_VALUE;
    int64_t *ends = NULL, at = 0;
    size_t count = 0;
    for (uint32_t i = 0; i < node->input_count && count == 0; i++)
        count = part_ends(f, inputs[i], &ends);
    if (count == 0) return FTSO_NO_VALUE;
    ftso_value *parts = FTSO_ARRAY(&f->scratch, ftso_value, count);
    for (size_t k = 0; k < count; k++) {
        ftso_value operands[2];
        for (uint32_t i = 0; i < node->input_count; i++)
            operands[i] = ftso_fold_slice(f, inputs[i], at, ends[k]);
        parts[k] = ftso_fold(f, node->op, operands, node->input_count, node->attrs);
        at = ends[k];
    }
    return ftso_fold_named(f, "concat", parts, count, NULL);
}

ftso_status ftso_pass_concat(const ftso_graph *in, ftso_graph *out)
{
    ftso_rebuild r;
    ftso_rebuild_begin(&r, in, out);
    const bool *dissolved = find_dissolved(&r, &r.folder.scratch);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!r.live[v]) continue;
        const ftso_value *inputs = ftso_rebuild_operands(&r, node);
        out->origin = node->origin;
        r.map[v] = split_reduction(&r.folder, node, inputs);
        if (r.map[v] == FTSO_NO_VALUE && node->shape.rank == 4 && ftso_node_is(node, "slice"))
            r.map[v] = take(&r, dissolved, node->inputs[0], node->attrs[0].i, node->attrs[1].i);
        if (r.map[v] == FTSO_NO_VALUE) r.map[v] = ftso_rebuild_node(&r, node);
    }
    ftso_rebuild_end(&r);
    return FTSO_STATUS_OK;
}
