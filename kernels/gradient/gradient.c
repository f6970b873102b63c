/*
 * Weight gradients: what dense and depthwise ones have in common, alone in their region or beside the core that reads dy.
 *
 * In: both operands, as tiles of a band of rows or where they lie in memory. Out: one slot of float sums per item; finish adds
 * the slots up in item order, in double.
 * Must hold: whatever the bands and the register block, a sum goes over images, rows and pixels in this order.
 */
#include "kernels/kernels_internal.h"

static const ftso_gradient_kind *const kinds[] = {&ftso_gradient_dense, &ftso_gradient_depthwise};

static ftso_gradient gradient_of(const ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = ftso_kernel_node(e, value);
    ftso_shape dy = ftso_kernel_shape(e, node->inputs[0]),
               x = ftso_kernel_shape(e, node->inputs[1]);
    ftso_gradient g = {.value = value,
                       .dy = node->inputs[0],
                       .x = node->inputs[1],
                       .inputs = x.dim[1],
                       .outputs = dy.dim[1],
                       .x_stored = ftso_emit_round(e, x.dim[1]),
                       .dy_stored = ftso_emit_round(e, dy.dim[1])};
    g.sum_floats = g.dy_stored * e->pixels;
    for (size_t i = 0; i < FTSO_COUNT(kinds); i++)
        if (ftso_node_is(node, kinds[i]->op)) g.kind = kinds[i];
    FTSO_ASSERT(g.kind);
    g.taps = ftso_taps_of(node, node->shape.dim[2], node->shape.dim[3], x, dy, false);
    g.taps.row_pixels = e->pixels;
    if (g.kind->skips) g.kind->skips(e, &g);
    g.x_in_place = ftso_kernel_in_memory(e, g.x) && ftso_taps_pixel_by_pixel(&g.taps);
    g.slot_floats = g.kind->slot_floats(&g);
    return g;
}

/* The slot of this item, cleared. */
static void begin(ftso_emitter *e, ftso_gradient *g)
{
    ftso_loop clear;
    g->slot = ftso_emit_at(e, e->shared,
                           ftso_emit_add(e, ftso_emit_mul(e, e->item, g->slot_floats),
                                         ftso_emit_i64(e, g->shared_offset)));
    ftso_emit_loop(e, &clear, ftso_emit_i64(e, 0), ftso_emit_i64(e, g->slot_floats),
                   e->target.vector_floats, true, NULL, 0);
    ftso_emit_store(e, ftso_emit_splat_of(e, 0), ftso_emit_at(e, g->slot, clear.index));
    ftso_emit_loop_end(e, &clear, NULL);
}

/* Pixels of the value from row `row` of image n on, where they lie in memory. */
static LLVMValueRef rows_in_memory(ftso_emitter *e, ftso_value value, LLVMValueRef image,
                                   LLVMValueRef row)
{
    ftso_shape shape = ftso_kernel_shape(e, value);
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, image, shape.dim[2]), row);
    return ftso_emit_at(e, e->address[value],
                        ftso_emit_mul(e, number, shape.dim[3] * ftso_emit_stored(e, value)));
}

/* What the window sees of x under rows [row, …) of dy; then the sums of the rows that dy_tile holds. */
static void run(ftso_emitter *e, ftso_gradient *g, LLVMValueRef image, LLVMValueRef row)
{
    if (g->x_in_place) {
        g->x_tile = rows_in_memory(e, g->x, image, row);
    } else {
        FTSO_ASSERT(!g->rows || !g->rolling.kept);
        LLVMValueRef first = ftso_emit_add(e, ftso_emit_mul(e, row, g->taps.stride),
                                           ftso_emit_i64(e, g->band.first_row)),
                     number = LLVMBuildUDiv(e->builder, row, ftso_emit_i64(e, g->band.rows), "");
        g->x_tile = ftso_emit_band_tile(e, &g->band, &g->rolling, g->x, image, first, number,
                                        ftso_emit_at(e, e->scratch, ftso_emit_i64(e, g->x_offset)));
    }
    g->kind->run(e, g);
}

