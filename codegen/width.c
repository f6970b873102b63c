/*
 * Width: how many floats a region's vectors have, how many pixels of its images, and whether its results go past the caches.
 *
 * In: a region and the target. Out: vectors of one pixel, as wide as instructions are fewest, or as lines of memory where memory
 * sets the time; or of several pixels side by side, where images are so narrow that a vector holds some, and nothing in the
 * region takes pixels apart.
 * Must hold: all follow from the region and the target alone.
 */
#include "codegen/codegen_internal.h"
#include "codegen/emit_llvm.h"

#include <math.h>

enum { LEAST = 4, PARTS = 4, CACHED_BYTES = 8 << 20, LIGHT_FLOPS = 2 };

static bool is_map(ftso_shape shape)
{
    return shape.rank == 4 && shape.batched;
}

/* Channels that lie in vectors where a node is computed: of its image, of what it adds up, or of a gradient's results. */
static int64_t lanes_of(const ftso_graph *graph, const ftso_node *node)
{
    if (node->shape.rank == 4) return node->shape.batched ? node->shape.dim[1] : node->shape.dim[0];
    ftso_shape of = node->input_count ? ftso_graph_shape(graph, node->inputs[0]) : node->shape;
    return is_map(of) ? of.dim[1] : 0;
}

/* Bytes of those of the values that are images. */
static int64_t image_bytes(const ftso_target *target, const ftso_schedule *schedule,
                           const ftso_value *values, size_t count)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        ftso_shape shape = ftso_graph_shape(schedule->graph, values[i]);
        if (is_map(shape)) bytes += ftso_layout_bytes(target, shape, schedule->elements[values[i]]);
    }
    return bytes;
}

/*
 * Whether the region moves more than caches hold, and computes little on the way: memory sets its time. What it writes counts
 * twice, for caches fetch its lines first.
 */
static bool is_light(const ftso_target *target, const ftso_schedule *schedule,
                     const ftso_region *region)
{
    int64_t moved = image_bytes(target, schedule, region->reads, region->read_count) +
                    2 * image_bytes(target, schedule, region->writes, region->write_count),
            flops = 0;
    for (size_t i = 0; i < region->node_count; i++)
        flops += ftso_node_cost(schedule->graph, region->nodes[i]).flops;
    return moved > CACHED_BYTES && flops < LIGHT_FLOPS * moved;
}

/* Whether vectors of so many floats are whole ones of what the image takes up, or hold all of it. */
static bool divides(const ftso_target *target, const ftso_schedule *schedule, ftso_value value,
                    int floats)
{
    ftso_shape shape = ftso_graph_shape(schedule->graph, value);
    if (!is_map(shape)) return true;
    int64_t stored =
        ftso_stored_channels(shape.dim[1], shape.dim[2] * shape.dim[3], ftso_target_round(target));
    return stored <= floats || stored % floats == 0;
}

static bool divides_all(const ftso_target *target, const ftso_schedule *schedule,
                        const ftso_region *region, int floats)
{
    for (size_t i = 0; i < region->write_count; i++)
        if (!divides(target, schedule, region->writes[i], floats)) return false;
    for (size_t i = 0; i < region->read_count; i++)
        if (!divides(target, schedule, region->reads[i], floats)) return false;
    return true;
}

/*
 * The fewest instructions win. A narrower vector counts as less than the widest: as half and a little more where processors take
 * wide ones apart; elsewhere less of it is wasted. Where memory sets the time, the widest is best: its lines are written whole.
 */
static int floats_of(const ftso_target *target, const ftso_schedule *schedule,
                     const ftso_region *region, bool light)
{
    int best = target->vector_floats;
    double least = HUGE_VAL;
    for (int floats = best; floats >= LEAST && floats * PARTS >= target->vector_floats;
         floats /= 2) {
        if (!divides_all(target, schedule, region, floats)) continue;
        if (light) return floats;
        double cost = 0;
        for (size_t i = 0; i < region->node_count; i++) {
            const ftso_node *node = ftso_graph_node(schedule->graph, region->nodes[i]);
            int64_t lanes = lanes_of(schedule->graph, node);
            if (lanes == 0) continue;
            double vectors = (double)((lanes + floats - 1) / floats) / (double)lanes;
            cost += (double)ftso_node_cost(schedule->graph, region->nodes[i]).flops * vectors;
        }
        if (floats < target->vector_floats) cost *= target->halves ? 0.55 : 0.65;
        if (cost > least) continue; /* of equals the narrower: less scratch */
        least = cost;
        best = floats;
    }
    return best;
}

