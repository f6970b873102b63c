/*
 * Depthwise weight gradients: dwconv_dw(dy, x), for each channel and tap the sum of dy times what the tap sees of x.
 *
 * In: both operands of a band of rows. Out: sums [tap][stored channels] of an item, then canonical [C, 1, kh, kw].
 * As many rows of the kernel as have room for their sums in registers are summed at a time, over a few pixels of a row, so
 * that dy is loaded once for all of their taps and x once for neighbouring ones. Where one row of the kernel has sums enough to
 * keep the multiply-adds busy it goes alone, over those rows of dy from which it sees the map.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 12288, PIXELS = 2, ALONE_PIXELS = 4, ALONE_TAPS = 4 };

/* Taps [first_w, first_w + taps_w) of kernel rows [first_h, first_h + taps_h), for one vector of channels. */
typedef struct block {
    const ftso_gradient *g;
    LLVMValueRef slot, x, dy; /* where it begins in the slot and in the tiles */
    LLVMValueRef first_h;
    int64_t first_w;
    int taps_h, taps_w, pixels; /* pixels: of a row at a time */
} block;

static int64_t slot_floats(const ftso_gradient *g)
{
    return g->taps.kernel_h * g->taps.kernel_w * g->sum_floats;
}

/*
 * `pixels` outputs of a row: dy under the first, and x, the row that the first kernel row sees, `before` pixels further on than
 * the first tap. `output`: number of the first, where taps beside the map are left out; -1: there are none.
 */
static void emit_pixels(ftso_emitter *e, const block *b, LLVMValueRef x, int64_t before,
                        LLVMValueRef dy, int64_t output, int pixels, LLVMValueRef *sums)
{
    const ftso_gradient *g = b->g;
    const ftso_phase *p = &g->taps.phases[0];
    LLVMValueRef gradient[ALONE_PIXELS];
    for (int r = 0; r < pixels; r++)
        gradient[r] = ftso_emit_load_vector(
            e, ftso_emit_at(e, dy, ftso_emit_i64(e, r * e->pixels * g->dy_stored)));
    for (int h = 0; h < b->taps_h; h++) {
        int64_t row = h * p->dilation_h * g->band.tile_columns * g->x_stored;
        ftso_seen seen = {.at = ftso_emit_at(e, x, ftso_emit_i64(e, row)), .stored = g->x_stored};
        for (int r = 0; r < pixels; r++)
            for (int t = 0; t < b->taps_w; t++) {
                if (output >= 0 && !ftso_tap_inside(&g->taps, p, output + r, b->first_w + t))
                    continue;
                int64_t pixel = r * g->band.stride * e->pixels + t * p->dilation_w - before;
                LLVMValueRef *sum = &sums[h * b->taps_w + t];
                *sum = ftso_emit_fma(e, gradient[r], ftso_seen_from(e, &seen, pixel), *sum);
            }
    }
}

/* The same for outputs that are known while code is made; x and dy are those of the whole row. */
static void emit_known_pixels(ftso_emitter *e, const block *b, LLVMValueRef x, LLVMValueRef dy,
                              int64_t output, int pixels, LLVMValueRef *sums)
{
    const ftso_gradient *g = b->g;
    const ftso_phase *p = &g->taps.phases[0];
    int64_t first = output * g->band.stride * e->pixels + p->start_w - g->band.first_column +
                    b->first_w * p->dilation_w,
            before = g->band.skips_columns && first < 0 ? -first : 0;
    emit_pixels(e, b, ftso_emit_at(e, x, ftso_emit_i64(e, (first + before) * g->x_stored)), before,
                ftso_emit_at(e, dy, ftso_emit_i64(e, output * g->dy_stored * e->pixels)),
                g->band.skips_columns ? output : -1, pixels, sums);
}

