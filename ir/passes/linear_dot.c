/*
 * Linear folding, the reductions: inner products of folded values.
 * In: dot, channel_dot and channel_sum nodes. Out: algebra over as few reductions as the cells need.
 *
 * dot(u, y), where u is a node's gradient and y = sum of c_t chain(z_t), is sum of c_t dot(u, chain(z_t)) if each of these
 * is asked for anyway: then all betas' gradients of a skip-only cell come from each node's gradient with the cell's inputs.
 * dot(u, z) itself is the sum of a channel_dot, and through z = a y + b (batch norm's affine form) it becomes
 * a channel_dot(u, y) + b channel_sum(u): what batch norm's own gradient reads. That gradient's reductions, over sums of
 * the same u, are then put together from those that exist. Shuffles move from u to y, so that equal products meet.
 */
#include "ir/passes/linear_internal.h"

#include <string.h>

/* ---------------------------------------------------------------- which products are asked for */

/* Takes the outermost shuffles off: `sign` times their power is added to *power, a whole order counting as none. */
static const ftso_link *without_shuffles(const ftso_link *chain, int64_t sign, int64_t *power)
{
    for (; chain && ftso_node_is(chain->node, "shuffle"); chain = chain->inner) {
        const ftso_node *node = chain->node;
        int64_t order =
            ftso_shuffle_order(ftso_channel_count(node->shape), ftso_node_int(node, "groups"));
        *power = ((*power + sign * ftso_node_int(node, "power")) % order + order) % order;
    }
    return chain;
}

static ftso_pair pair_of(const ftso_term *u, const ftso_term *y)
{
    ftso_pair pair = {.u = u->root, .y = y->root};
    pair.u_chain = without_shuffles(u->chain, -1, &pair.power);
    pair.y_chain = without_shuffles(y->chain, 1, &pair.power);
    return pair;
}

static bool same_links(const ftso_link *a, const ftso_link *b)
{
    while (a && b && a->node == b->node) a = a->inner, b = b->inner;
    return !a && !b;
}

static bool has_pair(const ftso_pairs *pairs, ftso_pair pair)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const ftso_pair *other = &pairs->items[i];
        if (other->u == pair.u && other->y == pair.y && other->power == pair.power &&
            same_links(other->u_chain, pair.u_chain) && same_links(other->y_chain, pair.y_chain))
            return true;
    }
    return false;
}

/* The chain, where it outlives the run. */
static const ftso_link *kept_links(ftso_pairs *pairs, const ftso_link *chain)
{
    if (!chain) return NULL;
    ftso_link *link = FTSO_NEW(pairs->arena, ftso_link);
    *link = (ftso_link){chain->node, kept_links(pairs, chain->inner)};
    return link;
}

static void note_pair(ftso_pairs *pairs, ftso_pair pair)
{
    if (has_pair(pairs, pair)) return;
    pair.u_chain = kept_links(pairs, pair.u_chain);
    pair.y_chain = kept_links(pairs, pair.y_chain);
    FTSO_PUSH(pairs->arena, pairs->items, pairs->count, pairs->capacity, pair);
}

/* ---------------------------------------------------------------- reductions in one spelling */

static const ftso_node *node_of(const ftso_folder *f, ftso_value value)
{
    return &f->graph->nodes[value];
}

/* An existing node, or a new one when `create`; else FTSO_NO_VALUE. */
static ftso_value reduction(ftso_folder *f, const char *op_name, const ftso_value *inputs,
                            size_t count, bool create)
{
    if (create) return ftso_fold_named(f, op_name, inputs, count, NULL);
    return ftso_fold_find(f, ftso_op_find(f->graph->ops, op_name), inputs, count);
}

static ftso_value sums(ftso_folder *f, ftso_value u, bool create)
{
    const ftso_node node = *node_of(f, u);
    if (!ftso_node_is(&node, "shuffle")) return reduction(f, "channel_sum", &u, 1, create);
    ftso_value inner = sums(f, node.inputs[0], create);
    if (inner == FTSO_NO_VALUE) return inner;
    return ftso_fold_shuffle(f, inner, node.attrs[0].i, node.attrs[1].i);
}

