/*
 * batch_norm: the training form: (x - mean) / sqrt(var + eps), then gamma and beta where given; mean and biased variance
 * of each channel over the images of this run and their pixels. Over a single value it is refused (min_batch), as in PyTorch.
 */
#include "ir/ops/ops_internal.h"

#include <math.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    if (!(attrs[0].r > 0 && isfinite(attrs[0].r)))
        return ftso_ops_refuse(why, "eps is %g, must be above 0", attrs[0].r);
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    if (input_count == 2) return ftso_ops_refuse(why, "gamma and beta come together");
    if (input_count == 3 && (!ftso_ops_need_channels(inputs[0], inputs[1], "gamma", why) ||
                             !ftso_ops_need_channels(inputs[0], inputs[2], "beta", why)))
        return false;
    *out = inputs[0];
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 5);
}

static int64_t min_batch(const ftso_shape *inputs, const ftso_attr_value *attrs)
{
    (void)attrs;
    return inputs[0].dim[2] * inputs[0].dim[3] == 1 ? 2 : 1;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(out->shape);
    double count = (double)(s.outer * s.inner);
    for (int64_t c = 0; c < s.channels; c++) {
        double mean = 0, variance = 0;
        for (int64_t n = 0; n < s.outer; n++) {
            const double *x = e->inputs[0].data + (n * s.channels + c) * s.inner;
            for (int64_t i = 0; i < s.inner; i++) mean += x[i];
        }
        mean /= count;
        for (int64_t n = 0; n < s.outer; n++) {
            const double *x = e->inputs[0].data + (n * s.channels + c) * s.inner;
            for (int64_t i = 0; i < s.inner; i++) variance += (x[i] - mean) * (x[i] - mean);
        }
        bool affine = e->node->input_count == 3;
        double factor =
            (affine ? e->inputs[1].data[c] : 1) / sqrt(variance / count + e->node->attrs[0].r);
        double term = affine ? e->inputs[2].data[c] : 0;
        for (int64_t n = 0; n < s.outer; n++) {
            int64_t at = (n * s.channels + c) * s.inner;
            for (int64_t i = at; i < at + s.inner; i++)
                out->data[i] = (e->inputs[0].data[i] - mean) * factor + term;
        }
    }
}

/*
 * With r = 1/sqrt(var + eps), g = gamma r (or r), S = sum dy, T = r (sum dy x - mean S) = sum dy xhat, m = 1/(n pixels):
 * dgamma = T, dbeta = S, dx = g dy - k x + (k mean - g m S) where k = g r m T.
 */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_value x = ftso_graph_unshifted(graph, node.inputs[0]), mean, rstd;
    ftso_graph_statistics(graph, x, node.attrs[0].r, &mean, NULL, &rstd);
    ftso_value total = ftso_graph_unary(graph, "channel_sum", dy);
    ftso_value product = ftso_graph_binary(graph, "channel_dot", dy, x);
    ftso_value centred =
        ftso_graph_binary(graph, "sub", product, ftso_graph_binary(graph, "mul", mean, total));
    ftso_value along = ftso_graph_binary(graph, "mul", rstd, centred);
    if (node.input_count == 3 && wanted[1]) out[1] = along;
    if (node.input_count == 3 && wanted[2]) out[2] = total;
    if (!wanted[0]) return;
    ftso_value share =
        ftso_graph_add(graph, "mean_scale", NULL, 0,
                       (ftso_attr_value[]){FTSO_I(node.shape.dim[2] * node.shape.dim[3])}, 1);
    ftso_value g =
        node.input_count == 3 ? ftso_graph_binary(graph, "mul", node.inputs[1], rstd) : rstd;
    ftso_value k = ftso_graph_binary(graph, "scale", along, share);
    k = ftso_graph_binary(graph, "mul", ftso_graph_binary(graph, "mul", g, rstd), k);
    ftso_value of_mean =
        ftso_graph_binary(graph, "mul", g, ftso_graph_binary(graph, "scale", total, share));
    ftso_value offset =
        ftso_graph_binary(graph, "sub", ftso_graph_binary(graph, "mul", k, mean), of_mean);
    ftso_value of_dy = ftso_graph_binary(graph, "channel_mul", dy, g);
    ftso_value of_x = ftso_graph_binary(graph, "channel_mul", x, k);
    ftso_value slope = ftso_graph_binary(graph, "sub", of_dy, of_x);
    out[0] = ftso_graph_binary(graph, "channel_add", slope, offset);
}

const ftso_op ftso_op_batch_norm = {
    .name = "batch_norm",
    .doc =
        "x normalised per channel by the statistics of this run; times gamma plus beta where given",
    .operands = "x, gamma[C], beta[C]",
    .op_class = FTSO_CLASS_REDUCTION,
    .min_inputs = 1,
    .max_inputs = 3,
    .attrs = {FTSO_REAL_ATTR("eps", 1e-5, "added to the variance")},
    .attr_count = 1,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .min_batch = min_batch,
    .tolerance = 1e-5,
};
