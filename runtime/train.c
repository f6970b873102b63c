/*
 * The training of a found network, from the first step to the last.
 *
 * In: a recipe as numbers, loaded steps, images, perhaps a checkpoint. Out: weights, a line of the log per epoch,
 * checkpoints. Holds: step s takes batch s of its epoch's permutation; the permutation, the augmentation and the dropped
 * paths come from (seed, stream, place) alone. So all that a run is made of is in `ftso_checkpoint` and the states.
 * Reads from top to bottom: the desk, the states, a step, an epoch's end, saving, the loop in `go`.
 */
#include "runtime/train.h"

#include <math.h>
#include <string.h>

/* One run under way: buffers and the place. */
typedef struct desk {
    const ftso_training *t;
    ftso_arena arena;
    ftso_checkpoint place;
    ftso_progress progress;
    char checkpoints[4096]; /* the folder, where there is one */
    int64_t per_epoch;      /* steps; the last batch may be smaller */
    int64_t weight_total, running_total;
    int32_t *order; /* images in the order of epoch `order_epoch` */
    int64_t order_epoch;
    float *image, *label, *logits, *mask; /* one batch */
    ftso_maker *maker; /* makes the next step's batch meanwhile; NULL where images lie in memory */
    int64_t ahead;     /* the step whose batch is in the making, or -1 */
    float *next_label; /* its labels: those of the step at hand are still wanted */
    float *numbers;    /* all states, one after another */
    double start_s, begun_s,
        saved_s;          /* of this call; of the epoch as it is counted; of the last save */
    int64_t first_step;   /* that this call began with */
    bool best_is_written; /* best.safetensors is that of place.best */
} desk;

static void note(const ftso_training *t, const char *text)
{
    if (t->note) t->note(t->user, text);
}

/* ---------------------------------------------------------------- states */

enum { MAX_STATES = 8 };

/* Every state that the rest of the run depends on: name, length, where its numbers lie on the desk. */
typedef struct state_row {
    const char *name;
    int64_t count;
    float *numbers;
} state_row;

static size_t list_states(const desk *d, state_row *rows)
{
    const ftso_training *t = d->t;
    size_t count = 0;
    float *at = d->numbers;
    FTSO_ASSERT(t->moment_count + 2 <= MAX_STATES);
    rows[count++] = (state_row){"weights", d->weight_total, at};
    at += d->weight_total;
    for (size_t i = 0; i < t->moment_count; i++, at += d->weight_total)
        rows[count++] = (state_row){t->moments[i], d->weight_total, at};
    if (t->running_count) rows[count++] = (state_row){"running", d->running_total, at};
    return count;
}

static ftso_status read_states(desk *d)
{
    const ftso_device *device = d->t->device;
    state_row rows[MAX_STATES];
    size_t count = list_states(d, rows);
    for (size_t i = 0; i < count; i++)
        FTSO_TRY(device->read_state(device->self, rows[i].name, rows[i].numbers, rows[i].count));
    return FTSO_STATUS_OK;
}

static ftso_status write_states(desk *d)
{
    const ftso_device *device = d->t->device;
    state_row rows[MAX_STATES];
    size_t count = list_states(d, rows);
    for (size_t i = 0; i < count; i++)
        FTSO_TRY(device->write_state(device->self, rows[i].name, rows[i].numbers, rows[i].count));
    return FTSO_STATUS_OK;
}

/* Weights and statistics as they are given, or weights from the seed and statistics as they begin; moments zero. */
static ftso_status begin(desk *d)
{
    const ftso_training *t = d->t;
    state_row rows[MAX_STATES];
    size_t count = list_states(d, rows);
    for (size_t i = 0; i < count; i++)
        memset(rows[i].numbers, 0, sizeof(float) * (size_t)rows[i].count);
    const state_row *weights = &rows[0], *running = t->running_count ? &rows[count - 1] : NULL;
    if (t->first_weights)
        memcpy(weights->numbers, t->first_weights, sizeof(float) * (size_t)weights->count);
    else
        ftso_parameters_draw(t->weights, t->weight_count, t->recipe->seed, weights->numbers);
    if (running && t->first_running)
        memcpy(running->numbers, t->first_running, sizeof(float) * (size_t)running->count);
    else if (running)
        ftso_parameters_draw(t->running, t->running_count, t->recipe->seed, running->numbers);
    return write_states(d);
}

