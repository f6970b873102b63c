/*
 * tests/kernel_lab: see kernel_lab.h. One compiler per width and tuning, for all graphs of a test program.
 */
#include "tests/kernel_lab.h"

#include "codegen/codegen.h"
#include "kernels/kernels.h"
#include "runtime/runtime.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The first of each processor and width is what the others of it must equal byte for byte. Sixteen lanes run as pairs of
 * eight on AVX2, so that what emitters do at that width is executed here too.
 */
static const struct {
    const char *cpu;
    int lanes, every; /* graphs from one that is compiled so to the next */
    ftso_tuning tuning;
    bool halves;
} kinds[] = {
    {"x86-64", 4, 1, {0}, false},
    {"x86-64", 4, 3, {.pixel_block = 2, .channel_block = 1}, false},
    {"x86-64-v3", 8, 1, {0}, false},
    {"x86-64-v3", 8, 3, {.pixel_block = 3, .channel_block = 2}, false},
    {"x86-64-v3", 16, 2, {0}, false},
    {"x86-64-v3", 16, 2, {0}, true},
    {"x86-64-v4", 16, 2, {0}, false},
    {"znver4", 16, 2, {0}, true},
};

enum { KINDS = FTSO_COUNT(kinds), POOLS = 2, COMPILED_ONLY_EVERY = 4, STORED_EVERY = 3 };

struct kernel_lab {
    ftso_arena arena;
    ftso_compiler *compilers[KINDS];
    bool runs[KINDS];
    ftso_pool *pools[POOLS]; /* 1 and 2 threads */
    kernel_lab_counts counts;
};

kernel_lab *kernel_lab_new(void)
{
    kernel_lab *lab = ftso_mem_alloc(sizeof *lab);
    assert_non_null(lab);
    memset(lab, 0, sizeof *lab);
    ftso_arena_init(&lab->arena);
    for (size_t k = 0; k < KINDS; k++) {
        ftso_compiler_options options = {
            .threads = 1, .kernels = ftso_kernels(), .tuning = kinds[k].tuning};
        test_ok(ftso_target_named(&lab->arena, kinds[k].cpu, &options.target));
        options.target.vector_floats = kinds[k].lanes;
        options.target.halves = kinds[k].halves;
        lab->runs[k] = ftso_target_runs_here(&options.target, NULL);
        test_ok(ftso_compiler_new(&options, &lab->compilers[k]));
    }
    for (int i = 0; i < POOLS; i++) test_ok(ftso_pool_new(i + 1, false, &lab->pools[i]));
    return lab;
}

void kernel_lab_free(kernel_lab *lab)
{
    for (size_t k = 0; k < KINDS; k++) ftso_compiler_free(lab->compilers[k]);
    for (int i = 0; i < POOLS; i++) ftso_pool_free(lab->pools[i]);
    ftso_arena_deinit(&lab->arena);
    ftso_mem_free(lab);
}

kernel_lab_counts kernel_lab_count(const kernel_lab *lab)
{
    return lab->counts;
}

void kernel_lab_print(const kernel_lab *lab, const char *title)
{
    print_message(
        "%s: %lld graphs, %lld of them with bf16 too, %lld runs of a width, %lld compiled "
        "only (no such processor here), largest error %.2f of the tolerance\n",
        title, (long long)lab->counts.graphs, (long long)lab->counts.stored,
        (long long)lab->counts.executed, (long long)lab->counts.compiled_only, lab->counts.worst);
}

/* ---------------------------------------------------------------- one graph */

typedef struct leaf {
    const char *name;
    ftso_value value;
    double *exact;
    float *data;
    size_t count;
} leaf;

/* One graph at one batch: operands and the reference's results. */
typedef struct trial {
    ftso_arena *arena;
    const ftso_graph *graph;
    const ftso_element *elements;
    int64_t batch;
    leaf *leaves;
    size_t leaf_count;
    ftso_interp *interp;
} trial;

static size_t elements(ftso_shape shape, int64_t batch)
{
    if (shape.batched) shape.dim[0] = batch;
    return (size_t)ftso_shape_count(shape);
}

