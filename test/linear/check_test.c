/* SPDX-License-Identifier: Apache-2.0 */
/* The judge judged: small histories by hand of which one can see whether they are right.
 *
 * Columns: client.connection asked told | request | reply. */
#include "support/cmocka.h"

#include <stdlib.h>

#include "linear/appends.h"
#include "linear/check.h"
#include "linear/graph.h"
#include "linear/search.h"
#include "support/random.h"

struct judged {
    size_t bad;
    size_t undecided;
};

static struct judged judge(const char *text, FILE *explain)
{
    struct history history;
    history_init(&history);
    history.early_ms = 0;
    history.late_ms = 0;
    size_t bad_line = history_parse(&history, slice_str(text));
    assert_int_equal(bad_line, 0);
    struct verdict verdict;
    check_history(&history, CHECK_BUDGET, explain, &verdict);
    struct judged judged = {.bad = verdict.bad_count, .undecided = verdict.undecided_count};
    verdict_fini(&verdict);
    history_fini(&history);
    return judged;
}

static void is_right(const char *text)
{
    struct judged judged = judge(text, stderr);
    assert_int_equal(judged.bad, 0);
    assert_int_equal(judged.undecided, 0);
}

/* A wrong history must be explained, too. */
static void is_wrong(const char *text)
{
    char *said = NULL;
    size_t size = 0;
    FILE *explain = open_memstream(&said, &size);
    assert_non_null(explain);
    struct judged judged = judge(text, explain);
    fclose(explain);
    assert_true(judged.bad > 0);
    assert_true(size > 0);
    free(said);
}

/* ---- Registers ---- */

static void test_one_after_the_other(void **state)
{
    (void)state;
    is_right(
        "1.0 10 20 | SET k a | OK\n"
        "1.0 30 40 | GET k | a\n"
        "2.0 50 60 | GETSET k b | a\n"
        "1.0 70 80 | APPEND k c | 2\n"
        "1.0 90 95 | STRLEN k | 2\n"
        "2.0 90 95 | GET k | bc\n"
        "2.0 96 97 | GETDEL k | bc\n"
        "2.0 98 99 | GET k | nil\n");
}

static void test_reads_during_a_write_may_differ(void **state)
{
    (void)state;
    is_right(
        "1.0 10 90 | SET k a | OK\n"
        "2.0 20 30 | GET k | nil\n"
        "3.0 40 50 | GET k | a\n"
        "2.0 60 70 | GET k | a\n");
}

static void test_stale_read(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | SET k a | OK\n"
        "1.0 30 40 | SET k b | OK\n"
        "2.0 50 60 | GET k | a\n");
}

static void test_reads_going_back(void **state)
{
    (void)state;
    /* Both reads lie within the write, but the second one is later and older. */
    is_wrong(
        "1.0 10 90 | SET k a | OK\n"
        "2.0 20 30 | GET k | a\n"
        "3.0 40 50 | GET k | nil\n");
}

static void test_reads_that_touch_in_time_may_go_back(void **state)
{
    (void)state;
    is_right(
        "1.0 10 90 | SET k a | OK\n"
        "2.0 20 40 | GET k | a\n"
        "3.0 40 50 | GET k | nil\n");
}

static void test_value_nobody_wrote(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | SET k a | OK\n"
        "1.0 30 40 | GET k | z\n");
}

static void test_value_read_before_it_was_written(void **state)
{
    (void)state;
    is_wrong(
        "2.0 10 20 | GET k | a\n"
        "1.0 30 40 | SET k a | OK\n");
}

static void test_counters(void **state)
{
    (void)state;
    is_right(
        "1.0 10 50 | INCR n | 2\n"
        "2.0 10 50 | INCR n | 1\n"
        "3.0 60 70 | DECRBY n 5 | -3\n"
        "3.0 80 90 | INCRBY n 4 | 1\n");
    /* Two increments that read the same. */
    is_wrong(
        "1.0 10 50 | INCR n | 1\n"
        "2.0 10 50 | INCR n | 1\n");
}

static void test_increment_lost(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | INCR n | 1\n"
        "2.0 30 40 | INCR n | 2\n"
        "1.0 50 60 | GET n | 1\n");
}

static void test_conditional_sets(void **state)
{
    (void)state;
    is_right(
        "1.0 10 50 | SET k a NX | OK\n"
        "2.0 10 50 | SET k b NX | nil\n"
        "3.0 60 70 | SET k c XX | OK\n"
        "3.0 80 90 | GET k | c\n");
    is_wrong(
        "1.0 10 50 | SET k a NX | OK\n"
        "2.0 10 50 | SET k b NX | OK\n");
    is_wrong("1.0 10 20 | SET k a XX | OK\n");
}

