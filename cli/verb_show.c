/*
 * ftso show: a found or published cell as a drawing, a picture or text.
 */
#include "cli/model.h"
#include "cli/options.h"

#include <string.h>

typedef struct show_options {
    const char *path, *name, *format;
} show_options;

static const struct argp_option options[] = {
    {"format", 'f', "ascii|svg|json|darts|nb201", 0, "how to print it (default: ascii)", 0},
    {0},
};

static void print_ascii(const ftso_genotype *genotype, const ftso_space *space, ftso_text *out)
{
    (void)space;
    for (size_t i = 0; i < genotype->cell_count; i++)
        ftso_cell_print_ascii(&genotype->cells[i], out);
}

static void print_svg(const ftso_genotype *genotype, const ftso_space *space, ftso_text *out)
{
    (void)space;
    for (size_t i = 0; i < genotype->cell_count; i++)
        ftso_cell_print_svg(&genotype->cells[i], genotype->cells[i].decl->name, out);
}

static void print_darts(const ftso_genotype *genotype, const ftso_space *space, ftso_text *out)
{
    (void)space;
    ftso_genotype_print_darts(genotype, out);
    ftso_text_puts(out, "\n");
}

static const struct {
    const char *name;
    void (*print)(const ftso_genotype *genotype, const ftso_space *space, ftso_text *out);
} formats[] = {{"ascii", print_ascii},
               {"svg", print_svg},
               {"json", ftso_genotype_print_json},
               {"darts", print_darts},
               {"nb201", NULL}}; /* may refuse, so it has a status */

static error_t parse(int key, char *arg, struct argp_state *state)
{
    show_options *show = state->input;
    switch (key) {
    case 'f': {
        size_t i = 0;
        while (i < FTSO_COUNT(formats) && strcmp(formats[i].name, arg) != 0) i++;
        if (i == FTSO_COUNT(formats)) argp_error(state, "there is no format '%s'", arg);
        show->format = arg;
        break;
    }
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            show->path = arg;
        else if (state->arg_num == 1)
            show->name = arg;
        else
            argp_error(state, "at most a run directory or file, and one name");
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which run directory or space file?");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    options,
    parse,
    "RUN | FILE.ftso [GENOTYPE]",
    "Shows the cells that a search found (RUN is its directory), or a genotype that a space file "
    "declares.\v"
    "Examples:\n"
    "  ftso show runs/fashion\n"
    "  ftso show examples/published.ftso DARTS_V2 --format=svg > cells.svg",
    NULL,
    NULL,
    NULL};

static ftso_status print(const ftso_genotype *genotype, const ftso_space *space, const char *format)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_status status = FTSO_STATUS_OK;
    for (size_t i = 0; i < FTSO_COUNT(formats); i++) {
        if (strcmp(formats[i].name, format) != 0) continue;
        if (formats[i].print)
            formats[i].print(genotype, space, &text);
        else
            status = ftso_genotype_print_nb201(genotype, &text);
    }
    if (status.code == FTSO_OK) {
        fputs(ftso_text_get(&text), stdout);
        if (text.length && text.data[text.length - 1] != '\n') putchar('\n');
    }
    ftso_text_deinit(&text);
    return status;
}

int ftso_verb_show(int argc, char **argv)
{
    show_options chosen = {.format = "ascii"};
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    ftso_model model;
    if (ftso_model_read(&model, chosen.path, chosen.name, NULL, 0, &code))
        code = ftso_report(print(model.genotype, model.space, chosen.format));
    ftso_model_deinit(&model);
    return code;
}
