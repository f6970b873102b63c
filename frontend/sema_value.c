/*
 * Values: arithmetic with names, constants, words, calls with plain numbers.
 * In: expressions of the tree. Out: ftso_arith trees folded where constant, or plain C values checked against their range.
 */
#include "sema_internal.h"

#include <limits.h>

bool ftso_names_has(const ftso_names *names, const char *name)
{
    for (; names; names = names->outer) {
        for (size_t i = 0; i < names->count; i++) {
            if (!strcmp(names->names[i], name)) return true;
        }
    }
    return false;
}

void ftso_sema_wrong_type(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                          const char *expected)
{
    if (node->kind == FTSO_AST_ERROR) return;
    const char *found = ftso_ast_describe(node);
    if (node->kind == FTSO_AST_LIST || node->kind == FTSO_AST_TUPLE)
        found = ftso_format(sema->arena, "%s of %zu", found, node->child_count);
    ftso_diag_error(sema->diag, "E0301", node->span, "%s should be %s, not %s", what, expected,
                    found);
}

const char *ftso_sema_show(ftso_sema *sema, double value)
{
    char buffer[32];
    if (fabs(value) < 1e15 && value == floor(value)) return ftso_format(sema->arena, "%.0f", value);
    ftso_double_print(value, buffer);
    return ftso_strdup(sema->arena, buffer);
}

/* ---------------------------------------------------------------- numbers */

static ftso_arith *arith_new(ftso_sema *sema, ftso_arith_kind kind, ftso_span span)
{
    ftso_arith *arith = FTSO_NEW(sema->arena, ftso_arith);
    arith->kind = kind;
    arith->span = span;
    return arith;
}

static ftso_arith *arith_number(ftso_sema *sema, ftso_number number, ftso_span span)
{
    ftso_arith *arith = arith_new(sema, FTSO_ARITH_NUMBER, span);
    arith->num = number.num;
    arith->den = number.den;
    arith->value = number.value;
    return arith;
}

/* num/den of decimal text with an exponent, where 64 bits hold it; else den 0. */
static ftso_number parse_number(const char *text)
{
    char *end;
    ftso_number number = {0, 1, ftso_double_parse(text, &end)};
    int64_t scale = 0;
    bool point = false;
    const char *at = text;
    for (; (*at >= '0' && *at <= '9') || *at == '.'; at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (number.den && (!ftso_i64_mul(number.num, 10, &number.num) ||
                           !ftso_i64_add(number.num, *at - '0', &number.num))) {
            number.den = 0;
        }
        scale += point;
    }
    int64_t exponent = 0;
    if (*at == 'e' || *at == 'E') {
        at++;
        bool negative = *at == '-';
        at += *at == '-' || *at == '+';
        for (; *at >= '0' && *at <= '9' && exponent < 1000; at++)
            exponent = exponent * 10 + (*at - '0');
        if (negative) exponent = -exponent;
    }
    exponent -= scale;
    for (; number.den && exponent > 0; exponent--) {
        if (number.num && !ftso_i64_mul(number.num, 10, &number.num)) number.den = 0;
        if (!number.num) break;
    }
    for (; number.den && exponent < 0; exponent++) {
        if (number.num && number.num % 10 == 0) {
            number.num /= 10;
        } else if (!number.num) {
            break;
        } else if (!ftso_i64_mul(number.den, 10, &number.den)) {
            number.den = 0;
        }
    }
    if (!number.den) number.num = 0;
    return number;
}

static const struct {
    const char *unit;
    int64_t num, den;
} scales[] = {{"%", 1, 100}, {"k", 1000, 1}, {"M", 1000000, 1}, {"G", 1000000000, 1}};

static bool no_name(const void *user, const char *name, ftso_number *out)
{
    (void)user, (void)name, (void)out;
    return false;
}

/* The value of an expression whose parts are numbers; NULL after an error. */
static const ftso_arith *fold(ftso_sema *sema, const ftso_arith *arith)
{
    ftso_number number;
    const ftso_arith *culprit;
    ftso_text why;
    ftso_text_init(&why);
    bool ok = ftso_arith_eval(arith, no_name, NULL, &number, &culprit, &why);
    if (!ok) {
        bool division = culprit->kind == FTSO_ARITH_DIV && culprit->b->value == 0;
        ftso_diag_error(sema->diag, division ? "E0307" : "E0305", culprit->span, "%s",
                        ftso_text_get(&why))
            ->help = division ? "look at the divisor" : "numbers reach to about 1.8e308";
    }
    ftso_text_deinit(&why);
    return ok ? arith_number(sema, number, arith->span) : NULL;
}

