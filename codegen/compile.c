/*
 * Compiling a schedule: units from this compiler, from the disk cache or made anew by several threads; linked; and the
 * program that calls them.
 */
#include "codegen/codegen_internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Linker.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct ftso_compiler {
    ftso_arena arena;
    ftso_compiler_options options;
    LLVMOrcLLJITRef jit;
    ftso_code_unit **units;
    size_t unit_count, unit_capacity;
};

static ftso_status llvm_status(LLVMErrorRef error, const char *what)
{
    if (!error) return FTSO_STATUS_OK;
    char *message = LLVMGetErrorMessage(error);
    ftso_status status = ftso_error(FTSO_ERROR_INTERNAL, "%s: %.300s", what, message);
    LLVMDisposeErrorMessage(message);
    return status;
}

ftso_status ftso_compiler_new(const ftso_compiler_options *options, ftso_compiler **out_compiler)
{
    ftso_targets_init();
    ftso_compiler *compiler = ftso_mem_alloc(sizeof(*compiler));
    if (!compiler) return ftso_error(FTSO_ERROR_LIMIT, "no memory for a compiler");
    memset(compiler, 0, sizeof(*compiler));
    ftso_arena_init(&compiler->arena);
    compiler->options = *options;
    ftso_target *target = &compiler->options.target;
    target->triple = ftso_strdup(&compiler->arena, target->triple);
    target->cpu = ftso_strdup(&compiler->arena, target->cpu);
    target->features = ftso_strdup(&compiler->arena, target->features);
    if (options->cache_dir)
        compiler->options.cache_dir = ftso_strdup(&compiler->arena, options->cache_dir);
    if (options->as_text) compiler->options.cache_dir = NULL; /* it holds objects */
    if (!options->identity) compiler->options.identity = ftso_codegen_identity();
    ftso_status status = FTSO_STATUS_OK;
    if (!options->ahead)
        status =
            llvm_status(LLVMOrcCreateLLJIT(&compiler->jit, NULL), "the linker of compiled code");
    if (status.code != FTSO_OK) {
        ftso_compiler_free(compiler);
        return status;
    }
    *out_compiler = compiler;
    return FTSO_STATUS_OK;
}

void ftso_compiler_free(ftso_compiler *compiler)
{
    if (!compiler) return;
    if (compiler->jit) LLVMConsumeError(LLVMOrcDisposeLLJIT(compiler->jit));
    for (size_t i = 0; i < compiler->unit_count; i++)
        if (compiler->units[i]->object) LLVMDisposeMemoryBuffer(compiler->units[i]->object);
    ftso_arena_deinit(&compiler->arena);
    ftso_mem_free(compiler);
}

/* ---------------------------------------------------------------- making units */

/* Units to be made, taken one by one by several threads. */
typedef struct work {
    const ftso_compiler *compiler;
    const ftso_schedule *schedule;
    ftso_code_unit **units;
    const ftso_region **regions;
    size_t count;
    atomic_size_t next;
} work;

static void make_one(const work *w, size_t i)
{
    const ftso_compiler_options *options = &w->compiler->options;
    ftso_code_unit *unit = w->units[i];
    if (options->cache_dir && ftso_cache_read(options->cache_dir, unit)) {
        unit->from_cache = true;
        return;
    }
    unit->status = ftso_unit_make(options, w->schedule, w->regions[i], unit, NULL, false);
    if (unit->status.code == FTSO_OK && options->cache_dir)
        ftso_cache_write(options->cache_dir, unit);
}

static void *make_units(void *argument)
{
    work *w = argument;
    for (;;) {
        size_t i = atomic_fetch_add(&w->next, 1);
        if (i >= w->count) return NULL;
        make_one(w, i);
    }
}

enum { MAX_THREADS = 64 };

static void make_all(work *w)
{
    long threads =
        w->compiler->options.threads ? w->compiler->options.threads : sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t handles[MAX_THREADS];
    int started = 0;
    for (; started + 1 < threads && started < MAX_THREADS && (size_t)started + 1 < w->count;
         started++)
        if (pthread_create(&handles[started], NULL, make_units, w) != 0) break;
    make_units(w);
    for (int i = 0; i < started; i++) pthread_join(handles[i], NULL);
}

/* ---------------------------------------------------------------- linking */

