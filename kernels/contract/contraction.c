/*
 * The contraction itself: one dense convolution or its transpose at work on a band.
 *
 * In: its operand's pixels, packed weights. Out: an output vector is a sum over taps, then operand channels, one multiply-add
 * each: the register block (pixels times vectors of output channels) changes nothing in that order.
 * Weights are packed by prepare: [block of output vectors][tap][operand channel][lanes].
 */
#include "kernels/kernels_internal.h"

enum { MAX_VECTORS = 8 };

ftso_contraction ftso_contraction_of(const ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = ftso_kernel_node(e, value);
    ftso_contraction c = {.value = value,
                          .operand = node->inputs[0],
                          .weight = node->inputs[1],
                          .transposed = ftso_node_is(node, "conv_dx")};
    ftso_shape w = ftso_kernel_shape(e, c.weight), operand = ftso_kernel_shape(e, c.operand);
    c.operand_channels = c.transposed ? w.dim[0] : w.dim[1];
    c.channels = c.transposed ? w.dim[1] : w.dim[0];
    c.stored = ftso_emit_round(e, c.channels);
    c.vectors = (int)(c.stored / e->target.vector_floats);
    c.tile_stored = ftso_emit_round(e, operand.dim[1]);
    c.taps = ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape, c.transposed);
    c.in_place = ftso_kernel_in_memory(e, c.operand) && ftso_taps_pixel_by_pixel(&c.taps);
    c.result_columns = c.taps.out_w;
    return c;
}

/* ---------------------------------------------------------------- weights */

