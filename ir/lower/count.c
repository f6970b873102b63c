/*
 * Counts: what a lowered network weighs, and what the paper's theorems say of a space.
 *
 * In: a network before its step, or a space. Out: numbers for people, and whether they are as small as was asked for.
 * Must hold: multiply-adds come from the operators' own cost records; biases count once per output.
 */
#include "ir/ir.h"

#include <string.h>

ftso_counts ftso_network_count(const ftso_network *network)
{
    const ftso_graph *graph = network->graph;
    ftso_counts counts = {network->weight_total, network->arch_total, 0};
    for (size_t i = 0; i < graph->node_count; i++) {
        const ftso_node *node = &graph->nodes[i];
        ftso_shape few[8], *shapes = few;
        if (!node->op->cost || node->op->op_class == FTSO_CLASS_LEAF) continue;
        if (node->input_count > FTSO_COUNT(few))
            shapes = FTSO_ARRAY(graph->arena, ftso_shape, node->input_count);
        for (uint32_t k = 0; k < node->input_count; k++)
            shapes[k] = ftso_graph_shape(graph, node->inputs[k]);
        ftso_cost cost = node->op->cost(shapes, node->input_count, node->attrs, node->shape);
        if (!ftso_i64_add(counts.macs, cost.macs, &counts.macs)) counts.macs = INT64_MAX;
    }
    if (counts.macs != INT64_MAX) counts.macs /= ftso_graph_shape(graph, network->image).dim[0];
    return counts;
}

static bool lookup_count(const void *user, const char *name, ftso_number *out)
{
    const ftso_counts *counts = user;
    if (!strcmp(name, "params")) *out = ftso_number_whole(counts->parameters);
    return !strcmp(name, "params") ||
           (!strcmp(name, "macs") && (*out = ftso_number_whole(counts->macs), true));
}

/* The first part of a conjunction that does not hold, or NULL. */
static const ftso_arith *broken_part(const ftso_arith *require, const ftso_counts *counts,
                                     ftso_text *why)
{
    ftso_number value;
    const ftso_arith *culprit;
    if (require->kind == FTSO_ARITH_AND) {
        const ftso_arith *left = broken_part(require->a, counts, why);
        return left ? left : broken_part(require->b, counts, why);
    }
    if (!ftso_arith_eval(require, lookup_count, counts, &value, &culprit, why)) return culprit;
    return value.value != 0 ? NULL : require;
}

bool ftso_network_require(ftso_arena *arena, ftso_diag *diag, const ftso_arith *require,
                          const ftso_space *space, const ftso_genotype *genotype,
                          const ftso_lower_options *options)
{
    if (!require) return true;
    ftso_lower_options bare = *options;
    bare.inference = true;
    bare.aux = bare.drop_path = false;
    const ftso_network *network = ftso_lower_network(arena, diag, space, genotype, &bare);
    if (!network) return false;
    ftso_counts counts = ftso_network_count(network);
    ftso_text why;
    ftso_text_init(&why);
    const ftso_arith *broken = broken_part(require, &counts, &why);
    if (broken) {
        ftso_diag_entry *entry = ftso_diag_error(
            diag, "E0511", broken->span, "the network has %lld parameters and %lld multiply-adds",
            (long long)counts.parameters, (long long)counts.macs);
        entry->label = why.length ? ftso_strdup(arena, ftso_text_get(&why)) : "this is required";
        entry->help = "take fewer channels or layers, or ask for less";
    }
    ftso_text_deinit(&why);
    return !broken;
}

ftso_theorem ftso_theorem_of(const ftso_space *space, int64_t k, int64_t channels, int64_t side)
{
    ftso_theorem t = {.k = k,
                      .in_channels = channels,
                      .out_channels = channels,
                      .in_side = side,
                      .out_side = side};
    for (size_t i = 0; i < space->cell_count && !t.n; i++)
        if (!space->cells[i]->body)
            t.n = space->cells[i]->input_count + space->cells[i]->node_count + 1;
    if (space->ops) t.p = (int64_t)space->ops->operator_count;
    t.edges = t.n * (t.n - 3) / 2;
    double edges = (double)t.edges, p = (double)t.p;
    double in_map = (double)t.in_side * (double)t.in_side * (double)t.in_channels;
    double out_map = (double)t.out_side * (double)t.out_side * (double)t.out_channels;
    double taps = (double)k * (double)k * (double)t.in_channels + 1;
    t.darts_parameters = edges * p * taps * (double)t.out_channels;
    t.darts_flops = p * edges * out_map * taps;
    t.ftso_parameters = edges;
    t.ftso_flops = edges * in_map;
    t.parameter_ratio = t.darts_parameters > 0 ? t.ftso_parameters / t.darts_parameters : 0;
    t.flop_ratio = t.darts_flops > 0 ? t.ftso_flops / t.darts_flops : 0;
    return t;
}
