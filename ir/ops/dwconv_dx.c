/* dwconv_dx(dy, w): the gradient of dwconv with respect to x, a map of height x width. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_shape dy = inputs[0], w = inputs[1];
    ftso_window window;
    if (!ftso_ops_need_image(dy, "dy", why)) return false;
    if (w.rank != 4 || w.batched || w.dim[1] != 1)
        return ftso_ops_refuse(why, "the kernel must be [C, 1, kh, kw]");
    if (!ftso_ops_conv_window(attrs, w.dim[2], w.dim[3], attrs[6].i, attrs[7].i, &window, why))
        return false;
    if (w.dim[0] != dy.dim[1] || window.out_h != dy.dim[2] || window.out_w != dy.dim[3])
        return ftso_ops_refuse(why, "dy is not what this convolution makes");
    *out = ftso_shape_image(dy.dim[0], dy.dim[1], attrs[6].i, attrs[7].i);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost_macs(inputs, input_count, out, ftso_shape_count(inputs[0]),
                              inputs[1].dim[2] * inputs[1].dim[3]);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_shape dy = e->inputs[0].shape, w = e->inputs[1].shape;
    ftso_window window = ftso_ops_conv_window_get(e->node->attrs, w.dim[2], w.dim[3], out->shape);
    int64_t in_plane = window.in_h * window.in_w, out_plane = window.out_h * window.out_w;
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t k = 0; k < w.dim[2] * w.dim[3]; k++) {
        ftso_tap tap = ftso_ops_tap(&window, k / w.dim[3], k % w.dim[3]);
        for (int64_t plane = 0; plane < dy.dim[0] * dy.dim[1]; plane++)
            ftso_ops_plane_scatter(
                &tap, e->inputs[1].data[plane % dy.dim[1] * w.dim[2] * w.dim[3] + k],
                e->inputs[0].data + plane * out_plane, out->data + plane * in_plane);
    }
}

/* Linear in both: with g the gradient of dx, dy's is dwconv(g, w) and w's is dwconv_dw(dy, g). */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value g, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_shape w = ftso_graph_shape(graph, node.inputs[1]);
    ftso_attr_value attrs[8];
    memcpy(attrs, node.attrs, sizeof attrs);
    attrs[6] = FTSO_I(w.dim[2]), attrs[7] = FTSO_I(w.dim[3]);
    if (wanted[0])
        out[0] = ftso_graph_add(graph, "dwconv", (ftso_value[]){g, node.inputs[1]}, 2, attrs, 6);
    if (wanted[1])
        out[1] = ftso_graph_add(graph, "dwconv_dw", (ftso_value[]){node.inputs[0], g}, 2, attrs, 8);
}

const ftso_op ftso_op_dwconv_dx = {
    .name = "dwconv_dx",
    .doc = "gradient of dwconv(x, w) with respect to x, from dy and w",
    .operands = "dy, w[C, 1, kh, kw]",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = {FTSO_CONV_ATTRS, FTSO_INT_ATTR("height", 0, "of x"),
              FTSO_INT_ATTR("width", 0, "of x")},
    .attr_count = 8,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 2e-6,
    .kernel_class = "depthwise",
};
