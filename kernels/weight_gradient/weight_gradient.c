/*
 * Weight gradients: conv_dw(dy, x), the sum over images and pixels of dy times what each tap sees of x.
 *
 * In: both operands as tiles of a band of rows. Out: one slot of float sums per item, [tap][input channel][output lanes]; finish
 * adds the slots up in item order, in double, and writes canonical [O, I, kh, kw].
 * The register block (input channels times vectors of output channels) changes nothing in the order of a sum: images, rows,
 * pixels.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 8192, MAX_ROWS = 12 };

typedef struct job {
    ftso_emitter *e;
    ftso_value value, x, dy;
    ftso_taps taps;
    ftso_band band;
    int64_t inputs, outputs, x_stored, dy_stored;
    int vectors, block; /* of output channels */
    LLVMValueRef x_tile, dy_tile, slot;
} job;

static int rows_for(const job *j, int vectors)
{
    const ftso_emitter *e = j->e;
    if (e->tuning.pixel_block)
        return e->tuning.pixel_block < j->inputs ? e->tuning.pixel_block : (int)j->inputs;
    int room = (e->target.vector_registers - 1 - vectors) / vectors;
    if (room > MAX_ROWS) room = MAX_ROWS;
    if (room < 1) room = 1;
    int best = 1;
    for (int r = 1; r <= room && r <= j->inputs; r++)
        if (j->inputs % r == 0 || r == room)
            best = j->inputs % best == 0 && j->inputs % r != 0 && best * 2 > r ? best : r;
    return best;
}

static int block_for(const job *j)
{
    const ftso_emitter *e = j->e;
    if (e->tuning.channel_block)
        return e->tuning.channel_block < j->vectors ? e->tuning.channel_block : j->vectors;
    int most = e->target.vector_registers >= 32 ? 4 : 3;
    for (int b = most; b > 1; b--)
        if (j->vectors % b == 0) return b;
    return j->vectors < most ? j->vectors : most;
}

/* Sums of `rows` input channels from `channel` on and `vectors` output vectors from float `lane` on, for one tap. */
static void emit_block(job *j, LLVMValueRef x, LLVMValueRef slot, LLVMValueRef channel, int rows,
                       LLVMValueRef lane, int vectors)
{
    ftso_emitter *e = j->e;
    int v = e->target.vector_floats, count = rows * vectors;
    int64_t x_row = j->band.stride * j->band.tile_columns * j->x_stored,
            x_pixel = j->band.stride * j->x_stored;
    LLVMValueRef to =
        ftso_emit_at(e, slot, ftso_emit_add(e, ftso_emit_mul(e, channel, j->dy_stored), lane));
    LLVMValueRef sums[FTSO_MAX_CARRIED], next[FTSO_MAX_CARRIED];
    for (int i = 0; i < count; i++)
        sums[i] = ftso_emit_load_vector(
            e,
            ftso_emit_at(
                e, to, ftso_emit_i64(e, i / vectors * j->dy_stored + (int64_t)(i % vectors) * v)));
    /* both pointers walk along: two more carried values, after the sums */
    FTSO_ASSERT(count + 2 <= FTSO_MAX_CARRIED);
    int64_t gap = x_row - j->taps.out_w * x_pixel;
    sums[count] = ftso_emit_at(e, x, channel);
    sums[count + 1] = ftso_emit_at(e, j->dy_tile, lane);
    ftso_loop row, column;
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->band.rows), 1, true, sums,
                   count + 2);
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->taps.out_w), 1, true,
                   row.carried, count + 2);
    LLVMValueRef x_at = column.carried[count], dy_at = column.carried[count + 1], g[8];
    for (int k = 0; k < vectors; k++)
        g[k] = ftso_emit_load_vector(e, ftso_emit_at(e, dy_at, ftso_emit_i64(e, (int64_t)k * v)));
    for (int r = 0; r < rows; r++) {
        LLVMValueRef spread =
            ftso_emit_splat(e, ftso_emit_load(e, ftso_emit_at(e, x_at, ftso_emit_i64(e, r))));
        for (int k = 0; k < vectors; k++)
            next[r * vectors + k] = ftso_emit_fma(e, spread, g[k], column.carried[r * vectors + k]);
    }
    next[count] = ftso_emit_at(e, x_at, ftso_emit_i64(e, x_pixel));
    next[count + 1] = ftso_emit_at(e, dy_at, ftso_emit_i64(e, j->dy_stored));
    ftso_emit_loop_end(e, &column, next);
    column.carried[count] = ftso_emit_at(e, column.carried[count], ftso_emit_i64(e, gap));
    ftso_emit_loop_end(e, &row, column.carried);
    for (int i = 0; i < count; i++)
        ftso_emit_store(
            e, row.carried[i],
            ftso_emit_at(
                e, to, ftso_emit_i64(e, i / vectors * j->dy_stored + (int64_t)(i % vectors) * v)));
}

