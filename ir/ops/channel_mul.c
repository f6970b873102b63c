/* channel_mul: each channel times its number. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    if (!ftso_ops_need_channels(inputs[0], inputs[1], "the factors", why)) return false;
    *out = inputs[0];
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(out->shape);
    for (int64_t plane = 0; plane < s.outer * s.channels; plane++) {
        double factor = e->inputs[1].data[plane % s.channels];
        const double *x = e->inputs[0].data + plane * s.inner;
        double *y = out->data + plane * s.inner;
        for (int64_t i = 0; i < s.inner; i++) y[i] = factor * x[i];
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0]) out[0] = ftso_graph_binary(graph, "channel_mul", dy, node.inputs[1]);
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "channel_dot", dy, node.inputs[0]);
}

const ftso_op ftso_op_channel_mul = {
    .name = "channel_mul",
    .doc = "x with channel c times a[c]",
    .operands = "x, a[C]",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "pointwise",
};
