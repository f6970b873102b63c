/*
 * The buffer plan: where in the program's one allocation every stored value lies.
 * In: a schedule and a rule for sizes. Out: offsets. Holds: values alive at the same time do not overlap, but for aliases
 * and for states that are updated in place.
 * Values that own memory (all but views and operands of packs) are blocks; a block lives from the region that first
 * writes into it to the last that reads any of it. Blocks are placed largest first into the tightest gap that fits.
 */
#include "ir/regions/regions_internal.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 4 };

/* A piece of memory with an owner. */
typedef struct block {
    ftso_value owner;
    int64_t size_bytes, offset_bytes;
    size_t first, last; /* regions, the end of the program being region_count */
    bool used, leaf;
    bool filled;   /* holds a constant, which is written once, before the first run */
    ftso_value in; /* the state whose memory it takes over, or FTSO_NO_VALUE */
} block;

typedef struct planner {
    const ftso_schedule *schedule;
    const ftso_graph *graph;
    ftso_arena arena;
    ftso_location *at;
    bool *live;
    block *blocks; /* one per value; used where the value owns memory */
    int64_t alignment;
} planner;

/* ---------------------------------------------------------------- lifetimes */

static void touch(planner *p, ftso_value value, size_t region)
{
    block *b = &p->blocks[p->at[value].base];
    if (!b->used) {
        b->used = true;
        b->first = b->last = region;
    }
    if (region < b->first) b->first = region;
    if (region > b->last) b->last = region;
}

static void find_lifetimes(planner *p)
{
    size_t end = p->schedule->region_count;
    for (size_t v = 0; v < p->graph->node_count; v++) {
        p->blocks[v].owner = (ftso_value)v;
        p->blocks[v].in = FTSO_NO_VALUE;
        if (ftso_value_role(p->graph, (ftso_value)v) != FTSO_ROLE_LEAF) continue;
        p->live[v] = true; /* unused ones too: they are bound by name */
        p->blocks[v].leaf = true;
        touch(p, (ftso_value)v, 0);
        touch(p, (ftso_value)v, end);
    }
    for (size_t r = 0; r < end; r++) {
        const ftso_region *region = &p->schedule->regions[r];
        for (size_t i = 0; i < region->read_count; i++) touch(p, region->reads[i], r);
        for (size_t i = 0; i < region->write_count; i++) touch(p, region->writes[i], r);
    }
    for (size_t i = 0; i < p->graph->output_count; i++) {
        ftso_value output = p->graph->outputs[i].value;
        touch(p, output, end);
        /* a run that takes some images after others keeps what was made of those before */
        if (p->graph->nodes[output].shape.batched) touch(p, output, 0);
    }
    const ftso_frozen frozen = ftso_schedule_frozen(&p->arena, p->schedule);
    for (size_t r = 0; r < end; r++)
        for (size_t i = 0; frozen.regions[r] && i < p->schedule->regions[r].write_count; i++) {
            touch(p, p->schedule->regions[r].writes[i], 0);
            touch(p, p->schedule->regions[r].writes[i], end);
        }
    /* constants in memory are filled in once, before the first run: nothing may lie there at any other time */
    for (size_t v = 0; v < p->graph->node_count; v++) {
        if (!p->live[v] || ftso_value_role(p->graph, (ftso_value)v) != FTSO_ROLE_LITERAL) continue;
        if (!p->blocks[p->at[v].base].used) continue;
        p->blocks[p->at[v].base].filled = true;
        touch(p, (ftso_value)v, 0);
        touch(p, (ftso_value)v, end);
    }
}

/* ---------------------------------------------------------------- states updated in place */

/* Whether the value's memory, or part of it, is what the region's node works on. */
static bool lies_in(const planner *p, ftso_value value, ftso_value base)
{
    return p->at[value].base == base;
}

