/*
 * Ahead: what the next band of a region reads is asked for line by line while this one is computed.
 *
 * In: the images that a region reads and writes, the loops that run over a band. Out: each loop's share of the lines, and calls
 * that ask for them, at an even pace.
 * Memory answers later than a prologue can wait, and few lines can be on their way at a time, behind which loads of nearer
 * caches wait too: so asking has to be spread over the band.
 */
#include "codegen/emit_llvm.h"

/* Adds an image's part of the band; one on another map has its own share of pixels. */
static void ask_for(ftso_emitter *e, ftso_ahead *ahead, ftso_value value, ftso_shape map,
                    LLVMValueRef image, LLVMValueRef first, int64_t pixels)
{
    ftso_shape shape = ftso_graph_shape(e->schedule->graph, value);
    if (!shape.batched || shape.rank != 4 || ahead->count == FTSO_MAX_AHEAD) return;
    int64_t there = map.dim[2] * map.dim[3];
    int64_t floats = shape.dim[2] * shape.dim[3] * ftso_emit_stored(e, value) *
                     ftso_element_bytes(e->schedule->elements[value]) / (int64_t)sizeof(float);
    if (floats % there) return;
    floats /= there; /* for each pixel of the map */
    LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, image, there), first);
    ahead->at[ahead->count] = ftso_emit_at(e, e->address[value], ftso_emit_mul(e, number, floats));
    ahead->lines[ahead->count++] = (pixels * floats + FTSO_LINE_FLOATS - 1) / FTSO_LINE_FLOATS;
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

ftso_ahead ftso_ahead_of(ftso_emitter *e, const ftso_ahead_band *band)
{
    ftso_shape map = ftso_graph_shape(e->schedule->graph, band->like);
    ftso_ahead ahead = {.count = 0};
    bool *marked = FTSO_ARRAY(e->arena, bool, e->schedule->graph->node_count);
    if (band->reach) mark_inputs(e, band->tiled, marked);
    LLVMValueRef below = ftso_emit_add(e, band->first, ftso_emit_i64(e, band->reach));
    for (size_t i = 0; i < e->region->read_count; i++) {
        ftso_value value = e->region->reads[i];
        ask_for(e, &ahead, value, map, band->image, marked[value] ? below : band->first,
                band->pixels);
    }
    for (size_t i = 0; band->writes && i < e->region->write_count; i++) {
        ftso_value value = e->region->writes[i];
        if (ftso_emit_goes_past(e, value)) continue;
        ask_for(e, &ahead, value, map, band->image, band->first, band->pixels);
    }
    return ahead;
}

/* Loads that nobody reads the lines `from` to `from` + `count` of the image by. */
static void touch_lines(ftso_emitter *e, LLVMValueRef from, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        LLVMSetVolatile(
            ftso_emit_load(e, ftso_emit_at(e, from, ftso_emit_i64(e, k * FTSO_LINE_FLOATS))), true);
}

void ftso_touch(ftso_emitter *e, const ftso_ahead *images)
{
    enum { AT_ONCE = 8 };
    for (int i = 0; i < images->count; i++) {
        int64_t whole = images->lines[i] / AT_ONCE * AT_ONCE;
        if (whole) {
            ftso_loop loop;
            ftso_emit_loop(e, &loop, ftso_emit_i64(e, 0), ftso_emit_i64(e, whole), AT_ONCE, true,
                           NULL, 0);
            LLVMValueRef floats = ftso_emit_mul(e, loop.index, FTSO_LINE_FLOATS);
            touch_lines(e, ftso_emit_at(e, images->at[i], floats), AT_ONCE);
            ftso_emit_loop_end(e, &loop, NULL);
        }
        LLVMValueRef rest = ftso_emit_i64(e, whole * FTSO_LINE_FLOATS);
        touch_lines(e, ftso_emit_at(e, images->at[i], rest), images->lines[i] - whole);
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
            LLVMValueRef floats = ftso_emit_i64(e, taken * FTSO_LINE_FLOATS);
            out[c].at[out[c].count] = ftso_emit_at(e, ahead->at[next], floats);
            out[c].lines[out[c].count++] = lines;
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

/* The first line that turn number `turn` asks for, of one image at a time. */
static LLVMValueRef line_of_turn(ftso_emitter *e, const ftso_ahead *ahead, int64_t steps,
                                 int64_t floats, LLVMValueRef turn, LLVMValueRef idle)
{
    LLVMValueRef at = idle;
    int64_t before = all_turns(ahead, steps, floats);
    for (int i = ahead->count - 1; i >= 0; i--) {
        LLVMValueRef mine =
            LLVMBuildICmp(e->builder, LLVMIntSLT, turn, ftso_emit_i64(e, before), "");
        before -= turns_of(ahead, i, steps, floats);
        LLVMValueRef done =
            ftso_emit_mul(e, ftso_emit_add(e, turn, ftso_emit_i64(e, -before)), steps * floats);
        at = LLVMBuildSelect(e->builder, mine, ftso_emit_at(e, ahead->at[i], done), at, "");
    }
    return at;
}

ftso_asked ftso_ahead_turn(ftso_emitter *e, const ftso_ahead *ahead, ftso_pace pace, int64_t steps,
                           LLVMValueRef turn, LLVMValueRef idle)
{
    ftso_asked asked = {.pace = pace};
    LLVMValueRef first = ftso_emit_mul(e, turn, pace.images);
    for (int i = 0; i < pace.images; i++)
        asked.at[i] = line_of_turn(e, ahead, steps, pace.floats,
                                   ftso_emit_add(e, first, ftso_emit_i64(e, i)), idle);
    return asked;
}

ftso_asked ftso_asked_after(ftso_emitter *e, const ftso_asked *asked, LLVMValueRef steps)
{
    ftso_asked later = {.pace = asked->pace};
    LLVMValueRef floats = ftso_emit_mul(e, steps, asked->pace.floats);
    for (int i = 0; i < asked->pace.images; i++)
        later.at[i] = ftso_emit_at(e, asked->at[i], floats);
    return later;
}

void ftso_ask(ftso_emitter *e, const ftso_asked *asked, LLVMValueRef step)
{
    ftso_asked now = ftso_asked_after(e, asked, step);
    for (int i = 0; i < now.pace.images; i++) ftso_emit_prefetch(e, now.at[i]);
}
