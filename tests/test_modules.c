/*
 * The second names of weights: those that code written for DARTS has, against state dicts made by PyTorch
 * (oracle/darts_modules.py). The files' numbers under these names must give PyTorch's logits; every name must be used.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "frontend/frontend.h"
#include "runtime/parameters.h"
#include "search/search.h"

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

static ftso_parameter_state state_of(ftso_arena *arena, const ftso_weight *rows, size_t count,
                                     int64_t total)
{
    return (ftso_parameter_state){ftso_parameters_of(arena, rows, count), count,
                                  FTSO_ARRAY(arena, float, (size_t)total + 1)};
}

static double *wide(ftso_arena *arena, const float *numbers, int64_t count)
{
    double *out = FTSO_ARRAY(arena, double, (size_t)count + 1);
    for (int64_t i = 0; i < count; i++) out[i] = (double)numbers[i];
    return out;
}

static void bind(ftso_interp *interp, ftso_value leaf, const double *numbers, int64_t count)
{
    test_ok(ftso_interp_bind(interp, leaf, numbers, (size_t)count));
}

static void write_file(const char *path, const ftso_parameter_state *states, ftso_naming naming,
                       const char *hash)
{
    const ftso_metadata rows[] = {{FTSO_GENOTYPE_HASH, hash}};
    test_ok(ftso_parameters_write(path, states, 2, naming, rows, 1));
}

/* Both namings go there and back; the foreign file's tensors come out under their names and shapes. */
static void check_files(ftso_arena *arena, const ftso_parameter_state *states,
                        const ftso_safetensors *foreign)
{
    char folder[] = "/tmp/ftso-modules-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const char *path = ftso_format(arena, "%s/w", folder);
    for (ftso_naming naming = FTSO_NAMES_OWN; naming <= FTSO_NAMES_MODULES; naming++) {
        ftso_parameter_state copies[2];
        write_file(path, states, naming, "0123456789abcdef");
        for (int s = 0; s < 2; s++) {
            size_t bytes =
                sizeof(float) * (size_t)ftso_parameters_total(states[s].table, states[s].count);
            copies[s] = states[s];
            copies[s].numbers = ftso_arena_alloc(arena, bytes + 1);
        }
        test_ok(ftso_parameters_read(path, copies, 2, "0123456789abcdef"));
        test_ok(ftso_parameters_read(path, copies, 2, NULL));
        for (int s = 0; s < 2; s++)
            assert_memory_equal(
                copies[s].numbers, states[s].numbers,
                sizeof(float) * (size_t)ftso_parameters_total(states[s].table, states[s].count));
        ftso_status status = ftso_parameters_read(path, copies, 2, "fedcba9876543210");
        assert_int_equal(status.code, FTSO_ERROR_DATA);
        assert_non_null(strstr(status.message, "belongs to another genotype (0123456789abcdef, not "
                                               "fedcba9876543210)"));
    }
    ftso_safetensors written;
    test_ok(ftso_safetensors_read(path, &written));
    for (size_t i = 0; i < foreign->tensor_count; i++) {
        const ftso_safetensor *wanted = &foreign->tensors[i];
        const ftso_safetensor *is = ftso_safetensors_find(&written, wanted->name);
        if (wanted->dtype == FTSO_I64) continue;
        assert_non_null(is);
        assert_int_equal(is->rank, wanted->rank);
        assert_memory_equal(is->dim, wanted->dim, sizeof(is->dim));
        assert_memory_equal(is->data, wanted->data, is->size_bytes);
    }
    ftso_safetensors_deinit(&written);
    unlink(path);
    rmdir(folder);
}

