/*
 * The runtime without compiled code: pool, states, runner on kernels written by hand, random streams, rates, progress, log.
 */
#include "support.h"

#include "runtime/runtime.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------- pool */

typedef struct tally {
    _Atomic int *done; /* per item */
    _Atomic int wrong_thread;
    int threads;
} tally;

static void count_item(void *user, int64_t item, int thread)
{
    tally *t = user;
    atomic_fetch_add(&t->done[item], 1);
    if (thread < 0 || thread >= t->threads) atomic_store(&t->wrong_thread, 1);
}

static void test_pool_runs_every_item_once(void **state)
{
    (void)state;
    static const int thread_counts[] = {1, 2, 3, 7};
    static const int64_t item_counts[] = {0, 1, 2, 3, 7, 64, 1001};
    for (size_t k = 0; k < FTSO_COUNT(thread_counts); k++) {
        ftso_pool *pool;
        test_ok(ftso_pool_new(thread_counts[k], k % 2, &pool));
        assert_int_equal(ftso_pool_threads(pool), thread_counts[k]);
        for (size_t i = 0; i < FTSO_COUNT(item_counts); i++) {
            int64_t count = item_counts[i];
            tally t = {.done = calloc((size_t)count + 1, sizeof(_Atomic int)),
                       .threads = thread_counts[k]};
            ftso_pool_run(pool, count, count_item, &t);
            for (int64_t item = 0; item < count; item++) assert_int_equal(t.done[item], 1);
            assert_int_equal(t.done[count], 0);
            assert_int_equal(t.wrong_thread, 0);
            free((void *)t.done);
        }
        ftso_pool_free(pool);
    }
}

/* Short jobs in quick succession, with pauses in which workers fall asleep: a lost wake-up or a late worker would show. */
static void test_pool_survives_many_jobs(void **state)
{
    (void)state;
    ftso_pool *pool;
    test_ok(ftso_pool_new(4, false, &pool));
    _Atomic int done[8] = {0};
    tally t = {.done = done, .threads = 4};
    enum { JOBS = 3000 };
    for (int job = 0; job < JOBS; job++) {
        ftso_pool_run(pool, 8, count_item, &t);
        if (job % 500 == 0) usleep(2000);
    }
    for (int i = 0; i < 8; i++) assert_int_equal(done[i], JOBS);
    ftso_pool_free(pool);
}

static void test_idle_pool_sleeps(void **state)
{
    (void)state;
    ftso_pool *pool;
    test_ok(ftso_pool_new(2, false, &pool));
    _Atomic int done[4] = {0};
    tally t = {.done = done, .threads = 2};
    ftso_pool_run(pool, 4, count_item, &t);
    clock_t before = clock();
    usleep(300000);
    double burnt_s = (double)(clock() - before) / CLOCKS_PER_SEC;
    assert_true(burnt_s < 0.1); /* a spinning worker would burn 0.3 s */
    ftso_pool_free(pool);
}

static void test_pool_refuses_silly_sizes(void **state)
{
    (void)state;
    ftso_pool *pool;
    assert_int_equal(ftso_pool_new(-1, false, &pool).code, FTSO_ERROR_USAGE);
    assert_int_equal(ftso_pool_new(100000, false, &pool).code, FTSO_ERROR_USAGE);
    assert_null(pool);
    test_ok(ftso_pool_new(0, false, &pool));
    assert_true(ftso_pool_threads(pool) >= 1);
    ftso_pool_free(pool);
}

/* ---------------------------------------------------------------- states */

static void test_states_are_shared_by_name(void **state)
{
    (void)state;
    ftso_states *states;
    test_ok(ftso_states_new(&states));
    float *first, *again, *other;
    test_ok(ftso_states_get(states, "weights", 400, &first));
    for (int i = 0; i < 100; i++) assert_true(first[i] == 0);
    assert_int_equal((uintptr_t)first % 64, 0);
    first[99] = 3;
    char name[16];
    for (int i = 0; i < 40; i++) { /* the table grows; a state does not move */
        snprintf(name, sizeof(name), "s%d", i);
        test_ok(ftso_states_get(states, name, 8, &other));
        assert_ptr_not_equal(other, first);
    }
    test_ok(ftso_states_get(states, "weights", 400, &again));
    assert_ptr_equal(first, again);
    assert_true(again[99] == 3);
    ftso_status clash = ftso_states_get(states, "weights", 404, &again);
    assert_int_equal(clash.code, FTSO_ERROR_INTERNAL);
    assert_string_equal(clash.message,
                        "state \"weights\" has 400 bytes; a second program wants 404");
    ftso_states_free(states);
}

