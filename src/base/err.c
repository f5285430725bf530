/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

int err_last(void)
{
    ASSERT(errno > 0 && errno < 1000);
    return -errno;
}

const char *err_text(int code)
{
    switch (code) {
#define ERR_CASE(number, name, text) \
    case -(number):                  \
        return text;
        ERR_LIST(ERR_CASE)
#undef ERR_CASE
    case 0:
        return "no error";
    default: {
        /* strerrordesc_np() is the thread-safe, static form of strerror(). */
        const char *text = code < 0 && code > -1000 ? strerrordesc_np(-code) : NULL;
        return text == NULL ? "unknown error" : text;
    }
    }
}

const char *err_name(int code)
{
    switch (code) {
#define ERR_CASE(number, name, text) \
    case -(number):                  \
        return #name;
        ERR_LIST(ERR_CASE)
#undef ERR_CASE
    case 0:
        return "OK";
    default: {
        const char *name = code < 0 && code > -1000 ? strerrorname_np(-code) : NULL;
        return name == NULL ? "?" : name;
    }
    }
}
