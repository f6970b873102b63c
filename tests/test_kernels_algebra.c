/*
 * Arithmetic that is no contraction: every algebra and pointwise operator alone, random programs of scalars and vectors,
 * random programs of images, and optimiser steps whose states are updated in place, run after run.
 */
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "tests/kernel_lab.h"
#include "tests/op_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CASES_EACH = 6, PROGRAMS = 40, LONG = 5003, STEPS = 4 };

static int lab_setup(void **state)
{
    *state = kernel_lab_new();
    return 0;
}

static int lab_teardown(void **state)
{
    kernel_lab_print(*state, "algebra");
    kernel_lab_free(*state);
    return 0;
}

/* ---------------------------------------------------------------- every operator */

typedef struct operands {
    const test_op_case *c;
    uint64_t seed;
    double *data[TEST_MAX_OPERANDS]; /* filled so far: min and max look at the operand before */
    ftso_arena *arena;
} operands;

static void fill_operand(void *user, const char *name, ftso_shape shape, double *out)
{
    operands *o = user;
    test_op_case c = *o->c;
    if (shape.batched) c.batch = shape.dim[0];
    size_t i = (size_t)(name[1] - '0');
    test_random random = {ftso_hash(o->seed, name, strlen(name))};
    size_t count = test_op_case_fill(&c, i, o->data, &random, out);
    o->data[i] = FTSO_ARRAY(o->arena, double, count);
    memcpy(o->data[i], out, count * sizeof *out);
}

/* Operators that regions compute as arithmetic: all but leaves, aliases, cores and what passes take away. */
static bool is_arithmetic(const ftso_op *op)
{
    return op->op_class == FTSO_CLASS_ALGEBRA || op->op_class == FTSO_CLASS_POINTWISE ||
           (op->op_class == FTSO_CLASS_REDUCTION && !strstr(op->name, "conv") &&
            strcmp(op->name, "batch_norm") != 0);
}

static void every_operator(void **state)
{
    test_random random = {7};
    const ftso_op_table *table = ftso_primitives();
    int tested = 0;
    for (size_t o = 0; o < table->count; o++) {
        if (!is_arithmetic(table->rows[o]) || !table->rows[o]->kernel_class) continue;
        tested++;
        for (int i = 0; i < CASES_EACH; i++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            test_op_case c;
            assert_true(test_op_case_make(table->rows[o], &random, &c));
            ftso_graph graph;
            ftso_graph_init(&graph, &arena, table);
            ftso_value values[TEST_MAX_OPERANDS];
            ftso_graph_output(&graph, "y", test_op_case_build(&c, &graph, values), FTSO_NO_VALUE);
            operands given = {.c = &c, .seed = (uint64_t)i, .arena = &arena};
            kernel_lab_check(*state, &graph, fill_operand, &given, 0);
            ftso_arena_deinit(&arena);
        }
    }
    assert_true(tested >= 25);
}

/* ---------------------------------------------------------------- random programs */

typedef struct program {
    ftso_graph *graph;
    test_random *random;
    ftso_value *values; /* made so far, of any kind */
    size_t count, capacity;
    int leaves;
} program;

static void keep(program *p, ftso_value value)
{
    FTSO_PUSH(p->graph->arena, p->values, p->count, p->capacity, value);
}

static ftso_value leaf(program *p, ftso_shape shape)
{
    ftso_value v =
        ftso_graph_input(p->graph, ftso_format(p->graph->arena, "i%d", p->leaves++), shape);
    keep(p, v);
    return v;
}

/* A value of that shape made so far, recent ones more often, or a new leaf. */
static ftso_value pick(program *p, ftso_shape shape)
{
    for (int tries = 0; tries < 12; tries++) {
        size_t back =
            (size_t)(test_uniform(p->random) * test_uniform(p->random) * (double)p->count);
        if (p->count == 0) break;
        ftso_value v = p->values[p->count - 1 - back];
        if (ftso_shape_equal(ftso_graph_shape(p->graph, v), shape)) return v;
    }
    return leaf(p, shape);
}

static ftso_value with(program *p, const char *op, ftso_value a, ftso_value b)
{
    return b == FTSO_NO_VALUE ? ftso_graph_unary(p->graph, op, a)
                              : ftso_graph_binary(p->graph, op, a, b);
}

