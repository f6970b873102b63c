/*
 * What a trainer carries besides an executable: its recipe as data, and what the reference makes of one training step.
 *
 * In: a setup, weights, stored images. Out: an ftso_trainer. Holds: expected numbers come from the interpreter in double; what
 * the step does with them is ftso_trainer_self_test's (runtime/artefact_device.c), which must set the stage in the same way.
 */
#include "cli/build.h"
#include "cli/training.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- a step by the reference */

/* A state of the step: its numbers before it, what it changes. */
typedef struct state {
    const char *name;
    const ftso_parameter *table;
    size_t count;
    int64_t total;
    const double *old;
    double *exact, *disturbed; /* changes, in double and disturbed as its operations round */
} state;

enum { MAX_STATES = 8 };

typedef struct trial {
    ftso_arena *arena;
    const ftso_setup *setup;
    const ftso_network *network; /* training form at as many images as are stored */
    ftso_reference reference;    /* of its graph */
    ftso_interp *interp;
    double tolerance; /* relative: roundings without gain */
    const float *weights, *running, *images;
    int64_t count;
    state states[MAX_STATES]; /* weights, moments, running, as train.c has them */
    size_t state_count;
    double loss, disturbed_loss;
} trial;

int64_t ftso_build_trainer_images(const ftso_setup *setup)
{
    const ftso_recipe *recipe = &setup->recipe;
    int64_t least = recipe->least_batch > 2 ? recipe->least_batch : 2;
    return least < recipe->batch ? least : recipe->batch;
}

static ftso_status bind(const trial *t, const char *leaf, const double *numbers, int64_t count)
{
    /* one optimiser's input is another's not */
    return ftso_build_bind(t->interp, t->reference.graph, leaf, numbers, count);
}

static const double *filled(ftso_arena *arena, int64_t count, double value)
{
    double *numbers = FTSO_ARRAY(arena, double, (size_t)count + 1);
    for (int64_t i = 0; i < count; i++) numbers[i] = value;
    return numbers;
}

static ftso_status bind_inputs(const trial *t)
{
    const ftso_recipe *recipe = &t->setup->recipe;
    const ftso_network *n = t->network;
    int64_t pixels = ftso_shape_count(ftso_graph_shape(n->graph, n->image));
    int64_t paths = t->count * recipe->drop_count;
    double *labels = FTSO_ARRAY(t->arena, double, (size_t)t->count);
    for (int64_t i = 0; i < t->count; i++) labels[i] = (double)(i % recipe->classes);
    FTSO_TRY(bind(t, "image", ftso_build_wide(t->arena, t->images, pixels), pixels));
    FTSO_TRY(bind(t, "label", labels, t->count));
    if (paths) FTSO_TRY(bind(t, "drop_path", filled(t->arena, paths, 1), paths));
    FTSO_TRY(bind(t, "weights.lr", filled(t->arena, 1, 1), 1));
    FTSO_TRY(bind(t, "weights.adam1", filled(t->arena, 1, 1), 1));
    return bind(t, "weights.adam2", filled(t->arena, 1, 1), 1);
}

static void add_state(trial *t, const char *name, const ftso_parameter *table, size_t count,
                      const double *old)
{
    size_t total = (size_t)ftso_parameters_total(table, count);
    FTSO_ASSERT(t->state_count < MAX_STATES);
    t->states[t->state_count++] = (state){.name = name,
                                          .table = table,
                                          .count = count,
                                          .total = (int64_t)total,
                                          .old = old,
                                          .exact = FTSO_ARRAY(t->arena, double, total),
                                          .disturbed = FTSO_ARRAY(t->arena, double, total)};
}

static void list_states(trial *t, const double *moment_starts)
{
    const ftso_setup *setup = t->setup;
    add_state(t, "weights", setup->weights, setup->weight_count,
              ftso_build_wide(t->arena, t->weights, setup->weight_total));
    for (size_t i = 0; i < setup->moment_count; i++)
        add_state(t, setup->moments[i], setup->weights, setup->weight_count,
                  filled(t->arena, setup->weight_total, moment_starts[i]));
    if (setup->running_count)
        add_state(t, "running", setup->running, setup->running_count,
                  ftso_build_wide(t->arena, t->running, setup->running_total));
}

