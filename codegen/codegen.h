/*
 * codegen: from regions to machine code that the runtime can run.
 *
 * In: a schedule (ir/), a target, the table of kernel classes (handed in by cli/). Out: a program (runtime/).
 * Must hold: equal region keys compile once; a function's text depends on region, target and schedule alone; the disk cache
 * holds code only, and damage heals by compiling again.
 * No llvm-c type shows here: those are in codegen/emit_llvm.h, for the emitters in kernels/.
 */
#ifndef FTSO_CODEGEN_H
#define FTSO_CODEGEN_H

#include "base/base.h"
#include "ir/ir.h"
#include "runtime/artefact.h"
#include "runtime/runtime.h"

/* What code is made for. */
typedef struct ftso_target {
    const char *triple, *cpu, *features; /* LLVM's words */
    int vector_floats;                   /* 4 SSE2 and NEON, 8 AVX2, 16 AVX-512 */
    int vector_registers;                /* 16 or 32 */
    bool has_fma;
    bool permutes_two; /* any lanes of two vectors in one instruction (AVX-512) */
    bool has_bf16;     /* rounds vectors to bf16 in one instruction (AVX-512 BF16) */
    bool halves;       /* takes vectors apart: half of one takes half the time (Zen 4) */
} ftso_target;

/* How it lays out images in memory. */
ftso_round ftso_target_round(const ftso_target *target);

/* The host. */
ftso_status FTSO_MUST_USE ftso_target_host(ftso_arena *arena, ftso_target *out);
/* "native", "x86-64" (SSE2), "x86-64-v2" (SSE4.2), "x86-64-v3" (AVX2), "x86-64-v4" (AVX-512), "znver4". An unknown name lists those known. */
ftso_status FTSO_MUST_USE ftso_target_named(ftso_arena *arena, const char *name, ftso_target *out);
/*
 * Systems other than this one that artefacts are made for. `name` is also how the system's compiler begins
 * ("aarch64-linux-gnu-gcc"); `packages` bring it.
 */
typedef struct ftso_system {
    const char *name, *packages;
    const char
        *decoders; /* packages with which pictures are read there; NULL: Debian 12 has none */
    ftso_target target;
} ftso_system;
const ftso_system *ftso_system_rows(size_t *out_count);
/* The row, or an error that lists the names. */
ftso_status FTSO_MUST_USE ftso_system_find(const char *name, const ftso_system **out);
/* Whether this machine can run the target's code; the reason if not. */
bool ftso_target_runs_here(const ftso_target *target, ftso_text *why);

/* Features that the target's code may use, "avx2,fma", in the words of ftso_cpu_missing; in `arena`. */
const char *ftso_target_needs(ftso_arena *arena, const ftso_target *target);

/*
 * What may vary without changing any result: forced by tests, chosen by the cost model otherwise (0: choose).
 */
typedef struct ftso_tuning {
    int pixel_block;   /* rows of pixels in a register block */
    int channel_block; /* vectors of output channels in a register block */
} ftso_tuning;

struct ftso_emitter; /* codegen/emit_llvm.h */

/* How a launch of a region is cut up and how much memory it needs; a function of shapes and target alone. */
typedef struct ftso_launch_shape {
    int64_t images_per_item, fixed_items, finish_items;
    int64_t shared_bytes, scratch_bytes;
    int64_t parts; /* of an image, where one image is several items; else 0 or 1 */
    bool has_prepare, has_finish;
} ftso_launch_shape;

/* One class of kernel: a folder of kernels/, one record. A class has one emitter per kind of target. */
typedef struct ftso_kernel_class {
    const char *name; /* as ftso_op.kernel_class and ftso_region.kernel_class name it */
    const char *doc;
    bool narrow; /* emits for vectors as narrow as the region's images, too */
    /* Emits <symbol>_prepare, _body, _finish as far as has_* say, and fills in the launch's shape. */
    ftso_status (*emit_llvm)(struct ftso_emitter *emitter, const ftso_schedule *schedule,
                             const ftso_region *region, const char *symbol,
                             ftso_launch_shape *out_shape);
} ftso_kernel_class;