static ftso_status find(ftso_compiler *compiler, const ftso_code_unit *unit, const char *part,
                        ftso_kernel *out)
{
    const char *name = ftso_format(&compiler->arena, "r%s_%s", unit->key.text, part);
    if (compiler->options.ahead) {
        *out = (ftso_kernel)(uintptr_t)name;
        return FTSO_STATUS_OK;
    }
    LLVMOrcExecutorAddress address = 0;
    FTSO_TRY(
        llvm_status(LLVMOrcLLJITLookup(compiler->jit, &address, name), "linking compiled code"));
    *out = (ftso_kernel)(uintptr_t)address;
    return FTSO_STATUS_OK;
}

static ftso_status link_unit(ftso_compiler *compiler, ftso_code_unit *unit)
{
    if (!compiler->options.ahead) {
        LLVMMemoryBufferRef object = unit->object;
        unit->object = NULL; /* the linker owns it now */
        FTSO_TRY(llvm_status(LLVMOrcLLJITAddObjectFile(
                                 compiler->jit, LLVMOrcLLJITGetMainJITDylib(compiler->jit), object),
                             "linking compiled code"));
    }
    const ftso_launch_shape *shape = &unit->shape;
    unit->kernels = (ftso_kernel_set){.images_per_item = shape->images_per_item,
                                      .fixed_items = shape->fixed_items,
                                      .finish_items = shape->finish_items,
                                      .shared_bytes = shape->shared_bytes,
                                      .parts = shape->parts,
                                      .scratch_bytes = shape->scratch_bytes};
    if (shape->has_prepare) FTSO_TRY(find(compiler, unit, "prepare", &unit->kernels.prepare));
    if (shape->has_finish) FTSO_TRY(find(compiler, unit, "finish", &unit->kernels.finish));
    return find(compiler, unit, "body", &unit->kernels.body);
}

static ftso_code_unit *known_unit(const ftso_compiler *compiler, const ftso_unit_key *key)
{
    for (size_t i = 0; i < compiler->unit_count; i++)
        if (strcmp(compiler->units[i]->key.text, key->text) == 0) return compiler->units[i];
    return NULL;
}

/* The unit of every region, made and linked where it was not there yet. */
static ftso_status units_for(ftso_compiler *compiler, ftso_arena *arena,
                             const ftso_schedule *schedule, ftso_code_unit ***out_units,
                             ftso_compile_report *report)
{
    size_t count = schedule->region_count;
    ftso_code_unit **units = FTSO_ARRAY(arena, ftso_code_unit *, count);
    work w = {.compiler = compiler, .schedule = schedule};
    w.units = FTSO_ARRAY(arena, ftso_code_unit *, count);
    w.regions = FTSO_ARRAY(arena, const ftso_region *, count);
    for (size_t i = 0; i < count; i++) {
        const ftso_region *region = &schedule->regions[i];
        ftso_unit_key key =
            ftso_unit_key_of(&compiler->options, schedule, region, compiler->options.identity);
        units[i] = known_unit(compiler, &key);
        if (units[i]) continue;
        units[i] = FTSO_NEW(&compiler->arena, ftso_code_unit);
        units[i]->key = key;
        FTSO_PUSH(&compiler->arena, compiler->units, compiler->unit_count, compiler->unit_capacity,
                  units[i]);
        w.regions[w.count] = region;
        w.units[w.count++] = units[i];
    }
    make_all(&w);
    ftso_status status = FTSO_STATUS_OK;
    double start = ftso_clock_s();
    for (size_t i = 0; i < w.count; i++) {
        ftso_code_unit *unit = w.units[i];
        if (status.code == FTSO_OK) status = unit->status;
        if (status.code == FTSO_OK) status = link_unit(compiler, unit);
        report->cache_hits += unit->from_cache;
        report->cache_damaged += unit->was_damaged;
        report->emit_s += unit->emit_s;
        report->optimise_s += unit->optimise_s;
    }
    if (status.code != FTSO_OK) {
        compiler->unit_count -= w.count; /* the last ones: none of them is good */
        for (size_t i = 0; i < w.count; i++)
            if (w.units[i]->object) LLVMDisposeMemoryBuffer(w.units[i]->object);
    }
    report->link_s += ftso_clock_s() - start;
    report->regions += (int64_t)count;
    report->unique_regions += (int64_t)w.count;
    *out_units = units;
    return status;
}

const ftso_object *ftso_compiler_objects(const ftso_compiler *compiler, ftso_arena *arena,
                                         size_t *out_count)
{
    FTSO_ASSERT(compiler->options.ahead && !compiler->options.as_text);
    ftso_object *objects = FTSO_ARRAY(arena, ftso_object, compiler->unit_count);
    for (size_t i = 0; i < compiler->unit_count; i++) {
        const ftso_code_unit *unit = compiler->units[i];
        objects[i] = (ftso_object){unit->key.text, LLVMGetBufferStart(unit->object),
                                   LLVMGetBufferSize(unit->object)};
    }
    *out_count = compiler->unit_count;
    return objects;
}

