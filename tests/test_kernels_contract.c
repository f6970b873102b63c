/*
 * Dense convolutions, their transposes and their weight gradients on random shapes: alone, with pointwise nodes and
 * reductions around them, several cores over one operand, bands of rows, many threads. AVX-512 code is looked at where
 * it cannot run.
 */
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "tests/kernel_lab.h"
#include "tests/op_cases.h"
#include "tests/wrapping.h"

#include <stdlib.h>
#include <string.h>

static const char *const operators[] = {"conv", "conv_dx", "conv_dw"};

enum { BARE_CASES = 22, WRAPPED_CASES = 18, SHARED_CASES = 16, MANY_IMAGES = 70 };

static int lab_setup(void **state)
{
    *state = kernel_lab_new();
    return 0;
}

static int lab_teardown(void **state)
{
    kernel_lab_print(*state, "contractions");
    kernel_lab_free(*state);
    return 0;
}

/* ---------------------------------------------------------------- random cases of the table */

/* As many images as give each item several; small ones then. */
static void plan_more(test_op_case *c)
{
    for (size_t i = 0; i < c->input_count; i++)
        if (c->inputs[i].batched && c->inputs[i].dim[1] > 16) return;
    c->planned = MANY_IMAGES;
    for (size_t i = 0; i < c->input_count; i++)
        if (c->inputs[i].batched) c->inputs[i].dim[0] = c->planned;
}

static void one_case(kernel_lab *lab, const char *name, test_random *random, int i, bool wrapped)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    test_op_case c;
    assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), name), random, &c));
    if (i % 6 == 0) plan_more(&c);
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    wrapping w = {&graph, random, 0};
    ftso_value values[TEST_MAX_OPERANDS];
    for (size_t k = 0; k < c.input_count; k++)
        values[k] = wrapped && c.inputs[k].batched ? wrapping_operand(&w, c.inputs[k])
                                                   : wrapping_leaf(&w, c.inputs[k]);
    ftso_value core =
        ftso_graph_add(&graph, name, values, c.input_count, c.attrs, (size_t)c.op->attr_count);
    if (wrapped)
        wrapping_results(&w, core);
    else
        ftso_graph_output(&graph, "y", core, FTSO_NO_VALUE);
    kernel_lab_check(lab, &graph, NULL, NULL, (uint64_t)i);
    ftso_arena_deinit(&arena);
}

static void bare(void **state)
{
    test_random random = {11};
    for (size_t o = 0; o < FTSO_COUNT(operators); o++)
        for (int i = 0; i < BARE_CASES; i++) one_case(*state, operators[o], &random, i, false);
}

static void wrapped(void **state)
{
    test_random random = {22};
    for (size_t o = 0; o < FTSO_COUNT(operators); o++)
        for (int i = 0; i < WRAPPED_CASES; i++) one_case(*state, operators[o], &random, i, true);
}

/* x convolved with w, as much padding on each side. */
static ftso_value padded(ftso_graph *graph, ftso_value x, ftso_value w, int64_t pad, int64_t stride)
{
    const ftso_op *op = ftso_op_find(graph->ops, "conv");
    ftso_attr_value attrs[8] = {{0}};
    ftso_value operands[] = {x, w};
    for (int i = 0; i < op->attr_count; i++)
        attrs[i] = strncmp(op->attrs[i].name, "pad", 3) == 0 ? FTSO_I(pad) : op->attrs[i].fallback;
    attrs[ftso_op_attr(op, "stride")] = FTSO_I(stride);
    return ftso_graph_add(graph, "conv", operands, 2, attrs, (size_t)op->attr_count);
}

/* ---------------------------------------------------------------- windows that networks have */

/* A convolution of an image, its transpose and its weight gradient over the same numbers, in one graph. */
typedef struct shapes {
    int64_t images, in, out, side, kernel_h, kernel_w, stride, dilation;
    int64_t pad[4]; /* top, bottom, left, right */
} shapes;

