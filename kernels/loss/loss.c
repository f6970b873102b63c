/*
 * Loss: cross entropy over classes with label smoothing, and its gradient. Scalar code in double: a few thousand numbers.
 */
#include "kernels/kernels_internal.h"

/* What both share for one image: log of the sum of exp(z - largest), and the largest logit. */
typedef struct softmax {
    LLVMValueRef logits, label; /* address of the image's logits; label as i64 */
    LLVMValueRef largest, total;
} softmax;

static LLVMValueRef widen(ftso_emitter *e, LLVMValueRef value)
{
    return LLVMBuildFPExt(e->builder, value, e->f64, "");
}

/* exp(logit c - largest), in double. */
static LLVMValueRef exponential(ftso_emitter *e, const softmax *s, LLVMValueRef c)
{
    LLVMValueRef z = widen(e, ftso_emit_load(e, ftso_emit_at(e, s->logits, c)));
    return ftso_emit_intrinsic(e, "exp", LLVMBuildFSub(e->builder, z, s->largest, ""), NULL);
}

/* The image's logits, evaluated into scratch; the label is read from memory. */
static softmax begin_image(ftso_emitter *e, const ftso_node *node, LLVMValueRef image,
                           int64_t classes)
{
    int v = e->target.vector_floats;
    ftso_pixel pixel = {.image = image, .number = ftso_emit_i64(e, 0)};
    for (int64_t c = 0; c < ftso_emit_round(e, classes); c += v)
        ftso_emit_store(e, ftso_emit_channels(e, &pixel, node->inputs[0], c),
                        ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c)));
    softmax s = {.logits = e->scratch};
    LLVMValueRef label = ftso_emit_load(e, ftso_emit_at(e, e->address[node->inputs[1]], image));
    s.label = LLVMBuildFPToSI(e->builder, label, e->i64, "");
    s.largest = widen(e, ftso_emit_load(e, s.logits));
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, classes), 1, true, &s.largest,
                   1);
    LLVMValueRef z = widen(e, ftso_emit_load(e, ftso_emit_at(e, s.logits, loop.index)));
    LLVMValueRef larger = LLVMBuildFCmp(e->builder, LLVMRealOGT, z, loop.carried[0], "");
    LLVMValueRef next = LLVMBuildSelect(e->builder, larger, z, loop.carried[0], "");
    ftso_emit_loop_end(e, &loop, &next);
    s.largest = loop.carried[0];
    s.total = LLVMConstNull(e->f64);
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, classes), 1, true, &s.total, 1);
    next = LLVMBuildFAdd(e->builder, loop.carried[0], exponential(e, &s, loop.index), "");
    ftso_emit_loop_end(e, &loop, &next);
    s.total = loop.carried[0];
    return s;
}

/* What class c is asked to be: smoothing / classes, and 1 - smoothing more at the label. */
static LLVMValueRef target_of(ftso_emitter *e, const softmax *s, LLVMValueRef c, double smoothing,
                              int64_t classes)
{
    LLVMValueRef low = LLVMConstReal(e->f64, smoothing / (double)classes);
    LLVMValueRef high = LLVMConstReal(e->f64, smoothing / (double)classes + 1 - smoothing);
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntEQ, c, s->label, ""), high,
                           low, "");
}

static LLVMValueRef mean_of_batch(ftso_emitter *e, LLVMValueRef sum)
{
    return LLVMBuildFDiv(e->builder, sum, LLVMBuildSIToFP(e->builder, e->batch, e->f64, ""), "");
}

/* -sum_c target_c * (z_c - largest - log total) */
static LLVMValueRef loss_of(ftso_emitter *e, const softmax *s, double smoothing, int64_t classes)
{
    LLVMValueRef log_total = ftso_emit_intrinsic(e, "log", s->total, NULL),
                 zero = LLVMConstNull(e->f64);
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, classes), 1, true, &zero, 1);
    LLVMValueRef z = widen(e, ftso_emit_load(e, ftso_emit_at(e, s->logits, loop.index)));
    LLVMValueRef log_p =
        LLVMBuildFSub(e->builder, LLVMBuildFSub(e->builder, z, s->largest, ""), log_total, "");
    LLVMValueRef term =
        LLVMBuildFMul(e->builder, target_of(e, s, loop.index, smoothing, classes), log_p, "");
    LLVMValueRef next = LLVMBuildFSub(e->builder, loop.carried[0], term, "");
    ftso_emit_loop_end(e, &loop, &next);
    return loop.carried[0];
}