LLVMValueRef ftso_gradient_over_items(ftso_emitter *e, const ftso_gradient *g, LLVMValueRef items,
                                      LLVMValueRef from)
{
    LLVMValueRef zero = LLVMConstNull(e->vector64),
                 first = ftso_emit_add(e, from, ftso_emit_i64(e, g->shared_offset));
    ftso_loop item;
    ftso_emit_loop(e, &item, ftso_emit_i64(e, 0), items, 1, true, &zero, 1);
    LLVMValueRef at = ftso_emit_at(
        e, e->shared, ftso_emit_add(e, ftso_emit_mul(e, item.index, g->slot_floats), first));
    LLVMValueRef part = LLVMBuildFPExt(e->builder, ftso_emit_load_vector(e, at), e->vector64, "");
    LLVMValueRef next = LLVMBuildFAdd(e->builder, item.carried[0], part, "");
    ftso_emit_loop_end(e, &item, &next);
    return LLVMBuildFPTrunc(e->builder, ftso_emit_fold(e, item.carried[0]), e->vector, "");
}

/* ---------------------------------------------------------------- alone */

ftso_status ftso_gradient_emit(ftso_emitter *e, const ftso_schedule *schedule,
                               const ftso_region *region, const char *symbol,
                               ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1 && region->write_count == 1);
    ftso_emit_reads_are_constant(e);
    ftso_gradient g = gradient_of(e, region->cores[0]);
    ftso_gradients all = {&g, 1};
    ftso_epilogue none = ftso_emit_epilogue_plan(e, 0);
    bool in_place = ftso_kernel_in_memory(e, g.dy);
    g.band = ftso_band_of(&g.taps, g.x_in_place ? 0 : g.x_stored, in_place ? 0 : g.dy_stored,
                          g.kind->budget_floats, 1);
    int64_t planned = ftso_kernel_shape(e, g.x).dim[0],
            per_item = ftso_emit_images_per_item(e, planned), scratch = 0,
            dy_row = g.taps.out_w * g.dy_stored;
    ftso_gradients_place(e, &all, g.dy, g.band.rows, g.band.rows, &scratch);

    ftso_emit_function(e, symbol, "body");
    ftso_gradients_begin(e, &all, &none, planned);
    ftso_loop images, bands;
    ftso_emit_images(e, &images, per_item);
    ftso_emit_loop(e, &bands, ftso_emit_i64(e, 0), ftso_emit_i64(e, g.taps.out_h / g.band.rows), 1,
                   true, NULL, 0);
    LLVMValueRef row = ftso_emit_mul(e, bands.index, g.band.rows), dy;
    if (in_place) {
        dy = rows_in_memory(e, g.dy, images.index, row);
    } else {
        dy = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, scratch));
        scratch += g.band.rows * dy_row;
        ftso_tile tile = {.value = g.dy,
                          .image = images.index,
                          .row = row,
                          .rows = g.band.rows,
                          .columns = g.taps.out_w,
                          .step = 1,
                          .address = dy};
        ftso_emit_tile(e, &tile);
    }
    int64_t pixels = g.band.rows * g.taps.out_w;
    ftso_ahead_band next = {
        .like = g.dy,
        .image = images.index,
        .first = ftso_emit_mul(e, ftso_emit_add(e, bands.index, ftso_emit_i64(e, 1)), pixels),
        .pixels = pixels};
    ftso_ahead ahead = ftso_ahead_of(e, &next);
    g.ahead = &ahead;
    ftso_gradients_run(e, &all, g.dy, images.index, row, NULL, dy, dy_row);
    ftso_emit_loop_end(e, &bands, NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    ftso_gradients_finish(e, &all, &none, symbol, per_item, planned, out_shape);
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- beside cores */

ftso_gradients ftso_gradients_of(ftso_emitter *e)
{
    ftso_gradients all = {.count = e->region->gradient_count};
    all.items = FTSO_ARRAY(e->arena, ftso_gradient, all.count + 1);
    for (size_t i = 0; i < all.count; i++) all.items[i] = gradient_of(e, e->region->gradients[i]);
    return all;
}

int64_t ftso_gradients_tile_channels(const ftso_gradients *gradients)
{
    int64_t channels = 0;
    for (size_t i = 0; i < gradients->count; i++)
        if (!gradients->items[i].x_in_place) channels += gradients->items[i].x_stored;
    return channels;
}

void ftso_gradients_place(const ftso_emitter *e, const ftso_gradients *gradients, ftso_value dy,
                          int64_t rows, int64_t usual_rows, int64_t *scratch)
{
    for (size_t i = 0; i < gradients->count; i++) {
        ftso_gradient *g = &gradients->items[i];
        if (g->dy != dy) continue;
        g->band = ftso_band_with(&g->taps, rows);
        g->usual_rows = usual_rows;
        g->x_offset = *scratch;
        if (g->x_in_place) continue;
        g->rolling = ftso_rolling_of(&g->taps, &g->band, g->x_stored);
        *scratch += ftso_rolling_floats(e, &g->rolling, &g->band, g->x_stored);
    }
}

static int64_t items_of(int64_t images_per_item, int64_t planned_batch)
{
    return (planned_batch + images_per_item - 1) / images_per_item;
}

void ftso_gradients_begin(ftso_emitter *e, const ftso_gradients *gradients,
                          const ftso_epilogue *epilogue, int64_t planned_batch)
{
    int64_t items = items_of(ftso_emit_images_per_item(e, planned_batch), planned_batch),
            shared = epilogue->shared_offset + items * epilogue->slot_floats;
    for (size_t i = 0; i < gradients->count; i++) {
        ftso_gradient *g = &gradients->items[i];
        g->shared_offset = shared;
        shared += items * g->slot_floats;
        begin(e, g);
    }
}

void ftso_gradients_work(const ftso_emitter *e, const ftso_gradients *gradients, ftso_value dy,
                         int64_t *out_work)
{
    for (size_t i = 0; i < gradients->count; i++) {
        const ftso_gradient *g = &gradients->items[i];
        out_work[i] = g->dy == dy && g->kind->asking_work ? g->kind->asking_work(e, g) : 0;
    }
}

void ftso_gradients_ask(const ftso_gradients *gradients, const ftso_ahead *shares)
{
    for (size_t i = 0; i < gradients->count; i++) gradients->items[i].ahead = &shares[i];
}

void ftso_gradients_run(ftso_emitter *e, const ftso_gradients *gradients, ftso_value dy,
                        LLVMValueRef image, LLVMValueRef row, LLVMValueRef rows, LLVMValueRef at,
                        int64_t dy_row)
{
    for (size_t i = 0; i < gradients->count; i++) {
        ftso_gradient *g = &gradients->items[i];
        if (g->dy != dy) continue;
        g->row = row;
        g->rows = rows;
        g->dy_tile = at;
        g->dy_row = dy_row;
        run(e, g, image, row);
    }
}

void ftso_gradients_finish(ftso_emitter *e, const ftso_gradients *gradients,
                           const ftso_epilogue *epilogue, const char *symbol,
                           int64_t images_per_item, int64_t planned_batch,
                           ftso_launch_shape *out_shape)
{
    if (gradients->count == 0) {
        ftso_emit_frame_finish(e, epilogue, symbol, images_per_item, planned_batch, out_shape);
        return;
    }
    int64_t items = items_of(images_per_item, planned_batch), most = 1,
            shared = epilogue->shared_offset + items * epilogue->slot_floats;
    ftso_if mine;
    ftso_emit_function(e, symbol, "finish");
    LLVMValueRef count = ftso_emit_item_count(e, images_per_item);
    if (epilogue->reduction_count) {
        ftso_emit_if(e, &mine,
                     LLVMBuildICmp(e->builder, LLVMIntEQ, e->item, ftso_emit_i64(e, 0), ""));
        ftso_emit_epilogue_finish(e, epilogue, images_per_item);
        ftso_emit_if_end(e, &mine);
    }
    for (size_t i = 0; i < gradients->count; i++) {
        const ftso_gradient *g = &gradients->items[i];
        int64_t own = g->kind->finish_items(e, g);
        ftso_emit_if(e, &mine,
                     LLVMBuildICmp(e->builder, LLVMIntSLT, e->item, ftso_emit_i64(e, own), ""));
        g->kind->finish(e, g, count, e->item);
        ftso_emit_if_end(e, &mine);
        shared += items * g->slot_floats;
        if (own > most) most = own;
    }
    ftso_emit_return(e);
    out_shape->images_per_item = images_per_item;
    out_shape->shared_bytes = 4 * shared;
    out_shape->has_finish = true;
    out_shape->finish_items = most;
}
