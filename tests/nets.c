/*
 * tests/nets: see nets.h.
 */
#include "tests/nets.h"
#include "tests/region_run.h"
#include "frontend/frontend.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- the DARTS super-net */

static const ftso_opset *find_opset(const ftso_unit *unit, const char *name)
{
    for (size_t i = 0; i < unit->opset_count; i++)
        if (strcmp(unit->opsets[i]->name, name) == 0) return unit->opsets[i];
    fail_msg("no opset %s", name);
    return NULL;
}

static const ftso_unit *read_unit(ftso_arena *arena, ftso_diag *diag, const char *path)
{
    ftso_ast *ast;
    ftso_diag_init(diag, arena);
    test_ok(ftso_parse_file(arena, diag, path, &ast));
    const ftso_unit *unit = ftso_check(arena, diag, ast);
    assert_non_null(unit);
    return unit;
}

ftso_graph *nets_darts(ftso_arena *arena, const nets_options *options)
{
    ftso_diag diag;
    const ftso_unit *unit = read_unit(arena, &diag, FTSO_SOURCE_DIR "/examples/darts.ftso");
    ftso_arith *k = FTSO_NEW(arena, ftso_arith);
    *k = (ftso_arith){
        .kind = FTSO_ARITH_NUMBER, .num = options->k, .den = 1, .value = (double)options->k};
    ftso_arg parameter = {.name = "K", .value = k};
    ftso_lower_options lower = {.batch = options->batch,
                                .image_side = options->side,
                                .layers = options->layers,
                                .channels = options->channels,
                                .ops = find_opset(unit, options->opset),
                                .parameters = &parameter,
                                .parameter_count = 1,
                                .normalize = FTSO_NORMALIZE_SOFTMAX,
                                .edge_weights = true};
    ftso_network *network = ftso_lower_supernet(arena, &diag, unit->spaces[0], &lower);
    assert_non_null(network);
    if (options->no_step) return network->graph;
    ftso_optimizer sgd = {.kind = FTSO_SGD, .momentum = 0.9, .weight_decay = 3e-4, .clip = 5};
    ftso_optimizer adam = {
        .kind = FTSO_ADAM, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-3};
    ftso_value gradient =
        ftso_lower_step(network, options->of_arch ? &adam : &sgd, options->of_arch);
    ftso_graph_output(network->graph, "gradient", gradient, FTSO_NO_VALUE);
    return network->graph;
}

ftso_graph *nets_found(ftso_arena *arena, const char *cell, bool inference)
{
    ftso_diag diag;
    const ftso_unit *unit = read_unit(arena, &diag, FTSO_SOURCE_DIR "/examples/published.ftso");
    ftso_dataset images = {.channels = 3, .side = 32, .classes = 4};
    ftso_train recipe = {
        .dataset = &images,
        .layers = 3,
        .channels = 4,
        .batch = 3,
        .drop_path = 0.3,
        .aux_weight = 0.5,
        .label_smoothing = 0.1,
        .optimizer = {
            .kind = FTSO_SGD, .momentum = 0.9, .weight_decay = 3e-4, .clip = 5, .nesterov = true}};
    ftso_lower_options lower = ftso_train_lower_options(&recipe, inference);
    for (size_t i = 0; i < unit->genotype_count; i++) {
        if (strcmp(unit->genotypes[i]->name, cell) != 0) continue;
        ftso_network *network =
            ftso_lower_network(arena, &diag, unit->genotypes[i]->space, unit->genotypes[i], &lower);
        assert_non_null(network);
        if (inference) return network->graph;
        ftso_value gradient = ftso_lower_step(network, &recipe.optimizer, false);
        ftso_graph_output(network->graph, "gradient", gradient, FTSO_NO_VALUE);
        return network->graph;
    }
    fail_msg("no genotype %s", cell);
    return NULL;
}

/* ---------------------------------------------------------------- random graphs */

enum { POOL = 64, WIDTH = 8, RANDOM_STEPS = 28, MASKS = 11 };

