/*
 * Operators: composites, expressions of operators, operator sets.
 * In: declarations `op` and `opset`, and the operator expressions of spaces. Out: ftso_operator, ftso_opexpr, ftso_opset.
 * Must hold: every call is bound to its parameters by name; no composite unfolds to itself; branches are always joined.
 */
#include "sema_internal.h"

enum { MAX_PARAMS = 16, MAX_SET = 256, MAX_HEIGHT = 200 };
#define MAX_SIZE ((int64_t)100000)

static ftso_opexpr *opexpr_new(ftso_sema *sema, ftso_opexpr_kind kind, ftso_span span)
{
    ftso_opexpr *expr = FTSO_NEW(sema->arena, ftso_opexpr);
    expr->kind = kind;
    expr->span = span;
    return expr;
}

/* ---------------------------------------------------------------- calls */

/* What can be called, as one shape: parameters with names, and which must be given. */
typedef struct call_shape {
    const char *names[MAX_PARAMS];
    bool required[MAX_PARAMS];
    const ftso_primitive *primitive;
    size_t count;
} call_shape;

static void callee_of_primitive(const ftso_primitive *primitive, call_shape *out)
{
    out->primitive = primitive;
    for (int i = 0; i < primitive->param_count; i++) {
        out->names[out->count] = primitive->params[i].name;
        out->required[out->count++] = isnan(primitive->params[i].fallback);
    }
}

/* The parameters as declared; the composite's body may not have been read yet. */
static void callee_of_composite(const ftso_symbol *symbol, call_shape *out)
{
    const ftso_ast_node *params = symbol->item->params;
    for (size_t i = 0; params && i < params->child_count && out->count < MAX_PARAMS; i++) {
        const ftso_ast_node *param = params->children[i];
        if (param->kind != FTSO_AST_NAME && param->kind != FTSO_AST_ARG) continue;
        out->names[out->count] = param->text;
        out->required[out->count++] = param->kind == FTSO_AST_NAME;
    }
}

/* A constant argument outside the primitive's range is told at once; others are checked when the network is built. */
static bool in_range(ftso_sema *sema, const ftso_primitive *primitive, size_t index,
                     const ftso_arith *arith)
{
    const ftso_primitive_param *param = &primitive->params[index];
    if (arith->kind != FTSO_ARITH_NUMBER) return true;
    bool whole = arith->den == 1;
    if (arith->value >= param->lowest && arith->value <= param->highest &&
        (whole || !param->integral))
        return true;
    ftso_diag_entry *entry =
        ftso_diag_error(sema->diag, "E0309", arith->span, "`%s` of `%s` cannot be %s", param->name,
                        primitive->name, ftso_sema_show(sema, arith->value));
    entry->label = ftso_format(sema->arena, "must be a %snumber between %s and %s",
                               param->integral ? "whole " : "", ftso_sema_show(sema, param->lowest),
                               ftso_sema_show(sema, param->highest));
    return false;
}

static bool bind_args(ftso_sema *sema, const ftso_ast_node *node, const call_shape *callee,
                      const ftso_names *names, ftso_opexpr *expr)
{
    const ftso_ast_node *nodes[MAX_PARAMS] = {NULL};
    if (node->kind == FTSO_AST_CALL &&
        !ftso_sema_bind(sema, node, callee->names, callee->count, nodes))
        return false;
    bool ok = true;
    expr->args = FTSO_ARRAY(sema->arena, ftso_arg, callee->count);
    for (size_t i = 0; i < callee->count; i++) {
        if (!nodes[i]) {
            if (!callee->required[i]) continue;
            ftso_diag_error(sema->diag, "E0212", node->span, "`%s` needs its argument `%s`",
                            node->text, callee->names[i])
                ->help =
                ftso_format(sema->arena, "write `%s(… %s = …)`", node->text, callee->names[i]);
            ok = false;
            continue;
        }
        ftso_type type;
        const ftso_arith *arith = ftso_sema_arith(sema, nodes[i], names, &type);
        if (!arith || (callee->primitive && !in_range(sema, callee->primitive, i, arith))) {
            ok = false;
            continue;
        }
        expr->args[expr->arg_count++] = (ftso_arg){callee->names[i], arith, nodes[i]->span};
    }
    return ok;
}

