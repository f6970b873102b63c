/* add: the sum of any number of values of one shape. */
#include "ir/ops/ops_internal.h"

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, (int64_t)input_count - 1);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) out->data[i] = e->inputs[0].data[i];
    for (uint32_t k = 1; k < e->node->input_count; k++) {
        const double *term = e->inputs[k].data;
        for (int64_t i = 0; i < count; i++) out->data[i] += term[i];
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    for (uint32_t i = 0; i < ftso_graph_node(graph, self)->input_count; i++)
        if (wanted[i]) out[i] = dy;
}

const ftso_op ftso_op_add = {
    .name = "add",
    .doc = "the elementwise sum of all operands",
    .operands = "a, b, ...",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR | FTSO_OP_COMMUTES,
    .min_inputs = 1,
    .max_inputs = -1,
    .shape = ftso_ops_shape_same,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-6,
    .kernel_class = "pointwise",
};
