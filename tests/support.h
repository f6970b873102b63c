/* tests/support: what several test programs share. In: names of files and shapes. Out: ready fixtures. */
#ifndef FTSO_TESTS_SUPPORT_H
#define FTSO_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "ir/ir.h"

/* Deterministic numbers for tests: a 64-bit linear congruential sequence. */
typedef struct test_random {
    uint64_t state;
} test_random;
double test_uniform(test_random *random); /* [0, 1) */
double test_normal(test_random *random);
int64_t test_below(test_random *random, int64_t bound);

/* Fails the running test with the status's message unless it is a success. */
void test_ok(ftso_status status);

#endif
