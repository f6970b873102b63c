/*
 * What an epilogue keeps in scratch besides the cores' results.
 *
 * A vector of a shuffle takes lanes of several others. Where passes over the pixels would work them out again and again,
 * they and what they share with other users are evaluated once, for a block of pixels; all that is stored or added up then runs
 * over channels evenly, and in registers.
 */
#include "codegen/emit_llvm.h"

enum { KEPT_FLOATS = 5120, LEAST_PIXELS = 2 };

/* Who needs a value of the epilogue: nodes, and shuffles among them. */
typedef struct uses {
    int all, shuffles;
    bool seen;
} uses;

typedef struct survey {
    const ftso_emitter *e;
    uses *of;          /* by value */
    ftso_value *order; /* each behind what it needs */
    size_t count;
    bool shuffles;
} survey;

/* Counts the users of everything between `value` and what is in memory or in scratch. */
static void count_uses(survey *s, ftso_value value)
{
    const ftso_node *node = ftso_graph_node(s->e->schedule->graph, value);
    if (s->of[value].seen) return;
    s->of[value].seen = true;
    if (node->shape.rank != 4 || ftso_emit_is_at_hand(s->e, value)) return;
    for (uint32_t i = 0; i < ftso_node_needs(node); i++) {
        uses *u = &s->of[node->inputs[i]];
        count_uses(s, node->inputs[i]);
        u->all++;
        u->shuffles += ftso_node_is(node, "shuffle");
    }
    s->shuffles = s->shuffles || ftso_node_is(node, "shuffle");
    s->order[s->count++] = value;
}

static survey survey_of(const ftso_emitter *e)
{
    const ftso_graph *graph = e->schedule->graph;
    survey s = {.e = e,
                .of = FTSO_ARRAY(e->arena, uses, graph->node_count),
                .order = FTSO_ARRAY(e->arena, ftso_value, graph->node_count)};
    for (size_t i = 0; i < e->region->write_count; i++) {
        ftso_value value = e->region->writes[i];
        const ftso_node *node = ftso_graph_node(graph, value);
        bool sum = ftso_value_role(graph, value) == FTSO_ROLE_REDUCTION;
        for (uint32_t k = 0; k < (sum ? node->input_count : 1); k++) {
            ftso_value root = sum ? node->inputs[k] : value;
            count_uses(&s, root);
            s.of[root].all++;
        }
    }
    return s;
}

void ftso_emit_choose_kept(ftso_emitter *e, ftso_epilogue *epilogue, int64_t *scratch)
{
    const ftso_graph *graph = e->schedule->graph;
    survey s = survey_of(e);
    int64_t floats = 0;
    size_t capacity = 0;
    for (size_t i = 0; s.shuffles && i < s.count; i++) {
        const ftso_node *node = ftso_graph_node(graph, s.order[i]);
        const uses *u = &s.of[s.order[i]];
        bool moves = ftso_node_is(node, "shuffle") || ftso_node_is(node, "concat") ||
                     ftso_node_is(node, "embed");
        if (!(moves && u->all > u->shuffles) && !(u->shuffles && u->all > 1)) continue;
        ftso_kept kept = {.value = s.order[i]};
        FTSO_PUSH(e->arena, epilogue->kept, epilogue->kept_count, capacity, kept);
        floats += ftso_emit_round(e, node->shape.dim[1]);
    }
    epilogue->block_pixels = FTSO_SUM_PIXELS;
    while (epilogue->block_pixels > LEAST_PIXELS && epilogue->block_pixels * floats > KEPT_FLOATS)
        epilogue->block_pixels /= 2;
    for (size_t i = 0; i < epilogue->kept_count; i++) {
        ftso_shape shape = ftso_graph_shape(graph, epilogue->kept[i].value);
        epilogue->kept[i].offset = *scratch;
        /* a line of the cache between them, so that they do not fall on the same sets */
        *scratch += epilogue->block_pixels * ftso_emit_round(e, shape.dim[1]) + FTSO_LINE_FLOATS;
    }
}
