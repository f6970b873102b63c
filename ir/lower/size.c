/*
 * The size of a space: exact numbers of topologies and of genotypes, however long they are.
 *
 * In: a space. Out: decimal digits.
 * Must hold: no rounding (two DARTS cells already hold 10^18 genotypes).
 */
#include "ir/ir.h"

#include <string.h>

/* A natural number, nine decimal digits a limb, lowest first. */
typedef struct natural {
    ftso_arena *arena;
    uint32_t *limbs;
    size_t count, capacity;
} natural;

enum { LIMB = 1000000000 };

static natural natural_one(ftso_arena *arena)
{
    natural n = {.arena = arena};
    FTSO_PUSH(arena, n.limbs, n.count, n.capacity, 1);
    return n;
}

static void multiply(natural *n, uint32_t factor)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < n->count; i++) {
        carry += (uint64_t)n->limbs[i] * factor;
        n->limbs[i] = (uint32_t)(carry % LIMB);
        carry /= LIMB;
    }
    for (; carry; carry /= LIMB)
        FTSO_PUSH(n->arena, n->limbs, n->count, n->capacity, (uint32_t)(carry % LIMB));
    while (n->count > 1 && n->limbs[n->count - 1] == 0) n->count--;
}

static void divide(natural *n, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = n->count; i-- > 0;) {
        rest = rest * LIMB + n->limbs[i];
        n->limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (n->count > 1 && n->limbs[n->count - 1] == 0) n->count--;
}

static const char *digits(const natural *n)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%u", (unsigned)n->limbs[n->count - 1]);
    for (size_t i = n->count - 1; i-- > 0;) ftso_text_printf(&text, "%09u", (unsigned)n->limbs[i]);
    const char *copy = ftso_strdup(n->arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return copy;
}

/* n *= available over chosen, step by step so that every division is exact. */
static void multiply_binomial(natural *n, uint32_t available, uint32_t chosen)
{
    for (uint32_t i = 1; i <= chosen; i++) {
        multiply(n, available - chosen + i);
        divide(n, i);
    }
}

static bool expression_is_zero(const ftso_opexpr *expr, int depth)
{
    if (depth > 64) return false;
    switch (expr->kind) {
    case FTSO_OPEXPR_PRIMITIVE:
        return !strcmp(expr->name, "zero");
    case FTSO_OPEXPR_COMPOSITE:
        return expression_is_zero(expr->composite->body, depth + 1);
    case FTSO_OPEXPR_CHAIN:
        return expr->child_count == 1 && expression_is_zero(expr->children[0], depth + 1);
    default:
        return false;
    }
}

bool ftso_operator_is_zero(const ftso_operator *op)
{
    return expression_is_zero(op->body, 0);
}

static void multiply_cell(const ftso_space *space, const ftso_cell_decl *decl,
                          ftso_space_size *size, natural *topologies, natural *genotypes)
{
    size_t row = (size_t)(decl->input_count + decl->node_count - 1);
    uint32_t all = space->ops ? (uint32_t)space->ops->operator_count : 1, solid = 0;
    for (uint32_t i = 0; space->ops && i < all; i++)
        solid += !ftso_operator_is_zero(space->ops->operators[i]);
    for (int j = 0; j < decl->node_count; j++) {
        uint32_t present = 0, kept;
        for (int from = 0; from < decl->input_count + j; from++)
            present += decl->edge_present[(size_t)j * row + (size_t)from];
        size->edges += present;
        kept = decl->keep && (uint32_t)decl->keep < present ? (uint32_t)decl->keep : present;
        multiply_binomial(topologies, present, kept);
        multiply_binomial(genotypes, present, kept);
        for (uint32_t i = 0; i < kept; i++) multiply(genotypes, decl->keep ? solid : all);
    }
}

ftso_space_size ftso_space_measure(ftso_arena *arena, const ftso_space *space)
{
    ftso_space_size size = {0};
    natural topologies = natural_one(arena), genotypes = natural_one(arena);
    for (size_t i = 0; i < space->cell_count; i++)
        if (!space->cells[i]->body)
            multiply_cell(space, space->cells[i], &size, &topologies, &genotypes);
    size.topologies = digits(&topologies);
    size.genotypes = digits(&genotypes);
    return size;
}
