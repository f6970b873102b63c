/*
 * Depthwise: one kernel per channel, forward and transposed (dwconv, dwconv_dx).
 *
 * In: the operand's tile under a band of rows; weights packed as [tap][stored channels]. Out: results in scratch, for the
 * epilogue or for the contraction that this core leads, or in the image that they are. Several pixels of a row and one vector
 * of channels are summed in registers, a row of taps at a time, so that an operand vector is loaded once for all taps of its
 * row; an output is a sum over taps in row order.
 */
#include "kernels/kernels_internal.h"

enum {
    BUDGET_FLOATS = 12288,
    LED_BUDGET_FLOATS = 24576,
    MAX_PIXELS = 6,
    MAX_UNROLLED = 7,
    MOST_ASKED = 8
};

ftso_depthwise ftso_depthwise_of(const ftso_emitter *e, ftso_value value)
{
    const ftso_node *node = ftso_kernel_node(e, value);
    ftso_shape operand = ftso_kernel_shape(e, node->inputs[0]),
               w = ftso_kernel_shape(e, node->inputs[1]);
    ftso_depthwise d = {.value = value,
                        .operand = node->inputs[0],
                        .weight = node->inputs[1],
                        .channels = operand.dim[1],
                        .stored = ftso_emit_round(e, operand.dim[1]),
                        .weight_floats = ftso_emit_round(e, operand.dim[1]) * e->pixels,
                        .taps = ftso_taps_of(node, w.dim[2], w.dim[3], operand, node->shape,
                                             ftso_node_is(node, "dwconv_dx"))};
    d.taps.row_pixels = e->pixels;
    d.taps.skips_rows = true;
    d.taps.skips_columns = e->pixels == 1 && w.dim[3] <= MAX_UNROLLED;
    return d;
}

int64_t ftso_depthwise_packed_floats(const ftso_depthwise *d)
{
    return d->taps.kernel_h * d->taps.kernel_w * d->weight_floats;
}

void ftso_depthwise_pack(ftso_emitter *e, const ftso_depthwise *d)
{
    int64_t elements = d->taps.kernel_h * d->taps.kernel_w;
    ftso_loop tap, pixel, channel;
    ftso_emit_loop(e, &pixel, ftso_emit_i64(e, 0), ftso_emit_i64(e, e->pixels), 1, true, NULL, 0);
    ftso_emit_loop(e, &tap, ftso_emit_i64(e, 0), ftso_emit_i64(e, elements), 1, true, NULL, 0);
    ftso_emit_loop(e, &channel, ftso_emit_i64(e, 0), ftso_emit_i64(e, d->channels), 1, true, NULL,
                   0);
    LLVMValueRef from = ftso_emit_add(e, ftso_emit_mul(e, channel.index, elements), tap.index);
    LLVMValueRef to =
        ftso_emit_add(e, ftso_emit_mul(e, tap.index, d->weight_floats), channel.index);
    to = ftso_emit_add(e, to, ftso_emit_mul(e, pixel.index, ftso_emit_unit(e)));
    ftso_emit_store(e, ftso_emit_load(e, ftso_emit_at(e, e->address[d->weight], from)),
                    ftso_emit_at(e, d->packed, to));
    ftso_emit_loop_end(e, &channel, NULL);
    ftso_emit_loop_end(e, &tap, NULL);
    ftso_emit_loop_end(e, &pixel, NULL);
}

/* ---------------------------------------------------------------- the register block */

/*
 * `pixels` outputs of one row, one vector of channels. Rows of taps outside the map are left out; so are single taps beside it,
 * in blocks at the ends of a row, whose outputs are known while code is made.
 */
