/*
 * Whole programs: steps of super-nets through passes, regions and machine code, at the planned batch and below, from memory that
 * starts as NaN. Any number of threads and another register block give the same bytes; the numbers are about as far from
 * the reference in double as the same passes' graph with every value rounded to float32. Where images are stored as bf16 the
 * reference rounds them too, at the same places.
 */
#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "tests/nets.h"

#include <math.h>
#include <string.h>

enum { BATCH = 5, MOST_THREADS = 3 };

/*
 * The interpreter's results for `leaves`: the values that `elements` (NULL: none) names rounded as they are stored, all of
 * them to float32 or not.
 */
static ftso_interp *interpret(const ftso_graph *graph, const ftso_element *elements,
                              const nets_leaf *leaves, size_t count, int64_t batch, bool rounded,
                              uint64_t disturbance)
{
    ftso_interp *interp = ftso_interp_new(graph);
    assert_non_null(interp);
    ftso_interp_round(interp, rounded);
    ftso_interp_disturb(interp, disturbance);
    ftso_interp_store(interp, elements);
    for (size_t i = 0; i < count; i++) {
        ftso_value leaf = ftso_graph_find(graph, leaves[i].name);
        if (leaf != FTSO_NO_VALUE) /* the passes dropped what nothing needs */
            test_ok(ftso_interp_bind(interp, leaf, leaves[i].data, leaves[i].count));
    }
    test_ok(ftso_interp_run(interp, batch));
    return interp;
}

/* Everything that a program gives: its outputs one after another; where images are apart, from `turn` of them at a time. */
static float *outputs_of(ftso_arena *arena, const ftso_program *program, const ftso_graph *graph,
                         const nets_leaf *leaves, size_t count, int64_t batch, int threads,
                         int64_t turn, size_t *out_total)
{
    ftso_pool *pool;
    ftso_runner *runner;
    test_ok(ftso_pool_new(threads, false, &pool));
    test_ok(ftso_runner_new(program, pool, NULL, &runner));
    ftso_runner_poison(runner);
    ftso_runner_take_turns(runner, turn);
    for (size_t i = 0; i < count; i++) {
        float *data = FTSO_ARRAY(arena, float, leaves[i].count);
        for (size_t k = 0; k < leaves[i].count; k++) data[k] = (float)leaves[i].data[k];
        if (ftso_runner_slot(runner, leaves[i].name))
            ftso_runner_write(runner, leaves[i].name, data, batch);
    }
    ftso_runner_run(runner, batch, NULL);
    size_t total = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        float *results = pass ? FTSO_ARRAY(arena, float, total) : NULL;
        for (size_t i = 0; i < graph->output_count; i++) {
            ftso_shape shape = ftso_graph_shape(graph, graph->outputs[i].value);
            if (shape.batched) shape.dim[0] = batch;
            if (pass) ftso_runner_read(runner, graph->outputs[i].name, results + at, batch);
            *(pass ? &at : &total) += (size_t)ftso_shape_count(shape);
        }
        if (!pass) continue;
        ftso_runner_free(runner);
        ftso_pool_free(pool);
        *out_total = total;
        return results;
    }
    return NULL;
}

static double distance(const double *a, const double *b, const float *c, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += pow((b ? b[i] : (double)c[i]) - a[i], 2);
    return sqrt(sum);
}

enum { DISTURBED = 3, FEW = 4 };

/* What a program is held to, all of the same leaves; `exact` is over `graph`, the others over `passed`. */
typedef struct references {
    const ftso_graph *graph, *passed;
    const ftso_interp *exact, *rounded; /* `rounded`: every value to float32 too */
    const ftso_interp *wide;            /* images not rounded; NULL where none are */
    ftso_interp *disturbed[DISTURBED];  /* over `passed`, as float32 arithmetic may disturb it */
    double part;
} references;

/* How far rounding takes an output of few numbers: one run may end close to the exact ones by chance, not all. */
static double typical_of(const references *of, const ftso_output *output, const double *exact,
                         size_t count)
{
    double sum = 0;
    for (int i = 0; i < DISTURBED; i++)
        sum += pow(
            distance(exact, ftso_interp_get(of->disturbed[i], output->value)->data, NULL, count),
            2);
    return sqrt(sum / DISTURBED);
}

