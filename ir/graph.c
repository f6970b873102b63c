/*
 * Graphs: appending nodes and leaves, looking things up, and the lookups of the operator table.
 * In: operator names, operands, attributes. Out: nodes in topological order, because only existing values can be operands.
 * Holds: a node's shape is what its operator's rule gives (ftso_graph_verify checks it again after every pass).
 */
#include "ir/ir.h"

#include <string.h>

/* ---------------------------------------------------------------- operator table */

const ftso_op *ftso_op_find(const ftso_op_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i]->name, name) == 0) return table->rows[i];
    return NULL;
}

int ftso_op_attr(const ftso_op *op, const char *attr_name)
{
    for (int i = 0; i < op->attr_count; i++)
        if (strcmp(op->attrs[i].name, attr_name) == 0) return i;
    return -1;
}

int64_t ftso_node_int(const ftso_node *node, const char *attr_name)
{
    int i = ftso_op_attr(node->op, attr_name);
    FTSO_ASSERT(i >= 0 && node->op->attrs[i].kind == FTSO_ATTR_INT);
    return node->attrs[i].i;
}

double ftso_node_real(const ftso_node *node, const char *attr_name)
{
    int i = ftso_op_attr(node->op, attr_name);
    FTSO_ASSERT(i >= 0 && node->op->attrs[i].kind == FTSO_ATTR_REAL);
    return node->attrs[i].r;
}

bool ftso_node_is(const ftso_node *node, const char *op_name)
{
    return strcmp(node->op->name, op_name) == 0;
}

bool ftso_node_is_algebra(const ftso_node *node)
{
    if (node->shape.rank > 1 || node->shape.batched) return false;
    if (node->op->op_class == FTSO_CLASS_POINTWISE) return true;
    return node->op->kernel_class && strcmp(node->op->kernel_class, "algebra") == 0;
}

enum { MAX_ELEMENTS_LOG2 = 40 };

/* "conv takes 2 operands, not 1" */
static bool arity_fits(const ftso_op *op, size_t count, ftso_text *why)
{
    size_t least = (size_t)op->min_inputs,
           most = op->max_inputs < 0 ? SIZE_MAX : (size_t)op->max_inputs;
    if (count >= least && count <= most) return true;
    if (!why) return false;
    ftso_text_printf(why, "%s takes ", op->name);
    if (most == SIZE_MAX)
        ftso_text_printf(why, "at least %zu", least);
    else if (most > least)
        ftso_text_printf(why, "%zu to %zu", least, most);
    else
        ftso_text_printf(why, "%zu", least);
    bool single = most == 1 || (most == SIZE_MAX && least == 1);
    ftso_text_printf(why, " operand%s, not %zu", single ? "" : "s", count);
    return false;
}

bool ftso_op_shape(const ftso_op *op, const ftso_shape *inputs, size_t input_count,
                   const ftso_attr_value *attrs, ftso_shape *out, ftso_text *why)
{
    if (!arity_fits(op, input_count, why)) return false;
    if (!op->shape(inputs, input_count, attrs, out, why)) return false;
    int64_t count = 1;
    for (int d = 0; d < out->rank; d++)
        if (!ftso_i64_mul(count, out->dim[d], &count) || count > INT64_C(1) << MAX_ELEMENTS_LOG2) {
            if (why)
                ftso_text_printf(why, "%s makes more than 2^%d elements", op->name,
                                 MAX_ELEMENTS_LOG2);
            return false;
        }
    return true;
}

/* ---------------------------------------------------------------- building */

void ftso_graph_init(ftso_graph *graph, ftso_arena *arena, const ftso_op_table *ops)
{
    *graph = (ftso_graph){.arena = arena, .ops = ops};
}

const ftso_node *ftso_graph_node(const ftso_graph *graph, ftso_value value)
{
    FTSO_ASSERT(value < graph->node_count);
    return &graph->nodes[value];
}

ftso_shape ftso_graph_shape(const ftso_graph *graph, ftso_value value)
{
    return ftso_graph_node(graph, value)->shape;
}

