/*
 * A network out of an artefact, made ready to run.
 *
 * In: the artefact's records, perhaps other weights. Out: logits. Holds: the weights inside are used where they lie, never
 * copied; after ftso_net_init nothing is allocated.
 */
#include "runtime/artefact.h"

#include <math.h>
#include <string.h>

ftso_status ftso_artefact_code_choose(const ftso_artefact *artefact, const char *cpu,
                                      const ftso_artefact_code **out)
{
    const ftso_artefact_code *tried = NULL;
    char missing[32] = "";
    *out = NULL;
    for (size_t i = 0; i < artefact->code_count && !*out; i++) {
        if (cpu && strcmp(artefact->codes[i].cpu, cpu) != 0) continue;
        tried = &artefact->codes[i];
        if (!ftso_cpu_missing(tried->features, missing, sizeof(missing))) *out = tried;
    }
    if (*out) return FTSO_STATUS_OK;
    if (!tried) return ftso_error(FTSO_ERROR_DEVICE, "there is no code for '%s' in here", cpu);
    return ftso_error(FTSO_ERROR_DEVICE,
                      "this processor has no %s, which code for %s needs; build with another --cpu",
                      missing, tried->cpu);
}

static ftso_status lend_states(ftso_net *net)
{
    for (size_t i = 0; i < net->artefact->state_count; i++) {
        const ftso_artefact_state *state = &net->artefact->states[i];
        FTSO_TRY(ftso_states_lend(net->states, state->name, state->data, state->size_bytes));
    }
    return FTSO_STATUS_OK;
}

/* The same states with other content. */
static ftso_status take_states(ftso_net *net, const ftso_net_options *options)
{
    enum { MAX_STATES = 8 };
    ftso_parameter_state rows[MAX_STATES];
    const ftso_artefact *a = net->artefact;
    FTSO_ASSERT(a->state_count <= MAX_STATES);
    for (size_t i = 0; i < a->state_count; i++) {
        rows[i] = (ftso_parameter_state){a->states[i].table, a->states[i].table_count, NULL};
        FTSO_TRY(ftso_states_get(net->states, a->states[i].name, a->states[i].size_bytes,
                                 &rows[i].numbers));
    }
    return ftso_parameters_take(options->weights_path, options->weights, rows, a->state_count,
                                a->genotype_hash);
}

static ftso_status take_words(ftso_net *net, const ftso_net_options *options)
{
    ftso_weights_words words;
    FTSO_TRY(ftso_weights_words_read(options->weights_path, options->weights,
                                     (int64_t)net->artefact->class_count, &words));
    if (words.class_names) net->classes = net->own_classes = words.class_names;
    if (!words.transform) return FTSO_STATUS_OK;
    size_t length = strlen(words.transform) + 1;
    net->own_transform = ftso_mem_alloc(length);
    if (!net->own_transform) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a transform");
    net->transform = memcpy(net->own_transform, words.transform, length);
    return FTSO_STATUS_OK;
}

static ftso_status make(ftso_net *net, const ftso_net_options *options)
{
    FTSO_TRY(ftso_artefact_code_choose(net->artefact, options->cpu, &net->code));
    FTSO_TRY(ftso_pool_new(options->threads, options->pin, &net->pool));
    FTSO_TRY(ftso_states_new(&net->states));
    FTSO_TRY(options->weights ? take_states(net, options) : lend_states(net));
    if (options->weights) FTSO_TRY(take_words(net, options));
    return ftso_runner_new(net->code->program, net->pool, net->states, &net->runner);
}

ftso_status ftso_net_init(ftso_net *net, const ftso_artefact *artefact,
                          const ftso_net_options *options)
{
    *net = (ftso_net){
        .artefact = artefact, .transform = artefact->transform, .classes = artefact->classes};
    ftso_status status = make(net, options);
    if (status.code != FTSO_OK) ftso_net_deinit(net);
    return status;
}

void ftso_net_deinit(ftso_net *net)
{
    ftso_runner_free(net->runner);
    ftso_states_free(net->states);
    ftso_pool_free(net->pool);
    ftso_mem_free(net->own_transform);
    ftso_mem_free(net->own_classes);
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
