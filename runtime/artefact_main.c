/*
 * main of a produced executable: images in, the likeliest classes out.
 *
 * In: the command line, files or standard input. Out: exit codes as ftso's own. Holds: needs no compiler and no file but
 * the images; what it prints depends on the images and the weights alone, whatever the threads.
 */
#include "runtime/artefact.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const ftso_artefact ftso_the_artefact;

typedef struct choices {
    bool raw, logits, bench, info, self_test, help;
    int top, threads, repeat;
    const char *cpu, *weights;
    char **files;
    int file_count;
} choices;

static const struct option options[] = {
    {"raw", no_argument, NULL, 'r'},
    {"logits", no_argument, NULL, 'l'},
    {"top", required_argument, NULL, 'k'},
    {"threads", required_argument, NULL, 't'},
    {"bench", optional_argument, NULL, 'b'},
    {"info", no_argument, NULL, 'i'},
    {"self-test", no_argument, NULL, 's'},
    {"cpu", required_argument, NULL, 'c'},
    {"weights", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void print_help(const char *program)
{
    const ftso_artefact *a = &ftso_the_artefact;
    printf("%s: classifies images with the network %s.\n\n"
           "  %s FILES            the likeliest classes of JPEG and PNG files\n"
           "  %s --raw <STREAM    of tensors [%lld, %lld, %lld] of float32 on standard input,\n"
           "                      as the network takes them\n"
           "  --logits            the network's own numbers instead: float32, image by image\n"
           "  --top=N             how many classes (default 5)\n"
           "  --threads=N         threads to run with (default: one per processor)\n"
           "  --cpu=NAME          the code for this processor, of those that --info names\n"
           "  --weights=FILE      other weights of this network, from a safetensors file\n"
           "  --bench[=N]         time of a run, median of N (default 20)\n"
           "  --info              what this was built from\n"
           "  --self-test         runs a stored image, compares with the stored result\n\n"
           "Exit codes: 0 done; 2 the command line is wrong; 3 does not fit; 4 not this processor; "
           "5 a file is wrong; 70 the self-test failed.\n",
           program, a->name, program, program, (long long)a->channels, (long long)a->height,
           (long long)a->width);
}

/* A whole number of at least one, or 0. */
static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return *end == '\0' && value >= 1 && value <= 1000000 ? (int)value : 0;
}

static bool parse(int argc, char **argv, choices *out)
{
    *out = (choices){.top = 5, .repeat = 20};
    int key;
    while ((key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int *count = key == 'k' ? &out->top : key == 't' ? &out->threads : &out->repeat;
        if (key == '?') return false;
        out->raw |= key == 'r';
        out->logits |= key == 'l';
        out->bench |= key == 'b';
        out->info |= key == 'i';
        out->self_test |= key == 's';
        out->help |= key == 'h';
        if (key == 'c') out->cpu = optarg;
        if (key == 'w') out->weights = optarg;
        if (key != 'c' && key != 'w' && optarg && !(*count = number(optarg))) {
            fprintf(stderr, "%s: '%s' is not a number from 1 to 1000000\n", argv[0], optarg);
            return false;
        }
    }
    out->files = argv + optind;
    out->file_count = argc - optind;
    if (out->self_test && out->weights) {
        fprintf(stderr, "%s: the self-test is of the weights inside; leave out --weights\n",
                argv[0]);
        return false;
    }
    bool asks = out->bench || out->info || out->self_test || out->help;
    if (!asks && !out->raw && out->file_count == 0) {
        fprintf(stderr, "%s: which images? '%s --help' tells more\n", argv[0], argv[0]);
        return false;
    }
    return true;
}

/* ---------------------------------------------------------------- results */

static void print_top(const ftso_net *net, const float *logits, int top)
{
    const ftso_artefact *a = &ftso_the_artefact;
    double sum = 0, most = -INFINITY;
    for (size_t c = 0; c < a->class_count; c++) most = logits[c] > most ? logits[c] : most;
    for (size_t c = 0; c < a->class_count; c++) sum += exp((double)logits[c] - most);
    double before = INFINITY;
    size_t last = 0;
    for (int k = 0; k < top && (size_t)k < a->class_count; k++) {
        /* the next one below the last printed, or behind it where they are equal */
        size_t best = a->class_count;
        for (size_t c = 0; c < a->class_count; c++) {
            double value = (double)logits[c];
            bool left = k == 0 || value < before || (value == before && c > last);
            if (left && (best == a->class_count || logits[c] > logits[best])) best = c;
        }
        if (best == a->class_count) break; /* what is not a number has no rank */
        before = (double)logits[best];
        last = best;
        printf("%s%s %.4f", k ? ", " : "", net->classes[best], exp(before - most) / sum);
    }
    putchar('\n');
}

static void show(const choices *c, const ftso_net *net, const char *name, const float *logits)
{
    if (c->logits) {
        fwrite(logits, sizeof(float), ftso_the_artefact.class_count, stdout);
        return;
    }
    printf("%s: ", name);
    print_top(net, logits, c->top);
}

/* ---------------------------------------------------------------- images */

static int64_t pixel_count(void)
{
    const ftso_artefact *a = &ftso_the_artefact;
    return a->channels * a->height * a->width;
}

static ftso_status run_raw(const choices *c, ftso_net *net, float *images, float *logits)
{
    int64_t batch = net->code->program->planned_batch, number_of_image = 0;
    size_t each = (size_t)pixel_count() * sizeof(float), got;
    while ((got = fread(images, 1, each * (size_t)batch, stdin)) > 0) {
        int64_t count = (int64_t)(got / each);
        ftso_net_run(net, images, count, logits);
        for (int64_t i = 0; i < count; i++) {
            char name[32];
            snprintf(name, sizeof(name), "%lld", (long long)number_of_image++);
            show(c, net, name, logits + i * (int64_t)ftso_the_artefact.class_count);
        }
        if (got % each)
            return ftso_error(FTSO_ERROR_DATA,
                              "standard input ends within image %lld: %zu bytes of %zu",
                              (long long)number_of_image, got % each, each);
    }
    if (ferror(stdin))
        return ftso_error(FTSO_ERROR_DATA, "cannot read standard input: %s", strerror(errno));
    return FTSO_STATUS_OK;
}

/* One picture's place in a batch. */
static ftso_status read_picture(const char *path, const ftso_transform *transform,
                                ftso_picture *picture, float *image)
{
    const ftso_artefact *a = &ftso_the_artefact;
    FTSO_TRY(ftso_picture_read(path, a->channels, picture));
    return ftso_annotate(ftso_picture_transform(picture, transform, a->height, image), "'%s'",
                         path);
}

static ftso_status run_files(const choices *c, ftso_net *net, float *images, float *logits)
{
    const ftso_artefact *a = &ftso_the_artefact;
    ftso_transform transform;
    FTSO_TRY(ftso_transform_parse(net->transform, &transform));
    ftso_picture picture = {0};
    int batch = (int)net->code->program->planned_batch;
    ftso_status status = FTSO_STATUS_OK;
    for (int first = 0; first < c->file_count && status.code == FTSO_OK; first += batch) {
        int count = c->file_count - first < batch ? c->file_count - first : batch;
        for (int i = 0; i < count && status.code == FTSO_OK; i++)
            status =
                read_picture(c->files[first + i], &transform, &picture, images + i * pixel_count());
        if (status.code != FTSO_OK) break;
        ftso_net_run(net, images, count, logits);
        for (int i = 0; i < count; i++)
            show(c, net, c->files[first + i], logits + (size_t)i * a->class_count);
    }
    ftso_picture_deinit(&picture);
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static ftso_status run_bench(const choices *c, ftso_net *net, float *images, float *logits)
{
    enum { WARM = 3 };
    int64_t batch = net->code->program->planned_batch;
    double *seconds = ftso_mem_alloc(sizeof(double) * (size_t)c->repeat);
    if (!seconds) return ftso_error(FTSO_ERROR_LIMIT, "no memory for %d times", c->repeat);
    for (int64_t i = 0; i < batch * pixel_count(); i++)
        images[i] = ftso_the_artefact.test_images[i % pixel_count()];
    for (int i = -WARM; i < c->repeat; i++) {
        double start = ftso_clock_s();
        ftso_net_run(net, images, batch, logits);
        if (i >= 0) seconds[i] = ftso_clock_s() - start;
    }
    qsort(seconds, (size_t)c->repeat, sizeof(*seconds), ascending);
    double median = seconds[c->repeat / 2];
    printf("%s, code for %s, %d threads, batch %lld: %.3f ms (%.3f to %.3f), %.1f images/s\n",
           ftso_the_artefact.name, net->code->cpu, ftso_pool_threads(net->pool), (long long)batch,
           1e3 * median, 1e3 * seconds[0], 1e3 * seconds[c->repeat - 1], (double)batch / median);
    ftso_mem_free(seconds);
    return FTSO_STATUS_OK;
}

static ftso_status run_self_test(ftso_net *net)
{
    bool passed;
    FTSO_TRY(ftso_artefact_report_numbers(net, &passed));
    return ftso_artefact_report_bytes(passed);
}

/* ---------------------------------------------------------------- main */

static ftso_status open_net(const choices *c, ftso_net *net)
{
    ftso_safetensors weights = {0};
    ftso_net_options how = {.cpu = c->cpu, .threads = c->threads, .pin = true};
    if (c->weights) {
        FTSO_TRY(ftso_safetensors_read(c->weights, &weights));
        how.weights = &weights;
        how.weights_path = c->weights;
    }
    ftso_status status = ftso_net_init(net, &ftso_the_artefact, &how);
    ftso_safetensors_deinit(&weights);
    return status;
}

static ftso_status work(const choices *c)
{
    const ftso_artefact *a = &ftso_the_artefact;
    ftso_net net;
    FTSO_TRY(open_net(c, &net));
    size_t batch = (size_t)net.code->program->planned_batch;
    float *images = ftso_mem_alloc(batch * (size_t)pixel_count() * sizeof(float));
    float *logits = ftso_mem_alloc(batch * a->class_count * sizeof(float));
    ftso_status status = FTSO_STATUS_OK;
    if (!images || !logits)
        status = ftso_error(FTSO_ERROR_LIMIT, "no memory for %zu images", batch);
    else if (c->self_test)
        status = run_self_test(&net);
    else if (c->bench)
        status = run_bench(c, &net, images, logits);
    else if (c->raw)
        status = run_raw(c, &net, images, logits);
    else
        status = run_files(c, &net, images, logits);
    ftso_mem_free(images);
    ftso_mem_free(logits);
    ftso_net_deinit(&net);
    return status;
}

int ftso_artefact_main(int argc, char **argv)
{
    choices c;
    if (!parse(argc, argv, &c)) return FTSO_ERROR_USAGE;
    ftso_status status = FTSO_STATUS_OK;
    if (c.help)
        print_help(argv[0]);
    else if (c.info)
        puts(ftso_the_artefact.record);
    else
        status = work(&c);
    return ftso_artefact_end(argv[0], status);
}