typedef struct ftso_kernel_table {
    const ftso_kernel_class *const *rows;
    size_t count;
} ftso_kernel_table;

typedef struct ftso_compiler_options {
    ftso_target target;
    ftso_tuning tuning;
    int threads;           /* that compile; 0: one per processor */
    const char *cache_dir; /* NULL: no disk cache */
    const ftso_kernel_table *kernels;
    const char *
        identity; /* of the code generator, part of cache keys; NULL: this build's (tests give others) */
    /*
     * Ahead of time: code stays in object files (ftso_compiler_objects) and is not linked into this process. A program's
     * kernels then hold, in place of addresses, their symbols' names (const char *), which live as long as the compiler.
     */
    bool ahead;
    /* With `ahead`: units stay as they are before they are assembled, for ftso_compiler_text. Nothing is cached then. */
    bool as_text;
} ftso_compiler_options;

/* Counts and times, for --time and for tests of the cache. */
typedef struct ftso_compile_report {
    int64_t regions, unique_regions, cache_hits, cache_damaged;
    double emit_s, optimise_s, link_s, total_s;
} ftso_compile_report;

/* Owns the JIT and all machine code; programs made by it die with it. Thread-safe for one call at a time. */
typedef struct ftso_compiler ftso_compiler;
ftso_status FTSO_MUST_USE ftso_compiler_new(const ftso_compiler_options *options,
                                            ftso_compiler **out_compiler);
void ftso_compiler_free(ftso_compiler *compiler);

/*
 * Compiles a schedule to a program in `arena`. Inputs, states and outputs become slots by name.
 * Regions that an earlier program of this compiler already has are not compiled again.
 */
ftso_status FTSO_MUST_USE ftso_compile(ftso_compiler *compiler, ftso_arena *arena,
                                       const ftso_schedule *schedule, ftso_program **out_program,
                                       ftso_compile_report *report);

/* Hash over the code generator's sources: this build's. */
const char *ftso_codegen_identity(void);

/* ---------------------------------------------------------------- ahead of time */

/* A file for a linker. `name` has no folder and no suffix. */
typedef struct ftso_object {
    const char *name;
    const void *bytes;
    size_t size_bytes;
} ftso_object;

/* The units of a compiler that works ahead of time, each once, in the order they were first asked for. Their bytes are the compiler's. */
const ftso_object *ftso_compiler_objects(const ftso_compiler *compiler, ftso_arena *arena,
                                         size_t *out_count);
/*
 * The units of compilers that work ahead of time with `as_text`, each once, as one module of LLVM's text: functions in the
 * order of ftso_compiler_objects, each naming its processor, so that any LLVM of this version makes objects of it. All
 * compilers are for one triple. Appends to `out`.
 */
ftso_status FTSO_MUST_USE ftso_compiler_text(ftso_compiler *const *compilers, size_t count,
                                             ftso_text *out);
/*
 * One more object: `artefact` and all that it points to as data, under the symbol FTSO_ARTEFACT_SYMBOL; its programs come
 * from compilers that work ahead of time. Weights, record and the like lie in sections of their own, whose names
 * FTSO_SECTION_* say. The bytes are in `arena`.
 */
ftso_status FTSO_MUST_USE ftso_artefact_object(ftso_arena *arena, const ftso_target *target,
                                               const ftso_artefact *artefact,
                                               ftso_object *out_object);

/* The layout that CPU programs use: bytes that a value takes, channels of images rounded up to the vector width. */
int64_t ftso_layout_bytes(const ftso_target *target, ftso_shape shape, ftso_element element);

/* LLVM text of every unique region of the schedule, in order (for --dump=llvm and goldens); assembly with `assembly`. */
ftso_status FTSO_MUST_USE ftso_compile_text(const ftso_compiler_options *options,
                                            const ftso_schedule *schedule, bool assembly,
                                            ftso_text *out);

#endif
