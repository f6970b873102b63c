/*
 * Genotypes from JSON.
 *
 * In: a registered source text, a space. Out: a genotype with every name resolved, or diagnostics (E0520 to E0523).
 * Must hold: no input crashes it; unknown and repeated keys are errors, for a typing mistake must not pass as silence.
 */
#include "search/search.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

typedef struct reader {
    ftso_arena *arena;
    ftso_diag *diag;
    ftso_span span; /* the whole text: JSON values carry no places */
    const ftso_space *space;
    const ftso_unit *unit;
} reader;

enum { MAX_EDGES = 4096, MAX_STATES = 4096 };

/* The members of `object` are among `names`, each at most once. */
static bool keys_known(const reader *in, const cJSON *object, const char *where,
                       const char *const *names, size_t count)
{
    for (const cJSON *item = object->child; item; item = item->next) {
        bool known = false;
        for (size_t i = 0; i < count; i++) known = known || !strcmp(names[i], item->string);
        if (!known) {
            ftso_diag_entry *entry = ftso_diag_error(
                in->diag, "E0521", in->span, "unknown key \"%s\" in %s", item->string, where);
            const char *near = ftso_nearest_name(item->string, names, count);
            if (near) entry->help = ftso_format(in->arena, "did you mean \"%s\"?", near);
            return false;
        }
        for (const cJSON *other = object->child; other != item; other = other->next)
            if (!strcmp(other->string, item->string)) {
                ftso_diag_error(in->diag, "E0521", in->span, "key \"%s\" stands twice in %s",
                                item->string, where);
                return false;
            }
    }
    return true;
}

/* The member `name`, which must be there and be of the kind that `is` tests. */
static const cJSON *member(const reader *in, const cJSON *object, const char *where,
                           const char *name, cJSON_bool (*is)(const cJSON *), const char *kind)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (item && is(item)) return item;
    if (item)
        ftso_diag_error(in->diag, "E0521", in->span, "\"%s\" in %s is not %s", name, where, kind);
    else
        ftso_diag_error(in->diag, "E0521", in->span, "\"%s\" is missing in %s", name, where);
    return NULL;
}

static bool whole(const cJSON *item, int lowest, int highest, int *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= lowest && item->valuedouble <= highest) ||
        item->valuedouble != floor(item->valuedouble))
        return false;
    *out = (int)item->valuedouble;
    return true;
}

static const ftso_operator *find_operator(const reader *in, const char *name)
{
    const char **names = FTSO_ARRAY(in->arena, const char *, in->unit->operator_count + 1);
    for (size_t i = 0; i < in->unit->operator_count; i++) {
        if (!strcmp(in->unit->operators[i]->name, name)) return in->unit->operators[i];
        names[i] = in->unit->operators[i]->name;
    }
    ftso_diag_entry *entry =
        ftso_diag_error(in->diag, "E0522", in->span, "unknown operator '%s'", name);
    const char *near = ftso_nearest_name(name, names, in->unit->operator_count);
    if (near) entry->help = ftso_format(in->arena, "did you mean '%s'?", near);
    return NULL;
}

/* One edge; its node must not come before the last edge's: then all node_start behind that one hold edge_count. */
static bool read_edge(const reader *in, const cJSON *item, const char *where, ftso_cell *cell)
{
    static const char *const keys[] = {"node", "from", "op", "beta"};
    const ftso_cell_decl *decl = cell->decl;
    ftso_cell_edge *edge = &cell->edges[cell->edge_count];
    int node, last = decl->input_count + decl->node_count - 1;
    if (!cJSON_IsObject(item)) {
        ftso_diag_error(in->diag, "E0521", in->span, "an edge of %s is not an object", where);
        return false;
    }
    if (!keys_known(in, item, where, keys, FTSO_COUNT(keys))) return false;
    const cJSON *op = member(in, item, where, "op", cJSON_IsString, "a string");
    if (!op || !(edge->op = find_operator(in, op->valuestring))) return false;
    if (!whole(cJSON_GetObjectItemCaseSensitive(item, "node"), decl->input_count, last, &node)) {
        ftso_diag_error(in->diag, "E0523", in->span,
                        "\"node\" of an edge of %s is not one of %d to %d", where,
                        decl->input_count, last);
        return false;
    }
    if (!whole(cJSON_GetObjectItemCaseSensitive(item, "from"), 0, node - 1, &edge->from)) {
        ftso_diag_error(in->diag, "E0523", in->span,
                        "\"from\" of an edge to node %d of %s is not one of 0 to %d", node, where,
                        node - 1);
        return false;
    }
    const cJSON *beta = cJSON_GetObjectItemCaseSensitive(item, "beta");
    if (beta && !(cJSON_IsNumber(beta) && isfinite(beta->valuedouble))) {
        ftso_diag_error(in->diag, "E0521", in->span, "\"beta\" of an edge of %s is not a number",
                        where);
        return false;
    }
    edge->beta = beta ? beta->valuedouble : (double)NAN;
    int next = node - decl->input_count + 1;
    if (cell->node_start[next] != (int)cell->edge_count) {
        ftso_diag_error(in->diag, "E0523", in->span,
                        "the edges of %s are not in the order of their nodes", where);
        return false;
    }
    cell->edge_count++;
    for (int j = next; j <= decl->node_count; j++) cell->node_start[j] = (int)cell->edge_count;
    return true;
}

