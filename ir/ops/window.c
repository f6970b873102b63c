/*
 * Windows: what convolutions, pools and their gradients share.
 * In: attributes and map sides. Out: a window, and loops over one plane that the operators call once per channel pair
 * and tap.
 */
#include "ir/ops/ops_internal.h"

enum {
    LARGEST = 1 << 20
}; /* of any stride, dilation, padding or side: products stay far from overflow */

static bool need_between(int64_t value, int64_t lowest, const char *what, ftso_text *why)
{
    if (value >= lowest && value <= LARGEST) return true;
    return ftso_ops_refuse(why, "%s is %lld, must be in %lld..%d", what, (long long)value,
                           (long long)lowest, LARGEST);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

static bool finish(ftso_window *w, ftso_text *why)
{
    if (!need_between(w->kernel_h, 1, "the kernel's height", why) ||
        !need_between(w->kernel_w, 1, "the kernel's width", why) ||
        !need_between(w->stride, 1, "stride", why) ||
        !need_between(w->dilation, 1, "dilation", why) ||
        !need_between(w->top, -LARGEST, "pad_top", why) ||
        !need_between(w->bottom, -LARGEST, "pad_bottom", why) ||
        !need_between(w->left, -LARGEST, "pad_left", why) ||
        !need_between(w->right, -LARGEST, "pad_right", why) ||
        !need_between(w->in_h, 1, "the map's height", why) ||
        !need_between(w->in_w, 1, "the map's width", why))
        return false;
    w->out_h =
        floor_div(w->in_h + w->top + w->bottom - w->dilation * (w->kernel_h - 1) - 1, w->stride) +
        1;
    w->out_w =
        floor_div(w->in_w + w->left + w->right - w->dilation * (w->kernel_w - 1) - 1, w->stride) +
        1;
    if (w->out_h < 1 || w->out_w < 1)
        return ftso_ops_refuse(
            why, "a %lldx%lld window does not fit into a %lldx%lld map with its padding",
            (long long)(w->dilation * (w->kernel_h - 1) + 1),
            (long long)(w->dilation * (w->kernel_w - 1) + 1), (long long)w->in_h,
            (long long)w->in_w);
    return true;
}

bool ftso_ops_conv_window(const ftso_attr_value *attrs, int64_t kernel_h, int64_t kernel_w,
                          int64_t in_h, int64_t in_w, ftso_window *out, ftso_text *why)
{
    *out = (ftso_window){.kernel_h = kernel_h,
                         .kernel_w = kernel_w,
                         .stride = attrs[0].i,
                         .dilation = attrs[1].i,
                         .top = attrs[2].i,
                         .bottom = attrs[3].i,
                         .left = attrs[4].i,
                         .right = attrs[5].i,
                         .in_h = in_h,
                         .in_w = in_w};
    return finish(out, why);
}

bool ftso_ops_pool_window(const ftso_attr_value *attrs, int64_t in_h, int64_t in_w,
                          ftso_window *out, ftso_text *why)
{
    *out = (ftso_window){.kernel_h = attrs[0].i,
                         .kernel_w = attrs[0].i,
                         .stride = attrs[1].i,
                         .dilation = 1,
                         .top = attrs[2].i,
                         .bottom = attrs[3].i,
                         .left = attrs[4].i,
                         .right = attrs[5].i,
                         .in_h = in_h,
                         .in_w = in_w};
    if (!finish(out, why)) return false;
    if (out->top >= out->kernel_h || out->bottom >= out->kernel_h || out->left >= out->kernel_w ||
        out->right >= out->kernel_w)
        return ftso_ops_refuse(why, "the padding of a pool must be smaller than its window of %lld",
                               (long long)out->kernel_h);
    return true;
}

ftso_window ftso_ops_conv_window_get(const ftso_attr_value *attrs, int64_t kernel_h,
                                     int64_t kernel_w, ftso_shape in)
{
    ftso_window w;
    FTSO_ASSERT(ftso_ops_conv_window(attrs, kernel_h, kernel_w, in.dim[2], in.dim[3], &w, NULL));
    return w;
}

ftso_window ftso_ops_pool_window_get(const ftso_attr_value *attrs, ftso_shape in)
{
    ftso_window w;
    FTSO_ASSERT(ftso_ops_pool_window(attrs, in.dim[2], in.dim[3], &w, NULL));
    return w;
}

void ftso_ops_tap_range(int64_t offset, int64_t stride, int64_t in, int64_t out, int64_t *out_lo,
                        int64_t *out_hi)
{
    int64_t lo = -floor_div(offset, stride);
    int64_t hi = floor_div(in - 1 - offset, stride) + 1;
    *out_lo = lo < 0 ? 0 : lo;
    *out_hi = hi > out ? out : hi;
    if (*out_hi < *out_lo) *out_hi = *out_lo;
}

ftso_tap ftso_ops_tap(const ftso_window *w, int64_t kh, int64_t kw)
{
    int64_t dh = kh * w->dilation - w->top, dw = kw * w->dilation - w->left, column_hi;
    ftso_tap t = {.stride = w->stride, .out_w = w->out_w};
    ftso_ops_tap_range(dh, w->stride, w->in_h, w->out_h, &t.row_lo, &t.row_hi);
    ftso_ops_tap_range(dw, w->stride, w->in_w, w->out_w, &t.column_lo, &column_hi);
    t.columns = column_hi - t.column_lo;
    t.first = (t.row_lo * w->stride + dh) * w->in_w + t.column_lo * w->stride + dw;
    t.row_step = w->stride * w->in_w;
    if (t.columns == 0) t.row_hi = t.row_lo;
    /* rows that follow each other without a gap on both sides are one long row */
    if (w->stride == 1 && t.columns == w->in_w && w->in_w == w->out_w && t.row_hi > t.row_lo) {
        t.columns *= t.row_hi - t.row_lo;
        t.row_hi = t.row_lo + 1;
    }
    return t;
}

void ftso_ops_plane_gather(const ftso_tap *tap, double weight, const double *in, double *out)
{
    int64_t s = tap->stride, columns = tap->columns;
    for (int64_t row = tap->row_lo; row < tap->row_hi; row++) {
        const double *restrict from = in + tap->first + (row - tap->row_lo) * tap->row_step;
        double *restrict to = out + row * tap->out_w + tap->column_lo;
        if (s == 1)
            for (int64_t i = 0; i < columns; i++) to[i] += weight * from[i];
        else
            for (int64_t i = 0; i < columns; i++) to[i] += weight * from[i * s];
    }
}

void ftso_ops_plane_scatter(const ftso_tap *tap, double weight, const double *out, double *in)
{
    int64_t s = tap->stride, columns = tap->columns;
    for (int64_t row = tap->row_lo; row < tap->row_hi; row++) {
        double *restrict to = in + tap->first + (row - tap->row_lo) * tap->row_step;
        const double *restrict from = out + row * tap->out_w + tap->column_lo;
        if (s == 1)
            for (int64_t i = 0; i < columns; i++) to[i] += weight * from[i];
        else
            for (int64_t i = 0; i < columns; i++) to[i * s] += weight * from[i];
    }
}

double ftso_ops_plane_dot(const ftso_tap *tap, const double *in, const double *out)
{
    int64_t s = tap->stride;
    double sum = 0;
    for (int64_t row = tap->row_lo; row < tap->row_hi; row++) {
        const double *a = in + tap->first + (row - tap->row_lo) * tap->row_step;
        const double *b = out + row * tap->out_w + tap->column_lo;
        if (s == 1)
            sum += ftso_ops_dot(a, b, tap->columns);
        else
            for (int64_t i = 0; i < tap->columns; i++) sum += a[i * s] * b[i];
    }
    return sum;
}

void ftso_ops_plane_taps(const ftso_window *w, double *counts)
{
    for (int64_t i = 0; i < w->out_h * w->out_w; i++) counts[i] = 0;
    for (int64_t kh = 0; kh < w->kernel_h; kh++)
        for (int64_t kw = 0; kw < w->kernel_w; kw++) {
            int64_t row_lo, row_hi, column_lo, column_hi;
            ftso_ops_tap_range(kh * w->dilation - w->top, w->stride, w->in_h, w->out_h, &row_lo,
                               &row_hi);
            ftso_ops_tap_range(kw * w->dilation - w->left, w->stride, w->in_w, w->out_w, &column_lo,
                               &column_hi);
            for (int64_t row = row_lo; row < row_hi; row++)
                for (int64_t column = column_lo; column < column_hi; column++)
                    counts[row * w->out_w + column] += 1;
        }
}

int32_t ftso_ops_plane_argmax(const ftso_window *w, const double *in, int64_t oh, int64_t ow)
{
    int32_t best = -1;
    double largest = 0;
    for (int64_t kh = 0; kh < w->kernel_h; kh++) {
        int64_t ih = oh * w->stride + kh * w->dilation - w->top;
        if (ih < 0 || ih >= w->in_h) continue;
        for (int64_t kw = 0; kw < w->kernel_w; kw++) {
            int64_t iw = ow * w->stride + kw * w->dilation - w->left;
            if (iw < 0 || iw >= w->in_w) continue;
            double value = in[ih * w->in_w + iw];
            if (best >= 0 && (largest != largest || value <= largest)) continue; /* a NaN stays */
            best = (int32_t)(kh * w->kernel_w + kw);
            largest = value;
        }
    }
    FTSO_ASSERT(best >= 0);
    return best;
}

int64_t ftso_ops_plane_index(const ftso_window *w, int32_t tap_number, int64_t oh, int64_t ow)
{
    int64_t ih = oh * w->stride + tap_number / w->kernel_w * w->dilation - w->top;
    int64_t iw = ow * w->stride + tap_number % w->kernel_w * w->dilation - w->left;
    return ih * w->in_w + iw;
}