/* The states of a checkpoint, onto the desk. */
static ftso_status read_tensors(desk *d, const ftso_checkpoint_file *from)
{
    state_row rows[MAX_STATES];
    size_t count = list_states(d, rows);
    for (size_t i = 0; i < count; i++) {
        const ftso_safetensor *tensor = ftso_safetensors_find(&from->tensors, rows[i].name);
        if (!tensor || ftso_safetensor_count(tensor) != rows[i].count)
            return ftso_error(FTSO_ERROR_DATA,
                              "the checkpoint of step %lld holds no state '%s' of %lld numbers",
                              (long long)from->place.step, rows[i].name, (long long)rows[i].count);
        ftso_safetensor_floats(tensor, rows[i].numbers);
    }
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- one step */

static int64_t epoch_at(const desk *d, int64_t step)
{
    return step / d->per_epoch;
}

static double drop_path_at(const ftso_recipe *recipe, int64_t epoch)
{
    return recipe->drop_path * (double)epoch / (double)recipe->epochs;
}

/* The images of a step, as the seed orders and changes them. */
static ftso_batch_wish wish_for(desk *d, int64_t step)
{
    const ftso_training *t = d->t;
    const ftso_recipe *recipe = t->recipe;
    int64_t epoch = epoch_at(d, step), images = t->images->count;
    if (d->order_epoch != epoch) {
        ftso_random_permutation(recipe->seed, FTSO_STREAM_SHUFFLE_TRAIN, (uint64_t)epoch, images,
                                images, d->order);
        d->order_epoch = epoch;
    }
    int64_t first = step % d->per_epoch * recipe->batch, left = images - first;
    return (ftso_batch_wish){.images = t->images,
                             .indices = d->order + first,
                             .count = left < recipe->batch ? left : recipe->batch,
                             .transform = t->transform,
                             .side = recipe->side,
                             .seed = recipe->seed,
                             .step = (uint64_t)step,
                             .stream = FTSO_STREAM_AUGMENT_TRAIN,
                             .out = d->image,
                             .out_labels = d->next_label};
}

/* The batch of the step at hand, and how many images it has. */
static ftso_status make_batch(desk *d, int64_t *out_count)
{
    const ftso_batch_wish w = wish_for(d, d->place.step);
    float *kept = d->label;
    d->label = d->next_label;
    d->next_label = kept;
    *out_count = w.count;
    if (d->ahead == d->place.step) {
        d->ahead = -1;
        return ftso_maker_finish(d->maker);
    }
    return ftso_batch_make(w.images, w.indices, w.count, w.transform, w.side, w.seed, w.stream,
                           w.step, d->t->device->pool(d->t->device->self), w.out, w.out_labels);
}

/* The device has its copy of the batch: while it computes, the next one is begun in the same place. */
static void begin_next_batch(desk *d)
{
    int64_t next = d->place.step + 1;
    if (!d->maker || next >= d->t->recipe->epochs * d->per_epoch) return;
    const ftso_batch_wish wish = wish_for(d, next);
    ftso_maker_start(d->maker, &wish);
    d->ahead = next;
}

/* mask / keep, [count][drop_count]: number i of the step from word i % 4 at (seed, drop path, step, i / 4). */
static void draw_mask(desk *d, int64_t count)
{
    const ftso_recipe *recipe = d->t->recipe;
    double keep = 1 - drop_path_at(recipe, epoch_at(d, d->place.step));
    ftso_random r = {{0}};
    for (int64_t i = 0; i < count * recipe->drop_count; i++) {
        if (i % 4 == 0)
            r = ftso_random_at(recipe->seed, FTSO_STREAM_DROP_PATH, (uint64_t)d->place.step,
                               (uint64_t)(i / 4));
        d->mask[i] = ftso_random_uniform(r.word[i % 4]) < keep ? (float)(1 / keep) : 0;
    }
}

static ftso_status bind_number(const desk *d, const char *name, double value)
{
    float number = (float)value;
    const ftso_device *device = d->t->device;
    return device->bind(device->self, d->t->step, name, &number, 1);
}

static ftso_status train_step(desk *d)
{
    const ftso_training *t = d->t;
    const ftso_recipe *recipe = t->recipe;
    const ftso_device *device = t->device;
    ftso_checkpoint *place = &d->place;
    int64_t epoch = epoch_at(d, place->step), count;
    FTSO_TRY(make_batch(d, &count));
    FTSO_TRY(device->bind(device->self, t->step, "image", d->image, count));
    FTSO_TRY(device->bind(device->self, t->step, "label", d->label, count));
    begin_next_batch(d);
    if (recipe->drop_count) {
        draw_mask(d, count);
        FTSO_TRY(device->bind(device->self, t->step, "drop_path", d->mask, count));
    }
    FTSO_TRY(bind_number(d, "weights.lr", ftso_rate_at(&recipe->rate, epoch, recipe->epochs)));
    if (recipe->beta2 > 0) {
        double power = (double)(place->step + 1);
        FTSO_TRY(bind_number(d, "weights.adam1", 1 / (1 - pow(recipe->beta1, power))));
        FTSO_TRY(bind_number(d, "weights.adam2", 1 / (1 - pow(recipe->beta2, power))));
    }
    FTSO_TRY(device->run(device->self, t->step, count));
    float loss;
    FTSO_TRY(device->read(device->self, t->step, "loss", &loss, 1));
    FTSO_TRY(device->read(device->self, t->step, "logits", d->logits, count * recipe->classes));
    if (!isfinite(loss))
        return ftso_error(FTSO_ERROR_USER,
                          "the loss is no longer a number at step %lld of epoch %lld (step %lld in "
                          "all): lower the learning rate, or clip the gradient",
                          (long long)(place->step % d->per_epoch + 1), (long long)(epoch + 1),
                          (long long)(place->step + 1));
    ftso_score score = {0};
    ftso_score_add(&score, d->logits, d->label, count, recipe->classes, NULL, NULL);
    place->loss_sum += (double)loss * (double)count;
    place->top1 += score.top1;
    place->images += count;
    place->step++;
    return FTSO_STATUS_OK;
}

/* "epoch 3/8  loss 0.4121  812 img/s" */
static void show_step(desk *d)
{
    const ftso_recipe *recipe = d->t->recipe;
    double spent = ftso_clock_s() - d->start_s;
    int64_t taken = d->place.step - d->first_step;
    char detail[160];
    int used = snprintf(detail, sizeof(detail), "epoch %lld/%lld  loss %.4f",
                        (long long)epoch_at(d, d->place.step - 1) + 1, (long long)recipe->epochs,
                        d->place.loss_sum / (double)d->place.images);
    if (d->place.best.epoch && used > 0)
        used += snprintf(detail + used, sizeof(detail) - (size_t)used, "  best %.2f %%",
                         100 * (double)d->place.best.top1 / (double)d->place.best.images);
    if (spent > 0 && used > 0)
        snprintf(detail + used, sizeof(detail) - (size_t)used, "  %.0f images/s",
                 (double)(taken * recipe->batch) / spent);
    ftso_progress_step(&d->progress, d->place.step, detail);
}

/* ---------------------------------------------------------------- the log */

static void put_real(ftso_text *text, const char *name, double value)
{
    char digits[32] = "null";
    if (isfinite(value)) ftso_double_print(value, digits);
    ftso_text_printf(text, ",\"%s\":%s", name, digits);
}

static ftso_status send(const desk *d, ftso_text *text)
{
    ftso_status status = FTSO_STATUS_OK;
    if (text->failed) status = ftso_error(FTSO_ERROR_LIMIT, "no memory for an event of the log");
    if (status.code == FTSO_OK && d->t->log)
        status = ftso_log_write(d->t->log, ftso_text_get(text));
    ftso_text_deinit(text);
    return status;
}

static ftso_status log_epoch(const desk *d, const ftso_epoch *e)
{
    ftso_text text;
    double images = (double)e->test.images;
    ftso_text_init(&text);
    ftso_text_printf(&text, "{\"event\":\"epoch\",\"epoch\":%lld,\"step\":%lld",
                     (long long)e->epoch, (long long)e->step);
    put_real(&text, "lr", e->rate);
    put_real(&text, "drop_path", e->drop_path);
    put_real(&text, "train_loss", e->train_loss);
    put_real(&text, "train_top1", e->train_top1);
    put_real(&text, "test_loss", e->test.loss_sum / images);
    put_real(&text, "test_top1", (double)e->test.top1 / images);
    put_real(&text, "test_top5", (double)e->test.top5 / images);
    ftso_text_printf(&text, ",\"best\":%s,\"seconds\":%.3f}", e->best ? "true" : "false",
                     e->seconds);
    return send(d, &text);
}

static ftso_status log_end(const desk *d, const char *event)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "{\"event\":\"%s\",\"step\":%lld,\"epochs\":%lld,\"best_epoch\":%lld}",
                     event, (long long)d->place.step, (long long)d->place.measured,
                     (long long)d->place.best.epoch);
    return send(d, &text);
}

