/*
 * Operator expressions to nodes: chains, branches, selections, modes, composites, primitives, mixtures.
 *
 * In: an ftso_opexpr, names in scope, values. Out: the value (inside a chain, values) it makes of them.
 * Must hold: a composite leaves no trace but its nodes: names of weights come from places in expressions, never from
 * operators' names, so renaming a composite changes nothing. The first failure is told with its place; NO_VALUE follows.
 */
#include "lower_internal.h"

#include <math.h>
#include <string.h>

/* What flows between the links of a chain: one value, or the branches' values. */
typedef struct values {
    ftso_value *items;
    size_t count;
} values;

static const values nothing;

static values expand(ftso_builder *builder, const ftso_opexpr *expr, const ftso_scope *scope,
                     values inputs);

static values one(ftso_builder *builder, ftso_value value)
{
    if (value == FTSO_NO_VALUE) return nothing;
    values result = {FTSO_NEW(builder->arena, ftso_value), 1};
    result.items[0] = value;
    return result;
}

static bool lookup(const void *user, const char *name, ftso_number *out)
{
    for (const ftso_scope *scope = user; scope; scope = scope->parent)
        for (size_t i = 0; i < scope->count; i++)
            if (!strcmp(scope->names[i].name, name)) {
                *out = scope->names[i].value;
                return true;
            }
    return false;
}

bool ftso_builder_eval(ftso_builder *builder, const ftso_arith *arith, const ftso_scope *scope,
                       ftso_number *out)
{
    ftso_text why;
    const ftso_arith *culprit;
    ftso_text_init(&why);
    bool ok = ftso_arith_eval(arith, lookup, scope, out, &culprit, &why);
    if (!ok) ftso_builder_fail(builder, "E0503", culprit->span, "%s", ftso_text_get(&why));
    ftso_text_deinit(&why);
    return ok;
}

/* ---------------------------------------------------------------- primitives */

/* The rule for an argument that was not given: `in supernet { bn(affine = false) in cells; }`; the last one wins. */
static const ftso_default *find_default(const ftso_builder *builder, const char *primitive,
                                        const char *arg)
{
    const ftso_default *found = NULL;
    for (size_t i = 0; i < builder->space->default_count; i++) {
        const ftso_default *rule = &builder->space->defaults[i];
        if (rule->mode == builder->mode && (!rule->cells_only || builder->in_cell) &&
            !strcmp(rule->primitive, primitive) && !strcmp(rule->arg, arg))
            found = rule;
    }
    return found;
}

static bool argument(ftso_builder *builder, const ftso_opexpr *expr,
                     const ftso_primitive *primitive, const ftso_primitive_param *param,
                     const ftso_scope *scope, double *out)
{
    const ftso_arith *arith = NULL;
    ftso_span span = expr->span;
    for (size_t i = 0; i < expr->arg_count; i++)
        if (!strcmp(expr->args[i].name, param->name)) {
            arith = expr->args[i].value;
            span = expr->args[i].span;
        }
    if (!arith) {
        const ftso_default *rule = find_default(builder, primitive->name, param->name);
        if (rule) {
            arith = rule->value;
            span = rule->span;
            scope = builder->globals;
        }
    }
    if (!arith) {
        *out = param->fallback;
        if (!isnan(*out)) return true;
        ftso_builder_fail(builder, "E0503", span, "%s needs the argument %s", primitive->name,
                          param->name);
        return false;
    }
    ftso_number number;
    if (!ftso_builder_eval(builder, arith, scope, &number)) return false;
    char shown[32], lowest[32], highest[32];
    ftso_double_print(number.value, shown);
    if (param->integral && (number.den ? number.den != 1 : number.value != floor(number.value))) {
        ftso_diag_entry *entry = ftso_builder_fail(builder, "E0503", span, "%s of %s is %s here",
                                                   param->name, primitive->name, shown);
        entry->label = "must be a whole number";
        return false;
    }
    if (!(number.value >= param->lowest && number.value <= param->highest)) {
        ftso_double_print(param->lowest, lowest);
        ftso_double_print(param->highest, highest);
        ftso_diag_entry *entry = ftso_builder_fail(builder, "E0503", span, "%s of %s is %s here",
                                                   param->name, primitive->name, shown);
        entry->label = ftso_format(builder->arena, "must lie between %s and %s", lowest, highest);
        return false;
    }
    *out = number.value;
    return true;
}

