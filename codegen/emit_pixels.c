/*
 * Pointwise expressions: a node of the graph at one pixel, a vector of channels at a time.
 * Holds: lanes past the last channel may hold anything; a value's memory is never read in front of its start.
 */
#include "codegen/emit_llvm.h"

#include <string.h>

typedef struct ftso_pixel_memo {
    const ftso_node *node;
    int stage;
    int64_t first;
    LLVMValueRef result;
} ftso_pixel_memo;

/* Allows a product and a sum to become one multiply-add. */
static LLVMValueRef contracted(LLVMValueRef value)
{
    if (LLVMIsAInstruction(value)) LLVMSetFastMathFlags(value, LLVMFastMathAllowContract);
    return value;
}

/* ---------------------------------------------------------------- arithmetic, scalars or vectors alike */

static LLVMValueRef number_like(ftso_emitter *e, LLVMValueRef like, double value)
{
    return LLVMGetTypeKind(LLVMTypeOf(like)) == LLVMVectorTypeKind ? ftso_emit_splat_of(e, value)
                                                                   : ftso_emit_f32(e, value);
}

typedef LLVMValueRef (*arithmetic)(ftso_emitter *e, const ftso_node *node, LLVMValueRef a,
                                   LLVMValueRef b);

static LLVMValueRef do_add(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    return contracted(LLVMBuildFAdd(e->builder, a, b, ""));
}

static LLVMValueRef do_sub(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    return contracted(LLVMBuildFSub(e->builder, a, b, ""));
}

static LLVMValueRef do_mul(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    return contracted(LLVMBuildFMul(e->builder, a, b, ""));
}

static LLVMValueRef do_div(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    return LLVMBuildFDiv(e->builder, a, b, "");
}

static LLVMValueRef do_min(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    return LLVMBuildSelect(e->builder, LLVMBuildFCmp(e->builder, LLVMRealOLT, a, b, ""), a, b, "");
}

static LLVMValueRef do_max(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    return LLVMBuildSelect(e->builder, LLVMBuildFCmp(e->builder, LLVMRealOGT, a, b, ""), a, b, "");
}

static LLVMValueRef do_sqrt(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)node;
    (void)b;
    return ftso_emit_intrinsic(e, "sqrt", a, NULL);
}

static LLVMValueRef do_rsqrt(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)b;
    LLVMValueRef shifted =
        do_max(e, node, a, number_like(e, a, 0)); /* a rounded variance may be below zero */
    shifted =
        LLVMBuildFAdd(e->builder, shifted, number_like(e, a, ftso_node_real(node, "eps")), "");
    return LLVMBuildFDiv(e->builder, number_like(e, a, 1),
                         ftso_emit_intrinsic(e, "sqrt", shifted, NULL), "");
}

static LLVMValueRef do_relu(ftso_emitter *e, const ftso_node *node, LLVMValueRef a, LLVMValueRef b)
{
    (void)b;
    return do_max(e, node, a, number_like(e, a, 0));
}

static LLVMValueRef do_relu_mask(ftso_emitter *e, const ftso_node *node, LLVMValueRef a,
                                 LLVMValueRef b)
{
    (void)node;
    LLVMValueRef zero = number_like(e, a, 0);
    return LLVMBuildSelect(e->builder, LLVMBuildFCmp(e->builder, LLVMRealOGT, b, zero, ""), a, zero,
                           "");
}

/* channel_mul, scale and the like are products whose second operand was spread before. */
static const struct {
    const char *name;
    arithmetic emit;
} table[] = {{"add", do_add},         {"sub", do_sub},
             {"mul", do_mul},         {"div", do_div},
             {"min", do_min},         {"max", do_max},
             {"sqrt", do_sqrt},       {"rsqrt", do_rsqrt},
             {"relu", do_relu},       {"relu_mask", do_relu_mask},
             {"scale", do_mul},       {"channel_mul", do_mul},
             {"channel_add", do_add}, {"sample_mul", do_mul}};

