/*
 * The grammar of the language. In: tokens of lexer.l. Out: the statements of one file, or one value, in the ftso_parse record.
 * Must hold: no conflicts; pure; after an error the parser goes on at the next statement. Words are not keywords:
 * only `in` is reserved, what a statement means is decided in sema.
 */
%require "3.8"
%define api.pure full
%define api.prefix {ftso_yy}
%define api.value.type union
%define api.location.type {ftso_span}
%define api.token.prefix {TOK_}
%define parse.lac full
%define parse.error custom
%locations
%param {void *scanner}
%parse-param {ftso_parse *parse}

%code requires {
#include "ast.h"
}

%code {
#include "lexer.h"
#include "parse_internal.h"

#define YYMALLOC ftso_mem_alloc
#define YYFREE ftso_mem_free
#define YYMAXDEPTH 10000
#define YYLLOC_DEFAULT(Current, Rhs, N)                                                              \
    do {                                                                                             \
        if (N) {                                                                                     \
            (Current) = ftso_span_join(YYRHSLOC(Rhs, 1), YYRHSLOC(Rhs, N));                          \
        } else {                                                                                     \
            (Current) = YYRHSLOC(Rhs, 0);                                                            \
            (Current).begin = (Current).end;                                                         \
        }                                                                                            \
    } while (0)

static void yyerror(const YYLTYPE *where, void *scanner, ftso_parse *parse, const char *message);
}

%token START_FILE START_VALUE
%token <ftso_ast_word> NUMBER "number" STRING "string" NAME "name" UNIT "unit"
%token IN "`in`"
%token ARROW "`->`" OR "`||`" AND "`&&`" EQ "`==`" NE "`!=`" LE "`<=`" GE "`>=`"
%token LT "`<`" GT "`>`" PLUS "`+`" MINUS "`-`" STAR "`*`" SLASH "`/`" NOT "`!`" PERCENT "`%`"
%token ASSIGN "`=`" SEMICOLON "`;`" COMMA "`,`" COLON "`:`" QUESTION "`?`" BAR "`|`" TILDE "`~`"
%token LPAREN "`(`" RPAREN "`)`" LBRACKET "`[`" RBRACKET "`]`" LBRACE "`{`" RBRACE "`}`"
%token YYEOF 0 "end of file"

%nterm <ftso_ast_items> items top
%nterm <ftso_ast_item *> item head name_and_params
%nterm <ftso_ast_node *> value expr call args arg_list arg list branches tuple number
%nterm <ftso_ast_node *> arch arch_node arch_edges arch_edge

%right QUESTION COLON
%left ARROW
%left OR
%left AND
%nonassoc EQ NE LT LE GT GE
%left PLUS MINUS
%left STAR SLASH
%precedence NOT UNARY

%%

start:
    START_FILE top
  | START_VALUE value YYEOF     { parse->value = $value; }
  ;

top:
    %empty                      { $$ = (ftso_ast_items){0}; }
  | top[list] item
    {
        $$ = ftso_ast_items_add(parse, $list, $item);
        *parse->result = $$; /* kept even where the text ends in the middle of something */
    }
  | top[list] RBRACE            { $$ = $list; ftso_parse_unmatched(parse, @RBRACE); }
  ;

items:
    %empty                      { $$ = (ftso_ast_items){0}; }
  | items[list] item            { $$ = ftso_ast_items_add(parse, $list, $item); }
  ;

item:
    head SEMICOLON              { $$ = $head; $$->span = @$; }
  | head IN NAME SEMICOLON      { $$ = $head; $$->span = @$; $$->where = $NAME.text; $$->where_span = $NAME.span; }
  | head ASSIGN value SEMICOLON { $$ = $head; $$->span = @$; $$->value = $value; }
  | head ASSIGN value error     { $$ = $head; $$->span = ftso_span_join(@head, @value); $$->value = $value; }
  | head ASSIGN error SEMICOLON { $$ = $head; $$->span = @$; $$->value = ftso_ast_node_new(parse, FTSO_AST_ERROR, @error); }
  | head LBRACE items RBRACE    { $$ = $head; $$->span = @$; $$->has_block = true; $$->block = $items; $$->block_begin = @LBRACE.end; }
  | head LBRACE items error RBRACE
                                { $$ = $head; $$->span = @$; $$->has_block = true; $$->block = $items; $$->block_begin = @LBRACE.end; yyerrok; }
  | IN NAME LBRACE items RBRACE
    {
        $$ = ftso_ast_item_new(parse, (ftso_ast_word){"in", @IN}, @$);
        $$->name = $NAME.text;
        $$->name_span = $NAME.span;
        $$->has_block = true;
        $$->block = $items;
        $$->block_begin = @LBRACE.end;
    }
  | IN NAME LBRACE items error RBRACE
    {
        $$ = ftso_ast_item_new(parse, (ftso_ast_word){"in", @IN}, @$);
        $$->name = $NAME.text;
        $$->name_span = $NAME.span;
        $$->has_block = true;
        $$->block = $items;
        $$->block_begin = @LBRACE.end;
        yyerrok;
    }
  | error SEMICOLON             { $$ = NULL; yyerrok; }
  | error LBRACE items RBRACE   { $$ = NULL; yyerrok; }
  | error LBRACE items error RBRACE
                                { $$ = NULL; yyerrok; }
  ;

