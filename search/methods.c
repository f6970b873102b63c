/* The table of methods: one file and one row each. */
#include "search_internal.h"

#include <string.h>

static const ftso_method *const methods[] = {&ftso_method_ftso, &ftso_method_random};

const ftso_method *ftso_method_find(const char *name)
{
    for (size_t i = 0; i < FTSO_COUNT(methods); i++)
        if (strcmp(methods[i]->name, name) == 0) return methods[i];
    return NULL;
}

const ftso_method *const *ftso_method_rows(size_t *out_count)
{
    *out_count = FTSO_COUNT(methods);
    return methods;
}
