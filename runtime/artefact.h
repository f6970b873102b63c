/*
 * artefact: what a produced executable or library carries beside its code, as plain data.
 *
 * In: written by codegen/ as one object file, symbol FTSO_ARTEFACT_SYMBOL. Out: read by artefact_*.c, which know no graph and no
 * compiler. Must hold: everything here is constant; the records are spelt out once more, field by field, in
 * codegen/artefact.c, which refuses a record with a field that it does not know.
 * Start reading at ftso_artefact.
 */
#ifndef FTSO_ARTEFACT_H
#define FTSO_ARTEFACT_H

#include "runtime/train.h"

#define FTSO_ARTEFACT_SYMBOL "ftso_the_artefact"

/* Sections of an artefact that `ftso verify` reads from the file. */
#define FTSO_SECTION_RECORD ".ftso.record"           /* the build record: JSON text */
#define FTSO_SECTION_WEIGHTS ".ftso.weights"         /* the states' content */
#define FTSO_SECTION_GRAPH ".ftso.graph"             /* the network: a graph's text, deflated */
#define FTSO_SECTION_TEST_INPUT ".ftso.test.input"   /* an image */
#define FTSO_SECTION_TEST_OUTPUT ".ftso.test.output" /* what the reference made of it */
#define FTSO_SECTION_TEST_STEP ".ftso.test.step"     /* what it made of a training step */
#define FTSO_SECTION_SEAL ".ftso.seal"               /* ftso_seal */

/*
 * A hash over the whole file it is in, taken with `hash` being zero and put in last: a changed byte anywhere is seen.
 * `key` is a hash over all that the artefact was made from: equal keys, equal bytes.
 */
typedef struct ftso_seal {
    char magic[16];
    uint64_t hash, key;
} ftso_seal;
#define FTSO_SEAL_MAGIC "ftso artefact 1"

/* Where a section lies in the bytes of an ELF file, or of an archive (the first member that has it). */
bool ftso_section_find(const void *file, size_t size_bytes, const char *name, size_t *out_at,
                       size_t *out_size_bytes);
/* The place of a file's seal; false where it has none. */
bool ftso_seal_find(const void *file, size_t size_bytes, size_t *out_at);
/* The hash that the seal at `at` must have. */
uint64_t ftso_seal_hash(const void *file, size_t size_bytes, size_t at);

/* One kind of processor's programs. */
typedef struct ftso_artefact_code {
    const char *cpu;      /* "x86-64-v3": for people */
    const char *features; /* what the processor must have, "avx2,fma"; see ftso_cpu_missing */
    const ftso_program *program; /* inference form */
    const ftso_program *step;    /* of a trainer: training form with its optimiser; else NULL */
} ftso_artefact_code;

/* Content of a state, in canonical order; `size_bytes` with what whole-vector loads may touch behind it. */
typedef struct ftso_artefact_state {
    const char *name;
    const float *data;
    int64_t size_bytes;
    const ftso_parameter *table; /* the tensors in it */
    size_t table_count;
} ftso_artefact_state;

/* Expected numbers (the loss alone in the first), and how far right code may be from them: root mean square. */
typedef struct ftso_step_row {
    double numbers[FTSO_SKETCHES];
    double allowed;
} ftso_step_row;

/*
 * What a trainer carries besides: all of a training but the images. The self-test's step takes the artefact's stored images
 * with labels 0, 1, … (modulo the classes), keeps all paths, has test_rate as learning rate and 1 for Adam's corrections.
 */
typedef struct ftso_trainer {
    const char *recipe_name;
    const char *dataset, *kind; /* the recipe's: its name, how it lies in files */
    bool named;                 /* the recipe names the classes, as the artefact has them */
    const char *transform;      /* of training images; that of test images is the artefact's */
    const ftso_recipe *recipe;  /* where nothing else is asked for */
    const char *const *moments;
    size_t moment_count;
    const double *moment_starts; /* every number of each moment before the self-test's step */
    size_t moment_start_count;
    const ftso_metadata *metadata; /* of the weights, but for class names that come with images */
    size_t metadata_count;
    int64_t keep, save_steps;   /* as in ftso_training */
    uint64_t layout, step_hash; /* of the tensors; of the step's graph */
    double test_rate;
    /*
     * What the reference makes of that step, row by row: one row of the loss, then for each state (weights, moments, running)
     * one per tensor with the sketch of its change.
     */
    const ftso_step_row *test_step;
    size_t test_step_count;
} ftso_trainer;

