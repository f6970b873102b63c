/*
 * What a region asks for ahead while it runs is what it will read, line for line.
 *
 * In: graphs of one region, compiled to LLVM's text for x86-64-v3, where each prefetch becomes a call that notes its address.
 * The region's first item runs, two images. Out: lines of the second image that nobody asked for, and lines asked for that
 * nobody reads or writes.
 * Holds: the second image's lines are all asked for while the first one is at work, for the lines behind a band are the next
 * one's, and an image's last band is followed by the next image.
 */
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "support.h"

#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <stdlib.h>
#include <string.h>

enum {
    IMAGES = 2,
    LINE = 64,
    SCRATCH_BYTES = 16 << 20,
    SHARED_BYTES = 64 << 20,
    MOST_BUFFERS = 24
};

/* ---------------------------------------------------------------- notes */

/* A buffer of the region in test memory, and how often each of its lines was asked for. */
typedef struct noted {
    char *bytes;
    size_t size_bytes;
    uint32_t *asked;
} noted;

static noted buffers[MOST_BUFFERS];
static size_t buffer_count;

static void note(const char *address)
{
    for (size_t i = 0; i < buffer_count; i++) {
        size_t at = (size_t)(address - buffers[i].bytes);
        if (address >= buffers[i].bytes && at < buffers[i].size_bytes)
            buffers[i].asked[at / LINE]++;
    }
}

/* ---------------------------------------------------------------- code that takes notes */

/* The text with `call void @note(ptr …)` for each prefetch. */
static void with_notes(const char *text, ftso_text *out)
{
    static const char call[] = "call void @llvm.prefetch.p0(";
    while (*text) {
        size_t length = strcspn(text, "\n");
        const char *found = memmem(text, length, call, strlen(call));
        if (found) {
            const char *address = memmem(found, length - (size_t)(found - text), "%", 1);
            assert_non_null(address);
            ftso_text_puts(out, "call void @note(ptr ");
            ftso_text_append(out, address, strcspn(address, ","));
            ftso_text_puts(out, ")\n");
        } else if (!memmem(text, length, "@llvm.prefetch", strlen("@llvm.prefetch"))) {
            ftso_text_append(out, text, length);
            ftso_text_puts(out, "\n");
        }
        text += length + (text[length] == '\n');
    }
    ftso_text_puts(out, "declare void @note(ptr)\n");
}

typedef struct code {
    LLVMOrcLLJITRef jit;
    ftso_kernel prepare, body;
} code;

static ftso_kernel find(const code *c, const char *text, const char *part)
{
    char name[128];
    const char *define = strstr(text, part);
    if (!define) return NULL;
    const char *from = define;
    while (from[-1] != '@') from--;
    size_t length = strcspn(from, "(");
    assert_true(length < sizeof name);
    memcpy(name, from, length);
    name[length] = '\0';
    LLVMOrcExecutorAddress address = 0;
    assert_null(LLVMOrcLLJITLookup(c->jit, &address, name));
    return (ftso_kernel)(uintptr_t)address;
}

static code compile(const char *text)
{
    code c = {0};
    char *message = NULL;
    LLVMModuleRef module;
    assert_null(LLVMOrcCreateLLJIT(&c.jit, NULL));
    LLVMOrcThreadSafeContextRef context = LLVMOrcCreateNewThreadSafeContext();
    LLVMMemoryBufferRef source =
        LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "notes");
    if (LLVMParseIRInContext(LLVMOrcThreadSafeContextGetContext(context), source, &module,
                             &message))
        fail_msg("%s", message);
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(c.jit);
    LLVMOrcCSymbolMapPair pair = {
        LLVMOrcLLJITMangleAndIntern(c.jit, "note"),
        {(LLVMOrcExecutorAddress)(uintptr_t)note,
         {LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0}}};
    assert_null(LLVMOrcJITDylibDefine(library, LLVMOrcAbsoluteSymbols(&pair, 1)));
    assert_null(LLVMOrcLLJITAddLLVMIRModule(c.jit, library,
                                            LLVMOrcCreateNewThreadSafeModule(module, context)));
    LLVMOrcDisposeThreadSafeContext(context);
    c.prepare = find(&c, text, "_prepare(");
    c.body = find(&c, text, "_body(");
    assert_non_null(c.body);
    return c;
}

/* ---------------------------------------------------------------- one region */