static void test_counts(void **state)
{
    (void)state;
    is_right(
        "1.0 10 20 | MSET a x b x | OK\n"
        "1.0 30 40 | EXISTS a b c | 2\n"
        "1.0 50 60 | DEL a c | 1\n"
        "1.0 70 80 | MSETNX b y c y | 0\n"
        "1.0 70 80 | MSETNX c y d y | 1\n"
        "1.0 90 95 | MGET a b c d | [nil x y y]\n");
    is_wrong(
        "1.0 10 20 | MSET a x b x | OK\n"
        "1.0 30 40 | EXISTS a b | 1\n");
}

static void test_reply_of_another_request(void **state)
{
    (void)state;
    is_wrong("1.0 10 20 | INCR n | OK\n");
    is_wrong("1.0 10 20 | SET k a | 5\n");
    is_wrong("1.0 10 20 | MGET a b | [nil]\n");
    is_wrong("1.0 10 20 | MGET a b | [nil nil nil]\n");
}

/* ---- Outcomes that are not known ---- */

static void test_unknown_write_may_have_happened(void **state)
{
    (void)state;
    is_right(
        "1.0 10 - | SET k a | -\n"
        "2.0 20 30 | GET k | nil\n"
        "2.0 40 50 | GET k | a\n");
    is_right(
        "1.0 10 20 | SET k a | !UNKNOWN_it_may_have_been_applied\n"
        "2.0 30 40 | GET k | nil\n"
        "2.0 50 60 | GET k | a\n");
    is_right(
        "1.0 10 - | INCR n | -\n"
        "1.0 20 - | INCR n | -\n"
        "2.0 30 40 | INCR n | 2\n"
        "2.0 50 60 | GET n | 2\n");
}

static void test_unknown_write_happens_once_at_most(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 - | SET k a | -\n"
        "2.0 20 30 | GET k | a\n"
        "2.0 40 50 | SET k b | OK\n"
        "2.0 60 70 | GET k | a\n");
    is_wrong(
        "1.0 10 - | INCR n | -\n"
        "2.0 30 40 | INCR n | 3\n");
}

static void test_unknown_write_does_not_happen_before_it_was_asked(void **state)
{
    (void)state;
    is_wrong(
        "2.0 10 20 | GET k | a\n"
        "1.0 30 - | SET k a | -\n");
}

static void test_failed_write_did_not_happen(void **state)
{
    (void)state;
    is_right(
        "1.0 10 20 | SET k a | !MISCONF_no\n"
        "2.0 30 40 | GET k | nil\n");
    is_wrong(
        "1.0 10 20 | SET k a | !MISCONF_no\n"
        "2.0 30 40 | GET k | a\n");
}

/* ---- Connections ---- */

static void test_pipeline_sees_its_own_writes(void **state)
{
    (void)state;
    is_right(
        "1.0 10 50 | SET k a | OK\n"
        "1.0 10 60 | GET k | a\n"
        "1.0 10 70 | SET k b | OK\n"
        "1.0 10 80 | GET k | b\n");
    is_wrong(
        "1.0 10 50 | SET k a | OK\n"
        "1.0 10 60 | GET k | nil\n");
}

static void test_pipeline_does_not_see_its_later_writes(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 50 | GET k | a\n"
        "1.0 10 60 | SET k a | OK\n");
    /* Two connections of a client are not one. */
    is_right(
        "1.0 10 50 | GET k | a\n"
        "1.1 10 60 | SET k a | OK\n");
}

/* ---- Several keys ---- */

static void test_torn_read(void **state)
{
    (void)state;
    is_wrong(
        "same a b\n"
        "1.0 10 20 | MSET a x b x | OK\n"
        "1.0 30 60 | MSET a y b y | OK\n"
        "2.0 40 50 | MGET a b | [y x]\n");
    /* The order of the ops says it as well. */
    is_wrong(
        "1.0 10 20 | MSET a x b x | OK\n"
        "1.0 30 60 | MSET a y b y | OK\n"
        "2.0 40 50 | MGET a b | [y x]\n");
}

