/*
 * Shared inside runtime/: working memory of runners (work.c), what the data readers have in common (data.c).
 */
#ifndef FTSO_RUNTIME_INTERNAL_H
#define FTSO_RUNTIME_INTERNAL_H

#include "runtime/runtime.h"

#include <zlib.h>

/* A block that one runner, or several in turn, work in. */
typedef struct ftso_work {
    void *block;
    char *start; /* aligned to a huge page where there is one's worth */
    int64_t size_bytes;
    uint64_t moves; /* how often `start` changed: runners compare it with what they are bound to */
    const void *user; /* the runner that used it last */
} ftso_work;

/* Makes the block at least that large, its pages touched by the pool. On failure the old block stays. */
ftso_status FTSO_MUST_USE ftso_work_reserve(ftso_work *work, int64_t size_bytes, ftso_pool *pool);
void ftso_work_deinit(ftso_work *work);
/* The block that runners over these states share, or NULL. */
ftso_work *ftso_states_work(ftso_states *states);

/* A file's content, read from front to back; gzip is undone on the way. */
typedef struct ftso_data_file {
    const char *path;
    ftso_file file;
    size_t length; /* of the file as it is, packed or not */
    uint8_t *buffer;
    size_t filled, at; /* bytes in the buffer; of these, bytes taken */
    bool gzip, ended;
    z_stream stream;
} ftso_data_file;

/* Opens the file; refuses web pages, pointers and the like by what they are. */
ftso_status FTSO_MUST_USE ftso_data_open(ftso_data_file *file, const char *path);
/* The next `count` bytes; fewer are an error that says how many are missing of `what`. */
ftso_status FTSO_MUST_USE ftso_data_take(ftso_data_file *file, void *out, size_t count,
                                         const char *what);
/* That nothing is left. */
ftso_status FTSO_MUST_USE ftso_data_end(ftso_data_file *file);
void ftso_data_close(ftso_data_file *file);

/* Memory for the images' pixels and labels; dimensions must be set and are checked. */
ftso_status FTSO_MUST_USE ftso_images_allocate(ftso_images *images, const char *path);

/* One reader per kind: data_cifar.c, data_idx.c. */
ftso_status FTSO_MUST_USE ftso_load_cifar10(const char *path, bool test, ftso_images *out);
ftso_status FTSO_MUST_USE ftso_load_cifar100(const char *path, bool test, ftso_images *out);
ftso_status FTSO_MUST_USE ftso_load_idx(const char *path, bool test, ftso_images *out);

#endif