/* ---------------------------------------------------------------- runner */

/*
 * A program by hand, for images [N, 3, 2, 2] in channels of 8: y = x * w[0] * c, and the sum of all y in `sum`, added up
 * per item first, then in item order; afterwards w becomes w + sum. c is a constant.
 */
enum { CHANNELS = 3, VECTOR = 8, PADDED = 4, PIXELS = 4, BATCH = 5, IMAGES_PER_ITEM = 2 };
enum { IMAGE_FLOATS = PIXELS * PADDED, DENSE = CHANNELS * PIXELS };

static void scale_prepare(const ftso_kernel_args *args)
{
    args->shared[0] = args->buffers[1][0] * args->buffers[2][0];
}

static void scale_body(const ftso_kernel_args *args)
{
    const float *x = args->buffers[0];
    float *y = args->buffers[3], factor = args->shared[0];
    int64_t begin = args->item * IMAGES_PER_ITEM, end = begin + IMAGES_PER_ITEM;
    if (end > args->batch) end = args->batch;
    float sum = 0;
    for (int64_t n = begin; n < end; n++)
        for (int p = 0; p < PIXELS; p++)
            for (int c = 0; c < CHANNELS; c++) {
                int64_t at = n * IMAGE_FLOATS + p * PADDED + c;
                args->scratch[0] = x[at] * factor;
                y[at] = args->scratch[0];
                sum += y[at];
            }
    args->shared[1 + args->item] = sum;
}

static void scale_finish(const ftso_kernel_args *args)
{
    int64_t items = (args->batch + IMAGES_PER_ITEM - 1) / IMAGES_PER_ITEM;
    float sum = 0;
    for (int64_t i = 0; i < items; i++) sum += args->shared[1 + i];
    args->buffers[4][0] = sum;
}

static void update_body(const ftso_kernel_args *args)
{
    assert_int_equal(args->item, 0);
    args->buffers[2][0] = args->buffers[0][0] + args->buffers[1][0];
}

/* Places in the arena, each of its own 64-byte lines. */
enum {
    AT_X = 0,
    AT_Y = BATCH * IMAGE_FLOATS * 4,
    AT_C = 2 * AT_Y,
    AT_SUM = AT_C + 64,
    AT_W = AT_C + 128
};

static ftso_buffer in_arena(int64_t offset)
{
    return (ftso_buffer){FTSO_IN_ARENA, offset};
}

typedef struct hand_program {
    ftso_program program;
    ftso_launch launches[2];
    ftso_buffer scale[5], update[3];
    ftso_program_state states[1];
    ftso_slot slots[4];
    ftso_copy copies[1];
    ftso_fill fills[1];
} hand_program;

