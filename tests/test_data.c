/*
 * Data: the readers on sound and on damaged files, batches against a plain second implementation.
 */
#include "support.h"

#include "runtime/runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* ---------------------------------------------------------------- files to read */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "data-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r ./%s", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
    return path[turn];
}

static void put_file(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static void put_gzip(const char *name, const void *bytes, size_t length)
{
    gzFile file = gzopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)length), length);
    gzclose(file);
}

/* The load fails with this message; "%s" in it is the folder. */
static void expect_failure(const char *kind, bool test, const char *format)
{
    ftso_images images;
    ftso_status status = ftso_reader_find(kind)->load(folder, test, &images);
    char wanted[480];
    const char *at = strstr(format, "%s");
    snprintf(wanted, sizeof(wanted), "%.*s%s%s", at ? (int)(at - format) : (int)strlen(format),
             format, at ? folder : "", at ? at + 2 : "");
    assert_string_equal(status.message, wanted);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_null(images.pixels);
    assert_null(images.labels);
}

enum { CIFAR_IMAGE = 3072 };

/* `count` records with `label_bytes`; record i of file f has label (f + i) % 10 and pixels (f + i + p) % 251. */
static size_t cifar_bytes(uint8_t *out, int f, int count, int label_bytes)
{
    uint8_t *at = out;
    for (int i = 0; i < count; i++) {
        for (int b = 0; b < label_bytes; b++) *at++ = (uint8_t)((f + i) % 10);
        for (int p = 0; p < CIFAR_IMAGE; p++) *at++ = (uint8_t)((f + i + p) % 251);
    }
    return (size_t)(at - out);
}

static uint8_t bytes[8 * 3080];

static void put_cifar10(const char *sub)
{
    char name[64];
    for (int f = 1; f <= 5; f++) {
        snprintf(name, sizeof(name), "%sdata_batch_%d.bin", sub, f);
        put_file(name, bytes, cifar_bytes(bytes, f, 4, 1));
    }
    snprintf(name, sizeof(name), "%stest_batch.bin", sub);
    put_file(name, bytes, cifar_bytes(bytes, 6, 3, 1));
}

/* ---------------------------------------------------------------- CIFAR */

static void test_cifar10(void **state)
{
    (void)state;
    static const char *const subs[] = {"", "cifar-10-batches-bin/"};
    for (size_t s = 0; s < FTSO_COUNT(subs); s++) {
        if (s == 1) assert_int_equal(mkdir(path_of("cifar-10-batches-bin"), 0777), 0);
        put_cifar10(subs[s]);
        ftso_images images;
        test_ok(ftso_reader_find("cifar10")->load(folder, false, &images));
        assert_int_equal(images.count, 20);
        assert_int_equal(images.channels, 3);
        assert_int_equal(images.height, 32);
        assert_int_equal(images.width, 32);
        assert_int_equal(images.classes, 10);
        for (int i = 0; i < 20; i++) {
            int f = 1 + i / 4;
            assert_int_equal(images.labels[i], (f + i % 4) % 10);
            for (int p = 0; p < CIFAR_IMAGE; p++)
                assert_int_equal(images.pixels[i * CIFAR_IMAGE + p], (f + i % 4 + p) % 251);
        }
        ftso_images_deinit(&images);
        assert_null(images.pixels);
        test_ok(ftso_reader_find("cifar10")->load(folder, true, &images));
        assert_int_equal(images.count, 3);
        ftso_images_deinit(&images);
        char name[64];
        for (int f = 1; f <= 5 && s == 0; f++) {
            snprintf(name, sizeof(name), "data_batch_%d.bin", f);
            unlink(path_of(name));
        }
        if (s == 0) unlink(path_of("test_batch.bin"));
    }
}