LLVMValueRef ftso_emit_arithmetic(ftso_emitter *e, const ftso_node *node,
                                  const LLVMValueRef *operands, uint32_t count)
{
    for (size_t i = 0; i < FTSO_COUNT(table); i++) {
        if (!ftso_node_is(node, table[i].name)) continue;
        LLVMValueRef result = operands[0];
        if (count < 2)
            return ftso_node_is(node, "add") ? result : table[i].emit(e, node, result, NULL);
        for (uint32_t k = 1; k < count; k++) result = table[i].emit(e, node, result, operands[k]);
        return result;
    }
    return NULL;
}

/* ---------------------------------------------------------------- channels */

/* What ftso_emitter.uniform says of a value, once somebody asked. */
enum { IS_UNIFORM = 1, MOVES_CHANNELS };

static LLVMValueRef compute(ftso_emitter *e, ftso_pixel *pixel, ftso_value value, int64_t first);

bool ftso_emit_is_core(const ftso_emitter *e, ftso_value value)
{
    for (size_t i = 0; i < e->core_count; i++)
        if (e->cores[i] == value) return true;
    return false;
}

static LLVMValueRef with_channel(ftso_emitter *e, const ftso_pixel *pixel, int64_t first)
{
    LLVMValueRef constant = ftso_emit_i64(e, first);
    return pixel->channel ? ftso_emit_add(e, pixel->channel, constant) : constant;
}

/* Lane l of the result is lane lanes[l] of `from`, or stays `into`'s where lanes[l] is negative. */
static LLVMValueRef merge(ftso_emitter *e, LLVMValueRef into, LLVMValueRef from, const int *lanes)
{
    int v = e->target.vector_floats;
    LLVMValueRef mask[64];
    bool whole = true;
    for (int l = 0; l < v; l++) {
        mask[l] = LLVMConstInt(e->i32, (unsigned)(lanes[l] < 0 ? l : v + lanes[l]), false);
        whole = whole && lanes[l] == l;
    }
    return whole ? from
                 : LLVMBuildShuffleVector(e->builder, into, from,
                                          LLVMConstVector(mask, (unsigned)v), "");
}

/* Each pixel's channels sources[l] of `value`; a negative source leaves the lane zero. */
static LLVMValueRef gather(ftso_emitter *e, ftso_pixel *pixel, ftso_value value,
                           const int64_t *sources)
{
    int v = e->target.vector_floats, unit = (int)ftso_emit_unit(e), lanes[64];
    bool done[64] = {false};
    LLVMValueRef result = ftso_emit_splat_of(e, 0);
    for (int l = 0; l < unit; l++) {
        if (done[l] || sources[l] < 0) continue;
        int64_t group = sources[l] / unit;
        for (int m = 0; m < v; m++) {
            int64_t from = sources[m % unit];
            bool in = from >= 0 && from / unit == group;
            lanes[m] = in ? m / unit * unit + (int)(from % unit) : -1;
            done[m % unit] = done[m % unit] || in;
        }
        result = merge(e, result, ftso_emit_channels(e, pixel, value, group * unit), lanes);
    }
    return result;
}

static LLVMValueRef do_shuffle(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                               int64_t first)
{
    LLVMValueRef rotated = e->pixels == 1 ? ftso_emit_rotated(e, pixel, node, first) : NULL;
    if (rotated) return rotated;
    int64_t channels = node->shape.dim[1], groups = ftso_node_int(node, "groups"), sources[64];
    int64_t order = ftso_shuffle_order(channels, groups);
    int64_t power = (ftso_node_int(node, "power") % order + order) % order;
    for (int l = 0; l < ftso_emit_unit(e); l++) {
        sources[l] = first + l < channels ? first + l : -1;
        for (int64_t p = 0; p < power && sources[l] >= 0; p++)
            sources[l] = (sources[l] % groups) * (channels / groups) + sources[l] / groups;
    }
    return gather(e, pixel, node->inputs[0], sources);
}

/* Each pixel's channels [first, first + unit) of a value laid behind others at `offset`: lanes in front of it are not its own. */
static LLVMValueRef place_part(ftso_emitter *e, ftso_pixel *pixel, LLVMValueRef into,
                               ftso_value part, int64_t offset, int64_t count, int64_t first)
{
    int v = e->target.vector_floats, unit = (int)ftso_emit_unit(e), lanes[64];
    int64_t start = first - offset; /* channel of the part in lane 0 */
    if (start >= count || start + unit <= 0) return into;
    for (int l = 0; l < v; l++) {
        int64_t channel = start + l % unit;
        bool in = channel >= 0 && channel < count;
        lanes[l] = !in ? -1 : start >= 0 ? l : l / unit * unit + (int)channel;
    }
    return merge(e, into, ftso_emit_channels(e, pixel, part, start >= 0 ? start : 0), lanes);
}

