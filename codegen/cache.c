/*
 * The disk cache: one file per unit of machine code, named by its key. It holds code only.
 *
 * Layout: header (magic, launch shape, size and hash of what follows), then the object file.
 * Must hold: whatever the file contains, a read gives the unit or says no; writes go to a temporary name first.
 */
#include "codegen/codegen_internal.h"

#include <string.h>

static const char magic[8] = "ftsoobj1";
enum { LARGEST_BYTES = 64 << 20 };

typedef struct header {
    char magic[8];
    char key[40];
    ftso_launch_shape shape;
    uint64_t size, hash;
} header;

static void path_of(const char *folder, const ftso_code_unit *unit, ftso_text *out)
{
    ftso_text_printf(out, "%s/%s.o", folder, unit->key.text);
}

static uint64_t hash_of(const header *head, const char *bytes, size_t length)
{
    header plain = *head;
    plain.hash = 0;
    return ftso_hash(ftso_hash(FTSO_HASH_SEED, &plain, sizeof(plain)), bytes, length);
}

bool ftso_cache_read(const char *folder, ftso_code_unit *unit)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_text path;
    ftso_text_init(&path);
    path_of(folder, unit, &path);
    bool good = false;
    char *bytes;
    size_t length;
    header head;
    if (!ftso_file_exists(ftso_text_get(&path))) goto out;
    unit->was_damaged = true;
    if (ftso_file_read(&arena, ftso_text_get(&path), LARGEST_BYTES, &bytes, &length).code !=
        FTSO_OK)
        goto out;
    if (length < sizeof(head)) goto out;
    memcpy(&head, bytes, sizeof(head));
    if (memcmp(head.magic, magic, sizeof(magic)) != 0 || head.size != length - sizeof(head))
        goto out;
    if (strncmp(head.key, unit->key.text, sizeof(head.key)) != 0) goto out;
    if (hash_of(&head, bytes + sizeof(head), (size_t)head.size) != head.hash) goto out;
    unit->shape = head.shape;
    unit->object = LLVMCreateMemoryBufferWithMemoryRangeCopy(bytes + sizeof(head),
                                                             (size_t)head.size, unit->key.text);
    unit->was_damaged = false;
    good = true;
out:
    ftso_text_deinit(&path);
    ftso_arena_deinit(&arena);
    return good;
}

void ftso_cache_write(const char *folder, const ftso_code_unit *unit)
{
    header head;
    memset(&head, 0, sizeof(head));
    memcpy(head.magic, magic, sizeof(magic));
    memcpy(head.key, unit->key.text, sizeof(unit->key.text));
    memcpy(&head.shape, &unit->shape, sizeof(head.shape));
    head.size = LLVMGetBufferSize(unit->object);
    head.hash = hash_of(&head, LLVMGetBufferStart(unit->object), (size_t)head.size);
    ftso_text path, content;
    ftso_text_init(&path);
    ftso_text_init(&content);
    path_of(folder, unit, &path);
    ftso_text_append(&content, (const char *)&head, sizeof(head));
    ftso_text_append(&content, LLVMGetBufferStart(unit->object), (size_t)head.size);
    if (!content.failed) {
        ftso_status ignored =
            ftso_file_write_atomic(ftso_text_get(&path), content.data, content.length);
        (void)ignored;
    }
    ftso_text_deinit(&content);
    ftso_text_deinit(&path);
}
