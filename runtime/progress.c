/*
 * Progress for people: a bar on a terminal, plain lines elsewhere.
 *
 * In: how much is done. Out: text on a stream. Holds: a bar is redrawn at most ten times a second and never wraps; a log
 * file gets one line per tenth of the work or per minute, whichever comes first, and no control characters.
 */
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_WIDTH = 80, MAX_WIDTH = 400, BAR_CELLS = 24, NARROWEST = 20 };
static const double redraw_s = 0.1, line_s = 60;

static bool is_terminal(FILE *out)
{
    const char *term = getenv("TERM"), *ci = getenv("CI");
    return isatty(fileno(out)) && !(term && strcmp(term, "dumb") == 0) && !(ci && *ci);
}

static int terminal_width(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return DEFAULT_WIDTH;
    return size.ws_col < MAX_WIDTH ? size.ws_col : MAX_WIDTH;
}

/* "48 s", "3:07", "2:05:09". */
static void print_duration(double seconds, char out[32])
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        strcpy(out, "?");
        return;
    }
    long total = (long)(seconds + 0.5);
    if (total < 60)
        snprintf(out, 32, "%ld s", total);
    else if (total < 3600)
        snprintf(out, 32, "%ld:%02ld", total / 60, total % 60);
    else
        snprintf(out, 32, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
}

void ftso_progress_start(ftso_progress *progress, FILE *out, ftso_progress_mode mode,
                         const char *title, int64_t total)
{
    if (!out) mode = FTSO_PROGRESS_NONE;
    if (mode == FTSO_PROGRESS_AUTO)
        mode = is_terminal(out) ? FTSO_PROGRESS_BAR : FTSO_PROGRESS_LINE;
    *progress = (ftso_progress){.out = out,
                                .mode = mode,
                                .title = title,
                                .total = total,
                                .start_s = ftso_clock_s(),
                                .last_s = -1,
                                .width = DEFAULT_WIDTH};
    if (mode == FTSO_PROGRESS_BAR) progress->width = terminal_width(out);
}

static void print_counts(const ftso_progress *p, double now, const char *detail, ftso_text *text)
{
    char time[32];
    double spent = now - p->start_s;
    ftso_text_printf(text, "%lld/%lld", (long long)p->done, (long long)p->total);
    if (detail && *detail) ftso_text_printf(text, "  %s", detail);
    if (p->done >= p->total) {
        print_duration(spent, time);
        ftso_text_printf(text, "  %s", time);
    } else if (p->done > 0) {
        double each = spent / (double)(p->done > p->first ? p->done - p->first : 1);
        print_duration(each * (double)(p->total - p->done), time);
        ftso_text_printf(text, "  ETA %s", time);
    }
}

/* `text` cut to `width` columns, not inside a character. */
static int cut(const char *text, int width)
{
    int at = 0, columns = 0;
    while (text[at] && (columns < width || ((unsigned char)text[at] & 0xc0) == 0x80)) {
        columns += ((unsigned char)text[at] & 0xc0) != 0x80;
        at++;
    }
    return at;
}

static void draw_bar(ftso_progress *p, double now, const char *detail)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%s ", p->title);
    if (p->width >= 2 * BAR_CELLS + NARROWEST) {
        int full = p->total > 0 ? (int)((double)p->done / (double)p->total * BAR_CELLS) : BAR_CELLS;
        ftso_text_puts(&text, "[");
        for (int i = 0; i < BAR_CELLS; i++) ftso_text_puts(&text, i < full ? "#" : "-");
        ftso_text_puts(&text, "] ");
    }
    print_counts(p, now, detail, &text);
    const char *line = ftso_text_get(&text);
    fprintf(p->out, "\r\033[K%.*s", cut(line, p->width - 1), line);
    fflush(p->out);
    ftso_text_deinit(&text);
}

static void print_line(ftso_progress *p, double now, const char *detail)
{
    ftso_text text;
    ftso_text_init(&text);
    print_counts(p, now, detail, &text);
    fprintf(p->out, "%s  %s\n", p->title, ftso_text_get(&text));
    fflush(p->out);
    ftso_text_deinit(&text);
}

void ftso_progress_step(ftso_progress *progress, int64_t done, const char *detail)
{
    progress->done = done;
    if (progress->mode == FTSO_PROGRESS_NONE) return;
    double now = ftso_clock_s();
    bool last = done >= progress->total;
    if (progress->mode == FTSO_PROGRESS_BAR) {
        if (!last && progress->last_s >= 0 && now - progress->last_s < redraw_s) return;
        draw_bar(progress, now, detail);
        progress->last_s = now;
        return;
    }
    int tenth = progress->total > 0 ? (int)((double)done * 10 / (double)progress->total) : 10;
    double since = now - (progress->last_s >= 0 ? progress->last_s : progress->start_s);
    if (!last && tenth == progress->last_tenth && since < line_s) return;
    if (last && progress->last_tenth == 10) return;
    print_line(progress, now, detail);
    progress->last_tenth = tenth;
    progress->last_s = now;
}

void ftso_progress_finish(ftso_progress *progress)
{
    if (progress->mode == FTSO_PROGRESS_BAR && progress->last_s >= 0) {
        fputc('\n', progress->out);
        fflush(progress->out);
    }
    progress->mode = FTSO_PROGRESS_NONE;
}
