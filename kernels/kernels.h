/*
 * kernels: the classes of kernels, one folder each, and their table.
 *
 * In: regions. Out: LLVM functions, through codegen/emit_llvm.h. A class says in its file's head what it accepts and how its
 * loops run; the table is all that others see.
 */
#ifndef FTSO_KERNELS_H
#define FTSO_KERNELS_H

#include "codegen/codegen.h"

/* All kernel classes: the one list (kernels/kernels.c). */
const ftso_kernel_table *ftso_kernels(void);

#endif
