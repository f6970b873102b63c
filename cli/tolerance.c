/*
 * How far right code may be from the reference: what rounding in float32 does to this network, on this image.
 *
 * In: two interpreters with the same weights and image. Out: the exact results, and the distance that is allowed. Holds: no
 * generated code has a part in it; the same graph and numbers give the same tolerance.
 */
#include "cli/build.h"

#include <math.h>
#include <pthread.h>

/* A right program rounds in another order than the disturbed run, which is one of many: this often its distance is allowed. */
static const double allowance = 4;

/*
 * What roundings add up to where none is amplified: every operation adds an error of up to 2^-24, at random. It also holds where
 * the disturbed run ends close to the exact one by chance.
 */
static double without_gain(const ftso_graph *graph)
{
    double operations = 0;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (node->op->op_class != FTSO_CLASS_LEAF)
            operations += (double)ftso_node_cost(graph, (ftso_value)v).flops /
                          (double)ftso_shape_count(node->shape);
    }
    return 0x1p-24 * sqrt(operations / 3);
}

typedef struct run {
    ftso_interp *interp;
    ftso_status status;
} run;

static void *run_one(void *argument)
{
    run *r = argument;
    r->status = ftso_interp_run(r->interp, 1);
    return NULL;
}

ftso_status ftso_build_reference(ftso_interp *exact, ftso_interp *disturbed,
                                 const ftso_graph *graph, ftso_value logits, double *out_logits,
                                 double *out_tolerance)
{
    pthread_t thread;
    run right = {.interp = exact}, other = {.interp = disturbed};
    ftso_interp_disturb(disturbed, 1);
    bool beside = pthread_create(&thread, NULL, run_one, &other) == 0;
    run_one(&right);
    if (beside)
        pthread_join(thread, NULL);
    else
        run_one(&other);
    FTSO_TRY(right.status);
    FTSO_TRY(other.status);
    const ftso_tensor *a = ftso_interp_get(exact, logits), *b = ftso_interp_get(disturbed, logits);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < ftso_shape_count(a->shape); i++) {
        out_logits[i] = a->data[i];
        difference += (b->data[i] - a->data[i]) * (b->data[i] - a->data[i]);
        norm += a->data[i] * a->data[i];
    }
    double grown = norm > 0 ? allowance * sqrt(difference / norm) : 0;
    *out_tolerance = fmax(grown, without_gain(graph));
    return FTSO_STATUS_OK;
}
