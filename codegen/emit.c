/*
 * Emission: functions, loops, numbers, memory. See emit_llvm.h.
 */
#include "codegen/emit_llvm.h"

#include <string.h>

/* ---------------------------------------------------------------- numbers */

LLVMValueRef ftso_emit_i64(ftso_emitter *e, int64_t value)
{
    return LLVMConstInt(e->i64, (unsigned long long)value, true);
}

LLVMValueRef ftso_emit_f32(ftso_emitter *e, double value)
{
    return LLVMConstReal(e->f32, (double)(float)value);
}

LLVMValueRef ftso_emit_splat(ftso_emitter *e, LLVMValueRef scalar)
{
    LLVMValueRef one = LLVMBuildInsertElement(e->builder, LLVMGetUndef(e->vector), scalar,
                                              LLVMConstInt(e->i32, 0, false), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(e->i32, (unsigned)e->target.vector_floats));
    return LLVMBuildShuffleVector(e->builder, one, LLVMGetUndef(e->vector), zeros, "");
}

LLVMValueRef ftso_emit_splat_of(ftso_emitter *e, double value)
{
    LLVMValueRef lanes[64];
    for (int i = 0; i < e->target.vector_floats; i++) lanes[i] = ftso_emit_f32(e, value);
    return LLVMConstVector(lanes, (unsigned)e->target.vector_floats);
}

static bool is_constant(LLVMValueRef value, int64_t *out)
{
    if (!LLVMIsAConstantInt(value)) return false;
    *out = LLVMConstIntGetSExtValue(value);
    return true;
}

LLVMValueRef ftso_emit_add(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    int64_t x, y;
    bool has_x = is_constant(a, &x), has_y = is_constant(b, &y);
    if (has_x && has_y) return ftso_emit_i64(e, x + y);
    if (has_x && x == 0) return b;
    if (has_y && y == 0) return a;
    return LLVMBuildNSWAdd(e->builder, a, b, "");
}

LLVMValueRef ftso_emit_mul(ftso_emitter *e, LLVMValueRef a, int64_t b)
{
    int64_t x;
    if (is_constant(a, &x)) return ftso_emit_i64(e, x * b);
    return b == 1 ? a : LLVMBuildNSWMul(e->builder, a, ftso_emit_i64(e, b), "");
}

LLVMValueRef ftso_emit_min_i64(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, a, b, ""), a, b, "");
}

LLVMValueRef ftso_emit_max_i64(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSGT, a, b, ""), a, b, "");
}

LLVMValueRef ftso_emit_intrinsic(ftso_emitter *e, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    char full[64];
    int length = snprintf(full, sizeof(full), "llvm.%s", name);
    unsigned id = LLVMLookupIntrinsicID(full, (size_t)length);
    FTSO_ASSERT(id);
    LLVMTypeRef type = LLVMTypeOf(a), parameters[] = {type, type};
    LLVMValueRef arguments[] = {a, b};
    unsigned count = b ? 2 : 1;
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(e->module, id, &type, 1);
    return LLVMBuildCall2(e->builder, LLVMFunctionType(type, parameters, count, false), callee,
                          arguments, count, "");
}

LLVMValueRef ftso_emit_fma(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    if (!e->target.has_fma)
        return LLVMBuildFAdd(e->builder, LLVMBuildFMul(e->builder, a, b, ""), c, "");
    unsigned id = LLVMLookupIntrinsicID("llvm.fma", 8);
    LLVMTypeRef type = LLVMTypeOf(a), parameters[] = {type, type, type};
    LLVMValueRef arguments[] = {a, b, c},
                 callee = LLVMGetIntrinsicDeclaration(e->module, id, &type, 1);
    return LLVMBuildCall2(e->builder, LLVMFunctionType(type, parameters, 3, false), callee,
                          arguments, 3, "");
}

int64_t ftso_emit_round(const ftso_emitter *e, int64_t channels)
{
    int64_t unit = ftso_emit_unit(e);
    return (channels + unit - 1) / unit * unit;
}

int64_t ftso_emit_unit(const ftso_emitter *e)
{
    return e->target.vector_floats / e->pixels;
}

