/*
 * Strings: arena copies, text under construction, numbers that do not depend on the locale, nearest names, hashing.
 */
#include "base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *ftso_strndup(ftso_arena *arena, const char *text, size_t length)
{
    char *copy = ftso_arena_array(arena, length + 1, 1);
    if (length) memcpy(copy, text, length);
    return copy;
}

const char *ftso_strdup(ftso_arena *arena, const char *text)
{
    return ftso_strndup(arena, text, strlen(text));
}

const char *ftso_vformat(ftso_arena *arena, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    FTSO_ASSERT(length >= 0);
    char *text = ftso_arena_array(arena, (size_t)length + 1, 1);
    vsnprintf(text, (size_t)length + 1, fmt, args);
    return text;
}

const char *ftso_format(ftso_arena *arena, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = ftso_vformat(arena, fmt, args);
    va_end(args);
    return text;
}

void ftso_text_init(ftso_text *text)
{
    memset(text, 0, sizeof(*text));
}

void ftso_text_deinit(ftso_text *text)
{
    ftso_mem_free(text->data);
    ftso_text_init(text);
}

/* Room for `extra` more bytes and the NUL. */
static bool reserve(ftso_text *text, size_t extra)
{
    size_t need;
    if (!ftso_size_add(text->length, extra, &need) || !ftso_size_add(need, 1, &need)) {
        text->failed = true;
        return false;
    }
    if (need <= text->capacity) return true;
    size_t wider = text->capacity < 64 ? 64 : text->capacity;
    while (wider < need) wider = wider > SIZE_MAX / 2 ? need : wider * 2;
    char *data = ftso_mem_resize(text->data, wider);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = wider;
    return true;
}

void ftso_text_append(ftso_text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length)) return;
    if (length) memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void ftso_text_puts(ftso_text *text, const char *string)
{
    ftso_text_append(text, string, strlen(string));
}

void ftso_text_printf(ftso_text *text, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    FTSO_ASSERT(length >= 0);
    if (reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, fmt, args);
        text->length += (size_t)length;
    }
    va_end(args);
}

const char *ftso_text_get(const ftso_text *text)
{
    return text->data ? text->data : "";
}

/* snprintf and strtod write and read the locale's decimal point: this program never calls setlocale, so it is '.'. */
int ftso_double_print(double value, char buffer[32])
{
    if (isnan(value)) return snprintf(buffer, 32, "nan");
    if (isinf(value)) return snprintf(buffer, 32, value < 0 ? "-inf" : "inf");
    int length = 0;
    /* %g turns to exponents where they are shorter to compute, not to read: 50 must not be 5e+01 */
    bool plain = value == floor(value) && fabs(value) < 1e15;
    for (int digits = 1; digits <= 17; digits++) {
        length = plain ? snprintf(buffer, 32, "%.0f", value)
                       : snprintf(buffer, 32, "%.*g", digits, value);
        if (plain || strtod(buffer, NULL) == value) break;
    }
    return length;
}

double ftso_double_parse(const char *text, char **end)
{
    return strtod(text, end);
}

enum { MAX_NAME = 64, MAX_DISTANCE = 2 };

/* Damerau-Levenshtein distance (optimal string alignment) of names up to MAX_NAME bytes; larger ones count as far. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX_NAME || m > MAX_NAME) return MAX_DISTANCE + 1;
    int rows[3][MAX_NAME + 1];
    for (size_t j = 0; j <= m; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *twice = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int cost = a[i - 1] != b[j - 1];
            int best = above[j - 1] + cost;
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                twice[j - 2] + 1 < best)
                best = twice[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *ftso_nearest_name(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(name);
    int best = length < 2   ? 0
               : length < 5 ? 2
                            : MAX_DISTANCE + 1; /* a short name may be off by less */
    for (size_t i = 0; i < count; i++) {
        if (!names[i]) continue;
        int d = distance(name, names[i]);
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

uint64_t ftso_hash(uint64_t seed, const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < length; i++) seed = (seed ^ p[i]) * 0x100000001b3ull;
    return seed;
}

/* By four bits: no table to be made, and fast enough for what is written to a disk anyway. */
uint32_t ftso_crc32(uint32_t crc, const void *bytes, size_t length)
{
    static const uint32_t table[] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                     0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                     0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const unsigned char *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc = table[(crc ^ at[i]) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (at[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}
