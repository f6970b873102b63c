/*
 * ftso new: a space file to start from, complete in itself. The texts are the files of examples/, built in.
 */
#include "cli/options.h"

#include <string.h>

typedef struct ftso_example {
    const char *path, *text; /* path relative to examples/ */
} ftso_example;

#include "examples_table.h" /* generated: static const ftso_example examples[] */

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key != ARGP_KEY_ARG) return ARGP_ERR_UNKNOWN;
    if (state->arg_num > 0) argp_error(state, "one name at a time");
    *(const char **)state->input = arg;
    return 0;
}

static const struct argp argp = {
    NULL,
    parse,
    "[NAME]",
    "Prints a commented space file to start from; without a name, the names there are.\v"
    "Example: ftso new fashion > my.ftso && ftso check my.ftso",
    NULL,
    NULL,
    NULL};

/* The example at `path`, "NAME" standing for "NAME.ftso". */
static const ftso_example *find(const char *path)
{
    for (size_t i = 0; i < FTSO_COUNT(examples); i++) {
        size_t length = strlen(path);
        if (strncmp(examples[i].path, path, length) != 0) continue;
        if (examples[i].path[length] == '\0' || strcmp(examples[i].path + length, ".ftso") == 0)
            return &examples[i];
    }
    return NULL;
}

/* The first comment of a file, as its summary. */
static void print_summary(const ftso_example *example)
{
    const char *comment = strchr(example->text, '#');
    int length = 0;
    if (comment) {
        comment += strspn(comment, "# ");
        length = (int)strcspn(comment, "\n");
    }
    printf("  %-22.*s %.*s\n", (int)(strlen(example->path) - strlen(".ftso")), example->path,
           length, comment ? comment : "");
}

/* The file `line` includes, or NULL: `include "operators.ftso";`, relative to the folder of `from`. */
static const ftso_example *included(const ftso_example *from, const char *line, size_t length)
{
    static const char word[] = "include \"";
    if (length < sizeof(word) || strncmp(line, word, sizeof(word) - 1) != 0) return NULL;
    const char *start = line + sizeof(word) - 1,
               *end = memchr(start, '"', length - (sizeof(word) - 1));
    if (!end) return NULL;
    const char *slash = strrchr(from->path, '/');
    char path[256];
    int used = snprintf(path, sizeof(path), "%.*s%.*s", slash ? (int)(slash + 1 - from->path) : 0,
                        from->path, (int)(end - start), start);
    return used > 0 && (size_t)used < sizeof(path) ? find(path) : NULL;
}

/* Prints a file with what it includes in place, each once, version lines but for the first left out. */
static void print_expanded(const ftso_example *example, bool *printed, bool outermost)
{
    if (printed[example - examples]) return;
    printed[example - examples] = true;
    for (const char *line = example->text; *line;) {
        size_t length = strcspn(line, "\n");
        const ftso_example *other = included(example, line, length);
        if (other)
            print_expanded(other, printed, false);
        else if (outermost || strncmp(line, "ftso ", 5) != 0)
            printf("%.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static int unknown(const char *name)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *names[FTSO_COUNT(examples)];
    for (size_t i = 0; i < FTSO_COUNT(examples); i++)
        names[i] = ftso_format(&arena, "%.*s", (int)(strlen(examples[i].path) - strlen(".ftso")),
                               examples[i].path);
    int code = ftso_report(
        ftso_error(FTSO_ERROR_USAGE, "there is no example '%s'%s; 'ftso new' lists them", name,
                   ftso_did_you_mean(&arena, name, names, FTSO_COUNT(examples))));
    ftso_arena_deinit(&arena);
    return code;
}

int ftso_verb_new(int argc, char **argv)
{
    const char *name = NULL;
    int code = ftso_argp_run(&argp, argc, argv, &name);
    if (code >= 0) return code;
    if (!name) {
        for (size_t i = 0; i < FTSO_COUNT(examples); i++) print_summary(&examples[i]);
        return FTSO_OK;
    }
    const ftso_example *example = find(name);
    if (!example) return unknown(name);
    bool printed[FTSO_COUNT(examples)] = {false};
    print_expanded(example, printed, true);
    return FTSO_OK;
}