static void add_use(ftso_sema *sema, ftso_op_scope *scope, ftso_symbol *symbol)
{
    symbol->used = true;
    if (!scope->inside) return;
    FTSO_PUSH(sema->arena, scope->inside->uses, scope->inside->use_count,
              scope->inside->use_capacity, symbol);
}

static void unknown_operator(ftso_sema *sema, const ftso_ast_node *node, const ftso_names *names)
{
    size_t primitive_count, count = 0;
    const ftso_primitive *primitives = ftso_primitive_rows(&primitive_count);
    if (node->kind == FTSO_AST_NAME &&
        (ftso_names_has(names, node->text) || ftso_sema_find(sema, FTSO_SYMBOL_LET, node->text))) {
        ftso_diag_error(sema->diag, "E0310", node->span,
                        "`%s` is a number; an operator is wanted here", node->text);
        return;
    }
    if (!ftso_sema_first_time(sema, node->text)) return;
    if (ftso_sema_is_flooded(sema)) {
        ftso_diag_error(sema->diag, "E0204", node->text_span, "there is no operator `%s`",
                        node->text);
        return;
    }
    const char **known =
        FTSO_ARRAY(sema->arena, const char *, sema->symbol_count + primitive_count + 1);
    for (size_t i = 0; i < primitive_count; i++) known[count++] = primitives[i].name;
    for (size_t i = 0; i < sema->symbol_count; i++) {
        if (sema->symbols[i]->kind == FTSO_SYMBOL_OP) known[count++] = sema->symbols[i]->name;
    }
    ftso_diag_error(sema->diag, "E0204", node->text_span, "there is no operator `%s`", node->text)
        ->help = ftso_sema_nearest(sema, node->text, known, count,
                                   "declare it with `op`, or include the file that declares it");
}

static ftso_opexpr *call_node(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope)
{
    call_shape callee = {.count = 0};
    ftso_opexpr *expr = opexpr_new(sema, FTSO_OPEXPR_PRIMITIVE, node->span);
    expr->name = node->text;
    ftso_symbol *symbol = ftso_sema_find(sema, FTSO_SYMBOL_OP, node->text);
    const ftso_primitive *primitive = ftso_primitive_find(node->text);
    if (symbol) {
        expr->kind = FTSO_OPEXPR_COMPOSITE;
        expr->composite = symbol->record;
        callee_of_composite(symbol, &callee);
        add_use(sema, scope, symbol);
        if (symbol->has_candidates && !scope->candidates) {
            ftso_diag_error(sema->diag, "E0404", node->span,
                            "`%s` contains `candidates`, which has no meaning here", node->text)
                ->help = "it stands for the operators of an edge: use it in `edge(C, s) = …`";
            return NULL;
        }
        scope->saw_candidates |= symbol->has_candidates;
    } else if (!strcmp(node->text, "candidates")) {
        if (!scope->candidates) {
            ftso_diag_error(sema->diag, "E0404", node->span, "`candidates` has no meaning here")
                ->help = "it stands for the operators of an edge: use it in `edge(C, s) = …`, or "
                         "in an `op` called from there";
            return NULL;
        }
        expr->kind = FTSO_OPEXPR_CANDIDATES;
        callee.names[0] = "C";
        callee.names[1] = "s";
        callee.required[0] = callee.required[1] = true;
        callee.count = 2;
        scope->saw_candidates = true;
    } else if (primitive) {
        callee_of_primitive(primitive, &callee);
        if (scope->inside) scope->inside->size++;
    } else {
        unknown_operator(sema, node, scope->names);
        return NULL;
    }
    return bind_args(sema, node, &callee, scope->names, expr) ? expr : NULL;
}

/* ---------------------------------------------------------------- structure */

/* Whether several values come out: branches that nothing has joined. */
static bool is_open(const ftso_opexpr *expr)
{
    switch (expr->kind) {
    case FTSO_OPEXPR_BRANCHES:
        return true;
    case FTSO_OPEXPR_CHAIN:
        return is_open(expr->children[expr->child_count - 1]);
    case FTSO_OPEXPR_SELECT:
        return is_open(expr->children[0]) || is_open(expr->children[1]);
    case FTSO_OPEXPR_MODE:
        return is_open(expr->children[0]);
    default:
        return false;
    }
}

