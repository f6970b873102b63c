/*
 * Graphs as a whole: text form and its errors, verifier, the shape of gradients (packs, stacks, order), interpreter
 * (batches, states, rounding, freezing). In: small graphs, the files of tests/graph. Out: nothing; numbers by hand.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    ftso_arena arena;
    ftso_graph graph;
} fixture;

static void fixture_init(fixture *f)
{
    ftso_arena_init(&f->arena);
    ftso_graph_init(&f->graph, &f->arena, ftso_primitives());
}

static void expect_text(const ftso_graph *graph, const char *want)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_graph_print(graph, &text);
    assert_string_equal(ftso_text_get(&text), want);
    ftso_text_deinit(&text);
}

/* Parses; on failure the diagnostics are in `said` (when given). */
static bool parse(ftso_arena *arena, const char *text, ftso_graph *graph, ftso_text *said)
{
    ftso_diag diag;
    ftso_diag_init(&diag, arena);
    ftso_graph_init(graph, arena, ftso_primitives());
    uint32_t file = ftso_diag_add_source(&diag, "a.graph", text, strlen(text));
    bool good = ftso_graph_parse(graph, &diag, file);
    assert_int_equal(good, diag.error_count == 0);
    if (said) ftso_diag_print(&diag, said, false);
    return good;
}

/* ---------------------------------------------------------------- text */

/* One node of each kind of attribute, of each rank, and outputs with and without a state. */
static void build_sample(ftso_graph *g)
{
    ftso_value x = ftso_graph_input(g, "image", ftso_shape_image(256, 3, 32, 32));
    ftso_value labels = ftso_graph_input(g, "label \"quoted\" \\ \n", (ftso_shape){1, true, {256}});
    ftso_value weights = ftso_graph_state(g, "weights", ftso_shape_vector(85));
    ftso_value w = ftso_graph_view(g, weights, 4, ftso_shape_weight(3, 3, 3, 3));
    ftso_attr_value window[] = {FTSO_I(2), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(-1), FTSO_I(3)};
    ftso_value y = ftso_graph_add(g, "conv", (ftso_value[]){x, w}, 2, window, 6);
    y = ftso_graph_add(g, "batch_norm", &y, 1, (ftso_attr_value[]){FTSO_R(1e-3)}, 1);
    y = ftso_graph_unary(g, "relu", y);
    y = ftso_graph_unary(g, "global_avg_pool", y);
    ftso_value loss = ftso_graph_binary(g, "cross_entropy", y, labels);
    ftso_value rate = ftso_graph_constant(g, ftso_shape_scalar(), -0.025);
    ftso_value gradient;
    ftso_graph_gradient(g, loss, &weights, 1, &gradient);
    ftso_value fresh =
        ftso_graph_binary(g, "add", weights, ftso_graph_binary(g, "scale", gradient, rate));
    ftso_graph_output(g, "loss", loss, FTSO_NO_VALUE);
    ftso_graph_output(g, "weights", fresh, weights);
}

static void prints_as_documented(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_value x = ftso_graph_input(&f.graph, "image", ftso_shape_image(256, 3, 32, 32));
    ftso_value s = ftso_graph_state(&f.graph, "weights", ftso_shape_vector(81));
    ftso_value w = ftso_graph_view(&f.graph, s, 0, ftso_shape_weight(3, 3, 3, 3));
    ftso_attr_value window[] = {FTSO_I(2), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)};
    ftso_value y = ftso_graph_add(&f.graph, "conv", (ftso_value[]){x, w}, 2, window, 6);
    ftso_value half = ftso_graph_constant(&f.graph, ftso_shape_scalar(), 0.5);
    y = ftso_graph_binary(&f.graph, "scale", y, half);
    ftso_graph_output(&f.graph, "y", y, FTSO_NO_VALUE);
    ftso_graph_output(&f.graph, "weights", s, s);
    expect_text(&f.graph,
                "%0 = input() {name=\"image\"} : [N=256, 3, 32, 32]\n"
                "%1 = state() {name=\"weights\"} : [81]\n"
                "%2 = view(%1) : [3, 3, 3, 3]\n"
                "%3 = conv(%0, %2) {stride=2, pad_top=1, pad_bottom=1, pad_left=1, pad_right=1} : "
                "[N=256, 3, 16, 16]\n"
                "%4 = constant() {value=0.5} : []\n"
                "%5 = scale(%3, %4) : [N=256, 3, 16, 16]\n"
                "output \"y\" %5\n"
                "output \"weights\" %1 -> %1\n");
    ftso_arena_deinit(&f.arena);
}

