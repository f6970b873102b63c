/*
 * The images of a search: halves, epochs, batches.
 *
 * In: the training images and the search's split, batch and transforms. Out: batches. Holds: what iteration t of a seed
 * sees depends on seed and t alone. A train epoch is one permutation of the first half, its last batch as large as what is
 * left; a validation batch is the beginning of a permutation of the second half drawn anew at every iteration, as from a
 * loader that is restarted each time.
 */
#include "search_internal.h"

#include <string.h>

ftso_images_spec ftso_dataset_spec(const ftso_dataset *dataset)
{
    return (ftso_images_spec){.channels = dataset->channels,
                              .side = dataset->side,
                              .classes = dataset->classes,
                              .class_names = dataset->class_names};
}

/* That the images are what the space file says of them, and that there are enough. */
static ftso_status check_images(const ftso_search *search, const ftso_images *images,
                                const ftso_feed *feed)
{
    const ftso_dataset *dataset = search->dataset;
    const ftso_images_spec spec = ftso_dataset_spec(dataset);
    if (images->classes > dataset->classes)
        return ftso_error(FTSO_ERROR_USER,
                          "data set '%s': labels go up to %lld, the space file says %lld classes",
                          dataset->name, (long long)images->classes - 1,
                          (long long)dataset->classes);
    int64_t smaller = feed->train_count < feed->valid_count ? feed->train_count : feed->valid_count;
    if (search->batch > smaller)
        return ftso_error(FTSO_ERROR_USER,
                          "batch %lld is larger than the smaller part of the %lld images, which "
                          "has %lld",
                          (long long)search->batch, (long long)images->count, (long long)smaller);
    const ftso_transform *transforms[] = {&feed->train, &feed->valid, &feed->plain};
    for (size_t i = 0; i < FTSO_COUNT(transforms); i++) {
        ftso_status status = ftso_images_check(images, &spec, transforms[i]);
        if (status.code != FTSO_OK) return ftso_annotate(status, "data set '%s'", dataset->name);
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_feed_init(ftso_feed *feed, ftso_arena *arena, const ftso_search *search,
                           const ftso_images *images, ftso_pool *pool)
{
    const ftso_dataset *dataset = search->dataset;
    memset(feed, 0, sizeof(*feed));
    feed->images = images;
    feed->pool = pool;
    feed->batch = search->batch;
    /* Half a millionth makes up for portions such as 0.7 that are no doubles. */
    feed->train_count = (int64_t)((double)images->count * search->train_portion + 5e-7);
    feed->valid_count = images->count - feed->train_count;
    feed->order_epoch = -1;
    feed->side = dataset->side;
    feed->train = dataset->train;
    feed->plain = dataset->test;
    feed->valid = search->augment_valid ? feed->train : feed->plain;
    FTSO_TRY(check_images(search, images, feed));
    feed->per_epoch = (feed->train_count + feed->batch - 1) / feed->batch;
    feed->order = FTSO_ARRAY(arena, int32_t, (size_t)feed->train_count);
    feed->valid_order = FTSO_ARRAY(arena, int32_t, (size_t)feed->valid_count);
    size_t image = (size_t)(dataset->channels * dataset->side * dataset->side);
    bool fetched =
        !images->pixels; /* images in memory are made in less time than a thread takes to wake */
    for (int i = 0; i < 1 + fetched; i++) {
        feed->made[i].image = FTSO_ARRAY(arena, float, image *(size_t)feed->batch);
        feed->made[i].label = FTSO_ARRAY(arena, float, (size_t)feed->batch);
    }
    return fetched ? ftso_maker_new(pool, &feed->maker) : FTSO_STATUS_OK;
}

/* The wish for a batch, to be made in `batch`; draws the order that it needs. */
static ftso_batch_wish wish_for(ftso_feed *feed, const ftso_feed_turn *turn, ftso_feed_batch *batch)
{
    ftso_batch_wish wish = {.images = feed->images,
                            .indices = feed->valid_order,
                            .count = feed->batch,
                            .transform = turn->valid ? &feed->valid : &feed->train,
                            .side = feed->side,
                            .seed = turn->seed,
                            .step = (uint64_t)turn->iteration,
                            .stream =
                                turn->valid ? FTSO_STREAM_AUGMENT_VALID : FTSO_STREAM_AUGMENT_TRAIN,
                            .out = batch->image,
                            .out_labels = batch->label};
    if (turn->valid) {
        ftso_random_permutation(turn->seed, FTSO_STREAM_SHUFFLE_VALID, wish.step, feed->valid_count,
                                feed->batch, feed->valid_order);
        for (int64_t i = 0; i < feed->batch; i++)
            feed->valid_order[i] += (int32_t)feed->train_count;
    } else {
        int64_t epoch = turn->iteration / feed->per_epoch;
        if (feed->order_epoch != epoch || feed->order_seed != turn->seed) {
            ftso_random_permutation(turn->seed, FTSO_STREAM_SHUFFLE_TRAIN, (uint64_t)epoch,
                                    feed->train_count, feed->train_count, feed->order);
            feed->order_epoch = epoch;
            feed->order_seed = turn->seed;
        }
        int64_t begin = turn->iteration % feed->per_epoch * feed->batch;
        int64_t left = feed->train_count - begin;
        wish.indices = feed->order + begin;
        if (left < wish.count) wish.count = left;
    }
    batch->count = wish.count;
    return wish;
}

/* Ends what was begun for another turn than the one that came. */
static void forget(ftso_feed *feed)
{
    if (!feed->begun) return;
    ftso_status unwanted = ftso_maker_finish(feed->maker);
    (void)unwanted;
    feed->begun = false;
}

/* While this turn's step runs, the next turn's batch is begun. */
static void begin_next(ftso_feed *feed, const ftso_feed_turn *turn)
{
    ftso_feed_turn next = {.seed = turn->seed, .iteration = turn->iteration};
    if (!turn->valid) {
        next.valid = feed->both;
        next.iteration++;
    }
    feed->both = turn->valid;
    if (!feed->maker || next.iteration >= feed->iterations) return;
    ftso_batch_wish wish = wish_for(feed, &next, &feed->made[!feed->turn]);
    ftso_maker_start(feed->maker, &wish);
    feed->next = next;
    feed->begun = true;
}

static ftso_status make_now(ftso_feed *feed, const ftso_batch_wish *w)
{
    return ftso_batch_make(w->images, w->indices, w->count, w->transform, w->side, w->seed,
                           w->stream, w->step, feed->pool, w->out, w->out_labels);
}

static ftso_status give(ftso_feed *feed, const ftso_feed_turn *turn, const ftso_feed_batch **out)
{
    if (feed->begun && feed->next.valid == turn->valid && feed->next.seed == turn->seed &&
        feed->next.iteration == turn->iteration) {
        feed->begun = false;
        FTSO_TRY(ftso_maker_finish(feed->maker));
        feed->turn = !feed->turn;
    } else {
        forget(feed);
        ftso_batch_wish wish = wish_for(feed, turn, &feed->made[feed->turn]);
        FTSO_TRY(make_now(feed, &wish));
    }
    *out = &feed->made[feed->turn];
    begin_next(feed, turn);
    return FTSO_STATUS_OK;
}

ftso_status ftso_feed_train(ftso_feed *feed, uint64_t seed, int64_t iteration,
                            const ftso_feed_batch **out)
{
    return give(feed, &(ftso_feed_turn){.seed = seed, .iteration = iteration}, out);
}

ftso_status ftso_feed_valid(ftso_feed *feed, uint64_t seed, int64_t iteration,
                            const ftso_feed_batch **out)
{
    return give(feed, &(ftso_feed_turn){.valid = true, .seed = seed, .iteration = iteration}, out);
}

ftso_status ftso_feed_plain(ftso_feed *feed, int64_t begin, int64_t count,
                            const ftso_feed_batch **out)
{
    FTSO_ASSERT(begin >= 0 && count <= feed->batch && begin + count <= feed->valid_count);
    forget(feed);
    for (int64_t i = 0; i < count; i++)
        feed->valid_order[i] = (int32_t)(feed->train_count + begin + i);
    ftso_feed_batch *batch = &feed->made[feed->turn];
    const ftso_batch_wish wish = {.images = feed->images,
                                  .indices = feed->valid_order,
                                  .count = count,
                                  .transform = &feed->plain,
                                  .side = feed->side,
                                  .stream = FTSO_STREAM_AUGMENT_VALID,
                                  .out = batch->image,
                                  .out_labels = batch->label};
    batch->count = count;
    *out = batch;
    return make_now(feed, &wish);
}

void ftso_feed_deinit(ftso_feed *feed)
{
    ftso_maker_free(feed->maker);
    feed->maker = NULL;
}
