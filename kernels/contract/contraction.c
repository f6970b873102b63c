/*
 * The contraction itself: one dense convolution or its transpose at work on a band.
 *
 * In: its operand's pixels, packed weights. Out: an output vector is a sum over taps, then operand channels, one multiply-add
 * each: the register block (pixels times vectors of output channels) changes nothing in that order.
 * Weights are packed by prepare: [block of output vectors][tap][operand channel][lanes]. Where winograd.c has fewer products for a
 * window, its points take the place of taps.
 */
#include "kernels/kernels_internal.h"

enum { MAX_VECTORS = 8, MOST_ASKED = 4 };

ftso_contraction ftso_contraction_of(const ftso_emitter *e, const ftso_value *values, size_t count)
{
    const ftso_node *node = ftso_kernel_node(e, values[0]);
    ftso_contraction c = {.value = values[0],
                          .operand = node->inputs[0],
                          .parts = FTSO_ARRAY(e->arena, ftso_contraction_part, count),
                          .part_count = count,
                          .transposed = ftso_node_is(node, "conv_dx")};
    ftso_shape w = ftso_kernel_shape(e, node->inputs[1]), operand = ftso_kernel_shape(e, c.operand);
    c.operand_channels = c.transposed ? w.dim[0] : w.dim[1];
    for (size_t i = 0; i < count; i++) {
        int64_t channels = ftso_kernel_shape(e, values[i]).dim[1];
        int vectors = (int)(ftso_emit_round(e, channels) / ftso_emit_unit(e));
        c.parts[i] = (ftso_contraction_part){values[i], ftso_kernel_node(e, values[i])->inputs[1],
                                             channels, c.vectors, vectors};
        c.vectors += vectors;
    }
    c.stored = c.vectors * ftso_emit_unit(e);
    c.tile_stored = ftso_emit_round(e, operand.dim[1]);
    c.taps = ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape, c.transposed);
    c.in_place = ftso_kernel_in_memory(e, c.operand) && ftso_taps_pixel_by_pixel(&c.taps);
    c.result_columns = c.taps.out_w;
    c.winograd = ftso_winograd_of(e, &c);
    if (c.winograd) c.taps.band_step = ftso_winograd_outputs(c.winograd);
    return c;
}

/* ---------------------------------------------------------------- weights */

static int64_t panel_floats(const ftso_emitter *e, const ftso_contraction *c, int vectors)
{
    int64_t taps =
        c->winograd ? ftso_winograd_points(c->winograd) : c->taps.kernel_h * c->taps.kernel_w;
    return taps * c->operand_channels * vectors * e->target.vector_floats;
}

int64_t ftso_contraction_packed_floats(const ftso_emitter *e, const ftso_contraction *c)
{
    return panel_floats(e, c, c->vectors);
}

/* One vector of a part's weights from output channel `channel` on, to rows of `lanes` floats from `to` on; for each pixel of a
 * vector the same. */
