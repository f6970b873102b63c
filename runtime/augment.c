/*
 * The way of an image into a network: a list of steps, carried out in its order.
 *
 * In: an image's pixels, the transform, and the place in the run (seed, stream, step, index). Out: float32 planes.
 * Holds: this is the only code between pixels and planes: training, evaluation and artefacts run it. Crops and mirrorings
 * touch no pixel: they change what is seen of the picture (`view`), and the last loop, which normalises, reads through it.
 * What is seen outside of the picture is black before normalisation; a pixel cut out is zero after it.
 * Image k of a step draws at (seed, stream, step, k + 2^32 * draw), so the same planes come out whatever the threads.
 * Start reading at the table of steps.
 */
#include "runtime_internal.h"

#include <math.h>
#include <string.h>

/* A part of some pixels, perhaps mirrored; all in the pixels' own coordinates. It may reach beyond `inside`: black there. */
typedef struct view {
    ftso_pixels pixels;
    int64_t top, left, height, width;
    int64_t inside_top, inside_bottom, inside_left, inside_right;
    bool flip;
} view;

typedef struct square {
    int64_t top, bottom, left, right;
} square;

/* One image on its way. */
typedef struct journey {
    ftso_desk *desk;
    view view;
    square cuts[FTSO_AUG_MAX]; /* of the planes */
    size_t cut_count;
    ftso_moment moment;
    uint8_t seen[FTSO_AUG_MAX]; /* how often each kind was there before */
} journey;

/* ---------------------------------------------------------------- chance */

/*
 * A kind's draws; the first crop, flip and cutout of a list share draw 0 (words 0 and 1, 2, 3). A kind that is there again
 * draws 16 further on each time.
 */
enum {
    DRAW_FIRST = 0,
    DRAW_RESIZED_CROP = 1,
    RESIZED_CROP_TRIES = 10,
    DRAW_JITTER = 11,
    DRAWS = 16
};

static ftso_random draw(const journey *j, ftso_augment_kind kind, int number)
{
    uint64_t place = (uint64_t)(number + DRAWS * j->seen[kind]);
    return ftso_random_at(j->moment.seed, j->moment.stream, j->moment.step,
                          (uint64_t)j->moment.index | place << 32);
}

/* 0 … range-1 from one word. */
static int64_t pick(uint32_t word, int64_t range)
{
    return (int64_t)((uint64_t)word * (uint64_t)range >> 32);
}

static double between(uint32_t word, double low, double high)
{
    return low + (high - low) * ftso_random_uniform(word);
}

/* ---------------------------------------------------------------- what is seen */

