/*
 * Depthwise: one kernel per channel, forward and transposed (dwconv, dwconv_dx).
 *
 * In: the operand's tile under a band of rows; weights packed as [tap][stored channels]. Out: results in scratch, for the
 * epilogue or for the contraction that this core leads. Several pixels of a row and one vector of channels are summed in
 * registers, a row of taps at a time, so that an operand vector is loaded once for all taps of its row; an output is a
 * sum over taps in row order.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 12288, MAX_PIXELS = 6, MAX_UNROLLED = 7, MAX_SEEN = 64 };

ftso_depthwise ftso_depthwise_of(const ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = ftso_kernel_node(e, value);
    ftso_shape operand = ftso_kernel_shape(e, node->inputs[0]),
               w = ftso_kernel_shape(e, node->inputs[1]);
    return (ftso_depthwise){.value = value,
                            .operand = node->inputs[0],
                            .weight = node->inputs[1],
                            .channels = operand.dim[1],
                            .stored = ftso_emit_round(e, operand.dim[1]),
                            .taps = ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape,
                                                 ftso_node_is(node, "dwconv_dx"))};
}

int64_t ftso_depthwise_packed_floats(const ftso_depthwise *d)
{
    return d->taps.kernel_h * d->taps.kernel_w * d->stored;
}

void ftso_depthwise_pack(ftso_emitter *e, const ftso_depthwise *d)
{
    int64_t elements = d->taps.kernel_h * d->taps.kernel_w;
    ftso_loop tap, channel;
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    ftso_emit_loop(e, &channel, ftso_emit_i64(e, 0), ftso_emit_i64(e, d->channels), 1, true, NULL,
                   0);
    LLVMValueRef from = ftso_emit_add(e, ftso_emit_mul(e, channel.index, elements), tap.index);
    LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, tap.index, d->stored), channel.index);
    ftso_emit_store(e, ftso_emit_load(e, ftso_emit_at(e, e->address[d->weight], from)),
                    ftso_emit_at(e, d->packed, to));
    ftso_emit_loop_end(e, &channel, NULL);
    ftso_emit_loop_end(e, &tap, NULL);
}

/* ---------------------------------------------------------------- the register block */

/* `pixels` outputs of one row, one vector of channels. */
typedef struct row_block {
    const ftso_depthwise *d;
    const ftso_phase *p;
    LLVMValueRef operand, weights, result;
    int pixels;
} row_block;

/* One row of taps from tap `first` on: `at` is the operand under the first output, `weight` the row's first tap. */
static void emit_taps(ftso_emitter *e, const row_block *b, LLVMValueRef at, LLVMValueRef weight,
                      int64_t taps, LLVMValueRef *sums)
{
    const ftso_depthwise *d = b->d;
    LLVMValueRef seen[MAX_SEEN] = {NULL};
    for (int64_t t = 0; t < taps; t++) {
        LLVMValueRef w = ftso_emit_load_vector(
            e, ftso_emit_at(e, weight, ftso_emit_i64(e, t * b->p->step_kw * d->stored)));
        for (int r = 0; r < b->pixels; r++) {
            int64_t pixel = r * d->band.stride + t * b->p->dilation_w;
            LLVMValueRef x = pixel < MAX_SEEN ? seen[pixel] : NULL;
            if (!x)
                x = ftso_emit_load_vector(e,
                                          ftso_emit_at(e, at, ftso_emit_i64(e, pixel * d->stored)));
            if (pixel < MAX_SEEN) seen[pixel] = x;
            sums[r] = ftso_emit_fma(e, x, w, sums[r]);
        }
    }
}

static void emit_block(ftso_emitter *e, const row_block *b)
{
    const ftso_depthwise *d = b->d;
    const ftso_phase *p = b->p;
    LLVMValueRef sums[MAX_PIXELS];
    for (int r = 0; r < b->pixels; r++) sums[r] = ftso_emit_splat_of(e, 0);
    if (p->taps_h) {
        ftso_loop h, w;
        ftso_emit_loop(e, &h, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_h), 1, true, sums,
                       b->pixels);
        LLVMValueRef kh =
            ftso_emit_add(e, ftso_emit_mul(e, h.index, p->step_kh), ftso_emit_i64(e, p->first_kh));
        LLVMValueRef tap =
            ftso_emit_add(e, ftso_emit_mul(e, kh, d->taps.kernel_w), ftso_emit_i64(e, p->first_kw));
        LLVMValueRef weight = ftso_emit_at(e, b->weights, ftso_emit_mul(e, tap, d->stored));
        LLVMValueRef at = ftso_emit_at(
            e, b->operand,
            ftso_emit_mul(e, h.index, p->dilation_h * d->band.tile_columns * d->stored));
        for (int r = 0; r < b->pixels; r++) sums[r] = h.carried[r];
        if (p->taps_w <= MAX_UNROLLED) {
            emit_taps(e, b, at, weight, p->taps_w, sums);
        } else {
            ftso_emit_loop(e, &w, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_w), 1, true, sums,
                           b->pixels);
            for (int r = 0; r < b->pixels; r++) sums[r] = w.carried[r];
            emit_taps(e, b,
                      ftso_emit_at(e, at, ftso_emit_mul(e, w.index, p->dilation_w * d->stored)),
                      ftso_emit_at(e, weight, ftso_emit_mul(e, w.index, p->step_kw * d->stored)), 1,
                      sums);
            ftso_emit_loop_end(e, &w, sums);
            for (int r = 0; r < b->pixels; r++) sums[r] = w.carried[r];
        }
        ftso_emit_loop_end(e, &h, sums);
        for (int r = 0; r < b->pixels; r++) sums[r] = h.carried[r];
    }
    for (int r = 0; r < b->pixels; r++)
        ftso_emit_store(
            e, sums[r],
            ftso_emit_at(e, b->result, ftso_emit_i64(e, r * d->taps.out_step * d->stored)));
}

