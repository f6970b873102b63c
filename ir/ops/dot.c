/* dot: the inner product of two batched values, over everything. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!inputs[0].batched)
        return ftso_ops_refuse(why, "the operands of dot have a batch (vector_dot serves others)");
    if (!ftso_ops_need_equal(inputs[0], inputs[1], why)) return false;
    *out = ftso_shape_scalar();
    return true;
}

const ftso_op ftso_op_dot = {
    .name = "dot",
    .doc = "the sum of x * y over images, channels and pixels",
    .operands = "x, y",
    .op_class = FTSO_CLASS_REDUCTION,
    .flags = FTSO_OP_LINEAR | FTSO_OP_COMMUTES | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = ftso_ops_dot_eval,
    .gradient = ftso_ops_dot_gradient,
    .tolerance = 2e-5,
    .kernel_class = "pointwise",
};
