/*
 * main of a trainer: images in, weights out, by the training loop of `ftso train` and without a compiler.
 *
 * In: the command line, images. Out: a folder with weights, log and checkpoints; exit codes as ftso's own. Holds: what was
 * asked for stands in the folder (options.txt) before the first step, so that --resume needs nothing but the folder.
 */
#include "runtime/artefact.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const ftso_artefact ftso_the_artefact;

static const char options_file[] = "options.txt";

typedef struct choices {
    const char *program, *data, *kind, *folder, *weights, *cpu;
    bool resume, init, own_classes, quiet, info, self_test, help;
    int64_t epochs; /* 0: the recipe's; so with the rate */
    double rate;
    bool seeded;
    uint64_t seed;
    int threads;
} choices;

enum { KEY_OWN = 256, KEY_SELF_TEST, KEY_INFO, KEY_CPU, KEY_LR, KEY_WEIGHTS, MAX_ARGUMENTS = 16 };

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},
    {"kind", required_argument, NULL, 'k'},
    {"output", required_argument, NULL, 'o'},
    {"resume", required_argument, NULL, 'r'},
    {"weights", required_argument, NULL, KEY_WEIGHTS},
    {"init", no_argument, NULL, 'i'},
    {"own-classes", no_argument, NULL, KEY_OWN},
    {"epochs", required_argument, NULL, 'e'},
    {"lr", required_argument, NULL, KEY_LR},
    {"seed", required_argument, NULL, 's'},
    {"threads", required_argument, NULL, 't'},
    {"cpu", required_argument, NULL, KEY_CPU},
    {"quiet", no_argument, NULL, 'q'},
    {"info", no_argument, NULL, KEY_INFO},
    {"self-test", no_argument, NULL, KEY_SELF_TEST},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* ---------------------------------------------------------------- the command line */

static void print_kinds(void)
{
    size_t count;
    const ftso_reader *rows = ftso_reader_rows(&count);
    for (size_t i = 0; i < count; i++) printf("  %-12s %s\n", rows[i].kind, rows[i].doc);
}

static void print_help(const char *program)
{
    const ftso_artefact *a = &ftso_the_artefact;
    const ftso_trainer *t = a->trainer;
    printf(
        "%s: trains the network %s on your images and writes its weights.\n\n"
        "  %s DATA             begins with the weights inside, in a new folder\n"
        "  %s --resume=FOLDER  goes on where that one was stopped, to the same bytes\n\n"
        "  -o, --output=FOLDER   where weights.safetensors (last epoch), best.safetensors (best\n"
        "                        epoch), checkpoints and the log go (default: trained)\n"
        "  --kind=KIND           how the images lie in DATA (default: %s); see below\n"
        "  --own-classes         the folders of DATA name the classes, as many as before, in "
        "place\n"
        "                        of the names of data set %s\n"
        "  --epochs=N            times through all images (default: %lld)\n"
        "  --lr=X                learning rate that the schedule begins with (default: %g)\n"
        "  --seed=N              order, augmentation, dropped paths (default: %llu)\n"
        "  --weights=FILE        begins with these weights instead (safetensors of this network)\n"
        "  --init                begins with weights drawn from the seed instead\n"
        "  --threads=N           threads to run with; no result depends on them\n"
        "  --cpu=NAME            the code for this processor, of those that --info names\n"
        "  -q, --quiet           prints nothing but the folder's name and errors\n"
        "  --info                what this was built from\n"
        "  --self-test           one training step on stored images, compared with stored "
        "results\n\n"
        "Ctrl-C saves and leaves.\n\n",
        program, a->name, program, program, t->kind, t->dataset, (long long)t->recipe->epochs,
        t->recipe->rate.first, (unsigned long long)t->recipe->seed);
    printf("The network takes images [%lld, %lld, %lld] and knows %zu classes; the images must "
           "have as "
           "many.\nCompiled in, and the same for any data: the batch of %lld, the optimiser, the "
           "augmentation\n(\"%s\").\nAnother `ftso build --kind=trainer` makes others.\n\n"
           "Kinds of data:\n",
           (long long)a->channels, (long long)a->height, (long long)a->width, a->class_count,
           (long long)t->recipe->batch, t->transform);
    print_kinds();
    printf(
        "\nExamples:\n  %s pictures -o fine --epochs=5 --lr=0.01\n  %s --resume=fine\n\n"
        "Exit codes: 0 done; 1 does not fit the network; 2 the command line is wrong; 3 memory or "
        "disk; 4 not this\nprocessor; 5 a file is wrong; 6 interrupted, work saved; 70 the "
        "self-test "
        "failed.\n",
        program, program);
}