/* a / (1 + b^2), sqrt(1 + a^2) and the like: numbers stay near one, far from poles. */
static ftso_value tame(program *p, const char *op, ftso_shape shape)
{
    ftso_value b = pick(p, shape);
    ftso_value positive =
        with(p, "add", with(p, "mul", b, b), ftso_graph_constant(p->graph, shape, 1));
    if (strcmp(op, "div") == 0) return with(p, op, pick(p, shape), positive);
    return with(p, op, positive, FTSO_NO_VALUE);
}

/* A node of a given shape, elementwise. Products are divided, so that numbers stay of order one. */
static ftso_value elementwise(program *p, ftso_shape shape)
{
    static const char *const binary[] = {"add", "sub", "min", "max", "relu_mask"};
    static const char *const taming[] = {"div", "sqrt", "rsqrt"};
    ftso_value y;
    switch (test_below(p->random, 7)) {
    case 0:
        y = with(p, "relu", pick(p, shape), FTSO_NO_VALUE);
        break;
    case 1:
        y = with(p, "scale", pick(p, shape),
                 with(p, "max",
                      with(p, "min", pick(p, ftso_shape_scalar()),
                           ftso_graph_constant(p->graph, ftso_shape_scalar(), 1.25)),
                      ftso_graph_constant(p->graph, ftso_shape_scalar(), -1.25)));
        break;
    case 2:
        y = tame(p, taming[test_below(p->random, 3)], shape);
        break;
    case 3: {
        ftso_value a = pick(p, shape), b = tame(p, "rsqrt", shape);
        y = with(p, "mul", a, b);
        break;
    }
    case 4: {
        ftso_value terms[3];
        for (int i = 0; i < 3; i++) terms[i] = pick(p, shape);
        y = ftso_graph_sum(p->graph, terms, 3);
        break;
    }
    default:
        y = with(p, binary[test_below(p->random, (int64_t)FTSO_COUNT(binary))], pick(p, shape),
                 pick(p, shape));
    }
    return y;
}

static ftso_shape vector_shape(program *p, const int64_t *lengths, int64_t length_count)
{
    return ftso_shape_vector(lengths[test_below(p->random, length_count)]);
}

/* What joins lengths: pieces of vectors, sums of them, vectors of numbers. */
static ftso_value joining(program *p, const int64_t *lengths, int64_t length_count)
{
    ftso_shape shape = vector_shape(p, lengths, length_count);
    ftso_value x = pick(p, shape);
    int64_t n = shape.dim[0], begin = test_below(p->random, n);
    switch (test_below(p->random, 9)) {
    case 0: {
        ftso_attr_value at = FTSO_I(begin);
        return ftso_graph_add(p->graph, "element", &x, 1, &at, 1);
    }
    case 1: {
        ftso_value parts[3];
        for (int i = 0; i < 3; i++) parts[i] = pick(p, ftso_shape_scalar());
        return ftso_graph_add(p->graph, "stack", parts, 3, NULL, 0);
    }
    case 2:
        return with(p, "softmax", x, FTSO_NO_VALUE);
    case 3:
        return with(p, "sum", with(p, "mul", x, with(p, "softmax", pick(p, shape), FTSO_NO_VALUE)),
                    FTSO_NO_VALUE);
    case 4:
        return with(p, "vector_dot", x, with(p, "softmax", pick(p, shape), FTSO_NO_VALUE));
    case 5: {
        ftso_attr_value attrs[] = {FTSO_I(begin),
                                   FTSO_I(begin + 1 + test_below(p->random, n - begin))};
        return ftso_graph_add(p->graph, "slice", &x, 1, attrs, 2);
    }
    case 6: {
        ftso_value parts[] = {x, pick(p, vector_shape(p, lengths, length_count))};
        return ftso_graph_add(p->graph, "concat", parts, 2, NULL, 0);
    }
    case 7: {
        ftso_attr_value attrs[] = {FTSO_I(n + begin), FTSO_I(begin)};
        return ftso_graph_add(p->graph, "embed", &x, 1, attrs, 2);
    }
    default: {
        ftso_value number = pick(p, ftso_shape_scalar());
        ftso_attr_value attr = FTSO_I(n);
        return ftso_graph_add(p->graph, "fill", &number, 1, &attr, 1);
    }
    }
}

