/*
 * Code generation as a whole: what makes a unit of machine code, when the disk cache serves it and how it heals, that a
 * changed emitter misses, what targets there are. Numbers of the kernels themselves are in test_kernels_*.c.
 */
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "support.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = 5, MANY = 4096 };

/* A folder for compiled code, the schedule to compile, and its results without any cache. */
typedef struct fixture {
    ftso_arena arena;
    ftso_graph graph;
    ftso_schedule *schedule;
    ftso_compiler_options options;
    float expected[MANY];
    char folder[32];
} fixture;

/* ---------------------------------------------------------------- graphs */

static ftso_value conv(ftso_graph *graph, ftso_value x, ftso_value w, int64_t pad)
{
    const ftso_op *op = ftso_op_find(graph->ops, "conv");
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    ftso_value operands[] = {x, w};
    for (int i = 0; i < op->attr_count; i++) {
        attrs[i] = op->attrs[i].fallback;
        if (strncmp(op->attrs[i].name, "pad", 3) == 0) attrs[i].i = pad;
    }
    return ftso_graph_add(graph, "conv", operands, 2, attrs, (size_t)op->attr_count);
}

/* Two equal regions, a conv with a sum each, and another: arithmetic on vectors that gives a new state. */
static void make_graph(fixture *f)
{
    ftso_graph *g = &f->graph;
    ftso_graph_init(g, &f->arena, ftso_primitives());
    ftso_value w = ftso_graph_input(g, "w", ftso_shape_weight(9, 3, 3, 3)), sums[2];
    static const char *const images[] = {"x0", "x1"}, *const names[] = {"s0", "s1"};
    for (int i = 0; i < 2; i++) {
        ftso_value x = ftso_graph_input(g, images[i], ftso_shape_image(N, 3, 6, 5));
        sums[i] = ftso_graph_unary(g, "channel_sum", conv(g, ftso_graph_unary(g, "relu", x), w, 1));
        ftso_graph_output(g, names[i], sums[i], FTSO_NO_VALUE);
    }
    ftso_value old = ftso_graph_state(g, "state", ftso_shape_vector(9)),
               both = ftso_graph_binary(g, "add", sums[0], sums[1]);
    ftso_graph_output(g, "state", ftso_graph_binary(g, "add", old, both), old);
    test_ok(ftso_graph_verify(g));
    test_ok(ftso_schedule_form(&f->arena, g, NULL, &f->schedule));
    test_ok(ftso_schedule_verify(f->schedule));
}

/* One region that compiles in no time. */
static const ftso_schedule *small_schedule(fixture *f)
{
    ftso_graph *g = FTSO_NEW(&f->arena, ftso_graph);
    ftso_graph_init(g, &f->arena, ftso_primitives());
    ftso_value x = ftso_graph_input(g, "x0", ftso_shape_image(N, 3, 2, 2));
    ftso_graph_output(g, "y", ftso_graph_unary(g, "relu", x), FTSO_NO_VALUE);
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(&f->arena, g, NULL, &schedule));
    assert_int_equal(schedule->region_count, 1);
    return schedule;
}

/* Writes all inputs, runs all images twice, reads all outputs; returns how many numbers there are. */
static size_t run(const ftso_program *program, float results[MANY])
{
    ftso_pool *pool;
    ftso_runner *runner;
    test_ok(ftso_pool_new(1, false, &pool));
    test_ok(ftso_runner_new(program, pool, NULL, &runner));
    test_random random = {5};
    size_t total = 0;
    for (size_t i = 0; i < program->slot_count; i++) {
        const ftso_slot *slot = &program->slots[i];
        if (slot->is_output) continue;
        size_t count = 1;
        for (int d = 0; d < slot->rank; d++) count *= (size_t)slot->dim[d];
        float data[MANY];
        assert_true(count <= MANY);
        for (size_t k = 0; k < count; k++) data[k] = (float)test_normal(&random);
        ftso_runner_write(runner, slot->name, data, program->planned_batch);
    }
    ftso_runner_run(runner, program->planned_batch, NULL);
    ftso_runner_run(runner, program->planned_batch, NULL);
    for (size_t i = 0; i < program->slot_count; i++) {
        const ftso_slot *slot = &program->slots[i];
        if (!slot->is_output) continue;
        size_t count = 1;
        for (int d = 0; d < slot->rank; d++) count *= (size_t)slot->dim[d];
        assert_true(total + count <= MANY);
        ftso_runner_read(runner, slot->name, results + total, program->planned_batch);
        total += count;
    }
    ftso_runner_free(runner);
    ftso_pool_free(pool);
    return total;
}

