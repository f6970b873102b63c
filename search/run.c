/*
 * One call of a search: every seed through the method, then selection, choice, events.
 *
 * In: a Search record, images, a device. Out: cells, edge weights and losses per seed. Holds: seeds do not know of each
 * other; the result's memory is the caller's, everything else is gone afterwards. Start reading at ftso_search_run.
 */
#include "search_internal.h"

#include <math.h>

ftso_lower_options ftso_search_lower_options(const ftso_search *search)
{
    return (ftso_lower_options){
        .batch = search->batch,
        .image_channels = search->dataset->channels,
        .image_side = search->dataset->side,
        .classes = search->dataset->classes,
        .ops = search->topology_ops,
        .parameters = search->parameters,
        .parameter_count = search->parameter_count,
        .normalize = search->normalize,
        .edge_weights = true,
        .storage = search->precision,
    };
}

bool ftso_search_require(ftso_arena *arena, ftso_diag *diag, const ftso_search *search,
                         const ftso_genotype *genotype)
{
    if (!search->require) return true;
    if (!genotype) genotype = ftso_genotype_uniform(arena, search->space, search->replace);
    ftso_lower_options found = {
        .batch = 2,
        .image_channels = search->dataset->channels,
        .image_side = search->dataset->side,
        .classes = search->dataset->classes,
        .parameters = search->parameters,
        .parameter_count = search->parameter_count,
    };
    return ftso_network_require(arena, diag, search->require, search->space, genotype, &found);
}

ftso_status ftso_search_lower(ftso_search_job *job, ftso_network **out_network)
{
    ftso_lower_options options = ftso_search_lower_options(job->search);
    ftso_diag own, *diag = job->options->diag;
    if (!diag) {
        ftso_diag_init(&own, &job->work);
        diag = &own;
    }
    size_t before = diag->entry_count;
    *out_network = ftso_lower_supernet(&job->work, diag, job->search->space, &options);
    if (*out_network && (*out_network)->arch != FTSO_NO_VALUE) return FTSO_STATUS_OK;
    if (*out_network)
        return ftso_error(FTSO_ERROR_USER, "space '%s' has no cell to search",
                          job->search->space->name);
    return ftso_error(FTSO_ERROR_USER, "the super-net of space '%s' cannot be built: %s",
                      job->search->space->name,
                      diag->entry_count > before ? diag->entries[before].message : "see above");
}

/* The first seed, or the one with the smallest val_loss; the earlier of equal ones. */
static size_t choose(const ftso_search *search, const ftso_search_result *result)
{
    size_t best = 0;
    if (!search->select_best) return best;
    for (size_t i = 1; i < result->found_count; i++) {
        double loss = result->found[i].val_loss, least = result->found[best].val_loss;
        if (loss < least || (isnan(least) && !isnan(loss))) best = i;
    }
    return best;
}

static ftso_status run_seed(ftso_search_job *job, const ftso_method *method, uint64_t seed,
                            ftso_search_result *result)
{
    ftso_found *found = &result->found[result->found_count];
    *found = (ftso_found){.seed = seed};
    double start = ftso_clock_s();
    ftso_status status = method->run(job, seed, found);
    found->seconds = ftso_clock_s() - start;
    if (status.code != FTSO_OK && status.code != FTSO_ERROR_INTERRUPTED) return status;
    ftso_select_genotype(job->arena, job->search, job->network, found->beta, &found->genotype);
    result->found_count++;
    if (status.code != FTSO_OK) return status;
    job->seeds_done++;
    return ftso_event_seed(job, found);
}

static ftso_status run_seeds(ftso_search_job *job, const ftso_method *method,
                             ftso_search_result *result)
{
    ftso_network *network;
    FTSO_TRY(ftso_search_lower(job, &network));
    job->network = network;
    FTSO_TRY(ftso_event_start(job));
    if (method->open) FTSO_TRY(method->open(job));
    for (size_t i = 0; i < job->search->seed_count; i++)
        FTSO_TRY(run_seed(job, method, job->search->seeds[i], result));
    result->chosen = choose(job->search, result);
    return ftso_event_end(job, result);
}

ftso_status ftso_search_run(ftso_arena *arena, const ftso_search *search, const ftso_images *images,
                            const ftso_device *device, const ftso_search_options *options,
                            ftso_search_result *out_result)
{
    const ftso_method *method = ftso_method_find(search->method);
    *out_result = (ftso_search_result){0};
    if (!method)
        return ftso_error(FTSO_ERROR_USER, "search '%s': there is no method '%s'", search->name,
                          search->method);
    out_result->found = FTSO_ARRAY(arena, ftso_found, search->seed_count);
    ftso_search_job job = {.arena = arena,
                           .search = search,
                           .images = images,
                           .device = device,
                           .options = options,
                           .progress = {.mode = FTSO_PROGRESS_NONE},
                           .measures = search->select_best || search->seed_count > 1};
    ftso_arena_init(&job.work);
    ftso_status status = run_seeds(&job, method, out_result);
    ftso_progress_finish(&job.progress);
    if (method->close) method->close(&job);
    ftso_arena_deinit(&job.work);
    return status;
}
