/*
 * Batches: images chosen by number, each taken through the transform, in the pool or ahead of time.
 *
 * In: a wish: which images, which transform, where in the run. Out: planes and labels. Holds: who makes an image does not
 * matter to it; the status is that of the first image that failed, by its place in the batch.
 * Start reading at `work`: whoever helps takes the next image until none is left.
 */
#include "runtime_internal.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What one thread works in. */
typedef struct workplace {
    ftso_block file;
    ftso_picture fetched;
    ftso_desk desk;
} workplace;

struct ftso_maker {
    ftso_pool *pool;
    ftso_batch_wish wish;
    ftso_levels levels;
    _Atomic int64_t next; /* image that nobody has taken */
    workplace *places;    /* one per thread of the pool, then the maker's own thread's */
    size_t place_count;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, left;
    /* Under the lock: */
    bool open, inside, quit; /* a batch may be joined; the maker's thread works on it */
    int64_t failed;          /* the first image that failed, or `count` */
    ftso_status status;
};

static ftso_status fetch(const ftso_images *images, int64_t index, workplace *place,
                         ftso_pixels *out)
{
    if (images->pixels) {
        int64_t plane = images->height * images->width;
        *out = (ftso_pixels){.base = images->pixels + index * images->channels * plane,
                             .channels = images->channels,
                             .height = images->height,
                             .width = images->width,
                             .channel_step = plane,
                             .row_step = images->width,
                             .column_step = 1};
        return FTSO_STATUS_OK;
    }
    char path[PATH_MAX];
    ftso_picture_files_path(images, index, path, sizeof(path));
    FTSO_TRY(ftso_picture_read_into(path, images->channels, &place->file, &place->fetched));
    *out = ftso_picture_pixels(&place->fetched);
    return FTSO_STATUS_OK;
}

static ftso_status make_image(const ftso_maker *maker, int64_t k, workplace *place)
{
    const ftso_batch_wish *w = &maker->wish;
    int64_t index = w->indices[k], image = w->images->channels * w->side * w->side;
    ftso_pixels pixels;
    FTSO_TRY(fetch(w->images, index, place, &pixels));
    const ftso_moment where = {.seed = w->seed, .step = w->step, .stream = w->stream, .index = k};
    char name[PATH_MAX];
    ftso_status status = ftso_image_make(&place->desk, &pixels, w->transform, &maker->levels,
                                         w->side, &where, w->out + k * image);
    if (status.code != FTSO_OK)
        return ftso_annotate(status, "%s",
                             ftso_images_describe(w->images, index, name, sizeof(name)));
    w->out_labels[k] = (float)w->images->labels[index];
    return FTSO_STATUS_OK;
}

static void work(ftso_maker *maker, workplace *place)
{
    int64_t k;
    while ((k = atomic_fetch_add(&maker->next, 1)) < maker->wish.count) {
        ftso_status status = make_image(maker, k, place);
        if (status.code == FTSO_OK) continue;
        pthread_mutex_lock(&maker->lock);
        if (k < maker->failed) {
            maker->failed = k;
            maker->status = status;
        }
        pthread_mutex_unlock(&maker->lock);
    }
}

static void help(void *user, int64_t item, int thread)
{
    (void)item;
    ftso_maker *maker = user;
    work(maker, &maker->places[thread]);
}

/* ---------------------------------------------------------------- ahead of time */