typedef struct row_block {
    const ftso_depthwise *d;
    const ftso_phase *p;
    LLVMValueRef weights, tile, result; /* tile: this vector of its first pixel */
    LLVMValueRef row;                   /* of the tile, under the first row of taps */
    LLVMValueRef first, end;            /* rows of taps inside the map */
    bool some;                          /* these are never none */
    int64_t output;      /* number of the first; -1: all taps are inside the map's columns */
    LLVMValueRef column; /* of the tile: the first that is seen */
    int64_t before;      /* columns from the first output's first tap to there */
    int pixels;
} row_block;

/* A row of `taps` taps: `at` is the first pixel that the block sees, `weight` the row's first tap. */
static void emit_taps(ftso_emitter *e, const row_block *b, LLVMValueRef at, LLVMValueRef weight,
                      int64_t taps, LLVMValueRef *sums)
{
    const ftso_depthwise *d = b->d;
    ftso_seen seen = {.at = at, .stored = d->stored};
    for (int64_t t = 0; t < taps; t++) {
        LLVMValueRef w = NULL;
        for (int r = 0; r < b->pixels; r++) {
            if (b->output >= 0 && !ftso_tap_inside(&d->taps, b->p, b->output + r, t)) continue;
            if (!w)
                w = ftso_emit_load_vector(
                    e, ftso_emit_at(e, weight,
                                    ftso_emit_i64(e, t * b->p->step_kw * d->weight_floats)));
            int64_t pixel = r * d->band.stride * e->pixels + t * b->p->dilation_w - b->before;
            sums[r] = ftso_emit_fma(e, ftso_seen_from(e, &seen, pixel), w, sums[r]);
        }
    }
}

static void emit_block(ftso_emitter *e, const row_block *b)
{
    const ftso_depthwise *d = b->d;
    const ftso_phase *p = b->p;
    LLVMValueRef sums[MAX_PIXELS];
    for (int r = 0; r < b->pixels; r++) sums[r] = ftso_emit_splat_of(e, 0);
    if (p->taps_h) {
        ftso_loop h, w;
        ftso_emit_loop(e, &h, b->first, b->end, 1, b->some, sums, b->pixels);
        LLVMValueRef kh =
            ftso_emit_add(e, ftso_emit_mul(e, h.index, p->step_kh), ftso_emit_i64(e, p->first_kh));
        LLVMValueRef tap =
            ftso_emit_add(e, ftso_emit_mul(e, kh, d->taps.kernel_w), ftso_emit_i64(e, p->first_kw));
        LLVMValueRef weight = ftso_emit_at(e, b->weights, ftso_emit_mul(e, tap, d->weight_floats));
        LLVMValueRef row = ftso_emit_add(e, b->row, ftso_emit_mul(e, h.index, p->dilation_h)),
                     pixel =
                         ftso_emit_add(e, ftso_emit_mul(e, row, d->band.tile_columns), b->column),
                     at = ftso_emit_at(e, b->tile, ftso_emit_mul(e, pixel, d->stored));
        for (int r = 0; r < b->pixels; r++) sums[r] = h.carried[r];
        if (p->taps_w <= MAX_UNROLLED) {
            emit_taps(e, b, at, weight, p->taps_w, sums);
        } else {
            ftso_emit_loop(e, &w, ftso_emit_i64(e, 0), ftso_emit_i64(e, p->taps_w), 1, true, sums,
                           b->pixels);
            for (int r = 0; r < b->pixels; r++) sums[r] = w.carried[r];
            emit_taps(
                e, b, ftso_emit_at(e, at, ftso_emit_mul(e, w.index, p->dilation_w * d->stored)),
                ftso_emit_at(e, weight, ftso_emit_mul(e, w.index, p->step_kw * d->weight_floats)),
                1, sums);
            ftso_emit_loop_end(e, &w, sums);
            for (int r = 0; r < b->pixels; r++) sums[r] = w.carried[r];
        }
        ftso_emit_loop_end(e, &h, sums);
        for (int r = 0; r < b->pixels; r++) sums[r] = h.carried[r];
    }
    for (int r = 0; r < b->pixels; r++) {
        LLVMValueRef result = ftso_emit_as_stored(e, d->value, sums[r]), /* as a lead's is read */
            at = ftso_emit_at(e, b->result,
                              ftso_emit_i64(e, r * d->taps.out_step * e->pixels * d->stored));
        if (d->in_image)
            ftso_emit_store_result(e, d->value, result, at);
        else
            ftso_emit_store(e, result, at);
    }
}

