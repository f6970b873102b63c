/* concat: the channels of all operands, one after another; of vectors, the elements. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)attrs;
    int64_t total = 0;
    for (size_t i = 0; i < input_count; i++) {
        if (!ftso_ops_need_channel_axis(inputs[i], "an operand of concat", why)) return false;
        if (!ftso_ops_need_equal(ftso_ops_with_channels(inputs[0], 1),
                                 ftso_ops_with_channels(inputs[i], 1), why))
            return false;
        total += ftso_ops_channels(inputs[i]).channels;
    }
    *out = ftso_ops_with_channels(inputs[0], total);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 0);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_channels all = ftso_ops_channels(out->shape);
    int64_t begin = 0;
    for (uint32_t k = 0; k < e->node->input_count; k++) {
        ftso_channels part = ftso_ops_channels(e->inputs[k].shape);
        int64_t run = part.channels * part.inner;
        for (int64_t n = 0; n < part.outer; n++)
            memcpy(out->data + (n * all.channels + begin) * all.inner, e->inputs[k].data + n * run,
                   (size_t)run * sizeof *out->data);
        begin += part.channels;
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    int64_t begin = 0;
    for (uint32_t i = 0; i < node.input_count; i++) {
        int64_t end = begin + ftso_ops_channels(ftso_graph_shape(graph, node.inputs[i])).channels;
        if (wanted[i])
            out[i] = ftso_graph_add(graph, "slice", &dy, 1,
                                    (ftso_attr_value[]){FTSO_I(begin), FTSO_I(end)}, 2);
        begin = end;
    }
}

const ftso_op ftso_op_concat = {
    .name = "concat",
    .doc = "the channels of all operands, one after another",
    .operands = "x, y, ...",
    .op_class = FTSO_CLASS_POINTWISE,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = -1,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pointwise",
};
