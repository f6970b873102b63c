/*
 * Epilogues: what a region stores and adds up, from the cores' results on.
 *
 * In: results of the cores in scratch, pixel after pixel. Out: images in memory, one slot of sums per item, and a finish
 * function that adds the slots up.
 * Must hold: sums are float over sixteen pixels, double from there on, calls in image
 * order, items in item order; so neither threads nor scratch sizes that depend on them change a bit.
 */
#include "codegen/emit_llvm.h"

#include <string.h>

/*
 * A chunk is so many vectors of a pixel that a loop over pixels takes at once. The wider it is, the fewer lines of the cache are
 * written in pieces; the sums of a chunk are carried, so that few of them leave registers for a wider one. So many sums fit into
 * a loop; further ones get a pass over the pixels of their own.
 */
enum {
    DOUBLE_FLOATS = 2,
    MAX_CHUNK = 4,
    WIDE_CHUNK = 6,
    FEW_SUMS = 2,
    FAR_MORE = 2, /* than registers */
    NARROW_VECTORS = 2,
    PIXELS_AT_ONCE = 4,
    MAX_IMAGES = 64,
    MOST_ASKED = 8,
    VECTOR_WORK = 8, /* multiply-adds that take as long as a vector does here */
    MAX_SUMS = FTSO_MAX_CARRIED / MAX_CHUNK
};

static const ftso_node *node_of(const ftso_emitter *e, ftso_value value)
{
    return ftso_graph_node(e->schedule->graph, value);
}

/* Channels that a written image or a reduction runs over. */
static int64_t channels_of(const ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = node_of(e, value);
    if (ftso_value_role(e->schedule->graph, value) == FTSO_ROLE_REDUCTION)
        node = node_of(e, node->inputs[0]);
    return node->shape.dim[1];
}

/* Lanes of a reduction's sums: each pixel of a vector has its own. */
static int64_t lanes_for(const ftso_emitter *e, ftso_value reduction)
{
    return ftso_emit_round(e, channels_of(e, reduction)) * e->pixels;
}

ftso_epilogue ftso_emit_epilogue_plan(ftso_emitter *e, int64_t shared_offset)
{
    ftso_epilogue epilogue = {.shared_offset = shared_offset,
                              .whole = e->region->gradient_count > 0};
    size_t capacity = 0;
    for (size_t i = 0; i < e->region->write_count; i++) {
        ftso_value value = e->region->writes[i];
        if (ftso_value_role(e->schedule->graph, value) != FTSO_ROLE_REDUCTION) continue;
        FTSO_PUSH(e->arena, epilogue.reductions, epilogue.reduction_count, capacity, value);
        epilogue.slot_floats += DOUBLE_FLOATS * lanes_for(e, value);
        epilogue.whole = true;
    }
    return epilogue;
}

static LLVMValueRef slot_of(ftso_emitter *e, const ftso_epilogue *epilogue, LLVMValueRef item)
{
    LLVMValueRef at = ftso_emit_mul(e, item, epilogue->slot_floats);
    return ftso_emit_at(e, e->shared,
                        ftso_emit_add(e, at, ftso_emit_i64(e, epilogue->shared_offset)));
}

/* Floats from the slot's start to reduction number `index`. */
static int64_t offset_of(ftso_emitter *e, const ftso_epilogue *epilogue, size_t index)
{
    int64_t offset = 0;
    for (size_t i = 0; i < index; i++)
        offset += DOUBLE_FLOATS * lanes_for(e, epilogue->reductions[i]);
    return offset;
}

void ftso_emit_epilogue_begin(ftso_emitter *e, const ftso_epilogue *epilogue)
{
    if (epilogue->reduction_count == 0) return;
    LLVMValueRef slot = slot_of(e, epilogue, e->item);
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, epilogue->slot_floats),
                   e->target.vector_floats, true, NULL, 0);
    ftso_emit_store(e, ftso_emit_splat_of(e, 0), ftso_emit_at(e, slot, loop.index));
    ftso_emit_loop_end(e, &loop, NULL);
}

/* ---------------------------------------------------------------- one pass over pixels */

/* Outputs that run over the same number of channels, and what their expressions allow. */
typedef struct group {
    int64_t channels;
    ftso_value images[MAX_IMAGES];
    size_t image_count;
    size_t sums[MAX_SUMS]; /* indices of reductions */
    size_t sum_count;
    bool uniform;
} group;

