/* input: a value given at each run. The interpreter and the runner hand it in; there is nothing to evaluate. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)inputs, (void)input_count;
    return ftso_ops_shape_given(attrs + 1, true, out, why);
}

const ftso_op ftso_op_input = {
    .name = "input",
    .doc = "a value given at each run",
    .operands = "",
    .op_class = FTSO_CLASS_LEAF,
    .flags = FTSO_OP_INTERNAL | FTSO_OP_SHAPED,
    .attrs = {{.name = "name", .kind = FTSO_ATTR_NAME, .doc = "its name, unique among leaves"},
              FTSO_INT_ATTR("rank", 0, "0, 1 or 4"),
              FTSO_INT_ATTR("batched", 0, "1: d0 is the batch"),
              FTSO_SHAPE_ATTRS},
    .attr_count = 7,
    .shape = shape,
    .cost = ftso_ops_cost_none,
};
