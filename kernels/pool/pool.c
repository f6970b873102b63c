/*
 * Pool: largest and mean of a window, and their gradients, a whole image at a time.
 *
 * In: the operand's tile with padding (minus infinity for the largest, zero for the mean). Out: results in scratch, for the
 * epilogue. Gradients add what each output passes back to a padded image in scratch, outputs in row order, so every
 * pixel's sum has one order. The largest is the first in row order, as in the operator's reference.
 */
#include "kernels/kernels_internal.h"

#include <math.h>

typedef struct job {
    ftso_emitter *e;
    int64_t kernel, stride, top, left; /* of the window */
    int64_t in_h, in_w, out_h, out_w;  /* of the pool: its operand's map and its result's */
    int64_t stored, tile_h, tile_w;
    LLVMValueRef tile, other, result; /* padded operand; dy; what the epilogue reads */
    LLVMValueRef shares; /* 1 / taps inside the image, by output pixel: a constant array */
} job;

static void describe(job *j, const ftso_node *node, ftso_shape in, ftso_shape out)
{
    j->kernel = ftso_node_int(node, "kernel");
    j->stride = ftso_node_int(node, "stride");
    j->top = ftso_node_int(node, "pad_top");
    j->left = ftso_node_int(node, "pad_left");
    j->in_h = in.dim[2];
    j->in_w = in.dim[3];
    j->out_h = out.dim[2];
    j->out_w = out.dim[3];
    j->stored = ftso_emit_round(j->e, in.dim[1]);
    /* as wide as the last window reaches, and at least the image itself */
    j->tile_h = (j->out_h - 1) * j->stride + j->kernel;
    j->tile_w = (j->out_w - 1) * j->stride + j->kernel;
    if (j->tile_h < j->in_h + j->top) j->tile_h = j->in_h + j->top;
    if (j->tile_w < j->in_w + j->left) j->tile_w = j->in_w + j->left;
}

static int64_t taps_inside(int64_t output, int64_t stride, int64_t kernel, int64_t pad,
                           int64_t extent)
{
    int64_t count = 0;
    for (int64_t k = 0; k < kernel; k++) {
        int64_t at = output * stride + k - pad;
        count += at >= 0 && at < extent;
    }
    return count;
}

static void make_shares(job *j)
{
    ftso_emitter *e = j->e;
    int64_t count = j->out_h * j->out_w;
    LLVMValueRef *numbers = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        int64_t h = taps_inside(i / j->out_w, j->stride, j->kernel, j->top, j->in_h);
        int64_t w = taps_inside(i % j->out_w, j->stride, j->kernel, j->left, j->in_w);
        numbers[i] = ftso_emit_f32(e, 1.0 / (double)(h * w));
    }
    LLVMValueRef array = LLVMConstArray(e->f32, numbers, (unsigned)count);
    j->shares = LLVMAddGlobal(e->module, LLVMTypeOf(array), "shares");
    LLVMSetInitializer(j->shares, array);
    LLVMSetGlobalConstant(j->shares, true);
    LLVMSetLinkage(j->shares, LLVMPrivateLinkage);
}

/* Where one output's window begins in the tile, and where output (row, column) lies in a dense map; channel offset included. */
typedef struct site {
    LLVMValueRef window, number, dense;
} site;

/* Loops over channel vectors and outputs; `each` emits one output of one vector. */
static void for_outputs(job *j, void (*each)(job *j, const site *at))
{
    ftso_emitter *e = j->e;
    ftso_loop channels, row, column;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->stored),
                   e->target.vector_floats, true, NULL, 0);
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->out_h), 1, true, NULL, 0);
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->out_w), e->pixels, true,
                   NULL, 0);
    LLVMValueRef window =
        ftso_emit_add(e, ftso_emit_mul(e, row.index, j->stride * j->tile_w * j->stored),
                      ftso_emit_mul(e, column.index, j->stride * j->stored));
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, row.index, j->out_w), column.index);
    site at = {.window = ftso_emit_add(e, window, channels.index),
               .number = number,
               .dense = ftso_emit_add(e, ftso_emit_mul(e, number, j->stored), channels.index)};
    each(j, &at);
    ftso_emit_loop_end(e, &column, NULL);
    ftso_emit_loop_end(e, &row, NULL);
    ftso_emit_loop_end(e, &channels, NULL);
}

static LLVMValueRef tap_offset(job *j, const site *at, int64_t kh, int64_t kw)
{
    return ftso_emit_add(j->e, at->window, ftso_emit_i64(j->e, (kh * j->tile_w + kw) * j->stored));
}