/* Moves a unit's functions into `whole`, each with the processor it is for. */
static ftso_status join_unit(const ftso_compiler *compiler, const ftso_code_unit *unit,
                             LLVMModuleRef whole)
{
    const ftso_target *target = &compiler->options.target;
    LLVMModuleRef module;
    if (LLVMParseBitcodeInContext2(LLVMGetModuleContext(whole), unit->object, &module))
        return ftso_error(FTSO_ERROR_INTERNAL, "LLVM cannot read the module of unit %s",
                          unit->key.text);
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f)) {
        if (LLVMIsDeclaration(f)) continue;
        LLVMAddTargetDependentFunctionAttr(f, "target-cpu", target->cpu);
        LLVMAddTargetDependentFunctionAttr(f, "target-features", target->features);
    }
    if (!LLVMLinkModules2(whole, module)) return FTSO_STATUS_OK; /* `module` is gone */
    return ftso_error(FTSO_ERROR_INTERNAL, "LLVM cannot join unit %s to the others",
                      unit->key.text);
}

ftso_status ftso_compiler_text(ftso_compiler *const *compilers, size_t count, ftso_text *out)
{
    LLVMContextRef context = LLVMContextCreate();
    LLVMModuleRef whole = LLVMModuleCreateWithNameInContext("network", context);
    ftso_status status = FTSO_STATUS_OK;
    for (size_t i = 0; i < count; i++) {
        FTSO_ASSERT(compilers[i]->options.as_text);
        LLVMTargetMachineRef machine = ftso_target_machine(&compilers[i]->options.target);
        LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
        LLVMSetTarget(whole, compilers[i]->options.target.triple);
        LLVMSetModuleDataLayout(whole, layout);
        LLVMDisposeTargetData(layout);
        LLVMDisposeTargetMachine(machine);
        for (size_t k = 0; k < compilers[i]->unit_count && status.code == FTSO_OK; k++)
            status = join_unit(compilers[i], compilers[i]->units[k], whole);
    }
    char *text = NULL;
    if (status.code == FTSO_OK && LLVMVerifyModule(whole, LLVMReturnStatusAction, &text))
        status = ftso_error(FTSO_ERROR_INTERNAL, "the joined code is malformed: %.300s", text);
    LLVMDisposeMessage(text);
    if (status.code == FTSO_OK) {
        text = LLVMPrintModuleToString(whole);
        ftso_text_puts(out, text);
        LLVMDisposeMessage(text);
    }
    LLVMDisposeModule(whole);
    LLVMContextDispose(context);
    return status;
}

/* ---------------------------------------------------------------- programs */

/* What is needed while a program is put together. */
typedef struct assembly {
    const ftso_compiler *compiler;
    ftso_arena *arena;
    const ftso_schedule *schedule;
    const ftso_graph *graph;
    const ftso_plan *plan;
    ftso_program *program;
    ftso_frozen frozen;
    ftso_value *states; /* values of program->states */
} assembly;

static int64_t layout(const void *user, ftso_shape shape, ftso_element element)
{
    return ftso_layout_bytes(user, shape, element);
}

static const char *leaf_name(const ftso_node *node)
{
    return node->attrs[ftso_op_attr(node->op, "name")].name;
}

/* Where a stored value lies: states keep their own memory, whatever the plan put in their place lies there too. */
static ftso_buffer buffer_of(const assembly *a, ftso_value value)
{
    const ftso_place *place = &a->plan->places[value];
    FTSO_ASSERT(place->stored);
    for (size_t i = 0; i < a->program->state_count; i++) {
        const ftso_place *state = &a->plan->places[a->states[i]];
        int64_t inside = place->offset_bytes - state->offset_bytes;
        if (inside >= 0 && inside < state->size_bytes) return (ftso_buffer){(int32_t)i, inside};
    }
    return (ftso_buffer){FTSO_IN_ARENA, place->offset_bytes};
}

static void add_states(assembly *a)
{
    size_t capacity = 0, state_capacity = 0;
    for (size_t v = 0; v < a->graph->node_count; v++) {
        const ftso_node *node = &a->graph->nodes[v];
        if (!ftso_node_is(node, "state") || !a->plan->places[v].stored) continue;
        size_t count = a->program->state_count;
        ftso_program_state state = {ftso_strdup(a->arena, leaf_name(node)),
                                    a->plan->places[v].size_bytes};
        FTSO_PUSH(a->arena, a->states, count, capacity, (ftso_value)v);
        FTSO_PUSH(a->arena, a->program->states, a->program->state_count, state_capacity, state);
    }
}

