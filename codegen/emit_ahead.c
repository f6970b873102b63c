/*
 * Ahead: what the next band of a region reads is asked for line by line while this one is computed.
 *
 * In: the images that a region reads and writes, the loops that run over a band. Out: each loop's share of the lines, and calls
 * that ask for them, at an even pace.
 * Memory answers later than a prologue can wait, and few lines can be on their way at a time, behind which loads of nearer
 * caches wait too: so asking has to be spread over the band.
 */
#include "codegen/emit_llvm.h"

/* The channels of an image that the region looks at: all, unless nothing but slices reads it. */
static void channels_seen(const ftso_emitter *e, ftso_value value, int64_t *out_begin,
                          int64_t *out_end)
{
    const ftso_graph *graph = e->schedule->graph;
    int64_t channels = ftso_graph_shape(graph, value).dim[1], begin = channels, end = 0;
    for (size_t i = 0; i < e->region->node_count; i++) {
        const ftso_node *node = ftso_graph_node(graph, e->region->nodes[i]);
        bool part = ftso_node_is(node, "slice");
        for (uint32_t k = 0; k < ftso_node_needs(node); k++) {
            if (node->inputs[k] != value) continue;
            int64_t first = part ? ftso_node_int(node, "begin") : 0,
                    last = part ? ftso_node_int(node, "end") : channels;
            if (first < begin) begin = first;
            if (last > end) end = last;
        }
    }
    *out_begin = begin < end ? begin : 0;
    *out_end = begin < end ? end : channels;
}

static void add_lines(ftso_ahead *ahead, LLVMValueRef at, int64_t lines, int64_t apart)
{
    ahead->at[ahead->count] = at;
    ahead->apart[ahead->count] = apart;
    ahead->lines[ahead->count++] = lines;
}

/* The lines of each pixel that hold its floats [begin, end), each by itself; false where they are too many, or most of it. */
static bool add_scattered(ftso_emitter *e, ftso_ahead *ahead, LLVMValueRef at, int64_t pixels,
                          int64_t floats, int64_t begin, int64_t end)
{
    int64_t line = FTSO_LINE_FLOATS, count = (end - begin + line - 1) / line;
    /* pixels that are no whole lines: the last float is in one of its own */
    if (floats % line || (end - 1) / line > (begin + (count - 1) * line) / line) count++;
    if (2 * count * line > floats || ahead->count + count > FTSO_MAX_AHEAD) return false;
    for (int64_t i = 0; i < count; i++) {
        int64_t first = begin + i * line < end ? begin + i * line : end - 1;
        add_lines(ahead, ftso_emit_at(e, at, ftso_emit_i64(e, first)), pixels, floats);
    }
    return true;
}

/* Adds an image's part of the band; one on another map has its own share of pixels. */
static void ask_for(ftso_emitter *e, ftso_ahead *ahead, ftso_value value, ftso_shape map,
                    LLVMValueRef image, LLVMValueRef first, int64_t pixels, bool read)
{
    ftso_shape shape = ftso_graph_shape(e->schedule->graph, value);
    if (!shape.batched || shape.rank != 4 || ahead->count == FTSO_MAX_AHEAD) return;
    int64_t there = map.dim[2] * map.dim[3], own = shape.dim[2] * shape.dim[3], begin, end,
            bytes = ftso_element_bytes(e->schedule->elements[value]), unit = (int64_t)sizeof(float);
    int64_t floats = own * ftso_emit_stored(e, value) * bytes / unit;
    if (floats % there) return;
    floats /= there; /* for each pixel of the map */
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, image, there), first),
                 at = ftso_emit_at(e, e->address[value], ftso_emit_mul(e, number, floats));
    if (read && own == there) {
        channels_seen(e, value, &begin, &end);
        if (add_scattered(e, ahead, at, pixels, floats, begin * bytes / unit,
                          (end * bytes + unit - 1) / unit))
            return;
    }
    add_lines(ahead, at, (pixels * floats + FTSO_LINE_FLOATS - 1) / FTSO_LINE_FLOATS, 0);
}

/* Marks what the value follows from, down to what the region reads. */
static void mark_inputs(const ftso_emitter *e, ftso_value value, bool *marked)
{
    if (marked[value]) return;
    marked[value] = true;
    for (size_t i = 0; i < e->region->read_count; i++)
        if (e->region->reads[i] == value) return;
    const ftso_node *node = ftso_graph_node(e->schedule->graph, value);
    for (uint32_t i = 0; i < ftso_node_needs(node); i++) mark_inputs(e, node->inputs[i], marked);
}

