/*
 * Folders of classes and NumPy files: sound ones, damaged ones, class names and their order.
 */
#include "support.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "folders-XXXXXX");
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
    static char path[2][5000];
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

static void put_folder(const char *name)
{
    test_ok(ftso_dir_create(path_of(name)));
}

static void put_picture(const char *name, const char *picture)
{
    char from[512];
    snprintf(from, sizeof(from), FTSO_SOURCE_DIR "/tests/pictures/%s", picture);
    ftso_arena arena;
    ftso_arena_init(&arena);
    char *bytes;
    size_t length;
    test_ok(ftso_file_read(&arena, from, 1 << 20, &bytes, &length));
    put_file(name, bytes, length);
    ftso_arena_deinit(&arena);
}

/* Opening fails with this message; "%s" in it is the folder. */
static void expect(const char *kind, bool test, const ftso_images_spec *spec, ftso_code code,
                   const char *format)
{
    ftso_images images;
    ftso_status status = ftso_images_open(kind, folder, test, spec, &images);
    char wanted[480];
    const char *at = strstr(format, "%s");
    snprintf(wanted, sizeof(wanted), "%.*s%s%s", at ? (int)(at - format) : (int)strlen(format),
             format, at ? folder : "", at ? at + 2 : "");
    assert_string_equal(status.message, wanted);
    assert_int_equal(status.code, code);
    assert_null(images.labels);
}

/* ---------------------------------------------------------------- folders */

/* Two classes; one with a folder inside, files that are no pictures, a hidden one, a JPEG that is called PNG. */
static void put_set(void)
{
    put_folder("train/dog/more");
    put_folder("train/Cat");
    put_folder("val/dog");
    put_picture("train/dog/b.png", "rgb.jpg");
    put_picture("train/dog/a.JPEG", "cmyk.jpg");
    put_picture("train/dog/more/z.png", "palette.png");
    put_picture("train/Cat/1.png", "grey.png");
    put_file("train/Cat/readme.txt", "text", 4);
    put_file("train/Cat/.hidden.png", "x", 1);
    put_file("train/list.csv", "x", 1);
    put_picture("val/dog/only.png", "rgba.png");
}

static const ftso_images_spec two = {.channels = 3, .side = 12, .classes = 2};

/* A picture read by itself and one from a batch are the same. */
static void check_batch(const ftso_images *images, const char *const *pictures)
{
    ftso_transform transform;
    test_ok(ftso_transform_parse("resize(14) -> center_crop(12)", &transform));
    const ftso_images_spec spec = {.channels = images->channels, .side = 12, .classes = 2};
    test_ok(ftso_images_check(images, &spec, &transform));
    ftso_pool *pool;
    test_ok(ftso_pool_new(2, false, &pool));
    enum { MOST = 4, IMAGE = 3 * 12 * 12 };
    float out[MOST * IMAGE], labels[MOST], alone[IMAGE];
    const int32_t indices[MOST] = {0, 1, 2, 3};
    test_ok(ftso_batch_make(images, indices, images->count, &transform, 12, 0,
                            FTSO_STREAM_AUGMENT_VALID, 0, pool, out, labels));
    size_t image = (size_t)(images->channels * 12 * 12);
    for (int64_t i = 0; i < images->count; i++) {
        ftso_picture picture = {0};
        char path[512];
        snprintf(path, sizeof(path), FTSO_SOURCE_DIR "/tests/pictures/%s", pictures[i]);
        test_ok(ftso_picture_read(path, images->channels, &picture));
        test_ok(ftso_picture_transform(&picture, &transform, 12, alone));
        assert_memory_equal(out + (size_t)i * image, alone, image * sizeof(float));
        assert_true(labels[i] == (float)images->labels[i]);
        ftso_picture_deinit(&picture);
    }
    ftso_pool_free(pool);
}

