/*
 * Weight gradients: what dense and depthwise ones have in common.
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
    for (size_t i = 0; i < FTSO_COUNT(kinds); i++)
        if (ftso_node_is(node, kinds[i]->op)) g.kind = kinds[i];
    FTSO_ASSERT(g.kind);
    g.taps = ftso_taps_of(node, node->shape.dim[2], node->shape.dim[3], x, dy, false);
    g.x_in_place = ftso_kernel_in_memory(e, g.x) && ftso_taps_pixel_by_pixel(&g.taps);
    g.dy_in_place = ftso_kernel_in_memory(e, g.dy);
    g.dy_row = g.taps.out_w * g.dy_stored;
    g.slot_floats = g.kind->slot_floats(&g);
    return g;
}

static void clear_slot(ftso_emitter *e, ftso_gradient *g)
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
                        ftso_emit_mul(e, number, shape.dim[3] * ftso_emit_round(e, shape.dim[1])));
}

/* Finds or makes both operands of band number `band`, and adds what they give to the slot. */
static void run_band(ftso_emitter *e, ftso_gradient *g, LLVMValueRef image, LLVMValueRef band)
{
    LLVMValueRef row = ftso_emit_mul(e, band, g->band.rows);
    if (g->x_in_place) {
        g->x_tile = rows_in_memory(e, g->x, image, row);
    } else {
        g->x_tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, g->x_offset));
        ftso_emit_band_tile(e, &g->band, g->x, image, band, g->x_tile);
    }
    if (g->dy_in_place) {
        g->dy_tile = rows_in_memory(e, g->dy, image, row);
    } else {
        g->dy_tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, g->dy_offset));
        ftso_tile tile = {.value = g->dy,
                          .image = image,
                          .row = row,
                          .rows = g->band.rows,
                          .columns = g->taps.out_w,
                          .step = 1,
                          .address = g->dy_tile};
        ftso_emit_tile(e, &tile);
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
    return LLVMBuildFPTrunc(e->builder, item.carried[0], e->vector, "");
}

/* Places the tiles that are needed behind *scratch floats. */
static void place_tiles(const ftso_emitter *e, ftso_gradient *g, int64_t *scratch)
{
    g->x_offset = *scratch;
    if (!g->x_in_place) *scratch += ftso_band_tile_floats(e, &g->band, g->x_stored);
    g->dy_offset = *scratch;
    if (!g->dy_in_place) *scratch += g->band.rows * g->dy_row;
}

ftso_status ftso_gradient_emit(ftso_emitter *e, const ftso_schedule *schedule,
                               const ftso_region *region, const char *symbol,
                               ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1 && region->write_count == 1);
    ftso_emit_reads_are_constant(e);
    ftso_gradient g = gradient_of(e, region->cores[0]);
    g.band = ftso_band_of(&g.taps, g.x_in_place ? 0 : g.x_stored, g.dy_in_place ? 0 : g.dy_stored,
                          g.kind->budget_floats, 1);
    int64_t planned = ftso_kernel_shape(e, g.x).dim[0],
            per_item = ftso_emit_images_per_item(e, planned),
            items = (planned + per_item - 1) / per_item, scratch = 0;
    place_tiles(e, &g, &scratch);

    ftso_emit_function(e, symbol, "body");
    clear_slot(e, &g);
    ftso_loop images, bands;
    ftso_emit_images(e, &images, per_item);
    ftso_emit_loop(e, &bands, ftso_emit_i64(e, 0), ftso_emit_i64(e, g.taps.out_h / g.band.rows), 1,
                   true, NULL, 0);
    run_band(e, &g, images.index, bands.index);
    ftso_emit_loop_end(e, &bands, NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);

    ftso_emit_function(e, symbol, "finish");
    g.kind->finish(e, &g, ftso_emit_item_count(e, per_item), e->item);
    ftso_emit_return(e);
    out_shape->images_per_item = per_item;
    out_shape->shared_bytes = 4 * items * g.slot_floats;
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    out_shape->has_finish = true;
    out_shape->finish_items = g.kind->finish_items(e, &g);
    return FTSO_STATUS_OK;
}
