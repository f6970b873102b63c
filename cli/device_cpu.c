/*
 * The CPU device: graphs take the road to machine code and run on the thread pool.
 *
 * In: graphs. Out: steps that can be bound, run and read, as runtime/device.c serves them.
 */
#include "cli/cli.h"

#include "kernels/kernels.h"

#include <string.h>

typedef struct cpu_device {
    ftso_programs programs; /* first: see ftso_programs_serve */
    ftso_arena arena;       /* the target's words */
    ftso_pipeline pipeline;
    ftso_compiler_options compiling;
    ftso_compiler *compiler;
} cpu_device;

/* *out_step is NULL where the road was to be left on the way. */
static ftso_status load(void *self, const char *label, const ftso_graph *graph,
                        ftso_step **out_step)
{
    cpu_device *device = self;
    *out_step = NULL;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_program *program = NULL;
    ftso_status status = ftso_pipeline_run(&device->pipeline, &arena, device->compiler,
                                           &device->compiling, label, graph, &program);
    if (status.code == FTSO_OK && program)
        status = ftso_programs_add(&device->programs, &arena, program, out_step);
    if (!*out_step) ftso_arena_deinit(&arena);
    return status;
}

static void close_device(void *self)
{
    cpu_device *device = self;
    ftso_programs_deinit(&device->programs);
    ftso_compiler_free(device->compiler);
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
    FTSO_TRY(ftso_programs_init(&device->programs, options->threads));
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
    *out_device = (ftso_device){.self = device, .name = "cpu", .load = load, .close = close_device};
    ftso_programs_serve(out_device);
    return FTSO_STATUS_OK;
}
