/*
 * tests/op_cases: random, legal uses of every primitive operator.
 * In: an operator of the table, random numbers. Out: operand shapes, attributes, and operand contents inside the
 * operator's domain. Serves the tests of values, of gradients and of generated kernels alike.
 * Holds: an operator of the table without a generator here is reported, so that it cannot go untested.
 */
#ifndef FTSO_TESTS_OP_CASES_H
#define FTSO_TESTS_OP_CASES_H

#include "support.h"

/* What an operand's numbers must be like. */
typedef enum test_domain {
    TEST_NORMAL,   /* standard normal */
    TEST_POSITIVE, /* in [0.2, 2] */
    TEST_NONZERO,  /* normal, at least 0.02 from 0: where relu has a kink or a quotient a pole */
    TEST_DISTINCT, /* any two at least 0.02 apart: max pooling */
    TEST_APART,    /* at least 0.02 from the operand before it: min, max */
    TEST_LABEL     /* whole numbers below the channels of operand 0 */
} test_domain;

enum { TEST_MAX_OPERANDS = 4 };

typedef struct test_op_case {
    const ftso_op *op;
    ftso_shape inputs[TEST_MAX_OPERANDS];
    test_domain domain[TEST_MAX_OPERANDS];
    bool smooth[TEST_MAX_OPERANDS]; /* a gradient flows into this operand */
    size_t input_count;
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    int64_t planned, batch; /* the case is run with `batch` of `planned` images */
} test_op_case;

/* False when there is no generator for the operator (leaves need none and give true with no operand). */
bool test_op_case_make(const ftso_op *op, test_random *random, test_op_case *out);
/* Fills operand `i`, `batch` images of it. `operands` are those before it. Returns the number of elements. */
size_t test_op_case_fill(const test_op_case *c, size_t i, double *const *operands,
                         test_random *random, double *out);
/* Appends the operands as inputs "x0", "x1" ... and the node. */
ftso_value test_op_case_build(const test_op_case *c, ftso_graph *graph, ftso_value *out_operands);
/* "conv [N=2, 3, 5, 5] [7, 3, 3, 3] stride=2 ..." for failure messages. */
void test_op_case_print(const test_op_case *c, ftso_text *out);

#endif
