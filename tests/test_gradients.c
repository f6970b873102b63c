/*
 * Gradients of every operator of the table against directional central differences in double.
 *
 * In: random cases (op_cases). For operand x, a projection r and a direction d of standard normal numbers:
 * (<r, f(x + h d)> - <r, f(x - h d)>) / 2h against <gradient, d>, within 1e-6 of the gradient's norm, h = 1e-5.
 * Kinked operators are checked twice: as they are, at points at least 0.02 (2000 h) from a kink, and with their choices
 * frozen at the base point. A gradient with one factor changed must not pass: that is checked too, operator by operator.
 */
#include "op_cases.h"

#include <math.h>
#include <string.h>

static const double h = 1e-5, allowed = 1e-6;
enum { CASES = 48, DIRECTIONS = 3 };

/* Operators with no gradient, and why: leaves; masks; gradients whose own gradient nobody asks for. */
static bool has_no_gradient(const ftso_op *op)
{
    static const char *const names[] = {"column", "max_pool_dx", "cross_entropy_dx"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++)
        if (strcmp(op->name, names[i]) == 0) return true;
    return op->op_class == FTSO_CLASS_LEAF;
}

/* A case as a scalar function of its operands, with the gradient by operand `by` in the graph. */
typedef struct check {
    ftso_arena arena;
    ftso_graph graph;
    ftso_value operands[TEST_MAX_OPERANDS], projection, y, loss, gradient;
    double *data[TEST_MAX_OPERANDS], *projector;
    size_t counts[TEST_MAX_OPERANDS];
} check;

static void check_init(check *k, const test_op_case *c, const ftso_op_table *table, size_t by,
                       test_random *random)
{
    ftso_arena_init(&k->arena);
    ftso_graph_init(&k->graph, &k->arena, table);
    k->y = test_op_case_build(c, &k->graph, k->operands);
    ftso_shape shape = ftso_graph_shape(&k->graph, k->y);
    k->projection = ftso_graph_input(&k->graph, "r", shape);
    k->loss =
        ftso_graph_binary(&k->graph, shape.batched ? "dot" : "vector_dot", k->projection, k->y);
    ftso_graph_gradient(&k->graph, k->loss, &k->operands[by], 1, &k->gradient);
    ftso_graph_output(&k->graph, "gradient", k->gradient, FTSO_NO_VALUE);
    test_ok(ftso_graph_verify(&k->graph));
    for (size_t i = 0; i < c->input_count; i++) {
        k->data[i] = FTSO_ARRAY(&k->arena, double, (size_t)ftso_shape_count(c->inputs[i]));
        k->counts[i] = test_op_case_fill(c, i, k->data, random, k->data[i]);
    }
    k->projector = FTSO_ARRAY(&k->arena, double, (size_t)ftso_shape_count(shape));
    for (int64_t i = 0; i < ftso_shape_count(shape); i++) k->projector[i] = test_normal(random);
}

static void run(const check *k, const test_op_case *c, ftso_interp *interp)
{
    ftso_shape shape = ftso_graph_shape(&k->graph, k->y);
    if (shape.batched) shape.dim[0] = c->batch;
    for (size_t i = 0; i < c->input_count; i++)
        test_ok(ftso_interp_bind(interp, k->operands[i], k->data[i], k->counts[i]));
    test_ok(ftso_interp_bind(interp, k->projection, k->projector, (size_t)ftso_shape_count(shape)));
    test_ok(ftso_interp_run(interp, c->batch));
}

