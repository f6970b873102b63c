/*
 * Reading safetensors: 8 bytes of length, a header in a small part of JSON, the tensors' bytes end to end.
 *
 * In: a file or bytes. Out: tensors, or a status that says what is wrong where.
 * Holds: the header is believed only after it was checked against the size of the file, and memory for the data is asked for
 * after that. The reader has no recursion: an object of objects of strings and whole numbers is all that a header can be.
 * Strings are decoded in place, since no escape is shorter than what it stands for.
 * Start reading at read_header.
 */
#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "runtime.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are stored little-endian");

static const struct {
    const char *name;
    size_t size_bytes;
} dtypes[] = {[FTSO_F32] = {"F32", 4},
              [FTSO_F64] = {"F64", 8},
              [FTSO_I64] = {"I64", 8},
              [FTSO_BF16] = {"BF16", 2}};

const char *ftso_dtype_name(ftso_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t ftso_dtype_bytes(ftso_dtype dtype)
{
    return dtypes[dtype].size_bytes;
}

/* ---------------------------------------------------------------- UTF-8 */

size_t ftso_utf8_length(const unsigned char *text, size_t left)
{
    if (left == 0) return 0;
    if (text[0] < 0x80) return 1;
    size_t length = text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (length == 0 || text[0] > 0xf4 || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    /* Forms that are too long, surrogates, what is past U+10FFFF. */
    if (text[0] == 0xe0 && text[1] < 0xa0) return 0;
    if (text[0] == 0xed && text[1] > 0x9f) return 0;
    if (text[0] == 0xf0 && text[1] < 0x90) return 0;
    if (text[0] == 0xf4 && text[1] > 0x8f) return 0;
    return length;
}

static char *encode(char *out, uint32_t point)
{
    if (point < 0x80) {
        *out++ = (char)point;
    } else if (point < 0x800) {
        *out++ = (char)(0xc0 | point >> 6);
        *out++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *out++ = (char)(0xe0 | point >> 12);
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    } else {
        *out++ = (char)(0xf0 | point >> 18);
        *out++ = (char)(0x80 | (point >> 12 & 0x3f));
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    }
    return out;
}

/* ---------------------------------------------------------------- checksum */

static uint64_t hash_text(uint64_t seed, const char *text)
{
    size_t left = strlen(text);
    for (size_t n; left; text += n, left -= n) {
        n = ftso_utf8_length((const unsigned char *)text, left);
        seed = n ? ftso_hash(seed, text, n) : ftso_hash(seed, "\xef\xbf\xbd", 3);
        if (n == 0) n = 1;
    }
    return ftso_hash(seed, "", 1);
}

uint64_t ftso_safetensor_hash(uint64_t seed, const ftso_safetensor *tensor)
{
    seed = hash_text(seed, tensor->name);
    seed = hash_text(seed, dtypes[tensor->dtype].name);
    seed = ftso_hash(seed, tensor->dim, (size_t)tensor->rank * sizeof(tensor->dim[0]));
    return ftso_hash(seed, tensor->data, tensor->size_bytes);
}

uint64_t ftso_metadata_hash(uint64_t seed, const ftso_metadata *row)
{
    if (strcmp(row->key, FTSO_SAFETENSORS_CHECKSUM) == 0) return seed;
    return hash_text(hash_text(seed, row->key), row->value);
}

/* ---------------------------------------------------------------- the header's JSON */

/* A header being read. After the first failure `status` says it and nothing moves any more. */
typedef struct reading {
    const char *path;
    char *start, *at, *end;
    uint64_t data_bytes; /* what follows the header */
    ftso_safetensors *out;
    size_t tensor_capacity, metadata_capacity;
    uint64_t *begins; /* of each tensor's data */
    size_t begin_capacity;
    ftso_status status;
} reading;

typedef struct quoted {
    char text[64];
} quoted;

/* A name for a message: the first bytes of it, without control characters. */
static quoted quote(const char *name)
{
    quoted out = {{0}};
    const unsigned char *text = (const unsigned char *)name;
    size_t left = strlen(name), used = 0;
    for (size_t n; left && (n = ftso_utf8_length(text, left)) > 0; text += n, left -= n) {
        if (used + n > sizeof(out.text) - 5) {
            memcpy(out.text + used, "…", strlen("…"));
            break;
        }
        bool plain = text[0] >= 0x20 && text[0] != 0x7f && !(text[0] == 0xc2 && text[1] < 0xa0);
        if (plain)
            memcpy(out.text + used, text, n);
        else
            out.text[used] = '?';
        used += plain ? n : 1;
    }
    return out;
}

static bool fail_at(reading *r, const char *what)
{
    if (r->status.code == FTSO_OK)
        r->status =
            ftso_error(FTSO_ERROR_DATA, "'%s' is no safetensors file: byte %zu of its header: %s",
                       r->path, (size_t)(r->at - r->start), what);
    return false;
}

static bool fail_memory(reading *r)
{
    r->status = ftso_error(FTSO_ERROR_LIMIT, "no memory for the header of '%s'", r->path);
    return false;
}

static void skip_space(reading *r)
{
    while (r->at < r->end && memchr(" \t\n\r", *r->at, 4)) r->at++;
}

/* True, and steps over it, where the next character is `c`. */
static bool take(reading *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool want(reading *r, char c)
{
    if (take(r, c)) return true;
    char what[] = "'?' is wanted";
    what[1] = c;
    return fail_at(r, what);
}

static bool read_unit(reading *r, uint32_t *out)
{
    if (r->end - r->at < 4) return fail_at(r, "\\u needs four digits");
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int c = r->at[i] | 0x20; /* lower case */
        bool digit = r->at[i] >= '0' && r->at[i] <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) return fail_at(r, "\\u needs four digits");
        *out = *out * 16 + (uint32_t)(digit ? r->at[i] - '0' : c - 'a' + 10);
    }
    r->at += 4;
    return true;
}

/* What stands behind a backslash, decoded to `*put`. */
static bool read_escape(reading *r, char **put)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end) return fail_at(r, "the text does not end");
    const char *known = *r->at ? strchr(letters, *r->at) : NULL;
    if (known) {
        *(*put)++ = meant[known - letters];
        r->at++;
        return true;
    }
    if (*r->at != 'u') return fail_at(r, "an unknown escape");
    r->at++;
    uint32_t point, low;
    if (!read_unit(r, &point)) return false;
    if (point == 0) return fail_at(r, "a NUL in a text");
    if (point >= 0xdc00 && point < 0xe000) return fail_at(r, "half of a surrogate pair");
    if (point >= 0xd800 && point < 0xdc00) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
            return fail_at(r, "half of a surrogate pair");
        r->at += 2;
        if (!read_unit(r, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return fail_at(r, "half of a surrogate pair");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    *put = encode(*put, point);
    return true;
}

/* A text, decoded where it stands. */
static bool read_text(reading *r, char **out)
{
    if (!want(r, '"')) return false;
    char *put = *out = r->at;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            r->at++;
            if (!read_escape(r, &put)) return false;
            continue;
        }
        size_t n = ftso_utf8_length((const unsigned char *)r->at, (size_t)(r->end - r->at));
        if (n == 0) return fail_at(r, "invalid UTF-8");
        if ((unsigned char)*r->at < 0x20) return fail_at(r, "a control character in a text");
        memmove(put, r->at, n);
        put += n;
        r->at += n;
    }
    if (r->at == r->end) return fail_at(r, "the text does not end");
    r->at++;
    *put = '\0';
    return true;
}