/* A pass: which pixels, counted from the first that the cores' results are of. */
typedef struct pass {
    const ftso_epilogue *epilogue;
    LLVMValueRef image, first, begin, end, slot;
    const LLVMValueRef *core_address;
    LLVMValueRef parts;      /* float sums of a block so far; NULL: the pass is the whole block */
    const ftso_ahead *ahead; /* asked for by the group at hand; NULL: nothing */
} pass;

/* The values at pixel `number` of a pass, channels from `channel` on. */
static ftso_pixel pixel_of(ftso_emitter *e, const pass *p, LLVMValueRef number,
                           LLVMValueRef channel)
{
    LLVMValueRef *cores = FTSO_ARRAY(e->arena, LLVMValueRef, e->core_count + 1);
    for (size_t i = 0; i < e->core_count; i++) {
        int64_t stored = ftso_emit_round(e, channels_of(e, e->cores[i]));
        if (p->epilogue->result_floats && i < e->region->core_count)
            stored = p->epilogue->result_floats;
        cores[i] = p->core_address[i]
                       ? ftso_emit_at(e, p->core_address[i], ftso_emit_mul(e, number, stored))
                       : NULL;
    }
    return (ftso_pixel){.image = p->image,
                        .number = ftso_emit_add(e, p->first, number),
                        .cores = e->cores,
                        .core_address = cores,
                        .core_count = e->core_count,
                        .kept_count = e->kept_count,
                        .in_block = LLVMBuildSub(e->builder, number, p->begin, ""),
                        .channel = channel};
}

static LLVMValueRef sum_term(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *reduction,
                             int64_t channel, LLVMValueRef sum)
{
    LLVMValueRef x = ftso_emit_channels(e, pixel, reduction->inputs[0], channel);
    if (reduction->input_count == 1) return LLVMBuildFAdd(e->builder, sum, x, "");
    return ftso_emit_fma(e, x, ftso_emit_channels(e, pixel, reduction->inputs[1], channel), sum);
}

/* Adds a float sum to its doubles in the slot. */
static void add_to_slot(ftso_emitter *e, LLVMValueRef sum, LLVMValueRef slot, LLVMValueRef channel,
                        int64_t offset)
{
    LLVMValueRef doubles = ftso_emit_at(e, slot, ftso_emit_i64(e, offset));
    LLVMValueRef at = LLVMBuildInBoundsGEP2(e->builder, e->f64, doubles, &channel, 1, "");
    LLVMValueRef old = LLVMBuildLoad2(e->builder, e->vector64, at, "");
    LLVMSetAlignment(old, 4);
    LLVMValueRef sum64 = LLVMBuildFPExt(e->builder, sum, e->vector64, "");
    LLVMSetAlignment(LLVMBuildStore(e->builder, LLVMBuildFAdd(e->builder, old, sum64, ""), at), 4);
}

/* Where the float sums of a block lie that reduction number `index` has so far. */
static LLVMValueRef part_at(ftso_emitter *e, const pass *p, size_t index, LLVMValueRef channel,
                            int64_t first)
{
    LLVMValueRef at = ftso_emit_i64(e, offset_of(e, p->epilogue, index) / DOUBLE_FLOATS + first);
    return ftso_emit_at(e, p->parts, channel ? ftso_emit_add(e, at, channel) : at);
}

/* Which channels of a group a loop over pixels takes: [channel + first, + vectors * V). `channel` NULL: none. */
typedef struct span {
    const group *g;
    LLVMValueRef channel;
    int64_t first;
    int vectors;
} span;

/* One pixel, or a vector of them: its images are stored, its terms added to `sums`. */
static void add_pixel(ftso_emitter *e, const pass *p, const span *c, LLVMValueRef number,
                      LLVMValueRef *sums)
{
    int64_t v = ftso_emit_unit(e);
    ftso_pixel pixel = pixel_of(e, p, number, c->channel);
    for (size_t i = 0; i < c->g->image_count; i++) {
        ftso_value image = c->g->images[i];
        ftso_shape shape = node_of(e, image)->shape;
        LLVMValueRef at =
            ftso_emit_add(e, ftso_emit_mul(e, p->image, shape.dim[2] * shape.dim[3]), pixel.number);
        at = ftso_emit_mul(e, at, ftso_emit_stored(e, image));
        if (c->channel) at = ftso_emit_add(e, at, c->channel);
        for (int k = 0; k < c->vectors; k++) {
            int64_t channel = c->first + (int64_t)k * v;
            ftso_emit_store_image(e, image, ftso_emit_add(e, at, ftso_emit_i64(e, channel)),
                                  ftso_emit_channels(e, &pixel, image, channel));
        }
    }
    for (size_t i = 0; i < c->g->sum_count; i++) {
        const ftso_node *reduction = node_of(e, p->epilogue->reductions[c->g->sums[i]]);
        for (int k = 0; k < c->vectors; k++) {
            LLVMValueRef *sum = &sums[(int)i * c->vectors + k];
            *sum = sum_term(e, &pixel, reduction, c->first + (int64_t)k * v, *sum);
        }
    }
}

