/*
 * NumPy's .npy files, versions 1 to 3: an array of images and an array of labels per part.
 *
 * In: a folder with train_images.npy and train_labels.npy, test_images.npy and test_labels.npy (or x_…, y_…). Out: images
 * as planes, labels. Holds: the head is a Python literal of three known keys and nothing else is read of it; the file is
 * exactly as long as its head announces; images are bytes, labels whole numbers from 0 on, of any width and byte order.
 */
#include "runtime_internal.h"

#include <string.h>

enum { MAX_RANK = 4, MAX_HEAD = 1 << 16, MAX_CLASSES = 100000, MAX_SIDE = 1 << 14 };

/* What a head says. */
typedef struct array_head {
    char descr[16]; /* "|u1" */
    bool fortran;
    int rank;
    int64_t dim[MAX_RANK];
} array_head;

/* ---------------------------------------------------------------- the head */

static const char *skip_spaces(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t') at++;
    return at;
}

static ftso_status bad_head(const ftso_data_file *file, const char *at)
{
    return ftso_error(FTSO_ERROR_DATA, "the head of '%s' is damaged at '%.24s'", file->path, at);
}

/* 'text' between single quotes. */
static bool take_text(const char **at, char *out, size_t size)
{
    if (**at != '\'') return false;
    size_t length = strcspn(*at + 1, "'");
    if ((*at)[1 + length] != '\'' || length >= size) return false;
    memcpy(out, *at + 1, length);
    out[length] = 0;
    *at += length + 2;
    return true;
}

static bool take_word(const char **at, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0) return false;
    *at += length;
    return true;
}

/* (60000, 28, 28) or (60000,) or () */
static bool take_shape(const char **at, array_head *head)
{
    head->rank = 0;
    if (!take_word(at, "(")) return false;
    for (*at = skip_spaces(*at); **at != ')'; *at = skip_spaces(*at)) {
        int64_t value = 0;
        const char *first = *at;
        for (; **at >= '0' && **at <= '9'; (*at)++)
            if (!ftso_i64_mul(value, 10, &value) || !ftso_i64_add(value, **at - '0', &value))
                return false;
        if (*at == first || head->rank == MAX_RANK) return false;
        head->dim[head->rank++] = value;
        *at = skip_spaces(*at);
        if (!take_word(at, ",") && **at != ')') return false;
    }
    return take_word(at, ")");
}

static ftso_status take_value(const ftso_data_file *file, const char *key, const char **at,
                              array_head *head)
{
    if (strcmp(key, "descr") == 0) {
        if (**at == '[')
            return ftso_error(FTSO_ERROR_DATA,
                              "'%s' holds records of several fields; plain numbers are wanted",
                              file->path);
        if (take_text(at, head->descr, sizeof(head->descr))) return FTSO_STATUS_OK;
    } else if (strcmp(key, "fortran_order") == 0) {
        head->fortran = strncmp(*at, "True", 4) == 0;
        if (take_word(at, "True") || take_word(at, "False")) return FTSO_STATUS_OK;
    } else if (strcmp(key, "shape") == 0) {
        if (take_shape(at, head)) return FTSO_STATUS_OK;
    }
    return bad_head(file, *at);
}

/* {'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), } */
static ftso_status parse_head(const ftso_data_file *file, const char *text, array_head *head)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    bool seen[FTSO_COUNT(keys)] = {false};
    const char *at = skip_spaces(text);
    if (!take_word(&at, "{")) return bad_head(file, at);
    for (at = skip_spaces(at); *at != '}'; at = skip_spaces(at)) {
        char key[16];
        const char *start = at;
        size_t k = 0;
        if (!take_text(&at, key, sizeof(key))) return bad_head(file, start);
        while (k < FTSO_COUNT(keys) && strcmp(keys[k], key) != 0) k++;
        at = skip_spaces(at);
        if (k == FTSO_COUNT(keys) || seen[k] || !take_word(&at, ":")) return bad_head(file, start);
        seen[k] = true;
        at = skip_spaces(at);
        FTSO_TRY(take_value(file, key, &at, head));
        at = skip_spaces(at);
        if (!take_word(&at, ",") && *at != '}') return bad_head(file, at);
    }
    at = skip_spaces(at + 1);
    if (*at) return bad_head(file, at);
    for (size_t k = 0; k < FTSO_COUNT(keys); k++)
        if (!seen[k])
            return ftso_error(FTSO_ERROR_DATA, "the head of '%s' has no '%s'", file->path, keys[k]);
    return FTSO_STATUS_OK;
}

