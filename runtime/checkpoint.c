/*
 * Checkpoints: folders `step-N`, each written under another name, synced, renamed.
 *
 * In: the place in a run, tensors. Out: a folder, or what was read of one. Holds: a folder with the name `step-N` was
 * synced whole before it got that name, and a smaller N goes only after a larger one is durable. What a killed save left
 * lies under names that begin with "tmp-" and goes with the next save. The caller lets one process at a time in here.
 * Start reading at ftso_checkpoint_save and ftso_checkpoint_load.
 */
#include "runtime/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TENSORS "tensors.safetensors"
#define MANIFEST "manifest"
#define HEAD "ftso-checkpoint 1\n"

enum { STEP_DIGITS = 12, MAX_MANIFEST_BYTES = 1 << 16 };

typedef struct path {
    char text[PATH_MAX];
} path;

static ftso_status join(path *out, const char *folder, const char *name)
{
    int used = snprintf(out->text, sizeof(out->text), "%s/%s", folder, name);
    if (used > 0 && (size_t)used < sizeof(out->text)) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_LIMIT, "the path '%.100s…' is longer than %d bytes", folder,
                      PATH_MAX);
}

/* "step-000000000042" in `folder`; with a prefix, what such a folder is called meanwhile. */
static ftso_status step_path(path *out, const char *folder, const char *prefix, int64_t step)
{
    char name[64];
    snprintf(name, sizeof(name), "%sstep-%0*lld", prefix, STEP_DIGITS, (long long)step);
    return join(out, folder, name);
}

static ftso_status system_error(const char *what, const char *name)
{
    int reason = errno;
    bool full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
    return ftso_error(full ? FTSO_ERROR_LIMIT : FTSO_ERROR_DATA, "cannot %s '%s': %s", what, name,
                      strerror(reason));
}

/* ---------------------------------------------------------------- folders */

/* Makes what was created or renamed in the folder durable. A file system that cannot sync folders is no error. */
static ftso_status sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return system_error("open", folder);
    bool failed = fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP;
    ftso_status status = failed ? system_error("sync", folder) : FTSO_STATUS_OK;
    close(fd);
    return status;
}

/* Steps of the checkpoints in `folder`, ascending; allocated. */
typedef struct step_list {
    int64_t *steps;
    size_t count;
} step_list;

static int by_step(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool step_of_name(const char *name, int64_t *out)
{
    if (strncmp(name, "step-", 5) != 0 || strlen(name) != 5 + STEP_DIGITS) return false;
    if (strspn(name + 5, "0123456789") != STEP_DIGITS) return false;
    *out = strtoll(name + 5, NULL, 10);
    return true;
}

static ftso_status list_steps(const char *folder, step_list *out)
{
    *out = (step_list){NULL, 0};
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT ? FTSO_STATUS_OK : system_error("read the folder", folder);
    size_t capacity = 0;
    ftso_status status = FTSO_STATUS_OK;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        int64_t step;
        if (!step_of_name(entry->d_name, &step)) continue;
        if (out->count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            int64_t *wider = ftso_mem_resize(out->steps, capacity * sizeof(int64_t));
            if (!wider) {
                status = ftso_error(FTSO_ERROR_LIMIT, "no memory to read the folder '%s'", folder);
                break;
            }
            out->steps = wider;
        }
        out->steps[out->count++] = step;
    }
    closedir(dir);
    if (out->count) qsort(out->steps, out->count, sizeof(int64_t), by_step);
    return status;
}

/* Removes a folder of files. What cannot be removed stays, and is tried again at the next save. */
static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    path file;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            join(&file, folder, entry->d_name).code == FTSO_OK)
            (void)unlink(file.text);
    closedir(dir);
    (void)rmdir(folder);
}

/* What killed saves left. */
static void sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    path left;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strncmp(entry->d_name, "tmp-", 4) == 0 &&
            join(&left, folder, entry->d_name).code == FTSO_OK)
            remove_folder(left.text);
    closedir(dir);
}

/* Removes a checkpoint: first its name goes, so that half of one is never met under a checkpoint's name. */
static void drop(const char *folder, int64_t step)
{
    path from, to;
    if (step_path(&from, folder, "", step).code != FTSO_OK ||
        step_path(&to, folder, "tmp-old-", step).code != FTSO_OK)
        return;
    if (rename(from.text, to.text) == 0) remove_folder(to.text);
}

