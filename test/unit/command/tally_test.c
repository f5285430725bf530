/* SPDX-License-Identifier: Apache-2.0 */
#include "command/tally.h"

#include "base/mem.h"
#include "command/catalogue.h"
#include "support/cmocka.h"
#include "support/commandbench.h"

/* A clock that stands until it is told. */
struct hand_clock {
    struct clock clock;
    uint64_t us;
    unsigned reads;
};

static uint64_t read_us(struct clock *clock)
{
    struct hand_clock *hand = CONTAINER_OF(clock, struct hand_clock, clock);
    hand->reads++;
    return hand->us;
}

static const struct clock_ops hand_ops = {.mono_us = read_us};

struct rig {
    struct hand_clock hand;
    struct command_table *table;
    struct tally_settings settings;
    struct tally *tally;
};

static int make_rig(void **state)
{
    struct rig *rig = mem_calloc(1, sizeof(*rig));
    rig->hand.clock.ops = &hand_ops;
    rig->hand.us = 1000;
    rig->table = commandbench_table();
    atomic_init(&rig->settings.slow_us, 10000);
    rig->tally = tally_new(rig->table, &rig->hand.clock, &rig->settings);
    *state = rig;
    return 0;
}

static int free_rig(void **state)
{
    struct rig *rig = *state;
    tally_free(rig->tally);
    command_table_free(rig->table);
    mem_free(rig);
    return 0;
}

static const struct command_row *row_of(const struct rig *rig, const char *name)
{
    struct slice argv = slice_str(name);
    const struct command_row *parent;
    return command_find(rig->table, &argv, 1, &parent);
}

static void call(struct rig *rig, const char *name, uint64_t takes_us, const char *reply)
{
    const struct command_row *row = row_of(rig, name);
    struct slice argv[2] = {slice_str(name), SLICE_LIT("key")};
    tally_before(rig->tally, row, 0);
    rig->hand.us += takes_us;
    tally_after(rig->tally, &(struct tally_call){
                                .row = row, .argv = argv, .argc = 2, .reply = slice_str(reply)});
}

static struct tally_sum_row look(struct rig *rig, const char *name)
{
    struct tally_sum sum;
    tally_sum_init(&sum, rig->table);
    tally_add_to(rig->tally, &sum);
    struct tally_sum_row row = sum.rows[command_number(rig->table, row_of(rig, name))];
    row.buckets = NULL;
    tally_sum_fini(&sum);
    return row;
}

static void quick_commands_share_the_time_between_two_readings(void **state)
{
    struct rig *rig = *state;
    tally_start(rig->tally);
    for (int i = 0; i < 10; i++)
        call(rig, i % 2 == 0 ? "get" : "set", 4, "+OK\r\n");
    assert_int_equal(rig->hand.reads, 1);
    tally_split(rig->tally);
    assert_int_equal(rig->hand.reads, 2);
    assert_int_equal(look(rig, "get").calls, 5);
    assert_int_equal(look(rig, "get").ns, 20000);
    assert_int_equal(look(rig, "set").ns, 20000);
}

static void what_may_be_slow_is_timed_alone(void **state)
{
    struct rig *rig = *state;
    tally_start(rig->tally);
    call(rig, "get", 1, "+OK\r\n");
    call(rig, "keys", 20000, "*0\r\n");
    call(rig, "get", 3, "+OK\r\n");
    tally_split(rig->tally);
    assert_int_equal(look(rig, "keys").ns, 20000000);
    assert_int_equal(look(rig, "get").ns, 4000);
    struct slow_command *slow = tally_take_slow(rig->tally);
    assert_non_null(slow);
    assert_null(slow->next);
    assert_int_equal(slow->us, 20000);
    assert_string_equal(slow->row->name, "keys");
    slow_command_free(slow);
    assert_null(tally_take_slow(rig->tally));
}

static void a_low_limit_has_each_command_timed(void **state)
{
    struct rig *rig = *state;
    atomic_store(&rig->settings.slow_us, 5);
    tally_start(rig->tally);
    call(rig, "get", 4, "+OK\r\n");
    call(rig, "get", 5, "+OK\r\n");
    struct slow_command *slow = tally_take_slow(rig->tally);
    assert_non_null(slow);
    assert_int_equal(slow->us, 5);
    assert_null(slow->next);
    slow_command_free(slow);
}

static void errors_are_counted_by_their_first_word(void **state)
{
    struct rig *rig = *state;
    struct tally_sum sum;
    tally_start(rig->tally);
    call(rig, "get", 1, "-WRONGTYPE no\r\n");
    tally_split(rig->tally);
    tally_error(rig->tally, SLICE_LIT("-WRONGTYPE no\r\n"));
    tally_error(rig->tally, SLICE_LIT("-ERR a\r\n"));
    tally_error(rig->tally, SLICE_LIT("-ERR b\r\n"));
    tally_reject(rig->tally, row_of(rig, "get"));
    assert_int_equal(look(rig, "get").failed, 1);
    assert_int_equal(look(rig, "get").rejected, 1);
    tally_sum_init(&sum, rig->table);
    tally_add_to(rig->tally, &sum);
    assert_int_equal(sum.error_count, 2);
    assert_string_equal(sum.errors[1].name, "ERR");
    assert_int_equal(sum.errors[1].count, 2);
    assert_int_equal(sum.error_total, 3);
    /* An earlier sum is taken off. */
    struct tally_sum later;
    tally_error(rig->tally, SLICE_LIT("-ERR c\r\n"));
    tally_sum_init(&later, rig->table);
    tally_add_to(rig->tally, &later);
    tally_sum_take_off(&later, &sum);
    assert_int_equal(later.error_total, 1);
    assert_int_equal(later.errors[1].count, 1);
    assert_int_equal(later.rows[command_number(rig->table, row_of(rig, "get"))].calls, 0);
    tally_sum_fini(&later);
    tally_sum_fini(&sum);
}

