/*
 * Genotypes: found or published cells. In: `Genotype(normal=[('op', 0), …], normal_concat=range(2, 6), …)` as it is printed by
 * the DARTS family, or `|op~0|+|op~0|op~1|` of NAS-Bench-201. Out: ftso_genotype, checked against its space.
 * Must hold: every edge exists in the space and comes from an earlier state; every operator can stand on an edge.
 */
#include "sema_internal.h"

#include "parse_internal.h"

static bool add_edge(ftso_sema *sema, const char *name, ftso_span name_span,
                     const ftso_ast_node *from_node, int node, ftso_cell *cell)
{
    const ftso_cell_decl *decl = cell->decl;
    int self = decl->input_count + node;
    int64_t from;
    const ftso_operator *op = ftso_sema_edge_operator(sema, name, name_span);
    if (!ftso_sema_whole(sema, from_node, "the state that an edge reads", 0,
                         decl->input_count + decl->node_count - 1, &from))
        return false;
    if (from >= self) {
        ftso_diag_error(sema->diag, "E0703", from_node->span, "node %d cannot read state %lld",
                        self, (long long)from)
            ->help = ftso_format(sema->arena, "a node reads earlier states: 0 to %d", self - 1);
        return false;
    }
    if (!decl->edge_present[node * (decl->input_count + decl->node_count - 1) + from]) {
        ftso_diag_error(sema->diag, "E0704", from_node->span,
                        "the space has no edge from state %lld to node %d", (long long)from, self)
            ->help = "see `edges` of its cell";
        return false;
    }
    if (!op) return false;
    cell->edges[cell->edge_count++] = (ftso_cell_edge){(int)from, op, NAN};
    return true;
}

static void cell_init(ftso_sema *sema, ftso_cell *cell, const ftso_cell_decl *decl,
                      size_t edge_limit)
{
    cell->decl = decl;
    cell->node_count = decl->node_count;
    cell->edges = FTSO_ARRAY(sema->arena, ftso_cell_edge, edge_limit);
    cell->node_start = FTSO_ARRAY(sema->arena, int, (size_t)decl->node_count + 1);
    cell->concat = FTSO_ARRAY(sema->arena, int, (size_t)(decl->input_count + decl->node_count));
}

/* What the space's cell puts out, where the genotype does not say it. */
static void default_concat(ftso_cell *cell)
{
    const ftso_cell_decl *decl = cell->decl;
    int first = decl->output == FTSO_JOIN_LAST ? decl->node_count - 1 : 0;
    cell->concat_count = 0;
    for (int node = first; node < decl->node_count; node++)
        cell->concat[cell->concat_count++] = decl->input_count + node;
}

/* ---------------------------------------------------------------- DARTS text */

static bool read_concat(ftso_sema *sema, const ftso_ast_node *node, ftso_cell *cell)
{
    int states = cell->decl->input_count + cell->decl->node_count;
    int64_t ids[2];
    if (node->kind == FTSO_AST_CALL && !strcmp(node->text, "range") && node->child_count == 2) {
        for (int i = 0; i < 2; i++) {
            if (!ftso_sema_whole(sema, node->children[i], "a state", 0, states, &ids[i]))
                return false;
        }
        for (int64_t id = ids[0]; id < ids[1]; id++) cell->concat[cell->concat_count++] = (int)id;
    } else if (node->kind == FTSO_AST_LIST || node->kind == FTSO_AST_TUPLE) {
        for (size_t i = 0; i < node->child_count; i++) {
            if (!ftso_sema_whole(sema, node->children[i], "a state", 0, states - 1, &ids[0]))
                return false;
            for (size_t k = 0; k < cell->concat_count; k++) {
                if (cell->concat[k] != ids[0]) continue;
                ftso_diag_error(sema->diag, "E0705", node->children[i]->span,
                                "state %lld is in the output twice", (long long)ids[0])
                    ->help = "take one of the two out";
                return false;
            }
            cell->concat[cell->concat_count++] = (int)ids[0];
        }
    } else {
        ftso_sema_wrong_type(sema, node, "the output of a cell",
                             "`range(a, b)`, or a list of states");
        return false;
    }
    if (cell->concat_count) return true;
    ftso_diag_error(sema->diag, "E0705", node->span, "the output of the cell is empty")->help =
        "name the states that form it";
    return false;
}