/* The largest disagreement over some directions, as a share of the gradient's norm. */
static double disagreement(check *k, const test_op_case *c, size_t by, bool frozen,
                           test_random *random)
{
    size_t count = k->counts[by];
    double *base = FTSO_ARRAY(&k->arena, double, count),
           *direction = FTSO_ARRAY(&k->arena, double, count);
    double *gradient = FTSO_ARRAY(&k->arena, double, count), norm = 0, worst = 0;
    ftso_interp *interp = ftso_interp_new(&k->graph);
    assert_non_null(interp);
    ftso_interp_freeze(interp, frozen);
    run(k, c, interp);
    memcpy(base, k->data[by], count * sizeof *base);
    memcpy(gradient, ftso_interp_get(interp, k->gradient)->data, count * sizeof *gradient);
    for (size_t i = 0; i < count; i++) norm += gradient[i] * gradient[i];
    norm = sqrt(norm);
    for (int d = 0; d < DIRECTIONS; d++) {
        double side[2], slope = 0;
        for (size_t i = 0; i < count; i++) direction[i] = test_normal(random);
        for (int s = 0; s < 2; s++) {
            for (size_t i = 0; i < count; i++)
                k->data[by][i] = base[i] + (s ? -h : h) * direction[i];
            run(k, c, interp);
            side[s] = ftso_interp_get(interp, k->loss)->data[0];
        }
        for (size_t i = 0; i < count; i++) slope += gradient[i] * direction[i];
        double error = fabs((side[0] - side[1]) / (2 * h) - slope);
        worst = fmax(worst, error == 0 ? 0 : error / norm);
    }
    memcpy(k->data[by], base, count * sizeof *base);
    ftso_interp_free(interp);
    return worst;
}

static void say(const test_op_case *c, size_t by, double error, const char *how)
{
    ftso_text text;
    ftso_text_init(&text);
    test_op_case_print(c, &text);
    print_message("%s: by operand %zu, %s: off by %.3g of its norm\n", ftso_text_get(&text), by,
                  how, error);
    ftso_text_deinit(&text);
}

static void every_operator_has_cases(void **state)
{
    (void)state;
    const ftso_op_table *table = ftso_primitives();
    for (size_t i = 0; i < table->count; i++) {
        test_random random = {i};
        test_op_case c;
        if (!test_op_case_make(table->rows[i], &random, &c))
            fail_msg("operator %s has no generator in tests/op_cases.c", table->rows[i]->name);
        bool some = table->rows[i]->gradient || table->rows[i]->part_offset;
        if (some == has_no_gradient(table->rows[i]))
            fail_msg("operator %s: gradient or none?", table->rows[i]->name);
    }
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    const ftso_op_table *table = ftso_primitives();
    int failures = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (has_no_gradient(table->rows[i])) continue;
        bool kinked = table->rows[i]->flags & FTSO_OP_KINKED;
        test_random random = {1000 + i};
        for (int n = 0; n < CASES; n++) {
            test_op_case c;
            assert_true(test_op_case_make(table->rows[i], &random, &c));
            for (size_t by = 0; by < c.input_count; by++) {
                if (!c.smooth[by]) continue;
                for (int frozen = 0; frozen <= (kinked ? 1 : 0); frozen++) {
                    check k;
                    check_init(&k, &c, table, by, &random);
                    double error = disagreement(&k, &c, by, frozen, &random);
                    ftso_arena_deinit(&k.arena);
                    if (error <= allowed) continue;
                    say(&c, by, error, frozen ? "frozen" : "as it is");
                    failures++;
                }
            }
        }
    }
    assert_int_equal(failures, 0);
}

/* ---------------------------------------------------------------- wrong gradients are noticed */

