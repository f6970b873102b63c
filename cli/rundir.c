/*
 * Run directories: all that a search or a training leaves behind, complete in itself and free to be moved.
 *
 *   run.json        what was run and what came of it              genotype.json, genotype.txt   the cells
 *   events.jsonl    one line per event                            cell-NAME.svg                 their pictures
 *   *.ftso          the space file and what it includes           next.txt                      the command to type next
 */
#include "cli/rundir.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_RUNS = 100000 };

ftso_status ftso_rundir_create(ftso_arena *arena, const char *wanted, const char *name,
                               const char **out_path, int *out_lock)
{
    *out_lock = -1;
    if (wanted) {
        *out_path = wanted;
        return ftso_folder_claim(wanted, "run.json", out_lock);
    }
    FTSO_TRY(ftso_dir_create("runs"));
    for (int i = 1; i < MAX_RUNS; i++) {
        const char *path = i == 1 ? ftso_format(arena, "runs/%s", name)
                                  : ftso_format(arena, "runs/%s-%d", name, i);
        if (mkdir(path, 0777) == 0) {
            *out_path = path;
            return ftso_folder_lock(path, out_lock);
        }
        if (errno != EEXIST)
            return ftso_error(FTSO_ERROR_DATA, "cannot make the folder '%s': %s", path,
                              strerror(errno));
    }
    return ftso_error(FTSO_ERROR_LIMIT,
                      "runs/ holds %d runs of '%s'; remove some or choose a folder with -o",
                      MAX_RUNS, name);
}

/* The space file's name in the run directory. */
static const char *file_name(const ftso_input *input)
{
    const char *slash = strrchr(input->path, '/');
    if (strcmp(input->path, "-") == 0) return "space.ftso";
    return slash ? slash + 1 : input->path;
}

ftso_status ftso_rundir_copy_sources(const char *run, const ftso_input *input)
{
    const ftso_diag *diag = &input->diag;
    if (input->file_count == 0) return FTSO_STATUS_OK;
    const char *main_path = diag->sources[0].path, *slash = strrchr(main_path, '/');
    size_t folder = slash ? (size_t)(slash + 1 - main_path) : 0;
    for (size_t i = 0; i < input->file_count; i++) {
        const ftso_source *source = &diag->sources[i];
        bool inside = strncmp(source->path, main_path, folder) == 0;
        const char *name = i == 0   ? file_name(input)
                           : inside ? source->path + folder
                                    : source->path;
        if (name[0] == '/') continue; /* an include never leaves the file's folder */
        char *path = (char *)ftso_format(diag->arena, "%s/%s", run, name);
        char *last = strrchr(path, '/');
        *last = '\0';
        FTSO_TRY(ftso_dir_create(path));
        *last = '/';
        FTSO_TRY(ftso_file_write_atomic(path, source->text, source->length));
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_rundir_write(const char *run, const char *name, ftso_text *text)
{
    char path[4096];
    if (text->length && text->data[text->length - 1] != '\n') ftso_text_puts(text, "\n");
    if (text->failed) return ftso_error(FTSO_ERROR_LIMIT, "out of memory while writing '%s'", name);
    if (snprintf(path, sizeof(path), "%s/%s", run, name) >= (int)sizeof(path))
        return ftso_error(FTSO_ERROR_LIMIT, "the path '%.100s…' is too long", run);
    return ftso_file_write_atomic(path, ftso_text_get(text), text->length);
}

static void add_numbers(cJSON *object, const char *name, const double *values, int64_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);
    for (int64_t i = 0; i < count; i++) cJSON_AddItemToArray(array, cJSON_CreateNumber(values[i]));
}

static void add_number(cJSON *object, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, name, value);
    else
        cJSON_AddNullToObject(object, name);
}

static void add_seed(cJSON *seeds, const ftso_found *found)
{
    cJSON *seed = cJSON_CreateObject();
    char number[32];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)found->seed);
    cJSON_AddStringToObject(seed, "seed", number); /* text: JSON numbers are doubles */
    add_number(seed, "val_loss", found->val_loss);
    add_number(seed, "arch_loss", found->arch_loss);
    add_number(seed, "train_loss", found->train_loss);
    cJSON_AddNumberToObject(seed, "iterations", (double)found->iterations);
    add_number(seed, "seconds", found->seconds);
    add_numbers(seed, "beta", found->beta, found->beta ? found->beta_count : 0);
    ftso_text genotype;
    ftso_text_init(&genotype);
    ftso_genotype_print_darts(&found->genotype, &genotype);
    cJSON_AddStringToObject(seed, "genotype", ftso_text_get(&genotype));
    ftso_text_deinit(&genotype);
    cJSON_AddItemToArray(seeds, seed);
}

ftso_status ftso_rundir_write_genotype(const char *run, const ftso_space *space,
                                       const ftso_genotype *genotype)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_genotype_print_json(genotype, space, &text);
    ftso_status status = ftso_rundir_write(run, "genotype.json", &text);
    if (status.code != FTSO_OK) goto out;

    text.length = 0;
    ftso_genotype_print_darts(genotype, &text);
    ftso_text_puts(&text, "\n");
    status = ftso_rundir_write(run, "genotype.txt", &text);
    if (status.code != FTSO_OK) goto out;

    for (size_t i = 0; i < genotype->cell_count; i++) {
        const ftso_cell *cell = &genotype->cells[i];
        char name[128];
        snprintf(name, sizeof(name), "cell-%s.svg", cell->decl->name);
        text.length = 0;
        ftso_cell_print_svg(cell, cell->decl->name, &text);
        status = ftso_rundir_write(run, name, &text);
        if (status.code != FTSO_OK) goto out;
    }
