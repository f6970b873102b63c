/*
 * search: from a space to found cells.
 *
 * In: a Search record, images, a device. Out: cells per seed with betas and losses, and the report on them.
 * Must hold: a method is one file and one row; a device is reached only through ftso_device of runtime/ (a test hands in a fake);
 * what an edge is worth, which ties break how, follows docs/search.md. Start reading at ftso_search_run.
 */
#ifndef FTSO_SEARCH_H
#define FTSO_SEARCH_H

#include "base/base.h"
#include "ir/ir.h"
#include "runtime/parameters.h"
#include "runtime/runtime.h"

/* One seed's outcome. `beta` is the content of `arch` as it is trained (not softmaxed), in the order of the network's arch slices. */
typedef struct ftso_found {
    uint64_t seed;
    ftso_genotype genotype;
    double *beta, *beta_start;
    int64_t beta_count;
    double
        val_loss; /* NAN where it was not measured: one seed, selected first; a method that does not train */
    double arch_loss, train_loss; /* of the last iteration; NAN where there was none */
    int64_t iterations;
    double seconds;
} ftso_found;

typedef struct ftso_search_options {
    ftso_progress_mode progress;
    FILE *progress_out;       /* NULL: no progress */
    ftso_log *log;            /* or NULL */
    const volatile int *stop; /* becomes nonzero on SIGINT; or NULL */
    ftso_diag *diag; /* where a super-net that cannot be built is told; NULL: in the status alone */
} ftso_search_options;

/* A method: how one seed's cells are found. One row each in search/methods.c. */
typedef struct ftso_search_job ftso_search_job; /* search_internal.h */
typedef struct ftso_method {
    const char *name, *doc;
    ftso_status (*open)(ftso_search_job *run); /* once, before the seeds; or NULL */
    /* Fills `out` but seed, genotype and seconds. A stop is FTSO_ERROR_INTERRUPTED, with `out` as far as it came. */
    ftso_status (*run)(ftso_search_job *run, uint64_t seed, ftso_found *out);
    void (*close)(ftso_search_job *run); /* after the seeds, also after a failed `open`; or NULL */
} ftso_method;
const ftso_method *ftso_method_find(const char *name);
const ftso_method *const *ftso_method_rows(size_t *out_count);

typedef struct ftso_search_result {
    ftso_found *found;
    size_t found_count;
    size_t chosen;
} ftso_search_result;

/* What a recipe says of its images, as the runtime's readers want it. */
ftso_images_spec ftso_dataset_spec(const ftso_dataset *dataset);

/*
 * Runs every seed of `search` on `device` with `images` (the training part). Result in `arena`; it holds the seeds that
 * were finished, and on FTSO_ERROR_INTERRUPTED also the one that was under way, as far as it came.
 */
ftso_status FTSO_MUST_USE ftso_search_run(ftso_arena *arena, const ftso_search *search,
                                          const ftso_images *images, const ftso_device *device,
                                          const ftso_search_options *options,
                                          ftso_search_result *out_result);

/*
 * How `search` wants its super-net lowered: its batch, operators, parameters and kind of edge weights. Image size and
 * classes are the data set's.
 */
ftso_lower_options ftso_search_lower_options(const ftso_search *search);
/*
 * Initial content of the flat `weights` state: kernels U(-b, b) with b = 1/sqrt(fan_in), element e of tensor k from
 * (seed, weights, k, e / 4); the rest its fill. `out` has room for weight_total numbers.
 */
void ftso_weights_draw(const ftso_network *network, uint64_t seed, float *out);
/*
 * Whether what `search` finds is as small as its `require` wants: `genotype`, or before anything is searched (NULL) the cell
 * whose every edge has the operator that the search puts there. False after it was told in `diag`.
 */
bool ftso_search_require(ftso_arena *arena, ftso_diag *diag, const ftso_search *search,
                         const ftso_genotype *genotype);

/* The records of ir/ in the words of runtime/ (records.c): a table of tensors (names stay where they are), a schedule. */
const ftso_parameter *ftso_parameters_of(ftso_arena *arena, const ftso_weight *table, size_t count);
ftso_rate ftso_rate_of(const ftso_lr *lr);

/* How much the seeds agree. Texts and arrays live in the arena. */
typedef struct ftso_spread_topology {
    const char *text;    /* sources of each node, ascending: "0,1 0,1 1,2 0,3" */
    size_t count, first; /* how many seeds found it; the number of the first that did */
} ftso_spread_topology;
typedef struct ftso_spread_cell {
    const ftso_cell_decl *decl;
    ftso_spread_topology *topologies; /* the most frequent first */
    size_t topology_count;
    int *edge_node, *edge_from; /* state ids; every edge of the cell */
    size_t *edge_kept;          /* how many seeds kept it */
    size_t edge_count;
} ftso_spread_cell;
typedef struct ftso_spread {
    size_t seed_count;
    ftso_spread_cell *cells;
    size_t cell_count;
    size_t val_loss_count;             /* seeds whose val_loss was measured */
    double val_loss_mean, val_loss_sd; /* sd over n - 1; NAN where there are too few */
} ftso_spread;
ftso_spread ftso_spread_of(ftso_arena *arena, const ftso_search_result *result);
/* What the terminal shows of a result: the readings that were run, the spread over seeds, the choice. */
void ftso_search_report(const ftso_search *search, const ftso_search_result *result,
                        ftso_text *out);

/*
 * Top `keep` of a node's edges by (descending weight, ascending source); writes source positions, best first, and returns
 * how many. keep 0: all, in the order of sources. A weight that is not a number ranks last.
 */
int ftso_topology_select(const double *beta, int edge_count, int keep, int *out_edges);

/*
 * Genotype forms. JSON is `{"format":"ftso-genotype","version":1,"space":NAME,"cells":{CELL:{"edges":[{"node":2,"from":0,
 * "op":NAME,"beta":0.31}, ...],"concat":[2,3,4,5]}}}`, beta where there was one. DARTS text is one line; pairs stand in the order
 * of nodes. The NAS-Bench-201 string exists for one cell with one input. The text forms are parsed by frontend/ (a grammar;
 * nothing is evaluated), JSON here: operators are looked up among `unit`'s, cells among `space`'s; NULL when there were errors.
 */
void ftso_genotype_print_json(const ftso_genotype *genotype, const ftso_space *space,
                              ftso_text *out);
void ftso_genotype_print_darts(const ftso_genotype *genotype, ftso_text *out);
/* A hash over that text, in 16 hexadecimal digits: whose weights a file holds. */
const char *ftso_genotype_hash(ftso_arena *arena, const ftso_genotype *genotype);
ftso_status FTSO_MUST_USE ftso_genotype_print_nb201(const ftso_genotype *genotype, ftso_text *out);
ftso_genotype *ftso_genotype_parse_json(ftso_arena *arena, ftso_diag *diag, uint32_t file,
                                        const ftso_space *space, const ftso_unit *unit);
/* The genotype that keeps every node's first edges, all with `op`: one that `space` admits, without a search. */
ftso_genotype *ftso_genotype_uniform(ftso_arena *arena, const ftso_space *space,
                                     const ftso_operator *op);
/* A drawing of one cell for a terminal, and as SVG. */
void ftso_cell_print_ascii(const ftso_cell *cell, ftso_text *out);
void ftso_cell_print_svg(const ftso_cell *cell, const char *title, ftso_text *out);

#endif
