/*
 * Gradients of whole networks: 100 random networks, found cells and super-nets, against directional central differences.
 *
 * In: the DARTS and NAS-Bench-201 records, random genotypes, operator sets, K, widths and batches. The loss's gradient by
 * all weights, and in super-nets by all betas and alphas, against (L(p + h d) - L(p - h d)) / 2h with standard normal d,
 * within 1e-6 of the gradient's norm; h = 1e-6 (weights lie near 0.3, so that is 3e-6 of them). ReLU masks and
 * pooling choices are frozen at the base point.
 */
#include "records.h"

#include <math.h>
#include <string.h>

static const double h = 1e-6, allowed = 1e-6;
enum { NETWORKS = 100, DIRECTIONS = 2, CLASSES = 3, SIDE = 16 };

static const char *const ops[] = {"none",         "max_pool_3x3", "avg_pool_3x3", "skip_connect",
                                  "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3",
                                  "dil_conv_5x5", "nor_conv_1x1", "nor_conv_3x3", "max_pool_2x2"};

/* Everything of one network: records, graph, contents of its leaves. */
typedef struct trial {
    ftso_arena arena;
    ftso_diag diag;
    rec rec;
    ftso_unit unit;
    ftso_network *network;
    ftso_value by[2], gradients[2];
    double *content[2];
    size_t by_count, sizes[2];
    ftso_text what; /* for messages */
} trial;

static void trial_init(trial *t)
{
    memset(t, 0, sizeof(*t));
    ftso_arena_init(&t->arena);
    ftso_diag_init(&t->diag, &t->arena);
    ftso_text_init(&t->what);
    t->rec.arena = &t->arena;
}

static void trial_deinit(trial *t)
{
    ftso_text_deinit(&t->what);
    ftso_arena_deinit(&t->arena);
}

static const char *random_op(test_random *random)
{
    return ops[test_below(random, (int64_t)FTSO_COUNT(ops) -
                                      1)]; /* max_pool_2x2 halves: not on every edge */
}

static void random_cell(test_random *random, ftso_text *edges, ftso_text *concat)
{
    for (int node = 2; node < 6; node++)
        for (int e = 0; e < 2; e++)
            ftso_text_printf(edges, "%s %d ", random_op(random), (int)test_below(random, node));
    for (int node = 2; node < 6; node++)
        if (node == 5 || test_below(random, 3)) ftso_text_printf(concat, "%d ", node);
}

/* As they are trained too: drop path, running statistics; with `aux` the auxiliary head, which wants larger images. */
static void found_network(trial *t, test_random *random, bool aux)
{
    ftso_space *space = rec_darts(&t->rec, &t->unit);
    ftso_text text[4];
    for (int i = 0; i < 4; i++) ftso_text_init(&text[i]);
    random_cell(random, &text[0], &text[1]);
    random_cell(random, &text[2], &text[3]);
    ftso_text_printf(&t->what, "normal %s/ %s, reduce %s/ %s", ftso_text_get(&text[0]),
                     ftso_text_get(&text[1]), ftso_text_get(&text[2]), ftso_text_get(&text[3]));
    const ftso_genotype *genotype =
        rec_genotype(&t->rec, &t->unit, space, ftso_text_get(&text[0]), ftso_text_get(&text[1]),
                     ftso_text_get(&text[2]), ftso_text_get(&text[3]));
    ftso_lower_options options = {.batch = 1 + test_below(random, 3),
                                  .image_side = aux ? 2 * SIDE : SIDE,
                                  .classes = CLASSES,
                                  .layers = aux ? 3 : 2 + test_below(random, 2),
                                  .channels = 2 * (1 + test_below(random, 3)),
                                  .label_smoothing = test_below(random, 2) ? 0.1 : 0,
                                  .aux = aux,
                                  .aux_weight = 0.5 * (double)test_below(random, 3),
                                  .drop_path = aux || test_below(random, 2),
                                  .running = aux || test_below(random, 2)};
    if (aux) options.batch = 4;
    ftso_text_printf(&t->what, "%s%s%s", options.aux ? ", auxiliary head" : "",
                     options.drop_path ? ", drop path" : "",
                     options.running ? ", running statistics" : "");
    t->network = ftso_lower_network(&t->arena, &t->diag, space, genotype, &options);
    for (int i = 0; i < 4; i++) ftso_text_deinit(&text[i]);
}

