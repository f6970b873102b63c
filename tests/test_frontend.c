/*
 * The language from text to records: examples, dumps, the canonical printer, overrides, genotypes, limits, names.
 * Goldens of the dumps lie in tests/frontend; UPDATE=1 in the environment rewrites them.
 */
#include "support.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    ftso_ast *ast;
    ftso_unit *unit;
    ftso_text text;
} fixture;

static void begin(fixture *f)
{
    memset(f, 0, sizeof(*f));
    ftso_arena_init(&f->arena);
    ftso_diag_init(&f->diag, &f->arena);
    ftso_text_init(&f->text);
}

static void end(fixture *f)
{
    ftso_text_deinit(&f->text);
    ftso_arena_deinit(&f->arena);
}

static void read_file(fixture *f, const char *path)
{
    begin(f);
    test_ok(ftso_parse_file(&f->arena, &f->diag, path, &f->ast));
}

static void read_text(fixture *f, const char *text)
{
    begin(f);
    f->ast = ftso_parse_text(&f->arena, &f->diag, "text.ftso", text, strlen(text),
                             FTSO_SOURCE_DIR "/examples");
}

static void check(fixture *f)
{
    f->unit = ftso_check(&f->arena, &f->diag, f->ast);
}

/* Prints what was said where something was, so that a failure explains itself. */
static void expect_clean(fixture *f)
{
    if (f->diag.entry_count) {
        ftso_diag_print(&f->diag, &f->text, false);
        print_message("%s", ftso_text_get(&f->text));
    }
    assert_int_equal(f->diag.entry_count, 0);
    assert_non_null(f->unit);
}

/* Exactly one error, of that code. */
static void expect_code(fixture *f, const char *code)
{
    assert_int_equal(f->diag.error_count, 1);
    assert_string_equal(f->diag.entries[0].code, code);
}

/* ---------------------------------------------------------------- examples */

/* Calls `each` for every space file in examples/. */
static size_t for_examples(void (*each)(const char *path))
{
    DIR *dir = opendir(FTSO_SOURCE_DIR "/examples");
    assert_non_null(dir);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 5, ".ftso") != 0) continue;
        char path[4096];
        snprintf(path, sizeof(path), FTSO_SOURCE_DIR "/examples/%s", entry->d_name);
        each(path);
        count++;
    }
    closedir(dir);
    return count;
}

static void check_example(const char *path)
{
    fixture f;
    read_file(&f, path);
    check(&f);
    expect_clean(&f);
    end(&f);
}

static void test_examples_are_clean(void **state)
{
    (void)state;
    assert_true(for_examples(check_example) >= 10);
}

static void format_example(const char *path)
{
    fixture f, again;
    read_file(&f, path);
    ftso_ast_format(f.ast, &f.text);
    assert_string_equal(ftso_text_get(&f.text), f.diag.sources[0].text);
    begin(&again);
    again.ast = ftso_parse_text(&again.arena, &again.diag, path, f.text.data, f.text.length,
                                FTSO_SOURCE_DIR "/examples");
    ftso_ast_format(again.ast, &again.text);
    assert_string_equal(ftso_text_get(&again.text), ftso_text_get(&f.text));
    end(&again);
    end(&f);
}

static void test_examples_are_in_the_canonical_layout(void **state)
{
    (void)state;
    for_examples(format_example);
}

static void compare_golden(const char *name, const char *actual)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *path = ftso_format(&arena, FTSO_SOURCE_DIR "/tests/frontend/%s", name);
    if (getenv("UPDATE")) test_ok(ftso_file_write_atomic(path, actual, strlen(actual)));
    char *expected;
    size_t length;
    test_ok(ftso_file_read(&arena, path, 1 << 20, &expected, &length));
    assert_string_equal(actual, expected);
    ftso_arena_deinit(&arena);
}

