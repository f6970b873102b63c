/*
 * Cells of a space. In: the blocks `cell NAME { … }`, own and inherited. Out: ftso_cell_decl.
 * Must hold: every node has inputs, and only from earlier states; keep fits every node; nothing is computed in vain.
 */
#include "sema_space.h"

enum { MAX_INPUTS = 8, MAX_NODES = 64 };

static const ftso_key cell_keys[] = {
    {"inputs", FTSO_FORM_VALUE, 0, false, "inputs = 2;"},
    {"nodes", FTSO_FORM_VALUE, 0, false, "nodes = 4;"},
    {"edges", FTSO_FORM_VALUE, 0, false, "edges = all_previous;"},
    {"keep", FTSO_FORM_VALUE, 0, false, "keep = 2;"},
    {"input_stride", FTSO_FORM_VALUE, 0, false, "input_stride = 2;"},
    {"output", FTSO_FORM_VALUE, 0, false, "output = concat;"},
    {"preprocess", FTSO_FORM_PARAMS | FTSO_FORM_VALUE, 0, false, "preprocess(C, s) = A;"},
    {"edge", FTSO_FORM_PARAMS | FTSO_FORM_VALUE, 0, false, "edge(C, s) = candidates(C, s);"},
};

static bool *edge_at(const ftso_cell_decl *cell, int node, int from)
{
    return &cell->edge_present[node * (cell->input_count + cell->node_count - 1) + from];
}

static int edges_of(const ftso_cell_decl *cell, int node)
{
    int count = 0;
    for (int from = 0; from < cell->input_count + node; from++) count += *edge_at(cell, node, from);
    return count;
}

/* [[0, 1], [0, 2]]: for each node the states that it reads. */
static bool read_edge_lists(ftso_sema *sema, const ftso_ast_node *value, ftso_cell_decl *cell)
{
    if (value->child_count != (size_t)cell->node_count) {
        ftso_diag_error(sema->diag, "E0604", value->span,
                        "there are %d nodes and %zu lists of edges", cell->node_count,
                        value->child_count)
            ->help = "give one list of states for each node, or `all_previous`";
        return false;
    }
    bool ok = true;
    for (int node = 0; node < cell->node_count; node++) {
        const ftso_ast_node *list = value->children[node];
        if (list->kind != FTSO_AST_LIST) {
            ftso_sema_wrong_type(sema, list, "the edges of a node", "a list of states");
            ok = false;
            continue;
        }
        int self = cell->input_count + node;
        for (size_t i = 0; i < list->child_count; i++) {
            int64_t from;
            const ftso_ast_node *state = list->children[i];
            if (!ftso_sema_whole(sema, state, "a state", 0,
                                 cell->input_count + cell->node_count - 1, &from)) {
                ok = false;
            } else if (from >= self) {
                ftso_diag_error(sema->diag, "E0602", state->span,
                                "node %d cannot read state %lld: that would be a circle", self,
                                (long long)from)
                    ->help =
                    ftso_format(sema->arena, "a node reads earlier states: 0 to %d", self - 1);
                ok = false;
            } else if (*edge_at(cell, node, (int)from)) {
                ftso_diag_error(sema->diag, "E0610", state->span, "node %d reads state %lld twice",
                                self, (long long)from)
                    ->help = "take one of the two out";
                ok = false;
            } else {
                *edge_at(cell, node, (int)from) = true;
            }
        }
        if (!list->child_count) {
            ftso_diag_error(sema->diag, "E0601", list->span,
                            "node %d cannot be reached: it reads no state", self)
                ->help = "give it an edge, or take the node out";
            ok = false;
        }
    }
    return ok;
}

static bool read_edges(ftso_sema *sema, const ftso_ast_item *item, ftso_cell_decl *cell)
{
    int states = cell->input_count + cell->node_count - 1;
    cell->edge_present = FTSO_ARRAY(sema->arena, bool, (size_t)(cell->node_count * states));
    if (item && item->value->kind == FTSO_AST_LIST) return read_edge_lists(sema, item->value, cell);
    static const char *const words[] = {"all_previous"};
    if (item && ftso_sema_word(sema, item->value, "`edges`", words, 1) < 0) return false;
    for (int node = 0; node < cell->node_count; node++) {
        for (int from = 0; from < cell->input_count + node; from++)
            *edge_at(cell, node, from) = true;
    }
    return true;
}

