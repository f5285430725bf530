#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kill when the log holds all that its budget allows: the longest recovery there is.

1 GiB of 4 KiB values goes into a log of default geometry with checkpoints kept away; then kill -9,
and the next start must be ready in START_LIMIT seconds (5) with everything there. See README.md.
"""

import os
import random
import time

import cases
from cases import check, wait_until
from resp import OK, encode

KEYS = 200_000
VALUE_BYTES = 4096
CHUNK = 256  # commands in flight
WRITES = 255_000  # just below the budget of 1 GiB, at which a checkpoint would be made
LOG_BYTES = 960 << 20
START_LIMIT = float(os.environ.get("START_LIMIT") or 5)
PADDING = random.Random(1).randbytes(VALUE_BYTES + 1024)
OPTIONS = "--checkpoint-interval-ms 3600000 --checkpoint-max-delay-ms 3600000".split()


def key(i):
    return b"key:%d" % i


def value(i, generation):
    tag = b"%d.%d." % (i, generation)
    return tag + PADDING[i % 1000 : i % 1000 + VALUE_BYTES - len(tag)]


def write(connection, first, count):
    numbers = range(first, first + count)
    connection.socket.sendall(
        b"".join(encode(("set", key(n % KEYS), value(n % KEYS, n // KEYS))) for n in numbers)
    )
    for _ in numbers:
        check(connection.read() == OK, "SET")


def fill(connection):
    """Writes until the log is as long as may be; gives how many writes that took."""
    done = 0
    while done < WRITES:
        write(connection, done, CHUNK)
        done += CHUNK
    wait_until(
        lambda: int(connection.info()["log_live_bytes"]) >= LOG_BYTES, 5, "the log is full"
    )
    check(connection.info()["checkpoints"] == "0", "a checkpoint was made")
    return done


def check_all(connection, done):
    """Of each key the last value that was acknowledged."""
    check(connection("dbsize") == min(done, KEYS), "DBSIZE")
    for first in range(0, min(done, KEYS), CHUNK):
        numbers = range(first, min(first + CHUNK, done, KEYS))
        replies = connection.pipeline([("get", key(i)) for i in numbers], chunk=CHUNK)
        for i, reply in zip(numbers, replies):
            generation = (done - 1 - i) // KEYS
            check(reply == value(i, generation), f"{key(i)!r} is {reply[:40]!r}")


def killed_at_a_full_log_budget(server):
    server.start()
    connection = server.connect()
    began = time.monotonic()
    done = fill(connection)
    took = time.monotonic() - began
    info = connection.info()
    print(
        f"  {done} writes in {took:.1f} s; log {int(info['log_bytes']) >> 20} MiB, "
        f"live {int(info['log_live_bytes']) >> 20} MiB, {info['log_writer']}",
        flush=True,
    )
    for what in ("killed at a full log", "killed once more"):
        server.kill()
        seconds = server.start()
        connection = server.connect()
        print(
            f"  {what}: ready after {seconds:.2f} s, "
            f"{connection.info()['replayed_commands']} commands replayed",
            flush=True,
        )
        check(seconds <= START_LIMIT, f"{what}: ready after {seconds:.2f} s")
        check_all(connection, done)


if __name__ == "__main__":
    cases.run("full-log", [killed_at_a_full_log_budget], OPTIONS)
