/*
 * Spaces. In: `space NAME : BASE { … }`. Out: ftso_space, all of it: cells, stacks of both modes, stems, heads, defaults.
 * A space may be based on another: what it does not say itself it takes from there, cell by cell and key by key.
 */
#include "sema_space.h"

enum {
    MAX_LAYERS = 1000,
    MAX_CHANNELS = 8192,
    MAX_ORDER = 1000,
    MAX_STEMS = 8,
    MAX_REDUCTIONS = 8
};

static const ftso_key space_keys[] = {
    {"let", FTSO_FORM_NAME | FTSO_FORM_VALUE, 0, false, "let K = 4;"},
    {"ops", FTSO_FORM_VALUE, 0, false, "ops = OPSET;"},
    {"image", FTSO_FORM_VALUE, 0, false, "image = [3, 32, 32];"},
    {"classes", FTSO_FORM_VALUE, 0, false, "classes = 10;"},
    {"cell", FTSO_FORM_NAME, FTSO_FORM_BASE | FTSO_FORM_BLOCK | FTSO_FORM_PARAMS | FTSO_FORM_VALUE,
     false, "cell NAME { … }"},
    {"stem", FTSO_FORM_VALUE, 0, false, "stem = OPERATOR;"},
    {"stems", FTSO_FORM_VALUE, 0, false, "stems = [A, B];"},
    {"stack", FTSO_FORM_BLOCK, 0, false, "stack { … }"},
    {"in", FTSO_FORM_NAME | FTSO_FORM_BLOCK, 0, false, "in supernet { … }"},
    {"head", FTSO_FORM_VALUE, 0, false, "head = OPERATOR;"},
    {"aux_head", FTSO_FORM_BLOCK, 0, false, "aux_head { … }"},
};

static const ftso_key stack_keys[] = {
    {"normal", FTSO_FORM_VALUE, 0, false, "normal = CELL;"},
    {"reduce", FTSO_FORM_VALUE, 0, false, "reduce = CELL;"},
    {"reductions", FTSO_FORM_VALUE, 0, false, "reductions = [1/3, 2/3];"},
    {"widen", FTSO_FORM_VALUE, 0, false, "widen = 2;"},
    {"order", FTSO_FORM_VALUE, 0, false, "order = [5 * CELL, CELL(2 * channels)];"},
};

static const ftso_key mode_keys[] = {
    {"layers", FTSO_FORM_VALUE, 0, false, "layers = 20;"},
    {"channels", FTSO_FORM_VALUE, 0, false, "channels = 36;"},
};

static const ftso_key aux_keys[] = {
    {"after", FTSO_FORM_VALUE, 0, false, "after = 2/3;"},
    {"weight", FTSO_FORM_VALUE, 0, false, "weight = 0.4;"},
    {"body", FTSO_FORM_VALUE, 0, false, "body = OPERATOR;"},
};

static const char *const mode_names[] = {"supernet", "network"};

/* ---------------------------------------------------------------- forms */

static void check_items(ftso_sema *sema, const ftso_ast_items *items)
{
    ftso_sema_check_block(sema, items, "a space", space_keys, FTSO_COUNT(space_keys), false);
    for (size_t i = 0; i < items->count; i++) {
        ftso_ast_item *item = items->items[i];
        if (!item->used) continue;
        if (!strcmp(item->word, "cell")) ftso_sema_check_cell(sema, item);
        if (!strcmp(item->word, "stack")) {
            ftso_sema_check_block(sema, &item->block, "`stack`", stack_keys, FTSO_COUNT(stack_keys),
                                  false);
        }
        if (!strcmp(item->word, "aux_head")) {
            ftso_sema_check_block(sema, &item->block, "`aux_head`", aux_keys, FTSO_COUNT(aux_keys),
                                  false);
        }
        if (strcmp(item->word, "in") != 0) continue;
        if (strcmp(item->name, mode_names[0]) != 0 && strcmp(item->name, mode_names[1]) != 0) {
            ftso_diag_error(sema->diag, "E0408", item->name_span, "there is no mode `%s`",
                            item->name)
                ->help = ftso_sema_nearest(sema, item->name, mode_names, 2,
                                           "write `in supernet { … }` or `in network { … }`");
            item->used = false;
            continue;
        }
        ftso_sema_check_block(sema, &item->block, ftso_format(sema->arena, "`in %s`", item->name),
                              mode_keys, FTSO_COUNT(mode_keys), true);
    }
}