static void pack_vector(ftso_emitter *e, const ftso_contraction *c,
                        const ftso_contraction_part *part, LLVMValueRef channel, int64_t lanes,
                        LLVMValueRef to)
{
    ftso_shape w = ftso_kernel_shape(e, part->weight);
    int64_t unit = ftso_emit_unit(e), elements = w.dim[2] * w.dim[3], inner = w.dim[1];
    /* kernel element (o, i, k) lies at (o * inner + i) * elements + k */
    int64_t made_step = c->transposed ? elements : inner * elements,
            summed_step = c->transposed ? inner * elements : elements;
    LLVMValueRef left = LLVMBuildNSWSub(e->builder, ftso_emit_i64(e, part->channels), channel, "");
    LLVMValueRef real = ftso_emit_min_i64(e, left, ftso_emit_i64(e, unit));
    /* all points of a kernel are made at once, or each tap by itself */
    int64_t points = c->winograd ? ftso_winograd_points(c->winograd) : 1,
            point_floats = c->operand_channels * lanes;
    ftso_loop taps, summed, pixel, lane;
    ftso_emit_loop(e, &taps, ftso_emit_i64(e, 0), ftso_emit_i64(e, c->winograd ? 1 : elements), 1,
                   true, NULL, 0);
    ftso_emit_loop(e, &summed, ftso_emit_i64(e, 0), ftso_emit_i64(e, c->operand_channels), 1, true,
                   NULL, 0);
    LLVMValueRef row =
        ftso_emit_add(e, ftso_emit_mul(e, taps.index, c->operand_channels), summed.index);
    LLVMValueRef target = ftso_emit_at(e, to, ftso_emit_mul(e, row, lanes));
    LLVMValueRef source = ftso_emit_add(e, taps.index, ftso_emit_mul(e, summed.index, summed_step));
    source = ftso_emit_add(e, source, ftso_emit_mul(e, channel, made_step));
    ftso_emit_loop(e, &pixel, ftso_emit_i64(e, 0), ftso_emit_i64(e, e->pixels), 1, true, NULL, 0);
    target = ftso_emit_at(e, target, ftso_emit_mul(e, pixel.index, unit));
    ftso_emit_loop(e, &lane, ftso_emit_i64(e, 0), real, 1, true, NULL, 0);
    LLVMValueRef from =
        ftso_emit_at(e, e->address[part->weight],
                     ftso_emit_add(e, source, ftso_emit_mul(e, lane.index, made_step)));
    if (c->winograd)
        ftso_winograd_pack(e, c, from, ftso_emit_at(e, target, lane.index), point_floats);
    else
        ftso_emit_store(e, ftso_emit_load(e, from), ftso_emit_at(e, target, lane.index));
    ftso_emit_loop_end(e, &lane, NULL);
    ftso_emit_loop(e, &lane, real, ftso_emit_i64(e, unit), 1, false, NULL, 0);
    for (int64_t i = 0; i < points; i++) {
        LLVMValueRef to_point = ftso_emit_at(e, target, ftso_emit_i64(e, i * point_floats));
        ftso_emit_store(e, ftso_emit_f32(e, 0), ftso_emit_at(e, to_point, lane.index));
    }
    ftso_emit_loop_end(e, &lane, NULL);
    ftso_emit_loop_end(e, &pixel, NULL);
    ftso_emit_loop_end(e, &summed, NULL);
    ftso_emit_loop_end(e, &taps, NULL);
}

/* Those of the part's vectors that are among [begin, end), which lie in blocks of `block`. */
static void pack_blocks(ftso_emitter *e, const ftso_contraction *c,
                        const ftso_contraction_part *part, int begin, int end, int block)
{
    int64_t v = e->target.vector_floats;
    int first = part->first_vector, last = first + part->vectors;
    if (first < begin) first = begin;
    if (last > end) last = end;
    if (first >= last) return;
    ftso_loop vectors;
    ftso_emit_loop(e, &vectors, ftso_emit_i64(e, first), ftso_emit_i64(e, last), 1, true, NULL, 0);
    LLVMValueRef size = ftso_emit_i64(e, block),
                 number = ftso_emit_add(e, vectors.index, ftso_emit_i64(e, -begin)),
                 channel = ftso_emit_add(e, vectors.index, ftso_emit_i64(e, -part->first_vector)),
                 which = LLVMBuildUDiv(e->builder, number, size, ""),
                 in_block = LLVMBuildURem(e->builder, number, size, "");
    LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, which, panel_floats(e, c, block)),
                                    ftso_emit_mul(e, in_block, v));
    to = ftso_emit_add(e, to, ftso_emit_i64(e, c->packed_offset + panel_floats(e, c, begin)));
    pack_vector(e, c, part, ftso_emit_mul(e, channel, ftso_emit_unit(e)), block * v,
                ftso_emit_at(e, e->shared, to));
    ftso_emit_loop_end(e, &vectors, NULL);
}

void ftso_contraction_pack(ftso_emitter *e, const ftso_contraction *c)
{
    int whole = c->vectors / c->block * c->block;
    for (size_t i = 0; i < c->part_count; i++) {
        pack_blocks(e, c, &c->parts[i], 0, whole, c->block);
        pack_blocks(e, c, &c->parts[i], whole, c->vectors, c->vectors - whole);
    }
}

/* ---------------------------------------------------------------- the register block */

