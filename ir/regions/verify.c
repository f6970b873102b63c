/*
 * The verifier of schedules: everything that ftso_region promises, checked.
 * In: any schedule. Out: success, or an internal error that names region, value and rule.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

typedef struct checker {
    const ftso_schedule *schedule;
    const ftso_graph *graph;
    ftso_arena arena;
    bool *live;
    size_t *written;  /* region that wrote it, from 1; 0: none */
    size_t *computed; /* cores, reductions, algebra: region that computed it, from 1 */
    size_t *here;     /* region in which it was last seen computed, from 1 */
    size_t *read;     /* region in which it was last seen read, from 1 */
} checker;

static ftso_status broken(size_t region, ftso_value value, const char *rule)
{
    return ftso_error(FTSO_ERROR_INTERNAL, "schedule: region %zu, value %%%lu: %s", region,
                      (unsigned long)value, rule);
}

/* In memory before region number `before` (counted from 1) runs. */
static bool is_available(const checker *c, ftso_value value, size_t before)
{
    const ftso_node *node = &c->graph->nodes[value];
    ftso_role role = ftso_value_role(c->graph, value);
    if (role == FTSO_ROLE_LEAF) return true;
    if (role != FTSO_ROLE_ALIAS) return c->written[value] && c->written[value] < before;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!is_available(c, node->inputs[i], before)) return false;
    return true;
}

static ftso_status check_reads(checker *c, const ftso_region *region, size_t r)
{
    for (size_t i = 0; i < region->read_count; i++) {
        ftso_value value = region->reads[i];
        if (value >= c->graph->node_count) return broken(r, value, "read, but not in the graph");
        if (c->read[value] == r + 1) return broken(r, value, "read twice");
        if (!is_available(c, value, r + 1)) return broken(r, value, "read before it is written");
        c->read[value] = r + 1;
    }
    return FTSO_STATUS_OK;
}

/* Whether a node of that role may be computed in the region. */
static bool fits(const ftso_region *region, ftso_role role, bool algebra)
{
    switch (role) {
    case FTSO_ROLE_LITERAL:
        return true;
    case FTSO_ROLE_ALGEBRA:
        return algebra;
    case FTSO_ROLE_POINTWISE:
    case FTSO_ROLE_REDUCTION:
        return !algebra;
    case FTSO_ROLE_CORE:
        return !algebra && region->core_count > 0;
    case FTSO_ROLE_LEAF:
    case FTSO_ROLE_ALIAS:
        break;
    }
    return false;
}

static ftso_status check_nodes(checker *c, const ftso_region *region, size_t r)
{
    bool algebra = strcmp(region->kernel_class, "algebra") == 0;
    for (size_t i = 0; i < region->node_count; i++) {
        ftso_value value = region->nodes[i];
        if (value >= c->graph->node_count) return broken(r, value, "computed, not in the graph");
        const ftso_node *node = &c->graph->nodes[value];
        ftso_role role = ftso_value_role(c->graph, value);
        if (!fits(region, role, algebra)) return broken(r, value, "does not belong in this region");
        if (c->here[value] == r + 1) return broken(r, value, "computed twice");
        if (c->read[value] == r + 1) return broken(r, value, "read and computed");
        if (role != FTSO_ROLE_POINTWISE && role != FTSO_ROLE_LITERAL) {
            if (c->computed[value]) return broken(r, value, "computed in two regions");
            c->computed[value] = r + 1;
        }
        for (uint32_t k = 0; k < ftso_node_needs(node); k++)
            if (c->here[node->inputs[k]] != r + 1 && c->read[node->inputs[k]] != r + 1)
                return broken(r, value, "has an operand neither read nor computed before it");
        c->here[value] = r + 1;
    }
    return FTSO_STATUS_OK;
}

/* Whether the lead may lead to the core: forward, a depthwise convolution to a 1x1 one; backward, the other way round. */
static bool leads_to(const ftso_graph *graph, ftso_value lead, ftso_value core)
{
    const ftso_node *from = &graph->nodes[lead], *to = &graph->nodes[core];
    if (to->inputs[0] != lead) return false;
    if (ftso_node_is(from, "dwconv"))
        return ftso_node_is(to, "conv") && ftso_is_pixel_by_pixel(graph, to);
    return ftso_node_is(from, "conv_dx") && ftso_is_pixel_by_pixel(graph, from) &&
           ftso_node_is(to, "dwconv_dx") && ftso_covers_operand(graph, to);
}

