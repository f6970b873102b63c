/* scale: x times one number. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_scalar(inputs[1], "the factor of scale", why)) return false;
    *out = inputs[0];
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    double factor = e->inputs[1].data[0];
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) out->data[i] = factor * e->inputs[0].data[i];
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0]) out[0] = ftso_graph_binary(graph, "scale", dy, node.inputs[1]);
    if (!wanted[1]) return;
    const char *product = node.shape.batched ? "dot" : node.shape.rank ? "vector_dot" : "mul";
    out[1] = ftso_graph_binary(graph, product, dy, node.inputs[0]);
}

const ftso_op ftso_op_scale = {
    .name = "scale",
    .doc = "x times the number s",
    .operands = "x, s",
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
