#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sends random commands to Ferric and to Valkey and compares every reply and what is left behind.

    test/differential/differential.py --commands 1000000 --seed 7
    test/differential/differential.py --seed 7 --episode 31     # that part again

Commands come in episodes that begin with empty servers, so that each can be replayed alone. When
the servers differ, the episode is cut down to the commands that matter. See README.md.
"""

import argparse
import collections
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from allowed import ALLOWED, judge, same  # noqa: E402
from draw import FLOAT_KEYS, Draw  # noqa: E402
from keyspace import CONNECTION, KEYS, TRANSACTIONS  # noqa: E402
from strings import BITS, FLOATS, HYPERLOGLOGS, STRINGS  # noqa: E402
from support.client import Closed, Error, encode  # noqa: E402
from support.server import ROOT, Server  # noqa: E402

EPISODE_COMMANDS = 2000
PIPELINE = [1, 1, 1, 2, 3, 5, 8, 16, 32]
PROTOCOLS = [2, 3, 2]
SPOILT_ONE_IN = 12
SHOWN_BYTES = 60
# What is allowed to differ and seldom comes about by chance; a row of ALLOWED must be needed.
PROLOGUE = [line.split() for line in (
    b"HELLO", b"SET small 7", b"COPY small copy", b"OBJECT REFCOUNT copy", b"SETBIT small 7 1",
    b"OBJECT ENCODING small", b"DEL small copy")]
TABLE = STRINGS + FLOATS + BITS + HYPERLOGLOGS + KEYS + CONNECTION + TRANSACTIONS
WEIGHTS = [weight for weight, _ in TABLE]


class Difference(Exception):
    def __init__(self, argv, ours, theirs):
        self.kind = (argv[0].upper(), *map(kind_of, (ours, theirs)))
        super().__init__(f"{show(argv)}\n  ferric: {ours!r:.2000}\n  valkey: {theirs!r:.2000}")


def kind_of(reply):
    return reply if isinstance(reply, Error) else type(reply)


def show(argv):
    """Long words are cut: who needs all of them replays the seed."""
    return " ".join(repr(word)[1:] if len(word) <= SHOWN_BYTES
                    else f"{repr(word[:SHOWN_BYTES])[1:]}...({len(word)} bytes)" for word in argv)


# ---- Making commands


def episode(seed, number):
    """The steps of an episode: (connection, its pipeline of commands)."""
    draw = Draw(f"{seed}.{number}")
    now = int(time.time())
    steps, left = [(0, PROLOGUE)], EPISODE_COMMANDS
    queueing = [False] * len(PROTOCOLS)
    watching = [False] * len(PROTOCOLS)
    queued = [set() for _ in PROTOCOLS]  # the words of the transaction so far
    while left > 0:
        number, commands = draw.randrange(len(PROTOCOLS)), []
        for _ in range(min(left, draw.choice(PIPELINE))):
            may_be_watched = queueing[number] or any(watching)
            argv = command(draw, now, queueing[number], may_be_watched)
            while queueing[number] and any(watching) and may_vanish(argv, queued[number]):
                argv = command(draw, now, queueing[number], may_be_watched)
            commands.append(argv)
            watching[number] = is_watching(commands[-1], watching[number], queueing[number])
            queueing[number] = is_queueing(commands[-1], queueing[number])
            queued[number] = queued[number] | set(argv[1:]) if queueing[number] else set()
        steps.append((number, commands))
        left -= len(commands)
    return steps


def command(draw, now, queueing, may_be_watched):
    while True:
        argv = draw.choices(TABLE, WEIGHTS)[0][1](draw, now)
        is_number = len(argv) > 1 and argv[1] in FLOAT_KEYS
        if draw.chance(SPOILT_ONE_IN) and not is_number:
            argv = draw.spoilt(argv)
        if not is_beyond_comparing(argv, queueing, now) and not (
                may_be_watched and is_silent_growth(argv)):
            argv[0] = draw.case(argv[0])
            return argv


def is_beyond_comparing(argv, queueing, now):
    """What the two are known to do differently, and to differ from then on."""
    # Valkey 8 stores nothing that has expired, and tells of nothing; Redis 7.2 does both.
    if argv[0] == b"SET" and is_for_the_past(argv, now):
        return True
    # MULTI and WATCH after MULTI void the transaction in Valkey 8, unlike in Redis 7.2.
    if queueing and argv[0] in (b"MULTI", b"WATCH"):
        return True
    # Redis and Valkey overflow on the way, and saturate at the wrong end.
    return argv[0] == b"BITFIELD" and any(word.startswith(b"-92233720368547758") for word in argv)


def is_silent_growth(argv):
    """Perhaps a BITFIELD that has made a string longer and failed otherwise: Redis and Valkey call
    that no change, for WATCH, replicas and the file alike; here it is one."""
    return argv[0] == b"BITFIELD" and any(word.upper() == b"FAIL" for word in argv)


REMOVING = {b"DEL", b"UNLINK", b"GETDEL", b"GETEX", b"RENAME", b"RENAMENX", b"MOVE", b"BITOP",
            b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT", b"RESTORE"}
EMPTYING = {b"FLUSHDB", b"FLUSHALL", b"SWAPDB"}


def may_vanish(argv, queued):
    """Perhaps a key that a transaction makes and takes away again: to Redis and Valkey that is a
    change for WATCH, though nobody can have seen it; here it is none (R27)."""
    name = argv[0].upper()
    return name in EMPTYING or (name in REMOVING and not queued.isdisjoint(argv[1:]))


def is_for_the_past(argv, now):
    scales = {b"EXAT": 1, b"PXAT": 1000}
    return any(word.upper() in scales and when.isdigit()
               and int(when) < now * scales[word.upper()] for word, when in zip(argv, argv[1:]))


def is_queueing(argv, before):
    """Whether the connection is between MULTI and EXEC behind this command."""
    words = [argv[0].upper(), *argv[1:]]
    if words == [b"MULTI"]:
        return True
    return before and words not in ([b"EXEC"], [b"DISCARD"], [b"RESET"])


def is_watching(argv, before, queueing):
    """Whether the connection may have watched keys behind this command."""
    words = [argv[0].upper(), *argv[1:]]
    if words == [b"RESET"] or words in ([[b"EXEC"], [b"DISCARD"]] if queueing else [[b"UNWATCH"]]):
        return False
    return before or words[0] == b"WATCH"


# ---- Carrying them out


class Pair:
    """A connection to each server. What is queued by MULTI is judged when EXEC answers."""

    def __init__(self, servers, protocol, tally):
        self.clients = [server.connect(protocol=protocol, timeout=120) for server in servers]
        self.queued = []
        self.tally = tally

    def close(self):
        for client in self.clients:
            client.close()

    def run(self, commands):
        data = b"".join(encode(*argv) for argv in commands)
        for client in self.clients:
            client.send(data)
        for argv in commands:
            self.judge(argv, *[self.reply(client, argv) for client in self.clients])

    @staticmethod
    def reply(client, argv):
        try:
            return client.read_reply()
        except Closed:
            return f"closed at {show(argv)}"

    def judge(self, argv, ours, theirs):
        if ours == theirs == "QUEUED":
            self.queued.append(argv)
            return
        if argv[0].upper() in (b"EXEC", b"DISCARD", b"RESET"):
            queued, self.queued = self.queued, []
            if type(ours) is type(theirs) is list and len(ours) == len(theirs) == len(queued):
                for inner, one, other in zip(queued, ours, theirs):
                    self.compare(inner, one, other)
                return
        self.compare(argv, ours, theirs)

    def compare(self, argv, ours, theirs):
        verdict = judge(argv, ours, theirs)
        if verdict is False:
            raise Difference(argv, ours, theirs)
        self.tally["commands"] += 1
        if verdict:
            self.tally[verdict] += 1


def by_key(pushes):
    """Per key in their order. Between keys of different shards there is none in a pipeline."""
    def key_of(push):
        _, _, channel, message = push
        return channel.split(b":", 1)[1] if channel.startswith(b"__keyspace") else message

    return sorted(pushes, key=key_of)


class Listener:
    """A connection to each server that hears of every change (keyspace notifications)."""

    def __init__(self, servers, tally):
        self.clients = [server.connect(protocol=3, timeout=120) for server in servers]
        self.tally = tally
        for client in self.clients:
            client("CONFIG", "SET", "notify-keyspace-events", "KEA")
            client.send_command("PSUBSCRIBE", "__key*__:*")
            client.read()

    def close(self):
        for client in self.clients:
            client.close()

    def compare(self, commands):
        """What the commands have caused, which has been sent before their replies."""
        for client in self.clients:
            client("PING")
        ours, theirs = (by_key(client.pushes) for client in self.clients)
        if not same(ours, theirs):
            caused = [b"(notifications of)", *(b" ".join(argv) for argv in commands)]
            raise Difference(caused, ours, theirs)
        self.tally["notifications"] += len(theirs)
        for client in self.clients:
            client.pushes = []


def run(servers, steps, tally):
    """Carries out the steps on empty servers; raises Difference."""
    for server in servers:
        server.reset()
    pairs = [Pair(servers, protocol, tally) for protocol in PROTOCOLS]
    listener = Listener(servers, tally)
    try:
        for number, commands in steps:
            pairs[number].run(commands)
            listener.compare(commands)
        compare_content(servers, tally)
    finally:
        for pair in [*pairs, listener]:
            pair.close()


def compare_content(servers, tally):
    """Every key of every database, its value and its expiry."""
    pair = Pair(servers, 2, tally)
    for number in range(16):
        pair.run([[b"SELECT", b"%d" % number], [b"DBSIZE"], [b"KEYS", b"*"]])
        for key in pair.clients[1]("KEYS", "*"):
            pair.run([[name, key] for name in (b"TYPE", b"GET", b"PEXPIRETIME")])
    pair.close()


# ---- Cutting a difference down


def differs(servers, steps, kind=None):
    """The difference that shows, if any and of this kind."""
    try:
        run(servers, steps, collections.Counter())
    except Difference as difference:
        return difference if kind in (None, difference.kind) else None
    return None


def cut_down(servers, steps, kind):
    """A part of the steps that shows it still, from which nothing can be left out."""
    single = [(number, [argv]) for number, commands in steps for argv in commands]
    if differs(servers, single, kind):
        steps = single
    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            without = steps[:at] + steps[at + size:]
            if differs(servers, without, kind):
                steps = without
            else:
                at += size
        size //= 2
    return steps


def explain(servers, steps, kind):
    steps = cut_down(servers, steps, kind)
    difference = differs(servers, steps) or "not seen again: does it depend on time?"
    lines = [f"  {number}> {show(argv)}" for number, commands in steps for argv in commands]
    head = f"after, by connection (their protocols are {PROTOCOLS}):"
    return "\n".join([str(difference), head, *lines])


# ---- The whole


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=200_000)
    parser.add_argument("--seed", default=os.environ.get("SEED") or str(time.time_ns() % 10**9))
    parser.add_argument("--episode", type=int, help="only this one")
    parser.add_argument("--peer", default=str(ROOT / "build/peers/valkey-server"))
    parser.add_argument("--keep-going", type=int, default=1, metavar="N", help="stop at the Nth")
    return parser.parse_args()


def main():
    options = arguments()
    numbers = range(-(-options.commands // EPISODE_COMMANDS))
    if options.episode is not None:
        numbers = [options.episode]
    print(f"seed {options.seed}, {len(numbers) * EPISODE_COMMANDS} commands", flush=True)
    tally, found = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        peer = Server(f"{folder}/peer", peer=options.peer)
        with Server(f"{folder}/ferric") as ours, peer as theirs:
            for number in numbers:
                steps = episode(options.seed, number)
                try:
                    run([ours, theirs], steps, tally)
                except Difference as difference:
                    found += 1
                    print(f"\n--seed {options.seed} --episode {number}: {difference}", flush=True)
                    print(explain([ours, theirs], steps, difference.kind), flush=True)
                    if found >= options.keep_going:
                        return 1
            if not found:
                ours.restart()
                compare_content([ours, theirs], tally)
    return report(tally, found, whole=options.episode is None)


def report(tally, found, whole):
    print(f"{tally['commands']} replies and {tally['notifications']} notifications compared")
    for name, reason, _ in ALLOWED:
        print(f"{tally[name]:8} times {name}: {reason}")
    unused = [name for name, _, _ in ALLOWED if not tally[name]]
    if whole and unused:
        print(f"never needed, so take them out: {', '.join(unused)}")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
