/*
 * Genotype forms: each is printed, parsed and printed again to the same bytes; damaged JSON is refused with its reason;
 * drawings show every edge.
 */
#include "records.h"
#include "frontend/frontend.h"
#include "search/search.h"

#include <math.h>
#include <string.h>

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    rec rec;
    ftso_unit unit;
    ftso_space *darts, *nb201;
    ftso_text text, again;
} fixture;

static void begin(fixture *f)
{
    memset(f, 0, sizeof(*f));
    ftso_arena_init(&f->arena);
    ftso_diag_init(&f->diag, &f->arena);
    f->rec.arena = &f->arena;
    f->darts = rec_darts(&f->rec, &f->unit);
    f->nb201 = rec_nasbench201(&f->rec, &f->unit);
    ftso_text_init(&f->text);
    ftso_text_init(&f->again);
}

static void end(fixture *f)
{
    ftso_text_deinit(&f->text);
    ftso_text_deinit(&f->again);
    ftso_arena_deinit(&f->arena);
}

static void assert_no_errors(const fixture *f)
{
    if (!f->diag.error_count) return;
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(&f->diag, &text, false);
    fail_msg("%s", ftso_text_get(&text));
}

static ftso_genotype *parse_text(fixture *f, const char *text, const ftso_space *space)
{
    ftso_genotype *genotype =
        ftso_genotype_parse(&f->arena, &f->diag, text, strlen(text), space, &f->unit);
    assert_no_errors(f);
    assert_non_null(genotype);
    return genotype;
}

static ftso_genotype *parse_json(fixture *f, const char *text, const ftso_space *space)
{
    uint32_t file = ftso_diag_add_source(&f->diag, "genotype.json", text, strlen(text));
    return ftso_genotype_parse_json(&f->arena, &f->diag, file, space, &f->unit);
}

static const char *const published[] = {
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), "
    "('dil_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), "
    "('dil_conv_3x3', 1)], normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), "
    "('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], reduce_concat=range(2, 6))",
    "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), "
    "('dil_conv_5x5', 4)], normal_concat=[2, 4, 5], reduce=[('avg_pool_3x3', 0), "
    "('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), "
    "('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], reduce_concat=[5])",
};

static void test_darts_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < FTSO_COUNT(published); i++) {
        fixture f;
        begin(&f);
        ftso_genotype_print_darts(parse_text(&f, published[i], f.darts), &f.text);
        assert_string_equal(ftso_text_get(&f.text), published[i]);
        end(&f);
    }
    fixture f;
    begin(&f); /* Python 2 logs list the output's states; range is the same list */
    char listed[1024];
    snprintf(listed, sizeof(listed), "%s", published[0]);
    char *at = strstr(listed, "range(2, 6), r");
    memcpy(at, "[2,3,4,5],  ", 12);
    ftso_genotype_print_darts(parse_text(&f, listed, f.darts), &f.text);
    assert_string_equal(ftso_text_get(&f.text), published[0]);
    end(&f);
}

static void test_nb201_string(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    const char *text =
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|";
    test_ok(ftso_genotype_print_nb201(parse_text(&f, text, f.nb201), &f.text));
    assert_string_equal(ftso_text_get(&f.text), text);
    /* Its JSON says the same. */
    ftso_genotype_print_json(parse_text(&f, text, f.nb201), f.nb201, &f.again);
    ftso_genotype *back = parse_json(&f, ftso_text_get(&f.again), f.nb201);
    assert_no_errors(&f);
    size_t before = f.text.length;
    test_ok(ftso_genotype_print_nb201(back, &f.text));
    assert_string_equal(ftso_text_get(&f.text) + before, text);
    ftso_status status = ftso_genotype_print_nb201(parse_text(&f, published[0], f.darts), &f.again);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    end(&f);
}

