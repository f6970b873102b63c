/*
 * Sections of ELF files, by name: what `ftso verify` and a self-test read from an artefact.
 *
 * In: the bytes of an executable, a shared or relocatable object, or an archive that holds one. Out: where a section lies.
 * Holds: no byte of the file is believed; what does not fit is not found. Files of 64 bits in this machine's byte order.
 */
#include "runtime/artefact.h"

#include <elf.h>
#include <string.h>

enum {
    ARCHIVE_MAGIC_BYTES = 8,
    MEMBER_HEAD_BYTES = 60,
    MEMBER_SIZE_AT = 48,
    MEMBER_SIZE_BYTES = 10
};

/* `count` bytes at `at` lie in a file of `size`. */
static bool fits(size_t size, size_t at, size_t count)
{
    return at <= size && count <= size - at;
}

/* Section header number `index`. */
static bool header_at(const char *file, size_t size, const Elf64_Ehdr *head, size_t index,
                      Elf64_Shdr *out)
{
    size_t at;
    if (head->e_shentsize != sizeof(*out) || index >= head->e_shnum) return false;
    if (!ftso_size_add(head->e_shoff, index * sizeof(*out), &at)) return false;
    if (!fits(size, at, sizeof(*out))) return false;
    memcpy(out, file + at, sizeof(*out));
    return out->sh_type == SHT_NOBITS || fits(size, out->sh_offset, out->sh_size);
}

static bool find_in_object(const char *file, size_t size, const char *name, size_t *out_at,
                           size_t *out_size)
{
    Elf64_Ehdr head;
    if (size < sizeof(head)) return false;
    memcpy(&head, file, sizeof(head));
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64)
        return false;
    Elf64_Shdr names, section;
    if (!header_at(file, size, &head, head.e_shstrndx, &names)) return false;
    size_t length = strlen(name) + 1;
    for (size_t i = 1; i < head.e_shnum; i++) {
        if (!header_at(file, size, &head, i, &section)) return false;
        if (section.sh_type != SHT_PROGBITS || !fits(names.sh_size, section.sh_name, length))
            continue;
        if (memcmp(file + names.sh_offset + section.sh_name, name, length) != 0) continue;
        *out_at = section.sh_offset;
        *out_size = section.sh_size;
        return true;
    }
    return false;
}

/* Decimal digits, padded with blanks. */
static bool member_size(const char *head, size_t *out)
{
    *out = 0;
    for (int i = 0; i < MEMBER_SIZE_BYTES; i++) {
        char c = head[MEMBER_SIZE_AT + i];
        if (c == ' ') return i > 0;
        if (c < '0' || c > '9') return false;
        *out = *out * 10 + (size_t)(c - '0');
    }
    return true;
}

bool ftso_section_find(const void *file, size_t size, const char *name, size_t *out_at,
                       size_t *out_size)
{
    const char *bytes = file;
    if (size < ARCHIVE_MAGIC_BYTES || memcmp(bytes, "!<arch>\n", ARCHIVE_MAGIC_BYTES) != 0)
        return find_in_object(bytes, size, name, out_at, out_size);
    size_t at = ARCHIVE_MAGIC_BYTES, length;
    while (fits(size, at, MEMBER_HEAD_BYTES) && member_size(bytes + at, &length)) {
        at += MEMBER_HEAD_BYTES;
        if (!fits(size, at, length)) return false;
        if (find_in_object(bytes + at, length, name, out_at, out_size)) {
            *out_at += at;
            return true;
        }
        at += length + length % 2;
    }
    return false;
}

bool ftso_seal_find(const void *file, size_t size, size_t *out_at)
{
    size_t length;
    return ftso_section_find(file, size, FTSO_SECTION_SEAL, out_at, &length) &&
           length == sizeof(ftso_seal);
}

uint64_t ftso_seal_hash(const void *file, size_t size, size_t at)
{
    static const uint64_t none;
    size_t hash_at = at + offsetof(ftso_seal, hash);
    const char *bytes = file;
    uint64_t hash = ftso_hash(FTSO_HASH_SEED, bytes, hash_at);
    hash = ftso_hash(hash, &none, sizeof(none));
    return ftso_hash(hash, bytes + hash_at + sizeof(none), size - hash_at - sizeof(none));
}