/* ---------------------------------------------------------------- several pixels in a vector */

/* Vectors of integers as long as a vector of floats. */
static LLVMTypeRef integers(const ftso_emitter *e, unsigned bits)
{
    return LLVMVectorType(LLVMIntTypeInContext(e->context, bits),
                          (unsigned)e->target.vector_floats);
}

/* A vector of `count` lanes, lane l of which is lane from[l] of both vectors in a row; anything where they have none. */
static LLVMValueRef shuffled(const ftso_emitter *e, LLVMValueRef a, LLVMValueRef b,
                             const int64_t *from, int64_t count)
{
    LLVMValueRef lanes[64];
    int64_t has = LLVMGetVectorSize(LLVMTypeOf(a)) * (b ? 2 : 1);
    for (int64_t l = 0; l < count; l++)
        lanes[l] =
            from[l] < has ? LLVMConstInt(e->i32, (unsigned)from[l], false) : LLVMGetUndef(e->i32);
    return LLVMBuildShuffleVector(e->builder, a, b ? b : LLVMGetUndef(LLVMTypeOf(a)),
                                  LLVMConstVector(lanes, (unsigned)count), "");
}

/* So many lanes from lane `first` on. */
static LLVMValueRef with_lanes(const ftso_emitter *e, LLVMValueRef a, LLVMValueRef b, int64_t first,
                               int64_t count)
{
    int64_t from[64];
    if (first == 0 && count == LLVMGetVectorSize(LLVMTypeOf(a))) return a;
    for (int64_t l = 0; l < count; l++) from[l] = first + l;
    return shuffled(e, a, b, from, count);
}

LLVMValueRef ftso_emit_spliced(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b, int64_t first)
{
    LLVMTypeRef bits = integers(e, 32);
    a = LLVMBuildBitCast(e->builder, a, bits, "");
    b = LLVMBuildBitCast(e->builder, b, bits, "");
    LLVMValueRef spliced = with_lanes(e, a, b, first, e->target.vector_floats);
    return LLVMBuildBitCast(e->builder, spliced, e->vector, "");
}

LLVMValueRef ftso_emit_spread_lane(ftso_emitter *e, LLVMValueRef vector, int64_t lane)
{
    int64_t from[64], unit = ftso_emit_unit(e);
    for (int64_t l = 0; l < e->target.vector_floats; l++) from[l] = l / unit * unit + lane;
    return shuffled(e, vector, NULL, from, e->target.vector_floats);
}

LLVMValueRef ftso_emit_for_pixels(ftso_emitter *e, LLVMValueRef unit)
{
    int64_t from[64];
    if (e->pixels == 1) return unit;
    for (int64_t l = 0; l < e->target.vector_floats; l++) from[l] = l % ftso_emit_unit(e);
    return shuffled(e, unit, NULL, from, e->target.vector_floats);
}

LLVMValueRef ftso_emit_fold(ftso_emitter *e, LLVMValueRef vector)
{
    int64_t from[64], v = e->target.vector_floats;
    for (int64_t half = v / 2; half >= ftso_emit_unit(e); half /= 2) {
        for (int64_t l = 0; l < v; l++) from[l] = l < half ? l + half : l;
        vector = LLVMBuildFAdd(e->builder, vector, shuffled(e, vector, NULL, from, v), "");
    }
    return vector;
}

/* Stores to floats [0, floats) of `to`: vectors, then single pixels. `value` splat, or NULL: what lies at `from`. */
static void each_float(ftso_emitter *e, LLVMValueRef to, LLVMValueRef from, int64_t floats,
                       LLVMValueRef value)
{
    int64_t v = e->target.vector_floats, unit = ftso_emit_unit(e), whole = floats / v * v;
    if (whole > 0) {
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), v, true, NULL, 0);
        LLVMValueRef vector =
            value ? value : ftso_emit_load_vector(e, ftso_emit_at(e, from, loop.index));
        ftso_emit_store(e, vector, ftso_emit_at(e, to, loop.index));
        ftso_emit_loop_end(e, &loop, NULL);
    }
    for (; whole < floats; whole += unit) {
        LLVMValueRef at = ftso_emit_i64(e, whole);
        LLVMValueRef vector = value ? value : ftso_emit_load_vector(e, ftso_emit_at(e, from, at));
        ftso_emit_store(e, with_lanes(e, vector, NULL, 0, unit), ftso_emit_at(e, to, at));
    }
}