static LLVMValueRef do_concat(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                              int64_t first)
{
    LLVMValueRef result = LLVMGetUndef(e->vector);
    int64_t offset = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        int64_t count = ftso_graph_shape(e->schedule->graph, node->inputs[i]).dim[1];
        result = place_part(e, pixel, result, node->inputs[i], offset, count, first);
        offset += count;
    }
    return result;
}

static LLVMValueRef do_embed(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                             int64_t first)
{
    int64_t count = ftso_graph_shape(e->schedule->graph, node->inputs[0]).dim[1];
    return place_part(e, pixel, ftso_emit_splat_of(e, 0), node->inputs[0],
                      ftso_node_int(node, "begin"), count, first);
}

/* The last channels of an image are taken from the last whole vector of a pixel: behind it lies the next pixel's line. */
static LLVMValueRef do_slice(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                             int64_t first)
{
    ftso_value of = node->inputs[0];
    int64_t v = e->target.vector_floats, last = ftso_emit_stored(e, of) - v;
    first += ftso_node_int(node, "begin");
    if (e->pixels > 1 || pixel->channel || last < 0 || first <= last)
        return ftso_emit_channels(e, pixel, of, first);
    int lanes[64];
    for (int l = 0; l < v; l++) lanes[l] = first + l < last + v ? (int)(first - last) + l : -1;
    return merge(e, ftso_emit_splat_of(e, 0), ftso_emit_channels(e, pixel, of, last), lanes);
}

static bool by_whole_vectors(const ftso_emitter *e, const ftso_node *node)
{
    return ftso_node_is(node, "slice") &&
           ftso_node_int(node, "begin") % e->target.vector_floats == 0;
}

/* Operators that move channels. */
static const struct {
    const char *name;
    LLVMValueRef (*emit)(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node, int64_t first);
} movers[] = {
    {"shuffle", do_shuffle}, {"concat", do_concat}, {"embed", do_embed}, {"slice", do_slice}};

bool ftso_emit_moves_channels(const ftso_node *node)
{
    for (size_t i = 0; i < FTSO_COUNT(movers); i++)
        if (ftso_node_is(node, movers[i].name)) return true;
    return false;
}

bool ftso_emit_is_at_hand(const ftso_emitter *e, ftso_value value)
{
    if (ftso_emit_is_core(e, value) ||
        ftso_value_role(e->schedule->graph, value) != FTSO_ROLE_POINTWISE)
        return true;
    for (size_t i = 0; i < e->kept_count; i++)
        if (e->kept[i].value == value) return true;
    for (size_t i = 0; i < e->region->read_count; i++)
        if (e->region->reads[i] == value) return true;
    return false;
}

static bool find_uniform(const ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = ftso_graph_node(e->schedule->graph, value);
    if (ftso_emit_is_at_hand(e, value)) return true;
    if (ftso_emit_moves_channels(node) && !by_whole_vectors(e, node)) return false;
    for (uint32_t i = 0; i < ftso_node_needs(node); i++)
        if (!ftso_emit_is_uniform(e, node->inputs[i])) return false;
    return true;
}

bool ftso_emit_is_uniform(const ftso_emitter *e, ftso_value value)
{
    uint8_t *known = &e->uniform[value];
    if (!*known) *known = find_uniform(e, value) ? IS_UNIFORM : MOVES_CHANNELS;
    return *known == IS_UNIFORM;
}

/* The channels of one pixel. */
static LLVMValueRef load_unit(ftso_emitter *e, LLVMValueRef address)
{
    LLVMTypeRef type = LLVMVectorType(e->f32, (unsigned)ftso_emit_unit(e));
    LLVMValueRef unit = LLVMBuildLoad2(e->builder, type, address, "");
    LLVMSetAlignment(unit, 4);
    return unit;
}

