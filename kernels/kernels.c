/*
 * The table of kernel classes, and what they share: geometry of windows, bands of rows, register blocks, rows of pixels
 * that neighbouring taps see.
 */
#include "kernels/kernels_internal.h"

#include <math.h>

static const ftso_kernel_class *const classes[] = {
    &ftso_kernel_pointwise, &ftso_kernel_algebra,
    &ftso_kernel_contract,  &ftso_kernel_weight_gradient,
    &ftso_kernel_depthwise, &ftso_kernel_depthwise_gradient,
    &ftso_kernel_pool,      &ftso_kernel_image,
    &ftso_kernel_loss,
};

static const ftso_kernel_table table = {classes, FTSO_COUNT(classes)};

const ftso_kernel_table *ftso_kernels(void)
{
    return &table;
}

const ftso_node *ftso_kernel_node(const ftso_emitter *e, ftso_value value)
{
    return ftso_graph_node(e->schedule->graph, value);
}

ftso_shape ftso_kernel_shape(const ftso_emitter *e, ftso_value value)
{
    return ftso_kernel_node(e, value)->shape;
}

bool ftso_kernel_in_memory(const ftso_emitter *e, ftso_value value)
{
    ftso_shape shape = ftso_kernel_shape(e, value);
    if (e->schedule->elements[value] != FTSO_ELEMENT_FP32) return false;
    if (shape.rank == 4 && ftso_emit_stored(e, value) != ftso_emit_round(e, shape.dim[1]))
        return false;
    for (size_t i = 0; i < e->region->read_count; i++)
        if (e->region->reads[i] == value) return true;
    return false;
}

/* ---------------------------------------------------------------- register blocks */

enum { MAX_ROWS = 14 };

/*
 * Cycles of one step over an operand channel (or pixel, of a gradient) for a block of rows x vectors, on a core that starts
 * two multiply-adds and two vector loads a cycle and ends a multiply-add after four.
 */
static double step_cost(int rows, int vectors)
{
    double work = 0.5 * rows * vectors, loads = 0.5 * (rows + vectors), latency = 4.6;
    double most = work > loads ? work : loads;
    return (most > latency ? most : latency) + 0.25;
}

static int most_rows(const ftso_emitter *e, int vectors)
{
    int room = (e->target.vector_registers - 1 - vectors) / vectors;
    return room > MAX_ROWS ? MAX_ROWS : room < 1 ? 1 : room;
}

int ftso_block_rows(const ftso_emitter *e, int vectors, int64_t run, double *out_cost)
{
    int best = 1, most = most_rows(e, vectors), forced = e->tuning.pixel_block;
    double best_cost = HUGE_VAL;
    for (int r = 1; r <= most && r <= run; r++) {
        int64_t whole = run / r;
        int rest = (int)(run % r);
        double cost = (double)whole * step_cost(r, vectors) + (rest ? step_cost(rest, vectors) : 0);
        if (cost > best_cost) continue;
        best_cost = cost;
        best = r;
    }
    if (forced) best = forced < run ? forced : (int)run;
    *out_cost = best_cost;
    return best;
}

int ftso_block_vectors(const ftso_emitter *e, int vectors, int64_t run)
{
    if (e->tuning.channel_block)
        return e->tuning.channel_block < vectors ? e->tuning.channel_block : vectors;
    int best = 1, most = e->target.vector_registers >= 32 ? 4 : 3;
    double best_cost = HUGE_VAL;
    for (int b = 1; b <= most && b <= vectors; b++) {
        double whole, rest = 0;
        ftso_block_rows(e, b, run, &whole);
        if (vectors % b) ftso_block_rows(e, vectors % b, run, &rest);
        double cost = vectors / b * whole + rest;
        if (cost > best_cost) continue;
        best_cost = cost;
        best = b;
    }
    return best;
}

int ftso_block_last_steps(const ftso_emitter *e, int sums, int64_t steps)
{
    /* measured on a processor with so few (Zen 3) alone */
    enum { FEW_SUMS = 8, LAST_STEPS = 4, FEW_REGISTERS = 16 };
    if (sums <= FEW_SUMS || e->pixels > 1 || e->target.vector_registers > FEW_REGISTERS) return 0;
    return steps < LAST_STEPS ? (int)steps : LAST_STEPS;
}

/* ---------------------------------------------------------------- windows */

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

static int64_t modulo(int64_t a, int64_t b)
{
    return (a % b + b) % b;
}

/* One direction of one phase of a transposed window: the kernel elements that reach outputs congruent to `residue`. */
typedef struct line {
    int64_t taps, dilation, start, first_k, step_k, outputs;
} line;

