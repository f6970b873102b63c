#include "oracle_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

/* The space file's text with the case's replacements made. */
static const char *space_text(ftso_arena *arena, const oracle *file, const char *path)
{
    char *text;
    size_t length;
    test_ok(ftso_file_read(arena, path, 1 << 20, &text, &length));
    const char *result = text;
    for (size_t i = 0; i < file->line_count; i++) {
        if (strcmp(file->lines[i].key, "replace") != 0) continue;
        const char *rule = file->lines[i].text, *bar = strchr(rule, '|');
        const char *old = ftso_strndup(arena, rule, (size_t)(bar - rule)),
                   *at = strstr(result, old);
        if (!at) fail_msg("%s has no '%s' to replace", path, old);
        result =
            ftso_format(arena, "%.*s%s%s", (int)(at - result), result, bar + 1, at + strlen(old));
    }
    return result;
}

static void expect_clean(const ftso_diag *diag)
{
    if (!diag->error_count) return;
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(diag, &text, false);
    print_error("%s", ftso_text_get(&text));
    ftso_text_deinit(&text);
    fail_msg("the case's space was refused");
}

static ftso_opset *find_ops(ftso_arena *arena, const ftso_unit *unit, const char *names)
{
    ftso_opset *set = FTSO_NEW(arena, ftso_opset);
    set->name = "case";
    set->operators = FTSO_ARRAY(arena, const ftso_operator *, 64);
    while (*names) {
        size_t length = strcspn(names, " ");
        const ftso_operator *found = NULL;
        for (size_t i = 0; i < unit->operator_count; i++)
            if (strlen(unit->operators[i]->name) == length &&
                !strncmp(unit->operators[i]->name, names, length))
                found = unit->operators[i];
        assert_non_null(found);
        set->operators[set->operator_count++] = found;
        names += length + (names[length] == ' ');
    }
    return set;
}

static ftso_lower_options lower_options(ftso_arena *arena, const oracle *file,
                                        const ftso_unit *unit)
{
    ftso_lower_options options = {.batch = oracle_int(file, "batch", 0),
                                  .image_channels = oracle_int(file, "image_channels", 0),
                                  .image_side = oracle_int(file, "side", 0),
                                  .classes = oracle_int(file, "classes", 0),
                                  .layers = oracle_int(file, "layers", 0),
                                  .channels = oracle_int(file, "channels", 0),
                                  .edge_weights = oracle_int(file, "edge_weights", 0) != 0,
                                  .running = oracle_int(file, "train", 0) != 0,
                                  .drop_path = oracle_int(file, "drop_path", 0) != 0,
                                  .aux = oracle_int(file, "auxiliary", 0) != 0};
    if (oracle_int(file, "raw", 0)) options.normalize = FTSO_NORMALIZE_RAW;
    const char *text = oracle_find(file, "smoothing");
    if (text) options.label_smoothing = ftso_double_parse(text, NULL);
    if ((text = oracle_find(file, "aux_weight")))
        options.aux_weight = ftso_double_parse(text, NULL);
    if ((text = oracle_find(file, "ops"))) options.ops = find_ops(arena, unit, text);
    if ((text = oracle_find(file, "k"))) {
        ftso_arith *k = FTSO_NEW(arena, ftso_arith);
        ftso_arg *arg = FTSO_NEW(arena, ftso_arg);
        *k = (ftso_arith){
            .kind = FTSO_ARITH_NUMBER, .num = atoll(text), .den = 1, .value = (double)atoll(text)};
        *arg = (ftso_arg){.name = "K", .value = k};
        options.parameters = arg;
        options.parameter_count = 1;
    }
    return options;
}

/* Numbers of a line, separated by blanks. */
static int read_numbers(const char *text, double *out, int most)
{
    int count = 0;
    char *end;
    for (; text && *text && count < most; text = end) out[count++] = ftso_double_parse(text, &end);
    return count;
}

static ftso_optimizer read_adam(const char *text)
{
    double v[4];
    assert_int_equal(read_numbers(text, v, 4), 4);
    return (ftso_optimizer){.kind = FTSO_ADAM,
                            .lr = {FTSO_LR_CONSTANT, v[0], v[0]},
                            .beta1 = v[1],
                            .beta2 = v[2],
                            .weight_decay = v[3],
                            .eps = 1e-8};
}

static void read_rules(oracle_case *c)
{
    double v[5];
    const char *adam = oracle_find(c->file, "weights_adam");
    if (adam) {
        c->weight_rule = read_adam(adam);
    } else {
        assert_int_equal(read_numbers(oracle_find(c->file, "sgd"), v, 5), 5);
        c->weight_rule = (ftso_optimizer){.kind = FTSO_SGD,
                                          .lr = {FTSO_LR_CONSTANT, v[0], v[0]},
                                          .momentum = v[1],
                                          .weight_decay = v[2],
                                          .clip = v[3],
                                          .nesterov = v[4] != 0};
    }
    if (c->has_arch) c->arch_rule = read_adam(oracle_find(c->file, "adam"));
}

