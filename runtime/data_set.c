/*
 * A data set as a recipe sees it: opened, held against what the recipe says, its classes named.
 *
 * In: a kind, a folder, a spec. Out: images whose channels, labels and names are the spec's. Holds: names are one block of
 * pointers and text; as text they are one a line.
 */
#include "runtime_internal.h"

#include <stdlib.h>
#include <string.h>

void ftso_images_deinit(ftso_images *images)
{
    ftso_mem_free(images->pixels);
    ftso_mem_free(images->labels);
    ftso_mem_free(images->class_names);
    ftso_picture_files_free(images->files);
    memset(images, 0, sizeof(*images));
}

const char *ftso_images_describe(const ftso_images *images, int64_t index, char *buffer,
                                 size_t size)
{
    if (images->files) {
        buffer[0] = '\'';
        ftso_picture_files_path(images, index, buffer + 1, size - 2);
        strcat(buffer, "'");
    } else {
        snprintf(buffer, size, "image %lld", (long long)index);
    }
    return buffer;
}

/* ---------------------------------------------------------------- names of classes */

void ftso_class_names_print(const char *const *names, int64_t count, ftso_text *out)
{
    for (int64_t i = 0; i < count; i++) ftso_text_printf(out, "%s\n", names[i]);
}

ftso_status ftso_class_names_parse(const char *text, size_t length, const char ***out_names,
                                   int64_t *out_count)
{
    *out_names = NULL;
    *out_count = 0;
    if (memchr(text, 0, length))
        return ftso_error(FTSO_ERROR_DATA, "the names of the classes have a zero byte in them");
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) length--;
    int64_t count = length > 0;
    for (size_t i = 0; i < length; i++) count += text[i] == '\n';
    size_t pointers = (size_t)count * sizeof(char *);
    char *block = ftso_mem_alloc(pointers + length + 1);
    if (!block) return ftso_error(FTSO_ERROR_LIMIT, "no memory for %lld names", (long long)count);
    const char **names = (const char **)(void *)block;
    char *copy = block + pointers;
    memcpy(copy, text, length);
    copy[length] = 0;
    for (int64_t i = 0; i < count; i++) {
        char *end = strchr(copy, '\n');
        if (end) *end = 0;
        size_t used = strlen(copy);
        names[i] = copy;
        copy += used + 1;
        if (used > 0 && names[i][used - 1] == '\r') *(copy - 2) = 0;
        if (names[i][0]) continue;
        ftso_mem_free(block);
        return ftso_error(FTSO_ERROR_DATA, "class %lld has no name", (long long)i);
    }
    *out_names = names;
    *out_count = count;
    return FTSO_STATUS_OK;
}

ftso_status ftso_class_names_read(const char *path, int64_t count, const char ***out_names)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    char *text;
    size_t length;
    int64_t found = 0;
    *out_names = NULL;
    ftso_status status = ftso_file_read(&arena, path, 16 << 20, &text, &length);
    if (status.code == FTSO_OK) status = ftso_class_names_parse(text, length, out_names, &found);
    if (status.code == FTSO_OK && found != count)
        status = ftso_error(FTSO_ERROR_DATA, "it names %lld classes, and there are %lld",
                            (long long)found, (long long)count);
    if (status.code != FTSO_OK) {
        ftso_mem_free(*out_names);
        *out_names = NULL;
        status = ftso_annotate(status, "'%s'", path);
    }
    ftso_arena_deinit(&arena);
    return status;
}

static ftso_status copy_names(const char *const *names, int64_t count, const char ***out_names)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_class_names_print(names, count, &text);
    int64_t found = 0;
    ftso_status status =
        text.failed ? ftso_error(FTSO_ERROR_LIMIT, "no memory for names")
                    : ftso_class_names_parse(ftso_text_get(&text), text.length, out_names, &found);
    ftso_text_deinit(&text);
    FTSO_ASSERT(status.code != FTSO_OK || found == count);
    return status;
}

/* ---------------------------------------------------------------- what the recipe says of it */

typedef struct place {
    const char *name;
    int32_t number;
} place;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const place *)a)->name, ((const place *)b)->name);
}

