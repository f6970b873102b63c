/*
 * Folders of classes, each a folder of JPEG and PNG pictures of any size.
 *
 * In: the folder with train/ and test/ or val/ in it. Out: labels, class names, and the files' names; pictures are read when
 * a batch needs them. Holds: classes and files are in the order of their names' bytes, so labels are the same everywhere; a
 * test part has no class that the training part has not, and its labels are the training part's.
 */
#include "runtime_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 8 };

/* Names one after another, each ended by a zero byte; `at` says where each begins. */
typedef struct name_list {
    char *text;
    size_t length, text_capacity;
    size_t *at;
    size_t count, capacity;
} name_list;

struct ftso_picture_files {
    char *root;        /* the part's folder */
    name_list folders; /* of the classes that are in it */
    name_list files;   /* class by class, relative to the class's folder */
    size_t *first;     /* of each folder, in `files`; one more at the end */
};

static void *grow(void *items, size_t wanted, size_t *capacity, size_t item_bytes)
{
    if (wanted <= *capacity) return items;
    size_t more = *capacity ? 2 * *capacity : 256;
    while (more < wanted) more *= 2;
    void *grown = ftso_mem_resize(items, more * item_bytes);
    if (grown) *capacity = more;
    return grown;
}

static ftso_status add_name(name_list *list, const char *name)
{
    size_t size = strlen(name) + 1;
    char *text = grow(list->text, list->length + size, &list->text_capacity, 1);
    if (text) list->text = text;
    size_t *at = text ? grow(list->at, list->count + 1, &list->capacity, sizeof(size_t)) : NULL;
    if (!at)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for the names of %zu files", list->count);
    list->at = at;
    memcpy(list->text + list->length, name, size);
    at[list->count++] = list->length;
    list->length += size;
    return FTSO_STATUS_OK;
}

static const char *name_at(const name_list *list, size_t number)
{
    return list->text + list->at[number];
}

static int by_bytes(const void *a, const void *b, void *text)
{
    return strcmp((const char *)text + *(const size_t *)a, (const char *)text + *(const size_t *)b);
}

static void sort_from(name_list *list, size_t first)
{
    if (list->count > first)
        qsort_r(list->at + first, list->count - first, sizeof(size_t), by_bytes, list->text);
}

static void free_names(name_list *list)
{
    ftso_mem_free(list->text);
    ftso_mem_free(list->at);
}

void ftso_picture_files_free(struct ftso_picture_files *files)
{
    if (!files) return;
    ftso_mem_free(files->root);
    ftso_mem_free(files->first);
    free_names(&files->folders);
    free_names(&files->files);
    ftso_mem_free(files);
}

void ftso_picture_files_path(const ftso_images *images, int64_t index, char *buffer, size_t size)
{
    const struct ftso_picture_files *files = images->files;
    size_t low = 0, high = files->folders.count; /* the folder is in [low, high) */
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (files->first[middle] <= (size_t)index)
            low = middle;
        else
            high = middle;
    }
    int length = snprintf(buffer, size, "%s/%s/%s", files->root, name_at(&files->folders, low),
                          name_at(&files->files, (size_t)index));
    if (length < 0) buffer[0] = 0;
}

/* ---------------------------------------------------------------- listing */

enum { OTHER_FILE, PICTURE, UNREAD_PICTURE };

static int file_kind(const char *name)
{
    static const char *const read[] = {".jpg", ".jpeg", ".png"};
    static const char *const unread[] = {".gif",  ".bmp", ".webp", ".tif",
                                         ".tiff", ".ppm", ".heic", ".avif"};
    const char *end = strrchr(name, '.');
    for (size_t i = 0; end && i < FTSO_COUNT(read); i++)
        if (strcasecmp(end, read[i]) == 0) return PICTURE;
    for (size_t i = 0; end && i < FTSO_COUNT(unread); i++)
        if (strcasecmp(end, unread[i]) == 0) return UNREAD_PICTURE;
    return OTHER_FILE;
}