static ftso_value append(ftso_graph *graph, const ftso_op *op, const ftso_value *inputs,
                         size_t input_count, const ftso_attr_value *attrs, size_t attr_count,
                         ftso_origin origin)
{
    FTSO_ASSERT(attr_count <= (size_t)op->attr_count);
    FTSO_ASSERT(graph->node_count < FTSO_NO_VALUE);
    ftso_node node = {.op = op, .input_count = (uint32_t)input_count, .origin = origin};
    ftso_shape few[8], *shapes = few;
    if (input_count > FTSO_COUNT(few)) shapes = FTSO_ARRAY(graph->arena, ftso_shape, input_count);
    if (input_count) node.inputs = FTSO_ARRAY(graph->arena, ftso_value, input_count);
    for (size_t i = 0; i < input_count; i++) {
        node.inputs[i] = inputs[i];
        shapes[i] = ftso_graph_shape(graph, inputs[i]);
    }
    for (int i = 0; i < op->attr_count; i++) {
        node.attrs[i] = (size_t)i < attr_count ? attrs[i] : op->attrs[i].fallback;
        if (op->attrs[i].kind == FTSO_ATTR_NAME)
            node.attrs[i].name =
                ftso_strdup(graph->arena, node.attrs[i].name ? node.attrs[i].name : "");
    }
    ftso_text why;
    ftso_text_init(&why);
    if (!ftso_op_shape(op, shapes, input_count, node.attrs, &node.shape, &why)) {
        fprintf(stderr, "ftso: %s: %s\n", op->name, ftso_text_get(&why));
        FTSO_ASSERT(!"the shape rule accepts the node");
    }
    ftso_text_deinit(&why);
    FTSO_PUSH(graph->arena, graph->nodes, graph->node_count, graph->node_capacity, node);
    return (ftso_value)(graph->node_count - 1);
}

ftso_value ftso_graph_add(ftso_graph *graph, const char *op_name, const ftso_value *inputs,
                          size_t input_count, const ftso_attr_value *attrs, size_t attr_count)
{
    const ftso_op *op = ftso_op_find(graph->ops, op_name);
    if (!op) fprintf(stderr, "ftso: no operator %s\n", op_name);
    FTSO_ASSERT(op != NULL);
    return append(graph, op, inputs, input_count, attrs, attr_count, graph->origin);
}

ftso_value ftso_graph_copy(ftso_graph *graph, const ftso_node *node, const ftso_value *inputs)
{
    return append(graph, node->op, inputs, node->input_count, node->attrs,
                  (size_t)node->op->attr_count, node->origin);
}

static ftso_value leaf(ftso_graph *graph, const char *op_name, ftso_attr_value first,
                       ftso_shape shape)
{
    ftso_attr_value attrs[7] = {first, FTSO_I(shape.rank), FTSO_I(shape.batched)};
    for (int d = 0; d < FTSO_MAX_RANK; d++)
        attrs[3 + d] = FTSO_I(d < shape.rank ? shape.dim[d] : 0);
    return ftso_graph_add(graph, op_name, NULL, 0, attrs, FTSO_COUNT(attrs));
}

static ftso_value named_leaf(ftso_graph *graph, const char *op_name, const char *name,
                             ftso_shape shape)
{
    FTSO_ASSERT(ftso_graph_find(graph, name) == FTSO_NO_VALUE);
    return leaf(graph, op_name, (ftso_attr_value){.name = name}, shape);
}

ftso_value ftso_graph_input(ftso_graph *graph, const char *name, ftso_shape shape)
{
    return named_leaf(graph, "input", name, shape);
}

ftso_value ftso_graph_state(ftso_graph *graph, const char *name, ftso_shape shape)
{
    return named_leaf(graph, "state", name, shape);
}

ftso_value ftso_graph_constant(ftso_graph *graph, ftso_shape shape, double value)
{
    return leaf(graph, "constant", FTSO_R(value), shape);
}

void ftso_graph_output(ftso_graph *graph, const char *name, ftso_value value, ftso_value state)
{
    FTSO_ASSERT(value < graph->node_count);
    ftso_output output = {ftso_strdup(graph->arena, name), value, state};
    FTSO_PUSH(graph->arena, graph->outputs, graph->output_count, graph->output_capacity, output);
}

ftso_value ftso_graph_find(const ftso_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const ftso_node *node = &graph->nodes[i];
        if (node->op->op_class != FTSO_CLASS_LEAF || node->op->attr_count == 0) continue;
        if (node->op->attrs[0].kind == FTSO_ATTR_NAME && strcmp(node->attrs[0].name, name) == 0)
            return (ftso_value)i;
    }
    return FTSO_NO_VALUE;
}

/* ---------------------------------------------------------------- short forms */

