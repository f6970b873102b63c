/*
 * Pictures: decoding, resizing, the test transform and colours against PIL's bytes (pictures/make.py made them); files that
 * are damaged, huge or something else.
 */
#include "support.h"

#include "runtime/runtime_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char folder[] = FTSO_SOURCE_DIR "/tests/pictures";

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* ---------------------------------------------------------------- against PIL */

typedef struct pil_case {
    char kind[16], name[32], more[128];
    int64_t channels, height, width;
} pil_case;

/* How far apart at most, and on average, two pieces of bytes are. */
static int most_apart(const uint8_t *a, const uint8_t *b, int64_t count, double *mean)
{
    int most = 0;
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        int apart = abs(a[i] - b[i]);
        sum += apart;
        if (apart > most) most = apart;
    }
    *mean = (double)sum / (double)count;
    return most;
}

static ftso_pixels pixels_of(const ftso_picture *p)
{
    return (ftso_pixels){.base = p->pixels,
                         .channels = p->channels,
                         .height = p->height,
                         .width = p->width,
                         .channel_step = 1,
                         .row_step = p->width * p->channels,
                         .column_step = p->channels};
}

static void run_decode(const pil_case *c, ftso_picture *picture)
{
    (void)c;
    (void)picture;
}

static void run_resize(const pil_case *c, ftso_picture *picture)
{
    ftso_picture out = {0};
    ftso_resize_memory memory = {0};
    ftso_pixels from = pixels_of(picture);
    test_ok(ftso_resize(&memory, &from, c->height, c->width, &out));
    ftso_resize_memory_deinit(&memory);
    ftso_picture_deinit(picture);
    *picture = out;
}

static void run_chain(const pil_case *c, ftso_picture *picture)
{
    ftso_transform transform;
    test_ok(ftso_transform_parse(c->more, &transform));
    int64_t plane = c->height * c->width;
    float *out = malloc((size_t)(c->channels * plane) * sizeof(float));
    test_ok(ftso_picture_transform(picture, &transform, c->height, out));
    test_ok(ftso_picture_reserve(picture, c->channels, c->height, c->width));
    for (int64_t i = 0; i < c->channels * plane; i++)
        picture->pixels[i % plane * c->channels + i / plane] = (uint8_t)(out[i] * 255 + 0.5f);
    free(out);
}

static void run_jitter(const pil_case *c, ftso_picture *picture)
{
    int order[FTSO_JITTERS];
    double factors[FTSO_JITTERS];
    char digits[8];
    assert_int_equal(sscanf(c->more, "%7s %lf %lf %lf %lf", digits, &factors[0], &factors[1],
                            &factors[2], &factors[3]),
                     5);
    for (int i = 0; i < FTSO_JITTERS; i++) order[i] = digits[i] - '0';
    ftso_picture_jitter(picture, order, factors);
}

static const struct {
    const char *kind;
    void (*run)(const pil_case *, ftso_picture *);
    int limit; /* grey levels */
    double mean_limit;
} kinds[] = {
    {"decode", run_decode, 1, 0.1},
    {"resize", run_resize, 1, 0.25}, /* PIL begins with the rows where that is cheaper */
    {"chain", run_chain, 1, 0.1},
    {"jitter", run_jitter, 1, 0.1},
};

static void test_against_pil(void **state)
{
    (void)state;
    FILE *cases = fopen(path_of("cases.txt"), "r"),
         *expected = fopen(path_of("expected.bin"), "rb");
    assert_non_null(cases);
    assert_non_null(expected);
    char line[256];
    int done[FTSO_COUNT(kinds)] = {0}, worst[FTSO_COUNT(kinds)] = {0};
    static uint8_t wanted[1 << 16];
    while (fgets(line, sizeof(line), cases)) {
        pil_case c = {0};
        long long numbers[3];
        int got = sscanf(line, "%15s %31s %lld %lld %lld %127[^\n]", c.kind, c.name, &numbers[0],
                         &numbers[1], &numbers[2], c.more);
        assert_true(got >= 5);
        c.channels = numbers[0];
        c.height = numbers[1];
        c.width = numbers[2];
        ftso_picture picture = {0};
        test_ok(ftso_picture_read(path_of(c.name), c.channels, &picture));
        size_t k = 0;
        while (strcmp(kinds[k].kind, c.kind) != 0) k++;
        kinds[k].run(&c, &picture);
        assert_int_equal(picture.channels, c.channels);
        assert_int_equal(picture.height, c.height);
        assert_int_equal(picture.width, c.width);
        size_t count = (size_t)(c.channels * c.height * c.width);
        assert_true(count <= sizeof(wanted));
        assert_int_equal(fread(wanted, 1, count, expected), count);
        double mean;
        int apart = most_apart(picture.pixels, wanted, (int64_t)count, &mean);
        if (apart > kinds[k].limit || mean > kinds[k].mean_limit)
            fail_msg("%.120s: %d grey levels apart, %.3f on average", line, apart, mean);
        if (apart > worst[k]) worst[k] = apart;
        done[k]++;
        ftso_picture_deinit(&picture);
    }
    assert_int_equal(fgetc(expected), EOF);
    for (size_t k = 0; k < FTSO_COUNT(kinds); k++) {
        print_message("%s: %d cases, at most %d apart\n", kinds[k].kind, done[k], worst[k]);
        assert_true(done[k] >= 10);
    }
    fclose(cases);
    fclose(expected);
}

