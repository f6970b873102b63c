/*
 * Reading: from bytes to the syntax tree. In: a path or text. Out: an ftso_ast; what is wrong goes to the diag.
 * Bytes that are no text (NUL, invalid UTF-8) are told once each kind and read as blanks, so that the rest is still checked.
 * Start reading at ftso_parse_file.
 */
#include "parse_internal.h"

#include "parser.h"

#define YYSTYPE FTSO_YYSTYPE
#define YYLTYPE FTSO_YYLTYPE
#include "lexer.h"

#include <stdlib.h>

enum { MAX_TEXT_BYTES = 16 << 20, LANGUAGE_VERSION = 1 };

/* ---------------------------------------------------------------- messages of the lexer and the parser */

static const char *excerpt(ftso_parse *parse, ftso_span span)
{
    size_t length = span.end - span.begin;
    const char *text = parse->file->text + span.begin;
    if ((unsigned char)*text < ' ' || *text == 0x7f)
        return ftso_format(parse->arena, "the byte 0x%02x", (unsigned)*text);
    if (length <= 32) return ftso_format(parse->arena, "`%.*s`", (int)length, text);
    for (length = 28; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;) length--;
    return ftso_format(parse->arena, "`%.*s…`", (int)length, text);
}

static bool is_operator(const char *name)
{
    static const char *const names[] = {"`->`", "`||`", "`&&`", "`==`", "`!=`", "`<=`",
                                        "`>=`", "`<`",  "`>`",  "`+`",  "`-`",  "`*`",
                                        "`/`",  "`?`",  "`%`",  "unit"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        if (!strcmp(name, names[i])) return true;
    }
    return false;
}

static bool begins_value(const char *name)
{
    static const char *const names[] = {"number", "string", "name", "`in`",
                                        "`!`",    "`(`",    "`[`",  "`{`"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        if (!strcmp(name, names[i])) return true;
    }
    return false;
}

static bool is_expected(const ftso_parse_expected *expected, const char *name)
{
    for (size_t i = 0; i < expected->count; i++) {
        if (!strcmp(expected->names[i], name)) return true;
    }
    return false;
}

