/* What both devices share: closing one, and the folder where compiled code is kept. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

void ftso_device_close(ftso_device *device)
{
    if (device->close) device->close(device->self);
    memset(device, 0, sizeof(*device));
}

/* Relative paths in the environment are to be ignored, says the XDG base directory specification. */
static const char *absolute(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

const char *ftso_cache_dir(ftso_arena *arena)
{
    const char *cache = absolute("XDG_CACHE_HOME"), *home = absolute("HOME"), *path = NULL;
    if (cache)
        path = ftso_format(arena, "%s/ftso", cache);
    else if (home)
        path = ftso_format(arena, "%s/.cache/ftso", home);
    if (!path || ftso_dir_create(path).code != FTSO_OK) return NULL;
    return path;
}