static void test_torn_by_two_reads(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | MSET a x b x | OK\n"
        "1.0 30 90 | MSET a y b y | OK\n"
        "2.0 40 50 | GET a | y\n"
        "2.0 60 70 | GET b | x\n");
    is_right(
        "1.0 10 20 | MSET a x b x | OK\n"
        "1.0 30 90 | MSET a y b y | OK\n"
        "2.0 40 50 | GET a | x\n"
        "2.0 60 70 | GET b | y\n");
}

static void test_instant_that_never_was(void **state)
{
    (void)state;
    /* a was 1 before b was: (0, 1) was never there. */
    is_wrong(
        "1.0 10 20 | SET a 1 | OK\n"
        "1.0 30 40 | SET b 1 | OK\n"
        "2.0 5 50 | MGET a b | [nil 1]\n");
}

static void test_rename_is_one_step(void **state)
{
    (void)state;
    is_right(
        "1.0 10 20 | SET a x | OK\n"
        "1.0 30 40 | RENAME a b | OK\n"
        "2.0 30 40 | MGET a b | [x nil]\n"
        "2.0 50 60 | RENAME a b | !ERR_no_such_key\n");
    is_wrong(
        "1.0 10 20 | SET a x | OK\n"
        "1.0 30 40 | RENAME a b | OK\n"
        "2.0 30 40 | MGET a b | [nil nil]\n");
    is_wrong(
        "1.0 10 20 | SET a x | OK\n"
        "1.0 30 40 | RENAME a b | OK\n"
        "2.0 30 40 | MGET a b | [x x]\n");
}

/* ---- Transactions ---- */

static void test_transfers(void **state)
{
    (void)state;
    is_right(
        "sum 0 a b\n"
        "1.0 10 50 | EXEC DECRBY a 5 ; INCRBY b 5 | [-5 5]\n"
        "2.0 10 50 | EXEC DECRBY b 3 ; INCRBY a 3 | [2 -2]\n"
        "3.0 20 30 | MGET a b | [-5 5]\n"
        "3.0 60 70 | EXEC GET a ; GET b | [-2 2]\n");
    is_wrong(
        "sum 0 a b\n"
        "1.0 10 50 | EXEC DECRBY a 5 ; INCRBY b 5 | [-5 5]\n"
        "3.0 20 30 | MGET a b | [-5 nil]\n");
}

static void test_lost_update(void **state)
{
    (void)state;
    /* Both had read 10, and both were let through. */
    is_wrong(
        "1.0 1 2 | SET a 10 | OK\n"
        "1.0 10 20 | GET a | 10\n"
        "2.0 10 20 | GET a | 10\n"
        "1.0 30 40 | EXEC WATCHED a 10 ; SET a 11 | [OK]\n"
        "2.0 30 40 | EXEC WATCHED a 10 ; SET a 12 | [OK]\n");
    is_right(
        "1.0 1 2 | SET a 10 | OK\n"
        "1.0 10 20 | GET a | 10\n"
        "2.0 10 20 | GET a | 10\n"
        "1.0 30 40 | EXEC WATCHED a 10 ; SET a 11 | [OK]\n"
        "2.0 30 40 | EXEC WATCHED a 10 ; SET a 12 | nil\n");
}

static void test_half_a_transaction(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | EXEC SET a 1 ; SET b 1 | [OK OK]\n"
        "2.0 30 40 | GET b | nil\n");
    is_wrong(
        "1.0 10 - | EXEC SET a 1 ; SET b 1 | -\n"
        "2.0 30 40 | GET a | 1\n"
        "2.0 50 60 | GET b | nil\n");
    is_right(
        "1.0 10 - | EXEC SET a 1 ; SET b 1 | -\n"
        "2.0 30 40 | GET b | nil\n"
        "2.0 50 60 | GET a | 1\n");
}

/* ---- Keys that end; 1000000 ns to the ms ---- */

static void test_key_ends_in_its_time(void **state)
{
    (void)state;
    is_right(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "2.0 9000000 9500000 | GET k | a\n"
        "2.0 11000000 12000000 | GET k | nil\n"
        "2.0 12000000 13000000 | PTTL k | -2\n");
    is_wrong(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "2.0 9000000 9500000 | GET k | nil\n");
    is_wrong(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "2.0 13000000 14000000 | GET k | a\n");
}

