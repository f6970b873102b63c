/*
 * Reference interpreter: runs any graph node by node in double. The oracle that everything else is compared with.
 * In: a graph, contents of its inputs and states, a batch. Out: every value, readable until the next run.
 * Holds: statistics, losses and gradients use the batch of the run, not the planned one; state outputs take effect
 * together, after the run. One thread.
 */
#include "ir/ir.h"

#include <math.h>
#include <string.h>

struct ftso_interp {
    const ftso_graph *graph;
    ftso_arena arena;
    ftso_tensor *values;  /* per node; of a state: what it was when the run began */
    ftso_tensor *current; /* of states: what the next run begins with; of inputs: what was bound */
    int64_t *bound;       /* of inputs: elements bound; batched: of how many images */
    int32_t **frozen;     /* of kinked nodes, while frozen */
    size_t count;
    int64_t min_batch, planned;
    const ftso_element *elements; /* per node, or NULL */
    bool frozen_on, frozen_full, rounded;
    uint64_t disturbance; /* the generator's state; 0: none */
};

static bool is_bound_leaf(const ftso_node *node)
{
    return node->op->op_class == FTSO_CLASS_LEAF && !node->op->eval;
}

static ftso_tensor tensor_new(ftso_arena *arena, ftso_shape shape)
{
    return (ftso_tensor){shape, FTSO_ARRAY(arena, double, (size_t)ftso_shape_count(shape))};
}

ftso_interp *ftso_interp_new(const ftso_graph *graph)
{
    ftso_interp *interp = ftso_mem_alloc(sizeof *interp);
    if (!interp) return NULL;
    *interp = (ftso_interp){
        .graph = graph, .count = graph->node_count, .min_batch = ftso_graph_min_batch(graph)};
    ftso_arena *arena = &interp->arena;
    ftso_arena_init(arena);
    interp->values = FTSO_ARRAY(arena, ftso_tensor, interp->count);
    interp->current = FTSO_ARRAY(arena, ftso_tensor, interp->count);
    interp->bound = FTSO_ARRAY(arena, int64_t, interp->count);
    interp->frozen = FTSO_ARRAY(arena, int32_t *, interp->count);
    for (size_t i = 0; i < interp->count; i++) {
        const ftso_node *node = &graph->nodes[i];
        interp->values[i] = tensor_new(arena, node->shape);
        if (is_bound_leaf(node)) interp->current[i] = tensor_new(arena, node->shape);
        if (node->shape.batched) interp->planned = node->shape.dim[0];
    }
    return interp;
}

void ftso_interp_free(ftso_interp *interp)
{
    if (!interp) return;
    ftso_arena_deinit(&interp->arena);
    ftso_mem_free(interp);
}

void ftso_interp_freeze(ftso_interp *interp, bool frozen)
{
    interp->frozen_on = frozen;
    interp->frozen_full = false;
    if (!frozen) return;
    for (size_t i = 0; i < interp->count; i++) {
        const ftso_node *node = &interp->graph->nodes[i];
        if (!(node->op->flags & FTSO_OP_KINKED) || interp->frozen[i]) continue;
        int64_t entries = ftso_shape_count(node->shape);
        for (uint32_t k = 0; k < node->input_count; k++) {
            int64_t count = ftso_shape_count(interp->graph->nodes[node->inputs[k]].shape);
            if (count > entries) entries = count;
        }
        interp->frozen[i] = FTSO_ARRAY(&interp->arena, int32_t, (size_t)entries);
    }
}

void ftso_interp_round(ftso_interp *interp, bool to_float32)
{
    interp->rounded = to_float32;
}

void ftso_interp_store(ftso_interp *interp, const ftso_element *elements)
{
    interp->elements = elements;
}

static void round_to(ftso_element element, ftso_tensor *tensor)
{
    int64_t count = ftso_shape_count(tensor->shape);
    for (int64_t i = 0; i < count; i++)
        tensor->data[i] = ftso_element_round(element, tensor->data[i]);
}

void ftso_interp_disturb(ftso_interp *interp, uint64_t seed)
{
    interp->disturbance = seed;
}

/* Between -1 and 1: xorshift64*. */
static double chance(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)(int64_t)(*state * 0x2545f4914f6cdd1dULL) * 0x1p-63;
}

/*
 * Roundings on the way to a number are as many as its operations, and independent: their sum is as the root of that. What
 * they round is as large as the channel's numbers are; of what has no images, as the number itself.
 */
static void disturb(const ftso_interp *interp, uint64_t *state, ftso_value value)
{
    const ftso_tensor *out = &interp->values[value];
    int64_t count = ftso_shape_count(out->shape), outer = 1, channels = count, inner = 1;
    double operations = (double)ftso_node_cost(interp->graph, value).flops /
                        (double)ftso_shape_count(interp->graph->nodes[value].shape);
    if (out->shape.batched && out->shape.rank >= 2) {
        outer = out->shape.dim[0];
        channels = out->shape.dim[1];
        inner = count / (outer * channels);
    }
    for (int64_t c = 0; c < channels; c++) {
        double squares = 0;
        for (int64_t n = 0; n < outer; n++)
            for (int64_t i = 0; i < inner; i++) {
                double x = out->data[(n * channels + c) * inner + i];
                squares += x * x;
            }
        double size = 0x1p-24 * sqrt(operations * squares / (double)(outer * inner));
        for (int64_t n = 0; n < outer && size > 0; n++)
            for (int64_t i = 0; i < inner; i++)
                out->data[(n * channels + c) * inner + i] += size * chance(state);
    }
}

