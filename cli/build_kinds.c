/*
 * Kinds of artefact: what the objects are linked to. One row each.
 *
 * In: objects in a scratch folder, the runtime's archives. Out: one file there, and what lies beside it. Holds: nothing of the
 * folder's name gets into a file.
 */
#include "cli/build.h"

#include <stdlib.h>
#include <string.h>

/* An argument list under construction. */
typedef struct arguments {
    ftso_arena *arena;
    const char **items;
    size_t count, capacity;
} arguments;

static void add(arguments *a, const char *text)
{
    FTSO_PUSH(a->arena, a->items, a->count, a->capacity, text);
}

static void add_all(arguments *a, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) add(a, texts[i]);
}

static ftso_status run(arguments *a)
{
    add(a, NULL);
    return ftso_tool_run(a->items);
}

/* ---------------------------------------------------------------- programs */

static const char *const link_flags[] = {"-s",
                                         "-static-libgcc",
                                         "-Wl,--gc-sections",
                                         "-Wl,--build-id=none",
                                         "-Wl,-z,noexecstack",
                                         "-Wl,-z,defs"};

/* An executable with `main` of the runtime's choice. */
static ftso_status link_program(const ftso_build_files *files, const char *entry)
{
    arguments a = {.arena = files->arena};
    add(&a, ftso_tool_of(files->arena, files->options->system, "cc"));
    add(&a, files->options->is_static ? "-static" : "-pie");
    add_all(&a, link_flags, FTSO_COUNT(link_flags));
    add(&a, ftso_format(files->arena, "-Wl,--undefined=%s,--defsym=main=%s", entry, entry));
    /* Thread-local variables of an executable have fixed places, but their code still names the loader's function. */
    if (!files->options->is_static && !files->options->system)
        add(&a, "-Wl,--defsym=__tls_get_addr=0");
    add(&a, "-o");
    add(&a, files->result);
    add_all(&a, files->objects, files->object_count);
    add(&a, files->runtime);
    if (files->decoders) add(&a, files->decoders);
    add(&a, "-lm");
    return run(&a);
}

static ftso_status link_exe(const ftso_build_files *files)
{
    return link_program(files, "ftso_artefact_main");
}

static ftso_status link_trainer(const ftso_build_files *files)
{
    return link_program(files, "ftso_trainer_main");
}

/* ---------------------------------------------------------------- libraries */

/* The header's functions, as runtime/carried/library.c names them behind "ftso_embed". */
static const char *const interface[] = {
    "_abi",    "_info",      "_strerror", "_class_name",   "_context_class_name",
    "_run",    "_self_test", "_create",   "_memory_bytes", "_destroy",
    "_prepare"};

/* All objects and what they need of the runtime as one, in which only the interface is to be seen, under the prefix. */
static ftso_status join(const ftso_build_files *files, const char *result)
{
    const char *prefix = files->options->prefix;
    const char *joined = ftso_format(files->arena, "%s/joined.o", files->folder);
    arguments a = {.arena = files->arena};
    add(&a, ftso_tool_of(files->arena, files->options->system, "ld"));
    add(&a, "-r");
    add(&a, "--gc-sections");
    for (size_t i = 0; i < FTSO_COUNT(interface); i++)
        add(&a, ftso_format(files->arena, "--undefined=ftso_embed%s", interface[i]));
    add(&a, "-o");
    add(&a, joined);
    add_all(&a, files->objects, files->object_count);
    add(&a, files->library);
    add(&a, files->runtime);
    FTSO_TRY(run(&a));

    arguments hide = {.arena = files->arena};
    add(&hide, ftso_tool_of(files->arena, files->options->system, "objcopy"));
    for (size_t i = 0; i < FTSO_COUNT(interface); i++) {
        add(&hide, ftso_format(files->arena, "--redefine-sym=ftso_embed%s=%s%s", interface[i],
                               prefix, interface[i]));
        add(&hide, ftso_format(files->arena, "--keep-global-symbol=%s%s", prefix, interface[i]));
    }
    add(&hide, joined);
    FTSO_TRY(run(&hide));

    arguments strip = {.arena = files->arena};
    add(&strip, ftso_tool_of(files->arena, files->options->system, "objcopy"));
    add(&strip, "--strip-unneeded");
    add(&strip, joined);
    add(&strip, result);
    return run(&strip);
}

static ftso_status link_object(const ftso_build_files *files)
{
    return join(files, files->result);
}

static ftso_status link_archive(const ftso_build_files *files)
{
    const char *member =
        ftso_format(files->arena, "%s/%s.o", files->folder, files->options->prefix);
    FTSO_TRY(join(files, member));
    arguments a = {.arena = files->arena};
    add(&a, ftso_tool_of(files->arena, files->options->system, "ar"));
    add(&a, "rcsD");
    add(&a, files->result);
    add(&a, member);
    return run(&a);
}

