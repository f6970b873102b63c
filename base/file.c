/*
 * Files: whole reads with a limit, atomic writes, folders. The one place of the program that opens files for writing.
 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ftso_status system_error(const char *what, const char *path)
{
    int reason = errno;
    ftso_code code = reason == ENOSPC || reason == EDQUOT || reason == EFBIG ? FTSO_ERROR_LIMIT
                                                                             : FTSO_ERROR_DATA;
    return ftso_error(code, "cannot %s '%s': %s", what, path, strerror(reason));
}

/* ---------------------------------------------------------------- reading */

ftso_status ftso_file_open(ftso_file *file, const char *path)
{
    struct stat info;
    *file = (ftso_file){.path = path};
    /* Not blocking, so that a named pipe is refused and not waited for. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0) return system_error("open", path);
    ftso_status status = FTSO_STATUS_OK;
    if (fstat(file->fd, &info) < 0)
        status = system_error("look at", path);
    else if (!S_ISREG(info.st_mode))
        status = ftso_error(FTSO_ERROR_DATA, "'%s' is %s, not a file", path,
                            S_ISDIR(info.st_mode) ? "a folder" : "a device");
    if (status.code != FTSO_OK) {
        ftso_file_close(file);
        return status;
    }
    file->length = (size_t)info.st_size;
    return status;
}

ftso_status ftso_file_take(ftso_file *file, void *out, size_t count, size_t *out_got)
{
    *out_got = 0;
    while (*out_got < count) {
        ssize_t got = read(file->fd, (char *)out + *out_got, count - *out_got);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error("read", file->path);
        if (got == 0) break;
        *out_got += (size_t)got;
    }
    return FTSO_STATUS_OK;
}

void ftso_file_close(ftso_file *file)
{
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
}

ftso_status ftso_file_read(ftso_arena *arena, const char *path, size_t limit_bytes,
                           char **out_bytes, size_t *out_length)
{
    ftso_file file;
    FTSO_TRY(ftso_file_open(&file, path));
    if (file.length > limit_bytes) {
        ftso_file_close(&file);
        return ftso_error(FTSO_ERROR_LIMIT, "'%s' has %zu bytes; at most %zu are read", path,
                          file.length, limit_bytes);
    }
    char *bytes = ftso_arena_array(arena, file.length + 1, 1);
    ftso_status status = ftso_file_take(&file, bytes, file.length, out_length);
    ftso_file_close(&file);
    if (status.code != FTSO_OK) return status;
    bytes[*out_length] = '\0';
    *out_bytes = bytes;
    return status;
}

/* ---------------------------------------------------------------- writing */

static _Thread_local const ftso_file_fault *fault;

void ftso_file_fault_override(const ftso_file_fault *replacement)
{
    fault = replacement;
}

/* False, with errno set, where a test wants this call to fail. */
static bool allowed(const char *call, const char *path, size_t *count)
{
    int reason = fault ? fault->before(fault->user, call, path, count) : 0;
    if (reason) errno = reason;
    return !reason;
}

/* A file being written; small pieces are gathered. */
typedef struct writing {
    const char *path;
    int fd;
    size_t gathered;
    char buffer[1 << 16];
} writing;

static ftso_status write_bytes(const writing *w, const char *bytes, size_t length)
{
    for (size_t put = 0; put < length;) {
        size_t count = length - put;
        ssize_t n = allowed("write", w->path, &count) ? write(w->fd, bytes + put, count) : -1;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error("write", w->path);
        put += (size_t)n;
    }
    return FTSO_STATUS_OK;
}

static ftso_status flush(writing *w)
{
    size_t length = w->gathered;
    w->gathered = 0;
    return write_bytes(w, w->buffer, length);
}

static ftso_status write_and_sync(writing *w, const ftso_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].length == 0) continue;
        if (pieces[i].length > sizeof(w->buffer) - w->gathered) FTSO_TRY(flush(w));
        if (pieces[i].length > sizeof(w->buffer)) {
            FTSO_TRY(write_bytes(w, pieces[i].bytes, pieces[i].length));
        } else {
            memcpy(w->buffer + w->gathered, pieces[i].bytes, pieces[i].length);
            w->gathered += pieces[i].length;
        }
    }
    FTSO_TRY(flush(w));
    if (!allowed("sync", w->path, NULL) || fsync(w->fd) < 0) return system_error("sync", w->path);
    return FTSO_STATUS_OK;
}

/* Makes the rename itself durable. A file system that cannot sync folders is not an error. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 1;
    if (length >= sizeof(folder)) return;
    memcpy(folder, slash ? path : ".", length);
    folder[length] = '\0';
    int fd = open(length ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

ftso_status ftso_file_write_pieces(const char *path, const ftso_piece *pieces, size_t count)
{
    char temporary[PATH_MAX];
    int used = snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
    if (used < 0 || (size_t)used >= sizeof(temporary))
        return ftso_error(FTSO_ERROR_LIMIT, "the path '%.100s…' is longer than %d bytes", path,
                          PATH_MAX);
    writing w = {.path = temporary, .fd = -1};
    if (allowed("open", temporary, NULL))
        w.fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w.fd < 0) return system_error("write", temporary);
    ftso_status status = write_and_sync(&w, pieces, count);
    bool closes = allowed("close", temporary, NULL);
    if ((close(w.fd) < 0 || !closes) && status.code == FTSO_OK)
        status = system_error("close", temporary);
    if (status.code == FTSO_OK && (!allowed("rename", path, NULL) || rename(temporary, path) < 0))
        status = system_error("rename to", path);
    if (status.code != FTSO_OK) {
        unlink(temporary);
        return status;
    }
    sync_folder(path);
    return status;
}

ftso_status ftso_file_write_atomic(const char *path, const void *bytes, size_t length)
{
    return ftso_file_write_pieces(path, &(ftso_piece){bytes, length}, 1);
}

ftso_status ftso_dir_create(const char *path)
{
    char partial[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof(partial))
        return ftso_error(FTSO_ERROR_LIMIT, "the path '%.100s…' is longer than %d bytes", path,
                          PATH_MAX);
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (partial[i] != '/' && partial[i] != '\0') continue;
        char kept = partial[i];
        partial[i] = '\0';
        if ((!allowed("mkdir", partial, NULL) || mkdir(partial, 0777) < 0) && errno != EEXIST)
            return system_error("make the folder", partial);
        partial[i] = kept;
    }
    struct stat info;
    if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
        return ftso_error(FTSO_ERROR_DATA, "'%s' is there already and is no folder", path);
    return FTSO_STATUS_OK;
}

bool ftso_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}
