/*
 * Shared options: see options.h. argp prints --help and usage errors; both leave through ftso_argp_run.
 */
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>

static const struct argp_option input_options[] = {
    {"set", 's', "NAME.KEY=VALUE", 0,
     "override one value of the file, as --set search.fashion.batch=128; may be repeated", 1},
    {0},
};

static error_t parse_input(int key, char *arg, struct argp_state *state)
{
    ftso_input_options *options = state->input;
    if (key != 's') return ARGP_ERR_UNKNOWN;
    if (options->override_count == MAX_OVERRIDES)
        argp_error(state, "more than %d overrides", MAX_OVERRIDES);
    else
        options->overrides[options->override_count++] = arg;
    return 0;
}

const struct argp ftso_argp_input = {.options = input_options, .parser = parse_input};

enum { KEY_DUMP = 256, KEY_STOP, KEY_DISABLE, KEY_TIME, KEY_CPU, KEY_DEVICE, KEY_NO_CACHE };

static const struct argp_option road_options[] = {
    {"dump", KEY_DUMP, "STAGE", 0, "print the text of a stage; the stages are listed below", 2},
    {"stop-after", KEY_STOP, "STAGE", 0, "go no further than this stage", 2},
    {"disable", KEY_DISABLE, "PASS", 0,
     "leave out a pass, or prologue, epilogue, horizontal, chained fusion; results stay the same",
     2},
    {"time", KEY_TIME, 0, 0, "print the seconds of each stage", 2},
    {"threads", 't', "N", 0,
     "threads to run with (default: one per processor); results do not depend on it", 3},
    {"cpu", KEY_CPU, "NAME", 0,
     "code for native (default), x86-64, x86-64-v2, x86-64-v3, x86-64-v4 or znver4", 3},
    {"device", KEY_DEVICE, "NAME", 0,
     "cpu (default), or reference: the interpreter in double precision, slow", 3},
    {"no-cache", KEY_NO_CACHE, 0, 0, "neither read nor write compiled code on disk", 3},
    {0},
};

static void check_stage(struct argp_state *state, const char *name)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    const char *const *names = ftso_stage_names(&arena);
    size_t count = 0;
    while (names[count] && strcmp(names[count], name) != 0) count++;
    if (!names[count])
        argp_error(state, "there is no stage '%s'%s", name,
                   ftso_did_you_mean(&arena, name, names, count));
    ftso_arena_deinit(&arena);
}

static bool disable(ftso_road_options *options, const char *name)
{
    ftso_fusion *fusion = &options->device.pipeline.fusion;
    bool *const switches[] = {&fusion->prologue, &fusion->epilogue, &fusion->horizontal,
                              &fusion->chained};
    static const char *const names[] = {"prologue", "epilogue", "horizontal", "chained"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *switches[i] = false;
        return true;
    }
    const ftso_pass_table *passes = ftso_passes();
    for (size_t i = 0; i < passes->count; i++) {
        if (strcmp(passes->rows[i].name, name) != 0) continue;
        size_t *count = &options->device.pipeline.disabled_count;
        if (!passes->rows[i].optional || *count == MAX_DISABLED) return false;
        options->disabled[(*count)++] = name;
        return true;
    }
    return false;
}

