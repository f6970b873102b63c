/*
 * max_pool_dx(dy, x): the gradient of max_pool: dy goes to the largest pixel of its window, the first in row order on a
 * tie (as PyTorch does). Flat in x, so no gradient flows there; with respect to dy it is not needed.
 */
#include "ir/ops/ops_internal.h"

#include <string.h>

static bool shape(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                  ftso_shape *out, ftso_text *why)
{
    (void)input_count;
    ftso_window window;
    if (!ftso_ops_need_image(inputs[0], "dy", why) || !ftso_ops_need_image(inputs[1], "x", why))
        return false;
    if (!ftso_ops_pool_window(attrs, inputs[1].dim[2], inputs[1].dim[3], &window, why))
        return false;
    ftso_shape made =
        ftso_shape_image(inputs[1].dim[0], inputs[1].dim[1], window.out_h, window.out_w);
    if (!ftso_shape_equal(made, inputs[0]))
        return ftso_ops_refuse(why, "dy is not what this pool makes of x");
    *out = inputs[1];
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
    ftso_window w = ftso_ops_pool_window_get(e->node->attrs, e->inputs[1].shape);
    int64_t in_plane = w.in_h * w.in_w, at = 0;
    memset(out->data, 0, (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
    for (int64_t plane = 0; plane < out->shape.dim[0] * out->shape.dim[1]; plane++) {
        const double *x = e->inputs[1].data + plane * in_plane;
        for (int64_t oh = 0; oh < w.out_h; oh++)
            for (int64_t ow = 0; ow < w.out_w; ow++, at++) {
                int32_t tap = e->replay ? e->frozen[at] : ftso_ops_plane_argmax(&w, x, oh, ow);
                if (e->frozen && !e->replay) e->frozen[at] = tap;
                out->data[plane * in_plane + ftso_ops_plane_index(&w, tap, oh, ow)] +=
                    e->inputs[0].data[at];
            }
    }
}

const ftso_op ftso_op_max_pool_dx = {
    .name = "max_pool_dx",
    .doc = "gradient of max_pool(x), from dy and x",
    .operands = "dy, x",
    .op_class = FTSO_CLASS_WINDOW,
    .flags = FTSO_OP_LINEAR | FTSO_OP_KINKED | FTSO_OP_INTERNAL,
    .min_inputs = 2,
    .max_inputs = 2,
    .attrs = {FTSO_POOL_ATTRS},
    .attr_count = 6,
    .shape = shape,
    .cost = cost,
    .eval = eval,
    .tolerance = 1e-6,
    .kernel_class = "pool",
};
