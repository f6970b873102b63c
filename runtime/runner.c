/*
 * The runner: a program bound to memory, run launch by launch.
 *
 * In: a program, a pool, states. Out: slots filled and read in canonical order, launches run. Holds: one block of working memory
 * (or one for all runners of the same states), taken before the first run and never grown during one; launches run in order, a
 * launch's prepare before its bodies before its finishes; where images are apart, for some of them after others.
 * Start reading at ftso_runner_run.
 */
#include "runtime_internal.h"

#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 64 };

/* A launch with the addresses that its buffers turned out to have. */
typedef struct bound_launch {
    const ftso_kernel_set *kernels;
    float **buffers;
    float *shared;
    bool once, kept; /* the whole launch, or its prepare, only after a change of the states */
} bound_launch;

/* An address of a launch's that goes on from turn to turn: of an input or an output with a batch. */
typedef struct walk {
    float **address, *start;
    int64_t image_floats;
} walk;

struct ftso_runner {
    const ftso_program *program;
    ftso_pool *pool;
    ftso_states *own_states; /* NULL where they were handed in */
    float **states;
    bound_launch *launches;
    float **addresses; /* all launches' buffers, one after another */
    walk *walks;
    size_t walk_count;
    int64_t turn_images; /* that launches take at once */
    ftso_work own_work, *work;
    uint64_t bound_moves; /* work->moves that addresses were computed at */
    char *arena, *kept, *shared, *scratch;
    int64_t shared_bytes, scratch_bytes; /* scratch: of one thread */
    int64_t total_bytes;                 /* arena, kept, shared and all scratch */
    bool updates_states;
    uint64_t *changes;     /* of the states */
    uint64_t kept_changes; /* *changes at which what is kept was computed; 0: it is not there */
};

