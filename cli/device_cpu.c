/*
 * The CPU device: every step goes down the road to compiled code, and all steps share one memory of states.
 *
 * In: graphs. Out: steps. Holds: one compiler for the device's life, so that steps share machine code; programs and runners
 * die with their step.
 */
#include "cli/cli.h"
#include "kernels/kernels.h"

#include <string.h>

typedef struct cpu_device {
    ftso_arena arena;
    ftso_pipeline pipeline;
    ftso_compiler_options options;
    ftso_compiler *compiler;
    ftso_pool *pool;
    ftso_states *states;
    ftso_step *steps;
} cpu_device;

struct ftso_step {
    ftso_arena arena;
    ftso_program *program;
    ftso_runner *runner;
    ftso_step *next;
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
    memset(step, 0, sizeof(*step));
    ftso_arena_init(&step->arena);
    step->next = device->steps;
    device->steps = step;
    ftso_status status = ftso_pipeline_run(&device->pipeline, &step->arena, device->compiler,
                                           &device->options, label, graph, &step->program);
    if (status.code == FTSO_OK && step->program)
        status = ftso_runner_new(step->program, device->pool, device->states, &step->runner);
    if (status.code != FTSO_OK ||
        !step->program) { /* stopped after a stage: there is nothing to run */
        unload(device, step);
        return ftso_annotate(status, "step '%s'", label);
    }
    *out_step = step;
    return FTSO_STATUS_OK;
}

static ftso_status bind(void *self, ftso_step *step, const char *input, const float *data,
                        int64_t batch)
{
    (void)self;
    if (!ftso_runner_slot(step->runner, input))
        return ftso_error(FTSO_ERROR_INTERNAL, "the program has no input \"%s\"", input);
    ftso_runner_write(step->runner, input, data, batch);
    return FTSO_STATUS_OK;
}

static ftso_status run(void *self, ftso_step *step, int64_t batch)
{
    (void)self;
    if (batch < 1 || batch > step->program->planned_batch)
        return ftso_error(FTSO_ERROR_INTERNAL, "batch %lld of a program planned for 1 to %lld",
                          (long long)batch, (long long)step->program->planned_batch);
    ftso_runner_run(step->runner, batch, NULL);
    return FTSO_STATUS_OK;
}

static ftso_status read(void *self, ftso_step *step, const char *output, float *data, int64_t count)
{
    (void)self;
    const ftso_slot *slot = ftso_runner_slot(step->runner, output);
    if (!slot) return ftso_error(FTSO_ERROR_INTERNAL, "the program has no output \"%s\"", output);
    int64_t per_image = 1, batch = 1;
    for (int d = 0; d < slot->rank; d++)
        if (d > 0 || !slot->batched) per_image *= slot->dim[d];
    if (slot->batched) batch = count / per_image;
    if (batch < 1 || batch * per_image != count)
        return ftso_error(FTSO_ERROR_INTERNAL,
                          "output \"%s\" has %lld numbers an image, not %lld in all", output,
                          (long long)per_image, (long long)count);
    ftso_runner_read(step->runner, output, data, batch);
    return FTSO_STATUS_OK;
}

/* The state's memory; some loaded step must have it. */
static ftso_status find_state(cpu_device *device, const char *name, int64_t count, float **out_data)
{
    for (const ftso_step *step = device->steps; step; step = step->next)
        for (size_t i = 0; i < step->program->state_count; i++) {
            const ftso_program_state *state = &step->program->states[i];
            if (strcmp(state->name, name) != 0) continue;
            if (count * (int64_t)sizeof(float) > state->size_bytes)
                return ftso_error(FTSO_ERROR_INTERNAL, "state \"%s\" has no %lld numbers", name,
                                  (long long)count);
            return ftso_states_get(device->states, name, state->size_bytes, out_data);
        }
    return ftso_error(FTSO_ERROR_INTERNAL, "no step has a state \"%s\"", name);
}

static ftso_status write_state(void *self, const char *name, const float *data, int64_t count)
{
    float *memory;
    FTSO_TRY(find_state(self, name, count, &memory));
    memcpy(memory, data, (size_t)count * sizeof(float));
    return FTSO_STATUS_OK;
}

static ftso_status read_state(void *self, const char *name, float *data, int64_t count)
{
    float *memory;
    FTSO_TRY(find_state(self, name, count, &memory));
    memcpy(data, memory, (size_t)count * sizeof(float));
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

static ftso_status open_parts(cpu_device *device, const ftso_device_options *options)
{
    device->pipeline = options->pipeline;
    device->options = (ftso_compiler_options){
        .threads = options->threads, .cache_dir = options->cache_dir, .kernels = ftso_kernels()};
    FTSO_TRY(ftso_target_named(&device->arena, options->cpu ? options->cpu : "native",
                               &device->options.target));
    ftso_text why;
    ftso_text_init(&why);
    ftso_status status = FTSO_STATUS_OK;
    if (!ftso_target_runs_here(&device->options.target, &why))
        status = ftso_error(FTSO_ERROR_DEVICE, "%s", ftso_text_get(&why));
    ftso_text_deinit(&why);
    if (status.code != FTSO_OK) return status;
    FTSO_TRY(ftso_pool_new(options->threads, true, &device->pool));
    FTSO_TRY(ftso_states_new(&device->states));
    return ftso_compiler_new(&device->options, &device->compiler);
}

ftso_status ftso_device_open_cpu(const ftso_device_options *options, ftso_device *out_device)
{
    *out_device = (ftso_device){.name = "cpu"};
    cpu_device *device = ftso_mem_alloc(sizeof(*device));
    if (!device) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a device");
    memset(device, 0, sizeof(*device));
    ftso_arena_init(&device->arena);
    ftso_status status = open_parts(device, options);
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
