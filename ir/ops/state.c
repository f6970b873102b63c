/* state: a value kept between runs; outputs that name it give its next content. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)inputs, (void)input_count;
    if (attrs[2].i) return ftso_ops_refuse(why, "a state has no batch");
    return ftso_ops_shape_given(attrs + 1, true, out, why);
}

const ftso_op ftso_op_state = {
    .name = "state",
    .doc = "a value kept between runs",
    .operands = "",
    .op_class = FTSO_CLASS_LEAF,
    .flags = FTSO_OP_INTERNAL | FTSO_OP_SHAPED,
    .attrs = {{.name = "name", .kind = FTSO_ATTR_NAME, .doc = "its name, unique among leaves"},
              FTSO_INT_ATTR("rank", 0, "0, 1 or 4"),
              FTSO_INT_ATTR("batched", 0, "always 0"),
              FTSO_SHAPE_ATTRS},
    .attr_count = 7,
    .shape = shape,
    .cost = ftso_ops_cost_none,
};
