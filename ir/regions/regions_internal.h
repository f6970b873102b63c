/*
 * What the parts of the region former share: the record of one forming, and the queries that verifier and plan ask too.
 * In: a live graph with roles. Out: drafts (regions of images, in order), then the finished schedule.
 * The steps are form.c (who computes what), cut.c (what is stored), assemble.c (order, nodes, reads, writes).
 */
#ifndef FTSO_REGIONS_INTERNAL_H
#define FTSO_REGIONS_INTERNAL_H

#include "ir/ir.h"

enum { FTSO_NOWHERE = -1 };

/* Images read to recompute a value; a concat of stored parts counts as one. Sorted. */
typedef struct ftso_sources {
    ftso_value *items;
    size_t count;
    int weight;
} ftso_sources;

/* A region that makes images or reads them: everything but algebra. */
typedef struct ftso_draft {
    const char *kernel_class;
    int64_t height, width; /* of the images made here; 0 where none are */
    bool absorbs;          /* pointwise nodes and reductions may join */
    bool adds_up;          /* its cores are summands of one sum */
    ftso_value *cores;
    size_t core_count, core_capacity;
    ftso_value *leads;
    size_t lead_count, lead_capacity;
    ftso_value *gradients; /* weight gradients beside the core */
    size_t gradient_count, gradient_capacity;
    ftso_value *pools; /* gradients of pools beside the cores */
    size_t pool_count, pool_capacity;
    ftso_value *stored; /* pointwise values assigned here because they must be in memory */
    size_t stored_count, stored_capacity;
    ftso_value *touched; /* images that these read or are */
    size_t touched_count, touched_capacity;
    ftso_value *reductions;
    size_t reduction_count, reduction_capacity;
    ftso_value *writes; /* chosen by cut.c: images only */
    size_t write_count, write_capacity;
} ftso_draft;

typedef struct ftso_former {
    ftso_arena *arena; /* scratch of the forming */
    const ftso_graph *graph;
    ftso_fusion fusion;
    size_t count; /* values of the graph */
    ftso_role *roles;
    bool *live;
    bool *placed; /* form.c is done with it */
    bool *forced; /* must be in memory: outputs; everything pointwise when prologues are off */
    int *
        home; /* draft that computes it and it alone (cores, reductions, stored values), or FTSO_NOWHERE */
    int *
        joins; /* draft in which a virtual pointwise value could be computed first, or FTSO_NOWHERE */
    int *image_time;  /* last draft that makes an image it is computed from */
    int *vector_time; /* last draft that must have run before the vectors it uses exist */
    bool *written;    /* images: after the cut, in memory */
    ftso_value *sum;  /* cores that wait for it: the sum that is their only user */
    ftso_sources *sources;
    size_t *user_start; /* users of v: users[user_start[v] .. user_start[v+1]) */
    ftso_value *users;
    ftso_draft *drafts;
    size_t draft_count, draft_capacity;
} ftso_former;

/* True for values with a batch: images, and [N] masks. */
bool ftso_former_is_image(const ftso_former *former, ftso_value value);
/* cut.c: fills `written` and each draft's `writes`. */
void ftso_former_cut(ftso_former *former);
/* assemble.c: drafts and algebra to a schedule in `arena`. */
ftso_schedule *ftso_former_assemble(ftso_former *former, ftso_arena *arena);

/* Where a view or a pack's operand lies: the value that owns the memory, and the element it starts at. */
typedef struct ftso_location {
    ftso_value base;
    int64_t element;
} ftso_location;
/* What a region stores the value as, see ftso_schedule.elements. */
ftso_element ftso_stored_element(const ftso_graph *graph, ftso_value value);
/* Whether each pixel of a `conv`, or of its transpose, follows from the same pixel of its operand. */
bool ftso_is_pixel_by_pixel(const ftso_graph *graph, const ftso_node *conv);
/* Whether a node is the gradient of a pool whose windows lie side by side and cover the map. */
bool ftso_tiles_map(const ftso_graph *graph, const ftso_node *node);
/* Whether a node is a weight gradient; its operands are the gradient image and what the window saw. */
bool ftso_is_weight_gradient(const ftso_node *node);
/* Values that the outputs need; `arena` owns the result. */
bool *ftso_live(ftso_arena *arena, const ftso_graph *graph);
/* For every live value; values of their own are their own base. `arena` owns the result. */
ftso_location *ftso_locations(ftso_arena *arena, const ftso_graph *graph);

#endif