/* "a value, `)` or `]`" */
static const char *expected_list(ftso_parse *parse, const ftso_parse_expected *expected)
{
    const char *kept[48];
    size_t count = 0;
    bool end = is_expected(expected, "end of file");
    bool statement =
        !expected->value && is_expected(expected, "name") && is_expected(expected, "`in`");
    if (expected->value) kept[count++] = "a value";
    if (statement) kept[count++] = "a statement";
    for (size_t i = 0; i < expected->count && count < FTSO_COUNT(kept); i++) {
        const char *name = expected->names[i];
        if (is_operator(name) || (!strcmp(name, "`(`") && expected->count > 1) ||
            (expected->value && (begins_value(name) || !strcmp(name, "`|`"))))
            continue;
        if (statement && (!strcmp(name, "name") || !strcmp(name, "`in`"))) continue;
        if (end && !strcmp(name, "`}`")) continue; /* taken there only to say that it is wrong */
        bool plain = name[0] != '`' && strcmp(name, "end of file") != 0;
        kept[count++] = plain ? ftso_format(parse->arena, "a %s", name) : name;
    }
    if (!count) return "something else";
    ftso_text text;
    ftso_text_init(&text);
    for (size_t i = 0; i < count; i++) {
        ftso_text_puts(&text, i == 0 ? "" : i + 1 == count ? " or " : ", ");
        ftso_text_puts(&text, kept[i]);
    }
    const char *list = ftso_strdup(parse->arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return list;
}

static bool on_new_line(ftso_parse *parse, uint32_t from, ftso_span next)
{
    for (uint32_t i = from; i < next.begin; i++) {
        if (parse->file->text[i] == '\n') return true;
    }
    return false;
}

void ftso_parse_syntax_error(ftso_parse *parse, const ftso_parse_expected *expected)
{
    if (parse->stopped) return;
    const char *list = expected_list(parse, expected);
    ftso_span before = expected->where;
    /* The lexer has already moved on to the token that does not fit; the end of the one before it is where text is missing. */
    uint32_t end = expected->where.begin;
    while (end > 0 && strchr(" \t\r\n\f\v", parse->file->text[end - 1])) end--;
    before.end = end;
    before.begin = end > 0 ? end - 1 : 0;
    if (expected->semicolon && (expected->at_end || on_new_line(parse, end, expected->where))) {
        ftso_diag_entry *entry =
            ftso_diag_error(parse->diag, "E0001", before, "`;` is missing after this");
        entry->help = "a statement ends with `;`";
        return;
    }
    if (expected->at_end) {
        ftso_diag_error(parse->diag, "E0001", before, "expected %s, but the text ends here", list)
            ->label = "the last thing that was read";
        return;
    }
    const char *found = excerpt(parse, expected->where);
    ftso_diag_entry *entry = ftso_diag_error(parse->diag, "E0001", expected->where,
                                             "expected %s, found %s", list, found);
    if (!strcmp(found, "`=`")) entry->help = "a comparison is written `==`";
}

void ftso_parse_too_deep(ftso_parse *parse, ftso_span where)
{
    if (parse->stopped) return;
    parse->stopped = true;
    ftso_diag_entry *entry =
        ftso_diag_error(parse->diag, "E0009", where, "this is nested too deeply");
    entry->help = ftso_format(parse->arena,
                              "at most %d brackets and %d levels of an expression may be open; "
                              "name parts with `let` or `op`",
                              FTSO_AST_MAX_NESTING, FTSO_AST_MAX_DEPTH);
}

void ftso_parse_unmatched(ftso_parse *parse, ftso_span where)
{
    ftso_diag_error(parse->diag, "E0010", where, "this `}` closes nothing")->help =
        "take it out, or open its block";
}

void ftso_parse_stray(ftso_parse *parse, ftso_span where)
{
    ftso_diag_error(parse->diag, "E0006", where, "no word or sign of the language begins with %s",
                    excerpt(parse, where))
        ->help = "names are made of letters, digits and `_`; a comment begins with `#`";
}

void ftso_parse_open_string(ftso_parse *parse, ftso_span where)
{
    ftso_diag_error(parse->diag, "E0007", where, "this string is not closed on its line")->help =
        "close it with the quote that opened it";
}

void ftso_parse_glued(ftso_parse *parse, ftso_span where)
{
    ftso_diag_error(parse->diag, "E0008", where, "a number and a word run into each other: %s",
                    excerpt(parse, where))
        ->help =
        "a unit stands after a blank (`5 M`, `1 epoch`); a name does not begin with a digit";
}

void ftso_parse_comment(ftso_parse *parse, ftso_span where)
{
    ftso_ast_file *file = parse->file;
    ftso_ast_comment comment = {.span = where, .own_line = true};
    while (comment.span.end > where.begin && strchr(" \t\r", file->text[comment.span.end - 1]))
        comment.span.end--;
    for (uint32_t i = where.begin; i > 0 && file->text[i - 1] != '\n'; i--) {
        if (!strchr(" \t\r\f\v", file->text[i - 1])) {
            comment.own_line = false;
            break;
        }
    }
    FTSO_PUSH(parse->arena, file->comments, file->comment_count, file->comment_capacity, comment);
}

ftso_span ftso_parse_end(ftso_parse *parse)
{
    return (ftso_span){parse->file->source, parse->offset, parse->offset};
}

_Noreturn void ftso_parse_lexer_failed(const char *message)
{
    ftso_assert_failed(message, __FILE__, __LINE__);
}

/* ---------------------------------------------------------------- bytes */

/* Length of the valid UTF-8 sequence at `text`, or 0. */
static size_t utf8_length(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];
    if (first < 0x80) return 1;
    size_t length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    if (first >= 0xf5 || !length || length > left) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
    }
    if (first == 0xe0 && text[1] < 0xa0) return 0; /* overlong */
    if (first == 0xed && text[1] > 0x9f) return 0; /* surrogates */
    if (first == 0xf0 && text[1] < 0x90) return 0; /* overlong */
    if (first == 0xf4 && text[1] > 0x8f) return 0; /* past U+10FFFF */
    return length;
}