/* keep = 2;  keep = at_most(2);  keep = all; */
static bool read_keep(ftso_sema *sema, const ftso_ast_item *item, ftso_cell_decl *cell)
{
    if (!item || (item->value->kind == FTSO_AST_NAME && !strcmp(item->value->text, "all")))
        return true;
    const ftso_ast_node *value = item->value;
    bool at_most = value->kind == FTSO_AST_CALL && !strcmp(value->text, "at_most");
    if (at_most) {
        static const char *const names[] = {"count"};
        const ftso_ast_node *count;
        if (!ftso_sema_bind(sema, value, names, 1, &count)) return false;
        if (count) value = count;
    }
    int64_t keep;
    if (value->kind == FTSO_AST_CALL) {
        ftso_sema_wrong_type(sema, value, "`keep`", "a number, `at_most(2)` or `all`");
        return false;
    }
    if (!ftso_sema_whole(sema, value, "`keep`", 1, MAX_NODES, &keep)) return false;
    for (int node = 0; node < cell->node_count && !at_most; node++) {
        int edges = edges_of(cell, node);
        if (edges >= keep) continue;
        ftso_diag_error(sema->diag, "E0603", value->span,
                        "`keep` is %lld, and node %d has %d input%s", (long long)keep,
                        cell->input_count + node, edges, edges == 1 ? "" : "s")
            ->help = ftso_format(sema->arena, "keep at most %d, or `at_most(%lld)`, or `all`",
                                 edges, (long long)keep);
        return false;
    }
    cell->keep = (int)keep;
    return true;
}

/* With output = last a node that no path leads on from is computed in vain. */
static bool check_reach(ftso_sema *sema, const ftso_cell_decl *cell)
{
    bool reaches[MAX_INPUTS + MAX_NODES] = {false};
    for (int node = cell->node_count - 1; node >= 0; node--) {
        int self = cell->input_count + node;
        if (cell->output != FTSO_JOIN_LAST || node == cell->node_count - 1) reaches[self] = true;
        if (!reaches[self]) {
            ftso_diag_error(sema->diag, "E0609", cell->span,
                            "node %d of cell `%s` never reaches the output", self, cell->name)
                ->help = "let a later node read it, or take it out";
            return false;
        }
        for (int from = 0; from < self; from++) reaches[from] |= *edge_at(cell, node, from);
    }
    for (int input = 0; input < cell->input_count; input++) {
        if (reaches[input]) continue;
        ftso_diag_warning(sema->diag, "W0601", cell->span, "input %d of cell `%s` is never read",
                          input, cell->name)
            ->help = "let a node read it, or take one from `inputs`";
    }
    return true;
}

/* The parameters of preprocess, edge and fixed cells are C and s, whichever of them are used. */
static bool read_scope(ftso_sema *sema, const ftso_ast_node *params, const char **names,
                       size_t *out_count)
{
    *out_count = 0;
    for (size_t i = 0; i < params->child_count; i++) {
        const ftso_ast_node *param = params->children[i];
        bool fits = param->kind == FTSO_AST_NAME &&
                    (!strcmp(param->text, "C") || !strcmp(param->text, "s"));
        for (size_t k = 0; fits && k < *out_count; k++) fits = strcmp(names[k], param->text) != 0;
        if (!fits) {
            ftso_diag_error(sema->diag, "E0410", param->span,
                            "the parameters here are C (channels) and s (stride)")
                ->help = ftso_format(sema->arena, "write `%s(C, s)`", params->text);
            return false;
        }
        names[(*out_count)++] = param->text;
    }
    return true;
}

const ftso_opexpr *ftso_sema_scoped(ftso_sema *sema, const ftso_ast_item *item,
                                    const ftso_names *constants, bool candidates)
{
    const char *names[2];
    ftso_names scope_names = {.names = names, .outer = constants};
    if (!read_scope(sema, item->params, names, &scope_names.count)) return NULL;
    ftso_op_scope scope = {&scope_names, NULL, candidates, false};
    const ftso_opexpr *expr = ftso_sema_one_value(sema, item->value, &scope);
    if (expr && candidates && !scope.saw_candidates) {
        ftso_diag_error(sema->diag, "E0409", item->value->span,
                        "an edge without `candidates` has no operator to find")
            ->help = "use `candidates(C, s)` in it, or leave `edge` out";
        return NULL;
    }
    return expr;
}

static bool read_searched(ftso_sema *sema, const ftso_block *block, const ftso_names *constants,
                          ftso_cell_decl *cell)
{
    static const char *const joins[] = {"concat", "sum", "last"};
    const ftso_ast_item *item = ftso_block_get(sema, block, "inputs", "inputs = 2;");
    int64_t inputs = 0, nodes = 0, stride = 1;
    bool ok = item && ftso_sema_whole(sema, item->value, "`inputs`", 1, MAX_INPUTS, &inputs);
    item = ftso_block_get(sema, block, "nodes", "nodes = 4;");
    ok = item && ftso_sema_whole(sema, item->value, "`nodes`", 1, MAX_NODES, &nodes) && ok;
    if ((item = ftso_block_find(block, "input_stride", NULL))) {
        ok = ftso_sema_whole(sema, item->value, "`input_stride`", 1, 2, &stride) && ok;
    }
    if ((item = ftso_block_find(block, "output", NULL))) {
        int join = ftso_sema_word(sema, item->value, "`output`", joins, 3);
        ok = ok && join >= 0;
        cell->output = join < 0 ? FTSO_JOIN_CONCAT : (ftso_join)join;
    }
    if ((item = ftso_block_find(block, "preprocess", NULL))) {
        cell->preprocess = ftso_sema_scoped(sema, item, constants, false);
        ok = ok && cell->preprocess;
    }
    if ((item = ftso_block_find(block, "edge", NULL))) {
        cell->edge = ftso_sema_scoped(sema, item, constants, true);
        ok = ok && cell->edge;
    }
    cell->input_count = (int)inputs;
    cell->node_count = (int)nodes;
    cell->input_stride = (int)stride;
    return ok && inputs > 0 && nodes > 0 &&
           read_edges(sema, ftso_block_find(block, "edges", NULL), cell) &&
           read_keep(sema, ftso_block_find(block, "keep", NULL), cell) && check_reach(sema, cell);
}

