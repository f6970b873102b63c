/*
 * place: gives every operand of a pack, and every new content of a state, memory of its own to be written into.
 * In: any graph. Out: operands of packs lie in one pack each and are values that some region makes, and so are new
 * contents of states; what is a leaf, a view or in another pack already is copied by an `add` of one term.
 */
#include "ir/passes/passes_internal.h"

typedef struct places {
    ftso_rebuild r;
    bool *packed; /* values of the new graph that lie in a pack */
} places;

static ftso_value copy(places *p, ftso_value value)
{
    return ftso_graph_add(p->r.folder.graph, "add", &value, 1, NULL, 0);
}

/* Input, state or view: memory that exists before any region could write it. */
static bool exists_already(const places *p, ftso_value value)
{
    const ftso_node *node = &p->r.folder.graph->nodes[value];
    if (node->op->op_class == FTSO_CLASS_ALIAS) return !ftso_node_is(node, "pack");
    return node->op->op_class == FTSO_CLASS_LEAF && !node->op->kernel_class &&
           !ftso_node_is(node, "constant");
}

static ftso_value place_pack(places *p, const ftso_node *node)
{
    ftso_value *operands = ftso_rebuild_operands(&p->r, node);
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (exists_already(p, operands[i]) || p->packed[operands[i]])
            operands[i] = copy(p, operands[i]);
        p->packed[operands[i]] = true;
    }
    return ftso_graph_add(p->r.folder.graph, node->op->name, operands, node->input_count, NULL, 0);
}

ftso_status ftso_pass_place(const ftso_graph *in, ftso_graph *out)
{
    places p;
    ftso_rebuild_begin(&p.r, in, out);
    p.r.folder.plain = true;
    size_t most = in->node_count + in->output_count;
    for (size_t v = 0; v < in->node_count; v++) most += in->nodes[v].input_count;
    p.packed = FTSO_ARRAY(&p.r.folder.scratch, bool, most);
    for (size_t v = 0; v < in->node_count; v++) {
        const ftso_node *node = &in->nodes[v];
        if (!p.r.live[v]) continue;
        out->origin = node->origin;
        p.r.map[v] =
            ftso_node_is(node, "pack") ? place_pack(&p, node) : ftso_rebuild_node(&p.r, node);
    }
    for (size_t i = 0; i < in->output_count; i++) {
        const ftso_output *output = &in->outputs[i];
        ftso_value value = p.r.map[output->value], state = FTSO_NO_VALUE;
        if (output->state != FTSO_NO_VALUE) {
            state = p.r.map[output->state];
            if (exists_already(&p, value)) value = copy(&p, value);
        }
        ftso_graph_output(out, output->name, value, state);
    }
    ftso_folder_deinit(&p.r.folder);
    return FTSO_STATUS_OK;
}