/* Packs one block of `vectors` output vectors from channel `first` on, to `to`. */
static void pack_block(ftso_emitter *e, const ftso_contraction *c, int64_t first, int vectors,
                       LLVMValueRef to)
{
    ftso_shape w = ftso_kernel_shape(e, c->weight);
    int64_t lanes = (int64_t)vectors * e->target.vector_floats,
            real = c->channels - first < lanes ? c->channels - first : lanes;
    int64_t elements = w.dim[2] * w.dim[3], inner = w.dim[1];
    /* kernel element (o, i, k) lies at (o * inner + i) * elements + k */
    int64_t made_step = c->transposed ? elements : inner * elements,
            summed_step = c->transposed ? inner * elements : elements;
    ftso_loop taps, summed, lane;
    ftso_emit_loop(e, &taps, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    ftso_emit_loop(e, &summed, ftso_emit_i64(e, 0), ftso_emit_i64(e, c->operand_channels), 1, true,
                   NULL, 0);
    LLVMValueRef row =
        ftso_emit_add(e, ftso_emit_mul(e, taps.index, c->operand_channels), summed.index);
    LLVMValueRef target = ftso_emit_at(e, to, ftso_emit_mul(e, row, lanes));
    LLVMValueRef source = ftso_emit_add(e, taps.index, ftso_emit_mul(e, summed.index, summed_step));
    source = ftso_emit_add(e, source, ftso_emit_i64(e, first * made_step));
    ftso_emit_loop(e, &lane, ftso_emit_i64(e, 0), ftso_emit_i64(e, real), 1, true, NULL, 0);
    LLVMValueRef at = ftso_emit_add(e, source, ftso_emit_mul(e, lane.index, made_step));
    ftso_emit_store(e, ftso_emit_load(e, ftso_emit_at(e, e->address[c->weight], at)),
                    ftso_emit_at(e, target, lane.index));
    ftso_emit_loop_end(e, &lane, NULL);
    if (real < lanes) {
        ftso_emit_loop(e, &lane, ftso_emit_i64(e, real), ftso_emit_i64(e, lanes), 1, true, NULL, 0);
        ftso_emit_store(e, ftso_emit_f32(e, 0), ftso_emit_at(e, target, lane.index));
        ftso_emit_loop_end(e, &lane, NULL);
    }
    ftso_emit_loop_end(e, &summed, NULL);
    ftso_emit_loop_end(e, &taps, NULL);
}

static int64_t panel_floats(const ftso_emitter *e, const ftso_contraction *c, int vectors)
{
    return c->taps.kernel_h * c->taps.kernel_w * c->operand_channels * vectors *
           e->target.vector_floats;
}

int64_t ftso_contraction_packed_floats(const ftso_emitter *e, const ftso_contraction *c)
{
    return panel_floats(e, c, c->vectors);
}

void ftso_contraction_pack(ftso_emitter *e, const ftso_contraction *c)
{
    for (int v = 0; v < c->vectors; v += c->block) {
        int vectors = c->vectors - v < c->block ? c->vectors - v : c->block;
        LLVMValueRef to =
            ftso_emit_i64(e, c->packed_offset + v / c->block * panel_floats(e, c, c->block));
        pack_block(e, c, (int64_t)v * e->target.vector_floats, vectors,
                   ftso_emit_at(e, e->shared, to));
    }
}

/* ---------------------------------------------------------------- the register block */

/* A block: which operand pixels, which weights, which outputs. */
typedef struct tile_block {
    int pixels, vectors;
    int64_t pixel_step;  /* floats from one output's operand pixel to the next's */
    int64_t number_step; /* pixels of the map from one output to the next */
    LLVMValueRef operand, weights;
    LLVMValueRef channel; /* the first output channel */
    LLVMValueRef number;  /* the first output pixel in the band */
    LLVMValueRef pixel;   /* how many come before it in the band */
    LLVMValueRef asks;    /* whether these pixels ask for memory ahead; NULL: never */
} tile_block;

/* Sum over the operand's channels of one tap, into the sums. */
static void emit_channels_loop(ftso_emitter *e, const ftso_contraction *c, const tile_block *b,
                               LLVMValueRef operand, LLVMValueRef weights, LLVMValueRef *sums)
{
    int count = b->pixels * b->vectors, v = e->target.vector_floats;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, c->operand_channels), 1, true,
                   sums, count);
    LLVMValueRef panel =
        ftso_emit_at(e, weights, ftso_emit_mul(e, loop.index, (int64_t)b->vectors * v));
    LLVMValueRef at = ftso_emit_at(e, operand, loop.index), w[MAX_VECTORS], next[FTSO_MAX_CARRIED];
    for (int k = 0; k < b->vectors; k++)
        w[k] = ftso_emit_load_vector(e, ftso_emit_at(e, panel, ftso_emit_i64(e, (int64_t)k * v)));
    for (int r = 0; r < b->pixels; r++) {
        LLVMValueRef x = ftso_emit_splat(
            e, ftso_emit_load(e, ftso_emit_at(e, at, ftso_emit_i64(e, r * b->pixel_step))));
        for (int k = 0; k < b->vectors; k++)
            next[r * b->vectors + k] = ftso_emit_fma(e, x, w[k], loop.carried[r * b->vectors + k]);
    }
    ftso_emit_loop_end(e, &loop, next);
    for (int i = 0; i < count; i++) sums[i] = loop.carried[i];
}

/* Where the block's first result vector of pixel `r` lies. */
static LLVMValueRef result_at(ftso_emitter *e, const ftso_contraction *c, const tile_block *b,
                              int r)
{
    LLVMValueRef number = ftso_emit_add(e, b->number, ftso_emit_i64(e, r * b->number_step));
    LLVMValueRef at = ftso_emit_add(e, ftso_emit_mul(e, number, c->stored), b->channel);
    return ftso_emit_at(e, c->result, at);
}

/* The block's sums to scratch, or on to the images that follow from them. */
static void emit_results(ftso_emitter *e, const ftso_contraction *c, const tile_block *b,
                         const LLVMValueRef *sums)
{
    int64_t v = e->target.vector_floats;
    for (int r = 0; r < b->pixels; r++) {
        const LLVMValueRef *own = &sums[r * b->vectors];
        if (c->direct) {
            LLVMValueRef number = ftso_emit_add(e, b->number, ftso_emit_i64(e, r * b->number_step));
            ftso_emit_epilogue_direct(e, c->number, c->image, ftso_emit_add(e, c->first, number),
                                      b->channel, own, b->vectors);
            continue;
        }
        LLVMValueRef to = result_at(e, c, b, r);
        for (int k = 0; k < b->vectors; k++)
            ftso_emit_store(e, own[k], ftso_emit_at(e, to, ftso_emit_i64(e, k * v)));
    }
}

