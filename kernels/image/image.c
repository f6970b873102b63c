/*
 * Image: one pixel per image from all of its pixels (global_avg_pool), and back (spread).
 */
#include "kernels/kernels_internal.h"

#include <string.h>

enum { CHUNK = 4 };

/* The mean over all pixels, channel vector by channel vector; a float sum per row, rows added in order. */
static void emit_pool(ftso_emitter *e, ftso_value core, LLVMValueRef image)
{
    const ftso_node *node = ftso_kernel_node(e, core);
    ftso_value operand = node->inputs[0];
    ftso_shape in = ftso_kernel_shape(e, operand);
    int v = e->target.vector_floats;
    int64_t stored = ftso_emit_round(e, in.dim[1]), pixels = in.dim[2] * in.dim[3];
    LLVMValueRef out =
        ftso_emit_at(e, e->address[core], ftso_emit_mul(e, image, ftso_emit_stored(e, core)));
    for (int64_t first = 0; first < stored; first += (int64_t)CHUNK * v) {
        int count = (int)((stored - first) / v < CHUNK ? (stored - first) / v : CHUNK);
        LLVMValueRef sums[CHUNK], next[CHUNK];
        for (int k = 0; k < count; k++) sums[k] = ftso_emit_splat_of(e, 0);
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, pixels), 1, true, sums,
                       count);
        ftso_pixel pixel = {.image = image, .number = loop.index};
        for (int k = 0; k < count; k++)
            next[k] =
                LLVMBuildFAdd(e->builder, loop.carried[k],
                              ftso_emit_channels(e, &pixel, operand, first + (int64_t)k * v), "");
        ftso_emit_loop_end(e, &loop, next);
        for (int k = 0; k < count; k++) {
            LLVMValueRef mean = LLVMBuildFMul(e->builder, loop.carried[k],
                                              ftso_emit_splat_of(e, 1.0 / (double)pixels), "");
            ftso_emit_store(e, mean,
                            ftso_emit_at(e, out, ftso_emit_i64(e, first + (int64_t)k * v)));
        }
    }
}

/* One row of equal pixels in scratch; every row of the map reads it in the epilogue. */
static void emit_spread(ftso_emitter *e, const ftso_epilogue *epilogue, ftso_value core,
                        LLVMValueRef image)
{
    const ftso_node *node = ftso_kernel_node(e, core);
    int v = e->target.vector_floats;
    int64_t stored = ftso_emit_round(e, node->shape.dim[1]), height = node->shape.dim[2],
            width = node->shape.dim[3];
    ftso_pixel pixel = {.image = image, .number = ftso_emit_i64(e, 0)};
    for (int64_t c = 0; c < stored; c += v) {
        LLVMValueRef x = ftso_emit_channels(e, &pixel, node->inputs[0], c);
        x = LLVMBuildFMul(e->builder, x, ftso_emit_splat_of(e, 1.0 / (double)(height * width)), "");
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, width), 1, true, NULL, 0);
        ftso_emit_store(e, x,
                        ftso_emit_at(e, e->scratch,
                                     ftso_emit_add(e, ftso_emit_mul(e, loop.index, stored),
                                                   ftso_emit_i64(e, c))));
        ftso_emit_loop_end(e, &loop, NULL);
    }
    ftso_loop rows;
    ftso_emit_loop(e, &rows, ftso_emit_i64(e, 0), ftso_emit_i64(e, height), 1, true, NULL, 0);
    ftso_emit_epilogue_run(e, epilogue, image, ftso_emit_mul(e, rows.index, width),
                           ftso_emit_i64(e, width), &e->scratch);
    ftso_emit_loop_end(e, &rows, NULL);
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    ftso_emit_reads_are_constant(e);
    const ftso_node *node = ftso_kernel_node(e, region->cores[0]);
    bool spread = ftso_node_is(node, "spread");
    int64_t planned = node->shape.dim[0], per_item = ftso_emit_images_per_item(e, planned);
    ftso_epilogue epilogue = spread ? ftso_emit_epilogue_plan(e, 0) : (ftso_epilogue){0};
    int64_t row = node->shape.dim[3] * ftso_emit_round(e, node->shape.dim[1]),
            scratch = spread ? ftso_emit_epilogue_place(e, &epilogue, row) : 0;
    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_loop images;
    ftso_emit_images(e, &images, per_item);
    if (spread)
        emit_spread(e, &epilogue, region->cores[0], images.index);
    else
        emit_pool(e, region->cores[0], images.index);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, per_item, planned, out_shape);
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_image = {.name = "image",
                                             .doc = "global average pool and its gradient",
                                             .narrow = true,
                                             .emit_llvm = emit};
