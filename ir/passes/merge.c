/*
 * merge: contractions over the same window that only add up, or only read the same image, become one.
 * In: a split graph. Out:
 *   f(a, x) + f(b, x), f linear            f(a + b, x): gradients through one pool, one kernel
 *   conv_dx(a, v) + conv_dx(b, w)          one conv_dx of concat(a, b) with the kernels one after another
 *   conv_dw(a, x), conv_dw(b, x)           views of one conv_dw(concat(a, b), x)
 *   conv(x, v), conv(x, w), narrow outputs slices of one conv(x, v and w)
 * Holds: nothing is computed twice and no partial image is written and read again; the sum of an output runs over the
 * same products. Kernels are [O, I, kh, kw], so "one after another" is a pack seen as one kernel.
 * Wide forward convolutions stay apart: their region shares the operand (ftso_fusion.horizontal), and apart they die apart.
 */
#include "ir/passes/passes_internal.h"

#include <string.h>

enum { NARROW = 16 }; /* output channels: below it an image of its own is mostly padding */

/* Members of one merge, ascending. */
typedef struct group {
    ftso_value *members;
    size_t count, capacity;
    ftso_value merged; /* in the new graph, once made */
} group;

typedef struct merger {
    ftso_rebuild r;
    int *group_of; /* by value of the graph read; -1: none */
    group *groups;
    size_t group_count, group_capacity;
    ftso_value *first_user; /* lowest live user; FTSO_NO_VALUE: none */
} merger;

static const ftso_node *old_node(const merger *m, ftso_value value)
{
    return &m->r.in->nodes[value];
}

static bool same_attrs(const ftso_node *a, const ftso_node *b)
{
    if (a->op != b->op) return false;
    for (int i = 0; i < a->op->attr_count; i++)
        if (a->attrs[i].i != b->attrs[i].i) return false;
    return true;
}

/* Kernels that can lie one after another: all but the number of output channels is the same. */
static bool same_kernel(ftso_shape a, ftso_shape b)
{
    return a.dim[1] == b.dim[1] && a.dim[2] == b.dim[2] && a.dim[3] == b.dim[3];
}

/* ---------------------------------------------------------------- finding groups */

/* The group of `leader`'s kind among members for which `fits` holds, else a new one; the value joins it. */
static void join(merger *m, ftso_value value, bool (*fits)(const merger *, ftso_value, ftso_value))
{
    for (size_t g = 0; g < m->group_count; g++)
        if (fits(m, m->groups[g].members[0], value)) {
            group *found = &m->groups[g];
            FTSO_PUSH(&m->r.folder.scratch, found->members, found->count, found->capacity, value);
            m->group_of[value] = (int)g;
            return;
        }
    group fresh = {.merged = FTSO_NO_VALUE};
    FTSO_PUSH(&m->r.folder.scratch, fresh.members, fresh.count, fresh.capacity, value);
    m->group_of[value] = (int)m->group_count;
    FTSO_PUSH(&m->r.folder.scratch, m->groups, m->group_count, m->group_capacity, fresh);
}

static bool fits_weight_gradient(const merger *m, ftso_value leader, ftso_value value)
{
    const ftso_node *a = old_node(m, leader), *b = old_node(m, value);
    /* nobody may need the leader before the last member exists */
    return same_attrs(a, b) && a->inputs[1] == b->inputs[1] && m->first_user[leader] > value;
}

static bool fits_narrow(const merger *m, ftso_value leader, ftso_value value)
{
    const ftso_node *a = old_node(m, leader), *b = old_node(m, value);
    return same_attrs(a, b) && a->inputs[0] == b->inputs[0] &&
           same_kernel(old_node(m, a->inputs[1])->shape, old_node(m, b->inputs[1])->shape);
}

/* A kernel that exists from the start, so that the merged convolution can take its leader's place. */
static bool is_given_kernel(const merger *m, ftso_value w)
{
    const ftso_node *node = old_node(m, w);
    if (ftso_node_is(node, "view")) node = old_node(m, node->inputs[0]);
    return node->op->op_class == FTSO_CLASS_LEAF;
}

static void find_groups(merger *m)
{
    const ftso_graph *in = m->r.in;
    for (size_t v = 0; v < in->node_count; v++) {
        m->group_of[v] = -1;
        m->first_user[v] = FTSO_NO_VALUE;
    }
    for (size_t v = in->node_count; v-- > 0;)
        for (uint32_t i = 0; m->r.live[v] && i < in->nodes[v].input_count; i++)
            m->first_user[in->nodes[v].inputs[i]] = (ftso_value)v;
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!m->r.live[v]) continue;
        if (ftso_node_is(node, "conv_dw"))
            join(m, (ftso_value)v, fits_weight_gradient);
        else if (ftso_node_is(node, "conv") && node->shape.dim[1] < NARROW &&
                 is_given_kernel(m, node->inputs[1]))
            join(m, (ftso_value)v, fits_narrow);
    }
    for (size_t v = 0; v < in->node_count; v++)
        if (m->group_of[v] >= 0 && m->groups[m->group_of[v]].count < 2) m->group_of[v] = -1;
}

