/*
 * ftso search: the main job. A space file and images in; found cells on the terminal and in a run directory out.
 */
#include "cli/rundir.h"

#include <stdlib.h>
#include <string.h>

typedef struct search_options {
    const char *path, *name, *run, *data;
    ftso_progress_mode progress;
    bool quiet;
    ftso_input_options input;
    ftso_road_options road;
} search_options;

enum { KEY_DATA = 512, KEY_PROGRESS };

static const struct argp_option options[] = {
    {"output", 'o', "FOLDER", 0, "run directory to make (default: runs/NAME, runs/NAME-2, …)", 0},
    {"data", KEY_DATA, "FOLDER", 0,
     "where the images are, instead of the place that the space file names", 0},
    {"progress", KEY_PROGRESS, "auto|bar|line|none", 0,
     "how to show progress (default: a bar on a terminal, else lines)", 0},
    {"quiet", 'q', 0, 0, "print nothing but the run directory's name and errors", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static const char *const modes[] = {"auto", "bar", "line", "none"};
    search_options *search = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &search->input;
        state->child_inputs[1] = &search->road;
        break;
    case 'o':
        search->run = arg;
        break;
    case KEY_DATA:
        search->data = arg;
        break;
    case 'q':
        search->quiet = true;
        search->progress = FTSO_PROGRESS_NONE;
        break;
    case KEY_PROGRESS: {
        size_t i = 0;
        while (i < FTSO_COUNT(modes) && strcmp(modes[i], arg) != 0) i++;
        if (i == FTSO_COUNT(modes))
            argp_error(state, "--progress takes auto, bar, line or none, not '%s'", arg);
        search->progress = (ftso_progress_mode)i;
        break;
    }
    default:
        return ftso_parse_subject(key, arg, state, &search->path, &search->name,
                                  "a file and the name of one search",
                                  "which space file? 'ftso new' prints some to start from");
    }
    return 0;
}

static const struct argp argp = {
    options,
    parse,
    "FILE.ftso [SEARCH]",
    "Runs a search of the file: for each seed the topology phase, then the operators; shows the "
    "found cells and writes a "
    "run directory.\v"
    "Examples:\n"
    "  ftso search examples/fashion.ftso\n"
    "  ftso search examples/darts_cifar10.ftso --data ~/cifar-10-batches-bin -o runs/a\n"
    "  ftso search my.ftso --set search.mine.seeds=[0,1,2,3]\n",
    ftso_argp_children,
    NULL,
    NULL};

static void print_cells(const ftso_found *found)
{
    ftso_text text;
    ftso_text_init(&text);
    for (size_t i = 0; i < found->genotype.cell_count; i++)
        ftso_cell_print_ascii(&found->genotype.cells[i], &text);
    ftso_genotype_print_darts(&found->genotype, &text);
    puts(ftso_text_get(&text));
    ftso_text_deinit(&text);
}

/* Writes what was found, and shows it. An interrupted search keeps what it came to. */
static ftso_status keep(const search_options *chosen, const ftso_input *input,
                        const ftso_search *search, const ftso_search_result *result,
                        const char *device_name, const char *run, bool stopped)
{
    FTSO_TRY(ftso_rundir_copy_sources(run, input));
    FTSO_TRY(ftso_rundir_write_search(run, input, search, result, device_name, stopped));
    if (chosen->quiet) {
        puts(run);
        return FTSO_STATUS_OK;
    }
    print_cells(&result->found[result->chosen]);
    ftso_text report;
    ftso_text_init(&report);
    ftso_search_report(search, result, &report);
    printf("%s\n%s holds the cells, their pictures, the log and the space file. Next:\n  ftso show "
           "%s\n",
           ftso_text_get(&report), run, run);
    ftso_text_deinit(&report);
    return FTSO_STATUS_OK;
}

static ftso_status require(ftso_input *input, const ftso_search *search,
                           const ftso_genotype *genotype)
{
    if (ftso_search_require(&input->arena, &input->diag, search, genotype)) return FTSO_STATUS_OK;
    ftso_input_print(input);
    if (genotype) return ftso_error(FTSO_ERROR_USER, "the found network is larger than required");
    return ftso_error(FTSO_ERROR_USER, "what search '%s' finds would be larger than required",
                      search->name);
}

