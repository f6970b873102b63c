/*
 * The training loop on a device that only remembers: which images, rates, masks and states a run is made of; that it stops,
 * saves and goes on as it says. And tables of tensors: drawn, written, read back.
 */
#include "support.h"

#include "runtime/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    IMAGES = 23,
    TESTS = 9,
    SIDE = 4,
    PLANE = SIDE * SIDE,
    CLASSES = 6,
    BATCH = 5,
    EDGES = 3,
    EPOCHS = 4,
    PER_EPOCH = 5,
    WEIGHTS = 10,
    RUNNING = 4
};

/* ---------------------------------------------------------------- a device that remembers */

typedef struct call {
    int64_t batch;
    float lr, adam1, adam2;
    int images[BATCH];
    float mask[BATCH * EDGES];
} call;

struct ftso_step {
    bool trains;
    call next;
};

typedef struct fake {
    ftso_pool *pool;
    struct ftso_step train, judge;
    call calls[EPOCHS * PER_EPOCH + 1];
    int call_count, judged;
    float weights[WEIGHTS], momentum[WEIGHTS], running[RUNNING];
    int stop_at, break_at; /* the call with this number stops the run, or gives no number */
    volatile int stop;
} fake;

/* Image k is all of one grey: k. */
static void make_images(ftso_images *images, int count)
{
    *images = (ftso_images){.count = count,
                            .channels = 1,
                            .height = SIDE,
                            .width = SIDE,
                            .classes = CLASSES,
                            .pixels = ftso_mem_alloc((size_t)count * PLANE),
                            .labels = ftso_mem_alloc((size_t)count * sizeof(int32_t))};
    for (int k = 0; k < count; k++) {
        memset(images->pixels + k * PLANE, k, PLANE);
        images->labels[k] = k % CLASSES;
    }
}

static ftso_status fake_bind(void *self, ftso_step *step, const char *input, const float *data,
                             int64_t batch)
{
    (void)self;
    call *next = &step->next;
    if (strcmp(input, "image") == 0) {
        *next = (call){.batch = batch};
        for (int64_t k = 0; k < batch; k++) next->images[k] = (int)lroundf(data[k * PLANE] * 255);
    } else if (strcmp(input, "label") == 0) {
        for (int64_t k = 0; k < batch; k++)
            assert_int_equal((int)data[k], next->images[k] % CLASSES);
    } else if (strcmp(input, "drop_path") == 0) {
        memcpy(next->mask, data, sizeof(float) * (size_t)(batch * EDGES));
    } else {
        float *number = strcmp(input, "weights.lr") == 0      ? &next->lr
                        : strcmp(input, "weights.adam1") == 0 ? &next->adam1
                                                              : &next->adam2;
        *number = *data;
    }
    return FTSO_STATUS_OK;
}

/* A step leaves its trace in every state. */
static ftso_status fake_run(void *self, ftso_step *step, int64_t batch)
{
    fake *f = self;
    step->next.batch = batch;
    if (!step->trains) {
        f->judged++;
        return FTSO_STATUS_OK;
    }
    f->calls[f->call_count++] = step->next;
    for (int i = 0; i < WEIGHTS; i++) {
        f->momentum[i] = 0.9f * f->momentum[i] + (float)step->next.images[i % (int)batch];
        f->weights[i] -= step->next.lr * f->momentum[i] * 1e-4f;
    }
    for (int i = 0; i < RUNNING; i++) f->running[i] = 0.9f * f->running[i] + 0.1f * (float)batch;
    if (f->stop_at && f->call_count == f->stop_at) f->stop = 1;
    return FTSO_STATUS_OK;
}

/* Answers: image k is taken for class (k + number of the epoch) % CLASSES, so that the second epoch is no better. */
static ftso_status fake_read(void *self, ftso_step *step, const char *output, float *data,
                             int64_t count)
{
    const fake *f = self;
    if (strcmp(output, "loss") == 0) {
        assert_int_equal(count, 1);
        *data = f->break_at && f->call_count == f->break_at ? NAN : 1 + f->weights[0];
        return FTSO_STATUS_OK;
    }
    assert_string_equal(output, "logits");
    assert_int_equal(count, step->next.batch * CLASSES);
    int shift = step->trains ? 0 : f->call_count / PER_EPOCH;
    for (int64_t k = 0; k < step->next.batch; k++)
        for (int c = 0; c < CLASSES; c++)
            data[k * CLASSES + c] =
                (step->next.images[k] + (shift == 2)) % CLASSES == c ? 5 + f->weights[1] : 0;
    return FTSO_STATUS_OK;
}

static float *state_of(fake *f, const char *name, int64_t count)
{
    float *at = strcmp(name, "weights") == 0            ? f->weights
                : strcmp(name, "weights.momentum") == 0 ? f->momentum
                                                        : f->running;
    assert_int_equal(count, at == f->running ? RUNNING : WEIGHTS);
    return at;
}