/* How many edges node `node` of a found cell has; 0 where it keeps all, none or more of them written. */
static int kept_edges(const ftso_cell_decl *decl, int node)
{
    int states = decl->input_count + decl->node_count - 1, edges = 0;
    for (int from = 0; from < decl->input_count + node; from++)
        edges += decl->edge_present[node * states + from];
    return edges < decl->keep ? edges : decl->keep;
}

static bool read_pairs(ftso_sema *sema, const ftso_ast_node *list, ftso_cell *cell)
{
    const ftso_cell_decl *decl = cell->decl;
    if (list->kind != FTSO_AST_LIST && list->kind != FTSO_AST_TUPLE) {
        ftso_sema_wrong_type(sema, list, "the edges of a cell", "a list of pairs `('op', 0)`");
        return false;
    }
    if (!decl->keep) {
        ftso_diag_error(sema->diag, "E0701", list->span,
                        "cell `%s` keeps all its edges, and pairs do not say where a node ends",
                        decl->name)
            ->help = "write it as `|op~0|+|op~0|op~1|`";
        return false;
    }
    size_t wanted = 0;
    for (int node = 0; node < decl->node_count; node++) wanted += (size_t)kept_edges(decl, node);
    if (list->child_count != wanted) {
        ftso_diag_error(sema->diag, "E0702", list->span,
                        "%zu pair%s cannot fill the %d nodes of cell `%s`", list->child_count,
                        list->child_count == 1 ? "" : "s", decl->node_count, decl->name)
            ->help = ftso_format(sema->arena, "it takes %zu, as `keep` says for each node", wanted);
        return false;
    }
    bool ok = true;
    int node = 0, filled = 0;
    for (size_t i = 0; i < wanted; i++, filled++) {
        const ftso_ast_node *pair = list->children[i];
        if (filled == kept_edges(decl, node)) {
            node++;
            filled = 0;
        }
        if (pair->kind != FTSO_AST_TUPLE || pair->child_count != 2 ||
            (pair->children[0]->kind != FTSO_AST_STRING &&
             pair->children[0]->kind != FTSO_AST_NAME)) {
            ftso_sema_wrong_type(sema, pair, "an edge", "a pair `('op', 0)`");
            ok = false;
            continue;
        }
        const ftso_ast_node *name = pair->children[0];
        ok = add_edge(sema, name->text, name->span, pair->children[1], node, cell) && ok;
        cell->node_start[node + 1] = (int)cell->edge_count;
    }
    return ok;
}

/* The value of `name=` or of `name_concat=`. */
static const ftso_ast_node *find_arg(const ftso_ast_node *call, const char *name,
                                     const char *suffix)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < call->child_count; i++) {
        const ftso_ast_node *arg = call->children[i];
        if (arg->kind == FTSO_AST_ARG && !strncmp(arg->text, name, length) &&
            !strcmp(arg->text + length, suffix)) {
            return arg->children[0];
        }
    }
    return NULL;
}

