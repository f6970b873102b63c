/*
 * An artefact as an object file: its records as constant data, field by field, pointers as relocations.
 *
 * In: a record of runtime/artefact.h, whose programs were compiled ahead of time. Out: one object.
 * Must hold: every byte of every record is described below or is padding (checked when it is written), so that a new
 * field is one line here and a forgotten one cannot be shipped. Equal records give equal bytes.
 */
#include "codegen/codegen_internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <string.h>

/* How a field is written. Counts are size_t or int64_t fields of the same record. */
typedef enum field_kind {
    PLAIN,   /* its bytes */
    TEXT,    /* const char *: a string, or NULL */
    KERNEL,  /* the name of a symbol in place of its address, or NULL */
    RECORDS, /* pointer to `count` records of kind `of`; one record where there is no count */
    TEXTS,   /* pointer to `count` strings */
    BYTES /* pointer to `count` elements of `element_bytes` each, in `section` where one is given */
} field_kind;

typedef struct record record;

typedef struct field {
    field_kind kind;
    size_t offset, size_bytes;
    const record *of;
    bool counted;
    size_t count_offset, element_bytes;
    const char *section;
} field;

struct record {
    const char *name;
    size_t size_bytes;
    const field *fields;
    size_t field_count;
    const char *section; /* of a record that lies alone */
};

#define AT(type, member) .offset = offsetof(type, member), .size_bytes = sizeof(((type *)0)->member)
#define COUNT(type, member) .counted = true, .count_offset = offsetof(type, member)
#define RECORD(type, table)                                                                        \
    {                                                                                              \
#type, sizeof(type), table, FTSO_COUNT(table), NULL                                        \
    }

static const field buffer_fields[] = {{PLAIN, AT(ftso_buffer, state)},
                                      {PLAIN, AT(ftso_buffer, offset_bytes)}};
static const record buffer_record = RECORD(ftso_buffer, buffer_fields);

static const field state_fields[] = {{TEXT, AT(ftso_program_state, name)},
                                     {PLAIN, AT(ftso_program_state, size_bytes)}};
static const record state_record = RECORD(ftso_program_state, state_fields);

static const field launch_fields[] = {
    {KERNEL, AT(ftso_launch, kernels.prepare)},
    {KERNEL, AT(ftso_launch, kernels.body)},
    {KERNEL, AT(ftso_launch, kernels.finish)},
    {PLAIN, AT(ftso_launch, kernels.images_per_item)},
    {PLAIN, AT(ftso_launch, kernels.fixed_items)},
    {PLAIN, AT(ftso_launch, kernels.finish_items)},
    {PLAIN, AT(ftso_launch, kernels.shared_bytes)},
    {PLAIN, AT(ftso_launch, kernels.scratch_bytes)},
    {PLAIN, AT(ftso_launch, kernels.parts)},
    {RECORDS, AT(ftso_launch, buffers), &buffer_record, COUNT(ftso_launch, buffer_count)},
    {PLAIN, AT(ftso_launch, buffer_count)},
    {TEXT, AT(ftso_launch, label)},
    {PLAIN, AT(ftso_launch, flops)},
    {PLAIN, AT(ftso_launch, bytes)},
    {PLAIN, AT(ftso_launch, least_bytes)},
    {PLAIN, AT(ftso_launch, once)},
    {PLAIN, AT(ftso_launch, prepared_once)},
    {PLAIN, AT(ftso_launch, kept_offset_bytes)},
};
static const record launch_record = RECORD(ftso_launch, launch_fields);

static const field copy_fields[] = {
    {PLAIN, AT(ftso_copy, from.state)}, {PLAIN, AT(ftso_copy, from.offset_bytes)},
    {PLAIN, AT(ftso_copy, to.state)},   {PLAIN, AT(ftso_copy, to.offset_bytes)},
    {PLAIN, AT(ftso_copy, size_bytes)},
};
static const record copy_record = RECORD(ftso_copy, copy_fields);