static ftso_value buffer_value(const ftso_region *region, size_t i)
{
    return i < region->read_count ? region->reads[i] : region->writes[i - region->read_count];
}

/* Runs the first item of the graph's one region. */
static void run_region(ftso_arena *arena, const ftso_graph *graph, const ftso_target *target,
                       const ftso_schedule **out_schedule)
{
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(arena, graph, NULL, &schedule));
    assert_int_equal(schedule->region_count, 1);
    const ftso_region *region = &schedule->regions[0];
    ftso_compiler_options options = {.kernels = ftso_kernels(), .threads = 1, .target = *target};
    ftso_text text, noting;
    ftso_text_init(&text);
    ftso_text_init(&noting);
    test_ok(ftso_compile_text(&options, schedule, false, &text));
    with_notes(ftso_text_get(&text), &noting);
    code c = compile(ftso_text_get(&noting));

    buffer_count = region->read_count + region->write_count;
    assert_true(buffer_count <= MOST_BUFFERS);
    float *at[MOST_BUFFERS];
    for (size_t i = 0; i < buffer_count; i++) {
        ftso_value value = buffer_value(region, i);
        size_t bytes = (size_t)ftso_layout_bytes(target, ftso_graph_shape(graph, value),
                                                 schedule->elements[value]);
        bytes = (bytes + 4 * LINE) / LINE * LINE;
        buffers[i] =
            (noted){aligned_alloc(LINE, bytes), bytes, calloc(bytes / LINE, sizeof(uint32_t))};
        assert_true(buffers[i].bytes && buffers[i].asked);
        memset(buffers[i].bytes, 0, bytes);
        at[i] = (float *)(void *)buffers[i].bytes;
    }
    float *shared = calloc(1, SHARED_BYTES), *scratch = calloc(1, SCRATCH_BYTES);
    assert_true(shared && scratch);
    ftso_kernel_args args = {
        .buffers = at, .shared = shared, .scratch = scratch, .batch = IMAGES, .item = 0};
    if (c.prepare) c.prepare(&args);
    c.body(&args);
    free(shared);
    free(scratch);
    assert_null(LLVMOrcDisposeLLJIT(c.jit));
    ftso_text_deinit(&text);
    ftso_text_deinit(&noting);
    *out_schedule = schedule;
}

static void free_buffers(void)
{
    for (size_t i = 0; i < buffer_count; i++) free(buffers[i].bytes), free(buffers[i].asked);
    buffer_count = 0;
}

/* ---------------------------------------------------------------- what was asked for */

typedef struct tally {
    int64_t needed, missing,
        beside; /* lines; beside: asked for, and in none of the channels looked at */
} tally;

/* Lines of the second image of buffer `i` that hold channels [begin, end) of a pixel. */
static tally tally_of(const ftso_graph *graph, const ftso_target *target, ftso_value value,
                      size_t i, int64_t begin, int64_t end)
{
    ftso_shape shape = ftso_graph_shape(graph, value);
    int64_t pixels = shape.dim[2] * shape.dim[3],
            pixel = ftso_layout_bytes(target, shape, FTSO_ELEMENT_FP32) / (shape.dim[0] * pixels),
            first = pixels * pixel / LINE, lines = pixels * pixel / LINE;
    bool *holds = calloc((size_t)lines, sizeof *holds);
    tally t = {0};
    assert_non_null(holds);
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t byte = p * pixel + begin * 4; byte < p * pixel + end * 4; byte += 4)
            holds[byte / LINE] = true;
    for (int64_t l = 0; l < lines; l++) {
        bool asked = buffers[i].asked[first + l] > 0;
        t.needed += holds[l];
        t.missing += holds[l] && !asked;
        t.beside += !holds[l] && asked;
    }
    free(holds);
    return t;
}

/*
 * The text's region asks for all that it reads; of its first input it looks at channels from `begin` on. Of so many lines one may be
 * missing; 0: none.
 */