/* ---------------------------------------------------------------- damaged files */

static size_t read_file(const char *name, uint8_t *out, size_t room)
{
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    size_t length = fread(out, 1, room, file);
    fclose(file);
    assert_true(length < room);
    return length;
}

static void expect(const uint8_t *bytes, size_t length, const char *message)
{
    ftso_picture picture = {0};
    ftso_status status = ftso_picture_decode(bytes, length, 3, &picture);
    assert_string_equal(status.message, message);
    assert_true(status.code == FTSO_ERROR_DATA || status.code == FTSO_ERROR_LIMIT);
    ftso_picture_deinit(&picture);
}

/* Cut anywhere: an error that says so, never a crash and never half a picture. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.jpg", "progressive.jpg", "grey.jpg",
                                        "rgb.png", "adam7.png",       "palette_clear.png"};
    static uint8_t bytes[1 << 16];
    for (size_t n = 0; n < FTSO_COUNT(names); n++) {
        size_t length = read_file(names[n], bytes, sizeof(bytes));
        ftso_picture picture = {0};
        test_ok(ftso_picture_decode(bytes, length, 3, &picture));
        size_t step = length > 1500 ? 7 : 1;
        for (size_t cut = 0; cut < length; cut += step) {
            uint8_t *copy = malloc(cut + 1); /* exactly as long, for the sanitizer */
            memcpy(copy, bytes, cut);
            ftso_status status = ftso_picture_decode(copy, cut, 3, &picture);
            assert_int_equal(status.code, FTSO_ERROR_DATA);
            free(copy);
        }
        ftso_status status = ftso_picture_decode(bytes, length / 2, 3, &picture);
        assert_non_null(strstr(status.message, "is cut short: download it again"));
        ftso_picture_deinit(&picture);
    }
}

/* One bit changed anywhere: a picture or an error. */
static void test_changed_anywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"progressive.jpg", "cmyk.jpg", "palette_2bit.png",
                                        "rgba.png"};
    static uint8_t bytes[1 << 16];
    test_random random = {5};
    int errors = 0, pictures = 0;
    for (size_t n = 0; n < FTSO_COUNT(names); n++) {
        size_t length = read_file(names[n], bytes, sizeof(bytes));
        ftso_picture picture = {0};
        for (int i = 0; i < 400; i++) {
            size_t at =
                (size_t)test_below(&random, i < 200 && length > 200 ? 200 : (int64_t)length);
            uint8_t bit = (uint8_t)(1u << test_below(&random, 8));
            bytes[at] ^= bit;
            ftso_status status = ftso_picture_decode(bytes, length, 1, &picture);
            bytes[at] ^= bit;
            errors += status.code != FTSO_OK;
            pictures += status.code == FTSO_OK;
        }
        ftso_picture_deinit(&picture);
    }
    assert_true(errors > 100 && pictures > 100);
}

static void test_something_else(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } cases[] = {
        {"", 0, "the file is empty"},
        {"\xff", 1, "this is neither JPEG nor PNG: it begins with ff0000"},
        {"BMabc", 5, "this is a BMP picture, neither JPEG nor PNG"},
        {"GIF89a", 6, "this is a GIF picture, neither JPEG nor PNG"},
        {"RIFF....WEBPVP8 ", 16, "this is a WebP picture, neither JPEG nor PNG"},
        {"<!DOCTYPE html><html>", 21, "this is an HTML page, neither JPEG nor PNG"},
        {"version https://git-lfs.github.com/spec/v1\n", 43,
         "this is a Git LFS pointer, neither JPEG nor PNG"},
        {"../.git/annex/objects/a/b", 25, "this is a git-annex pointer, neither JPEG nor PNG"},
        {"PK\x03\x04", 4, "this is a zip archive, neither JPEG nor PNG"},
        {"\x01\x02\x03\x04", 4, "this is neither JPEG nor PNG: it begins with 010203"},
        {"\xff\xd8\xff\xd9", 4, NULL},
        {"\x89PNG\r\n\x1a\n", 8, "the PNG is cut short: download it again"},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        ftso_picture picture = {0};
        ftso_status status =
            ftso_picture_decode((const uint8_t *)cases[i].bytes, cases[i].length, 3, &picture);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        if (cases[i].message) assert_string_equal(status.message, cases[i].message);
        ftso_picture_deinit(&picture);
    }
}

/* ---------------------------------------------------------------- limits */

