/*
 * tests/records: spaces written as C records, for tests that must not depend on the parser.
 *
 * In: an arena. Out: operator expressions, a DARTS space, a NAS-Bench-201 cell.
 */
#ifndef FTSO_TESTS_RECORDS_H
#define FTSO_TESTS_RECORDS_H

#include "tests/support.h"

/* Everything that a test's records are made in. */
typedef struct rec {
    ftso_arena *arena;
} rec;

const ftso_arith *rec_number(rec *r, int64_t num, int64_t den);
const ftso_arith *rec_name(rec *r, const char *name);
const ftso_arith *rec_binary(rec *r, ftso_arith_kind kind, const ftso_arith *a,
                             const ftso_arith *b);

/*
 * Expressions in a compact text, one form for each kind; enough for tests and nothing more:
 *   (conv C=C k=1 stride=s)  a primitive or a declared composite, arguments name=value, value a number, a name, or
 *                            name/number, number*name
 *   (> a b c) chain   (| a b c) branches   (? name number a b): name == number ? a : b   (super a) (net a) modes
 * Composites are found in `unit`. Asserts on anything else.
 */
ftso_opexpr *rec_expr(rec *r, const ftso_unit *unit, const char *text);
/* Declares `name` with parameters (space-separated) and the body's text. */
ftso_operator *rec_op(rec *r, ftso_unit *unit, const char *name, const char *params,
                      const char *body);
ftso_opset *rec_opset(rec *r, const ftso_unit *unit, const char *names);

/* The DARTS space: eight operators, cells "normal" and "reduce", 20 layers of 36 channels, 8 of 16 in the super-net. */
ftso_space *rec_darts(rec *r, ftso_unit *unit);
/* Partial channels: the edge expression of PC-DARTS with the constant K. */
void rec_partial(rec *r, const ftso_unit *unit, ftso_space *space, int64_t k);
ftso_space *rec_nasbench201(rec *r, ftso_unit *unit);
/* Cells with `edges` pairs "op from op from ...", two a node. */
ftso_genotype *rec_genotype(rec *r, const ftso_unit *unit, const ftso_space *space,
                            const char *normal, const char *normal_concat, const char *reduce,
                            const char *reduce_concat);

#endif
