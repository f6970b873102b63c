/*
 * ftso build: an artefact of a network and its weights.
 */
#include "cli/build.h"
#include "cli/model.h"
#include "cli/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct build_choices {
    const char *path, *name, *init, *weights;
    ftso_element precision;
    bool has_precision;
    uint64_t seed;
    ftso_input_options input;
    ftso_road_options road;
    ftso_build_options build;
} build_choices;

enum {
    KEY_KIND = 512,
    KEY_BATCH,
    KEY_STATIC,
    KEY_PREFIX,
    KEY_INIT,
    KEY_WEIGHTS,
    KEY_TARGET,
    KEY_PRECISION,
    MAX_BATCH = 4096
};

static const struct argp_option options[] = {
    {"kind", KEY_KIND, "KIND", 0, "what to make (default: exe); the kinds are listed below", 0},
    {"output", 'o', "PATH", 0, "where to put it", 0},
    {"batch", KEY_BATCH, "N", 0,
     "images of a run, at most (default 1; a trainer's is its recipe's)", 0},
    {"prefix", KEY_PREFIX, "NAME", 0, "what the names of a library begin with", 0},
    {"static", KEY_STATIC, 0, 0, "an executable that needs no shared library at all", 0},
    {"target", KEY_TARGET, "SYSTEM", 0,
     "another system to make it for: aarch64-linux-gnu or riscv64-linux-gnu", 0},
    {"precision", KEY_PRECISION, "WORD", 0, FTSO_PRECISION_DOC, 0},
    {"weights", KEY_WEIGHTS, "FILE", 0,
     "a safetensors file of this network (default: the best of a training's RUN)", 0},
    {"init", KEY_INIT, "SEED", 0,
     "weights by chance instead of trained ones: to measure with, not to use", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    build_choices *chosen = state->input;
    char *end = NULL;
    ftso_status status;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &chosen->input;
        state->child_inputs[1] = &chosen->road;
        break;
    case KEY_KIND:
        if (!ftso_build_kind_find(arg)) argp_error(state, "there is no kind '%s'", arg);
        chosen->build.kind = arg;
        break;
    case 'o':
        chosen->build.output = arg;
        break;
    case KEY_BATCH:
        chosen->build.batch = strtol(arg, &end, 10);
        if (*end || chosen->build.batch < 1 || chosen->build.batch > MAX_BATCH)
            argp_error(state, "--batch takes a number from 1 to %d, not '%s'", MAX_BATCH, arg);
        break;
    case KEY_PREFIX:
        if (!ftso_build_prefix_fits(arg))
            argp_error(state, "--prefix takes a name of letters, digits and _, not '%s'", arg);
        chosen->build.prefix = arg;
        break;
    case KEY_TARGET:
        status = ftso_system_find(arg, &chosen->build.system);
        if (status.code != FTSO_OK) argp_error(state, "--target: %s", status.message);
        break;
    case KEY_PRECISION:
        chosen->precision = ftso_parse_precision(arg, state);
        chosen->has_precision = true;
        break;
    case KEY_STATIC:
        chosen->build.is_static = true;
        break;
    case KEY_WEIGHTS:
        chosen->weights = arg;
        break;
    case KEY_INIT:
        chosen->seed = strtoull(arg, &end, 10);
        if (*end || !*arg) argp_error(state, "--init takes a seed, not '%s'", arg);
        chosen->init = arg;
        break;
    case ARGP_KEY_END:
        if (!chosen->build.output) argp_error(state, "where to? Give -o PATH");
        if (ftso_build_kind_find(chosen->build.kind)->is_code && (chosen->weights || chosen->init))
            argp_error(state,
                       "the code is the same whatever the weights: leave out --weights and --init");
        if (!chosen->build.prefix && ftso_build_kind_find(chosen->build.kind)->needs_prefix)
            argp_error(state, "what shall the library's names begin with? Give --prefix=NAME");
        if (chosen->has_precision && ftso_build_kind_find(chosen->build.kind)->trains)
            argp_error(state, "a trainer computes as its recipe says: use --set "
                              "train.NAME.precision instead of --precision");
        if (chosen->build.batch && ftso_build_kind_find(chosen->build.kind)->trains)
            argp_error(state, "a trainer's batch is its recipe's: --set train.RECIPE.batch=N");
        if (!chosen->build.batch) chosen->build.batch = 1;
        break;
    default:
        return ftso_parse_subject(key, arg, state, &chosen->path, &chosen->name,
                                  "a file or run directory, and one genotype",
                                  "which space file or run directory?");
    }
    return 0;
}

