/*
 * Kinds of artefact: what the objects are linked to. One row each.
 *
 * In: objects in a scratch folder, the runtime's archive. Out: one file there. Holds: nothing of the folder's name gets into it.
 */
#include "cli/build.h"

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

/* An executable with `main` of the runtime's choice. */
static ftso_status link_program(const ftso_build_files *files, const char *entry)
{
    static const char *const flags[] = {"-s", "-static-libgcc", "-Wl,--gc-sections",
                                        "-Wl,--build-id=none", "-Wl,-z,noexecstack"};
    arguments a = {.arena = files->arena};
    add(&a, ftso_tool_of(files->arena, files->options->system, "cc"));
    add(&a, files->options->is_static ? "-static" : "-pie");
    add_all(&a, flags, FTSO_COUNT(flags));
    add(&a, ftso_format(files->arena, "-Wl,--undefined=%s,--defsym=main=%s", entry, entry));
    add(&a, "-o");
    add(&a, files->result);
    add_all(&a, files->objects, files->object_count);
    add(&a, files->archive);
    add(&a, "-lm");
    return run(&a);
}

static ftso_status link_exe(const ftso_build_files *files)
{
    return link_program(files, "ftso_artefact_main");
}

static const ftso_build_kind kinds[] = {
    {"exe", "an executable that classifies images", "", link_exe},
};

const ftso_build_kind *ftso_build_kinds(size_t *out_count)
{
    *out_count = FTSO_COUNT(kinds);
    return kinds;
}