static void super_net(trial *t, test_random *random)
{
    ftso_space *space = rec_darts(&t->rec, &t->unit);
    int64_t k = (int64_t)1 << test_below(random, 3);
    ftso_text names;
    ftso_text_init(&names);
    for (size_t i = 0; i < 8; i++)
        if (test_below(random, 4) == 0) ftso_text_printf(&names, "%s ", ops[i]);
    if (!names.length) ftso_text_puts(&names, "skip_connect ");
    ftso_lower_options options = {.batch = 2 + test_below(random, 2),
                                  .image_side = SIDE,
                                  .classes = CLASSES,
                                  .layers = 2 + test_below(random, 2),
                                  .channels = 8,
                                  .ops = rec_opset(&t->rec, &t->unit, ftso_text_get(&names)),
                                  .normalize = test_below(random, 3) ? FTSO_NORMALIZE_SOFTMAX
                                                                     : FTSO_NORMALIZE_RAW,
                                  .edge_weights = test_below(random, 4) != 0};
    rec_partial(&t->rec, &t->unit, space, k);
    ftso_text_printf(&t->what, "super-net of %s, K = %d", ftso_text_get(&names), (int)k);
    t->network = ftso_lower_supernet(&t->arena, &t->diag, space, &options);
    ftso_text_deinit(&names);
}

/* Initial contents as trainers choose them, with norms' factors and terms moved off 1 and 0. */
static void fill(trial *t, test_random *random)
{
    ftso_network *n = t->network;
    t->by[t->by_count++] = n->weights;
    if (n->arch != FTSO_NO_VALUE) t->by[t->by_count++] = n->arch;
    for (size_t i = 0; i < t->by_count; i++) {
        t->sizes[i] = (size_t)ftso_shape_count(ftso_graph_shape(n->graph, t->by[i]));
        t->content[i] = FTSO_ARRAY(&t->arena, double, t->sizes[i]);
    }
    for (size_t w = 0; w < n->weight_count; w++) {
        const ftso_weight *weight = &n->weight_table[w];
        double bound = weight->fan_in ? 1 / sqrt((double)weight->fan_in) : 0;
        for (int64_t e = 0; e < ftso_shape_count(weight->shape); e++)
            t->content[0][weight->offset + e] = bound > 0
                                                    ? bound * (2 * test_uniform(random) - 1)
                                                    : weight->fill + 0.1 * test_normal(random);
    }
    for (size_t e = 0; t->by_count == 2 && e < t->sizes[1]; e++)
        t->content[1][e] = test_normal(random);
}

static double loss_at(ftso_interp *interp, const trial *t, size_t i, const double *content,
                      int64_t batch)
{
    test_ok(ftso_interp_bind(interp, t->by[i], content, t->sizes[i]));
    test_ok(ftso_interp_run(interp, batch));
    return ftso_interp_get(interp, t->network->loss)->data[0];
}

/* The largest disagreement of the i-th state's gradient, as a share of its norm. */
static double disagreement(trial *t, ftso_interp *forward, const double *gradient, size_t i,
                           int64_t batch, test_random *random)
{
    size_t count = t->sizes[i];
    double *direction = FTSO_ARRAY(&t->arena, double, count),
           *moved = FTSO_ARRAY(&t->arena, double, count);
    double norm = 0, worst = 0;
    for (size_t e = 0; e < count; e++) norm += gradient[e] * gradient[e];
    norm = sqrt(norm);
    if (norm == 0) return 0; /* raw weights of one operator: alphas that do nothing */
    for (int d = 0; d < DIRECTIONS; d++) {
        double side[2], slope = 0;
        for (size_t e = 0; e < count; e++)
            slope += gradient[e] * (direction[e] = test_normal(random));
        for (int s = 0; s < 2; s++) {
            for (size_t e = 0; e < count; e++)
                moved[e] = t->content[i][e] + (s ? -h : h) * direction[e];
            side[s] = loss_at(forward, t, i, moved, batch);
        }
        worst = fmax(worst, fabs((side[0] - side[1]) / (2 * h) - slope) / norm);
    }
    test_ok(ftso_interp_bind(forward, t->by[i], t->content[i], count));
    return worst;
}

