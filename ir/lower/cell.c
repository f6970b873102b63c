/*
 * One cell of the stack to nodes: preparation of its inputs, its edges, its nodes, its output.
 *
 * In: a declaration, the values of the cells (or stems) before it, C; the edge weights of a super-net, or the chosen
 * edges of a found network. Out: the cell's value.
 * Must hold: a cell input whose map is twice as wide as the newest input's is prepared with s = 2, one as wide with
 * s = 1; edges from cell inputs take the cell's stride, all others stride 1.
 */
#include "lower_internal.h"

#include <string.h>

/* s for preparing an input, or 0 after a failure was told. */
static int64_t prepare_stride(ftso_builder *builder, ftso_value input, ftso_value newest)
{
    ftso_shape from = ftso_builder_shape(builder, input), to = ftso_builder_shape(builder, newest);
    int64_t stride = 0;
    for (int64_t s = 1; s <= 2 && !stride; s++)
        if ((from.dim[2] + s - 1) / s == to.dim[2] && (from.dim[3] + s - 1) / s == to.dim[3])
            stride = s;
    if (!stride) {
        ftso_diag_entry *entry = ftso_builder_fail(
            builder, "E0504", builder->place_span,
            "the cell's inputs have maps of %lld x %lld and %lld x %lld", (long long)from.dim[2],
            (long long)from.dim[3], (long long)to.dim[2], (long long)to.dim[3]);
        entry->help = "an older input's map may be as wide as the newest one's, or twice as wide";
    }
    return stride;
}

static const char *place_text(ftso_builder *builder, const ftso_cell_site *site, const char *detail)
{
    return ftso_format(builder->arena, "cell %lld of the stack ('%s', C = %lld)%s",
                       (long long)site->index, site->decl->name, (long long)site->channels, detail);
}

/* Scope of expressions inside a cell: C and s. */
static ftso_scope *cell_scope(ftso_builder *builder, int64_t channels, int64_t stride)
{
    ftso_name_value *names = FTSO_ARRAY(builder->arena, ftso_name_value, 2);
    names[0] = (ftso_name_value){"C", ftso_number_whole(channels)};
    names[1] = (ftso_name_value){"s", ftso_number_whole(stride)};
    ftso_scope *scope = FTSO_NEW(builder->arena, ftso_scope);
    *scope = (ftso_scope){builder->globals, names, 2};
    return scope;
}

static bool prepare_inputs(ftso_builder *builder, const ftso_cell_site *site, ftso_value *states)
{
    const ftso_cell_decl *decl = site->decl;
    int count = decl->input_count;
    for (int i = 0; i < count; i++) states[i] = site->inputs[i];
    if (!decl->preprocess) return true;
    for (int i = 0; i < count; i++) {
        builder->place =
            place_text(builder, site, ftso_format(builder->arena, ", its input %d", i));
        builder->path = ftso_format(builder->arena, "cells.%lld.pre.%d", (long long)site->index, i);
        builder->module = (ftso_module){
            FTSO_MODULE_PLACE,
            ftso_format(builder->arena, "cells.%lld.preprocess%d", (long long)site->index, i), ""};
        int64_t stride = prepare_stride(builder, site->inputs[i], site->inputs[count - 1]);
        if (!stride) return false;
        states[i] =
            ftso_builder_expand(builder, decl->preprocess,
                                cell_scope(builder, site->channels, stride), &site->inputs[i], 1);
        if (states[i] == FTSO_NO_VALUE) return false;
    }
    return true;
}

static const char *edge_text(ftso_builder *builder, int from, int to)
{
    return ftso_format(builder->arena, "edge %d -> %d", from, to);
}

/* Makes paths, places and origins tell of the edge that is lowered next, the cell's `number`th. */
static void enter_edge(ftso_builder *builder, const ftso_cell_site *site, int from, int to,
                       int repeat, int64_t number)
{
    builder->place =
        place_text(builder, site, ftso_format(builder->arena, ", edge %d -> %d", from, to));
    builder->path =
        ftso_format(builder->arena, "cells.%lld.edge.%d-%d", (long long)site->index, to, from);
    if (repeat) builder->path = ftso_format(builder->arena, "%s-%d", builder->path, repeat);
    builder->module = (ftso_module){FTSO_MODULE_PLACE,
                                    ftso_format(builder->arena, "cells.%lld._ops.%lld",
                                                (long long)site->index, (long long)number),
                                    ""};
    builder->graph->origin = (ftso_origin){site->decl->span, builder->path};
}

