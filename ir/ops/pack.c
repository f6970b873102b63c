/* pack: values one after another in one vector. No copy: the buffer plan places the operands inside the result. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)attrs;
    int64_t total = 0;
    for (size_t i = 0; i < input_count; i++) {
        if (!ftso_ops_need_unbatched(inputs[i], "an operand of pack", why)) return false;
        total += ftso_shape_count(inputs[i]);
    }
    *out = ftso_shape_vector(total);
    return true;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    double *to = out->data;
    for (uint32_t i = 0; i < e->node->input_count; i++) {
        size_t count = (size_t)ftso_shape_count(e->inputs[i].shape);
        memcpy(to, e->inputs[i].data, count * sizeof *to);
        to += count;
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    int64_t offset = 0;
    for (uint32_t i = 0; i < node.input_count; i++) {
        ftso_shape part = ftso_graph_shape(graph, node.inputs[i]);
        if (wanted[i]) out[i] = ftso_graph_view(graph, dy, offset, part);
        offset += ftso_shape_count(part);
    }
}

const ftso_op ftso_op_pack = {
    .name = "pack",
    .doc = "the elements of all operands, one after another, as one vector",
    .operands = "v, ...",
    .op_class = FTSO_CLASS_ALIAS,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = -1,
    .shape = shape,
    .cost = ftso_ops_cost_none,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
};