typedef struct growing {
    ftso_graph *graph;
    test_random *random;
    ftso_value images[POOL]; /* candidates for operands */
    size_t image_count;
    ftso_value weights, arch, masks;
    int64_t weight_used, side;
} growing;

static ftso_value pick(growing *g)
{
    /* the newer the likelier, so that chains grow */
    size_t back = (size_t)test_below(g->random, test_below(g->random, (int64_t)g->image_count) + 1);
    return g->images[g->image_count - 1 - back];
}

/* An image of the same shape as `like`, maybe `like` itself. */
static ftso_value pick_like(growing *g, ftso_value like)
{
    for (int i = 0; i < 20; i++) {
        ftso_value other = pick(g);
        if (ftso_shape_equal(ftso_graph_shape(g->graph, other), ftso_graph_shape(g->graph, like)))
            return other;
    }
    return like;
}

static ftso_value kernel(growing *g, int64_t out, int64_t in, int64_t side)
{
    ftso_shape shape = ftso_shape_weight(out, in, side, side);
    int64_t count = ftso_shape_count(shape), total = ftso_graph_shape(g->graph, g->weights).dim[0];
    int64_t at = g->weight_used + count <= total ? g->weight_used : 0; /* some kernels are shared */
    g->weight_used += count;
    return ftso_graph_view(g->graph, g->weights, at, shape);
}

static ftso_value beta(growing *g)
{
    int64_t count = ftso_graph_shape(g->graph, g->arch).dim[0];
    ftso_attr_value index = FTSO_I(test_below(g->random, count));
    return ftso_graph_add(g->graph, "element", &g->arch, 1, &index, 1);
}

static ftso_value convolve(growing *g, ftso_value x, int64_t kernel_side, int64_t shift)
{
    int64_t channels = ftso_graph_shape(g->graph, x).dim[1], pad = (kernel_side - 1) / 2;
    ftso_attr_value attrs[] = {FTSO_I(1),   FTSO_I(1),   FTSO_I(pad),
                               FTSO_I(pad), FTSO_I(pad), FTSO_I(pad)};
    if (shift && ftso_graph_shape(g->graph, x).dim[2] > 1)
        x = ftso_graph_add(g->graph, "shift", &x, 1,
                           (ftso_attr_value[]){FTSO_I(shift), FTSO_I(shift)}, 2);
    ftso_value w = kernel(g, WIDTH, channels, kernel_side);
    return ftso_graph_add(g->graph, "conv", (ftso_value[]){x, w}, 2, attrs, 6);
}

/* relu, then two strided 1x1 convolutions, the second on the image moved by one pixel; side by side, normalised. */
static ftso_value halve(growing *g, ftso_value x)
{
    ftso_graph *graph = g->graph;
    ftso_shape shape = ftso_graph_shape(graph, x);
    if (shape.dim[2] < 2) return x;
    ftso_value from = ftso_graph_unary(graph, "relu", x), halves[2];
    ftso_attr_value stride = FTSO_I(2), one[2] = {FTSO_I(1), FTSO_I(1)};
    for (int i = 0; i < 2; i++) {
        ftso_value w = kernel(g, WIDTH / 2, shape.dim[1], 1);
        halves[i] = ftso_graph_add(graph, "conv", (ftso_value[]){from, w}, 2, &stride, 1);
        from = ftso_graph_add(graph, "shift", &from, 1, one, 2);
    }
    ftso_value both = ftso_graph_add(graph, "concat", halves, 2, NULL, 0);
    return ftso_graph_add(graph, "batch_norm", &both, 1, NULL, 0);
}

/* Batch norm with trainable scale and offset, views of the weights. */
static ftso_value normalise(growing *g, ftso_value x)
{
    int64_t channels = ftso_graph_shape(g->graph, x).dim[1];
    ftso_shape shape = ftso_shape_vector(channels);
    ftso_value operands[3] = {x, ftso_graph_view(g->graph, g->weights, 3, shape),
                              ftso_graph_view(g->graph, g->weights, 3 + channels, shape)};
    return ftso_graph_add(g->graph, "batch_norm", operands, 3, NULL, 0);
}