/* A block: which operand pixels, which weights, which outputs. */
typedef struct tile_block {
    int pixels, vectors; /* pixels, or vectors of several */
    int64_t pixel_step;  /* floats from one output's operand pixel to the next's */
    int64_t number_step; /* pixels of the map from one output to the next */
    LLVMValueRef operand, weights;
    LLVMValueRef channel; /* the first output channel */
    LLVMValueRef number;  /* the first output pixel in the band */
    LLVMValueRef turn;    /* blocks before it that ask for lines ahead; NULL: it does not */
    ftso_asked ahead;     /* what it asks for, a step for each channel of each tap */
    ftso_pace pace;       /* of that */
} tile_block;

/* One channel of one tap, into the sums of the block's pixels [first, end). */
static void emit_step(ftso_emitter *e, const tile_block *b, LLVMValueRef operand,
                      LLVMValueRef weights, int first, int end, LLVMValueRef *sums)
{
    LLVMValueRef w[MAX_VECTORS];
    for (int k = 0; k < b->vectors; k++) {
        LLVMValueRef lanes = ftso_emit_i64(e, (int64_t)k * e->target.vector_floats);
        w[k] = ftso_emit_load_vector(e, ftso_emit_at(e, weights, lanes));
    }
    for (int r = first; r < end; r++) {
        LLVMValueRef at = ftso_emit_at(e, operand, ftso_emit_i64(e, r * b->pixel_step)),
                     x = ftso_emit_splat(e, ftso_emit_load(e, at));
        for (int k = 0; k < b->vectors; k++)
            sums[r * b->vectors + k] = ftso_emit_fma(e, x, w[k], sums[r * b->vectors + k]);
    }
}

/* Floats from the weights of one step to those of the next. */
static int64_t step_floats(const ftso_emitter *e, const tile_block *b)
{
    return (int64_t)b->vectors * e->target.vector_floats;
}

/* Sum over the first `channels` channels of one tap, into the sums: a loop, for vectors of one pixel. */
static void emit_channels_loop(ftso_emitter *e, int64_t channels, const tile_block *b,
                               LLVMValueRef operand, LLVMValueRef weights, const ftso_asked *ahead,
                               LLVMValueRef *sums)
{
    int count = b->pixels * b->vectors;
    if (channels == 0) return;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, channels), 1, true, sums, count);
    for (int i = 0; i < count; i++) sums[i] = loop.carried[i];
    LLVMValueRef panel = ftso_emit_mul(e, loop.index, step_floats(e, b));
    emit_step(e, b, ftso_emit_at(e, operand, loop.index), ftso_emit_at(e, weights, panel), 0,
              b->pixels, sums);
    ftso_ask(e, ahead, loop.index);
    ftso_emit_loop_end(e, &loop, sums);
    for (int i = 0; i < count; i++) sums[i] = loop.carried[i];
}

/* The same for vectors of several pixels, whose few channels each are spread over the pixel's lanes. */
static void emit_thin_channels(ftso_emitter *e, const ftso_contraction *c, const tile_block *b,
                               LLVMValueRef operand, LLVMValueRef weights, const ftso_asked *ahead,
                               LLVMValueRef *sums)
{
    FTSO_ASSERT(b->vectors == 1);
    ftso_ask(e, ahead, ftso_emit_i64(e, 0));
    LLVMValueRef x[FTSO_MAX_CARRIED];
    for (int r = 0; r < b->pixels; r++)
        x[r] =
            ftso_emit_load_vector(e, ftso_emit_at(e, operand, ftso_emit_i64(e, r * b->pixel_step)));
    for (int64_t i = 0; i < c->operand_channels; i++) {
        LLVMValueRef w = ftso_emit_load_vector(
            e, ftso_emit_at(e, weights, ftso_emit_i64(e, i * e->target.vector_floats)));
        for (int r = 0; r < b->pixels; r++)
            sums[r] = ftso_emit_fma(e, ftso_emit_spread_lane(e, x[r], i), w, sums[r]);
    }
}

static void emit_channels(ftso_emitter *e, const ftso_contraction *c, const tile_block *b,
                          LLVMValueRef operand, LLVMValueRef weights, const ftso_asked *ahead,
                          LLVMValueRef *sums)
{
    if (e->pixels > 1)
        emit_thin_channels(e, c, b, operand, weights, ahead, sums);
    else
        emit_channels_loop(e, c->operand_channels, b, operand, weights, ahead, sums);
}