static const field slot_fields[] = {
    {TEXT, AT(ftso_slot, name)},
    {PLAIN, AT(ftso_slot, place.state)},
    {PLAIN, AT(ftso_slot, place.offset_bytes)},
    {PLAIN, AT(ftso_slot, rank)},
    {PLAIN, AT(ftso_slot, batched)},
    {PLAIN, AT(ftso_slot, dim)},
    {PLAIN, AT(ftso_slot, is_input)},
    {PLAIN, AT(ftso_slot, is_state)},
    {PLAIN, AT(ftso_slot, is_output)},
};
static const record slot_record = RECORD(ftso_slot, slot_fields);

static const field fill_fields[] = {{PLAIN, AT(ftso_fill, offset_bytes)},
                                    {PLAIN, AT(ftso_fill, count)},
                                    {PLAIN, AT(ftso_fill, value)}};
static const record fill_record = RECORD(ftso_fill, fill_fields);

static const field program_fields[] = {
    {RECORDS, AT(ftso_program, launches), &launch_record, COUNT(ftso_program, launch_count)},
    {PLAIN, AT(ftso_program, launch_count)},
    {RECORDS, AT(ftso_program, states), &state_record, COUNT(ftso_program, state_count)},
    {PLAIN, AT(ftso_program, state_count)},
    {RECORDS, AT(ftso_program, slots), &slot_record, COUNT(ftso_program, slot_count)},
    {PLAIN, AT(ftso_program, slot_count)},
    {RECORDS, AT(ftso_program, copies), &copy_record, COUNT(ftso_program, copy_count)},
    {PLAIN, AT(ftso_program, copy_count)},
    {RECORDS, AT(ftso_program, fills), &fill_record, COUNT(ftso_program, fill_count)},
    {PLAIN, AT(ftso_program, fill_count)},
    {PLAIN, AT(ftso_program, arena_bytes)},
    {PLAIN, AT(ftso_program, kept_bytes)},
    {PLAIN, AT(ftso_program, planned_batch)},
    {PLAIN, AT(ftso_program, images_apart)},
    {PLAIN, AT(ftso_program, channel_round.vector)},
    {PLAIN, AT(ftso_program, channel_round.step)},
};
static const record program_record = RECORD(ftso_program, program_fields);

static const field code_fields[] = {{TEXT, AT(ftso_artefact_code, cpu)},
                                    {TEXT, AT(ftso_artefact_code, features)},
                                    {RECORDS, AT(ftso_artefact_code, program), &program_record},
                                    {RECORDS, AT(ftso_artefact_code, step), &program_record}};
static const record code_record = RECORD(ftso_artefact_code, code_fields);

static const field parameter_fields[] = {
    {TEXT, AT(ftso_parameter, name)},       {TEXT, AT(ftso_parameter, module)},
    {PLAIN, AT(ftso_parameter, is_matrix)}, {PLAIN, AT(ftso_parameter, rank)},
    {PLAIN, AT(ftso_parameter, dim)},       {PLAIN, AT(ftso_parameter, offset)},
    {PLAIN, AT(ftso_parameter, fan_in)},    {PLAIN, AT(ftso_parameter, fill)},
};
static const record parameter_record = RECORD(ftso_parameter, parameter_fields);

static const field content_fields[] = {
    {TEXT, AT(ftso_artefact_state, name)},
    {BYTES, AT(ftso_artefact_state, data), NULL, COUNT(ftso_artefact_state, size_bytes), 1,
     FTSO_SECTION_WEIGHTS},
    {PLAIN, AT(ftso_artefact_state, size_bytes)},
    {RECORDS, AT(ftso_artefact_state, table), &parameter_record,
     COUNT(ftso_artefact_state, table_count)},
    {PLAIN, AT(ftso_artefact_state, table_count)},
};
static const record content_record = RECORD(ftso_artefact_state, content_fields);

