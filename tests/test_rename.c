/*
 * Renaming: C code knows primitives only. Every composite operator of every example gets another name; graphs, weights,
 * counts, regions and machine code must stay the same.
 *
 * The renamer reads words as the language does: comments are left alone, words in strings are replaced where the whole word
 * is an operator's name (genotypes name operators in strings).
 */
#include "records.h"
#include "frontend/frontend.h"
#include "kernels/kernels.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    const char **files; /* names in examples/ */
    size_t file_count, file_capacity;
    const char **names; /* of all declared operators */
    size_t name_count, name_capacity;
    uint64_t *keys; /* hashes of the regions' texts, and of their kinds, that were compared */
    size_t key_count, key_capacity;
    size_t keys_compared, code_compared, kinds;
    char folder[64]; /* the renamed copies */
} fixture;

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && !strcmp(text + length - tail, end);
}

static ftso_unit *load(fixture *f, const char *folder, const char *file)
{
    ftso_ast *ast;
    ftso_diag_init(&f->diag, &f->arena);
    test_ok(
        ftso_parse_file(&f->arena, &f->diag, ftso_format(&f->arena, "%s/%s", folder, file), &ast));
    ftso_unit *unit = ftso_check(&f->arena, &f->diag, ast);
    if (!unit || f->diag.error_count) {
        ftso_text text;
        ftso_text_init(&text);
        ftso_diag_print(&f->diag, &text, false);
        fail_msg("%s", ftso_text_get(&text));
    }
    return unit;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_files(fixture *f)
{
    DIR *folder = opendir(FTSO_SOURCE_DIR "/examples");
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (ends_in(entry->d_name, ".ftso"))
            FTSO_PUSH(&f->arena, f->files, f->file_count, f->file_capacity,
                      ftso_strdup(&f->arena, entry->d_name));
    closedir(folder);
    qsort(f->files, f->file_count, sizeof(*f->files), by_text);
    assert_true(f->file_count > 0);
}

static size_t name_index(const fixture *f, const char *word, size_t length)
{
    for (size_t i = 0; i < f->name_count; i++)
        if (strlen(f->names[i]) == length && !memcmp(f->names[i], word, length)) return i;
    return SIZE_MAX;
}

/* ---------------------------------------------------------------- the renamer */

static bool word_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void rename_text(const fixture *f, const char *text, ftso_text *out)
{
    while (*text) {
        if (*text == '#') {
            size_t length = strcspn(text, "\n");
            ftso_text_append(out, text, length);
            text += length;
        } else if (word_letter(*text)) {
            size_t length = 0;
            while (word_letter(text[length])) length++;
            size_t index = name_index(f, text, length);
            if (index == SIZE_MAX)
                ftso_text_append(out, text, length);
            else
                ftso_text_printf(out, "renamed_%zu_x", f->name_count - index);
            text += length;
        } else {
            ftso_text_append(out, text++, 1);
        }
    }
}

static void write_renamed(fixture *f)
{
    snprintf(f->folder, sizeof(f->folder), "rename-test-%ld", (long)getpid());
    test_ok(ftso_dir_create(f->folder));
    for (size_t i = 0; i < f->file_count; i++) {
        char *text;
        size_t length;
        ftso_text out;
        ftso_text_init(&out);
        test_ok(ftso_file_read(&f->arena,
                               ftso_format(&f->arena, FTSO_SOURCE_DIR "/examples/%s", f->files[i]),
                               1 << 20, &text, &length));
        rename_text(f, text, &out);
        test_ok(ftso_file_write_atomic(ftso_format(&f->arena, "%s/%s", f->folder, f->files[i]),
                                       out.data, out.length));
        ftso_text_deinit(&out);
    }
}

static void remove_renamed(fixture *f)
{
    for (size_t i = 0; i < f->file_count; i++)
        unlink(ftso_format(&f->arena, "%s/%s", f->folder, f->files[i]));
    rmdir(f->folder);
}

/* ---------------------------------------------------------------- comparison */

static void same_network(const fixture *f, const ftso_network *a, const ftso_network *b)
{
    ftso_text left, right;
    if (!a || !b) fail_msg("%s", f->diag.entries[f->diag.entry_count - 1].message);
    ftso_text_init(&left);
    ftso_text_init(&right);
    ftso_graph_print(a->graph, &left);
    ftso_graph_print(b->graph, &right);
    assert_true(left.length > 1000);
    assert_string_equal(ftso_text_get(&left), ftso_text_get(&right));
    ftso_text_deinit(&left);
    ftso_text_deinit(&right);
    ftso_counts x = ftso_network_count(a), y = ftso_network_count(b);
    assert_true(x.parameters == y.parameters && x.macs == y.macs &&
                x.arch_scalars == y.arch_scalars);
    assert_int_equal(a->weight_count, b->weight_count);
    for (size_t i = 0; i < a->weight_count; i++) {
        assert_string_equal(a->weight_table[i].name, b->weight_table[i].name);
        assert_int_equal(a->weight_table[i].fan_in, b->weight_table[i].fan_in);
    }
}

/* The topology phase's weight step of a search, as the code generator gets it. */
static const ftso_schedule *schedule_of(fixture *f, const ftso_search *search)
{
    ftso_lower_options options = {.batch = 4,
                                  .ops = search->topology_ops,
                                  .parameters = search->parameters,
                                  .parameter_count = search->parameter_count,
                                  .normalize = search->normalize,
                                  .edge_weights = true};
    ftso_network *network = ftso_lower_supernet(&f->arena, &f->diag, search->space, &options);
    assert_non_null(network);
    ftso_lower_step(network, &search->weights, false);
    ftso_graph *graph;
    ftso_schedule *schedule;
    ftso_fusion fusion = ftso_fusion_default();
    test_ok(ftso_passes_run(&f->arena, network->graph, NULL, 0, NULL, NULL, &graph));
    test_ok(ftso_schedule_form(&f->arena, graph, &fusion, &schedule));
    return schedule;
}

/* True the first time. */
static bool is_new(fixture *f, uint64_t hash)
{
    for (size_t i = 0; i < f->key_count; i++)
        if (f->keys[i] == hash) return false;
    FTSO_PUSH(&f->arena, f->keys, f->key_count, f->key_capacity, hash);
    return true;
}

static void same_assembly(const ftso_compiler_options *options, const ftso_schedule *a,
                          const ftso_schedule *b, size_t region)
{
    ftso_schedule one[2] = {*a, *b};
    ftso_text texts[2];
    for (int k = 0; k < 2; k++) {
        one[k].regions += region;
        one[k].region_count = 1;
        ftso_text_init(&texts[k]);
        test_ok(ftso_compile_text(options, &one[k], true, &texts[k]));
    }
    assert_true(texts[0].length > 100);
    assert_string_equal(ftso_text_get(&texts[0]), ftso_text_get(&texts[1]));
    for (int k = 0; k < 2; k++) ftso_text_deinit(&texts[k]);
}

static uint64_t class_hash(const char *kernel_class)
{
    return ftso_hash(FTSO_HASH_SEED, kernel_class, strlen(kernel_class));
}

/* What tells kinds of regions apart: the kernel class and the operator of the cores. */
static uint64_t kind_of(const ftso_schedule *schedule, const ftso_region *region)
{
    uint64_t hash = class_hash(region->kernel_class);
    if (region->core_count == 0) return hash;
    const char *name = ftso_graph_node(schedule->graph, region->cores[0])->op->name;
    return ftso_hash(hash, name, strlen(name));
}

/*
 * The text of every region, which is all that the code generator and its cache key go by; and the assembly of the first
 * region of each kind and of one in SAMPLE of the others.
 */
static void same_code(fixture *f, const ftso_schedule *a, const ftso_schedule *b)
{
    enum { SAMPLE = 12 };
    ftso_compiler_options options = {.kernels = ftso_kernels(), .threads = 1};
    test_ok(ftso_target_named(&f->arena, "x86-64-v3", &options.target));
    assert_int_equal(a->region_count, b->region_count);
    for (size_t i = 0; i < a->region_count; i++) {
        ftso_text keys[2];
        for (int k = 0; k < 2; k++) {
            const ftso_schedule *schedule = k ? b : a;
            ftso_text_init(&keys[k]);
            ftso_region_key(schedule, &schedule->regions[i], &keys[k]);
        }
        assert_string_equal(ftso_text_get(&keys[0]), ftso_text_get(&keys[1]));
        uint64_t hash = ftso_hash(FTSO_HASH_SEED, ftso_text_get(&keys[0]), keys[0].length);
        for (int k = 0; k < 2; k++) ftso_text_deinit(&keys[k]);
        if (!is_new(f, hash)) continue;
        f->keys_compared++;
        bool first = is_new(f, kind_of(a, &a->regions[i]));
        f->kinds += first;
        (void)is_new(f, class_hash(a->regions[i].kernel_class));
        if (!first && f->keys_compared % SAMPLE != 0) continue;
        same_assembly(&options, a, b, i);
        f->code_compared++;
    }
}

static void same_schedule(fixture *f, const ftso_search *a, const ftso_search *b)
{
    const ftso_schedule *left = schedule_of(f, a), *right = schedule_of(f, b);
    ftso_text texts[2];
    ftso_text_init(&texts[0]);
    ftso_text_init(&texts[1]);
    ftso_schedule_print(left, &texts[0]);
    ftso_schedule_print(right, &texts[1]);
    assert_true(left->region_count > 10);
    assert_string_equal(ftso_text_get(&texts[0]), ftso_text_get(&texts[1]));
    ftso_text_deinit(&texts[0]);
    ftso_text_deinit(&texts[1]);
    same_code(f, left, right);
}

static size_t compare_units(fixture *f, const ftso_unit *a, const ftso_unit *b)
{
    size_t compared = 0;
    assert_int_equal(a->space_count, b->space_count);
    for (size_t i = 0; i < a->space_count; i++, compared++) {
        ftso_lower_options options = {.batch = 2, .edge_weights = true};
        same_network(f, ftso_lower_supernet(&f->arena, &f->diag, a->spaces[i], &options),
                     ftso_lower_supernet(&f->arena, &f->diag, b->spaces[i], &options));
        ftso_space_size x = ftso_space_measure(&f->arena, a->spaces[i]);
        ftso_space_size y = ftso_space_measure(&f->arena, b->spaces[i]);
        assert_string_equal(x.genotypes, y.genotypes);
        assert_string_equal(x.topologies, y.topologies);
    }
    assert_int_equal(a->genotype_count, b->genotype_count);
    for (size_t i = 0; i < a->genotype_count; i++, compared++) {
        const ftso_genotype *x = a->genotypes[i], *y = b->genotypes[i];
        ftso_lower_options options = {.batch = 2, .aux = x->space->aux_head != NULL};
        same_network(f, ftso_lower_network(&f->arena, &f->diag, x->space, x, &options),
                     ftso_lower_network(&f->arena, &f->diag, y->space, y, &options));
    }
    assert_int_equal(a->search_count, b->search_count);
    for (size_t i = 0; i < a->search_count; i++, compared++)
        same_schedule(f, a->searches[i], b->searches[i]);
    return compared;
}

static void test_renamed_examples(void **state)
{
    (void)state;
    fixture f = {0};
    ftso_arena_init(&f.arena);
    list_files(&f);
    for (size_t i = 0; i < f.file_count; i++) {
        const ftso_unit *unit = load(&f, FTSO_SOURCE_DIR "/examples", f.files[i]);
        for (size_t k = 0; k < unit->operator_count; k++) {
            const char *name = unit->operators[k]->name;
            if (name_index(&f, name, strlen(name)) == SIZE_MAX)
                FTSO_PUSH(&f.arena, f.names, f.name_count, f.name_capacity, name);
        }
    }
    assert_true(f.name_count >= 14);
    write_renamed(&f);
    size_t compared = 0;
    for (size_t i = 0; i < f.file_count; i++) {
        const ftso_unit *before = load(&f, FTSO_SOURCE_DIR "/examples", f.files[i]);
        const ftso_unit *after = load(&f, f.folder, f.files[i]);
        for (size_t k = 0; k < after->operator_count; k++)
            assert_int_equal(strncmp(after->operators[k]->name, "renamed_", 8), 0);
        compared += compare_units(&f, before, after);
    }
    remove_renamed(&f);
    print_message("%zu operators renamed in %zu files, %zu networks compared\n", f.name_count,
                  f.file_count, compared);
    print_message("%zu different regions as text, %zu of them, of %zu kinds, as assembly\n",
                  f.keys_compared, f.code_compared, f.kinds);
    assert_true(compared > 0 && f.keys_compared > 100);
    assert_true(f.code_compared > f.kinds);
    for (size_t i = 0; i < ftso_kernels()->count; i++)
        if (is_new(&f, class_hash(ftso_kernels()->rows[i]->name)))
            fail_msg("no region of class %s was compared", ftso_kernels()->rows[i]->name);
    ftso_arena_deinit(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_renamed_examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
