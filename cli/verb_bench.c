/*
 * ftso bench: the time of a search's steps, or of a found network's training step and inference, region by region,
 * against what this machine can do at most.
 */
#include "cli/ceilings.h"
#include "cli/options.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct bench_options {
    const char *path, *name, *step;
    bool regions, network;
    int repeat;
    int64_t batch;
    ftso_element precision;
    bool has_precision;
    ftso_clock_kind clock;
    ftso_input_options input;
    ftso_road_options road;
} bench_options;

enum {
    KEY_STEP = 512,
    KEY_REGIONS,
    KEY_REPEAT,
    KEY_NETWORK,
    KEY_BATCH,
    KEY_CLOCK,
    KEY_PRECISION,
    MAX_REPEAT = 1000,
    MAX_BATCH = 1 << 16
};

static const struct argp_option options[] = {
    {"step", KEY_STEP, "NAME", 0,
     "time this step alone: arch or weights of a search, train or infer of a network (default: "
     "both)",
     0},
    {"network", KEY_NETWORK, 0, 0, "NAME is a genotype: time the network built of its cells", 0},
    {"batch", KEY_BATCH, "N", 0, "images of a step (default: as the search or the recipe says)", 0},
    {"precision", KEY_PRECISION, "WORD", 0, FTSO_PRECISION_DOC, 0},
    {"clock", KEY_CLOCK, "wall|processor", 0,
     "what times are of: the wall (default), or processor time per thread, for a busy machine", 0},
    {"regions", KEY_REGIONS, 0, 0,
     "a line for each region: time, rates, share of the nearer ceiling, bytes moved over the "
     "fewest",
     0},
    {"repeat", KEY_REPEAT, "N", 0, "runs that are timed after two that are not (default 9)", 0},
    {0},
};

/* The steps of a search, and of a network. */
static const char *const labels[2][2] = {{"arch", "weights"}, {"train", "infer"}};

static void check_step(const bench_options *bench, const struct argp_state *state)
{
    const char *const *own = labels[bench->network];
    if (bench->step && strcmp(bench->step, own[0]) != 0 && strcmp(bench->step, own[1]) != 0)
        argp_error(state, "--step takes %s or %s, not '%s'", own[0], own[1], bench->step);
}

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
        bench->step = arg;
        break;
    case KEY_NETWORK:
        bench->network = true;
        break;
    case KEY_BATCH:
        bench->batch = strtol(arg, &end, 10);
        if (*end || bench->batch < 1 || bench->batch > MAX_BATCH)
            argp_error(state, "--batch takes a number from 1 to %d, not '%s'", MAX_BATCH, arg);
        break;
    case KEY_PRECISION:
        bench->precision = ftso_parse_precision(arg, state);
        bench->has_precision = true;
        break;
    case KEY_CLOCK:
        if (strcmp(arg, "wall") != 0 && strcmp(arg, "processor") != 0)
            argp_error(state, "--clock takes wall or processor, not '%s'", arg);
        bench->clock = strcmp(arg, "wall") == 0 ? FTSO_CLOCK_WALL : FTSO_CLOCK_PROCESSOR;
        break;
    case KEY_REGIONS:
        bench->regions = true;
        break;
    case KEY_REPEAT:
        bench->repeat = (int)strtol(arg, &end, 10);
        if (*end || bench->repeat < 1 || bench->repeat > MAX_REPEAT)
            argp_error(state, "--repeat takes a number from 1 to %d, not '%s'", MAX_REPEAT, arg);
        break;
    case ARGP_KEY_END:
        check_step(bench, state);
        break;
    default:
        return ftso_parse_subject(key, arg, state, &bench->path, &bench->name,
                                  "a file and one name", "which space file?");
    }
    return 0;
}