static bool check_args(ftso_sema *sema, const ftso_ast_node *call, const ftso_genotype *genotype)
{
    size_t count = 2 * genotype->cell_count;
    if (call->child_count > 2 * count + 8) {
        ftso_diag_error(sema->diag, "E0214", call->text_span,
                        "`Genotype` takes %zu arguments here, not %zu", count, call->child_count)
            ->help = "two for each searched cell of the space: `NAME=` and `NAME_concat=`";
        return false;
    }
    const char **names = FTSO_ARRAY(sema->arena, const char *, count);
    for (size_t i = 0; i < genotype->cell_count; i++) {
        names[2 * i] = genotype->cells[i].decl->name;
        names[2 * i + 1] = ftso_format(sema->arena, "%s_concat", names[2 * i]);
    }
    bool ok = true;
    for (size_t i = 0; i < call->child_count; i++) {
        const ftso_ast_node *arg = call->children[i];
        size_t at = 0;
        while (arg->kind == FTSO_AST_ARG && at < count && strcmp(names[at], arg->text) != 0) at++;
        if (arg->kind != FTSO_AST_ARG || at == count) {
            ftso_diag_error(sema->diag, "E0707",
                            arg->kind == FTSO_AST_ARG ? arg->text_span : arg->span,
                            "this names no cell of the space")
                ->help =
                ftso_sema_nearest(sema, arg->kind == FTSO_AST_ARG ? arg->text : "", names, count,
                                  "the arguments are the cells' names, and those with `_concat`");
            ok = false;
        }
        for (size_t k = 0; arg->kind == FTSO_AST_ARG && k < i; k++) {
            if (call->children[k]->kind != FTSO_AST_ARG ||
                strcmp(call->children[k]->text, arg->text) != 0)
                continue;
            ftso_diag_error(sema->diag, "E0213", arg->span, "`%s` is given twice", arg->text)
                ->help = "take one of the two out";
            ok = false;
        }
    }
    return ok;
}

static bool read_darts(ftso_sema *sema, const ftso_ast_node *call, ftso_genotype *genotype)
{
    bool ok = check_args(sema, call, genotype);
    for (size_t i = 0; i < genotype->cell_count; i++) {
        ftso_cell *cell = &genotype->cells[i];
        const ftso_ast_node *pairs = find_arg(call, cell->decl->name, "");
        if (!pairs) {
            ftso_diag_error(sema->diag, "E0707", call->text_span, "the genotype lacks cell `%s`",
                            cell->decl->name)
                ->help = ftso_format(sema->arena, "add `%s=[('op', 0), …]`", cell->decl->name);
            ok = false;
            continue;
        }
        cell_init(sema, cell, cell->decl, pairs->child_count);
        ok = read_pairs(sema, pairs, cell) && ok;
        const ftso_ast_node *concat = find_arg(call, cell->decl->name, "_concat");
        if (concat) {
            ok = read_concat(sema, concat, cell) && ok;
        } else {
            default_concat(cell);
        }
    }
    return ok;
}

/* ---------------------------------------------------------------- NAS-Bench-201 string */

static bool read_arch(ftso_sema *sema, const ftso_ast_node *arch, ftso_genotype *genotype)
{
    if (genotype->cell_count != 1) {
        ftso_diag_error(sema->diag, "E0701", arch->span,
                        "this form holds one cell, and the space has %zu", genotype->cell_count)
            ->help = "write `Genotype(…)`";
        return false;
    }
    ftso_cell *cell = &genotype->cells[0];
    const ftso_cell_decl *decl = cell->decl;
    if (arch->child_count != (size_t)decl->node_count) {
        ftso_diag_error(sema->diag, "E0702", arch->span,
                        "%zu part%s cannot fill the %d nodes of cell `%s`", arch->child_count,
                        arch->child_count == 1 ? "" : "s", decl->node_count, decl->name)
            ->help = "there is one part `|op~0|…|` for each node, joined by `+`";
        return false;
    }
    size_t total = 0;
    for (size_t i = 0; i < arch->child_count; i++) total += arch->children[i]->child_count;
    cell_init(sema, cell, decl, total);
    bool ok = true;
    for (int node = 0; node < decl->node_count; node++) {
        const ftso_ast_node *part = arch->children[node];
        if (decl->keep && part->child_count != (size_t)kept_edges(decl, node)) {
            ftso_diag_error(sema->diag, "E0702", part->span,
                            "node %d has %zu edges, and its cell keeps %d",
                            decl->input_count + node, part->child_count, kept_edges(decl, node))
                ->help = "see `keep` of its cell";
            ok = false;
        }
        for (size_t i = 0; i < part->child_count; i++) {
            const ftso_ast_node *edge = part->children[i];
            ok = add_edge(sema, edge->text, edge->text_span, edge->children[0], node, cell) && ok;
        }
        cell->node_start[node + 1] = (int)cell->edge_count;
    }
    default_concat(cell);
    return ok;
}

