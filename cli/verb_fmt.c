/*
 * ftso fmt: a space file in canonical layout, on stdout or in place.
 */
#include "cli/options.h"

#include <string.h>

typedef struct fmt_options {
    const char *path;
    bool in_place, check;
} fmt_options;

static const struct argp_option options[] = {
    {"in-place", 'i', 0, 0, "rewrite the file (to a temporary name, then renamed)", 0},
    {"check", 'c', 0, 0, "print nothing; exit 1 if the file is not in canonical layout", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    fmt_options *fmt = state->input;
    switch (key) {
    case 'i':
        fmt->in_place = true;
        break;
    case 'c':
        fmt->check = true;
        break;
    case ARGP_KEY_ARG:
        if (fmt->path) argp_error(state, "one file at a time");
        fmt->path = arg;
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which file?");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {options,
                                 parse,
                                 "FILE.ftso",
                                 "Prints a space file in canonical layout; comments stay. "
                                 "Formatting the result again changes nothing.\v"
                                 "Example: ftso fmt -i my.ftso",
                                 NULL,
                                 NULL,
                                 NULL};

int ftso_verb_fmt(int argc, char **argv)
{
    fmt_options fmt = {0};
    int code = ftso_argp_run(&argp, argc, argv, &fmt);
    if (code >= 0) return code;

    if (fmt.in_place && strcmp(fmt.path, "-") == 0)
        return ftso_report(
            ftso_error(FTSO_ERROR_USAGE, "standard input cannot be rewritten in place"));
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_diag diag;
    ftso_diag_init(&diag, &arena);
    ftso_text text;
    ftso_text_init(&text);
    ftso_ast *ast = NULL;
    code = ftso_report(ftso_input_parse(&arena, &diag, fmt.path, &ast));
    if (code == FTSO_OK && diag.error_count > 0) {
        ftso_diag_print(&diag, &text, ftso_wants_color(stderr));
        fputs(ftso_text_get(&text), stderr);
        code = FTSO_ERROR_USER;
    } else if (code == FTSO_OK) {
        ftso_ast_format(ast, &text);
        const ftso_source *source = &diag.sources[0];
        bool same = source->length == text.length &&
                    memcmp(source->text, ftso_text_get(&text), text.length) == 0;
        if (fmt.check)
            code = same ? FTSO_OK : FTSO_ERROR_USER;
        else if (!fmt.in_place)
            fputs(ftso_text_get(&text), stdout);
        else if (!same)
            code = ftso_report(ftso_file_write_atomic(fmt.path, text.data, text.length));
    }
    ftso_text_deinit(&text);
    ftso_arena_deinit(&arena);
    return code;
}
