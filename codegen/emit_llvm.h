/*
 * emit_llvm: what the LLVM emitters of kernels/ are written with. The one header that shows llvm-c types.
 *
 * In: one region of a schedule. Out: up to three functions in one module: <symbol>_prepare, _body, _finish.
 * The shape of every body is the same (docs/codegen.md): a tile of the cores' operand is evaluated into this thread's
 * scratch (prologue), the core works on the tile and leaves its result in scratch, then the epilogue reads it pixel by
 * pixel, stores what the region writes and adds up its reductions.
 * Must hold: the order of every floating-point reduction follows from shapes and vector width alone.
 */
#ifndef FTSO_EMIT_LLVM_H
#define FTSO_EMIT_LLVM_H

#include "codegen/codegen.h"

#include <llvm-c/Core.h>

enum { FTSO_LINE_FLOATS = 16 }; /* of a line of memory */

/* Where a function finds the memory of a value: NULL where the region has none for it. */
typedef struct ftso_emitter {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    ftso_target target; /* its vectors are as wide as the region's images want */
    ftso_round layout;  /* what images in memory are rounded up to */
    int pixels;         /* side by side in a vector; 1 but for regions of thin images (width.c) */
    ftso_tuning tuning;
    LLVMTypeRef f32, f64, i32, i64, pointer, vector, vector64; /* vectors of target.vector_floats */
    const ftso_schedule *schedule;
    const ftso_region *region;
    const ftso_value *
        cores; /* the region's cores, leads and pools in this order: what the epilogue finds in scratch */
    size_t core_count;
    ftso_arena *arena;
    /* of the function being emitted */
    LLVMValueRef function, shared, scratch, batch, item;
    LLVMValueRef *address;        /* by value of the graph */
    uint8_t *uniform;             /* by value: what ftso_emit_is_uniform found out, 0 before */
    const struct ftso_kept *kept; /* inside an epilogue: what else it finds in scratch */
    size_t kept_count;
    struct ftso_rotation *rotations; /* of shuffles, as they were asked for */
    int64_t
        ahead_floats; /* what lies so far behind an image's vector is asked for when it is loaded; 0: nothing */
    bool
        past_caches; /* whole lines of images are written to memory as they are made, and not fetched before */
    bool takes_lines; /* the epilogue stores the vectors of a line one right after the other */
    LLVMValueRef reads_scope; /* alias scope of what the region reads; NULL: stores may change it */
} ftso_emitter;

/* ---------------------------------------------------------------- functions and loops */

/* Opens void NAME(const ftso_kernel_args *): arguments and buffer addresses are loaded. */
void ftso_emit_function(ftso_emitter *e, const char *symbol, const char *part);
void ftso_emit_return(ftso_emitter *e);

enum { FTSO_MAX_CARRIED = 96 };

/* A counted loop with values carried from one round to the next. */
typedef struct ftso_loop {
    LLVMValueRef index, limit, step;
    LLVMBasicBlockRef before, body,
        skip; /* skip: where an empty loop goes on, NULL where it runs at least once */
    LLVMValueRef carried
        [FTSO_MAX_CARRIED]; /* inside: this round's; after ftso_emit_loop_end: the last ones */
    LLVMValueRef initial[FTSO_MAX_CARRIED];
    int carried_count;
} ftso_loop;

/* for (index = first; index < limit; index += step). With `at_least_once` the first test is left out. */
void ftso_emit_loop(ftso_emitter *e, ftso_loop *loop, LLVMValueRef first, LLVMValueRef limit,
                    int64_t step, bool at_least_once, const LLVMValueRef *initial, int count);
/* Closes the loop; `next` are the values carried on. */
void ftso_emit_loop_end(ftso_emitter *e, ftso_loop *loop, const LLVMValueRef *next);
/* if (condition) { … }: `end` closes. */
typedef struct ftso_if {
    LLVMBasicBlockRef after;
} ftso_if;
void ftso_emit_if(ftso_emitter *e, ftso_if *branch, LLVMValueRef condition);
void ftso_emit_if_end(ftso_emitter *e, ftso_if *branch);

/* ---------------------------------------------------------------- numbers and memory */

LLVMValueRef ftso_emit_i64(ftso_emitter *e, int64_t value);
LLVMValueRef ftso_emit_f32(ftso_emitter *e, double value);
LLVMValueRef ftso_emit_splat(ftso_emitter *e, LLVMValueRef scalar); /* float to vector */
LLVMValueRef ftso_emit_splat_of(ftso_emitter *e, double value);
LLVMValueRef ftso_emit_splat_i32(const ftso_emitter *e, unsigned value);
LLVMValueRef ftso_emit_add(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b); /* i64, folds zeros */
LLVMValueRef ftso_emit_mul(ftso_emitter *e, LLVMValueRef a,
                           int64_t b); /* i64, folds zero and one */
