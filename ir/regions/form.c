/*
 * The region former, first step: which region computes what.
 * In: a split graph. Out: drafts: cores, the pointwise values and reductions that must run beside them, and for every
 * other pointwise value the draft where it could first be computed.
 * Holds: drafts are in the order they run; a value's users come after it or join a draft that runs after all it needs.
 * A time is the number of a draft; FTSO_NOWHERE means before all of them. Start reading at ftso_schedule_form.
 */
#include "ir/regions/regions_internal.h"

#include <string.h>

ftso_fusion ftso_fusion_default(void)
{
    return (ftso_fusion){
        .prologue = true, .epilogue = true, .horizontal = true, .chained = true, .max_sources = 6};
}

bool ftso_former_is_image(const ftso_former *former, ftso_value value)
{
    return former->graph->nodes[value].shape.batched;
}

static int latest(int a, int b)
{
    return a > b ? a : b;
}

/* ---------------------------------------------------------------- what a value is computed from */

/* Times of the operands, all together. */
static void operand_times(const ftso_former *f, const ftso_node *node, int *out_image,
                          int *out_vector)
{
    *out_image = *out_vector = FTSO_NOWHERE;
    for (uint32_t i = 0; i < ftso_node_needs(node); i++) {
        *out_image = latest(*out_image, f->image_time[node->inputs[i]]);
        *out_vector = latest(*out_vector, f->vector_time[node->inputs[i]]);
    }
}

static ftso_sources one_source(ftso_former *f, ftso_value value, int weight)
{
    ftso_sources set = {FTSO_ARRAY(f->arena, ftso_value, 1), 1, weight};
    set.items[0] = value;
    return set;
}

/* `set` is sorted; so is the result. Weights of single items: 1, or the weight of a virtual concat. */
static void add_source(ftso_former *f, ftso_sources *set, size_t *capacity, ftso_value value,
                       int weight)
{
    size_t at = 0;
    while (at < set->count && set->items[at] < value) at++;
    if (at < set->count && set->items[at] == value) return;
    FTSO_PUSH(f->arena, set->items, set->count, *capacity, value);
    for (size_t i = set->count - 1; i > at; i--) set->items[i] = set->items[i - 1];
    set->items[at] = value;
    set->weight += weight;
}

static int item_weight(const ftso_former *f, ftso_value value)
{
    const ftso_sources *own = &f->sources[value];
    return own->count == 1 && own->items[0] == value ? own->weight : 1;
}

/* A concat reads one part per channel: it counts as its widest part. */
static ftso_sources virtual_sources(ftso_former *f, ftso_value value)
{
    const ftso_node *node = &f->graph->nodes[value];
    if (ftso_node_is(node, "concat")) {
        int widest = 0;
        for (uint32_t i = 0; i < node->input_count; i++)
            widest = latest(widest, f->sources[node->inputs[i]].weight);
        return one_source(f, value, widest);
    }
    ftso_sources set = {0};
    size_t capacity = 0;
    for (uint32_t i = 0; i < ftso_node_needs(node); i++) {
        const ftso_sources *of = &f->sources[node->inputs[i]];
        for (size_t k = 0; k < of->count; k++)
            add_source(f, &set, &capacity, of->items[k], item_weight(f, of->items[k]));
    }
    return set;
}

/* ---------------------------------------------------------------- drafts */

static int new_draft(ftso_former *f, const char *kernel_class, ftso_shape images, bool absorbs)
{
    ftso_draft draft = {.kernel_class = kernel_class, .absorbs = absorbs};
    if (images.batched && images.rank == 4) {
        draft.height = images.dim[2];
        draft.width = images.dim[3];
    }
    FTSO_PUSH(f->arena, f->drafts, f->draft_count, f->draft_capacity, draft);
    return (int)f->draft_count - 1;
}

static bool same_map(const ftso_draft *draft, ftso_shape image)
{
    if (image.rank != 4) return draft->height == 0;
    return draft->height == image.dim[2] && draft->width == image.dim[3];
}