static void gradient_of(ftso_emitter *e, const softmax *s, ftso_value core, LLVMValueRef image,
                        double smoothing, int64_t classes)
{
    LLVMValueRef out =
        ftso_emit_at(e, e->address[core], ftso_emit_mul(e, image, ftso_emit_round(e, classes)));
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, classes), 1, true, NULL, 0);
    LLVMValueRef p = LLVMBuildFDiv(e->builder, exponential(e, s, loop.index), s->total, "");
    p = LLVMBuildFSub(e->builder, p, target_of(e, s, loop.index, smoothing, classes), "");
    ftso_emit_store(e, LLVMBuildFPTrunc(e->builder, mean_of_batch(e, p), e->f32, ""),
                    ftso_emit_at(e, out, loop.index));
    ftso_emit_loop_end(e, &loop, NULL);
}

static LLVMValueRef slot(ftso_emitter *e, LLVMValueRef item)
{
    return LLVMBuildInBoundsGEP2(e->builder, e->f64, e->shared, &item, 1, "");
}

static void emit_finish(ftso_emitter *e, const char *symbol, ftso_value core, int64_t per_item)
{
    ftso_emit_function(e, symbol, "finish");
    LLVMValueRef zero = LLVMConstNull(e->f64);
    ftso_loop loop;
    ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_item_count(e, per_item), 1, true, &zero,
                   1);
    LLVMValueRef part = LLVMBuildLoad2(e->builder, e->f64, slot(e, loop.index), "");
    LLVMValueRef next = LLVMBuildFAdd(e->builder, loop.carried[0], part, "");
    ftso_emit_loop_end(e, &loop, &next);
    ftso_emit_store(e, LLVMBuildFPTrunc(e->builder, mean_of_batch(e, loop.carried[0]), e->f32, ""),
                    e->address[core]);
    ftso_emit_return(e);
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    const ftso_node *node = ftso_kernel_node(e, region->cores[0]);
    ftso_shape logits = ftso_kernel_shape(e, node->inputs[0]);
    bool gradient = ftso_node_is(node, "cross_entropy_dx");
    double smoothing = ftso_node_real(node, "smoothing");
    int64_t classes = logits.dim[1], per_item = ftso_emit_images_per_item(e, logits.dim[0]);
    ftso_emit_function(e, symbol, "body");
    LLVMValueRef first = ftso_emit_mul(e, e->item, per_item), zero = LLVMConstNull(e->f64);
    LLVMValueRef limit =
        ftso_emit_min_i64(e, ftso_emit_add(e, first, ftso_emit_i64(e, per_item)), e->batch);
    ftso_loop images;
    ftso_emit_loop(e, &images, first, limit, 1, true, &zero, 1);
    softmax s = begin_image(e, node, images.index, classes);
    LLVMValueRef next = images.carried[0];
    if (gradient)
        gradient_of(e, &s, region->cores[0], images.index, smoothing, classes);
    else
        next = LLVMBuildFAdd(e->builder, next, loss_of(e, &s, smoothing, classes), "");
    ftso_emit_loop_end(e, &images, &next);
    if (!gradient) LLVMBuildStore(e->builder, images.carried[0], slot(e, e->item));
    ftso_emit_return(e);
    out_shape->images_per_item = per_item;
    out_shape->scratch_bytes = 4 * (ftso_emit_round(e, classes) + 2 * e->target.vector_floats);
    if (gradient) return FTSO_STATUS_OK;
    emit_finish(e, symbol, region->cores[0], per_item);
    out_shape->has_finish = true;
    out_shape->finish_items = 1;
    out_shape->shared_bytes = 8 * ((logits.dim[0] + per_item - 1) / per_item);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_loss = {
    .name = "loss", .doc = "cross entropy and its gradient", .emit_llvm = emit};
