/* See records.h. Text here is trusted: what it cannot read is a bug of the test. */
#include "records.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const ftso_arith *rec_number(rec *r, int64_t num, int64_t den)
{
    ftso_arith *a = FTSO_NEW(r->arena, ftso_arith);
    *a = (ftso_arith){
        .kind = FTSO_ARITH_NUMBER, .num = num, .den = den, .value = (double)num / (double)den};
    return a;
}

const ftso_arith *rec_name(rec *r, const char *name)
{
    ftso_arith *a = FTSO_NEW(r->arena, ftso_arith);
    *a = (ftso_arith){.kind = FTSO_ARITH_NAME, .name = name};
    return a;
}

const ftso_arith *rec_binary(rec *r, ftso_arith_kind kind, const ftso_arith *a, const ftso_arith *b)
{
    ftso_arith *c = FTSO_NEW(r->arena, ftso_arith);
    *c = (ftso_arith){.kind = kind, .a = a, .b = b};
    return c;
}

/* ---------------------------------------------------------------- the compact text */

typedef struct reader {
    rec *r;
    const ftso_unit *unit;
    const char *at;
} reader;

static void skip_space(reader *in)
{
    while (isspace((unsigned char)*in->at)) in->at++;
}

static const char *word(reader *in)
{
    skip_space(in);
    const char *begin = in->at;
    while (*in->at && !isspace((unsigned char)*in->at) && !strchr("()=/*", *in->at)) in->at++;
    FTSO_ASSERT(in->at > begin);
    return ftso_strndup(in->r->arena, begin, (size_t)(in->at - begin));
}

static const ftso_arith *atom(reader *in)
{
    const char *text = word(in);
    if (isdigit((unsigned char)*text) || *text == '-') return rec_number(in->r, atoll(text), 1);
    return rec_name(in->r, text);
}

static const ftso_arith *value(reader *in)
{
    const ftso_arith *a = atom(in);
    while (*in->at == '/' || *in->at == '*') {
        ftso_arith_kind kind = *in->at++ == '/' ? FTSO_ARITH_DIV : FTSO_ARITH_MUL;
        a = rec_binary(in->r, kind, a, atom(in));
    }
    return a;
}

static const ftso_operator *find_op(const ftso_unit *unit, const char *name)
{
    for (size_t i = 0; unit && i < unit->operator_count; i++)
        if (!strcmp(unit->operators[i]->name, name)) return unit->operators[i];
    return NULL;
}

static ftso_opexpr *expression(reader *in);

static void children(reader *in, ftso_opexpr *e)
{
    size_t capacity = 0;
    for (skip_space(in); *in->at != ')'; skip_space(in))
        FTSO_PUSH(in->r->arena, e->children, e->child_count, capacity, expression(in));
}

static ftso_opexpr *expression(reader *in)
{
    ftso_opexpr *e = FTSO_NEW(in->r->arena, ftso_opexpr);
    skip_space(in);
    FTSO_ASSERT(*in->at == '(');
    in->at++;
    const char *head = word(in);
    if (!strcmp(head, ">") || !strcmp(head, "|")) {
        e->kind = *head == '>' ? FTSO_OPEXPR_CHAIN : FTSO_OPEXPR_BRANCHES;
    } else if (!strcmp(head, "?")) {
        e->kind = FTSO_OPEXPR_SELECT;
        const ftso_arith *left = value(in);
        e->condition = rec_binary(in->r, FTSO_ARITH_EQ, left, value(in));
    } else if (!strcmp(head, "super") || !strcmp(head, "net")) {
        e->kind = FTSO_OPEXPR_MODE;
        e->mode = *head == 's' ? FTSO_SUPERNET : FTSO_NETWORK;
    } else {
        size_t capacity = 0;
        e->name = head;
        e->composite = find_op(in->unit, head);
        e->kind = e->composite                  ? FTSO_OPEXPR_COMPOSITE
                  : !strcmp(head, "candidates") ? FTSO_OPEXPR_CANDIDATES
                                                : FTSO_OPEXPR_PRIMITIVE;
        FTSO_ASSERT(e->kind != FTSO_OPEXPR_PRIMITIVE || ftso_primitive_find(head));
        for (skip_space(in); *in->at != ')'; skip_space(in)) {
            ftso_arg arg = {.name = word(in)};
            FTSO_ASSERT(*in->at == '=');
            in->at++;
            arg.value = value(in);
            FTSO_PUSH(in->r->arena, e->args, e->arg_count, capacity, arg);
        }
    }
    if (e->kind != FTSO_OPEXPR_PRIMITIVE && e->kind != FTSO_OPEXPR_COMPOSITE &&
        e->kind != FTSO_OPEXPR_CANDIDATES)
        children(in, e);
    in->at++;
    return e;
}

