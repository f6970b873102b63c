/*
 * Random numbers as a function of place: Random123's Philox4x32-10, keyed by seed, counted by stream, step and index.
 *
 * In: where a number is needed. Out: the number. Holds: no state, so neither threads nor the order of calls matter, and a
 * resumed run needs counters alone.
 */
#include "runtime.h"

#include <Random123/philox.h>
#include <math.h>

/* counter = (index low, index high and stream, step low, step high); key = seed. */
ftso_random ftso_random_at(uint64_t seed, ftso_stream stream, uint64_t step, uint64_t index)
{
    FTSO_ASSERT(index >> 48 == 0);
    philox4x32_ctr_t counter = {{(uint32_t)index, (uint32_t)(index >> 32) | (uint32_t)stream << 16,
                                 (uint32_t)step, (uint32_t)(step >> 32)}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t words = philox4x32(counter, key);
    return (ftso_random){{words.v[0], words.v[1], words.v[2], words.v[3]}};
}

double ftso_random_uniform(uint32_t word)
{
    return (double)word * 0x1p-32;
}

void ftso_random_normal(ftso_random r, double out[2])
{
    /* (0, 1], so that the logarithm is finite; 53 bits where they count, in the tails. */
    double u = ((double)r.word[0] * 0x1p-32) + (double)(r.word[1] >> 11) * 0x1p-53;
    double radius = sqrt(-2 * log(1 - u));
    double angle = 6.283185307179586476925286766559 * ((double)r.word[2] + 0.5) * 0x1p-32;
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

/* High half of the 128-bit product of two 64-bit numbers. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), mid2 = a0 * b1 + (uint32_t)mid;
    return a1 * b1 + (mid >> 32) + (mid2 >> 32);
}

int64_t ftso_random_below(ftso_random r, int64_t bound)
{
    FTSO_ASSERT(bound > 0);
    uint64_t bits = (uint64_t)r.word[0] << 32 | r.word[1];
    return (int64_t)multiply_high(bits, (uint64_t)bound);
}

void ftso_random_permutation(uint64_t seed, ftso_stream stream, uint64_t step, int64_t count,
                             int64_t take, int32_t *out)
{
    FTSO_ASSERT(take >= 0 && take <= count && count <= INT32_MAX);
    for (int64_t i = 0; i < count; i++) out[i] = (int32_t)i;
    for (int64_t i = 0; i < take; i++) {
        ftso_random r = ftso_random_at(seed, stream, step, (uint64_t)i);
        int64_t j = i + ftso_random_below(r, count - i);
        int32_t kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}