static void print_parse_print(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    build_sample(&f.graph);
    test_ok(ftso_graph_verify(&f.graph));
    ftso_text first;
    ftso_text_init(&first);
    ftso_graph_print(&f.graph, &first);
    ftso_graph again;
    assert_true(parse(&f.arena, ftso_text_get(&first), &again, NULL));
    expect_text(&again, ftso_text_get(&first));
    assert_int_equal(again.output_count, 2);
    /* comments, blank lines and other spacing mean nothing */
    assert_true(parse(&f.arena,
                      "# a comment\n\n  %0=state( ){ name = \"v\" }:[ 3 ]\n%1 = sum( %0 ) : []",
                      &again, NULL));
    expect_text(&again, "%0 = state() {name=\"v\"} : [3]\n%1 = sum(%0) : []\n");
    ftso_text_deinit(&first);
    ftso_arena_deinit(&f.arena);
}

static void refuse_text(const char *text, const char *want)
{
    ftso_arena arena;
    ftso_graph graph;
    ftso_text said;
    ftso_arena_init(&arena);
    ftso_text_init(&said);
    assert_false(parse(&arena, text, &graph, &said));
    if (!strstr(ftso_text_get(&said), want))
        fail_msg("\"%s\" gives\n%s", text, ftso_text_get(&said));
    ftso_text_deinit(&said);
    ftso_arena_deinit(&arena);
}

static void errors_in_text_are_told(void **state)
{
    (void)state;
    refuse_text("%0 = nothing() : []\n", "there is no operator 'nothing'");
    refuse_text("%1 = constant() : []\n", "this line's value must be %0");
    refuse_text("%0 = relu(%0) : []\n", "there is no value %0 above this line");
    refuse_text("%0 = constant() {valu=1} : []\n", "constant has no attribute 'valu'");
    refuse_text("%0 = constant() {value=x} : []\n", "expected a number");
    refuse_text("%0 = constant() {value=nan} : []\n", "a constant must be finite");
    refuse_text("%0 = constant() {value=1} : [0]\n", "dimension 0 is 0");
    refuse_text("%0 = constant() {value=1} : [-3]\n", "dimension 0 is -3");
    refuse_text("%0 = constant() {value=1} : [1, 2]\n", "rank 2 is not one of 0, 1, 4");
    refuse_text("%0 = constant() {value=1} : [1, 2, 3, 4, 5]\n",
                "a shape has at most 4 dimensions");
    refuse_text("%0 = constant() {value=1} : [99999999999999999999]\n", "the number is too large");
    refuse_text("%0 = constant() {value=1} : [4000000000, 4000000000, 1, 1]\n",
                "more than 2^40 elements");
    refuse_text("%0 = constant() : [2]\n%1 = sum(%0) : [2]\n", "sum gives [] here");
    refuse_text("%0 = constant() : [2]\n%1 = sum(%0, %0) : []\n", "sum takes 1 operand, not 2");
    refuse_text("%0 = constant() : [2]\n%1 = slice(%0) {end=9} : [9]\n",
                "channels 0..9 do not lie inside 2");
    refuse_text("%0 = input() : []\n", "input has no name");
    refuse_text("%0 = input() {name=\"a\"} : []\n%1 = state() {name=\"a\"} : []\n",
                "the name \"a\" is taken");
    refuse_text("%0 = input() {name=\"a} : []\n", "the name has no closing");
    refuse_text("%0 = input() {name=\"\\q\"} : []\n", "an escape is");
    refuse_text("%0 = constant() : []\noutput \"x\" %1\n", "there is no value %1");
    refuse_text("%0 = constant() : []\noutput \"x\" %0 -> %0\n",
                "not a state of this value's shape");
    refuse_text("%0 = constant() : []\noutput \"x\" %0\noutput \"x\" %0\n",
                "an earlier output has this name");
    refuse_text("%0 = constant() : [] junk\n", "expected the end of the line");
    refuse_text(
        "%0 = input() {name=\"a\"} : [N=2, 1, 1, 1]\n%1 = input() {name=\"b\"} : [N=3, 1, 1, 1]\n",
        "planned for another batch");
    refuse_text("junk", "expected '%'");
    refuse_text("%", "expected a whole number");
    /* the place is the place */
    refuse_text("# first\n%0 = constant() : []\n%1 = relu(%7) : []\n", "a.graph:3:11");
}