/* A copy in which every byte that is no text is a blank. */
static const char *clean_text(ftso_parse *parse, const char *text, size_t length)
{
    char *copy = ftso_arena_alloc(parse->arena, length + 1);
    memcpy(copy, text, length);
    bool told_nul = false, told_utf8 = false;
    for (size_t i = 0; i < length;) {
        ftso_span where = {parse->file->source, (uint32_t)i, (uint32_t)i + 1};
        size_t step = utf8_length((const unsigned char *)text + i, length - i);
        if (text[i] == '\0') {
            if (!told_nul) {
                ftso_diag_error(parse->diag, "E0005", where,
                                "a NUL byte stands in the text (byte %zu)", i)
                    ->help = "this is perhaps no text file; take the byte out";
            }
            told_nul = true;
            copy[i] = ' ';
        } else if (!step) {
            if (!told_utf8) {
                ftso_diag_error(parse->diag, "E0004", where,
                                "the byte 0x%02x is not valid UTF-8 here (byte %zu)",
                                (unsigned)(unsigned char)text[i], i)
                    ->help = "save the file as UTF-8";
            }
            told_utf8 = true;
            copy[i] = ' ';
        }
        i += step ? step : 1;
    }
    return copy;
}

/* Runs the grammar over the registered text of `parse->file`. */
static void run_parser(ftso_parse *parse)
{
    void *scanner;
    int failed = ftso_yylex_init_extra(parse, &scanner);
    FTSO_ASSERT(!failed);
    YY_BUFFER_STATE buffer =
        ftso_yy_scan_bytes(parse->file->text, (int)parse->file->length, scanner);
    (void)ftso_yyparse(scanner, parse);
    ftso_yy_delete_buffer(buffer, scanner);
    ftso_yylex_destroy(scanner);
}

/* ---------------------------------------------------------------- files and includes */

typedef struct include_reader {
    ftso_arena *arena;
    ftso_diag *diag;
    ftso_ast *ast;
    const char *folder;                          /* NULL: includes are refused */
    const char *open[FTSO_AST_MAX_INCLUDES + 2]; /* relative paths being read, outermost first */
    size_t depth;
} include_reader;

static void check_version(include_reader *reader, ftso_ast_file *file)
{
    const ftso_ast_items *items = &file->items;
    ftso_span start = {file->source, 0, 0};
    const ftso_ast_item *first = items->count ? items->items[0] : NULL;
    if (!first || strcmp(first->word, "ftso") != 0) {
        ftso_span where = first ? first->word_span : start;
        ftso_diag_entry *entry = ftso_diag_error(
            reader->diag, "E0002", where, "the file does not begin with its language version");
        entry->help = "make the first line `ftso 1;`";
        return;
    }
    items->items[0]->used = true;
    const ftso_ast_node *number = first->literal;
    if (!number || number->kind != FTSO_AST_NUMBER ||
        strspn(number->text, "0123456789") != strlen(number->text)) {
        ftso_diag_error(reader->diag, "E0002", first->span,
                        "the language version is a whole number")
            ->help = "make the first line `ftso 1;`";
        return;
    }
    if (strcmp(number->text, "1") != 0) {
        ftso_diag_error(reader->diag, "E0003", number->span,
                        "language version %s is not known here", number->text)
            ->help = "this program reads version 1";
    }
}

static void read_text(include_reader *reader, const char *shown, const char *path, const char *text,
                      size_t length);