static const field seal_fields[] = {
    {PLAIN, AT(ftso_seal, magic)}, {PLAIN, AT(ftso_seal, hash)}, {PLAIN, AT(ftso_seal, key)}};
static const record seal_record = {"ftso_seal", sizeof(ftso_seal), seal_fields,
                                   FTSO_COUNT(seal_fields), FTSO_SECTION_SEAL};

static const field recipe_fields[] = {
    {PLAIN, AT(ftso_recipe, epochs)},      {PLAIN, AT(ftso_recipe, batch)},
    {PLAIN, AT(ftso_recipe, classes)},     {PLAIN, AT(ftso_recipe, channels)},
    {PLAIN, AT(ftso_recipe, side)},        {PLAIN, AT(ftso_recipe, rate.kind)},
    {PLAIN, AT(ftso_recipe, rate.first)},  {PLAIN, AT(ftso_recipe, rate.last)},
    {PLAIN, AT(ftso_recipe, rate.warmup)}, {PLAIN, AT(ftso_recipe, rate.tail)},
    {PLAIN, AT(ftso_recipe, beta1)},       {PLAIN, AT(ftso_recipe, beta2)},
    {PLAIN, AT(ftso_recipe, drop_path)},   {PLAIN, AT(ftso_recipe, drop_count)},
    {PLAIN, AT(ftso_recipe, least_batch)}, {PLAIN, AT(ftso_recipe, seed)},
};
static const record recipe_record = RECORD(ftso_recipe, recipe_fields);

static const field metadata_fields[] = {{TEXT, AT(ftso_metadata, key)},
                                        {TEXT, AT(ftso_metadata, value)}};
static const record metadata_record = RECORD(ftso_metadata, metadata_fields);

static const field trainer_fields[] = {
    {TEXT, AT(ftso_trainer, recipe_name)},
    {TEXT, AT(ftso_trainer, dataset)},
    {TEXT, AT(ftso_trainer, kind)},
    {PLAIN, AT(ftso_trainer, named)},
    {TEXT, AT(ftso_trainer, transform)},
    {RECORDS, AT(ftso_trainer, recipe), &recipe_record},
    {TEXTS, AT(ftso_trainer, moments), NULL, COUNT(ftso_trainer, moment_count)},
    {PLAIN, AT(ftso_trainer, moment_count)},
    {BYTES, AT(ftso_trainer, moment_starts), NULL, COUNT(ftso_trainer, moment_start_count),
     sizeof(double)},
    {PLAIN, AT(ftso_trainer, moment_start_count)},
    {RECORDS, AT(ftso_trainer, metadata), &metadata_record, COUNT(ftso_trainer, metadata_count)},
    {PLAIN, AT(ftso_trainer, metadata_count)},
    {PLAIN, AT(ftso_trainer, keep)},
    {PLAIN, AT(ftso_trainer, save_steps)},
    {PLAIN, AT(ftso_trainer, layout)},
    {PLAIN, AT(ftso_trainer, step_hash)},
    {PLAIN, AT(ftso_trainer, test_rate)},
    {BYTES, AT(ftso_trainer, test_step), NULL, COUNT(ftso_trainer, test_step_count),
     sizeof(ftso_step_row), FTSO_SECTION_TEST_STEP},
    {PLAIN, AT(ftso_trainer, test_step_count)},
};
static const record trainer_record = RECORD(ftso_trainer, trainer_fields);