ftso_value ftso_graph_unary(ftso_graph *graph, const char *op_name, ftso_value a)
{
    return ftso_graph_add(graph, op_name, &a, 1, NULL, 0);
}

ftso_value ftso_graph_binary(ftso_graph *graph, const char *op_name, ftso_value a, ftso_value b)
{
    return ftso_graph_add(graph, op_name, (ftso_value[]){a, b}, 2, NULL, 0);
}

ftso_value ftso_graph_sum(ftso_graph *graph, const ftso_value *terms, size_t count)
{
    FTSO_ASSERT(count >= 1);
    return count == 1 ? terms[0] : ftso_graph_add(graph, "add", terms, count, NULL, 0);
}

ftso_value ftso_graph_view(ftso_graph *graph, ftso_value base, int64_t offset, ftso_shape shape)
{
    FTSO_ASSERT(!shape.batched);
    ftso_attr_value attrs[6] = {FTSO_I(offset), FTSO_I(shape.rank)};
    for (int d = 0; d < FTSO_MAX_RANK; d++)
        attrs[2 + d] = FTSO_I(d < shape.rank ? shape.dim[d] : 0);
    return ftso_graph_add(graph, "view", &base, 1, attrs, FTSO_COUNT(attrs));
}

ftso_value ftso_graph_times(ftso_graph *graph, ftso_value x, double factor)
{
    return ftso_graph_binary(graph, "scale", x,
                             ftso_graph_constant(graph, ftso_shape_scalar(), factor));
}

ftso_value ftso_graph_unshifted(const ftso_graph *graph, ftso_value x)
{
    while (ftso_node_is(ftso_graph_node(graph, x), "channel_add"))
        x = ftso_graph_node(graph, x)->inputs[0];
    return x;
}

void ftso_graph_statistics(ftso_graph *graph, ftso_value x, double eps, ftso_value *out_mean,
                           ftso_value *out_var, ftso_value *out_rstd)
{
    ftso_shape shape = ftso_graph_shape(graph, x);
    ftso_attr_value pixels = FTSO_I(shape.dim[2] * shape.dim[3]), root = FTSO_R(eps);
    ftso_value share = ftso_graph_add(graph, "mean_scale", NULL, 0, &pixels, 1);
    ftso_value mean =
        ftso_graph_binary(graph, "scale", ftso_graph_unary(graph, "channel_sum", x), share);
    if (out_mean) *out_mean = mean;
    if (!out_var && !out_rstd) return;
    ftso_value square =
        ftso_graph_binary(graph, "scale", ftso_graph_binary(graph, "channel_dot", x, x), share);
    ftso_value variance =
        ftso_graph_binary(graph, "sub", square, ftso_graph_binary(graph, "mul", mean, mean));
    if (out_var) *out_var = variance;
    if (out_rstd) *out_rstd = ftso_graph_add(graph, "rsqrt", &variance, 1, &root, 1);
}

/* ---------------------------------------------------------------- questions about a whole graph */

/* Shapes of a node's operands; `few` serves when there are at most 8. */
static ftso_shape *operand_shapes(const ftso_graph *graph, const ftso_node *node, ftso_shape few[8],
                                  ftso_arena *arena)
{
    ftso_shape *shapes =
        node->input_count > 8 ? FTSO_ARRAY(arena, ftso_shape, node->input_count) : few;
    for (uint32_t i = 0; i < node->input_count; i++)
        shapes[i] = ftso_graph_shape(graph, node->inputs[i]);
    return shapes;
}

int64_t ftso_graph_min_batch(const ftso_graph *graph)
{
    int64_t smallest = 1;
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    for (size_t i = 0; i < graph->node_count; i++) {
        const ftso_node *node = &graph->nodes[i];
        if (!node->op->min_batch) continue;
        ftso_shape few[8];
        int64_t needs =
            node->op->min_batch(operand_shapes(graph, node, few, &scratch), node->attrs);
        if (needs > smallest) smallest = needs;
    }
    ftso_arena_deinit(&scratch);
    return smallest;
}

ftso_cost ftso_node_cost(const ftso_graph *graph, ftso_value value)
{
    const ftso_node *node = ftso_graph_node(graph, value);
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    ftso_shape few[8];
    ftso_cost cost = node->op->cost(operand_shapes(graph, node, few, &scratch), node->input_count,
                                    node->attrs, node->shape);
    ftso_arena_deinit(&scratch);
    return cost;
}