static error_t parse_road(int key, char *arg, struct argp_state *state)
{
    ftso_road_options *options = state->input;
    ftso_pipeline *pipeline = &options->device.pipeline;
    char *end;
    switch (key) {
    case KEY_DUMP:
        check_stage(state, arg);
        pipeline->dump = arg;
        break;
    case KEY_STOP:
        check_stage(state, arg);
        pipeline->stop_after = arg;
        break;
    case KEY_DISABLE:
        if (!disable(options, arg))
            argp_error(state, "there is no pass '%s' that can be left out", arg);
        break;
    case KEY_TIME:
        pipeline->time = true;
        break;
    case 't': {
        long threads = strtol(arg, &end, 10);
        if (*end || threads < 1 || threads > 1024)
            argp_error(state, "--threads takes a number from 1 to 1024, not '%s'", arg);
        options->device.threads = (int)threads;
        break;
    }
    case KEY_CPU:
        options->device.cpu = arg;
        break;
    case KEY_DEVICE:
        if (strcmp(arg, "cpu") != 0 && strcmp(arg, "reference") != 0)
            argp_error(state, "there is no device '%s'; there are cpu and reference", arg);
        options->reference = strcmp(arg, "reference") == 0;
        break;
    case KEY_NO_CACHE:
        options->cached = false;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Puts the stages and their one-line docs under the options in --help. */
static char *list_stages(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) return (char *)text;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_text out;
    ftso_text_init(&out);
    ftso_text_puts(&out, "Stages, in order:");
    const char *const *names = ftso_stage_names(&arena);
    for (size_t i = 0; names[i]; i++) ftso_text_printf(&out, "%s %s", i ? "," : "", names[i]);
    ftso_text_puts(&out, ".");
    ftso_arena_deinit(&arena);
    char *copy = strdup(ftso_text_get(&out)); /* argp frees it */
    ftso_text_deinit(&out);
    return copy;
}

const struct argp ftso_argp_road = {
    .options = road_options, .parser = parse_road, .doc = "\v", .help_filter = list_stages};

const struct argp_child ftso_argp_children[] = {
    {&ftso_argp_input, 0, NULL, 0}, {&ftso_argp_road, 0, NULL, 0}, {0}};

error_t ftso_parse_subject(int key, char *arg, struct argp_state *state, const char **path,
                           const char **name, const char *most, const char *question)
{
    switch (key) {
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            *path = arg;
        else if (state->arg_num == 1)
            *name = arg;
        else
            argp_error(state, "at most %s", most);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "%s", question);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void ftso_road_options_init(ftso_road_options *options)
{
    memset(options, 0, sizeof(*options));
    options->device.pipeline = ftso_pipeline_default();
    options->cached = true;
}

ftso_status ftso_road_open(ftso_arena *arena, ftso_road_options *options, ftso_device *out_device)
{
    options->device.pipeline.disabled = options->disabled;
    options->device.pipeline.out = stdout;
    options->device.cache_dir = options->cached ? ftso_cache_dir(arena) : NULL;
    return options->reference ? ftso_device_open_reference(&options->device, out_device)
                              : ftso_device_open_cpu(&options->device, out_device);
}

/* Long options of an argp and its children, into `names`, with the count of `names` so far. */
static size_t long_options(const struct argp *argp, const struct argp_option **rows, size_t count,
                           size_t room)
{
    for (const struct argp_option *o = argp->options; o && (o->name || o->key); o++)
        if (o->name && count < room) rows[count++] = o;
    for (const struct argp_child *c = argp->children; c && c->argp; c++)
        count = long_options(c->argp, rows, count, room);
    return count;
}

/* The value of the option before it: "--set x", "-s x". */
static bool is_value(const char *before, const struct argp_option *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_long = strncmp(before, "--", 2) == 0 && strcmp(before + 2, rows[i]->name) == 0;
        bool is_short = before[0] == '-' && before[1] == rows[i]->key && before[1] && !before[2];
        if (rows[i]->arg && (is_long || is_short)) return true;
    }
    return false;
}

/* A long option that argp would refuse gets the nearest name; true when there was one. */
static bool refuse_unknown(const struct argp *argp, int argc, char **argv)
{
    enum { MAX_OPTIONS = 64 };
    static const struct argp_option given[] = {{"help", '?', 0, 0, 0, 0},
                                               {"usage", 256, 0, 0, 0, 0}};
    const struct argp_option *rows[MAX_OPTIONS] = {&given[0], &given[1]};
    size_t count = long_options(argp, rows, FTSO_COUNT(given), MAX_OPTIONS);
    const char *names[MAX_OPTIONS];
    for (size_t i = 0; i < count; i++) names[i] = rows[i]->name;
    for (int a = 1; a < argc && strcmp(argv[a], "--") != 0; a++) {
        if (strncmp(argv[a], "--", 2) != 0 || is_value(argv[a - 1], rows, count)) continue;
        const char *name = argv[a] + 2;
        size_t length = strcspn(name, "="), matches = 0;
        for (size_t i = 0; i < count; i++) matches += strncmp(names[i], name, length) == 0;
        if (matches) continue;
        ftso_arena arena;
        ftso_arena_init(&arena);
        const char *wrong = ftso_format(&arena, "%.*s", (int)length, name);
        fprintf(stderr, "%s: there is no option '--%s'%s; '%s --help' lists them\n", argv[0], wrong,
                ftso_did_you_mean(&arena, wrong, names, count), argv[0]);
        ftso_arena_deinit(&arena);
        return true;
    }
    return false;
}

ftso_element ftso_parse_precision(const char *arg, struct argp_state *state)
{
    size_t count;
    const char *const *names = ftso_element_names(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], arg) == 0) return (ftso_element)i;
    argp_error(state, "--precision takes fp32 or bf16, not '%s'", arg);
    return FTSO_ELEMENT_FP32;
}

int ftso_argp_run(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = FTSO_ERROR_USAGE;
    if (refuse_unknown(argp, argc, argv)) return FTSO_ERROR_USAGE;
    error_t error = argp_parse(argp, argc, argv, 0, NULL, input);
    return error ? ftso_report(ftso_error(FTSO_ERROR_USAGE, "%s: %s", argv[0], strerror(error)))
                 : -1;
}
