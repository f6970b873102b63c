/*
 * linear: linear folding. Sums, scalings, channel shuffles and slices become coefficients on their sources.
 * In: a split graph. Out: every foldable image value is one flat sum of scale(shuffle(source)) with scalar coefficient
 * nodes; inner products become scalar algebra over few channel-wise ones (linear_dot.c).
 *
 * A value's form is a list of terms: coefficient times a chain of shuffles, slices and embeds applied to a root. The root
 * is a value that is not itself add, scale or such a link. A sum inside a sum is opened where the result is read from no
 * more roots than before: then a skip-only cell's nodes are combinations of its two inputs, while sums of unrelated
 * values stay whole. What is emitted is the shorter of both: the same roots are read, and a channel shuffle between nodes doubles
 * the terms of each further one. Holds: coefficients are exact algebra, nothing is approximated.
 */
#include "ir/passes/linear_internal.h"

#include <string.h>

enum { MOST_TERMS = 32, WIDEST_SUM = 256 };

/* ---------------------------------------------------------------- terms */

static bool is_link(const ftso_node *node)
{
    return ftso_node_is(node, "shuffle") || ftso_node_is(node, "slice") ||
           ftso_node_is(node, "embed");
}

static ftso_value product(ftso_folder *f, ftso_value a, ftso_value b)
{
    if (a == FTSO_NO_VALUE) return b;
    return b == FTSO_NO_VALUE ? a : ftso_fold_binary(f, "mul", a, b);
}

ftso_value ftso_linear_times(ftso_folder *f, ftso_value x, ftso_value factor)
{
    return factor == FTSO_NO_VALUE ? x : ftso_fold_binary(f, "scale", x, factor);
}

ftso_value ftso_linear_apply(ftso_folder *f, const ftso_link *chain, ftso_value x)
{
    if (!chain) return x;
    ftso_value inner = ftso_linear_apply(f, chain->inner, x);
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    memcpy(attrs, chain->node->attrs, sizeof attrs);
    return ftso_fold(f, chain->node->op, &inner, 1, attrs);
}

/* `outer` applied after `inner`. */
const ftso_link *ftso_linear_join(ftso_linear *l, const ftso_link *outer, const ftso_link *inner)
{
    if (!outer) return inner;
    ftso_link *link = FTSO_NEW(&l->r.folder.scratch, ftso_link);
    link->node = outer->node;
    link->inner = ftso_linear_join(l, outer->inner, inner);
    return link;
}

ftso_term ftso_linear_peel(ftso_linear *l, ftso_value value)
{
    const ftso_node *node = &l->r.in->nodes[value];
    if (node->shape.batched && ftso_node_is(node, "scale")) {
        ftso_term term = ftso_linear_peel(l, node->inputs[0]);
        term.factor = product(&l->r.folder, term.factor, l->r.map[node->inputs[1]]);
        return term;
    }
    if (node->shape.batched && is_link(node)) {
        ftso_term term = ftso_linear_peel(l, node->inputs[0]);
        ftso_link *link = FTSO_NEW(&l->r.folder.scratch, ftso_link);
        *link = (ftso_link){node, term.chain};
        term.chain = link;
        return term;
    }
    return (ftso_term){FTSO_NO_VALUE, value, NULL};
}

ftso_value ftso_linear_term_value(ftso_linear *l, const ftso_term *term)
{
    return ftso_linear_apply(&l->r.folder, term->chain, l->r.map[term->root]);
}

/* ---------------------------------------------------------------- forms */

static void push(ftso_linear *l, ftso_form *form, size_t *capacity, ftso_term term)
{
    FTSO_PUSH(&l->r.folder.scratch, form->terms, form->count, *capacity, term);
}

static size_t distinct_roots(const ftso_form *form)
{
    size_t distinct = 0;
    for (size_t i = 0; i < form->count; i++) {
        size_t k = 0;
        while (k < i && form->terms[k].root != form->terms[i].root) k++;
        distinct += k == i;
    }
    return distinct;
}

/* The form with every term for which `open` says so replaced by the terms of its root's sum. */
static ftso_form open_terms(ftso_linear *l, const ftso_form *form, ftso_value only)
{
    ftso_form opened = {0};
    size_t capacity = 0;
    for (size_t i = 0; i < form->count; i++) {
        ftso_term term = form->terms[i];
        const ftso_form *inner = &l->forms[term.root];
        bool open = inner->count > 0 && (only == FTSO_NO_VALUE || only == term.root);
        if (!open) {
            push(l, &opened, &capacity, term);
            continue;
        }
        for (size_t k = 0; k < inner->count && opened.count <= MOST_TERMS; k++) {
            ftso_term part = inner->terms[k];
            part.factor = product(&l->r.folder, part.factor, term.factor);
            part.chain = ftso_linear_join(l, term.chain, part.chain);
            push(l, &opened, &capacity, part);
        }
    }
    return opened;
}

