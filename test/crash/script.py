# SPDX-License-Identifier: Apache-2.0
"""What a client of the load does: an endless script of units, drawn from a seed."""

import random

from model import Unit

STRINGS, NUMBERS, FLOATS, ACCOUNTS, MORTALS, OWN = 24, 6, 2, 4, 8, 10
SHARED = 4
PAIR = 3
MAX_VALUE = 100 * 1024
MAX_STRING = 160 * 1024
PADDING = random.Random(1).randbytes(1 << 20)
FAR_MS = 100_000_000

# (weight, lowest size, highest size)
SIZES = {
    "small": [(4, 0, 0), (30, 1, 20), (30, 20, 300), (6, 500, 520), (6, 4000, 4200), (1, 0, 20000)],
    "mixed": [(4, 0, 0), (20, 1, 20), (30, 20, 300), (10, 500, 8192), (4, 60000, 70000),
              (3, 0, MAX_VALUE)],
    "large": [(4, 0, 0), (10, 20, 300), (20, 4000, 4200), (20, 8000, 40000),
              (20, 40000, MAX_VALUE)],
}


def universe(client):
    """Every key that the client's script may ever name, as (db, key)."""
    db = own_db(client)
    keys = [(0, string_key(client, i)) for i in range(STRINGS)]
    keys += [(0, b"c%d:n%d" % (client, i)) for i in range(NUMBERS)]
    keys += [(0, b"c%d:d%d" % (client, i)) for i in range(FLOATS)]
    keys += [(0, account_key(client, i)) for i in range(ACCOUNTS)]
    keys += [(0, part_key(client, i)) for i in range(SHARED)]
    keys += [(0, pair_key(client, i)) for i in range(PAIR)]
    return keys + [(db, own_key(i)) for i in range(OWN)]


def mortal_keys(client):
    return [(0, b"c%d:m%d" % (client, i)) for i in range(MORTALS)]


def own_db(client):
    return client + 1


def string_key(client, i):
    """Every third lies in the client's own slot, the others anywhere."""
    return (b"{c%d}s%d" if i % 3 == 0 else b"c%d:s%d") % (client, i)


def account_key(client, i):
    return b"c%d:a%d" % (client, i)


def own_key(i):
    return b"f%d" % i


def pair_key(client, i):
    return b"pair:%d:%d" % (client, i)


def shared_key(i):
    """Raised by everybody as they like."""
    return b"shared:%d" % i


def joint_key(i):
    """Raised by everybody, and with it, in one transaction, the client's part_key()."""
    return b"joint:%d" % i


def part_key(client, i):
    return b"c%d:part%d" % (client, i)


