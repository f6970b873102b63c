/*
 * Programs as the steps of a device: bound to memory, run and read by the names of their slots.
 *
 * In: programs. Out: the functions of an ftso_device but load and close. Holds: all steps share their states and one block
 * of working memory; memory is taken when the first step is used, when the largest is known, not when a step is added.
 */
#include "runtime.h"

#include <string.h>

struct ftso_step {
    ftso_arena arena; /* of the program */
    ftso_programs *programs;
    const ftso_program *program;
    ftso_runner *runner; /* NULL until the step is used */
    ftso_step *next;
};

static void unload(void *self, ftso_step *step)
{
    ftso_programs *programs = self;
    ftso_step **link = &programs->steps;
    while (*link && *link != step) link = &(*link)->next;
    if (*link) *link = step->next;
    ftso_runner_free(step->runner);
    ftso_arena_deinit(&step->arena);
    ftso_mem_free(step);
}

static int64_t work_bytes(const ftso_step *step)
{
    return ftso_program_bytes(step->program, ftso_pool_threads(step->programs->pool));
}

/* Gives memory to every step that has none, the largest first, so that the shared block is taken once. */
static ftso_status start(ftso_step *wanted)
{
    ftso_programs *programs = wanted->programs;
    while (!wanted->runner) {
        ftso_step *largest = NULL;
        for (ftso_step *s = programs->steps; s; s = s->next)
            if (!s->runner && (!largest || work_bytes(s) > work_bytes(largest))) largest = s;
        FTSO_TRY(
            ftso_runner_new(largest->program, programs->pool, programs->states, &largest->runner));
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
static ftso_status find_state(ftso_programs *programs, const char *state, int64_t count,
                              ftso_step **out_step)
{
    for (ftso_step *step = programs->steps; step; step = step->next) {
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
    return ((ftso_programs *)self)->pool;
}

/* The block that the steps take turns in is as large as the largest wants it; every state counts once. */
static int64_t bytes(void *self)
{
    const ftso_programs *programs = self;
    int64_t most = 0, all_states = 0;
    for (const ftso_step *s = programs->steps; s; s = s->next) {
        int64_t states = 0;
        for (size_t i = 0; i < s->program->state_count; i++) {
            const ftso_program_state *state = &s->program->states[i];
            states += state->size_bytes;
            bool seen = false;
            for (const ftso_step *t = programs->steps; t != s && !seen; t = t->next)
                for (size_t k = 0; k < t->program->state_count && !seen; k++)
                    seen = strcmp(t->program->states[k].name, state->name) == 0;
            if (!seen) all_states += state->size_bytes;
        }
        int64_t work = work_bytes(s) - states;
        if (work > most) most = work;
    }
    return most + all_states;
}

ftso_status ftso_programs_init(ftso_programs *programs, int threads)
{
    *programs = (ftso_programs){0};
    FTSO_TRY(ftso_pool_new(threads, true, &programs->pool));
    FTSO_TRY(ftso_states_new(&programs->states));
    ftso_states_share_work(programs->states);
    return FTSO_STATUS_OK;
}

void ftso_programs_deinit(ftso_programs *programs)
{
    while (programs->steps) unload(programs, programs->steps);
    ftso_states_free(programs->states);
    ftso_pool_free(programs->pool);
    *programs = (ftso_programs){0};
}

ftso_status ftso_programs_add(ftso_programs *programs, const ftso_arena *arena,
                              const ftso_program *program, ftso_step **out_step)
{
    *out_step = NULL;
    ftso_step *step = ftso_mem_alloc(sizeof(*step));
    if (!step) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a step");
    *step = (ftso_step){
        .arena = *arena, .programs = programs, .program = program, .next = programs->steps};
    programs->steps = step;
    *out_step = step;
    return FTSO_STATUS_OK;
}

void ftso_programs_serve(ftso_device *device)
{
    device->bind = bind;
    device->run = run;
    device->read = read;
    device->write_state = write_state;
    device->read_state = read_state;
    device->pool = pool;
    device->bytes = bytes;
    device->unload = unload;
}