static int64_t clip(int64_t value, int64_t limit)
{
    return value < 0 ? 0 : value > limit ? limit : value;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static view view_of(const ftso_pixels *pixels)
{
    return (view){.pixels = *pixels,
                  .height = pixels->height,
                  .width = pixels->width,
                  .inside_bottom = pixels->height,
                  .inside_right = pixels->width};
}

/* Sees a part of what was seen; the place is that of someone who looks at the (mirrored) view, and may be outside of it. */
static void narrow(view *v, int64_t top, int64_t left, int64_t height, int64_t width)
{
    v->inside_top = larger(v->inside_top, v->top);
    v->inside_left = larger(v->inside_left, v->left);
    v->inside_bottom = smaller(v->inside_bottom, v->top + v->height);
    v->inside_right = smaller(v->inside_right, v->left + v->width);
    v->top += top;
    v->left += v->flip ? v->width - left - width : left;
    v->height = height;
    v->width = width;
}

static bool all_inside(const view *v)
{
    return v->top >= v->inside_top && v->left >= v->inside_left &&
           v->top + v->height <= v->inside_bottom && v->left + v->width <= v->inside_right;
}

static bool is_whole_picture(const view *v, const ftso_picture *picture)
{
    return v->pixels.base == picture->pixels && v->height == picture->height &&
           v->width == picture->width && all_inside(v);
}

/* The pixels of the view, which is all inside. */
static ftso_pixels seen_pixels(const view *v)
{
    ftso_pixels p = v->pixels;
    p.base += v->top * p.row_step + v->left * p.column_step;
    p.height = v->height;
    p.width = v->width;
    return p;
}

static ftso_picture *next_picture(journey *j)
{
    j->desk->turn = !j->desk->turn;
    return &j->desk->made[j->desk->turn];
}

static void see_picture(journey *j, const ftso_picture *picture)
{
    bool flip = j->view.flip;
    ftso_pixels pixels = ftso_picture_pixels(picture);
    j->view = view_of(&pixels);
    j->view.flip = flip;
}

/* What is seen becomes a picture of its own, black where nothing is. Not mirrored: that stays to be done. */
static ftso_status copy_view(journey *j)
{
    view v = j->view;
    ftso_picture *out = next_picture(j);
    int64_t channels = v.pixels.channels;
    FTSO_TRY(ftso_picture_reserve(out, channels, v.height, v.width));
    memset(out->pixels, 0, (size_t)(v.height * v.width * channels));
    int64_t first = clip(v.inside_left - v.left, v.width),
            end = clip(v.inside_right - v.left, v.width);
    for (int64_t y = 0; y < v.height; y++) {
        int64_t from = v.top + y;
        if (from < v.inside_top || from >= v.inside_bottom) continue;
        const uint8_t *row = v.pixels.base + from * v.pixels.row_step;
        for (int64_t x = first; x < end; x++)
            for (int64_t c = 0; c < channels; c++)
                out->pixels[(y * v.width + x) * channels + c] =
                    row[(v.left + x) * v.pixels.column_step + c * v.pixels.channel_step];
    }
    see_picture(j, out);
    return FTSO_STATUS_OK;
}

static ftso_status resize_view(journey *j, int64_t height, int64_t width)
{
    if (!all_inside(&j->view)) FTSO_TRY(copy_view(j));
    ftso_pixels from = seen_pixels(&j->view);
    ftso_picture *out = next_picture(j);
    FTSO_TRY(ftso_resize(&j->desk->resize, &from, height, width, out));
    see_picture(j, out);
    return FTSO_STATUS_OK;
}

static ftso_status too_small(const view *v, const char *step, int64_t side, int64_t pad)
{
    return ftso_error(FTSO_ERROR_DATA,
                      "the image is %lld x %lld, too small for a %s of %lld with a border of %lld: "
                      "put a resize before it",
                      (long long)v->height, (long long)v->width, step, (long long)side,
                      (long long)pad);
}

/* ---------------------------------------------------------------- steps */

static ftso_status step_crop(journey *j, const ftso_augment *step)
{
    int64_t side = (int64_t)step->args[0], pad = (int64_t)step->args[1];
    int64_t down = j->view.height + 2 * pad - side, across = j->view.width + 2 * pad - side;
    if (down < 0 || across < 0) return too_small(&j->view, "crop", side, pad);
    ftso_random r = draw(j, step->kind, DRAW_FIRST);
    narrow(&j->view, pick(r.word[0], down + 1) - pad, pick(r.word[1], across + 1) - pad, side,
           side);
    return FTSO_STATUS_OK;
}

static ftso_status step_center_crop(journey *j, const ftso_augment *step)
{
    int64_t side = (int64_t)step->args[0];
    int64_t down = j->view.height - side, across = j->view.width - side;
    if (down < 0 || across < 0) return too_small(&j->view, "center_crop", side, 0);
    narrow(&j->view, (int64_t)rint((double)down / 2), (int64_t)rint((double)across / 2), side,
           side);
    return FTSO_STATUS_OK;
}

static ftso_status step_flip(journey *j, const ftso_augment *step)
{
    ftso_random r = draw(j, step->kind, DRAW_FIRST);
    if (ftso_random_uniform(r.word[2]) < (float)step->args[0]) j->view.flip = !j->view.flip;
    return FTSO_STATUS_OK;
}

static ftso_status step_cutout(journey *j, const ftso_augment *step)
{
    ftso_random r = draw(j, step->kind, DRAW_FIRST);
    int64_t half = (int64_t)step->args[0] / 2;
    int64_t y = pick(r.word[3] & 0xffff0000u, j->view.height);
    int64_t x = pick(r.word[3] << 16, j->view.width);
    j->cuts[j->cut_count++] =
        (square){clip(y - half, j->view.height), clip(y + half, j->view.height),
                 clip(x - half, j->view.width), clip(x + half, j->view.width)};
    return FTSO_STATUS_OK;
}

static ftso_status step_normalize(journey *j, const ftso_augment *step)
{
    (void)j;
    (void)step; /* the last loop's table does it */
    return FTSO_STATUS_OK;
}

/* The shorter side becomes `side`; the other one keeps the ratio, rounded down. */
static ftso_status step_resize(journey *j, const ftso_augment *step)
{
    int64_t side = (int64_t)step->args[0], height = j->view.height, width = j->view.width;
    bool tall = height > width;
    int64_t longer = side * (tall ? height : width) / (tall ? width : height);
    if (longer > FTSO_PICTURE_SIDE)
        return ftso_error(FTSO_ERROR_DATA,
                          "resize(%lld) of an image of %lld x %lld makes it too long",
                          (long long)side, (long long)height, (long long)width);
    return resize_view(j, tall ? longer : side, tall ? side : longer);
}

/* A part of the area and ratio that chance says, if one of ten tries fits; else the largest part of an allowed ratio. */
static ftso_status step_resized_crop(journey *j, const ftso_augment *step)
{
    const double *args = step->args;
    int64_t side = (int64_t)args[0], height = j->view.height, width = j->view.width;
    double area = (double)height * (double)width;
    for (int i = 0; i < RESIZED_CROP_TRIES; i++) {
        ftso_random r = draw(j, step->kind, DRAW_RESIZED_CROP + i);
        double part = area * between(r.word[0], args[1], args[2]);
        double ratio = exp(between(r.word[1], log(args[3]), log(args[4])));
        int64_t w = (int64_t)rint(sqrt(part * ratio)), h = (int64_t)rint(sqrt(part / ratio));
        if (w < 1 || h < 1 || w > width || h > height) continue;
        narrow(&j->view, pick(r.word[2], height - h + 1), pick(r.word[3], width - w + 1), h, w);
        return resize_view(j, side, side);
    }
    double ratio = (double)width / (double)height;
    int64_t w = width, h = height;
    if (ratio < args[3]) h = (int64_t)rint((double)w / args[3]);
    if (ratio > args[4]) w = (int64_t)rint((double)h * args[4]);
    h = larger(1, smaller(h, height));
    w = larger(1, smaller(w, width));
    narrow(&j->view, (height - h) / 2, (width - w) / 2, h, w);
    return resize_view(j, side, side);
}

/* Factors from 1 - a to 1 + a, a turn from -a to a; their order is one of the 24. */
static ftso_status step_color_jitter(journey *j, const ftso_augment *step)
{
    ftso_random r = draw(j, step->kind, DRAW_JITTER), o = draw(j, step->kind, DRAW_JITTER + 1);
    double factors[FTSO_JITTERS];
    int order[FTSO_JITTERS];
    for (int i = 0; i < FTSO_JITTERS; i++) {
        double reach = step->args[i], middle = i == FTSO_JITTERS - 1 ? 0 : 1;
        factors[i] = between(r.word[i], middle - reach, middle + reach);
        order[i] = i;
    }
    for (int i = FTSO_JITTERS - 1; i > 0; i--) {
        int64_t k = pick(o.word[i], i + 1);
        int kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    ftso_picture *picture = &j->desk->made[j->desk->turn];
    if (!is_whole_picture(&j->view, picture)) {
        FTSO_TRY(copy_view(j));
        picture = &j->desk->made[j->desk->turn];
    }
    ftso_picture_jitter(picture, order, factors);
    return FTSO_STATUS_OK;
}

/* Row number = kind, as in base/transform.c. */
static ftso_status (*const steps[])(journey *, const ftso_augment *) = {
    [FTSO_AUG_CROP] = step_crop,
    [FTSO_AUG_FLIP] = step_flip,
    [FTSO_AUG_CUTOUT] = step_cutout,
    [FTSO_AUG_NORMALIZE] = step_normalize,
    [FTSO_AUG_RESIZED_CROP] = step_resized_crop,
    [FTSO_AUG_COLOR_JITTER] = step_color_jitter,
    [FTSO_AUG_RESIZE] = step_resize,
    [FTSO_AUG_CENTER_CROP] = step_center_crop,
};

/* ---------------------------------------------------------------- planes */

void ftso_levels_make(const ftso_transform *transform, int64_t channels, ftso_levels *out)
{
    float mean[FTSO_CHANNELS] = {0}, std[FTSO_CHANNELS] = {1, 1, 1, 1};
    FTSO_ASSERT(channels >= 1 && channels <= FTSO_CHANNELS);
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        if (step->kind != FTSO_AUG_NORMALIZE) continue;
        FTSO_ASSERT((int64_t)step->arg_count == 2 * channels);
        for (int64_t c = 0; c < channels; c++) {
            mean[c] = (float)step->args[c];
            std[c] = (float)step->args[channels + c];
        }
    }
    for (int64_t c = 0; c < channels; c++)
        for (int v = 0; v < FTSO_LEVELS; v++)
            out->of[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
}

/* One row of a plane: columns [begin, end) come from `row`, pixels `step` bytes apart; the rest is outside of it. */
static void make_row(float *out, const uint8_t *row, int64_t step, const float *level,
                     int64_t width, int64_t begin, int64_t end, bool flip)
{
    for (int64_t x = 0; x < begin; x++) out[flip ? width - 1 - x : x] = level[0];
    for (int64_t x = end; x < width; x++) out[flip ? width - 1 - x : x] = level[0];
    int64_t count = end - begin;
    float *to = flip ? out + width - 1 - begin : out + begin;
    if (flip)
        for (int64_t x = 0; x < count; x++) to[-x] = level[row[x * step]];
    else if (step == 1)
        for (int64_t x = 0; x < count; x++) to[x] = level[row[x]];
    else
        for (int64_t x = 0; x < count; x++) to[x] = level[row[x * step]];
}

static void make_planes(const journey *j, const ftso_levels *level, float *out)
{
    const view *v = &j->view;
    const ftso_pixels *p = &v->pixels;
    int64_t begin = clip(v->inside_left - v->left, v->width),
            end = clip(v->inside_right - v->left, v->width);
    float *to = out;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < v->height; y++, to += v->width) {
            int64_t from = v->top + y;
            bool inside = from >= v->inside_top && from < v->inside_bottom && begin < end;
            const uint8_t *row = p->base;
            if (inside)
                row +=
                    c * p->channel_step + from * p->row_step + (v->left + begin) * p->column_step;
            make_row(to, row, p->column_step, level->of[c], v->width, inside ? begin : v->width,
                     inside ? end : v->width, v->flip);
        }
    for (size_t i = 0; i < j->cut_count; i++) {
        const square *s = &j->cuts[i];
        for (int64_t c = 0; c < p->channels; c++)
            for (int64_t y = s->top; y < s->bottom; y++)
                for (int64_t x = s->left; x < s->right; x++)
                    out[(c * v->height + y) * v->width + x] = 0;
    }
}

static ftso_status travel(journey *j, const ftso_pixels *pixels, const ftso_transform *transform,
                          const ftso_levels *level, int64_t side, float *out)
{
    j->view = view_of(pixels);
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        FTSO_TRY(steps[step->kind](j, step));
        j->seen[step->kind]++;
    }
    if (j->view.height != side || j->view.width != side)
        return ftso_error(FTSO_ERROR_DATA, "the image comes out as %lld x %lld, not as %lld x %lld",
                          (long long)j->view.height, (long long)j->view.width, (long long)side,
                          (long long)side);
    make_planes(j, level, out);
    return FTSO_STATUS_OK;
}