/* The draft that could compute something of these times on this map beside what it has: the one that makes its last image. */
static int joinable(const ftso_former *f, int image_time, int vector_time, ftso_shape map)
{
    if (image_time == FTSO_NOWHERE || vector_time >= image_time) return FTSO_NOWHERE;
    const ftso_draft *draft = &f->drafts[image_time];
    return draft->absorbs && same_map(draft, map) ? image_time : FTSO_NOWHERE;
}

/* Whether a draft reads or makes one of the sources. */
static bool shares_source(const ftso_draft *draft, const ftso_sources *set)
{
    for (size_t k = 0; k < set->count; k++)
        for (size_t i = 0; i < draft->touched_count; i++)
            if (draft->touched[i] == set->items[k]) return true;
    return false;
}

static void touch(ftso_former *f, int home, const ftso_sources *set)
{
    ftso_draft *draft = &f->drafts[home];
    for (size_t k = 0; k < set->count; k++)
        FTSO_PUSH(f->arena, draft->touched, draft->touched_count, draft->touched_capacity,
                  set->items[k]);
}

/* A pointwise draft that runs late enough and shares an operand, or a new one at the end. */
static int pointwise_draft(ftso_former *f, int image_time, int vector_time, ftso_shape map,
                           const ftso_sources *set)
{
    int earliest = latest(image_time, vector_time + 1);
    for (int d = (int)f->draft_count - 1; d >= latest(earliest, 0); d--) {
        const ftso_draft *draft = &f->drafts[d];
        if (draft->core_count == 0 && same_map(draft, map) && shares_source(draft, set)) return d;
    }
    return new_draft(f, "pointwise", map, true);
}

/* ---------------------------------------------------------------- one value after another */

static void place_summands(ftso_former *f, ftso_value sum);

static void place_pointwise(ftso_former *f, ftso_value value)
{
    const ftso_node *node = &f->graph->nodes[value];
    int image_time, vector_time;
    place_summands(f, value);
    operand_times(f, node, &image_time, &vector_time);
    f->sources[value] = virtual_sources(f, value);
    bool store = f->forced[value] || f->sources[value].weight > f->fusion.max_sources;
    f->joins[value] = joinable(f, image_time, vector_time, node->shape);
    if (!store) {
        f->image_time[value] = image_time;
        f->vector_time[value] = vector_time;
        return;
    }
    int home = f->joins[value];
    if (home == FTSO_NOWHERE) {
        home = pointwise_draft(f, image_time, vector_time, node->shape, &f->sources[value]);
        ftso_draft *draft = &f->drafts[home];
        FTSO_PUSH(f->arena, draft->stored, draft->stored_count, draft->stored_capacity, value);
        touch(f, home, &f->sources[value]);
    } else {
        f->forced[value] = true;
    }
    f->home[value] = f->joins[value] = home;
    f->image_time[value] = home;
    f->vector_time[value] = FTSO_NOWHERE;
    f->sources[value] = one_source(f, value, 1);
    touch(f, home, &f->sources[value]);
}

static void place_reduction(ftso_former *f, ftso_value value)
{
    const ftso_node *node = &f->graph->nodes[value];
    ftso_shape map = f->graph->nodes[node->inputs[0]].shape;
    int image_time, vector_time;
    operand_times(f, node, &image_time, &vector_time);
    int home = joinable(f, image_time, vector_time, map);
    if (home == FTSO_NOWHERE) {
        ftso_sources set = {0};
        size_t capacity = 0;
        for (uint32_t i = 0; i < node->input_count; i++) {
            const ftso_sources *of = &f->sources[node->inputs[i]];
            for (size_t k = 0; k < of->count; k++) add_source(f, &set, &capacity, of->items[k], 1);
        }
        home = pointwise_draft(f, image_time, vector_time, map, &set);
        touch(f, home, &set);
    }
    ftso_draft *draft = &f->drafts[home];
    FTSO_PUSH(f->arena, draft->reductions, draft->reduction_count, draft->reduction_capacity,
              value);
    f->home[value] = home;
    f->vector_time[value] = home;
}

