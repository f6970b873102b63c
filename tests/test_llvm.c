/*
 * The LLVM text of one small region of each kernel class, and of two with bf16 between them, for x86-64-v3, as ordered lines;
 * what goes past the caches, and the pace at which lines are asked for.
 *
 * In: golden/llvm/CLASS.graph, a graph of one region, and CLASS.ll, lines of its outline that must stand there in that
 * order. The outline leaves out what says little: names of values, places, lines like the one before. With
 * FTSO_UPDATE_GOLDENS set, the .ll files are written anew.
 */
#include "codegen/codegen.h"
#include "codegen/emit_llvm.h"
#include "kernels/kernels.h"
#include "support.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A kept line: functions and the instructions that do the work. */
static bool tells(const char *line, size_t length)
{
    static const char *const words[] = {
        "define ", " call ", "load <",   "store <", " fadd ",  " fmul ",         " fsub ",
        " fdiv ",  " fcmp ", " select ", " lshr <", " ashr <", " shl nuw <",     " and <",
        " add <",  " or <",  " trunc <", " zext <", " sext <", " shufflevector "};
    for (size_t i = 0; i < FTSO_COUNT(words); i++)
        if (memmem(line, length, words[i], strlen(words[i]))) return true;
    return false;
}

/* The line with "%" for each value, a function's name from its "_" on, without alignment and attributes. */
static void append_plain(ftso_text *out, const char *line, size_t length)
{
    const char *end = memmem(line, length, ", align", strlen(", align"));
    if (!end) end = memmem(line, length, " #", strlen(" #"));
    if (!end) end = line + length;
    while (line < end && isspace((unsigned char)*line)) line++;
    while (line < end) {
        char c = *line++;
        ftso_text_append(out, &c, 1);
        if (c == '%')
            while (line < end && (isalnum((unsigned char)*line) || strchr("._", *line))) line++;
        if (c == '@' && *line == 'r')
            while (line < end && *line != '_') line++;
    }
    ftso_text_puts(out, "\n");
}

static void outline(const char *text, ftso_text *out)
{
    size_t last = 0;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), start = out->length;
        if (tells(line, length)) {
            append_plain(out, line, length);
            size_t own = out->length - start;
            if (start && start - last == own && !memcmp(out->data + last, out->data + start, own)) {
                out->length = start;
                out->data[start] = '\0';
            } else {
                last = start;
            }
        }
        line += length + (line[length] == '\n');
    }
}

/* The first line of `wanted` that does not stand in `text` behind the ones before it, or NULL. */
static const char *first_missing(ftso_arena *arena, const char *wanted, const char *text)
{
    while (*wanted) {
        size_t length = strcspn(wanted, "\n");
        const char *line = text;
        while (*line && (strcspn(line, "\n") != length || memcmp(line, wanted, length) != 0))
            line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n');
        if (!*line) return ftso_format(arena, "%.*s", (int)length, wanted);
        text = line + length + (line[length] == '\n');
        wanted += length + (wanted[length] == '\n');
    }
    return NULL;
}

static const char *read_file(ftso_arena *arena, const char *path)
{
    char *text;
    size_t length;
    test_ok(ftso_file_read(arena, path, 1 << 20, &text, &length));
    return text;
}

/* The golden of that name: `regions` of one class. */
static void check_golden(ftso_arena *arena, const char *name, const char *kernel_class,
                         size_t regions)
{
    const char *path = ftso_format(arena, FTSO_SOURCE_DIR "/tests/golden/llvm/%s", name);
    const char *source = read_file(arena, ftso_format(arena, "%s.graph", path));
    ftso_diag diag;
    ftso_graph graph;
    ftso_schedule *schedule;
    ftso_diag_init(&diag, arena);
    ftso_graph_init(&graph, arena, ftso_primitives());
    if (!ftso_graph_parse(&graph, &diag, ftso_diag_add_source(&diag, path, source, strlen(source))))
        fail_msg("%s.graph:%s", name, diag.entries[0].message);
    test_ok(ftso_graph_verify(&graph));
    test_ok(ftso_schedule_form(arena, &graph, NULL, &schedule));
    assert_int_equal(schedule->region_count, regions);
    for (size_t i = 0; i < regions; i++)
        assert_string_equal(schedule->regions[i].kernel_class, kernel_class);

    ftso_compiler_options options = {.kernels = ftso_kernels(), .threads = 1};
    ftso_text text, lines;
    ftso_text_init(&text);
    ftso_text_init(&lines);
    test_ok(ftso_target_named(arena, "x86-64-v3", &options.target));
    test_ok(ftso_compile_text(&options, schedule, false, &text));
    outline(ftso_text_get(&text), &lines);
    assert_true(lines.length > 100);
    const char *golden = ftso_format(arena, "%s.ll", path);
    if (getenv("FTSO_UPDATE_GOLDENS"))
        test_ok(ftso_file_write_atomic(golden, lines.data, lines.length));
    const char *wanted = read_file(arena, golden);
    assert_non_null(strstr(wanted, "define "));
    const char *missing = first_missing(arena, wanted, ftso_text_get(&lines));
    if (missing) fail_msg("%s.ll: '%s' does not follow the lines before it", name, missing);
    ftso_text_deinit(&text);
    ftso_text_deinit(&lines);
}

