/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on a keydir and on a plain array that says what must be in it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "keydir/keydir_internal.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "unit/keydir/rows.h"

#define KEYS   4000
#define ROUNDS 100
#define STEPS  5000

/* What is known of one key. Version 0: it is not in the table. */
struct entry {
    uint8_t *key;
    size_t key_size;
    uint64_t version;
    uint64_t expire_at_ms;
    uint32_t value_size;
    bool is_hot;
    uint32_t visits;
};

struct model {
    struct random random;
    struct epoch *epoch;
    struct epoch_reader *reader;
    struct keydir *dir;
    struct entry entries[KEYS];
    struct shared_value *common; /* the value of many rows */
    size_t count;
    size_t expire_count;
    uint64_t version;
    uint64_t share_wanted; /* percent of the keys that the table tends to hold */
};

static struct slice entry_key(const struct entry *entry)
{
    return slice_of(entry->key, entry->key_size);
}

/* The first bytes of a key say which entry it is, those too short for that are entries 0 to 3. */
static void make_key(struct model *model, size_t idx, size_t size)
{
    struct entry *entry = &model->entries[idx];
    entry->key = mem_calloc(1, size + 1);
    entry->key_size = size;
    uint32_t number = (uint32_t)idx;
    memset(entry->key, 'x', size);
    memcpy(entry->key, &number, size < 4 ? size : 4);
}

/* Makes the key's hash agree with many others' in its low bits, by changing its tail. */
static void make_colliding(struct model *model, size_t idx, uint64_t mask)
{
    struct entry *entry = &model->entries[idx];
    for (uint64_t salt = 0;; salt++) {
        memcpy(entry->key + 4, &salt, sizeof(salt));
        if ((keydir_hash(model->dir, entry_key(entry)) & mask) == 5)
            return;
    }
}

static struct model *model_new(uint64_t seed)
{
    struct model *model = mem_calloc(1, sizeof(*model));
    model->random.state = seed;
    model->epoch = epoch_new();
    model->reader = epoch_register(model->epoch);
    model->dir = keydir_new(model->epoch, random_next(&model->random));
    model->common = shared_value_new(2000);
    memset(model->common->data, 'c', 2000);
    for (size_t i = 0; i < KEYS; i++) {
        size_t size = i < 4 ? i : 12 + random_below(&model->random, 30);
        make_key(model, i, i % 500 == 4 ? ROW_MAX_KEY - i / 500 : size);
        if (i > 4 && i % 8 == 7)
            make_colliding(model, i, 0xff);
        else if (i > 4 && i % 8 == 6)
            make_colliding(model, i, 0x1f);
    }
    return model;
}

static void model_free(struct model *model)
{
    epoch_unregister(model->reader);
    while (keydir_free_step(model->dir, 1 + random_below(&model->random, 50), NULL, NULL)) {
    }
    assert_int_equal(atomic_load(&model->common->ref_count), 1);
    shared_value_unref(model->common);
    epoch_free(model->epoch);
    for (size_t i = 0; i < KEYS; i++)
        mem_free(model->entries[i].key);
    mem_free(model);
}

static void forget(struct model *model, struct entry *entry)
{
    if (entry->version == 0)
        return;
    model->count--;
    model->expire_count -= entry->expire_at_ms != 0;
    entry->version = 0;
}

/* Every byte of a value is the low byte of its row's version, but for the common one. */
static struct row *build_row(struct model *model, struct entry *entry)
{
    uint8_t value[2000];
    struct row_desc desc = {
        .key = entry_key(entry),
        .version = {.word = entry->version},
        .expire_at_ms = entry->expire_at_ms,
        .value_size = entry->value_size,
        .has_value = entry->is_hot,
    };
    if (entry->is_hot && entry->value_size == 2000) {
        desc.shared = shared_value_ref(model->common);
    } else if (entry->is_hot) {
        memset(value, (int)(entry->version & 255), entry->value_size);
        desc.value = slice_of(value, entry->value_size);
    }
    struct row *row = row_new(&desc);
    assert_non_null(row);
    return row;
}

static void put(struct model *model, struct entry *entry)
{
    static const uint32_t sizes[] = {0, 1, 20, 20, ROW_MAX_INLINE, ROW_MAX_INLINE + 1, 1999, 2000};
    forget(model, entry);
    entry->version = ++model->version;
    entry->expire_at_ms = random_below(&model->random, 3) == 0 ? entry->version * 7 : 0;
    entry->is_hot = random_below(&model->random, 2) == 0;
    entry->value_size = sizes[random_below(&model->random, 8)];
    model->count++;
    model->expire_count += entry->expire_at_ms != 0;
    put_row(model->dir, build_row(model, entry));
}

static void del(struct model *model, struct entry *entry)
{
    assert_int_equal(del_key(model->dir, entry_key(entry)), entry->version != 0);
    forget(model, entry);
}

