/*
 * Lists of steps: as text and back, and carried out, against a second implementation that makes a whole picture at every
 * step.
 */
#include "support.h"

#include "runtime/runtime_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- text */

static void test_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "crop(32, 4) -> flip(0.5) -> normalize(0.1, 0.3) -> cutout(16)",
        "resized_crop(224, 0.08, 1, 0.75, 1.3333333333333333) -> flip(0.5) -> "
        "color_jitter(0.4, 0.4, 0.4, 0.2) -> normalize(0.485, 0.456, 0.406, 0.229, 0.224, 0.225)",
        "resize(256) -> center_crop(224)",
    };
    for (size_t i = 0; i < FTSO_COUNT(texts); i++) {
        ftso_transform transform;
        ftso_text text;
        ftso_text_init(&text);
        test_ok(ftso_transform_parse(texts[i], &transform));
        ftso_transform_print(&transform, &text);
        assert_string_equal(ftso_text_get(&text), texts[i]);
        ftso_text_deinit(&text);
    }
    ftso_transform transform;
    test_ok(ftso_transform_parse("  resize( 8 )->flip(1)  ", &transform));
    assert_int_equal(transform.count, 2);
    assert_int_equal(transform.steps[0].kind, FTSO_AUG_RESIZE);
    assert_true(transform.steps[0].args[0] == 8 && transform.steps[1].args[0] == 1);
}

static void test_broken_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"resice(8)", "the transform 'resice(8)' is damaged: the name of a step was expected at "
                      "'resice(8)'"},
        {"resize(8", "the transform 'resize(8' is damaged: ) was expected at ''"},
        {"resize(x)", "the transform 'resize(x)' is damaged: a number was expected at 'x)'"},
        {"resize(8) flip(1)",
         "the transform 'resize(8) flip(1)' is damaged: -> was expected at 'flip(1)'"},
        {"resize(8) ->", "the transform 'resize(8) ->' is damaged: a step was expected at ''"},
        {"resize(8, 9)",
         "the transform 'resize(8, 9)' is damaged: the numbers of resize are not what it takes"},
        {"resize",
         "the transform 'resize' is damaged: the numbers of resize are not what it takes"},
        {"resize(0)",
         "the transform 'resize(0)' is damaged: the numbers of resize are not what it takes"},
        {"resize(8.5)",
         "the transform 'resize(8.5)' is damaged: the numbers of resize are not what it takes"},
        {"resize(inf)", "the transform 'resize(inf)' is damaged: a number was expected at 'inf)'"},
        {"normalize(1, 2, 3)",
         "the transform 'normalize(1, 2, 3)' is damaged: the numbers of normalize are not what it "
         "takes"},
        {"normalize(1, 0)",
         "the transform 'normalize(1, 0)' is damaged: the numbers of normalize are not what it "
         "takes"},
        {"normalize(1, 1) -> flip(1)", "the transform 'normalize(1, 1) -> flip(1)': only cutout "
                                       "may come after normalize or cutout"},
        {"normalize(1,1,1,1,1,1,1,1,1)",
         "the transform 'normalize(1,1,1,1,1,1,1,1,1)' is damaged: ) was expected at ',1)'"},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        ftso_transform transform;
        ftso_status status = ftso_transform_parse(cases[i].text, &transform);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        assert_string_equal(status.message, cases[i].message);
    }
    char many[17 * 11 + 1] = "flip(1)";
    for (int i = 1; i < 17; i++) strcat(many, " -> flip(1)");
    ftso_transform transform;
    assert_int_equal(ftso_transform_parse(many, &transform).code, FTSO_ERROR_DATA);
    many[strlen(many) - 11] = 0;
    test_ok(ftso_transform_parse(many, &transform));
    assert_int_equal(transform.count, 16);
}

/* ---------------------------------------------------------------- a second implementation */

enum { HEIGHT = 37, WIDTH = 45, COUNT = 60 };

typedef struct chance {
    uint64_t step, index;
} chance;

static ftso_random draw(const chance *c, int number)
{
    return ftso_random_at(21, FTSO_STREAM_AUGMENT_TRAIN, c->step,
                          c->index + ((uint64_t)number << 32));
}

static int64_t pick(uint32_t word, int64_t range)
{
    return (int64_t)((uint64_t)word * (uint64_t)range >> 32);
}

