/*
 * Includes. In: the main file's folder and a path written in an include. Out: the bytes.
 * Must hold: nothing outside the folder is ever opened: no `..`, no absolute path, and no symbolic link is followed in any
 * component, not even when the tree changes meanwhile (each component is opened from its parent with O_NOFOLLOW).
 */
#include "ast.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_PATH_BYTES = 1024, MAX_FILE_BYTES = 16 << 20 };

const char *ftso_include_refused(const char *relative)
{
    if (!*relative) return "is empty";
    if (strlen(relative) > MAX_PATH_BYTES) return "is longer than 1024 bytes";
    if (*relative == '/') return "is absolute";
    for (const char *part = relative; *part;) {
        size_t length = strcspn(part, "/");
        if (length == 2 && !memcmp(part, "..", 2)) return "leaves the folder of the file";
        if (length == 0 || (length == 1 && *part == '.')) return "has an empty or `.` part";
        part += length;
        if (*part == '/') {
            part++;
            if (!*part) return "ends in `/`";
        }
    }
    return NULL;
}

/* Opens the last component of `relative`; errno tells why not. */
static int open_below(const char *folder, const char *relative)
{
    int at = open(*folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        size_t length = strcspn(relative, "/");
        bool last = relative[length] == '\0';
        char part[MAX_PATH_BYTES + 1];
        memcpy(part, relative, length);
        part[length] = '\0';
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
        int next = openat(at, part, flags);
        int reason = errno;
        close(at);
        errno = reason;
        at = next;
        if (last) return at;
        relative += length + 1;
    }
    return at;
}

static const char *why_not(int reason)
{
    if (reason == ELOOP) return "a symbolic link is not followed";
    if (reason == ENOTDIR) return "a part of the path is no folder, or a symbolic link";
    return strerror(reason);
}

ftso_status ftso_include_read(ftso_arena *arena, const char *folder, const char *relative,
                              char **out_bytes, size_t *out_length)
{
    FTSO_ASSERT(!ftso_include_refused(relative));
    int file = open_below(folder, relative);
    if (file < 0) return ftso_error(FTSO_ERROR_USER, "%s", why_not(errno));
    ftso_status status = FTSO_STATUS_OK;
    struct stat info;
    if (fstat(file, &info) != 0) {
        status = ftso_error(FTSO_ERROR_USER, "%s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status = ftso_error(FTSO_ERROR_USER, "it is not an ordinary file");
    } else if (info.st_size > MAX_FILE_BYTES) {
        status = ftso_error(FTSO_ERROR_USER, "it has %lld bytes, the limit is %d",
                            (long long)info.st_size, MAX_FILE_BYTES);
    }
    if (status.code == FTSO_OK) {
        size_t size = (size_t)info.st_size, done = 0;
        char *bytes = ftso_arena_alloc(arena, size + 1);
        while (done < size) {
            ssize_t got = read(file, bytes + done, size - done);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            done += (size_t)got;
        }
        *out_bytes = bytes;
        *out_length = done;
    }
    close(file);
    return status;
}
