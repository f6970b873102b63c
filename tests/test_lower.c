/*
 * Lowering: what edges, nodes, cells and steps compute, how weights are laid out and named, what is refused and how.
 */
#include "records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    rec rec;
    ftso_unit unit;
} fixture;

static void begin(fixture *f)
{
    memset(f, 0, sizeof(*f));
    ftso_arena_init(&f->arena);
    ftso_diag_init(&f->diag, &f->arena);
    f->rec.arena = &f->arena;
}

static void end(fixture *f)
{
    ftso_arena_deinit(&f->arena);
}

/* A space of one cell kind, one input, one cell, no stem but the image itself, a head that needs no weights. */
static ftso_space *tiny(fixture *f, int nodes, const char *edge, int64_t channels, int64_t side)
{
    ftso_space *space = FTSO_NEW(&f->arena, ftso_space);
    ftso_cell_decl *cell = FTSO_NEW(&f->arena, ftso_cell_decl);
    *cell = (ftso_cell_decl){
        .name = "cell", .input_count = 1, .node_count = nodes, .output = FTSO_JOIN_LAST};
    cell->edge_present = FTSO_ARRAY(&f->arena, bool, (size_t)(nodes * nodes));
    for (int j = 0; j < nodes; j++)
        for (int from = 0; from <= j; from++) cell->edge_present[j * nodes + from] = true;
    if (edge) cell->edge = rec_expr(&f->rec, &f->unit, edge);
    space->name = "tiny";
    space->cells = FTSO_NEW(&f->arena, ftso_cell_decl *);
    space->cells[0] = cell;
    space->cell_count = 1;
    space->image_channels = space->classes = channels;
    space->image_side = side;
    space->network = (ftso_stack){.layers = 1, .channels = channels, .normal = cell};
    space->head = rec_expr(&f->rec, &f->unit, "(global_avgpool)");
    return space;
}

static ftso_interp *run(const ftso_network *network, int64_t batch, const double *image,
                        const double *label, const double *weights, const double *arch)
{
    const ftso_graph *graph = network->graph;
    test_ok(ftso_graph_verify(graph));
    ftso_interp *interp = ftso_interp_new(graph);
    ftso_shape shape = ftso_graph_shape(graph, network->image);
    shape.dim[0] = batch;
    test_ok(ftso_interp_bind(interp, network->image, image, (size_t)ftso_shape_count(shape)));
    if (network->label != FTSO_NO_VALUE)
        test_ok(ftso_interp_bind(interp, network->label, label, (size_t)batch));
    if (network->weight_total)
        test_ok(ftso_interp_bind(interp, network->weights, weights, (size_t)network->weight_total));
    if (arch) test_ok(ftso_interp_bind(interp, network->arch, arch, (size_t)network->arch_total));
    return interp;
}

static void fill_random(test_random *random, double *out, size_t count)
{
    for (size_t i = 0; i < count; i++) out[i] = test_normal(random);
}

/* ---------------------------------------------------------------- edges and nodes */

/* logits[c] must be the image mean of channel source[c], times scale. */
static void check_logits(const ftso_network *network, ftso_interp *interp, const double *image,
                         const int *source, double scale)
{
    const ftso_tensor *logits = ftso_interp_get(interp, network->logits);
    int64_t channels = logits->shape.dim[1];
    for (int64_t c = 0; c < channels; c++) {
        double mean = 0;
        for (int i = 0; i < 4; i++) mean += image[source[c] * 4 + i] / 4;
        assert_true(fabs(logits->data[c] - scale * mean) < 1e-12);
    }
}

/* A skip edge of PC-DARTS at stride 1 is the permutation y[j] = x[(j % K) * (C / K) + j / K]. */
static void test_partial_skip_permutes(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
    ftso_space *space = tiny(&f, 1, NULL, 8, 2);
    rec_partial(&f.rec, &f.unit, space, 4);
    space->ops = rec_opset(&f.rec, &f.unit, "skip");
    ftso_lower_options options = {.batch = 1};
    ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
    assert_non_null(network);
    assert_true(network->arch == FTSO_NO_VALUE && network->arch_total == 0 &&
                network->weight_total == 0);
    double image[32], label = 3;
    int source[8];
    test_random random = {1};
    fill_random(&random, image, 32);
    for (int j = 0; j < 8; j++) source[j] = j % 4 * 2 + j / 4;
    ftso_interp *interp = run(network, 1, image, &label, NULL, NULL);
    test_ok(ftso_interp_run(interp, 1));
    check_logits(network, interp, image, source, 1);
    ftso_interp_free(interp);
    end(&f);
}

