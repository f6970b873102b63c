/*
 * column: one channel of an image of one pixel, as one number per image: one edge's drop-path mask among all of them. No copy:
 * its numbers lie in x, as far apart as x's images. No gradient flows into masks.
 */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_image(inputs[0], "the operand of column", why)) return false;
    if (inputs[0].dim[2] != 1 || inputs[0].dim[3] != 1)
        return ftso_ops_refuse(why, "the operand of column must have one pixel");
    if (attrs[0].i < 0 || attrs[0].i >= inputs[0].dim[1])
        return ftso_ops_refuse(why, "there is no channel %lld among %lld", (long long)attrs[0].i,
                               (long long)inputs[0].dim[1]);
    *out = (ftso_shape){.rank = 1, .batched = true, .dim = {inputs[0].dim[0]}};
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t channels = e->inputs[0].shape.dim[1];
    for (int64_t n = 0; n < out->shape.dim[0]; n++)
        out->data[n] = e->inputs[0].data[n * channels + e->node->attrs[0].i];
}

const ftso_op ftso_op_column = {
    .name = "column",
    .doc = "m[n] = x[n, index, 0, 0]",
    .operands = "x",
    .op_class = FTSO_CLASS_ALIAS,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("index", 0, "the channel")},
    .attr_count = 1,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .tolerance = 1e-7,
};
