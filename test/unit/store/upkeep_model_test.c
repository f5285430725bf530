/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands with merges, hints, checkpoints and restarts among them, against a model; what is
 * said to live is counted again all the while (B12), and the power goes at any step. */
#include <stdio.h>

#include "base/mem.h"
#include "bitcask/upkeep.h"
#include "support/cmocka.h"
#include "support/random.h"
#include "support/storebench.h"

#define KEYS      60
#define DATABASES 3
#define MAX_SAVED 256
#ifdef FERRIC_SANITIZED
#    define SCRIPTS 4
#    define CRASHES 60
#else
#    define SCRIPTS 60
#    define CRASHES 400
#endif
#define SCRIPT_ACTIONS 900

static const struct storebench_options options = {
    .shard_count = 2, .database_count = DATABASES, .max_file_size = 16384};

/* A key as it should be. */
struct known {
    uint64_t expire_at_ms; /* 0: never */
    uint16_t size;
    uint8_t byte;
    bool is_there;
};

struct model {
    struct known keys[DATABASES][KEYS]; /* by number */
};

struct script {
    struct storebench *bench;
    struct random random;
    struct model model;
    struct model saved; /* as of the last checkpoint */
    struct bitcask_merge *merge;
    uint64_t digests[MAX_SAVED]; /* by checkpoint number */
    uint64_t merges;
};

static uint64_t below(struct script *script, uint64_t limit)
{
    return random_below(&script->random, limit);
}

static const char *name_of(unsigned key)
{
    static _Thread_local char name[16];
    snprintf(name, sizeof(name), "k%u", key);
    return name;
}

/* ---- Commands ---- */

static void put(struct script *script)
{
    static uint8_t value[20000];
    struct known known = {.is_there = true, .byte = (uint8_t)below(script, 256)};
    uint64_t kind = below(script, 20);
    known.size = (uint16_t)below(script, kind == 0 ? sizeof(value) : kind < 4 ? 4000 : 60);
    if (below(script, 3) == 0)
        known.expire_at_ms = script->bench->now_ms + 1 + below(script, 4000);
    unsigned key = (unsigned)below(script, KEYS);
    uint16_t db = (uint16_t)below(script, DATABASES);
    memset(value, known.byte, known.size);
    storebench_put(script->bench, db, name_of(key), slice_of(value, known.size),
                   known.expire_at_ms);
    script->model.keys[db][key] = known;
}

static void del(struct script *script)
{
    unsigned key = (unsigned)below(script, KEYS);
    uint16_t db = (uint16_t)below(script, DATABASES);
    storebench_del(script->bench, db, name_of(key));
    script->model.keys[db][key] = (struct known){0};
}

static void flush_or_swap(struct script *script)
{
    struct storebench *bench = script->bench;
    uint16_t db = (uint16_t)below(script, DATABASES);
    uint16_t other = (uint16_t)((db + 1) % DATABASES);
    storebench_begin(bench, TX_APPLY);
    if (below(script, 2) == 0) {
        tx_flush(bench->tx, db);
        memset(script->model.keys[db], 0, sizeof(script->model.keys[db]));
    } else {
        struct known kept[KEYS];
        tx_swap(bench->tx, db, other);
        memcpy(kept, script->model.keys[db], sizeof(kept));
        memcpy(script->model.keys[db], script->model.keys[other], sizeof(kept));
        memcpy(script->model.keys[other], kept, sizeof(kept));
    }
    storebench_commit(bench);
}

/* ---- Upkeep ---- */

static void step_merge(struct script *script)
{
    struct store *store = script->bench->stores.shards[0];
    struct diag diag = {.text = ""};
    if (script->merge == NULL) {
        size_t count = 0;
        uint32_t *ids = storebench_sealed(script->bench, 0, &count);
        size_t from = count == 0 ? 0 : below(script, count);
        if (count > 0)
            script->merge = store_merge_new(store, ids + from, 1 + below(script, count - from));
        mem_free(ids);
        return;
    }
    if (below(script, 40) == 0)
        bitcask_merge_stop(script->merge);
    enum merge_state state = storebench_merge_step(&script->merge, &diag);
    assert_true(state != MERGE_STALLED);
    assert_string_equal(diag.text, "");
    script->merges += state == MERGE_DONE;
}

static void checkpoint(struct script *script)
{
    struct storebench *bench = script->bench;
    assert_int_equal(storebench_checkpoint(bench), 0);
    script->saved = script->model;
    assert_true(bench->manifest.checkpoint_number < MAX_SAVED);
    script->digests[bench->manifest.checkpoint_number] = storebench_digest(bench);
}

static void end_merge(struct script *script)
{
    struct diag diag = {.text = ""};
    while (script->merge != NULL) {
        bitcask_merge_stop(script->merge);
        storebench_merge_step(&script->merge, &diag);
    }
}

