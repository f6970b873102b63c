/*
 * lower_internal: what the files of ir/lower share.
 *
 * In: a space, options. Out: a graph under construction with the table of its weights.
 * Must hold: what a user's file can cause ends in ftso_builder_fail, never in an assertion.
 * Start reading at ftso_builder, then expand.c (expressions), stack.c (cells), primitives.c (the language's words).
 */
#ifndef FTSO_IR_LOWER_INTERNAL_H
#define FTSO_IR_LOWER_INTERNAL_H

#include "ir/ir.h"

/* Upper limits of what is lowered; beyond them the network is refused (E0508). */
#define FTSO_LOWER_MAX_NODES ((size_t)1 << 20)
#define FTSO_LOWER_MAX_ARCH ((int64_t)1 << 16)
#define FTSO_LOWER_MAX_ELEMENTS ((int64_t)1 << 40)
enum { FTSO_LOWER_MAX_DEPTH = 512, FTSO_LOWER_MAX_LAYERS = 4096 };

typedef struct ftso_name_value {
    const char *name;
    ftso_number value;
} ftso_name_value;

/* Names in scope and their values; the innermost first. */
typedef struct ftso_scope {
    const struct ftso_scope *parent;
    const ftso_name_value *names;
    size_t count;
} ftso_scope;

/* The mixture of one edge, for candidates(C, s): the operators, and a scalar per operator when there are several. */
typedef struct ftso_mixture {
    const ftso_opset *ops;
    const ftso_value *weights;
} ftso_mixture;

/* The place of what is lowered among PyTorch's modules (modules.c). */
typedef enum ftso_module_form {
    FTSO_MODULE_ROOT,  /* a stem: its chain is the module, composites leave no trace */
    FTSO_MODULE_HEAD,  /* a head: features and classifier */
    FTSO_MODULE_PLACE, /* any other expression */
    FTSO_MODULE_CLASS, /* the body of a composite */
    FTSO_MODULE_WORDS  /* inside a composite with branches */
} ftso_module_form;
typedef struct ftso_module {
    ftso_module_form form;
    const char *path, *suffix;
} ftso_module;

struct ftso_builder {
    ftso_arena *arena;
    ftso_diag *diag;
    ftso_network *network;
    ftso_graph *graph;
    const ftso_space *space;
    const ftso_lower_options *options;
    ftso_mode mode;
    bool in_cell;     /* inside a searched cell: rules "in cells" apply */
    bool failed;      /* told; everything unwinds */
    bool too_large;   /* the last refusal was about a limit above */
    const char *path; /* of what is being lowered; weights take their names from it */
    ftso_module module;
    const char *place; /* for people: "cell 3 (reduce), edge 0 -> 2" */
    ftso_span place_span;
    const ftso_scope *globals;
    const ftso_mixture *mixture;
    int depth;
    /* What batch norms measured, in the order of the running table, for the new content of `running`. */
    ftso_value *measured;
    size_t measured_count, measured_capacity;
};

typedef struct ftso_named_attr {
    const char *name;
    ftso_attr_value value;
} ftso_named_attr;

/* Tells the user, once; the lowering then unwinds. `code` is one of E0501..E0512. */
ftso_diag_entry *ftso_builder_fail(ftso_builder *builder, const char *code, ftso_span span,
                                   const char *fmt, ...) FTSO_PRINTF(4, 5);

/* Appends a node, attributes by name. FTSO_NO_VALUE with the reason in `why` where the shape rule refuses. */
ftso_value ftso_builder_add(ftso_builder *builder, const char *op_name, const ftso_value *inputs,
                            size_t input_count, const ftso_named_attr *attrs, size_t attr_count,
                            ftso_text *why);
ftso_value ftso_builder_unary(ftso_builder *builder, const char *op_name, ftso_value input,
                              ftso_text *why);
ftso_value ftso_builder_binary(ftso_builder *builder, const char *op_name, ftso_value a,
                               ftso_value b, ftso_text *why);
ftso_shape ftso_builder_shape(const ftso_builder *builder, ftso_value value);
/* Elements [offset, offset + count of shape) of a flat state, as a tensor of that shape. */
ftso_value ftso_builder_view(ftso_builder *builder, ftso_value flat, int64_t offset,
                             ftso_shape shape, ftso_text *why);