/* Which number the spec gives to each name that the folders have. */
static ftso_status map_names(const ftso_images *images, const ftso_images_spec *spec, place *sorted,
                             int32_t *map)
{
    for (int64_t i = 0; i < spec->classes; i++)
        sorted[i] = (place){spec->class_names[i], (int32_t)i};
    qsort(sorted, (size_t)spec->classes, sizeof(place), by_name);
    for (int64_t c = 0; c < images->classes; c++) {
        place wanted = {images->class_names[c], 0};
        const place *found =
            bsearch(&wanted, sorted, (size_t)spec->classes, sizeof(place), by_name);
        if (!found)
            return ftso_error(FTSO_ERROR_USER,
                              "there is a folder '%.100s', and no class is named so", wanted.name);
        map[c] = found->number;
    }
    return FTSO_STATUS_OK;
}

static ftso_status relabel(ftso_images *images, const ftso_images_spec *spec)
{
    place *sorted = ftso_mem_alloc((size_t)spec->classes * sizeof(place));
    int32_t *map = ftso_mem_alloc((size_t)images->classes * sizeof(int32_t));
    ftso_status status = sorted && map ? map_names(images, spec, sorted, map)
                                       : ftso_error(FTSO_ERROR_LIMIT, "no memory for names");
    for (int64_t i = 0; i < images->count && status.code == FTSO_OK; i++)
        images->labels[i] = map[images->labels[i]];
    ftso_mem_free(sorted);
    ftso_mem_free(map);
    return status;
}

/* The names that the spec has, or else those that came with the data. */
static ftso_status settle_names(ftso_images *images, const ftso_images_spec *spec)
{
    if (!spec->class_names) return FTSO_STATUS_OK;
    if (images->named_by_folders) FTSO_TRY(relabel(images, spec));
    for (int64_t c = 0; images->class_names && !images->named_by_folders && c < images->classes;
         c++)
        if (strcmp(images->class_names[c], spec->class_names[c]) != 0)
            return ftso_error(FTSO_ERROR_USER,
                              "class %lld is '%.100s' in the data and '%.100s' in the recipe",
                              (long long)c, images->class_names[c], spec->class_names[c]);
    const char **names;
    FTSO_TRY(copy_names(spec->class_names, spec->classes, &names));
    ftso_mem_free(images->class_names);
    images->class_names = names;
    return FTSO_STATUS_OK;
}

static ftso_status settle(ftso_images *images, const ftso_images_spec *spec)
{
    if (images->classes > spec->classes)
        return ftso_error(FTSO_ERROR_USER, "labels go up to %lld, the recipe says %lld classes",
                          (long long)images->classes - 1, (long long)spec->classes);
    if (images->named_by_folders && images->classes < spec->classes && !spec->class_names)
        return ftso_error(FTSO_ERROR_USER,
                          "there are %lld class folders, the recipe says %lld classes",
                          (long long)images->classes, (long long)spec->classes);
    if (images->files && spec->channels != 1 && spec->channels != 3)
        return ftso_error(FTSO_ERROR_USER,
                          "pictures have 1 channel (grey) or 3 (colours), the recipe says %lld",
                          (long long)spec->channels);
    if (images->files) images->channels = spec->channels;
    FTSO_TRY(settle_names(images, spec));
    images->classes = spec->classes;
    return FTSO_STATUS_OK;
}

static ftso_status no_reader(const char *kind)
{
    size_t count;
    const ftso_reader *rows = ftso_reader_rows(&count);
    ftso_text names;
    ftso_text_init(&names);
    for (size_t i = 0; i < count; i++)
        ftso_text_printf(&names, "%s%s", i ? ", " : "", rows[i].kind);
    ftso_status status =
        ftso_error(FTSO_ERROR_DATA, "there is no reader for '%.100s'; there are %s", kind,
                   ftso_text_get(&names));
    ftso_text_deinit(&names);
    return status;
}