/* Compiles by a compiler of its own, as a new process would, and runs. */
static ftso_compile_report compile(const ftso_compiler_options *options,
                                   const ftso_schedule *schedule, float results[MANY])
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_compiler *compiler;
    ftso_program *program;
    ftso_compile_report report;
    test_ok(ftso_compiler_new(options, &compiler));
    test_ok(ftso_compile(compiler, &arena, schedule, &program, &report));
    float ignored[MANY];
    memset(results ? results : ignored, 0, sizeof(ignored));
    assert_true(run(program, results ? results : ignored) > 0);
    ftso_compiler_free(compiler);
    ftso_arena_deinit(&arena);
    return report;
}

/* As `compile`, and the results are those of the fixture. */
static ftso_compile_report compile_right(const fixture *f, const ftso_compiler_options *options)
{
    float results[MANY];
    ftso_compile_report report = compile(options, f->schedule, results);
    assert_memory_equal(results, f->expected, sizeof(results));
    return report;
}

/* ---------------------------------------------------------------- the folder */

typedef struct entries {
    const char **paths;
    size_t count, capacity;
} entries;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static entries list(ftso_arena *arena, const char *folder)
{
    entries all = {0};
    DIR *open = opendir(folder);
    assert_non_null(open);
    for (const struct dirent *entry = readdir(open); entry; entry = readdir(open))
        if (entry->d_name[0] != '.')
            FTSO_PUSH(arena, all.paths, all.count, all.capacity,
                      ftso_format(arena, "%s/%s", folder, entry->d_name));
    closedir(open);
    if (all.count) qsort(all.paths, all.count, sizeof(*all.paths), by_text);
    return all;
}

static void remove_folder(ftso_arena *arena, const char *folder)
{
    entries all = list(arena, folder);
    for (size_t i = 0; i < all.count; i++)
        if (unlink(all.paths[i]) != 0) rmdir(all.paths[i]);
    rmdir(folder);
}

static char *read_whole(ftso_arena *arena, const char *path, size_t *out_length)
{
    char *bytes;
    test_ok(ftso_file_read(arena, path, 1 << 24, &bytes, out_length));
    return bytes;
}

static void write_whole(const char *path, const char *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static int setup(void **state)
{
    fixture *f = ftso_mem_alloc(sizeof(*f));
    memset(f, 0, sizeof(*f));
    ftso_arena_init(&f->arena);
    make_graph(f);
    f->options = (ftso_compiler_options){.threads = 1, .kernels = ftso_kernels()};
    test_ok(ftso_target_host(&f->arena, &f->options.target));
    compile(&f->options, f->schedule, f->expected);
    strcpy(f->folder, "codegen-test-XXXXXX");
    if (!mkdtemp(f->folder)) fail_msg("no folder for compiled code");
    f->options.cache_dir = f->folder;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    remove_folder(&f->arena, f->folder);
    ftso_arena_deinit(&f->arena);
    ftso_mem_free(f);
    return 0;
}

/* ---------------------------------------------------------------- compiling once */

static void equal_regions_compile_once(void **state)
{
    fixture *f = *state;
    f->options.cache_dir = NULL;
    ftso_compiler *compiler;
    ftso_program *first, *second;
    ftso_compile_report report;
    test_ok(ftso_compiler_new(&f->options, &compiler));
    test_ok(ftso_compile(compiler, &f->arena, f->schedule, &first, &report));
    assert_int_equal(report.regions, f->schedule->region_count);
    assert_int_equal(report.unique_regions, report.regions - 1); /* the two convolutions */
    assert_int_equal(report.cache_hits, 0);
    assert_true(report.emit_s > 0 && report.optimise_s > 0 && report.link_s > 0);
    assert_true(report.total_s >= report.emit_s + report.optimise_s);
    test_ok(ftso_compile(compiler, &f->arena, f->schedule, &second, &report));
    assert_int_equal(report.unique_regions, 0);
    assert_true(first->launch_count == second->launch_count);
    for (size_t i = 0; i < first->launch_count; i++)
        assert_true(first->launches[i].kernels.body == second->launches[i].kernels.body);
    float results[MANY] = {0};
    run(second, results);
    assert_memory_equal(results, f->expected, sizeof(results));
    ftso_compiler_free(compiler);
}

/* Whoever compiles, in whatever order: the same files. */
static void threads_make_the_same_code(void **state)
{
    fixture *f = *state;
    char other[] = "codegen-test-XXXXXX";
    if (!mkdtemp(other)) fail_msg("no folder for compiled code");
    compile_right(f, &f->options);
    ftso_compiler_options many = f->options;
    many.threads = 4;
    many.cache_dir = other;
    compile_right(f, &many);
    entries a = list(&f->arena, f->folder), b = list(&f->arena, other);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        size_t length, other_length;
        assert_string_equal(strrchr(a.paths[i], '/'), strrchr(b.paths[i], '/'));
        char *bytes = read_whole(&f->arena, a.paths[i], &length),
             *others = read_whole(&f->arena, b.paths[i], &other_length);
        assert_int_equal(length, other_length);
        assert_memory_equal(bytes, others, length);
    }
    remove_folder(&f->arena, other);
}

