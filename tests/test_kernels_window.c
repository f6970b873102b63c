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

enum {
    BARE_CASES = 24,
    WRAPPED_CASES = 24,
    BACKWARD_CASES = 30,
    LED_CASES = 24,
    POOLED_CASES = 24,
    MANY_IMAGES = 70,
    WIDE_CASES = 9
};

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

/* Depthwise convolutions that lead one or two 1x1 convolutions; what is kept needs their results, the lead's, or both. */
static void led(void **state)
{
    test_random random = {107};
    for (int i = 0; i < LED_CASES; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        test_op_case c;
        assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), "dwconv"), &random, &c));
        if (i % 6 == 0) plan_more(&c);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        wrapping w = {&graph, &random, 0};
        ftso_value given[] = {wrapping_operand(&w, c.inputs[0]), wrapping_leaf(&w, c.inputs[1])};
        ftso_value lead =
            ftso_graph_add(&graph, "dwconv", given, 2, c.attrs, (size_t)c.op->attr_count);
        int64_t channels = c.inputs[0].dim[1];
        for (int k = 0; k <= i % 2; k++) {
            ftso_shape kernel = ftso_shape_weight(1 + test_below(&random, 40), channels, 1, 1);
            ftso_value core = ftso_graph_binary(&graph, "conv", lead, wrapping_leaf(&w, kernel));
            if (k == 0 && i % 3) {
                wrapping_results(&w, core);
                continue;
            }
            ftso_value shown = ftso_graph_unary(&graph, "relu", core);
            ftso_graph_output(&graph, ftso_format(&arena, "shown%d", k), shown, FTSO_NO_VALUE);
        }
        if (i % 4 == 0) ftso_graph_output(&graph, "lead", lead, FTSO_NO_VALUE);
        if (i % 5 == 0)
            ftso_graph_output(&graph, "lead_sum", ftso_graph_unary(&graph, "channel_sum", lead),
                              FTSO_NO_VALUE);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        size_t leads = 0;
        for (size_t r = 0; r < schedule->region_count; r++)
            leads += schedule->regions[r].lead_count;
        assert_int_equal(leads, 1);
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
}

/* Rows so wide that a tile has room for one band, or for a few, and few images of few rows. */
static void widen(test_op_case *c, int64_t columns)
{
    int64_t *image = c->inputs[0].dim;
    image[0] = c->planned = 2;
    image[2] = 9;
    image[3] = columns;
}

/*
 * Gradients of a window, alone or with a 1x1 convolution behind it: weight gradients run beside the core that reads the same
 * image, and the 1x1 convolution's transpose leads the depthwise one's.
 */
static void backward(void **state)
{
    static const char *const windows[] = {"dwconv", "conv"};
    test_random random = {109};
    size_t beside = 0, leads = 0;
    for (int i = 0; i < BACKWARD_CASES; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        const char *window = windows[i % 5 == 4];
        test_op_case c;
        assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), window), &random, &c));
        if (i % 6 == 0) plan_more(&c);
        bool wide = i % 3 && i < WIDE_CASES;
        if (wide) widen(&c, (1 + i % 2) * 12000 / (c.inputs[0].dim[1] + 16));
        if (i % 3) { /* a window that keeps the map, wider than bands are high now and then */
            int64_t kernel = wide ? 5 : 1 + 2 * test_below(&random, 4);
            c.inputs[1].dim[2] = c.inputs[1].dim[3] = kernel;
            for (int a = 0; a < c.op->attr_count; a++) c.attrs[a] = c.op->attrs[a].fallback;
            static const char *const pads[] = {"pad_top", "pad_bottom", "pad_left", "pad_right"};
            for (size_t k = 0; k < FTSO_COUNT(pads); k++)
                c.attrs[ftso_op_attr(c.op, pads[k])].i = kernel / 2;
        }
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        wrapping w = {&graph, &random, 0};
        ftso_value x = wrapping_operand(&w, c.inputs[0]), kernel = wrapping_leaf(&w, c.inputs[1]);
        ftso_value given[] = {ftso_graph_unary(&graph, "relu", x), kernel}, wrt[] = {x, kernel, 0};
        ftso_value y = ftso_graph_add(&graph, window, given, 2, c.attrs, (size_t)c.op->attr_count);
        if (i % 4) {
            ftso_shape inner = ftso_shape_weight(1 + test_below(&random, 40),
                                                 ftso_graph_shape(&graph, y).dim[1], 1, 1);
            wrt[2] = wrapping_leaf(&w, inner);
            y = ftso_graph_binary(&graph, "conv", y, wrt[2]);
        }
        ftso_value dy = wrapping_operand(&w, ftso_graph_shape(&graph, y)), gradients[3];
        ftso_graph_gradient(&graph, ftso_graph_binary(&graph, "dot", y, dy), wrt, i % 4 ? 3 : 2,
                            gradients);
        ftso_graph_output(&graph, "kernel_gradient", gradients[1], FTSO_NO_VALUE);
        if (i % 4) ftso_graph_output(&graph, "inner_gradient", gradients[2], FTSO_NO_VALUE);
        ftso_graph_output(&graph, "image_gradient", gradients[0], FTSO_NO_VALUE);
        if (wide) ftso_graph_output(&graph, "result", y, FTSO_NO_VALUE);
        if (i % 2)
            ftso_graph_output(&graph, "squares",
                              ftso_graph_binary(&graph, "channel_dot", gradients[0], gradients[0]),
                              FTSO_NO_VALUE);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        test_ok(ftso_schedule_verify(schedule));
        for (size_t r = 0; r < schedule->region_count; r++) {
            beside += schedule->regions[r].gradient_count;
            for (size_t k = 0; k < schedule->regions[r].lead_count; k++)
                leads +=
                    ftso_node_is(ftso_graph_node(&graph, schedule->regions[r].leads[k]), "conv_dx");
        }
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
    print_message("backward: %zu weight gradients beside cores, %zu leads\n", beside, leads);
    assert_true(beside > BACKWARD_CASES && leads > BACKWARD_CASES / 4);
}

