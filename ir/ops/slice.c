/* slice: channels begin..end of an image; of a vector, the elements. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_channel_axis(inputs[0], "the operand of slice", why)) return false;
    int64_t begin = attrs[0].i, end = attrs[1].i, channels = ftso_ops_channels(inputs[0]).channels;
    if (begin < 0 || end <= begin || end > channels)
        return ftso_ops_refuse(why, "channels %lld..%lld do not lie inside %lld", (long long)begin,
                               (long long)end, (long long)channels);
    *out = ftso_ops_with_channels(inputs[0], end - begin);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)inputs, (void)input_count, (void)attrs;
    return ftso_ops_cost(&out, 1, out, 0);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels all = ftso_ops_channels(e->inputs[0].shape), part = ftso_ops_channels(out->shape);
    int64_t run = part.channels * part.inner;
    for (int64_t n = 0; n < all.outer; n++)
        memcpy(out->data + n * run,
               e->inputs[0].data + (n * all.channels + e->node->attrs[0].i) * all.inner,
               (size_t)run * sizeof *out->data);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    const ftso_node *node = ftso_graph_node(graph, self);
    int64_t channels = ftso_ops_channels(ftso_graph_shape(graph, node->inputs[0])).channels;
    ftso_attr_value attrs[] = {FTSO_I(channels), FTSO_I(node->attrs[0].i)};
    out[0] = ftso_graph_add(graph, "embed", &dy, 1, attrs, 2);
}

const ftso_op ftso_op_slice = {
    .name = "slice",
    .doc = "channels begin..end (end excluded)",
    .operands = "x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("begin", 0, "first channel"),
              FTSO_INT_ATTR("end", 0, "one past the last channel")},
    .attr_count = 2,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