out:
    ftso_text_deinit(&text);
    return status;
}

ftso_status ftso_rundir_write_next(const char *run, const char *command)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%s %s\n", command, run);
    ftso_status status = ftso_rundir_write(run, "next.txt", &text);
    ftso_text_deinit(&text);
    return status;
}

cJSON *ftso_run_record_new(const char *verb, const ftso_input *input)
{
    cJSON *record = cJSON_CreateObject();
    cJSON_AddStringToObject(record, "format", "ftso-run");
    cJSON_AddNumberToObject(record, "version", 1);
    cJSON_AddStringToObject(record, "ftso", FTSO_VERSION);
    cJSON_AddStringToObject(record, "verb", verb);
    cJSON_AddStringToObject(record, "file", file_name(input));
    cJSON *overrides = cJSON_AddArrayToObject(record, "set");
    for (size_t i = 0; i < input->override_count; i++)
        cJSON_AddItemToArray(overrides, cJSON_CreateString(input->overrides[i]));
    return record;
}

ftso_status ftso_run_record_write(const char *run, cJSON *record)
{
    char *printed = cJSON_Print(record);
    cJSON_Delete(record);
    if (!printed) return ftso_error(FTSO_ERROR_LIMIT, "out of memory while writing run.json");
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, printed);
    cJSON_free(printed);
    ftso_status status = ftso_rundir_write(run, "run.json", &text);
    ftso_text_deinit(&text);
    return status;
}

static ftso_status write_search_record(const char *run, const ftso_input *input,
                                       const ftso_search *search, const ftso_search_result *result,
                                       const char *device_name, bool interrupted)
{
    cJSON *record = ftso_run_record_new("search", input);
    cJSON_AddStringToObject(record, "search", search->name);
    cJSON_AddStringToObject(record, "space", search->space->name);
    cJSON_AddStringToObject(record, "method", search->method);
    cJSON_AddStringToObject(record, "device", device_name);
    cJSON_AddBoolToObject(record, "interrupted", interrupted);
    cJSON_AddNumberToObject(record, "chosen", (double)result->chosen);
    cJSON *seeds = cJSON_AddArrayToObject(record, "seeds");
    for (size_t i = 0; i < result->found_count; i++) add_seed(seeds, &result->found[i]);
    return ftso_run_record_write(run, record);
}

ftso_status ftso_rundir_write_search(const char *run, const ftso_input *input,
                                     const ftso_search *search, const ftso_search_result *result,
                                     const char *device_name, bool interrupted)
{
    const ftso_genotype *genotype = &result->found[result->chosen].genotype;
    FTSO_TRY(ftso_rundir_write_genotype(run, search->space, genotype));
    FTSO_TRY(ftso_rundir_write_next(run, "ftso show"));
    return write_search_record(run, input, search, result, device_name, interrupted);
}

/* ---------------------------------------------------------------- reading a run */

/* A string member of a record, or NULL. */
static const char *member(ftso_arena *arena, const cJSON *record, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, name));
    return text ? ftso_strdup(arena, text) : NULL;
}

static int64_t number(const cJSON *record, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(record, name);
    bool whole = cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15;
    return whole ? (int64_t)item->valuedouble : 0;
}

ftso_status ftso_run_record_read(ftso_arena *arena, const char *run, ftso_run_record *out)
{
    char *bytes;
    size_t length;
    *out = (ftso_run_record){0};
    FTSO_TRY(
        ftso_file_read(arena, ftso_format(arena, "%s/run.json", run), 64 << 20, &bytes, &length));
    cJSON *record = cJSON_ParseWithLength(bytes, length);
    out->verb = record ? member(arena, record, "verb") : NULL;
    out->file = record ? member(arena, record, "file") : NULL;
    out->space = record ? member(arena, record, "space") : NULL;
    out->search = record ? member(arena, record, "search") : NULL;
    out->train = record ? member(arena, record, "train") : NULL;
    out->data = record ? member(arena, record, "data") : NULL;
    out->device = record ? member(arena, record, "device") : NULL;
    out->vector_floats = (int)number(record, "vector_floats");
    out->halves = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "halves"));
    out->done = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "done"));
    const cJSON *set = cJSON_GetObjectItemCaseSensitive(record, "set"), *item;
    cJSON_ArrayForEach(item, set) if (cJSON_IsString(item) && out->override_count < MAX_OVERRIDES)
        out->overrides[out->override_count++] = ftso_strdup(arena, item->valuestring);
    cJSON_Delete(record);
    if (!out->verb || !out->file || !out->space || strchr(out->file, '/'))
        return ftso_error(FTSO_ERROR_DATA, "'%s/run.json' is no record of a run of ftso", run);
    return FTSO_STATUS_OK;
}

ftso_status ftso_genotype_read(ftso_input *input, const char *path, const ftso_space *space,
                               const ftso_genotype **out)
{
    char *bytes;
    size_t length;
    FTSO_TRY(ftso_file_read(&input->arena, path, 64 << 20, &bytes, &length));
    uint32_t file = ftso_diag_add_source(&input->diag, path, bytes, length);
    *out = ftso_genotype_parse_json(&input->arena, &input->diag, file, space, input->unit);
    return *out ? FTSO_STATUS_OK : ftso_error(FTSO_ERROR_DATA, "'%s' cannot be read", path);
}

ftso_status ftso_run_genotype(ftso_input *input, const char *run, const ftso_space *space,
                              const ftso_genotype **out)
{
    return ftso_genotype_read(input, ftso_format(&input->arena, "%s/genotype.json", run), space,
                              out);
}
