/*
 * The region former, second step: what each region puts in memory.
 * In: drafts, and for each pointwise value the draft that could compute it. Out: `written`, and the writes of each draft.
 * Between what a draft makes (its cores) and what later drafts ask of it lies a graph of pointwise values that the draft
 * could compute. The values stored are a minimum vertex cut of that graph, by bytes, nearest to the users; what lies
 * behind the cut is recomputed by whoever needs it. Values that must be in memory anyway cost nothing.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

typedef struct arc {
    size_t to;
    int64_t room;
    size_t back; /* the opposite arc's number */
    size_t next; /* of the same node; SIZE_MAX ends */
} arc;

/* Vertex 2i is value i's entrance, 2i+1 its exit; then source and sink. */
typedef struct flow {
    ftso_arena arena;
    size_t vertex_count;
    size_t *first; /* arcs of each vertex */
    arc *arcs;
    size_t arc_count, arc_capacity;
} flow;

static const int64_t unlimited = INT64_MAX / 4;

enum { LINE_CHANNELS = 16 };

/* Elements, channels counted by the line of memory: many narrow images cost more than one wide. */
static int64_t memory_cost(ftso_shape shape)
{
    int64_t count = ftso_shape_count(shape);
    if (shape.rank != 4) return count;
    int64_t lines = (shape.dim[1] + LINE_CHANNELS - 1) / LINE_CHANNELS;
    return count / shape.dim[1] * lines * LINE_CHANNELS;
}

static void add_arc(flow *g, size_t from, size_t to, int64_t room)
{
    arc forth = {to, room, g->arc_count + 1, g->first[from]};
    arc back = {from, 0, g->arc_count, g->first[to]};
    g->first[from] = g->arc_count;
    FTSO_PUSH(&g->arena, g->arcs, g->arc_count, g->arc_capacity, forth);
    g->first[to] = g->arc_count;
    FTSO_PUSH(&g->arena, g->arcs, g->arc_count, g->arc_capacity, back);
}

/* One shortest augmenting path; false when none is left. */
static bool augment(flow *g, size_t source, size_t sink, size_t *via, size_t *queue)
{
    size_t head = 0, tail = 0;
    for (size_t v = 0; v < g->vertex_count; v++) via[v] = SIZE_MAX;
    queue[tail++] = source;
    while (head < tail && via[sink] == SIZE_MAX) {
        size_t v = queue[head++];
        for (size_t a = g->first[v]; a != SIZE_MAX; a = g->arcs[a].next) {
            size_t to = g->arcs[a].to;
            if (g->arcs[a].room == 0 || via[to] != SIZE_MAX || to == source) continue;
            via[to] = a;
            queue[tail++] = to;
        }
    }
    if (via[sink] == SIZE_MAX) return false;
    int64_t room = unlimited;
    for (size_t v = sink; v != source; v = g->arcs[g->arcs[via[v]].back].to)
        if (g->arcs[via[v]].room < room) room = g->arcs[via[v]].room;
    for (size_t v = sink; v != source; v = g->arcs[g->arcs[via[v]].back].to) {
        g->arcs[via[v]].room -= room;
        g->arcs[g->arcs[via[v]].back].room += room;
    }
    return true;
}

/* Vertices from which the sink can still be reached. */
static bool *reaches_sink(flow *g, size_t sink, size_t *queue)
{
    bool *reaches = FTSO_ARRAY(&g->arena, bool, g->vertex_count);
    size_t head = 0, tail = 0;
    queue[tail++] = sink;
    reaches[sink] = true;
    while (head < tail) {
        size_t v = queue[head++];
        for (size_t a = g->first[v]; a != SIZE_MAX; a = g->arcs[a].next) {
            size_t from = g->arcs[a].to;
            if (reaches[from] || g->arcs[g->arcs[a].back].room == 0) continue;
            reaches[from] = true;
            queue[tail++] = from;
        }
    }
    return reaches;
}

/* Whether something outside draft `d` asks for the value. */
static bool leaves(const ftso_former *f, ftso_value value, int d)
{
    for (size_t i = f->user_start[value]; i < f->user_start[value + 1]; i++) {
        ftso_value user = f->users[i];
        int where = f->roles[user] == FTSO_ROLE_POINTWISE ? f->joins[user] : f->home[user];
        if (where != d) return true;
    }
    return false;
}

