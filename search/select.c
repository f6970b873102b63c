/*
 * From edge weights to cells: which edges a node keeps, and what is put on them.
 *
 * In: edge weights in the order of the super-net's slices. Out: a genotype. Holds: weights descend, equal weights are
 * ordered by ascending source; a softmax over a node ranks as the raw weights do, so selection reads the raw ones.
 */
#include "search_internal.h"

#include <math.h>

static bool ranks_before(double a, double b)
{
    return a > b || (isnan(b) && !isnan(a));
}

int ftso_topology_select(const double *beta, int edge_count, int keep, int *out_edges)
{
    for (int i = 0; i < edge_count; i++) out_edges[i] = i;
    if (keep <= 0) return edge_count;
    /* Insertion from the left moves an edge past strictly lighter ones only: equal ones stay in the order of sources. */
    for (int i = 1; i < edge_count; i++)
        for (int k = i; k > 0 && ranks_before(beta[out_edges[k]], beta[out_edges[k - 1]]); k--) {
            int moved = out_edges[k];
            out_edges[k] = out_edges[k - 1];
            out_edges[k - 1] = moved;
        }
    return keep < edge_count ? keep : edge_count;
}

/* The edges' shares of their node: softmax, or the weights as they are. */
static void shares(ftso_normalize normalize, const double *beta, int count, double *out)
{
    double largest = beta[0], sum = 0;
    for (int i = 0; i < count; i++) {
        out[i] = beta[i];
        if (beta[i] > largest) largest = beta[i];
    }
    if (normalize == FTSO_NORMALIZE_RAW) return;
    for (int i = 0; i < count; i++) sum += out[i] = exp(beta[i] - largest);
    for (int i = 0; i < count; i++) out[i] /= sum;
}

static void select_cell(ftso_arena *arena, const ftso_search *search, const ftso_arch_slice *slice,
                        const double *beta, ftso_cell *cell)
{
    const ftso_cell_decl *decl = slice->cell;
    size_t edges = (size_t)slice->edge_count, edge_capacity = 0, concat_capacity = 0;
    int *picked = FTSO_ARRAY(arena, int, edges);
    double *share = FTSO_ARRAY(arena, double, edges);
    cell->decl = decl;
    cell->node_count = decl->node_count;
    cell->node_start = FTSO_ARRAY(arena, int, (size_t)decl->node_count + 1);
    int64_t at = 0;
    for (int node = 0; node < decl->node_count; node++) {
        int state = decl->input_count + node, count = 0;
        cell->node_start[node] = (int)cell->edge_count;
        while (at + count < slice->edge_count && slice->edge_node[at + count] == state) count++;
        FTSO_ASSERT(count > 0);
        shares(search->normalize, beta + at, count, share);
        int kept = ftso_topology_select(beta + at, count, decl->keep, picked);
        for (int k = 0; k < kept; k++) {
            ftso_cell_edge edge = {slice->edge_from[at + picked[k]], search->replace,
                                   share[picked[k]]};
            FTSO_PUSH(arena, cell->edges, cell->edge_count, edge_capacity, edge);
        }
        if (decl->output != FTSO_JOIN_LAST || node == decl->node_count - 1)
            FTSO_PUSH(arena, cell->concat, cell->concat_count, concat_capacity, state);
        at += count;
    }
    cell->node_start[decl->node_count] = (int)cell->edge_count;
}

void ftso_select_genotype(ftso_arena *arena, const ftso_search *search, const ftso_network *network,
                          const double *beta, ftso_genotype *out_genotype)
{
    *out_genotype = (ftso_genotype){.name = search->name, .space = search->space};
    out_genotype->cells = FTSO_ARRAY(arena, ftso_cell, network->arch_slice_count);
    out_genotype->cell_count = network->arch_slice_count;
    for (size_t i = 0; i < network->arch_slice_count; i++) {
        const ftso_arch_slice *slice = &network->arch_slices[i];
        FTSO_ASSERT(slice->beta_offset >= 0);
        select_cell(arena, search, slice, beta + slice->beta_offset, &out_genotype->cells[i]);
    }
}
