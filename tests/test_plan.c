/*
 * The buffer plan: a walk over the program that stamps every number in memory with the value it belongs to must find each
 * value whole whenever it is read; damaged plans and schedules are refused by the verifiers.
 */
#include "tests/nets.h"
#include "tests/region_run.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 4 };

/* Padded sizes, as an emitter would ask for. */
static int64_t padded_size(const void *user, ftso_shape shape, ftso_element element)
{
    (void)element; /* the stamps take as much for every number */
    int64_t lanes = *(const int64_t *)user, count = ftso_shape_count(shape);
    if (shape.rank == 4 && shape.batched)
        return count / shape.dim[1] * ((shape.dim[1] + lanes - 1) / lanes * lanes) * NUMBER_BYTES;
    return (count + lanes) * NUMBER_BYTES;
}

/* ---------------------------------------------------------------- an independent check */

/* Whose number lies at a place: element `element` of `owner`, a value that owns memory. */
typedef struct stamp {
    ftso_value owner;
    int64_t element;
} stamp;

typedef struct stamped {
    const ftso_schedule *schedule;
    const ftso_plan *plan;
    stamp *memory;
    ftso_arena arena;
} stamped;

/* Element `element` of a value, in terms of the value that some region writes or that is a leaf. */
static stamp resolve(const ftso_graph *graph, ftso_value value, int64_t element)
{
    const ftso_node *node = &graph->nodes[value];
    if (ftso_node_is(node, "view"))
        return resolve(graph, node->inputs[0], element + node->attrs[0].i);
    if (ftso_node_is(node, "column"))
        return resolve(graph, node->inputs[0],
                       element * graph->nodes[node->inputs[0]].shape.dim[1] + node->attrs[0].i);
    if (!ftso_node_is(node, "pack")) return (stamp){value, element};
    for (uint32_t i = 0; i < node->input_count; i++) {
        int64_t count = ftso_shape_count(graph->nodes[node->inputs[i]].shape);
        if (element < count) return resolve(graph, node->inputs[i], element);
        element -= count;
    }
    fail_msg("element past the end of a pack");
    return (stamp){0};
}

static void expect_whole(const stamped *s, ftso_value value, size_t region)
{
    const ftso_graph *graph = s->schedule->graph;
    const ftso_place *place = &s->plan->places[value];
    assert_true(place->stored);
    const ftso_node *node = &graph->nodes[value];
    int64_t count = ftso_shape_count(node->shape), step = 1;
    if (ftso_node_is(node, "column")) step = graph->nodes[node->inputs[0]].shape.dim[1];
    for (int64_t i = 0; i < count; i++) {
        stamp want = resolve(graph, value, i);
        const stamp *have = &s->memory[place->offset_bytes / NUMBER_BYTES + i * step];
        if (have->owner != want.owner || have->element != want.element)
            fail_msg("region %zu reads element %lld of %%%u, but %%%u is there", region,
                     (long long)i, value, have->owner);
    }
}

static void put(const stamped *s, ftso_value value)
{
    const ftso_place *place = &s->plan->places[value];
    int64_t count = ftso_shape_count(s->schedule->graph->nodes[value].shape);
    assert_true(place->stored && place->offset_bytes >= 0);
    assert_true(place->offset_bytes + count * NUMBER_BYTES <= s->plan->total_bytes);
    for (int64_t i = 0; i < count; i++)
        s->memory[place->offset_bytes / NUMBER_BYTES + i] = (stamp){value, i};
}

static void walk(const ftso_schedule *schedule, const ftso_plan *plan)
{
    const ftso_graph *graph = schedule->graph;
    stamped s = {.schedule = schedule, .plan = plan};
    ftso_arena_init(&s.arena);
    s.memory = FTSO_ARRAY(&s.arena, stamp, (size_t)plan->total_bytes / NUMBER_BYTES);
    for (int64_t i = 0; i < plan->total_bytes / NUMBER_BYTES; i++)
        s.memory[i].owner = FTSO_NO_VALUE;
    for (size_t v = 0; v < graph->node_count; v++)
        if (ftso_node_is(&graph->nodes[v], "input") || ftso_node_is(&graph->nodes[v], "state"))
            put(&s, (ftso_value)v);
    for (size_t r = 0; r < schedule->region_count; r++) {
        const ftso_region *region = &schedule->regions[r];
        bool algebra = strcmp(region->kernel_class, "algebra") == 0;
        for (size_t i = 0; i < region->read_count; i++) expect_whole(&s, region->reads[i], r);
        for (size_t i = 0; i < region->write_count; i++) put(&s, region->writes[i]);
        /* writes leave each other alone; what was read too, but for a state's update in place */
        for (size_t i = 0; i < region->write_count; i++) expect_whole(&s, region->writes[i], r);
        for (size_t i = 0; i < region->read_count && !algebra; i++)
            expect_whole(&s, region->reads[i], r);
    }
    for (size_t i = 0; i < graph->output_count; i++)
        expect_whole(&s, graph->outputs[i].value, schedule->region_count);
    ftso_arena_deinit(&s.arena);
}