/* Within the region that makes the new content: nothing after it, and nothing but its own elements, reads the old one. */
static bool is_safe_inside(const planner *p, const ftso_region *region, ftso_value fresh,
                           ftso_value state)
{
    bool made = false;
    for (size_t i = 0; i < region->node_count; i++) {
        const ftso_node *node = &p->graph->nodes[region->nodes[i]];
        bool elementwise = node->op->op_class == FTSO_CLASS_POINTWISE;
        for (uint32_t k = 0; k < ftso_node_needs(node); k++) {
            if (!lies_in(p, node->inputs[k], state)) continue;
            if (made) return false;
            /* the new content itself: only from the same element of the whole old one */
            if (region->nodes[i] == fresh && (!elementwise || node->inputs[k] != state))
                return false;
        }
        made = made || region->nodes[i] == fresh;
    }
    return true;
}

static bool may_update_in_place(const planner *p, ftso_value fresh, ftso_value state)
{
    const block *b = &p->blocks[fresh];
    if (p->at[fresh].base != fresh || !b->used || b->leaf || b->filled) return false;
    if (b->in != FTSO_NO_VALUE) return false;
    for (size_t r = 0; r < p->schedule->region_count; r++) {
        const ftso_region *region = &p->schedule->regions[r];
        bool reads = false, writes = false;
        for (size_t i = 0; i < region->read_count; i++)
            reads = reads || lies_in(p, region->reads[i], state);
        for (size_t i = 0; i < region->write_count; i++)
            writes = writes || lies_in(p, region->writes[i], fresh);
        if (r > b->first && reads) return false;
        if (r != b->first || !reads) continue;
        if (ftso_value_role(p->graph, fresh) != FTSO_ROLE_ALGEBRA) return false;
        if (strcmp(region->kernel_class, "algebra") != 0 || !writes) return false;
        if (!is_safe_inside(p, region, fresh, state)) return false;
    }
    /* the old content must not be asked for at the end */
    for (size_t i = 0; i < p->graph->output_count; i++)
        if (lies_in(p, p->graph->outputs[i].value, state)) return false;
    return true;
}

static void share_states(planner *p)
{
    for (size_t i = 0; i < p->graph->output_count; i++) {
        const ftso_output *output = &p->graph->outputs[i];
        if (output->state == FTSO_NO_VALUE || !p->blocks[output->state].used) continue;
        if (may_update_in_place(p, output->value, output->state))
            p->blocks[output->value].in = output->state;
    }
}

/* ---------------------------------------------------------------- offsets */

static int by_size(const void *left, const void *right)
{
    const block *a = *(block *const *)left, *b = *(block *const *)right;
    if (a->size_bytes != b->size_bytes) return a->size_bytes > b->size_bytes ? -1 : 1;
    return (a->owner > b->owner) - (a->owner < b->owner);
}

/* The tightest gap between blocks alive with `b`, above all leaves; else behind the last of them. `placed` by offset. */
static int64_t best_offset(block **placed, size_t count, const block *b, int64_t floor)
{
    int64_t best = -1, best_gap = INT64_MAX, end = floor;
    for (size_t i = 0; i < count; i++) {
        if (placed[i]->first > b->last || b->first > placed[i]->last) continue;
        int64_t gap = placed[i]->offset_bytes - end;
        if (gap >= b->size_bytes && gap < best_gap) {
            best = end;
            best_gap = gap;
        }
        int64_t after = placed[i]->offset_bytes + placed[i]->size_bytes;
        if (after > end) end = after;
    }
    return best >= 0 ? best : end;
}

/* Keeps `placed` sorted by offset. */
static void insert_block(block **placed, size_t count, block *b)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (placed[middle]->offset_bytes <= b->offset_bytes)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (count - low) * sizeof *placed);
    placed[low] = b;
}

