/*
 * Dumps for people and for golden tests: the syntax tree, one line a node; the checked records, one line a fact.
 */
#include "ast.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void indent(ftso_text *out, int depth)
{
    ftso_text_printf(out, "%*s", 2 * depth, "");
}

/* ---------------------------------------------------------------- syntax tree */

static void print_node(const ftso_ast_node *node, int depth, ftso_text *out)
{
    static const char *const names[] = {
        [FTSO_AST_NUMBER] = "number",     [FTSO_AST_STRING] = "string",
        [FTSO_AST_NAME] = "name",         [FTSO_AST_CALL] = "call",
        [FTSO_AST_ARG] = "arg",           [FTSO_AST_LIST] = "list",
        [FTSO_AST_SET] = "set",           [FTSO_AST_TUPLE] = "tuple",
        [FTSO_AST_CHAIN] = "chain",       [FTSO_AST_SELECT] = "select",
        [FTSO_AST_BRANCHES] = "branches", [FTSO_AST_UNARY] = "unary",
        [FTSO_AST_BINARY] = "binary",     [FTSO_AST_MODE] = "in",
        [FTSO_AST_ARCH] = "arch",         [FTSO_AST_ERROR] = "error",
        [FTSO_AST_ARCH_NODE] = "node",    [FTSO_AST_ARCH_EDGE] = "edge",
    };
    indent(out, depth);
    ftso_text_puts(out, names[node->kind]);
    if (node->text)
        ftso_text_printf(out, node->kind == FTSO_AST_STRING ? " \"%s\"" : " %s", node->text);
    if (node->kind == FTSO_AST_UNARY || node->kind == FTSO_AST_BINARY) {
        ftso_text_printf(out, " %s", ftso_ast_op_text(node->op));
    }
    if (node->unit) ftso_text_printf(out, " %s", node->unit);
    ftso_text_printf(out, " @%" PRIu32 "-%" PRIu32 "\n", node->span.begin, node->span.end);
    for (size_t i = 0; i < node->child_count; i++) print_node(node->children[i], depth + 1, out);
}

static void print_items(const ftso_ast_items *items, int depth, ftso_text *out)
{
    for (size_t i = 0; i < items->count; i++) {
        const ftso_ast_item *item = items->items[i];
        indent(out, depth);
        ftso_text_printf(out, "item %s", item->word);
        if (item->name) ftso_text_printf(out, " %s", item->name);
        if (item->base) ftso_text_printf(out, " : %s", item->base);
        if (item->where) ftso_text_printf(out, " in %s", item->where);
        ftso_text_printf(out, " @%" PRIu32 "-%" PRIu32 "\n", item->span.begin, item->span.end);
        if (item->literal) print_node(item->literal, depth + 1, out);
        if (item->params) print_node(item->params, depth + 1, out);
        if (item->value) print_node(item->value, depth + 1, out);
        print_items(&item->block, depth + 1, out);
    }
}

void ftso_ast_print(const ftso_ast *ast, ftso_text *out)
{
    for (size_t i = 0; i < ast->file_count; i++) {
        ftso_text_printf(out, "file %s\n", ast->files[i]->path);
        print_items(&ast->files[i]->items, 1, out);
    }
}

/* ---------------------------------------------------------------- arithmetic and operators */

static void print_real(double value, ftso_text *out)
{
    char buffer[32];
    ftso_double_print(value, buffer);
    ftso_text_puts(out, buffer);
}

