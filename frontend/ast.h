/*
 * frontend/ast: the syntax tree of one space file and of what it includes.
 *
 * In: tokens with spans. Out: statements (ftso_ast_item) that hold expressions (ftso_ast_node) and blocks of further
 * statements. The grammar is uniform: `word name(args) : base = value;` or `… { … }`; what a word means is sema's business,
 * so every keyword of the language may also be a name.
 * Must hold: every node knows its span; no expression is deeper than FTSO_AST_MAX_DEPTH, so walking a tree by recursion is
 * safe whatever the input; comments are kept beside the statements, in text order.
 */
#ifndef FTSO_FRONTEND_AST_H
#define FTSO_FRONTEND_AST_H

#include "frontend.h"

enum { FTSO_AST_MAX_DEPTH = 200, FTSO_AST_MAX_NESTING = 100, FTSO_AST_MAX_INCLUDES = 16 };

typedef enum ftso_ast_kind {
    FTSO_AST_NUMBER,   /* text as written; unit where one follows: 1 epoch, 5 M, 50% */
    FTSO_AST_STRING,   /* text without its quotes */
    FTSO_AST_NAME,     /* text */
    FTSO_AST_CALL,     /* text(children) */
    FTSO_AST_ARG,      /* text = child, inside a call */
    FTSO_AST_LIST,     /* [a, b] */
    FTSO_AST_SET,      /* {a, b} */
    FTSO_AST_TUPLE,    /* (a, b) */
    FTSO_AST_CHAIN,    /* a -> b -> c, flat */
    FTSO_AST_BRANCHES, /* [a | b] */
    FTSO_AST_SELECT,   /* a ? b : c */
    FTSO_AST_UNARY,    /* op a */
    FTSO_AST_BINARY,   /* a op b */
    FTSO_AST_MODE,     /* in text { a } */
    FTSO_AST_ARCH,     /* |a~0|+|b~0|c~1|: ARCH_NODE children */
    FTSO_AST_ARCH_NODE,
    FTSO_AST_ARCH_EDGE, /* text~child */
    FTSO_AST_ERROR      /* stands where something could not be understood; already told */
} ftso_ast_kind;

/* How arithmetic operators are written; index for printing and for sema. */
typedef enum ftso_ast_op {
    FTSO_AST_OR,
    FTSO_AST_AND,
    FTSO_AST_EQ,
    FTSO_AST_NE,
    FTSO_AST_LT,
    FTSO_AST_LE,
    FTSO_AST_GT,
    FTSO_AST_GE,
    FTSO_AST_ADD,
    FTSO_AST_SUB,
    FTSO_AST_MUL,
    FTSO_AST_DIV,
    FTSO_AST_NEG,
    FTSO_AST_NOT
} ftso_ast_op;

typedef struct ftso_ast_node {
    ftso_ast_kind kind;
    ftso_ast_op op; /* UNARY, BINARY */
    unsigned depth;
    ftso_span span;
    const char *text;
    ftso_span text_span; /* of the text alone, for CALL, ARG, MODE, ARCH_EDGE */
    const char *unit;    /* NUMBER, or NULL; "%" for percent */
    ftso_span unit_span;
    struct ftso_ast_node **children;
    size_t child_count, child_capacity;
} ftso_ast_node;

typedef struct ftso_ast_item ftso_ast_item;

typedef struct ftso_ast_items {
    ftso_ast_item **items;
    size_t count, capacity;
} ftso_ast_items;

/* One statement. What is not written is NULL (or zero). */
struct ftso_ast_item {
    ftso_span span;
    const char *word; /* "op", "space", "keep"; "in" for `in supernet { … }` */
    ftso_span word_span;
    const char *name; /* the declared name, or the mode after `in` */
    ftso_span name_span;
    ftso_ast_node *literal; /* ftso 1;  include "x"; */
    ftso_ast_node *params;  /* a CALL node whose text is the name or the word */
    const char *base;       /* : base */
    ftso_span base_span;
    ftso_ast_node *value; /* = value */
    const char *where;    /* in cells */
    ftso_span where_span;
    bool has_block;
    ftso_ast_items block;
    uint32_t block_begin; /* behind its `{` */
    bool used;            /* sema has understood this statement */
};

