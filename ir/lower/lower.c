/*
 * A space to a network's graph: stems, the stack of cells, head, auxiliary head, loss.
 *
 * In: a space, options, for a found network a genotype. Out: the graph, the table of weights, the slices of `arch`.
 * Must hold: super-net and found network go one road; what differs is the mode, the stack and how a searched cell's
 * edges are filled. The flat states get their true size at the end.
 */
#include "lower_internal.h"

#include <string.h>

/* What fills the searched cells: the super-net's edge weights, one entry per slice, or a genotype. */
typedef struct filling {
    const ftso_genotype *genotype;
    ftso_edge_weights *weights;
    size_t weight_count;
} filling;

static int64_t choose(int64_t option, int64_t fallback)
{
    return option ? option : fallback;
}

/* ---------------------------------------------------------------- names in scope everywhere */

/* classes, channels and the space's constants, overrides applied; each constant sees those before it. */
static bool bind_globals(ftso_builder *builder, int64_t classes, int64_t channels)
{
    const ftso_space *space = builder->space;
    const ftso_lower_options *options = builder->options;
    ftso_name_value *names = FTSO_ARRAY(builder->arena, ftso_name_value, space->constant_count + 2);
    ftso_scope *scope = FTSO_NEW(builder->arena, ftso_scope);
    *scope = (ftso_scope){NULL, names, 0};
    names[scope->count++] = (ftso_name_value){"classes", ftso_number_whole(classes)};
    names[scope->count++] = (ftso_name_value){"channels", ftso_number_whole(channels)};
    for (size_t i = 0; i < space->constant_count; i++) {
        const ftso_arith *value = space->constants[i].value;
        for (size_t k = 0; k < options->parameter_count; k++)
            if (!strcmp(options->parameters[k].name, space->constants[i].name))
                value = options->parameters[k].value;
        ftso_name_value bound = {space->constants[i].name, {0}};
        if (!ftso_builder_eval(builder, value, scope, &bound.value)) return false;
        names[scope->count++] = bound;
    }
    builder->globals = scope;
    return true;
}

/* ---------------------------------------------------------------- genotypes */

/* Checks that a genotype's cell can be built as `decl`. */
static bool check_found(ftso_builder *builder, const ftso_genotype *genotype,
                        const ftso_cell_decl *decl, const ftso_cell *cell)
{
    if (!cell || cell->node_count != decl->node_count ||
        cell->decl->input_count != decl->input_count) {
        ftso_builder_fail(builder, "E0507", genotype->span,
                          cell ? "the genotype's cell '%s' has another number of inputs or "
                                 "nodes than the space's"
                               : "the genotype has no cell '%s'",
                          decl->name);
        return false;
    }
    for (int j = 0; j < decl->node_count; j++) {
        int node = decl->input_count + j;
        if (cell->node_start[j] == cell->node_start[j + 1]) {
            ftso_builder_fail(builder, "E0507", genotype->span, "node %d of cell '%s' has no edge",
                              node, decl->name);
            return false;
        }
        for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++)
            if (cell->edges[e].from < 0 || cell->edges[e].from >= node) {
                ftso_builder_fail(
                    builder, "E0507", genotype->span,
                    "node %d of cell '%s' reads state %d, which does not come before it", node,
                    decl->name, cell->edges[e].from);
                return false;
            }
    }
    for (size_t i = 0; i < cell->concat_count; i++)
        if (cell->concat[i] < 0 || cell->concat[i] >= decl->input_count + decl->node_count) {
            ftso_builder_fail(builder, "E0507", genotype->span,
                              "cell '%s' has no state %d to put out", decl->name, cell->concat[i]);
            return false;
        }
    return true;
}