static bool is_join(const ftso_opexpr *expr)
{
    return expr->kind == FTSO_OPEXPR_PRIMITIVE && ftso_primitive_find(expr->name)->joins;
}

static bool check_links(ftso_sema *sema, const ftso_opexpr *chain)
{
    bool ok = true;
    for (size_t i = 0; i + 1 < chain->child_count; i++) {
        const ftso_opexpr *from = chain->children[i], *to = chain->children[i + 1];
        if (is_open(from) && to->kind == FTSO_OPEXPR_PRIMITIVE && !is_join(to)) {
            ftso_diag_entry *entry =
                ftso_diag_error(sema->diag, "E0402", to->span,
                                "`%s` takes one value, and branches come in", to->name);
            entry->note_span = from->span;
            entry->note = "the branches";
            entry->help = "join them first: `[ a | b ] -> sum`, or `-> concat`";
            ok = false;
        }
        if (!is_open(from) && from->kind == FTSO_OPEXPR_PRIMITIVE && is_join(to)) {
            ftso_diag_error(sema->diag, "E0403", to->span,
                            "`%s` joins branches, and there are none before it", to->name)
                ->help = "write `[ a | b ]` before it, or take it out";
            ok = false;
        }
    }
    return ok;
}

static bool add_children(ftso_sema *sema, const ftso_ast_node *node, size_t first,
                         ftso_op_scope *scope, ftso_opexpr *expr)
{
    bool ok = true;
    expr->children = FTSO_ARRAY(sema->arena, ftso_opexpr *, node->child_count);
    for (size_t i = first; i < node->child_count; i++) {
        ftso_opexpr *child = ftso_sema_opexpr(sema, node->children[i], scope);
        if (child) expr->children[expr->child_count++] = child;
        ok = ok && child;
    }
    return ok;
}

static ftso_opexpr *branches_node(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope)
{
    ftso_opexpr *expr = opexpr_new(sema, FTSO_OPEXPR_BRANCHES, node->span);
    if (!add_children(sema, node, 0, scope, expr)) return NULL;
    for (size_t i = 0; i < expr->child_count; i++) {
        if (!is_open(expr->children[i])) continue;
        ftso_diag_error(sema->diag, "E0402", expr->children[i]->span,
                        "this branch ends in branches that nothing joins")
            ->help = "end it with `-> sum` or `-> concat`";
        return NULL;
    }
    return expr;
}

static ftso_opexpr *mode_node(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope)
{
    static const char *const modes[] = {"supernet", "network"};
    ftso_opexpr *expr = opexpr_new(sema, FTSO_OPEXPR_MODE, node->span);
    expr->mode = strcmp(node->text, "network") ? FTSO_SUPERNET : FTSO_NETWORK;
    if (strcmp(node->text, modes[0]) != 0 && strcmp(node->text, modes[1]) != 0) {
        ftso_diag_error(sema->diag, "E0408", node->text_span, "there is no mode `%s`", node->text)
            ->help = ftso_sema_nearest(sema, node->text, modes, 2,
                                       "write `in supernet { … }` or `in network { … }`");
        return NULL;
    }
    return add_children(sema, node, 0, scope, expr) ? expr : NULL;
}

ftso_opexpr *ftso_sema_opexpr(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope)
{
    ftso_opexpr *expr;
    switch (node->kind) {
    case FTSO_AST_NAME:
    case FTSO_AST_CALL:
        return call_node(sema, node, scope);
    case FTSO_AST_BRANCHES:
        return branches_node(sema, node, scope);
    case FTSO_AST_MODE:
        return mode_node(sema, node, scope);
    case FTSO_AST_CHAIN:
        expr = opexpr_new(sema, FTSO_OPEXPR_CHAIN, node->span);
        return add_children(sema, node, 0, scope, expr) && check_links(sema, expr) ? expr : NULL;
    case FTSO_AST_SELECT:
        expr = opexpr_new(sema, FTSO_OPEXPR_SELECT, node->span);
        expr->condition = ftso_sema_truth(sema, node->children[0], scope->names);
        return add_children(sema, node, 1, scope, expr) && expr->condition ? expr : NULL;
    default:
        ftso_sema_wrong_type(sema, node, "this", "an operator");
        return NULL;
    }
}