static void make_program(hand_program *p, float constant)
{
    const ftso_buffer w = {0, 0};
    *p = (hand_program){
        .scale = {in_arena(AT_X), w, in_arena(AT_C), in_arena(AT_Y), in_arena(AT_SUM)},
        .update = {w, in_arena(AT_SUM), in_arena(AT_W)},
        .states = {{"w", 128}},
        .slots = {{"x", in_arena(AT_X), 4, true, {BATCH, CHANNELS, 2, 2}, true, false, false},
                  {"w", w, 1, false, {1}, false, true, false},
                  {"y", in_arena(AT_Y), 4, true, {BATCH, CHANNELS, 2, 2}, false, false, true},
                  {"sum", in_arena(AT_SUM), 0, false, {0}, false, false, true}},
        .copies = {{in_arena(AT_W), w, 4}},
        .fills = {{AT_C, 1, constant}},
    };
    p->launches[0] = (ftso_launch){.kernels = {scale_prepare, scale_body, scale_finish,
                                               IMAGES_PER_ITEM, 0, 1, 4 * (1 + BATCH), 64, 1},
                                   .buffers = p->scale,
                                   .buffer_count = 5,
                                   .label = "scale"};
    p->launches[1] = (ftso_launch){.kernels = {NULL, update_body, NULL, 0, 1, 0, 0, 0, 0},
                                   .buffers = p->update,
                                   .buffer_count = 3,
                                   .label = "update"};
    p->program = (ftso_program){.launches = p->launches,
                                .launch_count = 2,
                                .states = p->states,
                                .state_count = 1,
                                .slots = p->slots,
                                .slot_count = 4,
                                .copies = p->copies,
                                .copy_count = 1,
                                .fills = p->fills,
                                .fill_count = 1,
                                .arena_bytes = AT_W + 64,
                                .planned_batch = BATCH,
                                .channel_round = {VECTOR, VECTOR}};
}

static int prepared, made_once; /* calls of the kernels below */

static void counting_prepare(const ftso_kernel_args *args)
{
    prepared++;
    args->shared[0] = args->buffers[1][0] * args->buffers[2][0];
}

/* c = 3 w */
static void once_body(const ftso_kernel_args *args)
{
    made_once++;
    args->buffers[1][0] = 3 * args->buffers[0][0];
}

/* The program without its update, and with c made of w: what depends on states alone. */
static void make_frozen(hand_program *p)
{
    make_program(p, 0);
    p->update[0] = (ftso_buffer){0, 0};
    p->update[1] = in_arena(AT_C);
    p->launches[1] = p->launches[0];
    p->launches[1].kernels.prepare = counting_prepare;
    p->launches[1].prepared_once = true;
    p->launches[0] = (ftso_launch){.kernels = {NULL, once_body, NULL, 0, 1, 0, 0, 0, 0},
                                   .buffers = p->update,
                                   .buffer_count = 2,
                                   .label = "once",
                                   .once = true};
    p->program.kept_bytes = 128;
    p->program.copy_count = p->program.fill_count = 0;
}

static void expect_frozen(ftso_runner *runner, float w, int runs)
{
    float x[DENSE], y[DENSE];
    for (int i = 0; i < DENSE; i++) x[i] = 1 + (float)i;
    ftso_runner_write(runner, "x", x, 1);
    ftso_runner_run(runner, 1, NULL);
    ftso_runner_read(runner, "y", y, 1);
    for (int i = 0; i < DENSE; i++) assert_true(y[i] == x[i] * (w * (3 * w)));
    assert_int_equal(prepared, runs);
    assert_int_equal(made_once, runs);
}

/* Work that depends on states alone is done again where a state changed or its results were lost, and only there. */
static void test_states_alone_once(void **state)
{
    (void)state;
    hand_program frozen, updating;
    make_frozen(&frozen);
    make_program(&updating, 2);
    for (int shared = 0; shared < 2; shared++) {
        ftso_pool *pool;
        ftso_states *states;
        ftso_runner *runner, *other;
        prepared = made_once = 0;
        test_ok(ftso_pool_new(2, false, &pool));
        test_ok(ftso_states_new(&states));
        if (shared) ftso_states_share_work(states);
        test_ok(ftso_runner_new(&frozen.program, pool, states, &runner));
        test_ok(ftso_runner_new(&updating.program, pool, states, &other));
        float w = 2;
        ftso_runner_write(runner, "w", &w, 1);
        expect_frozen(runner, 2, 1);
        expect_frozen(runner, 2, 1);
        w = 5;
        ftso_runner_write(runner, "w", &w, 1);
        expect_frozen(runner, 5, 2);
        expect_frozen(runner, 5, 2);
        w = 0.5f;
        ftso_runner_write(other, "w", &w, 1);
        expect_frozen(runner, 0.5f, 3);
        float x[DENSE] = {0.25f};
        ftso_runner_write(other, "x", x, 1);
        ftso_runner_run(other, 1, NULL); /* w becomes w + x w c */
        expect_frozen(runner, 0.75f, 4);
        ftso_runner_read(other, "sum", x, 1); /* changes no state, but may use the block */
        expect_frozen(runner, 0.75f, 4 + shared);
        ftso_runner_poison(runner);
        expect_frozen(runner, 0.75f, 5 + shared);
        ftso_runner_free(other);
        ftso_runner_free(runner);
        ftso_states_free(states);
        ftso_pool_free(pool);
    }
}