LLVMValueRef ftso_contraction_result_at(ftso_emitter *e, const ftso_contraction *c,
                                        LLVMValueRef number, LLVMValueRef channel, int vector)
{
    LLVMValueRef at = ftso_emit_add(e, ftso_emit_mul(e, number, c->stored), channel),
                 lanes = ftso_emit_i64(e, (int64_t)vector * e->target.vector_floats);
    return ftso_emit_at(e, ftso_emit_at(e, c->result, at), lanes);
}

static LLVMValueRef number_of(ftso_emitter *e, const tile_block *b, int r)
{
    return ftso_emit_add(e, b->number, ftso_emit_i64(e, r * b->number_step));
}

/* The part that output vector `vector` belongs to. */
static size_t part_of(const ftso_contraction *c, int vector)
{
    size_t part = 0;
    while (vector >= c->parts[part].first_vector + c->parts[part].vectors) part++;
    return part;
}

bool ftso_contraction_parts_known(const ftso_contraction *c)
{
    return c->part_count == 1 || c->winograd || c->block == c->vectors;
}

void ftso_contraction_results(ftso_emitter *e, const ftso_contraction *c, LLVMValueRef number,
                              LLVMValueRef channel, int vector, int count, const LLVMValueRef *sums)
{
    int64_t unit = ftso_emit_unit(e);
    for (int k = 0; k < count; k++) {
        if (!c->direct && !c->images) {
            LLVMValueRef at = ftso_contraction_result_at(e, c, number, channel, vector + k);
            ftso_emit_store(e, sums[k], at);
            continue;
        }
        size_t part = part_of(c, vector + k);
        const ftso_contraction_part *of = &c->parts[part];
        int own = vector + k - of->first_vector, left = of->vectors - own;
        LLVMValueRef first = ftso_emit_add(e, channel, ftso_emit_i64(e, own * unit));
        if (c->images) {
            LLVMValueRef at = ftso_emit_add(e, ftso_emit_mul(e, number, of->vectors * unit), first);
            ftso_emit_store(e, sums[k], ftso_emit_at(e, c->images[part], at));
            continue;
        }
        int of_part = left < count - k ? left : count - k;
        ftso_emit_epilogue_direct(e, c->number + part, c->image, ftso_emit_add(e, c->first, number),
                                  first, sums + k, of_part);
        k += of_part - 1;
    }
}

/* Each channel of a tap is a step that asks for lines; channels that share a vector are one. */
static int64_t steps_of_tap(const ftso_emitter *e, const ftso_contraction *c)
{
    return e->pixels > 1 ? 1 : c->operand_channels;
}

/* Pixels [first, end) of the block, whose sums are done. */
static void store_pixels(ftso_emitter *e, const ftso_contraction *c, const tile_block *b, int first,
                         int end, const LLVMValueRef *sums)
{
    for (int r = first; r < end; r++)
        ftso_contraction_results(e, c, number_of(e, b, r), b->channel, 0, b->vectors,
                                 &sums[r * b->vectors]);
}

/* A window's only tap, its last steps for some pixels at a time, which are stored then. */
static void emit_only_tap(ftso_emitter *e, const ftso_contraction *c, const tile_block *b,
                          LLVMValueRef weights, int last_steps, LLVMValueRef *sums)
{
    int64_t begin = c->operand_channels - last_steps;
    emit_channels_loop(e, begin, b, b->operand, weights, &b->ahead, sums);
    for (int r = 0; r < b->pixels; r += FTSO_LAST_ROWS) {
        int end = r + FTSO_LAST_ROWS < b->pixels ? r + FTSO_LAST_ROWS : b->pixels;
        for (int64_t i = begin; i < c->operand_channels; i++) {
            emit_step(e, b, ftso_emit_at(e, b->operand, ftso_emit_i64(e, i)),
                      ftso_emit_at(e, weights, ftso_emit_i64(e, i * step_floats(e, b))), r, end,
                      sums);
            if (r == 0) ftso_ask(e, &b->ahead, ftso_emit_i64(e, i));
        }
        store_pixels(e, c, b, r, end, sums);
    }
}

