/*
 * Recipes: data sets and searches, and what trainings (sema_train.c) share with them. In: their blocks. Out: ftso_dataset,
 * ftso_search.
 * Every number has a range; what is not given takes the default that docs/language.md names.
 */
#include "sema_internal.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- optimisers and schedules */

static bool read_lr(ftso_sema *sema, const ftso_ast_node *node, ftso_lr *lr)
{
    static const struct {
        const char *name;
        ftso_schedule_kind kind;
        size_t count;
        ftso_call_param params[4];
    } schedules[] = {
        {"cosine",
         FTSO_LR_COSINE,
         3,
         {{"from", NAN, 1e-12, 1000, false},
          {"to", 0, 0, 1000, false},
          {"warmup", 0, 0, 1e6, true}}},
        {"linear",
         FTSO_LR_LINEAR,
         4,
         {{"from", NAN, 1e-12, 1000, false},
          {"to", 0, 0, 1000, false},
          {"warmup", 0, 0, 1e6, true},
          {"tail", 0, 0, 1e6, true}}},
        {"exponential",
         FTSO_LR_EXPONENTIAL,
         3,
         {{"from", NAN, 1e-12, 1000, false},
          {"factor", NAN, 1e-6, 1, false},
          {"warmup", 0, 0, 1e6, true}}},
    };
    if (node->kind != FTSO_AST_CALL) {
        lr->kind = FTSO_LR_CONSTANT;
        bool ok = ftso_sema_real(sema, node, "the learning rate", 1e-12, 1000, &lr->first);
        lr->last = lr->first;
        return ok;
    }
    const char *names[FTSO_COUNT(schedules)];
    for (size_t i = 0; i < FTSO_COUNT(schedules); i++) {
        names[i] = schedules[i].name;
        if (strcmp(node->text, names[i]) != 0) continue;
        double values[4] = {0};
        lr->kind = schedules[i].kind;
        if (!ftso_sema_call_numbers(sema, node, schedules[i].params, schedules[i].count, values))
            return false;
        lr->first = values[0];
        lr->last = values[1];
        lr->warmup = (int64_t)values[2];
        lr->tail = (int64_t)values[3];
        return true;
    }
    ftso_diag_error(sema->diag, "E0801", node->text_span, "there is no schedule `%s`", node->text)
        ->help = ftso_sema_nearest(sema, node->text, names, FTSO_COUNT(schedules),
                                   "schedules are cosine, linear, exponential, or a number");
    return false;
}

static bool read_betas(ftso_sema *sema, const ftso_ast_node *node, ftso_optimizer *out)
{
    if (node->kind != FTSO_AST_LIST || node->child_count != 2) {
        ftso_sema_wrong_type(sema, node, "`betas`", "a list of two numbers");
        return false;
    }
    return ftso_sema_real(sema, node->children[0], "the first beta", 0, 0.999999, &out->beta1) &&
           ftso_sema_real(sema, node->children[1], "the second beta", 0, 0.999999999, &out->beta2);
}

bool ftso_sema_optimizer(ftso_sema *sema, const ftso_ast_node *node, ftso_optimizer *out)
{
    static const char *const names[] = {"sgd", "adam"};
    static const char *const sgd[] = {"lr", "momentum", "weight_decay", "clip", "nesterov"};
    static const char *const adam[] = {"lr", "betas", "weight_decay", "clip", "eps"};
    *out = (ftso_optimizer){
        .kind = FTSO_SGD, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .span = node->span};
    if (node->kind != FTSO_AST_CALL) {
        ftso_sema_wrong_type(sema, node, "an optimiser", "`sgd(lr = …)` or `adam(lr = …)`");
        return false;
    }
    if (strcmp(node->text, names[0]) != 0 && strcmp(node->text, names[1]) != 0) {
        ftso_diag_error(sema->diag, "E0802", node->text_span, "there is no optimiser `%s`",
                        node->text)
            ->help = ftso_sema_nearest(sema, node->text, names, 2, "optimisers are sgd and adam");
        return false;
    }
    bool is_adam = !strcmp(node->text, "adam");
    out->kind = is_adam ? FTSO_ADAM : FTSO_SGD;
    const ftso_ast_node *nodes[5];
    if (!ftso_sema_bind(sema, node, is_adam ? adam : sgd, 5, nodes)) return false;
    if (!nodes[0]) {
        ftso_diag_error(sema->diag, "E0212", node->text_span, "`%s` needs `lr`", node->text)->help =
            "add `lr = …`";
        return false;
    }
    bool ok = read_lr(sema, nodes[0], &out->lr);
    if (nodes[1]) {
        ok =
            (is_adam ? read_betas(sema, nodes[1], out)
                     : ftso_sema_real(sema, nodes[1], "`momentum`", 0, 0.999999, &out->momentum)) &&
            ok;
    }
    if (nodes[2])
        ok = ftso_sema_real(sema, nodes[2], "`weight_decay`", 0, 10, &out->weight_decay) && ok;
    if (nodes[3]) ok = ftso_sema_real(sema, nodes[3], "`clip`", 0, 1e9, &out->clip) && ok;
    if (nodes[4]) {
        ok = (is_adam ? ftso_sema_real(sema, nodes[4], "`eps`", 1e-16, 1, &out->eps)
                      : ftso_sema_flag(sema, nodes[4], "`nesterov`", &out->nesterov)) &&
             ok;
    }
    return ok;
}

