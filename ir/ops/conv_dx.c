/* conv_dx(dy, w): the gradient of conv with respect to x, a map of height x width. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_shape dy = inputs[0], w = inputs[1];
    ftso_window window;
    if (!ftso_ops_need_image(dy, "dy", why)) return false;
    if (w.rank != 4 || w.batched) return ftso_ops_refuse(why, "the kernel must be [O, I, kh, kw]");
    if (!ftso_ops_conv_window(attrs, w.dim[2], w.dim[3], attrs[6].i, attrs[7].i, &window, why))
        return false;
    if (w.dim[0] != dy.dim[1] || window.out_h != dy.dim[2] || window.out_w != dy.dim[3])
        return ftso_ops_refuse(why, "dy is not what this convolution makes");
    *out = ftso_shape_image(dy.dim[0], w.dim[1], attrs[6].i, attrs[7].i);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    ftso_shape w = inputs[1];
    return ftso_ops_cost_macs(inputs, input_count, out, ftso_shape_count(inputs[0]),
                              w.dim[1] * w.dim[2] * w.dim[3]);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_shape dy = e->inputs[0].shape, w = e->inputs[1].shape;
    ftso_window window = ftso_ops_conv_window_get(e->node->attrs, w.dim[2], w.dim[3], out->shape);
    int64_t in_plane = window.in_h * window.in_w, out_plane = window.out_h * window.out_w;
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t k = 0; k < w.dim[2] * w.dim[3]; k++) {
        ftso_tap tap = ftso_ops_tap(&window, k / w.dim[3], k % w.dim[3]);
        const double *kernel = e->inputs[1].data + k;
        for (int64_t n = 0; n < dy.dim[0]; n++)
            for (int64_t i = 0; i < w.dim[1]; i++)
                for (int64_t o = 0; o < w.dim[0]; o++)
                    ftso_ops_plane_scatter(&tap, kernel[(o * w.dim[1] + i) * w.dim[2] * w.dim[3]],
                                           e->inputs[0].data + (n * dy.dim[1] + o) * out_plane,
                                           out->data + (n * w.dim[1] + i) * in_plane);
    }
}

/* Linear in both: with g the gradient of dx, dy's is conv(g, w) and w's is conv_dw(dy, g). */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value g, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_shape w = ftso_graph_shape(graph, node.inputs[1]);
    ftso_attr_value attrs[8];
    memcpy(attrs, node.attrs, sizeof attrs);
    attrs[6] = FTSO_I(w.dim[2]), attrs[7] = FTSO_I(w.dim[3]);
    if (wanted[0])
        out[0] = ftso_graph_add(graph, "conv", (ftso_value[]){g, node.inputs[1]}, 2, attrs, 6);
    if (wanted[1])
        out[1] = ftso_graph_add(graph, "conv_dw", (ftso_value[]){node.inputs[0], g}, 2, attrs, 8);
}

const ftso_op ftso_op_conv_dx = {
    .name = "conv_dx",
    .doc = "gradient of conv(x, w) with respect to x, from dy and w",
    .operands = "dy, w[O, I, kh, kw]",
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
    .tolerance = 5e-6,
    .kernel_class = "contract",
};
