/*
 * What the operator files share: refusals with a reason, shape questions, costs, attribute specs, and the loops over one
 * plane of an image that every window operator is made of.
 * Holds: an operator's file contains its record and nothing that another operator's record needs.
 */
#ifndef FTSO_OPS_INTERNAL_H
#define FTSO_OPS_INTERNAL_H

#include "ir/ir.h"

/* One record per primitive, each in the file of its name; ops.c lists them. */
/* clang-format off */
#define FTSO_PRIMITIVE_LIST(X)                                                                     \
    X(input) X(state) X(constant) X(mean_scale) X(view) X(pack) X(column)                          \
    X(add) X(sub) X(mul) X(div) X(min) X(max) X(scale) X(sqrt) X(rsqrt) X(relu) X(relu_mask)       \
    X(channel_mul) X(channel_add) X(concat) X(slice) X(embed) X(shuffle) X(zero) X(sample_mul)     \
    X(element) X(stack) X(softmax) X(sum) X(fill) X(vector_dot)                                    \
    X(conv) X(conv_dx) X(conv_dw) X(dwconv) X(dwconv_dx) X(dwconv_dw)                              \
    X(max_pool) X(max_pool_dx) X(avg_pool) X(avg_pool_dx) X(shift)                                 \
    X(global_avg_pool) X(spread) X(channel_sum) X(channel_dot) X(dot)                              \
    X(batch_norm) X(cross_entropy) X(cross_entropy_dx)
/* clang-format on */

#define FTSO_DECLARE_OP(name) extern const ftso_op ftso_op_##name;
FTSO_PRIMITIVE_LIST(FTSO_DECLARE_OP)
#undef FTSO_DECLARE_OP

/* ---------------------------------------------------------------- shapes */

/* Writes the sentence to `why` (may be NULL) and returns false. */
bool ftso_ops_refuse(ftso_text *why, const char *fmt, ...) FTSO_PRINTF(2, 3);
/* Refuses unless the shape is what the name says. `what` names the operand in the sentence: "x", "the kernel". */
bool ftso_ops_need_image(ftso_shape shape, const char *what, ftso_text *why);
bool ftso_ops_need_vector(ftso_shape shape, const char *what, ftso_text *why);
bool ftso_ops_need_scalar(ftso_shape shape, const char *what, ftso_text *why);
bool ftso_ops_need_unbatched(ftso_shape shape, const char *what, ftso_text *why);
bool ftso_ops_need_equal(ftso_shape a, ftso_shape b, ftso_text *why);
/* Refuses a vector that is not as long as the image has channels. */
bool ftso_ops_need_channels(ftso_shape image, ftso_shape vector, const char *what, ftso_text *why);
/* Shape rule of elementwise operators: all inputs have one shape, which is the output's. */
bool ftso_ops_shape_same(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                         ftso_shape *out, ftso_text *why);
/* The shape that attributes rank, [batched,] d0..d3 spell, starting at attrs[0]. */
bool ftso_ops_shape_given(const ftso_attr_value *attrs, bool has_batched, ftso_shape *out,
                          ftso_text *why);

/* A value seen as [outer][channels][inner]: an image's channels, or a vector's elements. */
typedef struct ftso_channels {
    int64_t outer, channels, inner;
} ftso_channels;
ftso_channels ftso_ops_channels(ftso_shape shape);
/* Refuses anything but an image or a vector. */
bool ftso_ops_need_channel_axis(ftso_shape shape, const char *what, ftso_text *why);
/* `shape` with another number of channels. */
ftso_shape ftso_ops_with_channels(ftso_shape shape, int64_t channels);

/* ---------------------------------------------------------------- costs */

/* Saturating product of non-negative factors. */
int64_t ftso_ops_product(const int64_t *factors, size_t count);
/* Reads every input once, writes the output once, `flops_per_output` each, no macs. */
ftso_cost ftso_ops_cost(const ftso_shape *inputs, size_t input_count, ftso_shape out,
                        int64_t flops_per_output);
/* One operation per output element. */
ftso_cost ftso_ops_cost_one(const ftso_shape *inputs, size_t input_count,
                            const ftso_attr_value *attrs, ftso_shape out);
/* One multiply-add per element of the first input: reductions. */
ftso_cost ftso_ops_cost_reduce(const ftso_shape *inputs, size_t input_count,
                               const ftso_attr_value *attrs, ftso_shape out);
/* No work: leaves and aliases. */
ftso_cost ftso_ops_cost_none(const ftso_shape *inputs, size_t input_count,
                             const ftso_attr_value *attrs, ftso_shape out);

/* ---------------------------------------------------------------- attributes */

#define FTSO_INT_ATTR(attr, value, text)                                                           \
    {                                                                                              \
        .name = (attr), .kind = FTSO_ATTR_INT, .fallback = {.i = (value)}, .doc = (text)           \
    }
#define FTSO_REAL_ATTR(attr, value, text)                                                          \
    {                                                                                              \
        .name = (attr), .kind = FTSO_ATTR_REAL, .fallback = {.r = (value)}, .doc = (text)          \
    }

#define FTSO_SHAPE_ATTRS                                                                           \
    FTSO_INT_ATTR("d0", 0, "first dimension"), FTSO_INT_ATTR("d1", 0, "second dimension"),         \
        FTSO_INT_ATTR("d2", 0, "third dimension"), FTSO_INT_ATTR("d3", 0, "fourth dimension")