/* ---------------------------------------------------------------- keeping */

/* Weights and statistics by name, to a file that everything else reads. Takes `numbers` as read_states left them. */
static ftso_status write_weights(desk *d, const char *name)
{
    const ftso_training *t = d->t;
    state_row rows[MAX_STATES];
    size_t count = list_states(d, rows);
    const ftso_parameter_state states[] = {{t->weights, t->weight_count, rows[0].numbers},
                                           {t->running, t->running_count, rows[count - 1].numbers}};
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_status status =
        ftso_parameters_write(ftso_format(&arena, "%s/%s", t->folder, name), states,
                              FTSO_COUNT(states), FTSO_NAMES_OWN, t->metadata, t->metadata_count);
    ftso_arena_deinit(&arena);
    return status;
}

/* The place and all states as a checkpoint. Takes `numbers` as read_states left them. */
static ftso_status write_checkpoint(desk *d)
{
    const ftso_training *t = d->t;
    ftso_safetensor tensors[MAX_STATES];
    state_row rows[MAX_STATES];
    size_t count = list_states(d, rows);
    for (size_t i = 0; i < count; i++)
        tensors[i] = (ftso_safetensor){.name = rows[i].name,
                                       .dtype = FTSO_F32,
                                       .rank = 1,
                                       .dim = {rows[i].count},
                                       .size_bytes = sizeof(float) * (size_t)rows[i].count,
                                       .data = rows[i].numbers};
    if (t->log) FTSO_TRY(ftso_log_sync(t->log, &d->place.log_bytes));
    return ftso_checkpoint_save(d->checkpoints, &d->place, tensors, count, t->keep);
}

