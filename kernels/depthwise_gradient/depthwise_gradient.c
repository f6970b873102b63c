/*
 * Depthwise gradients: dwconv_dw(dy, x), for each channel and tap the sum of dy times what the tap sees of x.
 *
 * In: both operands as tiles of a band. Out: one slot of float sums per item, [tap][stored channels]; finish adds the slots up
 * in item order, in double, and writes canonical [C, 1, kh, kw].
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 12288, MAX_TAPS = 12 };

typedef struct job {
    ftso_emitter *e;
    ftso_taps taps;
    ftso_band band;
    int64_t channels, stored;
    LLVMValueRef x_tile, dy_tile, slot;
} job;

/* Taps [first, first + taps) of every kernel row, for one vector of channels: sums over the band are added to the slot. */
static void emit_taps(job *j, int64_t first, int taps)
{
    ftso_emitter *e = j->e;
    const ftso_phase *p = &j->taps.phases[0];
    int64_t row_floats = j->band.tile_columns * j->stored;
    ftso_loop channels, h, row, column;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->stored),
                   e->target.vector_floats, true, NULL, 0);
    ftso_emit_loop(e, &h, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_h), 1, true, NULL, 0);
    LLVMValueRef slot =
        ftso_emit_at(e, ftso_emit_at(e, j->slot, ftso_emit_mul(e, h.index, p->taps_w * j->stored)),
                     ftso_emit_add(e, channels.index, ftso_emit_i64(e, first * j->stored)));
    LLVMValueRef x = ftso_emit_at(
        e, ftso_emit_at(e, j->x_tile, ftso_emit_mul(e, h.index, p->dilation_h * row_floats)),
        ftso_emit_add(e, channels.index, ftso_emit_i64(e, first * p->dilation_w * j->stored)));
    LLVMValueRef dy = ftso_emit_at(e, j->dy_tile, channels.index), sums[MAX_TAPS], next[MAX_TAPS];
    for (int t = 0; t < taps; t++)
        sums[t] = ftso_emit_load_vector(e, ftso_emit_at(e, slot, ftso_emit_i64(e, t * j->stored)));
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->band.rows), 1, true, sums,
                   taps);
    LLVMValueRef x_row =
        ftso_emit_at(e, x, ftso_emit_mul(e, row.index, j->band.stride * row_floats));
    LLVMValueRef dy_row =
        ftso_emit_at(e, dy, ftso_emit_mul(e, row.index, j->taps.out_w * j->stored));
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->taps.out_w), 1, true,
                   row.carried, taps);
    LLVMValueRef g = ftso_emit_load_vector(
        e, ftso_emit_at(e, dy_row, ftso_emit_mul(e, column.index, j->stored)));
    LLVMValueRef x_at =
        ftso_emit_at(e, x_row, ftso_emit_mul(e, column.index, j->band.stride * j->stored));
    for (int t = 0; t < taps; t++) {
        LLVMValueRef seen = ftso_emit_load_vector(
            e, ftso_emit_at(e, x_at, ftso_emit_i64(e, t * p->dilation_w * j->stored)));
        next[t] = ftso_emit_fma(e, g, seen, column.carried[t]);
    }
    ftso_emit_loop_end(e, &column, next);
    ftso_emit_loop_end(e, &row, column.carried);
    for (int t = 0; t < taps; t++)
        ftso_emit_store(e, row.carried[t], ftso_emit_at(e, slot, ftso_emit_i64(e, t * j->stored)));
    ftso_emit_loop_end(e, &h, NULL);
    ftso_emit_loop_end(e, &channels, NULL);
}