static void test_cifar100(void **state)
{
    (void)state;
    cifar_bytes(bytes, 0, 2, 2);
    bytes[1] = 99; /* the fine label of the first image */
    put_file("train.bin", bytes, 2 * 3074);
    ftso_images images;
    test_ok(ftso_reader_find("cifar100")->load(folder, false, &images));
    assert_int_equal(images.count, 2);
    assert_int_equal(images.classes, 100);
    assert_int_equal(images.labels[0], 99);
    assert_int_equal(images.labels[1], 1);
    assert_int_equal(images.pixels[0], 0);
    assert_int_equal(images.pixels[CIFAR_IMAGE], 1);
    ftso_images_deinit(&images);
    bytes[3074] = 20;
    put_file("train.bin", bytes, 2 * 3074);
    expect_failure(
        "cifar100", false,
        "'%s/train.bin' is damaged: label 20 of record 1; CIFAR-100's labels are 0 to 19");
    expect_failure("cifar100", true,
                   "'%s/test.bin' is missing: unpack CIFAR-100's binary version "
                   "(cifar-100-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html) and "
                   "name its folder with --data or in the space file");
}

static void test_cifar_failures(void **state)
{
    (void)state;
    put_cifar10("");
    put_file("data_batch_3.bin", bytes, cifar_bytes(bytes, 3, 4, 1) - 1);
    expect_failure("cifar10", false,
                   "'%s/data_batch_3.bin' has 12291 bytes, which are not whole records of 3073: it "
                   "is cut short or not CIFAR-10; download it again");
    put_file("data_batch_3.bin", bytes, cifar_bytes(bytes, 3, 3, 1));
    expect_failure("cifar10", false,
                   "'%s/data_batch_3.bin' holds 3 images where the first file holds 4: one of them "
                   "is cut short");
    cifar_bytes(bytes, 3, 4, 1);
    bytes[2 * 3073] = 10;
    put_file("data_batch_3.bin", bytes, 4 * 3073);
    expect_failure("cifar10", false,
                   "'%s/data_batch_3.bin' is damaged: label 10 of record 2; CIFAR-10's labels are "
                   "0 to 9");
    static const char page[] = "\n\n<!DOCTYPE html>\n<html><body>404</body></html>";
    put_file("data_batch_3.bin", page, strlen(page));
    expect_failure("cifar10", false,
                   "'%s/data_batch_3.bin' is an HTML page, not data: download it again");
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 30730000\n";
    put_file("data_batch_3.bin", pointer, strlen(pointer));
    expect_failure("cifar10", false,
                   "'%s/data_batch_3.bin' is a Git LFS pointer, not data: download it again");
    put_file("data_batch_3.bin", "", 0);
    expect_failure("cifar10", false, "'%s/data_batch_3.bin' is empty");
    put_gzip("data_batch_3.bin", bytes, 4 * 3073);
    expect_failure("cifar10", false, "'%s/data_batch_3.bin' is a gzip file: unpack it");
    unlink(path_of("data_batch_3.bin"));
    expect_failure("cifar10", false,
                   "cannot open '%s/data_batch_3.bin': No such file or directory");
    mkdir(path_of("data_batch_3.bin"), 0777);
    expect_failure("cifar10", false, "'%s/data_batch_3.bin' is a folder, not a file");
    unlink(path_of("data_batch_1.bin"));
    put_file("data_batch_1", "\x80\x02}q\x01", 5);
    expect_failure("cifar10", false,
                   "'%s' holds CIFAR-10 as Python pickles; the binary version is wanted: unpack "
                   "cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and "
                   "name its folder");
    ftso_images images;
    ftso_status status = ftso_reader_find("cifar10")->load("no/such/folder", false, &images);
    assert_non_null(strstr(
        status.message, "'no/such/folder/data_batch_1.bin' is missing, as is its folder: unpack"));
}

/* ---------------------------------------------------------------- IDX */

static size_t idx_head(uint8_t *out, int rank, const int64_t *dims)
{
    const uint8_t magic[4] = {0, 0, 8, (uint8_t)rank};
    memcpy(out, magic, 4);
    for (int d = 0; d < rank; d++)
        for (int b = 0; b < 4; b++) out[4 + 4 * d + b] = (uint8_t)(dims[d] >> (24 - 8 * b));
    return 4 + 4 * (size_t)rank;
}

