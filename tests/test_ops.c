/*
 * Values of the primitive operators: small cases worked out by hand, and random cases against formulas written here
 * straight from the definitions (one output element at a time, no shared loops), at fewer images than planned too.
 * Also the records themselves: names, docs, tolerances, costs, refusals.
 */
#include "op_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Runs one operator on given numbers and returns its output; the arena owns everything. */
static const double *evaluate(ftso_arena *arena, const char *op, const ftso_shape *shapes,
                              double *const *data, size_t count, const ftso_attr_value *attrs,
                              size_t attr_count, int64_t batch, ftso_shape *out_shape)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_value operands[8], y;
    assert_true(count <= FTSO_COUNT(operands));
    ftso_graph_init(graph, arena, ftso_primitives());
    for (size_t i = 0; i < count; i++)
        operands[i] = ftso_graph_input(graph, ftso_format(arena, "x%zu", i), shapes[i]);
    y = ftso_graph_add(graph, op, operands, count, attrs, attr_count);
    test_ok(ftso_graph_verify(graph));
    ftso_interp *interp = ftso_interp_new(graph);
    for (size_t i = 0; i < count; i++) {
        ftso_shape shape = shapes[i];
        if (shape.batched) shape.dim[0] = batch;
        test_ok(ftso_interp_bind(interp, operands[i], data[i], (size_t)ftso_shape_count(shape)));
    }
    test_ok(ftso_interp_run(interp, batch));
    const ftso_tensor *tensor = ftso_interp_get(interp, y);
    size_t size = (size_t)ftso_shape_count(tensor->shape);
    double *copy = FTSO_ARRAY(arena, double, size);
    memcpy(copy, tensor->data, size * sizeof *copy);
    if (out_shape) *out_shape = tensor->shape;
    ftso_interp_free(interp);
    return copy;
}

static void expect(const double *got, const double *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-12 * fmax(1, fabs(want[i]))))
            fail_msg("element %zu is %.17g, not %.17g", i, got[i], want[i]);
}

/* One operand x of 1 x channels x h x w. */
static const double *on_image(ftso_arena *arena, const char *op, int64_t c, int64_t h, int64_t w,
                              double *x, const ftso_attr_value *attrs, size_t attr_count,
                              ftso_shape *out_shape)
{
    ftso_shape shape = ftso_shape_image(1, c, h, w);
    return evaluate(arena, op, &shape, &x, 1, attrs, attr_count, 1, out_shape);
}

#define ATTRS(...)                                                                                 \
    (ftso_attr_value[]){__VA_ARGS__},                                                              \
        sizeof((ftso_attr_value[]){__VA_ARGS__}) / sizeof(ftso_attr_value)
