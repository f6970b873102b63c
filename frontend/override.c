/*
 * Values from the command line. In: "train.c10_600.epochs=5". Out: the syntax tree with that value in place, so that it is
 * checked like any other. A path names statements from the outside in, by their word, their name, or both.
 */
#include "ast.h"

#include <string.h>

enum { MAX_PARTS = 8 };

typedef struct override {
    ftso_ast *ast;
    ftso_diag *diag;
    uint32_t source;
    const char *text;
    const char *parts[MAX_PARTS];
    ftso_span spans[MAX_PARTS];
    size_t part_count;
} override;

static bool split_path(override *o, size_t length)
{
    size_t begin = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && o->text[i] != '.') continue;
        ftso_span span = {o->source, (uint32_t)begin, (uint32_t)i};
        if (i == begin || o->part_count == MAX_PARTS) {
            ftso_diag_error(o->diag, "E0111", (ftso_span){o->source, 0, (uint32_t)length},
                            "the name before `=` has %s",
                            i == begin ? "an empty part" : "too many parts")
                ->help = "write `--set train.NAME.epochs=5`";
            return false;
        }
        o->parts[o->part_count] = ftso_strndup(o->ast->arena, o->text + begin, i - begin);
        o->spans[o->part_count++] = span;
        begin = i + 1;
    }
    return true;
}

/* How many parts from `at` on name this statement: 0 where they do not. */
static size_t matches(const override *o, size_t at, const ftso_ast_item *item)
{
    const char *part = o->parts[at], *next = at + 1 < o->part_count ? o->parts[at + 1] : NULL;
    if (!item->name) return !strcmp(part, item->word);
    if (!strcmp(part, item->word) && next && !strcmp(next, item->name)) return 2;
    return !strcmp(part, item->name);
}

/* The names that would fit here. */
static const char *suggestion(const override *o, const ftso_ast_items *const *lists,
                              size_t list_count, const char *part)
{
    size_t count = 0;
    for (size_t i = 0; i < list_count; i++) count += 2 * lists[i]->count;
    const char **names = FTSO_ARRAY(o->ast->arena, const char *, count);
    count = 0;
    for (size_t i = 0; i < list_count; i++) {
        for (size_t k = 0; k < lists[i]->count; k++) {
            const ftso_ast_item *item = lists[i]->items[k];
            names[count++] = item->word;
            if (item->name) names[count++] = item->name;
        }
    }
    const char *nearest = ftso_nearest_name(part, names, count);
    return nearest ? ftso_format(o->ast->arena, "did you mean `%s`?", nearest)
                   : "name the declaration, then the key: `--set train.NAME.epochs=5`";
}

/* The statement that the parts from `at` on name among these; `*out_used` parts were read. */
static ftso_ast_item *find(override *o, size_t at, const ftso_ast_items *const *lists,
                           size_t list_count, size_t *out_used)
{
    ftso_ast_item *found = NULL;
    for (size_t i = 0; i < list_count; i++) {
        for (size_t k = 0; k < lists[i]->count; k++) {
            size_t used = matches(o, at, lists[i]->items[k]);
            if (!used || (found && used < *out_used)) continue;
            if (found && used == *out_used) {
                ftso_diag_error(o->diag, "E0113", o->spans[at],
                                "`%s` can mean several declarations", o->parts[at])
                    ->help = ftso_format(o->ast->arena, "write `%s.%s` or `%s.%s`", found->word,
                                         o->parts[at], lists[i]->items[k]->word, o->parts[at]);
                return NULL;
            }
            found = lists[i]->items[k];
            *out_used = used;
        }
    }
    return found;
}

static void assign(override *o, ftso_ast_node *value)
{
    const ftso_ast_items **lists =
        FTSO_ARRAY(o->ast->arena, const ftso_ast_items *, o->ast->file_count);
    size_t list_count = 0;
    for (; list_count < o->ast->file_count; list_count++)
        lists[list_count] = &o->ast->files[list_count]->items;
    ftso_ast_item *inside = NULL;
    for (size_t at = 0; at < o->part_count;) {
        size_t used = 0, errors = o->diag->error_count;
        ftso_ast_item *item = find(o, at, lists, list_count, &used);
        if (o->diag->error_count != errors) return;
        bool last = at + (item ? used : 1) == o->part_count;
        if (!item && last && inside) {
            /* A key that the file leaves to its default. */
            ftso_ast_item *fresh = FTSO_NEW(o->ast->arena, ftso_ast_item);
            *fresh = (ftso_ast_item){.span = o->spans[at],
                                     .word = o->parts[at],
                                     .word_span = o->spans[at],
                                     .value = value};
            FTSO_PUSH(o->ast->arena, inside->block.items, inside->block.count,
                      inside->block.capacity, fresh);
            return;
        }
        if (!item || (last && !item->value) || (!last && !item->has_block)) {
            ftso_diag_error(o->diag, "E0112", o->spans[at],
                            item ? "`%s` has no value to set" : "there is no `%s` to set",
                            o->parts[at])
                ->help =
                item ? "name a key inside it" : suggestion(o, lists, list_count, o->parts[at]);
            return;
        }
        if (last) {
            item->value = value;
            return;
        }
        inside = item;
        lists[0] = &item->block;
        list_count = 1;
        at += used;
    }
}

void ftso_ast_override(ftso_ast *ast, ftso_diag *diag, const char *assignment)
{
    override o = {.ast = ast, .diag = diag, .text = assignment};
    size_t length = strcspn(assignment, "=");
    o.source = ftso_diag_add_source(diag, "--set", assignment, strlen(assignment));
    if (!assignment[length]) {
        ftso_diag_error(diag, "E0111", (ftso_span){o.source, 0, (uint32_t)length},
                        "`=` and a value are missing")
            ->help = "write `--set train.NAME.epochs=5`";
        return;
    }
    if (!split_path(&o, length)) return;
    const char *text = assignment + length + 1;
    ftso_ast_node *value = ftso_parse_value(
        ast->arena, diag, ftso_format(ast->arena, "--set %.*s", (int)length, assignment), text,
        strlen(text));
    if (value) assign(&o, value);
}