static values expand_primitive(ftso_builder *builder, const ftso_opexpr *expr,
                               const ftso_scope *scope, values inputs)
{
    const ftso_primitive *primitive = ftso_primitive_find(expr->name);
    FTSO_ASSERT(primitive);
    double args[FTSO_MAX_PRIMITIVE_PARAMS] = {0};
    for (int i = 0; i < primitive->param_count; i++)
        if (!argument(builder, expr, primitive, &primitive->params[i], scope, &args[i]))
            return nothing;
    if (inputs.count != 1 && !primitive->joins) {
        ftso_diag_entry *entry = ftso_builder_fail(builder, "E0501", expr->span,
                                                   "%s takes one value and gets %zu branches",
                                                   primitive->name, inputs.count);
        entry->help = "join the branches with sum or concat first";
        return nothing;
    }
    builder->graph->origin = (ftso_origin){expr->span, builder->path};
    ftso_text why;
    ftso_text_init(&why);
    const ftso_module module = builder->module;
    builder->module = ftso_module_primitive(builder, module, primitive->name);
    ftso_value value = primitive->lower(builder, inputs.items, inputs.count, args, &why);
    builder->module = module;
    if (value == FTSO_NO_VALUE && !builder->failed) {
        ftso_shape shape = ftso_builder_shape(builder, inputs.items[0]);
        ftso_diag_entry *entry = ftso_builder_fail(builder,
                                                   builder->too_large ? "E0508"
                                                   : primitive->joins ? "E0502"
                                                                      : "E0501",
                                                   expr->span, "%s cannot be applied: %s",
                                                   primitive->name, ftso_text_get(&why));
        ftso_text label;
        ftso_text_init(&label);
        ftso_text_puts(&label, inputs.count > 1 ? "its first operand is " : "its operand is ");
        ftso_shape_print(shape, &label);
        entry->label = ftso_strdup(builder->arena, ftso_text_get(&label));
        ftso_text_deinit(&label);
    }
    ftso_text_deinit(&why);
    return one(builder, value);
}

/* ---------------------------------------------------------------- composites and mixtures */

/* Applies a declared operator with its parameters bound; they see the space's constants beside them. */
static values apply(ftso_builder *builder, const ftso_operator *op, const ftso_name_value *names,
                    size_t count, values inputs)
{
    ftso_scope inner = {builder->globals, names, count};
    return expand(builder, op->body, &inner, inputs);
}

static values expand_composite(ftso_builder *builder, const ftso_opexpr *expr,
                               const ftso_scope *scope, values inputs)
{
    const ftso_operator *op = expr->composite;
    ftso_name_value *names = FTSO_ARRAY(builder->arena, ftso_name_value, op->param_count + 1);
    for (size_t i = 0; i < op->param_count; i++) {
        const ftso_arith *arith = op->params[i].fallback;
        const ftso_scope *from = builder->globals;
        for (size_t k = 0; k < expr->arg_count; k++)
            if (!strcmp(expr->args[k].name, op->params[i].name)) {
                arith = expr->args[k].value;
                from = scope;
            }
        names[i].name = op->params[i].name;
        if (!arith) {
            ftso_builder_fail(builder, "E0503", expr->span, "%s needs the argument %s", op->name,
                              op->params[i].name);
            return nothing;
        }
        if (!ftso_builder_eval(builder, arith, from, &names[i].value)) return nothing;
    }
    const ftso_module module = builder->module;
    builder->module = ftso_module_composite(module);
    inputs = apply(builder, op, names, op->param_count, inputs);
    builder->module = module;
    return inputs;
}

ftso_value ftso_builder_operator(ftso_builder *builder, const ftso_operator *op, ftso_span span,
                                 ftso_number channels, ftso_number stride, ftso_value input)
{
    ftso_name_value *names = FTSO_ARRAY(builder->arena, ftso_name_value, op->param_count + 1);
    for (size_t i = 0; i < op->param_count; i++) {
        const char *name = op->params[i].name;
        names[i].name = name;
        if (!strcmp(name, "C")) {
            names[i].value = channels;
        } else if (!strcmp(name, "s")) {
            names[i].value = stride;
        } else if (!op->params[i].fallback) {
            ftso_diag_entry *entry = ftso_builder_fail(
                builder, "E0510", span,
                "'%s' cannot stand on an edge: nothing gives its parameter %s", op->name, name);
            entry->help =
                "an operator on an edge has the parameters C and s; others need a default";
            return FTSO_NO_VALUE;
        } else if (!ftso_builder_eval(builder, op->params[i].fallback, builder->globals,
                                      &names[i].value)) {
            return FTSO_NO_VALUE;
        }
    }
    values inputs = {&input, 1};
    values result = apply(builder, op, names, op->param_count, inputs);
    if (result.count == 1) return result.items[0];
    if (!builder->failed)
        ftso_builder_fail(builder, "E0502", op->span,
                          "'%s' ends in %zu branches that nothing joins", op->name, result.count);
    return FTSO_NO_VALUE;
}

