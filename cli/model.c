/*
 * Models: a genotype with its space, from a space file, a genotype's JSON or a run directory.
 *
 * In: a path and a name. Out: records. Holds: a run directory is read from its own copies alone, so it may have been moved.
 */
#include "cli/model.h"

#include "cli/rundir.h"
#include "cli/training.h"

#include <cjson/cJSON.h>
#include <string.h>

enum { MAX_JSON_BYTES = 64 << 20 };

/* The space that a genotype's JSON names; the file's only one where it cannot be told. */
static ftso_status space_of_json(ftso_model *model, const char *path)
{
    char *bytes;
    size_t length;
    FTSO_TRY(ftso_file_read(&model->input.arena, path, MAX_JSON_BYTES, &bytes, &length));
    cJSON *json = cJSON_ParseWithLength(bytes, length);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "space"));
    if (name) name = ftso_strdup(&model->input.arena, name);
    cJSON_Delete(json);
    return ftso_pick_space(model->input.unit, name, &model->space);
}

/* The data set of the run's own search; else of the file's first recipe or search for the model's space. */
static const ftso_dataset *dataset_for(const ftso_model *model, const ftso_run_record *record)
{
    const ftso_unit *unit = model->input.unit;
    const char *search = record->search;
    for (size_t i = 0; i < unit->train_count && !search; i++)
        if (unit->trains[i]->space == model->space) return unit->trains[i]->dataset;
    for (size_t i = 0; i < unit->search_count; i++)
        if (unit->searches[i]->space == model->space &&
            (!search || strcmp(unit->searches[i]->name, search) == 0))
            return unit->searches[i]->dataset;
    return NULL;
}

static const ftso_train *recipe_named(const ftso_model *model, const char *name)
{
    const ftso_unit *unit = model->input.unit;
    for (size_t i = 0; name && i < unit->train_count; i++)
        if (strcmp(unit->trains[i]->name, name) == 0) return unit->trains[i];
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static ftso_status resolve(ftso_model *model, const char *name, const ftso_run_record *record)
{
    ftso_input *input = &model->input;
    model->train = recipe_named(model, model->run ? record->train : name);
    if (model->run) {
        FTSO_TRY(ftso_pick_space(input->unit, record->space, &model->space));
        model->name = record->train    ? record->train
                      : record->search ? record->search
                                       : model->space->name;
        FTSO_TRY(ftso_run_genotype(input, model->run, model->space, &model->genotype));
    } else if (model->train) {
        FTSO_TRY(ftso_pick_cells(input, model->train, NULL, &model->genotype));
        model->space = model->train->space;
        model->name = model->train->name;
    } else if (name && ends_with(name, ".json")) {
        FTSO_TRY(space_of_json(model, name));
        model->name = model->space->name;
        FTSO_TRY(ftso_genotype_read(input, name, model->space, &model->genotype));
    } else {
        FTSO_TRY(ftso_pick_genotype(input->unit, name, &model->genotype));
        model->space = model->genotype->space;
        model->name = model->genotype->name;
    }
    model->dataset = model->train ? model->train->dataset : dataset_for(model, record);
    return FTSO_STATUS_OK;
}

bool ftso_model_read(ftso_model *model, const char *path, const char *name,
                     const char *const *overrides, size_t override_count, int *out_exit)
{
    memset(model, 0, sizeof(*model));
    ftso_arena_init(&model->arena);
    ftso_run_record *record = FTSO_NEW(&model->arena, ftso_run_record);
    const char *file = path;
    if (ftso_file_exists(ftso_format(&model->arena, "%s/run.json", path))) {
        ftso_status status = ftso_run_record_read(&model->arena, path, record);
        if (status.code == FTSO_OK && name)
            status =
                ftso_error(FTSO_ERROR_USAGE, "a run has one genotype; '%s' is one too many", name);
        *out_exit = ftso_report(status);
        if (*out_exit != FTSO_OK) return false;
        model->run = path;
        file = ftso_format(&model->arena, "%s/%s", path, record->file);
    }
    for (size_t i = 0; i < override_count && record->override_count < MAX_OVERRIDES; i++)
        record->overrides[record->override_count++] = overrides[i];
    if (!ftso_input_read(&model->input, file, record->overrides, record->override_count, out_exit))
        return false;
    ftso_status status = resolve(model, name, record);
    if (model->input.diag.entry_count) ftso_input_print(&model->input);
    *out_exit = ftso_report(status);
    return *out_exit == FTSO_OK;
}

void ftso_model_deinit(ftso_model *model)
{
    ftso_input_deinit(&model->input);
    ftso_arena_deinit(&model->arena);
}
