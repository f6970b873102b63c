/*
 * Broken space files and what is said about them. Each tests/broken/NAME.ftso has the exact diagnostics beside it in
 * NAME.err; NAME.set holds one --set per line. What the checks accept is lowered, so that the words of shape errors are
 * here too. UPDATE=1 in the environment rewrites the .err files; read the difference like code.
 */
#include "support.h"

#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/frontend.h"

enum { MAX_CASES = 1000, LEAST_CASES = 150 };

typedef struct cases {
    char *names[MAX_CASES];
    size_t count;
} cases;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_cases(cases *all)
{
    DIR *dir = opendir(".");
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 5, ".ftso") != 0) continue;
        assert_true(all->count < MAX_CASES);
        all->names[all->count++] = strndup(entry->d_name, length - 5);
    }
    closedir(dir);
    qsort(all->names, all->count, sizeof(all->names[0]), by_name);
}

static void free_cases(cases *all)
{
    for (size_t i = 0; i < all->count; i++) free(all->names[i]);
}

static void lower_all(ftso_arena *arena, ftso_diag *diag, const ftso_unit *unit)
{
    for (size_t i = 0; i < unit->space_count; i++) {
        ftso_lower_options options = {.batch = 2, .edge_weights = true};
        ftso_lower_supernet(arena, diag, unit->spaces[i], &options);
    }
    for (size_t i = 0; i < unit->genotype_count; i++) {
        ftso_lower_options options = {.batch = 2};
        ftso_lower_network(arena, diag, unit->genotypes[i]->space, unit->genotypes[i], &options);
    }
    for (size_t i = 0; i < unit->train_count; i++) {
        const ftso_train *train = unit->trains[i];
        if (!train->cell) continue;
        ftso_lower_options options = ftso_train_lower_options(train, false);
        ftso_lower_network(arena, diag, train->space, train->cell, &options);
        ftso_network_require(arena, diag, train->require, train->space, train->cell, &options);
    }
}

static void override_all(ftso_arena *arena, ftso_diag *diag, ftso_ast *ast, const char *name)
{
    char *text;
    size_t length;
    const char *path = ftso_format(arena, "%s.set", name);
    if (!ftso_file_exists(path)) return;
    test_ok(ftso_file_read(arena, path, 1 << 20, &text, &length));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ftso_ast_override(ast, diag, line);
}

