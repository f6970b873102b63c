/* dot: the inner product of two batched values, over everything. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!inputs[0].batched)
        return ftso_ops_refuse(why, "the operands of dot have a batch (vector_dot serves others)");
    if (!ftso_ops_need_equal(inputs[0], inputs[1], why)) return false;
    *out = ftso_shape_scalar();
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    out->data[0] =
        ftso_ops_dot(e->inputs[0].data, e->inputs[1].data, ftso_shape_count(e->inputs[0].shape));
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0]) out[0] = ftso_graph_binary(graph, "scale", node.inputs[1], dy);
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "scale", node.inputs[0], dy);
}

const ftso_op ftso_op_dot = {
    .name = "dot",
    .doc = "the sum of x * y over images, channels and pixels",
    .operands = "x, y",
    .op_class = FTSO_CLASS_REDUCTION,
    .flags = FTSO_OP_LINEAR | FTSO_OP_COMMUTES | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 2e-5,
    .kernel_class = "pointwise",
};