/* ---------------------------------------------------------------- constants and defaults */

static bool in_scope_already(const ftso_space *space, const char *name)
{
    for (size_t i = 0; i < space->constant_count; i++) {
        if (!strcmp(space->constants[i].name, name)) return true;
    }
    return false;
}

static size_t count_items(const ftso_block *block)
{
    size_t count = 0;
    for (; block; block = block->base) count += block->items->count;
    return count;
}

static void read_constants(ftso_sema *sema, const ftso_block *block, ftso_space *space,
                           const char **names)
{
    static const char *const reserved[] = {"C", "s", "channels", "classes", "true", "false"};
    space->constants = FTSO_ARRAY(sema->arena, ftso_arg, count_items(block));
    for (const ftso_block *level = block; level; level = level->base) {
        for (size_t i = 0; i < level->items->count; i++) {
            const ftso_ast_item *item = level->items->items[i];
            if (!item->used || strcmp(item->word, "let") != 0 ||
                in_scope_already(space, item->name))
                continue;
            for (size_t k = 0; k < FTSO_COUNT(reserved); k++) {
                if (strcmp(reserved[k], item->name) != 0) continue;
                ftso_diag_error(sema->diag, "E0208", item->name_span,
                                "`%s` has a meaning of its own in a space", item->name)
                    ->help = "take another name";
            }
            ftso_type type;
            const ftso_arith *value = ftso_sema_arith(sema, item->value, NULL, &type);
            names[space->constant_count] = item->name;
            space->constants[space->constant_count++] =
                (ftso_arg){item->name, value, item->name_span};
        }
    }
}

/* bn(affine = false) in cells; */
static void read_default(ftso_sema *sema, const ftso_ast_item *item, ftso_mode mode,
                         const ftso_names *constants, ftso_space *space, size_t *capacity)
{
    const ftso_primitive *primitive = ftso_primitive_find(item->word);
    if (!primitive) {
        size_t count;
        const ftso_primitive *rows = ftso_primitive_rows(&count);
        const char **names = FTSO_ARRAY(sema->arena, const char *, count);
        for (size_t i = 0; i < count; i++) names[i] = rows[i].name;
        ftso_diag_error(sema->diag, "E0204", item->word_span,
                        "`%s` is no primitive of the language", item->word)
            ->help =
            ftso_sema_nearest(sema, item->word, names, count,
                              "defaults are given to primitives: `bn(affine = false) in cells;`");
        return;
    }
    if (item->value || item->has_block) {
        ftso_diag_error(sema->diag, "E0209", item->word_span,
                        "a default has no value or block of its own")
            ->help = "write `bn(affine = false) in cells;`";
        return;
    }
    if (item->where && strcmp(item->where, "cells") != 0) {
        ftso_diag_error(sema->diag, "E0311", item->where_span,
                        "a default holds `in cells` or everywhere, not in `%s`", item->where)
            ->help = "write `in cells`, or leave it out";
        return;
    }
    if (!item->params->child_count) {
        ftso_diag_error(sema->diag, "E0212", item->word_span, "this default gives `%s` no argument",
                        item->word)
            ->help = "write `bn(affine = false) in cells;`";
    }
    for (size_t i = 0; i < item->params->child_count; i++) {
        const ftso_ast_node *arg = item->params->children[i];
        int at = 0;
        while (arg->kind == FTSO_AST_ARG && at < primitive->param_count &&
               strcmp(primitive->params[at].name, arg->text) != 0)
            at++;
        if (arg->kind != FTSO_AST_ARG || at == primitive->param_count) {
            ftso_diag_error(sema->diag, "E0211", arg->span,
                            "`%s` has no such parameter to give a default to", item->word)
                ->help = "name it: `bn(affine = false)`";
            continue;
        }
        ftso_type type;
        const ftso_arith *value = ftso_sema_arith(sema, arg->children[0], constants, &type);
        if (!value) continue;
        const ftso_primitive_param *param = &primitive->params[at];
        if (value->kind == FTSO_ARITH_NUMBER &&
            !(value->value >= param->lowest && value->value <= param->highest)) {
            ftso_diag_error(sema->diag, "E0309", arg->span, "`%s` of `%s` is out of its range",
                            arg->text, item->word);
            continue;
        }
        ftso_default rule = {mode,     item->where != NULL, primitive->name, param->name, value,
                             arg->span};
        FTSO_PUSH(sema->arena, space->defaults, space->default_count, *capacity, rule);
    }
}