static bool read_number(reading *r, int64_t *out)
{
    skip_space(r);
    const char *first = r->at;
    *out = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (!ftso_i64_mul(*out, 10, out) || !ftso_i64_add(*out, *r->at - '0', out))
            return fail_at(r, "a number above 2^63");
    if (r->at == first) return fail_at(r, "a whole number is wanted");
    if (*first == '0' && r->at - first > 1) return fail_at(r, "a number with a leading zero");
    if (r->at < r->end && memchr(".eE", *r->at, 3)) return fail_at(r, "a whole number is wanted");
    return true;
}

/* `[a, b, …]`, at most `most` numbers. */
static bool read_numbers(reading *r, int64_t *out, int most, int *out_count)
{
    *out_count = 0;
    if (!want(r, '[')) return false;
    if (take(r, ']')) return true;
    do {
        if (*out_count == most) return fail_at(r, "too many numbers in a list");
        if (!read_number(r, &out[*out_count])) return false;
        (*out_count)++;
    } while (take(r, ','));
    return want(r, ']');
}

/* ---------------------------------------------------------------- entries */

static bool grow(reading *r, void **items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity) return true;
    size_t more = *capacity ? *capacity * 2 : 64;
    void *block = ftso_mem_resize(*items, more * item_bytes);
    if (!block) return fail_memory(r);
    *items = block;
    *capacity = more;
    return true;
}

