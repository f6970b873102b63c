/*
 * Replays files through a fuzz target: the main of every target in the normal build. tests/fuzz/run.sh builds the targets with
 * clang -fsanitize=fuzzer instead, which brings its own.
 *
 * In: folders. Out: how many files were read; the target aborts on what must not be.
 */
#include <dirent.h>
#include <stdio.h>

#include "base/base.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_BYTES = 1 << 18 };

static int replay(const char *path)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    char *bytes;
    size_t length;
    ftso_status status = ftso_file_read(&arena, path, MAX_BYTES, &bytes, &length);
    if (status.code == FTSO_OK) LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
    if (status.code != FTSO_OK) fprintf(stderr, "%s\n", status.message);
    ftso_arena_deinit(&arena);
    return status.code != FTSO_OK;
}

/* Replays the files in the folders that are named. */
int main(int argc, char **argv)
{
    size_t count = 0;
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            fprintf(stderr, "%s is no folder\n", argv[i]);
            return 1;
        }
        for (const struct dirent *entry; (entry = readdir(dir));) {
            char path[4096];
            if (entry->d_name[0] == '.' || entry->d_type == DT_DIR) continue;
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            failures += replay(path);
            count++;
        }
        closedir(dir);
    }
    printf("%zu inputs replayed, %d unreadable\n", count, failures);
    return failures || count == 0;
}
