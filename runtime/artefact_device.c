/*
 * A trainer's programs as a device, and its self-test.
 *
 * In: programs that were compiled ahead of time. Out: steps for the training loop, as a compiling device would give them. Holds:
 * what judges the code was computed by the reference interpreter when the artefact was built.
 */
#include "runtime/artefact.h"

#include <math.h>
#include <string.h>

typedef struct ready_device {
    ftso_programs programs; /* first: see ftso_programs_serve */
    const ftso_artefact_code *code;
} ready_device;

/* The code is there: nothing is compiled, and the graph is not needed. */
static ftso_status load(void *self, const char *label, const struct ftso_graph *graph,
                        ftso_step **out_step)
{
    ready_device *device = self;
    (void)graph;
    const ftso_program *program = NULL;
    if (strcmp(label, "train") == 0) program = device->code->step;
    if (strcmp(label, "judge") == 0) program = device->code->program;
    *out_step = NULL;
    if (!program)
        return ftso_error(FTSO_ERROR_INTERNAL, "the artefact has no program \"%s\"", label);
    ftso_arena none;
    ftso_arena_init(&none);
    return ftso_programs_add(&device->programs, &none, program, out_step);
}

static void close_device(void *self)
{
    ready_device *device = self;
    ftso_programs_deinit(&device->programs);
    ftso_mem_free(device);
}

ftso_status ftso_artefact_device_open(const ftso_artefact_code *code, int threads,
                                      ftso_device *out_device)
{
    *out_device = (ftso_device){.name = "cpu"};
    ready_device *device = ftso_mem_alloc(sizeof(*device));
    if (!device) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a device");
    *device = (ready_device){.code = code};
    ftso_status status = ftso_programs_init(&device->programs, threads);
    if (status.code != FTSO_OK) {
        close_device(device);
        return status;
    }
    *out_device = (ftso_device){.self = device, .name = "cpu", .load = load, .close = close_device};
    ftso_programs_serve(out_device);
    return FTSO_STATUS_OK;
}

ftso_artefact_state ftso_artefact_state_find(const ftso_artefact *artefact, const char *name)
{
    for (size_t i = 0; i < artefact->state_count; i++)
        if (strcmp(artefact->states[i].name, name) == 0) return artefact->states[i];
    return (ftso_artefact_state){.name = name};
}

/* ---------------------------------------------------------------- one step, compared */

/* A step under test: the device, the step, the rows that are still to be compared. */
typedef struct trial {
    const ftso_artefact *artefact;
    const ftso_device *device;
    ftso_step *step;
    ftso_arena *arena;
    const ftso_step_row *row, *end;
    ftso_step_test *result;
} trial;

/* The next row. */
static void compare(trial *t, const char *state, const char *tensor, const double *got, int count)
{
    double sum = 0;
    FTSO_ASSERT(t->row < t->end);
    for (int i = 0; i < count; i++)
        sum += (got[i] - t->row->numbers[i]) * (got[i] - t->row->numbers[i]);
    double part = sum > 0 || isnan(sum) ? sqrt(sum / count) / t->row->allowed : 0;
    if (!(part <= t->result->worst))
        *t->result = (ftso_step_test){.state = state, .tensor = tensor, .worst = part};
    t->row++;
}

/* A state's numbers before the step: those that the artefact carries, or `start` everywhere. */
static const float *before(const trial *t, const char *name, double start, int64_t count)
{
    const float *carried = ftso_artefact_state_find(t->artefact, name).data;
    if (carried) return carried;
    float *numbers = FTSO_ARRAY(t->arena, float, (size_t)count);
    for (int64_t i = 0; i < count; i++) numbers[i] = (float)start;
    return numbers;
}

/* What the step changed of a state, against what it should have. */
static ftso_status compare_state(trial *t, const char *name, double start,
                                 const ftso_parameter *table, size_t count)
{
    int64_t total = ftso_parameters_total(table, count);
    const float *old = before(t, name, start, total);
    float *new = FTSO_ARRAY(t->arena, float, (size_t)total);
    double *change = FTSO_ARRAY(t->arena, double, (size_t)total);
    double *sketch = FTSO_ARRAY(t->arena, double, count *FTSO_SKETCHES);
    FTSO_TRY(t->device->read_state(t->device->self, name, new, total));
    for (int64_t i = 0; i < total; i++) change[i] = (double)new[i] - (double)old[i];
    ftso_parameters_sketch(table, count, change, sketch);
    for (size_t k = 0; k < count; k++)
        compare(t, name, table[k].name, sketch + k * FTSO_SKETCHES, FTSO_SKETCHES);
    return FTSO_STATUS_OK;
}

