/*
 * Parser of the graphs' text form, the inverse of ftso_graph_print.
 * In: a source of a diag, not trusted. Out: a graph that the verifier accepts, or one error with its place.
 * Grammar, one item a line; empty lines and lines that start with '#' are skipped:
 *   %<n> = <op>(%<n>, ...) {<attr>=<value>, ...} : [N=<int>, <int>, ...]
 *   output "<name>" %<n> -> %<n>
 *   storage <element>
 */
#include "ir/ir.h"

#include <string.h>

typedef struct reader {
    ftso_graph *graph;
    ftso_diag *diag;
    const char *text;
    size_t length, at;
    uint32_t file;
    bool failed;
} reader;

static char peek(const reader *r)
{
    return r->at < r->length ? r->text[r->at] : 0;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void skip_blanks(reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t') r->at++;
}

/* The first error only: what follows would be about the same place. */
static bool FTSO_PRINTF(4, 5) fail(reader *r, const char *code, size_t begin, const char *fmt, ...)
{
    if (r->failed) return false;
    char sentence[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    size_t end = r->at > begin ? r->at : begin + 1;
    if (end > r->length) end = r->length;
    if (begin > end) begin = end;
    ftso_diag_error(r->diag, code, (ftso_span){r->file, (uint32_t)begin, (uint32_t)end}, "%s",
                    sentence);
    r->failed = true;
    return false;
}

static bool accept(reader *r, const char *mark)
{
    skip_blanks(r);
    size_t length = strlen(mark);
    if (r->length - r->at < length || memcmp(r->text + r->at, mark, length) != 0) return false;
    r->at += length;
    return true;
}

static bool expect(reader *r, const char *mark)
{
    if (accept(r, mark)) return true;
    return fail(r, "E0901", r->at, "expected '%s'", mark);
}

static const char *word(reader *r)
{
    skip_blanks(r);
    size_t begin = r->at;
    while (is_word(peek(r))) r->at++;
    if (r->at == begin) {
        fail(r, "E0901", begin, "expected a name");
        return NULL;
    }
    return ftso_strndup(r->graph->arena, r->text + begin, r->at - begin);
}

static bool integer(reader *r, int64_t *out)
{
    skip_blanks(r);
    size_t begin = r->at;
    bool negative = accept(r, "-");
    int64_t value = 0;
    size_t digits = r->at;
    for (; peek(r) >= '0' && peek(r) <= '9'; r->at++)
        if (!ftso_i64_mul(value, 10, &value) || !ftso_i64_add(value, peek(r) - '0', &value))
            return fail(r, "E0902", begin, "the number is too large");
    if (r->at == digits) return fail(r, "E0901", begin, "expected a whole number");
    *out = negative ? -value : value;
    return true;
}

static bool real(reader *r, double *out)
{
    skip_blanks(r);
    size_t begin = r->at;
    while (is_word(peek(r)) || peek(r) == '.' || peek(r) == '-' || peek(r) == '+') r->at++;
    const char *copy = ftso_strndup(r->graph->arena, r->text + begin, r->at - begin);
    char *end = NULL;
    *out = ftso_double_parse(copy, &end);
    if (end == copy || *end) return fail(r, "E0901", begin, "expected a number");
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *string(reader *r)
{
    if (!expect(r, "\"")) return NULL;
    size_t begin = r->at, length = 0;
    char *copy = ftso_arena_alloc(r->graph->arena, r->length - begin + 1);
    for (;;) {
        char c = peek(r);
        if (r->at >= r->length || c == '\n' || c == 0) {
            fail(r, "E0901", begin, "the name has no closing '\"'");
            return NULL;
        }
        r->at++;
        if (c == '"') return copy;
        if (c == '\\') {
            c = peek(r);
            r->at++;
            if (c == 'x' && r->at + 2 <= r->length) {
                int high = hex(r->text[r->at]), low = hex(r->text[r->at + 1]);
                r->at += 2;
                c = high < 0 || low < 0 ? 0 : (char)(high * 16 + low);
            } else if (c != '"' && c != '\\') {
                c = 0;
            }
            if (c == 0) {
                fail(r, "E0901", r->at - 1,
                     "an escape is \\\", \\\\ or \\x and two hexadecimal digits");
                return NULL;
            }
        }
        copy[length++] = c;
    }
}

/* %<n>, an existing node */
static bool value(reader *r, ftso_value *out)
{
    size_t begin = r->at;
    int64_t number;
    if (!expect(r, "%") || !integer(r, &number)) return false;
    if (number < 0 || (uint64_t)number >= r->graph->node_count)
        return fail(r, "E0903", begin, "there is no value %%%lld above this line",
                    (long long)number);
    *out = (ftso_value)number;
    return true;
}

static bool shape(reader *r, ftso_shape *out)
{
    *out = (ftso_shape){0};
    if (!expect(r, "[")) return false;
    if (accept(r, "]")) return true;
    do {
        if (out->rank == FTSO_MAX_RANK)
            return fail(r, "E0904", r->at, "a shape has at most 4 dimensions");
        if (out->rank == 0 && accept(r, "N=")) out->batched = true;
        if (!integer(r, &out->dim[out->rank++])) return false;
    } while (accept(r, ","));
    return expect(r, "]");
}

static bool attributes(reader *r, const ftso_op *op, ftso_attr_value *attrs)
{
    if (!accept(r, "{")) return true;
    do {
        skip_blanks(r);
        size_t begin = r->at;
        const char *name = word(r);
        if (!name) return false;
        int i = ftso_op_attr(op, name);
        if (i < 0) return fail(r, "E0905", begin, "%s has no attribute '%s'", op->name, name);
        if (!expect(r, "=")) return false;
        bool good = true;
        switch (op->attrs[i].kind) {
        case FTSO_ATTR_INT:
            good = integer(r, &attrs[i].i);
            break;
        case FTSO_ATTR_REAL:
            good = real(r, &attrs[i].r);
            break;
        case FTSO_ATTR_NAME:
            good = (attrs[i].name = string(r)) != NULL;
            break;
        }
        if (!good) return false;
    } while (accept(r, ","));
    return expect(r, "}");
}

static void set_int(const ftso_op *op, const char *name, int64_t number, ftso_attr_value *attrs)
{
    int i = ftso_op_attr(op, name);
    if (i >= 0) attrs[i].i = number;
}

/* The shape attributes are not printed: the shape says them. */
static void set_shape_attrs(const ftso_op *op, ftso_shape given, ftso_attr_value *attrs)
{
    static const char *const dims[FTSO_MAX_RANK] = {"d0", "d1", "d2", "d3"};
    if (!(op->flags & FTSO_OP_SHAPED)) return;
    set_int(op, "rank", given.rank, attrs);
    set_int(op, "batched", given.batched, attrs);
    for (int d = 0; d < FTSO_MAX_RANK; d++) set_int(op, dims[d], given.dim[d], attrs);
}

static bool node(reader *r)
{
    size_t begin = r->at;
    int64_t number;
    if (!expect(r, "%") || !integer(r, &number)) return false;
    if ((uint64_t)number != r->graph->node_count)
        return fail(r, "E0903", begin, "this line's value must be %%%zu", r->graph->node_count);
    if (!expect(r, "=")) return false;
    skip_blanks(r);
    begin = r->at;
    const char *name = word(r);
    if (!name) return false;
    const ftso_op *op = ftso_op_find(r->graph->ops, name);
    if (!op) return fail(r, "E0906", begin, "there is no operator '%s'", name);
    ftso_value *inputs = NULL;
    size_t count = 0, capacity = 0;
    if (!expect(r, "(")) return false;
    if (!accept(r, ")")) {
        do {
            ftso_value input;
            if (!value(r, &input)) return false;
            FTSO_PUSH(r->graph->arena, inputs, count, capacity, input);
        } while (accept(r, ","));
        if (!expect(r, ")")) return false;
    }
    ftso_attr_value attrs[FTSO_MAX_ATTRS] = {0};
    for (int i = 0; i < op->attr_count; i++) attrs[i] = op->attrs[i].fallback;
    if (!attributes(r, op, attrs)) return false;
    ftso_shape given, made;
    if (!expect(r, ":") || !shape(r, &given)) return false;
    size_t end = r->at;
    set_shape_attrs(op, given, attrs);
    ftso_shape *shapes = FTSO_ARRAY(r->graph->arena, ftso_shape, count + 1);
    for (size_t i = 0; i < count; i++) shapes[i] = ftso_graph_shape(r->graph, inputs[i]);
    ftso_text why;
    ftso_text_init(&why);
    bool good = ftso_op_shape(op, shapes, count, attrs, &made, &why);
    if (!good) fail(r, "E0907", begin, "%s", ftso_text_get(&why));
    if (good && !ftso_shape_equal(given, made)) {
        ftso_shape_print(made, &why);
        good = fail(r, "E0908", begin, "%s gives %s here", op->name, ftso_text_get(&why));
    }
    ftso_text_deinit(&why);
    r->at = end;
    if (!good) return false;
    bool named = op->attr_count > 0 && op->attrs[0].kind == FTSO_ATTR_NAME;
    if (named && (!attrs[0].name || !attrs[0].name[0]))
        return fail(r, "E0909", begin, "%s has no name", op->name);
    if (named && ftso_graph_find(r->graph, attrs[0].name) != FTSO_NO_VALUE)
        return fail(r, "E0909", begin, "the name \"%s\" is taken", attrs[0].name);
    ftso_graph_add(r->graph, name, inputs, count, attrs, (size_t)op->attr_count);
    return true;
}

static bool output(reader *r)
{
    size_t begin = r->at;
    ftso_value from, state = FTSO_NO_VALUE;
    const char *name = string(r);
    if (!name || !value(r, &from)) return false;
    if (accept(r, "->") && !value(r, &state)) return false;
    for (size_t i = 0; i < r->graph->output_count; i++)
        if (strcmp(r->graph->outputs[i].name, name) == 0 ||
            (state != FTSO_NO_VALUE && r->graph->outputs[i].state == state))
            return fail(r, "E0909", begin, "an earlier output has this name or this state");
    if (state != FTSO_NO_VALUE &&
        (!ftso_node_is(ftso_graph_node(r->graph, state), "state") ||
         !ftso_shape_equal(ftso_graph_shape(r->graph, state), ftso_graph_shape(r->graph, from))))
        return fail(r, "E0908", begin, "%%%u is not a state of this value's shape",
                    (unsigned)state);
    ftso_graph_output(r->graph, name, from, state);
    return true;
}

static bool storage(reader *r)
{
    skip_blanks(r);
    size_t begin = r->at;
    const char *name = word(r);
    size_t count;
    const char *const *names = ftso_element_names(&count);
    for (size_t i = 0; name && i < count; i++) {
        if (strcmp(names[i], name) != 0) continue;
        r->graph->storage = (ftso_element)i;
        return true;
    }
    return fail(r, "E0910", begin, "images are stored as fp32 or bf16, not '%s'", name ? name : "");
}

bool ftso_graph_parse(ftso_graph *graph, ftso_diag *diag, uint32_t file)
{
    FTSO_ASSERT(file < diag->source_count && graph->node_count == 0);
    reader r = {graph, diag, diag->sources[file].text, diag->sources[file].length, 0, file, false};
    while (r.at < r.length && !r.failed) {
        skip_blanks(&r);
        if (peek(&r) == '#')
            while (r.at < r.length && peek(&r) != '\n') r.at++;
        else if (accept(&r, "output"))
            output(&r);
        else if (accept(&r, "storage"))
            storage(&r);
        else if (peek(&r) != '\n' && r.at < r.length)
            node(&r);
        skip_blanks(&r);
        if (r.at < r.length && peek(&r) != '\n')
            fail(&r, "E0901", r.at, "expected the end of the line");
        r.at++;
    }
    if (r.failed) return false;
    ftso_status status = ftso_graph_verify(graph);
    if (status.code != FTSO_OK) return fail(&r, "E0908", 0, "%s", status.message);
    return true;
}