static LLVMValueRef share(job *j, const site *at)
{
    ftso_emitter *e = j->e;
    LLVMValueRef spread = NULL;
    for (int p = 0; p < e->pixels; p++) {
        LLVMValueRef number = ftso_emit_add(e, at->number, ftso_emit_i64(e, p));
        LLVMValueRef own = ftso_emit_load(e, ftso_emit_at(e, j->shares, number));
        spread = spread ? ftso_emit_with_pixel(e, spread, ftso_emit_splat(e, own), p)
                        : ftso_emit_splat(e, own);
    }
    return spread;
}

static LLVMValueRef larger(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef *out_is_b)
{
    *out_is_b = LLVMBuildFCmp(e->builder, LLVMRealOGT, b, a, "");
    return LLVMBuildSelect(e->builder, *out_is_b, b, a, "");
}

static void each_max(job *j, const site *at)
{
    ftso_emitter *e = j->e;
    LLVMValueRef best = NULL, ignored;
    for (int64_t kh = 0; kh < j->kernel; kh++)
        for (int64_t kw = 0; kw < j->kernel; kw++) {
            LLVMValueRef x =
                ftso_emit_load_vector(e, ftso_emit_at(e, j->tile, tap_offset(j, at, kh, kw)));
            best = best ? larger(e, best, x, &ignored) : x;
        }
    ftso_emit_store(e, best, ftso_emit_at(e, j->result, at->dense));
}

static void each_avg(job *j, const site *at)
{
    ftso_emitter *e = j->e;
    LLVMValueRef sum = NULL;
    for (int64_t kh = 0; kh < j->kernel; kh++)
        for (int64_t kw = 0; kw < j->kernel; kw++) {
            LLVMValueRef x =
                ftso_emit_load_vector(e, ftso_emit_at(e, j->tile, tap_offset(j, at, kh, kw)));
            sum = sum ? LLVMBuildFAdd(e->builder, sum, x, "") : x;
        }
    ftso_emit_store(e, LLVMBuildFMul(e->builder, sum, share(j, at), ""),
                    ftso_emit_at(e, j->result, at->dense));
}

static void add_to_result(job *j, LLVMValueRef offset, LLVMValueRef value)
{
    LLVMValueRef to = ftso_emit_at(j->e, j->result, offset);
    ftso_emit_store(j->e, LLVMBuildFAdd(j->e->builder, ftso_emit_load_vector(j->e, to), value, ""),
                    to);
}

static void each_avg_dx(job *j, const site *at)
{
    ftso_emitter *e = j->e;
    LLVMValueRef dy = ftso_emit_load_vector(e, ftso_emit_at(e, j->other, at->dense));
    LLVMValueRef part = LLVMBuildFMul(e->builder, dy, share(j, at), "");
    for (int64_t kh = 0; kh < j->kernel; kh++)
        for (int64_t kw = 0; kw < j->kernel; kw++)
            add_to_result(j, tap_offset(j, at, kh, kw), part);
}

static void each_max_dx(job *j, const site *at)
{
    ftso_emitter *e = j->e;
    LLVMTypeRef lanes = LLVMVectorType(e->i32, (unsigned)e->target.vector_floats);
    LLVMValueRef dy = ftso_emit_load_vector(e, ftso_emit_at(e, j->other, at->dense)), best = NULL,
                 tap = NULL;
    for (int64_t k = 0; k < j->kernel * j->kernel; k++) {
        LLVMValueRef number[64];
        for (int l = 0; l < e->target.vector_floats; l++)
            number[l] = LLVMConstInt(e->i32, (unsigned)k, false);
        LLVMValueRef here = LLVMConstVector(number, (unsigned)e->target.vector_floats), is_larger;
        LLVMValueRef x = ftso_emit_load_vector(
            e, ftso_emit_at(e, j->tile, tap_offset(j, at, k / j->kernel, k % j->kernel)));
        if (!best) {
            best = x;
            tap = LLVMConstNull(lanes);
            continue;
        }
        best = larger(e, best, x, &is_larger);
        tap = LLVMBuildSelect(e->builder, is_larger, here, tap, "");
    }
    for (int64_t k = 0; k < j->kernel * j->kernel; k++) {
        LLVMValueRef number[64];
        for (int l = 0; l < e->target.vector_floats; l++)
            number[l] = LLVMConstInt(e->i32, (unsigned)k, false);
        LLVMValueRef here = LLVMConstVector(number, (unsigned)e->target.vector_floats);
        LLVMValueRef chosen = LLVMBuildICmp(e->builder, LLVMIntEQ, tap, here, "");
        add_to_result(j, tap_offset(j, at, k / j->kernel, k % j->kernel),
                      LLVMBuildSelect(e->builder, chosen, dy, ftso_emit_splat_of(e, 0), ""));
    }
}