static ftso_status fake_write_state(void *self, const char *state, const float *data, int64_t count)
{
    memcpy(state_of(self, state, count), data, sizeof(float) * (size_t)count);
    return FTSO_STATUS_OK;
}

static ftso_status fake_read_state(void *self, const char *state, float *data, int64_t count)
{
    memcpy(data, state_of(self, state, count), sizeof(float) * (size_t)count);
    return FTSO_STATUS_OK;
}

static ftso_pool *fake_pool(void *self)
{
    return ((fake *)self)->pool;
}

/* ---------------------------------------------------------------- a run on it */

static const ftso_parameter weight_table[] = {
    {.name = "conv.weight",
     .module = "0.weight",
     .rank = 4,
     .dim = {2, 1, 2, 2},
     .offset = 0,
     .fan_in = 4},
    {.name = "bn.weight", .module = "1.weight", .rank = 1, .dim = {2}, .offset = 8, .fill = 1}};
static const ftso_parameter running_table[] = {{.name = "bn.running_mean",
                                                .module = "1.running_mean",
                                                .rank = 1,
                                                .dim = {2},
                                                .offset = 0,
                                                .fill = 0},
                                               {.name = "bn.running_var",
                                                .module = "1.running_var",
                                                .rank = 1,
                                                .dim = {2},
                                                .offset = 2,
                                                .fill = 1}};
static const char *const moments[] = {"weights.momentum"};

typedef struct bench {
    fake device;
    ftso_device interface;
    ftso_images images, tests;
    ftso_transform none;
    ftso_recipe recipe;
    ftso_training training;
    ftso_epoch epochs[EPOCHS];
    int epoch_count;
    char notes[600];
} bench;

static void on_epoch(void *user, const ftso_epoch *epoch)
{
    bench *b = user;
    assert_true(b->epoch_count < EPOCHS);
    b->epochs[b->epoch_count++] = *epoch;
}

static void on_note(void *user, const char *text)
{
    bench *b = user;
    snprintf(b->notes, sizeof(b->notes), "%s", text);
}

static void open_bench(bench *b)
{
    memset(b, 0, sizeof(*b));
    test_ok(ftso_pool_new(2, false, &b->device.pool));
    b->device.train.trains = true;
    make_images(&b->images, IMAGES);
    make_images(&b->tests, TESTS);
    b->interface = (ftso_device){.self = &b->device,
                                 .name = "fake",
                                 .bind = fake_bind,
                                 .run = fake_run,
                                 .read = fake_read,
                                 .write_state = fake_write_state,
                                 .read_state = fake_read_state,
                                 .pool = fake_pool};
    b->recipe = (ftso_recipe){.epochs = EPOCHS,
                              .batch = BATCH,
                              .classes = CLASSES,
                              .channels = 1,
                              .side = SIDE,
                              .rate = {FTSO_RATE_COSINE, 0.1, 0, 0, 0},
                              .drop_path = 0.4,
                              .drop_count = EDGES,
                              .least_batch = 1,
                              .seed = 3};
    b->training = (ftso_training){.recipe = &b->recipe,
                                  .device = &b->interface,
                                  .step = &b->device.train,
                                  .judge = &b->device.judge,
                                  .images = &b->images,
                                  .test_images = &b->tests,
                                  .transform = &b->none,
                                  .test_transform = &b->none,
                                  .weights = weight_table,
                                  .running = running_table,
                                  .weight_count = 2,
                                  .running_count = 2,
                                  .moments = moments,
                                  .moment_count = 1,
                                  .keep = 3,
                                  .progress = FTSO_PROGRESS_NONE,
                                  .stop = &b->device.stop,
                                  .on_epoch = on_epoch,
                                  .note = on_note,
                                  .user = b};
}

static void close_bench(bench *b)
{
    ftso_images_deinit(&b->images);
    ftso_images_deinit(&b->tests);
    ftso_pool_free(b->device.pool);
}

