/*
 * The search: what a device is asked for and in which order (a fake device), what comes out of Algorithm 1 on a small
 * DARTS (the reference device), selection, spread, log.
 */
#include "support.h"

#include "cli/cli.h"
#include "search/search.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- fixtures */

enum { IMAGES = 45, SIDE = 8, CLASSES = 3, IMAGE = 3 * SIDE * SIDE, BATCH = 8, TRAIN = 22 };

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    const ftso_unit *unit;
    ftso_images images;
    ftso_search_options options;
} fixture;

/* Image i is grey of level i, its class i % 3: a batch tells which images it holds. */
static void set_up(fixture *f)
{
    memset(f, 0, sizeof(*f));
    ftso_arena_init(&f->arena);
    ftso_diag_init(&f->diag, &f->arena);
    ftso_ast *ast;
    test_ok(ftso_parse_file(&f->arena, &f->diag, FTSO_SOURCE_DIR "/tests/search/toy.ftso", &ast));
    f->unit = ftso_check(&f->arena, &f->diag, ast);
    assert_non_null(f->unit);
    f->images = (ftso_images){
        .count = IMAGES, .channels = 3, .height = SIDE, .width = SIDE, .classes = CLASSES};
    f->images.pixels = ftso_mem_alloc(IMAGES * IMAGE);
    f->images.labels = ftso_mem_alloc(IMAGES * sizeof(int32_t));
    for (int i = 0; i < IMAGES; i++) {
        memset(f->images.pixels + i * IMAGE, i, IMAGE);
        f->images.labels[i] = i % CLASSES;
    }
    f->options.progress = FTSO_PROGRESS_NONE;
}

static void tear_down(fixture *f)
{
    ftso_images_deinit(&f->images);
    ftso_arena_deinit(&f->arena);
}

/* A copy of the search of that name, free to be changed. */
static ftso_search search_of(const fixture *f, const char *name)
{
    for (size_t i = 0; i < f->unit->search_count; i++)
        if (strcmp(f->unit->searches[i]->name, name) == 0) return *f->unit->searches[i];
    fail_msg("no search '%s'", name);
    return (ftso_search){0};
}

/* ---------------------------------------------------------------- a fake device */

typedef struct call {
    char step; /* a, w, v: first letter of its label */
    int64_t batch;
    float lr, adam1, adam2;
    int images[BATCH];
} call;

struct ftso_step {
    char letter;
    call next;
    const ftso_graph *graph;
};

typedef struct fake {
    ftso_pool *pool;
    struct ftso_step steps[8];
    int loaded, unloaded;
    char labels[64];
    call calls[128];
    int call_count;
    float arch[64], arch_start[64], weights[4096];
    int64_t arch_count, weight_count;
    bool moments_clean;
    int break_at; /* the run with this number gives a loss that is no number */
    float val_loss_of_seed[2];
    int resets;
    volatile int stop;
    int stop_at; /* the run with this number sets `stop` */
} fake;

static ftso_status fake_load(void *self, const char *label, const ftso_graph *graph,
                             ftso_step **out_step)
{
    fake *f = self;
    test_ok(ftso_graph_verify(graph));
    ftso_step *step = &f->steps[f->loaded++];
    *step = (ftso_step){.letter = label[0], .graph = graph};
    strcat(strcat(f->labels, label), " ");
    *out_step = step;
    return FTSO_STATUS_OK;
}

static ftso_status fake_bind(void *self, ftso_step *step, const char *input, const float *data,
                             int64_t batch)
{
    (void)self;
    assert_int_not_equal(ftso_graph_find(step->graph, input), FTSO_NO_VALUE);
    const char *suffix = strchr(input, '.');
    if (strcmp(input, "image") == 0) {
        /* The middle of the image is never outside of a crop that moves by two. */
        for (int64_t k = 0; k < batch; k++)
            step->next.images[k] = (int)lroundf(data[k * IMAGE + SIDE / 2 * SIDE + SIDE / 2] * 255);
    } else if (strcmp(input, "label") == 0) {
        for (int64_t k = 0; k < batch; k++)
            assert_int_equal((int)data[k], step->next.images[k] % CLASSES);
    } else if (strcmp(suffix, ".lr") == 0) {
        step->next.lr = *data;
    } else if (strcmp(suffix, ".adam1") == 0) {
        step->next.adam1 = *data;
    } else {
        assert_string_equal(suffix, ".adam2");
        step->next.adam2 = *data;
    }
    return FTSO_STATUS_OK;
}