static const struct {
    const char *name;
    void (*each)(job *j, const site *at);
    bool gradient, reads_x, shares;
    double outside;
} kinds[] = {
    {"max_pool", each_max, false, true, false, -INFINITY},
    {"avg_pool", each_avg, false, true, true, 0},
    {"max_pool_dx", each_max_dx, true, true, false, -INFINITY},
    {"avg_pool_dx", each_avg_dx, true, false, true, 0},
};

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    ftso_emit_reads_are_constant(e);
    const ftso_node *node = ftso_kernel_node(e, region->cores[0]);
    size_t kind = 0;
    while (kind < FTSO_COUNT(kinds) && !ftso_node_is(node, kinds[kind].name)) kind++;
    FTSO_ASSERT(kind < FTSO_COUNT(kinds));
    bool gradient = kinds[kind].gradient;
    ftso_value x = gradient ? node->inputs[node->input_count - 1] : node->inputs[0],
               dy = node->inputs[0];
    job j = {.e = e};
    if (gradient)
        describe(&j, node, node->shape, ftso_kernel_shape(e, dy));
    else
        describe(&j, node, ftso_kernel_shape(e, x), node->shape);
    if (kinds[kind].shares) make_shares(&j);
    int64_t padded = ftso_emit_round(e, j.tile_h * j.tile_w * j.stored),
            dense = j.out_h * j.out_w * j.stored;
    int64_t tile_floats = kinds[kind].reads_x ? padded : 0,
            result_floats = gradient ? padded : dense;
    int64_t planned = node->shape.dim[0], per_item = ftso_emit_images_per_item(e, planned);
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    int64_t scratch = ftso_emit_epilogue_place(
        e, &epilogue, tile_floats + result_floats + (gradient ? dense : 0));

    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    j.tile = e->scratch;
    j.result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, tile_floats));
    j.other = ftso_emit_at(e, j.result, ftso_emit_i64(e, result_floats));
    ftso_loop images;
    ftso_emit_images(e, &images, per_item);
    ftso_tile tile = {.value = x,
                      .image = images.index,
                      .row = ftso_emit_i64(e, -j.top),
                      .rows = j.tile_h,
                      .columns = j.tile_w,
                      .column = -j.left,
                      .step = 1,
                      .outside = kinds[kind].outside,
                      .address = j.tile};
    if (kinds[kind].reads_x) ftso_emit_tile(e, &tile);
    if (gradient) {
        tile = (ftso_tile){.value = dy,
                           .image = images.index,
                           .row = ftso_emit_i64(e, 0),
                           .rows = j.out_h,
                           .columns = j.out_w,
                           .step = 1,
                           .address = j.other};
        ftso_emit_tile(e, &tile);
        ftso_emit_fill(e, j.result, result_floats, 0);
    }
    for_outputs(&j, kinds[kind].each);
    if (!gradient) {
        ftso_emit_epilogue_run(e, &epilogue, images.index, ftso_emit_i64(e, 0),
                               ftso_emit_i64(e, j.out_h * j.out_w), &j.result);
    } else {
        ftso_loop rows;
        ftso_emit_loop(e, &rows, ftso_emit_i64(e, 0), ftso_emit_i64(e, j.in_h), 1, true, NULL, 0);
        LLVMValueRef offset =
            ftso_emit_add(e, ftso_emit_mul(e, rows.index, j.tile_w * j.stored),
                          ftso_emit_i64(e, (j.top * j.tile_w + j.left) * j.stored));
        LLVMValueRef row = ftso_emit_at(e, j.result, offset);
        ftso_emit_epilogue_run(e, &epilogue, images.index, ftso_emit_mul(e, rows.index, j.in_w),
                               ftso_emit_i64(e, j.in_w), &row);
        ftso_emit_loop_end(e, &rows, NULL);
    }
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, per_item, planned, out_shape);
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_pool = {.name = "pool",
                                            .doc =
                                                "largest and mean of a window, and their gradients",
                                            .narrow = true,
                                            .emit_llvm = emit};
