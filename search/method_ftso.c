/*
 * The topology phase of FTSO: edge weights and weights trained in turn on a super-net with few operators (Algorithm 1).
 *
 * In: the job's space, images, device. Out: one seed's edge weights and losses. Holds: an iteration is one step on `arch`
 * with a batch of the validation half, then one on `weights` with a batch of the training half. Both are graphs of their
 * own over the same states; everything by chance comes from the seed's streams. Start reading at `run`.
 */
#include "search_internal.h"

#include <math.h>
#include <string.h>

/* At most so many images of the validation half measure val_loss. */
enum { MEASURE_IMAGES = 2048 };

/* A step graph on the device. */
typedef struct loaded {
    const char *label;
    const ftso_network *network;
    ftso_step *step;
} loaded;

typedef struct topology {
    loaded arch, weights, plain; /* plain: forward only, for val_loss */
    ftso_feed feed;
    int64_t iterations, epochs; /* per seed; length of the learning rates' schedule */
    int64_t measure_count;
    float *numbers; /* room for the largest state */
    float *arch_now;
} topology;

/* ---------------------------------------------------------------- loading */

static ftso_status load(ftso_search_job *job, loaded *out, const char *label,
                        const ftso_network *network)
{
    out->label = label;
    out->network = network;
    ftso_status status = job->device->load(job->device->self, label, network->graph, &out->step);
    return ftso_annotate(status, "step '%s'", label);
}

static ftso_status load_step(ftso_search_job *job, loaded *out, bool of_arch)
{
    const ftso_search *search = job->search;
    ftso_network *network;
    FTSO_TRY(ftso_search_lower(job, &network));
    ftso_lower_step(network, of_arch ? &search->arch : &search->weights, of_arch);
    return load(job, out, of_arch ? "arch" : "weights", network);
}

static int64_t ceiling(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* Batch norm cannot train on one value: the epoch's last batch must not be that small. */
static ftso_status check_last_batch(const ftso_search_job *job, const topology *t)
{
    int64_t last = t->feed.train_count - (t->feed.per_epoch - 1) * t->feed.batch;
    int64_t least = ftso_graph_min_batch(t->weights.network->graph);
    int64_t smallest = t->iterations < t->feed.per_epoch ? job->search->batch : last;
    if (smallest >= least) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_USER,
                      "the last batch of an epoch has %lld image(s), and a batch norm that sees "
                      "one pixel per image needs %lld: change `batch` or `split`",
                      (long long)smallest, (long long)least);
}

static int64_t largest_state(const loaded *step)
{
    int64_t largest = 0;
    const ftso_graph *graph = step->network->graph;
    for (size_t i = 0; i < graph->node_count; i++)
        if (ftso_node_is(&graph->nodes[i], "state") &&
            ftso_shape_count(graph->nodes[i].shape) > largest)
            largest = ftso_shape_count(graph->nodes[i].shape);
    return largest;
}

/* What the steps will take, before any of them is given memory. Not in the log: it depends on the threads. */
static void say_memory(const ftso_search_job *job)
{
    const ftso_device *device = job->device;
    if (!device->bytes || !job->options->progress_out ||
        job->options->progress == FTSO_PROGRESS_NONE)
        return;
    fprintf(job->options->progress_out, "memory  %.1f MiB planned\n",
            (double)device->bytes(device->self) / (1 << 20));
}

static ftso_status open_topology(ftso_search_job *job)
{
    topology *t = FTSO_NEW(&job->work, topology);
    job->self = t;
    const ftso_search *search = job->search;
    FTSO_TRY(ftso_feed_init(&t->feed, &job->work, search, job->images,
                            job->device->pool(job->device->self)));
    t->iterations =
        search->budget_unit == FTSO_EPOCHS ? search->budget * t->feed.per_epoch : search->budget;
    t->feed.iterations = t->iterations;
    t->epochs = search->schedule_epochs ? search->schedule_epochs
                                        : ceiling(t->iterations, t->feed.per_epoch);
    t->measure_count = t->feed.valid_count < MEASURE_IMAGES ? t->feed.valid_count : MEASURE_IMAGES;
    FTSO_TRY(load_step(job, &t->arch, true));
    FTSO_TRY(load_step(job, &t->weights, false));
    if (job->measures) FTSO_TRY(load(job, &t->plain, "val_loss", job->network));
    FTSO_TRY(check_last_batch(job, t));
    say_memory(job);
    int64_t room = largest_state(&t->weights), other = largest_state(&t->arch);
    t->numbers = FTSO_ARRAY(&job->work, float, (size_t)(room > other ? room : other));
    t->arch_now = FTSO_ARRAY(&job->work, float, (size_t)job->network->arch_total);
    ftso_progress_start(&job->progress, job->options->progress_out, job->options->progress,
                        "search", t->iterations * (int64_t)search->seed_count);
    return FTSO_STATUS_OK;
}

