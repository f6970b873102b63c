/*
 * Initial weights by chance: a function of the seed and of each weight's place, and of nothing else.
 */
#include "search/search.h"

#include <math.h>

void ftso_weights_draw(const ftso_network *network, uint64_t seed, float *out)
{
    for (size_t k = 0; k < network->weight_count; k++) {
        const ftso_weight *w = &network->weight_table[k];
        int64_t count = ftso_shape_count(w->shape);
        double bound = w->fan_in > 0 ? 1 / sqrt((double)w->fan_in) : 0;
        ftso_random r = {{0}};
        for (int64_t e = 0; e < count; e++) {
            if (w->fan_in == 0) {
                out[w->offset + e] = (float)w->fill;
                continue;
            }
            if (e % 4 == 0) r = ftso_random_at(seed, FTSO_STREAM_WEIGHTS, k, (uint64_t)(e / 4));
            out[w->offset + e] = (float)((2 * ftso_random_uniform(r.word[e % 4]) - 1) * bound);
        }
    }
}