static void emit_block(ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p,
                       const tile_block *b)
{
    int count = b->pixels * b->vectors, v = e->target.vector_floats;
    int64_t row_floats = c->band.tile_columns * c->tile_stored,
            tap_floats = c->operand_channels * b->vectors * v;
    LLVMValueRef sums[FTSO_MAX_CARRIED];
    for (int r = 0; r < b->pixels; r++)
        for (int k = 0; k < b->vectors; k++)
            sums[r * b->vectors + k] =
                c->adds ? ftso_emit_load_vector(e, ftso_contraction_result_at(
                                                       e, c, number_of(e, b, r), b->channel, k))
                        : ftso_emit_splat_of(e, 0);
    if (p->taps_h * p->taps_w == 1) {
        LLVMValueRef tap =
            ftso_emit_i64(e, (p->first_kh * c->taps.kernel_w + p->first_kw) * tap_floats);
        int last_steps = ftso_block_last_steps(e, count, c->operand_channels);
        if (last_steps) {
            emit_only_tap(e, c, b, ftso_emit_at(e, b->weights, tap), last_steps, sums);
            return;
        }
        emit_channels(e, c, b, b->operand, ftso_emit_at(e, b->weights, tap), &b->ahead, sums);
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
        LLVMValueRef done = ftso_emit_add(e, ftso_emit_mul(e, h.index, p->taps_w), w.index);
        ftso_asked ahead =
            ftso_asked_after(e, &b->ahead, ftso_emit_mul(e, done, steps_of_tap(e, c)));
        for (int i = 0; i < count; i++) sums[i] = w.carried[i];
        emit_channels(e, c, b, ftso_emit_at(e, b->operand, pixel),
                      ftso_emit_at(e, b->weights, ftso_emit_mul(e, tap, tap_floats)), &ahead, sums);
        ftso_emit_loop_end(e, &w, sums);
        for (int i = 0; i < count; i++) sums[i] = w.carried[i];
        ftso_emit_loop_end(e, &h, sums);
        for (int i = 0; i < count; i++) sums[i] = h.carried[i];
    }
    store_pixels(e, c, b, 0, b->pixels, sums);
}