static void test_classes(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    for (size_t i = 0; i < ftso_kernels()->count; i++) {
        const char *name = ftso_kernels()->rows[i]->name;
        check_golden(&arena, name, name, 1);
    }
    ftso_arena_deinit(&arena);
}

/* Images between regions as bf16: how they are rounded, stored and loaded. */
static void test_storage(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    check_golden(&arena, "storage", "contract", 2);
    ftso_arena_deinit(&arena);
}

/* relu of two images' sum and of their difference, which are too much for caches or not. */
static void pointwise_text(ftso_arena *arena, int64_t images, int64_t channels, const char *cpu,
                           ftso_text *out)
{
    ftso_graph graph;
    ftso_schedule *schedule;
    ftso_graph_init(&graph, arena, ftso_primitives());
    ftso_shape shape = ftso_shape_image(images, channels, 32, 32);
    ftso_value a = ftso_graph_input(&graph, "a", shape), b = ftso_graph_input(&graph, "b", shape),
               sum = ftso_graph_binary(&graph, "add", a, b);
    ftso_graph_output(&graph, "sum", ftso_graph_unary(&graph, "relu", sum), FTSO_NO_VALUE);
    ftso_graph_output(&graph, "masked", ftso_graph_binary(&graph, "relu_mask", a, b),
                      FTSO_NO_VALUE);
    test_ok(ftso_schedule_form(arena, &graph, NULL, &schedule));
    ftso_compiler_options options = {.kernels = ftso_kernels(), .threads = 1};
    test_ok(ftso_target_named(arena, cpu, &options.target));
    test_ok(ftso_compile_text(&options, schedule, false, out));
}

/* Images that no cache holds are asked for ahead, and whole lines of them written past the caches, from halves, too, if a
 * loop takes both: one over five of 80 channels' ten vectors does not. */
static void test_past_caches(void **state)
{
    (void)state;
    static const struct {
        int64_t images, channels;
        const char *cpu;
        bool asks, past;
    } given[] = {{64, 16, "x86-64-v4", true, true},
                 {64, 16, "x86-64-v3", true, true},
                 {64, 80, "x86-64-v3", true, false},
                 {8, 16, "x86-64-v4", false, false},
                 {8, 16, "x86-64-v3", false, false}};
    ftso_arena arena;
    ftso_arena_init(&arena);
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_text text;
        ftso_text_init(&text);
        pointwise_text(&arena, given[i].images, given[i].channels, given[i].cpu, &text);
        assert_int_equal(strstr(ftso_text_get(&text), "call void @llvm.prefetch") != NULL,
                         given[i].asks);
        assert_int_equal(strstr(ftso_text_get(&text), "!nontemporal") != NULL, given[i].past);
        ftso_text_deinit(&text);
    }
    ftso_arena_deinit(&arena);
}

/* All lines are asked for within the turns, as slowly as these allow; of several images at a time only where one is too slow. */
static void test_pace(void **state)
{
    (void)state;
    enum { MOST = 4 };
    static const struct {
        int64_t lines[3], turns, steps;
        int images;
        int64_t floats;
    } given[] = {{{64}, 64, 16, 1, 1},        {{64}, 8, 16, 1, 8},
                 {{64, 64}, 8, 16, 1, 16},    {{64, 64, 3}, 11, 16, 1, 13},
                 {{64, 64, 3}, 4, 16, 3, 16}, {{640}, 1, 16, MOST, 16},
                 {{64}, 0, 16, 0, 16},        {{0}, 8, 16, 0, 16}};
    for (size_t i = 0; i < FTSO_COUNT(given); i++) {
        ftso_ahead ahead = {.count = 0};
        for (int k = 0; k < 3 && given[i].lines[k]; k++)
            ahead.lines[ahead.count++] = given[i].lines[k];
        ftso_pace pace = ftso_ahead_pace(&ahead, given[i].turns, given[i].steps, MOST);
        assert_int_equal(pace.images, given[i].images);
        assert_int_equal(pace.floats, given[i].floats);
    }
    assert_int_equal(ftso_ahead_pace(NULL, 8, 16, MOST).images, 0);
}