/*
 * Per output: at most `factor` times the rounded interpreter's distance, and never asked to be nearer than a few roundings
 * of the output or of numbers of order one (at batch 1 batch norm and pool leave gradients of nothing but rounding). Where
 * images are rounded to bf16, a number near a middle falls to the other side now and then and takes others with it; that may
 * give `part` of what rounding itself does to this output and to one of a thousandth. Returns the largest quotient seen.
 */
static double compare(const references *of, const float *results, int64_t batch, const char *what)
{
    const double factor = 5, floor = 3e-6, absolute = 1e-6, typical = 1e-3;
    double worst = 0;
    for (size_t i = 0; i < of->graph->output_count; i++) {
        const ftso_output *output = &of->graph->outputs[i];
        ftso_value value = of->passed->outputs[i].value;
        const ftso_tensor *x = ftso_interp_get(of->exact, output->value),
                          *y = ftso_interp_get(of->rounded, value);
        assert_string_equal(of->passed->outputs[i].name, output->name);
        size_t count = (size_t)ftso_shape_count(x->shape);
        double norm = 0;
        for (size_t k = 0; k < count; k++) norm += x->data[k] * x->data[k];
        double own = distance(x->data, NULL, results, count),
               theirs = distance(x->data, y->data, NULL, count);
        if (count < FEW)
            theirs = fmax(theirs, typical_of(of, &of->passed->outputs[i], x->data, count));
        double allowed = factor * theirs + floor * sqrt(norm) + absolute;
        if (of->wide)
            allowed +=
                of->part * (typical * sqrt(norm) +
                            distance(x->data, ftso_interp_get(of->wide, value)->data, NULL, count));
        if (!(own <= allowed))
            fail_msg(
                "%s, batch %lld, \"%s\": %g from the reference, float32 rounding alone %g, norm "
                "%g, allowed %g",
                what, (long long)batch, output->name, own, theirs, sqrt(norm), allowed);
        worst = own / allowed > worst ? own / allowed : worst;
        results += count;
    }
    return worst;
}

/* Programs of one graph that must agree byte for byte: register blocks as chosen, and forced ones. */
static const ftso_tuning tunings[] = {{0}, {.pixel_block = 3, .channel_block = 1}};

static void check(const ftso_graph *plain, const char *what, const char *cpu, size_t tuning_count,
                  double part)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const ftso_graph *graph = nets_passes(&arena, plain, NULL, 0);
    const ftso_graph *truth = plain->storage == FTSO_ELEMENT_FP32 ? plain : graph;
    ftso_schedule *schedule;
    ftso_compiler *compilers[FTSO_COUNT(tunings)];
    ftso_program *programs[FTSO_COUNT(tunings)];
    test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
    for (size_t t = 0; t < tuning_count; t++) {
        ftso_compiler_options options = {
            .threads = 2, .kernels = ftso_kernels(), .tuning = tunings[t]};
        test_ok(ftso_target_named(&arena, cpu, &options.target));
        if (!ftso_target_runs_here(&options.target, NULL)) {
            print_message("%s on %s: not run, no such processor here\n", what, cpu);
            ftso_arena_deinit(&arena);
            return;
        }
        test_ok(ftso_compiler_new(&options, &compilers[t]));
        test_ok(ftso_compile(compilers[t], &arena, schedule, &programs[t], NULL));
    }
    assert_int_equal(programs[0]->images_apart, strstr(what, "inference") != NULL);
    double worst = 0;
    int64_t planned = programs[0]->planned_batch, batches[] = {planned, planned - 1, 1};
    for (size_t b = 0; b < FTSO_COUNT(batches); b++) {
        if (batches[b] < ftso_graph_min_batch(plain)) continue;
        size_t count, total;
        nets_leaf *leaves = nets_leaves(&arena, plain, batches[b], 7, &count);
        for (size_t i = 0; i < count; i++) /* the same numbers for both sides */
            for (size_t k = 0; k < leaves[i].count; k++)
                leaves[i].data[k] = (double)(float)leaves[i].data[k];
        const ftso_element *elements = truth == graph ? schedule->elements : NULL;
        ftso_interp *exact = interpret(truth, elements, leaves, count, batches[b], false, 0),
                    *rounded = interpret(graph, elements, leaves, count, batches[b], true, 0),
                    *wide = elements ? interpret(graph, NULL, leaves, count, batches[b], false, 0)
                                     : NULL;
        references of = {truth, graph, exact, rounded, wide, {NULL}, part};
        for (int i = 0; i < DISTURBED; i++)
            of.disturbed[i] =
                interpret(graph, elements, leaves, count, batches[b], false, (uint64_t)i + 1);
        const float *first = NULL;
        for (size_t t = 0; t < tuning_count; t++)
            for (int threads = 1; threads <= MOST_THREADS; threads++) {
                const float *results = outputs_of(&arena, programs[t], plain, leaves, count,
                                                  batches[b], threads, threads % 3 + 1, &total);
                if (!first) {
                    first = results;
                    double share = compare(&of, results, batches[b], what);
                    worst = share > worst ? share : worst;
                }
                if (memcmp(first, results, total * sizeof *results) != 0)
                    fail_msg("%s on %s, batch %lld: %d threads, %d images a turn, register block "
                             "%zu give "
                             "other bytes",
                             what, cpu, (long long)batches[b], threads, threads % 3 + 1, t);
            }
        ftso_interp_free(exact);
        ftso_interp_free(rounded);
        ftso_interp_free(wide);
        for (int i = 0; i < DISTURBED; i++) ftso_interp_free(of.disturbed[i]);
    }
    print_message("%s on %s: %zu regions, largest error %.2f of what is allowed\n", what, cpu,
                  schedule->region_count, worst);
    for (size_t t = 0; t < tuning_count; t++) ftso_compiler_free(compilers[t]);
    ftso_arena_deinit(&arena);
}