static bool same_window(const ftso_graph *graph, const ftso_node *a, const ftso_node *b)
{
    if (a->op != b->op || a->inputs[0] != b->inputs[0]) return false;
    for (int i = 0; i < a->op->attr_count; i++)
        if (a->attrs[i].i != b->attrs[i].i) return false;
    ftso_shape wa = graph->nodes[a->inputs[1]].shape, wb = graph->nodes[b->inputs[1]].shape;
    return wa.dim[2] == wb.dim[2] && wa.dim[3] == wb.dim[3];
}

/* An earlier convolution of the same operand under the same window. */
static int horizontal_draft(const ftso_former *f, const ftso_node *node)
{
    if (!f->fusion.horizontal || !ftso_node_is(node, "conv")) return FTSO_NOWHERE;
    for (size_t d = 0; d < f->draft_count; d++) {
        const ftso_draft *draft = &f->drafts[d];
        if (draft->core_count == 0 || draft->adds_up) continue;
        if (same_window(f->graph, node, &f->graph->nodes[draft->cores[0]]) &&
            f->vector_time[node->inputs[1]] < (int)d)
            return (int)d;
    }
    return FTSO_NOWHERE;
}

/* Operators that end in one pixel per image (global pool, loss) stay alone. */
static bool core_absorbs(const ftso_former *f, const ftso_node *node)
{
    if (!f->fusion.epilogue || !node->shape.batched || node->shape.rank != 4) return false;
    return node->op->op_class != FTSO_CLASS_IMAGE || node->shape.dim[2] * node->shape.dim[3] > 1;
}

/* The draft of the depthwise convolution that makes the operand of a 1x1 convolution and could lead it: its core moves there. */
static int led_draft(ftso_former *f, const ftso_node *node)
{
    if (!f->fusion.chained || !f->fusion.epilogue || !ftso_node_is(node, "conv"))
        return FTSO_NOWHERE;
    ftso_value operand = node->inputs[0];
    const ftso_node *lead = &f->graph->nodes[operand];
    if (!ftso_node_is(lead, "dwconv") || !ftso_is_pixel_by_pixel(f->graph, node))
        return FTSO_NOWHERE;
    int home = f->home[operand];
    ftso_draft *draft = &f->drafts[home];
    if (draft->cores[0] != operand || f->vector_time[node->inputs[1]] >= home) return FTSO_NOWHERE;
    draft->core_count = 0;
    draft->kernel_class = node->op->kernel_class;
    FTSO_PUSH(f->arena, draft->leads, draft->lead_count, draft->lead_capacity, operand);
    return home;
}

/* Whether all that the weight gradient needs besides dy is there before draft `home` runs. */
static bool is_ready(const ftso_former *f, const ftso_node *gradient, int home)
{
    ftso_value x = gradient->inputs[1];
    return f->image_time[x] < home && f->vector_time[x] < home;
}

static bool is_beside(const ftso_draft *draft, ftso_value core)
{
    for (size_t i = 0; i < draft->lead_count; i++)
        if (draft->leads[i] == core) return true;
    return draft->core_count == 1 && draft->cores[0] == core && !draft->adds_up;
}

/* The draft of a core that reads the gradient image that the weight gradient reads. */
static int gradient_draft(const ftso_former *f, const ftso_node *gradient)
{
    if (!f->fusion.horizontal || !f->fusion.epilogue) return FTSO_NOWHERE;
    ftso_value dy = gradient->inputs[0];
    for (size_t i = f->user_start[dy]; i < f->user_start[dy + 1]; i++) {
        ftso_value user = f->users[i];
        const ftso_node *core = &f->graph->nodes[user];
        if (f->home[user] == FTSO_NOWHERE || core->inputs[0] != dy ||
            !ftso_covers_operand(f->graph, core))
            continue;
        if (is_beside(&f->drafts[f->home[user]], user) && is_ready(f, gradient, f->home[user]))
            return f->home[user];
    }
    return FTSO_NOWHERE;
}

/* The draft of the transposed 1x1 convolution that could lead this transposed depthwise one, the last draft so far: nothing but
 * this core and weight gradients may ask for what it makes. */