/* Pixels of a row at a time: equal blocks where that costs little, else as many as there are registers for. */
static int pixels_for(const ftso_emitter *e, int64_t columns)
{
    if (e->tuning.pixel_block && e->tuning.pixel_block < MAX_PIXELS)
        return e->tuning.pixel_block < columns ? e->tuning.pixel_block : (int)columns;
    for (int r = MAX_PIXELS; r >= 4; r--)
        if (columns % r == 0) return r;
    return columns < MAX_PIXELS ? (int)columns : MAX_PIXELS;
}

static int64_t rows_of(const ftso_depthwise *d, const ftso_phase *p)
{
    int64_t step = d->taps.out_step;
    return (d->band.rows - p->out_row + step - 1) / step;
}

/* Turns of a block each: the first phase asks. */
static int64_t turns_of(const ftso_emitter *e, const ftso_depthwise *d)
{
    int64_t rows = rows_of(d, d->taps.phases);
    return rows > 0 ? rows * (d->stored / ftso_emit_unit(e)) : 0;
}

int64_t ftso_depthwise_work(const ftso_emitter *e, const ftso_depthwise *d)
{
    const ftso_phase *p = d->taps.phases;
    return turns_of(e, d) * (p->columns / e->pixels) * p->taps_h * p->taps_w;
}

/* The rows of taps that are inside the map under row `row` of the phase's, and where they lie in the tile. */
static void place_rows(ftso_emitter *e, row_block *b, LLVMValueRef row)
{
    const ftso_depthwise *d = b->d;
    const ftso_phase *p = b->p;
    int64_t stride = d->taps.stride, last = (p->rows - 1) * stride + p->start_h;
    row = ftso_emit_mul(e, row, d->band.stride);
    b->row = ftso_emit_add(e, row, ftso_emit_i64(e, p->start_h - d->band.first_row));
    b->first = ftso_emit_i64(e, 0);
    b->end = ftso_emit_i64(e, p->taps_h);
    b->some = true;
    if (!d->band.skips_rows ||
        (ftso_all_inside(p->start_h, p->dilation_h, p->taps_h, d->taps.in_h) &&
         ftso_all_inside(last, p->dilation_h, p->taps_h, d->taps.in_h)))
        return;
    LLVMValueRef seen = ftso_emit_add(e, d->origin, row);
    ftso_emit_inside(e, ftso_emit_add(e, seen, ftso_emit_i64(e, p->start_h)), p->dilation_h, b->end,
                     d->taps.in_h, &b->first, &b->end);
    for (int64_t base = p->start_h; base <= last; base += stride) {
        int64_t inside = 0;
        for (int64_t h = 0; h < p->taps_h; h++)
            inside += ftso_all_inside(base + h * p->dilation_h, 1, 1, d->taps.in_h);
        if (!inside) b->some = false;
    }
}

/* The block of `pixels` outputs of a row from number `output` on, whose results follow those at `result`. */
static void emit_known_block(ftso_emitter *e, row_block b, int64_t output, int pixels)
{
    const ftso_depthwise *d = b.d;
    int64_t first = output * d->band.stride * e->pixels + b.p->start_w - d->band.first_column;
    b.pixels = pixels;
    b.output = d->band.skips_columns ? output : -1;
    b.before = d->band.skips_columns && first < 0 ? -first : 0;
    b.column = ftso_emit_i64(e, first + b.before);
    b.result = ftso_emit_at(e, b.result,
                            ftso_emit_i64(e, output * d->taps.out_step * d->stored * e->pixels));
    emit_block(e, &b);
}