static void emit_finish(job *j, const char *symbol, ftso_value core, int64_t slot_floats,
                        int64_t per_item)
{
    ftso_emitter *e = j->e;
    int64_t elements = j->taps.kernel_h * j->taps.kernel_w;
    ftso_emit_function(e, symbol, "finish");
    LLVMValueRef items = ftso_emit_item_count(e, per_item);
    ftso_loop tap, channel, item;
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    ftso_emit_loop(e, &channel, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->channels), 1, true, NULL,
                   0);
    LLVMValueRef from = ftso_emit_add(e, ftso_emit_mul(e, tap.index, j->stored), channel.index),
                 zero = LLVMConstNull(e->f64);
    ftso_emit_loop(e, &item, ftso_emit_i64(e, 0), items, 1, true, &zero, 1);
    LLVMValueRef at = ftso_emit_at(
        e, e->shared, ftso_emit_add(e, ftso_emit_mul(e, item.index, slot_floats), from));
    LLVMValueRef part = LLVMBuildFPExt(e->builder, ftso_emit_load(e, at), e->f64, "");
    LLVMValueRef next = LLVMBuildFAdd(e->builder, item.carried[0], part, "");
    ftso_emit_loop_end(e, &item, &next);
    LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, channel.index, elements), tap.index);
    ftso_emit_store(e, LLVMBuildFPTrunc(e->builder, item.carried[0], e->f32, ""),
                    ftso_emit_at(e, e->address[core], to));
    ftso_emit_loop_end(e, &channel, NULL);
    ftso_emit_loop_end(e, &tap, NULL);
    ftso_emit_return(e);
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1 && region->write_count == 1);
    ftso_emit_reads_are_constant(e);
    const ftso_node *node = ftso_kernel_node(e, region->cores[0]);
    ftso_shape dy = ftso_kernel_shape(e, node->inputs[0]),
               x = ftso_kernel_shape(e, node->inputs[1]);
    job j = {.e = e, .channels = x.dim[1], .stored = ftso_emit_round(e, x.dim[1])};
    j.taps = ftso_taps_of(node, node->shape.dim[2], node->shape.dim[3], x, dy, false);
    j.band = ftso_band_of(&j.taps, j.stored, j.stored, BUDGET_FLOATS, 1);
    int64_t per_item = ftso_emit_images_per_item(e, x.dim[0]),
            items = (x.dim[0] + per_item - 1) / per_item;
    int64_t slot_floats = j.taps.kernel_h * j.taps.kernel_w * j.stored;
    int64_t x_floats = ftso_emit_round(e, j.band.tile_rows * j.band.tile_columns * j.stored);

    ftso_emit_function(e, symbol, "body");
    j.slot = ftso_emit_at(e, e->shared, ftso_emit_mul(e, e->item, slot_floats));
    j.x_tile = e->scratch;
    j.dy_tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, x_floats));
    ftso_loop clear, images, bands;
    ftso_emit_loop(e, &clear, ftso_emit_i64(e, 0), ftso_emit_i64(e, slot_floats),
                   e->target.vector_floats, true, NULL, 0);
    ftso_emit_store(e, ftso_emit_splat_of(e, 0), ftso_emit_at(e, j.slot, clear.index));
    ftso_emit_loop_end(e, &clear, NULL);
    ftso_emit_images(e, &images, per_item);
    ftso_emit_loop(e, &bands, ftso_emit_i64(e, 0), ftso_emit_i64(e, j.taps.out_h / j.band.rows), 1,
                   true, NULL, 0);
    LLVMValueRef out_row = ftso_emit_mul(e, bands.index, j.band.rows);
    ftso_tile tile = {.value = node->inputs[1],
                      .image = images.index,
                      .row = ftso_emit_add(e, ftso_emit_mul(e, out_row, j.taps.stride),
                                           ftso_emit_i64(e, j.band.first_row)),
                      .rows = j.band.tile_rows,
                      .columns = j.band.tile_columns,
                      .column = j.band.first_column,
                      .step = j.band.step,
                      .address = j.x_tile};
    ftso_emit_tile(e, &tile);
    tile = (ftso_tile){.value = node->inputs[0],
                       .image = images.index,
                       .row = out_row,
                       .rows = j.band.rows,
                       .columns = j.taps.out_w,
                       .step = 1,
                       .address = j.dy_tile};
    ftso_emit_tile(e, &tile);
    for (int64_t first = 0; first < j.taps.kernel_w; first += MAX_TAPS)
        emit_taps(&j, first,
                  (int)(j.taps.kernel_w - first < MAX_TAPS ? j.taps.kernel_w - first : MAX_TAPS));
    ftso_emit_loop_end(e, &bands, NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    emit_finish(&j, symbol, region->cores[0], slot_floats, per_item);
    out_shape->images_per_item = per_item;
    out_shape->shared_bytes = 4 * items * slot_floats;
    out_shape->scratch_bytes =
        4 * (x_floats + j.band.rows * j.taps.out_w * j.stored + 2 * e->target.vector_floats);
    out_shape->has_finish = true;
    out_shape->finish_items = 1;
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_depthwise_gradient = {
    .name = "depthwise_gradient", .doc = "gradients of depthwise kernels", .emit_llvm = emit};
