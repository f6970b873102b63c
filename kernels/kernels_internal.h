/*
 * What kernel classes share: their records, geometry of windows, and the frame that every body has.
 */
#ifndef FTSO_KERNELS_INTERNAL_H
#define FTSO_KERNELS_INTERNAL_H

#include "codegen/emit_llvm.h"
#include "kernels/kernels.h"

extern const ftso_kernel_class ftso_kernel_algebra, ftso_kernel_contract, ftso_kernel_depthwise,
    ftso_kernel_depthwise_gradient, ftso_kernel_image, ftso_kernel_loss, ftso_kernel_pointwise,
    ftso_kernel_pool, ftso_kernel_weight_gradient;

/* Shape of a value of the region's graph. */
ftso_shape ftso_kernel_shape(const ftso_emitter *e, ftso_value value);
const ftso_node *ftso_kernel_node(const ftso_emitter *e, ftso_value value);

/* Among the region's reads, and as floats, so that it may be read where it lies. */
bool ftso_kernel_in_memory(const ftso_emitter *e, ftso_value value);

/*
 * How large a register block is: rows (pixels, or input channels of a gradient) times vectors of channels, of which `run` and
 * `vectors` are wanted. A model of the cost decides, or the tuning; `out_cost`: cycles of one step over all rows.
 */
int ftso_block_rows(const ftso_emitter *e, int vectors, int64_t run, double *out_cost);
int ftso_block_vectors(const ftso_emitter *e, int vectors, int64_t run);
/*
 * A block's sums are stored when its steps are done, but a processor has room for few stores whose values are not there yet,
 * and dispatches nothing behind further ones. So the last of `steps` steps are made for FTSO_LAST_ROWS rows of the block at a
 * time, whose sums are stored at once. How many steps these are: none for blocks of few sums, and none where there are 32 registers.
 */
enum { FTSO_LAST_ROWS = 2 };
int ftso_block_last_steps(const ftso_emitter *e, int sums, int64_t steps);

/*
 * A window operator as taps on a tile: output (q, p) of a phase reads tile pixel
 * (q * stride + th * dilation_h + start_h, p * stride + tw * dilation_w + start_w), th < taps_h, tw < taps_w, and is pixel
 * (q * out_step + out_row, p * out_step + out_column) of the result. Tap (th, tw) uses kernel element
 * (first_kh + th * step_kh, first_kw + tw * step_kw). A convolution is one phase; its transpose has one per residue of
 * the stride, some without taps.
 */
typedef struct ftso_phase {
    int64_t taps_h, taps_w, dilation_h, dilation_w, start_h, start_w;
    int64_t first_kh, step_kh, first_kw, step_kw;
    int64_t out_row, out_column, rows,
        columns; /* rows, columns: outputs of this phase on the whole map */
} ftso_phase;

enum { FTSO_MAX_PHASES = 16 };

typedef struct ftso_taps {
    int64_t in_h, in_w, out_h, out_w; /* maps of the operand and of the result */
    int64_t kernel_h, kernel_w;
    int64_t stride;     /* of the operand's pixels */
    int64_t out_step;   /* phases in each direction */
    int64_t row_pixels; /* that a tile's rows are a multiple of, so that each begins a vector */
    int64_t band_step;  /* that a band's rows are a multiple of; 0: of the phases only */
    bool skips_rows, skips_columns; /* taps beside the map are left out, not multiplied by zeros */
    ftso_phase phases[FTSO_MAX_PHASES];
    int phase_count;
} ftso_taps;

/* Window attributes by name; `transposed`: the operand is the window's output (conv_dx and the like). */
ftso_taps ftso_taps_of(const ftso_node *node, int64_t kernel_h, int64_t kernel_w,
                       ftso_shape operand, ftso_shape result, bool transposed);

/* Whether output pixel i reads operand pixel i and nothing else. */
bool ftso_taps_pixel_by_pixel(const ftso_taps *taps);

/*
 * Bands of output rows that a body works on at a time, and the operand's tile under one: rows [q * … + first_row, …).
 * Everything static; `rows` divides out_h.
 */
typedef struct ftso_band {
    int64_t rows;                    /* output rows */
    int64_t tile_rows, tile_columns; /* pixels kept */
    int64_t first_row, first_column; /* of the tile, for the band at output row 0; map pixels */
    int64_t rows_per_output_num,
        rows_per_output_den; /* operand row of output row r: r * num / den + first_row */
    int64_t step;            /* map pixels from one tile pixel to the next */
    int64_t stride;          /* tile pixels from one output to the next */
    bool skips_rows,
        skips_columns; /* nobody reads what lies beside the map: tiles need not have it */
} ftso_band;

