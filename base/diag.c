/*
 * Diagnostics: what is wrong with the user's text, shown at its place.
 *
 * Holds: columns and carets count display cells, so they line up under CJK and combining characters; a tab counts one and is
 * shown as one space; bytes that are no UTF-8 count one and are shown as '?'.
 */
#include "base.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void ftso_diag_init(ftso_diag *diag, ftso_arena *arena)
{
    memset(diag, 0, sizeof(*diag));
    diag->arena = arena;
}

uint32_t ftso_diag_add_source(ftso_diag *diag, const char *path, const char *text, size_t length)
{
    ftso_source source = {.path = ftso_strdup(diag->arena, path),
                          .text = ftso_strndup(diag->arena, text, length),
                          .length = length};
    size_t capacity = 0;
    FTSO_PUSH(diag->arena, source.line_starts, source.line_count, capacity, 0u);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n')
            FTSO_PUSH(diag->arena, source.line_starts, source.line_count, capacity,
                      (uint32_t)(i + 1));
    FTSO_PUSH(diag->arena, diag->sources, diag->source_count, diag->source_capacity, source);
    return (uint32_t)(diag->source_count - 1);
}

static bool same_span(ftso_span a, ftso_span b)
{
    return a.file == b.file && a.begin == b.begin && a.end == b.end;
}

static ftso_diag_entry *add(ftso_diag *diag, ftso_severity severity, const char *code,
                            ftso_span span, const char *fmt, va_list args)
{
    ftso_diag_entry entry = {
        .severity = severity, .code = code, .span = span, .order = diag->entry_count};
    entry.message = ftso_vformat(diag->arena, fmt, args);
    for (size_t i = 0; i < diag->entry_count; i++) {
        const ftso_diag_entry *old = &diag->entries[i];
        if (same_span(old->span, span) && strcmp(old->code, code) == 0 &&
            strcmp(old->message, entry.message) == 0)
            return FTSO_NEW(diag->arena, ftso_diag_entry);
    }
    size_t *count = severity == FTSO_SEVERE ? &diag->error_count : &diag->warning_count;
    (*count)++;
    if (severity == FTSO_SEVERE && diag->error_count > FTSO_DIAG_MAX_ERRORS)
        return FTSO_NEW(diag->arena, ftso_diag_entry);
    FTSO_PUSH(diag->arena, diag->entries, diag->entry_count, diag->entry_capacity, entry);
    return &diag->entries[diag->entry_count - 1];
}

ftso_diag_entry *ftso_diag_error(ftso_diag *diag, const char *code, ftso_span span, const char *fmt,
                                 ...)
{
    va_list args;
    va_start(args, fmt);
    ftso_diag_entry *entry = add(diag, FTSO_SEVERE, code, span, fmt, args);
    va_end(args);
    return entry;
}

ftso_diag_entry *ftso_diag_warning(ftso_diag *diag, const char *code, ftso_span span,
                                   const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    ftso_diag_entry *entry = add(diag, FTSO_WARNING, code, span, fmt, args);
    va_end(args);
    return entry;
}

