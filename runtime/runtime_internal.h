/*
 * Shared inside runtime/: working memory of runners (work.c), what the data readers have in common (data.c).
 */
#ifndef FTSO_RUNTIME_INTERNAL_H
#define FTSO_RUNTIME_INTERNAL_H

#include "runtime/runtime.h"

/* The block that runners over these states share, or NULL. */
ftso_work *ftso_states_work(ftso_states *states);
/* How often one of the states was written: whoever writes one adds to it. Starts at 1. */
uint64_t *ftso_states_changes(ftso_states *states);

/* A file's content, read from front to back; gzip is undone on the way. */
typedef struct ftso_data_file {
    const char *path;
    ftso_file file;
    size_t length; /* of the file as it is, packed or not */
    uint8_t *buffer;
    size_t filled, at; /* bytes in the buffer; of these, bytes taken */
    bool gzip, ended;
    struct z_stream_s *stream; /* zlib's, of a packed file */
} ftso_data_file;

/* Opens the file; refuses web pages, pointers and the like by what they are. */
ftso_status FTSO_MUST_USE ftso_data_open(ftso_data_file *file, const char *path);
/* The next `count` bytes; fewer are an error that says how many are missing of `what`. */
ftso_status FTSO_MUST_USE ftso_data_take(ftso_data_file *file, void *out, size_t count,
                                         const char *what);
/* That nothing is left. */
ftso_status FTSO_MUST_USE ftso_data_end(ftso_data_file *file);
void ftso_data_close(ftso_data_file *file);

/* ---------------------------------------------------------------- pictures */

/* Memory that is kept and grows; what is in it is lost when it does. */
typedef struct ftso_block {
    uint8_t *bytes;
    size_t capacity;
} ftso_block;
ftso_status FTSO_MUST_USE ftso_block_reserve(ftso_block *block, size_t size_bytes);
void ftso_block_deinit(ftso_block *block);

/* Sets the picture's dimensions, with memory for its pixels. */
ftso_status FTSO_MUST_USE ftso_picture_reserve(ftso_picture *picture, int64_t channels,
                                               int64_t height, int64_t width);
/* A picture as a file announces it: refused where it is larger than pictures may be. */
ftso_status FTSO_MUST_USE ftso_picture_announce(const char *form, int64_t height, int64_t width);
/* One grey channel from three (jitter.c). */
void ftso_picture_to_grey(ftso_picture *picture);
/* ftso_picture_read with memory for the file's bytes that is kept. */
ftso_status FTSO_MUST_USE ftso_picture_read_into(const char *path, int64_t channels,
                                                 ftso_block *file, ftso_picture *out);

/* One per form. */
ftso_status FTSO_MUST_USE ftso_decode_jpeg(const uint8_t *bytes, size_t length, int64_t channels,
                                           ftso_picture *out);
ftso_status FTSO_MUST_USE ftso_decode_png(const uint8_t *bytes, size_t length, int64_t channels,
                                          ftso_picture *out);

/* Pixels somewhere in memory: steps are bytes from one channel, row or column to the next. */
typedef struct ftso_pixels {
    const uint8_t *base;
    int64_t channels, height, width, channel_step, row_step, column_step;
} ftso_pixels;

ftso_pixels ftso_picture_pixels(const ftso_picture *picture);

typedef struct ftso_resize_memory {
    ftso_block across, down, rows;
} ftso_resize_memory;
ftso_status FTSO_MUST_USE ftso_resize(ftso_resize_memory *memory, const ftso_pixels *from,
                                      int64_t height, int64_t width, ftso_picture *out);
void ftso_resize_memory_deinit(ftso_resize_memory *memory);

/* Brightness, contrast, saturation (factors, 1 changes nothing) and hue (part of a turn), one after another in `order`. */
enum { FTSO_JITTERS = 4 };
void ftso_picture_jitter(ftso_picture *picture, const int order[FTSO_JITTERS],
                         const double factors[FTSO_JITTERS]);

/* What each byte of each channel becomes. */
enum { FTSO_CHANNELS = 4, FTSO_LEVELS = 256 };
typedef struct ftso_levels {
    float of[FTSO_CHANNELS][FTSO_LEVELS];
} ftso_levels;
void ftso_levels_make(const ftso_transform *transform, int64_t channels, ftso_levels *out);

/* Pictures that steps make on the way; one reads one of `made` and writes the other. All zero at first. */
typedef struct ftso_desk {
    ftso_picture made[2];
    int turn;
    ftso_resize_memory resize;
} ftso_desk;
void ftso_desk_deinit(ftso_desk *desk);

/* Where in the run an image is made: all chance is a function of it. */
typedef struct ftso_moment {
    uint64_t seed, step;
    ftso_stream stream;
    int64_t index; /* in the batch */
} ftso_moment;
/* Pixels through the transform to planes [channels][side][side] (augment.c). */
ftso_status FTSO_MUST_USE ftso_image_make(ftso_desk *desk, const ftso_pixels *pixels,
                                          const ftso_transform *transform,
                                          const ftso_levels *levels, int64_t side,
                                          const ftso_moment *moment, float *out);

/* ---------------------------------------------------------------- readers */

/* Where an image of the set comes from, for people: its file, or "image 17". */
const char *ftso_images_describe(const ftso_images *images, int64_t index, char *buffer,
                                 size_t size);
/* The picture's file, of a set whose pictures are fetched (data_folder.c). */
void ftso_picture_files_path(const ftso_images *images, int64_t index, char *buffer, size_t size);
void ftso_picture_files_free(struct ftso_picture_files *files);

/* Names of classes from a file, one a line; another number of them is an error. */
ftso_status FTSO_MUST_USE ftso_class_names_read(const char *path, int64_t count,
                                                const char ***out_names);

/* Memory for the images' pixels and labels; dimensions must be set and are checked. */
ftso_status FTSO_MUST_USE ftso_images_allocate(ftso_images *images, const char *path);

/* One reader per kind: data_cifar.c, data_idx.c, data_folder.c, data_npy.c. */
ftso_status FTSO_MUST_USE ftso_load_cifar10(const char *path, bool test, ftso_images *out);
ftso_status FTSO_MUST_USE ftso_load_cifar100(const char *path, bool test, ftso_images *out);
ftso_status FTSO_MUST_USE ftso_load_idx(const char *path, bool test, ftso_images *out);
ftso_status FTSO_MUST_USE ftso_load_folder(const char *path, bool test, ftso_images *out);
ftso_status FTSO_MUST_USE ftso_load_npy(const char *path, bool test, ftso_images *out);

#endif