/* ---------------------------------------------------------------- data sets */

enum { MAX_CLASSES = 100000 };

static bool read_step(ftso_sema *sema, const ftso_ast_node *node, const ftso_dataset *dataset,
                      bool can_normalize, ftso_augment *out)
{
    if (node->kind != FTSO_AST_NAME && node->kind != FTSO_AST_CALL) {
        ftso_sema_wrong_type(sema, node, "a step of a transform",
                             "a call such as `crop(32, pad = 4)`");
        return false;
    }
    size_t count;
    const ftso_augment_row *rows = ftso_augment_rows(&count);
    const char **names = FTSO_ARRAY(sema->arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        names[i] = rows[i].name;
        if (strcmp(node->text, names[i]) != 0) continue;
        *out = (ftso_augment){.kind = (ftso_augment_kind)i, .arg_count = rows[i].param_count};
        if (out->kind != FTSO_AUG_NORMALIZE)
            return ftso_sema_call_numbers(sema, node, rows[i].params, rows[i].param_count,
                                          out->args);
        if (!can_normalize) {
            ftso_diag_error(sema->diag, "E0804", node->span,
                            "`normalize` needs the data set's `mean` and `std`")
                ->help = "add `mean = [ … ];` and `std = [ … ];`, one number per channel";
            return false;
        }
        for (int64_t c = 0; c < dataset->channels && c < 4; c++) {
            out->args[out->arg_count++] = dataset->mean[c];
        }
        for (int64_t c = 0; c < dataset->channels && c < 4; c++) {
            out->args[out->arg_count++] = dataset->std[c];
        }
        return ftso_sema_call_numbers(sema, node, rows[i].params, 0, out->args);
    }
    ftso_diag_error(sema->diag, "E0803", node->text_span, "there is no transform `%s`", node->text)
        ->help = ftso_sema_nearest(sema, node->text, names, count,
                                   "transforms are crop, flip, cutout, normalize, resized_crop, "
                                   "color_jitter, resize, center_crop");
    return false;
}

/* That the last step of a size makes images as `image` says, and that a test has no chance in it. */
static void check_steps(ftso_sema *sema, const ftso_ast_item *item, const ftso_dataset *dataset,
                        const ftso_transform *transform, const ftso_span *spans)
{
    size_t count, last = SIZE_MAX, at;
    const ftso_augment_row *rows = ftso_augment_rows(&count);
    bool test = strcmp(item->word, "test") == 0;
    for (size_t i = 0; i < transform->count; i++) {
        const ftso_augment *step = &transform->steps[i];
        if (rows[step->kind].sides) last = i;
        if (step->kind == FTSO_AUG_CUTOUT && step->args[0] > (double)dataset->side) {
            ftso_diag_error(sema->diag, "E0805", spans[i], "the cutout is larger than the image");
        }
        if (test && rows[step->kind].random) {
            ftso_diag_error(sema->diag, "E0817", spans[i],
                            "`%s` leaves something to chance, and a test is the same every time",
                            rows[step->kind].name)
                ->help = "tests take resize, center_crop and normalize";
        }
    }
    const char *fault = ftso_transform_fault(transform, &at);
    if (fault) ftso_diag_error(sema->diag, "E0816", spans[at], "%s", fault);
    if (last == SIZE_MAX || !dataset->side) return;
    int64_t side = (int64_t)transform->steps[last].args[0];
    if (side == dataset->side) return;
    ftso_diag_error(sema->diag, "E0805", spans[last],
                    "the images come out %lld wide, and `image` says %lld", (long long)side,
                    (long long)dataset->side)
        ->help = "let the last crop have the side that `image` says";
}