/* Node 2 = w20 * x + w21 * (w10 * x); softmax per node, or the raw numbers. */
static void test_edge_weights(void **state)
{
    (void)state;
    for (int raw = 0; raw < 2; raw++) {
        fixture f;
        begin(&f);
        rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
        ftso_space *space = tiny(&f, 2, NULL, 2, 2);
        space->ops = rec_opset(&f.rec, &f.unit, "skip");
        ftso_lower_options options = {.batch = 1,
                                      .edge_weights = true,
                                      .normalize =
                                          raw ? FTSO_NORMALIZE_RAW : FTSO_NORMALIZE_SOFTMAX};
        ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
        assert_non_null(network);
        assert_int_equal(network->arch_total, 3);
        assert_int_equal(network->arch_slice_count, 1);
        assert_int_equal(network->arch_slices[0].edge_node[2], 2);
        assert_int_equal(network->arch_slices[0].edge_from[2], 1);
        double image[8], label = 0, arch[3] = {0.3, -0.5, 0.8};
        int source[2] = {0, 1};
        test_random random = {2};
        fill_random(&random, image, 8);
        ftso_interp *interp = run(network, 1, image, &label, NULL, arch);
        test_ok(ftso_interp_run(interp, 1));
        double p = exp(arch[1]) / (exp(arch[1]) + exp(arch[2]));
        double scale = raw ? arch[1] + arch[2] * arch[0] : p + (1 - p);
        check_logits(network, interp, image, source, scale);
        ftso_interp_free(interp);
        end(&f);
    }
}

/* A mixture of none, skip and a doubling: p1 * x + p2 * 2x; betas lie before alphas. */
static void test_mixture(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "nothing", "C s", "(zero stride=s)");
    rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
    rec_op(&f.rec, &f.unit, "twice", "C s", "(> (| (identity) (identity)) (sum))");
    ftso_space *space = tiny(&f, 1, NULL, 2, 2);
    space->ops = rec_opset(&f.rec, &f.unit, "nothing skip twice");
    ftso_lower_options options = {.batch = 1, .edge_weights = true};
    ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
    assert_non_null(network);
    assert_int_equal(network->arch_total, 4);
    assert_int_equal(network->arch_slices[0].beta_offset, 0);
    assert_int_equal(network->arch_slices[0].alpha_offset, 1);
    double image[8], label = 0, arch[4] = {0.7, 0.1, 0.9, -0.4};
    int source[2] = {0, 1};
    test_random random = {3};
    fill_random(&random, image, 8);
    ftso_interp *interp = run(network, 1, image, &label, NULL, arch);
    test_ok(ftso_interp_run(interp, 1));
    double sum = exp(arch[1]) + exp(arch[2]) + exp(arch[3]);
    check_logits(network, interp, image, source, (exp(arch[2]) + 2 * exp(arch[3])) / sum);
    ftso_interp_free(interp);
    end(&f);
}

/* ---------------------------------------------------------------- layout of weights */

static void check_table(const ftso_network *network)
{
    int64_t offset = 0;
    for (size_t i = 0; i < network->weight_count; i++) {
        const ftso_weight *w = &network->weight_table[i];
        assert_int_equal(w->offset, offset);
        offset += ftso_shape_count(w->shape);
        assert_true(w->fan_in > 0 || w->fill == 0 || w->fill == 1);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(w->name, network->weight_table[k].name);
    }
    assert_int_equal(offset, network->weight_total);
    assert_int_equal(ftso_graph_shape(network->graph, network->weights).dim[0], offset);
}

static const ftso_weight *weight_named(const ftso_network *network, const char *name)
{
    for (size_t i = 0; i < network->weight_count; i++)
        if (!strcmp(network->weight_table[i].name, name)) return &network->weight_table[i];
    fail_msg("no weight is named %s", name);
    return NULL;
}

static void test_weight_table(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space *space = rec_darts(&f.rec, &f.unit);
    ftso_lower_options options = {.batch = 2, .edge_weights = true};
    ftso_network *super = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
    assert_non_null(super);
    check_table(super);
    assert_int_equal(weight_named(super, "stem.0.weight")->fan_in, 27);
    assert_int_equal(weight_named(super, "cells.0.edge.2-0.op.4.1.weight")->fan_in, 9);
    assert_int_equal(weight_named(super, "head.1.bias")->fan_in, 256);
    /* Both operators of node 2 read state 0: the second one's weights have names of their own. */
    ftso_genotype *genotype =
        rec_genotype(&f.rec, &f.unit, space,
                     "sep_conv_3x3 0 sep_conv_5x5 0 skip_connect 1 dil_conv_3x3 2 sep_conv_3x3 1 "
                     "sep_conv_3x3 0 skip_connect 0 dil_conv_5x5 4",
                     "2 3 4 5",
                     "max_pool_3x3 0 skip_connect 1 skip_connect 0 sep_conv_3x3 2 sep_conv_3x3 1 "
                     "sep_conv_3x3 0 skip_connect 0 dil_conv_5x5 4",
                     "2 3 5");
    options = (ftso_lower_options){.batch = 2, .layers = 3, .aux = true};
    ftso_network *network = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
    assert_non_null(network);
    check_table(network);
    assert_int_equal(weight_named(network, "cells.0.edge.2-0.1.weight")->shape.dim[2], 3);
    assert_int_equal(weight_named(network, "cells.0.edge.2-0-1.1.weight")->shape.dim[2], 5);
    /* Cells 1 and 2 reduce; the older input of cell 2 is twice as wide, so it is prepared with stride 2. */
    assert_int_equal(weight_named(network, "cells.2.pre.0.1.0.weight")->shape.dim[0], 36 * 2);
    assert_int_equal(weight_named(network, "auxiliary.8.bias")->shape.dim[0], 10);
    end(&f);
}