static void *thread_main(void *argument)
{
    ftso_maker *maker = argument;
    /* What the pool computes goes first: this thread takes what is left of the processors. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    pthread_mutex_lock(&maker->lock);
    for (;;) {
        while (!maker->quit && !maker->open) pthread_cond_wait(&maker->wake, &maker->lock);
        if (maker->quit) break;
        maker->open = false;
        maker->inside = true;
        pthread_mutex_unlock(&maker->lock);
        work(maker, &maker->places[maker->place_count - 1]);
        pthread_mutex_lock(&maker->lock);
        maker->inside = false;
        pthread_cond_signal(&maker->left);
    }
    pthread_mutex_unlock(&maker->lock);
    return NULL;
}

static ftso_status maker_init(ftso_maker *maker, ftso_pool *pool)
{
    memset(maker, 0, sizeof(*maker));
    maker->pool = pool;
    maker->place_count = (size_t)ftso_pool_threads(pool) + 1;
    maker->places = ftso_mem_alloc(maker->place_count * sizeof(workplace));
    if (!maker->places) return ftso_error(FTSO_ERROR_LIMIT, "no memory to make a batch");
    memset(maker->places, 0, maker->place_count * sizeof(workplace));
    pthread_mutex_init(&maker->lock, NULL);
    return FTSO_STATUS_OK;
}

static void maker_deinit(ftso_maker *maker)
{
    for (size_t i = 0; i < maker->place_count; i++) {
        ftso_block_deinit(&maker->places[i].file);
        ftso_picture_deinit(&maker->places[i].fetched);
        ftso_desk_deinit(&maker->places[i].desk);
    }
    ftso_mem_free(maker->places);
    pthread_mutex_destroy(&maker->lock);
}

static void begin(ftso_maker *maker, const ftso_batch_wish *wish)
{
    maker->wish = *wish;
    ftso_levels_make(wish->transform, wish->images->channels, &maker->levels);
    maker->failed = wish->count;
    maker->status = FTSO_STATUS_OK;
    atomic_store(&maker->next, 0);
}

ftso_status ftso_maker_new(ftso_pool *pool, ftso_maker **out_maker)
{
    *out_maker = NULL;
    ftso_maker *maker = ftso_mem_alloc(sizeof(*maker));
    if (!maker) return ftso_error(FTSO_ERROR_LIMIT, "no memory to make a batch");
    ftso_status status = maker_init(maker, pool);
    if (status.code != FTSO_OK) {
        ftso_mem_free(maker);
        return status;
    }
    pthread_cond_init(&maker->wake, NULL);
    pthread_cond_init(&maker->left, NULL);
    /* Where no further thread is to be had, the pool makes all of each batch. */
    maker->has_thread = pthread_create(&maker->thread, NULL, thread_main, maker) == 0;
    *out_maker = maker;
    return FTSO_STATUS_OK;
}

void ftso_maker_free(ftso_maker *maker)
{
    if (!maker) return;
    pthread_mutex_lock(&maker->lock);
    maker->quit = true;
    pthread_cond_signal(&maker->wake);
    pthread_mutex_unlock(&maker->lock);
    atomic_store(&maker->next, INT64_MAX / 2); /* nobody takes another image */
    if (maker->has_thread) pthread_join(maker->thread, NULL);
    pthread_cond_destroy(&maker->wake);
    pthread_cond_destroy(&maker->left);
    maker_deinit(maker);
    ftso_mem_free(maker);
}

void ftso_maker_start(ftso_maker *maker, const ftso_batch_wish *wish)
{
    pthread_mutex_lock(&maker->lock);
    FTSO_ASSERT(!maker->open && !maker->inside);
    begin(maker, wish);
    maker->open = maker->has_thread;
    pthread_cond_signal(&maker->wake);
    pthread_mutex_unlock(&maker->lock);
}

ftso_status ftso_maker_finish(ftso_maker *maker)
{
    ftso_pool_run(maker->pool, ftso_pool_threads(maker->pool), help, maker);
    pthread_mutex_lock(&maker->lock);
    maker->open = false;
    while (maker->inside) pthread_cond_wait(&maker->left, &maker->lock);
    pthread_mutex_unlock(&maker->lock);
    return maker->status;
}

/* ---------------------------------------------------------------- at once */

ftso_status ftso_batch_make(const ftso_images *images, const int32_t *indices, int64_t count,
                            const ftso_transform *transform, int64_t side, uint64_t seed,
                            ftso_stream stream, uint64_t step, ftso_pool *pool, float *out,
                            float *out_labels)
{
    const ftso_batch_wish wish = {.images = images,
                                  .indices = indices,
                                  .count = count,
                                  .transform = transform,
                                  .side = side,
                                  .seed = seed,
                                  .stream = stream,
                                  .step = step,
                                  .out = out,
                                  .out_labels = out_labels};
    ftso_maker maker;
    FTSO_TRY(maker_init(&maker, pool));
    begin(&maker, &wish);
    ftso_pool_run(pool, ftso_pool_threads(pool), help, &maker);
    maker_deinit(&maker);
    return maker.status;
}