/* The tensors PREFIX/<name> of a table, and no others of that prefix, in the order of the flat state. */
static double *gather(ftso_arena *arena, const oracle_case *c, const char *prefix,
                      const ftso_weight *table, size_t count, int64_t total)
{
    double *flat = FTSO_ARRAY(arena, double, (size_t)total + 1);
    size_t length = strlen(prefix), stored = 0;
    for (size_t i = 0; i < count; i++) {
        const ftso_weight *weight = &table[i];
        const oracle_tensor *tensor = oracle_get(c->file, "%s/%s", prefix, weight->name);
        assert_int_equal(tensor->count, ftso_shape_count(weight->shape));
        memcpy(flat + weight->offset, tensor->data, tensor->count * sizeof(double));
    }
    for (size_t i = 0; i < c->file->tensor_count; i++)
        stored += !strncmp(c->file->tensors[i].name, prefix, length) &&
                  c->file->tensors[i].name[length] == '/';
    assert_int_equal(stored, count);
    return flat;
}

double *oracle_gather(ftso_arena *arena, const oracle_case *c, const char *prefix)
{
    const ftso_network *network = c->steps[1].network;
    return gather(arena, c, prefix, network->weight_table, network->weight_count,
                  network->weight_total);
}

double *oracle_gather_running(ftso_arena *arena, const oracle_case *c, const char *prefix)
{
    const ftso_network *network = c->trains ? c->steps[1].network : c->inference;
    return gather(arena, c, prefix, network->running_table, network->running_count,
                  network->running_total);
}

double oracle_correction(double beta, int64_t t)
{
    return 1 / (1 - pow(beta, (double)t));
}

oracle_case *oracle_build(ftso_arena *arena, const char *name)
{
    oracle_case *c = FTSO_NEW(arena, oracle_case);
    const oracle *file = c->file = oracle_read(arena, name);
    const char *path = ftso_format(arena, "%s/%s", FTSO_SOURCE_DIR, oracle_find(file, "space"));
    const char *text = space_text(arena, file, path);
    const char *folder = ftso_strndup(arena, path, (size_t)(strrchr(path, '/') - path));
    ftso_diag diag;
    ftso_diag_init(&diag, arena);
    ftso_ast *ast = ftso_parse_text(arena, &diag, path, text, strlen(text), folder);
    expect_clean(&diag);
    ftso_unit *unit = ftso_check(arena, &diag, ast);
    expect_clean(&diag);
    assert_non_null(unit);
    const ftso_space *space = unit->spaces[0];
    ftso_lower_options options = lower_options(arena, file, unit);
    const ftso_genotype *genotype = NULL;
    const char *cell = oracle_find(file, "genotype");
    if (cell) {
        genotype = ftso_genotype_parse(arena, &diag, cell, strlen(cell), space, unit);
        expect_clean(&diag);
        assert_non_null(genotype);
    }
    c->has_arch = !genotype;
    c->trains = options.running;
    c->drop_count = oracle_int(file, "drop_path", 0);
    c->batch = options.batch;
    read_rules(c);
    for (int i = c->has_arch ? 0 : 1; i < 2; i++) {
        oracle_step *step = &c->steps[i];
        step->target = i ? "weights" : "arch";
        step->network = genotype ? ftso_lower_network(arena, &diag, space, genotype, &options)
                                 : ftso_lower_supernet(arena, &diag, space, &options);
        expect_clean(&diag);
        assert_non_null(step->network);
        step->gradient =
            ftso_lower_step(step->network, i ? &c->weight_rule : &c->arch_rule, i == 0);
        ftso_graph_output(step->network->graph, "gradient", step->gradient, FTSO_NO_VALUE);
        test_ok(ftso_graph_verify(step->network->graph));
    }
    if (genotype && oracle_find(file, "inference")) {
        options.inference = true;
        options.drop_path = false;
        c->inference = ftso_lower_network(arena, &diag, space, genotype, &options);
        expect_clean(&diag);
        assert_non_null(c->inference);
    }
    if (c->drop_count) assert_int_equal(c->steps[1].network->drop_count, c->drop_count);
    c->weight_total = c->steps[1].network->weight_total;
    c->arch_total = c->steps[1].network->arch_total;
    c->weights = oracle_gather(arena, c, "weights");
    if (c->inference) {
        c->running = oracle_gather_running(arena, c, "running");
        c->running_total = c->inference->running_total;
    }
    if (c->has_arch) {
        const oracle_tensor *arch = oracle_get(file, "arch");
        assert_int_equal(arch->count, c->arch_total);
        c->arch = arch->data;
    }
    return c;
}
