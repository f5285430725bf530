/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"

#define KEYS 700

static struct commandbench *bench_with_keys(uint32_t shard_count)
{
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.seed = shard_count,
                                                      .shard_count = shard_count,
                                                      .hot_max_value = SIZE_MAX,
                                                      .has_threads = true});
    for (int i = 0; i < KEYS; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET key:%d %d", i, i);
        commandbench_expect(bench, line, "+OK");
    }
    return bench;
}

/* Counts the keys in a printed list, which are all "key:<n>". */
static unsigned note_keys(const char *text, unsigned *counts)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, "\"key:")) != NULL; at++) {
        unsigned n;
        assert_int_equal(sscanf(at, "\"key:%u\"", &n), 1);
        assert_in_range(n, 0, KEYS - 1);
        counts[n]++;
        count++;
    }
    return count;
}

/* A whole SCAN with `options`; every key found is counted. Returns how many calls it took. */
static unsigned scan_all(struct commandbench *bench, const char *options, unsigned *counts)
{
    uint64_t cursor = 0;
    unsigned calls = 0;
    do {
        char line[160];
        snprintf(line, sizeof(line), "SCAN %" PRIu64 " %s", cursor, options);
        const char *text = commandbench_run(bench, line);
        assert_int_equal(sscanf(text, "[\"%" SCNu64 "\"", &cursor), 1);
        note_keys(text, counts);
        assert_true(++calls < 10 * KEYS);
    } while (cursor != 0);
    return calls;
}

static void a_scan_finds_every_key_once(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 3; shards++) {
        struct commandbench *bench = bench_with_keys(shards);
        unsigned counts[KEYS] = {0};
        unsigned calls = scan_all(bench, "", counts);
        assert_in_range(calls, KEYS / 40, KEYS / 8);
        for (int i = 0; i < KEYS; i++)
            assert_int_equal(counts[i], 1);
        assert_int_equal(scan_all(bench, "COUNT 100000", counts), 1);
        commandbench_free(bench);
    }
}

static void a_scan_filters(void **state)
{
    (void)state;
    struct commandbench *bench = bench_with_keys(3);
    unsigned counts[KEYS] = {0};
    scan_all(bench, "MATCH key:12? COUNT 50", counts);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(counts[i], i >= 120 && i < 130);
    memset(counts, 0, sizeof(counts));
    scan_all(bench, "TYPE STRING", counts);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(counts[i], 1);
    memset(counts, 0, sizeof(counts));
    scan_all(bench, "TYPE zset", counts);
    scan_all(bench, "TYPE nothing", counts);
    scan_all(bench, "MATCH none", counts);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(counts[i], 0);
    commandbench_free(bench);
}

static void a_scan_survives_changes(void **state)
{
    (void)state;
    struct commandbench *bench = bench_with_keys(3);
    unsigned counts[KEYS] = {0};
    uint64_t cursor = 0;
    int next = 0;
    do {
        char line[64];
        snprintf(line, sizeof(line), "SCAN %" PRIu64 " COUNT 5", cursor);
        const char *text = commandbench_run(bench, line);
        assert_int_equal(sscanf(text, "[\"%" SCNu64 "\"", &cursor), 1);
        note_keys(text, counts);
        /* Every other key goes, many new ones come. */
        for (int i = 0; i < 4 && next < KEYS; i++, next += 2) {
            snprintf(line, sizeof(line), "DEL key:%d", next + 1);
            commandbench_expect(bench, line, ":1");
            snprintf(line, sizeof(line), "MSET new:%d 1 other:%d 1 third:%d 1", next, next, next);
            commandbench_expect(bench, line, "+OK");
        }
    } while (cursor != 0);
    for (int i = 0; i < KEYS; i += 2)
        assert_true(counts[i] >= 1);
    commandbench_free(bench);
}

static void expired_keys_are_not_found(void **state)
{
    (void)state;
    struct commandbench *bench = bench_with_keys(2);
    for (int i = 0; i < KEYS; i += 2) {
        char line[64];
        snprintf(line, sizeof(line), "PEXPIRE key:%d 10", i);
        commandbench_expect(bench, line, ":1");
    }
    commandbench_run(bench, "ADVANCE 10");
    unsigned counts[KEYS] = {0};
    scan_all(bench, "COUNT 20", counts);
    note_keys(commandbench_run(bench, "KEYS *"), counts);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(counts[i], i % 2 == 0 ? 0 : 2);
    /* They are counted until they are swept, at the turn of the second. */
    storebench_advance(bench->store, 1000);
    storebench_settle(bench->store);
    commandbench_expect(bench, "DBSIZE", ":350");
    commandbench_free(bench);
}

