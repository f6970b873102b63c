/*
 * Other programs (compiler driver, linker), run without a shell; and the files installed beside ftso.
 *
 * In: argument lists. Out: statuses that quote what the program said. Holds: every child is waited for.
 */
#include "cli/build.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *ftso_tool_find(ftso_arena *arena, const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at;) {
        size_t length = strcspn(at, ":");
        const char *file = ftso_format(arena, "%.*s/%s", (int)length, at, name);
        if (length > 0 && access(file, X_OK) == 0) return file;
        at += length;
        at += *at == ':';
    }
    return NULL;
}

/* Reads all that comes, keeps the beginning. */
static void keep_words(int fd, char *words, size_t size)
{
    char block[1024];
    size_t used = 0;
    ssize_t got;
    while ((got = read(fd, block, sizeof(block))) > 0 || (got < 0 && errno == EINTR))
        for (ssize_t i = 0; i < got && used + 1 < size; i++)
            words[used++] = block[i] == '\n' ? ' ' : block[i];
    words[used] = '\0';
}

ftso_status ftso_tool_run(const char *const *argv)
{
    int ends[2], code = 0;
    char words[300];
    if (pipe(ends) < 0)
        return ftso_error(FTSO_ERROR_LIMIT, "no pipe to '%s': %s", argv[0], strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    pid_t child;
    int error = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    keep_words(ends[0], words, sizeof(words));
    close(ends[0]);
    if (error)
        return ftso_error(FTSO_ERROR_DEVICE,
                          "cannot run '%s': %s; 'ftso doctor' tells what is missing", argv[0],
                          strerror(error));
    while (waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(code) && WEXITSTATUS(code) == 0) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DEVICE, "'%s' failed: %s", argv[0],
                      words[0] ? words : "it said nothing");
}

const char *ftso_tool_of(ftso_arena *arena, const ftso_system *system, const char *name)
{
    if (!system) return name;
    return ftso_format(arena, "%s-%s", system->name, strcmp(name, "cc") == 0 ? "gcc" : name);
}

const char *ftso_system_of(ftso_arena *arena, const ftso_target *target)
{
    return ftso_format(arena, "%.*s-linux-gnu", (int)strcspn(target->triple, "-"), target->triple);
}

const char *ftso_decoders_wanted(ftso_arena *arena, const ftso_system *system)
{
    if (!system->decoders)
        return ftso_format(arena, "Debian 12 has no decoders for %s", system->name);
    return ftso_format(arena,
                       "install %s, or unpack these packages for cmake -DFTSO_CROSS_ROOT, and "
                       "build ftso again",
                       system->decoders);
}

const char *ftso_installed_file(ftso_arena *arena, const char *triple, const char *name)
{
    static const char *const places[] = {"artefact", "../lib/ftso"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) return NULL;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    for (size_t i = 0; i < FTSO_COUNT(places); i++) {
        const char *path = ftso_format(arena, "%s/%s/%s/%s", self, places[i], triple, name);
        if (ftso_file_exists(path)) return path;
    }
    return NULL;
}

/* ---------------------------------------------------------------- scratch */

ftso_status ftso_scratch_new(ftso_arena *arena, const char **out_path)
{
    const char *base = getenv("TMPDIR");
    char *path = (char *)ftso_format(arena, "%s/ftso-XXXXXX", base && *base ? base : "/tmp");
    *out_path = path;
    if (mkdtemp(path)) return FTSO_STATUS_OK;
    return ftso_error(errno == ENOSPC ? FTSO_ERROR_LIMIT : FTSO_ERROR_DATA,
                      "cannot make the folder '%s': %s", path, strerror(errno));
}

void ftso_scratch_remove(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    (void)rmdir(path);
}

ftso_status ftso_scratch_write(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "wbe");
    bool good = file && fwrite(bytes, 1, length, file) == length;
    good = file && fclose(file) == 0 && good;
    if (good) return FTSO_STATUS_OK;
    return ftso_error(errno == ENOSPC ? FTSO_ERROR_LIMIT : FTSO_ERROR_DATA, "cannot write '%s': %s",
                      path, strerror(errno));
}