/* The search in a run directory that is there. */
static ftso_status search_in(const char *run, const search_options *chosen, ftso_input *input,
                             const ftso_search *search, const ftso_images *images,
                             const ftso_device *device)
{
    ftso_arena *arena = &input->arena;
    const volatile int *interrupted = ftso_interrupt_catch();
    ftso_log log;
    FTSO_TRY(ftso_log_open(&log, ftso_format(arena, "%s/events.jsonl", run)));

    ftso_search_options how = {.progress = chosen->progress,
                               .progress_out = stderr,
                               .log = &log,
                               .stop = interrupted,
                               .diag = &input->diag};
    ftso_search_result result = {0};
    ftso_status status = ftso_search_run(arena, search, images, device, &how, &result);
    if (input->diag.error_count) ftso_input_print(input);
    bool stopped = status.code == FTSO_ERROR_INTERRUPTED;
    ftso_status logged = FTSO_STATUS_OK;
    if (stopped)
        logged =
            ftso_log_write(&log, ftso_format(arena, "{\"event\":\"interrupted\",\"seeds\":%zu}",
                                             result.found_count));
    ftso_status closed = ftso_log_close(&log);
    if (logged.code == FTSO_OK) logged = closed;
    if (logged.code != FTSO_OK && (stopped || status.code == FTSO_OK)) return logged;
    if (stopped && result.found_count == 0)
        return ftso_annotate(status, "nothing was found yet; %s holds the log alone", run);
    if (stopped || status.code == FTSO_OK)
        FTSO_TRY(keep(chosen, input, search, &result, device->name, run, stopped));
    if (!stopped && status.code == FTSO_OK)
        status = require(input, search, &result.found[result.chosen].genotype);
    return stopped ? ftso_annotate(status, "interrupted; what was found so far is in %s", run)
                   : status;
}

static ftso_status run_search(const search_options *chosen, ftso_input *input,
                              const ftso_search *search, const ftso_images *images,
                              const ftso_device *device)
{
    const char *run;
    int lock;
    FTSO_TRY(ftso_rundir_create(&input->arena, chosen->run, search->name, &run, &lock));
    ftso_status status = search_in(run, chosen, input, search, images, device);
    ftso_folder_unlock(lock);
    return status;
}

/* --stop-after: both steps of the search go down the road as far as asked; nothing is run, no directory made. */
static ftso_status walk(ftso_input *input, const ftso_search *search, const ftso_device *device)
{
    ftso_lower_options how = ftso_search_lower_options(search);
    for (int arch = 1; arch >= 0; arch--) {
        ftso_network *network =
            ftso_lower_supernet(&input->arena, &input->diag, search->space, &how);
        if (input->diag.error_count) ftso_input_print(input);
        if (!network) return ftso_error(FTSO_ERROR_USER, "the super-net could not be built");
        ftso_lower_step(network, arch ? &search->arch : &search->weights, arch);
        ftso_step *step = NULL;
        FTSO_TRY(device->load(device->self, arch ? "arch" : "weights", network->graph, &step));
        if (step) device->unload(device->self, step);
    }
    return FTSO_STATUS_OK;
}

static ftso_status search_on(const search_options *chosen, ftso_input *input,
                             const ftso_search *search, const ftso_device *device)
{
    if (chosen->road.device.pipeline.stop_after) return walk(input, search, device);
    FTSO_TRY(require(input, search, NULL));
    ftso_images images;
    FTSO_TRY(ftso_images_load(search->dataset, chosen->data, false, &images));
    ftso_status status = run_search(chosen, input, search, &images, device);
    ftso_images_deinit(&images);
    return status;
}

int ftso_verb_search(int argc, char **argv)
{
    search_options chosen = {0};
    ftso_road_options_init(&chosen.road);
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;

    ftso_input input;
    if (!ftso_input_read(&input, chosen.path, chosen.input.overrides, chosen.input.override_count,
                         &code))
        goto out_input;
    ftso_input_print(&input);
    const ftso_pipeline *pipeline = &chosen.road.device.pipeline;
    ftso_input_stages(&input, pipeline);
    if (ftso_stage_is_early(pipeline->stop_after)) goto out_input;
    const ftso_search *search;
    code = ftso_report(ftso_pick_search(input.unit, chosen.name, &search));
    if (code != FTSO_OK) goto out_input;
    ftso_device device;
    code = ftso_report(ftso_road_open(&input.arena, &chosen.road, &device));
    if (code != FTSO_OK) goto out_input;
    code = ftso_report(search_on(&chosen, &input, search, &device));
    ftso_device_close(&device);
out_input:
    ftso_input_deinit(&input);
    return code;
}