/* All that is said about NAME.ftso. */
static const char *diagnose(ftso_arena *arena, ftso_diag *diag, const char *name)
{
    ftso_ast *ast;
    ftso_diag_init(diag, arena);
    test_ok(ftso_parse_file(arena, diag, ftso_format(arena, "%s.ftso", name), &ast));
    override_all(arena, diag, ast, name);
    const ftso_unit *unit = ftso_check(arena, diag, ast);
    assert_true((unit == NULL) == (diag->error_count > 0));
    if (unit) lower_all(arena, diag, unit);
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(diag, &text, false);
    const char *result = ftso_strdup(arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return result;
}

static void enter_folder(void)
{
    assert_int_equal(chdir(FTSO_SOURCE_DIR "/tests/broken"), 0);
}

static void test_golden_messages(void **state)
{
    (void)state;
    enter_folder();
    cases all = {.count = 0};
    list_cases(&all);
    assert_true(all.count >= LEAST_CASES);
    bool update = getenv("UPDATE") != NULL;
    size_t wrong = 0;
    for (size_t i = 0; i < all.count; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_diag diag;
        const char *actual = diagnose(&arena, &diag, all.names[i]);
        if (!diag.error_count && !diag.warning_count) {
            printf("%s.ftso: nothing is said about it\n", all.names[i]);
            wrong++;
        }
        const char *golden = ftso_format(&arena, "%s.err", all.names[i]);
        char *expected = "";
        size_t length;
        if (ftso_file_exists(golden))
            test_ok(ftso_file_read(&arena, golden, 1 << 20, &expected, &length));
        if (strcmp(actual, expected) != 0) {
            if (update) {
                test_ok(ftso_file_write_atomic(golden, actual, strlen(actual)));
            } else {
                printf("%s.ftso: expected\n%sfound\n%s", all.names[i], expected, actual);
                wrong++;
            }
        }
        ftso_arena_deinit(&arena);
    }
    free_cases(&all);
    assert_int_equal(wrong, 0);
}

/* Every message of the language's own codes is triggered here, and every code that is printed is explained. */
static void test_codes(void **state)
{
    (void)state;
    enter_folder();
    cases all = {.count = 0};
    list_cases(&all);
    size_t doc_count;
    const ftso_error_doc *docs = ftso_error_doc_rows(&doc_count);
    bool *seen = calloc(doc_count, sizeof(bool));
    assert_non_null(seen);
    for (size_t i = 0; i < all.count; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_diag diag;
        diagnose(&arena, &diag, all.names[i]);
        for (size_t k = 0; k < diag.entry_count; k++) {
            const ftso_error_doc *doc = ftso_error_doc_find(diag.entries[k].code);
            if (!doc) printf("%s is not explained\n", diag.entries[k].code);
            assert_non_null(doc);
            seen[doc - docs] = true;
        }
        ftso_arena_deinit(&arena);
    }
    /* Told by other programs: sources too large or without a folder (test_frontend), genotype files, graphs as text. */
    static const char *const elsewhere[] = {"E0011", "E0105", "E0217", "E0814", "E0815",
                                            "E0506", "E0507", "E0508", "E0509", "E0510",
                                            "E0520", "E0521", "E0522", "E0523"};
    size_t missing = 0;
    for (size_t i = 0; i < doc_count; i++) {
        bool other = !strncmp(docs[i].code, "E09", 3);
        for (size_t k = 0; k < FTSO_COUNT(elsewhere); k++)
            other |= !strcmp(docs[i].code, elsewhere[k]);
        if (seen[i] || other) continue;
        printf("no broken file triggers %s (%s)\n", docs[i].code, docs[i].title);
        missing++;
    }
    free(seen);
    free_cases(&all);
    assert_int_equal(missing, 0);
}

/* Graphs as text are read by another folder; their codes are explained here all the same. */
static void test_codes_of_graphs(void **state)
{
    (void)state;
#define INPUT "%0 = input() {name=\"x\"} : [N=2, 3, 8, 8]\n"
    static const struct {
        const char *code, *text;
    } rows[] = {
        {"E0901", "%0 = input\n"},
        {"E0901", INPUT "output x %0\n"},
        {"E0902", "%99999999999999999999 = input()\n"},
        {"E0903", "%1 = input() {name=\"x\"} : [3]\n"},
        {"E0903", INPUT "%1 = relu(%7) : [N=2, 3, 8, 8]\n"},
        {"E0904", "%0 = input() {name=\"x\"} : [1, 2, 3, 4, 5]\n"},
        {"E0905", INPUT "%1 = relu(%0) {k=3} : [N=2, 3, 8, 8]\n"},
        {"E0906", INPUT "%1 = rleu(%0) : [N=2, 3, 8, 8]\n"},
        {"E0907", INPUT "%1 = relu(%0, %0) : [N=2, 3, 8, 8]\n"},
        {"E0908", INPUT "%1 = relu(%0) : [N=2, 3, 4, 4]\n"},
        {"E0910", "storage fp61\n" INPUT},
        {"E0909", INPUT "output \"a\" %0\noutput \"a\" %0\n"},
    };
#undef INPUT
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_diag diag;
        ftso_diag_init(&diag, &arena);
        ftso_graph graph;
        ftso_graph_init(&graph, &arena, ftso_primitives());
        uint32_t file = ftso_diag_add_source(&diag, "graph", rows[i].text, strlen(rows[i].text));
        assert_false(ftso_graph_parse(&graph, &diag, file));
        assert_int_equal(diag.error_count, 1);
        assert_string_equal(diag.entries[0].code, rows[i].code);
        assert_non_null(ftso_error_doc_find(rows[i].code));
        ftso_arena_deinit(&arena);
    }
}