static void keys_match_a_pattern(void **state)
{
    (void)state;
    struct commandbench *bench = bench_with_keys(3);
    unsigned counts[KEYS] = {0};
    assert_int_equal(note_keys(commandbench_run(bench, "KEYS *"), counts), KEYS);
    assert_int_equal(note_keys(commandbench_run(bench, "KEYS key:[1-2]?"), counts), 20);
    commandbench_expect(bench, "KEYS key:7", "[\"key:7\"]");
    commandbench_expect(bench, "KEYS KEY:7", "[]");
    commandbench_expect(bench, "KEYS", "-ERR wrong number of arguments for 'keys' command");
    commandbench_free(bench);
}

static void what_a_scan_refuses(void **state)
{
    (void)state;
    commandbench_play(
        "SCAN x -> -ERR invalid cursor\n"
        "SCAN 1x -> -ERR invalid cursor\n"
        "SCAN 18446744073709551616 -> -ERR invalid cursor\n"
        "SCAN -1 -> -ERR invalid cursor\n"
        "SCAN 0x -> -ERR invalid cursor\n"
        "SCAN \"\" -> -ERR invalid cursor\n"
        "SCAN 000 -> [\"0\", []]\n"
        "SCAN 0 COUNT -> -ERR syntax error\n"
        "SCAN 0 COUNT 0 -> -ERR syntax error\n"
        "SCAN 0 COUNT -5 -> -ERR syntax error\n"
        "SCAN 0 COUNT x -> -ERR value is not an integer or out of range\n"
        "SCAN 0 MATCH -> -ERR syntax error\n"
        "SCAN 0 foo bar -> -ERR syntax error\n"
        "SCAN 0 -> [\"0\", []]\n"
        "SCAN 0 COUNT 9223372036854775807 -> [\"0\", []]\n"
        "SCAN -> -ERR wrong number of arguments for 'scan' command\n");
}

/* Nobody gave these cursors out, but anyone may send them. */
static void cursors_are_not_trusted(void **state)
{
    (void)state;
    struct commandbench *bench = bench_with_keys(3);
    const uint64_t cursors[] = {1,
                                2,
                                3,
                                4,
                                1u << 20,
                                UINT64_C(1) << 48,
                                3 * (UINT64_C(1) << 48) - 1,
                                3 * (UINT64_C(1) << 48),
                                UINT64_C(1) << 63,
                                UINT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(cursors); i++) {
        char line[64];
        uint64_t cursor;
        snprintf(line, sizeof(line), "SCAN %" PRIu64, cursors[i]);
        assert_int_equal(sscanf(commandbench_run(bench, line), "[\"%" SCNu64 "\"", &cursor), 1);
    }
    commandbench_free(bench);
}

/* However much COUNT asks for, a call is bounded, and the next one goes on. */
static void one_call_is_bounded(void **state)
{
    (void)state;
    struct commandbench *bench =
        commandbench_new(&(struct storebench_options){.hot_max_value = SIZE_MAX});
    struct buf key = {0};
    memset(buf_extend(&key, 60000), 'x', 60000);
    for (int i = 0; i < 40; i++) {
        storebench_begin(bench->store, TX_APPLY);
        char suffix[16];
        snprintf(suffix, sizeof(suffix), ":%d", i);
        key.len = 60000;
        buf_append_str(&key, suffix);
        tx_put(bench->store->tx, 0, buf_slice(&key),
               &(struct tx_value){.type = VALUE_STRING, .bytes = SLICE_LIT("v")});
        storebench_commit(bench->store);
    }
    buf_fini(&key);
    uint64_t cursor;
    size_t found = strlen(commandbench_run(bench, "SCAN 0 COUNT 1000000"));
    assert_in_range(found, 1u << 20, 2u << 20);
    assert_int_equal(sscanf((const char *)bench->text.data, "[\"%" SCNu64 "\"", &cursor), 1);
    assert_true(cursor != 0);
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_finds_every_key_once), cmocka_unit_test(a_scan_filters),
        cmocka_unit_test(a_scan_survives_changes),     cmocka_unit_test(expired_keys_are_not_found),
        cmocka_unit_test(keys_match_a_pattern),        cmocka_unit_test(what_a_scan_refuses),
        cmocka_unit_test(cursors_are_not_trusted),     cmocka_unit_test(one_call_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
