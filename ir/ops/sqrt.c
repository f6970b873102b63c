/* sqrt: the square root of each element. Domain: x > 0 (at 0 the value is right, the gradient infinite). */
#include "ir/ops/ops_internal.h"

#include <math.h>

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) out->data[i] = sqrt(e->inputs[0].data[i]);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (wanted[0]) out[0] = ftso_graph_times(graph, ftso_graph_binary(graph, "div", dy, self), 0.5);
}

const ftso_op ftso_op_sqrt = {
    .name = "sqrt",
    .doc = "the square root of each element",
    .operands = "x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = ftso_ops_shape_same,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "pointwise",
};
