/*
 * A recipe made ready to run: see training.h.
 */
#include "cli/training.h"

#include <string.h>
#include <sys/stat.h>

/* ---------------------------------------------------------------- choosing */

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* DARTS or NAS-Bench-201 text. */
static ftso_status cells_of_text(ftso_input *input, const ftso_space *space, const char *text,
                                 const ftso_genotype **out)
{
    *out = ftso_genotype_parse(&input->arena, &input->diag, text, strlen(text), space, input->unit);
    return *out ? FTSO_STATUS_OK
                : ftso_error(FTSO_ERROR_USER, "--cell: the text is no cell of space '%s'",
                             space->name);
}

static ftso_status only_genotype(const ftso_input *input, const ftso_train *train,
                                 const ftso_genotype **out)
{
    const ftso_genotype *only = NULL;
    size_t count = 0;
    for (size_t i = 0; i < input->unit->genotype_count; i++) {
        if (input->unit->genotypes[i]->space != train->space) continue;
        only = input->unit->genotypes[i];
        count++;
    }
    *out = only;
    if (count == 1) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_USAGE,
                      "recipe '%s' names no cell: give one with --cell, the run directory of a "
                      "search or the name of a genotype of space '%s'",
                      train->name, train->space->name);
}

ftso_status ftso_pick_cells(ftso_input *input, const ftso_train *train, const char *cell,
                            const ftso_genotype **out)
{
    *out = train->cell;
    if (!cell) return train->cell ? FTSO_STATUS_OK : only_genotype(input, train, out);
    if (strchr(cell, '(') || strchr(cell, '|'))
        return cells_of_text(input, train->space, cell, out);
    if (is_folder(cell)) return ftso_run_genotype(input, cell, train->space, out);
    if (ends_with(cell, ".json")) return ftso_genotype_read(input, cell, train->space, out);
    FTSO_TRY(ftso_annotate(ftso_pick_genotype(input->unit, cell, out), "--cell"));
    if ((*out)->space == train->space) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_USAGE, "genotype '%s' belongs to space '%s', not to '%s'",
                      (*out)->name, (*out)->space->name, train->space->name);
}

/* ---------------------------------------------------------------- the network */

static ftso_status lower(ftso_input *input, const ftso_setup *setup, bool inference,
                         ftso_network **out)
{
    ftso_lower_options how = ftso_train_lower_options(setup->train, inference);
    *out =
        ftso_lower_network(&input->arena, &input->diag, setup->train->space, setup->genotype, &how);
    if (!*out) return ftso_error(FTSO_ERROR_USER, "the network could not be built");
    if (!inference) ftso_lower_step(*out, &setup->train->optimizer, false);
    return FTSO_STATUS_OK;
}

/* States of the training step besides weights and statistics: the optimiser's. */
static void list_moments(ftso_arena *arena, ftso_setup *setup)
{
    const ftso_graph *graph = setup->network->graph;
    setup->moments = FTSO_ARRAY(arena, const char *, graph->node_count);
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (!ftso_node_is(node, "state") || v == setup->network->weights ||
            v == setup->network->running)
            continue;
        setup->moments[setup->moment_count++] = node->attrs[ftso_op_attr(node->op, "name")].name;
    }
}

static uint64_t hash_table(uint64_t hash, const ftso_parameter *table, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        hash = ftso_hash(hash, table[k].name, strlen(table[k].name) + 1);
        hash = ftso_hash(hash, table[k].dim, sizeof(table[k].dim));
    }
    return hash;
}

/* With the recipe's numbers it decides every number of the run but the images. */
static uint64_t hash_step(const ftso_setup *setup)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_graph_print(setup->network->graph, &text);
    uint64_t hash = ftso_hash(FTSO_HASH_SEED, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return hash;
}