/* Runs n images and compares y, sum and the new w with plain arithmetic; returns the sum for comparing bytes. */
static float check_run(ftso_runner *runner, int64_t n, float w, float constant)
{
    float x[BATCH * DENSE], y[BATCH * DENSE], sum, fresh, expected = 0;
    for (int i = 0; i < BATCH * DENSE; i++) x[i] = 0.37f * (float)(i % 23) - 1;
    ftso_runner_write(runner, "w", &w, 1);
    ftso_runner_write(runner, "x", x, n);
    ftso_runner_run(runner, n, NULL);
    ftso_runner_read(runner, "y", y, n);
    ftso_runner_read(runner, "sum", &sum, n);
    ftso_runner_read(runner, "w", &fresh, n);
    for (int64_t i = 0; i < n * DENSE; i++) {
        assert_true(y[i] == x[i] * (w * constant));
        expected += y[i];
    }
    assert_true(fabsf(sum - expected) < 1e-5f * fabsf(expected) + 1e-5f);
    assert_true(fresh == w + sum);
    return sum;
}

static void test_runner_runs_any_batch(void **state)
{
    (void)state;
    hand_program p;
    make_program(&p, 2);
    float sums[BATCH + 1];
    for (int threads = 1; threads <= 3; threads++) {
        ftso_pool *pool;
        ftso_runner *runner;
        test_ok(ftso_pool_new(threads, false, &pool));
        test_ok(ftso_runner_new(&p.program, pool, NULL, &runner));
        ftso_runner_poison(runner);
        for (int64_t n = BATCH; n >= 1; n--) {
            float sum = check_run(runner, n, 1.5f, 2);
            if (threads == 1) sums[n] = sum;
            assert_memory_equal(&sum, &sums[n], sizeof(sum)); /* the same bits on any threads */
        }
        assert_null(ftso_runner_slot(runner, "nobody"));
        assert_string_equal(ftso_runner_slot(runner, "sum")->name, "sum");
        double seconds[2] = {0, 0};
        ftso_runner_run(runner, BATCH, seconds);
        assert_true(seconds[0] > 0 && seconds[1] > 0);
        ftso_runner_free(runner);
        ftso_pool_free(pool);
    }
}

static void test_runners_share_states(void **state)
{
    (void)state;
    hand_program p, q;
    make_program(&p, 2);
    make_program(&q, 3);
    q.program.arena_bytes +=
        1 << 22; /* the shared block must grow and move: p's addresses follow */
    for (int shared = 0; shared < 2; shared++) {
        ftso_pool *pool;
        ftso_states *states;
        ftso_runner *a, *b;
        test_ok(ftso_pool_new(2, false, &pool));
        test_ok(ftso_states_new(&states));
        if (shared) ftso_states_share_work(states);
        test_ok(ftso_runner_new(&p.program, pool, states, &a));
        test_ok(ftso_runner_new(&q.program, pool, states, &b));
        for (int turn = 0; turn < 3; turn++) { /* the constants come back after the other's turn */
            float sum = check_run(a, BATCH, 0.5f, 2), w;
            ftso_runner_read(b, "w", &w, 1);
            assert_true(w == 0.5f + sum);
            check_run(b, BATCH - 1, -0.25f, 3);
        }
        int64_t states_bytes = 128, block = ftso_program_bytes(&q.program, 2) - states_bytes;
        assert_true(block >= q.program.arena_bytes);
        ftso_runner_free(a);
        check_run(b, 1, 4, 3);
        ftso_runner_free(b);
        ftso_states_free(states);
        ftso_pool_free(pool);
    }
}

