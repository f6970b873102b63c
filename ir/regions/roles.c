/*
 * Roles: what a value is to regions. In: a node. Out: its role, the operands it needs, and where aliases lie.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

ftso_role ftso_value_role(const ftso_graph *graph, ftso_value value)
{
    const ftso_node *node = ftso_graph_node(graph, value);
    switch (node->op->op_class) {
    case FTSO_CLASS_LEAF:
        if (ftso_node_is(node, "constant")) return FTSO_ROLE_LITERAL;
        return node->op->kernel_class ? FTSO_ROLE_ALGEBRA : FTSO_ROLE_LEAF;
    case FTSO_CLASS_ALIAS:
        return FTSO_ROLE_ALIAS;
    case FTSO_CLASS_ALGEBRA:
        return FTSO_ROLE_ALGEBRA;
    case FTSO_CLASS_POINTWISE:
        return node->shape.batched ? FTSO_ROLE_POINTWISE : FTSO_ROLE_ALGEBRA;
    case FTSO_CLASS_REDUCTION:
        return node->shape.rank <= 1 ? FTSO_ROLE_REDUCTION : FTSO_ROLE_CORE;
    case FTSO_CLASS_WINDOW:
    case FTSO_CLASS_IMAGE:
        break;
    }
    return FTSO_ROLE_CORE;
}

uint32_t ftso_node_needs(const ftso_node *node)
{
    return ftso_node_is(node, "zero") ? 0 : node->input_count;
}

bool ftso_region_adds_up(const ftso_schedule *schedule, const ftso_region *region)
{
    const ftso_graph *graph = schedule->graph;
    ftso_value sum = FTSO_NO_VALUE;
    size_t users = 0;
    for (size_t i = 0; i < region->core_count; i++) {
        const ftso_node *core = &graph->nodes[region->cores[i]];
        if (!ftso_node_is(core, "conv_dx") ||
            !ftso_shape_equal(core->shape, graph->nodes[region->cores[0]].shape))
            return false;
        for (size_t w = 0; w < region->write_count; w++)
            if (region->writes[w] == region->cores[i]) return false;
    }
    for (size_t n = 0; n < region->node_count; n++) {
        const ftso_node *node = &graph->nodes[region->nodes[n]];
        for (uint32_t k = 0; k < ftso_node_needs(node); k++)
            for (size_t i = 0; i < region->core_count; i++) {
                if (node->inputs[k] != region->cores[i]) continue;
                if (!ftso_node_is(node, "add") || (users && sum != region->nodes[n])) return false;
                sum = region->nodes[n];
                users++;
            }
    }
    return region->core_count > 1 && users == region->core_count;
}

ftso_element ftso_stored_element(const ftso_graph *graph, ftso_value value)
{
    ftso_shape shape = graph->nodes[value].shape;
    if (!shape.batched || shape.rank != 4 || shape.dim[2] * shape.dim[3] <= 1)
        return FTSO_ELEMENT_FP32;
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == value) return FTSO_ELEMENT_FP32;
    return graph->storage;
}

bool ftso_is_pixel_by_pixel(const ftso_graph *graph, const ftso_node *conv)
{
    ftso_shape x = graph->nodes[conv->inputs[0]].shape, w = graph->nodes[conv->inputs[1]].shape;
    return w.dim[2] == 1 && w.dim[3] == 1 && ftso_node_int(conv, "stride") == 1 &&
           ftso_node_int(conv, "pad_top") == 0 && ftso_node_int(conv, "pad_left") == 0 &&
           x.dim[2] == conv->shape.dim[2] && x.dim[3] == conv->shape.dim[3];
}

bool ftso_covers_operand(const ftso_graph *graph, const ftso_node *core)
{
    if (!ftso_node_is(core, "conv_dx") && !ftso_node_is(core, "dwconv_dx")) return false;
    ftso_shape operand = graph->nodes[core->inputs[0]].shape;
    return ftso_node_int(core, "stride") == 1 && operand.dim[2] == core->shape.dim[2] &&
           operand.dim[3] == core->shape.dim[3] && ftso_node_int(core, "pad_top") >= 0 &&
           ftso_node_int(core, "pad_bottom") >= 0 && ftso_node_int(core, "pad_left") >= 0 &&
           ftso_node_int(core, "pad_right") >= 0;
}

bool ftso_tiles_map(const ftso_graph *graph, const ftso_node *node)
{
    if (!ftso_node_is(node, "max_pool_dx") && !ftso_node_is(node, "avg_pool_dx")) return false;
    ftso_shape dy = graph->nodes[node->inputs[0]].shape;
    int64_t stride = ftso_node_int(node, "stride");
    return stride > 1 && ftso_node_int(node, "kernel") == stride &&
           ftso_node_int(node, "pad_top") == 0 && ftso_node_int(node, "pad_left") == 0 &&
           dy.dim[2] * stride == node->shape.dim[2] && dy.dim[3] * stride == node->shape.dim[3];
}

bool ftso_is_weight_gradient(const ftso_node *node)
{
    return ftso_node_is(node, "conv_dw") || ftso_node_is(node, "dwconv_dw");
}

bool *ftso_live(ftso_arena *arena, const ftso_graph *graph)
{
    bool *live = FTSO_ARRAY(arena, bool, graph->node_count);
    for (size_t i = 0; i < graph->output_count; i++) {
        live[graph->outputs[i].value] = true;
        if (graph->outputs[i].state != FTSO_NO_VALUE) live[graph->outputs[i].state] = true;
    }
    for (size_t v = graph->node_count; v-- > 0;) {
        const ftso_node *node = &graph->nodes[v];
        for (uint32_t i = 0; live[v] && i < ftso_node_needs(node); i++)
            live[node->inputs[i]] = true;
    }
    return live;
}

ftso_location *ftso_locations(ftso_arena *arena, const ftso_graph *graph)
{
    ftso_location *at = FTSO_ARRAY(arena, ftso_location, graph->node_count);
    const bool *live = ftso_live(arena, graph);
    for (size_t v = 0; v < graph->node_count; v++) at[v] = (ftso_location){(ftso_value)v, 0};
    /* from users to operands: an enclosing pack is placed before what lies in it */
    for (size_t v = graph->node_count; v-- > 0;) {
        const ftso_node *node = &graph->nodes[v];
        if (!live[v] || !ftso_node_is(node, "pack")) continue;
        int64_t element = at[v].element;
        for (uint32_t i = 0; i < node->input_count; i++) {
            at[node->inputs[i]] = (ftso_location){at[v].base, element};
            element += ftso_shape_count(graph->nodes[node->inputs[i]].shape);
        }
    }
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (node->op->op_class != FTSO_CLASS_ALIAS || ftso_node_is(node, "pack")) continue;
        ftso_location base = at[node->inputs[0]];
        int64_t element = node->op->part_offset ? node->op->part_offset(node->attrs)
                                                : ftso_node_int(node, "index");
        at[v] = (ftso_location){base.base, base.element + element};
    }
    return at;
}