static void fill_leaf(leaf *l, ftso_shape shape, kernel_lab_fill fill, void *user, uint64_t seed)
{
    test_random random = {ftso_hash(seed, l->name, strlen(l->name))};
    if (fill) fill(user, l->name, shape, l->exact);
    for (size_t i = 0; i < l->count; i++) {
        if (!fill)
            l->exact[i] = strncmp(l->name, "label", 5) == 0 ? (double)test_below(&random, 4)
                                                            : test_normal(&random);
        l->data[i] = (float)l->exact[i];
        l->exact[i] = (double)l->data[i];
    }
}

static trial trial_new(ftso_arena *arena, const ftso_schedule *schedule, int64_t batch,
                       kernel_lab_fill fill, void *user, uint64_t seed)
{
    const ftso_graph *graph = schedule->graph;
    trial t = {.arena = arena,
               .graph = graph,
               .elements = schedule->elements,
               .batch = batch,
               .interp = ftso_interp_new(graph)};
    assert_non_null(t.interp);
    ftso_interp_store(t.interp, schedule->elements);
    size_t capacity = 0;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (!ftso_node_is(node, "input") && !ftso_node_is(node, "state")) continue;
        leaf l = {.name = node->attrs[0].name, .value = (ftso_value)v};
        l.count = elements(node->shape, batch);
        l.exact = FTSO_ARRAY(arena, double, l.count);
        l.data = FTSO_ARRAY(arena, float, l.count);
        ftso_shape shape = node->shape;
        if (shape.batched) shape.dim[0] = batch;
        fill_leaf(&l, shape, fill, user, seed);
        test_ok(ftso_interp_bind(t.interp, l.value, l.exact, l.count));
        FTSO_PUSH(arena, t.leaves, t.leaf_count, capacity, l);
    }
    test_ok(ftso_interp_run(t.interp, batch));
    return t;
}

/* Results of all outputs, one after another. */
static float *run(const trial *t, const ftso_program *program, ftso_pool *pool, size_t *out_count)
{
    ftso_runner *runner;
    test_ok(ftso_runner_new(program, pool, NULL, &runner));
    ftso_runner_poison(runner);
    for (size_t i = 0; i < t->leaf_count; i++)
        if (ftso_runner_slot(runner, t->leaves[i].name))
            ftso_runner_write(runner, t->leaves[i].name, t->leaves[i].data, t->batch);
    ftso_runner_run(runner, t->batch, NULL);
    size_t total = 0, at = 0;
    for (size_t i = 0; i < t->graph->output_count; i++)
        total += elements(ftso_graph_shape(t->graph, t->graph->outputs[i].value), t->batch);
    float *results = FTSO_ARRAY(t->arena, float, total);
    for (size_t i = 0; i < t->graph->output_count; i++) {
        ftso_runner_read(runner, t->graph->outputs[i].name, results + at, t->batch);
        at += elements(ftso_graph_shape(t->graph, t->graph->outputs[i].value), t->batch);
    }
    ftso_runner_free(runner);
    *out_count = total;
    return results;
}

/*
 * What the operators that lead to `value` allow together, and numbers that may fall to the other side when they are rounded to
 * bf16: those near a middle, a few of all.
 */
static double allowed(const trial *t, ftso_value value, bool *seen)
{
    if (seen[value]) return 0;
    seen[value] = true;
    const ftso_node *node = ftso_graph_node(t->graph, value);
    double sum =
        ftso_node_is(node, "input") || ftso_node_is(node, "state") ? 0 : node->op->tolerance;
    if (t->elements[value] == FTSO_ELEMENT_BF16) sum += 1.0 / 1024;
    for (uint32_t i = 0; i < node->input_count; i++) sum += allowed(t, node->inputs[i], seen);
    return sum;
}

