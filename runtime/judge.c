/*
 * Judging: what a network says of images, against their labels.
 *
 * In: an inference step, images. Out: sums (top-1, top-5, cross entropy in double), a confusion matrix, each answer.
 * Holds: images come in order and without chance, so the sums are the same whatever the threads.
 */
#include "runtime/train.h"

#include <math.h>
#include <string.h>

enum { TOP = 5 };

/* Whether class a stands before class b: by logit, then by number; what is no number comes last. */
static bool before(const float *logits, int64_t a, int64_t b)
{
    bool bad_a = isnan(logits[a]), bad_b = isnan(logits[b]);
    if (bad_a != bad_b) return bad_b;
    if (!bad_a && logits[a] != logits[b]) return logits[a] > logits[b];
    return a < b;
}

/* log(sum(exp)) - logit of the label, without overflow. */
static double cross_entropy(const float *logits, int64_t classes, int64_t label)
{
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < classes; c++)
        if ((double)logits[c] > most) most = (double)logits[c];
    for (int64_t c = 0; c < classes; c++) sum += exp((double)logits[c] - most);
    return most + log(sum) - (double)logits[label];
}

void ftso_score_add(ftso_score *score, const float *logits, const float *labels, int64_t count,
                    int64_t classes, int64_t *confusion, int32_t *said)
{
    for (int64_t k = 0; k < count; k++, logits += classes) {
        int64_t label = (int64_t)labels[k], first = 0, rank = 0;
        for (int64_t c = 0; c < classes; c++) {
            if (before(logits, c, first)) first = c;
            rank += c != label && before(logits, c, label);
        }
        score->images++;
        score->top1 += rank == 0;
        score->top5 += rank < TOP;
        score->loss_sum += cross_entropy(logits, classes, label);
        if (confusion) confusion[label * classes + first]++;
        if (said) said[k] = (int32_t)first;
    }
}

/* Room for one batch. */
typedef struct desk {
    float *image, *label, *logits;
    int32_t *order;
} desk;

static ftso_status judge_batch(const ftso_judging *j, const desk *d, int64_t at, int64_t count,
                               ftso_score *score)
{
    const ftso_device *device = j->device;
    for (int64_t k = 0; k < count; k++) d->order[k] = (int32_t)(at + k);
    FTSO_TRY(ftso_batch_make(j->images, d->order, count, j->transform, j->side, 0,
                             FTSO_STREAM_AUGMENT_VALID, 0, device->pool(device->self), d->image,
                             d->label));
    FTSO_TRY(device->bind(device->self, j->step, "image", d->image, count));
    FTSO_TRY(device->run(device->self, j->step, count));
    FTSO_TRY(device->read(device->self, j->step, "logits", d->logits, count * j->classes));
    ftso_score_add(score, d->logits, d->label, count, j->classes, j->confusion,
                   j->said ? j->said + at : NULL);
    return FTSO_STATUS_OK;
}

ftso_status ftso_judge(const ftso_judging *j, ftso_score *out_score)
{
    *out_score = (ftso_score){0};
    if (j->confusion) memset(j->confusion, 0, sizeof(int64_t) * (size_t)(j->classes * j->classes));
    ftso_arena arena;
    ftso_arena_init(&arena);
    size_t batch = (size_t)j->batch;
    desk d = {.image = FTSO_ARRAY(&arena, float, batch *(size_t)(j->channels * j->side * j->side)),
              .label = FTSO_ARRAY(&arena, float, batch),
              .logits = FTSO_ARRAY(&arena, float, batch *(size_t)j->classes),
              .order = FTSO_ARRAY(&arena, int32_t, batch)};
    ftso_status status = FTSO_STATUS_OK;
    for (int64_t at = 0; at < j->images->count && status.code == FTSO_OK; at += j->batch) {
        int64_t left = j->images->count - at, count = left < j->batch ? left : j->batch;
        if (j->stop && *j->stop)
            status = ftso_error(FTSO_ERROR_INTERRUPTED, "stopped after %lld of %lld images",
                                (long long)at, (long long)j->images->count);
        else
            status = judge_batch(j, &d, at, count, out_score);
        if (j->progress) ftso_progress_step(j->progress, at + count, "");
    }
    ftso_arena_deinit(&arena);
    return status;
}