/* attrs[0..5] of convolutions and their gradients. */
#define FTSO_CONV_ATTRS                                                                            \
    FTSO_INT_ATTR("stride", 1, "pixels from one window to the next"),                              \
        FTSO_INT_ATTR("dilation", 1, "pixels from one tap to the next"), FTSO_PAD_ATTRS
/* attrs[0..5] of pools and their gradients. */
#define FTSO_POOL_ATTRS                                                                            \
    FTSO_INT_ATTR("kernel", 1, "side of the window"),                                              \
        FTSO_INT_ATTR("stride", 1, "pixels from one window to the next"), FTSO_PAD_ATTRS
#define FTSO_PAD_ATTRS                                                                             \
    FTSO_INT_ATTR("pad_top", 0, "rows outside above; negative: rows left out"),                    \
        FTSO_INT_ATTR("pad_bottom", 0, "rows outside below"),                                      \
        FTSO_INT_ATTR("pad_left", 0, "columns outside on the left"),                               \
        FTSO_INT_ATTR("pad_right", 0, "columns outside on the right")

/* ---------------------------------------------------------------- windows */

/* A window over planes [in_h][in_w] giving planes [out_h][out_w]; tap (kh, kw) of output (oh, ow) reads the pixel
 * (oh * stride + kh * dilation - top, ow * stride + kw * dilation - left), zero where that is outside. */
typedef struct ftso_window {
    int64_t kernel_h, kernel_w, stride, dilation, top, bottom, left, right;
    int64_t in_h, in_w, out_h, out_w;
} ftso_window;

/* Fills the window from FTSO_CONV_ATTRS or FTSO_POOL_ATTRS; refuses numbers that make no window. */
bool ftso_ops_conv_window(const ftso_attr_value *attrs, int64_t kernel_h, int64_t kernel_w,
                          int64_t in_h, int64_t in_w, ftso_window *out, ftso_text *why);
/* As above; pools also refuse a padding as large as the window, where a window would see no pixel. */
bool ftso_ops_pool_window(const ftso_attr_value *attrs, int64_t in_h, int64_t in_w,
                          ftso_window *out, ftso_text *why);
/* Same, for evaluation: the node's shapes have been accepted before. */
ftso_window ftso_ops_conv_window_get(const ftso_attr_value *attrs, int64_t kernel_h,
                                     int64_t kernel_w, ftso_shape in);
ftso_window ftso_ops_pool_window_get(const ftso_attr_value *attrs, ftso_shape in);

/* Outputs [lo, hi) whose tap at `offset` (= k * dilation - pad) is inside [0, in). */
void ftso_ops_tap_range(int64_t offset, int64_t stride, int64_t in, int64_t out, int64_t *out_lo,
                        int64_t *out_hi);
/* What one tap does on a plane: the rectangle of outputs that it serves, and where in the input its first pixel lies. */
typedef struct ftso_tap {
    int64_t row_lo, row_hi, column_lo, columns;
    int64_t first,
        row_step; /* input index for (row_lo, column_lo); from one output row to the next */
    int64_t stride, out_w;
} ftso_tap;
ftso_tap ftso_ops_tap(const ftso_window *w, int64_t kh, int64_t kw);
/* out += weight * (in as the tap sees it). */
void ftso_ops_plane_gather(const ftso_tap *tap, double weight, const double *in, double *out);
/* The transpose: in += weight * out at the pixels that the tap reads. */
void ftso_ops_plane_scatter(const ftso_tap *tap, double weight, const double *out, double *in);
/* Inner product of `out` with `in` as the tap sees it. */
double ftso_ops_plane_dot(const ftso_tap *tap, const double *in, const double *out);
/* Number of taps inside the image for each output pixel. */
void ftso_ops_plane_taps(const ftso_window *w, double *counts);
/* The tap of the largest pixel, first in row order on a tie; kh * kernel_w + kw. */
int32_t ftso_ops_plane_argmax(const ftso_window *w, const double *in, int64_t oh, int64_t ow);
/* Index into the input plane of tap number `tap` of output (oh, ow). */
int64_t ftso_ops_plane_index(const ftso_window *w, int32_t tap, int64_t oh, int64_t ow);

/* multiply-adds of a contraction: `each` per element of `out`, with its bytes. */
ftso_cost ftso_ops_cost_macs(const ftso_shape *inputs, size_t input_count, ftso_shape out,
                             int64_t positions, int64_t each);

/* Evaluation and gradient of the inner product of two values, whatever their shape: dot, vector_dot. */
void ftso_ops_dot_eval(const ftso_eval *e, ftso_tensor *out);
void ftso_ops_dot_gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                           ftso_value *out);
/* Evaluation of min (sign -1) and max (sign 1), b on a tie, and the gradient, which goes where the value came from. */
void ftso_ops_extreme_eval(const ftso_eval *e, ftso_tensor *out, int sign);
void ftso_ops_extreme_gradient(ftso_graph *graph, ftso_value self, ftso_value dy,
                               const bool *wanted, ftso_value *out, int sign);
/* Inner product of two runs of numbers. */
double ftso_ops_dot(const double *a, const double *b, int64_t count);

#endif
