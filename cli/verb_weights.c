/*
 * ftso weights: the tensors of a network by their names, and weights files from one naming to the other.
 */
#include "cli/model.h"
#include "cli/options.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/parameters.h"

typedef struct weights_options {
    const char *path, *name, *weights, *output, *recipe;
    ftso_naming naming;
    ftso_input_options input;
} weights_options;

enum { KEY_NAMES = 512, KEY_RECIPE };

static const struct {
    const char *name;
    ftso_naming naming;
} namings[] = {{"ftso", FTSO_NAMES_OWN}, {"darts", FTSO_NAMES_MODULES}};

static const struct argp_option options[] = {
    {"weights", 'w', "FILE", 0,
     "the weights, under either names (default: the run's weights.safetensors)", 0},
    {"names", KEY_NAMES, "ftso|darts", 0, "names of the file that is written (default: ftso)", 0},
    {"recipe", KEY_RECIPE, "NAME", 0,
     "with a space file: the network of that size and those classes, as 'ftso train' makes it", 0},
    {"output", 'o', "FILE", 0, "write the weights there; without it the tensors are listed", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    weights_options *chosen = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &chosen->input;
        break;
    case 'w':
        chosen->weights = arg;
        break;
    case 'o':
        chosen->output = arg;
        break;
    case KEY_RECIPE:
        chosen->recipe = arg;
        break;
    case KEY_NAMES:
        for (size_t i = 0; i < FTSO_COUNT(namings); i++)
            if (strcmp(arg, namings[i].name) == 0) {
                chosen->naming = namings[i].naming;
                return 0;
            }
        argp_error(state, "there are the names ftso and darts, not '%s'", arg);
        break;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            chosen->path = arg;
        else if (state->arg_num == 1)
            chosen->name = arg;
        else
            argp_error(state, "at most a file or run directory, and one genotype");
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which run directory or space file?");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {{&ftso_argp_input, 0, NULL, 0}, {0}};

static const struct argp argp = {
    options,
    parse,
    "RUN\nFILE.ftso [GENOTYPE | GENOTYPE.json] [--weights=FILE]",
    "Lists a network's tensors: our name, the name in code written for DARTS, the shape. With "
    "--output writes weights under either names.\v"
    "Examples:\n"
    "  ftso weights examples/published.ftso DARTS_V2\n"
    "  ftso weights runs/toy --names=darts -o state_dict.safetensors\n"
    "  ftso weights my.ftso DARTS_V2 -w state_dict.safetensors -o weights.safetensors\n",
    children,
    NULL,
    NULL};

/* ---------------------------------------------------------------- the network */

static ftso_status find_train(const weights_options *chosen, const ftso_model *model,
                              const ftso_train **out)
{
    *out = model->train;
    if (!chosen->recipe) return FTSO_STATUS_OK;
    FTSO_TRY(ftso_pick_train(model->input.unit, chosen->recipe, out));
    if ((*out)->space == model->space) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_USAGE, "recipe '%s' is for space '%s', not for '%s'", (*out)->name,
                      (*out)->space->name, model->space->name);
}

static ftso_status lower(const weights_options *chosen, ftso_model *model, bool auxiliary,
                         ftso_network **out)
{
    const ftso_train *train;
    ftso_lower_options how = {.batch = 1, .inference = true};
    FTSO_TRY(find_train(chosen, model, &train));
    if (train) how = ftso_train_lower_options(train, true);
    how.aux = auxiliary;
    *out = ftso_lower_network(&model->input.arena, &model->input.diag, model->space,
                              model->genotype, &how);
    return *out ? FTSO_STATUS_OK
                : ftso_error(FTSO_ERROR_USER, "the network could not be built; see above");
}

static void list(const ftso_weight *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("%-40s %-44s [", rows[i].name, rows[i].module);
        for (int d = 0; d < rows[i].shape.rank; d++)
            printf("%s%" PRId64, d ? ", " : "", rows[i].shape.dim[d]);
        printf("]\n");
    }
}

/* ---------------------------------------------------------------- files */

static bool has_auxiliary(const ftso_safetensors *file)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        if (ftso_parameter_is_auxiliary(file->tensors[i].name)) return true;
    return false;
}

static ftso_parameter_state state_of(ftso_arena *arena, const ftso_weight *rows, size_t count,
                                     int64_t total)
{
    return (ftso_parameter_state){ftso_parameters_of(arena, rows, count), count,
                                  FTSO_ARRAY(arena, float, (size_t)total + 1)};
}

/* What the old file says of itself, and whose weights these are. */
static ftso_metadata *describe(ftso_arena *arena, const ftso_safetensors *file, const char *hash,
                               size_t *out_count)
{
    ftso_metadata *rows = FTSO_ARRAY(arena, ftso_metadata, file->metadata_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, FTSO_GENOTYPE_HASH) != 0)
            rows[count++] = file->metadata[i];
    rows[count++] = (ftso_metadata){FTSO_GENOTYPE_HASH, hash};
    *out_count = count;
    return rows;
}

static ftso_status convert(const weights_options *chosen, ftso_model *model, const char *path,
                           const ftso_safetensors *file)
{
    ftso_arena *arena = &model->input.arena;
    ftso_network *network;
    FTSO_TRY(lower(chosen, model, has_auxiliary(file), &network));
    const ftso_parameter_state states[] = {
        state_of(arena, network->weight_table, network->weight_count, network->weight_total),
        state_of(arena, network->running_table, network->running_count, network->running_total)};
    const char *hash = ftso_genotype_hash(arena, model->genotype);
    FTSO_TRY(ftso_parameters_read(path, states, FTSO_COUNT(states), hash));
    size_t count;
    const ftso_metadata *metadata = describe(arena, file, hash, &count);
    FTSO_TRY(ftso_parameters_write(chosen->output, states, FTSO_COUNT(states), chosen->naming,
                                   metadata, count));
    printf("%s: %zu tensors\n", chosen->output, states[0].count + states[1].count);
    return FTSO_STATUS_OK;
}

static ftso_status work(const weights_options *chosen, ftso_model *model)
{
    ftso_arena *arena = &model->input.arena;
    if (!chosen->output) {
        ftso_network *network;
        FTSO_TRY(lower(chosen, model, model->space->aux_head != NULL, &network));
        list(network->weight_table, network->weight_count);
        list(network->running_table, network->running_count);
        return FTSO_STATUS_OK;
    }
    const char *path = chosen->weights;
    if (!path && !model->run)
        return ftso_error(FTSO_ERROR_USAGE, "with a space file, say which weights: --weights=FILE");
    if (!path) path = ftso_format(arena, "%s/weights.safetensors", model->run);
    ftso_safetensors file;
    FTSO_TRY(ftso_safetensors_read(path, &file));
    ftso_status status = convert(chosen, model, path, &file);
    ftso_safetensors_deinit(&file);
    return status;
}

int ftso_verb_weights(int argc, char **argv)
{
    weights_options chosen = {0};
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    ftso_model model;
    if (ftso_model_read(&model, chosen.path, chosen.name, chosen.input.overrides,
                        chosen.input.override_count, &code)) {
        size_t before = model.input.diag.entry_count;
        code = ftso_report(work(&chosen, &model));
        if (model.input.diag.entry_count > before) ftso_input_print(&model.input);
    }
    ftso_model_deinit(&model);
    return code;
}