/* Found and super-net differ by mode alone: no batch norm behind a pool, affine batch norm elsewhere. */
static void test_modes(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space *space = rec_darts(&f.rec, &f.unit);
    ftso_lower_options options = {.batch = 2, .ops = rec_opset(&f.rec, &f.unit, "max_pool_3x3")};
    ftso_network *super = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
    const char *pools =
        "max_pool_3x3 0 max_pool_3x3 1 max_pool_3x3 0 max_pool_3x3 1 max_pool_3x3 0 max_pool_3x3 1 "
        "max_pool_3x3 0 max_pool_3x3 1";
    ftso_genotype *genotype =
        rec_genotype(&f.rec, &f.unit, space, pools, "2 3 4 5", pools, "2 3 4 5");
    ftso_network *found = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
    assert_true(super && found);
    size_t norms[2] = {0}, affine[2] = {0}, pooled[2] = {0};
    const ftso_network *networks[] = {super, found};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < networks[k]->graph->node_count; i++) {
            const ftso_node *node = &networks[k]->graph->nodes[i];
            pooled[k] += ftso_node_is(node, "max_pool");
            norms[k] += ftso_node_is(node, "batch_norm");
            affine[k] += ftso_node_is(node, "batch_norm") && node->input_count == 3;
        }
    assert_int_equal(pooled[0], 8 * 14);
    assert_int_equal(norms[0], 1 + 8 * 2 + 8 * 14);
    assert_int_equal(affine[0], 1);
    assert_int_equal(pooled[1], 20 * 8);
    assert_int_equal(norms[1], 1 + 20 * 2);
    assert_int_equal(affine[1], norms[1]);
    end(&f);
}

static void test_pruned_supernet(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space *space = rec_darts(&f.rec, &f.unit);
    const char *chain =
        "skip_connect 1 skip_connect 0 skip_connect 2 skip_connect 1 skip_connect 3 skip_connect 2 "
        "skip_connect 4 skip_connect 3";
    ftso_lower_options options = {.batch = 2,
                                  .edge_weights = true,
                                  .prune =
                                      rec_genotype(&f.rec, &f.unit, space, chain, "", chain, "")};
    ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
    assert_non_null(network);
    assert_int_equal(network->arch_total, 2 * 8 + 2 * 8 * 8);
    const int from[] = {0, 1, 1, 2, 2, 3, 3, 4};
    for (int e = 0; e < 8; e++) {
        assert_int_equal(network->arch_slices[1].edge_from[e], from[e]);
        assert_int_equal(network->arch_slices[1].edge_node[e], 2 + e / 2);
    }
    end(&f);
}

/* ---------------------------------------------------------------- inference */

static void test_inference(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "norm", "C s", "(bn)");
    ftso_space *space = tiny(&f, 1, NULL, 2, 2);
    space->ops = rec_opset(&f.rec, &f.unit, "norm");
    ftso_genotype *genotype = rec_genotype(&f.rec, &f.unit, space, "norm 0", "", NULL, NULL);
    ftso_lower_options options = {.batch = 1, .inference = true};
    ftso_network *network = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
    assert_non_null(network);
    assert_true(network->loss == FTSO_NO_VALUE && network->label == FTSO_NO_VALUE);
    assert_int_equal(network->running_total, 4);
    assert_int_equal(network->running_count, 2);
    assert_string_equal(network->running_table[1].name, "cells.0.edge.1-0.running_var");
    assert_true(network->running_table[0].fill == 0 && network->running_table[1].fill == 1);
    const double image[8] = {1, 2, 3, 4, -1, 0, 2, 5}, weights[4] = {1.5, -0.5, 0.25, 2},
                 running[4] = {0.5, 1, 4, 9};
    ftso_interp *interp = run(network, 1, image, NULL, weights, NULL);
    test_ok(ftso_interp_bind(interp, network->running, running, 4));
    test_ok(ftso_interp_run(interp, 1));
    const ftso_tensor *logits = ftso_interp_get(interp, network->logits);
    assert_true(fabs(logits->data[0] - ((2.5 - 0.5) / sqrt(4 + 1e-5) * 1.5 + 0.25)) < 1e-12);
    assert_true(fabs(logits->data[1] - ((1.5 - 1.0) / sqrt(9 + 1e-5) * -0.5 + 2)) < 1e-12);
    ftso_interp_free(interp);
    end(&f);
}

/* ---------------------------------------------------------------- training */