static const struct argp argp = {options,
                                 parse,
                                 "FILE.ftso [SEARCH]\nFILE.ftso --network [GENOTYPE]",
                                 "Times one iteration of a search, edge weights then weights, or a "
                                 "training step and inference of a found network, on "
                                 "made-up images, beside this machine's own ceilings.\v"
                                 "Examples:\n"
                                 "  ftso bench examples/darts_cifar10.ftso --regions\n"
                                 "  ftso bench examples/published.ftso DARTS_V2 --network "
                                 "--step=infer --batch=1",
                                 ftso_argp_children,
                                 NULL,
                                 NULL};

/* One step, compiled and bound. */
typedef struct bench_step {
    const char *label;
    ftso_element storage; /* of its images */
    ftso_program *program;
    ftso_runner *runner;
    double *seconds[MAX_REPEAT]; /* of each launch, by timed run */
    double total[MAX_REPEAT];    /* of each timed run */
    double memory[MAX_REPEAT];   /* and memory's ceiling beside it, bytes a second */
} bench_step;

/* What is timed: a search, or the network of a genotype, trained as `train` says. */
typedef struct subject {
    const ftso_search *search;
    const ftso_genotype *genotype;
    const ftso_train *train;
} subject;

/* How a genotype is trained: as the file's first recipe for its space says, else as DARTS does. */
static const ftso_train *recipe_for(const ftso_unit *unit, const ftso_genotype *genotype)
{
    static const ftso_train fallback = {
        .batch = 96,
        .aux_weight = 0.4,
        .optimizer = {.kind = FTSO_SGD, .momentum = 0.9, .weight_decay = 3e-4, .clip = 5}};
    for (size_t i = 0; i < unit->train_count; i++)
        if (unit->trains[i]->space == genotype->space) return unit->trains[i];
    return &fallback;
}

static ftso_network *step_of_search(const bench_options *chosen, ftso_input *input,
                                    const ftso_search *search, bool arch)
{
    ftso_lower_options lowering = ftso_search_lower_options(search);
    if (chosen->batch) lowering.batch = chosen->batch;
    if (chosen->has_precision) lowering.storage = chosen->precision;
    ftso_network *network =
        ftso_lower_supernet(&input->arena, &input->diag, search->space, &lowering);
    if (network) ftso_lower_step(network, arch ? &search->arch : &search->weights, arch);
    return network;
}

static ftso_network *step_of_network(const bench_options *chosen, ftso_input *input,
                                     const subject *what, bool inference)
{
    const ftso_space *space = what->genotype->space;
    ftso_lower_options lowering = {.batch = chosen->batch ? chosen->batch : what->train->batch,
                                   .inference = inference,
                                   .aux = space->aux_head && what->train->aux_weight > 0,
                                   .label_smoothing = what->train->label_smoothing,
                                   .storage = chosen->has_precision ? chosen->precision
                                                                    : what->train->precision};
    ftso_network *network =
        ftso_lower_network(&input->arena, &input->diag, space, what->genotype, &lowering);
    if (network && !inference) ftso_lower_step(network, &what->train->optimizer, false);
    return network;
}

static ftso_status make_step(const bench_options *chosen, ftso_input *input, const subject *what,
                             ftso_compiler *compiler, const ftso_compiler_options *how,
                             const char *label, bench_step *step)
{
    ftso_network *network =
        what->search ? step_of_search(chosen, input, what->search, strcmp(label, "arch") == 0)
                     : step_of_network(chosen, input, what, strcmp(label, "infer") == 0);
    if (!network) return ftso_error(FTSO_ERROR_USER, "the network could not be built");
    ftso_pipeline pipeline = chosen->road.device.pipeline;
    step->label = label;
    step->storage = network->graph->storage;
    FTSO_TRY(ftso_pipeline_run(&pipeline, &input->arena, compiler, how, label, network->graph,
                               &step->program));
    if (step->program)
        for (int i = 0; i < chosen->repeat; i++)
            step->seconds[i] = FTSO_ARRAY(&input->arena, double, step->program->launch_count);
    return FTSO_STATUS_OK;
}

