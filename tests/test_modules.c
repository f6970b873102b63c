/*
 * The second names of weights: those that code written for DARTS has, against state dicts made by PyTorch
 * (oracle/darts_modules.py). The files' numbers under these names must give PyTorch's logits; every name must be used.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "runtime/safetensors.h"

static const char cifar[] =
    "ftso 1;\n"
    "include \"darts.ftso\";\n"
    "space small : darts {\n"
    "    classes = 5;\n"
    "    aux_head {\n"
    "        after = 2/3;\n"
    "        weight = 0.4;\n"
    "        body = relu -> avgpool(5, stride = 3, pad = 0) -> conv(6, 1) -> bn -> relu\n"
    "            -> conv(8, 2, pad = 0) -> bn -> relu -> linear(classes);\n"
    "    }\n"
    "}\n";
static const char mobile[] = "ftso 1;\n"
                             "include \"imagenet.ftso\";\n"
                             "space small : imagenet {\n"
                             "    classes = 5;\n"
                             "    image = [3, 64, 64];\n"
                             "}\n";

typedef struct fixture {
    ftso_arena arena;
    ftso_diag diag;
    ftso_unit *unit;
} fixture;

static void expect_clean(const ftso_diag *diag)
{
    if (!diag->error_count) return;
    ftso_text text;
    ftso_text_init(&text);
    ftso_diag_print(diag, &text, false);
    print_error("%s", ftso_text_get(&text));
    ftso_text_deinit(&text);
    fail_msg("refused");
}

static void open_space(fixture *f, const char *text)
{
    ftso_arena_init(&f->arena);
    ftso_diag_init(&f->diag, &f->arena);
    ftso_ast *ast = ftso_parse_text(&f->arena, &f->diag, "small.ftso", text, strlen(text),
                                    FTSO_SOURCE_DIR "/examples");
    expect_clean(&f->diag);
    f->unit = ftso_check(&f->arena, &f->diag, ast);
    expect_clean(&f->diag);
    assert_non_null(f->unit);
}

static const ftso_space *last_space(const fixture *f)
{
    return f->unit->spaces[f->unit->space_count - 1];
}

/* ---------------------------------------------------------------- numbers under the names */

/* The rows' tensors put together in our order; each must be there once, with its shape. */
static double *gather(ftso_arena *arena, const ftso_safetensors *file, const ftso_weight *rows,
                      size_t count, int64_t total)
{
    double *flat = FTSO_ARRAY(arena, double, (size_t)total);
    for (size_t i = 0; i < count; i++) {
        const ftso_safetensor *tensor = ftso_safetensors_find(file, rows[i].module);
        if (!tensor) fail_msg("%s: no %s", rows[i].name, rows[i].module);
        assert_int_equal(tensor->rank, rows[i].is_matrix ? 2 : rows[i].shape.rank);
        for (int d = 0; d < tensor->rank; d++)
            assert_int_equal(tensor->dim[d], rows[i].shape.dim[d]);
        int64_t numbers = ftso_safetensor_count(tensor);
        assert_int_equal(numbers, ftso_shape_count(rows[i].shape));
        float *block = FTSO_ARRAY(arena, float, (size_t)numbers);
        ftso_safetensor_floats(tensor, block);
        for (int64_t e = 0; e < numbers; e++) flat[rows[i].offset + e] = (double)block[e];
    }
    return flat;
}

static void bind(ftso_interp *interp, ftso_value leaf, const double *numbers, int64_t count)
{
    test_ok(ftso_interp_bind(interp, leaf, numbers, (size_t)count));
}