static const ftso_asked nothing = {.pace = {0}};

/* Vectors of pixels that a round of a loop takes. */
static int pixels_at_once(const ftso_emitter *e, int vectors)
{
    return vectors <= NARROW_VECTORS && !e->kept_count ? PIXELS_AT_ONCE : 1;
}

/* Pixels [begin, end), `at_once` vectors of them in each round of a loop, which asks for a step's lines. */
static void add_pixels(ftso_emitter *e, const pass *p, const span *c, LLVMValueRef begin,
                       LLVMValueRef end, int at_once, const ftso_asked *asked, LLVMValueRef *sums)
{
    int count = (int)c->g->sum_count * c->vectors;
    int64_t pixels = (int64_t)at_once * e->pixels;
    ftso_loop loop;
    ftso_emit_loop(e, &loop, begin, end, pixels, false, sums, count);
    for (int i = 0; i < count; i++) sums[i] = loop.carried[i];
    if (asked->pace.images) {
        LLVMValueRef done = LLVMBuildSub(e->builder, loop.index, begin, "");
        ftso_ask(e, asked, LLVMBuildUDiv(e->builder, done, ftso_emit_i64(e, pixels), ""));
    }
    for (int64_t k = 0; k < pixels; k += e->pixels)
        add_pixel(e, p, c, ftso_emit_add(e, loop.index, ftso_emit_i64(e, k)), sums);
    ftso_emit_loop_end(e, &loop, sums);
    for (int i = 0; i < count; i++) sums[i] = loop.carried[i];
}

/* The float sums of a block of the pass's pixels [begin, end): from zero, or on from those of the block's part before. */
static void add_block(ftso_emitter *e, const pass *p, const span *c, LLVMValueRef begin,
                      LLVMValueRef end, const ftso_asked *asked)
{
    int64_t v = ftso_emit_unit(e);
    int count = (int)c->g->sum_count * c->vectors;
    LLVMValueRef sums[FTSO_MAX_CARRIED] = {NULL};
    for (int i = 0; i < count; i++)
        sums[i] = p->parts
                      ? ftso_emit_load_vector(e, part_at(e, p, c->g->sums[i / c->vectors],
                                                         c->channel, c->first + i % c->vectors * v))
                      : ftso_emit_splat_of(e, 0);
    int at_once = pixels_at_once(e, c->vectors);
    if (at_once > 1) {
        LLVMValueRef several = LLVMBuildAnd(e->builder, LLVMBuildSub(e->builder, end, begin, ""),
                                            ftso_emit_i64(e, -(int64_t)at_once * e->pixels), ""),
                     whole = ftso_emit_add(e, begin, several);
        add_pixels(e, p, c, begin, whole, at_once, asked, sums);
        begin = whole;
    }
    add_pixels(e, p, c, begin, end, 1, at_once > 1 ? &nothing : asked, sums);
    for (int i = 0; i < count; i++) {
        size_t index = c->g->sums[i / c->vectors];
        int64_t first = c->first + i % c->vectors * v;
        LLVMValueRef at = ftso_emit_i64(e, first);
        if (c->channel) at = ftso_emit_add(e, c->channel, at);
        if (p->parts)
            ftso_emit_store(e, sums[i], part_at(e, p, index, c->channel, first));
        else
            add_to_slot(e, sums[i], p->slot, at, offset_of(e, p->epilogue, index));
    }
}

/* What the block of pixels that begins with number `begin` of the pass asks for. */
static ftso_asked asked_of_block(ftso_emitter *e, const pass *p, LLVMValueRef begin, int vectors)
{
    if (!p->ahead) return nothing;
    int64_t block = (int64_t)FTSO_SUM_PIXELS * e->pixels,
            steps = FTSO_SUM_PIXELS / pixels_at_once(e, vectors),
            turns = ((int64_t)LLVMConstIntGetSExtValue(p->end) + block - 1) / block;
    LLVMValueRef turn = LLVMBuildUDiv(e->builder, begin, ftso_emit_i64(e, block), "");
    return ftso_ahead_turn(e, p->ahead, ftso_ahead_pace(p->ahead, turns, steps, MOST_ASKED), steps,
                           turn, e->scratch);
}