void ftso_desk_deinit(ftso_desk *desk)
{
    ftso_picture_deinit(&desk->made[0]);
    ftso_picture_deinit(&desk->made[1]);
    ftso_resize_memory_deinit(&desk->resize);
}

ftso_status ftso_image_make(ftso_desk *desk, const ftso_pixels *pixels,
                            const ftso_transform *transform, const ftso_levels *levels,
                            int64_t side, const ftso_moment *moment, float *out)
{
    journey j = {.desk = desk, .moment = *moment};
    return travel(&j, pixels, transform, levels, side, out);
}

ftso_status ftso_picture_transform(const ftso_picture *picture, const ftso_transform *transform,
                                   int64_t side, float *out)
{
    size_t count;
    const ftso_augment_row *rows = ftso_augment_rows(&count);
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        if (rows[step->kind].random)
            return ftso_error(FTSO_ERROR_DATA, "%s leaves something to chance: not for tests",
                              rows[step->kind].name);
        if (step->kind == FTSO_AUG_NORMALIZE && (int64_t)step->arg_count != 2 * picture->channels)
            return ftso_error(FTSO_ERROR_DATA, "normalize has %zu numbers for %lld channels",
                              step->arg_count, (long long)picture->channels);
    }
    ftso_desk desk = {0};
    const ftso_moment moment = {0};
    ftso_levels levels;
    ftso_levels_make(transform, picture->channels, &levels);
    ftso_pixels pixels = ftso_picture_pixels(picture);
    ftso_status status = ftso_image_make(&desk, &pixels, transform, &levels, side, &moment, out);
    ftso_desk_deinit(&desk);
    return status;
}
