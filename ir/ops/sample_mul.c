/* sample_mul: each image times its number: drop path. The mask is given, no gradient flows into it. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    if (inputs[1].rank != 1 || !inputs[1].batched || inputs[1].dim[0] != inputs[0].dim[0])
        return ftso_ops_refuse(why, "the mask must have one number per image");
    *out = inputs[0];
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t images = out->shape.dim[0], each = ftso_shape_count(out->shape) / images;
    for (int64_t n = 0; n < images; n++) {
        double factor = e->inputs[1].data[n];
        for (int64_t i = n * each; i < (n + 1) * each; i++)
            out->data[i] = factor * e->inputs[0].data[i];
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (wanted[0])
        out[0] =
            ftso_graph_binary(graph, "sample_mul", dy, ftso_graph_node(graph, self)->inputs[1]);
}

const ftso_op ftso_op_sample_mul = {
    .name = "sample_mul",
    .doc = "x with image n times m[n]",
    .operands = "x, m[N]",
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