static bool fail_tensor(reading *r, const char *name, const char *fmt, ...) FTSO_PRINTF(3, 4);
static bool fail_tensor(reading *r, const char *name, const char *fmt, ...)
{
    char what[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    r->status =
        ftso_error(FTSO_ERROR_DATA, "'%s': tensor '%s': %s", r->path, quote(name).text, what);
    return false;
}

static bool set_dtype(reading *r, ftso_safetensor *tensor, const char *name)
{
    for (size_t i = 0; i < FTSO_COUNT(dtypes); i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            tensor->dtype = (ftso_dtype)i;
            return true;
        }
    return fail_tensor(r, tensor->name, "type %s is not read; F32, F64, I64 and BF16 are",
                       quote(name).text);
}

/* That the place is as large as the shape asks for, and inside the file. */
static bool check_place(reading *r, ftso_safetensor *tensor, const int64_t place[2])
{
    int64_t size = (int64_t)dtypes[tensor->dtype].size_bytes;
    for (int i = 0; i < tensor->rank; i++)
        if (!ftso_i64_mul(size, tensor->dim[i], &size))
            return fail_tensor(r, tensor->name, "its shape has more than 2^63 bytes");
    if (place[1] < place[0])
        return fail_tensor(r, tensor->name, "its end %lld lies before its begin %lld",
                           (long long)place[1], (long long)place[0]);
    if (place[1] - place[0] != size)
        return fail_tensor(r, tensor->name, "its shape needs %lld bytes, its place has %lld",
                           (long long)size, (long long)(place[1] - place[0]));
    if ((uint64_t)place[1] > r->data_bytes) {
        r->status = ftso_error(FTSO_ERROR_DATA,
                               "'%s' is cut short: tensor '%s' ends at byte %lld of the data, of "
                               "which there are %llu",
                               r->path, quote(tensor->name).text, (long long)place[1],
                               (unsigned long long)r->data_bytes);
        return false;
    }
    tensor->size_bytes = (size_t)size;
    return true;
}

static bool read_tensor(reading *r, const char *name)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };
    ftso_safetensors *out = r->out;
    ftso_safetensor tensor = {.name = name};
    int64_t place[2] = {0, 0};
    int seen = 0, offsets = 0;
    if (!want(r, '{')) return false;
    do {
        char *key, *dtype;
        if (!read_text(r, &key) || !want(r, ':')) return false;
        int field = !strcmp(key, "dtype")          ? DTYPE
                    : !strcmp(key, "shape")        ? SHAPE
                    : !strcmp(key, "data_offsets") ? OFFSETS
                                                   : 0;
        if (field == 0) return fail_tensor(r, name, "'%s' is unknown", quote(key).text);
        if (seen & field) return fail_tensor(r, name, "'%s' is given twice", key);
        seen |= field;
        if (field == DTYPE && (!read_text(r, &dtype) || !set_dtype(r, &tensor, dtype)))
            return false;
        if (field == SHAPE && !read_numbers(r, tensor.dim, FTSO_SAFETENSORS_MAX_RANK, &tensor.rank))
            return false;
        if (field == OFFSETS && !read_numbers(r, place, 2, &offsets)) return false;
    } while (take(r, ','));
    if (!want(r, '}')) return false;
    if (seen != ALL || offsets != 2)
        return fail_tensor(r, name, "dtype, shape and two data_offsets are wanted");
    if (!check_place(r, &tensor, place)) return false;
    if (out->tensor_count == FTSO_SAFETENSORS_MAX_TENSORS) {
        r->status = ftso_error(FTSO_ERROR_LIMIT, "'%s' has more than %d tensors", r->path,
                               FTSO_SAFETENSORS_MAX_TENSORS);
        return false;
    }
    if (!grow(r, (void **)&out->tensors, out->tensor_count, &r->tensor_capacity, sizeof(tensor)) ||
        !grow(r, (void **)&r->begins, out->tensor_count, &r->begin_capacity, sizeof(uint64_t)))
        return false;
    /* For now a place in the data; the address comes when the data are there. */
    r->begins[out->tensor_count] = (uint64_t)place[0];
    tensor.data = NULL;
    out->tensors[out->tensor_count++] = tensor;
    return true;
}