static const ftso_arith *number_node(ftso_sema *sema, const ftso_ast_node *node)
{
    ftso_number number = parse_number(node->text);
    if (!isfinite(number.value)) {
        ftso_diag_error(sema->diag, "E0305", node->span, "the number %s is too large", node->text)
            ->help = "numbers reach to about 1.8e308";
        return NULL;
    }
    ftso_arith *arith = arith_number(sema, number, node->span);
    if (!node->unit) return arith;
    for (size_t i = 0; i < FTSO_COUNT(scales); i++) {
        if (strcmp(scales[i].unit, node->unit) != 0) continue;
        ftso_arith *times = arith_new(sema, FTSO_ARITH_MUL, node->span);
        times->a = arith;
        times->b = arith_number(sema,
                                (ftso_number){scales[i].num, scales[i].den,
                                              (double)scales[i].num / (double)scales[i].den},
                                node->unit_span);
        return fold(sema, times);
    }
    static const char *const units[] = {"%",     "k",      "M",         "G",
                                        "epoch", "epochs", "iteration", "iterations"};
    bool known = false;
    for (size_t i = 0; i < FTSO_COUNT(units); i++) known |= !strcmp(units[i], node->unit);
    ftso_diag_entry *entry = ftso_diag_error(
        sema->diag, "E0303", node->unit_span,
        known ? "the unit `%s` does not belong here" : "`%s` is no unit", node->unit);
    entry->help =
        known ? "a plain number stands here; %, k, M and G scale it"
              : ftso_sema_nearest(sema, node->unit, units, FTSO_COUNT(units),
                                  "units are %, k, M, G, epoch, epochs, iteration, iterations");
    return NULL;
}

/* ---------------------------------------------------------------- arithmetic */

/* The names that mean something in a place where none can be added; NULL where some can. */
static const char *closed_list(ftso_sema *sema, const ftso_names *names)
{
    if (!names || !names->closed) return NULL;
    const char *list = "what may stand here:";
    for (size_t i = 0; i < names->count; i++)
        list = ftso_format(sema->arena, "%s%s %s", list, i ? "," : "", names->names[i]);
    return list;
}

static const ftso_arith *name_node(ftso_sema *sema, const ftso_ast_node *node,
                                   const ftso_names *names, ftso_type *out_type)
{
    bool yes = !strcmp(node->text, "true");
    *out_type = FTSO_TYPE_ANY;
    if (ftso_names_has(names, node->text)) {
        ftso_arith *arith = arith_new(sema, FTSO_ARITH_NAME, node->span);
        arith->name = node->text;
        return arith;
    }
    if (yes || !strcmp(node->text, "false")) {
        *out_type = FTSO_TYPE_TRUTH;
        return arith_number(sema, ftso_number_whole(yes), node->span);
    }
    ftso_symbol *let = ftso_sema_find(sema, FTSO_SYMBOL_LET, node->text);
    if (let) {
        let->used = true;
        ftso_sema_resolve(sema, let);
        *out_type = let->type;
        if (!let->value) return NULL;
        ftso_arith *arith = FTSO_NEW(sema->arena, ftso_arith);
        *arith = *let->value;
        arith->span = node->span;
        return arith;
    }
    if (!ftso_sema_first_time(sema, node->text)) return NULL;
    if (ftso_sema_is_flooded(sema)) {
        ftso_diag_error(sema->diag, "E0203", node->span, "the name `%s` is not known here",
                        node->text);
        return NULL;
    }
    size_t count = sema->symbol_count + 2;
    for (const ftso_names *n = names; n; n = n->outer) count += n->count;
    const char **known = FTSO_ARRAY(sema->arena, const char *, count);
    count = 0;
    for (const ftso_names *n = names; n; n = n->outer) {
        for (size_t i = 0; i < n->count; i++) known[count++] = n->names[i];
    }
    for (size_t i = 0; i < sema->symbol_count; i++) {
        if (sema->symbols[i]->kind == FTSO_SYMBOL_LET) known[count++] = sema->symbols[i]->name;
    }
    const char *list = closed_list(sema, names);
    const char *otherwise = list ? ftso_format(sema->arena, "%s, or what `let` declares", list)
                                 : "declare it with `let`, or make it a parameter";
    if (ftso_sema_find(sema, FTSO_SYMBOL_OP, node->text) || ftso_primitive_find(node->text)) {
        ftso_diag_error(sema->diag, "E0310", node->span,
                        "`%s` is an operator; a number is wanted here", node->text);
        return NULL;
    }
    const char *help = ftso_sema_nearest(sema, node->text, known, count, otherwise);
    if (list && help != otherwise) help = ftso_format(sema->arena, "%s %s", help, list);
    ftso_diag_error(sema->diag, "E0203", node->span, "the name `%s` is not known here", node->text)
        ->help = help;
    return NULL;
}

