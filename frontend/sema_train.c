/*
 * Recipes for found networks. In: a `train` block. Out: ftso_train; what is not given takes the default that docs/language.md
 * names.
 */
#include "sema_internal.h"

enum { DEFAULT_KEEP = 3 };

/* Whether a cell found in one space can be built in the other: its cells have the same names, inputs and nodes. */
static bool fits(const ftso_genotype *genotype, const ftso_space *space)
{
    for (size_t i = 0; i < space->cell_count; i++) {
        const ftso_cell_decl *decl = space->cells[i];
        bool found = decl->body != NULL;
        for (size_t k = 0; k < genotype->cell_count && !found; k++) {
            const ftso_cell_decl *own = genotype->cells[k].decl;
            found = !strcmp(own->name, decl->name) && own->input_count == decl->input_count &&
                    own->node_count == decl->node_count;
        }
        if (!found) return false;
    }
    return true;
}

/* Length and base width of the network, where they are not the space's. */
static void read_size(ftso_sema *sema, const ftso_block *block, ftso_train *train)
{
    const ftso_ast_item *item = ftso_block_find(block, "layers", NULL);
    if (item && ftso_sema_whole(sema, item->value, "`layers`", 1, 1000, &train->layers) &&
        train->space && train->space->network.order) {
        ftso_diag_error(sema->diag, "E0819", item->word_span,
                        "the stack of space `%s` lists its cells one by one", train->space->name)
            ->help = "take `layers` out, or write another `order` in a space based on this one";
    }
    if ((item = ftso_block_find(block, "channels", NULL)))
        ftso_sema_whole(sema, item->value, "`channels`", 1, 65536, &train->channels);
}

static void read_checkpoint(ftso_sema *sema, const ftso_block *block, ftso_train *train)
{
    static const ftso_key keys[] = {
        {"every", FTSO_FORM_VALUE, 0, false, "every = 500 iterations;"},
        {"keep", FTSO_FORM_VALUE, 0, false, "keep = 3;"},
    };
    train->checkpoint_keep = DEFAULT_KEEP;
    const ftso_ast_item *item = ftso_block_find(block, "checkpoint", NULL);
    if (!item) return;
    ftso_sema_check_block(sema, &item->block, "`checkpoint`", keys, FTSO_COUNT(keys), false);
    ftso_block in = {&item->block, NULL, "`checkpoint`", item->word_span};
    ftso_budget_unit unit;
    if ((item = ftso_block_find(&in, "every", NULL)) &&
        ftso_sema_span_of_time(sema, item->value, "`every`", true, &train->checkpoint_steps,
                               &unit) &&
        unit == FTSO_EPOCHS) {
        if (train->checkpoint_steps != 1)
            ftso_diag_error(sema->diag, "E0303", item->value->span,
                            "there is a checkpoint after each epoch")
                ->help = "write `every = 500 iterations` for more of them";
        train->checkpoint_steps = 0;
    }
    if ((item = ftso_block_find(&in, "keep", NULL)))
        ftso_sema_whole(sema, item->value, "`keep`", 1, 1000, &train->checkpoint_keep);
}