static void test_what_a_run_sees(void **state)
{
    (void)state;
    bench b;
    open_bench(&b);
    ftso_trained trained;
    test_ok(ftso_train_run(&b.training, NULL, &trained));
    const fake *f = &b.device;
    assert_int_equal(f->call_count, EPOCHS * PER_EPOCH);
    assert_int_equal(f->judged, EPOCHS * 2); /* nine images in batches of five */
    int last_order[IMAGES] = {0}, kept = 0, drawn = 0, reordered = 0;
    for (int e = 0; e < EPOCHS; e++) {
        int seen[IMAGES] = {0}, place = 0;
        float rate = (float)(0.05 * (1 + cos(3.14159265358979 * e / EPOCHS)));
        double keep = 1 - 0.4 * e / EPOCHS;
        for (int s = 0; s < PER_EPOCH; s++) {
            const call *c = &f->calls[e * PER_EPOCH + s];
            assert_int_equal(c->batch, s == PER_EPOCH - 1 ? IMAGES % BATCH : BATCH);
            assert_true(fabsf(c->lr - rate) < 1e-7f);
            assert_true(c->adam1 == 0 && c->adam2 == 0); /* SGD has none */
            for (int k = 0; k < c->batch; k++, place++) {
                seen[c->images[k]]++;
                reordered += e > 0 && last_order[place] != c->images[k];
                last_order[place] = c->images[k];
            }
            for (int i = 0; i < c->batch * EDGES; i++) {
                assert_true(c->mask[i] == 0 || fabs((double)c->mask[i] - 1 / keep) < 1e-6);
                assert_true(e > 0 || c->mask[i] == 1); /* the first epoch drops nothing */
                kept += e > 0 && c->mask[i] != 0;
                drawn += e > 0;
            }
        }
        for (int k = 0; k < IMAGES; k++) assert_int_equal(seen[k], 1);
    }
    assert_true(reordered > IMAGES); /* another order in every epoch */
    /* on average 0.8 of the paths stay; three standard deviations of 207 draws */
    assert_true(fabs((double)kept / drawn - 0.8) < 0.09);

    assert_int_equal(b.epoch_count, EPOCHS);
    const bool best[] = {true, false, true, true};
    for (int e = 0; e < EPOCHS; e++) {
        const ftso_epoch *epoch = &b.epochs[e];
        assert_int_equal(epoch->epoch, e + 1);
        assert_int_equal(epoch->step, (e + 1) * PER_EPOCH);
        assert_true(epoch->train_top1 == 1);
        assert_int_equal(epoch->test.images, TESTS);
        assert_int_equal(epoch->test.top1, e == 1 ? 0 : TESTS);
        if (e < 2) assert_int_equal(epoch->best, best[e]);
    }
    assert_true(trained.best.epoch != 2 && trained.best.top1 == TESTS);
    close_bench(&b);
}

static void test_adam_counts_its_steps(void **state)
{
    (void)state;
    bench b;
    open_bench(&b);
    b.recipe.beta1 = 0.5;
    b.recipe.beta2 = 0.999;
    b.recipe.drop_count = 0;
    ftso_trained trained;
    test_ok(ftso_train_run(&b.training, NULL, &trained));
    for (int s = 0; s < EPOCHS * PER_EPOCH; s++) {
        const call *c = &b.device.calls[s];
        assert_true(fabs((double)c->adam1 * (1 - pow(0.5, s + 1)) - 1) < 1e-6);
        assert_true(fabs((double)c->adam2 * (1 - pow(0.999, s + 1)) - 1) < 1e-6);
    }
    close_bench(&b);
}

static void test_what_cannot_go_on(void **state)
{
    (void)state;
    bench b;
    open_bench(&b);
    b.device.break_at = 12;
    ftso_trained trained;
    ftso_status status = ftso_train_run(&b.training, NULL, &trained);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    assert_non_null(strstr(status.message, "at step 2 of epoch 3 (step 12 in all)"));
    b.recipe.least_batch = 4; /* the epoch's last batch has three */
    status = ftso_train_run(&b.training, NULL, &trained);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    assert_non_null(strstr(status.message, "has 3 image(s)"));
    close_bench(&b);
}

