/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/mem.h"
#include "store/tx_internal.h"
#include "support/cmocka.h"
#include "support/random.h"

#define KEYS      400
#define DATABASES 3

/* Which keys have a change, by database; its shard field carries a mark of the test's. */
struct trial {
    struct overlay overlay;
    struct random random;
    uint32_t marks[DATABASES][KEYS]; /* 0: no change */
    uint32_t last_mark;
    size_t count;
    char names[KEYS][16];
};

/* Few hashes, so that different keys meet under one. */
static struct located place_of_key(uint16_t db, size_t key)
{
    return (struct located){.hash = key % 97 * 0x9e3779b97f4a7c15u, .db = db};
}

static struct row *some_row(struct slice key)
{
    struct row *row = row_new(&(struct row_desc){
        .key = key, .has_value = true, .value = SLICE_LIT("v"), .value_size = 1, .type = 1});
    assert_non_null(row);
    return row;
}

static void touch_key(struct trial *trial, uint16_t db, size_t nth)
{
    struct slice key = slice_str(trial->names[nth]);
    struct located at = place_of_key(db, nth);
    struct change *change = overlay_find(&trial->overlay, &at, key);
    assert_int_equal(change != NULL, trial->marks[db][nth] != 0);
    if (change == NULL) {
        change = overlay_add(&trial->overlay, &at, key);
        assert_null(change->row);
        trial->count++;
    } else {
        assert_int_equal(change->shard, trial->marks[db][nth]);
        row_free(change->row);
        change->row = NULL;
    }
    if (random_below(&trial->random, 3) > 0)
        change->row = some_row(key);
    change->shard = trial->marks[db][nth] = ++trial->last_mark;
}

static void drop_db(struct trial *trial, uint16_t db)
{
    overlay_drop_db(&trial->overlay, db);
    for (size_t i = 0; i < KEYS; i++) {
        trial->count -= trial->marks[db][i] != 0;
        trial->marks[db][i] = 0;
    }
}

static void check_all(struct trial *trial)
{
    assert_int_equal(trial->overlay.count, trial->count);
    for (uint16_t db = 0; db < DATABASES; db++) {
        for (size_t i = 0; i < KEYS; i++) {
            struct located at = place_of_key(db, i);
            const struct change *change =
                overlay_find(&trial->overlay, &at, slice_str(trial->names[i]));
            assert_int_equal(change == NULL ? 0 : change->shard, trial->marks[db][i]);
        }
    }
}

static void changes_are_found_however_many_there_are(void **state)
{
    (void)state;
    struct trial *trial = mem_calloc(1, sizeof(*trial));
    trial->random.state = random_seed();
    for (size_t i = 0; i < KEYS; i++)
        snprintf(trial->names[i], sizeof(trial->names[i]), "key:%zu", i);
    for (int round = 0; round < 300; round++) {
        size_t steps = random_below(&trial->random, round % 3 == 0 ? 600 : 30);
        for (size_t i = 0; i < steps; i++) {
            touch_key(trial, (uint16_t)random_below(&trial->random, DATABASES),
                      random_below(&trial->random, KEYS));
            if (random_below(&trial->random, 60) == 0)
                drop_db(trial, (uint16_t)random_below(&trial->random, DATABASES));
        }
        check_all(trial);
        overlay_clear(&trial->overlay, true);
        memset(trial->marks, 0, sizeof(trial->marks));
        trial->count = 0;
        check_all(trial);
    }
    overlay_fini(&trial->overlay);
    mem_free(trial);
}

/* A drop leaves few changes of many: those that follow must not be looked for in a stale index. */
static void few_are_left_of_many(void **state)
{
    (void)state;
    struct overlay overlay = {0};
    char names[40][8];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "k%u", i);
        uint16_t db = i < 20 && i != 3;
        struct located at = {.hash = i, .db = db};
        if (i == 20)
            overlay_drop_db(&overlay, 1);
        if (i >= 20)
            at.db = 0;
        overlay_add(&overlay, &at, slice_str(names[i]));
    }
    for (unsigned i = 0; i < 40; i++) {
        struct located at = {.hash = i, .db = 0};
        bool is_there = i == 3 || i >= 20;
        assert_int_equal(overlay_find(&overlay, &at, slice_str(names[i])) != NULL, is_there);
    }
    overlay_fini(&overlay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_found_however_many_there_are),
        cmocka_unit_test(few_are_left_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
