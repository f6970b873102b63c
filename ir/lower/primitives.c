/*
 * The primitives of the language: each word's parameters and the graph nodes it stands for.
 *
 * In: values and numbers, the parameters' ranges checked by the caller. Out: appended nodes, or a sentence for the user.
 * Must hold: one row a word; padding is "same", dilation * (k - 1) / 2, unless given; nothing here knows a composite.
 */
#include "lower_internal.h"

#include <math.h>
#include <string.h>

enum { SAME_PAD = -1 };

#define REQUIRED NAN
#define NODE(builder, op, inputs, count, attrs, why)                                               \
    ftso_builder_add((builder), (op), (inputs), (count), (attrs), FTSO_COUNT(attrs), (why))

/* Padding for one direction; false with a sentence where an even kernel has no "same" padding. */
static bool padding(int64_t k, int64_t dilation, double given, int64_t *out_pad, ftso_text *why)
{
    if (given >= 0) {
        *out_pad = (int64_t)given;
        return true;
    }
    int64_t reach = dilation * (k - 1);
    if (reach % 2) {
        ftso_text_printf(why, "the even kernel %lld has no centre, so it needs an explicit pad",
                         (long long)k);
        return false;
    }
    *out_pad = reach / 2;
    return true;
}

/* The image rank 4 that spatial primitives want. */
static bool wants_image(const ftso_builder *builder, ftso_value input, ftso_text *why)
{
    ftso_shape shape = ftso_builder_shape(builder, input);
    if (shape.rank == 4 && shape.batched) return true;
    ftso_text_puts(why, "the operand is not an image");
    return false;
}

/*
 * A strided step after `shift` takes every other pixel from the second one on: on an odd side it would read one pixel
 * outside, which the networks that use it (FactorizedReduce) refuse too.
 */
static bool shift_divides(const ftso_builder *builder, ftso_value input, int64_t stride,
                          ftso_text *why)
{
    const ftso_node *node = ftso_graph_node(builder->graph, input);
    if (stride == 1 || !ftso_node_is(node, "shift")) return true;
    for (int i = 2; i < 4; i++)
        if (node->shape.dim[i] % stride) {
            ftso_text_printf(
                why, "the side %lld is %s: stride %lld after a shift would read outside the map",
                (long long)node->shape.dim[i], stride == 2 ? "odd" : "no multiple",
                (long long)stride);
            return false;
        }
    return true;
}

static ftso_value window(ftso_builder *builder, const char *op, const ftso_value *inputs,
                         int64_t kh, int64_t kw, int64_t stride, int64_t dilation, double pad,
                         ftso_text *why)
{
    int64_t pad_h, pad_w;
    if (!padding(kh, dilation, pad, &pad_h, why) || !padding(kw, dilation, pad, &pad_w, why) ||
        !shift_divides(builder, inputs[0], stride, why))
        return FTSO_NO_VALUE;
    const ftso_named_attr attrs[] = {{"stride", FTSO_I(stride)},  {"dilation", FTSO_I(dilation)},
                                     {"pad_top", FTSO_I(pad_h)},  {"pad_bottom", FTSO_I(pad_h)},
                                     {"pad_left", FTSO_I(pad_w)}, {"pad_right", FTSO_I(pad_w)}};
    return NODE(builder, op, inputs, 2, attrs, why);
}