/* The cell of a genotype that fills `decl`, or NULL: by name, for a cell found in one space may be built in another. */
static const ftso_cell *cell_of(const ftso_genotype *genotype, const ftso_cell_decl *decl)
{
    for (size_t i = 0; i < genotype->cell_count; i++)
        if (!strcmp(genotype->cells[i].decl->name, decl->name)) return &genotype->cells[i];
    return NULL;
}

/* Checks the genotype that a super-net is to be restricted to, where there is one. */
static bool check_prune(ftso_builder *builder)
{
    const ftso_genotype *prune = builder->options->prune;
    for (size_t i = 0; prune && i < builder->space->cell_count; i++) {
        const ftso_cell_decl *decl = builder->space->cells[i];
        if (!decl->body && !check_found(builder, prune, decl, cell_of(prune, decl))) return false;
    }
    return true;
}

/* ---------------------------------------------------------------- edge weights of a super-net */

static bool kept_by(const ftso_genotype *prune, const ftso_cell_decl *decl, int node, int from)
{
    if (!prune) return true;
    const ftso_cell *cell = cell_of(prune, decl);
    for (int e = cell->node_start[node]; e < cell->node_start[node + 1]; e++)
        if (cell->edges[e].from == from) return true;
    return false;
}

/* Lists a cell's edges, by node and ascending source. False after a node without edges was told. */
static bool list_edges(ftso_builder *builder, const ftso_cell_decl *decl, ftso_arch_slice *slice)
{
    size_t row = (size_t)(decl->input_count + decl->node_count - 1);
    size_t most = row * (size_t)decl->node_count;
    slice->cell = decl;
    slice->edge_node = FTSO_ARRAY(builder->arena, int, most + 1);
    slice->edge_from = FTSO_ARRAY(builder->arena, int, most + 1);
    for (int j = 0; j < decl->node_count; j++) {
        int64_t before = slice->edge_count;
        for (int from = 0; from < decl->input_count + j; from++) {
            if (!decl->edge_present[(size_t)j * row + (size_t)from] ||
                !kept_by(builder->options->prune, decl, j, from))
                continue;
            slice->edge_node[slice->edge_count] = decl->input_count + j;
            slice->edge_from[slice->edge_count++] = from;
        }
        if (slice->edge_count == before) {
            ftso_builder_fail(builder, "E0507", decl->span, "node %d of cell '%s' has no edge",
                              decl->input_count + j, decl->name);
            return false;
        }
    }
    return true;
}

static ftso_value element(ftso_builder *builder, ftso_value vector, int64_t index, ftso_text *why)
{
    const ftso_named_attr attrs[] = {{"index", FTSO_I(index)}};
    return ftso_builder_add(builder, "element", &vector, 1, attrs, 1, why);
}

/* Numbers [offset, offset + count) of `arch`, normalised together, as scalars. */
static void shares(ftso_builder *builder, int64_t offset, int64_t count, bool softmax,
                   ftso_value *out, ftso_text *why)
{
    ftso_value arch = builder->network->arch;
    ftso_value vector = ftso_builder_view(builder, arch, offset, ftso_shape_vector(count), why);
    if (softmax) vector = ftso_builder_unary(builder, "softmax", vector, why);
    for (int64_t i = 0; i < count; i++) out[i] = element(builder, vector, i, why);
}

