/*
 * Counts: every parameter and multiply-add figure of the published networks, to the last digit, and random networks against
 * the independent counter in tests/count/.
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
    ftso_space *space;
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

static void must(fixture *f, const ftso_network *network)
{
    if (network) return;
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(&f->diag, &text, false);
    fail_msg("%s", ftso_text_get(&text));
}

static void check(fixture *f, const ftso_network *network, int64_t parameters, int64_t macs)
{
    must(f, network);
    test_ok(ftso_graph_verify(network->graph));
    ftso_counts counts = ftso_network_count(network);
    assert_int_equal(counts.parameters, parameters);
    assert_int_equal(counts.macs, macs);
}

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
        f.space = rec_darts(&f.rec, &f.unit);
        rec_partial(&f.rec, &f.unit, f.space, cases[i].k);
        ftso_lower_options options = {.batch = 2,
                                      .classes = cases[i].classes,
                                      .edge_weights = cases[i].weights,
                                      .ops = rec_opset(&f.rec, &f.unit, cases[i].ops)};
        ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, f.space, &options);
        check(&f, network, cases[i].parameters, cases[i].macs);
        assert_int_equal(network->arch_total, cases[i].arch);
        end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_supernets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
