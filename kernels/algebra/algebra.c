/*
 * Algebra: scalars and vectors without a batch, one item.
 *
 * In: nodes in order. Out: scalars in registers; vectors of equal length computed together in one loop, a node a register;
 * what others need in memory.
 * Must hold: element i of a result that shares a state's memory is stored after element i of every operand was read: a
 * loop loads before it stores, and results that could be overwritten too early are copied at the end.
 */
#include "kernels/kernels_internal.h"

#include <string.h>

/* What became of a value. */
typedef struct place {
    LLVMValueRef scalar;  /* rank 0, computed */
    LLVMValueRef address; /* in memory */
    bool written;         /* one of the region's writes */
    bool needed;          /* by another loop or a reduction, so it must be in memory */
    bool pending;         /* waits in a group */
    bool deferred;        /* lies in shared memory until the final copy */
    int flush;            /* number of the loop that computed it, from 1 */
} place;

/* Elementwise nodes of one length, emitted as one loop when somebody needs them. */
typedef struct group {
    int64_t count;
    ftso_value *nodes;
    size_t node_count, node_capacity;
} group;

typedef struct job {
    ftso_emitter *e;
    const ftso_region *region;
    place *places; /* by value */
    group *groups;
    size_t group_count, group_capacity;
    int flushes;
    int64_t shared_floats;
} job;

static int64_t count_of(const job *j, ftso_value value)
{
    return ftso_shape_count(ftso_kernel_shape(j->e, value));
}

static bool is_literal(const job *j, ftso_value value)
{
    return ftso_node_is(ftso_kernel_node(j->e, value), "constant");
}

static void flush(job *j, group *g);

static void flush_if_pending(job *j, ftso_value value)
{
    if (!j->places[value].pending) return;
    for (size_t i = 0; i < j->group_count; i++)
        if (j->groups[i].count == count_of(j, value)) flush(j, &j->groups[i]);
}

static LLVMValueRef scalar(job *j, ftso_value value)
{
    ftso_emitter *e = j->e;
    if (is_literal(j, value))
        return ftso_emit_f32(e, ftso_node_real(ftso_kernel_node(e, value), "value"));
    place *p = &j->places[value];
    if (!p->scalar) p->scalar = ftso_emit_load(e, p->address);
    return p->scalar;
}

/* Where a vector lies, computed first if it waits. */
static LLVMValueRef memory(job *j, ftso_value value)
{
    flush_if_pending(j, value);
    FTSO_ASSERT(j->places[value].address);
    return j->places[value].address;
}

static LLVMValueRef reserve(job *j, int64_t count)
{
    LLVMValueRef address = ftso_emit_at(j->e, j->e->shared, ftso_emit_i64(j->e, j->shared_floats));
    j->shared_floats += ftso_emit_round(j->e, count) + j->e->target.vector_floats;
    return address;
}

/* A state of that length is read by this region, so that a write may lie on it. */
static bool may_overwrite(const job *j, ftso_value value)
{
    for (size_t i = 0; i < j->region->read_count; i++) {
        ftso_value read = j->region->reads[i];
        if (ftso_node_is(ftso_kernel_node(j->e, read), "state") &&
            count_of(j, read) == count_of(j, value))
            return true;
    }
    return false;
}

/* Who reads what the nodes of flush number `flush` make or, as a state of `count` elements, may overwrite: marks `needed` of
 * their operands outside the flush; true when a node still to come reads such a state. */
static bool look_ahead(job *j, int flush, int64_t count)
{
    bool later = false;
    for (size_t i = 0; i < j->region->node_count; i++) {
        place *p = &j->places[j->region->nodes[i]];
        if (p->flush == flush) continue;
        const ftso_node *node = ftso_kernel_node(j->e, j->region->nodes[i]);
        for (uint32_t k = 0; k < ftso_node_needs(node); k++) {
            place *operand = &j->places[node->inputs[k]];
            operand->needed = operand->needed || operand->flush == flush;
            if (p->flush || p->scalar) continue; /* computed before */
            later = later || (ftso_node_is(ftso_kernel_node(j->e, node->inputs[k]), "state") &&
                              count_of(j, node->inputs[k]) == count);
        }
    }
    return later;
}

/* ---------------------------------------------------------------- groups */

