/*
 * fold-shift: a shifted image that a convolution reads becomes another padding of the convolution.
 * In: a graph with shift nodes. Out: fewer of them. Shifts move towards the reader through what keeps zero at zero (relu,
 * relu_mask, channel_mul, scale), then conv, dwconv and their weight gradients take them into pad_top … pad_right, and the
 * shift back of an input gradient likewise.
 * Holds only where the window never reads, outside the shifted image, a place that lies inside the original: else the
 * shift's zeros differ from the original's pixels. Start reading at window_allows.
 */
#include "ir/passes/passes_internal.h"

#include <string.h>

enum { STRIDE, DILATION, TOP, BOTTOM, LEFT, RIGHT }; /* attributes of convolutions */

/* The first and last row (or column) that a window reads of `side` pixels. */
static void reach(int64_t side, int64_t before, int64_t after, int64_t span, int64_t stride,
                  int64_t *out_first, int64_t *out_last)
{
    int64_t count = (side + before + after - span) / stride + 1;
    *out_first = -before;
    *out_last = (count - 1) * stride + span - 1 - before;
}

/* Whether reading x directly, moved by `offset`, sees what reading shift(x) sees. */
static bool axis_allows(int64_t side, int64_t before, int64_t after, int64_t span, int64_t stride,
                        int64_t offset)
{
    int64_t first, last;
    reach(side, before, after, span, stride, &first, &last);
    if (offset > 0) return first >= 0;
    return offset == 0 || last <= side - 1;
}

static bool window_allows(const ftso_attr_value *attrs, ftso_shape image, int64_t kernel_h,
                          int64_t kernel_w, int64_t dh, int64_t dw)
{
    int64_t span_h = (kernel_h - 1) * attrs[DILATION].i + 1;
    int64_t span_w = (kernel_w - 1) * attrs[DILATION].i + 1;
    return axis_allows(image.dim[2], attrs[TOP].i, attrs[BOTTOM].i, span_h, attrs[STRIDE].i, dh) &&
           axis_allows(image.dim[3], attrs[LEFT].i, attrs[RIGHT].i, span_w, attrs[STRIDE].i, dw);
}

static void move_window(ftso_attr_value *attrs, int64_t dh, int64_t dw)
{
    attrs[TOP].i -= dh;
    attrs[BOTTOM].i += dh;
    attrs[LEFT].i -= dw;
    attrs[RIGHT].i += dw;
}

static const ftso_node *node_of(const ftso_folder *f, ftso_value value)
{
    return &f->graph->nodes[value];
}

static ftso_value shifted(ftso_folder *f, ftso_value x, int64_t dh, int64_t dw)
{
    return ftso_fold_named(f, "shift", &x, 1, (ftso_attr_value[]){FTSO_I(dh), FTSO_I(dw)});
}

/* f(shift(x)) = shift(f(x)) for one-image operators that keep zero at zero. */
static ftso_value sink(ftso_folder *f, const ftso_node *node, const ftso_value *inputs)
{
    static const char *const commuting[] = {"relu", "channel_mul", "scale"};
    const ftso_node *x = node_of(f, inputs[0]);
    bool moves = false;
    for (size_t i = 0; i < FTSO_COUNT(commuting); i++)
        moves = moves || ftso_node_is(node, commuting[i]);
    if (!moves || !ftso_node_is(x, "shift")) return FTSO_NO_VALUE;
    ftso_value *operands = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    memcpy(operands, inputs, node->input_count * sizeof *operands);
    operands[0] = x->inputs[0];
    ftso_value value = ftso_fold(f, node->op, operands, node->input_count, node->attrs);
    return shifted(f, value, x->attrs[0].i, x->attrs[1].i);
}

