/* avg_pool_dx(dy): the gradient of avg_pool, a map of height x width. */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_window window;
    if (!ftso_ops_need_image(inputs[0], "dy", why)) return false;
    if (!ftso_ops_pool_window(attrs, attrs[6].i, attrs[7].i, &window, why)) return false;
    if (window.out_h != inputs[0].dim[2] || window.out_w != inputs[0].dim[3])
        return ftso_ops_refuse(why, "dy is not what this pool makes");
    *out = ftso_shape_image(inputs[0].dim[0], inputs[0].dim[1], attrs[6].i, attrs[7].i);
    return true;
}

static ftso_cost cost(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                      ftso_shape out)
{
    ftso_cost result = ftso_ops_cost(inputs, input_count, out, 0);
    result.flops =
        ftso_ops_product((int64_t[]){ftso_shape_count(inputs[0]), attrs[0].i, attrs[0].i}, 3);
    return result;
}

static void eval(const ftso_eval *e, ftso_tensor *out)
{
    ftso_window w = ftso_ops_pool_window_get(e->node->attrs, out->shape);
    int64_t in_plane = w.in_h * w.in_w, out_plane = w.out_h * w.out_w;
    ftso_arena arena;
    ftso_arena_init(&arena);
    int64_t planes = out->shape.dim[0] * out->shape.dim[1];
    double *taps = FTSO_ARRAY(&arena, double, (size_t)out_plane);
    double *share = FTSO_ARRAY(&arena, double, (size_t)(planes * out_plane));
    ftso_ops_plane_taps(&w, taps);
    for (int64_t i = 0; i < planes * out_plane; i++)
        share[i] = e->inputs[0].data[i] / taps[i % out_plane];
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t k = 0; k < w.kernel_h * w.kernel_w; k++) {
        ftso_tap tap = ftso_ops_tap(&w, k / w.kernel_w, k % w.kernel_w);
        for (int64_t plane = 0; plane < planes; plane++)
            ftso_ops_plane_scatter(&tap, 1, share + plane * out_plane,
                                   out->data + plane * in_plane);
    }
    ftso_arena_deinit(&arena);
}

static void gradient(ftso_graph *graph, ftso_value self, ftso_value g, const bool *wanted,
                     ftso_value *out)
{
    if (!wanted[0]) return;
    ftso_node node = *ftso_graph_node(graph, self);
    out[0] = ftso_graph_add(graph, "avg_pool", &g, 1, node.attrs, 6);
}

const ftso_op ftso_op_avg_pool_dx = {
    .name = "avg_pool_dx",
    .doc = "gradient of avg_pool(x), from dy",
    .operands = "dy",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_LINEAR | FTSO_OP_INTERNAL,
    .min_inputs = 1,
    .max_inputs = 1,
    .attrs = {FTSO_POOL_ATTRS, FTSO_INT_ATTR("height", 0, "of x"),
              FTSO_INT_ATTR("width", 0, "of x")},
    .attr_count = 8,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .gradient = gradient,
    .tolerance = 2e-6,
    .kernel_class = "pool",
};
