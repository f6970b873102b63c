/*
 * ftso verify: an artefact against the reference, on this machine.
 *
 * In: an executable, a library or an object that ftso built. Out: the errors of its results; exit code 5 where they, its bytes
 * or its stored results are not what they must be. Holds: the reference is the interpreter over the network's text and the
 * weights that the file holds; the artefact runs in a process of its own, so that a crash is a result too.
 */
#include "cli/build.h"
#include "cli/options.h"

#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

typedef struct verify_choices {
    const char *path;
    int64_t images;
    uint64_t seed;
} verify_choices;

enum { KEY_IMAGES = 512, KEY_SEED, MAX_IMAGES = 1000, MAX_FILE_BYTES = 1 << 30 };

static const struct argp_option options[] = {
    {"images", KEY_IMAGES, "N", 0, "images by chance that are compared (default 2)", 0},
    {"seed", KEY_SEED, "N", 0, "which ones (default 1)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    verify_choices *chosen = state->input;
    char *end = NULL;
    switch (key) {
    case KEY_IMAGES:
        chosen->images = strtol(arg, &end, 10);
        if (*end || chosen->images < 1 || chosen->images > MAX_IMAGES)
            argp_error(state, "--images takes a number from 1 to %d, not '%s'", MAX_IMAGES, arg);
        break;
    case KEY_SEED:
        chosen->seed = strtoull(arg, &end, 10);
        if (*end || !*arg) argp_error(state, "--seed takes a number, not '%s'", arg);
        break;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) argp_error(state, "one artefact at a time");
        chosen->path = arg;
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which artefact?");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    options,
    parse,
    "ARTEFACT",
    "Compares what ftso build made with the reference interpreter on this machine: its bytes, its "
    "stored results, and the results of images by chance.\v"
    "Example: ftso verify ./classify",
    NULL,
    NULL,
    NULL};

/* What the file says of itself. */
typedef struct subject {
    ftso_arena *arena;
    const char *path;
    char *bytes;
    size_t size;
    const char *kind, *prefix, *triple; /* of the record; the last two may be NULL */
    bool sealed;
    ftso_diag diag;
    ftso_graph graph; /* as it was lowered */
    ftso_value image, logits;
    int64_t pixels, classes;
    ftso_reference reference;
    ftso_interp *interp, *disturbed; /* of it */
} subject;

static ftso_status part(const subject *s, const char *section, const char **out, size_t *out_size)
{
    size_t at;
    *out = NULL;
    *out_size = 0;
    if (!ftso_section_find(s->bytes, s->size, section, &at, out_size))
        return ftso_build_no_artefact(s->path, section, s->bytes, s->size);
    *out = s->bytes + at;
    return FTSO_STATUS_OK;
}

static ftso_status read_record(subject *s)
{
    const char *text;
    size_t size;
    FTSO_TRY(part(s, FTSO_SECTION_RECORD, &text, &size));
    cJSON *record = cJSON_ParseWithLength(text, size);
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "kind"));
    const char *prefix = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "prefix"));
    const char *triple = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "triple"));
    if (triple) s->triple = ftso_strdup(s->arena, triple);
    if (kind) s->kind = ftso_strdup(s->arena, kind);
    if (prefix) s->prefix = ftso_strdup(s->arena, prefix);
    cJSON_Delete(record);
    if (s->kind) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DATA, "the build record of '%s' is damaged", s->path);
}

static void check_seal(subject *s)
{
    size_t at;
    ftso_seal seal;
    if (!ftso_seal_find(s->bytes, s->size, &at)) return;
    memcpy(&seal, s->bytes + at, sizeof(seal));
    s->sealed = seal.hash == ftso_seal_hash(s->bytes, s->size, at);
}

/* ---------------------------------------------------------------- the reference */

static ftso_status read_graph(subject *s)
{
    enum { MAX_TEXT_BYTES = 64 << 20 };
    const char *packed;
    size_t size;
    FTSO_TRY(part(s, FTSO_SECTION_GRAPH, &packed, &size));
    uLongf room = size < MAX_TEXT_BYTES / 64 ? 64 * size + 4096 : MAX_TEXT_BYTES;
    char *text = FTSO_ARRAY(s->arena, char, room);
    ftso_status damaged = ftso_error(FTSO_ERROR_DATA, "the network in '%s' is damaged", s->path);
    if (uncompress((Bytef *)text, &room, (const Bytef *)packed, size) != Z_OK) return damaged;
    ftso_diag_init(&s->diag, s->arena);
    uint32_t file = ftso_diag_add_source(&s->diag, "network", text, room);
    ftso_graph_init(&s->graph, s->arena, ftso_primitives());
    if (!ftso_graph_parse(&s->graph, &s->diag, file)) return damaged;
    s->image = ftso_graph_find(&s->graph, "image");
    s->logits = ftso_build_output(&s->graph, "logits");
    if (s->image == FTSO_NO_VALUE || s->logits == FTSO_NO_VALUE) return damaged;
    s->pixels = ftso_shape_count(ftso_graph_shape(&s->graph, s->image));
    s->classes = ftso_shape_count(ftso_graph_shape(&s->graph, s->logits));
    return ftso_graph_verify(&s->graph).code == FTSO_OK ? FTSO_STATUS_OK : damaged;
}

