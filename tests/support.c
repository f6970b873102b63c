#include "support.h"

#include <math.h>

double test_uniform(test_random *random)
{
    random->state = random->state * 6364136223846793005ull + 1442695040888963407ull;
    return (double)(random->state >> 11) / 9007199254740992.0;
}

double test_normal(test_random *random)
{
    double u = 1.0 - test_uniform(random), v = test_uniform(random);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

int64_t test_below(test_random *random, int64_t bound)
{
    return (int64_t)(test_uniform(random) * (double)bound);
}

void test_ok(ftso_status status)
{
    if (status.code != FTSO_OK) fail_msg("%s", status.message);
}