/* a -> b -> c */
static void read_transform(ftso_sema *sema, const ftso_ast_item *item, const ftso_dataset *dataset,
                           bool can_normalize, ftso_transform *out)
{
    if (!item) return;
    const ftso_ast_node *value = item->value;
    bool chain = value->kind == FTSO_AST_CHAIN;
    size_t count = chain ? value->child_count : 1;
    ftso_span spans[FTSO_AUG_MAX];
    if (count > FTSO_AUG_MAX) {
        ftso_diag_error(sema->diag, "E0816", value->span, "%zu steps; a transform has at most %d",
                        count, FTSO_AUG_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const ftso_ast_node *node = chain ? value->children[i] : value;
        ftso_augment *step = &out->steps[out->count];
        if (!read_step(sema, node, dataset, can_normalize, step)) continue;
        spans[out->count++] = node->span;
    }
    if (out->count == count) check_steps(sema, item, dataset, out, spans);
}

static bool read_per_channel(ftso_sema *sema, const ftso_ast_item *item, int64_t channels,
                             double lowest, double *out)
{
    const ftso_ast_node *list = item->value;
    const char *what = ftso_format(sema->arena, "`%s`", item->word);
    if (list->kind != FTSO_AST_LIST) {
        ftso_sema_wrong_type(sema, list, what, "a list of numbers");
        return false;
    }
    if ((int64_t)list->child_count != channels || channels > 4) {
        ftso_diag_error(sema->diag, "E0806", list->span, "%s has %zu number%s for %lld channel%s",
                        what, list->child_count, list->child_count == 1 ? "" : "s",
                        (long long)channels, channels == 1 ? "" : "s")
            ->help = "give one number per channel, at most 4";
        return false;
    }
    for (size_t i = 0; i < list->child_count; i++) {
        if (!ftso_sema_real(sema, list->children[i], what, lowest, 1000, &out[i])) return false;
    }
    return true;
}

static int by_text(const void *a, const void *b)
{
    const ftso_ast_node *const *one = a, *const *other = b;
    int order = strcmp((*one)->text, (*other)->text);
    return order ? order : (*one)->span.begin < (*other)->span.begin ? -1 : 1;
}

static bool name_of_a_class(ftso_sema *sema, const ftso_ast_node *node)
{
    if (node->kind != FTSO_AST_STRING) {
        ftso_sema_wrong_type(sema, node, "the name of a class", "a string such as \"cat\"");
        return false;
    }
    if (node->text[0] && !strpbrk(node->text, "\n\r")) return true;
    ftso_diag_error(sema->diag, "E0818", node->span, "a class without a name in one line")->help =
        "each class has a name of its own";
    return false;
}

/* `classes = 10`, or the names of the classes in the order of their labels. */
static void read_classes(ftso_sema *sema, const ftso_ast_node *value, ftso_dataset *dataset)
{
    if (value->kind != FTSO_AST_LIST) {
        ftso_sema_whole(sema, value, "`classes`", 2, MAX_CLASSES, &dataset->classes);
        return;
    }
    size_t count = value->child_count;
    if (count < 2 || count > MAX_CLASSES) {
        ftso_diag_error(sema->diag, "E0818", value->span, "`classes` has %zu name%s", count,
                        count == 1 ? "" : "s")
            ->help = "there are 2 to 100000 classes";
        return;
    }
    const char **names = FTSO_ARRAY(sema->arena, const char *, count);
    const ftso_ast_node **sorted = FTSO_ARRAY(sema->arena, const ftso_ast_node *, count);
    for (size_t i = 0; i < count; i++) {
        if (!name_of_a_class(sema, value->children[i])) return;
        names[i] = value->children[i]->text;
        sorted[i] = value->children[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_text);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) != 0) continue;
        ftso_diag_entry *entry = ftso_diag_error(sema->diag, "E0818", sorted[i]->span,
                                                 "two classes are named \"%s\"", sorted[i]->text);
        entry->help = "each class has a name of its own";
        entry->note_span = sorted[i - 1]->span;
        entry->note = "the first one";
        return;
    }
    dataset->classes = (int64_t)count;
    dataset->class_names = names;
}