static ftso_status fake_run(void *self, ftso_step *step, int64_t batch)
{
    fake *f = self;
    assert_in_range(batch, 1, BATCH);
    step->next.step = step->letter;
    step->next.batch = batch;
    f->calls[f->call_count++] = step->next;
    step->next = (call){0};
    if (step->letter == 'a')
        for (int64_t i = 0; i < f->arch_count; i++) f->arch[i] += (float)((i * 7) % 5) * 0.125f;
    if (f->stop_at && f->call_count == f->stop_at) f->stop = 1;
    return FTSO_STATUS_OK;
}

static ftso_status fake_read(void *self, ftso_step *step, const char *output, float *data,
                             int64_t count)
{
    const fake *f = self;
    assert_string_equal(output, "loss");
    assert_int_equal(count, 1);
    *data = step->letter == 'v' ? f->val_loss_of_seed[f->resets - 1] : (float)f->call_count;
    if (f->break_at && f->call_count == f->break_at) *data = NAN;
    return FTSO_STATUS_OK;
}

static ftso_status fake_write_state(void *self, const char *state, const float *data, int64_t count)
{
    fake *f = self;
    if (strcmp(state, "arch") == 0) {
        assert_in_range(count, 1, FTSO_COUNT(f->arch));
        f->arch_count = count;
        memcpy(f->arch, data, sizeof(float) * (size_t)count);
        memcpy(f->arch_start, data, sizeof(float) * (size_t)count);
    } else if (strcmp(state, "weights") == 0) {
        assert_in_range(count, 1, FTSO_COUNT(f->weights));
        f->weight_count = count;
        memcpy(f->weights, data, sizeof(float) * (size_t)count);
    } else {
        if (strcmp(state, "weights.momentum") == 0) f->resets++;
        for (int64_t i = 0; i < count; i++) f->moments_clean &= data[i] == 0;
    }
    return FTSO_STATUS_OK;
}

static ftso_status fake_read_state(void *self, const char *state, float *data, int64_t count)
{
    const fake *f = self;
    assert_string_equal(state, "arch");
    assert_int_equal(count, f->arch_count);
    memcpy(data, f->arch, sizeof(float) * (size_t)count);
    return FTSO_STATUS_OK;
}

static ftso_pool *fake_pool(void *self)
{
    return ((fake *)self)->pool;
}

static void fake_unload(void *self, ftso_step *step)
{
    (void)step;
    ((fake *)self)->unloaded++;
}

static ftso_device fake_open(fake *f)
{
    memset(f, 0, sizeof(*f));
    f->moments_clean = true;
    test_ok(ftso_pool_new(2, false, &f->pool));
    return (ftso_device){.self = f,
                         .name = "fake",
                         .load = fake_load,
                         .bind = fake_bind,
                         .run = fake_run,
                         .read = fake_read,
                         .write_state = fake_write_state,
                         .read_state = fake_read_state,
                         .pool = fake_pool,
                         .unload = fake_unload};
}

/* ---------------------------------------------------------------- selection */

static void check_selection(const double *beta, int count, int keep, int kept, const int *expected)
{
    int picked[8];
    assert_int_equal(ftso_topology_select(beta, count, keep, picked), kept);
    for (int i = 0; i < kept; i++) assert_int_equal(picked[i], expected[i]);
}

static void test_selection(void **state)
{
    (void)state;
    const double beta[] = {0.1, 0.3, 0.2, 0.3, -1};
    check_selection(beta, 5, 2, 2, (int[]){1, 3});          /* equal ones by ascending source */
    check_selection(beta, 5, 3, 3, (int[]){1, 3, 2});       /* best first */
    check_selection(beta, 5, 0, 5, (int[]){0, 1, 2, 3, 4}); /* all, as they come */
    check_selection(beta, 1, 2, 1, (int[]){0});
    check_selection(beta, 5, 9, 5, (int[]){1, 3, 2, 0, 4});
    const double equal[] = {0, 0, 0, 0};
    check_selection(equal, 4, 2, 2, (int[]){0, 1});
    const double broken[] = {NAN, -5, NAN, -7};
    check_selection(broken, 4, 3, 3, (int[]){1, 3, 0});
    const double close[] = {1, nextafter(1, 2), 1};
    check_selection(close, 3, 2, 2, (int[]){1, 0});
}

/* ---------------------------------------------------------------- what the device is asked for */

