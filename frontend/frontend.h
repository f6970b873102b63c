/*
 * frontend: from text to records.
 *
 * In: a space file. Out: an ftso_unit (ir/space.h) with every name resolved and every value checked, or diagnostics.
 * Must hold: pure parser, re-entrant lexer; all errors of a file come in one run; no input crashes it.
 */
#ifndef FTSO_FRONTEND_H
#define FTSO_FRONTEND_H

#include "base/base.h"
#include "ir/ir.h"

/* The syntax tree (frontend/ast.h inside the folder); printable, formattable. */
typedef struct ftso_ast ftso_ast;

/*
 * Reads the file at `path` and what it includes (inside the file's folder only, depth at most 16). Errors go to `diag`;
 * the tree is always usable for as far as it was understood.
 */
ftso_status FTSO_MUST_USE ftso_parse_file(ftso_arena *arena, ftso_diag *diag, const char *path,
                                          ftso_ast **out_ast);
/* The same for text in memory; includes are refused when `folder` is NULL. */
ftso_ast *ftso_parse_text(ftso_arena *arena, ftso_diag *diag, const char *path, const char *text,
                          size_t length, const char *folder);
/* One override from the command line: "train.c10_600.epochs=5". */
void ftso_ast_override(ftso_ast *ast, ftso_diag *diag, const char *assignment);
/* Resolves and checks; NULL when there were errors. */
ftso_unit *ftso_check(ftso_arena *arena, ftso_diag *diag, const ftso_ast *ast);
/*
 * Names that other folders' tables give a meaning: kinds of data sets, methods of search. An unknown one is an error with the
 * nearest name. The frontend knows none itself; who has the tables hands them in.
 */
typedef struct ftso_words {
    const char *const *kinds; /* NULL: not checked */
    size_t kind_count;
    const char *const *methods;
    size_t method_count;
} ftso_words;
void ftso_check_words(ftso_diag *diag, const ftso_unit *unit, const ftso_words *words);
/* The canonical layout of the main file; comments kept. Formatting its own output changes nothing. */
void ftso_ast_format(const ftso_ast *ast, ftso_text *out);
/* One line per tree node, for --dump=ast; and of the checked records, for --dump=space. */
void ftso_ast_print(const ftso_ast *ast, ftso_text *out);
void ftso_unit_print(const ftso_unit *unit, ftso_text *out);

/*
 * A genotype alone, as text: `Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), …)` with range(a, b), [..]
 * or (..), or `|op~0|+|op~0|op~1|+…`. Operators are looked up among `unit`'s by name. NULL when there were errors.
 */
ftso_genotype *ftso_genotype_parse(ftso_arena *arena, ftso_diag *diag, const char *text,
                                   size_t length, const ftso_space *space, const ftso_unit *unit);

/* Long text on one error code, with a bad and a good example. */
typedef struct ftso_error_doc {
    const char *code, *title, *text, *bad, *good;
} ftso_error_doc;
const ftso_error_doc *ftso_error_doc_find(const char *code);
const ftso_error_doc *ftso_error_doc_rows(size_t *out_count);

#endif