/* channel_dot(u, y) with no shuffle outside u. */
static ftso_value plain_products(ftso_folder *f, ftso_value u, ftso_value y, bool create)
{
    const ftso_node node = *node_of(f, u);
    if (!ftso_node_is(&node, "shuffle"))
        return reduction(f, "channel_dot", (ftso_value[]){u, y}, 2, create);
    int64_t groups = node.attrs[0].i, power = node.attrs[1].i;
    ftso_value back = ftso_fold_shuffle(f, y, groups, -power);
    ftso_value inner = plain_products(f, node.inputs[0], back, create);
    return inner == FTSO_NO_VALUE ? inner : ftso_fold_shuffle(f, inner, groups, power);
}

static bool is_affine(const ftso_node *node)
{
    return ftso_node_is(node, "channel_mul") || ftso_node_is(node, "channel_add");
}

/* A concat of which some part is an affine form: only then is a product by parts worth more of them. */
static bool has_affine_part(const ftso_folder *f, const ftso_node *node)
{
    for (uint32_t i = 0; ftso_node_is(node, "concat") && i < node->input_count; i++)
        if (is_affine(node_of(f, node->inputs[i]))) return true;
    return false;
}

static ftso_value products(ftso_folder *f, ftso_value u, ftso_value y);

static ftso_value products_of_concat(ftso_folder *f, ftso_value u, const ftso_node *concat)
{
    ftso_value *parts = FTSO_ARRAY(&f->scratch, ftso_value, concat->input_count);
    int64_t at = 0;
    for (uint32_t i = 0; i < concat->input_count; i++) {
        int64_t end = at + ftso_channel_count(node_of(f, concat->inputs[i])->shape);
        parts[i] = products(f, ftso_fold_slice(f, u, at, end), concat->inputs[i]);
        at = end;
    }
    return ftso_fold_named(f, "concat", parts, concat->input_count, NULL);
}

/* chain(x) where x is channel_mul or channel_add: the same with the vector under the chain too. */
static ftso_value move_inside(ftso_folder *f, const ftso_node *link, const ftso_node *affine)
{
    ftso_value x = affine->inputs[0], vector = affine->inputs[1];
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    memcpy(attrs, link->attrs, sizeof attrs);
    x = ftso_fold(f, link->op, &x, 1, attrs);
    vector = ftso_fold(f, link->op, &vector, 1, attrs);
    return ftso_fold_binary(f, affine->op->name, x, vector);
}

/* The vector of channel-wise inner products of u and y, through the affine forms and concats that y is made of. */
static ftso_value products(ftso_folder *f, ftso_value u, ftso_value y)
{
    const ftso_node outer = *node_of(f, u), node = *node_of(f, y);
    if (ftso_node_is(&outer, "shuffle")) {
        int64_t groups = outer.attrs[0].i, power = outer.attrs[1].i;
        ftso_value inner = products(f, outer.inputs[0], ftso_fold_shuffle(f, y, groups, -power));
        return ftso_fold_shuffle(f, inner, groups, power);
    }
    if (ftso_node_is(&node, "channel_mul"))
        return ftso_fold_binary(f, "mul", node.inputs[1], products(f, u, node.inputs[0]));
    if (ftso_node_is(&node, "channel_add")) {
        ftso_value scaled = products(f, u, node.inputs[0]);
        ftso_value moved = ftso_fold_binary(f, "mul", node.inputs[1], sums(f, u, true));
        return ftso_fold_binary(f, "add", scaled, moved);
    }
    if (has_affine_part(f, &node)) return products_of_concat(f, u, &node);
    if (ftso_node_is(&node, "shuffle") || ftso_node_is(&node, "slice")) {
        const ftso_node inner = *node_of(f, node.inputs[0]);
        if (is_affine(&inner)) return products(f, u, move_inside(f, &node, &inner));
        if (ftso_node_is(&node, "shuffle") && has_affine_part(f, &inner)) {
            int64_t groups = node.attrs[0].i, power = node.attrs[1].i;
            ftso_value back = ftso_fold_shuffle(f, u, groups, -power);
            return ftso_fold_shuffle(f, products_of_concat(f, back, &inner), groups, power);
        }
    }
    return plain_products(f, u, y, true);
}