#define WANT(got, ...)                                                                             \
    expect((got), (double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

/* ---------------------------------------------------------------- by hand */

static double nine[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void convolutions_by_hand(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_shape shapes[2] = {ftso_shape_image(1, 1, 3, 3), ftso_shape_weight(1, 1, 3, 3)}, out;
    double corner[] = {1, 0, 0, 0, 10, 0, 0, 0, 100};
    double *data[2] = {nine, corner};
    /* padding 1: out = x[-1,-1] + 10 x + 100 x[+1,+1] */
    const double *y =
        evaluate(&arena, "conv", shapes, data, 2,
                 ATTRS(FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)), 1, &out);
    assert_int_equal(out.dim[2], 3);
    WANT(y, 510, 620, 30, 840, 951, 62, 70, 84, 95);
    /* stride 2: the even pixels of the same */
    y = evaluate(&arena, "conv", shapes, data, 2,
                 ATTRS(FTSO_I(2), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)), 1, &out);
    assert_int_equal(out.dim[2], 2);
    WANT(y, 510, 30, 70, 95);
    /* dilation 2, padding 2: the corners are two pixels away */
    y = evaluate(&arena, "conv", shapes, data, 2,
                 ATTRS(FTSO_I(1), FTSO_I(2), FTSO_I(2), FTSO_I(2), FTSO_I(2), FTSO_I(2)), 1, &out);
    WANT(y, 910, 20, 30, 40, 50, 60, 70, 80, 91);
    /* no padding: one output; padding -1 above and left, 1 below and right with a 1x1 kernel: a shift by one pixel */
    y = evaluate(&arena, "dwconv", shapes, data, 2,
                 ATTRS(FTSO_I(1), FTSO_I(1), FTSO_I(0), FTSO_I(0), FTSO_I(0), FTSO_I(0)), 1, &out);
    WANT(y, 951);
    double two = 2;
    data[1] = &two;
    shapes[1] = ftso_shape_weight(1, 1, 1, 1);
    y = evaluate(&arena, "conv", shapes, data, 2,
                 ATTRS(FTSO_I(1), FTSO_I(1), FTSO_I(-1), FTSO_I(1), FTSO_I(-1), FTSO_I(1)), 1,
                 &out);
    WANT(y, 10, 12, 0, 16, 18, 0, 0, 0, 0);
    /* two input channels, two output channels, a rectangular 1x2 kernel */
    double x[] = {1, 2, 3, 10, 20, 30}, w[] = {1, 1, 1, -1, 0, 2, 1, 0};
    data[0] = x, data[1] = w;
    shapes[0] = ftso_shape_image(1, 2, 1, 3), shapes[1] = ftso_shape_weight(2, 2, 1, 2);
    y = evaluate(&arena, "conv", shapes, data, 2, NULL, 0, 1, &out);
    assert_int_equal(out.dim[1], 2);
    assert_int_equal(out.dim[3], 2);
    WANT(y, 3 - 10, 5 - 10, 4 + 10, 6 + 20);
    ftso_arena_deinit(&arena);
}

static void pools_by_hand(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    double negative[] = {-1, -2, -3, -4, -5, -6, -7, -8, -9};
    ftso_shape out;
    /* 3x3, stride 1, padding 1: padding never wins although all pixels are negative */
    const double *y =
        on_image(&arena, "max_pool", 1, 3, 3, negative,
                 ATTRS(FTSO_I(3), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)), &out);
    WANT(y, -1, -1, -2, -1, -1, -2, -4, -4, -5);
    y = on_image(&arena, "max_pool", 1, 3, 3, nine,
                 ATTRS(FTSO_I(3), FTSO_I(2), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)), &out);
    assert_int_equal(out.dim[2], 2);
    WANT(y, 5, 6, 8, 9);
    /* 2x2, stride 2, an odd side: the last row and column are left out */
    y = on_image(&arena, "max_pool", 1, 3, 3, nine, ATTRS(FTSO_I(2), FTSO_I(2)), &out);
    assert_int_equal(out.dim[2], 1);
    WANT(y, 5);
    /* the mean is over the pixels inside: 4 in a corner, 6 at an edge, 9 in the middle */
    y = on_image(&arena, "avg_pool", 1, 3, 3, nine,
                 ATTRS(FTSO_I(3), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)), &out);
    WANT(y, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7);
    y = on_image(&arena, "avg_pool", 1, 3, 3, nine,
                 ATTRS(FTSO_I(3), FTSO_I(2), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)), &out);
    WANT(y, 3, 4, 6, 7);
    /* the gradient of a tie goes to the first in row order */
    double same[] = {7, 7, 7, 7}, one = 1, *tie[] = {&one, same};
    ftso_shape shapes[] = {ftso_shape_image(1, 1, 1, 1), ftso_shape_image(1, 1, 2, 2)};
    y = evaluate(&arena, "max_pool_dx", shapes, tie, 2, ATTRS(FTSO_I(2), FTSO_I(2)), 1, &out);
    WANT(y, 1, 0, 0, 0);
    y = on_image(&arena, "global_avg_pool", 1, 3, 3, nine, NULL, 0, &out);
    WANT(y, 5);
    double nine_of_one = 9;
    y = on_image(&arena, "spread", 1, 1, 1, &nine_of_one, ATTRS(FTSO_I(3), FTSO_I(1)), &out);
    WANT(y, 3, 3, 3);
    ftso_arena_deinit(&arena);
}

