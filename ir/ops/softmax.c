/* softmax: exp(v) normalised to sum 1, over a whole vector. */
#include "ir/ops/ops_internal.h"

#include <math.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count, (void)attrs;
    if (!ftso_ops_need_vector(inputs[0], "the operand of softmax", why)) return false;
    *out = inputs[0];
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 4);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    const double *v = e->inputs[0].data;
    int64_t count = out->shape.dim[0];
    double largest = v[0], total = 0;
    for (int64_t i = 1; i < count; i++) largest = fmax(largest, v[i]);
    for (int64_t i = 0; i < count; i++) total += out->data[i] = exp(v[i] - largest);
    for (int64_t i = 0; i < count; i++) out->data[i] /= total;
}

/* y * (dy - <y, dy>) */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    int64_t count = ftso_graph_shape(graph, self).dim[0];
    ftso_value inner = ftso_graph_binary(graph, "vector_dot", self, dy);
    ftso_value spread =
        ftso_graph_add(graph, "fill", &inner, 1, (ftso_attr_value[]){FTSO_I(count)}, 1);
    out[0] = ftso_graph_binary(graph, "mul", self, ftso_graph_binary(graph, "sub", dy, spread));
}

const ftso_op ftso_op_softmax = {
    .name = "softmax",
    .doc = "exp of each element over the sum of all",
    .operands = "v",
    .op_class = FTSO_CLASS_ALGEBRA,
    .flags = FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 2e-6,
    .kernel_class = "algebra",
};