/* The pixels of the pass; where something is added up and the pass is not a block itself, block by block. */
static void run_chunk(ftso_emitter *e, const pass *p, const group *g, LLVMValueRef channel,
                      int64_t first, int vectors)
{
    span c = {g, channel, first, vectors};
    if (!g->sum_count || p->epilogue->kept_count) {
        add_block(e, p, &c, p->begin, p->end, &nothing);
        return;
    }
    ftso_loop blocks;
    int64_t pixels = (int64_t)FTSO_SUM_PIXELS * e->pixels;
    ftso_emit_loop(e, &blocks, p->begin, p->end, pixels, true, NULL, 0);
    ftso_asked asked = asked_of_block(e, p, blocks.index, vectors);
    add_block(
        e, p, &c, blocks.index,
        ftso_emit_min_i64(e, ftso_emit_add(e, blocks.index, ftso_emit_i64(e, pixels)), p->end),
        &asked);
    ftso_emit_loop_end(e, &blocks, NULL);
}

/* Vectors of channels that a pass of the group takes at once where they are not alike. */
static int wide_chunk(const group *g, int total)
{
    int room = FTSO_MAX_CARRIED / (int)(g->sum_count ? g->sum_count : 1);
    int wide = total < room ? total : room;
    return g->sum_count > 1 && wide > 8 ? 8 : wide;
}

/* How many sums a pass takes: with values kept, as many as registers hold for one vector of channels. */
static size_t most_sums(const ftso_emitter *e, const ftso_epilogue *epilogue)
{
    size_t fit = (size_t)e->target.vector_registers - 4;
    return epilogue->kept_count && fit < MAX_SUMS ? fit : MAX_SUMS;
}

/* Vectors of channels that a pass of the group takes at once: equal chunks where they are alike. */
static int chunk_of(const ftso_emitter *e, const ftso_epilogue *epilogue, const group *g)
{
    int total = (int)(ftso_emit_round(e, g->channels) / ftso_emit_unit(e));
    if (!g->uniform) return wide_chunk(g, total);
    int chunk = total, most = g->sum_count > FEW_SUMS ? MAX_CHUNK : WIDE_CHUNK;
    if (epilogue->kept_count)
        most = (int)(most_sums(e, epilogue) / (g->sum_count ? g->sum_count : 1));
    if (most > WIDE_CHUNK) most = WIDE_CHUNK;
    while (chunk > most || total % chunk) chunk--;
    return chunk;
}

/* Channel chunks of a group: a loop over equal chunks where expressions are uniform, else one after another. */
static void run_group(ftso_emitter *e, const pass *p, const group *g)
{
    int64_t v = ftso_emit_unit(e);
    int64_t stored = ftso_emit_round(e, g->channels);
    int total = (int)(stored / v), chunk = chunk_of(e, p->epilogue, g);
    if (!g->uniform) {
        for (int k = 0; k < total; k += chunk)
            run_chunk(e, p, g, NULL, (int64_t)k * v, total - k < chunk ? total - k : chunk);
        return;
    }
    if (chunk == total) {
        run_chunk(e, p, g, NULL, 0, total);
        return;
    }
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, stored), (int64_t)chunk * v,
                   true, NULL, 0);
    run_chunk(e, p, g, loop.index, 0, chunk);
    ftso_emit_loop_end(e, &loop, NULL);
}

/* A group over that many channels with room for one more image and sum; there is one for each output at the most. */
static group *group_for(ftso_emitter *e, const ftso_epilogue *epilogue, group *groups,
                        size_t *count, int64_t channels)
{
    for (size_t i = 0; i < *count; i++)
        if (groups[i].channels == channels && groups[i].image_count < MAX_IMAGES &&
            groups[i].sum_count < most_sums(e, epilogue))
            return &groups[i];
    groups[*count] = (group){.channels = channels, .uniform = true};
    return &groups[(*count)++];
}

/* From here on so many values lie in scratch: what was found out about the others holds no longer. */
static void use_kept(ftso_emitter *e, const ftso_epilogue *epilogue)
{
    memset(e->uniform, 0, e->schedule->graph->node_count);
    e->kept = epilogue ? epilogue->kept : NULL;
    e->kept_count = epilogue ? epilogue->kept_count : 0;
}

