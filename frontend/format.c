/*
 * The canonical printer. In: the syntax tree of the main file, with its comments. Out: its text in the one layout.
 * Must hold: formatting the result changes nothing; every comment is kept, in order; the tree that the result parses to is
 * the same. The layout depends on the tree, on which comments stand alone on their line, and on blank lines between
 * statements; on nothing else. Start reading at ftso_ast_format.
 */
#include "ast.h"

#include <string.h>

enum { WIDTH = 100, INDENT = 4 };

typedef struct ftso_printer {
    const ftso_ast_file *file;
    ftso_text *out;
    size_t next_comment; /* those before it are printed */
    size_t column;
} ftso_printer;

static void put(ftso_printer *printer, const char *text)
{
    ftso_text_puts(printer->out, text);
    printer->column += strlen(text);
}

static void newline(ftso_printer *printer, int indent)
{
    ftso_text_printf(printer->out, "\n%*s", indent, "");
    printer->column = (size_t)indent;
}

/* ---------------------------------------------------------------- expressions on one line */

typedef enum precedence {
    PREC_ANY,
    PREC_SELECT,
    PREC_CHAIN,
    PREC_OR,
    PREC_AND,
    PREC_COMPARE,
    PREC_SUM,
    PREC_PRODUCT,
    PREC_UNARY,
    PREC_PRIMARY
} precedence;

static precedence precedence_of(const ftso_ast_node *node)
{
    if (node->kind == FTSO_AST_SELECT) return PREC_SELECT;
    if (node->kind == FTSO_AST_CHAIN) return PREC_CHAIN;
    if (node->kind == FTSO_AST_UNARY) return PREC_UNARY;
    if (node->kind != FTSO_AST_BINARY) return PREC_PRIMARY;
    if (node->op == FTSO_AST_OR) return PREC_OR;
    if (node->op == FTSO_AST_AND) return PREC_AND;
    if (node->op <= FTSO_AST_GE) return PREC_COMPARE;
    return node->op <= FTSO_AST_SUB ? PREC_SUM : PREC_PRODUCT;
}

static void flat(const ftso_printer *printer, const ftso_ast_node *node, precedence least,
                 ftso_text *out);

static void flat_list(const ftso_printer *printer, const ftso_ast_node *node, const char *open,
                      const char *between, const char *close, ftso_text *out)
{
    ftso_text_puts(out, open);
    for (size_t i = 0; i < node->child_count; i++) {
        if (i) ftso_text_puts(out, between);
        flat(printer, node->children[i], PREC_ANY, out);
    }
    ftso_text_puts(out, close);
}

static void flat_binary(const ftso_printer *printer, const ftso_ast_node *node, ftso_text *out)
{
    const ftso_ast_node *a = node->children[0], *b = node->children[1];
    precedence own = precedence_of(node);
    bool fraction =
        node->op == FTSO_AST_DIV && a->kind == FTSO_AST_NUMBER && b->kind == FTSO_AST_NUMBER;
    flat(printer, a, own == PREC_COMPARE ? own + 1 : own, out);
    ftso_text_printf(out, fraction ? "%s" : " %s ", ftso_ast_op_text(node->op));
    flat(printer, b, own + 1, out);
}

