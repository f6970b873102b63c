/* relu_mask: the gradient of relu: dy where x > 0. Flat in x, so no gradient flows there. */
#include "ir/ops/ops_internal.h"

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    const double *dy = e->inputs[0].data, *x = e->inputs[1].data;
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) {
        bool open = e->replay ? e->frozen[i] != 0 : x[i] > 0;
        if (e->frozen && !e->replay) e->frozen[i] = open;
        out->data[i] = open ? dy[i] : 0;
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (wanted[0])
        out[0] = ftso_graph_binary(graph, "relu_mask", dy, ftso_graph_node(graph, self)->inputs[1]);
}

const ftso_op ftso_op_relu_mask = {
    .name = "relu_mask",
    .doc = "dy where x > 0, else 0",
    .operands = "dy, x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR | FTSO_OP_KINKED | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = ftso_ops_shape_same,
    .cost = ftso_ops_cost_one,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
