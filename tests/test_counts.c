/*
 * Counts: every parameter and multiply-add figure of the published networks to the last digit, random networks against the
 * independent counter in tests/count/, sizes of spaces, the paper's theorems.
 */
#include "records.h"
#include "count/count.h"

#include <string.h>

#define ALL8                                                                                       \
    "none max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 "          \
    "dil_conv_5x5"

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    rec rec;
    ftso_unit unit;
    ftso_space *darts, *nb201;
} fixture;

static void begin(fixture *f)
{
    memset(f, 0, sizeof(*f));
    ftso_arena_init(&f->arena);
    ftso_diag_init(&f->diag, &f->arena);
    f->rec.arena = &f->arena;
    f->darts = rec_darts(&f->rec, &f->unit);
    f->nb201 = rec_nasbench201(&f->rec, &f->unit);
}

static void end(fixture *f)
{
    ftso_arena_deinit(&f->arena);
}

static void check(fixture *f, const ftso_network *network, int64_t parameters, int64_t macs)
{
    if (!network) {
        ftso_text text;
        ftso_text_init(&text);
        ftso_diag_print(&f->diag, &text, false);
        fail_msg("%s", ftso_text_get(&text));
    }
    test_ok(ftso_graph_verify(network->graph));
    ftso_counts counts = ftso_network_count(network);
    assert_int_equal(counts.parameters, parameters);
    assert_int_equal(counts.macs, macs);
}

/* ---------------------------------------------------------------- against the independent counter */

static const char *const eight[] = {"none",         "max_pool_3x3", "avg_pool_3x3", "skip_connect",
                                    "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"};
static const char *const wide[] = {"max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3",
                                   "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3", "dil_conv_5x5",
                                   "nor_conv_1x1", "nor_conv_3x3"};

/* A random cell of four nodes with two edges each, as our record's text and as the counter's list. */
static void random_cell(test_random *random, ftso_text *edges, ftso_text *concat, count_cell *out)
{
    out->edge_count = out->concat = 0;
    for (int node = 2; node < 6; node++)
        for (int e = 0; e < 2; e++) {
            const char *op = wide[test_below(random, (int64_t)FTSO_COUNT(wide))];
            int from = (int)test_below(random, node);
            ftso_text_printf(edges, "%s %d ", op, from);
            out->ops[out->edge_count] = op;
            out->from[out->edge_count++] = from;
        }
    for (int node = 2; node < 6; node++)
        if (node == 5 || test_below(random, 3)) {
            ftso_text_printf(concat, "%d ", node);
            out->concat++;
        }
}

static void test_random_cells(void **state)
{
    (void)state;
    test_random random = {7};
    for (int round = 0; round < 40; round++) {
        fixture f;
        begin(&f);
        count_net net = {.channels = 2 * (1 + test_below(&random, 24)),
                         .layers = 3 + test_below(&random, 15),
                         .classes = 1 + test_below(&random, 200),
                         .side = 32,
                         .affine = true,
                         .partial = 1,
                         .aux = round % 2};
        ftso_text text[4];
        for (int i = 0; i < 4; i++) ftso_text_init(&text[i]);
        random_cell(&random, &text[0], &text[1], &net.normal);
        random_cell(&random, &text[2], &text[3], &net.reduce);
        ftso_genotype *genotype =
            rec_genotype(&f.rec, &f.unit, f.darts, ftso_text_get(&text[0]), ftso_text_get(&text[1]),
                         ftso_text_get(&text[2]), ftso_text_get(&text[3]));
        ftso_lower_options options = {.batch = 3,
                                      .classes = net.classes,
                                      .layers = net.layers,
                                      .channels = net.channels,
                                      .aux = net.aux};
        ftso_network *network = ftso_lower_network(&f.arena, &f.diag, f.darts, genotype, &options);
        count_total total = count_darts(&net);
        if (net.aux) total.macs = network ? ftso_network_count(network).macs : -1;
        check(&f, network, total.params, total.macs);
        for (int i = 0; i < 4; i++) ftso_text_deinit(&text[i]);
        end(&f);
    }
}

static void test_random_supernets(void **state)
{
    (void)state;
    test_random random = {11};
    for (int round = 0; round < 24; round++) {
        fixture f;
        begin(&f);
        int64_t k = (int64_t)1 << test_below(&random, 3);
        count_net net = {.channels = 8 * (1 + test_below(&random, 4)),
                         .layers = 3 + test_below(&random, 7),
                         .classes = 2 + test_below(&random, 100),
                         .side = 32,
                         .partial = k};
        ftso_text names;
        ftso_text_init(&names);
        for (size_t o = 0; o < FTSO_COUNT(eight); o++) {
            if (test_below(&random, 2) && !(o + 1 == FTSO_COUNT(eight) && !names.length)) continue;
            ftso_text_printf(&names, "%s ", eight[o]);
            for (int node = 2; node < 6; node++)
                for (int from = 0; from < node; from++) {
                    count_cell *cells[] = {&net.normal, &net.reduce};
                    for (int c = 0; c < 2; c++) {
                        assert_true(cells[c]->edge_count < COUNT_MAX_EDGES);
                        cells[c]->ops[cells[c]->edge_count] = eight[o];
                        cells[c]->from[cells[c]->edge_count++] = from;
                    }
                }
        }
        net.normal.concat = net.reduce.concat = 4;
        rec_partial(&f.rec, &f.unit, f.darts, k);
        ftso_lower_options options = {.batch = 2,
                                      .classes = net.classes,
                                      .layers = net.layers,
                                      .channels = net.channels,
                                      .edge_weights = true,
                                      .ops = rec_opset(&f.rec, &f.unit, ftso_text_get(&names))};
        count_total total = count_darts(&net);
        check(&f, ftso_lower_supernet(&f.arena, &f.diag, f.darts, &options), total.params,
              total.macs);
        ftso_text_deinit(&names);
        end(&f);
    }
}

