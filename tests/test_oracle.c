/*
 * Networks, gradients and optimiser steps against PyTorch's (tests/oracle/): the interpreter in double here, on graphs as
 * lowered and on what the passes make of them; compiled code in test_oracle_cpu.c. A tensor is one weight of the network,
 * or all betas (alphas) of one cell kind.
 */
#include "tests/oracle_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An interpreter for one step, with the leaves that a run binds. */
typedef struct runner {
    const oracle_case *c;
    const oracle_step *step;
    const ftso_graph *graph;
    ftso_interp *interp;
} runner;

static runner runner_new(ftso_arena *arena, const oracle_case *c, int which, bool passes)
{
    runner r = {.c = c, .step = &c->steps[which]};
    ftso_graph *graph = r.step->network->graph;
    if (passes) test_ok(ftso_passes_run(arena, graph, NULL, 0, NULL, NULL, &graph));
    r.graph = graph;
    r.interp = ftso_interp_new(graph);
    assert_non_null(r.interp);
    return r;
}

static void bind(const runner *r, const char *name, const double *data, size_t count)
{
    ftso_value leaf = ftso_graph_find(r->graph, name);
    if (leaf == FTSO_NO_VALUE) fail_msg("the step has no '%s'", name);
    test_ok(ftso_interp_bind(r->interp, leaf, data, count));
}

static void bind_scalar(const runner *r, const char *suffix, double value)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", r->step->target, suffix);
    bind(r, name, &value, 1);
}

static void bind_rule(const runner *r, const ftso_optimizer *rule, int64_t t)
{
    bind_scalar(r, "lr", rule->lr.first);
    if (rule->kind != FTSO_ADAM) return;
    bind_scalar(r, "adam1", oracle_correction(rule->beta1, t));
    bind_scalar(r, "adam2", oracle_correction(rule->beta2, t));
}

/* Runs the first `count` images of a batch. */
static void run_images(const runner *r, const char *kind, int64_t batch_number, int64_t count)
{
    const oracle_tensor *image = oracle_get(r->c->file, "%s.image/%d", kind, (int)batch_number);
    const oracle_tensor *label = oracle_get(r->c->file, "%s.label/%d", kind, (int)batch_number);
    bind(r, "image", image->data, image->count / (size_t)r->c->batch * (size_t)count);
    bind(r, "label", label->data, (size_t)count);
    if (r->c->drop_count) {
        const oracle_tensor *masks = oracle_get(r->c->file, "%s.drop/%d", kind, (int)batch_number);
        assert_int_equal(masks->count, r->c->batch * r->c->drop_count);
        bind(r, "drop_path", masks->data, (size_t)(count * r->c->drop_count));
    }
    test_ok(ftso_interp_run(r->interp, count));
}

static void run_step(const runner *r, const char *kind, int64_t batch_number)
{
    run_images(r, kind, batch_number, r->c->batch);
}

static const double *output_of(const runner *r, const char *name)
{
    for (size_t i = 0; i < r->graph->output_count; i++)
        if (!strcmp(r->graph->outputs[i].name, name))
            return ftso_interp_get(r->interp, r->graph->outputs[i].value)->data;
    fail_msg("the step has no output '%s'", name);
    return NULL;
}

static const double *state_of(const runner *r, const char *name)
{
    return ftso_interp_state(r->interp, ftso_graph_find(r->graph, name))->data;
}

/* ---------------------------------------------------------------- comparison */

static void expect_near(const oracle_case *c, const char *what, const double *ours,
                        const double *theirs, size_t count, double whole_norm, double limit)
{
    double norm = oracle_norm(theirs, count), tiny = 1e-10 * whole_norm;
    if (norm <= tiny) { /* zero but for rounding: a bias before a batch norm */
        if (oracle_norm(ours, count) > tiny)
            fail_msg("%s: %s should vanish and is %g", c->file->name, what,
                     oracle_norm(ours, count));
        return;
    }
    double distance = oracle_distance(ours, theirs, count);
    if (!(distance <= limit))
        fail_msg("%s: %s is %.3g from PyTorch's, more than %.0e", c->file->name, what, distance,
                 limit);
}

/* Weight by weight: `ours` in flat order against the stored PREFIX/<name>. */
static void expect_weights(ftso_arena *arena, const oracle_case *c, const char *prefix,
                           const double *ours, double limit)
{
    const double *theirs = oracle_gather(arena, c, prefix);
    double whole = oracle_norm(theirs, (size_t)c->weight_total);
    const ftso_network *network = c->steps[1].network;
    for (size_t i = 0; i < network->weight_count; i++) {
        const ftso_weight *weight = &network->weight_table[i];
        expect_near(c, ftso_format(arena, "%s of %s", prefix, weight->name), ours + weight->offset,
                    theirs + weight->offset, (size_t)ftso_shape_count(weight->shape), whole, limit);
    }
}