static void test_key_does_not_come_back(void **state)
{
    (void)state;
    is_wrong(
        "1.0 1000000 3000000 | SET k a PX 10 | OK\n"
        "2.0 11000000 12000000 | GET k | nil\n"
        "2.0 12100000 12200000 | GET k | a\n");
    is_wrong(
        "1.0 1000000 3000000 | SET k a PX 10 | OK\n"
        "2.0 11000000 12000000 | GET k | nil\n"
        "3.0 10000000 12900000 | PERSIST k | 1\n"
        "2.0 20000000 21000000 | GET k | a\n");
    is_right(
        "1.0 1000000 3000000 | SET k a PX 10 | OK\n"
        "3.0 10000000 12900000 | PERSIST k | 1\n"
        "2.0 20000000 21000000 | GET k | a\n"
        "2.0 20000000 21000000 | PTTL k | -1\n");
    is_right(
        "1.0 1000000 3000000 | SET k a PX 10 | OK\n"
        "2.0 11000000 12000000 | GET k | nil\n"
        "3.0 10000000 12900000 | APPEND k b | 1\n"
        "2.0 20000000 21000000 | GET k | b\n");
}

static void test_life_is_changed(void **state)
{
    (void)state;
    is_right(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "1.0 3000000 4000000 | PEXPIRE k 50 | 1\n"
        "1.0 3000000 4000000 | PTTL k | 50\n"
        "1.0 30000000 40000000 | GET k | a\n"
        "1.0 41000000 41500000 | SET k b | OK\n"
        "1.0 99000000 99500000 | GET k | b\n");
    is_wrong(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "1.0 3000000 4000000 | PEXPIRE k 50 | 1\n"
        "1.0 30000000 40000000 | GET k | nil\n");
    is_wrong(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "1.0 3000000 4000000 | PTTL k | 20\n");
}

static void test_gone_in_time_and_there_before_it(void **state)
{
    (void)state;
    /* Whoever saw it gone did so at 11 ms or later; the write that was told at 10 came before. */
    is_wrong(
        "1.0 1000000 2000000 | SET k a PX 10 | OK\n"
        "2.0 9000000 20000000 | GETSET k b | nil\n"
        "3.0 9000000 10000000 | GET k | b\n");
}

/* ---- Appends ---- */

static void test_appends_in_order(void **state)
{
    (void)state;
    is_right(
        "1.0 10 50 | APPEND x a1. | 3\n"
        "2.0 10 50 | EXEC APPEND x b1. ; GET x ; APPEND y b2. | [6 a1.b1. 3]\n"
        "3.0 20 30 | MGET x y | [a1. nil]\n"
        "3.0 60 70 | MGET x y | [a1.b1. b2.]\n");
}

static void test_appends_read_in_two_orders(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 50 | APPEND x a1. | 3\n"
        "2.0 10 50 | APPEND x b1. | 6\n"
        "3.0 20 30 | GET x | b1.\n"
        "3.0 60 70 | GET x | a1.b1.\n");
}

static void test_append_lost(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | APPEND x a1. | 3\n"
        "2.0 30 40 | APPEND x b1. | 6\n"
        "3.0 60 70 | GET x | a1.\n");
    is_wrong(
        "1.0 10 50 | APPEND x a1. | 3\n"
        "2.0 10 50 | APPEND x b1. | 3\n"
        "3.0 60 70 | GET x | a1.\n");
}

static void test_append_twice(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | APPEND x a1. | 3\n"
        "3.0 60 70 | GET x | a1.a1.\n");
}

static void test_append_of_nobody(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | APPEND x a1. | 3\n"
        "3.0 60 70 | GET x | a1.b1.\n");
}

static void test_append_half_read(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | APPEND x a1. | 3\n"
        "2.0 30 50 | APPEND x b1. | 6\n"
        "2.0 60 70 | GET x | a1.b1.\n"
        "3.0 30 70 | GET x | a1.b\n");
}

static void test_appends_unknown(void **state)
{
    (void)state;
    is_right(
        "1.0 10 - | APPEND x a1. | -\n"
        "2.0 20 - | APPEND x b1. | -\n"
        "3.0 60 70 | GET x | b1.\n"
        "3.0 80 90 | APPEND x c1. | 6\n"
        "3.0 91 92 | GET x | b1.c1.\n");
}

static void test_write_skew(void **state)
{
    (void)state;
    /* Each did not see what the other appended. */
    is_wrong(
        "1.0 10 50 | EXEC GET x ; APPEND y a1. | [nil 3]\n"
        "2.0 10 50 | EXEC GET y ; APPEND x b1. | [nil 3]\n"
        "3.0 60 70 | MGET x y | [b1. a1.]\n");
}

