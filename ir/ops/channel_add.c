/* channel_add: each channel plus its number. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    if (!ftso_ops_need_channels(inputs[0], inputs[1], "the terms", why)) return false;
    if (attrs[0].i != 0 && attrs[0].i != 1)
        return ftso_ops_refuse(why, "bias is %lld, must be 0 or 1", (long long)attrs[0].i);
    *out = inputs[0];
    return true;
}

/* By convention a convolution's bias counts as one multiply-add per output. */
static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    ftso_cost result = ftso_ops_cost(inputs, input_count, out, 1);
    if (attrs[0].i) result.macs = ftso_shape_count(out);
    return result;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(out->shape);
    for (int64_t plane = 0; plane < s.outer * s.channels; plane++) {
        double term = e->inputs[1].data[plane % s.channels];
        const double *x = e->inputs[0].data + plane * s.inner;
        double *y = out->data + plane * s.inner;
        for (int64_t i = 0; i < s.inner; i++) y[i] = x[i] + term;
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    (void)self;
    if (wanted[0]) out[0] = dy;
    if (wanted[1]) out[1] = ftso_graph_unary(graph, "channel_sum", dy);
}

const ftso_op ftso_op_channel_add = {
    .name = "channel_add",
    .doc = "x with b[c] added to channel c",
    .operands = "x, b[C]",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = {FTSO_INT_ATTR("bias", 0,
                            "1: a layer's bias, counted as one multiply-add per output")},
    .attr_count = 1,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "pointwise",
};