/* States lie one after another, each at a cache line, with what ftso_layout_bytes adds. */
static ftso_status bind_weights(subject *s)
{
    const char *bytes;
    size_t size, at = 0;
    FTSO_TRY(part(s, FTSO_SECTION_WEIGHTS, &bytes, &size));
    ftso_target any;
    FTSO_TRY(ftso_target_host(s->arena, &any));
    for (size_t v = 0; v < s->graph.node_count; v++) {
        const ftso_node *node = &s->graph.nodes[v];
        if (!ftso_node_is(node, "state")) continue;
        size_t count = (size_t)ftso_shape_count(node->shape);
        if (at > size || count > (size - at) / sizeof(float))
            return ftso_error(FTSO_ERROR_DATA, "the weights in '%s' are cut short", s->path);
        double *numbers = FTSO_ARRAY(s->arena, double, count + 1);
        for (size_t i = 0; i < count; i++) {
            float number;
            memcpy(&number, bytes + at + i * sizeof(float), sizeof(number));
            numbers[i] = (double)number;
        }
        const char *name = node->attrs[ftso_op_attr(node->op, "name")].name;
        FTSO_TRY(ftso_build_bind(s->interp, s->reference.graph, name, numbers, (int64_t)count));
        FTSO_TRY(ftso_build_bind(s->disturbed, s->reference.graph, name, numbers, (int64_t)count));
        at += ((size_t)ftso_layout_bytes(&any, node->shape, FTSO_ELEMENT_FP32) + 63) / 64 * 64;
    }
    return FTSO_STATUS_OK;
}

static ftso_status reference(subject *s, const float *image, double *out, ftso_growth *growth)
{
    size_t count = (size_t)s->pixels;
    double *numbers = FTSO_ARRAY(s->arena, double, count);
    for (size_t i = 0; i < count; i++) numbers[i] = (double)image[i];
    FTSO_TRY(ftso_build_bind(s->interp, s->reference.graph, "image", numbers, s->pixels));
    FTSO_TRY(ftso_build_bind(s->disturbed, s->reference.graph, "image", numbers, s->pixels));
    return ftso_build_reference(s->interp, s->disturbed, &s->reference, out, growth);
}

/* ---------------------------------------------------------------- the artefact, in a process of its own */

static bool write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

static bool read_all(int fd, void *bytes, size_t size)
{
    char *at = bytes;
    while (size > 0) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* The library's functions as this file calls them. */
typedef int create_function(void **out_context, const void *options);
typedef int run_function(void *context, const float *images, size_t count, float *out_logits);

static void *symbol(const subject *s, void *library, const char *name)
{
    return dlsym(library, ftso_format(s->arena, "%s_%s", s->prefix, name));
}

/* In the child: 0 when the logits are in `out`. */
static int call_library(const subject *s, const char *library_path, const float *images,
                        int64_t count, float *out)
{
    void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL), *context;
    if (!library) return 1;
    void *create_at = symbol(s, library, "create"), *run_at = symbol(s, library, "run");
    create_function *create;
    run_function *run;
    memcpy(&create, &create_at, sizeof(create));
    memcpy(&run, &run_at, sizeof(run));
    if (!create || !run || create(&context, NULL) != 0) return 1;
    return run(context, images, (size_t)count, out);
}

/* In the child, for an executable: becomes it. */
static void become(const char *path, const int in[2], const int out[2])
{
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
    const char *full = realpath(path, NULL);
    if (full) execl(full, full, "--raw", "--logits", (char *)NULL);
}

static ftso_status died(const subject *s, int code)
{
    if (WIFSIGNALED(code))
        return ftso_error(FTSO_ERROR_DATA, "'%s' was ended by signal %d (%s)", s->path,
                          WTERMSIG(code), strsignal(WTERMSIG(code)));
    return ftso_error(FTSO_ERROR_DATA, "'%s' does not run: exit code %d", s->path,
                      WEXITSTATUS(code));
}