static void images_by_hand(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_shape out;
    /* shift(1, 1): x[:, :, 1:, 1:] with zeros after it */
    const double *y = on_image(&arena, "shift", 1, 3, 3, nine, ATTRS(FTSO_I(1), FTSO_I(1)), &out);
    WANT(y, 5, 6, 0, 8, 9, 0, 0, 0, 0);
    y = on_image(&arena, "shift", 1, 3, 3, nine, ATTRS(FTSO_I(-1), FTSO_I(0)), &out);
    WANT(y, 0, 0, 0, 1, 2, 3, 4, 5, 6);
    y = on_image(&arena, "zero", 1, 3, 3, nine, ATTRS(FTSO_I(2)), &out);
    assert_int_equal(out.dim[2], 2);
    WANT(y, 0, 0, 0, 0);
    y = on_image(&arena, "slice", 9, 1, 1, nine, ATTRS(FTSO_I(2), FTSO_I(4)), &out);
    assert_int_equal(out.dim[1], 2);
    WANT(y, 3, 4);
    double pair[] = {5, 6};
    y = on_image(&arena, "embed", 2, 1, 1, pair, ATTRS(FTSO_I(4), FTSO_I(1)), &out);
    WANT(y, 0, 5, 6, 0);
    /* biased variance: x = 1, 3 in one channel: mean 2, variance 1 */
    double two[] = {1, 3}, gamma = 4, beta = 10, *bn[] = {two, &gamma, &beta};
    ftso_shape shapes[] = {ftso_shape_image(2, 1, 1, 1), ftso_shape_vector(1),
                           ftso_shape_vector(1)};
    y = evaluate(&arena, "batch_norm", shapes, bn, 3, ATTRS(FTSO_R(1e-5)), 2, &out);
    double root = 1 / sqrt(1 + 1e-5);
    WANT(y, 10 - 4 * root, 10 + 4 * root);
    /* cross entropy of equal logits is log of the classes, whatever the smoothing; gradient (1/4 - t) / n */
    double flat[] = {0, 0, 0, 0, 1, 1, 1, 1}, labels[] = {2, 0}, *ce[] = {flat, labels};
    ftso_shape loss_shapes[] = {ftso_shape_image(2, 4, 1, 1),
                                {.rank = 1, .batched = true, .dim = {2}}};
    y = evaluate(&arena, "cross_entropy", loss_shapes, ce, 2, ATTRS(FTSO_R(0.1)), 2, &out);
    WANT(y, log(4));
    y = evaluate(&arena, "cross_entropy_dx", loss_shapes, ce, 2, ATTRS(FTSO_R(0)), 2, &out);
    WANT(y, 0.125, 0.125, -0.375, 0.125, -0.375, 0.125, 0.125, 0.125);
    /* smoothing 0.2 of 2 classes: target 0.9, 0.1; logits log 3, 0: softmax 3/4, 1/4 */
    double sharp[] = {log(3), 0}, label = 0, *smooth[] = {sharp, &label};
    loss_shapes[0] = ftso_shape_image(1, 2, 1, 1), loss_shapes[1].dim[0] = 1;
    y = evaluate(&arena, "cross_entropy", loss_shapes, smooth, 2, ATTRS(FTSO_R(0.2)), 1, &out);
    WANT(y, -0.9 * log(0.75) - 0.1 * log(0.25));
    double big[] = {1000, 0};
    smooth[0] = big;
    y = evaluate(&arena, "cross_entropy", loss_shapes, smooth, 2, NULL, 0, 1, &out);
    WANT(y, 0);
    ftso_arena_deinit(&arena);
}

