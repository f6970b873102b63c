/*
 * Memory: the replaceable allocator, checked size arithmetic, arenas.
 * Holds: every arena block is 16-byte aligned and zeroed; blocks double in size up to 1 MiB.
 */
#include "base.h"

#include <stdlib.h>
#include <string.h>

static void *heap_alloc(void *user, size_t size_bytes)
{
    (void)user;
    return malloc(size_bytes);
}

static void *heap_resize(void *user, void *block, size_t size_bytes)
{
    (void)user;
    return realloc(block, size_bytes);
}

static void heap_release(void *user, void *block)
{
    (void)user;
    free(block);
}

static const ftso_allocator heap = {heap_alloc, heap_resize, heap_release, NULL};
static _Thread_local const ftso_allocator *current;

const ftso_allocator *ftso_allocator_get(void)
{
    return current ? current : &heap;
}

void ftso_allocator_override(const ftso_allocator *allocator)
{
    current = allocator;
}

void *ftso_mem_alloc(size_t size_bytes)
{
    const ftso_allocator *a = ftso_allocator_get();
    return a->alloc(a->user, size_bytes ? size_bytes : 1);
}

void *ftso_mem_resize(void *block, size_t size_bytes)
{
    const ftso_allocator *a = ftso_allocator_get();
    return a->resize(a->user, block, size_bytes ? size_bytes : 1);
}

void ftso_mem_free(void *block)
{
    const ftso_allocator *a = ftso_allocator_get();
    if (block) a->release(a->user, block);
}

bool ftso_size_mul(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool ftso_size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

bool ftso_i64_mul(int64_t a, int64_t b, int64_t *out)
{
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}

bool ftso_i64_add(int64_t a, int64_t b, int64_t *out)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

struct ftso_arena_block {
    ftso_arena_block *next;
    size_t size_bytes, used_bytes;
};

enum { ALIGNMENT = 16, FIRST_BLOCK_BYTES = 4096, LARGEST_STEP_BYTES = 1 << 20 };
static const size_t header_bytes =
    (sizeof(ftso_arena_block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

void ftso_arena_init(ftso_arena *arena)
{
    memset(arena, 0, sizeof(*arena));
}

void ftso_arena_deinit(ftso_arena *arena)
{
    while (arena->blocks) {
        ftso_arena_block *next = arena->blocks->next;
        ftso_mem_free(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
}

void ftso_arena_reset(ftso_arena *arena)
{
    ftso_arena_deinit(arena);
}

static _Noreturn void exhausted(ftso_arena *arena, size_t size_bytes)
{
    if (arena->on_exhausted) arena->on_exhausted(arena->user, size_bytes);
    ftso_arena_failed(size_bytes, arena->used_bytes);
}

void *ftso_arena_alloc(ftso_arena *arena, size_t size_bytes)
{
    size_t rounded;
    if (!ftso_size_add(size_bytes, ALIGNMENT - 1, &rounded)) exhausted(arena, size_bytes);
    rounded = rounded / ALIGNMENT * ALIGNMENT;
    ftso_arena_block *block = arena->blocks;
    if (!block || block->size_bytes - block->used_bytes < rounded) {
        size_t step = block ? block->size_bytes * 2 : FIRST_BLOCK_BYTES;
        if (step > LARGEST_STEP_BYTES) step = LARGEST_STEP_BYTES;
        size_t room = rounded > step ? rounded : step, total;
        if (!ftso_size_add(room, header_bytes, &total)) exhausted(arena, size_bytes);
        block = ftso_mem_alloc(total);
        if (!block) exhausted(arena, size_bytes);
        block->next = arena->blocks;
        block->size_bytes = room;
        block->used_bytes = 0;
        arena->blocks = block;
    }
    char *start = (char *)block + header_bytes + block->used_bytes;
    block->used_bytes += rounded;
    arena->used_bytes += rounded;
    memset(start, 0, rounded);
    return start;
}

void *ftso_arena_array(ftso_arena *arena, size_t count, size_t size_bytes)
{
    size_t total;
    if (!ftso_size_mul(count, size_bytes, &total)) exhausted(arena, SIZE_MAX);
    return ftso_arena_alloc(arena, total);
}

void *ftso_arena_grow(ftso_arena *arena, void *items, size_t count, size_t *capacity,
                      size_t item_bytes)
{
    size_t wider = *capacity ? *capacity * 2 : 8;
    void *fresh = ftso_arena_array(arena, wider, item_bytes);
    if (count) memcpy(fresh, items, count * item_bytes);
    *capacity = wider;
    return fresh;
}
