/*
 * Helpers of the operator files: reasons, shape questions, costs.
 * In: shapes and attributes as lowering or a parser gives them, not trusted. Out: answers; a refusal is a sentence that
 * names the operand and the numbers.
 */
#include "ir/ops/ops_internal.h"

bool ftso_ops_refuse(ftso_text *why, const char *fmt, ...)
{
    if (!why) return false;
    char sentence[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    ftso_text_puts(why, sentence);
    return false;
}

/* "x must be an image [N, C, H, W], not [28]" */
static bool refuse_kind(ftso_text *why, const char *what, const char *kind, ftso_shape shape)
{
    if (!why) return false;
    ftso_text_printf(why, "%s must be %s, not ", what, kind);
    ftso_shape_print(shape, why);
    return false;
}

bool ftso_ops_need_image(ftso_shape shape, const char *what, ftso_text *why)
{
    if (shape.rank == 4 && shape.batched) return true;
    return refuse_kind(why, what, "an image [N, C, H, W]", shape);
}

bool ftso_ops_need_vector(ftso_shape shape, const char *what, ftso_text *why)
{
    if (shape.rank == 1 && !shape.batched) return true;
    return refuse_kind(why, what, "a vector", shape);
}

bool ftso_ops_need_scalar(ftso_shape shape, const char *what, ftso_text *why)
{
    if (shape.rank == 0) return true;
    return refuse_kind(why, what, "one number", shape);
}

bool ftso_ops_need_unbatched(ftso_shape shape, const char *what, ftso_text *why)
{
    if (!shape.batched) return true;
    return refuse_kind(why, what, "without a batch", shape);
}

bool ftso_ops_need_equal(ftso_shape a, ftso_shape b, ftso_text *why)
{
    if (ftso_shape_equal(a, b)) return true;
    if (!why) return false;
    ftso_text_puts(why, "the operands have different shapes, ");
    ftso_shape_print(a, why);
    ftso_text_puts(why, " and ");
    ftso_shape_print(b, why);
    return false;
}

bool ftso_ops_need_channels(ftso_shape image, ftso_shape vector, const char *what, ftso_text *why)
{
    if (!ftso_ops_need_vector(vector, what, why)) return false;
    if (vector.dim[0] == image.dim[1]) return true;
    return ftso_ops_refuse(why, "%s: %lld numbers for %lld channels", what,
                           (long long)vector.dim[0], (long long)image.dim[1]);
}

bool ftso_ops_shape_same(const ftso_shape *inputs, size_t input_count, const ftso_attr_value *attrs,
                         ftso_shape *out, ftso_text *why)
{
    (void)attrs;
    for (size_t i = 1; i < input_count; i++)
        if (!ftso_ops_need_equal(inputs[0], inputs[i], why)) return false;
    *out = inputs[0];
    return true;
}

bool ftso_ops_shape_given(const ftso_attr_value *attrs, bool has_batched, ftso_shape *out,
                          ftso_text *why)
{
    int64_t rank = attrs[0].i;
    bool batched = has_batched && attrs[1].i != 0;
    const ftso_attr_value *dims = attrs + (has_batched ? 2 : 1);
    if (rank != 0 && rank != 1 && rank != 4)
        return ftso_ops_refuse(why, "rank %lld is not one of 0, 1, 4", (long long)rank);
    if (batched && rank == 0) return ftso_ops_refuse(why, "a single number has no batch");
    *out = (ftso_shape){.rank = (uint8_t)rank, .batched = batched};
    for (int d = 0; d < FTSO_MAX_RANK; d++) {
        if (d < rank && dims[d].i < 1)
            return ftso_ops_refuse(why, "dimension %d is %lld", d, (long long)dims[d].i);
        if (d >= rank && dims[d].i != 0)
            return ftso_ops_refuse(why, "dimension %d is given past rank %lld", d, (long long)rank);
        if (d < rank) out->dim[d] = dims[d].i;
    }
    return true;
}

ftso_channels ftso_ops_channels(ftso_shape shape)
{
    if (shape.rank == 4)
        return (ftso_channels){shape.dim[0], shape.dim[1], shape.dim[2] * shape.dim[3]};
    return (ftso_channels){1, shape.dim[0], 1};
}

bool ftso_ops_need_channel_axis(ftso_shape shape, const char *what, ftso_text *why)
{
    if ((shape.rank == 4 && shape.batched) || (shape.rank == 1 && !shape.batched)) return true;
    return refuse_kind(why, what, "an image or a vector", shape);
}

ftso_shape ftso_ops_with_channels(ftso_shape shape, int64_t channels)
{
    shape.dim[shape.rank == 4 ? 1 : 0] = channels;
    return shape;
}

int64_t ftso_ops_product(const int64_t *factors, size_t count)
{
    int64_t product = 1;
    for (size_t i = 0; i < count; i++)
        if (!ftso_i64_mul(product, factors[i], &product)) return INT64_MAX;
    return product;
}

enum { NUMBER_BYTES = 4 }; /* compiled programs store float32 */

ftso_cost ftso_ops_cost(const ftso_shape *inputs, size_t input_count, ftso_shape out,
                        int64_t flops_per_output)
{
    ftso_cost cost = {0};
    for (size_t i = 0; i < input_count; i++)
        cost.bytes_read += NUMBER_BYTES * ftso_shape_count(inputs[i]);
    cost.bytes_written = NUMBER_BYTES * ftso_shape_count(out);
    cost.flops = ftso_ops_product((int64_t[]){ftso_shape_count(out), flops_per_output}, 2);
    return cost;
}

ftso_cost ftso_ops_cost_one(const ftso_shape *inputs, size_t input_count,
                            const ftso_attr_value *attrs, ftso_shape out)
{
    (void)attrs;
    return ftso_ops_cost(inputs, input_count, out, 1);
}

ftso_cost ftso_ops_cost_reduce(const ftso_shape *inputs, size_t input_count,
                               const ftso_attr_value *attrs, ftso_shape out)
{
    (void)attrs;
    ftso_cost cost = ftso_ops_cost(inputs, input_count, out, 0);
    cost.flops = (int64_t)input_count * ftso_shape_count(inputs[0]);
    return cost;
}

ftso_cost ftso_ops_cost_none(const ftso_shape *inputs, size_t input_count,
                             const ftso_attr_value *attrs, ftso_shape out)
{
    (void)inputs, (void)input_count, (void)attrs, (void)out;
    return (ftso_cost){0};
}

ftso_cost ftso_ops_cost_macs(const ftso_shape *inputs, size_t input_count, ftso_shape out,
                             int64_t positions, int64_t each)
{
    ftso_cost cost = ftso_ops_cost(inputs, input_count, out, 0);
    cost.macs = ftso_ops_product((int64_t[]){positions, each}, 2);
    cost.flops = ftso_ops_product((int64_t[]){cost.macs, 2}, 2);
    return cost;
}

double ftso_ops_dot(const double *a, const double *b, int64_t count)
{
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        sum[0] += a[i] * b[i];
        sum[1] += a[i + 1] * b[i + 1];
        sum[2] += a[i + 2] * b[i + 2];
        sum[3] += a[i + 3] * b[i + 3];
    }
    for (; i < count; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void ftso_ops_dot_eval(const ftso_eval *e, ftso_tensor *out)
{
    out->data[0] =
        ftso_ops_dot(e->inputs[0].data, e->inputs[1].data, ftso_shape_count(e->inputs[0].shape));
}

void ftso_ops_dot_gradient(ftso_graph *graph, ftso_value self, ftso_value dy, const bool *wanted,
                           ftso_value *out)
{
    ftso_node node = *ftso_graph_node(graph, self);
    if (wanted[0]) out[0] = ftso_graph_binary(graph, "scale", node.inputs[1], dy);
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "scale", node.inputs[0], dy);
}

void ftso_ops_extreme_eval(const ftso_eval *e, ftso_tensor *out, int sign)
{
    const double *a = e->inputs[0].data, *b = e->inputs[1].data;
    int64_t count = ftso_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) {
        bool first = e->replay ? e->frozen[i] != 0 : sign * a[i] > sign * b[i];
        if (e->frozen && !e->replay) e->frozen[i] = first;
        out->data[i] = first ? a[i] : b[i];
    }
}

void ftso_ops_extreme_gradient(ftso_graph *graph, ftso_value self, ftso_value dy,
                               const bool *wanted, ftso_value *out, int sign)
{
    ftso_node node = *ftso_graph_node(graph, self);
    int larger = sign > 0 ? 0 : 1;
    ftso_value lead = ftso_graph_binary(graph, "sub", node.inputs[larger], node.inputs[1 - larger]);
    ftso_value to_a = ftso_graph_binary(graph, "relu_mask", dy, lead);
    if (wanted[0]) out[0] = to_a;
    if (wanted[1]) out[1] = ftso_graph_binary(graph, "sub", dy, to_a);
}
