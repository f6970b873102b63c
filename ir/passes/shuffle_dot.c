/*
 * shuffle-dot: channel_dot(u, shuffle(x)) is what channel_dot(u shuffled back, x) gives, shuffled: a vector's shuffle instead of
 * an image's.
 * In: a graph with shuffles on one side of its inner products (linear.c). Out: products whose other side is shuffled back for
 * somebody else anyway, as the gradient of a node is for the nodes before it, no longer read the shuffled image. One image
 * shuffled for this alone has to save two. Each sum adds up the same products in the same order.
 */
#include "ir/passes/passes_internal.h"

typedef struct sides {
    ftso_rebuild r;
    ftso_value *shuffles; /* of images, live */
    size_t shuffle_count;
    /* by value of `in`: a shuffle that others than inner products read, or that would need too many others */
    bool *stays;
    /* by value: the other side of a shuffle that nobody shuffles back, or FTSO_NO_VALUE */
    ftso_value *missing;
} sides;

/* The operand of an inner product that is a shuffled image, where the other is not; -1: there is none. */
static int shuffled_side(const ftso_graph *graph, const ftso_node *node)
{
    if (!ftso_node_is(node, "channel_dot")) return -1;
    bool first = ftso_is_shuffled_image(&graph->nodes[node->inputs[0]]),
         last = ftso_is_shuffled_image(&graph->nodes[node->inputs[1]]);
    return first == last ? -1 : last;
}

/* Whether somebody reads `image` shuffled back by as much as `shuffle` shuffles. */
static bool is_shuffled_back(const sides *s, ftso_value image, const ftso_node *shuffle)
{
    for (size_t i = 0; i < s->shuffle_count; i++) {
        const ftso_node *other = &s->r.in->nodes[s->shuffles[i]];
        if (other->inputs[0] == image && ftso_is_shuffle_power(shuffle, other, -1)) return true;
    }
    return false;
}

static void look_at_reader(sides *s, const ftso_node *node)
{
    int side = shuffled_side(s->r.in, node);
    for (uint32_t i = 0; i < node->input_count; i++) {
        ftso_value value = node->inputs[i];
        const ftso_node *shuffle = &s->r.in->nodes[value];
        if (!ftso_is_shuffled_image(shuffle)) continue;
        ftso_value other = side < 0 ? FTSO_NO_VALUE : node->inputs[1 - side];
        if (side < 0) {
            s->stays[value] = true;
        } else if (!is_shuffled_back(s, other, shuffle)) {
            if (s->missing[value] != FTSO_NO_VALUE && s->missing[value] != other)
                s->stays[value] = true;
            s->missing[value] = other;
        }
    }
}

/* Whether the one image that has to be shuffled back for it saves another shuffle too. */
static bool has_company(const sides *s, ftso_value value)
{
    for (size_t i = 0; i < s->shuffle_count; i++) {
        ftso_value other = s->shuffles[i];
        if (other != value && !s->stays[other] && s->missing[other] == s->missing[value] &&
            ftso_is_shuffle_power(&s->r.in->nodes[value], &s->r.in->nodes[other], 1))
            return true;
    }
    return false;
}

static void find_staying(sides *s)
{
    const ftso_graph *in = s->r.in;
    for (size_t v = 0; v < in->node_count; v++) {
        s->missing[v] = FTSO_NO_VALUE;
        if (s->r.live[v] && ftso_is_shuffled_image(&in->nodes[v]))
            s->shuffles[s->shuffle_count++] = (ftso_value)v;
    }
    for (size_t v = 0; v < in->node_count; v++)
        if (s->r.live[v]) look_at_reader(s, &in->nodes[v]);
    for (size_t i = 0; i < in->output_count; i++) s->stays[in->outputs[i].value] = true;
    for (size_t i = 0; i < s->shuffle_count; i++) {
        ftso_value value = s->shuffles[i];
        if (s->missing[value] != FTSO_NO_VALUE && !has_company(s, value)) s->stays[value] = true;
    }
}

static bool is_turned(const sides *s, const ftso_node *node, int side)
{
    if (side < 0) return false;
    ftso_value shuffle = node->inputs[side], other = node->inputs[1 - side];
    return !s->stays[shuffle] || is_shuffled_back(s, other, &s->r.in->nodes[shuffle]);
}

/* The inner product with the shuffle on its other side. */
static ftso_value turn(sides *s, const ftso_node *node, int side)
{
    ftso_folder *f = &s->r.folder;
    const ftso_node *shuffle = &s->r.in->nodes[node->inputs[side]];
    int64_t groups = shuffle->attrs[0].i, power = shuffle->attrs[1].i;
    ftso_value operands[2];
    operands[side] = s->r.map[shuffle->inputs[0]];
    operands[1 - side] = ftso_fold_shuffle(f, s->r.map[node->inputs[1 - side]], groups, -power);
    return ftso_fold_shuffle(f, ftso_fold(f, node->op, operands, 2, node->attrs), groups, power);
}

ftso_status ftso_pass_shuffle_dot(const ftso_graph *in, ftso_graph *out)
{
    sides s = {0};
    ftso_rebuild_begin(&s.r, in, out);
    ftso_arena *scratch = &s.r.folder.scratch;
    s.shuffles = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    s.stays = FTSO_ARRAY(scratch, bool, in->node_count);
    s.missing = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    find_staying(&s);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!s.r.live[v]) continue;
        out->origin = node->origin;
        int side = shuffled_side(in, node);
        s.r.map[v] =
            is_turned(&s, node, side) ? turn(&s, node, side) : ftso_rebuild_node(&s.r, node);
    }
    ftso_rebuild_end(&s.r);
    return FTSO_STATUS_OK;
}
