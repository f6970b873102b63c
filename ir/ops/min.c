/* min: the smaller of a and b, element by element; b on a tie, where the gradient goes too. */
#include "ir/ops/ops_internal.h"

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    const double *a = e->inputs[0].data, *b = e->inputs[1].data;
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) {
        bool first = e->replay ? e->frozen[i] != 0 : a[i] < b[i];
        if (e->frozen && !e->replay) e->frozen[i] = first;
        out->data[i] = first ? a[i] : b[i];
    }
}

/* dy goes to the operand that was taken; on a tie, where there is no derivative, to b as the value is its. */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_value difference = ftso_graph_binary(graph, "sub", node.inputs[1], node.inputs[0]);
    ftso_value to_a = ftso_graph_binary(graph, "relu_mask", dy, difference);
    if (wanted[0]) out[0] = to_a;
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "sub", dy, to_a);
}

const ftso_op ftso_op_min = {
    .name = "min",
    .doc = "the elementwise smaller of a and b",
    .operands = "a, b",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_KINKED | FTSO_OP_COMMUTES | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = ftso_ops_shape_same,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
