/* vector_dot: the inner product of two values without a batch. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_unbatched(inputs[0], "an operand of vector_dot", why)) return false;
    if (!ftso_ops_need_equal(inputs[0], inputs[1], why)) return false;
    *out = ftso_shape_scalar();
    return true;
}

const ftso_op ftso_op_vector_dot = {
    .name = "vector_dot",
    .doc = "the inner product of a and b, values without a batch",
    .operands = "a, b",
    .op_class = FTSO_CLASS_ALGEBRA,
    .flags = FTSO_OP_LINEAR | FTSO_OP_COMMUTES | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = ftso_ops_dot_eval,
    .gradient = ftso_ops_dot_gradient,
    .tolerance = 1e-5,
    .kernel_class = "algebra",
};
