/* constant: one number in every element. */
#include "ir/ops/ops_internal.h"

#include <math.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)inputs, (void)input_count;
    if (!isfinite(attrs[0].r)) return ftso_ops_refuse(why, "a constant must be finite");
    return ftso_ops_shape_given(attrs + 1, true, out, why);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) out->data[i] = e->node->attrs[0].r;
}

const ftso_op ftso_op_constant = {
    .name = "constant",
    .doc = "the same number in every element",
    .operands = "",
    .op_class = FTSO_CLASS_LEAF,
    .flags = FTSO_OP_INTERNAL | FTSO_OP_SHAPED,
    .attrs = {FTSO_REAL_ATTR("value", 0, "the number"), FTSO_INT_ATTR("rank", 0, "0, 1 or 4"),
              FTSO_INT_ATTR("batched", 0, "1: d0 is the batch"), FTSO_SHAPE_ATTRS},
    .attr_count = 7,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .tolerance = 1e-7,
};