/* Some results become outputs: each third one and the last. */
static void give_outputs(program *p, ftso_value value, int i, int count)
{
    if (i % 3 == 2 || i == count - 1)
        ftso_graph_output(p->graph, ftso_format(p->graph->arena, "y%d", i), value, FTSO_NO_VALUE);
}

static void vectors_and_scalars(void **state)
{
    test_random random = {17};
    for (int i = 0; i < PROGRAMS; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        program p = {.graph = &graph, .random = &random};
        int64_t lengths[] = {1 + test_below(&random, 70), 1 + test_below(&random, 70),
                             i % 5 ? 1 + test_below(&random, 17) : LONG};
        int nodes = 8 + (int)test_below(&random, 20);
        for (int k = 0; k < nodes; k++) {
            ftso_value y;
            switch (test_below(&random, 4)) {
            case 0:
                y = joining(&p, lengths, 3);
                break;
            case 1:
                y = elementwise(&p, ftso_shape_scalar());
                break;
            default:
                y = elementwise(&p, vector_shape(&p, lengths, 3));
            }
            keep(&p, y);
            give_outputs(&p, y, k, nodes);
        }
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- random programs of images */

static ftso_value image_node(program *p, ftso_shape shape)
{
    int64_t channels = shape.dim[1];
    ftso_shape vector = ftso_shape_vector(channels);
    switch (test_below(p->random, 8)) {
    case 0:
        return with(p, "channel_mul", pick(p, shape), pick(p, vector));
    case 1:
        return with(p, "channel_add", pick(p, shape), pick(p, vector));
    case 2: {
        ftso_attr_value attrs[] = {FTSO_I(channels % 3 == 0 ? 3 : 1), FTSO_I(1)};
        ftso_value x = pick(p, shape);
        return ftso_graph_add(p->graph, "shuffle", &x, 1, attrs, 2);
    }
    case 3: {
        int64_t cut = 1 + test_below(p->random, channels);
        if (cut == channels) return pick(p, shape);
        ftso_shape a = shape, b = shape;
        a.dim[1] = cut;
        b.dim[1] = channels - cut;
        ftso_value parts[] = {pick(p, a), pick(p, b)};
        return ftso_graph_add(p->graph, "concat", parts, 2, NULL, 0);
    }
    case 4: {
        ftso_value x = pick(p, shape);
        int64_t begin = test_below(p->random, channels);
        ftso_attr_value attrs[] = {FTSO_I(begin), FTSO_I(channels)};
        ftso_value part = ftso_graph_add(p->graph, "slice", &x, 1, attrs, 2);
        ftso_attr_value back[] = {FTSO_I(channels), FTSO_I(test_below(p->random, begin + 1))};
        return ftso_graph_add(p->graph, "embed", &part, 1, back, 2);
    }
    default:
        return elementwise(p, shape);
    }
}

static void images(void **state)
{
    static const int64_t widths[] = {1, 3, 7, 16, 36};
    test_random random = {27};
    for (int i = 0; i < PROGRAMS; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        program p = {.graph = &graph, .random = &random};
        ftso_shape shape =
            ftso_shape_image(1 + test_below(&random, 3) * (i % 6 ? 1 : 30), widths[i % 5],
                             1 + test_below(&random, 7), 1 + test_below(&random, 7));
        int nodes = 4 + (int)test_below(&random, 8);
        for (int k = 0; k < nodes; k++) {
            ftso_value y = image_node(&p, shape);
            keep(&p, y);
            give_outputs(&p, y, k, nodes);
            if (test_below(&random, 4) == 0)
                ftso_graph_output(&graph, ftso_format(&arena, "s%d", k),
                                  with(&p, "channel_sum", y, FTSO_NO_VALUE), FTSO_NO_VALUE);
            if (test_below(&random, 4) == 0)
                ftso_graph_output(
                    &graph, ftso_format(&arena, "d%d", k),
                    with(&p, test_below(&random, 2) ? "dot" : "channel_dot", y, pick(&p, shape)),
                    FTSO_NO_VALUE);
        }
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
}

/* Images of which caches hold but a part: what is asked for ahead, and written past the caches. */
static void large_images(void **state)
{
    static const struct {
        int64_t channels, height, width;
    } given[] = {{16, 48, 48}, {20, 40, 40}, {36, 31, 29}, {4, 96, 96}, {32, 64, 64}};
    enum { IMAGES = 21, CACHED_BYTES = 8 << 20 };
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        ftso_shape shape =
            ftso_shape_image(IMAGES, given[i].channels, given[i].height, given[i].width);
        assert_true(4 * (int64_t)sizeof(float) * ftso_shape_count(shape) > CACHED_BYTES);
        ftso_value a = ftso_graph_input(&graph, "a", shape),
                   b = ftso_graph_input(&graph, "b", shape),
                   sum = ftso_graph_binary(&graph, "add", a, b),
                   masked = ftso_graph_binary(&graph, "relu_mask", a, b);
        ftso_graph_output(&graph, "sum", sum, FTSO_NO_VALUE);
        ftso_graph_output(&graph, "masked", masked, FTSO_NO_VALUE);
        ftso_graph_output(&graph, "products", ftso_graph_binary(&graph, "channel_dot", sum, masked),
                          FTSO_NO_VALUE);
        kernel_lab_check(*state, &graph, NULL, NULL, i);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- states in place, run after run */

static ftso_value times(ftso_graph *graph, ftso_value x, double factor)
{
    return ftso_graph_times(graph, x, factor);
}

/* Clipped gradient, decay, momentum, step: v' = mu v + g, w' = w - lr v'. */
static void sgd(ftso_graph *graph, int64_t n)
{
    ftso_shape shape = ftso_shape_vector(n), scalar = ftso_shape_scalar();
    ftso_value w = ftso_graph_state(graph, "w", shape), v = ftso_graph_state(graph, "v", shape),
               g = ftso_graph_input(graph, "g", shape), lr = ftso_graph_input(graph, "lr", scalar);
    ftso_value norm = ftso_graph_unary(graph, "sqrt", ftso_graph_binary(graph, "vector_dot", g, g));
    ftso_value factor = ftso_graph_binary(
        graph, "min", ftso_graph_constant(graph, scalar, 1),
        ftso_graph_binary(graph, "div", ftso_graph_constant(graph, scalar, 5), norm));
    ftso_value terms[] = {times(graph, v, 0.9), ftso_graph_binary(graph, "scale", g, factor),
                          times(graph, w, 3e-4)};
    ftso_value v_new = ftso_graph_sum(graph, terms, 3);
    ftso_value w_new =
        ftso_graph_binary(graph, "sub", w, ftso_graph_binary(graph, "scale", v_new, lr));
    ftso_graph_output(graph, "v", v_new, v);
    ftso_graph_output(graph, "w", w_new, w);
    ftso_graph_output(graph, "norm", norm, FTSO_NO_VALUE);
}

/* Adam with its powers of beta kept as states too. */
static void adam(ftso_graph *graph, int64_t n)
{
    ftso_shape shape = ftso_shape_vector(n), scalar = ftso_shape_scalar();
    ftso_value one = ftso_graph_constant(graph, scalar, 1);
    ftso_value w = ftso_graph_state(graph, "w", shape), m = ftso_graph_state(graph, "m", shape),
               v = ftso_graph_state(graph, "v", shape), p1 = ftso_graph_state(graph, "p1", scalar),
               p2 = ftso_graph_state(graph, "p2", scalar), g = ftso_graph_input(graph, "g", shape),
               lr = ftso_graph_input(graph, "lr", scalar);
    ftso_value m_new = ftso_graph_binary(graph, "add", times(graph, m, 0.5), times(graph, g, 0.5)),
               v_new =
                   ftso_graph_binary(graph, "add", times(graph, v, 0.999),
                                     times(graph, ftso_graph_binary(graph, "mul", g, g), 0.001));
    /* p holds beta^t - 1, zero at the start, so that a fresh state needs no filling */
    ftso_value q1 = ftso_graph_binary(graph, "sub", times(graph, p1, 0.5),
                                      ftso_graph_constant(graph, scalar, 0.5)),
               q2 = ftso_graph_binary(graph, "sub", times(graph, p2, 0.999),
                                      ftso_graph_constant(graph, scalar, 0.001));
    ftso_value c1 = ftso_graph_binary(graph, "sub", ftso_graph_constant(graph, scalar, 0), q1),
               c2 = ftso_graph_binary(graph, "sub", ftso_graph_constant(graph, scalar, 0), q2);
    ftso_value m_hat = ftso_graph_binary(graph, "scale", m_new,
                                         ftso_graph_binary(graph, "div", one, c1)),
               v_hat = ftso_graph_binary(graph, "scale", v_new,
                                         ftso_graph_binary(graph, "div", one, c2));
    ftso_value root = ftso_graph_binary(graph, "add", ftso_graph_unary(graph, "sqrt", v_hat),
                                        ftso_graph_constant(graph, shape, 1e-8));
    ftso_value step = ftso_graph_binary(graph, "div", m_hat, root);
    ftso_graph_output(
        graph, "w", ftso_graph_binary(graph, "sub", w, ftso_graph_binary(graph, "scale", step, lr)),
        w);
    ftso_graph_output(graph, "m", m_new, m);
    ftso_graph_output(graph, "v", v_new, v);
    ftso_graph_output(graph, "p1", q1, p1);
    ftso_graph_output(graph, "p2", q2, p2);
}

/* States that change places, and one that another's old content goes into: none may see the new one. */
static void swap(ftso_graph *graph, int64_t n)
{
    ftso_shape shape = ftso_shape_vector(n);
    ftso_value w = ftso_graph_state(graph, "w", shape), v = ftso_graph_state(graph, "v", shape),
               m = ftso_graph_state(graph, "m", shape), g = ftso_graph_input(graph, "g", shape),
               lr = ftso_graph_input(graph, "lr", ftso_shape_scalar());
    ftso_graph_output(graph, "w", ftso_graph_binary(graph, "add", v, g), w);
    ftso_graph_output(graph, "v",
                      ftso_graph_binary(graph, "sub", w, ftso_graph_binary(graph, "scale", m, lr)),
                      v);
    /* a sum of squares: a plain sum may cancel, and no rounding of its terms is small beside it then */
    ftso_value size =
        ftso_graph_unary(graph, "rsqrt", ftso_graph_binary(graph, "vector_dot", v, v));
    ftso_graph_output(graph, "m", ftso_graph_binary(graph, "scale", m, size), m);
    ftso_graph_output(graph, "old", ftso_graph_binary(graph, "vector_dot", m, m), FTSO_NO_VALUE);
}

/* A long pipeline of sums over states, so that vectors are needed again after a sum of them. */
static void normalised(ftso_graph *graph, int64_t n)
{
    ftso_shape shape = ftso_shape_vector(n);
    ftso_value w = ftso_graph_state(graph, "w", shape), v = ftso_graph_state(graph, "v", shape),
               g = ftso_graph_input(graph, "g", shape),
               lr = ftso_graph_input(graph, "lr", ftso_shape_scalar());
    ftso_value w_new = ftso_graph_binary(graph, "add", w, ftso_graph_binary(graph, "scale", g, lr));
    ftso_value size =
        ftso_graph_unary(graph, "rsqrt", ftso_graph_binary(graph, "vector_dot", w_new, w_new));
    ftso_value unit = ftso_graph_binary(graph, "scale", w_new, size);
    ftso_value along = ftso_graph_binary(graph, "vector_dot", unit, v);
    ftso_graph_output(graph, "w", unit, w);
    ftso_graph_output(graph, "v",
                      ftso_graph_binary(graph, "sub", ftso_graph_binary(graph, "add", v, g),
                                        ftso_graph_binary(graph, "scale", unit, along)),
                      v);
    ftso_graph_output(graph, "w again", ftso_graph_binary(graph, "add", w, w), FTSO_NO_VALUE);
}

typedef void (*recipe)(ftso_graph *graph, int64_t n);

/* Runs of both sides on the same numbers. What is compared is every output and every state, after each step. */
static void steps_of(const ftso_target *target, recipe make, const char *name, int64_t n)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    make(&graph, n);
    ftso_schedule *schedule;
    ftso_program *compiled;
    ftso_compiler *compiler;
    ftso_pool *pool;
    ftso_runner *runner;
    ftso_compiler_options options = {.target = *target, .threads = 1, .kernels = ftso_kernels()};
    test_ok(ftso_graph_verify(&graph));
    test_ok(ftso_schedule_form(&arena, &graph, NULL, &schedule));
    test_ok(ftso_compiler_new(&options, &compiler));
    test_ok(ftso_compile(compiler, &arena, schedule, &compiled, NULL));
    test_ok(ftso_pool_new(2, false, &pool));
    test_ok(ftso_runner_new(compiled, pool, NULL, &runner));
    ftso_runner_poison(runner);
    ftso_interp *interp = ftso_interp_new(&graph);
    test_random random = {(uint64_t)n};
    float *numbers = FTSO_ARRAY(&arena, float, n);
    double *exact = FTSO_ARRAY(&arena, double, n);
    for (int step = 0; step < STEPS; step++) {
        for (size_t v = 0; v < graph.node_count; v++) {
            const ftso_node *node = &graph.nodes[v];
            bool state = ftso_node_is(node, "state");
            if ((!state && !ftso_node_is(node, "input")) || (state && step > 0)) continue;
            size_t count = (size_t)ftso_shape_count(node->shape);
            bool power = state && node->shape.rank == 0;
            for (size_t i = 0; i < count; i++) {
                double x = power ? 0 : test_normal(&random);
                if (strcmp(node->attrs[0].name, "v") == 0) x = fabs(x);
                if (node->shape.rank == 0 && !state) x = 0.05;
                numbers[i] = (float)x;
                exact[i] = (double)numbers[i];
            }
            ftso_runner_write(runner, node->attrs[0].name, numbers, 1);
            test_ok(ftso_interp_bind(interp, (ftso_value)v, exact, count));
        }
        ftso_runner_run(runner, 1, NULL);
        test_ok(ftso_interp_run(interp, 1));
        for (size_t o = 0; o < graph.output_count; o++) {
            const ftso_output *output = &graph.outputs[o];
            const ftso_tensor *right = output->state == FTSO_NO_VALUE
                                           ? ftso_interp_get(interp, output->value)
                                           : ftso_interp_state(interp, output->state);
            size_t count = (size_t)ftso_shape_count(right->shape);
            ftso_runner_read(runner, output->name, numbers, 1);
            double distance = 0, norm = 0;
            for (size_t i = 0; i < count; i++) {
                distance += pow((double)numbers[i] - right->data[i], 2);
                norm += right->data[i] * right->data[i];
            }
            /* a step of a dozen roundings, over STEPS steps */
            if (!(sqrt(distance) <= 1e-6 * (step + 1) * sqrt(norm)))
                fail_msg("%s of %lld numbers, %d lanes, step %d, \"%s\": %g of %g", name,
                         (long long)n, target->vector_floats, step, output->name, sqrt(distance),
                         sqrt(norm));
        }
    }
    ftso_interp_free(interp);
    ftso_runner_free(runner);
    ftso_pool_free(pool);
    ftso_compiler_free(compiler);
    ftso_arena_deinit(&arena);
}

static void optimisers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        recipe make;
    } recipes[] = {{"sgd", sgd}, {"adam", adam}, {"swap", swap}, {"normalised", normalised}};
    static const char *const cpus[] = {"x86-64", "x86-64-v3", "native"};
    static const int64_t lengths[] = {1, 3, 4, 7, 8, 13, 16, 31, 64, 70, LONG};
    ftso_arena arena;
    ftso_arena_init(&arena);
    for (size_t c = 0; c < FTSO_COUNT(cpus); c++) {
        ftso_target target;
        ftso_text why;
        ftso_text_init(&why);
        test_ok(ftso_target_named(&arena, cpus[c], &target));
        if (!ftso_target_runs_here(&target, &why)) {
            print_message("optimisers on %s: not run, %s\n", cpus[c], ftso_text_get(&why));
            ftso_text_deinit(&why);
            continue;
        }
        ftso_text_deinit(&why);
        for (size_t r = 0; r < FTSO_COUNT(recipes); r++)
            for (size_t n = 0; n < FTSO_COUNT(lengths); n++)
                steps_of(&target, recipes[r].make, recipes[r].name, lengths[n]);
    }
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_operator, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(vectors_and_scalars, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(images, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(large_images, lab_setup, lab_teardown),
        cmocka_unit_test(optimisers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
