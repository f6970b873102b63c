/* min: the smaller of a and b, element by element; b on a tie, where the gradient goes too. */
#include "ir/ops/ops_internal.h"

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_ops_extreme_eval(e, out, -1);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_ops_extreme_gradient(graph, self, dy, wanted, out, -1);
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