/* A part of an image through a convolution with a stride, the rest through a pool of as many pixels, and the gradients of both, which
 * read one image: the pool's runs beside the convolution's. */
static void pools_beside(void **state)
{
    test_random random = {113};
    for (int i = 0; i < POOLED_CASES; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        wrapping w = {&graph, &random, 0};
        int64_t stride = i % 4 == 3 ? 3 : 2, part = 1 + test_below(&random, 20),
                rest = 1 + test_below(&random, 40), made = 1 + test_below(&random, 9),
                images = i % 6 ? 1 + test_below(&random, 4) : MANY_IMAGES;
        if (images == MANY_IMAGES && made > 4) made = 4;
        /* more than caches hold: lines go past them */
        if (i == 0) stride = 2, part = 8, rest = 24, made = 16;
        ftso_shape shape = ftso_shape_image(images, part + rest, made * stride, made * stride);
        ftso_value x = wrapping_operand(&w, shape),
                   kernel = wrapping_leaf(&w, ftso_shape_weight(part, part, 1, 1));
        ftso_attr_value first[] = {FTSO_I(0), FTSO_I(part)},
                        last[] = {FTSO_I(part), FTSO_I(part + rest)}, attrs[FTSO_MAX_ATTRS] = {{0}};
        ftso_value parts[] = {ftso_graph_add(&graph, "slice", &x, 1, first, 2), kernel},
                   other = ftso_graph_add(&graph, "slice", &x, 1, last, 2), halves[2];
        ftso_attr_value window[6] = {FTSO_I(stride), FTSO_I(stride)};
        halves[1] = ftso_graph_add(&graph, i % 3 ? "max_pool" : "avg_pool", &other, 1, window, 6);
        const ftso_op *conv = ftso_op_find(graph.ops, "conv");
        for (int a = 0; a < conv->attr_count; a++) attrs[a] = conv->attrs[a].fallback;
        attrs[ftso_op_attr(conv, "stride")] = FTSO_I(stride);
        halves[0] = ftso_graph_add(&graph, "conv", parts, 2, attrs, (size_t)conv->attr_count);
        ftso_value y = ftso_graph_add(&graph, "concat", halves, 2, NULL, 0),
                   dy = wrapping_operand(&w, ftso_graph_shape(&graph, y)), gradient;
        ftso_graph_gradient(&graph, ftso_graph_binary(&graph, "dot", y, dy), &x, 1, &gradient);
        wrapping_results(&w, gradient);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        size_t pools = 0;
        for (size_t r = 0; r < schedule->region_count; r++)
            pools += schedule->regions[r].pool_count;
        assert_int_equal(pools, 1);
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
}

/* Numbers of which many are equal, in windows too. */
static void few_values(void *user, const char *name, ftso_shape shape, double *out)
{
    test_random *random = user;
    for (int64_t i = 0; i < ftso_shape_count(shape); i++)
        out[i] = name[0] == 'x' ? (double)test_below(random, 3) : test_normal(random);
}

/* The gradient of several equal largest ones goes to the first in row order. */
static void ties(void **state)
{
    static const int64_t given[][4] = {/* channels, kernel, stride, padding */
                                       {4, 3, 1, 1},  {4, 3, 2, 1},  {8, 2, 1, 0}, {16, 3, 1, 1},
                                       {20, 3, 2, 1}, {36, 5, 1, 2}, {16, 2, 2, 0}};
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        const int64_t *g = given[i];
        ftso_value x = ftso_graph_input(&graph, "x", ftso_shape_image(3, g[0], 8, 8));
        ftso_attr_value window[] = {FTSO_I(g[1]), FTSO_I(g[2]), FTSO_I(g[3]),
                                    FTSO_I(g[3]), FTSO_I(g[3]), FTSO_I(g[3])};
        ftso_value y = ftso_graph_add(&graph, "max_pool", &x, 1, window, 6),
                   dy = ftso_graph_input(&graph, "dy", ftso_graph_shape(&graph, y)), dx;
        ftso_graph_gradient(&graph, ftso_graph_binary(&graph, "dot", y, dy), &x, 1, &dx);
        ftso_graph_output(&graph, "dx", dx, FTSO_NO_VALUE);
        test_random random = {31 + i};
        kernel_lab_check(*state, &graph, few_values, &random, i);
        ftso_arena_deinit(&arena);
    }
}

