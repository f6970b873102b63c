/*
 * One optimiser step as graph nodes: gradient, clipping, SGD or Adam, state outputs.
 *
 * In: a network with a loss, an optimiser. Out: nodes on the flat vector `weights` or `arch`; inputs and states named
 * after it. Must hold: the formulas of PyTorch's SGD and Adam (decay added to the gradient; eps after the bias correction);
 * nodes in an order that no compiler chooses: one appending call at most among the arguments of a call. A moment starts
 * at zero, which makes SGD's first buffer the gradient itself.
 */
#include "ir/ir.h"

/* What the formulas below are written in: a graph and the length of its flat vectors. */
typedef struct step {
    ftso_graph *graph;
    ftso_arena *arena;
    const char *name; /* "weights" or "arch" */
    ftso_shape shape;
} step;

static ftso_value number(const step *s, double value)
{
    return ftso_graph_constant(s->graph, ftso_shape_scalar(), value);
}

static ftso_value times(const step *s, ftso_value vector, ftso_value scalar)
{
    return ftso_graph_binary(s->graph, "scale", vector, scalar);
}

static ftso_value plus(const step *s, ftso_value a, ftso_value b)
{
    return ftso_graph_binary(s->graph, "add", a, b);
}

static const char *named(const step *s, const char *suffix)
{
    return ftso_format(s->arena, "%s.%s", s->name, suffix);
}

static ftso_value scalar_input(const step *s, const char *suffix)
{
    return ftso_graph_input(s->graph, named(s, suffix), ftso_shape_scalar());
}

/* The moment's state; `keep` makes its new content the run's output. */
static ftso_value moment(const step *s, const char *suffix)
{
    return ftso_graph_state(s->graph, named(s, suffix), s->shape);
}

static void keep(const step *s, const char *suffix, ftso_value value, ftso_value state)
{
    ftso_graph_output(s->graph, named(s, suffix), value, state);
}

/* g * min(1, limit / (|g| + 1e-6)), |g| over the whole vector. */
static ftso_value clip(const step *s, ftso_value g, double limit)
{
    ftso_value square = ftso_graph_binary(s->graph, "vector_dot", g, g);
    ftso_value root = ftso_graph_unary(s->graph, "sqrt", square);
    ftso_value norm = plus(s, root, number(s, 1e-6));
    ftso_value ratio = ftso_graph_binary(s->graph, "div", number(s, limit), norm);
    return times(s, g, ftso_graph_binary(s->graph, "min", ratio, number(s, 1)));
}

/* buf <- momentum * buf + g; the step is buf, or g + momentum * buf (Nesterov). */
static ftso_value sgd(const step *s, const ftso_optimizer *optimizer, ftso_value g)
{
    if (optimizer->momentum == 0) return g;
    ftso_value buffer = moment(s, "momentum"), factor = number(s, optimizer->momentum);
    ftso_value fresh = plus(s, times(s, buffer, factor), g);
    keep(s, "momentum", fresh, buffer);
    return optimizer->nesterov ? plus(s, g, times(s, fresh, factor)) : fresh;
}

/* m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) */
static ftso_value adam(const step *s, const ftso_optimizer *optimizer, ftso_value g)
{
    ftso_value m = moment(s, "m"), v = moment(s, "v");
    ftso_value square = ftso_graph_binary(s->graph, "mul", g, g);
    ftso_value old_part = times(s, m, number(s, optimizer->beta1));
    ftso_value new_m = plus(s, old_part, times(s, g, number(s, 1 - optimizer->beta1)));
    old_part = times(s, v, number(s, optimizer->beta2));
    ftso_value new_v = plus(s, old_part, times(s, square, number(s, 1 - optimizer->beta2)));
    keep(s, "m", new_m, m);
    keep(s, "v", new_v, v);
    ftso_value root = ftso_graph_unary(s->graph, "sqrt", times(s, new_v, scalar_input(s, "adam2")));
    ftso_value below = plus(s, root, ftso_graph_constant(s->graph, s->shape, optimizer->eps));
    return ftso_graph_binary(s->graph, "div", times(s, new_m, scalar_input(s, "adam1")), below);
}

ftso_value ftso_lower_step(ftso_network *network, const ftso_optimizer *optimizer, bool of_arch)
{
    ftso_value target = of_arch ? network->arch : network->weights;
    FTSO_ASSERT(target != FTSO_NO_VALUE && network->loss != FTSO_NO_VALUE);
    step s = {network->graph, network->graph->arena, of_arch ? "arch" : "weights",
              ftso_graph_shape(network->graph, target)};
    s.graph->origin = (ftso_origin){optimizer->span, named(&s, "step")};
    ftso_value gradient;
    ftso_graph_gradient(s.graph, network->loss, &target, 1, &gradient);
    ftso_value g = optimizer->clip > 0 ? clip(&s, gradient, optimizer->clip) : gradient;
    if (optimizer->weight_decay != 0)
        g = plus(&s, g, times(&s, target, number(&s, optimizer->weight_decay)));
    ftso_value direction =
        optimizer->kind == FTSO_ADAM ? adam(&s, optimizer, g) : sgd(&s, optimizer, g);
    ftso_value change = times(&s, direction, scalar_input(&s, "lr"));
    ftso_graph_output(s.graph, s.name, ftso_graph_binary(s.graph, "sub", target, change), target);
    return gradient;
}
