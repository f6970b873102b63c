/*
 * Pool: largest and mean of a window, and their gradients, a band of the pool's rows at a time.
 *
 * In: the operand's tile with padding (minus infinity for the largest, zero for the mean), or in memory, where windows lie side
 * by side. Out: results in scratch, for the epilogue. Gradients add what each output passes back to rows of the padded image in
 * scratch, outputs in row order, so every pixel's sum has one order; rows that no later band adds to go through the epilogue, the
 * others are the next band's first.
 * Little is computed for each line of memory, so that loads ask for what comes soon, or a band's lines are loaded before windows
 * jump between rows; beside contractions, whose loops have time to spare, these ask for the next band's lines.
 * The largest is the first in row order, as in the operator's reference.
 */
#include "kernels/kernels_internal.h"

#include <math.h>
#include <string.h>

enum {
    BUDGET_FLOATS = 12288,
    MOST_ASKED = 16,
    MOST_TAPS = 16,
    MOST_VECTORS = 16,
    MOST_CARRIED = 16,
    AHEAD_FLOATS = 8 * FTSO_LINE_FLOATS /* ftso_emitter.ahead_floats */
};

/*
 * Where one output's window begins in the tile, and where output (row, column) lies in a dense map; channel offset included.
 * `carried`: of a gradient, what windows before it have passed back to the columns that this one sees too, row by row.
 */
typedef struct site {
    LLVMValueRef window, number, dense;
    LLVMValueRef carried[MOST_CARRIED];
    ftso_pixel taps[MOST_TAPS]; /* where the operand is evaluated, if it has no tile: */
    int64_t first;              /* these channels, constant ones */
} site;

/* What the four differ in. */
typedef struct ftso_pooling_kind {
    const char *name;
    void (*each)(ftso_pooling *pool, site *at);
    bool gradient, reads_x, shares;
    double outside;
} ftso_pooling_kind;

/* Vectors of a window's row that the next window sees too, and whose sums go on in registers: all, or none. */
static int64_t carried_vectors(const ftso_pooling *pool)
{
    int64_t columns = pool->kernel - pool->stride,
            vectors = (columns + pool->e->pixels - 1) / pool->e->pixels;
    bool carries = pool->kind->gradient && columns > 0 && pool->kernel * vectors <= MOST_CARRIED;
    return carries ? vectors : 0;
}

/* Whether windows lie side by side on the operand's map, few enough taps and channels to write out one by one. */
static bool reads_in_place(const ftso_pooling *pool)
{
    return !pool->kind->gradient && pool->e->pixels == 1 && pool->assigns && !pool->top &&
           !pool->left && pool->tile_h == pool->in_h && pool->tile_w == pool->in_w &&
           pool->kernel * pool->kernel <= MOST_TAPS &&
           pool->stored <= (int64_t)MOST_VECTORS * pool->e->target.vector_floats;
}

/* Rows of the padded map that a band's windows see. */
static int64_t seen_rows(const ftso_pooling *pool)
{
    return (pool->rows - 1) * pool->stride + pool->kernel;
}

/* Rows that later bands add to, or that no window reaches. */
static int64_t rows_left(const ftso_pooling *pool)
{
    int64_t rows = pool->tile_h - pool->out_h * pool->stride;
    return rows > 0 ? rows : 0;
}

static void describe(ftso_pooling *pool, const ftso_node *node, ftso_shape in, ftso_shape out)
{
    pool->kernel = ftso_node_int(node, "kernel");
    pool->stride = ftso_node_int(node, "stride");
    pool->top = ftso_node_int(node, "pad_top");
    pool->left = ftso_node_int(node, "pad_left");
    pool->in_h = in.dim[2];
    pool->in_w = in.dim[3];
    pool->out_h = out.dim[2];
    pool->out_w = out.dim[3];
    pool->stored = ftso_emit_round(pool->e, in.dim[1]);
    /* as wide as the last window reaches, and at least the image itself */
    pool->tile_h = (pool->out_h - 1) * pool->stride + pool->kernel;
    pool->tile_w = (pool->out_w - 1) * pool->stride + pool->kernel;
    if (pool->tile_h < pool->in_h + pool->top) pool->tile_h = pool->in_h + pool->top;
    if (pool->tile_w < pool->in_w + pool->left) pool->tile_w = pool->in_w + pool->left;
    pool->assigns = pool->stride >= pool->kernel;
    pool->in_place = reads_in_place(pool);
    pool->tiled = pool->kind->reads_x && !pool->in_place;
}

