#include "oracle_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Kinds of numbers in the file: name, bytes each. */
static double number_f64(const char *bytes)
{
    double value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static double number_f32(const char *bytes)
{
    float value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static double number_q8(const char *bytes)
{
    return *(const signed char *)bytes / 32.0;
}

static double number_u8(const char *bytes)
{
    return *(const unsigned char *)bytes;
}

static const struct kind {
    const char *name;
    size_t bytes;
    double (*read)(const char *bytes);
} kinds[] = {
    {"f64", 8, number_f64}, {"f32", 4, number_f32}, {"q8", 1, number_q8}, {"u8", 1, number_u8}};

/* "NAME KIND d0 d1 …": the tensor's name and size; its kind is returned. */
static const struct kind *read_shape(ftso_arena *arena, const char *text, oracle_tensor *tensor)
{
    size_t length = strcspn(text, " ");
    tensor->name = ftso_strndup(arena, text, length);
    text += length + 1;
    const struct kind *kind = NULL;
    for (size_t i = 0; i < FTSO_COUNT(kinds); i++)
        if (!strncmp(text, kinds[i].name, strlen(kinds[i].name))) kind = &kinds[i];
    assert_non_null(kind);
    tensor->count = 1;
    for (text = strchr(text, ' '); text; text = strchr(text + 1, ' '))
        tensor->count *= (size_t)atoll(text + 1);
    return kind;
}

oracle *oracle_read(ftso_arena *arena, const char *name)
{
    const char *path = ftso_format(arena, "%s/tests/oracle/%s.oracle", FTSO_SOURCE_DIR, name);
    oracle *file = FTSO_NEW(arena, oracle);
    char *at;
    size_t length;
    test_ok(ftso_file_read(arena, path, 1 << 26, &at, &length));
    const char *end = at + length;
    assert_int_equal(strncmp(at, "ftso-oracle 1\n", 14), 0);
    file->name = name;
    for (;;) {
        at = strchr(at, '\n') + 1;
        size_t line = strcspn(at, "\n"), key = strcspn(at, " \n");
        oracle_line entry = {
            ftso_strndup(arena, at, key),
            ftso_strndup(arena, at + key + (key < line), line - key - (key < line))};
        at += line;
        if (!strcmp(entry.key, "end")) break;
        FTSO_PUSH(arena, file->lines, file->line_count, file->line_capacity, entry);
    }
    const char *bytes = at + 1;
    for (size_t i = 0; i < file->line_count; i++) {
        if (strcmp(file->lines[i].key, "tensor") != 0) continue;
        oracle_tensor tensor;
        const struct kind *kind = read_shape(arena, file->lines[i].text, &tensor);
        assert_true(tensor.count * kind->bytes <= (size_t)(end - bytes));
        tensor.data = FTSO_ARRAY(arena, double, tensor.count + 1);
        for (size_t k = 0; k < tensor.count; k++, bytes += kind->bytes)
            tensor.data[k] = kind->read(bytes);
        FTSO_PUSH(arena, file->tensors, file->tensor_count, file->tensor_capacity, tensor);
    }
    assert_ptr_equal(bytes, end);
    return file;
}

const char *oracle_find(const oracle *file, const char *key)
{
    for (size_t i = 0; i < file->line_count; i++)
        if (!strcmp(file->lines[i].key, key)) return file->lines[i].text;
    return NULL;
}

int64_t oracle_int(const oracle *file, const char *key, int64_t fallback)
{
    const char *text = oracle_find(file, key);
    return text ? atoll(text) : fallback;
}

const oracle_tensor *oracle_get(const oracle *file, const char *fmt, ...)
{
    char name[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);
    for (size_t i = 0; i < file->tensor_count; i++)
        if (!strcmp(file->tensors[i].name, name)) return &file->tensors[i];
    fail_msg("%s.oracle has no tensor '%s'", file->name, name);
    return NULL;
}

double oracle_float32(const oracle *file, const char *quantity)
{
    size_t length = strlen(quantity);
    for (size_t i = 0; i < file->line_count; i++)
        if (!strcmp(file->lines[i].key, "float32") &&
            !strncmp(file->lines[i].text, quantity, length) && file->lines[i].text[length] == ' ')
            return ftso_double_parse(file->lines[i].text + length + 1, NULL);
    return -1;
}

double oracle_norm(const double *a, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += a[i] * a[i];
    return sqrt(sum);
}

double oracle_distance(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum == 0 ? 0 : sqrt(sum) / oracle_norm(b, count);
}