/* candidates(C, s): the one operator, or the sum of all, each times its share. */
static values expand_candidates(ftso_builder *builder, const ftso_opexpr *expr,
                                const ftso_scope *scope, values inputs)
{
    ftso_number bound[2] = {ftso_number_whole(0), ftso_number_whole(1)};
    for (size_t i = 0; i < expr->arg_count; i++)
        if (!ftso_builder_eval(builder, expr->args[i].value, scope,
                               &bound[!strcmp(expr->args[i].name, "s")]))
            return nothing;
    const ftso_mixture *mixture = builder->mixture;
    if (!mixture || inputs.count != 1) {
        ftso_builder_fail(builder, "E0501", expr->span, "candidates stands outside of an edge");
        return nothing;
    }
    return one(builder, ftso_builder_mixture(builder, mixture, expr->span, bound[0], bound[1],
                                             inputs.items[0]));
}

/* The number, or 1 where it is no whole number that channels or a stride can be. */
static int64_t modest(ftso_number number)
{
    return number.den == 1 && number.num >= 1 && number.num <= 65536 ? number.num : 1;
}

ftso_value ftso_builder_mixture(ftso_builder *builder, const ftso_mixture *mixture, ftso_span span,
                                ftso_number channels, ftso_number stride, ftso_value input)
{
    const ftso_opset *ops = mixture->ops;
    if (ops->operator_count == 1)
        return ftso_builder_operator(builder, ops->operators[0], span, channels, stride, input);
    const char *path = builder->path;
    const ftso_module module = builder->module;
    ftso_term *terms = FTSO_ARRAY(builder->arena, ftso_term, ops->operator_count);
    ftso_text why;
    ftso_text_init(&why);
    size_t count = 0;
    for (; count < ops->operator_count; count++) {
        builder->path = ftso_format(builder->arena, "%s.op.%zu", path, count);
        builder->module = (ftso_module){
            FTSO_MODULE_PLACE, ftso_format(builder->arena, "%s._ops.%zu", module.path, count), ""};
        ftso_value y =
            ftso_builder_operator(builder, ops->operators[count], span, channels, stride, input);
        if (y == FTSO_NO_VALUE) break;
        builder->graph->origin = (ftso_origin){span, builder->path};
        y = ftso_builder_binary(builder, "scale", y, mixture->weights[count], &why);
        if (y == FTSO_NO_VALUE) break;
        const ftso_operator *op = ops->operators[count];
        terms[count] = (ftso_term){y, ftso_format(builder->arena, "'%s'", op->name), op->span};
    }
    builder->path = path;
    builder->module = module;
    builder->graph->origin = (ftso_origin){span, path};
    if (count < ops->operator_count && !builder->failed)
        ftso_builder_fail(builder, "E0508", span, "%s", ftso_text_get(&why));
    ftso_text_deinit(&why);
    if (builder->failed) return FTSO_NO_VALUE;
    return ftso_builder_sum(
        builder, terms, count,
        ftso_builder_expected(builder, input, modest(channels), modest(stride)));
}

ftso_shape ftso_builder_expected(const ftso_builder *builder, ftso_value input, int64_t channels,
                                 int64_t stride)
{
    ftso_shape shape = ftso_builder_shape(builder, input);
    shape.dim[1] = channels;
    for (int i = 2; i < shape.rank; i++) shape.dim[i] = (shape.dim[i] + stride - 1) / stride;
    return shape;
}

/* Tells that `wrong` does not fit to `right`. */
static void refuse_sum(ftso_builder *builder, const ftso_term *wrong, const ftso_term *right)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_text_printf(&text, "%s makes ", wrong->who);
    ftso_shape_print(ftso_builder_shape(builder, wrong->value), &text);
    ftso_text_printf(&text, " and %s ", right->who);
    ftso_shape_print(ftso_builder_shape(builder, right->value), &text);
    ftso_diag_entry *entry =
        ftso_builder_fail(builder, "E0502", wrong->span,
                          "values of different shapes cannot be added: %s", ftso_text_get(&text));
    entry->help = "every operator on an edge makes C channels, and halves the map where s = 2";
    ftso_text_deinit(&text);
}

