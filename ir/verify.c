/*
 * Verifier: every invariant of a graph, checked after every pass.
 * In: any graph. Out: success, or an internal error that names the node and the rule it breaks.
 */
#include "ir/ir.h"

#include <string.h>

static ftso_status broken(const ftso_graph *graph, size_t i, const char *rule)
{
    return ftso_error(FTSO_ERROR_INTERNAL, "graph: node %%%zu (%s): %s", i,
                      graph->nodes[i].op->name, rule);
}

static const char *leaf_name(const ftso_node *node)
{
    if (node->op->op_class != FTSO_CLASS_LEAF || node->op->attr_count == 0) return NULL;
    return node->op->attrs[0].kind == FTSO_ATTR_NAME ? node->attrs[0].name : NULL;
}

static ftso_status verify_node(const ftso_graph *graph, size_t i, ftso_arena *scratch,
                               ftso_text *why)
{
    const ftso_node *node = &graph->nodes[i];
    if (ftso_op_find(graph->ops, node->op->name) != node->op)
        return broken(graph, i, "operator not in the table");
    ftso_shape few[8], *shapes = few;
    if (node->input_count > FTSO_COUNT(few))
        shapes = FTSO_ARRAY(scratch, ftso_shape, node->input_count);
    for (uint32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k] >= i) return broken(graph, i, "operand made later than its user");
        shapes[k] = graph->nodes[node->inputs[k]].shape;
    }
    for (int a = 0; a < node->op->attr_count; a++)
        if (node->op->attrs[a].kind == FTSO_ATTR_NAME &&
            (!node->attrs[a].name || !node->attrs[a].name[0]))
            return broken(graph, i, "empty name");
    ftso_shape shape;
    if (!ftso_op_shape(node->op, shapes, node->input_count, node->attrs, &shape, why))
        return broken(graph, i, ftso_text_get(why));
    if (!ftso_shape_equal(shape, node->shape))
        return broken(graph, i, "shape is not what its rule gives");
    for (int d = node->shape.rank; d < FTSO_MAX_RANK; d++)
        if (node->shape.dim[d] != 0) return broken(graph, i, "dimension past the rank");
    return FTSO_STATUS_OK;
}

static ftso_status verify_batch(const ftso_graph *graph, size_t i, int64_t *batch)
{
    const ftso_node *node = &graph->nodes[i];
    if (!node->shape.batched) return FTSO_STATUS_OK;
    if (*batch == 0) *batch = node->shape.dim[0];
    return *batch == node->shape.dim[0]
               ? FTSO_STATUS_OK
               : broken(graph, i, "planned for another batch than the rest");
}

static ftso_status verify_names(const ftso_graph *graph, ftso_arena *scratch)
{
    const char **names = FTSO_ARRAY(scratch, const char *, graph->node_count);
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const char *name = leaf_name(&graph->nodes[i]);
        if (!name) continue;
        for (size_t k = 0; k < count; k++)
            if (strcmp(names[k], name) == 0) return broken(graph, i, "name of an earlier leaf");
        names[count++] = name;
    }
    return FTSO_STATUS_OK;
}

static ftso_status verify_outputs(const ftso_graph *graph)
{
    for (size_t i = 0; i < graph->output_count; i++) {
        const ftso_output *output = &graph->outputs[i];
        if (output->value >= graph->node_count)
            return ftso_error(FTSO_ERROR_INTERNAL, "graph: output \"%s\" has no value",
                              output->name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(graph->outputs[k].name, output->name) == 0)
                return ftso_error(FTSO_ERROR_INTERNAL, "graph: two outputs \"%s\"", output->name);
        if (output->state == FTSO_NO_VALUE) continue;
        if (output->state >= graph->node_count ||
            !ftso_node_is(&graph->nodes[output->state], "state"))
            return ftso_error(FTSO_ERROR_INTERNAL, "graph: output \"%s\" does not go to a state",
                              output->name);
        if (!ftso_shape_equal(graph->nodes[output->value].shape, graph->nodes[output->state].shape))
            return ftso_error(FTSO_ERROR_INTERNAL,
                              "graph: output \"%s\" has another shape than its state",
                              output->name);
        for (size_t k = 0; k < i; k++)
            if (graph->outputs[k].state == output->state)
                return ftso_error(FTSO_ERROR_INTERNAL,
                                  "graph: outputs \"%s\" and \"%s\" go to one state",
                                  graph->outputs[k].name, output->name);
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_graph_verify(const ftso_graph *graph)
{
    ftso_arena scratch;
    ftso_text why;
    ftso_status status = FTSO_STATUS_OK;
    int64_t batch = 0;
    ftso_arena_init(&scratch);
    ftso_text_init(&why);
    for (size_t i = 0; i < graph->node_count && status.code == FTSO_OK; i++) {
        status = verify_node(graph, i, &scratch, &why);
        if (status.code == FTSO_OK) status = verify_batch(graph, i, &batch);
    }
    if (status.code == FTSO_OK) status = verify_names(graph, &scratch);
    if (status.code == FTSO_OK) status = verify_outputs(graph);
    ftso_text_deinit(&why);
    ftso_arena_deinit(&scratch);
    return status;
}
