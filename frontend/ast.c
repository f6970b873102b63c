/*
 * Builders of the syntax tree. In: what the parser's actions hand over. Out: nodes in the parse's arena.
 * Holds: depth(node) = 1 + the deepest child; a node that would pass FTSO_AST_MAX_DEPTH becomes an ERROR leaf.
 */
#include "parse_internal.h"

ftso_span ftso_span_join(ftso_span a, ftso_span b)
{
    ftso_span joined = a;
    if (b.begin < joined.begin) joined.begin = b.begin;
    if (b.end > joined.end) joined.end = b.end;
    return joined;
}

ftso_ast_node *ftso_ast_node_new(ftso_parse *parse, ftso_ast_kind kind, ftso_span span)
{
    ftso_ast_node *node = FTSO_NEW(parse->arena, ftso_ast_node);
    node->kind = kind;
    node->span = span;
    node->text_span = span;
    node->depth = 1;
    return node;
}

ftso_ast_node *ftso_ast_leaf(ftso_parse *parse, ftso_ast_kind kind, ftso_ast_word word)
{
    ftso_ast_node *node = ftso_ast_node_new(parse, kind, word.span);
    node->text = word.text;
    return node;
}

ftso_ast_node *ftso_ast_append(ftso_parse *parse, ftso_ast_node *node, ftso_ast_node *child)
{
    if (child->depth >= FTSO_AST_MAX_DEPTH) {
        ftso_parse_too_deep(parse, child->span);
        child = ftso_ast_node_new(parse, FTSO_AST_ERROR, child->span);
    }
    FTSO_PUSH(parse->arena, node->children, node->child_count, node->child_capacity, child);
    if (child->depth >= node->depth) node->depth = child->depth + 1;
    node->span = ftso_span_join(node->span, child->span);
    return node;
}

ftso_ast_node *ftso_ast_unary(ftso_parse *parse, ftso_ast_op op, ftso_span span, ftso_ast_node *a)
{
    ftso_ast_node *node = ftso_ast_node_new(parse, FTSO_AST_UNARY, span);
    node->op = op;
    return ftso_ast_append(parse, node, a);
}

ftso_ast_node *ftso_ast_binary(ftso_parse *parse, ftso_ast_op op, ftso_ast_node *a,
                               ftso_ast_node *b)
{
    ftso_ast_node *node =
        ftso_ast_node_new(parse, FTSO_AST_BINARY, ftso_span_join(a->span, b->span));
    node->op = op;
    return ftso_ast_append(parse, ftso_ast_append(parse, node, a), b);
}

ftso_ast_node *ftso_ast_select(ftso_parse *parse, ftso_ast_node *a, ftso_ast_node *b,
                               ftso_ast_node *c)
{
    ftso_ast_node *node =
        ftso_ast_node_new(parse, FTSO_AST_SELECT, ftso_span_join(a->span, c->span));
    return ftso_ast_append(parse, ftso_ast_append(parse, ftso_ast_append(parse, node, a), b), c);
}

ftso_ast_node *ftso_ast_chain(ftso_parse *parse, ftso_ast_node *a, ftso_ast_node *b)
{
    ftso_ast_node *node = a;
    if (a->kind != FTSO_AST_CHAIN) {
        node = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_CHAIN, a->span), a);
    }
    if (b->kind != FTSO_AST_CHAIN) return ftso_ast_append(parse, node, b);
    for (size_t i = 0; i < b->child_count; i++) ftso_ast_append(parse, node, b->children[i]);
    return node;
}

ftso_ast_item *ftso_ast_item_new(ftso_parse *parse, ftso_ast_word word, ftso_span span)
{
    ftso_ast_item *item = FTSO_NEW(parse->arena, ftso_ast_item);
    item->span = span;
    item->word = word.text;
    item->word_span = word.span;
    return item;
}

ftso_ast_items ftso_ast_items_add(ftso_parse *parse, ftso_ast_items items, ftso_ast_item *item)
{
    if (item) FTSO_PUSH(parse->arena, items.items, items.count, items.capacity, item);
    return items;
}

ftso_ast_node *ftso_parse_params(ftso_ast_node *args, ftso_ast_word name, ftso_span span)
{
    args->kind = FTSO_AST_CALL;
    args->text = name.text;
    args->text_span = name.span;
    args->span = span;
    return args;
}

ftso_ast_node *ftso_parse_unit(ftso_parse *parse, ftso_ast_word number, ftso_ast_word unit)
{
    ftso_ast_node *node = ftso_ast_leaf(parse, FTSO_AST_NUMBER, number);
    node->unit = unit.text;
    node->unit_span = unit.span;
    node->span = ftso_span_join(number.span, unit.span);
    return node;
}

const char *ftso_ast_op_text(ftso_ast_op op)
{
    static const char *const texts[] = {
        [FTSO_AST_OR] = "||", [FTSO_AST_AND] = "&&", [FTSO_AST_EQ] = "==", [FTSO_AST_NE] = "!=",
        [FTSO_AST_LT] = "<",  [FTSO_AST_LE] = "<=",  [FTSO_AST_GT] = ">",  [FTSO_AST_GE] = ">=",
        [FTSO_AST_ADD] = "+", [FTSO_AST_SUB] = "-",  [FTSO_AST_MUL] = "*", [FTSO_AST_DIV] = "/",
        [FTSO_AST_NEG] = "-", [FTSO_AST_NOT] = "!",
    };
    return texts[op];
}

const char *ftso_ast_describe(const ftso_ast_node *node)
{
    switch (node->kind) {
    case FTSO_AST_NUMBER:
        return node->unit ? "a number with a unit" : "a number";
    case FTSO_AST_STRING:
        return "a string";
    case FTSO_AST_NAME:
        return "a name";
    case FTSO_AST_CALL:
        return "a call";
    case FTSO_AST_ARG:
        return "a named argument";
    case FTSO_AST_LIST:
        return "a list";
    case FTSO_AST_SET:
        return "a set";
    case FTSO_AST_TUPLE:
        return "a tuple";
    case FTSO_AST_CHAIN:
        return "a chain of operators";
    case FTSO_AST_BRANCHES:
        return "branches";
    case FTSO_AST_SELECT:
        return "a choice (`? :`)";
    case FTSO_AST_UNARY:
    case FTSO_AST_BINARY:
        return "arithmetic";
    case FTSO_AST_MODE:
        return "an `in` part";
    case FTSO_AST_ARCH:
    case FTSO_AST_ARCH_NODE:
    case FTSO_AST_ARCH_EDGE:
        return "an architecture string";
    case FTSO_AST_ERROR:
        break;
    }
    return "something else";
}