/* An operand inside a group's loop at element `index`: a register of the same round, memory, or a spread scalar. */
static LLVMValueRef element(job *j, LLVMValueRef *registers, ftso_value value, int64_t count,
                            LLVMValueRef index)
{
    ftso_emitter *e = j->e;
    if (is_literal(j, value))
        return ftso_emit_splat_of(e, ftso_node_real(ftso_kernel_node(e, value), "value"));
    if (ftso_kernel_shape(e, value).rank == 0 && count != 0)
        return ftso_emit_splat(e, scalar(j, value));
    if (!registers[value])
        registers[value] =
            ftso_emit_load_vector(e, ftso_emit_at(e, j->places[value].address, index));
    return registers[value];
}

/* One round of a group: V elements from `index` on; only `lanes` of them are stored. */
static void round_of(job *j, const group *g, LLVMValueRef index, int64_t lanes)
{
    ftso_emitter *e = j->e;
    LLVMValueRef *registers = FTSO_ARRAY(e->arena, LLVMValueRef, j->e->schedule->graph->node_count);
    for (size_t i = 0; i < g->node_count; i++) {
        const ftso_node *node = ftso_kernel_node(e, g->nodes[i]);
        LLVMValueRef few[8], *operands = few;
        if (node->input_count > FTSO_COUNT(few))
            operands = FTSO_ARRAY(e->arena, LLVMValueRef, node->input_count);
        for (uint32_t k = 0; k < node->input_count; k++)
            operands[k] = element(j, registers, node->inputs[k], g->count, index);
        registers[g->nodes[i]] =
            ftso_node_is(node, "zero") || ftso_node_is(node, "fill")
                ? (node->input_count && !ftso_node_is(node, "zero") ? operands[0]
                                                                    : ftso_emit_splat_of(e, 0))
                : ftso_emit_arithmetic(e, node, operands, node->input_count);
        FTSO_ASSERT(registers[g->nodes[i]]);
    }
    for (size_t i = 0; i < g->node_count; i++)
        if (j->places[g->nodes[i]].address)
            ftso_emit_store_lanes(e, registers[g->nodes[i]],
                                  ftso_emit_at(e, j->places[g->nodes[i]].address, index), lanes);
}

static void flush(job *j, group *g)
{
    if (g->node_count == 0) return;
    ftso_emitter *e = j->e;
    int v = e->target.vector_floats;
    group now = *g;
    *g = (group){.count = now.count};
    int number = ++j->flushes;
    for (size_t i = 0; i < now.node_count; i++) j->places[now.nodes[i]].flush = number;
    bool later = look_ahead(j, number, now.count);
    for (size_t i = 0; i < now.node_count; i++) {
        place *p = &j->places[now.nodes[i]];
        const ftso_node *node = ftso_kernel_node(e, now.nodes[i]);
        for (uint32_t k = 0; k < ftso_node_needs(node); k++)
            if (ftso_kernel_shape(e, node->inputs[k]).rank == 0 && !is_literal(j, node->inputs[k]))
                scalar(j, node->inputs[k]);
        p->pending = false;
        if (p->written && later && may_overwrite(j, now.nodes[i])) {
            p->deferred = true;
            p->address = reserve(j, now.count);
        } else if (!p->written) {
            p->address = p->needed ? reserve(j, now.count) : NULL;
        }
    }
    int64_t whole = now.count / v * v;
    if (whole) {
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), v, true, NULL, 0);
        round_of(j, &now, loop.index, v);
        ftso_emit_loop_end(e, &loop, NULL);
    }
    if (whole < now.count) round_of(j, &now, ftso_emit_i64(e, whole), now.count - whole);
}

static void add_to_group(job *j, ftso_value value)
{
    int64_t count = count_of(j, value);
    group *g = NULL;
    for (size_t i = 0; i < j->group_count; i++)
        if (j->groups[i].count == count) g = &j->groups[i];
    if (!g) {
        group fresh = {.count = count};
        FTSO_PUSH(j->e->arena, j->groups, j->group_count, j->group_capacity, fresh);
        g = &j->groups[j->group_count - 1];
    }
    const ftso_node *node = ftso_kernel_node(j->e, value);
    for (uint32_t k = 0; k < ftso_node_needs(node); k++)
        if (ftso_kernel_shape(j->e, node->inputs[k]).rank != 0 &&
            count_of(j, node->inputs[k]) != count)
            flush_if_pending(j, node->inputs[k]);
    FTSO_PUSH(j->e->arena, g->nodes, g->node_count, g->node_capacity, value);
    j->places[value].pending = true;
}

/* ---------------------------------------------------------------- what is not elementwise */

