/*
 * Winograd's minimal filtering F(m x m, 3 x 3): m x m outputs of a convolution from (m + 2)^2 products a channel instead of 9 m^2.
 *
 * In: the operand's tile of a band; kernels, transformed by prepare. Out: the band's results. A patch of (m + 2)^2 operand pixels
 * becomes as many points (B^T d B), a 1x1 convolution at each point sums over channels, and what it gives becomes the patch's
 * outputs (A^T p A). The matrices are those of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016), section 4.
 * An output's sum depends on its place in the patch, and patches begin at even rows of the map: bands change nothing.
 */
#include "kernels/kernels_internal.h"

enum { KERNEL = 3, MAX_POINTS = 4, LEAST_PATCHES = 8 };

struct ftso_winograd {
    int outputs, points;    /* m, and m + 2, in each direction */
    const double *operand;  /* [points][points]: B^T */
    const double *weights;  /* [points][KERNEL]: G */
    const double *products; /* [outputs][points]: A^T */
};

static const ftso_winograd filterings[] = {
    {.outputs = 2,
     .points = 4,
     .operand = (const double[]){1, 0, -1, 0, 0, 1, 1, 0, 0, -1, 1, 0, 0, 1, 0, -1},
     .weights = (const double[]){1, 0, 0, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, 0, 0, 1},
     .products = (const double[]){1, 1, 1, 0, 0, 1, -1, -1}},
};

/* ---------------------------------------------------------------- choice */

/*
 * Cycles for one output pixel, where a multiply-add, a load and half of a store take one: products, and what is stored and loaded
 * between the three steps.
 */
static double cost_of(const ftso_emitter *e, const ftso_contraction *c, const ftso_winograd *w)
{
    double inputs = (double)c->tile_stored / ftso_emit_unit(e), moves = 3,
           points = w ? (double)w->points * w->points / (w->outputs * w->outputs) : KERNEL * KERNEL,
           cost = points * (double)(c->operand_channels * c->vectors);
    return w ? cost + moves * points * (inputs + c->vectors) : cost;
}

const ftso_winograd *ftso_winograd_of(const ftso_emitter *e, const ftso_contraction *c)
{
    const ftso_phase *p = &c->taps.phases[0];
    if (c->taps.phase_count != 1 || c->taps.stride != 1 || e->pixels > 1 || p->taps_h != KERNEL ||
        p->taps_w != KERNEL || p->dilation_h != 1 || p->dilation_w != 1)
        return NULL;
    const ftso_winograd *best = NULL;
    for (size_t i = 0; i < FTSO_COUNT(filterings); i++) {
        const ftso_winograd *w = &filterings[i];
        bool fits = c->taps.out_h % w->outputs == 0 && c->taps.out_w % w->outputs == 0;
        if (fits && cost_of(e, c, w) < cost_of(e, c, best)) best = w;
    }
    return best;
}

int64_t ftso_winograd_outputs(const ftso_winograd *w)
{
    return w->outputs;
}

int64_t ftso_winograd_points(const ftso_winograd *w)
{
    return (int64_t)w->points * w->points;
}

/* ---------------------------------------------------------------- transforms */

/* The sum of row[k] * values[k * step] over k < count: numbers or vectors. */
static LLVMValueRef combined(ftso_emitter *e, const double *row, int count,
                             const LLVMValueRef *values, int step)
{
    LLVMValueRef sum = NULL;
    for (int k = 0; k < count; k++) {
        LLVMValueRef value = values[k * step];
        if (row[k] == 0) continue;
        if (sum && row[k] == 1) {
            sum = LLVMBuildFAdd(e->builder, sum, value, "");
        } else if (sum && row[k] == -1) {
            sum = LLVMBuildFSub(e->builder, sum, value, "");
        } else if (row[k] == 1) {
            sum = value;
        } else {
            bool scalar = LLVMTypeOf(value) == e->f32;
            LLVMValueRef factor = scalar ? ftso_emit_f32(e, row[k]) : ftso_emit_splat_of(e, row[k]);
            sum = sum ? ftso_emit_fma(e, factor, value, sum)
                      : LLVMBuildFMul(e->builder, factor, value, "");
        }
    }
    return sum;
}

/* matrix * values * matrix^T: [columns][columns] values to [rows][rows]. */
static void transform(ftso_emitter *e, const double *matrix, int rows, int columns,
                      const LLVMValueRef *values, LLVMValueRef *out)
{
    LLVMValueRef half[MAX_POINTS * MAX_POINTS];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            half[i * columns + j] = combined(e, matrix + i * columns, columns, values + j, columns);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++)
            out[i * rows + j] = combined(e, matrix + j * columns, columns, half + i * columns, 1);
}