/* Inherited defaults first, so that an own one, later in the list, wins. */
static void read_defaults(ftso_sema *sema, const ftso_block *block, const ftso_names *constants,
                          ftso_space *space, size_t *capacity)
{
    if (block->base) read_defaults(sema, block->base, constants, space, capacity);
    for (size_t i = 0; i < block->items->count; i++) {
        const ftso_ast_item *item = block->items->items[i];
        if (!item->used || strcmp(item->word, "in") != 0) continue;
        ftso_mode mode = strcmp(item->name, "network") ? FTSO_SUPERNET : FTSO_NETWORK;
        for (size_t k = 0; k < item->block.count; k++) {
            const ftso_ast_item *rule = item->block.items[k];
            if (rule->params && !rule->name)
                read_default(sema, rule, mode, constants, space, capacity);
        }
    }
}

/* ---------------------------------------------------------------- the stack */

static const ftso_cell_decl *refer_cell(ftso_sema *sema, const ftso_space *space, const char *name,
                                        ftso_span span)
{
    const char **names = FTSO_ARRAY(sema->arena, const char *, space->cell_count + 1);
    for (size_t i = 0; i < space->cell_count; i++) {
        names[i] = space->cells[i]->name;
        if (!strcmp(names[i], name)) return space->cells[i];
    }
    ftso_diag_error(sema->diag, "E0205", span, "there is no cell `%s` in this space", name)->help =
        ftso_sema_nearest(sema, name, names, space->cell_count, "declare it with `cell`");
    return NULL;
}

static const ftso_cell_decl *cell_value(ftso_sema *sema, const ftso_space *space,
                                        const ftso_ast_item *item)
{
    if (item->value->kind != FTSO_AST_NAME) {
        ftso_sema_wrong_type(sema, item->value, ftso_format(sema->arena, "`%s`", item->word),
                             "a cell's name");
        return NULL;
    }
    return refer_cell(sema, space, item->value->text, item->value->span);
}

/* The factor f of a width f * channels. */
typedef struct width_scope {
    double channels;
    const ftso_space *space;
} width_scope;

static bool width_lookup(const void *user, const char *name, ftso_number *out)
{
    const width_scope *scope = user;
    if (!strcmp(name, "channels")) {
        *out = ftso_number_whole((int64_t)scope->channels);
        return true;
    }
    for (size_t i = 0; i < scope->space->constant_count; i++) {
        const ftso_arg *constant = &scope->space->constants[i];
        if (strcmp(constant->name, name) != 0 || !constant->value) continue;
        *out = (ftso_number){constant->value->num, constant->value->den, constant->value->value};
        return true;
    }
    return false;
}

static bool width_factor(ftso_sema *sema, const ftso_space *space, const ftso_ast_node *node,
                         const ftso_names *names, int64_t *out)
{
    const ftso_arith *arith = ftso_sema_number(sema, node, names);
    if (!arith) return false;
    ftso_number at_one = {0, 0, 0}, at_seven = {0, 0, 0};
    const ftso_arith *culprit;
    ftso_text why;
    ftso_text_init(&why);
    width_scope one = {1, space}, seven = {7, space};
    bool ok = ftso_arith_eval(arith, width_lookup, &one, &at_one, &culprit, &why) &&
              ftso_arith_eval(arith, width_lookup, &seven, &at_seven, &culprit, &why);
    ftso_text_deinit(&why);
    if (!ok || at_one.den != 1 || at_seven.den != 1 || at_one.num < 1 || at_one.num > 1024 ||
        at_seven.num != 7 * at_one.num) {
        ftso_diag_error(sema->diag, "E0606", node->span,
                        "the width of a cell is a whole multiple of `channels`")
            ->help = "write `2 * channels`";
        return false;
    }
    *out = at_one.num;
    return true;
}

