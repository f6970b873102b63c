/*
 * The log of a run: JSON lines, one event each.
 *
 * In: the text of one object. Out: one line in the file. Holds: each line is handed to the system whole and at once, so
 * that a killed run leaves whole lines.
 */
#include "runtime.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static ftso_status log_error(const ftso_log *log, const char *what)
{
    int reason = errno;
    ftso_code code = reason == ENOSPC || reason == EDQUOT || reason == EFBIG ? FTSO_ERROR_LIMIT
                                                                             : FTSO_ERROR_DATA;
    return ftso_error(code, "cannot %s the log '%s': %s", what, log->path, strerror(reason));
}

static ftso_status open_as(ftso_log *log, const char *path, const char *mode)
{
    snprintf(log->path, sizeof(log->path), "%s", path);
    log->file = fopen(path, mode);
    return log->file ? FTSO_STATUS_OK : log_error(log, "open");
}

ftso_status ftso_log_open(ftso_log *log, const char *path)
{
    return open_as(log, path, "we");
}

ftso_status ftso_log_resume(ftso_log *log, const char *path, int64_t bytes)
{
    FTSO_TRY(open_as(log, path, "r+e"));
    ftso_status status = FTSO_STATUS_OK;
    if (fseeko(log->file, 0, SEEK_END) < 0)
        status = log_error(log, "read");
    else if (ftello(log->file) < bytes)
        status =
            ftso_error(FTSO_ERROR_DATA, "the log '%s' is shorter than the %lld bytes that it had",
                       log->path, (long long)bytes);
    else if (ftruncate(fileno(log->file), bytes) < 0 || fseeko(log->file, bytes, SEEK_SET) < 0)
        status = log_error(log, "go on with");
    if (status.code == FTSO_OK) return status;
    fclose(log->file);
    log->file = NULL;
    return status;
}

ftso_status ftso_log_write(ftso_log *log, const char *json)
{
    FTSO_ASSERT(!strchr(json, '\n'));
    if (fprintf(log->file, "%s\n", json) < 0 || fflush(log->file) != 0)
        return log_error(log, "write to");
    return FTSO_STATUS_OK;
}

ftso_status ftso_log_sync(ftso_log *log, int64_t *out_bytes)
{
    if (fflush(log->file) != 0 || fsync(fileno(log->file)) < 0) return log_error(log, "sync");
    off_t length = ftello(log->file);
    if (length < 0) return log_error(log, "measure");
    *out_bytes = (int64_t)length;
    return FTSO_STATUS_OK;
}

ftso_status ftso_log_close(ftso_log *log)
{
    if (!log->file) return FTSO_STATUS_OK;
    int failed = ferror(log->file);
    if (fclose(log->file) != 0 || failed) {
        log->file = NULL;
        return log_error(log, "write to");
    }
    log->file = NULL;
    return FTSO_STATUS_OK;
}
