/*
 * What the sema files share: symbols, blocks, forms, values. Private to frontend/.
 *
 * sema.c drives; sema_value.c turns expressions into numbers, sema_op.c into operator trees; sema_space.c, sema_genotype.c
 * and sema_recipe.c fill the records of ir/space.h.
 */
#ifndef FTSO_FRONTEND_SEMA_INTERNAL_H
#define FTSO_FRONTEND_SEMA_INTERNAL_H

#include <math.h>
#include <string.h>

#include "ast.h"

typedef enum ftso_symbol_kind {
    FTSO_SYMBOL_LET,
    FTSO_SYMBOL_OP,
    FTSO_SYMBOL_OPSET,
    FTSO_SYMBOL_SPACE,
    FTSO_SYMBOL_GENOTYPE,
    FTSO_SYMBOL_DATASET,
    FTSO_SYMBOL_SEARCH,
    FTSO_SYMBOL_TRAIN,
    FTSO_SYMBOL_KINDS
} ftso_symbol_kind;

/* Types of arithmetic: a parameter's type is not known before it is bound. */
typedef enum ftso_type { FTSO_TYPE_ANY, FTSO_TYPE_NUMBER, FTSO_TYPE_TRUTH } ftso_type;

typedef enum ftso_symbol_state {
    FTSO_SYMBOL_NEW,
    FTSO_SYMBOL_BUSY,
    FTSO_SYMBOL_DONE
} ftso_symbol_state;

typedef struct ftso_symbol {
    ftso_symbol_kind kind;
    const char *name;
    ftso_span span;
    ftso_ast_item *item;
    const ftso_ast_file *file;
    void *record; /* ftso_operator, ftso_opset, …; NULL where the declaration is wrong */
    ftso_symbol_state state;
    const ftso_arith *value; /* LET */
    ftso_type type;          /* LET */
    bool used;
    /* OP: the composites that its body names, and how many primitives it unfolds to. */
    struct ftso_symbol **uses;
    size_t use_count, use_capacity;
    int64_t size;
    bool has_candidates; /* itself, or in what it unfolds to */
    ftso_symbol_state unfold;
} ftso_symbol;

typedef struct ftso_sema {
    ftso_arena *arena;
    ftso_diag *diag;
    const ftso_ast *ast;
    ftso_unit *unit;
    ftso_symbol **symbols; /* in order of declaration */
    size_t symbol_count, symbol_capacity;
    ftso_symbol **table; /* hashed by kind and name */
    size_t table_size;
    const char **unknown; /* names that were told to be unknown */
    size_t unknown_count, unknown_capacity;
} ftso_sema;

/* ---------------------------------------------------------------- sema.c */

ftso_symbol *ftso_sema_find(const ftso_sema *sema, ftso_symbol_kind kind, const char *name);
/* True where nothing was said about this unknown name yet: each is told once. */
bool ftso_sema_first_time(ftso_sema *sema, const char *name);
/* More errors than are shown: those that follow are only counted, and no remedy is looked for. */
bool ftso_sema_is_flooded(const ftso_sema *sema);
/* False where the name is taken. The table must have been made large enough. */
bool ftso_sema_insert(ftso_sema *sema, ftso_symbol *symbol);
/* The record of that name, or NULL and an error with the nearest name. */
ftso_symbol *ftso_sema_refer(ftso_sema *sema, ftso_symbol_kind kind, const char *name,
                             ftso_span span);
/* Finishes a symbol's record (declarations may stand in any order). */
void ftso_sema_resolve(ftso_sema *sema, ftso_symbol *symbol);
const char *ftso_symbol_kind_name(ftso_symbol_kind kind);
/* "did you mean `x`?" among names, or `otherwise`. */
const char *ftso_sema_nearest(ftso_sema *sema, const char *name, const char *const *names,
                              size_t count, const char *otherwise);

/* ---------------------------------------------------------------- sema_block.c: statements and their forms */