/* Steps of a block: each that asks for lines. */
static int64_t steps_of(const ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p)
{
    return p->taps_h * p->taps_w * steps_of_tap(e, c);
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
    if (run->turn) {
        LLVMValueRef turn = LLVMBuildUDiv(e->builder, loop.index, ftso_emit_i64(e, pixels), "");
        b.ahead = ftso_ahead_turn(e, c->ahead, run->pace, steps_of(e, c, p),
                                  ftso_emit_add(e, run->turn, turn), b.weights);
    }
    emit_block(e, c, p, &b);
    ftso_emit_loop_end(e, &loop, NULL);
    if (whole == count) return;
    b.ahead.pace.images = 0;
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

/* Rows of the band that the phase makes. */
static int64_t phase_rows(const ftso_contraction *c, const ftso_phase *p)
{
    return (c->band.rows - p->out_row + c->taps.out_step - 1) / c->taps.out_step;
}

/* Whole blocks of pixels of most bands, for one block of `vectors`. */
static int64_t blocks_of(const ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p,
                         int vectors, int64_t *out_per_row)
{
    double cost;
    int64_t rows = is_one_run(c, p) ? 1
                   : c->usual_rows  ? c->usual_rows
                                    : phase_rows(c, p),
            columns = is_one_run(c, p) ? phase_rows(c, p) * p->columns : p->columns;
    columns /= e->pixels;
    *out_per_row = columns > 0 ? columns / ftso_block_rows(e, vectors, columns, &cost) : 0;
    return rows * *out_per_row;
}

/* One phase of one core for `vectors` output vectors from `channel` on: all its outputs in the band. `turn`, `pace`: of its
 * first block, as in tile_block. */
static void emit_phase(ftso_emitter *e, const ftso_contraction *c, const ftso_phase *p, int vectors,
                       LLVMValueRef weights, LLVMValueRef channel, LLVMValueRef turn,
                       ftso_pace pace)
{
    int64_t step = c->taps.out_step, rows = phase_rows(c, p), per_row;
    if (rows <= 0 || p->columns <= 0 || (p->taps_h == 0 && c->adds)) return;
    int64_t row_floats = c->band.tile_columns * c->tile_stored;
    int64_t start = p->taps_h ? (p->start_h - c->band.first_row) * row_floats +
                                    (p->start_w - c->band.first_column) * c->tile_stored
                              : 0;
    LLVMValueRef operand = ftso_emit_at(e, c->tile, ftso_emit_i64(e, start));
    tile_block run = {.vectors = vectors,
                      .pixel_step = c->band.stride * c->tile_stored * e->pixels,
                      .number_step = step * e->pixels,
                      .operand = operand,
                      .weights = weights,
                      .channel = channel,
                      .turn = turn,
                      .pace = pace,
                      .number = ftso_emit_i64(e, p->out_row * c->result_columns + p->out_column)};
    if (is_one_run(c, p)) {
        emit_run(e, c, p, &run, rows * p->columns / e->pixels);
        return;
    }
    ftso_loop q;
    ftso_emit_loop(e, &q, ftso_emit_i64(e, 0), c->rows ? c->rows : ftso_emit_i64(e, rows), 1,
                   !c->rows, NULL, 0);
    run.operand = ftso_emit_at(e, operand, ftso_emit_mul(e, q.index, c->band.stride * row_floats));
    run.number = ftso_emit_add(e, run.number, ftso_emit_mul(e, q.index, step * c->result_columns));
    if (turn) {
        blocks_of(e, c, p, vectors, &per_row);
        run.turn = ftso_emit_add(e, turn, ftso_emit_mul(e, q.index, per_row));
    }
    emit_run(e, c, p, &run, p->columns / e->pixels);
    ftso_emit_loop_end(e, &q, NULL);
}

int64_t ftso_contraction_run_length(const ftso_contraction *c)
{
    const ftso_phase *p = &c->taps.phases[0];
    if (c->winograd) return ftso_winograd_patches(c);
    return is_one_run(c, p) ? c->band.rows * p->columns : p->columns;
}

/* The phase with the most work in it. */
static const ftso_phase *busiest(const ftso_contraction *c)
{
    const ftso_phase *found = &c->taps.phases[0];
    for (int i = 1; i < c->taps.phase_count; i++) {
        const ftso_phase *p = &c->taps.phases[i];
        if (p->taps_h * p->taps_w > found->taps_h * found->taps_w) found = p;
    }
    return found;
}

/* What a point of a patch is to its products: a 1x1 window on the points of all patches. */
static const ftso_phase one_tap = {.taps_h = 1, .taps_w = 1};

void ftso_contraction_at_point(ftso_emitter *e, const ftso_contraction *c,
                               const ftso_contraction_block *b, LLVMValueRef operand,
                               LLVMValueRef result)
{
    ftso_contraction products = *c;
    products.adds = products.direct = false;
    products.images = NULL;
    products.result = result;
    products.stored = (int64_t)b->vectors * e->target.vector_floats;
    tile_block run = {.vectors = b->vectors,
                      .pixel_step = c->tile_stored,
                      .number_step = 1,
                      .operand = operand,
                      .weights = b->weights,
                      .channel = ftso_emit_i64(e, 0),
                      .turn = b->turn,
                      .pace = b->pace,
                      .number = ftso_emit_i64(e, 0)};
    emit_run(e, &products, &one_tap, &run, ftso_winograd_patches(c));
}

/* Blocks of pixels whose steps ask for lines, in one round for one block of `vectors`; steps of each; rounds in a band. */
static int64_t turns_of(const ftso_emitter *e, const ftso_contraction *c, int vectors,
                        int64_t *out_steps, int64_t *out_rounds)
{
    int64_t per_row;
    double cost;
    *out_rounds = c->winograd ? ftso_winograd_rounds(c) : 1;
    *out_steps = steps_of(e, c, c->winograd ? &one_tap : busiest(c));
    if (vectors == 0) return 0;
    if (!c->winograd) return blocks_of(e, c, busiest(c), vectors, &per_row);
    int64_t patches = ftso_winograd_patches(c);
    return ftso_winograd_points(c->winograd) *
           (patches / ftso_block_rows(e, vectors, patches, &cost));
}

/* The work of one round in blocks of `vectors`. */
static int64_t work_of(const ftso_emitter *e, const ftso_contraction *c, int vectors)
{
    double cost;
    int64_t steps, rounds, turns = turns_of(e, c, vectors, &steps, &rounds),
                           run = ftso_contraction_run_length(c) / e->pixels;
    return vectors ? turns * steps * vectors * ftso_block_rows(e, vectors, run, &cost) : 0;
}

int64_t ftso_contraction_work(const ftso_emitter *e, const ftso_contraction *c)
{
    int64_t steps, rounds;
    turns_of(e, c, c->block, &steps, &rounds);
    return rounds *
           (c->vectors / c->block * work_of(e, c, c->block) + work_of(e, c, c->vectors % c->block));
}

/* All outputs of the band, or of the round, for a block of output vectors. */
static void emit_vectors(ftso_emitter *e, const ftso_contraction *c,
                         const ftso_contraction_block *b, LLVMValueRef round)
{
    if (c->winograd) {
        ftso_winograd_vectors(e, c, b, round);
        return;
    }
    for (int i = 0; i < c->taps.phase_count; i++) {
        const ftso_phase *p = &c->taps.phases[i];
        emit_phase(e, c, p, b->vectors, b->weights, b->channel, p == busiest(c) ? b->turn : NULL,
                   b->pace);
    }
}

/* Block number `number` of output vectors; of parts that have to be known, a number that is. */
static ftso_contraction_block block_of(ftso_emitter *e, const ftso_contraction *c,
                                       LLVMValueRef number)
{
    int64_t lanes = (int64_t)c->block * e->target.vector_floats;
    LLVMValueRef packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, c->packed_offset));
    return (ftso_contraction_block){
        .vectors = c->block,
        .weights = ftso_emit_at(e, packed, ftso_emit_mul(e, number, panel_floats(e, c, c->block))),
        .channel = ftso_emit_mul(e, number, lanes)};
}