void ftso_emit_fill(ftso_emitter *e, LLVMValueRef to, int64_t floats, double value)
{
    each_float(e, to, NULL, floats, ftso_emit_splat_of(e, value));
}

void ftso_emit_copy(ftso_emitter *e, LLVMValueRef to, LLVMValueRef from, int64_t floats)
{
    each_float(e, to, from, floats, NULL);
}

/* ---------------------------------------------------------------- memory */

LLVMValueRef ftso_emit_at(ftso_emitter *e, LLVMValueRef base, LLVMValueRef elements)
{
    int64_t constant;
    if (is_constant(elements, &constant) && constant == 0) return base;
    return LLVMBuildInBoundsGEP2(e->builder, e->f32, base, &elements, 1, "");
}

static LLVMValueRef load(ftso_emitter *e, LLVMTypeRef type, LLVMValueRef address)
{
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, address, "");
    LLVMSetAlignment(value, 4);
    return value;
}

LLVMValueRef ftso_emit_load(ftso_emitter *e, LLVMValueRef address)
{
    return load(e, e->f32, address);
}

LLVMValueRef ftso_emit_load_vector(ftso_emitter *e, LLVMValueRef address)
{
    return load(e, e->vector, address);
}

LLVMValueRef ftso_emit_load_to_splice(ftso_emitter *e, LLVMValueRef address)
{
    return LLVMBuildBitCast(e->builder, load(e, integers(e, 32), address), e->vector, "");
}

static void set_metadata(ftso_emitter *e, LLVMValueRef instruction, const char *kind)
{
    if (!e->reads_scope) return;
    unsigned id = LLVMGetMDKindIDInContext(e->context, kind, (unsigned)strlen(kind));
    LLVMSetMetadata(instruction, id, e->reads_scope);
}

LLVMValueRef ftso_emit_from_reads(ftso_emitter *e, LLVMValueRef value)
{
    if (LLVMIsALoadInst(value)) set_metadata(e, value, "alias.scope");
    return value;
}

void ftso_emit_prefetch(ftso_emitter *e, LLVMValueRef address)
{
    enum { READ = 0, SECOND_CACHE = 2, DATA = 1 };
    unsigned id = LLVMLookupIntrinsicID("llvm.prefetch", 13);
    LLVMTypeRef types[] = {e->pointer, e->i32, e->i32, e->i32};
    LLVMValueRef arguments[] = {address, LLVMConstInt(e->i32, READ, false),
                                LLVMConstInt(e->i32, SECOND_CACHE, false),
                                LLVMConstInt(e->i32, DATA, false)};
    LLVMBuildCall2(e->builder, LLVMFunctionType(LLVMVoidTypeInContext(e->context), types, 4, false),
                   LLVMGetIntrinsicDeclaration(e->module, id, types, 1), arguments, 4, "");
}

void ftso_emit_store(ftso_emitter *e, LLVMValueRef value, LLVMValueRef address)
{
    LLVMValueRef store = LLVMBuildStore(e->builder, value, address);
    LLVMSetAlignment(store, 4);
    set_metadata(e, store, "noalias");
}

void ftso_emit_reads_are_constant(ftso_emitter *e)
{
    LLVMMetadataRef name = LLVMMDStringInContext2(e->context, "region", 6);
    LLVMMetadataRef domain = LLVMMDNodeInContext2(e->context, &name, 1);
    LLVMMetadataRef parts[] = {LLVMMDStringInContext2(e->context, "reads", 5), domain};
    LLVMMetadataRef scope = LLVMMDNodeInContext2(e->context, parts, 2);
    e->reads_scope = LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, &scope, 1));
}