static void three(kernel_lab *lab, const shapes *s)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(&graph, "x",
                                    ftso_shape_image(s->images, s->in, s->side, s->side)),
               w = ftso_graph_input(&graph, "w",
                                    ftso_shape_weight(s->out, s->in, s->kernel_h, s->kernel_w));
    ftso_attr_value attrs[8] = {{0}};
    const ftso_op *conv = ftso_op_find(graph.ops, "conv");
    const char *const names[] = {"stride",     "dilation", "pad_top",
                                 "pad_bottom", "pad_left", "pad_right"};
    int64_t values[] = {s->stride, s->dilation, s->pad[0], s->pad[1], s->pad[2], s->pad[3]};
    for (size_t i = 0; i < FTSO_COUNT(names); i++)
        attrs[ftso_op_attr(conv, names[i])] = FTSO_I(values[i]);
    ftso_value operands[] = {x, w};
    ftso_value y = ftso_graph_add(&graph, "conv", operands, 2, attrs, (size_t)conv->attr_count);
    ftso_value dy = ftso_graph_input(&graph, "dy", ftso_graph_shape(&graph, y)),
               loss = ftso_graph_binary(&graph, "dot", y, dy), wrt[] = {x, w}, gradients[2];
    ftso_graph_gradient(&graph, loss, wrt, 2, gradients);
    ftso_graph_output(&graph, "y", y, FTSO_NO_VALUE);
    ftso_graph_output(&graph, "loss", loss, FTSO_NO_VALUE);
    ftso_graph_output(&graph, "dx", gradients[0], FTSO_NO_VALUE);
    ftso_graph_output(&graph, "dw", gradients[1], FTSO_NO_VALUE);
    kernel_lab_check(lab, &graph, NULL, NULL, 5);
    ftso_arena_deinit(&arena);
}

static void windows_of_networks(void **state)
{
    static const shapes given[] = {
        {3, 3, 48, 32, 3, 3, 1, 1, {1, 1, 1, 1}},   /* stem: several bands */
        {2, 16, 64, 17, 1, 1, 1, 1, {0, 0, 0, 0}},  /* pointwise */
        {2, 64, 16, 9, 1, 1, 2, 1, {0, 0, 0, 0}},   /* half of FactorizedReduce */
        {2, 16, 7, 12, 1, 1, 2, 1, {-1, 1, -1, 1}}, /* its other half: shifted by one */
        {2, 7, 16, 13, 1, 7, 1, 1, {0, 0, 3, 3}},
        {2, 16, 7, 13, 7, 1, 2, 1, {3, 3, 0, 0}},
        {1, 36, 36, 8, 5, 5, 1, 2, {4, 4, 4, 4}},
        {2, 3, 64, 40, 3, 3, 2, 1, {1, 1, 1, 1}}, /* stem of the mobile setting */
        {2, 3, 1, 11, 7, 7, 2, 1, {3, 3, 3, 3}},
        {2, 1, 3, 5, 4, 6, 2, 2, {6, 2, 5, 4}},
        {MANY_IMAGES, 64, 10, 1, 1, 1, 1, 1, {0, 0, 0, 0}}, /* classifier */
        {33, 5, 70, 3, 3, 3, 1, 1, {1, 1, 1, 1}},           /* 32 items and one image more */
    };
    for (size_t i = 0; i < FTSO_COUNT(given); i++) three(*state, &given[i]);
}

/* Windows that go by patches: maps that they cover, in one round and in many, with every kind of padding. */
static void patches(void **state)
{
    static const shapes given[] = {
        {3, 16, 16, 32, 3, 3, 1, 1, {1, 1, 1, 1}}, /* several bands */
        {2, 64, 70, 8, 3, 3, 1, 1, {1, 1, 1, 1}},  /* blocks of vectors, and a rest */
        {2, 7, 17, 2, 3, 3, 1, 1, {1, 1, 1, 1}},   /* one patch */
        {2, 20, 6, 14, 3, 3, 1, 1, {1, 1, 1, 1}},  /* seven patches a row */
        {1, 36, 36, 8, 3, 3, 1, 1, {0, 0, 0, 0}},  /* none outside of the map */
        {2, 12, 9, 7, 3, 3, 1, 1, {1, 2, 0, 3}},   /* an odd map to an even one */
        {2, 12, 9, 8, 3, 3, 1, 1, {1, 0, 1, 0}},   /* an even map to an odd one: not by patches */
        {MANY_IMAGES, 6, 5, 4, 3, 3, 1, 1, {1, 1, 1, 1}}, /* two patches a row */
    };
    for (size_t i = 0; i < FTSO_COUNT(given); i++) three(*state, &given[i]);
}