/* An operand of a pointwise node, spread to a vector of channels: image, vector, scalar or mask. */
static LLVMValueRef operand(ftso_emitter *e, ftso_pixel *pixel, ftso_value value, int64_t first)
{
    const ftso_node *node = ftso_graph_node(e->schedule->graph, value);
    if (ftso_node_is(node, "constant")) return ftso_emit_splat_of(e, ftso_node_real(node, "value"));
    if (node->shape.rank == 4) return ftso_emit_channels(e, pixel, value, first);
    LLVMValueRef address = e->address[value];
    FTSO_ASSERT(address);
    if (node->shape.rank == 0)
        return ftso_emit_splat(e, ftso_emit_from_reads(e, ftso_emit_load(e, address)));
    if (node->shape.batched) {
        LLVMValueRef at = pixel->image;
        if (ftso_node_is(node, "column"))
            at = ftso_emit_mul(e, at, ftso_emit_stored(e, node->inputs[0]));
        return ftso_emit_splat(
            e, ftso_emit_from_reads(e, ftso_emit_load(e, ftso_emit_at(e, address, at))));
    }
    address = ftso_emit_at(e, address, with_channel(e, pixel, first));
    if (e->pixels == 1) return ftso_emit_from_reads(e, ftso_emit_load_vector(e, address));
    return ftso_emit_for_pixels(e, ftso_emit_from_reads(e, load_unit(e, address)));
}

LLVMValueRef ftso_emit_with_pixel(ftso_emitter *e, LLVMValueRef into, LLVMValueRef from, int p)
{
    int unit = (int)ftso_emit_unit(e), lanes[64];
    for (int l = 0; l < e->target.vector_floats; l++) lanes[l] = l / unit == p ? l % unit : -1;
    return merge(e, into, from, lanes);
}

static LLVMValueRef load_image(ftso_emitter *e, ftso_pixel *pixel, ftso_value value, int64_t first)
{
    ftso_shape shape = ftso_graph_shape(e->schedule->graph, value);
    int64_t stored = ftso_emit_stored(e, value);
    LLVMValueRef number = ftso_emit_add(
        e, ftso_emit_mul(e, pixel->image, shape.dim[2] * shape.dim[3]), pixel->number);
    LLVMValueRef at =
        ftso_emit_add(e, ftso_emit_mul(e, number, stored), with_channel(e, pixel, first));
    if (e->pixels == 1 || stored == ftso_emit_unit(e)) return ftso_emit_load_image(e, value, at);
    /* some channels of a wider image: pixel by pixel */
    LLVMValueRef all = NULL;
    for (int p = 0; p < e->pixels; p++) {
        LLVMValueRef own =
            ftso_emit_load_image(e, value, ftso_emit_add(e, at, ftso_emit_i64(e, p * stored)));
        all = all ? ftso_emit_with_pixel(e, all, own, p) : own;
    }
    return all;
}

/* The result of core number `core`, from registers or scratch. */
static LLVMValueRef result_of(ftso_emitter *e, const ftso_pixel *pixel, size_t core, int64_t first)
{
    if (pixel->core_vectors) return pixel->core_vectors[first / e->target.vector_floats];
    LLVMValueRef address = pixel->core_address[core];
    if (!address) return ftso_emit_splat_of(e, -0.0); /* what adding it changes: nothing */
    return ftso_emit_load_vector(e, ftso_emit_at(e, address, with_channel(e, pixel, first)));
}

/* What varies goes into the address first: the rest is then a displacement, the same register for all that is kept. */
LLVMValueRef ftso_emit_kept_at(ftso_emitter *e, const ftso_pixel *pixel, size_t kept, int64_t first)
{
    const ftso_kept *k = &e->kept[kept];
    int64_t stored = ftso_emit_round(e, ftso_graph_shape(e->schedule->graph, k->value).dim[1]);
    LLVMValueRef at = ftso_emit_mul(e, pixel->in_block, stored);
    if (pixel->channel) at = ftso_emit_add(e, at, pixel->channel);
    return ftso_emit_at(e, ftso_emit_at(e, e->scratch, at), ftso_emit_i64(e, k->offset + first));
}