/* Mean and unbiased variance of y = w x + b, both channels, over `batch` images of 2 x 2 pixels. */
static void measure_plainly(const double *image, int64_t batch, const double *w, double *out)
{
    double y[2][16], bias[2] = {w[4], w[5]};
    for (int64_t n = 0; n < batch; n++)
        for (int c = 0; c < 2; c++)
            for (int i = 0; i < 4; i++)
                y[c][n * 4 + i] =
                    w[2 * c] * image[n * 8 + i] + w[2 * c + 1] * image[n * 8 + 4 + i] + bias[c];
    for (int c = 0; c < 2; c++) {
        double mean = 0, var = 0, count = 4 * (double)batch;
        for (int64_t i = 0; i < 4 * batch; i++) mean += y[c][i] / count;
        for (int64_t i = 0; i < 4 * batch; i++) var += pow(y[c][i] - mean, 2) / (count - 1);
        out[c] = mean;
        out[2 + c] = var;
    }
}

/* Statistics of a biased convolution; each run moves them by a tenth, over the images of that run. */
static void test_running_statistics(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "norm", "C s", "(> (conv C=C k=1 bias=1) (bn))");
    ftso_space *space = tiny(&f, 1, NULL, 2, 2);
    space->ops = rec_opset(&f.rec, &f.unit, "norm");
    ftso_genotype *genotype = rec_genotype(&f.rec, &f.unit, space, "norm 0", "", NULL, NULL);
    ftso_lower_options options = {.batch = 3, .running = true};
    ftso_network *network = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
    assert_non_null(network);
    assert_int_equal(network->running_total, 4);
    double image[24], label[3] = {0, 1, 1}, weights[10], running[4] = {0.5, 1, 4, 9}, expected[4];
    test_random random = {5};
    fill_random(&random, image, 24);
    fill_random(&random, weights, 10);
    ftso_interp *interp = run(network, 3, image, label, weights, NULL);
    test_ok(ftso_interp_bind(interp, network->running, running, 4));
    for (int64_t batch = 3; batch >= 2; batch--) {
        test_ok(ftso_interp_bind(interp, network->image, image, (size_t)batch * 8));
        test_ok(ftso_interp_bind(interp, network->label, label, (size_t)batch));
        test_ok(ftso_interp_run(interp, batch));
        measure_plainly(image, batch, weights, expected);
        for (int i = 0; i < 4; i++) {
            running[i] = 0.9 * running[i] + 0.1 * expected[i];
            double now = ftso_interp_get(interp, network->graph->outputs[2].value)->data[i];
            assert_true(fabs(now - running[i]) < 1e-12 * (1 + fabs(running[i])));
        }
    }
    assert_string_equal(network->graph->outputs[2].name, "running");
    assert_true(network->graph->outputs[2].state == network->running);
    ftso_interp_free(interp);
    end(&f);
}

/* What lowers to its operand alone is never dropped, whatever it is called; everything else has a column of its own. */
static void test_drop_path(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "skip_connect", "C s", "(shuffle groups=1)");
    rec_op(&f.rec, &f.unit, "conv", "C s", "(? s 1 (identity) (zero))");
    ftso_space *space = tiny(&f, 2, NULL, 2, 2);
    space->ops = rec_opset(&f.rec, &f.unit, "skip_connect conv");
    ftso_genotype *genotype = rec_genotype(&f.rec, &f.unit, space,
                                           "skip_connect 0 conv 0 skip_connect 1", "", NULL, NULL);
    ftso_lower_options options = {.batch = 2, .drop_path = true};
    ftso_network *network = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
    assert_non_null(network);
    assert_int_equal(network->drop_count, 2);
    ftso_shape shape = ftso_graph_shape(network->graph, network->drop_path);
    assert_true(ftso_shape_equal(shape, ftso_shape_image(2, 2, 1, 1)));
    assert_true(ftso_graph_find(network->graph, "drop_path") == network->drop_path);
    /* node 1 = m0 x; node 2 = x + m1 node 1 */
    double image[16], label[2] = {0, 1}, masks[4] = {2, 0.5, 3, 4};
    test_random random = {6};
    fill_random(&random, image, 16);
    ftso_interp *interp = run(network, 2, image, label, NULL, NULL);
    test_ok(ftso_interp_bind(interp, network->drop_path, masks, 4));
    test_ok(ftso_interp_run(interp, 2));
    const ftso_tensor *logits = ftso_interp_get(interp, network->logits);
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 2; c++) {
            const double *m = masks + 2 * n, *x = image + 8 * n + 4 * c;
            double mean = (x[0] + x[1] + x[2] + x[3]) / 4;
            assert_true(fabs(logits->data[2 * n + c] - mean * (1 + m[1] * m[0])) < 1e-12);
        }
    ftso_interp_free(interp);
    /* nothing to drop: no such input */
    genotype = rec_genotype(&f.rec, &f.unit, space, "conv 0 conv 0 conv 1", "", NULL, NULL);
    network = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
    assert_non_null(network);
    assert_true(network->drop_path == FTSO_NO_VALUE && network->drop_count == 0);
    assert_true(ftso_graph_find(network->graph, "drop_path") == FTSO_NO_VALUE);
    end(&f);
}