/* A whole number from 1 to a million, or 0. */
static int64_t whole(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return *text && *end == '\0' && value >= 1 && value <= 1000000 ? value : 0;
}

static bool refuse(const choices *c, const char *option, const char *wants, const char *text)
{
    fprintf(stderr, "%s: %s takes %s, not '%s'\n", c->program, option, wants, text);
    return false;
}

static bool take(choices *c, int key, const char *text)
{
    char *end = NULL;
    switch (key) {
    case 'd':
        c->data = text;
        return true;
    case 'k':
        c->kind = text;
        return true;
    case 'o':
    case 'r':
        c->folder = text;
        c->resume = key == 'r';
        return true;
    case KEY_WEIGHTS:
        c->weights = text;
        return true;
    case KEY_CPU:
        c->cpu = text;
        return true;
    case 'e':
        c->epochs = whole(text);
        return c->epochs || refuse(c, "--epochs", "a number from 1 to 1000000", text);
    case 't':
        c->threads = (int)whole(text);
        return c->threads || refuse(c, "--threads", "a number from 1 to 1000000", text);
    case KEY_LR:
        c->rate = ftso_double_parse(text, &end);
        if (*text && *end == '\0' && c->rate > 0 && c->rate <= 1e6) return true;
        return refuse(c, "--lr", "a number above 0", text);
    case 's':
        c->seed = strtoull(text, &end, 10);
        c->seeded = true;
        return (*text >= '0' && *text <= '9' && *end == '\0') ||
               refuse(c, "--seed", "a whole number", text);
    default:
        c->init |= key == 'i';
        c->own_classes |= key == KEY_OWN;
        c->quiet |= key == 'q';
        c->info |= key == KEY_INFO;
        c->self_test |= key == KEY_SELF_TEST;
        c->help |= key == 'h';
        return key != '?';
    }
}

/* Adds what the arguments say; argv[0] is the program. */
static bool parse(int argc, char **argv, choices *c)
{
    int key;
    c->program = argv[0];
    optind = 0; /* from the start: this runs more than once */
    while ((key = getopt_long(argc, argv, "d:k:o:e:s:t:qh", options, NULL)) != -1)
        if (!take(c, key, optarg)) return false;
    if (optind < argc) c->data = argv[optind++];
    if (optind == argc) return true;
    fprintf(stderr, "%s: one data set at a time; '%s' is one too many\n", argv[0], argv[optind]);
    return false;
}

/* ---------------------------------------------------------------- what was asked for, kept in the folder */

/* The file has one option a line. */
static ftso_status check_options(const choices *c)
{
    const char *const texts[] = {c->data, c->kind, c->weights};
    for (size_t i = 0; i < FTSO_COUNT(texts); i++)
        if (texts[i] && strchr(texts[i], '\n'))
            return ftso_error(FTSO_ERROR_USAGE, "'%.200s' has a line break in it", texts[i]);
    return FTSO_STATUS_OK;
}

static ftso_status write_options(const choices *c)
{
    ftso_text text;
    char digits[32], path[4096];
    ftso_text_init(&text);
    ftso_text_printf(&text, "--data=%s\n", c->data);
    if (c->kind) ftso_text_printf(&text, "--kind=%s\n", c->kind);
    if (c->own_classes) ftso_text_puts(&text, "--own-classes\n");
    if (c->epochs) ftso_text_printf(&text, "--epochs=%lld\n", (long long)c->epochs);
    if (c->seeded) ftso_text_printf(&text, "--seed=%llu\n", (unsigned long long)c->seed);
    if (c->weights) ftso_text_printf(&text, "--weights=%s\n", c->weights);
    if (c->init) ftso_text_puts(&text, "--init\n");
    if (c->rate > 0) {
        ftso_double_print(c->rate, digits);
        ftso_text_printf(&text, "--lr=%s\n", digits);
    }
    snprintf(path, sizeof(path), "%s/%s", c->folder, options_file);
    ftso_status status = text.failed
                             ? ftso_error(FTSO_ERROR_LIMIT, "no memory for '%s'", path)
                             : ftso_file_write_atomic(path, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return status;
}

/* The folder's options under those of the command line. */
static ftso_status read_options(ftso_arena *arena, int argc, char **argv, choices *c)
{
    char *lines[MAX_ARGUMENTS] = {argv[0]}, *text;
    size_t length;
    int count = 1;
    const char *path = ftso_format(arena, "%s/%s", c->folder, options_file);
    if (!ftso_file_exists(path))
        return ftso_error(FTSO_ERROR_DATA, "'%s' holds no training of this program", c->folder);
    FTSO_TRY(ftso_file_read(arena, path, 1 << 20, &text, &length));
    for (char *line = text; *line && count < MAX_ARGUMENTS - 1;) {
        char *end = strchr(line, '\n');
        if (!end) break;
        *end = '\0';
        lines[count++] = line;
        line = end + 1;
    }
    *c = (choices){0};
    if (parse(count, lines, c) && c->data && parse(argc, argv, c)) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DATA, "'%s' is damaged", path);
}

