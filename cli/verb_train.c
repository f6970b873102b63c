/*
 * ftso train and ftso resume: the network of a cell is trained, in a run directory from which it can go on.
 *
 * In: a space file with a recipe and a cell, or a run directory. Out: weights, log, curves, checkpoints. Holds: everything
 * that a resumed run needs stands in its directory before the first step is taken. Start reading at ftso_verb_train.
 */
#include "cli/training.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_DATA = 512, KEY_PROGRESS, KEY_CELL };

typedef struct train_options {
    bool resumes;
    const char *path, *name; /* file and recipe; the run */
    const char *run, *data, *cell;
    ftso_progress_mode progress;
    bool quiet;
    ftso_input_options input;
    ftso_road_options road;
} train_options;

/* A training in its directory. */
typedef struct job {
    const train_options *chosen;
    ftso_input *input;
    ftso_setup *setup;
    const char *run;
    ftso_target target;
    ftso_epoch *epochs; /* for the curves */
    size_t epoch_count, epoch_capacity;
} job;

/* ---------------------------------------------------------------- the command line */

static const struct argp_option train_only[] = {
    {"cell", KEY_CELL, "RUN|GENOTYPE|FILE.json|TEXT", 0,
     "the cells to train: the run directory of a search, a genotype of the file, a genotype.json, "
     "or DARTS text (default: what the recipe says)",
     0},
    {"output", 'o', "FOLDER", 0, "run directory to make (default: runs/NAME, runs/NAME-2, …)", 0},
    {0},
};

