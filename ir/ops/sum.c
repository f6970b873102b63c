/* sum: all numbers of a vector added up. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_vector(inputs[0], "the operand of sum", why)) return false;
    *out = ftso_shape_scalar();
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    double total = 0;
    for (int64_t i = 0; i < e->inputs[0].shape.dim[0]; i++) total += e->inputs[0].data[i];
    out->data[0] = total;
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    int64_t count = ftso_graph_shape(graph, ftso_graph_node(graph, self)->inputs[0]).dim[0];
    out[0] = ftso_graph_add(graph, "fill", &dy, 1, (ftso_attr_value[]){FTSO_I(count)}, 1);
}

const ftso_op ftso_op_sum = {
    .name = "sum",
    .doc = "all elements of a vector added up",
    .operands = "v",
    .op_class = FTSO_CLASS_ALGEBRA,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .cost = ftso_ops_cost_reduce,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-5,
    .kernel_class = "algebra",
};
