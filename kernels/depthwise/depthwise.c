/*
 * Depthwise: one kernel per channel, forward and transposed (dwconv, dwconv_dx).
 *
 * In: the operand's tile under a band of rows; weights packed as [tap][stored channels]. Out: results in scratch, for the
 * epilogue. Several pixels of a row and one vector of channels are summed in registers; an output is a sum over taps in
 * row order.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 12288, MAX_PIXELS = 8 };

typedef struct job {
    ftso_emitter *e;
    ftso_value weight;
    ftso_taps taps;
    ftso_band band;
    int64_t channels, stored;
    LLVMValueRef tile, result;
} job;

static void emit_prepare(job *j, const char *symbol)
{
    ftso_emitter *e = j->e;
    int64_t elements = j->taps.kernel_h * j->taps.kernel_w;
    ftso_emit_function(e, symbol, "prepare");
    ftso_loop tap, channel;
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    ftso_emit_loop(e, &channel, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->channels), 1, true, NULL,
                   0);
    LLVMValueRef from = ftso_emit_add(e, ftso_emit_mul(e, channel.index, elements), tap.index);
    LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, tap.index, j->stored), channel.index);
    ftso_emit_store(e, ftso_emit_load(e, ftso_emit_at(e, e->address[j->weight], from)),
                    ftso_emit_at(e, e->shared, to));
    ftso_emit_loop_end(e, &channel, NULL);
    ftso_emit_loop_end(e, &tap, NULL);
    ftso_emit_return(e);
}

/* `pixels` outputs of one row, one vector of channels. */
static void emit_block(job *j, const ftso_phase *p, LLVMValueRef operand, LLVMValueRef weights,
                       LLVMValueRef result, int pixels)
{
    ftso_emitter *e = j->e;
    LLVMValueRef sums[MAX_PIXELS], next[MAX_PIXELS];
    for (int r = 0; r < pixels; r++) sums[r] = ftso_emit_splat_of(e, 0);
    ftso_loop h, w;
    if (p->taps_h) {
        ftso_emit_loop(e, &h, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_h), 1, true, sums,
                       pixels);
        ftso_emit_loop(e, &w, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_w), 1, true, h.carried,
                       pixels);
        LLVMValueRef pixel = ftso_emit_add(
            e, ftso_emit_mul(e, h.index, p->dilation_h * j->band.tile_columns * j->stored),
            ftso_emit_mul(e, w.index, p->dilation_w * j->stored));
        LLVMValueRef kh =
            ftso_emit_add(e, ftso_emit_mul(e, h.index, p->step_kh), ftso_emit_i64(e, p->first_kh));
        LLVMValueRef kw =
            ftso_emit_add(e, ftso_emit_mul(e, w.index, p->step_kw), ftso_emit_i64(e, p->first_kw));
        LLVMValueRef tap = ftso_emit_add(e, ftso_emit_mul(e, kh, j->taps.kernel_w), kw);
        LLVMValueRef weight =
            ftso_emit_load_vector(e, ftso_emit_at(e, weights, ftso_emit_mul(e, tap, j->stored)));
        LLVMValueRef at = ftso_emit_at(e, operand, pixel);
        for (int r = 0; r < pixels; r++) {
            LLVMValueRef x = ftso_emit_load_vector(
                e, ftso_emit_at(e, at, ftso_emit_i64(e, r * j->band.stride * j->stored)));
            next[r] = ftso_emit_fma(e, x, weight, w.carried[r]);
        }
        ftso_emit_loop_end(e, &w, next);
        ftso_emit_loop_end(e, &h, w.carried);
        for (int r = 0; r < pixels; r++) sums[r] = h.carried[r];
    }
    for (int r = 0; r < pixels; r++)
        ftso_emit_store(
            e, sums[r],
            ftso_emit_at(e, result, ftso_emit_i64(e, r * j->taps.out_step * j->stored)));
}