static void check_case(const char *text, const char *name, bool aux)
{
    fixture f;
    open_space(&f, text);
    ftso_arena *arena = &f.arena;
    ftso_safetensors file;
    test_ok(ftso_safetensors_read(
        ftso_format(arena, "%s/tests/oracle/modules-%s.safetensors", FTSO_SOURCE_DIR, name),
        &file));
    const char *cell = ftso_safetensors_metadata(&file, "genotype");
    ftso_genotype *genotype =
        ftso_genotype_parse(arena, &f.diag, cell, strlen(cell), last_space(&f), f.unit);
    expect_clean(&f.diag);
    ftso_lower_options options = {
        .batch = 2, .channels = 4, .layers = 4, .inference = true, .aux = aux};
    ftso_network *network = ftso_lower_network(arena, &f.diag, last_space(&f), genotype, &options);
    expect_clean(&f.diag);
    /* Nothing in the file is left over but the counters that we do not keep. */
    size_t counters = 0;
    for (size_t i = 0; i < file.tensor_count; i++)
        counters += strstr(file.tensors[i].name, "num_batches_tracked") != NULL;
    assert_int_equal(network->weight_count + network->running_count + counters, file.tensor_count);
    assert_int_equal(2 * counters, network->running_count);

    ftso_interp *interp = ftso_interp_new(network->graph);
    bind(interp, network->weights,
         gather(arena, &file, network->weight_table, network->weight_count, network->weight_total),
         network->weight_total);
    bind(interp, network->running,
         gather(arena, &file, network->running_table, network->running_count,
                network->running_total),
         network->running_total);
    int64_t pixels = ftso_shape_count(ftso_graph_shape(network->graph, network->image));
    double *images = FTSO_ARRAY(arena, double, (size_t)pixels);
    for (int64_t e = 0; e < pixels; e++) images[e] = (double)(e * 7919 % 256 - 128) / 64;
    bind(interp, network->image, images, pixels);
    test_ok(ftso_interp_run(interp, 2));
    const ftso_tensor *logits = ftso_interp_get(interp, network->logits);
    char *at = (char *)(uintptr_t)ftso_safetensors_metadata(&file, "logits");
    for (size_t i = 0; i < 10; i++) {
        double wanted = ftso_double_parse(at, &at);
        if (!(fabs(logits->data[i] - wanted) <= 1e-9 * (1 + fabs(wanted))))
            fail_msg("logit %zu is %.12g, not %.12g", i, logits->data[i], wanted);
    }
    ftso_interp_free(interp);
    ftso_safetensors_deinit(&file);
    ftso_arena_deinit(arena);
}

static void test_cifar(void **state)
{
    (void)state;
    check_case(cifar, "cifar", true);
}

static void test_imagenet(void **state)
{
    (void)state;
    check_case(mobile, "imagenet", false);
}

/* ---------------------------------------------------------------- forms that DARTS has not */

