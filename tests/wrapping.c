/*
 * tests/wrapping: see wrapping.h.
 */
#include "tests/wrapping.h"

static ftso_value node(wrapping *w, const char *op, ftso_value a, ftso_value b)
{
    return b == FTSO_NO_VALUE ? ftso_graph_unary(w->graph, op, a)
                              : ftso_graph_binary(w->graph, op, a, b);
}

ftso_value wrapping_leaf(wrapping *w, ftso_shape shape)
{
    return ftso_graph_input(w->graph, ftso_format(w->graph->arena, "i%d", w->leaves++), shape);
}

static ftso_shape with_channels(ftso_shape shape, int64_t channels)
{
    shape.dim[1] = channels;
    return shape;
}

static ftso_value affine(wrapping *w, ftso_value x, int64_t channels)
{
    ftso_value a = wrapping_leaf(w, ftso_shape_vector(channels)),
               b = wrapping_leaf(w, ftso_shape_vector(channels));
    return node(w, "channel_add", node(w, "channel_mul", x, a), b);
}

static ftso_value two_parts(wrapping *w, ftso_shape shape)
{
    int64_t first = 1 + test_below(w->random, shape.dim[1] - 1);
    ftso_value parts[] = {wrapping_operand(w, with_channels(shape, first)),
                          wrapping_operand(w, with_channels(shape, shape.dim[1] - first))};
    return ftso_graph_add(w->graph, "concat", parts, 2, NULL, 0);
}

static ftso_value part_of(wrapping *w, ftso_shape shape)
{
    int64_t begin = test_below(w->random, 9);
    ftso_value x =
        wrapping_leaf(w, with_channels(shape, begin + shape.dim[1] + test_below(w->random, 5)));
    ftso_attr_value attrs[] = {FTSO_I(begin), FTSO_I(begin + shape.dim[1])};
    return ftso_graph_add(w->graph, "slice", &x, 1, attrs, 2);
}

static ftso_value embedded(wrapping *w, ftso_shape shape)
{
    int64_t begin = test_below(w->random, shape.dim[1]);
    int64_t count = 1 + test_below(w->random, shape.dim[1] - begin);
    ftso_value x = wrapping_leaf(w, with_channels(shape, count));
    ftso_attr_value attrs[] = {FTSO_I(shape.dim[1]), FTSO_I(begin)};
    return ftso_graph_add(w->graph, "embed", &x, 1, attrs, 2);
}

static ftso_value shuffled(wrapping *w, ftso_shape shape)
{
    int64_t groups = shape.dim[1] % 4 == 0 ? 4 : shape.dim[1] % 3 == 0 ? 3 : 1;
    ftso_value x = wrapping_leaf(w, shape);
    ftso_attr_value attrs[] = {FTSO_I(groups), FTSO_I(1)};
    return ftso_graph_add(w->graph, "shuffle", &x, 1, attrs, 2);
}

ftso_value wrapping_operand(wrapping *w, ftso_shape shape)
{
    ftso_value x = wrapping_leaf(w, shape);
    switch (test_below(w->random, 10)) {
    case 0:
        return node(w, "relu", x, FTSO_NO_VALUE);
    case 1:
        return affine(w, x, shape.dim[1]);
    case 2:
        return node(w, "relu", affine(w, x, shape.dim[1]), FTSO_NO_VALUE);
    case 3:
        return node(w, "relu_mask", x, wrapping_leaf(w, shape));
    case 4:
        return shape.dim[1] > 1 ? two_parts(w, shape) : x;
    case 5:
        return part_of(w, shape);
    case 6:
        return node(
            w, "sample_mul", x,
            wrapping_leaf(w, (ftso_shape){.rank = 1, .batched = true, .dim = {shape.dim[0]}}));
    case 7:
        return node(w, "add", node(w, "scale", x, wrapping_leaf(w, ftso_shape_scalar())),
                    wrapping_leaf(w, shape));
    case 8:
        return shuffled(w, shape);
    case 9:
        return embedded(w, shape);
    default:
        return x;
    }
}

static ftso_value behind(wrapping *w, ftso_value core)
{
    ftso_shape shape = ftso_graph_shape(w->graph, core);
    switch (test_below(w->random, 6)) {
    case 0:
        return node(w, "relu_mask", core, wrapping_leaf(w, shape));
    case 1:
        return affine(w, core, shape.dim[1]);
    case 2:
        return node(w, "add", core, wrapping_leaf(w, shape));
    case 3: {
        ftso_value parts[] = {wrapping_leaf(w, with_channels(shape, 3)), core};
        return ftso_graph_add(w->graph, "concat", parts, 2, NULL, 0);
    }
    case 4: {
        ftso_attr_value attrs[] = {FTSO_I(shape.dim[1] / 2), FTSO_I(shape.dim[1])};
        return ftso_graph_add(w->graph, "slice", &core, 1, attrs, 2);
    }
    default:
        return core;
    }
}

void wrapping_results(wrapping *w, ftso_value core)
{
    ftso_value result = core;
    ftso_shape shape = ftso_graph_shape(w->graph, core);
    if (shape.rank == 4 && shape.batched) {
        result = behind(w, core);
        ftso_value other = wrapping_leaf(w, ftso_graph_shape(w->graph, result));
        int64_t sums = test_below(w->random, 4);
        if (sums & 1)
            ftso_graph_output(w->graph, "sum", node(w, "channel_sum", result, FTSO_NO_VALUE),
                              FTSO_NO_VALUE);
        if (sums & 2) {
            ftso_graph_output(w->graph, "squares", node(w, "channel_dot", core, core),
                              FTSO_NO_VALUE);
            ftso_graph_output(w->graph, "product", node(w, "channel_dot", result, other),
                              FTSO_NO_VALUE);
        }
        if (test_below(w->random, 3) == 0) ftso_graph_output(w->graph, "core", core, FTSO_NO_VALUE);
    }
    ftso_graph_output(w->graph, "result", result, FTSO_NO_VALUE);
}
