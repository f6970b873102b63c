/*
 * Images stored as bf16: rounding, on paper and in machine code; which values are; memory; text; and what training makes of it.
 * (Kernels under it: kernel_lab. Whole programs: test_programs.)
 */
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "tests/nets.h"

#include <math.h>
#include <string.h>

static float float_of(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static uint32_t bits_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* Float32 in, what bf16 makes of it; all bits. */
static const uint32_t rounding[][2] = {
    {0x00000000, 0x00000000}, {0x80000000, 0x80000000}, {0x3f800000, 0x3f800000},
    {0x3f808000, 0x3f800000}, /* in the middle: to the even one below */
    {0x3f818000, 0x3f820000}, /* above */
    {0x3f808001, 0x3f810000}, {0xbf808001, 0xbf810000}, {0x3f807fff, 0x3f800000},
    {0x7f7fffff, 0x7f800000}, /* the largest number is nearer to infinity */
    {0x7f7f7fff, 0x7f7f0000}, {0x7f800000, 0x7f800000}, {0xff800000, 0xff800000},
    {0x00800000, 0x00800000}, {0x3fffffff, 0x40000000},
};

static void rounds_to_even(void **state)
{
    (void)state;
    for (size_t i = 0; i < FTSO_COUNT(rounding); i++) {
        double made = ftso_element_round(FTSO_ELEMENT_BF16, (double)float_of(rounding[i][0]));
        assert_int_equal(bits_of((float)made), rounding[i][1]);
    }
    assert_true(isnan(ftso_element_round(FTSO_ELEMENT_BF16, NAN)));
    assert_true(ftso_element_round(FTSO_ELEMENT_FP32, 0.1) == (double)0.1f);
    assert_int_equal(ftso_element_bytes(FTSO_ELEMENT_FP32), 4);
    assert_int_equal(ftso_element_bytes(FTSO_ELEMENT_BF16), 2);
}

/* ---------------------------------------------------------------- machine code */

enum { SIDE = 8, CHANNELS = 16, NUMBERS = SIDE * SIDE * CHANNELS };

/* x, stored as bf16, and read back by a depthwise convolution whose kernels are ones. */
static const ftso_schedule *round_trip(ftso_arena *arena)
{
    ftso_graph *g = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(g, arena, ftso_primitives());
    g->storage = FTSO_ELEMENT_BF16;
    ftso_value x = ftso_graph_input(g, "x", ftso_shape_image(1, CHANNELS, SIDE, SIDE));
    ftso_value ones = ftso_graph_state(g, "ones", ftso_shape_weight(CHANNELS, 1, 1, 1));
    ftso_value y = ftso_graph_binary(g, "dwconv", ftso_graph_times(g, x, 1), ones);
    ftso_graph_output(g, "y", y, FTSO_NO_VALUE);
    ftso_fusion fusion = ftso_fusion_default();
    fusion.prologue = false;
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(arena, g, &fusion, &schedule));
    test_ok(ftso_schedule_verify(schedule));
    assert_int_equal(schedule->region_count, 2);
    return schedule;
}

/* Every number of the table, some that are none, and random bits. */
static void fill_numbers(float *out)
{
    static const uint32_t none[] = {0x7fc00000, 0xffc00000, 0x7fffffff, 0xffffffff, 0x7f800001};
    test_random random = {5};
    for (size_t i = 0; i < NUMBERS; i++) {
        uint32_t bits = (uint32_t)test_below(&random, (int64_t)1 << 32);
        if (i < FTSO_COUNT(rounding))
            bits = rounding[i][0];
        else if (i - FTSO_COUNT(rounding) < FTSO_COUNT(none))
            bits = none[i - FTSO_COUNT(rounding)];
        out[i] = float_of(bits);
    }
}

