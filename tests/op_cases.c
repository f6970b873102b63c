/*
 * tests/op_cases: see op_cases.h. One row per operator: its name and the function that makes a case.
 * Sizes: odd and even sides up to 11, channels of 1, 3, 7, 16, 36, 64, batches 1 to 3; wide cases get small maps so
 * that the whole table runs in seconds under sanitizers too.
 */
#include "op_cases.h"

#include <math.h>
#include <string.h>

static int64_t between(test_random *random, int64_t lowest, int64_t highest)
{
    return lowest + test_below(random, highest - lowest + 1);
}

static int64_t channels(test_random *random)
{
    static const int64_t sizes[] = {1, 3, 7, 16, 36, 64};
    return sizes[test_below(random, (int64_t)FTSO_COUNT(sizes))];
}

/* A side that keeps channels * pixels moderate. */
static int64_t side(test_random *random, int64_t width)
{
    return between(random, 1, width > 16 ? 5 : width > 3 ? 9 : 11);
}

static ftso_shape image(test_op_case *c, test_random *random)
{
    int64_t width = channels(random);
    return ftso_shape_image(c->planned, width, side(random, width), side(random, width));
}

/* Any shape: a number, a vector, a kernel, an image. */
static ftso_shape anything(test_op_case *c, test_random *random)
{
    switch (test_below(random, 4)) {
    case 0:
        return ftso_shape_scalar();
    case 1:
        return ftso_shape_vector(between(random, 1, 40));
    case 2:
        return ftso_shape_weight(between(random, 1, 7), between(random, 1, 7), 3, 1);
    default:
        return image(c, random);
    }
}

static ftso_shape unbatched(test_op_case *c, test_random *random)
{
    ftso_shape shape;
    do shape = anything(c, random);
    while (shape.batched);
    return shape;
}

static void operand(test_op_case *c, ftso_shape shape, test_domain domain, bool smooth)
{
    size_t i = c->input_count++;
    c->inputs[i] = shape;
    c->domain[i] = domain;
    c->smooth[i] = smooth;
}

static void set(test_op_case *c, const char *attr, int64_t value)
{
    int i = ftso_op_attr(c->op, attr);
    assert_true(i >= 0);
    c->attrs[i].i = value;
}

/* ---------------------------------------------------------------- generators */

static void leaf(test_op_case *c, test_random *random)
{
    if (ftso_op_attr(c->op, "name") >= 0) c->attrs[ftso_op_attr(c->op, "name")].name = "leaf";
    if (ftso_op_attr(c->op, "pixels") >= 0) set(c, "pixels", between(random, 1, 100));
    if (ftso_op_attr(c->op, "value") >= 0) c->attrs[0].r = test_normal(random);
}

static void one(test_op_case *c, test_random *random)
{
    operand(c, anything(c, random), TEST_NORMAL, true);
}

static void two(test_op_case *c, test_random *random)
{
    one(c, random);
    operand(c, c->inputs[0], TEST_NORMAL, true);
}

static void many(test_op_case *c, test_random *random)
{
    one(c, random);
    for (int64_t extra = between(random, 0, 3); extra > 0; extra--)
        operand(c, c->inputs[0], TEST_NORMAL, true);
}

static void quotient(test_op_case *c, test_random *random)
{
    one(c, random);
    operand(c, c->inputs[0], TEST_POSITIVE, true);
}

static void compare(test_op_case *c, test_random *random)
{
    one(c, random);
    operand(c, c->inputs[0], TEST_APART, true);
}

static void scaled(test_op_case *c, test_random *random)
{
    one(c, random);
    operand(c, ftso_shape_scalar(), TEST_NORMAL, true);
}

static void root(test_op_case *c, test_random *random)
{
    operand(c, anything(c, random), TEST_POSITIVE, true);
    if (c->op->attr_count) c->attrs[0].r = 1e-5;
}

static void relu(test_op_case *c, test_random *random)
{
    operand(c, anything(c, random), TEST_NONZERO, true);
}

static void relu_mask(test_op_case *c, test_random *random)
{
    one(c, random);
    operand(c, c->inputs[0], TEST_NONZERO, false);
}

static void image_and_channels(test_op_case *c, test_random *random)
{
    operand(c, image(c, random), TEST_NORMAL, true);
    operand(c, ftso_shape_vector(c->inputs[0].dim[1]), TEST_NORMAL, true);
    if (c->op->attr_count) c->attrs[0].i = test_below(random, 2);
}

static void one_image(test_op_case *c, test_random *random)
{
    operand(c, image(c, random), TEST_NORMAL, true);
}

