/*
 * Being stopped: the first Ctrl-C (or SIGTERM, or SIGHUP of a terminal that closes) asks for an end with the work saved,
 * the second ends the program at once. Under nohup, which ignores SIGHUP, that stays so.
 */
#include "runtime.h"

#include <signal.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    if (interrupted) {
        signal(number, SIG_DFL);
        raise(number); /* delivered when this handler returns */
    }
    interrupted = 1;
}

const volatile int *ftso_interrupt_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FTSO_COUNT(numbers); i++)
        if (numbers[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) < 0 ||
            before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    return &interrupted;
}
