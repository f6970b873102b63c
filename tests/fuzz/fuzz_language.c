/*
 * Fuzz target for the language: parse, format, check, dump, and lowering of what is small enough.
 *
 * In: any bytes. Must hold: nothing crashes, leaks or overflows; a text without errors formats to a text without errors
 * that formats to itself and means the same; a unit without errors prints.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_BYTES = 1 << 16, MAX_OPERATIONS = 2000, BATCH = 2 };

typedef struct reading {
    ftso_arena arena;
    ftso_diag diag;
    ftso_ast *ast;
    ftso_unit *unit;
    ftso_text layout, records;
} reading;

/* Lines `#set PATH=VALUE` and `#genotype TEXT` of the input are read as the command line and run files give them. */
static const char *directive(reading *r, const char **at, const char *end, const char *word)
{
    size_t length = strlen(word);
    for (const char *line = *at; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        *at = stop < end ? stop + 1 : end;
        if ((size_t)(stop - line) > length && !memcmp(line, word, length))
            return ftso_strndup(&r->arena, line + length, (size_t)(stop - line) - length);
        line = *at;
    }
    return NULL;
}

static void read_all(reading *r, const char *text, size_t length)
{
    ftso_arena_init(&r->arena);
    ftso_diag_init(&r->diag, &r->arena);
    ftso_text_init(&r->layout);
    ftso_text_init(&r->records);
    r->ast = ftso_parse_text(&r->arena, &r->diag, "fuzz.ftso", text, length, NULL);
    ftso_ast_format(r->ast, &r->layout);
    const char *at = text, *end = text + length;
    for (const char *set; (set = directive(r, &at, end, "#set "));)
        ftso_ast_override(r->ast, &r->diag, set);
    r->unit = ftso_check(&r->arena, &r->diag, r->ast);
    if (r->unit) ftso_unit_print(r->unit, &r->records);
    at = text;
    for (const char *genotype;
         r->unit && r->unit->space_count && (genotype = directive(r, &at, end, "#genotype "));)
        ftso_genotype_parse(&r->arena, &r->diag, genotype, strlen(genotype), r->unit->spaces[0],
                            r->unit);
}

static void close_all(reading *r)
{
    ftso_text_deinit(&r->layout);
    ftso_text_deinit(&r->records);
    ftso_arena_deinit(&r->arena);
}

/* Numbers that multiply the size of what lowering makes; a fuzzer likes them large. */
static bool is_small(const ftso_space *space)
{
    int64_t edges = 0;
    for (size_t i = 0; i < space->cell_count; i++) {
        edges += (int64_t)space->cells[i]->node_count *
                 (space->cells[i]->input_count + space->cells[i]->node_count);
    }
    int64_t layers = space->supernet.layers + space->network.layers;
    return edges <= 60 && layers <= 40 &&
           edges * layers * (int64_t)space->ops->operator_count <= MAX_OPERATIONS;
}

static void lower_all(reading *r)
{
    for (size_t i = 0; i < r->unit->space_count; i++) {
        if (!is_small(r->unit->spaces[i])) continue;
        ftso_lower_options options = {.batch = BATCH, .edge_weights = true};
        ftso_lower_supernet(&r->arena, &r->diag, r->unit->spaces[i], &options);
    }
    for (size_t i = 0; i < r->unit->genotype_count; i++) {
        if (!is_small(r->unit->genotypes[i]->space)) continue;
        ftso_lower_options options = {.batch = BATCH};
        ftso_lower_network(&r->arena, &r->diag, r->unit->genotypes[i]->space, r->unit->genotypes[i],
                           &options);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_BYTES) return 0;
    reading first;
    read_all(&first, (const char *)data, size);
    ftso_text printed;
    ftso_text_init(&printed);
    ftso_ast_print(first.ast, &printed);
    bool parsed = true; /* formatting promises something about texts that were understood */
    for (size_t i = 0; i < first.diag.entry_count; i++)
        parsed &= strncmp(first.diag.entries[i].code, "E00", 3) != 0;
    parsed &= first.diag.error_count <= FTSO_DIAG_MAX_ERRORS;
    if (parsed) {
        reading second;
        read_all(&second, ftso_text_get(&first.layout), first.layout.length);
        /* A setting may land on a line of its own, or off it: then the records may differ. */
        bool set = memmem(data, size, "#set ", strlen("#set ")) != NULL;
        if (strcmp(ftso_text_get(&first.layout), ftso_text_get(&second.layout)) != 0 ||
            (!set && strcmp(ftso_text_get(&first.records), ftso_text_get(&second.records)) != 0)) {
            fprintf(stderr, "formatting changes:\n%s\ninto\n%s\n", ftso_text_get(&first.layout),
                    ftso_text_get(&second.layout));
            abort();
        }
        close_all(&second);
    }
    if (first.unit) lower_all(&first);
    ftso_diag_print(&first.diag, &printed, size % 2);
    ftso_text_deinit(&printed);
    close_all(&first);
    return 0;
}
