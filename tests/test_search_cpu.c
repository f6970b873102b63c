/*
 * The search on compiled code: losses and cells as the reference device finds them, the same bytes on any threads; and
 * what either device promises.
 */
#include "support.h"

#include "cli/cli.h"
#include "search/search.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMAGES = 45, SIDE = 8, CLASSES = 3, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE };

/* Images that a network can tell apart: the class sets the colour, noise does the rest. */
static void make_images(ftso_images *images)
{
    test_random random = {17};
    *images = (ftso_images){
        .count = IMAGES, .channels = 3, .height = SIDE, .width = SIDE, .classes = CLASSES};
    images->pixels = ftso_mem_alloc(IMAGES * IMAGE);
    images->labels = ftso_mem_alloc(IMAGES * sizeof(int32_t));
    for (int i = 0; i < IMAGES; i++) {
        images->labels[i] = i % CLASSES;
        for (int p = 0; p < IMAGE; p++)
            images->pixels[i * IMAGE + p] =
                (uint8_t)(test_below(&random, 120) + (p / PLANE == images->labels[i] ? 120 : 0));
    }
}

/* One run: its result, and the losses of every iteration as the log has them. */
typedef struct outcome {
    ftso_search_result result;
    double losses[64][2];
    int count;
} outcome;

static void read_losses(const char *path, outcome *out)
{
    static char line[16384];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        cJSON *event = cJSON_Parse(line), *loss = cJSON_GetObjectItem(event, "arch_loss");
        if (loss) {
            assert_true(out->count < 64);
            out->losses[out->count][0] = loss->valuedouble;
            out->losses[out->count++][1] = cJSON_GetObjectItem(event, "train_loss")->valuedouble;
        }
        cJSON_Delete(event);
    }
    fclose(file);
}

static void search_on(ftso_arena *arena, const ftso_search *search, bool reference, int threads,
                      outcome *out)
{
    ftso_device_options options = {.threads = threads, .pipeline = ftso_pipeline_default()};
    ftso_device device;
    ftso_images images;
    ftso_log log;
    char path[] = "search-cpu-XXXXXX";
    close(mkstemp(path));
    memset(out, 0, sizeof(*out));
    make_images(&images);
    test_ok(ftso_log_open(&log, path));
    test_ok(reference ? ftso_device_open_reference(&options, &device)
                      : ftso_device_open_cpu(&options, &device));
    ftso_search_options how = {.progress = FTSO_PROGRESS_NONE, .log = &log};
    test_ok(ftso_search_run(arena, search, &images, &device, &how, &out->result));
    ftso_device_close(&device);
    test_ok(ftso_log_close(&log));
    read_losses(path, out);
    unlink(path);
    ftso_images_deinit(&images);
}

static void compare(const outcome *cpu, const outcome *reference)
{
    assert_int_equal(cpu->count, reference->count);
    for (int i = 0; i < cpu->count; i++)
        for (int k = 0; k < 2; k++)
            if (fabs(cpu->losses[i][k] - reference->losses[i][k]) > 1e-4)
                fail_msg("iteration %d: %s loss %.9g, reference %.9g", i + 1,
                         k ? "train" : "validation", cpu->losses[i][k], reference->losses[i][k]);
    for (size_t s = 0; s < cpu->result.found_count; s++) {
        const ftso_found *a = &cpu->result.found[s], *b = &reference->result.found[s];
        if (!isnan(b->val_loss)) assert_true(fabs(a->val_loss - b->val_loss) < 1e-4);
        for (size_t c = 0; c < a->genotype.cell_count; c++)
            for (size_t e = 0; e < a->genotype.cells[c].edge_count; e++)
                assert_int_equal(a->genotype.cells[c].edges[e].from,
                                 b->genotype.cells[c].edges[e].from);
    }
    assert_int_equal(cpu->result.chosen, reference->result.chosen);
}

static void test_named_search(const char *name)
{
    ftso_arena arena;
    ftso_diag diag;
    ftso_ast *ast;
    ftso_arena_init(&arena);
    ftso_diag_init(&diag, &arena);
    test_ok(ftso_parse_file(&arena, &diag, FTSO_SOURCE_DIR "/tests/search/toy.ftso", &ast));
    const ftso_unit *unit = ftso_check(&arena, &diag, ast);
    assert_non_null(unit);
    const ftso_search *search;
    test_ok(ftso_pick_search(unit, name, &search));
    outcome reference, one, two;
    search_on(&arena, search, true, 1, &reference);
    search_on(&arena, search, false, 1, &one);
    search_on(&arena, search, false, 2, &two);
    assert_true(reference.count > 0);
    compare(&one, &reference);
    assert_memory_equal(one.losses, two.losses, sizeof(one.losses));
    for (size_t s = 0; s < one.result.found_count; s++)
        assert_memory_equal(one.result.found[s].beta, two.result.found[s].beta,
                            sizeof(double) * (size_t)one.result.found[s].beta_count);
    ftso_arena_deinit(&arena);
}

