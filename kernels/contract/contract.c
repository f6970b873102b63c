/*
 * Contract: dense convolutions and their transposes (conv, conv_dx), any kernel, stride and dilation.
 *
 * In: one operand, evaluated into a tile of a band of rows; packed weights. Out: results of all cores in scratch, for the
 * epilogue. Cores that add up have an operand and a tile each, and one result: the first stores, the others add. An output
 * vector is a sum over taps, then operand channels, one multiply-add each: the register block (pixels times vectors of
 * output channels) changes nothing in that order.
 * Weights are packed by prepare: [block of output vectors][tap][operand channel][lanes].
 * A depthwise core may lead: its result, band by band, is the operand of a 1x1 window. An operand that lies in memory as
 * the window reads it needs no tile, and results that only images follow from need no scratch.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 8192, LED_BUDGET_FLOATS = 24576, MAX_VECTORS = 8 };

/* One core of the region. `operand_channels` are summed over, `channels` are made. */
typedef struct core {
    ftso_value value, weight;
    bool transposed, adds; /* adds: to the first core's results */
    ftso_taps taps;
    ftso_band band;
    ftso_value operand;
    bool in_place;                    /* the operand is read where it lies in memory: no tile */
    int64_t tile_stored, tile_offset; /* channels of the operand's tile, and floats into scratch */
    LLVMValueRef tile;                /* of the band at hand */
    int64_t operand_channels, channels, stored; /* stored: channels rounded up */
    int vectors, block;                    /* vectors of output channels, and how many at a time */
    int64_t packed_offset, scratch_offset; /* floats into shared and into scratch */
} core;

typedef struct job {
    ftso_emitter *e;
    core *cores;
    size_t core_count;
    bool adds_up; /* all cores to the first one's results */
    bool direct;  /* results go from registers to the epilogue: no scratch for them */
    bool led;     /* the operand is the result of `lead`, made band by band */
    ftso_depthwise lead;
    int64_t lead_packed, lead_tile; /* floats into shared and into scratch */
    LLVMValueRef image, first;      /* first: number of the band's first output pixel */
} job;

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
    if (j->led) {
        j->lead.packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, j->lead_packed));
        ftso_depthwise_pack(e, &j->lead);
    }
    ftso_emit_return(e);
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

/* Where the block's first result vector of pixel `r` lies in scratch. */
static LLVMValueRef result_at(job *j, const core *c, const tile_block *b, int r)
{
    ftso_emitter *e = j->e;
    LLVMValueRef number = ftso_emit_add(e, b->number, ftso_emit_i64(e, r * b->number_step));
    LLVMValueRef at = ftso_emit_add(e, ftso_emit_mul(e, number, c->stored), b->channel);
    return ftso_emit_at(e, e->scratch, ftso_emit_add(e, at, ftso_emit_i64(e, c->scratch_offset)));
}

/* The block's sums to scratch, or on to the images that follow from them. */
static void emit_results(job *j, const core *c, const tile_block *b, const LLVMValueRef *sums)
{
    ftso_emitter *e = j->e;
    int64_t v = e->target.vector_floats;
    for (int r = 0; r < b->pixels; r++) {
        const LLVMValueRef *own = &sums[r * b->vectors];
        if (j->direct) {
            LLVMValueRef number = ftso_emit_add(e, b->number, ftso_emit_i64(e, r * b->number_step));
            ftso_emit_epilogue_direct(e, (size_t)(c - j->cores), j->image,
                                      ftso_emit_add(e, j->first, number), b->channel, own,
                                      b->vectors);
            continue;
        }
        LLVMValueRef to = result_at(j, c, b, r);
        for (int k = 0; k < b->vectors; k++)
            ftso_emit_store(e, own[k], ftso_emit_at(e, to, ftso_emit_i64(e, k * v)));
    }
}

static void emit_block(job *j, const core *c, const ftso_phase *p, const tile_block *b)
{
    ftso_emitter *e = j->e;
    int count = b->pixels * b->vectors, v = e->target.vector_floats;
    int64_t row_floats = c->band.tile_columns * c->tile_stored,
            tap_floats = c->operand_channels * b->vectors * v;
    LLVMValueRef sums[FTSO_MAX_CARRIED];
    for (int r = 0; r < b->pixels; r++) {
        LLVMValueRef old = c->adds ? result_at(j, c, b, r) : NULL;
        for (int k = 0; k < b->vectors; k++)
            sums[r * b->vectors + k] =
                c->adds ? ftso_emit_load_vector(
                              e, ftso_emit_at(e, old, ftso_emit_i64(e, (int64_t)k * v)))
                        : ftso_emit_splat_of(e, 0);
    }
    if (p->taps_h * p->taps_w == 1) {
        LLVMValueRef tap =
            ftso_emit_i64(e, (p->first_kh * c->taps.kernel_w + p->first_kw) * tap_floats);
        emit_channels_loop(j, c, b, b->operand, ftso_emit_at(e, b->weights, tap), sums);
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
        emit_channels_loop(j, c, b, ftso_emit_at(e, b->operand, pixel),
                           ftso_emit_at(e, b->weights, ftso_emit_mul(e, tap, tap_floats)), sums);
        ftso_emit_loop_end(e, &w, sums);
        for (int i = 0; i < count; i++) sums[i] = w.carried[i];
        ftso_emit_loop_end(e, &h, sums);
        for (int i = 0; i < count; i++) sums[i] = h.carried[i];
    }
    emit_results(j, c, b, sums);
}

