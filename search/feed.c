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

static const char *const transform_names[] = {
    [FTSO_AUG_CROP] = "crop",
    [FTSO_AUG_FLIP] = "flip",
    [FTSO_AUG_CUTOUT] = "cutout",
    [FTSO_AUG_NORMALIZE] = "normalize",
    [FTSO_AUG_RESIZED_CROP] = "resized_crop",
    [FTSO_AUG_COLOR_JITTER] = "color_jitter",
    [FTSO_AUG_RESIZE] = "resize",
    [FTSO_AUG_CENTER_CROP] = "center_crop",
};

static ftso_status read_transform(const ftso_dataset *dataset, const ftso_augment *steps,
                                  size_t count, ftso_transform *out)
{
    memset(out, 0, sizeof(*out));
    for (int c = 0; c < 4; c++) out->std[c] = 1;
    for (size_t i = 0; i < count; i++) {
        const ftso_augment *step = &steps[i];
        switch (step->kind) {
        case FTSO_AUG_CROP:
            out->crop_side = (int64_t)step->args[0];
            out->crop_pad = (int64_t)step->args[1];
            break;
        case FTSO_AUG_FLIP:
            out->flip = (float)step->args[0];
            break;
        case FTSO_AUG_CUTOUT:
            out->cutout_side = (int64_t)step->args[0];
            break;
        case FTSO_AUG_NORMALIZE:
            if (out->cutout_side > 0)
                return ftso_error(FTSO_ERROR_USER,
                                  "data set '%s': cutout sets normalised pixels to zero, so it "
                                  "must come after normalize",
                                  dataset->name);
            for (int c = 0; c < 4; c++) {
                out->mean[c] = (float)dataset->mean[c];
                out->std[c] = dataset->std[c] > 0 ? (float)dataset->std[c] : 1;
            }
            break;
        default:
            return ftso_error(FTSO_ERROR_USER,
                              "data set '%s': a search runs crop, flip, normalize and cutout, not "
                              "%s; images of the right size need none",
                              dataset->name, transform_names[step->kind]);
        }
    }
    return FTSO_STATUS_OK;
}

/* That the images are what the space file says of them, and that there are enough. */
static ftso_status check_images(const ftso_search *search, const ftso_images *images,
                                const ftso_feed *feed)
{
    const ftso_dataset *dataset = search->dataset;
    if (images->channels != dataset->channels || images->height != dataset->side ||
        images->width != dataset->side)
        return ftso_error(FTSO_ERROR_USER,
                          "data set '%s': the images are %lld x %lld x %lld, the space file says "
                          "%lld x %lld x %lld",
                          dataset->name, (long long)images->channels, (long long)images->height,
                          (long long)images->width, (long long)dataset->channels,
                          (long long)dataset->side, (long long)dataset->side);
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
    for (size_t i = 0; i < FTSO_COUNT(transforms); i++)
        if (transforms[i]->crop_side > 0 && transforms[i]->crop_side != dataset->side)
            return ftso_error(FTSO_ERROR_USER, "data set '%s': crop(%lld) of images of side %lld",
                              dataset->name, (long long)transforms[i]->crop_side,
                              (long long)dataset->side);
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
    FTSO_TRY(read_transform(dataset, dataset->train_transform, dataset->train_count, &feed->train));
    FTSO_TRY(read_transform(dataset, dataset->test_transform, dataset->test_count, &feed->plain));
    feed->valid = search->augment_valid ? feed->train : feed->plain;
    FTSO_TRY(check_images(search, images, feed));
    feed->per_epoch = (feed->train_count + feed->batch - 1) / feed->batch;
    feed->order = FTSO_ARRAY(arena, int32_t, (size_t)feed->train_count);
    feed->valid_order = FTSO_ARRAY(arena, int32_t, (size_t)feed->valid_count);
    size_t image = (size_t)(images->channels * images->height * images->width);
    feed->out.image = FTSO_ARRAY(arena, float, image *(size_t)feed->batch);
    feed->out.label = FTSO_ARRAY(arena, float, (size_t)feed->batch);
    return FTSO_STATUS_OK;
}

static const ftso_feed_batch *make(ftso_feed *feed, const int32_t *indices, int64_t count,
                                   const ftso_transform *transform, uint64_t seed,
                                   ftso_stream stream, int64_t iteration)
{
    ftso_batch_make(feed->images, indices, count, transform, seed, stream, (uint64_t)iteration,
                    feed->pool, feed->out.image, feed->out.label);
    feed->out.count = count;
    return &feed->out;
}

const ftso_feed_batch *ftso_feed_train(ftso_feed *feed, uint64_t seed, int64_t iteration)
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
                seed, FTSO_STREAM_AUGMENT_TRAIN, iteration);
}

const ftso_feed_batch *ftso_feed_valid(ftso_feed *feed, uint64_t seed, int64_t iteration)
{
    ftso_random_permutation(seed, FTSO_STREAM_SHUFFLE_VALID, (uint64_t)iteration, feed->valid_count,
                            feed->batch, feed->valid_order);
    for (int64_t i = 0; i < feed->batch; i++) feed->valid_order[i] += (int32_t)feed->train_count;
    return make(feed, feed->valid_order, feed->batch, &feed->valid, seed, FTSO_STREAM_AUGMENT_VALID,
                iteration);
}

const ftso_feed_batch *ftso_feed_plain(ftso_feed *feed, int64_t begin, int64_t count)
{
    FTSO_ASSERT(begin >= 0 && count <= feed->batch && begin + count <= feed->valid_count);
    ftso_transform still = feed->plain; /* a test transform has no chance in it; make sure */
    still.flip = 0;
    still.cutout_side = still.crop_side = still.crop_pad = 0;
    for (int64_t i = 0; i < count; i++)
        feed->valid_order[i] = (int32_t)(feed->train_count + begin + i);
    return make(feed, feed->valid_order, count, &still, 0, FTSO_STREAM_AUGMENT_VALID, 0);
}
