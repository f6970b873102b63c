/*
 * What a produced library offers: the functions of its header, by the names that they have before the linker puts the
 * library's own prefix in place of "ftso_embed".
 *
 * In: the caller's memory, threads and images. Out: results and codes. Holds: nothing is printed, nothing ends the process,
 * nothing is allocated after create, but while a picture is prepared; contexts do not know of each other. Compiled into artefacts only.
 * The declarations are in cli/build_header.c, which writes the header.
 */
#include "runtime/artefact.h"

#include <string.h>

extern const ftso_artefact ftso_the_artefact;

/* As in the header. */
typedef enum embed_code {
    EMBED_OK,
    EMBED_BAD_ARGUMENT,
    EMBED_NO_MEMORY,
    EMBED_NO_CODE,
    EMBED_FAILED,
    EMBED_BAD_WEIGHTS
} embed_code;

typedef struct embed_options {
    size_t size_bytes;
    int threads;
    void *(*allocate)(void *user, size_t size_bytes);
    void (*release)(void *user, void *block);
    void *user;
    const void *weights;
    size_t weights_bytes;
    char *error;
    size_t error_bytes;
} embed_options;

typedef struct embed_context {
    ftso_allocator allocator;
    embed_options options;
    ftso_net net;
    ftso_transform transform;
    float *logits; /* of the self-test */
    bool has_other_weights;
} embed_context;

/* Fields are added behind the last one, so that headers of before go on to work. */
enum { ABI = 1, HEAD_BYTES = 16, LEAST_OPTIONS_BYTES = offsetof(embed_options, weights) };

int ftso_embed_abi(void);
const char *ftso_embed_info(void);
const char *ftso_embed_strerror(int code);
const char *ftso_embed_class_name(size_t number);
const char *ftso_embed_context_class_name(const embed_context *context, size_t number);
size_t ftso_embed_memory_bytes(int threads);
int ftso_embed_create(embed_context **out_context, const embed_options *options);
int ftso_embed_run(embed_context *context, const float *images, size_t count, float *out_logits);
int ftso_embed_prepare(embed_context *context, const unsigned char *pixels, size_t height,
                       size_t width, float *out_image);
int ftso_embed_self_test(embed_context *context);
void ftso_embed_destroy(embed_context *context);

/* ---------------------------------------------------------------- bugs */

/* A broken invariant cannot be reported to anyone: it stops here, without words. */
_Noreturn void ftso_assert_failed(const char *cond, const char *file, int line)
{
    (void)cond;
    (void)file;
    (void)line;
    __builtin_trap();
}

_Noreturn void ftso_arena_failed(size_t size_bytes, size_t used_bytes)
{
    (void)size_bytes;
    (void)used_bytes;
    __builtin_trap();
}

/* ---------------------------------------------------------------- the caller's memory */

/* The size stands in front of each block, for `resize`. */
static void *take(void *user, size_t size_bytes)
{
    const embed_options *options = user;
    size_t total;
    if (!ftso_size_add(size_bytes, HEAD_BYTES, &total)) return NULL;
    char *block = options->allocate(options->user, total);
    if (!block) return NULL;
    memcpy(block, &size_bytes, sizeof(size_bytes));
    return block + HEAD_BYTES;
}

static void give_back(void *user, void *block)
{
    const embed_options *options = user;
    options->release(options->user, (char *)block - HEAD_BYTES);
}

static void *take_again(void *user, void *block, size_t size_bytes)
{
    void *fresh = take(user, size_bytes);
    size_t before;
    if (!fresh || !block) return fresh;
    memcpy(&before, (char *)block - HEAD_BYTES, sizeof(before));
    memcpy(fresh, block, before < size_bytes ? before : size_bytes);
    give_back(user, block);
    return fresh;
}

/* ---------------------------------------------------------------- facts */

int ftso_embed_abi(void)
{
    return ABI;
}

const char *ftso_embed_info(void)
{
    return ftso_the_artefact.record;
}

const char *ftso_embed_strerror(int code)
{
    static const char *const texts[] = {
        [EMBED_OK] = "done",
        [EMBED_BAD_ARGUMENT] = "an argument is missing or out of range",
        [EMBED_NO_MEMORY] = "the allocator gave no memory, or a thread could not be started",
        [EMBED_NO_CODE] = "this processor lacks a feature that the code needs",
        [EMBED_FAILED] = "results differ from the stored ones: the library is damaged",
        [EMBED_BAD_WEIGHTS] = "these are not weights of this network",
    };
    return code >= 0 && (size_t)code < FTSO_COUNT(texts) ? texts[code] : "unknown code";
}

const char *ftso_embed_class_name(size_t number)
{
    return number < ftso_the_artefact.class_count ? ftso_the_artefact.classes[number] : NULL;
}

const char *ftso_embed_context_class_name(const embed_context *context, size_t number)
{
    return context && number < ftso_the_artefact.class_count ? context->net.classes[number] : NULL;
}

size_t ftso_embed_memory_bytes(int threads)
{
    int64_t most = 0;
    for (size_t i = 0; i < ftso_the_artefact.code_count; i++) {
        const ftso_program *program = ftso_the_artefact.codes[i].program;
        int64_t bytes = ftso_program_bytes(program, threads > 0 ? threads : 1);
        /* weights are used where they lie */
        for (size_t s = 0; s < program->state_count; s++) bytes -= program->states[s].size_bytes;
        most = bytes > most ? bytes : most;
    }
    return (size_t)most;
}

