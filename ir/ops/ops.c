/* ops: the one list of primitive operators, in the order of FTSO_PRIMITIVE_LIST. */
#include "ir/ops/ops_internal.h"

#define FTSO_OP_ROW(name) &ftso_op_##name,
static const ftso_op *const rows[] = {FTSO_PRIMITIVE_LIST(FTSO_OP_ROW)};
#undef FTSO_OP_ROW

static const ftso_op_table table = {rows, FTSO_COUNT(rows)};

const ftso_op_table *ftso_primitives(void)
{
    return &table;
}