head:
    name_and_params
  | name_and_params[inner] COLON NAME[base]
                                { $$ = $inner; $$->base = $base.text; $$->base_span = $base.span; }
  | NAME STRING
    {
        $$ = ftso_ast_item_new(parse, $NAME, @$);
        $$->literal = ftso_ast_leaf(parse, FTSO_AST_STRING, $STRING);
    }
  | NAME NUMBER
    {
        $$ = ftso_ast_item_new(parse, $NAME, @$);
        $$->literal = ftso_ast_leaf(parse, FTSO_AST_NUMBER, $NUMBER);
    }
  ;

name_and_params:
    NAME                        { $$ = ftso_ast_item_new(parse, $NAME, @$); }
  | NAME LPAREN args RPAREN     { $$ = ftso_ast_item_new(parse, $NAME, @$); $$->params = ftso_parse_params($args, $NAME, @$); }
  | NAME[word] NAME[name]
    {
        $$ = ftso_ast_item_new(parse, $word, @$);
        $$->name = $name.text;
        $$->name_span = $name.span;
    }
  | NAME[word] NAME[name] LPAREN args RPAREN
    {
        $$ = ftso_ast_item_new(parse, $word, @$);
        $$->name = $name.text;
        $$->name_span = $name.span;
        $$->params = ftso_parse_params($args, $name, @$);
    }
  ;

value:
    expr
  | arch
  ;

expr:
    number
  | STRING                      { $$ = ftso_ast_leaf(parse, FTSO_AST_STRING, $STRING); }
  | NAME                        { $$ = ftso_ast_leaf(parse, FTSO_AST_NAME, $NAME); }
  | call
  | LPAREN expr[inner] RPAREN   { $$ = $inner; }
  | LPAREN tuple RPAREN         { $$ = $tuple; $$->span = @$; }
  | LBRACKET RBRACKET           { $$ = ftso_ast_node_new(parse, FTSO_AST_LIST, @$); }
  | LBRACKET list comma RBRACKET
                                { $$ = $list; $$->span = @$; }
  | LBRACKET branches RBRACKET  { $$ = $branches; $$->span = @$; }
  | LBRACE RBRACE               { $$ = ftso_ast_node_new(parse, FTSO_AST_SET, @$); }
  | LBRACE list comma RBRACE    { $$ = $list; $$->kind = FTSO_AST_SET; $$->span = @$; }
  | IN NAME LBRACE expr[inner] RBRACE
    {
        $$ = ftso_ast_node_new(parse, FTSO_AST_MODE, @$);
        $$->text = $NAME.text;
        $$->text_span = $NAME.span;
        $$ = ftso_ast_append(parse, $$, $inner);
    }
  | expr[a] QUESTION expr[b] COLON expr[c]
                                { $$ = ftso_ast_select(parse, $a, $b, $c); }
  | expr[a] ARROW expr[b]       { $$ = ftso_ast_chain(parse, $a, $b); }
  | expr[a] OR expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_OR, $a, $b); }
  | expr[a] AND expr[b]         { $$ = ftso_ast_binary(parse, FTSO_AST_AND, $a, $b); }
  | expr[a] EQ expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_EQ, $a, $b); }
  | expr[a] NE expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_NE, $a, $b); }
  | expr[a] LT expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_LT, $a, $b); }
  | expr[a] LE expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_LE, $a, $b); }
  | expr[a] GT expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_GT, $a, $b); }
  | expr[a] GE expr[b]          { $$ = ftso_ast_binary(parse, FTSO_AST_GE, $a, $b); }
  | expr[a] PLUS expr[b]        { $$ = ftso_ast_binary(parse, FTSO_AST_ADD, $a, $b); }
  | expr[a] MINUS expr[b]       { $$ = ftso_ast_binary(parse, FTSO_AST_SUB, $a, $b); }
  | expr[a] STAR expr[b]        { $$ = ftso_ast_binary(parse, FTSO_AST_MUL, $a, $b); }
  | expr[a] SLASH expr[b]       { $$ = ftso_ast_binary(parse, FTSO_AST_DIV, $a, $b); }
  | MINUS expr[a] %prec UNARY   { $$ = ftso_ast_unary(parse, FTSO_AST_NEG, @$, $a); }
  | NOT expr[a]                 { $$ = ftso_ast_unary(parse, FTSO_AST_NOT, @$, $a); }
  ;