enum {
    FTSO_FORM_NAME = 1,
    FTSO_FORM_PARAMS = 2,
    FTSO_FORM_BASE = 4,
    FTSO_FORM_VALUE = 8,
    FTSO_FORM_BLOCK = 16,
    FTSO_FORM_WHERE = 32,
    FTSO_FORM_LITERAL = 64
};

/* One statement that may stand in a block. */
typedef struct ftso_key {
    const char *word;
    unsigned needs, allows; /* FTSO_FORM_ bits; allows: those that may also be there */
    bool repeats;
    const char *usage; /* as it is to be written */
} ftso_key;

/* A block and what it inherits from: keys are looked up from the inside out. */
typedef struct ftso_block {
    const ftso_ast_items *items;
    const struct ftso_block *base;
    const char *what; /* "space `darts`": for messages */
    ftso_span span;   /* of the declaration's name */
} ftso_block;

/* Every statement must be one of the keys, once, in its form. `open_words`: other words with arguments are let through. */
void ftso_sema_check_block(ftso_sema *sema, const ftso_ast_items *items, const char *what,
                           const ftso_key *keys, size_t key_count, bool open_words);
/* True when `item` has what `key` needs and nothing more. */
bool ftso_sema_check_form(ftso_sema *sema, const ftso_ast_item *item, const ftso_key *key);
/* The statement `word` or `word name` (NULL: any), own or inherited; NULL where there is none. */
const ftso_ast_item *ftso_block_find(const ftso_block *block, const char *word, const char *name);
/* The same, an error where there is none. */
const ftso_ast_item *ftso_block_get(ftso_sema *sema, const ftso_block *block, const char *word,
                                    const char *usage);
/* The blocks of all statements `word name`, own before inherited, as one; false where there is none. */
bool ftso_block_sub(ftso_sema *sema, const ftso_block *block, const char *word, const char *name,
                    ftso_block *out);

/* ---------------------------------------------------------------- sema_value.c: arithmetic and plain values */

/* Names that an expression may use. */
typedef struct ftso_names {
    const char *const *names;
    size_t count;
    const struct ftso_names *outer;
    bool closed; /* nobody can add to them: an error says which there are */
} ftso_names;

/* Arithmetic in the scope; folded to a number where it is constant. NULL after an error. */
const ftso_arith *ftso_sema_arith(ftso_sema *sema, const ftso_ast_node *node,
                                  const ftso_names *names, ftso_type *out_type);
/* The same, and it must be a number (or a truth value: `truth`). */
const ftso_arith *ftso_sema_number(ftso_sema *sema, const ftso_ast_node *node,
                                   const ftso_names *names);
const ftso_arith *ftso_sema_truth(ftso_sema *sema, const ftso_ast_node *node,
                                  const ftso_names *names);
bool ftso_names_has(const ftso_names *names, const char *name);

/* A constant of the file: true when it was read; `what` names it in messages. */
bool ftso_sema_constant(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                        ftso_number *out);
bool ftso_sema_real(ftso_sema *sema, const ftso_ast_node *node, const char *what, double lowest,
                    double highest, double *out);
bool ftso_sema_whole(ftso_sema *sema, const ftso_ast_node *node, const char *what, int64_t lowest,
                     int64_t highest, int64_t *out);
bool ftso_sema_flag(ftso_sema *sema, const ftso_ast_node *node, const char *what, bool *out);
/* A fraction num/den with lowest < value < highest. */
bool ftso_sema_fraction(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                        int64_t *out_num, int64_t *out_den);
/* "string expected, a list found". */
void ftso_sema_wrong_type(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                          const char *expected);
/* A number for a message: whole ones without an exponent. */
const char *ftso_sema_show(ftso_sema *sema, double value);
/* One of the words, or -1 after an error. */
int ftso_sema_word(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                   const char *const *words, size_t count);

