/*
 * safetensors: named tensors in a file, without trust.
 *
 * In: files and bytes from anywhere. Out: tensors as places in memory; statuses that name the file, the tensor, the numbers.
 * Must hold: a file that is read is exactly what the format allows and nothing else: no gap, no overlap, no second meaning.
 * No dependence but base/: a produced trainer carries this too. Reading is safetensors.c, writing safetensors_write.c.
 */
#ifndef FTSO_RUNTIME_SAFETENSORS_H
#define FTSO_RUNTIME_SAFETENSORS_H

#include "base/base.h"

enum {
    FTSO_SAFETENSORS_MAX_HEADER_BYTES = 100000000,
    FTSO_SAFETENSORS_MAX_TENSORS = 1 << 18,
    FTSO_SAFETENSORS_MAX_RANK = 8
};

typedef enum ftso_dtype { FTSO_F32, FTSO_F64, FTSO_I64, FTSO_BF16 } ftso_dtype;
const char *ftso_dtype_name(ftso_dtype dtype); /* "F32", … */
size_t ftso_dtype_bytes(ftso_dtype dtype);

/* `dim` from the outermost, rank 0 is one number, a dimension may be 0. `data` is little-endian and, read from a foreign
 * file, aligned to nothing. */
typedef struct ftso_safetensor {
    const char *name;
    ftso_dtype dtype;
    int rank;
    int64_t dim[FTSO_SAFETENSORS_MAX_RANK];
    size_t size_bytes;
    const void *data;
} ftso_safetensor;

typedef struct ftso_metadata {
    const char *key, *value;
} ftso_metadata;

/* A file's content: tensors by ascending name, metadata by ascending key. All of it lies in the file's own memory. */
typedef struct ftso_safetensors {
    ftso_safetensor *tensors;
    size_t tensor_count;
    ftso_metadata *metadata;
    size_t metadata_count;
    char *header; /* owned */
    void *bytes;  /* owned, NULL after a parse */
} ftso_safetensors;

/* Reads a file whole. Code 5 where it is anything but a safetensors file of the types above, or has a checksum that it does
 * not match; 3 where memory is short. Nothing is left to free then. */
ftso_status FTSO_MUST_USE ftso_safetensors_read(const char *path, ftso_safetensors *out);
/* The same of bytes in memory, which must live as long as `out`; `path` is for messages. */
ftso_status FTSO_MUST_USE ftso_safetensors_parse(const char *path, const void *bytes, size_t length,
                                                 ftso_safetensors *out);
void ftso_safetensors_deinit(ftso_safetensors *file);
const ftso_safetensor *ftso_safetensors_find(const ftso_safetensors *file, const char *name);
/* The value, or NULL. */
const char *ftso_safetensors_metadata(const ftso_safetensors *file, const char *key);
/* How many numbers. */
int64_t ftso_safetensor_count(const ftso_safetensor *tensor);
/* All numbers as float32, rounded where they are wider. `out` has room for them. */
void ftso_safetensor_floats(const ftso_safetensor *tensor, float *out);

/*
 * Writes the file under a temporary name, syncs, renames. Tensors and metadata in any order, names unique and not empty
 * (a bug of the caller otherwise); the bytes depend on the content alone: names ascend, the header is padded with spaces to
 * 8 bytes, data lie by descending width of their numbers, then by name, so that all are aligned. What is not UTF-8 in a name or
 * value becomes U+FFFD. A checksum over everything is added to the metadata; a given "checksum" is passed over.
 */
ftso_status FTSO_MUST_USE ftso_safetensors_write(const char *path, const ftso_safetensor *tensors,
                                                 size_t tensor_count, const ftso_metadata *metadata,
                                                 size_t metadata_count);

/* Metadata key of the checksum: 16 hexadecimal digits, the hash of all tensors by name, then of all other metadata by key. */
#define FTSO_SAFETENSORS_CHECKSUM "checksum"
uint64_t ftso_safetensor_hash(uint64_t seed, const ftso_safetensor *tensor);
uint64_t ftso_metadata_hash(uint64_t seed, const ftso_metadata *row);
/* Length of the UTF-8 character at `text`, at most `left` bytes; 0 where none begins there. */
size_t ftso_utf8_length(const unsigned char *text, size_t left);

#endif