static void check_calls(const fake *f, int seeds)
{
    /* Per seed six iterations of a, w; then 23 images of the second half in 8, 8, 7. */
    assert_int_equal(f->call_count, seeds * (6 * 2 + 3));
    for (int s = 0; s < seeds; s++) {
        const call *calls = &f->calls[s * 15];
        bool seen[2][IMAGES] = {{false}};
        for (int i = 0; i < 6; i++) {
            const call *a = &calls[2 * i], *w = &calls[2 * i + 1];
            assert_int_equal(a->step, 'a');
            assert_int_equal(a->batch, BATCH);
            assert_true(a->lr == 6e-4f);
            assert_true(a->adam1 == (float)(1 / (1 - pow(0.5, i + 1))));
            assert_true(a->adam2 == (float)(1 / (1 - pow(0.999, i + 1))));
            for (int k = 0; k < BATCH; k++) {
                assert_in_range(a->images[k], TRAIN, IMAGES - 1);
                for (int m = 0; m < k; m++) assert_int_not_equal(a->images[k], a->images[m]);
            }
            assert_int_equal(w->step, 'w');
            assert_int_equal(w->batch, i % 3 == 2 ? TRAIN - 2 * BATCH : BATCH);
            assert_true(w->lr == (i < 3 ? 0.1f : 0.05f));
            assert_true(w->adam1 == 0 && w->adam2 == 0);
            for (int k = 0; k < w->batch; k++) {
                assert_in_range(w->images[k], 0, TRAIN - 1);
                assert_false(seen[i / 3][w->images[k]]); /* once per epoch */
                seen[i / 3][w->images[k]] = true;
            }
        }
        for (int e = 0; e < 2; e++)
            for (int i = 0; i < TRAIN; i++) assert_true(seen[e][i]);
        assert_memory_not_equal(calls[1].images, calls[7].images, sizeof(calls[1].images));
        assert_memory_not_equal(calls[0].images, calls[2].images, sizeof(calls[0].images));
        for (int v = 0; v < 3; v++) { /* the same images in the same order for every seed */
            assert_int_equal(calls[12 + v].step, 'v');
            assert_int_equal(calls[12 + v].batch, v == 2 ? IMAGES - TRAIN - 2 * BATCH : BATCH);
            for (int k = 0; k < calls[12 + v].batch; k++)
                assert_int_equal(calls[12 + v].images[k], TRAIN + v * BATCH + k);
        }
    }
}

static void test_iterations_on_a_fake_device(void **state)
{
    (void)state;
    fixture f;
    fake device;
    set_up(&f);
    ftso_search search = search_of(&f, "epochs");
    ftso_device interface = fake_open(&device);
    device.val_loss_of_seed[0] = 1.5f;
    device.val_loss_of_seed[1] = 1.25f;
    ftso_search_result result;
    test_ok(ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result));
    assert_string_equal(device.labels, "arch weights val_loss ");
    assert_int_equal(device.unloaded, 3);
    assert_true(device.moments_clean);
    check_calls(&device, 2);
    assert_memory_not_equal(device.calls[1].images, device.calls[16].images,
                            sizeof(device.calls[1].images)); /* another seed, another order */
    assert_int_equal(result.found_count, 2);
    assert_int_equal(result.chosen, 1); /* the smaller val_loss */
    for (int s = 0; s < 2; s++) {
        const ftso_found *found = &result.found[s];
        assert_int_equal(found->seed, 3 + s);
        assert_int_equal(found->iterations, 6);
        assert_int_equal(found->beta_count, 2 * (2 + 3 + 4));
        assert_true(fabs(found->val_loss - (double)device.val_loss_of_seed[s]) < 1e-12);
        assert_true(found->arch_loss == s * 15 + 11 && found->train_loss == s * 15 + 12);
        for (int64_t i = 0; i < found->beta_count; i++) {
            double grown = found->beta[i] - found->beta_start[i];
            assert_true(fabs(grown - 6 * 0.125 * (double)((i * 7) % 5)) < 1e-5);
        }
        assert_int_equal(found->genotype.cell_count, 2);
        for (int c = 0; c < 2; c++) {
            const ftso_cell *cell = &found->genotype.cells[c];
            assert_int_equal(cell->edge_count, 6);
            assert_int_equal(cell->concat_count, 3);
            assert_string_equal(cell->decl->name, c ? "reduce" : "normal");
            /* (i * 7) % 5 of edges 0..8: 0 2 | 4 1 3 | 0 2 4 1; of 9..17: 3 0 | 2 4 1 | 3 0 2 4 */
            const int from[2][6] = {{1, 0, 0, 2, 2, 1}, {0, 1, 1, 0, 3, 0}};
            for (int e = 0; e < 6; e++) {
                assert_int_equal(cell->edges[e].from, from[c][e]);
                assert_string_equal(cell->edges[e].op->name, "nor_conv_3x3");
                assert_true(cell->edges[e].beta > 0 && cell->edges[e].beta < 1);
            }
        }
    }
    assert_true(result.found[0].beta_start[0] != result.found[1].beta_start[0]);
    ftso_pool_free(device.pool);
    tear_down(&f);
}

