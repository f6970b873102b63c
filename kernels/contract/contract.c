/*
 * Contract: dense convolutions and their transposes (conv, conv_dx), any kernel, stride and dilation.
 *
 * In: one operand, evaluated into a tile of a band of rows; packed weights. Out: results of all cores in scratch, for the
 * epilogue. Cores that add up have an operand and a tile each, and one result: the first stores, the others add.
 * A depthwise core may lead: its result, band by band, is the operand of a 1x1 window. An operand that lies in memory as
 * the window reads it needs no tile; results that are images are stored there, and those that only images follow from go on
 * in registers. Weight gradients of the same operands run beside the cores, and so do the gradients of pools that cover the
 * map. contraction.c has the arithmetic, winograd.c that of 3x3 windows with fewer products.
 */
#include "kernels/kernels_internal.h"

enum { BUDGET_FLOATS = 8192, BESIDE_BUDGET_FLOATS = 16384, LED_BUDGET_FLOATS = 24576 };

/* The contractions: one with all cores as its parts, or one for each core. */
typedef struct job {
    ftso_emitter *e;
    ftso_contraction *cores;
    size_t core_count;
    bool adds_up;   /* all cores to the first one's results */
    bool direct;    /* results go from registers to the epilogue: no scratch for them */
    bool in_images; /* results are images, and stored there: no scratch either */
    bool led;       /* the operand is the result of `lead`, made band by band */
    ftso_depthwise lead;
    int64_t lead_packed, lead_tile;        /* floats into shared and into scratch */
    LLVMValueRef image, first, first_band; /* first: number of the band's first output pixel */
    ftso_gradients gradients;
    ftso_pooling *pools; /* gradients of pools on the same map */
    size_t pool_count;
} job;

static void emit_prepare(job *j, const char *symbol)
{
    ftso_emitter *e = j->e;
    ftso_emit_function(e, symbol, "prepare");
    for (size_t i = 0; i < j->core_count; i++) ftso_contraction_pack(e, &j->cores[i]);
    if (j->led) {
        j->lead.packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, j->lead_packed));
        ftso_depthwise_pack(e, &j->lead);
    }
    ftso_emit_return(e);
}

/* The first core with the same tile. */
static const ftso_contraction *tile_owner(const job *j, size_t i)
{
    return j->adds_up ? &j->cores[i] : &j->cores[0];
}

