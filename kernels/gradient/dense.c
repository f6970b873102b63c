/*
 * Dense weight gradients: conv_dw(dy, x), the sum over images and pixels of dy times what each tap sees of x.
 *
 * In: both operands of a band of rows. Out: sums [tap][input channel][output lanes] of an item, then canonical
 * [O, I, kh, kw]. A block of input channels times vectors of output channels is summed in registers.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 8192, MOST_ASKED = 4, MAX_VECTORS = 8 };

/* What one tap sees: x under the first output, and the tap's sums. */
typedef struct seen_by {
    const ftso_gradient *g;
    LLVMValueRef x, slot;
    LLVMValueRef turn; /* blocks before these that ask for lines ahead */
    ftso_pace pace;    /* at which lines are asked for */
} seen_by;

static int64_t slot_floats(const ftso_gradient *g)
{
    return g->taps.kernel_h * g->taps.kernel_w * g->inputs * g->sum_floats;
}

/* One step: what input channels [first, end) of the block add up at one pixel, or vector of several. */
static void emit_step(ftso_emitter *e, LLVMValueRef x, LLVMValueRef dy, int first, int end,
                      int vectors, LLVMValueRef *sums)
{
    LLVMValueRef right[MAX_VECTORS];
    for (int k = 0; k < vectors; k++) {
        LLVMValueRef lanes = ftso_emit_i64(e, (int64_t)k * e->target.vector_floats);
        right[k] = ftso_emit_load_vector(e, ftso_emit_at(e, dy, lanes));
    }
    LLVMValueRef thin = e->pixels > 1 ? ftso_emit_load_vector(e, x) : NULL;
    for (int r = first; r < end; r++) {
        LLVMValueRef spread =
            thin ? ftso_emit_spread_lane(e, thin, r)
                 : ftso_emit_splat(e, ftso_emit_load(e, ftso_emit_at(e, x, ftso_emit_i64(e, r))));
        for (int k = 0; k < vectors; k++)
            sums[r * vectors + k] = ftso_emit_fma(e, spread, right[k], sums[r * vectors + k]);
    }
}

/* Sums of `rows` input channels from `channel` on and `vectors` output vectors from float `lane` on. Asks for lines ahead,
 * one step with each pixel. */