static void test_folder(void **state)
{
    (void)state;
    static const char *const train[] = {"grey.png", "cmyk.jpg", "rgb.jpg", "palette.png"};
    static const char *const val[] = {"rgba.png"};
    put_set();
    for (int64_t channels = 1; channels <= 3; channels += 2) {
        ftso_images_spec spec = two;
        spec.channels = channels;
        ftso_images images;
        test_ok(ftso_images_open("imagefolder", folder, false, &spec, &images));
        assert_int_equal(images.count, 4);
        assert_int_equal(images.classes, 2);
        assert_int_equal(images.height, 0);
        assert_string_equal(images.class_names[0], "Cat");
        assert_string_equal(images.class_names[1], "dog");
        for (int i = 0; i < 4; i++) assert_int_equal(images.labels[i], i > 0);
        check_batch(&images, train);
        ftso_images_deinit(&images);
        test_ok(ftso_images_open("imagefolder", folder, true, &spec, &images));
        assert_int_equal(images.count, 1);
        assert_int_equal(images.labels[0],
                         1); /* the training part's label, though it is alone here */
        check_batch(&images, val);
        ftso_images_deinit(&images);
    }
}

/* Without train/ the classes lie in the folder itself; a folder without classes is passed over. */
static void test_flat_folder(void **state)
{
    (void)state;
    put_folder("a");
    put_folder("b");
    put_folder("test/unlabelled");
    put_picture("a/x.png", "one.png");
    put_picture("b/y.png", "one.png");
    put_picture("test/unlabelled/q.png", "one.png");
    ftso_images_spec spec = {.channels = 3, .side = 4, .classes = 3};
    ftso_images images;
    test_ok(ftso_images_open("imagefolder", folder, false, &spec, &images));
    assert_int_equal(images.count, 3); /* "test" is a class like another here */
    ftso_images_deinit(&images);
}

static void test_names(void **state)
{
    (void)state;
    put_set();
    static const char *const other[] = {"dog", "Cat"}, *const three[] = {"cow", "dog", "Cat"},
                             *const wrong[] = {"dog", "cat"};
    ftso_images_spec spec = two;
    ftso_images images;
    spec.class_names = other;
    test_ok(ftso_images_open("imagefolder", folder, false, &spec, &images));
    assert_string_equal(images.class_names[0], "dog");
    for (int i = 0; i < 4; i++) assert_int_equal(images.labels[i], i == 0);
    ftso_images_deinit(&images);
    spec.class_names = three;
    spec.classes = 3;
    test_ok(ftso_images_open("imagefolder", folder, true, &spec, &images));
    assert_int_equal(images.classes, 3);
    assert_int_equal(images.labels[0], 1);
    ftso_images_deinit(&images);
    spec.class_names = wrong;
    spec.classes = 2;
    expect("imagefolder", false, &spec, FTSO_ERROR_USER,
           "there is a folder 'Cat', and no class is named so");
    spec.class_names = NULL;
    spec.classes = 5;
    expect("imagefolder", false, &spec, FTSO_ERROR_USER,
           "there are 2 class folders, the recipe says 5 classes");
    spec.classes = 1;
    expect("imagefolder", false, &spec, FTSO_ERROR_USER,
           "labels go up to 1, the recipe says 1 classes");
    spec = two;
    spec.channels = 4;
    expect("imagefolder", false, &spec, FTSO_ERROR_USER,
           "pictures have 1 channel (grey) or 3 (colours), the recipe says 4");
}

static void test_names_as_text(void **state)
{
    (void)state;
    static const char *const names[] = {"a cat", "\xc3\xa9l\xc3\xa9phant", "x"};
    ftso_text text;
    ftso_text_init(&text);
    ftso_class_names_print(names, 3, &text);
    const char **again;
    int64_t count;
    test_ok(ftso_class_names_parse(ftso_text_get(&text), text.length, &again, &count));
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) assert_string_equal(again[i], names[i]);
    ftso_mem_free(again);
    ftso_text_deinit(&text);
    test_ok(ftso_class_names_parse("a\r\nb\r\n\n", 7, &again, &count));
    assert_int_equal(count, 2);
    assert_string_equal(again[0], "a");
    assert_string_equal(again[1], "b");
    ftso_mem_free(again);
    assert_int_equal(ftso_class_names_parse("a\n\nb", 4, &again, &count).code, FTSO_ERROR_DATA);
    assert_int_equal(ftso_class_names_parse("a\0b", 3, &again, &count).code, FTSO_ERROR_DATA);
    test_ok(ftso_class_names_parse("", 0, &again, &count));
    assert_int_equal(count, 0);
    ftso_mem_free(again);
}

