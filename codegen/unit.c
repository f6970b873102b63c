/*
 * Units: one region to one object file.
 *
 * In: a region. Out: an object whose functions are named by the unit's key, and its launch.
 * Must hold: the object depends on what the key covers and on nothing else.
 */
#include "codegen/codegen_internal.h"
#include "codegen/emit_llvm.h"

#include "codegen_identity.h" /* generated: FTSO_CODEGEN_IDENTITY */

#include <llvm-c/Analysis.h>
#include <llvm-c/BitWriter.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>

/* Emitters unroll and vectorise themselves; what is left is to clean up, hoist and allocate registers. */
static const char pipeline[] =
    "function(early-cse<memssa>,instcombine<no-verify-fixpoint>,loop-mssa(licm),early-cse<memssa>,"
    "simplifycfg)";

/* Emitters choose addresses, and processors reorder: strength reduction took a quarter of a unit's time, for nothing. */
static const char *const llvm_options[] = {"ftso", "-disable-lsr"};

const char *ftso_codegen_identity(void)
{
    return FTSO_CODEGEN_IDENTITY;
}

ftso_unit_key ftso_unit_key_of(const ftso_compiler_options *options, const ftso_schedule *schedule,
                               const ftso_region *region, const char *identity)
{
    const ftso_target *t = &options->target;
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%s\n%u.%u.%u\n%s\n%s\n%s\n%d %d %d %d %d %d\n%s %s\n%d %d\n", identity,
                     major, minor, patch, t->triple, t->cpu, t->features, t->vector_floats,
                     t->vector_registers, t->has_fma, t->permutes_two, t->has_bf16, t->halves,
                     pipeline, llvm_options[1], options->tuning.pixel_block,
                     options->tuning.channel_block);
    ftso_region_key(schedule, region, &text);
    FTSO_ASSERT(!text.failed);
    uint64_t low = ftso_hash(FTSO_HASH_SEED, text.data, text.length);
    uint64_t high = ftso_hash(~FTSO_HASH_SEED, text.data, text.length);
    ftso_text_deinit(&text);
    ftso_unit_key key;
    snprintf(key.text, sizeof(key.text), "%016llx%016llx", (unsigned long long)high,
             (unsigned long long)low);
    return key;
}

static const ftso_kernel_class *class_of(const ftso_compiler_options *options,
                                         const ftso_region *region)
{
    for (size_t i = 0; i < options->kernels->count; i++)
        if (strcmp(options->kernels->rows[i]->name, region->kernel_class) == 0)
            return options->kernels->rows[i];
    return NULL;
}

void ftso_targets_init(void)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTarget();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmPrinter();
    /* asked again, LLVM keeps the first answer */
    LLVMParseCommandLineOptions(FTSO_COUNT(llvm_options), llvm_options, "");
}

LLVMTargetMachineRef ftso_target_machine(const ftso_target *target)
{
    LLVMTargetRef found;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(target->triple, &found, &message)) {
        LLVMDisposeMessage(message);
        return NULL;
    }
    return LLVMCreateTargetMachine(found, target->triple, target->cpu, target->features,
                                   LLVMCodeGenLevelLess, LLVMRelocPIC, LLVMCodeModelDefault);
}

static void emitter_init(ftso_emitter *e, const ftso_compiler_options *options,
                         const ftso_schedule *schedule, const ftso_region *region, bool narrow,
                         ftso_arena *arena)
{
    memset(e, 0, sizeof(*e));
    e->arena = arena;
    e->target = options->target;
    e->layout = ftso_target_round(&options->target);
    e->pixels = 1;
    if (narrow) {
        ftso_width width = ftso_width_of(&options->target, schedule, region);
        e->target.vector_floats = width.floats;
        e->pixels = width.pixels;
        e->past_caches = width.light;
    }
    e->tuning = options->tuning;
    e->schedule = schedule;
    e->region = region;
    ftso_value *cores = FTSO_ARRAY(
        arena, ftso_value, region->core_count + region->lead_count + region->pool_count + 1);
    for (size_t i = 0; i < region->core_count; i++) cores[e->core_count++] = region->cores[i];
    for (size_t i = 0; i < region->lead_count; i++) cores[e->core_count++] = region->leads[i];
    for (size_t i = 0; i < region->pool_count; i++) cores[e->core_count++] = region->pools[i];
    e->cores = cores;
    e->context = LLVMContextCreate();
    e->module = LLVMModuleCreateWithNameInContext(region->kernel_class, e->context);
    e->builder = LLVMCreateBuilderInContext(e->context);
    e->f32 = LLVMFloatTypeInContext(e->context);
    e->f64 = LLVMDoubleTypeInContext(e->context);
    e->i32 = LLVMInt32TypeInContext(e->context);
    e->i64 = LLVMInt64TypeInContext(e->context);
    e->pointer = LLVMPointerTypeInContext(e->context, 0);
    e->vector = LLVMVectorType(e->f32, (unsigned)e->target.vector_floats);
    e->vector64 = LLVMVectorType(e->f64, (unsigned)e->target.vector_floats);
    e->address = FTSO_ARRAY(arena, LLVMValueRef, schedule->graph->node_count);
    e->uniform = FTSO_ARRAY(arena, uint8_t, schedule->graph->node_count);
}

