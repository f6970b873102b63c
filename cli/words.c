/*
 * What a weights file says of the images that it is for, held against a recipe's data set.
 *
 * In: a file's words, a data set. Out: lines for people, one for each thing that differs. Holds: nothing is decided here.
 */
#include "cli/cli.h"

#include <string.h>

static void print_as_read(const char *text, ftso_text *out)
{
    ftso_transform transform;
    ftso_status status = ftso_transform_parse(text, &transform);
    FTSO_ASSERT(status.code == FTSO_OK); /* ftso_weights_words_read parsed it */
    ftso_transform_print(&transform, out);
}

static void compare_transforms(FILE *out, const char *path, const char *said,
                               const ftso_dataset *dataset, const char *holds)
{
    ftso_text own, other;
    ftso_text_init(&own);
    ftso_text_init(&other);
    print_as_read(said, &own);
    ftso_transform_print(&dataset->test, &other);
    if (strcmp(ftso_text_get(&own), ftso_text_get(&other)) != 0)
        fprintf(out, "ftso: images of '%s' are made by '%s', data set '%s' says '%s'; %s\n", path,
                ftso_text_get(&own), dataset->name, ftso_text_get(&other), holds);
    ftso_text_deinit(&own);
    ftso_text_deinit(&other);
}

void ftso_words_compare(FILE *out, const char *path, const ftso_weights_words *words,
                        const ftso_dataset *dataset, const char *const *class_names,
                        const char *holds)
{
    if (words->transform) compare_transforms(out, path, words->transform, dataset, holds);
    if (!words->class_names || !class_names) return;
    int64_t differing = 0, first = 0;
    for (int64_t c = dataset->classes - 1; c >= 0; c--) {
        if (strcmp(words->class_names[c], class_names[c]) == 0) continue;
        first = c;
        differing++;
    }
    if (differing)
        fprintf(out,
                "ftso: class %lld is '%.100s' in '%s' and '%.100s' in data set '%s', %lld classes "
                "differ; %s\n",
                (long long)first, words->class_names[first], path, class_names[first],
                dataset->name, (long long)differing, holds);
}