static void close_topology(ftso_search_job *job)
{
    topology *t = job->self;
    if (!t) return;
    ftso_feed_deinit(&t->feed);
    const loaded *all[] = {&t->plain, &t->weights, &t->arch};
    for (size_t i = 0; i < FTSO_COUNT(all); i++)
        if (all[i]->step) job->device->unload(job->device->self, all[i]->step);
}

/* ---------------------------------------------------------------- initial values */

/* init_std * N(0, 1), two numbers from (seed, arch, 0, e / 2). */
static void draw_arch(const ftso_search *search, uint64_t seed, int64_t count, float *out)
{
    double pair[2];
    for (int64_t e = 0; e < count; e++) {
        if (e % 2 == 0)
            ftso_random_normal(ftso_random_at(seed, FTSO_STREAM_ARCH, 0, (uint64_t)(e / 2)), pair);
        out[e] = (float)(search->init_std * pair[e % 2]);
    }
}

/* Gives every state of the step its initial content: weights and arch by chance, moments zero. */
static ftso_status reset_states(ftso_search_job *job, const loaded *step, uint64_t seed)
{
    topology *t = job->self;
    const ftso_network *network = step->network;
    const ftso_graph *graph = network->graph;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (!ftso_node_is(node, "state")) continue;
        int64_t count = ftso_shape_count(node->shape);
        memset(t->numbers, 0, sizeof(float) * (size_t)count);
        if (v == network->weights) ftso_weights_draw(network, seed, t->numbers);
        if (v == network->arch) draw_arch(job->search, seed, count, t->numbers);
        const char *name = node->attrs[ftso_op_attr(node->op, "name")].name;
        FTSO_TRY(job->device->write_state(job->device->self, name, t->numbers, count));
    }
    return FTSO_STATUS_OK;
}

