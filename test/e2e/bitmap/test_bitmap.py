# SPDX-License-Identifier: Apache-2.0
"""Bitmaps against Python's integers, behind one another and alone, and after a restart."""

import functools
import operator
import random

import pytest

SEED = 20240607
OPS = {"AND": operator.and_, "OR": operator.or_, "XOR": operator.xor}


def bit_of(text, index):
    return text[index // 8] >> (7 - index % 8) & 1 if index // 8 < len(text) else 0


def with_bit(text, index, bit):
    out = bytearray(text.ljust(index // 8 + 1, b"\0"))
    mask = 0x80 >> index % 8
    out[index // 8] = out[index // 8] | mask if bit else out[index // 8] & ~mask
    return bytes(out)


def combined(op, texts):
    size = max(map(len, texts))
    numbers = [int.from_bytes(text.ljust(size, b"\0"), "big") for text in texts]
    return functools.reduce(OPS[op], numbers).to_bytes(size, "big")


def random_commands(count):
    """Requests, what is to be answered, and the strings at the end."""
    chance = random.Random(SEED)
    keys = {f"k{i}": b"" for i in range(6)}
    requests, replies = [], []
    for _ in range(count):
        key = chance.choice(list(keys))
        index = chance.randrange(2000)
        kind = chance.randrange(4)
        if kind == 0:
            bit = chance.randrange(2)
            requests.append(("SETBIT", key, index, bit))
            replies.append(bit_of(keys[key], index))
            keys[key] = with_bit(keys[key], index, bit)
        elif kind == 1:
            requests.append(("GETBIT", key, index))
            replies.append(bit_of(keys[key], index))
        elif kind == 2:
            requests.append(("BITCOUNT", key))
            replies.append(sum(byte.bit_count() for byte in keys[key]))
        else:
            op = chance.choice(list(OPS))
            sources = [chance.choice(list(keys)) for _ in range(chance.randrange(1, 4))]
            requests.append(("BITOP", op, key, *sources))
            keys[key] = combined(op, [keys[source] for source in sources])
            replies.append(len(keys[key]))
    return requests, replies, keys


@pytest.mark.parametrize("is_pipelined", [True, False])
def test_random_bits(client, is_pipelined):
    requests, replies, keys = random_commands(3000 if is_pipelined else 300)
    if is_pipelined:
        assert client.pipeline(*requests) == replies
    else:
        assert [client(*request) for request in requests] == replies
    assert client("MGET", *keys) == [text or None for text in keys.values()]


@pytest.mark.parametrize("how", ["restart", "crash_and_restart"])
def test_bitmaps_survive(own_server, how):
    client = own_server.connect()
    requests, replies, keys = random_commands(500)
    assert client.pipeline(*requests) == replies
    client.pipeline("BITFIELD fields SET u4 2 9 INCRBY i16 #1 -2 OVERFLOW SAT INCRBY u2 0 7")
    fields = client("GET", "fields")
    getattr(own_server, how)()
    client = own_server.connect()
    assert client("MGET", *keys) == [text or None for text in keys.values()]
    assert client("GET", "fields") == fields
    assert client("BITFIELD_RO", "fields", "GET", "u2", "0", "GET", "i16", "#1") == [3, -2]


def test_a_far_bit_makes_a_long_string(client):
    assert client("SETBIT", "k", 8 * 3000000, 1) == 0
    assert client("STRLEN", "k") == 3000001
    assert client("BITPOS", "k", 1) == 24000000
    assert client("BITOP", "NOT", "d", "k") == 3000001
    assert client("BITCOUNT", "d") == 24000007
