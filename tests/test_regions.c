/*
 * Regions: schedules verify, run region by region to the interpreter's numbers with every switch on and off, and print.
 */
#include "tests/nets.h"
#include "tests/region_run.h"

#include <string.h>

static void random_graphs_schedule(void **state)
{
    (void)state;
    test_random random = {11};
    for (int i = 0; i < 150; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *graph = nets_random(&arena, &random);
        ftso_graph *passed = nets_passes(&arena, graph, NULL, 0);
        nets_same_graphs(graph, passed, 2, 1e-8);
        for (int bits = 0; bits < 32; bits++) {
            ftso_fusion fusion = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0,
                                  (bits & 16) != 0, bits & 8 ? 6 : 2};
            ftso_schedule *schedule;
            test_ok(ftso_schedule_form(&arena, passed, &fusion, &schedule));
            nets_same_schedule(graph, schedule, 2, 1e-8);
        }
        ftso_arena_deinit(&arena);
    }
}

static void super_nets_schedule(void **state)
{
    (void)state;
    for (int64_t k = 1; k <= 4; k += 3)
        for (int of_arch = 0; of_arch < 2; of_arch++) {
            ftso_arena arena;
            ftso_arena_init(&arena);
            nets_options options = {.opset = "skip_only",
                                    .k = k,
                                    .batch = 2,
                                    .side = 8,
                                    .layers = 4,
                                    .channels = 4,
                                    .of_arch = of_arch};
            ftso_graph *graph = nets_darts(&arena, &options);
            ftso_graph *passed = nets_passes(&arena, graph, NULL, 0);
            ftso_schedule *schedule;
            test_ok(ftso_schedule_form(&arena, passed, NULL, &schedule));
            nets_same_schedule(graph, schedule, 2, 1e-8);
            ftso_arena_deinit(&arena);
        }
}

/* ---------------------------------------------------------------- keys and order */

static ftso_schedule *form(ftso_arena *arena, bool of_arch)
{
    nets_options options = {.opset = "skip_only",
                            .k = 1,
                            .batch = 4,
                            .side = 16,
                            .layers = 8,
                            .channels = 4,
                            .of_arch = of_arch};
    return nets_schedule(arena, nets_darts(arena, &options));
}

static const char *key(ftso_arena *arena, const ftso_schedule *schedule, size_t region)
{
    ftso_text text;
    ftso_text_init(&text);
    ftso_region_key(schedule, &schedule->regions[region], &text);
    const char *copy = ftso_strdup(arena, ftso_text_get(&text));
    ftso_text_deinit(&text);
    return copy;
}

/* Two programs of one network have their forward pass in common, and equal cells of one program theirs. */
static void equal_regions_have_equal_keys(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_schedule *arch = form(&arena, true), *weights = form(&arena, false);
    size_t common = 0, images = 0, repeated = 0;
    for (size_t a = 0; a < arch->region_count; a++) {
        const char *text = key(&arena, arch, a);
        assert_null(strstr(text, "\"")); /* no names */
        if (arch->regions[a].core_count == 0) continue;
        images++;
        for (size_t b = 0; b < a; b++)
            if (strcmp(text, key(&arena, arch, b)) == 0) {
                repeated++;
                break;
            }
        for (size_t w = 0; w < weights->region_count; w++)
            if (strcmp(text, key(&arena, weights, w)) == 0) {
                common++;
                break;
            }
    }
    assert_true(common * 4 >= images * 3);
    assert_true(repeated >= 3);
    ftso_arena_deinit(&arena);
}

static void forming_is_deterministic(void **state)
{
    (void)state;
    ftso_text texts[2];
    for (int i = 0; i < 2; i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_text_init(&texts[i]);
        ftso_schedule_print(form(&arena, false), &texts[i]);
        ftso_arena_deinit(&arena);
    }
    assert_string_equal(ftso_text_get(&texts[0]), ftso_text_get(&texts[1]));
    ftso_text_deinit(&texts[0]);
    ftso_text_deinit(&texts[1]);
}

