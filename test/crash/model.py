# SPDX-License-Identifier: Apache-2.0
"""What a client's keys must hold: the commands of the load, executed on a dict.

A value is (bytes, lo, hi): it expires at some ms in [lo, hi]; 0, 0 if never. An expiry that was
given as a moment is one number; one that was given as a duration lies between the server's clock
when the command was sent and when it was answered.

execute() gives the reply that must come. Where several are right, the reply is an Expected.
"""

from resp import OK, QUEUED, Error

NOT_INTEGER = Error("ERR value is not an integer or out of range")
NO_KEY = Error("ERR no such key")
LIMIT = 1 << 63
COMMON = (b"shared:", b"joint:", b"pair:")


class Expected:
    """A reply of which not every byte is known."""

    def __init__(self, accepts, text):
        self.accepts = accepts
        self.text = text

    def __repr__(self):
        return self.text


def between(lo, hi):
    return Expected(lambda got: type(got) is int and lo <= got <= hi, f"{lo}..{hi}")


def one_of(values):
    return Expected(lambda got: got in values, f"one of {sorted(values)[:20]}")


def in_any_order(values):
    values = sorted(values)
    return Expected(
        lambda got: type(got) is list and sorted(got) == values, f"in any order {values[:20]}"
    )


ANYTHING = Expected(lambda got: not isinstance(got, Error), "no error")


def matches(expected, got):
    if type(expected) is list:
        return (
            type(got) is list
            and len(got) == len(expected)
            and all(map(matches, expected, got))
        )
    if type(expected) is Expected:
        return expected.accepts(got)
    return expected == got


# ---- Times ---------------------------------------------------------------------------------------


def moment(word, number, now):
    """(lo, hi) of an expiry given by an option or a command's name; None if it is not in the
    future for sure or surely past, which the load avoids but for numbers <= 0."""
    number = int(number)
    word = word.lower()
    if word in ("ex", "expire", "setex"):
        return now[0] + number * 1000, now[1] + number * 1000
    if word in ("px", "pexpire", "psetex"):
        return now[0] + number, now[1] + number
    if word in ("exat", "expireat"):
        return number * 1000, number * 1000
    return number, number


# ---- Commands ------------------------------------------------------------------------------------


def run_set(keys, db, args, now):
    key, value, options = args[0], args[1], list(args[2:])
    old = keys.get((db, key))
    expiry = (0, 0)
    if "keepttl" in options and old:
        expiry = old[1:]
    for word in ("ex", "px", "exat", "pxat"):
        if word in options:
            expiry = moment(word, options[options.index(word) + 1], now)
    refused = ("nx" in options and old) or ("xx" in options and not old)
    if not refused:
        keys[db, key] = (value, *expiry)
    if "get" in options:
        return old[0] if old else None
    return None if refused else OK


def run_setnx(keys, db, args, now):
    return 1 if run_set(keys, db, (*args, "nx"), now) else 0


def run_setex(keys, db, args, now):
    return run_set(keys, db, (args[0], args[2], "ex", args[1]), now)


def run_psetex(keys, db, args, now):
    return run_set(keys, db, (args[0], args[2], "px", args[1]), now)


def run_get(keys, db, args, now):
    old = keys.get((db, args[0]))
    return old[0] if old else None


def run_getset(keys, db, args, now):
    return run_set(keys, db, (*args, "get"), now)


def run_getdel(keys, db, args, now):
    old = keys.pop((db, args[0]), None)
    return old[0] if old else None


def run_getex(keys, db, args, now):
    old = keys.get((db, args[0]))
    if old is None:
        return None
    if args[1] == "persist":
        keys[db, args[0]] = (old[0], 0, 0)
    else:
        keys[db, args[0]] = (old[0], *moment(args[1], args[2], now))
    return old[0]


def run_append(keys, db, args, now):
    old = keys.get((db, args[0]), (b"", 0, 0))
    value = old[0] + args[1]
    keys[db, args[0]] = (value, *old[1:])
    return len(value)


def run_setrange(keys, db, args, now):
    key, off, piece = args[0], int(args[1]), args[2]
    old = keys.get((db, key))
    if not piece:
        return len(old[0]) if old else 0
    value = old[0] if old else b""
    value = value[:off].ljust(off, b"\0") + piece + value[off + len(piece) :]
    keys[db, key] = (value, *(old[1:] if old else (0, 0)))
    return len(value)


def run_strlen(keys, db, args, now):
    old = keys.get((db, args[0]))
    return len(old[0]) if old else 0


def run_getrange(keys, db, args, now):
    old = keys.get((db, args[0]))
    return old[0][int(args[1]) : int(args[2]) + 1] if old else b""


def parse_int(data):
    """As strictly as the server: no blanks, no sign but '-', no leading zeros, 64 bits."""
    try:
        number = int(data)
    except ValueError:
        return None
    return number if b"%d" % number == data and -LIMIT <= number < LIMIT else None


def run_incrby(keys, db, args, now):
    old = keys.get((db, args[0]), (b"0", 0, 0))
    number = parse_int(old[0])
    if number is None:
        return NOT_INTEGER
    number += int(args[1])
    keys[db, args[0]] = (b"%d" % number, *old[1:])
    return number


def run_incr(keys, db, args, now):
    return run_incrby(keys, db, (args[0], 1), now)


def run_decrby(keys, db, args, now):
    return run_incrby(keys, db, (args[0], -int(args[1])), now)


def run_incrbyfloat(keys, db, args, now):
    """Of quarters only, which are exact whatever the arithmetic."""
    old = keys.get((db, args[0]), (b"0", 0, 0))
    number = float(old[0]) + float(args[1])
    text = (b"%d" % number) if number == int(number) else repr(number).encode()
    keys[db, args[0]] = (text, *old[1:])
    return text


