/*
 * CIFAR-10 and CIFAR-100 in their binary form: records of label bytes and 3 x 32 x 32 pixel bytes, planes in order.
 *
 * In: the folder, or the folder that its archive makes inside. Out: images, labels, and the classes' names where the file
 * that lists them is there. Holds: whole records only, every training file as long as the first, labels in range.
 */
#include "runtime_internal.h"

#include <string.h>

enum { SIDE = 32, CHANNELS = 3, IMAGE_BYTES = CHANNELS * SIDE * SIDE };

/* One of the two sets. The class is the last label byte of a record. */
typedef struct cifar {
    const char *name, *folder, *archive;
    const char *train_files[5];
    size_t train_count;
    const char *test_file, *pickle_file, *names_file;
    int label_bytes;
    int classes[2]; /* per label byte */
} cifar;

static const cifar cifar10 = {
    .name = "CIFAR-10",
    .folder = "cifar-10-batches-bin",
    .archive = "cifar-10-binary.tar.gz",
    .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                    "data_batch_5.bin"},
    .train_count = 5,
    .test_file = "test_batch.bin",
    .pickle_file = "data_batch_1",
    .names_file = "batches.meta.txt",
    .label_bytes = 1,
    .classes = {10},
};

static const cifar cifar100 = {
    .name = "CIFAR-100",
    .folder = "cifar-100-binary",
    .archive = "cifar-100-binary.tar.gz",
    .train_files = {"train.bin"},
    .train_count = 1,
    .test_file = "test.bin",
    .pickle_file = "train",
    .names_file = "fine_label_names.txt",
    .label_bytes = 2,
    .classes = {20, 100},
};

/* Where the files are: `path`, or its sub-folder named as the archive's. */
static ftso_status find_folder(ftso_arena *arena, const cifar *set, const char *path,
                               const char *file, const char **out_folder)
{
    const char *inside = ftso_format(arena, "%s/%s", path, set->folder);
    const char *places[] = {path, inside};
    for (size_t i = 0; i < FTSO_COUNT(places); i++) {
        *out_folder = places[i];
        if (ftso_file_exists(ftso_format(arena, "%s/%s", places[i], file))) return FTSO_STATUS_OK;
    }
    const char *place = "https://www.cs.toronto.edu/~kriz/cifar.html";
    if (ftso_file_exists(ftso_format(arena, "%s/%s", path, set->pickle_file)))
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' holds %s as Python pickles; the binary version is wanted: unpack "
                          "%s from %s and name its folder",
                          path, set->name, set->archive, place);
    return ftso_error(FTSO_ERROR_DATA,
                      "'%s' %s: unpack %s's binary version (%s from %s) and name its folder with "
                      "--data or in the space file",
                      ftso_format(arena, "%s/%s", path, file),
                      ftso_file_exists(path) ? "is missing" : "is missing, as is its folder",
                      set->name, set->archive, place);
}

static ftso_status read_records(const cifar *set, ftso_data_file *file, int64_t first,
                                int64_t count, ftso_images *images)
{
    for (int64_t i = first; i < first + count; i++) {
        uint8_t label[2];
        FTSO_TRY(ftso_data_take(file, label, (size_t)set->label_bytes, "a label"));
        for (int b = 0; b < set->label_bytes; b++)
            if (label[b] >= set->classes[b])
                return ftso_error(
                    FTSO_ERROR_DATA,
                    "'%s' is damaged: label %d of record %lld; %s's labels are 0 to %d", file->path,
                    label[b], (long long)(i - first), set->name, set->classes[b] - 1);
        images->labels[i] = label[set->label_bytes - 1];
        FTSO_TRY(ftso_data_take(file, images->pixels + i * IMAGE_BYTES, IMAGE_BYTES, "an image"));
    }
    return FTSO_STATUS_OK;
}

/* Reads one file; the first one sets how many records all have. */
static ftso_status load_file(const cifar *set, const char *path, size_t number, size_t file_count,
                             int64_t *per_file, ftso_images *images)
{
    ftso_data_file file;
    FTSO_TRY(ftso_data_open(&file, path));
    int64_t record = set->label_bytes + IMAGE_BYTES;
    int64_t count = (int64_t)file.length / record;
    ftso_status status = FTSO_STATUS_OK;
    if (file.gzip)
        status = ftso_error(FTSO_ERROR_DATA, "'%s' is a gzip file: unpack it", path);
    else if (file.length % (size_t)record != 0)
        status = ftso_error(FTSO_ERROR_DATA,
                            "'%s' has %zu bytes, which are not whole records of %lld: it is cut "
                            "short or not %s; download it again",
                            path, file.length, (long long)record, set->name);
    else if (number > 0 && count != *per_file)
        status = ftso_error(FTSO_ERROR_DATA,
                            "'%s' holds %lld images where the first file holds %lld: one of them "
                            "is cut short",
                            path, (long long)count, (long long)*per_file);
    if (status.code == FTSO_OK && number == 0) {
        *per_file = count;
        images->count = count * (int64_t)file_count;
        status = ftso_images_allocate(images, path);
    }
    if (status.code == FTSO_OK)
        status = read_records(set, &file, (int64_t)number * *per_file, *per_file, images);
    ftso_data_close(&file);
    return status;
}

static ftso_status load(const cifar *set, const char *path, bool test, ftso_images *out)
{
    *out = (ftso_images){.channels = CHANNELS,
                         .height = SIDE,
                         .width = SIDE,
                         .classes = set->classes[set->label_bytes - 1]};
    const char *const *names = test ? &set->test_file : set->train_files;
    size_t count = test ? 1 : set->train_count;
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *folder;
    int64_t per_file = 0;
    ftso_status status = find_folder(&arena, set, path, names[0], &folder);
    for (size_t i = 0; i < count && status.code == FTSO_OK; i++)
        status = load_file(set, ftso_format(&arena, "%s/%s", folder, names[i]), i, count, &per_file,
                           out);
    const char *class_names = NULL;
    if (status.code == FTSO_OK) class_names = ftso_format(&arena, "%s/%s", folder, set->names_file);
    if (class_names && ftso_file_exists(class_names))
        status = ftso_class_names_read(class_names, out->classes, &out->class_names);
    ftso_arena_deinit(&arena);
    if (status.code != FTSO_OK) ftso_images_deinit(out);
    return status;
}

ftso_status ftso_load_cifar10(const char *path, bool test, ftso_images *out)
{
    return load(&cifar10, path, test, out);
}

ftso_status ftso_load_cifar100(const char *path, bool test, ftso_images *out)
{
    return load(&cifar100, path, test, out);
}