static const struct argp_option common[] = {
    {"data", KEY_DATA, "FOLDER", 0,
     "where the images are, instead of the place that the space file names", 0},
    {"progress", KEY_PROGRESS, "auto|bar|line|none", 0,
     "how to show progress (default: a bar on a terminal, else lines)", 0},
    {"quiet", 'q', 0, 0, "print nothing but the run directory's name and errors", 0},
    {0},
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    static const char *const modes[] = {"auto", "bar", "line", "none"};
    train_options *train = state->input;
    switch (key) {
    case KEY_DATA:
        train->data = arg;
        return 0;
    case 'q':
        train->quiet = true;
        train->progress = FTSO_PROGRESS_NONE;
        return 0;
    case KEY_PROGRESS: {
        size_t i = 0;
        while (i < FTSO_COUNT(modes) && strcmp(modes[i], arg) != 0) i++;
        if (i == FTSO_COUNT(modes))
            argp_error(state, "--progress takes auto, bar, line or none, not '%s'", arg);
        train->progress = (ftso_progress_mode)i;
        return 0;
    }
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp_common = {.options = common, .parser = parse_common};

static error_t parse_train(int key, char *arg, struct argp_state *state)
{
    train_options *train = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = train;
        state->child_inputs[1] = &train->input;
        state->child_inputs[2] = &train->road;
        return 0;
    case 'o':
        train->run = arg;
        return 0;
    case KEY_CELL:
        train->cell = arg;
        return 0;
    default:
        return ftso_parse_subject(key, arg, state, &train->path, &train->name,
                                  "a file and the name of one recipe",
                                  "which space file? Its recipe is a `train` block");
    }
}

static error_t parse_resume(int key, char *arg, struct argp_state *state)
{
    train_options *train = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = train;
        state->child_inputs[1] = &train->road;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) argp_error(state, "one run directory at a time");
        train->path = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which run directory?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child train_children[] = {
    {&argp_common, 0, NULL, 0}, {&ftso_argp_input, 0, NULL, 0}, {&ftso_argp_road, 0, NULL, 0}, {0}};
static const struct argp_child resume_children[] = {
    {&argp_common, 0, NULL, 0}, {&ftso_argp_road, 0, NULL, 0}, {0}};

static const struct argp argp_train = {
    train_only,
    parse_train,
    "FILE.ftso [RECIPE]",
    "Trains the network of a cell as a recipe (a `train` block) of the file says, judges it on the "
    "test images after every epoch, and keeps all in a run directory: weights, log, curves, "
    "checkpoints. Ctrl-C saves and leaves; 'ftso resume' goes on to the very same result.\v"
    "Examples:\n"
    "  ftso train examples/toy.ftso --cell runs/toy_search\n"
    "  ftso train examples/published.ftso darts_v2_600 --data ~/cifar-10-batches-bin -o runs/v2\n"
    "  ftso train my.ftso --set train.mine.epochs=3 --set train.mine.batch=64\n",
    train_children,
    NULL,
    NULL};

static const struct argp argp_resume = {
    NULL,
    parse_resume,
    "RUN",
    "Goes on with a training that was stopped or killed, from its last checkpoint. What comes out "
    "are the bytes of the run that was not.\v"
    "Examples:\n"
    "  ftso resume runs/toy\n"
    "  ftso resume runs/v2 --data ~/cifar-10-batches-bin\n",
    resume_children,
    NULL,
    NULL};

/* ---------------------------------------------------------------- files of the run */

static void add_best(cJSON *record, const ftso_best *best)
{
    if (!best->epoch) return;
    cJSON *object = cJSON_AddObjectToObject(record, "best");
    cJSON_AddNumberToObject(object, "epoch", (double)best->epoch);
    cJSON_AddNumberToObject(object, "test_top1", (double)best->top1 / (double)best->images);
    cJSON_AddNumberToObject(object, "test_loss", best->loss / (double)best->images);
}

/* run.json; `trained` NULL: it has just begun. */
static ftso_status write_record(const job *j, const ftso_trained *trained, bool interrupted)
{
    const ftso_setup *setup = j->setup;
    cJSON *record = ftso_run_record_new("train", j->input);
    cJSON_AddStringToObject(record, "train", setup->train->name);
    cJSON_AddStringToObject(record, "space", setup->train->space->name);
    cJSON_AddStringToObject(record, "dataset", setup->train->dataset->name);
    if (j->chosen->data) cJSON_AddStringToObject(record, "data", j->chosen->data);
    cJSON_AddStringToObject(record, "device", setup->device->name);
    cJSON_AddNumberToObject(record, "vector_floats", j->target.vector_floats);
    cJSON_AddBoolToObject(record, "halves", j->target.halves);
    cJSON_AddNumberToObject(record, "parameters", (double)setup->weight_total);
    cJSON_AddBoolToObject(record, "interrupted", interrupted);
    cJSON_AddBoolToObject(record, "done", trained && !interrupted);
    if (trained) {
        cJSON_AddNumberToObject(record, "step", (double)trained->step);
        cJSON_AddNumberToObject(record, "epochs", (double)trained->epochs);
        add_best(record, &trained->best);
        cJSON_AddNumberToObject(record, "seconds", trained->seconds);
    }
    return ftso_run_record_write(j->run, record);
}

static ftso_status write_curves(const job *j)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_curves_print_svg(j->epochs, j->epoch_count, j->setup->recipe.epochs, j->setup->train->name,
                          &text);
    ftso_status status = ftso_rundir_write(j->run, "curves.svg", &text);
    ftso_text_deinit(&text);
    return status;
}

/* Everything that resume needs. The record comes last: with it the directory holds a run. */
static ftso_status write_beginning(const job *j)
{
    FTSO_TRY(ftso_rundir_copy_sources(j->run, j->input));
    FTSO_TRY(ftso_rundir_write_genotype(j->run, j->setup->train->space, j->setup->genotype));
    FTSO_TRY(ftso_rundir_write_next(j->run, "ftso resume"));
    return write_record(j, NULL, false);
}

