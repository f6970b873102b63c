/*
 * The reference device: the interpreter in double behind the same interface. Slow; what other devices are judged by.
 *
 * In: graphs. Out: steps. Holds: states are kept in double between steps and shared by name; only what is handed in and out
 * is float32.
 */
#include "cli/cli.h"

#include <string.h>

typedef struct reference_state {
    const char *name;
    double *data;
    int64_t count;
} reference_state;

typedef struct reference_device {
    ftso_arena arena; /* steps and states */
    ftso_pipeline pipeline;
    ftso_pool *pool;
    reference_state *states;
    size_t state_count, state_capacity;
    ftso_step *steps;
} reference_device;

struct ftso_step {
    const ftso_graph *graph;
    ftso_interp *interp;
    double *numbers; /* room for the largest leaf */
    ftso_step *next;
};

static bool is_state(const ftso_node *node)
{
    return ftso_node_is(node, "state");
}

static const char *name_of(const ftso_node *node)
{
    return node->attrs[ftso_op_attr(node->op, "name")].name;
}

/* The state of that name, made (zero) when it is new. */
static reference_state *state_of(reference_device *device, const char *name, int64_t count)
{
    for (size_t i = 0; i < device->state_count; i++)
        if (strcmp(device->states[i].name, name) == 0) return &device->states[i];
    reference_state fresh = {ftso_strdup(&device->arena, name),
                             FTSO_ARRAY(&device->arena, double, (size_t)count), count};
    FTSO_PUSH(&device->arena, device->states, device->state_count, device->state_capacity, fresh);
    return &device->states[device->state_count - 1];
}

static ftso_status load(void *self, const char *label, const ftso_graph *graph,
                        ftso_step **out_step)
{
    reference_device *device = self;
    (void)label;
    *out_step = NULL;
    FTSO_TRY(ftso_graph_verify(graph));
    ftso_step *step = FTSO_NEW(&device->arena, ftso_step);
    ftso_reference reference;
    FTSO_TRY(ftso_pipeline_reference(&device->pipeline, &device->arena, graph, &reference));
    FTSO_TRY(ftso_reference_interp(&reference, &step->interp));
    graph = step->graph = reference.graph;
    step->next = device->steps;
    device->steps = step;
    int64_t room = 1;
    for (size_t i = 0; i < graph->node_count; i++) {
        const ftso_node *node = &graph->nodes[i];
        int64_t count = ftso_shape_count(node->shape);
        if (is_state(node) && state_of(device, name_of(node), count)->count != count)
            return ftso_error(FTSO_ERROR_INTERNAL, "state \"%s\" differs in size between steps",
                              name_of(node));
        if (node->op->op_class == FTSO_CLASS_LEAF && count > room) room = count;
    }
    step->numbers = FTSO_ARRAY(&device->arena, double, (size_t)room);
    *out_step = step;
    return FTSO_STATUS_OK;
}

static ftso_status bind(void *self, ftso_step *step, const char *input, const float *data,
                        int64_t batch)
{
    (void)self;
    ftso_value leaf = ftso_graph_find(step->graph, input);
    if (leaf == FTSO_NO_VALUE)
        return ftso_error(FTSO_ERROR_INTERNAL, "the graph has no input \"%s\"", input);
    ftso_shape shape = ftso_graph_shape(step->graph, leaf);
    int64_t count = ftso_shape_count(shape);
    if (shape.batched) {
        if (batch < 1 || batch > shape.dim[0])
            return ftso_error(FTSO_ERROR_INTERNAL, "batch %lld of a graph planned for 1 to %lld",
                              (long long)batch, (long long)shape.dim[0]);
        count = count / shape.dim[0] * batch;
    }
    for (int64_t i = 0; i < count; i++) step->numbers[i] = (double)data[i];
    return ftso_interp_bind(step->interp, leaf, step->numbers, (size_t)count);
}