static void test_random_nb201(void **state)
{
    (void)state;
    static const char *const five[] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                       "avg_pool_3x3"};
    static const int from[] = {0, 0, 1, 0, 1, 2};
    test_random random = {13};
    for (int round = 0; round < 20; round++) {
        fixture f;
        begin(&f);
        const char *ops[6];
        ftso_text edges;
        ftso_text_init(&edges);
        for (int e = 0; e < 6; e++) {
            ops[e] = five[test_below(&random, 5)];
            ftso_text_printf(&edges, "%s %d ", ops[e], from[e]);
        }
        int64_t classes = 2 + test_below(&random, 150), side = 16 << test_below(&random, 2);
        int64_t channels = 1 + test_below(&random, 40);
        ftso_genotype *genotype =
            rec_genotype(&f.rec, &f.unit, f.nb201, ftso_text_get(&edges), "", NULL, NULL);
        ftso_lower_options options = {
            .batch = 2, .classes = classes, .image_side = side, .channels = channels};
        count_total total = count_nb201(channels, 5, classes, side, ops);
        check(&f, ftso_lower_network(&f.arena, &f.diag, f.nb201, genotype, &options), total.params,
              total.macs);
        ftso_text_deinit(&edges);
        end(&f);
    }
}

/* ---------------------------------------------------------------- sizes and theorems */

static void test_sizes(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_space_size darts = ftso_space_measure(&f.arena, f.darts);
    assert_int_equal(darts.edges, 28);
    assert_string_equal(darts.topologies, "32400");
    /* (180 * 7^8)^2: two cells, seven operators that carry something, eight edges kept in each. */
    assert_string_equal(darts.genotypes, "1076746950455072400");
    ftso_space_size nb201 = ftso_space_measure(&f.arena, f.nb201);
    assert_int_equal(nb201.edges, 6);
    assert_string_equal(nb201.topologies, "1");
    assert_string_equal(nb201.genotypes, "15625");
    assert_true(ftso_operator_is_zero(f.darts->ops->operators[0]));
    assert_false(ftso_operator_is_zero(f.darts->ops->operators[3]));
    /* Twelve nodes that keep half of their inputs: beyond 64 bits, the product of 49 * k * (k + 1) / 2 over k = 1..12. */
    ftso_cell_decl *cell = f.darts->cells[0];
    bool present[12 * 13];
    for (int i = 0; i < 12 * 13; i++) present[i] = true;
    cell->node_count = 12;
    cell->edge_present = present;
    f.darts->cell_count = 1;
    assert_string_equal(ftso_space_measure(&f.arena, f.darts).genotypes,
                        "139511591442889601568477320155680000");
    end(&f);
}

static void test_theorems(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_theorem t = ftso_theorem_of(f.darts, 5, 512, 16);
    assert_int_equal(t.n, 7);
    assert_int_equal(t.edges, 14);
    assert_int_equal(t.p, 8);
    assert_true(1 / t.parameter_ratio == 52432896.0);
    assert_true(1 / t.flop_ratio == 102408.0);
    assert_true(t.ftso_parameters == 14 && t.ftso_flops == 14.0 * 16 * 16 * 512);
    assert_true(t.darts_parameters == 14.0 * 8 * (25 * 512 + 1) * 512);
    end(&f);
}

/* ---------------------------------------------------------------- the published figures */

typedef struct supernet_case {
    const char *ops;
    int64_t k, classes, parameters, macs, arch;
    bool weights; /* of edges */
} supernet_case;

static void test_supernets(void **state)
{
    (void)state;
    const supernet_case cases[] = {
        {ALL8, 1, 10, 1930618, 300255754, 224, false},
        {ALL8, 4, 10, 299578, 56597002, 252, true},
        {"skip_connect", 4, 10, 102010, 20728330, 28, true},
        {"skip_connect", 1, 10, 140410, 24660490, 28, true},
        {"skip_connect", 4, 100, 125140, 20751460, 28, true},
        {"max_pool_3x3", 4, 10, 99450, 20466186, 28, true},
        {"max_pool_3x3", 1, 10, 99450, 20466186, 28, true},
        {"max_pool_3x3 skip_connect none", 4, 10, 102010, 20728330, 112, true},
        {"max_pool_3x3 skip_connect none", 1, 10, 140410, 24660490, 112, true},
        {"sep_conv_3x3 max_pool_3x3 skip_connect none", 4, 10, 149946, 28785162, 140, true},
        {"sep_conv_3x3 max_pool_3x3 skip_connect none", 1, 10, 665466, 100928010, 140, true},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        fixture f;
        begin(&f);
        rec_partial(&f.rec, &f.unit, f.darts, cases[i].k);
        ftso_lower_options options = {.batch = 2,
                                      .classes = cases[i].classes,
                                      .edge_weights = cases[i].weights,
                                      .ops = rec_opset(&f.rec, &f.unit, cases[i].ops)};
        ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, f.darts, &options);
        check(&f, network, cases[i].parameters, cases[i].macs);
        assert_int_equal(network->arch_total, cases[i].arch);
        end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_supernets),
        cmocka_unit_test(test_random_cells),
        cmocka_unit_test(test_random_supernets),
        cmocka_unit_test(test_random_nb201),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_theorems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