static void compare(kernel_lab *lab, const trial *t, const float *results, const char *cpu)
{
    for (size_t i = 0; i < t->graph->output_count; i++) {
        const ftso_output *output = &t->graph->outputs[i];
        const ftso_tensor *expected = ftso_interp_get(t->interp, output->value);
        size_t count = elements(ftso_graph_shape(t->graph, output->value), t->batch);
        double difference = 0, norm = 0;
        for (size_t k = 0; k < count; k++) {
            double d = (double)results[k] - expected->data[k];
            difference += d * d;
            norm += expected->data[k] * expected->data[k];
        }
        results += count;
        bool *seen = FTSO_ARRAY(t->arena, bool, t->graph->node_count);
        double limit = allowed(t, output->value, seen) * sqrt(norm);
        double share = difference > 0 ? sqrt(difference) / limit : 0;
        if (share > lab->counts.worst) lab->counts.worst = share;
        if (!(sqrt(difference) <= limit)) {
            ftso_text text;
            ftso_text_init(&text);
            ftso_graph_print(t->graph, &text);
            print_error("%s", ftso_text_get(&text));
            ftso_text_deinit(&text);
            fail_msg("%s, batch %lld, output \"%s\": distance %g, allowed %g, norm %g", cpu,
                     (long long)t->batch, output->name, sqrt(difference), limit, sqrt(norm));
        }
    }
}

static void check_batch(kernel_lab *lab, const trial *t, ftso_program *const *programs)
{
    const float *first = NULL;
    for (size_t k = 0; k < KINDS; k++) {
        if (!lab->runs[k] || !programs[k]) continue;
        if (k > 0 &&
            (kinds[k].lanes != kinds[k - 1].lanes || kinds[k].halves != kinds[k - 1].halves ||
             strcmp(kinds[k].cpu, kinds[k - 1].cpu) != 0))
            first = NULL;
        for (int p = 0; p < POOLS; p++) {
            size_t count;
            const float *results = run(t, programs[k], lab->pools[p], &count);
            if (!first) {
                first = results;
                compare(lab, t, results, kinds[k].cpu);
            }
            if (memcmp(first, results, count * sizeof *results) != 0)
                fail_msg("%s, batch %lld: %d threads and tuning %d %d give other bytes",
                         kinds[k].cpu, (long long)t->batch, p + 1, kinds[k].tuning.pixel_block,
                         kinds[k].tuning.channel_block);
        }
    }
}

/* ---------------------------------------------------------------- fences */

/* Memory of zeros between two pages that no one may touch, flush with the one behind it or in front of it. */
typedef struct fenced {
    char *pages, *data;
    size_t page_bytes;
} fenced;

static fenced fenced_new(size_t size_bytes, bool flush_behind)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (size_bytes + 63) / 64 * 64;
    size_t inner = (size + page - 1) / page * page;
    fenced f = {.page_bytes = inner + 2 * page};
    f.pages = mmap(NULL, f.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.pages != MAP_FAILED);
    if (inner) assert_int_equal(mprotect(f.pages + page, inner, PROT_READ | PROT_WRITE), 0);
    f.data = flush_behind ? f.pages + page + inner - size : f.pages + page;
    return f;
}

static void run_launch(const ftso_launch *launch, const fenced *arena, const fenced *shared,
                       const fenced *scratch, int64_t batch)
{
    float **buffers = ftso_mem_alloc((launch->buffer_count + 1) * sizeof *buffers);
    assert_non_null(buffers);
    for (size_t i = 0; i < launch->buffer_count; i++)
        buffers[i] = (float *)(arena->data + launch->buffers[i].offset_bytes);
    const ftso_kernel_set *k = &launch->kernels;
    ftso_kernel_args args = {.buffers = buffers,
                             .shared = (float *)shared->data,
                             .scratch = (float *)scratch->data,
                             .batch = batch};
    int64_t items =
        k->images_per_item ? (batch + k->images_per_item - 1) / k->images_per_item : k->fixed_items;
    if (k->prepare) k->prepare(&args);
    for (args.item = 0; args.item < items; args.item++) k->body(&args);
    for (args.item = 0; k->finish && args.item < k->finish_items; args.item++) k->finish(&args);
    ftso_mem_free(buffers);
}

/* Runs on zeros with the whole arena, this launch's shared and scratch memory fenced: a stray access ends the test. */
static void run_fenced(const ftso_program *program)
{
    if (program->state_count) return;
    for (int behind = 0; behind < 2; behind++) {
        fenced arena = fenced_new((size_t)program->arena_bytes, behind);
        for (size_t i = 0; i < program->launch_count; i++) {
            const ftso_launch *launch = &program->launches[i];
            fenced shared = fenced_new((size_t)launch->kernels.shared_bytes, behind),
                   scratch = fenced_new((size_t)launch->kernels.scratch_bytes, behind);
            run_launch(launch, &arena, &shared, &scratch, program->planned_batch);
            munmap(shared.pages, shared.page_bytes);
            munmap(scratch.pages, scratch.page_bytes);
        }
        munmap(arena.pages, arena.page_bytes);
    }
}

