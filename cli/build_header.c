/*
 * What goes beside a library: its header, its pkg-config and its CMake file.
 *
 * In: prefix, shapes. Out: texts. Holds: the header is C99 and C++, includes two standard headers and names nothing without
 * the prefix; no file names the place where it lies.
 */
#include "cli/build.h"

#include <ctype.h>
#include <string.h>

/* '@' stands for the prefix. The structures are those of runtime/carried/library.c. */
static const char header_text[] =
    "#ifdef __cplusplus\n"
    "extern \"C\" {\n"
    "#endif\n"
    "\n"
    "/* What @_abi() returns where this header belongs to the library. */\n"
    "#define @_ABI 1\n"
    "\n"
    "/* Results of all functions that return int. */\n"
    "enum {\n"
    "    @_OK,\n"
    "    @_BAD_ARGUMENT,\n"
    "    @_NO_MEMORY,\n"
    "    @_NO_CODE, /* this processor lacks a feature that the code needs */\n"
    "    @_FAILED,  /* the self-test's results differ */\n"
    "    @_BAD_WEIGHTS /* create was given other weights, not of this network */\n"
    "};\n"
    "\n"
    "/*\n"
    " * How a context is made. All zero but size_bytes: one thread per processor, malloc and free, "
    "the weights inside.\n"
    " */\n"
    "typedef struct @_options {\n"
    "    size_t size_bytes; /* sizeof(@_options) */\n"
    "    int threads;       /* with the caller's own; 1 makes no thread, 0: one per processor */\n"
    "    void *(*allocate)(void *user, size_t size_bytes); /* aligned as malloc's; NULL: malloc "
    "*/\n"
    "    void (*release)(void *user, void *block);\n"
    "    void *user;\n"
    "    /* A whole safetensors file in memory: weights to run in place of those inside, with the "
    "same tensors. Only read, and\n"
    "     * only by create, which copies them. Where the file names its classes and its transform, "
    "the context has these. */\n"
    "    const void *weights; /* NULL: those inside */\n"
    "    size_t weights_bytes;\n"
    "    /* Where create writes why it failed: one line, cut to size, empty after a success. With "
    "wrong weights it names the\n"
    "     * first differences. */\n"
    "    char *error; /* NULL: not wanted */\n"
    "    size_t error_bytes;\n"
    "} @_options;\n"
    "\n"
    "/* A network with memory of its own. One thread at a time may use it; different ones know "
    "nothing of each other. */\n"
    "typedef struct @_context @_context;\n"
    "\n"
    "int @_abi(void);\n"
    "/* What the library was built from: JSON. */\n"
    "const char *@_info(void);\n"
    "/* One line about a code. */\n"
    "const char *@_strerror(int code);\n"
    "/* The name of a class, or NULL: of the weights inside, and of those that a context runs. */\n"
    "const char *@_class_name(size_t number);\n"
    "const char *@_context_class_name(const @_context *context, size_t number);\n"
    "/* The memory that a context works in, but for a few KiB of records, and for other weights: "
    "they take their own size. */\n"
    "size_t @_memory_bytes(int threads);\n"
    "\n"
    "/* `options` NULL: one thread, malloc and free. After a failure *out_context is NULL and "
    "nothing is left to free. */\n"
    "int @_create(@_context **out_context, const @_options *options);\n"
    "/*\n"
    " * Logits of `count` images, [count][@_CLASSES]; images are float32 "
    "[count][@_CHANNELS][@_HEIGHT][@_WIDTH], as the network was\n"
    " * trained on them. Any number of images; nothing is allocated. The same numbers whatever the "
    "threads.\n"
    " */\n"
    "int @_run(@_context *context, const float *images, size_t count, float *out_logits);\n"
    "/*\n"
    " * An image of a picture's pixels, bytes [height][width][@_CHANNELS], as the network was "
    "tested on them: resized, cut,\n"
    " * normalised. Takes memory from the allocator while it works, unlike the other calls.\n"
    " */\n"
    "int @_prepare(@_context *context, const unsigned char *pixels, size_t height, size_t width,\n"
    "    float *out_image);\n"
    "/* Runs a stored image and compares with the stored result, which is of the weights inside: a "
    "context with others\n"
    " * gets @_BAD_ARGUMENT. */\n"
    "int @_self_test(@_context *context);\n"
    "/* NULL is allowed. */\n"
    "void @_destroy(@_context *context);\n"
    "\n"
    "#ifdef __cplusplus\n"
    "}\n"
    "#endif\n"
    "\n"
    "#endif\n";

