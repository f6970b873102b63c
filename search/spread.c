/*
 * How much the seeds agree: topologies with counts, edges with counts, mean and spread of val_loss.
 *
 * In: a result. Out: numbers, and the report that a terminal shows. Holds: order of listing does not make a topology:
 * sources are compared as sets.
 */
#include "search_internal.h"

#include <math.h>
#include <string.h>

static bool keeps(const ftso_cell *cell, int node, int from)
{
    int j = node - cell->decl->input_count;
    for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++)
        if (cell->edges[e].from == from) return true;
    return false;
}

/* Sources per node, ascending: "0,1 0,2 …". */
static const char *topology_text(ftso_arena *arena, const ftso_cell *cell)
{
    const char *text = "";
    for (int j = 0; j < cell->node_count; j++) {
        int node = cell->decl->input_count + j;
        const char *separator = j ? " " : "";
        for (int from = 0; from < node; from++) {
            if (!keeps(cell, node, from)) continue;
            text = ftso_format(arena, "%s%s%d", text, separator, from);
            separator = ",";
        }
    }
    return text;
}

static void count_topology(ftso_arena *arena, ftso_spread_cell *cell, size_t *capacity,
                           const char *text, size_t number)
{
    for (size_t i = 0; i < cell->topology_count; i++)
        if (strcmp(cell->topologies[i].text, text) == 0) {
            cell->topologies[i].count++;
            return;
        }
    ftso_spread_topology fresh = {text, 1, number};
    FTSO_PUSH(arena, cell->topologies, cell->topology_count, *capacity, fresh);
}

/* Most frequent first, the earlier found of equally frequent ones. */
static void sort_topologies(ftso_spread_cell *cell)
{
    for (size_t i = 1; i < cell->topology_count; i++)
        for (size_t k = i; k > 0; k--) {
            ftso_spread_topology *a = &cell->topologies[k - 1], *b = &cell->topologies[k];
            if (a->count >= b->count) break;
            ftso_spread_topology kept = *a;
            *a = *b;
            *b = kept;
        }
}

static ftso_spread_cell spread_cell(ftso_arena *arena, const ftso_search_result *result,
                                    size_t number)
{
    const ftso_cell_decl *decl = result->found[0].genotype.cells[number].decl;
    ftso_spread_cell out = {.decl = decl};
    int states = decl->input_count + decl->node_count - 1;
    size_t most = (size_t)(states * decl->node_count), capacity = 0;
    out.edge_node = FTSO_ARRAY(arena, int, most);
    out.edge_from = FTSO_ARRAY(arena, int, most);
    out.edge_kept = FTSO_ARRAY(arena, size_t, most);
    for (int j = 0; j < decl->node_count; j++)
        for (int from = 0; from < decl->input_count + j; from++) {
            if (!decl->edge_present[j * states + from]) continue;
            size_t edge = out.edge_count++;
            out.edge_node[edge] = decl->input_count + j;
            out.edge_from[edge] = from;
            for (size_t i = 0; i < result->found_count; i++)
                out.edge_kept[edge] +=
                    keeps(&result->found[i].genotype.cells[number], out.edge_node[edge], from);
        }
    for (size_t i = 0; i < result->found_count; i++)
        count_topology(arena, &out, &capacity,
                       topology_text(arena, &result->found[i].genotype.cells[number]), i);
    sort_topologies(&out);
    return out;
}

ftso_spread ftso_spread_of(ftso_arena *arena, const ftso_search_result *result)
{
    ftso_spread out = {.seed_count = result->found_count, .val_loss_mean = NAN, .val_loss_sd = NAN};
    if (result->found_count == 0) return out;
    out.cell_count = result->found[0].genotype.cell_count;
    out.cells = FTSO_ARRAY(arena, ftso_spread_cell, out.cell_count);
    for (size_t i = 0; i < out.cell_count; i++) out.cells[i] = spread_cell(arena, result, i);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < result->found_count; i++) {
        if (isnan(result->found[i].val_loss)) continue;
        sum += result->found[i].val_loss;
        out.val_loss_count++;
    }
    if (out.val_loss_count == 0) return out;
    out.val_loss_mean = sum / (double)out.val_loss_count;
    for (size_t i = 0; i < result->found_count; i++) {
        double off = result->found[i].val_loss - out.val_loss_mean;
        if (!isnan(off)) squares += off * off;
    }
    if (out.val_loss_count > 1) out.val_loss_sd = sqrt(squares / (double)(out.val_loss_count - 1));
    return out;
}

/* ---------------------------------------------------------------- the report */

static void report_cell(const ftso_spread *spread, const ftso_spread_cell *cell, ftso_text *out)
{
    enum { SHOWN = 5 };
    ftso_text_printf(out, "cell %s: %zu topolog%s in %zu seeds\n", cell->decl->name,
                     cell->topology_count, cell->topology_count == 1 ? "y" : "ies",
                     spread->seed_count);
    for (size_t i = 0; i < cell->topology_count && i < SHOWN; i++)
        ftso_text_printf(out, "  %3zu x  %s\n", cell->topologies[i].count,
                         cell->topologies[i].text);
    if (cell->topology_count > SHOWN)
        ftso_text_printf(out, "  and %zu more\n", cell->topology_count - SHOWN);
    ftso_text_puts(out, "  edges kept:");
    for (size_t e = 0; e < cell->edge_count; e++)
        ftso_text_printf(out, "%s%d<-%d %.0f %%",
                         e == 0                                         ? "  "
                         : cell->edge_node[e] != cell->edge_node[e - 1] ? "\n               "
                                                                        : ", ",
                         cell->edge_node[e], cell->edge_from[e],
                         100.0 * (double)cell->edge_kept[e] / (double)spread->seed_count);
    ftso_text_puts(out, "\n");
}

static void report_loss(const char *name, double value, ftso_text *out)
{
    if (!isnan(value)) ftso_text_printf(out, "  %s %.4f", name, value);
}

void ftso_search_report(const ftso_search *search, const ftso_search_result *result, ftso_text *out)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_text_printf(out, "search %s, method %s, as read here:\n", search->name, search->method);
    for (size_t i = 0; i < ftso_reading_count(); i++) {
        const char *name, *words = ftso_reading(&arena, search, i, &name);
        if (words) ftso_text_printf(out, "  %-15s %s\n", name, words);
    }
    for (size_t i = 0; i < result->found_count; i++) {
        const ftso_found *found = &result->found[i];
        ftso_text_printf(out, "seed %llu:", (unsigned long long)found->seed);
        if (found->iterations > 0)
            ftso_text_printf(out, "  %lld iteration%s in %.2f s", (long long)found->iterations,
                             found->iterations == 1 ? "" : "s", found->seconds);
        report_loss("train loss", found->train_loss, out);
        report_loss("validation batch loss", found->arch_loss, out);
        report_loss("val_loss", found->val_loss, out);
        ftso_text_puts(out, i == result->chosen ? "  (chosen)\n" : "\n");
    }
    if (result->found_count > 1) {
        ftso_spread spread = ftso_spread_of(&arena, result);
        for (size_t i = 0; i < spread.cell_count; i++) report_cell(&spread, &spread.cells[i], out);
        if (spread.val_loss_count > 1)
            ftso_text_printf(out, "val_loss over %zu seeds: mean %.4f, standard deviation %.4f\n",
                             spread.val_loss_count, spread.val_loss_mean, spread.val_loss_sd);
    }
    ftso_arena_deinit(&arena);
}