static void check(const char *text, int64_t begin, bool writes, int64_t one_of)
{
    ftso_arena arena;
    ftso_diag diag;
    ftso_graph graph;
    ftso_target target;
    const ftso_schedule *schedule;
    ftso_arena_init(&arena);
    ftso_diag_init(&diag, &arena);
    ftso_graph_init(&graph, &arena, ftso_primitives());
    if (!ftso_graph_parse(&graph, &diag, ftso_diag_add_source(&diag, "text", text, strlen(text))))
        fail_msg("%s", diag.entries[0].message);
    test_ok(ftso_graph_verify(&graph));
    /* one target whatever the processor, as long as it can run that: register blocks follow from it */
    test_ok(ftso_target_host(&arena, &target));
    if (target.vector_floats < 8 || !target.has_fma) skip();
    test_ok(ftso_target_named(&arena, "x86-64-v3", &target));
    run_region(&arena, &graph, &target, &schedule);
    const ftso_region *region = &schedule->regions[0];
    int maps = 0;
    for (size_t i = 0; i < buffer_count; i++) {
        ftso_value value = buffer_value(region, i);
        ftso_shape shape = ftso_graph_shape(&graph, value);
        if (!shape.batched || shape.rank != 4 || (i >= region->read_count && !writes)) continue;
        tally t = tally_of(&graph, &target, value, i, value == 0 ? begin : 0, shape.dim[1]);
        if (t.beside || t.missing > (one_of ? t.needed / one_of : 0))
            fail_msg("%%%d: of %lld lines %lld were not asked for, and %lld beside them",
                     (int)value, (long long)t.needed, (long long)t.missing, (long long)t.beside);
        maps++;
    }
    assert_true(maps > 0);
    free_buffers();
    ftso_arena_deinit(&arena);
}

/* A 1x1 convolution whose vectors do not divide into blocks, between relu and the sums of batch norm. */
static void test_convolution(void **state)
{
    (void)state;
    check("%0 = input() {name=\"x\"} : [N=64, 36, 32, 32]\n"
          "%1 = input() {name=\"w\"} : [36, 36, 1, 1]\n"
          "%2 = relu(%0) : [N=64, 36, 32, 32]\n"
          "%3 = conv(%2, %1) : [N=64, 36, 32, 32]\n"
          "%4 = channel_sum(%3) : [36]\n"
          "output \"y\" %3\n"
          "output \"sum\" %4\n",
          0, false, 0);
}

/* Rows of a window reach beyond a band. */
static void test_window(void **state)
{
    (void)state;
    check("%0 = input() {name=\"x\"} : [N=64, 20, 32, 32]\n"
          "%1 = input() {name=\"w\"} : [20, 20, 5, 5]\n"
          "%2 = relu(%0) : [N=64, 20, 32, 32]\n"
          "%3 = conv(%2, %1) {pad_top=2, pad_bottom=2, pad_left=2, pad_right=2} : [N=64, 20, 32, "
          "32]\n"
          "output \"y\" %3\n",
          0, false, 0);
}

/* A transposed 1x1 convolution that leads a transposed depthwise one, and the weight gradients of both: rows kept from band to
 * band are neither made nor asked for again, and of the gradient that comes in few channels are looked at. An image's last band
 * makes half of the rows of the others, and has half of the steps to ask in. */
static void test_led(void **state)
{
    (void)state;
    check("%0 = input() {name=\"dy\"} : [N=64, 144, 32, 32]\n"
          "%1 = slice(%0) {begin=108, end=144} : [N=64, 36, 32, 32]\n"
          "%2 = input() {name=\"point\"} : [36, 36, 1, 1]\n"
          "%3 = conv_dx(%1, %2) {height=32, width=32} : [N=64, 36, 32, 32]\n"
          "%4 = input() {name=\"deep\"} : [36, 1, 3, 3]\n"
          "%5 = dwconv_dx(%3, %4) {pad_top=1, pad_bottom=1, pad_left=1, pad_right=1, height=32, "
          "width=32} : [N=64, 36, 32, 32]\n"
          "%6 = input() {name=\"between\"} : [N=64, 36, 32, 32]\n"
          "%7 = conv_dw(%1, %6) {kernel_h=1, kernel_w=1} : [36, 36, 1, 1]\n"
          "%8 = input() {name=\"x\"} : [N=64, 36, 32, 32]\n"
          "%9 = relu(%8) : [N=64, 36, 32, 32]\n"
          "%10 = dwconv_dw(%3, %9) {pad_top=1, pad_bottom=1, pad_left=1, pad_right=1, kernel_h=3, "
          "kernel_w=3} : [36, 1, 3, 3]\n"
          "output \"dx\" %5\n"
          "output \"dpoint\" %7\n"
          "output \"ddeep\" %10\n",
          108, true, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_convolution),
                                       cmocka_unit_test(test_window), cmocka_unit_test(test_led)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
