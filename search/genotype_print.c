/*
 * Genotypes as text: DARTS's one line, NAS-Bench-201's string, our JSON.
 *
 * In: a genotype. Out: text that its parser turns into the same genotype.
 * Must hold: numbers in their shortest exact form, whatever the locale.
 */
#include "search/search.h"

#include <cjson/cJSON.h>
#include <math.h>

/* True where the ids are a, a + 1, ..., b - 1, which DARTS writes range(a, b). */
static bool is_range(const int *ids, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (ids[i] != ids[0] + (int)i) return false;
    return count > 1;
}

static void print_concat(const ftso_cell *cell, ftso_text *out)
{
    if (is_range(cell->concat, cell->concat_count)) {
        ftso_text_printf(out, "range(%d, %d)", cell->concat[0],
                         cell->concat[cell->concat_count - 1] + 1);
        return;
    }
    ftso_text_puts(out, "[");
    for (size_t i = 0; i < cell->concat_count; i++)
        ftso_text_printf(out, "%s%d", i ? ", " : "", cell->concat[i]);
    ftso_text_puts(out, "]");
}

void ftso_genotype_print_darts(const ftso_genotype *genotype, ftso_text *out)
{
    ftso_text_puts(out, "Genotype(");
    for (size_t i = 0; i < genotype->cell_count; i++) {
        const ftso_cell *cell = &genotype->cells[i];
        ftso_text_printf(out, "%s%s=[", i ? ", " : "", cell->decl->name);
        for (size_t e = 0; e < cell->edge_count; e++)
            ftso_text_printf(out, "%s('%s', %d)", e ? ", " : "", cell->edges[e].op->name,
                             cell->edges[e].from);
        ftso_text_printf(out, "], %s_concat=", cell->decl->name);
        print_concat(cell, out);
    }
    ftso_text_puts(out, ")");
}

ftso_status ftso_genotype_print_nb201(const ftso_genotype *genotype, ftso_text *out)
{
    if (genotype->cell_count != 1 || genotype->cells[0].decl->input_count != 1)
        return ftso_error(
            FTSO_ERROR_USER,
            "the NAS-Bench-201 string describes one cell with one input, not %zu cells%s",
            genotype->cell_count, genotype->cell_count == 1 ? " with several inputs" : "");
    const ftso_cell *cell = &genotype->cells[0];
    for (int j = 0; j < cell->node_count; j++) {
        if (j) ftso_text_puts(out, "+");
        ftso_text_puts(out, "|");
        for (int from = 0; from <= j; from++)
            for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++)
                if (cell->edges[e].from == from)
                    ftso_text_printf(out, "%s~%d|", cell->edges[e].op->name, from);
    }
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- JSON */

static void add_edges(cJSON *list, const ftso_cell *cell)
{
    for (int j = 0; j < cell->node_count; j++)
        for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++) {
            const ftso_cell_edge *edge = &cell->edges[e];
            cJSON *item = cJSON_CreateObject();
            cJSON_AddNumberToObject(item, "node", cell->decl->input_count + j);
            cJSON_AddNumberToObject(item, "from", edge->from);
            cJSON_AddStringToObject(item, "op", edge->op->name);
            if (!isnan(edge->beta)) {
                char digits[32];
                ftso_double_print(edge->beta, digits);
                cJSON_AddRawToObject(item, "beta", digits);
            }
            cJSON_AddItemToArray(list, item);
        }
}

void ftso_genotype_print_json(const ftso_genotype *genotype, const ftso_space *space,
                              ftso_text *out)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "format", "ftso-genotype");
    cJSON_AddNumberToObject(root, "version", 1);
    cJSON_AddStringToObject(root, "space", space->name);
    cJSON *cells = cJSON_AddObjectToObject(root, "cells");
    for (size_t i = 0; i < genotype->cell_count; i++) {
        const ftso_cell *cell = &genotype->cells[i];
        cJSON *object = cJSON_AddObjectToObject(cells, cell->decl->name);
        add_edges(cJSON_AddArrayToObject(object, "edges"), cell);
        cJSON_AddItemToObject(object, "concat",
                              cJSON_CreateIntArray(cell->concat, (int)cell->concat_count));
    }
    char *text = cJSON_PrintUnformatted(root);
    if (text) ftso_text_puts(out, text);
    out->failed = out->failed || !text;
    cJSON_free(text);
    cJSON_Delete(root);
}

const char *ftso_genotype_hash(ftso_arena *arena, const ftso_genotype *genotype)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_genotype_print_darts(genotype, &text);
    uint64_t hash = ftso_hash(FTSO_HASH_SEED, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return ftso_format(arena, "%016llx", (unsigned long long)hash);
}
