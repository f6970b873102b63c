/*
 * The folder: appends nodes to a graph, merging equal ones and applying rules first; and the frame of rebuilding passes.
 * In: operators and operands. Out: values. Holds: two values of the graph are never the same operator on the same operands
 * with the same attributes (operands of commutative operators in any order); named leaves stay apart.
 */
#include "ir/passes/passes_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- merging equal nodes */

static int by_number(const void *left, const void *right)
{
    ftso_value a = *(const ftso_value *)left, b = *(const ftso_value *)right;
    return (a > b) - (a < b);
}

/* Operands in an order that does not matter, for commutative operators; a copy in `scratch`. */
static const ftso_value *sorted_operands(ftso_arena *scratch, const ftso_node *node)
{
    if (!(node->op->flags & FTSO_OP_COMMUTES) || node->input_count < 2) return node->inputs;
    ftso_value *sorted = FTSO_ARRAY(scratch, ftso_value, node->input_count);
    memcpy(sorted, node->inputs, node->input_count * sizeof *sorted);
    qsort(sorted, node->input_count, sizeof *sorted, by_number);
    return sorted;
}

static uint64_t hash_node(ftso_arena *scratch, const ftso_node *node)
{
    uint64_t hash = ftso_hash(FTSO_HASH_SEED, node->op->name, strlen(node->op->name));
    hash = ftso_hash(hash, sorted_operands(scratch, node), node->input_count * sizeof(ftso_value));
    return ftso_hash(hash, node->attrs, (size_t)node->op->attr_count * sizeof *node->attrs);
}

static bool same_node(ftso_arena *scratch, const ftso_node *a, const ftso_node *b)
{
    if (a->op != b->op || a->input_count != b->input_count) return false;
    for (int i = 0; i < a->op->attr_count; i++)
        if (memcmp(&a->attrs[i], &b->attrs[i], sizeof a->attrs[i]) != 0) return false;
    const ftso_value *x = sorted_operands(scratch, a), *y = sorted_operands(scratch, b);
    return a->input_count == 0 || memcmp(x, y, a->input_count * sizeof *x) == 0;
}

static bool has_name(const ftso_op *op)
{
    for (int i = 0; i < op->attr_count; i++)
        if (op->attrs[i].kind == FTSO_ATTR_NAME) return true;
    return false;
}

/* The slot of a node equal to `node`, or the free slot where it belongs. */
static size_t find_slot(ftso_folder *f, const ftso_node *node)
{
    size_t at = (size_t)hash_node(&f->scratch, node) & (f->slot_count - 1);
    while (f->slots[at] != FTSO_NO_VALUE &&
           !same_node(&f->scratch, &f->graph->nodes[f->slots[at]], node))
        at = (at + 1) & (f->slot_count - 1);
    return at;
}

static void make_slots(ftso_folder *f, size_t count)
{
    f->slots = FTSO_ARRAY(&f->scratch, ftso_value, count);
    f->slot_count = count;
    for (size_t i = 0; i < count; i++) f->slots[i] = FTSO_NO_VALUE;
}

static void widen(ftso_folder *f)
{
    ftso_value *old = f->slots;
    size_t old_count = f->slot_count;
    make_slots(f, old_count * 2);
    for (size_t i = 0; i < old_count; i++)
        if (old[i] != FTSO_NO_VALUE) f->slots[find_slot(f, &f->graph->nodes[old[i]])] = old[i];
}

void ftso_folder_init(ftso_folder *folder, ftso_graph *graph)
{
    *folder = (ftso_folder){.graph = graph};
    ftso_arena_init(&folder->scratch);
    make_slots(folder, 1024);
    for (size_t v = 0; v < graph->node_count; v++) {
        if (has_name(graph->nodes[v].op)) continue;
        folder->slots[find_slot(folder, &graph->nodes[v])] = (ftso_value)v;
        if (++folder->used * 2 > folder->slot_count) widen(folder);
    }
}

void ftso_folder_deinit(ftso_folder *folder)
{
    ftso_arena_deinit(&folder->scratch);
}

