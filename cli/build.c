/*
 * From a network and its weights to an artefact: code ahead of time, the reference's results, one record, a linker.
 *
 * In: a source (genotype, weights), choices. Out: the file or folder that was asked for. Holds: the same source and
 * choices give the same bytes, wherever and whenever; the expected results come from the interpreter, never from the code.
 * Start reading at ftso_build_run.
 */
#include "cli/build.h"

#include "cli/training.h"
#include "kernels/kernels.h"

#include "source_identity.h" /* generated: FTSO_SOURCE_IDENTITY */

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { MAX_CODES = 4, MAX_ARTEFACT_BYTES = 1 << 30 };

/* All that becomes one artefact. */
typedef struct build {
    ftso_input *input;
    ftso_arena *arena;
    const ftso_build_source *source;
    const ftso_build_options *options;
    const ftso_build_kind *kind;
    const ftso_network *network;   /* at the planned batch */
    const ftso_network *reference; /* at one image */
    ftso_setup setup;              /* of a trainer: both forms at the recipe's batch */
    ftso_trainer trainer;
    ftso_text graph_text;
    const char *runtime, *library, *decoders; /* archives */
    const char *output;                       /* the file */
    ftso_target targets[MAX_CODES];
    const char *cpus[MAX_CODES];
    ftso_compiler *compilers[MAX_CODES];
    ftso_artefact_code codes[MAX_CODES];
    size_t code_count;
    ftso_seal seal;
    ftso_artefact artefact;
} build;

ftso_network *ftso_build_lower(ftso_input *input, const ftso_build_source *source, int64_t batch)
{
    ftso_lower_options options = {.inference = true};
    if (source->train) options = ftso_train_lower_options(source->train, true);
    options.batch = batch;
    options.storage = source->precision;
    if (source->dataset) {
        options.image_channels = source->dataset->channels;
        options.image_side = source->dataset->side;
        options.classes = source->dataset->classes;
    }
    return ftso_lower_network(&input->arena, &input->diag, source->space, source->genotype,
                              &options);
}

/* ---------------------------------------------------------------- targets */

static ftso_status choose_targets(build *b)
{
    static const char *const levels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2"};
    const char *cpu = b->options->cpu ? b->options->cpu : "native";
    const ftso_system *system = b->options->system;
    if (system) {
        b->cpus[b->code_count] = system->target.cpu;
        b->targets[b->code_count++] = system->target;
    } else if (strcmp(cpu, "multi") == 0)
        for (size_t i = 0; i < FTSO_COUNT(levels); i++) b->cpus[b->code_count++] = levels[i];
    else
        b->cpus[b->code_count++] = cpu;
    for (size_t i = 0; i < b->code_count && !system; i++)
        FTSO_TRY(ftso_target_named(b->arena, b->cpus[i], &b->targets[i]));
    if (b->kind->is_code) return FTSO_STATUS_OK;
    const char *triple = ftso_system_of(b->arena, &b->targets[0]);
    b->runtime = ftso_installed_file(b->arena, triple, "libftso_artefact.a");
    b->library = ftso_installed_file(b->arena, triple, "libftso_library.a");
    b->decoders = ftso_installed_file(b->arena, triple, "libftso_decoders.a");
    if (b->runtime && b->library && system && !b->decoders && !b->kind->needs_prefix)
        fprintf(stderr, "ftso: '%s' will read raw tensors, no pictures: %s\n", b->options->output,
                ftso_decoders_wanted(b->arena, system));
    if (b->runtime && b->library && (b->decoders || system)) return FTSO_STATUS_OK;
    if (system)
        return ftso_error(FTSO_ERROR_DEVICE,
                          "the runtime of artefacts for %s is not there: install %s and "
                          "build ftso again",
                          system->name, system->packages);
    return ftso_error(FTSO_ERROR_DEVICE,
                      "the runtime of artefacts for %s is not installed beside ftso: "
                      "artefact/%s/libftso_artefact.a; build ftso again with its compiler present",
                      triple, triple);
}

/* ---------------------------------------------------------------- the key */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return ftso_hash(hash, text ? text : "", text ? strlen(text) + 1 : 1);
}

static uint64_t hash_names(uint64_t hash, const ftso_weight *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = hash_text(hash_text(hash, table[i].name), table[i].module);
    return hash;
}