void ftso_winograd_pack(ftso_emitter *e, const ftso_contraction *c, LLVMValueRef kernel,
                        LLVMValueRef to, int64_t step)
{
    const ftso_winograd *w = c->winograd;
    const ftso_phase *p = &c->taps.phases[0];
    LLVMValueRef taps[KERNEL * KERNEL], points[MAX_POINTS * MAX_POINTS];
    for (int i = 0; i < KERNEL * KERNEL; i++) {
        int64_t kh = p->first_kh + i / KERNEL * p->step_kh,
                kw = p->first_kw + i % KERNEL * p->step_kw;
        taps[i] = ftso_emit_load(e, ftso_emit_at(e, kernel, ftso_emit_i64(e, kh * KERNEL + kw)));
    }
    transform(e, w->weights, w->points, KERNEL, taps, points);
    for (int i = 0; i < w->points * w->points; i++)
        ftso_emit_store(e, points[i], ftso_emit_at(e, to, ftso_emit_i64(e, i * step)));
}

/* ---------------------------------------------------------------- at work on a band */

static int64_t patch_columns(const ftso_contraction *c)
{
    return c->taps.out_w / c->winograd->outputs;
}

int64_t ftso_winograd_rounds(const ftso_contraction *c)
{
    return c->band.rows / c->winograd->outputs / c->patch_rows;
}

int64_t ftso_winograd_patches(const ftso_contraction *c)
{
    return c->patch_rows * patch_columns(c);
}

/* Floats of all patches' pixels at one point, and an odd line: points at even distances would share a set of the cache. */
static int64_t point_floats(const ftso_contraction *c, int64_t channels)
{
    int64_t floats = ftso_winograd_patches(c) * channels;
    return ((floats + FTSO_LINE_FLOATS - 1) / FTSO_LINE_FLOATS | 1) * FTSO_LINE_FLOATS;
}

static int64_t products_floats(const ftso_emitter *e, const ftso_contraction *c)
{
    return point_floats(c, (int64_t)c->block * e->target.vector_floats);
}

void ftso_winograd_cut(ftso_contraction *c)
{
    int64_t rows = c->band.rows / c->winograd->outputs;
    c->patch_rows = 1;
    while (rows % c->patch_rows ||
           (c->patch_rows < rows && ftso_winograd_patches(c) < LEAST_PATCHES))
        c->patch_rows++;
}

void ftso_winograd_place(const ftso_emitter *e, ftso_contraction *c, int64_t *scratch)
{
    int64_t points = ftso_winograd_points(c->winograd);
    c->points_offset = *scratch;
    *scratch += points * point_floats(c, c->tile_stored);
    c->products_offset = *scratch;
    *scratch += points * products_floats(e, c);
}

/* Loops over the patches of a round, row by row. */
typedef struct patch_loops {
    ftso_loop row, column;
    LLVMValueRef number;
} patch_loops;

static void begin_patches(ftso_emitter *e, const ftso_contraction *c, patch_loops *at)
{
    LLVMValueRef zero = ftso_emit_i64(e, 0);
    ftso_emit_loop(e, &at->row, zero, ftso_emit_i64(e, c->patch_rows), 1, true, NULL, 0);
    ftso_emit_loop(e, &at->column, zero, ftso_emit_i64(e, patch_columns(c)), 1, true, NULL, 0);
    at->number =
        ftso_emit_add(e, ftso_emit_mul(e, at->row.index, patch_columns(c)), at->column.index);
}

static void end_patches(ftso_emitter *e, patch_loops *at)
{
    ftso_emit_loop_end(e, &at->column, NULL);
    ftso_emit_loop_end(e, &at->row, NULL);
}

/* `row` for each row of patches before this one, `column` for each patch before it in the row. */
static LLVMValueRef patch_at(ftso_emitter *e, const patch_loops *at, int64_t row, int64_t column)
{
    return ftso_emit_add(e, ftso_emit_mul(e, at->row.index, row),
                         ftso_emit_mul(e, at->column.index, column));
}

/* The matrix at `at`, whose elements lie `row` and `column` floats apart. */
static void load_matrix(ftso_emitter *e, LLVMValueRef at, int size, int64_t row, int64_t column,
                        LLVMValueRef *out)
{
    for (int i = 0; i < size * size; i++) {
        LLVMValueRef offset = ftso_emit_i64(e, i / size * row + i % size * column);
        out[i] = ftso_emit_load_vector(e, ftso_emit_at(e, at, offset));
    }
}