void ftso_contraction_run(ftso_emitter *e, const ftso_contraction *c)
{
    int whole = c->vectors / c->block, rest = c->vectors % c->block;
    int64_t steps, rounds, turns = turns_of(e, c, c->block, &steps, &rounds),
                           of_round = whole * turns + turns_of(e, c, rest, &steps, &rounds);
    ftso_pace pace = ftso_ahead_pace(c->ahead, rounds * of_round, steps, MOST_ASKED);
    /* each block by itself where its part has to be known */
    bool apart = c->part_count > 1 && (c->direct || c->images);
    ftso_loop round, loop;
    ftso_emit_loop(e, &round, ftso_emit_i64(e, 0), ftso_emit_i64(e, rounds), 1, true, NULL, 0);
    if (c->winograd) ftso_winograd_points_of(e, c, round.index);
    for (int i = 0; i < (apart ? whole : 1); i++) {
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, i), ftso_emit_i64(e, apart ? i + 1 : whole), 1,
                       true, NULL, 0);
        LLVMValueRef turn = ftso_emit_add(e, ftso_emit_mul(e, round.index, of_round),
                                          ftso_emit_mul(e, loop.index, turns));
        ftso_contraction_block b = block_of(e, c, loop.index);
        if (apart) b.channel = ftso_emit_i64(e, 0), b.first = i * c->block;
        b.turn = pace.images ? turn : NULL;
        b.pace = pace;
        emit_vectors(e, c, &b, round.index);
        ftso_emit_loop_end(e, &loop, NULL);
    }
    if (rest) {
        ftso_contraction_block b = block_of(e, c, ftso_emit_i64(e, whole));
        if (apart) b.channel = ftso_emit_i64(e, 0), b.first = whole * c->block;
        b.vectors = rest;
        if (pace.images)
            b.turn = ftso_emit_add(e, ftso_emit_mul(e, round.index, of_round),
                                   ftso_emit_i64(e, whole * turns));
        b.pace = pace;
        emit_vectors(e, c, &b, round.index);
    }
    ftso_emit_loop_end(e, &round, NULL);
}