/* 5 * normal, down(2 * channels) */
static bool order_item(ftso_sema *sema, const ftso_space *space, const ftso_ast_node *node,
                       const ftso_names *names, ftso_stack *stack, size_t *capacity)
{
    int64_t times = 1;
    const ftso_ast_node *cell_node = node;
    if (node->kind == FTSO_AST_BINARY && node->op == FTSO_AST_MUL) {
        if (!ftso_sema_whole(sema, node->children[0], "the number of cells", 1, MAX_LAYERS, &times))
            return false;
        cell_node = node->children[1];
    }
    if (cell_node->kind != FTSO_AST_NAME && cell_node->kind != FTSO_AST_CALL) {
        ftso_sema_wrong_type(sema, cell_node, "a place in the order", "a cell's name");
        return false;
    }
    ftso_stack_item item = {.widen = 1, .span = node->span};
    item.cell = refer_cell(sema, space, cell_node->text, cell_node->text_span);
    if (!item.cell) return false;
    if (cell_node->kind == FTSO_AST_CALL) {
        static const char *const params[] = {"C"};
        const ftso_ast_node *width;
        if (!ftso_sema_bind(sema, cell_node, params, 1, &width)) return false;
        if (width && !width_factor(sema, space, width, names, &item.widen)) return false;
    }
    if ((int64_t)stack->order_count + times > MAX_ORDER) {
        ftso_diag_error(sema->diag, "E0606", node->span, "the order has more than %d cells",
                        MAX_ORDER)
            ->help = "shorten it";
        return false;
    }
    for (int64_t i = 0; i < times; i++)
        FTSO_PUSH(sema->arena, stack->order, stack->order_count, *capacity, item);
    return true;
}

/* The statement `word` of the very block that `order` stands in: inherited ones are overridden by it. */
static const ftso_ast_item *find_beside(const ftso_block *block, const ftso_ast_item *order,
                                        const char *word)
{
    for (; block; block = block->base) {
        ftso_block own = {block->items, NULL, block->what, block->span};
        if (ftso_block_find(&own, "order", NULL) == order) return ftso_block_find(&own, word, NULL);
    }
    return NULL;
}

static bool read_order(ftso_sema *sema, const ftso_space *space, const ftso_block *block,
                       const ftso_names *names, const ftso_ast_item *order, ftso_stack *stack)
{
    static const char *const counted[] = {"normal", "reduce", "reductions", "widen"};
    for (size_t i = 0; i < FTSO_COUNT(counted); i++) {
        const ftso_ast_item *item = find_beside(block, order, counted[i]);
        if (!item) continue;
        ftso_diag_error(sema->diag, "E0605", item->word_span, "`%s` has no effect beside `order`",
                        counted[i])
            ->help = "the order names every cell and its width; take one of the two out";
        return false;
    }
    if (order->value->kind != FTSO_AST_LIST || !order->value->child_count) {
        ftso_sema_wrong_type(sema, order->value, "`order`", "a list of cells");
        return false;
    }
    size_t capacity = 0;
    bool ok = true;
    for (size_t i = 0; i < order->value->child_count; i++) {
        ok = order_item(sema, space, order->value->children[i], names, stack, &capacity) && ok;
    }
    return ok;
}

static bool read_reductions(ftso_sema *sema, const ftso_ast_node *list, ftso_stack *stack)
{
    if (list->kind != FTSO_AST_LIST) {
        ftso_sema_wrong_type(sema, list, "`reductions`", "a list of fractions");
        return false;
    }
    if (list->child_count > MAX_REDUCTIONS) {
        ftso_diag_error(sema->diag, "E0605", list->span, "there are more than %d reductions",
                        MAX_REDUCTIONS)
            ->help = "write the stack as an `order`";
        return false;
    }
    for (size_t i = 0; i < list->child_count; i++) {
        size_t at = stack->reduce_count;
        if (!ftso_sema_fraction(sema, list->children[i], "the place of a reduction",
                                &stack->reduce_num[at], &stack->reduce_den[at])) {
            return false;
        }
        stack->reduce_count++;
    }
    return true;
}