/* Whole channels, last batches that are smaller, two seeds, val_loss. */
static void test_epochs(void **state)
{
    (void)state;
    test_named_search("epochs");
}

/* Half of the channels, shuffled. */
static void test_partial_channels(void **state)
{
    (void)state;
    test_named_search("iterations");
}

/* Two operators on every edge, raw weights, plain SGD. */
static void test_mixed(void **state)
{
    (void)state;
    test_named_search("mixed");
}

/* ---------------------------------------------------------------- what search may expect of a device */

/* y = x * w per channel, mean of w as "total"; w becomes w * factor. Odd sizes, so that layouts pad. */
enum { N = 4, C = 5, H = 3, W = 2, DENSE = C * H * W };

static ftso_graph *device_graph(ftso_arena *arena)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    ftso_value x = ftso_graph_input(graph, "x", ftso_shape_image(N, C, H, W));
    ftso_value factor = ftso_graph_input(graph, "factor", ftso_shape_scalar());
    ftso_value w = ftso_graph_state(graph, "w", ftso_shape_vector(C));
    ftso_graph_output(graph, "y", ftso_graph_binary(graph, "channel_mul", x, w), FTSO_NO_VALUE);
    ftso_graph_output(graph, "total", ftso_graph_unary(graph, "sum", w), FTSO_NO_VALUE);
    ftso_graph_output(graph, "w", ftso_graph_binary(graph, "scale", w, factor), w);
    return graph;
}

static void run_step(const ftso_device *device, ftso_step *step, int64_t batch, float factor,
                     const float *w)
{
    float x[N * DENSE], y[N * DENSE], total, sum = 0;
    for (int i = 0; i < N * DENSE; i++) x[i] = (float)(i % 17) - 8;
    test_ok(device->bind(device->self, step, "x", x, batch));
    test_ok(device->bind(device->self, step, "factor", &factor, 1));
    test_ok(device->run(device->self, step, batch));
    test_ok(device->read(device->self, step, "y", y, batch * DENSE));
    test_ok(device->read(device->self, step, "total", &total, 1));
    for (int64_t i = 0; i < batch * DENSE; i++) assert_true(y[i] == x[i] * w[i / (H * W) % C]);
    for (int c = 0; c < C; c++) sum += w[c];
    assert_true(total == sum);
}

static void check_device(ftso_device *device)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_step *first, *second;
    test_ok(device->load(device->self, "first", device_graph(&arena), &first));
    test_ok(device->load(device->self, "second", device_graph(&arena), &second));
    float w[C] = {0}, read[C];
    run_step(device, first, N, 3, w); /* zero until written */
    for (int c = 0; c < C; c++) w[c] = (float)(c + 1);
    test_ok(device->write_state(device->self, "w", w, C));
    run_step(device, first, N, 2, w);
    for (int c = 0; c < C; c++) w[c] *= 2;
    run_step(device, second, N - 1, 0.5f, w); /* the other step sees the first's new state */
    for (int c = 0; c < C; c++) w[c] *= 0.5f;
    test_ok(device->read_state(device->self, "w", read, C));
    assert_memory_equal(read, w, sizeof(w));
    run_step(device, first, 1, 1, w);

    float number = 0, many[DENSE + 1] = {0};
    assert_int_equal(device->read(device->self, first, "nothing", &number, 1).code,
                     FTSO_ERROR_INTERNAL);
    assert_int_equal(device->read(device->self, first, "total", many, 2).code, FTSO_ERROR_INTERNAL);
    assert_int_equal(device->read(device->self, first, "y", many, DENSE + 1).code,
                     FTSO_ERROR_INTERNAL);
    assert_int_equal(device->bind(device->self, first, "x", many, N + 1).code, FTSO_ERROR_INTERNAL);
    assert_int_equal(device->write_state(device->self, "nobody", w, C).code, FTSO_ERROR_INTERNAL);
    assert_int_equal(device->read_state(device->self, "w", read, C - 1).code, FTSO_ERROR_INTERNAL);
    assert_int_not_equal(device->run(device->self, first, N + 1).code, FTSO_OK);

    device->unload(device->self, second);
    run_step(device, first, 2, 1, w); /* the state stays */
    device->unload(device->self, first);
    assert_true(ftso_pool_threads(device->pool(device->self)) >= 1);
    ftso_device_close(device);
    assert_null(device->self);
    ftso_arena_deinit(&arena);
}

