/*
 * Kernels over whole images: global pool, its gradient, the loss and its gradient, on random shapes, alone and with
 * pointwise nodes around them. Logits far apart, equal and large are given to the loss by hand.
 */
#include "tests/kernel_lab.h"
#include "tests/op_cases.h"
#include "tests/wrapping.h"

#include <string.h>

enum { CASES = 24, MANY_IMAGES = 70 };

static int lab_setup(void **state)
{
    *state = kernel_lab_new();
    return 0;
}

static int lab_teardown(void **state)
{
    kernel_lab_print(*state, "image kernels");
    kernel_lab_free(*state);
    return 0;
}

static void global_pool_and_spread(void **state)
{
    static const char *const operators[] = {"global_avg_pool", "spread"};
    test_random random = {303};
    for (size_t o = 0; o < FTSO_COUNT(operators); o++)
        for (int i = 0; i < CASES; i++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            test_op_case c;
            assert_true(
                test_op_case_make(ftso_op_find(ftso_primitives(), operators[o]), &random, &c));
            if (i % 6 == 0) c.inputs[0].dim[0] = MANY_IMAGES;
            ftso_graph graph;
            ftso_graph_init(&graph, &arena, ftso_primitives());
            wrapping w = {&graph, &random, 0};
            ftso_value x =
                i % 2 ? wrapping_operand(&w, c.inputs[0]) : wrapping_leaf(&w, c.inputs[0]);
            wrapping_results(
                &w, ftso_graph_add(&graph, operators[o], &x, 1, c.attrs, (size_t)c.op->attr_count));
            kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
            ftso_arena_deinit(&arena);
        }
}

/* What the logits of a test are like. */
typedef struct contents {
    double spread, offset;
    int64_t classes;
    uint64_t seed;
} contents;

static void fill_loss(void *user, const char *name, ftso_shape shape, double *out)
{
    const contents *c = user;
    test_random random = {ftso_hash(c->seed, name, strlen(name))};
    bool labels = strcmp(name, "label") == 0, logits = strcmp(name, "logits") == 0;
    for (int64_t i = 0; i < ftso_shape_count(shape); i++)
        out[i] = labels   ? (double)test_below(&random, c->classes)
                 : logits ? c->offset + c->spread * test_normal(&random)
                          : test_normal(&random);
}

static void check_loss(kernel_lab *lab, int64_t images, const contents *c, double smoothing,
                       bool affine)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    ftso_value logits =
        ftso_graph_input(&graph, "logits", ftso_shape_image(images, c->classes, 1, 1));
    ftso_value label = ftso_graph_input(&graph, "label",
                                        (ftso_shape){.rank = 1, .batched = true, .dim = {images}});
    if (affine)
        logits = ftso_graph_binary(&graph, "channel_add", logits,
                                   ftso_graph_input(&graph, "bias", ftso_shape_vector(c->classes)));
    ftso_value operands[] = {logits, label};
    ftso_attr_value attr = FTSO_R(smoothing);
    ftso_graph_output(&graph, "loss",
                      ftso_graph_add(&graph, "cross_entropy", operands, 2, &attr, 1),
                      FTSO_NO_VALUE);
    ftso_graph_output(&graph, "gradient",
                      ftso_graph_add(&graph, "cross_entropy_dx", operands, 2, &attr, 1),
                      FTSO_NO_VALUE);
    kernel_lab_check(lab, &graph, fill_loss, (void *)c, 0);
    ftso_arena_deinit(&arena);
}

static void loss(void **state)
{
    static const int64_t classes[] = {2, 3, 7, 10, 16, 36, 100, 1000};
    static const int64_t images[] = {1, 2, 5, MANY_IMAGES};
    for (size_t i = 0; i < FTSO_COUNT(classes); i++)
        for (size_t n = 0; n < FTSO_COUNT(images); n++) {
            contents c = {1, 0, classes[i], i};
            check_loss(*state, images[n], &c, n % 2 ? 0.1 : 0, i % 2);
        }
}

static void loss_of_extreme_logits(void **state)
{
    static const contents given[] = {
        {0, 0, 10, 1},    /* all equal */
        {30, 0, 10, 2},   /* one class takes all */
        {1, 1e4, 10, 3},  /* exp of such a number overflows */
        {1, -1e4, 10, 4}, /* … or is zero */
        {300, 0, 16, 5},
    };
    for (size_t i = 0; i < FTSO_COUNT(given); i++) check_loss(*state, 4, &given[i], 0.1, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(global_pool_and_spread, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(loss, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(loss_of_extreme_logits, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