/* ---------------------------------------------------------------- the cache */

static void second_start_compiles_nothing(void **state)
{
    fixture *f = *state;
    ftso_compile_report cold = compile_right(f, &f->options);
    assert_int_equal(cold.cache_hits, 0);
    assert_int_equal(list(&f->arena, f->folder).count, cold.unique_regions);
    ftso_compile_report warm = compile_right(f, &f->options);
    assert_int_equal(warm.cache_hits, cold.unique_regions);
    assert_int_equal(warm.cache_damaged, 0);
    assert_true(warm.emit_s == 0 && warm.optimise_s == 0);
}

/* Whatever the code depends on is in the key, one by one; and the old entries still serve who has not changed. */
static void changes_miss(void **state)
{
    fixture *f = *state;
    ftso_compile_report cold = compile_right(f, &f->options);
    ftso_compiler_options changed[3];
    for (int i = 0; i < 3; i++) changed[i] = f->options;
    changed[0].identity = "another code generator";
    changed[1].tuning.pixel_block = 1;
    changed[2].tuning.channel_block = 1;
    for (int i = 0; i < 3; i++) {
        ftso_compile_report report = compile_right(f, &changed[i]);
        assert_int_equal(report.cache_hits, 0);
        assert_int_equal(report.cache_damaged, 0);
        report = compile_right(f, &changed[i]);
        assert_int_equal(report.cache_hits, cold.unique_regions);
    }
    ftso_compiler_options narrow = f->options;
    test_ok(ftso_target_named(&f->arena, "x86-64", &narrow.target));
    assert_int_equal(compile(&narrow, f->schedule, NULL).cache_hits, 0);
    ftso_compiler_options named = narrow;
    named.target.features = "+sse2,+sse3";
    assert_int_equal(compile(&named, f->schedule, NULL).cache_hits, 0);
    assert_int_equal(compile_right(f, &f->options).cache_hits, cold.unique_regions);
}

/* The identity that the build puts into keys follows every source of codegen/ and kernels/. */
static void changed_emitter_changes_identity(void **state)
{
    fixture *f = *state;
    const char *tree = ftso_format(&f->arena, "%s/tree", f->folder);
    static const char *const folders[] = {"codegen", "kernels/pool"};
    for (size_t i = 0; i < FTSO_COUNT(folders); i++) {
        test_ok(ftso_dir_create(ftso_format(&f->arena, "%s/%s", tree, folders[i])));
        write_whole(ftso_format(&f->arena, "%s/%s/one.c", tree, folders[i]), "int one;\n", 9);
    }
    char *texts[4];
    for (int i = 0; i < 4; i++) {
        if (i == 1)
            write_whole(ftso_format(&f->arena, "%s/kernels/pool/one.c", tree), "int two;\n", 9);
        if (i == 2)
            write_whole(ftso_format(&f->arena, "%s/codegen/emit.h", tree), "int three;\n", 11);
        const char *header = ftso_format(&f->arena, "%s/identity.h", tree);
        assert_int_equal(
            system(ftso_format(&f->arena,
                               "cmake -DOUT=\"$PWD/%s\" -DROOT=\"$PWD/%s\" "
                               "-DNAME=FTSO_CODEGEN_IDENTITY -DFOLDERS=codegen,kernels -P "
                               "'" FTSO_SOURCE_DIR "/cmake/identity.cmake'",
                               header, tree)),
            0);
        size_t length;
        texts[i] = read_whole(&f->arena, header, &length);
        assert_true(strstr(texts[i], "FTSO_CODEGEN_IDENTITY") != NULL);
    }
    assert_string_not_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[1], texts[2]);
    assert_string_equal(texts[2], texts[3]);
    assert_int_equal(system(ftso_format(&f->arena, "rm -r '%s'", tree)), 0);
}