/* Whether the float sums of a block of pixels go on from one part of it to the next. */
static bool has_parts(const ftso_epilogue *epilogue)
{
    return epilogue->kept_count && epilogue->block_pixels < FTSO_SUM_PIXELS;
}

/* One of the region's cores, neither a lead nor a pool. */
static bool is_own_core(const ftso_emitter *e, ftso_value value)
{
    for (size_t i = 0; i < e->region->core_count; i++)
        if (e->region->cores[i] == value) return true;
    return false;
}

/* The outputs by their channels; returns how many groups they are. */
static size_t make_groups(ftso_emitter *e, const ftso_epilogue *epilogue, group *groups)
{
    size_t count = 0;
    for (size_t i = 0; i < e->region->write_count; i++) {
        ftso_value value = e->region->writes[i];
        if (node_of(e, value)->shape.rank != 4 || !node_of(e, value)->shape.batched) continue;
        if (epilogue->cores_stored && is_own_core(e, value)) continue;
        group *g = group_for(e, epilogue, groups, &count, channels_of(e, value));
        g->images[g->image_count++] = value;
        g->uniform = g->uniform && ftso_emit_is_uniform(e, value);
    }
    for (size_t i = 0; i < epilogue->reduction_count; i++) {
        const ftso_node *reduction = node_of(e, epilogue->reductions[i]);
        group *g = group_for(e, epilogue, groups, &count, channels_of(e, epilogue->reductions[i]));
        g->sums[g->sum_count++] = i;
        for (uint32_t k = 0; k < reduction->input_count; k++)
            g->uniform = g->uniform && ftso_emit_is_uniform(e, reduction->inputs[k]);
    }
    return count;
}

/*
 * Whether channels that have to be taken one by one make several passes over the pixels, or one whose sums are far more than
 * registers: each would be loaded and stored all the time.
 */
static bool is_uneven(ftso_emitter *e, const ftso_epilogue *epilogue)
{
    group *groups = FTSO_ARRAY(e->arena, group, e->region->write_count);
    size_t count = make_groups(e, epilogue, groups);
    int passes = 0, v = (int)ftso_emit_unit(e), most = FAR_MORE * e->target.vector_registers;
    for (size_t i = 0; i < count; i++) {
        int total = (int)(ftso_emit_round(e, groups[i].channels) / v),
            wide = wide_chunk(&groups[i], total);
        if (groups[i].uniform) continue;
        if ((int)groups[i].sum_count * wide > most) return true;
        passes += (total + wide - 1) / wide;
    }
    return passes > 1;
}

int64_t ftso_emit_epilogue_work(ftso_emitter *e, const ftso_epilogue *epilogue, int64_t pixels)
{
    group *groups = FTSO_ARRAY(e->arena, group, e->region->write_count);
    if (epilogue->kept_count || !make_groups(e, epilogue, groups) || !groups->sum_count) return 0;
    int chunk = chunk_of(e, epilogue, groups);
    if (chunk * ftso_emit_unit(e) != ftso_emit_round(e, groups->channels)) return 0;
    return pixels / e->pixels * chunk * VECTOR_WORK;
}

/* Whether a pass takes whole lines of each pixel, so that the vectors of a line are stored one right after the other. */
static bool takes_lines(ftso_emitter *e, const ftso_epilogue *epilogue)
{
    group *groups = FTSO_ARRAY(e->arena, group, e->region->write_count);
    size_t count = make_groups(e, epilogue, groups);
    if (ftso_emit_epilogue_is_core(e, epilogue))
        return false; /* which stores it, a vector at a time */
    for (size_t i = 0; i < count; i++)
        if (groups[i].image_count &&
            chunk_of(e, epilogue, &groups[i]) * e->target.vector_floats % FTSO_LINE_FLOATS)
            return false;
    return true;
}

int64_t ftso_emit_epilogue_place(ftso_emitter *e, ftso_epilogue *epilogue, int64_t scratch)
{
    /* several pixels' channels move within one vector as they are: nothing is kept for that */
    if (e->pixels == 1 && is_uneven(e, epilogue)) ftso_emit_choose_kept(e, epilogue, &scratch);
    e->takes_lines = takes_lines(e, epilogue);
    epilogue->parts_offset = scratch;
    return scratch + (has_parts(epilogue) ? epilogue->slot_floats / DOUBLE_FLOATS : 0);
}