static void flat_inner(const ftso_printer *printer, const ftso_ast_node *node, ftso_text *out)
{
    char quote[2] = "\"";
    switch (node->kind) {
    case FTSO_AST_NUMBER:
        ftso_text_puts(out, node->text);
        if (node->unit) ftso_text_printf(out, strcmp(node->unit, "%") ? " %s" : "%s", node->unit);
        return;
    case FTSO_AST_STRING:
        quote[0] = printer->file->text[node->span.begin];
        ftso_text_printf(out, "%s%s%s", quote, node->text, quote);
        return;
    case FTSO_AST_NAME:
        ftso_text_puts(out, node->text);
        return;
    case FTSO_AST_CALL:
        ftso_text_puts(out, node->text);
        flat_list(printer, node, "(", ", ", ")", out);
        return;
    case FTSO_AST_ARG:
        ftso_text_printf(out, "%s = ", node->text);
        flat(printer, node->children[0], PREC_ANY, out);
        return;
    case FTSO_AST_LIST:
        flat_list(printer, node, "[", ", ", "]", out);
        return;
    case FTSO_AST_SET:
        flat_list(printer, node, "{ ", ", ", node->child_count ? " }" : "}", out);
        return;
    case FTSO_AST_TUPLE:
        flat_list(printer, node, "(", ", ", node->child_count == 1 ? ",)" : ")", out);
        return;
    case FTSO_AST_BRANCHES:
        flat_list(printer, node, "[ ", " | ", " ]", out);
        return;
    case FTSO_AST_CHAIN:
        for (size_t i = 0; i < node->child_count; i++) {
            if (i) ftso_text_puts(out, " -> ");
            flat(printer, node->children[i], PREC_OR, out);
        }
        return;
    case FTSO_AST_SELECT:
        flat(printer, node->children[0], PREC_CHAIN, out);
        ftso_text_puts(out, " ? ");
        flat(printer, node->children[1], PREC_SELECT, out);
        ftso_text_puts(out, " : ");
        flat(printer, node->children[2], PREC_SELECT, out);
        return;
    case FTSO_AST_UNARY:
        ftso_text_puts(out, ftso_ast_op_text(node->op));
        flat(printer, node->children[0], PREC_UNARY, out);
        return;
    case FTSO_AST_BINARY:
        flat_binary(printer, node, out);
        return;
    case FTSO_AST_MODE:
        ftso_text_printf(out, "in %s { ", node->text);
        flat(printer, node->children[0], PREC_ANY, out);
        ftso_text_puts(out, " }");
        return;
    case FTSO_AST_ARCH:
        flat_list(printer, node, "", "+", "", out);
        return;
    case FTSO_AST_ARCH_NODE:
        flat_list(printer, node, "|", "", "", out);
        return;
    case FTSO_AST_ARCH_EDGE:
        ftso_text_printf(out, "%s~%s|", node->text, node->children[0]->text);
        return;
    case FTSO_AST_ERROR:
        return;
    }
}

static void flat(const ftso_printer *printer, const ftso_ast_node *node, precedence least,
                 ftso_text *out)
{
    bool parentheses = precedence_of(node) < least;
    if (parentheses) ftso_text_puts(out, "(");
    flat_inner(printer, node, out);
    if (parentheses) ftso_text_puts(out, ")");
}

/* ---------------------------------------------------------------- expressions over several lines */

static bool fits(const ftso_printer *printer, const ftso_ast_node *node, precedence least,
                 size_t extra)
{
    ftso_text text;
    ftso_text_init(&text);
    flat(printer, node, least, &text);
    bool ok = printer->column + text.length + extra <= WIDTH;
    ftso_text_deinit(&text);
    return ok;
}

/* True where it took several lines. */
static bool emit(ftso_printer *printer, const ftso_ast_node *node, precedence least, int indent);

static void emit_flat(ftso_printer *printer, const ftso_ast_node *node, precedence least)
{
    size_t before = printer->out->length;
    flat(printer, node, least, printer->out);
    printer->column += printer->out->length - before;
}

static void emit_chain(ftso_printer *printer, const ftso_ast_node *node, int indent)
{
    bool several_lines = false;
    for (size_t i = 0; i < node->child_count; i++) {
        if (i) {
            bool same_line =
                !several_lines && fits(printer, node->children[i], PREC_OR, strlen(" -> ;"));
            if (!same_line) newline(printer, indent);
            put(printer, same_line ? " -> " : "-> ");
        }
        several_lines = emit(printer, node->children[i], PREC_OR, indent + INDENT);
    }
}

/* Elements filled into lines; a set or a list that takes several ends in a comma. */
static void emit_filled(ftso_printer *printer, const ftso_ast_node *node, const char *open,
                        const char *close, bool comma, int indent)
{
    bool several_lines = true;
    put(printer, open);
    for (size_t i = 0; i < node->child_count; i++) {
        bool start = several_lines || !fits(printer, node->children[i], PREC_ANY, strlen(" ,"));
        if (start) newline(printer, indent + INDENT);
        if (!start) put(printer, " ");
        several_lines = emit(printer, node->children[i], PREC_ANY, indent + INDENT);
        if (comma || i + 1 < node->child_count) put(printer, ",");
    }
    newline(printer, indent);
    put(printer, close);
}

static void emit_branches(ftso_printer *printer, const ftso_ast_node *node, int indent)
{
    put(printer, "[ ");
    for (size_t i = 0; i < node->child_count; i++) {
        if (i) {
            newline(printer, indent);
            put(printer, "| ");
        }
        emit(printer, node->children[i], PREC_ANY, indent + INDENT);
    }
    put(printer, " ]");
}

