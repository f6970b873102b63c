/*
 * The region former, last step: from drafts to a schedule.
 * In: drafts with their writes. Out: regions in running order, with algebra regions where drafts need their values, and
 * the rest of the algebra at the end.
 * Holds: nodes are listed depth first from what the region makes, so the order follows the region's structure and not the
 * numbering of the graph. Algebra reads through an alias only what an earlier region made.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

typedef struct frame {
    ftso_value value;
    uint32_t next;
} frame;

typedef struct assembler {
    ftso_former *f;
    ftso_arena *arena; /* of the result */
    ftso_schedule *schedule;
    bool *done;         /* in memory, as far as regions have been emitted */
    bool *image_needs;  /* algebra that some draft reads, at once or through more algebra */
    int *region_of;     /* algebra: the region that computes it */
    ftso_value *joined; /* algebra: an earlier value of the same part, or itself */
    bool keeps_states;  /* nothing is updated: algebra may be cut into its parts */
    size_t *mark;       /* visited in the gathering numbered so, from 1 */
    size_t gathering;
    frame *stack;
    size_t stack_capacity;
} assembler;

/* ---------------------------------------------------------------- one region's nodes and reads */

/* A constant without a batch that some user wants in memory: weights, what a view or pack covers, an output. */
static bool is_stored_literal(const ftso_former *f, ftso_value value)
{
    if (f->roles[value] != FTSO_ROLE_LITERAL || ftso_former_is_image(f, value)) return false;
    if (f->forced[value]) return true;
    for (size_t i = f->user_start[value]; i < f->user_start[value + 1]; i++) {
        ftso_role role = f->roles[f->users[i]];
        if (role == FTSO_ROLE_ALIAS) return true;
        if (role == FTSO_ROLE_CORE && f->graph->nodes[value].shape.rank == 4) return true;
    }
    return false;
}

/* Whether draft `d` finds the value in memory (else it computes it). */
static bool image_region_reads(const ftso_former *f, ftso_value value, int d)
{
    switch (f->roles[value]) {
    case FTSO_ROLE_LITERAL:
        return f->graph->nodes[value].shape.rank == 4 && is_stored_literal(f, value);
    case FTSO_ROLE_CORE:
        return f->home[value] != d;
    case FTSO_ROLE_REDUCTION:
        return f->home[value] != d;
    case FTSO_ROLE_POINTWISE:
        return f->written[value] && f->joins[value] != d;
    case FTSO_ROLE_LEAF:
    case FTSO_ROLE_ALIAS:
    case FTSO_ROLE_ALGEBRA:
        break;
    }
    return true;
}

static bool reads(const assembler *a, ftso_value value, int d, int algebra_region)
{
    if (d != FTSO_NOWHERE) return image_region_reads(a->f, value, d);
    if (a->f->roles[value] == FTSO_ROLE_LITERAL) return false;
    return a->f->roles[value] != FTSO_ROLE_ALGEBRA || a->region_of[value] != algebra_region;
}

typedef struct lists {
    size_t node_capacity, read_capacity;
} lists;

/* Depth first from `root`: operands before users. `d` is the draft, or FTSO_NOWHERE for algebra. */
static void visit(assembler *a, ftso_region *region, lists *room, ftso_value root, int d)
{
    size_t number = a->gathering, depth = 0;
    int algebra_region = (int)a->schedule->region_count;
    if (a->mark[root] == number) return;
    a->mark[root] = number;
    FTSO_PUSH(a->f->arena, a->stack, depth, a->stack_capacity, ((frame){root, 0}));
    while (depth > 0) {
        frame *top = &a->stack[depth - 1];
        const ftso_node *node = &a->f->graph->nodes[top->value];
        if (top->next == ftso_node_needs(node)) {
            FTSO_PUSH(a->arena, region->nodes, region->node_count, room->node_capacity, top->value);
            depth--;
            continue;
        }
        ftso_value operand = node->inputs[top->next++];
        if (a->mark[operand] == number) continue;
        a->mark[operand] = number;
        if (reads(a, operand, d, algebra_region))
            FTSO_PUSH(a->arena, region->reads, region->read_count, room->read_capacity, operand);
        else
            FTSO_PUSH(a->f->arena, a->stack, depth, a->stack_capacity, ((frame){operand, 0}));
    }
}

static void push_region(assembler *a, ftso_region region)
{
    FTSO_PUSH(a->arena, a->schedule->regions, a->schedule->region_count,
              a->schedule->region_capacity, region);
}

/* ---------------------------------------------------------------- algebra */

/* Whether an operand that is not computed in the same region is in memory by now. */
static bool in_memory(const assembler *a, ftso_value value)
{
    const ftso_node *node = &a->f->graph->nodes[value];
    if (a->f->roles[value] == FTSO_ROLE_LEAF) return true;
    if (a->f->roles[value] != FTSO_ROLE_ALIAS) return a->done[value];
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!in_memory(a, node->inputs[i])) return false;
    return true;
}