static void check_equal_tables(const ftso_weight *a, const ftso_weight *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(a[i].name, b[i].name);
        assert_true(a[i].offset == b[i].offset && ftso_shape_equal(a[i].shape, b[i].shape));
        assert_true(a[i].fan_in == b[i].fan_in && a[i].fill == b[i].fill);
    }
}

/* One state serves training and evaluation; without the auxiliary head the rest lies where it lay. */
static void test_forms_of_a_recipe(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space *space = rec_darts(&f.rec, &f.unit);
    const char *mixed =
        "skip_connect 0 sep_conv_3x3 1 skip_connect 0 skip_connect 1 max_pool_3x3 0 skip_connect 2 "
        "skip_connect 0 dil_conv_3x3 1";
    ftso_genotype *genotype =
        rec_genotype(&f.rec, &f.unit, space, mixed, "2 3 4 5", mixed, "2 3 4 5");
    ftso_dataset images = {.channels = 3, .side = 32, .classes = 7};
    ftso_train recipe = {.dataset = &images,
                         .layers = 6,
                         .channels = 8,
                         .batch = 4,
                         .drop_path = 0.2,
                         .aux_weight = 0.3,
                         .label_smoothing = 0.1};
    ftso_network *forms[3];
    for (int i = 0; i < 3; i++) {
        if (i == 2) recipe.aux_weight = 0;
        ftso_lower_options options = ftso_train_lower_options(&recipe, i > 0);
        forms[i] = ftso_lower_network(&f.arena, &f.diag, space, genotype, &options);
        assert_non_null(forms[i]);
    }
    /* six cells, two of them reductions; a skip from a cell input is an identity only where its stride is 1 */
    assert_int_equal(forms[0]->drop_count, 4 * 3 + 2 * 7);
    assert_true(forms[1]->drop_path == FTSO_NO_VALUE);
    assert_int_equal(forms[0]->weight_count, forms[1]->weight_count);
    assert_int_equal(forms[0]->running_count, forms[1]->running_count);
    assert_true(forms[0]->weight_total == forms[1]->weight_total &&
                forms[0]->running_total == forms[1]->running_total);
    check_equal_tables(forms[0]->weight_table, forms[1]->weight_table, forms[0]->weight_count);
    check_equal_tables(forms[0]->running_table, forms[1]->running_table, forms[0]->running_count);
    assert_true(forms[2]->weight_count < forms[1]->weight_count);
    check_equal_tables(forms[2]->weight_table, forms[1]->weight_table, forms[2]->weight_count);
    check_equal_tables(forms[2]->running_table, forms[1]->running_table, forms[2]->running_count);
    end(&f);
}

/* ---------------------------------------------------------------- optimiser steps */

enum { STEPS = 3 };

/* The formulas of the reference, on plain arrays. */
typedef struct plain {
    double w[64], m[64], v[64];
    size_t count;
} plain;

static void plain_step(plain *p, const ftso_optimizer *o, const double *gradient, double lr, int t)
{
    double g[64], total = 0;
    for (size_t i = 0; i < p->count; i++) total += gradient[i] * gradient[i];
    double factor =
        o->clip > 0 && o->clip / (sqrt(total) + 1e-6) < 1 ? o->clip / (sqrt(total) + 1e-6) : 1;
    for (size_t i = 0; i < p->count; i++) {
        g[i] = gradient[i] * factor + o->weight_decay * p->w[i];
        if (o->kind == FTSO_SGD) {
            p->m[i] = t == 1 ? g[i] : o->momentum * p->m[i] + g[i];
            p->w[i] -= lr * (o->nesterov ? g[i] + o->momentum * p->m[i] : p->m[i]);
        } else {
            p->m[i] = o->beta1 * p->m[i] + (1 - o->beta1) * g[i];
            p->v[i] = o->beta2 * p->v[i] + (1 - o->beta2) * g[i] * g[i];
            p->w[i] -= lr * (p->m[i] / (1 - pow(o->beta1, t))) /
                       (sqrt(p->v[i] / (1 - pow(o->beta2, t))) + o->eps);
        }
    }
}

static void bind_scalar(ftso_interp *interp, const ftso_graph *graph, const char *name,
                        double value)
{
    ftso_value leaf = ftso_graph_find(graph, name);
    assert_true(leaf != FTSO_NO_VALUE);
    test_ok(ftso_interp_bind(interp, leaf, &value, 1));
}