void ftso_emit_store_lanes(ftso_emitter *e, LLVMValueRef vector, LLVMValueRef address,
                           int64_t count)
{
    if (count >= e->target.vector_floats) {
        ftso_emit_store(e, vector, address);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        ftso_emit_store(e,
                        LLVMBuildExtractElement(e->builder, vector,
                                                LLVMConstInt(e->i32, (unsigned)i, false), ""),
                        ftso_emit_at(e, address, ftso_emit_i64(e, i)));
}

/* ---------------------------------------------------------------- images in memory */

LLVMValueRef ftso_emit_splat_i32(const ftso_emitter *e, unsigned value)
{
    LLVMValueRef lanes[64];
    for (int i = 0; i < e->target.vector_floats; i++) lanes[i] = LLVMConstInt(e->i32, value, false);
    return LLVMConstVector(lanes, (unsigned)e->target.vector_floats);
}

static bool is_half(const ftso_emitter *e, ftso_value value)
{
    return e->schedule->elements[value] == FTSO_ELEMENT_BF16;
}

/* Where element number `elements` of the value lies. */
static LLVMValueRef image_at(ftso_emitter *e, ftso_value value, LLVMValueRef elements)
{
    if (!is_half(e, value)) return ftso_emit_at(e, e->address[value], elements);
    LLVMTypeRef half = LLVMInt16TypeInContext(e->context);
    return LLVMBuildInBoundsGEP2(e->builder, half, e->address[value], &elements, 1, "");
}

/* Sixteen bits a lane to the floats whose upper halves they are. */
static LLVMValueRef widened(ftso_emitter *e, LLVMValueRef halves)
{
    LLVMValueRef bits = LLVMBuildZExt(e->builder, halves, integers(e, 32), "");
    bits = LLVMBuildShl(e->builder, bits, ftso_emit_splat_i32(e, 16), "");
    return LLVMBuildBitCast(e->builder, bits, e->vector, "");
}

int64_t ftso_emit_stored(const ftso_emitter *e, ftso_value value)
{
    ftso_shape shape = ftso_graph_shape(e->schedule->graph, value);
    return ftso_stored_channels(shape.dim[1], shape.dim[2] * shape.dim[3], e->layout);
}

LLVMValueRef ftso_emit_load_image(ftso_emitter *e, ftso_value value, LLVMValueRef elements)
{
    LLVMValueRef at = image_at(e, value, elements);
    if (e->ahead_floats)
        ftso_emit_prefetch(
            e, image_at(e, value, ftso_emit_add(e, elements, ftso_emit_i64(e, e->ahead_floats))));
    if (!is_half(e, value)) return ftso_emit_from_reads(e, ftso_emit_load_vector(e, at));
    LLVMValueRef halves = LLVMBuildLoad2(e->builder, integers(e, 16), at, "");
    LLVMSetAlignment(halves, 2);
    return widened(e, ftso_emit_from_reads(e, halves));
}

bool ftso_emit_goes_past(const ftso_emitter *e, ftso_value value)
{
    if (!e->past_caches || is_half(e, value)) return false;
    bool lines = e->target.vector_floats == FTSO_LINE_FLOATS || e->takes_lines;
    return lines && e->pixels * ftso_emit_stored(e, value) % FTSO_LINE_FLOATS == 0;
}

static void send_past(ftso_emitter *e, LLVMValueRef store)
{
    unsigned bytes = (unsigned)e->target.vector_floats * sizeof(float);
    LLVMMetadataRef one = LLVMValueAsMetadata(LLVMConstInt(e->i32, 1, false)),
                    node = LLVMMDNodeInContext2(e->context, &one, 1);
    LLVMSetAlignment(store, bytes);
    LLVMSetMetadata(store, LLVMGetMDKindIDInContext(e->context, "nontemporal", 11),
                    LLVMMetadataAsValue(e->context, node));
}

void ftso_emit_store_result(ftso_emitter *e, ftso_value value, LLVMValueRef vector, LLVMValueRef at)
{
    if (ftso_emit_goes_past(e, value))
        send_past(e, LLVMBuildStore(e->builder, vector, at));
    else
        ftso_emit_store(e, vector, at);
}

void ftso_emit_store_image(ftso_emitter *e, ftso_value value, LLVMValueRef elements,
                           LLVMValueRef vector)
{
    int64_t stored = ftso_emit_stored(e, value);
    if (is_half(e, value)) {
        /* shifted with its sign, for SSE2 packs signed numbers only */
        vector = LLVMBuildBitCast(e->builder, vector, integers(e, 32), "");
        vector = LLVMBuildAShr(e->builder, vector, ftso_emit_splat_i32(e, 16), "");
        vector = LLVMBuildTrunc(e->builder, vector, integers(e, 16), "");
    }
    if (e->pixels == 1 && stored < e->target.vector_floats)
        vector = with_lanes(e, vector, NULL, 0, stored);
    LLVMValueRef store = LLVMBuildStore(e->builder, vector, image_at(e, value, elements));
    LLVMSetAlignment(store, is_half(e, value) ? 2 : 4);
    set_metadata(e, store, "noalias");
    if (ftso_emit_goes_past(e, value)) send_past(e, store);
}

/* In integers: half of the last bit that stays, less one where that is even; all ones where there is no number. */
static LLVMValueRef rounded(ftso_emitter *e, LLVMValueRef vector)
{
    LLVMBuilderRef b = e->builder;
    LLVMValueRef bits = LLVMBuildBitCast(b, vector, integers(e, 32), "");
    LLVMValueRef odd = LLVMBuildLShr(b, bits, ftso_emit_splat_i32(e, 16), "");
    odd = LLVMBuildAnd(b, odd, ftso_emit_splat_i32(e, 1), "");
    bits = LLVMBuildAdd(b, LLVMBuildAdd(b, bits, ftso_emit_splat_i32(e, 0x7fff), ""), odd, "");
    bits = LLVMBuildAnd(b, bits, ftso_emit_splat_i32(e, 0xffff0000u), "");
    LLVMValueRef none = LLVMBuildFCmp(b, LLVMRealUNO, vector, vector, "");
    bits = LLVMBuildOr(b, bits, LLVMBuildSExt(b, none, integers(e, 32), ""), "");
    return LLVMBuildBitCast(b, bits, e->vector, "");
}

/* By an instruction that takes eight or sixteen lanes; of four the others are anything. */
static LLVMValueRef rounded_at_once(ftso_emitter *e, LLVMValueRef vector)
{
    bool wide = e->target.vector_floats == 16;
    const char *name =
        wide ? "llvm.x86.avx512bf16.cvtneps2bf16.512" : "llvm.x86.avx512bf16.cvtneps2bf16.256";
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name)), lanes = wide ? 16 : 8;
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(e->module, id, NULL, 0);
    LLVMTypeRef type = LLVMIntrinsicGetType(e->context, id, NULL, 0);
    vector = with_lanes(e, vector, NULL, 0, lanes);
    LLVMValueRef halves = LLVMBuildCall2(e->builder, type, callee, &vector, 1, "");
    LLVMTypeRef bits = LLVMVectorType(LLVMInt16TypeInContext(e->context), lanes);
    halves = LLVMBuildBitCast(e->builder, halves, bits, "");
    return widened(e, with_lanes(e, halves, NULL, 0, e->target.vector_floats));
}