static const char *type_name(ftso_type type)
{
    return type == FTSO_TYPE_TRUTH ? "a truth value" : "a number";
}

/* Operand `node` of type `have` where `want` is wanted; an error where they do not go together. */
static bool operand_fits(ftso_sema *sema, const ftso_ast_node *node, ftso_type have, ftso_type want,
                         const char *op)
{
    if (have == FTSO_TYPE_ANY || want == FTSO_TYPE_ANY || have == want) return true;
    ftso_diag_entry *entry =
        ftso_diag_error(sema->diag, "E0302", node->span, "`%s` wants %s, and this is %s", op,
                        type_name(want), type_name(have));
    entry->help = want == FTSO_TYPE_TRUTH ? "compare: for example `x == 1`"
                                          : "a comparison has no numeric value";
    return false;
}

static const ftso_arith *operator_node(ftso_sema *sema, const ftso_ast_node *node,
                                       const ftso_names *names, ftso_type *out_type)
{
    static const ftso_arith_kind kinds[] = {
        [FTSO_AST_OR] = FTSO_ARITH_OR,   [FTSO_AST_AND] = FTSO_ARITH_AND,
        [FTSO_AST_EQ] = FTSO_ARITH_EQ,   [FTSO_AST_NE] = FTSO_ARITH_NE,
        [FTSO_AST_LT] = FTSO_ARITH_LT,   [FTSO_AST_LE] = FTSO_ARITH_LE,
        [FTSO_AST_GT] = FTSO_ARITH_GT,   [FTSO_AST_GE] = FTSO_ARITH_GE,
        [FTSO_AST_ADD] = FTSO_ARITH_ADD, [FTSO_AST_SUB] = FTSO_ARITH_SUB,
        [FTSO_AST_MUL] = FTSO_ARITH_MUL, [FTSO_AST_DIV] = FTSO_ARITH_DIV,
        [FTSO_AST_NEG] = FTSO_ARITH_NEG, [FTSO_AST_NOT] = FTSO_ARITH_NOT,
    };
    bool select = node->kind == FTSO_AST_SELECT;
    const char *text = select ? "?" : ftso_ast_op_text(node->op);
    const ftso_arith *parts[3] = {NULL};
    ftso_type types[3] = {FTSO_TYPE_ANY};
    bool ok = true, constant = true;
    for (size_t i = 0; i < node->child_count; i++) {
        parts[i] = ftso_sema_arith(sema, node->children[i], names, &types[i]);
        ok = ok && parts[i];
        constant = constant && parts[i] && parts[i]->kind == FTSO_ARITH_NUMBER;
    }
    if (!ok) return NULL;
    bool logic = !select &&
                 (node->op == FTSO_AST_OR || node->op == FTSO_AST_AND || node->op == FTSO_AST_NOT);
    bool compares = !select && node->op >= FTSO_AST_EQ && node->op <= FTSO_AST_GE;
    bool same = !select && (node->op == FTSO_AST_EQ || node->op == FTSO_AST_NE);
    for (size_t i = 0; i < node->child_count; i++) {
        ftso_type want = logic || (select && i == 0) ? FTSO_TYPE_TRUTH
                         : same || select            ? FTSO_TYPE_ANY
                                                     : FTSO_TYPE_NUMBER;
        ok = operand_fits(sema, node->children[i], types[i], want, text) && ok;
    }
    if (same || select) {
        size_t last = node->child_count - 1;
        ok = ok && operand_fits(sema, node->children[last], types[last], types[last - 1], text);
    }
    if (!ok) return NULL;
    *out_type = select              ? (types[1] != FTSO_TYPE_ANY ? types[1] : types[2])
                : logic || compares ? FTSO_TYPE_TRUTH
                                    : FTSO_TYPE_NUMBER;
    ftso_arith *arith = arith_new(sema, select ? FTSO_ARITH_SELECT : kinds[node->op], node->span);
    arith->a = parts[0];
    arith->b = parts[1];
    arith->c = parts[2];
    return constant ? fold(sema, arith) : arith;
}

