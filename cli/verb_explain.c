/*
 * ftso explain: the long text on one error code.
 */
#include "cli/options.h"

#include <string.h>

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key != ARGP_KEY_ARG) return ARGP_ERR_UNKNOWN;
    if (state->arg_num > 0) argp_error(state, "one code at a time");
    *(const char **)state->input = arg;
    return 0;
}

static const struct argp argp = {NULL,
                                 parse,
                                 "[CODE]",
                                 "Says what an error code means, with an example that is wrong and "
                                 "one that is right. Without a code: all of them.\v"
                                 "Example: ftso explain E0201",
                                 NULL,
                                 NULL,
                                 NULL};

/* Prints `text` with every line indented. */
static void indented(const char *title, const char *text)
{
    if (!text || !*text) return;
    printf("%s:\n", title);
    while (*text) {
        size_t length = strcspn(text, "\n");
        printf("    %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

int ftso_verb_explain(int argc, char **argv)
{
    const char *code = NULL;
    int exit_code = ftso_argp_run(&argp, argc, argv, &code);
    if (exit_code >= 0) return exit_code;
    size_t count;
    const ftso_error_doc *rows = ftso_error_doc_rows(&count);
    if (!code) {
        for (size_t i = 0; i < count; i++) printf("%s  %s\n", rows[i].code, rows[i].title);
        return FTSO_OK;
    }
    const ftso_error_doc *doc = ftso_error_doc_find(code);
    if (!doc)
        return ftso_report(ftso_error(
            FTSO_ERROR_USAGE, "there is no error code '%s'; 'ftso explain' lists them", code));
    printf("%s: %s\n\n%s\n\n", doc->code, doc->title, doc->text);
    indented("Wrong", doc->bad);
    indented("Right", doc->good);
    return FTSO_OK;
}
