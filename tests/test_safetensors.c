/*
 * safetensors: round trips, fixed bytes, and everything that can be wrong with a file.
 *
 * The malformed matrix changes each byte of a file to four values and cuts it at each place: the reader must give an error
 * or the same content, and may never touch memory that is not its own (the sanitizers watch).
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "runtime/safetensors.h"

typedef struct place {
    char folder[64], path[96];
} place;

static int make_place(void **state)
{
    place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    strcpy(p->folder, "/tmp/ftso-safetensors-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof(p->path), "%s/w.safetensors", p->folder);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    place *p = *state;
    unlink(p->path);
    assert_int_equal(rmdir(p->folder), 0); /* no temporary file is left */
    free(p);
    return 0;
}

/* Length of header, header, data as one block on the heap, so that a read past its end is seen. */
static char *compose(const char *header, uint64_t header_bytes, const void *data, size_t data_bytes,
                     size_t *out_length)
{
    size_t stored = strlen(header);
    *out_length = 8 + stored + data_bytes;
    char *bytes = malloc(*out_length);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (char)(header_bytes >> 8 * i & 0xff);
    memcpy(bytes + 8, header, stored);
    memcpy(bytes + 8 + stored, data, data_bytes);
    return bytes;
}

/* ---------------------------------------------------------------- what is right */

static const float ones[6] = {1, -2, 3.5f, 0, 1e-30f, 6};
static const double doubles[2] = {0.1, -1e300};
static const int64_t longs[1] = {INT64_MIN + 1};
static const uint16_t halves[3] = {0x3f80, 0xc000, 0x0000};

static const ftso_safetensor samples[] = {
    {"z.weight", FTSO_F32, 2, {2, 3}, sizeof(ones), ones},
    {"count", FTSO_I64, 0, {0}, sizeof(longs), longs},
    {"half", FTSO_BF16, 1, {3}, sizeof(halves), halves},
    {"a \"quoted\" \\ name\n\x01 \xc3\xa9 \xf0\x9f\x98\x80",
     FTSO_F64,
     1,
     {2},
     sizeof(doubles),
     doubles},
    {"empty", FTSO_F32, 3, {4, 0, 2}, 0, NULL},
};
static const ftso_metadata notes[] = {{"version", "0.1"}, {"classes", "caf\xc3\xa9\tx"}, {"a", ""}};

static void test_round_trip(void **state)
{
    const place *p = *state;
    test_ok(
        ftso_safetensors_write(p->path, samples, FTSO_COUNT(samples), notes, FTSO_COUNT(notes)));
    ftso_safetensors file;
    test_ok(ftso_safetensors_read(p->path, &file));
    assert_int_equal(file.tensor_count, FTSO_COUNT(samples));
    for (size_t i = 0; i < FTSO_COUNT(samples); i++) {
        const ftso_safetensor *got = ftso_safetensors_find(&file, samples[i].name);
        assert_non_null(got);
        assert_int_equal(got->dtype, samples[i].dtype);
        assert_int_equal(got->rank, samples[i].rank);
        assert_memory_equal(got->dim, samples[i].dim, sizeof(got->dim));
        assert_int_equal(got->size_bytes, samples[i].size_bytes);
        if (got->size_bytes) assert_memory_equal(got->data, samples[i].data, got->size_bytes);
        assert_int_equal((uintptr_t)got->data % ftso_dtype_bytes(got->dtype), 0);
    }
    for (size_t i = 1; i < file.tensor_count; i++)
        assert_true(strcmp(file.tensors[i - 1].name, file.tensors[i].name) < 0);
    assert_int_equal(file.metadata_count, FTSO_COUNT(notes) + 1);
    for (size_t i = 0; i < FTSO_COUNT(notes); i++)
        assert_string_equal(ftso_safetensors_metadata(&file, notes[i].key), notes[i].value);
    assert_int_equal(strlen(ftso_safetensors_metadata(&file, "checksum")), 16);
    assert_null(ftso_safetensors_find(&file, "y"));
    assert_null(ftso_safetensors_metadata(&file, "y"));
    ftso_safetensors_deinit(&file);
}