static int led_back_draft(ftso_former *f, const ftso_node *node)
{
    ftso_value operand = node->inputs[0];
    const ftso_node *lead = &f->graph->nodes[operand];
    if (!f->fusion.chained || !f->fusion.epilogue || !ftso_node_is(node, "dwconv_dx") ||
        !ftso_node_is(lead, "conv_dx") || !ftso_covers_operand(f->graph, node) ||
        !ftso_is_pixel_by_pixel(f->graph, lead) || f->forced[operand])
        return FTSO_NOWHERE;
    int home = f->home[operand];
    if (home != (int)f->draft_count - 1 || !is_beside(&f->drafts[home], operand) ||
        f->vector_time[node->inputs[1]] >= home)
        return FTSO_NOWHERE;
    for (size_t i = f->user_start[operand]; i < f->user_start[operand + 1]; i++) {
        const ftso_node *user = &f->graph->nodes[f->users[i]];
        if (user == node) continue;
        if (!f->fusion.horizontal || !ftso_is_weight_gradient(user) || user->inputs[1] == operand ||
            !is_ready(f, user, home))
            return FTSO_NOWHERE;
    }
    ftso_draft *draft = &f->drafts[home];
    draft->core_count = 0;
    draft->kernel_class = node->op->kernel_class;
    FTSO_PUSH(f->arena, draft->leads, draft->lead_count, draft->lead_capacity, operand);
    return home;
}

/* Whether the value is computed from the image, among others; the parts of a concat that is not in memory count each. */
static bool comes_from(const ftso_former *f, ftso_value value, ftso_value image)
{
    const ftso_sources *of = &f->sources[value];
    for (size_t i = 0; i < of->count; i++) {
        if (of->items[i] == image) return true;
        const ftso_node *node = &f->graph->nodes[of->items[i]];
        bool by_parts = ftso_node_is(node, "concat") && f->home[of->items[i]] == FTSO_NOWHERE;
        for (uint32_t k = 0; by_parts && k < node->input_count; k++)
            if (comes_from(f, node->inputs[k], image)) return true;
    }
    return false;
}

static bool share_source(const ftso_former *f, ftso_value a, ftso_value b)
{
    const ftso_sources *of = &f->sources[a];
    for (size_t i = 0; i < of->count; i++)
        if (comes_from(f, b, of->items[i])) return true;
    return false;
}

/* The draft of transposed convolutions onto the map that the pool's windows cover, with its stride and an image in common. */
static int tiled_draft(const ftso_former *f, const ftso_node *pool)
{
    int image_time, vector_time;
    if (!f->fusion.horizontal || !f->fusion.epilogue || !ftso_tiles_map(f->graph, pool))
        return FTSO_NOWHERE;
    operand_times(f, pool, &image_time, &vector_time);
    for (int d = (int)f->draft_count - 1; d > latest(image_time, vector_time); d--) {
        const ftso_draft *draft = &f->drafts[d];
        if (draft->core_count == 0 || draft->lead_count || !same_map(draft, pool->shape)) continue;
        const ftso_node *core = &f->graph->nodes[draft->cores[draft->core_count - 1]];
        if (ftso_node_is(core, "conv_dx") &&
            ftso_node_int(core, "stride") == ftso_node_int(pool, "stride") &&
            share_source(f, pool->inputs[0], core->inputs[0]))
            return d;
    }
    return FTSO_NOWHERE;
}

/* The value is made by that draft and no other. */
static void settle(ftso_former *f, ftso_value value, int home)
{
    f->home[value] = f->joins[value] = home;
    if (f->graph->nodes[value].shape.batched) {
        f->image_time[value] = home;
        f->sources[value] = one_source(f, value, 1);
    } else {
        f->vector_time[value] = home;
    }
}

static void add_core(ftso_former *f, ftso_value value, int home)
{
    ftso_draft *draft = &f->drafts[home];
    FTSO_PUSH(f->arena, draft->cores, draft->core_count, draft->core_capacity, value);
    settle(f, value, home);
}

static void add_beside(ftso_former *f, ftso_value value, int home)
{
    ftso_draft *draft = &f->drafts[home];
    if (ftso_is_weight_gradient(&f->graph->nodes[value]))
        FTSO_PUSH(f->arena, draft->gradients, draft->gradient_count, draft->gradient_capacity,
                  value);
    else
        FTSO_PUSH(f->arena, draft->pools, draft->pool_count, draft->pool_capacity, value);
    settle(f, value, home);
}