/* Cut anywhere, or with any byte changed, a text is read or refused, never worse. */
static void damaged_text_is_harmless(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    build_sample(&f.graph);
    ftso_text text;
    ftso_text_init(&text);
    ftso_graph_print(&f.graph, &text);
    test_random random = {42};
    for (size_t cut = 0; cut < text.length; cut++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph graph;
        char *copy = ftso_arena_alloc(&arena, text.length + 1);
        memcpy(copy, text.data, cut % 2 ? text.length : cut);
        if (cut % 2) copy[cut] = (char)("%[](){}=,:\"\\N0-9x\n \xff"[test_below(&random, 20)]);
        ftso_diag diag;
        ftso_diag_init(&diag, &arena);
        ftso_graph_init(&graph, &arena, ftso_primitives());
        uint32_t file = ftso_diag_add_source(&diag, "a.graph", copy, strlen(copy));
        if (ftso_graph_parse(&graph, &diag, file)) {
            test_ok(ftso_graph_verify(&graph));
        } else {
            assert_int_equal(diag.error_count, 1);
        }
        ftso_arena_deinit(&arena);
    }
    ftso_text_deinit(&text);
    ftso_arena_deinit(&f.arena);
}

/* ---------------------------------------------------------------- verifier */

static void expect_broken(const ftso_graph *graph, const char *rule)
{
    ftso_status status = ftso_graph_verify(graph);
    assert_int_equal(status.code, FTSO_ERROR_INTERNAL);
    if (!strstr(status.message, rule))
        fail_msg("\"%s\" does not name \"%s\"", status.message, rule);
}

static void verifier_finds_each_damage(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    build_sample(&f.graph);
    ftso_node *nodes = f.graph.nodes, kept;
    test_ok(ftso_graph_verify(&f.graph));
#define DAMAGE(index, what, rule)                                                                  \
    do {                                                                                           \
        kept = nodes[index];                                                                       \
        what;                                                                                      \
        expect_broken(&f.graph, rule);                                                             \
        nodes[index] = kept;                                                                       \
    } while (0)
    ftso_value later[] = {9};
    DAMAGE(6, nodes[6].inputs = later, "operand made later than its user");
    DAMAGE(6, nodes[6].shape.dim[1]++, "shape is not what its rule gives");
    DAMAGE(6, nodes[6].input_count = 0, "relu takes 1 operand, not 0");
    DAMAGE(4, nodes[4].attrs[0].i = 0, "stride is 0");
    DAMAGE(0, nodes[0].attrs[0].name = "", "empty name");
    DAMAGE(0, nodes[0].attrs[0].name = "weights", "name of an earlier leaf");
    DAMAGE(2, nodes[2].shape.dim[3] = 1, "dimension past the rank");
    DAMAGE(1, (nodes[1].attrs[3].i = 3, nodes[1].shape.dim[0] = 3), "planned for another batch");
    ftso_op stranger = *nodes[6].op;
    DAMAGE(6, nodes[6].op = &stranger, "operator not in the table");
#undef DAMAGE
    ftso_output output = f.graph.outputs[1];
    f.graph.outputs[1].state = 0;
    expect_broken(&f.graph, "does not go to a state");
    f.graph.outputs[1] = output;
    f.graph.outputs[1].value = f.graph.outputs[0].value;
    expect_broken(&f.graph, "another shape than its state");
    f.graph.outputs[1] = output;
    f.graph.outputs[0].name = "weights";
    expect_broken(&f.graph, "two outputs \"weights\"");
    f.graph.outputs[0].name = "loss";
    f.graph.outputs[0].value = 1000;
    expect_broken(&f.graph, "has no value");
    ftso_arena_deinit(&f.arena);
}

/* ---------------------------------------------------------------- gradients */

static size_t count_ops(const ftso_graph *graph, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++) count += ftso_node_is(&graph->nodes[i], name);
    return count;
}