static void test_dumps(void **state)
{
    (void)state;
    static const char *const names[] = {"toy", "nasbench201", "darts_cifar10", "imagenet",
                                        "published_wider"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        fixture f;
        char path[4096], golden[64];
        snprintf(path, sizeof(path), FTSO_SOURCE_DIR "/examples/%s.ftso", names[i]);
        read_file(&f, path);
        check(&f);
        expect_clean(&f);
        ftso_unit_print(f.unit, &f.text);
        snprintf(golden, sizeof(golden), "%s.space", names[i]);
        compare_golden(golden, ftso_text_get(&f.text));
        end(&f);
    }
    fixture f;
    read_file(&f, FTSO_SOURCE_DIR "/examples/toy.ftso");
    ftso_ast_print(f.ast, &f.text);
    compare_golden("toy.ast", ftso_text_get(&f.text));
    end(&f);
}

/* Every block of docs/language.md that is not abridged is grammatical. */
static void test_documented_blocks(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    char *page;
    size_t length, blocks = 0;
    test_ok(ftso_file_read(&arena, FTSO_SOURCE_DIR "/docs/language.md", 1 << 20, &page, &length));
    for (char *start; (start = strstr(page, "\n```\n")); blocks++) {
        start += strlen("\n```\n");
        char *stop = strstr(start, "\n```\n");
        assert_non_null(stop);
        *stop = '\0';
        page = stop + strlen("\n```\n");
        if (strstr(start, "…")) continue;
        bool whole = !strncmp(start, "ftso", 4);
        fixture f;
        read_text(&f, ftso_format(&arena, "%s%s", whole ? "" : "ftso 1;\n", start));
        if (f.diag.error_count) print_message("%s\n", start);
        assert_int_equal(f.diag.error_count, 0);
        end(&f);
    }
    assert_int_equal(blocks, 8);
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- the printer */

/* The tree without its places. */
static void print_tree(const ftso_ast *ast, ftso_text *out)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_ast_print(ast, &text);
    for (const char *line = ftso_text_get(&text); *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n"), shown = length;
        while (shown > 0 && line[shown] != '@') shown--;
        ftso_text_append(out, line, shown ? shown : length);
        ftso_text_puts(out, "\n");
    }
    ftso_text_deinit(&text);
}

/* Formats, checks that the tree is the same and that a second time changes nothing; returns in `f->text` the layout. */
static void format_text(fixture *f, const char *text)
{
    fixture again;
    read_text(f, text);
    assert_int_equal(f->diag.error_count, 0);
    ftso_ast_format(f->ast, &f->text);
    read_text(&again, ftso_text_get(&f->text));
    assert_int_equal(again.diag.error_count, 0);
    ftso_text before, after;
    ftso_text_init(&before);
    ftso_text_init(&after);
    print_tree(f->ast, &before);
    print_tree(again.ast, &after);
    assert_string_equal(ftso_text_get(&before), ftso_text_get(&after));
    ftso_text_deinit(&before);
    ftso_text_deinit(&after);
    ftso_ast_format(again.ast, &again.text);
    assert_string_equal(ftso_text_get(&again.text), ftso_text_get(&f->text));
    end(&again);
}

