/*
 * Drawings of a cell: lanes for a terminal, an SVG picture.
 *
 * In: a cell. Out: text. Must hold: ASCII only in the terminal's form; the picture is self-contained (no script, no font,
 * no link) and readable on light and dark pages, for every word stands on a field of its own.
 * The picture: states in columns from left to right, every edge with a row of its own, so that no line passes through a
 * word; a node stands at the middle of its edges' rows.
 */
#include "search/search.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- terminal */

/* One lane a state; `o` where an edge leaves, `>` where it arrives, the new state's number at its first edge. */
static void print_lanes(const ftso_cell *cell, int from, int node, int open, bool first,
                        ftso_text *out)
{
    ftso_text_puts(out, "  ");
    for (int lane = 0; lane < open; lane++) {
        bool through = lane >= from && from >= 0;
        ftso_text_puts(out, lane == from ? "o" : "|");
        if (lane + 1 < open || from >= 0) ftso_text_puts(out, through ? "--" : "  ");
        if (lane + 1 < open) ftso_text_puts(out, through ? "-" : " ");
    }
    if (from >= 0) {
        if (first)
            ftso_text_printf(out, ">%d", node);
        else
            ftso_text_puts(out, ">|");
    }
    int states = cell->decl->input_count + cell->node_count;
    int width = 4 * (states - open) + 2 - (first && node >= 10 ? 1 : 0);
    if (from >= 0) ftso_text_printf(out, "%*s", width > 1 ? width : 1, "");
}

void ftso_cell_print_ascii(const ftso_cell *cell, ftso_text *out)
{
    int inputs = cell->decl->input_count;
    ftso_text_printf(out, "cell %s\n  ", cell->decl->name);
    for (int i = 0; i < inputs; i++) ftso_text_printf(out, "%-4d", i);
    while (out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = 0;
    ftso_text_puts(out, "\n");
    for (int j = 0; j < cell->node_count; j++) {
        for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++) {
            const ftso_cell_edge *edge = &cell->edges[e];
            print_lanes(cell, edge->from, inputs + j, inputs + j, e == cell->node_start[j], out);
            ftso_text_puts(out, edge->op->name);
            if (!isnan(edge->beta)) ftso_text_printf(out, "  %.4f", edge->beta);
            ftso_text_puts(out, "\n");
        }
    }
    ftso_text_puts(out, "  out =");
    if (cell->concat_count) {
        ftso_text_puts(out, cell->concat_count > 1 ? " concat" : "");
        for (size_t i = 0; i < cell->concat_count; i++)
            ftso_text_printf(out, "%s %d", i ? "," : "", cell->concat[i]);
    } else {
        ftso_text_printf(out, " %d", inputs + cell->node_count - 1);
    }
    ftso_text_puts(out, "\n");
}

/* ---------------------------------------------------------------- SVG */

enum {
    ROW = 30,
    NODE_W = 38,
    NODE_H = 24,
    GAP = 44,
    MARGIN = 14,
    TITLE = 30,
    LETTER = 8,
    OUT_W = 54
};

/* Column 0 holds the inputs; every node has a column of labels and then its own; the output stands behind. */
typedef struct layout {
    const ftso_cell *cell;
    int inputs, label_width;
    double width, height;
} layout;

static const char *const fields[] = {"#cfe3ff", "#ffe2c2", "#d5f2cf", "#f6d3e6",
                                     "#e3dafc", "#fdf0b8", "#cdeff0", "#e4e4e4"};

/* The field colour of an operator: a cell's operators take colours as they first appear. */
static const char *field_of(const ftso_cell *cell, size_t edge)
{
    size_t kind = 0;
    for (size_t e = 0; e <= edge; e++) {
        size_t first = 0;
        while (strcmp(cell->edges[first].op->name, cell->edges[e].op->name)) first++;
        if (!strcmp(cell->edges[e].op->name, cell->edges[edge].op->name)) break;
        kind += first == e;
    }
    return fields[kind % FTSO_COUNT(fields)];
}

static void puts_escaped(ftso_text *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            ftso_text_puts(out, "&lt;");
        else if (*text == '&')
            ftso_text_puts(out, "&amp;");
        else
            ftso_text_append(out, text, 1);
    }
}

static double row_y(size_t edge)
{
    return TITLE + MARGIN + ROW * (double)edge + ROW / 2.0;
}

static double last_row(const layout *l)
{
    return row_y(l->cell->edge_count ? l->cell->edge_count - 1 : 0);
}

static double state_x(const layout *l, int state)
{
    if (state < l->inputs) return MARGIN;
    return MARGIN + (state - l->inputs + 1) * (double)(NODE_W + GAP + l->label_width + GAP / 2);
}

static double state_y(const layout *l, int state)
{
    double span = last_row(l) - row_y(0);
    if (state < l->inputs) return row_y(0) + span * (state + 1) / (l->inputs + 1);
    const int *start = &l->cell->node_start[state - l->inputs];
    if (start[0] == start[1]) return row_y(0);
    return (row_y((size_t)start[0]) + row_y((size_t)start[1] - 1)) / 2;
}

static double out_x(const layout *l)
{
    return state_x(l, l->inputs + l->cell->node_count - 1) + NODE_W + GAP;
}