static void restart(struct script *script)
{
    struct storebench *bench = script->bench;
    struct storebench_options again = bench->options;
    again.seed = random_next(&script->random);
    struct simdisk *image =
        simdisk_image(bench->disk, simdisk_steps(bench->disk), random_next(&script->random));
    struct diag diag = {.text = ""};
    bitcask_merge_free(script->merge);
    script->merge = NULL;
    script->bench = storebench_open(&again, image, &diag);
    if (script->bench == NULL)
        fail_msg("%s", diag.text);
    storebench_free(bench);
    script->model = script->saved;
    script->bench->now_ms = script->bench->manifest.state_ms;
    storebench_recount(script->bench);
}

static void recover_again(struct script *script)
{
    end_merge(script);
    checkpoint(script);
    storebench_recover_again(script->bench);
}

static void act(struct script *script)
{
    struct storebench *bench = script->bench;
    uint64_t kind = below(script, 100);
    if (kind < 50)
        put(script);
    else if (kind < 62)
        del(script);
    else if (kind < 63)
        flush_or_swap(script);
    else if (kind < 66)
        storebench_advance(bench, below(script, 800));
    else if (kind < 74)
        storebench_write(bench);
    else if (kind < 91)
        step_merge(script);
    else if (kind < 94)
        checkpoint(script);
    else if (kind < 96)
        storebench_hint(bench);
    else if (kind < 98)
        storebench_unlink(bench);
    else if (kind < 99)
        recover_again(script);
    else
        storebench_settle(bench);
}

/* ---- Looking ---- */

static void check_key(struct script *script, uint16_t db, unsigned key)
{
    static char want[20001];
    struct known known = script->model.keys[db][key];
    bool has_ended = known.expire_at_ms != 0 && known.expire_at_ms <= script->bench->now_ms;
    struct item item;
    struct slice value = SLICE_EMPTY;
    const char *name = name_of(key);
    storebench_begin(script->bench, TX_READ);
    assert_int_equal(tx_peek(script->bench->tx, db, slice_str(name), &item), 0);
    assert_int_equal(item.type != VALUE_NONE, known.is_there && !has_ended);
    if (item.type != VALUE_NONE) {
        int rc = tx_load(script->bench->tx, &item, &value);
        if (rc != 0) {
            assert_int_equal(storebench_load(script->bench), 1);
            assert_int_equal(tx_load(script->bench->tx, &item, &value), 0);
        }
        assert_int_equal(value.len, known.size);
        memset(want, known.byte, known.size);
        assert_memory_equal(value.data, want, known.size);
        assert_true(item.expire_at_ms == known.expire_at_ms);
    }
    tx_reset(script->bench->tx);
}

static void check_all(struct script *script)
{
    for (uint16_t db = 0; db < DATABASES; db++) {
        for (unsigned key = 0; key < KEYS; key++)
            check_key(script, db, key);
    }
    storebench_recount(script->bench);
}

static void run_script(struct script *script, uint64_t seed, bool has_restarts)
{
    struct storebench_options mine = options;
    mine.seed = seed;
    script->random.state = seed;
    script->bench = storebench_new(&mine);
    checkpoint(script);
    for (int i = 0; i < SCRIPT_ACTIONS; i++) {
        act(script);
        if (i % 50 == 0)
            check_all(script);
        if (has_restarts && below(script, 150) == 0) {
            restart(script);
            check_all(script);
        }
    }
    end_merge(script);
    check_all(script);
}

static void commands_upkeep_and_restarts_agree_with_a_model(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    uint64_t merges = 0;
    for (uint64_t i = 0; i < SCRIPTS; i++) {
        struct script *script = mem_calloc(1, sizeof(*script));
        run_script(script, seed + i, true);
        merges += script->merges;
        storebench_free(script->bench);
        mem_free(script);
    }
    print_message("%llu merges\n", (unsigned long long)merges);
    assert_true(merges > SCRIPTS);
}

/* Wherever the power goes, the start finds one of the checkpoints, whole, and counts right. */
static void every_power_loss_finds_a_checkpoint(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    struct script *script = mem_calloc(1, sizeof(*script));
    run_script(script, seed, false);
    struct simdisk *disk = script->bench->disk;
    uint64_t begin = 0;
    uint64_t last = simdisk_steps(disk);
    while (strcmp(simdisk_step_name(disk, begin), "rename") != 0)
        begin++;
    while (strcmp(simdisk_step_name(disk, begin), "sync dir") != 0)
        begin++;
    for (int i = 0; i < CRASHES; i++) {
        uint64_t at = begin + below(script, last - begin + 1);
        struct simdisk *image = simdisk_image(disk, at, random_next(&script->random));
        struct diag diag = {.text = ""};
        struct storebench *again = storebench_open(&options, image, &diag);
        if (again == NULL)
            fail_msg("step %llu: %s", (unsigned long long)at, diag.text);
        again->now_ms = again->manifest.state_ms;
        assert_true(storebench_digest(again) == script->digests[again->manifest.checkpoint_number]);
        storebench_recount(again);
        storebench_merge_all(again);
        assert_true(storebench_digest(again) == script->digests[again->manifest.checkpoint_number]);
        storebench_recount(again);
        storebench_free(again);
    }
    storebench_free(script->bench);
    mem_free(script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_upkeep_and_restarts_agree_with_a_model),
        cmocka_unit_test(every_power_loss_finds_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