/* The scalars of one cell kind: per edge its weight among the node's edges, per edge and operator its share. */
static void make_weights(ftso_builder *builder, const ftso_arch_slice *slice,
                         ftso_edge_weights *out)
{
    ftso_text why;
    ftso_text_init(&why);
    bool softmax = builder->options->normalize == FTSO_NORMALIZE_SOFTMAX;
    out->slice = slice;
    builder->path = ftso_format(builder->arena, "arch.%s", slice->cell->name);
    builder->graph->origin = (ftso_origin){slice->cell->span, builder->path};
    if (slice->beta_offset >= 0) {
        out->beta = FTSO_ARRAY(builder->arena, ftso_value, (size_t)slice->edge_count);
        for (int64_t first = 0, end; first < slice->edge_count; first = end) {
            for (end = first;
                 end < slice->edge_count && slice->edge_node[end] == slice->edge_node[first];)
                end++;
            shares(builder, slice->beta_offset + first, end - first, softmax, out->beta + first,
                   &why);
        }
    }
    if (slice->op_count > 1) {
        out->alpha =
            FTSO_ARRAY(builder->arena, ftso_value, (size_t)(slice->edge_count * slice->op_count));
        for (int64_t edge = 0; edge < slice->edge_count; edge++)
            shares(builder, slice->alpha_offset + edge * slice->op_count, slice->op_count, true,
                   out->alpha + edge * slice->op_count, &why);
    }
    FTSO_ASSERT(why.length == 0);
    ftso_text_deinit(&why);
}

/* Lays out `arch` (all betas, then all alphas) and makes the state. */
static bool lay_out_arch(ftso_builder *builder, const ftso_opset *ops, filling *fill)
{
    const ftso_space *space = builder->space;
    ftso_network *network = builder->network;
    if (!ops || !ops->operator_count) {
        ftso_builder_fail(builder, "E0506", space->span, "'%s' has no operators for its edges",
                          space->name);
        return false;
    }
    if (!check_prune(builder)) return false;
    network->arch_slices = FTSO_ARRAY(builder->arena, ftso_arch_slice, space->cell_count + 1);
    fill->weights = FTSO_ARRAY(builder->arena, ftso_edge_weights, space->cell_count + 1);
    for (size_t i = 0; i < space->cell_count; i++) {
        if (space->cells[i]->body) continue;
        if (!list_edges(builder, space->cells[i],
                        &network->arch_slices[network->arch_slice_count++]))
            return false;
    }
    for (size_t i = 0; i < network->arch_slice_count; i++) {
        ftso_arch_slice *slice = &network->arch_slices[i];
        slice->beta_offset = builder->options->edge_weights ? network->arch_total : -1;
        if (builder->options->edge_weights) network->arch_total += slice->edge_count;
    }
    for (size_t i = 0; i < network->arch_slice_count; i++) {
        ftso_arch_slice *slice = &network->arch_slices[i];
        int64_t alphas;
        slice->op_count = (int64_t)ops->operator_count;
        slice->alpha_offset = slice->op_count > 1 ? network->arch_total : -1;
        if (slice->op_count < 2) continue;
        if (!ftso_i64_mul(slice->edge_count, slice->op_count, &alphas) ||
            !ftso_i64_add(network->arch_total, alphas, &network->arch_total) ||
            network->arch_total > FTSO_LOWER_MAX_ARCH) {
            ftso_builder_fail(builder, "E0508", space->span,
                              "'%s' has too many operators on its edges", space->name);
            return false;
        }
    }
    if (network->arch_total)
        network->arch =
            ftso_graph_state(builder->graph, "arch", ftso_shape_vector(network->arch_total));
    for (size_t i = 0; i < network->arch_slice_count; i++) fill->weights[i].ops = ops;
    fill->weight_count = network->arch_slice_count;
    return true;
}

/* ---------------------------------------------------------------- the stack of cells */

static ftso_value lower_site(ftso_builder *builder, const ftso_cell_site *site, const filling *fill)
{
    const ftso_cell_decl *decl = site->decl;
    ftso_value value;
    builder->place_span = site->span;
    if (decl->body) return ftso_builder_fixed_cell(builder, site);
    builder->in_cell = true;
    if (fill->genotype) {
        const ftso_cell *cell = cell_of(fill->genotype, decl);
        value = check_found(builder, fill->genotype, decl, cell)
                    ? ftso_builder_found_cell(builder, site, cell)
                    : FTSO_NO_VALUE;
    } else {
        ftso_edge_weights *weights = NULL;
        for (size_t i = 0; i < fill->weight_count; i++)
            if (builder->network->arch_slices[i].cell == decl) {
                weights = &fill->weights[i];
                if (!weights->slice)
                    make_weights(builder, &builder->network->arch_slices[i], weights);
            }
        FTSO_ASSERT(weights);
        value = ftso_builder_mixed_cell(builder, site, weights);
    }
    builder->in_cell = false;
    return value;
}

