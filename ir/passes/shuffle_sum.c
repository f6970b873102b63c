/*
 * shuffle-sum: terms of a sum that are shuffled alike are added up first, and shuffled once.
 * In: any graph. Out:
 *   a shuffle(x) + b shuffle(y) + z      shuffle(a x + b y) + z
 * where that leaves fewer shuffles: the nodes of a partial-channel cell share shuffled images, so sums that do are decided upon
 * together. Holds: the same products are added up.
 */
#include "ir/passes/passes_internal.h"

typedef struct sums {
    ftso_rebuild r;
    ftso_value *reader; /* by value: one that reads it */
    bool *free;         /* by value: a shuffled image that only sums need */
    /* Sums and the shuffles that they read hang together: by value, one nearer to the root of its set, which is its own. */
    ftso_value *set;
    int *saved; /* by root: shuffles that go, less shuffled sums that come */
} sums;

static const ftso_node *old_node(const sums *s, ftso_value value)
{
    return &s->r.in->nodes[value];
}

/* The shuffled image of which a sum's term is a multiple that nobody else reads, or FTSO_NO_VALUE. */
static ftso_value shuffle_of(const sums *s, ftso_value term)
{
    const ftso_node *node = old_node(s, term);
    if (ftso_node_is(node, "scale") && s->r.use_count[term] == 1) term = node->inputs[0];
    return ftso_is_shuffled_image(old_node(s, term)) ? term : (ftso_value)FTSO_NO_VALUE;
}

static bool is_image_sum(const ftso_node *node)
{
    return ftso_node_is(node, "add") && node->shape.rank == 4;
}

/* Whether `reader` can do without a shuffled image that it reads. */
static bool can_do_without(const sums *s, ftso_value reader)
{
    const ftso_node *node = old_node(s, reader);
    if (is_image_sum(node)) return true;
    return ftso_node_is(node, "scale") && s->r.use_count[reader] == 1 &&
           s->reader[reader] != FTSO_NO_VALUE && is_image_sum(old_node(s, s->reader[reader]));
}

static ftso_value root_of(const sums *s, ftso_value value)
{
    while (s->set[value] != value) value = s->set[value];
    return value;
}

/* The first of a sum's free shuffles; all that are free and equal to it are added up before. */
static ftso_value leader_of(const sums *s, const ftso_node *sum)
{
    for (uint32_t i = 0; i < sum->input_count; i++) {
        ftso_value shuffle = shuffle_of(s, sum->inputs[i]);
        if (shuffle != FTSO_NO_VALUE && s->free[shuffle]) return shuffle;
    }
    return FTSO_NO_VALUE;
}

static void find_free(sums *s)
{
    const ftso_graph *in = s->r.in;
    for (size_t v = 0; v < in->node_count; v++) {
        s->reader[v] = FTSO_NO_VALUE;
        s->set[v] = (ftso_value)v;
        s->free[v] = s->r.live[v] && ftso_is_shuffled_image(&in->nodes[v]);
    }
    for (size_t v = 0; v < in->node_count; v++)
        for (uint32_t i = 0; s->r.live[v] && i < in->nodes[v].input_count; i++)
            s->reader[in->nodes[v].inputs[i]] = (ftso_value)v;
    for (size_t v = 0; v < in->node_count; v++)
        for (uint32_t i = 0; s->r.live[v] && i < in->nodes[v].input_count; i++)
            if (!can_do_without(s, (ftso_value)v)) s->free[in->nodes[v].inputs[i]] = false;
    for (size_t i = 0; i < in->output_count; i++) s->free[in->outputs[i].value] = false;
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *sum = &in->nodes[v];
        ftso_value leader = s->r.live[v] && is_image_sum(sum) ? leader_of(s, sum) : FTSO_NO_VALUE;
        for (uint32_t i = 0; leader != FTSO_NO_VALUE && i < sum->input_count; i++) {
            ftso_value shuffle = shuffle_of(s, sum->inputs[i]);
            if (shuffle != FTSO_NO_VALUE &&
                !ftso_is_shuffle_power(old_node(s, leader), old_node(s, shuffle), 1))
                s->free[shuffle] = false;
        }
    }
}

static void join_sets(sums *s)
{
    const ftso_graph *in = s->r.in;
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *sum = &in->nodes[v];
        if (!s->r.live[v] || !is_image_sum(sum)) continue;
        for (uint32_t i = 0; i < sum->input_count; i++) {
            ftso_value shuffle = shuffle_of(s, sum->inputs[i]);
            if (shuffle != FTSO_NO_VALUE && s->free[shuffle])
                s->set[root_of(s, shuffle)] = root_of(s, (ftso_value)v);
        }
    }
    for (size_t v = 0; v < in->node_count; v++) {
        if (!s->r.live[v]) continue;
        if (s->free[v])
            s->saved[root_of(s, (ftso_value)v)]++;
        else if (is_image_sum(&in->nodes[v]) && leader_of(s, &in->nodes[v]) != FTSO_NO_VALUE)
            s->saved[root_of(s, (ftso_value)v)]--;
    }
}

/* The sum with its free shuffles behind a sum of their own. */
static ftso_value shuffle_once(sums *s, const ftso_node *sum, const ftso_node *leader)
{
    ftso_folder *f = &s->r.folder;
    ftso_value *inside = FTSO_ARRAY(&f->scratch, ftso_value, sum->input_count);
    ftso_value *outside = FTSO_ARRAY(&f->scratch, ftso_value, sum->input_count + 1);
    size_t inside_count = 0, outside_count = 1;
    for (uint32_t i = 0; i < sum->input_count; i++) {
        ftso_value term = sum->inputs[i], shuffle = shuffle_of(s, term);
        if (shuffle == FTSO_NO_VALUE || !s->free[shuffle]) {
            outside[outside_count++] = s->r.map[term];
            continue;
        }
        ftso_value x = s->r.map[old_node(s, shuffle)->inputs[0]];
        if (term != shuffle)
            x = ftso_fold_binary(f, "scale", x, s->r.map[old_node(s, term)->inputs[1]]);
        inside[inside_count++] = x;
    }
    outside[0] = ftso_fold_shuffle(f, ftso_fold_sum(f, inside, inside_count), leader->attrs[0].i,
                                   leader->attrs[1].i);
    return ftso_fold_sum(f, outside, outside_count);
}

ftso_status ftso_pass_shuffle_sum(const ftso_graph *in, ftso_graph *out)
{
    sums s = {0};
    ftso_rebuild_begin(&s.r, in, out);
    ftso_arena *scratch = &s.r.folder.scratch;
    s.reader = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    s.free = FTSO_ARRAY(scratch, bool, in->node_count);
    s.set = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    s.saved = FTSO_ARRAY(scratch, int, in->node_count);
    find_free(&s);
    join_sets(&s);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!s.r.live[v]) continue;
        out->origin = node->origin;
        ftso_value leader = is_image_sum(node) ? leader_of(&s, node) : FTSO_NO_VALUE;
        bool once = leader != FTSO_NO_VALUE && s.saved[root_of(&s, leader)] > 0;
        s.r.map[v] =
            once ? shuffle_once(&s, node, old_node(&s, leader)) : ftso_rebuild_node(&s.r, node);
    }
    ftso_rebuild_end(&s.r);
    return FTSO_STATUS_OK;
}