static void vectors_by_hand(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_shape vector = ftso_shape_vector(3), out;
    double v[] = {log(1), log(2), log(5)}, *data[] = {v};
    WANT(evaluate(&arena, "softmax", &vector, data, 1, NULL, 0, 1, &out), 1 / 8.0, 2 / 8.0,
         5 / 8.0);
    double large[] = {1e4, 1e4, 1e4};
    data[0] = large;
    WANT(evaluate(&arena, "softmax", &vector, data, 1, NULL, 0, 1, &out), 1 / 3.0, 1 / 3.0,
         1 / 3.0);
    double negative[] = {-1e-9, 4, 0};
    data[0] = negative;
    WANT(evaluate(&arena, "rsqrt", &vector, data, 1, ATTRS(FTSO_R(0.25)), 1, &out), 2,
         1 / sqrt(4.25), 2);
    data[0] = nine;
    WANT(evaluate(&arena, "element", &vector, data, 1, ATTRS(FTSO_I(1)), 1, &out), 2);
    vector = ftso_shape_vector(9);
    WANT(evaluate(&arena, "view", &vector, data, 1,
                  ATTRS(FTSO_I(2), FTSO_I(4), FTSO_I(1), FTSO_I(2), FTSO_I(1), FTSO_I(2)), 1, &out),
         3, 4, 5, 6);
    assert_int_equal(out.rank, 4);
    assert_false(out.batched);
    /* 1 / (n pixels), at the batch of the run */
    ftso_graph graph;
    ftso_graph_init(&graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(&graph, "x", ftso_shape_image(3, 1, 1, 1));
    ftso_value m = ftso_graph_add(&graph, "mean_scale", NULL, 0, ATTRS(FTSO_I(4)));
    ftso_interp *interp = ftso_interp_new(&graph);
    test_ok(ftso_interp_bind(interp, x, nine, 3));
    for (int64_t n = 1; n <= 3; n++) {
        test_ok(ftso_interp_run(interp, n));
        WANT(ftso_interp_get(interp, m)->data, 1.0 / (double)(4 * n));
    }
    ftso_interp_free(interp);
    ftso_arena_deinit(&arena);
}

/* out[j] = x[(j % K) * (C/K) + j / K]; powers are repetitions; the order brings everything back. */
static void shuffles_as_defined(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{8, 4}, {16, 4}, {16, 2}, {36, 4}, {64, 4},
                                       {7, 7}, {12, 3}, {1, 1},  {2, 2},  {6, 1}};
    for (size_t s = 0; s < FTSO_COUNT(sizes); s++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        int64_t c = sizes[s][0], k = sizes[s][1], order = ftso_shuffle_order(c, k);
        double x[64], want[64];
        ftso_shape out;
        for (int64_t j = 0; j < c; j++) want[j] = x[j] = (double)j;
        bool home = false;
        for (int64_t power = 1; power <= order; power++) {
            double before[64];
            memcpy(before, want, sizeof before);
            for (int64_t j = 0; j < c; j++) want[j] = before[(j % k) * (c / k) + j / k];
            expect(on_image(&arena, "shuffle", c, 1, 1, x, ATTRS(FTSO_I(k), FTSO_I(power)), &out),
                   want, (size_t)c);
            home = memcmp(want, x, (size_t)c * sizeof *x) == 0;
            assert_int_equal(home, power == order);
        }
        assert_true(home);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- random cases against definitions */

typedef struct sample {
    ftso_arena arena;
    double *data[TEST_MAX_OPERANDS];
    const double *y;
    ftso_shape shape;
} sample;

static void sample_init(sample *s, const test_op_case *c, test_random *random)
{
    ftso_arena_init(&s->arena);
    for (size_t i = 0; i < c->input_count; i++) {
        s->data[i] = FTSO_ARRAY(&s->arena, double, (size_t)ftso_shape_count(c->inputs[i]));
        test_op_case_fill(c, i, s->data, random, s->data[i]);
    }
    s->y = evaluate(&s->arena, c->op->name, c->inputs, s->data, c->input_count, c->attrs,
                    (size_t)c->op->attr_count, c->batch, &s->shape);
}

static int64_t attr(const test_op_case *c, const char *name)
{
    int i = ftso_op_attr(c->op, name);
    return i < 0 ? 1 : c->attrs[i].i;
}

/* x[n][c][h][w], or `outside`. */
static double pixel(const double *x, ftso_shape shape, int64_t n, int64_t c, int64_t h, int64_t w,
                    double outside)
{
    if (h < 0 || w < 0 || h >= shape.dim[2] || w >= shape.dim[3]) return outside;
    return x[((n * shape.dim[1] + c) * shape.dim[2] + h) * shape.dim[3] + w];
}

static double window_at(const test_op_case *c, const sample *s, int64_t n, int64_t o, int64_t h,
                        int64_t w)
{
    bool pool = ftso_op_attr(c->op, "kernel") >= 0, depthwise = strcmp(c->op->name, "dwconv") == 0;
    bool max = strcmp(c->op->name, "max_pool") == 0;
    ftso_shape x = c->inputs[0], k = c->inputs[1];
    int64_t kh = pool ? attr(c, "kernel") : k.dim[2], kw = pool ? kh : k.dim[3];
    double total = 0, largest = -INFINITY, taps = 0;
    for (int64_t i = 0; i < (pool || depthwise ? 1 : x.dim[1]); i++)
        for (int64_t a = 0; a < kh; a++)
            for (int64_t b = 0; b < kw; b++) {
                int64_t from_h =
                    h * attr(c, "stride") + a * attr(c, "dilation") - attr(c, "pad_top");
                int64_t from_w =
                    w * attr(c, "stride") + b * attr(c, "dilation") - attr(c, "pad_left");
                int64_t channel = pool || depthwise ? o : i;
                double weight = pool ? 1 : s->data[1][((o * k.dim[1] + i) * kh + a) * kw + b];
                total += weight * pixel(s->data[0], x, n, channel, from_h, from_w, 0);
                largest =
                    fmax(largest, pixel(s->data[0], x, n, channel, from_h, from_w, -INFINITY));
                taps += !isnan(pixel(s->data[0], x, n, channel, from_h, from_w, NAN));
            }
    return max ? largest : pool ? total / taps : total;
}

static void windows_as_defined(void **state)
{
    (void)state;
    static const char *const names[] = {"conv", "dwconv", "max_pool", "avg_pool"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        test_random random = {500 + i};
        for (int round = 0; round < 60; round++) {
            test_op_case c;
            sample s;
            assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), names[i]), &random, &c));
            sample_init(&s, &c, &random);
            assert_int_equal(s.shape.dim[0], c.batch);
            int64_t at = 0;
            for (int64_t n = 0; n < s.shape.dim[0]; n++)
                for (int64_t o = 0; o < s.shape.dim[1]; o++)
                    for (int64_t h = 0; h < s.shape.dim[2]; h++)
                        for (int64_t w = 0; w < s.shape.dim[3]; w++, at++) {
                            double want = window_at(&c, &s, n, o, h, w);
                            if (fabs(s.y[at] - want) > 1e-11)
                                fail_msg("%s: %.17g, not %.17g", names[i], s.y[at], want);
                        }
            ftso_arena_deinit(&s.arena);
        }
    }
}