static void fill_recipe(ftso_setup *setup)
{
    const ftso_train *train = setup->train;
    const ftso_network *network = setup->network;
    bool adam = train->optimizer.kind == FTSO_ADAM;
    setup->recipe =
        (ftso_recipe){.epochs = train->epochs,
                      .batch = train->batch,
                      .classes = train->dataset->classes,
                      .channels = train->dataset->channels,
                      .side = train->dataset->side,
                      .rate = ftso_rate_of(&train->optimizer.lr),
                      .beta1 = adam ? train->optimizer.beta1 : 0,
                      .beta2 = adam ? train->optimizer.beta2 : 0,
                      .drop_path = train->drop_path,
                      .drop_count = network->drop_path == FTSO_NO_VALUE ? 0 : network->drop_count,
                      .least_batch = ftso_graph_min_batch(network->graph),
                      .seed = train->seed};
}

/* What the weights say of themselves, wherever they go. */
static void fill_metadata(ftso_input *input, ftso_setup *setup)
{
    const ftso_train *train = setup->train;
    const ftso_dataset *dataset = train->dataset;
    ftso_text genotype, transform;
    ftso_text_init(&genotype);
    ftso_text_init(&transform);
    ftso_genotype_print_json(setup->genotype, train->space, &genotype);
    ftso_transform_print(&dataset->test, &transform);
    const ftso_metadata rows[] = {
        {"ftso", FTSO_VERSION},
        {"space", train->space->name},
        {"genotype", ftso_strdup(&input->arena, ftso_text_get(&genotype))},
        {FTSO_GENOTYPE_HASH, ftso_genotype_hash(&input->arena, setup->genotype)},
        {"layers",
         ftso_format(&input->arena, "%lld",
                     (long long)(train->layers ? train->layers : train->space->network.layers))},
        {"channels", ftso_format(&input->arena, "%lld",
                                 (long long)(train->channels ? train->channels
                                                             : train->space->network.channels))},
        {"recipe", train->name},
        {"dataset", dataset->name},
        {"image", ftso_format(&input->arena, "%lldx%lldx%lld", (long long)dataset->channels,
                              (long long)dataset->side, (long long)dataset->side)},
        {"classes", ftso_format(&input->arena, "%lld", (long long)dataset->classes)},
        {FTSO_WEIGHTS_TRANSFORM, ftso_strdup(&input->arena, ftso_text_get(&transform))},
    };
    ftso_text_deinit(&transform);
    ftso_text_deinit(&genotype);
    setup->metadata_count = FTSO_COUNT(rows);
    setup->metadata = FTSO_ARRAY(&input->arena, ftso_metadata, FTSO_COUNT(rows) + 1);
    memcpy(setup->metadata, rows, sizeof(rows));
}

ftso_status ftso_setup_lower(ftso_input *input, const ftso_train *train,
                             const ftso_genotype *genotype, bool trains, ftso_setup *out)
{
    *out = (ftso_setup){.train = train, .genotype = genotype};
    ftso_arena *arena = &input->arena;
    ftso_network *judge, *network;
    ftso_lower_options how = ftso_train_lower_options(train, true);
    if (!ftso_network_require(arena, &input->diag, train->require, train->space, genotype, &how))
        return ftso_error(FTSO_ERROR_USER, "the network is larger than recipe '%s' requires",
                          train->name);
    FTSO_TRY(lower(input, out, true, &judge));
    network = judge;
    if (trains) FTSO_TRY(lower(input, out, false, &network));
    out->network = network;
    out->judge_network = judge;
    out->weights = ftso_parameters_of(arena, network->weight_table, network->weight_count);
    out->weight_count = network->weight_count;
    out->weight_total = network->weight_total;
    out->running = ftso_parameters_of(arena, network->running_table, network->running_count);
    out->running_count = network->running_count;
    out->running_total = network->running_total;
    FTSO_ASSERT(judge->weight_total == network->weight_total &&
                judge->running_total == network->running_total);
    fill_recipe(out);
    fill_metadata(input, out);
    out->layout = hash_table(hash_table(FTSO_HASH_SEED, out->weights, out->weight_count),
                             out->running, out->running_count);
    if (!trains) return FTSO_STATUS_OK;
    list_moments(arena, out);
    out->step_hash = hash_step(out);
    out->origin = ftso_recipe_hash(out->step_hash, &out->recipe);
    return FTSO_STATUS_OK;
}