/* The graph as it is so far, under the same numbers. */
static ftso_graph *copy_graph(trial *t)
{
    ftso_graph *copy = FTSO_NEW(&t->arena, ftso_graph);
    const ftso_graph *graph = t->network->graph;
    ftso_graph_init(copy, &t->arena, graph->ops);
    for (size_t i = 0; i < graph->node_count; i++)
        ftso_graph_copy(copy, &graph->nodes[i], graph->nodes[i].inputs);
    return copy;
}

/* Masks of drop path (of kept edges 1/keep), statistics; the same in both interpreters. */
static void bind_training(const trial *t, ftso_interp *interp, uint64_t seed, int64_t batch)
{
    const ftso_network *n = t->network;
    test_random random = {seed};
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    if (n->drop_path != FTSO_NO_VALUE) {
        size_t count = (size_t)(batch * n->drop_count);
        double *masks = FTSO_ARRAY(&scratch, double, count);
        for (size_t i = 0; i < count; i++) masks[i] = test_below(&random, 4) ? 4.0 / 3 : 0;
        test_ok(ftso_interp_bind(interp, n->drop_path, masks, count));
    }
    if (n->running != FTSO_NO_VALUE) {
        double *running = FTSO_ARRAY(&scratch, double, (size_t)n->running_total);
        for (int64_t i = 0; i < n->running_total; i++) running[i] = test_uniform(&random);
        test_ok(ftso_interp_bind(interp, n->running, running, (size_t)n->running_total));
    }
    ftso_arena_deinit(&scratch);
}

/* An interpreter at the base point, its choices frozen there. */
static ftso_interp *base_run(trial *t, const ftso_graph *graph, const double *images,
                             size_t image_count, const double *labels, size_t label_count,
                             int64_t batch)
{
    ftso_interp *interp = ftso_interp_new(graph);
    assert_non_null(interp);
    ftso_interp_freeze(interp, true);
    test_ok(ftso_interp_bind(interp, t->network->image, images, image_count));
    test_ok(ftso_interp_bind(interp, t->network->label, labels, label_count));
    bind_training(t, interp, label_count, batch);
    for (size_t i = 0; i < t->by_count; i++)
        test_ok(ftso_interp_bind(interp, t->by[i], t->content[i], t->sizes[i]));
    assert_true(isfinite(loss_at(interp, t, 0, t->content[0], batch)));
    return interp;
}

static void check_network(trial *t, test_random *random, double *worst)
{
    ftso_network *n = t->network;
    if (!n) {
        ftso_text text;
        ftso_text_init(&text);
        ftso_diag_print(&t->diag, &text, false);
        fail_msg("%s: %s", ftso_text_get(&t->what), ftso_text_get(&text));
    }
    fill(t, random);
    ftso_graph *forward_graph = copy_graph(t);
    ftso_graph_gradient(n->graph, n->loss, t->by, t->by_count, t->gradients);
    test_ok(ftso_graph_verify(n->graph));
    ftso_shape image = ftso_graph_shape(n->graph, n->image);
    /* one image of a super-net has logits of nothing but the bias: its cells end in zero-mean norms, then the pool */
    int64_t planned = image.dim[0], least = t->by_count == 2 ? 2 : 1;
    /* the auxiliary head's last norm sees one pixel per image: of two of them it makes nothing but +1 and -1 */
    if (n->aux_logits != FTSO_NO_VALUE) least = planned;
    int64_t batch = least + test_below(random, planned - least + 1);
    size_t image_count = (size_t)ftso_shape_count(image);
    double *images = FTSO_ARRAY(&t->arena, double, image_count), labels[4];
    for (size_t e = 0; e < image_count; e++) images[e] = test_normal(random);
    for (int64_t e = 0; e < planned; e++) labels[e] = (double)test_below(random, CLASSES);
    ftso_interp *whole = base_run(t, n->graph, images, image_count, labels, (size_t)planned, batch);
    ftso_interp *forward =
        base_run(t, forward_graph, images, image_count, labels, (size_t)planned, batch);
    assert_true(ftso_interp_get(whole, n->loss)->data[0] ==
                ftso_interp_get(forward, n->loss)->data[0]);
    for (size_t i = 0; i < t->by_count; i++) {
        double error = disagreement(t, forward, ftso_interp_get(whole, t->gradients[i])->data, i,
                                    batch, random);
        *worst = fmax(*worst, error);
        if (error > allowed)
            fail_msg("%s, %lld images: by %s off by %.3g of its norm", ftso_text_get(&t->what),
                     (long long)batch, i ? "arch" : "weights", error);
    }
    ftso_interp_free(whole);
    ftso_interp_free(forward);
}

