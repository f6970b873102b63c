/*
 * Targets: which processor code is made for, and whether this one can run it.
 * Must hold: nothing measured on a machine gets into a target but its name and features, for tiles follow from these.
 */
#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include <string.h>

static bool has(const char *features, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = features; (at = strstr(at, name)); at += length)
        if (at > features && at[-1] == '+' && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

static const char *owned(ftso_arena *arena, char *text)
{
    const char *copy = ftso_strdup(arena, text);
    LLVMDisposeMessage(text);
    return copy;
}

ftso_status ftso_target_host(ftso_arena *arena, ftso_target *out)
{
    memset(out, 0, sizeof(*out));
    out->triple = owned(arena, LLVMGetDefaultTargetTriple());
    out->cpu = owned(arena, LLVMGetHostCPUName());
    out->features = owned(arena, LLVMGetHostCPUFeatures());
    if (strncmp(out->triple, "x86_64", 6) != 0)
        return ftso_error(FTSO_ERROR_DEVICE,
                          "code is made for x86-64 processors only; this one is '%s'", out->triple);
    bool avx512 = has(out->features, "avx512f") && has(out->features, "avx512vl") &&
                  has(out->features, "avx512dq");
    bool avx2 = has(out->features, "avx2") && has(out->features, "fma");
    out->vector_floats = avx512 ? 16 : avx2 ? 8 : 4;
    out->vector_registers = avx512 ? 32 : 16;
    out->has_fma = avx512 || avx2;
    out->permutes_two = avx512;
    out->has_bf16 = avx512 && has(out->features, "avx512bf16");
    out->halves = avx512 && strcmp(out->cpu, "znver4") == 0;
    return FTSO_STATUS_OK;
}

/* The x86-64 levels that differ in vector width, and a processor that takes the widest apart. `needs`: of such a machine. */
static const struct {
    const char *name, *features;
    int vector_floats, vector_registers;
    bool has_fma, permutes_two, has_bf16, halves;
    const char *needs[12];
} levels[] = {
    {"x86-64", "+sse2", 4, 16, .needs = {0}},
    {"x86-64-v2", "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt", 4, 16,
     .needs = {"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"}},
    {"x86-64-v3", "+avx2,+fma", 8, 16, .has_fma = true,
     .needs = {"avx", "avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe"}},
    {"x86-64-v4", "+avx2,+fma,+avx512f,+avx512bw,+avx512dq,+avx512vl", 16, 32, .has_fma = true,
     .permutes_two = true, .needs = {"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}},
    {"znver4", "+avx2,+fma,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512bf16", 16, 32,
     .has_fma = true, .permutes_two = true, .has_bf16 = true, .halves = true,
     .needs = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16", "avx512ifma",
               "avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512bitalg", "avx512vpopcntdq"}},
};

ftso_status ftso_target_named(ftso_arena *arena, const char *name, ftso_target *out)
{
    FTSO_TRY(ftso_target_host(arena, out));
    if (strcmp(name, "native") == 0) return FTSO_STATUS_OK;
    for (size_t i = 0; i < FTSO_COUNT(levels); i++) {
        if (strcmp(levels[i].name, name) != 0) continue;
        out->cpu = levels[i].name;
        out->features = levels[i].features;
        out->vector_floats = levels[i].vector_floats;
        out->vector_registers = levels[i].vector_registers;
        out->has_fma = levels[i].has_fma;
        out->permutes_two = levels[i].permutes_two;
        out->has_bf16 = levels[i].has_bf16;
        out->halves = levels[i].halves;
        return FTSO_STATUS_OK;
    }
    return ftso_error(
        FTSO_ERROR_USAGE,
        "there is no processor '%s'; there are native, x86-64, x86-64-v2, x86-64-v3, x86-64-v4 and "
        "znver4",
        name);
}

/*
 * Baselines. RISC-V has vectors in an extension only, which the baseline lacks: LLVM takes our vectors apart there, into as
 * many registers as there are.
 */
static const ftso_system systems[] = {
    {"aarch64-linux-gnu",
     "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
     "libturbojpeg0-dev:arm64 libpng-dev:arm64 zlib1g-dev:arm64",
     {"aarch64-unknown-linux-gnu", "generic", "+neon", 4, 32, .has_fma = true}},
    {"riscv64-linux-gnu",
     "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
     NULL,
     {"riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c", 4, 32, .has_fma = true}},
};

const ftso_system *ftso_system_rows(size_t *out_count)
{
    *out_count = FTSO_COUNT(systems);
    return systems;
}

ftso_status ftso_system_find(const char *name, const ftso_system **out)
{
    char list[120] = "";
    for (size_t i = 0; i < FTSO_COUNT(systems); i++) {
        *out = &systems[i];
        if (strcmp(systems[i].name, name) == 0) return FTSO_STATUS_OK;
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? " and " : "",
                 systems[i].name);
    }
    return ftso_error(FTSO_ERROR_USAGE,
                      "there is no target '%s'; besides this machine there are %s", name, list);
}

/* Whether both triples begin with the same architecture. */
static bool same_machine(const char *a, const char *b)
{
    size_t length = strcspn(a, "-");
    return length == strcspn(b, "-") && strncmp(a, b, length) == 0;
}

bool ftso_target_runs_here(const ftso_target *target, ftso_text *why)
{
    char *triple = LLVMGetDefaultTargetTriple();
    bool same = same_machine(triple, target->triple);
    if (!same && why)
        ftso_text_printf(why, "this is %s and the code is for %s", triple, target->triple);
    LLVMDisposeMessage(triple);
    if (!same) return false;
    char *host = LLVMGetHostCPUFeatures();
    const char *missing = NULL;
    for (size_t i = 0; i < FTSO_COUNT(levels); i++) {
        if (strcmp(levels[i].name, target->cpu) != 0) continue;
        for (size_t k = 0; k < FTSO_COUNT(levels[i].needs) && levels[i].needs[k]; k++)
            if (!missing && !has(host, levels[i].needs[k])) missing = levels[i].needs[k];
    }
    if (missing && why)
        ftso_text_printf(why, "this processor has no %s, which %s code needs", missing,
                         target->cpu);
    LLVMDisposeMessage(host);
    return !missing;
}

/* Of a level its own list; of any other target what its features say and a running program can ask about. */
const char *ftso_target_needs(ftso_arena *arena, const ftso_target *target)
{
    const char *list = "";
    for (size_t i = 0; i < FTSO_COUNT(levels); i++) {
        if (strcmp(levels[i].name, target->cpu) != 0) continue;
        for (size_t k = 0; k < FTSO_COUNT(levels[i].needs) && levels[i].needs[k]; k++)
            list = ftso_format(arena, "%s%s%s", list, k ? "," : "", levels[i].needs[k]);
        return list;
    }
    for (const char *at = target->features; *at;) {
        size_t length = strcspn(at, ",");
        const char *name = ftso_strndup(arena, at + 1, length > 0 ? length - 1 : 0);
        if (*at == '+' && ftso_cpu_knows(name))
            list = ftso_format(arena, "%s%s%s", list, *list ? "," : "", name);
        at += length;
        at += *at == ',';
    }
    return list;
}

enum { SLACK_LINES = 2, LINE_BYTES = 64 };

ftso_round ftso_target_round(const ftso_target *target)
{
    int64_t vector = target->vector_floats;
    return (ftso_round){vector, target->halves ? vector / 2 : vector};
}

int64_t ftso_layout_bytes(const ftso_target *target, ftso_shape shape, ftso_element element)
{
    int64_t count = 1;
    for (int d = 0; d < shape.rank; d++) count *= shape.dim[d];
    if (shape.rank == 4 && shape.batched)
        count = count / shape.dim[1] *
                ftso_stored_channels(shape.dim[1], shape.dim[2] * shape.dim[3],
                                     ftso_target_round(target));
    /* whole vectors may be loaded, and shifted ones, from the last element on */
    return count * ftso_element_bytes(element) + SLACK_LINES * LINE_BYTES;
}
