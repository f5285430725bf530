/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>

int diag_set(struct diag *diag, int code, const char *format, ...)
{
    if (diag == NULL)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(diag->text, sizeof(diag->text), format, args);
    va_end(args);
    return code;
}