ftso_status ftso_images_open(const char *kind, const char *path, bool test,
                             const ftso_images_spec *spec, ftso_images *out)
{
    memset(out, 0, sizeof(*out));
    const ftso_reader *reader = ftso_reader_find(kind);
    if (!reader) return no_reader(kind);
    FTSO_TRY(reader->load(path, test, out));
    ftso_status status = settle(out, spec);
    if (status.code != FTSO_OK) ftso_images_deinit(out);
    return status;
}

/* ---------------------------------------------------------------- does the transform fit? */

/* The sides after a step; 0: not known before a picture is there. */
static ftso_status follow(const ftso_augment *step, int64_t *height, int64_t *width)
{
    const int64_t side = (int64_t)step->args[0];
    if (step->kind == FTSO_AUG_RESIZE) {
        bool tall = *height > *width;
        int64_t longer = *height == 0 ? 0
                         : tall       ? side * *height / *width
                                      : side * *width / *height;
        *height = *height == 0 ? 0 : tall ? longer : side;
        *width = *width == 0 ? 0 : tall ? side : longer;
        return FTSO_STATUS_OK;
    }
    int64_t border = step->kind == FTSO_AUG_CROP ? 2 * (int64_t)step->args[1] : 0;
    bool cuts = step->kind == FTSO_AUG_CROP || step->kind == FTSO_AUG_CENTER_CROP;
    if (cuts && *height > 0 && (side > *height + border || side > *width + border))
        return ftso_error(FTSO_ERROR_USER,
                          "the images are %lld x %lld, too small for a crop of %lld with a border "
                          "of %lld",
                          (long long)*height, (long long)*width, (long long)side,
                          (long long)border / 2);
    if (cuts || step->kind == FTSO_AUG_RESIZED_CROP) *height = *width = side;
    return FTSO_STATUS_OK;
}

ftso_status ftso_images_check(const ftso_images *images, const ftso_images_spec *spec,
                              const ftso_transform *transform)
{
    int64_t height = images->height, width = images->width;
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        if (step->kind == FTSO_AUG_NORMALIZE && (int64_t)step->arg_count != 2 * images->channels)
            return ftso_error(FTSO_ERROR_USER, "normalize has %zu numbers for %lld channels",
                              step->arg_count, (long long)images->channels);
        FTSO_TRY(follow(step, &height, &width));
    }
    if (images->channels == spec->channels && height == spec->side && width == spec->side)
        return FTSO_STATUS_OK;
    if (height == 0)
        return ftso_error(FTSO_ERROR_USER,
                          "pictures of any size need a crop that makes them %lld x %lld: "
                          "resize(%lld) -> center_crop(%lld)",
                          (long long)spec->side, (long long)spec->side, (long long)spec->side,
                          (long long)spec->side);
    return ftso_error(FTSO_ERROR_USER,
                      "the images are %lld x %lld x %lld, the space file says %lld x %lld x %lld",
                      (long long)images->channels, (long long)height, (long long)width,
                      (long long)spec->channels, (long long)spec->side, (long long)spec->side);
}

/* ---------------------------------------------------------------- a part for a training */

static ftso_status open_part(const char *kind, const char *path, bool test,
                             const ftso_images_spec *spec, const ftso_transform *transform,
                             ftso_images *out)
{
    FTSO_TRY(ftso_images_open(kind, path, test, spec, out));
    if (out->count < 1)
        return ftso_error(FTSO_ERROR_DATA, "there are no %s images", test ? "test" : "training");
    return ftso_images_check(out, spec, transform);
}

ftso_status ftso_images_open_part(const char *name, const char *kind, const char *path, bool test,
                                  const ftso_images_spec *spec, const ftso_transform *transform,
                                  ftso_images *out)
{
    return ftso_annotate(open_part(kind, path, test, spec, transform, out), "data set '%s'", name);
}

uint64_t ftso_images_hash(uint64_t seed, const ftso_images *images)
{
    const int64_t shape[] = {images->count, images->channels, images->height, images->width};
    seed = ftso_hash(seed, shape, sizeof(shape));
    return ftso_hash(seed, images->labels, sizeof(images->labels[0]) * (size_t)images->count);
}
