/*
 * The log of a search: one JSON object per event, and the readings that both log and report state.
 *
 * In: what happened. Out: lines of the log. Holds: seeds are strings (they have 64 bits); a number that is not finite is
 * null; float32 numbers have nine digits, which read back as the same float32.
 */
#include "search_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_real(ftso_text *text, double value)
{
    char digits[32];
    if (!isfinite(value)) {
        ftso_text_puts(text, "null");
        return;
    }
    ftso_double_print(value, digits);
    ftso_text_puts(text, digits);
}

/* Nine significant digits without trailing zeros: by way of the shortest form, which knows no locale. */
static void put_float(ftso_text *text, float value)
{
    double rounded = (double)value;
    if (isfinite(rounded) && rounded != 0) {
        double scale = pow(10, 8 - floor(log10(fabs(rounded))));
        if (isfinite(scale) && scale > 0 && isfinite(rounded * scale))
            rounded = round(rounded * scale) / scale;
        if ((float)rounded != value) rounded = (double)value;
    }
    put_real(text, rounded);
}

static void put_string(ftso_text *text, const char *string)
{
    ftso_text_puts(text, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            ftso_text_printf(text, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            ftso_text_printf(text, "\\u%04x", (unsigned)(unsigned char)*c);
        else
            ftso_text_append(text, c, 1);
    }
    ftso_text_puts(text, "\"");
}

static void put_doubles(ftso_text *text, const char *name, const double *values, int64_t count)
{
    ftso_text_printf(text, ",\"%s\":[", name);
    for (int64_t i = 0; i < count; i++) {
        if (i) ftso_text_puts(text, ",");
        put_float(text, (float)values[i]);
    }
    ftso_text_puts(text, "]");
}

static ftso_status send(const ftso_search_job *job, ftso_text *text)
{
    ftso_status status = text->failed
                             ? ftso_error(FTSO_ERROR_LIMIT, "no memory for an event of the log")
                             : ftso_log_write(job->options->log, ftso_text_get(text));
    ftso_text_deinit(text);
    return status;
}

/* ---------------------------------------------------------------- readings */

static const char *edge_weights(ftso_arena *arena, const ftso_search *search)
{
    (void)arena;
    return search->normalize == FTSO_NORMALIZE_RAW ? "raw" : "softmax over each node's edges";
}

static const char *operators(ftso_arena *arena, const ftso_search *search)
{
    const char *text = "";
    for (size_t i = 0; i < search->topology_ops->operator_count; i++)
        text = ftso_format(arena, "%s%s%s", text, i ? ", " : "",
                           search->topology_ops->operators[i]->name);
    return ftso_format(arena, "%s on every edge; %s on every kept edge", text,
                       search->replace->name);
}

/* The space's constants (K of partial channels, …) as the search has them. */
static const char *constants(ftso_arena *arena, const ftso_search *search)
{
    const char *text = "";
    for (size_t i = 0; i < search->space->constant_count; i++) {
        const ftso_arg *constant = &search->space->constants[i];
        for (size_t k = 0; k < search->parameter_count; k++)
            if (strcmp(search->parameters[k].name, constant->name) == 0)
                constant = &search->parameters[k];
        bool literal = constant->value->kind == FTSO_ARITH_NUMBER;
        const char *value =
            literal ? ftso_format(arena, "%g", constant->value->value) : "(an expression)";
        text = ftso_format(arena, "%s%s%s = %s", text, i ? ", " : "", constant->name, value);
    }
    return *text ? text : "none";
}

static const char *initial(ftso_arena *arena, const ftso_search *search)
{
    char digits[32];
    ftso_double_print(search->init_std, digits);
    return ftso_format(
        arena, "edge weights %s * N(0, 1); kernels U(-b, b), b = 1/sqrt(fan-in, by group)", digits);
}

static const char *halves(ftso_arena *arena, const ftso_search *search)
{
    return ftso_format(arena, "the first %g %% train weights, the rest, %s, drives edge weights",
                       100 * search->train_portion,
                       search->augment_valid ? "augmented alike" : "not augmented");
}

static const char *order(ftso_arena *arena, const ftso_search *search)
{
    (void)arena;
    (void)search;
    return "edge weights first, then weights, in every iteration; first order";
}

static const char *budget(ftso_arena *arena, const ftso_search *search)
{
    const char *unit = search->budget_unit == FTSO_EPOCHS ? "epoch" : "iteration";
    return ftso_format(arena, "%lld %s%s at batch %lld; the last batch of an epoch is kept",
                       (long long)search->budget, unit, search->budget == 1 ? "" : "s",
                       (long long)search->batch);
}

static const char *ties(ftso_arena *arena, const ftso_search *search)
{
    (void)arena;
    (void)search;
    return "descending weight; equal weights by ascending source";
}

static const char *val_loss(ftso_arena *arena, const ftso_search *search)
{
    if (search->seed_count < 2 && !search->select_best) return "not measured (one seed)";
    return ftso_format(arena,
                       "loss on the second part's first 2048 images (or all), not augmented; "
                       "chosen: the %s seed",
                       search->select_best ? "best" : "first");
}

typedef struct reading {
    const char *name;
    bool trains; /* says nothing where a method trains nothing */
    const char *(*words)(ftso_arena *arena, const ftso_search *search);
} reading;

static const reading readings[] = {
    {"edge weights", true, edge_weights},
    {"operators", false, operators},
    {"constants", false, constants},
    {"initial values", true, initial},
    {"images", true, halves},
    {"order", true, order},
    {"budget", true, budget},
    {"selection", false, ties},
    {"val_loss", true, val_loss},
};

size_t ftso_reading_count(void)
{
    return FTSO_COUNT(readings);
}

const char *ftso_reading(ftso_arena *arena, const ftso_search *search, size_t number,
                         const char **out_name)
{
    FTSO_ASSERT(number < FTSO_COUNT(readings));
    const ftso_method *method = ftso_method_find(search->method);
    *out_name = readings[number].name;
    if (readings[number].trains && method && !method->open) return NULL;
    return readings[number].words(arena, search);
}

/* ---------------------------------------------------------------- events */

ftso_status ftso_event_start(const ftso_search_job *job)
{
    if (!job->options->log) return FTSO_STATUS_OK;
    const ftso_search *search = job->search;
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_puts(&text, "{\"event\":\"start\",\"search\":");
    put_string(&text, search->name);
    ftso_text_puts(&text, ",\"space\":");
    put_string(&text, search->space->name);
    ftso_text_puts(&text, ",\"method\":");
    put_string(&text, search->method);
    ftso_text_puts(&text, ",\"device\":");
    put_string(&text, job->device ? job->device->name : "none");
    ftso_text_puts(&text, ",\"readings\":{");
    ftso_arena arena;
    ftso_arena_init(&arena);
    for (size_t i = 0; i < FTSO_COUNT(readings); i++) {
        const char *name, *words = ftso_reading(&arena, search, i, &name);
        if (!words) continue;
        put_string(&text, name);
        ftso_text_puts(&text, ":");
        put_string(&text, words);
        ftso_text_puts(&text, ",");
    }
    ftso_arena_deinit(&arena);
    ftso_text_printf(&text, "\"ftso\":\"%s\"},\"edges\":{", FTSO_VERSION);
    for (size_t i = 0; i < job->network->arch_slice_count; i++) {
        const ftso_arch_slice *slice = &job->network->arch_slices[i];
        if (i) ftso_text_puts(&text, ",");
        put_string(&text, slice->cell->name);
        ftso_text_puts(&text, ":[");
        for (int64_t e = 0; e < slice->edge_count; e++)
            ftso_text_printf(&text, "%s[%d,%d]", e ? "," : "", slice->edge_from[e],
                             slice->edge_node[e]);
        ftso_text_puts(&text, "]");
    }
    ftso_text_puts(&text, "}}");
    return send(job, &text);
}

ftso_status ftso_event_iteration(const ftso_search_job *job, uint64_t seed, int64_t iteration,
                                 double arch_loss, double train_loss, const float *arch,
                                 int64_t count)
{
    if (!job->options->log) return FTSO_STATUS_OK;
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text,
                     "{\"event\":\"iteration\",\"seed\":\"%" PRIu64 "\",\"iteration\":%" PRId64
                     ",\"arch_loss\":",
                     seed, iteration);
    put_float(&text, (float)arch_loss);
    ftso_text_puts(&text, ",\"train_loss\":");
    put_float(&text, (float)train_loss);
    ftso_text_puts(&text, ",\"arch\":[");
    for (int64_t i = 0; i < count; i++) {
        if (i) ftso_text_puts(&text, ",");
        put_float(&text, arch[i]);
    }
    ftso_text_puts(&text, "]}");
    return send(job, &text);
}

