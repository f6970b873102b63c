/* avg_pool: the mean over the pixels of each window that lie inside the map (PyTorch: count_include_pad = False). */
#include "ir/ops/ops_internal.h"

#include <string.h>

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
    int64_t in_plane = w.in_h * w.in_w, out_plane = w.out_h * w.out_w;
    int64_t planes = out->shape.dim[0] * out->shape.dim[1];
    ftso_arena arena;
    ftso_arena_init(&arena);
    double *taps = FTSO_ARRAY(&arena, double, (size_t)out_plane);
    ftso_ops_plane_taps(&w, taps);
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t k = 0; k < w.kernel_h * w.kernel_w; k++) {
        ftso_tap tap = ftso_ops_tap(&w, k / w.kernel_w, k % w.kernel_w);
        for (int64_t plane = 0; plane < planes; plane++)
            ftso_ops_plane_gather(&tap, 1, e->inputs[0].data + plane * in_plane,
                                  out->data + plane * out_plane);
    }
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t i = 0; i < out_plane; i++) out->data[plane * out_plane + i] /= taps[i];
    ftso_arena_deinit(&arena);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    const ftso_node *node = ftso_graph_node(graph, self);
    ftso_shape x = ftso_graph_shape(graph, node->inputs[0]);
    ftso_attr_value attrs[8];
    memcpy(attrs, node->attrs, sizeof attrs);
    attrs[6] = FTSO_I(x.dim[2]), attrs[7] = FTSO_I(x.dim[3]);
    out[0] = ftso_graph_add(graph, "avg_pool_dx", &dy, 1, attrs, 8);
}

const ftso_op ftso_op_avg_pool = {
    .name = "avg_pool",
    .doc = "the mean of each window over its pixels inside the map",
    .operands = "x",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_LINEAR,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_POOL_ATTRS},
    .attr_count = 6,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 2e-6,
    .kernel_class = "pool",
};