/* Over all that decides the artefact's bytes but the tools that link them. */
static ftso_status make_key(build *b)
{
    const char *const archives[] = {b->runtime, b->library, b->decoders};
    const ftso_network *n = b->network;
    uint64_t key = hash_text(FTSO_HASH_SEED, FTSO_SOURCE_IDENTITY);
    for (size_t i = 0; i < FTSO_COUNT(archives); i++) {
        char *bytes;
        size_t size;
        if (!archives[i]) continue; /* no decoders for other systems */
        FTSO_TRY(ftso_file_read(b->arena, archives[i], MAX_ARTEFACT_BYTES, &bytes, &size));
        key = ftso_hash(key, bytes, size);
    }
    key = ftso_hash(key, b->graph_text.data, b->graph_text.length);
    key = ftso_hash(key, b->source->weights, (size_t)n->weight_total * sizeof(float));
    key = ftso_hash(key, b->source->running, (size_t)n->running_total * sizeof(float));
    key = hash_names(key, n->weight_table, n->weight_count);
    key = hash_names(key, n->running_table, n->running_count);
    key = hash_text(key, b->artefact.record);
    b->seal = (ftso_seal){FTSO_SEAL_MAGIC, 0, key};
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- the record */

static void add_hash(cJSON *object, const char *name, uint64_t hash)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)hash);
    cJSON_AddStringToObject(object, name, digits);
}

/* That the transform, which may come from a file, makes the network's images. */
static ftso_status check_transform(const build *b)
{
    if (!b->source->transform) return FTSO_STATUS_OK;
    ftso_transform transform;
    FTSO_TRY(ftso_transform_parse(b->source->transform, &transform));
    ftso_shape image = ftso_graph_shape(b->reference->graph, b->reference->image);
    size_t count = (size_t)ftso_shape_count(image);
    const ftso_picture blank = {.channels = image.dim[1],
                                .height = image.dim[2],
                                .width = image.dim[3],
                                .pixels = FTSO_ARRAY(b->arena, uint8_t, count)};
    return ftso_annotate(ftso_picture_transform(&blank, &transform, image.dim[2],
                                                FTSO_ARRAY(b->arena, float, count)),
                         "the transform '%.80s'", b->source->transform);
}

/* No path, no date: two builds from the same things say the same. */
static ftso_status make_record(build *b)
{
    const ftso_build_source *source = b->source;
    const ftso_network *n = b->network;
    const ftso_shape image = ftso_graph_shape(n->graph, n->image);
    cJSON *record = cJSON_CreateObject();
    cJSON_AddStringToObject(record, "format", "ftso-artefact");
    cJSON_AddNumberToObject(record, "version", 1);
    cJSON_AddStringToObject(record, "ftso", FTSO_VERSION);
    cJSON_AddStringToObject(record, "codegen", ftso_codegen_identity());
    cJSON_AddStringToObject(record, "kind", b->kind->name);
    cJSON_AddStringToObject(record, "network", source->name);
    cJSON_AddStringToObject(record, "space", source->space->name);
    ftso_text genotype;
    ftso_text_init(&genotype);
    ftso_genotype_print_darts(source->genotype, &genotype);
    cJSON_AddStringToObject(record, "genotype", ftso_text_get(&genotype));
    cJSON_AddStringToObject(record, FTSO_GENOTYPE_HASH,
                            ftso_genotype_hash(b->arena, source->genotype));
    ftso_text_deinit(&genotype);
    add_hash(record, "graph_hash",
             ftso_hash(FTSO_HASH_SEED, b->graph_text.data, b->graph_text.length));
    if (!b->kind->is_code) {
        cJSON_AddStringToObject(record, "weights", source->weights_name);
        add_hash(record, "weights_hash",
                 ftso_hash(ftso_hash(FTSO_HASH_SEED, source->weights,
                                     (size_t)n->weight_total * sizeof(float)),
                           source->running, (size_t)n->running_total * sizeof(float)));
    }
    cJSON_AddNumberToObject(record, "parameters", (double)n->weight_total);
    cJSON *dims = cJSON_AddArrayToObject(record, "image");
    for (int d = 1; d < image.rank; d++)
        cJSON_AddItemToArray(dims, cJSON_CreateNumber((double)image.dim[d]));
    cJSON_AddNumberToObject(record, "classes",
                            (double)ftso_graph_shape(n->graph, n->logits).dim[1]);
    const ftso_dataset *dataset = source->dataset;
    if (dataset) cJSON_AddStringToObject(record, "dataset", dataset->name);
    cJSON_AddStringToObject(record, "transform", source->transform ? source->transform : "");
    if (source->class_names) {
        cJSON *names = cJSON_AddArrayToObject(record, "class_names");
        for (int64_t c = 0; c < ftso_graph_shape(n->graph, n->logits).dim[1]; c++)
            cJSON_AddItemToArray(names, cJSON_CreateString(source->class_names[c]));
    }
    cJSON_AddNumberToObject(record, "batch", (double)ftso_graph_shape(n->graph, n->image).dim[0]);
    if (b->kind->trains) ftso_build_trainer_describe(&b->setup, record);
    cJSON_AddStringToObject(record, "precision", ftso_element_name(n->graph->storage));
    cJSON_AddStringToObject(record, "triple", b->targets[0].triple);
    cJSON *codes = cJSON_AddArrayToObject(record, "code");
    for (size_t i = 0; i < b->code_count; i++) {
        cJSON *code = cJSON_CreateObject();
        cJSON_AddStringToObject(code, "cpu", b->targets[i].cpu);
        cJSON_AddStringToObject(code, "features", b->targets[i].features);
        cJSON_AddNumberToObject(code, "vector_floats", b->targets[i].vector_floats);
        cJSON_AddItemToArray(codes, code);
    }
    cJSON *disabled = cJSON_AddArrayToObject(record, "disabled");
    const ftso_pipeline *pipeline = &b->options->device.pipeline;
    for (size_t i = 0; i < pipeline->disabled_count; i++)
        cJSON_AddItemToArray(disabled, cJSON_CreateString(pipeline->disabled[i]));
    cJSON_AddBoolToObject(record, "static", b->options->is_static);
    if (b->kind->needs_prefix) cJSON_AddStringToObject(record, "prefix", b->options->prefix);
    char *printed = cJSON_Print(record);
    cJSON_Delete(record);
    if (!printed) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the build record");
    b->artefact.record = ftso_strdup(b->arena, printed);
    cJSON_free(printed);
    return FTSO_STATUS_OK;
}