static int64_t edge_stride(const ftso_cell_decl *decl, int from)
{
    return from < decl->input_count && decl->input_stride ? decl->input_stride : 1;
}

/* What every node of the cell is to be. */
static ftso_shape node_shape(const ftso_builder *builder, const ftso_cell_site *site,
                             const ftso_value *states)
{
    return ftso_builder_expected(builder, states[site->decl->input_count - 1], site->channels,
                                 edge_stride(site->decl, 0));
}

static ftso_value join_nodes(ftso_builder *builder, const ftso_cell_site *site,
                             const ftso_value *states, const int *chosen, size_t count)
{
    const ftso_cell_decl *decl = site->decl;
    builder->place = place_text(builder, site, ", its output");
    builder->path = ftso_format(builder->arena, "cells.%lld.output", (long long)site->index);
    builder->graph->origin = (ftso_origin){decl->span, builder->path};
    if (decl->output == FTSO_JOIN_LAST) return states[decl->input_count + decl->node_count - 1];
    ftso_value *parts = FTSO_ARRAY(builder->arena, ftso_value, count + 1);
    ftso_term *terms = FTSO_ARRAY(builder->arena, ftso_term, count + 1);
    for (size_t i = 0; i < count; i++) {
        parts[i] = states[chosen[i]];
        terms[i] =
            (ftso_term){parts[i], ftso_format(builder->arena, "state %d", chosen[i]), decl->span};
    }
    if (decl->output == FTSO_JOIN_SUM)
        return ftso_builder_sum(builder, terms, count, node_shape(builder, site, states));
    if (count == 1) return parts[0];
    ftso_text why;
    ftso_text_init(&why);
    ftso_value y = ftso_builder_add(builder, "concat", parts, count, NULL, 0, &why);
    if (y == FTSO_NO_VALUE)
        ftso_builder_fail(builder, "E0502", decl->span, "the nodes cannot be joined: %s",
                          ftso_text_get(&why));
    ftso_text_deinit(&why);
    return y;
}

static const int *all_nodes(ftso_builder *builder, const ftso_cell_decl *decl)
{
    int *nodes = FTSO_ARRAY(builder->arena, int, (size_t)decl->node_count + 1);
    for (int j = 0; j < decl->node_count; j++) nodes[j] = decl->input_count + j;
    return nodes;
}

