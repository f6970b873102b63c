/*
 * Kernels with a window for each channel: depthwise convolutions, their gradients, pools and theirs, on random shapes,
 * alone and with random pointwise nodes and reductions around them.
 */
#include "tests/kernel_lab.h"
#include "tests/op_cases.h"
#include "tests/wrapping.h"

#include <stdlib.h>
#include <string.h>

static const char *const operators[] = {"dwconv",   "dwconv_dx",   "dwconv_dw",  "max_pool",
                                        "avg_pool", "max_pool_dx", "avg_pool_dx"};

enum { BARE_CASES = 24, WRAPPED_CASES = 24, MANY_IMAGES = 70 };

static int lab_setup(void **state)
{
    *state = kernel_lab_new();
    return 0;
}

static int lab_teardown(void **state)
{
    kernel_lab_print(*state, "window kernels");
    kernel_lab_free(*state);
    return 0;
}

/* Operand "x<i>" of the case, from numbers that its domain allows. */
typedef struct operands {
    const test_op_case *c;
    uint64_t seed;
} operands;

static void fill_operand(void *user, const char *name, ftso_shape shape, double *out)
{
    const operands *o = user;
    test_op_case c = *o->c;
    if (shape.batched) c.batch = shape.dim[0];
    test_random random = {ftso_hash(o->seed, name, strlen(name))};
    test_op_case_fill(&c, (size_t)(name[1] - '0'), NULL, &random, out);
}

/* As many images as give each item several; small ones then. */
static void plan_more(test_op_case *c)
{
    if (c->inputs[0].dim[1] > 16) return;
    c->planned = MANY_IMAGES;
    for (size_t i = 0; i < c->input_count; i++)
        if (c->inputs[i].batched) c->inputs[i].dim[0] = c->planned;
}

static void bare(void **state)
{
    test_random random = {101};
    for (size_t o = 0; o < FTSO_COUNT(operators); o++)
        for (int i = 0; i < BARE_CASES; i++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            test_op_case c;
            assert_true(
                test_op_case_make(ftso_op_find(ftso_primitives(), operators[o]), &random, &c));
            if (i % 6 == 0) plan_more(&c);
            ftso_graph graph;
            ftso_graph_init(&graph, &arena, ftso_primitives());
            ftso_value values[TEST_MAX_OPERANDS];
            ftso_graph_output(&graph, "y", test_op_case_build(&c, &graph, values), FTSO_NO_VALUE);
            operands given = {&c, (uint64_t)i};
            kernel_lab_check(*state, &graph, fill_operand, &given, 0);
            ftso_arena_deinit(&arena);
        }
}

static void wrapped(void **state)
{
    test_random random = {202};
    for (size_t o = 0; o < FTSO_COUNT(operators); o++)
        for (int i = 0; i < WRAPPED_CASES; i++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            test_op_case c;
            assert_true(
                test_op_case_make(ftso_op_find(ftso_primitives(), operators[o]), &random, &c));
            if (i % 6 == 0) plan_more(&c);
            ftso_graph graph;
            ftso_graph_init(&graph, &arena, ftso_primitives());
            wrapping w = {&graph, &random, 0};
            ftso_value values[TEST_MAX_OPERANDS];
            for (size_t k = 0; k < c.input_count; k++)
                values[k] = c.inputs[k].batched ? wrapping_operand(&w, c.inputs[k])
                                                : wrapping_leaf(&w, c.inputs[k]);
            ftso_value core = ftso_graph_add(&graph, operators[o], values, c.input_count, c.attrs,
                                             (size_t)c.op->attr_count);
            wrapping_results(&w, core);
            kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
            ftso_arena_deinit(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bare, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(wrapped, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