static int64_t planned_batch(const ftso_graph *graph)
{
    for (size_t v = 0; v < graph->node_count; v++)
        if (graph->nodes[v].shape.batched) return graph->nodes[v].shape.dim[0];
    return 1;
}

/* Through the widths whose turn it is. */
static void check_graph(kernel_lab *lab, ftso_arena *arena, const ftso_graph *graph,
                        const ftso_fusion *fusion, kernel_lab_fill fill, void *user, uint64_t seed)
{
    ftso_schedule *schedule;
    ftso_program *programs[KINDS];
    test_ok(ftso_graph_verify(graph));
    test_ok(ftso_schedule_form(arena, graph, fusion, &schedule));
    test_ok(ftso_schedule_verify(schedule));
    for (size_t k = 0; k < KINDS; k++) {
        programs[k] = NULL;
        int every = lab->runs[k] ? kinds[k].every : COMPILED_ONLY_EVERY;
        if (lab->counts.graphs % every != 0) continue;
        test_ok(ftso_compile(lab->compilers[k], arena, schedule, &programs[k], NULL));
        *(lab->runs[k] ? &lab->counts.executed : &lab->counts.compiled_only) += 1;
        if (lab->runs[k]) run_fenced(programs[k]);
    }
    int64_t planned = planned_batch(graph), batches[] = {planned, planned - 1, 1};
    for (int i = 0; i < 3; i++) {
        if (batches[i] < ftso_graph_min_batch(graph) || (i > 0 && batches[i] == batches[i - 1]))
            continue;
        trial t = trial_new(arena, schedule, batches[i], fill, user, seed);
        check_batch(lab, &t, programs);
        ftso_interp_free(t.interp);
    }
}

/*
 * The same graph with images stored as bf16: a product with one behind every image that comes in and in front of every one
 * that goes out makes them lie in memory where the operators meet them.
 */
static ftso_graph *stored_copy(ftso_arena *arena, const ftso_graph *graph)
{
    ftso_graph *copy = FTSO_NEW(arena, ftso_graph);
    ftso_value *at = FTSO_ARRAY(arena, ftso_value, graph->node_count);
    ftso_graph_init(copy, arena, graph->ops);
    copy->storage = FTSO_ELEMENT_BF16;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        ftso_value *inputs = FTSO_ARRAY(arena, ftso_value, node->input_count + 1);
        for (uint32_t i = 0; i < node->input_count; i++) inputs[i] = at[node->inputs[i]];
        at[v] = ftso_graph_copy(copy, node, inputs);
        bool several = node->shape.dim[2] * node->shape.dim[3] > 1;
        if (ftso_node_is(node, "input") && node->shape.rank == 4 && several)
            at[v] = ftso_graph_times(copy, at[v], 1);
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        ftso_value value = at[graph->outputs[i].value];
        ftso_shape shape = ftso_graph_shape(copy, value);
        if (shape.rank == 4 && shape.batched) value = ftso_graph_times(copy, value, 1);
        ftso_value state = graph->outputs[i].state;
        ftso_graph_output(copy, graph->outputs[i].name, value,
                          state == FTSO_NO_VALUE ? state : at[state]);
    }
    return copy;
}

void kernel_lab_check(kernel_lab *lab, const ftso_graph *graph, kernel_lab_fill fill, void *user,
                      uint64_t seed)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    check_graph(lab, &arena, graph, NULL, fill, user, seed);
    if (lab->counts.graphs % STORED_EVERY == 0) {
        ftso_fusion apart = ftso_fusion_default();
        apart.prologue = false;
        apart.epilogue = lab->counts.graphs % 2 == 0;
        check_graph(lab, &arena, stored_copy(&arena, graph), &apart, fill, user, seed);
        lab->counts.stored++;
    }
    lab->counts.graphs++;
    ftso_arena_deinit(&arena);
}
