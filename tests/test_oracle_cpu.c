/*
 * Compiled code against float64, with PyTorch's float32 error as the measure (tests/oracle/): at most five times as far,
 * per tensor, median over the case's batches. float64 is the interpreter, itself held to PyTorch's float64 here for
 * every batch. Adam is judged with the gradient that was computed fed into its formula in double.
 */
#include "tests/oracle_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { MAX_BATCHES = 32, FACTOR = 5 };

/* ---------------------------------------------------------------- float64 */

static void bind(ftso_interp *interp, const oracle_step *step, const char *name, const double *data,
                 size_t count)
{
    ftso_value leaf = ftso_graph_find(step->network->graph, name);
    if (leaf == FTSO_NO_VALUE) fail_msg("the step has no '%s'", name);
    test_ok(ftso_interp_bind(interp, leaf, data, count));
}

/* ---------------------------------------------------------------- the device that is judged */

typedef struct judged {
    const oracle_case *c;
    const oracle_step *step;
    const ftso_optimizer *rule;
    ftso_device *device;
    ftso_step *loaded;
    ftso_interp *truth;
    int64_t total; /* numbers in the target */
} judged;

static void give(ftso_arena *arena, const judged *j, const char *name, const double *data,
                 size_t count, bool state)
{
    float *single = FTSO_ARRAY(arena, float, count);
    for (size_t i = 0; i < count; i++) single[i] = (float)data[i];
    if (state)
        test_ok(j->device->write_state(j->device->self, name, single, (int64_t)count));
    else
        test_ok(j->device->bind(j->device->self, j->loaded, name, single, j->c->batch));
    bind(j->truth, j->step, name, data, count);
}

static const char *suffixed(ftso_arena *arena, const judged *j, const char *suffix)
{
    return ftso_format(arena, "%s.%s", j->step->target, suffix);
}

static double *take(ftso_arena *arena, const judged *j, const char *output, size_t count)
{
    float *single = FTSO_ARRAY(arena, float, count);
    double *wide = FTSO_ARRAY(arena, double, count);
    test_ok(j->device->read(j->device->self, j->loaded, output, single, (int64_t)count));
    for (size_t i = 0; i < count; i++) wide[i] = single[i];
    return wide;
}

static double *take_target(ftso_arena *arena, const judged *j)
{
    float *single = FTSO_ARRAY(arena, float, (size_t)j->total);
    double *wide = FTSO_ARRAY(arena, double, (size_t)j->total);
    test_ok(j->device->read_state(j->device->self, j->step->target, single, j->total));
    for (int64_t i = 0; i < j->total; i++) wide[i] = single[i];
    return wide;
}

static judged judged_open(ftso_arena *arena, const oracle_case *c, int which, ftso_device *device)
{
    judged j = {.c = c, .step = &c->steps[which], .device = device};
    j.rule = which ? &c->weight_rule : &c->arch_rule;
    j.total = which ? c->weight_total : c->arch_total;
    j.truth = ftso_interp_new(j.step->network->graph);
    test_ok(device->load(device->self, ftso_format(arena, "%s %s", c->file->name, j.step->target),
                         j.step->network->graph, &j.loaded));
    return j;
}

static void judged_close(judged *j)
{
    j->device->unload(j->device->self, j->loaded);
    ftso_interp_free(j->truth);
}

/* The states where the case starts, moments of zero. `arch` NULL: a found network. */
static void give_start(ftso_arena *arena, const judged *j, const double *arch)
{
    const oracle_case *c = j->c;
    double *zeros = FTSO_ARRAY(arena, double, (size_t)j->total);
    give(arena, j, "weights", c->weights, (size_t)c->weight_total, true);
    if (arch) give(arena, j, "arch", arch, (size_t)c->arch_total, true);
    if (c->trains) give(arena, j, "running", c->running, (size_t)c->running_total, true);
    bool adam = j->rule->kind == FTSO_ADAM;
    give(arena, j, suffixed(arena, j, adam ? "m" : "momentum"), zeros, (size_t)j->total, true);
    if (adam) give(arena, j, suffixed(arena, j, "v"), zeros, (size_t)j->total, true);
}