/* Kept value number `index` of the pass's pixels, to scratch. */
static void keep(ftso_emitter *e, const pass *p, size_t index)
{
    ftso_value value = e->kept[index].value;
    int64_t v = e->target.vector_floats, stored = ftso_emit_round(e, channels_of(e, value));
    ftso_loop loop;
    ftso_emit_loop(e, &loop, p->begin, p->end, 1, true, NULL, 0);
    ftso_pixel pixel = pixel_of(e, p, loop.index, NULL);
    pixel.kept_count = index; /* those before it */
    for (int64_t c = 0; c < stored; c += v)
        ftso_emit_store(e, ftso_emit_channels(e, &pixel, value, c),
                        ftso_emit_kept_at(e, &pixel, index, c));
    ftso_emit_loop_end(e, &loop, NULL);
}

/* Opens a loop over the pass's pixels, so many at a time: the pass is of those from here on. */
static void begin_block(ftso_emitter *e, pass *p, ftso_loop *loop, int64_t pixels)
{
    LLVMValueRef end = p->end;
    ftso_emit_loop(e, loop, p->begin, end, pixels, true, NULL, 0);
    p->begin = loop->index;
    p->end = ftso_emit_min_i64(e, ftso_emit_add(e, p->begin, ftso_emit_i64(e, pixels)), end);
}

/* Loop over the float sums of a block, a vector at a time. */
static void each_part(ftso_emitter *e, const pass *p, ftso_loop *loop)
{
    ftso_emit_loop(e, loop, ftso_emit_i64(e, 0),
                   ftso_emit_i64(e, p->epilogue->slot_floats / DOUBLE_FLOATS),
                   e->target.vector_floats, true, NULL, 0);
}

static void clear_parts(ftso_emitter *e, pass *p)
{
    if (!p->epilogue->reduction_count) return;
    p->parts = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, p->epilogue->parts_offset));
    ftso_loop loop;
    each_part(e, p, &loop);
    ftso_emit_store(e, ftso_emit_splat_of(e, 0), ftso_emit_at(e, p->parts, loop.index));
    ftso_emit_loop_end(e, &loop, NULL);
}

static void flush_parts(ftso_emitter *e, const pass *p)
{
    if (!p->parts) return;
    ftso_loop loop;
    each_part(e, p, &loop);
    add_to_slot(e, ftso_emit_load_vector(e, ftso_emit_at(e, p->parts, loop.index)), p->slot,
                loop.index, 0);
    ftso_emit_loop_end(e, &loop, NULL);
}

void ftso_emit_epilogue_run(ftso_emitter *e, const ftso_epilogue *epilogue, LLVMValueRef image,
                            LLVMValueRef first, LLVMValueRef pixels,
                            const LLVMValueRef *core_address)
{
    group *groups = FTSO_ARRAY(e->arena, group, e->region->write_count);
    use_kept(e, epilogue);
    size_t count = make_groups(e, epilogue, groups);
    pass p = {.epilogue = epilogue,
              .image = image,
              .first = first,
              .begin = ftso_emit_i64(e, 0),
              .end = pixels,
              .core_address = core_address};
    if (epilogue->reduction_count) p.slot = slot_of(e, epilogue, e->item);
    ftso_loop blocks, parts;
    if (epilogue->kept_count) begin_block(e, &p, &blocks, FTSO_SUM_PIXELS);
    if (has_parts(epilogue)) {
        clear_parts(e, &p);
        begin_block(e, &p, &parts, epilogue->block_pixels);
    }
    for (size_t i = 0; i < e->kept_count; i++) keep(e, &p, i);
    for (size_t i = 0; i < count; i++) {
        p.ahead = i == 0 ? epilogue->ahead : NULL;
        run_group(e, &p, &groups[i]);
    }
    if (has_parts(epilogue)) {
        ftso_emit_loop_end(e, &parts, NULL);
        flush_parts(e, &p);
    }
    if (epilogue->kept_count) ftso_emit_loop_end(e, &blocks, NULL);
    use_kept(e, NULL);
}

/* ---------------------------------------------------------------- straight from registers */

enum { NO_CORE = -1, SEVERAL_CORES = -2, UNKNOWN_CORE = -3, MOST_DIRECT_NODES = 32 };