static ftso_value depthwise(growing *g, ftso_value x)
{
    int64_t channels = ftso_graph_shape(g->graph, x).dim[1];
    ftso_attr_value attrs[] = {FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1), FTSO_I(1)};
    ftso_value operands[2] = {x, kernel(g, channels, 1, 3)};
    return ftso_graph_add(g->graph, "dwconv", operands, 2, attrs, 6);
}

static ftso_value grow(growing *g)
{
    ftso_graph *graph = g->graph;
    ftso_value x = pick(g);
    int64_t channels = ftso_graph_shape(graph, x).dim[1];
    switch (test_below(g->random, 20)) {
    case 0:
        return ftso_graph_unary(graph, "relu", x);
    case 1:
        return convolve(g, x, 1, test_below(g->random, 3) - 1);
    case 2:
        return convolve(g, ftso_graph_unary(graph, "relu", x), 3, 0);
    case 3:
        return ftso_graph_add(graph, "batch_norm", &x, 1, NULL, 0);
    case 4:
    case 5:
        return ftso_graph_binary(graph, "scale", x, beta(g));
    case 6:
    case 7:
        return ftso_graph_binary(graph, "add", x, pick_like(g, x));
    case 8: {
        ftso_value terms[3] = {ftso_graph_binary(graph, "scale", x, beta(g)), pick_like(g, x),
                               ftso_graph_binary(graph, "scale", pick_like(g, x), beta(g))};
        return ftso_graph_sum(graph, terms, 3);
    }
    case 9:
        return ftso_graph_binary(graph, "sub", x, pick_like(g, x));
    case 10: {
        if (channels % 4) return x;
        ftso_attr_value attrs[] = {FTSO_I(4), FTSO_I(1 + test_below(g->random, 3))};
        return ftso_graph_add(graph, "shuffle", &x, 1, attrs, 2);
    }
    case 11: {
        if (channels < 2) return x;
        ftso_attr_value attrs[] = {FTSO_I(0), FTSO_I(channels / 2), FTSO_I(channels)};
        ftso_value halves[2] = {ftso_graph_add(graph, "slice", &x, 1, attrs, 2),
                                ftso_graph_add(graph, "slice", &x, 1, attrs + 1, 2)};
        if (test_below(g->random, 2)) halves[0] = ftso_graph_unary(graph, "relu", halves[0]);
        return ftso_graph_add(graph, "concat", halves, 2, NULL, 0);
    }
    case 12: {
        if (channels > 2 * WIDTH) return x;
        ftso_value both[2] = {x, pick_like(g, x)};
        return ftso_graph_add(graph, "concat", both, 2, NULL, 0);
    }
    case 13: {
        ftso_attr_value attrs[] = {FTSO_I(3), FTSO_I(1), FTSO_I(1),
                                   FTSO_I(1), FTSO_I(1), FTSO_I(1)};
        return ftso_graph_add(graph, "max_pool", &x, 1, attrs, 6);
    }
    case 14: {
        ftso_attr_value attrs[] = {FTSO_I(3), FTSO_I(1), FTSO_I(1),
                                   FTSO_I(1), FTSO_I(1), FTSO_I(1)};
        return ftso_graph_add(graph, "avg_pool", &x, 1, attrs, 6);
    }
    case 15:
        return halve(g, x);
    case 16:
        return normalise(g, x);
    case 17:
        return depthwise(g, x);
    case 18: {
        ftso_attr_value index = FTSO_I(test_below(g->random, MASKS));
        ftso_value mask = ftso_graph_add(graph, "column", &g->masks, 1, &index, 1);
        return ftso_graph_binary(graph, "sample_mul", x, mask);
    }
    default: {
        if (channels < 4) return x;
        int64_t begin = test_below(g->random, channels / 2);
        ftso_attr_value attrs[] = {FTSO_I(begin), FTSO_I(begin + channels / 2)};
        return ftso_graph_add(graph, "slice", &x, 1, attrs, 2);
    }
    }
}

