/*
 * Ceilings: a loop of independent multiply-adds in registers, and a sum over memory that no cache holds, taken up as runners take
 * up theirs: in small pages the same loop is a tenth slower.
 */
#include "cli/ceilings.h"

#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { CHAINS = 12, ROUNDS = 400000, STREAM_BYTES = 64 << 20 };

/* The first is longer than a scheduler needs to give every thread a processor of its own. */
static const double TRYING_S = 0.15, AGAIN_S = 0.03;

/* ROUNDS of CHAINS multiply-adds on vectors; the result keeps the compiler from dropping them. */
typedef float (*burn)(float seed);

#define BURN(name, isa, type, set, multiply_add, first)                                            \
    __attribute__((target(isa))) static float name(float seed)                                     \
    {                                                                                              \
        type a[CHAINS], b = set(0.999f), c = set(1e-3f);                                           \
        for (int i = 0; i < CHAINS; i++) a[i] = set(seed + (float)i);                              \
        for (int r = 0; r < ROUNDS; r++) {                                                         \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) a[i] =                       \
                multiply_add(a[i], b, c);                                                          \
        }                                                                                          \
        type sum = a[0];                                                                           \
        for (int i = 1; i < CHAINS; i++) sum = multiply_add(a[i], b, sum);                         \
        return first(sum);                                                                         \
    }

#if defined(__x86_64__)
#define SSE_MULTIPLY_ADD(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
BURN(burn_sse2, "sse2", __m128, _mm_set1_ps, SSE_MULTIPLY_ADD, _mm_cvtss_f32)
BURN(burn_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
BURN(burn_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)

static burn burn_for(const ftso_target *target)
{
    return target->vector_floats >= 16  ? burn_avx512
           : target->vector_floats >= 8 ? burn_avx2
                                        : burn_sse2;
}
#else
static float burn_scalar(float seed)
{
    float a[CHAINS];
    for (int i = 0; i < CHAINS; i++) a[i] = seed + (float)i;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * 0.999f + 1e-3f;
    return a[0];
}

static burn burn_for(const ftso_target *target)
{
    (void)target;
    return burn_scalar;
}
#endif

typedef struct probe {
    burn burn;
    const uint64_t *memory;
    size_t words; /* of one thread */
    volatile float kept;
    volatile uint64_t kept_sum;
} probe;

static void burn_task(void *user, int64_t item, int thread)
{
    probe *p = user;
    (void)thread;
    p->kept = p->burn((float)item);
}

static void stream_task(void *user, int64_t item, int thread)
{
    probe *p = user;
    (void)thread;
    const uint64_t *words = p->memory + (size_t)item * p->words;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 8 <= p->words; i += 8)
        for (size_t k = 0; k < 8; k++) sums[k] += words[i + k];
    for (size_t k = 0; k < 8; k++) p->kept_sum += sums[k];
}

double ftso_clock_read(ftso_clock_kind kind, int threads)
{
    if (kind == FTSO_CLOCK_WALL) return ftso_clock_s();
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return ((double)now.tv_sec + 1e-9 * (double)now.tv_nsec) / threads;
}

/* The shortest run of `task` on every thread, of as many as fit into the time. */
static double best_seconds(ftso_pool *pool, ftso_task task, probe *p, ftso_clock_kind clock,
                           double trying_s)
{
    int threads = ftso_pool_threads(pool);
    double best = 1e9, end = ftso_clock_s() + trying_s;
    while (ftso_clock_s() < end) {
        double start = ftso_clock_read(clock, threads);
        ftso_pool_run(pool, threads, task, p);
        double seconds = ftso_clock_read(clock, threads) - start;
        if (seconds < best) best = seconds;
    }
    return best;
}

static double memory_ceiling(ftso_pool *pool, ftso_clock_kind clock, double trying_s)
{
    int64_t bytes = STREAM_BYTES * (int64_t)ftso_pool_threads(pool);
    double bytes_per_s = 0;
    ftso_work work = {0};
    if (ftso_work_reserve(&work, bytes, pool).code == FTSO_OK) {
        probe p = {.memory = (const uint64_t *)work.start,
                   .words = STREAM_BYTES / sizeof(uint64_t)};
        bytes_per_s = (double)bytes / best_seconds(pool, stream_task, &p, clock, trying_s);
    }
    ftso_work_deinit(&work);
    return bytes_per_s;
}

double ftso_ceilings_memory(ftso_pool *pool, ftso_clock_kind clock)
{
    return memory_ceiling(pool, clock, AGAIN_S);
}

ftso_ceilings ftso_ceilings_measure(ftso_pool *pool, const ftso_target *target,
                                    ftso_clock_kind clock)
{
    probe p = {.burn = burn_for(target)};
    double flops = ftso_pool_threads(pool) * 2.0 * CHAINS * ROUNDS * target->vector_floats;
    return (ftso_ceilings){.flops_per_s =
                               flops / best_seconds(pool, burn_task, &p, clock, TRYING_S),
                           .bytes_per_s = memory_ceiling(pool, clock, TRYING_S)};
}