static ftso_status write_state(const trial *t, const char *name, double start, int64_t count)
{
    return t->device->write_state(t->device->self, name, before(t, name, start, count), count);
}

static ftso_status bind(const trial *t, const char *name, const float *data)
{
    return t->device->bind(t->device->self, t->step, name, data, t->artefact->test_count);
}

static ftso_status bind_all(const trial *t)
{
    const ftso_artefact *a = t->artefact;
    const ftso_recipe *recipe = a->trainer->recipe;
    const float rate = (float)a->trainer->test_rate, one = 1;
    int64_t kept = a->test_count * recipe->drop_count;
    float *labels = FTSO_ARRAY(t->arena, float, (size_t)a->test_count);
    float *mask = FTSO_ARRAY(t->arena, float, (size_t)kept + 1);
    for (int64_t i = 0; i < a->test_count; i++) labels[i] = (float)(i % recipe->classes);
    for (int64_t i = 0; i < kept; i++) mask[i] = 1;
    FTSO_TRY(bind(t, "image", a->test_images));
    FTSO_TRY(bind(t, "label", labels));
    if (kept) FTSO_TRY(bind(t, "drop_path", mask));
    FTSO_TRY(bind(t, "weights.lr", &rate));
    FTSO_TRY(bind(t, "weights.adam1", &one));
    return bind(t, "weights.adam2", &one);
}

static ftso_status try_step(trial *t)
{
    const ftso_trainer *trainer = t->artefact->trainer;
    const ftso_device *device = t->device;
    const ftso_artefact_state weights = ftso_artefact_state_find(t->artefact, "weights"),
                              running = ftso_artefact_state_find(t->artefact, "running");
    int64_t total = ftso_parameters_total(weights.table, weights.table_count);
    FTSO_TRY(write_state(t, "weights", 0, total));
    for (size_t i = 0; i < trainer->moment_count; i++)
        FTSO_TRY(write_state(t, trainer->moments[i], trainer->moment_starts[i], total));
    if (running.data)
        FTSO_TRY(write_state(t, "running", 0,
                             ftso_parameters_total(running.table, running.table_count)));
    FTSO_TRY(bind_all(t));
    FTSO_TRY(device->run(device->self, t->step, t->artefact->test_count));
    float loss;
    FTSO_TRY(device->read(device->self, t->step, "loss", &loss, 1));
    const double wide = (double)loss;
    compare(t, "loss", "", &wide, 1);
    FTSO_TRY(compare_state(t, "weights", 0, weights.table, weights.table_count));
    for (size_t i = 0; i < trainer->moment_count; i++)
        FTSO_TRY(compare_state(t, trainer->moments[i], trainer->moment_starts[i], weights.table,
                               weights.table_count));
    if (running.data) FTSO_TRY(compare_state(t, "running", 0, running.table, running.table_count));
    FTSO_ASSERT(t->row == t->end);
    t->result->passed = t->result->worst <= 1; /* false for what is not a number */
    return FTSO_STATUS_OK;
}

ftso_status ftso_trainer_self_test(const ftso_artefact *artefact, const ftso_artefact_code *code,
                                   int threads, ftso_step_test *out)
{
    const ftso_trainer *trainer = artefact->trainer;
    ftso_arena arena;
    ftso_device device;
    *out = (ftso_step_test){.state = "", .tensor = ""};
    FTSO_TRY(ftso_artefact_device_open(code, threads, &device));
    ftso_arena_init(&arena);
    trial t = {.artefact = artefact,
               .device = &device,
               .arena = &arena,
               .row = trainer->test_step,
               .end = trainer->test_step + trainer->test_step_count,
               .result = out};
    ftso_status status = device.load(device.self, "train", NULL, &t.step);
    if (status.code == FTSO_OK) status = try_step(&t);
    ftso_arena_deinit(&arena);
    device.close(device.self);
    return status;
}