/* ---------------------------------------------------------------- several cores in one region */

static ftso_value conv_like(wrapping *w, ftso_value x, const test_op_case *c, int64_t channels)
{
    ftso_shape shape = c->inputs[1];
    shape.dim[0] = channels;
    ftso_value operands[] = {x, wrapping_leaf(w, shape)};
    return ftso_graph_add(w->graph, "conv", operands, 2, c->attrs, (size_t)c->op->attr_count);
}

static void out(wrapping *w, const char *name, ftso_value value)
{
    ftso_graph_output(w->graph, name, value, FTSO_NO_VALUE);
}

/* Two or three convolutions of one operand; what is kept needs some of them or all. */
static void shared_operand(void **state)
{
    test_random random = {33};
    for (int i = 0; i < SHARED_CASES; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        test_op_case c;
        assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), "conv"), &random, &c));
        if (i % 6 == 0) plan_more(&c);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        wrapping w = {&graph, &random, 0};
        ftso_value x = wrapping_operand(&w, c.inputs[0]);
        int64_t channels = c.inputs[1].dim[0];
        ftso_value a = conv_like(&w, x, &c, channels), b = conv_like(&w, x, &c, channels),
                   parts[] = {a, conv_like(&w, x, &c, 1 + test_below(&random, 20)), b};
        ftso_schedule *schedule;
        switch (i % 4) {
        case 0: /* each of them, and sums of each */
            for (int k = 0; k < 3; k++) {
                out(&w, ftso_format(&arena, "y%d", k), parts[k]);
                out(&w, ftso_format(&arena, "sum%d", k),
                    ftso_graph_unary(&graph, "channel_sum", parts[k]));
                out(&w, ftso_format(&arena, "squares%d", k),
                    ftso_graph_binary(&graph, "channel_dot", parts[k], parts[k]));
            }
            break;
        case 1: /* all, behind each other */
            wrapping_results(&w, ftso_graph_add(&graph, "concat", parts, 3, NULL, 0));
            break;
        case 2: /* one from two */
            wrapping_results(&w, ftso_graph_binary(&graph, "add", a, b));
            out(&w, "cross", ftso_graph_binary(&graph, "dot", a, b));
            out(&w, "other", parts[1]);
            break;
        default: { /* one masks the other */
            ftso_value masked = ftso_graph_binary(&graph, "relu_mask", a, b);
            out(&w, "masked", masked);
            out(&w, "sum", ftso_graph_unary(&graph, "channel_sum", masked));
            out(&w, "dot", ftso_graph_binary(&graph, "dot", masked, a));
        }
        }
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        size_t most = 0;
        for (size_t r = 0; r < schedule->region_count; r++)
            if (schedule->regions[r].core_count > most) most = schedule->regions[r].core_count;
        assert_true(most >= 2);
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
}

/* Three of one operand by patches: results that are images, that go on in registers, and that are summed up as well. */
static void shared_patches(void **state)
{
    static const int64_t channels[][4] = {{16, 16, 16, 16}, {6, 5, 40, 17}, {64, 33, 32, 64}};
    for (size_t i = 0; i < 3 * FTSO_COUNT(channels); i++) {
        const int64_t *c = channels[i / 3];
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        test_random random = {88 + i};
        wrapping w = {&graph, &random, 0};
        ftso_value x = wrapping_operand(&w, ftso_shape_image(2, c[0], 12, 10));
        for (int k = 0; k < 3; k++) {
            ftso_value kernel = wrapping_leaf(&w, ftso_shape_weight(c[1 + k], c[0], 3, 3)),
                       y = padded(&graph, x, kernel, 1, 1);
            if (i % 3 == 0) out(&w, ftso_format(&arena, "y%d", k), y);
            if (i % 3 != 1)
                out(&w, ftso_format(&arena, "sum%d", k),
                    ftso_graph_unary(&graph, "channel_sum", y));
            if (i % 3) out(&w, ftso_format(&arena, "r%d", k), ftso_graph_unary(&graph, "relu", y));
        }
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        assert_int_equal(schedule->region_count, 1);
        kernel_lab_check(*state, &graph, NULL, NULL, i);
        ftso_arena_deinit(&arena);
    }
}

