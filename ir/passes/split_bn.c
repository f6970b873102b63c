/*
 * split-bn: batch norm as statistics of its input and one scale and shift per channel.
 * In: a graph with batch_norm nodes. Out: channel_mul and channel_add with a = gamma / sqrt(var + eps), b = beta - mean a;
 * statistics spelt as ftso_graph_statistics does, so that those of the gradient merge with them.
 */
#include "ir/passes/passes_internal.h"

/* As ftso_graph_statistics, through the folder. */
static void statistics(ftso_folder *f, ftso_value x, double eps, ftso_value *out_mean,
                       ftso_value *out_rstd)
{
    ftso_shape shape = ftso_graph_shape(f->graph, x);
    ftso_attr_value pixels = FTSO_I(shape.dim[2] * shape.dim[3]), root = FTSO_R(eps);
    ftso_value share = ftso_fold_named(f, "mean_scale", NULL, 0, &pixels);
    ftso_value mean = ftso_fold_binary(f, "scale", ftso_fold_unary(f, "channel_sum", x), share);
    ftso_value square =
        ftso_fold_binary(f, "scale", ftso_fold_binary(f, "channel_dot", x, x), share);
    ftso_value variance =
        ftso_fold_binary(f, "sub", square, ftso_fold_binary(f, "mul", mean, mean));
    *out_mean = mean;
    *out_rstd = ftso_fold_named(f, "rsqrt", &variance, 1, &root);
}

static ftso_value split(ftso_rebuild *r, const ftso_node *node)
{
    ftso_folder *f = &r->folder;
    ftso_value x = ftso_graph_unshifted(f->graph, r->map[node->inputs[0]]), mean, factor;
    f->graph->origin = node->origin;
    statistics(f, x, node->attrs[0].r, &mean, &factor);
    bool affine = node->input_count == 3;
    if (affine) factor = ftso_fold_binary(f, "mul", r->map[node->inputs[1]], factor);
    ftso_value beta = affine ? r->map[node->inputs[2]]
                             : ftso_fold_constant(f, ftso_graph_shape(f->graph, factor), 0);
    ftso_value term = ftso_fold_binary(f, "sub", beta, ftso_fold_binary(f, "mul", mean, factor));
    return ftso_fold_binary(f, "channel_add", ftso_fold_binary(f, "channel_mul", x, factor), term);
}

ftso_status ftso_pass_split_bn(const ftso_graph *in, ftso_graph *out)
{
    ftso_rebuild r;
    ftso_rebuild_begin(&r, in, out);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!r.live[v]) continue;
        r.map[v] = ftso_node_is(node, "batch_norm") ? split(&r, node) : ftso_rebuild_node(&r, node);
    }
    ftso_rebuild_end(&r);
    return FTSO_STATUS_OK;
}