static line transposed_line(int64_t kernel, int64_t stride, int64_t dilation, int64_t pad,
                            int64_t out, int64_t residue)
{
    line l = {.dilation = 1,
              .step_k = 1,
              .outputs = residue < out ? (out - residue + stride - 1) / stride : 0};
    int64_t step = stride / gcd(dilation, stride), last = -1;
    for (int64_t k = 0; k < kernel; k++) {
        if (modulo(residue + pad - k * dilation, stride) != 0) continue;
        l.taps++;
        last = k;
    }
    if (l.taps == 0) return l;
    /* from the last kernel element down, so that operand rows go up */
    l.first_k = last;
    l.step_k = -step;
    l.dilation = dilation * step / stride;
    l.start = (residue + pad - last * dilation) / stride;
    return l;
}

ftso_taps ftso_taps_of(const ftso_node *node, int64_t kernel_h, int64_t kernel_w,
                       ftso_shape operand, ftso_shape result, bool transposed)
{
    int64_t stride = ftso_node_int(node, "stride");
    int64_t dilation =
        ftso_op_attr(node->op, "dilation") >= 0 ? ftso_node_int(node, "dilation") : 1;
    int64_t top = ftso_node_int(node, "pad_top"), left = ftso_node_int(node, "pad_left");
    ftso_taps taps = {.in_h = operand.dim[2],
                      .in_w = operand.dim[3],
                      .out_h = result.dim[2],
                      .out_w = result.dim[3],
                      .kernel_h = kernel_h,
                      .kernel_w = kernel_w,
                      .stride = transposed ? 1 : stride,
                      .out_step = transposed ? stride : 1};
    if (!transposed) {
        taps.phases[taps.phase_count++] = (ftso_phase){.taps_h = kernel_h,
                                                       .taps_w = kernel_w,
                                                       .dilation_h = dilation,
                                                       .dilation_w = dilation,
                                                       .start_h = -top,
                                                       .start_w = -left,
                                                       .step_kh = 1,
                                                       .step_kw = 1,
                                                       .rows = taps.out_h,
                                                       .columns = taps.out_w};
        return taps;
    }
    FTSO_ASSERT(stride * stride <= FTSO_MAX_PHASES);
    for (int64_t a = 0; a < stride; a++)
        for (int64_t b = 0; b < stride; b++) {
            line h = transposed_line(kernel_h, stride, dilation, top, taps.out_h, a);
            line w = transposed_line(kernel_w, stride, dilation, left, taps.out_w, b);
            if (h.taps == 0 || w.taps == 0) h.taps = w.taps = 0;
            taps.phases[taps.phase_count++] = (ftso_phase){
                h.taps,   w.taps,    h.dilation, w.dilation, h.start, w.start,   h.first_k,
                h.step_k, w.first_k, w.step_k,   a,          b,       h.outputs, w.outputs};
        }
    return taps;
}

bool ftso_taps_pixel_by_pixel(const ftso_taps *taps)
{
    const ftso_phase *p = &taps->phases[0];
    return taps->phase_count == 1 && p->taps_h == 1 && p->taps_w == 1 && taps->stride == 1 &&
           taps->in_h == taps->out_h && taps->in_w == taps->out_w && p->start_h == 0 &&
           p->start_w == 0;
}

/* What of [low, high] lies in a map of `size` rows or columns: one of them at the least. */
static void keep_inside(int64_t *low, int64_t *high, int64_t size)
{
    *low = *low < 0 ? 0 : *low < size ? *low : size - 1;
    *high = *high >= size ? size - 1 : *high;
    if (*high < *low) *high = *low;
}

ftso_band ftso_band_with(const ftso_taps *taps, int64_t rows)
{
    int64_t low_h = 0, high_h = 0, low_w = 0, high_w = 0;
    bool any = false;
    for (int i = 0; i < taps->phase_count; i++) {
        const ftso_phase *p = &taps->phases[i];
        if (p->taps_h == 0 || p->rows == 0 || p->columns == 0) continue;
        int64_t outputs = (rows - p->out_row + taps->out_step - 1) / taps->out_step;
        if (outputs < 1) outputs = 1;
        int64_t top = p->start_h, bottom = (outputs - 1) * taps->stride +
                                           (p->taps_h - 1) * p->dilation_h + p->start_h;
        int64_t left = p->start_w;
        int64_t right =
            (p->columns - 1) * taps->stride + (p->taps_w - 1) * p->dilation_w + p->start_w;
        low_h = any && low_h < top ? low_h : top;
        high_h = any && high_h > bottom ? high_h : bottom;
        low_w = any && low_w < left ? low_w : left;
        high_w = any && high_w > right ? high_w : right;
        any = true;
    }
    bool sparse =
        taps->phase_count == 1 && taps->phases[0].taps_h == 1 && taps->phases[0].taps_w == 1;
    int64_t step = sparse ? taps->stride : 1;
    bool skips_rows = taps->skips_rows && step == 1,
         skips_columns = taps->skips_columns && step == 1;
    if (skips_rows && rows == taps->out_h) keep_inside(&low_h, &high_h, taps->in_h);
    if (skips_columns) keep_inside(&low_w, &high_w, taps->in_w);
    int64_t columns = (high_w - low_w) / step + 1, whole = taps->row_pixels;
    if (whole > 1) columns = (columns + whole - 1) / whole * whole;
    return (ftso_band){.rows = rows,
                       .tile_rows = (high_h - low_h) / step + 1,
                       .tile_columns = columns,
                       .first_row = low_h,
                       .first_column = low_w,
                       .rows_per_output_num = taps->stride,
                       .rows_per_output_den = taps->out_step,
                       .step = step,
                       .stride = sparse ? 1 : taps->stride,
                       .skips_rows = skips_rows,
                       .skips_columns = skips_columns};
}