/* The bands of all cores, and of the lead where there is one. */
static void choose_bands(job *j, const int64_t *tile_channels, int64_t result_channels,
                         int64_t least)
{
    ftso_emitter *e = j->e;
    const ftso_region *region = e->region;
    if (region->lead_count) {
        ftso_contraction *c = &j->cores[0];
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
    ftso_bands_of(taps, tile_channels, j->core_count, result_channels,
                  j->gradients.count ? BESIDE_BUDGET_FLOATS : BUDGET_FLOATS, least, bands);
    for (size_t i = 0; i < j->core_count; i++) j->cores[i].band = bands[i];
}

/* Whether all cores' results are images of the region, and each block of them is of a part that is known. */
static bool results_are_images(const job *j)
{
    const ftso_region *region = j->e->region;
    if (j->adds_up || j->direct || j->pool_count) return false;
    for (size_t i = 0; i < region->core_count; i++)
        if (!ftso_emit_core_is_image(j->e, region->cores[i])) return false;
    for (size_t i = 0; i < j->core_count; i++)
        if (!ftso_contraction_parts_known(&j->cores[i])) return false;
    return true;
}

/* How many cores are one contraction. Where results go on in registers each has its own, unless patches share their points. */
static size_t parts_of(const job *j)
{
    const ftso_region *region = j->e->region;
    if (j->adds_up || j->e->pixels > 1) return 1;
    if (j->direct && !ftso_contraction_of(j->e, region->cores, region->core_count).winograd)
        return 1;
    return region->core_count;
}

static void describe(job *j, const ftso_region *region, ftso_epilogue *epilogue)
{
    ftso_emitter *e = j->e;
    j->gradients = ftso_gradients_of(e);
    j->adds_up = ftso_region_adds_up(e->schedule, region);
    j->direct = ftso_emit_epilogue_is_direct(e, epilogue);
    size_t parts = parts_of(j);
    j->core_count = region->core_count / parts;
    j->cores = FTSO_ARRAY(e->arena, ftso_contraction, region->core_count);
    int64_t *tile_channels = FTSO_ARRAY(e->arena, int64_t, region->core_count);
    int64_t result_channels = 0;
    for (size_t i = 0; i < j->core_count; i++) {
        ftso_contraction *c = &j->cores[i];
        *c = ftso_contraction_of(e, &region->cores[i], parts);
        c->adds = j->adds_up && i > 0;
        c->direct = j->direct;
        c->number = i;
        tile_channels[i] = tile_owner(j, i) == c ? c->tile_stored : 0;
        if (i == 0) tile_channels[i] += ftso_gradients_tile_channels(&j->gradients);
        if (!c->adds && !j->direct) result_channels += c->stored;
    }
    j->pool_count = region->pool_count;
    j->pools = FTSO_ARRAY(e->arena, ftso_pooling, j->pool_count + 1);
    for (size_t i = 0; i < j->pool_count; i++) {
        j->pools[i] = ftso_pooling_of(e, region->pools[i]);
        result_channels +=
            ftso_pooling_row_floats(&j->pools[i]) / j->pools[i].stride / j->cores[0].taps.out_w;
    }
    if (parts > 1) epilogue->result_floats = j->cores[0].stored;
    ftso_shape made = ftso_kernel_shape(e, region->cores[0]);
    choose_bands(j, tile_channels, result_channels,
                 ftso_emit_least_bands(e, epilogue, made.dim[0], made.dim[2]));
    for (size_t i = 0; i < j->core_count; i++) {
        ftso_contraction *c = &j->cores[i];
        if (c->winograd) ftso_winograd_cut(c);
        c->block = ftso_block_vectors(e, c->vectors, ftso_contraction_run_length(c));
    }
    j->in_images = results_are_images(j);
    epilogue->cores_stored = j->in_images;
    if (j->in_images) e->past_caches = false; /* theirs are read again soon */
    if (j->in_images) epilogue->result_floats = 0;
}

/* Places tiles, results and packed weights; returns floats of scratch. */
static int64_t place(job *j, int64_t *out_shared)
{
    ftso_emitter *e = j->e;
    int64_t shared = 0, scratch = 0;
    for (size_t i = 0; i < j->core_count; i++) {
        ftso_contraction *c = &j->cores[i];
        if (tile_owner(j, i) == c) {
            c->tile_offset = scratch;
            c->rolling = ftso_rolling_of(&c->taps, &c->band, c->tile_stored);
            if (!c->in_place)
                scratch += ftso_rolling_floats(e, &c->rolling, &c->band, c->tile_stored);
        }
        if (c->adds) {
            c->scratch_offset = j->cores[0].scratch_offset;
        } else {
            c->scratch_offset = scratch;
            if (!j->direct && !j->in_images) scratch += c->band.rows * c->taps.out_w * c->stored;
        }
        if (c->winograd) ftso_winograd_place(e, c, &scratch);
        c->packed_offset = shared;
        shared += ftso_contraction_packed_floats(e, c);
    }
    if (j->led) {
        j->lead_packed = shared;
        shared += ftso_depthwise_packed_floats(&j->lead);
        j->lead_tile = scratch;
        ftso_depthwise *lead = &j->lead;
        lead->rolling = ftso_rolling_of(&lead->taps, &lead->band, lead->stored);
        scratch += ftso_rolling_floats(e, &lead->rolling, &lead->band, lead->stored);
    }
    for (size_t i = 0; i < j->pool_count; i++)
        ftso_pooling_place(&j->pools[i], j->cores[0].band.rows / j->pools[i].stride, &scratch);
    ftso_gradients_place(e, &j->gradients, j->cores[0].operand, j->cores[0].band.rows,
                         j->cores[0].band.rows, &scratch);
    *out_shared = shared;
    return scratch;
}

/* Where the operand of the band lies: in memory, or in a tile that is made here. */
static LLVMValueRef emit_operand(job *j, const ftso_contraction *c, LLVMValueRef band)
{
    ftso_emitter *e = j->e;
    if (c->in_place) {
        LLVMValueRef pixel =
            ftso_emit_add(e, ftso_emit_mul(e, j->image, c->taps.in_h * c->taps.in_w), j->first);
        return ftso_emit_at(e, e->address[c->operand], ftso_emit_mul(e, pixel, c->tile_stored));
    }
    LLVMValueRef tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->tile_offset)),
                 own = LLVMBuildNSWSub(e->builder, band, j->first_band, "");
    if (j->led) {
        ftso_depthwise *lead = &j->lead;
        lead->packed = ftso_emit_at(e, e->shared, ftso_emit_i64(e, j->lead_packed));
        lead->result = tile;
        lead->origin = ftso_emit_band_origin(e, &lead->band, band);
        lead->tile =
            ftso_emit_band_tile(e, &lead->band, &lead->rolling, lead->operand, j->image,
                                ftso_emit_band_row(e, &lead->band, band), own,
                                ftso_emit_at(e, e->scratch, ftso_emit_i64(e, j->lead_tile)));
        ftso_depthwise_run(e, lead);
        return tile;
    }
    return ftso_emit_band_tile(e, &c->band, &c->rolling, c->operand, j->image,
                               ftso_emit_band_row(e, &c->band, band), own, tile);
}

