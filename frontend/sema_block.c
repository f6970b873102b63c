/*
 * Statements inside blocks: their forms, their keys, inheritance.
 * In: the statements of a block and the table of keys that may stand there. Out: what is found under a key.
 */
#include "sema_internal.h"

enum { MAX_STATEMENTS = 10000 };

bool ftso_sema_check_form(ftso_sema *sema, const ftso_ast_item *item, const ftso_key *key)
{
    unsigned has = 0;
    if (item->name) has |= FTSO_FORM_NAME;
    if (item->params) has |= FTSO_FORM_PARAMS;
    if (item->base) has |= FTSO_FORM_BASE;
    if (item->value) has |= FTSO_FORM_VALUE;
    if (item->has_block) has |= FTSO_FORM_BLOCK;
    if (item->where) has |= FTSO_FORM_WHERE;
    if (item->literal) has |= FTSO_FORM_LITERAL;
    if ((has & key->needs) == key->needs && !(has & ~(key->needs | key->allows))) {
        /* An ERROR value was told by the parser. */
        return !(item->value && item->value->kind == FTSO_AST_ERROR);
    }
    static const struct {
        unsigned bit;
        const char *missing, *extra;
    } parts[] = {
        {FTSO_FORM_NAME, "needs a name", "takes no name"},
        {FTSO_FORM_PARAMS, "needs parameters in `( )`", "takes no parameters"},
        {FTSO_FORM_BASE, "needs a `:` and the name it belongs to", "takes no `: NAME`"},
        {FTSO_FORM_VALUE, "needs `=` and a value", "takes no `= VALUE`"},
        {FTSO_FORM_BLOCK, "needs a block `{ … }`", "takes no block"},
        {FTSO_FORM_WHERE, "needs `in NAME`", "takes no `in NAME`"},
        {FTSO_FORM_LITERAL, "needs a literal", "takes no literal there"},
    };
    const char *problem = "has another form";
    for (size_t i = FTSO_COUNT(parts); i-- > 0;) {
        if (has & ~(key->needs | key->allows) & parts[i].bit) problem = parts[i].extra;
    }
    for (size_t i = FTSO_COUNT(parts); i-- > 0;) {
        if (~has & key->needs & parts[i].bit) problem = parts[i].missing;
    }
    ftso_diag_error(sema->diag, "E0209", item->word_span, "`%s` %s", item->word, problem)->help =
        ftso_format(sema->arena, "write `%s`", key->usage);
    return false;
}

static const ftso_key *find_key(const ftso_key *keys, size_t count, const ftso_ast_item *item)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(keys[i].word, item->word)) return &keys[i];
    }
    return NULL;
}

static bool same_name(const ftso_ast_item *a, const ftso_ast_item *b)
{
    if (strcmp(a->word, b->word) != 0 || !a->name != !b->name) return false;
    return !a->name || !strcmp(a->name, b->name);
}

void ftso_sema_check_block(ftso_sema *sema, const ftso_ast_items *items, const char *what,
                           const ftso_key *keys, size_t key_count, bool open_words)
{
    if (items->count > MAX_STATEMENTS) {
        ftso_diag_error(sema->diag, "E0217", items->items[MAX_STATEMENTS]->word_span,
                        "%s has %zu statements, at most %d are read", what, items->count,
                        MAX_STATEMENTS)
            ->help = "shorten it";
        return;
    }
    const char **words = FTSO_ARRAY(sema->arena, const char *, key_count + 1);
    for (size_t i = 0; i < key_count; i++) words[i] = keys[i].word;
    for (size_t i = 0; i < items->count; i++) {
        ftso_ast_item *item = items->items[i];
        const ftso_key *key = find_key(keys, key_count, item);
        if (!key) {
            if (open_words && item->params && !item->name) continue;
            ftso_text text;
            ftso_text_init(&text);
            for (size_t k = 0; k < key_count; k++)
                ftso_text_printf(&text, "%s%s", k ? ", " : "", words[k]);
            const char *all =
                ftso_format(sema->arena, "what may stand here: %s", ftso_text_get(&text));
            ftso_text_deinit(&text);
            ftso_diag_error(sema->diag, "E0201", item->word_span, "`%s` means nothing in %s",
                            item->word, what)
                ->help = ftso_sema_nearest(sema, item->word, words, key_count, all);
            item->used = false;
            continue;
        }
        item->used = ftso_sema_check_form(sema, item, key);
        for (size_t k = 0; !key->repeats && k < i; k++) {
            if (!same_name(items->items[k], item)) continue;
            ftso_diag_entry *entry =
                ftso_diag_error(sema->diag, "E0206", item->word_span, "`%s%s%s` is given twice",
                                item->word, item->name ? " " : "", item->name ? item->name : "");
            entry->note_span = items->items[k]->word_span;
            entry->note = "it was given here first";
            entry->help = "take one of the two out";
            break;
        }
    }
}

const ftso_ast_item *ftso_block_find(const ftso_block *block, const char *word, const char *name)
{
    for (; block; block = block->base) {
        for (size_t i = 0; block->items && i < block->items->count; i++) {
            const ftso_ast_item *item = block->items->items[i];
            if (strcmp(item->word, word) != 0 ||
                (name && (!item->name || strcmp(item->name, name) != 0)))
                continue;
            return item->used ? item : NULL;
        }
    }
    return NULL;
}

const ftso_ast_item *ftso_block_get(ftso_sema *sema, const ftso_block *block, const char *word,
                                    const char *usage)
{
    const ftso_ast_item *item = ftso_block_find(block, word, NULL);
    if (item) return item;
    for (const ftso_block *b = block; b; b = b->base) {
        for (size_t i = 0; b->items && i < b->items->count; i++) {
            if (!strcmp(b->items->items[i]->word, word)) return NULL; /* there, but wrong: told */
        }
    }
    ftso_diag_error(sema->diag, "E0207", block->span, "%s lacks `%s`", block->what, word)->help =
        ftso_format(sema->arena, "add `%s`", usage);
    return NULL;
}

bool ftso_block_sub(ftso_sema *sema, const ftso_block *block, const char *word, const char *name,
                    ftso_block *out)
{
    ftso_block *first = NULL, *last = NULL;
    for (; block; block = block->base) {
        for (size_t i = 0; block->items && i < block->items->count; i++) {
            const ftso_ast_item *item = block->items->items[i];
            if (strcmp(item->word, word) != 0 ||
                (name && (!item->name || strcmp(item->name, name) != 0)))
                continue;
            if (!item->used || !item->has_block) continue;
            ftso_block *sub = FTSO_NEW(sema->arena, ftso_block);
            sub->items = &item->block;
            sub->span = item->name ? item->name_span : item->word_span;
            sub->what =
                ftso_format(sema->arena, "`%s%s%s`", word, name ? " " : "", name ? name : "");
            if (last) last->base = sub;
            if (!first) first = sub;
            last = sub;
        }
    }
    if (first) *out = *first;
    return first != NULL;
}