static ftso_slot slot_for(const assembly *a, const char *name, ftso_value value, ftso_buffer place)
{
    ftso_shape shape = ftso_graph_shape(a->graph, value);
    ftso_slot slot = {.name = ftso_strdup(a->arena, name),
                      .place = place,
                      .rank = shape.rank,
                      .batched = shape.batched};
    for (int d = 0; d < shape.rank; d++) slot.dim[d] = shape.dim[d];
    return slot;
}

static void add_slots(assembly *a)
{
    size_t capacity = 0;
    ftso_program *program = a->program;
    for (size_t v = 0; v < a->graph->node_count; v++) {
        const ftso_node *node = &a->graph->nodes[v];
        bool state = ftso_node_is(node, "state");
        if ((!state && !ftso_node_is(node, "input")) || !a->plan->places[v].stored) continue;
        ftso_slot slot = slot_for(a, leaf_name(node), (ftso_value)v, buffer_of(a, (ftso_value)v));
        slot.is_state = state;
        slot.is_input = !state;
        FTSO_PUSH(a->arena, program->slots, program->slot_count, capacity, slot);
    }
    size_t copy_capacity = 0;
    for (size_t i = 0; i < a->graph->output_count; i++) {
        const ftso_output *output = &a->graph->outputs[i];
        ftso_buffer from = buffer_of(a, output->value);
        ftso_slot slot = slot_for(a, output->name, output->value, from);
        slot.is_output = true;
        FTSO_PUSH(a->arena, program->slots, program->slot_count, capacity, slot);
        if (output->state == FTSO_NO_VALUE) continue;
        ftso_copy copy = {from, buffer_of(a, output->state),
                          ftso_shape_count(ftso_graph_shape(a->graph, output->state)) * 4};
        if (copy.from.state == copy.to.state && copy.from.offset_bytes == copy.to.offset_bytes)
            continue;
        FTSO_PUSH(a->arena, program->copies, program->copy_count, copy_capacity, copy);
    }
}

/* Constants that are read as memory: an output, a part of a pack. */
static void add_fills(assembly *a)
{
    size_t capacity = 0;
    for (size_t v = 0; v < a->graph->node_count; v++) {
        const ftso_node *node = &a->graph->nodes[v];
        if (!ftso_node_is(node, "constant") || !a->plan->places[v].stored) continue;
        ftso_buffer place = buffer_of(a, (ftso_value)v);
        FTSO_ASSERT(place.state == FTSO_IN_ARENA);
        int64_t padded =
                    ftso_layout_bytes(&a->compiler->options.target, node->shape, FTSO_ELEMENT_FP32),
                count = ftso_shape_count(node->shape);
        if (node->shape.rank == 4 && node->shape.batched) {
            const int64_t *dim = node->shape.dim;
            count = count / dim[1] *
                    ftso_stored_channels(dim[1], dim[2] * dim[3],
                                         ftso_target_round(&a->compiler->options.target));
        }
        FTSO_ASSERT(count * 4 <= padded);
        ftso_fill fill = {place.offset_bytes, count, (float)ftso_node_real(node, "value")};
        FTSO_PUSH(a->arena, a->program->fills, a->program->fill_count, capacity, fill);
    }
}

/* What prepare may read: everything in memory that has no batch. In a program that updates states nothing is frozen. */
static bool is_prepared_once(const assembly *a, const ftso_region *region)
{
    for (size_t i = 0; i < region->read_count; i++)
        if (!ftso_graph_shape(a->graph, region->reads[i]).batched &&
            !a->frozen.values[region->reads[i]])
            return false;
    return true;
}

