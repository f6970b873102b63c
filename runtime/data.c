/*
 * Data sets: the table of readers, and what all readers do alike.
 *
 * In: a folder. Out: images as bytes in memory. Holds: nothing is believed: sizes are checked before memory is asked for,
 * and a file that is something else (a web page, a pointer left by a version control system) is called by its name.
 */
#include "runtime_internal.h"

#include <string.h>
#include <sys/mman.h>
#ifdef FTSO_HAVE_ZLIB
#include <zlib.h>
#endif

static const ftso_reader readers[] = {
    {"cifar10", "folder with data_batch_1.bin … data_batch_5.bin and test_batch.bin",
     ftso_load_cifar10},
    {"cifar100", "folder with train.bin and test.bin", ftso_load_cifar100},
    {"idx",
     "folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-… (MNIST's form), plain "
     "or .gz",
     ftso_load_idx},
    {"imagefolder",
     "folder with train/CLASS/….jpg (or .png) and test/CLASS/… or val/CLASS/…; pictures of any "
     "size",
     ftso_load_folder},
    {"npy",
     "folder with train_images.npy, train_labels.npy, test_images.npy, test_labels.npy (NumPy); "
     "also x_train.npy, y_train.npy, …",
     ftso_load_npy},
};

const ftso_reader *ftso_reader_rows(size_t *out_count)
{
    *out_count = FTSO_COUNT(readers);
    return readers;
}

const ftso_reader *ftso_reader_find(const char *kind)
{
    for (size_t i = 0; i < FTSO_COUNT(readers); i++)
        if (strcmp(readers[i].kind, kind) == 0) return &readers[i];
    return NULL;
}

enum { HUGE_BYTES = 2 << 20 };