enum { IDX_COUNT = 6, IDX_HEIGHT = 5, IDX_WIDTH = 7, IDX_PIXELS = IDX_HEIGHT * IDX_WIDTH };
static uint8_t idx_images[16 + IDX_COUNT * IDX_PIXELS], idx_labels[8 + IDX_COUNT];

static void make_idx(void)
{
    static const int64_t dims[] = {IDX_COUNT, IDX_HEIGHT, IDX_WIDTH};
    size_t at = idx_head(idx_images, 3, dims);
    for (int i = 0; i < IDX_COUNT * IDX_PIXELS; i++) idx_images[at + (size_t)i] = (uint8_t)(i * 7);
    at = idx_head(idx_labels, 1, dims);
    for (int i = 0; i < IDX_COUNT; i++) idx_labels[at + (size_t)i] = (uint8_t)(i % 4);
}

static void check_idx(void)
{
    ftso_images images;
    test_ok(ftso_reader_find("idx")->load(folder, false, &images));
    assert_int_equal(images.count, IDX_COUNT);
    assert_int_equal(images.channels, 1);
    assert_int_equal(images.height, IDX_HEIGHT);
    assert_int_equal(images.width, IDX_WIDTH);
    assert_int_equal(images.classes, 4);
    assert_memory_equal(images.pixels, idx_images + 16, IDX_COUNT * IDX_PIXELS);
    for (int i = 0; i < IDX_COUNT; i++) assert_int_equal(images.labels[i], i % 4);
    ftso_images_deinit(&images);
}

static void test_idx(void **state)
{
    (void)state;
    make_idx();
    put_gzip("train-images-idx3-ubyte.gz", idx_images, sizeof(idx_images));
    put_file("train-labels.idx1-ubyte", idx_labels, sizeof(idx_labels));
    check_idx();
    idx_images[16] = 200; /* the plain file goes before the packed one */
    put_file("train-images-idx3-ubyte", idx_images, sizeof(idx_images));
    check_idx();
}

static void test_idx_failures(void **state)
{
    (void)state;
    const char *images = "train-images-idx3-ubyte", *labels = "train-labels-idx1-ubyte";
    expect_failure("idx", false,
                   "no 'train-images-idx3-ubyte' (or .gz) in '%s': name the folder of the images "
                   "with --data or in the space file; Fashion-MNIST comes with Debian's package "
                   "dataset-fashion-mnist, in /usr/share/datasets/fashion-mnist");
    make_idx();
    put_file(images, idx_images, sizeof(idx_images));
    put_file(labels, idx_labels, sizeof(idx_labels) - 2);
    expect_failure("idx", false,
                   "'%s/train-labels-idx1-ubyte' is cut short: 1 of 1 bytes of labels are missing; "
                   "download it again");
    put_file(labels, idx_labels, sizeof(idx_labels));
    put_file(images, idx_images, sizeof(idx_images) - 40);
    expect_failure(
        "idx", false,
        "'%s/train-images-idx3-ubyte' is cut short: its 186 bytes cannot hold 6 images of "
        "5 x 7; download it again");
    uint8_t longer[sizeof(idx_images) + 1] = {0};
    memcpy(longer, idx_images, sizeof(idx_images));
    put_file(images, longer, sizeof(longer));
    expect_failure("idx", false,
                   "'%s/train-images-idx3-ubyte' goes on after the data that its head announces");
    longer[3] = 1;
    put_file(images, longer, sizeof(longer));
    expect_failure(
        "idx", false,
        "'%s/train-images-idx3-ubyte' begins with 00000801; an IDX file of images begins "
        "with 00000803");
    memcpy(longer, idx_images, sizeof(idx_images));
    longer[4] = 0x7f;
    put_file(images, longer, sizeof(longer));
    expect_failure(
        "idx", false,
        "'%s/train-images-idx3-ubyte' is cut short: its 227 bytes cannot hold 2130706438 "
        "images of 5 x 7; download it again");
    memcpy(longer + 4, "\0\0\0\0", 4);
    put_file(images, longer, sizeof(longer));
    expect_failure("idx", false,
                   "'%s/train-images-idx3-ubyte' says that it holds 0 images of 5 x 7");
    put_file(images, idx_images, sizeof(idx_images));
    idx_labels[7] = 5;
    put_file(labels, idx_labels, sizeof(idx_labels));
    expect_failure("idx", false, "'%s/train-labels-idx1-ubyte' holds 5 labels for 6 images");
}

