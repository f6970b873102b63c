/*
 * Fuzz target for what data come in: pictures, NumPy files, lists of steps, names of classes.
 *
 * In: any bytes; JPEG, PNG and .npy files are told by their first bytes, all else is text. Must hold: nothing crashes, leaks
 * or overflows; a failure has a code and says something; a picture has the channels that were asked for and every pixel of it
 * can be read; a list of steps prints to a text that means the same.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "tests/fuzz/fuzz.h"

static void expect(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void expect_reason(ftso_status status)
{
    bool ours = status.code == FTSO_ERROR_DATA || status.code == FTSO_ERROR_LIMIT;
    expect(ours && status.message[0], "not an error of the data");
}

/* ---------------------------------------------------------------- pictures */

enum { MOST_PIXELS = 1 << 20 }; /* larger ones only take time */

static void try_transform(const ftso_picture *picture)
{
    ftso_transform transform;
    float out[3 * 20 * 20];
    expect(ftso_transform_parse("resize(24) -> center_crop(20)", &transform).code == FTSO_OK,
           "the transform is refused");
    ftso_status status = ftso_picture_transform(picture, &transform, 20, out);
    if (status.code != FTSO_OK) { /* longer than 16384 to 24 */
        expect_reason(status);
        return;
    }
    for (int64_t i = 0; i < picture->channels * 400; i++)
        expect(out[i] >= 0 && out[i] <= 1, "a pixel out of range");
}

static void try_picture(const uint8_t *data, size_t size)
{
    for (int64_t channels = 1; channels <= 3; channels += 2) {
        ftso_picture picture = {0};
        ftso_status status = ftso_picture_decode(data, size, channels, &picture);
        if (status.code == FTSO_OK) {
            expect(picture.channels == channels, "another number of channels");
            uint64_t hash = ftso_hash(FTSO_HASH_SEED, picture.pixels,
                                      (size_t)(picture.channels * picture.height * picture.width));
            expect(hash != 0, "never");
            if (picture.height * picture.width <= MOST_PIXELS) try_transform(&picture);
        } else {
            expect_reason(status);
        }
        ftso_picture_deinit(&picture);
    }
}

/* ---------------------------------------------------------------- NumPy */

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    expect(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "cannot write");
    close(fd);
}

static void load(const char *folder)
{
    ftso_images images;
    ftso_status status = ftso_reader_find("npy")->load(folder, false, &images);
    if (status.code != FTSO_OK) {
        expect_reason(status);
        return;
    }
    for (int64_t i = 0; i < images.count; i++)
        expect(images.labels[i] >= 0 && images.labels[i] < images.classes, "a label out of range");
    ftso_hash(FTSO_HASH_SEED, images.pixels,
              (size_t)(images.count * images.channels * images.height * images.width));
    ftso_images_deinit(&images);
}

/* The bytes as images beside good labels, and as labels beside good images. */
static void try_arrays(const uint8_t *data, size_t size)
{
    char folder[] = "/dev/shm/fuzz-data-XXXXXX", good[128] = {0};
    expect(mkdtemp(folder), "cannot make a folder");
    memcpy(good, "\x93NUMPY\x01\0\x36\0", 10); /* a head of 54 bytes, then two of data */
    for (int turn = 0; turn < 2; turn++) {
        snprintf(good + 10, 64, "%-54s",
                 turn ? "{'descr':'|u1','fortran_order':False,'shape':(2,1,1)}"
                      : "{'descr':'|u1','fortran_order':False,'shape':(2,)}");
        good[64] = 0;
        good[65] = 1;
        write_file(folder, turn ? "train_images.npy" : "train_labels.npy", good, 66);
        write_file(folder, turn ? "train_labels.npy" : "train_images.npy", data, size);
        load(folder);
    }
    static const char *const names[] = {"train_images.npy", "train_labels.npy"};
    for (int i = 0; i < 2; i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* ---------------------------------------------------------------- text */

static void try_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    ftso_transform transform, again;
    ftso_status status = ftso_transform_parse(text, &transform);
    if (status.code == FTSO_OK) {
        ftso_text out;
        ftso_text_init(&out);
        ftso_transform_print(&transform, &out);
        expect(ftso_transform_parse(ftso_text_get(&out), &again).code == FTSO_OK &&
                   memcmp(&transform, &again, sizeof(again)) == 0,
               "another transform after printing");
        ftso_text_deinit(&out);
    } else {
        expect_reason(status);
    }
    const char **names;
    int64_t count;
    status = ftso_class_names_parse(text, size, &names, &count);
    if (status.code == FTSO_OK) {
        for (int64_t i = 0; i < count; i++) expect(names[i][0], "a class without a name");
        ftso_mem_free(names);
    } else {
        expect_reason(status);
    }
    ftso_sniff(data, size);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool array = size >= 2 && data[0] == 0x93 && data[1] == 'N';
    bool picture = size >= 2 && (data[0] == 0xff || data[0] == 0x89);
    if (picture)
        try_picture(data, size);
    else if (array)
        try_arrays(data, size);
    else
        try_text(data, size);
    return 0;
}