LLVMValueRef ftso_emit_as_stored(ftso_emitter *e, ftso_value value, LLVMValueRef vector)
{
    if (!is_half(e, value)) return vector;
    return e->target.has_bf16 ? rounded_at_once(e, vector) : rounded(e, vector);
}

/* ---------------------------------------------------------------- functions and loops */

/* Loads field number `index` of ftso_kernel_args; all fields are eight bytes. */
static LLVMValueRef field(ftso_emitter *e, LLVMTypeRef type, unsigned index)
{
    LLVMValueRef offset = ftso_emit_i64(e, index);
    LLVMValueRef at =
        LLVMBuildInBoundsGEP2(e->builder, e->i64, LLVMGetParam(e->function, 0), &offset, 1, "");
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, at, "");
    LLVMSetAlignment(value, 8);
    return value;
}

void ftso_emit_function(ftso_emitter *e, const char *symbol, const char *part)
{
    char name[160];
    snprintf(name, sizeof(name), "%s_%s", symbol, part);
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->context), &e->pointer, 1, false);
    e->function = LLVMAddFunction(e->module, name, type);
    unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(e->function, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->context, kind, 0));
    LLVMAddTargetDependentFunctionAttr(e->function, "target-cpu", e->target.cpu);
    LLVMAddTargetDependentFunctionAttr(e->function, "target-features", e->target.features);
    if (e->target.vector_floats >= 16)
        LLVMAddTargetDependentFunctionAttr(e->function, "prefer-vector-width", "512");
    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, e->function, "entry"));

    LLVMValueRef buffers = field(e, e->pointer, 0);
    e->shared = field(e, e->pointer, 1);
    e->scratch = field(e, e->pointer, 2);
    e->batch = field(e, e->i64, 3);
    e->item = field(e, e->i64, 4);
    const ftso_region *region = e->region;
    for (size_t i = 0; i < region->read_count + region->write_count; i++) {
        ftso_value value =
            i < region->read_count ? region->reads[i] : region->writes[i - region->read_count];
        LLVMValueRef index = ftso_emit_i64(e, (int64_t)i);
        LLVMValueRef at = LLVMBuildInBoundsGEP2(e->builder, e->pointer, buffers, &index, 1, "");
        e->address[value] = LLVMBuildLoad2(e->builder, e->pointer, at, "");
        LLVMSetAlignment(e->address[value], 8);
    }
}