/* One window whose transpose makes an image of `side` x `side`. */
typedef struct summand {
    int64_t made, kernel, stride, pad_low, pad_high, channels; /* made: side of its operand */
} summand;

static ftso_value transposed(wrapping *w, const summand *s, int64_t images, int64_t side,
                             int64_t channels)
{
    const ftso_op *op = ftso_op_find(w->graph->ops, "conv_dx");
    ftso_attr_value attrs[12] = {{0}};
    const char *const names[] = {"stride",   "dilation",  "pad_top", "pad_bottom",
                                 "pad_left", "pad_right", "height",  "width"};
    int64_t values[] = {s->stride, 1, s->pad_low, s->pad_high, s->pad_low, s->pad_high, side, side};
    for (size_t i = 0; i < FTSO_COUNT(names); i++)
        attrs[ftso_op_attr(op, names[i])] = FTSO_I(values[i]);
    ftso_value operands[] = {
        wrapping_operand(w, ftso_shape_image(images, s->channels, s->made, s->made)),
        wrapping_leaf(w, ftso_shape_weight(s->channels, channels, s->kernel, s->kernel))};
    return ftso_graph_add(w->graph, "conv_dx", operands, 2, attrs, (size_t)op->attr_count);
}

/* Transposed convolutions of different windows that only add up: one region, and the sum alone is stored. */
static void summands(void **state)
{
    static const struct {
        int64_t images, side, channels;
        int count;
        summand of[3];
    } given[] = {
        {3, 16, 24, 3, {{8, 1, 2, 0, 0, 5}, {16, 1, 1, 0, 0, 16}, {8, 1, 2, -1, 1, 9}}},
        {2, 10, 7, 2, {{5, 1, 2, 0, 0, 12}, {5, 1, 2, -1, 1, 12}}}, /* a pair that leaves holes */
        {2, 9, 16, 2, {{5, 3, 2, 1, 1, 3}, {9, 3, 1, 1, 1, 3}}},    /* bands do not divide */
        {MANY_IMAGES, 6, 8, 3, {{2, 1, 3, 0, 0, 4}, {3, 3, 2, 1, 1, 4}, {6, 5, 1, 2, 2, 4}}},
        {2,
         8,
         20,
         3,
         {{8, 3, 1, 1, 1, 12}, {8, 1, 1, 0, 0, 5}, {8, 3, 1, 1, 1, 7}}}, /* by patches */
    };
    for (size_t i = 0; i < FTSO_COUNT(given) * 2; i++) {
        size_t g = i / 2;
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        test_random random = {77 + i};
        wrapping w = {&graph, &random, 0};
        ftso_value terms[4];
        size_t count = (size_t)given[g].count;
        for (size_t k = 0; k < count; k++)
            terms[k] =
                transposed(&w, &given[g].of[k], given[g].images, given[g].side, given[g].channels);
        ftso_shape shape = ftso_graph_shape(&graph, terms[0]);
        if (i % 2) terms[count++] = wrapping_leaf(&w, shape);
        ftso_value sum = ftso_graph_add(&graph, "add", terms, count, NULL, 0);
        if (i % 2)
            wrapping_results(&w, sum);
        else
            out(&w, "masked",
                ftso_graph_binary(&graph, "relu_mask", sum, wrapping_leaf(&w, shape)));
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        size_t found = 0;
        for (size_t r = 0; r < schedule->region_count; r++)
            found += schedule->regions[r].core_count == (size_t)given[g].count &&
                     ftso_region_adds_up(schedule, &schedule->regions[r]);
        assert_int_equal(found, 1);
        kernel_lab_check(*state, &graph, NULL, NULL, i);
        ftso_arena_deinit(&arena);
    }
}