static void print_arith(const ftso_arith *arith, ftso_text *out)
{
    static const char *const signs[] = {
        [FTSO_ARITH_NEG] = "-", [FTSO_ARITH_NOT] = "!",  [FTSO_ARITH_ADD] = "+",
        [FTSO_ARITH_SUB] = "-", [FTSO_ARITH_MUL] = "*",  [FTSO_ARITH_DIV] = "/",
        [FTSO_ARITH_EQ] = "==", [FTSO_ARITH_NE] = "!=",  [FTSO_ARITH_LT] = "<",
        [FTSO_ARITH_LE] = "<=", [FTSO_ARITH_GT] = ">",   [FTSO_ARITH_GE] = ">=",
        [FTSO_ARITH_OR] = "||", [FTSO_ARITH_AND] = "&&",
    };
    switch (arith->kind) {
    case FTSO_ARITH_NUMBER:
        if (arith->den > 1) {
            ftso_text_printf(out, "%" PRId64 "/%" PRId64, arith->num, arith->den);
        } else {
            print_real(arith->value, out);
        }
        return;
    case FTSO_ARITH_NAME:
        ftso_text_puts(out, arith->name);
        return;
    case FTSO_ARITH_SELECT:
        ftso_text_puts(out, "(");
        print_arith(arith->a, out);
        ftso_text_puts(out, " ? ");
        print_arith(arith->b, out);
        ftso_text_puts(out, " : ");
        print_arith(arith->c, out);
        ftso_text_puts(out, ")");
        return;
    case FTSO_ARITH_NEG:
    case FTSO_ARITH_NOT:
        ftso_text_puts(out, signs[arith->kind]);
        print_arith(arith->a, out);
        return;
    default:
        ftso_text_puts(out, "(");
        print_arith(arith->a, out);
        ftso_text_printf(out, " %s ", signs[arith->kind]);
        print_arith(arith->b, out);
        ftso_text_puts(out, ")");
    }
}

static void print_args(const ftso_arg *args, size_t count, ftso_text *out)
{
    if (!count) return;
    for (size_t i = 0; i < count; i++) {
        ftso_text_printf(out, "%s%s = ", i ? ", " : "(", args[i].name);
        print_arith(args[i].value, out);
    }
    ftso_text_puts(out, ")");
}

static void print_opexpr(const ftso_opexpr *expr, ftso_text *out)
{
    const char *open = "", *between = "", *close = "";
    switch (expr->kind) {
    case FTSO_OPEXPR_PRIMITIVE:
    case FTSO_OPEXPR_COMPOSITE:
    case FTSO_OPEXPR_CANDIDATES:
        ftso_text_puts(out, expr->name);
        print_args(expr->args, expr->arg_count, out);
        return;
    case FTSO_OPEXPR_CHAIN:
        between = " -> ";
        break;
    case FTSO_OPEXPR_BRANCHES:
        open = "[ ";
        between = " | ";
        close = " ]";
        break;
    case FTSO_OPEXPR_SELECT:
        ftso_text_puts(out, "(");
        print_arith(expr->condition, out);
        open = " ? ";
        between = " : ";
        close = ")";
        break;
    case FTSO_OPEXPR_MODE:
        open = expr->mode == FTSO_NETWORK ? "in network { " : "in supernet { ";
        close = " }";
        break;
    }
    ftso_text_puts(out, open);
    for (size_t i = 0; i < expr->child_count; i++) {
        if (i) ftso_text_puts(out, between);
        print_opexpr(expr->children[i], out);
    }
    ftso_text_puts(out, close);
}

static void print_line(const char *word, const ftso_opexpr *expr, int depth, ftso_text *out)
{
    if (!expr) return;
    indent(out, depth);
    ftso_text_printf(out, "%s = ", word);
    print_opexpr(expr, out);
    ftso_text_puts(out, "\n");
}

/* ---------------------------------------------------------------- spaces and genotypes */

static const char *const joins[] = {"concat", "sum", "last"};

static void print_cell_decl(const ftso_cell_decl *cell, ftso_text *out)
{
    ftso_text_printf(out, "  cell %s\n", cell->name);
    if (cell->body) {
        print_line("body", cell->body, 2, out);
        return;
    }
    ftso_text_printf(out, "    inputs %d, nodes %d, keep %d, input stride %d, output %s\n",
                     cell->input_count, cell->node_count, cell->keep, cell->input_stride,
                     joins[cell->output]);
    int states = cell->input_count + cell->node_count - 1;
    for (int node = 0; node < cell->node_count; node++) {
        ftso_text_printf(out, "    node %d reads", cell->input_count + node);
        for (int from = 0; from < cell->input_count + node; from++) {
            if (cell->edge_present[node * states + from]) ftso_text_printf(out, " %d", from);
        }
        ftso_text_puts(out, "\n");
    }
    print_line("preprocess", cell->preprocess, 2, out);
    print_line("edge", cell->edge, 2, out);
}

