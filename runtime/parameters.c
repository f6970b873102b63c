/*
 * The tensors of a flat state: where each lies, how each begins.
 *
 * In: a table of parameters, a seed or a file. Out: their numbers; files. Holds: element e of tensor k comes from
 * (seed, weights, k, e / 4), so the same numbers come out wherever a network is made.
 */
#include "runtime/parameters.h"

#include <math.h>
#include <string.h>

int64_t ftso_parameter_count(const ftso_parameter *parameter)
{
    int64_t count = 1;
    for (int d = 0; d < parameter->rank; d++) count *= parameter->dim[d];
    return count;
}

int64_t ftso_parameters_total(const ftso_parameter *table, size_t count)
{
    int64_t total = 0;
    for (size_t k = 0; k < count; k++) {
        int64_t end = table[k].offset + ftso_parameter_count(&table[k]);
        if (end > total) total = end;
    }
    return total;
}

/* Kernels U(-b, b) with b = 1/sqrt(fan_in); the rest its fill. */
void ftso_parameters_draw(const ftso_parameter *table, size_t count, uint64_t seed, float *out)
{
    for (size_t k = 0; k < count; k++) {
        const ftso_parameter *p = &table[k];
        int64_t numbers = ftso_parameter_count(p);
        double bound = p->fan_in > 0 ? 1 / sqrt((double)p->fan_in) : 0;
        ftso_random r = {{0}};
        for (int64_t e = 0; e < numbers; e++) {
            if (p->fan_in == 0) {
                out[p->offset + e] = (float)p->fill;
                continue;
            }
            if (e % 4 == 0) r = ftso_random_at(seed, FTSO_STREAM_WEIGHTS, k, (uint64_t)(e / 4));
            out[p->offset + e] = (float)((2 * ftso_random_uniform(r.word[e % 4]) - 1) * bound);
        }
    }
}

void ftso_parameters_sketch(const ftso_parameter *table, size_t count, const double *numbers,
                            double *out)
{
    enum { BITS = 32 };
    for (size_t k = 0; k < count; k++, out += FTSO_SKETCHES) {
        int64_t total = ftso_parameter_count(&table[k]);
        const double *at = numbers + table[k].offset;
        ftso_random r = {{0}};
        for (int s = 0; s < FTSO_SKETCHES; s++) out[s] = 0;
        for (int64_t e = 0; e < total; e++) {
            if (e % BITS == 0) r = ftso_random_at(0, FTSO_STREAM_WEIGHTS, k, (uint64_t)(e / BITS));
            for (int s = 0; s < FTSO_SKETCHES; s++)
                out[s] += (r.word[s] >> (e % BITS)) & 1 ? at[e] : -at[e];
        }
    }
}

/* ---------------------------------------------------------------- files */

static const char *name_of(const ftso_parameter *parameter, ftso_naming naming)
{
    return naming == FTSO_NAMES_OWN ? parameter->name : parameter->module;
}

static int rank_of(const ftso_parameter *parameter, ftso_naming naming)
{
    return naming == FTSO_NAMES_MODULES && parameter->is_matrix ? 2 : parameter->rank;
}

static ftso_safetensor view(const ftso_parameter *parameter, const float *state, ftso_naming naming)
{
    ftso_safetensor tensor = {.name = name_of(parameter, naming),
                              .dtype = FTSO_F32,
                              .rank = rank_of(parameter, naming),
                              .size_bytes = sizeof(float) * (size_t)ftso_parameter_count(parameter),
                              .data = state + parameter->offset};
    for (int d = 0; d < tensor.rank; d++) tensor.dim[d] = parameter->dim[d];
    return tensor;
}

ftso_status ftso_parameters_write(const char *path, const ftso_parameter_state *states,
                                  size_t state_count, ftso_naming naming,
                                  const ftso_metadata *metadata, size_t metadata_count)
{
    size_t all = 0;
    for (size_t s = 0; s < state_count; s++) all += states[s].count;
    ftso_safetensor *tensors = ftso_mem_alloc(all * sizeof(*tensors));
    if (!tensors) return ftso_error(FTSO_ERROR_LIMIT, "no memory to write '%s'", path);
    all = 0;
    for (size_t s = 0; s < state_count; s++)
        for (size_t k = 0; k < states[s].count; k++)
            tensors[all++] = view(&states[s].table[k], states[s].numbers, naming);
    ftso_status status = ftso_safetensors_write(path, tensors, all, metadata, metadata_count);
    ftso_mem_free(tensors);
    return status;
}

enum { MAX_DIFFERENCES = 5 };

/* A file held against tables. */
typedef struct comparison {
    const ftso_parameter_state *states;
    size_t state_count;
    const ftso_safetensors *file;
    ftso_naming naming;
    ftso_text why; /* the differences */
    int wrong;
} comparison;

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool ftso_parameter_is_auxiliary(const char *name)
{
    return begins(name, "auxiliary.") || begins(name, "auxiliary_head.");
}

