/*
 * Regions: schedules verify, run region by region to the interpreter's numbers with every switch on and off, and print.
 */
#include "tests/nets.h"
#include "tests/region_run.h"

#include <stdlib.h>
#include <string.h>

static void random_graphs_schedule(void **state)
{
    (void)state;
    test_random random = {11};
    for (int i = 0; i < 150; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *graph = nets_random(&arena, &random);
        ftso_graph *passed = nets_passes(&arena, graph, NULL, 0);
        nets_same_graphs(graph, passed, 2, 1e-8);
        for (int bits = 0; bits < 16; bits++) {
            ftso_fusion fusion = {bits & 1, bits & 2, bits & 4, bits & 8 ? 6 : 2};
            ftso_schedule *schedule;
            test_ok(ftso_schedule_form(&arena, passed, &fusion, &schedule));
            if (getenv("SHOW")) {
                ftso_text text;
                ftso_text_init(&text);
                ftso_schedule_print(schedule, &text);
                fputs(ftso_text_get(&text), stderr);
                ftso_text_deinit(&text);
            }
            nets_same_schedule(graph, schedule, 2, 1e-8);
        }
        ftso_arena_deinit(&arena);
    }
}

static void super_nets_schedule(void **state)
{
    (void)state;
    for (int64_t k = 1; k <= 4; k += 3)
        for (int of_arch = 0; of_arch < 2; of_arch++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            nets_options options = {.opset = "skip_only",
                                    .k = k,
                                    .batch = 2,
                                    .side = 8,
                                    .layers = 4,
                                    .channels = 4,
                                    .of_arch = of_arch};
            ftso_graph *graph = nets_darts(&arena, &options);
            ftso_graph *passed = nets_passes(&arena, graph, NULL, 0);
            ftso_schedule *schedule;
            test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
            nets_same_schedule(graph, schedule, 2, 1e-8);
            if (getenv("SHOW")) {
                ftso_text text;
                ftso_text_init(&text);
                ftso_schedule_print(schedule, &text);
                fputs(ftso_text_get(&text), stderr);
                ftso_text_deinit(&text);
            }
            ftso_arena_deinit(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_schedule),
        cmocka_unit_test(super_nets_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