/* ---------------------------------------------------------------- memory runs short */

typedef struct failing {
    ftso_allocator allocator;
    int left;       /* allocations that still succeed */
    long long live; /* blocks not given back */
} failing;

static void *failing_alloc(void *user, size_t size_bytes)
{
    failing *f = user;
    if (f->left-- <= 0) return NULL;
    f->live++;
    return malloc(size_bytes);
}

static void *failing_resize(void *user, void *block, size_t size_bytes)
{
    failing *f = user;
    if (f->left-- <= 0) return NULL;
    if (!block) f->live++;
    return realloc(block, size_bytes);
}

static void failing_release(void *user, void *block)
{
    failing *f = user;
    f->live--;
    free(block);
}

static ftso_status make_all(const ftso_program *program, ftso_pool **pool, ftso_states **states,
                            ftso_runner **runner)
{
    FTSO_TRY(ftso_pool_new(2, false, pool));
    FTSO_TRY(ftso_states_new(states));
    return ftso_runner_new(program, *pool, *states, runner);
}

static void test_memory_shortage_is_a_status(void **state)
{
    (void)state;
    hand_program p;
    make_program(&p, 1);
    bool made = false;
    int faults = 0;
    for (int k = 0; k < 100 && !made; k++) {
        failing f = {.left = k};
        f.allocator = (ftso_allocator){failing_alloc, failing_resize, failing_release, &f};
        ftso_allocator_override(&f.allocator);
        ftso_pool *pool = NULL;
        ftso_states *states = NULL;
        ftso_runner *runner = NULL;
        ftso_status status = make_all(&p.program, &pool, &states, &runner);
        made = status.code == FTSO_OK;
        ftso_runner_free(runner);
        ftso_states_free(states);
        ftso_pool_free(pool);
        ftso_allocator_override(NULL);
        if (!made) faults++;
        if (!made) assert_int_equal(status.code, FTSO_ERROR_LIMIT);
        assert_int_equal(f.live, 0);
    }
    assert_true(made);
    assert_true(faults >= 8);
}

/* ---------------------------------------------------------------- random numbers */

/* The known answers of Random123's distribution for Philox4x32-10, by way of our placing of counter and key. */
static void test_philox_known_answers(void **state)
{
    (void)state;
    static const uint32_t zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    ftso_random r = ftso_random_at(0, (ftso_stream)0, 0, 0);
    assert_memory_equal(r.word, zero, sizeof(zero));
    r = ftso_random_at(0x299f31d0a4093822, (ftso_stream)0x85a3, 0x0370734413198a2e, 0x08d3243f6a88);
    assert_memory_equal(r.word, pi, sizeof(pi));
}

static void test_streams_differ(void **state)
{
    (void)state;
    ftso_random base = ftso_random_at(7, FTSO_STREAM_WEIGHTS, 3, 5);
    ftso_random others[] = {
        ftso_random_at(8, FTSO_STREAM_WEIGHTS, 3, 5),
        ftso_random_at(7, FTSO_STREAM_ARCH, 3, 5),
        ftso_random_at(7, FTSO_STREAM_WEIGHTS, 4, 5),
        ftso_random_at(7, FTSO_STREAM_WEIGHTS, 3, 6),
        ftso_random_at(7 + (UINT64_C(1) << 32), FTSO_STREAM_WEIGHTS, 3, 5),
        ftso_random_at(7, FTSO_STREAM_WEIGHTS, 3 + (UINT64_C(1) << 32), 5),
        ftso_random_at(7, FTSO_STREAM_WEIGHTS, 3, 5 + (UINT64_C(1) << 32)),
    };
    for (size_t i = 0; i < FTSO_COUNT(others); i++)
        assert_memory_not_equal(&base, &others[i], sizeof(base));
    ftso_random again = ftso_random_at(7, FTSO_STREAM_WEIGHTS, 3, 5);
    assert_memory_equal(&base, &again, sizeof(base));
}