static void test_gzip_failures(void **state)
{
    (void)state;
    make_idx();
    put_file("train-labels-idx1-ubyte", idx_labels, sizeof(idx_labels));
    put_gzip("train-images-idx3-ubyte.gz", idx_images, sizeof(idx_images));
    uint8_t packed[1024];
    FILE *file = fopen(path_of("train-images-idx3-ubyte.gz"), "rb");
    size_t length = fread(packed, 1, sizeof(packed), file);
    fclose(file);
    for (size_t cut = 2; cut < length; cut++) { /* cut anywhere: always an error, never a crash */
        put_file("train-images-idx3-ubyte.gz", packed, cut);
        ftso_images images;
        ftso_status status = ftso_reader_find("idx")->load(folder, false, &images);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        assert_non_null(strstr(status.message, "is cut short"));
    }
    packed[length - 6] ^= 1; /* its checksum */
    put_file("train-images-idx3-ubyte.gz", packed, length);
    expect_failure("idx", false,
                   "'%s/train-images-idx3-ubyte.gz' is damaged: incorrect data check");
}

static void test_installed_sets(void **state)
{
    (void)state;
    static const char path[] = "/usr/share/datasets/fashion-mnist";
    ftso_images images;
    if (access(path, R_OK) != 0) {
        print_message("Fashion-MNIST is not installed (dataset-fashion-mnist): not read\n");
        skip();
    }
    for (int test = 0; test < 2; test++) {
        test_ok(ftso_reader_find("idx")->load(path, test, &images));
        assert_int_equal(images.count, test ? 10000 : 60000);
        assert_int_equal(images.height, 28);
        assert_int_equal(images.width, 28);
        assert_int_equal(images.classes, 10);
        int64_t per_class[10] = {0};
        for (int64_t i = 0; i < images.count; i++) per_class[images.labels[i]]++;
        for (int c = 0; c < 10; c++) assert_int_equal(per_class[c], images.count / 10);
        ftso_images_deinit(&images);
    }
}

static void test_table_of_readers(void **state)
{
    (void)state;
    size_t count;
    const ftso_reader *rows = ftso_reader_rows(&count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(ftso_reader_find(rows[i].kind), &rows[i]);
        assert_true(strlen(rows[i].doc) > 10);
    }
    assert_null(ftso_reader_find("hdf5"));
}

static void test_sniff(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *look;
    } cases[] = {
        {"<HTML>", 6, "an HTML page"},
        {"\xef\xbb\xbf  <?xml version='1.0'?>", 25, "an HTML page"},
        {"version https://git-lfs.github.com/spec/v1", 42, "a Git LFS pointer"},
        {"../.git/annex/objects/a/b", 25, "a git-annex pointer"},
        {"\x1f\x8b\x08", 3, "a gzip file"},
        {"PK\x03\x04", 4, "a zip archive"},
        {"\xfd"
         "7zXZ",
         5, "an xz file"},
        {"\x80\x04\x95", 3, "a Python pickle"},
        {"\x03\x05\x07", 3, NULL},
        {"", 0, NULL},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        const char *look = ftso_sniff((const uint8_t *)cases[i].bytes, cases[i].length);
        if (cases[i].look)
            assert_string_equal(look, cases[i].look);
        else
            assert_null(look);
    }
}

/* ---------------------------------------------------------------- batches */

enum {
    IMAGES = 9,
    SIDE = 32,
    CHANNELS = 3,
    PLANE = SIDE * SIDE,
    IMAGE = CHANNELS * PLANE,
    COUNT = 40
};