static void place_core(ftso_former *f, ftso_value value)
{
    const ftso_node *node = &f->graph->nodes[value];
    if (f->sum[value] != FTSO_NO_VALUE) return;
    int home = ftso_is_weight_gradient(node) ? gradient_draft(f, node) : tiled_draft(f, node);
    if (home != FTSO_NOWHERE) {
        add_beside(f, value, home);
        return;
    }
    home = horizontal_draft(f, node);
    if (home == FTSO_NOWHERE) home = led_draft(f, node);
    if (home == FTSO_NOWHERE) home = led_back_draft(f, node);
    if (home == FTSO_NOWHERE)
        home = new_draft(f, node->op->kernel_class, node->shape, core_absorbs(f, node));
    add_core(f, value, home);
}

/* Transposed convolutions that wait for `sum` become one draft, which then makes the sum: dense ones first, so that those
 * with a stride add to what is there. */
static void place_summands(ftso_former *f, ftso_value sum)
{
    const ftso_node *node = &f->graph->nodes[sum];
    int home = FTSO_NOWHERE;
    for (int dense = 1; dense >= 0; dense--)
        for (uint32_t i = 0; i < node->input_count; i++) {
            ftso_value core = node->inputs[i];
            const ftso_node *of = &f->graph->nodes[core];
            if (f->sum[core] != sum || (ftso_node_int(of, "stride") == 1) != dense) continue;
            if (home == FTSO_NOWHERE) {
                home = new_draft(f, of->op->kernel_class, of->shape, true);
                f->drafts[home].adds_up = true;
            }
            add_core(f, core, home);
        }
}

static void place_other(ftso_former *f, ftso_value value)
{
    const ftso_node *node = &f->graph->nodes[value];
    int image_time;
    if (!node->shape.batched) {
        operand_times(f, node, &image_time, &f->vector_time[value]);
        return;
    }
    if (f->roles[value] == FTSO_ROLE_LEAF || f->roles[value] == FTSO_ROLE_ALIAS)
        f->sources[value] = one_source(f, value, 1);
    if (f->roles[value] != FTSO_ROLE_LITERAL || !f->forced[value]) return;
    int home = new_draft(f, "pointwise", node->shape, true);
    ftso_draft *draft = &f->drafts[home];
    FTSO_PUSH(f->arena, draft->stored, draft->stored_count, draft->stored_capacity, value);
}

/* ---------------------------------------------------------------- checks and set-up */

static ftso_status refuse(const ftso_graph *graph, size_t value, const char *rule)
{
    return ftso_error(FTSO_ERROR_INTERNAL, "regions: node %%%zu (%s) %s", value,
                      graph->nodes[value].op->name, rule);
}

static ftso_status check(const ftso_former *f)
{
    bool *packed = FTSO_ARRAY(f->arena, bool, f->count);
    for (size_t v = 0; v < f->count; v++) {
        const ftso_node *node = &f->graph->nodes[v];
        if (!f->live[v]) continue;
        if (!node->op->kernel_class &&
            (f->roles[v] == FTSO_ROLE_CORE || f->roles[v] == FTSO_ROLE_REDUCTION))
            return refuse(f->graph, v, "has no kernel");
        if (ftso_node_is(node, "column") && f->roles[node->inputs[0]] != FTSO_ROLE_LEAF)
            return refuse(f->graph, v, "is a column of what is no input");
        if (!ftso_node_is(node, "pack")) continue;
        for (uint32_t i = 0; i < node->input_count; i++) {
            ftso_value part = node->inputs[i];
            if (packed[part]) return refuse(f->graph, part, "lies in two packs");
            packed[part] = true;
            if (f->roles[part] == FTSO_ROLE_LEAF || (f->roles[part] == FTSO_ROLE_ALIAS &&
                                                     !ftso_node_is(&f->graph->nodes[part], "pack")))
                return refuse(f->graph, part, "cannot lie in a pack");
        }
    }
    return FTSO_STATUS_OK;
}

