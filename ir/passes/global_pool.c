/*
 * global-pool: a mean over all pixels is taken before the arithmetic that is the same for every pixel, and an image whose
 * pixels are all alike is worked on as one pixel.
 * In: any graph. Out:
 *   global_avg_pool(f(x))              f(global_avg_pool(x)), f linear or affine and pixel by pixel, where that pools no more channels
 *   f(spread(x))                       spread(f(x)), f linear
 *   channel_sum(spread(x))             channel_sum(x)
 *   channel_dot(spread(x), y)          channel_dot(x, global_avg_pool(y)), where the means that y's follows from are taken anyway
 * Holds: exact in real arithmetic. The nodes of a skip-only cell are combinations of its two inputs, so that behind the last one
 * two images are pooled instead of the nodes one by one, and its gradients, until they reach the inputs, are one pixel each.
 */
#include "ir/passes/passes_internal.h"

#include <string.h>

typedef struct pooler {
    ftso_rebuild r;
    /* by value of `in`, in the new graph: its mean, once made; the one pixel of an image whose pixels are alike */
    ftso_value *mean, *pixel;
    /* by value of `in`: spread, or what linear arithmetic makes of that, and worked on as one pixel; but read as an image by somebody */
    bool *alike, *whole;
    bool *pooled; /* its mean is taken anyway */
    bool *seen;   /* by `bases_of` */
} pooler;

/* Arithmetic that is the same for every pixel: linear in its first operand or in all; or affine, which a sum of pixels is not. */
static const struct {
    const char *op_name;
    bool all, affine;
} alike_ops[] = {
    {"scale", false, false},      {"channel_mul", false, false}, {"sample_mul", false, false},
    {"shuffle", false, false},    {"slice", false, false},       {"embed", false, false},
    {"concat", true, false},      {"add", true, false},          {"sub", true, false},
    {"channel_add", false, true},
};

/* How many operands, from the first on, the node is linear (or affine) in, pixel by pixel; 0: none. */
static uint32_t carried(const pooler *p, ftso_value value, bool affine)
{
    const ftso_node *node = &p->r.in->nodes[value];
    if (node->shape.rank != 4) return 0;
    for (size_t i = 0; i < FTSO_COUNT(alike_ops); i++)
        if (ftso_node_is(node, alike_ops[i].op_name) && (affine || !alike_ops[i].affine))
            return alike_ops[i].all ? node->input_count : 1;
    return 0;
}

/* The node on other first operands. */
static ftso_value on_pixels(pooler *p, const ftso_node *node, const ftso_value *pixels,
                            uint32_t count)
{
    ftso_folder *f = &p->r.folder;
    ftso_value *operands = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++)
        operands[i] = i < count ? pixels[i] : p->r.map[node->inputs[i]];
    return ftso_fold(f, node->op, operands, node->input_count, node->attrs);
}

/* ---------------------------------------------------------------- means */

/* Channels of the images to be pooled for the value's mean: those not `seen` yet nor pooled anyway. `mark` makes them pooled. */
static int64_t bases_of(pooler *p, ftso_value value, bool mark)
{
    uint32_t count = carried(p, value, true);
    const ftso_node *node = &p->r.in->nodes[value];
    int64_t channels = 0;
    if (p->seen[value] || p->alike[value]) return 0;
    p->seen[value] = true;
    for (uint32_t i = 0; i < count; i++) channels += bases_of(p, node->inputs[i], mark);
    if (count || p->pooled[value]) return channels;
    if (mark) p->pooled[value] = true;
    return ftso_channel_count(node->shape);
}

static int64_t channels_to_pool(pooler *p, ftso_value value, bool mark)
{
    memset(p->seen, 0, p->r.in->node_count * sizeof *p->seen);
    return bases_of(p, value, mark);
}

static ftso_value mean_of(pooler *p, ftso_value value)
{
    ftso_folder *f = &p->r.folder;
    const ftso_node *node = &p->r.in->nodes[value];
    uint32_t count = carried(p, value, true);
    if (p->mean[value] != FTSO_NO_VALUE) return p->mean[value];
    if (p->alike[value]) {
        double pixels = (double)(node->shape.dim[2] * node->shape.dim[3]);
        ftso_value share = ftso_fold_constant(f, ftso_shape_scalar(), 1 / pixels);
        return p->mean[value] = ftso_fold_binary(f, "scale", p->pixel[value], share);
    }
    ftso_value *means = FTSO_ARRAY(&f->scratch, ftso_value, count + 1);
    for (uint32_t i = 0; i < count; i++) means[i] = mean_of(p, node->inputs[i]);
    p->mean[value] = count ? on_pixels(p, node, means, count)
                           : ftso_fold_unary(f, "global_avg_pool", p->r.map[value]);
    return p->mean[value];
}

/* ---------------------------------------------------------------- images of pixels that are alike */