static bool is_eligible(const assembler *a, ftso_value value, int region)
{
    const ftso_node *node = &a->f->graph->nodes[value];
    for (uint32_t i = 0; i < ftso_node_needs(node); i++) {
        ftso_value operand = node->inputs[i];
        if (a->f->roles[operand] == FTSO_ROLE_LITERAL || a->region_of[operand] == region) continue;
        if (!in_memory(a, operand)) return false;
    }
    return true;
}

static bool is_read_elsewhere(const assembler *a, ftso_value value, int region)
{
    const ftso_former *f = a->f;
    if (f->forced[value]) return true;
    for (size_t i = f->user_start[value]; i < f->user_start[value + 1]; i++) {
        ftso_value user = f->users[i];
        if (f->roles[user] != FTSO_ROLE_ALGEBRA || a->region_of[user] != region) return true;
    }
    return false;
}

/* The first value of the part that `value` belongs to. */
static ftso_value part_of(const assembler *a, ftso_value value)
{
    while (a->joined[value] != value) value = a->joined[value] = a->joined[a->joined[value]];
    return value;
}

/*
 * Numbers the batch's parts, of which none reads another, as regions from `number` on. Equal parts have equal code: the batch
 * norms of a network are a few units instead of one large one. Where states are updated all remains one region, so that
 * every new content can take the place of the old one.
 */
static int number_parts(assembler *a, const ftso_value *batch, size_t count, int number)
{
    int parts = 0;
    for (size_t i = 0; i < count; i++) {
        const ftso_node *node = &a->f->graph->nodes[batch[i]];
        a->joined[batch[i]] = a->keeps_states ? batch[i] : batch[0];
        for (uint32_t k = 0; k < ftso_node_needs(node); k++) {
            if (a->region_of[node->inputs[k]] != number) continue;
            ftso_value x = part_of(a, batch[i]), y = part_of(a, node->inputs[k]);
            a->joined[x > y ? x : y] = x > y ? y : x;
        }
    }
    for (size_t i = 0; i < count; i++) {
        ftso_value first = part_of(a, batch[i]);
        a->region_of[batch[i]] = first == batch[i] ? number + parts++ : a->region_of[first];
    }
    return parts;
}

/* The region of the algebra that `region_of` has given the next number. */
static void push_algebra_region(assembler *a, const ftso_value *batch, size_t count)
{
    int number = (int)a->schedule->region_count;
    ftso_region region = {.kernel_class = "algebra"};
    lists room = {0};
    a->gathering++;
    size_t write_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if (a->region_of[batch[i]] != number) continue;
        a->done[batch[i]] = true;
        if (!is_read_elsewhere(a, batch[i], number)) continue;
        visit(a, &region, &room, batch[i], FTSO_NOWHERE);
        FTSO_PUSH(a->arena, region.writes, region.write_count, write_capacity, batch[i]);
    }
    push_region(a, region);
}

/* Whether a region that runs before the last algebra is to compute the value: not where algebra alone reads it that waits. */
static bool is_wanted_now(const assembler *a, ftso_value value, int region)
{
    const ftso_former *f = a->f;
    if (f->forced[value] || f->roles[value] != FTSO_ROLE_ALGEBRA) return true;
    for (size_t i = f->user_start[value]; i < f->user_start[value + 1]; i++) {
        ftso_value user = f->users[i];
        if (f->roles[user] != FTSO_ROLE_ALGEBRA || a->region_of[user] == region) return true;
    }
    return false;
}

/* The algebra that can run now; false when there is none. `image_only`: of what drafts up to `d` may need. */
static bool emit_algebra(assembler *a, bool image_only, int d)
{
    const ftso_former *f = a->f;
    int number = (int)a->schedule->region_count;
    ftso_value *batch = NULL;
    size_t count = 0, capacity = 0;
    for (size_t v = 0; v < f->count; v++) {
        ftso_value value = (ftso_value)v;
        if (!f->live[v] || a->done[v]) continue;
        if (f->roles[v] != FTSO_ROLE_ALGEBRA && !is_stored_literal(f, value)) continue;
        if (image_only && (!a->image_needs[v] || f->vector_time[v] >= d)) continue;
        if (!is_eligible(a, value, number)) continue;
        a->region_of[v] = number;
        FTSO_PUSH(f->arena, batch, count, capacity, value);
    }
    /* users follow what they use */
    for (size_t i = count; i-- > 0 && !image_only;)
        if (!is_wanted_now(a, batch[i], number)) a->region_of[batch[i]] = FTSO_NOWHERE;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (a->region_of[batch[i]] == number) batch[kept++] = batch[i];
    FTSO_ASSERT(kept > 0 || count == 0);
    int parts = number_parts(a, batch, kept, number);
    for (int i = 0; i < parts; i++) push_algebra_region(a, batch, kept);
    return parts > 0;
}

