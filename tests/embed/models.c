/*
 * Several models with hostile names in one program: each on threads of its own, all at once, against its own results on one
 * thread. In: the headers of free.h, int.h and a_b.h. Out: exit code 0 when nothing differs. C99.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <free.h>
#include <int.h>

#include <a_b.h>

enum { THREADS = 8, RUNS = 25, IMAGES = 3, PIXELS = 144, CLASSES = 10 };

static float images[IMAGES * PIXELS];

/* What a model's functions are, whatever its prefix. */
typedef struct model {
    int (*create)(void **context);
    int (*run)(void *context, float *out);
    void (*destroy)(void *context);
    float wanted[IMAGES * CLASSES];
} model;

#define MODEL(name)                                                                                \
    static int create_##name(void **context)                                                       \
    {                                                                                              \
        name##_options options;                                                                    \
        memset(&options, 0, sizeof(options));                                                      \
        options.size_bytes = sizeof(options);                                                      \
        options.threads = 2;                                                                       \
        return name##_create((name##_context **)context, &options);                                \
    }                                                                                              \
    static int run_##name(void *context, float *out)                                               \
    {                                                                                              \
        int code = name##_run((name##_context *)context, images, IMAGES, out);                     \
        return code == name##_OK ? name##_self_test((name##_context *)context) : code;             \
    }                                                                                              \
    static void destroy_##name(void *context)                                                      \
    {                                                                                              \
        name##_destroy((name##_context *)context);                                                 \
    }

MODEL(free)
MODEL(int)
MODEL(a_b)

static model models[] = {{create_free, run_free, destroy_free, {0}},
                         {create_int, run_int, destroy_int, {0}},
                         {create_a_b, run_a_b, destroy_a_b, {0}}};

enum { MODELS = sizeof(models) / sizeof(models[0]) };

/* One thread's work: a context, many runs. Returns what went wrong, or NULL. */
static void *work(void *user)
{
    const model *m = (const model *)user;
    float logits[IMAGES * CLASSES];
    void *context = NULL;
    char *wrong = NULL;
    int i;
    if (m->create(&context) != 0) return (void *)"create";
    for (i = 0; i < RUNS && !wrong; i++) {
        if (m->run(context, logits) != 0) wrong = (char *)"run";
        if (!wrong && memcmp(logits, m->wanted, sizeof(logits)) != 0)
            wrong = (char *)"results differ";
    }
    m->destroy(context);
    return wrong;
}

int main(void)
{
    pthread_t threads[THREADS];
    int i, failures = 0;
    for (i = 0; i < IMAGES * PIXELS; i++) images[i] = (float)(i * 7919 % 256 - 128) / 64;
    for (i = 0; i < MODELS; i++) {
        void *context = NULL;
        if (models[i].create(&context) != 0 || models[i].run(context, models[i].wanted) != 0)
            return 1;
        models[i].destroy(context);
    }
    /* Other weights, other results: they are three models, not one three times. */
    if (memcmp(models[0].wanted, models[1].wanted, sizeof(models[0].wanted)) == 0 ||
        memcmp(models[1].wanted, models[2].wanted, sizeof(models[0].wanted)) == 0)
        return 2;
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &models[i % MODELS]) != 0) return 3;
    for (i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        if (wrong) fprintf(stderr, "model %d: %s\n", i % MODELS, (const char *)wrong);
        failures += wrong != NULL;
    }
    printf("%d models on %d threads, %d failures\n", (int)MODELS, (int)THREADS, failures);
    return failures != 0;
}