/* The most rows that divide the pool's into bands within the budget; an image has `least` bands, if it can. */
static int64_t choose_rows(const ftso_pooling *pool, int64_t least)
{
    int64_t tiles = pool->tiled + pool->kind->gradient, best = 1;
    for (int64_t rows = 2; rows <= pool->out_h; rows++) {
        int64_t seen = tiles * pool->kernel * pool->tile_w * pool->stored;
        if (pool->out_h % rows) continue;
        if (rows * ftso_pooling_row_floats(pool) + seen > BUDGET_FLOATS ||
            pool->out_h / rows < least)
            break;
        best = rows;
    }
    return best;
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

static void make_shares(ftso_pooling *pool)
{
    ftso_emitter *e = pool->e;
    int64_t count = pool->out_h * pool->out_w;
    LLVMValueRef *numbers = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        int64_t h = taps_inside(i / pool->out_w, pool->stride, pool->kernel, pool->top, pool->in_h);
        int64_t w =
            taps_inside(i % pool->out_w, pool->stride, pool->kernel, pool->left, pool->in_w);
        numbers[i] = ftso_emit_f32(e, 1.0 / (double)(h * w));
    }
    LLVMValueRef array = LLVMConstArray(e->f32, numbers, (unsigned)count);
    pool->shares = LLVMAddGlobal(e->module, LLVMTypeOf(array), "shares");
    LLVMSetInitializer(pool->shares, array);
    LLVMSetGlobalConstant(pool->shares, true);
    LLVMSetLinkage(pool->shares, LLVMPrivateLinkage);
}

static LLVMValueRef tap_offset(ftso_pooling *pool, const site *at, int64_t kh, int64_t kw)
{
    return ftso_emit_add(pool->e, at->window,
                         ftso_emit_i64(pool->e, (kh * pool->tile_w + kw) * pool->stored));
}

/* The operand at tap number k, counted row by row. */
static LLVMValueRef tap(ftso_pooling *pool, site *at, int64_t k)
{
    ftso_emitter *e = pool->e;
    if (pool->in_place) return ftso_emit_channels(e, &at->taps[k], pool->x, at->first);
    return ftso_emit_load_vector(
        e, ftso_emit_at(e, pool->tile, tap_offset(pool, at, k / pool->kernel, k % pool->kernel)));
}

/* One output of an operand in memory: all its channels, since those may move between vectors on the way. */
static void each_in_place(ftso_pooling *pool, site *at, LLVMValueRef image, LLVMValueRef row,
                          LLVMValueRef column)
{
    ftso_emitter *e = pool->e;
    row = ftso_emit_add(e, ftso_emit_mul(e, pool->band, pool->rows), row);
    LLVMValueRef start =
        ftso_emit_mul(e, ftso_emit_add(e, ftso_emit_mul(e, row, pool->in_w), column), pool->stride);
    for (int64_t k = 0; k < pool->kernel * pool->kernel; k++) {
        int64_t pixels = k / pool->kernel * pool->in_w + k % pool->kernel;
        at->taps[k] = (ftso_pixel){.image = image,
                                   .number = ftso_emit_add(e, start, ftso_emit_i64(e, pixels))};
    }
    for (at->first = 0; at->first < pool->stored; at->first += ftso_emit_unit(e))
        pool->kind->each(pool, at);
}

