# SPDX-License-Identifier: Apache-2.0
"""SLOWLOG: what it keeps of a command."""

import pytest


@pytest.fixture
def client(own_server):
    client = own_server.connect()
    client("CONFIG", "SET", "slowlog-log-slower-than", 0)
    client("SLOWLOG", "RESET")
    return client


def commands(client):
    """Oldest first, without the SLOWLOG RESET that began it."""
    return [entry[3] for entry in reversed(client("SLOWLOG", "GET", -1))][1:]


def test_an_entry_is_complete(own_server, client):
    client("CLIENT", "SETNAME", "me")
    client("SET", "k", "v")
    first, second = reversed(client("SLOWLOG", "GET", 2))
    assert second[0] == first[0] + 1
    assert second[1] >= first[1] > 1600000000
    assert second[2] >= 0
    assert second[3] == [b"SET", b"k", b"v"]
    host, port = client.socket.getsockname()
    assert second[4] == f"{host}:{port}".encode()
    assert second[5] == b"me"


def test_numbers_go_on_after_reset(client):
    last = client("SLOWLOG", "GET", 1)[0][0]
    client("SLOWLOG", "RESET")
    assert client("SLOWLOG", "GET", 1)[0][0] > last


def test_many_and_long_arguments_are_cut(client):
    client("MGET", *range(40))
    client("SET", "k", "A" * 129)
    many, long = commands(client)
    assert many == [b"MGET"] + [b"%d" % i for i in range(30)] + [b"... (10 more arguments)"]
    assert long == [b"SET", b"k", b"A" * 128 + b"... (1 more bytes)"]


def test_secrets_are_left_out(client):
    client("CONFIG", "SET", "requirepass", "secret")
    client("AUTH", "secret")
    client("AUTH", "default", "secret")
    client("HELLO", 2, "AUTH", "default", "secret")
    kept = commands(client)
    assert [b"CONFIG", b"SET", b"requirepass", b"(redacted)"] in kept
    assert [b"AUTH", b"(redacted)"] in kept
    assert [b"AUTH", b"(redacted)", b"(redacted)"] in kept
    assert [b"HELLO", b"2", b"AUTH", b"(redacted)", b"(redacted)"] in kept
    client("CONFIG", "SET", "requirepass", "")


def test_of_a_transaction_its_commands_are_kept(client):
    client("MULTI")
    client("SET", "k", "v")
    client("GET", "k")
    client("EXEC")
    kept = commands(client)
    assert [[word.lower() for word in command] for command in kept] == [
        [b"multi"],
        [b"set", b"k", b"v"],
        [b"get", b"k"],
    ]


def test_a_command_keeps_its_arguments_in_a_pipeline(client):
    client.pipeline(*[("INCR", f"n{i}") for i in range(20)])
    # Of several shards each keeps its own order.
    assert sorted(commands(client)) == sorted([b"INCR", b"n%d" % i] for i in range(20))