/* All input channels of one tap for `vectors` output vectors. */
static void emit_channels(job *j, LLVMValueRef x, LLVMValueRef slot, LLVMValueRef lane, int vectors)
{
    ftso_emitter *e = j->e;
    int rows = rows_for(j, vectors);
    int64_t whole = j->inputs / rows * rows;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), rows, true, NULL, 0);
    emit_block(j, x, slot, loop.index, rows, lane, vectors);
    ftso_emit_loop_end(e, &loop, NULL);
    if (whole < j->inputs)
        emit_block(j, x, slot, ftso_emit_i64(e, whole), (int)(j->inputs - whole), lane, vectors);
}

static void emit_band(job *j)
{
    ftso_emitter *e = j->e;
    const ftso_phase *p = &j->taps.phases[0];
    int64_t row_floats = j->band.tile_columns * j->x_stored;
    ftso_loop h, w, blocks;
    ftso_emit_loop(e, &h, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_h), 1, true, NULL, 0);
    ftso_emit_loop(e, &w, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_w), 1, true, NULL, 0);
    LLVMValueRef x =
        ftso_emit_at(e, j->x_tile,
                     ftso_emit_add(e, ftso_emit_mul(e, h.index, p->dilation_h * row_floats),
                                   ftso_emit_mul(e, w.index, p->dilation_w * j->x_stored)));
    LLVMValueRef tap = ftso_emit_add(e, ftso_emit_mul(e, h.index, p->taps_w), w.index);
    LLVMValueRef slot = ftso_emit_at(e, j->slot, ftso_emit_mul(e, tap, j->inputs * j->dy_stored));
    int v = e->target.vector_floats, whole = j->vectors / j->block, rest = j->vectors % j->block;
    ftso_emit_loop(e, &blocks, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), 1, true, NULL, 0);
    emit_channels(j, x, slot, ftso_emit_mul(e, blocks.index, (int64_t)j->block * v), j->block);
    ftso_emit_loop_end(e, &blocks, NULL);
    if (rest) emit_channels(j, x, slot, ftso_emit_i64(e, (int64_t)whole * j->block * v), rest);
    ftso_emit_loop_end(e, &w, NULL);
    ftso_emit_loop_end(e, &h, NULL);
}

