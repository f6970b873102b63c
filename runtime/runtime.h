/*
 * runtime: what runs a compiled program, and what a produced binary carries inside.
 *
 * In: Programs (machine code and a static plan), data files. Out: results, logs, files.
 * Must hold: the same bytes whatever the number of threads: work is cut into items by the shapes alone, partial results
 * are combined in item order. No dependence on ir/: what a runner needs of a graph is in ftso_program.
 * Start reading at ftso_program.
 */
#ifndef FTSO_RUNTIME_H
#define FTSO_RUNTIME_H

#include "base/base.h"

/* ---------------------------------------------------------------- thread pool */

typedef struct ftso_pool ftso_pool;
/*
 * `threads` counts the caller: 1 makes no thread. 0: one per processor that the process may use. With `pin` the threads
 * made here are pinned, one per processor. One job at a time, given by one thread, not from inside a task.
 */
ftso_status FTSO_MUST_USE ftso_pool_new(int threads, bool pin, ftso_pool **out_pool);
void ftso_pool_free(ftso_pool *pool);
int ftso_pool_threads(const ftso_pool *pool);
/* Calls task(user, item, thread) for items 0 … count-1, each once, on any thread, in any order; returns when all are done. */
typedef void (*ftso_task)(void *user, int64_t item, int thread);
void ftso_pool_run(ftso_pool *pool, int64_t count, ftso_task task, void *user);

/* ---------------------------------------------------------------- working memory (work.c) */

/* A block that one runner, or several in turn, work in. */
typedef struct ftso_work {
    void *block;
    char *start; /* aligned to a huge page where there is one's worth */
    int64_t size_bytes;
    uint64_t moves; /* how often `start` changed: runners compare it with what they are bound to */
    const void *user; /* the runner that used it last */
} ftso_work;

/* Makes the block at least that large, its pages touched by the pool. On failure the old block stays. */
ftso_status FTSO_MUST_USE ftso_work_reserve(ftso_work *work, int64_t size_bytes, ftso_pool *pool);
void ftso_work_deinit(ftso_work *work);

/* ---------------------------------------------------------------- programs */

/*
 * One call's view of memory. `buffers` holds the addresses of the region's reads, then of its writes (element 0 each), in
 * the region's order. `shared` is this launch's memory, common to all items and to prepare, body and finish, whose content
 * the next launch overwrites: packed weights, then one slot of partial results per item. `scratch` belongs to the thread.
 * Both are 64-byte aligned and hold anything at the start. Machine code may read and write nothing else.
 */
typedef struct ftso_kernel_args {
    float *const *buffers;
    float *shared;  /* packed weights and per-item partial results */
    float *scratch; /* this thread's tile memory */
    int64_t batch;  /* actual number of images n */
    int64_t item;   /* 0 … item count - 1 (body and finish); 0 in prepare */
} ftso_kernel_args;

typedef void (*ftso_kernel)(const ftso_kernel_args *args);

/*
 * One region as machine code. In every run prepare is called once (packs weights), body once per item in parallel, finish
 * once per finish item in parallel (combines partial results in item order). Unused entries are NULL.
 */
typedef struct ftso_kernel_set {
    ftso_kernel prepare, body, finish;
    int64_t images_per_item; /* body items = ceil(n / images_per_item); 0: fixed_items whatever n */
    int64_t fixed_items;
    int64_t finish_items;
    int64_t shared_bytes, scratch_bytes;
    int64_t
        parts; /* of one image, each an item (0 counts as 1): item i is part i % parts of the images of item i / parts */
} ftso_kernel_set;

/*
 * Where something lies: in the program's arena, or in the memory of one of its states. States are not part of the arena,
 * because several programs work on the same ones (a step on `arch`, a step on `weights`).
 */
enum { FTSO_IN_ARENA = -1 };
typedef struct ftso_buffer {
    int32_t state; /* number in program->states, or FTSO_IN_ARENA */
    int64_t
        offset_bytes; /* into the arena or the state's memory: a view of `weights` lies at 4 * its attribute `offset` */
} ftso_buffer;

/* Memory kept between runs, found by name. Programs that share it agree on its size. */
typedef struct ftso_program_state {
    const char *name;
    int64_t size_bytes; /* in the program's layout, slack for whole-vector loads included */
} ftso_program_state;

