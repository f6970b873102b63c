/*
 * Rules: what becomes of one node whose operands are simple already.
 * In: a node about to be appended. Out: a value that stands for it, or none. Rules are rows: operator, function.
 * Holds: a rule's result is exact in real arithmetic for all operands, and it never makes a node that another rule
 * turns back. Constants are uniform, so folding one is evaluating one element.
 */
#include "ir/passes/passes_internal.h"

#include <math.h>
#include <string.h>

typedef ftso_value (*rule)(ftso_folder *f, const ftso_node *node);

static const ftso_node *operand(const ftso_folder *f, const ftso_node *node, uint32_t i)
{
    return &f->graph->nodes[node->inputs[i]];
}

static bool is_op(const ftso_folder *f, ftso_value value, const char *op_name)
{
    return ftso_node_is(&f->graph->nodes[value], op_name);
}

static bool is_zero(const ftso_folder *f, ftso_value value)
{
    return ftso_is_number(f->graph, value, 0);
}

/* ---------------------------------------------------------------- whatever the operator */

enum { MOST_EVALUATED = 4096 };

/* Scalar and vector arithmetic on constants, where the result is uniform again. */
static ftso_value fold_constants(ftso_folder *f, const ftso_node *node)
{
    if (!ftso_node_is_algebra(node) || node->input_count == 0) return FTSO_NO_VALUE;
    ftso_tensor *inputs = FTSO_ARRAY(&f->scratch, ftso_tensor, node->input_count);
    int64_t total = ftso_shape_count(node->shape);
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (!ftso_is_constant(f->graph, node->inputs[i], NULL)) return FTSO_NO_VALUE;
        total += ftso_shape_count(operand(f, node, i)->shape);
    }
    if (total > MOST_EVALUATED) return FTSO_NO_VALUE;
    for (uint32_t i = 0; i < node->input_count; i++) {
        inputs[i].shape = operand(f, node, i)->shape;
        size_t count = (size_t)ftso_shape_count(inputs[i].shape);
        inputs[i].data = FTSO_ARRAY(&f->scratch, double, count);
        double number;
        if (ftso_is_constant(f->graph, node->inputs[i], &number))
            for (size_t k = 0; k < count; k++) inputs[i].data[k] = number;
    }
    size_t count = (size_t)ftso_shape_count(node->shape);
    ftso_tensor out = {node->shape, FTSO_ARRAY(&f->scratch, double, count)};
    ftso_eval eval = {.graph = f->graph, .node = node, .inputs = inputs, .batch = 1};
    node->op->eval(&eval, &out);
    for (size_t k = 0; k < count; k++)
        if (!isfinite(out.data[k]) || out.data[k] != out.data[0]) return FTSO_NO_VALUE;
    return ftso_fold_constant(f, node->shape, out.data[0]);
}