static void test_layout(void **state)
{
    (void)state;
    static const struct {
        const char *text, *layout;
    } rows[] = {
        {"ftso 1;let a=1+2*3;let b=(1+2)*3;",
         "ftso 1;\nlet a = 1 + 2 * 3;\nlet b = (1 + 2) * 3;\n"},
        {"ftso 1; let a = 1-(2-3)-4;", "ftso 1;\nlet a = 1 - (2 - 3) - 4;\n"},
        {"ftso 1; let a = 1/3; let b = (1+1)/3;", "ftso 1;\nlet a = 1/3;\nlet b = (1 + 1) / 3;\n"},
        {"ftso 1; let a = !(1<2)&&true||false;", "ftso 1;\nlet a = !(1 < 2) && true || false;\n"},
        {"ftso 1; let a = true&&(false||true);", "ftso 1;\nlet a = true && (false || true);\n"},
        {"ftso 1; let a = 50 % ; let b = 5   M;", "ftso 1;\nlet a = 50%;\nlet b = 5 M;\n"},
        {"ftso 1; let a = --1;", "ftso 1;\nlet a = --1;\n"},
        {"ftso 1; op f(C,s)=(s==1?relu:bn)->conv(C,k=3);",
         "ftso 1;\nop f(C, s) = (s == 1 ? relu : bn) -> conv(C, k = 3);\n"},
        {"ftso 1; op f(C)=[relu|[bn|relu]->sum]->concat;",
         "ftso 1;\nop f(C) = [ relu | [ bn | relu ] -> sum ] -> concat;\n"},
        {"ftso 1; op f(C)=relu->in supernet{bn};",
         "ftso 1;\nop f(C) = relu -> in supernet { bn };\n"},
        {"ftso 1; opset o={a,b,};opset e={};", "ftso 1;\nopset o = { a, b };\nopset e = { };\n"},
        {"ftso 1; genotype g:s=|a~0|+|a~0|b~1|;", "ftso 1;\ngenotype g : s = |a~0|+|a~0|b~1|;\n"},
        {"ftso 1; space s:t{in supernet{bn(affine=false)in cells;}}",
         "ftso 1;\nspace s : t {\n    in supernet {\n        bn(affine = false) in cells;\n    "
         "}\n}\n"},
        {"# first\nftso 1; # version\n\n\n\n# about a\nlet a = 1; # one\n# last",
         "# first\nftso 1;  # version\n\n# about a\nlet a = 1;  # one\n# last\n"},
        {"ftso 1;\nlet a = # inside\n 1 +\n # more\n 2;\n",
         "ftso 1;\n# inside\n# more\nlet a = 1 + 2;\n"},
        {"ftso 1;\nopset o = {\n  # the first\n  a, # a\n  b\n  # end\n};\n",
         "ftso 1;\nopset o = {\n    # the first\n    a,  # a\n    b,\n    # end\n};\n"},
        {"ftso 1;\nspace s { # why\n\n  # inner\n\n  classes = 3;\n\n  # end\n} # behind\n",
         "ftso 1;\nspace s {\n    # why\n\n    # inner\n\n    classes = 3;\n\n    # end\n}  # "
         "behind\n"},
        {"ftso 1;\nlet a = [ 1 ] # late\n;\nlet b = 2;\n",
         "ftso 1;\nlet a = [1];\n# late\nlet b = 2;\n"},
        {"ftso 1; genotype g:s=Genotype(a=[('x',0)],b=range(2,6));",
         "ftso 1;\ngenotype g : s = Genotype(a = [('x', 0)], b = range(2, 6));\n"},
    };
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        fixture f;
        format_text(&f, rows[i].text);
        assert_string_equal(ftso_text_get(&f.text), rows[i].layout);
        end(&f);
    }
}

/* No line that could be broken is longer than the width. */
static void test_long_lines_are_broken(void **state)
{
    (void)state;
    fixture f;
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, "ftso 1; opset o = {");
    for (int i = 0; i < 60; i++) ftso_text_printf(&text, "operator_%d,", i);
    ftso_text_puts(&text, "}; op f(C) = relu");
    for (int i = 0; i < 40; i++) ftso_text_puts(&text, " -> conv(C, 3, stride = 1)");
    ftso_text_puts(&text, ";");
    format_text(&f, ftso_text_get(&text));
    for (const char *line = ftso_text_get(&f.text); *line; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 100);
    }
    ftso_text_deinit(&text);
    end(&f);
}

/* ---------------------------------------------------------------- values */

static const ftso_search *only_search(fixture *f)
{
    assert_non_null(f->unit);
    assert_int_equal(f->unit->search_count, 1);
    return f->unit->searches[0];
}