/* States go in before the run and come back after it, in double. */
static ftso_status run(void *self, ftso_step *step, int64_t batch)
{
    reference_device *device = self;
    const ftso_graph *graph = step->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        if (!is_state(&graph->nodes[i])) continue;
        int64_t count = ftso_shape_count(graph->nodes[i].shape);
        const reference_state *state = state_of(device, name_of(&graph->nodes[i]), count);
        FTSO_TRY(ftso_interp_bind(step->interp, (ftso_value)i, state->data, (size_t)count));
    }
    FTSO_TRY(ftso_interp_run(step->interp, batch));
    for (size_t i = 0; i < graph->output_count; i++) {
        ftso_value leaf = graph->outputs[i].state;
        if (leaf == FTSO_NO_VALUE) continue;
        int64_t count = ftso_shape_count(graph->nodes[leaf].shape);
        reference_state *state = state_of(device, name_of(&graph->nodes[leaf]), count);
        memcpy(state->data, ftso_interp_state(step->interp, leaf)->data,
               sizeof(double) * (size_t)count);
    }
    return FTSO_STATUS_OK;
}

static ftso_status read(void *self, ftso_step *step, const char *output, float *data, int64_t count)
{
    (void)self;
    for (size_t i = 0; i < step->graph->output_count; i++) {
        if (strcmp(step->graph->outputs[i].name, output) != 0) continue;
        const ftso_tensor *tensor = ftso_interp_get(step->interp, step->graph->outputs[i].value);
        if (ftso_shape_count(tensor->shape) != count)
            return ftso_error(FTSO_ERROR_INTERNAL, "output \"%s\" has %lld numbers, not %lld",
                              output, (long long)ftso_shape_count(tensor->shape), (long long)count);
        for (int64_t k = 0; k < count; k++) data[k] = (float)tensor->data[k];
        return FTSO_STATUS_OK;
    }
    return ftso_error(FTSO_ERROR_INTERNAL, "the graph has no output \"%s\"", output);
}

static ftso_status find_state(reference_device *device, const char *name, int64_t count,
                              reference_state **out_state)
{
    for (size_t i = 0; i < device->state_count; i++) {
        reference_state *state = &device->states[i];
        if (strcmp(state->name, name) != 0) continue;
        if (state->count != count)
            return ftso_error(FTSO_ERROR_INTERNAL, "state \"%s\" has %lld numbers, not %lld", name,
                              (long long)state->count, (long long)count);
        *out_state = state;
        return FTSO_STATUS_OK;
    }
    return ftso_error(FTSO_ERROR_INTERNAL, "no step has a state \"%s\"", name);
}

static ftso_status write_state(void *self, const char *name, const float *data, int64_t count)
{
    reference_state *state = NULL;
    FTSO_TRY(find_state(self, name, count, &state));
    for (int64_t i = 0; i < count; i++) state->data[i] = (double)data[i];
    return FTSO_STATUS_OK;
}

static ftso_status read_state(void *self, const char *name, float *data, int64_t count)
{
    reference_state *state = NULL;
    FTSO_TRY(find_state(self, name, count, &state));
    for (int64_t i = 0; i < count; i++) data[i] = (float)state->data[i];
    return FTSO_STATUS_OK;
}

static ftso_pool *pool(void *self)
{
    return ((reference_device *)self)->pool;
}

static void unload(void *self, ftso_step *step)
{
    reference_device *device = self;
    ftso_step **link = &device->steps;
    while (*link && *link != step) link = &(*link)->next;
    if (*link) *link = step->next;
    ftso_interp_free(step->interp);
    step->interp = NULL;
}

static void close_device(void *self)
{
    reference_device *device = self;
    while (device->steps) unload(device, device->steps);
    ftso_pool_free(device->pool);
    ftso_arena_deinit(&device->arena);
    ftso_mem_free(device);
}

ftso_status ftso_device_open_reference(const ftso_device_options *options, ftso_device *out_device)
{
    *out_device = (ftso_device){.name = "reference"};
    reference_device *device = ftso_mem_alloc(sizeof(*device));
    if (!device) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a device");
    memset(device, 0, sizeof(*device));
    ftso_arena_init(&device->arena);
    device->pipeline = options->pipeline;
    ftso_status status = ftso_pool_new(options->threads, true, &device->pool);
    if (status.code != FTSO_OK) {
        close_device(device);
        return status;
    }
    *out_device = (ftso_device){
        .self = device,
        .name = "reference",
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
