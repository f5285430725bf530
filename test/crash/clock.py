#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A machine whose wall clock is wrong: set back or forward between runs, or while the server runs.
See README.md.
"""

import struct

import cases
from cases import check, wait_until
from process import preload

HOUR = 3_600_000
DAY = 24 * HOUR
SLACK = 5_000  # what a test may take on a busy machine


class Shift:
    """The offset that the preloaded library reads."""

    def __init__(self, server):
        self.path = server.directory.with_name("clockshift")
        self.path.write_bytes(bytes(8))
        server.env = preload("clockshift", self.path)

    def to(self, ms):
        """In place: the library has the file mapped."""
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", ms))


def is_gone(connection, key):
    return lambda: connection("get", key) is None


def dies_in_time(connection, key, ms=500):
    """A key set now expires after its time, neither at once nor with the wall clock."""
    check(connection("set", key, "x", "px", ms) == "OK", "SET")
    check(connection("get", key) == b"x", f"{key} has expired at once")
    wait_until(is_gone(connection, key), 5 + ms / 1000, f"{key} expires")


def restart(server):
    server.kill()
    server.start()
    return server.connect()


def refused_ms(connection):
    return int(connection.info()["clock_refused_ms"])


def ttl_is(connection, key, ms, what):
    """`key` has what it had before, or less by the time that has passed meanwhile."""
    ttl = connection("pttl", key)
    check(ms - SLACK - SLACK <= ttl <= ms, f"{what}: {key} has {ttl} ms left, had {ms}")


def clock_set_back_between_runs(server):
    shift = Shift(server)
    server.start()
    connection = server.connect()
    connection("set", "always", "x")
    connection("set", "stays", "x", "px", 50 * 60_000)
    connection("set", "gone", "x", "px", 300)
    # The last to be logged. That it has gone is known by a read alone, which logs nothing (R23).
    wait_until(is_gone(connection, "gone"), 5, "gone expires")
    left = connection("pttl", "stays")
    at = connection("pexpiretime", "stays")
    shift.to(-HOUR)
    for what in ("an hour back", "an hour back, once more"):
        connection = restart(server)
        check(connection("get", "gone") is None, f"{what}: an expired key has come back")
        check(connection("get", "always") == b"x", f"{what}: a key without expiry is lost")
        check(connection("pexpiretime", "stays") == at, f"{what}: an expiry has changed")
        ttl_is(connection, "stays", left, what)
        dies_in_time(connection, "soon")
        wait_until(
            lambda: abs(refused_ms(connection) + HOUR) < 2 * SLACK, 5, "INFO says how far it is off"
        )
    server.terminate()


def clock_set_forward_between_runs(server):
    shift = Shift(server)
    server.start()
    connection = server.connect()
    connection("set", "hours", "x", "px", 2 * HOUR)
    connection("set", "days", "x", "px", 3 * DAY)
    left = connection("pttl", "days")
    # A server that was down for a day: what it finds at the start is the time.
    shift.to(DAY)
    connection = restart(server)
    check(connection("get", "hours") is None, "a key has outlived its day")
    check(connection("get", "days") == b"x", "a key has not lived its days")
    ttl_is(connection, "days", left - DAY, "a day forward")
    dies_in_time(connection, "soon")
    left = connection("pttl", "days")
    # It was a mistake: what has expired stays gone, the rest goes on from there.
    shift.to(0)
    connection = restart(server)
    check(connection("get", "hours") is None, "an expired key has come back")
    ttl_is(connection, "days", left, "back again")
    dies_in_time(connection, "soon")


def clock_steps_while_running(server):
    shift = Shift(server)
    server.start()
    connection = server.connect()
    connection("set", "minutes", "x", "px", 600_000)
    left = connection("pttl", "minutes")
    for step in (HOUR, -HOUR, 30 * DAY, 0):
        shift.to(step)
        what = f"a step to {step} ms"
        check(connection("get", "minutes") == b"x", f"{what} is followed")
        before = connection.server_ms()
        wait_until(
            lambda: abs(refused_ms(connection) - step) < 2 * SLACK, 5, f"{what}: INFO says so"
        )
        dies_in_time(connection, "soon")
        after = connection.server_ms()
        check(before <= after < before + 2 * SLACK, f"{what}: the clock went {after - before} ms")
        check(connection("get", "minutes") == b"x", f"{what} is followed by writes")
        check(connection("pttl", "minutes") <= left, f"{what}: a life has become longer")


def small_steps_are_followed(server):
    shift = Shift(server)
    server.start()
    connection = server.connect()
    connection("set", "short", "x", "px", 20_000)
    connection("set", "long", "x", "px", 100_000)
    shift.to(30_000)
    wait_until(is_gone(connection, "short"), 5, "a step of 30 s is followed")
    check(60_000 < connection("pttl", "long") <= 70_000, "PTTL after a step of 30 s")
    # Back: stamps do not go back, they wait.
    before = connection.server_ms()
    shift.to(0)
    check(connection("get", "short") is None, "an expired key has come back")
    check(connection.server_ms() >= before, "the clock goes back")


if __name__ == "__main__":
    cases.run(
        "clock",
        [
            clock_set_back_between_runs,
            clock_set_forward_between_runs,
            clock_steps_while_running,
            small_steps_are_followed,
        ],
    )