/* More sums of one result than a register file, a loop or a table of fixed size holds. */
static void many_sums(void **state)
{
    static const int sums[] = {20, 70};
    for (size_t i = 0; i < FTSO_COUNT(sums); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        test_random random = {55};
        wrapping w = {&graph, &random, 0};
        ftso_shape shape = ftso_shape_image(2, 36, 3, 3);
        ftso_value operands[] = {wrapping_leaf(&w, shape),
                                 wrapping_leaf(&w, ftso_shape_weight(36, 36, 1, 1))};
        ftso_value y = ftso_graph_add(&graph, "conv", operands, 2, NULL, 0);
        for (int k = 0; k < sums[i]; k++)
            out(&w, ftso_format(&arena, "s%d", k),
                ftso_graph_binary(&graph, k % 10 == 9 ? "dot" : "channel_dot", y,
                                  wrapping_leaf(&w, shape)));
        kernel_lab_check(*state, &graph, NULL, NULL, i);
        ftso_arena_deinit(&arena);
    }
}

static ftso_value shuffled(wrapping *w, ftso_value x, int64_t groups, int64_t power)
{
    ftso_attr_value attrs[] = {{.i = groups}, {.i = power}};
    return ftso_graph_add(w->graph, "shuffle", &x, 1, attrs, 2);
}

static ftso_value sliced(wrapping *w, ftso_value x, int64_t begin, int64_t end)
{
    ftso_attr_value attrs[] = {{.i = begin}, {.i = end}};
    return ftso_graph_add(w->graph, "slice", &x, 1, attrs, 2);
}

