/* mean_scale: 1 / (n * pixels). Beside the loss the only operator that knows how many images a run has. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)inputs, (void)input_count;
    if (attrs[0].i < 1)
        return ftso_ops_refuse(why, "pixels is %lld, must be at least 1", (long long)attrs[0].i);
    *out = ftso_shape_scalar();
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    out->data[0] = 1.0 / ((double)e->batch * (double)e->node->attrs[0].i);
}

const ftso_op ftso_op_mean_scale = {
    .name = "mean_scale",
    .doc = "1 / (n * pixels), n the number of images in this run",
    .operands = "",
    .op_class = FTSO_CLASS_LEAF,
    .flags = FTSO_OP_INTERNAL,
    .attrs = {FTSO_INT_ATTR("pixels", 1, "pixels per image")},
    .attr_count = 1,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .tolerance = 1e-6,
    .kernel_class = "algebra",
};