static char *list_kinds(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_EXTRA) return (char *)text;
    ftso_text out;
    ftso_text_init(&out);
    ftso_text_puts(&out,
                   "--cpu=multi: code for x86-64-v2, -v3 and -v4 in one artefact, chosen when "
                   "it starts.\n\nKinds:\n");
    size_t count;
    const ftso_build_kind *rows = ftso_build_kinds(&count);
    for (size_t i = 0; i < count; i++)
        ftso_text_printf(&out, "  %-8s %s\n", rows[i].name, rows[i].doc);
    char *copy = strdup(ftso_text_get(&out)); /* argp frees it */
    ftso_text_deinit(&out);
    return copy;
}

static const struct argp argp = {
    options,
    parse,
    "RUN\nFILE.ftso [GENOTYPE | RECIPE | GENOTYPE.json]",
    "Makes a program of a found network and its weights that needs neither ftso nor a compiler.\v"
    "Examples:\n"
    "  ftso build runs/toy_train -o classify\n"
    "  ftso build examples/published.ftso DARTS_V2 --init=1 -o classify\n"
    "  ./classify --self-test\n"
    "  ftso build runs/fashion --init=1 --kind=lib --prefix=fashion --cpu=multi -o sdk\n"
    "  ftso build runs/toy_train --kind=trainer -o tune\n"
    "  ftso build runs/toy_train --kind=ll -o network.ll",
    ftso_argp_children,
    list_kinds,
    NULL};

/* Weights as a training begins with them. */
static void draw_first(const ftso_network *network, uint64_t seed, ftso_arena *arena,
                       ftso_build_source *source)
{
    source->weights = FTSO_ARRAY(arena, float, network->weight_total);
    source->running = FTSO_ARRAY(arena, float, network->running_total + 1);
    ftso_parameters_draw(ftso_parameters_of(arena, network->weight_table, network->weight_count),
                         network->weight_count, seed, source->weights);
    ftso_parameters_draw(ftso_parameters_of(arena, network->running_table, network->running_count),
                         network->running_count, seed, source->running);
    source->weights_name =
        ftso_format(arena, "drawn from seed %llu, not trained", (unsigned long long)seed);
}

/*
 * Weights to measure with: drawn as for training, kernels twice as wide, so that values keep their size through a
 * network that has never seen data; statistics near 0 and 1.
 */
static void draw(ftso_arena *arena, const ftso_network *network, uint64_t seed,
                 ftso_build_source *source)
{
    source->weights = FTSO_ARRAY(arena, float, network->weight_total);
    source->running = FTSO_ARRAY(arena, float, network->running_total + 1);
    ftso_weights_draw(network, seed, source->weights);
    for (size_t k = 0; k < network->weight_count; k++) {
        const ftso_weight *w = &network->weight_table[k];
        for (int64_t e = 0; w->fan_in > 0 && e < ftso_shape_count(w->shape); e++)
            source->weights[w->offset + e] *= 2;
    }
    for (size_t k = 0; k < network->running_count; k++) {
        const ftso_weight *w = &network->running_table[k];
        for (int64_t e = 0; e < ftso_shape_count(w->shape); e++) {
            ftso_random r =
                ftso_random_at(seed, FTSO_STREAM_WEIGHTS, network->weight_count + k, (uint64_t)e);
            source->running[w->offset + e] =
                (float)(w->fill * 0.75 + 0.5 * ftso_random_uniform(r.word[0]) -
                        (w->fill ? 0 : 0.25));
        }
    }
    source->weights_name =
        ftso_format(arena, "drawn from seed %llu, not trained", (unsigned long long)seed);
}