static bool read_metadata(reading *r)
{
    ftso_safetensors *out = r->out;
    if (!want(r, '{')) return false;
    if (take(r, '}')) return true;
    do {
        char *key, *value;
        if (!read_text(r, &key) || !want(r, ':') || !read_text(r, &value)) return false;
        if (!grow(r, (void **)&out->metadata, out->metadata_count, &r->metadata_capacity,
                  sizeof(ftso_metadata)))
            return false;
        out->metadata[out->metadata_count++] = (ftso_metadata){key, value};
    } while (take(r, ','));
    return want(r, '}');
}

static bool read_entries(reading *r)
{
    bool metadata = false;
    if (!want(r, '{')) return false;
    if (!take(r, '}')) {
        do {
            char *name;
            if (!read_text(r, &name) || !want(r, ':')) return false;
            if (strcmp(name, "__metadata__") != 0) {
                if (!read_tensor(r, name)) return false;
            } else {
                if (metadata) return fail_at(r, "__metadata__ is given twice");
                metadata = true;
                if (!read_metadata(r)) return false;
            }
        } while (take(r, ','));
        if (!want(r, '}')) return false;
    }
    skip_space(r);
    return r->at == r->end || fail_at(r, "something follows the last '}'");
}

/* ---------------------------------------------------------------- the whole */

typedef struct extent {
    uint64_t begin, end;
    size_t tensor;
} extent;

static int by_place(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return 0;
}

/* That the tensors lie end to end and fill the data. */
static bool check_extents(reading *r, extent *extents)
{
    const ftso_safetensors *out = r->out;
    for (size_t i = 0; i < out->tensor_count; i++)
        extents[i] = (extent){r->begins[i], r->begins[i] + out->tensors[i].size_bytes, i};
    qsort(extents, out->tensor_count, sizeof(extent), by_place);
    uint64_t at = 0;
    for (size_t i = 0; i < out->tensor_count; i++) {
        const char *name = out->tensors[extents[i].tensor].name;
        if (extents[i].begin < at)
            return fail_tensor(r, name, "it overlaps '%s'",
                               quote(i ? out->tensors[extents[i - 1].tensor].name : "").text);
        if (extents[i].begin > at)
            return fail_tensor(r, name, "%llu bytes in front of it belong to no tensor",
                               (unsigned long long)(extents[i].begin - at));
        at = extents[i].end;
    }
    if (at == r->data_bytes) return true;
    r->status = ftso_error(FTSO_ERROR_DATA, "'%s' has %llu bytes behind its last tensor", r->path,
                           (unsigned long long)(r->data_bytes - at));
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ftso_safetensor *)a)->name, ((const ftso_safetensor *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const ftso_metadata *)a)->key, ((const ftso_metadata *)b)->key);
}

static bool check_unique(reading *r)
{
    const ftso_safetensors *out = r->out;
    for (size_t i = 1; i < out->tensor_count; i++)
        if (by_name(&out->tensors[i - 1], &out->tensors[i]) == 0)
            return fail_tensor(r, out->tensors[i].name, "its name is given twice");
    for (size_t i = 1; i < out->metadata_count; i++)
        if (by_key(&out->metadata[i - 1], &out->metadata[i]) == 0) {
            r->status = ftso_error(FTSO_ERROR_DATA, "'%s': metadata '%s' is given twice", r->path,
                                   quote(out->metadata[i].key).text);
            return false;
        }
    return true;
}

/* That the content is what was written, where the writer said so. */
static bool check_sum(reading *r)
{
    const ftso_safetensors *out = r->out;
    const char *said = ftso_safetensors_metadata(out, FTSO_SAFETENSORS_CHECKSUM);
    if (!said) return true;
    uint64_t hash = FTSO_HASH_SEED;
    for (size_t i = 0; i < out->tensor_count; i++)
        hash = ftso_safetensor_hash(hash, &out->tensors[i]);
    for (size_t i = 0; i < out->metadata_count; i++)
        hash = ftso_metadata_hash(hash, &out->metadata[i]);
    char found[17];
    snprintf(found, sizeof(found), "%016llx", (unsigned long long)hash);
    if (strcmp(found, said) == 0) return true;
    r->status = ftso_error(FTSO_ERROR_DATA, "'%s' is damaged: its checksum is %s and says %s",
                           r->path, found, quote(said).text);
    return false;
}