static void place_blocks(planner *p, ftso_plan *plan)
{
    size_t count = p->graph->node_count, wanted = 0, placed_count = 0;
    block **order = FTSO_ARRAY(&p->arena, block *, count);
    block **placed = FTSO_ARRAY(&p->arena, block *, count);
    for (size_t v = 0; v < count; v++) {
        block *b = &p->blocks[v];
        if (!b->used || b->in != FTSO_NO_VALUE) continue;
        if (b->leaf) {
            b->offset_bytes = plan->leaf_bytes;
            plan->leaf_bytes += b->size_bytes;
        } else {
            order[wanted++] = b;
        }
    }
    plan->total_bytes = plan->leaf_bytes;
    qsort(order, wanted, sizeof *order, by_size);
    for (size_t i = 0; i < wanted; i++) {
        block *b = order[i];
        b->offset_bytes = best_offset(placed, placed_count, b, plan->leaf_bytes);
        insert_block(placed, placed_count++, b);
        if (b->offset_bytes + b->size_bytes > plan->total_bytes)
            plan->total_bytes = b->offset_bytes + b->size_bytes;
    }
    for (size_t v = 0; v < count; v++)
        if (p->blocks[v].used && p->blocks[v].in != FTSO_NO_VALUE)
            p->blocks[v].offset_bytes = p->blocks[p->blocks[v].in].offset_bytes;
}

/* Bytes of a value inside another one: its elements, without padding. */
static int64_t bare_bytes(ftso_shape shape)
{
    return ftso_shape_count(shape) * NUMBER_BYTES;
}

static void fill_places(const planner *p, ftso_plan *plan)
{
    for (size_t v = 0; v < p->graph->node_count; v++) {
        const block *base = &p->blocks[p->at[v].base];
        ftso_place *place = &plan->places[v];
        /* of values inside a used block, those that no region stores are virtual only if they own no part of it */
        if (!p->live[v] || !base->used) continue;
        bool own = p->at[v].base == v;
        place->stored = true;
        place->offset_bytes = base->offset_bytes + p->at[v].element * NUMBER_BYTES;
        place->size_bytes = own ? base->size_bytes : bare_bytes(p->graph->nodes[v].shape);
    }
}

ftso_status ftso_plan_make(ftso_arena *arena, const ftso_schedule *schedule, ftso_size_rule size,
                           const void *user, int64_t alignment_bytes, ftso_plan **out_plan)
{
    FTSO_ASSERT(alignment_bytes > 0);
    planner p = {.schedule = schedule, .graph = schedule->graph, .alignment = alignment_bytes};
    ftso_arena_init(&p.arena);
    ftso_plan *plan = FTSO_NEW(arena, ftso_plan);
    plan->places = FTSO_ARRAY(arena, ftso_place, p.graph->node_count);
    p.live = ftso_live(&p.arena, p.graph);
    p.at = ftso_locations(&p.arena, p.graph);
    p.blocks = FTSO_ARRAY(&p.arena, block, p.graph->node_count);
    find_lifetimes(&p);
    share_states(&p);
    ftso_status status = FTSO_STATUS_OK;
    int64_t total = 0;
    for (size_t v = 0; v < p.graph->node_count && status.code == FTSO_OK; v++) {
        block *b = &p.blocks[v];
        if (!b->used) continue;
        b->size_bytes = size(user, p.graph->nodes[v].shape, schedule->elements[v]);
        b->size_bytes = (b->size_bytes + p.alignment - 1) / p.alignment * p.alignment;
        if (!ftso_i64_add(total, b->size_bytes, &total))
            status =
                ftso_error(FTSO_ERROR_LIMIT, "the network's values do not fit into any memory");
    }
    if (status.code == FTSO_OK) {
        place_blocks(&p, plan);
        fill_places(&p, plan);
        *out_plan = plan;
    }
    ftso_arena_deinit(&p.arena);
    return status;
}

/* ---------------------------------------------------------------- verifier */

static ftso_status overlap(ftso_value a, ftso_value b, const char *rule)
{
    return ftso_error(FTSO_ERROR_INTERNAL, "plan: values %%%lu and %%%lu %s", (unsigned long)a,
                      (unsigned long)b, rule);
}

/* Content at [begin, end) that must survive from region `first` to region `last`. */
typedef struct tenure {
    ftso_value value;
    bool seen;
    int64_t begin, end;
    size_t first, last;
} tenure;

