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

/* Reads up to `size` bytes; the number read, or -1. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, bytes + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

ftso_status ftso_file_read(ftso_arena *arena, const char *path, size_t limit_bytes,
                           char **out_bytes, size_t *out_length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return system_error("open", path);
    ftso_status status = FTSO_STATUS_OK;
    struct stat info;
    if (fstat(fd, &info) < 0) {
        status = system_error("look at", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = ftso_error(FTSO_ERROR_DATA, "'%s' is %s, not a file", path,
                            S_ISDIR(info.st_mode) ? "a folder" : "a device");
        goto out;
    }
    if ((uint64_t)info.st_size > limit_bytes) {
        status = ftso_error(FTSO_ERROR_LIMIT, "'%s' has %lld bytes; at most %zu are read", path,
                            (long long)info.st_size, limit_bytes);
        goto out;
    }
    char *bytes = ftso_arena_array(arena, (size_t)info.st_size + 1, 1);
    ssize_t got = read_all(fd, bytes, (size_t)info.st_size);
    if (got < 0) {
        status = system_error("read", path);
        goto out;
    }
    bytes[got] = '\0';
    *out_bytes = bytes;
    *out_length = (size_t)got;
out:
    close(fd);
    return status;
}

static ftso_status write_and_sync(int fd, const char *path, const char *bytes, size_t length)
{
    size_t put = 0;
    while (put < length) {
        ssize_t n = write(fd, bytes + put, length - put);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return system_error("write", path);
        put += (size_t)n;
    }
    if (fsync(fd) < 0) return system_error("sync", path);
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

ftso_status ftso_file_write_atomic(const char *path, const void *bytes, size_t length)
{
    char temporary[PATH_MAX];
    int used = snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path, (long)getpid());
    if (used < 0 || (size_t)used >= sizeof(temporary))
        return ftso_error(FTSO_ERROR_LIMIT, "the path '%.100s…' is longer than %d bytes", path,
                          PATH_MAX);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return system_error("write", temporary);
    ftso_status status = write_and_sync(fd, temporary, bytes, length);
    if (close(fd) < 0 && status.code == FTSO_OK) status = system_error("close", temporary);
    if (status.code == FTSO_OK && rename(temporary, path) < 0)
        status = system_error("rename to", path);
    if (status.code != FTSO_OK) {
        unlink(temporary);
        return status;
    }
    sync_folder(path);
    return status;
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
        if (mkdir(partial, 0777) < 0 && errno != EEXIST)
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