/* The innermost statement `cell NAME`. */
static const ftso_ast_item *find_cell(const ftso_block *space, const char *name)
{
    for (; space; space = space->base) {
        for (size_t i = 0; i < space->items->count; i++) {
            const ftso_ast_item *item = space->items->items[i];
            if (!strcmp(item->word, "cell") && item->used && !strcmp(item->name, name)) return item;
        }
    }
    return NULL;
}

static const char *nearest_cell(ftso_sema *sema, const ftso_block *space, const char *name)
{
    size_t count = 0;
    for (const ftso_block *level = space; level; level = level->base) count += level->items->count;
    const char **names = FTSO_ARRAY(sema->arena, const char *, count);
    count = 0;
    for (; space; space = space->base) {
        for (size_t i = 0; i < space->items->count; i++) {
            const ftso_ast_item *item = space->items->items[i];
            if (!strcmp(item->word, "cell") && item->name) names[count++] = item->name;
        }
    }
    return ftso_sema_nearest(sema, name, names, count, "declare it with `cell`");
}

/* All blocks that `cell NAME` is made of: its own in this space and the inherited ones, then those of the cell it is based on. */
static bool collect_blocks(ftso_sema *sema, const ftso_block *space, const char *name, int depth,
                           ftso_block **first, ftso_block **last)
{
    const char *base = NULL;
    ftso_span base_span = {0};
    bool found = false;
    for (const ftso_block *level = space; level; level = level->base) {
        for (size_t i = 0; i < level->items->count; i++) {
            const ftso_ast_item *item = level->items->items[i];
            if (strcmp(item->word, "cell") != 0 || !item->used || strcmp(item->name, name) != 0)
                continue;
            found = true;
            if (item->base && !base) {
                base = item->base;
                base_span = item->base_span;
            }
            if (!item->has_block) continue;
            ftso_block *block = FTSO_NEW(sema->arena, ftso_block);
            block->items = &item->block;
            block->span = item->name_span;
            block->what = ftso_format(sema->arena, "cell `%s`", name);
            if (*last) (*last)->base = block;
            if (!*first) *first = block;
            *last = block;
        }
    }
    if (!base) return found;
    if (depth > 16) {
        ftso_diag_error(sema->diag, "E0216", base_span, "cell `%s` is declared in terms of itself",
                        base)
            ->help = "break the circle";
        return false;
    }
    if (!find_cell(space, base)) {
        ftso_diag_error(sema->diag, "E0205", base_span, "there is no cell `%s` in this space", base)
            ->help = nearest_cell(sema, space, base);
        return false;
    }
    return collect_blocks(sema, space, base, depth + 1, first, last);
}

ftso_cell_decl *ftso_sema_cell(ftso_sema *sema, const ftso_block *space, const ftso_ast_item *item,
                               const ftso_names *constants)
{
    ftso_cell_decl *cell = FTSO_NEW(sema->arena, ftso_cell_decl);
    cell->name = item->name;
    cell->span = item->name_span;
    cell->input_count = 1;
    cell->input_stride = 1;
    if (item->value) {
        cell->body = ftso_sema_scoped(sema, item, constants, false);
        return cell->body ? cell : NULL;
    }
    ftso_block *first = NULL, *last = NULL;
    if (!collect_blocks(sema, space, item->name, 0, &first, &last) || !first) return NULL;
    return read_searched(sema, first, constants, cell) ? cell : NULL;
}

void ftso_sema_check_cell(ftso_sema *sema, const ftso_ast_item *item)
{
    static const ftso_key fixed = {"cell", FTSO_FORM_NAME | FTSO_FORM_PARAMS | FTSO_FORM_VALUE, 0,
                                   false, "cell NAME(C, s) = OPERATOR;"};
    static const ftso_key searched = {"cell", FTSO_FORM_NAME | FTSO_FORM_BLOCK, FTSO_FORM_BASE,
                                      false, "cell NAME { … }"};
    if (item->value || item->params) {
        ((ftso_ast_item *)item)->used = ftso_sema_check_form(sema, item, &fixed);
        return;
    }
    ((ftso_ast_item *)item)->used = ftso_sema_check_form(sema, item, &searched);
    if (item->has_block)
        ftso_sema_check_block(sema, &item->block, "a cell", cell_keys, FTSO_COUNT(cell_keys),
                              false);
}