/* The transposes: <conv(x, w), dy> = <x, conv_dx(dy, w)> = <w, conv_dw(dy, x)>, exact in exact arithmetic. */
static void transposes_agree(void **state)
{
    (void)state;
    static const char *const names[][3] = {{"conv", "conv_dx", "conv_dw"},
                                           {"dwconv", "dwconv_dx", "dwconv_dw"},
                                           {"avg_pool", "avg_pool_dx", NULL}};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        test_random random = {700 + i};
        for (int round = 0; round < 40; round++) {
            test_op_case c;
            sample s;
            assert_true(
                test_op_case_make(ftso_op_find(ftso_primitives(), names[i][0]), &random, &c));
            sample_init(&s, &c, &random);
            size_t count = (size_t)ftso_shape_count(s.shape);
            double *dy = FTSO_ARRAY(&s.arena, double, count), forward = 0;
            for (size_t k = 0; k < count; k++) forward += s.y[k] * (dy[k] = test_normal(&random));
            for (int back = 1; back <= 2 && names[i][back]; back++) {
                ftso_attr_value attrs[8];
                memcpy(attrs, c.attrs, sizeof attrs);
                ftso_shape like = c.inputs[back - 1];
                attrs[6] = FTSO_I(like.dim[2]), attrs[7] = FTSO_I(like.dim[3]);
                ftso_shape planned = s.shape, shapes[2], out;
                planned.dim[0] = c.planned;
                shapes[0] = planned, shapes[1] = c.inputs[2 - back];
                double *data[2] = {dy, s.data[2 - back]}, sum = 0;
                const double *dx = evaluate(&s.arena, names[i][back], shapes, data, c.input_count,
                                            attrs, 8, c.batch, &out);
                for (int64_t k = 0; k < ftso_shape_count(out); k++)
                    sum += dx[k] * s.data[back - 1][k];
                if (fabs(sum - forward) > 1e-9)
                    fail_msg("%s: %.17g, not %.17g", names[i][back], sum, forward);
            }
            ftso_arena_deinit(&s.arena);
        }
    }
}

static void batch_norm_as_defined(void **state)
{
    (void)state;
    test_random random = {900};
    for (int round = 0; round < 30; round++) {
        test_op_case c;
        sample s;
        assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), "batch_norm"), &random, &c));
        sample_init(&s, &c, &random);
        int64_t pixels = s.shape.dim[2] * s.shape.dim[3], width = s.shape.dim[1];
        for (int64_t ch = 0; ch < width; ch++) {
            double sum = 0, square = 0, count = (double)(c.batch * pixels);
            for (int64_t n = 0; n < c.batch; n++)
                for (int64_t p = 0; p < pixels; p++) {
                    double y = s.y[(n * width + ch) * pixels + p];
                    if (c.input_count == 3) y = (y - s.data[2][ch]) / s.data[1][ch];
                    sum += y, square += y * y;
                }
            /* mean 0; variance 1 but for eps */
            assert_true(fabs(sum / count) < 1e-9);
            assert_true(square / count < 1 && square / count > 0.99);
        }
        ftso_arena_deinit(&s.arena);
    }
}

/* ---------------------------------------------------------------- the records */

