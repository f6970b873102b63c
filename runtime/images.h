/*
 * images: data sets and pictures. Part of runtime.h, which includes it; a produced binary carries all of it.
 *
 * In: files. Out: batches of float32 planes. Must hold: one road from bytes to planes for training, evaluation and artefacts
 * (augment.c); the same planes whatever the threads; nothing in a file is believed.
 * Start reading at ftso_images and ftso_batch_make.
 */
#ifndef FTSO_RUNTIME_IMAGES_H
#define FTSO_RUNTIME_IMAGES_H

#include "base/base.h"

/* ---------------------------------------------------------------- pictures */

/* One picture as bytes, [height][width][channels]. All zero: none yet. The memory is kept for the next one, and grows. */
typedef struct ftso_picture {
    int64_t channels, height, width;
    uint8_t *pixels;
    size_t capacity;
} ftso_picture;
void ftso_picture_deinit(ftso_picture *picture);

/*
 * Decodes a JPEG or PNG (told by its first bytes, not by a name) to 3 (RGB) or 1 (grey) channels. Grey from colour is
 * 0.299 R + 0.587 G + 0.114 B; alpha is dropped, 16 bits keep the high 8, CMYK and palettes become RGB. At most
 * FTSO_PICTURE_SIDE each way and FTSO_PICTURE_PIXELS in all; a picture that is cut short is refused.
 */
enum { FTSO_PICTURE_SIDE = 1 << 14, FTSO_PICTURE_PIXELS = 1 << 26, FTSO_PICTURE_BYTES = 1 << 28 };
ftso_status FTSO_MUST_USE ftso_picture_decode(const uint8_t *bytes, size_t length, int64_t channels,
                                              ftso_picture *out);
/* The same of a file; failures name it. */
ftso_status FTSO_MUST_USE ftso_picture_read(const char *path, int64_t channels, ftso_picture *out);

/* One row per form of picture. `decode` is NULL where ftso was built without the package. */
typedef struct ftso_picture_form {
    const char *name;    /* "JPEG" */
    const char *package; /* Debian's, with its header */
    const char *magic;   /* the first bytes */
    size_t magic_length;
    ftso_status (*decode)(const uint8_t *bytes, size_t length, int64_t channels, ftso_picture *out);
} ftso_picture_form;
const ftso_picture_form *ftso_picture_forms(size_t *out_count);

/* ---------------------------------------------------------------- data sets */

/*
 * Images and labels. Either all pixels lie in memory as bytes, planes in order (N,C,H,W); or height and width are 0 and
 * pictures of any size are fetched one by one when a batch needs them.
 */
typedef struct ftso_images {
    int64_t count, channels, height, width, classes;
    uint8_t *pixels; /* NULL where pictures are fetched */
    int32_t *labels;
    const char **class_names; /* one block, `classes` of them; NULL: not known */
    bool
        named_by_folders; /* labels are places in class_names, so another order of names is another order of labels */
    struct ftso_picture_files *files; /* what fetch reads, or NULL */
} ftso_images;

/* One row per kind of data set. `load` reads the training (or test) part under `path`, checks sizes and ranges. */
typedef struct ftso_reader {
    const char *kind; /* "cifar10", "cifar100", "idx", "imagefolder", "npy" */
    const char *doc;
    ftso_status (*load)(const char *path, bool test, ftso_images *out);
} ftso_reader;
const ftso_reader *ftso_reader_find(const char *kind);
const ftso_reader *ftso_reader_rows(size_t *out_count);

/* What a recipe or a set of weights says about its images. */
typedef struct ftso_images_spec {
    int64_t channels, side, classes;
    const char *const *class_names; /* `classes` of them, or NULL */
} ftso_images_spec;
/*
 * Reads a part of a data set and holds it against the spec: channels, labels below `classes`, names. Where folders give the
 * classes their names and the spec orders them otherwise, labels follow the spec.
 */
ftso_status FTSO_MUST_USE ftso_images_open(const char *kind, const char *path, bool test,
                                           const ftso_images_spec *spec, ftso_images *out);
void ftso_images_deinit(ftso_images *images);
/* That `transform` makes planes of spec->side from these images; pictures of any size need a crop. */
ftso_status FTSO_MUST_USE ftso_images_check(const ftso_images *images, const ftso_images_spec *spec,
                                            const ftso_transform *transform);
/*
 * A part as a training or a judging takes it: opened, with at least one image, and fit for `transform`. `name` is the data
 * set's, for messages.
 */
ftso_status FTSO_MUST_USE ftso_images_open_part(const char *name, const char *kind,
                                                const char *path, bool test,
                                                const ftso_images_spec *spec,
                                                const ftso_transform *transform, ftso_images *out);
/* A hash over shape and labels: whether these are the images that a run began with. */
uint64_t ftso_images_hash(uint64_t seed, const ftso_images *images);
/* What the first bytes of a file look like: "a Git LFS pointer", "an HTML page", … or NULL. */
const char *ftso_sniff(const uint8_t *bytes, size_t length);

/* Class names as text, one a line, for weights and artefacts; and back: one block of pointers and text, freed alone. */
void ftso_class_names_print(const char *const *names, int64_t count, ftso_text *out);
ftso_status FTSO_MUST_USE ftso_class_names_parse(const char *text, size_t length,
                                                 const char ***out_names, int64_t *out_count);

/* ---------------------------------------------------------------- batches */

/*
 * Writes images `indices[0..count)`, taken through the transform, to `out` (float32, N,C,side,side) and their labels to
 * `out_labels`. Pixels are (x / 255 - mean) / std in float32, or x / 255 without a normalize. The random choices of image k
 * of step s come from ftso_random_at(seed, stream, s, k + 2^32 draw), k < 2^32: the same images whatever the threads.
 * On failure the status names the picture; `out` holds anything then.
 */
ftso_status FTSO_MUST_USE ftso_batch_make(const ftso_images *images, const int32_t *indices,
                                          int64_t count, const ftso_transform *transform,
                                          int64_t side, uint64_t seed, ftso_stream stream,
                                          uint64_t step, ftso_pool *pool, float *out,
                                          float *out_labels);

/*
 * The same ahead of time: a thread of the maker's own begins a batch while the pool does something else, and the pool helps
 * with what is left of it when it is wanted. Worth it where pictures are read from a disk. One batch at a time.
 */
typedef struct ftso_maker ftso_maker;
typedef struct ftso_batch_wish {
    const ftso_images *images;
    const int32_t
        *indices; /* `count` of them; must live until the batch is made, as must all else */
    int64_t count;
    const ftso_transform *transform;
    int64_t side;
    uint64_t seed, step;
    ftso_stream stream;
    float *out, *out_labels;
} ftso_batch_wish;
ftso_status FTSO_MUST_USE ftso_maker_new(ftso_pool *pool, ftso_maker **out_maker);
/* Ends what was begun, then the thread. */
void ftso_maker_free(ftso_maker *maker);
void ftso_maker_start(ftso_maker *maker, const ftso_batch_wish *wish);
/* Returns when the batch is made, with what ftso_batch_make would have said. Not without a start. */
ftso_status FTSO_MUST_USE ftso_maker_finish(ftso_maker *maker);

/* One picture through a transform without chance, to planes [channels][side][side]: what ftso_batch_make does for a test. */
ftso_status FTSO_MUST_USE ftso_picture_transform(const ftso_picture *picture,
                                                 const ftso_transform *transform, int64_t side,
                                                 float *out);

#endif
