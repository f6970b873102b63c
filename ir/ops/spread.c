/* spread: one pixel over a whole map, divided by its size: the gradient of global_avg_pool. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    if (inputs[0].dim[2] != 1 || inputs[0].dim[3] != 1)
        return ftso_ops_refuse(why, "x must have one pixel per channel");
    if (attrs[0].i < 1 || attrs[1].i < 1)
        return ftso_ops_refuse(why, "height and width must be at least 1");
    *out = ftso_shape_image(inputs[0].dim[0], inputs[0].dim[1], attrs[0].i, attrs[1].i);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(out->shape);
    for (int64_t plane = 0; plane < s.outer * s.channels; plane++)
        for (int64_t i = 0; i < s.inner; i++)
            out->data[plane * s.inner + i] = e->inputs[0].data[plane] / (double)s.inner;
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    (void)self;
    if (wanted[0]) out[0] = ftso_graph_unary(graph, "global_avg_pool", dy);
}

const ftso_op ftso_op_spread = {
    .name = "spread",
    .doc = "x[N, C, 1, 1] over a map of height x width, divided by its pixels",
    .operands = "x[N, C, 1, 1]",
    .op_class = FTSO_CLASS_IMAGE,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("height", 1, "of the result"),
              FTSO_INT_ATTR("width", 1, "of the result")},
    .attr_count = 2,
    .shape = shape,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "image",
};
