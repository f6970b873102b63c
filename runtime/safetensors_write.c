/*
 * Writing safetensors: the same content gives the same bytes, and a crash leaves the old file or the new one.
 *
 * In: tensors in any order. Out: a file, through base's one place for writing.
 */
#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_ALIGN = 8, LENGTH_BYTES = 8 };

/* A tensor and where its data begin. */
typedef struct row {
    const ftso_safetensor *tensor;
    size_t begin;
} row;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const row *)a)->tensor->name, ((const row *)b)->tensor->name);
}

static int by_width(const void *a, const void *b)
{
    size_t x = ftso_dtype_bytes(((const row *)a)->tensor->dtype);
    size_t y = ftso_dtype_bytes(((const row *)b)->tensor->dtype);
    if (x != y) return x > y ? -1 : 1;
    return by_name(a, b);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const ftso_metadata *const *)a)->key, (*(const ftso_metadata *const *)b)->key);
}

static void put_text(ftso_text *out, const char *text)
{
    static const char letters[] = "\"\\\b\f\n\r\t", meant[] = "\"\\bfnrt";
    size_t left = strlen(text);
    ftso_text_puts(out, "\"");
    while (left) {
        size_t n = ftso_utf8_length((const unsigned char *)text, left);
        const char *escape = strchr(letters, *text);
        if (escape)
            ftso_text_printf(out, "\\%c", meant[escape - letters]);
        else if ((unsigned char)*text < 0x20)
            ftso_text_printf(out, "\\u%04x", (unsigned)*text);
        else if (n == 0)
            ftso_text_puts(out, "\xef\xbf\xbd");
        else
            ftso_text_append(out, text, n);
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    ftso_text_puts(out, "\"");
}

static void put_metadata(ftso_text *out, const ftso_metadata **rows, size_t count)
{
    ftso_text_puts(out, "\"__metadata__\":{");
    for (size_t i = 0; i < count; i++) {
        FTSO_ASSERT(i == 0 || by_key(&rows[i - 1], &rows[i]) < 0);
        ftso_text_puts(out, i ? "," : "");
        put_text(out, rows[i]->key);
        ftso_text_puts(out, ":");
        put_text(out, rows[i]->value);
    }
    ftso_text_puts(out, "}");
}

static void put_tensor(ftso_text *out, const row *r)
{
    const ftso_safetensor *tensor = r->tensor;
    put_text(out, tensor->name);
    ftso_text_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", ftso_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->rank; i++)
        ftso_text_printf(out, "%s%lld", i ? "," : "", (long long)tensor->dim[i]);
    ftso_text_printf(out, "],\"data_offsets\":[%zu,%zu]}", r->begin, r->begin + tensor->size_bytes);
}

/* The header with its length in front; `rows` by name. */
static void put_header(ftso_text *out, const row *rows, size_t count,
                       const ftso_metadata **metadata, size_t metadata_count)
{
    static const char room[LENGTH_BYTES];
    ftso_text_append(out, room, LENGTH_BYTES);
    ftso_text_puts(out, "{");
    put_metadata(out, metadata, metadata_count);
    for (size_t i = 0; i < count; i++) {
        FTSO_ASSERT(rows[i].tensor->name[0] && (i == 0 || by_name(&rows[i - 1], &rows[i]) < 0));
        ftso_text_puts(out, ",");
        put_tensor(out, &rows[i]);
    }
    ftso_text_puts(out, "}");
    while (!out->failed && out->length % HEADER_ALIGN) ftso_text_puts(out, " ");
    if (out->failed) return;
    uint64_t length = out->length - LENGTH_BYTES;
    for (int i = 0; i < LENGTH_BYTES; i++) out->data[i] = (char)(length >> 8 * i & 0xff);
}

/* Memory of one call. */
typedef struct desk {
    row *rows;
    const ftso_metadata **metadata;
    ftso_piece *pieces;
    ftso_text header;
} desk;

static ftso_status write_with(desk *d, const char *path, const ftso_safetensor *tensors,
                              size_t tensor_count, const ftso_metadata *metadata,
                              size_t metadata_count)
{
    d->rows = ftso_mem_alloc((tensor_count + 1) * sizeof(row));
    d->metadata = ftso_mem_alloc((metadata_count + 1) * sizeof(*d->metadata));
    d->pieces = ftso_mem_alloc((tensor_count + 1) * sizeof(ftso_piece));
    if (!d->rows || !d->metadata || !d->pieces)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory to write '%s'", path);
    for (size_t i = 0; i < tensor_count; i++) d->rows[i] = (row){&tensors[i], 0};
    size_t kept = 1; /* one place for the checksum */
    for (size_t i = 0; i < metadata_count; i++)
        if (strcmp(metadata[i].key, FTSO_SAFETENSORS_CHECKSUM) != 0)
            d->metadata[kept++] = &metadata[i];
    qsort(d->rows, tensor_count, sizeof(row), by_width);
    size_t at = 0;
    for (size_t i = 0; i < tensor_count; i++) {
        const ftso_safetensor *tensor = d->rows[i].tensor;
        FTSO_ASSERT(tensor->rank >= 0 && tensor->rank <= FTSO_SAFETENSORS_MAX_RANK);
        d->pieces[i + 1] = (ftso_piece){tensor->data, tensor->size_bytes};
        d->rows[i].begin = at;
        at += tensor->size_bytes;
    }
    qsort(d->rows, tensor_count, sizeof(row), by_name);
    char sum[17];
    const ftso_metadata checksum = {FTSO_SAFETENSORS_CHECKSUM, sum};
    d->metadata[0] = &checksum;
    qsort(d->metadata, kept, sizeof(*d->metadata), by_key);
    uint64_t hash = FTSO_HASH_SEED;
    for (size_t i = 0; i < tensor_count; i++) hash = ftso_safetensor_hash(hash, d->rows[i].tensor);
    for (size_t i = 0; i < kept; i++) hash = ftso_metadata_hash(hash, d->metadata[i]);
    snprintf(sum, sizeof(sum), "%016llx", (unsigned long long)hash);
    put_header(&d->header, d->rows, tensor_count, d->metadata, kept);
    if (d->header.failed) return ftso_error(FTSO_ERROR_LIMIT, "no memory to write '%s'", path);
    d->pieces[0] = (ftso_piece){d->header.data, d->header.length};
    return ftso_file_write_pieces(path, d->pieces, tensor_count + 1);
}

ftso_status ftso_safetensors_write(const char *path, const ftso_safetensor *tensors,
                                   size_t tensor_count, const ftso_metadata *metadata,
                                   size_t metadata_count)
{
    desk d = {NULL, NULL, NULL, {0}};
    ftso_text_init(&d.header);
    ftso_status status = write_with(&d, path, tensors, tensor_count, metadata, metadata_count);
    ftso_text_deinit(&d.header);
    ftso_mem_free(d.pieces);
    ftso_mem_free(d.metadata);
    ftso_mem_free(d.rows);
    return status;
}