/* Names that more of the file's tensors have. */
static ftso_naming naming_of(const comparison *c)
{
    size_t found[2] = {0, 0};
    for (size_t s = 0; s < c->state_count; s++)
        for (size_t k = 0; k < c->states[s].count; k++)
            for (ftso_naming n = FTSO_NAMES_OWN; n <= FTSO_NAMES_MODULES; n++)
                found[n] +=
                    ftso_safetensors_find(c->file, name_of(&c->states[s].table[k], n)) != NULL;
    return found[FTSO_NAMES_MODULES] > found[FTSO_NAMES_OWN] ? FTSO_NAMES_MODULES : FTSO_NAMES_OWN;
}

static void print_shape(ftso_text *out, int rank, const int64_t *dim)
{
    ftso_text_puts(out, "[");
    for (int d = 0; d < rank; d++)
        ftso_text_printf(out, "%s%lld", d ? ", " : "", (long long)dim[d]);
    ftso_text_puts(out, "]");
}

/* Holds one tensor against the file's and takes its numbers. */
static void take(comparison *c, const ftso_parameter *wanted, float *numbers)
{
    const char *name = name_of(wanted, c->naming);
    const ftso_safetensor *is = ftso_safetensors_find(c->file, name);
    int rank = rank_of(wanted, c->naming);
    if (!is && ftso_parameter_is_auxiliary(name)) return;
    if (!is) {
        ftso_text_printf(&c->why, "; '%s' is missing", name);
    } else if (is->dtype == FTSO_I64) {
        ftso_text_printf(&c->why, "; '%s' is of type %s", name, ftso_dtype_name(is->dtype));
    } else if (is->rank == rank &&
               memcmp(is->dim, wanted->dim, sizeof(int64_t) * (size_t)rank) == 0) {
        ftso_safetensor_floats(is, numbers + wanted->offset);
        return;
    } else {
        ftso_text_printf(&c->why, "; '%s' is ", name);
        print_shape(&c->why, is->rank, is->dim);
        ftso_text_puts(&c->why, ", wanted is ");
        print_shape(&c->why, rank, wanted->dim);
    }
    c->wrong++;
}

static bool is_known(const comparison *c, const char *name)
{
    for (size_t s = 0; s < c->state_count; s++)
        for (size_t k = 0; k < c->states[s].count; k++)
            if (strcmp(name_of(&c->states[s].table[k], c->naming), name) == 0) return true;
    return false;
}

static void compare(comparison *c)
{
    c->naming = naming_of(c);
    for (size_t s = 0; s < c->state_count; s++)
        for (size_t k = 0; k < c->states[s].count && c->wrong < MAX_DIFFERENCES; k++)
            take(c, &c->states[s].table[k], c->states[s].numbers);
    for (size_t i = 0; i < c->file->tensor_count && c->wrong < MAX_DIFFERENCES; i++) {
        const char *name = c->file->tensors[i].name;
        if (ftso_parameter_is_auxiliary(name) || ends(name, ".num_batches_tracked") ||
            is_known(c, name))
            continue;
        ftso_text_printf(&c->why, "; '%s' is one too many", name);
        c->wrong++;
    }
}

ftso_status ftso_parameters_take(const char *path, const ftso_safetensors *file,
                                 const ftso_parameter_state *states, size_t state_count,
                                 const char *genotype_hash)
{
    comparison c = {.states = states, .state_count = state_count, .file = file};
    ftso_text_init(&c.why);
    compare(&c);
    const char *hash = ftso_safetensors_metadata(file, FTSO_GENOTYPE_HASH);
    ftso_status status = FTSO_STATUS_OK;
    if (hash && genotype_hash && strcmp(hash, genotype_hash) != 0)
        status = ftso_error(FTSO_ERROR_DATA, "'%s' belongs to another genotype (%.16s, not %s)%s",
                            path, hash, genotype_hash, ftso_text_get(&c.why));
    else if (c.wrong)
        status = ftso_error(FTSO_ERROR_DATA, "'%s' holds weights of another network%s", path,
                            ftso_text_get(&c.why));
    ftso_text_deinit(&c.why);
    return status;
}

ftso_status ftso_parameters_read(const char *path, const ftso_parameter_state *states,
                                 size_t state_count, const char *genotype_hash)
{
    ftso_safetensors file;
    FTSO_TRY(ftso_safetensors_read(path, &file));
    ftso_status status = ftso_parameters_take(path, &file, states, state_count, genotype_hash);
    ftso_safetensors_deinit(&file);
    return status;
}

ftso_status ftso_weights_words_read(const char *path, const ftso_safetensors *file, int64_t classes,
                                    ftso_weights_words *out)
{
    ftso_transform ignored;
    int64_t count;
    const char *names = ftso_safetensors_metadata(file, FTSO_WEIGHTS_CLASSES);
    *out = (ftso_weights_words){ftso_safetensors_metadata(file, FTSO_WEIGHTS_TRANSFORM), NULL};
    if (out->transform)
        FTSO_TRY(ftso_annotate(ftso_transform_parse(out->transform, &ignored), "'%s'", path));
    if (!names) return FTSO_STATUS_OK;
    FTSO_TRY(ftso_annotate(ftso_class_names_parse(names, strlen(names), &out->class_names, &count),
                           "'%s'", path));
    if (count == classes) return FTSO_STATUS_OK;
    ftso_mem_free(out->class_names);
    out->class_names = NULL;
    return ftso_error(FTSO_ERROR_DATA, "'%s' names %lld classes, and the network tells %lld apart",
                      path, (long long)count, (long long)classes);
}