static bool read_counted(ftso_sema *sema, const ftso_space *space, const ftso_block *block,
                         ftso_stack *stack)
{
    const ftso_ast_item *item = ftso_block_get(sema, block, "normal", "normal = CELL;");
    if (!item || !(stack->normal = cell_value(sema, space, item))) return false;
    if ((item = ftso_block_find(block, "reductions", NULL)) &&
        !read_reductions(sema, item->value, stack))
        return false;
    if (stack->reduce_count) {
        item = ftso_block_get(sema, block, "reduce", "reduce = CELL;");
        if (!item || !(stack->reduce = cell_value(sema, space, item))) return false;
    }
    stack->widen = 1;
    item = ftso_block_find(block, "widen", NULL);
    return !item || ftso_sema_whole(sema, item->value, "`widen`", 1, 16, &stack->widen);
}

/* `layers` of the very space that gives the order; inherited ones are overridden by it. */
static const ftso_ast_item *layers_beside_order(ftso_sema *sema, const ftso_block *block,
                                                ftso_mode mode)
{
    for (; block; block = block->base) {
        ftso_block own = {block->items, NULL, block->what, block->span}, sub = {0};
        if (!ftso_block_sub(sema, &own, "stack", NULL, &sub) ||
            !ftso_block_find(&sub, "order", NULL))
            continue;
        bool found = ftso_block_sub(sema, &own, "in", mode_names[mode], &sub);
        return found ? ftso_block_find(&sub, "layers", NULL) : NULL;
    }
    return NULL;
}

/* layers and channels of one mode; two reductions must not fall on one cell. */
static bool read_mode(ftso_sema *sema, const ftso_block *block, ftso_mode mode, ftso_stack *stack)
{
    ftso_block in = {0};
    if (!ftso_block_sub(sema, block, "in", mode_names[mode], &in)) {
        ftso_diag_error(sema->diag, "E0207", block->span, "%s lacks `in %s { … }`", block->what,
                        mode_names[mode])
            ->help = ftso_format(sema->arena, "add `in %s { layers = 8; channels = 16; }`",
                                 mode_names[mode]);
        return false;
    }
    const ftso_ast_item *item = ftso_block_get(sema, &in, "channels", "channels = 16;");
    if (!item ||
        !ftso_sema_whole(sema, item->value, "`channels`", 1, MAX_CHANNELS, &stack->channels))
        return false;
    if (stack->order) {
        stack->layers = (int64_t)stack->order_count;
        if (!(item = layers_beside_order(sema, block, mode))) return true;
        ftso_diag_error(sema->diag, "E0605", item->word_span,
                        "`layers` has no effect beside `order`")
            ->help = "the order says how many cells there are";
        return false;
    }
    item = ftso_block_get(sema, &in, "layers", "layers = 8;");
    if (!item || !ftso_sema_whole(sema, item->value, "`layers`", 1, MAX_LAYERS, &stack->layers))
        return false;
    for (size_t i = 0; i < stack->reduce_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (stack->layers * stack->reduce_num[i] / stack->reduce_den[i] !=
                stack->layers * stack->reduce_num[k] / stack->reduce_den[k])
                continue;
            ftso_diag_error(sema->diag, "E0605", item->value->span,
                            "with %lld layer%s two reductions fall on the same cell",
                            (long long)stack->layers, stack->layers == 1 ? "" : "s")
                ->help = "take more layers, or fewer reductions";
            return false;
        }
    }
    return true;
}

static bool read_stacks(ftso_sema *sema, const ftso_block *block, const ftso_names *names,
                        ftso_space *space)
{
    ftso_block in = {0};
    if (!ftso_block_sub(sema, block, "stack", NULL, &in)) {
        ftso_block_get(sema, block, "stack", "stack { … }");
        return false;
    }
    /* A counted stack inside overrides an inherited order, and the other way round. */
    const ftso_ast_item *order = NULL;
    for (const ftso_block *level = &in; level && !order; level = level->base) {
        ftso_block own = {level->items, NULL, level->what, level->span};
        order = ftso_block_find(&own, "order", NULL);
        if (ftso_block_find(&own, "normal", NULL)) break;
    }
    ftso_stack stack = {.widen = 1};
    if (order ? !read_order(sema, space, &in, names, order, &stack)
              : !read_counted(sema, space, &in, &stack))
        return false;
    space->supernet = space->network = stack;
    bool ok = read_mode(sema, block, FTSO_SUPERNET, &space->supernet);
    return read_mode(sema, block, FTSO_NETWORK, &space->network) && ok;
}

