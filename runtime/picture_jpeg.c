/*
 * JPEG through libturbojpeg: baseline and progressive, grey, YCbCr, RGB and CMYK.
 *
 * In: the file's bytes. Out: pixels. Holds: markers are walked before anything is decoded, so a file that ends early is
 * refused, and so is one whose many scans over many pixels would keep the decoder busy for minutes.
 */
#ifdef FTSO_HAVE_JPEG
#include "runtime_internal.h"

#include <string.h>
#include <turbojpeg.h>

enum { MARKER = 0xff, END = 0xd9, START = 0xd8, SCAN = 0xda, RESTART = 0xd0, TEMPORARY = 0x01 };
/* A progressive picture has about ten scans. */
enum { MOST_SCANS = 64 };

/* Walks the markers to the end of the picture; counts scans. */
static ftso_status walk(const uint8_t *bytes, size_t length, int64_t *out_scans)
{
    const uint8_t *at = bytes + 2, *end = bytes + length;
    *out_scans = 0;
    while ((at = memchr(at, MARKER, (size_t)(end - at))) && end - at >= 2) {
        int code = at[1];
        at += code == MARKER ? 1 : 2; /* filling; else a marker, or a byte of a scan (code 0) */
        if (code == END && *out_scans > 0) return FTSO_STATUS_OK;
        bool alone = code == 0 || code == MARKER || code == TEMPORARY || code == START ||
                     code == END || (code & 0xf8) == RESTART;
        if (alone) continue;
        if (end - at < 2) break;
        *out_scans += code == SCAN;
        int64_t skip = (int64_t)at[0] << 8 | at[1];
        if (skip > end - at) break;
        at += skip;
    }
    return ftso_error(FTSO_ERROR_DATA, "the JPEG is cut short: download it again");
}

/* Inverted CMYK, as every program writes it: each colour is dimmed by the black. */
static void dim_by_black(ftso_picture *picture)
{
    int64_t count = picture->height * picture->width;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *from = picture->pixels + 4 * i;
        unsigned black = from[3], cyan = from[0], magenta = from[1], yellow = from[2];
        uint8_t *to = picture->pixels + 3 * i;
        to[0] = (uint8_t)((cyan * black + 127) / 255);
        to[1] = (uint8_t)((magenta * black + 127) / 255);
        to[2] = (uint8_t)((yellow * black + 127) / 255);
    }
    picture->channels = 3;
}

static ftso_status decode(tjhandle handle, const uint8_t *bytes, size_t length, int64_t channels,
                          ftso_picture *out)
{
    int width = 0, height = 0, sampling, colours; /* of a file of tables alone nothing is told */
    int64_t scans;
    FTSO_TRY(walk(bytes, length, &scans));
    if (tjDecompressHeader3(handle, bytes, length, &width, &height, &sampling, &colours) != 0 ||
        width < 1 || height < 1)
        return ftso_error(FTSO_ERROR_DATA, "the JPEG is damaged: %.200s", tjGetErrorStr2(handle));
    FTSO_TRY(ftso_picture_announce("JPEG", height, width));
    if (scans > MOST_SCANS)
        return ftso_error(FTSO_ERROR_LIMIT, "a JPEG of %lld scans; at most %d are read",
                          (long long)scans, MOST_SCANS);
    bool black = colours == TJCS_CMYK || colours == TJCS_YCCK, grey = colours == TJCS_GRAY;
    int64_t made = black ? 4 : grey ? channels : 3;
    FTSO_TRY(ftso_picture_reserve(out, made, height, width));
    int form = black ? TJPF_CMYK : made == 1 ? TJPF_GRAY : TJPF_RGB;
    /* A warning (bytes too many, a mark in the wrong place) leaves a picture; so everyone else takes it. */
    if (tjDecompress2(handle, bytes, length, out->pixels, width, 0, height, form, 0) != 0 &&
        tjGetErrorCode(handle) == TJERR_FATAL)
        return ftso_error(FTSO_ERROR_DATA, "the JPEG is damaged: %.200s", tjGetErrorStr2(handle));
    if (black) dim_by_black(out);
    if (out->channels == 3 && channels == 1) ftso_picture_to_grey(out);
    return FTSO_STATUS_OK;
}

ftso_status ftso_decode_jpeg(const uint8_t *bytes, size_t length, int64_t channels,
                             ftso_picture *out)
{
    tjhandle handle = tjInitDecompress();
    if (!handle) return ftso_error(FTSO_ERROR_LIMIT, "no memory to decode a JPEG");
    ftso_status status = decode(handle, bytes, length, channels, out);
    tjDestroy(handle);
    return status;
}
#else
typedef int ftso_no_jpeg;
#endif
