/*
 * Contract: dense convolutions and their transposes (conv, conv_dx), any kernel, stride and dilation.
 *
 * In: one operand, evaluated into a tile of a band of rows; packed weights. Out: results of all cores in scratch, for the
 * epilogue. Cores that add up have an operand and a tile each, and one result: the first stores, the others add. An output vector is a sum over taps, then operand channels, one multiply-add each: the register block (pixels
 * times vectors of output channels) changes nothing in that order.
 * Weights are packed once per run: [block of output vectors][tap][operand channel][lanes].
 */
#include "kernels/kernels_internal.h"

#include <string.h>

enum { BUDGET_FLOATS = 8192, MAX_VECTORS = 8, MAX_PIXELS = 14 };

/* One core of the region. `operand_channels` are summed over, `channels` are made. */
typedef struct core {
    ftso_value value, weight;
    bool transposed, adds; /* adds: to the first core's results */
    ftso_taps taps;
    ftso_band band;
    ftso_value operand;
    int64_t tile_stored, tile_offset; /* channels of the operand's tile, and floats into scratch */
    int64_t operand_channels, channels, stored; /* stored: channels rounded up */
    int vectors, block;                    /* vectors of output channels, and how many at a time */
    int64_t packed_offset, scratch_offset; /* floats into shared and into scratch */
} core;

typedef struct job {
    ftso_emitter *e;
    core *cores;
    size_t core_count;
    bool adds_up; /* all cores to the first one's results */
} job;

static int pixels_for(const job *j, int vectors, int64_t run)
{
    const ftso_emitter *e = j->e;
    int registers = e->target.vector_registers, room = (registers - 1 - vectors) / vectors;
    if (room > MAX_PIXELS) room = MAX_PIXELS;
    if (room < 1) room = 1;
    if (e->tuning.pixel_block)
        return e->tuning.pixel_block < run ? e->tuning.pixel_block : (int)run;
    /* the block that leaves the least work to a last, smaller one; large blocks first */
    int best = 1;
    double best_cost = 1e30;
    for (int r = 1; r <= room && r <= run; r++) {
        int64_t whole = run / r, rest = run % r;
        double loads_per_block = vectors + r, work = (double)r * vectors;
        double cost = (double)whole * (work > loads_per_block ? work : loads_per_block) +
                      (rest ? 1.5 * (double)rest * vectors + vectors : 0);
        /* eight sums at once just hide their latency where nothing else is late: see to a few more */
        if (work < 12) cost *= 12 / work;
        if (cost < best_cost) {
            best_cost = cost;
            best = r;
        }
    }
    return best;
}

static int block_for(const ftso_emitter *e, int vectors)
{
    if (e->tuning.channel_block)
        return e->tuning.channel_block < vectors ? e->tuning.channel_block : vectors;
    static const int wanted_few[] = {3, 2, 4, 1}, wanted_many[] = {4, 3, 2, 1};
    const int *wanted = e->target.vector_registers >= 32 ? wanted_many : wanted_few;
    for (int i = 0; i < 4; i++)
        if (vectors % wanted[i] == 0 && wanted[i] > 1) return wanted[i];
    return vectors < 4 ? vectors : 3;
}

/* ---------------------------------------------------------------- weights */