static ftso_status save(desk *d)
{
    d->saved_s = ftso_clock_s();
    if (!d->t->folder) return FTSO_STATUS_OK;
    d->place.seconds += d->saved_s - d->begun_s;
    d->begun_s = d->saved_s;
    FTSO_TRY(read_states(d));
    return write_checkpoint(d);
}

/* What goes wrong on the way is said, and the run goes on: the next save may find room again. */
static void note_failure(const desk *d, const char *what, ftso_status status)
{
    char text[600];
    if (status.code == FTSO_OK) return;
    snprintf(text, sizeof(text), "%s of step %lld could not be saved, the run goes on: %s", what,
             (long long)d->place.step, status.message);
    note(d->t, text);
}

/* The states as they are become best.safetensors. */
static ftso_status write_best(desk *d)
{
    FTSO_TRY(read_states(d));
    FTSO_TRY(write_weights(d, "best.safetensors"));
    d->best_is_written = true;
    return FTSO_STATUS_OK;
}

/* At the end, where a kill or a full disk came between: from the best epoch's checkpoint, which is kept. */
static ftso_status restore_best(desk *d)
{
    ftso_checkpoint_file file;
    FTSO_TRY(ftso_checkpoint_load_step(d->checkpoints, d->place.best.step, &file));
    ftso_status status = read_tensors(d, &file);
    if (status.code == FTSO_OK) status = write_weights(d, "best.safetensors");
    ftso_checkpoint_deinit(&file);
    return status;
}