static void test_numbers(void **state)
{
    (void)state;
    float out[6];
    ftso_safetensor_floats(&samples[0], out);
    assert_memory_equal(out, ones, sizeof(ones));
    ftso_safetensor_floats(&samples[2], out);
    assert_true(out[0] == 1 && out[1] == -2 && out[2] == 0);
    ftso_safetensor_floats(&samples[3], out);
    assert_true(out[0] == 0.1f);
    ftso_safetensor_floats(&samples[1], out);
    assert_true(out[0] == -9223372036854775808.0f);
    assert_int_equal(ftso_safetensor_count(&samples[0]), 6);
    assert_int_equal(ftso_safetensor_count(&samples[1]), 1);
    assert_int_equal(ftso_safetensor_count(&samples[4]), 0);
}

typedef struct content {
    char *bytes;
    size_t length;
} content;

static content read_bytes(ftso_arena *arena, const char *path)
{
    content c;
    test_ok(ftso_file_read(arena, path, 1 << 20, &c.bytes, &c.length));
    return c;
}

/* The bytes are part of the format: other programs read them, and equal content must give equal files. */
static void test_bytes(void **state)
{
    const place *p = *state;
    static const char header[] =
        "{\"__metadata__\":{\"a\":\"\",\"checksum\":\"____\",\"classes\":\"caf\xc3\xa9\\tx\","
        "\"version\":\"0.1\"},"
        "\"count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"half\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[32,38]},"
        "\"z.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]}}";
    ftso_arena arena;
    ftso_arena_init(&arena);
    test_ok(ftso_safetensors_write(p->path, samples, 3, notes, FTSO_COUNT(notes)));
    content first = read_bytes(&arena, p->path);
    size_t announced = (unsigned char)first.bytes[0] + 256 * (size_t)(unsigned char)first.bytes[1];
    assert_int_equal(announced % 8, 0);
    assert_int_equal(first.length, 8 + announced + 38);
    /* The checksum's digits are not compared here. */
    const char *sum = strstr(header, "____");
    size_t before = (size_t)(sum - header), after = strlen(sum + 4), end = 8 + before + 16 + after;
    assert_memory_equal(first.bytes + 8, header, before);
    assert_memory_equal(first.bytes + 8 + before + 16, sum + 4, after);
    for (size_t i = end; i < 8 + announced; i++) assert_int_equal(first.bytes[i], ' ');
    /* Another order, and a copy of what was read, give the same file. */
    ftso_safetensor turned[] = {samples[2], samples[0], samples[1]};
    ftso_metadata given[] = {notes[1], {"checksum", "old"}, notes[2], notes[0]};
    test_ok(ftso_safetensors_write(p->path, turned, 3, given, FTSO_COUNT(given)));
    content again = read_bytes(&arena, p->path);
    assert_int_equal(again.length, first.length);
    assert_memory_equal(again.bytes, first.bytes, first.length);
    ftso_safetensors file;
    test_ok(ftso_safetensors_parse("again", again.bytes, again.length, &file));
    test_ok(ftso_safetensors_write(p->path, file.tensors, file.tensor_count, file.metadata,
                                   file.metadata_count));
    ftso_safetensors_deinit(&file);
    again = read_bytes(&arena, p->path);
    assert_memory_equal(again.bytes, first.bytes, first.length);
    ftso_arena_deinit(&arena);
}

/* Text that is no UTF-8 may come from names of folders: the file must be readable all the same. */
static void test_not_utf8(void **state)
{
    const place *p = *state;
    static const ftso_metadata odd[] = {{"k\xff", "\xc3(\xed\xa0\x80 end"}};
    test_ok(ftso_safetensors_write(p->path, samples, 1, odd, 1));
    ftso_safetensors file;
    test_ok(ftso_safetensors_read(p->path, &file));
    assert_string_equal(ftso_safetensors_metadata(&file, "k\xef\xbf\xbd"),
                        "\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd end");
    ftso_safetensors_deinit(&file);
}