/* Packs one block of `vectors` output vectors from channel `first` on, to `to`. */
static void pack_block(job *j, const core *c, int64_t first, int vectors, LLVMValueRef to)
{
    ftso_emitter *e = j->e;
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

static int64_t panel_floats(const job *j, const core *c, int vectors)
{
    return c->taps.kernel_h * c->taps.kernel_w * c->operand_channels * vectors *
           j->e->target.vector_floats;
}

static void emit_prepare(job *j, const char *symbol)
{
    ftso_emitter *e = j->e;
    ftso_emit_function(e, symbol, "prepare");
    for (size_t i = 0; i < j->core_count; i++) {
        const core *c = &j->cores[i];
        for (int v = 0; v < c->vectors; v += c->block) {
            int vectors = c->vectors - v < c->block ? c->vectors - v : c->block;
            LLVMValueRef to =
                ftso_emit_i64(e, c->packed_offset + v / c->block * panel_floats(j, c, c->block));
            pack_block(j, c, (int64_t)v * e->target.vector_floats, vectors,
                       ftso_emit_at(e, e->shared, to));
        }
    }
    ftso_emit_return(e);
}

/* ---------------------------------------------------------------- the register block */

/* A block: which operand pixels, which weights, where the results go. */
typedef struct tile_block {
    int pixels, vectors;
    int64_t pixel_step;  /* floats from one output's operand pixel to the next's */
    int64_t result_step; /* floats from one result pixel to the next */
    LLVMValueRef operand, weights, result;
} tile_block;

/* Sum over the operand's channels of one tap, into the sums. */
static void emit_channels_loop(job *j, const core *c, const tile_block *b, LLVMValueRef operand,
                               LLVMValueRef weights, LLVMValueRef *sums)
{
    ftso_emitter *e = j->e;
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

static void emit_block(job *j, const core *c, const ftso_phase *p, const tile_block *b)
{
    ftso_emitter *e = j->e;
    int count = b->pixels * b->vectors, v = e->target.vector_floats;
    int64_t row_floats = c->band.tile_columns * c->tile_stored,
            tap_floats = c->operand_channels * b->vectors * v;
    LLVMValueRef sums[FTSO_MAX_CARRIED];
    for (int i = 0; i < count; i++) {
        int64_t to = i / b->vectors * b->result_step + (int64_t)(i % b->vectors) * v;
        sums[i] = c->adds
                      ? ftso_emit_load_vector(e, ftso_emit_at(e, b->result, ftso_emit_i64(e, to)))
                      : ftso_emit_splat_of(e, 0);
    }
    if (p->taps_h * p->taps_w == 1) {
        LLVMValueRef tap =
            ftso_emit_i64(e, (p->first_kh * c->taps.kernel_w + p->first_kw) * tap_floats);
        emit_channels_loop(j, c, b, b->operand, ftso_emit_at(e, b->weights, tap), sums);
    } else {
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
        emit_channels_loop(j, c, b, ftso_emit_at(e, b->operand, pixel),
                           ftso_emit_at(e, b->weights, ftso_emit_mul(e, tap, tap_floats)), sums);
        ftso_emit_loop_end(e, &w, sums);
        for (int i = 0; i < count; i++) sums[i] = w.carried[i];
        ftso_emit_loop_end(e, &h, sums);
        for (int i = 0; i < count; i++) sums[i] = h.carried[i];
    }
    for (int r = 0; r < b->pixels; r++)
        for (int k = 0; k < b->vectors; k++)
            ftso_emit_store(
                e, sums[r * b->vectors + k],
                ftso_emit_at(e, b->result, ftso_emit_i64(e, r * b->result_step + (int64_t)k * v)));
}

/* A run of `count` outputs whose operand pixels and results are evenly spaced. */
static void emit_run(job *j, const core *c, const ftso_phase *p, int vectors, LLVMValueRef weights,
                     LLVMValueRef operand, LLVMValueRef result, int64_t count, int64_t pixel_step,
                     int64_t result_step)
{
    ftso_emitter *e = j->e;
    int pixels = pixels_for(j, vectors, count);
    int64_t whole = count / pixels * pixels;
    tile_block b = {.pixels = pixels,
                    .vectors = vectors,
                    .pixel_step = pixel_step,
                    .result_step = result_step,
                    .weights = weights};
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), pixels, true, NULL, 0);
    b.operand = ftso_emit_at(e, operand, ftso_emit_mul(e, loop.index, pixel_step));
    b.result = ftso_emit_at(e, result, ftso_emit_mul(e, loop.index, result_step));
    emit_block(j, c, p, &b);
    ftso_emit_loop_end(e, &loop, NULL);
    if (whole == count) return;
    b.pixels = (int)(count - whole);
    b.operand = ftso_emit_at(e, operand, ftso_emit_i64(e, whole * pixel_step));
    b.result = ftso_emit_at(e, result, ftso_emit_i64(e, whole * result_step));
    emit_block(j, c, p, &b);
}

