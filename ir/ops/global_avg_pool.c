/* global_avg_pool: the mean of each channel of each image. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    *out = ftso_shape_image(inputs[0].dim[0], inputs[0].dim[1], 1, 1);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(e->inputs[0].shape);
    for (int64_t plane = 0; plane < s.outer * s.channels; plane++) {
        const double *x = e->inputs[0].data + plane * s.inner;
        double total = 0;
        for (int64_t i = 0; i < s.inner; i++) total += x[i];
        out->data[plane] = total / (double)s.inner;
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    ftso_shape x = ftso_graph_shape(graph, ftso_graph_node(graph, self)->inputs[0]);
    out[0] = ftso_graph_add(graph, "spread", &dy, 1,
                            (ftso_attr_value[]){FTSO_I(x.dim[2]), FTSO_I(x.dim[3])}, 2);
}

const ftso_op ftso_op_global_avg_pool = {
    .name = "global_avg_pool",
    .doc = "the mean of each channel of each image, as [N, C, 1, 1]",
    .operands = "x",
    .op_class = FTSO_CLASS_IMAGE,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 5e-6,
    .kernel_class = "image",
};