/* ---------------------------------------------------------------- what is fused */

static size_t count_class(const ftso_schedule *schedule, const char *kernel_class)
{
    size_t count = 0;
    for (size_t r = 0; r < schedule->region_count; r++)
        count += strcmp(schedule->regions[r].kernel_class, kernel_class) == 0;
    return count;
}

static void switches_do_something(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    nets_options options = {
        .opset = "skip_only", .k = 1, .batch = 2, .side = 16, .layers = 8, .channels = 16};
    ftso_graph *passed = nets_passes(&arena, nets_darts(&arena, &options), NULL, 0);
    ftso_schedule *fused, *other;
    test_ok(ftso_schedule_form(&arena, passed, NULL, &fused));
    /* beside the two sums of a reduction cell that read too much, only the head's bias gradient stands alone */
    assert_true(count_class(fused, "pointwise") <= 3);
    size_t wide = 0;
    for (size_t r = 0; r < fused->region_count; r++) wide += fused->regions[r].core_count > 1;
    assert_true(wide >= 8);
    for (size_t r = 0; r < fused->region_count; r++)
        for (size_t i = 0; i < fused->regions[r].write_count; i++) {
            const ftso_node *node = ftso_graph_node(passed, fused->regions[r].writes[i]);
            assert_false(ftso_node_is(node, "concat") && node->shape.batched);
        }

    ftso_fusion fusion = ftso_fusion_default();
    fusion.horizontal = false;
    test_ok(ftso_schedule_form(&arena, passed, &fusion, &other));
    assert_true(other->region_count > fused->region_count + 8);
    for (size_t r = 0; r < other->region_count; r++) assert_true(other->regions[r].core_count <= 1);

    fusion = ftso_fusion_default();
    fusion.epilogue = false;
    test_ok(ftso_schedule_form(&arena, passed, &fusion, &other));
    assert_true(count_class(other, "pointwise") > 20);

    fusion = ftso_fusion_default();
    fusion.prologue = false;
    test_ok(ftso_schedule_form(&arena, passed, &fusion, &other));
    for (size_t r = 0; r < other->region_count; r++)
        for (size_t c = 0; c < other->regions[r].core_count; c++) {
            const ftso_node *core = ftso_graph_node(passed, other->regions[r].cores[c]);
            for (uint32_t i = 0; i < core->input_count; i++) {
                const ftso_value *reads = other->regions[r].reads;
                size_t k = 0;
                while (k < other->regions[r].read_count && reads[k] != core->inputs[i]) k++;
                assert_true(k < other->regions[r].read_count);
            }
        }
    ftso_arena_deinit(&arena);
}

/* Arithmetic of parts that do not read each other: equal regions; one region where a state is updated. */
static void independent_algebra_is_cut(void **state)
{
    (void)state;
    enum { PARTS = 5 };
    for (int updates = 0; updates < 2; updates++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *graph = FTSO_NEW(&arena, ftso_graph);
        ftso_graph_init(graph, &arena, ftso_primitives());
        ftso_value old = ftso_graph_state(graph, "mean", ftso_shape_vector(8)), shift = old;
        for (int i = 0; i < PARTS; i++) {
            ftso_value scale = ftso_graph_input(graph, ftso_format(&arena, "scale%d", i),
                                                ftso_shape_vector(8)),
                       variance = ftso_graph_input(graph, ftso_format(&arena, "variance%d", i),
                                                   ftso_shape_vector(8));
            scale =
                ftso_graph_binary(graph, "mul", scale, ftso_graph_unary(graph, "rsqrt", variance));
            ftso_graph_output(graph, ftso_format(&arena, "factor%d", i), scale, FTSO_NO_VALUE);
            shift = ftso_graph_binary(graph, "mul", old, scale);
            ftso_graph_output(graph, ftso_format(&arena, "shift%d", i), shift, FTSO_NO_VALUE);
        }
        if (updates) ftso_graph_output(graph, "mean", shift, old);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
        test_ok(ftso_schedule_verify(schedule));
        assert_int_equal(count_class(schedule, "algebra"), updates ? 1 : PARTS);
        for (size_t r = 1; r < schedule->region_count; r++)
            assert_string_equal(key(&arena, schedule, r), key(&arena, schedule, 0));
        ftso_arena_deinit(&arena);
    }
}