static void print_stack(const char *mode, const ftso_stack *stack, ftso_text *out)
{
    ftso_text_printf(out, "  %s layers %" PRId64 ", channels %" PRId64, mode, stack->layers,
                     stack->channels);
    if (stack->order) {
        ftso_text_puts(out, ", order");
        for (size_t i = 0; i < stack->order_count; i++) {
            ftso_text_printf(out, " %s*%" PRId64, stack->order[i].cell->name,
                             stack->order[i].widen);
        }
    } else {
        ftso_text_printf(out, ", normal %s, widen %" PRId64, stack->normal->name, stack->widen);
        for (size_t i = 0; i < stack->reduce_count; i++) {
            ftso_text_printf(out, ", %s at %" PRId64 "/%" PRId64, stack->reduce->name,
                             stack->reduce_num[i], stack->reduce_den[i]);
        }
    }
    ftso_text_puts(out, "\n");
}

static void print_space(const ftso_space *space, ftso_text *out)
{
    ftso_text_printf(out,
                     "space %s\n  ops %s\n  image [%" PRId64 ", %" PRId64 ", %" PRId64
                     "], classes %" PRId64 "\n",
                     space->name, space->ops->name, space->image_channels, space->image_side,
                     space->image_side, space->classes);
    for (size_t i = 0; i < space->constant_count; i++) {
        ftso_text_printf(out, "  let %s = ", space->constants[i].name);
        print_arith(space->constants[i].value, out);
        ftso_text_puts(out, "\n");
    }
    for (size_t i = 0; i < space->cell_count; i++) print_cell_decl(space->cells[i], out);
    for (size_t i = 0; i < space->stem_count; i++) print_line("stem", space->stems[i], 1, out);
    print_stack("supernet", &space->supernet, out);
    print_stack("network", &space->network, out);
    print_line("head", space->head, 1, out);
    if (space->aux_head) {
        ftso_text_printf(out, "  aux head after %" PRId64 "/%" PRId64 ", weight ", space->aux_num,
                         space->aux_den);
        print_real(space->aux_weight, out);
        ftso_text_puts(out, "\n");
        print_line("body", space->aux_head, 2, out);
    }
    for (size_t i = 0; i < space->default_count; i++) {
        const ftso_default *rule = &space->defaults[i];
        ftso_text_printf(out,
                         "  in %s %s(%s = ", rule->mode == FTSO_NETWORK ? "network" : "supernet",
                         rule->primitive, rule->arg);
        print_arith(rule->value, out);
        ftso_text_printf(out, ")%s\n", rule->cells_only ? " in cells" : "");
    }
}

static void print_genotype(const ftso_genotype *genotype, ftso_text *out)
{
    ftso_text_printf(out, "genotype %s : %s\n", genotype->name, genotype->space->name);
    for (size_t i = 0; i < genotype->cell_count; i++) {
        const ftso_cell *cell = &genotype->cells[i];
        ftso_text_printf(out, "  cell %s\n", cell->decl->name);
        for (int node = 0; node < cell->node_count; node++) {
            ftso_text_printf(out, "    node %d =", cell->decl->input_count + node);
            for (int edge = cell->node_start[node]; edge < cell->node_start[node + 1]; edge++) {
                ftso_text_printf(out, " %s(%d)", cell->edges[edge].op->name,
                                 cell->edges[edge].from);
            }
            ftso_text_puts(out, "\n");
        }
        ftso_text_puts(out, "    concat");
        for (size_t k = 0; k < cell->concat_count; k++)
            ftso_text_printf(out, " %d", cell->concat[k]);
        ftso_text_puts(out, "\n");
    }
}

/* ---------------------------------------------------------------- recipes */