/* Forms that others write: spaces, escapes, any order, no metadata, data that are aligned to nothing. */
static void test_foreign(void **state)
{
    (void)state;
    static const char header[] =
        "{ \"b\\u0041\\/\\ud83d\\ude00\" :\t{\"shape\": [ 1 ],\n\"data_offsets\":[2, 6],"
        "\"dtype\":\"F32\"}, \"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}   ";
    static const char data[] = {(char)0x80, 0x3f, 0, 0, 0, 0x40};
    size_t length;
    char *bytes = compose(header, strlen(header), data, sizeof(data), &length);
    ftso_safetensors file;
    test_ok(ftso_safetensors_parse("foreign", bytes, length, &file));
    float value;
    ftso_safetensor_floats(ftso_safetensors_find(&file, "bA/\xf0\x9f\x98\x80"), &value);
    assert_true(value == 2);
    ftso_safetensor_floats(ftso_safetensors_find(&file, "a"), &value);
    assert_true(value == 1);
    ftso_safetensors_deinit(&file);
    free(bytes);
    bytes = compose("{}", 2, "", 0, &length);
    test_ok(ftso_safetensors_parse("nothing", bytes, length, &file));
    assert_int_equal(file.tensor_count, 0);
    assert_null(ftso_safetensors_find(&file, "a"));
    ftso_safetensors_deinit(&file);
    free(bytes);
}

/* ---------------------------------------------------------------- what is wrong */