/* The part at (top, left), black where there is no picture. */
static void part(ftso_picture *p, int64_t top, int64_t left, int64_t height, int64_t width)
{
    ftso_picture out = {0};
    test_ok(ftso_picture_reserve(&out, p->channels, height, width));
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            for (int64_t c = 0; c < p->channels; c++) {
                bool inside =
                    top + y >= 0 && top + y < p->height && left + x >= 0 && left + x < p->width;
                out.pixels[(y * width + x) * p->channels + c] =
                    inside ? p->pixels[((top + y) * p->width + left + x) * p->channels + c] : 0;
            }
    ftso_picture_deinit(p);
    *p = out;
}

static void mirror(ftso_picture *p)
{
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width / 2; x++)
            for (int64_t c = 0; c < p->channels; c++) {
                uint8_t *a = p->pixels + (y * p->width + x) * p->channels + c;
                uint8_t *b = p->pixels + (y * p->width + p->width - 1 - x) * p->channels + c;
                uint8_t kept = *a;
                *a = *b;
                *b = kept;
            }
}

static void resized(ftso_picture *p, int64_t height, int64_t width)
{
    ftso_picture out = {0};
    ftso_resize_memory memory = {0};
    const ftso_pixels from = {
        p->pixels, p->channels, p->height, p->width, 1, p->width * p->channels, p->channels};
    test_ok(ftso_resize(&memory, &from, height, width, &out));
    ftso_resize_memory_deinit(&memory);
    ftso_picture_deinit(p);
    *p = out;
}

static void crop(ftso_picture *p, const chance *c, int turn, int64_t side, int64_t pad)
{
    ftso_random r = draw(c, 16 * turn);
    int64_t top = pick(r.word[0], p->height + 2 * pad - side + 1) - pad;
    int64_t left = pick(r.word[1], p->width + 2 * pad - side + 1) - pad;
    part(p, top, left, side, side);
}

static void flip(ftso_picture *p, const chance *c, int turn)
{
    if (draw(c, 16 * turn).word[2] < 0x80000000u) mirror(p);
}

static void center(ftso_picture *p, int64_t side)
{
    part(p, (int64_t)rint((double)(p->height - side) / 2),
         (int64_t)rint((double)(p->width - side) / 2), side, side);
}

/* As torchvision's RandomResizedCrop.get_params, one Philox call a try. Returns the try that was taken; 10: none. */
static int resized_crop(ftso_picture *p, const chance *c, int64_t side, double area_from,
                        double area_to, double ratio_from, double ratio_to)
{
    for (int i = 0; i < 10; i++) {
        ftso_random r = draw(c, 1 + i);
        double area = (double)(p->height * p->width) *
                      (area_from + (area_to - area_from) * ftso_random_uniform(r.word[0]));
        double ratio = exp(log(ratio_from) +
                           (log(ratio_to) - log(ratio_from)) * ftso_random_uniform(r.word[1]));
        int64_t w = (int64_t)rint(sqrt(area * ratio)), h = (int64_t)rint(sqrt(area / ratio));
        if (!(0 < w && w <= p->width && 0 < h && h <= p->height)) continue;
        part(p, pick(r.word[2], p->height - h + 1), pick(r.word[3], p->width - w + 1), h, w);
        resized(p, side, side);
        return i;
    }
    double ratio = (double)p->width / (double)p->height;
    int64_t w = p->width, h = p->height;
    if (ratio < ratio_from) h = (int64_t)rint((double)w / ratio_from);
    if (ratio > ratio_to) w = (int64_t)rint((double)h * ratio_to);
    part(p, (p->height - h) / 2, (p->width - w) / 2, h, w);
    resized(p, side, side);
    return 10;
}