/* Blocks [first, end) of the row, each known. */
static void emit_known_blocks(ftso_emitter *e, const row_block *of, int64_t first, int64_t end,
                              int pixels, const ftso_asked *ahead)
{
    for (int64_t i = first; i < end; i++) {
        ftso_ask(e, ahead, ftso_emit_i64(e, i));
        emit_known_block(e, *of, i * pixels, pixels);
    }
}

/* All outputs of a row: blocks of `pixels` each, in a loop where they see all of their taps, and what is left. */
static void emit_row(ftso_emitter *e, const row_block *of, int64_t outputs, int pixels,
                     const ftso_asked *ahead)
{
    const ftso_depthwise *d = of->d;
    int64_t blocks = outputs / pixels, first, end;
    ftso_blocks_inside(&d->taps, of->p, &d->band, blocks, pixels, &first, &end);
    emit_known_blocks(e, of, 0, first, pixels, ahead);
    if (first < end) {
        row_block b = *of;
        ftso_loop block;
        ftso_emit_loop(e, &block, ftso_emit_i64(e, first), ftso_emit_i64(e, end), 1, true, NULL, 0);
        ftso_ask(e, ahead, block.index);
        LLVMValueRef pixel = ftso_emit_mul(e, block.index, pixels * e->pixels);
        b.pixels = pixels;
        b.output = -1;
        b.before = 0;
        b.column = ftso_emit_add(e, ftso_emit_mul(e, pixel, d->band.stride),
                                 ftso_emit_i64(e, of->p->start_w - d->band.first_column));
        b.result = ftso_emit_at(e, b.result, ftso_emit_mul(e, pixel, d->taps.out_step * d->stored));
        emit_block(e, &b);
        ftso_emit_loop_end(e, &block, NULL);
    }
    emit_known_blocks(e, of, end, blocks, pixels, ahead);
    if (blocks * pixels < outputs)
        emit_known_block(e, *of, blocks * pixels, (int)(outputs - blocks * pixels));
}

static void emit_phase(ftso_emitter *e, const ftso_depthwise *d, const ftso_phase *p)
{
    int64_t step = d->taps.out_step, rows = rows_of(d, p);
    if (rows <= 0 || p->columns <= 0) return;
    int64_t vectors = p->columns / e->pixels; /* pixels, or vectors of several */
    int pixels = pixels_for(e, vectors);
    int64_t blocks = vectors / pixels;
    ftso_pace pace = {0};
    if (p == d->taps.phases) pace = ftso_ahead_pace(d->ahead, turns_of(e, d), blocks, MOST_ASKED);
    ftso_loop channels, row;
    ftso_emit_loop(e, &channels, ftso_emit_i64(e, 0), ftso_emit_i64(e, d->stored),
                   e->target.vector_floats, true, NULL, 0);
    row_block b = {.d = d,
                   .p = p,
                   .weights = ftso_emit_at(e, d->packed, channels.index),
                   .tile = ftso_emit_at(e, d->tile, channels.index)};
    ftso_emit_loop(e, &row, ftso_emit_i64(e, 0), ftso_emit_i64(e, rows), 1, true, NULL, 0);
    place_rows(e, &b, row.index);
    LLVMValueRef to =
        ftso_emit_add(e, ftso_emit_mul(e, row.index, step * d->taps.out_w * d->stored),
                      ftso_emit_i64(e, (p->out_row * d->taps.out_w + p->out_column) * d->stored));
    b.result = ftso_emit_at(e, ftso_emit_at(e, d->result, to), channels.index);
    LLVMValueRef turn =
        LLVMBuildUDiv(e->builder, channels.index, ftso_emit_i64(e, e->target.vector_floats), "");
    turn = ftso_emit_add(e, ftso_emit_mul(e, turn, rows), row.index);
    ftso_asked ahead = ftso_ahead_turn(e, d->ahead, pace, blocks, turn, d->tile);
    emit_row(e, &b, vectors, pixels, &ahead);
    ftso_emit_loop_end(e, &row, NULL);
    ftso_emit_loop_end(e, &channels, NULL);
}