/* Marks what the region reads as far beyond a band as its tile reaches: for the tile, and for the weight gradients that look at
 * it through a window, or at all of its rows. */
static void mark_reaching(const ftso_emitter *e, ftso_value tiled, bool *marked)
{
    mark_inputs(e, tiled, marked);
    for (size_t i = 0; i < e->region->gradient_count; i++) {
        const ftso_node *node = ftso_graph_node(e->schedule->graph, e->region->gradients[i]);
        if (node->inputs[0] == tiled || node->shape.dim[2] > 1)
            mark_inputs(e, node->inputs[1], marked);
    }
}

ftso_ahead ftso_ahead_of(ftso_emitter *e, const ftso_ahead_band *band)
{
    ftso_shape map = ftso_graph_shape(e->schedule->graph, band->like);
    ftso_ahead ahead = {.count = 0};
    bool *marked = FTSO_ARRAY(e->arena, bool, e->schedule->graph->node_count);
    if (band->reach) mark_reaching(e, band->tiled, marked);
    LLVMValueRef below = ftso_emit_add(e, band->first, ftso_emit_i64(e, band->reach));
    for (size_t i = 0; i < e->region->read_count; i++) {
        ftso_value value = e->region->reads[i];
        ask_for(e, &ahead, value, map, band->image, marked[value] ? below : band->first,
                band->pixels, true);
    }
    for (size_t i = 0; band->writes && i < e->region->write_count; i++) {
        ftso_value value = e->region->writes[i];
        if (ftso_emit_goes_past(e, value)) continue;
        ask_for(e, &ahead, value, map, band->image, band->first, band->pixels, false);
    }
    return ahead;
}

/* Floats from a line of the image to the next. */
static int64_t apart_of(const ftso_ahead *ahead, int i)
{
    return ahead->apart[i] ? ahead->apart[i] : FTSO_LINE_FLOATS;
}

/* Loads that nobody reads `count` lines by, so many floats apart. */
static void touch_lines(ftso_emitter *e, LLVMValueRef from, int64_t count, int64_t apart)
{
    for (int64_t k = 0; k < count; k++)
        LLVMSetVolatile(ftso_emit_load(e, ftso_emit_at(e, from, ftso_emit_i64(e, k * apart))),
                        true);
}

void ftso_touch(ftso_emitter *e, const ftso_ahead *images)
{
    enum { AT_ONCE = 8 };
    for (int i = 0; i < images->count; i++) {
        int64_t whole = images->lines[i] / AT_ONCE * AT_ONCE, apart = apart_of(images, i);
        if (whole) {
            ftso_loop loop;
            ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), AT_ONCE, true,
                           NULL, 0);
            LLVMValueRef floats = ftso_emit_mul(e, loop.index, apart);
            touch_lines(e, ftso_emit_at(e, images->at[i], floats), AT_ONCE, apart);
            ftso_emit_loop_end(e, &loop, NULL);
        }
        LLVMValueRef rest = ftso_emit_i64(e, whole * apart);
        touch_lines(e, ftso_emit_at(e, images->at[i], rest), images->lines[i] - whole, apart);
    }
}

void ftso_ahead_deal(ftso_emitter *e, const ftso_ahead *ahead, const int64_t *work, size_t count,
                     ftso_ahead *out)
{
    int64_t all_lines = 0, all_work = 0, dealt = 0, passed = 0, taken = 0;
    int next = 0;
    for (int i = 0; i < ahead->count; i++) all_lines += ahead->lines[i];
    for (size_t c = 0; c < count; c++) all_work += work[c];
    for (size_t c = 0; c < count; c++) {
        passed += work[c];
        out[c].count = 0;
        int64_t until = all_work ? all_lines * passed / all_work : 0;
        while (next < ahead->count && dealt < until) {
            int64_t left = ahead->lines[next] - taken,
                    lines = left < until - dealt ? left : until - dealt;
            LLVMValueRef floats = ftso_emit_i64(e, taken * apart_of(ahead, next));
            add_lines(&out[c], ftso_emit_at(e, ahead->at[next], floats), lines, ahead->apart[next]);
            dealt += lines;
            taken = lines < left ? taken + lines : 0;
            next += lines == left;
        }
    }
}

/* Turns that one image takes, so many floats each step. */
static int64_t turns_of(const ftso_ahead *ahead, int i, int64_t steps, int64_t floats)
{
    int64_t of_turn = steps * floats;
    return (ahead->lines[i] * FTSO_LINE_FLOATS + of_turn - 1) / of_turn;
}

