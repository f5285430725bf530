/* SPDX-License-Identifier: Apache-2.0 */
/* value: the types a key can have. The numbers stand in rows, data files and the log: permanent. */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

enum value_type {
    VALUE_NONE = 0,
    VALUE_STRING = 1,
    VALUE_LIST = 2,
    VALUE_SET = 3,
    VALUE_ZSET = 4,
    VALUE_HASH = 5,
    VALUE_STREAM = 6
};

/* How a string came about, where Redis can tell from its encoding: no part of what it is. */
enum value_form {
    VALUE_PLAIN = 0,  /* set: kept as what it looks like */
    VALUE_TEXT = 1,   /* never as an integer */
    VALUE_CHANGED = 2 /* changed in place, or made to be changed */
};

/* Type and form as the one byte that rows and records have for them: the form is bits 6 and 7. */
static inline uint8_t value_byte(enum value_type type, enum value_form form)
{
    return (uint8_t)((unsigned)type | (unsigned)form << 6);
}

static inline enum value_type value_byte_type(uint8_t byte)
{
    return (enum value_type)(byte & 0x3f);
}

static inline enum value_form value_byte_form(uint8_t byte)
{
    return (enum value_form)(byte >> 6);
}

/* Is it one that value_byte() makes? */
bool value_byte_is_sound(uint8_t byte);

/* "string", "list", ... as TYPE answers; "none" for VALUE_NONE. */
const char *value_type_name(enum value_type type);

#endif