void ftso_depthwise_run(ftso_emitter *e, const ftso_depthwise *d)
{
    for (int i = 0; i < d->taps.phase_count; i++) emit_phase(e, d, &d->taps.phases[i]);
}

/* ---------------------------------------------------------------- the region */

/*
 * A transposed 1x1 convolution may lead: it makes the rows of the tile, each row of the map once. The tile then goes on from
 * band to band: its last rows are the next one's first.
 */
typedef struct job {
    ftso_emitter *e;
    ftso_depthwise d;
    bool led;
    ftso_contraction lead;
    ftso_gradients gradients;
    int64_t tile_offset, tile_floats, result_offset; /* into scratch */
    LLVMValueRef image, band;
} job;

static int64_t row_floats(const job *j)
{
    return j->d.band.tile_columns * j->d.stored;
}

/* Map pixel (band's first row, 0) in the tile. */
static int64_t inside_tile(const job *j)
{
    return -j->d.band.first_row * row_floats(j) - j->d.band.first_column * j->d.stored;
}

/* What the next band reads, and writes; its tile follows from `tiled`. */
static ftso_ahead next_band(job *j, ftso_value tiled)
{
    ftso_emitter *e = j->e;
    int64_t pixels = j->d.band.rows * j->d.taps.out_w;
    LLVMValueRef next = ftso_emit_add(e, j->band, ftso_emit_i64(e, 1));
    ftso_ahead_band band = {.like = j->d.value,
                            .image = j->image,
                            .first = ftso_emit_mul(e, next, pixels),
                            .pixels = pixels,
                            .tiled = tiled,
                            .reach = ftso_band_reach(&j->d.taps, &j->d.band),
                            .writes = true};
    return ftso_ahead_of(e, &band);
}

/* The tile of the band, by the lead; and the weight gradients of the lead's operand. */
static void emit_lead(job *j)
{
    ftso_emitter *e = j->e;
    const ftso_band *band = &j->d.band;
    ftso_contraction *c = &j->lead;
    LLVMValueRef top = ftso_emit_add(e, ftso_emit_mul(e, j->band, band->rows),
                                     ftso_emit_i64(e, band->first_row)),
                 is_first = LLVMBuildICmp(e->builder, LLVMIntEQ, j->band, ftso_emit_i64(e, 0), "");
    j->d.tile = ftso_emit_rolling(e, &j->d.rolling,
                                  ftso_emit_at(e, e->scratch, ftso_emit_i64(e, j->tile_offset)),
                                  row_floats(j), j->band);
    LLVMValueRef begin = LLVMBuildSelect(
                     e->builder, is_first, ftso_emit_i64(e, 0),
                     ftso_emit_add(e, top, ftso_emit_i64(e, band->tile_rows - band->rows)), ""),
                 end = ftso_emit_add(e, top, ftso_emit_i64(e, band->tile_rows)),
                 limit = ftso_emit_min_i64(e, end, ftso_emit_i64(e, c->taps.in_h));
    c->rows = LLVMBuildNSWSub(e->builder, limit, begin, "");
    if (c->in_place) {
        LLVMValueRef number = ftso_emit_add(e, ftso_emit_mul(e, j->image, c->taps.in_h), begin);
        c->tile = ftso_emit_at(e, e->address[c->operand],
                               ftso_emit_mul(e, number, c->taps.in_w * c->tile_stored));
    } else {
        c->tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, c->tile_offset));
        ftso_tile tile = {.value = c->operand,
                          .image = j->image,
                          .row = begin,
                          .rows = band->tile_rows,
                          .row_count = c->rows,
                          .columns = c->taps.in_w,
                          .step = 1,
                          .address = c->tile};
        ftso_emit_tile(e, &tile);
    }
    LLVMValueRef row = LLVMBuildNSWSub(e->builder, begin, top, "");
    c->result = ftso_emit_at(
        e, ftso_emit_at(e, j->d.tile, ftso_emit_i64(e, -band->first_column * j->d.stored)),
        ftso_emit_mul(e, row, row_floats(j)));
    ftso_ahead ahead = next_band(j, c->operand);
    size_t asking = 2 + j->gradients.count;
    int64_t *work = FTSO_ARRAY(e->arena, int64_t, asking);
    ftso_ahead *shares = FTSO_ARRAY(e->arena, ftso_ahead, asking);
    work[0] = ftso_contraction_work(e, c);
    ftso_gradients_work(e, &j->gradients, c->operand, work + 1);
    work[asking - 1] = ftso_depthwise_work(e, &j->d);
    ftso_ahead_deal(e, &ahead, work, asking, shares);
    c->ahead = &shares[0];
    ftso_gradients_ask(&j->gradients, shares + 1);
    j->d.ahead = &shares[asking - 1];
    ftso_contraction_run(e, c);
    ftso_gradients_run(e, &j->gradients, c->operand, j->image, begin, c->rows, c->tile,
                       c->taps.in_w * c->tile_stored);
}

