/* conv: the dense two-dimensional convolution (correlation), no bias. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_shape x = inputs[0], w = inputs[1];
    ftso_window window;
    if (!ftso_ops_need_image(x, "x", why)) return false;
    if (w.rank != 4 || w.batched) return ftso_ops_refuse(why, "the kernel must be [O, I, kh, kw]");
    if (w.dim[1] != x.dim[1])
        return ftso_ops_refuse(why, "the kernel reads %lld channels, x has %lld",
                               (long long)w.dim[1], (long long)x.dim[1]);
    if (!ftso_ops_conv_window(attrs, w.dim[2], w.dim[3], x.dim[2], x.dim[3], &window, why))
        return false;
    *out = ftso_shape_image(x.dim[0], w.dim[0], window.out_h, window.out_w);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    (void)attrs;
    ftso_shape w = inputs[1];
    return ftso_ops_cost_macs(inputs, input_count, out, ftso_shape_count(out),
                              w.dim[1] * w.dim[2] * w.dim[3]);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_shape x = e->inputs[0].shape, w = e->inputs[1].shape;
    ftso_window window = ftso_ops_conv_window_get(e->node->attrs, w.dim[2], w.dim[3], x);
    int64_t in_plane = x.dim[2] * x.dim[3], out_plane = window.out_h * window.out_w;
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t k = 0; k < w.dim[2] * w.dim[3]; k++) {
        ftso_tap tap = ftso_ops_tap(&window, k / w.dim[3], k % w.dim[3]);
        const double *kernel = e->inputs[1].data + k;
        for (int64_t n = 0; n < x.dim[0]; n++)
            for (int64_t o = 0; o < w.dim[0]; o++)
                for (int64_t i = 0; i < w.dim[1]; i++)
                    ftso_ops_plane_gather(&tap, kernel[(o * w.dim[1] + i) * w.dim[2] * w.dim[3]],
                                          e->inputs[0].data + (n * x.dim[1] + i) * in_plane,
                                          out->data + (n * w.dim[0] + o) * out_plane);
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    ftso_shape x = ftso_graph_shape(graph, node.inputs[0]),
               w = ftso_graph_shape(graph, node.inputs[1]);
    ftso_attr_value attrs[8];
    memcpy(attrs, node.attrs, sizeof attrs);
    attrs[6] = FTSO_I(x.dim[2]), attrs[7] = FTSO_I(x.dim[3]);
    if (wanted[0])
        out[0] = ftso_graph_add(graph, "conv_dx", (ftso_value[]){dy, node.inputs[1]}, 2, attrs, 8);
    attrs[6] = FTSO_I(w.dim[2]), attrs[7] = FTSO_I(w.dim[3]);
    if (wanted[1])
        out[1] = ftso_graph_add(graph, "conv_dw", (ftso_value[]){dy, node.inputs[0]}, 2, attrs, 8);
}

const ftso_op ftso_op_conv = {
    .name = "conv",
    .doc = "x convolved with the kernel w[O, I, kh, kw]; 0 outside the map",
    .operands = "x, w[O, I, kh, kw]",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = {FTSO_CONV_ATTRS},
    .attr_count = 6,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 5e-6,
    .kernel_class = "contract",
};
