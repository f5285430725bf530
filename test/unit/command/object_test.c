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

static void use_is_told(void **state)
{
    (void)state;
    commandbench_play(
        "SET a 1 -> +OK\n"
        "OBJECT REFCOUNT a -> :1\n"
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
        cmocka_unit_test(use_is_told),
        cmocka_unit_test(reading_a_key_ends_its_idle_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