/* Puts `bytes` where the entry was: compiled anew, counted, and whole again afterwards. */
static void check_heals(const fixture *f, const ftso_schedule *schedule, const char *path,
                        const char *bytes, size_t length, const char *what)
{
    write_whole(path, bytes, length);
    ftso_compile_report report = compile(&f->options, schedule, NULL);
    if (report.cache_damaged != 1 || report.cache_hits != report.unique_regions - 1)
        fail_msg("%s: %lld damaged, %lld hits", what, (long long)report.cache_damaged,
                 (long long)report.cache_hits);
    report = compile(&f->options, schedule, NULL);
    if (report.cache_damaged != 0 || report.cache_hits != report.unique_regions)
        fail_msg("%s: not healed", what);
}

static void damage_heals(void **state)
{
    fixture *f = *state;
    const ftso_schedule *small = small_schedule(f);
    compile(&f->options, small, NULL);
    entries all = list(&f->arena, f->folder);
    assert_int_equal(all.count, 1);
    const char *path = all.paths[0];
    size_t length, now;
    char *good = read_whole(&f->arena, path, &length);
    for (int i = 0; i < 24; i++) {
        char *bytes = ftso_arena_alloc(&f->arena, length);
        /* densely in the header, sparsely behind it */
        size_t at = i < 16 ? (size_t)i * 8 : length - 1 - (size_t)(i - 16) * (length / 9);
        memcpy(bytes, good, length);
        bytes[at] = (char)(bytes[at] ^ 0x10);
        check_heals(f, small, path, bytes, length, "one bit changed");
    }
    const size_t lengths[] = {0, 7, 100, length / 2, length - 1};
    for (size_t i = 0; i < FTSO_COUNT(lengths); i++)
        check_heals(f, small, path, good, lengths[i], "cut short");
    char *longer = ftso_arena_alloc(&f->arena, length + 1);
    memcpy(longer, good, length);
    check_heals(f, small, path, longer, length + 1, "a byte too many");
    char *again = read_whole(&f->arena, path, &now);
    assert_int_equal(now, length);
    assert_memory_equal(again, good, length);
}

/* A whole entry under another one's name is no entry. */
static void exchanged_entries_heal(void **state)
{
    fixture *f = *state;
    compile_right(f, &f->options);
    entries all = list(&f->arena, f->folder);
    assert_true(all.count >= 2);
    size_t length;
    char *bytes = read_whole(&f->arena, all.paths[0], &length);
    write_whole(all.paths[1], bytes, length);
    ftso_compile_report report = compile_right(f, &f->options);
    assert_int_equal(report.cache_damaged, 1);
    assert_int_equal(report.cache_hits, report.unique_regions - 1);
    assert_int_equal(compile_right(f, &f->options).cache_hits, all.count);
}

/* Folders that cannot be read or written cost time, never results. */
static void unusable_cache(void **state)
{
    fixture *f = *state;
    const char *file = ftso_format(&f->arena, "%s/file", f->folder);
    write_whole(file, "text", 4);
    ftso_compiler_options options = f->options;
    options.cache_dir = file;
    assert_int_equal(compile_right(f, &options).cache_hits, 0);
    assert_int_equal(compile_right(f, &options).cache_hits, 0);
    options.cache_dir = ftso_format(&f->arena, "%s/not/there", f->folder);
    assert_int_equal(compile_right(f, &options).cache_hits, 0);

    const ftso_schedule *small = small_schedule(f);
    unlink(file);
    compile(&f->options, small, NULL);
    entries all = list(&f->arena, f->folder);
    for (size_t i = 0; i < all.count; i++) { /* a folder where an entry should be */
        struct stat what;
        if (stat(all.paths[i], &what) != 0 || !S_ISREG(what.st_mode)) continue;
        unlink(all.paths[i]);
        assert_int_equal(mkdir(all.paths[i], 0700), 0);
    }
    assert_int_equal(compile(&f->options, small, NULL).cache_hits, 0);
}