static void read_images(ftso_sema *sema, const ftso_ast_item *item, ftso_dataset *dataset)
{
    const ftso_ast_node *list = item->value;
    if (list->kind != FTSO_AST_LIST || list->child_count != 2) {
        ftso_sema_wrong_type(sema, list, "`images`", "a list `[training, test]`");
        return;
    }
    ftso_sema_whole(sema, list->children[0], "the number of training images", 1, 1000000000,
                    &dataset->train_images);
    ftso_sema_whole(sema, list->children[1], "the number of test images", 0, 1000000000,
                    &dataset->test_images);
}

void ftso_sema_dataset(ftso_sema *sema, ftso_symbol *symbol)
{
    static const ftso_key keys[] = {
        {"kind", FTSO_FORM_VALUE, 0, false, "kind = cifar10;"},
        {"path", FTSO_FORM_VALUE, 0, false, "path = \"FOLDER\";"},
        {"image", FTSO_FORM_VALUE, 0, false, "image = [3, 32, 32];"},
        {"classes", FTSO_FORM_VALUE, 0, false, "classes = 10;"},
        {"images", FTSO_FORM_VALUE, 0, false, "images = [50000, 10000];"},
        {"mean", FTSO_FORM_VALUE, 0, false, "mean = [0.5, 0.5, 0.5];"},
        {"std", FTSO_FORM_VALUE, 0, false, "std = [0.25, 0.25, 0.25];"},
        {"train", FTSO_FORM_VALUE, 0, false, "train = crop(32, pad = 4) -> flip -> normalize;"},
        {"test", FTSO_FORM_VALUE, 0, false, "test = normalize;"},
    };
    size_t errors = sema->diag->error_count;
    const ftso_ast_items *items = &symbol->item->block;
    ftso_sema_check_block(sema, items, "a dataset", keys, FTSO_COUNT(keys), false);
    ftso_block block = {items, NULL, ftso_format(sema->arena, "dataset `%s`", symbol->name),
                        symbol->span};
    ftso_dataset *dataset = FTSO_NEW(sema->arena, ftso_dataset);
    dataset->name = symbol->name;
    dataset->span = symbol->span;
    const ftso_ast_item *item = ftso_block_get(sema, &block, "kind", keys[0].usage);
    if (item && item->value->kind == FTSO_AST_NAME) {
        dataset->kind = item->value->text;
        dataset->kind_span = item->value->span;
    } else if (item) {
        ftso_sema_wrong_type(sema, item->value, "`kind`", "a name such as cifar10 or idx");
    }
    item = ftso_block_get(sema, &block, "path", keys[1].usage);
    if (item && item->value->kind == FTSO_AST_STRING) {
        dataset->path = item->value->text;
    } else if (item) {
        ftso_sema_wrong_type(sema, item->value, "`path`", "a string");
    }
    item = ftso_block_get(sema, &block, "image", keys[2].usage);
    bool shaped = item && ftso_sema_image(sema, item->value, &dataset->channels, &dataset->side);
    item = ftso_block_get(sema, &block, "classes", keys[3].usage);
    if (item) read_classes(sema, item->value, dataset);
    if ((item = ftso_block_find(&block, "images", NULL))) read_images(sema, item, dataset);
    const ftso_ast_item *mean = ftso_block_find(&block, "mean", NULL),
                        *std = ftso_block_find(&block, "std", NULL);
    if (mean && shaped) read_per_channel(sema, mean, dataset->channels, -1000, dataset->mean);
    if (std && shaped) read_per_channel(sema, std, dataset->channels, 1e-6, dataset->std);
    read_transform(sema, ftso_block_find(&block, "train", NULL), dataset, mean && std,
                   &dataset->train);
    read_transform(sema, ftso_block_find(&block, "test", NULL), dataset, mean && std,
                   &dataset->test);
    if (sema->diag->error_count == errors) symbol->record = dataset;
}

/* ---------------------------------------------------------------- shared by search and train */

