/*
 * What stays the same from run to run: computed from states and constants alone, in a program that updates no state.
 * In: a schedule. Out: its frozen regions and values. Holds: a frozen region reads nothing that is not frozen.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

static bool updates_states(const ftso_graph *graph)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].state != FTSO_NO_VALUE) return true;
    return false;
}

/* Of what no region computes: states, constants, and views and packs of what is frozen. */
static bool is_frozen(const ftso_graph *graph, ftso_value value, const bool *known)
{
    const ftso_node *node = &graph->nodes[value];
    switch (ftso_value_role(graph, value)) {
    case FTSO_ROLE_LEAF:
        return ftso_node_is(node, "state");
    case FTSO_ROLE_LITERAL:
        return true;
    case FTSO_ROLE_ALIAS:
        for (uint32_t i = 0; i < node->input_count; i++)
            if (!is_frozen(graph, node->inputs[i], known)) return false;
        return true;
    case FTSO_ROLE_ALGEBRA:
    case FTSO_ROLE_POINTWISE:
    case FTSO_ROLE_CORE:
    case FTSO_ROLE_REDUCTION:
        break;
    }
    return known[value];
}

ftso_frozen ftso_schedule_frozen(ftso_arena *arena, const ftso_schedule *schedule)
{
    const ftso_graph *graph = schedule->graph;
    ftso_frozen frozen = {.regions = FTSO_ARRAY(arena, bool, schedule->region_count),
                          .values = FTSO_ARRAY(arena, bool, graph->node_count)};
    if (updates_states(graph)) return frozen;
    for (size_t r = 0; r < schedule->region_count; r++) {
        const ftso_region *region = &schedule->regions[r];
        bool whole = strcmp(region->kernel_class, "algebra") == 0;
        /* how many images there are is no state */
        for (size_t i = 0; i < region->node_count; i++)
            whole = whole && !ftso_node_is(&graph->nodes[region->nodes[i]], "mean_scale");
        for (size_t i = 0; i < region->read_count; i++)
            whole = whole && is_frozen(graph, region->reads[i], frozen.values);
        frozen.regions[r] = whole;
        for (size_t i = 0; i < region->write_count; i++) frozen.values[region->writes[i]] = whole;
    }
    for (size_t v = 0; v < graph->node_count; v++)
        frozen.values[v] = is_frozen(graph, (ftso_value)v, frozen.values);
    return frozen;
}
