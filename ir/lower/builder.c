/*
 * The builder: nodes with named attributes, weights as views into one flat state, failures that are the user's.
 *
 * In: calls of the lowering. Out: nodes of the graph, rows of the weight table.
 * Must hold: a node is only appended after its operator's shape rule has accepted it; the flat states are created
 * with room for anything and get their true size when the network is complete (stack.c).
 */
#include "lower_internal.h"

#include <string.h>

ftso_diag_entry *ftso_builder_fail(ftso_builder *builder, const char *code, ftso_span span,
                                   const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *message = ftso_vformat(builder->arena, fmt, args);
    va_end(args);
    builder->failed = true;
    ftso_diag_entry *entry = ftso_diag_error(builder->diag, code, span, "%s", message);
    if (builder->place) {
        entry->note_span = builder->place_span;
        entry->note = ftso_format(builder->arena, "in %s", builder->place);
    }
    return entry;
}

const char *ftso_builder_join(ftso_builder *builder, const char *part)
{
    if (!*builder->path) return ftso_strdup(builder->arena, part);
    return ftso_format(builder->arena, "%s.%s", builder->path, part);
}

ftso_shape ftso_builder_shape(const ftso_builder *builder, ftso_value value)
{
    return ftso_graph_shape(builder->graph, value);
}

/* False with a sentence where the value is larger than any program could hold. */
static bool fits(ftso_builder *builder, ftso_shape shape, ftso_text *why)
{
    builder->too_large = true;
    int64_t count = 1;
    for (int i = 0; i < shape.rank; i++)
        if (!ftso_i64_mul(count, shape.dim[i], &count) || count > FTSO_LOWER_MAX_ELEMENTS) {
            ftso_text_puts(why, "the value has too many elements");
            return false;
        }
    if (builder->graph->node_count < FTSO_LOWER_MAX_NODES) {
        builder->too_large = false;
        return true;
    }
    ftso_text_puts(why, "the network has too many operators");
    return false;
}

ftso_value ftso_builder_add(ftso_builder *builder, const char *op_name, const ftso_value *inputs,
                            size_t input_count, const ftso_named_attr *attrs, size_t attr_count,
                            ftso_text *why)
{
    const ftso_op *op = ftso_op_find(builder->graph->ops, op_name);
    FTSO_ASSERT(op);
    ftso_attr_value values[FTSO_MAX_ATTRS] = {{0}};
    for (int i = 0; i < op->attr_count; i++) values[i] = op->attrs[i].fallback;
    for (size_t i = 0; i < attr_count; i++) {
        int index = ftso_op_attr(op, attrs[i].name);
        FTSO_ASSERT(index >= 0);
        values[index] = attrs[i].value;
    }
    ftso_shape few[8], out, *shapes = few;
    if (input_count > FTSO_COUNT(few)) shapes = FTSO_ARRAY(builder->arena, ftso_shape, input_count);
    for (size_t i = 0; i < input_count; i++) {
        if (inputs[i] == FTSO_NO_VALUE) return FTSO_NO_VALUE;
        shapes[i] = ftso_graph_shape(builder->graph, inputs[i]);
    }
    if (!op->shape(shapes, input_count, values, &out, why) || !fits(builder, out, why))
        return FTSO_NO_VALUE;
    return ftso_graph_add(builder->graph, op_name, inputs, input_count, values,
                          (size_t)op->attr_count);
}

ftso_value ftso_builder_unary(ftso_builder *builder, const char *op_name, ftso_value input,
                              ftso_text *why)
{
    return ftso_builder_add(builder, op_name, &input, 1, NULL, 0, why);
}

ftso_value ftso_builder_binary(ftso_builder *builder, const char *op_name, ftso_value a,
                               ftso_value b, ftso_text *why)
{
    const ftso_value inputs[] = {a, b};
    return ftso_builder_add(builder, op_name, inputs, 2, NULL, 0, why);
}

ftso_value ftso_builder_view(ftso_builder *builder, ftso_value flat, int64_t offset,
                             ftso_shape shape, ftso_text *why)
{
    const ftso_named_attr attrs[] = {{"offset", FTSO_I(offset)},   {"rank", FTSO_I(shape.rank)},
                                     {"d0", FTSO_I(shape.dim[0])}, {"d1", FTSO_I(shape.dim[1])},
                                     {"d2", FTSO_I(shape.dim[2])}, {"d3", FTSO_I(shape.dim[3])}};
    return ftso_builder_add(builder, "view", &flat, 1, attrs, FTSO_COUNT(attrs), why);
}

/* The row of a new tensor at the end of a flat state; moves the end. */
static bool tensor(ftso_builder *builder, const char *suffix, ftso_shape shape, ftso_value flat,
                   int64_t *total, ftso_weight *out, ftso_text *why)
{
    int64_t end;
    if (!fits(builder, shape, why)) return false;
    if (!ftso_i64_add(*total, ftso_shape_count(shape), &end) || end > FTSO_LOWER_MAX_ELEMENTS) {
        builder->too_large = true;
        ftso_text_puts(why, "the network has too many weights");
        return false;
    }
    const char *module = builder->module.path;
    *out =
        (ftso_weight){.name = ftso_builder_join(builder, suffix), .shape = shape, .offset = *total};
    out->module = *module ? ftso_format(builder->arena, "%s.%s", module, suffix) : out->name;
    out->view = ftso_builder_view(builder, flat, *total, shape, why);
    *total = end;
    return out->view != FTSO_NO_VALUE;
}

ftso_value ftso_builder_weight(ftso_builder *builder, const char *suffix, ftso_shape shape,
                               int64_t fan_in, double fill, ftso_text *why)
{
    ftso_network *network = builder->network;
    ftso_weight row;
    if (!tensor(builder, suffix, shape, network->weights, &network->weight_total, &row, why))
        return FTSO_NO_VALUE;
    row.fan_in = fan_in;
    row.fill = fill;
    FTSO_PUSH(builder->arena, network->weight_table, network->weight_count,
              network->weight_capacity, row);
    return row.view;
}

ftso_value ftso_builder_running(ftso_builder *builder, const char *suffix, int64_t n, double fill,
                                ftso_text *why)
{
    ftso_network *network = builder->network;
    ftso_weight row;
    if (!tensor(builder, suffix, ftso_shape_vector(n), network->running, &network->running_total,
                &row, why))
        return FTSO_NO_VALUE;
    row.fill = fill;
    FTSO_PUSH(builder->arena, network->running_table, network->running_count,
              network->running_capacity, row);
    return row.view;
}
