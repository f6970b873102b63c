/*
 * Resolving and checking. In: the syntax tree. Out: the records of ir/space.h, or diagnostics.
 * Declarations may stand in any order: names are collected first, then each symbol is resolved when it is first needed.
 * Start reading at ftso_check.
 */
#include "sema_internal.h"

/* The declarations there are: word, form, and what resolves them. A new kind is one row here. */
typedef struct declaration {
    ftso_key key;
    ftso_symbol_kind kind;
    void (*resolve)(ftso_sema *sema, ftso_symbol *symbol);
} declaration;

static const declaration declarations[] = {
    {{"let", FTSO_FORM_NAME | FTSO_FORM_VALUE, 0, true, "let NAME = VALUE;"},
     FTSO_SYMBOL_LET,
     ftso_sema_let},
    {{"op", FTSO_FORM_NAME | FTSO_FORM_VALUE, FTSO_FORM_PARAMS, true, "op NAME(C, s) = A -> B;"},
     FTSO_SYMBOL_OP,
     ftso_sema_op},
    {{"opset", FTSO_FORM_NAME | FTSO_FORM_VALUE, 0, true, "opset NAME = { A, B };"},
     FTSO_SYMBOL_OPSET,
     ftso_sema_opset},
    {{"space", FTSO_FORM_NAME | FTSO_FORM_BLOCK, FTSO_FORM_BASE, true, "space NAME { … }"},
     FTSO_SYMBOL_SPACE,
     ftso_sema_space},
    {{"genotype", FTSO_FORM_NAME | FTSO_FORM_VALUE | FTSO_FORM_BASE, 0, true,
      "genotype NAME : SPACE = Genotype(…);"},
     FTSO_SYMBOL_GENOTYPE,
     ftso_sema_genotype},
    {{"dataset", FTSO_FORM_NAME | FTSO_FORM_BLOCK, 0, true, "dataset NAME { … }"},
     FTSO_SYMBOL_DATASET,
     ftso_sema_dataset},
    {{"search", FTSO_FORM_NAME | FTSO_FORM_BLOCK, 0, true, "search NAME { … }"},
     FTSO_SYMBOL_SEARCH,
     ftso_sema_search},
    {{"train", FTSO_FORM_NAME | FTSO_FORM_BLOCK, 0, true, "train NAME { … }"},
     FTSO_SYMBOL_TRAIN,
     ftso_sema_train},
};

static const declaration *find_declaration(const char *word)
{
    for (size_t i = 0; i < FTSO_COUNT(declarations); i++) {
        if (!strcmp(declarations[i].key.word, word)) return &declarations[i];
    }
    return NULL;
}

const char *ftso_symbol_kind_name(ftso_symbol_kind kind)
{
    static const char *const names[FTSO_SYMBOL_KINDS] = {"constant", "operator", "opset",  "space",
                                                         "genotype", "dataset",  "search", "train"};
    return names[kind];
}

/* ---------------------------------------------------------------- symbols */

static size_t slot(const ftso_sema *sema, ftso_symbol_kind kind, const char *name)
{
    uint64_t hash = ftso_hash(FTSO_HASH_SEED + (uint64_t)kind, name, strlen(name));
    size_t at = (size_t)hash % sema->table_size;
    while (sema->table[at] &&
           (sema->table[at]->kind != kind || strcmp(sema->table[at]->name, name) != 0)) {
        at = (at + 1) % sema->table_size;
    }
    return at;
}

ftso_symbol *ftso_sema_find(const ftso_sema *sema, ftso_symbol_kind kind, const char *name)
{
    return sema->table[slot(sema, kind, name)];
}

bool ftso_sema_insert(ftso_sema *sema, ftso_symbol *symbol)
{
    size_t at = slot(sema, symbol->kind, symbol->name);
    if (sema->table[at]) return false;
    sema->table[at] = symbol;
    FTSO_PUSH(sema->arena, sema->symbols, sema->symbol_count, sema->symbol_capacity, symbol);
    return true;
}

const char *ftso_sema_nearest(ftso_sema *sema, const char *name, const char *const *names,
                              size_t count, const char *otherwise)
{
    const char *nearest = ftso_sema_is_flooded(sema) ? NULL : ftso_nearest_name(name, names, count);
    return nearest ? ftso_format(sema->arena, "did you mean `%s`?", nearest) : otherwise;
}

bool ftso_sema_is_flooded(const ftso_sema *sema)
{
    return sema->diag->error_count > 2 * FTSO_DIAG_MAX_ERRORS;
}