/* conv(C, k, stride, dilation, bias, pad, kh, kw) */
static ftso_value lower_conv(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                             const double *args, ftso_text *why)
{
    (void)input_count;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    int64_t out_channels = (int64_t)args[0], k = (int64_t)args[1];
    int64_t kh = args[6] > 0 ? (int64_t)args[6] : k, kw = args[7] > 0 ? (int64_t)args[7] : k;
    if (!kh || !kw) {
        ftso_text_puts(why, "conv needs k, or kh and kw");
        return FTSO_NO_VALUE;
    }
    int64_t in_channels = ftso_builder_shape(builder, inputs[0]).dim[1], taps, fan_in;
    if (!ftso_i64_mul(kh, kw, &taps) || !ftso_i64_mul(taps, in_channels, &fan_in)) {
        ftso_text_puts(why, "the kernel is too large");
        return FTSO_NO_VALUE;
    }
    ftso_value operands[2] = {
        inputs[0],
        ftso_builder_weight(builder, "weight", ftso_shape_weight(out_channels, in_channels, kh, kw),
                            fan_in, 0, why)};
    if (operands[1] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    ftso_value y =
        window(builder, "conv", operands, kh, kw, (int64_t)args[2], (int64_t)args[3], args[5], why);
    if (y == FTSO_NO_VALUE || args[4] == 0) return y;
    ftso_value bias =
        ftso_builder_weight(builder, "bias", ftso_shape_vector(out_channels), fan_in, 0, why);
    if (bias == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    const ftso_value biased[] = {y, bias};
    const ftso_named_attr attrs[] = {{"bias", FTSO_I(1)}};
    return NODE(builder, "channel_add", biased, 2, attrs, why);
}

/* dwconv(k, stride, dilation, pad) */
static ftso_value lower_dwconv(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                               const double *args, ftso_text *why)
{
    (void)input_count;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    int64_t k = (int64_t)args[0], channels = ftso_builder_shape(builder, inputs[0]).dim[1];
    ftso_value operands[2] = {inputs[0], ftso_builder_weight(builder, "weight",
                                                             ftso_shape_weight(channels, 1, k, k),
                                                             k * k, 0, why)};
    if (operands[1] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    return window(builder, "dwconv", operands, k, k, (int64_t)args[1], (int64_t)args[2], args[3],
                  why);
}

/* linear(C): a 1x1 convolution with a bias on a 1x1 map. */
static ftso_value lower_linear(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                               const double *args, ftso_text *why)
{
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    ftso_shape shape = ftso_builder_shape(builder, inputs[0]);
    if (shape.dim[2] != 1 || shape.dim[3] != 1) {
        ftso_text_printf(why, "linear works on a 1 x 1 map and this one is %lld x %lld",
                         (long long)shape.dim[2], (long long)shape.dim[3]);
        return FTSO_NO_VALUE;
    }
    const double conv_args[] = {args[0], 1, 1, 1, 1, 0, 0, 0};
    size_t row = builder->network->weight_count;
    ftso_value y = lower_conv(builder, inputs, input_count, conv_args, why);
    if (y != FTSO_NO_VALUE) builder->network->weight_table[row].is_matrix = true;
    return y;
}

static ftso_value lower_relu(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                             const double *args, ftso_text *why)
{
    (void)input_count, (void)args;
    return ftso_builder_unary(builder, "relu", inputs[0], why);
}

/* Normalisation by running statistics: x * a + b with a = gamma / sqrt(var + eps), b = beta - mean * a. */
static ftso_value inference_bn(ftso_builder *builder, ftso_value x, ftso_value gamma,
                               ftso_value beta, ftso_value mean, ftso_value var, double eps,
                               ftso_text *why)
{
    int64_t channels = ftso_builder_shape(builder, x).dim[1];
    const ftso_named_attr attrs[] = {{"eps", FTSO_R(eps)}};
    ftso_value a = NODE(builder, "rsqrt", &var, 1, attrs, why);
    if (gamma != FTSO_NO_VALUE) a = ftso_builder_binary(builder, "mul", gamma, a, why);
    ftso_value shift = ftso_builder_binary(builder, "mul", mean, a, why);
    if (beta == FTSO_NO_VALUE)
        beta = ftso_graph_constant(builder->graph, ftso_shape_vector(channels), 0);
    ftso_value b = ftso_builder_binary(builder, "sub", beta, shift, why);
    ftso_value y = ftso_builder_binary(builder, "channel_mul", x, a, why);
    return ftso_builder_binary(builder, "channel_add", y, b, why);
}

/*
 * What a training batch norm adds to the running statistics: mean and unbiased variance, var * n / (n - 1) over the n values
 * of a channel. What was added to the operand before (a bias) is part of the mean.
 */
static void measure(ftso_builder *builder, ftso_value x, double eps)
{
    ftso_graph *graph = builder->graph;
    ftso_shape shape = ftso_builder_shape(builder, x);
    ftso_value mean, var, plain = ftso_graph_unshifted(graph, x);
    ftso_graph_statistics(graph, plain, eps, &mean, &var, NULL);
    for (ftso_value at = x; at != plain; at = ftso_graph_node(graph, at)->inputs[0])
        mean = ftso_graph_binary(graph, "add", mean, ftso_graph_node(graph, at)->inputs[1]);
    ftso_attr_value pixels = FTSO_I(shape.dim[2] * shape.dim[3]);
    ftso_value share = ftso_graph_add(graph, "mean_scale", NULL, 0, &pixels, 1);
    ftso_value whole = ftso_graph_constant(graph, ftso_shape_scalar(), 1);
    ftso_value rest = ftso_graph_binary(graph, "sub", whole, share);
    var = ftso_graph_binary(graph, "scale", var, ftso_graph_binary(graph, "div", whole, rest));
    FTSO_PUSH(builder->arena, builder->measured, builder->measured_count,
              builder->measured_capacity, mean);
    FTSO_PUSH(builder->arena, builder->measured, builder->measured_count,
              builder->measured_capacity, var);
}

/* bn(affine, eps) */
static ftso_value lower_bn(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                           const double *args, ftso_text *why)
{
    (void)input_count;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    ftso_shape shape = ftso_builder_shape(builder, inputs[0]);
    ftso_value operands[3] = {inputs[0], FTSO_NO_VALUE, FTSO_NO_VALUE};
    if (args[0] != 0) {
        ftso_shape vector = ftso_shape_vector(shape.dim[1]);
        operands[1] = ftso_builder_weight(builder, "weight", vector, 0, 1, why);
        operands[2] = ftso_builder_weight(builder, "bias", vector, 0, 0, why);
        if (operands[1] == FTSO_NO_VALUE || operands[2] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    }
    ftso_value mean = FTSO_NO_VALUE, var = FTSO_NO_VALUE;
    if (builder->network->running != FTSO_NO_VALUE) {
        mean = ftso_builder_running(builder, "running_mean", shape.dim[1], 0, why);
        var = ftso_builder_running(builder, "running_var", shape.dim[1], 1, why);
        if (mean == FTSO_NO_VALUE || var == FTSO_NO_VALUE) return FTSO_NO_VALUE;
    }
    if (builder->options->inference)
        return inference_bn(builder, operands[0], operands[1], operands[2], mean, var, args[1],
                            why);
    if (shape.dim[0] * shape.dim[2] * shape.dim[3] == 1) {
        ftso_text_puts(why, "batch norm over a single value has no variance; use a larger batch");
        return FTSO_NO_VALUE;
    }
    if (mean != FTSO_NO_VALUE) measure(builder, operands[0], args[1]);
    const ftso_named_attr attrs[] = {{"eps", FTSO_R(args[1])}};
    return NODE(builder, "batch_norm", operands, args[0] != 0 ? 3 : 1, attrs, why);
}

static ftso_value lower_pool(ftso_builder *builder, const char *op, ftso_value input,
                             const double *args, ftso_text *why)
{
    if (!wants_image(builder, input, why)) return FTSO_NO_VALUE;
    int64_t k = (int64_t)args[0], stride = (int64_t)args[1];
    int64_t pad = args[2] >= 0 ? (int64_t)args[2] : (k - 1) / 2;
    if (pad > k / 2) {
        ftso_text_printf(why, "pad %lld is more than half of the window %lld", (long long)pad,
                         (long long)k);
        return FTSO_NO_VALUE;
    }
    if (!shift_divides(builder, input, stride, why)) return FTSO_NO_VALUE;
    const ftso_named_attr attrs[] = {{"kernel", FTSO_I(k)},     {"stride", FTSO_I(stride)},
                                     {"pad_top", FTSO_I(pad)},  {"pad_bottom", FTSO_I(pad)},
                                     {"pad_left", FTSO_I(pad)}, {"pad_right", FTSO_I(pad)}};
    return NODE(builder, op, &input, 1, attrs, why);
}

static ftso_value lower_maxpool(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                                const double *args, ftso_text *why)
{
    (void)input_count;
    return lower_pool(builder, "max_pool", inputs[0], args, why);
}

static ftso_value lower_avgpool(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                                const double *args, ftso_text *why)
{
    (void)input_count;
    return lower_pool(builder, "avg_pool", inputs[0], args, why);
}

static ftso_value lower_global_avgpool(ftso_builder *builder, const ftso_value *inputs,
                                       size_t input_count, const double *args, ftso_text *why)
{
    (void)input_count, (void)args;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    return ftso_builder_unary(builder, "global_avg_pool", inputs[0], why);
}

static ftso_value lower_identity(ftso_builder *builder, const ftso_value *inputs,
                                 size_t input_count, const double *args, ftso_text *why)
{
    (void)builder, (void)input_count, (void)args, (void)why;
    return inputs[0];
}

static ftso_value lower_zero(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                             const double *args, ftso_text *why)
{
    (void)input_count;
    const ftso_named_attr attrs[] = {{"stride", FTSO_I((int64_t)args[0])}};
    return NODE(builder, "zero", inputs, 1, attrs, why);
}

static ftso_value lower_shift(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                              const double *args, ftso_text *why)
{
    (void)input_count;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    const ftso_named_attr attrs[] = {{"dh", FTSO_I((int64_t)args[0])},
                                     {"dw", FTSO_I((int64_t)args[1])}};
    return NODE(builder, "shift", inputs, 1, attrs, why);
}

static ftso_value lower_slice(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                              const double *args, ftso_text *why)
{
    (void)input_count;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    int64_t channels = ftso_builder_shape(builder, inputs[0]).dim[1];
    int64_t begin = (int64_t)args[0], end = (int64_t)args[1];
    if (begin >= end || end > channels) {
        ftso_text_printf(why, "channels %lld to %lld are not a part of %lld channels",
                         (long long)begin, (long long)end, (long long)channels);
        return FTSO_NO_VALUE;
    }
    const ftso_named_attr attrs[] = {{"begin", FTSO_I(begin)}, {"end", FTSO_I(end)}};
    return NODE(builder, "slice", inputs, 1, attrs, why);
}

static ftso_value lower_shuffle(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                                const double *args, ftso_text *why)
{
    (void)input_count;
    if (!wants_image(builder, inputs[0], why)) return FTSO_NO_VALUE;
    int64_t channels = ftso_builder_shape(builder, inputs[0]).dim[1], groups = (int64_t)args[0];
    if (channels % groups) {
        ftso_text_printf(why, "%lld channels do not split into %lld groups", (long long)channels,
                         (long long)groups);
        return FTSO_NO_VALUE;
    }
    const ftso_named_attr attrs[] = {{"groups", FTSO_I(groups)}, {"power", FTSO_I(1)}};
    return NODE(builder, "shuffle", inputs, 1, attrs, why);
}

static ftso_value lower_sum(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                            const double *args, ftso_text *why)
{
    (void)args;
    if (input_count == 1) return inputs[0];
    return ftso_builder_add(builder, "add", inputs, input_count, NULL, 0, why);
}

static ftso_value lower_concat(ftso_builder *builder, const ftso_value *inputs, size_t input_count,
                               const double *args, ftso_text *why)
{
    (void)args;
    if (input_count == 1) return inputs[0];
    return ftso_builder_add(builder, "concat", inputs, input_count, NULL, 0, why);
}

#define CHANNELS                                                                                   \
    {                                                                                              \
        "C", REQUIRED, 1, 65536, true, "output channels"                                           \
    }
#define STRIDE(most)                                                                               \
    {                                                                                              \
        "stride", 1, 1, most, true, "step between outputs"                                         \
    }
#define DILATION                                                                                   \
    {                                                                                              \
        "dilation", 1, 1, 16, true, "distance between taps"                                        \
    }
#define PAD                                                                                        \
    {                                                                                              \
        "pad", SAME_PAD, 0, 64, true, "pixels added on each side; \"same\" where not given"        \
    }
#define KERNEL(fallback, doc)                                                                      \
    {                                                                                              \
        "k", fallback, 1, 31, true, doc                                                            \
    }

static const ftso_primitive primitives[] = {
    {"conv",
     "convolution, dense over channels",
     false,
     {CHANNELS,
      KERNEL(0, "side of the kernel"),
      STRIDE(2),
      DILATION,
      {"bias", 0, 0, 1, true, "adds a number per channel"},
      PAD,
      {"kh", 0, 1, 31, true, "height of the kernel, where it is not k"},
      {"kw", 0, 1, 31, true, "width of the kernel, where it is not k"}},
     8,
     lower_conv},
    {"dwconv",
     "depthwise convolution: one kernel per channel",
     false,
     {KERNEL(REQUIRED, "side of the kernel"), STRIDE(2), DILATION, PAD},
     4,
     lower_dwconv},
    {"linear",
     "fully connected layer with bias, on a 1 x 1 map",
     false,
     {CHANNELS},
     1,
     lower_linear},
    {"relu", "max(x, 0)", false, {{0}}, 0, lower_relu},
    {"bn",
     "batch normalisation",
     false,
     {{"affine", 1, 0, 1, true, "with trainable scale and offset per channel"},
      {"eps", 1e-5, 1e-12, 1, false, "added to the variance"}},
     2,
     lower_bn},
    {"maxpool",
     "largest value in the window",
     false,
     {KERNEL(REQUIRED, "side of the window"),
      STRIDE(2),
      {"pad", SAME_PAD, 0, 15, true, "pixels added on each side; (k - 1) / 2 where not given"}},
     3,
     lower_maxpool},
    {"avgpool",
     "mean of the values in the window that lie in the image",
     false,
     {KERNEL(REQUIRED, "side of the window"),
      STRIDE(8),
      {"pad", SAME_PAD, 0, 15, true, "pixels added on each side; (k - 1) / 2 where not given"}},
     3,
     lower_avgpool},
    {"global_avgpool", "mean over all pixels of the map", false, {{0}}, 0, lower_global_avgpool},
    {"identity", "the operand itself", false, {{0}}, 0, lower_identity},
    {"zero", "zeros", false, {STRIDE(2)}, 1, lower_zero},
    {"shift",
     "the image moved: out(h, w) = x(h + dh, w + dw), zero outside",
     false,
     {{"dh", REQUIRED, -16, 16, true, "rows"}, {"dw", REQUIRED, -16, 16, true, "columns"}},
     2,
     lower_shift},
    {"slice",
     "channels begin to end - 1",
     false,
     {{"begin", REQUIRED, 0, 65536, true, "first channel"},
      {"end", REQUIRED, 1, 65536, true, "one past the last channel"}},
     2,
     lower_slice},
    {"shuffle",
     "channels in groups, interleaved: out[j] = x[(j % groups) * (C / groups) + j / groups]",
     false,
     {{"groups", REQUIRED, 1, 65536, true, "number of groups"}},
     1,
     lower_shuffle},
    {"sum", "sum of the branches", true, {{0}}, 0, lower_sum},
    {"concat", "the branches' channels one behind the other", true, {{0}}, 0, lower_concat},
};

const ftso_primitive *ftso_primitive_rows(size_t *out_count)
{
    *out_count = FTSO_COUNT(primitives);
    return primitives;
}

const ftso_primitive *ftso_primitive_find(const char *name)
{
    for (size_t i = 0; i < FTSO_COUNT(primitives); i++)
        if (!strcmp(primitives[i].name, name)) return &primitives[i];
    return NULL;
}
