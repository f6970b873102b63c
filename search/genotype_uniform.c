/*
 * A genotype that a space admits, without a search: each node keeps its first edges, all with one operator. For checks
 * of a found network's shapes before any search ran.
 */
#include "search/search.h"

static void fill_cell(ftso_arena *arena, const ftso_cell_decl *decl, const ftso_operator *op,
                      ftso_cell *cell)
{
    int states = decl->input_count + decl->node_count - 1;
    cell->decl = decl;
    cell->node_count = decl->node_count;
    cell->node_start = FTSO_ARRAY(arena, int, (size_t)decl->node_count + 1);
    size_t edge_capacity = 0, concat_capacity = 0;
    for (int node = 0; node < decl->node_count; node++) {
        int kept = 0;
        cell->node_start[node] = (int)cell->edge_count;
        for (int from = 0; from < decl->input_count + node; from++) {
            if (!decl->edge_present[node * states + from] || (decl->keep && kept == decl->keep))
                continue;
            ftso_cell_edge edge = {.from = from, .op = op};
            FTSO_PUSH(arena, cell->edges, cell->edge_count, edge_capacity, edge);
            kept++;
        }
        int state = decl->input_count + node;
        if (decl->output != FTSO_JOIN_LAST || node == decl->node_count - 1)
            FTSO_PUSH(arena, cell->concat, cell->concat_count, concat_capacity, state);
    }
    cell->node_start[decl->node_count] = (int)cell->edge_count;
}

ftso_genotype *ftso_genotype_uniform(ftso_arena *arena, const ftso_space *space,
                                     const ftso_operator *op)
{
    ftso_genotype *genotype = FTSO_NEW(arena, ftso_genotype);
    genotype->name = op->name;
    genotype->space = space;
    genotype->cells = FTSO_ARRAY(arena, ftso_cell, space->cell_count);
    for (size_t i = 0; i < space->cell_count; i++)
        if (!space->cells[i]->body)
            fill_cell(arena, space->cells[i], op, &genotype->cells[genotype->cell_count++]);
    return genotype;
}