/* A state's decay waits for the gradients that are packed first: what two regions made would go through memory. */
static void algebra_waits_for_its_users(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph *graph = FTSO_NEW(&arena, ftso_graph);
    ftso_graph_init(graph, &arena, ftso_primitives());
    ftso_value old = ftso_graph_state(graph, "weights", ftso_shape_vector(16)), parts[2];
    for (int i = 0; i < 2; i++)
        parts[i] = ftso_graph_unary(
            graph, "rsqrt",
            ftso_graph_input(graph, ftso_format(&arena, "x%d", i), ftso_shape_vector(8)));
    ftso_value decayed = ftso_graph_times(graph, old, 0.9),
               gradient = ftso_graph_add(graph, "pack", parts, 2, NULL, 0),
               updated = ftso_graph_binary(graph, "sub", decayed, gradient);
    ftso_graph_output(graph, "weights", updated, old);
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
    test_ok(ftso_schedule_verify(schedule));
    assert_int_equal(schedule->region_count, 2);
    assert_int_equal(schedule->regions[0].write_count, 2);
    assert_int_equal(schedule->regions[1].write_count, 1);
    assert_int_equal(schedule->regions[1].writes[0], updated);
    ftso_arena_deinit(&arena);
}

/* relu, dwconv, conv of `kernel` with `stride`, its sums; the depthwise result is an output too where `kept`. */
static ftso_graph *separable(ftso_arena *arena, int64_t kernel, int64_t stride, bool kept)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    ftso_value x = ftso_graph_input(graph, "x", ftso_shape_image(3, 5, 6, 6));
    ftso_value w = ftso_graph_input(graph, "w", ftso_shape_weight(5, 1, 3, 3));
    ftso_value v = ftso_graph_input(graph, "v", ftso_shape_weight(7, 5, kernel, kernel));
    const ftso_op *dwconv = ftso_op_find(graph->ops, "dwconv"),
                  *conv = ftso_op_find(graph->ops, "conv");
    ftso_attr_value attrs[FTSO_MAX_ATTRS];
    for (int i = 0; i < dwconv->attr_count; i++) attrs[i] = dwconv->attrs[i].fallback;
    const char *const pads[] = {"pad_top", "pad_bottom", "pad_left", "pad_right"};
    for (size_t i = 0; i < FTSO_COUNT(pads); i++) attrs[ftso_op_attr(dwconv, pads[i])] = FTSO_I(1);
    ftso_value operands[] = {ftso_graph_unary(graph, "relu", x), w};
    ftso_value mid =
        ftso_graph_add(graph, "dwconv", operands, 2, attrs, (size_t)dwconv->attr_count);
    for (int i = 0; i < conv->attr_count; i++) attrs[i] = conv->attrs[i].fallback;
    attrs[ftso_op_attr(conv, "stride")] = FTSO_I(stride);
    ftso_value y =
        ftso_graph_add(graph, "conv", (ftso_value[]){mid, v}, 2, attrs, (size_t)conv->attr_count);
    ftso_graph_output(graph, "y", ftso_graph_unary(graph, "relu", y), FTSO_NO_VALUE);
    ftso_graph_output(graph, "sum", ftso_graph_unary(graph, "channel_sum", y), FTSO_NO_VALUE);
    if (kept) ftso_graph_output(graph, "mid", mid, FTSO_NO_VALUE);
    return graph;
}

