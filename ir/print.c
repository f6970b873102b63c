/*
 * Printer: the text form of a graph, for people and for goldens; ftso_graph_parse inverts it.
 * In: a graph. Out: one line a node, `%5 = conv(%3, %4) {stride=2} : [N=256, 16, 32, 32]`, then the outputs.
 */
#include "ir/ir.h"

#include <string.h>

/* Attributes rank, batched, d0..d3 of shaped operators say what the shape says. */
static bool is_shape_attr(const ftso_op *op, const char *name)
{
    if (!(op->flags & FTSO_OP_SHAPED)) return false;
    if (strcmp(name, "rank") == 0 || strcmp(name, "batched") == 0) return true;
    return name[0] == 'd' && name[1] >= '0' && name[1] <= '3' && name[2] == 0;
}

static void print_string(const char *text, ftso_text *out)
{
    ftso_text_puts(out, "\"");
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            ftso_text_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            ftso_text_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        else
            ftso_text_append(out, c, 1);
    }
    ftso_text_puts(out, "\"");
}

static bool at_fallback(const ftso_attr_spec *spec, ftso_attr_value value)
{
    switch (spec->kind) {
    case FTSO_ATTR_INT:
        return value.i == spec->fallback.i;
    case FTSO_ATTR_REAL:
        return memcmp(&value.r, &spec->fallback.r, sizeof value.r) == 0;
    case FTSO_ATTR_NAME:
        return false;
    }
    return false;
}

static void print_attrs(const ftso_node *node, ftso_text *out)
{
    bool any = false;
    for (int i = 0; i < node->op->attr_count; i++) {
        const ftso_attr_spec *spec = &node->op->attrs[i];
        if (is_shape_attr(node->op, spec->name) || at_fallback(spec, node->attrs[i])) continue;
        ftso_text_printf(out, "%s%s=", any ? ", " : " {", spec->name);
        any = true;
        char number[32];
        switch (spec->kind) {
        case FTSO_ATTR_INT:
            ftso_text_printf(out, "%lld", (long long)node->attrs[i].i);
            break;
        case FTSO_ATTR_REAL:
            ftso_double_print(node->attrs[i].r, number);
            ftso_text_puts(out, number);
            break;
        case FTSO_ATTR_NAME:
            print_string(node->attrs[i].name, out);
            break;
        }
    }
    if (any) ftso_text_puts(out, "}");
}

void ftso_graph_print(const ftso_graph *graph, ftso_text *out)
{
    if (graph->storage != FTSO_ELEMENT_FP32)
        ftso_text_printf(out, "storage %s\n", ftso_element_name(graph->storage));
    for (size_t i = 0; i < graph->node_count; i++) {
        const ftso_node *node = &graph->nodes[i];
        ftso_text_printf(out, "%%%zu = %s(", i, node->op->name);
        for (uint32_t k = 0; k < node->input_count; k++)
            ftso_text_printf(out, "%s%%%u", k ? ", " : "", (unsigned)node->inputs[k]);
        ftso_text_puts(out, ")");
        print_attrs(node, out);
        ftso_text_puts(out, " : ");
        ftso_shape_print(node->shape, out);
        ftso_text_puts(out, "\n");
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        ftso_text_puts(out, "output ");
        print_string(graph->outputs[i].name, out);
        ftso_text_printf(out, " %%%u", (unsigned)graph->outputs[i].value);
        if (graph->outputs[i].state != FTSO_NO_VALUE)
            ftso_text_printf(out, " -> %%%u", (unsigned)graph->outputs[i].state);
        ftso_text_puts(out, "\n");
    }
}