/* All outputs of a row. */
static void emit_row(ftso_emitter *e, const block *b, LLVMValueRef x, LLVMValueRef dy,
                     LLVMValueRef *sums)
{
    const ftso_gradient *g = b->g;
    const ftso_phase *p = &g->taps.phases[0];
    int count = b->taps_h * b->taps_w, n = b->pixels;
    int64_t outputs = g->taps.out_w / e->pixels, blocks = outputs / n, first, end;
    ftso_blocks_inside(&g->taps, p, &g->band, blocks, n, &first, &end);
    for (int64_t i = 0; i < first; i++) emit_known_pixels(e, b, x, dy, i * n, n, sums);
    if (first < end) {
        ftso_loop column;
        ftso_emit_loop(e, &column, ftso_emit_i64(e, first * n), ftso_emit_i64(e, end * n), n, true,
                       sums, count);
        for (int i = 0; i < count; i++) sums[i] = column.carried[i];
        int64_t start = p->start_w - g->band.first_column + b->first_w * p->dilation_w;
        LLVMValueRef seen = ftso_emit_add(
            e, ftso_emit_mul(e, column.index, g->band.stride * g->x_stored * e->pixels),
            ftso_emit_i64(e, start * g->x_stored));
        emit_pixels(e, b, ftso_emit_at(e, x, seen), 0,
                    ftso_emit_at(e, dy, ftso_emit_mul(e, column.index, g->dy_stored * e->pixels)),
                    -1, n, sums);
        ftso_emit_loop_end(e, &column, sums);
        for (int i = 0; i < count; i++) sums[i] = column.carried[i];
    }
    for (int64_t i = end; i < blocks; i++) emit_known_pixels(e, b, x, dy, i * n, n, sums);
    if (blocks * n < outputs)
        emit_known_pixels(e, b, x, dy, blocks * n, (int)(outputs - blocks * n), sums);
}

/* All pixels of the band, for the taps of a block. */
static void emit_block(ftso_emitter *e, const block *b)
{
    const ftso_gradient *g = b->g;
    const ftso_phase *p = &g->taps.phases[0];
    int count = b->taps_h * b->taps_w;
    LLVMValueRef sums[FTSO_MAX_CARRIED], at[FTSO_MAX_CARRIED];
    for (int i = 0; i < count; i++) {
        int64_t number = i / b->taps_w * g->taps.kernel_w + i % b->taps_w;
        at[i] = ftso_emit_at(e, b->slot, ftso_emit_i64(e, number * g->sum_floats));
        sums[i] = ftso_emit_load_vector(e, at[i]);
    }
    LLVMValueRef first = ftso_emit_i64(e, 0),
                 end = g->rows ? g->rows : ftso_emit_i64(e, g->band.rows),
                 seen = ftso_emit_add(e, ftso_emit_mul(e, b->first_h, p->dilation_h),
                                      ftso_emit_i64(e, p->start_h));
    if (g->band.skips_rows) {
        LLVMValueRef origin = ftso_emit_mul(e, g->row, g->taps.stride);
        ftso_emit_inside(e, ftso_emit_add(e, origin, seen), g->taps.stride, end, g->taps.in_h,
                         &first, &end);
    }
    ftso_loop row;
    ftso_emit_loop(e, &row, first, end, 1, !g->rows && !g->band.skips_rows, sums, count);
    LLVMValueRef x_row =
        ftso_emit_add(e, ftso_emit_add(e, ftso_emit_mul(e, row.index, g->band.stride), seen),
                      ftso_emit_i64(e, -g->band.first_row));
    for (int i = 0; i < count; i++) sums[i] = row.carried[i];
    emit_row(e, b,
             ftso_emit_at(e, b->x, ftso_emit_mul(e, x_row, g->band.tile_columns * g->x_stored)),
             ftso_emit_at(e, b->dy, ftso_emit_mul(e, row.index, g->dy_row)), sums);
    ftso_emit_loop_end(e, &row, sums);
    for (int i = 0; i < count; i++) ftso_emit_store(e, row.carried[i], at[i]);
}

static int least(int64_t a, int64_t b)
{
    return (int)(a < b ? a : b);
}

