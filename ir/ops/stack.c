/* stack: numbers side by side as a vector. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)attrs;
    for (size_t i = 0; i < input_count; i++)
        if (!ftso_ops_need_scalar(inputs[i], "an operand of stack", why)) return false;
    *out = ftso_shape_vector((int64_t)input_count);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    for (uint32_t i = 0; i < e->node->input_count; i++) out->data[i] = e->inputs[i].data[0];
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    uint32_t count = ftso_graph_node(graph, self)->input_count;
    for (uint32_t i = 0; i < count; i++)
        if (wanted[i])
            out[i] = ftso_graph_add(graph, "element", &dy, 1, (ftso_attr_value[]){FTSO_I(i)}, 1);
}

const ftso_op ftso_op_stack = {
    .name = "stack",
    .doc = "the operands, numbers, as one vector",
    .operands = "s, t, ...",
    .op_class = FTSO_CLASS_ALGEBRA,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = -1,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "algebra",
};