static void test_transaction_seen_in_part(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 50 | EXEC APPEND x a1. ; APPEND y a2. | [3 3]\n"
        "2.0 20 30 | MGET x y | [a1. nil]\n"
        "3.0 60 70 | MGET x y | [a1. a2.]\n");
    is_wrong(
        "1.0 10 50 | EXEC APPEND x a1. ; APPEND x a2. | [3 6]\n"
        "2.0 20 30 | GET x | a1.\n"
        "3.0 60 70 | GET x | a1.a2.\n");
}

static void test_transaction_that_misses_its_own_append(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 50 | EXEC APPEND x a1. ; GET x | [3 nil]\n"
        "3.0 60 70 | GET x | a1.\n");
}

static void test_long_fork(void **state)
{
    (void)state;
    /* Two readers saw two independent writes in different orders. */
    is_wrong(
        "1.0 10 90 | APPEND x a1. | 3\n"
        "2.0 10 90 | APPEND y b1. | 3\n"
        "3.0 20 50 | MGET x y | [a1. nil]\n"
        "4.0 20 50 | MGET x y | [nil b1.]\n"
        "3.0 91 92 | MGET x y | [a1. b1.]\n");
}

static void test_appends_against_real_time(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 20 | APPEND x a1. | 3\n"
        "2.0 30 40 | APPEND y b1. | 3\n"
        "3.0 5 50 | MGET x y | [nil b1.]\n"
        "3.0 60 70 | MGET x y | [a1. b1.]\n");
    is_right(
        "1.0 10 35 | APPEND x a1. | 3\n"
        "2.0 30 40 | APPEND y b1. | 3\n"
        "3.0 5 50 | MGET x y | [nil b1.]\n"
        "3.0 60 70 | MGET x y | [a1. b1.]\n");
}

static void test_appends_against_the_order_of_a_pipeline(void **state)
{
    (void)state;
    is_wrong(
        "1.0 10 80 | APPEND x a1. | 3\n"
        "1.0 10 80 | GET x | nil\n"
        "3.0 90 95 | GET x | a1.\n");
    is_wrong(
        "1.0 10 80 | APPEND x a1. | 3\n"
        "1.0 10 80 | EXEC APPEND x a2. ; APPEND y a3. | [6 3]\n"
        "2.0 10 80 | MGET x y | [a1.a2. nil]\n"
        "3.0 90 95 | MGET x y | [a1.a2. a3.]\n");
}

static void test_pipelined_appends_to_other_keys_have_no_order(void **state)
{
    (void)state;
    is_right(
        "1.0 10 80 | APPEND x a1. | 3\n"
        "1.0 10 80 | APPEND y a2. | 3\n"
        "2.0 10 80 | MGET x y | [nil a2.]\n"
        "3.0 90 95 | MGET x y | [a1. a2.]\n");
    is_right(
        "1.0 10 80 | MSET x 1 z 1 | OK\n"
        "1.0 10 80 | SET y 2 | OK\n"
        "2.0 10 80 | MGET x y | [nil 2]\n");
    is_wrong(
        "1.0 10 80 | MSET x 1 y 1 | OK\n"
        "1.0 10 80 | SET y 2 | OK\n"
        "2.0 10 80 | MGET x y | [nil 2]\n");
}

/* ---- Made-up histories ---- */

/* Clients of a store that is right by construction: each op happens at one time within its span. */
struct world {
    struct random random;
    struct history history;
    int64_t now_ns;
    char value[64];
    unsigned last_token;
};

static void add_op(struct world *world, unsigned client, const char *request, const char *reply,
                   int64_t span_ns)
{
    int64_t before_ns = (int64_t)random_below(&world->random, (uint64_t)span_ns);
    int64_t after_ns = (int64_t)random_below(&world->random, (uint64_t)span_ns) + 1;
    history_add(&world->history, &(struct history_op){.client = client,
                                                      .asked_ns = world->now_ns - before_ns,
                                                      .told_ns = world->now_ns + after_ns,
                                                      .request = request,
                                                      .reply = reply});
}

/* Every op takes effect at a time of its own, far enough from the next of the same client. */
static void make_register_history(struct world *world, size_t count)
{
    const unsigned clients = 8;
    snprintf(world->value, sizeof(world->value), "nil");
    for (size_t i = 0; i < count; i++) {
        char request[128];
        char reply[64];
        world->now_ns += 10;
        if (random_below(&world->random, 2) == 0) {
            snprintf(world->value, sizeof(world->value), "v%u", ++world->last_token);
            snprintf(request, sizeof(request), "SET k %s", world->value);
            snprintf(reply, sizeof(reply), "OK");
        } else {
            snprintf(request, sizeof(request), "GET k");
            snprintf(reply, sizeof(reply), "%s", world->value);
        }
        add_op(world, (unsigned)(i % clients), request, reply, 10 * clients / 2 - 1);
    }
}