void ftso_sema_train(ftso_sema *sema, ftso_symbol *symbol)
{
    static const ftso_key keys[] = {
        {"space", FTSO_FORM_VALUE, 0, false, "space = SPACE;"},
        {"cell", FTSO_FORM_VALUE, 0, false, "cell = GENOTYPE;"},
        {"dataset", FTSO_FORM_VALUE, 0, false, "dataset = DATASET;"},
        {"layers", FTSO_FORM_VALUE, 0, false, "layers = 20;"},
        {"channels", FTSO_FORM_VALUE, 0, false, "channels = 36;"},
        {"epochs", FTSO_FORM_VALUE, 0, false, "epochs = 600;"},
        {"batch", FTSO_FORM_VALUE, 0, false, "batch = 96;"},
        {"drop_path", FTSO_FORM_VALUE, 0, false, "drop_path = 0.2;"},
        {"aux_weight", FTSO_FORM_VALUE, 0, false, "aux_weight = 0.4;"},
        {"label_smoothing", FTSO_FORM_VALUE, 0, false, "label_smoothing = 0.1;"},
        {"optimizer", FTSO_FORM_VALUE, 0, false,
         "optimizer = sgd(lr = cosine(0.025, 0), momentum = 0.9);"},
        {"seed", FTSO_FORM_VALUE, 0, false, "seed = 0;"},
        {"precision", FTSO_FORM_VALUE, 0, false, "precision = fp32;"},
        {"checkpoint", FTSO_FORM_BLOCK, 0, false, "checkpoint { keep = 3; }"},
        {"require", FTSO_FORM_VALUE, 0, false, "require = params <= 5 M;"},
    };
    size_t errors = sema->diag->error_count;
    const ftso_ast_items *items = &symbol->item->block;
    ftso_sema_check_block(sema, items, "a train block", keys, FTSO_COUNT(keys), false);
    ftso_block block = {items, NULL, ftso_format(sema->arena, "train `%s`", symbol->name),
                        symbol->span};
    ftso_train *train = FTSO_NEW(sema->arena, ftso_train);
    train->name = symbol->name;
    train->span = symbol->span;
    train->space = ftso_sema_space_value(sema, ftso_block_get(sema, &block, "space", keys[0].usage),
                                         &train->parameters, &train->parameter_count);
    const ftso_ast_item *item = ftso_block_find(&block, "cell", NULL);
    train->cell = ftso_sema_refer_value(sema, item, FTSO_SYMBOL_GENOTYPE);
    if (train->cell && train->space && !fits(train->cell, train->space)) {
        ftso_diag_error(sema->diag, "E0812", item->value->span,
                        "genotype `%s` belongs to space `%s`, whose cells are not those of `%s`",
                        train->cell->name, train->cell->space->name, train->space->name)
            ->help = "declare it for this space, or for one with cells of the same names and nodes";
    }
    train->dataset = ftso_sema_refer_value(
        sema, ftso_block_get(sema, &block, "dataset", keys[2].usage), FTSO_SYMBOL_DATASET);
    read_size(sema, &block, train);
    item = ftso_block_get(sema, &block, "epochs", "epochs = 600;");
    if (item) ftso_sema_whole(sema, item->value, "`epochs`", 1, 1000000, &train->epochs);
    item = ftso_block_get(sema, &block, "batch", "batch = 96;");
    if (item && ftso_sema_whole(sema, item->value, "`batch`", 1, 1000000, &train->batch)) {
        ftso_sema_check_batch(sema, item, train->batch, train->dataset, 1);
    }
    if ((item = ftso_block_find(&block, "drop_path", NULL))) {
        ftso_sema_real(sema, item->value, "`drop_path`", 0, 0.99, &train->drop_path);
    }
    train->aux_weight = train->space ? train->space->aux_weight : 0;
    if ((item = ftso_block_find(&block, "aux_weight", NULL))) {
        ftso_sema_real(sema, item->value, "`aux_weight`", 0, 100, &train->aux_weight);
        if (train->aux_weight > 0 && train->space && !train->space->aux_head) {
            ftso_diag_error(sema->diag, "E0813", item->value->span,
                            "space `%s` has no auxiliary head", train->space->name)
                ->help = "add `aux_head { … }` to the space, or take this out";
        }
    }
    if ((item = ftso_block_find(&block, "label_smoothing", NULL))) {
        ftso_sema_real(sema, item->value, "`label_smoothing`", 0, 0.99, &train->label_smoothing);
    }
    item = ftso_block_get(sema, &block, "optimizer",
                          "optimizer = sgd(lr = cosine(0.025, 0), momentum = 0.9);");
    if (item) ftso_sema_optimizer(sema, item->value, &train->optimizer);
    if ((item = ftso_block_find(&block, "seed", NULL))) {
        int64_t seed;
        if (ftso_sema_whole(sema, item->value, "`seed`", 0, (int64_t)1 << 53, &seed))
            train->seed = (uint64_t)seed;
    }
    train->precision = ftso_sema_precision(sema, &block);
    read_checkpoint(sema, &block, train);
    train->require = ftso_sema_require(sema, ftso_block_find(&block, "require", NULL));
    if (sema->diag->error_count == errors && train->space && train->dataset) symbol->record = train;
}