/* Chooses the bands and places everything; returns floats of scratch. */
static int64_t describe(job *j, ftso_epilogue *epilogue, int64_t planned)
{
    ftso_emitter *e = j->e;
    ftso_depthwise *d = &j->d;
    ftso_contraction *c = &j->lead;
    j->led = e->region->lead_count > 0;
    j->gradients = ftso_gradients_of(e);
    int64_t tile_channels = d->stored + ftso_gradients_tile_channels(&j->gradients);
    epilogue->shared_offset = ftso_depthwise_packed_floats(d);
    if (j->led) {
        epilogue->whole = true;
        *c = ftso_contraction_of(e, e->region->leads, 1);
        FTSO_ASSERT(c->value == d->operand && ftso_taps_pixel_by_pixel(&c->taps));
        c->packed_offset = epilogue->shared_offset;
        epilogue->shared_offset += ftso_contraction_packed_floats(e, c);
        if (!c->in_place) tile_channels += c->tile_stored;
    }
    d->band =
        ftso_band_of(&d->taps, tile_channels, d->stored, j->led ? LED_BUDGET_FLOATS : BUDGET_FLOATS,
                     ftso_emit_least_bands(e, epilogue, planned, d->taps.out_h));
    int64_t scratch = 0;
    j->tile_offset = scratch;
    d->rolling = ftso_rolling_of(&d->taps, &d->band, d->stored);
    j->tile_floats = ftso_rolling_floats(e, &d->rolling, &d->band, d->stored);
    scratch += j->tile_floats;
    j->result_offset = scratch;
    j->d.in_image = ftso_emit_epilogue_is_core(e, epilogue);
    if (!j->d.in_image) scratch += d->band.rows * d->taps.out_w * d->stored;
    if (j->led) {
        c->band = ftso_band_with(&c->taps, d->band.tile_rows);
        c->usual_rows = d->band.rows;           /* the others are kept */
        c->rolling = (ftso_rolling){.room = 1}; /* the rows that are new */
        c->result_columns = d->band.tile_columns;
        c->block = ftso_block_vectors(e, c->vectors, c->taps.out_w);
        c->tile_offset = scratch;
        if (!c->in_place) scratch += ftso_rolling_floats(e, &c->rolling, &c->band, c->tile_stored);
        ftso_gradients_place(e, &j->gradients, c->operand, d->band.tile_rows, d->band.rows,
                             &scratch);
    }
    ftso_gradients_place(e, &j->gradients, d->operand, d->band.rows, d->band.rows, &scratch);
    return scratch;
}

