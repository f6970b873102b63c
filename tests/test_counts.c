/*
 * Counts: every parameter and multiply-add figure of the published networks to the last digit, random networks against the
 * independent counter in tests/count/, sizes of spaces, the paper's theorems.
 */
#include "records.h"
#include "count/count.h"
#include "frontend/frontend.h"

#include <string.h>

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

/* ---------------------------------------------------------------- the published figures, from files in examples/ */

/* A super-net where `genotype` is NULL or `prune` is set, else the found network. 0 where the space's own value holds. */
typedef struct figure {
    const char *file, *space, *genotype, *ops;
    int64_t k, classes, parameters, macs;
    bool plain; /* no edge weights: DARTS */
    bool prune; /* the super-net on the genotype's edges */
    bool aux;   /* with the auxiliary head; its multiply-adds are not part of the figure */
    int64_t arch;
} figure;

#define SUPER "darts_cifar10.ftso", "darts", NULL
#define WIDER "published_wider.ftso", "darts_five"
#define MOBILE "published_imagenet.ftso", "imagenet"
#define CELLS "published.ftso", "darts"
#define NB201 "nasbench201.ftso"

static const figure figures[] = {
    /* 7.1: search networks */
    {SUPER, "darts_8", 1, 0, .parameters = 1930618, .macs = 300255754, .plain = true, .arch = 224},
    {"pc_darts.ftso", "pc_darts", NULL, NULL, 0, 0, .parameters = 299578, .macs = 56597002,
     .arch = 252},
    {SUPER, "skip_only", 4, 0, .parameters = 102010, .macs = 20728330, .arch = 28},
    {SUPER, "skip_only", 1, 0, .parameters = 140410, .macs = 24660490, .arch = 28},
    {SUPER, "skip_only", 4, 100, .parameters = 125140, .macs = 20751460, .arch = 28},
    {SUPER, "pool_only", 4, 0, .parameters = 99450, .macs = 20466186, .arch = 28},
    {SUPER, "pool_only", 1, 0, .parameters = 99450, .macs = 20466186, .arch = 28},
    {SUPER, "three_ops", 4, 0, .parameters = 102010, .macs = 20728330, .arch = 112},
    {SUPER, "three_ops", 1, 0, .parameters = 140410, .macs = 24660490, .arch = 112},
    {SUPER, "four_ops", 4, 0, .parameters = 149946, .macs = 28785162, .arch = 140},
    {SUPER, "four_ops", 1, 0, .parameters = 665466, .macs = 100928010, .arch = 140},
    {CELLS, "WIDE", "darts_8", 4, 0, .parameters = 214906, .macs = 41224714, .prune = true,
     .arch = 144},
    {CELLS, "WIDE", "darts_8", 1, 0, .parameters = 1163386, .macs = 182143498, .prune = true,
     .arch = 144},
    {"imagenet.ftso", "imagenet", NULL, NULL, 2, 0, .parameters = 956512, .macs = 144393832,
     .arch = 252},
    {"imagenet.ftso", "imagenet", NULL, "skip_only", 2, 0, .parameters = 394720, .macs = 72610792,
     .arch = 28},
    /* 7.2: CIFAR-10 evaluation networks */
    {CELLS, "DARTS_V1", NULL, 0, 0, .parameters = 3169414, .macs = 500987530},
    {CELLS, "DARTS_V1", NULL, 0, 0, .parameters = 3645840, .macs = 500987530, .aux = true},
    {CELLS, "DARTS_V2", NULL, 0, 0, .parameters = 3349342, .macs = 528359050},
    {CELLS, "DARTS_V2", NULL, 0, 0, .parameters = 3825768, .macs = 528359050, .aux = true},
    {CELLS, "PC_DARTS_cifar", NULL, 0, 0, .parameters = 3634678, .macs = 556670602},
    {CELLS, "PC_DARTS_cifar", NULL, 0, 0, .parameters = 4111104, .macs = 556670602, .aux = true},
    {CELLS, "PC_DARTS_image", NULL, 0, 0, .parameters = 3721510, .macs = 570466954},
    {CELLS, "PC_DARTS_image", NULL, 0, 0, .parameters = 4197936, .macs = 570466954, .aux = true},
    {WIDER, "AmoebaNet_B", NULL, 0, 0, .parameters = 2714590, .macs = 409609450},
    {WIDER, "AmoebaNet_B", NULL, 0, 0, .parameters = 3154152, .macs = 409609450, .aux = true},
    {WIDER, "ENAS_a", NULL, 0, 0, .parameters = 4020166, .macs = 622142506},
    {WIDER, "ENAS_a", NULL, 0, 0, .parameters = 4515024, .macs = 622142506, .aux = true},
    {WIDER, "ENAS_b", NULL, 0, 0, .parameters = 3859894, .macs = 605719594},
    {WIDER, "ENAS_b", NULL, 0, 0, .parameters = 4317888, .macs = 605719594, .aux = true},
    {WIDER, "ENAS_released", NULL, 0, 0, .parameters = 4394710, .macs = 693197866},
    {WIDER, "ENAS_released", NULL, 0, 0, .parameters = 4871136, .macs = 693197866, .aux = true},
    {WIDER, "PNASNet_5", NULL, 0, 0, .parameters = 4481110, .macs = 706026538},
    {WIDER, "PNASNet_5", NULL, 0, 0, .parameters = 4975968, .macs = 706026538, .aux = true},
    {CELLS, "WIDE", NULL, 0, 0, .parameters = 4701718, .macs = 711665290},
    {CELLS, "WIDE", NULL, 0, 0, .parameters = 5178144, .macs = 711665290, .aux = true},
    {CELLS, "CHAIN", NULL, 0, 0, .parameters = 4701718, .macs = 711665290},
    {CELLS, "WIDE", NULL, 0, 100, .parameters = 4753648, .macs = 711717220},
    {CELLS, "WIDE", NULL, 0, 100, .parameters = 5299284, .macs = 711717220, .aux = true},
    {CELLS, "ALL_MAX_POOL", NULL, 0, 0, .parameters = 1370134, .macs = 227272330},
    {CELLS, "ALL_MAX_POOL", NULL, 0, 0, .parameters = 1370134 + 476426, .macs = 227272330,
     .aux = true},
    {CELLS, "ALL_AVG_POOL", NULL, 0, 0, .parameters = 1370134, .macs = 227272330},
    /* 7.3: ImageNet, mobile setting */
    {MOBILE, "DARTS_V2_imagenet", NULL, 0, 0, .parameters = 4718752, .macs = 529912552},
    {MOBILE, "DARTS_V2_imagenet", NULL, 0, 0, .parameters = 4718752 + 1260776, .macs = 529912552,
     .aux = true},
    {MOBILE, "PC_DARTS_cifar_imagenet", NULL, 0, 0, .parameters = 5270560, .macs = 571138408},
    {MOBILE, "WIDE_imagenet", NULL, 0, 0, .parameters = 6548320, .macs = 712013800},
    {"published_imagenet.ftso", "imagenet_42", "WIDE_imagenet_42", NULL, 0, 0,
     .parameters = 5130019, .macs = 550702312},
    /* 7.4: NAS-Bench-201 */
    {NB201, "nasbench201", "NB201_ALL_CONV_3X3", NULL, 0, 0, .parameters = 1531546,
     .macs = 220119690},
    {NB201, "nasbench201_cifar100", "NB201_ALL_CONV_3X3_C100", NULL, 0, 0, .parameters = 1537396,
     .macs = 220125540},
    {NB201, "nasbench201_imagenet16", "NB201_ALL_CONV_3X3_IN16", NULL, 0, 0, .parameters = 1538696,
     .macs = 55037560},
    {NB201, "nasbench201", "NB201_ALL_SKIP", NULL, 0, 0, .parameters = 73306, .macs = 7783050},
    {NB201, "nasbench201_cifar100", "NB201_ALL_SKIP_C100", NULL, 0, 0, .parameters = 79156,
     .macs = 7788900},
    {NB201, "nasbench201_imagenet16", "NB201_ALL_SKIP_IN16", NULL, 0, 0, .parameters = 80456,
     .macs = 1953400},
    {NB201, "nasbench201", "NB201_ALL_CONV_1X1", NULL, 0, 0, .parameters = 241306,
     .macs = 31376010},
};