static const field artefact_fields[] = {
    {TEXT, AT(ftso_artefact, name)},
    {TEXT, AT(ftso_artefact, genotype_hash)},
    {TEXT, AT(ftso_artefact, record), .section = FTSO_SECTION_RECORD},
    {RECORDS, AT(ftso_artefact, seal), &seal_record},
    {RECORDS, AT(ftso_artefact, codes), &code_record, COUNT(ftso_artefact, code_count)},
    {PLAIN, AT(ftso_artefact, code_count)},
    {RECORDS, AT(ftso_artefact, states), &content_record, COUNT(ftso_artefact, state_count)},
    {PLAIN, AT(ftso_artefact, state_count)},
    {PLAIN, AT(ftso_artefact, channels)},
    {PLAIN, AT(ftso_artefact, height)},
    {PLAIN, AT(ftso_artefact, width)},
    {TEXT, AT(ftso_artefact, transform)},
    {TEXTS, AT(ftso_artefact, classes), NULL, COUNT(ftso_artefact, class_count)},
    {PLAIN, AT(ftso_artefact, class_count)},
    {BYTES, AT(ftso_artefact, test_images), NULL, COUNT(ftso_artefact, test_image_bytes), 1,
     FTSO_SECTION_TEST_INPUT},
    {PLAIN, AT(ftso_artefact, test_image_bytes)},
    {BYTES, AT(ftso_artefact, test_logits), NULL, COUNT(ftso_artefact, test_logit_bytes), 1,
     FTSO_SECTION_TEST_OUTPUT},
    {PLAIN, AT(ftso_artefact, test_logit_bytes)},
    {PLAIN, AT(ftso_artefact, test_count)},
    {PLAIN, AT(ftso_artefact, test_tolerance)},
    {BYTES, AT(ftso_artefact, graph), NULL, COUNT(ftso_artefact, graph_bytes), 1,
     FTSO_SECTION_GRAPH},
    {PLAIN, AT(ftso_artefact, graph_bytes)},
    {RECORDS, AT(ftso_artefact, trainer), &trainer_record},
};
static const record artefact_record = RECORD(ftso_artefact, artefact_fields);

/* ---------------------------------------------------------------- writing */

typedef struct writer {
    ftso_arena *arena;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTypeRef byte, pointer;
} writer;

static LLVMValueRef bytes_of(const writer *w, const void *bytes, size_t count)
{
    return LLVMConstStringInContext2(w->context, bytes, count, true);
}

static LLVMValueRef null_of(const writer *w)
{
    return LLVMConstNull(w->pointer);
}

static LLVMValueRef global(const writer *w, LLVMValueRef content, unsigned alignment,
                           const char *section)
{
    LLVMValueRef made = LLVMAddGlobal(w->module, LLVMTypeOf(content), "");
    LLVMSetInitializer(made, content);
    LLVMSetGlobalConstant(made, true);
    LLVMSetLinkage(made, LLVMPrivateLinkage);
    LLVMSetAlignment(made, alignment);
    if (section) LLVMSetSection(made, section);
    return made;
}

static LLVMValueRef text_of(const writer *w, const char *text, const char *section)
{
    if (!text) return null_of(w);
    return global(w, bytes_of(w, text, strlen(text) + 1), 1, section);
}

static LLVMValueRef kernel_of(const writer *w, const char *symbol)
{
    if (!symbol) return null_of(w);
    LLVMValueRef known = LLVMGetNamedFunction(w->module, symbol);
    if (known) return known;
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(w->context), (LLVMTypeRef *)&w->pointer, 1, false);
    return LLVMAddFunction(w->module, symbol, type);
}

static LLVMValueRef record_of(const writer *w, const record *kind, const char *bytes);

enum { LINE_BYTES = 64 };

/* What a pointer field points to. */
static LLVMValueRef target_of(const writer *w, const field *f, const char *bytes)
{
    const void *at;
    memcpy(&at, bytes + f->offset, sizeof(at));
    size_t count = 1;
    if (f->counted) memcpy(&count, bytes + f->count_offset, sizeof(count));
    if (!at || count == 0) return null_of(w);
    if (f->kind == TEXT) return text_of(w, at, f->section);
    if (f->kind == KERNEL) return kernel_of(w, at);
    if (f->kind == BYTES)
        return global(w, bytes_of(w, at, count * f->element_bytes), LINE_BYTES, f->section);
    LLVMValueRef *items = FTSO_ARRAY(w->arena, LLVMValueRef, count);
    for (size_t i = 0; i < count; i++)
        items[i] = f->kind == TEXTS ? text_of(w, ((const char *const *)at)[i], NULL)
                                    : record_of(w, f->of, (const char *)at + i * f->of->size_bytes);
    LLVMValueRef all = LLVMConstStructInContext(w->context, items, (unsigned)count, true);
    return global(w, all, LINE_BYTES, f->of ? f->of->section : NULL);
}