/* ---------------------------------------------------------------- a training */

/* All that one takes. */
typedef struct job {
    const choices *c;
    ftso_arena arena;
    ftso_recipe recipe;
    ftso_transform transform, test_transform;
    ftso_images images, test_images;
    ftso_metadata *metadata;
    size_t metadata_count;
    uint64_t origin; /* but for the code */
    const ftso_artefact_code *code;
    ftso_device device;
    const float *weights, *running;
    ftso_training training;
} job;

static void make_recipe(job *j)
{
    const choices *c = j->c;
    ftso_rate *rate = &j->recipe.rate;
    j->recipe = *ftso_the_artefact.trainer->recipe;
    if (c->epochs) j->recipe.epochs = c->epochs;
    if (c->seeded) j->recipe.seed = c->seed;
    if (c->rate > 0) {
        /* The schedule's shape stays; an exponential one's `last` is a factor. */
        if (rate->kind != FTSO_RATE_EXPONENTIAL && rate->first > 0)
            rate->last *= c->rate / rate->first;
        rate->first = c->rate;
    }
}

static ftso_status open_images(job *j)
{
    const ftso_artefact *a = &ftso_the_artefact;
    const ftso_trainer *t = a->trainer;
    const char *kind = j->c->kind ? j->c->kind : t->kind;
    const ftso_images_spec spec = {a->channels, a->height, (int64_t)a->class_count,
                                   t->named && !j->c->own_classes ? a->classes : NULL};
    FTSO_TRY(ftso_transform_parse(t->transform, &j->transform));
    FTSO_TRY(ftso_transform_parse(a->transform, &j->test_transform));
    FTSO_TRY(ftso_images_open_part(j->c->data, kind, j->c->data, true, &spec, &j->test_transform,
                                   &j->test_images));
    FTSO_TRY(ftso_images_open_part(j->c->data, kind, j->c->data, false, &spec, &j->transform,
                                   &j->images));
    j->metadata = FTSO_ARRAY(&j->arena, ftso_metadata, t->metadata_count + 1);
    memcpy(j->metadata, t->metadata, t->metadata_count * sizeof(*j->metadata));
    j->metadata_count = t->metadata_count + ftso_class_names_row(&j->arena, &j->images,
                                                                 &j->metadata[t->metadata_count]);
    j->origin = ftso_images_hash(ftso_recipe_hash(t->step_hash, &j->recipe), &j->images);
    return FTSO_STATUS_OK;
}

/* The weights to begin with: those inside, a file's, or none, which are drawn. */
static ftso_status open_weights(job *j)
{
    const ftso_artefact *a = &ftso_the_artefact;
    if (j->c->init) return FTSO_STATUS_OK;
    const char *const names[] = {"weights", "running"};
    const float **const inside[] = {&j->weights, &j->running};
    ftso_parameter_state states[FTSO_COUNT(names)];
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        const ftso_artefact_state state = ftso_artefact_state_find(a, names[i]);
        *inside[i] = state.data;
        states[i] = (ftso_parameter_state){state.table, state.table_count, NULL};
        if (!j->c->weights) continue;
        size_t total = (size_t)ftso_parameters_total(state.table, state.table_count);
        states[i].numbers = FTSO_ARRAY(&j->arena, float, total + 1);
        if (state.data) memcpy(states[i].numbers, state.data, total * sizeof(float));
        *inside[i] = states[i].numbers;
    }
    if (!j->c->weights) return FTSO_STATUS_OK;
    return ftso_parameters_read(j->c->weights, states, FTSO_COUNT(states), a->genotype_hash);
}

/* Results hang on the vector width, so it is part of what a run began with. */
static uint64_t origin_of(const job *j, const ftso_artefact_code *code)
{
    const ftso_round round = code->step->channel_round;
    return ftso_hash(j->origin, &round, sizeof(round));
}

