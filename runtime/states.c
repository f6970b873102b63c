/*
 * State memory by name, shared by all runners of a device.
 *
 * In: names and sizes. Out: aligned memory that is zero until written. Holds: a state never moves, so runners keep its address.
 */
#include "runtime_internal.h"

#include <string.h>

typedef struct state {
    char *name;
    void *block;
    float *data;
    int64_t size_bytes;
} state;

struct ftso_states {
    state *items;
    size_t count, capacity;
    bool shares_work;
    uint64_t changes;
    ftso_work work;
};

enum { ALIGNMENT_BYTES = 64 };

ftso_status ftso_states_new(ftso_states **out_states)
{
    *out_states = ftso_mem_alloc(sizeof(ftso_states));
    if (!*out_states) return ftso_error(FTSO_ERROR_LIMIT, "no memory for states");
    memset(*out_states, 0, sizeof(ftso_states));
    (*out_states)->changes = 1;
    return FTSO_STATUS_OK;
}

void ftso_states_free(ftso_states *states)
{
    if (!states) return;
    for (size_t i = 0; i < states->count; i++) {
        ftso_mem_free(states->items[i].name);
        ftso_mem_free(states->items[i].block);
    }
    ftso_work_deinit(&states->work);
    ftso_mem_free(states->items);
    ftso_mem_free(states);
}

void ftso_states_share_work(ftso_states *states)
{
    states->shares_work = true;
}

uint64_t *ftso_states_changes(ftso_states *states)
{
    return &states->changes;
}

ftso_work *ftso_states_work(ftso_states *states)
{
    return states->shares_work ? &states->work : NULL;
}

/* Room for one more state. */
static ftso_status add(ftso_states *states, const char *name, const state *content)
{
    if (states->count == states->capacity) {
        size_t wider = states->capacity ? states->capacity * 2 : 8;
        state *fresh = ftso_mem_resize(states->items, wider * sizeof(state));
        if (!fresh) return ftso_error(FTSO_ERROR_LIMIT, "no memory for state \"%s\"", name);
        states->items = fresh;
        states->capacity = wider;
    }
    state s = *content;
    s.name = ftso_mem_alloc(strlen(name) + 1);
    if (!s.name) return ftso_error(FTSO_ERROR_LIMIT, "no memory for state \"%s\"", name);
    strcpy(s.name, name);
    states->items[states->count++] = s;
    return FTSO_STATUS_OK;
}

ftso_status ftso_states_lend(ftso_states *states, const char *name, const float *data,
                             int64_t size_bytes)
{
    /* Kept where writable states are kept, and handed out by ftso_states_get like them. */
    state s = {.data = (float *)(uintptr_t)data, .size_bytes = size_bytes};
    return add(states, name, &s);
}

ftso_status ftso_states_get(ftso_states *states, const char *name, int64_t size_bytes,
                            float **out_data)
{
    *out_data = NULL;
    FTSO_ASSERT(size_bytes >= 0);
    for (size_t i = 0; i < states->count; i++) {
        const state *s = &states->items[i];
        if (strcmp(s->name, name) != 0) continue;
        if (s->size_bytes != size_bytes)
            return ftso_error(FTSO_ERROR_INTERNAL,
                              "state \"%s\" has %lld bytes; a second program wants %lld", name,
                              (long long)s->size_bytes, (long long)size_bytes);
        *out_data = s->data;
        return FTSO_STATUS_OK;
    }
    state s = {.size_bytes = size_bytes};
    size_t total;
    if (!ftso_size_add((size_t)size_bytes, ALIGNMENT_BYTES, &total)) total = SIZE_MAX;
    s.block = ftso_mem_alloc(total);
    if (!s.block)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for %lld bytes of state \"%s\"",
                          (long long)size_bytes, name);
    uintptr_t start = ((uintptr_t)s.block + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES;
    s.data = (float *)(start * ALIGNMENT_BYTES);
    memset(s.data, 0, (size_t)size_bytes);
    ftso_status status = add(states, name, &s);
    if (status.code != FTSO_OK) {
        ftso_mem_free(s.block);
        return status;
    }
    *out_data = s.data;
    return FTSO_STATUS_OK;
}