static size_t count_leads(const ftso_schedule *schedule)
{
    size_t count = 0;
    for (size_t r = 0; r < schedule->region_count; r++) count += schedule->regions[r].lead_count;
    return count;
}

static void depthwise_leads(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_schedule *schedule;
    for (int kept = 0; kept < 2; kept++) {
        ftso_graph *graph = separable(&arena, 1, 1, kept);
        test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
        assert_int_equal(count_leads(schedule), 1);
        assert_int_equal(schedule->region_count, 1);
        assert_string_equal(schedule->regions[0].kernel_class, "contract");
        assert_int_equal(schedule->regions[0].write_count, 2 + kept);
        nets_same_schedule(graph, schedule, 2, 1e-8);
    }
    ftso_region *region = &schedule->regions[0], whole = *region;
    region->lead_count = 0;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    region->leads = region->cores;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    region->core_count = 0;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    test_ok(ftso_schedule_verify(schedule));
    /* windows that see other pixels, and the switch */
    test_ok(ftso_schedule_form(&arena, separable(&arena, 1, 2, false), NULL, &schedule));
    assert_int_equal(count_leads(schedule), 0);
    test_ok(ftso_schedule_form(&arena, separable(&arena, 3, 1, false), NULL, &schedule));
    assert_int_equal(count_leads(schedule), 0);
    ftso_fusion fusion = ftso_fusion_default();
    fusion.chained = false;
    test_ok(ftso_schedule_form(&arena, separable(&arena, 1, 1, false), &fusion, &schedule));
    assert_int_equal(count_leads(schedule), 0);
    ftso_arena_deinit(&arena);
}

/* The gradient of relu -> dwconv -> conv; `again`: of the depthwise result too. */
static ftso_graph *separable_gradient(ftso_arena *arena, int64_t stride, bool again)
{
    ftso_graph *graph = separable(arena, 1, stride, true);
    ftso_value given[8] = {0}, gradients[3], y = 0, mid = 0, relu = 0;
    size_t count = 0;
    for (size_t v = 0; v < graph->node_count; v++) {
        const ftso_node *node = &graph->nodes[v];
        if (ftso_node_is(node, "input")) given[count++] = (ftso_value)v;
        if (ftso_node_is(node, "conv")) y = (ftso_value)v;
        if (ftso_node_is(node, "dwconv")) mid = (ftso_value)v;
        if (ftso_node_is(node, "relu") && !relu) relu = (ftso_value)v;
    }
    assert_true(count == 3);
    ftso_value loss = ftso_graph_binary(graph, "dot", y, y);
    if (again)
        loss = ftso_graph_binary(graph, "add", loss, ftso_graph_binary(graph, "dot", mid, mid));
    ftso_graph_gradient(graph, loss, given, 3, gradients);
    for (size_t i = 0; i < 3; i++)
        ftso_graph_output(graph, ftso_format(arena, "gradient%zu", i), gradients[i], FTSO_NO_VALUE);
    return graph;
}

static ftso_region *find_beside(ftso_schedule *schedule)
{
    for (size_t r = 0; r < schedule->region_count; r++)
        if (schedule->regions[r].gradient_count) return &schedule->regions[r];
    return NULL;
}