static void test_folder_failures(void **state)
{
    (void)state;
    expect("imagefolder", false, &two, FTSO_ERROR_DATA,
           "there are no folders in '%s': each class has a folder of its own");
    put_picture("loose.png", "one.png");
    expect("imagefolder", false, &two, FTSO_ERROR_DATA,
           "the pictures lie in '%s': each class has a folder of its own");
    put_set();
    put_folder("train/bird");
    expect("imagefolder", false, &two, FTSO_ERROR_DATA,
           "the class folder '%s/train/bird' holds no picture (.jpg, .jpeg, .png)");
    put_file("train/bird/one.webp", "x", 1);
    expect(
        "imagefolder", false, &two, FTSO_ERROR_DATA,
        "'%s/train/bird/one.webp' is not read: convert pictures to PNG or JPEG, or take it away");
    unlink(path_of("train/bird/one.webp"));
    rmdir(path_of("train/bird"));
    put_folder("val/bird");
    put_picture("val/bird/one.png", "one.png");
    expect("imagefolder", true, &two, FTSO_ERROR_DATA,
           "'%s/val/bird' is a class that the training part has not");
    assert_int_equal(rename(path_of("val"), path_of("other")), 0);
    expect("imagefolder", true, &two, FTSO_ERROR_DATA,
           "'%s' has no test part: a folder test, val, valid or validation with a folder for each "
           "class");
    assert_int_equal(symlink("..", path_of("train/dog/up")), 0);
    ftso_images images;
    ftso_status status = ftso_images_open("imagefolder", folder, false, &two, &images);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    assert_non_null(strstr(status.message, "lies more than 8 folders deep: is there a link to a "
                                           "folder above?"));
    unlink(path_of("train/dog/up"));
    put_folder("train/a\nb");
    expect("imagefolder", false, &two, FTSO_ERROR_DATA,
           "the name of a class folder in '%s/train' has a line break in it");
    status = ftso_images_open("imagefolder", "no/such", false, &two, &images);
    assert_string_equal(status.message, "there is no folder 'no/such': name the folder of the "
                                        "images with --data or in the space file");
    char *longer = malloc(5001);
    memset(longer, 'x', 5000);
    longer[5000] = 0;
    status = ftso_images_open("imagefolder", longer, false, &two, &images);
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    free(longer);
    assert_string_equal(
        ftso_images_open("hdf5", folder, false, &two, &images).message,
        "there is no reader for 'hdf5'; there are cifar10, cifar100, idx, imagefolder, "
        "npy");
}

/* One broken picture among sound ones is named; the first one, on any number of threads. */
static void test_broken_picture(void **state)
{
    (void)state;
    put_folder("train/a");
    put_folder("train/b");
    char name[64];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "train/%c/%02d.png", i % 2 ? 'a' : 'b', i);
        put_picture(name, "one.png");
    }
    put_file("train/a/31.png", "<html><body>404</body></html>", 29);
    put_file("train/b/20.png", "\x89PNG\r\n\x1a\n", 8);
    ftso_images images;
    test_ok(ftso_images_open("imagefolder", folder, false, &two, &images));
    ftso_transform transform;
    test_ok(ftso_transform_parse("resize(12) -> center_crop(12)", &transform));
    int32_t indices[40];
    for (int i = 0; i < 40; i++) indices[i] = i;
    float *out = malloc(40 * 3 * 12 * 12 * sizeof(float)), labels[40];
    char wanted[256];
    snprintf(wanted, sizeof(wanted),
             "'%s/train/a/31.png': this is an HTML page, neither JPEG nor PNG", folder);
    for (int threads = 1; threads <= 4; threads++) {
        ftso_pool *pool;
        test_ok(ftso_pool_new(threads, false, &pool));
        ftso_status status = ftso_batch_make(&images, indices, 40, &transform, 12, 0,
                                             FTSO_STREAM_AUGMENT_VALID, 0, pool, out, labels);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        assert_string_equal(status.message, wanted);
        ftso_pool_free(pool);
    }
    put_picture("train/a/31.png", "one.png");
    put_picture("train/b/20.png", "one.png");
    test_ok(ftso_transform_parse("center_crop(12)", &transform));
    ftso_pool *pool;
    test_ok(ftso_pool_new(2, false, &pool));
    ftso_status status = ftso_batch_make(&images, indices, 40, &transform, 12, 0,
                                         FTSO_STREAM_AUGMENT_VALID, 0, pool, out, labels);
    snprintf(wanted, sizeof(wanted),
             "'%s/train/a/01.png': the image is 1 x 1, too small for a center_crop of 12 with a "
             "border of 0: put a resize before it",
             folder);
    assert_string_equal(status.message, wanted);
    ftso_pool_free(pool);
    free(out);
    ftso_images_deinit(&images);
}