/* One phase of one core for `vectors` output vectors at `channel` floats: all its outputs in the band. */
static void emit_phase(job *j, const core *c, const ftso_phase *p, int vectors,
                       LLVMValueRef weights, LLVMValueRef channel)
{
    ftso_emitter *e = j->e;
    int64_t step = c->taps.out_step, rows = (c->band.rows - p->out_row + step - 1) / step;
    if (rows <= 0 || p->columns <= 0 || (p->taps_h == 0 && c->adds)) return;
    LLVMValueRef result =
        ftso_emit_at(e, ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->scratch_offset)), channel);
    int64_t row_floats = c->band.tile_columns * c->tile_stored;
    int64_t start = p->taps_h ? (p->start_h - c->band.first_row) * row_floats +
                                    (p->start_w - c->band.first_column) * c->tile_stored
                              : 0;
    LLVMValueRef operand = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->tile_offset + start));
    int64_t pixel_step = c->band.stride * c->tile_stored, result_step = step * c->stored;
    bool one_run = p->taps_h * p->taps_w == 1 && step == 1 && c->band.stride == 1 &&
                   c->band.tile_columns == p->columns;
    if (one_run) {
        emit_run(j, c, p, vectors, weights, operand, result, rows * p->columns, pixel_step,
                 result_step);
        return;
    }
    ftso_loop q;
    ftso_emit_loop(e, &q, ftso_emit_i64(e, 0), ftso_emit_i64(e, rows), 1, true, NULL, 0);
    LLVMValueRef out_row =
        ftso_emit_add(e, ftso_emit_mul(e, q.index, step), ftso_emit_i64(e, p->out_row));
    LLVMValueRef to = ftso_emit_add(e, ftso_emit_mul(e, out_row, c->taps.out_w * c->stored),
                                    ftso_emit_i64(e, p->out_column * c->stored));
    LLVMValueRef from = ftso_emit_mul(e, q.index, c->band.stride * row_floats);
    if (p->taps_h == 0) {
        ftso_loop columns;
        ftso_emit_loop(e, &columns, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->columns), 1, true,
                       NULL, 0);
        LLVMValueRef at = ftso_emit_at(e, ftso_emit_at(e, result, to),
                                       ftso_emit_mul(e, columns.index, result_step));
        for (int k = 0; k < vectors; k++)
            ftso_emit_store(
                e, ftso_emit_splat_of(e, 0),
                ftso_emit_at(e, at, ftso_emit_i64(e, (int64_t)k * e->target.vector_floats)));
        ftso_emit_loop_end(e, &columns, NULL);
    } else {
        emit_run(j, c, p, vectors, weights, ftso_emit_at(e, operand, from),
                 ftso_emit_at(e, result, to), p->columns, pixel_step, result_step);
    }
    ftso_emit_loop_end(e, &q, NULL);
}

static void emit_core(job *j, const core *c)
{
    ftso_emitter *e = j->e;
    int whole = c->vectors / c->block, rest = c->vectors % c->block;
    LLVMValueRef packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, c->packed_offset));
    int64_t panel = panel_floats(j, c, c->block),
            lanes = (int64_t)c->block * e->target.vector_floats;
    ftso_loop blocks;
    ftso_emit_loop(e, &blocks, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), 1, true, NULL, 0);
    LLVMValueRef weights = ftso_emit_at(e, packed, ftso_emit_mul(e, blocks.index, panel));
    for (int i = 0; i < c->taps.phase_count; i++)
        emit_phase(j, c, &c->taps.phases[i], c->block, weights,
                   ftso_emit_mul(e, blocks.index, lanes));
    ftso_emit_loop_end(e, &blocks, NULL);
    for (int i = 0; rest && i < c->taps.phase_count; i++)
        emit_phase(j, c, &c->taps.phases[i], rest,
                   ftso_emit_at(e, packed, ftso_emit_i64(e, whole * panel)),
                   ftso_emit_i64(e, whole * lanes));
}

/* ---------------------------------------------------------------- the whole */

/* The first core with the same tile. */
static const core *tile_owner(const job *j, size_t i)
{
    return j->adds_up ? &j->cores[i] : &j->cores[0];
}

static void describe(job *j, const ftso_region *region)
{
    ftso_emitter *e = j->e;
    j->core_count = region->core_count;
    j->adds_up = ftso_region_adds_up(e->schedule, region);
    j->cores = FTSO_ARRAY(e->arena, core, region->core_count);
    ftso_taps *taps = FTSO_ARRAY(e->arena, ftso_taps, region->core_count);
    ftso_band *bands = FTSO_ARRAY(e->arena, ftso_band, region->core_count);
    int64_t *tile_channels = FTSO_ARRAY(e->arena, int64_t, region->core_count);
    int64_t result_channels = 0;
    for (size_t i = 0; i < region->core_count; i++) {
        const ftso_node *node = ftso_kernel_node(e, region->cores[i]);
        core *c = &j->cores[i];
        c->value = region->cores[i];
        c->operand = node->inputs[0];
        c->weight = node->inputs[1];
        c->transposed = ftso_node_is(node, "conv_dx");
        c->adds = j->adds_up && i > 0;
        ftso_shape w = ftso_kernel_shape(e, c->weight), operand = ftso_kernel_shape(e, c->operand);
        c->operand_channels = c->transposed ? w.dim[0] : w.dim[1];
        c->channels = c->transposed ? w.dim[1] : w.dim[0];
        c->stored = ftso_emit_round(e, c->channels);
        c->vectors = (int)(c->stored / e->target.vector_floats);
        c->block = block_for(e, c->vectors);
        c->tile_stored = ftso_emit_round(e, operand.dim[1]);
        c->taps = taps[i] =
            ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape, c->transposed);
        tile_channels[i] = tile_owner(j, i) == c ? c->tile_stored : 0;
        if (!c->adds) result_channels += c->stored;
    }
    ftso_bands_of(taps, tile_channels, region->core_count, result_channels, BUDGET_FLOATS, bands);
    for (size_t i = 0; i < region->core_count; i++) j->cores[i].band = bands[i];
}