static bool is_folder(DIR *folder, const struct dirent *entry)
{
    struct stat info;
    if (entry->d_type == DT_DIR) return true;
    if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return false;
    return fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

static ftso_status cannot_read(const char *path)
{
    return ftso_error(FTSO_ERROR_DATA, "cannot read the folder '%.300s': %s", path,
                      strerror(errno));
}

/* A path and what is appended to it, or an error where it is too long. */
static ftso_status join(char *path, size_t length, const char *name)
{
    if (length + strlen(name) + 2 > PATH_MAX)
        return ftso_error(FTSO_ERROR_DATA, "a path of more than %d bytes begins '%.300s'", PATH_MAX,
                          path);
    path[length] = '/';
    strcpy(path + length + 1, name);
    return FTSO_STATUS_OK;
}

static ftso_status list_pictures(char *path, size_t root_length, int depth, name_list *files);

static ftso_status list_entry(char *path, size_t root_length, int depth, DIR *folder,
                              const struct dirent *entry, name_list *files)
{
    size_t length = strlen(path);
    FTSO_TRY(join(path, length, entry->d_name));
    ftso_status status = FTSO_STATUS_OK;
    int kind = file_kind(entry->d_name);
    if (is_folder(folder, entry))
        status = list_pictures(path, root_length, depth + 1, files);
    else if (kind == PICTURE)
        status = add_name(files, path + root_length + 1);
    else if (kind == UNREAD_PICTURE)
        status = ftso_error(
            FTSO_ERROR_DATA,
            "'%.300s' is not read: convert pictures to PNG or JPEG, or take it away", path);
    path[length] = 0;
    return status;
}

/* Adds the pictures under `path`, names from `root_length` on. `path` has room for PATH_MAX and comes back as it was. */
static ftso_status list_pictures(char *path, size_t root_length, int depth, name_list *files)
{
    if (depth > MAX_DEPTH)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%.300s' lies more than %d folders deep: is there a link to a folder "
                          "above?",
                          path, MAX_DEPTH);
    DIR *folder = opendir(path);
    if (!folder) return cannot_read(path);
    ftso_status status = FTSO_STATUS_OK;
    for (const struct dirent *entry; status.code == FTSO_OK && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            status = list_entry(path, root_length, depth, folder, entry, files);
    closedir(folder);
    return status;
}

/* The folders right under `path`, sorted; and whether pictures lie beside them. */
static ftso_status list_folders(const char *path, name_list *out, bool *out_pictures)
{
    *out_pictures = false;
    DIR *folder = opendir(path);
    if (!folder) return cannot_read(path);
    ftso_status status = FTSO_STATUS_OK;
    for (const struct dirent *entry; status.code == FTSO_OK && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        if (!is_folder(folder, entry)) {
            *out_pictures = *out_pictures || file_kind(entry->d_name) == PICTURE;
        } else if (strpbrk(entry->d_name, "\n\r")) {
            status =
                ftso_error(FTSO_ERROR_DATA,
                           "the name of a class folder in '%.300s' has a line break in it", path);
        } else {
            status = add_name(out, entry->d_name);
        }
    }
    closedir(folder);
    sort_from(out, 0);
    return status;
}

/* ---------------------------------------------------------------- parts */

static bool folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The part's folder and the training part's, which has the classes; the latter is NULL where the set has no train/. */
static ftso_status find_parts(ftso_arena *arena, const char *path, bool test, const char **out_part,
                              const char **out_train)
{
    static const char *const tests[] = {"test", "val", "valid", "validation"};
    const char *train = ftso_format(arena, "%s/train", path);
    *out_train = folder_exists(train) ? train : NULL;
    *out_part = *out_train ? train : path;
    if (!folder_exists(path))
        return ftso_error(FTSO_ERROR_DATA,
                          "there is no folder '%.300s': name the folder of the images with --data "
                          "or in the space file",
                          path);
    if (!test) return FTSO_STATUS_OK;
    for (size_t i = 0; i < FTSO_COUNT(tests); i++) {
        *out_part = ftso_format(arena, "%s/%s", path, tests[i]);
        name_list folders = {0};
        bool pictures, found = false;
        if (folder_exists(*out_part)) {
            ftso_status status = list_folders(*out_part, &folders, &pictures);
            found = folders.count > 0;
            free_names(&folders);
            if (status.code != FTSO_OK) return status;
        }
        if (found) return FTSO_STATUS_OK;
    }
    return ftso_error(FTSO_ERROR_DATA,
                      "'%.300s' has no test part: a folder test, val, valid or validation with a "
                      "folder for each class",
                      path);
}

static ftso_status list_classes(const char *path, name_list *out)
{
    bool pictures;
    FTSO_TRY(list_folders(path, out, &pictures));
    if (out->count > 0) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DATA, "%s in '%.300s': each class has a folder of its own",
                      pictures ? "the pictures lie" : "there are no folders", path);
}