ftso_status ftso_interp_bind(ftso_interp *interp, ftso_value leaf, const double *data, size_t count)
{
    if (leaf >= interp->count || !is_bound_leaf(&interp->graph->nodes[leaf]))
        return ftso_error(FTSO_ERROR_USAGE, "interpreter: value %u is neither an input nor a state",
                          (unsigned)leaf);
    const ftso_node *node = &interp->graph->nodes[leaf];
    size_t full = (size_t)ftso_shape_count(node->shape);
    size_t each = node->shape.batched ? full / (size_t)node->shape.dim[0] : full;
    if (count > full || count == 0 || count % each)
        return ftso_error(FTSO_ERROR_USAGE,
                          "interpreter: %zu numbers for \"%s\", which takes %zu%s", count,
                          node->attrs[0].name, each, node->shape.batched ? " per image" : "");
    memcpy(interp->current[leaf].data, data, count * sizeof *data);
    interp->bound[leaf] = node->shape.batched ? (int64_t)(count / each) : 1;
    return FTSO_STATUS_OK;
}

static ftso_shape at_batch(ftso_shape shape, int64_t batch)
{
    if (shape.batched) shape.dim[0] = batch;
    return shape;
}

static ftso_status check_run(const ftso_interp *interp, int64_t batch)
{
    if (batch < 1 || (interp->planned && batch > interp->planned))
        return ftso_error(FTSO_ERROR_USAGE, "interpreter: batch %lld, planned for 1..%lld",
                          (long long)batch, (long long)interp->planned);
    if (batch < interp->min_batch)
        return ftso_error(FTSO_ERROR_USER,
                          "batch norm over a single value: batch %lld, must be at least %lld",
                          (long long)batch, (long long)interp->min_batch);
    for (size_t i = 0; i < interp->count; i++) {
        const ftso_node *node = &interp->graph->nodes[i];
        if (!is_bound_leaf(node) || ftso_node_is(node, "state")) continue;
        if (interp->bound[i] == 0 || (node->shape.batched && interp->bound[i] < batch))
            return ftso_error(FTSO_ERROR_USAGE, "interpreter: input \"%s\" has %lld images of %lld",
                              node->attrs[0].name, (long long)interp->bound[i], (long long)batch);
    }
    return FTSO_STATUS_OK;
}

ftso_status ftso_interp_run(ftso_interp *interp, int64_t batch)
{
    FTSO_TRY(check_run(interp, batch));
    const ftso_graph *graph = interp->graph;
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    for (size_t i = 0; i < interp->count; i++) {
        const ftso_node *node = &graph->nodes[i];
        ftso_tensor *out = &interp->values[i];
        out->shape = at_batch(node->shape, batch);
        if (is_bound_leaf(node)) {
            memcpy(out->data, interp->current[i].data,
                   (size_t)ftso_shape_count(out->shape) * sizeof *out->data);
        } else {
            ftso_tensor few[8], *inputs = few;
            if (node->input_count > FTSO_COUNT(few))
                inputs = FTSO_ARRAY(&scratch, ftso_tensor, node->input_count);
            for (uint32_t k = 0; k < node->input_count; k++)
                inputs[k] = interp->values[node->inputs[k]];
            ftso_eval eval = {.graph = graph, .node = node, .inputs = inputs, .batch = batch};
            if (interp->frozen_on)
                eval.frozen = interp->frozen[i], eval.replay = interp->frozen_full;
            node->op->eval(&eval, out);
        }
        if (interp->disturbance && !is_bound_leaf(node))
            disturb(interp, &interp->disturbance, (ftso_value)i);
        ftso_element element = interp->elements ? interp->elements[i] : FTSO_ELEMENT_FP32;
        if (interp->rounded || element != FTSO_ELEMENT_FP32) round_to(element, out);
    }
    ftso_arena_deinit(&scratch);
    interp->frozen_full = interp->frozen_on;
    for (size_t i = 0; i < graph->output_count; i++) {
        const ftso_output *output = &graph->outputs[i];
        if (output->state == FTSO_NO_VALUE) continue;
        const ftso_tensor *from = &interp->values[output->value];
        memcpy(interp->current[output->state].data, from->data,
               (size_t)ftso_shape_count(from->shape) * sizeof *from->data);
    }
    return FTSO_STATUS_OK;
}

const ftso_tensor *ftso_interp_get(const ftso_interp *interp, ftso_value value)
{
    FTSO_ASSERT(value < interp->count);
    return &interp->values[value];
}

const ftso_tensor *ftso_interp_state(const ftso_interp *interp, ftso_value state)
{
    FTSO_ASSERT(state < interp->count && ftso_node_is(&interp->graph->nodes[state], "state"));
    return &interp->current[state];
}