/* For several windows with results on one map: bands of equal rows, the largest whose tiles and results together stay within
 * `budget_floats`, at least one row of each phase of each, and of which an image has no fewer than `least`, if it can. */
void ftso_bands_of(const ftso_taps *taps, const int64_t *tile_channels, size_t count,
                   int64_t result_channels, int64_t budget_floats, int64_t least,
                   ftso_band *out_bands);
/* The same for one window. */
ftso_band ftso_band_of(const ftso_taps *taps, int64_t tile_channels, int64_t result_channels,
                       int64_t budget_floats, int64_t least);
/* The band of that many rows, which divide out_h into bands. */
ftso_band ftso_band_with(const ftso_taps *taps, int64_t rows);
/* Of base + i * step for i in [0, count), those in [0, size): i in [*out_first, *out_end), perhaps none. */
void ftso_emit_inside(ftso_emitter *e, LLVMValueRef base, int64_t step, LLVMValueRef count,
                      int64_t size, LLVMValueRef *out_first, LLVMValueRef *out_end);
/* Whether all of them are. */
bool ftso_all_inside(int64_t base, int64_t step, int64_t count, int64_t size);
/* Whether a tap of a row is inside the map's columns under an output of the row. */
bool ftso_tap_inside(const ftso_taps *taps, const ftso_phase *p, int64_t output, int64_t tap);
/* Of a row's blocks of `pixels` outputs, those that need no tap beside the map: [*out_first, *out_end). */
void ftso_blocks_inside(const ftso_taps *taps, const ftso_phase *p, const ftso_band *band,
                        int64_t blocks, int pixels, int64_t *out_first, int64_t *out_end);
/* Map row that the window's zeroth row sees under the first output row of band number `number`, without padding. */
LLVMValueRef ftso_emit_band_origin(ftso_emitter *e, const ftso_band *band, LLVMValueRef number);

/* Pixels of the results' map by which a band's tile reaches beyond the band. */
int64_t ftso_band_reach(const ftso_taps *taps, const ftso_band *band);
/*
 * A tile that goes on from band to band: rows that the next band sees too stay where they are, and new ones are made behind
 * them, until its room is used up; then the kept ones move to its top. An item's bands of an image run one after another.
 */
typedef struct ftso_rolling {
    int64_t kept, made; /* rows, of a band after the first; kept 0: no row is seen by two bands */
    int64_t room;       /* bands */
} ftso_rolling;
ftso_rolling ftso_rolling_of(const ftso_taps *taps, const ftso_band *band, int64_t stored);
/* Floats of it with `stored` channels a pixel, whole vectors. */
int64_t ftso_rolling_floats(const ftso_emitter *e, const ftso_rolling *rolling,
                            const ftso_band *band, int64_t stored);
/* Where the tile of the item's band number `number` of an image begins, after rows have moved; `tile`: of `row_floats` a row. */
LLVMValueRef ftso_emit_rolling(ftso_emitter *e, const ftso_rolling *rolling, LLVMValueRef tile,
                               int64_t row_floats, LLVMValueRef number);
/* Operand row that the tile of band number `number` of an image begins with; perhaps negative. */
LLVMValueRef ftso_emit_band_row(ftso_emitter *e, const ftso_band *band, LLVMValueRef number);
/* Evaluates what is new of the operand's rows from `row` on under the item's band number `number` of image n, into the tile at
 * `address`; returns where that band's tile begins. */
LLVMValueRef ftso_emit_band_tile(ftso_emitter *e, const ftso_band *band,
                                 const ftso_rolling *rolling, ftso_value operand,
                                 LLVMValueRef image, LLVMValueRef row, LLVMValueRef number,
                                 LLVMValueRef address);

/*
 * A row of pixels as neighbouring taps see it: vectors that begin with any pixel, each made once. Where a vector is a line of
 * memory, those that begin inside one are put together from two, for a load that crosses lines takes the time of two. Up to
 * a vector beyond the pixels asked for may be loaded.
 */
enum { FTSO_MAX_SEEN = 64 };
typedef struct ftso_seen {
    LLVMValueRef at;
    int64_t stored;
    LLVMValueRef vectors[FTSO_MAX_SEEN];
} ftso_seen;
LLVMValueRef ftso_seen_from(ftso_emitter *e, ftso_seen *seen, int64_t pixel);

/* One core's part of a contraction: it makes vectors [first_vector, first_vector + vectors) of a pixel's results. */
typedef struct ftso_contraction_part {
    ftso_value value, weight;
    int64_t channels;
    int first_vector, vectors;
} ftso_contraction_part;