static ftso_status deflate_graph(build *b)
{
    uLongf size = compressBound(b->graph_text.length);
    uint8_t *packed = FTSO_ARRAY(b->arena, uint8_t, size);
    if (compress2(packed, &size, (const Bytef *)b->graph_text.data, b->graph_text.length,
                  Z_BEST_COMPRESSION) != Z_OK)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory to pack the network's text");
    b->artefact.graph = packed;
    b->artefact.graph_bytes = size;
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- what the reference makes of a stored image */

void ftso_images_draw(uint64_t seed, int64_t count, float *out)
{
    double pair[2];
    for (int64_t i = 0; i < count; i++) {
        if (i % 2 == 0)
            ftso_random_normal(
                ftso_random_at(seed, FTSO_STREAM_AUGMENT_VALID, 0, (uint64_t)(i / 2)), pair);
        out[i] = (float)pair[i % 2];
    }
}

const double *ftso_build_wide(ftso_arena *arena, const float *numbers, int64_t count)
{
    double *out = FTSO_ARRAY(arena, double, count + 1);
    for (int64_t i = 0; i < count; i++) out[i] = (double)numbers[i];
    return out;
}

/* A reference's content; what the passes dropped needs no numbers. */
static ftso_status bind(const build *b, const ftso_reference *reference, ftso_interp *interp,
                        const double *image, const double *weights, const double *running)
{
    const ftso_network *n = b->reference;
    const ftso_graph *graph = reference->graph;
    FTSO_TRY(ftso_build_bind(interp, graph, "image", image,
                             ftso_shape_count(ftso_graph_shape(n->graph, n->image))));
    FTSO_TRY(ftso_build_bind(interp, graph, "weights", weights, n->weight_total));
    if (!n->running_total) return FTSO_STATUS_OK;
    return ftso_build_bind(interp, graph, "running", running, n->running_total);
}

ftso_status ftso_build_bind(ftso_interp *interp, const ftso_graph *graph, const char *name,
                            const double *numbers, int64_t count)
{
    ftso_value leaf = ftso_graph_find(graph, name);
    return leaf == FTSO_NO_VALUE ? FTSO_STATUS_OK
                                 : ftso_interp_bind(interp, leaf, numbers, (size_t)count);
}

ftso_value ftso_build_output(const ftso_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0) return graph->outputs[i].value;
    return FTSO_NO_VALUE;
}