/* ---------------------------------------------------------------- an epoch's end */

static ftso_status judge(desk *d, ftso_score *out)
{
    const ftso_training *t = d->t;
    ftso_judging judging = {.device = t->device,
                            .step = t->judge,
                            .images = t->test_images,
                            .transform = t->test_transform,
                            .batch = t->recipe->batch,
                            .classes = t->recipe->classes,
                            .channels = t->recipe->channels,
                            .side = t->recipe->side,
                            .stop = t->stop};
    return ftso_judge(&judging, out);
}

/* More right answers, or as many with less loss. */
static bool is_better(const ftso_score *score, const ftso_best *best)
{
    if (best->epoch == 0 || score->top1 != best->top1)
        return best->epoch == 0 || score->top1 > best->top1;
    return score->loss_sum < best->loss;
}

static ftso_status end_epoch(desk *d)
{
    const ftso_training *t = d->t;
    const ftso_recipe *recipe = t->recipe;
    ftso_checkpoint *place = &d->place;
    int64_t epoch = place->measured;
    ftso_epoch e = {.epoch = epoch + 1,
                    .step = place->step,
                    .rate = ftso_rate_at(&recipe->rate, epoch, recipe->epochs),
                    .drop_path = drop_path_at(recipe, epoch),
                    .train_loss = place->loss_sum / (double)place->images,
                    .train_top1 = (double)place->top1 / (double)place->images};
    FTSO_TRY(judge(d, &e.test));
    e.best = is_better(&e.test, &place->best);
    if (e.best)
        place->best = (ftso_best){e.epoch, e.step, e.test.top1, e.test.images, e.test.loss_sum};
    double now = ftso_clock_s();
    e.seconds = place->seconds + now - d->begun_s;
    d->begun_s = now;
    place->measured++;
    place->loss_sum = place->seconds = 0;
    place->top1 = place->images = 0;
    FTSO_TRY(log_epoch(d, &e));
    if (t->on_epoch) t->on_epoch(t->user, &e);
    if (place->measured < recipe->epochs) note_failure(d, "the checkpoint", save(d));
    if (t->folder && e.best) {
        d->best_is_written = false;
        note_failure(d, "best.safetensors", write_best(d));
    }
    return FTSO_STATUS_OK;
}

/* ---------------------------------------------------------------- the loop */

static bool is_time_to_save(const desk *d)
{
    const ftso_training *t = d->t;
    if (t->save_steps > 0 && d->place.step % t->save_steps == 0) return true;
    return t->save_seconds > 0 && ftso_clock_s() - d->saved_s >= t->save_seconds;
}

static ftso_status stopped(desk *d)
{
    const ftso_recipe *recipe = d->t->recipe;
    FTSO_TRY(save(d));
    if (d->t->folder) FTSO_TRY(write_weights(d, "weights.safetensors"));
    FTSO_TRY(log_end(d, "interrupted"));
    return ftso_error(FTSO_ERROR_INTERRUPTED, "stopped at step %lld of %lld",
                      (long long)d->place.step, (long long)(recipe->epochs * d->per_epoch));
}