static void make_images(ftso_images *images)
{
    *images = (ftso_images){
        .count = IMAGES, .channels = CHANNELS, .height = SIDE, .width = SIDE, .classes = 10};
    images->pixels = ftso_mem_alloc(IMAGES * IMAGE);
    images->labels = ftso_mem_alloc(IMAGES * sizeof(int32_t));
    test_random random = {3};
    for (int i = 0; i < IMAGES * IMAGE; i++) images->pixels[i] = (uint8_t)test_below(&random, 256);
    for (int i = 0; i < IMAGES; i++) images->labels[i] = i % 10;
}

static const char whole[] =
    "crop(32, 4) -> flip(0.5) -> normalize(0.49139968, 0.48215827, 0.44653124, "
    "0.24703233, 0.24348505, 0.26158768) -> cutout(16)";
static const float mean[] = {0.49139968f, 0.48215827f, 0.44653124f},
                   std[] = {0.24703233f, 0.24348505f, 0.26158768f};

static ftso_transform transform_of(const char *text)
{
    ftso_transform transform;
    test_ok(ftso_transform_parse(text, &transform));
    return transform;
}

/* A second implementation: pads, crops, mirrors, normalises and cuts out one after another, on whole pictures. */
static void plain_image(const ftso_images *images, int64_t index, ftso_random r, float *out)
{
    enum { WIDE = SIDE + 8 };
    uint8_t padded[WIDE][WIDE];
    int64_t top = (int64_t)((uint64_t)r.word[0] * 9 >> 32);
    int64_t left = (int64_t)((uint64_t)r.word[1] * 9 >> 32);
    bool mirrored = r.word[2] < 0x80000000u;
    int64_t cut_y = r.word[3] >> 27, cut_x = r.word[3] >> 11 & 31;
    for (int c = 0; c < CHANNELS; c++) {
        memset(padded, 0, sizeof(padded));
        for (int y = 0; y < SIDE; y++)
            memcpy(&padded[y + 4][4], images->pixels + index * IMAGE + c * PLANE + y * SIDE, SIDE);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                int from = mirrored ? SIDE - 1 - x : x;
                float value = (float)padded[top + y][left + from] / 255.0f;
                value = (value - mean[c]) / std[c];
                bool cut = y >= cut_y - 8 && y < cut_y + 8 && x >= cut_x - 8 && x < cut_x + 8;
                out[c * PLANE + y * SIDE + x] = cut ? 0 : value;
            }
    }
}

static void test_batch_against_plain(void **state)
{
    (void)state;
    ftso_images images;
    make_images(&images);
    int32_t indices[COUNT];
    for (int i = 0; i < COUNT; i++) indices[i] = (i * 5) % IMAGES;
    float *out = malloc(COUNT * IMAGE * sizeof(float)),
          *first = malloc(COUNT * IMAGE * sizeof(float));
    float labels[COUNT], plain[IMAGE];
    bool tops[9] = {false}, flips[2] = {false};
    for (int threads = 1; threads <= 5; threads += 2) {
        ftso_pool *pool;
        test_ok(ftso_pool_new(threads, false, &pool));
        ftso_transform t = transform_of(whole);
        test_ok(ftso_batch_make(&images, indices, COUNT, &t, SIDE, 11, FTSO_STREAM_AUGMENT_TRAIN, 6,
                                pool, out, labels));
        if (threads == 1) memcpy(first, out, COUNT * IMAGE * sizeof(float));
        assert_memory_equal(out, first, COUNT * IMAGE * sizeof(float));
        ftso_pool_free(pool);
    }
    for (int k = 0; k < COUNT; k++) {
        ftso_random r = ftso_random_at(11, FTSO_STREAM_AUGMENT_TRAIN, 6, (uint64_t)k);
        plain_image(&images, indices[k], r, plain);
        assert_memory_equal(out + k * IMAGE, plain, sizeof(plain));
        assert_true(labels[k] == (float)images.labels[indices[k]]);
        tops[(uint64_t)r.word[0] * 9 >> 32] = true;
        flips[r.word[2] >> 31] = true;
    }
    for (int i = 0; i < 9; i++) assert_true(tops[i]);
    assert_true(flips[0] && flips[1]);
    free(first);
    free(out);
    ftso_images_deinit(&images);
}