static void add_to_result(ftso_pooling *pool, LLVMValueRef offset, LLVMValueRef value)
{
    LLVMValueRef to = ftso_emit_at(pool->e, pool->result, offset);
    if (pool->assigns) {
        ftso_emit_store(pool->e, value, to);
        return;
    }
    ftso_emit_store(pool->e,
                    LLVMBuildFAdd(pool->e->builder, ftso_emit_load_vector(pool->e, to), value, ""),
                    to);
}

/* What windows have carried to where the next one would begin. */
static void add_carried(ftso_pooling *pool, const site *next)
{
    int64_t vectors = carried_vectors(pool);
    for (int64_t k = 0; k < pool->kernel * vectors; k++)
        add_to_result(pool, tap_offset(pool, next, k / vectors, k % vectors * pool->e->pixels),
                      next->carried[k]);
}

/* Loops over channel vectors, where the kind does one at a time, and the band's outputs. */
static void for_outputs(ftso_pooling *pool, LLVMValueRef image)
{
    ftso_emitter *e = pool->e;
    int64_t v = e->target.vector_floats,
            vectors = pool->in_place ? 1 : pool->stored / ftso_emit_unit(e),
            steps = pool->out_w / e->pixels;
    ftso_pace pace = ftso_ahead_pace(pool->ahead, vectors * pool->rows, steps, MOST_ASKED);
    ftso_loop channels, row, column;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, vectors), 1, true, NULL, 0);
    LLVMValueRef channel = ftso_emit_mul(e, channels.index, v);
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, pool->rows), 1, true, NULL, 0);
    LLVMValueRef turn = ftso_emit_add(e, ftso_emit_mul(e, channels.index, pool->rows), row.index);
    ftso_asked ahead = ftso_ahead_turn(e, pool->ahead, pace, steps, turn, pool->result);
    int carried = (int)(pool->kernel * carried_vectors(pool));
    LLVMValueRef zeros[MOST_CARRIED];
    for (int k = 0; k < carried; k++) zeros[k] = ftso_emit_splat_of(e, 0);
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0), ftso_emit_i64(e, steps), 1, true, zeros,
                   carried);
    ftso_ask(e, &ahead, column.index);
    LLVMValueRef first = ftso_emit_mul(e, column.index, e->pixels);
    LLVMValueRef row_start = ftso_emit_add(
        e, ftso_emit_mul(e, row.index, pool->stride * pool->tile_w * pool->stored), channel);
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, row.index, pool->out_w), first);
    site at = {
        .window = ftso_emit_add(e, row_start, ftso_emit_mul(e, first, pool->stride * pool->stored)),
        .number = ftso_emit_add(e, ftso_emit_mul(e, pool->band, pool->rows * pool->out_w), number),
        .dense = ftso_emit_add(e, ftso_emit_mul(e, number, pool->stored), channel)};
    memcpy(at.carried, column.carried, (size_t)carried * sizeof(LLVMValueRef));
    if (pool->in_place)
        each_in_place(pool, &at, image, row.index, column.index);
    else
        pool->kind->each(pool, &at);
    ftso_emit_loop_end(e, &column, at.carried);
    memcpy(at.carried, column.carried, (size_t)carried * sizeof(LLVMValueRef));
    at.window =
        ftso_emit_add(e, row_start, ftso_emit_i64(e, pool->out_w * pool->stride * pool->stored));
    add_carried(pool, &at);
    ftso_emit_loop_end(e, &row, NULL);
    ftso_emit_loop_end(e, &channels, NULL);
}

static LLVMValueRef share(ftso_pooling *pool, const site *at)
{
    ftso_emitter *e = pool->e;
    LLVMValueRef spread = NULL;
    for (int p = 0; p < e->pixels; p++) {
        LLVMValueRef number = ftso_emit_add(e, at->number, ftso_emit_i64(e, p));
        LLVMValueRef own = ftso_emit_load(e, ftso_emit_at(e, pool->shares, number));
        spread = spread ? ftso_emit_with_pixel(e, spread, ftso_emit_splat(e, own), p)
                        : ftso_emit_splat(e, own);
    }
    return spread;
}