/* ---------------------------------------------------------------- targets */

static void targets(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *name;
        int floats, registers;
        bool fma;
    } known[] = {{"x86-64", 4, 16, false},
                 {"x86-64-v3", 8, 16, true},
                 {"x86-64-v4", 16, 32, true},
                 {"znver4", 16, 32, true}};
    ftso_target target;
    for (size_t i = 0; i < FTSO_COUNT(known); i++) {
        test_ok(ftso_target_named(&f->arena, known[i].name, &target));
        assert_string_equal(target.cpu, known[i].name);
        assert_int_equal(target.vector_floats, known[i].floats);
        assert_int_equal(target.vector_registers, known[i].registers);
        assert_true(target.has_fma == known[i].fma);
        assert_true(target.halves == !strcmp(target.cpu, "znver4"));
        const char *needs = ftso_target_needs(&f->arena, &target);
        while (*needs) { /* a running program can ask for each */
            size_t length = strcspn(needs, ",");
            assert_true(ftso_cpu_knows(ftso_strndup(&f->arena, needs, length)) ||
                        !strncmp(needs, "sse2", length));
            needs += length + (needs[length] == ',');
        }
        ftso_text why;
        ftso_text_init(&why);
        bool runs = ftso_target_runs_here(&target, &why);
        assert_true(runs == (why.length == 0));
        if (!runs) assert_non_null(strstr(ftso_text_get(&why), known[i].name));
        if (known[i].floats > f->options.target.vector_floats) assert_false(runs);
        assert_true(runs || known[i].floats > 4); /* every x86-64 processor has SSE2 */
        ftso_text_deinit(&why);
    }
    test_ok(ftso_target_named(&f->arena, "native", &target));
    assert_string_equal(target.cpu, f->options.target.cpu);
    assert_true(ftso_target_runs_here(&target, NULL));
    ftso_status status = ftso_target_named(&f->arena, "pentium", &target);
    assert_int_equal(status.code, FTSO_ERROR_USAGE);
    assert_non_null(strstr(status.message, "pentium"));
    assert_non_null(strstr(status.message, "x86-64-v3"));
}

/* Other systems have a row, an own vector width, and are not run here. */
static void systems(void **state)
{
    (void)state;
    size_t count;
    const ftso_system *rows = ftso_system_rows(&count), *found;
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        test_ok(ftso_system_find(rows[i].name, &found));
        assert_ptr_equal(found, &rows[i]);
        assert_non_null(strstr(rows[i].packages, rows[i].name));
        assert_int_equal(found->target.vector_floats, 4);
        ftso_text why;
        ftso_text_init(&why);
        assert_false(ftso_target_runs_here(&found->target, &why));
        assert_non_null(strstr(ftso_text_get(&why), found->target.triple));
        ftso_text_deinit(&why);
    }
    ftso_status status = ftso_system_find("aarch64", &found);
    assert_int_equal(status.code, FTSO_ERROR_USAGE);
    assert_non_null(strstr(status.message, rows[1].name));
}