/* ---------------------------------------------------------------- contexts */

static embed_code code_of(ftso_status status)
{
    switch (status.code) {
    case FTSO_OK:
        return EMBED_OK;
    case FTSO_ERROR_LIMIT:
        return EMBED_NO_MEMORY;
    case FTSO_ERROR_DEVICE:
        return EMBED_NO_CODE;
    case FTSO_ERROR_DATA:
        return EMBED_BAD_WEIGHTS;
    default:
        return EMBED_BAD_ARGUMENT;
    }
}

static ftso_status start(embed_context *context)
{
    static const char given[] = "the weights given";
    const embed_options *o = &context->options;
    ftso_safetensors weights = {0};
    ftso_net_options how = {.threads = o->threads, .weights_path = given};
    context->has_other_weights = o->weights != NULL;
    if (o->weights) {
        FTSO_TRY(ftso_safetensors_parse(given, o->weights, o->weights_bytes, &weights));
        how.weights = &weights;
    }
    ftso_status status = ftso_net_init(&context->net, &ftso_the_artefact, &how);
    ftso_safetensors_deinit(&weights);
    FTSO_TRY(status);
    FTSO_TRY(ftso_transform_parse(context->net.transform, &context->transform));
    context->logits = ftso_mem_alloc(ftso_the_artefact.test_logit_bytes);
    return context->logits ? FTSO_STATUS_OK
                           : ftso_error(FTSO_ERROR_LIMIT, "no memory for the self-test");
}

static void tell(const embed_options *options, const char *text)
{
    if (options->error && options->error_bytes)
        snprintf(options->error, options->error_bytes, "%s", text);
}

int ftso_embed_create(embed_context **out_context, const embed_options *options)
{
    if (!out_context) return EMBED_BAD_ARGUMENT;
    *out_context = NULL;
    embed_options chosen = {.threads = 1};
    if (options && options->size_bytes < LEAST_OPTIONS_BYTES) return EMBED_BAD_ARGUMENT;
    if (options)
        memcpy(&chosen, options,
               options->size_bytes < sizeof(chosen) ? options->size_bytes : sizeof(chosen));
    tell(&chosen, "");
    if (!chosen.allocate != !chosen.release || chosen.threads < 0) {
        tell(&chosen, ftso_embed_strerror(EMBED_BAD_ARGUMENT));
        return EMBED_BAD_ARGUMENT;
    }

    embed_context *context = chosen.allocate ? chosen.allocate(chosen.user, sizeof(*context))
                                             : ftso_mem_alloc(sizeof(*context));
    if (!context) {
        tell(&chosen, ftso_embed_strerror(EMBED_NO_MEMORY));
        return EMBED_NO_MEMORY;
    }
    memset(context, 0, sizeof(*context));
    context->options = chosen;
    context->allocator = (ftso_allocator){take, take_again, give_back, &context->options};
    if (chosen.allocate) ftso_allocator_override(&context->allocator);
    ftso_status status = start(context);
    ftso_allocator_override(NULL);
    if (status.code == FTSO_OK) {
        /* the caller's weights and text are theirs again */
        context->options.weights = NULL;
        context->options.error = NULL;
        *out_context = context;
        return EMBED_OK;
    }
    tell(&chosen, status.message);
    ftso_embed_destroy(context);
    return code_of(status);
}

void ftso_embed_destroy(embed_context *context)
{
    if (!context) return;
    embed_options options = context->options;
    if (options.allocate) ftso_allocator_override(&context->allocator);
    ftso_mem_free(context->logits);
    ftso_net_deinit(&context->net);
    ftso_allocator_override(NULL);
    if (options.release)
        options.release(options.user, context);
    else
        ftso_mem_free(context);
}

int ftso_embed_run(embed_context *context, const float *images, size_t count, float *out_logits)
{
    if (!context || (count > 0 && (!images || !out_logits)) || count > (size_t)INT64_MAX / 2)
        return EMBED_BAD_ARGUMENT;
    ftso_net_run(&context->net, images, (int64_t)count, out_logits);
    return EMBED_OK;
}

int ftso_embed_prepare(embed_context *context, const unsigned char *pixels, size_t height,
                       size_t width, float *out_image)
{
    if (!context || !pixels || !out_image || height < 1 || width < 1 ||
        height > FTSO_PICTURE_SIDE || width > FTSO_PICTURE_SIDE ||
        height * width > FTSO_PICTURE_PIXELS)
        return EMBED_BAD_ARGUMENT;
    const ftso_artefact *a = &ftso_the_artefact;
    const ftso_picture picture = {.channels = a->channels,
                                  .height = (int64_t)height,
                                  .width = (int64_t)width,
                                  .pixels = (uint8_t *)(uintptr_t)pixels};
    if (context->options.allocate) ftso_allocator_override(&context->allocator);
    ftso_status status =
        ftso_picture_transform(&picture, &context->transform, a->height, out_image);
    ftso_allocator_override(NULL);
    return code_of(status);
}

int ftso_embed_self_test(embed_context *context)
{
    if (!context || context->has_other_weights) return EMBED_BAD_ARGUMENT;
    return ftso_net_self_test(&context->net, context->logits).passed ? EMBED_OK : EMBED_FAILED;
}