static void test_override(void **state)
{
    (void)state;
    fixture f;
    read_file(&f, FTSO_SOURCE_DIR "/examples/fashion.ftso");
    ftso_ast_override(f.ast, &f.diag, "search.fashion.batch=128");
    ftso_ast_override(f.ast, &f.diag, "fashion.topology.budget=3 epochs");
    ftso_ast_override(f.ast, &f.diag, "fashion.augment_valid=false");
    ftso_ast_override(f.ast, &f.diag, "space.darts.K=4");
    ftso_ast_override(f.ast, &f.diag, "darts.supernet.layers=6");
    ftso_ast_override(f.ast, &f.diag, "dataset.fashion_mnist.path=\"elsewhere\"");
    check(&f);
    expect_clean(&f);
    const ftso_search *search = only_search(&f);
    assert_int_equal(search->batch, 128);
    assert_int_equal(search->budget, 3);
    assert_int_equal(search->budget_unit, FTSO_EPOCHS);
    assert_false(search->augment_valid);
    assert_int_equal(search->space->supernet.layers, 6);
    assert_int_equal(search->space->network.layers, 20);
    assert_string_equal(search->dataset->path, "elsewhere");
    assert_int_equal(search->space->constants[0].value->num, 4);
    end(&f);
}

static void test_words_of_other_tables(void **state)
{
    (void)state;
    static const char *const kinds[] = {"cifar10", "idx"}, *const methods[] = {"ftso", "random"};
    const ftso_words words = {kinds, 2, methods, 2};
    fixture f;
    read_file(&f, FTSO_SOURCE_DIR "/examples/toy.ftso");
    ftso_ast_override(f.ast, &f.diag, "toy_search.method=ftos");
    ftso_ast_override(f.ast, &f.diag, "fashion_mnist.kind=pictures");
    check(&f);
    expect_clean(&f);
    ftso_check_words(&f.diag, f.unit, &words);
    assert_int_equal(f.diag.error_count, 2);
    assert_string_equal(f.diag.entries[0].code, "E0815");
    assert_string_equal(f.diag.entries[0].help, "there are: cifar10, idx");
    assert_string_equal(f.diag.entries[1].code, "E0814");
    assert_string_equal(f.diag.entries[1].help, "did you mean `ftso`?");
    end(&f);
    read_file(&f, FTSO_SOURCE_DIR "/examples/toy.ftso");
    check(&f);
    ftso_check_words(&f.diag, f.unit, &words);
    expect_clean(&f);
    end(&f);
}

/* Exact fractions: a third of six layers is the second cell's place, not 1.9999. */
static void test_fractions_are_exact(void **state)
{
    (void)state;
    fixture f;
    read_text(&f, "ftso 1; include \"darts.ftso\"; let third = 1/3; let sum = third + third + "
                  "third; let p = 12.5%;"
                  "space s : darts { classes = sum == 1 && p == 1/8 && 0.1 + 0.2 == 0.3 && 3e-4 == "
                  "0.0003 ? 7 : 8; }");
    check(&f);
    expect_clean(&f);
    assert_int_equal(f.unit->spaces[1]->classes, 7);
    end(&f);
}

/* Every word of the language may be a name. */
static void test_words_are_names(void **state)
{
    (void)state;
    fixture f;
    read_text(
        &f,
        "ftso 1; op op(C, s) = conv(C, 1, stride = s); op keep(C, s) = op(C, s); opset opset = { "
        "op, keep };"
        "let let = 3; let include = 10; space space { ops = opset; image = [let, 8, 8]; classes = "
        "include;"
        "cell cell { inputs = 1; nodes = 2; keep = 1; } cell reduce : cell { input_stride = 2; }"
        "stem = conv(channels, 3); stack { normal = cell; reduce = reduce; reductions = [1/2]; }"
        "in supernet { layers = 2; channels = 4; } in network { layers = 2; channels = 4; }"
        "head = global_avgpool -> linear(classes); }");
    check(&f);
    expect_clean(&f);
    assert_int_equal(f.unit->operator_count, 2);
    end(&f);
}

