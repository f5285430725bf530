# SPDX-License-Identifier: Apache-2.0
"""DUMP and RESTORE there and back, and what RESTORE takes from others."""

import pytest

from support.client import Error

VALUES = [
    b"",
    b"bar",
    b"0",
    b"-1",
    b"127",
    b"-128",
    b"32767",
    b"65536",
    b"2147483647",
    b"-2147483648",
    b"2147483648",
    b"007",
    b"-0",
    bytes(range(256)),
    b"a" * 63,
    b"a" * 64,
    b"ab" * 8191,
    b"ab" * 8192,
    b"x" * 100000,
]

# As a Redis 7.0 has dumped them: integers of one, two and four bytes, compressed ones, a plain one.
OTHERS = {
    b"7": "00c0070a0074cd48a283abce92",
    b"-5": "00c0fb0a0049c4c6f4d7263f68",
    b"300": "00c12c010a00954261f265825c10",
    b"100000": "00c2a08601000a00f12403506f2fa674",
    b"-2147483648": "00c2000000800a00c74f873e33558187",
    b"12345678901": "000b31323334353637383930310a00304e52d727176510",
    b"a" * 200: "00c30940c8016161e0bb000161610a001f99f72e01b20de3",
    b"abcabcabd" * 50: "00c31a41c20361626361400200646005200be0ff08210a2002"
    "e1980d0162640a003cedf6fe8907498b",
}


@pytest.mark.parametrize("value", OTHERS, ids=lambda v: f"{v[:12]!r} of {len(v)}")
def test_what_redis_has_dumped(client, value):
    assert client("RESTORE", "k", 0, bytes.fromhex(OTHERS[value])) == "OK"
    assert client("GET", "k") == value


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{v[:12]!r} of {len(v)}")
def test_there_and_back(client, value):
    client("SET", "k", value)
    payload = client("DUMP", "k")
    assert client("RESTORE", "copy", 0, payload) == "OK"
    assert client("GET", "copy") == value
    assert client("DUMP", "copy") == payload


def test_each_byte_is_checked(client):
    client("SET", "k", "some value")
    payload = client("DUMP", "k")
    for at in range(len(payload)):
        damaged = bytearray(payload)
        damaged[at] ^= 1
        reply = client("RESTORE", "copy", 0, bytes(damaged))
        assert reply == Error("ERR DUMP payload version or checksum are wrong"), at
    for end in range(len(payload)):
        assert type(client("RESTORE", "copy", 0, payload[:end])) is Error, end
    assert client("EXISTS", "copy") == 0


@pytest.mark.ferric_only("the others are Redis's own")
def test_what_it_restores_is_durable(own_server):
    client = own_server.connect()
    client("SET", "k", "value")
    payload = client("DUMP", "k")
    client("RESTORE", "new", 0, payload)
    client("RESTORE", "until", 4102444800123, payload, "ABSTTL")
    own_server.crash_and_restart()
    client = own_server.connect()
    assert client("GET", "new") == b"value"
    assert client("DUMP", "new") == payload
    assert client("PEXPIRETIME", "until") == 4102444800123