static ftso_status optimise(ftso_emitter *e, LLVMTargetMachineRef machine)
{
    char *message = NULL;
    if (LLVMVerifyModule(e->module, LLVMReturnStatusAction, &message)) {
        ftso_status status =
            ftso_error(FTSO_ERROR_INTERNAL, "the code of a %s region is malformed: %.300s",
                       e->region->kernel_class, message);
        LLVMDisposeMessage(message);
        return status;
    }
    LLVMDisposeMessage(message);
    LLVMPassBuilderOptionsRef how = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(e->module, pipeline, machine, how);
    LLVMDisposePassBuilderOptions(how);
    if (!error) return FTSO_STATUS_OK;
    char *text = LLVMGetErrorMessage(error);
    ftso_status status = ftso_error(FTSO_ERROR_INTERNAL, "LLVM's passes refuse a %s region: %.300s",
                                    e->region->kernel_class, text);
    LLVMDisposeErrorMessage(text);
    return status;
}

static ftso_status assemble(ftso_emitter *e, LLVMTargetMachineRef machine, LLVMCodeGenFileType kind,
                            LLVMMemoryBufferRef *out)
{
    char *message = NULL;
    if (!LLVMTargetMachineEmitToMemoryBuffer(machine, e->module, kind, &message, out))
        return FTSO_STATUS_OK;
    ftso_status status = ftso_error(FTSO_ERROR_INTERNAL, "LLVM cannot assemble a %s region: %.300s",
                                    e->region->kernel_class, message);
    LLVMDisposeMessage(message);
    return status;
}

static ftso_status append_text(ftso_emitter *e, LLVMTargetMachineRef machine, bool assembly,
                               ftso_text *text)
{
    if (!assembly) {
        char *printed = LLVMPrintModuleToString(e->module);
        ftso_text_puts(text, printed);
        LLVMDisposeMessage(printed);
        return FTSO_STATUS_OK;
    }
    LLVMMemoryBufferRef buffer;
    FTSO_TRY(assemble(e, machine, LLVMAssemblyFile, &buffer));
    ftso_text_append(text, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
    return FTSO_STATUS_OK;
}

ftso_status ftso_unit_make(const ftso_compiler_options *options, const ftso_schedule *schedule,
                           const ftso_region *region, ftso_code_unit *unit, ftso_text *text,
                           bool assembly)
{
    const ftso_kernel_class *class = class_of(options, region);
    if (!class)
        return ftso_error(FTSO_ERROR_INTERNAL, "there is no kernel class '%s'",
                          region->kernel_class);
    LLVMTargetMachineRef machine = ftso_target_machine(&options->target);
    if (!machine)
        return ftso_error(FTSO_ERROR_DEVICE, "this LLVM makes no code for '%s'",
                          options->target.triple);
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_emitter e;
    emitter_init(&e, options, schedule, region, class->narrow, &arena);
    LLVMSetTarget(e.module, options->target.triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(e.module, layout);
    LLVMDisposeTargetData(layout);

    char symbol[40];
    snprintf(symbol, sizeof(symbol), "r%s", unit->key.text);
    double start = ftso_clock_s();
    ftso_status status = class->emit_llvm(&e, schedule, region, symbol, &unit->shape);
    double emitted = ftso_clock_s();
    if (status.code == FTSO_OK) status = optimise(&e, machine);
    if (status.code == FTSO_OK && text)
        status = append_text(&e, machine, assembly, text);
    else if (status.code == FTSO_OK && options->as_text)
        unit->object = LLVMWriteBitcodeToMemoryBuffer(e.module);
    else if (status.code == FTSO_OK)
        status = assemble(&e, machine, LLVMObjectFile, &unit->object);
    unit->emit_s = emitted - start;
    unit->optimise_s = ftso_clock_s() - emitted;

    LLVMDisposeBuilder(e.builder);
    LLVMDisposeModule(e.module);
    LLVMContextDispose(e.context);
    LLVMDisposeTargetMachine(machine);
    ftso_arena_deinit(&arena);
    return status;
}

ftso_status ftso_compile_text(const ftso_compiler_options *options, const ftso_schedule *schedule,
                              bool assembly, ftso_text *out)
{
    ftso_targets_init();
    ftso_unit_key *seen = ftso_mem_alloc(sizeof(*seen) * (schedule->region_count + 1));
    if (!seen)
        return ftso_error(FTSO_ERROR_LIMIT, "no memory for the names of %zu regions",
                          schedule->region_count);
    size_t count = 0;
    ftso_status status = FTSO_STATUS_OK;
    for (size_t i = 0; i < schedule->region_count && status.code == FTSO_OK; i++) {
        ftso_code_unit unit = {.key = ftso_unit_key_of(options, schedule, &schedule->regions[i],
                                                       ftso_codegen_identity())};
        bool known = false;
        for (size_t k = 0; k < count; k++)
            known = known || strcmp(seen[k].text, unit.key.text) == 0;
        if (known) continue;
        seen[count++] = unit.key;
        status = ftso_unit_make(options, schedule, &schedule->regions[i], &unit, out, assembly);
    }
    ftso_mem_free(seen);
    return status;
}