void ftso_winograd_points_of(ftso_emitter *e, const ftso_contraction *c, LLVMValueRef round)
{
    const ftso_winograd *w = c->winograd;
    const ftso_phase *p = &c->taps.phases[0];
    int64_t v = e->target.vector_floats, row_floats = c->band.tile_columns * c->tile_stored,
            to_step = point_floats(c, c->tile_stored),
            start = (p->start_h - c->band.first_row) * row_floats +
                    (p->start_w - c->band.first_column) * c->tile_stored;
    LLVMValueRef points = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->points_offset)),
                 tile = ftso_emit_at(e, c->tile, ftso_emit_i64(e, start));
    tile = ftso_emit_at(e, tile, ftso_emit_mul(e, round, c->patch_rows * w->outputs * row_floats));
    patch_loops patch;
    ftso_loop channel;
    begin_patches(e, c, &patch);
    LLVMValueRef from = patch_at(e, &patch, w->outputs * row_floats, w->outputs * c->tile_stored),
                 to = ftso_emit_mul(e, patch.number, c->tile_stored);
    ftso_emit_loop(e, &channel, ftso_emit_i64(e, 0), ftso_emit_i64(e, c->tile_stored), v, true,
                   NULL, 0);
    LLVMValueRef in[MAX_POINTS * MAX_POINTS], out[MAX_POINTS * MAX_POINTS];
    load_matrix(e, ftso_emit_at(e, tile, ftso_emit_add(e, from, channel.index)), w->points,
                row_floats, c->tile_stored, in);
    transform(e, w->operand, w->points, w->points, in, out);
    LLVMValueRef at = ftso_emit_at(e, points, ftso_emit_add(e, to, channel.index));
    for (int i = 0; i < w->points * w->points; i++)
        ftso_emit_store(e, out[i], ftso_emit_at(e, at, ftso_emit_i64(e, i * to_step)));
    ftso_emit_loop_end(e, &channel, NULL);
    end_patches(e, &patch);
}

/* From a block's products to the outputs of all patches, from output row `first` of the band on. */
static void emit_outputs(ftso_emitter *e, const ftso_contraction *c,
                         const ftso_contraction_block *b, LLVMValueRef products, LLVMValueRef first)
{
    const ftso_winograd *w = c->winograd;
    int64_t v = e->target.vector_floats, step = products_floats(e, c);
    patch_loops patch;
    begin_patches(e, c, &patch);
    LLVMValueRef from = ftso_emit_at(e, products, ftso_emit_mul(e, patch.number, b->vectors * v)),
                 pixel =
                     ftso_emit_add(e, ftso_emit_mul(e, first, c->result_columns),
                                   patch_at(e, &patch, w->outputs * c->result_columns, w->outputs));
    for (int k = 0; k < b->vectors; k++) {
        LLVMValueRef in[MAX_POINTS * MAX_POINTS], out[MAX_POINTS * MAX_POINTS];
        load_matrix(e, ftso_emit_at(e, from, ftso_emit_i64(e, k * v)), w->points, w->points * step,
                    step, in);
        transform(e, w->products, w->outputs, w->points, in, out);
        for (int i = 0; i < w->outputs * w->outputs; i++) {
            LLVMValueRef offset =
                ftso_emit_i64(e, i / w->outputs * c->result_columns + i % w->outputs);
            LLVMValueRef number = ftso_emit_add(e, pixel, offset);
            if (c->adds)
                out[i] = LLVMBuildFAdd(
                    e->builder, out[i],
                    ftso_emit_load_vector(
                        e, ftso_contraction_result_at(e, c, number, b->channel, b->first + k)),
                    "");
            ftso_contraction_results(e, c, number, b->channel, b->first + k, 1, &out[i]);
        }
    }
    end_patches(e, &patch);
}

void ftso_winograd_vectors(ftso_emitter *e, const ftso_contraction *c,
                           const ftso_contraction_block *b, LLVMValueRef round)
{
    int64_t v = e->target.vector_floats, count = ftso_winograd_points(c->winograd),
            patches = ftso_winograd_patches(c), panel = c->operand_channels * b->vectors * v,
            from = point_floats(c, c->tile_stored), to = products_floats(e, c);
    double cost;
    int64_t turns = patches / ftso_block_rows(e, b->vectors, patches, &cost);
    LLVMValueRef points = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->points_offset)),
                 products = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->products_offset));
    ftso_loop point;
    ftso_emit_loop(e, &point, ftso_emit_i64(e, 0), ftso_emit_i64(e, count), 1, true, NULL, 0);
    ftso_contraction_block at = *b;
    at.weights = ftso_emit_at(e, b->weights, ftso_emit_mul(e, point.index, panel));
    if (b->turn) at.turn = ftso_emit_add(e, b->turn, ftso_emit_mul(e, point.index, turns));
    ftso_contraction_at_point(e, c, &at,
                              ftso_emit_at(e, points, ftso_emit_mul(e, point.index, from)),
                              ftso_emit_at(e, products, ftso_emit_mul(e, point.index, to)));
    ftso_emit_loop_end(e, &point, NULL);
    emit_outputs(e, c, b, products, ftso_emit_mul(e, round, c->patch_rows * c->winograd->outputs));
}