ftso_opexpr *ftso_sema_one_value(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope)
{
    ftso_opexpr *expr = ftso_sema_opexpr(sema, node, scope);
    if (!expr || !is_open(expr)) return expr;
    ftso_diag_error(sema->diag, "E0402", node->span, "this ends in branches that nothing joins")
        ->help = "end it with `-> sum` or `-> concat`";
    return NULL;
}

/* ---------------------------------------------------------------- composites */

static bool read_params(ftso_sema *sema, const ftso_ast_node *params, ftso_operator *op,
                        const char **names)
{
    bool ok = true;
    for (size_t i = 0; params && i < params->child_count; i++) {
        const ftso_ast_node *node = params->children[i];
        bool plain = node->kind == FTSO_AST_NAME;
        if (!plain && node->kind != FTSO_AST_ARG) {
            ftso_diag_error(sema->diag, "E0410", node->span, "a parameter is a name, not %s",
                            ftso_ast_describe(node))
                ->help = "write `op NAME(C, s, k = 3) = …`";
            ok = false;
            continue;
        }
        if (op->param_count == MAX_PARAMS) {
            ftso_diag_error(sema->diag, "E0410", node->span, "`%s` has more than %d parameters",
                            op->name, MAX_PARAMS)
                ->help = "split the operator";
            return false;
        }
        for (size_t k = 0; k < op->param_count; k++) {
            if (strcmp(names[k], node->text) != 0) continue;
            ftso_diag_error(sema->diag, "E0410", node->text_span,
                            "the parameter `%s` is declared twice", node->text)
                ->help = "rename one of the two";
            ok = false;
        }
        ftso_param *param = &op->params[op->param_count];
        *param = (ftso_param){.name = node->text, .span = node->text_span};
        if (!plain) {
            ftso_type type;
            param->fallback = ftso_sema_arith(sema, node->children[0], NULL, &type);
            ok = ok && param->fallback;
        }
        names[op->param_count++] = node->text;
    }
    return ok;
}

void ftso_sema_op(ftso_sema *sema, ftso_symbol *symbol)
{
    ftso_operator *op = symbol->record;
    const char *names[MAX_PARAMS];
    op->name = symbol->name;
    op->span = symbol->span;
    op->params = FTSO_ARRAY(sema->arena, ftso_param, MAX_PARAMS);
    if (ftso_primitive_find(op->name) || !strcmp(op->name, "candidates")) {
        ftso_diag_error(sema->diag, "E0208", symbol->span, "`%s` is a primitive of the language",
                        op->name)
            ->help = "give the operator another name";
    }
    bool ok = read_params(sema, symbol->item->params, op, names);
    ftso_names scope_names = {.names = names, .count = op->param_count};
    ftso_op_scope scope = {&scope_names, symbol, true, false};
    if (ok) op->body = ftso_sema_one_value(sema, symbol->item->value, &scope);
    symbol->has_candidates = scope.saw_candidates;
}

/* Size of what a composite unfolds to, and whether candidates is in it; false after a circle was told. */
static bool measure(ftso_sema *sema, ftso_symbol *symbol, int depth)
{
    if (symbol->unfold == FTSO_SYMBOL_DONE) return true;
    if (symbol->unfold == FTSO_SYMBOL_BUSY) {
        ftso_diag_error(sema->diag, "E0401", symbol->span, "operator `%s` unfolds to itself",
                        symbol->name)
            ->help = "an operator may only use others that do not lead back to it";
        return false;
    }
    if (depth > MAX_HEIGHT) {
        ftso_diag_error(sema->diag, "E0411", symbol->span,
                        "operators call each other more than %d deep", MAX_HEIGHT)
            ->help = "write some of them out";
        return false;
    }
    symbol->unfold = FTSO_SYMBOL_BUSY;
    bool ok = true;
    for (size_t i = 0; i < symbol->use_count && ok; i++) {
        ok = measure(sema, symbol->uses[i], depth + 1);
        symbol->size += symbol->uses[i]->size;
        symbol->has_candidates |= symbol->uses[i]->has_candidates;
        if (ok && symbol->size > MAX_SIZE) {
            ftso_diag_error(sema->diag, "E0412", symbol->span,
                            "operator `%s` unfolds to more than %lld primitives", symbol->name,
                            (long long)MAX_SIZE)
                ->help = "a network this large cannot be built";
            ok = false;
        }
    }
    symbol->unfold = FTSO_SYMBOL_DONE;
    if (symbol->size > MAX_SIZE) symbol->size = MAX_SIZE;
    return ok;
}