/* All taps of a window, row by row. */
static LLVMValueRef *taps_of(ftso_pooling *pool, site *at)
{
    int64_t count = pool->kernel * pool->kernel;
    LLVMValueRef *taps = FTSO_ARRAY(pool->e->arena, LLVMValueRef, (size_t)count);
    for (int64_t k = 0; k < count; k++) taps[k] = tap(pool, at, k);
    return taps;
}

/* The first of those that no other exceeds. */
static LLVMValueRef largest_of(ftso_emitter *e, const LLVMValueRef *values, int64_t count)
{
    LLVMValueRef best = values[0];
    for (int64_t k = 1; k < count; k++) {
        LLVMValueRef larger = LLVMBuildFCmp(e->builder, LLVMRealOGT, values[k], best, "");
        best = LLVMBuildSelect(e->builder, larger, values[k], best, "");
    }
    return best;
}

static void store_result(ftso_pooling *pool, const site *at, LLVMValueRef value)
{
    LLVMValueRef offset = ftso_emit_add(pool->e, at->dense, ftso_emit_i64(pool->e, at->first));
    ftso_emit_store(pool->e, value, ftso_emit_at(pool->e, pool->result, offset));
}

static void each_max(ftso_pooling *pool, site *at)
{
    LLVMValueRef *taps = taps_of(pool, at);
    store_result(pool, at, largest_of(pool->e, taps, pool->kernel * pool->kernel));
}

static void each_avg(ftso_pooling *pool, site *at)
{
    ftso_emitter *e = pool->e;
    LLVMValueRef sum = tap(pool, at, 0);
    for (int64_t k = 1; k < pool->kernel * pool->kernel; k++)
        sum = LLVMBuildFAdd(e->builder, sum, tap(pool, at, k), "");
    store_result(pool, at, LLVMBuildFMul(e->builder, sum, share(pool, at), ""));
}

/* Pixel p of the result is pixel a * P + p - kw of the vector, where it has such a one, else zero. */
static LLVMValueRef moved_by(ftso_pooling *pool, LLVMValueRef vector, int64_t a, int64_t kw)
{
    ftso_emitter *e = pool->e;
    LLVMValueRef lanes[64];
    int64_t v = e->target.vector_floats, unit = ftso_emit_unit(e);
    for (int64_t l = 0; l < v; l++) {
        int64_t from = l + (a * e->pixels - kw) * unit;
        lanes[l] = LLVMConstInt(e->i32, (unsigned)(from >= 0 && from < v ? from : v), false);
    }
    return LLVMBuildShuffleVector(e->builder, vector, ftso_emit_splat_of(e, 0),
                                  LLVMConstVector(lanes, (unsigned)v), "");
}

/* What outputs pass back to a row of their windows, parts[kw] to tap kw, vector by vector: of several outputs a vector the parts
 * overlap and are added up. Returns how many. */
static int64_t vectors_of_row(ftso_pooling *pool, const LLVMValueRef *parts, LLVMValueRef *out)
{
    ftso_emitter *e = pool->e;
    int64_t count = 0;
    if (e->pixels == 1 || pool->assigns) {
        memcpy(out, parts, (size_t)pool->kernel * sizeof(*out));
        return pool->kernel;
    }
    for (int64_t a = 0; a * e->pixels < e->pixels + pool->kernel - 1; a++) {
        LLVMValueRef sum = NULL;
        for (int64_t kw = 0; kw < pool->kernel; kw++) {
            if (kw >= (a + 1) * e->pixels || a * e->pixels - kw >= e->pixels) continue;
            LLVMValueRef part = a || kw ? moved_by(pool, parts[kw], a, kw) : parts[kw];
            sum = sum ? LLVMBuildFAdd(e->builder, sum, part, "") : part;
        }
        out[count++] = sum;
    }
    return count;
}

/*
 * Adds what an output passes back to its window's row kh, parts[kw] to tap kw. What the next output adds to as well goes on in
 * registers, so that each vector of the result is loaded and stored once a row.
 */