/* A new trainable tensor named "<path>.<suffix>". */
ftso_value ftso_builder_weight(ftso_builder *builder, const char *suffix, ftso_shape shape,
                               int64_t fan_in, double fill, ftso_text *why);
/* A new running statistic [n] named "<path>.<suffix>": its present content. */
ftso_value ftso_builder_running(ftso_builder *builder, const char *suffix, int64_t n, double fill,
                                ftso_text *why);

/* "<path>.<part>" in the arena; the part alone where the path is empty. */
const char *ftso_builder_join(ftso_builder *builder, const char *part);

/* The places of what is inside of `at`: a composite's body, a link, a branch, a primitive. */
ftso_module ftso_module_composite(ftso_module at);
ftso_module ftso_module_link(ftso_builder *builder, ftso_module at, const ftso_opexpr *chain,
                             size_t link);
ftso_module ftso_module_branch(ftso_builder *builder, ftso_module at, size_t branch);
ftso_module ftso_module_primitive(ftso_builder *builder, ftso_module at, const char *word);

/* Lowers `expr` on `inputs` in `scope`; FTSO_NO_VALUE after a failure was told. */
ftso_value ftso_builder_expand(ftso_builder *builder, const ftso_opexpr *expr,
                               const ftso_scope *scope, const ftso_value *inputs,
                               size_t input_count);
/* The operator at C channels and stride s. */
ftso_value ftso_builder_operator(ftso_builder *builder, const ftso_operator *op, ftso_span span,
                                 ftso_number channels, ftso_number stride, ftso_value input);
/* What candidates(C, s) stands for: the one operator, or the sum of all, each times its share. */
ftso_value ftso_builder_mixture(ftso_builder *builder, const ftso_mixture *mixture, ftso_span span,
                                ftso_number channels, ftso_number stride, ftso_value input);
/* False after E0503 was told. */
bool ftso_builder_eval(ftso_builder *builder, const ftso_arith *arith, const ftso_scope *scope,
                       ftso_number *out);
/* A summand: its value, what makes it ("'skip'", "edge 0 -> 2"), and where that is declared. */
typedef struct ftso_term {
    ftso_value value;
    const char *who;
    ftso_span span;
} ftso_term;
/* `value` times its images' numbers in a new column of the input "drop_path". */
ftso_value ftso_builder_drop(ftso_builder *builder, ftso_value value);
/* What an operator is to make of `input`: C channels, the map divided by the stride. */
ftso_shape ftso_builder_expected(const ftso_builder *builder, ftso_value input, int64_t channels,
                                 int64_t stride);
/* The sum of terms, E0502 where their shapes differ; a term of the `expected` shape is not blamed. */
ftso_value ftso_builder_sum(ftso_builder *builder, const ftso_term *terms, size_t count,
                            ftso_shape expected);

/* Which cell stands where in the stack of the mode being lowered. */
typedef struct ftso_place_in_stack {
    const ftso_cell_decl *cell;
    int64_t channels;
    ftso_span span;
} ftso_place_in_stack;
/* NULL after a failure was told. `channels`, `layers`: 0 takes the stack's. */
ftso_place_in_stack *ftso_builder_stack(ftso_builder *builder, const ftso_stack *stack,
                                        int64_t *out_count);

/* A cell at its place, and what it reads (input_count values, oldest first). */
typedef struct ftso_cell_site {
    const ftso_cell_decl *decl;
    int64_t index, channels;
    ftso_span span;
    const ftso_value *inputs;
} ftso_cell_site;

/* The scalars that a super-net's cells of one kind share. */
typedef struct ftso_edge_weights {
    const ftso_arch_slice *slice; /* NULL until the first cell of the kind */
    const ftso_opset *ops;
    ftso_value *beta;  /* per edge, or NULL: plain sums */
    ftso_value *alpha; /* per edge and operator, or NULL: one operator */
} ftso_edge_weights;

/* The value of a cell: all edges mixed, the genotype's edges, a fixed body. FTSO_NO_VALUE after a failure was told. */
ftso_value ftso_builder_mixed_cell(ftso_builder *builder, const ftso_cell_site *site,
                                   const ftso_edge_weights *weights);
ftso_value ftso_builder_found_cell(ftso_builder *builder, const ftso_cell_site *site,
                                   const ftso_cell *cell);
ftso_value ftso_builder_fixed_cell(ftso_builder *builder, const ftso_cell_site *site);

#endif