static size_t slot_numbers(const ftso_slot *slot)
{
    size_t count = 1;
    for (int d = 0; d < slot->rank; d++) count *= (size_t)slot->dim[d];
    return count;
}

/* Small numbers in every input and state, so that no arithmetic meets infinities; label 0 and variance 1 everywhere. */
static ftso_status fill(const bench_step *step)
{
    for (size_t i = 0; i < step->program->slot_count; i++) {
        const ftso_slot *slot = &step->program->slots[i];
        if (!slot->is_input && !slot->is_state) continue;
        size_t count = slot_numbers(slot);
        float *data = ftso_mem_alloc(count * sizeof(float));
        if (!data) return ftso_error(FTSO_ERROR_LIMIT, "no memory for %zu numbers", count);
        bool label = slot->rank == 1 && slot->batched, ones = strcmp(slot->name, "running") == 0;
        for (size_t k = 0; k < count; k++) {
            ftso_random r = ftso_random_at(1, FTSO_STREAM_WEIGHTS, i, k);
            float small = (float)(0.2 * ftso_random_uniform(r.word[0]) - 0.1);
            data[k] = label ? 0.0f : ones ? 1.0f : small;
        }
        ftso_runner_write(step->runner, slot->name, data, step->program->planned_batch);
        ftso_mem_free(data);
    }
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- the error of narrow images */

/* One run from the numbers of `fill`, moments at zero (the first moment is then the gradient, but for a factor). */
static ftso_status run_once(bench_step *step, ftso_pool *pool)
{
    FTSO_TRY(ftso_runner_new(step->program, pool, NULL, &step->runner));
    FTSO_TRY(fill(step));
    for (size_t i = 0; i < step->program->slot_count; i++) {
        const ftso_slot *slot = &step->program->slots[i];
        if (!slot->is_state || !strchr(slot->name, '.')) continue;
        float *zeros = ftso_mem_alloc(slot_numbers(slot) * sizeof(float));
        if (!zeros) return ftso_error(FTSO_ERROR_LIMIT, "no memory for '%s'", slot->name);
        memset(zeros, 0, slot_numbers(slot) * sizeof(float));
        ftso_runner_write(step->runner, slot->name, zeros, step->program->planned_batch);
        ftso_mem_free(zeros);
    }
    ftso_runner_run(step->runner, step->program->planned_batch, NULL);
    return FTSO_STATUS_OK;
}

/* Whether an output is judged: logits, loss, first moments. */
static bool is_judged(const ftso_slot *slot)
{
    bool moment = strchr(slot->name, '.') && !strstr(slot->name, ".v");
    if (!slot->is_output || (slot->is_state && !moment)) return false;
    return moment || strcmp(slot->name, "logits") == 0 || strcmp(slot->name, "loss") == 0;
}

/* What one run of a step gives, by slot; its memory is free again before the next one takes its own. */
static ftso_status run_and_keep(ftso_arena *arena, bench_step *step, ftso_pool *pool, float **out)
{
    ftso_status status = run_once(step, pool);
    for (size_t i = 0; status.code == FTSO_OK && i < step->program->slot_count; i++) {
        const ftso_slot *slot = &step->program->slots[i];
        if (!is_judged(slot)) continue;
        out[i] = FTSO_ARRAY(arena, float, slot_numbers(slot));
        ftso_runner_read(step->runner, slot->name, out[i], step->program->planned_batch);
    }
    ftso_runner_free(step->runner);
    step->runner = NULL;
    return status;
}

/* Relative L2 distance of `y` from `x`. */
static double distance_of(const float *x, const float *y, size_t count)
{
    double distance = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        distance += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
        norm += (double)x[i] * (double)x[i];
    }
    return norm > 0 ? sqrt(distance / norm) : sqrt(distance);
}