/* A linear operator makes zeros of zeros. */
static ftso_value fold_zeros(ftso_folder *f, const ftso_node *node)
{
    if (!(node->op->flags & FTSO_OP_LINEAR) || node->input_count == 0) return FTSO_NO_VALUE;
    bool zeros = is_zero(f, node->inputs[0]);
    bool product = (node->op->flags & FTSO_OP_COMMUTES) && node->op->max_inputs == 2;
    if (node->op->max_inputs < 0 || ftso_node_is(node, "sub")) /* linear in all operands together */
        for (uint32_t i = 1; i < node->input_count; i++)
            zeros = zeros && is_zero(f, node->inputs[i]);
    else if (product && is_zero(f, node->inputs[1]))
        zeros = true;
    return zeros ? ftso_fold_constant(f, node->shape, 0) : FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- sums */

/* Channels [begin, begin + count) of a sum of embedded parts. */
typedef struct part {
    int64_t begin, count;
    ftso_value *terms;
    size_t term_count, term_capacity;
} part;

/* The value whose channels [begin, …) the term holds at their own place: embed(slice(g, begin, end), begin). */
static bool is_own_part(const ftso_folder *f, ftso_value term, int64_t begin, ftso_value *whole,
                        int64_t *end)
{
    const ftso_node *embed = &f->graph->nodes[term];
    if (!ftso_node_is(embed, "embed") || embed->attrs[1].i != begin) return false;
    const ftso_node *slice = operand(f, embed, 0);
    if (!ftso_node_is(slice, "slice") || slice->attrs[0].i != begin) return false;
    if (ftso_channel_count(operand(f, slice, 0)->shape) != embed->attrs[0].i) return false;
    *whole = slice->inputs[0];
    *end = slice->attrs[1].i;
    return true;
}

/* Parts of one value, embedded where they were, are the value. */
static ftso_value gather_parts(ftso_folder *f, const ftso_node *node)
{
    int64_t channels = ftso_channel_count(node->shape), end = 0;
    bool *taken = FTSO_ARRAY(&f->scratch, bool, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++) {
        ftso_value whole, other;
        if (!is_own_part(f, node->inputs[i], 0, &whole, &end)) continue;
        memset(taken, 0, node->input_count * sizeof *taken);
        taken[i] = true;
        bool found = true;
        while (found && end < channels) {
            found = false;
            for (uint32_t k = 0; k < node->input_count && !found; k++) {
                int64_t next;
                found = !taken[k] && is_own_part(f, node->inputs[k], end, &other, &next) &&
                        other == whole;
                if (!found) continue;
                taken[k] = true;
                end = next;
            }
        }
        if (!found) continue;
        ftso_value *terms = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
        size_t count = 0;
        for (uint32_t k = 0; k < node->input_count; k++) {
            if (k == i) terms[count++] = whole;
            if (!taken[k]) terms[count++] = node->inputs[k];
        }
        return ftso_fold_sum(f, terms, count);
    }
    return FTSO_NO_VALUE;
}

/* add(embed(a), embed(b), …) whose ranges tile the channels is a concat of sums. */
static ftso_value gather_embeds(ftso_folder *f, const ftso_node *node)
{
    part *parts = FTSO_ARRAY(&f->scratch, part, node->input_count);
    size_t part_count = 0, embedded = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const ftso_node *term = operand(f, node, i);
        if (!ftso_node_is(term, "embed")) continue;
        int64_t begin = term->attrs[1].i, count = ftso_channel_count(operand(f, term, 0)->shape);
        size_t at = 0;
        while (at < part_count && parts[at].begin < begin) at++;
        if (at == part_count || parts[at].begin != begin) {
            for (size_t k = part_count++; k > at; k--) parts[k] = parts[k - 1];
            parts[at] = (part){.begin = begin, .count = count};
        }
        if (parts[at].count != count) return FTSO_NO_VALUE;
        FTSO_PUSH(&f->scratch, parts[at].terms, parts[at].term_count, parts[at].term_capacity,
                  term->inputs[0]);
        embedded++;
    }
    int64_t end = 0;
    for (size_t k = 0; k < part_count; k++) {
        if (parts[k].begin != end) return FTSO_NO_VALUE;
        end += parts[k].count;
    }
    if (embedded < 2 || end != ftso_channel_count(node->shape)) return FTSO_NO_VALUE;
    ftso_value *joined = FTSO_ARRAY(&f->scratch, ftso_value, part_count);
    for (size_t k = 0; k < part_count; k++)
        joined[k] = ftso_fold_sum(f, parts[k].terms, parts[k].term_count);
    ftso_value *terms = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    size_t count = 0;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!ftso_node_is(operand(f, node, i), "embed")) terms[count++] = node->inputs[i];
    terms[count++] = ftso_fold_named(f, "concat", joined, part_count, NULL);
    return ftso_fold_sum(f, terms, count);
}

/* Terms masked by the same value are masked once: relu_mask is linear. */
static ftso_value gather_masks(ftso_folder *f, const ftso_node *node)
{
    ftso_value *same = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    ftso_value *rest = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (!is_op(f, node->inputs[i], "relu_mask")) continue;
        ftso_value mask = operand(f, node, i)->inputs[1];
        size_t same_count = 0, rest_count = 0;
        for (uint32_t k = 0; k < node->input_count; k++) {
            const ftso_node *term = operand(f, node, k);
            if (ftso_node_is(term, "relu_mask") && term->inputs[1] == mask)
                same[same_count++] = term->inputs[0];
            else
                rest[rest_count++] = node->inputs[k];
        }
        if (same_count < 2) continue;
        rest[rest_count++] =
            ftso_fold_binary(f, "relu_mask", ftso_fold_sum(f, same, same_count), mask);
        return ftso_fold_sum(f, rest, rest_count);
    }
    return FTSO_NO_VALUE;
}

static ftso_value add_rule(ftso_folder *f, const ftso_node *node)
{
    if (node->input_count == 1) return node->inputs[0];
    ftso_value *terms = FTSO_ARRAY(&f->scratch, ftso_value, node->input_count);
    size_t count = 0;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!is_zero(f, node->inputs[i])) terms[count++] = node->inputs[i];
    if (count < node->input_count) return ftso_fold_sum(f, terms, count);
    ftso_value gathered = gather_parts(f, node);
    if (gathered == FTSO_NO_VALUE) gathered = gather_embeds(f, node);
    return gathered != FTSO_NO_VALUE ? gathered : gather_masks(f, node);
}