static void what_a_transaction_holds_counts_when_it_is_done(void **state)
{
    struct rig *rig = *state;
    const struct command_row *exec = command_by_id(rig->table, 201);
    const struct tally_call inner = {.row = row_of(rig, "get"), .reply = SLICE_LIT("-ERR x\r\n")};
    tally_start(rig->tally);
    tally_before(rig->tally, exec, 0);
    tally_start_inner(rig->tally);
    tally_after_inner(rig->tally, &inner);
    /* A cold value: it runs again. */
    tally_start_inner(rig->tally);
    rig->hand.us += 7;
    tally_after_inner(rig->tally, &inner);
    assert_int_equal(look(rig, "get").calls, 0);
    rig->hand.us += 1;
    tally_keep_inner(rig->tally);
    tally_after(rig->tally, &(struct tally_call){.row = exec, .reply = SLICE_LIT("*1\r\n")});
    assert_int_equal(look(rig, "get").calls, 1);
    assert_int_equal(look(rig, "get").failed, 1);
    assert_int_equal(look(rig, "get").ns, 7000);
    assert_int_equal(look(rig, "exec").calls, 1);
    assert_int_equal(look(rig, "exec").ns, 8000);
}

static void percentiles_are_near_the_truth(void **state)
{
    struct rig *rig = *state;
    struct tally_sum sum;
    tally_start(rig->tally);
    for (uint64_t i = 1; i <= 1000; i++)
        call(rig, "keys", i, "*0\r\n");
    tally_sum_init(&sum, rig->table);
    tally_add_to(rig->tally, &sum);
    const struct tally_sum_row *row = &sum.rows[command_number(rig->table, row_of(rig, "keys"))];
    assert_in_range(tally_percentile(row, 50), 500000, 570000);
    assert_in_range(tally_percentile(row, 99), 990000, 1120000);
    assert_in_range(tally_percentile(row, 100), 1000000, 1130000);
    tally_sum_fini(&sum);
}

static void what_is_shown_is_short_and_has_no_secrets(void **state)
{
    struct rig *rig = *state;
    struct buf to = {0};
    uint8_t bytes[200];
    memset(bytes, 'x', sizeof(bytes));
    struct slice argv[40];
    for (size_t i = 0; i < 40; i++)
        argv[i] = SLICE_LIT("a");
    argv[1] = slice_of(bytes, sizeof(bytes));
    slow_put_argv(&to, row_of(rig, "mget"), argv, 40);
    buf_append_byte(&to, 0);
    assert_non_null(strstr((char *)to.data, "*32\r\n"));
    assert_non_null(strstr((char *)to.data, "xxx... (72 more bytes)\r\n"));
    assert_non_null(strstr((char *)to.data, "... (9 more arguments)\r\n"));
    buf_fini(&to);
    /* Whatever clients call it. */
    const struct command_row auth_row = {.name = "auth", .scope = SCOPE_NODE};
    struct slice auth[] = {SLICE_LIT("OPEN"), SLICE_LIT("me"), SLICE_LIT("pw")};
    assert_true(slow_is_secret(&auth_row, auth, 1) && slow_is_secret(&auth_row, auth, 2));
    const struct command_row hello_row = {.name = "hello", .scope = SCOPE_NODE};
    struct slice hello[] = {SLICE_LIT("hello"), SLICE_LIT("3"), SLICE_LIT("auth"), SLICE_LIT("me"),
                            SLICE_LIT("pw")};
    assert_false(slow_is_secret(&hello_row, hello, 1) || slow_is_secret(&hello_row, hello, 2));
    assert_true(slow_is_secret(&hello_row, hello, 3) && slow_is_secret(&hello_row, hello, 4));
    const struct command_row set_row = {.name = "set", .parent = "config", .scope = SCOPE_NODE};
    struct slice config[] = {SLICE_LIT("config"), SLICE_LIT("SET"), SLICE_LIT("requirepass"),
                             SLICE_LIT("pw")};
    assert_false(slow_is_secret(&set_row, config, 2));
    assert_true(slow_is_secret(&set_row, config, 3));
    assert_false(slow_is_secret(row_of(rig, "set"), auth, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(quick_commands_share_the_time_between_two_readings,
                                        make_rig, free_rig),
        cmocka_unit_test_setup_teardown(what_may_be_slow_is_timed_alone, make_rig, free_rig),
        cmocka_unit_test_setup_teardown(a_low_limit_has_each_command_timed, make_rig, free_rig),
        cmocka_unit_test_setup_teardown(errors_are_counted_by_their_first_word, make_rig, free_rig),
        cmocka_unit_test_setup_teardown(what_a_transaction_holds_counts_when_it_is_done, make_rig,
                                        free_rig),
        cmocka_unit_test_setup_teardown(percentiles_are_near_the_truth, make_rig, free_rig),
        cmocka_unit_test_setup_teardown(what_is_shown_is_short_and_has_no_secrets, make_rig,
                                        free_rig),
    };
    return cmocka_run_group_tests_name("command.tally", tests, NULL, NULL);
}