static void check_case(const char *text, const char *name, bool aux)
{
    fixture f;
    open_space(&f, text);
    ftso_arena *arena = &f.arena;
    ftso_safetensors file;
    const char *path =
        ftso_format(arena, "%s/tests/oracle/modules-%s.safetensors", FTSO_SOURCE_DIR, name);
    test_ok(ftso_safetensors_read(path, &file));
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

    const ftso_parameter_state states[] = {
        state_of(arena, network->weight_table, network->weight_count, network->weight_total),
        state_of(arena, network->running_table, network->running_count, network->running_total)};
    test_ok(ftso_parameters_read(path, states, 2, ftso_genotype_hash(arena, genotype)));
    ftso_interp *interp = ftso_interp_new(network->graph);
    bind(interp, network->weights, wide(arena, states[0].numbers, network->weight_total),
         network->weight_total);
    bind(interp, network->running, wide(arena, states[1].numbers, network->running_total),
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
    check_files(arena, states, &file);
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

/* ---------------------------------------------------------------- wrong files */

/* What is said of a file that holds `count` of these tensors. */
static void expect_difference(const ftso_safetensor *tensors, size_t count, const char *message)
{
    static const ftso_parameter table[] = {
        {.name = "stem.weight", .module = "stem.0", .rank = 4, .dim = {2, 1, 1, 1}},
        {.name = "a", .module = "b", .rank = 1, .dim = {1}, .offset = 2},
        {.name = "head.weight",
         .module = "c",
         .is_matrix = true,
         .rank = 4,
         .dim = {1, 2, 1, 1},
         .offset = 3},
        {.name = "auxiliary.weight",
         .module = "auxiliary_head.w",
         .rank = 1,
         .dim = {1},
         .offset = 5},
    };
    float numbers[6] = {0};
    const ftso_parameter_state state = {table, FTSO_COUNT(table), numbers};
    char folder[] = "/tmp/ftso-modules-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/w", folder);
    test_ok(ftso_safetensors_write(path, tensors, count, NULL, 0));
    ftso_status status = ftso_parameters_read(path, &state, 1, "0123456789abcdef");
    unlink(path);
    rmdir(folder);
    if (!message) {
        test_ok(status);
        assert_true(numbers[0] == 1 && numbers[2] == 3 && numbers[4] == 2 && numbers[5] == 0);
        return;
    }
    assert_int_equal(status.code, FTSO_ERROR_DATA);
    if (!strstr(status.message, message)) fail_msg("'%s' is not '%s'", status.message, message);
}

static void test_differences(void **state)
{
    (void)state;
    static const float two[] = {1, 2}, one[] = {3};
    static const double twice[] = {1, 2};
    static const int64_t count[] = {7, 8};
    const ftso_safetensor good[] = {{"stem.0", FTSO_F64, 4, {2, 1, 1, 1}, 16, twice},
                                    {"b", FTSO_F32, 1, {1}, 4, one},
                                    {"c", FTSO_F32, 2, {1, 2}, 8, two},
                                    {"bn.num_batches_tracked", FTSO_I64, 0, {0}, 8, count},
                                    {"auxiliary_head.x", FTSO_F32, 1, {1}, 4, one}};
    expect_difference(good, 5, NULL);
    expect_difference(good, 3, NULL);
    expect_difference(good, 1, "holds weights of another network; 'b' is missing; 'c' is missing");
    ftso_safetensor odd[] = {
        good[0], good[1], {"c", FTSO_F32, 1, {2}, 8, two}, {"d", FTSO_F32, 1, {1}, 4, one}};
    expect_difference(odd, 3, "; 'c' is [2], wanted is [1, 2]");
    odd[2] = good[2];
    expect_difference(odd, 4, "; 'd' is one too many");
    odd[0] = (ftso_safetensor){"stem.0", FTSO_I64, 4, {2, 1, 1, 1}, 16, count};
    expect_difference(odd, 4, "; 'stem.0' is of type I64; 'd' is one too many");
    const ftso_safetensor many[] = {{"1", FTSO_F32, 1, {1}, 4, one},
                                    {"2", FTSO_F32, 1, {1}, 4, one},
                                    {"3", FTSO_F32, 1, {1}, 4, one},
                                    {"4", FTSO_F32, 1, {1}, 4, one}};
    expect_difference(many, 4,
                      "; 'stem.weight' is missing; 'a' is missing; 'head.weight' is missing; "
                      "'1' is one too many; '2' is one too many");
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
        {"cells.0.edge.1-0.0.1.weight", "cells.0._ops.0.0.op.1.weight"},
        {"cells.0.edge.1-0.1.2.bias", "cells.0._ops.0.1.op.2.bias"},
        {"cells.0.edge.2-1.0.0.1.weight", "cells.0._ops.1.0.0.op.1.weight"},
        {"cells.0.edge.2-1.0.1.1.weight", "cells.0._ops.1.0.1.1.weight"},
        {"cells.0.edge.3-2.0.1.weight", "cells.0._ops.2.0.1.weight"},
        {"cells.0.edge.3-2.5.weight", "cells.0._ops.2.5.weight"},
        {"cells.0.edge.4-3.weight", "cells.0._ops.3.weight"},
        {"cells.0.edge.5-4.1.0.weight", "cells.0._ops.4.0.weight"},
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

/* Edges of AmoebaNet-A: in DARTS's table of operators conv_7x1_1x7 is an nn.Sequential, sep_conv_3x3 an object of a class. */
static void test_table_rows(void **state)
{
    (void)state;
    static const char text[] =
        "ftso 1;\n"
        "include \"published_wider.ftso\";\n"
        "space rows : darts { ops = beyond; }\n"
        "genotype g : rows = Genotype(normal=[('conv_7x1_1x7', 0), ('sep_conv_3x3', 1), "
        "('nor_conv_3x3', 0), ('skip_connect', 1), ('skip_connect', 0), ('conv_7x1_1x7', 1), "
        "('skip_connect', 0), ('skip_connect', 1)], normal_concat=range(2, 6), "
        "reduce=[('conv_7x1_1x7', 0), ('skip_connect', 1), ('skip_connect', 0), "
        "('skip_connect', 1), ('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 0), "
        "('skip_connect', 1)], reduce_concat=range(2, 6));\n";
    static const struct {
        const char *name, *module;
    } cases[] = {
        {"cells.0.edge.2-0.1.weight", "cells.0._ops.0.1.weight"},
        {"cells.0.edge.2-0.2.weight", "cells.0._ops.0.2.weight"},
        {"cells.0.edge.2-0.3.weight", "cells.0._ops.0.3.weight"},
        {"cells.0.edge.2-1.1.weight", "cells.0._ops.1.op.1.weight"},
        {"cells.0.edge.3-0.1.weight", "cells.0._ops.2.op.1.weight"},
        {"cells.0.edge.4-1.1.weight", "cells.0._ops.5.1.weight"},
    };
    fixture f;
    open_space(&f, text);
    ftso_lower_options options = {.batch = 2, .inference = true, .layers = 3, .channels = 4};
    const ftso_genotype *genotype = f.unit->genotypes[f.unit->genotype_count - 1];
    ftso_network *network =
        ftso_lower_network(&f.arena, &f.diag, last_space(&f), genotype, &options);
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
        cmocka_unit_test(test_cifar),       cmocka_unit_test(test_imagenet),
        cmocka_unit_test(test_differences), cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_unique),      cmocka_unit_test(test_table_rows),
    };
    return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