static void code_rounds_alike(void **state)
{
    (void)state;
    static const struct {
        const char *cpu;
        int lanes;
    } widths[] = {
        {"x86-64", 4}, {"x86-64-v3", 8}, {"x86-64-v3", 16}, {"x86-64-v4", 16}, {"native", 0}};
    ftso_arena arena;
    ftso_arena_init(&arena);
    const ftso_schedule *schedule = round_trip(&arena);
    float ones[CHANNELS], numbers[NUMBERS], results[NUMBERS];
    for (size_t i = 0; i < CHANNELS; i++) ones[i] = 1;
    fill_numbers(numbers);
    ftso_pool *pool;
    test_ok(ftso_pool_new(1, false, &pool));
    for (size_t w = 0; w < FTSO_COUNT(widths); w++) {
        ftso_compiler_options options = {.threads = 1, .kernels = ftso_kernels()};
        ftso_compiler *compiler;
        ftso_program *program;
        ftso_runner *runner;
        test_ok(ftso_target_named(&arena, widths[w].cpu, &options.target));
        if (widths[w].lanes) options.target.vector_floats = widths[w].lanes;
        if (!ftso_target_runs_here(&options.target, NULL)) {
            print_message("%s: not run, no such processor here\n", widths[w].cpu);
            continue;
        }
        test_ok(ftso_compiler_new(&options, &compiler));
        test_ok(ftso_compile(compiler, &arena, schedule, &program, NULL));
        test_ok(ftso_runner_new(program, pool, NULL, &runner));
        ftso_runner_write(runner, "ones", ones, 1);
        ftso_runner_write(runner, "x", numbers, 1);
        ftso_runner_run(runner, 1, NULL);
        ftso_runner_read(runner, "y", results, 1);
        for (size_t i = 0; i < NUMBERS; i++) {
            double wanted = ftso_element_round(FTSO_ELEMENT_BF16, (double)numbers[i]);
            /* one instruction of AVX-512 BF16 takes numbers below the smallest normal one for zero */
            if (options.target.has_bf16 && fabs(wanted) < 0x1p-126)
                wanted = results[i] == 0 ? 0 : wanted;
            if (isnan(wanted) ? !isnan(results[i]) : (double)results[i] != wanted)
                fail_msg("%s: %08x became %08x", widths[w].cpu, bits_of(numbers[i]),
                         bits_of(results[i]));
        }
        ftso_runner_free(runner);
        ftso_compiler_free(compiler);
    }
    ftso_pool_free(pool);
    ftso_arena_deinit(&arena);
}

/* Which instructions round and pack. */
static void instructions(void **state)
{
    (void)state;
    static const struct {
        const char *cpu, *more, *wanted, *unwanted;
    } rows[] = {{"x86-64", "", "packssdw", "cvtneps2bf16"},
                {"x86-64-v3", "", "vpshufb", "cvtneps2bf16"},
                {"x86-64-v4", "", "vpaddd", "cvtneps2bf16"},
                {"x86-64-v4", ",+avx512bf16", "vcvtneps2bf16", "vpaddd"}};
    ftso_arena arena;
    ftso_arena_init(&arena);
    const ftso_schedule *schedule = round_trip(&arena);
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        ftso_compiler_options options = {.threads = 1, .kernels = ftso_kernels()};
        test_ok(ftso_target_named(&arena, rows[i].cpu, &options.target));
        options.target.features =
            ftso_format(&arena, "%s%s", options.target.features, rows[i].more);
        options.target.has_bf16 = rows[i].more[0] != 0;
        ftso_text text;
        ftso_text_init(&text);
        test_ok(ftso_compile_text(&options, schedule, true, &text));
        const char *code = ftso_text_get(&text);
        if (!strstr(code, rows[i].wanted) || strstr(code, rows[i].unwanted))
            fail_msg("%s%s: no %s, or %s, in:\n%s", rows[i].cpu, rows[i].more, rows[i].wanted,
                     rows[i].unwanted, code);
        ftso_text_deinit(&text);
    }
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- which values, how much memory */

static ftso_graph *step(ftso_arena *arena, bool of_arch, ftso_element storage)
{
    nets_options options = {.opset = "skip_only",
                            .k = 1,
                            .batch = 16,
                            .side = 16,
                            .layers = 3,
                            .channels = 8,
                            .of_arch = of_arch};
    ftso_graph *graph = nets_darts(arena, &options);
    graph->storage = storage;
    return graph;
}

static int64_t layout(const void *user, ftso_shape shape, ftso_element element)
{
    return ftso_layout_bytes(user, shape, element);
}

