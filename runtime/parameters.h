/*
 * parameters: the tensors of a flat state ("weights", "running") by name, as plain data that needs no graph.
 *
 * In: a table. Out: initial numbers, views for files. Must hold: a table lists a network's tensors in one order for ever,
 * since both the random numbers and the files hang on it.
 */
#ifndef FTSO_RUNTIME_PARAMETERS_H
#define FTSO_RUNTIME_PARAMETERS_H

#include "runtime/runtime.h"
#include "runtime/safetensors.h"

typedef struct ftso_parameter {
    const char *name;   /* stable: "cells.3.edge.2-0.1.weight" */
    const char *module; /* in code written for DARTS: "cells.3._ops.1.op.1.weight" */
    bool is_matrix;     /* there without its last two dimensions, which are 1 */
    int rank;
    int64_t dim[4];
    int64_t offset; /* elements into the flat state */
    int64_t fan_in; /* 0: not a kernel */
    double fill;    /* initial value where fan_in is 0 */
} ftso_parameter;

int64_t ftso_parameter_count(const ftso_parameter *parameter);
/* Length of the flat state. */
int64_t ftso_parameters_total(const ftso_parameter *table, size_t count);
/* Initial values of all tensors into the flat state `out`. */
void ftso_parameters_draw(const ftso_parameter *table, size_t count, uint64_t seed, float *out);

/*
 * FTSO_SKETCHES sums of each tensor's numbers, every number with a sign by chance, into out [count][FTSO_SKETCHES]. The mean
 * square of a tensor's sums is about the sum of its numbers' squares: so the distance of two sketches is about that of what they
 * were made of, and no number goes unseen.
 */
enum { FTSO_SKETCHES = 4 };
void ftso_parameters_sketch(const ftso_parameter *table, size_t count, const double *numbers,
                            double *out);

/* The two sets of names that a file may have. */
typedef enum ftso_naming { FTSO_NAMES_OWN, FTSO_NAMES_MODULES } ftso_naming;

/* A flat state and what is in it. */
typedef struct ftso_parameter_state {
    const ftso_parameter *table;
    size_t count;
    float *numbers;
} ftso_parameter_state;

/* Metadata key of a hash over the genotype, in 16 hexadecimal digits. */
#define FTSO_GENOTYPE_HASH "genotype_hash"
/* Keys of the test transform, as ftso_transform_parse reads it, and of the classes' names, one a line. */
#define FTSO_WEIGHTS_TRANSFORM "transform"
#define FTSO_WEIGHTS_CLASSES "class_names"

/* Of an auxiliary head, by either name: nothing that is judged or shipped reads it. */
bool ftso_parameter_is_auxiliary(const char *name);
/*
 * Reads a file into flat states, under whichever names it uses: every tensor of every table must be there with its shape and a
 * floating type, and nothing else; where file and caller both know a genotype's hash, it must be the same. Otherwise code
 * 5: the message says which, and names the first five differences. What only training uses may be there or not: the tensors
 * of an auxiliary head (left as they are then), and counters of batches, which PyTorch keeps.
 */
ftso_status FTSO_MUST_USE ftso_parameters_read(const char *path, const ftso_parameter_state *states,
                                               size_t state_count, const char *genotype_hash);
/* The same of a file that was read before; `path` is for messages. Takes memory only to say what is wrong. */
ftso_status FTSO_MUST_USE ftso_parameters_take(const char *path, const ftso_safetensors *file,
                                               const ftso_parameter_state *states,
                                               size_t state_count, const char *genotype_hash);
/* What a weights file says of the images that it is for. */
typedef struct ftso_weights_words {
    const char *transform;    /* in the file's memory; NULL where it does not say */
    const char **class_names; /* one block, the caller's to free (ftso_mem_free); or NULL */
} ftso_weights_words;
/* Code 5 where there are other than `classes` names, or the transform cannot be read; nothing is left to free then. */
ftso_status FTSO_MUST_USE ftso_weights_words_read(const char *path, const ftso_safetensors *file,
                                                  int64_t classes, ftso_weights_words *out);
/* Writes flat states with all their tensors, as safetensors.h says. */
ftso_status FTSO_MUST_USE ftso_parameters_write(const char *path,
                                                const ftso_parameter_state *states,
                                                size_t state_count, ftso_naming naming,
                                                const ftso_metadata *metadata,
                                                size_t metadata_count);

#endif