static void check_value(const struct model *model, const struct entry *entry, const struct row *row)
{
    assert_int_equal(row->value_size, entry->value_size);
    assert_int_equal(row_is_hot(row), entry->is_hot);
    if (!entry->is_hot)
        return;
    struct slice value = row_value(row);
    assert_int_equal(value.len, entry->value_size);
    if (entry->value_size == 2000)
        assert_ptr_equal(row_shared(row), model->common);
    for (size_t i = 0; i < value.len; i++)
        assert_int_equal(value.data[i],
                         entry->value_size == 2000 ? 'c' : (int)(entry->version & 255));
}

static void check_row(const struct model *model, const struct entry *entry, const struct row *row)
{
    assert_int_equal(entry->version != 0, row != NULL);
    if (row == NULL)
        return;
    assert_true(slice_eq(row_key(row), entry_key(entry)));
    assert_int_equal(row_version(row).word, entry->version);
    assert_int_equal(row_expire_at_ms(row), entry->expire_at_ms);
    check_value(model, entry, row);
}

static void find(struct model *model, const struct entry *entry)
{
    uint64_t hash = keydir_hash(model->dir, entry_key(entry));
    keydir_prefetch_bucket(model->dir, hash);
    keydir_prefetch_row(model->dir, hash);
    const struct row *row = keydir_find(model->dir, entry_key(entry), hash);
    check_row(model, entry, row);
    assert_ptr_equal(keydir_find_mine(model->dir, entry_key(entry), hash), row);
}

static struct entry *entry_of(struct model *model, const struct row *row)
{
    uint32_t number = 0;
    struct slice key = row_key(row);
    if (key.len < 4)
        return &model->entries[key.len];
    memcpy(&number, key.data, 4);
    assert_true(number < KEYS);
    return &model->entries[number];
}

static void visit(void *ctx, const struct row *row)
{
    struct model *model = ctx;
    struct entry *entry = entry_of(model, row);
    entry->visits++;
    check_row(model, entry, row);
}

static void scan_all(struct model *model)
{
    uint64_t cursor = 0;
    for (size_t i = 0; i < KEYS; i++)
        model->entries[i].visits = 0;
    do {
        cursor = keydir_scan(model->dir, cursor, visit, model);
    } while (cursor != 0);
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(model->entries[i].visits, model->entries[i].version != 0);
}

static void visit_bucket(struct model *model, struct entry *entry)
{
    entry->visits = 0;
    keydir_visit_bucket(model->dir, keydir_hash(model->dir, entry_key(entry)), visit, model);
    assert_int_equal(entry->visits, entry->version != 0);
}

static void draw(struct model *model)
{
    const struct row *row = keydir_random(model->dir, random_next(&model->random));
    assert_int_equal(row != NULL, model->count != 0);
    if (row != NULL)
        check_row(model, entry_of(model, row), row);
}

static void end_turn(struct model *model)
{
    epoch_quiescent(model->reader);
    (void)keydir_collect(model->dir, random_below(&model->random, 100));
}

static void step(struct model *model)
{
    struct entry *entry = &model->entries[random_below(&model->random, KEYS)];
    uint64_t what = random_below(&model->random, 100);
    if (what < 70) {
        if (random_below(&model->random, 100) < model->share_wanted)
            put(model, entry);
        else
            del(model, entry);
    } else if (what < 90) {
        find(model, entry);
    } else if (what < 94) {
        visit_bucket(model, entry);
    } else if (what < 98) {
        draw(model);
    } else {
        end_turn(model);
    }
}

static void check_all(struct model *model)
{
    for (size_t i = 0; i < KEYS; i++)
        find(model, &model->entries[i]);
    scan_all(model);
    keydir_check(model->dir);
    assert_int_equal(keydir_count(model->dir), model->count);
    assert_int_equal(keydir_expire_count(model->dir), model->expire_count);
}

static void it_agrees_with_a_plain_array(void **state)
{
    (void)state;
    struct model *model = model_new(random_seed());
    static const uint64_t shares[] = {0, 5, 50, 95, 100};
    for (int round = 0; round < ROUNDS; round++) {
        model->share_wanted = shares[random_below(&model->random, 5)];
        for (uint64_t i = random_below(&model->random, STEPS); i > 0; i--)
            step(model);
        check_all(model);
    }
    model_free(model);
}

static void the_counts_are_exact_after_everything_is_gone(void **state)
{
    (void)state;
    struct model *model = model_new(random_seed());
    for (size_t i = 0; i < KEYS; i++)
        put(model, &model->entries[i]);
    check_all(model);
    for (size_t i = 0; i < KEYS; i++)
        del(model, &model->entries[i]);
    check_all(model);
    assert_int_equal(keydir_bytes(model->dir), sizeof(struct keydir) + BUCKET_SIZE);
    for (int turn = 0; turn < 2; turn++) {
        epoch_quiescent(model->reader);
        while (keydir_collect(model->dir, 1000)) {
        }
    }
    assert_int_equal(keydir_retired_bytes(model->dir), 0);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_plain_array),
        cmocka_unit_test(the_counts_are_exact_after_everything_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
