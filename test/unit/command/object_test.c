/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/commandbench.h"

static void encoding_follows_the_content(void **state)
{
    (void)state;
    commandbench_play(
        "MSET i 1 n -9223372036854775808 o 9223372036854775808 p 01 e \"\" s text -> +OK\n"
        "OBJECT ENCODING i -> \"int\"\n"
        "OBJECT ENCODING n -> \"int\"\n"
        "OBJECT ENCODING o -> \"embstr\"\n"
        "OBJECT ENCODING p -> \"embstr\"\n"
        "OBJECT ENCODING e -> \"embstr\"\n"
        "OBJECT ENCODING s -> \"embstr\"\n"
        "SET s 12345678901234567890123456789012345678901234 -> +OK\n"
        "OBJECT ENCODING s -> \"embstr\"\n"
        "APPEND s 5 -> :45\n"
        "OBJECT ENCODING s -> \"raw\"\n"
        "OBJECT ENCODING nothing -> nil\n"
        "OBJECT ENCODING -> -ERR wrong number of arguments for 'object|encoding' command\n");
}

/* As in Redis: what was changed in place is raw, whatever it looks like. */
static void encoding_follows_the_form(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 1 b 1 c 1 d 1 e 1 f 1 -> +OK\n"
        "APPEND a 2 -> :2\n"
        "OBJECT ENCODING a -> \"raw\"\n"
        "INCR a -> :13\n"
        "OBJECT ENCODING a -> \"int\"\n"
        "APPEND new 12 -> :2\n"
        "OBJECT ENCODING new -> \"int\"\n"
        "SETRANGE b 0 2 -> :1\n"
        "OBJECT ENCODING b -> \"raw\"\n"
        "SET b 2 KEEPTTL -> +OK\n"
        "OBJECT ENCODING b -> \"int\"\n"
        "SETRANGE newer 0 2 -> :1\n"
        "OBJECT ENCODING newer -> \"raw\"\n"
        "SETBIT c 7 1 -> :1\n" /* what changes no bit leaves the form */
        "OBJECT ENCODING c -> \"int\"\n"
        "SETBIT c 6 1 -> :0\n"
        "GET c -> \"3\"\n"
        "OBJECT ENCODING c -> \"raw\"\n"
        "BITFIELD d SET u8 0 49 -> [:49]\n"
        "OBJECT ENCODING d -> \"int\"\n"
        "BITFIELD d SET u8 0 50 -> [:49]\n"
        "OBJECT ENCODING d -> \"raw\"\n"
        "BITOP OR e e -> :1\n"
        "OBJECT ENCODING e -> \"raw\"\n"
        "INCRBYFLOAT f 1 -> \"2\"\n"
        "OBJECT ENCODING f -> \"embstr\"\n"
        "PFADD hll -> :1\n"
        "OBJECT ENCODING hll -> \"raw\"\n");
}

static void a_form_goes_where_its_value_goes(void **state)
{
    (void)state;
    commandbench_play(
        "SET a 1 -> +OK\n"
        "APPEND a 2 -> :2\n"
        "EXPIRE a 1000 -> :1\n"
        "OBJECT ENCODING a -> \"raw\"\n"
        "GETEX a PERSIST -> \"12\"\n"
        "OBJECT ENCODING a -> \"raw\"\n"
        "COPY a b -> :1\n"
        "RENAME a c -> +OK\n"
        "MOVE c 1 -> :1\n"
        "OBJECT ENCODING b -> \"raw\"\n"
        "SELECT 1 -> +OK\n"
        "OBJECT ENCODING c -> \"raw\"\n"
        "GETSET c 3 -> \"12\"\n"
        "OBJECT ENCODING c -> \"int\"\n");
}

static void a_form_outlives_a_start(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 2});
    commandbench_expect(bench, "SET a 1", "+OK");
    commandbench_expect(bench, "APPEND a 2", ":2");
    assert_int_equal(storebench_checkpoint(bench->store), 0);
    commandbench_expect(bench, "SET b 1", "+OK");
    commandbench_expect(bench, "INCRBYFLOAT b 2", "\"3\"");
    struct simdisk *disk = bench->store->disk;
    commandbench_restart(bench, simdisk_image_synced(disk, simdisk_steps(disk)));
    commandbench_expect(bench, "OBJECT ENCODING a", "\"raw\"");
    commandbench_expect(bench, "OBJECT ENCODING b", "\"embstr\"");
    commandbench_free(bench);
}

static void small_integers_are_counted_as_shared(void **state)
{
    (void)state;
    commandbench_play(
        "MSET a 0 b 9999 c 10000 d -1 e 1 f 01 -> +OK\n"
        "OBJECT REFCOUNT a -> :2147483647\n"
        "OBJECT REFCOUNT b -> :2147483647\n"
        "OBJECT REFCOUNT c -> :1\n"
        "OBJECT REFCOUNT d -> :1\n"
        "OBJECT REFCOUNT f -> :1\n"
        "APPEND e 1 -> :2\n"
        "OBJECT REFCOUNT e -> :1\n");
}

static void use_is_told(void **state)
{
    (void)state;
    commandbench_play(
        "SET a 1 -> +OK\n"
        "OBJECT REFCOUNT a -> :2147483647\n"
        "OBJECT IDLETIME a -> :0\n"
        "OBJECT FREQ a -> :5\n"
        "OBJECT REFCOUNT nothing -> nil\n"
        "OBJECT IDLETIME nothing -> nil\n"
        "OBJECT FREQ nothing -> nil\n");
}

static void reading_a_key_ends_its_idle_time(void **state)
{
    (void)state;
    struct commandbench *bench = commandbench_new(&(struct storebench_options){.shard_count = 1});
    commandbench_expect(bench, "SET a 1", "+OK");
    commandbench_expect(bench, "ADVANCE 5000", "+OK");
    commandbench_expect(bench, "OBJECT IDLETIME a", ":5");
    commandbench_expect(bench, "TYPE a", "+string");
    commandbench_expect(bench, "OBJECT IDLETIME a", ":5");
    commandbench_expect(bench, "GET a", "\"1\"");
    commandbench_expect(bench, "OBJECT IDLETIME a", ":0");
    commandbench_expect(bench, "ADVANCE 3000", "+OK");
    commandbench_expect(bench, "TOUCH a", ":1");
    commandbench_expect(bench, "OBJECT IDLETIME a", ":0");
    commandbench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_follows_the_content),
        cmocka_unit_test(encoding_follows_the_form),
        cmocka_unit_test(a_form_goes_where_its_value_goes),
        cmocka_unit_test(a_form_outlives_a_start),
        cmocka_unit_test(small_integers_are_counted_as_shared),
        cmocka_unit_test(use_is_told),
        cmocka_unit_test(reading_a_key_ends_its_idle_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