/* The true gradient with 1.01 times each share; where nothing should flow, a little. */
static void wrong_gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                           ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    const ftso_op *right = ftso_op_find(ftso_primitives(), node.op->name);
    if (right->part_offset) {
        ftso_shape shape = ftso_graph_shape(graph, node.inputs[0]);
        int64_t before = right->part_offset(node.attrs);
        int64_t after = ftso_shape_count(shape) - before - ftso_shape_count(node.shape);
        ftso_value parts[3];
        size_t count = 0;
        if (before) parts[count++] = ftso_graph_constant(graph, ftso_shape_vector(before), 0);
        parts[count++] = dy;
        if (after) parts[count++] = ftso_graph_constant(graph, ftso_shape_vector(after), 0);
        ftso_value whole = ftso_graph_add(graph, "pack", parts, count, NULL, 0);
        out[0] = ftso_graph_times(graph, ftso_graph_view(graph, whole, 0, shape), 1.01);
        return;
    }
    right->gradient(graph, self, dy, wanted, out);
    for (uint32_t i = 0; i < node.input_count; i++) {
        if (!wanted[i]) continue;
        if (out[i] == FTSO_NO_VALUE)
            out[i] = ftso_graph_constant(graph, ftso_graph_shape(graph, node.inputs[i]), 0.01);
        else
            out[i] = ftso_graph_times(graph, out[i], 1.01);
    }
}

/* The table with one operator's gradient wrong. */
static ftso_op_table spoil(ftso_arena *arena, const ftso_op *victim)
{
    const ftso_op_table *table = ftso_primitives();
    const ftso_op **rows = FTSO_ARRAY(arena, const ftso_op *, table->count);
    ftso_op *wrong = FTSO_NEW(arena, ftso_op);
    *wrong = *victim;
    wrong->part_offset = NULL;
    wrong->gradient = wrong_gradient;
    for (size_t i = 0; i < table->count; i++)
        rows[i] = table->rows[i] == victim ? wrong : table->rows[i];
    return (ftso_op_table){rows, table->count};
}

static void a_wrong_factor_is_noticed(void **state)
{
    (void)state;
    const ftso_op_table *table = ftso_primitives();
    for (size_t i = 0; i < table->count; i++) {
        if (has_no_gradient(table->rows[i])) continue;
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_op_table spoiled = spoil(&arena, table->rows[i]);
        test_random random = {2000 + i};
        bool seen[TEST_MAX_OPERANDS] = {false}, noticed[TEST_MAX_OPERANDS] = {false};
        for (int n = 0; n < CASES; n++) {
            test_op_case c;
            assert_true(test_op_case_make(table->rows[i], &random, &c));
            c.op = ftso_op_find(&spoiled, c.op->name);
            for (size_t by = 0; by < c.input_count; by++) {
                if (!c.smooth[by] || noticed[by]) continue;
                check k;
                check_init(&k, &c, &spoiled, by, &random);
                double error = disagreement(&k, &c, by, false, &random);
                ftso_arena_deinit(&k.arena);
                seen[by] = true;
                noticed[by] = error > 100 * allowed; /* a gradient of 0 stays right */
            }
        }
        assert_true(seen[0] || seen[1]);
        for (size_t by = 0; by < TEST_MAX_OPERANDS; by++)
            if (seen[by] && !noticed[by])
                fail_msg("a wrong gradient of %s by operand %zu passes", table->rows[i]->name, by);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- frozen choices at kinks */

/* At a kink itself the frozen function is smooth and the gradient graph takes the same side. */
static void frozen_choices_hold_at_kinks(void **state)
{
    (void)state;
    static const char *const names[] = {"relu", "min", "max", "max_pool"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        test_random random = {3000 + i};
        for (int n = 0; n < CASES; n++) {
            test_op_case c;
            assert_true(test_op_case_make(ftso_op_find(ftso_primitives(), names[i]), &random, &c));
            for (size_t by = 0; by < c.input_count; by++) {
                check k;
                check_init(&k, &c, ftso_primitives(), by, &random);
                for (size_t o = 0; o < c.input_count; o++)
                    for (size_t e = 0; e < k.counts[o]; e++)
                        k.data[o][e] = (double)test_below(&random, 3) - 1;
                double error = disagreement(&k, &c, by, true, &random);
                ftso_arena_deinit(&k.arena);
                if (error > allowed) say(&c, by, error, "frozen, on a kink");
                assert_true(error <= allowed);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_cases),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(a_wrong_factor_is_noticed),
        cmocka_unit_test(frozen_choices_hold_at_kinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
