/*
 * What a file is that is no artefact, or no whole one.
 *
 * In: the bytes of a file in which ftso's sections were not found. Out: an error that calls it by its name. Holds: no byte of
 * the file is believed.
 */
#include "cli/build.h"

#include <elf.h>
#include <string.h>

static bool begins(const char *bytes, size_t size, const char *with)
{
    size_t length = strlen(with);
    return size >= length && memcmp(bytes, with, length) == 0;
}

/* Object files of this machine's form only: others are told apart and not looked into. */
static ftso_status look_into_elf(const char *path, const char *section, const char *bytes,
                                 size_t size)
{
    Elf64_Ehdr head;
    if (size > EI_DATA && (bytes[EI_CLASS] != ELFCLASS64 || bytes[EI_DATA] != ELFDATA2LSB))
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is an ELF file of 32 bits or with big-endian numbers: ftso builds "
                          "no such file",
                          path);
    if (size >= sizeof(head)) {
        memcpy(&head, bytes, sizeof(head));
        uint64_t table = (uint64_t)head.e_shnum * sizeof(Elf64_Shdr);
        if (head.e_shoff <= size && table <= size - head.e_shoff)
            return ftso_error(FTSO_ERROR_DATA,
                              "'%s' is an ELF file without the section %s: ftso did not build it, "
                              "or it was stripped of its sections",
                              path, section);
    }
    return ftso_error(FTSO_ERROR_DATA,
                      "'%s' is cut short: an ELF file whose %zu bytes end before its sections do",
                      path, size);
}

ftso_status ftso_build_no_artefact(const char *path, const char *section, const char *bytes,
                                   size_t size)
{
    if (size == 0) return ftso_error(FTSO_ERROR_DATA, "'%s' is empty", path);
    if (begins(bytes, size, ELFMAG)) return look_into_elf(path, section, bytes, size);
    if (begins(bytes, size, "!<arch>\n"))
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is an archive without an artefact in it, or one that is cut short",
                          path);
    if (begins(bytes, size, FTSO_CODE_TEXT))
        return ftso_error(FTSO_ERROR_DATA,
                          "'%s' is the code of a network as text: it has no weights to be run with",
                          path);
    const char *look = ftso_sniff((const uint8_t *)bytes, size);
    return ftso_error(FTSO_ERROR_DATA,
                      "'%s' is %s%sneither an executable, nor a library, nor an object file", path,
                      look ? look : "", look ? ", " : "");
}