static void gradients_run_beside(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_schedule *schedule;
    ftso_graph *graph = separable_gradient(&arena, 1, false);
    test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
    nets_same_schedule(graph, schedule, 2, 1e-8);
    ftso_region *region = find_beside(schedule);
    assert_non_null(region);
    assert_string_equal(region->kernel_class, "depthwise");
    assert_int_equal(region->lead_count, 1);
    assert_int_equal(region->gradient_count, 2);
    assert_int_equal(region->write_count, 3);
    /* what the verifier must notice */
    ftso_region whole = *region;
    region->gradient_count = 1;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    region->gradients = region->cores;
    region->gradient_count = 1;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    region->lead_count = 0;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    ftso_value *writes = FTSO_ARRAY(&arena, ftso_value, whole.write_count + 1);
    for (size_t i = 0; i < whole.write_count; i++) writes[i] = whole.writes[i];
    writes[region->write_count++] = region->leads[0];
    region->writes = writes;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    test_ok(ftso_schedule_verify(schedule));
    /* a lead that somebody else reads leads nothing */
    graph = separable_gradient(&arena, 1, true);
    test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
    nets_same_schedule(graph, schedule, 2, 1e-8);
    assert_int_equal(count_leads(schedule), 1);
    /* nor does one that sees other pixels; and the switches */
    test_ok(ftso_schedule_form(&arena, separable_gradient(&arena, 2, false), NULL, &schedule));
    assert_int_equal(count_leads(schedule), 0);
    ftso_fusion fusion = ftso_fusion_default();
    fusion.chained = false;
    test_ok(ftso_schedule_form(&arena, separable_gradient(&arena, 1, false), &fusion, &schedule));
    assert_int_equal(count_leads(schedule), 0);
    assert_non_null(find_beside(schedule));
    fusion.horizontal = false;
    test_ok(ftso_schedule_form(&arena, separable_gradient(&arena, 1, false), &fusion, &schedule));
    assert_null(find_beside(schedule));
    ftso_arena_deinit(&arena);
}

/*
 * Gradients of a convolution and of a pool with stride two, each of half of one image's channels, side by side. `kernel`: of the pool;
 * `chained`: which saw what the convolution's gradient is.
 */
static ftso_graph *convolution_and_pool(ftso_arena *arena, int64_t kernel, bool chained)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    ftso_value dy = ftso_graph_input(graph, "dy", ftso_shape_image(2, 8, 3, 3)),
               x = ftso_graph_input(graph, "x", ftso_shape_image(2, 4, 6, 6)),
               w = ftso_graph_input(graph, "w", ftso_shape_weight(4, 4, 1, 1));
    ftso_attr_value first[] = {FTSO_I(0), FTSO_I(4)}, last[] = {FTSO_I(4), FTSO_I(8)},
                    window[6] = {FTSO_I(kernel),
                                 FTSO_I(2),
                                 FTSO_I(kernel / 2 - 1 + kernel % 2),
                                 FTSO_I(0),
                                 FTSO_I(kernel / 2 - 1 + kernel % 2),
                                 FTSO_I(0)},
                    attrs[FTSO_MAX_ATTRS];
    const ftso_op *conv_dx = ftso_op_find(graph->ops, "conv_dx");
    for (int i = 0; i < conv_dx->attr_count; i++) attrs[i] = conv_dx->attrs[i].fallback;
    attrs[ftso_op_attr(conv_dx, "stride")] = FTSO_I(2);
    attrs[ftso_op_attr(conv_dx, "height")] = attrs[ftso_op_attr(conv_dx, "width")] = FTSO_I(6);
    ftso_value of_conv[] = {ftso_graph_add(graph, "slice", &dy, 1, first, 2), w};
    ftso_value parts[2];
    parts[0] = ftso_graph_add(graph, "conv_dx", of_conv, 2, attrs, (size_t)conv_dx->attr_count);
    ftso_value of_pool[] = {ftso_graph_add(graph, "slice", &dy, 1, last, 2),
                            chained ? parts[0] : x};
    parts[1] = ftso_graph_add(graph, "max_pool_dx", of_pool, 2, window, 6);
    ftso_value y = ftso_graph_add(graph, "concat", parts, 2, NULL, 0);
    ftso_graph_output(graph, "y", y, FTSO_NO_VALUE);
    ftso_graph_output(graph, "sum", ftso_graph_unary(graph, "channel_sum", y), FTSO_NO_VALUE);
    return graph;
}

