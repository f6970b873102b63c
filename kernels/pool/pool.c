/*
 * Pool: largest and mean of a window, and their gradients, a band of the pool's rows at a time.
 *
 * In: the operand's tile with padding (minus infinity for the largest, zero for the mean). Out: results in scratch, for the
 * epilogue. Gradients add what each output passes back to rows of the padded image in scratch, outputs in row order, so every
 * pixel's sum has one order; rows that no later band adds to go through the epilogue, the others are the next band's first.
 * The largest is the first in row order, as in the operator's reference.
 */
#include "kernels/kernels_internal.h"

#include <math.h>

enum { BUDGET_FLOATS = 12288, MOST_ASKED = 16 };

typedef struct job {
    ftso_emitter *e;
    int64_t kernel, stride, top, left; /* of the window */
    int64_t in_h, in_w, out_h, out_w;  /* of the pool: its operand's map and its result's */
    int64_t stored, tile_h, tile_w;    /* tile: the whole padded map */
    int64_t rows;                      /* of the pool's in a band */
    bool assigns; /* no two windows share a pixel: what one passes back is no sum */
    LLVMValueRef tile, other, result; /* padded operand; dy; what the epilogue reads */
    LLVMValueRef shares; /* 1 / taps inside the image, by output pixel: a constant array */
    LLVMValueRef band;
    const ftso_ahead *ahead;
} job;

/* Rows of the padded map that a band's windows see. */
static int64_t seen_rows(const job *j)
{
    return (j->rows - 1) * j->stride + j->kernel;
}

/* Rows that later bands add to, or that no window reaches. */
static int64_t rows_left(const job *j)
{
    int64_t rows = j->tile_h - j->out_h * j->stride;
    return rows > 0 ? rows : 0;
}

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
    j->assigns = j->stride >= j->kernel;
}

/* The most rows that divide the pool's into bands within the budget; an image has `least` bands, if it can. */
static void choose_rows(job *j, int64_t tiles, int64_t least)
{
    j->rows = 1;
    for (int64_t rows = 2; rows <= j->out_h; rows++) {
        int64_t floats =
            j->stored * (tiles * (rows * j->stride + j->kernel) * j->tile_w + rows * j->out_w);
        if (j->out_h % rows) continue;
        if (floats > BUDGET_FLOATS || j->out_h / rows < least) break;
        j->rows = rows;
    }
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

/* Loops over channel vectors and the band's outputs; `each` emits one output of one vector. */
static void for_outputs(job *j, void (*each)(job *j, const site *at))
{
    ftso_emitter *e = j->e;
    int64_t v = e->target.vector_floats, vectors = j->stored / ftso_emit_unit(e),
            steps = j->out_w / e->pixels;
    int width = ftso_ahead_width(j->ahead, vectors * j->rows, steps, MOST_ASKED);
    ftso_loop channels, row, column;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, vectors), 1, true, NULL, 0);
    LLVMValueRef channel = ftso_emit_mul(e, channels.index, v);
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, j->rows), 1, true, NULL, 0);
    LLVMValueRef turn = ftso_emit_add(e, ftso_emit_mul(e, channels.index, j->rows), row.index);
    ftso_asked ahead = ftso_ahead_turn(e, j->ahead, width, steps, turn, j->result);
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, steps), 1, true, NULL, 0);
    ftso_ask(e, &ahead, column.index);
    LLVMValueRef first = ftso_emit_mul(e, column.index, e->pixels);
    LLVMValueRef window =
        ftso_emit_add(e, ftso_emit_mul(e, row.index, j->stride * j->tile_w * j->stored),
                      ftso_emit_mul(e, first, j->stride * j->stored));
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, row.index, j->out_w), first);
    site at = {.window = ftso_emit_add(e, window, channel),
               .number = ftso_emit_add(e, ftso_emit_mul(e, j->band, j->rows * j->out_w), number),
               .dense = ftso_emit_add(e, ftso_emit_mul(e, number, j->stored), channel)};
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
    if (j->assigns) {
        ftso_emit_store(j->e, value, to);
        return;
    }
    ftso_emit_store(j->e, LLVMBuildFAdd(j->e->builder, ftso_emit_load_vector(j->e, to), value, ""),
                    to);
}

/* Pixel p of the result is pixel a * P + p - kw of the vector, where it has such a one, else zero. */
static LLVMValueRef moved_by(job *j, LLVMValueRef vector, int64_t a, int64_t kw)
{
    ftso_emitter *e = j->e;
    LLVMValueRef lanes[64];
    int64_t v = e->target.vector_floats, unit = ftso_emit_unit(e);
    for (int64_t l = 0; l < v; l++) {
        int64_t from = l + (a * e->pixels - kw) * unit;
        lanes[l] = LLVMConstInt(e->i32, (unsigned)(from >= 0 && from < v ? from : v), false);
    }
    return LLVMBuildShuffleVector(e->builder, vector, ftso_emit_splat_of(e, 0),
                                  LLVMConstVector(lanes, (unsigned)v), "");
}

