/*
 * Pictures: their memory, their files, the table of forms.
 *
 * In: a file's bytes. Out: pixels as bytes. Holds: the form is told by the first bytes; what is no picture is called by its
 * name; sizes are checked before memory is asked for.
 */
#include "runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FTSO_HAVE_JPEG
#define ftso_decode_jpeg NULL
#endif
#ifndef FTSO_HAVE_PNG
#define ftso_decode_png NULL
#endif

static const ftso_picture_form forms[] = {
    {"JPEG", "libturbojpeg0-dev", "\xff\xd8\xff", 3, ftso_decode_jpeg},
    {"PNG", "libpng-dev", "\x89PNG\r\n\x1a\n", 8, ftso_decode_png},
};

/* Forms that people meet and that are not read. */
static const struct {
    const char *name, *magic;
    size_t at, length;
} others[] = {
    {"a GIF picture", "GIF8", 0, 4},      {"a BMP picture", "BM", 0, 2},
    {"a WebP picture", "WEBP", 8, 4},     {"a TIFF picture", "II*\0", 0, 4},
    {"a TIFF picture", "MM\0*", 0, 4},    {"an AVIF picture", "ftypavif", 4, 8},
    {"a HEIC picture", "ftypheic", 4, 8}, {"a JPEG 2000 picture", "\0\0\0\x0cjP  ", 0, 8},
};

const ftso_picture_form *ftso_picture_forms(size_t *out_count)
{
    *out_count = FTSO_COUNT(forms);
    return forms;
}

/* ---------------------------------------------------------------- memory */

ftso_status ftso_block_reserve(ftso_block *block, size_t size_bytes)
{
    if (block->bytes && size_bytes <= block->capacity) return FTSO_STATUS_OK;
    ftso_block_deinit(block);
    block->bytes = ftso_mem_alloc(size_bytes);
    if (!block->bytes)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for %zu bytes of a picture", size_bytes);
    block->capacity = size_bytes;
    return FTSO_STATUS_OK;
}

void ftso_block_deinit(ftso_block *block)
{
    ftso_mem_free(block->bytes);
    memset(block, 0, sizeof(*block));
}

void ftso_picture_deinit(ftso_picture *picture)
{
    ftso_mem_free(picture->pixels);
    memset(picture, 0, sizeof(*picture));
}

ftso_status ftso_picture_reserve(ftso_picture *picture, int64_t channels, int64_t height,
                                 int64_t width)
{
    FTSO_ASSERT(height >= 1 && height <= FTSO_PICTURE_SIDE && width >= 1 &&
                width <= FTSO_PICTURE_SIDE);
    ftso_block block = {picture->pixels, picture->capacity};
    ftso_status status = ftso_block_reserve(&block, (size_t)(channels * height * width));
    picture->pixels = block.bytes;
    picture->capacity = block.capacity;
    if (status.code != FTSO_OK) return status;
    picture->channels = channels;
    picture->height = height;
    picture->width = width;
    return FTSO_STATUS_OK;
}

ftso_pixels ftso_picture_pixels(const ftso_picture *picture)
{
    return (ftso_pixels){.base = picture->pixels,
                         .channels = picture->channels,
                         .height = picture->height,
                         .width = picture->width,
                         .channel_step = 1,
                         .row_step = picture->width * picture->channels,
                         .column_step = picture->channels};
}

ftso_status ftso_picture_announce(const char *form, int64_t height, int64_t width)
{
    if (height >= 1 && width >= 1 && height <= FTSO_PICTURE_SIDE && width <= FTSO_PICTURE_SIDE &&
        height * width <= FTSO_PICTURE_PIXELS)
        return FTSO_STATUS_OK;
    return ftso_error(
        FTSO_ERROR_LIMIT, "a %s of %lld x %lld pixels; at most %d each way and %d in all are read",
        form, (long long)width, (long long)height, FTSO_PICTURE_SIDE, FTSO_PICTURE_PIXELS);
}

/* ---------------------------------------------------------------- decoding */

static ftso_status not_a_picture(const uint8_t *bytes, size_t length)
{
    const char *look = ftso_sniff(bytes, length);
    for (size_t i = 0; i < FTSO_COUNT(others) && !look; i++)
        if (length >= others[i].at + others[i].length &&
            memcmp(bytes + others[i].at, others[i].magic, others[i].length) == 0)
            look = others[i].name;
    if (look) return ftso_error(FTSO_ERROR_DATA, "this is %s, neither JPEG nor PNG", look);
    if (length == 0) return ftso_error(FTSO_ERROR_DATA, "the file is empty");
    return ftso_error(FTSO_ERROR_DATA, "this is neither JPEG nor PNG: it begins with %02x%02x%02x",
                      bytes[0], length > 1 ? bytes[1] : 0, length > 2 ? bytes[2] : 0);
}

ftso_status ftso_picture_decode(const uint8_t *bytes, size_t length, int64_t channels,
                                ftso_picture *out)
{
    if (channels != 1 && channels != 3)
        return ftso_error(FTSO_ERROR_USER,
                          "pictures have 1 channel (grey) or 3 (colours), and %lld are wanted",
                          (long long)channels);
    for (size_t i = 0; i < FTSO_COUNT(forms); i++) {
        const ftso_picture_form *form = &forms[i];
        if (length < form->magic_length || memcmp(bytes, form->magic, form->magic_length) != 0)
            continue;
        if (form->decode) return form->decode(bytes, length, channels, out);
        return ftso_error(FTSO_ERROR_DATA,
                          "this ftso was built without %s: install %s, and build it again",
                          form->name, form->package);
    }
    return not_a_picture(bytes, length);
}

/* ---------------------------------------------------------------- files */

static ftso_status read_all(int fd, ftso_block *block, size_t *out_length)
{
    struct stat info;
    if (fstat(fd, &info) < 0) return ftso_error(FTSO_ERROR_DATA, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return ftso_error(FTSO_ERROR_DATA, "this is %s, not a file",
                          S_ISDIR(info.st_mode) ? "a folder" : "a device");
    if (info.st_size > FTSO_PICTURE_BYTES)
        return ftso_error(FTSO_ERROR_LIMIT, "the file has %lld bytes; at most %d are read",
                          (long long)info.st_size, FTSO_PICTURE_BYTES);
    size_t size = (size_t)info.st_size;
    FTSO_TRY(ftso_block_reserve(block, size ? size : 1));
    for (*out_length = 0; *out_length < size;) {
        ssize_t got = read(fd, block->bytes + *out_length, size - *out_length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ftso_error(FTSO_ERROR_DATA, "%s", strerror(errno));
        if (got == 0) break; /* cut short meanwhile: the decoder will say so */
        *out_length += (size_t)got;
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_picture_read_into(const char *path, int64_t channels, ftso_block *file,
                                   ftso_picture *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe is not waited for */
    if (fd < 0) return ftso_error(FTSO_ERROR_DATA, "cannot open '%s': %s", path, strerror(errno));
    size_t length = 0;
    ftso_status status = read_all(fd, file, &length);
    close(fd);
    if (status.code == FTSO_OK) status = ftso_picture_decode(file->bytes, length, channels, out);
    if (status.code != FTSO_OK) return ftso_annotate(status, "'%s'", path);
    return status;
}

ftso_status ftso_picture_read(const char *path, int64_t channels, ftso_picture *out)
{
    ftso_block file = {0};
    ftso_status status = ftso_picture_read_into(path, channels, &file, out);
    ftso_block_deinit(&file);
    return status;
}