static void set_scalar(job *j, ftso_value value, LLVMValueRef number)
{
    place *p = &j->places[value];
    p->scalar = number;
    if (p->written) ftso_emit_store(j->e, number, p->address);
}

static LLVMValueRef result_memory(job *j, ftso_value value)
{
    place *p = &j->places[value];
    if (!p->written) p->address = reserve(j, count_of(j, value));
    return p->address;
}

/* Sum of a vector, or of the products of two, in double, element after element of V running sums, then across lanes. */
static LLVMValueRef sum_of(job *j, ftso_value a, ftso_value b)
{
    ftso_emitter *e = j->e;
    int v = e->target.vector_floats;
    int64_t count = count_of(j, a), whole = count / v * v;
    bool constant_a = is_literal(j, a), constant_b = b != FTSO_NO_VALUE && is_literal(j, b);
    LLVMValueRef at_a = constant_a ? NULL : memory(j, a),
                 at_b = b == FTSO_NO_VALUE || constant_b ? NULL : memory(j, b);
    LLVMValueRef sum = LLVMConstNull(e->vector64), total = LLVMConstNull(e->f64);
    double literal_a = constant_a ? ftso_node_real(ftso_kernel_node(e, a), "value") : 0;
    double literal_b = constant_b ? ftso_node_real(ftso_kernel_node(e, b), "value") : 0;
    if (whole) {
        ftso_loop loop;
        ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), v, true, &sum, 1);
        LLVMValueRef x = at_a ? ftso_emit_load_vector(e, ftso_emit_at(e, at_a, loop.index))
                              : ftso_emit_splat_of(e, literal_a);
        LLVMValueRef term = LLVMBuildFPExt(e->builder, x, e->vector64, "");
        if (b != FTSO_NO_VALUE) {
            LLVMValueRef y = at_b ? ftso_emit_load_vector(e, ftso_emit_at(e, at_b, loop.index))
                                  : ftso_emit_splat_of(e, literal_b);
            term =
                LLVMBuildFMul(e->builder, term, LLVMBuildFPExt(e->builder, y, e->vector64, ""), "");
        }
        LLVMValueRef next = LLVMBuildFAdd(e->builder, loop.carried[0], term, "");
        ftso_emit_loop_end(e, &loop, &next);
        sum = loop.carried[0];
        for (int l = 0; l < v; l++) {
            LLVMValueRef lane = LLVMBuildExtractElement(
                e->builder, sum, LLVMConstInt(e->i32, (unsigned)l, false), "");
            total = LLVMBuildFAdd(e->builder, total, lane, "");
        }
    }
    for (int64_t i = whole; i < count; i++) {
        LLVMValueRef index = ftso_emit_i64(e, i);
        LLVMValueRef x =
            at_a ? ftso_emit_load(e, ftso_emit_at(e, at_a, index)) : ftso_emit_f32(e, literal_a);
        LLVMValueRef term = LLVMBuildFPExt(e->builder, x, e->f64, "");
        if (b != FTSO_NO_VALUE) {
            LLVMValueRef y = at_b ? ftso_emit_load(e, ftso_emit_at(e, at_b, index))
                                  : ftso_emit_f32(e, literal_b);
            term = LLVMBuildFMul(e->builder, term, LLVMBuildFPExt(e->builder, y, e->f64, ""), "");
        }
        total = LLVMBuildFAdd(e->builder, total, term, "");
    }
    return LLVMBuildFPTrunc(e->builder, total, e->f32, "");
}

static void do_sum(job *j, ftso_value value, const ftso_node *node)
{
    set_scalar(j, value, sum_of(j, node->inputs[0], FTSO_NO_VALUE));
}

static void do_vector_dot(job *j, ftso_value value, const ftso_node *node)
{
    set_scalar(j, value, sum_of(j, node->inputs[0], node->inputs[1]));
}

static void do_mean_scale(job *j, ftso_value value, const ftso_node *node)
{
    ftso_emitter *e = j->e;
    LLVMValueRef count = ftso_emit_mul(e, e->batch, ftso_node_int(node, "pixels"));
    LLVMValueRef exact = LLVMBuildFDiv(e->builder, LLVMConstReal(e->f64, 1),
                                       LLVMBuildSIToFP(e->builder, count, e->f64, ""), "");
    set_scalar(j, value, LLVMBuildFPTrunc(e->builder, exact, e->f32, ""));
}

