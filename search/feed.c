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
    feed->out.image = FTSO_ARRAY(arena, float, image *(size_t)feed->batch);
    feed->out.label = FTSO_ARRAY(arena, float, (size_t)feed->batch);
    return FTSO_STATUS_OK;
}

static ftso_status make(ftso_feed *feed, const int32_t *indices, int64_t count,
                        const ftso_transform *transform, uint64_t seed, ftso_stream stream,
                        int64_t iteration, const ftso_feed_batch **out)
{
    feed->out.count = count;
    *out = &feed->out;
    return ftso_batch_make(feed->images, indices, count, transform, feed->side, seed, stream,
                           (uint64_t)iteration, feed->pool, feed->out.image, feed->out.label);
}

ftso_status ftso_feed_train(ftso_feed *feed, uint64_t seed, int64_t iteration,
                            const ftso_feed_batch **out)
{
    int64_t epoch = iteration / feed->per_epoch;
    if (feed->order_epoch != epoch || feed->order_seed != seed) {
        ftso_random_permutation(seed, FTSO_STREAM_SHUFFLE_TRAIN, (uint64_t)epoch, feed->train_count,
                                feed->train_count, feed->order);
        feed->order_epoch = epoch;
        feed->order_seed = seed;
    }
    int64_t begin = iteration % feed->per_epoch * feed->batch;
    int64_t left = feed->train_count - begin;
    return make(feed, feed->order + begin, left < feed->batch ? left : feed->batch, &feed->train,
                seed, FTSO_STREAM_AUGMENT_TRAIN, iteration, out);
}

ftso_status ftso_feed_valid(ftso_feed *feed, uint64_t seed, int64_t iteration,
                            const ftso_feed_batch **out)
{
    ftso_random_permutation(seed, FTSO_STREAM_SHUFFLE_VALID, (uint64_t)iteration, feed->valid_count,
                            feed->batch, feed->valid_order);
    for (int64_t i = 0; i < feed->batch; i++) feed->valid_order[i] += (int32_t)feed->train_count;
    return make(feed, feed->valid_order, feed->batch, &feed->valid, seed, FTSO_STREAM_AUGMENT_VALID,
                iteration, out);
}

ftso_status ftso_feed_plain(ftso_feed *feed, int64_t begin, int64_t count,
                            const ftso_feed_batch **out)
{
    FTSO_ASSERT(begin >= 0 && count <= feed->batch && begin + count <= feed->valid_count);
    for (int64_t i = 0; i < count; i++)
        feed->valid_order[i] = (int32_t)(feed->train_count + begin + i);
    return make(feed, feed->valid_order, count, &feed->plain, 0, FTSO_STREAM_AUGMENT_VALID, 0, out);
}