/* One finish item is one input channel: its sums over the items, for every tap. */
static void emit_finish(job *j, const char *symbol, int64_t slot_floats, int64_t per_item)
{
    ftso_emitter *e = j->e;
    int v = e->target.vector_floats;
    int64_t elements = j->taps.kernel_h * j->taps.kernel_w;
    ftso_emit_function(e, symbol, "finish");
    LLVMValueRef items = ftso_emit_item_count(e, per_item), channel = e->item,
                 out = e->address[j->value];
    ftso_loop tap, item;
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    LLVMValueRef row = ftso_emit_add(e, ftso_emit_mul(e, tap.index, j->inputs), channel);
    for (int k = 0; k < j->vectors; k++) {
        LLVMValueRef zero = LLVMConstNull(e->vector64);
        LLVMValueRef from =
            ftso_emit_add(e, ftso_emit_mul(e, row, j->dy_stored), ftso_emit_i64(e, (int64_t)k * v));
        ftso_emit_loop(e, &item, ftso_emit_i64(e, 0), items, 1, true, &zero, 1);
        LLVMValueRef at = ftso_emit_at(
            e, e->shared, ftso_emit_add(e, ftso_emit_mul(e, item.index, slot_floats), from));
        LLVMValueRef part =
            LLVMBuildFPExt(e->builder, ftso_emit_load_vector(e, at), e->vector64, "");
        LLVMValueRef next = LLVMBuildFAdd(e->builder, item.carried[0], part, "");
        ftso_emit_loop_end(e, &item, &next);
        LLVMValueRef sum = LLVMBuildFPTrunc(e->builder, item.carried[0], e->vector, "");
        for (int64_t l = 0; l < v && (int64_t)k * v + l < j->outputs; l++) {
            /* element (o, i, tap) of [O, I, kh * kw] */
            LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, channel, elements), tap.index);
            to =
                ftso_emit_add(e, to, ftso_emit_i64(e, ((int64_t)k * v + l) * j->inputs * elements));
            LLVMValueRef lane = LLVMBuildExtractElement(
                e->builder, sum, LLVMConstInt(e->i32, (unsigned)l, false), "");
            ftso_emit_store(e, lane, ftso_emit_at(e, out, to));
        }
    }
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
    job j = {.e = e, .value = region->cores[0], .dy = node->inputs[0], .x = node->inputs[1]};
    j.taps = ftso_taps_of(node, node->shape.dim[2], node->shape.dim[3], x, dy, false);
    j.inputs = x.dim[1];
    j.outputs = dy.dim[1];
    j.x_stored = ftso_emit_round(e, j.inputs);
    j.dy_stored = ftso_emit_round(e, j.outputs);
    j.vectors = (int)(j.dy_stored / e->target.vector_floats);
    j.block = block_for(&j);
    j.band = ftso_band_of(&j.taps, j.x_stored, j.dy_stored, BUDGET_FLOATS, 1);
    int64_t per_item = ftso_emit_images_per_item(e, x.dim[0]),
            items = (x.dim[0] + per_item - 1) / per_item;
    int64_t slot_floats = j.taps.kernel_h * j.taps.kernel_w * j.inputs * j.dy_stored;
    int64_t x_floats = ftso_emit_round(e, j.band.tile_rows * j.band.tile_columns * j.x_stored);

    ftso_emit_function(e, symbol, "body");
    j.slot = ftso_emit_at(e, e->shared, ftso_emit_mul(e, e->item, slot_floats));
    ftso_loop clear, images, bands;
    ftso_emit_loop(e, &clear, ftso_emit_i64(e, 0), ftso_emit_i64(e, slot_floats),
                   e->target.vector_floats, true, NULL, 0);
    ftso_emit_store(e, ftso_emit_splat_of(e, 0), ftso_emit_at(e, j.slot, clear.index));
    ftso_emit_loop_end(e, &clear, NULL);
    ftso_emit_images(e, &images, per_item);
    ftso_emit_loop(e, &bands, ftso_emit_i64(e, 0), ftso_emit_i64(e, j.taps.out_h / j.band.rows), 1,
                   true, NULL, 0);
    j.x_tile = e->scratch;
    j.dy_tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, x_floats));
    LLVMValueRef out_row = ftso_emit_mul(e, bands.index, j.band.rows);
    ftso_tile tile = {.value = j.x,
                      .image = images.index,
                      .row = ftso_emit_add(e, ftso_emit_mul(e, out_row, j.taps.stride),
                                           ftso_emit_i64(e, j.band.first_row)),
                      .rows = j.band.tile_rows,
                      .columns = j.band.tile_columns,
                      .column = j.band.first_column,
                      .step = j.band.step,
                      .address = j.x_tile};
    ftso_emit_tile(e, &tile);
    tile = (ftso_tile){.value = j.dy,
                       .image = images.index,
                       .row = out_row,
                       .rows = j.band.rows,
                       .columns = j.taps.out_w,
                       .step = 1,
                       .address = j.dy_tile};
    ftso_emit_tile(e, &tile);
    emit_band(&j);
    ftso_emit_loop_end(e, &bands, NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    emit_finish(&j, symbol, slot_floats, per_item);
    out_shape->images_per_item = per_item;
    out_shape->shared_bytes = 4 * items * slot_floats;
    out_shape->scratch_bytes =
        4 * (x_floats + j.band.rows * j.taps.out_w * j.dy_stored + 2 * e->target.vector_floats);
    out_shape->has_finish = true;
    out_shape->finish_items = j.inputs;
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_weight_gradient = {
    .name = "weight_gradient", .doc = "gradients of dense kernels", .emit_llvm = emit};
