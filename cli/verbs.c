/*
 * The verbs and their help.
 */
#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ftso_verb verbs[] = {
    {"new", "print a commented space file to start from", ftso_verb_new},
    {"check", "read a space file and say everything that is wrong with it", ftso_verb_check},
    {"fmt", "print a space file in canonical layout", ftso_verb_fmt},
    {"count", "parameters, multiply-adds, size of the space, the paper's theorems",
     ftso_verb_count},
    {"search", "find cells: topology first, operators second", ftso_verb_search},
    {"train", "train the network of a found or published cell", ftso_verb_train},
    {"resume", "go on with a training that was stopped or killed", ftso_verb_resume},
    {"eval", "judge trained weights on the test images", ftso_verb_eval},
    {"weights", "list a network's tensors, convert weights from and to names of DARTS",
     ftso_verb_weights},
    {"show", "draw a found or published cell, or print it in another form", ftso_verb_show},
    {"build", "make an executable or a library of a network and its weights", ftso_verb_build},
    {"verify", "compare what was built with the reference, on this machine", ftso_verb_verify},
    {"bench", "time a step, region by region", ftso_verb_bench},
    {"explain", "what an error code means, with a bad and a good example", ftso_verb_explain},
    {"doctor", "what this machine has, what is missing, and how to get it", ftso_verb_doctor},
};

const ftso_verb *ftso_verb_rows(size_t *out_count)
{
    *out_count = FTSO_COUNT(verbs);
    return verbs;
}

static void print_help(FILE *out)
{
    fputs("ftso, an architecture compiler: search a cell's topology first, its operators second, "
          "and run it as\n"
          "compiled code.\n\n"
          "Usage: ftso VERB [options] [files]       (ftso VERB --help tells more)\n\n",
          out);
    for (size_t i = 0; i < FTSO_COUNT(verbs); i++)
        fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].doc);
    fputs("\nA first search, on 60 000 real images:\n"
          "  ftso search examples/fashion.ftso\n\n"
          "Exit codes: 0 done; 1 the space file is wrong; 2 the command line is wrong; 3 does not "
          "fit (memory, disk,\n"
          "a constraint); 4 device or toolkit; 5 data; 6 interrupted, work saved; 70 an error of "
          "ftso itself.\n",
          out);
}

int ftso_report(ftso_status status)
{
    if (status.code != FTSO_OK) fprintf(stderr, "ftso: %s\n", status.message);
    return (int)status.code;
}

bool ftso_wants_color(FILE *stream)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(fileno(stream)) && term && strcmp(term, "dumb") != 0 && !(no_color && *no_color);
}

const char *ftso_did_you_mean(ftso_arena *arena, const char *name, const char *const *names,
                              size_t count)
{
    const char *nearest = ftso_nearest_name(name, names, count);
    return nearest ? ftso_format(arena, " (did you mean '%s'?)", nearest) : "";
}

static int unknown_verb(const char *name)
{
    const char *names[FTSO_COUNT(verbs)];
    for (size_t i = 0; i < FTSO_COUNT(verbs); i++) names[i] = verbs[i].name;
    ftso_arena arena;
    ftso_arena_init(&arena);
    fprintf(stderr, "ftso: there is no verb '%s'%s; 'ftso --help' lists them\n", name,
            ftso_did_you_mean(&arena, name, names, FTSO_COUNT(names)));
    ftso_arena_deinit(&arena);
    return FTSO_ERROR_USAGE;
}

/* A standard stream that was handed over closed must not become the number of a file that is opened later. */
static void hold_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

/* What was printed must have arrived. */
static int finish(int code)
{
    bool lost = fflush(stdout) == EOF || ferror(stdout);
    if (!lost || code != FTSO_OK) return code;
    return ftso_report(ftso_error(FTSO_ERROR_LIMIT, "cannot write to standard output"));
}

int ftso_main(int argc, char **argv)
{
    hold_streams();
    ftso_watch_memory();
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error to report, not to die of */
    if (argc < 2) {
        print_help(stderr);
        return FTSO_ERROR_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return finish(FTSO_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("ftso " FTSO_VERSION);
        return finish(FTSO_OK);
    }
    for (size_t i = 0; i < FTSO_COUNT(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0) continue;
        char title[32];
        snprintf(title, sizeof(title), "ftso %s", verbs[i].name);
        argv[1] = title;
        int code = verbs[i].run(argc - 1, argv + 1);
        return finish(code);
    }
    return unknown_verb(argv[1]);
}