static void test_inheritance(void **state)
{
    (void)state;
    fixture f;
    read_text(
        &f,
        "ftso 1; include \"darts.ftso\";"
        "space five : darts { cell normal { nodes = 5; } in supernet { bn(eps = 1e-3) in cells; } }"
        "space flat : five { stack { order = [normal, reduce(2 * channels)]; } in supernet { "
        "channels = 8; }"
        "in network { channels = 9; } }");
    check(&f);
    /* The order replaces the inherited counted stack and its numbers of layers. */
    expect_clean(&f);
    assert_int_equal(f.unit->spaces[2]->network.layers, 2);
    assert_int_equal(f.unit->spaces[2]->network.channels, 9);
    assert_int_equal(f.unit->spaces[2]->network.order[1].widen, 2);
    end(&f);
    read_text(&f, "ftso 1; include \"darts.ftso\"; space five : darts { cell normal { nodes = 5; }"
                  "in supernet { channels = 8; bn(eps = 1e-3) in cells; } cell extra : reduce { "
                  "keep = 1; } }");
    check(&f);
    expect_clean(&f);
    const ftso_space *space = f.unit->spaces[1];
    assert_int_equal(space->cell_count, 3);
    assert_string_equal(space->cells[0]->name, "normal");
    for (size_t i = 0; i < 3; i++) assert_int_equal(space->cells[i]->node_count, 5);
    assert_int_equal(space->cells[2]->input_stride, 2);
    assert_int_equal(space->cells[2]->keep, 1);
    assert_int_equal(space->supernet.channels, 8);
    assert_int_equal(space->supernet.layers, 8);
    assert_int_equal(space->default_count, 2);
    assert_string_equal(space->defaults[0].arg, "affine");
    assert_string_equal(space->defaults[1].arg, "eps");
    assert_non_null(space->aux_head);
    end(&f);
}

/* ---------------------------------------------------------------- genotypes */

static void test_genotypes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
    } rows[] = {
        {"Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('none', "
         "2), ('none', 0), ('none', 1), "
         "('none', 3), ('none', 4)], normal_concat=range(2, 6), reduce=(('none', 0), ('none', 1), "
         "('none', 0), ('none', 1), "
         "('none', 0), ('none', 1), ('none', 0), ('none', 1)), reduce_concat=[2, 3, 4, 5])",
         NULL},
        {"Genotype(", "E0001"},
        {"", "E0001"},
        {"|none~0|", "E0701"},
        {"import os", "E0001"},
        {"__import__('os')", "E0701"},
        {"3", "E0701"},
    };
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        fixture f;
        read_file(&f, FTSO_SOURCE_DIR "/examples/darts.ftso");
        check(&f);
        expect_clean(&f);
        const ftso_genotype *genotype = ftso_genotype_parse(
            &f.arena, &f.diag, rows[i].text, strlen(rows[i].text), f.unit->spaces[0], f.unit);
        if (rows[i].code) {
            assert_null(genotype);
            expect_code(&f, rows[i].code);
        } else {
            assert_non_null(genotype);
            assert_int_equal(genotype->cell_count, 2);
            assert_int_equal(genotype->cells[0].edge_count, 8);
            assert_string_equal(genotype->cells[0].edges[0].op->name, "sep_conv_3x3");
            assert_int_equal(genotype->cells[0].edges[0].from, 1);
            assert_int_equal(genotype->cells[0].node_start[2], 4);
            assert_int_equal(genotype->cells[1].concat_count, 4);
            assert_int_equal(genotype->cells[1].concat[3], 5);
        }
        end(&f);
    }
}

static void test_nasbench_string(void **state)
{
    (void)state;
    fixture f;
    read_file(&f, FTSO_SOURCE_DIR "/examples/nasbench201.ftso");
    check(&f);
    expect_clean(&f);
    const char *text =
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|";
    const ftso_genotype *genotype =
        ftso_genotype_parse(&f.arena, &f.diag, text, strlen(text), f.unit->spaces[0], f.unit);
    assert_non_null(genotype);
    assert_int_equal(genotype->cells[0].edge_count, 6);
    assert_int_equal(genotype->cells[0].node_start[2], 3);
    assert_string_equal(genotype->cells[0].edges[5].op->name, "skip_connect");
    assert_int_equal(genotype->cells[0].edges[5].from, 2);
    assert_int_equal(genotype->cells[0].concat_count, 1);
    assert_int_equal(genotype->cells[0].concat[0], 3);
    end(&f);
}