static ftso_value sub_rule(ftso_folder *f, const ftso_node *node)
{
    return is_zero(f, node->inputs[1]) ? node->inputs[0] : FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- products */

static ftso_value mul_rule(ftso_folder *f, const ftso_node *node)
{
    for (int i = 0; i < 2; i++)
        if (ftso_is_number(f->graph, node->inputs[i], 1)) return node->inputs[1 - i];
    return FTSO_NO_VALUE;
}

static ftso_value div_rule(ftso_folder *f, const ftso_node *node)
{
    return ftso_is_number(f->graph, node->inputs[1], 1) ? node->inputs[0] : FTSO_NO_VALUE;
}

static ftso_value scale_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *x = operand(f, node, 0);
    if (ftso_is_number(f->graph, node->inputs[1], 1)) return node->inputs[0];
    if (is_zero(f, node->inputs[1])) return ftso_fold_constant(f, node->shape, 0);
    if (node->shape.rank == 0) return ftso_fold_binary(f, "mul", node->inputs[0], node->inputs[1]);
    if (ftso_node_is(x, "scale"))
        return ftso_fold_binary(f, "scale", x->inputs[0],
                                ftso_fold_binary(f, "mul", x->inputs[1], node->inputs[1]));
    return FTSO_NO_VALUE;
}

static ftso_value channel_mul_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *x = operand(f, node, 0);
    if (ftso_is_number(f->graph, node->inputs[1], 1)) return node->inputs[0];
    if (is_zero(f, node->inputs[1])) return ftso_fold_constant(f, node->shape, 0);
    if (ftso_node_is(x, "channel_mul"))
        return ftso_fold_binary(f, "channel_mul", x->inputs[0],
                                ftso_fold_binary(f, "mul", x->inputs[1], node->inputs[1]));
    return FTSO_NO_VALUE;
}

static ftso_value channel_add_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *x = operand(f, node, 0);
    if (is_zero(f, node->inputs[1])) return node->inputs[0];
    if (ftso_node_is(x, "channel_add"))
        return ftso_fold_binary(f, "channel_add", x->inputs[0],
                                ftso_fold_binary(f, "add", x->inputs[1], node->inputs[1]));
    return FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- masks */

static ftso_value relu_rule(ftso_folder *f, const ftso_node *node)
{
    double number;
    if (is_op(f, node->inputs[0], "relu")) return node->inputs[0];
    if (ftso_is_constant(f->graph, node->inputs[0], &number))
        return ftso_fold_constant(f, node->shape, number > 0 ? number : 0);
    return FTSO_NO_VALUE;
}

static ftso_value relu_mask_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *dy = operand(f, node, 0), *x = operand(f, node, 1);
    double number;
    if (ftso_is_constant(f->graph, node->inputs[1], &number))
        return number > 0 ? node->inputs[0] : ftso_fold_constant(f, node->shape, 0);
    if (ftso_node_is(x, "relu"))
        return ftso_fold_binary(f, "relu_mask", node->inputs[0], x->inputs[0]);
    if (ftso_node_is(dy, "relu_mask") && dy->inputs[1] == node->inputs[1]) return node->inputs[0];
    return FTSO_NO_VALUE;
}

static ftso_value zero_rule(ftso_folder *f, const ftso_node *node)
{
    return ftso_fold_constant(f, node->shape, 0);
}

/* ---------------------------------------------------------------- channels */

static ftso_value slice_of_concat(ftso_folder *f, const ftso_node *node, const ftso_node *concat)
{
    ftso_value *parts = FTSO_ARRAY(&f->scratch, ftso_value, concat->input_count);
    size_t count = 0;
    int64_t begin = node->attrs[0].i, end = node->attrs[1].i, at = 0;
    for (uint32_t i = 0; i < concat->input_count; i++) {
        int64_t channels = ftso_channel_count(operand(f, concat, i)->shape);
        int64_t from = begin > at ? begin - at : 0;
        int64_t to = end < at + channels ? end - at : channels;
        ftso_value whole = concat->inputs[i];
        if (from < to) parts[count++] = ftso_fold_slice(f, whole, from, to);
        at += channels;
    }
    return count == 1 ? parts[0] : ftso_fold_named(f, "concat", parts, count, NULL);
}