/* A run goes on with code of the width that it began with, where this processor has such. */
static ftso_status choose_code(job *j, const ftso_checkpoint_file *from)
{
    const ftso_artefact *a = &ftso_the_artefact;
    char missing[32];
    FTSO_TRY(ftso_artefact_code_choose(a, j->c->cpu, &j->code));
    for (size_t i = 0; i < a->code_count && from->found && !j->c->cpu; i++)
        if (origin_of(j, &a->codes[i]) == from->place.origin &&
            !ftso_cpu_missing(a->codes[i].features, missing, sizeof(missing)))
            j->code = &a->codes[i];
    return FTSO_STATUS_OK;
}

static void on_epoch(void *user, const ftso_epoch *epoch)
{
    const job *j = user;
    if (!j->c->quiet) ftso_epoch_print(epoch, stdout);
}

static void on_note(void *user, const char *text)
{
    const job *j = user;
    fprintf(stderr, "%s: %s\n", j->c->program, text);
}

static void describe(job *j)
{
    const ftso_trainer *t = ftso_the_artefact.trainer;
    const ftso_artefact_state weights = ftso_artefact_state_find(&ftso_the_artefact, "weights"),
                              running = ftso_artefact_state_find(&ftso_the_artefact, "running");
    j->training = (ftso_training){
        .recipe = &j->recipe,
        .images = &j->images,
        .test_images = &j->test_images,
        .transform = &j->transform,
        .test_transform = &j->test_transform,
        .weights = weights.table,
        .running = running.table,
        .weight_count = weights.table_count,
        .running_count = running.table_count,
        .moments = t->moments,
        .moment_count = t->moment_count,
        .first_weights = j->weights,
        .first_running = j->running,
        .folder = j->c->folder,
        .keep = (int)t->keep,
        .save_steps = t->save_steps,
        .save_seconds = FTSO_SAVE_SECONDS,
        .metadata = j->metadata,
        .metadata_count = j->metadata_count,
        .layout = t->layout,
        .progress = j->c->quiet ? FTSO_PROGRESS_NONE : FTSO_PROGRESS_AUTO,
        .progress_out = stderr,
        .stop = ftso_interrupt_catch(),
        .on_epoch = on_epoch,
        .note = on_note,
        .user = j,
    };
}

static ftso_status log_start(const job *j, ftso_log *log)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(
        &text,
        "{\"event\":\"start\",\"trainer\":\"%s\",\"images\":%lld,\"test_images\":%lld,"
        "\"parameters\":%lld,\"epochs\":%lld,\"batch\":%lld,\"seed\":\"%llu\","
        "\"cpu\":\"%s\",\"ftso\":\"" FTSO_VERSION "\"}",
        ftso_the_artefact.name, (long long)j->images.count, (long long)j->test_images.count,
        (long long)ftso_parameters_total(j->training.weights, j->training.weight_count),
        (long long)j->recipe.epochs, (long long)j->recipe.batch, (unsigned long long)j->recipe.seed,
        j->code->cpu);
    ftso_status status = text.failed ? ftso_error(FTSO_ERROR_LIMIT, "no memory for an event")
                                     : ftso_log_write(log, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return status;
}

static ftso_status open_log(const job *j, ftso_log *log, const ftso_checkpoint_file *from)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/events.jsonl", j->c->folder);
    if (from->found) return ftso_log_resume(log, path, from->place.log_bytes);
    FTSO_TRY(ftso_log_open(log, path));
    return log_start(j, log);
}

static void finish(const job *j, const ftso_trained *trained, bool stopped)
{
    if (j->c->quiet) {
        puts(j->c->folder);
    } else if (!stopped) {
        printf("best: %.2f %% after epoch %lld\n%s holds weights.safetensors (last) and "
               "best.safetensors, the log and the checkpoints\n",
               100 * (double)trained->best.top1 / (double)trained->best.images,
               (long long)trained->best.epoch, j->c->folder);
    }
}

