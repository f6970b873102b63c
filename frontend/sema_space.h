/* What sema_space.c and sema_cell.c share. Private to frontend/. */
#ifndef FTSO_FRONTEND_SEMA_SPACE_H
#define FTSO_FRONTEND_SEMA_SPACE_H

#include "sema_internal.h"

/* Forms and keys of one statement `cell …`. */
void ftso_sema_check_cell(ftso_sema *sema, const ftso_ast_item *item);
/* The cell that `item` declares in the space; NULL after an error. */
ftso_cell_decl *ftso_sema_cell(ftso_sema *sema, const ftso_block *space, const ftso_ast_item *item,
                               const ftso_names *constants);
/* `word(C, s) = OPERATOR;` */
const ftso_opexpr *ftso_sema_scoped(ftso_sema *sema, const ftso_ast_item *item,
                                    const ftso_names *constants, bool candidates);

#endif
