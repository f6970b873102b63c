/*
 * ftso count: what the networks of a file weigh, how large its spaces are, and what the paper's theorems say of them.
 */
#include "cli/options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct count_options {
    const char *path;
    ftso_input_options input;
    long kernel, channels, side; /* of the theorems' example */
} count_options;

enum { KEY_KERNEL = 512, KEY_CHANNELS, KEY_SIDE };

static const struct argp_option options[] = {
    {"kernel", KEY_KERNEL, "K", 0, "theorems: side of the kernels (default 5)", 0},
    {"channels", KEY_CHANNELS, "C", 0, "theorems: channels in and out (default 512)", 0},
    {"side", KEY_SIDE, "H", 0, "theorems: side of the maps (default 8)", 0},
    {0},
};

static long positive(struct argp_state *state, const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > 1 << 20)
        argp_error(state, "'%s' is no number from 1 to 1048576", text);
    return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    count_options *count = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &count->input;
        break;
    case KEY_KERNEL:
        count->kernel = positive(state, arg);
        break;
    case KEY_CHANNELS:
        count->channels = positive(state, arg);
        break;
    case KEY_SIDE:
        count->side = positive(state, arg);
        break;
    case ARGP_KEY_ARG:
        if (count->path) argp_error(state, "one file at a time");
        count->path = arg;
        break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which file?");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {{&ftso_argp_input, 0, NULL, 0}, {0}};

static const struct argp argp = {options,
                                 parse,
                                 "FILE.ftso",
                                 "Counts trainable parameters and multiply-adds per image "
                                 "(convolutions and linear layers; a bias once per output) of "
                                 "every super-net and network of the file, the size of its spaces, "
                                 "and theorems 1 and 2 of the FTSO paper.\v"
                                 "Example: ftso count examples/darts.ftso",
                                 children,
                                 NULL,
                                 NULL};

static void print_row(const char *what, const char *name, const ftso_network *network)
{
    if (!network) return;
    ftso_counts counts = ftso_network_count(network);
    printf("  %-10s %-26s %12" PRId64 " %14" PRId64 " %8" PRId64 "\n", what, name,
           counts.parameters, counts.macs, counts.arch_scalars);
}

/* A fresh arena per network: each is reset when its numbers are out. */
static void count_supernet(ftso_diag *diag, const char *what, const char *name,
                           const ftso_space *space, const ftso_lower_options *how)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    print_row(what, name, ftso_lower_supernet(&arena, diag, space, how));
    ftso_arena_deinit(&arena);
}

static void count_network(ftso_diag *diag, const char *name, const ftso_space *space,
                          const ftso_genotype *genotype, bool aux)
{
    ftso_arena arena;
    ftso_arena_init(&arena);
    ftso_lower_options how = {.batch = 2, .aux = aux};
    print_row(aux ? "with aux" : "network", name,
              ftso_lower_network(&arena, diag, space, genotype, &how));
    ftso_arena_deinit(&arena);
}

static void print_space(ftso_arena *arena, const count_options *chosen, const ftso_space *space)
{
    ftso_space_size size = ftso_space_measure(arena, space);
    ftso_theorem t = ftso_theorem_of(space, chosen->kernel, chosen->channels, chosen->side);
    printf("\nspace %s: %" PRId64 " edges in its searched cells, %s topologies, %s genotypes\n",
           space->name, size.edges, size.topologies, size.genotypes);
    if (t.edges <= 0) return;
    printf("  theorem 1, DARTS  n=%" PRId64 " p=%" PRId64 " k=%" PRId64 " C=%" PRId64 " H=%" PRId64
           ": %.0f parameters, %.0f operations\n",
           t.n, t.p, t.k, t.in_channels, t.in_side, t.darts_parameters, t.darts_flops);
    printf("  theorem 2, FTSO   %" PRId64 " edges: %.0f parameters, %.0f operations\n", t.edges,
           t.ftso_parameters, t.ftso_flops);
    printf("  ratios            %.4g of the parameters, %.4g of the operations\n",
           t.parameter_ratio, t.flop_ratio);
}

int ftso_verb_count(int argc, char **argv)
{
    count_options chosen = {.kernel = 5, .channels = 512, .side = 8};
    int code = ftso_argp_run(&argp, argc, argv, &chosen);
    if (code >= 0) return code;
    ftso_input input;
    if (!ftso_input_read(&input, chosen.path, chosen.input.overrides, chosen.input.override_count,
                         &code))
        goto out;
    const ftso_unit *unit = input.unit;

    printf("  %-10s %-26s %12s %14s %8s\n", "", "", "parameters", "multiply-adds", "arch");
    for (size_t i = 0; i < unit->space_count; i++) {
        ftso_lower_options how = {.batch = 2};
        count_supernet(&input.diag, "super-net", unit->spaces[i]->name, unit->spaces[i], &how);
    }
    for (size_t i = 0; i < unit->search_count; i++) {
        ftso_lower_options how = ftso_search_lower_options(unit->searches[i]);
        count_supernet(&input.diag, "search", unit->searches[i]->name, unit->searches[i]->space,
                       &how);
    }
    for (size_t i = 0; i < unit->genotype_count; i++) {
        const ftso_genotype *genotype = unit->genotypes[i];
        count_network(&input.diag, genotype->name, genotype->space, genotype, false);
        if (genotype->space->aux_head)
            count_network(&input.diag, genotype->name, genotype->space, genotype, true);
    }
    for (size_t i = 0; i < unit->train_count; i++) {
        const ftso_train *train = unit->trains[i];
        if (!train->cell) continue;
        ftso_lower_options how = ftso_train_lower_options(train, true);
        ftso_arena arena;
        ftso_arena_init(&arena);
        how.aux = false;
        print_row("train", train->name,
                  ftso_lower_network(&arena, &input.diag, train->space, train->cell, &how));
        ftso_network_require(&arena, &input.diag, train->require, train->space, train->cell, &how);
        ftso_arena_deinit(&arena);
    }
    for (size_t i = 0; i < unit->space_count; i++)
        print_space(&input.arena, &chosen, unit->spaces[i]);
    ftso_input_print(&input);
    code = input.diag.error_count ? FTSO_ERROR_USER : FTSO_OK;
out:
    ftso_input_deinit(&input);
    return code;
}
