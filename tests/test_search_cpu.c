/*
 * The search on compiled code: losses and cells as the reference device finds them, the same bytes on any threads.
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
    *images = (ftso_images){IMAGES, 3, SIDE, SIDE, CLASSES, NULL, NULL};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_partial_channels),
        cmocka_unit_test(test_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
