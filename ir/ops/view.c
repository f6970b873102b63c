/* view: a run of a value's elements under another shape. No copy: the buffer plan places it inside its base. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_unbatched(inputs[0], "the base of a view", why)) return false;
    if (!ftso_ops_shape_given(attrs + 1, false, out, why)) return false;
    int64_t base = ftso_shape_count(inputs[0]), offset = attrs[0].i;
    int64_t count = ftso_ops_product(out->dim, out->rank);
    if (offset < 0 || offset > base || count > base - offset)
        return ftso_ops_refuse(why, "%lld elements at %lld do not lie inside %lld",
                               (long long)count, (long long)offset, (long long)base);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    size_t count = (size_t)ftso_shape_count(out->shape);
    memcpy(out->data, e->inputs[0].data + e->node->attrs[0].i, count * sizeof *out->data);
}

static int64_t part_offset(const ftso_attr_value *attrs)
{
    return attrs[0].i;
}

const ftso_op ftso_op_view = {
    .name = "view",
    .doc = "elements offset.. of a value without a batch, under another shape",
    .operands = "v",
    .op_class = FTSO_CLASS_ALIAS,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL | FTSO_OP_SHAPED,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("offset", 0, "first element"), FTSO_INT_ATTR("rank", 0, "0, 1 or 4"),
              FTSO_SHAPE_ATTRS},
    .attr_count = 6,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .part_offset = part_offset,
    .tolerance = 1e-7,
};