/* ---------------------------------------------------------------- the rest */

bool ftso_sema_image(ftso_sema *sema, const ftso_ast_node *node, int64_t *out_channels,
                     int64_t *out_side)
{
    int64_t width;
    if (node->kind != FTSO_AST_LIST || node->child_count != 3) {
        ftso_sema_wrong_type(sema, node, "`image`", "a list `[channels, height, width]`");
        return false;
    }
    if (!ftso_sema_whole(sema, node->children[0], "the number of image channels", 1, 64,
                         out_channels) ||
        !ftso_sema_whole(sema, node->children[1], "the height of an image", 1, 4096, out_side) ||
        !ftso_sema_whole(sema, node->children[2], "the width of an image", 1, 4096, &width))
        return false;
    if (width == *out_side) return true;
    ftso_diag_error(sema->diag, "E0607", node->span,
                    "images are square here, and this one is %lld x %lld", (long long)*out_side,
                    (long long)width)
        ->help = "crop or resize them";
    return false;
}

static const ftso_opexpr *plain_expr(ftso_sema *sema, const ftso_ast_node *node, const char *name,
                                     const ftso_names *constants)
{
    const char *names[] = {name};
    ftso_names scope_names = {.names = names, .count = 1, .outer = constants};
    ftso_op_scope scope = {&scope_names, NULL, false, false};
    return ftso_sema_one_value(sema, node, &scope);
}

static bool read_stems(ftso_sema *sema, const ftso_block *block, const ftso_names *constants,
                       ftso_space *space)
{
    const ftso_ast_item *item = NULL;
    for (const ftso_block *level = block; level && !item; level = level->base) {
        ftso_block own = {level->items, NULL, level->what, level->span};
        const ftso_ast_item *one = ftso_block_find(&own, "stem", NULL),
                            *several = ftso_block_find(&own, "stems", NULL);
        if (one && several) {
            ftso_diag_error(sema->diag, "E0206", one->word_span,
                            "`stem` and `stems` exclude each other")
                ->help = "take one of the two out";
            return false;
        }
        item = one ? one : several;
    }
    if (!item) {
        ftso_block_get(sema, block, "stem", "stem = OPERATOR;");
        return false;
    }
    const ftso_ast_node *value = item->value;
    bool list = !strcmp(item->word, "stems");
    if (list &&
        (value->kind != FTSO_AST_LIST || !value->child_count || value->child_count > MAX_STEMS)) {
        ftso_sema_wrong_type(sema, value, "`stems`", "a list of 1 to 8 operators");
        return false;
    }
    size_t count = list ? value->child_count : 1;
    space->stems = FTSO_ARRAY(sema->arena, const ftso_opexpr *, count);
    for (size_t i = 0; i < count; i++) {
        const ftso_opexpr *stem =
            plain_expr(sema, list ? value->children[i] : value, "channels", constants);
        if (!stem) return false;
        space->stems[space->stem_count++] = stem;
    }
    return true;
}

static bool read_aux(ftso_sema *sema, const ftso_block *block, const ftso_names *constants,
                     ftso_space *space)
{
    ftso_block in = {0};
    space->aux_num = 2;
    space->aux_den = 3;
    if (!ftso_block_sub(sema, block, "aux_head", NULL, &in)) return true;
    space->aux_weight = 0.4;
    bool ok = true;
    const ftso_ast_item *item = ftso_block_find(&in, "after", NULL);
    if (item)
        ok = ftso_sema_fraction(sema, item->value, "`after`", &space->aux_num, &space->aux_den);
    item = ftso_block_find(&in, "weight", NULL);
    if (item) ok = ftso_sema_real(sema, item->value, "`weight`", 0, 100, &space->aux_weight) && ok;
    item = ftso_block_get(sema, &in, "body", "body = OPERATOR;");
    return item && (space->aux_head = plain_expr(sema, item->value, "classes", constants)) && ok;
}