/* The number of the one core that the value follows from. `known` is by value, UNKNOWN_CORE before. */
static int core_of(const ftso_emitter *e, ftso_value value, int *known)
{
    if (known[value] != UNKNOWN_CORE) return known[value];
    const ftso_region *region = e->region;
    int found = NO_CORE;
    for (size_t i = 0; i < e->core_count; i++)
        if (e->cores[i] == value) return known[value] = (int)i;
    for (size_t i = 0; i < region->read_count; i++)
        if (region->reads[i] == value) return known[value] = NO_CORE;
    const ftso_node *node = node_of(e, value);
    for (uint32_t i = 0; i < ftso_node_needs(node); i++) {
        int of = core_of(e, node->inputs[i], known);
        if (of == NO_CORE || of == found) continue;
        found = found == NO_CORE ? of : SEVERAL_CORES;
    }
    return known[value] = found;
}

static int *unknown_cores(const ftso_emitter *e)
{
    size_t count = e->schedule->graph->node_count;
    int *known = FTSO_ARRAY(e->arena, int, count);
    for (size_t v = 0; v < count; v++) known[v] = UNKNOWN_CORE;
    return known;
}

bool ftso_emit_epilogue_is_direct(ftso_emitter *e, const ftso_epilogue *epilogue)
{
    const ftso_region *region = e->region;
    if (epilogue->reduction_count || region->node_count > MOST_DIRECT_NODES) return false;
    int *known = unknown_cores(e);
    for (size_t i = 0; i < region->write_count; i++) {
        ftso_value value = region->writes[i];
        if (!node_of(e, value)->shape.batched) continue; /* a gradient beside the cores */
        int core = core_of(e, value, known);
        if (core < 0 || (size_t)core >= region->core_count || !ftso_emit_is_uniform(e, value))
            return false;
        if (channels_of(e, value) != channels_of(e, region->cores[core])) return false;
    }
    return true;
}

bool ftso_emit_core_is_image(const ftso_emitter *e, ftso_value core)
{
    bool written = false;
    for (size_t i = 0; i < e->region->write_count; i++)
        written = written || e->region->writes[i] == core;
    return written && e->schedule->elements[core] == FTSO_ELEMENT_FP32 &&
           ftso_emit_stored(e, core) == ftso_emit_round(e, channels_of(e, core));
}

bool ftso_emit_epilogue_is_core(const ftso_emitter *e, const ftso_epilogue *epilogue)
{
    const ftso_region *region = e->region;
    if (region->core_count != 1 || epilogue->reduction_count || epilogue->kept_count) return false;
    ftso_value core = region->cores[0];
    for (size_t i = 0; i < region->write_count; i++)
        if (node_of(e, region->writes[i])->shape.batched && region->writes[i] != core) return false;
    return ftso_emit_core_is_image(e, core);
}

void ftso_emit_epilogue_direct(ftso_emitter *e, size_t core, LLVMValueRef image,
                               LLVMValueRef number, LLVMValueRef channel,
                               const LLVMValueRef *vectors, int count)
{
    const ftso_region *region = e->region;
    int *known = unknown_cores(e), v = e->target.vector_floats;
    ftso_pixel pixel = {.image = image,
                        .number = number,
                        .cores = &region->cores[core],
                        .core_vectors = vectors,
                        .core_count = 1,
                        .channel = channel};
    for (size_t i = 0; i < region->write_count; i++) {
        ftso_value value = region->writes[i];
        if (!node_of(e, value)->shape.batched || core_of(e, value, known) != (int)core) continue;
        ftso_shape shape = node_of(e, value)->shape;
        LLVMValueRef at =
            ftso_emit_add(e, ftso_emit_mul(e, image, shape.dim[2] * shape.dim[3]), number);
        at = ftso_emit_add(e, ftso_emit_mul(e, at, ftso_emit_stored(e, value)), channel);
        for (int k = 0; k < count; k++)
            ftso_emit_store_image(e, value, ftso_emit_add(e, at, ftso_emit_i64(e, (int64_t)k * v)),
                                  ftso_emit_channels(e, &pixel, value, (int64_t)k * v));
    }
}

/* ---------------------------------------------------------------- finish */

/* Sum over the items of V doubles at `offset` floats in their slots. */
static LLVMValueRef over_items(ftso_emitter *e, const ftso_epilogue *epilogue, LLVMValueRef items,
                               LLVMValueRef offset)
{
    LLVMValueRef zero = LLVMConstNull(e->vector64);
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), items, 1, true, &zero, 1);
    LLVMValueRef at = ftso_emit_at(e, slot_of(e, epilogue, loop.index), offset);
    LLVMValueRef part = LLVMBuildLoad2(e->builder, e->vector64, at, "");
    LLVMSetAlignment(part, 4);
    LLVMValueRef next = LLVMBuildFAdd(e->builder, loop.carried[0], part, "");
    ftso_emit_loop_end(e, &loop, &next);
    return loop.carried[0];
}