typedef struct ftso_ast_comment {
    ftso_span span;
    bool own_line; /* nothing but blanks before it on its line */
} ftso_ast_comment;

typedef struct ftso_ast_file {
    uint32_t source;  /* number in the diag's source table */
    const char *path; /* relative to the main file's folder; as written for the main file */
    const char *text;
    size_t length;
    ftso_ast_items items;
    ftso_ast_comment *comments;
    size_t comment_count, comment_capacity;
} ftso_ast_file;

/* Files in the order in which sema reads them: an included file before the one that includes it, the main file last. */
struct ftso_ast {
    ftso_arena *arena;
    ftso_ast_file **files;
    size_t file_count, file_capacity;
    ftso_ast_node *value; /* of ftso_parse_value and of genotype texts */
};

/* What the lexer and the parser share while one text is read. */
typedef enum ftso_parse_start { FTSO_PARSE_FILE, FTSO_PARSE_VALUE } ftso_parse_start;

typedef struct ftso_parse {
    ftso_arena *arena;
    ftso_diag *diag;
    ftso_ast_file *file;
    ftso_parse_start start;
    bool started;           /* the start token has been given */
    bool stopped;           /* nesting too deep: nothing more is read */
    uint32_t offset;        /* bytes read */
    unsigned nesting;       /* open brackets */
    ftso_ast_items *result; /* of FTSO_PARSE_FILE */
    ftso_ast_node *value;   /* of FTSO_PARSE_VALUE */
} ftso_parse;

typedef struct ftso_ast_word {
    const char *text;
    ftso_span span;
} ftso_ast_word;

/* ast.c: builders for the parser's actions. Each returns an ERROR node (and says so) where the depth limit is passed. */
ftso_ast_node *ftso_ast_leaf(ftso_parse *parse, ftso_ast_kind kind, ftso_ast_word word);
ftso_ast_node *ftso_ast_node_new(ftso_parse *parse, ftso_ast_kind kind, ftso_span span);
ftso_ast_node *ftso_ast_append(ftso_parse *parse, ftso_ast_node *node, ftso_ast_node *child);
ftso_ast_node *ftso_ast_unary(ftso_parse *parse, ftso_ast_op op, ftso_span span, ftso_ast_node *a);
ftso_ast_node *ftso_ast_binary(ftso_parse *parse, ftso_ast_op op, ftso_ast_node *a,
                               ftso_ast_node *b);
ftso_ast_node *ftso_ast_select(ftso_parse *parse, ftso_ast_node *a, ftso_ast_node *b,
                               ftso_ast_node *c);
ftso_ast_node *ftso_ast_chain(ftso_parse *parse, ftso_ast_node *a, ftso_ast_node *b);
ftso_ast_item *ftso_ast_item_new(ftso_parse *parse, ftso_ast_word word, ftso_span span);
ftso_ast_items ftso_ast_items_add(ftso_parse *parse, ftso_ast_items items, ftso_ast_item *item);
ftso_span ftso_span_join(ftso_span a, ftso_span b);
const char *ftso_ast_op_text(ftso_ast_op op);
/* "a number", "a chain of operators": for messages. */
const char *ftso_ast_describe(const ftso_ast_node *node);

/* parse.c: one value (for --set) or one genotype; NULL when there were errors. `text` becomes source `path` of the diag. */
ftso_ast_node *ftso_parse_value(ftso_arena *arena, ftso_diag *diag, const char *path,
                                const char *text, size_t length);

/* include.c: opens `relative` below `folder`, no link followed in any component. */
ftso_status FTSO_MUST_USE ftso_include_read(ftso_arena *arena, const char *folder,
                                            const char *relative, char **out_bytes,
                                            size_t *out_length);
/* What is wrong with the path of an include ("leaves the folder of the file"), or NULL. */
const char *ftso_include_refused(const char *relative);

#endif