/* A line from a state's right side, along `row`, to x. */
static void draw_leaving(const layout *l, int state, double row, double x, const char *style,
                         ftso_text *out)
{
    double from_x = state_x(l, state) + NODE_W, from_y = state_y(l, state);
    ftso_text_printf(out, "<path d=\"M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f H%.1f\" %s/>\n",
                     from_x, from_y, from_x + GAP * 0.45, from_y, from_x + GAP * 0.35, row,
                     from_x + GAP * 0.8, row, x, style);
}

/* A line from (x0, y0) that ends in an arrow head at (x1, y1). */
static void draw_arriving(double x0, double y0, double x1, double y1, const char *style,
                          ftso_text *out)
{
    double middle = (x0 + x1) / 2;
    ftso_text_printf(out, "<path d=\"M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f\" %s/>\n", x0, y0,
                     middle, y0, middle, y1, x1 - 5, y1, style);
    ftso_text_printf(out, "<path d=\"M%.1f %.1f l-7 -4 v8 z\" class=\"head\"/>\n", x1, y1);
}

static void draw_box(double x, double y, double width, const char *fill, const char *ink,
                     const char *text, ftso_text *out)
{
    ftso_text_printf(
        out,
        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"5\" fill=\"%s\" "
        "stroke=\"#7a869a\"/>\n<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">",
        x, y - NODE_H / 2.0, width, (int)NODE_H, fill, x + width / 2, y + 4, ink);
    puts_escaped(out, text);
    ftso_text_puts(out, "</text>\n");
}

static void draw_edge(const layout *l, int node, size_t e, ftso_text *out)
{
    const ftso_cell_edge *edge = &l->cell->edges[e];
    double row = row_y(e), right = state_x(l, node) - GAP / 2.0, left = right - l->label_width;
    const char *line = "class=\"line\"";
    draw_leaving(l, edge->from, row, left, line, out);
    draw_arriving(right, row, state_x(l, node), state_y(l, node), line, out);
    ftso_text_printf(out, "<g><title>%d to %d", edge->from, node);
    if (!isnan(edge->beta)) ftso_text_printf(out, ", beta %.4f", edge->beta);
    ftso_text_puts(out, "</title>\n");
    draw_box(left, row, l->label_width, field_of(l->cell, e), "#1c2430", edge->op->name, out);
    ftso_text_puts(out, "</g>\n");
}

static void draw_output(const layout *l, ftso_text *out)
{
    const ftso_cell *cell = l->cell;
    int last = l->inputs + cell->node_count - 1;
    double x = out_x(l), y = (row_y(0) + last_row(l)) / 2;
    for (size_t i = 0; i < (cell->concat_count ? cell->concat_count : 1); i++) {
        int state = cell->concat_count ? cell->concat[i] : last;
        double from = state_y(l, state), bend = x - GAP * 0.7;
        ftso_text_printf(out, "<path d=\"M%.1f %.1f H%.1f\" class=\"line out\"/>\n",
                         state_x(l, state) + NODE_W, from, bend);
        draw_arriving(bend, from, x, y, "class=\"line out\"", out);
    }
    draw_box(x, y, OUT_W, "#7c2f57", "#ffffff", cell->concat_count > 1 ? "concat" : "out", out);
}

void ftso_cell_print_svg(const ftso_cell *cell, const char *title, ftso_text *out)
{
    layout l = {.cell = cell, .inputs = cell->decl->input_count};
    size_t longest = 4;
    for (size_t e = 0; e < cell->edge_count; e++) {
        size_t length = strlen(cell->edges[e].op->name);
        if (length > longest) longest = length;
    }
    l.label_width = (int)longest * LETTER + 14;
    l.width = out_x(&l) + OUT_W + MARGIN;
    l.height = last_row(&l) + ROW / 2.0 + MARGIN;
    ftso_text_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
        "height=\"%.0f\" role=\"img\" font-family=\"monospace\" font-size=\"12\" "
        "text-anchor=\"middle\">\n<title>",
        l.width, l.height, l.width, l.height);
    puts_escaped(out, title);
    ftso_text_puts(out, "</title>\n<style>.line{fill:none;stroke:#7a869a;stroke-width:1.6}"
                        ".out{stroke-dasharray:5 3}.head{fill:#7a869a}</style>\n");
    for (int j = 0; j < cell->node_count; j++)
        for (int e = cell->node_start[j]; e < cell->node_start[j + 1]; e++)
            draw_edge(&l, l.inputs + j, (size_t)e, out);
    draw_output(&l, out);
    for (int i = 0; i < l.inputs + cell->node_count; i++) {
        char number[24];
        snprintf(number, sizeof(number), i < l.inputs ? "in %d" : "%d", i);
        draw_box(state_x(&l, i), state_y(&l, i), NODE_W, i < l.inputs ? "#4a5568" : "#2f4b7c",
                 "#ffffff", number, out);
    }
    draw_box(MARGIN, MARGIN + NODE_H / 2.0, (double)strlen(title) * LETTER + 16, "#e8ecf2",
             "#1c2430", title, out);
    ftso_text_puts(out, "</svg>\n");
}