static bool is_origin(const ftso_draft *draft, ftso_value value)
{
    for (size_t i = 0; i < draft->core_count; i++)
        if (draft->cores[i] == value) return true;
    for (size_t i = 0; i < draft->lead_count; i++)
        if (draft->leads[i] == value) return true;
    for (size_t i = 0; i < draft->pool_count; i++)
        if (draft->pools[i] == value) return true;
    for (size_t i = 0; i < draft->stored_count; i++)
        if (draft->stored[i] == value) return true;
    return false;
}

/* `members`: images that draft d makes or could make, ascending. `index` is a scratch of one entry per value. */
static void cut_draft(ftso_former *f, int d, const ftso_value *members, size_t count, size_t *index)
{
    ftso_draft *draft = &f->drafts[d];
    flow g = {.vertex_count = 2 * count + 2};
    size_t source = 2 * count, sink = 2 * count + 1;
    ftso_arena_init(&g.arena);
    g.first = FTSO_ARRAY(&g.arena, size_t, g.vertex_count);
    for (size_t v = 0; v < g.vertex_count; v++) g.first[v] = SIZE_MAX;
    for (size_t i = 0; i < count; i++) index[members[i]] = i;
    for (size_t i = 0; i < count; i++) {
        ftso_value v = members[i];
        int64_t cost = f->forced[v] ? 0 : memory_cost(f->graph->nodes[v].shape);
        add_arc(&g, 2 * i, 2 * i + 1, cost);
        if (is_origin(draft, v)) add_arc(&g, source, 2 * i, unlimited);
        if (leaves(f, v, d)) add_arc(&g, 2 * i + 1, sink, unlimited);
        for (size_t u = f->user_start[v]; u < f->user_start[v + 1]; u++) {
            ftso_value user = f->users[u];
            if (f->roles[user] == FTSO_ROLE_POINTWISE && f->joins[user] == d)
                add_arc(&g, 2 * i + 1, 2 * index[user], unlimited);
        }
    }
    size_t *via = FTSO_ARRAY(&g.arena, size_t, g.vertex_count);
    size_t *queue = FTSO_ARRAY(&g.arena, size_t, g.vertex_count);
    while (augment(&g, source, sink, via, queue)) continue;
    const bool *reaches = reaches_sink(&g, sink, queue);
    for (size_t i = 0; i < count; i++) {
        ftso_value v = members[i];
        if (!f->forced[v] && (reaches[2 * i] || !reaches[2 * i + 1])) continue;
        f->written[v] = true;
        FTSO_PUSH(f->arena, draft->writes, draft->write_count, draft->write_capacity, v);
    }
    ftso_arena_deinit(&g.arena);
}

void ftso_former_cut(ftso_former *f)
{
    size_t *index = FTSO_ARRAY(f->arena, size_t, f->count);
    ftso_value *members = FTSO_ARRAY(f->arena, ftso_value, f->count);
    size_t *start = FTSO_ARRAY(f->arena, size_t, f->draft_count + 2);
    for (size_t v = 0; v < f->count; v++)
        if (f->live[v] && f->joins[v] != FTSO_NOWHERE && ftso_former_is_image(f, (ftso_value)v))
            start[f->joins[v] + 2]++;
    for (size_t d = 0; d < f->draft_count; d++) start[d + 2] += start[d + 1];
    for (size_t v = 0; v < f->count; v++)
        if (f->live[v] && f->joins[v] != FTSO_NOWHERE && ftso_former_is_image(f, (ftso_value)v))
            members[start[f->joins[v] + 1]++] = (ftso_value)v;
    for (size_t d = 0; d < f->draft_count; d++) {
        cut_draft(f, (int)d, members + start[d], start[d + 1] - start[d], index);
        /* a constant that is an output has no user and no cut */
        ftso_draft *draft = &f->drafts[d];
        for (size_t i = 0; i < draft->stored_count; i++)
            if (f->roles[draft->stored[i]] == FTSO_ROLE_LITERAL)
                FTSO_PUSH(f->arena, draft->writes, draft->write_count, draft->write_capacity,
                          draft->stored[i]);
    }
}