static ftso_status log_start(const job *j, ftso_log *log)
{
    const ftso_setup *setup = j->setup;
    ftso_text cells;
    ftso_text_init(&cells);
    ftso_genotype_print_darts(setup->genotype, &cells);
    cJSON *event = cJSON_CreateObject();
    cJSON_AddStringToObject(event, "event", "start");
    cJSON_AddStringToObject(event, "train", setup->train->name);
    cJSON_AddStringToObject(event, "space", setup->train->space->name);
    cJSON_AddStringToObject(event, "genotype", ftso_text_get(&cells));
    cJSON_AddStringToObject(event, "dataset", setup->train->dataset->name);
    cJSON_AddNumberToObject(event, "images", (double)setup->images.count);
    cJSON_AddNumberToObject(event, "test_images", (double)setup->test_images.count);
    cJSON_AddNumberToObject(event, "parameters", (double)setup->weight_total);
    cJSON_AddNumberToObject(event, "epochs", (double)setup->recipe.epochs);
    cJSON_AddNumberToObject(event, "batch", (double)setup->recipe.batch);
    cJSON_AddStringToObject(event, "device", setup->device->name);
    cJSON_AddStringToObject(event, "ftso", FTSO_VERSION);
    char *printed = cJSON_PrintUnformatted(event);
    ftso_status status = printed ? ftso_log_write(log, printed)
                                 : ftso_error(FTSO_ERROR_LIMIT, "no memory for an event");
    cJSON_free(printed);
    cJSON_Delete(event);
    ftso_text_deinit(&cells);
    return status;
}

/* ---------------------------------------------------------------- running */

static void on_epoch(void *user, const ftso_epoch *epoch)
{
    job *j = user;
    FTSO_PUSH(&j->input->arena, j->epochs, j->epoch_count, j->epoch_capacity, *epoch);
    ftso_status status = write_curves(j);
    if (status.code != FTSO_OK) fprintf(stderr, "ftso: %s\n", status.message);
    if (!j->chosen->quiet) ftso_epoch_print(epoch, stdout);
}

static void on_note(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "ftso: %s\n", text);
}

static ftso_status finish(const job *j, const ftso_trained *trained, bool stopped)
{
    FTSO_TRY(write_curves(j));
    FTSO_TRY(ftso_rundir_write_next(j->run, stopped ? "ftso resume" : "ftso eval"));
    FTSO_TRY(write_record(j, trained, stopped));
    if (j->chosen->quiet) {
        puts(j->run);
    } else if (!stopped) {
        printf("best: %.2f %% after epoch %lld\n%s holds the weights (last and best), the curves, "
               "the log and the checkpoints. Next:\n  ftso eval %s\n",
               100 * (double)trained->best.top1 / (double)trained->best.images,
               (long long)trained->best.epoch, j->run, j->run);
    }
    return FTSO_STATUS_OK;
}

static ftso_training describe(job *j, ftso_log *log)
{
    const ftso_setup *setup = j->setup;
    return (ftso_training){.recipe = &setup->recipe,
                           .device = setup->device,
                           .step = setup->step,
                           .judge = setup->judge,
                           .images = &setup->images,
                           .test_images = &setup->test_images,
                           .transform = &setup->transform,
                           .test_transform = &setup->test_transform,
                           .weights = setup->weights,
                           .running = setup->running,
                           .weight_count = setup->weight_count,
                           .running_count = setup->running_count,
                           .moments = setup->moments,
                           .moment_count = setup->moment_count,
                           .folder = j->run,
                           .keep = (int)setup->train->checkpoint_keep,
                           .save_steps = setup->train->checkpoint_steps,
                           .save_seconds = FTSO_SAVE_SECONDS,
                           .metadata = setup->metadata,
                           .metadata_count = setup->metadata_count,
                           .layout = setup->layout,
                           .origin = setup->origin,
                           .log = log,
                           .progress = j->chosen->progress,
                           .progress_out = stderr,
                           .stop = ftso_interrupt_catch(),
                           .on_epoch = on_epoch,
                           .note = on_note,
                           .user = j};
}