/* Nodes with fewer inputs than keep = at_most(2) have all of theirs. */
static void test_keep_at_most(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t edges; /* 0: refused */
    } rows[] = {
        {"|none~0|+|none~0|none~1|+|none~1|none~2|", 5},
        {"Genotype(normal=[('none', 0), ('none', 0), ('none', 1), ('none', 2), ('none', 0)])", 5},
        {"|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", 0},
        {"Genotype(normal=[('none', 0), ('none', 0), ('none', 1), ('none', 0)])", 0},
        {"Genotype(normal=[('none', 0), ('none', 2), ('none', 0), ('none', 1), ('none', 2)])", 0},
    };
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        fixture f;
        read_file(&f, FTSO_SOURCE_DIR "/examples/nasbench201.ftso");
        check(&f);
        expect_clean(&f);
        const ftso_space *space = f.unit->spaces[1];
        assert_string_equal(space->name, "nasbench201_pruned");
        assert_int_equal(space->cells[0]->keep, 2);
        const ftso_genotype *genotype = ftso_genotype_parse(&f.arena, &f.diag, rows[i].text,
                                                            strlen(rows[i].text), space, f.unit);
        assert_true((genotype != NULL) == (rows[i].edges > 0));
        if (genotype) {
            assert_int_equal(genotype->cells[0].edge_count, rows[i].edges);
            assert_int_equal(genotype->cells[0].node_start[1], 1);
            assert_int_equal(genotype->cells[0].node_start[2], 3);
        }
        end(&f);
    }
}

/* ---------------------------------------------------------------- limits */

/* Text of `count` repetitions between two ends is refused with that code, quickly and without harm. */
static void expect_refusal(const char *before, const char *middle, size_t count, const char *after,
                           const char *code)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, before);
    for (size_t i = 0; i < count; i++) ftso_text_puts(&text, middle);
    ftso_text_puts(&text, after);
    fixture f;
    begin(&f);
    f.ast = ftso_parse_text(&f.arena, &f.diag, "big.ftso", text.data, text.length, NULL);
    double start = ftso_clock_s();
    check(&f);
    assert_true(ftso_clock_s() - start < 20);
    assert_null(f.unit);
    bool found = false;
    for (size_t i = 0; i < f.diag.entry_count; i++) found |= !strcmp(f.diag.entries[i].code, code);
    assert_true(found);
    ftso_ast_format(f.ast, &f.text);
    ftso_text_deinit(&text);
    end(&f);
}

static void test_limits(void **state)
{
    (void)state;
    expect_refusal("ftso 1; let a = ", "(", 5000, ";", "E0009");
    expect_refusal("ftso 1; let a = ", "[", 5000, ";", "E0009");
    expect_refusal("ftso 1; space s ", "{ in x ", 5000, ";", "E0009");
    expect_refusal("ftso 1; let a = ", "!", 5000, "true;", "E0009");
    expect_refusal("ftso 1; let a = 1", " + 1", 5000, ";", "E0009");
    expect_refusal("ftso 1; let a = ", "1 == 1 ? 1 : ", 5000, "1;", "E0009");
    expect_refusal("ftso 1; op f(C) = ", "f(f(", 5000, ";", "E0009");
    expect_refusal("ftso 1; opset o = { a", ", a", 10000, " };", "E0406");
    expect_refusal("ftso 1; let a = 1", "0", 1000000, ";", "E0305");
    expect_refusal("ftso 1; let a = ", "x", 1000000, ";", "E0203");
    expect_refusal("ftso 1; # ", "x", 1000000, "\nlet a = b;", "E0203");
    expect_refusal("ftso 1; ", "let a = 1;\n", 20000, "", "E0202");
    expect_refusal("ftso 1; ", "}", 100000, "", "E0010");
    expect_refusal("ftso 1; ", "\n", 17 << 20, "", "E0011");
    expect_refusal("", "include \"x.ftso\";", 1, "", "E0105");
    expect_refusal("ftso 1; genotype g : s = ", "|a~0|+", 5000, "|a~0|;", "E0205");
}