ftso_graph *nets_random(ftso_arena *arena, test_random *random)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    growing g = {.graph = graph, .random = random, .side = 3 + test_below(random, 3)};
    ftso_value image = ftso_graph_input(graph, "image", ftso_shape_image(3, WIDTH, g.side, g.side));
    ftso_value label =
        ftso_graph_input(graph, "label", (ftso_shape){.rank = 1, .batched = true, .dim = {3}});
    g.masks = ftso_graph_input(graph, "masks", ftso_shape_image(3, MASKS, 1, 1));
    g.weights = ftso_graph_state(graph, "weights", ftso_shape_vector(2400));
    ftso_value raw = ftso_graph_state(graph, "arch", ftso_shape_vector(5));
    g.arch = ftso_graph_unary(graph, "softmax", raw);
    g.images[g.image_count++] = image;
    int64_t steps = 6 + test_below(random, RANDOM_STEPS);
    for (int64_t i = 0; i < steps && g.image_count < POOL; i++)
        g.images[g.image_count++] = grow(&g);
    ftso_value last = g.images[g.image_count - 1];
    ftso_value pooled = ftso_graph_unary(graph, "global_avg_pool", last);
    int64_t channels = ftso_graph_shape(graph, pooled).dim[1];
    ftso_value head = ftso_graph_view(graph, g.weights, 0, ftso_shape_weight(4, channels, 1, 1));
    ftso_value logits = ftso_graph_binary(graph, "conv", pooled, head);
    ftso_value loss = ftso_graph_binary(graph, "cross_entropy", logits, label);
    ftso_value wrt[2] = {g.weights, raw}, gradients[2];
    ftso_graph_gradient(graph, loss, wrt, 2, gradients);
    ftso_graph_output(graph, "loss", loss, FTSO_NO_VALUE);
    ftso_graph_output(graph, "logits", logits, FTSO_NO_VALUE);
    ftso_graph_output(graph, "d_weights", gradients[0], FTSO_NO_VALUE);
    ftso_graph_output(graph, "d_arch", gradients[1], FTSO_NO_VALUE);
    if (test_below(random, 2))
        ftso_graph_output(graph, "image_out", g.images[g.image_count / 2], FTSO_NO_VALUE);
    ftso_value step = ftso_graph_times(graph, gradients[0], 0.1);
    ftso_graph_output(graph, "weights", ftso_graph_binary(graph, "sub", g.weights, step),
                      g.weights);
    return graph;
}

/* ---------------------------------------------------------------- contents */

nets_leaf *nets_leaves(ftso_arena *arena, const ftso_graph *graph, int64_t batch, uint64_t seed,
                       size_t *out_count)
{
    nets_leaf *leaves = NULL;
    size_t count = 0, capacity = 0;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (!ftso_node_is(node, "input") && !ftso_node_is(node, "state")) continue;
        nets_leaf leaf = {.name = node->attrs[0].name};
        ftso_shape shape = node->shape;
        if (shape.batched) shape.dim[0] = batch;
        leaf.count = (size_t)ftso_shape_count(shape);
        leaf.data = FTSO_ARRAY(arena, double, leaf.count);
        test_random random = {ftso_hash(seed, leaf.name, strlen(leaf.name))};
        bool labels = strcmp(leaf.name, "label") == 0;
        bool positive = strstr(leaf.name, ".v") || strstr(leaf.name, ".adam") ||
                        strstr(leaf.name, ".lr") || strcmp(leaf.name, "running") == 0;
        for (size_t i = 0; i < leaf.count; i++)
            leaf.data[i] = labels     ? (double)test_below(&random, 4)
                           : positive ? 0.1 + test_uniform(&random)
                                      : 0.3 * test_normal(&random);
        FTSO_PUSH(arena, leaves, count, capacity, leaf);
    }
    *out_count = count;
    return leaves;
}