/* From a checkpoint or from the start, with the log open. */
static ftso_status train_with(job *j, const ftso_training *training,
                              const ftso_checkpoint_file *from)
{
    FTSO_TRY(
        ftso_training_announce(training, j->setup->train->name, j->chosen->quiet ? NULL : stdout));
    ftso_trained trained;
    ftso_status status = ftso_train_run(training, from, &trained);
    bool stopped = status.code == FTSO_ERROR_INTERRUPTED;
    if (stopped || status.code == FTSO_OK) FTSO_TRY(finish(j, &trained, stopped));
    if (stopped) return ftso_annotate(status, "interrupted; go on with 'ftso resume %s'", j->run);
    return status;
}

static ftso_status resume_in(job *j, ftso_log *log, ftso_checkpoint_file *from)
{
    const char *path = ftso_format(&j->input->arena, "%s/events.jsonl", j->run);
    const ftso_training training = describe(j, log);
    if (j->chosen->resumes) FTSO_TRY(ftso_training_take_up(&training, from));
    if (from->found) {
        FTSO_TRY(ftso_log_resume(log, path, from->place.log_bytes));
        FTSO_TRY(ftso_curves_read(&j->input->arena, path, &j->epochs, &j->epoch_count));
        j->epoch_capacity = j->epoch_count;
        if (!j->chosen->quiet)
            printf("going on from step %lld, %lld epochs done\n", (long long)from->place.step,
                   (long long)from->place.measured);
    } else {
        FTSO_TRY(ftso_log_open(log, path));
        FTSO_TRY(log_start(j, log));
    }
    return train_with(j, &training, from);
}

static ftso_status train_in(job *j)
{
    ftso_log log = {0};
    ftso_checkpoint_file from = {.found = false};
    ftso_status status = resume_in(j, &log, &from);
    ftso_status closed = ftso_log_close(&log);
    ftso_checkpoint_deinit(&from);
    return status.code == FTSO_OK ? closed : status;
}

/* The images are there before a directory is made. */
static ftso_status run_training(job *j)
{
    const train_options *chosen = j->chosen;
    FTSO_TRY(ftso_setup_images(j->input, j->setup, chosen->data));
    if (chosen->resumes) return train_in(j);
    int lock;
    FTSO_TRY(
        ftso_rundir_create(&j->input->arena, chosen->run, j->setup->train->name, &j->run, &lock));
    ftso_status status = write_beginning(j);
    if (status.code == FTSO_OK) status = train_in(j);
    ftso_folder_unlock(lock);
    return status;
}

static ftso_status train_on(train_options *chosen, ftso_input *input, const ftso_train *train,
                            const ftso_genotype *genotype)
{
    ftso_target target;
    ftso_device device;
    ftso_setup setup;
    FTSO_TRY(ftso_device_target(&input->arena, &chosen->road.device, &target));
    FTSO_TRY(ftso_road_open(&input->arena, &chosen->road, &device));
    job j = {.chosen = chosen,
             .input = input,
             .setup = &setup,
             .run = chosen->resumes ? chosen->path : NULL,
             .target = target};
    ftso_status status = ftso_setup_open(input, train, genotype, &device, true, &setup);
    if (input->diag.error_count) ftso_input_print(input);
    if (status.code == FTSO_OK && setup.judge) status = run_training(&j);
    ftso_setup_close(&setup);
    ftso_device_close(&device);
    return status;
}

int ftso_verb_train(int argc, char **argv)
{
    train_options chosen = {.resumes = false};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp_train, argc, argv, &chosen);
    if (code >= 0) return code;

    ftso_input input;
    if (!ftso_input_read(&input, chosen.path, chosen.input.overrides, chosen.input.override_count,
                         &code))
        goto out;
    ftso_input_print(&input);
    const ftso_pipeline *pipeline = &chosen.road.device.pipeline;
    ftso_input_stages(&input, pipeline);
    if (ftso_stage_is_early(pipeline->stop_after)) goto out;
    const ftso_train *train;
    const ftso_genotype *genotype = NULL;
    ftso_status status = ftso_pick_train(input.unit, chosen.name, &train);
    if (status.code == FTSO_OK) status = ftso_pick_cells(&input, train, chosen.cell, &genotype);
    if (input.diag.error_count) ftso_input_print(&input);
    if (status.code == FTSO_OK) status = train_on(&chosen, &input, train, genotype);
    code = ftso_report(status);