static void emit_select(ftso_printer *printer, const ftso_ast_node *node, int indent)
{
    emit(printer, node->children[0], PREC_CHAIN, indent);
    newline(printer, indent);
    put(printer, "? ");
    emit(printer, node->children[1], PREC_SELECT, indent + INDENT);
    newline(printer, indent);
    put(printer, ": ");
    emit(printer, node->children[2], PREC_SELECT, indent);
}

static bool emit(ftso_printer *printer, const ftso_ast_node *node, precedence least, int indent)
{
    size_t before = printer->out->length;
    if (fits(printer, node, least, 1) || indent > WIDTH) {
        emit_flat(printer, node, least);
        return false;
    }
    bool parentheses = precedence_of(node) < least;
    if (parentheses) put(printer, "(");
    switch (node->kind) {
    case FTSO_AST_CHAIN:
        emit_chain(printer, node, indent);
        break;
    case FTSO_AST_LIST:
        emit_filled(printer, node, "[", "]", true, indent);
        break;
    case FTSO_AST_SET:
        emit_filled(printer, node, "{", "}", true, indent);
        break;
    case FTSO_AST_TUPLE:
        emit_filled(printer, node, "(", ")", node->child_count == 1, indent);
        break;
    case FTSO_AST_CALL:
        put(printer, node->text);
        emit_filled(printer, node, "(", ")", false, indent);
        break;
    case FTSO_AST_ARG:
        put(printer, node->text);
        put(printer, " = ");
        emit(printer, node->children[0], PREC_ANY, indent);
        break;
    case FTSO_AST_BRANCHES:
        emit_branches(printer, node, indent);
        break;
    case FTSO_AST_SELECT:
        emit_select(printer, node, indent);
        break;
    case FTSO_AST_MODE:
        put(printer, "in ");
        put(printer, node->text);
        put(printer, " { ");
        emit(printer, node->children[0], PREC_ANY, indent + INDENT);
        put(printer, " }");
        break;
    default:
        emit_flat(printer, node, PREC_ANY);
        break;
    }
    if (parentheses) put(printer, ")");
    return !printer->out->failed &&
           memchr(printer->out->data + before, '\n', printer->out->length - before) != NULL;
}

/* ---------------------------------------------------------------- comments and blank lines */

static bool has_comment(const ftso_printer *printer, uint32_t end)
{
    return printer->next_comment < printer->file->comment_count &&
           printer->file->comments[printer->next_comment].span.begin < end;
}

static void put_comment(ftso_printer *printer)
{
    const ftso_ast_comment *comment = &printer->file->comments[printer->next_comment++];
    ftso_text_append(printer->out, printer->file->text + comment->span.begin,
                     comment->span.end - comment->span.begin);
}

/* A blank line of the source between two things stays one blank line. */
static bool blank_before(const ftso_printer *printer, uint32_t from, uint32_t to)
{
    int lines = 0;
    for (uint32_t i = from; i < to; i++) lines += printer->file->text[i] == '\n';
    return lines > 1;
}

/*
 * Comments before `end` on lines of their own; `from`: where the thing before them ended. Those from `begin` on stand inside
 * the statement that they will be put before: blank lines among them are not kept. Returns where the last one ended.
 */
static uint32_t leading_comments(ftso_printer *printer, uint32_t from, uint32_t begin, uint32_t end,
                                 int indent, bool *fresh)
{
    while (has_comment(printer, end)) {
        const ftso_ast_comment *comment = &printer->file->comments[printer->next_comment];
        uint32_t to = comment->span.begin < begin ? comment->span.begin : begin;
        if (!*fresh && blank_before(printer, from, to)) ftso_text_puts(printer->out, "\n");
        if (*fresh) *fresh = false;
        ftso_text_printf(printer->out, "%*s", indent, "");
        if (comment->span.end > from) from = comment->span.end;
        put_comment(printer);
        ftso_text_puts(printer->out, "\n");
    }
    return from;
}

/* A comment behind the thing that ended at `from`, on its line. */
static uint32_t trailing_comment(ftso_printer *printer, uint32_t from, uint32_t end)
{
    if (!has_comment(printer, end)) return from;
    const ftso_ast_comment *comment = &printer->file->comments[printer->next_comment];
    if (comment->own_line || comment->span.begin < from) return from;
    for (uint32_t i = from; i < comment->span.begin; i++) {
        if (printer->file->text[i] == '\n') return from;
    }
    ftso_text_puts(printer->out, "  ");
    from = comment->span.end;
    put_comment(printer);
    return from;
}