static void emit_block(ftso_emitter *e, const seen_by *t, LLVMValueRef channel, int rows,
                       LLVMValueRef lane, int vectors, const ftso_asked *ahead)
{
    const ftso_gradient *g = t->g;
    int v = e->target.vector_floats, count = rows * vectors;
    /* from one pixel to the next, or from one vector of several to the next */
    int64_t x_pixel = g->band.stride * g->x_stored * e->pixels, dy_pixel = g->dy_stored * e->pixels,
            steps = g->taps.out_w / e->pixels,
            x_gap = g->band.stride * g->band.tile_columns * g->x_stored - steps * x_pixel,
            dy_gap = g->dy_row - steps * dy_pixel;
    LLVMValueRef to =
        ftso_emit_at(e, t->slot, ftso_emit_add(e, ftso_emit_mul(e, channel, g->sum_floats), lane));
    LLVMValueRef sums[FTSO_MAX_CARRIED];
    FTSO_ASSERT(count + 2 + MOST_ASKED <= FTSO_MAX_CARRIED && vectors <= MAX_VECTORS);
    int64_t offset[FTSO_MAX_CARRIED];
    for (int i = 0; i < count; i++) {
        offset[i] = i / vectors * g->sum_floats + (int64_t)(i % vectors) * v;
        sums[i] = ftso_emit_load_vector(e, ftso_emit_at(e, to, ftso_emit_i64(e, offset[i])));
    }
    /* both pointers walk along: two more carried values, after the sums */
    sums[count] = ftso_emit_at(e, t->x, channel);
    sums[count + 1] = ftso_emit_at(e, g->dy_tile, lane);
    int carried = count + 2; /* and so does what asks for lines */
    ftso_asked asked = *ahead;
    for (int i = 0; i < asked.pace.images; i++) sums[carried++] = *ftso_asked_cursor(&asked, i);
    /* rows that follow each other without a gap are one */
    bool one_run = x_gap == 0 && dy_gap == 0;
    /* a band whose rows are counted while it runs may have none */
    int last_steps = one_run && !g->rows ? ftso_block_last_steps(e, count, steps) : 0;
    LLVMValueRef rows_here = g->rows ? g->rows : ftso_emit_i64(e, g->band.rows),
                 one = ftso_emit_i64(e, 1), columns = ftso_emit_i64(e, steps);
    ftso_loop row, column;
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), one_run ? one : rows_here, 1, !g->rows, sums,
                   carried);
    ftso_emit_loop(e, &column, ftso_emit_i64(e, 0),
                   one_run ? ftso_emit_add(e, ftso_emit_mul(e, rows_here, steps),
                                           ftso_emit_i64(e, -last_steps))
                           : columns,
                   1, !(one_run && g->rows) && last_steps < steps, row.carried, carried);
    for (int i = 0; i < count; i++) sums[i] = column.carried[i];
    emit_step(e, column.carried[count], column.carried[count + 1], 0, rows, vectors, sums);
    sums[count] = ftso_emit_at(e, column.carried[count], ftso_emit_i64(e, x_pixel));
    sums[count + 1] = ftso_emit_at(e, column.carried[count + 1], ftso_emit_i64(e, dy_pixel));
    for (int i = count + 2; i < carried; i++)
        *ftso_asked_cursor(&asked, i - count - 2) = column.carried[i];
    ftso_ask(e, &asked, ftso_emit_i64(e, 0));
    asked = ftso_asked_after(e, &asked, one);
    for (int i = count + 2; i < carried; i++) sums[i] = *ftso_asked_cursor(&asked, i - count - 2);
    ftso_emit_loop_end(e, &column, sums);
    column.carried[count] = ftso_emit_at(e, column.carried[count], ftso_emit_i64(e, x_gap));
    column.carried[count + 1] =
        ftso_emit_at(e, column.carried[count + 1], ftso_emit_i64(e, dy_gap));
    ftso_emit_loop_end(e, &row, column.carried);
    for (int i = 0; i < carried; i++) sums[i] = row.carried[i];
    for (int i = count + 2; i < carried; i++)
        *ftso_asked_cursor(&asked, i - count - 2) = row.carried[i];
    for (int r = 0; r < rows; r += FTSO_LAST_ROWS) {
        int end = r + FTSO_LAST_ROWS < rows ? r + FTSO_LAST_ROWS : rows;
        for (int64_t step = 0; step < last_steps; step++) {
            emit_step(e, ftso_emit_at(e, sums[count], ftso_emit_i64(e, step * x_pixel)),
                      ftso_emit_at(e, sums[count + 1], ftso_emit_i64(e, step * dy_pixel)), r, end,
                      vectors, sums);
            if (r == 0) ftso_ask(e, &asked, ftso_emit_i64(e, step));
        }
        for (int i = r * vectors; i < end * vectors; i++)
            ftso_emit_store(e, sums[i], ftso_emit_at(e, to, ftso_emit_i64(e, offset[i])));
    }
}

/* Input channels at a time: all of them where they share a vector. */
static int rows_of(const ftso_emitter *e, const ftso_gradient *g, int vectors)
{
    double cost;
    return e->pixels > 1 ? (int)g->inputs : ftso_block_rows(e, vectors, g->inputs, &cost);
}

/* Steps over most bands, a pixel or a vector of several each. */
static int64_t steps_of(const ftso_emitter *e, const ftso_gradient *g)
{
    return g->usual_rows * g->taps.out_w / e->pixels;
}

/* Whole blocks of input channels, for one block of `vectors`. */
static int64_t blocks_of(const ftso_emitter *e, const ftso_gradient *g, int vectors)
{
    return vectors ? g->inputs / rows_of(e, g, vectors) : 0;
}

static int vectors_at_once(const ftso_emitter *e, const ftso_gradient *g)
{
    return ftso_block_vectors(e, (int)(g->dy_stored / ftso_emit_unit(e)), g->inputs);
}

/* The work of a tap in blocks of `vectors`. */
static int64_t work_of(const ftso_emitter *e, const ftso_gradient *g, int vectors)
{
    return vectors ? blocks_of(e, g, vectors) * steps_of(e, g) * rows_of(e, g, vectors) * vectors
                   : 0;
}

static int64_t asking_work(const ftso_emitter *e, const ftso_gradient *g)
{
    const ftso_phase *p = &g->taps.phases[0];
    int vectors = (int)(g->dy_stored / ftso_emit_unit(e)), block = vectors_at_once(e, g);
    return p->taps_h * p->taps_w *
           (vectors / block * work_of(e, g, block) + work_of(e, g, vectors % block));
}

/* All input channels of one tap for `vectors` output vectors. */
static void emit_channels(ftso_emitter *e, const seen_by *t, LLVMValueRef lane, int vectors)
{
    const ftso_gradient *g = t->g;
    int64_t inputs = g->inputs;
    int rows = rows_of(e, g, vectors);
    int64_t whole = inputs / rows * rows;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), rows, true, NULL, 0);
    ftso_asked ahead = {.pace = {0}};
    if (t->pace.images) {
        LLVMValueRef turn = LLVMBuildUDiv(e->builder, loop.index, ftso_emit_i64(e, rows), "");
        ahead = ftso_ahead_turn(e, g->ahead, t->pace, steps_of(e, g),
                                ftso_emit_add(e, t->turn, turn), g->dy_tile);
    }
    emit_block(e, t, loop.index, rows, lane, vectors, &ahead);
    ftso_emit_loop_end(e, &loop, NULL);
    if (whole < inputs)
        emit_block(e, t, ftso_emit_i64(e, whole), (int)(inputs - whole), lane, vectors,
                   &(ftso_asked){.pace = {0}});
}