/* Values of stems, then of cells, the newest last. */
typedef struct history {
    ftso_value *items;
    size_t count, capacity;
} history;

static bool lower_stems(ftso_builder *builder, history *past)
{
    const ftso_space *space = builder->space;
    ftso_value value = builder->network->image;
    for (size_t i = 0; i < space->stem_count; i++) {
        builder->place = NULL;
        builder->path = space->stem_count == 1 ? "stem" : ftso_format(builder->arena, "stem%zu", i);
        builder->module = (ftso_module){FTSO_MODULE_ROOT, builder->path, ""};
        value = ftso_builder_expand(builder, space->stems[i], builder->globals, &value, 1);
        if (value == FTSO_NO_VALUE) return false;
        FTSO_PUSH(builder->arena, past->items, past->count, past->capacity, value);
    }
    if (!past->count) FTSO_PUSH(builder->arena, past->items, past->count, past->capacity, value);
    return true;
}

/* The last `count` values before a cell, oldest first; the very first one stands in where there are too few. */
static const ftso_value *cell_inputs(ftso_builder *builder, const history *past, int count)
{
    ftso_value *inputs = FTSO_ARRAY(builder->arena, ftso_value, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        size_t back = (size_t)(count - i);
        inputs[i] = past->items[past->count > back ? past->count - back : 0];
    }
    return inputs;
}

/* A head on `value`; must end in one number per class. */
static ftso_value lower_head(ftso_builder *builder, const ftso_opexpr *head, const char *path,
                             const char *module, ftso_value value, int64_t classes)
{
    builder->place = NULL;
    builder->path = path;
    builder->module = (ftso_module){FTSO_MODULE_HEAD, module, ""};
    value = ftso_builder_expand(builder, head, builder->globals, &value, 1);
    if (value == FTSO_NO_VALUE) return value;
    ftso_shape shape = ftso_builder_shape(builder, value);
    if (shape.rank == 4 && shape.dim[1] == classes && shape.dim[2] == 1 && shape.dim[3] == 1)
        return value;
    ftso_text text;
    ftso_text_init(&text);
    ftso_shape_print(shape, &text);
    ftso_diag_entry *entry = ftso_builder_fail(
        builder, "E0505", head->span, "the head makes %s, not one number for each of %lld classes",
        ftso_text_get(&text), (long long)classes);
    entry->help = "end it in global_avgpool -> linear(classes)";
    ftso_text_deinit(&text);
    return FTSO_NO_VALUE;
}

static ftso_value lower_loss(ftso_builder *builder, ftso_value logits)
{
    const ftso_value inputs[] = {logits, builder->network->label};
    const ftso_named_attr attrs[] = {{"smoothing", FTSO_R(builder->options->label_smoothing)}};
    ftso_text why;
    ftso_text_init(&why);
    builder->path = "loss";
    builder->graph->origin = (ftso_origin){builder->space->span, builder->path};
    ftso_value loss = ftso_builder_add(builder, "cross_entropy", inputs, 2, attrs, 1, &why);
    if (loss == FTSO_NO_VALUE)
        ftso_builder_fail(builder, "E0505", builder->space->head->span,
                          "the loss cannot be taken: %s", ftso_text_get(&why));
    ftso_text_deinit(&why);
    return loss;
}