static void test_made_up_histories_are_right(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (unsigned round = 0; round < 40; round++) {
        struct world world = {.random = {.state = seed + round}, .now_ns = 1000};
        history_init(&world.history);
        make_register_history(&world, 500);
        struct verdict verdict;
        check_history(&world.history, CHECK_BUDGET, stderr, &verdict);
        assert_int_equal(verdict.bad_count, 0);
        assert_int_equal(verdict.undecided_count, 0);
        verdict_fini(&verdict);
        history_fini(&world.history);
    }
}

/* A read that is moved behind the next two writes, whole, is stale. */
static void test_made_up_histories_with_a_stale_read_are_wrong(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (unsigned round = 0; round < 20; round++) {
        struct world world = {.random = {.state = seed + round}, .now_ns = 1000};
        history_init(&world.history);
        make_register_history(&world, 200);
        char stale[64];
        snprintf(stale, sizeof(stale), "%s", world.value);
        for (unsigned i = 0; i < 2; i++) {
            char request[64];
            world.now_ns += 200;
            snprintf(request, sizeof(request), "SET k w%u", i);
            add_op(&world, 1, request, "OK", 50);
        }
        world.now_ns += 200;
        add_op(&world, 2, "GET k", stale, 50);
        make_register_history(&world, 50);
        struct verdict verdict;
        check_history(&world.history, CHECK_BUDGET, NULL, &verdict);
        assert_int_equal(verdict.bad_count, 1);
        verdict_fini(&verdict);
        history_fini(&world.history);
    }
}

/* ---- The two ways to judge appends, held against each other ---- */

#define SMALL_OPS  7
#define SMALL_KEYS 2

/* Reads that show some beginning of what its lists came to: often right, often not. */
static void make_small_history(struct world *world)
{
    char lists[SMALL_KEYS][64] = {"", ""};
    struct random *random = &world->random;
    for (unsigned i = 0; i < SMALL_OPS; i++) {
        char request[160];
        char reply[256];
        unsigned key = (unsigned)random_below(random, SMALL_KEYS);
        char *list = lists[key];
        size_t len = strlen(list);
        world->now_ns += 10;
        if (random_below(random, 2) == 0) {
            snprintf(list + len, sizeof(lists[0]) - len, "%ua.", i);
            snprintf(request, sizeof(request), "APPEND k%u %ua.", key, i);
            snprintf(reply, sizeof(reply), "%zu", strlen(list));
        } else {
            int shown[SMALL_KEYS];
            for (unsigned j = 0; j < SMALL_KEYS; j++) {
                size_t back = random_below(random, 4) == 0 ? 3 : 0;
                size_t size = strlen(lists[j]);
                shown[j] = (int)(size > back ? size - back : 0);
            }
            snprintf(request, sizeof(request), "MGET k0 k1");
            snprintf(reply, sizeof(reply), "[%.*s %.*s]", shown[0] == 0 ? 3 : shown[0],
                     shown[0] == 0 ? "nil" : lists[0], shown[1] == 0 ? 3 : shown[1],
                     shown[1] == 0 ? "nil" : lists[1]);
        }
        add_op(world, i, request, reply, 30);
    }
    char reply[256];
    snprintf(reply, sizeof(reply), "[%s %s]", lists[0][0] == '\0' ? "nil" : lists[0],
             lists[1][0] == '\0' ? "nil" : lists[1]);
    world->now_ns += 100;
    add_op(world, SMALL_OPS, "MGET k0 k1", reply, 5);
    history_sort(&world->history);
}

static void test_both_ways_agree_on_appends(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    size_t judged = 0;
    size_t wrong = 0;
    for (unsigned round = 0; round < 4000; round++) {
        struct world world = {.random = {.state = seed + round}, .now_ns = 1000};
        history_init(&world.history);
        make_small_history(&world);
        struct claims claims;
        claims_init(&claims, &world.history);
        uint32_t items[SMALL_OPS + 1];
        for (uint32_t i = 0; i < claims.count; i++)
            items[i] = i;
        const uint32_t keys[SMALL_KEYS] = {0, 1};
        struct search search = {.claims = &claims,
                                .items = items,
                                .count = claims.count,
                                .keys = keys,
                                .key_count = claims.keys.count,
                                .budget = CHECK_BUDGET};
        if (appends_suit(&claims, items, claims.count)) {
            bool is_good = appends_check(&claims, items, claims.count, NULL);
            assert_int_equal(is_good, search_run(&search) == SEARCH_FOUND);
            wrong += !is_good;
            judged++;
        }
        claims_fini(&claims);
        history_fini(&world.history);
    }
    /* Both kinds have been met. */
    assert_true(wrong > judged / 20 && wrong < judged - judged / 20);
}