static void run(ftso_emitter *e, const ftso_gradient *g)
{
    const ftso_phase *p = &g->taps.phases[0];
    int64_t row_floats = g->band.tile_columns * g->x_stored, v = e->target.vector_floats;
    int vectors = (int)(g->dy_stored / ftso_emit_unit(e)), block = vectors_at_once(e, g),
        whole = vectors / block, rest = vectors % block;
    int64_t of_block = blocks_of(e, g, block), of_tap = whole * of_block + blocks_of(e, g, rest),
            turns = p->taps_h * p->taps_w * of_tap;
    ftso_loop h, w, blocks;
    ftso_emit_loop(e, &h, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_h), 1, true, NULL, 0);
    ftso_emit_loop(e, &w, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_w), 1, true, NULL, 0);
    LLVMValueRef seen = ftso_emit_add(e, ftso_emit_mul(e, h.index, p->dilation_h * row_floats),
                                      ftso_emit_mul(e, w.index, p->dilation_w * g->x_stored));
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, h.index, p->taps_w), w.index);
    seen_by t = {.g = g,
                 .x = ftso_emit_at(e, g->x_tile, seen),
                 .slot =
                     ftso_emit_at(e, g->slot, ftso_emit_mul(e, number, g->inputs * g->sum_floats)),
                 .pace = ftso_ahead_pace(g->ahead, turns, steps_of(e, g), MOST_ASKED)};
    ftso_emit_loop(e, &blocks, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), 1, true, NULL, 0);
    t.turn = ftso_emit_add(e, ftso_emit_mul(e, number, of_tap),
                           ftso_emit_mul(e, blocks.index, of_block));
    emit_channels(e, &t, ftso_emit_mul(e, blocks.index, block * v), block);
    ftso_emit_loop_end(e, &blocks, NULL);
    t.turn = ftso_emit_add(e, ftso_emit_mul(e, number, of_tap), ftso_emit_i64(e, whole * of_block));
    if (rest) emit_channels(e, &t, ftso_emit_i64(e, whole * block * v), rest);
    ftso_emit_loop_end(e, &w, NULL);
    ftso_emit_loop_end(e, &h, NULL);
}

static int64_t finish_items(const ftso_emitter *e, const ftso_gradient *g)
{
    (void)e;
    return g->inputs;
}

/* One input channel, for every tap. */
static void finish(ftso_emitter *e, const ftso_gradient *g, LLVMValueRef items, LLVMValueRef item)
{
    int64_t v = e->target.vector_floats, elements = g->taps.kernel_h * g->taps.kernel_w;
    ftso_loop tap;
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    LLVMValueRef row = ftso_emit_add(e, ftso_emit_mul(e, tap.index, g->inputs), item);
    for (int64_t o = 0; o < g->outputs; o += v) {
        LLVMValueRef sum = ftso_gradient_over_items(
            e, g, items,
            ftso_emit_add(e, ftso_emit_mul(e, row, g->sum_floats), ftso_emit_i64(e, o)));
        for (int64_t l = 0; l < v && o + l < g->outputs; l++) {
            /* element (o, i, tap) of [O, I, kh * kw] */
            LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, item, elements), tap.index);
            to = ftso_emit_add(e, to, ftso_emit_i64(e, (o + l) * g->inputs * elements));
            LLVMValueRef lane = LLVMBuildExtractElement(
                e->builder, sum, LLVMConstInt(e->i32, (unsigned)l, false), "");
            ftso_emit_store(e, lane, ftso_emit_at(e, e->address[g->value], to));
        }
    }
    ftso_emit_loop_end(e, &tap, NULL);
}

const ftso_gradient_kind ftso_gradient_dense = {.op = "conv_dw",
                                                .budget_floats = BUDGET_FLOATS,
                                                .slot_floats = slot_floats,
                                                .asking_work = asking_work,
                                                .run = run,
                                                .finish_items = finish_items,
                                                .finish = finish};
const ftso_kernel_class ftso_kernel_weight_gradient = {.name = "weight_gradient",
                                                       .doc = "gradients of dense kernels",
                                                       .narrow = true,
                                                       .emit_llvm = ftso_gradient_emit};
