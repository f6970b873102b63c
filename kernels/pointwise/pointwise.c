/*
 * Pointwise: regions without a core. An item is a slice of images; the epilogue is all there is.
 */
#include "kernels/kernels_internal.h"

/* Hardware does not follow dozens of images at once: each load asks for what comes so soon (ftso_emitter.ahead_floats). */
enum { AHEAD_FLOATS = 4 * FTSO_LINE_FLOATS };

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    ftso_emit_reads_are_constant(e);
    e->ahead_floats = e->past_caches ? AHEAD_FLOATS : 0;
    ftso_shape map = {0};
    for (size_t i = 0; i < region->write_count; i++) {
        ftso_value value = region->writes[i];
        if (ftso_value_role(schedule->graph, value) == FTSO_ROLE_REDUCTION)
            value = ftso_kernel_node(e, value)->inputs[0];
        map = ftso_kernel_shape(e, value);
    }
    FTSO_ASSERT(map.rank == 4);
    int64_t per_item = ftso_emit_images_per_item(e, map.dim[0]);
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    int64_t scratch = ftso_emit_epilogue_place(e, &epilogue, 0);

    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_loop images;
    ftso_emit_images(e, &images, per_item);
    ftso_emit_epilogue_run(e, &epilogue, images.index, ftso_emit_i64(e, 0),
                           ftso_emit_i64(e, map.dim[2] * map.dim[3]), NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, per_item, map.dim[0], out_shape);
    out_shape->scratch_bytes = 4 * scratch;
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_pointwise = {
    .name = "pointwise",
    .doc = "elementwise nodes and reductions over images that no core makes",
    .narrow = true,
    .emit_llvm = emit};