void ftso_emit_return(ftso_emitter *e)
{
    /* what went past the caches is there for other threads, whatever tells them that the item is done */
    if (e->past_caches)
        LLVMBuildFence(e->builder, LLVMAtomicOrderingSequentiallyConsistent, false, "");
    LLVMBuildRetVoid(e->builder);
}

static LLVMBasicBlockRef block(ftso_emitter *e, const char *name)
{
    return LLVMAppendBasicBlockInContext(e->context, e->function, name);
}

void ftso_emit_loop(ftso_emitter *e, ftso_loop *loop, LLVMValueRef first, LLVMValueRef limit,
                    int64_t step, bool at_least_once, const LLVMValueRef *initial, int count)
{
    FTSO_ASSERT(count <= FTSO_MAX_CARRIED);
    int64_t from, to;
    if (is_constant(first, &from) && is_constant(limit, &to) && from < to) at_least_once = true;
    loop->limit = limit;
    loop->step = ftso_emit_i64(e, step);
    loop->carried_count = count;
    loop->before = LLVMGetInsertBlock(e->builder);
    loop->body = block(e, "loop");
    loop->skip = at_least_once ? NULL : block(e, "skip");
    for (int i = 0; i < count; i++) loop->initial[i] = initial[i];
    if (at_least_once)
        LLVMBuildBr(e->builder, loop->body);
    else
        LLVMBuildCondBr(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, first, limit, ""),
                        loop->body, loop->skip);
    LLVMPositionBuilderAtEnd(e->builder, loop->body);
    loop->index = LLVMBuildPhi(e->builder, e->i64, "i");
    LLVMAddIncoming(loop->index, &first, &loop->before, 1);
    for (int i = 0; i < count; i++) {
        loop->carried[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(initial[i]), "");
        LLVMAddIncoming(loop->carried[i], &loop->initial[i], &loop->before, 1);
    }
}

void ftso_emit_loop_end(ftso_emitter *e, ftso_loop *loop, const LLVMValueRef *next)
{
    LLVMValueRef following = LLVMBuildNSWAdd(e->builder, loop->index, loop->step, "");
    LLVMValueRef again = LLVMBuildICmp(e->builder, LLVMIntSLT, following, loop->limit, "");
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->builder);
    LLVMBasicBlockRef after = loop->skip ? loop->skip : block(e, "after");
    LLVMMoveBasicBlockAfter(after, last);
    LLVMBuildCondBr(e->builder, again, loop->body, after);
    LLVMAddIncoming(loop->index, &following, &last, 1);
    for (int i = 0; i < loop->carried_count; i++)
        LLVMAddIncoming(loop->carried[i], (LLVMValueRef *)&next[i], &last, 1);
    LLVMPositionBuilderAtEnd(e->builder, after);
    for (int i = 0; i < loop->carried_count; i++) {
        if (!loop->skip) {
            loop->carried[i] = next[i];
            continue;
        }
        LLVMValueRef merged = LLVMBuildPhi(e->builder, LLVMTypeOf(next[i]), "");
        LLVMAddIncoming(merged, &loop->initial[i], &loop->before, 1);
        LLVMAddIncoming(merged, (LLVMValueRef *)&next[i], &last, 1);
        loop->carried[i] = merged;
    }
}

