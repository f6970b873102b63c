/* dwconv_dw(dy, x): the gradient of dwconv with respect to its kernel, summed over images and pixels. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_shape dy = inputs[0], x = inputs[1];
    ftso_window window;
    if (!ftso_ops_need_image(dy, "dy", why) || !ftso_ops_need_image(x, "x", why)) return false;
    if (!ftso_ops_conv_window(attrs, attrs[6].i, attrs[7].i, x.dim[2], x.dim[3], &window, why))
        return false;
    if (x.dim[0] != dy.dim[0] || x.dim[1] != dy.dim[1] || window.out_h != dy.dim[2] ||
        window.out_w != dy.dim[3])
        return ftso_ops_refuse(why, "dy is not what this convolution makes of x");
    *out = ftso_shape_weight(x.dim[1], 1, attrs[6].i, attrs[7].i);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost_macs(inputs, input_count, out, ftso_shape_count(inputs[0]),
                              out.dim[2] * out.dim[3]);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_shape dy = e->inputs[0].shape, x = e->inputs[1].shape, w = out->shape;
    ftso_window window = ftso_ops_conv_window_get(e->node->attrs, w.dim[2], w.dim[3], x);
    int64_t in_plane = window.in_h * window.in_w, out_plane = window.out_h * window.out_w;
    for (int64_t k = 0; k < w.dim[2] * w.dim[3]; k++) {
        ftso_tap tap = ftso_ops_tap(&window, k / w.dim[3], k % w.dim[3]);
        for (int64_t c = 0; c < w.dim[0]; c++) {
            double total = 0;
            for (int64_t n = 0; n < dy.dim[0]; n++)
                total += ftso_ops_plane_dot(&tap, e->inputs[1].data + (n * w.dim[0] + c) * in_plane,
                                            e->inputs[0].data + (n * w.dim[0] + c) * out_plane);
            out->data[c * w.dim[2] * w.dim[3] + k] = total;
        }
    }
}

/* Linear in both: with g the gradient of dw, dy's is dwconv(x, g) and x's is dwconv_dx(dy, g). */
static void gradient(ftso_graph *graph, ftso_value self, ftso_value g, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_shape x = ftso_graph_shape(graph, node.inputs[1]);
    ftso_attr_value attrs[8];
    memcpy(attrs, node.attrs, sizeof attrs);
    attrs[6] = FTSO_I(x.dim[2]), attrs[7] = FTSO_I(x.dim[3]);
    if (wanted[0])
        out[0] = ftso_graph_add(graph, "dwconv", (ftso_value[]){node.inputs[1], g}, 2, attrs, 6);
    if (wanted[1])
        out[1] = ftso_graph_add(graph, "dwconv_dx", (ftso_value[]){node.inputs[0], g}, 2, attrs, 8);
}

const ftso_op ftso_op_dwconv_dw = {
    .name = "dwconv_dw",
    .doc = "gradient of dwconv(x, w) with respect to w, from dy and x",
    .operands = "dy, x",
    .op_class = FTSO_CLASS_REDUCTION,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = {FTSO_CONV_ATTRS, FTSO_INT_ATTR("kernel_h", 0, "rows of w"),
              FTSO_INT_ATTR("kernel_w", 0, "columns of w")},
    .attr_count = 8,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-5,
    .kernel_class = "depthwise_gradient",
};