static void prune(const char *folder, const ftso_checkpoint *place, int keep)
{
    step_list all;
    if (list_steps(folder, &all).code == FTSO_OK)
        for (size_t i = 0; i + (size_t)keep < all.count; i++)
            if (place->best.epoch == 0 || all.steps[i] != place->best.step)
                drop(folder, all.steps[i]);
    ftso_mem_free(all.steps);
}

/* ---------------------------------------------------------------- manifests */

/* Every number of a place, in the order of the manifest. */
typedef enum field_kind { FIELD_COUNT, FIELD_WORD, FIELD_REAL } field_kind;
static const struct {
    const char *name;
    field_kind kind;
    size_t offset;
} fields[] = {
    {"step", FIELD_COUNT, offsetof(ftso_checkpoint, step)},
    {"measured", FIELD_COUNT, offsetof(ftso_checkpoint, measured)},
    {"seed", FIELD_WORD, offsetof(ftso_checkpoint, seed)},
    {"best_epoch", FIELD_COUNT, offsetof(ftso_checkpoint, best.epoch)},
    {"best_step", FIELD_COUNT, offsetof(ftso_checkpoint, best.step)},
    {"best_top1", FIELD_COUNT, offsetof(ftso_checkpoint, best.top1)},
    {"best_images", FIELD_COUNT, offsetof(ftso_checkpoint, best.images)},
    {"best_loss", FIELD_REAL, offsetof(ftso_checkpoint, best.loss)},
    {"loss_sum", FIELD_REAL, offsetof(ftso_checkpoint, loss_sum)},
    {"top1", FIELD_COUNT, offsetof(ftso_checkpoint, top1)},
    {"images", FIELD_COUNT, offsetof(ftso_checkpoint, images)},
    {"seconds", FIELD_REAL, offsetof(ftso_checkpoint, seconds)},
    {"log_bytes", FIELD_COUNT, offsetof(ftso_checkpoint, log_bytes)},
    {"layout", FIELD_WORD, offsetof(ftso_checkpoint, layout)},
    {"origin", FIELD_WORD, offsetof(ftso_checkpoint, origin)},
};

static void put_field(ftso_text *out, size_t i, const ftso_checkpoint *place)
{
    const char *at = (const char *)place + fields[i].offset;
    char digits[32];
    switch (fields[i].kind) {
    case FIELD_COUNT:
        snprintf(digits, sizeof(digits), "%lld", (long long)*(const int64_t *)at);
        break;
    case FIELD_WORD:
        snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)*(const uint64_t *)at);
        break;
    case FIELD_REAL:
        ftso_double_print(*(const double *)at, digits);
        break;
    }
    ftso_text_printf(out, "%s %s\n", fields[i].name, digits);
}

/* Reads one field's line; moves `*at` behind it. */
static bool take_field(const char **at, size_t i, ftso_checkpoint *place)
{
    size_t length = strlen(fields[i].name);
    if (strncmp(*at, fields[i].name, length) != 0 || (*at)[length] != ' ') return false;
    const char *digits = *at + length + 1;
    char *to = (char *)place + fields[i].offset, *end;
    errno = 0;
    switch (fields[i].kind) {
    case FIELD_COUNT:
        *(int64_t *)to = strtoll(digits, &end, 10);
        if (*(int64_t *)to < 0) return false;
        break;
    case FIELD_WORD:
        *(uint64_t *)to = strtoull(digits, &end, 16);
        break;
    case FIELD_REAL:
        *(double *)to = ftso_double_parse(digits, &end);
        break;
    }
    if (errno || end == digits || *end != '\n') return false;
    *at = end + 1;
    return true;
}

/* Length and checksum of the tensors' file. */
typedef struct content {
    unsigned long long length;
    unsigned crc;
} content;

static content content_of(const void *bytes, size_t length)
{
    return (content){length, ftso_crc32(0, bytes, length)};
}

static void print_manifest(const ftso_checkpoint *place, content tensors, ftso_text *out)
{
    ftso_text_puts(out, HEAD);
    for (size_t i = 0; i < FTSO_COUNT(fields); i++) put_field(out, i, place);
    ftso_text_printf(out, "file %s %llu %08x\n", TENSORS, tensors.length, tensors.crc);
    unsigned long long sum = ftso_hash(FTSO_HASH_SEED, ftso_text_get(out), out->length);
    ftso_text_printf(out, "sum %016llx\n", sum);
}

