/* channel_sum: each channel added up over images and pixels. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    *out = ftso_shape_vector(inputs[0].dim[1]);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(e->inputs[0].shape);
    for (int64_t c = 0; c < s.channels; c++) {
        double total = 0;
        for (int64_t n = 0; n < s.outer; n++) {
            const double *x = e->inputs[0].data + (n * s.channels + c) * s.inner;
            for (int64_t i = 0; i < s.inner; i++) total += x[i];
        }
        out->data[c] = total;
    }
}

/* dy[c] at every pixel: added to zeros of x's shape. */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    ftso_value zeros = ftso_graph_unary(graph, "zero", ftso_graph_node(graph, self)->inputs[0]);
    out[0] = ftso_graph_binary(graph, "channel_add", zeros, dy);
}

const ftso_op ftso_op_channel_sum = {
    .name = "channel_sum",
    .doc = "the sum of each channel over images and pixels, as a vector",
    .operands = "x",
    .op_class = FTSO_CLASS_REDUCTION,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-5,
    .kernel_class = "pointwise",
};
