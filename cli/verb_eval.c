/*
 * ftso eval: trained weights on the test images. A run, a weights file of a run, or a space file with weights in;
 * top-1, top-5, loss and the confusion matrix out.
 */
#include "cli/training.h"

#include <string.h>

typedef struct eval_options {
    const char *path, *name;
    const char *weights, *data, *cell, *said;
    bool json;
    ftso_input_options input;
    ftso_road_options road;
} eval_options;

enum { KEY_DATA = 512, KEY_CELL, KEY_WEIGHTS, KEY_SAID, KEY_JSON, MAX_PRINTED_CLASSES = 25 };

static const struct argp_option options[] = {
    {"weights", 'w', "FILE", 0,
     "weights to judge (default: the run's weights.safetensors, of its last epoch)", 0},
    {"cell", KEY_CELL, "RUN|GENOTYPE|FILE.json|TEXT", 0,
     "with a space file: the cells, as for 'ftso train'", 0},
    {"data", KEY_DATA, "FOLDER", 0,
     "where the images are, instead of the place that the space file names", 0},
    {"predictions", KEY_SAID, "FILE", 0, "write the class of every image, one number a line", 0},
    {"json", KEY_JSON, 0, 0, "print one JSON object, the confusion matrix in it", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    eval_options *eval = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &eval->input;
        state->child_inputs[1] = &eval->road;
        break;
    case 'w':
        eval->weights = arg;
        break;
    case KEY_CELL:
        eval->cell = arg;
        break;
    case KEY_DATA:
        eval->data = arg;
        break;
    case KEY_SAID:
        eval->said = arg;
        break;
    case KEY_JSON:
        eval->json = true;
        break;
    default:
        return ftso_parse_subject(key, arg, state, &eval->path, &eval->name,
                                  "a file and the name of one recipe",
                                  "which run directory, or which weights of one?");
    }
    return 0;
}

static const struct argp argp = {
    options,
    parse,
    "RUN | RUN/best.safetensors\nFILE.ftso [RECIPE] --weights=FILE",
    "Judges trained weights on the data set's test images: top-1, top-5, loss, and which class is "
    "taken for which.\v"
    "Examples:\n"
    "  ftso eval runs/toy\n"
    "  ftso eval runs/toy/best.safetensors --json\n"
    "  ftso eval examples/published.ftso darts_v2_600 --weights=v2.safetensors --data ~/cifar\n",
    ftso_argp_children,
    NULL,
    NULL};

/* ---------------------------------------------------------------- what comes out */

static void print_confusion(const int64_t *confusion, int64_t classes)
{
    printf("answers (across) to images of each class (down)\n     ");
    for (int64_t c = 0; c < classes; c++) printf(" %5lld", (long long)c);
    for (int64_t l = 0; l < classes; l++) {
        printf("\n%5lld", (long long)l);
        for (int64_t c = 0; c < classes; c++)
            printf(" %5lld", (long long)confusion[l * classes + c]);
    }
    printf("\n");
}

/* The class that is taken for another most often, and what for. */
static void print_worst(const int64_t *confusion, int64_t classes)
{
    int64_t worst = 0, label = 0, said = 0;
    for (int64_t l = 0; l < classes; l++)
        for (int64_t c = 0; c < classes; c++)
            if (l != c && confusion[l * classes + c] > worst) {
                worst = confusion[l * classes + c];
                label = l;
                said = c;
            }
    if (worst)
        printf("most often %lld is taken for %lld: %lld times (the matrix: --json)\n",
               (long long)label, (long long)said, (long long)worst);
}

static void print_text(const ftso_score *score, const char *weights, const int64_t *confusion,
                       int64_t classes)
{
    double images = (double)score->images;
    printf("weights %s\nimages  %lld\ntop-1   %.2f %%\ntop-5   %.2f %%\nloss    %.4f\n", weights,
           (long long)score->images, 100 * (double)score->top1 / images,
           100 * (double)score->top5 / images, score->loss_sum / images);
    if (classes <= MAX_PRINTED_CLASSES)
        print_confusion(confusion, classes);
    else
        print_worst(confusion, classes);
}