/* A lead makes the operand of the cores; a transposed one nothing else. */
static ftso_status check_leads(checker *c, const ftso_region *region, size_t r)
{
    if (region->lead_count == 0) return FTSO_STATUS_OK;
    ftso_value lead = region->leads[0];
    if (region->lead_count > 1) return broken(r, region->leads[1], "a second lead");
    if (c->here[lead] != r + 1) return broken(r, lead, "lead not computed");
    for (size_t i = 0; i < region->core_count; i++)
        if (!leads_to(c->graph, lead, region->cores[i]))
            return broken(r, region->cores[i], "core that the lead does not lead to");
    if (region->core_count == 0) return broken(r, lead, "leads to nothing");
    if (ftso_node_is(&c->graph->nodes[lead], "dwconv")) return FTSO_STATUS_OK;
    if (region->core_count > 1) return broken(r, region->cores[1], "a second core that is led");
    for (size_t i = 0; i < region->node_count; i++) {
        const ftso_node *node = &c->graph->nodes[region->nodes[i]];
        bool may = region->nodes[i] == region->cores[0] || ftso_is_weight_gradient(node);
        for (uint32_t k = 0; k < ftso_node_needs(node); k++)
            if (node->inputs[k] == lead && (!may || k > 0))
                return broken(r, region->nodes[i], "reads a lead that is kept in part");
    }
    for (size_t i = 0; i < region->write_count; i++)
        if (region->writes[i] == lead) return broken(r, lead, "a lead that is kept in part");
    return FTSO_STATUS_OK;
}

/* Weight gradients beside the core read what it or its lead reads, and nothing that is made here. */
static ftso_status check_gradients(checker *c, const ftso_region *region, size_t r)
{
    for (size_t i = 0; i < region->gradient_count; i++) {
        ftso_value value = region->gradients[i];
        const ftso_node *gradient = &c->graph->nodes[value];
        if (!ftso_is_weight_gradient(gradient)) return broken(r, value, "is no weight gradient");
        if (c->here[value] != r + 1) return broken(r, value, "weight gradient not computed");
        if (region->core_count != 1) return broken(r, value, "beside no single core");
        const ftso_node *core = &c->graph->nodes[region->cores[0]];
        bool own = core->inputs[0] == gradient->inputs[0], leads = false;
        for (size_t k = 0; k < region->lead_count; k++)
            leads = leads || c->graph->nodes[region->leads[k]].inputs[0] == gradient->inputs[0];
        if (!ftso_covers_operand(c->graph, core) || (!own && !leads))
            return broken(r, value, "beside a core that does not read its operand");
    }
    return FTSO_STATUS_OK;
}

/* By value: what the region can make only once its cores have run. */
static bool *follow_cores(checker *c, const ftso_region *region)
{
    bool *follows = FTSO_ARRAY(&c->arena, bool, c->graph->node_count);
    for (size_t i = 0; i < region->core_count; i++) follows[region->cores[i]] = true;
    for (size_t i = 0; i < region->node_count; i++) {
        const ftso_node *node = &c->graph->nodes[region->nodes[i]];
        for (uint32_t k = 0; k < ftso_node_needs(node); k++)
            if (follows[node->inputs[k]]) follows[region->nodes[i]] = true;
    }
    return follows;
}

static ftso_status check_pools(checker *c, const ftso_region *region, size_t r)
{
    if (region->pool_count == 0) return FTSO_STATUS_OK;
    const bool *follows = follow_cores(c, region);
    for (size_t i = 0; i < region->pool_count; i++) {
        ftso_value value = region->pools[i];
        const ftso_node *pool = &c->graph->nodes[value];
        if (!ftso_tiles_map(c->graph, pool)) return broken(r, value, "is no pool that tiles a map");
        if (c->here[value] != r + 1) return broken(r, value, "pool not computed");
        const ftso_node *core =
            region->core_count ? &c->graph->nodes[region->cores[region->core_count - 1]] : NULL;
        if (!core || !ftso_node_is(core, "conv_dx") ||
            ftso_node_int(core, "stride") != ftso_node_int(pool, "stride"))
            return broken(r, value, "beside no core of its stride");
        if (follows[value]) return broken(r, value, "follows from the cores");
    }
    return FTSO_STATUS_OK;
}

static ftso_status check_cores(checker *c, const ftso_region *region, size_t r)
{
    size_t found = 0;
    for (size_t i = 0; i < region->node_count; i++)
        found += ftso_value_role(c->graph, region->nodes[i]) == FTSO_ROLE_CORE;
    if (found !=
        region->core_count + region->lead_count + region->gradient_count + region->pool_count)
        return broken(r, region->node_count ? region->nodes[0] : 0, "has a core not listed");
    const ftso_node *first = region->core_count ? &c->graph->nodes[region->cores[0]] : NULL;
    for (size_t i = 0; i < region->core_count; i++) {
        const ftso_node *core = &c->graph->nodes[region->cores[i]];
        if (c->here[region->cores[i]] != r + 1)
            return broken(r, region->cores[i], "core not computed");
        if (!core->op->kernel_class || strcmp(core->op->kernel_class, region->kernel_class) != 0)
            return broken(r, region->cores[i], "core of another kernel class");
        if (i == 0) continue;
        if (ftso_region_adds_up(c->schedule, region)) continue;
        if (!ftso_node_is(core, "conv") || core->op != first->op ||
            core->inputs[0] != first->inputs[0])
            return broken(r, region->cores[i], "core that does not share the first one's operand");
        for (int k = 0; k < core->op->attr_count; k++)
            if (core->attrs[k].i != first->attrs[k].i)
                return broken(r, region->cores[i], "core over another window");
    }
    return FTSO_STATUS_OK;
}