/* Strict: what this prints again is the text itself, so that no changed byte goes unseen. */
static bool parse_manifest(const char *text, ftso_checkpoint *place, content *tensors)
{
    const char *at = text;
    if (strncmp(at, HEAD, strlen(HEAD)) != 0) return false;
    at += strlen(HEAD);
    for (size_t i = 0; i < FTSO_COUNT(fields); i++)
        if (!take_field(&at, i, place)) return false;
    if (sscanf(at, "file " TENSORS " %llu %8x\n", &tensors->length, &tensors->crc) != 2)
        return false;
    ftso_text again;
    ftso_text_init(&again);
    print_manifest(place, *tensors, &again);
    bool same = strcmp(ftso_text_get(&again), text) == 0;
    ftso_text_deinit(&again);
    return same;
}

/* ---------------------------------------------------------------- reading */

void ftso_checkpoint_deinit(ftso_checkpoint_file *file)
{
    if (file->found) ftso_safetensors_deinit(&file->tensors);
    ftso_mem_free(file->bytes);
    *file = (ftso_checkpoint_file){.found = false};
}

/* The whole file in memory of its own. */
static ftso_status read_tensors(const char *name, content wanted, void **out_bytes)
{
    *out_bytes = NULL;
    ftso_file file;
    FTSO_TRY(ftso_file_open(&file, name));
    size_t got = 0;
    ftso_status status = FTSO_STATUS_OK;
    if (file.length == wanted.length) {
        *out_bytes = ftso_mem_alloc(file.length + 1);
        status = *out_bytes ? ftso_file_take(&file, *out_bytes, file.length, &got)
                            : ftso_error(FTSO_ERROR_LIMIT, "no memory to read '%s'", name);
    }
    size_t length = file.length;
    ftso_file_close(&file);
    if (status.code != FTSO_OK) return status;
    if (length != wanted.length || got != length)
        return ftso_error(FTSO_ERROR_DATA, "'%s' has %zu bytes, its manifest says %llu", name,
                          length, wanted.length);
    content is = content_of(*out_bytes, length);
    if (is.crc == wanted.crc) return status;
    return ftso_error(FTSO_ERROR_DATA, "'%s' is damaged: its checksum is %08x, not %08x", name,
                      is.crc, wanted.crc);
}

static ftso_status load(const char *folder, int64_t step, ftso_arena *arena,
                        ftso_checkpoint_file *out)
{
    path base, manifest, tensors;
    FTSO_TRY(step_path(&base, folder, "", step));
    FTSO_TRY(join(&manifest, base.text, MANIFEST));
    FTSO_TRY(join(&tensors, base.text, TENSORS));
    char *text;
    size_t length;
    ftso_status status = ftso_file_read(arena, manifest.text, MAX_MANIFEST_BYTES, &text, &length);
    if (status.code == FTSO_ERROR_LIMIT)
        status.code = FTSO_ERROR_DATA; /* no manifest is that long */
    if (status.code != FTSO_OK) return status;
    content wanted;
    if (!parse_manifest(text, &out->place, &wanted) || out->place.step != step)
        return ftso_error(FTSO_ERROR_DATA, "'%s' is damaged", manifest.text);
    FTSO_TRY(read_tensors(tensors.text, wanted, &out->bytes));
    FTSO_TRY(ftso_safetensors_parse(tensors.text, out->bytes, wanted.length, &out->tensors));
    out->found = true;
    return FTSO_STATUS_OK;
}

ftso_status ftso_checkpoint_load_step(const char *folder, int64_t step, ftso_checkpoint_file *out)
{
    *out = (ftso_checkpoint_file){.found = false};
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_status status = load(folder, step, &arena, out);
    ftso_arena_deinit(&arena);
    if (status.code != FTSO_OK) ftso_checkpoint_deinit(out);
    return status;
}

ftso_status ftso_checkpoint_load(const char *folder, ftso_text *notes, ftso_checkpoint_file *out)
{
    *out = (ftso_checkpoint_file){.found = false};
    step_list all;
    ftso_status status = list_steps(folder, &all);
    for (size_t i = all.count; i-- > 0 && status.code == FTSO_OK && !out->found;) {
        ftso_status why = ftso_checkpoint_load_step(folder, all.steps[i], out);
        if (why.code == FTSO_ERROR_LIMIT) status = why; /* memory is short, nothing is damaged */
        if (!out->found)
            ftso_text_printf(notes, "the checkpoint of step %lld is passed over: %s\n",
                             (long long)all.steps[i], why.message);
    }
    if (status.code == FTSO_OK && all.count && !out->found)
        status = ftso_error(FTSO_ERROR_DATA, "none of the %zu checkpoints in '%s' is whole",
                            all.count, folder);
    ftso_mem_free(all.steps);
    return status;
}