/* Step number t (from 1) with batch `b`, on the device and in double. */
static void run_both(ftso_arena *arena, const judged *j, const char *kind, int b, int64_t t)
{
    const oracle_case *c = j->c;
    const oracle_tensor *image = oracle_get(c->file, "%s.image/%d", kind, b);
    const oracle_tensor *label = oracle_get(c->file, "%s.label/%d", kind, b);
    double lr = j->rule->lr.first, corrections[2] = {oracle_correction(j->rule->beta1, t),
                                                     oracle_correction(j->rule->beta2, t)};
    give(arena, j, suffixed(arena, j, "lr"), &lr, 1, false);
    if (j->rule->kind == FTSO_ADAM) {
        give(arena, j, suffixed(arena, j, "adam1"), &corrections[0], 1, false);
        give(arena, j, suffixed(arena, j, "adam2"), &corrections[1], 1, false);
    }
    give(arena, j, "image", image->data, image->count, false);
    give(arena, j, "label", label->data, label->count, false);
    if (c->drop_count) {
        const oracle_tensor *masks = oracle_get(c->file, "%s.drop/%d", kind, b);
        give(arena, j, "drop_path", masks->data, masks->count, false);
    }
    test_ok(j->device->run(j->device->self, j->loaded, c->batch));
    test_ok(ftso_interp_run(j->truth, c->batch));
}

/* ---------------------------------------------------------------- errors by quantity */

typedef struct quantity {
    const char *name;
    double values[MAX_BATCHES];
    int count;
} quantity;

typedef struct errors {
    ftso_arena *arena;
    const oracle_case *c;
    quantity *items;
    size_t count, capacity;
} errors;

