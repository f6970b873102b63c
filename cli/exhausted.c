/*
 * Memory that runs out where no status can be returned: in an arena, in LLVM, in the C++ library under it.
 *
 * In: an abort, or the C++ library's call before it gives up. Out: one line that says what was short and where the limit
 * comes from, and exit code FTSO_ERROR_LIMIT. Holds: an abort for any other reason ends the process as it always did.
 */
#include "cli/cli.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static _Noreturn void leave(void)
{
    char line[256];
    struct rlimit limit = {0};
    int length;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        length =
            snprintf(line, sizeof(line),
                     "ftso: out of memory: this process may have %llu MiB of addresses (ulimit "
                     "-v); raise that limit, or lower batch or --threads\n",
                     (unsigned long long)limit.rlim_cur >> 20);
    else
        length = snprintf(line, sizeof(line),
                          "ftso: out of memory: the machine has no more to give; lower batch or "
                          "--threads\n");
    ssize_t written = write(STDERR_FILENO, line, (size_t)length);
    (void)written;
    _exit(FTSO_ERROR_LIMIT);
}

/* LLVM aborts without a word to us when a table of its own cannot grow; such tables are smaller than this. */
static bool memory_is_short(void)
{
    enum { PROBE_BYTES = 32 << 20 };
    void *probe = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) return true;
    munmap(probe, PROBE_BYTES);
    return false;
}

static void on_abort(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    bool arena = info->si_code == SI_QUEUE && info->si_value.sival_int == FTSO_ERROR_LIMIT;
    if (arena || memory_is_short()) leave();
}

void ftso_watch_memory(void)
{
    struct sigaction action = {.sa_sigaction = on_abort,
                               .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGABRT, &action, NULL);
    /* std::set_new_handler of the C++ library that LLVM brings; without it, operator new aborts and is met above. */
    void *(*set_new_handler)(void (*)(void));
    *(void **)&set_new_handler = dlsym(RTLD_DEFAULT, "_ZSt15set_new_handlerPFvvE");
    if (set_new_handler) set_new_handler(leave);
}