static void skip_only_steps(void **state)
{
    (void)state;
    static const char *const cpus[] = {"x86-64", "native"};
    for (int i = 0; i < 4; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        nets_options options = {.opset = "skip_only",
                                .k = i / 2 ? 4 : 1,
                                .batch = BATCH,
                                .side = 12,
                                .layers = 3,
                                .channels = 12,
                                .of_arch = i % 2 == 0};
        const ftso_graph *graph = nets_darts(&arena, &options);
        for (size_t c = 0; c < FTSO_COUNT(cpus); c++)
            check(graph,
                  ftso_format(&arena, "skip only, K=%lld, step on %s", (long long)options.k,
                              options.of_arch ? "betas" : "weights"),
                  cpus[c], FTSO_COUNT(tunings), 0);
        ftso_arena_deinit(&arena);
    }
}

/* Two reduction cells: every operator at both strides, and betas of normal cells that the loss does not reach. */
static void eight_operators(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    nets_options options = {.opset = "darts_8",
                            .k = 1,
                            .batch = BATCH,
                            .side = 8,
                            .layers = 2,
                            .channels = 8,
                            .of_arch = true};
    check(nets_darts(&arena, &options), "darts, step on betas", "native", 1, 0);
    ftso_arena_deinit(&arena);
}

/* Training and inference of a found network: drop path, auxiliary head, running statistics. */
static void found_networks(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    check(nets_found(&arena, "DARTS_V2", false), "DARTS_V2, training", "native", 1, 0);
    check(nets_found(&arena, "DARTS_V2", true), "DARTS_V2, inference", "native", 1, 0);
    ftso_arena_deinit(&arena);
}

/*
 * The same with images stored as bf16. Training of so few images is chaotic: batch norm of a channel that is nearly constant
 * makes a lot of a last bit.
 */
static void stored_as_bf16(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    nets_options options = {.opset = "skip_only",
                            .k = 4,
                            .batch = BATCH,
                            .side = 12,
                            .layers = 3,
                            .channels = 12,
                            .of_arch = true};
    const struct {
        ftso_graph *graph;
        const char *what, *cpu;
        size_t tunings;
        double part;
    } rows[] = {
        {nets_darts(&arena, &options), "bf16, step on betas", "x86-64", FTSO_COUNT(tunings), 0.3},
        {nets_darts(&arena, &options), "bf16, step on betas", "native", FTSO_COUNT(tunings), 0.3},
        {nets_found(&arena, "DARTS_V2", false), "bf16, training", "native", 1, 3},
        {nets_found(&arena, "DARTS_V2", true), "bf16, inference", "native", 1, 0.3},
    };
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        rows[i].graph->storage = FTSO_ELEMENT_BF16;
        check(rows[i].graph, rows[i].what, rows[i].cpu, rows[i].tunings, rows[i].part);
    }
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skip_only_steps),
        cmocka_unit_test(stored_as_bf16),
        cmocka_unit_test(eight_operators),
        cmocka_unit_test(found_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
