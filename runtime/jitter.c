/*
 * Brightness, contrast, saturation and hue of a picture, by PIL's formulas.
 *
 * In: a picture and factors. Out: the same picture, changed. Holds: factors of 1 (hue: 0) change nothing; a grey picture
 * has neither saturation nor hue. tests/test_pictures.c holds it against PIL's bytes.
 */
#include "runtime_internal.h"

#include <math.h>

/* ITU-R 601-2 luma, in 16 bits. */
static int luma(const uint8_t *rgb)
{
    return (int)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

void ftso_picture_to_grey(ftso_picture *picture)
{
    FTSO_ASSERT(picture->channels == 3);
    int64_t count = picture->height * picture->width;
    for (int64_t i = 0; i < count; i++) picture->pixels[i] = (uint8_t)luma(picture->pixels + 3 * i);
    picture->channels = 1;
}

/* From `zero` (factor 0) over the pixel (factor 1) beyond it; cut off to a byte. */
static uint8_t blend(int zero, int pixel, float factor)
{
    float value = (float)zero + factor * (float)(pixel - zero);
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

/* Every byte goes through the same blend. */
static void blend_all(ftso_picture *picture, int zero, float factor)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = blend(zero, v, factor);
    int64_t count = picture->height * picture->width * picture->channels;
    for (int64_t i = 0; i < count; i++) picture->pixels[i] = table[picture->pixels[i]];
}

static void brightness(ftso_picture *picture, double factor)
{
    blend_all(picture, 0, (float)factor);
}

static void contrast(ftso_picture *picture, double factor)
{
    int64_t count = picture->height * picture->width, sum = 0;
    const uint8_t *pixels = picture->pixels;
    for (int64_t i = 0; i < count; i++)
        sum += picture->channels == 3 ? luma(pixels + 3 * i) : pixels[picture->channels * i];
    blend_all(picture, (int)((double)sum / (double)count + 0.5), (float)factor);
}

static void saturation(ftso_picture *picture, double factor)
{
    int64_t count = picture->height * picture->width;
    for (int64_t i = 0; i < count && picture->channels == 3; i++) {
        uint8_t *rgb = picture->pixels + 3 * i;
        int grey = luma(rgb);
        for (int c = 0; c < 3; c++) rgb[c] = blend(grey, rgb[c], (float)factor);
    }
}

static int byte_of(double value)
{
    int whole = (int)value;
    return whole < 0 ? 0 : whole > 255 ? 255 : whole;
}

/* Hue, saturation and value as bytes; the hue goes round in 256 steps. */
static void to_hsv(const uint8_t *rgb, uint8_t *hsv)
{
    int most = rgb[0] > rgb[1] ? rgb[0] : rgb[1], least = rgb[0] < rgb[1] ? rgb[0] : rgb[1];
    if (rgb[2] > most) most = rgb[2];
    if (rgb[2] < least) least = rgb[2];
    hsv[2] = (uint8_t)most;
    hsv[0] = hsv[1] = 0;
    if (most == least) return;
    float range = (float)(most - least);
    float r = (float)(most - rgb[0]) / range, g = (float)(most - rgb[1]) / range,
          b = (float)(most - rgb[2]) / range;
    float sixths = (float)(rgb[0] == most   ? (double)b - (double)g
                           : rgb[1] == most ? 2.0 + (double)r - (double)b
                                            : 4.0 + (double)g - (double)r);
    double ahead = (double)sixths / 6.0 + 1.0; /* at least 5/6, less than 2 */
    float turn = (float)(ahead >= 1 ? ahead - 1 : ahead);
    hsv[0] = (uint8_t)byte_of((double)turn * 255.0);
    hsv[1] = (uint8_t)byte_of((double)(range / (float)most) * 255.0);
}

static void to_rgb(const uint8_t *hsv, uint8_t *rgb)
{
    static const uint8_t places[6][3] = {{3, 2, 0}, {1, 3, 0}, {0, 3, 2},
                                         {0, 1, 3}, {2, 0, 3}, {3, 0, 1}};
    float sixths = (float)((double)hsv[0] * 6.0 / 255.0), part = sixths - (float)(int)sixths;
    double full = hsv[2], grey = (float)hsv[1] / 255.0f;
    uint8_t level[4];
    level[0] = (uint8_t)byte_of(full * (1 - grey) + 0.5);
    level[1] = (uint8_t)byte_of(full * (1 - grey * (double)part) + 0.5);
    level[2] = (uint8_t)byte_of(full * (1 - grey * (1 - (double)part)) + 0.5);
    level[3] = hsv[2];
    const uint8_t *place = places[(int)sixths % 6];
    for (int c = 0; c < 3; c++) rgb[c] = level[place[c]];
}

static void hue(ftso_picture *picture, double turn)
{
    int64_t count = picture->height * picture->width;
    uint8_t shift = (uint8_t)(int)(turn * 255), hsv[3];
    for (int64_t i = 0; i < count && picture->channels == 3; i++) {
        to_hsv(picture->pixels + 3 * i, hsv);
        hsv[0] = (uint8_t)(hsv[0] + shift);
        to_rgb(hsv, picture->pixels + 3 * i);
    }
}

void ftso_picture_jitter(ftso_picture *picture, const int order[FTSO_JITTERS],
                         const double factors[FTSO_JITTERS])
{
    static void (*const parts[FTSO_JITTERS])(ftso_picture *, double) = {brightness, contrast,
                                                                        saturation, hue};
    static const double still[FTSO_JITTERS] = {1, 1, 1, 0};
    for (int i = 0; i < FTSO_JITTERS; i++)
        if (factors[order[i]] != still[order[i]]) parts[order[i]](picture, factors[order[i]]);
}