static void check_steps(const ftso_optimizer *optimizer, bool of_arch)
{
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "mix", "C s", "(> (conv C=C k=1) (relu))");
    rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
    ftso_space *space = tiny(&f, 2, NULL, 3, 4);
    space->ops = rec_opset(&f.rec, &f.unit, "mix skip");
    ftso_lower_options options = {.batch = 2, .edge_weights = true};
    ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, space, &options);
    assert_non_null(network);
    ftso_value gradient = ftso_lower_step(network, optimizer, of_arch);
    double image[96], label[2] = {2, 0}, weights[64], arch[64];
    test_random random = {5};
    fill_random(&random, image, 96);
    fill_random(&random, weights, 64);
    fill_random(&random, arch, 64);
    ftso_interp *interp = run(network, 2, image, label, weights, arch);
    plain p = {.count = (size_t)(of_arch ? network->arch_total : network->weight_total)};
    memcpy(p.w, of_arch ? arch : weights, p.count * sizeof(double));
    const char *name = of_arch ? "arch" : "weights";
    for (int t = 1; t <= STEPS; t++) {
        double lr = 0.3 / t;
        bind_scalar(interp, network->graph, ftso_format(&f.arena, "%s.lr", name), lr);
        if (optimizer->kind == FTSO_ADAM) {
            bind_scalar(interp, network->graph, ftso_format(&f.arena, "%s.adam1", name),
                        1 / (1 - pow(optimizer->beta1, t)));
            bind_scalar(interp, network->graph, ftso_format(&f.arena, "%s.adam2", name),
                        1 / (1 - pow(optimizer->beta2, t)));
        }
        test_ok(ftso_interp_run(interp, 2));
        double before[64], norm = 0;
        memcpy(before, p.w, sizeof(before));
        plain_step(&p, optimizer, ftso_interp_get(interp, gradient)->data, lr, t);
        const double *now =
            ftso_interp_state(interp, of_arch ? network->arch : network->weights)->data;
        for (size_t i = 0; i < p.count; i++) {
            norm += fabs(p.w[i] - before[i]);
            assert_true(fabs(now[i] - p.w[i]) < 1e-12);
        }
        assert_true(norm > 1e-4);
    }
    ftso_interp_free(interp);
    end(&f);
}

static void test_steps(void **state)
{
    (void)state;
    const ftso_optimizer sgd = {.kind = FTSO_SGD, .momentum = 0.9, .weight_decay = 3e-2, .clip = 5};
    ftso_optimizer other = sgd;
    check_steps(&sgd, false);
    other.clip = 0.01;
    check_steps(&other, false);
    other.nesterov = true;
    check_steps(&other, false);
    other.momentum = 0;
    other.nesterov = false;
    check_steps(&other, true);
    const ftso_optimizer adam = {
        .kind = FTSO_ADAM, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-3};
    check_steps(&adam, true);
    check_steps(&adam, false);
}

/* ---------------------------------------------------------------- refusals */

static void expect(fixture *f, const ftso_network *network, const char *code, const char *message)
{
    assert_null(network);
    assert_int_equal(f->diag.error_count, 1);
    assert_string_equal(f->diag.entries[0].code, code);
    if (!strstr(f->diag.entries[0].message, message))
        fail_msg("'%s' does not say '%s'", f->diag.entries[0].message, message);
    end(f);
}

static void refuse_edge(const char *op, int64_t channels, int64_t side, const char *code,
                        const char *message)
{
    fixture f;
    begin(&f);
    rec_op(&f.rec, &f.unit, "edge", "C s", op);
    ftso_space *space = tiny(&f, 1, NULL, channels, side);
    space->ops = rec_opset(&f.rec, &f.unit, "edge");
    ftso_lower_options options = {.batch = 2};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), code, message);
}

static void test_refused_operators(void **state)
{
    (void)state;
    refuse_edge("(> (shift dh=1 dw=1) (conv C=C k=1 stride=2))", 4, 7, "E0501",
                "the side 7 is odd");
    refuse_edge("(conv C=C k=2)", 4, 8, "E0501", "even kernel 2");
    refuse_edge("(dwconv k=4)", 4, 8, "E0501", "even kernel 4");
    refuse_edge("(conv C=C)", 4, 8, "E0501", "needs k, or kh and kw");
    refuse_edge("(conv C=C k=3 stride=3)", 4, 8, "E0503", "stride of conv is 3");
    refuse_edge("(conv C=C/2 k=1)", 3, 8, "E0503", "C of conv is 1.5");
    refuse_edge("(conv C=C/0 k=1)", 4, 8, "E0503", "division by zero");
    refuse_edge("(conv C=D k=1)", 4, 8, "E0503", "'D' has no value");
    refuse_edge("(conv k=1)", 4, 8, "E0503", "needs the argument C");
    refuse_edge("(maxpool k=3 pad=2)", 4, 8, "E0501", "more than half");
    refuse_edge("(linear C=C)", 4, 8, "E0501", "1 x 1 map");
    refuse_edge("(slice begin=2 end=9)", 4, 8, "E0501", "not a part of 4 channels");
    refuse_edge("(shuffle groups=3)", 4, 8, "E0501", "do not split into 3 groups");
    refuse_edge("(conv C=C k=9 pad=0)", 4, 8, "E0501", "does not fit");
    refuse_edge("(| (identity) (identity))", 4, 8, "E0502", "nothing joins");
    refuse_edge("(> (| (identity) (identity)) (relu))", 4, 8, "E0501", "gets 2 branches");
    refuse_edge("(> (| (identity) (conv C=2 k=1)) (sum))", 4, 8, "E0502", "sum cannot be applied");
    refuse_edge("(> (| (identity) (zero stride=2)) (concat))", 4, 8, "E0502",
                "concat cannot be applied");
    refuse_edge("(conv C=5 k=1)", 4, 8, "E0505", "the head makes [N=2, 5, 1, 1]");
}