static void pools_run_beside(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_schedule *schedule;
    ftso_graph *graph = convolution_and_pool(&arena, 2, false);
    test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
    nets_same_schedule(graph, schedule, 2, 1e-8);
    assert_int_equal(schedule->region_count, 1);
    ftso_region *region = &schedule->regions[0], whole = *region;
    assert_string_equal(region->kernel_class, "contract");
    assert_int_equal(region->pool_count, 1);
    assert_int_equal(region->write_count, 2);
    region->pool_count = 0;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    region->pools = region->cores;
    assert_int_equal(ftso_schedule_verify(schedule).code, FTSO_ERROR_INTERNAL);
    *region = whole;
    test_ok(ftso_schedule_verify(schedule));
    /* a pool that has to wait for the core; put beside it all the same */
    ftso_graph *chained = convolution_and_pool(&arena, 2, true);
    test_ok(ftso_schedule_form(&arena, chained, NULL, &schedule));
    assert_int_equal(schedule->region_count, 2);
    ftso_region both = schedule->regions[0], *second = &schedule->regions[1];
    both.nodes = FTSO_ARRAY(&arena, ftso_value, both.node_count + second->node_count);
    memcpy(both.nodes, schedule->regions[0].nodes, both.node_count * sizeof *both.nodes);
    for (size_t i = 0; i < second->node_count; i++)
        both.nodes[both.node_count++] = second->nodes[i];
    both.pools = second->cores;
    both.pool_count = 1;
    both.writes = second->writes;
    both.write_count = second->write_count;
    schedule->regions[0] = both;
    schedule->region_count = 1;
    ftso_status status = ftso_schedule_verify(schedule);
    assert_int_equal(status.code, FTSO_ERROR_INTERNAL);
    assert_non_null(strstr(status.message, "follows from the cores"));
    /* windows that share pixels, and the switches */
    test_ok(ftso_schedule_form(&arena, convolution_and_pool(&arena, 3, false), NULL, &schedule));
    assert_int_equal(schedule->region_count, 2);
    for (int epilogue = 0; epilogue < 2; epilogue++) {
        ftso_fusion fusion = ftso_fusion_default();
        *(epilogue ? &fusion.epilogue : &fusion.horizontal) = false;
        test_ok(ftso_schedule_form(&arena, graph, &fusion, &schedule));
        for (size_t r = 0; r < schedule->region_count; r++)
            assert_int_equal(schedule->regions[r].pool_count, 0);
    }
    ftso_arena_deinit(&arena);
}

/* `count` depthwise convolutions of relu(slice), each with its own weights, of `part` of eight channels. */
static ftso_graph *readers_of_a_slice(ftso_arena *arena, int count, int64_t part)
{
    ftso_graph *graph = FTSO_NEW(arena, ftso_graph);
    ftso_graph_init(graph, arena, ftso_primitives());
    ftso_value x = ftso_graph_input(graph, "x", ftso_shape_image(3, 8, 6, 6));
    ftso_attr_value range[] = {FTSO_I(0), FTSO_I(part)}, attrs[FTSO_MAX_ATTRS];
    ftso_value slice = ftso_graph_add(graph, "slice", &x, 1, range, 2);
    const ftso_op *dwconv = ftso_op_find(graph->ops, "dwconv");
    for (int i = 0; i < dwconv->attr_count; i++) attrs[i] = dwconv->attrs[i].fallback;
    for (int i = 0; i < count; i++) {
        ftso_value operands[] = {ftso_graph_unary(graph, "relu", slice),
                                 ftso_graph_input(graph, ftso_format(arena, "w%d", i),
                                                  ftso_shape_weight(part, 1, 3, 3))};
        ftso_value y =
            ftso_graph_add(graph, "dwconv", operands, 2, attrs, (size_t)dwconv->attr_count);
        ftso_graph_output(graph, ftso_format(arena, "y%d", i), y, FTSO_NO_VALUE);
    }
    return graph;
}