const ftso_arith *ftso_sema_arith(ftso_sema *sema, const ftso_ast_node *node,
                                  const ftso_names *names, ftso_type *out_type)
{
    *out_type = FTSO_TYPE_NUMBER;
    switch (node->kind) {
    case FTSO_AST_NUMBER:
        return number_node(sema, node);
    case FTSO_AST_NAME:
        return name_node(sema, node, names, out_type);
    case FTSO_AST_UNARY:
    case FTSO_AST_BINARY:
    case FTSO_AST_SELECT:
        return operator_node(sema, node, names, out_type);
    default:
        ftso_sema_wrong_type(sema, node, "this", "a number");
        return NULL;
    }
}

const ftso_arith *ftso_sema_number(ftso_sema *sema, const ftso_ast_node *node,
                                   const ftso_names *names)
{
    ftso_type type;
    const ftso_arith *arith = ftso_sema_arith(sema, node, names, &type);
    if (!arith || type != FTSO_TYPE_TRUTH) return arith;
    ftso_diag_error(sema->diag, "E0302", node->span,
                    "a number is wanted here, and this is a truth value");
    return NULL;
}

const ftso_arith *ftso_sema_truth(ftso_sema *sema, const ftso_ast_node *node,
                                  const ftso_names *names)
{
    ftso_type type;
    const ftso_arith *arith = ftso_sema_arith(sema, node, names, &type);
    if (!arith || type != FTSO_TYPE_NUMBER) return arith;
    ftso_diag_error(sema->diag, "E0302", node->span,
                    "a condition is wanted here, and this is a number")
        ->help = "compare: for example `s == 1`";
    return NULL;
}

/* ---------------------------------------------------------------- constants */

bool ftso_sema_constant(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                        ftso_number *out)
{
    bool numeric = node->kind == FTSO_AST_NUMBER || node->kind == FTSO_AST_NAME ||
                   node->kind == FTSO_AST_UNARY || node->kind == FTSO_AST_BINARY ||
                   node->kind == FTSO_AST_SELECT;
    if (!numeric) {
        ftso_sema_wrong_type(sema, node, what, "a number");
        return false;
    }
    const ftso_arith *arith = ftso_sema_number(sema, node, NULL);
    if (!arith) return false;
    *out = (ftso_number){arith->num, arith->den, arith->value};
    return true;
}

static void out_of_range(ftso_sema *sema, const ftso_ast_node *node, const char *what, double value,
                         double lowest, double highest)
{
    ftso_diag_error(sema->diag, "E0304", node->span, "%s is %s", what, ftso_sema_show(sema, value))
        ->label = ftso_format(sema->arena, "must lie between %s and %s",
                              ftso_sema_show(sema, lowest), ftso_sema_show(sema, highest));
}

bool ftso_sema_real(ftso_sema *sema, const ftso_ast_node *node, const char *what, double lowest,
                    double highest, double *out)
{
    ftso_number number;
    if (!ftso_sema_constant(sema, node, what, &number)) return false;
    if (number.value < lowest || number.value > highest) {
        out_of_range(sema, node, what, number.value, lowest, highest);
        return false;
    }
    *out = number.value;
    return true;
}

static bool whole(ftso_sema *sema, const ftso_ast_node *node, const char *what, ftso_number number)
{
    if (number.den == 1) return true;
    const char *shown = ftso_sema_show(sema, number.value);
    ftso_diag_error(sema->diag, "E0306", node->span, "%s is %s", what, shown)->label =
        "must be a whole number";
    return false;
}

bool ftso_sema_whole(ftso_sema *sema, const ftso_ast_node *node, const char *what, int64_t lowest,
                     int64_t highest, int64_t *out)
{
    ftso_number number;
    if (!ftso_sema_constant(sema, node, what, &number)) return false;
    if (number.value < (double)lowest || number.value > (double)highest) {
        out_of_range(sema, node, what, number.value, (double)lowest, (double)highest);
        return false;
    }
    if (!whole(sema, node, what, number)) return false;
    *out = number.num;
    return true;
}

bool ftso_sema_flag(ftso_sema *sema, const ftso_ast_node *node, const char *what, bool *out)
{
    static const char *const words[] = {"false", "true"};
    int index = ftso_sema_word(sema, node, what, words, 2);
    *out = index == 1;
    return index >= 0;
}

bool ftso_sema_fraction(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                        int64_t *out_num, int64_t *out_den)
{
    ftso_number number;
    if (!ftso_sema_constant(sema, node, what, &number)) return false;
    if (!(number.value > 0 && number.value < 1)) {
        out_of_range(sema, node, what, number.value, 0, 1);
        return false;
    }
    if (!number.den || number.den > INT32_MAX) {
        ftso_diag_error(sema->diag, "E0306", node->span, "%s is no fraction of small whole numbers",
                        what)
            ->help = "write it as one: 1/3";
        return false;
    }
    *out_num = number.num;
    *out_den = number.den;
    return true;
}