ftso_value ftso_builder_sum(ftso_builder *builder, const ftso_term *terms, size_t count,
                            ftso_shape expected)
{
    FTSO_ASSERT(count > 0);
    ftso_shape first = ftso_builder_shape(builder, terms[0].value);
    ftso_value *summands = FTSO_ARRAY(builder->arena, ftso_value, count);
    for (size_t i = 0; i < count; i++) {
        ftso_shape other = ftso_builder_shape(builder, terms[i].value);
        summands[i] = terms[i].value;
        if (ftso_shape_equal(first, other)) continue;
        bool first_is_right =
            ftso_shape_equal(first, expected) || !ftso_shape_equal(other, expected);
        refuse_sum(builder, &terms[first_is_right ? i : 0], &terms[first_is_right ? 0 : i]);
        return FTSO_NO_VALUE;
    }
    return ftso_graph_sum(builder->graph, summands, count);
}

/* ---------------------------------------------------------------- structure */

static values expand_chain(ftso_builder *builder, const ftso_opexpr *expr, const ftso_scope *scope,
                           values inputs)
{
    const char *path = builder->path;
    const ftso_module module = builder->module;
    for (size_t i = 0; i < expr->child_count && inputs.count; i++) {
        builder->module = ftso_module_link(builder, module, expr, i);
        if (expr->child_count > 1) builder->path = ftso_format(builder->arena, "%s.%zu", path, i);
        inputs = expand(builder, expr->children[i], scope, inputs);
    }
    builder->path = path;
    builder->module = module;
    return inputs;
}

static values expand_branches(ftso_builder *builder, const ftso_opexpr *expr,
                              const ftso_scope *scope, values inputs)
{
    const char *path = builder->path;
    const ftso_module module = builder->module;
    values result = {FTSO_ARRAY(builder->arena, ftso_value, expr->child_count + 1), 0};
    for (size_t i = 0; i < expr->child_count; i++) {
        builder->path = ftso_format(builder->arena, "%s.%zu", path, i);
        builder->module = ftso_module_branch(builder, module, i);
        values branch = expand(builder, expr->children[i], scope, inputs);
        if (branch.count != 1 && !builder->failed)
            ftso_builder_fail(builder, "E0502", expr->children[i]->span,
                              "a branch ends in %zu branches that nothing joins", branch.count);
        if (builder->failed) return nothing;
        result.items[result.count++] = branch.items[0];
    }
    builder->path = path;
    builder->module = module;
    return result;
}

static values expand(ftso_builder *builder, const ftso_opexpr *expr, const ftso_scope *scope,
                     values inputs)
{
    if (builder->failed) return nothing;
    if (builder->depth >= FTSO_LOWER_MAX_DEPTH) {
        ftso_builder_fail(builder, "E0508", expr->span, "operators are nested more than %d deep",
                          (int)FTSO_LOWER_MAX_DEPTH);
        return nothing;
    }
    builder->depth++;
    values result = nothing;
    ftso_number condition;
    switch (expr->kind) {
    case FTSO_OPEXPR_PRIMITIVE:
        result = expand_primitive(builder, expr, scope, inputs);
        break;
    case FTSO_OPEXPR_COMPOSITE:
        result = expand_composite(builder, expr, scope, inputs);
        break;
    case FTSO_OPEXPR_CANDIDATES:
        result = expand_candidates(builder, expr, scope, inputs);
        break;
    case FTSO_OPEXPR_CHAIN:
        result = expand_chain(builder, expr, scope, inputs);
        break;
    case FTSO_OPEXPR_BRANCHES:
        result = expand_branches(builder, expr, scope, inputs);
        break;
    case FTSO_OPEXPR_SELECT:
        if (ftso_builder_eval(builder, expr->condition, scope, &condition))
            result = expand(builder, expr->children[condition.value != 0 ? 0 : 1], scope, inputs);
        break;
    case FTSO_OPEXPR_MODE:
        result = expr->mode == builder->mode ? expand(builder, expr->children[0], scope, inputs)
                                             : inputs;
        break;
    }
    builder->depth--;
    return builder->failed ? nothing : result;
}

ftso_value ftso_builder_expand(ftso_builder *builder, const ftso_opexpr *expr,
                               const ftso_scope *scope, const ftso_value *inputs,
                               size_t input_count)
{
    ftso_value *copy = FTSO_ARRAY(builder->arena, ftso_value, input_count + 1);
    memcpy(copy, inputs, input_count * sizeof(*copy));
    values result = expand(builder, expr, scope, (values){copy, input_count});
    if (result.count == 1) return result.items[0];
    if (!builder->failed)
        ftso_builder_fail(builder, "E0502", expr->span,
                          "this ends in %zu branches that nothing joins", result.count);
    return FTSO_NO_VALUE;
}