/* Kernels wider than what a register block holds. */
static void large_kernels(void **state)
{
    static const struct {
        const char *op;
        int64_t kernel_h, kernel_w;
    } given[] = {{"dwconv", 11, 13},    {"dwconv_dx", 11, 13},  {"dwconv_dw", 11, 13},
                 {"dwconv_dw", 1, 101}, {"max_pool", 11, 11},   {"max_pool_dx", 11, 11},
                 {"avg_pool", 13, 13},  {"avg_pool_dx", 13, 13}};
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        const ftso_op *op = ftso_op_find(ftso_primitives(), given[i].op);
        int64_t kh = given[i].kernel_h, kw = given[i].kernel_w;
        ftso_attr_value attrs[FTSO_MAX_ATTRS];
        for (int a = 0; a < op->attr_count; a++) attrs[a] = op->attrs[a].fallback;
        const struct {
            const char *name;
            int64_t value;
        } wanted[] = {{"kernel", kh},        {"kernel_h", kh},       {"kernel_w", kw},
                      {"pad_top", kh / 2},   {"pad_bottom", kh / 2}, {"pad_left", kw / 2},
                      {"pad_right", kw / 2}, {"height", 9},          {"width", 7}};
        for (size_t k = 0; k < FTSO_COUNT(wanted); k++)
            if (ftso_op_attr(op, wanted[k].name) >= 0)
                attrs[ftso_op_attr(op, wanted[k].name)].i = wanted[k].value;
        ftso_value image = ftso_graph_input(&graph, "x", ftso_shape_image(2, 9, 9, 7)),
                   other = ftso_graph_input(&graph, "dy", ftso_shape_image(2, 9, 9, 7)),
                   kernel = ftso_graph_input(&graph, "w", ftso_shape_weight(9, 1, kh, kw));
        bool gradient = ftso_op_attr(op, "kernel_h") >= 0 || strcmp(op->name, "max_pool_dx") == 0;
        ftso_value values[] = {gradient ? other : image, gradient ? image : kernel};
        ftso_value made = ftso_graph_add(&graph, op->name, values, (size_t)op->min_inputs, attrs,
                                         (size_t)op->attr_count);
        ftso_graph_output(&graph, "y", made, FTSO_NO_VALUE);
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
}

/* A transposed depthwise convolution with a stride that writes more than caches hold: straight from registers to memory. */
static void past_the_caches(void **state)
{
    enum { CHANNELS = 32, SIDE = 32 };
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    const ftso_op *op = ftso_op_find(ftso_primitives(), "dwconv_dx");
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    for (int a = 0; a < op->attr_count; a++) attrs[a] = op->attrs[a].fallback;
    static const char *const ones[] = {"pad_top", "pad_bottom", "pad_left", "pad_right"};
    for (size_t i = 0; i < FTSO_COUNT(ones); i++) attrs[ftso_op_attr(op, ones[i])].i = 1;
    attrs[ftso_op_attr(op, "stride")].i = 2;
    attrs[ftso_op_attr(op, "height")].i = attrs[ftso_op_attr(op, "width")].i = SIDE;
    ftso_value values[] = {
        ftso_graph_input(&graph, "dy", ftso_shape_image(MANY_IMAGES, CHANNELS, SIDE / 2, SIDE / 2)),
        ftso_graph_input(&graph, "w", ftso_shape_weight(CHANNELS, 1, 3, 3))};
    ftso_value dx = ftso_graph_add(&graph, op->name, values, 2, attrs, (size_t)op->attr_count);
    ftso_graph_output(&graph, "dx", dx, FTSO_NO_VALUE);
    kernel_lab_check(*state, &graph, NULL, NULL, 0);
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bare, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(wrapped, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(led, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(backward, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(pools_beside, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(ties, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(past_the_caches, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(large_kernels, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