/* A packed structure with the fields where C has them. */
static LLVMValueRef record_of(const writer *w, const record *kind, const char *bytes)
{
    static const char zeros[sizeof(int64_t)];
    LLVMValueRef *parts = FTSO_ARRAY(w->arena, LLVMValueRef, 2 * kind->field_count + 1);
    unsigned count = 0;
    size_t at = 0;
    for (size_t i = 0; i <= kind->field_count; i++) {
        const field *f = i < kind->field_count ? &kind->fields[i] : NULL;
        size_t next = f ? f->offset : kind->size_bytes;
        FTSO_ASSERT(next >= at && next - at < sizeof(zeros)); /* else a field is missing above */
        if (next > at) parts[count++] = bytes_of(w, zeros, next - at);
        if (!f) break;
        parts[count++] = f->kind == PLAIN ? bytes_of(w, bytes + f->offset, f->size_bytes)
                                          : target_of(w, f, bytes);
        at = f->offset + f->size_bytes;
    }
    return LLVMConstStructInContext(w->context, parts, count, true);
}

static ftso_status assemble(const writer *w, LLVMTargetMachineRef machine, ftso_object *out)
{
    char *message = NULL;
    LLVMMemoryBufferRef buffer;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, w->module, LLVMObjectFile, &message,
                                            &buffer)) {
        ftso_status status = ftso_error(
            FTSO_ERROR_INTERNAL, "LLVM cannot assemble the artefact's data: %.300s", message);
        LLVMDisposeMessage(message);
        return status;
    }
    size_t size = LLVMGetBufferSize(buffer);
    char *bytes = FTSO_ARRAY(w->arena, char, size);
    memcpy(bytes, LLVMGetBufferStart(buffer), size);
    LLVMDisposeMemoryBuffer(buffer);
    *out = (ftso_object){"artefact", bytes, size};
    return FTSO_STATUS_OK;
}

ftso_status ftso_artefact_object(ftso_arena *arena, const ftso_target *target,
                                 const ftso_artefact *artefact, ftso_object *out_object)
{
    LLVMTargetMachineRef machine = ftso_target_machine(target);
    if (!machine)
        return ftso_error(FTSO_ERROR_DEVICE, "this LLVM makes no code for '%s'", target->triple);
    writer w = {.arena = arena, .context = LLVMContextCreate()};
    w.module = LLVMModuleCreateWithNameInContext("artefact", w.context);
    w.byte = LLVMInt8TypeInContext(w.context);
    w.pointer = LLVMPointerTypeInContext(w.context, 0);
    LLVMSetTarget(w.module, target->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(w.module, layout);
    FTSO_ASSERT(LLVMPointerSize(layout) == sizeof(void *) &&
                LLVMByteOrder(layout) == LLVMLittleEndian);
    LLVMDisposeTargetData(layout);
    LLVMValueRef whole =
        global(&w, record_of(&w, &artefact_record, (const char *)artefact), LINE_BYTES, NULL);
    LLVMSetValueName2(whole, FTSO_ARTEFACT_SYMBOL, strlen(FTSO_ARTEFACT_SYMBOL));
    LLVMSetLinkage(whole, LLVMExternalLinkage);
    LLVMSetVisibility(whole, LLVMHiddenVisibility);
    ftso_status status = assemble(&w, machine, out_object);
    LLVMDisposeModule(w.module);
    LLVMContextDispose(w.context);
    LLVMDisposeTargetMachine(machine);
    return status;
}
