/*
 * Training curves: loss and accuracy over the epochs as one picture, and the epochs back from a log.
 *
 * In: epochs. Out: SVG, the same bytes for the same epochs. Holds: no clock and no locale in it.
 */
#include "cli/training.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH = 720,
    HEIGHT = 560,
    LEFT = 64,
    RIGHT = 20,
    PANEL = 210,
    GAP = 50,
    TOP = 44,
    TICKS = 4
};

/* One of the two panels. */
typedef struct panel {
    const char *title;
    double top_y; /* of the plot on the page */
    double least, most;
    int64_t planned; /* epochs on the x axis */
    bool percent;
} panel;

typedef double (*reading)(const ftso_epoch *epoch);

static double train_loss(const ftso_epoch *e)
{
    return e->train_loss;
}

static double test_loss(const ftso_epoch *e)
{
    return e->test.loss_sum / (double)e->test.images;
}

static double train_top1(const ftso_epoch *e)
{
    return e->train_top1;
}

static double test_top1(const ftso_epoch *e)
{
    return (double)e->test.top1 / (double)e->test.images;
}

static const struct {
    const char *name, *color;
    reading loss, accuracy;
} curves[] = {{"training", "#9aa5b1", train_loss, train_top1},
              {"test", "#1f5fa8", test_loss, test_top1}};

static double x_of(const panel *p, int64_t epoch)
{
    double span = p->planned > 1 ? (double)(p->planned - 1) : 1;
    return LEFT + (double)(epoch - 1) / span * (WIDTH - LEFT - RIGHT);
}

static double y_of(const panel *p, double value)
{
    double span = p->most > p->least ? p->most - p->least : 1;
    return p->top_y + (p->most - value) / span * PANEL;
}

static void widen(panel *p, double value)
{
    if (!isfinite(value)) return;
    if (value < p->least) p->least = value;
    if (value > p->most) p->most = value;
}

static void draw_frame(const panel *p, ftso_text *out)
{
    ftso_text_printf(out, "<text x=\"%d\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n", LEFT,
                     p->top_y - 8, p->title);
    for (int i = 0; i <= TICKS; i++) {
        double value = p->least + (p->most - p->least) * i / TICKS, y = y_of(p, value);
        ftso_text_printf(out,
                         "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n"
                         "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
                         LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4);
        if (p->percent)
            ftso_text_printf(out, "%.1f %%</text>\n", 100 * value);
        else
            ftso_text_printf(out, "%.3g</text>\n", value);
    }
    int64_t step = p->planned > 10 ? (p->planned + 9) / 10 : 1;
    for (int64_t e = 1; e <= p->planned; e += step)
        ftso_text_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%lld</text>\n",
                         x_of(p, e), p->top_y + PANEL + 16, (long long)e);
}

static void draw_curve(const panel *p, const ftso_epoch *epochs, size_t count, reading of,
                       const char *color, ftso_text *out)
{
    ftso_text_printf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
                     color);
    for (size_t i = 0; i < count; i++)
        if (isfinite(of(&epochs[i])))
            ftso_text_printf(out, "%s%.1f,%.1f", i ? " " : "", x_of(p, epochs[i].epoch),
                             y_of(p, of(&epochs[i])));
    ftso_text_puts(out, "\"/>\n");
    if (count && isfinite(of(&epochs[count - 1])))
        ftso_text_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
                         x_of(p, epochs[count - 1].epoch), y_of(p, of(&epochs[count - 1])), color);
}

static void put_escaped(ftso_text *out, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '<' ? "&lt;" : *text == '&' ? "&amp;" : NULL;
        if (entity)
            ftso_text_puts(out, entity);
        else
            ftso_text_append(out, text, 1);
    }
}

void ftso_curves_print_svg(const ftso_epoch *epochs, size_t count, int64_t planned,
                           const char *title, ftso_text *out)
{
    panel panels[] = {{"loss", TOP + 20, INFINITY, 0, planned, false},
                      {"accuracy", TOP + 20 + PANEL + GAP, INFINITY, 0, planned, true}};
    ftso_text_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                     "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
                     "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
                     "<text x=\"%d\" y=\"22\" font-size=\"15\">",
                     WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    put_escaped(out, title);
    ftso_text_puts(out, "</text>\n");
    for (size_t p = 0; p < FTSO_COUNT(panels); p++) {
        bool accuracy = panels[p].percent;
        for (size_t c = 0; c < FTSO_COUNT(curves); c++)
            for (size_t i = 0; i < count; i++)
                widen(&panels[p], (accuracy ? curves[c].accuracy : curves[c].loss)(&epochs[i]));
        if (!accuracy && panels[p].least > 0) panels[p].least = 0;
        if (panels[p].least > panels[p].most) panels[p].least = 0;
        draw_frame(&panels[p], out);
        for (size_t c = 0; c < FTSO_COUNT(curves); c++)
            draw_curve(&panels[p], epochs, count, accuracy ? curves[c].accuracy : curves[c].loss,
                       curves[c].color, out);
    }
    for (size_t c = 0; c < FTSO_COUNT(curves); c++)
        ftso_text_printf(out, "<text x=\"%zu\" y=\"%d\" fill=\"%s\">%s</text>\n",
                         WIDTH - RIGHT - 120 + 70 * c, TOP, curves[c].color, curves[c].name);
    ftso_text_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epoch</text>\n</svg>\n",
                     WIDTH / 2, HEIGHT - 8);
}

/* ---------------------------------------------------------------- from a log */

enum { MAX_LOG_BYTES = 1 << 30 };

static double real(const cJSON *event, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(event, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* Sums as they were are not in the log: shares of one image serve the picture as well. */
static ftso_epoch epoch_of(const cJSON *event)
{
    enum { SCALE = 1000000 };
    ftso_epoch e = {.epoch = (int64_t)real(event, "epoch"),
                    .train_loss = real(event, "train_loss"),
                    .train_top1 = real(event, "train_top1")};
    e.test.images = SCALE;
    e.test.loss_sum = real(event, "test_loss") * SCALE;
    e.test.top1 = (int64_t)(real(event, "test_top1") * SCALE + 0.5);
    return e;
}

ftso_status ftso_curves_read(ftso_arena *arena, const char *log, ftso_epoch **out_epochs,
                             size_t *out_count)
{
    char *text;
    size_t length, capacity = 0;
    *out_epochs = NULL;
    *out_count = 0;
    FTSO_TRY(ftso_file_read(arena, log, MAX_LOG_BYTES, &text, &length));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        if (!strstr(line, "\"event\":\"epoch\"") || strstr(line, "\"event\":\"epoch\"") > end)
            continue;
        cJSON *event = cJSON_ParseWithLength(line, (size_t)(end - line));
        if (event) FTSO_PUSH(arena, *out_epochs, *out_count, capacity, epoch_of(event));
        cJSON_Delete(event);
    }
    return FTSO_STATUS_OK;
}
