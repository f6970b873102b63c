/*
 * Thin images: regions whose vectors hold several pixels (codegen/width.c), each kind of core forward and backward, on random
 * numbers of channels below what a vector holds. What does not allow it takes the other way; how many do not is counted.
 */
#include "codegen/codegen_internal.h"
#include "tests/kernel_lab.h"
#include "tests/wrapping.h"

enum { CASES = 36, MANY_IMAGES = 70, MOST_CHANNELS = 8 };

static int lab_setup(void **state)
{
    *state = kernel_lab_new();
    return 0;
}

static int lab_teardown(void **state)
{
    kernel_lab_print(*state, "thin images");
    kernel_lab_free(*state);
    return 0;
}

/* A network's part over a thin image, and the leaves that it has gradients for. */
typedef struct part {
    wrapping w;
    ftso_value x, wrt[4];
    size_t wrt_count;
} part;

static ftso_value leaf(part *p, ftso_shape shape)
{
    return p->wrt[p->wrt_count++] = wrapping_leaf(&p->w, shape);
}

static int64_t channels_of(const part *p, ftso_value value)
{
    return ftso_graph_shape(p->w.graph, value).dim[1];
}

/* Channels that take as much room. */
static int64_t like(part *p, ftso_value value)
{
    return channels_of(p, value) > 4 ? 5 + test_below(p->w.random, 4)
                                     : 1 + test_below(p->w.random, 4);
}

/* An operator under a window that keeps the map, now and then beside its middle. `kernel` FTSO_NO_VALUE: a pool. */
static ftso_value under_window(part *p, const char *op_name, ftso_value x, ftso_value kernel)
{
    const ftso_op *op = ftso_op_find(ftso_primitives(), op_name);
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    for (int a = 0; a < op->attr_count; a++) attrs[a] = op->attrs[a].fallback;
    bool pool = kernel == FTSO_NO_VALUE;
    int64_t size = pool ? 3 : ftso_graph_shape(p->w.graph, kernel).dim[2],
            dilation = pool ? 1 : 1 + test_below(p->w.random, 2),
            beside = pool ? 0 : test_below(p->w.random, 4) % 3 - test_below(p->w.random, 2);
    const struct {
        const char *name;
        int64_t value;
    } wanted[] = {{"kernel", size},
                  {"dilation", dilation},
                  {"pad_top", size / 2 * dilation},
                  {"pad_bottom", size / 2 * dilation},
                  {"pad_left", size / 2 * dilation - beside},
                  {"pad_right", size / 2 * dilation + beside}};
    for (size_t i = 0; i < FTSO_COUNT(wanted); i++)
        if (ftso_op_attr(op, wanted[i].name) >= 0)
            attrs[ftso_op_attr(op, wanted[i].name)].i = wanted[i].value;
    ftso_value values[] = {x, kernel};
    return ftso_graph_add(p->w.graph, op_name, values, pool ? 1 : 2, attrs, (size_t)op->attr_count);
}

static ftso_value depthwise(part *p)
{
    int64_t size = 1 + 2 * test_below(p->w.random, 3);
    ftso_value kernel = leaf(p, ftso_shape_weight(channels_of(p, p->x), 1, size, size));
    return under_window(p, "dwconv", ftso_graph_unary(p->w.graph, "relu", p->x), kernel);
}

static ftso_value separable(part *p)
{
    ftso_value y = depthwise(p);
    ftso_value inner = leaf(p, ftso_shape_weight(like(p, y), channels_of(p, y), 1, 1));
    return ftso_graph_binary(p->w.graph, "conv", y, inner);
}

static ftso_value dense(part *p)
{
    int64_t size = 1 + 2 * test_below(p->w.random, 2);
    ftso_value kernel = leaf(p, ftso_shape_weight(like(p, p->x), channels_of(p, p->x), size, size));
    return under_window(p, "conv", ftso_graph_unary(p->w.graph, "relu", p->x), kernel);
}

/* Two convolutions of one operand; backward their transposes add up. */
static ftso_value pair(part *p)
{
    ftso_value x = ftso_graph_unary(p->w.graph, "relu", p->x);
    ftso_shape shape = ftso_shape_weight(like(p, p->x), channels_of(p, p->x), 1, 1);
    ftso_value a = ftso_graph_binary(p->w.graph, "conv", x, leaf(p, shape)),
               b = ftso_graph_binary(p->w.graph, "conv", x, leaf(p, shape));
    return ftso_graph_binary(p->w.graph, "mul", ftso_graph_unary(p->w.graph, "relu", a), b);
}

static ftso_value largest(part *p)
{
    return under_window(p, "max_pool", p->x, FTSO_NO_VALUE);
}

static ftso_value mean(part *p)
{
    return under_window(p, "avg_pool", p->x, FTSO_NO_VALUE);
}