void ftso_bands_of(const ftso_taps *taps, const int64_t *tile_channels, size_t count,
                   int64_t result_channels, int64_t budget_floats, int64_t least,
                   ftso_band *out_bands)
{
    int64_t height = taps[0].out_h, step = 1, best = height;
    for (size_t i = 0; i < count; i++) {
        int64_t own = taps[i].band_step ? taps[i].band_step : taps[i].out_step;
        step = step / gcd(step, own) * own;
    }
    bool found = false;
    for (int64_t rows = step; rows <= height; rows += step) {
        if (height % rows != 0) continue;
        int64_t floats = rows * taps[0].out_w * result_channels;
        for (size_t i = 0; i < count; i++) {
            ftso_band band = ftso_band_with(&taps[i], rows);
            floats += band.tile_rows * band.tile_columns * tile_channels[i];
        }
        if (found && (floats > budget_floats || height / rows < least)) break;
        best = rows;
        found = true;
    }
    for (size_t i = 0; i < count; i++) out_bands[i] = ftso_band_with(&taps[i], best);
}

ftso_band ftso_band_of(const ftso_taps *taps, int64_t tile_channels, int64_t result_channels,
                       int64_t budget_floats, int64_t least)
{
    ftso_band band;
    ftso_bands_of(taps, &tile_channels, 1, result_channels, budget_floats, least, &band);
    return band;
}

/* Floats of a rolling tile at the most, where it has room for more than one band. */
enum { ROLLING_FLOATS = 32768 };

ftso_rolling ftso_rolling_of(const ftso_taps *taps, const ftso_band *band, int64_t stored)
{
    int64_t bands = taps->out_h / band->rows,
            made = band->rows * band->rows_per_output_num / band->rows_per_output_den;
    ftso_rolling rolling = {.made = made, .room = 1};
    if (band->step != 1 || bands == 1 || band->tile_rows <= made) return rolling;
    rolling.kept = band->tile_rows - made;
    for (int64_t room = 2; room <= bands; room++)
        if (bands % room == 0 &&
            (rolling.kept + room * made) * band->tile_columns * stored <= ROLLING_FLOATS)
            rolling.room = room;
    return rolling;
}

int64_t ftso_rolling_floats(const ftso_emitter *e, const ftso_rolling *rolling,
                            const ftso_band *band, int64_t stored)
{
    int64_t rows = band->tile_rows + (rolling->room - 1) * rolling->made;
    return ftso_emit_round(e, rows * band->tile_columns * stored);
}

LLVMValueRef ftso_emit_rolling(ftso_emitter *e, const ftso_rolling *rolling, LLVMValueRef tile,
                               int64_t row_floats, LLVMValueRef number)
{
    LLVMValueRef zero = ftso_emit_i64(e, 0),
                 place = LLVMBuildURem(e->builder, number, ftso_emit_i64(e, rolling->room), ""),
                 moves =
                     LLVMBuildAnd(e->builder, LLVMBuildICmp(e->builder, LLVMIntEQ, place, zero, ""),
                                  LLVMBuildICmp(e->builder, LLVMIntNE, number, zero, ""), "");
    ftso_if branch;
    if (rolling->kept) {
        ftso_emit_if(e, &branch, moves);
        LLVMValueRef end = ftso_emit_i64(e, rolling->room * rolling->made * row_floats);
        ftso_emit_copy(e, tile, ftso_emit_at(e, tile, end), rolling->kept * row_floats);
        ftso_emit_if_end(e, &branch);
    }
    return ftso_emit_at(e, tile, ftso_emit_mul(e, place, rolling->made * row_floats));
}

int64_t ftso_band_reach(const ftso_taps *taps, const ftso_band *band)
{
    if (band->step != 1) return 0;
    int64_t num = band->rows_per_output_num, den = band->rows_per_output_den,
            rows = band->tile_rows + band->first_row - band->rows * num / den;
    return rows > 0 ? rows * den / num * taps->out_w : 0;
}