static void test_initial_values(void **state)
{
    (void)state;
    fixture f;
    fake device;
    set_up(&f);
    ftso_search search = search_of(&f, "iterations");
    search.init_std = 1e-3;
    ftso_device interface = fake_open(&device);
    ftso_search_result result;
    test_ok(ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result));
    assert_string_equal(device.labels, "arch weights ");
    assert_true(isnan(result.found[0].val_loss)); /* one seed, the first: nothing to compare */
    double squares = 0;
    for (int i = 0; i < device.arch_count; i++) {
        assert_true((double)device.arch_start[i] == result.found[0].beta_start[i]);
        squares += result.found[0].beta_start[i] * result.found[0].beta_start[i];
    }
    assert_true(sqrt(squares / (double)device.arch_count) > 5e-4 &&
                sqrt(squares / (double)device.arch_count) < 2e-3);
    ftso_lower_options options = ftso_search_lower_options(&search);
    ftso_network *network = ftso_lower_supernet(&f.arena, &f.diag, search.space, &options);
    assert_int_equal(network->weight_total, device.weight_count);
    for (size_t k = 0; k < network->weight_count; k++) {
        const ftso_weight *w = &network->weight_table[k];
        double bound = w->fan_in ? 1 / sqrt((double)w->fan_in) : 0, sum = 0, largest = 0;
        int64_t count = ftso_shape_count(w->shape);
        for (int64_t e = 0; e < count; e++) {
            double value = (double)device.weights[w->offset + e];
            if (!w->fan_in) assert_true(value == w->fill);
            sum += value;
            if (fabs(value) > largest) largest = fabs(value);
        }
        if (!w->fan_in) continue;
        assert_true(largest <= bound);
        if (count < 60) continue;
        assert_true(largest > 0.9 * bound);
        assert_true(fabs(sum / (double)count) < 4 * bound / sqrt(3.0 * (double)count));
    }
    /* lr of epoch 0 is the first whatever the schedule's length: 12 iterations are four epochs of fifty. */
    assert_true(device.calls[1].lr == 0.1f && device.calls[5].lr == 0.1f);
    assert_true(device.calls[7].lr == (float)ftso_lr_cosine(0.1, 0, 1, 50));
    ftso_pool_free(device.pool);
    tear_down(&f);
}

static void test_stop_between_iterations(void **state)
{
    (void)state;
    fixture f;
    fake device;
    set_up(&f);
    ftso_search search = search_of(&f, "epochs");
    ftso_device interface = fake_open(&device);
    device.stop_at = 15 + 3; /* the arch step of the second seed's second iteration */
    f.options.stop = &device.stop;
    ftso_search_result result;
    ftso_status status =
        ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result);
    assert_int_equal(status.code, FTSO_ERROR_INTERRUPTED);
    assert_string_equal(status.message, "stopped at iteration 2 of 6 of seed 4");
    assert_int_equal(device.call_count, 15 + 4); /* the iteration at hand was finished */
    assert_int_equal(result.found_count, 2);
    assert_int_equal(result.found[0].iterations, 6);
    assert_int_equal(result.found[1].iterations, 2);
    assert_true(isnan(result.found[1].val_loss));
    assert_int_equal(result.found[1].genotype.cell_count, 2);
    assert_int_equal(device.unloaded, 3);
    ftso_pool_free(device.pool);
    tear_down(&f);
}

static void expect_error(const fixture *f, const ftso_search *search, ftso_code code,
                         const char *message)
{
    fake device;
    ftso_device interface = fake_open(&device);
    ftso_search_result result;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_status status =
        ftso_search_run(&arena, search, &f->images, &interface, &f->options, &result);
    assert_string_equal(status.message, message);
    assert_int_equal(status.code, code);
    assert_int_equal(device.call_count, 0);
    assert_int_equal(device.loaded, device.unloaded);
    ftso_arena_deinit(&arena);
    ftso_pool_free(device.pool);
}

static void test_refusals(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    ftso_search search = search_of(&f, "epochs");
    search.batch = 23;
    expect_error(&f, &search, FTSO_ERROR_USER,
                 "batch 23 is larger than the smaller part of the 45 images, which has 22");
    search = search_of(&f, "epochs");
    search.method = "darts";
    expect_error(&f, &search, FTSO_ERROR_USER, "search 'epochs': there is no method 'darts'");
    ftso_dataset dataset = *search.dataset;
    search = search_of(&f, "epochs");
    search.dataset = &dataset;
    dataset.side = 16;
    expect_error(&f, &search, FTSO_ERROR_USER,
                 "data set 'small': the images are 3 x 8 x 8, the space file says 3 x 16 x 16");
    dataset.side = 8;
    dataset.classes = 2;
    expect_error(&f, &search, FTSO_ERROR_USER,
                 "data set 'small': labels go up to 2, the space file says 2 classes");
    dataset.classes = 3;
    dataset.train = (ftso_transform){1, {{FTSO_AUG_CROP, 2, {9, 0}}}};
    expect_error(&f, &search, FTSO_ERROR_USER,
                 "data set 'small': the images are 8 x 8, too small for a crop of 9 with a border "
                 "of 0");
    dataset.train = (ftso_transform){1, {{FTSO_AUG_RESIZE, 1, {9}}}};
    expect_error(&f, &search, FTSO_ERROR_USER,
                 "data set 'small': the images are 3 x 9 x 9, the space file says 3 x 8 x 8");
    tear_down(&f);
}