/* The weight gradients of the core's operand, whose pixels of the band lie inside the tile. */
static void run_gradients(job *j, const ftso_contraction *c, LLVMValueRef band)
{
    ftso_emitter *e = j->e;
    int64_t row_floats = c->band.tile_columns * c->tile_stored,
            inside = c->band.first_row * row_floats + c->band.first_column * c->tile_stored;
    ftso_gradients_run(e, &j->gradients, c->operand, j->image, ftso_emit_mul(e, band, c->band.rows),
                       NULL, ftso_emit_at(e, c->tile, ftso_emit_i64(e, -inside)), row_floats);
}

/* Where the band's results of each part lie in the images. */
static void find_images(job *j, ftso_contraction *c)
{
    ftso_emitter *e = j->e;
    LLVMValueRef *images = FTSO_ARRAY(e->arena, LLVMValueRef, c->part_count),
                 pixel = ftso_emit_add(e, ftso_emit_mul(e, j->image, c->taps.out_h * c->taps.out_w),
                                       j->first);
    for (size_t k = 0; k < c->part_count; k++) {
        ftso_value value = c->parts[k].value;
        images[k] =
            ftso_emit_at(e, e->address[value], ftso_emit_mul(e, pixel, ftso_emit_stored(e, value)));
    }
    c->images = images;
}

/* What each loop of the band asks for of the next band's lines: the lead's, the cores', the gradients', the pools', the epilogue's. */
static ftso_ahead *deal(job *j, ftso_epilogue *epilogue)
{
    ftso_emitter *e = j->e;
    const ftso_contraction *first = &j->cores[0];
    int64_t pixels = first->band.rows * first->taps.out_w;
    ftso_ahead_band next = {.like = first->value,
                            .image = j->image,
                            .first = ftso_emit_add(e, j->first, ftso_emit_i64(e, pixels)),
                            .pixels = pixels,
                            .tiled = j->led ? j->lead.operand : first->operand,
                            .reach = j->led ? ftso_band_reach(&j->lead.taps, &j->lead.band)
                                            : ftso_band_reach(&first->taps, &first->band),
                            .writes = !j->direct};
    ftso_ahead ahead = ftso_ahead_of(e, &next);
    size_t count = 0, most = 2 + j->core_count + j->gradients.count + j->pool_count;
    int64_t *work = FTSO_ARRAY(e->arena, int64_t, most);
    ftso_ahead *shares = FTSO_ARRAY(e->arena, ftso_ahead, most);
    if (j->led) work[count++] = ftso_depthwise_work(e, &j->lead);
    for (size_t i = 0; i < j->core_count; i++)
        work[count++] = ftso_contraction_work(e, &j->cores[i]);
    ftso_gradients_work(e, &j->gradients, first->operand, work + count);
    count += j->gradients.count;
    for (size_t i = 0; i < j->pool_count; i++) work[count++] = ftso_pooling_work(&j->pools[i]);
    work[count] = j->direct ? 0 : ftso_emit_epilogue_work(e, epilogue, pixels);
    if (work[count]) epilogue->ahead = &shares[count++];
    ftso_ahead_deal(e, &ahead, work, count, shares);
    return shares;
}