static void two_images(test_op_case *c, test_random *random)
{
    one_image(c, random);
    operand(c, c->inputs[0], TEST_NORMAL, true);
}

/* An image, or for operators along channels a vector. */
static void along_channels(test_op_case *c, test_random *random)
{
    if (test_below(random, 3) == 0)
        operand(c, ftso_shape_vector(channels(random)), TEST_NORMAL, true);
    else
        one_image(c, random);
}

static int64_t width_of(const test_op_case *c, size_t i)
{
    return c->inputs[i].dim[c->inputs[i].rank == 4 ? 1 : 0];
}

static void concat(test_op_case *c, test_random *random)
{
    along_channels(c, random);
    for (int64_t extra = between(random, 0, 3); extra > 0; extra--) {
        ftso_shape next = c->inputs[0];
        next.dim[next.rank == 4 ? 1 : 0] = channels(random);
        operand(c, next, TEST_NORMAL, true);
    }
}

static void slice(test_op_case *c, test_random *random)
{
    along_channels(c, random);
    int64_t begin = test_below(random, width_of(c, 0));
    set(c, "begin", begin);
    set(c, "end", between(random, begin + 1, width_of(c, 0)));
}

static void embed(test_op_case *c, test_random *random)
{
    along_channels(c, random);
    int64_t begin = between(random, 0, 5);
    set(c, "begin", begin);
    set(c, "channels", begin + width_of(c, 0) + between(random, 0, 5));
}

static void shuffle(test_op_case *c, test_random *random)
{
    along_channels(c, random);
    int64_t groups;
    do groups = between(random, 1, width_of(c, 0));
    while (width_of(c, 0) % groups);
    set(c, "groups", groups);
    set(c, "power", between(random, 0, 5));
}

static void zero(test_op_case *c, test_random *random)
{
    one_image(c, random);
    set(c, "stride", between(random, 1, 3));
}

static void sample_mul(test_op_case *c, test_random *random)
{
    one_image(c, random);
    operand(c, (ftso_shape){.rank = 1, .batched = true, .dim = {c->planned}}, TEST_NORMAL, false);
}

static void column(test_op_case *c, test_random *random)
{
    int64_t width = between(random, 1, 20);
    operand(c, ftso_shape_image(c->planned, width, 1, 1), TEST_NORMAL, false);
    set(c, "index", test_below(random, width));
}

static void view(test_op_case *c, test_random *random)
{
    operand(c, unbatched(c, random), TEST_NORMAL, true);
    int64_t count = ftso_shape_count(c->inputs[0]);
    int64_t offset = test_below(random, count), length = between(random, 1, count - offset);
    set(c, "offset", offset);
    switch (test_below(random, 3)) {
    case 0:
        break;
    case 1:
        set(c, "rank", 1);
        set(c, "d0", length);
        break;
    default:
        set(c, "rank", 4);
        set(c, "d0", 1);
        set(c, "d1", length);
        set(c, "d2", 1);
        set(c, "d3", 1);
    }
}

static void pack(test_op_case *c, test_random *random)
{
    for (int64_t k = between(random, 1, 4); k > 0; k--)
        operand(c, unbatched(c, random), TEST_NORMAL, true);
}

static void vector(test_op_case *c, test_random *random)
{
    operand(c, ftso_shape_vector(between(random, 1, 30)), TEST_NORMAL, true);
    if (strcmp(c->op->name, "element") == 0)
        set(c, "index", test_below(random, c->inputs[0].dim[0]));
}

static void scalars(test_op_case *c, test_random *random)
{
    for (int64_t k = between(random, 1, 4); k > 0; k--)
        operand(c, ftso_shape_scalar(), TEST_NORMAL, true);
}

static void fill(test_op_case *c, test_random *random)
{
    operand(c, ftso_shape_scalar(), TEST_NORMAL, true);
    set(c, "n", between(random, 1, 30));
}

static void vector_dot(test_op_case *c, test_random *random)
{
    operand(c, unbatched(c, random), TEST_NORMAL, true);
    operand(c, c->inputs[0], TEST_NORMAL, true);
}