static void add_launch(assembly *a, size_t index, const ftso_code_unit *unit)
{
    const ftso_region *region = &a->schedule->regions[index];
    ftso_launch *launch = &a->program->launches[index];
    launch->kernels = unit->kernels;
    launch->once = a->frozen.regions[index];
    launch->prepared_once = unit->kernels.prepare && !launch->once && is_prepared_once(a, region);
    if (launch->prepared_once) {
        launch->kept_offset_bytes = a->program->kept_bytes;
        a->program->kept_bytes += (unit->kernels.shared_bytes + 63) / 64 * 64;
    }
    launch->buffer_count = region->read_count + region->write_count;
    launch->buffers = FTSO_ARRAY(a->arena, ftso_buffer, launch->buffer_count);
    for (size_t i = 0; i < launch->buffer_count; i++) {
        ftso_value value =
            i < region->read_count ? region->reads[i] : region->writes[i - region->read_count];
        launch->buffers[i] = buffer_of(a, value);
        ftso_shape shape = ftso_graph_shape(a->graph, value);
        ftso_element element = a->schedule->elements[value];
        launch->least_bytes +=
            (double)ftso_shape_count(shape) * (double)ftso_element_bytes(element);
        launch->bytes += (double)ftso_layout_bytes(&a->compiler->options.target, shape, element);
    }
    launch->bytes += 2.0 * (double)unit->kernels.shared_bytes;
    for (size_t i = 0; i < region->node_count; i++)
        launch->flops += (double)ftso_node_cost(a->graph, region->nodes[i]).flops;
    const char *path = "";
    for (size_t i = 0; i < region->node_count; i++) {
        const char *own = ftso_graph_node(a->graph, region->nodes[i])->origin.path;
        if (own && (i == 0 || ftso_value_role(a->graph, region->nodes[i]) == FTSO_ROLE_CORE))
            path = own;
    }
    const char *core = region->core_count ? ftso_graph_node(a->graph, region->cores[0])->op->name
                                          : region->kernel_class;
    launch->label = region->core_count > 1
                        ? ftso_format(a->arena, "%zu x %s %s", region->core_count, core, path)
                        : ftso_format(a->arena, "%s %s", core, path);
}

static int64_t planned_batch(const ftso_graph *graph)
{
    for (size_t v = 0; v < graph->node_count; v++)
        if (graph->nodes[v].shape.batched) return graph->nodes[v].shape.dim[0];
    return 1;
}

/* Whether another value lies where the output does, as the parts of a concatenation do. */
static bool is_shared(const assembly *a, ftso_value output)
{
    const ftso_place *own = &a->plan->places[output];
    for (size_t v = 0; v < a->graph->node_count; v++) {
        const ftso_place *other = &a->plan->places[v];
        if (v != output && other->stored &&
            other->offset_bytes < own->offset_bytes + own->size_bytes &&
            own->offset_bytes < other->offset_bytes + other->size_bytes)
            return true;
    }
    return false;
}

/* Whether nothing is made of several images, and outputs have memory of their own while the program runs. */
static bool images_are_apart(const assembly *a)
{
    for (size_t i = 0; i < a->schedule->region_count; i++) {
        const ftso_region *region = &a->schedule->regions[i];
        for (size_t k = 0; k < region->write_count; k++)
            if (!ftso_graph_shape(a->graph, region->writes[k]).batched &&
                !a->frozen.values[region->writes[k]])
                return false;
    }
    for (size_t i = 0; i < a->graph->output_count; i++) {
        const ftso_output *output = &a->graph->outputs[i];
        if (output->state != FTSO_NO_VALUE || is_shared(a, output->value)) return false;
    }
    return true;
}

ftso_status ftso_compile(ftso_compiler *compiler, ftso_arena *arena, const ftso_schedule *schedule,
                         ftso_program **out_program, ftso_compile_report *report)
{
    ftso_compile_report ignored;
    if (!report) report = &ignored;
    memset(report, 0, sizeof(*report));
    double start = ftso_clock_s();
    ftso_code_unit **units;
    FTSO_TRY(units_for(compiler, arena, schedule, &units, report));

    ftso_plan *plan;
    FTSO_TRY(ftso_plan_make(arena, schedule, layout, &compiler->options.target, 64, &plan));
    ftso_program *program = FTSO_NEW(arena, ftso_program);
    assembly a = {.compiler = compiler,
                  .arena = arena,
                  .schedule = schedule,
                  .graph = schedule->graph,
                  .plan = plan,
                  .program = program,
                  .frozen = ftso_schedule_frozen(arena, schedule)};
    program->arena_bytes = plan->total_bytes;
    program->planned_batch = planned_batch(schedule->graph);
    program->images_apart = images_are_apart(&a);
    program->channel_round = ftso_target_round(&compiler->options.target);
    program->launch_count = schedule->region_count;
    program->launches = FTSO_ARRAY(arena, ftso_launch, program->launch_count);
    add_states(&a);
    add_slots(&a);
    add_fills(&a);
    for (size_t i = 0; i < schedule->region_count; i++) add_launch(&a, i, units[i]);
    *out_program = program;
    report->total_s = ftso_clock_s() - start;
    return FTSO_STATUS_OK;
}
