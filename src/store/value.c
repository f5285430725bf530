/* SPDX-License-Identifier: Apache-2.0 */
#include "store/value.h"

bool value_byte_is_sound(uint8_t byte)
{
    enum value_type type = value_byte_type(byte);
    enum value_form form = value_byte_form(byte);
    return type > VALUE_NONE && type <= VALUE_STREAM && form <= VALUE_CHANGED &&
           (form == VALUE_PLAIN || type == VALUE_STRING);
}

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
