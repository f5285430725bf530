# SPDX-License-Identifier: Apache-2.0
"""Commands of strings, bits and HyperLogLogs: weights, and functions of a Draw and the time."""


def expiry(draw, now, may_be_past=True):
    name = draw.choice([b"EX", b"PX", b"EXAT", b"PXAT"])
    scale = 1000 if name[:1] == b"P" else 1
    if name.endswith(b"AT"):
        return [name, b"%d" % (draw.when(now, may_be_past) * scale)]
    return [name, draw.span(scale)]


def set_(draw, now):
    options = draw.some([draw.choice([b"NX", b"XX", b"nx"])], [b"GET"],
                        draw.choice([expiry(draw, now, may_be_past=False), [b"KEEPTTL"]]))
    return [b"SET", draw.key(), draw.value(), *options]


def getex(draw, now):
    return [b"GETEX", draw.key(), *draw.some(expiry(draw, now), [b"PERSIST"])]


def setrange(draw, _):
    at = draw.small(-2, 60) if draw.randrange(10) else b"%d" % draw.choice([0, 1000, 536870912, -1])
    return [b"SETRANGE", draw.key(), at, draw.value()[:1000]]


def mset(name):
    def command(draw, _):
        return [name, *(word for key in draw.keys() for word in (key, draw.value()))]
    return command


def lcs(draw, _):
    options = draw.some([b"LEN"], [b"IDX"], [b"MINMATCHLEN", draw.small(-1, 5)], [b"WITHMATCHLEN"])
    return [b"LCS", draw.key(), draw.key(), *options]


def bit_offset(draw):
    if draw.randrange(30):
        return draw.small(0, 300)
    return b"%d" % draw.choice([-1, 1 << 20, 4294967296, 1 << 40])


def bit_range(draw, unit=True):
    bounds = [draw.small(-40, 40) for _ in range(draw.randint(1, 2))]
    if unit and len(bounds) == 2 and draw.chance(2):
        bounds.append(draw.choice([b"BIT", b"BYTE", b"bit", b"byte", b"x"]))
    return bounds


def bitcount(draw, _):
    return [b"BITCOUNT", draw.key(), *(bit_range(draw) if draw.chance(2) else [])]


def bitpos(draw, _):
    return [b"BITPOS", draw.key(), draw.choice([b"0", b"1", b"1", b"2"]),
            *(bit_range(draw) if draw.chance(2) else [])]


def bitop(draw, _):
    name = draw.choice([b"AND", b"OR", b"XOR", b"NOT", b"and", b"nor"])
    return [b"BITOP", name, draw.key(), *draw.keys(1 if name == b"NOT" else 4)]


def bitfield_parts(draw, read_only):
    kind = b"%c%d" % (draw.choice(b"ui"), draw.choice([1, 2, 4, 5, 8, 16, 31, 32, 63, 64, 65]))
    at = draw.choice([b"", b"#"]) + draw.small(0, 40)
    if read_only:
        return [b"GET", kind, at]
    return draw.choice([
        [b"GET", kind, at],
        [b"SET", kind, at, draw.integer()],
        [b"INCRBY", kind, at, draw.integer()],
        [b"OVERFLOW", draw.choice([b"WRAP", b"SAT", b"FAIL", b"fail"])],
    ])


def bitfield(name, read_only):
    def command(draw, _):
        parts = [bitfield_parts(draw, read_only) for _ in range(draw.randint(0, 4))]
        return [name, draw.key(), *(word for part in parts for word in part)]
    return command


def pfadd(draw, _):
    elements = [b"e%d" % draw.randrange(3000) for _ in range(draw.choice([0, 1, 3, 40]))]
    return [b"PFADD", draw.sketch_key(), *elements]


def sketches(draw):
    """One in ten is no sketch at all."""
    count = draw.randint(1, 3)
    return [draw.sketch_key() if draw.randrange(10) else draw.key() for _ in range(count)]


def simple(name, *parts):
    """A command whose arguments are methods of Draw, by name."""
    def command(draw, _):
        return [name, *(getattr(draw, part)() for part in parts)]
    return command


STRINGS = [
    (60, set_), (60, simple(b"GET", "key")), (10, getex), (8, simple(b"GETSET", "key", "value")),
    (8, simple(b"GETDEL", "key")), (8, simple(b"SETNX", "key", "value")),
    (6, lambda d, n: [b"SETEX", d.key(), d.span(), d.value()]),
    (6, lambda d, n: [b"PSETEX", d.key(), d.span(1000), d.value()]),
    (12, lambda d, n: [b"MGET", *d.keys()]), (12, mset(b"MSET")), (8, mset(b"MSETNX")),
    (14, simple(b"INCR", "key")), (8, simple(b"DECR", "key")),
    (14, simple(b"INCRBY", "key", "integer")), (8, simple(b"DECRBY", "key", "integer")),
    (14, simple(b"APPEND", "key", "value")),
    (8, simple(b"STRLEN", "key")), (12, setrange),
    (10, lambda d, n: [b"GETRANGE", d.key(), d.small(-40, 40), d.small(-40, 40)]),
    (4, lambda d, n: [b"SUBSTR", d.key(), d.small(-40, 40), d.small(-40, 40)]), (10, lcs),
]

FLOATS = [
    (20, simple(b"INCRBYFLOAT", "float_key", "number")), (6, simple(b"SET", "float_key", "number")),
    (4, simple(b"GET", "float_key")), (2, simple(b"DEL", "float_key")),
    (2, simple(b"INCR", "float_key")),
]

BITS = [
    (16, lambda d, n: [b"SETBIT", d.key(), bit_offset(d), d.choice([b"0", b"1", b"1", b"2"])]),
    (10, lambda d, n: [b"GETBIT", d.key(), bit_offset(d)]), (12, bitcount), (12, bitpos),
    (12, bitop), (16, bitfield(b"BITFIELD", False)), (6, bitfield(b"BITFIELD_RO", True)),
]

HYPERLOGLOGS = [
    (14, pfadd), (2, simple(b"GET", "sketch_key")), (1, simple(b"DEL", "sketch_key")),
    (1, simple(b"PEXPIRETIME", "sketch_key")), (10, lambda d, n: [b"PFCOUNT", *sketches(d)]),
    (8, lambda d, n: [b"PFMERGE", d.sketch_key(), *sketches(d)]),
]
