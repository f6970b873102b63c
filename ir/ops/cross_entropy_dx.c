/* cross_entropy_dx(logits, labels): the gradient of the mean loss: (softmax - target) / n. */
#include "ir/ops/ops_internal.h"

#include <math.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    if (!ftso_op_cross_entropy.shape(inputs, input_count, attrs, out, why)) return false;
    *out = inputs[0];
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 5);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t images = e->inputs[0].shape.dim[0], classes = e->inputs[0].shape.dim[1];
    double smoothing = e->node->attrs[0].r;
    for (int64_t n = 0; n < images; n++) {
        const double *z = e->inputs[0].data + n * classes;
        double *to = out->data + n * classes;
        int64_t label = (int64_t)e->inputs[1].data[n];
        double largest = z[0], total = 0;
        for (int64_t c = 1; c < classes; c++) largest = fmax(largest, z[c]);
        for (int64_t c = 0; c < classes; c++) total += to[c] = exp(z[c] - largest);
        for (int64_t c = 0; c < classes; c++) {
            double target = smoothing / (double)classes + (c == label ? 1 - smoothing : 0);
            to[c] = (to[c] / total - target) / (double)images;
        }
    }
}

const ftso_op ftso_op_cross_entropy_dx = {
    .name = "cross_entropy_dx",
    .doc = "gradient of cross_entropy with respect to the logits",
    .operands = "logits[N, C, 1, 1], labels[N]",
    .op_class = FTSO_CLASS_IMAGE,
    .flags = FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = {FTSO_REAL_ATTR("smoothing", 0, "share of the target spread over all classes")},
    .attr_count = 1,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .tolerance = 2e-6,
    .kernel_class = "loss",
};