/* Names that do not exist are looked for among many that do; the remedy is sought for the first ones only. */
static void test_floods(void **state)
{
    (void)state;
    static const char *const uses[] = {"let u%d = missing_%d;\n", "op u%d(C) = missing_%d;\n",
                                       "space u%d : missing_%d { }\n"};
    for (size_t k = 0; k < FTSO_COUNT(uses); k++) {
        ftso_text text;
        ftso_text_init(&text);
        ftso_text_puts(&text, "ftso 1;\n");
        for (int i = 0; i < 5000; i++) {
            ftso_text_printf(&text, "let a%d = 1;\nop o%d(C) = relu;\n", i, i);
            char line[80];
            snprintf(line, sizeof(line), uses[k], i, i);
            ftso_text_puts(&text, line);
        }
        fixture f;
        read_text(&f, ftso_text_get(&text));
        double start = ftso_clock_s();
        check(&f);
        assert_true(ftso_clock_s() - start < 20);
        assert_int_equal(f.diag.error_count, 5000);
        ftso_text_deinit(&text);
        end(&f);
    }
    expect_refusal("ftso 1; space s {", "let a = 1; ", 20000, "}", "E0217");
    expect_refusal("ftso 1; search s {", "space = a; ", 9000, "}", "E0206");
}

/* A file that includes itself is seen wherever it is read from. */
static void test_self_include(void **state)
{
    (void)state;
    fixture f;
    read_file(&f, FTSO_SOURCE_DIR "/tests/broken/include_main.ftso");
    expect_code(&f, "E0103");
    end(&f);
}

/* A chain of 5 000 links is long, not deep: it is read, and formatted. */
static void test_long_chain(void **state)
{
    (void)state;
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, "ftso 1; op f(C) = relu");
    for (int i = 0; i < 5000; i++) ftso_text_puts(&text, " -> relu");
    ftso_text_puts(&text, ";");
    fixture f;
    format_text(&f, ftso_text_get(&text));
    check(&f);
    expect_clean(&f);
    assert_int_equal(f.unit->operators[0]->body->child_count, 5001);
    ftso_text_deinit(&text);
    end(&f);
}

/* 3 000 operators in one file: names are looked up, not searched. */
static void test_many_names(void **state)
{
    (void)state;
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, "ftso 1;\n");
    for (int i = 0; i < 10000; i++)
        ftso_text_printf(&text, "op o%d(C, s) = conv(C, 1, stride = s);\n", i);
    fixture f;
    read_text(&f, ftso_text_get(&text));
    double start = ftso_clock_s();
    check(&f);
    assert_true(ftso_clock_s() - start < 20);
    expect_clean(&f);
    assert_int_equal(f.unit->operator_count, 10000);
    ftso_text_deinit(&text);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_are_clean),
        cmocka_unit_test(test_examples_are_in_the_canonical_layout),
        cmocka_unit_test(test_dumps),
        cmocka_unit_test(test_documented_blocks),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_long_lines_are_broken),
        cmocka_unit_test(test_override),
        cmocka_unit_test(test_words_of_other_tables),
        cmocka_unit_test(test_fractions_are_exact),
        cmocka_unit_test(test_words_are_names),
        cmocka_unit_test(test_inheritance),
        cmocka_unit_test(test_genotypes),
        cmocka_unit_test(test_nasbench_string),
        cmocka_unit_test(test_keep_at_most),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_self_include),
        cmocka_unit_test(test_long_chain),
        cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
