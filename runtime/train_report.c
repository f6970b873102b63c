/*
 * What a training says to people, and how it takes up where it was left.
 *
 * In: a training as train.h has it. Out: lines of text; the newest checkpoint. Holds: nothing here has a part in a result.
 */
#include "runtime/train.h"

#include <string.h>
#include <unistd.h>

static double image_bytes(const ftso_images *images)
{
    return (double)(images->count * images->channels * images->height * images->width);
}

ftso_status ftso_training_announce(const ftso_training *t, const char *name, FILE *out)
{
    const ftso_device *device = t->device;
    const ftso_recipe *recipe = t->recipe;
    int64_t weights = ftso_parameters_total(t->weights, t->weight_count);
    double plan = device->bytes ? (double)device->bytes(device->self) : 0;
    double images = image_bytes(t->images) + image_bytes(t->test_images);
    double kept = 4.0 * (double)(weights * (int64_t)(1 + t->moment_count) +
                                 ftso_parameters_total(t->running, t->running_count));
    double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (plan + images > machine && machine > 0)
        return ftso_error(FTSO_ERROR_LIMIT,
                          "the training takes %.2f GB and the machine has %.2f GB: try batch %lld",
                          (plan + images) / 1e9, machine / 1e9,
                          (long long)((double)recipe->batch * machine / (plan + images) / 2) + 1);
    if (!out) return FTSO_STATUS_OK;
    fprintf(out,
            "%s: %lld parameters, %lld training and %lld test images, %lld epochs at batch %lld\n",
            name, (long long)weights, (long long)t->images->count, (long long)t->test_images->count,
            (long long)recipe->epochs, (long long)recipe->batch);
    fprintf(out, "memory: %.3f GB of plan, %.3f GB of images; %.1f MB a checkpoint\n", plan / 1e9,
            images / 1e9, kept / 1e6);
    fprintf(out, " epoch      loss       top-1 test loss       top-1       top-5   seconds\n");
    fflush(out);
    return FTSO_STATUS_OK;
}

void ftso_epoch_print(const ftso_epoch *epoch, FILE *out)
{
    double images = (double)epoch->test.images;
    fprintf(out, "%6lld %9.4f %9.2f %% %9.4f %9.2f %% %9.2f %% %9.1f%s\n", (long long)epoch->epoch,
            epoch->train_loss, 100 * epoch->train_top1, epoch->test.loss_sum / images,
            100 * (double)epoch->test.top1 / images, 100 * (double)epoch->test.top5 / images,
            epoch->seconds, epoch->best ? "  best" : "");
    fflush(out);
}

ftso_status ftso_training_take_up(const ftso_training *t, ftso_checkpoint_file *out)
{
    char path[4096];
    ftso_text notes;
    ftso_text_init(&notes);
    snprintf(path, sizeof(path), "%s/checkpoints", t->folder);
    ftso_status status = ftso_checkpoint_load(path, &notes, out);
    if (notes.length && notes.data[notes.length - 1] == '\n') notes.data[--notes.length] = '\0';
    if (notes.length && t->note) t->note(t->user, ftso_text_get(&notes));
    ftso_text_deinit(&notes);
    if (status.code != FTSO_OK || !out->found || out->place.layout == t->layout) return status;
    return ftso_error(FTSO_ERROR_DATA, "the checkpoints in '%s' are of another network", t->folder);
}

uint64_t ftso_recipe_hash(uint64_t seed, const ftso_recipe *r)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%lld %lld %d %.17g %.17g %lld %lld %.17g %llu", (long long)r->epochs,
                     (long long)r->batch, (int)r->rate.kind, r->rate.first, r->rate.last,
                     (long long)r->rate.warmup, (long long)r->rate.tail, r->drop_path,
                     (unsigned long long)r->seed);
    seed = ftso_hash(seed, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return seed;
}

bool ftso_class_names_row(ftso_arena *arena, const ftso_images *images, ftso_metadata *out)
{
    if (!images->class_names) return false;
    ftso_text names;
    ftso_text_init(&names);
    ftso_class_names_print(images->class_names, images->classes, &names);
    *out = (ftso_metadata){FTSO_WEIGHTS_CLASSES, ftso_strdup(arena, ftso_text_get(&names))};
    ftso_text_deinit(&names);
    return true;
}