/* Images are padded to whole vectors, a half or a quarter of one, nothing else is; behind everything a vector may be loaded. */
static void layout(void **state)
{
    fixture *f = *state;
    ftso_target target;
    test_ok(ftso_target_named(&f->arena, "x86-64-v3", &target));
    int64_t scalar = ftso_layout_bytes(&target, ftso_shape_scalar(), FTSO_ELEMENT_FP32),
            slack = scalar - 4;
    assert_true(slack >= 4 * 2 * target.vector_floats);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, 3, 5, 7), FTSO_ELEMENT_FP32),
                     2 * 4 * 5 * 7 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, 5, 5, 7), FTSO_ELEMENT_FP32),
                     2 * 8 * 5 * 7 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, 3, 1, 1), FTSO_ELEMENT_FP32),
                     2 * 8 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, 16, 5, 7), FTSO_ELEMENT_FP32),
                     2 * 16 * 5 * 7 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_vector(13), FTSO_ELEMENT_FP32),
                     13 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_weight(2, 3, 5, 7), FTSO_ELEMENT_FP32),
                     2 * 3 * 5 * 7 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, 3, 5, 7), FTSO_ELEMENT_BF16),
                     2 * 4 * 5 * 7 * 2 + slack);
    /* of the widest vectors a quarter is one, too */
    test_ok(ftso_target_named(&f->arena, "x86-64-v4", &target));
    static const int64_t channels[][2] = {{3, 4}, {4, 4}, {5, 8}, {8, 8}, {9, 16}, {17, 32}};
    for (size_t i = 0; i < FTSO_COUNT(channels); i++)
        assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, channels[i][0], 5, 7),
                                           FTSO_ELEMENT_FP32),
                         2 * channels[i][1] * 5 * 7 * 4 + slack);
    /* where halves serve, more than one vector is rounded up to them, but for maps of one pixel */
    test_ok(ftso_target_named(&f->arena, "znver4", &target));
    static const int64_t halves[][2] = {{5, 8}, {9, 16}, {17, 24}, {25, 32}, {36, 40}, {48, 48}};
    for (size_t i = 0; i < FTSO_COUNT(halves); i++)
        assert_int_equal(
            ftso_layout_bytes(&target, ftso_shape_image(2, halves[i][0], 5, 7), FTSO_ELEMENT_FP32),
            2 * halves[i][1] * 5 * 7 * 4 + slack);
    assert_int_equal(ftso_layout_bytes(&target, ftso_shape_image(2, 36, 1, 1), FTSO_ELEMENT_FP32),
                     2 * 48 * 4 + slack);
}

/* ---------------------------------------------------------------- text and failures */

static size_t occurrences(const char *text, const char *word)
{
    size_t count = 0;
    for (; (text = strstr(text, word)); text++) count++;
    return count;
}

static void text_of_unique_regions(void **state)
{
    fixture *f = *state;
    ftso_text text[3];
    for (int i = 0; i < 3; i++) {
        ftso_text_init(&text[i]);
        test_ok(ftso_compile_text(&f->options, f->schedule, i == 2, &text[i]));
    }
    assert_string_equal(text[0].data, text[1].data);
    /* one body for every unique region: the two convolutions are one */
    assert_int_equal(occurrences(text[0].data, "_body(ptr"), f->schedule->region_count - 1);
    assert_int_equal(occurrences(text[2].data, "_body:"), f->schedule->region_count - 1);
    assert_non_null(strstr(text[0].data, "@llvm.fma"));
    for (int i = 0; i < 3; i++) ftso_text_deinit(&text[i]);
}

static ftso_status refuse(struct ftso_emitter *emitter, const ftso_schedule *schedule,
                          const ftso_region *region, const char *symbol,
                          ftso_launch_shape *out_shape)
{
    (void)emitter, (void)schedule, (void)region, (void)symbol, (void)out_shape;
    return ftso_error(FTSO_ERROR_LIMIT, "too wide to contract");
}

/* A failure comes up whatever thread met it, nothing of it reaches the cache, and the compiler stays usable. */
static void failures(void **state)
{
    fixture *f = *state;
    static const ftso_kernel_class refusing = {
        .name = "contract", .doc = "refuses", .emit_llvm = refuse};
    const ftso_kernel_class *rows[16];
    const ftso_kernel_table *all = ftso_kernels();
    assert_true(all->count <= FTSO_COUNT(rows));
    for (size_t i = 0; i < all->count; i++)
        rows[i] = strcmp(all->rows[i]->name, "contract") == 0 ? &refusing : all->rows[i];
    ftso_kernel_table broken = {rows, all->count}, none = {rows, 0};
    for (int threads = 1; threads <= 2; threads++) {
        ftso_compiler_options options = f->options;
        options.threads = threads;
        options.kernels = &broken;
        ftso_compiler *compiler;
        ftso_program *program;
        test_ok(ftso_compiler_new(&options, &compiler));
        for (int i = 0; i < 2; i++) {
            ftso_status status = ftso_compile(compiler, &f->arena, f->schedule, &program, NULL);
            assert_int_equal(status.code, FTSO_ERROR_LIMIT);
            assert_non_null(strstr(status.message, "too wide to contract"));
        }
        test_ok(ftso_compile(compiler, &f->arena, small_schedule(f), &program, NULL));
        ftso_compiler_free(compiler);
    }
    ftso_compiler_options options = f->options;
    options.kernels = &none;
    ftso_compiler *compiler;
    ftso_program *program;
    test_ok(ftso_compiler_new(&options, &compiler));
    options.cache_dir = NULL;
    ftso_text text;
    ftso_text_init(&text);
    ftso_status status = ftso_compile_text(&options, f->schedule, false, &text);
    assert_int_equal(status.code, FTSO_ERROR_INTERNAL);
    assert_non_null(strstr(status.message, "there is no kernel class"));
    ftso_text_deinit(&text);
    ftso_compiler_free(compiler);

    ftso_compiler_options alien = f->options;
    alien.cache_dir = NULL;
    alien.target.triple = "pdp11-dec-unix";
    test_ok(ftso_compiler_new(&alien, &compiler));
    status = ftso_compile(compiler, &f->arena, f->schedule, &program, NULL);
    assert_int_equal(status.code, FTSO_ERROR_DEVICE);
    assert_non_null(strstr(status.message, "pdp11"));
    ftso_compiler_free(compiler);
    compile_right(f, &f->options);
}