/* ---------------------------------------------------------------- drafts */

static void emit_draft(assembler *a, int d)
{
    const ftso_former *f = a->f;
    const ftso_draft *draft = &f->drafts[d];
    ftso_region region = {.kernel_class = draft->kernel_class};
    lists room = {0};
    a->gathering++;
    size_t core_capacity = 0, lead_capacity = 0, gradient_capacity = 0, pool_capacity = 0,
           write_capacity = 0;
    for (size_t i = 0; i < draft->lead_count; i++)
        FTSO_PUSH(a->arena, region.leads, region.lead_count, lead_capacity, draft->leads[i]);
    for (size_t i = 0; i < draft->core_count; i++) {
        FTSO_PUSH(a->arena, region.cores, region.core_count, core_capacity, draft->cores[i]);
        visit(a, &region, &room, draft->cores[i], d);
        if (!ftso_former_is_image(f, draft->cores[i]))
            FTSO_PUSH(a->arena, region.writes, region.write_count, write_capacity, draft->cores[i]);
    }
    for (size_t i = 0; i < draft->pool_count; i++) {
        FTSO_PUSH(a->arena, region.pools, region.pool_count, pool_capacity, draft->pools[i]);
        visit(a, &region, &room, draft->pools[i], d);
    }
    for (size_t i = 0; i < draft->gradient_count; i++) {
        ftso_value value = draft->gradients[i];
        FTSO_PUSH(a->arena, region.gradients, region.gradient_count, gradient_capacity, value);
        visit(a, &region, &room, value, d);
        FTSO_PUSH(a->arena, region.writes, region.write_count, write_capacity, value);
    }
    for (size_t i = 0; i < draft->write_count; i++) {
        visit(a, &region, &room, draft->writes[i], d);
        FTSO_PUSH(a->arena, region.writes, region.write_count, write_capacity, draft->writes[i]);
    }
    for (size_t i = 0; i < draft->reduction_count; i++) {
        visit(a, &region, &room, draft->reductions[i], d);
        FTSO_PUSH(a->arena, region.writes, region.write_count, write_capacity,
                  draft->reductions[i]);
    }
    for (size_t i = 0; i < region.read_count; i++)
        if (!ftso_former_is_image(f, region.reads[i]) && !in_memory(a, region.reads[i])) {
            /* number the region after the algebra it waits for, then gather it again */
            size_t before = a->schedule->region_count;
            while (emit_algebra(a, true, d)) continue;
            FTSO_ASSERT(a->schedule->region_count > before);
            emit_draft(a, d);
            return;
        }
    for (size_t i = 0; i < region.write_count; i++) a->done[region.writes[i]] = true;
    push_region(a, region);
}

static void find_image_needs(assembler *a)
{
    const ftso_former *f = a->f;
    for (size_t v = f->count; v-- > 0;) {
        const ftso_node *node = &f->graph->nodes[v];
        if (!f->live[v]) continue;
        bool image = f->roles[v] == FTSO_ROLE_POINTWISE || f->roles[v] == FTSO_ROLE_CORE ||
                     f->roles[v] == FTSO_ROLE_REDUCTION;
        for (uint32_t i = 0; i < ftso_node_needs(node); i++)
            if (image || a->image_needs[v]) a->image_needs[node->inputs[i]] = true;
    }
}

static void choose_elements(ftso_schedule *schedule)
{
    for (size_t r = 0; r < schedule->region_count; r++)
        for (size_t i = 0; i < schedule->regions[r].write_count; i++) {
            ftso_value value = schedule->regions[r].writes[i];
            schedule->elements[value] = ftso_stored_element(schedule->graph, value);
        }
}

ftso_schedule *ftso_former_assemble(ftso_former *f, ftso_arena *arena)
{
    assembler a = {.f = f, .arena = arena, .schedule = FTSO_NEW(arena, ftso_schedule)};
    a.schedule->graph = f->graph;
    a.done = FTSO_ARRAY(f->arena, bool, f->count);
    a.image_needs = FTSO_ARRAY(f->arena, bool, f->count);
    a.region_of = FTSO_ARRAY(f->arena, int, f->count);
    a.mark = FTSO_ARRAY(f->arena, size_t, f->count);
    for (size_t v = 0; v < f->count; v++) a.region_of[v] = FTSO_NOWHERE;
    a.joined = FTSO_ARRAY(f->arena, ftso_value, f->count);
    a.keeps_states = true;
    for (size_t i = 0; i < f->graph->output_count; i++)
        if (f->graph->outputs[i].state != FTSO_NO_VALUE) a.keeps_states = false;
    find_image_needs(&a);
    for (size_t d = 0; d < f->draft_count; d++) emit_draft(&a, (int)d);
    while (emit_algebra(&a, false, 0)) continue;
    a.schedule->elements = FTSO_ARRAY(arena, ftso_element, f->count);
    choose_elements(a.schedule);
    return a.schedule;
}