/* Index of the line that holds byte `at`. */
static size_t line_of(const ftso_source *source, uint32_t at)
{
    size_t low = 0, high = source->line_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (source->line_starts[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* One character at text[at]: its bytes and display cells. */
static size_t character(const char *text, size_t length, size_t at, int *out_cells, bool *out_valid)
{
    utf8proc_int32_t point;
    utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                              (utf8proc_ssize_t)(length - at), &point);
    *out_valid = bytes > 0 && point >= 32 && point != 127;
    *out_cells = *out_valid ? utf8proc_charwidth(point) : 1;
    return bytes > 0 ? (size_t)bytes : 1;
}

/* Display cells of text[begin, end). */
static unsigned cells_between(const ftso_source *source, size_t begin, size_t end)
{
    unsigned cells = 0;
    for (size_t i = begin; i < end && i < source->length;) {
        int width;
        bool valid;
        i += character(source->text, source->length, i, &width, &valid);
        cells += (unsigned)width;
    }
    return cells;
}

void ftso_diag_locate(const ftso_diag *diag, ftso_span span, unsigned *out_line,
                      unsigned *out_column)
{
    *out_line = *out_column = 1;
    if (span.file >= diag->source_count) return;
    const ftso_source *source = &diag->sources[span.file];
    size_t line = line_of(source, span.begin);
    *out_line = (unsigned)line + 1;
    *out_column = cells_between(source, source->line_starts[line], span.begin) + 1;
}

enum { WIDEST_LINE = 160 };

/* The source line with a caret and tildes under the span, cut where it is very long. */
static void print_line(const ftso_source *source, ftso_span span, const char *label, ftso_text *out)
{
    size_t line = line_of(source, span.begin), start = source->line_starts[line], end = start;
    while (end < source->length && source->text[end] != '\n' && source->text[end] != '\r') end++;
    size_t from = span.begin - start > WIDEST_LINE / 2 ? span.begin - WIDEST_LINE / 2 : start;
    while (from > start && ((unsigned char)source->text[from] & 0xc0) == 0x80) from--;
    size_t upto = end - from > WIDEST_LINE ? from + WIDEST_LINE : end;
    while (upto < end && ((unsigned char)source->text[upto] & 0xc0) == 0x80) upto++;
    ftso_text_printf(out, "%5zu | %s", line + 1, from > start ? "…" : "");
    for (size_t i = from; i < upto;) {
        int width;
        bool valid;
        size_t bytes = character(source->text, source->length, i, &width, &valid);
        if (valid)
            ftso_text_append(out, source->text + i, bytes);
        else
            ftso_text_puts(out, source->text[i] == '\t' ? " " : "?");
        i += bytes;
    }
    ftso_text_printf(out, "%s\n      | %s", upto < end ? "…" : "", from > start ? " " : "");
    for (unsigned i = cells_between(source, from, span.begin); i > 0; i--) ftso_text_puts(out, " ");
    size_t last = span.end < upto ? span.end : upto;
    unsigned cells = last > span.begin ? cells_between(source, span.begin, last) : 1;
    ftso_text_puts(out, "^");
    for (unsigned i = 1; i < cells; i++) ftso_text_puts(out, "~");
    if (label) ftso_text_printf(out, " %s", label);
    ftso_text_puts(out, "\n");
}

static const struct {
    const char *word, *color;
} severities[] = {{"note", "\033[1;36m"}, {"warning", "\033[1;35m"}, {"error", "\033[1;31m"}};

static void print_place(const ftso_diag *diag, ftso_span span, ftso_text *out)
{
    unsigned line, column;
    ftso_diag_locate(diag, span, &line, &column);
    const char *path =
        span.file < diag->source_count ? diag->sources[span.file].path : "<command line>";
    ftso_text_printf(out, "%s:%u:%u: ", path, line, column);
}

static void print_entry(const ftso_diag *diag, const ftso_diag_entry *entry, ftso_text *out,
                        bool color)
{
    const char *bold = color ? severities[entry->severity].color : "",
               *plain = color ? "\033[0m" : "";
    print_place(diag, entry->span, out);
    ftso_text_printf(out, "%s%s[%s]%s: %s\n", bold, severities[entry->severity].word, entry->code,
                     plain, entry->message);
    if (entry->span.file < diag->source_count)
        print_line(&diag->sources[entry->span.file], entry->span, entry->label, out);
    if (entry->note) {
        print_place(diag, entry->note_span, out);
        ftso_text_printf(out, "note: %s\n", entry->note);
        if (entry->note_span.file < diag->source_count)
            print_line(&diag->sources[entry->note_span.file], entry->note_span, NULL, out);
    }
    if (entry->help) ftso_text_printf(out, "help: %s\n", entry->help);
}

static int by_place(const void *left, const void *right)
{
    const ftso_diag_entry *a = left, *b = right;
    if (a->span.file != b->span.file) return a->span.file < b->span.file ? -1 : 1;
    if (a->span.begin != b->span.begin) return a->span.begin < b->span.begin ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void ftso_diag_print(const ftso_diag *diag, ftso_text *out, bool color)
{
    if (diag->entry_count == 0) return;
    ftso_diag_entry *sorted = FTSO_ARRAY(diag->arena, ftso_diag_entry, diag->entry_count);
    memcpy(sorted, diag->entries, diag->entry_count * sizeof(*sorted));
    qsort(sorted, diag->entry_count, sizeof(*sorted), by_place);
    for (size_t i = 0; i < diag->entry_count; i++) print_entry(diag, &sorted[i], out, color);
    ftso_text_printf(out, "%zu error%s, %zu warning%s", diag->error_count,
                     diag->error_count == 1 ? "" : "s", diag->warning_count,
                     diag->warning_count == 1 ? "" : "s");
    if (diag->error_count > FTSO_DIAG_MAX_ERRORS)
        ftso_text_printf(out, "; the first %d are shown", FTSO_DIAG_MAX_ERRORS);
    const char *first = NULL;
    for (size_t i = 0; i < diag->entry_count && !first; i++)
        if (sorted[i].severity == FTSO_SEVERE) first = sorted[i].code;
    if (first) ftso_text_printf(out, " (more: ftso explain %s)", first);
    ftso_text_puts(out, "\n");
}