/* Of channel_dot: the operand that is alike, where the mean of the other is known; -1: there is none. */
static int alike_side(pooler *p, const ftso_node *node)
{
    if (!ftso_node_is(node, "channel_dot")) return -1;
    for (int side = 0; side < 2; side++)
        if (p->alike[node->inputs[side]] && channels_to_pool(p, node->inputs[1 - side], false) == 0)
            return side;
    return -1;
}

static bool needs_images(pooler *p, ftso_value value)
{
    const ftso_node *node = &p->r.in->nodes[value];
    return !p->alike[value] && !ftso_node_is(node, "channel_sum") && alike_side(p, node) < 0;
}

/* Finds what is pooled, and what is alike; nothing is where more channels would be spread than before. */
static void find_alike(pooler *p)
{
    const ftso_graph *in = p->r.in;
    int64_t before = 0, after = 0;
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!p->r.live[v]) continue;
        if (ftso_node_is(node, "global_avg_pool") &&
            channels_to_pool(p, node->inputs[0], false) <= ftso_channel_count(node->shape))
            channels_to_pool(p, node->inputs[0], true);
        p->alike[v] = ftso_node_is(node, "spread");
        if (p->alike[v]) before += ftso_channel_count(node->shape);
        uint32_t count = carried(p, (ftso_value)v, false), alike = 0;
        for (uint32_t i = 0; i < count; i++) alike += p->alike[node->inputs[i]];
        if (count && alike == count) p->alike[v] = true;
    }
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!p->r.live[v] || !needs_images(p, (ftso_value)v)) continue;
        for (uint32_t i = 0; i < node->input_count; i++) p->whole[node->inputs[i]] = true;
    }
    for (size_t i = 0; i < in->output_count; i++) p->whole[in->outputs[i].value] = true;
    for (size_t v = 0; v < in->node_count; v++)
        if (p->alike[v] && p->whole[v]) after += ftso_channel_count(in->nodes[v].shape);
    if (after > before) memset(p->alike, 0, in->node_count * sizeof *p->alike);
}

/* The one pixel of an image whose pixels are alike; the image itself is the new graph's only if somebody reads it. */
static ftso_value one_pixel(pooler *p, ftso_value value)
{
    ftso_folder *f = &p->r.folder;
    const ftso_node *node = &p->r.in->nodes[value];
    uint32_t count = carried(p, value, false);
    ftso_value *pixels = FTSO_ARRAY(&f->scratch, ftso_value, count + 1);
    for (uint32_t i = 0; i < count; i++) pixels[i] = p->pixel[node->inputs[i]];
    p->pixel[value] = count ? on_pixels(p, node, pixels, count) : p->r.map[node->inputs[0]];
    if (!p->whole[value]) return FTSO_NO_VALUE;
    return ftso_fold_named(
        f, "spread", &p->pixel[value], 1,
        (ftso_attr_value[]){FTSO_I(node->shape.dim[2]), FTSO_I(node->shape.dim[3])});
}

/* ---------------------------------------------------------------- the pass */

static ftso_value rebuild(pooler *p, ftso_value value)
{
    ftso_folder *f = &p->r.folder;
    const ftso_node *node = &p->r.in->nodes[value];
    f->graph->origin = node->origin;
    if (p->alike[value]) return one_pixel(p, value);
    if (ftso_node_is(node, "global_avg_pool") && channels_to_pool(p, node->inputs[0], false) == 0)
        return mean_of(p, node->inputs[0]);
    if (ftso_node_is(node, "channel_sum") && p->alike[node->inputs[0]])
        return ftso_fold_unary(f, "channel_sum", p->pixel[node->inputs[0]]);
    int side = alike_side(p, node);
    if (side < 0) return ftso_rebuild_node(&p->r, node);
    ftso_value operands[2];
    operands[side] = p->pixel[node->inputs[side]];
    operands[1 - side] = mean_of(p, node->inputs[1 - side]);
    return ftso_fold(f, node->op, operands, 2, node->attrs);
}

ftso_status ftso_pass_global_pool(const ftso_graph *in, ftso_graph *out)
{
    pooler p = {0};
    ftso_rebuild_begin(&p.r, in, out);
    ftso_arena *scratch = &p.r.folder.scratch;
    p.mean = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    p.pixel = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    p.alike = FTSO_ARRAY(scratch, bool, in->node_count);
    p.whole = FTSO_ARRAY(scratch, bool, in->node_count);
    p.pooled = FTSO_ARRAY(scratch, bool, in->node_count);
    p.seen = FTSO_ARRAY(scratch, bool, in->node_count);
    for (size_t v = 0; v < in->node_count; v++) p.mean[v] = p.pixel[v] = FTSO_NO_VALUE;
    find_alike(&p);
    for (size_t v = 0; v < in->node_count; v++)
        if (p.r.live[v]) p.r.map[v] = rebuild(&p, (ftso_value)v);
    ftso_rebuild_end(&p.r);
    return FTSO_STATUS_OK;
}