out:
    ftso_input_deinit(&input);
    return code;
}

/* Results hang on the width of vectors, and on whether halves serve: another machine runs code of the width that the run began with. */
static ftso_status same_width(ftso_arena *arena, const ftso_run_record *record,
                              ftso_device_options *device)
{
    static const struct {
        int floats;
        bool halves;
        const char *cpu;
    } levels[] = {{4, false, "x86-64"},
                  {8, false, "x86-64-v3"},
                  {16, false, "x86-64-v4"},
                  {16, true, "znver4"}};
    ftso_target target;
    FTSO_TRY(ftso_device_target(arena, device, &target));
    bool same = target.vector_floats == record->vector_floats && target.halves == record->halves;
    if (same || !record->vector_floats) return FTSO_STATUS_OK;
    for (size_t i = 0; i < FTSO_COUNT(levels); i++)
        if (levels[i].floats == record->vector_floats && levels[i].halves == record->halves)
            device->cpu = levels[i].cpu;
    return ftso_annotate(ftso_device_target(arena, device, &target),
                         "the run began with vectors of %d numbers", record->vector_floats);
}

static ftso_status resume(train_options *chosen, const ftso_run_record *record, ftso_input *input)
{
    const ftso_train *train;
    const ftso_genotype *genotype = NULL;
    FTSO_TRY(ftso_pick_train(input->unit, record->train, &train));
    FTSO_TRY(ftso_run_genotype(input, chosen->path, train->space, &genotype));
    FTSO_TRY(same_width(&input->arena, record, &chosen->road.device));
    return train_on(chosen, input, train, genotype);
}

/* What run.json says, where the command line says nothing. */
static ftso_status read_run(ftso_arena *arena, train_options *chosen, ftso_run_record *record)
{
    const char *run = chosen->path;
    if (!ftso_file_exists(ftso_format(arena, "%s/run.json", run)))
        return ftso_error(FTSO_ERROR_DATA, "'%s' holds no run that had begun; start it again", run);
    FTSO_TRY(ftso_run_record_read(arena, run, record));
    if (strcmp(record->verb, "train") != 0 || !record->train)
        return ftso_error(FTSO_ERROR_USAGE,
                          "'%s' is the run of a %s; only trainings can be resumed", run,
                          record->verb);
    if (!chosen->data) chosen->data = record->data;
    if (record->device && strcmp(record->device, "reference") == 0) chosen->road.reference = true;
    return FTSO_STATUS_OK;
}

int ftso_verb_resume(int argc, char **argv)
{
    train_options chosen = {.resumes = true};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp_resume, argc, argv, &chosen);
    if (code >= 0) return code;

    ftso_arena arena;
    ftso_arena_init(&arena);
    int lock = -1;
    ftso_run_record record;
    ftso_status status = read_run(&arena, &chosen, &record);
    if (status.code == FTSO_OK) status = ftso_folder_lock(chosen.path, &lock);
    if (status.code == FTSO_OK && record.done) {
        printf("%s is done already. Next:\n  ftso eval %s\n", chosen.path, chosen.path);
    } else if (status.code == FTSO_OK) {
        ftso_input input;
        if (ftso_input_read(&input, ftso_format(&arena, "%s/%s", chosen.path, record.file),
                            record.overrides, record.override_count, &code))
            status = resume(&chosen, &record, &input);
        else
            status = ftso_error(FTSO_ERROR_DATA, "the files in '%s' cannot be read", chosen.path);
        if (input.diag.error_count) ftso_input_print(&input);
        ftso_input_deinit(&input);
    }
    ftso_folder_unlock(lock);
    ftso_arena_deinit(&arena);
    return ftso_report(status);
}
