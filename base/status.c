/*
 * Status: failures of the world, one line each, annotated on the way up; and the clock.
 */
#include "base.h"

#include <string.h>
#include <time.h>

ftso_status ftso_error(ftso_code code, const char *fmt, ...)
{
    ftso_status status = {.code = code};
    va_list args;
    va_start(args, fmt);
    vsnprintf(status.message, sizeof(status.message), fmt, args);
    va_end(args);
    return status;
}

ftso_status ftso_annotate(ftso_status status, const char *fmt, ...)
{
    if (status.code == FTSO_OK) return status;
    ftso_status wider = {.code = status.code};
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(wider.message, sizeof(wider.message), fmt, args);
    va_end(args);
    if (used < 0) return status;
    const char *parts[] = {": ", status.message};
    size_t at = (size_t)used < sizeof(wider.message) ? (size_t)used : sizeof(wider.message) - 1;
    for (size_t part = 0; part < FTSO_COUNT(parts); part++)
        for (const char *c = parts[part]; *c && at + 1 < sizeof(wider.message); c++)
            wider.message[at++] = *c;
    wider.message[at] = '\0';
    return wider;
}

double ftso_clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
