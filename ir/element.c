/*
 * Elements: what an image's numbers are in memory, by name, size and rounding.
 * bf16 is the upper half of a float32: eight bits of exponent, seven of mantissa.
 */
#include "ir/ir.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"fp32", "bf16"};

const char *const *ftso_element_names(size_t *out_count)
{
    *out_count = FTSO_COUNT(names);
    return names;
}

const char *ftso_element_name(ftso_element element)
{
    return names[element];
}

int64_t ftso_element_bytes(ftso_element element)
{
    return element == FTSO_ELEMENT_BF16 ? 2 : 4;
}

/* Half of the last bit that stays, less one where that bit is even; what is not a number stays none. */
static float to_bf16(float number)
{
    uint32_t bits;
    if (isnan(number)) return number;
    memcpy(&bits, &number, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
    memcpy(&number, &bits, sizeof number);
    return number;
}

double ftso_element_round(ftso_element element, double number)
{
    float narrow = (float)number;
    return (double)(element == FTSO_ELEMENT_BF16 ? to_bf16(narrow) : narrow);
}