/* The statistics that a run left, tensor by tensor. */
static void expect_running(ftso_arena *arena, const runner *r, const char *prefix, double limit)
{
    const oracle_case *c = r->c;
    if (!c->trains) return;
    prefix = ftso_format(arena, "%srunning", prefix);
    const double *ours = state_of(r, "running"), *theirs = oracle_gather_running(arena, c, prefix);
    const ftso_network *network = r->step->network;
    for (size_t i = 0; i < network->running_count; i++) {
        const ftso_weight *row = &network->running_table[i];
        expect_near(c, ftso_format(arena, "%s of %s", prefix, row->name), ours + row->offset,
                    theirs + row->offset, (size_t)ftso_shape_count(row->shape), 0, limit);
    }
}

/* Slice by slice of `arch`, as the file's "arch" lines cut it. */
static void expect_arch(ftso_arena *arena, const oracle_case *c, const char *what,
                        const double *ours, const oracle_tensor *theirs, double limit)
{
    int slices = 0;
    assert_int_equal(theirs->count, c->arch_total);
    for (size_t i = 0; i < c->file->line_count; i++) {
        if (strcmp(c->file->lines[i].key, "arch") != 0) continue;
        char name[64];
        long long offset, rows, columns = 1;
        int fields =
            sscanf(c->file->lines[i].text, "%63s %lld %lld %lld", name, &offset, &rows, &columns);
        assert_true(fields >= 3);
        expect_near(c, ftso_format(arena, "%s of %s", what, name), ours + offset,
                    theirs->data + offset, (size_t)(rows * columns), 0, limit);
        slices++;
    }
    assert_true(slices > 0);
}

/* Where the weight step starts: weights, statistics, moments of zero. */
static void bind_start(ftso_arena *arena, const runner *r)
{
    const oracle_case *c = r->c;
    size_t total = (size_t)c->weight_total;
    const double *zeros = FTSO_ARRAY(arena, double, total);
    bool adam = c->weight_rule.kind == FTSO_ADAM;
    bind(r, "weights", c->weights, total);
    if (c->trains) bind(r, "running", c->running, (size_t)c->running_total);
    bind(r, adam ? "weights.m" : "weights.momentum", zeros, total);
    if (adam) bind(r, "weights.v", zeros, total);
}

static double *difference(ftso_arena *arena, const double *now, const double *before, int64_t count)
{
    double *out = FTSO_ARRAY(arena, double, (size_t)count);
    for (int64_t i = 0; i < count; i++) out[i] = now[i] - before[i];
    return out;
}

static void expect_loss(const runner *r, const char *prefix, double limit)
{
    const oracle_case *c = r->c;
    const oracle_tensor *loss = oracle_get(c->file, "%sloss", prefix);
    expect_near(c, "loss", output_of(r, "loss"), loss->data, 1, 0, limit);
    if (strncmp(prefix, "last.", 5) == 0) return;
    const oracle_tensor *logits = oracle_get(c->file, "%slogits", prefix);
    expect_near(c, "logits", output_of(r, "logits"), logits->data, logits->count, 0, limit);
}

/* ---------------------------------------------------------------- twenty bilevel steps in double */

static void check_steps(const char *name, bool passes)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const oracle_case *c = oracle_build(&arena, name);
    int64_t steps = oracle_int(c->file, "steps", 0), batches = oracle_int(c->file, "batches", 0);
    size_t weight_total = (size_t)c->weight_total, arch_total = (size_t)c->arch_total;
    runner weight_step = runner_new(&arena, c, 1, passes), arch_step = {0};
    bind_start(&arena, &weight_step);
    if (c->has_arch) {
        double *zeros = FTSO_ARRAY(&arena, double, arch_total);
        arch_step = runner_new(&arena, c, 0, passes);
        bind(&arch_step, "arch", c->arch, arch_total);
        bind(&arch_step, "arch.m", zeros, arch_total);
        bind(&arch_step, "arch.v", zeros, arch_total);
    }
    for (int64_t t = 0; t < steps; t++) {
        double limit = t == 0 ? 1e-9 : 1e-6;
        const char *when = t == 0 ? "first" : "last";
        bool looks = t == 0 || t == steps - 1;
        if (c->has_arch) {
            bind(&arch_step, "weights", state_of(&weight_step, "weights"), weight_total);
            bind_rule(&arch_step, &c->arch_rule, t + 1);
            run_step(&arch_step, "valid", t % batches);
            const double *arch = state_of(&arch_step, "arch");
            bind(&weight_step, "arch", arch, arch_total);
            if (t == 0) {
                expect_loss(&arch_step, "first.arch.", limit);
                expect_arch(&arena, c, "gradient", output_of(&arch_step, "gradient"),
                            oracle_get(c->file, "first.arch.gradient"), limit);
            }
            if (looks)
                expect_arch(&arena, c, ftso_format(&arena, "%s update", when),
                            difference(&arena, arch, c->arch, c->arch_total),
                            oracle_get(c->file, "%s.arch.update", when), limit);
        }
        bind_rule(&weight_step, &c->weight_rule, t + 1);
        run_step(&weight_step, "train", t % batches);
        if (!looks) continue;
        expect_loss(&weight_step, ftso_format(&arena, "%s.", when), limit);
        expect_running(&arena, &weight_step, ftso_format(&arena, "%s.", when), limit);
        if (t == 0)
            expect_weights(&arena, c, "first.gradient", output_of(&weight_step, "gradient"), limit);
        expect_weights(
            &arena, c, ftso_format(&arena, "%s.update", when),
            difference(&arena, state_of(&weight_step, "weights"), c->weights, c->weight_total),
            limit);
    }
    ftso_interp_free(weight_step.interp);
    if (c->has_arch) ftso_interp_free(arch_step.interp);
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- fewer images than planned */

