# SPDX-License-Identifier: Apache-2.0
"""Commands that are too large."""

import pytest

from support.client import Error, encode

MB = 1 << 20


@pytest.fixture
def limited(start_server):
    return start_server(client_query_buffer_limit="2mb")


@pytest.mark.ferric_only("Redis has no limit for one entry of its log")
def test_a_value_larger_than_an_entry(client):
    reply = client("SET", "k", b"x" * (40 * MB))
    assert isinstance(reply, Error)
    assert "larger than max-entry-bytes (33554432): send smaller ones" in reply
    assert client("EXISTS", "k") == 0
    assert client("SET", "k", "v") == "OK"
    assert client("GET", "k") == b"v"


@pytest.mark.ferric_only("Redis has no limit for one entry of its log")
def test_many_values_larger_than_an_entry(client):
    pairs = [x for i in range(400) for x in (f"k{i}", b"x" * 100000)]
    assert "larger than max-entry-bytes" in client("MSET", *pairs)
    assert client("DBSIZE") == 0
    for i in range(0, len(pairs), 100):
        assert client("MSET", *pairs[i : i + 100]) == "OK"
    assert client("DBSIZE") == 400


@pytest.mark.ferric_only("Redis has no limit for one entry of its log")
def test_a_transaction_larger_than_an_entry(client):
    client("MULTI")
    replies = [client("SET", f"k{i}", b"x" * (10 * MB)) for i in range(4)]
    assert replies[:3] == ["QUEUED"] * 3
    assert "larger than max-entry-bytes" in replies[3]
    assert client("EXEC").startswith("EXECABORT")
    assert client("DBSIZE") == 0


def test_large_values_one_after_the_other(client):
    value = b"x" * (30 * MB)
    for i in range(4):
        assert client("SET", f"k{i}", value) == "OK"
    for i in range(4):
        assert client("STRLEN", f"k{i}") == len(value)
    assert client("GET", "k3") == value


@pytest.mark.ferric_only("Redis has no limit for keys")
def test_a_key_that_is_too_long(client):
    longest = b"k" * 65535
    assert client("SET", longest, "v") == "OK"
    assert client("GET", longest) == b"v"
    assert isinstance(client("SET", longest + b"k", "v"), Error)
    assert client("GET", longest + b"k") is None
    assert client("WATCH", longest + b"k") == Error("ERR a key is longer than 65535 bytes")
    assert client("DBSIZE") == 1


def test_an_argument_larger_than_the_bulk_limit(start_server):
    server = start_server(proto_max_bulk_len="1mb")
    client = server.connect()
    assert client("SET", "k", b"x" * MB) == "OK"
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n")
    assert client.read_until_closed() == b"-ERR Protocol error: invalid bulk length\r\n"
    assert server.connect()("STRLEN", "k") == MB


@pytest.mark.ferric_only("Redis takes whole arguments out of its query buffer")
def test_an_unfinished_command_larger_than_the_query_buffer(limited):
    client = limited.connect()
    pairs = [x for i in range(30) for x in (f"k{i}", b"x" * 100000)]
    try:
        client.send(encode("MSET", *pairs))
        client.read_until_closed()
    except OSError:
        pass
    other = limited.connect()
    assert other("DBSIZE") == 0
    assert limited.info()["client_query_buffer_limit_disconnections"] == "1"


@pytest.mark.ferric_only("Redis words it in its own way")
def test_what_the_log_says_of_it(limited):
    client = limited.connect()
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n")
    assert client.is_closed()
    assert "client-query-buffer-limit" in limited.log()