#define ONE(name, dtype, shape, offsets)                                                           \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static const struct {
    const char *header;
    size_t data_bytes;
    const char *message; /* a part of it */
} wrong[] = {
    {"{" ONE("a", "F32", "2", "0,8") "," ONE("b", "F32", "2", "4,12") "}", 12,
     "tensor 'b': it overlaps 'a'"},
    {"{" ONE("a", "F32", "2", "0,8") "," ONE("b", "F32", "1", "4,8") "}", 8,
     "tensor 'b': it overlaps 'a'"},
    {"{" ONE("a", "F32", "1", "0,4") "," ONE("b", "F32", "1", "0,4") "}", 4, "overlaps"},
    {"{" ONE("a", "F32", "1", "0,4") "," ONE("b", "F32", "1", "8,12") "}", 12,
     "tensor 'b': 4 bytes in front of it belong to no tensor"},
    {"{" ONE("a", "F32", "1", "4,8") "}", 8, "tensor 'a': 4 bytes in front of it"},
    {"{" ONE("a", "F32", "1", "0,4") "}", 7, "has 3 bytes behind its last tensor"},
    {"{}", 1, "has 1 bytes behind its last tensor"},
    {"{" ONE("a", "F32", "2", "0,8") "}", 7,
     "is cut short: tensor 'a' ends at byte 8 of the data, of which there are 7"},
    {"{" ONE("a", "F32", "1", "0,4") "," ONE("a", "F32", "1", "4,8") "}", 8,
     "tensor 'a': its name is given twice"},
    {"{" ONE("a", "F32", "1", "0,4") "," ONE("\\u0061", "F32", "1", "4,8") "}", 8,
     "tensor 'a': its name is given twice"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "'dtype' is given twice"},
    {"{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", 0, "metadata 'k' is given twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ is given twice"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "'\"' is wanted"},
    {"{\"__metadata__\":{\"k\":{\"l\":\"m\"}}}", 0, "'\"' is wanted"},
    {"{\"__metadata__\":[]}", 0, "'{' is wanted"},
    {"{" ONE("a", "F32", "1", "8,4") "}", 8, "its end 4 lies before its begin 8"},
    {"{" ONE("a", "F32", "2", "0,4") "}", 4, "its shape needs 8 bytes, its place has 4"},
    {"{" ONE("a", "F32", "4294967296,4294967296", "0,0") "}", 0,
     "its shape has more than 2^63 bytes"},
    {"{" ONE("a", "F32", "2147483648,1073741824", "0,0") "}", 0, "more than 2^63 bytes"},
    {"{" ONE("a", "F32", "0,9223372036854775807,9223372036854775807", "0,4") "}", 4,
     "needs 0 bytes"},
    {"{" ONE("a", "F32", "9223372036854775808", "0,4") "}", 4, "a number above 2^63"},
    {"{" ONE("a", "F32", "18446744073709551617", "0,4") "}", 4, "a number above 2^63"},
    {"{" ONE("a", "F32", "1", "18446744073709551612,0") "}", 4, "a number above 2^63"},
    {"{" ONE("a", "F32", "1", "9223372036854775800,9223372036854775804") "}", 4, "is cut short"},
    {"{" ONE("a", "F32", "-1", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "1.0", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "1e0", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "NaN", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "Infinity", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "01", "0,4") "}", 4, "leading zero"},
    {"{" ONE("a", "F32", "[1]", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "1,", "0,4") "}", 4, "a whole number is wanted"},
    {"{" ONE("a", "F32", "1,1,1,1,1,1,1,1,1", "0,4") "}", 4, "too many numbers"},
    {"{" ONE("a", "F32", "1", "0,4,4") "}", 4, "too many numbers"},
    {"{" ONE("a", "F32", "1", "0") "}", 4, "dtype, shape and two data_offsets are wanted"},
    {"{" ONE("a", "F32", "1", "") "}", 4, "two data_offsets are wanted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "two data_offsets are wanted"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype, shape"},
    {"{\"a\":{}}", 0, "'\"' is wanted"},
    {"{\"a\":null}", 0, "'{' is wanted"},
    {"{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", 0, "'{' is wanted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4,
     "'more' is unknown"},
    {"{" ONE("a", "F16", "2", "0,4") "}", 4, "type F16 is not read; F32, F64, I64 and BF16 are"},
    {"{" ONE("a", "F8_E4M3", "4", "0,4") "}", 4, "type F8_E4M3 is not read"},
    {"{" ONE("a", "f32", "1", "0,4") "}", 4, "type f32 is not read"},
    {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "'\"' is wanted"},
    {"{" ONE("\xff", "F32", "1", "0,4") "}", 4, "invalid UTF-8"},
    {"{" ONE("\xc0\xaf", "F32", "1", "0,4") "}", 4, "invalid UTF-8"},
    {"{" ONE("\xed\xa0\x80", "F32", "1", "0,4") "}", 4, "invalid UTF-8"},
    {"{" ONE("\xe2\x82", "F32", "1", "0,4") "}", 4, "invalid UTF-8"},
    {"{" ONE("\xf4\x90\x80\x80", "F32", "1", "0,4") "}", 4, "invalid UTF-8"},
    {"{" ONE("\\u0000", "F32", "1", "0,4") "}", 4, "a NUL in a text"},
    {"{" ONE("\\ud800", "F32", "1", "0,4") "}", 4, "half of a surrogate pair"},
    {"{" ONE("\\ud800\\u0041", "F32", "1", "0,4") "}", 4, "half of a surrogate pair"},
    {"{" ONE("\\udc00", "F32", "1", "0,4") "}", 4, "half of a surrogate pair"},
    {"{" ONE("\\u12g4", "F32", "1", "0,4") "}", 4, "needs four digits"},
    {"{" ONE("\\x", "F32", "1", "0,4") "}", 4, "an unknown escape"},
    {"{" ONE("\n", "F32", "1", "0,4") "}", 4, "a control character"},
    {"{\"a", 0, "the text does not end"},
    {"{\"a\\", 0, "the text does not end"},
    {"{\"a\\u00", 0, "needs four digits"},
    {"{", 0, "'\"' is wanted"},
    {"{\"a\"", 0, "':' is wanted"},
    {"{" ONE("a", "F32", "1", "0,4"), 4, "'}' is wanted"},
    {"{" ONE("a", "F32", "1", "0,4") ",}", 4, "'\"' is wanted"},
    {"{" ONE("a", "F32", "1", "0,4") "}{", 4, "something follows the last '}'"},
    {"{" ONE("a", "F32", "1", "0,4") "}x", 4, "something follows the last '}'"},
    {"{\"__metadata__\":{\"checksum\":\"0123456789abcdef\"}," ONE("a", "F32", "1", "0,4") "}", 4,
     "is damaged"},
    {"[]", 0, "no header at byte 8 of 10"},
    {"", 0, "no header at byte 8 of 8"},
};

