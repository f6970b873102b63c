/* embed: x as channels begin.. of `channels` that are 0 elsewhere; the gradient of slice. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_channel_axis(inputs[0], "the operand of embed", why)) return false;
    int64_t channels = attrs[0].i, begin = attrs[1].i, part = ftso_ops_channels(inputs[0]).channels;
    if (begin < 0 || channels < part || begin > channels - part)
        return ftso_ops_refuse(why, "%lld channels at %lld do not lie inside %lld", (long long)part,
                               (long long)begin, (long long)channels);
    *out = ftso_ops_with_channels(inputs[0], channels);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 0);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels all = ftso_ops_channels(out->shape), part = ftso_ops_channels(e->inputs[0].shape);
    int64_t run = part.channels * part.inner;
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t n = 0; n < all.outer; n++)
        memcpy(out->data + (n * all.channels + e->node->attrs[1].i) * all.inner,
               e->inputs[0].data + n * run, (size_t)run * sizeof *out->data);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    const ftso_node *node = ftso_graph_node(graph, self);
    int64_t begin = node->attrs[1].i;
    int64_t end = begin + ftso_ops_channels(ftso_graph_shape(graph, node->inputs[0])).channels;
    out[0] =
        ftso_graph_add(graph, "slice", &dy, 1, (ftso_attr_value[]){FTSO_I(begin), FTSO_I(end)}, 2);
}

const ftso_op ftso_op_embed = {
    .name = "embed",
    .doc = "x as channels begin.. among `channels`, 0 elsewhere",
    .operands = "x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("channels", 0, "channels of the result"),
              FTSO_INT_ATTR("begin", 0, "where x starts")},
    .attr_count = 2,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
