/*
 * tests/oracle_file: reads the stored oracles of tests/oracle/ (README.md there has the format).
 *
 * In: a file's name. Out: its lines by key and its tensors by name, numbers as double. What is missing fails the test.
 */
#ifndef FTSO_TESTS_ORACLE_FILE_H
#define FTSO_TESTS_ORACLE_FILE_H

#include "tests/support.h"

typedef struct oracle_tensor {
    const char *name;
    size_t count;
    double *data;
} oracle_tensor;

typedef struct oracle_line {
    const char *key, *text;
} oracle_line;

typedef struct oracle {
    const char *name;
    oracle_line *lines;
    size_t line_count, line_capacity;
    oracle_tensor *tensors;
    size_t tensor_count, tensor_capacity;
} oracle;

oracle *oracle_read(ftso_arena *arena, const char *name);
/* Text of the first line with that key, or NULL. */
const char *oracle_find(const oracle *file, const char *key);
int64_t oracle_int(const oracle *file, const char *key, int64_t fallback);
const oracle_tensor *oracle_get(const oracle *file, const char *fmt, ...) FTSO_PRINTF(2, 3);
/* Distance of PyTorch's float32 from its float64 for the quantity of that name, or -1 where it is negligible. */
double oracle_float32(const oracle *file, const char *quantity);

/* |a - b| / |b| over `count` numbers. */
double oracle_distance(const double *a, const double *b, size_t count);
double oracle_norm(const double *a, size_t count);

#endif