static LLVMValueRef compute(ftso_emitter *e, ftso_pixel *pixel, ftso_value value, int64_t first)
{
    for (size_t i = 0; i < pixel->core_count; i++)
        if (pixel->cores[i] == value)
            return ftso_emit_as_stored(e, value, result_of(e, pixel, i, first));
    for (size_t i = 0; i < pixel->kept_count; i++)
        if (e->kept[i].value == value)
            return ftso_emit_load_vector(e, ftso_emit_kept_at(e, pixel, i, first));
    const ftso_node *node = ftso_graph_node(e->schedule->graph, value);
    if (ftso_node_is(node, "constant")) return ftso_emit_splat_of(e, ftso_node_real(node, "value"));
    if (ftso_node_is(node, "zero")) return ftso_emit_splat_of(e, 0);
    for (size_t i = 0; i < e->region->read_count; i++)
        if (e->region->reads[i] == value) return load_image(e, pixel, value, first);
    for (size_t i = 0; i < FTSO_COUNT(movers); i++) {
        if (!ftso_node_is(node, movers[i].name)) continue;
        FTSO_ASSERT(!pixel->channel || by_whole_vectors(e, node));
        return ftso_emit_as_stored(e, value, movers[i].emit(e, pixel, node, first));
    }
    LLVMValueRef few[8], *operands = few;
    if (node->input_count > FTSO_COUNT(few))
        operands = FTSO_ARRAY(e->arena, LLVMValueRef, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++)
        operands[i] = operand(e, pixel, node->inputs[i], first);
    LLVMValueRef result = ftso_emit_arithmetic(e, node, operands, node->input_count);
    FTSO_ASSERT(result);
    return ftso_emit_as_stored(e, value, result);
}

LLVMValueRef ftso_pixel_recall(const ftso_pixel *pixel, const ftso_node *node, int stage,
                               int64_t first)
{
    for (size_t i = 0; i < pixel->memo_count; i++) {
        const ftso_pixel_memo *memo = &pixel->memo[i];
        if (memo->node == node && memo->stage == stage && memo->first == first) return memo->result;
    }
    return NULL;
}

LLVMValueRef ftso_pixel_remember(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                                 int stage, int64_t first, LLVMValueRef result)
{
    ftso_pixel_memo entry = {node, stage, first, result};
    FTSO_PUSH(e->arena, pixel->memo, pixel->memo_count, pixel->memo_capacity, entry);
    return result;
}

LLVMValueRef ftso_emit_channels(ftso_emitter *e, ftso_pixel *pixel, ftso_value value, int64_t first)
{
    const ftso_node *node = ftso_graph_node(e->schedule->graph, value);
    LLVMValueRef known = ftso_pixel_recall(pixel, node, 0, first);
    return known ? known
                 : ftso_pixel_remember(e, pixel, node, 0, first, compute(e, pixel, value, first));
}

/* ---------------------------------------------------------------- tiles */

/* Pixels of a few vectors are made several at once: a loop's own work would be most of it. */
enum { UNROLLED_VECTORS = 8, NARROW_VECTORS = 2, PIXELS_AT_ONCE = 4 };

/* All channels of the tile's value at one pixel of the map, to `to`. */
static void tile_pixel(ftso_emitter *e, const ftso_tile *tile, LLVMValueRef number, LLVMValueRef to)
{
    int64_t v = ftso_emit_unit(e);
    int64_t stored = ftso_emit_round(e, ftso_graph_shape(e->schedule->graph, tile->value).dim[1]);
    ftso_pixel pixel = {.image = tile->image, .number = number};
    if (stored / v > UNROLLED_VECTORS && ftso_emit_is_uniform(e, tile->value)) {
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, stored), v, true, NULL, 0);
        pixel.channel = loop.index;
        ftso_emit_store(e, ftso_emit_channels(e, &pixel, tile->value, 0),
                        ftso_emit_at(e, to, loop.index));
        ftso_emit_loop_end(e, &loop, NULL);
        return;
    }
    for (int64_t c = 0; c < stored; c += v)
        ftso_emit_store(e, ftso_emit_channels(e, &pixel, tile->value, c),
                        ftso_emit_at(e, to, ftso_emit_i64(e, c)));
}

