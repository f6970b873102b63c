/*
 * ftso bench: the time of a search's steps, region by region, against what this machine can do at most.
 */
#include "cli/ceilings.h"
#include "cli/options.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

typedef struct bench_options {
    const char *path, *name, *step;
    bool regions;
    int repeat;
    ftso_input_options input;
    ftso_road_options road;
} bench_options;

enum { KEY_STEP = 512, KEY_REGIONS, KEY_REPEAT, MAX_REPEAT = 1000 };

static const struct argp_option options[] = {
    {"step", KEY_STEP, "arch|weights", 0, "time this step alone (default: both, one iteration)", 0},
    {"regions", KEY_REGIONS, 0, 0,
     "a line for each region: time, rates, share of the nearer ceiling", 0},
    {"repeat", KEY_REPEAT, "N", 0, "runs that are timed after two that are not (default 9)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    bench_options *bench = state->input;
    char *end;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &bench->input;
        state->child_inputs[1] = &bench->road;
        break;
    case KEY_STEP:
        if (strcmp(arg, "arch") != 0 && strcmp(arg, "weights") != 0)
            argp_error(state, "--step takes arch or weights, not '%s'", arg);
        bench->step = arg;
        break;
    case KEY_REGIONS:
        bench->regions = true;
        break;
    case KEY_REPEAT:
        bench->repeat = (int)strtol(arg, &end, 10);
        if (*end || bench->repeat < 1 || bench->repeat > MAX_REPEAT)
            argp_error(state, "--repeat takes a number from 1 to %d, not '%s'", MAX_REPEAT, arg);
        break;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            bench->path = arg;
        else if (state->arg_num == 1)
            bench->name = arg;
        else
            argp_error(state, "at most a file and the name of one search");
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which space file?");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {
    {&ftso_argp_input, 0, NULL, 0}, {&ftso_argp_road, 0, NULL, 0}, {0}};

static const struct argp argp = {options,
                                 parse,
                                 "FILE.ftso [SEARCH]",
                                 "Times one iteration of a search, edge weights then weights, on "
                                 "made-up images, beside this machine's own ceilings.\v"
                                 "Example: ftso bench examples/darts_cifar10.ftso --regions",
                                 children,
                                 NULL,
                                 NULL};

/* One step, compiled and bound. */
typedef struct bench_step {
    const char *label;
    ftso_program *program;
    ftso_runner *runner;
    double *seconds;          /* of each launch, of all timed runs together */
    double total[MAX_REPEAT]; /* of each timed run */
} bench_step;

static ftso_status make_step(const bench_options *chosen, ftso_input *input,
                             const ftso_search *search, ftso_compiler *compiler,
                             const ftso_compiler_options *how, ftso_pool *pool, ftso_states *states,
                             const char *label, bench_step *step)
{
    ftso_lower_options lowering = ftso_search_lower_options(search);
    ftso_network *network =
        ftso_lower_supernet(&input->arena, &input->diag, search->space, &lowering);
    if (!network) return ftso_error(FTSO_ERROR_USER, "the super-net could not be built");
    bool arch = strcmp(label, "arch") == 0;
    ftso_lower_step(network, arch ? &search->arch : &search->weights, arch);
    ftso_pipeline pipeline = chosen->road.device.pipeline;
    step->label = label;
    FTSO_TRY(ftso_pipeline_run(&pipeline, &input->arena, compiler, how, label, network->graph,
                               &step->program));
    if (!step->program) return FTSO_STATUS_OK;
    step->seconds = FTSO_ARRAY(&input->arena, double, step->program->launch_count);
    return ftso_runner_new(step->program, pool, states, &step->runner);
}

/* Small numbers in every input and state, so that no arithmetic meets infinities; label 0 everywhere. */
static ftso_status fill(const bench_step *step)
{
    for (size_t i = 0; i < step->program->slot_count; i++) {
        const ftso_slot *slot = &step->program->slots[i];
        if (!slot->is_input && !slot->is_state) continue;
        size_t count = 1;
        for (int d = 0; d < slot->rank; d++) count *= (size_t)slot->dim[d];
        float *data = ftso_mem_alloc(count * sizeof(float));
        if (!data) return ftso_error(FTSO_ERROR_LIMIT, "no memory for %zu numbers", count);
        bool label = slot->rank == 1 && slot->batched;
        for (size_t k = 0; k < count; k++) {
            ftso_random r = ftso_random_at(1, FTSO_STREAM_WEIGHTS, i, k);
            data[k] = label ? 0.0f : (float)(0.2 * ftso_random_uniform(r.word[0]) - 0.1);
        }
        ftso_runner_write(step->runner, slot->name, data, step->program->planned_batch);
        ftso_mem_free(data);
    }
    return FTSO_STATUS_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), ascending);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static void print_regions(const bench_step *step, int repeat, ftso_ceilings ceilings)
{
    printf("\n%s step, region by region (mean of %d)\n%9s %8s %8s %7s  %s\n", step->label, repeat,
           "ms", "GFLOP/s", "GB/s", "ceiling", "region");
    for (size_t i = 0; i < step->program->launch_count; i++) {
        const ftso_launch *launch = &step->program->launches[i];
        double seconds = step->seconds[i] / repeat;
        double flops = launch->flops / seconds, bytes = launch->bytes / seconds;
        double share = flops / ceilings.flops_per_s, share_of_memory = bytes / ceilings.bytes_per_s;
        printf("%9.3f %8.1f %8.1f %6.0f%%  %s\n", 1e3 * seconds, 1e-9 * flops, 1e-9 * bytes,
               100 * (share > share_of_memory ? share : share_of_memory), launch->label);
    }
}

