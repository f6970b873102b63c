/*
 * tests/wrapping: random pointwise nodes in front of a core's operands and behind its result, for tests of kernels.
 * In: a graph under construction, random numbers. Out: operands made of fresh inputs "i0", "i1" …, and outputs.
 */
#ifndef FTSO_TESTS_WRAPPING_H
#define FTSO_TESTS_WRAPPING_H

#include "tests/support.h"

typedef struct wrapping {
    ftso_graph *graph;
    test_random *random;
    int leaves; /* so far */
} wrapping;

ftso_value wrapping_leaf(wrapping *w, ftso_shape shape);
/* An image of that shape: an input, or pointwise nodes over several. */
ftso_value wrapping_operand(wrapping *w, ftso_shape shape);
/*
 * Outputs that need `core`: itself, or what pointwise nodes make of it, and sums of it. A core that is no image is an
 * output as it is.
 */
void wrapping_results(wrapping *w, ftso_value core);

#endif
