/*
 * The images that a data set's record names, from where it says or from --data.
 */
#include "cli/cli.h"

ftso_status ftso_images_load(const ftso_dataset *dataset, const char *path, bool test,
                             ftso_images *out)
{
    ftso_images_spec spec = ftso_dataset_spec(dataset);
    ftso_status status =
        ftso_images_open(dataset->kind, path ? path : dataset->path, test, &spec, out);
    return ftso_annotate(status, "data set '%s'", dataset->name);
}