class Script:
    def __init__(self, client, clients):
        self.client = client
        self.clients = clients
        self.nth = 0
        self.rng = None
        self.now_ms = None  # gives the server's clock, roughly
        self.kinds = [
            (14, self.set_string),
            (4, self.set_with_expiry),
            (3, self.set_with_condition),
            (6, self.append),
            (5, self.set_range),
            (4, self.delete),
            (3, self.get_and_delete),
            (3, self.get_and_set),
            (4, self.far_expiry),
            (3, self.persist),
            (6, self.rename),
            (2, self.copy),
            (5, self.mset),
            (2, self.msetnx),
            (9, self.increment),
            (2, self.increment_float),
            (5, self.transfer),
            (3, self.transaction),
            (5, self.raise_shared),
            (4, self.raise_joint),
            (4, self.write_pair),
            (4, self.read_pair),
            (10, self.read),
            (12, self.mortal),
            (5, self.own_database),
        ]
        self.begin(random.Random(0), "mixed")

    def begin(self, rng, sizes):
        """For a round."""
        self.rng = rng
        self.sizes = SIZES[sizes]
        self.size_weights = [row[0] for row in self.sizes]
        self.weights = [weight for weight, _ in self.kinds]
        self.makers = [make for _, make in self.kinds]

    def units(self, count):
        units = []
        while len(units) < count:
            for unit in self.rng.choices(self.makers, self.weights)[0]():
                self.nth += 1
                unit.nth = self.nth
                units.append(unit)
        return units

    # ---- Drawing

    def value(self, limit=MAX_VALUE):
        _, lo, hi = self.rng.choices(self.sizes, self.size_weights)[0]
        size = min(self.rng.randint(lo, hi), limit)
        tag = b"%d.%d." % (self.client, self.nth)
        off = self.rng.randrange(len(PADDING) - MAX_VALUE)
        return tag[:size] + PADDING[off : off + max(0, size - len(tag))]

    def string(self):
        return string_key(self.client, self.rng.randrange(STRINGS))

    def number(self):
        return b"c%d:n%d" % (self.client, self.rng.randrange(NUMBERS))

    def strings(self, lo, hi):
        count = self.rng.randint(lo, hi)
        return [string_key(self.client, i) for i in self.rng.sample(range(STRINGS), count)]

    def one(self, *args, db=0):
        return [Unit([(db, args)])]

    def far(self):
        """Words for an expiry that this test will not live to see."""
        rng = self.rng
        word = rng.choice(["ex", "px", "exat", "pxat"])
        ms = FAR_MS + rng.randrange(FAR_MS)
        if word.endswith("at"):
            ms += self.now_ms()
        return word, ms // 1000 if word.startswith("ex") else ms

    # ---- Strings

    def set_string(self):
        return self.one("set", self.string(), self.value())

    def set_with_expiry(self):
        word, number = self.far()
        if word in ("ex", "px") and self.rng.random() < 0.3:
            name = "setex" if word == "ex" else "psetex"
            return self.one(name, self.string(), number, self.value())
        return self.one("set", self.string(), self.value(), word, number)

    def set_with_condition(self):
        options = self.rng.choice([["nx"], ["xx"], ["keepttl"], ["get"], ["xx", "keepttl", "get"]])
        if self.rng.random() < 0.3:
            return self.one("setnx", self.string(), self.value())
        return self.one("set", self.string(), self.value(), *options)

    def append(self):
        key = self.string()
        if self.rng.random() < 0.15:  # or they would only grow
            return self.one("set", key, self.value(200))
        return self.one("append", key, self.value(8192))

    def set_range(self):
        off = self.rng.choice([0, 1, self.rng.randrange(300), self.rng.randrange(60000)])
        return self.one("setrange", self.string(), off, self.value(4096))

    def delete(self):
        return self.one(self.rng.choice(["del", "unlink"]), *self.strings(1, 4))

    def get_and_delete(self):
        return self.one("getdel", self.string())

    def get_and_set(self):
        if self.rng.random() < 0.5:
            return self.one("getset", self.string(), self.value())
        return self.one("getex", self.string(), *self.rng.choice([("persist",), self.far()]))

    def far_expiry(self):
        word, number = self.far()
        name = {"ex": "expire", "px": "pexpire", "exat": "expireat", "pxat": "pexpireat"}[word]
        if self.rng.random() < 0.1:
            number = -1  # deletes the key
        return self.one(name, self.string(), number, *self.rng.choice([[], [], ["nx"], ["xx"]]))

    def persist(self):
        return self.one("persist", self.string())

    def rename(self):
        name = self.rng.choice(["rename", "rename", "renamenx"])
        return self.one(name, self.string(), self.string())

    def copy(self):
        options = self.rng.choice([[], ["replace"]])
        source, target = self.strings(2, 2)
        if self.rng.random() < 0.3:
            target = own_key(self.rng.randrange(OWN))
            options = options + ["db", own_db(self.client)]
        return self.one("copy", source, target, *options)

    def pairs_of(self, keys, limit):
        return [word for key in keys for word in (key, self.value(limit))]

    def mset(self):
        return self.one("mset", *self.pairs_of(self.strings(2, 8), 30000))

    def msetnx(self):
        return self.one("msetnx", *self.pairs_of(self.strings(1, 3), 1000))

    # ---- Numbers

    def increment(self):
        key = self.number() if self.rng.random() < 0.95 else self.string()
        name = self.rng.choice(["incr", "incrby", "decrby"])
        return self.one(name, key, *([] if name == "incr" else [self.rng.randrange(-99, 99)]))

    def increment_float(self):
        key = b"c%d:d%d" % (self.client, self.rng.randrange(FLOATS))
        return self.one("incrbyfloat", key, self.rng.choice(["0.5", "-0.25", "1.75", "2"]))

    def transfer(self):
        """Between accounts, whose sum is always 0."""
        one, other = self.rng.sample(range(ACCOUNTS), 2)
        amount = self.rng.randrange(1000)
        steps = [
            (0, ("decrby", account_key(self.client, one), amount)),
            (0, ("incrby", account_key(self.client, other), amount)),
        ]
        return [Unit(steps, is_transaction=True)]

    def transaction(self):
        db = own_db(self.client)
        steps = []
        for _ in range(self.rng.randint(2, 6)):
            maker = self.rng.choice(
                [self.append, self.rename, self.increment, self.delete, self.far_expiry, self.read]
            )
            steps += maker()[0].steps
        if self.rng.random() < 0.3:
            steps.append((0, ("set", self.string(), self.value(30000))))
        if self.rng.random() < 0.3:
            steps.append((db, ("set", own_key(0), self.value(200))))
        if self.rng.random() < 0.1:
            steps.append((db, ("flushdb",)))
        return [Unit(steps, is_transaction=True)]

    def raise_shared(self):
        return self.one("incr", shared_key(self.rng.randrange(SHARED)))

    def raise_joint(self):
        i = self.rng.randrange(SHARED)
        steps = [(0, ("incr", joint_key(i))), (0, ("incr", part_key(self.client, i)))]
        self.rng.shuffle(steps)
        return [Unit(steps, is_transaction=True)]

    # ---- What others look at meanwhile

    def write_pair(self):
        """The same value, with its number, under keys in several shards."""
        value = b"%d." % (self.nth + 1) + PADDING[: self.rng.choice([5, 50, 700, 5000])]
        keys = [pair_key(self.client, i) for i in range(PAIR)]
        if self.rng.random() < 0.5:
            return self.one("mset", *[word for key in keys for word in (key, value)])
        return [Unit([(0, ("set", key, value)) for key in keys], is_transaction=True)]

    def read_pair(self):
        other = self.rng.randrange(self.clients)
        return self.one("mget", *[pair_key(other, i) for i in range(PAIR)])

    # ---- Reads

    def read(self):
        name = self.rng.choice(["get", "get", "mget", "exists", "strlen", "getrange",
                                "pexpiretime"])
        if name in ("mget", "exists"):
            return self.one(name, *self.strings(1, 6))
        if name == "getrange":
            return self.one(name, self.string(), self.rng.randrange(50), self.rng.randrange(5000))
        return self.one(name, self.string())

    # ---- Keys that expire while we look

    def mortal(self):
        """Any one command whose reply tells whether the key was still there."""
        rng = self.rng
        key = b"c%d:m%d" % (self.client, rng.randrange(MORTALS))
        ms = int(rng.expovariate(1 / 600.0)) + 1
        at = self.now_ms() + ms
        value = self.value(300) + b"."
        choices = [
            ("set", key, value, "px", ms),
            ("set", key, value, "pxat", at),
            ("set", key, value, "ex", rng.randint(1, 2)),
            ("set", key, value),
            ("psetex", key, ms, value),
            ("get", key),
            ("get", key),
            ("append", key, b"+"),
            ("pexpire", key, ms),
            ("pexpireat", key, at),
            ("persist", key),
            ("getdel", key),
            ("getex", key, "px", ms),
            ("del", key),
        ]
        return self.one(*rng.choice(choices))

    # ---- A database of one's own

    def own_database(self):
        rng = self.rng
        db = own_db(self.client)
        units = self.one("select", db)
        for _ in range(rng.randint(1, 8)):
            key = own_key(rng.randrange(OWN))
            choices = [
                ("set", key, self.value(20000)),
                ("set", key, self.value(300), *self.far()),
                ("append", key, self.value(300)),
                ("del", key),
                ("rename", key, own_key(rng.randrange(OWN))),
                ("persist", key),
                ("dbsize",),
                ("keys", b"*"),
                ("randomkey",),
                ("get", key),
                ("flushdb", *rng.choice([[], ["async"], ["sync"]])),
            ]
            units += self.one(*rng.choices(choices, [9, 3, 4, 2, 3, 1, 2, 1, 1, 3, 1])[0], db=db)
        return units + self.one("select", 0)
