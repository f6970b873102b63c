/* Closing a device, whatever it is. */
#include "cli/cli.h"

#include <string.h>

void ftso_device_close(ftso_device *device)
{
    if (device->close) device->close(device->self);
    memset(device, 0, sizeof(*device));
}