void ftso_sema_op_cycles(ftso_sema *sema)
{
    for (size_t i = 0; i < sema->symbol_count; i++) {
        if (sema->symbols[i]->kind == FTSO_SYMBOL_OP) measure(sema, sema->symbols[i], 0);
    }
}

/* ---------------------------------------------------------------- operator sets */

const ftso_operator *ftso_sema_edge_operator(ftso_sema *sema, const char *name, ftso_span span)
{
    ftso_symbol *symbol = ftso_sema_find(sema, FTSO_SYMBOL_OP, name);
    if (!symbol) {
        ftso_ast_node node = {.kind = FTSO_AST_CALL, .span = span, .text = name, .text_span = span};
        if (ftso_primitive_find(name)) {
            ftso_diag_error(sema->diag, "E0405", span, "the primitive `%s` cannot stand on an edge",
                            name)
                ->help = "give it a name with C and s: `op NAME(C, s) = …;`";
        } else {
            unknown_operator(sema, &node, NULL);
        }
        return NULL;
    }
    symbol->used = true;
    call_shape callee = {.count = 0};
    callee_of_composite(symbol, &callee);
    for (size_t i = 0; i < callee.count; i++) {
        if (!callee.required[i] || !strcmp(callee.names[i], "C") || !strcmp(callee.names[i], "s"))
            continue;
        ftso_diag_entry *entry =
            ftso_diag_error(sema->diag, "E0405", span,
                            "`%s` cannot stand on an edge: nothing gives its parameter `%s`", name,
                            callee.names[i]);
        entry->note_span = symbol->span;
        entry->note = "declared here";
        entry->help = "an operator on an edge has the parameters C and s; others need a default";
        return NULL;
    }
    return symbol->record;
}

ftso_opset *ftso_sema_opset_value(ftso_sema *sema, const ftso_ast_node *node, const char *name,
                                  ftso_span span)
{
    if (node->kind != FTSO_AST_SET) {
        ftso_sema_wrong_type(sema, node, "an operator set", "a set `{ a, b }`");
        return NULL;
    }
    if (!node->child_count || node->child_count > MAX_SET) {
        ftso_diag_error(sema->diag, "E0406", node->span,
                        "an operator set has 1 to %d operators, this one has %zu", MAX_SET,
                        node->child_count);
        return NULL;
    }
    ftso_opset *set = FTSO_NEW(sema->arena, ftso_opset);
    set->name = name;
    set->span = span;
    set->operators = FTSO_ARRAY(sema->arena, const ftso_operator *, node->child_count);
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++) {
        const ftso_ast_node *child = node->children[i];
        if (child->kind != FTSO_AST_NAME) {
            ftso_sema_wrong_type(sema, child, "a member of an operator set", "an operator's name");
            ok = false;
            continue;
        }
        const ftso_operator *op = ftso_sema_edge_operator(sema, child->text, child->span);
        ok = ok && op;
        for (size_t k = 0; op && k < set->operator_count; k++) {
            if (set->operators[k] != op) continue;
            ftso_diag_error(sema->diag, "E0407", child->span, "`%s` is in this set already",
                            child->text)
                ->help = "take one of the two out";
            ok = false;
            break;
        }
        if (op) set->operators[set->operator_count++] = op;
    }
    return ok ? set : NULL;
}

void ftso_sema_opset(ftso_sema *sema, ftso_symbol *symbol)
{
    symbol->record = ftso_sema_opset_value(sema, symbol->item->value, symbol->name, symbol->span);
}