static bool read_concat(const reader *in, const cJSON *list, const char *where, ftso_cell *cell)
{
    int last = cell->decl->input_count + cell->decl->node_count - 1,
        size = cJSON_GetArraySize(list);
    if (size > MAX_STATES) size = MAX_STATES;
    cell->concat = FTSO_ARRAY(in->arena, int, (size_t)size + 1);
    for (const cJSON *item = list->child; item && (int)cell->concat_count < size;
         item = item->next) {
        int id;
        bool ok = whole(item, 0, last, &id);
        for (size_t i = 0; ok && i < cell->concat_count; i++) ok = cell->concat[i] != id;
        if (!ok) {
            ftso_diag_error(in->diag, "E0523", in->span,
                            "\"concat\" of %s is not a list of different states, each 0 to %d",
                            where, last);
            return false;
        }
        cell->concat[cell->concat_count++] = id;
    }
    return true;
}

static bool read_cell(const reader *in, const cJSON *object, const ftso_cell_decl *decl,
                      ftso_cell *cell)
{
    static const char *const keys[] = {"edges", "concat"};
    const char *where = ftso_format(in->arena, "cell '%s'", decl->name);
    if (!cJSON_IsObject(object)) {
        ftso_diag_error(in->diag, "E0521", in->span, "%s is not an object", where);
        return false;
    }
    if (!keys_known(in, object, where, keys, FTSO_COUNT(keys))) return false;
    const cJSON *edges = member(in, object, where, "edges", cJSON_IsArray, "a list");
    const cJSON *concat = member(in, object, where, "concat", cJSON_IsArray, "a list");
    if (!edges || !concat) return false;
    int size = cJSON_GetArraySize(edges);
    if (size > MAX_EDGES) {
        ftso_diag_error(in->diag, "E0523", in->span, "%s has more than %d edges", where,
                        (int)MAX_EDGES);
        return false;
    }
    *cell = (ftso_cell){.decl = decl, .node_count = decl->node_count};
    cell->edges = FTSO_ARRAY(in->arena, ftso_cell_edge, (size_t)size + 1);
    cell->node_start = FTSO_ARRAY(in->arena, int, (size_t)decl->node_count + 1);
    for (const cJSON *item = edges->child; item; item = item->next)
        if (!read_edge(in, item, where, cell)) return false;
    for (int j = 0; j < decl->node_count; j++)
        if (cell->node_start[j] == cell->node_start[j + 1]) {
            ftso_diag_error(in->diag, "E0523", in->span, "node %d of %s has no edge",
                            decl->input_count + j, where);
            return false;
        }
    return read_concat(in, concat, where, cell);
}

static ftso_genotype *read_root(const reader *in, const cJSON *root)
{
    static const char *const keys[] = {"format", "version", "space", "cells"};
    const char *const where = "the genotype";
    if (!cJSON_IsObject(root)) {
        ftso_diag_error(in->diag, "E0521", in->span, "a genotype is a JSON object");
        return NULL;
    }
    if (!keys_known(in, root, where, keys, FTSO_COUNT(keys))) return NULL;
    const cJSON *format = member(in, root, where, "format", cJSON_IsString, "a string");
    const cJSON *version = member(in, root, where, "version", cJSON_IsNumber, "a number");
    const cJSON *cells = member(in, root, where, "cells", cJSON_IsObject, "an object");
    if (!format || !version || !cells) return NULL;
    if (strcmp(format->valuestring, "ftso-genotype") || version->valuedouble != 1) {
        ftso_diag_error(in->diag, "E0520", in->span, "this is not a genotype of version 1");
        return NULL;
    }
    const char **names = FTSO_ARRAY(in->arena, const char *, in->space->cell_count + 1);
    ftso_genotype *genotype = FTSO_NEW(in->arena, ftso_genotype);
    genotype->name = "genotype";
    genotype->space = in->space;
    genotype->span = in->span;
    genotype->cells = FTSO_ARRAY(in->arena, ftso_cell, in->space->cell_count + 1);
    size_t searched = 0;
    for (size_t i = 0; i < in->space->cell_count; i++)
        if (!in->space->cells[i]->body) names[searched++] = in->space->cells[i]->name;
    if (!keys_known(in, cells, where, names, searched)) return NULL;
    for (size_t i = 0; i < in->space->cell_count; i++) {
        const ftso_cell_decl *decl = in->space->cells[i];
        if (decl->body) continue;
        const cJSON *object = cJSON_GetObjectItemCaseSensitive(cells, decl->name);
        if (!object) {
            ftso_diag_error(in->diag, "E0521", in->span, "the genotype has no cell '%s'",
                            decl->name);
            return NULL;
        }
        if (!read_cell(in, object, decl, &genotype->cells[genotype->cell_count++])) return NULL;
    }
    return genotype;
}

ftso_genotype *ftso_genotype_parse_json(ftso_arena *arena, ftso_diag *diag, uint32_t file,
                                        const ftso_space *space, const ftso_unit *unit)
{
    const ftso_source *source = &diag->sources[file];
    reader in = {arena, diag, {file, 0, 0}, space, unit};
    const char *end = NULL;
    /* The text has a NUL behind its last byte; one within it would hide what follows. */
    bool hidden = memchr(source->text, 0, source->length) != NULL;
    cJSON *root =
        hidden ? NULL : cJSON_ParseWithLengthOpts(source->text, source->length + 1, &end, true);
    if (!root) {
        if (hidden) end = memchr(source->text, 0, source->length);
        uint32_t at = end ? (uint32_t)(end - source->text) : 0;
        if (at > source->length) at = (uint32_t)source->length;
        ftso_diag_error(diag, "E0520", (ftso_span){file, at, at + 1}, "this is not JSON");
        return NULL;
    }
    ftso_genotype *genotype = read_root(&in, root);
    cJSON_Delete(root);
    return genotype;
}