/* The reference over the images, one after another: `logits` [count][classes], and what is allowed. */
static ftso_status judge(const build *b, const ftso_reference *reference, ftso_interp *exact,
                         ftso_interp *disturbed, ftso_arena *scratch, const float *images,
                         int64_t count, double *logits, double *tolerance)
{
    const ftso_network *n = b->reference;
    int64_t pixels = ftso_shape_count(ftso_graph_shape(n->graph, n->image)),
            classes = ftso_shape_count(ftso_graph_shape(n->graph, n->logits));
    const double *weights = ftso_build_wide(scratch, b->source->weights, n->weight_total),
                 *running = ftso_build_wide(scratch, b->source->running, n->running_total);
    ftso_growth growth = {0};
    for (int64_t i = 0; i < count; i++) {
        const double *image = ftso_build_wide(scratch, images + i * pixels, pixels);
        FTSO_TRY(bind(b, reference, exact, image, weights, running));
        FTSO_TRY(bind(b, reference, disturbed, image, weights, running));
        FTSO_TRY(ftso_build_reference(exact, disturbed, reference, logits + i * classes, &growth));
    }
    *tolerance = ftso_build_tolerance(reference, &growth);
    return FTSO_STATUS_OK;
}

static ftso_status expect(build *b)
{
    const ftso_network *n = b->reference;
    ftso_artefact *a = &b->artefact;
    int64_t pixels = ftso_shape_count(ftso_graph_shape(n->graph, n->image)),
            classes = ftso_shape_count(ftso_graph_shape(n->graph, n->logits)),
            count = b->kind->trains ? ftso_build_trainer_images(&b->setup) : 1;
    float *images = FTSO_ARRAY(b->arena, float, (size_t)(count * pixels));
    double *logits = FTSO_ARRAY(b->arena, double, (size_t)(count * classes));
    ftso_images_draw(0, count * pixels, images);
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    ftso_reference reference;
    ftso_interp *exact = NULL, *disturbed = NULL;
    ftso_status status =
        ftso_pipeline_reference(&b->options->device.pipeline, &scratch, n->graph, &reference);
    if (status.code == FTSO_OK) status = ftso_reference_interp(&reference, &exact);
    if (status.code == FTSO_OK) status = ftso_reference_interp(&reference, &disturbed);
    if (status.code == FTSO_OK)
        status = judge(b, &reference, exact, disturbed, &scratch, images, count, logits,
                       &a->test_tolerance);
    ftso_interp_free(exact);
    ftso_interp_free(disturbed);
    ftso_arena_deinit(&scratch);
    a->test_logits = logits;
    a->test_logit_bytes = (size_t)(count * classes) * sizeof(double);
    a->test_images = images;
    a->test_image_bytes = (size_t)(count * pixels) * sizeof(float);
    a->test_count = count;
    if (status.code != FTSO_OK || !b->kind->trains) return status;
    a->trainer = &b->trainer;
    return ftso_build_trainer(b->input, &b->setup, b->source->weights, b->source->running, images,
                              count, &b->trainer);
}

/* ---------------------------------------------------------------- code and data */

static ftso_status compile_form(build *b, size_t code, const ftso_compiler_options *how,
                                const ftso_graph *graph, const ftso_program **out)
{
    ftso_program *program;
    FTSO_TRY(ftso_pipeline_run(&b->options->device.pipeline, b->arena, b->compilers[code], how,
                               b->cpus[code], graph, &program));
    *out = program;
    return FTSO_STATUS_OK;
}

static ftso_status compile(build *b)
{
    for (size_t i = 0; i < b->code_count; i++) {
        ftso_compiler_options how = {.target = b->targets[i],
                                     .threads = b->options->device.threads,
                                     .cache_dir = b->options->device.cache_dir,
                                     .kernels = ftso_kernels(),
                                     .ahead = true,
                                     .as_text = b->kind->is_code};
        FTSO_TRY(ftso_compiler_new(&how, &b->compilers[i]));
        b->codes[i] = (ftso_artefact_code){.cpu = b->targets[i].cpu,
                                           .features = ftso_target_needs(b->arena, &b->targets[i])};
        FTSO_TRY(compile_form(b, i, &how, b->network->graph, &b->codes[i].program));
        if (b->kind->trains)
            FTSO_TRY(compile_form(b, i, &how, b->setup.network->graph, &b->codes[i].step));
    }
    return FTSO_STATUS_OK;
}

