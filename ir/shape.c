/*
 * Shapes: constructors, comparison, count, text.
 * Holds: dimensions past the rank are 0, so that shapes compare field by field.
 */
#include "ir/ir.h"

ftso_shape ftso_shape_scalar(void)
{
    return (ftso_shape){0};
}

ftso_shape ftso_shape_vector(int64_t n)
{
    return (ftso_shape){.rank = 1, .dim = {n}};
}

ftso_shape ftso_shape_image(int64_t n, int64_t c, int64_t h, int64_t w)
{
    return (ftso_shape){.rank = 4, .batched = true, .dim = {n, c, h, w}};
}

ftso_shape ftso_shape_weight(int64_t o, int64_t i, int64_t kh, int64_t kw)
{
    return (ftso_shape){.rank = 4, .dim = {o, i, kh, kw}};
}

bool ftso_shape_equal(ftso_shape a, ftso_shape b)
{
    if (a.rank != b.rank || a.batched != b.batched) return false;
    for (int d = 0; d < a.rank; d++)
        if (a.dim[d] != b.dim[d]) return false;
    return true;
}

int64_t ftso_shape_count(ftso_shape shape)
{
    int64_t count = 1;
    for (int d = 0; d < shape.rank; d++) count *= shape.dim[d];
    return count;
}

void ftso_shape_print(ftso_shape shape, ftso_text *out)
{
    ftso_text_puts(out, "[");
    for (int d = 0; d < shape.rank; d++)
        ftso_text_printf(out, "%s%s%lld", d ? ", " : "", d == 0 && shape.batched ? "N=" : "",
                         (long long)shape.dim[d]);
    ftso_text_puts(out, "]");
}