static void print_optimizer(const char *word, const ftso_optimizer *optimizer, ftso_text *out)
{
    static const char *const schedules[] = {"constant", "cosine", "linear", "exponential"};
    ftso_text_printf(out, "  %s %s lr %s(", word, optimizer->kind == FTSO_SGD ? "sgd" : "adam",
                     schedules[optimizer->lr.kind]);
    print_real(optimizer->lr.first, out);
    ftso_text_puts(out, ", ");
    print_real(optimizer->lr.last, out);
    if (optimizer->lr.warmup) ftso_text_printf(out, ", warmup %" PRId64, optimizer->lr.warmup);
    if (optimizer->lr.tail) ftso_text_printf(out, ", tail %" PRId64, optimizer->lr.tail);
    ftso_text_puts(out, ")");
    const struct {
        const char *name;
        double value;
    } parts[] = {{"momentum", optimizer->momentum}, {"weight decay", optimizer->weight_decay},
                 {"clip", optimizer->clip},         {"beta1", optimizer->beta1},
                 {"beta2", optimizer->beta2},       {"eps", optimizer->eps}};
    size_t last = optimizer->kind == FTSO_SGD ? 3 : FTSO_COUNT(parts);
    for (size_t i = optimizer->kind == FTSO_SGD ? 0 : 1; i < last; i++) {
        ftso_text_printf(out, ", %s ", parts[i].name);
        print_real(parts[i].value, out);
    }
    if (optimizer->nesterov) ftso_text_puts(out, ", nesterov");
    ftso_text_puts(out, "\n");
}

static void print_transform(const char *word, const ftso_transform *transform, ftso_text *out)
{
    if (!transform->count) return;
    ftso_text_printf(out, "  %s ", word);
    ftso_transform_print(transform, out);
    ftso_text_puts(out, "\n");
}

static void print_dataset(const ftso_dataset *dataset, ftso_text *out)
{
    ftso_text_printf(out,
                     "dataset %s\n  kind %s, path \"%s\"\n  image [%" PRId64 ", %" PRId64
                     ", %" PRId64 "], classes %" PRId64 "\n",
                     dataset->name, dataset->kind, dataset->path, dataset->channels, dataset->side,
                     dataset->side, dataset->classes);
    for (int64_t i = 0; dataset->class_names && i < dataset->classes; i++) {
        ftso_text_printf(out, "  class %" PRId64 " \"%s\"\n", i, dataset->class_names[i]);
    }
    if (dataset->train_images) {
        ftso_text_printf(out, "  images %" PRId64 ", %" PRId64 "\n", dataset->train_images,
                         dataset->test_images);
    }
    for (int64_t i = 0; i < dataset->channels && i < 4 && dataset->std[0] > 0; i++) {
        ftso_text_printf(out, "  channel %" PRId64 " mean ", i);
        print_real(dataset->mean[i], out);
        ftso_text_puts(out, ", std ");
        print_real(dataset->std[i], out);
        ftso_text_puts(out, "\n");
    }
    print_transform("train", &dataset->train, out);
    print_transform("test", &dataset->test, out);
}

static void print_require(const ftso_arith *require, ftso_text *out)
{
    if (!require) return;
    ftso_text_puts(out, "  require ");
    print_arith(require, out);
    ftso_text_puts(out, "\n");
}