/* Batches made ahead of time are those that are made at once; so are their failures; an unwanted one is ended. */
static void test_ahead_of_time(void **state)
{
    (void)state;
    enum { BATCH = 37, ROUNDS = 12, IMAGE = 3 * 12 * 12 };
    put_set();
    ftso_images images;
    test_ok(ftso_images_open("imagefolder", folder, false, &two, &images));
    ftso_transform transform;
    test_ok(ftso_transform_parse("resized_crop(12, 0.1, 1, 0.75, 1.25) -> flip(0.5)", &transform));
    int32_t indices[BATCH];
    for (int i = 0; i < BATCH; i++) indices[i] = i * 7 % 4;
    float *once = malloc(BATCH * IMAGE * sizeof(float)), once_labels[BATCH];
    float *ahead = malloc(BATCH * IMAGE * sizeof(float)), ahead_labels[BATCH];
    for (int threads = 1; threads <= 3; threads++) {
        ftso_pool *pool;
        ftso_maker *maker;
        test_ok(ftso_pool_new(threads, false, &pool));
        test_ok(ftso_maker_new(pool, &maker));
        for (uint64_t step = 0; step < ROUNDS; step++) {
            const ftso_batch_wish wish = {.images = &images,
                                          .indices = indices,
                                          .count = BATCH - (int64_t)step % 3,
                                          .transform = &transform,
                                          .side = 12,
                                          .seed = 5,
                                          .step = step,
                                          .stream = FTSO_STREAM_AUGMENT_TRAIN,
                                          .out = ahead,
                                          .out_labels = ahead_labels};
            ftso_maker_start(maker, &wish);
            if (step % 2) usleep(2000); /* the thread comes to some of it, to all, or to nothing */
            test_ok(ftso_maker_finish(maker));
            test_ok(ftso_batch_make(&images, indices, wish.count, &transform, 12, 5,
                                    FTSO_STREAM_AUGMENT_TRAIN, step, pool, once, once_labels));
            size_t count = (size_t)wish.count;
            assert_memory_equal(ahead, once, count * IMAGE * sizeof(float));
            assert_memory_equal(ahead_labels, once_labels, count * sizeof(float));
        }
        ftso_batch_wish wish = {.images = &images,
                                .indices = indices,
                                .count = BATCH,
                                .transform = &transform,
                                .side = 13, /* comes out as 12 */
                                .out = ahead,
                                .out_labels = ahead_labels};
        ftso_maker_start(maker, &wish);
        ftso_status status = ftso_maker_finish(maker);
        assert_non_null(strstr(status.message, "train/Cat/1.png': the image comes out as 12 x 12"));
        wish.side = 12;
        ftso_maker_start(maker, &wish);
        ftso_maker_free(maker);
        ftso_pool_free(pool);
    }
    free(once);
    free(ahead);
    ftso_images_deinit(&images);
}

/* ---------------------------------------------------------------- NumPy */

static uint8_t array[4096];

/* A file of version `version` with this literal and `count` bytes 0, 1, 2, … of data. */
static size_t make_npy(int version, const char *literal, size_t count)
{
    size_t wide = version == 1 ? 2 : 4, at = 8 + wide;
    size_t length = (at + strlen(literal) + 1 + 63) / 64 * 64 - at;
    memcpy(array, "\x93NUMPY", 6);
    array[6] = (uint8_t)version;
    array[7] = 0;
    for (size_t i = 0; i < wide; i++) array[8 + i] = (uint8_t)(length >> (8 * i));
    memset(array + at, ' ', length);
    memcpy(array + at, literal, strlen(literal));
    array[at + length - 1] = '\n';
    at += length;
    for (size_t i = 0; i < count; i++) array[at + i] = (uint8_t)i;
    return at + count;
}

static void put_npy(const char *name, int version, const char *literal, size_t count)
{
    put_file(name, array, make_npy(version, literal, count));
}

static const char images_name[] = "train_images.npy", labels_name[] = "train_labels.npy";
static const char labels_head[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }";

