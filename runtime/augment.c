/*
 * Batches: images chosen by number, cropped, mirrored, normalised, cut out.
 *
 * In: images as bytes, which ones, and the place in the run (seed, stream, step). Out: float32 planes and labels.
 * Holds: image k of a step draws its four random words at (seed, stream, step, k), so the same images come out whatever
 * the threads. A pixel outside the image is black before normalisation, as with a padded picture; a pixel cut out is zero
 * after it.
 */
#include "runtime.h"

#include <string.h>

enum { MAX_CHANNELS = 4, LEVELS = 256 };

typedef struct batch {
    const ftso_images *images;
    const int32_t *indices;
    const ftso_transform *transform;
    uint64_t seed, step;
    ftso_stream stream;
    int64_t out_height, out_width;
    float *out, *out_labels;
    float level[MAX_CHANNELS][LEVELS]; /* normalised value of each byte */
} batch;

/* What chance decided for one image. */
typedef struct choice {
    int64_t top, left; /* of the crop, in the unpadded image: may be negative */
    bool flip;
    int64_t cut_top, cut_bottom, cut_left, cut_right; /* empty where nothing is cut out */
} choice;

/* 0 … range-1 from one word. */
static int64_t pick(uint32_t word, int64_t range)
{
    return (int64_t)((uint64_t)word * (uint64_t)range >> 32);
}

static int64_t clip(int64_t value, int64_t limit)
{
    return value < 0 ? 0 : value > limit ? limit : value;
}

static choice choose(const batch *b, int64_t k)
{
    const ftso_transform *t = b->transform;
    ftso_random r = ftso_random_at(b->seed, b->stream, b->step, (uint64_t)k);
    choice c = {0};
    if (t->crop_side > 0) {
        int64_t pad = t->crop_pad;
        c.top = pick(r.word[0], b->images->height + 2 * pad - b->out_height + 1) - pad;
        c.left = pick(r.word[1], b->images->width + 2 * pad - b->out_width + 1) - pad;
    }
    c.flip = ftso_random_uniform(r.word[2]) < t->flip;
    if (t->cutout_side > 0) {
        int64_t half = t->cutout_side / 2;
        int64_t y = pick(r.word[3] & 0xffff0000u, b->out_height);
        int64_t x = pick(r.word[3] << 16, b->out_width);
        c.cut_top = clip(y - half, b->out_height);
        c.cut_bottom = clip(y + half, b->out_height);
        c.cut_left = clip(x - half, b->out_width);
        c.cut_right = clip(x + half, b->out_width);
    }
    return c;
}

/* One row of the output: columns [begin, end) come from the image, the rest is outside of it. */
static void make_row(float *out, const uint8_t *row, const float *level, int64_t width,
                     int64_t image_width, int64_t left, bool flip)
{
    int64_t begin = clip(-left, width), end = clip(image_width - left, width);
    if (end < begin) end = begin;
    for (int64_t x = 0; x < begin; x++) out[flip ? width - 1 - x : x] = level[0];
    for (int64_t x = end; x < width; x++) out[flip ? width - 1 - x : x] = level[0];
    if (flip)
        for (int64_t x = begin; x < end; x++) out[width - 1 - x] = level[row[left + x]];
    else
        for (int64_t x = begin; x < end; x++) out[x] = level[row[left + x]];
}

static void make_image(void *user, int64_t k, int thread)
{
    (void)thread;
    const batch *b = user;
    const ftso_images *images = b->images;
    int64_t plane = images->height * images->width, index = b->indices[k];
    int64_t height = b->out_height, width = b->out_width;
    choice c = choose(b, k);
    float *out = b->out + k * images->channels * height * width;
    for (int64_t channel = 0; channel < images->channels; channel++) {
        const uint8_t *pixels = images->pixels + (index * images->channels + channel) * plane;
        const float *level = b->level[channel];
        for (int64_t y = 0; y < height; y++, out += width) {
            int64_t from = c.top + y;
            bool inside = from >= 0 && from < images->height;
            if (inside)
                make_row(out, pixels + from * images->width, level, width, images->width, c.left,
                         c.flip);
            else
                for (int64_t x = 0; x < width; x++) out[x] = level[0];
            if (y >= c.cut_top && y < c.cut_bottom)
                for (int64_t x = c.cut_left; x < c.cut_right; x++) out[x] = 0;
        }
    }
    b->out_labels[k] = (float)images->labels[index];
}

void ftso_batch_make(const ftso_images *images, const int32_t *indices, int64_t count,
                     const ftso_transform *transform, uint64_t seed, ftso_stream stream,
                     uint64_t step, ftso_pool *pool, float *out, float *out_labels)
{
    FTSO_ASSERT(images->channels >= 1 && images->channels <= MAX_CHANNELS);
    int64_t side = transform->crop_side, pad = transform->crop_pad;
    FTSO_ASSERT(side <= images->height + 2 * pad && side <= images->width + 2 * pad);
    batch b = {.images = images,
               .indices = indices,
               .transform = transform,
               .seed = seed,
               .step = step,
               .stream = stream,
               .out_height = side > 0 ? side : images->height,
               .out_width = side > 0 ? side : images->width,
               .out = out,
               .out_labels = out_labels};
    for (int64_t c = 0; c < images->channels; c++)
        for (int v = 0; v < LEVELS; v++)
            b.level[c][v] = ((float)v / 255.0f - transform->mean[c]) / transform->std[c];
    ftso_pool_run(pool, count, make_image, &b);
}