static void jitter(ftso_picture *p, const chance *c, double b, double k, double s, double h)
{
    ftso_random r = draw(c, 11), o = draw(c, 12);
    const double reach[] = {b, k, s, h};
    double factors[4];
    int order[] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        factors[i] = (i < 3) + reach[i] * (2 * ftso_random_uniform(r.word[i]) - 1);
    for (int i = 3; i > 0; i--) {
        int64_t other = pick(o.word[i], i + 1);
        int kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    ftso_picture_jitter(p, order, factors);
}

/* ---------------------------------------------------------------- journeys */

static void way_crops(ftso_picture *p, const chance *c)
{
    flip(p, c, 0);
    crop(p, c, 0, 40, 5); /* wider than the picture is high: black rows */
    flip(p, c, 1);
    crop(p, c, 1, 30, 3);
    center(p, 27);
}

static void way_imagenet(ftso_picture *p, const chance *c)
{
    resized_crop(p, c, 24, 0.08, 1, 0.75, 4.0 / 3);
    flip(p, c, 0);
    jitter(p, c, 0.4, 0.4, 0.4, 0.2);
}

static void way_jitter_first(ftso_picture *p, const chance *c)
{
    flip(p, c, 0);
    crop(p, c, 0, 36, 4);
    jitter(p, c, 0.9, 0.3, 1, 0.5);
    resized(p, 20, 20);
    center(p, 15);
}

static void way_padded_resize(ftso_picture *p, const chance *c)
{
    crop(p, c, 0, 50, 10);
    flip(p, c, 0);
    resized(p, 33, 33);
    crop(p, c, 1, 32, 0);
}

static void way_never_fits(ftso_picture *p, const chance *c)
{
    assert_int_equal(resized_crop(p, c, 16, 1, 1, 2, 3), 10);
}

static void way_test(ftso_picture *p, const chance *c)
{
    (void)c;
    resized(p, 32, (int64_t)(32 * WIDTH / HEIGHT));
    center(p, 28);
}

static const struct {
    const char *text;
    int64_t side;
    void (*way)(ftso_picture *, const chance *);
} journeys[] = {
    {"flip(0.5) -> crop(40, 5) -> flip(0.5) -> crop(30, 3) -> center_crop(27)", 27, way_crops},
    {"resized_crop(24, 0.08, 1, 0.75, 1.3333333333333333) -> flip(0.5) -> "
     "color_jitter(0.4, 0.4, 0.4, 0.2)",
     24, way_imagenet},
    {"flip(0.5) -> crop(36, 4) -> color_jitter(0.9, 0.3, 1, 0.5) -> resize(20) -> center_crop(15)",
     15, way_jitter_first},
    {"crop(50, 10) -> flip(0.5) -> resize(33) -> crop(32, 0)", 32, way_padded_resize},
    {"resized_crop(16, 1, 1, 2, 3)", 16, way_never_fits},
    {"resize(32) -> center_crop(28)", 28, way_test},
};

static void make_images(ftso_images *images, int64_t channels)
{
    *images = (ftso_images){
        .count = 3, .channels = channels, .height = HEIGHT, .width = WIDTH, .classes = 3};
    size_t bytes = (size_t)(3 * channels * HEIGHT * WIDTH);
    images->pixels = ftso_mem_alloc(bytes);
    images->labels = ftso_mem_alloc(3 * sizeof(int32_t));
    test_random random = {9};
    for (size_t i = 0; i < bytes; i++) {
        int64_t slope = (int64_t)(i % WIDTH) * 5 + test_below(&random, 30);
        images->pixels[i] = (uint8_t)(slope > 255 ? 255 : slope);
    }
    for (int i = 0; i < 3; i++) images->labels[i] = i;
}

static void picture_of(const ftso_images *images, int64_t index, ftso_picture *out)
{
    int64_t channels = images->channels, plane = HEIGHT * WIDTH;
    test_ok(ftso_picture_reserve(out, channels, HEIGHT, WIDTH));
    for (int64_t i = 0; i < channels * plane; i++)
        out->pixels[i % plane * channels + i / plane] =
            images->pixels[index * channels * plane + i];
}

static void check_journey(size_t j, int64_t channels)
{
    ftso_images images;
    make_images(&images, channels);
    int32_t indices[COUNT];
    for (int i = 0; i < COUNT; i++) indices[i] = i % 3;
    int64_t side = journeys[j].side, image = channels * side * side;
    size_t bytes = (size_t)(COUNT * image) * sizeof(float);
    float *out = malloc(bytes), *again = malloc(bytes), labels[COUNT];
    ftso_transform transform;
    test_ok(ftso_transform_parse(journeys[j].text, &transform));
    const ftso_images_spec spec = {.channels = channels, .side = side, .classes = 3};
    test_ok(ftso_images_check(&images, &spec, &transform));
    for (int threads = 1; threads <= 3; threads += 2) {
        ftso_pool *pool;
        test_ok(ftso_pool_new(threads, false, &pool));
        test_ok(ftso_batch_make(&images, indices, COUNT, &transform, side, 21,
                                FTSO_STREAM_AUGMENT_TRAIN, 5, pool, threads == 1 ? out : again,
                                labels));
        ftso_pool_free(pool);
    }
    assert_memory_equal(out, again, bytes);
    int64_t different = 0;
    for (int k = 0; k < COUNT; k++) {
        ftso_picture p = {0};
        const chance c = {5, (uint64_t)k};
        picture_of(&images, indices[k], &p);
        journeys[j].way(&p, &c);
        assert_int_equal(p.height, side);
        assert_int_equal(p.width, side);
        for (int64_t i = 0; i < image; i++) {
            uint8_t byte = p.pixels[i % (side * side) * channels + i / (side * side)];
            int64_t apart = llabs((int64_t)lrintf(out[k * image + i] * 255.0f) - byte);
            assert_true(apart <= 1); /* resizing a mirrored picture and mirroring a resized one */
            different += apart;
        }
        ftso_picture_deinit(&p);
        assert_true(labels[k] == (float)(k % 3));
    }
    assert_true(different * 100 < COUNT * image);
    free(out);
    free(again);
    ftso_images_deinit(&images);
}

static void test_journeys(void **state)
{
    (void)state;
    for (size_t j = 0; j < FTSO_COUNT(journeys); j++) {
        check_journey(j, 3);
        check_journey(j, 1);
    }
}

/* Chance covers its range: places, sizes and orders all differ, and the mean part is in the middle. */
static void test_resized_crop_spread(void **state)
{
    (void)state;
    int taken[11] = {0};
    for (uint64_t k = 0; k < 300; k++) {
        ftso_picture p = {0};
        test_ok(ftso_picture_reserve(&p, 1, 40, 20));
        memset(p.pixels, 0, 800);
        const chance c = {5, k};
        taken[resized_crop(&p, &c, 4, 0.08, 1, 0.75, 4.0 / 3)]++;
        ftso_picture_deinit(&p);
    }
    assert_true(taken[0] > 100 &&
                taken[1] > 10); /* tall picture: the first try often does not fit */
}

/* ---------------------------------------------------------------- refusals */

static void expect(int64_t channels, int64_t side, const char *text, const char *message)
{
    ftso_images images;
    make_images(&images, channels);
    ftso_transform transform;
    test_ok(ftso_transform_parse(text, &transform));
    const ftso_images_spec spec = {.channels = channels, .side = side, .classes = 3};
    ftso_status status = ftso_images_check(&images, &spec, &transform);
    assert_int_equal(status.code, FTSO_ERROR_USER);
    assert_string_equal(status.message, message);
    ftso_images_deinit(&images);
}

static void test_refusals(void **state)
{
    (void)state;
    expect(3, 32, "resize(32)", "the images are 3 x 32 x 38, the space file says 3 x 32 x 32");
    expect(3, 32, "", "the images are 3 x 37 x 45, the space file says 3 x 32 x 32");
    expect(3, 40, "center_crop(40)",
           "the images are 37 x 45, too small for a crop of 40 with a border of 0");
    expect(3, 32, "crop(32, 0) -> normalize(1, 1)", "normalize has 2 numbers for 3 channels");
    ftso_images any = {.count = 1, .channels = 3, .classes = 3};
    ftso_transform transform;
    test_ok(ftso_transform_parse("resize(32)", &transform));
    const ftso_images_spec spec = {.channels = 3, .side = 32, .classes = 3};
    ftso_status status = ftso_images_check(&any, &spec, &transform);
    assert_string_equal(status.message, "pictures of any size need a crop that makes them 32 x 32: "
                                        "resize(32) -> center_crop(32)");

    ftso_picture picture = {0};
    test_ok(ftso_picture_reserve(&picture, 3, 20, 30));
    memset(picture.pixels, 7, 3 * 20 * 30);
    float out[3 * 24 * 24];
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"center_crop(24)", "the image is 20 x 30, too small for a center_crop of 24 with a border "
                            "of 0: put a resize before it"},
        {"flip(0.5) -> resize(24) -> center_crop(24)",
         "flip leaves something to chance: not for tests"},
        {"resize(24)", "the image comes out as 24 x 36, not as 24 x 24"},
        {"resize(24) -> center_crop(24) -> normalize(0.5, 0.5)",
         "normalize has 2 numbers for 3 channels"},
    };
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        test_ok(ftso_transform_parse(cases[i].text, &transform));
        status = ftso_picture_transform(&picture, &transform, 24, out);
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        assert_string_equal(status.message, cases[i].message);
    }
    test_ok(ftso_picture_reserve(&picture, 1, 1, 16384));
    test_ok(ftso_transform_parse("resize(24) -> center_crop(24)", &transform));
    status = ftso_picture_transform(&picture, &transform, 24, out);
    assert_string_equal(status.message, "resize(24) of an image of 1 x 16384 makes it too long");
    ftso_picture_deinit(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),     cmocka_unit_test(test_broken_text),
        cmocka_unit_test(test_journeys), cmocka_unit_test(test_resized_crop_spread),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
