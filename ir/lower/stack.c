/*
 * The stack: which cell stands at which place, and how wide it is there.
 *
 * In: a stack as written, overrides of its length and base width. Out: a flat list of places.
 * Must hold: a counted stack reduces at floor(layers * num / den), each place once (as the DARTS code does), and widens
 * there; all products are checked.
 */
#include "lower_internal.h"

static bool reduces_at(const ftso_stack *stack, int64_t layers, int64_t place)
{
    for (size_t i = 0; i < stack->reduce_count; i++) {
        int64_t product;
        if (stack->reduce_den[i] > 0 && ftso_i64_mul(layers, stack->reduce_num[i], &product) &&
            product / stack->reduce_den[i] == place)
            return true;
    }
    return false;
}

static ftso_place_in_stack *counted(ftso_builder *builder, const ftso_stack *stack, int64_t layers,
                                    int64_t channels, int64_t *out_count)
{
    const ftso_space *space = builder->space;
    if (!stack->normal || (stack->reduce_count && !stack->reduce)) {
        ftso_builder_fail(builder, "E0506", space->span,
                          "the stack of '%s' names no cell to repeat", space->name);
        return NULL;
    }
    ftso_place_in_stack *places = FTSO_ARRAY(builder->arena, ftso_place_in_stack, (size_t)layers);
    for (int64_t i = 0; i < layers; i++) {
        bool reduce = reduces_at(stack, layers, i);
        if (reduce && !ftso_i64_mul(channels, stack->widen ? stack->widen : 1, &channels)) {
            ftso_builder_fail(builder, "E0508", space->span, "the stack of '%s' grows too wide",
                              space->name);
            return NULL;
        }
        const ftso_cell_decl *cell = reduce ? stack->reduce : stack->normal;
        places[i] = (ftso_place_in_stack){cell, channels, cell->span};
    }
    *out_count = layers;
    return places;
}

ftso_place_in_stack *ftso_builder_stack(ftso_builder *builder, const ftso_stack *stack,
                                        int64_t *out_count)
{
    const ftso_space *space = builder->space;
    int64_t layers = builder->options->layers, channels = builder->options->channels;
    if (!channels) channels = stack->channels;
    if (channels < 1) {
        ftso_builder_fail(builder, "E0506", space->span, "the stack of '%s' has no channels",
                          space->name);
        return NULL;
    }
    if (!stack->order) {
        if (!layers) layers = stack->layers;
        if (layers < 1 || layers > FTSO_LOWER_MAX_LAYERS) {
            ftso_builder_fail(builder, "E0506", space->span,
                              "the stack of '%s' has %lld layers; it can have 1 to %d", space->name,
                              (long long)layers, (int)FTSO_LOWER_MAX_LAYERS);
            return NULL;
        }
        return counted(builder, stack, layers, channels, out_count);
    }
    if (layers) {
        ftso_builder_fail(
            builder, "E0506", space->span,
            "the stack of '%s' lists its cells, so a number of layers cannot be given",
            space->name);
        return NULL;
    }
    if (stack->order_count == 0 || stack->order_count > FTSO_LOWER_MAX_LAYERS) {
        ftso_builder_fail(builder, "E0506", space->span,
                          "the stack of '%s' lists %zu cells; it can have 1 to %d", space->name,
                          stack->order_count, (int)FTSO_LOWER_MAX_LAYERS);
        return NULL;
    }
    ftso_place_in_stack *places =
        FTSO_ARRAY(builder->arena, ftso_place_in_stack, stack->order_count);
    for (size_t i = 0; i < stack->order_count; i++) {
        const ftso_stack_item *item = &stack->order[i];
        places[i] = (ftso_place_in_stack){item->cell, 0, item->span};
        if (!ftso_i64_mul(channels, item->widen ? item->widen : 1, &places[i].channels)) {
            ftso_builder_fail(builder, "E0508", item->span, "the stack of '%s' grows too wide",
                              space->name);
            return NULL;
        }
    }
    *out_count = (int64_t)stack->order_count;
    return places;
}