/* What the images of a region of several pixels a vector have in common. */
typedef struct thin {
    const ftso_schedule *schedule;
    int64_t stored, height, width;
    ftso_round round;
} thin;

/* On the region's map, with as many channels in memory. */
static bool is_thin(const thin *t, ftso_shape shape)
{
    return is_map(shape) && shape.dim[2] == t->height && shape.dim[3] == t->width &&
           ftso_stored_channels(shape.dim[1], t->height * t->width, t->round) == t->stored;
}

/*
 * Whether a node can be computed for several pixels at once: from images as thin as its own; a window without a stride sees each
 * tap of neighbours side by side. What moves channels may take them from wider images, and those be elementwise or moved.
 */
static bool allows(const thin *t, ftso_value value)
{
    const ftso_graph *graph = t->schedule->graph;
    const ftso_node *node = ftso_graph_node(graph, value);
    if (ftso_op_attr(node->op, "stride") >= 0 && ftso_node_int(node, "stride") != 1) return false;
    if (is_map(node->shape) && !is_thin(t, node->shape))
        return ftso_value_role(graph, value) == FTSO_ROLE_POINTWISE &&
               node->shape.dim[2] == t->height && node->shape.dim[3] == t->width;
    for (uint32_t i = 0; i < ftso_node_needs(node) && !ftso_emit_moves_channels(node); i++) {
        ftso_shape shape = ftso_graph_shape(graph, node->inputs[i]);
        if (is_map(shape) && !is_thin(t, shape)) return false;
    }
    return true;
}

/* Pixels of a vector of the target's; 1 where the region does not allow several. */
static int pixels_of(const ftso_target *target, const ftso_schedule *schedule,
                     const ftso_region *region)
{
    const ftso_graph *graph = schedule->graph;
    ftso_shape made = {0};
    for (size_t i = 0; i < region->write_count && !is_map(made); i++) {
        const ftso_node *node = ftso_graph_node(graph, region->writes[i]);
        bool sum = ftso_value_role(graph, region->writes[i]) == FTSO_ROLE_REDUCTION;
        made = sum ? ftso_graph_shape(graph, node->inputs[0]) : node->shape;
    }
    if (!is_map(made)) return 1;
    thin t = {schedule, 0, made.dim[2], made.dim[3], ftso_target_round(target)};
    t.stored = ftso_stored_channels(made.dim[1], t.height * t.width, t.round);
    int64_t pixels = target->vector_floats / t.stored;
    if (pixels <= 1 || t.width % pixels) return 1;
    for (size_t i = 0; i < region->node_count; i++)
        if (!allows(&t, region->nodes[i])) return 1;
    for (size_t i = 0; i < region->write_count; i++) {
        ftso_shape shape = ftso_graph_shape(graph, region->writes[i]);
        if (is_map(shape) && !is_thin(&t, shape)) return 1;
    }
    for (size_t i = 0; i < region->read_count; i++) {
        ftso_shape shape = ftso_graph_shape(graph, region->reads[i]);
        if (is_map(shape) && (shape.dim[2] != t.height || shape.dim[3] != t.width)) return 1;
    }
    return (int)pixels;
}

ftso_width ftso_width_of(const ftso_target *target, const ftso_schedule *schedule,
                         const ftso_region *region)
{
    int pixels = pixels_of(target, schedule, region);
    bool light = is_light(target, schedule, region);
    int floats = pixels > 1 ? target->vector_floats : floats_of(target, schedule, region, light);
    return (ftso_width){floats, pixels, light};
}