static void test_distributions(void **state)
{
    (void)state;
    enum { DRAWS = 40000, BINS = 7 };
    double sum = 0, squares = 0, cubes = 0;
    int bins[BINS] = {0};
    for (uint64_t i = 0; i < DRAWS / 2; i++) {
        double pair[2];
        ftso_random r = ftso_random_at(1, FTSO_STREAM_ARCH, 0, i);
        ftso_random_normal(r, pair);
        for (int k = 0; k < 2; k++) {
            sum += pair[k];
            squares += pair[k] * pair[k];
            cubes += pair[k] * pair[k] * pair[k];
        }
        int64_t below = ftso_random_below(r, BINS);
        assert_in_range(below, 0, BINS - 1);
        bins[below]++;
        double u = ftso_random_uniform(r.word[3]);
        assert_true(u >= 0 && u < 1);
    }
    assert_true(fabs(sum / DRAWS) < 0.02);
    assert_true(fabs(squares / DRAWS - 1) < 0.03);
    assert_true(fabs(cubes / DRAWS) < 0.08);
    for (int b = 0; b < BINS; b++)
        assert_true(abs(bins[b] - DRAWS / 2 / BINS) < 300); /* over five deviations */
    ftso_random top = {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    double pair[2];
    ftso_random_normal(top, pair);
    assert_true(isfinite(pair[0]) && isfinite(pair[1]));
    assert_int_equal(ftso_random_below(top, INT64_MAX), INT64_MAX - 1);
    assert_true(ftso_random_uniform(UINT32_MAX) < 1);
}

static void test_permutations(void **state)
{
    (void)state;
    enum { COUNT = 1000, TAKE = 64 };
    int32_t whole[COUNT], part[COUNT], other[COUNT];
    bool seen[COUNT] = {false};
    ftso_random_permutation(5, FTSO_STREAM_SHUFFLE_TRAIN, 0, COUNT, COUNT, whole);
    int fixed = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_in_range(whole[i], 0, COUNT - 1);
        assert_false(seen[whole[i]]);
        seen[whole[i]] = true;
        fixed += whole[i] == i;
    }
    assert_true(fixed < 10);
    ftso_random_permutation(5, FTSO_STREAM_SHUFFLE_TRAIN, 0, COUNT, TAKE, part);
    assert_memory_equal(whole, part, TAKE * sizeof(whole[0]));
    ftso_random_permutation(5, FTSO_STREAM_SHUFFLE_TRAIN, 1, COUNT, COUNT, other);
    assert_memory_not_equal(whole, other, sizeof(whole));
    /* All orders of three come equally often. */
    int orders[27] = {0};
    for (uint64_t step = 0; step < 6000; step++) {
        ftso_random_permutation(5, FTSO_STREAM_SHUFFLE_VALID, step, 3, 3, part);
        orders[part[0] * 9 + part[1] * 3 + part[2]]++;
    }
    int kinds = 0;
    for (int i = 0; i < 27; i++) {
        kinds += orders[i] > 0;
        if (orders[i]) assert_in_range(orders[i], 850, 1150);
    }
    assert_int_equal(kinds, 6);
}

static void test_cosine(void **state)
{
    (void)state;
    assert_true(ftso_lr_cosine(0.1, 0.0, 0, 50) == 0.1);
    assert_true(fabs(ftso_lr_cosine(0.1, 0.0, 25, 50) - 0.05) < 1e-15);
    assert_true(fabs(ftso_lr_cosine(0.025, 0.001, 49, 50) -
                     (0.001 + 0.024 * (1 + cos(acos(-1.0) * 49 / 50)) / 2)) < 1e-15);
    assert_true(ftso_lr_cosine(0.1, 0.01, 0, 1) == 0.1);
    assert_true(ftso_lr_cosine(0.1, 0.01, 60, 50) == 0.01);
}

/* ---------------------------------------------------------------- progress and logs */

