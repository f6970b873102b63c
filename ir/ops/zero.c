/* zero: 0 everywhere, on the map that every stride-th pixel of x would make. x is read for its shape alone. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    int64_t stride = attrs[0].i;
    if (stride < 1)
        return ftso_ops_refuse(why, "stride is %lld, must be at least 1", (long long)stride);
    *out = inputs[0];
    if (stride == 1) return true;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    for (int d = 2; d < 4; d++) out->dim[d] = (out->dim[d] - 1) / stride + 1;
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)inputs, (void)input_count, (void)attrs;
    return ftso_ops_cost(NULL, 0, out, 0);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    (void)e;
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    (void)graph, (void)self, (void)dy, (void)wanted, (void)out; /* nothing flows */
}

const ftso_op ftso_op_zero = {
    .name = "zero",
    .doc = "0 in the shape of x, or of every stride-th pixel of x",
    .operands = "x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("stride", 1, "pixels of x per pixel of the result")},
    .attr_count = 1,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