static void check_short(const char *name, bool passes)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const oracle_case *c = oracle_build(&arena, name);
    size_t weight_total = (size_t)c->weight_total, arch_total = (size_t)c->arch_total;
    const double limit = 1e-9;
    double *zeros = FTSO_ARRAY(&arena, double, weight_total + arch_total);
    for (int which = c->has_arch ? 0 : 1; which < 2; which++) {
        runner r = runner_new(&arena, c, which, passes);
        if (!which) bind(&r, "arch.m", zeros, arch_total);
        if (!which) bind(&r, "arch.v", zeros, arch_total);
        bind_rule(&r, which ? &c->weight_rule : &c->arch_rule, 1);
        const char *text = oracle_find(c->file, "short");
        for (char *end; *text; text = end) {
            long long count = strtoll(text, &end, 10);
            const char *prefix = ftso_format(&arena, "short.%lld.%s", count, which ? "" : "arch.");
            if (which)
                bind_start(&arena, &r);
            else
                bind(&r, "weights", c->weights, weight_total);
            if (c->has_arch) bind(&r, "arch", c->arch, arch_total);
            run_images(&r, which ? "train" : "valid", 0, count);
            const oracle_tensor *loss = oracle_get(c->file, "%sloss", prefix);
            expect_near(c, prefix, output_of(&r, "loss"), loss->data, 1, 0, limit);
            if (!which) {
                expect_arch(&arena, c, prefix, output_of(&r, "gradient"),
                            oracle_get(c->file, "%sgradient", prefix), limit);
                continue;
            }
            expect_running(&arena, &r, prefix, limit);
            const ftso_weight *stem = &r.step->network->weight_table[0];
            const oracle_tensor *gradient =
                oracle_get(c->file, "%sgradient/%s", prefix, stem->name);
            expect_near(c, prefix, output_of(&r, "gradient") + stem->offset, gradient->data,
                        gradient->count, 0, limit);
        }
        ftso_interp_free(r.interp);
    }
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- running statistics */

static void check_inference(const char *name)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const oracle_case *c = oracle_build(&arena, name);
    assert_non_null(c->inference);
    const ftso_network *network = c->inference;
    const oracle_tensor *image = oracle_get(c->file, "valid.image/0");
    const oracle_tensor *logits = oracle_get(c->file, "inference.logits");
    for (int passes = 0; passes < 2; passes++) {
        ftso_graph *graph = network->graph;
        if (passes) test_ok(ftso_passes_run(&arena, graph, NULL, 0, NULL, NULL, &graph));
        runner r = {c, &c->steps[1], graph, ftso_interp_new(graph)};
        bind(&r, "weights", c->weights, (size_t)c->weight_total);
        bind(&r, "running", c->running, (size_t)network->running_total);
        for (int64_t count = c->batch; count;
             count = count > 1 ? 1 : 0) { /* all images, then one alone */
            size_t share = (size_t)(c->batch / count);
            bind(&r, "image", image->data, image->count / share);
            test_ok(ftso_interp_run(r.interp, count));
            expect_near(c, "logits in inference", output_of(&r, "logits"), logits->data,
                        logits->count / share, 0, 1e-9);
        }
        ftso_interp_free(r.interp);
    }
    ftso_arena_deinit(&arena);
}

static void inference(void **state)
{
    (void)state;
    check_inference("found-darts-v2");
    check_inference("found-all-kinds");
    check_inference("nb201-found");
    check_inference("train-sgd");
    check_inference("train-adam");
    check_inference("train-nesterov");
    check_inference("train-nb201");
}

static void check_case(const char *name)
{
    for (int passes = 0; passes < 2; passes++) {
        check_steps(name, passes);
        check_short(name, passes);
    }
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
    const struct CMUnitTest tests[] = {ORACLE_CASES(ROW) cmocka_unit_test(inference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