static ftso_status print_json(const ftso_score *score, const char *weights,
                              const int64_t *confusion, int64_t classes)
{
    double images = (double)score->images;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "weights", weights);
    cJSON_AddNumberToObject(object, "images", images);
    cJSON_AddNumberToObject(object, "top1", (double)score->top1 / images);
    cJSON_AddNumberToObject(object, "top5", (double)score->top5 / images);
    cJSON_AddNumberToObject(object, "loss", score->loss_sum / images);
    cJSON *rows = cJSON_AddArrayToObject(object, "confusion");
    for (int64_t l = 0; l < classes; l++) {
        cJSON *row = cJSON_CreateArray();
        for (int64_t c = 0; c < classes; c++)
            cJSON_AddItemToArray(row, cJSON_CreateNumber((double)confusion[l * classes + c]));
        cJSON_AddItemToArray(rows, row);
    }
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (!text) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the result");
    puts(text);
    cJSON_free(text);
    return FTSO_STATUS_OK;
}

static ftso_status write_said(const char *path, const int32_t *said, int64_t count)
{
    ftso_text text;
    ftso_text_init(&text);
    for (int64_t i = 0; i < count; i++) ftso_text_printf(&text, "%d\n", said[i]);
    ftso_status status = text.failed
                             ? ftso_error(FTSO_ERROR_LIMIT, "no memory to write '%s'", path)
                             : ftso_file_write_atomic(path, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return status;
}

/* ---------------------------------------------------------------- judging */

static ftso_status judge(const eval_options *chosen, ftso_input *input, const ftso_setup *setup)
{
    int64_t classes = setup->recipe.classes;
    int64_t *confusion = FTSO_ARRAY(&input->arena, int64_t, (size_t)(classes * classes));
    int32_t *said = FTSO_ARRAY(&input->arena, int32_t, (size_t)setup->test_images.count);
    ftso_progress progress;
    ftso_progress_start(&progress, chosen->json ? NULL : stderr, FTSO_PROGRESS_AUTO, "eval",
                        setup->test_images.count);
    ftso_judging judging = {.device = setup->device,
                            .step = setup->judge,
                            .images = &setup->test_images,
                            .transform = &setup->test_transform,
                            .batch = setup->recipe.batch,
                            .classes = classes,
                            .channels = setup->recipe.channels,
                            .side = setup->recipe.side,
                            .stop = ftso_interrupt_catch(),
                            .confusion = confusion,
                            .said = said,
                            .progress = &progress};
    ftso_score score;
    ftso_status status = ftso_judge(&judging, &score);
    ftso_progress_finish(&progress);
    FTSO_TRY(status);
    if (chosen->said) FTSO_TRY(write_said(chosen->said, said, score.images));
    if (chosen->json) return print_json(&score, chosen->weights, confusion, classes);
    print_text(&score, chosen->weights, confusion, classes);
    return FTSO_STATUS_OK;
}

static ftso_status eval_on(eval_options *chosen, ftso_input *input, const ftso_train *train,
                           const ftso_genotype *genotype)
{
    ftso_device device;
    ftso_setup setup;
    FTSO_TRY(ftso_road_open(&input->arena, &chosen->road, &device));
    ftso_status status = ftso_setup_open(input, train, genotype, &device, false, &setup);
    if (status.code == FTSO_OK && setup.judge) {
        status = ftso_setup_images(input, &setup, chosen->data);
        if (status.code == FTSO_OK) status = ftso_setup_weights(&setup, chosen->weights);
        if (status.code == FTSO_OK) status = judge(chosen, input, &setup);
    }
    ftso_setup_close(&setup);
    ftso_device_close(&device);
    return status;
}

static ftso_status eval_run(eval_options *chosen, ftso_input *input, const char *run,
                            const ftso_run_record *record)
{
    const ftso_train *train;
    const ftso_genotype *genotype = NULL;
    if (!chosen->data) chosen->data = record->data;
    if (!chosen->weights)
        chosen->weights = ftso_format(&input->arena, "%s/weights.safetensors", run);
    if (!ftso_file_exists(chosen->weights))
        return ftso_error(FTSO_ERROR_DATA, "'%s' is not there yet; 'ftso resume %s' goes on",
                          chosen->weights, run);
    FTSO_TRY(ftso_pick_train(input->unit, record->train, &train));
    FTSO_TRY(ftso_run_genotype(input, run, train->space, &genotype));
    return eval_on(chosen, input, train, genotype);
}

static ftso_status eval_file(eval_options *chosen, ftso_input *input)
{
    const ftso_train *train;
    const ftso_genotype *genotype = NULL;
    if (!chosen->weights)
        return ftso_error(FTSO_ERROR_USAGE, "with a space file, say which weights: --weights=FILE");
    FTSO_TRY(ftso_pick_train(input->unit, chosen->name, &train));
    FTSO_TRY(ftso_pick_cells(input, train, chosen->cell, &genotype));
    return eval_on(chosen, input, train, genotype);
}

/* The run that a path means: the folder itself, or that of a weights file, which is noted. NULL: a space file. */
static const char *run_of(ftso_arena *arena, eval_options *chosen)
{
    const char *path = chosen->path, *slash = strrchr(path, '/');
    if (ftso_file_exists(ftso_format(arena, "%s/run.json", path))) return path;
    size_t length = strlen(path);
    if (length < 12 || strcmp(path + length - 12, ".safetensors") != 0) return NULL;
    const char *folder = slash ? ftso_strndup(arena, path, (size_t)(slash - path)) : ".";
    chosen->weights = path;
    return *folder ? folder : "/";
}

/* Weights alone do not say which network they are of and which images they are judged on: a run or a space file does. */
static ftso_status missing_run(const char *path)
{
    ftso_safetensors file;
    FTSO_TRY(ftso_safetensors_read(path, &file));
    const char *recipe = ftso_safetensors_metadata(&file, "recipe");
    ftso_status status =
        ftso_error(FTSO_ERROR_USAGE,
                   "'%s' lies in no run directory, and weights do not say what network and images "
                   "they are for: ftso eval FILE.ftso %.60s --weights=%s%s",
                   path, recipe ? recipe : "RECIPE", path,
                   recipe ? ", with the space file that they were trained from" : "");
    ftso_safetensors_deinit(&file);
    return status;
}

int ftso_verb_eval(int argc, char **argv)
{
    eval_options chosen = {0};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;

    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_run_record record = {0};
    const char *run = run_of(&arena, &chosen), *file = chosen.path;
    if (run) {
        ftso_status status = FTSO_STATUS_OK;
        if (ftso_file_exists(ftso_format(&arena, "%s/run.json", run)))
            status = ftso_run_record_read(&arena, run, &record);
        else
            status = missing_run(chosen.path);
        if (status.code == FTSO_OK && !record.train)
            status = ftso_error(FTSO_ERROR_USAGE,
                                "'%s' is the run of a %s: it has no weights; 'ftso train' makes "
                                "some of its cells",
                                run, record.verb);
        code = ftso_report(status);
        if (code != FTSO_OK) goto out;
        for (size_t i = 0; i < chosen.input.override_count && record.override_count < MAX_OVERRIDES;
             i++)
            record.overrides[record.override_count++] = chosen.input.overrides[i];
        file = ftso_format(&arena, "%s/%s", run, record.file);
    } else {
        memcpy(record.overrides, chosen.input.overrides, sizeof(record.overrides));
        record.override_count = chosen.input.override_count;
    }
    ftso_input input;
    if (ftso_input_read(&input, file, record.overrides, record.override_count, &code)) {
        ftso_status status =
            run ? eval_run(&chosen, &input, run, &record) : eval_file(&chosen, &input);
        if (input.diag.error_count) ftso_input_print(&input);
        code = ftso_report(status);
    }
    ftso_input_deinit(&input);
out:
    ftso_arena_deinit(&arena);
    return code;
}