static void test_npy_shapes(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *literal;
        int64_t channels;
        bool interleaved;
    } cases[] = {
        {1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 5, 7), }", 1, false},
        {2, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 5, 7, 3), }", 3, true},
        {3, "{'shape': (3, 3, 5, 7), 'fortran_order': False, 'descr': '|u1'}", 3, false},
        {1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 5, 7, 1), }", 1, false},
        {1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1, 5, 7), }", 1, false},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        int64_t channels = cases[i].channels, pixels = 3 * 5 * 7 * channels;
        put_npy(images_name, cases[i].version, cases[i].literal, (size_t)pixels);
        put_npy(labels_name, 1, labels_head, 3);
        ftso_images images;
        ftso_images_spec spec = {.channels = channels, .side = 5, .classes = 4};
        test_ok(ftso_images_open("npy", folder, false, &spec, &images));
        assert_int_equal(images.count, 3);
        assert_int_equal(images.channels, channels);
        assert_int_equal(images.height, 5);
        assert_int_equal(images.width, 7);
        for (int64_t p = 0; p < pixels; p++) {
            int64_t image = p / (35 * channels), c = p / 35 % channels, at = p % 35;
            int64_t from = cases[i].interleaved ? image * 105 + at * 3 + c : p;
            assert_int_equal(images.pixels[p], from % 256);
        }
        for (int k = 0; k < 3; k++) assert_int_equal(images.labels[k], k);
        ftso_images_deinit(&images);
    }
}

