# SPDX-License-Identifier: Apache-2.0
"""Commands of keys, databases, transactions and the connection."""

from strings import simple


def expire(name, scale):
    def command(draw, now):
        absolute = name.endswith(b"AT")
        when = b"%d" % (draw.when(now) * scale) if absolute else draw.span(scale)
        return [name, draw.key(), when, *draw.some([b"NX"], [b"XX"], [b"GT"], [b"LT"])[:2]]
    return command


def copy(draw, _):
    options = draw.some([b"DB", database(draw)], [b"REPLACE"])
    return [b"COPY", draw.key(), draw.key(), *options]


def database(draw):
    return draw.choice([b"0", b"1", b"2", b"2", b"15", b"16", b"-1"])


def near_database(draw):
    return b"%d" % draw.randrange(3)


def flush(draw, _):
    name = draw.choice([b"FLUSHDB", b"FLUSHDB", b"FLUSHALL"])
    return [name, *draw.some([b"ASYNC"], [b"SYNC"])[:1]]


def several(name):
    return lambda draw, _: [name, *draw.keys()]


KEYS = [
    (16, several(b"DEL")), (6, several(b"UNLINK")), (10, several(b"EXISTS")),
    (5, several(b"TOUCH")), (6, simple(b"TYPE", "key")), (10, simple(b"RENAME", "key", "key")),
    (8, simple(b"RENAMENX", "key", "key")), (12, copy),
    (8, expire(b"EXPIRE", 1)), (8, expire(b"PEXPIRE", 1000)), (8, expire(b"EXPIREAT", 1)),
    (8, expire(b"PEXPIREAT", 1000)), (6, simple(b"TTL", "key")), (6, simple(b"PTTL", "key")),
    (4, simple(b"EXPIRETIME", "key")), (4, simple(b"PEXPIRETIME", "key")),
    (8, simple(b"PERSIST", "key")), (8, lambda d, n: [b"MOVE", d.key(), database(d)]),
    (2, lambda d, n: [b"SWAPDB", near_database(d), database(d)]),
    (6, lambda d, n: [b"DBSIZE"]), (4, lambda d, n: [b"KEYS", d.pattern()]),
    (2, lambda d, n: [b"RANDOMKEY"]), (1, flush),
    (4, lambda d, n: [b"OBJECT", b"ENCODING", d.key()]),
    (4, lambda d, n: [b"OBJECT", b"REFCOUNT", d.key()]),
]

CONNECTION = [
    (10, lambda d, n: [b"SELECT", near_database(d)]), (1, lambda d, n: [b"SELECT", database(d)]),
    (2, lambda d, n: [b"PING", *d.some([d.value()])]), (2, simple(b"ECHO", "value")),
    (1, lambda d, n: [b"CLIENT", b"SETNAME", d.choice([b"me", b"two words", b""])]),
    (1, lambda d, n: [b"CLIENT", b"GETNAME"]), (1, lambda d, n: [b"HELLO", b"9"]),
    (1, lambda d, n: [b"RESET"]), (1, lambda d, n: [b"NOSUCHCOMMAND", *d.keys()]),
    (1, lambda d, n: [b"COMMAND", b"GETKEYS", b"SET", d.key(), d.value()]),
    (1, lambda d, n: [b"OBJECT", b"NOSUCH", d.key()]),
]

TRANSACTIONS = [
    (18, lambda d, n: [b"MULTI"]), (24, lambda d, n: [b"EXEC"]), (4, lambda d, n: [b"DISCARD"]),
    (10, lambda d, n: [b"WATCH", *d.keys(2)]), (3, lambda d, n: [b"UNWATCH"]),
]