static void records_are_complete(void **state)
{
    (void)state;
    static const char *const classes[] = {
        "contract", "weight_gradient", "depthwise", "depthwise_gradient", "pool", "image",
        "loss",     "pointwise",       "algebra"};
    const ftso_op_table *table = ftso_primitives();
    assert_true(table->count >= 49);
    for (size_t i = 0; i < table->count; i++) {
        const ftso_op *op = table->rows[i];
        assert_true(op->name && op->name[0] && op->doc && op->doc[0] && op->operands && op->shape &&
                    op->cost);
        assert_ptr_equal(ftso_op_find(table, op->name), op); /* no two of one name */
        assert_true(op->max_inputs == -1 || op->max_inputs >= op->min_inputs);
        assert_true(op->eval || op->op_class == FTSO_CLASS_LEAF);
        assert_true(!op->eval || (op->tolerance > 0 && op->tolerance <= 1e-4));
        for (int a = 0; a < op->attr_count; a++) assert_true(op->attrs[a].name && op->attrs[a].doc);
        bool known = op->kernel_class == NULL;
        for (size_t k = 0; k < FTSO_COUNT(classes); k++)
            known = known || strcmp(classes[k], op->kernel_class) == 0;
        assert_true(known);
        /* what never becomes a kernel: leaves, aliases, and batch_norm, which is split */
        bool folded = op->op_class == FTSO_CLASS_LEAF || op->op_class == FTSO_CLASS_ALIAS;
        folded = folded || strcmp(op->name, "batch_norm") == 0;
        if (strcmp(op->name, "mean_scale") != 0) assert_int_equal(op->kernel_class == NULL, folded);
    }
    assert_null(ftso_op_find(table, "no such operator"));
}

static int64_t macs(ftso_arena *arena, const char *op, const ftso_shape *shapes, size_t count,
                    const ftso_attr_value *attrs, size_t attr_count)
{
    ftso_graph graph;
    ftso_value operands[3];
    ftso_graph_init(&graph, arena, ftso_primitives());
    for (size_t i = 0; i < count; i++)
        operands[i] = ftso_graph_input(&graph, ftso_format(arena, "x%zu", i), shapes[i]);
    ftso_cost cost =
        ftso_node_cost(&graph, ftso_graph_add(&graph, op, operands, count, attrs, attr_count));
    assert_true(cost.flops >= cost.macs && cost.bytes_written > 0);
    return cost.macs;
}

/* Counts as papers count them: contractions and biases, nothing else. */
static void costs_count_contractions(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_shape stem[] = {ftso_shape_image(1, 3, 32, 32), ftso_shape_weight(48, 3, 3, 3)};
    assert_int_equal(macs(&arena, "conv", stem, 2,
                          ATTRS(FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1))),
                     32 * 32 * 48 * 27);
    ftso_shape deep[] = {ftso_shape_image(1, 16, 32, 32), ftso_shape_weight(16, 1, 5, 5)};
    assert_int_equal(macs(&arena, "dwconv", deep, 2,
                          ATTRS(FTSO_I(2), FTSO_I(1), FTSO_I(2), FTSO_I(2), FTSO_I(2), FTSO_I(2))),
                     16 * 16 * 16 * 25);
    ftso_shape linear[] = {ftso_shape_image(1, 256, 1, 1), ftso_shape_weight(10, 256, 1, 1)};
    assert_int_equal(macs(&arena, "conv", linear, 2, NULL, 0), 2560);
    ftso_shape bias[] = {ftso_shape_image(1, 10, 1, 1), ftso_shape_vector(10)};
    assert_int_equal(macs(&arena, "channel_add", bias, 2, ATTRS(FTSO_I(1))), 10);
    assert_int_equal(macs(&arena, "channel_add", bias, 2, NULL, 0), 0);
    assert_int_equal(macs(&arena, "max_pool", deep, 1, ATTRS(FTSO_I(3), FTSO_I(1))), 0);
    assert_int_equal(macs(&arena, "batch_norm", deep, 1, NULL, 0), 0);
    ftso_arena_deinit(&arena);
}

static void refused(const char *op_name, const ftso_shape *shapes, size_t count,
                    const ftso_attr_value *attrs, size_t attr_count, const char *sentence)
{
    const ftso_op *op = ftso_op_find(ftso_primitives(), op_name);
    ftso_attr_value all[FTSO_MAX_ATTRS] = {0};
    for (int i = 0; i < op->attr_count; i++)
        all[i] = (size_t)i < attr_count ? attrs[i] : op->attrs[i].fallback;
    ftso_text why;
    ftso_shape out;
    ftso_text_init(&why);
    assert_false(ftso_op_shape(op, shapes, count, all, &out, &why));
    assert_string_equal(ftso_text_get(&why), sentence);
    assert_false(ftso_op_shape(op, shapes, count, all, &out, NULL)); /* without a reader too */
    ftso_text_deinit(&why);
}