/* Stopped after each step in turn, and gone on with: the states, the best, the masks of the run that was not. */
static void test_stop_and_go_on(void **state)
{
    (void)state;
    bench whole;
    open_bench(&whole);
    ftso_trained straight, trained;
    test_ok(ftso_train_run(&whole.training, NULL, &straight));
    char folder[] = "/tmp/ftso-train-XXXXXX", checkpoints[64], command[80];
    assert_non_null(mkdtemp(folder));
    snprintf(checkpoints, sizeof(checkpoints), "%s/checkpoints", folder);
    snprintf(command, sizeof(command), "rm -rf %s", checkpoints);
    for (int at = 1; at < EPOCHS * PER_EPOCH; at += 3) {
        bench first, second;
        open_bench(&first);
        first.training.folder = folder;
        first.device.stop_at = at;
        assert_int_equal(ftso_train_run(&first.training, NULL, &trained).code,
                         FTSO_ERROR_INTERRUPTED);
        assert_int_equal(trained.step, at);
        ftso_checkpoint_file from;
        ftso_text notes;
        ftso_text_init(&notes);
        test_ok(ftso_checkpoint_load(checkpoints, &notes, &from));
        assert_true(from.found && from.place.step == at);
        open_bench(&second);
        second.training.folder = folder;
        test_ok(ftso_train_run(&second.training, &from, &trained));
        assert_int_equal(second.device.call_count, EPOCHS * PER_EPOCH - at);
        assert_memory_equal(second.device.calls, whole.device.calls + at,
                            sizeof(call) * (size_t)second.device.call_count);
        assert_memory_equal(second.device.weights, whole.device.weights,
                            sizeof(whole.device.weights));
        assert_memory_equal(second.device.momentum, whole.device.momentum,
                            sizeof(whole.device.momentum));
        assert_memory_equal(second.device.running, whole.device.running,
                            sizeof(whole.device.running));
        assert_int_equal(trained.best.top1, straight.best.top1);
        assert_string_equal(second.notes, "");
        ftso_checkpoint_deinit(&from);
        ftso_text_deinit(&notes);
        close_bench(&first);
        close_bench(&second);
        assert_int_equal(system(command), 0);
    }
    close_bench(&whole);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

/* ---------------------------------------------------------------- tables of tensors */

static void test_tables(void **state)
{
    (void)state;
    float weights[WEIGHTS], again[WEIGHTS], running[RUNNING];
    ftso_parameters_draw(weight_table, 2, 9, weights);
    ftso_parameters_draw(weight_table, 2, 9, again);
    ftso_parameters_draw(running_table, 2, 9, running);
    assert_memory_equal(weights, again, sizeof(weights));
    for (int i = 0; i < 8; i++) assert_true(fabsf(weights[i]) <= 0.5f && weights[i] != 0);
    assert_true(weights[8] == 1 && weights[9] == 1);
    assert_true(running[0] == 0 && running[1] == 0 && running[2] == 1 && running[3] == 1);
    assert_int_equal(ftso_parameters_total(weight_table, 2), WEIGHTS);

    char path[] = "/tmp/ftso-tables-XXXXXX";
    close(mkstemp(path));
    const ftso_parameter_state from[] = {{weight_table, 2, weights}, {running_table, 2, running}};
    test_ok(ftso_parameters_write(path, from, 2, FTSO_NAMES_OWN, NULL, 0));
    float back[WEIGHTS] = {0}, back_running[RUNNING] = {0};
    ftso_parameter_state to[] = {{weight_table, 2, back}, {running_table, 2, back_running}};
    test_ok(ftso_parameters_read(path, to, 2, NULL));
    assert_memory_equal(back, weights, sizeof(weights));
    assert_memory_equal(back_running, running, sizeof(running));

    /* Another network: what differs is named, in both directions. */
    const ftso_parameter other[] = {
        {.name = "conv.weight",
         .module = "0.weight",
         .rank = 4,
         .dim = {1, 2, 2, 2},
         .offset = 0,
         .fan_in = 4},
        {.name = "fc.bias", .module = "fc.bias", .rank = 1, .dim = {2}, .offset = 8}};
    to[0].table = other;
    ftso_status status = ftso_parameters_read(path, to, 2, NULL);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_non_null(
        strstr(status.message, "'conv.weight' is [2, 1, 2, 2], wanted is [1, 2, 2, 2]"));
    assert_non_null(strstr(status.message, "'fc.bias' is missing"));
    assert_non_null(strstr(status.message, "'bn.weight' is one too many"));
    unlink(path);
}

static void test_rates(void **state)
{
    (void)state;
    const ftso_rate linear = {FTSO_RATE_LINEAR, 0.5, 0, 5, 0};
    assert_true(fabs(ftso_rate_at(&linear, 0, 250) - 0.1) < 1e-15);
    assert_true(fabs(ftso_rate_at(&linear, 4, 250) - 0.5) < 1e-15);
    assert_true(fabs(ftso_rate_at(&linear, 125, 250) - 0.25) < 1e-15);
    /* PC-DARTS on ImageNet: 0.5 (245 - e) / 245, then 0.5 (250 - e) / (245 * 5) */
    const ftso_rate tailed = {FTSO_RATE_LINEAR, 0.5, 0, 0, 5};
    assert_true(fabs(ftso_rate_at(&tailed, 100, 250) - 0.5 * 145 / 245) < 1e-15);
    assert_true(fabs(ftso_rate_at(&tailed, 247, 250) - 0.5 * 3 / (245 * 5)) < 1e-15);
    const ftso_rate shrinking = {FTSO_RATE_EXPONENTIAL, 0.1, 0.97, 0, 0};
    assert_true(fabs(ftso_rate_at(&shrinking, 2, 10) - 0.1 * 0.97 * 0.97) < 1e-15);
    const ftso_rate constant = {FTSO_RATE_CONSTANT, 0.3, 0, 2, 0};
    assert_true(ftso_rate_at(&constant, 0, 9) == 0.15 && ftso_rate_at(&constant, 7, 9) == 0.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_run_sees),
        cmocka_unit_test(test_adam_counts_its_steps),
        cmocka_unit_test(test_what_cannot_go_on),
        cmocka_unit_test(test_stop_and_go_on),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