/* The i-th value that region r touches; past the last region: the outputs. FTSO_NO_VALUE when there is no i-th. */
static ftso_value touched(const ftso_schedule *schedule, size_t r, size_t i)
{
    if (r == schedule->region_count)
        return i < schedule->graph->output_count ? schedule->graph->outputs[i].value
                                                 : FTSO_NO_VALUE;
    const ftso_region *region = &schedule->regions[r];
    if (i < region->read_count) return region->reads[i];
    i -= region->read_count;
    return i < region->write_count ? region->writes[i] : FTSO_NO_VALUE;
}

static ftso_status find_tenures(ftso_arena *arena, const ftso_schedule *schedule,
                                const ftso_plan *plan, const ftso_location *at, ftso_size_rule size,
                                const void *user, tenure *tenures)
{
    const ftso_graph *graph = schedule->graph;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_place *place = &plan->places[v];
        if (!place->stored || ftso_value_role(graph, (ftso_value)v) != FTSO_ROLE_LITERAL) continue;
        ftso_shape shape = graph->nodes[v].shape;
        int64_t bytes = at[v].base == v ? size(user, shape, FTSO_ELEMENT_FP32) : bare_bytes(shape);
        tenures[v] = (tenure){.value = (ftso_value)v,
                              .seen = true,
                              .begin = place->offset_bytes,
                              .end = place->offset_bytes + bytes,
                              .last = schedule->region_count};
    }
    for (size_t r = 0; r <= schedule->region_count; r++) {
        ftso_value value;
        for (size_t i = 0; (value = touched(schedule, r, i)) != FTSO_NO_VALUE; i++) {
            tenure *t = &tenures[value];
            t->last = r;
            if (t->seen) continue;
            const ftso_place *place = &plan->places[value];
            bool leaf = ftso_value_role(graph, at[value].base) == FTSO_ROLE_LEAF;
            ftso_shape shape = graph->nodes[value].shape;
            int64_t bytes = at[value].base == value ? size(user, shape, schedule->elements[value])
                                                    : bare_bytes(shape);
            *t = (tenure){.value = value,
                          .seen = true,
                          .begin = place->offset_bytes,
                          .end = place->offset_bytes + bytes,
                          .first = leaf ? 0 : r,
                          .last = r};
            if (!place->stored || t->begin < 0 || t->end > plan->total_bytes)
                return overlap(value, value, "have no place inside the allocation");
        }
    }
    const ftso_frozen frozen = ftso_schedule_frozen(arena, schedule);
    for (size_t v = 0; v < graph->node_count; v++) {
        if (!tenures[v].seen || !frozen.values[v]) continue;
        tenures[v].first = 0;
        tenures[v].last = schedule->region_count;
    }
    return FTSO_STATUS_OK;
}

static bool is_update(const ftso_graph *graph, ftso_value state, ftso_value fresh)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].state == state && graph->outputs[i].value == fresh) return true;
    return false;
}

/* Both alive and not the old and new content of a state, the new one made after the old one's last use or by it. */
static bool collide(const ftso_graph *graph, const ftso_location *at, const tenure *s,
                    const tenure *t)
{
    ftso_value a = at[s->value].base, b = at[t->value].base;
    if (a == b || s->begin >= t->end || t->begin >= s->end) return false;
    if (is_update(graph, a, b)) return s->last > t->first;
    if (is_update(graph, b, a)) return t->last > s->first;
    return s->first <= t->last && t->first <= s->last;
}

ftso_status ftso_plan_verify(const ftso_schedule *schedule, const ftso_plan *plan,
                             ftso_size_rule size, const void *user)
{
    size_t count = schedule->graph->node_count;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_location *at = ftso_locations(&arena, schedule->graph);
    tenure *tenures = FTSO_ARRAY(&arena, tenure, count);
    ftso_status status = find_tenures(&arena, schedule, plan, at, size, user, tenures);
    for (size_t a = 0; a < count && status.code == FTSO_OK; a++)
        for (size_t b = a + 1; tenures[a].seen && b < count; b++)
            if (tenures[b].seen && collide(schedule->graph, at, &tenures[a], &tenures[b]))
                status = overlap((ftso_value)a, (ftso_value)b, "overlap while both are alive");
    ftso_arena_deinit(&arena);
    return status;
}
