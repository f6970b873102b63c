/* element: one number of a vector. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_vector(inputs[0], "the operand of element", why)) return false;
    if (attrs[0].i < 0 || attrs[0].i >= inputs[0].dim[0])
        return ftso_ops_refuse(why, "there is no element %lld among %lld", (long long)attrs[0].i,
                               (long long)inputs[0].dim[0]);
    *out = ftso_shape_scalar();
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    out->data[0] = e->inputs[0].data[e->node->attrs[0].i];
}

static int64_t part_offset(const ftso_attr_value *attrs)
{
    return attrs[0].i;
}

const ftso_op ftso_op_element = {
    .name = "element",
    .doc = "v[index] as one number",
    .operands = "v",
    .op_class = FTSO_CLASS_ALGEBRA,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("index", 0, "which")},
    .attr_count = 1,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .part_offset = part_offset,
    .tolerance = 1e-7,
    .kernel_class = "algebra",
};
