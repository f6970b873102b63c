/*
 * tests/region_run: see region_run.h. The plan's bytes are those of float32; each number is kept as a double here.
 */
#include "tests/region_run.h"

#include <math.h>
#include <string.h>

enum { NUMBER_BYTES = 4, ALIGNMENT_BYTES = 64 };

struct region_run {
    ftso_arena arena;
    const ftso_schedule *schedule;
    ftso_plan *plan;
    double *memory;
    double **local; /* of the region that runs: what it computed and does not write */
};

static int64_t bare_size(const void *user, ftso_shape shape, ftso_element element)
{
    (void)user, (void)element;
    return ftso_shape_count(shape) * NUMBER_BYTES;
}

region_run *region_run_new(const ftso_schedule *schedule)
{
    region_run *run = ftso_mem_alloc(sizeof *run);
    assert_non_null(run);
    memset(run, 0, sizeof *run);
    ftso_arena_init(&run->arena);
    run->schedule = schedule;
    test_ok(ftso_schedule_verify(schedule));
    test_ok(ftso_plan_make(&run->arena, schedule, bare_size, NULL, ALIGNMENT_BYTES, &run->plan));
    test_ok(ftso_plan_verify(schedule, run->plan, bare_size, NULL));
    size_t count = (size_t)run->plan->total_bytes / NUMBER_BYTES;
    run->memory = FTSO_ARRAY(&run->arena, double, count);
    for (size_t i = 0; i < count; i++) run->memory[i] = NAN;
    run->local = FTSO_ARRAY(&run->arena, double *, schedule->graph->node_count);
    return run;
}

void region_run_free(region_run *run)
{
    ftso_arena_deinit(&run->arena);
    ftso_mem_free(run);
}

static double *place_of(const region_run *run, ftso_value value)
{
    const ftso_place *place = &run->plan->places[value];
    assert_true(place->stored);
    assert_int_equal(place->offset_bytes % NUMBER_BYTES, 0);
    return run->memory + place->offset_bytes / NUMBER_BYTES;
}

void region_run_bind(region_run *run, ftso_value leaf, const double *data, size_t count)
{
    memcpy(place_of(run, leaf), data, count * sizeof *data);
}

static ftso_shape actual(ftso_shape shape, int64_t batch)
{
    if (shape.batched) shape.dim[0] = batch;
    return shape;
}

static bool is_in(const ftso_value *list, size_t count, ftso_value value)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == value) return true;
    return false;
}

static void run_node(region_run *run, const ftso_region *region, ftso_value value, int64_t batch,
                     ftso_arena *scratch)
{
    const ftso_graph *graph = run->schedule->graph;
    const ftso_node *node = &graph->nodes[value];
    ftso_tensor *inputs = FTSO_ARRAY(scratch, ftso_tensor, (size_t)node->input_count + 1);
    for (uint32_t i = 0; i < node->input_count; i++) {
        inputs[i].shape = actual(graph->nodes[node->inputs[i]].shape, batch);
        inputs[i].data = run->local[node->inputs[i]];
        if (i < ftso_node_needs(node)) assert_non_null(inputs[i].data);
    }
    ftso_tensor out = {.shape = actual(node->shape, batch)};
    size_t count = (size_t)ftso_shape_count(out.shape);
    out.data = FTSO_ARRAY(scratch, double, count);
    ftso_eval eval = {.graph = graph, .node = node, .inputs = inputs, .batch = batch};
    node->op->eval(&eval, &out);
    ftso_element element = run->schedule->elements[value];
    for (size_t i = 0; element != FTSO_ELEMENT_FP32 && i < count; i++)
        out.data[i] = ftso_element_round(element, out.data[i]);
    run->local[value] = out.data;
    if (is_in(region->writes, region->write_count, value))
        memcpy(place_of(run, value), out.data, count * sizeof *out.data);
}

/* The numbers of a read value: its own memory, or gathered where they lie apart. */
static double *numbers_of(const region_run *run, ftso_value value, int64_t batch,
                          ftso_arena *scratch)
{
    const ftso_graph *graph = run->schedule->graph;
    const ftso_node *node = &graph->nodes[value];
    double *from = place_of(run, value);
    if (!ftso_node_is(node, "column")) return from;
    double *numbers = FTSO_ARRAY(scratch, double, (size_t)batch);
    int64_t apart = ftso_graph_shape(graph, node->inputs[0]).dim[1];
    for (int64_t n = 0; n < batch; n++) numbers[n] = from[n * apart];
    return numbers;
}

static void run_region(region_run *run, const ftso_region *region, int64_t batch)
{
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    memset(run->local, 0, run->schedule->graph->node_count * sizeof *run->local);
    for (size_t i = 0; i < region->read_count; i++)
        run->local[region->reads[i]] = numbers_of(run, region->reads[i], batch, &scratch);
    for (size_t i = 0; i < region->node_count; i++)
        run_node(run, region, region->nodes[i], batch, &scratch);
    ftso_arena_deinit(&scratch);
}

void region_run_go(region_run *run, int64_t batch)
{
    const ftso_graph *graph = run->schedule->graph;
    for (size_t r = 0; r < run->schedule->region_count; r++)
        run_region(run, &run->schedule->regions[r], batch);
    for (size_t i = 0; i < graph->output_count; i++) {
        const ftso_output *output = &graph->outputs[i];
        if (output->state == FTSO_NO_VALUE) continue;
        memmove(place_of(run, output->state), place_of(run, output->value),
                (size_t)ftso_shape_count(graph->nodes[output->state].shape) * sizeof(double));
    }
}

const double *region_run_get(const region_run *run, ftso_value value)
{
    return place_of(run, value);
}

int64_t region_run_bytes(const region_run *run)
{
    return run->plan->total_bytes;
}