static ftso_status read_arch(ftso_search_job *job, double *out)
{
    const topology *t = job->self;
    int64_t count = job->network->arch_total;
    FTSO_TRY(job->device->read_state(job->device->self, "arch", t->arch_now, count));
    if (out)
        for (int64_t i = 0; i < count; i++) out[i] = (double)t->arch_now[i];
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- one iteration */

/* Sets a scalar input of the step, where the optimiser has it. */
static ftso_status bind_number(ftso_search_job *job, const loaded *step, const char *name,
                               double value)
{
    if (ftso_graph_find(step->network->graph, name) == FTSO_NO_VALUE) return FTSO_STATUS_OK;
    float number = (float)value;
    return job->device->bind(job->device->self, step->step, name, &number, 1);
}

static ftso_status run_batch(ftso_search_job *job, const loaded *step, const ftso_feed_batch *batch,
                             double *out_loss)
{
    const ftso_device *device = job->device;
    float loss;
    FTSO_TRY(device->bind(device->self, step->step, "image", batch->image, batch->count));
    FTSO_TRY(device->bind(device->self, step->step, "label", batch->label, batch->count));
    FTSO_TRY(device->run(device->self, step->step, batch->count));
    FTSO_TRY(device->read(device->self, step->step, "loss", &loss, 1));
    *out_loss = (double)loss;
    return FTSO_STATUS_OK;
}

/* Learning rate of the epoch, Adam's bias corrections at step `iteration` + 1, the batch. */
static ftso_status step_once(ftso_search_job *job, const loaded *step, bool of_arch,
                             int64_t iteration, const ftso_feed_batch *batch, double *out_loss)
{
    const topology *t = job->self;
    const ftso_optimizer *optimizer = of_arch ? &job->search->arch : &job->search->weights;
    int64_t epoch = iteration / t->feed.per_epoch;
    /* steps that this optimiser has taken: edge weights begin after their frozen epochs */
    int64_t before = of_arch ? job->search->freeze_epochs * t->feed.per_epoch : 0;
    double power = (double)(iteration - before + 1);
    const char *lr = of_arch ? "arch.lr" : "weights.lr";
    const char *adam1 = of_arch ? "arch.adam1" : "weights.adam1";
    const char *adam2 = of_arch ? "arch.adam2" : "weights.adam2";
    ftso_rate rate = ftso_rate_of(&optimizer->lr);
    FTSO_TRY(bind_number(job, step, lr, ftso_rate_at(&rate, epoch, t->epochs)));
    FTSO_TRY(bind_number(job, step, adam1, 1 / (1 - pow(optimizer->beta1, power))));
    FTSO_TRY(bind_number(job, step, adam2, 1 / (1 - pow(optimizer->beta2, power))));
    return run_batch(job, step, batch, out_loss);
}

static ftso_status iterate(ftso_search_job *job, uint64_t seed, int64_t iteration, ftso_found *out)
{
    topology *t = job->self;
    bool frozen = iteration < job->search->freeze_epochs * t->feed.per_epoch;
    const ftso_feed_batch *batch;
    if (!frozen) {
        FTSO_TRY(ftso_feed_valid(&t->feed, seed, iteration, &batch));
        FTSO_TRY(step_once(job, &t->arch, true, iteration, batch, &out->arch_loss));
    }
    FTSO_TRY(ftso_feed_train(&t->feed, seed, iteration, &batch));
    FTSO_TRY(step_once(job, &t->weights, false, iteration, batch, &out->train_loss));
    out->iterations = iteration + 1;
    if ((!frozen && !isfinite(out->arch_loss)) || !isfinite(out->train_loss))
        return ftso_error(FTSO_ERROR_USER,
                          "the loss is no longer a number at iteration %lld of seed %llu: lower "
                          "the learning rate",
                          (long long)out->iterations, (unsigned long long)seed);
    if (job->options->log) {
        FTSO_TRY(read_arch(job, NULL));
        FTSO_TRY(ftso_event_iteration(job, seed, out->iterations, out->arch_loss, out->train_loss,
                                      t->arch_now, job->network->arch_total));
    }
    char detail[96];
    snprintf(detail, sizeof(detail), "seed %llu  loss %.4f, validation %.4f",
             (unsigned long long)seed, out->train_loss, out->arch_loss);
    ftso_progress_step(&job->progress, job->seeds_done * t->iterations + out->iterations, detail);
    return FTSO_STATUS_OK;
}

/* Mean loss over the first images of the validation half as they are; the same for all seeds. */
static ftso_status measure(ftso_search_job *job, ftso_found *out)
{
    topology *t = job->self;
    int64_t least = ftso_graph_min_batch(t->plain.network->graph), images = 0;
    double sum = 0;
    for (int64_t at = 0; at < t->measure_count; at += t->feed.batch) {
        int64_t left = t->measure_count - at;
        int64_t count = left < t->feed.batch ? left : t->feed.batch;
        if (count < least) break;
        double loss;
        const ftso_feed_batch *batch;
        FTSO_TRY(ftso_feed_plain(&t->feed, at, count, &batch));
        FTSO_TRY(run_batch(job, &t->plain, batch, &loss));
        sum += loss * (double)count;
        images += count;
    }
    out->val_loss = sum / (double)images;
    return FTSO_STATUS_OK;
}

static ftso_status run(ftso_search_job *job, uint64_t seed, ftso_found *out)
{
    topology *t = job->self;
    size_t count = (size_t)job->network->arch_total;
    out->beta_count = (int64_t)count;
    out->beta = FTSO_ARRAY(job->arena, double, count);
    out->beta_start = FTSO_ARRAY(job->arena, double, count);
    out->val_loss = out->arch_loss = out->train_loss = NAN;
    FTSO_TRY(reset_states(job, &t->arch, seed));
    FTSO_TRY(reset_states(job, &t->weights, seed));
    FTSO_TRY(read_arch(job, out->beta_start));
    const volatile int *stop = job->options->stop;
    for (int64_t i = 0; i < t->iterations && !(stop && *stop); i++)
        FTSO_TRY(iterate(job, seed, i, out));
    FTSO_TRY(read_arch(job, out->beta));
    if (out->iterations < t->iterations)
        return ftso_error(FTSO_ERROR_INTERRUPTED, "stopped at iteration %lld of %lld of seed %llu",
                          (long long)out->iterations, (long long)t->iterations,
                          (unsigned long long)seed);
    return job->measures ? measure(job, out) : FTSO_STATUS_OK;
}

const ftso_method ftso_method_ftso = {
    .name = "ftso",
    .doc = "first topology: edge weights trained on a super-net; then every kept edge takes one "
           "operator",
    .open = open_topology,
    .run = run,
    .close = close_topology,
};