/* conv and dwconv of a shifted image; conv_dw and dwconv_dw of a shifted x. */
static ftso_value absorb(ftso_folder *f, const ftso_node *node, const ftso_value *inputs)
{
    bool forward = ftso_node_is(node, "conv") || ftso_node_is(node, "dwconv");
    bool weights = ftso_node_is(node, "conv_dw") || ftso_node_is(node, "dwconv_dw");
    if (!forward && !weights) return FTSO_NO_VALUE;
    ftso_value image = inputs[forward ? 0 : 1];
    const ftso_node *x = node_of(f, image);
    if (!ftso_node_is(x, "shift")) return FTSO_NO_VALUE;
    ftso_shape kernel = forward ? node_of(f, inputs[1])->shape : node->shape;
    int64_t dh = x->attrs[0].i, dw = x->attrs[1].i;
    if (!window_allows(node->attrs, x->shape, kernel.dim[2], kernel.dim[3], dh, dw))
        return FTSO_NO_VALUE;
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    memcpy(attrs, node->attrs, sizeof attrs);
    move_window(attrs, dh, dw);
    ftso_value operands[2] = {inputs[0], inputs[1]};
    operands[forward ? 0 : 1] = x->inputs[0];
    return ftso_fold(f, node->op, operands, 2, attrs);
}

/* shift(-d) of the input gradient of a convolution that read shift(d): the gradient through the moved window. */
static ftso_value absorb_back(ftso_folder *f, const ftso_node *node, const ftso_value *inputs)
{
    if (!ftso_node_is(node, "shift")) return FTSO_NO_VALUE;
    const ftso_node dx = *node_of(f, inputs[0]);
    int64_t dh = -node->attrs[0].i, dw = -node->attrs[1].i;
    if (ftso_node_is(&dx, "shift") && dx.attrs[0].i == dh && dx.attrs[1].i == dw)
        return FTSO_NO_VALUE; /* there and back loses a border */
    if (ftso_node_is(&dx, "relu_mask")) {
        /* masked by the shifted x: mask what is shifted back by x itself */
        const ftso_node mask = *node_of(f, dx.inputs[1]);
        if (!ftso_node_is(&mask, "shift") || mask.attrs[0].i != dh || mask.attrs[1].i != dw)
            return FTSO_NO_VALUE;
        const ftso_node *back = &(ftso_node){.op = node->op, .attrs = {FTSO_I(-dh), FTSO_I(-dw)}};
        ftso_value inner = absorb_back(f, back, &dx.inputs[0]);
        if (inner == FTSO_NO_VALUE) inner = shifted(f, dx.inputs[0], -dh, -dw);
        return ftso_fold_binary(f, "relu_mask", inner, mask.inputs[0]);
    }
    if (!ftso_node_is(&dx, "conv_dx") && !ftso_node_is(&dx, "dwconv_dx")) return FTSO_NO_VALUE;
    ftso_shape kernel = node_of(f, dx.inputs[1])->shape;
    if (!window_allows(dx.attrs, dx.shape, kernel.dim[2], kernel.dim[3], dh, dw))
        return FTSO_NO_VALUE;
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    memcpy(attrs, dx.attrs, sizeof attrs);
    move_window(attrs, dh, dw);
    return ftso_fold(f, dx.op, dx.inputs, dx.input_count, attrs);
}

ftso_status ftso_pass_fold_shift(const ftso_graph *in, ftso_graph *out)
{
    ftso_rebuild r;
    ftso_rebuild_begin(&r, in, out);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!r.live[v]) continue;
        const ftso_value *inputs = ftso_rebuild_operands(&r, node);
        out->origin = node->origin;
        r.map[v] = sink(&r.folder, node, inputs);
        if (r.map[v] == FTSO_NO_VALUE) r.map[v] = absorb(&r.folder, node, inputs);
        if (r.map[v] == FTSO_NO_VALUE) r.map[v] = absorb_back(&r.folder, node, inputs);
        if (r.map[v] == FTSO_NO_VALUE) r.map[v] = ftso_rebuild_node(&r, node);
    }
    ftso_rebuild_end(&r);
    return FTSO_STATUS_OK;
}