static void add_row(ftso_pooling *pool, site *at, int64_t kh, const LLVMValueRef *parts)
{
    ftso_emitter *e = pool->e;
    LLVMValueRef *made = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)pool->kernel + 1);
    int64_t count = vectors_of_row(pool, parts, made), carries = carried_vectors(pool),
            done = count - carries, step = pool->assigns ? 1 : e->pixels;
    LLVMValueRef *carried = &at->carried[kh * carries];
    for (int64_t k = 0; k < count && k < carries; k++)
        made[k] = LLVMBuildFAdd(e->builder, carried[k], made[k], "");
    for (int64_t k = 0; k < done; k++)
        add_to_result(pool, tap_offset(pool, at, kh, k * step), made[k]);
    for (int64_t k = 0; k < carries; k++) carried[k] = made[k + done];
}

static void each_avg_dx(ftso_pooling *pool, site *at)
{
    ftso_emitter *e = pool->e;
    LLVMValueRef dy = ftso_emit_load_vector(e, ftso_emit_at(e, pool->other, at->dense)),
                 *parts = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)pool->kernel);
    for (int64_t kw = 0; kw < pool->kernel; kw++)
        parts[kw] = LLVMBuildFMul(e->builder, dy, share(pool, at), "");
    for (int64_t kh = 0; kh < pool->kernel; kh++) add_row(pool, at, kh, parts);
}

/* parts[k] is what of `from` goes to the first of values[0 … count) that is their largest, `largest`; zero for all others. */
static void deal_to_first(ftso_emitter *e, const LLVMValueRef *values, int64_t count,
                          LLVMValueRef largest, LLVMValueRef from, LLVMValueRef *parts)
{
    LLVMValueRef zero = ftso_emit_splat_of(e, 0), open = NULL; /* none before it was */
    for (int64_t k = 0; k < count; k++) {
        LLVMValueRef is = NULL, chosen = open;
        if (k + 1 < count) {
            is = LLVMBuildFCmp(e->builder, LLVMRealOEQ, values[k], largest, "");
            chosen = open ? LLVMBuildAnd(e->builder, open, is, "") : is;
            LLVMValueRef other = LLVMBuildNot(e->builder, is, "");
            open = open ? LLVMBuildAnd(e->builder, open, other, "") : other;
        }
        parts[k] = chosen ? LLVMBuildSelect(e->builder, chosen, from, zero, "") : from;
    }
}

/* The first of the largest is in the first row that has one. */
static void each_max_dx(ftso_pooling *pool, site *at)
{
    ftso_emitter *e = pool->e;
    int64_t kernel = pool->kernel;
    LLVMValueRef dy = ftso_emit_load_vector(e, ftso_emit_at(e, pool->other, at->dense)),
                 *taps = taps_of(pool, at),
                 *rows = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)kernel),
                 *of_row = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)kernel),
                 *parts = FTSO_ARRAY(e->arena, LLVMValueRef, (size_t)kernel);
    for (int64_t kh = 0; kh < kernel; kh++) rows[kh] = largest_of(e, taps + kh * kernel, kernel);
    deal_to_first(e, rows, kernel, largest_of(e, rows, kernel), dy, of_row);
    for (int64_t kh = 0; kh < kernel; kh++) {
        deal_to_first(e, taps + kh * kernel, kernel, rows[kh], of_row[kh], parts);
        add_row(pool, at, kh, parts);
    }
}

static const ftso_pooling_kind kinds[] = {
    {"max_pool", each_max, false, true, false, -INFINITY},
    {"avg_pool", each_avg, false, true, true, 0},
    {"max_pool_dx", each_max_dx, true, true, false, -INFINITY},
    {"avg_pool_dx", each_avg_dx, true, false, true, 0},
};

/* Rows [row, row + rows) of a map of `columns` columns from `column` on, to `address`. */
static void emit_rows(ftso_pooling *pool, ftso_value value, LLVMValueRef image, LLVMValueRef row,
                      int64_t rows, int64_t column, int64_t columns, double outside,
                      LLVMValueRef address)
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
    ftso_emit_tile(pool->e, &tile);
}

