/*
 * How far right code may be from the reference: what rounding in float32 does to this network, on these images.
 *
 * In: two interpreters with the same weights and images. Out: the exact results, and the distance that is allowed. Holds: no
 * generated code has a part in it; the same graph and numbers give the same tolerance.
 */
#include "cli/build.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { MOST_RUNS = 3 };

/*
 * What roundings add up to where none is amplified: every operation adds an error of up to 2^-24, at random. Of an image that is
 * stored as bf16 one number in a thousand lies so near the middle of two that it falls to the other side. It also holds where
 * the disturbed run ends close to the exact one by chance.
 */
double ftso_build_without_gain(const ftso_reference *reference)
{
    const ftso_graph *graph = reference->graph;
    const double last_bit = 0x1p-8, near = 1e-3;
    double operations = 0, fallen = 0;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (node->op->op_class != FTSO_CLASS_LEAF)
            operations += (double)ftso_node_cost(graph, (ftso_value)v).flops /
                          (double)ftso_shape_count(node->shape);
        if (reference->elements && reference->elements[v] == FTSO_ELEMENT_BF16)
            fallen += near * last_bit * last_bit;
    }
    return 0x1p-24 * sqrt(operations / 3) + sqrt(fallen);
}

/* Of how many disturbed runs: a few numbers may end close to the exact ones by chance. */
static int run_count(int64_t numbers)
{
    enum { FEW = 4 };
    return numbers < FEW ? MOST_RUNS : 1;
}

typedef struct disturbed_runs {
    ftso_interp *interp;
    ftso_value logits;
    int count;
    double *out; /* results, run after run */
    ftso_status status;
} disturbed_runs;

static void *run_disturbed(void *argument)
{
    disturbed_runs *r = argument;
    for (int i = 0; i < r->count && r->status.code == FTSO_OK; i++) {
        ftso_interp_disturb(r->interp, (uint64_t)i + 1);
        r->status = ftso_interp_run(r->interp, 1);
        const ftso_tensor *got = ftso_interp_get(r->interp, r->logits);
        size_t numbers = (size_t)ftso_shape_count(got->shape);
        memcpy(r->out + (size_t)i * numbers, got->data, numbers * sizeof(double));
    }
    return NULL;
}

ftso_status ftso_build_reference(ftso_interp *exact, ftso_interp *disturbed,
                                 const ftso_reference *reference, double *out_logits,
                                 ftso_growth *growth)
{
    const ftso_graph *graph = reference->graph;
    const ftso_value logits = ftso_build_output(graph, "logits");
    int64_t numbers = ftso_shape_count(ftso_graph_shape(graph, logits));
    disturbed_runs runs = {.interp = disturbed, .logits = logits, .count = run_count(numbers)};
    runs.out = ftso_mem_alloc((size_t)(numbers * runs.count) * sizeof(double));
    if (!runs.out) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the reference's results");
    pthread_t thread;
    bool beside = pthread_create(&thread, NULL, run_disturbed, &runs) == 0;
    ftso_status status = ftso_interp_run(exact, 1);
    if (beside)
        pthread_join(thread, NULL);
    else
        run_disturbed(&runs);
    if (status.code == FTSO_OK) status = runs.status;
    const double *right = ftso_interp_get(exact, logits)->data;
    for (int64_t i = 0; i < numbers; i++) {
        out_logits[i] = right[i];
        growth->norm += right[i] * right[i];
        for (int k = 0; k < runs.count; k++) {
            double d = runs.out[k * numbers + i] - right[i];
            growth->difference += d * d / runs.count;
        }
    }
    ftso_mem_free(runs.out);
    return status;
}

double ftso_build_tolerance(const ftso_reference *reference, const ftso_growth *growth)
{
    double grown =
        growth->norm > 0 ? FTSO_BUILD_ALLOWANCE * sqrt(growth->difference / growth->norm) : 0;
    return fmax(grown, ftso_build_without_gain(reference));
}
