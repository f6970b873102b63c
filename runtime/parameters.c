/*
 * The tensors of a flat state: where each lies, how each begins.
 *
 * In: a table of parameters, a seed. Out: their initial numbers; views of them. Holds: element e of tensor k comes from
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

ftso_safetensor ftso_parameter_tensor(const ftso_parameter *parameter, const float *state)
{
    ftso_safetensor tensor = {.name = parameter->name,
                              .dtype = FTSO_F32,
                              .rank = parameter->rank,
                              .size_bytes = sizeof(float) * (size_t)ftso_parameter_count(parameter),
                              .data = state + parameter->offset};
    for (int d = 0; d < parameter->rank; d++) tensor.dim[d] = parameter->dim[d];
    return tensor;
}

/* ---------------------------------------------------------------- from a file */

enum { MAX_DIFFERENCES = 5 };

static void print_shape(ftso_text *out, int rank, const int64_t *dim)
{
    ftso_text_puts(out, "[");
    for (int d = 0; d < rank; d++)
        ftso_text_printf(out, "%s%lld", d ? ", " : "", (long long)dim[d]);
    ftso_text_puts(out, "]");
}

/* Adds what is wrong with one tensor of the file; false where nothing is. */
static bool differs(const ftso_parameter *wanted, const ftso_safetensor *is, ftso_text *why)
{
    if (!is) {
        ftso_text_printf(why, "; '%s' is missing", wanted->name);
        return true;
    }
    if (is->rank == wanted->rank &&
        memcmp(is->dim, wanted->dim, sizeof(int64_t) * (size_t)is->rank) == 0)
        return false;
    ftso_text_printf(why, "; '%s' is ", wanted->name);
    print_shape(why, is->rank, is->dim);
    ftso_text_puts(why, ", wanted is ");
    print_shape(why, wanted->rank, wanted->dim);
    return true;
}

static bool is_known(const char *name, const ftso_parameter *const *tables, const size_t *counts,
                     size_t state_count)
{
    for (size_t s = 0; s < state_count; s++)
        for (size_t k = 0; k < counts[s]; k++)
            if (strcmp(tables[s][k].name, name) == 0) return true;
    return false;
}

ftso_status ftso_parameters_read(const char *path, const ftso_parameter *const *tables,
                                 const size_t *counts, float *const *states, size_t state_count)
{
    ftso_safetensors file;
    FTSO_TRY(ftso_safetensors_read(path, &file));
    ftso_text why;
    ftso_text_init(&why);
    int wrong = 0;
    for (size_t s = 0; s < state_count; s++)
        for (size_t k = 0; k < counts[s] && wrong < MAX_DIFFERENCES; k++) {
            const ftso_parameter *p = &tables[s][k];
            const ftso_safetensor *tensor = ftso_safetensors_find(&file, p->name);
            bool bad = differs(p, tensor, &why);
            wrong += bad;
            if (!bad) ftso_safetensor_floats(tensor, states[s] + p->offset);
        }
    for (size_t i = 0; i < file.tensor_count && wrong < MAX_DIFFERENCES; i++)
        if (!is_known(file.tensors[i].name, tables, counts, state_count)) {
            ftso_text_printf(&why, "; '%s' is one too many", file.tensors[i].name);
            wrong++;
        }
    ftso_status status = FTSO_STATUS_OK;
    if (wrong)
        status = ftso_error(FTSO_ERROR_DATA, "'%s' holds weights of another network%s", path,
                            ftso_text_get(&why));
    ftso_text_deinit(&why);
    ftso_safetensors_deinit(&file);
    return status;
}