/* `count` outputs, evenly spaced as `run` says, from its first one on; run->pixels at a time. */
static void emit_run(job *j, const core *c, const ftso_phase *p, const tile_block *run,
                     int64_t count)
{
    ftso_emitter *e = j->e;
    double cost;
    int pixels = ftso_block_rows(e, run->vectors, count, &cost);
    int64_t whole = count / pixels * pixels;
    tile_block b = *run;
    b.pixels = pixels;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), pixels, true, NULL, 0);
    b.operand = ftso_emit_at(e, run->operand, ftso_emit_mul(e, loop.index, b.pixel_step));
    b.number = ftso_emit_add(e, run->number, ftso_emit_mul(e, loop.index, b.number_step));
    emit_block(j, c, p, &b);
    ftso_emit_loop_end(e, &loop, NULL);
    if (whole == count) return;
    b.pixels = (int)(count - whole);
    b.operand = ftso_emit_at(e, run->operand, ftso_emit_i64(e, whole * b.pixel_step));
    b.number = ftso_emit_add(e, run->number, ftso_emit_i64(e, whole * b.number_step));
    emit_block(j, c, p, &b);
}

/* Whether the rows of a band follow each other without a gap. */
static bool is_one_run(const core *c, const ftso_phase *p)
{
    return p->taps_h * p->taps_w == 1 && c->taps.out_step == 1 && c->band.stride == 1 &&
           c->band.tile_columns == p->columns;
}

/* One phase of one core for `vectors` output vectors from `channel` on: all its outputs in the band. */
static void emit_phase(job *j, const core *c, const ftso_phase *p, int vectors,
                       LLVMValueRef weights, LLVMValueRef channel)
{
    ftso_emitter *e = j->e;
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
                      .number = ftso_emit_i64(e, p->out_row * c->taps.out_w + p->out_column)};
    if (is_one_run(c, p)) {
        emit_run(j, c, p, &run, rows * p->columns);
        return;
    }
    ftso_loop q;
    ftso_emit_loop(e, &q, ftso_emit_i64(e, 0), ftso_emit_i64(e, rows), 1, true, NULL, 0);
    run.operand = ftso_emit_at(e, operand, ftso_emit_mul(e, q.index, c->band.stride * row_floats));
    run.number = ftso_emit_add(e, run.number, ftso_emit_mul(e, q.index, step * c->taps.out_w));
    emit_run(j, c, p, &run, p->columns);
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

/* Pixels that follow each other evenly, in tile and result. */
static int64_t longest_run(const core *c)
{
    const ftso_phase *p = &c->taps.phases[0];
    return is_one_run(c, p) ? c->band.rows * p->columns : p->columns;
}

/* The bands of all cores, and of the lead where there is one. */
static void choose_bands(job *j, const int64_t *tile_channels, int64_t result_channels,
                         int64_t least)
{
    ftso_emitter *e = j->e;
    const ftso_region *region = e->region;
    if (region->lead_count) {
        core *c = &j->cores[0];
        FTSO_ASSERT(region->lead_count == 1 && region->leads[0] == c->operand &&
                    ftso_taps_pixel_by_pixel(&c->taps));
        j->led = true;
        j->lead = ftso_depthwise_of(e, c->operand);
        j->lead.band = ftso_band_of(&j->lead.taps, j->lead.stored, j->lead.stored + result_channels,
                                    LED_BUDGET_FLOATS, least);
        for (size_t i = 0; i < j->core_count; i++)
            j->cores[i].band = ftso_band_with(&j->cores[i].taps, j->lead.band.rows);
        return;
    }
    ftso_taps *taps = FTSO_ARRAY(e->arena, ftso_taps, j->core_count);
    ftso_band *bands = FTSO_ARRAY(e->arena, ftso_band, j->core_count);
    for (size_t i = 0; i < j->core_count; i++) taps[i] = j->cores[i].taps;
    ftso_bands_of(taps, tile_channels, j->core_count, result_channels, BUDGET_FLOATS, least, bands);
    for (size_t i = 0; i < j->core_count; i++) j->cores[i].band = bands[i];
}

