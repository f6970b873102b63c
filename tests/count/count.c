/* See count.h. Formulas follow the reference code of DARTS, PC-DARTS and NAS-Bench-201, layer by layer. */
#include "count.h"

#include <assert.h>
#include <string.h>

static void add(count_total *t, int64_t params, int64_t macs)
{
    t->params += params;
    t->macs += macs;
}

static int64_t square(int64_t a)
{
    return a * a;
}

/* Operator `name` at c channels, reading a map of `side`, with stride s. */
static void add_op(count_total *t, const char *name, int64_t c, int64_t s, int64_t side,
                   bool affine)
{
    int64_t out = square((side + s - 1) / s), norm = affine ? 2 * c : 0,
            k = name[strlen(name) - 1] - '0';
    if (!strncmp(name, "sep_conv_", 9)) {
        int64_t once = k * k * c + c * c;
        add(t, 2 * once + 2 * norm, 2 * once * out);
    } else if (!strncmp(name, "dil_conv_", 9)) {
        add(t, k * k * c + c * c + norm, (k * k * c + c * c) * out);
    } else if (!strncmp(name, "nor_conv_", 9)) {
        add(t, k * k * c * c + norm, k * k * c * c * out);
    } else if (!strcmp(name, "skip_connect")) {
        if (s == 2) add(t, c * (c / 2) * 2 + norm, c * (c / 2) * 2 * out);
    } else {
        assert(strstr(name, "_pool_") || !strcmp(name, "none"));
    }
}

/* 1x1 convolution (or the pair of half as many channels at stride 2) from one width to another, then batch norm. */
static void add_prepare(count_total *t, int64_t from, int64_t to, int64_t out_side, bool affine)
{
    add(t, from * to + (affine ? 2 * to : 0), from * to * square(out_side));
}

static void add_cell(count_total *t, const count_net *net, const count_cell *cell, int64_t c,
                     int64_t s, int64_t side)
{
    for (int e = 0; e < cell->edge_count; e++) {
        bool strided = s == 2 && cell->from[e] < 2;
        int64_t in = s == 2 && !strided ? side / 2 : side;
        add_op(t, cell->ops[e], c / net->partial, strided ? 2 : 1, in, net->affine);
    }
}

static void add_aux(count_total *t, int64_t width, int64_t classes, bool second_norm)
{
    add(t, width * 128 + 256, 0);
    add(t, 128 * 768 * 4 + (second_norm ? 1536 : 0), 0);
    add(t, 768 * classes + classes, 0);
}

count_total count_darts(const count_net *net)
{
    count_total t = {0, 0};
    int64_t c = net->channels, side = net->side, older, newer;
    int64_t width = net->stem_width ? net->stem_width : 3 * c;
    if (net->imagenet_stem) {
        /* Three 3x3 convolutions of stride 2: image -> half -> whole width (the first input), -> the second input. */
        int64_t half = width / 2;
        side /= 2;
        add(&t, 3 * half * 9 + 2 * half, 3 * half * 9 * square(side));
        side /= 2;
        add(&t, half * width * 9 + 2 * width, half * width * 9 * square(side));
        side /= 2;
        add(&t, width * width * 9 + 2 * width, width * width * 9 * square(side));
    } else {
        add(&t, 3 * width * 9 + 2 * width, 3 * width * 9 * square(side));
    }
    older = newer = width;
    for (int64_t i = 0; i < net->layers; i++) {
        bool reduce = i == net->layers / 3 || i == 2 * net->layers / 3;
        const count_cell *cell = reduce ? &net->reduce : &net->normal;
        if (reduce) c *= 2;
        /* A halving preparation has the parameters and the output map of the plain one. */
        add_prepare(&t, older, c, side, net->affine);
        add_prepare(&t, newer, c, side, net->affine);
        add_cell(&t, net, cell, c, reduce ? 2 : 1, side);
        older = newer;
        newer = c * cell->concat;
        if (reduce) side /= 2;
        if (net->aux && i == 2 * net->layers / 3)
            add_aux(&t, newer, net->classes, !net->imagenet_stem);
    }
    add(&t, newer * net->classes + net->classes, newer * net->classes + net->classes);
    return t;
}

count_total count_nb201(int64_t channels, int64_t repeat, int64_t classes, int64_t side,
                        const char *const ops[6])
{
    count_total t = {0, 0};
    int64_t c = channels;
    add(&t, 3 * c * 9 + 2 * c, 3 * c * 9 * square(side));
    for (int stage = 0; stage < 3; stage++) {
        if (stage) {
            side /= 2;
            add(&t, c * 2 * c * 9 + 4 * c, c * 2 * c * 9 * square(side));
            add(&t, 4 * c * c * 9 + 4 * c, 4 * c * c * 9 * square(side));
            add(&t, c * 2 * c, c * 2 * c * square(side));
            c *= 2;
        }
        for (int64_t cell = 0; cell < repeat; cell++)
            for (int e = 0; e < 6; e++) add_op(&t, ops[e], c, 1, side, true);
    }
    add(&t, 2 * c + c * classes + classes, c * classes + classes);
    return t;
}