void *ftso_sema_refer_value(ftso_sema *sema, const ftso_ast_item *item, ftso_symbol_kind kind)
{
    if (!item) return NULL;
    if (item->value->kind != FTSO_AST_NAME) {
        ftso_sema_wrong_type(
            sema, item->value, ftso_format(sema->arena, "`%s`", item->word),
            ftso_format(sema->arena, "the name of a %s", ftso_symbol_kind_name(kind)));
        return NULL;
    }
    ftso_symbol *symbol = ftso_sema_refer(sema, kind, item->value->text, item->value->span);
    return symbol ? symbol->record : NULL;
}

/* space = darts; or space = darts(K = 4); */
const ftso_space *ftso_sema_space_value(ftso_sema *sema, const ftso_ast_item *item,
                                        ftso_arg **out_args, size_t *out_count)
{
    if (!item) return NULL;
    if (item->value->kind != FTSO_AST_CALL)
        return ftso_sema_refer_value(sema, item, FTSO_SYMBOL_SPACE);
    const ftso_ast_node *call = item->value;
    ftso_symbol *symbol = ftso_sema_refer(sema, FTSO_SYMBOL_SPACE, call->text, call->text_span);
    if (!symbol || !symbol->record) return NULL;
    const ftso_space *space = symbol->record;
    const char **names = FTSO_ARRAY(sema->arena, const char *, space->constant_count);
    const ftso_ast_node **nodes =
        FTSO_ARRAY(sema->arena, const ftso_ast_node *, space->constant_count);
    for (size_t i = 0; i < space->constant_count; i++) names[i] = space->constants[i].name;
    if (!ftso_sema_bind(sema, call, names, space->constant_count, nodes)) return NULL;
    *out_args = FTSO_ARRAY(sema->arena, ftso_arg, space->constant_count);
    for (size_t i = 0; i < space->constant_count; i++) {
        if (!nodes[i]) continue;
        ftso_type type;
        const ftso_arith *value = ftso_sema_arith(sema, nodes[i], NULL, &type);
        if (!value) return NULL;
        (*out_args)[(*out_count)++] = (ftso_arg){names[i], value, nodes[i]->span};
    }
    return space;
}

/* 1 epoch, 3 iterations. */
bool ftso_sema_span_of_time(ftso_sema *sema, const ftso_ast_node *node, const char *what,
                            bool iterations, int64_t *out, ftso_budget_unit *out_unit)
{
    bool epochs = node->kind == FTSO_AST_NUMBER && node->unit &&
                  (!strcmp(node->unit, "epoch") || !strcmp(node->unit, "epochs"));
    bool steps = node->kind == FTSO_AST_NUMBER && node->unit &&
                 (!strcmp(node->unit, "iteration") || !strcmp(node->unit, "iterations"));
    const char *wanted = iterations ? "`1 epoch` or `3 iterations`" : "`50 epochs`";
    if (!epochs && !(steps && iterations)) {
        ftso_diag_error(sema->diag, "E0303", node->span, "%s is a number of epochs%s", what,
                        iterations ? " or iterations" : "")
            ->help = ftso_format(sema->arena, "write %s", wanted);
        return false;
    }
    ftso_ast_node plain = *node;
    plain.unit = NULL;
    if (!ftso_sema_whole(sema, &plain, what, 1, 1000000000, out)) return false;
    *out_unit = steps ? FTSO_ITERATIONS : FTSO_EPOCHS;
    return true;
}

/* ---------------------------------------------------------------- search */