static void read_include(include_reader *reader, ftso_ast_item *item)
{
    ftso_diag *diag = reader->diag;
    item->used = true;
    if (!item->literal || item->literal->kind != FTSO_AST_STRING || item->value ||
        item->has_block) {
        ftso_diag_error(diag, "E0106", item->span, "an include names a file in quotes")->help =
            "write `include \"operators.ftso\";`";
        return;
    }
    const char *relative = item->literal->text;
    ftso_span where = item->literal->span;
    if (!reader->folder) {
        ftso_diag_error(diag, "E0105", where, "nothing can be included here")->help =
            "this text has no folder; write the declarations into it, or save it as a file";
        return;
    }
    const char *refused = ftso_include_refused(relative);
    if (refused) {
        ftso_diag_error(diag, "E0101", where, "the path of this include %s", refused)->help =
            "an include is a file in the folder of the main file, or in a folder below it";
        return;
    }
    for (size_t i = 0; i < reader->depth; i++) {
        if (strcmp(reader->open[i], relative) != 0) continue;
        ftso_diag_error(diag, "E0103", where, "`%s` includes itself%s", relative,
                        i + 1 < reader->depth ? " by way of other files" : "")
            ->help = "take one of the includes out";
        return;
    }
    for (size_t i = 0; i < reader->ast->file_count; i++) {
        if (!strcmp(reader->ast->files[i]->path, relative)) return; /* read already */
    }
    if (reader->depth > FTSO_AST_MAX_INCLUDES) {
        ftso_diag_error(diag, "E0104", where, "includes are nested more than %d deep",
                        FTSO_AST_MAX_INCLUDES)
            ->help = "include the file from a file further out";
        return;
    }
    char *bytes;
    size_t length;
    ftso_status status =
        ftso_include_read(reader->arena, reader->folder, relative, &bytes, &length);
    if (status.code != FTSO_OK) {
        ftso_diag_error(diag, "E0102", where, "`%s` cannot be read: %s", relative, status.message)
            ->help = "the path is relative to the folder of the main file";
        return;
    }
    const char *shown = relative;
    if (*reader->folder) shown = ftso_format(reader->arena, "%s/%s", reader->folder, relative);
    read_text(reader, shown, relative, bytes, length);
}

/* `shown`: the path for people; `path`: relative to the main file's folder. */
static void read_text(include_reader *reader, const char *shown, const char *path, const char *text,
                      size_t length)
{
    ftso_ast_file *file = FTSO_NEW(reader->arena, ftso_ast_file);
    file->source = ftso_diag_add_source(reader->diag, shown, text, length);
    file->path = path;
    file->length = length;
    ftso_parse parse = {
        .arena = reader->arena, .diag = reader->diag, .file = file, .result = &file->items};
    file->text = clean_text(&parse, text, length);
    if (length > MAX_TEXT_BYTES) {
        ftso_diag_error(reader->diag, "E0011", (ftso_span){file->source, 0, 0},
                        "the text has %zu bytes, the limit is %d", length, MAX_TEXT_BYTES)
            ->help = "split it, or look whether this is the right file";
    } else {
        run_parser(&parse);
        if (!parse.stopped) check_version(reader, file);
        reader->open[reader->depth++] = path;
        for (size_t i = 0; i < file->items.count; i++) {
            ftso_ast_item *item = file->items.items[i];
            if (!strcmp(item->word, "include")) read_include(reader, item);
        }
        reader->depth--;
    }
    ftso_ast *ast = reader->ast;
    FTSO_PUSH(reader->arena, ast->files, ast->file_count, ast->file_capacity, file);
}

ftso_ast *ftso_parse_text(ftso_arena *arena, ftso_diag *diag, const char *path, const char *text,
                          size_t length, const char *folder)
{
    ftso_ast *ast = FTSO_NEW(arena, ftso_ast);
    ast->arena = arena;
    const char *slash = strrchr(path, '/');
    include_reader reader = {.arena = arena, .diag = diag, .ast = ast, .folder = folder};
    read_text(&reader, path, slash ? slash + 1 : path, text, length);
    return ast;
}

ftso_status ftso_parse_file(ftso_arena *arena, ftso_diag *diag, const char *path,
                            ftso_ast **out_ast)
{
    char *bytes;
    size_t length;
    *out_ast = NULL;
    FTSO_TRY(ftso_file_read(arena, path, MAX_TEXT_BYTES, &bytes, &length));
    const char *slash = strrchr(path, '/');
    const char *folder = "";
    if (slash) folder = slash == path ? "/" : ftso_strndup(arena, path, (size_t)(slash - path));
    *out_ast = ftso_parse_text(arena, diag, path, bytes, length, folder);
    return FTSO_STATUS_OK;
}

ftso_ast_node *ftso_parse_value(ftso_arena *arena, ftso_diag *diag, const char *path,
                                const char *text, size_t length)
{
    size_t errors = diag->error_count;
    ftso_ast_file *file = FTSO_NEW(arena, ftso_ast_file);
    file->source = ftso_diag_add_source(diag, path, text, length);
    file->path = path;
    file->length = length;
    ftso_parse parse = {.arena = arena, .diag = diag, .file = file, .start = FTSO_PARSE_VALUE};
    file->text = clean_text(&parse, text, length);
    run_parser(&parse);
    return diag->error_count == errors ? parse.value : NULL;
}