/* All images between regions, and nothing else; the plan is little more than half as large; keys differ. */
static void images_alone(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_target target;
    test_ok(ftso_target_named(&arena, "x86-64-v3", &target));
    int64_t bytes[2];
    ftso_schedule *schedules[2];
    for (int half = 0; half < 2; half++) {
        ftso_plan *plan;
        schedules[half] = nets_schedule(
            &arena, step(&arena, false, half ? FTSO_ELEMENT_BF16 : FTSO_ELEMENT_FP32));
        test_ok(ftso_plan_make(&arena, schedules[half], layout, &target, 64, &plan));
        test_ok(ftso_plan_verify(schedules[half], plan, layout, &target));
        bytes[half] = plan->total_bytes - plan->leaf_bytes;
    }
    assert_true(bytes[1] < bytes[0] * 55 / 100);
    const ftso_schedule *schedule = schedules[1];
    size_t stored = 0;
    for (size_t v = 0; v < schedule->graph->node_count; v++) {
        ftso_shape shape = schedule->graph->nodes[v].shape;
        assert_int_equal(schedules[0]->elements[v], FTSO_ELEMENT_FP32);
        if (schedule->elements[v] == FTSO_ELEMENT_FP32) continue;
        assert_true(shape.batched && shape.rank == 4 && shape.dim[2] > 1);
        stored++;
    }
    for (size_t r = 0; r < schedule->region_count; r++)
        for (size_t i = 0; i < schedule->regions[r].write_count; i++) {
            ftso_value value = schedule->regions[r].writes[i];
            ftso_shape shape = ftso_graph_shape(schedule->graph, value);
            if (shape.batched && shape.rank == 4 && shape.dim[2] > 1)
                stored -= schedule->elements[value] == FTSO_ELEMENT_BF16;
        }
    assert_int_equal(stored, 0);
    size_t region = 0; /* one that makes an image */
    while (schedule->elements[schedule->regions[region].writes[0]] == FTSO_ELEMENT_FP32) region++;
    ftso_text keys[2];
    for (int half = 0; half < 2; half++) {
        ftso_text_init(&keys[half]);
        ftso_region_key(schedules[half], &schedules[half]->regions[region], &keys[half]);
    }
    assert_string_not_equal(ftso_text_get(&keys[0]), ftso_text_get(&keys[1]));
    assert_non_null(strstr(ftso_text_get(&keys[1]), " bf16"));
    for (int half = 0; half < 2; half++) ftso_text_deinit(&keys[half]);

    schedules[1]->elements[schedule->graph->outputs[0].value] = FTSO_ELEMENT_BF16;
    ftso_status status = ftso_schedule_verify(schedule);
    assert_int_equal(status.code, FTSO_ERROR_INTERNAL);
    assert_non_null(strstr(status.message, "elements"));
    ftso_arena_deinit(&arena);
}