static void test_npy_labels(void **state)
{
    (void)state;
    static const struct {
        const char *descr, *bytes;
        size_t length;
    } cases[] = {
        {"<i8", "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24},
        {">i8", "\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 24},
        {"<i4", "\2\0\0\0\0\0\0\0\1\0\0\0", 12},
        {">u2", "\0\2\0\0\0\1", 6},
        {"|i1", "\2\0\1", 3},
        {"<u8", "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24},
    };
    put_npy("x_train.npy", 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2), }", 12);
    for (size_t i = 0; i < FTSO_COUNT(cases) * 2; i++) {
        char literal[128];
        snprintf(literal, sizeof(literal),
                 "{'descr': '%s', 'fortran_order': %s, 'shape': (3,%s), }", cases[i / 2].descr,
                 i % 2 ? "True" : "False", i % 2 ? " 1" : "");
        size_t length = make_npy(1, literal, cases[i / 2].length);
        memcpy(array + length - cases[i / 2].length, cases[i / 2].bytes, cases[i / 2].length);
        put_file("y_train.npy", array, length);
        ftso_images images;
        ftso_images_spec spec = {.channels = 1, .side = 2, .classes = 3};
        test_ok(ftso_images_open("npy", folder, false, &spec, &images));
        assert_int_equal(images.labels[0], 2);
        assert_int_equal(images.labels[1], 0);
        assert_int_equal(images.labels[2], 1);
        ftso_images_deinit(&images);
    }
}

static void expect_npy(const char *literal, size_t bytes, const char *message)
{
    static const ftso_images_spec spec = {.channels = 1, .side = 2, .classes = 10};
    put_npy(images_name, 1, literal, bytes);
    expect("npy", false, &spec, FTSO_ERROR_DATA, message);
}

static void test_npy_failures(void **state)
{
    (void)state;
    static const ftso_images_spec spec = {.channels = 1, .side = 2, .classes = 3};
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "no 'train_images.npy' (or x_train.npy) in '%s': name the folder of the arrays with "
           "--data or in the space file");
    put_npy(labels_name, 1, labels_head, 3);
    static const struct {
        const char *literal;
        size_t bytes;
        const char *message;
    } cases[] = {
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3, 2, 2), }", 12,
         "'%s/train_images.npy' holds Python objects, which are not read: save an array of uint8"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 2), }", 48,
         "'%s/train_images.npy' holds numbers of type '<f4'; images are uint8, 0 to 255: save "
         "images.astype(numpy.uint8)"},
        {"{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3, 2, 2), }", 12,
         "'%s/train_images.npy' holds records of several fields; plain numbers are wanted"},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2, 2), }", 12,
         "'%s/train_images.npy' is in Fortran order: save numpy.ascontiguousarray(images)"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3, 3, 9, 3), }", 243,
         "'%s/train_images.npy' has the shape (3, 3, 9, 3): its channels may be first or last; "
         "transpose the images so that only one is at most 4"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (12,), }", 12,
         "'%s/train_images.npy' has the shape (12); images are (N, H, W), (N, H, W, C) or (N, C, "
         "H, "
         "W) with up to 4 channels"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2), }", 11,
         "'%s/train_images.npy' is cut short: 1 of 12 bytes of images are missing; download it "
         "again"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2), }", 13,
         "'%s/train_images.npy' goes on after the data that its head announces"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000000000000, 2, 2), }", 12,
         "'%s/train_images.npy' is cut short: its 140 bytes cannot hold 9000000000000000000 images "
         "of 4 bytes"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (0, 2, 2), }", 0,
         "'%s/train_images.npy' says that it holds 0 images of 2 x 2"},
        {"{'descr': '|u1', 'fortran_order': False, }", 12,
         "the head of '%s/train_images.npy' has no 'shape'"},
        {"{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }", 12,
         "the head of '%s/train_images.npy' is damaged at ''descr': '|u1', 'fortran'"},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++)
        expect_npy(cases[i].literal, cases[i].bytes, cases[i].message);
    static const char *const heads[] = {
        "__import__('os')",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 99999999999999999999), }",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (3, 2, 2), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2, 1, 1), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, -2, 2), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2)} more",
        "{'descr': '|u1",
        "{",
    };
    for (size_t i = 0; i < FTSO_COUNT(heads); i++) {
        put_npy(images_name, 1, heads[i], 12);
        ftso_images images;
        ftso_status status = ftso_images_open("npy", folder, false, &spec, &images);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        assert_non_null(strstr(status.message, "/train_images.npy' is damaged at '"));
    }
    put_file(images_name, "\x93NUMPY\x04\0", 8);
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "'%s/train_images.npy' is of version 4 of the .npy form; versions 1 to 3 are read");
    put_file(images_name, "PK\x03\x04 npz", 8);
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "'%s/train_images.npy' is a zip archive, not data: download it again");
    put_file(images_name, "\x01NUMPY\x01\0", 8);
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "'%s/train_images.npy' is no .npy file: it begins with 014e554d");

    put_npy(images_name, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2, 2), }", 12);
    put_npy(labels_name, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", 4);
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "'%s/train_labels.npy' holds 4 labels for 3 images");
    put_npy(labels_name, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", 24);
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "'%s/train_labels.npy' holds values of type '<f8'; labels are whole numbers: save "
           "labels.astype(numpy.int64)");
    put_npy(labels_name, 1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", 0);
    size_t length = make_npy(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", 3);
    array[length - 1] = 0xff;
    put_file(labels_name, array, length);
    expect("npy", false, &spec, FTSO_ERROR_DATA,
           "label 2 of '%s/train_labels.npy' is negative or huge; labels are 0 to 99999 at most");
    array[length - 1] = 7;
    put_file(labels_name, array, length);
    expect("npy", false, &spec, FTSO_ERROR_USER, "labels go up to 7, the recipe says 3 classes");
}

/* ---------------------------------------------------------------- names beside CIFAR's files */

static void test_cifar_names(void **state)
{
    (void)state;
    static uint8_t records[2 * 3074];
    put_file("test.bin", records, sizeof(records));
    char *names = malloc(2000), *at = names;
    for (int i = 0; i < 100; i++) at += sprintf(at, "class_%d\n", i);
    put_file("fine_label_names.txt", names, (size_t)(at - names));
    ftso_images_spec spec = {.channels = 3, .side = 32, .classes = 100};
    ftso_images images;
    test_ok(ftso_images_open("cifar100", folder, true, &spec, &images));
    assert_string_equal(images.class_names[99], "class_99");
    ftso_images_deinit(&images);
    put_file("fine_label_names.txt", names, (size_t)(at - names) - 9);
    expect("cifar100", true, &spec, FTSO_ERROR_DATA,
           "'%s/fine_label_names.txt': it names 99 classes, and there are 100");
    put_file("fine_label_names.txt", names, (size_t)(at - names));
    const char *own[100];
    for (int i = 0; i < 100; i++) own[i] = "same";
    spec.class_names = own;
    expect("cifar100", true, &spec, FTSO_ERROR_USER,
           "class 0 is 'class_0' in the data and 'same' in the recipe");
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_flat_folder, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_names, make_folder, remove_folder),
        cmocka_unit_test(test_names_as_text),
        cmocka_unit_test_setup_teardown(test_folder_failures, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_broken_picture, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_ahead_of_time, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_npy_shapes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_npy_labels, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_npy_failures, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_cifar_names, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