static void do_element(job *j, ftso_value value, const ftso_node *node)
{
    ftso_emitter *e = j->e;
    if (is_literal(j, node->inputs[0])) {
        set_scalar(j, value, scalar(j, node->inputs[0]));
        return;
    }
    LLVMValueRef at =
        ftso_emit_at(e, memory(j, node->inputs[0]), ftso_emit_i64(e, ftso_node_int(node, "index")));
    set_scalar(j, value, ftso_emit_load(e, at));
}

static void do_stack(job *j, ftso_value value, const ftso_node *node)
{
    LLVMValueRef to = result_memory(j, value);
    for (uint32_t i = 0; i < node->input_count; i++)
        ftso_emit_store(j->e, scalar(j, node->inputs[i]),
                        ftso_emit_at(j->e, to, ftso_emit_i64(j->e, i)));
}

/* exp(x - max) / sum, in double. */
static void do_softmax(job *j, ftso_value value, const ftso_node *node)
{
    ftso_emitter *e = j->e;
    int64_t count = count_of(j, value);
    LLVMValueRef from = memory(j, node->inputs[0]), to = result_memory(j, value);
    LLVMValueRef largest = LLVMBuildFPExt(e->builder, ftso_emit_load(e, from), e->f64, "");
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, count), 1, true, &largest, 1);
    LLVMValueRef x = LLVMBuildFPExt(
        e->builder, ftso_emit_load(e, ftso_emit_at(e, from, loop.index)), e->f64, "");
    LLVMValueRef next =
        LLVMBuildSelect(e->builder, LLVMBuildFCmp(e->builder, LLVMRealOGT, x, loop.carried[0], ""),
                        x, loop.carried[0], "");
    ftso_emit_loop_end(e, &loop, &next);
    largest = loop.carried[0];
    LLVMValueRef total = LLVMConstNull(e->f64);
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, count), 1, true, &total, 1);
    x = LLVMBuildFPExt(e->builder, ftso_emit_load(e, ftso_emit_at(e, from, loop.index)), e->f64,
                       "");
    x = ftso_emit_intrinsic(e, "exp", LLVMBuildFSub(e->builder, x, largest, ""), NULL);
    next = LLVMBuildFAdd(e->builder, loop.carried[0], x, "");
    ftso_emit_loop_end(e, &loop, &next);
    total = loop.carried[0];
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, count), 1, true, NULL, 0);
    x = LLVMBuildFPExt(e->builder, ftso_emit_load(e, ftso_emit_at(e, from, loop.index)), e->f64,
                       "");
    x = ftso_emit_intrinsic(e, "exp", LLVMBuildFSub(e->builder, x, largest, ""), NULL);
    x = LLVMBuildFPTrunc(e->builder, LLVMBuildFDiv(e->builder, x, total, ""), e->f32, "");
    ftso_emit_store(e, x, ftso_emit_at(e, to, loop.index));
    ftso_emit_loop_end(e, &loop, NULL);
}

/* Copies `count` elements of a vector, or of a literal, to `to`. */
static void copy(job *j, ftso_value from, int64_t first, int64_t count, LLVMValueRef to)
{
    ftso_emitter *e = j->e;
    LLVMValueRef source =
        is_literal(j, from) ? NULL : ftso_emit_at(e, memory(j, from), ftso_emit_i64(e, first));
    LLVMValueRef literal =
        source ? NULL : ftso_emit_f32(e, ftso_node_real(ftso_kernel_node(e, from), "value"));
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, count), 1, true, NULL, 0);
    ftso_emit_store(e, source ? ftso_emit_load(e, ftso_emit_at(e, source, loop.index)) : literal,
                    ftso_emit_at(e, to, loop.index));
    ftso_emit_loop_end(e, &loop, NULL);
}

static void do_concat(job *j, ftso_value value, const ftso_node *node)
{
    LLVMValueRef to = result_memory(j, value);
    int64_t offset = 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        copy(j, node->inputs[i], 0, count_of(j, node->inputs[i]),
             ftso_emit_at(j->e, to, ftso_emit_i64(j->e, offset)));
        offset += count_of(j, node->inputs[i]);
    }
}

static void do_slice(job *j, ftso_value value, const ftso_node *node)
{
    copy(j, node->inputs[0], ftso_node_int(node, "begin"), count_of(j, value),
         result_memory(j, value));
}