/* Reasons are sentences for the user, with the numbers in them. */
static void refusals_say_why(void **state)
{
    (void)state;
    ftso_shape x = ftso_shape_image(2, 3, 5, 5), v = ftso_shape_vector(4);
    ftso_shape conv[] = {x, ftso_shape_weight(8, 4, 3, 3)},
               small[] = {x, ftso_shape_weight(8, 3, 7, 7)};
    refused("conv", conv, 2, NULL, 0, "the kernel reads 4 channels, x has 3");
    refused("conv", small, 2, NULL, 0, "a 7x7 window does not fit into a 5x5 map with its padding");
    conv[1] = ftso_shape_weight(8, 3, 3, 3);
    refused("conv", conv, 2, ATTRS(FTSO_I(0)), "stride is 0, must be in 1..1048576");
    refused("conv", conv, 1, NULL, 0, "conv takes 2 operands, not 1");
    refused("relu", conv, 2, NULL, 0, "relu takes 1 operand, not 2");
    refused("batch_norm", conv, 0, NULL, 0, "batch_norm takes 1 to 3 operands, not 0");
    refused("add", NULL, 0, NULL, 0, "add takes at least 1 operand, not 0");
    refused("add", (ftso_shape[]){x, v}, 2, NULL, 0,
            "the operands have different shapes, [N=2, 3, 5, 5] and [4]");
    refused("channel_mul", (ftso_shape[]){x, v}, 2, NULL, 0,
            "the factors: 4 numbers for 3 channels");
    refused("global_avg_pool", &v, 1, NULL, 0, "x must be an image [N, C, H, W], not [4]");
    refused("softmax", &x, 1, NULL, 0,
            "the operand of softmax must be a vector, not [N=2, 3, 5, 5]");
    refused("shuffle", &x, 1, ATTRS(FTSO_I(2)), "3 channels do not divide into 2 groups");
    refused("slice", &x, 1, ATTRS(FTSO_I(1), FTSO_I(4)), "channels 1..4 do not lie inside 3");
    refused("max_pool", &x, 1, ATTRS(FTSO_I(3), FTSO_I(1), FTSO_I(3)),
            "the padding of a pool must be smaller than its window of 3");
    refused("view", &v, 1, ATTRS(FTSO_I(2), FTSO_I(1), FTSO_I(3)),
            "3 elements at 2 do not lie inside 4");
    refused("view", &x, 1, ATTRS(FTSO_I(0), FTSO_I(1), FTSO_I(3)),
            "the base of a view must be without a batch, not [N=2, 3, 5, 5]");
    refused("element", &v, 1, ATTRS(FTSO_I(4)), "there is no element 4 among 4");
    refused("cross_entropy", (ftso_shape[]){x, v}, 2, NULL, 0,
            "the logits must be one number per class, not a 5x5 map");
    refused("shift", &x, 1, ATTRS(FTSO_I(5)), "a shift by 5 leaves nothing of a side of 5");
    refused("constant", NULL, 0,
            ATTRS(FTSO_R(1), FTSO_I(4), FTSO_I(0), FTSO_I(1 << 20), FTSO_I(1 << 20), FTSO_I(2),
                  FTSO_I(1)),
            "constant makes more than 2^40 elements");
    refused("constant", NULL, 0,
            ATTRS(FTSO_R(1), FTSO_I(4), FTSO_I(0), FTSO_I(INT64_MAX), FTSO_I(INT64_MAX), FTSO_I(2),
                  FTSO_I(1)),
            "constant makes more than 2^40 elements");
    refused("constant", NULL, 0, ATTRS(FTSO_R(INFINITY)), "a constant must be finite");
}

/* ---------------------------------------------------------------- docs/operators.md says what the records say */

static const char *const doc_head =
    "# Primitive operators\n"
    "\n"
    "What a graph is made of. One record each in `ir/ops/`, from which this page is written: do "
    "not edit it by hand, run\n"
    "`FTSO_UPDATE=1 test_ops` (a test compares it with the records). How they fit together: "
    "[ir.md](ir.md).\n"
    "\n"
    "`x`, `dy` are images `[N, C, H, W]`, `v` vectors or other values without a batch, `s`, `t` "
    "single numbers, `a`, `b` of\n"
    "one shape. *Tolerance* is the relative L2 distance from the double-precision reference within "
    "which a float32 kernel\n"
    "must stay on inputs of order one; *kernel* the class of kernels that computes it: an operator "
    "without one is gone\n"
    "before kernels are made. `rank`, `batched` and `d0` to `d3` are the shape of a value that has "
    "it from nowhere else;\n"
    "the text form shows them as the shape. Window operators read the pixel\n"
    "`(oh * stride + i * dilation - pad_top, ow * stride + j * dilation - pad_left)` for tap `(i, "
    "j)`.\n";

