/*
 * Channel shuffles as networks: where channels are a power of two, a shuffle is a rotation of the bits of the channel's number.
 *
 * Positions are those bits: the low ones number the lane, the others the vector. A step permutes positions and takes one machine
 * instruction a vector: unpack, shuffle of pairs, exchange of halves, or a vector's own lanes in any order; where a target permutes
 * two vectors at will, the exchange of any lane's bit, and the last step puts all lanes in order. What is in the upper bits is a
 * matter of names and costs nothing. The shortest sequence of steps is looked for; vectors between two steps are evaluated once a
 * pixel.
 * Must hold: lanes move, no arithmetic is done; any sequence gives the same bits.
 */
#include "codegen/emit_llvm.h"

enum { MAX_BITS = 12, MAX_STEPS = 5, MAX_KINDS = 8 };

/* What moves: position p of the result holds what position from[p] held. */
typedef struct step {
    int8_t from[MAX_BITS];
} step;

typedef struct ftso_rotation {
    int bits, lane_bits, by; /* the bits of a channel's number, and how far they are rotated up */
    bool at_will;            /* lanes of two vectors in any order are one step */
    bool found;
    int count;
    step steps[MAX_STEPS];
    int8_t held[MAX_BITS]; /* behind the steps: the source's bit at each position */
    struct ftso_rotation *next;
} rotation;

static int log2_of(int64_t n)
{
    int bits = 0;
    while (n > 1 && n % 2 == 0) n /= 2, bits++;
    return n == 1 ? bits : -1;
}

/* The steps that bring vector bit v into the lanes, one instruction each on any machine with vectors of 2^lane_bits. */
static int kinds_of(const rotation *n, int v, step *out)
{
    int count = 0, bits = n->bits, lane_bits = n->lane_bits;
    step same;
    for (int p = 0; p < bits; p++) same.from[p] = (int8_t)p;
    if (lane_bits >= 2 && !n->at_will) {
        step unpack = same, pairs = same, halves = same;
        unpack.from[0] = (int8_t)v, unpack.from[1] = 0, unpack.from[v] = 1;
        pairs.from[0] = 1, pairs.from[1] = (int8_t)v, pairs.from[v] = 0;
        halves.from[1] = (int8_t)v, halves.from[v] = 1;
        out[count++] = unpack;
        out[count++] = pairs;
        out[count++] = halves;
    }
    for (int l = n->at_will ? 0 : 2; l < lane_bits; l++) {
        step exchange = same;
        exchange.from[l] = (int8_t)v, exchange.from[v] = (int8_t)l;
        out[count++] = exchange;
    }
    FTSO_ASSERT(count <= MAX_KINDS);
    return count;
}

/* Where what position p holds belongs. */
static int goal_of(const rotation *n, int p)
{
    return (n->held[p] + n->by) % n->bits;
}

/* Whether the bits that belong into the lanes are there: each in its place, or in any order. */
static bool in_lanes(const rotation *n, bool any_order)
{
    for (int p = 0; p < n->lane_bits; p++)
        if (any_order ? goal_of(n, p) >= n->lane_bits : goal_of(n, p) != p) return false;
    return true;
}

/* The last step leaves all lanes in order. */
static void order_lanes(rotation *n)
{
    const rotation found = *n;
    int last = n->count - 1;
    for (int p = 0; p < n->lane_bits; p++) {
        int to = goal_of(&found, p);
        n->steps[last].from[to] = found.steps[last].from[p];
        n->held[to] = found.held[p];
    }
}

/* A step that changes nothing. */
static void add_step(rotation *n)
{
    step *added = &n->steps[n->count++];
    for (int p = 0; p < n->bits; p++) added->from[p] = (int8_t)p;
}