number:
    NUMBER                      { $$ = ftso_ast_leaf(parse, FTSO_AST_NUMBER, $NUMBER); }
  | NUMBER PERCENT              { $$ = ftso_parse_unit(parse, $NUMBER, (ftso_ast_word){"%", @PERCENT}); }
  | NUMBER UNIT                 { $$ = ftso_parse_unit(parse, $NUMBER, $UNIT); }
  ;

call:
    NAME LPAREN args RPAREN     { $$ = ftso_parse_params($args, $NAME, @$); }
  ;

args:
    %empty                      { $$ = ftso_ast_node_new(parse, FTSO_AST_CALL, @$); }
  | arg_list comma
  ;

arg_list:
    arg                         { $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_CALL, @$), $arg); }
  | arg_list[head] COMMA arg    { $$ = ftso_ast_append(parse, $head, $arg); }
  ;

arg:
    expr
  | NAME ASSIGN expr
    {
        $$ = ftso_ast_node_new(parse, FTSO_AST_ARG, @$);
        $$->text = $NAME.text;
        $$->text_span = $NAME.span;
        $$ = ftso_ast_append(parse, $$, $expr);
    }
  ;

list:
    expr                        { $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_LIST, @$), $expr); }
  | list[head] COMMA expr       { $$ = ftso_ast_append(parse, $head, $expr); }
  ;

comma:
    %empty
  | COMMA
  ;

tuple:
    expr[a] COMMA               { $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_TUPLE, @$), $a); }
  | expr[a] COMMA list comma
    {
        $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_TUPLE, @$), $a);
        for (size_t i = 0; i < $list->child_count; i++) $$ = ftso_ast_append(parse, $$, $list->children[i]);
    }
  ;

branches:
    expr[a] BAR expr[b]
    {
        $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_BRANCHES, @$), $a);
        $$ = ftso_ast_append(parse, $$, $b);
    }
  | branches[list] BAR expr     { $$ = ftso_ast_append(parse, $list, $expr); }
  ;

arch:
    arch_node                   { $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_ARCH, @$), $arch_node); }
  | arch[list] PLUS arch_node   { $$ = ftso_ast_append(parse, $list, $arch_node); $$->span = @$; }
  ;

arch_node:
    BAR arch_edges              { $$ = $arch_edges; $$->span = @$; }
  ;

arch_edges:
    arch_edge                   { $$ = ftso_ast_append(parse, ftso_ast_node_new(parse, FTSO_AST_ARCH_NODE, @$), $arch_edge); }
  | arch_edges[list] arch_edge  { $$ = ftso_ast_append(parse, $list, $arch_edge); }
  ;

arch_edge:
    NAME TILDE NUMBER BAR
    {
        $$ = ftso_ast_node_new(parse, FTSO_AST_ARCH_EDGE, @$);
        $$->text = $NAME.text;
        $$->text_span = $NAME.span;
        $$ = ftso_ast_append(parse, $$, ftso_ast_leaf(parse, FTSO_AST_NUMBER, $NUMBER));
    }
  ;

%%

static int yyreport_syntax_error(const yypcontext_t *context, void *scanner, ftso_parse *parse)
{
    (void)scanner;
    enum { LIMIT = 40 };
    yysymbol_kind_t symbols[LIMIT];
    const char *expected[LIMIT];
    int count = yypcontext_expected_tokens(context, symbols, LIMIT);
    ftso_parse_expected found = {.where = *yypcontext_location(context)};
    for (int i = 0; i < count; i++) {
        if (symbols[i] == YYSYMBOL_NUMBER) found.value = true;
        if (symbols[i] == YYSYMBOL_SEMICOLON) found.semicolon = true;
        expected[i] = yysymbol_name(symbols[i]);
    }
    found.names = expected;
    found.count = count > 0 ? (size_t)count : 0;
    yysymbol_kind_t token = yypcontext_token(context);
    found.token = token == YYSYMBOL_YYEMPTY ? NULL : yysymbol_name(token);
    found.at_end = token == YYSYMBOL_YYEOF;
    ftso_parse_syntax_error(parse, &found);
    return 0;
}

static void yyerror(const YYLTYPE *where, void *scanner, ftso_parse *parse, const char *message)
{
    (void)scanner;
    (void)message;
    ftso_parse_too_deep(parse, *where);
}