static const struct {
    ftso_op_class op_class;
    const char *title;
} doc_sections[] = {
    {FTSO_CLASS_LEAF, "Leaves: values with no operand"},
    {FTSO_CLASS_ALIAS, "Aliases: the same numbers at another place or under another shape"},
    {FTSO_CLASS_POINTWISE, "Pointwise: each pixel by itself; of vectors and numbers, each element"},
    {FTSO_CLASS_ALGEBRA, "Algebra: numbers and vectors"},
    {FTSO_CLASS_WINDOW, "Windows: each pixel from a window of pixels of its image"},
    {FTSO_CLASS_IMAGE, "Whole images"},
    {FTSO_CLASS_REDUCTION, "Reductions: over the images of a run and their pixels"},
};

static void doc_attribute(const ftso_attr_spec *spec, ftso_text *out)
{
    ftso_text_printf(out, "- `%s`", spec->name);
    if (spec->kind == FTSO_ATTR_INT)
        ftso_text_printf(out, ", default %lld", (long long)spec->fallback.i);
    if (spec->kind == FTSO_ATTR_REAL) ftso_text_printf(out, ", default %g", spec->fallback.r);
    ftso_text_printf(out, ": %s\n", spec->doc);
}

static void doc_fact(bool holds, const char *fact, const char **separator, ftso_text *out)
{
    if (!holds) return;
    ftso_text_printf(out, "%s%s", *separator, fact);
    *separator = "; ";
}

static void doc_operator(const ftso_op *op, ftso_text *out)
{
    char kernel[64], tolerance[64];
    const char *separator = "Facts: ";
    ftso_text_printf(out, "\n### `%s(%s)`\n\nGives %s.\n\n", op->name, op->operands, op->doc);
    for (int a = 0; a < op->attr_count; a++) doc_attribute(&op->attrs[a], out);
    if (op->attr_count) ftso_text_puts(out, "\n");
    snprintf(kernel, sizeof kernel, "kernel `%s`", op->kernel_class ? op->kernel_class : "");
    snprintf(tolerance, sizeof tolerance, "tolerance %g", op->tolerance);
    doc_fact(op->kernel_class, kernel, &separator, out);
    doc_fact(!op->kernel_class, "no kernel", &separator, out);
    doc_fact(op->eval, tolerance, &separator, out);
    doc_fact(op->flags & FTSO_OP_LINEAR, "linear", &separator, out);
    doc_fact(op->flags & FTSO_OP_KINKED, "kinked", &separator, out);
    doc_fact(op->max_inputs && !op->gradient && !op->part_offset, "not differentiated itself",
             &separator, out);
    ftso_text_puts(out, ".\n");
}

static void docs_agree_with_records(void **state)
{
    (void)state;
    const ftso_op_table *table = ftso_primitives();
    const char *path = FTSO_SOURCE_DIR "/docs/operators.md";
    ftso_arena arena;
    ftso_text text;
    char *want;
    size_t length, written = 0;
    ftso_arena_init(&arena);
    ftso_text_init(&text);
    ftso_text_puts(&text, doc_head);
    for (size_t s = 0; s < FTSO_COUNT(doc_sections); s++) {
        ftso_text_printf(&text, "\n## %s\n", doc_sections[s].title);
        for (size_t i = 0; i < table->count; i++) {
            if (table->rows[i]->op_class != doc_sections[s].op_class) continue;
            doc_operator(table->rows[i], &text);
            written++;
        }
    }
    assert_int_equal(written, table->count);
    if (getenv("FTSO_UPDATE")) test_ok(ftso_file_write_atomic(path, text.data, text.length));
    test_ok(ftso_file_read(&arena, path, 1 << 20, &want, &length));
    assert_string_equal(ftso_text_get(&text), want);
    ftso_text_deinit(&text);
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_by_hand), cmocka_unit_test(pools_by_hand),
        cmocka_unit_test(images_by_hand),       cmocka_unit_test(vectors_by_hand),
        cmocka_unit_test(shuffles_as_defined),  cmocka_unit_test(windows_as_defined),
        cmocka_unit_test(transposes_agree),     cmocka_unit_test(batch_norm_as_defined),
        cmocka_unit_test(records_are_complete), cmocka_unit_test(costs_count_contractions),
        cmocka_unit_test(refusals_say_why),     cmocka_unit_test(docs_agree_with_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
