# SPDX-License-Identifier: Apache-2.0
"""CONFIG: own values, another port, what is remembered."""

import contextlib
import socket

import pytest

from support.client import Client, Error


def settings(client):
    pairs = client("CONFIG", "GET", "*")
    return dict(zip(pairs[::2], pairs[1::2]))


@pytest.mark.ferric_only("Redis refuses what cannot be changed, even so")
def test_every_directive_takes_its_own_value(own_server):
    client = own_server.connect()
    before = settings(client)
    assert len(before) > 150
    for name, value in before.items():
        assert client("CONFIG", "SET", name, value) == "OK", name
    assert settings(client) == before


@pytest.mark.ferric_only("it has several threads, and a report of a race ends it")
def test_settings_change_while_others_look_at_them(start_server):
    server = start_server(io_threads=2, shard_threads=2, shards=3)
    clients = [server.connect() for _ in range(4)]
    rounds = [[("CONFIG", "SET", "maxmemory", n, "hot-cache-max-value-size", n),
               ("INFO", "everything"),
               ("MSET", *(word for i in range(8) for word in (f"k{i}", "v" * 100))),
               ("MEMORY", "STATS")] for n in range(1, 101)]
    for requests in rounds:
        for client, request in zip(clients, requests):
            client.send_command(*request)
        for client in clients:
            assert not isinstance(client.read_reply(), Error)


@pytest.fixture
def taken():
    """A port at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_another_port(own_server, taken):
    client = own_server.connect()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert client("CONFIG", "SET", "port", port) == "OK"
    assert client("CONFIG", "GET", "port") == [b"port", str(port).encode()]
    assert client("PING") == "PONG"
    with contextlib.closing(Client(port)) as there:
        assert there("PING") == "PONG"
    with pytest.raises(ConnectionError):
        Client(own_server.port).close()
    assert client("CONFIG", "SET", "port", own_server.port) == "OK"
    own_server.connect()


def test_a_taken_port_leaves_all_as_it_was(own_server, taken):
    client = own_server.connect()
    before = client("CONFIG", "GET", "maxmemory", "port", "timeout")
    error = client("CONFIG", "SET", "maxmemory", 10000001, "port", taken, "timeout", 7)
    assert isinstance(error, Error)
    assert error.startswith("ERR CONFIG SET failed (possibly related to argument 'port') - "
                            "Unable to listen on this port")
    assert client("CONFIG", "GET", "maxmemory", "port", "timeout") == before
    assert own_server.connect()("PING") == "PONG"


def test_another_port_within_a_transaction(own_server, taken):
    client = own_server.connect()
    client("MULTI")
    client("SET", "k", "v")
    client("CONFIG", "SET", "port", taken)
    client("GET", "k")
    done, refused, value = client("EXEC")
    assert (done, value) == ("OK", b"v")
    assert "Unable to listen on this port" in refused