static void read_topology(ftso_sema *sema, const ftso_block *block, ftso_search *search)
{
    static const char *const normals[] = {"softmax", "raw"};
    static const ftso_key keys[] = {
        {"ops", FTSO_FORM_VALUE, 0, false, "ops = { skip_connect };"},
        {"budget", FTSO_FORM_VALUE, 0, false, "budget = 1 epoch;"},
        {"schedule", FTSO_FORM_VALUE, 0, false, "schedule = 50 epochs;"},
        {"normalize", FTSO_FORM_VALUE, 0, false, "normalize = softmax;"},
        {"init", FTSO_FORM_VALUE, 0, false, "init = 1e-3;"},
        {"freeze", FTSO_FORM_VALUE, 0, false, "freeze = 15 epochs;"},
    };
    const ftso_ast_item *topology = ftso_block_get(
        sema, block, "topology", "topology { ops = { skip_connect }; budget = 1 epoch; }");
    if (!topology) return;
    ftso_sema_check_block(sema, &topology->block, "`topology`", keys, FTSO_COUNT(keys), false);
    ftso_block in = {&topology->block, NULL, "`topology`", topology->word_span};
    const ftso_ast_item *item = ftso_block_get(sema, &in, "ops", keys[0].usage);
    if (item && item->value->kind == FTSO_AST_SET) {
        search->topology_ops =
            ftso_sema_opset_value(sema, item->value, "topology", item->value->span);
    } else {
        search->topology_ops = ftso_sema_refer_value(sema, item, FTSO_SYMBOL_OPSET);
    }
    search->budget = 1;
    search->budget_unit = FTSO_EPOCHS;
    if ((item = ftso_block_find(&in, "budget", NULL))) {
        ftso_sema_span_of_time(sema, item->value, "`budget`", true, &search->budget,
                               &search->budget_unit);
    }
    ftso_budget_unit unit;
    if ((item = ftso_block_find(&in, "schedule", NULL))) {
        ftso_sema_span_of_time(sema, item->value, "`schedule`", false, &search->schedule_epochs,
                               &unit);
    }
    if ((item = ftso_block_find(&in, "freeze", NULL))) {
        ftso_sema_span_of_time(sema, item->value, "`freeze`", false, &search->freeze_epochs, &unit);
    }
    if ((item = ftso_block_find(&in, "normalize", NULL))) {
        search->normalize = ftso_sema_word(sema, item->value, "`normalize`", normals, 2) == 1
                                ? FTSO_NORMALIZE_RAW
                                : FTSO_NORMALIZE_SOFTMAX;
    }
    if ((item = ftso_block_find(&in, "init", NULL)))
        ftso_sema_real(sema, item->value, "`init`", 0, 10, &search->init_std);
}

/* operators = replace(sep_conv_3x3); */
static void read_operators(ftso_sema *sema, const ftso_ast_item *item, ftso_search *search)
{
    if (!item) return;
    const ftso_ast_node *call = item->value;
    if (call->kind != FTSO_AST_CALL || strcmp(call->text, "replace") != 0) {
        ftso_diag_error(sema->diag, "E0807", call->span,
                        "this is no strategy for choosing operators")
            ->help = "write `replace(sep_conv_3x3)`: that operator on every kept edge";
        return;
    }
    if (call->child_count != 1 || call->children[0]->kind != FTSO_AST_NAME) {
        ftso_diag_error(sema->diag, "E0807", call->span, "`replace` takes the name of one operator")
            ->help = "write `replace(sep_conv_3x3)`";
        return;
    }
    search->replace =
        ftso_sema_edge_operator(sema, call->children[0]->text, call->children[0]->span);
}

static void read_split(ftso_sema *sema, const ftso_ast_item *item, ftso_search *search)
{
    search->train_portion = 0.5;
    if (!item) return;
    const ftso_ast_node *list = item->value;
    ftso_number parts[2];
    if (list->kind != FTSO_AST_LIST || list->child_count != 2) {
        ftso_sema_wrong_type(sema, list, "`split`", "a list `[50%, 50%]`");
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (!ftso_sema_constant(sema, list->children[i], "a part of `split`", &parts[i])) return;
    }
    if (!(parts[0].value > 0 && parts[1].value > 0) ||
        fabs(parts[0].value + parts[1].value - 1) > 1e-9) {
        ftso_diag_error(sema->diag, "E0808", list->span, "the parts of `split` do not make 100%%")
            ->help = "two parts above 0, for weights and for architecture: `[50%, 50%]`";
        return;
    }
    search->train_portion = parts[0].value;
}

