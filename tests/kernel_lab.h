/*
 * tests/kernel_lab: graphs through machine code of every vector width, against the reference interpreter.
 * In: a graph without batch norm, with outputs. Out: a failed test where a number is further from the reference than the
 * operators on its way allow, or where threads or block sizes change a byte.
 * Holds: operands are exact in float32, so both sides start from the same numbers; memory starts as NaN; each graph runs
 * at the planned batch N, at N - 1 and at 1, and once between pages that fault when touched. Some graphs are compiled for
 * widths that this processor cannot run, too, and counted. A third of the graphs run a second time with every operator's images in
 * memory as bf16, which the reference then rounds too.
 */
#ifndef FTSO_TESTS_KERNEL_LAB_H
#define FTSO_TESTS_KERNEL_LAB_H

#include "tests/support.h"

typedef struct kernel_lab kernel_lab;
kernel_lab *kernel_lab_new(void);
void kernel_lab_free(kernel_lab *lab);

/* Contents of a leaf, `batch` images of it (in `shape`). */
typedef void (*kernel_lab_fill)(void *user, const char *name, ftso_shape shape, double *out);

/* `fill` NULL: standard normal numbers, the same for equal names and seeds; leaves named "label…" hold classes below 4. */
void kernel_lab_check(kernel_lab *lab, const ftso_graph *graph, kernel_lab_fill fill, void *user,
                      uint64_t seed);

typedef struct kernel_lab_counts {
    int64_t graphs, stored;          /* of them, also with images stored as bf16 */
    int64_t executed, compiled_only; /* widths times graphs */
    double worst;                    /* largest error as a share of what is allowed */
} kernel_lab_counts;
kernel_lab_counts kernel_lab_count(const kernel_lab *lab);
/* Prints the counts, as a test's last word. */
void kernel_lab_print(const kernel_lab *lab, const char *title);

#endif