static void list_users(ftso_former *f)
{
    f->user_start = FTSO_ARRAY(f->arena, size_t, f->count + 1);
    for (size_t v = 0; v < f->count; v++)
        for (uint32_t i = 0; f->live[v] && i < ftso_node_needs(&f->graph->nodes[v]); i++)
            f->user_start[f->graph->nodes[v].inputs[i] + 1]++;
    for (size_t v = 0; v < f->count; v++) f->user_start[v + 1] += f->user_start[v];
    f->users = FTSO_ARRAY(f->arena, ftso_value, f->user_start[f->count]);
    size_t *next = FTSO_ARRAY(f->arena, size_t, f->count);
    memcpy(next, f->user_start, f->count * sizeof *next);
    for (size_t v = 0; v < f->count; v++)
        for (uint32_t i = 0; f->live[v] && i < ftso_node_needs(&f->graph->nodes[v]); i++)
            f->users[next[f->graph->nodes[v].inputs[i]]++] = (ftso_value)v;
}

/* Finds the sums of several transposed convolutions that nothing else reads. */
static void find_summands(ftso_former *f)
{
    for (size_t v = 0; v < f->count; v++) f->sum[v] = FTSO_NO_VALUE;
    if (!f->fusion.horizontal || !f->fusion.epilogue) return;
    for (size_t v = 0; v < f->count; v++) {
        const ftso_node *node = &f->graph->nodes[v];
        if (!f->live[v] || f->roles[v] != FTSO_ROLE_POINTWISE || !ftso_node_is(node, "add"))
            continue;
        int found = 0;
        for (int pass = 0; pass < 2; pass++)
            for (uint32_t i = 0; i < node->input_count; i++) {
                ftso_value core = node->inputs[i];
                if (!ftso_node_is(&f->graph->nodes[core], "conv_dx") || f->forced[core] ||
                    f->user_start[core + 1] - f->user_start[core] != 1)
                    continue;
                if (pass == 0)
                    found++;
                else if (found > 1)
                    f->sum[core] = (ftso_value)v;
            }
    }
}

static int image_operands(const ftso_graph *graph, const ftso_node *node)
{
    int images = 0;
    for (uint32_t i = 0; i < ftso_node_needs(node); i++)
        images += graph->nodes[node->inputs[i]].shape.batched;
    return images;
}

/*
 * A slice of at most half the channels that so many cores read is put in memory: each of their regions, which hold up to three
 * of these cores, would otherwise fetch the lines of the whole image. They read it themselves or what follows from it and at
 * most one other image, as batch norm's gradient does.
 */
enum { LEAST_CORES = 8 };

static void find_parts(ftso_former *f)
{
    int *cores = FTSO_ARRAY(f->arena, int, f->count);
    for (size_t v = f->count; v-- > 0;) {
        const ftso_node *node = &f->graph->nodes[v];
        if (!f->live[v] || f->roles[v] != FTSO_ROLE_POINTWISE || node->shape.rank != 4) continue;
        for (size_t i = f->user_start[v]; i < f->user_start[v + 1]; i++) {
            ftso_value user = f->users[i];
            if (f->roles[user] == FTSO_ROLE_CORE)
                cores[v]++;
            else if (image_operands(f->graph, &f->graph->nodes[user]) <= 2)
                cores[v] += cores[user];
        }
        /* a core counts once for each way to it, and ways double with every sum that they meet in */
        if (cores[v] > LEAST_CORES) cores[v] = LEAST_CORES;
        if (!ftso_node_is(node, "slice") || cores[v] < LEAST_CORES) continue;
        ftso_shape whole = f->graph->nodes[node->inputs[0]].shape;
        if (2 * node->shape.dim[1] <= whole.dim[1]) f->forced[v] = true;
    }
}