static void emit_block(ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p,
                       const tile_block *b)
{
    int count = b->pixels * b->vectors, v = e->target.vector_floats;
    int64_t row_floats = c->band.tile_columns * c->tile_stored,
            tap_floats = c->operand_channels * b->vectors * v;
    LLVMValueRef sums[FTSO_MAX_CARRIED];
    for (int r = 0; r < b->pixels; r++) {
        LLVMValueRef old = c->adds ? result_at(e, c, b, r) : NULL;
        for (int k = 0; k < b->vectors; k++)
            sums[r * b->vectors + k] =
                c->adds ? ftso_emit_load_vector(
                              e, ftso_emit_at(e, old, ftso_emit_i64(e, (int64_t)k * v)))
                        : ftso_emit_splat_of(e, 0);
    }
    if (p->taps_h * p->taps_w == 1) {
        LLVMValueRef tap =
            ftso_emit_i64(e, (p->first_kh * c->taps.kernel_w + p->first_kw) * tap_floats);
        emit_channels_loop(e, c, b, b->operand, ftso_emit_at(e, b->weights, tap), sums);
    } else if (p->taps_h) {
        ftso_loop h, w;
        ftso_emit_loop(e, &h, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_h), 1, true, sums,
                       count);
        ftso_emit_loop(e, &w, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_w), 1, true, h.carried,
                       count);
        LLVMValueRef pixel =
            ftso_emit_add(e, ftso_emit_mul(e, h.index, p->dilation_h * row_floats),
                          ftso_emit_mul(e, w.index, p->dilation_w * c->tile_stored));
        LLVMValueRef kh =
            ftso_emit_add(e, ftso_emit_mul(e, h.index, p->step_kh), ftso_emit_i64(e, p->first_kh));
        LLVMValueRef kw =
            ftso_emit_add(e, ftso_emit_mul(e, w.index, p->step_kw), ftso_emit_i64(e, p->first_kw));
        LLVMValueRef tap = ftso_emit_add(e, ftso_emit_mul(e, kh, c->taps.kernel_w), kw);
        for (int i = 0; i < count; i++) sums[i] = w.carried[i];
        emit_channels_loop(e, c, b, ftso_emit_at(e, b->operand, pixel),
                           ftso_emit_at(e, b->weights, ftso_emit_mul(e, tap, tap_floats)), sums);
        ftso_emit_loop_end(e, &w, sums);
        for (int i = 0; i < count; i++) sums[i] = w.carried[i];
        ftso_emit_loop_end(e, &h, sums);
        for (int i = 0; i < count; i++) sums[i] = h.carried[i];
    }
    emit_results(e, c, b, sums);
}

/* `count` outputs, evenly spaced as `run` says, from its first one on; run->pixels at a time. */
static void emit_run(ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p,
                     const tile_block *run, int64_t count)
{
    double cost;
    int pixels = ftso_block_rows(e, run->vectors, count, &cost);
    int64_t whole = count / pixels * pixels;
    tile_block b = *run;
    b.pixels = pixels;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), pixels, true, NULL, 0);
    b.operand = ftso_emit_at(e, run->operand, ftso_emit_mul(e, loop.index, b.pixel_step));
    b.number = ftso_emit_add(e, run->number, ftso_emit_mul(e, loop.index, b.number_step));
    if (run->asks) {
        ftso_if first;
        ftso_emit_if(e, &first, run->asks);
        ftso_ahead_ask(e, c->ahead, ftso_emit_add(e, run->pixel, loop.index), pixels);
        ftso_emit_if_end(e, &first);
    }
    emit_block(e, c, p, &b);
    ftso_emit_loop_end(e, &loop, NULL);
    if (whole == count) return;
    b.pixels = (int)(count - whole);
    b.operand = ftso_emit_at(e, run->operand, ftso_emit_i64(e, whole * b.pixel_step));
    b.number = ftso_emit_add(e, run->number, ftso_emit_i64(e, whole * b.number_step));
    emit_block(e, c, p, &b);
}