/* Stems to logits and loss. */
static bool lower_body(ftso_builder *builder, const filling *fill, const ftso_stack *stack,
                       int64_t classes)
{
    const ftso_space *space = builder->space;
    ftso_network *network = builder->network;
    const ftso_lower_options *options = builder->options;
    int64_t layers, aux_after = -1;
    ftso_place_in_stack *places = ftso_builder_stack(builder, stack, &layers);
    if (!places) return false;
    if (options->aux && space->aux_head && space->aux_den > 0)
        aux_after = layers * space->aux_num / space->aux_den;
    if (options->aux && (aux_after < 0 || aux_after >= layers)) {
        ftso_builder_fail(builder, "E0509", space->aux_head ? space->aux_head->span : space->span,
                          "'%s' has no place for an auxiliary head", space->name);
        return false;
    }
    ftso_value aux_source = FTSO_NO_VALUE;
    history past = {0};
    if (!lower_stems(builder, &past)) return false;
    for (int64_t i = 0; i < layers; i++) {
        ftso_cell_site site = {places[i].cell, i, places[i].channels, places[i].span,
                               cell_inputs(builder, &past, places[i].cell->input_count)};
        ftso_value value = lower_site(builder, &site, fill);
        if (value == FTSO_NO_VALUE) return false;
        FTSO_PUSH(builder->arena, past.items, past.count, past.capacity, value);
        if (i == aux_after) aux_source = value;
    }
    network->logits =
        lower_head(builder, space->head, "head", "", past.items[past.count - 1], classes);
    if (network->logits == FTSO_NO_VALUE) return false;
    if (aux_source != FTSO_NO_VALUE) { /* last, so that its tensors stand behind all others */
        network->aux_logits = lower_head(builder, space->aux_head, "auxiliary", "auxiliary_head",
                                         aux_source, classes);
        if (network->aux_logits == FTSO_NO_VALUE) return false;
    }
    ftso_graph_output(builder->graph, "logits", network->logits, FTSO_NO_VALUE);
    if (options->inference) return true;
    network->loss = lower_loss(builder, network->logits);
    if (network->loss != FTSO_NO_VALUE && network->aux_logits != FTSO_NO_VALUE) {
        ftso_value aux = lower_loss(builder, network->aux_logits);
        if (aux == FTSO_NO_VALUE) return false;
        double share = options->aux_weight > 0 ? options->aux_weight : space->aux_weight;
        ftso_value weight = ftso_graph_constant(builder->graph, ftso_shape_scalar(), share);
        aux = ftso_graph_binary(builder->graph, "mul", aux, weight);
        network->loss = ftso_graph_binary(builder->graph, "add", network->loss, aux);
    }
    if (network->loss == FTSO_NO_VALUE) return false;
    ftso_graph_output(builder->graph, "loss", network->loss, FTSO_NO_VALUE);
    return true;
}

/* ---------------------------------------------------------------- both kinds of network */

#define RUNNING_MOMENTUM 0.1

/* Gives a leaf its true length in dimension d, in the shape and in the attribute `spelt` for it. */
static void settle(ftso_graph *graph, ftso_value leaf, int d, const char *spelt, int64_t total)
{
    if (leaf == FTSO_NO_VALUE) return;
    ftso_node *node = &graph->nodes[leaf];
    node->shape.dim[d] = total ? total : 1;
    node->attrs[ftso_op_attr(node->op, spelt)].i = node->shape.dim[d];
}

/* running <- 0.9 running + 0.1 measured, at once for all batch norms; as it was where there are none. */
static void keep_running(ftso_builder *builder)
{
    ftso_graph *graph = builder->graph;
    ftso_value running = builder->network->running, fresh = running;
    builder->path = "running";
    graph->origin = (ftso_origin){builder->space->span, builder->path};
    if (builder->measured_count) {
        ftso_value measured =
            ftso_graph_add(graph, "pack", builder->measured, builder->measured_count, NULL, 0);
        fresh = ftso_graph_times(graph, running, 1 - RUNNING_MOMENTUM);
        measured = ftso_graph_times(graph, measured, RUNNING_MOMENTUM);
        fresh = ftso_graph_binary(graph, "add", fresh, measured);
    }
    ftso_graph_output(graph, "running", fresh, running);
}