static void test_batch_without_chance(void **state)
{
    (void)state;
    ftso_images images;
    make_images(&images);
    ftso_pool *pool;
    test_ok(ftso_pool_new(2, false, &pool));
    const ftso_transform plain = transform_of("normalize(0.5, 0.25, 0, 0.5, 0.25, 1)");
    static const float means[] = {0.5f, 0.25f, 0}, stds[] = {0.5f, 0.25f, 1};
    const int32_t indices[2] = {8, 0};
    float out[2 * IMAGE], again[2 * IMAGE], labels[2];
    test_ok(ftso_batch_make(&images, indices, 2, &plain, SIDE, 1, FTSO_STREAM_AUGMENT_VALID, 0,
                            pool, out, labels));
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < IMAGE; i++) {
            int c = i / PLANE;
            float value = (float)images.pixels[indices[k] * IMAGE + i] / 255.0f;
            assert_true(out[k * IMAGE + i] == (value - means[c]) / stds[c]);
        }
    assert_true(labels[0] == 8 && labels[1] == 0);
    test_ok(ftso_batch_make(&images, indices, 2, &plain, SIDE, 2, FTSO_STREAM_AUGMENT_VALID, 9,
                            pool, again, labels));
    assert_memory_equal(out, again, sizeof(out)); /* no chance in it: seed and step do not matter */
    const ftso_transform mirrored =
        transform_of("flip(1) -> normalize(0.5, 0.25, 0, 0.5, 0.25, 1)");
    test_ok(ftso_batch_make(&images, indices, 1, &mirrored, SIDE, 2, FTSO_STREAM_AUGMENT_VALID, 9,
                            pool, again, labels));
    for (int i = 0; i < IMAGE; i++)
        assert_true(again[i] == out[i / SIDE * SIDE + SIDE - 1 - i % SIDE]);
    ftso_pool_free(pool);
    ftso_images_deinit(&images);
}

/* A crop smaller than the image, without padding, and one much larger than it: rows and columns outside are black. */
static void test_crops_of_other_sizes(void **state)
{
    (void)state;
    ftso_images images;
    make_images(&images);
    ftso_pool *pool;
    test_ok(ftso_pool_new(1, false, &pool));
    const int32_t index = 2;
    static const int64_t sides[] = {8, 72}, pads[] = {0, 40};
    for (int s = 0; s < 2; s++) {
        int64_t side = sides[s], pad = pads[s], range = SIDE + 2 * pad - side + 1;
        ftso_transform t = {1, {{FTSO_AUG_CROP, 2, {(double)side, (double)pad}}}};
        float *out = malloc((size_t)(CHANNELS * side * side) * sizeof(float)), label;
        for (uint64_t step = 0; step < 20; step++) {
            test_ok(ftso_batch_make(&images, &index, 1, &t, side, 4, FTSO_STREAM_AUGMENT_TRAIN,
                                    step, pool, out, &label));
            ftso_random r = ftso_random_at(4, FTSO_STREAM_AUGMENT_TRAIN, step, 0);
            int64_t top = (int64_t)((uint64_t)r.word[0] * (uint64_t)range >> 32) - pad;
            int64_t left = (int64_t)((uint64_t)r.word[1] * (uint64_t)range >> 32) - pad;
            for (int64_t i = 0; i < CHANNELS * side * side; i++) {
                int64_t c = i / (side * side), y = i / side % side + top, x = i % side + left;
                bool inside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
                float pixel =
                    inside ? (float)images.pixels[index * IMAGE + c * PLANE + y * SIDE + x] : 0;
                assert_true(out[i] == pixel / 255.0f);
            }
        }
        free(out);
    }
    ftso_pool_free(pool);
    ftso_images_deinit(&images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cifar10, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_cifar100, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_cifar_failures, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_idx, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_idx_failures, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_gzip_failures, make_folder, remove_folder),
        cmocka_unit_test(test_installed_sets),
        cmocka_unit_test(test_table_of_readers),
        cmocka_unit_test(test_sniff),
        cmocka_unit_test(test_batch_against_plain),
        cmocka_unit_test(test_batch_without_chance),
        cmocka_unit_test(test_crops_of_other_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