/* What a step whose images are narrow gives beside the same step in fp32. */
static ftso_status print_errors(const bench_options *chosen, ftso_input *input, const subject *what,
                                ftso_compiler *compiler, const ftso_compiler_options *how,
                                const char *label, ftso_pool *pool)
{
    bench_step exact = {0}, narrow = {0};
    bench_options wide = *chosen;
    wide.has_precision = true;
    wide.precision = FTSO_ELEMENT_FP32;
    FTSO_TRY(make_step(&wide, input, what, compiler, how, label, &exact));
    FTSO_TRY(make_step(chosen, input, what, compiler, how, label, &narrow));
    size_t slots = exact.program->slot_count;
    FTSO_ASSERT(slots == narrow.program->slot_count);
    float **x = FTSO_ARRAY(&input->arena, float *, slots),
          **y = FTSO_ARRAY(&input->arena, float *, slots);
    FTSO_TRY(run_and_keep(&input->arena, &exact, pool, x));
    FTSO_TRY(run_and_keep(&input->arena, &narrow, pool, y));
    printf("error    %s beside fp32:", label);
    const char *before = " ";
    for (size_t i = 0; i < slots; i++) {
        const ftso_slot *slot = &exact.program->slots[i];
        FTSO_ASSERT(strcmp(slot->name, narrow.program->slots[i].name) == 0);
        if (!is_judged(slot)) continue;
        printf("%s%s %.1e", before, slot->name, distance_of(x[i], y[i], slot_numbers(slot)));
        before = ", ";
    }
    printf("\n");
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- memory, times */

static int64_t state_bytes(const ftso_program *program)
{
    int64_t total = 0;
    for (size_t i = 0; i < program->state_count; i++) total += program->states[i].size_bytes;
    return total;
}

/*
 * Memory of all steps. Those of a search take turns in one block, on the same states (the weight step has all of them);
 * a network's steps have nothing in common.
 */
static int64_t plan_bytes(const bench_step *steps, size_t count, bool shared, int threads)
{
    int64_t total = 0, most_work = 0, most_state = 0;
    for (size_t s = 0; s < count; s++) {
        int64_t all = ftso_program_bytes(steps[s].program, threads),
                own = state_bytes(steps[s].program);
        if (all - own > most_work) most_work = all - own;
        if (own > most_state) most_state = own;
        total += all;
    }
    return shared ? most_work + most_state : total;
}

/* Memory of this process, now. */
static double resident_bytes(void)
{
    unsigned long long whole = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%llu %llu", &whole, &resident) != 2) resident = 0;
    if (file) fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Says what the steps will take, gives it to them, the largest first, and says what they took. */
static ftso_status take_memory(bench_step *steps, size_t count, ftso_pool *pool,
                               ftso_states *states)
{
    const double mib = 1 << 20;
    int threads = ftso_pool_threads(pool);
    printf("memory   %8.1f MiB planned", (double)plan_bytes(steps, count, states, threads) / mib);
    fflush(stdout);
    double before = resident_bytes();
    for (size_t bound = 0; bound < count; bound++) {
        bench_step *largest = NULL;
        for (size_t s = 0; s < count; s++)
            if (!steps[s].runner && (!largest || ftso_program_bytes(steps[s].program, threads) >
                                                     ftso_program_bytes(largest->program, threads)))
                largest = &steps[s];
        FTSO_TRY(ftso_runner_new(largest->program, pool, states, &largest->runner));
        FTSO_TRY(fill(largest));
    }
    printf(", %.1f MiB taken\n", (resident_bytes() - before) / mib);
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

static double higher(double a, double b)
{
    return a > b ? a : b;
}

/* How near run number `run` of a region came to what the machine can do at most: by arithmetic or by memory, whichever is nearer. */
static double share_of_ceiling(const bench_step *step, size_t launch, int run, double flops_per_s)
{
    const ftso_launch *of = &step->program->launches[launch];
    double memory = step->memory[run] > 0 ? of->bytes / step->memory[run] : 0;
    return higher(of->flops / flops_per_s, memory) / step->seconds[run][launch];
}

static void print_regions(const bench_step *step, int repeat, double flops_per_s)
{
    double all = 0, low = 0, times[MAX_REPEAT], shares[MAX_REPEAT];
    printf("\n%s step, region by region (median of %d; moved: bytes read and written over the "
           "fewest that must be)\n%9s %8s %8s %7s %6s  %s\n",
           step->label, repeat, "ms", "GFLOP/s", "GB/s", "ceiling", "moved", "region");
    for (size_t i = 0; i < step->program->launch_count; i++) {
        const ftso_launch *launch = &step->program->launches[i];
        for (int run = 0; run < repeat; run++) {
            times[run] = step->seconds[run][i];
            shares[run] = share_of_ceiling(step, i, run, flops_per_s);
        }
        double seconds = median(times, repeat), share = median(shares, repeat);
        printf("%9.3f %8.1f %8.1f %6.0f%% %6.2f  %s\n", 1e3 * seconds,
               1e-9 * launch->flops / seconds, 1e-9 * launch->bytes / seconds, 100 * share,
               launch->least_bytes > 0 ? launch->bytes / launch->least_bytes : 1.0, launch->label);
        all += seconds;
        if (share < 0.5) low += seconds;
    }
    printf("%.1f%% of the step is spent in regions below half of their nearer ceiling\n",
           all > 0 ? 100 * low / all : 0.0);
}

static void print_step(bench_step *step, int repeat, double flops_per_s, int threads)
{
    double flops = 0, seconds = median(step->total, repeat);
    for (size_t i = 0; i < step->program->launch_count; i++)
        flops += step->program->launches[i].flops;
    printf("%-8s %8.2f ms (%.2f to %.2f), %zu regions, %.1f GFLOP, %.0f GFLOP/s = %.0f%% of the "
           "ceiling, %.0f MiB\n",
           step->label, 1e3 * seconds, 1e3 * step->total[0], 1e3 * step->total[repeat - 1],
           step->program->launch_count, 1e-9 * flops, 1e-9 * flops / seconds,
           100 * flops / seconds / flops_per_s,
           (double)ftso_program_bytes(step->program, threads) / (1 << 20));
    printf("%-8s %8.1f images/s, batch %lld\n", "", (double)step->program->planned_batch / seconds,
           (long long)step->program->planned_batch);
}

/*
 * Times every step in turn. Where regions are asked for, memory's ceiling is measured between the runs: a virtual machine may be
 * moved meanwhile to processors with another. Of the two beside a run the higher counts, for other work can only lower one.
 */
static void run(bench_step *steps, size_t count, const bench_options *chosen, ftso_pool *pool)
{
    enum { WARM = 2 };
    ftso_clock_kind clock = chosen->clock;
    int threads = ftso_pool_threads(pool);
    double before = 0, after;
    for (int i = -WARM; i < chosen->repeat; i++)
        for (size_t s = 0; s < count; s++) {
            double start = ftso_clock_read(clock, threads);
            ftso_runner_run(steps[s].runner, steps[s].program->planned_batch,
                            i < 0 ? NULL : steps[s].seconds[i]);
            if (i >= 0) steps[s].total[i] = ftso_clock_read(clock, threads) - start;
            if (!chosen->regions || i < -1) continue;
            after = ftso_ceilings_memory(pool, clock);
            if (i >= 0) steps[s].memory[i] = higher(before, after);
            before = after;
        }
}

/* What the shares are of: the highest arithmetic, and all of memory's, the lowest and the highest. */
static void print_ceilings(const bench_step *steps, size_t count, const bench_options *chosen,
                           ftso_ceilings before, ftso_ceilings after)
{
    double highest = higher(before.bytes_per_s, after.bytes_per_s),
           lowest = before.bytes_per_s + after.bytes_per_s - highest;
    for (int i = 0; chosen->regions && i < chosen->repeat; i++)
        for (size_t s = 0; s < count; s++) {
            double beside = steps[s].memory[i];
            highest = i + s ? higher(highest, beside) : beside;
            lowest = i + s && lowest < beside ? lowest : beside;
        }
    printf("ceilings  %.0f GFLOP/s, %.1f to %.1f GB/s, measured beside the runs: shares are of "
           "these\n",
           1e-9 * higher(before.flops_per_s, after.flops_per_s), 1e-9 * lowest, 1e-9 * highest);
}

static ftso_status bench(bench_options *chosen, ftso_input *input, const subject *what)
{
    const char *const *own = labels[chosen->network];
    bench_step *steps = FTSO_ARRAY(&input->arena, bench_step, FTSO_COUNT(labels[0]));
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
    /* the steps of a search work on the same states; a network's inference has fewer weights than its training */
    if (status.code == FTSO_OK && what->search) status = ftso_states_new(&states);
    if (states) ftso_states_share_work(states);
    if (status.code == FTSO_OK) status = ftso_compiler_new(&how, &compiler);
    for (size_t i = 0; i < FTSO_COUNT(labels[0]) && status.code == FTSO_OK; i++) {
        if (chosen->step && strcmp(chosen->step, own[i]) != 0) continue;
        status = make_step(chosen, input, what, compiler, &how, own[i], &steps[count]);
        if (steps[count].program) count++;
    }
    if (status.code != FTSO_OK || count == 0) goto out;

    ftso_ceilings before = ftso_ceilings_measure(pool, &how.target, chosen->clock), after;
    printf("%s, %d threads, %s: ceilings %.0f GFLOP/s, %.1f GB/s from memory\n",
           what->search ? what->search->name : what->genotype->name, ftso_pool_threads(pool),
           how.target.cpu, 1e-9 * before.flops_per_s, 1e-9 * before.bytes_per_s);
    status = take_memory(steps, count, pool, states);
    if (status.code != FTSO_OK) goto out;
    run(steps, count, chosen, pool);
    after = ftso_ceilings_measure(pool, &how.target, chosen->clock);
    print_ceilings(steps, count, chosen, before, after);
    double flops_per_s = higher(before.flops_per_s, after.flops_per_s);
    double whole[MAX_REPEAT] = {0};
    for (int i = 0; i < chosen->repeat; i++)
        for (size_t s = 0; s < count; s++) whole[i] += steps[s].total[i];
    for (size_t s = 0; s < count; s++)
        print_step(&steps[s], chosen->repeat, flops_per_s, ftso_pool_threads(pool));
    if (count > 1 && what->search)
        printf("iteration %7.1f ms (median of %d), batch %lld\n",
               1e3 * median(whole, chosen->repeat), chosen->repeat,
               (long long)steps[0].program->planned_batch);
    for (size_t s = 0; s < count; s++) {
        ftso_runner_free(steps[s].runner);
        steps[s].runner = NULL;
    }
    for (size_t s = 0; s < count && status.code == FTSO_OK; s++)
        if (steps[s].storage != FTSO_ELEMENT_FP32)
            status = print_errors(chosen, input, what, compiler, &how, steps[s].label, pool);
    for (size_t s = 0; s < count && chosen->regions; s++)
        print_regions(&steps[s], chosen->repeat, flops_per_s);
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
    ftso_input_stages(&input, &chosen.road.device.pipeline);
    if (ftso_stage_is_early(chosen.road.device.pipeline.stop_after)) goto out;
    subject what = {0};
    code = ftso_report(chosen.network ? ftso_pick_genotype(input.unit, chosen.name, &what.genotype)
                                      : ftso_pick_search(input.unit, chosen.name, &what.search));
    if (code != FTSO_OK) goto out;
    if (what.genotype) what.train = recipe_for(input.unit, what.genotype);
    code = ftso_report(bench(&chosen, &input, &what));
    if (input.diag.error_count) ftso_input_print(&input);
out:
    ftso_input_deinit(&input);
    return code;
}