/* ---- The search, held against trying all orders ---- */

#define FEW_OPS 6

struct few {
    bool is_set[FEW_OPS];
    unsigned value[FEW_OPS]; /* 0: nil */
    int64_t asked[FEW_OPS];
    int64_t told[FEW_OPS];
};

/* Can those in `done` be followed by all others, where the register holds `value`? */
static bool has_order(const struct few *few, unsigned done, unsigned value)
{
    for (unsigned i = 0; i < FEW_OPS; i++) {
        if ((done >> i & 1) != 0)
            continue;
        bool may_come = few->is_set[i] || few->value[i] == value;
        for (unsigned j = 0; j < FEW_OPS; j++)
            may_come &= (done >> j & 1) != 0 || j == i || few->told[j] >= few->asked[i];
        if (may_come && has_order(few, done | 1u << i, few->is_set[i] ? few->value[i] : value))
            return true;
    }
    return done == (1u << FEW_OPS) - 1;
}

static void test_search_agrees_with_trying_all_orders(void **state)
{
    (void)state;
    struct random random = {.state = random_seed()};
    size_t wrong = 0;
    const size_t rounds = 4000;
    for (unsigned round = 0; round < rounds; round++) {
        struct few few;
        struct history history;
        history_init(&history);
        for (unsigned i = 0; i < FEW_OPS; i++) {
            few.is_set[i] = random_below(&random, 2) == 0;
            few.value[i] = few.is_set[i] ? i + 1 : (unsigned)random_below(&random, FEW_OPS + 1);
            few.asked[i] = (int64_t)random_below(&random, 40);
            few.told[i] = few.asked[i] + 1 + (int64_t)random_below(&random, 25);
            char value[16] = "nil";
            char request[32] = "GET k";
            if (few.value[i] != 0)
                snprintf(value, sizeof(value), "%u", few.value[i]);
            if (few.is_set[i])
                snprintf(request, sizeof(request), "SET k %s", value);
            history_add(&history, &(struct history_op){.client = i,
                                                       .asked_ns = few.asked[i],
                                                       .told_ns = few.told[i],
                                                       .request = request,
                                                       .reply = few.is_set[i] ? "OK" : value});
        }
        struct verdict verdict;
        check_history(&history, CHECK_BUDGET, NULL, &verdict);
        assert_int_equal(verdict.bad_count == 0, has_order(&few, 0, 0));
        wrong += verdict.bad_count;
        verdict_fini(&verdict);
        history_fini(&history);
    }
    assert_true(wrong > rounds / 20 && wrong < rounds - rounds / 20);
}

/* ---- Shrinking ---- */

static void test_shrunken_history_is_small_and_wrong(void **state)
{
    (void)state;
    struct world world = {.random = {.state = random_seed()}, .now_ns = 1000};
    history_init(&world.history);
    make_register_history(&world, 300);
    world.now_ns += 1000;
    add_op(&world, 1, "SET k last", "OK", 50);
    world.now_ns += 200;
    add_op(&world, 2, "GET k", "v1", 50);
    world.now_ns += 200;
    make_register_history(&world, 100);
    check_shrink(&world.history, CHECK_BUDGET);
    size_t reads = 0;
    for (size_t i = 0; i < world.history.count; i++)
        reads += strncmp(world.history.ops[i].request, "GET", 3) == 0;
    assert_int_equal(reads, 1);
    struct verdict verdict;
    check_history(&world.history, CHECK_BUDGET, NULL, &verdict);
    assert_int_equal(verdict.bad_count, 1);
    verdict_fini(&verdict);
    history_fini(&world.history);
}

/* ---- Text ---- */

static void test_text_comes_back(void **state)
{
    (void)state;
    const char *text =
        "early 7\n"
        "late 9\n"
        "same a b\n"
        "sum -3 c d\n"
        "1.0 10 20 | SET k \"\" | OK\n"
        "2.3 15 - | EXEC WATCHED a nil ; GET b | -\n";
    struct history history;
    history_init(&history);
    assert_int_equal(history_parse(&history, slice_str(text)), 0);
    char *written = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&written, &size);
    assert_non_null(to);
    history_write(&history, to);
    fclose(to);
    assert_string_equal(written, text);
    free(written);
    history_fini(&history);
}