/*
 * Dense convolutions of one operand under one window, or one transpose, at work on a band. `operand_channels` are summed over.
 * The parts' results lie beside each other, so that a pixel of the operand is read once for all of them. `band`, `block` and the
 * offsets are the region's choice; the addresses are of the function being emitted.
 */
typedef struct ftso_contraction {
    ftso_value value, operand; /* value: the first part's */
    ftso_contraction_part *parts;
    size_t part_count;
    bool transposed, adds; /* adds: to what lies in `result` */
    ftso_taps taps;
    ftso_band band;
    ftso_rolling rolling;             /* of the tile */
    bool in_place;                    /* the operand is read where it lies in memory: no tile */
    int64_t tile_stored;              /* channels of the operand's pixels */
    int64_t operand_channels, stored; /* stored: channels of all parts, each rounded up */
    int vectors, block;               /* vectors of output channels, and how many at a time */
    int64_t tile_offset, packed_offset, scratch_offset; /* floats into scratch, shared, scratch */
    int64_t result_columns; /* pixels from one row of results to the next */
    LLVMValueRef tile, result;
    const LLVMValueRef *
        images; /* each part's results lie there, pixel by pixel, not in `result`; NULL: they do not */
    LLVMValueRef rows;       /* of the band at hand; NULL: band.rows */
    int64_t usual_rows;      /* of most bands, where `rows` counts them; 0: band.rows */
    const ftso_ahead *ahead; /* asked for on the way; NULL: nothing */
    /* fewer products for the window, by points instead of taps; NULL: none */
    const struct ftso_winograd *winograd;
    int64_t patch_rows;                     /* of patches in a round */
    int64_t points_offset, products_offset; /* of a round: floats into scratch */
    /* results go from registers to the epilogue instead: number among the cores, image, first pixel */
    bool direct;
    size_t number;
    LLVMValueRef image, first;
} ftso_contraction;

/* `count` values: more than one only where they are `conv` of the same operand under the same window. */
ftso_contraction ftso_contraction_of(const ftso_emitter *e, const ftso_value *values, size_t count);
/* Pixels that follow each other evenly, in tile and result. */
int64_t ftso_contraction_run_length(const ftso_contraction *c);
/* Floats of the packed weights, and the code that packs them at packed_offset. */
int64_t ftso_contraction_packed_floats(const ftso_emitter *e, const ftso_contraction *c);
void ftso_contraction_pack(ftso_emitter *e, const ftso_contraction *c);
/* From the tile to the band's results. */
void ftso_contraction_run(ftso_emitter *e, const ftso_contraction *c);
/* Whether the part of each vector is known while code is made, so that parts may go different ways. */
bool ftso_contraction_parts_known(const ftso_contraction *c);
/* Where vector number `vector` of the block at `channel` of the band's pixel `number` lies in `result`. */
LLVMValueRef ftso_contraction_result_at(ftso_emitter *e, const ftso_contraction *c,
                                        LLVMValueRef number, LLVMValueRef channel, int vector);
/* `count` of these vectors to scratch or to images, or on to the images that follow from them. */
void ftso_contraction_results(ftso_emitter *e, const ftso_contraction *c, LLVMValueRef number,
                              LLVMValueRef channel, int vector, int count,
                              const LLVMValueRef *sums);
/* The work of a band that can ask for lines ahead. */
int64_t ftso_contraction_work(const ftso_emitter *e, const ftso_contraction *c);

/*
 * Winograd's minimal filtering for a contraction (winograd.c): patches of the tile become points, each point's products are a
 * 1x1 contraction, what they give becomes outputs. A band is worked on in rounds of some rows of patches.
 */
typedef struct ftso_winograd ftso_winograd;

/* A block of output vectors, from `channel` and `first` vectors on; `turn`, `pace`: of the lines that it asks for ahead. */
typedef struct ftso_contraction_block {
    int vectors, first;
    LLVMValueRef weights, channel;
    LLVMValueRef turn; /* NULL: asks for none */
    ftso_pace pace;
} ftso_contraction_block;

/* The one with the least cost; NULL: taps are cheaper, or the window has none. */
const ftso_winograd *ftso_winograd_of(const ftso_emitter *e, const ftso_contraction *c);
int64_t ftso_winograd_outputs(const ftso_winograd *w); /* rows and columns of a patch's outputs */
int64_t ftso_winograd_points(const ftso_winograd *w);  /* of a patch */
/* Chooses the rounds of a band; patches and rounds are known from then on. */
void ftso_winograd_cut(ftso_contraction *c);
int64_t ftso_winograd_patches(const ftso_contraction *c); /* of a round */
int64_t ftso_winograd_rounds(const ftso_contraction *c);
/* Places points and products behind *scratch floats. */
void ftso_winograd_place(const ftso_emitter *e, ftso_contraction *c, int64_t *scratch);
/* One kernel's points, `step` floats apart, from its elements at `kernel`. */
void ftso_winograd_pack(ftso_emitter *e, const ftso_contraction *c, LLVMValueRef kernel,
                        LLVMValueRef to, int64_t step);