/* The line of the image that `at` is the first float of. */
static int64_t line_at(LLVMValueRef at, LLVMValueRef image)
{
    if (at == image) return 0;
    assert_ptr_equal(LLVMGetOperand(at, 0), image);
    return LLVMConstIntGetSExtValue(LLVMGetOperand(at, 1)) / FTSO_LINE_FLOATS;
}

/* What the loops ask for, one after another, is the lines of the images in their order, each once; each loop's share is that of its work. */
static void test_deal(void **state)
{
    (void)state;
    enum { IMAGES = 3, LOOPS = 4 };
    static const struct {
        int64_t lines[IMAGES], work[LOOPS], shares[LOOPS];
    } given[] = {{{40, 8, 16}, {10, 10, 30, 50}, {6, 6, 20, 32}},
                 {{1, 1, 1}, {1, 0, 1, 0}, {1, 0, 2, 0}},
                 {{7, 1, 5}, {0, 0, 0, 9}, {0, 0, 0, 13}},
                 {{5, 5, 5}, {0, 0, 0, 0}, {0, 0, 0, 0}}};
    LLVMContextRef context = LLVMContextCreate();
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext("deal", context);
    ftso_emitter e = {.builder = LLVMCreateBuilderInContext(context),
                      .f32 = LLVMFloatTypeInContext(context),
                      .i64 = LLVMInt64TypeInContext(context)};
    LLVMTypeRef pointers[IMAGES];
    for (int i = 0; i < IMAGES; i++) pointers[i] = LLVMPointerTypeInContext(context, 0);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(context), pointers, IMAGES, false);
    e.function = LLVMAddFunction(module, "loops", type);
    LLVMPositionBuilderAtEnd(e.builder, LLVMAppendBasicBlockInContext(context, e.function, ""));
    for (size_t g = 0; g < FTSO_COUNT(given); g++) {
        ftso_ahead ahead = {.count = IMAGES}, shares[LOOPS];
        for (unsigned i = 0; i < IMAGES; i++) {
            ahead.at[i] = LLVMGetParam(e.function, i);
            ahead.lines[i] = given[g].lines[i];
        }
        ftso_ahead_deal(&e, &ahead, given[g].work, LOOPS, shares);
        unsigned image = 0;
        int64_t line = 0;
        for (int c = 0; c < LOOPS; c++) {
            int64_t share = 0;
            for (int k = 0; k < shares[c].count; k++) {
                while (line == ahead.lines[image]) image++, line = 0;
                assert_int_equal(line_at(shares[c].at[k], ahead.at[image]), line);
                line += shares[c].lines[k];
                share += shares[c].lines[k];
            }
            assert_int_equal(share, given[g].shares[c]);
        }
    }
    LLVMDisposeBuilder(e.builder);
    LLVMDisposeModule(module);
    LLVMContextDispose(context);
}

/* The matcher itself: what it finds, what it misses. */
static void test_matcher(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    assert_null(first_missing(&arena, "a\nc\n", "a\nb\nc\nd\n"));
    assert_string_equal(first_missing(&arena, "c\na\n", "a\nb\nc\n"), "a");
    assert_string_equal(first_missing(&arena, "a\na\n", "a\nb\n"), "a");
    ftso_text out;
    ftso_text_init(&out);
    outline("define void @rabc_body(ptr %0) {\n  %7 = load <8 x float>, ptr %6, align 4\n"
            "  %8 = load <8 x float>, ptr %61, align 4\n  br label %x\n  %9 = fadd <8 x float> %7, "
            "%8\n",
            &out);
    assert_string_equal(ftso_text_get(&out),
                        "define void @_body(ptr %) {\n% = load <8 x float>, ptr %\n"
                        "% = fadd <8 x float> %, %\n");
    ftso_text_deinit(&out);
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matcher), cmocka_unit_test(test_classes),
        cmocka_unit_test(test_storage), cmocka_unit_test(test_past_caches),
        cmocka_unit_test(test_pace),    cmocka_unit_test(test_deal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