static ftso_value slice_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node x = *operand(f, node, 0);
    int64_t begin = node->attrs[0].i, end = node->attrs[1].i;
    double number;
    if (begin == 0 && end == ftso_channel_count(x.shape)) return node->inputs[0];
    if (ftso_is_constant(f->graph, node->inputs[0], &number))
        return ftso_fold_constant(f, node->shape, number);
    if (ftso_node_is(&x, "slice"))
        return ftso_fold_slice(f, x.inputs[0], x.attrs[0].i + begin, x.attrs[0].i + end);
    if (ftso_node_is(&x, "concat")) return slice_of_concat(f, node, &x);
    if (!ftso_node_is(&x, "embed")) return FTSO_NO_VALUE;
    int64_t first = x.attrs[1].i, last = first + ftso_channel_count(operand(f, &x, 0)->shape);
    if (begin >= first && end <= last)
        return ftso_fold_slice(f, x.inputs[0], begin - first, end - first);
    if (begin >= last || end <= first) return ftso_fold_constant(f, node->shape, 0);
    return FTSO_NO_VALUE;
}

static ftso_value embed_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *x = operand(f, node, 0);
    int64_t channels = node->attrs[0].i, begin = node->attrs[1].i;
    if (channels == ftso_channel_count(x->shape)) return node->inputs[0];
    if (ftso_node_is(x, "embed"))
        return ftso_fold_named(
            f, "embed", x->inputs, 1,
            (ftso_attr_value[]){FTSO_I(channels), FTSO_I(begin + x->attrs[1].i)});
    return FTSO_NO_VALUE;
}

/* What two neighbours of a concat join to, or FTSO_NO_VALUE: slices that touch, equal constants. */
static ftso_value join_parts(ftso_folder *f, ftso_value left, ftso_value right)
{
    const ftso_node *a = &f->graph->nodes[left], *b = &f->graph->nodes[right];
    double x, y;
    if (ftso_node_is(a, "slice") && ftso_node_is(b, "slice") && a->inputs[0] == b->inputs[0] &&
        a->attrs[1].i == b->attrs[0].i)
        return ftso_fold_slice(f, a->inputs[0], a->attrs[0].i, b->attrs[1].i);
    if (ftso_is_constant(f->graph, left, &x) && ftso_is_constant(f->graph, right, &y) && x == y) {
        ftso_shape shape = a->shape;
        shape.dim[shape.rank == 4 ? 1 : 0] += ftso_channel_count(b->shape);
        return ftso_fold_constant(f, shape, x);
    }
    return FTSO_NO_VALUE;
}

static ftso_value concat_rule(ftso_folder *f, const ftso_node *node)
{
    ftso_value *parts = NULL;
    size_t count = 0, capacity = 0;
    bool changed = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const ftso_node whole = *operand(f, node, i);
        bool nested = ftso_node_is(&whole, "concat");
        changed = changed || nested;
        for (uint32_t k = 0; k < (nested ? whole.input_count : 1); k++) {
            ftso_value next = nested ? whole.inputs[k] : node->inputs[i];
            ftso_value joined =
                count ? join_parts(f, parts[count - 1], next) : (ftso_value)FTSO_NO_VALUE;
            changed = changed || joined != FTSO_NO_VALUE;
            if (joined != FTSO_NO_VALUE)
                parts[count - 1] = joined;
            else
                FTSO_PUSH(&f->scratch, parts, count, capacity, next);
        }
    }
    if (count == 1) return parts[0];
    return changed ? ftso_fold_named(f, "concat", parts, count, NULL) : FTSO_NO_VALUE;
}

static ftso_value shuffle_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *x = operand(f, node, 0);
    int64_t groups = node->attrs[0].i, power = node->attrs[1].i;
    int64_t order = ftso_shuffle_order(ftso_channel_count(node->shape), groups);
    if (power % order == 0 || ftso_is_constant(f->graph, node->inputs[0], NULL))
        return node->inputs[0];
    if (ftso_node_is(x, "shuffle") && x->attrs[0].i == groups)
        return ftso_fold_shuffle(f, x->inputs[0], groups, power + x->attrs[1].i);
    return power >= order ? ftso_fold_shuffle(f, node->inputs[0], groups, power) : FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- views, packs, elements */

static ftso_value make_view(ftso_folder *f, ftso_value base, int64_t offset, ftso_shape shape)
{
    ftso_attr_value attrs[6] = {FTSO_I(offset), FTSO_I(shape.rank)};
    for (int d = 0; d < FTSO_MAX_RANK; d++)
        attrs[2 + d] = FTSO_I(d < shape.rank ? shape.dim[d] : 0);
    return ftso_fold_named(f, "view", &base, 1, attrs);
}