/* ---------------------------------------------------------------- writing */

static ftso_status check_space(const char *folder, const ftso_safetensor *tensors, size_t count)
{
    struct statvfs info;
    if (statvfs(folder, &info) < 0) return system_error("look at", folder);
    unsigned long long needed = MAX_MANIFEST_BYTES;
    for (size_t i = 0; i < count; i++) needed += tensors[i].size_bytes;
    unsigned long long free_bytes = (unsigned long long)info.f_bavail * info.f_frsize;
    if (free_bytes >= needed) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_LIMIT, "a checkpoint takes %.1f MB, and '%s' has room for %.1f MB",
                      (double)needed / 1e6, folder, (double)free_bytes / 1e6);
}

/* Length and checksum of a file as it reads. */
static ftso_status measure_file(const char *name, content *out)
{
    char block[1 << 16];
    *out = (content){0, 0};
    ftso_file file;
    FTSO_TRY(ftso_file_open(&file, name));
    ftso_status status;
    size_t got;
    do {
        status = ftso_file_take(&file, block, sizeof(block), &got);
        out->crc = ftso_crc32(out->crc, block, got);
        out->length += got;
    } while (status.code == FTSO_OK && got == sizeof(block));
    ftso_file_close(&file);
    return status;
}

/* Both files in a folder that has no name yet. */
static ftso_status write_files(const char *base, const ftso_checkpoint *place,
                               const ftso_safetensor *tensors, size_t count)
{
    path file;
    FTSO_TRY(join(&file, base, TENSORS));
    FTSO_TRY(ftso_safetensors_write(file.text, tensors, count, NULL, 0));
    content written;
    FTSO_TRY(measure_file(file.text, &written));
    ftso_text text;
    ftso_text_init(&text);
    print_manifest(place, written, &text);
    ftso_status status = join(&file, base, MANIFEST);
    if (text.failed) status = ftso_error(FTSO_ERROR_LIMIT, "no memory to write '%s'", file.text);
    if (status.code == FTSO_OK)
        status = ftso_file_write_atomic(file.text, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return status.code == FTSO_OK ? sync_folder(base) : status;
}

/* True where this very place was saved already. */
static bool is_saved(const char *folder, const ftso_checkpoint *place)
{
    ftso_checkpoint_file there;
    bool same = ftso_checkpoint_load_step(folder, place->step, &there).code == FTSO_OK &&
                there.place.measured == place->measured && there.place.layout == place->layout &&
                there.place.origin == place->origin && there.place.log_bytes == place->log_bytes;
    ftso_checkpoint_deinit(&there);
    return same;
}

/* Gives a folder its name. One that has it already (of the same step: damaged, or not judged yet) takes the other's. */
static int rename_over(const char *fresh, const char *final)
{
    if (rename(fresh, final) == 0) return 0;
    if (errno != ENOTEMPTY && errno != EEXIST) return -1;
    return renameat2(AT_FDCWD, fresh, AT_FDCWD, final, RENAME_EXCHANGE);
}

ftso_status ftso_checkpoint_save(const char *folder, const ftso_checkpoint *place,
                                 const ftso_safetensor *tensors, size_t count, int keep)
{
    FTSO_ASSERT(keep >= 1 && place->step >= 0);
    path fresh, final;
    FTSO_TRY(ftso_dir_create(folder));
    sweep(folder);
    FTSO_TRY(step_path(&fresh, folder, "tmp-", place->step));
    FTSO_TRY(step_path(&final, folder, "", place->step));
    if (is_saved(folder, place)) {
        prune(folder, place, keep); /* which the save before may not have come to */
        return FTSO_STATUS_OK;
    }
    FTSO_TRY(check_space(folder, tensors, count));
    FTSO_TRY(ftso_dir_create(fresh.text));
    ftso_status status = write_files(fresh.text, place, tensors, count);
    if (status.code != FTSO_OK) {
        remove_folder(fresh.text);
        return status;
    }
    if (rename_over(fresh.text, final.text) < 0) status = system_error("rename to", final.text);
    if (status.code == FTSO_OK) status = sync_folder(folder);
    if (status.code != FTSO_OK) {
        remove_folder(fresh.text);
        return status;
    }
    sweep(folder);
    prune(folder, place, keep);
    return FTSO_STATUS_OK;
}