/* `library_path` NULL: the artefact is an executable. */
static ftso_status results(const subject *s, const char *library_path, const float *images,
                           int64_t count, float *out)
{
    size_t size = (size_t)(count * s->classes) * sizeof(float);
    int in[2], back[2], code = 0;
    if (!library_path && access(s->path, X_OK) < 0)
        return ftso_error(FTSO_ERROR_DATA, "'%s' may not be run: %s (chmod +x?)", s->path,
                          strerror(errno));
    if (pipe(in) < 0 || pipe(back) < 0)
        return ftso_error(FTSO_ERROR_LIMIT, "no pipe to '%s': %s", s->path, strerror(errno));
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return ftso_error(FTSO_ERROR_LIMIT, "no process for '%s': %s", s->path, strerror(errno));
    if (child == 0) {
        if (!library_path) {
            become(s->path, in, back);
            _exit(FTSO_ERROR_DATA);
        }
        int failed = call_library(s, library_path, images, count, out);
        _exit(failed || !write_all(back[1], out, size) ? FTSO_ERROR_DATA : FTSO_OK);
    }
    close(in[0]), close(back[1]);
    /* An executable takes all images before it answers, or ends: its pipe holds what it says of MAX_IMAGES. */
    if (!library_path) (void)write_all(in[1], images, (size_t)(count * s->pixels) * sizeof(float));
    close(in[1]);
    bool got = read_all(back[0], out, size);
    close(back[0]);
    while (waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    if (code != 0) return died(s, code);
    return got ? FTSO_STATUS_OK : ftso_error(FTSO_ERROR_DATA, "'%s' gave too few results", s->path);
}

/* ---------------------------------------------------------------- comparing */

/* Largest and relative L2 error over images. */
typedef struct errors {
    double largest, difference, norm;
    int64_t class_of_largest;
} errors;

static void add_errors(errors *e, const double *expected, const double *got, int64_t classes)
{
    for (int64_t c = 0; c < classes; c++) {
        double d = fabs(got[c] - expected[c]);
        if (!(d <= e->largest)) {
            e->largest = d;
            e->class_of_largest = c;
        }
        e->difference += d * d;
        e->norm += expected[c] * expected[c];
    }
}

static double relative(const errors *e)
{
    return e->difference > 0 || isnan(e->difference) ? sqrt(e->difference / e->norm)
                                                     : e->difference;
}

static bool show(const char *what, const errors *e, double allowed)
{
    bool right = relative(e) <= allowed;
    printf("%-8s %s: relative error %.2e of %.2e allowed, largest %.2e (output %lld)\n", what,
           right ? "ok" : "WRONG", relative(e), allowed, e->largest,
           (long long)e->class_of_largest);
    return right;
}

/* The stored results are what the reference makes of the stored images and the file's own weights. */
static ftso_status check_stored(subject *s, bool *out_right)
{
    static const double allowed = 1e-12; /* the same arithmetic, perhaps by another C library */
    const char *images, *logits;
    size_t image_bytes, logit_bytes;
    FTSO_TRY(part(s, FTSO_SECTION_TEST_INPUT, &images, &image_bytes));
    FTSO_TRY(part(s, FTSO_SECTION_TEST_OUTPUT, &logits, &logit_bytes));
    size_t each_image = (size_t)s->pixels * sizeof(float),
           each_logit = (size_t)s->classes * sizeof(double), count = image_bytes / each_image;
    if (count < 1 || count > MAX_IMAGES || image_bytes != count * each_image ||
        logit_bytes != count * each_logit)
        return ftso_error(FTSO_ERROR_DATA, "the stored results in '%s' are damaged", s->path);
    float *image = FTSO_ARRAY(s->arena, float, s->pixels);
    double *stored = FTSO_ARRAY(s->arena, double, s->classes),
           *now = FTSO_ARRAY(s->arena, double, s->classes);
    errors e = {0};
    ftso_growth ignored = {0};
    for (size_t i = 0; i < count; i++) {
        memcpy(image, images + i * each_image, each_image);
        memcpy(stored, logits + i * each_logit, each_logit);
        FTSO_TRY(reference(s, image, now, &ignored));
        add_errors(&e, now, stored, s->classes);
    }
    *out_right = show("stored", &e, allowed);
    return FTSO_STATUS_OK;
}

/* A trainer takes no images by chance: it takes its training step, and says itself whether that is right. */
static ftso_status check_step(const subject *s, bool *out_right)
{
    int code = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return ftso_error(FTSO_ERROR_LIMIT, "no process for '%s': %s", s->path, strerror(errno));
    if (child == 0) {
        const char *full = realpath(s->path, NULL);
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        if (full) execl(full, full, "--self-test", (char *)NULL);
        _exit(FTSO_ERROR_DATA);
    }
    while (waitpid(child, &code, 0) < 0 && errno == EINTR) {
    }
    *out_right = code == 0;
    if (code == 0)
        printf("results  ok: a training step, by the trainer's own self-test\n");
    else
        printf("results  WRONG: %s\n", died(s, code).message);
    return FTSO_STATUS_OK;
}

static ftso_status check_results(subject *s, const verify_choices *chosen, const char *library,
                                 bool *out_right)
{
    int64_t count = chosen->images;
    float *images = FTSO_ARRAY(s->arena, float, (count * s->pixels)),
          *logits = FTSO_ARRAY(s->arena, float, (count * s->classes));
    ftso_images_draw(chosen->seed, count * s->pixels, images);
    ftso_status run = results(s, library, images, count, logits);
    ftso_growth growth = {0};
    errors e = {0};
    double *expected = FTSO_ARRAY(s->arena, double, s->classes),
           *got = FTSO_ARRAY(s->arena, double, s->classes);
    for (int64_t i = 0; i < count && run.code == FTSO_OK; i++) {
        FTSO_TRY(reference(s, images + i * s->pixels, expected, &growth));
        for (int64_t c = 0; c < s->classes; c++) got[c] = (double)logits[i * s->classes + c];
        add_errors(&e, expected, got, s->classes);
    }
    *out_right =
        run.code == FTSO_OK && show("results", &e, ftso_build_tolerance(&s->reference, &growth));
    if (run.code != FTSO_OK) printf("results  WRONG: %s\n", run.message);
    return FTSO_STATUS_OK;
}

/* Code for another machine is not run; its bytes and its stored results are judged all the same. */
static ftso_status not_here(const subject *s)
{
    ftso_target host;
    FTSO_TRY(ftso_target_host(s->arena, &host));
    size_t length = strcspn(host.triple, "-");
    if (!s->triple || (strncmp(s->triple, host.triple, length) == 0 && s->triple[length] == '-'))
        return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DEVICE,
                      "'%s' is for %s and was not run here; its own --self-test runs there",
                      s->path, s->triple);
}