/* ---------------------------------------------------------------- dot */

static ftso_value reduce_dot(ftso_linear *l, const ftso_node *node)
{
    ftso_folder *f = &l->r.folder;
    ftso_term u = ftso_linear_peel(l, node->inputs[0]), y = ftso_linear_peel(l, node->inputs[1]);
    ftso_form whole = {&y, 1}, opened = {0};
    const ftso_form *form = &whole, *inner = &l->forms[y.root];
    if (l->collect && inner->count == 0) note_pair(l->pairs, pair_of(&u, &y));
    bool open = inner->count > 0;
    opened.terms = FTSO_ARRAY(&f->scratch, ftso_term, inner->count);
    opened.count = inner->count;
    for (size_t i = 0; i < inner->count; i++) {
        opened.terms[i] = inner->terms[i];
        opened.terms[i].chain = ftso_linear_join(l, y.chain, inner->terms[i].chain);
        open = open && has_pair(l->pairs, pair_of(&u, &opened.terms[i]));
    }
    if (open) form = &opened;
    ftso_value *terms = FTSO_ARRAY(&f->scratch, ftso_value, form->count);
    ftso_value u_value = ftso_linear_term_value(l, &u);
    for (size_t i = 0; i < form->count; i++) {
        ftso_value vector = products(f, u_value, ftso_linear_term_value(l, &form->terms[i]));
        terms[i] = ftso_linear_times(f, ftso_fold_unary(f, "sum", vector), form->terms[i].factor);
    }
    ftso_value sum = ftso_fold_sum(f, terms, form->count);
    sum = ftso_linear_times(f, sum, u.factor);
    return open ? ftso_linear_times(f, sum, y.factor) : sum;
}

/* ---------------------------------------------------------------- channel_dot and channel_sum over sums */

enum { MOST_PARTS = 64 };

/*
 * The reduction of chain(value) with y (FTSO_NO_VALUE: its channel_sum), put together from reductions that exist;
 * FTSO_NO_VALUE when one is missing. `budget` bounds the search.
 */
static ftso_value gather(ftso_linear *l, ftso_value value, const ftso_link *chain, ftso_value y,
                         int *budget)
{
    ftso_folder *f = &l->r.folder;
    ftso_term term = ftso_linear_peel(l, value);
    term.chain = ftso_linear_join(l, chain, term.chain);
    if (--*budget < 0) return FTSO_NO_VALUE;
    ftso_value u = ftso_linear_term_value(l, &term);
    ftso_value found = y == FTSO_NO_VALUE ? sums(f, u, false) : plain_products(f, u, y, false);
    if (found != FTSO_NO_VALUE) return ftso_linear_times(f, found, term.factor);
    const ftso_node *root = &l->r.in->nodes[term.root];
    if (!ftso_node_is(root, "add")) return FTSO_NO_VALUE;
    ftso_value *parts = FTSO_ARRAY(&f->scratch, ftso_value, root->input_count);
    for (uint32_t i = 0; i < root->input_count; i++) {
        parts[i] = gather(l, root->inputs[i], term.chain, y, budget);
        if (parts[i] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    }
    return ftso_linear_times(f, ftso_fold_sum(f, parts, root->input_count), term.factor);
}

ftso_value ftso_linear_reduce(ftso_linear *l, const ftso_node *node)
{
    int budget = MOST_PARTS;
    if (ftso_node_is(node, "dot")) return reduce_dot(l, node);
    if (ftso_node_is(node, "channel_dot"))
        return gather(l, node->inputs[0], NULL, l->r.map[node->inputs[1]], &budget);
    if (ftso_node_is(node, "channel_sum"))
        return gather(l, node->inputs[0], NULL, FTSO_NO_VALUE, &budget);
    return FTSO_NO_VALUE;
}
