/*
 * Depthwise weight gradients: dwconv_dw(dy, x), for each channel and tap the sum of dy times what the tap sees of x.
 *
 * In: both operands of a band of rows. Out: sums [tap][stored channels] of an item, then canonical [C, 1, kh, kw].
 * As many rows of the kernel as have room for their sums in registers are summed at a time, over a few pixels of a row, so
 * that dy is loaded once for all of their taps and x once for neighbouring ones.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 12288, PIXELS = 2 };

/* Taps [first_w, first_w + taps_w) of kernel rows [first_h, first_h + taps_h): where their sums and x begin, for one vector. */
typedef struct block {
    const ftso_gradient *g;
    LLVMValueRef slot, x, dy;
    int taps_h, taps_w;
} block;

static int64_t slot_floats(const ftso_gradient *g)
{
    return g->taps.kernel_h * g->taps.kernel_w * g->sum_floats;
}

/* `pixels` outputs of a row: x and dy under the first one. */
static void emit_pixels(ftso_emitter *e, const block *b, LLVMValueRef x, LLVMValueRef dy,
                        int pixels, LLVMValueRef *sums)
{
    const ftso_gradient *g = b->g;
    const ftso_phase *p = &g->taps.phases[0];
    LLVMValueRef gradient[PIXELS];
    for (int r = 0; r < pixels; r++)
        gradient[r] = ftso_emit_load_vector(
            e, ftso_emit_at(e, dy, ftso_emit_i64(e, r * e->pixels * g->dy_stored)));
    for (int h = 0; h < b->taps_h; h++) {
        int64_t row = h * p->dilation_h * g->band.tile_columns * g->x_stored;
        ftso_seen seen = {.at = ftso_emit_at(e, x, ftso_emit_i64(e, row)), .stored = g->x_stored};
        for (int r = 0; r < pixels; r++)
            for (int t = 0; t < b->taps_w; t++) {
                int64_t pixel = r * g->band.stride * e->pixels + t * p->dilation_w;
                LLVMValueRef *sum = &sums[h * b->taps_w + t];
                *sum = ftso_emit_fma(e, gradient[r], ftso_seen_from(e, &seen, pixel), *sum);
            }
    }
}

/* All pixels of the band, for the taps of a block. */
static void emit_block(ftso_emitter *e, const block *b)
{
    const ftso_gradient *g = b->g;
    int count = b->taps_h * b->taps_w;
    /* pixels, or vectors of several */
    int64_t steps = g->taps.out_w / e->pixels, whole = steps / PIXELS * PIXELS,
            x_pixel = g->band.stride * g->x_stored * e->pixels, dy_pixel = g->dy_stored * e->pixels,
            x_row = g->band.stride * g->x_stored * g->band.tile_columns;
    LLVMValueRef sums[FTSO_MAX_CARRIED], at[FTSO_MAX_CARRIED];
    for (int i = 0; i < count; i++) {
        int64_t number = i / b->taps_w * g->taps.kernel_w + i % b->taps_w;
        at[i] = ftso_emit_at(e, b->slot, ftso_emit_i64(e, number * g->sum_floats));
        sums[i] = ftso_emit_load_vector(e, at[i]);
    }
    ftso_loop row, column;
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), g->rows ? g->rows : ftso_emit_i64(e, g->band.rows),
                   1, !g->rows, sums, count);
    LLVMValueRef x = ftso_emit_at(e, b->x, ftso_emit_mul(e, row.index, x_row)),
                 dy = ftso_emit_at(e, b->dy, ftso_emit_mul(e, row.index, g->dy_row));
    for (int i = 0; i < count; i++) sums[i] = row.carried[i];
    if (whole) {
        ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), PIXELS, true, sums,
                       count);
        for (int i = 0; i < count; i++) sums[i] = column.carried[i];
        emit_pixels(e, b, ftso_emit_at(e, x, ftso_emit_mul(e, column.index, x_pixel)),
                    ftso_emit_at(e, dy, ftso_emit_mul(e, column.index, dy_pixel)), PIXELS, sums);
        ftso_emit_loop_end(e, &column, sums);
        for (int i = 0; i < count; i++) sums[i] = column.carried[i];
    }
    if (whole < steps)
        emit_pixels(e, b, ftso_emit_at(e, x, ftso_emit_i64(e, whole * x_pixel)),
                    ftso_emit_at(e, dy, ftso_emit_i64(e, whole * dy_pixel)), (int)(steps - whole),
                    sums);
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
    int taps_w = least(p->taps_w, room), taps_h = least(p->taps_h, room / taps_w);
    int64_t row_floats = g->band.tile_columns * g->x_stored;
    ftso_loop channels;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, g->x_stored),
                   e->target.vector_floats, true, NULL, 0);
    for (int64_t w = 0; w < p->taps_w; w += taps_w)
        for (int64_t rest = p->taps_h; rest > 0; rest %= taps_h) {
            /* whole blocks of kernel rows in a loop, then what is left of them */
            int64_t done = p->taps_h - rest;
            block b = {.g = g,
                       .taps_h = least(rest, taps_h),
                       .taps_w = least(p->taps_w - w, taps_w),
                       .dy = ftso_emit_at(e, g->dy_tile, channels.index)};
            ftso_loop h;
            ftso_emit_loop(e, &h, ftso_emit_i64(e, done),
                           ftso_emit_i64(e, done + rest / b.taps_h * b.taps_h), b.taps_h, true,
                           NULL, 0);
            LLVMValueRef number =
                ftso_emit_add(e, ftso_emit_mul(e, h.index, p->taps_w), ftso_emit_i64(e, w));
            LLVMValueRef seen =
                ftso_emit_add(e, ftso_emit_mul(e, h.index, p->dilation_h * row_floats),
                              ftso_emit_i64(e, w * p->dilation_w * g->x_stored));
            b.slot = ftso_emit_at(
                e, g->slot,
                ftso_emit_add(e, ftso_emit_mul(e, number, g->sum_floats), channels.index));
            b.x = ftso_emit_at(e, g->x_tile, ftso_emit_add(e, seen, channels.index));
            emit_block(e, &b);
            ftso_emit_loop_end(e, &h, NULL);
            if (rest < taps_h) break;
        }
    ftso_emit_loop_end(e, &channels, NULL);
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
                                                    .run = run,
                                                    .finish_items = finish_items,
                                                    .finish = finish};
const ftso_kernel_class ftso_kernel_depthwise_gradient = {.name = "depthwise_gradient",
                                                          .doc = "gradients of depthwise kernels",
                                                          .narrow = true,
                                                          .emit_llvm = ftso_gradient_emit};
