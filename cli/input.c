/*
 * Input: a space file from disk to checked records, and its diagnostics on stderr.
 */
#include "cli/cli.h"

#include <string.h>

enum { MAX_FILE_BYTES = 10 << 20 };

ftso_status ftso_input_parse(ftso_arena *arena, ftso_diag *diag, const char *path,
                             ftso_ast **out_ast)
{
    if (strcmp(path, "-") != 0) return ftso_parse_file(arena, diag, path, out_ast);
    ftso_text text;
    ftso_text_init(&text);
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof(block), stdin)) > 0 && text.length < MAX_FILE_BYTES)
        ftso_text_append(&text, block, got);
    *out_ast = ftso_parse_text(arena, diag, "<stdin>", ftso_text_get(&text), text.length, NULL);
    ftso_text_deinit(&text);
    return FTSO_STATUS_OK;
}

enum { MAX_WORDS = 64 };

/* Methods are rows of another folder's table: the frontend is told their names. A data set's kind needs a reader only
 * when it is read: files may declare sets that this build cannot read. */
static void check_words(ftso_input *input)
{
    const char *methods[MAX_WORDS];
    size_t count;
    const ftso_method *const *rows = ftso_method_rows(&count);
    FTSO_ASSERT(count <= MAX_WORDS);
    for (size_t i = 0; i < count; i++) methods[i] = rows[i]->name;
    ftso_words words = {.methods = methods, .method_count = count};
    ftso_check_words(&input->diag, input->unit, &words);
}

bool ftso_input_read(ftso_input *input, const char *path, const char *const *overrides,
                     size_t override_count, int *out_exit)
{
    memset(input, 0, sizeof(*input));
    ftso_arena_init(&input->arena);
    ftso_diag_init(&input->diag, &input->arena);
    input->path = path;
    input->overrides = overrides;
    input->override_count = override_count;
    double start = ftso_clock_s();
    ftso_status status = ftso_input_parse(&input->arena, &input->diag, path, &input->ast);
    input->parse_s = ftso_clock_s() - start;
    input->file_count = input->diag.source_count;
    if (status.code != FTSO_OK) {
        *out_exit = ftso_report(status);
        return false;
    }
    for (size_t i = 0; i < override_count; i++)
        ftso_ast_override(input->ast, &input->diag, overrides[i]);
    start = ftso_clock_s();
    input->unit = ftso_check(&input->arena, &input->diag, input->ast);
    if (input->unit) check_words(input);
    input->check_s = ftso_clock_s() - start;
    *out_exit = FTSO_OK;
    if (input->unit && input->diag.error_count == 0) return true;
    *out_exit = FTSO_ERROR_USER;
    ftso_input_print(input);
    return false;
}

bool ftso_stage_is_early(const char *stage)
{
    return stage && (strcmp(stage, "ast") == 0 || strcmp(stage, "space") == 0);
}

void ftso_input_stages(const ftso_input *input, const ftso_pipeline *pipeline)
{
    const char *stage = pipeline->dump;
    ftso_pipeline_time(pipeline, "file", "ast", input->parse_s);
    ftso_pipeline_time(pipeline, "file", "space", input->check_s);
    if (!ftso_stage_is_early(stage)) return;
    ftso_text text;
    ftso_text_init(&text);
    if (strcmp(stage, "ast") == 0)
        ftso_ast_print(input->ast, &text);
    else
        ftso_unit_print(input->unit, &text);
    fputs(ftso_text_get(&text), stdout);
    ftso_text_deinit(&text);
}

void ftso_input_print(ftso_input *input)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(&input->diag, &text, ftso_wants_color(stderr));
    fputs(ftso_text_get(&text), stderr);
    ftso_text_deinit(&text);
}

void ftso_input_deinit(ftso_input *input)
{
    ftso_arena_deinit(&input->arena);
}

/* "'a', 'b' and 'c'" of `count` names, or "none". */
static const char *list(const char *const *names, size_t count, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s'%s'",
                                 i == 0           ? ""
                                 : i + 1 == count ? " and "
                                                  : ", ",
                                 names[i]);
    return count ? buffer : "none";
}

/* Index of `name` among `names`, or of the only one when `name` is NULL. */
static ftso_status pick(const char *what, const char *const *names, size_t count, const char *name,
                        size_t *out_index)
{
    char buffer[300];
    for (size_t i = 0; i < count; i++) {
        if (name ? strcmp(names[i], name) != 0 : count != 1) continue;
        *out_index = i;
        return FTSO_STATUS_OK;
    }
    if (name) {
        const char *nearest = ftso_nearest_name(name, names, count);
        return ftso_error(FTSO_ERROR_USAGE, "there is no %s '%s'%s%s%s; declared: %s", what, name,
                          nearest ? " (did you mean '" : "", nearest ? nearest : "",
                          nearest ? "'?)" : "", list(names, count, buffer, sizeof(buffer)));
    }
    if (count == 0) return ftso_error(FTSO_ERROR_USER, "the file declares no %s", what);
    return ftso_error(FTSO_ERROR_USAGE, "which %s? Name one of %s after the file", what,
                      list(names, count, buffer, sizeof(buffer)));
}

enum { MAX_NAMES = 256 };

ftso_status ftso_pick_search(const ftso_unit *unit, const char *name, const ftso_search **out)
{
    const char *names[MAX_NAMES];
    size_t count = unit->search_count < MAX_NAMES ? unit->search_count : MAX_NAMES, index = 0;
    for (size_t i = 0; i < count; i++) names[i] = unit->searches[i]->name;
    FTSO_TRY(pick("search", names, count, name, &index));
    *out = unit->searches[index];
    return FTSO_STATUS_OK;
}

ftso_status ftso_pick_space(const ftso_unit *unit, const char *name, const ftso_space **out)
{
    const char *names[MAX_NAMES];
    size_t count = unit->space_count < MAX_NAMES ? unit->space_count : MAX_NAMES, index = 0;
    for (size_t i = 0; i < count; i++) names[i] = unit->spaces[i]->name;
    FTSO_TRY(pick("space", names, count, name, &index));
    *out = unit->spaces[index];
    return FTSO_STATUS_OK;
}

ftso_status ftso_pick_genotype(const ftso_unit *unit, const char *name, const ftso_genotype **out)
{
    const char *names[MAX_NAMES];
    size_t count = unit->genotype_count < MAX_NAMES ? unit->genotype_count : MAX_NAMES, index = 0;
    for (size_t i = 0; i < count; i++) names[i] = unit->genotypes[i]->name;
    FTSO_TRY(pick("genotype", names, count, name, &index));
    *out = unit->genotypes[index];
    return FTSO_STATUS_OK;
}

ftso_status ftso_pick_train(const ftso_unit *unit, const char *name, const ftso_train **out)
{
    const char *names[MAX_NAMES];
    size_t count = unit->train_count < MAX_NAMES ? unit->train_count : MAX_NAMES, index = 0;
    for (size_t i = 0; i < count; i++) names[i] = unit->trains[i]->name;
    FTSO_TRY(pick("recipe", names, count, name, &index));
    *out = unit->trains[index];
    return FTSO_STATUS_OK;
}