static bool read_cells(ftso_sema *sema, const ftso_block *block, const ftso_names *constants,
                       ftso_space *space)
{
    bool ok = true;
    const ftso_block *levels[32];
    size_t depth = 0;
    for (const ftso_block *level = block; level && depth < FTSO_COUNT(levels); level = level->base)
        levels[depth++] = level;
    space->cells = FTSO_ARRAY(sema->arena, ftso_cell_decl *, count_items(block));
    /* In the order of first declaration: the base space's cells keep their places. */
    while (depth-- > 0) {
        for (size_t i = 0; i < levels[depth]->items->count; i++) {
            const ftso_ast_item *item = levels[depth]->items->items[i];
            if (strcmp(item->word, "cell") != 0) continue;
            bool seen = false;
            for (size_t k = 0; item->used && k < space->cell_count; k++)
                seen |= !strcmp(space->cells[k]->name, item->name);
            ok = ok && item->used;
            if (seen || !item->used) continue;
            const ftso_ast_item *innermost = ftso_block_find(block, "cell", item->name);
            ftso_cell_decl *cell =
                innermost ? ftso_sema_cell(sema, block, innermost, constants) : NULL;
            ok = ok && cell;
            if (cell) space->cells[space->cell_count++] = cell;
        }
    }
    if (ok && !space->cell_count) {
        ftso_diag_error(sema->diag, "E0207", block->span, "%s has no cell", block->what)->help =
            "add `cell NAME { … }`";
        return false;
    }
    return ok;
}

/* The space's statements and those of its bases, or false after an error. */
static bool space_block(ftso_sema *sema, ftso_symbol *symbol, ftso_block *out)
{
    const ftso_ast_item *item = symbol->item;
    *out = (ftso_block){&item->block, NULL, ftso_format(sema->arena, "space `%s`", symbol->name),
                        symbol->span};
    ftso_block *last = out;
    for (int depth = 0; item->base; depth++) {
        ftso_symbol *base = ftso_sema_refer(sema, FTSO_SYMBOL_SPACE, item->base, item->base_span);
        if (!base || !base->record || depth >= 16) return false;
        item = base->item;
        ftso_block *level = FTSO_NEW(sema->arena, ftso_block);
        *level = (ftso_block){&item->block, NULL, out->what, base->span};
        last->base = level;
        last = level;
    }
    return true;
}

void ftso_sema_space(ftso_sema *sema, ftso_symbol *symbol)
{
    size_t errors = sema->diag->error_count;
    check_items(sema, &symbol->item->block);
    ftso_block block;
    if (!space_block(sema, symbol, &block)) return;
    ftso_space *space = FTSO_NEW(sema->arena, ftso_space);
    space->name = symbol->name;
    space->span = symbol->span;
    const char **names = FTSO_ARRAY(sema->arena, const char *, count_items(&block));
    read_constants(sema, &block, space, names);
    ftso_names constants = {.names = names, .count = space->constant_count};
    const char *width[] = {"channels"};
    ftso_names width_names = {.names = width, .count = 1, .outer = &constants};

    const ftso_ast_item *item = ftso_block_get(sema, &block, "ops", "ops = OPSET;");
    if (item && item->value->kind == FTSO_AST_NAME) {
        ftso_symbol *ops =
            ftso_sema_refer(sema, FTSO_SYMBOL_OPSET, item->value->text, item->value->span);
        space->ops = ops ? ops->record : NULL;
    } else if (item) {
        space->ops = ftso_sema_opset_value(sema, item->value, symbol->name, item->value->span);
    }
    item = ftso_block_get(sema, &block, "image", "image = [3, 32, 32];");
    if (item) ftso_sema_image(sema, item->value, &space->image_channels, &space->image_side);
    item = ftso_block_get(sema, &block, "classes", "classes = 10;");
    if (item) ftso_sema_whole(sema, item->value, "`classes`", 2, 100000, &space->classes);
    read_stems(sema, &block, &constants, space);
    item = ftso_block_get(sema, &block, "head", "head = OPERATOR;");
    if (item) space->head = plain_expr(sema, item->value, "classes", &constants);
    read_aux(sema, &block, &constants, space);
    size_t capacity = 0;
    read_defaults(sema, &block, &constants, space, &capacity);
    if (read_cells(sema, &block, &constants, space)) read_stacks(sema, &block, &width_names, space);
    if (sema->diag->error_count == errors && space->ops) symbol->record = space;
}