static void finish_vector(ftso_emitter *e, const ftso_epilogue *epilogue, LLVMValueRef items,
                          size_t index)
{
    int v = e->target.vector_floats;
    ftso_value value = epilogue->reductions[index];
    int64_t channels = channels_of(e, value), whole = channels / v * v,
            offset = offset_of(e, epilogue, index);
    if (whole) {
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), v, true, NULL, 0);
        LLVMValueRef from =
            ftso_emit_add(e, ftso_emit_mul(e, loop.index, DOUBLE_FLOATS), ftso_emit_i64(e, offset));
        LLVMValueRef sum =
            LLVMBuildFPTrunc(e->builder, over_items(e, epilogue, items, from), e->vector, "");
        ftso_emit_store(e, sum, ftso_emit_at(e, e->address[value], loop.index));
        ftso_emit_loop_end(e, &loop, NULL);
    }
    if (whole == channels) return;
    LLVMValueRef from = ftso_emit_i64(e, offset + DOUBLE_FLOATS * whole);
    LLVMValueRef sum = ftso_emit_fold(e, over_items(e, epilogue, items, from));
    sum = LLVMBuildFPTrunc(e->builder, sum, e->vector, "");
    ftso_emit_store_lanes(e, sum, ftso_emit_at(e, e->address[value], ftso_emit_i64(e, whole)),
                          channels - whole);
}

/* `dot`: lane after lane of every vector, in channel order. */
static void finish_scalar(ftso_emitter *e, const ftso_epilogue *epilogue, LLVMValueRef items,
                          size_t index)
{
    int v = e->target.vector_floats;
    ftso_value value = epilogue->reductions[index];
    int64_t channels = channels_of(e, value), offset = offset_of(e, epilogue, index);
    LLVMValueRef total = LLVMConstNull(e->f64);
    for (int64_t c = 0; c < channels; c += v) {
        LLVMValueRef sum = ftso_emit_fold(
            e, over_items(e, epilogue, items, ftso_emit_i64(e, offset + DOUBLE_FLOATS * c)));
        for (int64_t l = 0; l < v && c + l < channels; l++) {
            LLVMValueRef lane = LLVMBuildExtractElement(
                e->builder, sum, LLVMConstInt(e->i32, (unsigned)l, false), "");
            total = LLVMBuildFAdd(e->builder, total, lane, "");
        }
    }
    ftso_emit_store(e, LLVMBuildFPTrunc(e->builder, total, e->f32, ""), e->address[value]);
}

LLVMValueRef ftso_emit_item_count(ftso_emitter *e, int64_t images_per_item)
{
    LLVMValueRef more = ftso_emit_add(e, e->batch, ftso_emit_i64(e, images_per_item - 1));
    return LLVMBuildUDiv(e->builder, more, ftso_emit_i64(e, images_per_item), "");
}

void ftso_emit_epilogue_finish(ftso_emitter *e, const ftso_epilogue *epilogue,
                               int64_t images_per_item)
{
    if (epilogue->reduction_count == 0) return;
    LLVMValueRef items = ftso_emit_item_count(e, images_per_item);
    for (size_t i = 0; i < epilogue->reduction_count; i++) {
        if (node_of(e, epilogue->reductions[i])->shape.rank == 0)
            finish_scalar(e, epilogue, items, i);
        else
            finish_vector(e, epilogue, items, i);
    }
}

void ftso_emit_frame_finish(ftso_emitter *e, const ftso_epilogue *epilogue, const char *symbol,
                            int64_t images_per_item, int64_t planned_batch,
                            ftso_launch_shape *out_shape)
{
    int64_t items = (planned_batch + images_per_item - 1) / images_per_item;
    out_shape->images_per_item = images_per_item;
    out_shape->shared_bytes = 4 * (epilogue->shared_offset + items * epilogue->slot_floats);
    if (epilogue->reduction_count == 0) return;
    ftso_emit_function(e, symbol, "finish");
    ftso_emit_epilogue_finish(e, epilogue, images_per_item);
    ftso_emit_return(e);
    out_shape->has_finish = true;
    out_shape->finish_items = 1;
}