def run_del(keys, db, args, now):
    return sum(keys.pop((db, key), None) is not None for key in args)


def run_exists(keys, db, args, now):
    return sum((db, key) in keys for key in args)


def run_expire(word):
    def run(keys, db, args, now):
        key, conditions = args[0], args[2:]
        old = keys.get((db, key))
        refused = old and (("nx" in conditions and old[1]) or ("xx" in conditions and not old[1]))
        if not old or refused:
            return 0
        if int(args[1]) <= 0:
            del keys[db, key]
        else:
            keys[db, key] = (old[0], *moment(word, args[1], now))
        return 1

    return run


def run_persist(keys, db, args, now):
    old = keys.get((db, args[0]))
    if not old or not old[1]:
        return 0
    keys[db, args[0]] = (old[0], 0, 0)
    return 1


def run_pexpiretime(keys, db, args, now):
    old = keys.get((db, args[0]))
    if not old:
        return -2
    return between(old[1], old[2]) if old[1] else -1


def run_rename(keys, db, args, now):
    old = keys.pop((db, args[0]), None)
    if old is None:
        return NO_KEY
    keys[db, args[1]] = old
    return OK


def run_renamenx(keys, db, args, now):
    if (db, args[0]) not in keys:
        return NO_KEY
    if (db, args[1]) in keys:
        return 0
    keys[db, args[1]] = keys.pop((db, args[0]))
    return 1


def run_copy(keys, db, args, now):
    """COPY source destination [REPLACE] [DB number]"""
    options = list(args[2:])
    to = int(options[options.index("db") + 1]) if "db" in options else db
    old = keys.get((db, args[0]))
    if old is None or ((to, args[1]) in keys and "replace" not in options):
        return 0
    keys[to, args[1]] = old
    return 1


def run_mset(keys, db, args, now):
    for i in range(0, len(args), 2):
        keys[db, args[i]] = (args[i + 1], 0, 0)
    return OK


def run_msetnx(keys, db, args, now):
    if any((db, key) in keys for key in args[::2]):
        return 0
    run_mset(keys, db, args, now)
    return 1


def run_mget(keys, db, args, now):
    return [run_get(keys, db, (key,), now) for key in args]


def run_flushdb(keys, db, args, now):
    for name in [name for name in keys if name[0] == db]:
        del keys[name]
    return OK


def names_in(keys, db):
    return [name[1] for name in keys if name[0] == db]


def run_dbsize(keys, db, args, now):
    return len(names_in(keys, db))


def run_keys(keys, db, args, now):
    assert args[0] == b"*"
    return in_any_order(names_in(keys, db))


def run_randomkey(keys, db, args, now):
    return one_of(set(names_in(keys, db)) or {None})


def run_select(keys, db, args, now):
    return OK


COMMANDS = {
    name[4:]: run for name, run in list(globals().items()) if name.startswith("run_")
} | {word: run_expire(word) for word in ("expire", "pexpire", "expireat", "pexpireat")}
COMMANDS["unlink"] = run_del
COMMANDS["touch"] = run_exists


def execute(keys, db, args, now):
    """Runs one command on `keys`; gives the reply it must have. `now` is what the server's clock
    may say meanwhile, (lo, hi). Keys that others change as well are not modelled."""
    if len(args) > 1 and type(args[1]) is bytes and args[1].startswith(COMMON):
        if args[0] in ("incr", "mget"):
            return ANYTHING
    return COMMANDS[args[0]](keys, db, args[1:], now)


# ---- Units ---------------------------------------------------------------------------------------


GROWING = {
    "set", "setnx", "setex", "psetex", "getset", "append", "setrange", "incr", "incrby", "decrby",
    "incrbyfloat", "copy", "mset", "msetnx",
}  # by Redis's flag denyoom


class Unit:
    """What takes effect at once: one command, or MULTI ... EXEC. `steps` are (db, arguments)."""

    __slots__ = ("steps", "is_transaction", "sent_at", "end", "replies", "floor", "nth")

    def __init__(self, steps, is_transaction=False):
        self.steps = steps
        self.is_transaction = is_transaction
        self.sent_at = 0  # the server's clock, at the earliest
        self.end = 0  # position behind its last byte in what is sent on the connection
        self.replies = []
        self.floor = None  # what a reader of others' keys must see at least
        self.nth = 0

    def requests(self):
        if not self.is_transaction:
            return [self.steps[0][1]]
        db = self.steps[0][0]
        requests = [("multi",)]
        for step_db, args in self.steps:
            if step_db != db:
                requests.append(("select", step_db))
                db = step_db
            requests.append(args)
        if db != self.steps[0][0]:
            requests.append(("select", self.steps[0][0]))
        return [*requests, ("exec",)]

    def may_grow(self):
        return any(args[0] in GROWING for _, args in self.steps)

    def run(self, keys, now):
        """The replies that must come, one for each request."""
        if not self.is_transaction:
            return [execute(keys, *self.steps[0], now)]
        replies = []
        db = self.steps[0][0]
        for step_db, args in self.steps:
            if step_db != db:
                replies.append(OK)
                db = step_db
            replies.append(execute(keys, step_db, args, now))
        if db != self.steps[0][0]:
            replies.append(OK)
        return [OK, *[QUEUED] * len(replies), replies]

    def __repr__(self):
        def short(arg):
            text = repr(arg) if type(arg) is bytes else str(arg)
            return text if len(text) < 48 else f"{text[:40]}...[{len(arg)}]"

        text = "; ".join(
            f"{db}> " + " ".join(short(arg) for arg in args) for db, args in self.steps
        )
        return f"#{self.nth} MULTI {text} EXEC" if self.is_transaction else f"#{self.nth} {text}"