/* An object of the interface as a shared library. */
static ftso_status share(ftso_arena *arena, const ftso_system *system, const char *object,
                         const char *name, const char *result)
{
    arguments a = {.arena = arena};
    add(&a, ftso_tool_of(arena, system, "cc"));
    add(&a, "-shared");
    add_all(&a, link_flags, FTSO_COUNT(link_flags));
    add(&a, ftso_format(arena, "-Wl,-soname,%s", name));
    add(&a, "-o");
    add(&a, result);
    add(&a, "-Wl,--whole-archive");
    add(&a, object);
    add(&a, "-Wl,--no-whole-archive");
    add(&a, "-lm");
    return run(&a);
}

static ftso_status link_shared(const ftso_build_files *files)
{
    const char *object = ftso_format(files->arena, "%s/whole.o", files->folder);
    FTSO_TRY(join(files, object));
    return share(files->arena, files->options->system, object,
                 ftso_format(files->arena, "lib%s.so", files->options->prefix), files->result);
}

/* ---------------------------------------------------------------- text */

static void print_functions(const ftso_launch *launch, ftso_text *out)
{
    /* ahead of time these are names */
    const ftso_kernel functions[] = {launch->kernels.prepare, launch->kernels.body,
                                     launch->kernels.finish};
    for (size_t i = 0; i < FTSO_COUNT(functions); i++)
        if (functions[i]) ftso_text_printf(out, " @%s", (const char *)(uintptr_t)functions[i]);
}

/* What the code is of, then who calls what, as LLVM's comments. */
static void print_head(const ftso_artefact *artefact, ftso_text *out)
{
    ftso_text_printf(out, FTSO_CODE_TEXT " Its build record:\n");
    for (const char *line = artefact->record; *line;) {
        size_t length = strcspn(line, "\n");
        ftso_text_printf(out, "; %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    for (size_t i = 0; i < artefact->code_count; i++) {
        const ftso_program *program = artefact->codes[i].program;
        ftso_text_printf(out, ";\n; For %s, in the order of a run, and where it is from:\n",
                         artefact->codes[i].cpu);
        for (size_t k = 0; k < program->launch_count; k++) {
            ftso_text_printf(out, "; %zu", k);
            print_functions(&program->launches[k], out);
            ftso_text_printf(out, ", %s\n", program->launches[k].label);
        }
    }
    ftso_text_puts(out, "\n");
}

static ftso_status print_code(const ftso_build_files *files)
{
    ftso_text text;
    ftso_text_init(&text);
    print_head(files->artefact, &text);
    ftso_status status = ftso_compiler_text(files->compilers, files->artefact->code_count, &text);
    if (status.code == FTSO_OK && text.failed)
        status = ftso_error(FTSO_ERROR_LIMIT, "no memory for the code's text");
    if (status.code == FTSO_OK)
        status = ftso_scratch_write(files->result, ftso_text_get(&text), text.length);
    ftso_text_deinit(&text);
    return status;
}

/* ---------------------------------------------------------------- the table */

static const ftso_build_kind kinds[] = {
    {"exe", "an executable that classifies images", NULL, .link = link_exe},
    {"lib", "a folder with lib/libPREFIX.a, its header, pkg-config and CMake files", "lib/lib%s.a",
     .needs_prefix = true, .link = link_archive, .finish = ftso_build_write_header},
    {"so", "the same with lib/libPREFIX.so", "lib/lib%s.so", .needs_prefix = true,
     .link = link_shared, .finish = ftso_build_write_header},
    {"obj", "the library as one object file, without a header", NULL, .needs_prefix = true,
     .link = link_object},
    {"trainer", "an executable that trains the network on images, as its recipe says", NULL,
     .trains = true, .link = link_trainer},
    {"ll", "the network's code as LLVM's text, without weights", NULL, .is_code = true,
     .link = print_code},
};

const ftso_build_kind *ftso_build_kinds(size_t *out_count)
{
    *out_count = FTSO_COUNT(kinds);
    return kinds;
}

const ftso_build_kind *ftso_build_kind_find(const char *name)
{
    for (size_t i = 0; i < FTSO_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

ftso_status ftso_build_loadable(ftso_arena *arena, const char *kind, const char *path,
                                const char **out_library, const char **out_scratch)
{
    const ftso_build_kind *row = ftso_build_kind_find(kind);
    *out_library = *out_scratch = NULL;
    if (!row || row->is_code)
        return ftso_error(FTSO_ERROR_DATA, "'%s' is of kind '%s', which this ftso does not know",
                          path, kind);
    if (!row->needs_prefix) return FTSO_STATUS_OK;
    if (row->link == link_shared) {
        char *full = realpath(path, NULL); /* without a slash it would be looked for elsewhere */
        *out_library = ftso_strdup(arena, full ? full : path);
        free(full);
        return FTSO_STATUS_OK;
    }
    FTSO_TRY(ftso_scratch_new(arena, out_scratch));
    *out_library = ftso_format(arena, "%s/loadable.so", *out_scratch);
    return share(arena, NULL, path, "loadable.so", *out_library);
}
