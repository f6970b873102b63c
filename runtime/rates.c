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
