/*
 * ftso doctor: what this machine has and lacks. One row per thing.
 */
#include "cli/build.h"
#include "cli/options.h"

#include <dlfcn.h>
#include <sys/statvfs.h>
#include <unistd.h>

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key == ARGP_KEY_ARG) argp_error(state, "no argument is taken");
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {NULL,
                                 parse,
                                 "",
                                 "Shows what this machine has, what is missing, and how to get it. "
                                 "Exit code 4 when something that searches need is missing.\v"
                                 "Example: ftso doctor",
                                 NULL,
                                 NULL,
                                 NULL};

static void row(const char *mark, const char *name, const char *text)
{
    printf("%-8s %-18s %s\n", mark, name, text);
}

static void show_targets(ftso_arena *arena)
{
    static const char *const names[] = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", "znver4"};
    for (size_t i = 0; i < FTSO_COUNT(names); i++) {
        ftso_target target;
        ftso_text why;
        ftso_text_init(&why);
        ftso_status status = ftso_target_named(arena, names[i], &target);
        bool runs = status.code == FTSO_OK && ftso_target_runs_here(&target, &why);
        row(runs ? "ok" : "absent", names[i],
            runs ? ftso_format(arena, "vectors of %d floats", target.vector_floats)
            : status.code == FTSO_OK ? ftso_format(arena, "%s", ftso_text_get(&why))
                                     : status.message);
        ftso_text_deinit(&why);
    }
}

/* What `ftso build` runs. */
static const struct {
    const char *name, *what, *package;
} tools[] = {
    {"cc", "links executables", "gcc libc6-dev"},
    {"ld", "joins the objects of libraries", "binutils"},
    {"objcopy", "hides a library's inner names", "binutils"},
    {"ar", "packs static libraries", "binutils"},
};

static void show_tools(ftso_arena *arena)
{
    for (size_t i = 0; i < FTSO_COUNT(tools); i++) {
        const char *path = ftso_tool_find(arena, tools[i].name);
        row(path ? "ok" : "absent", tools[i].name,
            path ? path
                 : ftso_format(arena, "%s for ftso build: apt-get install %s", tools[i].what,
                               tools[i].package));
    }
    ftso_target host;
    const char *archive = NULL;
    if (ftso_target_host(arena, &host).code == FTSO_OK)
        archive = ftso_installed_file(arena, ftso_system_of(arena, &host), "libftso_artefact.a");
    row(archive ? "ok" : "absent", "artefact runtime",
        archive ? archive : "libftso_artefact.a for ftso build: build ftso again with cmake");
    size_t count;
    const ftso_system *systems = ftso_system_rows(&count);
    for (size_t i = 0; i < count; i++) {
        archive = ftso_installed_file(arena, systems[i].name, "libftso_artefact.a");
        bool pictures = ftso_installed_file(arena, systems[i].name, "libftso_decoders.a") != NULL;
        row(archive ? "ok" : "absent", systems[i].name,
            archive
                ? pictures ? archive
                           : ftso_format(arena, "%s, raw tensors alone: %s", archive,
                                         ftso_decoders_wanted(arena, &systems[i]))
                : ftso_format(arena,
                              "for ftso build --target: apt-get install %s, and build ftso again",
                              systems[i].packages));
    }
}

/* Libraries that are opened at run time where they are installed; nothing that is here today needs them. */
static const struct {
    const char *name, *file, *remedy;
} optional[] = {
    {"CUDA driver", "libcuda.so.1", "only with an NVIDIA GPU: install its driver"},
    {"NVRTC", "libnvrtc.so", "part of the CUDA toolkit"},
    {"cuDNN", "libcudnn.so.9", "NVIDIA's cuDNN 9"},
};

int ftso_verb_doctor(int argc, char **argv)
{
    int code = ftso_argp_run(&argp, argc, argv, NULL);
    if (code >= 0) return code;
    ftso_arena arena;
    ftso_arena_init(&arena);
    code = FTSO_OK;

    row("ok", "ftso", "version " FTSO_VERSION);
    ftso_target host;
    ftso_status status = ftso_target_host(&arena, &host);
    if (status.code == FTSO_OK) {
        row("ok", "processor",
            ftso_format(&arena, "%s, %ld online, vectors of %d floats%s", host.cpu,
                        sysconf(_SC_NPROCESSORS_ONLN), host.vector_floats,
                        host.has_fma ? ", fma" : ""));
    } else {
        row("missing", "processor", status.message);
        code = FTSO_ERROR_DEVICE;
    }
    show_targets(&arena);

    const char *cache = ftso_cache_dir(&arena);
    struct statvfs disk;
    if (cache && statvfs(cache, &disk) == 0)
        row("ok", "code cache",
            ftso_format(&arena, "%s, %.1f GB free", cache,
                        1e-9 * (double)disk.f_bavail * (double)disk.f_frsize));
    else
        row("absent", "code cache",
            "no folder to write to: set XDG_CACHE_HOME; every start compiles anew");

    static const char fashion[] = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
    if (ftso_file_exists(fashion))
        row("ok", "Fashion-MNIST", "for examples/fashion.ftso");
    else
        row("absent", "Fashion-MNIST",
            "apt-get install dataset-fashion-mnist, or give your own images with --data");

    show_tools(&arena);
    size_t form_count;
    const ftso_picture_form *forms = ftso_picture_forms(&form_count);
    for (size_t i = 0; i < form_count; i++)
        row(forms[i].decode ? "ok" : "absent", ftso_format(&arena, "%s pictures", forms[i].name),
            forms[i].decode ? "are read"
                            : ftso_format(&arena, "apt-get install %s, and build ftso again",
                                          forms[i].package));

    for (size_t i = 0; i < FTSO_COUNT(optional); i++) {
        void *library = dlopen(optional[i].file, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
        row(library ? "ok" : "absent", optional[i].name,
            library ? optional[i].file : optional[i].remedy);
        if (library) dlclose(library);
    }
    ftso_arena_deinit(&arena);
    return code;
}
