/*
 * What this processor can do, by the names that compilers use for it.
 *
 * In: a list of features. Out: the first that is missing. Holds: a name that is not in the table counts as missing, so that
 * code is never run on a guess.
 */
#include "runtime/artefact.h"

#include <string.h>

/* Names that vector code may need, spelt alike by LLVM and by the C compiler. */
/* clang-format off */
#define FEATURES(X)                                                                                \
    X("sse3") X("ssse3") X("sse4.1") X("sse4.2") X("popcnt") X("avx") X("avx2") X("fma")           \
    X("bmi") X("bmi2") X("f16c") X("lzcnt") X("movbe") X("fma4") X("xop") X("avx512f")             \
    X("avx512bw") X("avx512cd") X("avx512dq") X("avx512vl") X("avx512vnni") X("avx512bf16")        \
    X("avx512ifma") X("avx512vbmi") X("avx512vbmi2") X("avx512bitalg") X("avx512vpopcntdq")        \
    X("avxvnni")
/* clang-format on */

bool ftso_cpu_knows(const char *feature)
{
#define KNOWN(name)                                                                                \
    if (strcmp(feature, name) == 0) return true;
    FEATURES(KNOWN)
#undef KNOWN
    return false;
}

static bool supports(const char *feature)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#define ASK(name)                                                                                  \
    if (strcmp(feature, name) == 0) return __builtin_cpu_supports(name) != 0;
    FEATURES(ASK)
#undef ASK
#endif
    (void)feature;
    return false;
}

bool ftso_cpu_missing(const char *features, char *out, size_t size)
{
    while (*features) {
        size_t length = strcspn(features, ",");
        if (length > 0 && length < size) {
            memcpy(out, features, length);
            out[length] = '\0';
            if (!supports(out)) return true;
        }
        features += length;
        features += *features == ',';
    }
    return false;
}
