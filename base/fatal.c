/*
 * The two ways in which this program ends without a status: a broken invariant, an arena without memory. Artefacts that are
 * libraries have their own (runtime/carried/library.c).
 */
#include "base.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

_Noreturn void ftso_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "ftso: internal error: %s does not hold at %s:%d\n", cond, file, line);
    abort();
}

_Noreturn void ftso_arena_failed(size_t size_bytes, size_t used_bytes)
{
    fprintf(stderr, "ftso: out of memory: %zu bytes wanted after %zu in this arena\n", size_bytes,
            used_bytes);
    union sigval limit = {.sival_int = FTSO_ERROR_LIMIT};
    pthread_sigqueue(pthread_self(), SIGABRT, limit);
    abort();
}
