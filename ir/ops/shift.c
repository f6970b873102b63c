/* shift: the image moved: out(h, w) = x(h + dh, w + dw), 0 where that is outside. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    for (int i = 0; i < 2; i++)
        if (attrs[i].i <= -inputs[0].dim[2 + i] || attrs[i].i >= inputs[0].dim[2 + i])
            return ftso_ops_refuse(why, "a shift by %lld leaves nothing of a side of %lld",
                                   (long long)attrs[i].i, (long long)inputs[0].dim[2 + i]);
    *out = inputs[0];
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
    int64_t dh = e->node->attrs[0].i, dw = e->node->attrs[1].i, height = out->shape.dim[2],
            width = out->shape.dim[3];
    ftso_window w = {1, 1, 1, 1, -dh, dh, -dw, dw, height, width, height, width};
    ftso_tap tap = ftso_ops_tap(&w, 0, 0);
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t plane = 0; plane < out->shape.dim[0] * out->shape.dim[1]; plane++)
        ftso_ops_plane_gather(&tap, 1, e->inputs[0].data + plane * height * width,
                              out->data + plane * height * width);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    const ftso_node *node = ftso_graph_node(graph, self);
    ftso_attr_value back[] = {FTSO_I(-node->attrs[0].i), FTSO_I(-node->attrs[1].i)};
    out[0] = ftso_graph_add(graph, "shift", &dy, 1, back, 2);
}

const ftso_op ftso_op_shift = {
    .name = "shift",
    .doc = "the map moved up by dh and left by dw, 0 where nothing is left",
    .operands = "x",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_INT_ATTR("dh", 0, "rows"), FTSO_INT_ATTR("dw", 0, "columns")},
    .attr_count = 2,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pool",
};