ftso_status ftso_setup_open(ftso_input *input, const ftso_train *train,
                            const ftso_genotype *genotype, const ftso_device *device, bool trains,
                            ftso_setup *out)
{
    FTSO_TRY(ftso_setup_lower(input, train, genotype, trains, out));
    out->device = device;
    if (trains) {
        FTSO_TRY(device->load(device->self, "train", out->network->graph, &out->step));
        if (!out->step) return FTSO_STATUS_OK; /* the road was left on the way */
    }
    return device->load(device->self, "judge", out->judge_network->graph, &out->judge);
}

void ftso_setup_close(ftso_setup *setup)
{
    ftso_step *const steps[] = {setup->step, setup->judge};
    for (size_t i = 0; i < FTSO_COUNT(steps); i++)
        if (steps[i]) setup->device->unload(setup->device->self, steps[i]);
    ftso_images_deinit(&setup->images);
    ftso_images_deinit(&setup->test_images);
    memset(setup, 0, sizeof(*setup));
}

/* ---------------------------------------------------------------- images and weights */

static ftso_status load_part(const ftso_dataset *dataset, const char *data, bool test,
                             ftso_images *images)
{
    ftso_images_spec spec = ftso_dataset_spec(dataset);
    return ftso_images_open_part(dataset->name, dataset->kind, data ? data : dataset->path, test,
                                 &spec, test ? &dataset->test : &dataset->train, images);
}

ftso_status ftso_setup_images(ftso_input *input, ftso_setup *setup, const char *data)
{
    const ftso_dataset *dataset = setup->train->dataset;
    setup->transform = dataset->train;
    setup->test_transform = dataset->test;
    FTSO_TRY(load_part(dataset, data, true, &setup->test_images));
    if (!setup->step) return FTSO_STATUS_OK;
    FTSO_TRY(load_part(dataset, data, false, &setup->images));
    setup->metadata_count += ftso_class_names_row(&input->arena, &setup->images,
                                                  &setup->metadata[setup->metadata_count]);
    setup->origin = ftso_images_hash(setup->origin, &setup->images);
    return FTSO_STATUS_OK;
}

ftso_status ftso_setup_weights(const ftso_setup *setup, const char *path)
{
    const ftso_device *device = setup->device;
    ftso_arena arena;
    ftso_arena_init(&arena);
    float *weights = FTSO_ARRAY(&arena, float, (size_t)setup->weight_total);
    float *running = FTSO_ARRAY(&arena, float, (size_t)setup->running_total);
    const ftso_parameter_state states[] = {{setup->weights, setup->weight_count, weights},
                                           {setup->running, setup->running_count, running}};
    ftso_safetensors file = {0};
    ftso_weights_words words = {0};
    ftso_status status = ftso_safetensors_read(path, &file);
    if (status.code == FTSO_OK)
        status = ftso_parameters_take(path, &file, states, FTSO_COUNT(states),
                                      ftso_genotype_hash(&arena, setup->genotype));
    if (status.code == FTSO_OK)
        status = ftso_weights_words_read(path, &file, setup->recipe.classes, &words);
    if (status.code == FTSO_OK)
        ftso_words_compare(stderr, path, &words, setup->train->dataset,
                           setup->test_images.class_names, "the data set's word holds");
    ftso_mem_free(words.class_names);
    ftso_safetensors_deinit(&file);
    if (status.code == FTSO_OK)
        status = device->write_state(device->self, "weights", weights, setup->weight_total);
    if (status.code == FTSO_OK && setup->running_count)
        status = device->write_state(device->self, "running", running, setup->running_total);
    ftso_arena_deinit(&arena);
    return status;
}
