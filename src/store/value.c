/* SPDX-License-Identifier: Apache-2.0 */
#include "store/value.h"

const char *value_type_name(enum value_type type)
{
    switch (type) {
    case VALUE_NONE:
        return "none";
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return "list";
    case VALUE_SET:
        return "set";
    case VALUE_ZSET:
        return "zset";
    case VALUE_HASH:
        return "hash";
    case VALUE_STREAM:
        return "stream";
    default:
        return "unknown";
    }
}
