/*
 * Random graphs with gradients as whole programs: two runs in a row on dirty memory agree with the interpreter, constants
 * that lie in memory (gradients of what the loss does not reach) among them.
 */
#include "support.h"
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "tests/nets.h"

#include <math.h>
#include <string.h>

enum { GRAPHS = 40 };

/* The same numbers for a leaf of the interpreter and of the runner. */
static void bind(ftso_arena *arena, const ftso_graph *graph, ftso_value leaf, ftso_interp *interp,
                 ftso_runner *runner, int64_t batch, test_random *random)
{
    const ftso_node *node = ftso_graph_node(graph, leaf);
    const char *name = node->attrs[ftso_op_attr(node->op, "name")].name;
    size_t count = (size_t)ftso_shape_count(node->shape);
    double *exact = FTSO_ARRAY(arena, double, count);
    float *single = FTSO_ARRAY(arena, float, count);
    bool labels = node->shape.rank == 1 && node->shape.batched;
    for (size_t i = 0; i < count; i++) {
        single[i] = labels ? 0 : (float)test_normal(random);
        exact[i] = (double)single[i];
    }
    test_ok(ftso_interp_bind(interp, leaf, exact, count));
    if (ftso_runner_slot(runner, name)) ftso_runner_write(runner, name, single, batch);
}

static void compare(ftso_arena *arena, const ftso_graph *graph, const ftso_interp *interp,
                    ftso_runner *runner, int64_t batch)
{
    for (size_t i = 0; i < graph->output_count; i++) {
        const ftso_tensor *x = ftso_interp_get(interp, graph->outputs[i].value);
        size_t count = (size_t)ftso_shape_count(x->shape);
        float *y = FTSO_ARRAY(arena, float, count);
        ftso_runner_read(runner, graph->outputs[i].name, y, batch);
        double error = 0, norm = 0;
        for (size_t k = 0; k < count; k++) {
            error += pow((double)y[k] - x->data[k], 2);
            norm += x->data[k] * x->data[k];
        }
        if (!(sqrt(error) <= 1e-3 * sqrt(norm) + 1e-4))
            fail_msg("\"%s\" is %g from the interpreter's, whose norm is %g",
                     graph->outputs[i].name, sqrt(error), sqrt(norm));
    }
}

/* Passes, regions, code; two runs, each with new contents for every leaf. */
static void check(ftso_arena *arena, const ftso_graph *graph, test_random *random)
{
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(arena, graph, NULL, &schedule));
    ftso_compiler_options options = {.threads = 2, .kernels = ftso_kernels()};
    test_ok(ftso_target_named(arena, "native", &options.target));
    ftso_compiler *compiler;
    ftso_program *program;
    ftso_pool *pool;
    ftso_runner *runner;
    test_ok(ftso_compiler_new(&options, &compiler));
    test_ok(ftso_compile(compiler, arena, schedule, &program, NULL));
    test_ok(ftso_pool_new(2, false, &pool));
    test_ok(ftso_runner_new(program, pool, NULL, &runner));
    ftso_runner_poison(runner);
    ftso_interp *interp = ftso_interp_new(graph);
    for (int twice = 0; twice < 2; twice++) {
        for (size_t v = 0; v < graph->node_count; v++)
            if (ftso_value_role(graph, (ftso_value)v) == FTSO_ROLE_LEAF &&
                graph->nodes[v].op->op_class == FTSO_CLASS_LEAF)
                bind(arena, graph, (ftso_value)v, interp, runner, program->planned_batch, random);
        test_ok(ftso_interp_run(interp, program->planned_batch));
        ftso_runner_run(runner, program->planned_batch, NULL);
        compare(arena, graph, interp, runner, program->planned_batch);
    }
    ftso_interp_free(interp);
    ftso_runner_free(runner);
    ftso_pool_free(pool);
    ftso_compiler_free(compiler);
}

static void random_graphs(void **state)
{
    (void)state;
    test_random random = {1};
    size_t constants = 0;
    for (int g = 0; g < GRAPHS; g++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        const ftso_graph *graph = nets_passes(&arena, nets_random(&arena, &random), NULL, 0);
        for (size_t i = 0; i < graph->output_count; i++)
            constants += ftso_node_is(ftso_graph_node(graph, graph->outputs[i].value), "constant");
        check(&arena, graph, &random);
        ftso_arena_deinit(&arena);
    }
    assert_true(constants > 0);
}

/* New contents that hold constants, of states that nothing reads: they must not share their state's memory. */
static void constants_become_states(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph *graph = FTSO_NEW(&arena, ftso_graph);
    ftso_graph_init(graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(graph, "x", ftso_shape_image(3, 2, 4, 4));
    ftso_value sums = ftso_graph_unary(graph, "channel_sum", ftso_graph_unary(graph, "relu", x));
    ftso_value three = ftso_graph_constant(graph, ftso_shape_vector(3), 3);
    ftso_value packed = ftso_graph_add(graph, "pack", (ftso_value[]){sums, three}, 2, NULL, 0);
    ftso_value whole = ftso_graph_state(graph, "whole", ftso_shape_vector(3));
    ftso_value part = ftso_graph_state(graph, "part", ftso_shape_vector(5));
    ftso_graph_output(graph, "whole", three, whole);
    ftso_graph_output(graph, "part", packed, part);
    test_random random = {2};
    check(&arena, nets_passes(&arena, graph, NULL, 0), &random);
    ftso_arena_deinit(&arena);
}

/* Inference: scales made of states, weights packed from states; both done once, and again with new states. */
static void states_alone(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph *graph = FTSO_NEW(&arena, ftso_graph);
    ftso_graph_init(graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(graph, "x", ftso_shape_image(3, 5, 4, 4));
    ftso_value w = ftso_graph_state(graph, "weights", ftso_shape_weight(9, 5, 1, 1));
    ftso_value v = ftso_graph_state(graph, "running", ftso_shape_vector(9));
    ftso_value positive = ftso_graph_binary(graph, "mul", v, v);
    ftso_value y = ftso_graph_binary(graph, "conv", x, w);
    y = ftso_graph_binary(graph, "channel_mul", y, ftso_graph_unary(graph, "rsqrt", positive));
    ftso_graph_output(graph, "y", ftso_graph_unary(graph, "relu", y), FTSO_NO_VALUE);
    const ftso_graph *passed = nets_passes(&arena, graph, NULL, 0);
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
    ftso_frozen frozen = ftso_schedule_frozen(&arena, schedule);
    size_t once = 0;
    for (size_t r = 0; r < schedule->region_count; r++) once += frozen.regions[r];
    assert_int_equal(once, 1);
    assert_int_equal(schedule->region_count, 2);
    test_random random = {3};
    check(&arena, passed, &random);
    /* where the program updates a state, nothing is */
    ftso_graph_output(graph, "running", positive, v);
    test_ok(ftso_schedule_form(&arena, nets_passes(&arena, graph, NULL, 0), NULL, &schedule));
    frozen = ftso_schedule_frozen(&arena, schedule);
    for (size_t r = 0; r < schedule->region_count; r++) assert_false(frozen.regions[r]);
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs),
                                       cmocka_unit_test(constants_become_states),
                                       cmocka_unit_test(states_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