/*
 * Adds what an output passes back to its window's row kh, parts[kw] to tap kw. Of several outputs in a vector the parts overlap:
 * they are added up in registers first, so that what is stored is what the next vector loads.
 */
static void add_row(job *j, const site *at, int64_t kh, const LLVMValueRef *parts)
{
    ftso_emitter *e = j->e;
    if (e->pixels == 1 || j->assigns) {
        for (int64_t kw = 0; kw < j->kernel; kw++)
            add_to_result(j, tap_offset(j, at, kh, kw), parts[kw]);
        return;
    }
    for (int64_t a = 0; a * e->pixels < e->pixels + j->kernel - 1; a++) {
        LLVMValueRef sum = NULL;
        for (int64_t kw = 0; kw < j->kernel; kw++) {
            if (kw >= (a + 1) * e->pixels || a * e->pixels - kw >= e->pixels) continue;
            LLVMValueRef part = a || kw ? moved_by(j, parts[kw], a, kw) : parts[kw];
            sum = sum ? LLVMBuildFAdd(e->builder, sum, part, "") : part;
        }
        add_to_result(j, tap_offset(j, at, kh, a * e->pixels), sum);
    }
}

static void each_avg_dx(job *j, const site *at)
{
    ftso_emitter *e = j->e;
    LLVMValueRef dy = ftso_emit_load_vector(e, ftso_emit_at(e, j->other, at->dense)),
                 *parts = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)j->kernel);
    for (int64_t kw = 0; kw < j->kernel; kw++)
        parts[kw] = LLVMBuildFMul(e->builder, dy, share(j, at), "");
    for (int64_t kh = 0; kh < j->kernel; kh++) add_row(j, at, kh, parts);
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
    LLVMValueRef *parts = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)j->kernel);
    for (int64_t k = 0; k < j->kernel * j->kernel; k++) {
        LLVMValueRef number[64];
        for (int l = 0; l < e->target.vector_floats; l++)
            number[l] = LLVMConstInt(e->i32, (unsigned)k, false);
        LLVMValueRef here = LLVMConstVector(number, (unsigned)e->target.vector_floats);
        LLVMValueRef chosen = LLVMBuildICmp(e->builder, LLVMIntEQ, tap, here, "");
        parts[k % j->kernel] =
            LLVMBuildSelect(e->builder, chosen, dy, ftso_emit_splat_of(e, 0), "");
        if (k % j->kernel == j->kernel - 1) add_row(j, at, k / j->kernel, parts);
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

/* Rows [row, row + rows) of a map of `columns` columns from `column` on, to `address`. */
static void emit_rows(job *j, ftso_value value, LLVMValueRef image, LLVMValueRef row, int64_t rows,
                      int64_t column, int64_t columns, double outside, LLVMValueRef address)
{
    ftso_tile tile = {.value = value,
                      .image = image,
                      .row = row,
                      .rows = rows,
                      .column = column,
                      .columns = columns,
                      .step = 1,
                      .outside = outside,
                      .address = address};
    ftso_emit_tile(j->e, &tile);
}

/* Rows of the gradient before the band's windows add to them: the last one's that are not complete, and zeros. */
static void begin_gradient(job *j)
{
    ftso_emitter *e = j->e;
    int64_t row = j->tile_w * j->stored, done = j->rows * j->stride * row,
            left = rows_left(j) * row;
    LLVMValueRef behind = ftso_emit_at(e, j->result, ftso_emit_i64(e, done));
    if (j->stride == j->kernel && j->tile_w == j->out_w * j->stride) {
        ftso_emit_fill(e, behind, left, 0); /* windows leave nothing else out */
        return;
    }
    ftso_if branch;
    LLVMValueRef is_first = LLVMBuildICmp(e->builder, LLVMIntEQ, j->band, ftso_emit_i64(e, 0), "");
    ftso_emit_if(e, &branch, LLVMBuildNot(e->builder, is_first, ""));
    ftso_emit_copy(e, j->result, behind, left);
    ftso_emit_if_end(e, &branch);
    ftso_emit_if(e, &branch, is_first);
    ftso_emit_fill(e, j->result, left, 0);
    ftso_emit_if_end(e, &branch);
    ftso_emit_fill(e, ftso_emit_at(e, j->result, ftso_emit_i64(e, left)), done, 0);
}

/* The epilogue of the rows that are complete, those on the map; of all that are left behind the last band. */
static void end_gradient(job *j, const ftso_epilogue *epilogue, LLVMValueRef image)
{
    ftso_emitter *e = j->e;
    int64_t rows = j->rows * j->stride, bands = j->out_h / j->rows;
    LLVMValueRef first =
                     ftso_emit_add(e, ftso_emit_mul(e, j->band, rows), ftso_emit_i64(e, -j->top)),
                 is_last =
                     LLVMBuildICmp(e->builder, LLVMIntEQ, j->band, ftso_emit_i64(e, bands - 1), "");
    LLVMValueRef limit = LLVMBuildSelect(e->builder, is_last, ftso_emit_i64(e, rows + rows_left(j)),
                                         ftso_emit_i64(e, rows), "");
    ftso_loop loop;
    ftso_if inside;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), limit, 1, true, NULL, 0);
    LLVMValueRef row = ftso_emit_add(e, first, loop.index);
    ftso_emit_if(e, &inside,
                 LLVMBuildICmp(e->builder, LLVMIntULT, row, ftso_emit_i64(e, j->in_h), ""));
    LLVMValueRef from =
        ftso_emit_at(e, j->result,
                     ftso_emit_add(e, ftso_emit_mul(e, loop.index, j->tile_w * j->stored),
                                   ftso_emit_i64(e, j->left * j->stored)));
    ftso_emit_epilogue_run(e, epilogue, image, ftso_emit_mul(e, row, j->in_w),
                           ftso_emit_i64(e, j->in_w), &from);
    ftso_emit_if_end(e, &inside);
    ftso_emit_loop_end(e, &loop, NULL);
}

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
    bool gradient = kinds[kind].gradient, reads_x = kinds[kind].reads_x;
    ftso_value x = gradient ? node->inputs[node->input_count - 1] : node->inputs[0],
               dy = node->inputs[0];
    job j = {.e = e};
    if (gradient)
        describe(&j, node, node->shape, ftso_kernel_shape(e, dy));
    else
        describe(&j, node, ftso_kernel_shape(e, x), node->shape);
    if (kinds[kind].shares) make_shares(&j);
    int64_t planned = node->shape.dim[0];
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    epilogue.whole = epilogue.whole || gradient; /* bands go on from one another */
    choose_rows(&j, reads_x + gradient, ftso_emit_least_bands(e, &epilogue, planned, j.out_h));
    int64_t dense = j.rows * j.out_w * j.stored, row_floats = j.tile_w * j.stored,
            tile_floats = reads_x ? ftso_emit_round(e, seen_rows(&j) * row_floats) : 0,
            result_floats = gradient ? (j.rows * j.stride + rows_left(&j)) * row_floats : dense;
    if (gradient && result_floats < seen_rows(&j) * row_floats)
        result_floats = seen_rows(&j) * row_floats;
    if (e->pixels > 1) result_floats += e->target.vector_floats; /* zeros are added behind a row */
    int64_t scratch = ftso_emit_epilogue_place(
        e, &epilogue, tile_floats + result_floats + (gradient ? dense : 0));

    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    j.tile = e->scratch;
    j.result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, tile_floats));
    j.other = ftso_emit_at(e, j.result, ftso_emit_i64(e, result_floats));
    ftso_frame frame;
    ftso_emit_frame(e, &frame, &epilogue, planned, j.out_h / j.rows);
    LLVMValueRef image = frame.images.index;
    j.band = frame.rows.index;
    int64_t made = gradient ? j.rows * j.stride * j.in_w : j.rows * j.out_w;
    LLVMValueRef next = ftso_emit_mul(e, ftso_emit_add(e, j.band, ftso_emit_i64(e, 1)), made);
    ftso_ahead ahead = ftso_ahead_of(e, region->cores[0], image, next, made, true);
    j.ahead = &ahead;
    LLVMValueRef top =
        ftso_emit_add(e, ftso_emit_mul(e, j.band, j.rows * j.stride), ftso_emit_i64(e, -j.top));
    if (reads_x)
        emit_rows(&j, x, image, top, seen_rows(&j), -j.left, j.tile_w, kinds[kind].outside, j.tile);
    if (gradient) {
        emit_rows(&j, dy, image, ftso_emit_mul(e, j.band, j.rows), j.rows, 0, j.out_w, 0, j.other);
        begin_gradient(&j);
    }
    for_outputs(&j, kinds[kind].each);
    if (gradient)
        end_gradient(&j, &epilogue, image);
    else
        ftso_emit_epilogue_run(e, &epilogue, image, ftso_emit_mul(e, j.band, made),
                               ftso_emit_i64(e, made), &j.result);
    ftso_emit_frame_end(e, &frame);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, frame.images_per_item, planned, out_shape);
    out_shape->parts = frame.parts;
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_pool = {.name = "pool",
                                            .doc =
                                                "largest and mean of a window, and their gradients",
                                            .narrow = true,
                                            .emit_llvm = emit};