/* Terms of equal value are added up; first come, first in the list. */
static ftso_form merge_terms(ftso_linear *l, const ftso_form *form)
{
    ftso_folder *f = &l->r.folder;
    ftso_form merged = {0};
    size_t capacity = 0;
    ftso_value *values = FTSO_ARRAY(&f->scratch, ftso_value, form->count);
    for (size_t i = 0; i < form->count; i++) {
        ftso_value value = ftso_linear_term_value(l, &form->terms[i]);
        size_t k = 0;
        while (k < merged.count && values[k] != value) k++;
        if (k == merged.count) {
            values[k] = value;
            push(l, &merged, &capacity, form->terms[i]);
            continue;
        }
        ftso_value one = ftso_fold_constant(f, ftso_shape_scalar(), 1);
        ftso_value a = merged.terms[k].factor, b = form->terms[i].factor;
        merged.terms[k].factor =
            ftso_fold_binary(f, "add", a == FTSO_NO_VALUE ? one : a, b == FTSO_NO_VALUE ? one : b);
    }
    return merged;
}

/* Opens one root, or all with FTSO_NO_VALUE, where that asks for no more roots. */
static bool try_open(ftso_linear *l, ftso_form *form, ftso_value only)
{
    ftso_form opened = open_terms(l, form, only);
    if (opened.count > MOST_TERMS) return false;
    if (distinct_roots(&opened) > distinct_roots(form)) return false;
    opened = merge_terms(l, &opened);
    *form = opened;
    return true;
}

/* The sum as it stands. */
static ftso_form form_of_add(ftso_linear *l, const ftso_node *node)
{
    ftso_form form = {0};
    size_t capacity = 0;
    for (uint32_t i = 0; i < node->input_count; i++)
        push(l, &form, &capacity, ftso_linear_peel(l, node->inputs[i]));
    return merge_terms(l, &form);
}

/* The sum with the sums inside it opened, as far as that asks for no more roots. */
static ftso_form open_sums(ftso_linear *l, ftso_form form)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < form.count && !changed; i++)
            if (l->forms[form.terms[i].root].count > 0)
                changed = try_open(l, &form, form.terms[i].root);
        if (changed) continue;
        for (size_t i = 0; i < form.count; i++)
            if (l->forms[form.terms[i].root].count > 0) {
                changed = try_open(l, &form, FTSO_NO_VALUE);
                break;
            }
    }
    return form;
}

static ftso_value emit_form(ftso_linear *l, const ftso_form *form)
{
    ftso_folder *f = &l->r.folder;
    ftso_value *terms = FTSO_ARRAY(&f->scratch, ftso_value, form->count);
    for (size_t i = 0; i < form->count; i++)
        terms[i] =
            ftso_linear_times(f, ftso_linear_term_value(l, &form->terms[i]), form->terms[i].factor);
    return ftso_fold_sum(f, terms, form->count);
}

/* ---------------------------------------------------------------- the pass */

static ftso_value fold_value(ftso_linear *l, ftso_value value)
{
    const ftso_node *node = &l->r.in->nodes[value];
    l->r.folder.graph->origin = node->origin;
    if (node->shape.batched && ftso_node_is(node, "add") && node->input_count <= WIDEST_SUM) {
        ftso_form closed = form_of_add(l, node), *form = &l->forms[value];
        *form = open_sums(l, closed);
        return emit_form(l, closed.count < form->count ? &closed : form);
    }
    if (node->shape.batched && (ftso_node_is(node, "scale") || is_link(node))) {
        ftso_term term = ftso_linear_peel(l, value);
        return ftso_linear_times(&l->r.folder, ftso_linear_term_value(l, &term), term.factor);
    }
    ftso_value reduced = ftso_linear_reduce(l, node);
    return reduced == FTSO_NO_VALUE ? ftso_rebuild_node(&l->r, node) : reduced;
}

static void run(const ftso_graph *in, ftso_graph *out, ftso_pairs *pairs, bool collect)
{
    ftso_linear l = {.pairs = pairs, .collect = collect};
    ftso_rebuild_begin(&l.r, in, out);
    l.forms = FTSO_ARRAY(&l.r.folder.scratch, ftso_form, in->node_count);
    for (size_t v = 0; v < in->node_count; v++)
        if (l.r.live[v]) l.r.map[v] = fold_value(&l, (ftso_value)v);
    ftso_rebuild_end(&l.r);
}

ftso_status ftso_pass_linear(const ftso_graph *in, ftso_graph *out)
{
    /* which inner products are asked for one by one is known only at the end: a first run finds out */
    ftso_arena arena;
    ftso_graph rehearsal;
    ftso_arena_init(&arena);
    ftso_graph_init(&rehearsal, &arena, in->ops);
    ftso_pairs pairs = {.arena = &arena};
    run(in, &rehearsal, &pairs, true);
    run(in, out, &pairs, false);
    ftso_arena_deinit(&arena);
    return FTSO_STATUS_OK;
}