static void print_step(bench_step *step, int repeat, ftso_ceilings ceilings, int threads)
{
    double flops = 0, seconds = median(step->total, repeat);
    for (size_t i = 0; i < step->program->launch_count; i++)
        flops += step->program->launches[i].flops;
    printf("%-8s %8.1f ms (%.1f to %.1f), %zu regions, %.1f GFLOP, %.0f GFLOP/s = %.0f%% of the "
           "ceiling, %.0f MiB\n",
           step->label, 1e3 * seconds, 1e3 * step->total[0], 1e3 * step->total[repeat - 1],
           step->program->launch_count, 1e-9 * flops, 1e-9 * flops / seconds,
           100 * flops / seconds / ceilings.flops_per_s,
           (double)ftso_program_bytes(step->program, threads) / (1 << 20));
}

static void run(bench_step *steps, size_t count, int repeat)
{
    enum { WARM = 2 };
    for (int i = -WARM; i < repeat; i++)
        for (size_t s = 0; s < count; s++) {
            double start = ftso_clock_s();
            ftso_runner_run(steps[s].runner, steps[s].program->planned_batch,
                            i < 0 ? NULL : steps[s].seconds);
            if (i >= 0) steps[s].total[i] = ftso_clock_s() - start;
        }
}

static ftso_status bench(bench_options *chosen, ftso_input *input, const ftso_search *search)
{
    static const char *const labels[] = {"arch", "weights"};
    bench_step *steps = FTSO_ARRAY(&input->arena, bench_step, FTSO_COUNT(labels));
    size_t count = 0;
    ftso_pool *pool = NULL;
    ftso_states *states = NULL;
    ftso_compiler *compiler = NULL;
    const ftso_device_options *device = &chosen->road.device;
    ftso_compiler_options how = {.kernels = ftso_kernels(),
                                 .threads = device->threads,
                                 .cache_dir =
                                     chosen->road.cached ? ftso_cache_dir(&input->arena) : NULL};
    ftso_status status = ftso_device_target(&input->arena, device, &how.target);
    if (status.code == FTSO_OK) status = ftso_pool_new(device->threads, true, &pool);
    if (status.code == FTSO_OK) status = ftso_states_new(&states);
    if (status.code == FTSO_OK) status = ftso_compiler_new(&how, &compiler);
    for (size_t i = 0; i < FTSO_COUNT(labels) && status.code == FTSO_OK; i++) {
        if (chosen->step && strcmp(chosen->step, labels[i]) != 0) continue;
        bench_step *step = &steps[count];
        status = make_step(chosen, input, search, compiler, &how, pool, states, labels[i], step);
        if (step->runner) count++;
        if (step->runner && status.code == FTSO_OK) status = fill(step);
    }
    if (status.code != FTSO_OK || count == 0) goto out;

    ftso_ceilings ceilings = ftso_ceilings_measure(pool, &how.target);
    printf("%s, %d threads, %s: ceilings %.0f GFLOP/s, %.1f GB/s from memory\n", search->name,
           ftso_pool_threads(pool), how.target.cpu, 1e-9 * ceilings.flops_per_s,
           1e-9 * ceilings.bytes_per_s);
    run(steps, count, chosen->repeat);
    double whole[MAX_REPEAT] = {0};
    for (int i = 0; i < chosen->repeat; i++)
        for (size_t s = 0; s < count; s++) whole[i] += steps[s].total[i];
    for (size_t s = 0; s < count; s++)
        print_step(&steps[s], chosen->repeat, ceilings, ftso_pool_threads(pool));
    if (count > 1)
        printf("iteration %7.1f ms (median of %d), batch %lld\n",
               1e3 * median(whole, chosen->repeat), chosen->repeat,
               (long long)steps[0].program->planned_batch);
    for (size_t s = 0; s < count && chosen->regions; s++)
        print_regions(&steps[s], chosen->repeat, ceilings);
out:
    for (size_t s = 0; s < count; s++) ftso_runner_free(steps[s].runner);
    ftso_compiler_free(compiler);
    ftso_states_free(states);
    ftso_pool_free(pool);
    return status;
}

int ftso_verb_bench(int argc, char **argv)
{
    bench_options chosen = {.repeat = 9};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    chosen.road.device.pipeline.disabled = chosen.road.disabled;
    ftso_input input;
    if (!ftso_input_read(&input, chosen.path, chosen.input.overrides, chosen.input.override_count,
                         &code))
        goto out;
    ftso_input_dump(&input, chosen.road.device.pipeline.dump);
    if (ftso_stage_is_early(chosen.road.device.pipeline.stop_after)) goto out;
    const ftso_search *search;
    code = ftso_report(ftso_pick_search(input.unit, chosen.name, &search));
    if (code != FTSO_OK) goto out;
    code = ftso_report(bench(&chosen, &input, search));
    if (input.diag.error_count) ftso_input_print(&input);
out:
    ftso_input_deinit(&input);
    return code;
}