static size_t codes_seen, codes_unexplained;

/* Every "E0123" that stands in a source file is explained. */
static int look_for_codes(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)where;
    size_t length = strlen(path), size;
    if (kind != FTW_F || length < 2 || strcmp(path + length - 2, ".c") != 0) return 0;
    ftso_arena arena;
    ftso_arena_init(&arena);
    char *text;
    test_ok(ftso_file_read(&arena, path, 1 << 24, &text, &size));
    for (const char *at = text; (at = strchr(at, '"')); at++) {
        bool code =
            (at[1] == 'E' || at[1] == 'W') && strspn(at + 2, "0123456789") == 4 && at[6] == '"';
        if (!code) continue;
        codes_seen++;
        const char *name = ftso_strndup(&arena, at + 1, 5);
        if (ftso_error_doc_find(name)) continue;
        print_message("%s: %s is not explained\n", path, name);
        codes_unexplained++;
    }
    ftso_arena_deinit(&arena);
    return 0;
}

static void test_codes_in_sources(void **state)
{
    (void)state;
    static const char *const folders[] = {"frontend", "ir",      "search", "codegen",
                                          "runtime",  "kernels", "cli"};
    for (size_t i = 0; i < FTSO_COUNT(folders); i++) {
        char path[4096];
        snprintf(path, sizeof(path), FTSO_SOURCE_DIR "/%s", folders[i]);
        assert_int_equal(nftw(path, look_for_codes, 16, FTW_PHYS), 0);
    }
    assert_true(codes_seen > 150);
    assert_int_equal(codes_unexplained, 0);
}

static void test_docs_are_complete(void **state)
{
    (void)state;
    size_t count;
    const ftso_error_doc *docs = ftso_error_doc_rows(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(docs[i].title[0] && docs[i].text[0] && docs[i].bad[0] && docs[i].good[0]);
        if (i) assert_true(strcmp(docs[i - 1].code, docs[i].code) < 0);
        assert_ptr_equal(ftso_error_doc_find(docs[i].code), &docs[i]);
    }
    assert_null(ftso_error_doc_find("E9999"));
}

/* A link in the folder is not followed, wherever it stands in the path. */
static void test_links_are_refused(void **state)
{
    (void)state;
    char folder[] = "/tmp/ftso-links-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("real", 0755), 0);
    const char *text = "ftso 1;\n";
    test_ok(ftso_file_write_atomic("real/a.ftso", text, strlen(text)));
    assert_int_equal(symlink("real", "folder"), 0);
    assert_int_equal(symlink("real/a.ftso", "file.ftso"), 0);
    static const struct {
        const char *text;
        bool works;
    } cases_of_links[] = {{"ftso 1;\ninclude \"real/a.ftso\";\n", true},
                          {"ftso 1;\ninclude \"folder/a.ftso\";\n", false},
                          {"ftso 1;\ninclude \"file.ftso\";\n", false}};
    for (size_t i = 0; i < FTSO_COUNT(cases_of_links); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_diag diag;
        ftso_diag_init(&diag, &arena);
        ftso_parse_text(&arena, &diag, "main.ftso", cases_of_links[i].text,
                        strlen(cases_of_links[i].text), folder);
        assert_int_equal(diag.error_count, cases_of_links[i].works ? 0 : 1);
        if (!cases_of_links[i].works) assert_string_equal(diag.entries[0].code, "E0102");
        ftso_arena_deinit(&arena);
    }
    unlink("file.ftso");
    unlink("folder");
    unlink("real/a.ftso");
    rmdir("real");
    enter_folder();
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_messages),   cmocka_unit_test(test_codes),
        cmocka_unit_test(test_codes_of_graphs),   cmocka_unit_test(test_codes_in_sources),
        cmocka_unit_test(test_docs_are_complete), cmocka_unit_test(test_links_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