LLVMValueRef ftso_emit_min_i64(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ftso_emit_max_i64(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b);
/* a * b + c, one rounding where the target has fused multiply-add. Scalars or vectors. */
LLVMValueRef ftso_emit_fma(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c);
/* llvm.NAME on one or two equal operands: "sqrt", "maxnum", "minnum", "fabs", "floor". */
LLVMValueRef ftso_emit_intrinsic(ftso_emitter *e, const char *name, LLVMValueRef a, LLVMValueRef b);
/* base + elements * sizeof(float). */
LLVMValueRef ftso_emit_at(ftso_emitter *e, LLVMValueRef base, LLVMValueRef elements);
LLVMValueRef ftso_emit_load(ftso_emitter *e, LLVMValueRef address); /* one float */
LLVMValueRef ftso_emit_load_vector(ftso_emitter *e,
                                   LLVMValueRef address); /* no alignment is promised */
/* Asks for the line at the address, which need not be there, to be brought to the second cache. */
void ftso_emit_prefetch(ftso_emitter *e, LLVMValueRef address);
void ftso_emit_store(ftso_emitter *e, LLVMValueRef value, LLVMValueRef address);
/* A vector of what begins with float `first` of `a` and goes on in `b`. By one instruction where both were loaded to be spliced:
 * LLVM has it for integers, and for floats a permutation that takes twice as long. */
LLVMValueRef ftso_emit_spliced(ftso_emitter *e, LLVMValueRef a, LLVMValueRef b, int64_t first);
LLVMValueRef ftso_emit_load_to_splice(ftso_emitter *e, LLVMValueRef address);
/* Lane l is lane `lane` of the pixel that l belongs to. */
LLVMValueRef ftso_emit_spread_lane(ftso_emitter *e, LLVMValueRef vector, int64_t lane);
/* The vector with the first pixel of `from` as its pixel number p. */
LLVMValueRef ftso_emit_with_pixel(ftso_emitter *e, LLVMValueRef into, LLVMValueRef from, int p);
/* One pixel's floats, repeated for each pixel of a vector; itself where a vector is one pixel. */
LLVMValueRef ftso_emit_for_pixels(ftso_emitter *e, LLVMValueRef unit);
/* The vector's pixels added up, in the first pixel's lanes; itself where a vector is one pixel. Floats or doubles. */
LLVMValueRef ftso_emit_fold(ftso_emitter *e, LLVMValueRef vector);
/* `floats` floats from `to` on hold `value`; no more, and whole pixels. */
void ftso_emit_fill(ftso_emitter *e, LLVMValueRef to, int64_t floats, double value);
/* The same from `from`, first to last; a vector more may be loaded there. */
void ftso_emit_copy(ftso_emitter *e, LLVMValueRef to, LLVMValueRef from, int64_t floats);
/* The first `count` lanes of a vector, 1 … vector_floats. */
void ftso_emit_store_lanes(ftso_emitter *e, LLVMValueRef vector, LLVMValueRef address,
                           int64_t count);

/* From here on no store of this module changes what the region reads. Call first, in regions that are not in place. */
void ftso_emit_reads_are_constant(ftso_emitter *e);
/* Marks a load as one from the region's reads; returns it. */
LLVMValueRef ftso_emit_from_reads(ftso_emitter *e, LLVMValueRef value);

/*
 * Images in memory, the one place where their elements matter (ftso_schedule.elements). `elements` counts from the start of
 * the value. Loads and stores are of a whole vector of floats; what is stored has been rounded before.
 */
LLVMValueRef ftso_emit_load_image(ftso_emitter *e, ftso_value value, LLVMValueRef elements);
void ftso_emit_store_image(ftso_emitter *e, ftso_value value, LLVMValueRef elements,
                           LLVMValueRef vector);
/* A core's result that is an image of floats, at its place. */
void ftso_emit_store_result(ftso_emitter *e, ftso_value value, LLVMValueRef vector,
                            LLVMValueRef at);
/*
 * Whether the image is stored past the caches, whole lines at a time, which nobody fetches first: each of its vectors is one, or
 * the vectors of each follow each other.
 */
bool ftso_emit_goes_past(const ftso_emitter *e, ftso_value value);
/* The vector as memory would hold it, for every user of a value that is stored in fewer bits; itself for any other value. */
LLVMValueRef ftso_emit_as_stored(ftso_emitter *e, ftso_value value, LLVMValueRef vector);

/* Channels that a pixel of the image takes up in memory. */
int64_t ftso_emit_stored(const ftso_emitter *e, ftso_value value);
/* Floats that a pixel has in a vector: all of it, or its part. */
int64_t ftso_emit_unit(const ftso_emitter *e);
/* Channels of a pixel in scratch: rounded up to whole vectors, or to its part of one. */
int64_t ftso_emit_round(const ftso_emitter *e, int64_t channels);
/* Elementwise arithmetic of the operator's name ("add", "relu", …) on scalars or vectors; NULL where it is none. */
LLVMValueRef ftso_emit_arithmetic(ftso_emitter *e, const ftso_node *node,
                                  const LLVMValueRef *operands, uint32_t count);

/* ---------------------------------------------------------------- pointwise expressions */

/* A value of the block of pixels at hand that lies in scratch besides the cores' results. */
typedef struct ftso_kept {
    ftso_value value;
    int64_t offset; /* floats */
} ftso_kept;

/*
 * A pixel at which pointwise nodes are evaluated: image n, pixel number h * W + w of the map. `cores` are read from
 * scratch: core_address[i] points to the channels of cores[i] at this pixel, or is NULL for a summand that an earlier core's
 * result contains. Of e->kept the first kept_count are there, where this pixel is number in_block. `channel` is a run-time channel offset (a multiple of the vector width) added to every constant one, or
 * NULL; only uniform expressions allow one. With `core_vectors` the cores are in registers instead: vector k holds channels
 * [channel + k * vector_floats, …).
 */
typedef struct ftso_pixel {
    LLVMValueRef image, number;
    const ftso_value *cores;
    const LLVMValueRef *core_address, *core_vectors;
    size_t core_count, kept_count;
    LLVMValueRef in_block;
    LLVMValueRef channel;
    struct ftso_pixel_memo *memo; /* begin with NULL */
    size_t memo_count, memo_capacity;
} ftso_pixel;

/* Channels [first, first + vector_floats) of `value` at the pixel, or [first, first + unit) of several. Lanes past the last channel
 * hold anything. */
LLVMValueRef ftso_emit_channels(ftso_emitter *e, ftso_pixel *pixel, ftso_value value,
                                int64_t first);
/* Where channel `first` of kept value number `kept` lies. */
LLVMValueRef ftso_emit_kept_at(ftso_emitter *e, const ftso_pixel *pixel, size_t kept,
                               int64_t first);
/* Whether a node takes its channels from elsewhere and changes no number. */
bool ftso_emit_moves_channels(const ftso_node *node);
/* Whether nothing is evaluated for it: in memory, a core, kept, or no pointwise node. */
bool ftso_emit_is_at_hand(const ftso_emitter *e, ftso_value value);
/* The same of a shuffle by a network of exchanges; NULL where channels are no power of two, or too few. */
LLVMValueRef ftso_emit_rotated(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                               int64_t first);
/* What was remembered of a node at this pixel, at a stage of its own counting; NULL where nothing was. */
LLVMValueRef ftso_pixel_recall(const ftso_pixel *pixel, const ftso_node *node, int stage,
                               int64_t first);
LLVMValueRef ftso_pixel_remember(ftso_emitter *e, ftso_pixel *pixel, const ftso_node *node,
                                 int stage, int64_t first, LLVMValueRef result);
/* True when no node below `value` (down to what is in memory, a core or kept) moves channels but by whole vectors. */
bool ftso_emit_is_uniform(const ftso_emitter *e, ftso_value value);
bool ftso_emit_is_core(const ftso_emitter *e, ftso_value value); /* or a lead */

/* ---------------------------------------------------------------- tiles */

/*
 * Evaluates `value` for image n into scratch: rows [row, row + rows) and columns [column, column + columns) of its map, every
 * `step`-th pixel, as [rows][columns][stored channels]; pixels outside the map hold `outside`.
 */
typedef struct ftso_tile {
    ftso_value value;
    LLVMValueRef image;
    LLVMValueRef row; /* of the map; may be negative */
    int64_t rows, columns;
    LLVMValueRef row_count; /* of these rows at run time, perhaps none; NULL: all */
    int64_t column;         /* may be negative */
    int64_t step;
    double outside;
    bool inside_only;     /* rows outside the map may hold anything */
    LLVMValueRef address; /* in scratch */
} ftso_tile;
void ftso_emit_tile(ftso_emitter *e, const ftso_tile *tile);

/* ---------------------------------------------------------------- memory asked for ahead */

/*
 * Images that the next band reads, where it will: asked for line by line while this band is computed, because memory answers
 * later than a prologue can wait. Few lines can be on their way at a time, so that asking has to be spread over the band.
 */
enum { FTSO_MAX_AHEAD = 24 };
typedef struct ftso_ahead {
    LLVMValueRef at[FTSO_MAX_AHEAD];
    int64_t lines[FTSO_MAX_AHEAD]; /* of the band, from there on */
    int64_t apart[FTSO_MAX_AHEAD]; /* floats from a line to the next; 0: they follow each other */
    int count;
} ftso_ahead;

/* The band whose lines are asked for: `pixels` pixels of the map of `like` that begin with pixel `first` of image n. */
typedef struct ftso_ahead_band {
    ftso_value like;
    LLVMValueRef image, first;
    int64_t pixels;
    /* a tile of `tiled` reaches so many pixels beyond a band: there begins what the next one reads first */
    ftso_value tiled;
    int64_t reach;
    bool writes; /* images are stored in parts: a line has to be there before one of them is */
} ftso_ahead_band;
/* The images that the region reads, and those that it stores, where `writes` says so. Of an image that it reads few channels of,
 * each line of a pixel that has some stands by itself. */
ftso_ahead ftso_ahead_of(ftso_emitter *e, const ftso_ahead_band *band);
/* Loads every line now, image by image: a processor that sees streams fetches their next lines faster than those it is asked for. */
void ftso_touch(ftso_emitter *e, const ftso_ahead *images);
/* Deals the lines out to `count` loops that run one after another, by the work that each does: its multiply-adds of vectors,
 * or what takes as long. */
void ftso_ahead_deal(ftso_emitter *e, const ftso_ahead *ahead, const int64_t *work, size_t count,
                     ftso_ahead *out);
/*
 * A turn is so many steps, each of which asks for a line of some images. The pace at which all lines are asked for within so many
 * turns: `most` images at a time at the most. Where there are more steps than lines, several in a row ask for the same one, so
 * that lines are on their way evenly. NULL asks for nothing.
 */
enum { FTSO_MAX_ASKED = 16 };
typedef struct ftso_pace {
    int images;     /* at a time; 0: nothing */
    int64_t floats; /* of an image, from step to step: a line or a part of one */
} ftso_pace;
ftso_pace ftso_ahead_pace(const ftso_ahead *ahead, int64_t turns, int64_t steps, int most);
/* What one turn asks for: the next lines of some images. */
typedef struct ftso_asked {
    LLVMValueRef at[FTSO_MAX_ASKED];
    /* where lines lie apart: floats that the image's lines before this step would take up side by side, and those from one to
     * the next */
    LLVMValueRef done[FTSO_MAX_ASKED], apart[FTSO_MAX_ASKED];
    bool scattered;
    ftso_pace pace;
} ftso_asked;
/* Of turn number `turn`; of `idle`, which is there, where no image is left. */
ftso_asked ftso_ahead_turn(ftso_emitter *e, const ftso_ahead *ahead, ftso_pace pace, int64_t steps,
                           LLVMValueRef turn, LLVMValueRef idle);
/* What of it moves on from step to step, for loops that carry it. */
LLVMValueRef *ftso_asked_cursor(ftso_asked *asked, int image);
/* The same, so many steps later. */
ftso_asked ftso_asked_after(ftso_emitter *e, const ftso_asked *asked, LLVMValueRef steps);
/* Asks for the lines of the turn's step number `step`. */
void ftso_ask(ftso_emitter *e, const ftso_asked *asked, LLVMValueRef step);

/* ---------------------------------------------------------------- epilogues */

enum { FTSO_SUM_PIXELS = 16 }; /* vectors of pixels whose sum is float; sums of those are double */

/* What a region's items leave in shared memory, and how finish makes results of it. */
typedef struct ftso_epilogue {
    ftso_value *reductions; /* channel_sum, channel_dot, dot nodes of the region */
    size_t reduction_count;
    int64_t slot_floats;   /* of one item: two floats' room per lane, for doubles */
    int64_t shared_offset; /* floats before the first slot */
    bool whole;            /* items are whole images: sums or rows go on from band to band */
    bool cores_stored;     /* images that are cores' results are there already: at core_address */
    int64_t
        result_floats; /* of a pixel, where the cores' results lie beside each other; 0: each has its own channels */
    /* evaluated into scratch before any of a block of pixels is stored or added up, each behind those it needs */
    ftso_kept *kept;
    size_t kept_count;
    int64_t block_pixels;    /* kept at a time */
    int64_t parts_offset;    /* in scratch: float sums that go on from block to block */
    const ftso_ahead *ahead; /* asked for on the way; NULL: nothing */
} ftso_epilogue;

ftso_epilogue ftso_emit_epilogue_plan(ftso_emitter *e, int64_t shared_offset);
/* Chooses what is kept, behind `scratch` floats of the kernel's own; returns floats of both. */
int64_t ftso_emit_epilogue_place(ftso_emitter *e, ftso_epilogue *epilogue, int64_t scratch);
/* The choice itself, inside ftso_emit_epilogue_place. */
void ftso_emit_choose_kept(ftso_emitter *e, ftso_epilogue *epilogue, int64_t *scratch);
/* The work of a run over `pixels` pixels that can ask for lines ahead; 0: it has no such loop. */
int64_t ftso_emit_epilogue_work(ftso_emitter *e, const ftso_epilogue *epilogue, int64_t pixels);
/* Clears this item's slot. */
void ftso_emit_epilogue_begin(ftso_emitter *e, const ftso_epilogue *epilogue);
/*
 * For `pixels` pixels from number `first` on of image n: reads the results of e->cores[i] at core_address[i] + k * stored channels
 * (k counts the pixels; epilogue->result_floats of the region's cores, where they are set), stores the region's images, adds to
 * the slot.
 */
void ftso_emit_epilogue_run(ftso_emitter *e, const ftso_epilogue *epilogue, LLVMValueRef image,
                            LLVMValueRef first, LLVMValueRef pixels,
                            const LLVMValueRef *core_address);
/*
 * Whether the region's images may be stored straight from the register block that made them: nothing is added up, and
 * each image follows, channel by channel, from one core as wide as itself. The kernel then needs no scratch for results.
 */
bool ftso_emit_epilogue_is_direct(ftso_emitter *e, const ftso_epilogue *epilogue);
/* Whether it stores the one core's result as it is and where it would lie in scratch: the kernel may put it there itself. */
bool ftso_emit_epilogue_is_core(const ftso_emitter *e, const ftso_epilogue *epilogue);
/* Whether the region writes this core's result as an image that looks the same as in scratch. */
bool ftso_emit_core_is_image(const ftso_emitter *e, ftso_value core);
/*
 * Stores what follows from cores[core] at pixel `number` of image n: vectors[k], k < count, are its channels
 * [channel + k * vector_floats, …).
 */
void ftso_emit_epilogue_direct(ftso_emitter *e, size_t core, LLVMValueRef image,
                               LLVMValueRef number, LLVMValueRef channel,
                               const LLVMValueRef *vectors, int count);
/* Inside a finish function: adds the slots up in item order and writes the reductions' results. */
void ftso_emit_epilogue_finish(ftso_emitter *e, const ftso_epilogue *epilogue,
                               int64_t images_per_item);

/* What every region of images ends with: the finish function where there are reductions, and the launch's items and
 * shared memory (slots behind epilogue->shared_offset floats of the kernel's own). */
void ftso_emit_frame_finish(ftso_emitter *e, const ftso_epilogue *epilogue, const char *symbol,
                            int64_t images_per_item, int64_t planned_batch,
                            ftso_launch_shape *out_shape);

/* ---------------------------------------------------------------- items */

/* Images per body item for a planned batch N: ceil(N / 32), a function of the shape alone. */
int64_t ftso_emit_images_per_item(const ftso_emitter *e, int64_t planned_batch);
/* How many items a run with the actual batch has. */
LLVMValueRef ftso_emit_item_count(ftso_emitter *e, int64_t images_per_item);
/* Loop over this item's images, at most the actual batch; index is n. */
void ftso_emit_images(ftso_emitter *e, ftso_loop *loop, int64_t images_per_item);

/*
 * A body's frame: for this item's images, for the item's bands of each. A batch too small to occupy a machine is cut
 * further: an item is then one of `parts` equal runs of an image's bands. Where epilogue->whole says so an image is one part.
 */
typedef struct ftso_frame {
    int64_t images_per_item, parts, bands; /* bands of an image */
    ftso_loop images, rows;                /* indices: n, number of the band */
    LLVMValueRef first_band;               /* of the item */
} ftso_frame;
/* How many bands an image of that many rows should have at least, to be cut into parts: 1 for batches that need none. */
int64_t ftso_emit_least_bands(const ftso_emitter *e, const ftso_epilogue *epilogue,
                              int64_t planned_batch, int64_t rows);
void ftso_emit_frame(ftso_emitter *e, ftso_frame *frame, const ftso_epilogue *epilogue,
                     int64_t planned_batch, int64_t bands);
void ftso_emit_frame_end(ftso_emitter *e, ftso_frame *frame);

#endif