static void run(ftso_emitter *e, const ftso_gradient *g)
{
    const ftso_phase *p = &g->taps.phases[0];
    /* one register holds x, PIXELS dy, the rest sums */
    int room = e->target.vector_registers - PIXELS - 2;
    int taps_w = least(p->taps_w, room),
        taps_h = g->band.skips_rows ? 1 : least(p->taps_h, room / taps_w);
    ftso_loop channels;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, g->x_stored),
                   e->target.vector_floats, true, NULL, 0);
    for (int64_t w = 0; w < p->taps_w; w += taps_w)
        for (int64_t rest = p->taps_h; rest > 0; rest %= taps_h) {
            /* whole blocks of kernel rows in a loop, then what is left of them */
            int64_t done = p->taps_h - rest;
            block b = {.g = g,
                       .first_w = w,
                       .taps_h = least(rest, taps_h),
                       .taps_w = least(p->taps_w - w, taps_w),
                       .pixels = g->band.skips_rows ? ALONE_PIXELS : PIXELS,
                       .x = ftso_emit_at(e, g->x_tile, channels.index),
                       .dy = ftso_emit_at(e, g->dy_tile, channels.index)};
            ftso_loop h;
            ftso_emit_loop(e, &h, ftso_emit_i64(e, done),
                           ftso_emit_i64(e, done + rest / b.taps_h * b.taps_h), b.taps_h, true,
                           NULL, 0);
            LLVMValueRef number =
                ftso_emit_add(e, ftso_emit_mul(e, h.index, p->taps_w), ftso_emit_i64(e, w));
            b.first_h = h.index;
            b.slot = ftso_emit_at(
                e, g->slot,
                ftso_emit_add(e, ftso_emit_mul(e, number, g->sum_floats), channels.index));
            emit_block(e, &b);
            ftso_emit_loop_end(e, &h, NULL);
            if (rest < taps_h) break;
        }
    ftso_emit_loop_end(e, &channels, NULL);
}

static void skips(const ftso_emitter *e, ftso_gradient *g)
{
    bool line = e->target.vector_floats >= FTSO_LINE_FLOATS; /* one multiply-add of these a cycle */
    g->taps.skips_columns = e->pixels == 1;
    g->taps.skips_rows = line && g->taps.kernel_w >= ALONE_TAPS;
}

static int64_t finish_items(const ftso_emitter *e, const ftso_gradient *g)
{
    return g->x_stored / ftso_emit_unit(e);
}

/* One vector of channels, for every tap. */
static void finish(ftso_emitter *e, const ftso_gradient *g, LLVMValueRef items, LLVMValueRef item)
{
    int64_t v = ftso_emit_unit(e), elements = g->taps.kernel_h * g->taps.kernel_w;
    LLVMValueRef first = ftso_emit_mul(e, item, v);
    ftso_loop tap, lane;
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    LLVMValueRef sum = ftso_gradient_over_items(
        e, g, items, ftso_emit_add(e, ftso_emit_mul(e, tap.index, g->sum_floats), first));
    LLVMValueRef end = ftso_emit_min_i64(e, ftso_emit_i64(e, g->inputs),
                                         ftso_emit_add(e, first, ftso_emit_i64(e, v)));
    ftso_emit_loop(e, &lane, first, end, 1, true, NULL, 0);
    LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, lane.index, elements), tap.index),
                 number = LLVMBuildSub(e->builder, lane.index, first, "");
    ftso_emit_store(e, LLVMBuildExtractElement(e->builder, sum, number, ""),
                    ftso_emit_at(e, e->address[g->value], to));
    ftso_emit_loop_end(e, &lane, NULL);
    ftso_emit_loop_end(e, &tap, NULL);
}

const ftso_gradient_kind ftso_gradient_depthwise = {.op = "dwconv_dw",
                                                    .budget_floats = BUDGET_FLOATS,
                                                    .slot_floats = slot_floats,
                                                    .skips = skips,
                                                    .run = run,
                                                    .finish_items = finish_items,
                                                    .finish = finish};
const ftso_kernel_class ftso_kernel_depthwise_gradient = {.name = "depthwise_gradient",
                                                          .doc = "gradients of depthwise kernels",
                                                          .narrow = true,
                                                          .emit_llvm = ftso_gradient_emit};