/* Sides of 2 become 1 in the reduction: its batch norms see one pixel per image and cannot train on one image. */
static void test_last_batch_of_one(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    ftso_search search = search_of(&f, "epochs");
    ftso_dataset dataset = *search.dataset;
    search.dataset = &dataset;
    dataset.side = f.images.height = f.images.width = 2;
    dataset.train.count = dataset.test.count = 0;
    search.batch = 7; /* 22 = 3 * 7 + 1 */
    fake device;
    ftso_device interface = fake_open(&device);
    ftso_search_result result;
    ftso_status status =
        ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    assert_string_equal(status.message,
                        "the last batch of an epoch has 1 image(s), and a batch norm that sees one "
                        "pixel per image needs 2: change `batch` or `split`");
    assert_int_equal(device.call_count, 0);
    assert_int_equal(device.unloaded, device.loaded);
    ftso_pool_free(device.pool);
    tear_down(&f);
}

static void test_broken_loss(void **state)
{
    (void)state;
    fixture f;
    fake device;
    set_up(&f);
    ftso_search search = search_of(&f, "iterations");
    ftso_device interface = fake_open(&device);
    device.break_at = 6;
    ftso_search_result result;
    ftso_status status =
        ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    assert_string_equal(status.message, "the loss is no longer a number at iteration 3 of seed 1: "
                                        "lower the learning rate");
    assert_int_equal(result.found_count, 0);
    assert_int_equal(device.unloaded, 2);
    ftso_pool_free(device.pool);
    tear_down(&f);
}

/* One frozen epoch: weights alone, then both; the edge weights' first Adam step is a first step. */
static void test_frozen_epochs_and_rates(void **state)
{
    (void)state;
    fixture f;
    fake device;
    set_up(&f);
    ftso_search search = search_of(&f, "epochs");
    search.seed_count = 1;
    search.freeze_epochs = 1;
    search.schedule_epochs = 10;
    search.weights.lr = (ftso_lr){FTSO_LR_LINEAR, 0.5, 0, .warmup = 1, .tail = 2};
    ftso_device interface = fake_open(&device);
    ftso_search_result result;
    test_ok(ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result));
    const char steps[] = "wwwawawaw";
    for (size_t i = 0; i < sizeof(steps) - 1; i++) assert_int_equal(device.calls[i].step, steps[i]);
    assert_true(device.calls[0].lr == 0.5f);    /* epoch 0: 0.5 * (0 + 1) / 1 */
    assert_true(device.calls[4].lr == 0.4375f); /* epoch 1: 0.5 * (1 - 1 / (10 - 2)) */
    assert_true(fabs((double)device.calls[3].adam1 - 1 / (1 - search.arch.beta1)) < 1e-6);
    double grown = result.found[0].beta[1] - result.found[0].beta_start[1];
    assert_true(fabs(grown - 3 * 0.125 * 2) < 1e-6);
    ftso_pool_free(device.pool);
    tear_down(&f);
}

/* The ImageNet recipe: five epochs up, straight down to epoch 245, a short tail. */
static void test_rates_are_read(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    ftso_ast *ast;
    test_ok(ftso_parse_file(&f.arena, &f.diag, FTSO_SOURCE_DIR "/examples/imagenet.ftso", &ast));
    const ftso_unit *unit = ftso_check(&f.arena, &f.diag, ast);
    assert_non_null(unit);
    const ftso_lr *lr = &unit->trains[0]->optimizer.lr;
    assert_int_equal(lr->kind, FTSO_LR_LINEAR);
    assert_int_equal(lr->warmup, 5);
    assert_int_equal(lr->tail, 5);
    const char *text = "freeze = 15 epochs";
    ftso_text toy;
    ftso_text_init(&toy);
    char *bytes;
    size_t length;
    test_ok(ftso_file_read(&f.arena, FTSO_SOURCE_DIR "/tests/search/toy.ftso", 1 << 20, &bytes,
                           &length));
    const char *at = strstr(bytes, "budget");
    assert_non_null(at);
    ftso_text_printf(&toy, "%.*s%s; %s", (int)(at - bytes), bytes, text, at);
    ast = ftso_parse_text(&f.arena, &f.diag, "toy.ftso", ftso_text_get(&toy), toy.length,
                          FTSO_SOURCE_DIR "/tests/search");
    unit = ftso_check(&f.arena, &f.diag, ast);
    assert_non_null(unit);
    assert_int_equal(unit->searches[0]->freeze_epochs, 15);
    ftso_text_deinit(&toy);
    tear_down(&f);
}