/* Two results of different numbers of channels, each from a shuffle of the core's and others: channels move within a pixel. */
static ftso_value moved(part *p)
{
    ftso_value y = dense(p);
    ftso_shape shape = ftso_graph_shape(p->w.graph, y);
    int64_t channels = shape.dim[1], other = like(p, y);
    shape.dim[1] = 3 * channels;
    ftso_value parts[] = {y, wrapping_leaf(&p->w, shape)};
    ftso_value all = ftso_graph_add(p->w.graph, "concat", parts, 2, NULL, 0);
    ftso_attr_value groups[] = {FTSO_I(4), FTSO_I(1)};
    all = ftso_graph_add(p->w.graph, "shuffle", &all, 1, groups, 2);
    ftso_attr_value first[] = {FTSO_I(0), FTSO_I(channels)},
                    second[] = {FTSO_I(3 * channels - other), FTSO_I(3 * channels)};
    if (3 * channels < other) second[0] = FTSO_I(0);
    ftso_value shown = ftso_graph_add(p->w.graph, "slice", &all, 1, second, 2);
    ftso_graph_output(p->w.graph, "shown", shown, FTSO_NO_VALUE);
    ftso_graph_output(p->w.graph, "shown_sum", ftso_graph_unary(p->w.graph, "channel_sum", shown),
                      FTSO_NO_VALUE);
    return ftso_graph_add(p->w.graph, "slice", &all, 1, first, 2);
}

static ftso_value elementwise(part *p)
{
    ftso_value v = leaf(p, ftso_shape_vector(channels_of(p, p->x)));
    return ftso_graph_binary(p->w.graph, "channel_mul", ftso_graph_unary(p->w.graph, "relu", p->x),
                             v);
}

/* How many of the schedule's regions take several pixels a vector. */
static size_t count_thin(ftso_arena *arena, const ftso_graph *graph, const char *processor)
{
    ftso_target target;
    ftso_schedule *schedule;
    size_t count = 0;
    test_ok(ftso_target_named(arena, processor, &target));
    test_ok(ftso_schedule_form(arena, graph, NULL, &schedule));
    for (size_t r = 0; r < schedule->region_count; r++)
        count += ftso_width_of(&target, schedule, &schedule->regions[r]).pixels > 1;
    return count;
}

static void each(void **state, const char *name, ftso_value (*build)(part *p))
{
    test_random random = {ftso_hash(FTSO_HASH_SEED, name, 4)};
    size_t wide = 0, narrow = 0;
    for (int i = 0; i < CASES; i++) {
        ftso_arena arena;
        ftso_graph graph;
        ftso_arena_init(&arena);
        ftso_graph_init(&graph, &arena, ftso_primitives());
        part p = {.w = {&graph, &random, 0}};
        int64_t many = i % 7 == 6, channels = 1 + test_below(&random, MOST_CHANNELS),
                height = 1 + test_below(&random, many ? 3 : 9),
                width = 4 * (1 + test_below(&random, many ? 1 : 4)),
                batch = many ? MANY_IMAGES : 1 + test_below(&random, 4);
        p.x = wrapping_operand(&p.w, ftso_shape_image(batch, channels, height, width));
        ftso_value y = build(&p);
        if (i % 2) {
            ftso_value dy = wrapping_operand(&p.w, ftso_graph_shape(&graph, y)), gradients[5];
            p.wrt[p.wrt_count] = p.x;
            ftso_graph_gradient(&graph, ftso_graph_binary(&graph, "dot", y, dy), p.wrt,
                                p.wrt_count + 1, gradients);
            for (size_t k = 0; k <= p.wrt_count; k++)
                ftso_graph_output(&graph, ftso_format(&arena, "gradient%zu", k), gradients[k],
                                  FTSO_NO_VALUE);
            ftso_value image = gradients[p.wrt_count];
            ftso_graph_output(&graph, "squares",
                              ftso_graph_binary(&graph, "channel_dot", image, image),
                              FTSO_NO_VALUE);
        } else {
            wrapping_results(&p.w, y);
        }
        wide += count_thin(&arena, &graph, "x86-64-v4");
        narrow += count_thin(&arena, &graph, "x86-64-v3");
        kernel_lab_check(*state, &graph, NULL, NULL, (uint64_t)i);
        ftso_arena_deinit(&arena);
    }
    print_message("%s: %zu regions of sixteen floats, %zu of eight, take several pixels\n", name,
                  wide, narrow);
    assert_true(wide >= CASES / 3 && narrow >= CASES / 6 && wide > narrow);
}

#define EACH(kind)                                                                                 \
    static void test_##kind(void **s)                                                              \
    {                                                                                              \
        each(s, #kind, kind);                                                                      \
    }
EACH(depthwise)
EACH(separable)
EACH(dense)
EACH(pair)
EACH(largest)
EACH(mean)
EACH(moved)
EACH(elementwise)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_depthwise, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_separable, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_dense, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_pair, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_largest, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_mean, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_moved, lab_setup, lab_teardown),
        cmocka_unit_test_setup_teardown(test_elementwise, lab_setup, lab_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