/* The round's points. */
void ftso_winograd_points_of(ftso_emitter *e, const ftso_contraction *c, LLVMValueRef round);
/* The round's results of a block of output vectors. */
void ftso_winograd_vectors(ftso_emitter *e, const ftso_contraction *c,
                           const ftso_contraction_block *b, LLVMValueRef round);
/* A block's products of all patches at one point, whose operands lie at `operand`. */
void ftso_contraction_at_point(ftso_emitter *e, const ftso_contraction *c,
                               const ftso_contraction_block *b, LLVMValueRef operand,
                               LLVMValueRef result);

/*
 * A depthwise core at work on a band: alone in its region, or leading a contraction. `band` is the region's choice; the
 * addresses are of the function being emitted.
 */
typedef struct ftso_depthwise {
    ftso_value value, operand, weight;
    ftso_taps taps;
    ftso_band band;
    ftso_rolling rolling; /* of the tile */
    int64_t channels, stored;
    int64_t weight_floats; /* of a tap: the channels, for each pixel of a vector */
    bool in_image;         /* the result is stored where it belongs, not in scratch */
    LLVMValueRef packed, tile, result;
    LLVMValueRef origin;     /* of the band at hand (ftso_emit_band_origin) */
    const ftso_ahead *ahead; /* asked for on the way; NULL: nothing */
} ftso_depthwise;

ftso_depthwise ftso_depthwise_of(const ftso_emitter *e, ftso_value value);
/* Floats of the packed weights, and the code that packs them. */
int64_t ftso_depthwise_packed_floats(const ftso_depthwise *d);
void ftso_depthwise_pack(ftso_emitter *e, const ftso_depthwise *d);
/* From the tile to the band's results. */
void ftso_depthwise_run(ftso_emitter *e, const ftso_depthwise *d);
/* The work of a band that can ask for lines ahead. */
int64_t ftso_depthwise_work(const ftso_emitter *e, const ftso_depthwise *d);

/*
 * A pool or its gradient at work on a band: alone in its region, or a gradient beside contractions on the map that its windows
 * cover (ftso_region.pools). The values of the last group are of the band at hand.
 */
typedef struct ftso_pooling {
    ftso_emitter *e;
    const struct ftso_pooling_kind *kind;
    ftso_value value, x, dy;
    int64_t kernel, stride, top, left; /* of the window */
    int64_t in_h, in_w, out_h, out_w;  /* of the pool: its operand's map and its result's */
    int64_t stored, tile_h, tile_w;    /* tile: the whole padded map */
    int64_t rows;                      /* of the pool's in a band */
    bool assigns;        /* no two windows share a pixel: what one passes back is no sum */
    bool in_place;       /* windows read the operand from memory */
    bool tiled;          /* or from a tile; neither where dy alone counts */
    LLVMValueRef shares; /* 1 / taps inside the image, by output pixel: a constant array */
    int64_t tile_offset, result_offset, other_offset; /* floats into scratch */
    LLVMValueRef tile, other, result; /* padded operand; dy; what the epilogue reads */
    LLVMValueRef band;
    const ftso_ahead *ahead;
} ftso_pooling;

ftso_pooling ftso_pooling_of(ftso_emitter *e, ftso_value value);
/* Floats that a row of the pool's takes in scratch, for the choice of bands. */
int64_t ftso_pooling_row_floats(const ftso_pooling *pool);
/* Bands have so many of the pool's rows; what they need is placed behind *scratch floats. */
void ftso_pooling_place(ftso_pooling *pool, int64_t rows, int64_t *scratch);
/* The work of a band that can ask for lines ahead. */
int64_t ftso_pooling_work(const ftso_pooling *pool);
/* From memory to the band's results, at pool->result; asks for lines ahead on the way, unless that is NULL. */
void ftso_pooling_run(ftso_pooling *pool, LLVMValueRef image, LLVMValueRef band,
                      const ftso_ahead *ahead);

/*
 * A weight gradient at work: conv_dw(dy, x) or dwconv_dw(dy, x), alone in its region or beside the core that reads dy. Out: one
 * slot of float sums per item, which finish adds up in item order, in double.
 */
