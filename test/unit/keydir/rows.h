/* SPDX-License-Identifier: Apache-2.0 */
/* rows: short ways to put, find and remove rows in the keydir's tests. */
#ifndef UNIT_KEYDIR_ROWS_H
#define UNIT_KEYDIR_ROWS_H

#include <stdio.h>
#include <string.h>

#include "keydir/keydir.h"

/* A key made of a number, 16 bytes long. */
struct number_key {
    char text[17];
};

static inline struct number_key number_key(uint64_t number)
{
    struct number_key key;
    snprintf(key.text, sizeof(key.text), "key:%012llx",
             (unsigned long long)(number & 0xffffffffffffULL));
    return key;
}

static inline struct slice number_slice(const struct number_key *key)
{
    return slice_of(key->text, sizeof(key->text) - 1);
}

static inline struct row *cold_row(struct slice key, uint64_t expire_at_ms)
{
    return row_new(&(struct row_desc){.key = key, .value_size = 7, .expire_at_ms = expire_at_ms});
}

static inline struct row *hot_row(struct slice key, struct slice value)
{
    return row_new(&(struct row_desc){.key = key, .value = value, .has_value = true});
}

static inline void put_row(struct keydir *dir, struct row *row)
{
    keydir_put(dir, row, keydir_hash(dir, row_key(row)));
}

static inline const struct row *find_key(const struct keydir *dir, struct slice key)
{
    return keydir_find(dir, key, keydir_hash(dir, key));
}

static inline bool del_key(struct keydir *dir, struct slice key)
{
    return keydir_del(dir, key, keydir_hash(dir, key));
}

static inline void put_number(struct keydir *dir, uint64_t number)
{
    struct number_key key = number_key(number);
    put_row(dir, cold_row(number_slice(&key), 0));
}

static inline const struct row *find_number(const struct keydir *dir, uint64_t number)
{
    struct number_key key = number_key(number);
    return find_key(dir, number_slice(&key));
}

static inline bool del_number(struct keydir *dir, uint64_t number)
{
    struct number_key key = number_key(number);
    return del_key(dir, number_slice(&key));
}

/* The number a row's key was made of. */
static inline uint64_t row_number(const struct row *row)
{
    char text[17] = {0};
    struct slice key = row_key(row);
    memcpy(text, key.data, key.len < 16 ? key.len : 16);
    unsigned long long number = 0;
    return sscanf(text, "key:%llx", &number) == 1 ? number : UINT64_MAX;
}

#endif
