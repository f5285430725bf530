# SPDX-License-Identifier: Apache-2.0
"""What arguments are drawn from: few keys, so that commands meet, and the values at every edge."""

import random

KEYS = [b"k%d" % n for n in range(14)]
KEYS += [b"", b"key with space", b"{tag}a", b"{tag}b", b"\x00\xff\r\n"]
HOUR = 3600

INTEGERS = [
    0, 1, -1, 2, 7, 8, 10, 63, 64, 100, 255, 256, -128, 65535, 1 << 31, -(1 << 31), (1 << 32) - 1,
    (1 << 53) + 1, (1 << 63) - 1, (1 << 63) - 2, -(1 << 63), -(1 << 63) + 1,
]
TEXTS = [
    b"", b"a", b"abc", b"hello world", b"foo", b"10", b"-5", b"3.14", b"5.0e3", b"-inf", b"nan",
    b" 1", b"1 ", b"+1", b"01", b"-0", b"0x10", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775809", b"1.7976931348623157e308", b"\x00\x01\x02",
    b"line\r\nline", bytes(range(256)), b"x" * 44, b"x" * 45, b"ohmytext", b"mynewtext",
]
# Where a number, a word or a time is asked for.
ODD = [
    b"", b" ", b"a", b"1a", b"1.5", b"-1", b"0", b"+1", b" 1", b"1 ", b"01", b"-0", b"0x1", b"1e3",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"4294967296",
    b"18446744073709551616", b"99999999999999999999999", b"nan", b"inf", b"NX", b"XX", b"GET",
    b"\x00", b"*", b"y" * 300,
]
# Sums of these are exact in binary and in decimal: Redis adds in one, Ferric in the other.
NUMBERS = b"0.5 -0.125 3.375 1e3 -25e2 5.0e3 +1.5 .5 5. -0 0.0".split()
NO_NUMBERS = [b"", b" 1", b"1 ", b"1\x00", *b"1.5.2 e3 --1 nan inf -inf 1e a".split()]
FLOAT_KEYS = [b"f0", b"f1", b"f2"]
SKETCH_KEYS = [b"h0", b"h1", b"h2", b"h3"]
PATTERNS = [
    b"*", b"k*", b"k?", b"k1?", b"k[0-5]", b"k[^1]", b"?", b"", b"{tag}*", b"*e*", b"[", b"k\\1",
    b"k[a-", b"*\\", b"**1", b"k[5-0]",
]


class Draw(random.Random):
    """A seeded source of arguments, all of them bytes."""

    def chance(self, one_in):
        return self.randrange(one_in) == 0

    def key(self):
        return self.choice(KEYS)

    def keys(self, most=4):
        return [self.key() for _ in range(self.randint(1, most))]

    def integer(self):
        if self.chance(2):
            return b"%d" % self.randint(-20, 20)
        if self.chance(2):
            return b"%d" % self.choice(INTEGERS)
        return b"%d" % self.randint(-(10**12), 10**12)

    def small(self, low=-3, high=30):
        return b"%d" % self.randint(low, high)

    def number(self):
        form = self.randrange(8)
        if form == 0:
            return self.choice(NO_NUMBERS)
        if form < 3:
            return self.choice(NUMBERS)
        if form < 6:
            return b"%d" % self.randint(-1000, 1000)
        return b"%.3f" % (self.randint(-8000, 8000) / 8)

    def float_key(self):
        """Apart from the others: what INCRBYFLOAT meets there is one of the numbers above."""
        return self.choice(FLOAT_KEYS)

    def sketch_key(self):
        """Apart as well: Valkey and Redis disagree about HyperLogLogs that were tampered with."""
        return self.choice(SKETCH_KEYS)

    def value(self):
        form = self.randrange(20)
        if form < 6:
            return self.integer()
        if form < 13:
            return self.choice(TEXTS)
        if form < 17:
            return self.randbytes(self.randint(0, 40))
        if form < 19:
            return self.choice(b"abcd01").to_bytes(1, "big") * self.randint(30, 200)
        return self.randbytes(self.randint(1000, 20000))

    def when(self, now):
        """Past or far, in seconds, and no two alike: the servers' clocks must not matter."""
        if self.chance(4):
            return now - self.randint(1, HOUR)
        return now + self.randint(HOUR, 10_000 * HOUR)

    def span(self, scale=1):
        """A time from now: none, negative or many hours."""
        if self.chance(5):
            return self.choice([b"0", b"-1", b"-1000", b"9223372036854775807", b"9223372036854776"])
        return b"%d" % (self.randint(HOUR, 10_000 * HOUR) * scale)

    def pattern(self):
        return self.choice(PATTERNS)

    def some(self, *options):
        """Each of the options, words apart, with chance one in three, in any order."""
        taken = [option for option in options if self.chance(3)]
        self.shuffle(taken)
        return [word for option in taken for word in option]

    def case(self, word):
        """A name as no client writes it, now and then."""
        return word if self.randrange(10) else bytes(self.choice([c, c ^ 32]) for c in word)

    def spoilt(self, argv):
        """An argument less, more or odd: how the commands refuse is compared, too."""
        argv = list(argv)
        form = self.randrange(4)
        if form == 0 and len(argv) > 1:
            del argv[self.randrange(1, len(argv))]
        elif form == 1:
            argv.insert(self.randint(1, len(argv)), self.choice(ODD))
        elif form == 2:
            argv.append(self.choice(ODD + argv[1:2]))
        elif len(argv) > 1:
            argv[self.randrange(1, len(argv))] = self.choice(ODD)
        return argv
