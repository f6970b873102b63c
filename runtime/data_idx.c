/*
 * IDX, the form of MNIST and its successors: a head of big-endian numbers, then bytes; plain or gzip.
 *
 * In: a folder with an images file and a labels file per part. Out: one-channel images and labels. Holds: both files say
 * the same count, each is exactly as long as its head announces. There are as many classes as the highest label needs.
 */
#include "runtime_internal.h"

#include <string.h>

enum { UNSIGNED_BYTES = 0x08, MAX_SIDE = 1 << 14 };

/* "train-images-idx3-ubyte", its dotted spelling, each with .gz: the first that is there. */
static ftso_status find_file(ftso_arena *arena, const char *path, const char *part,
                             const char *what, int rank, const char **out_path)
{
    for (int i = 0; i < 4; i++) {
        const char *separator = i < 2 ? "-" : ".", *suffix = i % 2 ? ".gz" : "";
        *out_path = ftso_format(arena, "%s/%s-%s%sidx%d-ubyte%s", path, part, what, separator, rank,
                                suffix);
        if (ftso_file_exists(*out_path)) return FTSO_STATUS_OK;
    }
    return ftso_error(FTSO_ERROR_DATA,
                      "no '%s-%s-idx%d-ubyte' (or .gz) in '%s'%s: name the folder of the images "
                      "with --data or in the space file; Fashion-MNIST comes with Debian's package "
                      "dataset-fashion-mnist, in /usr/share/datasets/fashion-mnist",
                      part, what, rank, path,
                      ftso_file_exists(path) ? "" : ", which is missing itself");
}

static int64_t big_endian(const uint8_t *bytes)
{
    return (int64_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/* The head: 0, 0, element type, rank, then `rank` sizes. */
static ftso_status read_head(ftso_data_file *file, int rank, const char *what, int64_t *dims)
{
    uint8_t head[4 + 4 * 3];
    FTSO_TRY(ftso_data_take(file, head, 4, "the head"));
    if (head[0] != 0 || head[1] != 0 || head[2] != UNSIGNED_BYTES || head[3] != rank)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' begins with %02x%02x%02x%02x; an IDX file of %s begins with "
                          "000008%02x",
                          file->path, head[0], head[1], head[2], head[3], what, rank);
    FTSO_TRY(ftso_data_take(file, head + 4, 4 * (size_t)rank, "the head"));
    for (int d = 0; d < rank; d++) dims[d] = big_endian(head + 4 + 4 * d);
    return FTSO_STATUS_OK;
}

static ftso_status load_images(ftso_data_file *file, ftso_images *out)
{
    int64_t dims[3];
    FTSO_TRY(read_head(file, 3, "images", dims));
    out->count = dims[0];
    out->channels = 1;
    out->height = dims[1];
    out->width = dims[2];
    if (dims[1] > MAX_SIDE || dims[2] > MAX_SIDE)
        return ftso_error(FTSO_ERROR_LIMIT,
                          "'%s' says that its images are %lld x %lld; at most %d x %d are read",
                          file->path, (long long)dims[1], (long long)dims[2], MAX_SIDE, MAX_SIDE);
    /* gzip packs a thousandfold at best: a short file with a large head costs no memory. */
    int64_t most = (int64_t)file->length * (file->gzip ? 1040 : 1);
    if (dims[1] > 0 && dims[2] > 0 && dims[0] > most / (dims[1] * dims[2]))
        return ftso_error(
            FTSO_ERROR_DATA,
            "'%s' is cut short: its %zu bytes cannot hold %lld images of %lld x %lld; "
            "download it again",
            file->path, file->length, (long long)dims[0], (long long)dims[1], (long long)dims[2]);
    FTSO_TRY(ftso_images_allocate(out, file->path));
    FTSO_TRY(ftso_data_take(file, out->pixels, (size_t)(dims[0] * dims[1] * dims[2]), "images"));
    return ftso_data_end(file);
}

static ftso_status load_labels(ftso_data_file *file, ftso_images *out)
{
    int64_t count;
    FTSO_TRY(read_head(file, 1, "labels", &count));
    if (count != out->count)
        return ftso_error(FTSO_ERROR_DATA, "'%s' holds %lld labels for %lld images", file->path,
                          (long long)count, (long long)out->count);
    int highest = 0;
    for (int64_t i = 0; i < count; i++) {
        uint8_t label;
        FTSO_TRY(ftso_data_take(file, &label, 1, "labels"));
        out->labels[i] = label;
        if (label > highest) highest = label;
    }
    out->classes = highest + 1;
    return ftso_data_end(file);
}

ftso_status ftso_load_idx(const char *path, bool test, ftso_images *out)
{
    memset(out, 0, sizeof(*out));
    const char *part = test ? "t10k" : "train", *images_path, *labels_path;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_data_file file;
    ftso_status status = find_file(&arena, path, part, "images", 3, &images_path);
    if (status.code == FTSO_OK) status = find_file(&arena, path, part, "labels", 1, &labels_path);
    if (status.code == FTSO_OK) status = ftso_data_open(&file, images_path);
    if (status.code == FTSO_OK) {
        status = load_images(&file, out);
        ftso_data_close(&file);
    }
    if (status.code == FTSO_OK) status = ftso_data_open(&file, labels_path);
    if (status.code == FTSO_OK) {
        status = load_labels(&file, out);
        ftso_data_close(&file);
    }
    ftso_arena_deinit(&arena);
    if (status.code != FTSO_OK) ftso_images_deinit(out);
    return status;
}