typedef struct ftso_launch {
    ftso_kernel_set kernels;
    ftso_buffer *buffers; /* reads, then writes */
    size_t buffer_count;
    const char *label; /* kernel class and origin, for people */
    double flops;      /* arithmetic at the planned batch */
    double
        bytes; /* memory that it goes through then: buffers as they are laid out, partial sums written and read */
    double least_bytes; /* and what it cannot do without: every number read and written, once */
    bool once; /* depends on states alone: run only after a state changed, results are kept */
    bool prepared_once;        /* so does its prepare; its shared memory is its own then: */
    int64_t kept_offset_bytes; /* into the program's kept memory */
} ftso_launch;

/* After the last launch `size_bytes` go from `from` to `to`: new contents of states that could not be written in place. */
typedef struct ftso_copy {
    ftso_buffer from, to;
    int64_t size_bytes;
} ftso_copy;

/*
 * Named memory of a program: inputs and states to fill, outputs to read. Canonical order is converted at the border.
 * A state's slot lies at offset 0 of that state. An output that becomes a state's content lies where that content is after
 * the launches: in the state, or in the arena where a copy takes it to the state.
 */
typedef struct ftso_slot {
    const char *name;
    ftso_buffer place;
    uint8_t rank;
    bool batched;
    int64_t dim[4];
    bool is_input, is_state, is_output;
} ftso_slot;

/* A number that every element of a piece of the arena holds from the start: constants. No launch writes there. */
typedef struct ftso_fill {
    int64_t offset_bytes, count;
    float value;
} ftso_fill;

/* What channels in memory are rounded up to: vectors of so many floats; of several whole ones or, by `step`, halves. */
typedef struct ftso_round {
    int64_t vector, step; /* step: vector, or half of it */
} ftso_round;

/*
 * How many channels a pixel takes up: a vector, or a half or a quarter of one where that holds them and is a vector itself;
 * more than a vector are a multiple of the step. Maps of one pixel are small, and rows of them are operands of a whole vector.
 */
static inline int64_t ftso_stored_channels(int64_t channels, int64_t pixels, ftso_round round)
{
    enum { LEAST = 4 };
    int64_t part = pixels > 1 && channels > round.vector ? round.step : round.vector;
    while (pixels > 1 && part / 2 >= LEAST && part > round.vector / 4 && channels <= part / 2)
        part /= 2;
    return (channels + part - 1) / part * part;
}

/*
 * Layout: batched rank-4 values are [N][H][W][Cp], Cp as ftso_stored_channels says, what is in the padding lanes being
 * undefined; everything else is dense in canonical order.
 */
typedef struct ftso_program {
    ftso_launch *launches; /* in the order they run */
    size_t launch_count;
    ftso_program_state *states;
    size_t state_count;
    ftso_slot *slots;
    size_t slot_count;
    ftso_copy *copies;
    size_t copy_count;
    ftso_fill *fills;
    size_t fill_count;
    int64_t arena_bytes;
    int64_t kept_bytes; /* shared memory of launches whose content stays from run to run */
    int64_t planned_batch;
    bool
        images_apart; /* what is made of an image follows from it and from states alone: a run may take some after others */
    ftso_round channel_round;
} ftso_program;

/* State memory by name, shared by runners. A state is zero until written. Lives longer than its runners. */
typedef struct ftso_states ftso_states;
ftso_status FTSO_MUST_USE ftso_states_new(ftso_states **out_states);
void ftso_states_free(ftso_states *states);
/*
 * From here on, runners made over these states work in one block of memory instead of one each: right where programs take
 * turns and what one left (inputs, outputs) is not needed after another ran. States are never in that block.
 */
void ftso_states_share_work(ftso_states *states);
/* The state's memory, 64-byte aligned, made (zeroed) on first use; another size than before is an internal error. */
ftso_status FTSO_MUST_USE ftso_states_get(ftso_states *states, const char *name, int64_t size_bytes,
                                          float **out_data);
/*
 * The state `name` is the caller's memory from here on, and only read: by programs that give the state no new content.
 * 64-byte aligned; lives longer than the states.
 */
ftso_status FTSO_MUST_USE ftso_states_lend(ftso_states *states, const char *name, const float *data,
                                           int64_t size_bytes);

/*
 * A program bound to memory: one block for arena, shared and scratch memory, in huge pages where the system has them,
 * touched by the pool's threads before the first run. `states` NULL: the runner has its own. Program, pool and states
 * must live longer.
 */
typedef struct ftso_runner ftso_runner;
ftso_status FTSO_MUST_USE ftso_runner_new(const ftso_program *program, ftso_pool *pool,
                                          ftso_states *states, ftso_runner **out_runner);