ftso_value ftso_fold(ftso_folder *folder, const ftso_op *op, const ftso_value *inputs,
                     size_t input_count, const ftso_attr_value *attrs)
{
    ftso_node node = {.op = op, .input_count = (uint32_t)input_count};
    if (input_count) node.inputs = FTSO_ARRAY(&folder->scratch, ftso_value, input_count);
    ftso_shape *shapes = FTSO_ARRAY(&folder->scratch, ftso_shape, input_count + 1);
    for (size_t i = 0; i < input_count; i++) {
        node.inputs[i] = inputs[i];
        shapes[i] = ftso_graph_shape(folder->graph, inputs[i]);
    }
    for (int i = 0; attrs && i < op->attr_count; i++) node.attrs[i] = attrs[i];
    for (int i = 0; !attrs && i < op->attr_count; i++) node.attrs[i] = op->attrs[i].fallback;
    bool named = has_name(op);
    if (!named) {
        ftso_value found = folder->slots[find_slot(folder, &node)];
        if (found != FTSO_NO_VALUE) return found;
        FTSO_ASSERT(ftso_op_shape(op, shapes, input_count, node.attrs, &node.shape, NULL));
        ftso_value better = folder->plain ? FTSO_NO_VALUE : ftso_rules_apply(folder, &node);
        if (better != FTSO_NO_VALUE) return better;
    }
    ftso_value value = ftso_graph_add(folder->graph, op->name, inputs, input_count, node.attrs,
                                      (size_t)op->attr_count);
    if (named) return value;
    folder->slots[find_slot(folder, &folder->graph->nodes[value])] = value;
    if (++folder->used * 2 > folder->slot_count) widen(folder);
    return value;
}

ftso_value ftso_fold_find(ftso_folder *folder, const ftso_op *op, const ftso_value *inputs,
                          size_t input_count)
{
    ftso_node node = {.op = op, .input_count = (uint32_t)input_count};
    node.inputs = FTSO_ARRAY(&folder->scratch, ftso_value, input_count);
    memcpy(node.inputs, inputs, input_count * sizeof *inputs);
    for (int i = 0; i < op->attr_count; i++) node.attrs[i] = op->attrs[i].fallback;
    return folder->slots[find_slot(folder, &node)];
}

/* ---------------------------------------------------------------- short forms */

ftso_value ftso_fold_named(ftso_folder *folder, const char *op_name, const ftso_value *inputs,
                           size_t input_count, const ftso_attr_value *attrs)
{
    const ftso_op *op = ftso_op_find(folder->graph->ops, op_name);
    FTSO_ASSERT(op != NULL);
    return ftso_fold(folder, op, inputs, input_count, attrs);
}

ftso_value ftso_fold_unary(ftso_folder *folder, const char *op_name, ftso_value a)
{
    return ftso_fold_named(folder, op_name, &a, 1, NULL);
}

ftso_value ftso_fold_binary(ftso_folder *folder, const char *op_name, ftso_value a, ftso_value b)
{
    return ftso_fold_named(folder, op_name, (ftso_value[]){a, b}, 2, NULL);
}

ftso_value ftso_fold_sum(ftso_folder *folder, const ftso_value *terms, size_t count)
{
    return count == 1 ? terms[0] : ftso_fold_named(folder, "add", terms, count, NULL);
}

ftso_value ftso_fold_constant(ftso_folder *folder, ftso_shape shape, double number)
{
    /* as ftso_graph_constant spells it */
    ftso_attr_value attrs[7] = {FTSO_R(number), FTSO_I(shape.rank), FTSO_I(shape.batched)};
    for (int d = 0; d < FTSO_MAX_RANK; d++)
        attrs[3 + d] = FTSO_I(d < shape.rank ? shape.dim[d] : 0);
    return ftso_fold_named(folder, "constant", NULL, 0, attrs);
}

ftso_value ftso_fold_slice(ftso_folder *folder, ftso_value x, int64_t begin, int64_t end)
{
    return ftso_fold_named(folder, "slice", &x, 1, (ftso_attr_value[]){FTSO_I(begin), FTSO_I(end)});
}