void ftso_emit_inside(ftso_emitter *e, LLVMValueRef base, int64_t step, LLVMValueRef count,
                      int64_t size, LLVMValueRef *out_first, LLVMValueRef *out_end)
{
    LLVMValueRef zero = ftso_emit_i64(e, 0), by = ftso_emit_i64(e, step),
                 low = LLVMBuildNSWSub(e->builder, ftso_emit_i64(e, step - 1), base, ""),
                 high = LLVMBuildNSWSub(e->builder, ftso_emit_i64(e, size - 1 + step), base, "");
    *out_first = ftso_emit_max_i64(e, LLVMBuildSDiv(e->builder, low, by, ""), zero);
    *out_end = ftso_emit_min_i64(e, LLVMBuildSDiv(e->builder, high, by, ""), count);
}

bool ftso_all_inside(int64_t base, int64_t step, int64_t count, int64_t size)
{
    return base >= 0 && base + (count - 1) * step < size;
}

bool ftso_tap_inside(const ftso_taps *taps, const ftso_phase *p, int64_t output, int64_t tap)
{
    return ftso_all_inside(output * taps->stride + p->start_w + tap * p->dilation_w, 1, 1,
                           taps->in_w);
}

void ftso_blocks_inside(const ftso_taps *taps, const ftso_phase *p, const ftso_band *band,
                        int64_t blocks, int pixels, int64_t *out_first, int64_t *out_end)
{
    int64_t first = 0, end = blocks;
    if (band->skips_columns && p->taps_w) {
        while (first < end && !ftso_tap_inside(taps, p, first * pixels, 0)) first++;
        while (end > first && !ftso_tap_inside(taps, p, end * pixels - 1, p->taps_w - 1)) end--;
    }
    *out_first = first;
    *out_end = end;
}

LLVMValueRef ftso_emit_band_origin(ftso_emitter *e, const ftso_band *band, LLVMValueRef number)
{
    return ftso_emit_mul(e, number,
                         band->rows * band->rows_per_output_num / band->rows_per_output_den);
}

LLVMValueRef ftso_emit_band_row(ftso_emitter *e, const ftso_band *band, LLVMValueRef number)
{
    return ftso_emit_add(e, ftso_emit_band_origin(e, band, number),
                         ftso_emit_i64(e, band->first_row));
}

LLVMValueRef ftso_emit_band_tile(ftso_emitter *e, const ftso_band *band,
                                 const ftso_rolling *rolling, ftso_value operand,
                                 LLVMValueRef image, LLVMValueRef row, LLVMValueRef number,
                                 LLVMValueRef address)
{
    ftso_tile tile = {.value = operand,
                      .image = image,
                      .row = row,
                      .rows = band->tile_rows,
                      .columns = band->tile_columns,
                      .column = band->first_column,
                      .step = band->step,
                      .inside_only = band->skips_rows,
                      .address = address};
    if (rolling->kept) {
        int64_t stored = ftso_emit_round(e, ftso_kernel_shape(e, operand).dim[1]),
                row_floats = band->tile_columns * stored;
        LLVMValueRef zero = ftso_emit_i64(e, 0),
                     is_first = LLVMBuildICmp(e->builder, LLVMIntEQ, number, zero, ""),
                     kept = LLVMBuildSelect(e->builder, is_first, zero,
                                            ftso_emit_i64(e, rolling->kept), "");
        address = ftso_emit_rolling(e, rolling, address, row_floats, number);
        tile.row = ftso_emit_add(e, row, kept);
        tile.row_count = LLVMBuildNSWSub(e->builder, ftso_emit_i64(e, band->tile_rows), kept, "");
        tile.address = ftso_emit_at(e, address, ftso_emit_mul(e, kept, row_floats));
    }
    ftso_emit_tile(e, &tile);
    return address;
}

LLVMValueRef ftso_seen_from(ftso_emitter *e, ftso_seen *seen, int64_t pixel)
{
    LLVMValueRef known = pixel < FTSO_MAX_SEEN ? seen->vectors[pixel] : NULL, vector;
    if (known) return known;
    bool splice = e->pixels > 1 && e->target.vector_floats >= FTSO_LINE_FLOATS;
    int64_t inside = pixel % e->pixels;
    if (inside && splice) {
        LLVMValueRef left = ftso_seen_from(e, seen, pixel - inside),
                     right = ftso_seen_from(e, seen, pixel - inside + e->pixels);
        vector = ftso_emit_spliced(e, left, right, inside * seen->stored);
    } else {
        LLVMValueRef at = ftso_emit_at(e, seen->at, ftso_emit_i64(e, pixel * seen->stored));
        vector = splice ? ftso_emit_load_to_splice(e, at) : ftso_emit_load_vector(e, at);
    }
    if (pixel < FTSO_MAX_SEEN) seen->vectors[pixel] = vector;
    return vector;
}