void ftso_runner_free(ftso_runner *runner);
/* What ftso_runner_new asks for: arena, shared and scratch memory for that many threads, and the states. */
int64_t ftso_program_bytes(const ftso_program *program, int threads);
/* The slot, or NULL where the program has none of that name. */
const ftso_slot *ftso_runner_slot(const ftso_runner *runner, const char *name);
/* An unknown name is a bug of the caller. Numbers are float32 in canonical order (N,C,H,W), `batch` images where batched. */
void ftso_runner_write(ftso_runner *runner, const char *name, const float *data, int64_t batch);
void ftso_runner_read(ftso_runner *runner, const char *name, float *data, int64_t batch);
/* Runs the launches in order with n = batch images; what depends on states alone only where a state was written since, by
 * ftso_runner_write or by a run that updates states. With `seconds`, adds each launch's time to seconds[launch]. */
void ftso_runner_run(ftso_runner *runner, int64_t batch, double *seconds);
/*
 * For tests: where images are apart, a run takes so many at once (1 or more) from here on. Results do not depend on it. Without this
 * call so many as the last cache holds, yet some for each thread: what one launch leaves of them the next finds there.
 */
void ftso_runner_take_turns(ftso_runner *runner, int64_t images);
/* For tests: fills all memory that a right program does not read before writing it with NaN. Call before inputs are written. */
void ftso_runner_poison(ftso_runner *runner);

/* ---------------------------------------------------------------- devices */

/* A step on a device: a graph made runnable. */
typedef struct ftso_step ftso_step;
struct ftso_graph; /* ir/: runtime hands it through and never looks inside */

/*
 * The small interface to whatever runs graphs. `load` compiles (NULL in a program that carries its code); steps of one
 * device share states by name ("weights", "arch", moments) through `write_state` / `read_state`. A state is zero until
 * written. The graph stays alive until `unload`. Numbers are float32 in canonical order; what is not batched ignores
 * `batch`.
 */
typedef struct ftso_device {
    void *self;
    const char *name; /* "cpu", "reference" */
    ftso_status (*load)(void *self, const char *label, const struct ftso_graph *graph,
                        ftso_step **out_step);
    ftso_status (*bind)(void *self, ftso_step *step, const char *input, const float *data,
                        int64_t batch);
    ftso_status (*run)(void *self, ftso_step *step, int64_t batch);
    ftso_status (*read)(void *self, ftso_step *step, const char *output, float *data,
                        int64_t count);
    ftso_status (*write_state)(void *self, const char *state, const float *data, int64_t count);
    ftso_status (*read_state)(void *self, const char *state, float *data, int64_t count);
    ftso_pool *(*pool)(void *self);
    int64_t (*bytes)(
        void *self); /* memory that the loaded steps take; or NULL where it is not known */
    void (*unload)(void *self, ftso_step *step);
    void (*close)(void *self); /* whoever opened the device calls it */
} ftso_device;

/*
 * Programs as the steps of a device: they share their states and one block of working memory, which is taken when the
 * first step is used, when the largest is known. A device's `self` begins with this record; `ftso_programs_serve` fills in
 * all of its functions but load and close.
 */
typedef struct ftso_programs {
    ftso_pool *pool;
    ftso_states *states;
    ftso_step *steps;
} ftso_programs;
/* `threads` as ftso_pool_new. `deinit` in any case. */
ftso_status FTSO_MUST_USE ftso_programs_init(ftso_programs *programs, int threads);
void ftso_programs_deinit(ftso_programs *programs);
/* The program lives in `arena`, which is the step's from here on unless this fails. */
ftso_status FTSO_MUST_USE ftso_programs_add(ftso_programs *programs, const ftso_arena *arena,
                                            const ftso_program *program, ftso_step **out_step);
void ftso_programs_serve(ftso_device *device);

/* ---------------------------------------------------------------- random numbers: Random123's Philox4x32-10 */

/* Four words of stream `stream` at (step, index): a pure function of its arguments, so threads do not matter. */
typedef struct ftso_random {
    uint32_t word[4];
} ftso_random;
typedef enum ftso_stream {
    FTSO_STREAM_WEIGHTS,
    FTSO_STREAM_ARCH,
    FTSO_STREAM_SHUFFLE_TRAIN,
    FTSO_STREAM_SHUFFLE_VALID,
    FTSO_STREAM_AUGMENT_TRAIN,
    FTSO_STREAM_AUGMENT_VALID,
    FTSO_STREAM_RANDOM_CELL,
    FTSO_STREAM_DROP_PATH
} ftso_stream;
ftso_random ftso_random_at(uint64_t seed, ftso_stream stream, uint64_t step, uint64_t index);
double ftso_random_uniform(uint32_t word);               /* [0, 1), 32 bits of it */
void ftso_random_normal(ftso_random r, double out[2]);   /* Box-Muller */
int64_t ftso_random_below(ftso_random r, int64_t bound); /* unbiased to 2^-64 */
/* A permutation of 0 … count-1 (Fisher-Yates over the stream at `step`); its first `take` numbers are final, and all that is
 * drawn. `out` has room for `count`. */
