/*
 * Resizing with a triangle filter that widens with the reduction: bilinear with antialiasing, as PIL does it.
 *
 * In: pixels at any strides. Out: a picture of the wanted size. Holds: integers all the way, so every machine makes the
 * same bytes; columns first, then rows, rounded to a byte in between; an axis that keeps its size is left alone.
 * tests/test_pictures.c holds it against PIL's bytes.
 */
#include "runtime_internal.h"

#include <math.h>
#include <string.h>

/* Weights are fractions of 2^22: 255 * 2^22 fits 32 bits, and the weights of a pixel sum up to 2^22 within a few units. */
enum { WEIGHT_BITS = 22, HALF = 1 << (WEIGHT_BITS - 1) };

/* Where one output pixel comes from: source pixels [first, first + count), their weights in a row of `width` numbers. */
typedef struct tap {
    int32_t first, count;
} tap;

typedef struct axis {
    double *exact; /* room for one row of weights */
    int32_t *weights;
    tap *taps;
    int64_t width;
} axis;

static ftso_status make_axis(ftso_block *block, int64_t in, int64_t out, axis *a)
{
    double scale = (double)in / (double)out, reach = scale > 1 ? scale : 1;
    a->width = (int64_t)ceil(reach) * 2 + 1;
    size_t exact = (size_t)a->width * sizeof(double);
    size_t weights = (size_t)(out * a->width) * sizeof(int32_t);
    FTSO_TRY(ftso_block_reserve(block, exact + weights + (size_t)out * sizeof(tap)));
    a->exact = (double *)(void *)block->bytes;
    a->weights = (int32_t *)(void *)(block->bytes + exact);
    a->taps = (tap *)(void *)(block->bytes + exact + weights);
    for (int64_t i = 0; i < out; i++) {
        double center = ((double)i + 0.5) * scale, sum = 0;
        double from = center - reach + 0.5;
        int64_t first = from < 0 ? 0 : (int64_t)from, end = (int64_t)(center + reach + 0.5);
        if (end > in) end = in;
        for (int64_t k = 0; k < end - first; k++) {
            double distance = fabs(((double)(first + k) + 0.5 - center) / reach);
            a->exact[k] = distance < 1 ? 1 - distance : 0;
            sum += a->exact[k];
        }
        for (int64_t k = 0; k < end - first; k++)
            a->weights[i * a->width + k] =
                (int32_t)(a->exact[k] / sum * (double)(1 << WEIGHT_BITS) + 0.5);
        a->taps[i] = (tap){(int32_t)first, (int32_t)(end - first)};
    }
    return FTSO_STATUS_OK;
}

static uint8_t to_byte(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value > 255 ? 255 : value);
}

/* One row across: `width` pixels of interleaved channels from pixels `step` bytes apart. */
static void row_across(const axis *a, const ftso_pixels *from, const uint8_t *row, int64_t width,
                       uint8_t *out)
{
    int64_t channels = from->channels, step = from->column_step;
    for (int64_t x = 0; x < width; x++) {
        const int32_t *weight = a->weights + x * a->width;
        const uint8_t *pixel = row + a->taps[x].first * step;
        int32_t count = a->taps[x].count;
        if (channels == 3 && from->channel_step == 1) {
            int32_t r = HALF, g = HALF, b = HALF;
            for (int32_t k = 0; k < count; k++, pixel += step) {
                r += weight[k] * pixel[0];
                g += weight[k] * pixel[1];
                b += weight[k] * pixel[2];
            }
            *out++ = to_byte(r);
            *out++ = to_byte(g);
            *out++ = to_byte(b);
            continue;
        }
        for (int64_t c = 0; c < channels; c++) {
            int32_t sum = HALF;
            for (int32_t k = 0; k < count; k++)
                sum += weight[k] * pixel[c * from->channel_step + k * step];
            *out++ = to_byte(sum);
        }
    }
}

static void copy_row(const ftso_pixels *from, const uint8_t *row, int64_t width, uint8_t *out)
{
    if (from->channel_step == 1 && from->column_step == from->channels) {
        memcpy(out, row, (size_t)(width * from->channels));
        return;
    }
    for (int64_t x = 0; x < width; x++)
        for (int64_t c = 0; c < from->channels; c++)
            *out++ = row[x * from->column_step + c * from->channel_step];
}

enum { STRIP = 512 }; /* sums of this many bytes of a row stay in cache */

static void row_down(const int32_t *weight, int32_t count, const uint8_t *rows, int64_t row_bytes,
                     uint8_t *out)
{
    int32_t sum[STRIP];
    for (int64_t at = 0; at < row_bytes; at += STRIP) {
        int64_t width = row_bytes - at < STRIP ? row_bytes - at : STRIP;
        for (int64_t x = 0; x < width; x++) sum[x] = HALF;
        for (int32_t k = 0; k < count; k++) {
            const uint8_t *row = rows + k * row_bytes + at;
            for (int64_t x = 0; x < width; x++) sum[x] += weight[k] * row[x];
        }
        for (int64_t x = 0; x < width; x++) out[at + x] = to_byte(sum[x]);
    }
}

ftso_status ftso_resize(ftso_resize_memory *memory, const ftso_pixels *from, int64_t height,
                        int64_t width, ftso_picture *out)
{
    axis across, down;
    bool narrows = width != from->width, lowers = height != from->height;
    int64_t row_bytes = width * from->channels;
    if (narrows) FTSO_TRY(make_axis(&memory->across, from->width, width, &across));
    if (lowers) FTSO_TRY(make_axis(&memory->down, from->height, height, &down));
    FTSO_TRY(ftso_picture_reserve(out, from->channels, height, width));
    uint8_t *rows = out->pixels;
    if (lowers) {
        FTSO_TRY(ftso_block_reserve(&memory->rows, (size_t)(row_bytes * from->height)));
        rows = memory->rows.bytes;
    }
    for (int64_t y = 0; y < from->height; y++) {
        const uint8_t *row = from->base + y * from->row_step;
        if (narrows)
            row_across(&across, from, row, width, rows + y * row_bytes);
        else
            copy_row(from, row, width, rows + y * row_bytes);
    }
    for (int64_t y = 0; y < height && lowers; y++)
        row_down(down.weights + y * down.width, down.taps[y].count,
                 rows + down.taps[y].first * row_bytes, row_bytes, out->pixels + y * row_bytes);
    return FTSO_STATUS_OK;
}

void ftso_resize_memory_deinit(ftso_resize_memory *memory)
{
    ftso_block_deinit(&memory->across);
    ftso_block_deinit(&memory->down);
    ftso_block_deinit(&memory->rows);
}
