/* SPDX-License-Identifier: Apache-2.0 */
#include "store/event.h"

#include <stdio.h>

#include "base/attr.h"
#include "store/store_internal.h"
#include "support/cmocka.h"
#include "support/storebench.h"

#define EVERYTHING                                                                           \
    (EVENT_STRING | EVENT_GENERIC | EVENT_EXPIRED | EVENT_NEW | EVENT_MISS | EVENT_TOUCHED | \
     EVENT_FLUSHED)

static struct storebench *new_bench(void)
{
    struct storebench *bench = storebench_new(
        &(struct storebench_options){.seed = 5, .shard_count = 3, .hot_max_value = SIZE_MAX});
    tx_want_events(bench->tx, EVERYTHING);
    return bench;
}

static void put(struct storebench *bench, const char *key, uint64_t expire_at_ms)
{
    tx_put(bench->tx, 1, slice_str(key),
           &(struct tx_value){
               .type = VALUE_STRING, .bytes = SLICE_LIT("v"), .expire_at_ms = expire_at_ms});
    tx_notify(bench->tx, EVENT_STRING, "set", 1, slice_str(key));
}

/* "key name, key name": what the transaction has collected; + for touched, ! for flushed. */
static void check_told(const struct storebench *bench, const char *want)
{
    const struct event_list *events = tx_events(bench->tx);
    struct buf text = {0};
    for (size_t i = 0; i < events->count; i++) {
        const struct event *event = &events->events[i];
        const char *name = event->class == EVENT_TOUCHED   ? "+"
                           : event->class == EVENT_FLUSHED ? "!"
                                                           : event->name;
        buf_append_format(&text, "%s%.*s %s", i > 0 ? ", " : "",
                          SLICE_FMT(event_key(events, event)), name);
        assert_int_equal(event->db, 1);
    }
    if (!slice_eq(buf_slice(&text), slice_str(want)))
        print_error("told: %.*s\nwant: %s\n", SLICE_FMT(buf_slice(&text)), want);
    assert_true(slice_eq(buf_slice(&text), slice_str(want)));
    buf_fini(&text);
}

static void changes_tell_what_they_are(void **state)
{
    (void)state;
    struct storebench *bench = new_bench();
    storebench_begin(bench, TX_APPLY);
    put(bench, "a", 0);
    put(bench, "a", 0);
    tx_del(bench->tx, 1, SLICE_LIT("a"));
    put(bench, "a", 0);
    put(bench, "b", 0);
    tx_commit(bench->tx);
    check_told(bench, "a new, a set, a set, a new, a set, b new, b set, a +, b +");
    storebench_begin(bench, TX_APPLY);
    put(bench, "a", 0);
    tx_del(bench->tx, 1, SLICE_LIT("none"));
    tx_commit(bench->tx);
    check_told(bench, "a set, a +");
    storebench_free(bench);
}

static void a_run_that_is_dropped_tells_nothing(void **state)
{
    (void)state;
    struct storebench *bench = new_bench();
    storebench_begin(bench, TX_APPLY);
    put(bench, "a", 0);
    storebench_begin_again(bench);
    check_told(bench, "");
    put(bench, "b", 0);
    tx_commit(bench->tx);
    check_told(bench, "b new, b set, b +");
    storebench_free(bench);
}

static void only_what_is_wanted_is_collected(void **state)
{
    (void)state;
    struct storebench *bench = new_bench();
    tx_want_events(bench->tx, EVENT_TOUCHED);
    storebench_begin(bench, TX_APPLY);
    put(bench, "a", 0);
    tx_commit(bench->tx);
    check_told(bench, "a +");
    tx_want_events(bench->tx, 0);
    storebench_begin(bench, TX_APPLY);
    put(bench, "a", 0);
    tx_commit(bench->tx);
    check_told(bench, "");
    storebench_free(bench);
}

static void flushes_are_told_before_what_comes_behind_them(void **state)
{
    (void)state;
    struct storebench *bench = new_bench();
    storebench_begin(bench, TX_APPLY);
    put(bench, "a", 0);
    tx_flush(bench->tx, 1);
    put(bench, "b", 0);
    tx_commit(bench->tx);
    check_told(bench, "a new, a set, b new, b set,  !, b +");
    storebench_free(bench);
}

static void missing_keys_are_told_of_by_reads(void **state)
{
    (void)state;
    struct storebench *bench = new_bench();
    struct item item;
    storebench_begin(bench, TX_READ);
    assert_int_equal(tx_get(bench->tx, 1, SLICE_LIT("none"), &item), 0);
    check_told(bench, "none keymiss");
    storebench_begin(bench, TX_APPLY);
    assert_int_equal(tx_get(bench->tx, 1, SLICE_LIT("none"), &item), 0);
    tx_note_misses(bench->tx, true);
    assert_int_equal(tx_peek(bench->tx, 1, SLICE_LIT("other"), &item), 0);
    check_told(bench, "other keymiss");
    storebench_free(bench);
}

/* ---- Expiry ---- */

static void note_expired(void *ctx, uint16_t db, struct slice key)
{
    struct buf *text = ctx;
    buf_append_format(text, "%u %.*s;", db, SLICE_FMT(key));
}

static void a_key_is_told_of_once_as_expired(void **state)
{
    (void)state;
    struct storebench *bench = new_bench();
    struct buf swept = {0};
    for (uint32_t i = 0; i < bench->stores.count; i++)
        store_on_expired(bench->stores.shards[i], note_expired, &swept);
    storebench_begin(bench, TX_APPLY);
    put(bench, "replaced", bench->now_ms + 10);
    put(bench, "swept", bench->now_ms + 10);
    storebench_commit(bench);
    storebench_tick(bench, 20);
    storebench_begin(bench, TX_APPLY);
    put(bench, "replaced", 0);
    tx_commit(bench->tx);
    check_told(bench, "replaced expired, replaced new, replaced set, replaced +");
    storebench_commit(bench);
    storebench_advance(bench, 2000);
    storebench_settle(bench);
    assert_true(slice_eq(buf_slice(&swept), SLICE_LIT("1 swept;")));
    buf_fini(&swept);
    storebench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_tell_what_they_are),
        cmocka_unit_test(a_run_that_is_dropped_tells_nothing),
        cmocka_unit_test(only_what_is_wanted_is_collected),
        cmocka_unit_test(flushes_are_told_before_what_comes_behind_them),
        cmocka_unit_test(missing_keys_are_told_of_by_reads),
        cmocka_unit_test(a_key_is_told_of_once_as_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
