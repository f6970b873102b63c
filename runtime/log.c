/*
 * The log of a run: JSON lines, one event each.
 *
 * In: the text of one object. Out: one line in the file. Holds: each line is handed to the system whole and at once, so
 * that a killed run leaves whole lines.
 */
#include "runtime.h"

#include <errno.h>
#include <string.h>

static ftso_status log_error(const char *what)
{
    int reason = errno;
    ftso_code code = reason == ENOSPC || reason == EDQUOT || reason == EFBIG ? FTSO_ERROR_LIMIT
                                                                             : FTSO_ERROR_DATA;
    return ftso_error(code, "cannot %s: %s", what, strerror(reason));
}

ftso_status ftso_log_open(ftso_log *log, const char *path)
{
    log->file = fopen(path, "we");
    if (!log->file) return ftso_annotate(log_error("open the log"), "'%s'", path);
    return FTSO_STATUS_OK;
}

ftso_status ftso_log_write(ftso_log *log, const char *json)
{
    FTSO_ASSERT(!strchr(json, '\n'));
    if (fprintf(log->file, "%s\n", json) < 0 || fflush(log->file) != 0)
        return log_error("write to the log");
    return FTSO_STATUS_OK;
}

ftso_status ftso_log_close(ftso_log *log)
{
    if (!log->file) return FTSO_STATUS_OK;
    int failed = ferror(log->file);
    if (fclose(log->file) != 0 || failed) {
        log->file = NULL;
        return log_error("write to the log");
    }
    log->file = NULL;
    return FTSO_STATUS_OK;
}
