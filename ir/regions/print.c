/*
 * Printing schedules and regions: for people (with the graph's value numbers) and as keys (numbered from zero).
 * In: a schedule. Out: text. Holds: equal keys mean equal work; a key has no names, no origins, no value numbers.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

static bool is_in(const ftso_value *list, size_t count, ftso_value value)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == value) return true;
    return false;
}

/* " {stride=2, pad_top=1}", without what is at its fallback; names are left out of keys. */
static void print_attrs(const ftso_node *node, bool names, ftso_text *out)
{
    const char *before = " {";
    for (int i = 0; i < node->op->attr_count; i++) {
        const ftso_attr_spec *spec = &node->op->attrs[i];
        char number[32];
        if (spec->kind == FTSO_ATTR_NAME) {
            if (!names) continue;
            ftso_text_printf(out, "%s%s=\"%s\"", before, spec->name, node->attrs[i].name);
        } else if (spec->kind == FTSO_ATTR_INT) {
            bool shape = (node->op->flags & FTSO_OP_SHAPED) && spec->fallback.i == 0 &&
                         strcmp(spec->name, "offset") != 0;
            if (shape || node->attrs[i].i == spec->fallback.i) continue;
            ftso_text_printf(out, "%s%s=%lld", before, spec->name, (long long)node->attrs[i].i);
        } else {
            if (node->attrs[i].r == spec->fallback.r) continue;
            ftso_double_print(node->attrs[i].r, number);
            ftso_text_printf(out, "%s%s=%s", before, spec->name, number);
        }
        before = ", ";
    }
    if (before[0] == ',') ftso_text_puts(out, "}");
}

static void print_list(const ftso_value *values, size_t count, ftso_text *out)
{
    for (size_t i = 0; i < count; i++)
        ftso_text_printf(out, "%s%%%lu", i ? ", " : "", (unsigned long)values[i]);
}

/* " : [N=8, 16, 32, 32] bf16" of a value as it lies in memory. */
static void print_type(const ftso_schedule *schedule, ftso_value value, ftso_text *out)
{
    ftso_text_puts(out, " : ");
    ftso_shape_print(ftso_graph_shape(schedule->graph, value), out);
    if (schedule->elements[value] != FTSO_ELEMENT_FP32)
        ftso_text_printf(out, " %s", ftso_element_name(schedule->elements[value]));
}

static void print_region(const ftso_schedule *schedule, size_t number, ftso_text *out)
{
    const ftso_region *region = &schedule->regions[number];
    ftso_text_printf(out, "region %zu: %s", number, region->kernel_class);
    for (size_t i = 0; i < region->core_count; i++)
        ftso_text_printf(out, "%s%%%lu", i ? ", " : " of ", (unsigned long)region->cores[i]);
    for (size_t i = 0; i < region->lead_count; i++)
        ftso_text_printf(out, "%s%%%lu", i ? ", " : " led by ", (unsigned long)region->leads[i]);
    for (size_t i = 0; i < region->gradient_count; i++)
        ftso_text_printf(out, "%s%%%lu", i ? ", " : " beside ",
                         (unsigned long)region->gradients[i]);
    for (size_t i = 0; i < region->pool_count; i++)
        ftso_text_printf(out, "%s%%%lu", i || region->gradient_count ? ", " : " beside ",
                         (unsigned long)region->pools[i]);
    ftso_text_puts(out, "\n");
    for (size_t i = 0; i < region->read_count; i++) {
        const ftso_node *node = ftso_graph_node(schedule->graph, region->reads[i]);
        ftso_text_printf(out, "    read %%%lu", (unsigned long)region->reads[i]);
        print_type(schedule, region->reads[i], out);
        if (node->op->op_class == FTSO_CLASS_LEAF || node->op->op_class == FTSO_CLASS_ALIAS) {
            ftso_text_printf(out, " %s", node->op->name);
            print_attrs(node, true, out);
            if (node->input_count) {
                ftso_text_puts(out, " of ");
                print_list(node->inputs, node->input_count, out);
            }
        }
        ftso_text_puts(out, "\n");
    }
    for (size_t i = 0; i < region->node_count; i++) {
        ftso_value value = region->nodes[i];
        const ftso_node *node = ftso_graph_node(schedule->graph, value);
        bool write = is_in(region->writes, region->write_count, value);
        ftso_text_printf(out, "    %s%%%lu = %s(", write ? "write " : "", (unsigned long)value,
                         node->op->name);
        print_list(node->inputs, ftso_node_needs(node), out);
        ftso_text_puts(out, ")");
        print_attrs(node, true, out);
        print_type(schedule, value, out);
        ftso_text_puts(out, "\n");
    }
}

void ftso_schedule_print(const ftso_schedule *schedule, ftso_text *out)
{
    for (size_t r = 0; r < schedule->region_count; r++) print_region(schedule, r, out);
    for (size_t i = 0; i < schedule->graph->output_count; i++) {
        const ftso_output *output = &schedule->graph->outputs[i];
        ftso_text_printf(out, "output \"%s\" %%%lu", output->name, (unsigned long)output->value);
        if (output->state != FTSO_NO_VALUE)
            ftso_text_printf(out, " -> %%%lu", (unsigned long)output->state);
        ftso_text_puts(out, "\n");
    }
}

/* Number of a value in the key: reads first, then nodes. */
static size_t number_of(const ftso_region *region, ftso_value value)
{
    for (size_t i = 0; i < region->read_count; i++)
        if (region->reads[i] == value) return i;
    for (size_t i = 0; i < region->node_count; i++)
        if (region->nodes[i] == value) return region->read_count + i;
    FTSO_ASSERT(!"an operand of a region is read or computed in it");
    return 0;
}

void ftso_region_key(const ftso_schedule *schedule, const ftso_region *region, ftso_text *out)
{
    ftso_text_printf(out, "%s\n", region->kernel_class);
    for (size_t i = 0; i < region->read_count; i++) {
        ftso_text_printf(out, "%%%zu", i);
        const ftso_node *read = ftso_graph_node(schedule->graph, region->reads[i]);
        print_type(schedule, region->reads[i], out);
        if (ftso_node_is(read, "column")) { /* how far apart its numbers lie */
            ftso_text_puts(out, " of ");
            ftso_shape_print(ftso_graph_shape(schedule->graph, read->inputs[0]), out);
        }
        ftso_text_puts(out, "\n");
    }
    for (size_t i = 0; i < region->node_count; i++) {
        const ftso_node *node = ftso_graph_node(schedule->graph, region->nodes[i]);
        ftso_text_printf(out, "%%%zu = %s(", region->read_count + i, node->op->name);
        for (uint32_t k = 0; k < ftso_node_needs(node); k++)
            ftso_text_printf(out, "%s%%%zu", k ? ", " : "", number_of(region, node->inputs[k]));
        ftso_text_puts(out, ")");
        print_attrs(node, false, out);
        print_type(schedule, region->nodes[i], out);
        ftso_text_puts(out, "\n");
    }
    ftso_text_puts(out, "cores");
    for (size_t i = 0; i < region->core_count; i++)
        ftso_text_printf(out, " %%%zu", number_of(region, region->cores[i]));
    ftso_text_puts(out, "\nwrites");
    for (size_t i = 0; i < region->write_count; i++)
        ftso_text_printf(out, " %%%zu", number_of(region, region->writes[i]));
    ftso_text_puts(out, "\n");
}
