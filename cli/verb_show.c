/*
 * ftso show: a found or published cell as a drawing, a picture or text.
 */
#include "cli/options.h"

#include <cjson/cJSON.h>
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

/* A string member of run.json, or NULL. */
static const char *member(ftso_arena *arena, const cJSON *record, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, name));
    return text ? ftso_strdup(arena, text) : NULL;
}

/* What `show` needs of run.json. */
typedef struct run_record {
    const char *file, *space; /* the space file's name in the run directory */
    const char *overrides[MAX_OVERRIDES];
    size_t override_count;
} run_record;

static ftso_status read_record(ftso_arena *arena, const char *run, run_record *out)
{
    char *bytes;
    size_t length;
    FTSO_TRY(
        ftso_file_read(arena, ftso_format(arena, "%s/run.json", run), 64 << 20, &bytes, &length));
    cJSON *record = cJSON_ParseWithLength(bytes, length);
    out->file = record ? member(arena, record, "file") : NULL;
    out->space = record ? member(arena, record, "space") : NULL;
    const cJSON *set = cJSON_GetObjectItemCaseSensitive(record, "set"), *item;
    cJSON_ArrayForEach(item, set) if (cJSON_IsString(item) && out->override_count < MAX_OVERRIDES)
        out->overrides[out->override_count++] = ftso_strdup(arena, item->valuestring);
    cJSON_Delete(record);
    if (!out->file || !out->space || strchr(out->file, '/'))
        return ftso_error(FTSO_ERROR_DATA, "'%s/run.json' is no record of a run of ftso", run);
    return FTSO_STATUS_OK;
}

/* The genotype of a run directory. The input holds the run's own copy of the space file. */
static ftso_status genotype_of_run(ftso_input *input, const char *run, const ftso_space *space,
                                   const ftso_genotype **out)
{
    char *bytes;
    size_t length;
    const char *path = ftso_format(&input->arena, "%s/genotype.json", run);
    FTSO_TRY(ftso_file_read(&input->arena, path, 64 << 20, &bytes, &length));
    uint32_t file = ftso_diag_add_source(&input->diag, path, bytes, length);
    *out = ftso_genotype_parse_json(&input->arena, &input->diag, file, space, input->unit);
    return *out ? FTSO_STATUS_OK : ftso_error(FTSO_ERROR_DATA, "'%s' cannot be read", path);
}

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

static ftso_status find(const ftso_unit *unit, const char *name, const ftso_genotype **out)
{
    if (!name && unit->genotype_count == 1) {
        *out = unit->genotypes[0];
        return FTSO_STATUS_OK;
    }
    for (size_t i = 0; name && i < unit->genotype_count; i++) {
        if (strcmp(unit->genotypes[i]->name, name) != 0) continue;
        *out = unit->genotypes[i];
        return FTSO_STATUS_OK;
    }
    if (unit->genotype_count == 0)
        return ftso_error(FTSO_ERROR_USAGE, "the file declares no genotype to show");
    ftso_text all;
    ftso_text_init(&all);
    for (size_t i = 0; i < unit->genotype_count; i++)
        ftso_text_printf(&all, "%s%s", i ? ", " : "", unit->genotypes[i]->name);
    ftso_status status =
        name ? ftso_error(FTSO_ERROR_USAGE, "there is no genotype '%s'; the file declares %s", name,
                          ftso_text_get(&all))
             : ftso_error(FTSO_ERROR_USAGE, "which genotype? Name one of %s after the file",
                          ftso_text_get(&all));
    ftso_text_deinit(&all);
    return status;
}

int ftso_verb_show(int argc, char **argv)
{
    show_options chosen = {.format = "ascii"};
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;

    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *file = chosen.path;
    run_record record = {0};
    bool is_run = ftso_file_exists(ftso_format(&arena, "%s/run.json", chosen.path));
    if (is_run) {
        ftso_status status = read_record(&arena, chosen.path, &record);
        if (status.code == FTSO_OK && chosen.name)
            status = ftso_error(FTSO_ERROR_USAGE, "a run has one genotype; '%s' is one too many",
                                chosen.name);
        code = ftso_report(status);
        if (code != FTSO_OK) goto out;
        file = ftso_format(&arena, "%s/%s", chosen.path, record.file);
    }
    ftso_input input;
    if (!ftso_input_read(&input, file, record.overrides, record.override_count, &code))
        goto out_input;
    const ftso_genotype *genotype = NULL;
    const ftso_space *space = NULL;
    ftso_status status;
    if (is_run) {
        status = ftso_pick_space(input.unit, record.space, &space);
        if (status.code == FTSO_OK) status = genotype_of_run(&input, chosen.path, space, &genotype);
    } else {
        status = find(input.unit, chosen.name, &genotype);
        if (status.code == FTSO_OK) space = genotype->space;
    }
    if (status.code == FTSO_OK) status = print(genotype, space, chosen.format);
    if (input.diag.entry_count) ftso_input_print(&input);
    code = ftso_report(status);
out_input:
    ftso_input_deinit(&input);
out:
    ftso_arena_deinit(&arena);
    return code;
}
