/*
 * ftso check: everything that is wrong with a space file, without running it; and, with --dump, what becomes of it.
 */
#include "cli/options.h"

#include <string.h>

typedef struct check_options {
    const char *path, *name, *step;
    ftso_input_options input;
    ftso_road_options road;
} check_options;

enum { KEY_STEP = 512 };

static const struct argp_option options[] = {
    {"step", KEY_STEP, "arch|weights|forward", 0,
     "the step of a search that --dump shows (default: arch)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    check_options *check = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &check->input;
        state->child_inputs[1] = &check->road;
        break;
    case KEY_STEP:
        if (strcmp(arg, "arch") != 0 && strcmp(arg, "weights") != 0 && strcmp(arg, "forward") != 0)
            argp_error(state, "--step takes arch, weights or forward, not '%s'", arg);
        check->step = arg;
        break;
    default:
        return ftso_parse_subject(key, arg, state, &check->path, &check->name,
                                  "a file and one name", "which file?");
    }
    return 0;
}

static const struct argp argp = {options,
                                 parse,
                                 "FILE.ftso [SEARCH or GENOTYPE]",
                                 "Reads a space file and says everything that is wrong with it: "
                                 "names, types, units, and the shapes of every "
                                 "super-net and network that it declares.\v"
                                 "Examples:\n"
                                 "  ftso check my.ftso\n"
                                 "  ftso check examples/fashion.ftso --dump=regions --step=weights",
                                 ftso_argp_children,
                                 NULL,
                                 NULL};

/* The network of a search's super-net with one of its steps, or of a genotype; NULL after an error told in diag. */
static ftso_network *lower(ftso_arena *arena, ftso_diag *diag, const ftso_search *search,
                           const ftso_genotype *genotype, const char *step)
{
    if (genotype) {
        ftso_lower_options how = {.batch = 2};
        return ftso_lower_network(arena, diag, genotype->space, genotype, &how);
    }
    ftso_lower_options how = ftso_search_lower_options(search);
    ftso_network *network = ftso_lower_supernet(arena, diag, search->space, &how);
    if (!network) return NULL;
    if (strcmp(step, "forward") != 0) {
        bool arch = strcmp(step, "arch") == 0;
        ftso_lower_step(network, arch ? &search->arch : &search->weights, arch);
    }
    return network;
}

/* A recipe's network, as it is trained and as it is judged; without a cell, one of the space's operators on all edges. */
static void lower_recipe(ftso_arena *arena, ftso_diag *diag, const ftso_train *train)
{
    const ftso_genotype *genotype = train->cell;
    const ftso_opset *ops = train->space->ops;
    for (size_t i = 0; !genotype && ops && i < ops->operator_count; i++)
        if (!ftso_operator_is_zero(ops->operators[i]))
            genotype = ftso_genotype_uniform(arena, train->space, ops->operators[i]);
    if (!genotype) return;
    for (int inference = 0; inference <= 1; inference++) {
        ftso_lower_options how = ftso_train_lower_options(train, inference);
        ftso_network *network = ftso_lower_network(arena, diag, train->space, genotype, &how);
        if (!network) return;
        if (!inference) ftso_lower_step(network, &train->optimizer, false);
        if (inference && train->cell)
            ftso_network_require(arena, diag, train->require, train->space, genotype, &how);
    }
}

/* Lowers all that the file declares; errors go to the diag. */
static void lower_all(ftso_input *input)
{
    ftso_arena candidate;
    ftso_arena_init(&candidate);
    for (size_t i = 0; i < input->unit->search_count; i++) {
        const ftso_search *search = input->unit->searches[i];
        if (lower(&candidate, &input->diag, search, NULL, "weights") && search->replace) {
            ftso_genotype *genotype =
                ftso_genotype_uniform(&candidate, search->space, search->replace);
            ftso_lower_options how = {.batch = 2};
            ftso_lower_network(&candidate, &input->diag, search->space, genotype, &how);
            ftso_search_require(&candidate, &input->diag, search, NULL);
        }
        ftso_arena_reset(&candidate);
    }
    for (size_t i = 0; i < input->unit->genotype_count; i++) {
        lower(&candidate, &input->diag, NULL, input->unit->genotypes[i], "forward");
        ftso_arena_reset(&candidate);
    }
    for (size_t i = 0; i < input->unit->train_count; i++) {
        lower_recipe(&candidate, &input->diag, input->unit->trains[i]);
        ftso_arena_reset(&candidate);
    }
    ftso_arena_deinit(&candidate);
}

static const ftso_genotype *find_genotype(const ftso_unit *unit, const char *name)
{
    for (size_t i = 0; name && i < unit->genotype_count; i++)
        if (strcmp(unit->genotypes[i]->name, name) == 0) return unit->genotypes[i];
    return NULL;
}

/* Sends one graph down the road as far as asked, so that its stages can be seen. */
static ftso_status walk(check_options *chosen, ftso_input *input)
{
    const ftso_genotype *genotype = find_genotype(input->unit, chosen->name);
    const ftso_search *search = NULL;
    if (!genotype) FTSO_TRY(ftso_pick_search(input->unit, chosen->name, &search));
    const char *step = chosen->step ? chosen->step : "arch";
    double start = ftso_clock_s();
    ftso_network *network = lower(&input->arena, &input->diag, search, genotype, step);
    ftso_pipeline_time(&chosen->road.device.pipeline, genotype ? genotype->name : step, "graph",
                       ftso_clock_s() - start);
    if (!network) return ftso_error(FTSO_ERROR_USER, "no network could be built; see above");
    ftso_device device;
    FTSO_TRY(ftso_road_open(&input->arena, &chosen->road, &device));
    ftso_step *loaded = NULL;
    ftso_status status =
        device.load(device.self, genotype ? genotype->name : step, network->graph, &loaded);
    if (loaded) device.unload(device.self, loaded);
    ftso_device_close(&device);
    return status;
}

int ftso_verb_check(int argc, char **argv)
{
    check_options chosen = {0};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    const ftso_pipeline *pipeline = &chosen.road.device.pipeline;
    ftso_input input;
    if (!ftso_input_read(&input, chosen.path, chosen.input.overrides, chosen.input.override_count,
                         &code))
        goto out;

    const char *stage = pipeline->dump ? pipeline->dump : pipeline->stop_after;
    ftso_input_stages(&input, pipeline);
    if (ftso_stage_is_early(stage)) {
        code = FTSO_OK;
    } else if (stage || pipeline->time) {
        code = ftso_report(walk(&chosen, &input));
        ftso_input_print(&input);
    } else {
        lower_all(&input);
        ftso_input_print(&input);
        code = input.diag.error_count ? FTSO_ERROR_USER : FTSO_OK;
        if (code == FTSO_OK)
            printf("%s: nothing wrong (spaces %zu, searches %zu, genotypes %zu, operators %zu, "
                   "trainings %zu)\n",
                   chosen.path, input.unit->space_count, input.unit->search_count,
                   input.unit->genotype_count, input.unit->operator_count, input.unit->train_count);
    }
out:
    ftso_input_deinit(&input);
    return code;
}
