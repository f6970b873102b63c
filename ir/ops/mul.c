/* mul: a * b, element by element. */
#include "ir/ops/ops_internal.h"

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) out->data[i] = e->inputs[0].data[i] * e->inputs[1].data[i];
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0]) out[0] = ftso_graph_binary(graph, "mul", dy, node.inputs[1]);
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "mul", dy, node.inputs[0]);
}

const ftso_op ftso_op_mul = {
    .name = "mul",
    .doc = "the elementwise product a * b",
    .operands = "a, b",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR | FTSO_OP_COMMUTES | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = ftso_ops_shape_same,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "pointwise",
};
