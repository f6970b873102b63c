/*
 * The CPU device: graphs take the road to machine code and run on the thread pool.
 *
 * In: graphs. Out: steps that can be bound, run and read. Holds: all steps share their states and one block of working
 * memory; memory is taken when the first step is used, when the largest is known, not when a step is loaded.
 */
#include "cli/cli.h"

#include "kernels/kernels.h"

#include <string.h>

typedef struct cpu_device cpu_device;

struct ftso_step {
    ftso_arena arena; /* of the program */
    cpu_device *device;
    ftso_program *program;
    ftso_runner *runner; /* NULL until the step is used */
    ftso_step *next;
};

struct cpu_device {
    ftso_arena arena; /* the target's words */
    ftso_pipeline pipeline;
    ftso_compiler_options compiling;
    ftso_compiler *compiler;
    ftso_pool *pool;
    ftso_states *states;
    ftso_step *steps;
};

static void unload(void *self, ftso_step *step)
{
    cpu_device *device = self;
    ftso_step **link = &device->steps;
    while (*link && *link != step) link = &(*link)->next;
    if (*link) *link = step->next;
    ftso_runner_free(step->runner);
    ftso_arena_deinit(&step->arena);
    ftso_mem_free(step);
}

static ftso_status load(void *self, const char *label, const ftso_graph *graph,
                        ftso_step **out_step)
{
    cpu_device *device = self;
    *out_step = NULL;
    ftso_step *step = ftso_mem_alloc(sizeof(*step));
    if (!step) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a step");
    *step = (ftso_step){.device = device, .next = device->steps};
    ftso_arena_init(&step->arena);
    device->steps = step;
    ftso_status status = ftso_pipeline_run(&device->pipeline, &step->arena, device->compiler,
                                           &device->compiling, label, graph, &step->program);
    if (status.code != FTSO_OK || !step->program) {
        unload(device, step); /* failed, or stopped on the way as asked */
        return status;
    }
    *out_step = step;
    return FTSO_STATUS_OK;
}

static int64_t work_bytes(const ftso_step *step)
{
    return ftso_program_bytes(step->program, ftso_pool_threads(step->device->pool));
}

/* Gives memory to every step that has none, the largest first, so that the shared block is taken once. */
static ftso_status start(ftso_step *wanted)
{
    cpu_device *device = wanted->device;
    while (!wanted->runner) {
        ftso_step *largest = NULL;
        for (ftso_step *s = device->steps; s; s = s->next)
            if (!s->runner && (!largest || work_bytes(s) > work_bytes(largest))) largest = s;
        FTSO_TRY(ftso_runner_new(largest->program, device->pool, device->states, &largest->runner));
    }
    return FTSO_STATUS_OK;
}

static ftso_status missing(const char *what, const char *name)
{
    return ftso_error(FTSO_ERROR_INTERNAL, "the program has no %s \"%s\"", what, name);
}

static ftso_status check_batch(const ftso_step *step, int64_t batch)
{
    if (batch >= 1 && batch <= step->program->planned_batch) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_INTERNAL, "batch %lld of a program planned for 1 to %lld",
                      (long long)batch, (long long)step->program->planned_batch);
}

static ftso_status bind(void *self, ftso_step *step, const char *input, const float *data,
                        int64_t batch)
{
    (void)self;
    FTSO_TRY(start(step));
    const ftso_slot *slot = ftso_runner_slot(step->runner, input);
    /* An input that no output depends on is gone from the program; its content does not matter. */
    if (!slot) return FTSO_STATUS_OK;
    if (!slot->is_input) return missing("input", input);
    if (slot->batched) FTSO_TRY(check_batch(step, batch));
    ftso_runner_write(step->runner, input, data, batch);
    return FTSO_STATUS_OK;
}

static ftso_status run(void *self, ftso_step *step, int64_t batch)
{
    (void)self;
    FTSO_TRY(start(step));
    FTSO_TRY(check_batch(step, batch));
    ftso_runner_run(step->runner, batch, NULL);
    return FTSO_STATUS_OK;
}