static void note(errors *e, const char *name, const double *ours, const double *truth, size_t count)
{
    if (oracle_float32(e->c->file, name) < 0) return; /* negligible: the file says so */
    quantity *found = NULL;
    for (size_t i = 0; i < e->count; i++)
        if (!strcmp(e->items[i].name, name)) found = &e->items[i];
    if (!found) {
        quantity fresh = {.name = name};
        FTSO_PUSH(e->arena, e->items, e->count, e->capacity, fresh);
        found = &e->items[e->count - 1];
    }
    assert_true(found->count < MAX_BATCHES);
    found->values[found->count++] = oracle_distance(ours, truth, count);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of steps the median; of long runs, which end a hundred times as far off where rounding turns a relu's sign, the geometric mean. */
static double middle(quantity *q)
{
    double logarithms = 0;
    for (int i = 0; i < q->count; i++) logarithms += log(q->values[i]);
    if (!strncmp(q->name, "long.", 5)) return exp(logarithms / q->count);
    qsort(q->values, (size_t)q->count, sizeof(double), ascending);
    return q->values[q->count / 2];
}

/* Every quantity the file judges was measured, and none is more than FACTOR times as far as PyTorch's float32. */
static void expect_close(const errors *e)
{
    size_t judged_count = 0, bad = 0;
    double worst = 0;
    const char *worst_name = "";
    for (size_t i = 0; i < e->c->file->line_count; i++)
        judged_count += !strcmp(e->c->file->lines[i].key, "float32");
    assert_int_equal(e->count, judged_count);
    for (size_t i = 0; i < e->count; i++) {
        quantity *q = &e->items[i];
        double ours = middle(q), theirs = oracle_float32(e->c->file, q->name);
        if (ours / theirs > worst) worst = ours / theirs, worst_name = q->name;
        if (ours <= FACTOR * theirs) continue;
        print_error("%s: %s is %.2e from float64, PyTorch's float32 %.2e: %.1f times\n",
                    e->c->file->name, q->name, ours, theirs, ours / theirs);
        bad++;
    }
    print_message("%s: %zu quantities, at worst %.2f times PyTorch's float32 error (%s)\n",
                  e->c->file->name, e->count, worst, worst_name);
    assert_int_equal(bad, 0);
}

/* ---------------------------------------------------------------- one case */

static double *difference(ftso_arena *arena, const double *now, const double *before, int64_t count)
{
    double *out = FTSO_ARRAY(arena, double, (size_t)count);
    for (int64_t i = 0; i < count; i++) out[i] = now[i] - before[i];
    return out;
}

static void note_pass(errors *e, const judged *j, const char *prefix)
{
    const ftso_network *network = j->step->network;
    size_t logits = (size_t)(e->c->batch * oracle_int(e->c->file, "classes", 0));
    note(e, ftso_format(e->arena, "%sloss", prefix), take(e->arena, j, "loss", 1),
         ftso_interp_get(j->truth, network->loss)->data, 1);
    note(e, ftso_format(e->arena, "%slogits", prefix), take(e->arena, j, "logits", logits),
         ftso_interp_get(j->truth, network->logits)->data, logits);
}

/* Adam on the device against Adam in double on the device's own gradient: first step, moments zero. */
static void expect_adam(const judged *j, const double *start, const double *gradient,
                        const double *after)
{
    const ftso_optimizer *rule = j->rule;
    for (int64_t i = 0; i < j->total; i++) {
        double g = gradient[i] + rule->weight_decay * start[i];
        double m = (1 - rule->beta1) * g * oracle_correction(rule->beta1, 1);
        double v = (1 - rule->beta2) * g * g * oracle_correction(rule->beta2, 1);
        double change = -rule->lr.first * m / (sqrt(v) + rule->eps);
        double limit = ldexp(fabs(start[i]) + fabs(change), -23) + 1e-5 * fabs(change);
        if (!(fabs(after[i] - start[i] - change) <= limit))
            fail_msg("%s: Adam moved number %lld by %.9g, not %.9g", j->c->file->name, (long long)i,
                     after[i] - start[i], change);
    }
}

static void arch_batch(errors *e, const judged *j, int b)
{
    const oracle_case *c = j->c;
    size_t total = (size_t)j->total;
    give_start(e->arena, j, c->arch);
    run_both(e->arena, j, "valid", b, 1);
    note_pass(e, j, "arch.");
    const double *truth = ftso_interp_get(j->truth, j->step->gradient)->data;
    const oracle_tensor *stored = oracle_get(c->file, "arch.gradient/%d", b);
    assert_true(oracle_distance(truth, stored->data, total) < 1e-9);
    double *gradient = take(e->arena, j, "gradient", total);
    for (size_t i = 0; i < c->file->line_count; i++) {
        if (strcmp(c->file->lines[i].key, "arch") != 0) continue;
        char name[64];
        long long offset, rows, columns = 1;
        assert_true(sscanf(c->file->lines[i].text, "%63s %lld %lld %lld", name, &offset, &rows,
                           &columns) >= 3);
        note(e, ftso_format(e->arena, "gradient/%s", name), gradient + offset, truth + offset,
             (size_t)(rows * columns));
    }
    expect_adam(j, c->arch, gradient, take_target(e->arena, j));
}

/* How far each running statistic moved. */
static void note_running(errors *e, const judged *j, const char *prefix)
{
    const oracle_case *c = j->c;
    const ftso_network *network = j->step->network;
    size_t total = (size_t)c->running_total;
    float *single = FTSO_ARRAY(e->arena, float, total);
    double *moved = FTSO_ARRAY(e->arena, double, total);
    test_ok(j->device->read_state(j->device->self, "running", single, c->running_total));
    for (size_t i = 0; i < total; i++) moved[i] = (double)single[i] - c->running[i];
    const double *truth = difference(
        e->arena, ftso_interp_state(j->truth, ftso_graph_find(network->graph, "running"))->data,
        c->running, c->running_total);
    for (size_t i = 0; i < network->running_count; i++) {
        const ftso_weight *row = &network->running_table[i];
        note(e, ftso_format(e->arena, "%srunning/%s", prefix, row->name), moved + row->offset,
             truth + row->offset, (size_t)ftso_shape_count(row->shape));
    }
}

/* How far each weight moved since the start. Returns the device's weights. */
static const double *note_updates(errors *e, const judged *j, const char *prefix)
{
    const oracle_case *c = j->c;
    const ftso_network *network = j->step->network;
    const double *truth =
        ftso_interp_state(j->truth, ftso_graph_find(network->graph, "weights"))->data;
    const double *after = take_target(e->arena, j);
    const double *update = difference(e->arena, after, c->weights, j->total);
    const double *true_update = difference(e->arena, truth, c->weights, j->total);
    for (size_t i = 0; i < network->weight_count; i++) {
        const ftso_weight *weight = &network->weight_table[i];
        note(e, ftso_format(e->arena, "%supdate/%s", prefix, weight->name), update + weight->offset,
             true_update + weight->offset, (size_t)ftso_shape_count(weight->shape));
    }
    return after;
}

static void weight_batch(errors *e, const judged *j, int b)
{
    const oracle_case *c = j->c;
    size_t total = (size_t)j->total;
    const double *arch = c->has_arch ? oracle_get(c->file, "arch.after/%d", b)->data : NULL;
    give_start(e->arena, j, arch);
    run_both(e->arena, j, "train", b, 1);
    note_pass(e, j, "");
    double loss = ftso_interp_get(j->truth, j->step->network->loss)->data[0];
    assert_true(oracle_distance(&loss, oracle_get(c->file, "loss/%d", b)->data, 1) < 1e-9);
    const double *truth = ftso_interp_get(j->truth, j->step->gradient)->data;
    double *gradient = take(e->arena, j, "gradient", total);
    for (size_t i = 0; i < j->step->network->weight_count; i++) {
        const ftso_weight *weight = &j->step->network->weight_table[i];
        note(e, ftso_format(e->arena, "gradient/%s", weight->name), gradient + weight->offset,
             truth + weight->offset, (size_t)ftso_shape_count(weight->shape));
    }
    const double *after = note_updates(e, j, "");
    if (j->rule->kind == FTSO_ADAM) expect_adam(j, c->weights, gradient, after);
    if (c->trains) note_running(e, j, "");
}

/* All steps one after another, beginning with batch `first`. */
static void long_run(errors *e, const judged *j, int first)
{
    int64_t batches = oracle_int(e->c->file, "batches", 0);
    give_start(e->arena, j, NULL);
    for (int64_t t = 0; t < oracle_int(e->c->file, "steps", 0); t++)
        run_both(e->arena, j, "train", (int)((first + t) % batches), t + 1);
    note_updates(e, j, "long.");
    note_running(e, j, "long.");
}

static void check_case(const char *name)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const oracle_case *c = oracle_build(&arena, name);
    ftso_device device;
    ftso_device_options options = {.threads = 2, .pipeline = ftso_pipeline_default()};
    test_ok(ftso_device_open_cpu(&options, &device));
    errors e = {.arena = &arena, .c = c};
    int batches = (int)oracle_int(c->file, "batches", 0);
    if (c->has_arch) {
        judged arch = judged_open(&arena, c, 0, &device);
        for (int b = 0; b < batches; b++) arch_batch(&e, &arch, b);
        judged_close(&arch);
    }
    judged weights = judged_open(&arena, c, 1, &device);
    for (int b = 0; b < batches; b++) weight_batch(&e, &weights, b);
    for (int r = 0; r < oracle_int(c->file, "long_runs", 0); r++) long_run(&e, &weights, r);
    judged_close(&weights);
    ftso_device_close(&device);
    expect_close(&e);
    ftso_arena_deinit(&arena);
}

#define CASE(function, name)                                                                       \
    static void function(void **state)                                                             \
    {                                                                                              \
        (void)state;                                                                               \
        check_case(name);                                                                          \
    }
#define ROW(function, name) cmocka_unit_test(function),

ORACLE_CASES(CASE)

int main(void)
{
    const struct CMUnitTest tests[] = {ORACLE_CASES(ROW)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