/* Results whose channels move, in so many images and sums that blocks of pixels are kept, or in one pass. */
static void shuffled_results(void **state)
{
    static const struct {
        int64_t channels, groups, side;
        int sums;
    } given[] = {{4, 2, 3, 4},  {8, 4, 5, 30},  {12, 2, 5, 30}, {16, 4, 5, 40}, {16, 2, 7, 0},
                 {32, 2, 5, 1}, {20, 4, 3, 30}, {32, 4, 5, 30}, {64, 4, 3, 30}, {128, 2, 2, 26}};
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        test_random random = {66 + i};
        wrapping w = {&graph, &random, 0};
        int64_t c = given[i].channels, groups = given[i].groups;
        ftso_shape shape = ftso_shape_image(2, c, given[i].side, given[i].side);
        ftso_value operands[] = {wrapping_leaf(&w, shape),
                                 wrapping_leaf(&w, ftso_shape_weight(c, c, 1, 1))},
                   other = wrapping_leaf(&w, shape),
                   y = ftso_graph_add(&graph, "conv", operands, 2, NULL, 0),
                   once = shuffled(&w, ftso_graph_binary(&graph, "relu_mask", y, other), groups, 1),
                   sum = ftso_graph_binary(&graph, "add", once, shuffled(&w, y, groups, 2)),
                   parts[] = {sliced(&w, once, c / 4, c), sliced(&w, other, 0, c / 4)},
                   moved = ftso_graph_add(&graph, "concat", parts, 2, NULL, 0);
        out(&w, "moved", ftso_graph_binary(&graph, "add", moved, shuffled(&w, other, groups, 1)));
        if (given[i].sums) out(&w, "sum", sum);
        if (given[i].sums > 1) out(&w, "piece", sliced(&w, sum, c / 2, c));
        for (int k = 0; k < given[i].sums; k++)
            out(&w, ftso_format(&arena, "s%d", k),
                ftso_graph_binary(
                    &graph, "channel_dot", k % 3 ? once : moved,
                    shuffled(&w, k % 2 ? other : wrapping_leaf(&w, shape), groups, 1 + k % 4)));
        kernel_lab_check(*state, &graph, NULL, NULL, i);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- threads and schedules */

/* What a program for a conv with sums and gradients gives under `threads` and `tuning`. */
static float *results_with(ftso_arena *arena, const ftso_schedule *schedule, int threads,
                           ftso_tuning tuning, size_t *out_count)
{
    const ftso_graph *graph = schedule->graph;
    ftso_compiler_options options = {.threads = 1, .kernels = ftso_kernels(), .tuning = tuning};
    test_ok(ftso_target_host(arena, &options.target));
    ftso_compiler *compiler;
    ftso_program *program;
    ftso_pool *pool;
    ftso_runner *runner;
    test_ok(ftso_compiler_new(&options, &compiler));
    test_ok(ftso_compile(compiler, arena, schedule, &program, NULL));
    test_ok(ftso_pool_new(threads, false, &pool));
    test_ok(ftso_runner_new(program, pool, NULL, &runner));
    ftso_runner_poison(runner);
    test_random random = {77};
    int64_t batch = program->planned_batch - 1;
    for (size_t i = 0; i < program->slot_count; i++) {
        const ftso_slot *slot = &program->slots[i];
        if (!slot->is_input) continue;
        ftso_shape shape = ftso_graph_shape(graph, ftso_graph_find(graph, slot->name));
        size_t count = (size_t)ftso_shape_count(shape);
        float *data = FTSO_ARRAY(arena, float, count);
        for (size_t k = 0; k < count; k++) data[k] = (float)test_normal(&random);
        ftso_runner_write(runner, slot->name, data, batch);
    }
    ftso_runner_run(runner, batch, NULL);
    size_t total = 0, at = 0;
    for (size_t i = 0; i < graph->output_count; i++)
        total += (size_t)ftso_shape_count(ftso_graph_shape(graph, graph->outputs[i].value));
    float *results = FTSO_ARRAY(arena, float, total);
    for (size_t i = 0; i < graph->output_count; i++) {
        ftso_shape shape = ftso_graph_shape(graph, graph->outputs[i].value);
        if (shape.batched) shape.dim[0] = batch;
        ftso_runner_read(runner, graph->outputs[i].name, results + at, batch);
        at += (size_t)ftso_shape_count(shape);
    }
    ftso_runner_free(runner);
    ftso_pool_free(pool);
    ftso_compiler_free(compiler);
    *out_count = at;
    return results;
}

/* Any number of threads and any register block: the same bytes. The sums run over 71 images of several bands. */
static void check_threads_and_schedules(int64_t side)
{
    static const ftso_tuning tunings[] = {
        {0},
        {.pixel_block = 1, .channel_block = 1},
        {.pixel_block = 5, .channel_block = 2},
        {.pixel_block = 2, .channel_block = 3},
    };
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(&graph, "x", ftso_shape_image(72, 13, side, side)),
               w = ftso_graph_input(&graph, "w", ftso_shape_weight(29, 13, 3, 3)),
               y = padded(&graph, ftso_graph_unary(&graph, "relu", x), w, 1, 1),
               loss = ftso_graph_binary(&graph, "dot", y, y), wrt[] = {x, w}, gradients[2];
    ftso_graph_gradient(&graph, loss, wrt, 2, gradients);
    ftso_graph_output(&graph, "sum", ftso_graph_unary(&graph, "channel_sum", y), FTSO_NO_VALUE);
    ftso_graph_output(&graph, "loss", loss, FTSO_NO_VALUE);
    ftso_graph_output(&graph, "dx", gradients[0], FTSO_NO_VALUE);
    ftso_graph_output(&graph, "dw", gradients[1], FTSO_NO_VALUE);
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
    size_t count, other_count;
    const float *first = results_with(&arena, schedule, 1, tunings[0], &count);
    for (int threads = 1; threads <= 5; threads++)
        for (size_t t = 0; t < FTSO_COUNT(tunings); t++) {
            if (threads > 3 && t > 0) continue;
            const float *other = results_with(&arena, schedule, threads, tunings[t], &other_count);
            assert_int_equal(count, other_count);
            if (memcmp(first, other, count * sizeof *first) != 0)
                fail_msg("%d threads and register block %d x %d give other bytes", threads,
                         tunings[t].pixel_block, tunings[t].channel_block);
        }
    ftso_arena_deinit(&arena);
}

static void threads_and_schedules(void **state)
{
    (void)state;
    check_threads_and_schedules(17); /* by taps */
    check_threads_and_schedules(16); /* by patches */
}

/* ---------------------------------------------------------------- widths in the assembly */

static ftso_text assembly_for(ftso_arena *arena, const ftso_schedule *schedule, const char *cpu)
{
    ftso_compiler_options options = {.threads = 1, .kernels = ftso_kernels()};
    test_ok(ftso_target_named(arena, cpu, &options.target));
    ftso_text text;
    ftso_text_init(&text);
    test_ok(ftso_compile_text(&options, schedule, true, &text));
    return text;
}

static bool says(const ftso_text *text, const char *what)
{
    return strstr(text->data, what) != NULL;
}

/* Every width's code uses its registers and no wider ones, and multiply-adds where the processor has them. */
static void registers_of_each_width(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    for (size_t o = 0; o < FTSO_COUNT(operators); o++) {
        test_random random = {(uint64_t)o};
        test_op_case c;
        ftso_graph graph;
        ftso_value values[TEST_MAX_OPERANDS], y;
        do { /* several vectors of every width, of operand and result */
            assert_true(
                test_op_case_make(ftso_op_find(ftso_primitives(), operators[o]), &random, &c));
            ftso_graph_init(&graph, &arena, ftso_primitives());
            y = test_op_case_build(&c, &graph, values);
        } while (c.inputs[0].dim[1] < 36 || ftso_graph_shape(&graph, y).dim[1] < 36);
        ftso_graph_output(&graph, "y", y, FTSO_NO_VALUE);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        ftso_text sse2 = assembly_for(&arena, schedule, "x86-64"),
                  avx2 = assembly_for(&arena, schedule, "x86-64-v3"),
                  avx512 = assembly_for(&arena, schedule, "x86-64-v4");
        assert_true(says(&sse2, "mulps") && says(&sse2, "%xmm"));
        assert_false(says(&sse2, "%ymm") || says(&sse2, "%zmm") || says(&sse2, "vfmadd"));
        assert_true(says(&avx2, "vfmadd") && says(&avx2, "%ymm"));
        assert_false(says(&avx2, "%zmm"));
        assert_true(says(&avx512, "vfmadd") && says(&avx512, "%zmm"));
        assert_false(says(&avx512, "call") && says(&avx512, "fmaf"));
        ftso_text_deinit(&sse2);
        ftso_text_deinit(&avx2);
        ftso_text_deinit(&avx512);
    }
    ftso_arena_deinit(&arena);
}

/* Patches where they save products and cover the map: kernels are then transformed when they are packed. */
static void windows_by_patches(void **state)
{
    (void)state;
    static const struct {
        int64_t in, side, kernel, stride;
        bool by_patches;
    } given[] = {{16, 8, 3, 1, true},  {6, 8, 3, 1, true},   {3, 8, 3, 1, false},
                 {16, 7, 3, 1, false}, {16, 8, 3, 2, false}, {16, 8, 5, 1, false}};
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        int64_t in = given[i].in, side = given[i].side, kernel = given[i].kernel;
        ftso_value x = ftso_graph_input(&graph, "x", ftso_shape_image(2, in, side, side)),
                   w = ftso_graph_input(&graph, "w", ftso_shape_weight(16, in, kernel, kernel));
        ftso_graph_output(&graph, "y", padded(&graph, x, w, kernel / 2, given[i].stride),
                          FTSO_NO_VALUE);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
        ftso_compiler_options options = {.threads = 1, .kernels = ftso_kernels()};
        test_ok(ftso_target_named(&arena, "x86-64-v3", &options.target));
        ftso_text text;
        ftso_text_init(&text);
        test_ok(ftso_compile_text(&options, schedule, false, &text));
        assert_int_equal(says(&text, "fmul float"), given[i].by_patches);
        ftso_text_deinit(&text);
        ftso_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bare, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(wrapped, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(windows_of_networks, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(patches, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(shared_patches, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(shared_operand, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(summands, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(many_sums, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(shuffled_results, lab_setup, lab_teardown),
        cmocka_unit_test(threads_and_schedules),
        cmocka_unit_test(registers_of_each_width),
        cmocka_unit_test(windows_by_patches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
