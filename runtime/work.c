/*
 * Working memory: one large block, in huge pages where the system has them, touched before it is used.
 *
 * In: a size. Out: a block. Holds: first touches of memory, which cost more than the arithmetic on it, happen here, in
 * parallel, and never inside a run.
 */
#include "runtime_internal.h"

#include <string.h>
#include <sys/mman.h>

enum { LINE_BYTES = 64, HUGE_BYTES = 2 << 20, PAGE_BYTES = 4096 };

/* One item is one huge page. */
static void touch(void *user, int64_t item, int thread)
{
    (void)thread;
    const ftso_work *work = user;
    volatile char *start = work->start;
    int64_t end = (item + 1) * HUGE_BYTES;
    if (end > work->size_bytes) end = work->size_bytes;
    for (int64_t at = item * HUGE_BYTES; at < end; at += PAGE_BYTES) start[at] = 0;
}

ftso_status ftso_work_reserve(ftso_work *work, int64_t size_bytes, ftso_pool *pool)
{
    if (work->block && size_bytes <= work->size_bytes) return FTSO_STATUS_OK;
    bool huge = size_bytes >= HUGE_BYTES;
    size_t alignment = huge ? HUGE_BYTES : LINE_BYTES;
    void *block = ftso_mem_alloc((size_t)size_bytes + alignment);
    if (!block)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for the program's %.1f MiB",
                          (double)size_bytes / (1 << 20));
    ftso_mem_free(work->block);
    uintptr_t start = ((uintptr_t)block + alignment - 1) / alignment * alignment;
    work->block = block;
    work->start = (char *)start;
    work->size_bytes = size_bytes;
    work->moves++;
    work->user = NULL;
    /* Advice only: where the system has no huge pages, small ones serve. */
    if (huge)
        (void)madvise(work->start, (size_t)size_bytes / HUGE_BYTES * HUGE_BYTES, MADV_HUGEPAGE);
    ftso_pool_run(pool, (size_bytes + HUGE_BYTES - 1) / HUGE_BYTES, touch, work);
    return FTSO_STATUS_OK;
}

void ftso_work_deinit(ftso_work *work)
{
    ftso_mem_free(work->block);
    memset(work, 0, sizeof(*work));
}
