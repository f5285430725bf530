#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes cost what is said: one after the other costs one durable log write each (R10)."""

import cases
from cases import check, wait_until

FIGURE = "log_entries_frames"


def settled(connection, least):
    """The figure, published once a second, when it has reached `least` and stands still."""
    wait_until(lambda: int(connection.info()[FIGURE]) >= least, 10, f"{FIGURE} reaches {least}")
    before = connection.info()
    wait_until(
        lambda: int(connection.info()["loop_turns"]) > int(before["loop_turns"])
        and int(connection.info()["uptime_in_seconds"]) > int(before["uptime_in_seconds"]) + 1,
        10,
        "two more seconds",
    )
    return int(connection.info()[FIGURE])


def each_of_n_sets_is_one_frame(server):
    server.start()
    connection = server.connect()
    connection("set", "first", "x")
    before = settled(connection, 1)
    count = 500
    for i in range(count):
        check(connection("set", f"key:{i % 50}", "v" * (i % 300)) == "OK", "SET")
    after = settled(connection, before + count)
    check(after - before == count, f"{count} writes made {after - before} frames of entries")


def a_pipeline_shares_its_frames(server):
    server.start()
    connection = server.connect()
    connection("set", "first", "x")
    before = settled(connection, 1)
    replies = connection.pipeline([("incr", "n")] * 20000, chunk=1000)
    check(replies == list(range(1, 20001)), "INCR counts")
    after = settled(connection, before + 1)
    check(after - before < 2000, f"20000 pipelined writes made {after - before} frames of entries")


def reads_make_none(server):
    server.start()
    connection = server.connect()
    connection("set", "key", "x", "ex", 1000)
    before = settled(connection, 1)
    for _ in range(500):
        check(connection("get", "key") == b"x", "GET")
    check(settled(connection, before) == before, "reads have made frames of entries")


if __name__ == "__main__":
    cases.run(
        "syncs", [each_of_n_sets_is_one_frame, a_pipeline_shares_its_frames, reads_make_none]
    )
