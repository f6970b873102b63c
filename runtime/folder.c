/*
 * The folder that a run works in: one process at a time.
 *
 * In: a folder. Out: its lock. Holds: what a killed process left half written is gone once the lock is held.
 */
#include "runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Temporary files of a process that was killed: NAME.PID.tmp, as ftso_file_write_atomic calls them. */
static void sweep(ftso_arena *arena, const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *pid = strchr(entry->d_name, '.');
        while (pid && strspn(pid + 1, "0123456789") == 0) pid = strchr(pid + 1, '.');
        if (pid && strcmp(pid + 1 + strspn(pid + 1, "0123456789"), ".tmp") == 0)
            (void)unlink(ftso_format(arena, "%s/%s", folder, entry->d_name));
    }
    closedir(dir);
}

/* The log serves as the lock: it is there from the first moment on, and it is what two writers would spoil. */
static ftso_status take(ftso_arena *arena, const char *folder, int *out_lock)
{
    const char *path = ftso_format(arena, "%s/events.jsonl", folder);
    *out_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*out_lock < 0)
        return ftso_error(FTSO_ERROR_DATA, "cannot write '%s': %s", path, strerror(errno));
    if (flock(*out_lock, LOCK_EX | LOCK_NB) == 0) {
        sweep(arena, folder);
        return FTSO_STATUS_OK;
    }
    int reason = errno;
    ftso_folder_unlock(*out_lock);
    *out_lock = -1;
    if (reason == EWOULDBLOCK)
        return ftso_error(FTSO_ERROR_USAGE, "another process works in '%s'", folder);
    return ftso_error(FTSO_ERROR_DATA, "cannot lock '%s': %s", path, strerror(reason));
}

ftso_status ftso_folder_lock(const char *folder, int *out_lock)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_status status = take(&arena, folder, out_lock);
    ftso_arena_deinit(&arena);
    return status;
}

void ftso_folder_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

/* Of two processes at once, the second is refused; so is a folder with a record or a log in it. */
ftso_status ftso_folder_claim(const char *folder, const char *mark, int *out_lock)
{
    *out_lock = -1;
    FTSO_TRY(ftso_dir_create(folder));
    FTSO_TRY(ftso_folder_lock(folder, out_lock));
    struct stat log;
    char path[4096];
    bool begun = fstat(*out_lock, &log) < 0 || log.st_size > 0 ||
                 snprintf(path, sizeof(path), "%s/%s", folder, mark) >= (int)sizeof(path);
    if (!begun && !ftso_file_exists(path)) return FTSO_STATUS_OK;
    ftso_folder_unlock(*out_lock);
    *out_lock = -1;
    return ftso_error(FTSO_ERROR_USAGE, "'%s' holds a run already; choose another folder with -o",
                      folder);
}