ftso_graph *nets_passes(ftso_arena *arena, const ftso_graph *graph, const char *const *disabled,
                        size_t disabled_count)
{
    ftso_graph *out;
    test_ok(ftso_passes_run(arena, graph, disabled, disabled_count, NULL, NULL, &out));
    assert_non_null(out);
    return out;
}

static ftso_interp *interpret(const ftso_graph *graph, const nets_leaf *leaves, size_t count,
                              int64_t batch)
{
    ftso_interp *interp = ftso_interp_new(graph);
    assert_non_null(interp);
    for (size_t i = 0; i < count; i++) {
        ftso_value leaf = ftso_graph_find(graph, leaves[i].name);
        assert_int_not_equal(leaf, FTSO_NO_VALUE);
        test_ok(ftso_interp_bind(interp, leaf, leaves[i].data, leaves[i].count));
    }
    test_ok(ftso_interp_run(interp, batch));
    return interp;
}

static const ftso_output *output_named(const ftso_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0) return &graph->outputs[i];
    fail_msg("no output %s", name);
    return NULL;
}

static void same(const char *name, const double *a, const double *b, size_t count, double tolerance)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += a[i] * a[i];
    }
    /* numbers here are of order one: what should vanish may leave their rounding */
    if (!(sqrt(difference) <= tolerance * (sqrt(norm) + 1e-4)))
        fail_msg("output %s: differs by %g of %g", name, sqrt(difference), sqrt(norm));
}

ftso_schedule *nets_schedule(ftso_arena *arena, const ftso_graph *graph)
{
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(arena, nets_passes(arena, graph, NULL, 0), NULL, &schedule));
    test_ok(ftso_schedule_verify(schedule));
    return schedule;
}

void nets_same_graphs(const ftso_graph *a, const ftso_graph *b, int64_t batch, double tolerance)
{
    ftso_arena arena;
    size_t count;
    ftso_arena_init(&arena);
    nets_leaf *leaves = nets_leaves(&arena, a, batch, 7, &count);
    ftso_interp *left = interpret(a, leaves, count, batch);
    ftso_interp *right = interpret(b, leaves, count, batch);
    assert_int_equal(a->output_count, b->output_count);
    for (size_t i = 0; i < a->output_count; i++) {
        const ftso_output *output = output_named(b, a->outputs[i].name);
        const ftso_tensor *x = ftso_interp_get(left, a->outputs[i].value);
        const ftso_tensor *y = ftso_interp_get(right, output->value);
        assert_true(ftso_shape_equal(x->shape, y->shape));
        same(output->name, x->data, y->data, (size_t)ftso_shape_count(x->shape), tolerance);
    }
    ftso_interp_free(left);
    ftso_interp_free(right);
    ftso_arena_deinit(&arena);
}

void nets_same_schedule(const ftso_graph *graph, const ftso_schedule *schedule, int64_t batch,
                        double tolerance)
{
    ftso_arena arena;
    size_t count;
    ftso_arena_init(&arena);
    nets_leaf *leaves = nets_leaves(&arena, graph, batch, 7, &count);
    ftso_interp *interp = interpret(graph, leaves, count, batch);
    region_run *run = region_run_new(schedule);
    for (size_t i = 0; i < count; i++) {
        ftso_value leaf = ftso_graph_find(schedule->graph, leaves[i].name);
        region_run_bind(run, leaf, leaves[i].data, leaves[i].count);
    }
    region_run_go(run, batch);
    for (size_t i = 0; i < graph->output_count; i++) {
        const ftso_output *output = output_named(schedule->graph, graph->outputs[i].name);
        const ftso_tensor *x = ftso_interp_get(interp, graph->outputs[i].value);
        same(output->name, x->data, region_run_get(run, output->value),
             (size_t)ftso_shape_count(x->shape), tolerance);
        if (output->state == FTSO_NO_VALUE) continue;
        same(output->name, x->data, region_run_get(run, output->state),
             (size_t)ftso_shape_count(x->shape), tolerance);
    }
    region_run_free(run);
    ftso_interp_free(interp);
    ftso_arena_deinit(&arena);
}
