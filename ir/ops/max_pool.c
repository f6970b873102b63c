/* max_pool: the largest pixel of each window; outside the map counts as minus infinity. */
#include "ir/ops/ops_internal.h"

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_window window;
    if (!ftso_ops_need_image(inputs[0], "x", why)) return false;
    if (!ftso_ops_pool_window(attrs, inputs[0].dim[2], inputs[0].dim[3], &window, why))
        return false;
    *out = ftso_shape_image(inputs[0].dim[0], inputs[0].dim[1], window.out_h, window.out_w);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    return ftso_ops_cost(inputs, input_count, out, attrs[0].i * attrs[0].i);
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_window w = ftso_ops_pool_window_get(e->node->attrs, e->inputs[0].shape);
    int64_t in_plane = w.in_h * w.in_w, at = 0;
    for (int64_t plane = 0; plane < out->shape.dim[0] * out->shape.dim[1]; plane++) {
        const double *x = e->inputs[0].data + plane * in_plane;
        for (int64_t oh = 0; oh < w.out_h; oh++)
            for (int64_t ow = 0; ow < w.out_w; ow++, at++) {
                int32_t tap = e->replay ? e->frozen[at] : ftso_ops_plane_argmax(&w, x, oh, ow);
                if (e->frozen && !e->replay) e->frozen[at] = tap;
                out->data[at] = x[ftso_ops_plane_index(&w, tap, oh, ow)];
            }
    }
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0])
        out[0] = ftso_graph_add(graph, "max_pool_dx", (ftso_value[]){dy, node.inputs[0]}, 2,
                                node.attrs, 6);
}

const ftso_op ftso_op_max_pool = {
    .name = "max_pool",
    .doc = "the largest pixel of each window, outside the map left out",
    .operands = "x",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_KINKED,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_POOL_ATTRS},
    .attr_count = 6,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 1e-7,
    .kernel_class = "pool",
};