static void expect_wrong(const char *bytes, size_t length, const char *message)
{
    ftso_safetensors file;
    ftso_status status = ftso_safetensors_parse("w", bytes, length, &file);
    if (status.code != FTSO_ERROR_DATA || !strstr(status.message, message))
        fail_msg("wanted '%s', got %d '%s'", message, (int)status.code, status.message);
    assert_null(file.tensors);
    assert_null(file.header);
}

static void test_wrong(void **state)
{
    (void)state;
    static const char data[16];
    for (size_t i = 0; i < FTSO_COUNT(wrong); i++) {
        size_t length;
        char *bytes =
            compose(wrong[i].header, strlen(wrong[i].header), data, wrong[i].data_bytes, &length);
        expect_wrong(bytes, length, wrong[i].message);
        free(bytes);
    }
}

static void test_depth(void **state)
{
    (void)state;
    enum { DEPTH = 10000 };
    char *header = malloc(2 * DEPTH + 16);
    assert_non_null(header);
    strcpy(header, "{\"a\":");
    memset(header + 5, '{', DEPTH);
    header[5 + DEPTH] = '\0';
    size_t length;
    char *bytes = compose(header, strlen(header), "", 0, &length);
    expect_wrong(bytes, length, "'\"' is wanted");
    free(bytes);
    free(header);
}