/* ---------------------------------------------------------------- random choice, spread, report */

static void test_random_choice(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    ftso_search search = search_of(&f, "chance");
    enum { SEEDS = 600 };
    uint64_t seeds[SEEDS];
    for (int i = 0; i < SEEDS; i++) seeds[i] = (uint64_t)i;
    search.seeds = seeds;
    search.seed_count = SEEDS;
    ftso_search_result result, again;
    test_ok(ftso_search_run(&f.arena, &search, &f.images, NULL, &f.options, &result));
    test_ok(ftso_search_run(&f.arena, &search, &f.images, NULL, &f.options, &again));
    assert_int_equal(result.found_count, SEEDS);
    assert_int_equal(result.chosen, 0);
    for (int i = 0; i < SEEDS; i++) {
        assert_memory_equal(result.found[i].beta, again.found[i].beta,
                            sizeof(double) * (size_t)result.found[i].beta_count);
        assert_true(isnan(result.found[i].val_loss));
        assert_int_equal(result.found[i].iterations, 0);
    }
    ftso_spread spread = ftso_spread_of(&f.arena, &result);
    assert_int_equal(spread.seed_count, SEEDS);
    assert_int_equal(spread.cell_count, 2);
    assert_int_equal(spread.val_loss_count, 0);
    assert_true(isnan(spread.val_loss_mean));
    for (size_t c = 0; c < 2; c++) { /* 1 * 3 * 6 topologies, each about 33 times */
        const ftso_spread_cell *cell = &spread.cells[c];
        assert_int_equal(cell->topology_count, 18);
        size_t total = 0;
        for (size_t t = 0; t < 18; t++) {
            assert_in_range(cell->topologies[t].count, 10, 60);
            if (t) assert_true(cell->topologies[t].count <= cell->topologies[t - 1].count);
            total += cell->topologies[t].count;
        }
        assert_int_equal(total, SEEDS);
        assert_int_equal(cell->edge_count, 9);
        const double share[9] = {1, 1, 2 / 3.0, 2 / 3.0, 2 / 3.0, 0.5, 0.5, 0.5, 0.5};
        for (size_t e = 0; e < 9; e++)
            assert_true(fabs((double)cell->edge_kept[e] / SEEDS - share[e]) < 0.1);
    }
    tear_down(&f);
}

/* Four seeds by hand: what the report counts and says. */
static void test_spread_and_report(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    ftso_search search = search_of(&f, "chance");
    uint64_t seeds[4] = {10, 11, 12, 13};
    search.seeds = seeds;
    search.seed_count = 4;
    ftso_search_result result;
    test_ok(ftso_search_run(&f.arena, &search, &f.images, NULL, &f.options, &result));
    for (size_t i = 0; i < 4; i++) {
        ftso_cell *cell = &result.found[i].genotype.cells[0];
        const int from[2][6] = {{0, 1, 2, 0, 1, 3}, {1, 0, 0, 2, 2, 1}}; /* seed 2 differs */
        for (int e = 0; e < 6; e++) cell->edges[e].from = from[i == 2][e];
        result.found[i].val_loss = 2 + 0.1 * (double)i;
    }
    result.found[3].val_loss = NAN;
    search.method = "ftso";
    ftso_spread spread = ftso_spread_of(&f.arena, &result);
    const ftso_spread_cell *cell = &spread.cells[0];
    assert_int_equal(cell->topology_count, 2);
    assert_string_equal(cell->topologies[0].text, "0,1 0,2 1,3");
    assert_int_equal(cell->topologies[0].count, 3);
    assert_int_equal(cell->topologies[0].first, 0);
    assert_string_equal(cell->topologies[1].text, "0,1 0,2 1,2");
    assert_int_equal(cell->topologies[1].count, 1);
    assert_int_equal(cell->topologies[1].first, 2);
    const size_t kept[9] = {4, 4, 4, 0, 4, 0, 4, 1, 3};
    for (size_t e = 0; e < 9; e++) assert_int_equal(cell->edge_kept[e], kept[e]);
    assert_int_equal(spread.val_loss_count, 3);
    assert_true(fabs(spread.val_loss_mean - 2.1) < 1e-12);
    assert_true(fabs(spread.val_loss_sd - 0.1) < 1e-12);

    ftso_text text;
    ftso_text_init(&text);
    ftso_search_report(&search, &result, &text);
    const char *said = ftso_text_get(&text);
    static const char *const wanted[] = {
        "search chance, method ftso, as read here:\n",
        "  edge weights    softmax over each node's edges\n",
        "  operators       skip_connect on every edge; nor_conv_3x3 on every kept edge\n",
        "  constants       K = 1\n",
        "  images          the first 50 % train weights, the rest, augmented alike, drives edge "
        "weights\n",
        "  budget          1 epoch at batch 8; the last batch of an epoch is kept\n",
        "  selection       descending weight; equal weights by ascending source\n",
        "seed 10:  val_loss 2.0000  (chosen)\n",
        "seed 11:  val_loss 2.1000\n",
        "cell normal: 2 topologies in 4 seeds\n    3 x  0,1 0,2 1,3\n    1 x  0,1 0,2 1,2\n",
        "  edges kept:  2<-0 100 %, 2<-1 100 %\n               3<-0 100 %, 3<-1 0 %, 3<-2 100 %\n",
        "val_loss over 3 seeds: mean 2.1000, standard deviation 0.1000\n",
    };
    for (size_t i = 0; i < FTSO_COUNT(wanted); i++)
        if (!strstr(said, wanted[i])) fail_msg("\"%s\" is not in:\n%s", wanted[i], said);
    ftso_text_deinit(&text);
    tear_down(&f);
}