static void read_seeds(ftso_sema *sema, const ftso_ast_item *item, ftso_search *search)
{
    enum { MAX_SEEDS = 1024 };
    const ftso_ast_node *list = item ? item->value : NULL;
    if (list &&
        (list->kind != FTSO_AST_LIST || !list->child_count || list->child_count > MAX_SEEDS)) {
        ftso_sema_wrong_type(sema, list, "`seeds`", "a list of 1 to 1024 whole numbers");
        return;
    }
    search->seeds = FTSO_ARRAY(sema->arena, uint64_t, list ? list->child_count : 1);
    search->seed_count = list ? list->child_count : 1;
    for (size_t i = 0; list && i < list->child_count; i++) {
        int64_t seed = 0;
        if (!ftso_sema_whole(sema, list->children[i], "a seed", 0, (int64_t)1 << 53, &seed)) return;
        search->seeds[i] = (uint64_t)seed;
        for (size_t k = 0; k < i; k++) {
            if (search->seeds[k] != (uint64_t)seed) continue;
            ftso_diag_error(sema->diag, "E0810", list->children[i]->span,
                            "seed %lld is in the list twice", (long long)seed)
                ->help = "the same seed finds the same cell; take one out";
            return;
        }
    }
}

/* select = first; or select = best(val_loss); */
static void read_select(ftso_sema *sema, const ftso_ast_item *item, ftso_search *search)
{
    if (!item) return;
    const ftso_ast_node *node = item->value;
    if (node->kind == FTSO_AST_NAME && !strcmp(node->text, "first")) return;
    search->select_best = node->kind == FTSO_AST_CALL && !strcmp(node->text, "best") &&
                          node->child_count == 1 && node->children[0]->kind == FTSO_AST_NAME &&
                          !strcmp(node->children[0]->text, "val_loss");
    if (search->select_best) return;
    ftso_diag_error(sema->diag, "E0809", node->span, "this does not say which seed's cell to take")
        ->help = "write `first`, or `best(val_loss)`";
}

void ftso_sema_check_batch(ftso_sema *sema, const ftso_ast_item *item, int64_t batch,
                           const ftso_dataset *dataset, double portion)
{
    if (!item || !dataset || !dataset->train_images) return;
    double smaller = portion < 0.5 ? portion : 1 - portion;
    int64_t limit =
        portion >= 1 ? dataset->train_images : (int64_t)((double)dataset->train_images * smaller);
    if (batch <= limit) return;
    ftso_diag_error(sema->diag, "E0811", item->value->span,
                    "a batch of %lld is larger than the data: %lld images", (long long)batch,
                    (long long)limit)
        ->help = portion >= 1 ? "take a smaller batch"
                              : "take a smaller batch; `split` divides the training images in two";
}

const ftso_arith *ftso_sema_require(ftso_sema *sema, const ftso_ast_item *item)
{
    static const char *const known[] = {"params", "macs"};
    static const ftso_names names = {.names = known, .count = FTSO_COUNT(known), .closed = true};
    return item ? ftso_sema_truth(sema, item->value, &names) : NULL;
}

ftso_element ftso_sema_precision(ftso_sema *sema, const ftso_block *block)
{
    const ftso_ast_item *item = ftso_block_find(block, "precision", NULL);
    size_t count;
    const char *const *names = ftso_element_names(&count);
    int index = item ? ftso_sema_word(sema, item->value, "`precision`", names, count) : -1;
    return index < 0 ? FTSO_ELEMENT_FP32 : (ftso_element)index;
}