bool ftso_is_shuffled_image(const ftso_node *node)
{
    return ftso_node_is(node, "shuffle") && node->shape.rank == 4;
}

bool ftso_is_shuffle_power(const ftso_node *a, const ftso_node *b, int64_t times)
{
    if (a->attrs[0].i != b->attrs[0].i || !ftso_shape_equal(a->shape, b->shape)) return false;
    int64_t order = ftso_shuffle_order(ftso_channel_count(a->shape), a->attrs[0].i);
    return (times * a->attrs[1].i - b->attrs[1].i) % order == 0;
}

ftso_value ftso_fold_shuffle(ftso_folder *folder, ftso_value x, int64_t groups, int64_t power)
{
    int64_t channels = ftso_channel_count(ftso_graph_shape(folder->graph, x));
    int64_t order = ftso_shuffle_order(channels, groups);
    power = (power % order + order) % order;
    ftso_attr_value attrs[] = {FTSO_I(groups), FTSO_I(power)};
    return ftso_fold_named(folder, "shuffle", &x, 1, attrs);
}

bool ftso_is_constant(const ftso_graph *graph, ftso_value value, double *out)
{
    const ftso_node *node = ftso_graph_node(graph, value);
    if (!ftso_node_is(node, "constant")) return false;
    if (out) *out = node->attrs[0].r;
    return true;
}

bool ftso_is_number(const ftso_graph *graph, ftso_value value, double number)
{
    double found;
    return ftso_is_constant(graph, value, &found) && found == number;
}

int64_t ftso_channel_count(ftso_shape shape)
{
    return shape.dim[shape.rank == 4 ? 1 : 0];
}

/* ---------------------------------------------------------------- rebuilding passes */

void ftso_rebuild_begin(ftso_rebuild *rebuild, const ftso_graph *in, ftso_graph *out)
{
    *rebuild = (ftso_rebuild){.in = in};
    ftso_folder_init(&rebuild->folder, out);
    ftso_arena *scratch = &rebuild->folder.scratch;
    rebuild->map = FTSO_ARRAY(scratch, ftso_value, in->node_count);
    rebuild->live = FTSO_ARRAY(scratch, bool, in->node_count);
    rebuild->use_count = FTSO_ARRAY(scratch, size_t, in->node_count);
    for (size_t i = 0; i < in->output_count; i++) {
        rebuild->live[in->outputs[i].value] = true;
        rebuild->use_count[in->outputs[i].value]++;
    }
    for (size_t v = in->node_count; v-- > 0;) {
        const ftso_node *node = &in->nodes[v];
        rebuild->map[v] = FTSO_NO_VALUE;
        if (has_name(node->op)) rebuild->live[v] = true;
        for (uint32_t i = 0; rebuild->live[v] && i < node->input_count; i++) {
            rebuild->live[node->inputs[i]] = true;
            rebuild->use_count[node->inputs[i]]++;
        }
    }
}

ftso_value *ftso_rebuild_operands(ftso_rebuild *rebuild, const ftso_node *node)
{
    ftso_value *operands =
        FTSO_ARRAY(&rebuild->folder.scratch, ftso_value, (size_t)node->input_count + 1);
    for (uint32_t i = 0; i < node->input_count; i++) operands[i] = rebuild->map[node->inputs[i]];
    return operands;
}

ftso_value ftso_rebuild_node(ftso_rebuild *rebuild, const ftso_node *node)
{
    rebuild->folder.graph->origin = node->origin;
    return ftso_fold(&rebuild->folder, node->op, ftso_rebuild_operands(rebuild, node),
                     node->input_count, node->attrs);
}

void ftso_rebuild_end(ftso_rebuild *rebuild)
{
    for (size_t i = 0; i < rebuild->in->output_count; i++) {
        const ftso_output *output = &rebuild->in->outputs[i];
        ftso_value state =
            output->state == FTSO_NO_VALUE ? FTSO_NO_VALUE : rebuild->map[output->state];
        ftso_graph_output(rebuild->folder.graph, output->name, rebuild->map[output->value], state);
    }
    ftso_folder_deinit(&rebuild->folder);
}