/* ---------------------------------------------------------------- the log */

static cJSON *next_event(FILE *file, const char *kind)
{
    static char line[8192];
    assert_non_null(fgets(line, sizeof(line), file));
    cJSON *event = cJSON_Parse(line);
    if (!event) fail_msg("no JSON: %s", line);
    assert_string_equal(cJSON_GetObjectItem(event, "event")->valuestring, kind);
    return event;
}

static void test_log_of_a_search(void **state)
{
    (void)state;
    fixture f;
    fake device;
    set_up(&f);
    ftso_search search = search_of(&f, "epochs");
    ftso_device interface = fake_open(&device);
    char path[] = "search-log-XXXXXX";
    close(mkstemp(path));
    ftso_log log;
    test_ok(ftso_log_open(&log, path));
    f.options.log = &log;
    ftso_search_result result;
    test_ok(ftso_search_run(&f.arena, &search, &f.images, &interface, &f.options, &result));
    test_ok(ftso_log_close(&log));
    FILE *file = fopen(path, "r");
    cJSON *event = next_event(file, "start");
    assert_string_equal(cJSON_GetObjectItem(event, "device")->valuestring, "fake");
    cJSON *readings = cJSON_GetObjectItem(event, "readings");
    assert_string_equal(cJSON_GetObjectItem(readings, "edge weights")->valuestring,
                        "softmax over each node's edges");
    cJSON *edges = cJSON_GetObjectItem(cJSON_GetObjectItem(event, "edges"), "reduce");
    assert_int_equal(cJSON_GetArraySize(edges), 9);
    assert_int_equal(cJSON_GetArrayItem(cJSON_GetArrayItem(edges, 4), 0)->valueint, 2);
    assert_int_equal(cJSON_GetArrayItem(cJSON_GetArrayItem(edges, 4), 1)->valueint, 3);
    cJSON_Delete(event);
    for (int s = 0; s < 2; s++) {
        for (int i = 1; i <= 6; i++) {
            event = next_event(file, "iteration");
            assert_string_equal(cJSON_GetObjectItem(event, "seed")->valuestring, s ? "4" : "3");
            assert_int_equal(cJSON_GetObjectItem(event, "iteration")->valueint, i);
            assert_int_equal(cJSON_GetObjectItem(event, "train_loss")->valueint, s * 15 + 2 * i);
            cJSON *arch = cJSON_GetObjectItem(event, "arch");
            assert_int_equal(cJSON_GetArraySize(arch), 18);
            if (i == 6)
                for (int k = 0; k < 18; k++)
                    assert_true((float)cJSON_GetArrayItem(arch, k)->valuedouble ==
                                (float)result.found[s].beta[k]);
            cJSON_Delete(event);
        }
        event = next_event(file, "seed");
        assert_true(cJSON_GetObjectItem(event, "val_loss")->valuedouble == 0);
        assert_ptr_equal(
            strstr(cJSON_GetObjectItem(event, "genotype")->valuestring, "Genotype(normal=[("),
            cJSON_GetObjectItem(event, "genotype")->valuestring);
        cJSON_Delete(event);
    }
    event = next_event(file, "end");
    assert_int_equal(cJSON_GetObjectItem(event, "seeds")->valueint, 2);
    cJSON_Delete(event);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    unlink(path);
    ftso_pool_free(device.pool);
    tear_down(&f);
}