ftso_opexpr *rec_expr(rec *r, const ftso_unit *unit, const char *text)
{
    reader in = {r, unit, text};
    return expression(&in);
}

static size_t split(rec *r, const char *text, const char **out, size_t most)
{
    reader in = {r, NULL, text};
    size_t count = 0;
    for (skip_space(&in); *in.at; skip_space(&in)) {
        FTSO_ASSERT(count < most);
        out[count++] = word(&in);
    }
    return count;
}

ftso_operator *rec_op(rec *r, ftso_unit *unit, const char *name, const char *params,
                      const char *body)
{
    const char *names[8];
    ftso_operator *op = FTSO_NEW(r->arena, ftso_operator);
    op->name = name;
    op->param_count = split(r, params, names, FTSO_COUNT(names));
    op->params = FTSO_ARRAY(r->arena, ftso_param, op->param_count + 1);
    for (size_t i = 0; i < op->param_count; i++) op->params[i].name = names[i];
    op->body = rec_expr(r, unit, body);
    FTSO_PUSH(r->arena, unit->operators, unit->operator_count, unit->operator_capacity, op);
    return op;
}

ftso_opset *rec_opset(rec *r, const ftso_unit *unit, const char *names)
{
    const char *each[64];
    ftso_opset *set = FTSO_NEW(r->arena, ftso_opset);
    set->name = "set";
    set->operator_count = split(r, names, each, FTSO_COUNT(each));
    set->operators = FTSO_ARRAY(r->arena, const ftso_operator *, set->operator_count);
    for (size_t i = 0; i < set->operator_count; i++)
        FTSO_ASSERT((set->operators[i] = find_op(unit, each[i])));
    return set;
}

/* ---------------------------------------------------------------- spaces */

static ftso_cell_decl *all_previous(rec *r, const char *name, int inputs, int nodes, int stride)
{
    ftso_cell_decl *cell = FTSO_NEW(r->arena, ftso_cell_decl);
    size_t row = (size_t)(inputs + nodes - 1);
    *cell = (ftso_cell_decl){
        .name = name, .input_count = inputs, .node_count = nodes, .input_stride = stride};
    cell->edge_present = FTSO_ARRAY(r->arena, bool, row *(size_t)nodes);
    for (int j = 0; j < nodes; j++)
        for (int from = 0; from < inputs + j; from++)
            cell->edge_present[(size_t)j * row + (size_t)from] = true;
    return cell;
}

static ftso_space *space_of(rec *r, const char *name, size_t cells)
{
    ftso_space *space = FTSO_NEW(r->arena, ftso_space);
    space->name = name;
    space->cells = FTSO_ARRAY(r->arena, ftso_cell_decl *, cells);
    space->cell_count = cells;
    space->stems = FTSO_ARRAY(r->arena, const ftso_opexpr *, 4);
    space->image_channels = 3;
    space->image_side = 32;
    space->classes = 10;
    space->defaults = FTSO_ARRAY(r->arena, ftso_default, 4);
    return space;
}

static void default_rule(ftso_space *space, const char *primitive, const char *arg,
                         const ftso_arith *value_)
{
    space->defaults[space->default_count++] = (ftso_default){.mode = FTSO_SUPERNET,
                                                             .cells_only = true,
                                                             .primitive = primitive,
                                                             .arg = arg,
                                                             .value = value_};
}