/* ---------------------------------------------------------------- the reader */

typedef struct loading {
    const char *part;
    name_list classes; /* of the training part: their places are the labels */
    struct ftso_picture_files *files;
} loading;

static ftso_status label_of(const loading *l, const char *name, int32_t *out_label)
{
    size_t low = 0, high = l->classes.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name_at(&l->classes, middle), name);
        if (order == 0) {
            *out_label = (int32_t)middle;
            return FTSO_STATUS_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return ftso_error(FTSO_ERROR_DATA, "'%.300s/%.100s' is a class that the training part has not",
                      l->part, name);
}

static ftso_status list_files(loading *l)
{
    struct ftso_picture_files *files = l->files;
    char path[PATH_MAX];
    size_t root = strlen(l->part);
    if (root + 2 > PATH_MAX)
        return ftso_error(FTSO_ERROR_DATA, "the path '%.300s…' is too long", l->part);
    strcpy(path, l->part);
    for (size_t c = 0; c < files->folders.count; c++) {
        size_t before = files->files.count;
        files->first[c] = before;
        FTSO_TRY(join(path, root, name_at(&files->folders, c)));
        FTSO_TRY(list_pictures(path, strlen(path), 0, &files->files));
        if (files->files.count == before)
            return ftso_error(FTSO_ERROR_DATA,
                              "the class folder '%.300s' holds no picture (.jpg, .jpeg, .png)",
                              path);
        sort_from(&files->files, before);
    }
    files->first[files->folders.count] = files->files.count;
    if (files->files.count > INT32_MAX)
        return ftso_error(FTSO_ERROR_LIMIT, "'%.300s' holds %zu pictures: too many", l->part,
                          files->files.count);
    return FTSO_STATUS_OK;
}

static ftso_status set_labels(const loading *l, ftso_images *out)
{
    const struct ftso_picture_files *files = l->files;
    out->count = (int64_t)files->files.count;
    out->labels = ftso_mem_alloc((size_t)out->count * sizeof(int32_t));
    if (!out->labels) return ftso_error(FTSO_ERROR_LIMIT, "no memory for labels");
    for (size_t c = 0; c < files->folders.count; c++) {
        int32_t label = 0;
        FTSO_TRY(label_of(l, name_at(&files->folders, c), &label));
        for (size_t i = files->first[c]; i < files->first[c + 1]; i++) out->labels[i] = label;
    }
    return FTSO_STATUS_OK;
}

static ftso_status set_names(const loading *l, ftso_images *out)
{
    ftso_text text;
    ftso_text_init(&text);
    for (size_t c = 0; c < l->classes.count; c++)
        ftso_text_printf(&text, "%s\n", name_at(&l->classes, c));
    ftso_status status = text.failed ? ftso_error(FTSO_ERROR_LIMIT, "no memory for names")
                                     : ftso_class_names_parse(ftso_text_get(&text), text.length,
                                                              &out->class_names, &out->classes);
    ftso_text_deinit(&text);
    out->named_by_folders = true;
    return status;
}

static ftso_status load(loading *l, const char *train, ftso_images *out)
{
    struct ftso_picture_files *files = ftso_mem_alloc(sizeof(*files));
    if (!files) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a folder's names");
    memset(files, 0, sizeof(*files));
    out->files = l->files = files;
    FTSO_TRY(list_classes(l->part, &files->folders));
    FTSO_TRY(list_classes(train ? train : l->part, &l->classes));
    size_t size = strlen(l->part) + 1;
    files->root = ftso_mem_alloc(size);
    files->first = ftso_mem_alloc((files->folders.count + 1) * sizeof(size_t));
    if (!files->root || !files->first)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for a folder's names");
    memcpy(files->root, l->part, size);
    FTSO_TRY(list_files(l));
    FTSO_TRY(set_labels(l, out));
    return set_names(l, out);
}

ftso_status ftso_load_folder(const char *path, bool test, ftso_images *out)
{
    memset(out, 0, sizeof(*out));
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *train;
    loading l = {0};
    ftso_status status = find_parts(&arena, path, test, &l.part, &train);
    if (status.code == FTSO_OK) status = load(&l, train, out);
    free_names(&l.classes);
    ftso_arena_deinit(&arena);
    if (status.code != FTSO_OK) ftso_images_deinit(out);
    return status;
}