static ftso_network *lower(ftso_arena *arena, ftso_diag *diag, const ftso_space *space,
                           const ftso_genotype *genotype, const ftso_lower_options *options)
{
    FTSO_ASSERT(options->batch > 0);
    ftso_network *network = FTSO_NEW(arena, ftso_network);
    network->graph = FTSO_NEW(arena, ftso_graph);
    network->arch = network->running = network->label = network->loss = FTSO_NO_VALUE;
    network->logits = network->aux_logits = network->drop_path = FTSO_NO_VALUE;
    ftso_graph_init(network->graph, arena, ftso_primitives());
    network->graph->storage = options->storage;
    ftso_builder builder = {.arena = arena,
                            .diag = diag,
                            .network = network,
                            .graph = network->graph,
                            .space = space,
                            .options = options,
                            .path = "",
                            .module = {FTSO_MODULE_ROOT, "", ""},
                            .mode = genotype ? FTSO_NETWORK : FTSO_SUPERNET};
    const ftso_stack *stack = &space->network;
    if (!genotype && (space->supernet.order || space->supernet.layers)) stack = &space->supernet;
    int64_t classes = choose(options->classes, space->classes);
    int64_t side = choose(options->image_side, space->image_side);
    int64_t image_channels = choose(options->image_channels, space->image_channels);
    int64_t pixels, numbers;
    if (classes < 1 || side < 1 || image_channels < 1 || !space->head ||
        !ftso_i64_mul(side, side, &pixels) || !ftso_i64_mul(pixels, image_channels, &numbers) ||
        !ftso_i64_mul(numbers, options->batch, &numbers) || numbers > FTSO_LOWER_MAX_ELEMENTS) {
        ftso_builder_fail(
            &builder, "E0508", space->span,
            "'%s' cannot be built for %lld images of %lld x %lld x %lld and %lld classes",
            space->name, (long long)options->batch, (long long)image_channels, (long long)side,
            (long long)side, (long long)classes);
        return NULL;
    }
    ftso_graph *graph = network->graph;
    ftso_shape labels = ftso_shape_vector(options->batch);
    labels.batched = true;
    network->image = ftso_graph_input(graph, "image",
                                      ftso_shape_image(options->batch, image_channels, side, side));
    if (!options->inference) network->label = ftso_graph_input(graph, "label", labels);
    network->weights =
        ftso_graph_state(graph, "weights", ftso_shape_vector(FTSO_LOWER_MAX_ELEMENTS));
    if (options->inference || options->running)
        network->running =
            ftso_graph_state(graph, "running", ftso_shape_vector(FTSO_LOWER_MAX_ELEMENTS));
    filling fill = {.genotype = genotype};
    if (!bind_globals(&builder, classes, choose(options->channels, stack->channels)) ||
        (!genotype && !lay_out_arch(&builder, options->ops ? options->ops : space->ops, &fill)) ||
        !lower_body(&builder, &fill, stack, classes))
        return NULL;
    settle(graph, network->weights, 0, "d0", network->weight_total);
    settle(graph, network->running, 0, "d0", network->running_total);
    settle(graph, network->drop_path, 1, "d1", network->drop_count);
    if (options->running && !options->inference) keep_running(&builder);
    graph->origin = (ftso_origin){space->span, ""};
    return network;
}

ftso_network *ftso_lower_supernet(ftso_arena *arena, ftso_diag *diag, const ftso_space *space,
                                  const ftso_lower_options *options)
{
    return lower(arena, diag, space, NULL, options);
}

ftso_network *ftso_lower_network(ftso_arena *arena, ftso_diag *diag, const ftso_space *space,
                                 const ftso_genotype *genotype, const ftso_lower_options *options)
{
    return lower(arena, diag, space, genotype, options);
}