static ftso_status verify(subject *s, const verify_choices *chosen)
{
    FTSO_TRY(ftso_file_read(s->arena, s->path, MAX_FILE_BYTES, &s->bytes, &s->size));
    FTSO_TRY(read_record(s));
    check_seal(s);
    FTSO_TRY(read_graph(s));
    const ftso_pipeline road = ftso_pipeline_default();
    FTSO_TRY(ftso_pipeline_reference(&road, s->arena, &s->graph, &s->reference));
    FTSO_TRY(ftso_reference_interp(&s->reference, &s->interp));
    FTSO_TRY(ftso_reference_interp(&s->reference, &s->disturbed));
    FTSO_TRY(bind_weights(s));
    const char *library, *scratch = NULL;
    ftso_status status = FTSO_STATUS_OK, away = not_here(s);
    if (away.code == FTSO_OK)
        status = ftso_build_loadable(s->arena, s->kind, s->path, &library, &scratch);
    bool stored = false, right = false;
    printf("bytes    %s\n", s->sealed ? "ok" : "WRONG: this is not what was built");
    if (status.code == FTSO_OK) status = check_stored(s, &stored);
    if (status.code == FTSO_OK && away.code == FTSO_OK)
        status = ftso_build_kind_find(s->kind)->trains ? check_step(s, &right)
                                                       : check_results(s, chosen, library, &right);
    if (scratch) ftso_scratch_remove(scratch);
    FTSO_TRY(status);
    if (s->sealed && stored && away.code != FTSO_OK) return away;
    if (s->sealed && stored && right) return FTSO_STATUS_OK;
    return ftso_error(FTSO_ERROR_DATA, "'%s' is damaged", s->path);
}

int ftso_verb_verify(int argc, char **argv)
{
    verify_choices chosen = {.images = 2, .seed = 1};
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    signal(SIGPIPE, SIG_IGN); /* an artefact that ends early is a result */
    ftso_arena arena;
    ftso_arena_init(&arena);
    subject s = {.arena = &arena, .path = chosen.path};
    code = ftso_report(verify(&s, &chosen));
    ftso_interp_free(s.interp);
    ftso_interp_free(s.disturbed);
    ftso_arena_deinit(&arena);
    return code;
}
