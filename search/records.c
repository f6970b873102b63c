/*
 * The records of ir/ in the words of runtime/, which knows no graph.
 *
 * In: tables of a lowered network, a recipe's schedule. Out: the same as the training loop and a produced trainer have it.
 */
#include "search.h"

const ftso_parameter *ftso_parameters_of(ftso_arena *arena, const ftso_weight *table, size_t count)
{
    ftso_parameter *out = FTSO_ARRAY(arena, ftso_parameter, count);
    for (size_t k = 0; k < count; k++) {
        const ftso_weight *w = &table[k];
        out[k] = (ftso_parameter){.name = w->name,
                                  .module = w->module,
                                  .is_matrix = w->is_matrix,
                                  .rank = w->shape.rank,
                                  .offset = w->offset,
                                  .fan_in = w->fan_in,
                                  .fill = w->fill};
        for (int d = 0; d < w->shape.rank; d++) out[k].dim[d] = w->shape.dim[d];
    }
    return out;
}

ftso_rate ftso_rate_of(const ftso_lr *lr)
{
    static const ftso_rate_kind kinds[] = {[FTSO_LR_CONSTANT] = FTSO_RATE_CONSTANT,
                                           [FTSO_LR_COSINE] = FTSO_RATE_COSINE,
                                           [FTSO_LR_LINEAR] = FTSO_RATE_LINEAR,
                                           [FTSO_LR_EXPONENTIAL] = FTSO_RATE_EXPONENTIAL};
    return (ftso_rate){kinds[lr->kind], lr->first, lr->last, lr->warmup, lr->tail};
}

void ftso_weights_draw(const ftso_network *network, uint64_t seed, float *out)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_parameters_draw(ftso_parameters_of(&arena, network->weight_table, network->weight_count),
                         network->weight_count, seed, out);
    ftso_arena_deinit(&arena);
}
