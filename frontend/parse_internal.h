/* What the generated lexer and parser call in parse.c: messages, comments, small builders. Private to frontend/. */
#ifndef FTSO_FRONTEND_PARSE_INTERNAL_H
#define FTSO_FRONTEND_PARSE_INTERNAL_H

#include <string.h>

#include "ast.h"

/* What the parser knows when a token does not fit. */
typedef struct ftso_parse_expected {
    ftso_span where;
    const char *const *names; /* of the tokens that would fit */
    size_t count;
    const char *token; /* what is there; NULL: nothing was read */
    bool value;        /* an expression may begin here */
    bool semicolon;
    bool at_end;
} ftso_parse_expected;

void ftso_parse_syntax_error(ftso_parse *parse, const ftso_parse_expected *expected);
void ftso_parse_too_deep(ftso_parse *parse, ftso_span where);
void ftso_parse_unmatched(ftso_parse *parse, ftso_span where);
void ftso_parse_stray(ftso_parse *parse, ftso_span where);
void ftso_parse_open_string(ftso_parse *parse, ftso_span where);
void ftso_parse_glued(ftso_parse *parse, ftso_span where);
void ftso_parse_comment(ftso_parse *parse, ftso_span where);
ftso_span ftso_parse_end(ftso_parse *parse);
_Noreturn void ftso_parse_lexer_failed(const char *message);

/* The argument list `args` becomes the call of `name`. */
ftso_ast_node *ftso_parse_params(ftso_ast_node *args, ftso_ast_word name, ftso_span span);
ftso_ast_node *ftso_parse_unit(ftso_parse *parse, ftso_ast_word number, ftso_ast_word unit);

#endif