/* Strides, dilations and paddings, negative ones too, around a map of the given sides that leave at least one output. */
static void window(test_op_case *c, test_random *random, int64_t kh, int64_t kw, int64_t height,
                   int64_t width, ftso_shape *out)
{
    int64_t stride, dilation = 1, out_h, out_w, pad[4];
    bool pool = ftso_op_attr(c->op, "kernel") >= 0;
    do {
        stride = between(random, 1, 3);
        if (!pool) dilation = between(random, 1, 2);
        for (int i = 0; i < 4; i++) {
            int64_t reach = (i < 2 ? kh : kw) * dilation;
            pad[i] = pool ? between(random, 0, kh - 1) : between(random, -1, reach);
        }
        out_h = height + pad[0] + pad[1] - dilation * (kh - 1) - 1;
        out_w = width + pad[2] + pad[3] - dilation * (kw - 1) - 1;
    } while (out_h < 0 || out_w < 0);
    set(c, "stride", stride);
    if (pool)
        set(c, "kernel", kh);
    else
        set(c, "dilation", dilation);
    set(c, "pad_top", pad[0]);
    set(c, "pad_bottom", pad[1]);
    set(c, "pad_left", pad[2]);
    set(c, "pad_right", pad[3]);
    *out = ftso_shape_image(c->planned, 1, out_h / stride + 1, out_w / stride + 1);
}

static void convolution(test_op_case *c, test_random *random)
{
    bool depthwise = c->op->name[0] == 'd';
    const char *kind = c->op->name + (depthwise ? 2 : 0);
    ftso_shape x = image(c, random), y;
    int64_t wide = depthwise ? x.dim[1] : channels(random);
    int64_t most = depthwise || x.dim[1] * wide <= 256 ? 7 : 3;
    ftso_shape w = ftso_shape_weight(wide, depthwise ? 1 : x.dim[1], between(random, 1, most),
                                     between(random, 1, most));
    window(c, random, w.dim[2], w.dim[3], x.dim[2], x.dim[3], &y);
    y.dim[1] = wide;
    if (strcmp(kind, "conv") == 0) {
        operand(c, x, TEST_NORMAL, true);
        operand(c, w, TEST_NORMAL, true);
    } else if (strcmp(kind, "conv_dx") == 0) {
        operand(c, y, TEST_NORMAL, true);
        operand(c, w, TEST_NORMAL, true);
        set(c, "height", x.dim[2]);
        set(c, "width", x.dim[3]);
    } else {
        operand(c, y, TEST_NORMAL, true);
        operand(c, x, TEST_NORMAL, true);
        set(c, "kernel_h", w.dim[2]);
        set(c, "kernel_w", w.dim[3]);
    }
}

static void pool(test_op_case *c, test_random *random)
{
    ftso_shape x = image(c, random), y;
    bool max = c->op->name[0] == 'm', back = strstr(c->op->name, "_dx") != NULL;
    int64_t kernel = between(random, 1, 5);
    window(c, random, kernel, kernel, x.dim[2], x.dim[3], &y);
    y.dim[1] = x.dim[1];
    if (back) operand(c, y, TEST_NORMAL, !max);
    if (!back || max) operand(c, x, max ? TEST_DISTINCT : TEST_NORMAL, !back);
    if (back && !max) {
        set(c, "height", x.dim[2]);
        set(c, "width", x.dim[3]);
    }
}

static void shift(test_op_case *c, test_random *random)
{
    one_image(c, random);
    set(c, "dh", between(random, 1 - c->inputs[0].dim[2], c->inputs[0].dim[2] - 1));
    set(c, "dw", between(random, 1 - c->inputs[0].dim[3], c->inputs[0].dim[3] - 1));
}

static void spread(test_op_case *c, test_random *random)
{
    operand(c, ftso_shape_image(c->planned, channels(random), 1, 1), TEST_NORMAL, true);
    set(c, "height", between(random, 1, 9));
    set(c, "width", between(random, 1, 9));
}

static void batch_norm(test_op_case *c, test_random *random)
{
    ftso_shape x;
    do x = image(c, random);
    while (c->batch * x.dim[2] * x.dim[3] <
           6); /* over two values it is almost constant: nothing to measure */
    operand(c, x, TEST_NORMAL, true);
    if (test_below(random, 2) == 0) return;
    operand(c, ftso_shape_vector(x.dim[1]), TEST_NORMAL, true);
    operand(c, ftso_shape_vector(x.dim[1]), TEST_NORMAL, true);
}

static void loss(test_op_case *c, test_random *random)
{
    operand(c, ftso_shape_image(c->planned, channels(random) + 1, 1, 1), TEST_NORMAL,
            strcmp(c->op->name, "cross_entropy") == 0);
    operand(c, (ftso_shape){.rank = 1, .batched = true, .dim = {c->planned}}, TEST_LABEL, false);
    c->attrs[0].r = test_below(random, 2) ? 0.1 : 0;
}

/* ---------------------------------------------------------------- the table */

typedef struct generator {
    const char *name;
    void (*make)(test_op_case *c, test_random *random);
} generator;

