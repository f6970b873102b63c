/* channel_dot: the inner product of each channel of x with that of y, over images and pixels. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_image(inputs[0], "x", why) ||
        !ftso_ops_need_equal(inputs[0], inputs[1], why))
        return false;
    *out = ftso_shape_vector(inputs[0].dim[1]);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(e->inputs[0].shape);
    for (int64_t c = 0; c < s.channels; c++) {
        double total = 0;
        for (int64_t n = 0; n < s.outer; n++) {
            int64_t at = (n * s.channels + c) * s.inner;
            total += ftso_ops_dot(e->inputs[0].data + at, e->inputs[1].data + at, s.inner);
        }
        out->data[c] = total;
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0]) out[0] = ftso_graph_binary(graph, "channel_mul", node.inputs[1], dy);
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "channel_mul", node.inputs[0], dy);
}

const ftso_op ftso_op_channel_dot = {
    .name = "channel_dot",
    .doc = "the sum of x * y of each channel over images and pixels, as a vector",
    .operands = "x, y",
    .op_class = FTSO_CLASS_REDUCTION,
    .flags = FTSO_OP_LINEAR | FTSO_OP_COMMUTES | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-5,
    .kernel_class = "pointwise",
};