static int64_t all_turns(const ftso_ahead *ahead, int64_t steps, int64_t floats)
{
    int64_t all = 0;
    for (int i = 0; i < ahead->count; i++) all += turns_of(ahead, i, steps, floats);
    return all;
}

ftso_pace ftso_ahead_pace(const ftso_ahead *ahead, int64_t turns, int64_t steps, int most)
{
    FTSO_ASSERT(most <= FTSO_MAX_ASKED);
    ftso_pace pace = {.floats = FTSO_LINE_FLOATS};
    if (!ahead || ahead->count == 0 || turns == 0 || steps == 0) return pace;
    while (pace.floats > 1 && all_turns(ahead, steps, pace.floats - 1) <= turns) pace.floats--;
    int64_t images = (all_turns(ahead, steps, pace.floats) + turns - 1) / turns;
    pace.images = images < most ? (int)images : most;
    return pace;
}

/* The lines that turn number `turn` begins with, of one image at a time: into number `to` of what is asked for. */
static void lines_of_turn(ftso_emitter *e, const ftso_ahead *ahead, int64_t steps,
                          LLVMValueRef turn, LLVMValueRef idle, ftso_asked *asked, int to)
{
    LLVMValueRef at = idle, done = ftso_emit_i64(e, 0), apart = done;
    int64_t floats = asked->pace.floats, before = all_turns(ahead, steps, floats);
    for (int i = ahead->count - 1; i >= 0; i--) {
        LLVMValueRef mine =
            LLVMBuildICmp(e->builder, LLVMIntSLT, turn, ftso_emit_i64(e, before), "");
        before -= turns_of(ahead, i, steps, floats);
        LLVMValueRef already =
            ftso_emit_mul(e, ftso_emit_add(e, turn, ftso_emit_i64(e, -before)), steps * floats);
        LLVMValueRef first =
            asked->scattered ? ahead->at[i] : ftso_emit_at(e, ahead->at[i], already);
        at = LLVMBuildSelect(e->builder, mine, first, at, "");
        if (!asked->scattered) continue;
        done = LLVMBuildSelect(e->builder, mine, already, done, "");
        apart = LLVMBuildSelect(e->builder, mine, ftso_emit_i64(e, apart_of(ahead, i)), apart, "");
    }
    asked->at[to] = at;
    asked->done[to] = done;
    asked->apart[to] = apart;
}

ftso_asked ftso_ahead_turn(ftso_emitter *e, const ftso_ahead *ahead, ftso_pace pace, int64_t steps,
                           LLVMValueRef turn, LLVMValueRef idle)
{
    ftso_asked asked = {.pace = pace};
    LLVMValueRef first = ftso_emit_mul(e, turn, pace.images);
    for (int i = 0; pace.images && i < ahead->count; i++)
        asked.scattered = asked.scattered || ahead->apart[i];
    for (int i = 0; i < pace.images; i++)
        lines_of_turn(e, ahead, steps, ftso_emit_add(e, first, ftso_emit_i64(e, i)), idle, &asked,
                      i);
    return asked;
}

LLVMValueRef *ftso_asked_cursor(ftso_asked *asked, int image)
{
    return asked->scattered ? &asked->done[image] : &asked->at[image];
}

ftso_asked ftso_asked_after(ftso_emitter *e, const ftso_asked *asked, LLVMValueRef steps)
{
    ftso_asked later = *asked;
    LLVMValueRef floats = ftso_emit_mul(e, steps, asked->pace.floats);
    for (int i = 0; i < asked->pace.images; i++)
        if (asked->scattered)
            later.done[i] = ftso_emit_add(e, asked->done[i], floats);
        else
            later.at[i] = ftso_emit_at(e, asked->at[i], floats);
    return later;
}

void ftso_ask(ftso_emitter *e, const ftso_asked *asked, LLVMValueRef step)
{
    ftso_asked now = ftso_asked_after(e, asked, step);
    for (int i = 0; i < now.pace.images; i++) {
        LLVMValueRef at = now.at[i];
        if (now.scattered) {
            LLVMValueRef line =
                LLVMBuildUDiv(e->builder, now.done[i], ftso_emit_i64(e, FTSO_LINE_FLOATS), "");
            at = ftso_emit_at(e, at, LLVMBuildNSWMul(e->builder, line, now.apart[i], ""));
        }
        ftso_emit_prefetch(e, at);
    }
}