static ftso_status read_head(ftso_data_file *file, array_head *head)
{
    uint8_t start[12];
    memset(head, 0, sizeof(*head));
    FTSO_TRY(ftso_data_take(file, start, 8, "the head"));
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return ftso_error(FTSO_ERROR_DATA, "'%s' is no .npy file: it begins with %02x%02x%02x%02x",
                          file->path, start[0], start[1], start[2], start[3]);
    if (start[6] < 1 || start[6] > 3)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is of version %d of the .npy form; versions 1 to 3 are read",
                          file->path, start[6]);
    size_t wide = start[6] == 1 ? 2 : 4, length = 0;
    FTSO_TRY(ftso_data_take(file, start + 8, wide, "the head"));
    for (size_t i = 0; i < wide; i++) length |= (size_t)start[8 + i] << (8 * i);
    if (length > MAX_HEAD)
        return ftso_error(FTSO_ERROR_DATA, "'%s' has a head of %zu bytes; at most %d are read",
                          file->path, length, MAX_HEAD);
    char *text = ftso_mem_alloc(length + 1);
    if (!text) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the head of '%s'", file->path);
    ftso_status status = ftso_data_take(file, text, length, "the head");
    text[length] = 0;
    if (status.code == FTSO_OK && strlen(text) != length) status = bad_head(file, text);
    if (status.code == FTSO_OK) status = parse_head(file, text, head);
    ftso_mem_free(text);
    return status;
}

/* ---------------------------------------------------------------- images */

static const char *shape_text(const array_head *head, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = 0;
    for (int d = 0; d < head->rank; d++) {
        int got =
            snprintf(buffer + used, size - used, "%s%lld", d ? ", " : "", (long long)head->dim[d]);
        if (got < 0 || (size_t)got >= size - used) break;
        used += (size_t)got;
    }
    return buffer;
}

/* Sizes from the shape: (N, H, W), (N, H, W, C) or (N, C, H, W) with up to 4 channels. */
static ftso_status read_shape(const ftso_data_file *file, const array_head *head,
                              ftso_images *images, bool *out_planes)
{
    char text[96];
    const int64_t *dim = head->dim;
    bool last = head->rank == 4 && dim[3] >= 1 && dim[3] <= 4;
    bool first = head->rank == 4 && dim[1] >= 1 && dim[1] <= 4;
    if (first && last && dim[1] != 1 && dim[3] != 1)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' has the shape (%s): its channels may be first or last; transpose "
                          "the images so that only one is at most 4",
                          file->path, shape_text(head, text, sizeof(text)));
    if (head->rank != 3 && !first && !last)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' has the shape (%s); images are (N, H, W), (N, H, W, C) or "
                          "(N, C, H, W) with up to 4 channels",
                          file->path, shape_text(head, text, sizeof(text)));
    *out_planes = head->rank == 3 || !last;
    images->count = dim[0];
    images->channels = head->rank == 3 ? 1 : *out_planes ? dim[1] : dim[3];
    images->height = head->rank == 3 || !*out_planes ? dim[1] : dim[2];
    images->width = head->rank == 3 || !*out_planes ? dim[2] : dim[3];
    if (images->height > MAX_SIDE || images->width > MAX_SIDE)
        return ftso_error(
            FTSO_ERROR_LIMIT, "'%s' says that its images are %lld x %lld; at most %d x %d are read",
            file->path, (long long)images->height, (long long)images->width, MAX_SIDE, MAX_SIDE);
    return FTSO_STATUS_OK;
}

static ftso_status check_image_head(const ftso_data_file *file, const array_head *head)
{
    if (strcmp(head->descr, "|O") == 0)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' holds Python objects, which are not read: save an array of uint8",
                          file->path);
    if (strcmp(head->descr, "|u1") != 0 && strcmp(head->descr, "u1") != 0)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' holds numbers of type '%s'; images are uint8, 0 to 255: "
                          "save images.astype(numpy.uint8)",
                          file->path, head->descr);
    if (head->fortran)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is in Fortran order: save numpy.ascontiguousarray(images)",
                          file->path);
    return FTSO_STATUS_OK;
}

/* Pixels with their channels side by side become planes, one image at a time. */
static ftso_status read_interleaved(ftso_data_file *file, ftso_images *images)
{
    int64_t channels = images->channels, plane = images->height * images->width;
    uint8_t *image = ftso_mem_alloc((size_t)(channels * plane));
    if (!image) return ftso_error(FTSO_ERROR_LIMIT, "no memory for an image of '%s'", file->path);
    ftso_status status = FTSO_STATUS_OK;
    for (int64_t i = 0; i < images->count && status.code == FTSO_OK; i++) {
        status = ftso_data_take(file, image, (size_t)(channels * plane), "images");
        uint8_t *out = images->pixels + i * channels * plane;
        for (int64_t c = 0; c < channels && status.code == FTSO_OK; c++)
            for (int64_t p = 0; p < plane; p++) out[c * plane + p] = image[p * channels + c];
    }
    ftso_mem_free(image);
    return status;
}