bool ftso_sema_first_time(ftso_sema *sema, const char *name)
{
    if (ftso_sema_is_flooded(sema)) return true;
    for (size_t i = 0; i < sema->unknown_count; i++)
        if (!strcmp(sema->unknown[i], name)) return false;
    FTSO_PUSH(sema->arena, sema->unknown, sema->unknown_count, sema->unknown_capacity, name);
    return true;
}

ftso_symbol *ftso_sema_refer(ftso_sema *sema, ftso_symbol_kind kind, const char *name,
                             ftso_span span)
{
    ftso_symbol *symbol = ftso_sema_find(sema, kind, name);
    if (symbol) {
        symbol->used = true;
        ftso_sema_resolve(sema, symbol);
        return symbol;
    }
    const char **names = FTSO_ARRAY(sema->arena, const char *,
                                    ftso_sema_is_flooded(sema) ? 1 : sema->symbol_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < sema->symbol_count && !ftso_sema_is_flooded(sema); i++) {
        if (sema->symbols[i]->kind == kind) names[count++] = sema->symbols[i]->name;
    }
    if (!ftso_sema_first_time(sema, name)) return NULL;
    const char *kind_name = ftso_symbol_kind_name(kind);
    ftso_diag_entry *entry =
        ftso_diag_error(sema->diag, "E0205", span, "there is no %s `%s`", kind_name, name);
    entry->help = ftso_sema_nearest(sema, name, names, count,
                                    "declare it, or include the file that declares it");
    if (kind == FTSO_SYMBOL_OPSET && ftso_sema_find(sema, FTSO_SYMBOL_OP, name))
        entry->help = ftso_format(sema->arena, "`%s` is an operator; a set of it alone is `{ %s }`",
                                  name, name);
    return NULL;
}

void ftso_sema_resolve(ftso_sema *sema, ftso_symbol *symbol)
{
    if (symbol->state == FTSO_SYMBOL_DONE) return;
    if (symbol->state == FTSO_SYMBOL_BUSY) {
        ftso_diag_error(sema->diag, "E0216", symbol->span, "%s `%s` is declared in terms of itself",
                        ftso_symbol_kind_name(symbol->kind), symbol->name)
            ->help = "break the circle";
        return;
    }
    symbol->state = FTSO_SYMBOL_BUSY;
    for (size_t i = 0; i < FTSO_COUNT(declarations); i++) {
        if (declarations[i].kind == symbol->kind) declarations[i].resolve(sema, symbol);
    }
    symbol->state = FTSO_SYMBOL_DONE;
}

static void declare(ftso_sema *sema, const ftso_ast_file *file, ftso_ast_item *item)
{
    if (!strcmp(item->word, "include")) return;
    if (!strcmp(item->word, "ftso")) {
        if (item == file->items.items[0]) return;
        ftso_diag_error(sema->diag, "E0012", item->span,
                        "the language version stands on the first line, once")
            ->help = "take this line out";
        return;
    }
    const declaration *row = find_declaration(item->word);
    if (!row) {
        const char *words[FTSO_COUNT(declarations) + 1];
        size_t count = 0;
        for (; count < FTSO_COUNT(declarations); count++)
            words[count] = declarations[count].key.word;
        words[count++] = "include";
        ftso_diag_error(sema->diag, "E0201", item->word_span, "`%s` begins no declaration",
                        item->word)
            ->help = ftso_sema_nearest(
            sema, item->word, words, count,
            "declarations are include, let, op, opset, space, genotype, dataset, search, train");
        return;
    }
    if (!ftso_sema_check_form(sema, item, &row->key)) return;
    const ftso_symbol *first = ftso_sema_find(sema, row->kind, item->name);
    if (first) {
        ftso_diag_entry *entry =
            ftso_diag_error(sema->diag, "E0202", item->name_span, "%s `%s` is declared twice",
                            ftso_symbol_kind_name(row->kind), item->name);
        entry->note_span = first->span;
        entry->note = "it was declared here first";
        entry->help = "rename one of the two";
        return;
    }
    ftso_symbol *symbol = FTSO_NEW(sema->arena, ftso_symbol);
    *symbol = (ftso_symbol){
        .kind = row->kind, .name = item->name, .span = item->name_span, .item = item, .file = file};
    ftso_sema_insert(sema, symbol);
    if (row->kind == FTSO_SYMBOL_OP) symbol->record = FTSO_NEW(sema->arena, ftso_operator);
}

