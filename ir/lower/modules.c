/*
 * Where a tensor is among PyTorch's modules, by the structure of the expression that makes it.
 *
 * In: the place of an expression, and what is inside of what. Out: the second name of each weight and statistic, which
 * code written for DARTS gives it: "cells.3._ops.1.op.1.weight". Holds: no operator's name is looked at.
 *
 * A chain is an nn.Sequential, so a link is named by its number. A composite is a class: its chain is the attribute `op` of
 * it, unless branches stand in the chain; then nothing is sequential, and what computes is an attribute by its word, numbered
 * by its branch: conv_1, conv_2, bn. A composite that only calls another one is that other one. The operator that stands on an
 * edge is no class but a row of a table, which makes an object: its own chain is that object, without an attribute before it. The
 * last link of a head is its `classifier`, the links before it are `features`.
 */
#include "lower_internal.h"

#include <string.h>

static const char *join(ftso_builder *builder, const char *path, const char *part)
{
    return *path ? ftso_format(builder->arena, "%s.%s", path, part) : part;
}

static const char *numbered(ftso_builder *builder, const char *path, size_t number)
{
    return join(builder, path, ftso_format(builder->arena, "%zu", number));
}

/* A link that is there for the other mode only. */
static bool is_absent(const ftso_builder *builder, const ftso_opexpr *link)
{
    return link->kind == FTSO_OPEXPR_MODE && link->mode != builder->mode;
}

/* True where a word stands twice among `links` or one of them is no primitive; `except` is passed over. */
static bool repeats(ftso_opexpr *const *links, size_t count, const ftso_opexpr *except)
{
    for (size_t i = 0; i < count; i++) {
        if (links[i] == except) continue;
        if (links[i]->kind != FTSO_OPEXPR_PRIMITIVE) return true;
        for (size_t k = 0; k < i; k++)
            if (links[k] != except && strcmp(links[k]->name, links[i]->name) == 0) return true;
    }
    return false;
}

/* A chain with one set of branches, in which a word and a branch's number tell every primitive. */
static bool has_words(const ftso_opexpr *chain)
{
    const ftso_opexpr *branches = NULL;
    for (size_t i = 0; i < chain->child_count; i++) {
        if (chain->children[i]->kind != FTSO_OPEXPR_BRANCHES) continue;
        if (branches) return false;
        branches = chain->children[i];
    }
    if (!branches || repeats(chain->children, chain->child_count, branches)) return false;
    for (size_t i = 0; i < branches->child_count; i++) {
        ftso_opexpr *const *branch = &branches->children[i];
        bool is_chain = (*branch)->kind == FTSO_OPEXPR_CHAIN;
        if (repeats(is_chain ? (*branch)->children : branch, is_chain ? (*branch)->child_count : 1,
                    NULL))
            return false;
    }
    return true;
}

ftso_module ftso_module_composite(ftso_module at)
{
    if (at.form == FTSO_MODULE_PLACE) at.form = FTSO_MODULE_CLASS;
    return at;
}

ftso_module ftso_module_link(ftso_builder *builder, ftso_module at, const ftso_opexpr *chain,
                             size_t link)
{
    size_t number = 0, count = 0;
    for (size_t i = 0; i < chain->child_count; i++) {
        number += i < link && !is_absent(builder, chain->children[i]);
        count += !is_absent(builder, chain->children[i]);
    }
    if (count < 2 || at.form == FTSO_MODULE_WORDS) return at;
    if (at.form == FTSO_MODULE_CLASS && has_words(chain))
        return (ftso_module){FTSO_MODULE_WORDS, at.path, ""};
    if (at.form == FTSO_MODULE_HEAD && number + 1 == count) return at;
    const char *inner = at.form == FTSO_MODULE_CLASS  ? "op"
                        : at.form == FTSO_MODULE_HEAD ? "features"
                                                      : NULL;
    const char *path = inner ? join(builder, at.path, inner) : at.path;
    return (ftso_module){FTSO_MODULE_PLACE, numbered(builder, path, number), ""};
}

ftso_module ftso_module_branch(ftso_builder *builder, ftso_module at, size_t branch)
{
    if (at.form == FTSO_MODULE_WORDS)
        return (ftso_module){FTSO_MODULE_WORDS, at.path,
                             ftso_format(builder->arena, "_%zu", branch + 1)};
    return (ftso_module){FTSO_MODULE_PLACE, numbered(builder, at.path, branch), ""};
}

ftso_module ftso_module_primitive(ftso_builder *builder, ftso_module at, const char *word)
{
    if (at.form == FTSO_MODULE_HEAD) at.path = join(builder, at.path, "classifier");
    if (at.form == FTSO_MODULE_WORDS)
        at.path = ftso_format(builder->arena, "%s.%s%s", at.path, word, at.suffix);
    return at;
}
