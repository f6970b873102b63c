/*
 * Run directories: all that a search leaves behind, complete in itself and free to be moved.
 *
 *   run.json        what was run and every seed's outcome        genotype.json, genotype.txt   the chosen cells
 *   events.jsonl    one line per iteration                        cell-NAME.svg                 their pictures
 *   *.ftso          the space file and what it includes           next.txt                      the command to type next
 */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_RUNS = 100000 };

/* The log is made here and by one caller alone: of two searches at once, the second is refused. */
static ftso_status claim(ftso_arena *arena, const char *run)
{
    const char *log = ftso_format(arena, "%s/events.jsonl", run);
    bool taken = ftso_file_exists(ftso_format(arena, "%s/run.json", run));
    int fd = taken ? -1 : open(log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
        close(fd);
        return FTSO_STATUS_OK;
    }
    if (taken || errno == EEXIST)
        return ftso_error(FTSO_ERROR_USAGE,
                          "'%s' holds a run already; choose another folder with -o", run);
    return ftso_error(FTSO_ERROR_DATA, "cannot write '%s': %s", log, strerror(errno));
}

ftso_status ftso_rundir_create(ftso_arena *arena, const char *wanted, const char *name,
                               const char **out_path)
{
    if (wanted) {
        *out_path = wanted;
        FTSO_TRY(ftso_dir_create(wanted));
        return claim(arena, wanted);
    }
    FTSO_TRY(ftso_dir_create("runs"));
    for (int i = 1; i < MAX_RUNS; i++) {
        const char *path = i == 1 ? ftso_format(arena, "runs/%s", name)
                                  : ftso_format(arena, "runs/%s-%d", name, i);
        if (mkdir(path, 0777) == 0) {
            *out_path = path;
            return FTSO_STATUS_OK;
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

/* Ends with a newline, as text files do and as `show` prints. */
static ftso_status write_text(const char *run, const char *name, ftso_text *text)
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

static ftso_status write_record(const char *run, const ftso_input *input, const ftso_search *search,
                                const ftso_search_result *result, const char *device_name,
                                bool interrupted)
{
    cJSON *record = cJSON_CreateObject();
    cJSON_AddStringToObject(record, "format", "ftso-run");
    cJSON_AddNumberToObject(record, "version", 1);
    cJSON_AddStringToObject(record, "ftso", FTSO_VERSION);
    cJSON_AddStringToObject(record, "verb", "search");
    cJSON_AddStringToObject(record, "file", file_name(input));
    cJSON *overrides = cJSON_AddArrayToObject(record, "set");
    for (size_t i = 0; i < input->override_count; i++)
        cJSON_AddItemToArray(overrides, cJSON_CreateString(input->overrides[i]));
    cJSON_AddStringToObject(record, "search", search->name);
    cJSON_AddStringToObject(record, "space", search->space->name);
    cJSON_AddStringToObject(record, "method", search->method);
    cJSON_AddStringToObject(record, "device", device_name);
    cJSON_AddBoolToObject(record, "interrupted", interrupted);
    cJSON_AddNumberToObject(record, "chosen", (double)result->chosen);
    cJSON *seeds = cJSON_AddArrayToObject(record, "seeds");
    for (size_t i = 0; i < result->found_count; i++) add_seed(seeds, &result->found[i]);
    char *printed = cJSON_Print(record);
    cJSON_Delete(record);
    if (!printed) return ftso_error(FTSO_ERROR_LIMIT, "out of memory while writing run.json");
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%s\n", printed);
    cJSON_free(printed);
    ftso_status status = write_text(run, "run.json", &text);
    ftso_text_deinit(&text);
    return status;
}

ftso_status ftso_rundir_write_search(const char *run, const ftso_input *input,
                                     const ftso_search *search, const ftso_search_result *result,
                                     const char *device_name, bool interrupted)
{
    const ftso_genotype *genotype = &result->found[result->chosen].genotype;
    ftso_text text;
    ftso_text_init(&text);
    ftso_genotype_print_json(genotype, search->space, &text);
    ftso_status status = write_text(run, "genotype.json", &text);
    if (status.code != FTSO_OK) goto out;

    text.length = 0;
    ftso_genotype_print_darts(genotype, &text);
    ftso_text_puts(&text, "\n");
    status = write_text(run, "genotype.txt", &text);
    if (status.code != FTSO_OK) goto out;

    for (size_t i = 0; i < genotype->cell_count; i++) {
        const ftso_cell *cell = &genotype->cells[i];
        char name[128];
        snprintf(name, sizeof(name), "cell-%s.svg", cell->decl->name);
        text.length = 0;
        ftso_cell_print_svg(cell, cell->decl->name, &text);
        status = write_text(run, name, &text);
        if (status.code != FTSO_OK) goto out;
    }
    text.length = 0;
    ftso_text_printf(&text, "ftso show %s\n", run);
    status = write_text(run, "next.txt", &text);
    if (status.code != FTSO_OK) goto out;
    status = write_record(run, input, search, result, device_name, interrupted);
out:
    ftso_text_deinit(&text);
    return status;
}