static void emit_phase(job *j, const ftso_phase *p)
{
    ftso_emitter *e = j->e;
    int64_t step = j->taps.out_step, rows = (j->band.rows - p->out_row + step - 1) / step;
    if (rows <= 0 || p->columns <= 0) return;
    int64_t row_floats = j->band.tile_columns * j->stored;
    int64_t start = p->taps_h ? (p->start_h - j->band.first_row) * row_floats +
                                    (p->start_w - j->band.first_column) * j->stored
                              : 0;
    int pixels = p->columns < MAX_PIXELS ? (int)p->columns : MAX_PIXELS;
    if (e->tuning.pixel_block && e->tuning.pixel_block < pixels) pixels = e->tuning.pixel_block;
    int64_t whole = p->columns / pixels * pixels;
    ftso_loop channels, row, column;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->stored),
                   e->target.vector_floats, true, NULL, 0);
    LLVMValueRef weights = ftso_emit_at(e, e->shared, channels.index);
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, rows), 1, true, NULL, 0);
    LLVMValueRef from = ftso_emit_add(e, ftso_emit_mul(e, row.index, j->band.stride * row_floats),
                                      ftso_emit_i64(e, start));
    LLVMValueRef operand = ftso_emit_at(e, ftso_emit_at(e, j->tile, from), channels.index);
    LLVMValueRef to =
        ftso_emit_add(e, ftso_emit_mul(e, row.index, step * j->taps.out_w * j->stored),
                      ftso_emit_i64(e, (p->out_row * j->taps.out_w + p->out_column) * j->stored));
    LLVMValueRef result = ftso_emit_at(e, ftso_emit_at(e, j->result, to), channels.index);
    int64_t pixel_step = j->band.stride * j->stored, result_step = step * j->stored;
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), pixels, true, NULL, 0);
    emit_block(j, p, ftso_emit_at(e, operand, ftso_emit_mul(e, column.index, pixel_step)), weights,
               ftso_emit_at(e, result, ftso_emit_mul(e, column.index, result_step)), pixels);
    ftso_emit_loop_end(e, &column, NULL);
    if (whole < p->columns)
        emit_block(j, p, ftso_emit_at(e, operand, ftso_emit_i64(e, whole * pixel_step)), weights,
                   ftso_emit_at(e, result, ftso_emit_i64(e, whole * result_step)),
                   (int)(p->columns - whole));
    ftso_emit_loop_end(e, &row, NULL);
    ftso_emit_loop_end(e, &channels, NULL);
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    ftso_emit_reads_are_constant(e);
    const ftso_node *node = ftso_kernel_node(e, region->cores[0]);
    ftso_shape operand = ftso_kernel_shape(e, node->inputs[0]),
               w = ftso_kernel_shape(e, node->inputs[1]);
    job j = {.e = e, .weight = node->inputs[1], .channels = operand.dim[1]};
    j.stored = ftso_emit_round(e, j.channels);
    j.taps = ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape,
                          ftso_node_is(node, "dwconv_dx"));
    j.band = ftso_band_of(&j.taps, j.stored, j.stored, BUDGET_FLOATS);
    emit_prepare(&j, symbol);

    int64_t packed = w.dim[2] * w.dim[3] * j.stored,
            tile_floats = ftso_emit_round(e, j.band.tile_rows * j.band.tile_columns * j.stored);
    int64_t planned = node->shape.dim[0], per_item = ftso_emit_images_per_item(e, planned),
            pixels = j.band.rows * j.taps.out_w;
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, packed);
    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_loop images, bands;
    ftso_emit_images(e, &images, per_item);
    ftso_emit_loop(e, &bands, ftso_emit_i64(e, 0), ftso_emit_i64(e, j.taps.out_h / j.band.rows), 1,
                   true, NULL, 0);
    j.tile = e->scratch;
    j.result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, tile_floats));
    int64_t operand_rows = j.band.rows * j.band.rows_per_output_num / j.band.rows_per_output_den;
    ftso_tile tile = {.value = node->inputs[0],
                      .image = images.index,
                      .row = ftso_emit_add(e, ftso_emit_mul(e, bands.index, operand_rows),
                                           ftso_emit_i64(e, j.band.first_row)),
                      .rows = j.band.tile_rows,
                      .columns = j.band.tile_columns,
                      .column = j.band.first_column,
                      .step = j.band.step,
                      .address = j.tile};
    ftso_emit_tile(e, &tile);
    for (int i = 0; i < j.taps.phase_count; i++) emit_phase(&j, &j.taps.phases[i]);
    ftso_emit_epilogue_run(e, &epilogue, images.index, ftso_emit_mul(e, bands.index, pixels),
                           ftso_emit_i64(e, pixels), &j.result);
    ftso_emit_loop_end(e, &bands, NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, per_item, planned, out_shape);
    out_shape->has_prepare = true;
    out_shape->scratch_bytes = 4 * (tile_floats + pixels * j.stored + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_depthwise = {
    .name = "depthwise", .doc = "depthwise convolutions and their transposes", .emit_llvm = emit};