static void a_slice_for_many_is_stored(void **state)
{
    (void)state;
    enum { MANY = 8 };
    const struct {
        int count;
        int64_t part;
        bool stored;
    } cases[] = {{MANY, 4, true}, {MANY - 1, 4, false}, {MANY, 5, false}};
    for (size_t i = 0; i < FTSO_COUNT(cases); i++) {
        ftso_arena arena;
        ftso_arena_init(&arena);
        ftso_graph *graph = readers_of_a_slice(&arena, cases[i].count, cases[i].part);
        ftso_schedule *schedule;
        test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
        nets_same_schedule(graph, schedule, 2, 1e-8);
        size_t slices = 0, whole = 0;
        for (size_t r = 0; r < schedule->region_count; r++) {
            const ftso_region *region = &schedule->regions[r];
            for (size_t k = 0; k < region->write_count; k++)
                slices += ftso_node_is(ftso_graph_node(graph, region->writes[k]), "slice");
            for (size_t k = 0; k < region->read_count; k++)
                whole += ftso_graph_node(graph, region->reads[k])->shape.dim[1] == 8;
        }
        assert_int_equal(slices, cases[i].stored);
        assert_int_equal(whole, cases[i].stored ? 1 : cases[i].count);
        ftso_arena_deinit(&arena);
    }
}

/* A slice whose ways to a few cores are more than an integer counts. */
static void ways_to_a_core_do_not_overflow(void **state)
{
    (void)state;
    enum { SUMS = 40 };
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_graph *graph = FTSO_NEW(&arena, ftso_graph);
    ftso_graph_init(graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(graph, "x", ftso_shape_image(2, 8, 3, 3));
    ftso_attr_value range[] = {FTSO_I(0), FTSO_I(4)};
    ftso_value sum = ftso_graph_add(graph, "slice", &x, 1, range, 2);
    for (int i = 0; i < SUMS; i++) {
        ftso_value half = ftso_graph_unary(graph, "relu", sum);
        sum = ftso_graph_binary(graph, "sub", sum, half);
    }
    ftso_value w = ftso_graph_input(graph, "w", ftso_shape_weight(4, 4, 1, 1));
    ftso_graph_output(graph, "y", ftso_graph_binary(graph, "conv", sum, w), FTSO_NO_VALUE);
    ftso_schedule *schedule;
    test_ok(ftso_schedule_form(&arena, graph, NULL, &schedule));
    nets_same_schedule(graph, schedule, 2, 1e-8);
    ftso_arena_deinit(&arena);
}

static void what_has_no_kernel_is_refused(void **state)
{
    (void)state;
    ftso_arena arena;
    ftso_graph graph;
    ftso_schedule *schedule;
    ftso_arena_init(&arena);
    ftso_graph_init(&graph, &arena, ftso_primitives());
    ftso_value x = ftso_graph_input(&graph, "x", ftso_shape_image(2, 4, 3, 3));
    ftso_graph_output(&graph, "y", ftso_graph_unary(&graph, "batch_norm", x), FTSO_NO_VALUE);
    ftso_status status = ftso_schedule_form(&arena, &graph, NULL, &schedule);
    assert_int_equal(status.code, FTSO_ERROR_INTERNAL);
    assert_string_equal(status.message, "regions: node %1 (batch_norm) has no kernel");
    ftso_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_schedule),
        cmocka_unit_test(super_nets_schedule),
        cmocka_unit_test(equal_regions_have_equal_keys),
        cmocka_unit_test(forming_is_deterministic),
        cmocka_unit_test(switches_do_something),
        cmocka_unit_test(independent_algebra_is_cut),
        cmocka_unit_test(algebra_waits_for_its_users),
        cmocka_unit_test(depthwise_leads),
        cmocka_unit_test(gradients_run_beside),
        cmocka_unit_test(pools_run_beside),
        cmocka_unit_test(a_slice_for_many_is_stored),
        cmocka_unit_test(ways_to_a_core_do_not_overflow),
        cmocka_unit_test(what_has_no_kernel_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