/* ---------------------------------------------------------------- making the merged nodes */

static ftso_value view_of(ftso_folder *f, ftso_value base, int64_t offset, ftso_shape shape)
{
    ftso_attr_value attrs[6] = {FTSO_I(offset), FTSO_I(shape.rank)};
    for (int d = 0; d < FTSO_MAX_RANK; d++)
        attrs[2 + d] = FTSO_I(d < shape.rank ? shape.dim[d] : 0);
    return ftso_fold_named(f, "view", &base, 1, attrs);
}

/* The kernels, one after another, as one kernel. */
static ftso_value kernels_together(ftso_folder *f, const ftso_value *kernels, size_t count)
{
    ftso_shape shape = ftso_graph_shape(f->graph, kernels[0]);
    for (size_t i = 1; i < count; i++)
        shape.dim[0] += ftso_graph_shape(f->graph, kernels[i]).dim[0];
    return view_of(f, ftso_fold_named(f, "pack", kernels, count, NULL), 0, shape);
}

/* New values of operand `i` of all members. */
static ftso_value *operands_of(merger *m, const ftso_value *members, size_t count, uint32_t i)
{
    ftso_value *operands = FTSO_ARRAY(&m->r.folder.scratch, ftso_value, count);
    for (size_t k = 0; k < count; k++) operands[k] = m->r.map[old_node(m, members[k])->inputs[i]];
    return operands;
}

/* The weight gradient of all members; each member is a run of it. */
static void make_weight_gradient(merger *m, const group *g)
{
    ftso_folder *f = &m->r.folder;
    const ftso_node *leader = old_node(m, g->members[0]);
    ftso_value *dys = operands_of(m, g->members, g->count, 0);
    ftso_value dy = ftso_fold_named(f, "concat", dys, g->count, NULL);
    ftso_value operands[2] = {dy, m->r.map[leader->inputs[1]]};
    ftso_value merged = ftso_fold(f, leader->op, operands, 2, leader->attrs);
    int64_t offset = 0;
    for (size_t k = 0; k < g->count; k++) {
        ftso_shape shape = old_node(m, g->members[k])->shape;
        m->r.map[g->members[k]] = view_of(f, merged, offset, shape);
        offset += ftso_shape_count(shape);
    }
}

/* One convolution in the leader's place. The kernels of later members may be views not rebuilt yet. */
static ftso_value narrow_member(merger *m, group *g, ftso_value value)
{
    ftso_folder *f = &m->r.folder;
    if (g->merged == FTSO_NO_VALUE) {
        for (size_t k = 0; k < g->count; k++) {
            ftso_value w = old_node(m, g->members[k])->inputs[1];
            const ftso_node *kernel = old_node(m, w);
            for (uint32_t i = 0; i < kernel->input_count; i++)
                if (m->r.map[kernel->inputs[i]] == FTSO_NO_VALUE)
                    m->r.map[kernel->inputs[i]] =
                        ftso_rebuild_node(&m->r, old_node(m, kernel->inputs[i]));
            if (m->r.map[w] == FTSO_NO_VALUE) m->r.map[w] = ftso_rebuild_node(&m->r, kernel);
        }
        ftso_value *kernels = operands_of(m, g->members, g->count, 1);
        const ftso_node *leader = old_node(m, g->members[0]);
        ftso_value operands[2] = {m->r.map[leader->inputs[0]],
                                  kernels_together(f, kernels, g->count)};
        g->merged = ftso_fold(f, leader->op, operands, 2, leader->attrs);
    }
    int64_t at = 0;
    for (size_t k = 0; g->members[k] != value; k++) at += old_node(m, g->members[k])->shape.dim[1];
    return ftso_fold_slice(f, g->merged, at, at + old_node(m, value)->shape.dim[1]);
}

/* ---------------------------------------------------------------- sums of input gradients */

/* Term i of an add where only the add reads it and it is linear in its first operand. */
static const ftso_node *sole_term(const merger *m, const ftso_node *add, uint32_t i)
{
    const ftso_node *term = old_node(m, add->inputs[i]);
    bool linear = term->op->op_class == FTSO_CLASS_WINDOW && (term->op->flags & FTSO_OP_LINEAR);
    return linear && m->r.use_count[add->inputs[i]] == 1 ? term : NULL;
}

/* f(a, x) + f(b, x) = f(a + b, x) */
static bool same_but_first(const merger *m, const ftso_node *a, const ftso_node *b)
{
    if (!same_attrs(a, b) ||
        !ftso_shape_equal(old_node(m, a->inputs[0])->shape, old_node(m, b->inputs[0])->shape))
        return false;
    for (uint32_t i = 1; i < a->input_count; i++)
        if (m->r.map[a->inputs[i]] != m->r.map[b->inputs[i]]) return false;
    return true;
}

static bool same_gradient(const merger *m, const ftso_node *a, const ftso_node *b)
{
    return ftso_node_is(a, "conv_dx") && same_attrs(a, b) &&
           same_kernel(old_node(m, a->inputs[1])->shape, old_node(m, b->inputs[1])->shape);
}