/* ---------------------------------------------------------------- the unit */

#define ADD(list, type)                                                                            \
    FTSO_PUSH(sema->arena, unit->list##s, unit->list##_count, unit->list##_capacity,               \
              (type *)symbol->record)

static void add_to_unit(ftso_sema *sema, const ftso_symbol *symbol)
{
    ftso_unit *unit = sema->unit;
    if (!symbol->record) return;
    switch (symbol->kind) {
    case FTSO_SYMBOL_OP:
        ADD(operator, ftso_operator);
        break;
    case FTSO_SYMBOL_OPSET:
        ADD(opset, ftso_opset);
        break;
    case FTSO_SYMBOL_SPACE:
        ADD(space, ftso_space);
        break;
    case FTSO_SYMBOL_GENOTYPE:
        ADD(genotype, ftso_genotype);
        break;
    case FTSO_SYMBOL_DATASET:
        ADD(dataset, ftso_dataset);
        break;
    case FTSO_SYMBOL_SEARCH:
        FTSO_PUSH(sema->arena, unit->searches, unit->search_count, unit->search_capacity,
                  (ftso_search *)symbol->record);
        break;
    case FTSO_SYMBOL_TRAIN:
        ADD(train, ftso_train);
        break;
    case FTSO_SYMBOL_LET:
    case FTSO_SYMBOL_KINDS:
        break;
    }
}

/* What the main file declares and nothing uses is probably a slip: one warning a kind. */
static void warn_unused(ftso_sema *sema)
{
    const ftso_ast_file *main_file = sema->ast->files[sema->ast->file_count - 1];
    bool has_space = false;
    for (size_t i = 0; i < sema->symbol_count; i++)
        has_space |= sema->symbols[i]->kind == FTSO_SYMBOL_SPACE;
    if (!has_space) return; /* a library of operators */
    static const ftso_symbol_kind kinds[] = {FTSO_SYMBOL_LET, FTSO_SYMBOL_OP, FTSO_SYMBOL_OPSET};
    for (size_t k = 0; k < FTSO_COUNT(kinds); k++) {
        const ftso_symbol *first = NULL;
        ftso_text others;
        ftso_text_init(&others);
        for (size_t i = 0; i < sema->symbol_count; i++) {
            const ftso_symbol *symbol = sema->symbols[i];
            bool counts = symbol->kind == kinds[k] && !symbol->used && symbol->file == main_file;
            if (!counts || symbol->name[0] == '_') continue;
            if (first) ftso_text_printf(&others, ", `%s`", symbol->name);
            if (!first) first = symbol;
        }
        if (first) {
            const char *more = ftso_text_get(&others);
            ftso_diag_warning(sema->diag, "W0201", first->span, "%s `%s`%s %s never used",
                              ftso_symbol_kind_name(first->kind), first->name, more,
                              *more ? "are" : "is")
                ->help = "take out what is not needed, or begin its name with `_`";
        }
        ftso_text_deinit(&others);
    }
}

ftso_unit *ftso_check(ftso_arena *arena, ftso_diag *diag, const ftso_ast *ast)
{
    ftso_sema sema = {.arena = arena, .diag = diag, .ast = ast, .unit = FTSO_NEW(arena, ftso_unit)};
    size_t item_count = 0;
    for (size_t i = 0; i < ast->file_count; i++) item_count += ast->files[i]->items.count;
    sema.table_size = 2 * item_count + 1;
    sema.table = FTSO_ARRAY(arena, ftso_symbol *, sema.table_size);
    for (size_t i = 0; i < ast->file_count; i++) {
        const ftso_ast_items *items = &ast->files[i]->items;
        for (size_t k = 0; k < items->count; k++) declare(&sema, ast->files[i], items->items[k]);
    }
    /* Operators first: whether one leads to candidates(C, s) must be known where it is used. */
    for (size_t i = 0; i < sema.symbol_count; i++) {
        if (sema.symbols[i]->kind == FTSO_SYMBOL_OP) ftso_sema_resolve(&sema, sema.symbols[i]);
    }
    ftso_sema_op_cycles(&sema);
    for (size_t i = 0; i < sema.symbol_count; i++) ftso_sema_resolve(&sema, sema.symbols[i]);
    for (size_t i = 0; i < sema.symbol_count; i++) add_to_unit(&sema, sema.symbols[i]);
    if (diag->error_count) return NULL;
    warn_unused(&sema);
    return sema.unit;
}