static void describe(job *j, const ftso_region *region, const ftso_epilogue *epilogue)
{
    ftso_emitter *e = j->e;
    j->core_count = region->core_count;
    j->adds_up = ftso_region_adds_up(e->schedule, region);
    j->direct = ftso_emit_epilogue_is_direct(e, epilogue);
    j->cores = FTSO_ARRAY(e->arena, core, region->core_count);
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
        c->tile_stored = ftso_emit_round(e, operand.dim[1]);
        c->taps = ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape, c->transposed);
        c->in_place = ftso_kernel_in_memory(e, c->operand) && ftso_taps_pixel_by_pixel(&c->taps);
        tile_channels[i] = tile_owner(j, i) == c ? c->tile_stored : 0;
        if (!c->adds && !j->direct) result_channels += c->stored;
    }
    ftso_shape made = ftso_kernel_shape(e, region->cores[0]);
    choose_bands(j, tile_channels, result_channels,
                 ftso_emit_least_bands(e, epilogue, made.dim[0], made.dim[2]));
    for (size_t i = 0; i < region->core_count; i++)
        j->cores[i].block = ftso_block_vectors(e, j->cores[i].vectors, longest_run(&j->cores[i]));
}

/* Places tiles, results and packed weights; returns floats of scratch. */
static int64_t place(job *j, int64_t *out_shared)
{
    ftso_emitter *e = j->e;
    int64_t shared = 0, scratch = 0;
    for (size_t i = 0; i < j->core_count; i++) {
        core *c = &j->cores[i];
        if (tile_owner(j, i) == c) {
            c->tile_offset = scratch;
            if (!c->in_place) scratch += ftso_band_tile_floats(e, &c->band, c->tile_stored);
        }
        if (c->adds) {
            c->scratch_offset = j->cores[0].scratch_offset;
        } else {
            c->scratch_offset = scratch;
            if (!j->direct) scratch += c->band.rows * c->taps.out_w * c->stored;
        }
        c->packed_offset = shared;
        for (int v = 0; v < c->vectors; v += c->block)
            shared += panel_floats(j, c, c->vectors - v < c->block ? c->vectors - v : c->block);
    }
    if (j->led) {
        j->lead_packed = shared;
        shared += ftso_depthwise_packed_floats(&j->lead);
        j->lead_tile = scratch;
        scratch += ftso_band_tile_floats(e, &j->lead.band, j->lead.stored);
    }
    *out_shared = shared;
    return scratch;
}

/* Where the operand of the band lies: in memory, or in a tile that is made here. */
static LLVMValueRef emit_operand(job *j, const core *c, LLVMValueRef band)
{
    ftso_emitter *e = j->e;
    if (c->in_place) {
        LLVMValueRef pixel =
            ftso_emit_add(e, ftso_emit_mul(e, j->image, c->taps.in_h * c->taps.in_w), j->first);
        return ftso_emit_at(e, e->address[c->operand], ftso_emit_mul(e, pixel, c->tile_stored));
    }
    LLVMValueRef tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->tile_offset));
    if (j->led) {
        ftso_depthwise *lead = &j->lead;
        lead->packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, j->lead_packed));
        lead->tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, j->lead_tile));
        lead->result = tile;
        ftso_emit_band_tile(e, &lead->band, lead->operand, j->image, band, lead->tile);
        ftso_depthwise_run(e, lead);
        return tile;
    }
    ftso_emit_band_tile(e, &c->band, c->operand, j->image, band, tile);
    return tile;
}

/* One band of one image: tiles, then cores, into `results`, the lead's last. */
static void emit_band(job *j, LLVMValueRef band, LLVMValueRef *results)
{
    ftso_emitter *e = j->e;
    for (size_t i = 0; i < j->core_count; i++) {
        core *c = &j->cores[i];
        const core *owner = tile_owner(j, i);
        c->tile = owner == c ? emit_operand(j, c, band) : owner->tile;
        emit_core(j, c);
        results[i] =
            c->adds ? NULL : ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->scratch_offset));
    }
    if (j->led) results[j->core_count] = j->lead.result;
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    ftso_emit_reads_are_constant(e);
    job j = {.e = e};
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    describe(&j, region, &epilogue);
    int64_t scratch = place(&j, &epilogue.shared_offset);
    emit_prepare(&j, symbol);

    const core *first = &j.cores[0];
    int64_t planned = ftso_kernel_shape(e, region->cores[0]).dim[0],
            pixels = first->band.rows * first->taps.out_w;
    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_frame frame;
    ftso_emit_frame(e, &frame, &epilogue, planned, first->taps.out_h / first->band.rows);
    j.image = frame.images.index;
    j.first = ftso_emit_mul(e, frame.rows.index, pixels);
    LLVMValueRef *results = FTSO_ARRAY(e->arena, LLVMValueRef, j.core_count + 1);
    emit_band(&j, frame.rows.index, results);
    if (!j.direct)
        ftso_emit_epilogue_run(e, &epilogue, j.image, j.first, ftso_emit_i64(e, pixels), results);
    ftso_emit_frame_end(e, &frame);
    ftso_emit_return(e);
    ftso_emit_frame_finish(e, &epilogue, symbol, frame.images_per_item, planned, out_shape);
    out_shape->has_prepare = true;
    out_shape->parts = frame.parts;
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_contract = {
    .name = "contract", .doc = "dense convolutions and their transposes", .emit_llvm = emit};
