/*
 * simplify: common subexpressions, dead nodes, constants, identities (rules.c), and nested sums made flat.
 * In: any graph. Out: the same values from fewer nodes. A sum is opened into another only where nobody else reads it.
 * The rebuild is repeated until the number of nodes stands still, because merging exposes further rules.
 */
#include "ir/passes/passes_internal.h"

#include <string.h>

/* The terms of a live add, nested single-use adds opened; image and vector sums alike. */
static ftso_value rebuild_add(ftso_rebuild *r, const ftso_node *node)
{
    ftso_folder *f = &r->folder;
    ftso_value *terms = NULL;
    size_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        ftso_value now = r->map[node->inputs[i]];
        const ftso_node *inner = &f->graph->nodes[now];
        bool open = ftso_node_is(&r->in->nodes[node->inputs[i]], "add") &&
                    r->use_count[node->inputs[i]] == 1 && ftso_node_is(inner, "add");
        for (uint32_t k = 0; k < (open ? inner->input_count : 1); k++)
            FTSO_PUSH(&f->scratch, terms, count, capacity, open ? inner->inputs[k] : now);
    }
    f->graph->origin = node->origin;
    return ftso_fold_sum(f, terms, count);
}

static void rebuild_once(const ftso_graph *in, ftso_graph *out)
{
    ftso_rebuild r;
    ftso_rebuild_begin(&r, in, out);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!r.live[v]) continue;
        r.map[v] = ftso_node_is(node, "add") ? rebuild_add(&r, node) : ftso_rebuild_node(&r, node);
    }
    ftso_rebuild_end(&r);
}

enum { MOST_ROUNDS = 16 };

ftso_status ftso_pass_simplify(const ftso_graph *in, ftso_graph *out)
{
    ftso_arena rounds[2];
    ftso_graph graphs[2];
    ftso_arena_init(&rounds[0]);
    ftso_arena_init(&rounds[1]);
    const ftso_graph *last = in;
    for (int i = 0; i < MOST_ROUNDS; i++) {
        ftso_arena *arena = &rounds[i % 2];
        ftso_arena_reset(arena);
        ftso_graph_init(&graphs[i % 2], arena, in->ops);
        rebuild_once(last, &graphs[i % 2]);
        bool still = i > 0 && graphs[i % 2].node_count == last->node_count;
        last = &graphs[i % 2];
        if (still) break;
    }
    rebuild_once(last, out);
    ftso_arena_deinit(&rounds[0]);
    ftso_arena_deinit(&rounds[1]);
    return FTSO_STATUS_OK;
}