/* Rows of the gradient before the band's windows add to them: the last one's that are not complete, and zeros. */
static void begin_gradient(ftso_pooling *pool)
{
    ftso_emitter *e = pool->e;
    int64_t row = pool->tile_w * pool->stored, done = pool->rows * pool->stride * row,
            left = rows_left(pool) * row;
    LLVMValueRef behind = ftso_emit_at(e, pool->result, ftso_emit_i64(e, done));
    if (pool->stride == pool->kernel && pool->tile_w == pool->out_w * pool->stride) {
        ftso_emit_fill(e, behind, left, 0); /* windows leave nothing else out */
        return;
    }
    ftso_if branch;
    LLVMValueRef is_first =
        LLVMBuildICmp(e->builder, LLVMIntEQ, pool->band, ftso_emit_i64(e, 0), "");
    ftso_emit_if(e, &branch, LLVMBuildNot(e->builder, is_first, ""));
    ftso_emit_copy(e, pool->result, behind, left);
    ftso_emit_if_end(e, &branch);
    ftso_emit_if(e, &branch, is_first);
    ftso_emit_fill(e, pool->result, left, 0);
    ftso_emit_if_end(e, &branch);
    ftso_emit_fill(e, ftso_emit_at(e, pool->result, ftso_emit_i64(e, left)), done, 0);
}

/* The epilogue of the rows that are complete, those on the map; of all that are left behind the last band. */
static void end_gradient(ftso_pooling *pool, const ftso_epilogue *epilogue, LLVMValueRef image)
{
    ftso_emitter *e = pool->e;
    int64_t rows = pool->rows * pool->stride, bands = pool->out_h / pool->rows;
    LLVMValueRef first = ftso_emit_add(e, ftso_emit_mul(e, pool->band, rows),
                                       ftso_emit_i64(e, -pool->top)),
                 is_last = LLVMBuildICmp(e->builder, LLVMIntEQ, pool->band,
                                         ftso_emit_i64(e, bands - 1), "");
    LLVMValueRef limit = LLVMBuildSelect(
        e->builder, is_last, ftso_emit_i64(e, rows + rows_left(pool)), ftso_emit_i64(e, rows), "");
    ftso_loop loop;
    ftso_if inside;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), limit, 1, true, NULL, 0);
    LLVMValueRef row = ftso_emit_add(e, first, loop.index);
    ftso_emit_if(e, &inside,
                 LLVMBuildICmp(e->builder, LLVMIntULT, row, ftso_emit_i64(e, pool->in_h), ""));
    LLVMValueRef from =
        ftso_emit_at(e, pool->result,
                     ftso_emit_add(e, ftso_emit_mul(e, loop.index, pool->tile_w * pool->stored),
                                   ftso_emit_i64(e, pool->left * pool->stored)));
    ftso_emit_epilogue_run(e, epilogue, image, ftso_emit_mul(e, row, pool->in_w),
                           ftso_emit_i64(e, pool->in_w), &from);
    ftso_emit_if_end(e, &inside);
    ftso_emit_loop_end(e, &loop, NULL);
}

ftso_pooling ftso_pooling_of(ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = ftso_kernel_node(e, value);
    ftso_pooling pool = {.e = e, .value = value, .kind = kinds};
    while (!ftso_node_is(node, pool.kind->name)) {
        pool.kind++;
        FTSO_ASSERT(pool.kind < kinds + FTSO_COUNT(kinds));
    }
    pool.dy = node->inputs[0];
    pool.x = node->inputs[pool.kind->gradient ? node->input_count - 1 : 0];
    if (pool.kind->gradient)
        describe(&pool, node, node->shape, ftso_kernel_shape(e, pool.dy));
    else
        describe(&pool, node, ftso_kernel_shape(e, pool.x), node->shape);
    if (pool.kind->shares) make_shares(&pool);
    return pool;
}