/* The step once, disturbed or not. */
static ftso_status run(trial *t, bool disturbed)
{
    for (size_t i = 0; i < t->state_count; i++)
        FTSO_TRY(bind(t, t->states[i].name, t->states[i].old, t->states[i].total));
    ftso_interp_disturb(t->interp, disturbed);
    FTSO_TRY(ftso_interp_run(t->interp, t->count));
    *(disturbed ? &t->disturbed_loss : &t->loss) =
        ftso_interp_get(t->interp, ftso_build_output(t->reference.graph, "loss"))->data[0];
    for (size_t i = 0; i < t->state_count; i++) {
        const state *s = &t->states[i];
        double *change = disturbed ? s->disturbed : s->exact;
        const ftso_tensor *new =
            ftso_interp_state(t->interp, ftso_graph_find(t->reference.graph, s->name));
        for (int64_t k = 0; k < s->total; k++) change[k] = new->data[k] - s->old[k];
    }
    return FTSO_STATUS_OK;
}

/* L2 norm of the numbers less the others, where there are such. */
static double norm(const double *numbers, const double *others, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = numbers[i] - (others ? others[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

/*
 * A learning rate, a power of two, by which the weights change about as much as they are: then float32 tells the change as well
 * as it can. The new weights are the old ones less the rate times something that the rate has no part in.
 */
static double rate_for(const state *weights)
{
    double change = norm(weights->exact, NULL, weights->total),
           size = norm(weights->old, NULL, weights->total);
    return change > 0 && size > 0 ? exp2(round(log2(size / change))) : 1;
}

/*
 * Rows of a state: the sketch of what the step changes of each tensor, times `scale`. Right code is as far from the reference as
 * float32 is: roundings without gain, and FTSO_BUILD_ALLOWANCE times the distance of the disturbed run, be it that of this tensor or
 * that of the whole state. In a deep network a rounding decides what passes a relu, and much hangs on it.
 */
static void make_rows(const trial *t, const state *s, double scale, ftso_step_row *row)
{
    double *sketch = FTSO_ARRAY(t->arena, double, s->count *FTSO_SKETCHES);
    double whole = norm(s->exact, NULL, s->total),
           whole_error = norm(s->exact, s->disturbed, s->total);
    ftso_parameters_sketch(s->table, s->count, s->exact, sketch);
    for (size_t k = 0; k < s->count; k++, row++) {
        int64_t own = ftso_parameter_count(&s->table[k]), at = s->table[k].offset;
        double part = norm(s->exact + at, NULL, own),
               error = norm(s->exact + at, s->disturbed + at, own),
               usual = whole > 0 ? part * whole_error / whole : 0;
        for (int i = 0; i < FTSO_SKETCHES; i++)
            row->numbers[i] = scale * sketch[k * FTSO_SKETCHES + (size_t)i];
        row->allowed =
            scale * (t->tolerance * (part + whole * sqrt((double)own / (double)s->total)) +
                     FTSO_BUILD_ALLOWANCE * (error > usual ? error : usual));
    }
}

static ftso_status expect(trial *t, ftso_trainer *out, ftso_step_row *row)
{
    FTSO_TRY(bind_inputs(t));
    list_states(t, out->moment_starts);
    FTSO_TRY(run(t, false));
    FTSO_TRY(run(t, true));
    out->test_rate = rate_for(&t->states[0]);
    *row++ = (ftso_step_row){{t->loss},
                             t->tolerance * fabs(t->loss) +
                                 FTSO_BUILD_ALLOWANCE * fabs(t->loss - t->disturbed_loss)};
    for (size_t i = 0; i < t->state_count; i++) {
        make_rows(t, &t->states[i], i == 0 ? out->test_rate : 1, row);
        row += t->states[i].count;
    }
    FTSO_ASSERT(row == out->test_step + out->test_step_count);
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- the record */

/* Adam's second moment begins at 1: divided by a root near 0, a gradient near 0 would say nothing but its sign. */
static const double *starts(ftso_arena *arena, const ftso_setup *setup)
{
    double *numbers = FTSO_ARRAY(arena, double, setup->moment_count + 1);
    for (size_t i = 0; i < setup->moment_count; i++)
        numbers[i] = strcmp(setup->moments[i], "weights.v") == 0;
    return numbers;
}

static const char *transform_text(ftso_arena *arena, const ftso_transform *transform)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_transform_print(transform, &text);
    const char *copy = ftso_strdup(arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return copy;
}

/* Everything but the rows, which are returned to be filled in. */
static ftso_step_row *fill(ftso_arena *arena, const ftso_setup *setup, ftso_trainer *out)
{
    const ftso_train *train = setup->train;
    size_t count = 1 + (1 + setup->moment_count) * setup->weight_count + setup->running_count;
    ftso_step_row *rows = FTSO_ARRAY(arena, ftso_step_row, count);
    *out = (ftso_trainer){.recipe_name = train->name,
                          .dataset = train->dataset->name,
                          .kind = train->dataset->kind,
                          .named = train->dataset->class_names != NULL,
                          .transform = transform_text(arena, &train->dataset->train),
                          .recipe = &setup->recipe,
                          .moments = setup->moments,
                          .moment_count = setup->moment_count,
                          .moment_starts = starts(arena, setup),
                          .moment_start_count = setup->moment_count,
                          .metadata = setup->metadata,
                          .metadata_count = setup->metadata_count,
                          .keep = train->checkpoint_keep,
                          .save_steps = train->checkpoint_steps,
                          .layout = setup->layout,
                          .step_hash = setup->step_hash,
                          .test_step = rows,
                          .test_step_count = count};
    return rows;
}

/* The training form at another batch than the recipe's. */
static ftso_network *lower(ftso_input *input, const ftso_setup *setup, int64_t batch)
{
    const ftso_train *train = setup->train;
    ftso_lower_options how = ftso_train_lower_options(train, false);
    how.batch = batch;
    ftso_network *network =
        ftso_lower_network(&input->arena, &input->diag, train->space, setup->genotype, &how);
    if (network) ftso_lower_step(network, &train->optimizer, false);
    return network;
}

ftso_status ftso_build_trainer(ftso_input *input, const ftso_setup *setup, const float *weights,
                               const float *running, const float *images, int64_t image_count,
                               ftso_trainer *out)
{
    ftso_step_row *rows = fill(&input->arena, setup, out);
    ftso_network *network = lower(input, setup, image_count);
    if (!network) return ftso_error(FTSO_ERROR_USER, "the network could not be built; see above");
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    trial t = {.arena = &scratch,
               .setup = setup,
               .network = network,
               .weights = weights,
               .running = running,
               .images = images,
               .count = image_count};
    const ftso_pipeline road = ftso_pipeline_default();
    ftso_status status = ftso_pipeline_reference(&road, &scratch, network->graph, &t.reference);
    if (status.code == FTSO_OK) status = ftso_reference_interp(&t.reference, &t.interp);
    if (status.code == FTSO_OK) {
        t.tolerance = ftso_build_without_gain(&t.reference);
        status = expect(&t, out, rows);
    }
    ftso_interp_free(t.interp);
    ftso_arena_deinit(&scratch);
    return status;
}

void ftso_build_trainer_describe(const ftso_setup *setup, cJSON *record)
{
    static const char *const rates[] = {"constant", "cosine", "linear", "exponential"};
    const ftso_recipe *r = &setup->recipe;
    const ftso_train *train = setup->train;
    ftso_arena arena;
    ftso_arena_init(&arena);
    char digits[24];
    cJSON *object = cJSON_AddObjectToObject(record, "training");
    cJSON_AddStringToObject(object, "recipe", train->name);
    cJSON_AddStringToObject(object, "kind", train->dataset->kind);
    cJSON_AddStringToObject(object, "transform", transform_text(&arena, &train->dataset->train));
    cJSON_AddNumberToObject(object, "batch", (double)r->batch);
    cJSON_AddNumberToObject(object, "epochs", (double)r->epochs);
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)r->seed);
    cJSON_AddStringToObject(object, "seed", digits);
    cJSON *lr = cJSON_AddObjectToObject(object, "lr");
    cJSON_AddStringToObject(lr, "schedule", rates[r->rate.kind]);
    cJSON_AddNumberToObject(lr, "first", r->rate.first);
    cJSON_AddNumberToObject(lr, "last", r->rate.last);
    cJSON_AddNumberToObject(lr, "warmup", (double)r->rate.warmup);
    cJSON_AddNumberToObject(lr, "tail", (double)r->rate.tail);
    cJSON_AddNumberToObject(object, "drop_path", r->drop_path);
    cJSON_AddNumberToObject(object, "checkpoint_keep", (double)train->checkpoint_keep);
    cJSON_AddNumberToObject(object, "checkpoint_steps", (double)train->checkpoint_steps);
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)setup->step_hash);
    cJSON_AddStringToObject(object, "step_hash", digits);
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)setup->layout);
    cJSON_AddStringToObject(object, "layout", digits);
    ftso_arena_deinit(&arena);
}