static uint32_t crc(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0xffffffffu;
    for (size_t i = 0; i < length; i++) {
        sum ^= bytes[i];
        for (int b = 0; b < 8; b++) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    return ~sum;
}

static void put_be(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Sizes in the head that the file could never hold: refused before memory is asked for. */
static void test_limits(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    size_t length = read_file("rgb.png", bytes, sizeof(bytes));
    put_be(bytes + 16, 16384); /* width, height, and the head's checksum */
    put_be(bytes + 20, 16384);
    put_be(bytes + 29, crc(bytes + 12, 17));
    expect(bytes, length,
           "a PNG of 16384 x 16384 pixels; at most 16384 each way and 67108864 in all are read");
    put_be(bytes + 16, 0x7fffffff);
    put_be(bytes + 29, crc(bytes + 12, 17));
    ftso_picture picture = {0};
    ftso_status status = ftso_picture_decode(bytes, length, 3, &picture);
    assert_int_equal(status.code, FTSO_ERROR_DATA); /* libpng's own limit */

    length = read_file("rgb.jpg", bytes, sizeof(bytes));
    size_t at = 2;
    while (bytes[at + 1] != 0xc0) at += 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    memcpy(bytes + at + 5, "\x40\x01\x40\x00", 4);
    expect(bytes, length,
           "a JPEG of 16384 x 16385 pixels; at most 16384 each way and 67108864 in all are read");

    /* Many scans over one picture: each would be decoded from front to back. */
    length = read_file("progressive.jpg", bytes, sizeof(bytes));
    at = length - 2;
    while (!(bytes[at] == 0xff && bytes[at + 1] == 0xda)) at--;
    size_t scan = length - 2 - at;
    assert_true(length + 100 * scan < sizeof(bytes) && scan > 8);
    for (int i = 1; i <= 100; i++) memcpy(bytes + at + (size_t)i * scan, bytes + at, scan);
    bytes[at + 101 * scan] = 0xff;
    bytes[at + 101 * scan + 1] = 0xd9;
    status = ftso_picture_decode(bytes, at + 101 * scan + 2, 3, &picture);
    assert_int_equal(status.code, FTSO_ERROR_LIMIT);
    assert_non_null(strstr(status.message, "scans; at most 64 are read"));
    ftso_picture_deinit(&picture);
}

static void test_channels(void **state)
{
    (void)state;
    ftso_picture picture = {0};
    ftso_status status = ftso_picture_read(path_of("rgb.png"), 4, &picture);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    assert_non_null(
        strstr(status.message, "pictures have 1 channel (grey) or 3 (colours), and 4 are wanted"));
}

/* ---------------------------------------------------------------- files */

static void test_files(void **state)
{
    (void)state;
    ftso_picture picture = {0};
    ftso_status status = ftso_picture_read("no/such.png", 3, &picture);
    assert_string_equal(status.message, "cannot open 'no/such.png': No such file or directory");
    status = ftso_picture_read(folder, 3, &picture);
    assert_non_null(strstr(status.message, "tests/pictures': this is a folder, not a file"));
    status = ftso_picture_read(path_of("cases.txt"), 3, &picture);
    assert_non_null(strstr(status.message, "cases.txt': this is neither JPEG nor PNG"));
    assert_int_equal(symlink(path_of("rgb.jpg"), "really_a_jpeg.png"), 0);
    test_ok(ftso_picture_read("really_a_jpeg.png", 3, &picture)); /* names say nothing */
    assert_int_equal(picture.width, 37);
    unlink("really_a_jpeg.png");
    ftso_picture_deinit(&picture);
}

static void *refuse(void *user, size_t size_bytes)
{
    int *left = user;
    return (*left)-- > 0 ? malloc(size_bytes) : NULL;
}

static void *refuse_more(void *user, void *block, size_t size_bytes)
{
    int *left = user;
    return (*left)-- > 0 ? realloc(block, size_bytes) : NULL;
}

static void give_back(void *user, void *block)
{
    (void)user;
    free(block);
}

/* The n-th allocation fails, for each n until all are granted. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb.jpg", "cmyk.jpg", "adam7.png"};
    ftso_transform transform;
    test_ok(ftso_transform_parse("resize(40) -> center_crop(28)", &transform));
    static float out[3 * 28 * 28];
    for (size_t n = 0; n < FTSO_COUNT(names); n++)
        for (int granted = 0;; granted++) {
            int left = granted;
            const ftso_allocator allocator = {refuse, refuse_more, give_back, &left};
            ftso_picture picture = {0};
            ftso_allocator_override(&allocator);
            ftso_status status = ftso_picture_read(path_of(names[n]), 3, &picture);
            if (status.code == FTSO_OK)
                status = ftso_picture_transform(&picture, &transform, 28, out);
            ftso_picture_deinit(&picture);
            ftso_allocator_override(NULL);
            if (status.code == FTSO_OK) {
                assert_true(granted >= 5);
                break;
            }
            assert_int_equal(status.code, FTSO_ERROR_LIMIT);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_pil),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_changed_anywhere),
        cmocka_unit_test(test_something_else),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
