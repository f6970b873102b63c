/*
 * codegen, inside: units of machine code, how they are made, kept on disk and linked.
 */
#ifndef FTSO_CODEGEN_INTERNAL_H
#define FTSO_CODEGEN_INTERNAL_H

#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

/* Name of a unit: 128 bits of hash over all that its code depends on, in hexadecimal. */
typedef struct ftso_unit_key {
    char text[33];
} ftso_unit_key;

/* The machine code of one unique region: an object file and its launch. */
typedef struct ftso_code_unit {
    ftso_unit_key key;
    ftso_launch_shape shape;
    ftso_kernel_set kernels;
    LLVMMemoryBufferRef object; /* until it is linked; a module where options say as_text */
    bool from_cache, was_damaged;
    double emit_s, optimise_s;
    ftso_status status;
} ftso_code_unit;

/* How many floats a vector of a region has, of how many pixels of its images they are, and whether memory sets its time. */
typedef struct ftso_width {
    int floats, pixels;
    bool light;
} ftso_width;
ftso_width ftso_width_of(const ftso_target *target, const ftso_schedule *schedule,
                         const ftso_region *region);

/* Key of a region for a target: region text, tuning, target, LLVM's version and the code generator's identity. */
ftso_unit_key ftso_unit_key_of(const ftso_compiler_options *options, const ftso_schedule *schedule,
                               const ftso_region *region, const char *identity);

/* Emits, optimises and assembles `region` in a context of its own. With `text`, appends the LLVM text instead (or the
 * assembly), and makes no object. */
ftso_status FTSO_MUST_USE ftso_unit_make(const ftso_compiler_options *options,
                                         const ftso_schedule *schedule, const ftso_region *region,
                                         ftso_code_unit *unit, ftso_text *text, bool assembly);

/* NULL where this LLVM has no such target. The caller disposes of it. */
/* Makes every kind of target that a system row names known to LLVM; may be called again. */
void ftso_targets_init(void);
LLVMTargetMachineRef ftso_target_machine(const ftso_target *target);

/* Reads a unit from the cache folder; false where it is not there or is damaged (was_damaged then). */
bool ftso_cache_read(const char *folder, ftso_code_unit *unit);
/* Best effort: a cache that cannot be written slows the next start, nothing else. */
void ftso_cache_write(const char *folder, const ftso_code_unit *unit);

#endif