ftso_status ftso_images_allocate(ftso_images *images, const char *path)
{
    const int64_t dims[] = {images->count, images->channels, images->height, images->width};
    int64_t pixels = 1;
    bool fits = true;
    for (size_t i = 0; i < FTSO_COUNT(dims); i++) {
        if (dims[i] < 1)
            return ftso_error(FTSO_ERROR_DATA, "'%s' says that it holds %lld images of %lld x %lld",
                              path, (long long)dims[0], (long long)dims[2], (long long)dims[3]);
        fits = fits && ftso_i64_mul(pixels, dims[i], &pixels);
    }
    if (!fits || images->count > INT32_MAX || pixels > INT64_C(1) << 40)
        return ftso_error(FTSO_ERROR_LIMIT,
                          "'%s' says that it holds %lld images of %lld x %lld: too many", path,
                          (long long)dims[0], (long long)dims[2], (long long)dims[3]);
    images->pixels = ftso_mem_alloc((size_t)pixels);
    images->labels = ftso_mem_alloc((size_t)images->count * sizeof(int32_t));
    if (images->pixels && pixels > 2 * HUGE_BYTES) {
        uintptr_t first = ((uintptr_t)images->pixels + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
        uintptr_t last = ((uintptr_t)images->pixels + (uintptr_t)pixels) / HUGE_BYTES * HUGE_BYTES;
        (void)madvise((void *)first, last - first, MADV_HUGEPAGE); /* advice only */
    }
    if (!images->pixels || !images->labels) {
        ftso_images_deinit(images);
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for %lld bytes of images in '%s'",
                          (long long)pixels, path);
    }
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- reading a file */

enum { BUFFER_BYTES = 1 << 20 };

static ftso_status refill(ftso_data_file *file)
{
    file->at = 0;
    return ftso_file_take(&file->file, file->buffer, BUFFER_BYTES, &file->filled);
}

static ftso_status open_regular(ftso_data_file *file)
{
    FTSO_TRY(ftso_file_open(&file->file, file->path));
    file->length = file->file.length;
    if (file->length == 0) return ftso_error(FTSO_ERROR_DATA, "'%s' is empty", file->path);
    file->buffer = ftso_mem_alloc(BUFFER_BYTES);
    if (!file->buffer) return ftso_error(FTSO_ERROR_LIMIT, "no memory to read '%s'", file->path);
    return refill(file);
}

#ifdef FTSO_HAVE_ZLIB

static ftso_status begin_unpacking(ftso_data_file *file)
{
    z_stream *stream = ftso_mem_alloc(sizeof(*stream));
    if (stream) memset(stream, 0, sizeof(*stream));
    if (stream && inflateInit2(stream, 16 + MAX_WBITS) == Z_OK) {
        file->stream = stream;
        return FTSO_STATUS_OK;
    }
    ftso_mem_free(stream);
    return ftso_error(FTSO_ERROR_LIMIT, "no memory to unpack '%s'", file->path);
}

static ftso_status take_gzip(ftso_data_file *file, uint8_t *out, size_t count, size_t *out_got)
{
    *out_got = 0;
    while (*out_got < count && !file->ended) {
        if (file->at == file->filled) FTSO_TRY(refill(file));
        if (file->filled == 0)
            return ftso_error(FTSO_ERROR_DATA, "'%s' is cut short: its gzip data do not end",
                              file->path);
        size_t want = count - *out_got;
        uInt step = want < BUFFER_BYTES ? (uInt)want : BUFFER_BYTES;
        file->stream->next_in = file->buffer + file->at;
        file->stream->avail_in = (uInt)(file->filled - file->at);
        file->stream->next_out = out + *out_got;
        file->stream->avail_out = step;
        int result = inflate(file->stream, Z_NO_FLUSH);
        *out_got += step - file->stream->avail_out;
        file->at = file->filled - file->stream->avail_in;
        file->ended = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
            return ftso_error(FTSO_ERROR_DATA, "'%s' is damaged: %s", file->path,
                              file->stream->msg ? file->stream->msg : "bad gzip data");
    }
    return FTSO_STATUS_OK;
}

static void end_unpacking(ftso_data_file *file)
{
    if (file->stream) inflateEnd(file->stream);
    ftso_mem_free(file->stream);
}

#else /* an artefact for a system whose zlib is not here */

static ftso_status begin_unpacking(ftso_data_file *file)
{
    return ftso_error(FTSO_ERROR_DATA,
                      "'%s' is packed, which this program does not read: unpack it", file->path);
}

static ftso_status take_gzip(ftso_data_file *file, uint8_t *out, size_t count, size_t *out_got)
{
    (void)out;
    (void)count;
    *out_got = 0;
    return begin_unpacking(file);
}

static void end_unpacking(ftso_data_file *file)
{
    (void)file;
}

#endif

static ftso_status look(ftso_data_file *file)
{
    const char *kind = ftso_sniff(file->buffer, file->filled);
    if (!kind) return FTSO_STATUS_OK;
    if (strcmp(kind, "a gzip file") != 0)
        return ftso_error(FTSO_ERROR_DATA, "'%s' is %s, not data: download it again", file->path,
                          kind);
    file->gzip = true;
    return begin_unpacking(file);
}

ftso_status ftso_data_open(ftso_data_file *file, const char *path)
{
    memset(file, 0, sizeof(*file));
    file->path = path;
    file->file.fd = -1;
    ftso_status status = open_regular(file);
    if (status.code == FTSO_OK) status = look(file);
    if (status.code != FTSO_OK) ftso_data_close(file);
    return status;
}

static ftso_status take_plain(ftso_data_file *file, uint8_t *out, size_t count, size_t *out_got)
{
    size_t left = file->filled - file->at;
    *out_got = count < left ? count : left;
    memcpy(out, file->buffer + file->at, *out_got);
    file->at += *out_got;
    if (*out_got == count) return FTSO_STATUS_OK;
    size_t more;
    if (count - *out_got >= BUFFER_BYTES) {
        FTSO_TRY(ftso_file_take(&file->file, out + *out_got, count - *out_got, &more));
    } else {
        FTSO_TRY(refill(file));
        more = count - *out_got < file->filled ? count - *out_got : file->filled;
        memcpy(out + *out_got, file->buffer, more);
        file->at = more;
    }
    *out_got += more;
    return FTSO_STATUS_OK;
}

/* Reads on; *out_got is less than `count` at the end of the data only. */
static ftso_status take(ftso_data_file *file, uint8_t *out, size_t count, size_t *out_got)
{
    return file->gzip ? take_gzip(file, out, count, out_got)
                      : take_plain(file, out, count, out_got);
}

ftso_status ftso_data_take(ftso_data_file *file, void *out, size_t count, const char *what)
{
    size_t got;
    FTSO_TRY(take(file, out, count, &got));
    if (got < count)
        return ftso_error(
            FTSO_ERROR_DATA,
            "'%s' is cut short: %zu of %zu bytes of %s are missing; download it again", file->path,
            count - got, count, what);
    return FTSO_STATUS_OK;
}

ftso_status ftso_data_end(ftso_data_file *file)
{
    uint8_t byte;
    size_t got;
    FTSO_TRY(take(file, &byte, 1, &got));
    if (got > 0)
        return ftso_error(FTSO_ERROR_DATA, "'%s' goes on after the data that its head announces",
                          file->path);
    return FTSO_STATUS_OK;
}

void ftso_data_close(ftso_data_file *file)
{
    end_unpacking(file);
    ftso_mem_free(file->buffer);
    ftso_file_close(&file->file);
    memset(file, 0, sizeof(*file));
    file->file.fd = -1;
}
