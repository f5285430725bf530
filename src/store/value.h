/* SPDX-License-Identifier: Apache-2.0 */
/* value: the types a key can have. The numbers stand in rows, data files and the log: permanent. */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

enum value_type {
    VALUE_NONE = 0,
    VALUE_STRING = 1,
    VALUE_LIST = 2,
    VALUE_SET = 3,
    VALUE_ZSET = 4,
    VALUE_HASH = 5,
    VALUE_STREAM = 6
};

/* "string", "list", ... as TYPE answers; "none" for VALUE_NONE. */
const char *value_type_name(enum value_type type);

#endif