/* A flat state covered by views: one pack of their gradients in the order of offsets, zeros for the gap alone. */
static void views_become_one_pack(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value p = ftso_graph_state(g, "p", ftso_shape_vector(10));
    ftso_value late = ftso_graph_view(g, p, 6, ftso_shape_vector(4));
    ftso_value early = ftso_graph_view(g, p, 0, ftso_shape_weight(2, 2, 1, 1));
    ftso_value loss = ftso_graph_binary(g, "mul", ftso_graph_binary(g, "vector_dot", late, late),
                                        ftso_graph_binary(g, "vector_dot", early, early));
    ftso_value gradient;
    ftso_graph_gradient(g, loss, &p, 1, &gradient);
    const ftso_node *pack = ftso_graph_node(g, gradient);
    assert_true(ftso_node_is(pack, "pack"));
    assert_int_equal(count_ops(g, "pack"), 1);
    assert_int_equal(pack->input_count, 3);
    assert_true(
        ftso_shape_equal(ftso_graph_shape(g, pack->inputs[0]), ftso_shape_weight(2, 2, 1, 1)));
    assert_true(ftso_node_is(ftso_graph_node(g, pack->inputs[1]), "constant"));
    assert_int_equal(ftso_graph_shape(g, pack->inputs[1]).dim[0], 2);
    double data[10] = {1, 2, 3, 4, 100, 100, 1, 1, 1, 2};
    ftso_interp *interp = ftso_interp_new(g);
    test_ok(ftso_interp_bind(interp, p, data, 10));
    test_ok(ftso_interp_run(interp, 1));
    const double want[10] = {2 * 7, 4 * 7, 6 * 7, 8 * 7, 0, 0, 2 * 30, 2 * 30, 2 * 30, 4 * 30};
    for (int i = 0; i < 10; i++) assert_true(ftso_interp_get(interp, gradient)->data[i] == want[i]);
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/* Elements of softmaxed slices, each used twice: one stack per slice, scalars summed before. */
static void elements_become_one_stack(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value beta = ftso_graph_state(g, "beta", ftso_shape_vector(5)), terms[10];
    size_t count = 0;
    for (int slice = 0; slice < 2; slice++) {
        int64_t length = 2 + slice;
        ftso_value part = ftso_graph_view(g, beta, slice ? 2 : 0, ftso_shape_vector(length));
        part = ftso_graph_unary(g, "softmax", part);
        for (int64_t i = 0; i < length; i++) {
            ftso_value e =
                ftso_graph_add(g, "element", &part, 1, (ftso_attr_value[]){FTSO_I(i)}, 1);
            terms[count++] = ftso_graph_times(g, e, (double)(i + 1));
            terms[count++] = ftso_graph_binary(g, "mul", e, e);
        }
    }
    ftso_value gradient, loss = ftso_graph_sum(g, terms, count);
    ftso_graph_gradient(g, loss, &beta, 1, &gradient);
    assert_int_equal(count_ops(g, "stack"), 2);
    assert_int_equal(count_ops(g, "pack"), 1);
    ftso_interp *interp = ftso_interp_new(g);
    double data[5] = {0.1, -0.3, 0.7, 0.2, -1}, up[5], down[5];
    test_ok(ftso_interp_bind(interp, beta, data, 5));
    test_ok(ftso_interp_run(interp, 1));
    double analytic[5];
    memcpy(analytic, ftso_interp_get(interp, gradient)->data, sizeof analytic);
    assert_true(fabs(analytic[0] + analytic[1]) <
                1e-15); /* softmax: each slice's gradient sums to 0 */
    assert_true(fabs(analytic[2] + analytic[3] + analytic[4]) < 1e-15);
    for (int i = 0; i < 5; i++) {
        memcpy(up, data, sizeof up), memcpy(down, data, sizeof down);
        up[i] += 1e-5, down[i] -= 1e-5;
        test_ok(ftso_interp_bind(interp, beta, up, 5));
        test_ok(ftso_interp_run(interp, 1));
        double high = ftso_interp_get(interp, loss)->data[0];
        test_ok(ftso_interp_bind(interp, beta, down, 5));
        test_ok(ftso_interp_run(interp, 1));
        assert_true(fabs((high - ftso_interp_get(interp, loss)->data[0]) / 2e-5 - analytic[i]) <
                    1e-8);
    }
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/* Gradient of a graph's "loss" by "p" at `data`, as the interpreter computes it. */
static void gradient_at(ftso_graph *g, ftso_value loss, ftso_value p, const double *data,
                        double *out)
{
    ftso_value gradient;
    ftso_graph_gradient(g, loss, &p, 1, &gradient);
    test_ok(ftso_graph_verify(g));
    ftso_interp *interp = ftso_interp_new(g);
    size_t count = (size_t)ftso_shape_count(ftso_graph_shape(g, p));
    test_ok(ftso_interp_bind(interp, p, data, count));
    test_ok(ftso_interp_run(interp, 1));
    memcpy(out, ftso_interp_get(interp, gradient)->data, count * sizeof *out);
    ftso_interp_free(interp);
}

/* Views that overlap or repeat, an element of the same vector, and the vector itself: all add up. */
static void overlapping_runs_add_up(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value p = ftso_graph_state(g, "p", ftso_shape_vector(4));
    ftso_value a = ftso_graph_view(g, p, 0, ftso_shape_vector(3)),
               b = ftso_graph_view(g, p, 1, ftso_shape_vector(3));
    ftso_value again = ftso_graph_view(g, p, 1, ftso_shape_vector(3));
    ftso_value square = ftso_graph_view(g, p, 1, ftso_shape_weight(3, 1, 1, 1));
    ftso_value e = ftso_graph_add(g, "element", &p, 1, (ftso_attr_value[]){FTSO_I(2)}, 1);
    ftso_value terms[] = {ftso_graph_unary(g, "sum", a),
                          ftso_graph_times(g, ftso_graph_unary(g, "sum", b), 10),
                          ftso_graph_times(g, ftso_graph_unary(g, "sum", again), 100),
                          ftso_graph_times(g, e, 1000),
                          ftso_graph_times(g, ftso_graph_unary(g, "sum", p), 10000),
                          ftso_graph_binary(g, "vector_dot", square, square)};
    const double data[4] = {1, 2, 3, 4}, want[4] = {10001, 10111 + 4, 11111 + 6, 10110 + 8};
    double got[4];
    gradient_at(g, ftso_graph_sum(g, terms, FTSO_COUNT(terms)), p, data, got);
    for (int i = 0; i < 4; i++) assert_true(got[i] == want[i]);
    ftso_arena_deinit(&f.arena);
}

/* No path: zeros. By the loss itself: one. By a value in the middle: what flows there. Twice the same operand: twice. */
static void special_gradients(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value a = ftso_graph_state(g, "a", ftso_shape_vector(3)),
               b = ftso_graph_state(g, "b", ftso_shape_vector(2));
    ftso_value twice = ftso_graph_binary(g, "add", a, a),
               loss = ftso_graph_binary(g, "vector_dot", twice, twice);
    ftso_value by[] = {a, b, loss, twice}, out[4];
    size_t before = g->node_count;
    ftso_graph_gradient(g, loss, by, 4, out);
    const double data[3] = {1, 2, 3};
    ftso_interp *interp = ftso_interp_new(g);
    test_ok(ftso_interp_bind(interp, a, data, 3));
    test_ok(ftso_interp_run(interp, 1));
    for (int i = 0; i < 3; i++)
        assert_true(ftso_interp_get(interp, out[0])->data[i] == 8 * data[i]);
    for (int i = 0; i < 2; i++) assert_true(ftso_interp_get(interp, out[1])->data[i] == 0);
    assert_true(ftso_interp_get(interp, out[2])->data[0] == 1);
    for (int i = 0; i < 3; i++)
        assert_true(ftso_interp_get(interp, out[3])->data[i] == 4 * data[i]);
    ftso_interp_free(interp);
    /* nothing is made for values that the loss does not depend on: the gradient by b alone is one constant */
    before = g->node_count;
    ftso_graph_gradient(g, loss, &b, 1, out);
    assert_int_equal(g->node_count, before + 1);
    ftso_arena_deinit(&f.arena);
}

/* The same graph twice gives the same gradient text; gradient nodes carry the origin of the node they come from. */
static void gradients_are_reproducible(void **state)
{
    (void)state;
    fixture f, g;
    fixture_init(&f), fixture_init(&g);
    f.graph.origin.path = "stem";
    build_sample(&f.graph);
    build_sample(&g.graph);
    ftso_text text;
    ftso_text_init(&text);
    ftso_graph_print(&g.graph, &text);
    expect_text(&f.graph, ftso_text_get(&text));
    for (size_t i = 0; i < f.graph.node_count; i++)
        assert_string_equal(f.graph.nodes[i].origin.path, "stem");
    ftso_text_deinit(&text);
    ftso_arena_deinit(&f.arena);
    ftso_arena_deinit(&g.arena);
}

/* The stored gradient of a small network: `scale`, batch norm, a pool and a shared weight. Read the diff like code. */
static void gradient_golden(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    char *text, *want;
    size_t length;
    test_ok(ftso_file_read(&f.arena, FTSO_SOURCE_DIR "/tests/graph/small.graph", 1 << 20, &text,
                           &length));
    ftso_graph graph;
    ftso_text said;
    ftso_text_init(&said);
    if (!parse(&f.arena, text, &graph, &said)) fail_msg("%s", ftso_text_get(&said));
    ftso_value weights = ftso_graph_find(&graph, "weights"), gradient;
    ftso_graph_gradient(&graph, graph.outputs[0].value, &weights, 1, &gradient);
    ftso_graph_output(&graph, "gradient", gradient, FTSO_NO_VALUE);
    test_ok(ftso_graph_verify(&graph));
    const char *path = FTSO_SOURCE_DIR "/tests/graph/small.gradient";
    ftso_text got;
    ftso_text_init(&got);
    ftso_graph_print(&graph, &got);
    if (getenv("FTSO_UPDATE")) test_ok(ftso_file_write_atomic(path, got.data, got.length));
    test_ok(ftso_file_read(&f.arena, path, 1 << 20, &want, &length));
    assert_string_equal(ftso_text_get(&got), want);
    ftso_text_deinit(&got);
    ftso_text_deinit(&said);
    ftso_arena_deinit(&f.arena);
}

/* ---------------------------------------------------------------- interpreter */

/* Planned for 4 images, run with fewer: mean loss, statistics and gradients are those of a graph planned for fewer. */
static void any_smaller_batch_runs_exactly(void **state)
{
    (void)state;
    enum { PLANNED = 4 };
    test_random random = {7};
    double images[PLANNED * 3 * 16], labels[PLANNED], weights[85];
    for (size_t i = 0; i < FTSO_COUNT(images); i++) images[i] = test_normal(&random);
    for (size_t i = 0; i < FTSO_COUNT(weights); i++) weights[i] = test_normal(&random);
    for (size_t i = 0; i < FTSO_COUNT(labels); i++) labels[i] = (double)test_below(&random, 3);
    for (int64_t n = 1; n <= PLANNED; n++) {
        double results[2][1 + 85];
        for (int planned_for_n = 0; planned_for_n < 2; planned_for_n++) {
            fixture f;
            fixture_init(&f);
            ftso_graph *g = &f.graph;
            int64_t planned = planned_for_n ? n : PLANNED;
            ftso_value x = ftso_graph_input(g, "x", ftso_shape_image(planned, 3, 4, 4));
            ftso_value t = ftso_graph_input(g, "t", (ftso_shape){1, true, {planned}});
            ftso_value p = ftso_graph_state(g, "p", ftso_shape_vector(85));
            ftso_value w = ftso_graph_view(g, p, 0, ftso_shape_weight(3, 3, 3, 3));
            ftso_attr_value window[] = {FTSO_I(1), FTSO_I(1), FTSO_I(1),
                                        FTSO_I(1), FTSO_I(1), FTSO_I(1)};
            ftso_value y = ftso_graph_add(g, "conv", (ftso_value[]){x, w}, 2, window, 6);
            y = ftso_graph_unary(g, "relu", ftso_graph_unary(g, "batch_norm", y));
            y = ftso_graph_unary(g, "global_avg_pool", y);
            ftso_value loss = ftso_graph_binary(g, "cross_entropy", y, t), gradient;
            ftso_graph_gradient(g, loss, &p, 1, &gradient);
            ftso_interp *interp = ftso_interp_new(g);
            test_ok(ftso_interp_bind(interp, x, images, (size_t)n * 48));
            test_ok(ftso_interp_bind(interp, t, labels, (size_t)n));
            test_ok(ftso_interp_bind(interp, p, weights, 85));
            test_ok(ftso_interp_run(interp, n));
            assert_int_equal(ftso_interp_get(interp, y)->shape.dim[0], n);
            results[planned_for_n][0] = ftso_interp_get(interp, loss)->data[0];
            memcpy(results[planned_for_n] + 1, ftso_interp_get(interp, gradient)->data,
                   85 * sizeof(double));
            ftso_interp_free(interp);
            ftso_arena_deinit(&f.arena);
        }
        assert_memory_equal(results[0], results[1], sizeof results[0]);
        assert_true(results[0][0] > 0);
    }
}

/* State outputs take effect together, after the run: two states that swap. */
static void states_change_together(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value a = ftso_graph_state(g, "a", ftso_shape_scalar()),
               b = ftso_graph_state(g, "b", ftso_shape_scalar());
    ftso_graph_output(g, "a", b, a);
    ftso_graph_output(g, "b", ftso_graph_binary(g, "add", a, b), b);
    ftso_interp *interp = ftso_interp_new(g);
    const double one = 1;
    test_ok(ftso_interp_bind(interp, b, &one, 1)); /* a starts at 0: Fibonacci */
    static const double want[] = {1, 1, 2, 3, 5, 8, 13};
    for (size_t i = 0; i < FTSO_COUNT(want); i++) {
        double before = ftso_interp_state(interp, b)->data[0];
        test_ok(ftso_interp_run(interp, 1));
        assert_true(ftso_interp_get(interp, b)->data[0] ==
                    before); /* the value of the run, not of after it */
        assert_true(ftso_interp_state(interp, a)->data[0] == want[i]);
    }
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

static void expect_refused(ftso_status status, const char *sentence)
{
    assert_int_not_equal(status.code, FTSO_OK);
    if (!strstr(status.message, sentence))
        fail_msg("\"%s\" does not say \"%s\"", status.message, sentence);
}

static void wrong_runs_are_refused(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value x = ftso_graph_input(g, "x", ftso_shape_image(4, 2, 1, 1));
    ftso_value y = ftso_graph_unary(g, "batch_norm", x);
    ftso_interp *interp = ftso_interp_new(g);
    const double data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(ftso_graph_min_batch(g), 2);
    expect_refused(ftso_interp_run(interp, 2), "input \"x\" has 0 images of 2");
    expect_refused(ftso_interp_bind(interp, y, data, 8), "neither an input nor a state");
    expect_refused(ftso_interp_bind(interp, x, data, 3), "takes 2 per image");
    expect_refused(ftso_interp_bind(interp, x, data, 10), "takes 2 per image");
    test_ok(ftso_interp_bind(interp, x, data, 6));
    expect_refused(ftso_interp_run(interp, 0), "planned for 1..4");
    expect_refused(ftso_interp_run(interp, 5), "planned for 1..4");
    expect_refused(ftso_interp_run(interp, 4), "input \"x\" has 3 images of 4");
    expect_refused(ftso_interp_run(interp, 1), "batch norm over a single value");
    test_ok(ftso_interp_run(interp, 3));
    test_ok(ftso_interp_run(interp, 2));
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/* With rounding every stored number is a float32; without, it is not. */
static void rounding_is_to_float32(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value x = ftso_graph_input(g, "x", ftso_shape_vector(3)),
               y = ftso_graph_unary(g, "softmax", x);
    ftso_interp *interp = ftso_interp_new(g);
    const double data[3] = {0.1, 0.2, 0.3};
    test_ok(ftso_interp_bind(interp, x, data, 3));
    for (int rounded = 0; rounded < 2; rounded++) {
        ftso_interp_round(interp, rounded);
        test_ok(ftso_interp_run(interp, 1));
        for (int i = 0; i < 3; i++) {
            double value = ftso_interp_get(interp, y)->data[i];
            assert_int_equal(value == (double)(float)value, rounded);
        }
    }
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/*
 * A disturbed sum of K products is as far from the exact one as K multiplications and additions, each rounded at random, take it;
 * one seed gives one result, and none the exact one.
 */
static void disturbance_is_that_of_rounding(void **state)
{
    (void)state;
    enum { CHANNELS = 64, SIDE = 20, K = 9 * CHANNELS, PIXELS = SIDE * SIDE };
    static double image[CHANNELS * PIXELS], kernel[CHANNELS * K], exact[CHANNELS * PIXELS],
        first[CHANNELS * PIXELS];
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value x = ftso_graph_input(g, "x", ftso_shape_image(1, CHANNELS, SIDE, SIDE)),
               w = ftso_graph_input(g, "w", ftso_shape_weight(CHANNELS, CHANNELS, 3, 3));
    const ftso_op *op = ftso_op_find(g->ops, "conv");
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    for (int i = 0; i < op->attr_count; i++)
        attrs[i] = strncmp(op->attrs[i].name, "pad", 3) == 0 ? FTSO_I(1) : op->attrs[i].fallback;
    ftso_value both[] = {x, w};
    ftso_value y = ftso_graph_add(g, "conv", both, 2, attrs, (size_t)op->attr_count);
    test_random random = {7};
    for (int i = 0; i < CHANNELS * PIXELS; i++) image[i] = test_normal(&random);
    for (int i = 0; i < CHANNELS * K; i++) kernel[i] = test_normal(&random);
    ftso_interp *interp = ftso_interp_new(g);
    test_ok(ftso_interp_bind(interp, x, image, CHANNELS * PIXELS));
    test_ok(ftso_interp_bind(interp, w, kernel, CHANNELS * K));
    test_ok(ftso_interp_run(interp, 1));
    memcpy(exact, ftso_interp_get(interp, y)->data, sizeof exact);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        ftso_interp_disturb(interp, seed == 3 ? 1 : seed);
        test_ok(ftso_interp_run(interp, 1));
        const double *got = ftso_interp_get(interp, y)->data;
        if (seed == 1) memcpy(first, got, sizeof first);
        if (seed > 1) assert_int_equal(memcmp(first, got, sizeof first) == 0, seed == 3);
        double difference = 0, norm = 0;
        for (int i = 0; i < CHANNELS * PIXELS; i++) {
            difference += (got[i] - exact[i]) * (got[i] - exact[i]);
            norm += exact[i] * exact[i];
        }
        double expected = 0x1p-24 * sqrt(2.0 * K / 3);
        assert_true(fabs(sqrt(difference / norm) / expected - 1) < 0.1);
    }
    ftso_interp_disturb(interp, 0);
    test_ok(ftso_interp_run(interp, 1));
    assert_memory_equal(exact, ftso_interp_get(interp, y)->data, sizeof exact);
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/* Frozen, relu and max pooling keep the choices of the first run, until freezing is asked for again. */
static void freezing_keeps_choices(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value x = ftso_graph_input(g, "x", ftso_shape_image(1, 1, 1, 2));
    ftso_value r = ftso_graph_unary(g, "relu", x);
    ftso_attr_value window[] = {FTSO_I(2), FTSO_I(1), FTSO_I(0), FTSO_I(1)};
    ftso_value m = ftso_graph_add(g, "max_pool", &x, 1, window, 4);
    ftso_interp *interp = ftso_interp_new(g);
    const double base[2] = {1, -1}, moved[2] = {-3, 5};
    ftso_interp_freeze(interp, true);
    test_ok(ftso_interp_bind(interp, x, base, 2));
    test_ok(ftso_interp_run(interp, 1));
    assert_true(ftso_interp_get(interp, r)->data[0] == 1 &&
                ftso_interp_get(interp, m)->data[0] == 1);
    test_ok(ftso_interp_bind(interp, x, moved, 2));
    test_ok(ftso_interp_run(interp, 1));
    assert_true(ftso_interp_get(interp, r)->data[0] == -3 &&
                ftso_interp_get(interp, r)->data[1] == 0);
    assert_true(ftso_interp_get(interp, m)->data[0] == -3);
    ftso_interp_freeze(interp, true);
    test_ok(ftso_interp_run(interp, 1));
    assert_true(ftso_interp_get(interp, r)->data[1] == 5 &&
                ftso_interp_get(interp, m)->data[0] == 5);
    ftso_interp_freeze(interp, false);
    test_ok(ftso_interp_bind(interp, x, base, 2));
    test_ok(ftso_interp_run(interp, 1));
    assert_true(ftso_interp_get(interp, r)->data[0] == 1 &&
                ftso_interp_get(interp, m)->data[0] == 1);
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/* The shared spelling of batch statistics agrees with batch_norm. */
static void statistics_agree_with_batch_norm(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    ftso_graph *g = &f.graph;
    ftso_value x = ftso_graph_input(g, "x", ftso_shape_image(2, 3, 5, 4)), mean, var, rstd;
    ftso_graph_statistics(g, x, 1e-5, &mean, &var, &rstd);
    ftso_value shift = ftso_graph_times(g, ftso_graph_binary(g, "mul", mean, rstd), -1);
    ftso_value ours =
        ftso_graph_binary(g, "channel_add", ftso_graph_binary(g, "channel_mul", x, rstd), shift);
    ftso_value theirs = ftso_graph_unary(g, "batch_norm", x);
    ftso_interp *interp = ftso_interp_new(g);
    test_random random = {3};
    double data[120];
    for (int i = 0; i < 120; i++) data[i] = 3 + test_normal(&random);
    test_ok(ftso_interp_bind(interp, x, data, 120));
    test_ok(ftso_interp_run(interp, 2));
    for (int i = 0; i < 120; i++)
        assert_true(fabs(ftso_interp_get(interp, ours)->data[i] -
                         ftso_interp_get(interp, theirs)->data[i]) < 1e-12);
    for (int c = 0; c < 3; c++) assert_true(ftso_interp_get(interp, var)->data[c] > 0.3);
    ftso_interp_free(interp);
    ftso_arena_deinit(&f.arena);
}

/* Copying every node into a fresh graph changes nothing: what a rebuilding pass relies on. */
static void copies_are_faithful(void **state)
{
    (void)state;
    fixture f, g;
    fixture_init(&f), fixture_init(&g);
    build_sample(&f.graph);
    for (size_t i = 0; i < f.graph.node_count; i++)
        assert_int_equal(ftso_graph_copy(&g.graph, &f.graph.nodes[i], f.graph.nodes[i].inputs), i);
    for (size_t i = 0; i < f.graph.output_count; i++)
        ftso_graph_output(&g.graph, f.graph.outputs[i].name, f.graph.outputs[i].value,
                          f.graph.outputs[i].state);
    test_ok(ftso_graph_verify(&g.graph));
    ftso_text text;
    ftso_text_init(&text);
    ftso_graph_print(&f.graph, &text);
    expect_text(&g.graph, ftso_text_get(&text));
    ftso_text_deinit(&text);
    ftso_arena_deinit(&f.arena);
    ftso_arena_deinit(&g.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_as_documented),
        cmocka_unit_test(print_parse_print),
        cmocka_unit_test(errors_in_text_are_told),
        cmocka_unit_test(damaged_text_is_harmless),
        cmocka_unit_test(verifier_finds_each_damage),
        cmocka_unit_test(views_become_one_pack),
        cmocka_unit_test(elements_become_one_stack),
        cmocka_unit_test(overlapping_runs_add_up),
        cmocka_unit_test(special_gradients),
        cmocka_unit_test(gradients_are_reproducible),
        cmocka_unit_test(gradient_golden),
        cmocka_unit_test(any_smaller_batch_runs_exactly),
        cmocka_unit_test(states_change_together),
        cmocka_unit_test(wrong_runs_are_refused),
        cmocka_unit_test(rounding_is_to_float32),
        cmocka_unit_test(disturbance_is_that_of_rounding),
        cmocka_unit_test(freezing_keeps_choices),
        cmocka_unit_test(statistics_agree_with_batch_norm),
        cmocka_unit_test(copies_are_faithful),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