typedef struct ftso_artefact {
    const char *name;          /* of the network */
    const char *genotype_hash; /* as weights have it under FTSO_GENOTYPE_HASH */
    const char *record;        /* JSON, one object */
    const ftso_seal *seal;
    const ftso_artefact_code
        *codes; /* the most demanding first; the first that this processor can run is run */
    size_t code_count;
    const ftso_artefact_state *states;
    size_t state_count;
    int64_t channels, height, width; /* of an image */
    const char *transform; /* what makes an image of a picture, as ftso_transform_parse reads it */
    const char *const *classes; /* their names */
    size_t class_count;
    /* Input of the self-test in canonical order, and what the reference interpreter makes of it in double. */
    const float *test_images;
    size_t test_image_bytes;
    const double *test_logits;
    size_t test_logit_bytes;
    int64_t test_count;    /* images */
    double test_tolerance; /* relative L2 distance that right code stays within */
    const uint8_t *graph;  /* for `ftso verify`, which reads it from the file */
    size_t graph_bytes;
    const ftso_trainer *trainer; /* or NULL */
} ftso_artefact;

/* Whether ftso_cpu_missing can tell about a feature: what only other code than ours needs is left out. */
bool ftso_cpu_knows(const char *feature);
/* The first feature of a list "avx2,fma" that this processor lacks, copied into `out`; false where it has all of them. */
bool ftso_cpu_missing(const char *features, char *out, size_t size);

/*
 * The code that `cpu` names, or the first that this processor can run where `cpu` is NULL. FTSO_ERROR_DEVICE: no such code, or
 * none for this processor.
 */
ftso_status FTSO_MUST_USE ftso_artefact_code_choose(const ftso_artefact *artefact, const char *cpu,
                                                    const ftso_artefact_code **out);

/* The network of an artefact made ready: one pool, one runner. Not shared between threads; any number may exist. */
typedef struct ftso_net {
    const ftso_artefact *artefact;
    const ftso_artefact_code *code;
    ftso_pool *pool;
    ftso_states *states;
    ftso_runner *runner;
    const char *transform; /* from a picture to an image, and the classes' names: of the weights */
    const char *const *classes; /* that are run, where they say; else of those inside */
    char *own_transform;        /* what of them is the net's own */
    const char **own_classes;
} ftso_net;
typedef struct ftso_net_options {
    const char *cpu; /* the code; NULL: the first that this processor can run */
    int threads;     /* as ftso_pool_new takes them */
    bool pin;
    const ftso_safetensors
        *weights; /* to run in place of those inside; only read while init works. Or NULL */
    const char *weights_path; /* of these, for messages */
} ftso_net_options;
/*
 * Chooses the code and binds the weights: those inside where they lie; others are copied, every tensor of the network from
 * its own. FTSO_ERROR_DEVICE: no such code, or none for this processor. FTSO_ERROR_DATA: weights of another network, as
 * ftso_parameters_read and ftso_weights_words_read say.
 */
ftso_status FTSO_MUST_USE ftso_net_init(ftso_net *net, const ftso_artefact *artefact,
                                        const ftso_net_options *options);
void ftso_net_deinit(ftso_net *net);
/* Logits of `count` images, any number, in canonical order; nothing is allocated. */
void ftso_net_run(ftso_net *net, const float *images, int64_t count, float *out_logits);

/* How far results are from the stored ones: relative L2 distance, and the largest single difference. */
typedef struct ftso_self_test {
    double distance, largest;
    bool passed;
} ftso_self_test;
/* Runs the stored images, which says something where the weights are those inside. `logits` has room for all results. */
ftso_self_test ftso_net_self_test(ftso_net *net, float *logits);

/* The self-test of a program that is an artefact prints a line: what ftso_net_self_test finds. FTSO_ERROR_LIMIT: no memory. */
ftso_status FTSO_MUST_USE ftso_artefact_report_numbers(ftso_net *net, bool *out_passed);
/* Another line: whether the program's own file is, byte for byte, what was built. FTSO_ERROR_INTERNAL: it is not, or what was
 * tested before has not `passed`. */
ftso_status FTSO_MUST_USE ftso_artefact_report_bytes(bool passed);
/* The program's exit code: results are out, or an error is on standard error. */
int ftso_artefact_end(const char *program, ftso_status status);

/*
 * A trainer's programs as a device (artefact_device.c): `load` takes "train" or "judge", and no graph. Close it with its own
 * `close`.
 */
ftso_status FTSO_MUST_USE ftso_artefact_device_open(const ftso_artefact_code *code, int threads,
                                                    ftso_device *out_device);
/* The row that comes nearest to what is allowed, or passes it: its state and tensor, its distance as a part of that. */
typedef struct ftso_step_test {
    const char *state, *tensor;
    double worst;
    bool passed;
} ftso_step_test;
/* One training step on the stored images, compared with the stored results; the artefact's weights stay as they are. */
ftso_status FTSO_MUST_USE ftso_trainer_self_test(const ftso_artefact *artefact,
                                                 const ftso_artefact_code *code, int threads,
                                                 ftso_step_test *out);
/* The state of that name that the artefact carries, or one without tensors and numbers where it carries none. */
ftso_artefact_state ftso_artefact_state_find(const ftso_artefact *artefact, const char *name);

/* main of a produced executable; of a trainer. */
int ftso_artefact_main(int argc, char **argv);
int ftso_trainer_main(int argc, char **argv);

#endif