void ftso_emit_if(ftso_emitter *e, ftso_if *branch, LLVMValueRef condition)
{
    LLVMBasicBlockRef inside = block(e, "then");
    branch->after = block(e, "endif");
    LLVMBuildCondBr(e->builder, condition, inside, branch->after);
    LLVMPositionBuilderAtEnd(e->builder, inside);
}

void ftso_emit_if_end(ftso_emitter *e, ftso_if *branch)
{
    LLVMBuildBr(e->builder, branch->after);
    LLVMMoveBasicBlockAfter(branch->after, LLVMGetInsertBlock(e->builder));
    LLVMPositionBuilderAtEnd(e->builder, branch->after);
}

/* ---------------------------------------------------------------- items */

enum { ITEMS = 32 };

int64_t ftso_emit_images_per_item(const ftso_emitter *e, int64_t planned_batch)
{
    (void)e;
    return (planned_batch + ITEMS - 1) / ITEMS;
}

void ftso_emit_images(ftso_emitter *e, ftso_loop *loop, int64_t images_per_item)
{
    LLVMValueRef first = ftso_emit_mul(e, e->item, images_per_item);
    LLVMValueRef limit =
        ftso_emit_min_i64(e, ftso_emit_add(e, first, ftso_emit_i64(e, images_per_item)), e->batch);
    ftso_emit_loop(e, loop, first, limit, 1, true, NULL, 0);
}

/* So many items a batch should give at least, in parts of no fewer rows than these. */
enum { LEAST_ITEMS = 8, PART_ROWS = 2 };

static int64_t wanted_parts(const ftso_epilogue *epilogue, int64_t planned_batch)
{
    if (epilogue->whole) return 1;
    return planned_batch >= LEAST_ITEMS ? 1 : LEAST_ITEMS / planned_batch;
}

int64_t ftso_emit_least_bands(const ftso_emitter *e, const ftso_epilogue *epilogue,
                              int64_t planned_batch, int64_t rows)
{
    (void)e;
    int64_t parts = wanted_parts(epilogue, planned_batch), most = rows / PART_ROWS;
    return parts < most ? parts : most < 1 ? 1 : most;
}

void ftso_emit_frame(ftso_emitter *e, ftso_frame *frame, const ftso_epilogue *epilogue,
                     int64_t planned_batch, int64_t bands)
{
    int64_t parts = wanted_parts(epilogue, planned_batch);
    while (parts > bands || bands % parts) parts--;
    frame->images_per_item = ftso_emit_images_per_item(e, planned_batch);
    frame->parts = parts;
    frame->bands = bands;
    if (parts == 1) {
        frame->first_band = ftso_emit_i64(e, 0);
        ftso_emit_images(e, &frame->images, frame->images_per_item);
        ftso_emit_loop(e, &frame->rows, frame->first_band, ftso_emit_i64(e, bands), 1, true, NULL,
                       0);
        return;
    }
    FTSO_ASSERT(frame->images_per_item == 1);
    LLVMValueRef count = ftso_emit_i64(e, parts);
    LLVMValueRef image = LLVMBuildUDiv(e->builder, e->item, count, "");
    LLVMValueRef part = LLVMBuildURem(e->builder, e->item, count, "");
    LLVMValueRef first = ftso_emit_mul(e, part, bands / parts);
    frame->first_band = first;
    ftso_emit_loop(e, &frame->images, image, ftso_emit_add(e, image, ftso_emit_i64(e, 1)), 1, true,
                   NULL, 0);
    ftso_emit_loop(e, &frame->rows, first, ftso_emit_add(e, first, ftso_emit_i64(e, bands / parts)),
                   1, true, NULL, 0);
}

void ftso_emit_frame_end(ftso_emitter *e, ftso_frame *frame)
{
    ftso_emit_loop_end(e, &frame->rows, NULL);
    ftso_emit_loop_end(e, &frame->images, NULL);
}