/* Turns places into addresses; tensors and metadata in the order of their names from here on. */
static void settle(ftso_safetensors *out, const uint64_t *begins, const void *data)
{
    for (size_t i = 0; i < out->tensor_count; i++)
        out->tensors[i].data = (const char *)data + begins[i];
    if (out->tensor_count) qsort(out->tensors, out->tensor_count, sizeof(*out->tensors), by_name);
    if (out->metadata_count)
        qsort(out->metadata, out->metadata_count, sizeof(*out->metadata), by_key);
}

static bool read_header(reading *r)
{
    if (!read_entries(r)) return false;
    extent *extents = ftso_mem_alloc((r->out->tensor_count + 1) * sizeof(extent));
    if (!extents) return fail_memory(r);
    bool fits = check_extents(r, extents);
    ftso_mem_free(extents);
    return fits;
}

enum { LENGTH_BYTES = 8 };

/*
 * Length of the header by the first bytes of a file of `length` bytes. What cannot be a header is called by its name,
 * where it has one.
 */
static ftso_status look(const char *path, const unsigned char *bytes, size_t seen, uint64_t length,
                        uint64_t *out_header)
{
    *out_header = 0;
    for (size_t i = 0; i < LENGTH_BYTES && i < seen; i++)
        *out_header |= (uint64_t)bytes[i] << 8 * i;
    bool opens = seen > LENGTH_BYTES && bytes[LENGTH_BYTES] == '{';
    if (opens && *out_header <= FTSO_SAFETENSORS_MAX_HEADER_BYTES &&
        *out_header <= length - LENGTH_BYTES)
        return FTSO_STATUS_OK;
    const char *kind = ftso_sniff(bytes, seen);
    if (length == 0) return ftso_error(FTSO_ERROR_DATA, "'%s' is empty", path);
    if (kind) return ftso_error(FTSO_ERROR_DATA, "'%s' is %s, not a safetensors file", path, kind);
    if (!opens)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is no safetensors file: no header at byte %d of %llu", path,
                          LENGTH_BYTES, (unsigned long long)length);
    if (*out_header > FTSO_SAFETENSORS_MAX_HEADER_BYTES)
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' announces a header of %llu bytes; at most %d are read", path,
                          (unsigned long long)*out_header, FTSO_SAFETENSORS_MAX_HEADER_BYTES);
    return ftso_error(FTSO_ERROR_DATA,
                      "'%s' is cut short: its header has %llu bytes, the file %llu", path,
                      (unsigned long long)*out_header, (unsigned long long)length);
}

/* Reads the header that stands in out->header; `data` may come later (see settle). */
static ftso_status open_header(const char *path, uint64_t header_bytes, uint64_t data_bytes,
                               ftso_safetensors *out, uint64_t **out_begins)
{
    reading r = {.path = path,
                 .start = out->header,
                 .at = out->header,
                 .end = out->header + header_bytes,
                 .data_bytes = data_bytes,
                 .out = out};
    read_header(&r);
    *out_begins = r.begins;
    return r.status;
}

/* Addresses, order, that no name stands twice, and the checksum. */
static ftso_status finish(const char *path, const void *data, const uint64_t *begins,
                          ftso_safetensors *out)
{
    reading r = {.path = path, .out = out};
    settle(out, begins, data);
    if (check_unique(&r)) check_sum(&r);
    return r.status;
}

ftso_status ftso_safetensors_parse(const char *path, const void *bytes, size_t length,
                                   ftso_safetensors *out)
{
    memset(out, 0, sizeof(*out));
    uint64_t header, *begins = NULL;
    FTSO_TRY(look(path, bytes, length, length, &header));
    out->header = ftso_mem_alloc((size_t)header);
    if (!out->header) return ftso_error(FTSO_ERROR_LIMIT, "no memory for the header of '%s'", path);
    const char *data = (const char *)bytes + LENGTH_BYTES + header;
    memcpy(out->header, (const char *)bytes + LENGTH_BYTES, (size_t)header);
    ftso_status status = open_header(path, header, length - LENGTH_BYTES - header, out, &begins);
    if (status.code == FTSO_OK) status = finish(path, data, begins, out);
    ftso_mem_free(begins);
    if (status.code != FTSO_OK) ftso_safetensors_deinit(out);
    return status;
}