/* What the data set says of the images. */
static void take_words(ftso_arena *arena, const ftso_dataset *dataset, ftso_build_source *source)
{
    if (!dataset) return;
    ftso_text text;
    ftso_text_init(&text);
    ftso_transform_print(&dataset->test, &text);
    source->transform = ftso_strdup(arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    source->class_names = dataset->class_names;
}

/* What the weights themselves say of the images counts more, for they were trained on them; but a trainer follows its recipe. */
static ftso_status read_words(ftso_arena *arena, const char *path, const ftso_safetensors *file,
                              int64_t classes, bool trains, ftso_build_source *source)
{
    ftso_weights_words words;
    FTSO_TRY(ftso_weights_words_read(path, file, classes, &words));
    if (source->dataset)
        ftso_words_compare(stderr, path, &words, source->dataset, source->dataset->class_names,
                           trains ? "the recipe's word holds" : "the weights' word holds");
    if (words.transform && !trains) source->transform = ftso_strdup(arena, words.transform);
    if (words.class_names && !trains) {
        const char **names = FTSO_ARRAY(arena, const char *, (size_t)classes);
        for (int64_t c = 0; c < classes; c++) names[c] = ftso_strdup(arena, words.class_names[c]);
        source->class_names = names;
    }
    ftso_mem_free(words.class_names);
    return FTSO_STATUS_OK;
}

/* Trained weights: the file that was named, or the best that the run left. */
static ftso_status read_weights(const build_choices *chosen, const ftso_model *model,
                                ftso_arena *arena, const ftso_network *network,
                                ftso_build_source *source)
{
    const char *path = chosen->weights;
    if (!path && model->run) {
        path = ftso_format(arena, "%s/best.safetensors", model->run);
        if (!ftso_file_exists(path)) path = NULL;
    }
    if (!path)
        return ftso_error(FTSO_ERROR_USAGE,
                          "which weights? Give --weights=FILE, or the run directory of a training, "
                          "or --init=SEED for some by chance, to measure with");
    draw_first(network, 0, arena, source); /* for an auxiliary head that the file is without */
    const ftso_parameter_state states[] = {
        {ftso_parameters_of(arena, network->weight_table, network->weight_count),
         network->weight_count, source->weights},
        {ftso_parameters_of(arena, network->running_table, network->running_count),
         network->running_count, source->running}};
    const char *slash = strrchr(path, '/');
    source->weights_name = slash ? slash + 1 : path;
    ftso_safetensors file;
    FTSO_TRY(ftso_safetensors_read(path, &file));
    ftso_status status = ftso_parameters_take(path, &file, states, FTSO_COUNT(states),
                                              ftso_genotype_hash(arena, model->genotype));
    if (status.code == FTSO_OK)
        status =
            read_words(arena, path, &file, ftso_graph_shape(network->graph, network->logits).dim[1],
                       ftso_build_kind_find(chosen->build.kind)->trains, source);
    ftso_safetensors_deinit(&file);
    return status;
}

static ftso_status build(build_choices *chosen, ftso_model *model)
{
    ftso_arena *arena = &model->input.arena;
    ftso_build_source source = {.name = model->name,
                                .space = model->space,
                                .genotype = model->genotype,
                                .dataset = model->dataset,
                                .train = model->train,
                                .precision = chosen->precision};
    if (model->train && !chosen->has_precision) source.precision = model->train->precision;
    if (chosen->build.system && chosen->road.device.cpu)
        return ftso_error(
            FTSO_ERROR_USAGE,
            "--cpu chooses among processors of this machine; leave it out with --target");
    if (ftso_build_kind_find(chosen->build.kind)->trains && !model->train)
        return ftso_error(FTSO_ERROR_USAGE,
                          "a trainer needs a recipe: name a `train` block of the file, or the run "
                          "directory of a training");
    ftso_network *network = ftso_build_lower(&model->input, &source, 1);
    if (!network) return ftso_error(FTSO_ERROR_USER, "the network could not be built; see above");
    take_words(arena, model->dataset, &source);
    if (ftso_build_kind_find(chosen->build.kind)->is_code)
        source.weights_name = "code alone";
    else if (chosen->init && ftso_build_kind_find(chosen->build.kind)->trains)
        draw_first(network, chosen->seed, arena, &source);
    else if (chosen->init)
        draw(arena, network, chosen->seed, &source);
    else
        FTSO_TRY(read_weights(chosen, model, arena, network, &source));
    chosen->build.device = chosen->road.device;
    chosen->build.device.pipeline.disabled = chosen->road.disabled;
    chosen->build.device.cache_dir = chosen->road.cached ? ftso_cache_dir(arena) : NULL;
    chosen->build.cpu = chosen->road.device.cpu;
    bool fresh = true;
    FTSO_TRY(ftso_build_run(&model->input, &source, &chosen->build, &fresh));
    printf("%s: %s, %s%s\n", chosen->build.output, source.name, source.weights_name,
           fresh ? "" : " (already there, nothing to do)");
    return FTSO_STATUS_OK;
}

int ftso_verb_build(int argc, char **argv)
{
    build_choices chosen = {.build = {.kind = "exe"}};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    ftso_model model;
    if (ftso_model_read(&model, chosen.path, chosen.name, chosen.input.overrides,
                        chosen.input.override_count, &code)) {
        size_t before = model.input.diag.entry_count;
        code = ftso_report(build(&chosen, &model));
        if (model.input.diag.entry_count > before) ftso_input_print(&model.input);
    }
    ftso_model_deinit(&model);
    return code;
}
