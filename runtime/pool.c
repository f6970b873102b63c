/*
 * The thread pool: one job at a time, cut into items that any thread may take.
 *
 * In: a task and a count. Out: every item done once. Holds: a thread starts with its own contiguous share of the items
 * (so that the same images stay in the same caches from launch to launch) and then helps others; nothing about the result
 * may depend on who took what. Waiting threads spin for some microseconds, then sleep: an idle pool costs nothing.
 * Start reading at ftso_pool_run and `gate`.
 */
#include "runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 1024, SPINS = 8000, LINE_BYTES = 64 };

/* A thread's share of the job's items; alone on its cache line. */
typedef struct share {
    _Alignas(LINE_BYTES) _Atomic int64_t next;
    int64_t end;
} share;

typedef struct worker {
    pthread_t handle;
    ftso_pool *pool;
    int thread;
} worker;

/*
 * The gate of the current job: bit 0 open, bits 1..16 workers inside, the rest the job's number. A worker enters an open
 * gate of a job it has not seen; the caller closes it when no item is left to take and waits until nobody is inside.
 * So no late worker can meet a half-written job.
 */
enum { GATE_OPEN = 1, GATE_INSIDE = 2, GATE_INSIDE_MASK = 0x1fffe, GATE_JOB_SHIFT = 17 };

struct ftso_pool {
    _Alignas(LINE_BYTES) _Atomic uint64_t gate;
    _Alignas(LINE_BYTES) _Atomic int sleepers; /* workers waiting for a job */
    _Atomic int caller_sleeps;
    _Atomic int quit;
    ftso_task task;
    void *user;
    int threads, spins;
    bool pin;
    cpu_set_t allowed; /* where the process may run */
    pthread_mutex_t lock;
    pthread_cond_t job_ready, job_left;
    worker *workers; /* threads - 1 of them */
    share *shares;   /* one per thread */
    void *share_block;
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void work(ftso_pool *pool, int thread)
{
    for (int k = 0; k < pool->threads; k++) {
        share *s = &pool->shares[(thread + k) % pool->threads];
        while (atomic_load_explicit(&s->next, memory_order_relaxed) < s->end) {
            int64_t item = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (item >= s->end) break;
            pool->task(pool->user, item, thread);
        }
    }
}

static bool job_waits(const ftso_pool *pool, uint64_t seen, uint64_t *gate)
{
    *gate = atomic_load(&pool->gate);
    return (*gate & GATE_OPEN) && (*gate >> GATE_JOB_SHIFT) != seen;
}

/* Returns when there is a job that is not `seen`, or false when the pool ends. */
static bool wait_for_job(ftso_pool *pool, uint64_t seen, uint64_t *gate)
{
    for (int i = 0; i < pool->spins; i++) {
        if (job_waits(pool, seen, gate)) return true;
        if (atomic_load_explicit(&pool->quit, memory_order_relaxed)) return false;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!job_waits(pool, seen, gate) && !atomic_load(&pool->quit))
        pthread_cond_wait(&pool->job_ready, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
    return !atomic_load(&pool->quit);
}

static void pin_to(const cpu_set_t *allowed, int thread)
{
    cpu_set_t one;
    int count = CPU_COUNT(allowed), skip = count > 0 ? thread % count : 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, allowed) || skip-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
        return;
    }
}

/*
 * The caller belongs on the first processor while it works in the pool, or it may sit on a worker's for many milliseconds.
 * It is moved there only when it is elsewhere, and keeps its own mask: threads that it starts later inherit no pin.
 */