static void random_plans(void **state)
{
    (void)state;
    test_random random = {99};
    for (int i = 0; i < 200; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *passed = nets_passes(&arena, nets_random(&arena, &random), NULL, 0);
        ftso_fusion fusion = ftso_fusion_default();
        fusion.prologue = test_below(&random, 2);
        fusion.epilogue = test_below(&random, 2);
        ftso_schedule *schedule;
        ftso_plan *plan;
        int64_t lanes = (int64_t)1 << test_below(&random, 5);
        test_ok(ftso_schedule_form(&arena, passed, &fusion, &schedule));
        test_ok(ftso_plan_make(&arena, schedule, padded_size, &lanes, 64, &plan));
        test_ok(ftso_plan_verify(schedule, plan, padded_size, &lanes));
        for (size_t v = 0; v < passed->node_count; v++)
            if (plan->places[v].stored && passed->nodes[v].shape.batched &&
                passed->nodes[v].op->op_class != FTSO_CLASS_ALIAS)
                assert_int_equal(plan->places[v].offset_bytes % 64, 0);
        walk(schedule, plan);
        ftso_arena_deinit(&arena);
    }
}

/* ---------------------------------------------------------------- figures of the search's own programs */

static void super_net_fits(void **state)
{
    (void)state;
    for (int64_t k = 1; k <= 4; k += 3)
        for (int of_arch = 0; of_arch < 2; of_arch++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            nets_options options = {.opset = "skip_only",
                                    .k = k,
                                    .batch = 256,
                                    .side = 32,
                                    .layers = 8,
                                    .channels = 16,
                                    .of_arch = of_arch};
            ftso_graph *passed = nets_passes(&arena, nets_darts(&arena, &options), NULL, 0);
            ftso_schedule *schedule;
            ftso_plan *plan;
            int64_t lanes = 16;
            test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
            test_ok(ftso_schedule_verify(schedule));
            test_ok(ftso_plan_make(&arena, schedule, padded_size, &lanes, 64, &plan));
            test_ok(ftso_plan_verify(schedule, plan, padded_size, &lanes));
            assert_true(plan->total_bytes < 550 * 1000 * 1000);
            assert_true(schedule->region_count <= (of_arch ? 80 : 110));
            ftso_arena_deinit(&arena);
        }
}

static void states_update_in_place(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    nets_options options = {
        .opset = "skip_only", .k = 1, .batch = 2, .side = 8, .layers = 3, .channels = 4};
    ftso_graph *passed = nets_passes(&arena, nets_darts(&arena, &options), NULL, 0);
    ftso_schedule *schedule;
    ftso_plan *plan;
    int64_t lanes = 16;
    size_t updated = 0;
    test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
    test_ok(ftso_plan_make(&arena, schedule, padded_size, &lanes, 64, &plan));
    for (size_t i = 0; i < passed->output_count; i++) {
        const ftso_output *output = &passed->outputs[i];
        if (output->state == FTSO_NO_VALUE) continue;
        assert_int_equal(plan->places[output->value].offset_bytes,
                         plan->places[output->state].offset_bytes);
        updated++;
    }
    assert_int_equal(updated, 2); /* weights and their momentum */
    walk(schedule, plan);
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- damage is found */

static bool refused(ftso_status status)
{
    assert_true(status.code == FTSO_OK || status.code == FTSO_ERROR_INTERNAL);
    return status.code != FTSO_OK;
}

static void damage_is_refused(void **state)
{
    (void)state;
    test_random random = {5};
    for (int i = 0; i < 60; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *passed = nets_passes(&arena, nets_random(&arena, &random), NULL, 0);
        ftso_schedule *schedule;
        ftso_plan *plan;
        int64_t lanes = 4;
        test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
        test_ok(ftso_schedule_verify(schedule));
        for (size_t r = 0; r < schedule->region_count; r++) {
            ftso_region whole = schedule->regions[r], *region = &schedule->regions[r];
            if (whole.read_count) {
                region->read_count--;
                assert_true(refused(ftso_schedule_verify(schedule)));
                *region = whole;
            }
            region->write_count--;
            assert_true(refused(ftso_schedule_verify(schedule)));
            *region = whole;
            region->node_count--;
            assert_true(refused(ftso_schedule_verify(schedule)));
            *region = whole;
            if (whole.core_count) {
                region->core_count--;
                assert_true(refused(ftso_schedule_verify(schedule)));
                *region = whole;
            }
            region->kernel_class = "nonsense";
            if (whole.core_count) assert_true(refused(ftso_schedule_verify(schedule)));
            *region = whole;
        }
        test_ok(ftso_schedule_verify(schedule));
        test_ok(ftso_plan_make(&arena, schedule, padded_size, &lanes, 64, &plan));
        /* two inputs of the same region at one place */
        for (size_t r = 0; r < schedule->region_count; r++) {
            const ftso_region *region = &schedule->regions[r];
            for (size_t a = 0; a < region->write_count; a++)
                for (size_t b = 0; b < region->read_count; b++) {
                    ftso_value write = region->writes[a], read = region->reads[b];
                    if (!passed->nodes[write].shape.batched) continue;
                    ftso_place saved = plan->places[write];
                    plan->places[write].offset_bytes = plan->places[read].offset_bytes;
                    assert_true(refused(ftso_plan_verify(schedule, plan, padded_size, &lanes)));
                    plan->places[write] = saved;
                }
        }
        test_ok(ftso_plan_verify(schedule, plan, padded_size, &lanes));
        ftso_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_plans),
        cmocka_unit_test(super_net_fits),
        cmocka_unit_test(states_update_in_place),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
