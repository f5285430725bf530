/* SPDX-License-Identifier: Apache-2.0 */
#include "os/os.h"

struct os os_posix(void)
{
    return (struct os){.fs = fs_posix(), .clock = clock_posix(), .chance = chance_posix()};
}