/* Pixels of a row at a time: equal blocks where that costs little, else as many as there are registers for. */
static int pixels_for(const ftso_emitter *e, int64_t columns)
{
    if (e->tuning.pixel_block && e->tuning.pixel_block < MAX_PIXELS)
        return e->tuning.pixel_block < columns ? e->tuning.pixel_block : (int)columns;
    for (int r = MAX_PIXELS; r >= 4; r--)
        if (columns % r == 0) return r;
    return columns < MAX_PIXELS ? (int)columns : MAX_PIXELS;
}

static void emit_phase(ftso_emitter *e, const ftso_depthwise *d, const ftso_phase *p)
{
    int64_t step = d->taps.out_step, rows = (d->band.rows - p->out_row + step - 1) / step;
    if (rows <= 0 || p->columns <= 0) return;
    int64_t row_floats = d->band.tile_columns * d->stored;
    int64_t start = p->taps_h ? (p->start_h - d->band.first_row) * row_floats +
                                    (p->start_w - d->band.first_column) * d->stored
                              : 0;
    int pixels = pixels_for(e, p->columns);
    int64_t whole = p->columns / pixels * pixels;
    ftso_loop channels, row, column;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, d->stored),
                   e->target.vector_floats, true, NULL, 0);
    row_block b = {.d = d, .p = p, .weights = ftso_emit_at(e, d->packed, channels.index)};
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, rows), 1, true, NULL, 0);
    LLVMValueRef from = ftso_emit_add(e, ftso_emit_mul(e, row.index, d->band.stride * row_floats),
                                      ftso_emit_i64(e, start));
    LLVMValueRef operand = ftso_emit_at(e, ftso_emit_at(e, d->tile, from), channels.index);
    LLVMValueRef to =
        ftso_emit_add(e, ftso_emit_mul(e, row.index, step * d->taps.out_w * d->stored),
                      ftso_emit_i64(e, (p->out_row * d->taps.out_w + p->out_column) * d->stored));
    LLVMValueRef result = ftso_emit_at(e, ftso_emit_at(e, d->result, to), channels.index);
    int64_t pixel_step = d->band.stride * d->stored, result_step = step * d->stored;
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), pixels, true, NULL, 0);
    b.pixels = pixels;
    b.operand = ftso_emit_at(e, operand, ftso_emit_mul(e, column.index, pixel_step));
    b.result = ftso_emit_at(e, result, ftso_emit_mul(e, column.index, result_step));
    emit_block(e, &b);
    ftso_emit_loop_end(e, &column, NULL);
    if (whole < p->columns) {
        b.pixels = (int)(p->columns - whole);
        b.operand = ftso_emit_at(e, operand, ftso_emit_i64(e, whole * pixel_step));
        b.result = ftso_emit_at(e, result, ftso_emit_i64(e, whole * result_step));
        emit_block(e, &b);
    }
    ftso_emit_loop_end(e, &row, NULL);
    ftso_emit_loop_end(e, &channels, NULL);
}

void ftso_depthwise_run(ftso_emitter *e, const ftso_depthwise *d)
{
    for (int i = 0; i < d->taps.phase_count; i++) emit_phase(e, d, &d->taps.phases[i]);
}

/* ---------------------------------------------------------------- alone in its region */

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    ftso_emit_reads_are_constant(e);
    ftso_depthwise d = ftso_depthwise_of(e, region->cores[0]);
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, ftso_depthwise_packed_floats(&d));
    int64_t planned = ftso_kernel_shape(e, d.value).dim[0];
    d.band = ftso_band_of(&d.taps, d.stored, d.stored, BUDGET_FLOATS,
                          ftso_emit_least_bands(e, &epilogue, planned, d.taps.out_h));
    ftso_emit_function(e, symbol, "prepare");
    d.packed = e->shared;
    ftso_depthwise_pack(e, &d);
    ftso_emit_return(e);

    int64_t tile_floats = ftso_band_tile_floats(e, &d.band, d.stored),
            pixels = d.band.rows * d.taps.out_w;
    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_frame frame;
    ftso_emit_frame(e, &frame, &epilogue, planned, d.taps.out_h / d.band.rows);
    LLVMValueRef image = frame.images.index, band = frame.rows.index;
    d.packed = e->shared;
    d.tile = e->scratch;
    d.result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, tile_floats));
    ftso_emit_band_tile(e, &d.band, d.operand, image, band, d.tile);
    ftso_depthwise_run(e, &d);
    ftso_emit_epilogue_run(e, &epilogue, image, ftso_emit_mul(e, band, pixels),
                           ftso_emit_i64(e, pixels), &d.result);
    ftso_emit_frame_end(e, &frame);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, frame.images_per_item, planned, out_shape);
    out_shape->has_prepare = true;
    out_shape->parts = frame.parts;
    out_shape->scratch_bytes = 4 * (tile_floats + pixels * d.stored + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_depthwise = {
    .name = "depthwise", .doc = "depthwise convolutions and their transposes", .emit_llvm = emit};
