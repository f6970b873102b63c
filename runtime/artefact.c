/*
 * A network out of an artefact, made ready to run.
 *
 * In: the artefact's records. Out: logits. Holds: weights are used where they lie, never copied; after ftso_net_init
 * nothing is allocated.
 */
#include "runtime/artefact.h"

#include <math.h>
#include <string.h>

static ftso_status choose_code(ftso_net *net, const char *cpu)
{
    const ftso_artefact *artefact = net->artefact;
    const ftso_artefact_code *tried = NULL;
    char missing[32] = "";
    for (size_t i = 0; i < artefact->code_count && !net->code; i++) {
        if (cpu && strcmp(artefact->codes[i].cpu, cpu) != 0) continue;
        tried = &artefact->codes[i];
        if (!ftso_cpu_missing(tried->features, missing, sizeof(missing))) net->code = tried;
    }
    if (net->code) return FTSO_STATUS_OK;
    if (!tried) return ftso_error(FTSO_ERROR_DEVICE, "there is no code for '%s' in here", cpu);
    return ftso_error(FTSO_ERROR_DEVICE,
                      "this processor has no %s, which code for %s needs; build with another --cpu",
                      missing, tried->cpu);
}

static ftso_status make(ftso_net *net, const char *cpu, int threads, bool pin)
{
    FTSO_TRY(choose_code(net, cpu));
    FTSO_TRY(ftso_pool_new(threads, pin, &net->pool));
    FTSO_TRY(ftso_states_new(&net->states));
    for (size_t i = 0; i < net->artefact->state_count; i++) {
        const ftso_artefact_state *state = &net->artefact->states[i];
        FTSO_TRY(ftso_states_lend(net->states, state->name, state->data, state->size_bytes));
    }
    return ftso_runner_new(net->code->program, net->pool, net->states, &net->runner);
}

ftso_status ftso_net_init(ftso_net *net, const ftso_artefact *artefact, const char *cpu,
                          int threads, bool pin)
{
    *net = (ftso_net){.artefact = artefact};
    ftso_status status = make(net, cpu, threads, pin);
    if (status.code != FTSO_OK) ftso_net_deinit(net);
    return status;
}

void ftso_net_deinit(ftso_net *net)
{
    ftso_runner_free(net->runner);
    ftso_states_free(net->states);
    ftso_pool_free(net->pool);
    *net = (ftso_net){0};
}

void ftso_net_run(ftso_net *net, const float *images, int64_t count, float *out_logits)
{
    const ftso_artefact *a = net->artefact;
    int64_t most = net->code->program->planned_batch;
    int64_t pixels = a->channels * a->height * a->width;
    while (count > 0) {
        int64_t batch = count < most ? count : most;
        ftso_runner_write(net->runner, "image", images, batch);
        ftso_runner_run(net->runner, batch, NULL);
        ftso_runner_read(net->runner, "logits", out_logits, batch);
        images += batch * pixels;
        out_logits += batch * (int64_t)a->class_count;
        count -= batch;
    }
}

ftso_self_test ftso_net_self_test(ftso_net *net, float *logits)
{
    const ftso_artefact *a = net->artefact;
    ftso_self_test result = {0};
    double difference = 0, norm = 0;
    ftso_net_run(net, a->test_images, a->test_count, logits);
    for (size_t i = 0; i < a->test_logit_bytes / sizeof(double); i++) {
        double d = fabs((double)logits[i] - a->test_logits[i]);
        if (!(d <= result.largest)) result.largest = d;
        difference += d * d;
        norm += a->test_logits[i] * a->test_logits[i];
    }
    result.distance = difference > 0 ? sqrt(difference / norm) : difference;
    result.passed = result.distance <= a->test_tolerance; /* false for what is not a number */
    return result;
}
