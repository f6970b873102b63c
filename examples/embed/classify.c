/*
 * Classifies portable pictures (PGM or PPM, binary, of any size that the network's transform takes) in C99:
 *
 *   ftso build RUN --kind=lib --prefix=fashion -o fashion
 *   cc classify.c $(pkg-config --with-path=fashion/lib/pkgconfig --cflags --libs --static fashion) -o classify
 *   ./classify picture.pgm
 */
#include <stdio.h>
#include <stdlib.h>

#include <fashion.h>

/* The pixels of a picture with as many channels as the network takes, [height][width][channels]; NULL where it is none. */
static unsigned char *read_picture(const char *path, size_t *out_height, size_t *out_width)
{
    FILE *file = fopen(path, "rb");
    unsigned char *pixels = NULL;
    size_t count;
    char kind;
    if (file && fscanf(file, "P%c %zu %zu 255", &kind, out_width, out_height) == 3 &&
        kind == (fashion_CHANNELS == 1 ? '5' : '6') && fgetc(file) != EOF && *out_width < 65536 &&
        *out_height < 65536) {
        count = *out_height * *out_width * fashion_CHANNELS;
        pixels = malloc(count);
        if (pixels && fread(pixels, 1, count, file) != count) {
            free(pixels);
            pixels = NULL;
        }
    }
    if (file) fclose(file);
    return pixels;
}

int main(int argc, char **argv)
{
    static float image[fashion_CHANNELS * fashion_HEIGHT * fashion_WIDTH];
    float logits[fashion_CLASSES];
    fashion_context *context;
    int code = fashion_create(&context, NULL);
    for (int i = 1; i < argc && code == fashion_OK; i++) {
        size_t height, width, best = 0;
        unsigned char *pixels = read_picture(argv[i], &height, &width);
        code =
            pixels ? fashion_prepare(context, pixels, height, width, image) : fashion_BAD_ARGUMENT;
        free(pixels);
        if (code == fashion_OK) code = fashion_run(context, image, 1, logits);
        if (code != fashion_OK) break;
        for (size_t c = 1; c < fashion_CLASSES; c++)
            if (logits[c] > logits[best]) best = c;
        printf("%s: %s %.5f\n", argv[i], fashion_class_name(best), (double)logits[best]);
    }
    if (code != fashion_OK) fprintf(stderr, "classify: %s\n", fashion_strerror(code));
    fashion_destroy(context);
    return code != fashion_OK;
}