int64_t ftso_pooling_row_floats(const ftso_pooling *pool)
{
    int64_t tiles = pool->tiled + pool->kind->gradient;
    return pool->stored * (tiles * pool->stride * pool->tile_w + pool->out_w);
}

void ftso_pooling_place(ftso_pooling *pool, int64_t rows, int64_t *scratch)
{
    const ftso_emitter *e = pool->e;
    pool->rows = rows;
    int64_t dense = rows * pool->out_w * pool->stored, row = pool->tile_w * pool->stored,
            result = dense;
    if (pool->kind->gradient) {
        int64_t made = rows * pool->stride + rows_left(pool), seen = seen_rows(pool);
        result = (made > seen ? made : seen) * row;
    }
    if (e->pixels > 1) result += e->target.vector_floats; /* zeros are added behind a row */
    pool->tile_offset = *scratch;
    if (pool->tiled) *scratch += ftso_emit_round(e, seen_rows(pool) * row);
    pool->result_offset = *scratch;
    *scratch += result;
    pool->other_offset = *scratch;
    if (pool->kind->gradient) *scratch += dense;
}

void ftso_pooling_run(ftso_pooling *pool, LLVMValueRef image, LLVMValueRef band,
                      const ftso_ahead *ahead)
{
    ftso_emitter *e = pool->e;
    pool->band = band;
    pool->ahead = ahead;
    pool->tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, pool->tile_offset));
    pool->result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, pool->result_offset));
    pool->other = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, pool->other_offset));
    if (pool->tiled) {
        LLVMValueRef top = ftso_emit_add(e, ftso_emit_mul(e, band, pool->rows * pool->stride),
                                         ftso_emit_i64(e, -pool->top));
        emit_rows(pool, pool->x, image, top, seen_rows(pool), -pool->left, pool->tile_w,
                  pool->kind->outside, pool->tile);
    }
    if (pool->kind->gradient) {
        emit_rows(pool, pool->dy, image, ftso_emit_mul(e, band, pool->rows), pool->rows, 0,
                  pool->out_w, 0, pool->other);
        begin_gradient(pool);
    }
    for_outputs(pool, image);
}

int64_t ftso_pooling_work(const ftso_pooling *pool)
{
    return pool->stored / ftso_emit_unit(pool->e) * pool->rows * pool->out_w / pool->e->pixels *
           pool->kernel * pool->kernel;
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    ftso_emit_reads_are_constant(e);
    ftso_pooling pool = ftso_pooling_of(e, region->cores[0]);
    bool gradient = pool.kind->gradient;
    if (!pool.in_place) e->ahead_floats = AHEAD_FLOATS;
    int64_t planned = ftso_kernel_shape(e, pool.value).dim[0], scratch = 0;
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    epilogue.whole = epilogue.whole || gradient; /* bands go on from one another */
    ftso_pooling_place(&pool,
                       choose_rows(&pool, ftso_emit_least_bands(e, &epilogue, planned, pool.out_h)),
                       &scratch);
    scratch = ftso_emit_epilogue_place(e, &epilogue, scratch);

    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_frame frame;
    ftso_emit_frame(e, &frame, &epilogue, planned, pool.out_h / pool.rows);
    LLVMValueRef image = frame.images.index, band = frame.rows.index;
    int64_t made = gradient ? pool.rows * pool.stride * pool.in_w : pool.rows * pool.out_w;
    if (pool.in_place) {
        ftso_ahead_band at_hand = {.like = pool.value,
                                   .image = image,
                                   .first = ftso_emit_mul(e, band, made),
                                   .pixels = made,
                                   .writes = true};
        ftso_ahead seen = ftso_ahead_of(e, &at_hand);
        ftso_touch(e, &seen);
    }
    ftso_pooling_run(&pool, image, band, NULL);
    if (gradient)
        end_gradient(&pool, &epilogue, image);
    else
        ftso_emit_epilogue_run(e, &epilogue, image, ftso_emit_mul(e, band, made),
                               ftso_emit_i64(e, made), &pool.result);
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