static const ftso_unit *load(fixture *f, const char *file)
{
    ftso_ast *ast;
    test_ok(ftso_parse_file(&f->arena, &f->diag,
                            ftso_format(&f->arena, FTSO_SOURCE_DIR "/examples/%s", file), &ast));
    const ftso_unit *unit = ftso_check(&f->arena, &f->diag, ast);
    if (unit) return unit;
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(&f->diag, &text, false);
    fail_msg("%s", ftso_text_get(&text));
    return NULL;
}

/* The record of that name in a list of the unit; fails the test where there is none. */
#define FIND(result, items, count, wanted)                                                         \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < (count); i_++)                                                    \
            if (!strcmp((items)[i_]->name, (wanted))) (result) = (items)[i_];                      \
        if (!(result)) fail_msg("no %s", (wanted));                                                \
    } while (0)

static void test_published(void **state)
{
    (void)state;
    size_t macs_seen = 0;
    for (size_t i = 0; i < FTSO_COUNT(figures); i++) {
        const figure *row = &figures[i];
        fixture f;
        begin(&f);
        const ftso_unit *unit = load(&f, row->file);
        const ftso_space *space = NULL;
        const ftso_genotype *genotype = NULL;
        const ftso_opset *ops = NULL;
        FIND(space, unit->spaces, unit->space_count, row->space);
        if (row->genotype) FIND(genotype, unit->genotypes, unit->genotype_count, row->genotype);
        if (row->ops) FIND(ops, unit->opsets, unit->opset_count, row->ops);
        ftso_arg k = {.name = "K", .value = row->k ? rec_number(&f.rec, row->k, 1) : NULL};
        ftso_lower_options options = {.batch = 2,
                                      .classes = row->classes,
                                      .ops = ops,
                                      .parameters = &k,
                                      .parameter_count = row->k ? 1 : 0,
                                      .edge_weights = !row->plain,
                                      .prune = row->prune ? genotype : NULL,
                                      .aux = row->aux};
        const ftso_network *network =
            genotype && !row->prune
                ? ftso_lower_network(&f.arena, &f.diag, space, genotype, &options)
                : ftso_lower_supernet(&f.arena, &f.diag, space, &options);
        int64_t macs = row->macs;
        if (row->aux && network) macs = ftso_network_count(network).macs;
        macs_seen += macs == row->macs;
        check(&f, network, row->parameters, macs);
        if (row->arch) assert_int_equal(network->arch_total, row->arch);
        end(&f);
    }
    print_message("%zu figures of parameters, %zu of multiply-adds\n", FTSO_COUNT(figures),
                  macs_seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_random_cells),
        cmocka_unit_test(test_random_supernets),
        cmocka_unit_test(test_random_nb201),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_theorems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