ftso_status ftso_event_seed(const ftso_search_job *job, const ftso_found *found)
{
    if (!job->options->log) return FTSO_STATUS_OK;
    ftso_text text, genotype;
    ftso_text_init(&text);
    ftso_text_init(&genotype);
    ftso_text_printf(&text,
                     "{\"event\":\"seed\",\"seed\":\"%" PRIu64 "\",\"iterations\":%" PRId64
                     ",\"seconds\":%.3f,\"val_loss\":",
                     found->seed, found->iterations, found->seconds);
    put_real(&text, found->val_loss);
    put_doubles(&text, "beta_start", found->beta_start, found->beta_count);
    put_doubles(&text, "beta", found->beta, found->beta_count);
    ftso_genotype_print_darts(&found->genotype, &genotype);
    ftso_text_puts(&text, ",\"genotype\":");
    put_string(&text, ftso_text_get(&genotype));
    ftso_text_puts(&text, "}");
    ftso_text_deinit(&genotype);
    return send(job, &text);
}

ftso_status ftso_event_end(const ftso_search_job *job, const ftso_search_result *result)
{
    if (!job->options->log) return FTSO_STATUS_OK;
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "{\"event\":\"end\",\"seeds\":%zu,\"chosen\":%zu}", result->found_count,
                     result->chosen);
    return send(job, &text);
}
