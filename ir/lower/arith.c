/*
 * Arithmetic of the language: exact fractions as long as 64 bits hold them, doubles beyond.
 *
 * In: an expression and a way to look names up. Out: its value, or a sentence on what is wrong.
 * Must hold: 1/3 of 6 layers is 2 exactly; no input overflows silently.
 */
#include "ir/ir.h"

#include <math.h>

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

static ftso_number inexact(double value)
{
    return (ftso_number){0, 0, value};
}

static ftso_number fraction(int64_t num, int64_t den)
{
    if (num == INT64_MIN || den == INT64_MIN) return inexact((double)num / (double)den);
    if (den < 0) num = -num, den = -den;
    int64_t common = gcd(num, den);
    if (common > 1) num /= common, den /= common;
    return (ftso_number){num, den, (double)num / (double)den};
}

ftso_number ftso_number_whole(int64_t value)
{
    return (ftso_number){value, 1, (double)value};
}

static ftso_number negate(ftso_number a)
{
    return a.den ? fraction(-a.num, a.den) : inexact(-a.value);
}

static ftso_number add(ftso_number a, ftso_number b)
{
    int64_t left, right, num, den;
    if (a.den && b.den && ftso_i64_mul(a.num, b.den, &left) && ftso_i64_mul(b.num, a.den, &right) &&
        ftso_i64_add(left, right, &num) && ftso_i64_mul(a.den, b.den, &den))
        return fraction(num, den);
    return inexact(a.value + b.value);
}

static ftso_number multiply(ftso_number a, ftso_number b)
{
    int64_t num, den;
    if (a.den && b.den && ftso_i64_mul(a.num, b.num, &num) && ftso_i64_mul(a.den, b.den, &den))
        return fraction(num, den);
    return inexact(a.value * b.value);
}

static ftso_number divide(ftso_number a, ftso_number b)
{
    int64_t num, den;
    if (a.den && b.den && ftso_i64_mul(a.num, b.den, &num) && ftso_i64_mul(a.den, b.num, &den))
        return fraction(num, den);
    return inexact(a.value / b.value);
}

/* -1, 0, 1 as a is below, at, above b; exactly where both are fractions. */
static int compare(ftso_number a, ftso_number b)
{
    int64_t left, right;
    if (a.den && b.den && ftso_i64_mul(a.num, b.den, &left) && ftso_i64_mul(b.num, a.den, &right))
        return (left > right) - (left < right);
    return (a.value > b.value) - (a.value < b.value);
}

static ftso_number truth(bool holds)
{
    return ftso_number_whole(holds);
}

static bool is_true(ftso_number a)
{
    return a.value != 0;
}

static bool binary(const ftso_arith *arith, ftso_number a, ftso_number b, ftso_number *out)
{
    switch (arith->kind) {
    case FTSO_ARITH_ADD:
        *out = add(a, b);
        return true;
    case FTSO_ARITH_SUB:
        *out = add(a, negate(b));
        return true;
    case FTSO_ARITH_MUL:
        *out = multiply(a, b);
        return true;
    case FTSO_ARITH_DIV:
        if (b.value == 0) return false;
        *out = divide(a, b);
        return true;
    case FTSO_ARITH_EQ:
        *out = truth(compare(a, b) == 0);
        return true;
    case FTSO_ARITH_NE:
        *out = truth(compare(a, b) != 0);
        return true;
    case FTSO_ARITH_LT:
        *out = truth(compare(a, b) < 0);
        return true;
    case FTSO_ARITH_LE:
        *out = truth(compare(a, b) <= 0);
        return true;
    case FTSO_ARITH_GT:
        *out = truth(compare(a, b) > 0);
        return true;
    case FTSO_ARITH_GE:
        *out = truth(compare(a, b) >= 0);
        return true;
    case FTSO_ARITH_AND:
        *out = truth(is_true(a) && is_true(b));
        return true;
    case FTSO_ARITH_OR:
        *out = truth(is_true(a) || is_true(b));
        return true;
    default:
        FTSO_ASSERT(!"a binary operator");
        return false;
    }
}

bool ftso_arith_eval(const ftso_arith *arith, ftso_name_lookup lookup, const void *user,
                     ftso_number *out, const ftso_arith **out_culprit, ftso_text *why)
{
    ftso_number a, b;
    *out_culprit = arith;
    switch (arith->kind) {
    case FTSO_ARITH_NUMBER:
        *out = arith->den ? fraction(arith->num, arith->den) : inexact(arith->value);
        return true;
    case FTSO_ARITH_NAME:
        if (lookup(user, arith->name, out)) return true;
        ftso_text_printf(why, "'%s' has no value here", arith->name);
        return false;
    case FTSO_ARITH_NEG:
    case FTSO_ARITH_NOT:
        if (!ftso_arith_eval(arith->a, lookup, user, &a, out_culprit, why)) return false;
        *out = arith->kind == FTSO_ARITH_NEG ? negate(a) : truth(!is_true(a));
        return true;
    case FTSO_ARITH_SELECT:
        if (!ftso_arith_eval(arith->a, lookup, user, &a, out_culprit, why)) return false;
        return ftso_arith_eval(is_true(a) ? arith->b : arith->c, lookup, user, out, out_culprit,
                               why);
    default:
        break;
    }
    if (!ftso_arith_eval(arith->a, lookup, user, &a, out_culprit, why)) return false;
    /* The right side of a decided `and`, `or` is not looked at: K == 1 or C / (K - 1) > 2 is fine. */
    if ((arith->kind == FTSO_ARITH_AND && !is_true(a)) ||
        (arith->kind == FTSO_ARITH_OR && is_true(a))) {
        *out = truth(is_true(a));
        return true;
    }
    if (!ftso_arith_eval(arith->b, lookup, user, &b, out_culprit, why)) return false;
    if (!binary(arith, a, b, out)) {
        *out_culprit = arith;
        ftso_text_puts(why, "division by zero");
        return false;
    }
    if (!isfinite(out->value)) {
        *out_culprit = arith;
        ftso_text_puts(why, "the value is too large");
        return false;
    }
    return true;
}