static const char *module_of(const ftso_network *network, const char *name)
{
    for (size_t i = 0; i < network->weight_count; i++)
        if (strcmp(network->weight_table[i].name, name) == 0)
            return network->weight_table[i].module;
    fail_msg("no weight %s", name);
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two tensors of one name would be lost in a file. */
static void expect_unique(ftso_arena *arena, const ftso_network *network)
{
    size_t count = network->weight_count + network->running_count;
    const char **names = FTSO_ARRAY(arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        names[i] = i < network->weight_count
                       ? network->weight_table[i].module
                       : network->running_table[i - network->weight_count].module;
    qsort(names, count, sizeof(*names), by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0) fail_msg("two tensors are called %s", names[i]);
}

/* A composite inside a composite, branches of more than words can tell, a set of branches in a head. */
static void test_other_forms(void **state)
{
    (void)state;
    static const char text[] =
        "ftso 1;\n"
        "include \"operators.ftso\";\n"
        "op twice(C, s) = relu_conv_bn(C, s, 3) -> relu_conv_bn(C, 1, 1);\n"
        "op beside(C, s) = [ relu_conv_bn(C, s, 3) | conv(C, 1, stride = s) -> bn ] -> sum;\n"
        "op many(C, s) = [ conv(C, 1, stride = s) | conv(C, 3, stride = s) ] -> sum -> bn\n"
        "    -> [ conv(C, 1) | identity ] -> sum -> bn;\n"
        "op plain(C, s) = conv(C, 3, stride = s);\n"
        "op gated(C, s) = in supernet { zero(stride = s) } -> in network { conv(C, 3, stride = s) "
        "-> bn };\n"
        "opset all = { twice, beside, many, plain, gated };\n"
        "space odd {\n"
        "    ops = all;\n"
        "    image = [3, 8, 8];\n"
        "    classes = 4;\n"
        "    cell normal { inputs = 1; nodes = 5; edges = all_previous; keep = 1; output = last; "
        "}\n"
        "    stem = conv(channels, 3);\n"
        "    stack { normal = normal; }\n"
        "    in supernet { layers = 1; channels = 8; }\n"
        "    in network { layers = 1; channels = 8; }\n"
        "    head = [ global_avgpool -> conv(8, 1) | global_avgpool -> conv(8, 1) ] -> concat -> "
        "relu\n"
        "        -> linear(classes);\n"
        "}\n"
        "genotype g : odd = |twice~0|+|beside~1|+|many~2|+|plain~3|+|gated~4|;\n";
    static const struct {
        const char *name, *module;
    } cases[] = {
        {"stem.weight", "stem.weight"},
        {"cells.0.edge.1-0.0.1.weight", "cells.0._ops.0.op.0.op.1.weight"},
        {"cells.0.edge.1-0.1.2.bias", "cells.0._ops.0.op.1.op.2.bias"},
        {"cells.0.edge.2-1.0.0.1.weight", "cells.0._ops.1.op.0.0.op.1.weight"},
        {"cells.0.edge.2-1.0.1.1.weight", "cells.0._ops.1.op.0.1.1.weight"},
        {"cells.0.edge.3-2.0.1.weight", "cells.0._ops.2.op.0.1.weight"},
        {"cells.0.edge.3-2.5.weight", "cells.0._ops.2.op.5.weight"},
        {"cells.0.edge.4-3.weight", "cells.0._ops.3.weight"},
        {"cells.0.edge.5-4.1.0.weight", "cells.0._ops.4.op.0.weight"},
        {"head.0.0.1.weight", "features.0.0.1.weight"},
        {"head.3.weight", "classifier.weight"},
        {"head.3.bias", "classifier.bias"},
    };
    fixture f;
    open_space(&f, text);
    ftso_lower_options options = {.batch = 2, .running = true};
    ftso_network *network =
        ftso_lower_network(&f.arena, &f.diag, last_space(&f), f.unit->genotypes[0], &options);
    expect_clean(&f.diag);
    for (size_t i = 0; i < FTSO_COUNT(cases); i++)
        assert_string_equal(module_of(network, cases[i].name), cases[i].module);
    expect_unique(&f.arena, network);
    ftso_arena_deinit(&f.arena);
}

static void test_unique(void **state)
{
    (void)state;
    static const char *const files[] = {"published.ftso", "published_wider.ftso",
                                        "published_imagenet.ftso", "nasbench201.ftso"};
    fixture f;
    size_t networks = 0;
    for (size_t i = 0; i < FTSO_COUNT(files); i++) {
        char text[100];
        snprintf(text, sizeof(text), "ftso 1;\ninclude \"%s\";\n", files[i]);
        open_space(&f, text);
        for (size_t g = 0; g < f.unit->genotype_count; g++) {
            const ftso_genotype *genotype = f.unit->genotypes[g];
            ftso_lower_options options = {.batch = 1, .inference = true};
            ftso_network *network =
                ftso_lower_network(&f.arena, &f.diag, genotype->space, genotype, &options);
            expect_clean(&f.diag);
            expect_unique(&f.arena, network);
            networks++;
        }
        ftso_arena_deinit(&f.arena);
    }
    assert_true(networks > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cifar),
        cmocka_unit_test(test_imagenet),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_unique),
    };
    return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