/* One parameter of a call that is read at once: optimisers, schedules, transforms. */
/* Binds the arguments of `call` to the parameters by place and name; `nodes[i]` NULL where not given. False after an error. */
bool ftso_sema_bind(ftso_sema *sema, const ftso_ast_node *call, const char *const *names,
                    size_t count, const ftso_ast_node **nodes);
/* Values of a call's plain number parameters. */
bool ftso_sema_call_numbers(ftso_sema *sema, const ftso_ast_node *call,
                            const ftso_call_param *params, size_t count, double *out);

/* ---------------------------------------------------------------- sema_op.c */

typedef struct ftso_op_scope {
    const ftso_names *names;
    ftso_symbol *inside; /* the composite whose body this is, or NULL */
    bool candidates;     /* candidates(C, s) has a meaning here */
    bool saw_candidates;
} ftso_op_scope;

ftso_opexpr *ftso_sema_opexpr(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope);
/* The same for a place where one value must come out. */
ftso_opexpr *ftso_sema_one_value(ftso_sema *sema, const ftso_ast_node *node, ftso_op_scope *scope);
void ftso_sema_op(ftso_sema *sema, ftso_symbol *symbol);
void ftso_sema_op_cycles(ftso_sema *sema);
void ftso_sema_opset(ftso_sema *sema, ftso_symbol *symbol);
/* A set of operator names written in place; NULL after an error. */
ftso_opset *ftso_sema_opset_value(ftso_sema *sema, const ftso_ast_node *node, const char *name,
                                  ftso_span span);
/* Operator `name`, checked to be usable on an edge, as op(C, s). */
const ftso_operator *ftso_sema_edge_operator(ftso_sema *sema, const char *name, ftso_span span);

/* ---------------------------------------------------------------- sema_recipe.c: what searches and trainings share */

/* The record that a name stands for; NULL after an error, or without an item. */
void *ftso_sema_refer_value(ftso_sema *sema, const ftso_ast_item *item, ftso_symbol_kind kind);
/* space = darts; or space = darts(K = 4); */
const ftso_space *ftso_sema_space_value(ftso_sema *sema, const ftso_ast_item *item,
                                        ftso_arg **out_args, size_t *out_count);
bool ftso_sema_optimizer(ftso_sema *sema, const ftso_ast_node *node, ftso_optimizer *out);
/* 1 epoch, 3 iterations (where `iterations` allows them). */
bool ftso_sema_span_of_time(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                            bool iterations, int64_t *out, ftso_budget_unit *out_unit);
/* Tells of a batch that is larger than `portion` of the training images. */
void ftso_sema_check_batch(ftso_sema *sema, const ftso_ast_item *item, int64_t batch,
                           const ftso_dataset *dataset, double portion);
/* precision = bf16; fp32 without an item or after an error. */
ftso_element ftso_sema_precision(ftso_sema *sema, const ftso_block *block);
/* require = params <= 5 M && macs < 600 M; NULL without an item or after an error. */
const ftso_arith *ftso_sema_require(ftso_sema *sema, const ftso_ast_item *item);

/* ---------------------------------------------------------------- the declarations */

void ftso_sema_let(ftso_sema *sema, ftso_symbol *symbol);
void ftso_sema_space(ftso_sema *sema, ftso_symbol *symbol);
void ftso_sema_genotype(ftso_sema *sema, ftso_symbol *symbol);
void ftso_sema_dataset(ftso_sema *sema, ftso_symbol *symbol);
void ftso_sema_search(ftso_sema *sema, ftso_symbol *symbol);
void ftso_sema_train(ftso_sema *sema, ftso_symbol *symbol);
/* A genotype's value against a space; NULL after an error. */
ftso_genotype *ftso_sema_genotype_value(ftso_sema *sema, const ftso_ast_node *node,
                                        const ftso_space *space, const char *name, ftso_span span);
/* [channels, side, side]. */
bool ftso_sema_image(ftso_sema *sema, const ftso_ast_node *node, int64_t *out_channels,
                     int64_t *out_side);

#endif