/* Terms of the add that go with term `first`, itself included, not `done` yet. */
static size_t find_terms(merger *m, const ftso_node *add, uint32_t first, bool *done,
                         bool (*alike)(const merger *, const ftso_node *, const ftso_node *),
                         ftso_value *out_terms)
{
    const ftso_node *leader = sole_term(m, add, first);
    size_t count = 0;
    for (int mark = 0; leader && mark < 2; mark++) {
        if (mark && count < 2) return 0;
        count = 0;
        for (uint32_t k = first; k < add->input_count; k++) {
            const ftso_node *next = sole_term(m, add, k);
            if (done[k] || !next || !alike(m, leader, next)) continue;
            if (mark) done[k] = true;
            out_terms[count++] = add->inputs[k];
        }
    }
    return count;
}

/* Window terms of one kind as one; FTSO_NO_VALUE when there are not two of a kind. */
static ftso_value merge_sum(merger *m, const ftso_node *add)
{
    ftso_folder *f = &m->r.folder;
    ftso_value *terms = FTSO_ARRAY(&f->scratch, ftso_value, add->input_count);
    ftso_value *same = FTSO_ARRAY(&f->scratch, ftso_value, add->input_count);
    bool *done = FTSO_ARRAY(&f->scratch, bool, add->input_count), any = false;
    size_t count = 0;
    for (uint32_t i = 0; i < add->input_count; i++) {
        if (done[i]) continue;
        const ftso_node *first = old_node(m, add->inputs[i]);
        ftso_value *operands = ftso_rebuild_operands(&m->r, first);
        size_t same_count = find_terms(m, add, i, done, same_but_first, same);
        if (same_count) {
            operands[0] = ftso_fold_sum(f, operands_of(m, same, same_count, 0), same_count);
        } else {
            same_count = find_terms(m, add, i, done, same_gradient, same);
            if (same_count) {
                ftso_value *dys = operands_of(m, same, same_count, 0);
                ftso_value *kernels = operands_of(m, same, same_count, 1);
                operands[0] = ftso_fold_named(f, "concat", dys, same_count, NULL);
                operands[1] = kernels_together(f, kernels, same_count);
            }
        }
        any = any || same_count;
        terms[count++] = same_count
                             ? ftso_fold(f, first->op, operands, first->input_count, first->attrs)
                             : m->r.map[add->inputs[i]];
    }
    return any ? ftso_fold_sum(f, terms, count) : FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- statistics of narrow members */

/* channel_sum and channel_dot of one slice of a convolution: that slice of the whole one's. */
static ftso_value reduce_whole(merger *m, const ftso_node *node)
{
    ftso_folder *f = &m->r.folder;
    if (!ftso_node_is(node, "channel_sum") && !ftso_node_is(node, "channel_dot"))
        return FTSO_NO_VALUE;
    ftso_value *operands = ftso_rebuild_operands(&m->r, node);
    const ftso_node first = f->graph->nodes[operands[0]];
    if (!ftso_node_is(&first, "slice") || !ftso_node_is(&f->graph->nodes[first.inputs[0]], "conv"))
        return FTSO_NO_VALUE;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (operands[i] != operands[0] && i > 0) return FTSO_NO_VALUE;
        if (i > 0) operands[i] = first.inputs[0];
    }
    operands[0] = first.inputs[0];
    ftso_value whole = ftso_fold(f, node->op, operands, node->input_count, node->attrs);
    return ftso_fold_slice(f, whole, first.attrs[0].i, first.attrs[1].i);
}

static ftso_value rebuild(merger *m, ftso_value value)
{
    const ftso_node *node = old_node(m, value);
    ftso_value fresh = FTSO_NO_VALUE;
    m->r.folder.graph->origin = node->origin;
    int number = m->group_of[value];
    if (number >= 0 && ftso_node_is(node, "conv"))
        return narrow_member(m, &m->groups[number], value);
    if (number >= 0) {
        const group *g = &m->groups[number];
        if (g->members[g->count - 1] == value) make_weight_gradient(m, g);
        return m->r.map[value];
    }
    if (node->shape.batched && ftso_node_is(node, "add")) fresh = merge_sum(m, node);
    if (fresh == FTSO_NO_VALUE) fresh = reduce_whole(m, node);
    return fresh == FTSO_NO_VALUE ? ftso_rebuild_node(&m->r, node) : fresh;
}

ftso_status ftso_pass_merge(const ftso_graph *in, ftso_graph *out)
{
    merger m = {0};
    ftso_rebuild_begin(&m.r, in, out);
    m.group_of = FTSO_ARRAY(&m.r.folder.scratch, int, in->node_count);
    m.first_user = FTSO_ARRAY(&m.r.folder.scratch, ftso_value, in->node_count);
    find_groups(&m);
    for (size_t v = 0; v < in->node_count; v++)
        if (m.r.live[v]) m.r.map[v] = rebuild(&m, (ftso_value)v);
    ftso_rebuild_end(&m.r);
    return FTSO_STATUS_OK;
}
