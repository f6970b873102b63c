/*
 * PNG through libpng: every depth and colour type, interlaced or not.
 *
 * In: the file's bytes. Out: pixels. Holds: nothing is drawn on the library's word alone: dimensions are checked before
 * memory is asked for, chunks and their memory are limited, and an error comes back by longjmp to one place.
 */
#ifdef FTSO_HAVE_PNG
#include "runtime_internal.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { MOST_CHUNKS = 1000, MOST_CHUNK_BYTES = 8 << 20 };

/* All that is needed after a longjmp lies here, not in variables. */
typedef struct reading {
    const uint8_t *bytes;
    size_t length, at;
    int64_t channels;
    ftso_picture *out;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    ftso_status status;
} reading;

static void on_error(png_structp png, png_const_charp message)
{
    reading *r = png_get_error_ptr(png);
    if (r->status.code == FTSO_OK)
        r->status = ftso_error(FTSO_ERROR_DATA, "the PNG is damaged: %.200s", message);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void take(png_structp png, png_bytep out, size_t count)
{
    reading *r = png_get_io_ptr(png);
    if (count > r->length - r->at) {
        r->status = ftso_error(FTSO_ERROR_DATA, "the PNG is cut short: download it again");
        png_error(png, "");
    }
    memcpy(out, r->bytes + r->at, count);
    r->at += count;
}

/* Bytes of grey or RGB, whatever is in the file. */
static void convert(reading *r)
{
    int type = png_get_color_type(r->png, r->info);
    png_set_expand(r->png); /* palettes become RGB, 1, 2 and 4 bits become 8 */
    png_set_strip_16(r->png);
    png_set_strip_alpha(r->png);
    if (!(type & PNG_COLOR_MASK_COLOR) && r->channels == 3) png_set_gray_to_rgb(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

static void read_rows(reading *r)
{
    png_read_info(r->png, r->info);
    int64_t height = png_get_image_height(r->png, r->info),
            width = png_get_image_width(r->png, r->info);
    r->status = ftso_picture_announce("PNG", height, width);
    if (r->status.code != FTSO_OK) png_error(r->png, "");
    convert(r);
    int64_t made = png_get_channels(r->png, r->info);
    r->status = ftso_picture_reserve(r->out, made, height, width);
    if (r->status.code == FTSO_OK) r->rows = ftso_mem_alloc((size_t)height * sizeof(png_bytep));
    if (r->status.code == FTSO_OK && !r->rows)
        r->status = ftso_error(FTSO_ERROR_LIMIT, "no memory to decode a PNG");
    if (r->status.code != FTSO_OK) png_error(r->png, "");
    if (png_get_rowbytes(r->png, r->info) != (size_t)(width * made)) png_error(r->png, "rows");
    for (int64_t y = 0; y < height; y++) r->rows[y] = r->out->pixels + y * width * made;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
}

/* Comes back whatever happens; what came of it stands in `r`. */
static void read_guarded(reading *r)
{
    if (setjmp(png_jmpbuf(r->png)) == 0) read_rows(r);
}

ftso_status ftso_decode_png(const uint8_t *bytes, size_t length, int64_t channels,
                            ftso_picture *out)
{
    reading r = {.bytes = bytes, .length = length, .channels = channels, .out = out};
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    if (r.png) r.info = png_create_info_struct(r.png);
    if (!r.info) {
        png_destroy_read_struct(&r.png, &r.info, NULL);
        return ftso_error(FTSO_ERROR_LIMIT, "no memory to decode a PNG");
    }
    png_set_read_fn(r.png, &r, take);
    png_set_user_limits(r.png, FTSO_PICTURE_SIDE, FTSO_PICTURE_SIDE);
    png_set_chunk_cache_max(r.png, MOST_CHUNKS);
    png_set_chunk_malloc_max(r.png, MOST_CHUNK_BYTES);
    read_guarded(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    ftso_mem_free(r.rows);
    if (r.status.code != FTSO_OK) return r.status;
    if (out->channels == 3 && channels == 1) ftso_picture_to_grey(out);
    return FTSO_STATUS_OK;
}
#else
typedef int ftso_no_png;
#endif
