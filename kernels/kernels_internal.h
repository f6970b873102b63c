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
    int64_t stride;   /* of the operand's pixels */
    int64_t out_step; /* phases in each direction */
    ftso_phase phases[FTSO_MAX_PHASES];
    int phase_count;
} ftso_taps;

/* Window attributes by name; `transposed`: the operand is the window's output (conv_dx and the like). */
ftso_taps ftso_taps_of(const ftso_node *node, int64_t kernel_h, int64_t kernel_w,
                       ftso_shape operand, ftso_shape result, bool transposed);

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

/* Evaluates the operand's pixels under band number `band` of image n into the tile at `address`. */
void ftso_emit_band_tile(ftso_emitter *e, const ftso_band *band, ftso_value operand,
                         LLVMValueRef image, LLVMValueRef number, LLVMValueRef address);
/* Floats of a tile of `stored` channels a pixel, whole vectors. */
int64_t ftso_band_tile_floats(const ftso_emitter *e, const ftso_band *band, int64_t stored);

/*
 * A depthwise core at work on a band: alone in its region, or leading a contraction. `band` is the region's choice; the
 * addresses are of the function being emitted.
 */
typedef struct ftso_depthwise {
    ftso_value value, operand, weight;
    ftso_taps taps;
    ftso_band band;
    int64_t channels, stored;
    LLVMValueRef packed, tile, result;
} ftso_depthwise;

ftso_depthwise ftso_depthwise_of(const ftso_emitter *e, ftso_value value);
/* Floats of the packed weights, and the code that packs them. */
int64_t ftso_depthwise_packed_floats(const ftso_depthwise *d);
void ftso_depthwise_pack(ftso_emitter *e, const ftso_depthwise *d);
/* From the tile to the band's results. */
void ftso_depthwise_run(ftso_emitter *e, const ftso_depthwise *d);

#endif