static void call_home(const ftso_pool *pool)
{
    int first = 0;
    while (first < CPU_SETSIZE && !CPU_ISSET(first, &pool->allowed)) first++;
    if (sched_getcpu() == first) return;
    pin_to(&pool->allowed, 0);
    pthread_setaffinity_np(pthread_self(), sizeof(pool->allowed), &pool->allowed);
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    ftso_pool *pool = self->pool;
    if (pool->pin) pin_to(&pool->allowed, self->thread);
    uint64_t seen = 0, gate;
    while (wait_for_job(pool, seen, &gate)) {
        if (!atomic_compare_exchange_strong(&pool->gate, &gate, gate + GATE_INSIDE)) continue;
        seen = gate >> GATE_JOB_SHIFT;
        work(pool, self->thread);
        uint64_t before = atomic_fetch_sub(&pool->gate, GATE_INSIDE);
        bool last = !(before & GATE_OPEN) && (before & GATE_INSIDE_MASK) == GATE_INSIDE;
        if (last && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->job_left);
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

/* Where this process may run, and on how many processors. */
static int allowed_processors(cpu_set_t *allowed)
{
    CPU_ZERO(allowed);
    if (sched_getaffinity(0, sizeof(*allowed), allowed) == 0 && CPU_COUNT(allowed) > 0)
        return CPU_COUNT(allowed);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static void *aligned_zeroed(size_t size_bytes, void **out_block)
{
    *out_block = ftso_mem_alloc(size_bytes + LINE_BYTES);
    if (!*out_block) return NULL;
    uintptr_t start = ((uintptr_t)*out_block + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    memset((void *)start, 0, size_bytes);
    return (void *)start;
}

/* The pool lies in an aligned place; the block it came from is kept in front of it. */
typedef struct pool_block {
    ftso_pool pool;
    void *block;
} pool_block;

ftso_status ftso_pool_new(int threads, bool pin, ftso_pool **out_pool)
{
    *out_pool = NULL;
    cpu_set_t allowed;
    int processors = allowed_processors(&allowed);
    if (threads == 0) threads = processors < MAX_THREADS ? processors : MAX_THREADS;
    if (threads < 0 || threads > MAX_THREADS)
        return ftso_error(FTSO_ERROR_USAGE, "%d threads wanted: 1 to %d are possible", threads,
                          MAX_THREADS);
    void *block;
    pool_block *whole = aligned_zeroed(sizeof(pool_block), &block);
    if (!whole) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a thread pool");
    whole->block = block;
    ftso_pool *pool = &whole->pool;
    pool->pin = pin;
    pool->allowed = allowed;
    /* More threads than processors: spinning would only keep the others from working. */
    pool->spins = threads <= processors ? SPINS : 0;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->job_ready, NULL);
    pthread_cond_init(&pool->job_left, NULL);
    pool->threads = 1;
    pool->workers = ftso_mem_alloc(sizeof(worker) * (size_t)threads);
    pool->shares = aligned_zeroed(sizeof(share) * (size_t)threads, &pool->share_block);
    if (!pool->workers || !pool->shares) {
        ftso_pool_free(pool);
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for a pool of %d threads", threads);
    }
    /* No thread reads `threads` before its first job, and that is given after this loop. */
    for (int t = 1; t < threads; t++) {
        worker *w = &pool->workers[t - 1];
        *w = (worker){.pool = pool, .thread = t};
        int error = pthread_create(&w->handle, NULL, worker_main, w);
        if (error != 0) {
            ftso_pool_free(pool);
            return ftso_error(FTSO_ERROR_LIMIT, "thread %d of %d could not be started: %s", t + 1,
                              threads, strerror(error));
        }
        pool->threads = t + 1;
    }
    *out_pool = pool;
    return FTSO_STATUS_OK;
}

void ftso_pool_free(ftso_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->quit, 1);
    pthread_cond_broadcast(&pool->job_ready);
    pthread_mutex_unlock(&pool->lock);
    for (int t = 1; t < pool->threads; t++) pthread_join(pool->workers[t - 1].handle, NULL);
    pthread_cond_destroy(&pool->job_left);
    pthread_cond_destroy(&pool->job_ready);
    pthread_mutex_destroy(&pool->lock);
    ftso_mem_free(pool->workers);
    ftso_mem_free(pool->share_block);
    ftso_mem_free(((pool_block *)pool)->block);
}

int ftso_pool_threads(const ftso_pool *pool)
{
    return pool->threads;
}

static bool nobody_inside(ftso_pool *pool)
{
    return (atomic_load(&pool->gate) & GATE_INSIDE_MASK) == 0;
}

static void wait_until_left(ftso_pool *pool)
{
    for (int i = 0; i < pool->spins; i++) {
        if (nobody_inside(pool)) return;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, 1);
    while (!nobody_inside(pool)) pthread_cond_wait(&pool->job_left, &pool->lock);
    atomic_store(&pool->caller_sleeps, 0);
    pthread_mutex_unlock(&pool->lock);
}

void ftso_pool_run(ftso_pool *pool, int64_t count, ftso_task task, void *user)
{
    int threads = pool->threads;
    if (threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; i++) task(user, i, 0);
        return;
    }
    if (pool->pin) call_home(pool);
    pool->task = task;
    pool->user = user;
    for (int t = 0; t < threads; t++) {
        share *s = &pool->shares[t];
        atomic_store_explicit(&s->next, count / threads * t + count % threads * t / threads,
                              memory_order_relaxed);
        s->end = count / threads * (t + 1) + count % threads * (t + 1) / threads;
    }
    uint64_t job = (atomic_load(&pool->gate) >> GATE_JOB_SHIFT) + 1;
    atomic_store(&pool->gate, job << GATE_JOB_SHIFT | GATE_OPEN);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->job_ready);
        pthread_mutex_unlock(&pool->lock);
    }
    work(pool, 0);
    atomic_fetch_and(&pool->gate, ~(uint64_t)GATE_OPEN);
    wait_until_left(pool);
}
