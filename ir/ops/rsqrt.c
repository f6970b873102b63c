/*
 * rsqrt: 1 / sqrt(max(x, 0) + eps). x is a variance made as E[x^2] - E[x]^2, which rounding can take just below 0: without
 * the bound a constant channel of large value would give NaN.
 */
#include "ir/ops/ops_internal.h"

#include <math.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    if (!(attrs[0].r >= 0 && isfinite(attrs[0].r)))
        return ftso_ops_refuse(why, "eps is %g, must be at least 0", attrs[0].r);
    return ftso_ops_shape_same(inputs, input_count, attrs, out, why);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++)
        out->data[i] = 1 / sqrt(fmax(e->inputs[0].data[i], 0) + e->node->attrs[0].r);
}

/* -dy y^3 / 2 */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    ftso_value cube =
        ftso_graph_binary(graph, "mul", ftso_graph_binary(graph, "mul", self, self), self);
    out[0] = ftso_graph_times(graph, ftso_graph_binary(graph, "mul", dy, cube), -0.5);
}

const ftso_op ftso_op_rsqrt = {
    .name = "rsqrt",
    .doc = "1 / sqrt(max(x, 0) + eps) of each element",
    .operands = "x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_REAL_ATTR("eps", 0, "added under the root")},
    .attr_count = 1,
    .shape = shape,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "pointwise",
};