static void gradients_of_random_networks(void **state)
{
    (void)state;
    test_random random = {20};
    double worst = 0;
    for (int n = 0; n < NETWORKS; n++) {
        trial t;
        trial_init(&t);
        if (n % 3 == 2)
            super_net(&t, &random);
        else
            found_network(&t, &random, false);
        check_network(&t, &random, &worst);
        trial_deinit(&t);
    }
    print_message("largest disagreement %.2g of the gradient's norm\n", worst);
}

static void gradients_with_auxiliary_head(void **state)
{
    (void)state;
    test_random random = {22};
    double worst = 0;
    for (int n = 0; n < 3; n++) {
        trial t;
        trial_init(&t);
        found_network(&t, &random, true);
        check_network(&t, &random, &worst);
        assert_true(t.network->aux_logits != FTSO_NO_VALUE && t.network->drop_count > 0);
        trial_deinit(&t);
    }
    print_message("largest disagreement %.2g of the gradient's norm\n", worst);
}

/* Softmaxed betas: a constant added to all of one node changes nothing, so its gradients sum to 0. */
static void softmaxed_gradients_sum_to_zero(void **state)
{
    (void)state;
    trial t;
    trial_init(&t);
    test_random random = {21};
    ftso_space *space = rec_darts(&t.rec, &t.unit);
    rec_partial(&t.rec, &t.unit, space, 4);
    ftso_lower_options options = {.batch = 2,
                                  .image_side = SIDE,
                                  .classes = CLASSES,
                                  .layers = 3,
                                  .channels = 8,
                                  .ops = rec_opset(&t.rec, &t.unit, "skip_connect"),
                                  .edge_weights = true};
    t.network = ftso_lower_supernet(&t.arena, &t.diag, space, &options);
    double worst = 0;
    check_network(&t, &random, &worst);
    assert_int_equal(t.sizes[1], 28);
    ftso_network *n = t.network;
    ftso_interp *interp = ftso_interp_new(n->graph);
    double images[2 * 3 * SIDE * SIDE], labels[2] = {0, 2};
    for (size_t i = 0; i < FTSO_COUNT(images); i++) images[i] = test_normal(&random);
    test_ok(ftso_interp_bind(interp, n->image, images, FTSO_COUNT(images)));
    test_ok(ftso_interp_bind(interp, n->label, labels, 2));
    for (size_t i = 0; i < 2; i++)
        test_ok(ftso_interp_bind(interp, t.by[i], t.content[i], t.sizes[i]));
    test_ok(ftso_interp_run(interp, 2));
    const double *gradient = ftso_interp_get(interp, t.gradients[1])->data;
    for (int cell = 0; cell < 2; cell++)
        for (int node = 0, edge = 14 * cell; node < 4; node++) {
            double sum = 0, size = 0;
            for (int from = 0; from < 2 + node; from++, edge++)
                sum += gradient[edge], size += fabs(gradient[edge]);
            assert_true(size > 0 && fabs(sum) <= 1e-12 * size);
        }
    ftso_interp_free(interp);
    trial_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_random_networks),
        cmocka_unit_test(gradients_with_auxiliary_head),
        cmocka_unit_test(softmaxed_gradients_sum_to_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