static void test_refused_networks(void **state)
{
    (void)state;
    fixture f;
    ftso_lower_options options = {.batch = 2};

    begin(&f); /* an operator that halves the map where the skip beside it does not */
    rec_op(&f.rec, &f.unit, "half", "C s", "(zero stride=2)");
    rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
    ftso_space *space = tiny(&f, 1, NULL, 4, 8);
    space->ops = rec_opset(&f.rec, &f.unit, "skip half");
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0502",
           "'half' makes [N=2, 4, 4, 4] and 'skip' [N=2, 4, 8, 8]");

    begin(&f); /* the same between two edges of a node, in a found network */
    rec_op(&f.rec, &f.unit, "half", "C s", "(zero stride=2)");
    rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
    space = tiny(&f, 2, NULL, 4, 8);
    ftso_genotype *genotype =
        rec_genotype(&f.rec, &f.unit, space, "skip 0 half 0 skip 1", "", NULL, NULL);
    expect(&f, ftso_lower_network(&f.arena, &f.diag, space, genotype, &options), "E0502",
           "'half' on edge 0 -> 2 makes [N=2, 4, 4, 4] and 'skip' on edge 1 -> 2 [N=2, 4, 8, 8]");

    begin(&f); /* the odd map of a FactorizedReduce, in a real space */
    space = rec_darts(&f.rec, &f.unit);
    ftso_lower_options odd = {.batch = 2, .image_side = 30};
    ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, space, &odd);
    assert_string_equal(f.diag.entries[0].note,
                        "in cell 5 of the stack ('reduce', C = 64), edge 0 -> 2");
    expect(&f, network, "E0501", "the side 15 is odd");

    begin(&f); /* a parameter that nothing gives */
    rec_op(&f.rec, &f.unit, "deep", "C s depth", "(identity)");
    space = tiny(&f, 1, NULL, 4, 8);
    space->ops = rec_opset(&f.rec, &f.unit, "deep");
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0510",
           "its parameter depth");

    begin(&f); /* no edge into node 2 */
    rec_op(&f.rec, &f.unit, "skip", "C s", "(identity)");
    space = tiny(&f, 2, NULL, 4, 8);
    space->ops = rec_opset(&f.rec, &f.unit, "skip");
    space->cells[0]->edge_present[2] = space->cells[0]->edge_present[3] = false;
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0507",
           "node 2 of cell 'cell' has no edge");

    begin(&f); /* an operator inside itself */
    ftso_operator *op = rec_op(&f.rec, &f.unit, "loop", "C s", "(identity)");
    op->body = rec_expr(&f.rec, &f.unit, "(loop C=C s=s)");
    space = tiny(&f, 1, NULL, 4, 8);
    space->ops = rec_opset(&f.rec, &f.unit, "loop");
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0508",
           "nested more than");

    begin(&f); /* sizes beyond all measure */
    space = rec_darts(&f.rec, &f.unit);
    ftso_lower_options huge = {.batch = 1 << 20, .image_side = 1 << 20};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &huge), "E0508",
           "cannot be built for");

    begin(&f);
    space = rec_darts(&f.rec, &f.unit);
    ftso_lower_options wide = {.batch = 2, .channels = INT64_MAX / 2};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &wide), "E0508", "grows too wide");

    begin(&f); /* nothing for the edges */
    space = rec_darts(&f.rec, &f.unit);
    space->ops = NULL;
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0506", "no operators");

    begin(&f); /* layers */
    space = rec_darts(&f.rec, &f.unit);
    ftso_lower_options deep = {.batch = 2, .layers = 1 << 20};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &deep), "E0506", "1048576 layers");

    begin(&f); /* an auxiliary head where there is none */
    space = rec_darts(&f.rec, &f.unit);
    space->aux_head = NULL;
    ftso_lower_options aux = {.batch = 2, .aux = true};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &aux), "E0509", "no place");
}

/* Ten thousand operators on every edge: refused at once, not when memory is gone. */
static void test_refused_opset(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space *space = rec_darts(&f.rec, &f.unit);
    ftso_opset set = {.name = "many", .operator_count = 10000};
    set.operators = FTSO_ARRAY(&f.arena, const ftso_operator *, set.operator_count);
    for (size_t i = 0; i < set.operator_count; i++) set.operators[i] = space->ops->operators[i % 8];
    ftso_lower_options options = {.batch = 2, .ops = &set};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0508",
           "too many operators");

    begin(&f); /* few enough to start with, too many for the whole network */
    set.operators = FTSO_ARRAY(&f.arena, const ftso_operator *, 2000);
    space = rec_darts(&f.rec, &f.unit);
    for (size_t i = 0; i < 2000; i++) set.operators[i] = space->ops->operators[i % 8];
    set.operator_count = 2000;
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0508",
           "too many operators");
}