/* A state's numbers in as much memory as the programs give it. */
static void add_state(build *b, ftso_artefact_state *states, const char *name, const float *numbers,
                      int64_t count, const ftso_weight *table, size_t table_count)
{
    int64_t size = 0;
    for (size_t i = 0; i < 2 * b->code_count; i++) {
        const ftso_program *program = i % 2 ? b->codes[i / 2].step : b->codes[i / 2].program;
        for (size_t s = 0; program && s < program->state_count; s++) {
            if (strcmp(program->states[s].name, name) != 0) continue;
            FTSO_ASSERT(size == 0 || size == program->states[s].size_bytes);
            size = program->states[s].size_bytes;
        }
    }
    if (size == 0) return;
    FTSO_ASSERT(size >= count * (int64_t)sizeof(float));
    float *data = (float *)FTSO_ARRAY(b->arena, char, size);
    memcpy(data, numbers, (size_t)count * sizeof(float));
    states[b->artefact.state_count++] = (ftso_artefact_state){
        name, data, size, ftso_parameters_of(b->arena, table, table_count), table_count};
}

static void fill_artefact(build *b)
{
    const ftso_network *n = b->network;
    ftso_shape image = ftso_graph_shape(n->graph, n->image);
    ftso_artefact_state *states = FTSO_ARRAY(b->arena, ftso_artefact_state, 2);
    if (!b->kind->is_code) {
        add_state(b, states, "weights", b->source->weights, n->weight_total, n->weight_table,
                  n->weight_count);
        add_state(b, states, "running", b->source->running, n->running_total, n->running_table,
                  n->running_count);
    }
    size_t classes = (size_t)ftso_graph_shape(n->graph, n->logits).dim[1];
    const char **names = FTSO_ARRAY(b->arena, const char *, classes);
    for (size_t c = 0; c < classes; c++)
        names[c] =
            b->source->class_names ? b->source->class_names[c] : ftso_format(b->arena, "%zu", c);
    b->artefact.transform = b->source->transform ? b->source->transform : "";
    b->artefact.name = b->source->name;
    b->artefact.genotype_hash = ftso_genotype_hash(b->arena, b->source->genotype);
    b->artefact.seal = &b->seal;
    b->artefact.codes = b->codes;
    b->artefact.code_count = b->code_count;
    b->artefact.states = states;
    b->artefact.channels = image.dim[1];
    b->artefact.height = image.dim[2];
    b->artefact.width = image.dim[3];
    b->artefact.classes = names;
    b->artefact.class_count = classes;
}

/* ---------------------------------------------------------------- files */

static ftso_status write_object(ftso_build_files *files, const ftso_object *object)
{
    const char *path = ftso_format(files->arena, "%s/%s.o", files->folder, object->name);
    files->objects[files->object_count++] = path;
    return ftso_scratch_write(path, object->bytes, object->size_bytes);
}

static ftso_status write_objects(build *b, ftso_build_files *files)
{
    const ftso_object *objects[MAX_CODES];
    size_t counts[MAX_CODES], total = 1;
    for (size_t i = 0; i < b->code_count; i++) {
        objects[i] = ftso_compiler_objects(b->compilers[i], b->arena, &counts[i]);
        total += counts[i];
    }
    files->objects = FTSO_ARRAY(b->arena, const char *, total);
    for (size_t i = 0; i < b->code_count; i++)
        for (size_t k = 0; k < counts[i]; k++) FTSO_TRY(write_object(files, &objects[i][k]));
    ftso_object data;
    FTSO_TRY(ftso_artefact_object(b->arena, &b->targets[0], &b->artefact, &data));
    return write_object(files, &data);
}

/* Puts the hash into the finished file's seal, and the file where it belongs. */
static ftso_status seal(build *b, const char *made)
{
    char *bytes;
    size_t size, at;
    FTSO_TRY(ftso_file_read(b->arena, made, MAX_ARTEFACT_BYTES, &bytes, &size));
    if (b->kind->is_code) return ftso_file_write_atomic(b->output, bytes, size);
    if (!ftso_seal_find(bytes, size, &at))
        return ftso_error(FTSO_ERROR_INTERNAL, "the linker dropped section %s", FTSO_SECTION_SEAL);
    uint64_t hash = ftso_seal_hash(bytes, size, at);
    memcpy(bytes + at + offsetof(ftso_seal, hash), &hash, sizeof(hash));
    struct stat info;
    if (stat(made, &info) < 0) return ftso_error(FTSO_ERROR_DATA, "'%s' is gone", made);
    FTSO_TRY(ftso_file_write_atomic(b->output, bytes, size));
    if (chmod(b->output, info.st_mode & 0777) < 0)
        return ftso_error(FTSO_ERROR_DATA, "'%s' cannot be made executable", b->output);
    return FTSO_STATUS_OK;
}