/* Other formats, whole or by their first bytes, and files of which there is less than announced. */
static void test_other_formats(void **state)
{
    const place *p = *state;
    static const char torch_zip[] =
        "PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x10\x00\x00\x00"
        "archive/data.pklxx";
    static const char npz[] =
        "PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x05\x00\x00\x00"
        "a.npyxxxx";
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } cases[] = {
        {torch_zip, sizeof(torch_zip) - 1, "is a PyTorch zip file, not a safetensors file"},
        {npz, sizeof(npz) - 1, "is a NumPy npz archive"},
        {npz, 20, "is a zip archive"},
        {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8", 12, "is a Python pickle"},
        {"version https://git-lfs.github.com/spec/v1\noid", 46, "is a Git LFS pointer"},
        {"<!DOCTYPE html><html>", 21, "is an HTML page"},
        {"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", 12, "is a GGUF model"},
        {"\x89HDF\r\n\x1a\n\x00\x00", 10, "is an HDF5 file"},
        {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00", 10, "is a gzip file"},
        {"", 0, "is empty"},
        {"\x02\x00\x00", 3, "no header at byte 8 of 3"},
        {"\x01\xe1\xf5\x05\x00\x00\x00\x00{}", 10,
         "announces a header of 100000001 bytes; at most 100000000 are read"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
         "announces a header of 18446744073709551615 bytes"},
        {"\x00\xe1\xf5\x05\x00\x00\x00\x00{}", 10,
         "is cut short: its header has 100000000 bytes, the file 10"},
        {"\x03\x00\x00\x00\x00\x00\x00\x00{}", 10,
         "is cut short: its header has 3 bytes, the file 10"},
        {"\x00\x00\x00\x00\x00\x00\x00\x00{}", 10, "'{' is wanted"},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        char *bytes = malloc(cases[i].length + 1);
        assert_non_null(bytes);
        memcpy(bytes, cases[i].bytes, cases[i].length);
        char *exact = cases[i].length ? realloc(bytes, cases[i].length) : bytes;
        expect_wrong(exact, cases[i].length, cases[i].message);
        test_ok(ftso_file_write_atomic(p->path, exact, cases[i].length));
        ftso_safetensors file;
        ftso_status status = ftso_safetensors_read(p->path, &file);
        if (status.code != FTSO_ERROR_DATA || !strstr(status.message, cases[i].message))
            fail_msg("wanted '%s', got '%s'", cases[i].message, status.message);
        free(exact);
    }
    ftso_safetensors file;
    ftso_status status = ftso_safetensors_read(p->folder, &file);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_non_null(strstr(status.message, "is a folder, not a file"));
    status = ftso_safetensors_read("/nowhere/w", &file);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
}

/* ---------------------------------------------------------------- damage */

static bool same_content(const ftso_safetensors *a, const ftso_safetensors *b)
{
    if (a->tensor_count != b->tensor_count) return false;
    for (size_t i = 0; i < a->tensor_count; i++) {
        const ftso_safetensor *x = &a->tensors[i], *y = &b->tensors[i];
        if (strcmp(x->name, y->name) != 0 || x->dtype != y->dtype || x->rank != y->rank ||
            memcmp(x->dim, y->dim, sizeof(x->dim)) != 0 || x->size_bytes != y->size_bytes ||
            memcmp(x->data, y->data, x->size_bytes) != 0)
            return false;
    }
    return true;
}

/* A file of about two kilobytes. */
static content sample_file(const char *path, ftso_arena *arena)
{
    static float numbers[360];
    ftso_safetensor tensors[6];
    for (size_t i = 0; i < FTSO_COUNT(numbers); i++) numbers[i] = (float)i - 99.5f;
    memcpy(tensors, samples, sizeof(samples));
    tensors[5] = (ftso_safetensor){
        "cells.3.edge.2-0.1.weight", FTSO_F32, 2, {3, 120}, sizeof(numbers), numbers};
    test_ok(ftso_safetensors_write(path, tensors, 6, notes, FTSO_COUNT(notes)));
    content file = read_bytes(arena, path);
    assert_in_range(file.length, 1900, 2200);
    return file;
}

static void test_matrix(void **state)
{
    const place *p = *state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    size_t errors = 0, equal = 0;
    const content whole = sample_file(p->path, &arena);
    const char *bytes = whole.bytes;
    size_t length = whole.length;
    ftso_safetensors good;
    test_ok(ftso_safetensors_parse("good", bytes, length, &good));
    for (size_t at = 0; at < length; at++) {
        const char values[] = {0, (char)0xff, (char)(bytes[at] + 1), (char)(bytes[at] - 1)};
        for (size_t k = 0; k < FTSO_COUNT(values); k++) {
            if (values[k] == bytes[at]) continue;
            char *copy = malloc(length);
            assert_non_null(copy);
            memcpy(copy, bytes, length);
            copy[at] = values[k];
            ftso_safetensors file;
            ftso_status status = ftso_safetensors_parse("w", copy, length, &file);
            if (status.code == FTSO_OK) {
                /* Only spaces may be other characters, and the checksum's own name. */
                if (!same_content(&good, &file))
                    fail_msg("byte %zu as %d is believed", at, values[k]);
                equal++;
            } else {
                assert_int_equal(status.code, FTSO_ERROR_DATA);
                assert_true(status.message[0] != '\0');
                errors++;
            }
            ftso_safetensors_deinit(&file);
            free(copy);
        }
    }
    assert_true(equal < 40 && errors > 3 * length - 40);
    for (size_t cut = length; cut-- > 0;) {
        char *copy = malloc(cut ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        ftso_safetensors file;
        ftso_status status = ftso_safetensors_parse("w", copy, cut, &file);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        free(copy);
        assert_int_equal(truncate(p->path, (off_t)cut), 0);
        status = ftso_safetensors_read(p->path, &file);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
    }
    ftso_safetensors_deinit(&good);
    ftso_arena_deinit(&arena);
}

/* ---------------------------------------------------------------- memory, and files that cannot be written */

typedef struct shortage {
    int left; /* calls that may still succeed */
} shortage;

static void *short_alloc(void *user, size_t size)
{
    shortage *s = user;
    return s->left-- > 0 ? malloc(size) : NULL;
}

static void *short_resize(void *user, void *block, size_t size)
{
    shortage *s = user;
    return s->left-- > 0 ? realloc(block, size) : NULL;
}

static void short_release(void *user, void *block)
{
    (void)user;
    free(block);
}

static void test_memory(void **state)
{
    const place *p = *state;
    bool wrote = false, read = false;
    int failures = 0;
    for (int calls = 0; !wrote || !read; calls++) {
        shortage s = {calls};
        const ftso_allocator poor = {short_alloc, short_resize, short_release, &s};
        ftso_safetensors file;
        ftso_allocator_override(&poor);
        ftso_status status = wrote ? ftso_safetensors_read(p->path, &file)
                                   : ftso_safetensors_write(p->path, samples, 5, notes, 3);
        if (status.code == FTSO_OK && wrote) ftso_safetensors_deinit(&file);
        ftso_allocator_override(NULL);
        if (status.code == FTSO_OK) {
            read = wrote;
            wrote = true;
            calls = -1;
        } else {
            assert_int_equal(status.code, FTSO_ERROR_LIMIT);
            failures++;
        }
        assert_true(calls < 100);
    }
    assert_true(failures >= 8);
}

typedef struct failing {
    int left, reason;
    size_t most; /* bytes of one write */
    char call[16];
} failing;

static int fail_call(void *user, const char *call, const char *path, size_t *count)
{
    failing *f = user;
    assert_true(path[0] == '/');
    if (count && *count > f->most) *count = f->most;
    if (f->left-- != 0) return 0;
    snprintf(f->call, sizeof(f->call), "%s", call);
    return f->reason;
}

/* Each call of a save fails in turn; the old file stays whole, and says what failed. */
static void test_faults(void **state)
{
    const place *p = *state;
    static const int reasons[] = {28 /* ENOSPC */, 5 /* EIO */};
    ftso_safetensors file;
    test_ok(ftso_safetensors_write(p->path, samples, 2, notes, 1));
    for (size_t r = 0; r < FTSO_COUNT(reasons); r++)
        for (int at = 0; at < 100; at++) {
            failing f = {at, reasons[r], 300, ""};
            const ftso_file_fault fault = {fail_call, &f};
            ftso_file_fault_override(&fault);
            ftso_status status = ftso_safetensors_write(p->path, samples, 5, notes, 3);
            ftso_file_fault_override(NULL);
            if (status.code == FTSO_OK) {
                assert_true(at > 5); /* open, writes, sync, close, rename */
                assert_int_equal(f.call[0], 0);
                break;
            }
            assert_int_equal(status.code, r ? FTSO_ERROR_DATA : FTSO_ERROR_LIMIT);
            assert_non_null(strstr(status.message, r ? "Input/output error" : "No space left"));
            test_ok(ftso_safetensors_read(p->path, &file));
            assert_int_equal(file.tensor_count, r ? 5 : 2);
            ftso_safetensors_deinit(&file);
        }
    test_ok(ftso_safetensors_read(p->path, &file)); /* written three hundred bytes at a time */
    assert_int_equal(file.tensor_count, 5);
    ftso_safetensors_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, make_place, remove_place),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test_setup_teardown(test_bytes, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_not_utf8, make_place, remove_place),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_depth),
        cmocka_unit_test_setup_teardown(test_other_formats, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_matrix, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_memory, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_faults, make_place, remove_place),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