/* A stem whose two maps differ by more than a factor of two. */
static void test_refused_inputs(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space *space = rec_darts(&f.rec, &f.unit);
    space->stems[0] = rec_expr(&f.rec, &f.unit, "(conv C=8 k=3)");
    space->stems[1] =
        rec_expr(&f.rec, &f.unit, "(> (conv C=8 k=3 stride=2) (conv C=8 k=3 stride=2))");
    space->stem_count = 2;
    ftso_lower_options options = {.batch = 2};
    expect(&f, ftso_lower_supernet(&f.arena, &f.diag, space, &options), "E0504",
           "32 x 32 and 8 x 8");
}

static void test_refused_genotypes(void **state)
{
    (void)state;
    fixture f;
    const char *fine =
        "skip_connect 0 skip_connect 1 skip_connect 0 skip_connect 1 skip_connect 0 skip_connect 1 "
        "skip_connect 0 skip_connect 1";
    ftso_lower_options options = {.batch = 2};
    for (int wrong = 0; wrong < 4; wrong++) {
        begin(&f);
        ftso_space *space = rec_darts(&f.rec, &f.unit);
        ftso_genotype *genotype =
            rec_genotype(&f.rec, &f.unit, space, fine, "2 3 4 5", fine, "2 3 4 5");
        const char *message = "";
        if (wrong == 0) {
            genotype->cells[0].edges[0].from = 2;
            message = "reads state 2";
        } else if (wrong == 1) {
            genotype->cell_count = 1;
            message = "has no cell 'reduce'";
        } else if (wrong == 2) {
            genotype->cells[1].concat[0] = 6;
            message = "no state 6";
        } else {
            genotype->cells[0].node_start[1] = 0;
            message = "node 2 of cell 'normal' has no edge";
        }
        expect(&f, ftso_lower_network(&f.arena, &f.diag, space, genotype, &options), "E0507",
               message);
    }
}

/* ---------------------------------------------------------------- arithmetic */

static bool no_names(const void *user, const char *name, ftso_number *out)
{
    (void)user, (void)name, (void)out;
    return false;
}

static void test_arithmetic(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    rec *r = &f.rec;
    ftso_text why;
    ftso_text_init(&why);
    const ftso_arith *culprit;
    ftso_number n;
    /* 1/3 + 1/6 is 1/2 exactly; 49 * (1/49) is 1, which doubles miss. */
    const ftso_arith *sum = rec_binary(r, FTSO_ARITH_ADD, rec_number(r, 1, 3), rec_number(r, 1, 6));
    assert_true(ftso_arith_eval(sum, no_names, NULL, &n, &culprit, &why) && n.num == 1 &&
                n.den == 2);
    const ftso_arith *one =
        rec_binary(r, FTSO_ARITH_MUL, rec_number(r, 49, 1),
                   rec_binary(r, FTSO_ARITH_DIV, rec_number(r, 1, 1), rec_number(r, 49, 1)));
    assert_true(ftso_arith_eval(one, no_names, NULL, &n, &culprit, &why) && n.num == 1 &&
                n.den == 1);
    /* Products beyond 64 bits go on as doubles. */
    const ftso_arith *big = rec_number(r, INT64_MAX, 1);
    big = rec_binary(r, FTSO_ARITH_MUL, big, big);
    assert_true(ftso_arith_eval(big, no_names, NULL, &n, &culprit, &why) && n.den == 0);
    assert_true(fabs(n.value / 8.507059173023462e37 - 1) < 1e-12);
    /* The right side of a decided `or` is not evaluated. */
    const ftso_arith *zero =
        rec_binary(r, FTSO_ARITH_DIV, rec_number(r, 1, 1), rec_number(r, 0, 1));
    const ftso_arith *either = rec_binary(r, FTSO_ARITH_OR, rec_number(r, 1, 1), zero);
    assert_true(ftso_arith_eval(either, no_names, NULL, &n, &culprit, &why) && n.num == 1);
    assert_false(ftso_arith_eval(zero, no_names, NULL, &n, &culprit, &why));
    assert_ptr_equal(culprit, zero);
    assert_string_equal(ftso_text_get(&why), "division by zero");
    ftso_text_deinit(&why);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partial_skip_permutes),
        cmocka_unit_test(test_edge_weights),
        cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_weight_table),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_pruned_supernet),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_running_statistics),
        cmocka_unit_test(test_drop_path),
        cmocka_unit_test(test_forms_of_a_recipe),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_refused_operators),
        cmocka_unit_test(test_refused_networks),
        cmocka_unit_test(test_refused_opset),
        cmocka_unit_test(test_refused_inputs),
        cmocka_unit_test(test_refused_genotypes),
        cmocka_unit_test(test_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
