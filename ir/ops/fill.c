/* fill: a vector of n times the same number. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_scalar(inputs[0], "the operand of fill", why)) return false;
    if (attrs[0].i < 1)
        return ftso_ops_refuse(why, "n is %lld, must be at least 1", (long long)attrs[0].i);
    *out = ftso_shape_vector(attrs[0].i);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    for (int64_t i = 0; i < out->shape.dim[0]; i++) out->data[i] = e->inputs[0].data[0];
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    (void)self;
    if (wanted[0]) out[0] = ftso_graph_unary(graph, "sum", dy);
}

const ftso_op ftso_op_fill = {
    .name = "fill",
    .doc = "a vector of n times the number s",
    .operands = "s",
    .op_class = FTSO_CLASS_ALGEBRA,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("n", 1, "how long")},
    .attr_count = 1,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "algebra",
};