static ftso_status read(void *self, ftso_step *step, const char *output, float *data, int64_t count)
{
    (void)self;
    FTSO_TRY(start(step));
    const ftso_slot *slot = ftso_runner_slot(step->runner, output);
    if (!slot || !slot->is_output) return missing("output", output);
    int64_t each = 1;
    for (int d = slot->batched; d < slot->rank; d++) each *= slot->dim[d];
    int64_t batch = slot->batched ? count / each : 1;
    if (each * batch != count)
        return ftso_error(FTSO_ERROR_INTERNAL, "output \"%s\" has %lld numbers%s, not %lld", output,
                          (long long)each, slot->batched ? " per image" : "", (long long)count);
    if (slot->batched) FTSO_TRY(check_batch(step, batch));
    ftso_runner_read(step->runner, output, data, batch);
    return FTSO_STATUS_OK;
}

/* The state's slot in some step; its memory is the same in all. */
static ftso_status find_state(cpu_device *device, const char *state, int64_t count,
                              ftso_step **out_step)
{
    for (ftso_step *step = device->steps; step; step = step->next) {
        FTSO_TRY(start(step));
        const ftso_slot *slot = ftso_runner_slot(step->runner, state);
        if (!slot || !slot->is_state) continue;
        int64_t held = 1;
        for (int d = 0; d < slot->rank; d++) held *= slot->dim[d];
        if (held != count)
            return ftso_error(FTSO_ERROR_INTERNAL, "state \"%s\" has %lld numbers, not %lld", state,
                              (long long)held, (long long)count);
        *out_step = step;
        return FTSO_STATUS_OK;
    }
    return missing("state", state);
}

static ftso_status write_state(void *self, const char *state, const float *data, int64_t count)
{
    ftso_step *step = NULL;
    FTSO_TRY(find_state(self, state, count, &step));
    ftso_runner_write(step->runner, state, data, 1);
    return FTSO_STATUS_OK;
}

static ftso_status read_state(void *self, const char *state, float *data, int64_t count)
{
    ftso_step *step = NULL;
    FTSO_TRY(find_state(self, state, count, &step));
    ftso_runner_read(step->runner, state, data, 1);
    return FTSO_STATUS_OK;
}

static ftso_pool *pool(void *self)
{
    return ((cpu_device *)self)->pool;
}

static void close_device(void *self)
{
    cpu_device *device = self;
    while (device->steps) unload(device, device->steps);
    ftso_compiler_free(device->compiler);
    ftso_states_free(device->states);
    ftso_pool_free(device->pool);
    ftso_arena_deinit(&device->arena);
    ftso_mem_free(device);
}

ftso_status ftso_device_target(ftso_arena *arena, const ftso_device_options *options,
                               ftso_target *out_target)
{
    if (!options->cpu) return ftso_target_host(arena, out_target);
    FTSO_TRY(ftso_target_named(arena, options->cpu, out_target));
    ftso_text why;
    ftso_text_init(&why);
    bool runs = ftso_target_runs_here(out_target, &why);
    ftso_status refused = ftso_error(FTSO_ERROR_DEVICE, "this machine cannot run code for %s: %s",
                                     options->cpu, ftso_text_get(&why));
    ftso_text_deinit(&why);
    return runs || options->pipeline.stop_after ? FTSO_STATUS_OK : refused;
}

static ftso_status fill(cpu_device *device, const ftso_device_options *options)
{
    device->pipeline = options->pipeline;
    device->compiling.threads = options->threads;
    device->compiling.cache_dir = options->cache_dir;
    device->compiling.kernels = ftso_kernels();
    FTSO_TRY(ftso_device_target(&device->arena, options, &device->compiling.target));
    FTSO_TRY(ftso_pool_new(options->threads, true, &device->pool));
    FTSO_TRY(ftso_states_new(&device->states));
    ftso_states_share_work(device->states);
    return ftso_compiler_new(&device->compiling, &device->compiler);
}

ftso_status ftso_device_open_cpu(const ftso_device_options *options, ftso_device *out_device)
{
    *out_device = (ftso_device){.name = "cpu"};
    cpu_device *device = ftso_mem_alloc(sizeof(*device));
    if (!device) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a device");
    memset(device, 0, sizeof(*device));
    ftso_arena_init(&device->arena);
    ftso_status status = fill(device, options);
    if (status.code != FTSO_OK) {
        close_device(device);
        return status;
    }
    *out_device = (ftso_device){
        .self = device,
        .name = "cpu",
        .load = load,
        .bind = bind,
        .run = run,
        .read = read,
        .write_state = write_state,
        .read_state = read_state,
        .pool = pool,
        .unload = unload,
        .close = close_device,
    };
    return FTSO_STATUS_OK;
}