/* Every edge, operator, weight and output state survives JSON; unknown weights stay unknown. */
static void test_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < FTSO_COUNT(published); i++) {
        fixture f;
        begin(&f);
        ftso_genotype *genotype = parse_text(&f, published[i], f.darts);
        test_random random = {i + 1};
        for (size_t e = 1; e < 8; e++) genotype->cells[0].edges[e].beta = test_normal(&random) / 3;
        ftso_genotype_print_json(genotype, f.darts, &f.text);
        assert_non_null(strstr(ftso_text_get(&f.text),
                               "{\"format\":\"ftso-genotype\",\"version\":1,\"space\":\"darts\","));
        ftso_genotype *back = parse_json(&f, ftso_text_get(&f.text), f.darts);
        assert_no_errors(&f);
        assert_int_equal(back->cell_count, 2);
        for (size_t c = 0; c < 2; c++)
            for (size_t e = 0; e < 8; e++) {
                const ftso_cell_edge *was = &genotype->cells[c].edges[e],
                                     *is = &back->cells[c].edges[e];
                assert_true(was->op == is->op && was->from == is->from);
                assert_true(isnan(was->beta) ? isnan(is->beta) : was->beta == is->beta);
            }
        assert_memory_equal(back->cells[0].node_start, genotype->cells[0].node_start,
                            5 * sizeof(int));
        ftso_genotype_print_json(back, f.darts, &f.again);
        assert_string_equal(ftso_text_get(&f.again), ftso_text_get(&f.text));
        end(&f);
    }
}

/* `what` in a good file replaced by `with` must give `code` and a message that says `says`. */
typedef struct damage {
    const char *what, *with, *code, *says;
} damage;

static void test_damaged_json(void **state)
{
    (void)state;
    static const damage damages[] = {
        {"{\"format\"", "{\"format", "E0520", "this is not JSON"},
        {"]}}}", "]}}", "E0520", "this is not JSON"},
        {"]}}}", "]}}} x", "E0520", "this is not JSON"},
        {"ftso-genotype", "ftso-weights", "E0520", "not a genotype of version 1"},
        {"\"version\":1", "\"version\":2", "E0520", "not a genotype of version 1"},
        {"\"version\":1", "\"version\":\"1\"", "E0521",
         "\"version\" in the genotype is not a number"},
        {"\"version\":1,", "", "E0521", "\"version\" is missing in the genotype"},
        {"\"version\"", "\"varsion\"", "E0521", "unknown key \"varsion\""},
        {"\"version\":1", "\"version\":1,\"version\":1", "E0521", "\"version\" stands twice"},
        {"\"reduce\"", "\"redoce\"", "E0521", "unknown key \"redoce\""},
        {"\"op\":\"sep_conv_3x3\"", "\"op\":\"sep_conv_3y3\"", "E0522",
         "unknown operator 'sep_conv_3y3'"},
        {"\"op\":\"sep_conv_3x3\"", "\"op\":3", "E0521", "\"op\" in cell 'normal' is not a string"},
        {"\"node\":2,\"from\":1", "\"node\":6,\"from\":1", "E0523", "not one of 2 to 5"},
        {"\"node\":2,\"from\":1", "\"node\":2.5,\"from\":1", "E0523", "not one of 2 to 5"},
        {"\"node\":2,\"from\":1", "\"node\":2,\"from\":2", "E0523", "not one of 0 to 1"},
        {"\"node\":2,\"from\":1", "\"node\":2,\"from\":-1", "E0523", "not one of 0 to 1"},
        {"\"node\":2,\"from\":1", "\"node\":3,\"from\":1", "E0523",
         "not in the order of their nodes"},
        {"\"node\":5,\"from\":0", "\"node\":4,\"from\":0", "", ""},
        {"\"concat\":[2,3,4,5]", "\"concat\":[2,3,4,6]", "E0523", "each 0 to 5"},
        {"\"concat\":[2,3,4,5]", "\"concat\":[2,3,3]", "E0523", "different states"},
        {"\"concat\":[2,3,4,5]", "\"concat\":\"2\"", "E0521",
         "\"concat\" in cell 'normal' is not a list"},
        {"\"concat\":[2,3,4,5]", "\"conkat\":[2]", "E0521", "unknown key \"conkat\""},
        {"{\"node\":2,\"from\":1,", "{\"beta\":1e999,\"node\":2,\"from\":1,", "E0521",
         "\"beta\" of an edge"},
        {"\"edges\":[", "\"edges\":[[],", "E0521", "not an object"},
    };
    for (size_t i = 0; i < FTSO_COUNT(damages); i++) {
        fixture f;
        begin(&f);
        ftso_genotype_print_json(parse_text(&f, published[0], f.darts), f.darts, &f.text);
        const char *good = ftso_text_get(&f.text), *at = strstr(good, damages[i].what);
        assert_non_null(at);
        ftso_text_append(&f.again, good, (size_t)(at - good));
        ftso_text_puts(&f.again, damages[i].with);
        ftso_text_puts(&f.again, at + strlen(damages[i].what));
        ftso_genotype *genotype = parse_json(&f, ftso_text_get(&f.again), f.darts);
        if (*damages[i].code) {
            assert_null(genotype);
            assert_int_equal(f.diag.error_count, 1);
            assert_string_equal(f.diag.entries[0].code, damages[i].code);
            if (!strstr(f.diag.entries[0].message, damages[i].says))
                fail_msg("'%s' does not say '%s'", f.diag.entries[0].message, damages[i].says);
        } else {
            assert_non_null(genotype); /* three edges into node 4, one into node 5: odd but whole */
        }
        end(&f);
    }
}