static const char pkgconfig_text[] = "prefix=${pcfiledir}/../..\n"
                                     "Name: @\n"
                                     "Description: a neural network as a library, made by ftso\n"
                                     "Version: " FTSO_VERSION "\n"
                                     "Cflags: -I${prefix}/include\n"
                                     "Libs: -L${prefix}/lib -l@\n"
                                     "Libs.private: -pthread -lm\n";

/* @::@ is whichever is there; where both are, the static one. */
static const char cmake_text[] =
    "if(TARGET @::@)\n"
    "  return()\n"
    "endif()\n"
    "find_package(Threads REQUIRED)\n"
    "get_filename_component(@_root \"${CMAKE_CURRENT_LIST_DIR}/../../..\" ABSOLUTE)\n"
    "if(EXISTS \"${@_root}/lib/lib@.a\")\n"
    "  add_library(@::@ STATIC IMPORTED)\n"
    "  set_target_properties(@::@ PROPERTIES IMPORTED_LOCATION \"${@_root}/lib/lib@.a\"\n"
    "    INTERFACE_LINK_LIBRARIES \"Threads::Threads;m\")\n"
    "else()\n"
    "  add_library(@::@ SHARED IMPORTED)\n"
    "  set_target_properties(@::@ PROPERTIES IMPORTED_LOCATION \"${@_root}/lib/lib@.so\")\n"
    "endif()\n"
    "set_target_properties(@::@ PROPERTIES INTERFACE_INCLUDE_DIRECTORIES \"${@_root}/include\")\n";

static void expand(const char *text, const char *prefix, ftso_text *out)
{
    for (; *text; text++) {
        if (*text == '@')
            ftso_text_puts(out, prefix);
        else
            ftso_text_append(out, text, 1);
    }
}

static ftso_status write_text(ftso_arena *arena, const char *folder, const char *name,
                              const ftso_text *text)
{
    if (text->failed) return ftso_error(FTSO_ERROR_LIMIT, "no memory for '%s'", name);
    FTSO_TRY(ftso_dir_create(folder));
    return ftso_file_write_atomic(ftso_format(arena, "%s/%s", folder, name), ftso_text_get(text),
                                  text->length);
}

static void print_header(const ftso_artefact *a, const char *prefix, int64_t batch, ftso_text *out)
{
    ftso_text_printf(out,
                     "/* A neural network as a library, made by ftso %s. C99 and C++. */\n"
                     "#ifndef %s_H_INCLUDED\n#define %s_H_INCLUDED\n\n#include <stddef.h>\n\n",
                     FTSO_VERSION, prefix, prefix);
    const struct {
        const char *name, *doc;
        int64_t value;
    } numbers[] = {{"CHANNELS", "of an image", a->channels},
                   {"HEIGHT", "of an image", a->height},
                   {"WIDTH", "of an image", a->width},
                   {"CLASSES", "that the network tells apart", (int64_t)a->class_count},
                   {"BATCH", "images that run together; more are run in turns", batch}};
    for (size_t i = 0; i < FTSO_COUNT(numbers); i++)
        ftso_text_printf(out, "#define %s_%s %lld /* %s */\n", prefix, numbers[i].name,
                         (long long)numbers[i].value, numbers[i].doc);
    ftso_text_puts(out, "\n");
    expand(header_text, prefix, out);
}

ftso_status ftso_build_write_header(const ftso_build_files *files)
{
    const char *prefix = files->options->prefix, *root = files->options->output;
    ftso_text text;
    ftso_text_init(&text);
    print_header(files->artefact, prefix, files->options->batch, &text);
    ftso_status status = write_text(files->arena, ftso_format(files->arena, "%s/include", root),
                                    ftso_format(files->arena, "%s.h", prefix), &text);
    text.length = 0;
    expand(pkgconfig_text, prefix, &text);
    if (status.code == FTSO_OK)
        status = write_text(files->arena, ftso_format(files->arena, "%s/lib/pkgconfig", root),
                            ftso_format(files->arena, "%s.pc", prefix), &text);
    text.length = 0;
    expand(cmake_text, prefix, &text);
    if (status.code == FTSO_OK)
        status =
            write_text(files->arena, ftso_format(files->arena, "%s/lib/cmake/%s", root, prefix),
                       ftso_format(files->arena, "%sConfig.cmake", prefix), &text);
    ftso_text_deinit(&text);
    return status;
}

const char *ftso_build_header_path(ftso_arena *arena, const ftso_build_options *options)
{
    return ftso_format(arena, "%s/include/%s.h", options->output, options->prefix);
}

bool ftso_build_prefix_fits(const char *prefix)
{
    enum { LONGEST = 64 };
    if (strlen(prefix) > LONGEST || !(isalpha((unsigned char)*prefix) || *prefix == '_'))
        return false;
    for (const char *c = prefix; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_') return false;
    return true;
}
