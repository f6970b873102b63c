/*
 * shuffle: the channel shuffle of K groups, applied `power` times: once is out[j] = x[(j % K) * (C/K) + j / K].
 * Source: PC-DARTS (channel_shuffle). Holds: with M = C/K, channel j < C-1 takes j * M mod (C-1), so powers multiply and
 * come back to 1 after the multiplicative order of M.
 */
#include "ir/ops/ops_internal.h"

#include <string.h>

int64_t ftso_shuffle_order(int64_t channels, int64_t groups)
{
    int64_t modulus = channels - 1, factor = channels / groups;
    if (modulus <= 1) return 1;
    int64_t order =
        1; /* groups divides channels, so factor and modulus share no divisor: it ends */
    for (int64_t product = factor % modulus; product != 1; product = product * factor % modulus)
        order++;
    return order;
}

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    if (!ftso_ops_need_channel_axis(inputs[0], "the operand of shuffle", why)) return false;
    int64_t channels = ftso_ops_channels(inputs[0]).channels;
    if (attrs[0].i < 1 || channels % attrs[0].i)
        return ftso_ops_refuse(why, "%lld channels do not divide into %lld groups",
                               (long long)channels, (long long)attrs[0].i);
    if (channels > 1 << 24)
        return ftso_ops_refuse(why, "%lld channels are too many to shuffle", (long long)channels);
    if (attrs[1].i < 0)
        return ftso_ops_refuse(why, "power is %lld, must be at least 0", (long long)attrs[1].i);
    return ftso_ops_shape_same(inputs, input_count, attrs, out, why);
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 0);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels s = ftso_ops_channels(out->shape);
    int64_t groups = e->node->attrs[0].i, width = s.channels / groups;
    int64_t power = e->node->attrs[1].i % ftso_shuffle_order(s.channels, groups);
    for (int64_t j = 0; j < s.channels; j++) {
        int64_t from = j;
        for (int64_t p = 0; p < power; p++) from = from % groups * width + from / groups;
        for (int64_t n = 0; n < s.outer; n++)
            memcpy(out->data + (n * s.channels + j) * s.inner,
                   e->inputs[0].data + (n * s.channels + from) * s.inner,
                   (size_t)s.inner * sizeof *out->data);
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    const ftso_node *node = ftso_graph_node(graph, self);
    int64_t groups = node->attrs[0].i;
    int64_t order = ftso_shuffle_order(ftso_ops_channels(node->shape).channels, groups);
    int64_t back = (order - node->attrs[1].i % order) % order;
    out[0] = ftso_graph_add(graph, "shuffle", &dy, 1,
                            (ftso_attr_value[]){FTSO_I(groups), FTSO_I(back)}, 2);
}

const ftso_op ftso_op_shuffle = {
    .name = "shuffle",
    .doc = "the channel shuffle of K groups, `power` times",
    .operands = "x",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("groups", 1, "K; divides the channels"),
              FTSO_INT_ATTR("power", 1, "times")},
    .attr_count = 2,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
