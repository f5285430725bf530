# SPDX-License-Identifier: Apache-2.0
"""Where the servers may answer differently: each with its reason, and each must occur.

A row is an id, the reason, and a predicate of the command's name in capitals, its arguments, our
reply and theirs.
"""

from support.client import Error

CLOCK_SECONDS = 60  # how far apart the same command may be carried out; see Draw.span


def about_the_same_time(name, _, ours, theirs):
    unit = {b"TTL": 1, b"EXPIRETIME": 1, b"PTTL": 1000, b"PEXPIRETIME": 1000}.get(name)
    return (unit is not None and isinstance(ours, int) and isinstance(theirs, int)
            and min(ours, theirs) > 0 and abs(ours - theirs) <= CLOCK_SECONDS * unit)


def another_key(name, _, ours, theirs):
    return name == b"RANDOMKEY" and None not in (ours, theirs)


def one_bound(name, args, ours, theirs):
    return (name == b"BITCOUNT" and len(args) == 2 and ours == Error("ERR syntax error")
            or name == b"BITCOUNT" and len(args) == 4 and isinstance(ours, Error)
            and theirs == Error("ERR syntax error"))


def another_count(name, args, ours, theirs):
    is_copy = ours == 2147483647 and theirs == 1
    is_queued = ours == 1 and isinstance(theirs, int) and 1 < theirs < 10
    return name == b"OBJECT" and args[0].upper() == b"REFCOUNT" and (is_copy or is_queued)


def another_form(name, args, ours, theirs):
    return (name == b"OBJECT" and args[0].upper() == b"ENCODING" and theirs == b"raw"
            and ours in (b"int", b"embstr"))


def another_server(name, _, ours, theirs):
    return (name == b"HELLO" and type(ours) is type(theirs) and isinstance(ours, list)
            and len(ours) == len(theirs))


ALLOWED = [
    ("clock", "a time from now is taken when a command arrives, at two servers one after the other",
     about_the_same_time),
    ("random-key", "RANDOMKEY may answer any key", another_key),
    ("bitcount", "Valkey 8 takes BITCOUNT with one bound, and looks at the unit first", one_bound),
    ("refcount", "a COPY of a small integer is the copy's own in Redis, and what MULTI has queued "
     "holds its value, too", another_count),
    ("encoding", "SETBIT and BITFIELD that change no bit leave a key as it is; in Redis it is raw "
     "behind them", another_form),
    ("hello", "name, version and the connection's id are each server's own", another_server),
]

# Commands whose replies have no order.
UNORDERED = {b"KEYS"}


def comparable(name, reply):
    return sorted(reply) if name in UNORDERED and isinstance(reply, list) else reply


def same(ours, theirs):
    """Equal in type and content: what the protocol tells apart is apart here."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, tuple):
        return all(map(same, ours, theirs))
    return ours == theirs


def judge(argv, ours, theirs):
    """None if the replies are equal, the id of what allows them to differ, or False."""
    name = argv[0].upper()
    if same(comparable(name, ours), comparable(name, theirs)):
        return None
    for name_of_it, _, predicate in ALLOWED:
        if predicate(name, argv[1:], ours, theirs):
            return name_of_it
    return False