static void emit_body(job *j, const ftso_epilogue *epilogue, ftso_frame *frame, int64_t planned)
{
    ftso_emitter *e = j->e;
    ftso_depthwise *d = &j->d;
    int64_t pixels = d->band.rows * d->taps.out_w;
    ftso_emit_epilogue_begin(e, epilogue);
    ftso_gradients_begin(e, &j->gradients, epilogue, planned);
    d->packed = e->shared;
    d->tile = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, j->tile_offset));
    /* the columns beside the map stay so */
    if (j->led && !d->band.skips_columns) ftso_emit_fill(e, d->tile, j->tile_floats, 0);
    ftso_emit_frame(e, frame, epilogue, planned, d->taps.out_h / d->band.rows);
    j->image = frame->images.index;
    j->band = frame->rows.index;
    d->origin = ftso_emit_band_origin(e, &d->band, j->band);
    LLVMValueRef first = ftso_emit_mul(e, j->band, pixels);
    if (j->d.in_image) {
        LLVMValueRef number =
            ftso_emit_add(e, ftso_emit_mul(e, j->image, d->taps.out_h * d->taps.out_w), first);
        d->result = ftso_emit_at(e, e->address[d->value], ftso_emit_mul(e, number, d->stored));
    } else {
        d->result = ftso_emit_at(e, e->scratch, ftso_emit_i64(e, j->result_offset));
    }
    ftso_ahead ahead;
    if (j->led) {
        emit_lead(j);
    } else {
        ahead = next_band(j, d->operand);
        d->ahead = &ahead;
        d->tile = ftso_emit_band_tile(e, &d->band, &d->rolling, d->operand, j->image,
                                      ftso_emit_band_row(e, &d->band, j->band),
                                      LLVMBuildNSWSub(e->builder, j->band, frame->first_band, ""),
                                      d->tile);
    }
    ftso_depthwise_run(e, d);
    ftso_gradients_run(e, &j->gradients, d->operand, j->image,
                       ftso_emit_mul(e, j->band, d->band.rows), NULL,
                       ftso_emit_at(e, d->tile, ftso_emit_i64(e, inside_tile(j))), row_floats(j));
    LLVMValueRef results[] = {d->result, NULL};
    if (!j->d.in_image)
        ftso_emit_epilogue_run(e, epilogue, j->image, first, ftso_emit_i64(e, pixels), results);
    ftso_emit_frame_end(e, frame);
}

static ftso_status emit(ftso_emitter *e, const ftso_schedule *schedule, const ftso_region *region,
                        const char *symbol, ftso_launch_shape *out_shape)
{
    (void)schedule;
    FTSO_ASSERT(region->core_count == 1);
    ftso_emit_reads_are_constant(e);
    job j = {.e = e, .d = ftso_depthwise_of(e, region->cores[0])};
    ftso_epilogue epilogue = ftso_emit_epilogue_plan(e, 0);
    int64_t planned = ftso_kernel_shape(e, j.d.value).dim[0],
            scratch = ftso_emit_epilogue_place(e, &epilogue, describe(&j, &epilogue, planned));
    ftso_emit_function(e, symbol, "prepare");
    j.d.packed = e->shared;
    ftso_depthwise_pack(e, &j.d);
    if (j.led) ftso_contraction_pack(e, &j.lead);
    ftso_emit_return(e);

    ftso_frame frame;
    ftso_emit_function(e, symbol, "body");
    emit_body(&j, &epilogue, &frame, planned);
    ftso_emit_return(e);
    ftso_gradients_finish(e, &j.gradients, &epilogue, symbol, frame.images_per_item, planned,
                          out_shape);
    out_shape->has_prepare = true;
    out_shape->parts = frame.parts;
    out_shape->scratch_bytes = 4 * (scratch + 2 * e->target.vector_floats);
    return FTSO_STATUS_OK;
}

const ftso_kernel_class ftso_kernel_depthwise = {.name = "depthwise",
                                                 .doc =
                                                     "depthwise convolutions and their transposes",
                                                 .narrow = true,
                                                 .emit_llvm = emit};