/* ---------------------------------------------------------------- large and deep graphs */

/* Forty pointwise nodes that each read the one before twice: work grows with nodes, not with paths. */
static void many_paths(void **state)
{
    fixture *f = *state;
    f->options.cache_dir = NULL;
    ftso_graph g;
    ftso_graph_init(&g, &f->arena, ftso_primitives());
    ftso_value x = ftso_graph_input(&g, "x", ftso_shape_image(N, 16, 3, 3)), y = x;
    for (int i = 0; i < 40; i++)
        y = ftso_graph_binary(&g, "max", ftso_graph_unary(&g, "relu", y),
                              ftso_graph_binary(&g, "sub", y, x));
    ftso_graph_output(&g, "y", y, FTSO_NO_VALUE);
    ftso_schedule *schedule;
    float results[MANY];
    test_ok(ftso_schedule_form(&f->arena, &g, NULL, &schedule));
    ftso_compile_report report = compile(&f->options, schedule, results);
    assert_true(report.total_s < 20);
    for (int i = 0; i < N * 16 * 9; i++) assert_true(results[i] >= 0);
}

/* Vectors of a hundred different lengths in one region of algebra. */
static void many_lengths(void **state)
{
    enum { LENGTHS = 100 };
    fixture *f = *state;
    f->options.cache_dir = NULL;
    ftso_graph g;
    ftso_graph_init(&g, &f->arena, ftso_primitives());
    ftso_value total = FTSO_NO_VALUE;
    for (int i = 0; i < LENGTHS; i++) {
        const char *name = ftso_format(&f->arena, "v%d", i);
        ftso_value v = ftso_graph_input(&g, name, ftso_shape_vector(i + 1)),
                   square = ftso_graph_binary(&g, "mul", v, v);
        if (i % 10 == 0)
            ftso_graph_output(&g, ftso_format(&f->arena, "s%d", i), square, FTSO_NO_VALUE);
        ftso_value sum = ftso_graph_unary(&g, "sum", square);
        total = i ? ftso_graph_binary(&g, "add", total, sum) : sum;
    }
    ftso_graph_output(&g, "total", total, FTSO_NO_VALUE);
    ftso_schedule *schedule;
    float results[MANY];
    test_ok(ftso_schedule_form(&f->arena, &g, NULL, &schedule));
    compile(&f->options, schedule, results);
    size_t squares = 0;
    for (int i = 0; i < LENGTHS; i += 10) squares += (size_t)i + 1;
    assert_true(results[squares] > 4500 && results[squares] < 5600); /* 5050 normal squares */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_regions_compile_once, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_make_the_same_code, setup, teardown),
        cmocka_unit_test_setup_teardown(second_start_compiles_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_miss, setup, teardown),
        cmocka_unit_test_setup_teardown(changed_emitter_changes_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_heals, setup, teardown),
        cmocka_unit_test_setup_teardown(exchanged_entries_heal, setup, teardown),
        cmocka_unit_test_setup_teardown(unusable_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(targets, setup, teardown),
        cmocka_unit_test(systems),
        cmocka_unit_test_setup_teardown(layout, setup, teardown),
        cmocka_unit_test_setup_teardown(text_of_unique_regions, setup, teardown),
        cmocka_unit_test_setup_teardown(failures, setup, teardown),
        cmocka_unit_test_setup_teardown(many_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(many_lengths, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