ftso_space *rec_darts(rec *r, ftso_unit *unit)
{
    rec_op(r, unit, "none", "C s", "(zero stride=s)");
    rec_op(r, unit, "fr", "C",
           "(> (relu) (| (conv C=C/2 k=1 stride=2) (> (shift dh=1 dw=1) (conv C=C/2 k=1 "
           "stride=2))) (concat) (bn))");
    rec_op(r, unit, "sep", "C s k",
           "(> (relu) (dwconv k=k stride=s) (conv C=C k=1) (bn) (relu) (dwconv k=k) (conv C=C k=1) "
           "(bn))");
    rec_op(r, unit, "dil", "C s k",
           "(> (relu) (dwconv k=k stride=s dilation=2) (conv C=C k=1) (bn))");
    rec_op(r, unit, "relu_conv_bn", "C s k", "(> (relu) (conv C=C k=k stride=s) (bn))");
    rec_op(r, unit, "max_pool_3x3", "C s", "(> (maxpool k=3 stride=s) (super (bn)))");
    rec_op(r, unit, "avg_pool_3x3", "C s", "(> (avgpool k=3 stride=s) (super (bn)))");
    rec_op(r, unit, "skip_connect", "C s", "(? s 1 (identity) (fr C=C))");
    rec_op(r, unit, "sep_conv_3x3", "C s", "(sep C=C s=s k=3)");
    rec_op(r, unit, "sep_conv_5x5", "C s", "(sep C=C s=s k=5)");
    rec_op(r, unit, "sep_conv_7x7", "C s", "(sep C=C s=s k=7)");
    rec_op(r, unit, "dil_conv_3x3", "C s", "(dil C=C s=s k=3)");
    rec_op(r, unit, "dil_conv_5x5", "C s", "(dil C=C s=s k=5)");
    rec_op(r, unit, "nor_conv_1x1", "C s", "(relu_conv_bn C=C s=s k=1)");
    rec_op(r, unit, "nor_conv_3x3", "C s", "(relu_conv_bn C=C s=s k=3)");
    rec_op(r, unit, "max_pool_2x2", "C s", "(> (maxpool k=2 stride=s) (super (bn)))");
    ftso_space *space = space_of(r, "darts", 2);
    space->ops = rec_opset(r, unit,
                           "none max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 "
                           "dil_conv_3x3 dil_conv_5x5");
    for (int i = 0; i < 2; i++) {
        ftso_cell_decl *cell = all_previous(r, i ? "reduce" : "normal", 2, 4, i + 1);
        cell->keep = 2;
        cell->preprocess = rec_expr(r, unit, "(? s 1 (relu_conv_bn C=C s=1 k=1) (fr C=C))");
        space->cells[i] = cell;
    }
    space->stems[space->stem_count++] = rec_expr(r, unit, "(> (conv C=3*channels k=3) (bn))");
    ftso_stack stack = {.layers = 20,
                        .channels = 36,
                        .widen = 2,
                        .normal = space->cells[0],
                        .reduce = space->cells[1],
                        .reduce_num = {1, 2},
                        .reduce_den = {3, 3},
                        .reduce_count = 2};
    space->network = space->supernet = stack;
    space->supernet.layers = 8;
    space->supernet.channels = 16;
    space->head = rec_expr(r, unit, "(> (global_avgpool) (linear C=classes))");
    space->aux_head =
        rec_expr(r, unit,
                 "(> (relu) (avgpool k=5 stride=3 pad=0) (conv C=128 k=1) (bn) (relu) "
                 "(conv C=768 k=2 pad=0) (bn) (relu) (linear C=classes))");
    space->aux_num = 2;
    space->aux_den = 3;
    space->aux_weight = 0.4;
    default_rule(space, "bn", "affine", rec_number(r, 0, 1));
    return space;
}

void rec_partial(rec *r, const ftso_unit *unit, ftso_space *space, int64_t k)
{
    space->constants = FTSO_NEW(r->arena, ftso_arg);
    space->constants[0] = (ftso_arg){.name = "K", .value = rec_number(r, k, 1)};
    space->constant_count = 1;
    const ftso_opexpr *edge = rec_expr(
        r, unit,
        "(? K 1 (candidates C=C s=s) (> (| (> (slice begin=0 end=C/K) (candidates C=C/K s=s)) "
        "(> (slice begin=C/K end=C) (? s 1 (identity) (maxpool k=2 stride=2)))) (concat) (shuffle "
        "groups=K)))");
    for (size_t i = 0; i < space->cell_count; i++) space->cells[i]->edge = edge;
}