/* ---------------------------------------------------------------- entry */

ftso_genotype *ftso_sema_genotype_value(ftso_sema *sema, const ftso_ast_node *node,
                                        const ftso_space *space, const char *name, ftso_span span)
{
    ftso_genotype *genotype = FTSO_NEW(sema->arena, ftso_genotype);
    genotype->name = name;
    genotype->span = span;
    genotype->space = space;
    genotype->cells = FTSO_ARRAY(sema->arena, ftso_cell, space->cell_count);
    for (size_t i = 0; i < space->cell_count; i++) {
        if (!space->cells[i]->body) genotype->cells[genotype->cell_count++].decl = space->cells[i];
    }
    if (node->kind == FTSO_AST_ARCH) return read_arch(sema, node, genotype) ? genotype : NULL;
    if (node->kind == FTSO_AST_CALL && !strcmp(node->text, "Genotype")) {
        return read_darts(sema, node, genotype) ? genotype : NULL;
    }
    if (node->kind != FTSO_AST_ERROR) {
        ftso_diag_error(sema->diag, "E0701", node->span, "this is no genotype")->help =
            "write `Genotype(normal=[('op', 0), …], …)` or `|op~0|+|op~0|op~1|`";
    }
    return NULL;
}

void ftso_sema_genotype(ftso_sema *sema, ftso_symbol *symbol)
{
    const ftso_ast_item *item = symbol->item;
    ftso_symbol *space = ftso_sema_refer(sema, FTSO_SYMBOL_SPACE, item->base, item->base_span);
    if (!space || !space->record) return;
    symbol->record =
        ftso_sema_genotype_value(sema, item->value, space->record, symbol->name, symbol->span);
}

ftso_genotype *ftso_genotype_parse(ftso_arena *arena, ftso_diag *diag, const char *text,
                                   size_t length, const ftso_space *space, const ftso_unit *unit)
{
    ftso_ast_node *node = ftso_parse_value(arena, diag, "genotype", text, length);
    if (!node) return NULL;
    /* The unit's operators as symbols, so that names resolve as they do in a file. */
    ftso_sema sema = {.arena = arena, .diag = diag, .table_size = 2 * unit->operator_count + 1};
    sema.table = FTSO_ARRAY(arena, ftso_symbol *, sema.table_size);
    for (size_t i = 0; i < unit->operator_count; i++) {
        ftso_operator *op = unit->operators[i];
        ftso_symbol *symbol = FTSO_NEW(arena, ftso_symbol);
        ftso_ast_item *item = FTSO_NEW(arena, ftso_ast_item);
        ftso_parse parse = {.arena = arena};
        item->params = ftso_ast_node_new(&parse, FTSO_AST_CALL, op->span);
        for (size_t k = 0; k < op->param_count; k++) {
            ftso_ast_word word = {op->params[k].name, op->params[k].span};
            ftso_ast_kind kind = op->params[k].fallback ? FTSO_AST_ARG : FTSO_AST_NAME;
            ftso_ast_append(&parse, item->params, ftso_ast_leaf(&parse, kind, word));
        }
        *symbol = (ftso_symbol){.kind = FTSO_SYMBOL_OP,
                                .name = op->name,
                                .span = op->span,
                                .item = item,
                                .record = op,
                                .state = FTSO_SYMBOL_DONE};
        ftso_sema_insert(&sema, symbol);
    }
    return ftso_sema_genotype_value(&sema, node, space, "genotype", node->span);
}