typedef struct ftso_gradient {
    const struct ftso_gradient_kind *kind;
    ftso_value value, dy, x;
    ftso_taps taps;
    ftso_band band; /* of the forward window */
    int64_t inputs, outputs, x_stored, dy_stored;
    int64_t sum_floats;    /* of the output channels' sums: each pixel of a vector has its own */
    bool x_in_place;       /* x is read where it lies in memory: no tile */
    int64_t x_offset;      /* of the tile: floats into scratch */
    ftso_rolling rolling;  /* of the tile */
    int64_t shared_offset; /* of the first slot: floats into shared */
    int64_t slot_floats;
    int64_t usual_rows; /* of dy in most bands: lines are asked for by their pace */
    /* of the band at hand */
    LLVMValueRef x_tile, dy_tile, slot;
    LLVMValueRef row, rows;  /* of dy: the first, and how many; NULL: band.rows */
    int64_t dy_row;          /* floats from one row of dy to the next */
    const ftso_ahead *ahead; /* asked for on the way; NULL: nothing */
} ftso_gradient;

/* What dense and depthwise gradients differ in. */
typedef struct ftso_gradient_kind {
    const char *op;
    int64_t budget_floats; /* of the tiles of a band */
    void (*skips)(const ftso_emitter *e,
                  ftso_gradient *g);                /* which taps it leaves out; NULL: none */
    int64_t (*slot_floats)(const ftso_gradient *g); /* sums of an item */
    /* the work of a band that can ask for lines ahead; NULL: it does not */
    int64_t (*asking_work)(const ftso_emitter *e, const ftso_gradient *g);
    void (*run)(ftso_emitter *e, const ftso_gradient *g); /* from the tiles to the slot */
    int64_t (*finish_items)(const ftso_emitter *e, const ftso_gradient *g);
    /* adds up the slots of `items` for one finish item, and writes canonical order */
    void (*finish)(ftso_emitter *e, const ftso_gradient *g, LLVMValueRef items, LLVMValueRef item);
} ftso_gradient_kind;
extern const ftso_gradient_kind ftso_gradient_dense, ftso_gradient_depthwise;

/* The whole of a region that is one weight gradient. */
ftso_status ftso_gradient_emit(ftso_emitter *e, const ftso_schedule *schedule,
                               const ftso_region *region, const char *symbol,
                               ftso_launch_shape *out_shape);
/* Sum over the items of the vector `from` floats into their slots, rounded once. */
LLVMValueRef ftso_gradient_over_items(ftso_emitter *e, const ftso_gradient *g, LLVMValueRef items,
                                      LLVMValueRef from);

/* The weight gradients that run beside a region's cores, band by band. */
typedef struct ftso_gradients {
    ftso_gradient *items;
    size_t count;
} ftso_gradients;

ftso_gradients ftso_gradients_of(ftso_emitter *e);
/* Channels of the tiles that gradients of `dy` need, for the choice of bands. */
int64_t ftso_gradients_tile_channels(const ftso_gradients *gradients);
/* Those of `dy` work on bands of so many rows of it at the most, and usually; their tiles are placed behind *scratch floats. */
void ftso_gradients_place(const ftso_emitter *e, const ftso_gradients *gradients, ftso_value dy,
                          int64_t rows, int64_t usual_rows, int64_t *scratch);
/* Clears the slots of this item, which lie behind the epilogue's. */
void ftso_gradients_begin(ftso_emitter *e, const ftso_gradients *gradients,
                          const ftso_epilogue *epilogue, int64_t planned_batch);
/* The work of each that can ask for lines ahead; 0 for gradients of another dy. */
void ftso_gradients_work(const ftso_emitter *e, const ftso_gradients *gradients, ftso_value dy,
                         int64_t *out_work);
/* From here on each asks for its share. */
void ftso_gradients_ask(const ftso_gradients *gradients, const ftso_ahead *shares);
/* Adds what rows [row, row + rows) of image n give, for all gradients of `dy`, which lies at `at`; rows NULL: as placed. */
void ftso_gradients_run(ftso_emitter *e, const ftso_gradients *gradients, ftso_value dy,
                        LLVMValueRef image, LLVMValueRef row, LLVMValueRef rows, LLVMValueRef at,
                        int64_t dy_row);
/* ftso_emit_frame_finish for a region that may have gradients. */
void ftso_gradients_finish(ftso_emitter *e, const ftso_gradients *gradients,
                           const ftso_epilogue *epilogue, const char *symbol,
                           int64_t images_per_item, int64_t planned_batch,
                           ftso_launch_shape *out_shape);

#endif