static int64_t line_up(int64_t bytes)
{
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

/* Sizes of the block's parts. Shared memory lives as long as one launch, so the largest serves all that keep none. */
static void measure(const ftso_program *program, int64_t *out_shared, int64_t *out_scratch)
{
    *out_shared = *out_scratch = 0;
    for (size_t i = 0; i < program->launch_count; i++) {
        const ftso_kernel_set *k = &program->launches[i].kernels;
        if (!program->launches[i].prepared_once && k->shared_bytes > *out_shared)
            *out_shared = k->shared_bytes;
        if (k->scratch_bytes > *out_scratch) *out_scratch = k->scratch_bytes;
    }
    *out_shared = line_up(*out_shared);
    /* An odd number of lines apart, so that the threads' tiles fall into different cache sets. */
    *out_scratch = line_up(*out_scratch) | LINE_BYTES;
}

int64_t ftso_program_bytes(const ftso_program *program, int threads)
{
    int64_t shared, scratch;
    measure(program, &shared, &scratch);
    int64_t total =
        line_up(program->arena_bytes) + line_up(program->kept_bytes) + shared + scratch * threads;
    for (size_t i = 0; i < program->state_count; i++) total += program->states[i].size_bytes;
    return total;
}

static float *address(const ftso_runner *runner, ftso_buffer buffer)
{
    char *base =
        buffer.state == FTSO_IN_ARENA ? runner->arena : (char *)runner->states[buffer.state];
    return (float *)(base + buffer.offset_bytes);
}

static ftso_status bind_states(ftso_runner *runner, ftso_states *states)
{
    const ftso_program *program = runner->program;
    if (!states) {
        FTSO_TRY(ftso_states_new(&runner->own_states));
        states = runner->own_states;
    }
    runner->changes = ftso_states_changes(states);
    for (size_t i = 0; i < program->state_count; i++)
        FTSO_TRY(ftso_states_get(states, program->states[i].name, program->states[i].size_bytes,
                                 &runner->states[i]));
    return FTSO_STATUS_OK;
}

static void fill_constants(const ftso_runner *runner)
{
    const ftso_program *program = runner->program;
    for (size_t i = 0; i < program->fill_count; i++) {
        const ftso_fill *fill = &program->fills[i];
        float *data = (float *)(runner->arena + fill->offset_bytes);
        for (int64_t k = 0; k < fill->count; k++) data[k] = fill->value;
    }
}

/* Channels of one pixel, as they lie there. */
static int64_t padded_channels(const ftso_program *program, const ftso_slot *slot)
{
    return ftso_stored_channels(slot->dim[1], slot->dim[2] * slot->dim[3], program->channel_round);
}

/* Floats of one image, as they lie there. */
static int64_t image_floats(const ftso_program *program, const ftso_slot *slot)
{
    int64_t count = 1;
    for (int d = 1; d < slot->rank; d++)
        count *= d == 1 && slot->rank == 4 ? padded_channels(program, slot) : slot->dim[d];
    return count;
}

/* Notes the address where it is of a slot with a batch. */
static void note_walk(ftso_runner *runner, ftso_buffer buffer, float **at)
{
    const ftso_program *program = runner->program;
    if (!program->images_apart || buffer.state != FTSO_IN_ARENA) return;
    for (size_t i = 0; i < program->slot_count; i++) {
        const ftso_slot *slot = &program->slots[i];
        if (!slot->batched || slot->place.state != FTSO_IN_ARENA ||
            slot->place.offset_bytes != buffer.offset_bytes)
            continue;
        runner->walks[runner->walk_count++] = (walk){at, *at, image_floats(program, slot)};
        return;
    }
}

static void bind_launches(ftso_runner *runner)
{
    const ftso_program *program = runner->program;
    float **next = runner->addresses;
    runner->walk_count = 0;
    for (size_t i = 0; i < program->launch_count; i++) {
        const ftso_launch *launch = &program->launches[i];
        bool kept = launch->prepared_once;
        char *shared = kept ? runner->kept + launch->kept_offset_bytes : runner->shared;
        runner->launches[i] =
            (bound_launch){&launch->kernels, next, (float *)shared, launch->once, kept};
        for (size_t b = 0; b < launch->buffer_count; b++) {
            *next = address(runner, launch->buffers[b]);
            note_walk(runner, launch->buffers[b], next++);
        }
    }
}

/* Before any use: follows a block that moved, and puts back the constants that another runner may have overwritten. */
static void enter(ftso_runner *runner)
{
    ftso_work *work = runner->work;
    if (runner->bound_moves != work->moves) {
        runner->arena = work->start;
        runner->kept = runner->arena + line_up(runner->program->arena_bytes);
        runner->shared = runner->kept + line_up(runner->program->kept_bytes);
        runner->scratch = runner->shared + runner->shared_bytes;
        runner->bound_moves = work->moves;
        bind_launches(runner);
    }
    if (work->user != runner) {
        fill_constants(runner);
        runner->kept_changes = 0;
    }
    work->user = runner;
}

/* Whether a run leaves new content in a state: where an output lies, or by a copy. */
static bool updates_states(const ftso_program *program)
{
    for (size_t i = 0; i < program->slot_count; i++)
        if (program->slots[i].is_output && program->slots[i].place.state != FTSO_IN_ARENA)
            return true;
    return program->copy_count > 0;
}

static ftso_status take_memory(ftso_runner *runner, ftso_states *states)
{
    const ftso_program *program = runner->program;
    measure(program, &runner->shared_bytes, &runner->scratch_bytes);
    runner->total_bytes = line_up(program->arena_bytes) + line_up(program->kept_bytes) +
                          runner->shared_bytes +
                          runner->scratch_bytes * ftso_pool_threads(runner->pool);
    runner->work = states ? ftso_states_work(states) : NULL;
    if (!runner->work) runner->work = &runner->own_work;
    return ftso_work_reserve(runner->work, runner->total_bytes, runner->pool);
}

/*
 * Images that launches take at once where images are apart: so many that what is made of them stays in the last cache, and that
 * each thread has items enough.
 */
static int64_t turn_images(const ftso_program *program, int threads)
{
    enum { ITEMS_OF_A_THREAD = 4 };
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    int64_t least = 1, image = program->arena_bytes / program->planned_batch + 1;
    if (!program->images_apart || cache <= 0) return program->planned_batch;
    for (size_t i = 0; i < program->launch_count; i++)
        if (program->launches[i].kernels.images_per_item > least)
            least = program->launches[i].kernels.images_per_item;
    least *= threads * ITEMS_OF_A_THREAD;
    int64_t fit = cache / image / least * least;
    return fit > least ? fit : least;
}

ftso_status ftso_runner_new(const ftso_program *program, ftso_pool *pool, ftso_states *states,
                            ftso_runner **out_runner)
{
    *out_runner = NULL;
    ftso_runner *runner = ftso_mem_alloc(sizeof(*runner));
    if (!runner) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a runner");
    memset(runner, 0, sizeof(*runner));
    runner->program = program;
    runner->pool = pool;
    runner->updates_states = updates_states(program);
    size_t buffers = 0;
    for (size_t i = 0; i < program->launch_count; i++) buffers += program->launches[i].buffer_count;
    runner->states = ftso_mem_alloc(sizeof(float *) * program->state_count);
    runner->launches = ftso_mem_alloc(sizeof(bound_launch) * program->launch_count);
    runner->addresses = ftso_mem_alloc(sizeof(float *) * buffers);
    runner->walks = ftso_mem_alloc(sizeof(walk) * buffers);
    runner->turn_images = turn_images(program, ftso_pool_threads(pool));
    ftso_status status = FTSO_STATUS_OK;
    if (!runner->states || !runner->launches || !runner->addresses || !runner->walks)
        status = ftso_error(FTSO_ERROR_LIMIT, "no memory for a runner");
    if (status.code == FTSO_OK) status = take_memory(runner, states);
    if (status.code == FTSO_OK) status = bind_states(runner, states);
    if (status.code != FTSO_OK) {
        ftso_runner_free(runner);
        return status;
    }
    enter(runner);
    *out_runner = runner;
    return FTSO_STATUS_OK;
}

void ftso_runner_free(ftso_runner *runner)
{
    if (!runner) return;
    ftso_states_free(runner->own_states);
    if (runner->work && runner->work->user == runner) runner->work->user = NULL;
    ftso_work_deinit(&runner->own_work);
    ftso_mem_free(runner->walks);
    ftso_mem_free(runner->addresses);
    ftso_mem_free(runner->launches);
    ftso_mem_free(runner->states);
    ftso_mem_free(runner);
}

const ftso_slot *ftso_runner_slot(const ftso_runner *runner, const char *name)
{
    for (size_t i = 0; i < runner->program->slot_count; i++)
        if (strcmp(runner->program->slots[i].name, name) == 0) return &runner->program->slots[i];
    return NULL;
}

/* ---------------------------------------------------------------- the border between orders */

/* One image's planes against its pixels of padded channels. */
typedef struct conversion {
    float *inside;
    float *to;         /* outside when reading */
    const float *from; /* outside when writing */
    int64_t channels, padded, pixels;
} conversion;

static void image_in(void *user, int64_t item, int thread)
{
    (void)thread;
    const conversion *c = user;
    float *to = c->inside + item * c->pixels * c->padded;
    const float *from = c->from + item * c->channels * c->pixels;
    for (int64_t p = 0; p < c->pixels; p++)
        for (int64_t k = 0; k < c->channels; k++) to[p * c->padded + k] = from[k * c->pixels + p];
}

static void image_out(void *user, int64_t item, int thread)
{
    (void)thread;
    const conversion *c = user;
    const float *from = c->inside + item * c->pixels * c->padded;
    float *to = c->to + item * c->channels * c->pixels;
    for (int64_t k = 0; k < c->channels; k++)
        for (int64_t p = 0; p < c->pixels; p++) to[k * c->pixels + p] = from[p * c->padded + k];
}

static conversion conversion_of(const ftso_runner *runner, const ftso_slot *slot)
{
    return (conversion){.inside = address(runner, slot->place),
                        .channels = slot->dim[1],
                        .padded = padded_channels(runner->program, slot),
                        .pixels = slot->dim[2] * slot->dim[3]};
}

static bool is_images(const ftso_slot *slot)
{
    return slot->rank == 4 && slot->batched;
}

static int64_t dense_count(const ftso_slot *slot, int64_t batch)
{
    int64_t count = 1;
    for (int d = 0; d < slot->rank; d++) count *= d == 0 && slot->batched ? batch : slot->dim[d];
    return count;
}

static const ftso_slot *slot_of(const ftso_runner *runner, const char *name, int64_t batch)
{
    const ftso_slot *slot = ftso_runner_slot(runner, name);
    FTSO_ASSERT(slot);
    FTSO_ASSERT(!slot->batched || (batch >= 1 && batch <= runner->program->planned_batch));
    return slot;
}

void ftso_runner_write(ftso_runner *runner, const char *name, const float *data, int64_t batch)
{
    const ftso_slot *slot = slot_of(runner, name, batch);
    FTSO_ASSERT(slot->is_input || slot->is_state);
    enter(runner);
    *runner->changes += slot->is_state;
    if (is_images(slot)) {
        conversion c = conversion_of(runner, slot);
        c.from = data;
        ftso_pool_run(runner->pool, batch, image_in, &c);
        return;
    }
    memcpy(address(runner, slot->place), data, sizeof(float) * (size_t)dense_count(slot, batch));
}

void ftso_runner_read(ftso_runner *runner, const char *name, float *data, int64_t batch)
{
    const ftso_slot *slot = slot_of(runner, name, batch);
    enter(runner);
    if (is_images(slot)) {
        conversion c = conversion_of(runner, slot);
        c.to = data;
        ftso_pool_run(runner->pool, batch, image_out, &c);
        return;
    }
    memcpy(data, address(runner, slot->place), sizeof(float) * (size_t)dense_count(slot, batch));
}

/* ---------------------------------------------------------------- running */

typedef struct phase {
    ftso_kernel kernel;
    float *const *buffers;
    char *scratch;
    float *shared;
    int64_t scratch_bytes, batch;
} phase;

static void run_item(void *user, int64_t item, int thread)
{
    const phase *p = user;
    ftso_kernel_args args = {.buffers = p->buffers,
                             .shared = p->shared,
                             .scratch = (float *)(p->scratch + p->scratch_bytes * thread),
                             .batch = p->batch,
                             .item = item};
    p->kernel(&args);
}

/* `fresh`: what depends on states alone is there already. */
static void run_launch(ftso_runner *runner, const bound_launch *launch, int64_t batch, bool fresh)
{
    if (fresh && launch->once) return;
    const ftso_kernel_set *k = launch->kernels;
    phase p = {.buffers = launch->buffers,
               .scratch = runner->scratch,
               .shared = launch->shared,
               .scratch_bytes = runner->scratch_bytes,
               .batch = batch};
    if (k->prepare && !(fresh && launch->kept)) {
        p.kernel = k->prepare;
        run_item(&p, 0, 0);
    }
    if (k->body) {
        p.kernel = k->body;
        int64_t per_item = k->images_per_item;
        int64_t items = per_item > 0 ? (batch + per_item - 1) / per_item : k->fixed_items;
        if (k->parts > 1) items *= k->parts;
        ftso_pool_run(runner->pool, items, run_item, &p);
    }
    if (k->finish) {
        p.kernel = k->finish;
        ftso_pool_run(runner->pool, k->finish_items, run_item, &p);
    }
}

/* All launches, for `images` images from number `first` on. */
static void run_turn(ftso_runner *runner, int64_t first, int64_t images, bool fresh,
                     double *seconds)
{
    for (size_t i = 0; i < runner->walk_count; i++) {
        const walk *w = &runner->walks[i];
        *w->address = w->start + first * w->image_floats;
    }
    double before = seconds ? ftso_clock_s() : 0;
    for (size_t i = 0; i < runner->program->launch_count; i++) {
        run_launch(runner, &runner->launches[i], images, fresh);
        if (seconds) {
            double now = ftso_clock_s();
            seconds[i] += now - before;
            before = now;
        }
    }
}

void ftso_runner_run(ftso_runner *runner, int64_t batch, double *seconds)
{
    const ftso_program *program = runner->program;
    FTSO_ASSERT(batch >= 1 && batch <= program->planned_batch);
    enter(runner);
    bool fresh = runner->kept_changes == *runner->changes;
    for (int64_t first = 0; first < batch; first += runner->turn_images) {
        int64_t left = batch - first, images = runner->turn_images;
        run_turn(runner, first, left < images ? left : images, fresh || first, seconds);
    }
    *runner->changes += runner->updates_states;
    runner->kept_changes = *runner->changes;
    for (size_t i = 0; i < program->copy_count; i++) {
        const ftso_copy *copy = &program->copies[i];
        memmove(address(runner, copy->to), address(runner, copy->from), (size_t)copy->size_bytes);
    }
}

void ftso_runner_take_turns(ftso_runner *runner, int64_t images)
{
    FTSO_ASSERT(images >= 1);
    if (runner->program->images_apart) runner->turn_images = images;
}

void ftso_runner_poison(ftso_runner *runner)
{
    enter(runner);
    memset(runner->arena, 0xff, (size_t)runner->total_bytes); /* all bits set: a NaN */
    runner->kept_changes = 0;
    fill_constants(runner);
}