static ftso_status train_on(job *j, ftso_log *log, const ftso_checkpoint_file *from)
{
    ftso_training *t = &j->training;
    t->device = &j->device;
    t->origin = origin_of(j, j->code);
    t->log = log;
    FTSO_TRY(j->device.load(j->device.self, "train", NULL, &t->step));
    FTSO_TRY(j->device.load(j->device.self, "judge", NULL, &t->judge));
    FTSO_TRY(open_log(j, log, from));
    if (from->found && !j->c->quiet)
        printf("going on from step %lld, %lld epochs done\n", (long long)from->place.step,
               (long long)from->place.measured);
    FTSO_TRY(ftso_training_announce(t, ftso_the_artefact.name, j->c->quiet ? NULL : stdout));
    ftso_trained trained;
    ftso_status status = ftso_train_run(t, from, &trained);
    bool stopped = status.code == FTSO_ERROR_INTERRUPTED;
    if (stopped || status.code == FTSO_OK) finish(j, &trained, stopped);
    return stopped ? ftso_annotate(status, "interrupted; go on with --resume=%s", j->c->folder)
                   : status;
}

/* In the folder, which is locked. */
static ftso_status train_in(job *j)
{
    ftso_log log = {0};
    ftso_checkpoint_file from = {.found = false};
    describe(j);
    ftso_status status = j->c->resume ? ftso_training_take_up(&j->training, &from) : FTSO_STATUS_OK;
    if (status.code == FTSO_OK) status = choose_code(j, &from);
    if (status.code == FTSO_OK)
        status = ftso_artefact_device_open(j->code, j->c->threads, &j->device);
    if (status.code == FTSO_OK) {
        status = train_on(j, &log, &from);
        j->device.close(j->device.self);
    }
    ftso_status closed = ftso_log_close(&log);
    ftso_checkpoint_deinit(&from);
    return status.code == FTSO_OK ? closed : status;
}

/* Images and weights are there before a folder is made. */
static ftso_status train(job *j)
{
    int lock;
    make_recipe(j);
    FTSO_TRY(check_options(j->c));
    FTSO_TRY(ftso_artefact_code_choose(&ftso_the_artefact, j->c->cpu, &j->code));
    FTSO_TRY(open_images(j));
    FTSO_TRY(open_weights(j));
    if (j->c->resume)
        FTSO_TRY(ftso_folder_lock(j->c->folder, &lock));
    else
        FTSO_TRY(ftso_folder_claim(j->c->folder, options_file, &lock));
    ftso_status status = write_options(j->c);
    if (status.code == FTSO_OK) status = train_in(j);
    ftso_folder_unlock(lock);
    return status;
}

/* ---------------------------------------------------------------- the self-test */

static ftso_status run_self_test(const choices *c)
{
    const ftso_artefact *a = &ftso_the_artefact;
    const ftso_net_options how = {.cpu = c->cpu, .threads = c->threads, .pin = true};
    ftso_net net;
    FTSO_TRY(ftso_net_init(&net, a, &how));
    const ftso_artefact_code *code = net.code;
    bool passed;
    ftso_status status = ftso_artefact_report_numbers(&net, &passed);
    ftso_net_deinit(&net);
    ftso_step_test step;
    if (status.code == FTSO_OK) status = ftso_trainer_self_test(a, code, c->threads, &step);
    if (status.code != FTSO_OK) return status;
    printf("step: %s, loss and %zu changes of tensors: at most %.3f of what is allowed (%s %s)\n",
           step.passed ? "ok" : "WRONG", a->trainer->test_step_count - 1, step.worst, step.state,
           step.tensor);
    return ftso_artefact_report_bytes(passed && step.passed);
}

/* ---------------------------------------------------------------- main */

static ftso_status work(int argc, char **argv, choices *c)
{
    if (c->self_test) return run_self_test(c);
    job j = {.c = c};
    ftso_arena_init(&j.arena);
    ftso_status status = FTSO_STATUS_OK;
    if (c->resume) status = read_options(&j.arena, argc, argv, c);
    if (status.code == FTSO_OK) status = train(&j);
    ftso_images_deinit(&j.images);
    ftso_images_deinit(&j.test_images);
    ftso_arena_deinit(&j.arena);
    return status;
}

int ftso_trainer_main(int argc, char **argv)
{
    choices c = {0};
    if (!parse(argc, argv, &c)) return FTSO_ERROR_USAGE;
    if (!c.data && !c.resume && !c.help && !c.info && !c.self_test) {
        fprintf(stderr, "%s: which images? '%s --help' tells more\n", argv[0], argv[0]);
        return FTSO_ERROR_USAGE;
    }
    if (!c.folder) c.folder = "trained";
    ftso_status status = FTSO_STATUS_OK;
    if (c.help)
        print_help(argv[0]);
    else if (c.info)
        puts(ftso_the_artefact.record);
    else
        status = work(argc, argv, &c);
    return ftso_artefact_end(argv[0], status);
}