/* Every prefix and every single-byte change is either read or refused; nothing crashes. */
static void test_hostile_json(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_genotype_print_json(parse_text(&f, published[0], f.darts), f.darts, &f.text);
    test_random random = {9};
    size_t read = 0, refused = 0, length = f.text.length;
    for (size_t i = 0; i < 600; i++) {
        fixture g;
        begin(&g);
        char *copy = ftso_arena_alloc(&g.arena, length + 1);
        memcpy(copy, ftso_text_get(&f.text), length);
        size_t at = (size_t)test_below(&random, (int64_t)length);
        size_t keep = i % 2 ? length : at;
        copy[at] =
            i % 3 ? "0123456789 ,[]{}\""[test_below(&random, 17)] : (char)test_below(&random, 256);
        uint32_t file = ftso_diag_add_source(&g.diag, "genotype.json", copy, keep);
        if (ftso_genotype_parse_json(&g.arena, &g.diag, file, g.darts, &g.unit))
            read++;
        else
            refused++;
        assert_true(refused + read == i + 1 && (refused == 0 || g.diag.error_count <= 1));
        end(&g);
    }
    print_message("%zu read, %zu refused\n", read, refused);
    assert_true(refused > 400 && read > 2);
    end(&f);
}

/* ---------------------------------------------------------------- drawings */

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) count++;
    return count;
}

static void test_ascii(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_genotype *genotype = parse_text(&f, published[1], f.darts);
    genotype->cells[0].edges[0].beta = 0.3125;
    ftso_cell_print_ascii(&genotype->cells[0], &f.text);
    assert_string_equal(ftso_text_get(&f.text),
                        "cell normal\n"
                        "  0   1\n"
                        "  o---|-->2                  skip_connect  0.3125\n"
                        "  |   o-->|                  dil_conv_3x3\n"
                        "  o---|---|-->3              skip_connect\n"
                        "  |   o---|-->|              sep_conv_3x3\n"
                        "  |   o---|---|-->4          sep_conv_3x3\n"
                        "  |   |   |   o-->|          sep_conv_3x3\n"
                        "  o---|---|---|---|-->5      sep_conv_3x3\n"
                        "  |   |   |   |   o-->|      dil_conv_5x5\n"
                        "  out = concat 2, 4, 5\n");
    ftso_cell_print_ascii(&genotype->cells[1], &f.again);
    assert_non_null(strstr(ftso_text_get(&f.again), "  out = 5\n"));
    end(&f);
}

static void test_svg(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    ftso_genotype *genotype = parse_text(&f, published[1], f.darts);
    ftso_cell_print_svg(&genotype->cells[0], "normal <cell> & \"more\"", &f.text);
    const char *svg = ftso_text_get(&f.text);
    assert_int_equal(strncmp(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\"", 39), 0);
    assert_string_equal(svg + strlen(svg) - 7, "</svg>\n");
    assert_int_equal(count_of(svg, ">sep_conv_3x3</text>"), 4);
    assert_int_equal(count_of(svg, ">dil_conv_5x5</text>"), 1);
    /* A line into and out of each label, one from each of three states to the output, an arrow head at every end. */
    assert_int_equal(count_of(svg, "class=\"line\""), 16);
    assert_int_equal(count_of(svg, "class=\"line out\""), 6);
    assert_int_equal(count_of(svg, "class=\"head\""), 11);
    assert_int_equal(count_of(svg, "<g>"), count_of(svg, "</g>"));
    assert_int_equal(count_of(svg, "<text "), count_of(svg, "</text>"));
    assert_int_equal(count_of(svg, "normal &lt;cell> &amp; "), 2);
    /* Nothing is fetched. */
    assert_int_equal(count_of(svg, "http"), 1);
    assert_int_equal(count_of(svg, "href") + count_of(svg, "url(") + count_of(svg, "<script"), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_darts_text),   cmocka_unit_test(test_nb201_string),
        cmocka_unit_test(test_json),         cmocka_unit_test(test_damaged_json),
        cmocka_unit_test(test_hostile_json), cmocka_unit_test(test_ascii),
        cmocka_unit_test(test_svg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