static ftso_status load_images(ftso_data_file *file, ftso_images *images)
{
    array_head head;
    bool planes = true;
    FTSO_TRY(read_head(file, &head));
    FTSO_TRY(check_image_head(file, &head));
    FTSO_TRY(read_shape(file, &head, images, &planes));
    int64_t image = images->channels * images->height * images->width;
    if (image > 0 && images->count > (int64_t)file->length / image)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is cut short: its %zu bytes cannot hold %lld images of %lld bytes",
                          file->path, file->length, (long long)images->count, (long long)image);
    FTSO_TRY(ftso_images_allocate(images, file->path));
    if (planes || images->channels == 1)
        FTSO_TRY(ftso_data_take(file, images->pixels, (size_t)(images->count * image), "images"));
    else
        FTSO_TRY(read_interleaved(file, images));
    return ftso_data_end(file);
}

/* ---------------------------------------------------------------- labels */

/* "<i8" and the like: bytes, sign, byte order. */
static bool read_type(const char *descr, int *out_bytes, bool *out_signed, bool *out_big)
{
    const char *at = descr;
    *out_big = *at == '>';
    if (*at == '<' || *at == '>' || *at == '|' || *at == '=') at++;
    if (strlen(at) != 2 || (at[0] != 'i' && at[0] != 'u') || !strchr("1248", at[1])) return false;
    *out_signed = at[0] == 'i';
    *out_bytes = at[1] - '0';
    return true;
}

static int64_t whole_number(const uint8_t *bytes, int count, bool is_signed, bool big)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | bytes[big ? i : count - 1 - i];
    if (is_signed && count < 8 && value >> (8 * count - 1)) return -1;
    return value > INT64_MAX ? -1 : (int64_t)value;
}

static ftso_status load_labels(ftso_data_file *file, ftso_images *images)
{
    array_head head;
    int bytes;
    bool is_signed, big;
    char text[96];
    FTSO_TRY(read_head(file, &head));
    if (!read_type(head.descr, &bytes, &is_signed, &big))
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' holds values of type '%s'; labels are whole numbers: save "
                          "labels.astype(numpy.int64)",
                          file->path, head.descr);
    bool flat = head.rank == 1 || (head.rank == 2 && head.dim[1] == 1);
    if (!flat)
        return ftso_error(FTSO_ERROR_DATA, "'%s' has the shape (%s); labels are (N,)", file->path,
                          shape_text(&head, text, sizeof(text)));
    if (head.dim[0] != images->count)
        return ftso_error(FTSO_ERROR_DATA, "'%s' holds %lld labels for %lld images", file->path,
                          (long long)head.dim[0], (long long)images->count);
    int32_t highest = 0;
    for (int64_t i = 0; i < images->count; i++) {
        uint8_t label[8];
        FTSO_TRY(ftso_data_take(file, label, (size_t)bytes, "labels"));
        int64_t value = whole_number(label, bytes, is_signed, big);
        if (value < 0 || value >= MAX_CLASSES)
            return ftso_error(FTSO_ERROR_DATA,
                              "label %lld of '%s' is %s; labels are 0 to %d at most", (long long)i,
                              file->path, value < 0 ? "negative or huge" : "too large",
                              MAX_CLASSES - 1);
        images->labels[i] = (int32_t)value;
        if (images->labels[i] > highest) highest = images->labels[i];
    }
    images->classes = highest + 1;
    return ftso_data_end(file);
}

/* ---------------------------------------------------------------- the reader */

static ftso_status find_file(ftso_arena *arena, const char *path, const char *const names[2],
                             const char **out_path)
{
    for (int i = 0; i < 2; i++) {
        *out_path = ftso_format(arena, "%s/%s.npy", path, names[i]);
        if (ftso_file_exists(*out_path)) return FTSO_STATUS_OK;
    }
    return ftso_error(FTSO_ERROR_DATA,
                      "no '%s.npy' (or %s.npy) in '%s'%s: name the folder of the arrays with "
                      "--data or in the space file",
                      names[0], names[1], path,
                      ftso_file_exists(path) ? "" : ", which is missing itself");
}

ftso_status ftso_load_npy(const char *path, bool test, ftso_images *out)
{
    /* Of the training part, then of the test part: images, labels. */
    static const char *const names[2][2][2] = {
        {{"train_images", "x_train"}, {"train_labels", "y_train"}},
        {{"test_images", "x_test"}, {"test_labels", "y_test"}},
    };
    static ftso_status (*const parts[2])(ftso_data_file *, ftso_images *) = {load_images,
                                                                             load_labels};
    memset(out, 0, sizeof(*out));
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *paths[2];
    ftso_status status = FTSO_STATUS_OK;
    for (int i = 0; i < 2 && status.code == FTSO_OK; i++)
        status = find_file(&arena, path, names[test][i], &paths[i]);
    for (int i = 0; i < 2 && status.code == FTSO_OK; i++) {
        ftso_data_file file;
        status = ftso_data_open(&file, paths[i]);
        if (status.code != FTSO_OK) break;
        if (file.gzip)
            status = ftso_error(FTSO_ERROR_DATA, "'%s' is a gzip file: unpack it", paths[i]);
        else
            status = parts[i](&file, out);
        ftso_data_close(&file);
    }
    ftso_arena_deinit(&arena);
    if (status.code != FTSO_OK) ftso_images_deinit(out);
    return status;
}