ftso_value ftso_builder_mixed_cell(ftso_builder *builder, const ftso_cell_site *site,
                                   const ftso_edge_weights *weights)
{
    const ftso_cell_decl *decl = site->decl;
    const ftso_arch_slice *slice = weights->slice;
    size_t state_count = (size_t)(decl->input_count + decl->node_count);
    ftso_value *states = FTSO_ARRAY(builder->arena, ftso_value, state_count);
    ftso_term *terms = FTSO_ARRAY(builder->arena, ftso_term, (size_t)slice->edge_count + 1);
    if (!prepare_inputs(builder, site, states)) return FTSO_NO_VALUE;
    int64_t edge = 0;
    for (int node = decl->input_count; node < (int)state_count; node++) {
        size_t count = 0;
        for (; edge < slice->edge_count && slice->edge_node[edge] == node; edge++) {
            int from = slice->edge_from[edge];
            enter_edge(builder, site, from, node, 0, edge);
            ftso_mixture mixture = {
                weights->ops, weights->alpha ? weights->alpha + edge * slice->op_count : NULL};
            int64_t stride = edge_stride(decl, from);
            ftso_value y;
            if (decl->edge) {
                builder->mixture = &mixture;
                y = ftso_builder_expand(builder, decl->edge,
                                        cell_scope(builder, site->channels, stride), &states[from],
                                        1);
                builder->mixture = NULL;
            } else {
                y = ftso_builder_mixture(builder, &mixture, decl->span,
                                         ftso_number_whole(site->channels),
                                         ftso_number_whole(stride), states[from]);
            }
            if (y == FTSO_NO_VALUE) return FTSO_NO_VALUE;
            builder->graph->origin = (ftso_origin){decl->span, builder->path};
            if (weights->beta)
                y = ftso_graph_binary(builder->graph, "scale", y, weights->beta[edge]);
            terms[count++] = (ftso_term){y, edge_text(builder, from, node), decl->span};
        }
        FTSO_ASSERT(count > 0);
        builder->place = place_text(builder, site, ftso_format(builder->arena, ", node %d", node));
        builder->path =
            ftso_format(builder->arena, "cells.%lld.node.%d", (long long)site->index, node);
        builder->graph->origin = (ftso_origin){decl->span, builder->path};
        states[node] = ftso_builder_sum(builder, terms, count, node_shape(builder, site, states));
        if (states[node] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    }
    return join_nodes(builder, site, states, all_nodes(builder, decl), (size_t)decl->node_count);
}

/* Edges from one state to one node may repeat (two operators on it); later ones get names of their own. */
static int repeats_before(const ftso_cell *cell, int first, int edge)
{
    int count = 0;
    for (int i = first; i < edge; i++) count += cell->edges[i].from == cell->edges[edge].from;
    return count;
}

ftso_value ftso_builder_drop(ftso_builder *builder, ftso_value value)
{
    ftso_network *network = builder->network;
    ftso_shape shape = ftso_builder_shape(builder, value);
    FTSO_ASSERT(shape.rank == 4 && shape.batched);
    if (network->drop_path == FTSO_NO_VALUE)
        network->drop_path =
            ftso_graph_input(builder->graph, "drop_path",
                             ftso_shape_image(shape.dim[0], (int64_t)FTSO_LOWER_MAX_NODES, 1, 1));
    ftso_attr_value index = FTSO_I(network->drop_count++);
    ftso_value mask = ftso_graph_add(builder->graph, "column", &network->drop_path, 1, &index, 1);
    return ftso_graph_binary(builder->graph, "sample_mul", value, mask);
}

ftso_value ftso_builder_found_cell(ftso_builder *builder, const ftso_cell_site *site,
                                   const ftso_cell *cell)
{
    const ftso_cell_decl *decl = site->decl;
    size_t state_count = (size_t)(decl->input_count + decl->node_count);
    ftso_value *states = FTSO_ARRAY(builder->arena, ftso_value, state_count);
    ftso_term *terms = FTSO_ARRAY(builder->arena, ftso_term, cell->edge_count + 1);
    if (!prepare_inputs(builder, site, states)) return FTSO_NO_VALUE;
    for (int j = 0; j < decl->node_count; j++) {
        int node = decl->input_count + j;
        size_t count = 0;
        for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++) {
            const ftso_cell_edge *edge = &cell->edges[e];
            enter_edge(builder, site, edge->from, node,
                       repeats_before(cell, cell->node_start[j], e), e);
            ftso_value y = ftso_builder_operator(
                builder, edge->op, decl->span, ftso_number_whole(site->channels),
                ftso_number_whole(edge_stride(decl, edge->from)), states[edge->from]);
            if (y == FTSO_NO_VALUE) return FTSO_NO_VALUE;
            if (builder->options->drop_path && y != states[edge->from])
                y = ftso_builder_drop(builder, y);
            if (y == FTSO_NO_VALUE) return FTSO_NO_VALUE;
            terms[count++] = (ftso_term){y,
                                         ftso_format(builder->arena, "'%s' on edge %d -> %d",
                                                     edge->op->name, edge->from, node),
                                         edge->op->span};
        }
        builder->path =
            ftso_format(builder->arena, "cells.%lld.node.%d", (long long)site->index, node);
        builder->graph->origin = (ftso_origin){decl->span, builder->path};
        states[node] = ftso_builder_sum(builder, terms, count, node_shape(builder, site, states));
        if (states[node] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    }
    if (cell->concat_count)
        return join_nodes(builder, site, states, cell->concat, cell->concat_count);
    return join_nodes(builder, site, states, all_nodes(builder, decl), (size_t)decl->node_count);
}

ftso_value ftso_builder_fixed_cell(ftso_builder *builder, const ftso_cell_site *site)
{
    const ftso_cell_decl *decl = site->decl;
    builder->place = place_text(builder, site, "");
    builder->path = ftso_format(builder->arena, "cells.%lld", (long long)site->index);
    builder->module = (ftso_module){FTSO_MODULE_ROOT, builder->path, ""};
    int64_t stride = decl->input_stride ? decl->input_stride : 1;
    return ftso_builder_expand(builder, decl->body, cell_scope(builder, site->channels, stride),
                               site->inputs, (size_t)decl->input_count);
}