static void test_bad_lines_are_told(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1 10 20 | GET k | a\n",
        "1.0 10 | GET k | a\n",
        "1.0 20 10 | GET k | a\n",
        "1.0 10 20 | GET k\n",
        "what\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct history history;
        history_init(&history);
        assert_int_equal(history_parse(&history, slice_str(texts[i])), 1);
        history_fini(&history);
    }
}

/* ---- Circles ---- */

static size_t cycle_length(const struct graph *graph)
{
    struct graph_cycle cycle = graph_find_cycle(graph, graph->node_count);
    size_t count = cycle.count;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(cycle.edges[i].to, cycle.edges[(i + 1) % count].from);
    graph_cycle_fini(&cycle);
    return count;
}

static void test_shortest_circle_is_found(void **state)
{
    (void)state;
    struct graph graph;
    graph_init(&graph, 10);
    for (uint32_t i = 0; i + 1 < 10; i++)
        graph_add(&graph, i, i + 1, 0);
    assert_int_equal(cycle_length(&graph), 0);
    graph_add(&graph, 9, 0, 0);
    assert_int_equal(cycle_length(&graph), 10);
    graph_add(&graph, 6, 4, 0);
    assert_int_equal(cycle_length(&graph), 3);
    graph_add(&graph, 3, 3, 0);
    assert_int_equal(cycle_length(&graph), 3);
    graph_fini(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_reads_during_a_write_may_differ),
        cmocka_unit_test(test_stale_read),
        cmocka_unit_test(test_reads_going_back),
        cmocka_unit_test(test_reads_that_touch_in_time_may_go_back),
        cmocka_unit_test(test_value_nobody_wrote),
        cmocka_unit_test(test_value_read_before_it_was_written),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_increment_lost),
        cmocka_unit_test(test_conditional_sets),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_reply_of_another_request),
        cmocka_unit_test(test_unknown_write_may_have_happened),
        cmocka_unit_test(test_unknown_write_happens_once_at_most),
        cmocka_unit_test(test_unknown_write_does_not_happen_before_it_was_asked),
        cmocka_unit_test(test_failed_write_did_not_happen),
        cmocka_unit_test(test_pipeline_sees_its_own_writes),
        cmocka_unit_test(test_pipeline_does_not_see_its_later_writes),
        cmocka_unit_test(test_torn_read),
        cmocka_unit_test(test_torn_by_two_reads),
        cmocka_unit_test(test_instant_that_never_was),
        cmocka_unit_test(test_rename_is_one_step),
        cmocka_unit_test(test_transfers),
        cmocka_unit_test(test_lost_update),
        cmocka_unit_test(test_half_a_transaction),
        cmocka_unit_test(test_key_ends_in_its_time),
        cmocka_unit_test(test_key_does_not_come_back),
        cmocka_unit_test(test_life_is_changed),
        cmocka_unit_test(test_gone_in_time_and_there_before_it),
        cmocka_unit_test(test_appends_in_order),
        cmocka_unit_test(test_appends_read_in_two_orders),
        cmocka_unit_test(test_append_lost),
        cmocka_unit_test(test_append_twice),
        cmocka_unit_test(test_append_of_nobody),
        cmocka_unit_test(test_append_half_read),
        cmocka_unit_test(test_appends_unknown),
        cmocka_unit_test(test_write_skew),
        cmocka_unit_test(test_transaction_seen_in_part),
        cmocka_unit_test(test_transaction_that_misses_its_own_append),
        cmocka_unit_test(test_long_fork),
        cmocka_unit_test(test_appends_against_real_time),
        cmocka_unit_test(test_appends_against_the_order_of_a_pipeline),
        cmocka_unit_test(test_pipelined_appends_to_other_keys_have_no_order),
        cmocka_unit_test(test_made_up_histories_are_right),
        cmocka_unit_test(test_made_up_histories_with_a_stale_read_are_wrong),
        cmocka_unit_test(test_both_ways_agree_on_appends),
        cmocka_unit_test(test_search_agrees_with_trying_all_orders),
        cmocka_unit_test(test_shrunken_history_is_small_and_wrong),
        cmocka_unit_test(test_text_comes_back),
        cmocka_unit_test(test_bad_lines_are_told),
        cmocka_unit_test(test_shortest_circle_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