/* Whether the rows of a band follow each other without a gap. */
static bool is_one_run(const ftso_contraction *c, const ftso_phase *p)
{
    return p->taps_h * p->taps_w == 1 && c->taps.out_step == 1 && c->band.stride == 1 &&
           c->band.tile_columns == p->columns && c->result_columns == p->columns && !c->rows;
}

/* One phase of one core for `vectors` output vectors from `channel` on: all its outputs in the band. */
static void emit_phase(ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p, int vectors,
                       LLVMValueRef weights, LLVMValueRef channel, LLVMValueRef asks)
{
    int64_t step = c->taps.out_step, rows = (c->band.rows - p->out_row + step - 1) / step;
    if (rows <= 0 || p->columns <= 0 || (p->taps_h == 0 && c->adds)) return;
    int64_t row_floats = c->band.tile_columns * c->tile_stored;
    int64_t start = p->taps_h ? (p->start_h - c->band.first_row) * row_floats +
                                    (p->start_w - c->band.first_column) * c->tile_stored
                              : 0;
    LLVMValueRef operand = ftso_emit_at(e, c->tile, ftso_emit_i64(e, start));
    tile_block run = {.vectors = vectors,
                      .pixel_step = c->band.stride * c->tile_stored,
                      .number_step = step,
                      .operand = operand,
                      .weights = weights,
                      .channel = channel,
                      .pixel = ftso_emit_i64(e, 0),
                      .asks = asks,
                      .number = ftso_emit_i64(e, p->out_row * c->result_columns + p->out_column)};
    if (is_one_run(c, p)) {
        emit_run(e, c, p, &run, rows * p->columns);
        return;
    }
    ftso_loop q;
    ftso_emit_loop(e, &q, ftso_emit_i64(e, 0), c->rows ? c->rows : ftso_emit_i64(e, rows), 1,
                   !c->rows, NULL, 0);
    run.operand = ftso_emit_at(e, operand, ftso_emit_mul(e, q.index, c->band.stride * row_floats));
    run.pixel = ftso_emit_mul(e, q.index, p->columns);
    run.number = ftso_emit_add(e, run.number, ftso_emit_mul(e, q.index, step * c->result_columns));
    emit_run(e, c, p, &run, p->columns);
    ftso_emit_loop_end(e, &q, NULL);
}

int64_t ftso_contraction_run_length(const ftso_contraction *c)
{
    const ftso_phase *p = &c->taps.phases[0];
    return is_one_run(c, p) ? c->band.rows * p->columns : p->columns;
}

void ftso_contraction_run(ftso_emitter *e, const ftso_contraction *c)
{
    int whole = c->vectors / c->block, rest = c->vectors % c->block;
    LLVMValueRef packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, c->packed_offset));
    int64_t panel = panel_floats(e, c, c->block),
            lanes = (int64_t)c->block * e->target.vector_floats;
    ftso_loop blocks;
    ftso_emit_loop(e, &blocks, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), 1, true, NULL, 0);
    LLVMValueRef weights = ftso_emit_at(e, packed, ftso_emit_mul(e, blocks.index, panel));
    /* the first block of vectors asks for what lies ahead, in steps of its pixels */
    LLVMValueRef asks = NULL;
    if (c->ahead)
        asks = LLVMBuildICmp(e->builder, LLVMIntEQ, blocks.index, ftso_emit_i64(e, 0), "");
    for (int i = 0; i < c->taps.phase_count; i++)
        emit_phase(e, c, &c->taps.phases[i], c->block, weights,
                   ftso_emit_mul(e, blocks.index, lanes), i == 0 ? asks : NULL);
    ftso_emit_loop_end(e, &blocks, NULL);
    for (int i = 0; rest && i < c->taps.phase_count; i++)
        emit_phase(e, c, &c->taps.phases[i], rest,
                   ftso_emit_at(e, packed, ftso_emit_i64(e, whole * panel)),
                   ftso_emit_i64(e, whole * lanes), NULL);
}