/* The operand of a pack that holds elements [*offset, *offset + count) whole; *offset becomes the place inside it. */
static ftso_value find_in_pack(const ftso_folder *f, const ftso_node *pack, int64_t *offset,
                               int64_t count)
{
    int64_t at = 0;
    for (uint32_t i = 0; i < pack->input_count; i++) {
        int64_t size = ftso_shape_count(operand(f, pack, i)->shape);
        if (*offset >= at && *offset + count <= at + size) {
            *offset -= at;
            return pack->inputs[i];
        }
        at += size;
    }
    return FTSO_NO_VALUE;
}

static ftso_value view_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *base = operand(f, node, 0);
    int64_t offset = node->attrs[0].i;
    double number;
    if (offset == 0 && ftso_shape_equal(node->shape, base->shape)) return node->inputs[0];
    if (ftso_is_constant(f->graph, node->inputs[0], &number))
        return ftso_fold_constant(f, node->shape, number);
    if (ftso_node_is(base, "view"))
        return make_view(f, base->inputs[0], offset + base->attrs[0].i, node->shape);
    if (!ftso_node_is(base, "pack")) return FTSO_NO_VALUE;
    ftso_value inside = find_in_pack(f, base, &offset, ftso_shape_count(node->shape));
    return inside == FTSO_NO_VALUE ? inside : make_view(f, inside, offset, node->shape);
}

static ftso_value pack_rule(ftso_folder *f, const ftso_node *node)
{
    ftso_value *parts = NULL;
    size_t count = 0, capacity = 0;
    bool nested = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const ftso_node *piece = operand(f, node, i);
        bool inner = ftso_node_is(piece, "pack");
        nested = nested || inner;
        for (uint32_t k = 0; k < (inner ? piece->input_count : 1); k++)
            FTSO_PUSH(&f->scratch, parts, count, capacity,
                      inner ? piece->inputs[k] : node->inputs[i]);
    }
    if (count == 1) return make_view(f, parts[0], 0, node->shape);
    return nested ? ftso_fold_named(f, "pack", parts, count, NULL) : FTSO_NO_VALUE;
}

static ftso_value element_rule(ftso_folder *f, const ftso_node *node)
{
    const ftso_node *v = operand(f, node, 0);
    int64_t index = node->attrs[0].i;
    if (ftso_node_is(v, "stack")) return v->inputs[index];
    if (ftso_node_is(v, "fill")) return v->inputs[0];
    ftso_value inside = FTSO_NO_VALUE;
    if (ftso_node_is(v, "pack")) inside = find_in_pack(f, v, &index, 1);
    if (ftso_node_is(v, "view")) {
        inside = v->inputs[0];
        index += v->attrs[0].i;
    }
    if (inside == FTSO_NO_VALUE || f->graph->nodes[inside].shape.rank != 1) return FTSO_NO_VALUE;
    return ftso_fold_named(f, "element", &inside, 1, (ftso_attr_value[]){FTSO_I(index)});
}

/* All elements of one vector, in order, are the vector. */
static ftso_value stack_rule(ftso_folder *f, const ftso_node *node)
{
    ftso_value vector = FTSO_NO_VALUE;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const ftso_node *piece = operand(f, node, i);
        if (!ftso_node_is(piece, "element") || piece->attrs[0].i != i) return FTSO_NO_VALUE;
        if (i == 0) vector = piece->inputs[0];
        if (piece->inputs[0] != vector) return FTSO_NO_VALUE;
    }
    bool all = f->graph->nodes[vector].shape.dim[0] == node->input_count;
    return all ? vector : (ftso_value)FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- the table */

static const struct {
    const char *op_name; /* NULL: every operator */
    rule apply;
} rules[] = {
    {NULL, fold_constants},
    {NULL, fold_zeros},
    {"add", add_rule},
    {"sub", sub_rule},
    {"mul", mul_rule},
    {"div", div_rule},
    {"scale", scale_rule},
    {"channel_mul", channel_mul_rule},
    {"channel_add", channel_add_rule},
    {"relu", relu_rule},
    {"relu_mask", relu_mask_rule},
    {"zero", zero_rule},
    {"slice", slice_rule},
    {"embed", embed_rule},
    {"concat", concat_rule},
    {"shuffle", shuffle_rule},
    {"view", view_rule},
    {"pack", pack_rule},
    {"element", element_rule},
    {"stack", stack_rule},
};

ftso_value ftso_rules_apply(ftso_folder *folder, const ftso_node *node)
{
    for (size_t i = 0; i < FTSO_COUNT(rules); i++) {
        if (rules[i].op_name && !ftso_node_is(node, rules[i].op_name)) continue;
        ftso_value value = rules[i].apply(folder, node);
        if (value != FTSO_NO_VALUE) return value;
    }
    return FTSO_NO_VALUE;
}
