/*
 * Passes: the one list, in the order they run, and the runner.
 * In: a verified graph. Out: a graph that regions can be formed from. Holds: the verifier passes after every row.
 */
#include "ir/passes/passes_internal.h"

#include <string.h>

static const ftso_pass rows[] = {
    {.name = "simplify",
     .doc = "merges equal nodes, drops dead ones, folds constants and identities",
     .makes = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_simplify},
    {.name = "split-bn",
     .doc = "batch norm becomes statistics, one scale and one shift per channel",
     .makes = FTSO_IS_SPLIT,
     .breaks = FTSO_IS_CANONICAL,
     .run = ftso_pass_split_bn},
    {.name = "fold-shift",
     .doc = "shifted images become paddings of the convolutions that read them",
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_fold_shift},
    {.name = "linear",
     .doc = "sums, scalings and shuffles become coefficients on their sources, dots scalar algebra",
     .needs = FTSO_IS_SPLIT,
     .makes = FTSO_IS_LINEAR_FOLDED,
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_linear},
    {.name = "concat",
     .doc = "slices and reductions reach through to the parts of concatenations",
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_concat},
    {.name = "merge",
     .doc = "contractions that only add up, or only read the same image, become one",
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_merge},
    {.name = "shuffle-dot",
     .doc = "inner products with shuffled images shuffle the other side, which is shuffled anyway",
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_shuffle_dot},
    {.name = "shuffle-sum",
     .doc = "terms of a sum that are shuffled alike are added up first, and shuffled once",
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_shuffle_sum},
    {.name = "global-pool",
     .doc = "global means before linear arithmetic, and gradients of them as one pixel",
     .breaks = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_global_pool},
    {.name = "resimplify",
     .doc = "simplify again, over what the others left",
     .makes = FTSO_IS_CANONICAL,
     .optional = true,
     .run = ftso_pass_simplify},
    {.name = "place",
     .doc = "copies what cannot be written straight into its pack or state",
     .needs = FTSO_IS_SPLIT,
     .breaks = FTSO_IS_CANONICAL,
     .run = ftso_pass_place},
};

const ftso_pass_table *ftso_passes(void)
{
    static const ftso_pass_table table = {rows, FTSO_COUNT(rows)};
    return &table;
}

/* Whether `disabled` names the pass. */
static bool is_disabled(const ftso_pass *pass, const char *const *disabled, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(disabled[i], pass->name) == 0) return true;
    return false;
}

/* Every name is that of an optional pass. */
static ftso_status check_names(const char *const *disabled, size_t count)
{
    const char *names[FTSO_COUNT(rows)];
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) names[i] = rows[i].name;
    for (size_t i = 0; i < count; i++) {
        size_t row = 0;
        while (row < FTSO_COUNT(rows) && strcmp(rows[row].name, disabled[i]) != 0) row++;
        if (row < FTSO_COUNT(rows) && rows[row].optional) continue;
        if (row < FTSO_COUNT(rows))
            return ftso_error(FTSO_ERROR_USAGE, "the pass \"%s\" cannot be switched off",
                              disabled[i]);
        const char *near = ftso_nearest_name(disabled[i], names, FTSO_COUNT(rows));
        return ftso_error(FTSO_ERROR_USAGE, "there is no pass \"%s\"%s%s%s", disabled[i],
                          near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_passes_run(ftso_arena *arena, const ftso_graph *in, const char *const *disabled,
                            size_t disabled_count, ftso_pass_watch watch, void *user,
                            ftso_graph **out_graph)
{
    FTSO_TRY(check_names(disabled, disabled_count));
    const ftso_graph *current = in;
    unsigned known = 0;
    *out_graph = NULL;
    for (size_t i = 0; i < FTSO_COUNT(rows); i++) {
        const ftso_pass *pass = &rows[i];
        if (is_disabled(pass, disabled, disabled_count)) continue;
        FTSO_ASSERT((known & pass->needs) == pass->needs);
        ftso_graph *next = FTSO_NEW(arena, ftso_graph);
        ftso_graph_init(next, arena, in->ops);
        next->storage = in->storage;
        double start_s = ftso_clock_s();
        FTSO_TRY(ftso_annotate(pass->run(current, next), "pass %s", pass->name));
        double seconds = ftso_clock_s() - start_s;
        FTSO_TRY(ftso_annotate(ftso_graph_verify(next), "after pass %s", pass->name));
        known = (known & ~pass->breaks) | pass->makes;
        *out_graph = next;
        current = next;
        if (watch && !watch(user, pass, next, seconds)) break;
    }
    return FTSO_STATUS_OK;
}