void ftso_sema_search(ftso_sema *sema, ftso_symbol *symbol)
{
    static const ftso_key keys[] = {
        {"space", FTSO_FORM_VALUE, 0, false, "space = SPACE;"},
        {"dataset", FTSO_FORM_VALUE, 0, false, "dataset = DATASET;"},
        {"method", FTSO_FORM_VALUE, 0, false, "method = ftso;"},
        {"topology", FTSO_FORM_BLOCK, 0, false, "topology { … }"},
        {"operators", FTSO_FORM_VALUE, 0, false, "operators = replace(OPERATOR);"},
        {"split", FTSO_FORM_VALUE, 0, false, "split = [50%, 50%];"},
        {"batch", FTSO_FORM_VALUE, 0, false, "batch = 256;"},
        {"weights", FTSO_FORM_VALUE, 0, false,
         "weights = sgd(lr = cosine(0.1, 0), momentum = 0.9);"},
        {"arch", FTSO_FORM_VALUE, 0, false, "arch = adam(lr = 6e-4, betas = [0.5, 0.999]);"},
        {"augment_valid", FTSO_FORM_VALUE, 0, false, "augment_valid = true;"},
        {"seeds", FTSO_FORM_VALUE, 0, false, "seeds = [0, 1, 2];"},
        {"select", FTSO_FORM_VALUE, 0, false, "select = first;"},
        {"precision", FTSO_FORM_VALUE, 0, false, "precision = fp32;"},
        {"require", FTSO_FORM_VALUE, 0, false, "require = params <= 5 M;"},
    };
    size_t errors = sema->diag->error_count;
    const ftso_ast_items *items = &symbol->item->block;
    ftso_sema_check_block(sema, items, "a search", keys, FTSO_COUNT(keys), false);
    ftso_block block = {items, NULL, ftso_format(sema->arena, "search `%s`", symbol->name),
                        symbol->span};
    ftso_search *search = FTSO_NEW(sema->arena, ftso_search);
    search->name = symbol->name;
    search->span = symbol->span;
    search->method = "ftso";
    search->method_span = symbol->span;
    search->init_std = 1e-3;
    search->augment_valid = true;
    search->space =
        ftso_sema_space_value(sema, ftso_block_get(sema, &block, "space", keys[0].usage),
                              &search->parameters, &search->parameter_count);
    search->dataset = ftso_sema_refer_value(
        sema, ftso_block_get(sema, &block, "dataset", keys[1].usage), FTSO_SYMBOL_DATASET);
    const ftso_ast_item *item = ftso_block_find(&block, "method", NULL);
    if (item && item->value->kind == FTSO_AST_NAME) {
        search->method = item->value->text;
        search->method_span = item->value->span;
    } else if (item) {
        ftso_sema_wrong_type(sema, item->value, "`method`", "a name such as ftso or random");
    }
    read_topology(sema, &block, search);
    read_operators(sema, ftso_block_get(sema, &block, "operators", keys[4].usage), search);
    read_split(sema, ftso_block_find(&block, "split", NULL), search);
    item = ftso_block_get(sema, &block, "batch", keys[6].usage);
    if (item && ftso_sema_whole(sema, item->value, "`batch`", 1, 1000000, &search->batch)) {
        ftso_sema_check_batch(sema, item, search->batch, search->dataset, search->train_portion);
    }
    item = ftso_block_get(sema, &block, "weights", keys[7].usage);
    if (item) ftso_sema_optimizer(sema, item->value, &search->weights);
    item = ftso_block_get(sema, &block, "arch", keys[8].usage);
    if (item) ftso_sema_optimizer(sema, item->value, &search->arch);
    if ((item = ftso_block_find(&block, "augment_valid", NULL))) {
        ftso_sema_flag(sema, item->value, "`augment_valid`", &search->augment_valid);
    }
    read_seeds(sema, ftso_block_find(&block, "seeds", NULL), search);
    read_select(sema, ftso_block_find(&block, "select", NULL), search);
    search->precision = ftso_sema_precision(sema, &block);
    search->require = ftso_sema_require(sema, ftso_block_find(&block, "require", NULL));
    if (sema->diag->error_count == errors && search->space && search->dataset &&
        search->topology_ops && search->replace) {
        symbol->record = search;
    }
}

/* ---------------------------------------------------------------- names of other folders' tables */

static void check_word(ftso_diag *diag, const char *code, ftso_span span, const char *what,
                       const char *name, const char *const *known, size_t count)
{
    ftso_text all;
    ftso_text_init(&all);
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(known[i], name)) {
            ftso_text_deinit(&all);
            return;
        }
        ftso_text_printf(&all, "%s%s", i ? ", " : "", known[i]);
    }
    const char *nearest = ftso_nearest_name(name, known, count);
    ftso_diag_error(diag, code, span, "there is no %s `%s`", what, name)->help =
        nearest ? ftso_format(diag->arena, "did you mean `%s`?", nearest)
                : ftso_format(diag->arena, "there are: %s", ftso_text_get(&all));
    ftso_text_deinit(&all);
}

void ftso_check_words(ftso_diag *diag, const ftso_unit *unit, const ftso_words *words)
{
    for (size_t i = 0; words->kinds && i < unit->dataset_count; i++) {
        const ftso_dataset *dataset = unit->datasets[i];
        check_word(diag, "E0815", dataset->kind_span, "kind of data set", dataset->kind,
                   words->kinds, words->kind_count);
    }
    for (size_t i = 0; i < unit->search_count; i++) {
        const ftso_search *search = unit->searches[i];
        check_word(diag, "E0814", search->method_span, "method of search", search->method,
                   words->methods, words->method_count);
    }
}