/* One band of one image: tiles, then cores, into `results`, then the lead's, then the pools'. */
static void emit_band(job *j, LLVMValueRef band, ftso_epilogue *epilogue, LLVMValueRef *results)
{
    ftso_emitter *e = j->e;
    const ftso_ahead *share = deal(j, epilogue);
    if (j->led) j->lead.ahead = share++;
    for (size_t i = 0; i < j->core_count; i++) {
        ftso_contraction *c = &j->cores[i];
        const ftso_contraction *owner = tile_owner(j, i);
        c->tile = owner == c ? emit_operand(j, c, band) : owner->tile;
        c->ahead = share++;
        c->image = j->image;
        c->first = j->first;
        c->result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->scratch_offset));
        if (j->in_images) find_images(j, c);
        ftso_contraction_run(e, c);
        for (size_t k = 0; k < c->part_count; k++) {
            LLVMValueRef part = ftso_emit_i64(e, c->parts[k].first_vector * ftso_emit_unit(e));
            *results++ = c->adds     ? NULL
                         : c->images ? c->images[k]
                                     : ftso_emit_at(e, c->result, part);
        }
    }
    ftso_gradients_ask(&j->gradients, share);
    share += j->gradients.count;
    run_gradients(j, &j->cores[0], band);
    if (j->led) *results++ = j->lead.result;
    for (size_t i = 0; i < j->pool_count; i++) {
        ftso_pooling_run(&j->pools[i], j->image, band, share++);
        *results++ = j->pools[i].result;
    }
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    ftso_emit_reads_are_constant(e);
    job j = {.e = e};
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    describe(&j, region, &epilogue);
    int64_t scratch = ftso_emit_epilogue_place(e, &epilogue, place(&j, &epilogue.shared_offset));
    emit_prepare(&j, symbol);

    const ftso_contraction *first = &j.cores[0];
    int64_t planned = ftso_kernel_shape(e, region->cores[0]).dim[0],
            pixels = first->band.rows * first->taps.out_w;
    ftso_emit_function(e, symbol, "body");
    ftso_emit_epilogue_begin(e, &epilogue);
    ftso_gradients_begin(e, &j.gradients, &epilogue, planned);
    ftso_frame frame;
    ftso_emit_frame(e, &frame, &epilogue, planned, first->taps.out_h / first->band.rows);
    j.image = frame.images.index;
    j.first_band = frame.first_band;
    j.first = ftso_emit_mul(e, frame.rows.index, pixels);
    LLVMValueRef *results = FTSO_ARRAY(e->arena, LLVMValueRef, e->core_count);
    emit_band(&j, frame.rows.index, &epilogue, results);
    if (!j.direct)
        ftso_emit_epilogue_run(e, &epilogue, j.image, j.first, ftso_emit_i64(e, pixels), results);
    ftso_emit_frame_end(e, &frame);
    ftso_emit_return(e);
    ftso_gradients_finish(e, &j.gradients, &epilogue, symbol, frame.images_per_item, planned,
                          out_shape);
    out_shape->has_prepare = true;
    out_shape->parts = frame.parts;
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_contract = {.name = "contract",
                                                .doc = "dense convolutions and their transposes",
                                                .narrow = true,
                                                .emit_llvm = emit};
