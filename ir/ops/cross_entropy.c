/*
 * cross_entropy: the mean over the images of this run of -sum_c t[c] log softmax(logits)[c], where t is 1 - smoothing at
 * the label plus smoothing / classes everywhere.
 */
#include "ir/ops/ops_internal.h"

#include <math.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_image(inputs[0], "the logits", why)) return false;
    if (inputs[0].dim[2] != 1 || inputs[0].dim[3] != 1)
        return ftso_ops_refuse(why, "the logits must be one number per class, not a %lldx%lld map",
                               (long long)inputs[0].dim[2], (long long)inputs[0].dim[3]);
    if (inputs[1].rank != 1 || !inputs[1].batched || inputs[1].dim[0] != inputs[0].dim[0])
        return ftso_ops_refuse(why, "there must be one label per image");
    if (!(attrs[0].r >= 0 && attrs[0].r < 1))
        return ftso_ops_refuse(why, "smoothing is %g, must be at least 0 and below 1", attrs[0].r);
    *out = ftso_shape_scalar();
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    ftso_cost result = ftso_ops_cost(inputs, input_count, out, 0);
    result.flops = 4 * ftso_shape_count(inputs[0]);
    return result;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    int64_t images = e->inputs[0].shape.dim[0], classes = e->inputs[0].shape.dim[1];
    double smoothing = e->node->attrs[0].r, loss = 0;
    for (int64_t n = 0; n < images; n++) {
        const double *z = e->inputs[0].data + n * classes;
        int64_t label = (int64_t)e->inputs[1].data[n];
        if (label < 0 || label >= classes) {
            loss = NAN; /* readers refuse such labels before they come here */
            continue;
        }
        double largest = z[0], total = 0, mean = 0;
        for (int64_t c = 1; c < classes; c++) largest = fmax(largest, z[c]);
        for (int64_t c = 0; c < classes; c++) total += exp(z[c] - largest), mean += z[c];
        double log_total = largest + log(total);
        loss += (1 - smoothing) * (log_total - z[label]) +
                smoothing * (log_total - mean / (double)classes);
    }
    out->data[0] = loss / (double)images;
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_value base = ftso_graph_add(graph, "cross_entropy_dx", node.inputs, 2, node.attrs, 1);
    out[0] = ftso_graph_binary(graph, "scale", base, dy);
}

const ftso_op ftso_op_cross_entropy = {
    .name = "cross_entropy",
    .doc = "mean over the images of -log softmax(logits)[label], with label smoothing",
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
    .gradient = gradient,
    .tolerance = 2e-6,
    .kernel_class = "loss",
};