static void read_back(FILE *file, char *out, size_t size)
{
    fflush(file);
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void test_progress_lines(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    ftso_progress progress;
    ftso_progress_start(&progress, file, FTSO_PROGRESS_AUTO, "search", 98); /* no terminal */
    for (int i = 1; i <= 98; i++) ftso_progress_step(&progress, i, "loss 2.30");
    ftso_progress_step(&progress, 98, "said already");
    ftso_progress_finish(&progress);
    char text[4096];
    read_back(file, text, sizeof(text));
    int lines = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
        assert_true(*c == '\n' || (unsigned char)*c >= ' ');
    }
    assert_int_equal(lines, 10);
    assert_ptr_equal(strstr(text, "search  10/98  loss 2.30  ETA "), text);
    assert_non_null(strstr(text, "search  98/98  loss 2.30  "));
    assert_null(strstr(text, "said already"));
}

static void test_progress_bar(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    ftso_progress progress;
    ftso_progress_start(&progress, file, FTSO_PROGRESS_BAR, "search", 4);
    for (int i = 1; i <= 4; i++) ftso_progress_step(&progress, i, "");
    ftso_progress_finish(&progress);
    char text[4096];
    read_back(file, text, sizeof(text));
    assert_ptr_equal(strstr(text, "\r\033[Ksearch [######------------------] 1/4  ETA "), text);
    assert_non_null(strstr(text, "\r\033[Ksearch [########################] 4/4  0 s\n"));
    assert_null(strstr(text, "2/4")); /* too soon after the first to be drawn */
}

static void test_progress_none(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    ftso_progress progress;
    ftso_progress_start(&progress, file, FTSO_PROGRESS_NONE, "search", 2);
    ftso_progress_step(&progress, 2, "");
    ftso_progress_finish(&progress);
    char text[16];
    read_back(file, text, sizeof(text));
    assert_string_equal(text, "");
    ftso_progress_start(&progress, NULL, FTSO_PROGRESS_BAR, "search", 2);
    ftso_progress_step(&progress, 2, "");
}

static void test_log(void **state)
{
    (void)state;
    char path[] = "log-XXXXXX";
    close(mkstemp(path));
    ftso_log log;
    test_ok(ftso_log_open(&log, path));
    test_ok(ftso_log_write(&log, "{\"event\":\"start\"}"));
    FILE *file = fopen(path, "r"); /* a line is out before the log is closed */
    char text[64];
    read_back(file, text, sizeof(text));
    assert_string_equal(text, "{\"event\":\"start\"}\n");
    int64_t bytes;
    test_ok(ftso_log_sync(&log, &bytes));
    assert_int_equal(bytes, strlen(text));
    test_ok(ftso_log_write(&log, "{\"event\":\"lost\"}"));
    test_ok(ftso_log_close(&log));

    /* Gone on with from a place: what stood behind it is dropped; a log that lost bytes is refused. */
    test_ok(ftso_log_resume(&log, path, bytes));
    test_ok(ftso_log_write(&log, "{}"));
    file = fopen(path, "r");
    read_back(file, text, sizeof(text));
    assert_string_equal(text, "{\"event\":\"start\"}\n{}\n");
    test_ok(ftso_log_close(&log));
    assert_int_equal(ftso_log_resume(&log, path, 1000).code, FTSO_ERROR_DATA);
    assert_null(log.file);
    unlink(path);
    ftso_status status = ftso_log_open(&log, "no-such-folder/log");
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_string_equal(status.message,
                        "cannot open the log 'no-such-folder/log': No such file or directory");
    test_ok(ftso_log_open(&log, "/dev/full"));
    assert_int_equal(ftso_log_write(&log, "{}").code, FTSO_ERROR_LIMIT);
    assert_int_equal(ftso_log_close(&log).code == FTSO_OK, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_runs_every_item_once),
        cmocka_unit_test(test_pool_survives_many_jobs),
        cmocka_unit_test(test_idle_pool_sleeps),
        cmocka_unit_test(test_pool_refuses_silly_sizes),
        cmocka_unit_test(test_states_are_shared_by_name),
        cmocka_unit_test(test_states_alone_once),
        cmocka_unit_test(test_runner_runs_any_batch),
        cmocka_unit_test(test_runners_share_states),
        cmocka_unit_test(test_memory_shortage_is_a_status),
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_permutations),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_progress_lines),
        cmocka_unit_test(test_progress_bar),
        cmocka_unit_test(test_progress_none),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