static const generator generators[] = {
    {"input", leaf},
    {"state", leaf},
    {"constant", leaf},
    {"mean_scale", leaf},
    {"view", view},
    {"column", column},
    {"pack", pack},
    {"add", many},
    {"sub", two},
    {"mul", two},
    {"div", quotient},
    {"min", compare},
    {"max", compare},
    {"scale", scaled},
    {"sqrt", root},
    {"rsqrt", root},
    {"relu", relu},
    {"relu_mask", relu_mask},
    {"channel_mul", image_and_channels},
    {"channel_add", image_and_channels},
    {"concat", concat},
    {"slice", slice},
    {"embed", embed},
    {"shuffle", shuffle},
    {"zero", zero},
    {"sample_mul", sample_mul},
    {"element", vector},
    {"stack", scalars},
    {"softmax", vector},
    {"sum", vector},
    {"fill", fill},
    {"vector_dot", vector_dot},
    {"conv", convolution},
    {"conv_dx", convolution},
    {"conv_dw", convolution},
    {"dwconv", convolution},
    {"dwconv_dx", convolution},
    {"dwconv_dw", convolution},
    {"max_pool", pool},
    {"max_pool_dx", pool},
    {"avg_pool", pool},
    {"avg_pool_dx", pool},
    {"shift", shift},
    {"global_avg_pool", one_image},
    {"spread", spread},
    {"channel_sum", one_image},
    {"channel_dot", two_images},
    {"dot", two_images},
    {"batch_norm", batch_norm},
    {"cross_entropy", loss},
    {"cross_entropy_dx", loss},
};

bool test_op_case_make(const ftso_op *op, test_random *random, test_op_case *out)
{
    for (size_t i = 0; i < FTSO_COUNT(generators); i++) {
        if (strcmp(generators[i].name, op->name) != 0) continue;
        *out = (test_op_case){.op = op, .planned = between(random, 1, 3)};
        out->batch = between(random, 1, out->planned);
        for (int a = 0; a < op->attr_count; a++) out->attrs[a] = op->attrs[a].fallback;
        generators[i].make(out, random);
        return true;
    }
    return false;
}

/* Distinct numbers: a random order of a grid. */
static void fill_distinct(size_t count, test_random *random, double *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t k = (size_t)test_below(random, (int64_t)i + 1);
        out[i] = out[k];
        out[k] = 0.03 * ((double)i - (double)count / 2);
    }
}

size_t test_op_case_fill(const test_op_case *c, size_t i, double *const *operands,
                         test_random *random, double *out)
{
    ftso_shape shape = c->inputs[i];
    if (shape.batched) shape.dim[0] = c->batch;
    size_t count = (size_t)ftso_shape_count(shape);
    if (c->domain[i] == TEST_DISTINCT) {
        fill_distinct(count, random, out);
        return count;
    }
    for (size_t k = 0; k < count; k++) {
        double x = test_normal(random);
        switch (c->domain[i]) {
        case TEST_NONZERO:
            x += x < 0 ? -0.02 : 0.02;
            break;
        case TEST_APART:
            x = operands[i - 1][k] + x + (x < 0 ? -0.02 : 0.02);
            break;
        case TEST_POSITIVE:
            x = 0.2 + 1.8 * test_uniform(random);
            break;
        case TEST_LABEL:
            x = (double)test_below(random, c->inputs[0].dim[1]);
            break;
        case TEST_NORMAL:
        case TEST_DISTINCT:
            break;
        }
        out[k] = x;
    }
    return count;
}

ftso_value test_op_case_build(const test_op_case *c, ftso_graph *graph, ftso_value *out_operands)
{
    for (size_t i = 0; i < c->input_count; i++)
        out_operands[i] =
            ftso_graph_input(graph, (const char *[]){"x0", "x1", "x2", "x3"}[i], c->inputs[i]);
    return ftso_graph_add(graph, c->op->name, out_operands, c->input_count, c->attrs,
                          (size_t)c->op->attr_count);
}

void test_op_case_print(const test_op_case *c, ftso_text *out)
{
    ftso_text_puts(out, c->op->name);
    for (size_t i = 0; i < c->input_count; i++) {
        ftso_text_puts(out, " ");
        ftso_shape_print(c->inputs[i], out);
    }
    for (int a = 0; a < c->op->attr_count; a++)
        if (c->op->attrs[a].kind == FTSO_ATTR_INT)
            ftso_text_printf(out, " %s=%lld", c->op->attrs[a].name, (long long)c->attrs[a].i);
    ftso_text_printf(out, ", %lld of %lld images", (long long)c->batch, (long long)c->planned);
}