void ftso_random_permutation(uint64_t seed, ftso_stream stream, uint64_t step, int64_t count,
                             int64_t take, int32_t *out);

/* ---------------------------------------------------------------- data sets, pictures, batches */

#include "runtime/images.h"

/* ---------------------------------------------------------------- learning rates */

double ftso_lr_cosine(double first, double last, int64_t epoch, int64_t epochs);

typedef enum ftso_rate_kind {
    FTSO_RATE_CONSTANT,
    FTSO_RATE_COSINE,
    FTSO_RATE_LINEAR,
    FTSO_RATE_EXPONENTIAL
} ftso_rate_kind;

/* A schedule over epochs 0 ... epochs - 1, as the language has it (docs/language.md). */
typedef struct ftso_rate {
    ftso_rate_kind kind;
    double first, last; /* EXPONENTIAL: last is the factor per epoch */
    int64_t warmup;     /* epoch e of the first `warmup` takes first * (e + 1) / warmup instead */
    int64_t
        tail; /* LINEAR: reaches its end at epochs - tail, then first * (epochs - e) / ((epochs - tail) * tail) */
} ftso_rate;
double ftso_rate_at(const ftso_rate *rate, int64_t epoch, int64_t epochs);

/* ---------------------------------------------------------------- progress and logs */

typedef enum ftso_progress_mode {
    FTSO_PROGRESS_AUTO,
    FTSO_PROGRESS_BAR,
    FTSO_PROGRESS_LINE,
    FTSO_PROGRESS_NONE
} ftso_progress_mode;

/*
 * A bar with ETA on a terminal, else a plain line per tenth of the work or per minute. Writes to `out` (stderr).
 * AUTO: a bar only where `out` is a terminal and TERM is not "dumb" and CI is unset.
 */
typedef struct ftso_progress {
    FILE *out;
    ftso_progress_mode mode;
    const char *title;
    int64_t total, done;
    int64_t first; /* what was done before this call: not part of its speed */
    double start_s, last_s;
    int last_tenth;
    int width;
} ftso_progress;
void ftso_progress_start(ftso_progress *progress, FILE *out, ftso_progress_mode mode,
                         const char *title, int64_t total);
/* `detail` is short: "loss 1.93  812 img/s". */
void ftso_progress_step(ftso_progress *progress, int64_t done, const char *detail);
void ftso_progress_finish(ftso_progress *progress);

/*
 * The lock of a run's folder, its log: a descriptor that ftso_folder_unlock closes, -1 after a failure. Temporary files that a
 * killed process left go. Code 2 where another process has it.
 */
ftso_status FTSO_MUST_USE ftso_folder_lock(const char *folder, int *out_lock);
void ftso_folder_unlock(int lock);
/* Makes the folder for a run to begin in, and locks it. Code 2 where a log or a file `mark` says that it holds one already. */
ftso_status FTSO_MUST_USE ftso_folder_claim(const char *folder, const char *mark, int *out_lock);

/* From here on the first Ctrl-C, SIGTERM or SIGHUP makes *result nonzero, the second ends the program. */
const volatile int *ftso_interrupt_catch(void);

/* Events as JSON lines. Each call writes one whole line. */
typedef struct ftso_log {
    FILE *file;
    char path[512]; /* for messages; cut where it is longer */
} ftso_log;
ftso_status FTSO_MUST_USE ftso_log_open(ftso_log *log, const char *path);
/* Goes on with a log after its first `bytes`; what stands behind is dropped. A log that is shorter is an error. */
ftso_status FTSO_MUST_USE ftso_log_resume(ftso_log *log, const char *path, int64_t bytes);
/* Makes what was written durable, and says how long the log is. */
ftso_status FTSO_MUST_USE ftso_log_sync(ftso_log *log, int64_t *out_bytes);
/* `json` is the text of one object without newlines. */
ftso_status FTSO_MUST_USE ftso_log_write(ftso_log *log, const char *json);
ftso_status FTSO_MUST_USE ftso_log_close(ftso_log *log);

#endif