/* `count` pixels (or vectors of them) of a row of the map that begins with number `first`, from tile column `column` on, to the
 * row at `to`. */
static void tile_pixels(ftso_emitter *e, const ftso_tile *tile, LLVMValueRef first, LLVMValueRef to,
                        LLVMValueRef column, int count)
{
    int64_t stored = ftso_emit_round(e, ftso_graph_shape(e->schedule->graph, tile->value).dim[1]);
    LLVMValueRef number = ftso_emit_add(e, first, ftso_emit_mul(e, column, tile->step));
    to = ftso_emit_at(e, to, ftso_emit_mul(e, column, stored));
    for (int64_t k = 0; k < (int64_t)count * e->pixels; k += e->pixels)
        tile_pixel(e, tile,
                   ftso_emit_add(e, number, ftso_emit_i64(e, tile->column + k * tile->step)),
                   ftso_emit_at(e, to, ftso_emit_i64(e, k * stored)));
}

/* First tile column at or after `from` whose pixel lies at map column `bound` or later. */
static int64_t columns_before(const ftso_tile *tile, int64_t bound)
{
    int64_t distance = bound - tile->column;
    int64_t count = distance <= 0 ? 0 : (distance + tile->step - 1) / tile->step;
    return count > tile->columns ? tile->columns : count;
}

void ftso_emit_tile(ftso_emitter *e, const ftso_tile *tile)
{
    ftso_shape shape = ftso_graph_shape(e->schedule->graph, tile->value);
    int64_t height = shape.dim[2], width = shape.dim[3], stored = ftso_emit_round(e, shape.dim[1]);
    int64_t left = columns_before(tile, 0), right = columns_before(tile, width);
    ftso_loop rows;
    ftso_emit_loop(e, &rows, ftso_emit_i64(e, 0),
                   tile->row_count ? tile->row_count : ftso_emit_i64(e, tile->rows), 1,
                   !tile->row_count, NULL, 0);
    LLVMValueRef row = ftso_emit_add(e, tile->row, ftso_emit_mul(e, rows.index, tile->step));
    LLVMValueRef to =
        ftso_emit_at(e, tile->address, ftso_emit_mul(e, rows.index, tile->columns * stored));
    LLVMValueRef inside = LLVMBuildICmp(e->builder, LLVMIntULT, row, ftso_emit_i64(e, height), "");
    ftso_if in, out;
    ftso_emit_if(e, &in, inside);
    ftso_emit_fill(e, to, left * stored, tile->outside);
    LLVMValueRef first = ftso_emit_mul(e, row, width);
    int at_once = stored <= NARROW_VECTORS * e->target.vector_floats ? PIXELS_AT_ONCE : 1;
    int64_t step = (int64_t)at_once * e->pixels, whole = left + (right - left) / step * step;
    FTSO_ASSERT(e->pixels == 1 || tile->step == 1);
    if (whole > left) {
        ftso_loop columns;
        ftso_emit_loop(e, &columns, ftso_emit_i64(e, left), ftso_emit_i64(e, whole), step, true,
                       NULL, 0);
        tile_pixels(e, tile, first, to, columns.index, at_once);
        ftso_emit_loop_end(e, &columns, NULL);
    }
    int64_t rest = (right - whole) / e->pixels;
    tile_pixels(e, tile, first, to, ftso_emit_i64(e, whole), (int)rest);
    /* A window that leaves out some columns: a vector that ends with the row's last pixel, or goes on into what is filled, or
     * made, after it. */
    int64_t last = right - e->pixels > left ? right - e->pixels : left;
    if (whole + rest * e->pixels < right)
        tile_pixels(e, tile, first, to, ftso_emit_i64(e, last), 1);
    ftso_emit_fill(e, ftso_emit_at(e, to, ftso_emit_i64(e, right * stored)),
                   (tile->columns - right) * stored, tile->outside);
    ftso_emit_if_end(e, &in);
    if (!tile->inside_only) {
        ftso_emit_if(e, &out, LLVMBuildNot(e->builder, inside, ""));
        ftso_emit_fill(e, to, tile->columns * stored, tile->outside);
        ftso_emit_if_end(e, &out);
    }
    ftso_emit_loop_end(e, &rows, NULL);
}