static void test_cpu_device(void **state)
{
    (void)state;
    ftso_device_options options = {.threads = 2, .pipeline = ftso_pipeline_default()};
    ftso_device device;
    test_ok(ftso_device_open_cpu(&options, &device));
    assert_string_equal(device.name, "cpu");
    check_device(&device);
    options.cpu = "z80";
    assert_int_not_equal(ftso_device_open_cpu(&options, &device).code, FTSO_OK);
    ftso_device_close(&device); /* closing what did not open is harmless */
}

static void test_reference_device(void **state)
{
    (void)state;
    ftso_device_options options = {.threads = 1};
    ftso_device device;
    test_ok(ftso_device_open_reference(&options, &device));
    assert_string_equal(device.name, "reference");
    check_device(&device);
}

/* ---------------------------------------------------------------- memory */

typedef struct counter {
    ftso_allocator allocator;
    size_t asked, most; /* bytes of all blocks, and of the largest */
} counter;

static void *counting_alloc(void *user, size_t size_bytes)
{
    counter *c = user;
    c->asked += size_bytes;
    if (size_bytes > c->most) c->most = size_bytes;
    return malloc(size_bytes);
}

static void *counting_resize(void *user, void *block, size_t size_bytes)
{
    ((counter *)user)->asked += size_bytes;
    return realloc(block, size_bytes);
}

static void counting_release(void *user, void *block)
{
    (void)user;
    free(block);
}

/* What is said before a search runs is what its steps then ask for: one block for both, and each state once. */
static void test_planned_memory(void **state)
{
    (void)state;
    enum { BATCH = 4096, HUGE_PAGE_BYTES = 2 << 20, BOOKS_BYTES = 128 << 10 };
    ftso_arena arena;
    ftso_diag diag;
    ftso_ast *ast;
    ftso_arena_init(&arena);
    ftso_diag_init(&diag, &arena);
    test_ok(ftso_parse_file(&arena, &diag, FTSO_SOURCE_DIR "/tests/search/toy.ftso", &ast));
    const ftso_search *search;
    test_ok(ftso_pick_search(ftso_check(&arena, &diag, ast), "epochs", &search));
    ftso_device_options options = {.threads = 2, .pipeline = ftso_pipeline_default()};
    ftso_device device;
    test_ok(ftso_device_open_cpu(&options, &device));
    assert_int_equal(device.bytes(device.self), 0);
    ftso_step *steps[2];
    ftso_lower_options how = ftso_search_lower_options(search);
    how.batch = BATCH;
    int64_t planned = 0;
    for (int weights = 0; weights < 2; weights++) {
        ftso_network *network = ftso_lower_supernet(&arena, &diag, search->space, &how);
        assert_non_null(network);
        ftso_lower_step(network, weights ? &search->weights : &search->arch, !weights);
        test_ok(device.load(device.self, weights ? "weights" : "arch", network->graph,
                            &steps[weights]));
        assert_true(device.bytes(device.self) > planned);
        planned = device.bytes(device.self);
    }
    assert_true(planned > 8 * HUGE_PAGE_BYTES);

    counter c = {.allocator = {counting_alloc, counting_resize, counting_release, &c}};
    float *image = calloc(BATCH * IMAGE, sizeof(float));
    assert_non_null(image);
    ftso_allocator_override(&c.allocator);
    for (int i = 0; i < 2; i++) {
        test_ok(device.bind(device.self, steps[i], "image", image, BATCH));
        test_ok(device.run(device.self, steps[i], BATCH));
    }
    ftso_allocator_override(NULL);
    free(image);
    int64_t asked = (int64_t)c.asked;
    if (asked < planned || asked > planned + HUGE_PAGE_BYTES + BOOKS_BYTES)
        fail_msg("%lld bytes planned, %lld asked for", (long long)planned, (long long)asked);
    assert_true((int64_t)c.most > planned * 9 / 10);
    device.unload(device.self, steps[0]);
    device.unload(device.self, steps[1]);
    ftso_device_close(&device);
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),           cmocka_unit_test(test_planned_memory),
        cmocka_unit_test(test_partial_channels), cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_cpu_device),       cmocka_unit_test(test_reference_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
