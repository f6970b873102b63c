/* Learning rates over epochs. In: the ends and the place. Out: the rate at the start of that epoch. */
#include "runtime.h"

#include <math.h>

double ftso_lr_cosine(double first, double last, int64_t epoch, int64_t epochs)
{
    if (epoch <= 0) return first;
    if (epochs <= 0 || epoch >= epochs) return last;
    return last +
           (first - last) * (1 + cos(3.14159265358979323846 * (double)epoch / (double)epochs)) / 2;
}

/* Linear with a slower tail: PC-DARTS's schedule for ImageNet. */
static double linear(const ftso_rate *rate, int64_t epoch, int64_t epochs)
{
    int64_t ramp = epochs - rate->tail;
    if (rate->tail > 0 && ramp > 0) {
        if (epoch >= epochs) return rate->last;
        if (epoch >= ramp)
            return rate->first * (double)(epochs - epoch) / (double)(ramp * rate->tail);
        epochs = ramp;
    }
    if (epoch >= epochs) return rate->last;
    return rate->first + (rate->last - rate->first) * (double)epoch / (double)epochs;
}

double ftso_rate_at(const ftso_rate *rate, int64_t epoch, int64_t epochs)
{
    if (epoch < rate->warmup) return rate->first * (double)(epoch + 1) / (double)rate->warmup;
    switch (rate->kind) {
    case FTSO_RATE_COSINE:
        return ftso_lr_cosine(rate->first, rate->last, epoch, epochs);
    case FTSO_RATE_LINEAR:
        return linear(rate, epoch, epochs);
    case FTSO_RATE_EXPONENTIAL:
        return rate->first * pow(rate->last, (double)epoch);
    case FTSO_RATE_CONSTANT:
        break;
    }
    return rate->first;
}