/* ---------------------------------------------------------------- the real thing, in small */

/* Images that a network can tell apart: the class sets the colour, noise does the rest. */
static void colour_images(fixture *f)
{
    test_random random = {17};
    for (int i = 0; i < IMAGES; i++)
        for (int p = 0; p < IMAGE; p++) {
            bool own = p / (SIDE * SIDE) == f->images.labels[i];
            f->images.pixels[i * IMAGE + p] = (uint8_t)(test_below(&random, 120) + (own ? 120 : 0));
        }
}

static void run_on(fixture *f, const ftso_search *search, int threads, ftso_search_result *result)
{
    ftso_device_options options = {.threads = threads};
    ftso_device device;
    test_ok(ftso_device_open_reference(&options, &device));
    test_ok(ftso_search_run(&f->arena, search, &f->images, &device, &f->options, result));
    ftso_device_close(&device);
    assert_null(device.close);
}

static void test_search_learns_on_the_reference(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    colour_images(&f);
    ftso_search search = search_of(&f, "iterations");
    uint64_t seeds[] = {1, 2};
    search.seeds = seeds;
    search.seed_count = 2;
    ftso_search_result result, again;
    run_on(&f, &search, 1, &result);
    run_on(&f, &search, 3, &again);
    for (size_t s = 0; s < 2; s++) {
        const ftso_found *found = &result.found[s];
        assert_int_equal(found->iterations, 12);
        assert_true(found->train_loss < 0.5); /* ln 3 = 1.1 at the start */
        assert_true(found->val_loss > 0 && found->val_loss < 1);
        double moved = 0;
        for (int64_t i = 0; i < found->beta_count; i++)
            moved = fmax(moved, fabs(found->beta[i] - found->beta_start[i]));
        /* Adam moves by about lr per step at most. */
        assert_true(moved > 6e-4 && moved < 12 * 6e-4 * 1.5);
        assert_memory_equal(found->beta, again.found[s].beta,
                            sizeof(double) * (size_t)found->beta_count);
        assert_true(found->val_loss == again.found[s].val_loss);
    }
    /* A seed's outcome does not depend on which seeds went before it. */
    search.seeds = &seeds[1];
    search.seed_count = 1;
    run_on(&f, &search, 2, &again);
    assert_memory_equal(result.found[1].beta, again.found[0].beta,
                        sizeof(double) * (size_t)again.found[0].beta_count);
    assert_true(isnan(again.found[0].val_loss));
    tear_down(&f);
}

/* Adam's first step is lr * sign(g), so one iteration moves every edge weight by 6e-4, one way or the other. */
static void test_first_step_of_adam(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    colour_images(&f);
    ftso_search search = search_of(&f, "iterations");
    search.budget = 1;
    search.arch.weight_decay = 0;
    ftso_search_result result;
    run_on(&f, &search, 1, &result);
    int up = 0;
    for (int64_t i = 0; i < result.found[0].beta_count; i++) {
        double moved = result.found[0].beta[i] - result.found[0].beta_start[i];
        assert_true(fabs(fabs(moved) - 6e-4) < 3e-6);
        up += moved > 0;
    }
    assert_in_range(up, 1, result.found[0].beta_count - 1);
    tear_down(&f);
}

/* Several operators on each edge, raw weights, plain SGD: the other branches of method and lowering. */
static void test_mixed_operators(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    colour_images(&f);
    ftso_search search = search_of(&f, "mixed");
    ftso_search_result result;
    run_on(&f, &search, 1, &result);
    const ftso_found *found = &result.found[0];
    assert_int_equal(found->beta_count, 18 + 36); /* edges, then edges times operators */
    assert_true(isfinite(found->train_loss));
    const ftso_cell *cell = &found->genotype.cells[0];
    for (int j = 0; j < 3; j++) { /* raw: the edge's weight is the number itself, best first */
        const ftso_cell_edge *edge = &cell->edges[cell->node_start[j]];
        assert_true(edge[0].beta >= edge[1].beta);
        bool is_one = false;
        for (int e = 0; e < 9; e++) is_one |= found->beta[e] == edge[0].beta;
        assert_true(is_one);
    }
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_iterations_on_a_fake_device),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_stop_between_iterations),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_last_batch_of_one),
        cmocka_unit_test(test_broken_loss),
        cmocka_unit_test(test_frozen_epochs_and_rates),
        cmocka_unit_test(test_rates_are_read),
        cmocka_unit_test(test_random_choice),
        cmocka_unit_test(test_spread_and_report),
        cmocka_unit_test(test_log_of_a_search),
        cmocka_unit_test(test_search_learns_on_the_reference),
        cmocka_unit_test(test_first_step_of_adam),
        cmocka_unit_test(test_mixed_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