static ftso_status take_all(ftso_file *file, void *out, size_t count)
{
    size_t got;
    FTSO_TRY(ftso_file_take(file, out, count, &got));
    if (got < count)
        return ftso_error(FTSO_ERROR_DATA, "'%s' became shorter while it was read", file->path);
    return FTSO_STATUS_OK;
}

static ftso_status read_file(ftso_file *file, ftso_safetensors *out, uint64_t **out_begins)
{
    unsigned char first[512];
    size_t seen;
    uint64_t header;
    FTSO_TRY(ftso_file_take(file, first, sizeof(first), &seen));
    FTSO_TRY(look(file->path, first, seen, file->length, &header));
    size_t left = file->length - LENGTH_BYTES - (size_t)header;
    size_t here = seen - LENGTH_BYTES, of_header = here < header ? here : (size_t)header;
    out->header = ftso_mem_alloc((size_t)header);
    if (!out->header)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for the header of '%s'", file->path);
    memcpy(out->header, first + LENGTH_BYTES, of_header);
    FTSO_TRY(take_all(file, out->header + of_header, (size_t)header - of_header));
    FTSO_TRY(open_header(file->path, header, left, out, out_begins));
    out->bytes = ftso_mem_alloc(left);
    if (!out->bytes)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for the %zu bytes of '%s'", left,
                          file->path);
    size_t of_data = here - of_header < left ? here - of_header : left;
    memcpy(out->bytes, first + LENGTH_BYTES + of_header, of_data);
    FTSO_TRY(take_all(file, (char *)out->bytes + of_data, left - of_data));
    return finish(file->path, out->bytes, *out_begins, out);
}

ftso_status ftso_safetensors_read(const char *path, ftso_safetensors *out)
{
    ftso_file file;
    uint64_t *begins = NULL;
    memset(out, 0, sizeof(*out));
    FTSO_TRY(ftso_file_open(&file, path));
    ftso_status status = read_file(&file, out, &begins);
    ftso_file_close(&file);
    ftso_mem_free(begins);
    if (status.code != FTSO_OK) ftso_safetensors_deinit(out);
    return status;
}

void ftso_safetensors_deinit(ftso_safetensors *file)
{
    ftso_mem_free(file->tensors);
    ftso_mem_free(file->metadata);
    ftso_mem_free(file->header);
    ftso_mem_free(file->bytes);
    memset(file, 0, sizeof(*file));
}

/* ---------------------------------------------------------------- looking */

const ftso_safetensor *ftso_safetensors_find(const ftso_safetensors *file, const char *name)
{
    ftso_safetensor key = {.name = name};
    if (file->tensor_count == 0) return NULL;
    return bsearch(&key, file->tensors, file->tensor_count, sizeof(key), by_name);
}

const char *ftso_safetensors_metadata(const ftso_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
    return NULL;
}

int64_t ftso_safetensor_count(const ftso_safetensor *tensor)
{
    return (int64_t)(tensor->size_bytes / dtypes[tensor->dtype].size_bytes);
}

static float read_f32(const char *at)
{
    float value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static float read_f64(const char *at)
{
    double value;
    memcpy(&value, at, sizeof(value));
    return (float)value;
}

static float read_i64(const char *at)
{
    int64_t value;
    memcpy(&value, at, sizeof(value));
    return (float)value;
}

static float read_bf16(const char *at)
{
    uint16_t half;
    memcpy(&half, at, sizeof(half));
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void ftso_safetensor_floats(const ftso_safetensor *tensor, float *out)
{
    static float (*const readers[])(const char *) = {[FTSO_F32] = read_f32,
                                                     [FTSO_F64] = read_f64,
                                                     [FTSO_I64] = read_i64,
                                                     [FTSO_BF16] = read_bf16};
    const char *at = tensor->data;
    size_t size = dtypes[tensor->dtype].size_bytes, count = tensor->size_bytes / size;
    for (size_t i = 0; i < count; i++) out[i] = readers[tensor->dtype](at + i * size);
}