static void set_up(ftso_former *f)
{
    f->roles = FTSO_ARRAY(f->arena, ftso_role, f->count);
    f->forced = FTSO_ARRAY(f->arena, bool, f->count);
    f->placed = FTSO_ARRAY(f->arena, bool, f->count);
    f->written = FTSO_ARRAY(f->arena, bool, f->count);
    f->home = FTSO_ARRAY(f->arena, int, f->count);
    f->joins = FTSO_ARRAY(f->arena, int, f->count);
    f->sum = FTSO_ARRAY(f->arena, ftso_value, f->count);
    f->image_time = FTSO_ARRAY(f->arena, int, f->count);
    f->vector_time = FTSO_ARRAY(f->arena, int, f->count);
    f->sources = FTSO_ARRAY(f->arena, ftso_sources, f->count);
    f->live = ftso_live(f->arena, f->graph);
    for (size_t v = 0; v < f->count; v++) {
        f->roles[v] = ftso_value_role(f->graph, (ftso_value)v);
        f->home[v] = f->joins[v] = f->image_time[v] = f->vector_time[v] = FTSO_NOWHERE;
        f->forced[v] = f->roles[v] == FTSO_ROLE_POINTWISE && !f->fusion.prologue;
    }
    for (size_t i = 0; i < f->graph->output_count; i++)
        f->forced[f->graph->outputs[i].value] = true;
    list_users(f);
    find_summands(f);
    if (f->fusion.prologue) find_parts(f);
}

static void place(ftso_former *f, ftso_value value);

/*
 * The transposed core that reads the weight gradient's dy may come later in the graph, because of weights that were merged: it
 * is then placed first, unless it depends on the gradient or images are made in between, whose epilogues it would miss.
 */
static void place_partner(ftso_former *f, ftso_value gradient)
{
    ftso_value dy = f->graph->nodes[gradient].inputs[0];
    for (size_t i = f->user_start[dy]; i < f->user_start[dy + 1]; i++) {
        ftso_value core = f->users[i];
        const ftso_node *node = &f->graph->nodes[core];
        if (core < gradient || f->placed[core] || node->inputs[0] != dy ||
            f->sum[core] != FTSO_NO_VALUE || !ftso_covers_operand(f->graph, node))
            continue;
        bool *needed = FTSO_ARRAY(f->arena, bool, core - gradient + 1), possible = true;
        needed[core - gradient] = true;
        for (ftso_value v = core; v > gradient; v--) {
            possible = possible && (v == core || f->roles[v] != FTSO_ROLE_CORE ||
                                    !ftso_former_is_image(f, v) || !f->live[v]);
            if (!needed[v - gradient]) continue;
            const ftso_node *of = &f->graph->nodes[v];
            for (uint32_t k = 0; k < of->input_count; k++)
                if (of->inputs[k] >= gradient) needed[of->inputs[k] - gradient] = true;
        }
        if (!possible || needed[0]) continue;
        for (ftso_value v = gradient + 1; v <= core; v++)
            if (needed[v - gradient]) place(f, v);
        return;
    }
}

static void place(ftso_former *f, ftso_value value)
{
    if (!f->live[value] || f->placed[value]) return;
    f->placed[value] = true;
    switch (f->roles[value]) {
    case FTSO_ROLE_POINTWISE:
        place_pointwise(f, value);
        break;
    case FTSO_ROLE_REDUCTION:
        place_reduction(f, value);
        break;
    case FTSO_ROLE_CORE:
        if (ftso_is_weight_gradient(&f->graph->nodes[value])) place_partner(f, value);
        place_core(f, value);
        break;
    case FTSO_ROLE_LEAF:
    case FTSO_ROLE_LITERAL:
    case FTSO_ROLE_ALIAS:
    case FTSO_ROLE_ALGEBRA:
        place_other(f, value);
        break;
    }
}

ftso_status ftso_schedule_form(ftso_arena *arena, const ftso_graph *graph,
                               const ftso_fusion *fusion, ftso_schedule **out_schedule)
{
    ftso_arena scratch;
    ftso_arena_init(&scratch);
    ftso_former f = {.arena = &scratch,
                     .graph = graph,
                     .fusion = fusion ? *fusion : ftso_fusion_default(),
                     .count = graph->node_count};
    set_up(&f);
    ftso_status status = check(&f);
    if (status.code == FTSO_OK) {
        for (size_t v = 0; v < f.count; v++) place(&f, (ftso_value)v);
        ftso_former_cut(&f);
        *out_schedule = ftso_former_assemble(&f, arena);
    }
    ftso_arena_deinit(&scratch);
    return status;
}