static void do_embed(job *j, ftso_value value, const ftso_node *node)
{
    ftso_emitter *e = j->e;
    LLVMValueRef to = result_memory(j, value);
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, count_of(j, value)), 1, true,
                   NULL, 0);
    ftso_emit_store(e, ftso_emit_f32(e, 0), ftso_emit_at(e, to, loop.index));
    ftso_emit_loop_end(e, &loop, NULL);
    copy(j, node->inputs[0], 0, count_of(j, node->inputs[0]),
         ftso_emit_at(e, to, ftso_emit_i64(e, ftso_node_int(node, "begin"))));
}

static void do_shuffle(job *j, ftso_value value, const ftso_node *node)
{
    ftso_emitter *e = j->e;
    int64_t count = count_of(j, value), groups = ftso_node_int(node, "groups"),
            order = ftso_shuffle_order(count, groups);
    int64_t power = (ftso_node_int(node, "power") % order + order) % order;
    LLVMValueRef from = memory(j, node->inputs[0]), to = result_memory(j, value);
    for (int64_t i = 0; i < count; i++) {
        int64_t source = i;
        for (int64_t p = 0; p < power; p++)
            source = (source % groups) * (count / groups) + source / groups;
        ftso_emit_store(e, ftso_emit_load(e, ftso_emit_at(e, from, ftso_emit_i64(e, source))),
                        ftso_emit_at(e, to, ftso_emit_i64(e, i)));
    }
}

/* Operators that are not one element from one element. */
static const struct {
    const char *name;
    void (*emit)(job *j, ftso_value value, const ftso_node *node);
} whole_values[] = {
    {"sum", do_sum},         {"vector_dot", do_vector_dot}, {"mean_scale", do_mean_scale},
    {"element", do_element}, {"stack", do_stack},           {"softmax", do_softmax},
    {"concat", do_concat},   {"slice", do_slice},           {"embed", do_embed},
    {"shuffle", do_shuffle}};

static bool emit_whole(job *j, ftso_value value, const ftso_node *node)
{
    for (size_t i = 0; i < FTSO_COUNT(whole_values); i++) {
        if (!ftso_node_is(node, whole_values[i].name)) continue;
        whole_values[i].emit(j, value, node);
        return true;
    }
    return false;
}

static bool is_whole(const ftso_node *node)
{
    for (size_t i = 0; i < FTSO_COUNT(whole_values); i++)
        if (ftso_node_is(node, whole_values[i].name)) return true;
    return false;
}

static void emit_scalar(job *j, ftso_value value, const ftso_node *node)
{
    LLVMValueRef few[8], *operands = few;
    if (node->input_count > FTSO_COUNT(few))
        operands = FTSO_ARRAY(j->e->arena, LLVMValueRef, node->input_count);
    for (uint32_t k = 0; k < node->input_count; k++) operands[k] = scalar(j, node->inputs[k]);
    LLVMValueRef number = ftso_node_is(node, "zero")
                              ? ftso_emit_f32(j->e, 0)
                              : ftso_emit_arithmetic(j->e, node, operands, node->input_count);
    FTSO_ASSERT(number);
    set_scalar(j, value, number);
}

/* ---------------------------------------------------------------- the whole */

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    job j = {.e = e, .region = region};
    j.places = FTSO_ARRAY(e->arena, place, schedule->graph->node_count);
    ftso_emit_function(e, symbol, "body");
    for (size_t i = 0; i < region->read_count; i++)
        j.places[region->reads[i]].address = e->address[region->reads[i]];
    for (size_t i = 0; i < region->write_count; i++) {
        j.places[region->writes[i]].address = e->address[region->writes[i]];
        j.places[region->writes[i]].written = true;
    }
    for (size_t i = 0; i < region->node_count; i++) {
        ftso_value value = region->nodes[i];
        const ftso_node *node = ftso_kernel_node(e, value);
        if (is_literal(&j, value) || (is_whole(node) && emit_whole(&j, value, node))) continue;
        if (node->shape.rank == 0)
            emit_scalar(&j, value, node);
        else
            add_to_group(&j, value);
    }
    for (size_t i = 0; i < j.group_count; i++) flush(&j, &j.groups[i]);
    for (size_t i = 0; i < region->write_count; i++) {
        place *p = &j.places[region->writes[i]];
        if (!p->deferred) continue;
        copy(&j, region->writes[i], 0, count_of(&j, region->writes[i]),
             e->address[region->writes[i]]);
    }
    ftso_emit_return(e);
    out_shape->fixed_items = 1;
    out_shape->shared_bytes = 4 * j.shared_floats;
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_algebra = {
    .name = "algebra",
    .doc = "scalars and vectors without a batch, one after another",
    .emit_llvm = emit};