/* The graph's text says how images are stored, and gives it back. */
static void text(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph read, *graph = step(&arena, true, FTSO_ELEMENT_BF16);
    ftso_text once, twice;
    ftso_text_init(&once);
    ftso_text_init(&twice);
    ftso_graph_print(graph, &once);
    assert_int_equal(strncmp(ftso_text_get(&once), "storage bf16\n%0 = ", 18), 0);
    ftso_diag diag;
    ftso_diag_init(&diag, &arena);
    ftso_graph_init(&read, &arena, ftso_primitives());
    uint32_t file = ftso_diag_add_source(&diag, "graph", ftso_text_get(&once), once.length);
    assert_true(ftso_graph_parse(&read, &diag, file));
    assert_int_equal(read.storage, FTSO_ELEMENT_BF16);
    ftso_graph_print(&read, &twice);
    assert_string_equal(ftso_text_get(&once), ftso_text_get(&twice));
    assert_int_equal(nets_passes(&arena, graph, NULL, 0)->storage, FTSO_ELEMENT_BF16);
    ftso_text_deinit(&once);
    ftso_text_deinit(&twice);
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- training */

enum { STEPS = 20 };

/* Losses of STEPS steps on the same images, and the first step's gradient. */
static void train(ftso_arena *arena, ftso_element storage, int threads, double *losses,
                  float **out_gradient, size_t *out_count)
{
    const ftso_graph *graph = step(arena, false, storage);
    ftso_compiler_options options = {.threads = 2, .kernels = ftso_kernels()};
    ftso_compiler *compiler;
    ftso_program *program;
    ftso_pool *pool;
    ftso_runner *runner;
    test_ok(ftso_target_named(arena, "native", &options.target));
    test_ok(ftso_compiler_new(&options, &compiler));
    test_ok(ftso_compile(compiler, arena, nets_schedule(arena, graph), &program, NULL));
    test_ok(ftso_pool_new(threads, false, &pool));
    test_ok(ftso_runner_new(program, pool, NULL, &runner));
    int64_t batch = program->planned_batch;
    size_t count;
    nets_leaf *leaves = nets_leaves(arena, graph, batch, 3, &count);
    for (size_t i = 0; i < count; i++) {
        float *data = FTSO_ARRAY(arena, float, leaves[i].count);
        bool rate = strcmp(leaves[i].name, "weights.lr") == 0,
             still = strcmp(leaves[i].name, "weights.momentum") == 0;
        for (size_t k = 0; k < leaves[i].count; k++)
            data[k] = rate ? 0.05f : still ? 0 : (float)leaves[i].data[k];
        if (ftso_runner_slot(runner, leaves[i].name))
            ftso_runner_write(runner, leaves[i].name, data, batch);
    }
    for (int s = 0; s < STEPS; s++) {
        float loss;
        ftso_runner_run(runner, batch, NULL);
        ftso_runner_read(runner, "loss", &loss, batch);
        losses[s] = (double)loss;
        if (s > 0) continue;
        *out_count = 0;
        for (size_t i = 0; i < graph->output_count; i++)
            if (strcmp(graph->outputs[i].name, "gradient") == 0)
                *out_count =
                    (size_t)ftso_shape_count(ftso_graph_shape(graph, graph->outputs[i].value));
        *out_gradient = FTSO_ARRAY(arena, float, *out_count);
        ftso_runner_read(runner, "gradient", *out_gradient, batch);
    }
    ftso_runner_free(runner);
    ftso_pool_free(pool);
    ftso_compiler_free(compiler);
}

/* The gradient points the same way, the loss falls as far, and threads change nothing. */
static void trains_alike(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    double losses[3][STEPS], dot = 0, norms[2] = {0};
    float *gradients[3];
    size_t count[3];
    train(&arena, FTSO_ELEMENT_FP32, 2, losses[0], &gradients[0], &count[0]);
    train(&arena, FTSO_ELEMENT_BF16, 2, losses[1], &gradients[1], &count[1]);
    train(&arena, FTSO_ELEMENT_BF16, 1, losses[2], &gradients[2], &count[2]);
    assert_true(count[0] > 0 && count[0] == count[1]);
    assert_memory_equal(losses[1], losses[2], sizeof losses[1]);
    assert_memory_equal(gradients[1], gradients[2], count[1] * sizeof(float));
    assert_memory_not_equal(gradients[0], gradients[1], count[0] * sizeof(float));
    for (size_t i = 0; i < count[0]; i++) {
        dot += (double)gradients[0][i] * (double)gradients[1][i];
        for (int k = 0; k < 2; k++) norms[k] += pow((double)gradients[k][i], 2);
    }
    double cosine = dot / sqrt(norms[0] * norms[1]), first = losses[0][0],
           last = losses[0][STEPS - 1], other = losses[1][STEPS - 1];
    print_message("gradients' cosine %.6f; loss %.4f to %.4f, with bf16 %.4f to %.4f\n", cosine,
                  first, last, losses[1][0], other);
    assert_true(cosine > 0.99);
    assert_true(last < 0.7 * first);
    assert_true(fabs(losses[1][0] - first) < 0.01 * first);
    assert_true(fabs(other - last) < 0.1 * first);
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_to_even), cmocka_unit_test(code_rounds_alike),
        cmocka_unit_test(instructions),   cmocka_unit_test(images_alone),
        cmocka_unit_test(text),           cmocka_unit_test(trains_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
