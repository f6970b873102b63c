/*
 * What a file is by its first bytes, so that a wrong one is called by its name.
 *
 * Holds: only forms that nothing we read can be mistaken for. CIFAR records may begin with any byte below 100, and with a
 * class below 20; a safetensors file begins with a small number and '{'.
 */
#include "runtime.h"

#include <string.h>

enum { LOOKED_AT = 512 };

static bool starts(const uint8_t *bytes, size_t length, const char *prefix)
{
    size_t n = strlen(prefix);
    if (length < n) return false;
    for (size_t i = 0; i < n; i++) {
        int c = bytes[i];
        if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
        if (c != (unsigned char)prefix[i]) return false;
    }
    return true;
}

static bool contains(const uint8_t *bytes, size_t length, const char *needle)
{
    for (size_t i = 0; i < length; i++)
        if (starts(bytes + i, length - i, needle)) return true;
    return false;
}

static bool is_page(const uint8_t *bytes, size_t length)
{
    size_t i = starts(bytes, length, "\xef\xbb\xbf") ? 3 : 0;
    while (i < length && (bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r'))) i++;
    const uint8_t *text = bytes + i;
    length -= i;
    return starts(text, length, "<!doctype") || starts(text, length, "<html") ||
           starts(text, length, "<head") || starts(text, length, "<?xml") ||
           starts(text, length, "<!--");
}

/* By the name of the archive's first member, which stands after 30 bytes of head. */
static const char *look_at_zip(const uint8_t *bytes, size_t length)
{
    if (length < 30) return "a zip archive";
    size_t name = (size_t)bytes[26] + 256 * (size_t)bytes[27];
    if (name > length - 30) name = 0;
    const uint8_t *end = bytes + 30 + name;
    if (name >= 8 && starts(end - 8, 8, "data.pkl")) return "a PyTorch zip file";
    if (name >= 4 && starts(end - 4, 4, ".npy")) return "a NumPy npz archive";
    return "a zip archive";
}

const char *ftso_sniff(const uint8_t *bytes, size_t length)
{
    static const struct {
        const char *start, *what;
    } starts_with[] = {
        {"version https://git-lfs", "a Git LFS pointer"},
        {"\x1f\x8b", "a gzip file"},
        {"\xfd"
         "7zxz",
         "an xz file"},
        {"gguf", "a GGUF model"},
        {"\x89hdf\r\n\x1a\n", "an HDF5 file"},
    };
    if (length > LOOKED_AT) length = LOOKED_AT;
    for (size_t i = 0; i < FTSO_COUNT(starts_with); i++)
        if (starts(bytes, length, starts_with[i].start)) return starts_with[i].what;
    if (is_page(bytes, length)) return "an HTML page";
    if (length < LOOKED_AT && contains(bytes, length, "/annex/objects/"))
        return "a git-annex pointer";
    if (starts(bytes, length, "pk\x03\x04")) return look_at_zip(bytes, length);
    if (length > 262 && memcmp(bytes + 257, "ustar", 5) == 0) return "a tar archive";
    if (length > 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5) return "a Python pickle";
    return NULL;
}