/* Whether so many steps more bring the bits that belong into lanes there. */
static bool find_steps(rotation *n, int most, bool any_order)
{
    if (in_lanes(n, any_order)) return true;
    if (most == 0) return false;
    for (int v = n->lane_bits; v < n->bits; v++) {
        if (goal_of(n, v) >= n->lane_bits) continue;
        step kinds[MAX_KINDS];
        int count = kinds_of(n, v, kinds);
        for (int k = 0; k < count; k++) {
            rotation next = *n;
            for (int p = 0; p < n->bits; p++) next.held[p] = n->held[kinds[k].from[p]];
            next.steps[next.count++] = kinds[k];
            if (!find_steps(&next, most - 1, any_order)) continue;
            *n = next;
            return true;
        }
    }
    return false;
}

/* The network for that rotation, looked for once; NULL where there is none that is worth it. */
static const rotation *rotation_for(ftso_emitter *e, int bits, int lane_bits, int by)
{
    for (const rotation *n = e->rotations; n; n = n->next)
        if (n->bits == bits && n->by == by) return n->found ? n : NULL;
    rotation *n = FTSO_ARRAY(e->arena, rotation, 1);
    *n = (rotation){.bits = bits,
                    .lane_bits = lane_bits,
                    .by = by,
                    .at_will = e->target.permutes_two,
                    .next = e->rotations};
    e->rotations = n;
    for (int p = 0; p < bits; p++) n->held[p] = (int8_t)p;
    for (int most = 0; !n->found && most <= MAX_STEPS; most++)
        n->found = find_steps(n, most, n->at_will) || (most && find_steps(n, most - 1, true));
    if (n->found && !in_lanes(n, false)) {
        if (!n->at_will) add_step(n);
        order_lanes(n);
    }
    return n->found ? n : NULL;
}

/* Vector `number` behind so many of the network's steps, each of which takes lanes of one or two vectors. */
static LLVMValueRef behind(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                           const rotation *n, int steps, int64_t number)
{
    int v = e->target.vector_floats;
    if (steps == 0) return ftso_emit_channels(e, pixel, node->inputs[0], number * v);
    LLVMValueRef known = ftso_pixel_recall(pixel, node, steps, number);
    if (known) return known;
    const int8_t *from = n->steps[steps - 1].from;
    int64_t sources[2] = {-1, -1};
    LLVMValueRef mask[64], of[2];
    for (int lane = 0; lane < v; lane++) {
        int64_t to = number * v + lane, source = 0;
        for (int p = 0; p < n->bits; p++) source |= (to >> p & 1) << from[p];
        int which = sources[0] < 0 || sources[0] == source / v ? 0 : 1;
        FTSO_ASSERT(sources[which] < 0 || sources[which] == source / v);
        sources[which] = source / v;
        mask[lane] = LLVMConstInt(e->i32, (unsigned)(which * v + source % v), false);
    }
    for (int i = 0; i < 2; i++) {
        of[i] = LLVMGetUndef(e->vector);
        if (sources[i] < 0) continue;
        of[i] = behind(e, pixel, node, n, steps - 1, sources[i]);
        /* else LLVM makes one step of two that take the same vectors, and more instructions of that than these have */
        if (steps > 1 && !n->at_will)
            of[i] = ftso_emit_intrinsic(e, "arithmetic.fence", of[i], NULL);
    }
    return ftso_pixel_remember(
        e, pixel, node, steps, number,
        LLVMBuildShuffleVector(e->builder, of[0], of[1], LLVMConstVector(mask, (unsigned)v), ""));
}

LLVMValueRef ftso_emit_rotated(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                               int64_t first)
{
    int64_t v = e->target.vector_floats;
    int bits = log2_of(node->shape.dim[1]), lane_bits = log2_of(v),
        group_bits = log2_of(ftso_node_int(node, "groups"));
    if (group_bits <= 0 || bits <= lane_bits || bits > MAX_BITS || first % v) return NULL;
    int by = (int)((ftso_node_int(node, "power") * group_bits % bits + bits) % bits);
    const rotation *n = rotation_for(e, bits, lane_bits, by);
    if (!n) return NULL;
    /* the upper bits of the result's number, by where the steps left them */
    int64_t number = 0;
    for (int p = lane_bits; p < bits; p++) {
        int to = goal_of(n, p);
        number |= (first >> to & 1) << (p - lane_bits);
    }
    return behind(e, pixel, node, n, n->count, number);
}