/* An epoch is its steps, then its judgement; a run may have been cut off before either. */
static ftso_status go(desk *d)
{
    const ftso_training *t = d->t;
    ftso_checkpoint *place = &d->place;
    while (place->measured < t->recipe->epochs) {
        if (t->stop && *t->stop) return stopped(d);
        if (place->step < (place->measured + 1) * d->per_epoch) {
            FTSO_TRY(train_step(d));
            show_step(d);
            if (is_time_to_save(d)) note_failure(d, "the checkpoint", save(d));
            continue;
        }
        ftso_status status = end_epoch(d);
        if (status.code == FTSO_ERROR_INTERRUPTED) return stopped(d);
        FTSO_TRY(status);
    }
    FTSO_TRY(save(d));
    if (t->folder) {
        FTSO_TRY(write_weights(d, "weights.safetensors"));
        if (!d->best_is_written) note_failure(d, "best.safetensors", restore_best(d));
    }
    return log_end(d, "end");
}

static ftso_status prepare(desk *d, const ftso_training *t)
{
    const ftso_recipe *recipe = t->recipe;
    int64_t images = t->images->count, last = images % recipe->batch;
    if (last == 0 || images < recipe->batch) last = recipe->batch < images ? recipe->batch : images;
    if (images < 1 || last < recipe->least_batch)
        return ftso_error(
            FTSO_ERROR_USER,
            "the last batch of an epoch has %lld image(s), and a batch norm that sees "
            "one pixel per image needs %lld: change `batch`",
            (long long)last, (long long)recipe->least_batch);
    d->per_epoch = (images + recipe->batch - 1) / recipe->batch;
    d->order_epoch = -1;
    d->weight_total = ftso_parameters_total(t->weights, t->weight_count);
    d->running_total = ftso_parameters_total(t->running, t->running_count);
    ftso_arena *arena = &d->arena;
    size_t batch = (size_t)recipe->batch;
    d->order = FTSO_ARRAY(arena, int32_t, (size_t)images);
    d->image =
        FTSO_ARRAY(arena, float, batch *(size_t)(recipe->channels * recipe->side * recipe->side));
    d->label = FTSO_ARRAY(arena, float, batch);
    d->next_label = FTSO_ARRAY(arena, float, batch);
    d->logits = FTSO_ARRAY(arena, float, batch *(size_t)recipe->classes);
    d->mask = FTSO_ARRAY(arena, float, batch *(size_t)recipe->drop_count);
    d->numbers = FTSO_ARRAY(
        arena, float, (size_t)d->weight_total *(1 + t->moment_count) + (size_t)d->running_total);
    if (t->folder) snprintf(d->checkpoints, sizeof(d->checkpoints), "%s/checkpoints", t->folder);
    d->ahead = -1;
    return t->images->pixels ? FTSO_STATUS_OK
                             : ftso_maker_new(t->device->pool(t->device->self), &d->maker);
}

ftso_status ftso_train_run(const ftso_training *training, const ftso_checkpoint_file *from,
                           ftso_trained *out)
{
    *out = (ftso_trained){0};
    const ftso_recipe *recipe = training->recipe;
    desk d = {
        .t = training,
        .place = {.seed = recipe->seed, .layout = training->layout, .origin = training->origin},
        .start_s = ftso_clock_s()};
    d.begun_s = d.saved_s = d.start_s;
    ftso_arena_init(&d.arena);
    ftso_status status = prepare(&d, training);
    if (status.code == FTSO_OK && from && from->found) {
        d.place = from->place;
        d.place.origin = training->origin;
        if (from->place.origin != training->origin)
            note(training, "the recipe, the images or the code are not those that this run began "
                           "with; the result will be another one");
        status = read_tensors(&d, from);
        if (status.code == FTSO_OK) status = write_states(&d);
    } else if (status.code == FTSO_OK) {
        status = begin(&d);
    }
    d.first_step = d.place.step;
    ftso_progress_start(&d.progress, training->progress_out, training->progress, "train",
                        recipe->epochs * d.per_epoch);
    d.progress.first = d.place.step;
    if (status.code == FTSO_OK) status = go(&d);
    ftso_progress_finish(&d.progress);
    *out = (ftso_trained){d.place.step, d.place.measured, d.place.best, ftso_clock_s() - d.start_s};
    ftso_maker_free(d.maker);
    ftso_arena_deinit(&d.arena);
    return status;
}