ftso_space *rec_nasbench201(rec *r, ftso_unit *unit)
{
    ftso_space *space = space_of(r, "nasbench201", 2);
    space->ops = rec_opset(r, unit, "none skip_connect nor_conv_1x1 nor_conv_3x3 avg_pool_3x3");
    space->cells[0] = all_previous(r, "normal", 1, 3, 1);
    space->cells[0]->output = FTSO_JOIN_LAST;
    space->cells[1] = all_previous(r, "down", 1, 0, 2);
    space->cells[1]->body =
        rec_expr(r, unit,
                 "(> (| (> (relu_conv_bn C=C s=2 k=3) (relu_conv_bn C=C s=1 k=3)) "
                 "(> (avgpool k=2 stride=2) (conv C=C k=1))) (sum))");
    space->stems[space->stem_count++] = rec_expr(r, unit, "(> (conv C=channels k=3) (bn))");
    ftso_stack_item *order = FTSO_ARRAY(r->arena, ftso_stack_item, 17);
    for (int i = 0; i < 17; i++)
        order[i] = (ftso_stack_item){.cell = space->cells[i == 5 || i == 11],
                                     .widen = i < 5    ? 1
                                              : i < 11 ? 2
                                                       : 4};
    space->network = space->supernet =
        (ftso_stack){.channels = 16, .widen = 2, .order = order, .order_count = 17};
    space->head = rec_expr(r, unit, "(> (bn) (relu) (global_avgpool) (linear C=classes))");
    default_rule(space, "bn", "affine", rec_number(r, 0, 1));
    default_rule(space, "conv", "bias", rec_number(r, 1, 1));
    return space;
}

static void found_cell(rec *r, const ftso_unit *unit, const ftso_cell_decl *decl, const char *edges,
                       const char *concat, ftso_cell *out)
{
    const char *words[256];
    size_t count = split(r, edges, words, FTSO_COUNT(words)) / 2;
    *out = (ftso_cell){.decl = decl, .edge_count = count, .node_count = decl->node_count};
    out->edges = FTSO_ARRAY(r->arena, ftso_cell_edge, count + 1);
    out->node_start = FTSO_ARRAY(r->arena, int, (size_t)decl->node_count + 1);
    FTSO_ASSERT(count == (size_t)decl->node_count * 2 || decl->input_count == 1);
    size_t edge = 0;
    for (int j = 0; j < decl->node_count; j++) {
        size_t take = decl->input_count == 1 ? (size_t)j + 1 : 2;
        out->node_start[j] = (int)edge;
        for (size_t i = 0; i < take; i++, edge++) {
            out->edges[edge] =
                (ftso_cell_edge){atoi(words[2 * edge + 1]), find_op(unit, words[2 * edge]), 0.25};
            FTSO_ASSERT(out->edges[edge].op);
        }
    }
    out->node_start[decl->node_count] = (int)edge;
    out->concat_count = split(r, concat, words, FTSO_COUNT(words));
    out->concat = FTSO_ARRAY(r->arena, int, out->concat_count + 1);
    for (size_t i = 0; i < out->concat_count; i++) out->concat[i] = atoi(words[i]);
}

ftso_genotype *rec_genotype(rec *r, const ftso_unit *unit, const ftso_space *space,
                            const char *normal, const char *normal_concat, const char *reduce,
                            const char *reduce_concat)
{
    ftso_genotype *genotype = FTSO_NEW(r->arena, ftso_genotype);
    genotype->name = "genotype";
    genotype->cell_count = reduce ? 2 : 1;
    genotype->cells = FTSO_ARRAY(r->arena, ftso_cell, 2);
    found_cell(r, unit, space->cells[0], normal, normal_concat, &genotype->cells[0]);
    if (reduce) found_cell(r, unit, space->cells[1], reduce, reduce_concat, &genotype->cells[1]);
    return genotype;
}