/* All images written, and all operands of reductions, lie on one map. */
static ftso_status check_map(checker *c, const ftso_region *region, size_t r)
{
    ftso_shape map = {0};
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < region->node_count; i++) {
            ftso_value value = region->nodes[i];
            const ftso_node *node = &c->graph->nodes[value];
            ftso_role role = ftso_value_role(c->graph, value);
            bool written = c->written[value] == r + 1;
            ftso_shape shape = node->shape;
            if (role == FTSO_ROLE_REDUCTION)
                shape = c->graph->nodes[node->inputs[0]].shape;
            else if (!shape.batched || !(written || role == FTSO_ROLE_CORE))
                continue;
            if (map.rank == 0) map = shape;
            if (map.rank != shape.rank ||
                (map.rank == 4 && (map.dim[2] != shape.dim[2] || map.dim[3] != shape.dim[3])))
                return broken(r, value, "lies on another map than the rest");
        }
    return FTSO_STATUS_OK;
}

static ftso_status check_writes(checker *c, const ftso_region *region, size_t r)
{
    for (size_t i = 0; i < region->write_count; i++) {
        ftso_value value = region->writes[i];
        if (value >= c->graph->node_count || c->here[value] != r + 1)
            return broken(r, value, "written, but not computed here");
        if (c->written[value]) return broken(r, value, "written twice");
        c->written[value] = r + 1;
        if (c->schedule->elements[value] != ftso_stored_element(c->graph, value))
            return broken(r, value, "stored as other elements than it must be");
    }
    for (size_t i = 0; i < region->node_count; i++) {
        ftso_value value = region->nodes[i];
        bool result = ftso_value_role(c->graph, value) == FTSO_ROLE_REDUCTION ||
                      (ftso_value_role(c->graph, value) == FTSO_ROLE_CORE &&
                       !c->graph->nodes[value].shape.batched);
        if (result && c->written[value] != r + 1) return broken(r, value, "computed in vain");
    }
    return check_map(c, region, r);
}

static ftso_status check_end(checker *c)
{
    size_t end = c->schedule->region_count;
    for (size_t v = 0; v < c->graph->node_count; v++)
        if (c->schedule->elements[v] != FTSO_ELEMENT_FP32 && !c->written[v])
            return broken(end, (ftso_value)v, "not fp32, but not stored by a region");
    for (size_t i = 0; i < c->graph->output_count; i++)
        if (!is_available(c, c->graph->outputs[i].value, end + 1))
            return broken(end, c->graph->outputs[i].value, "an output that is never written");
    for (size_t v = 0; v < c->graph->node_count; v++) {
        ftso_role role = ftso_value_role(c->graph, (ftso_value)v);
        bool once =
            role == FTSO_ROLE_CORE || role == FTSO_ROLE_REDUCTION || role == FTSO_ROLE_ALGEBRA;
        if (c->live[v] && once && !c->computed[v])
            return broken(end, (ftso_value)v, "needed, but never computed");
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_schedule_verify(const ftso_schedule *schedule)
{
    checker c = {.schedule = schedule, .graph = schedule->graph};
    ftso_arena_init(&c.arena);
    c.live = ftso_live(&c.arena, c.graph);
    c.written = FTSO_ARRAY(&c.arena, size_t, c.graph->node_count);
    c.computed = FTSO_ARRAY(&c.arena, size_t, c.graph->node_count);
    c.here = FTSO_ARRAY(&c.arena, size_t, c.graph->node_count);
    c.read = FTSO_ARRAY(&c.arena, size_t, c.graph->node_count);
    ftso_status status = FTSO_STATUS_OK;
    for (size_t r = 0; r < schedule->region_count && status.code == FTSO_OK; r++) {
        const ftso_region *region = &schedule->regions[r];
        status = check_reads(&c, region, r);
        if (status.code == FTSO_OK) status = check_nodes(&c, region, r);
        if (status.code == FTSO_OK) status = check_cores(&c, region, r);
        if (status.code == FTSO_OK) status = check_leads(&c, region, r);
        if (status.code == FTSO_OK) status = check_gradients(&c, region, r);
        if (status.code == FTSO_OK) status = check_pools(&c, region, r);
        if (status.code == FTSO_OK) status = check_writes(&c, region, r);
    }
    if (status.code == FTSO_OK) status = check_end(&c);
    ftso_arena_deinit(&c.arena);
    return status;
}
