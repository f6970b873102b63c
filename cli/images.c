/*
 * The images that a data set's record names, from where it says or from --data.
 */
#include "cli/cli.h"

/* "cifar10, cifar100, idx" */
static const char *reader_names(ftso_arena *arena)
{
    size_t count;
    const ftso_reader *rows = ftso_reader_rows(&count);
    const char *names = "";
    for (size_t i = 0; i < count; i++)
        names = ftso_format(arena, "%s%s%s", names, i ? ", " : "", rows[i].kind);
    return names;
}

ftso_status ftso_images_load(ftso_arena *arena, const ftso_dataset *dataset, const char *path,
                             bool test, ftso_images *out)
{
    if (!ftso_reader_find(dataset->kind))
        return ftso_error(FTSO_ERROR_DATA,
                          "data set '%s': there is no reader for '%s'; there are %s", dataset->name,
                          dataset->kind, reader_names(arena));
    ftso_images_spec spec = ftso_dataset_spec(dataset);
    ftso_status status =
        ftso_images_open(dataset->kind, path ? path : dataset->path, test, &spec, out);
    return ftso_annotate(status, "data set '%s'", dataset->name);
}