int ftso_sema_word(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                   const char *const *words, size_t count)
{
    ftso_text text;
    ftso_text_init(&text);
    for (size_t i = 0; i < count; i++) {
        ftso_text_printf(&text, "%s`%s`", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    }
    const char *list = ftso_strdup(sema->arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    if (node->kind != FTSO_AST_NAME) {
        ftso_sema_wrong_type(sema, node, what, list);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(words[i], node->text)) return (int)i;
    }
    ftso_diag_error(sema->diag, "E0311", node->span, "%s cannot be `%s`", what, node->text)->help =
        ftso_sema_nearest(sema, node->text, words, count,
                          ftso_format(sema->arena, "it is %s", list));
    return -1;
}

/* ---------------------------------------------------------------- calls of plain numbers */

bool ftso_sema_bind(ftso_sema *sema, const ftso_ast_node *call, const char *const *names,
                    size_t count, const ftso_ast_node **nodes)
{
    bool ok = true, named = false;
    for (size_t i = 0; i < count; i++) nodes[i] = NULL;
    for (size_t i = 0; i < call->child_count; i++) {
        const ftso_ast_node *arg = call->children[i];
        size_t at = i;
        if (arg->kind == FTSO_AST_ARG) {
            named = true;
            for (at = 0; at < count && strcmp(names[at], arg->text) != 0;) at++;
            if (at == count) {
                ftso_text text;
                ftso_text_init(&text);
                for (size_t k = 0; k < count; k++)
                    ftso_text_printf(&text, "%s%s", k ? ", " : "", names[k]);
                const char *all =
                    count ? ftso_format(sema->arena, "its parameters are %s", ftso_text_get(&text))
                          : "it has no parameters";
                ftso_text_deinit(&text);
                ftso_diag_error(sema->diag, "E0211", arg->text_span, "`%s` has no parameter `%s`",
                                call->text, arg->text)
                    ->help = ftso_sema_nearest(sema, arg->text, names, count, all);
                ok = false;
                continue;
            }
        } else if (named) {
            ftso_diag_error(sema->diag, "E0215", arg->span,
                            "an argument without a name stands behind one with a name")
                ->help = "name this one too, or put it first";
            ok = false;
            continue;
        } else if (at >= count) {
            ftso_diag_error(sema->diag, "E0214", arg->span, "`%s` takes %zu argument%s", call->text,
                            count, count == 1 ? "" : "s")
                ->help = "take this one out";
            return false;
        }
        if (nodes[at]) {
            ftso_diag_error(sema->diag, "E0213", arg->span, "`%s` of `%s` is given twice",
                            names[at], call->text)
                ->help = "take one of the two out";
            ok = false;
            continue;
        }
        nodes[at] = arg->kind == FTSO_AST_ARG ? arg->children[0] : arg;
    }
    return ok;
}

bool ftso_sema_call_numbers(ftso_sema *sema, const ftso_ast_node *call,
                            const ftso_call_param *params, size_t count, double *out)
{
    const char *names[8] = {NULL};
    const ftso_ast_node *nodes[8] = {NULL};
    FTSO_ASSERT(count <= FTSO_COUNT(names));
    for (size_t i = 0; i < count; i++) names[i] = params[i].name;
    if (call->kind == FTSO_AST_CALL && !ftso_sema_bind(sema, call, names, count, nodes))
        return false;
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        const char *what = ftso_format(sema->arena, "`%s` of `%s`", params[i].name, call->text);
        out[i] = params[i].fallback;
        if (!nodes[i]) {
            if (!isnan(out[i])) continue;
            ftso_diag_error(sema->diag, "E0212", call->text_span, "`%s` needs `%s`", call->text,
                            params[i].name)
                ->help = ftso_format(sema->arena, "add `%s = …`", params[i].name);
            ok = false;
        } else if (params[i].whole) {
            int64_t value;
            bool read = ftso_sema_whole(sema, nodes[i], what, (int64_t)params[i].lowest,
                                        (int64_t)params[i].highest, &value);
            if (read) out[i] = (double)value;
            ok = ok && read;
        } else {
            ok = ftso_sema_real(sema, nodes[i], what, params[i].lowest, params[i].highest,
                                &out[i]) &&
                 ok;
        }
    }
    return ok;
}

void ftso_sema_let(ftso_sema *sema, ftso_symbol *symbol)
{
    symbol->value = ftso_sema_arith(sema, symbol->item->value, NULL, &symbol->type);
}