/* A set or a list with comments among its elements: one element a line, each comment at its place. */
static void emit_commented(ftso_printer *printer, const ftso_ast_node *node, int indent)
{
    ftso_text_puts(printer->out, node->kind == FTSO_AST_SET ? "{\n" : "[\n");
    bool fresh = true;
    uint32_t from = node->span.begin;
    for (size_t i = 0; i < node->child_count; i++) {
        const ftso_ast_node *child = node->children[i];
        leading_comments(printer, from, child->span.begin, child->span.end, indent + INDENT,
                         &fresh);
        ftso_text_printf(printer->out, "%*s", indent + INDENT, "");
        printer->column = (size_t)indent + INDENT;
        emit(printer, child, PREC_ANY, indent + INDENT);
        put(printer, ",");
        uint32_t next =
            i + 1 < node->child_count ? node->children[i + 1]->span.begin : node->span.end;
        from = trailing_comment(printer, child->span.end, next);
        ftso_text_puts(printer->out, "\n");
        fresh = true; /* blank lines between elements are not kept */
    }
    leading_comments(printer, from, node->span.end, node->span.end, indent + INDENT, &fresh);
    ftso_text_printf(printer->out, "%*s", indent, "");
    put(printer, node->kind == FTSO_AST_SET ? "}" : "]");
}

/* ---------------------------------------------------------------- statements */

static void print_items(ftso_printer *printer, const ftso_ast_items *items, uint32_t from,
                        uint32_t end, int indent);

static void print_head(ftso_printer *printer, const ftso_ast_item *item)
{
    put(printer, item->word);
    if (item->name) {
        put(printer, " ");
        put(printer, item->name);
    }
    if (item->params) {
        size_t before = printer->out->length;
        flat_list(printer, item->params, "(", ", ", ")", printer->out);
        printer->column += printer->out->length - before;
    }
    if (item->literal) {
        put(printer, " ");
        emit_flat(printer, item->literal, PREC_ANY);
    }
    if (item->base) {
        put(printer, " : ");
        put(printer, item->base);
    }
    if (item->where) {
        put(printer, " in ");
        put(printer, item->where);
    }
}

static void print_item(ftso_printer *printer, const ftso_ast_item *item, int indent)
{
    ftso_text_printf(printer->out, "%*s", indent, "");
    printer->column = (size_t)indent;
    print_head(printer, item);
    if (item->has_block) {
        ftso_text_puts(printer->out, " {\n");
        print_items(printer, &item->block, item->block_begin, item->span.end, indent + INDENT);
        ftso_text_printf(printer->out, "%*s}", indent, "");
        return;
    }
    if (item->value) {
        put(printer, " = ");
        bool commented = has_comment(printer, item->value->span.end);
        if (commented) {
            emit_commented(printer, item->value, indent);
        } else {
            emit(printer, item->value, PREC_ANY,
                 item->value->kind == FTSO_AST_SET || item->value->kind == FTSO_AST_LIST ||
                         item->value->kind == FTSO_AST_CALL
                     ? indent
                     : indent + INDENT);
        }
    }
    put(printer, ";");
}

/* Comments up to here come before the statement: those inside it stay only where a block or a list gives them a place. */
static uint32_t comment_limit(const ftso_ast_item *item)
{
    if (item->has_block) return item->block_begin;
    bool listed =
        item->value && (item->value->kind == FTSO_AST_SET || item->value->kind == FTSO_AST_LIST);
    return listed ? item->value->span.begin : item->span.end;
}

static void print_items(ftso_printer *printer, const ftso_ast_items *items, uint32_t from,
                        uint32_t end, int indent)
{
    bool fresh = true; /* nothing printed yet in this block: no blank line first */
    for (size_t i = 0; i < items->count; i++) {
        const ftso_ast_item *item = items->items[i];
        from =
            leading_comments(printer, from, item->span.begin, comment_limit(item), indent, &fresh);
        if (!fresh && from <= item->span.begin && blank_before(printer, from, item->span.begin)) {
            ftso_text_puts(printer->out, "\n");
        }
        fresh = false;
        print_item(printer, item, indent);
        uint32_t next = i + 1 < items->count ? items->items[i + 1]->span.begin : end;
        from = trailing_comment(printer, item->span.end, next);
        ftso_text_puts(printer->out, "\n");
    }
    leading_comments(printer, from, end, end, indent, &fresh);
}

void ftso_ast_format(const ftso_ast *ast, ftso_text *out)
{
    const ftso_ast_file *file = ast->files[ast->file_count - 1];
    ftso_printer printer = {.file = file, .out = out};
    print_items(&printer, &file->items, 0, (uint32_t)file->length + 1, 0);
}