/* Whether the artefact is there, whole, and made from the same things. */
static bool is_there(const build *b)
{
    if (b->kind->finish && !ftso_file_exists(ftso_build_header_path(b->arena, b->options)))
        return false;
    ftso_arena arena;
    ftso_arena_init(&arena);
    char *bytes;
    size_t size, at;
    ftso_seal found;
    ftso_status status = ftso_file_read(&arena, b->output, MAX_ARTEFACT_BYTES, &bytes, &size);
    bool there = status.code == FTSO_OK && ftso_seal_find(bytes, size, &at);
    if (there) {
        memcpy(&found, bytes + at, sizeof(found));
        there = found.key == b->seal.key && found.hash == ftso_seal_hash(bytes, size, at);
    }
    ftso_arena_deinit(&arena);
    return there;
}

static ftso_status link_files(build *b)
{
    ftso_build_files files = {.arena = b->arena,
                              .options = b->options,
                              .artefact = &b->artefact,
                              .runtime = b->runtime,
                              .library = b->library,
                              .decoders = b->decoders,
                              .compilers = b->compilers};
    FTSO_TRY(ftso_scratch_new(b->arena, &files.folder));
    files.result = ftso_format(b->arena, "%s/result", files.folder);
    ftso_status status = FTSO_STATUS_OK;
    if (!b->kind->is_code) status = write_objects(b, &files);
    if (status.code == FTSO_OK) status = b->kind->link(&files);
    if (status.code == FTSO_OK && b->kind->finish) status = b->kind->finish(&files);
    if (status.code == FTSO_OK) status = seal(b, files.result);
    ftso_scratch_remove(files.folder);
    return status;
}

/* The network in all forms that the kind needs. */
static ftso_status lower(build *b)
{
    const ftso_build_source *source = b->source;
    b->reference = ftso_build_lower(b->input, source, 1);
    if (b->kind->trains) {
        FTSO_TRY(ftso_setup_lower(b->input, source->train, source->genotype, true, &b->setup));
        b->network = b->setup.judge_network;
    } else {
        b->network = ftso_build_lower(b->input, source, b->options->batch);
    }
    if (b->network && b->reference) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_USER, "the network could not be built; see above");
}

static ftso_status make(build *b, bool *out_fresh)
{
    FTSO_TRY(lower(b));
    ftso_graph_print(b->reference->graph, &b->graph_text);
    FTSO_TRY(choose_targets(b));
    FTSO_TRY(check_transform(b));
    FTSO_TRY(make_record(b));
    double start = ftso_clock_s();
    const ftso_pipeline *pipeline = &b->options->device.pipeline;
    if (!b->kind->is_code) {
        FTSO_TRY(make_key(b));
        *out_fresh = !is_there(b);
        if (!*out_fresh) return FTSO_STATUS_OK;
        FTSO_TRY(expect(b));
        ftso_pipeline_time(pipeline, "build", "reference", ftso_clock_s() - start);
    }
    FTSO_TRY(compile(b));
    start = ftso_clock_s();
    FTSO_TRY(deflate_graph(b));
    fill_artefact(b);
    FTSO_TRY(link_files(b));
    ftso_pipeline_time(pipeline, "build", "files", ftso_clock_s() - start);
    return FTSO_STATUS_OK;
}

ftso_status ftso_build_run(ftso_input *input, const ftso_build_source *source,
                           const ftso_build_options *options, bool *out_fresh)
{
    build b = {.input = input, .arena = &input->arena, .source = source, .options = options};
    b.kind = ftso_build_kind_find(options->kind);
    FTSO_ASSERT(b.kind && (options->prefix || !b.kind->needs_prefix));
    b.output = options->output;
    if (b.kind->place) {
        const char *percent = strstr(b.kind->place, "%s");
        b.output =
            ftso_format(b.arena, "%s/%.*s%s%s", options->output, (int)(percent - b.kind->place),
                        b.kind->place, options->prefix, percent + 2);
    }
    ftso_text_init(&b.graph_text);
    ftso_status status = make(&b, out_fresh);
    for (size_t i = 0; i < b.code_count; i++) ftso_compiler_free(b.compilers[i]);
    ftso_text_deinit(&b.graph_text);
    return status;
}