static void print_search(const ftso_search *search, ftso_text *out)
{
    ftso_text_printf(out, "search %s\n  space %s", search->name, search->space->name);
    print_args(search->parameters, search->parameter_count, out);
    ftso_text_printf(out, ", dataset %s, method %s\n  topology ops", search->dataset->name,
                     search->method);
    for (size_t i = 0; i < search->topology_ops->operator_count; i++) {
        ftso_text_printf(out, " %s", search->topology_ops->operators[i]->name);
    }
    ftso_text_printf(out, ", budget %" PRId64 " %s, schedule %" PRId64 ", normalize %s, init ",
                     search->budget, search->budget_unit == FTSO_EPOCHS ? "epochs" : "iterations",
                     search->schedule_epochs,
                     search->normalize == FTSO_NORMALIZE_RAW ? "raw" : "softmax");
    print_real(search->init_std, out);
    if (search->freeze_epochs)
        ftso_text_printf(out, ", freeze %" PRId64 " epochs", search->freeze_epochs);
    ftso_text_printf(out, "\n  replace %s, batch %" PRId64 ", train portion ",
                     search->replace->name, search->batch);
    print_real(search->train_portion, out);
    ftso_text_printf(out, "%s\n", search->augment_valid ? ", valid augmented" : "");
    print_optimizer("weights", &search->weights, out);
    print_optimizer("arch", &search->arch, out);
    ftso_text_puts(out, "  seeds");
    for (size_t i = 0; i < search->seed_count; i++)
        ftso_text_printf(out, " %" PRIu64, search->seeds[i]);
    ftso_text_printf(out, ", select %s, precision %s\n",
                     search->select_best ? "best(val_loss)" : "first",
                     ftso_element_name(search->precision));
    print_require(search->require, out);
}

static void print_train(const ftso_train *train, ftso_text *out)
{
    ftso_text_printf(out, "train %s\n  space %s", train->name, train->space->name);
    print_args(train->parameters, train->parameter_count, out);
    if (train->layers) ftso_text_printf(out, ", layers %" PRId64, train->layers);
    if (train->channels) ftso_text_printf(out, ", channels %" PRId64, train->channels);
    ftso_text_printf(
        out, ", cell %s, dataset %s\n  epochs %" PRId64 ", batch %" PRId64 ", drop path ",
        train->cell ? train->cell->name : "-", train->dataset->name, train->epochs, train->batch);
    print_real(train->drop_path, out);
    ftso_text_puts(out, ", aux weight ");
    print_real(train->aux_weight, out);
    ftso_text_puts(out, ", label smoothing ");
    print_real(train->label_smoothing, out);
    ftso_text_printf(out, "\n  seed %" PRIu64 ", precision %s\n", train->seed,
                     ftso_element_name(train->precision));
    print_optimizer("optimizer", &train->optimizer, out);
    ftso_text_printf(out, "  checkpoints: %" PRId64 " kept", train->checkpoint_keep);
    if (train->checkpoint_steps)
        ftso_text_printf(out, ", every %" PRId64 " iterations", train->checkpoint_steps);
    ftso_text_puts(out, "\n");
    print_require(train->require, out);
}

void ftso_unit_print(const ftso_unit *unit, ftso_text *out)
{
    for (size_t i = 0; i < unit->operator_count; i++) {
        const ftso_operator *op = unit->operators[i];
        ftso_text_printf(out, "op %s", op->name);
        for (size_t k = 0; k < op->param_count; k++) {
            ftso_text_printf(out, "%s%s", k ? ", " : "(", op->params[k].name);
            if (!op->params[k].fallback) continue;
            ftso_text_puts(out, " = ");
            print_arith(op->params[k].fallback, out);
        }
        ftso_text_puts(out, op->param_count ? ") = " : " = ");
        print_opexpr(op->body, out);
        ftso_text_puts(out, "\n");
    }
    for (size_t i = 0; i < unit->opset_count; i++) {
        ftso_text_printf(out, "opset %s", unit->opsets[i]->name);
        for (size_t k = 0; k < unit->opsets[i]->operator_count; k++) {
            ftso_text_printf(out, " %s", unit->opsets[i]->operators[k]->name);
        }
        ftso_text_puts(out, "\n");
    }
    for (size_t i = 0; i < unit->space_count; i++) print_space(unit->spaces[i], out);
    for (size_t i = 0; i < unit->genotype_count; i++) print_genotype(unit->genotypes[i], out);
    for (size_t i = 0; i < unit->dataset_count; i++) print_dataset(unit->datasets[i], out);
    for (size_t i = 0; i < unit->search_count; i++) print_search(unit->searches[i], out);
    for (size_t i = 0; i < unit->train_count; i++) print_train(unit->trains[i], out);
}