/* Places tiles, results and packed weights; returns floats of scratch. */
static int64_t place(job *j, int64_t *out_shared)
{
    ftso_emitter *e = j->e;
    int64_t shared = 0, scratch = 0;
    for (size_t i = 0; i < j->core_count; i++) {
        core *c = &j->cores[i];
        const core *owner = tile_owner(j, i);
        if (owner == c) {
            c->tile_offset = scratch;
            scratch +=
                ftso_emit_round(e, c->band.tile_rows * c->band.tile_columns * c->tile_stored);
        } else {
            c->tile_offset = owner->tile_offset;
        }
        if (c->adds) {
            c->scratch_offset = j->cores[0].scratch_offset;
        } else {
            c->scratch_offset = scratch;
            scratch += c->band.rows * c->taps.out_w * c->stored;
        }
        c->packed_offset = shared;
        for (int v = 0; v < c->vectors; v += c->block)
            shared += panel_floats(j, c, c->vectors - v < c->block ? c->vectors - v : c->block);
    }
    *out_shared = shared;
    return scratch;
}

/* One band of one image: tiles, then cores, into `results`. */
static void emit_band(job *j, LLVMValueRef image, LLVMValueRef band, LLVMValueRef *results)
{
    ftso_emitter *e = j->e;
    for (size_t i = 0; i < j->core_count; i++) {
        const core *c = &j->cores[i];
        int64_t operand_rows =
            c->band.rows * c->band.rows_per_output_num / c->band.rows_per_output_den;
        ftso_tile tile = {.value = c->operand,
                          .image = image,
                          .row = ftso_emit_add(e, ftso_emit_mul(e, band, operand_rows),
                                               ftso_emit_i64(e, c->band.first_row)),
                          .rows = c->band.tile_rows,
                          .columns = c->band.tile_columns,
                          .column = c->band.first_column,
                          .step = c->band.step,
                          .address = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->tile_offset))};
        if (tile_owner(j, i) == c) ftso_emit_tile(e, &tile);
        emit_core(j, c);
        results[i] =
            c->adds ? NULL : ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->scratch_offset));
    }
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    ftso_emit_reads_are_constant(e);
    job j = {.e = e};
    describe(&j, region);
    int64_t shared, scratch = place(&j, &shared);
    emit_prepare(&j, symbol);

    const core *first = &j.cores[0];
    int64_t planned = ftso_kernel_shape(e, region->cores[0]).dim[0],
            per_item = ftso_emit_images_per_item(e, planned);
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, shared);
    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_loop images, bands;
    ftso_emit_images(e, &images, per_item);
    ftso_emit_loop(e, &bands, ftso_emit_i64(e, 0),
                   ftso_emit_i64(e, first->taps.out_h / first->band.rows), 1, true, NULL, 0);
    LLVMValueRef *results = FTSO_ARRAY(e->arena, LLVMValueRef, j.core_count);
    emit_band(&j, images.index, bands.index, results);
    int64_t pixels = first->band.rows * first->taps.out_w;
    ftso_emit_epilogue_run(e, &epilogue, images.index, ftso_emit_mul(e, bands.index, pixels),
                           ftso_emit_i64(e, pixels), results);
    ftso_emit_loop_end(e, &bands, NULL);
    ftso_emit_loop_end(e, &images, NULL);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, per_item, planned, out_shape);
    out_shape->has_prepare = true;
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_contract = {
    .name = "contract", .doc = "dense convolutions and their transposes", .emit_llvm = emit};
