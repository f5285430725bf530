# SPDX-License-Identifier: Apache-2.0
"""Very many connections: idle ones, ones that come and go, and more than are allowed."""

import os
import pathlib
import resource
import threading
import time

import pytest

from support.client import Client, Closed, Error, wait_until
from support.server import Server

IDLE = 10000
IDLE_BYTES = 8192
MAX_REACHED = Error("ERR max number of clients reached")


@pytest.fixture
def many_files():
    """This process may have as many descriptors as its hard limit says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


# ---- Idle


@pytest.mark.ferric_only("Redis keeps more for each")
def test_idle_connections_are_small(many_files, start_server):
    if many_files < IDLE + 500:
        pytest.skip(f"the hard limit of open files is {many_files}")
    server = start_server(maxclients=IDLE + 100)
    admin = server.connect()
    before = server.memory()
    clients = [server.connect() for _ in range(IDLE)]
    # Each has said something, in both protocols, and had an answer.
    for client in clients:
        client.send(b"PING\r\n")
    for client in clients:
        assert client.read() == "PONG"
    for client in clients[::2]:
        client("HELLO", 3)
    assert server.info()["connected_clients"] == str(IDLE + 2)
    used = server.growth(before) / IDLE
    print(f"{used:.0f} bytes for an idle connection")
    assert used <= IDLE_BYTES
    assert admin("SET", "k", "v") == "OK"
    server.close_clients()
    other = server.connect()
    wait_for_clients(other, 1)


# ---- Coming and going


def churn(server, seconds, count):
    """Connections that send one command each and go, a part of them without reading."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client = Client(server.port)
        client.send(b"INCR n\r\n")
        if count[0] % 4 != 3:
            client.read()
        client.close()
        count[0] += 1


def test_connections_that_come_and_go(own_server):
    seconds, counts = 3, [[0] for _ in range(4)]
    own_server.connect()("PING")
    files, memory = open_files(own_server), own_server.memory()
    threads = [
        threading.Thread(target=churn, args=(own_server, seconds, count)) for count in counts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(count[0] for count in counts)
    print(f"{total / seconds:.0f} connections a second")
    client = own_server.connect()
    wait_for_clients(client, 2)
    wait_until(lambda: int(client("GET", "n")) >= total * 3 // 4)
    assert int(own_server.info()["total_connections_received"]) >= total
    assert open_files(own_server) <= files + 4
    assert own_server.growth(memory) < 16 << 20


# ---- More than are allowed


def wait_for_clients(client, count):
    """Until the server knows that those who left have gone."""
    wait_until(lambda: client("CLIENT", "LIST").count(b"id=") == count)


def test_maxclients(start_server):
    server = start_server(maxclients=10)
    clients = [server.connect()]
    wait_for_clients(clients[0], 1)
    clients += [server.connect() for _ in range(9)]
    assert all(client("PING") == "PONG" for client in clients)
    extra = server.connect()
    assert extra.read() == MAX_REACHED
    assert extra.is_closed()
    assert clients[0]("INFO", "stats").count(b"rejected_connections:1\r\n") == 1
    clients.pop().close()
    wait_for_clients(clients[0], 9)
    assert server.connect()("PING") == "PONG"


def test_maxclients_can_be_changed(start_server):
    server = start_server(maxclients=2)
    client = server.connect()
    wait_for_clients(client, 1)
    assert client("CONFIG", "SET", "maxclients", 3) == "OK"
    others = [server.connect() for _ in range(2)]
    assert all(other("PING") == "PONG" for other in others)
    assert server.connect().read() == MAX_REACHED
    assert client("CONFIG", "SET", "maxclients", 1) == "OK"
    assert all(other("PING") == "PONG" for other in others)
    assert server.connect().read() == MAX_REACHED


@pytest.fixture
def short_of_files(tmp_path):
    with Server(tmp_path / "data", open_files=1024) as server:
        yield server


@pytest.mark.ferric_only("how much is reserved, and what the log says, is Ferric's own")
def test_a_low_limit_of_open_files(short_of_files):
    server = short_of_files
    client = server.connect()
    assert client("CONFIG", "GET", "maxclients") == [b"maxclients", b"896"]
    assert (
        "the limit of open files is 1024: maxclients is lowered from 10000 to 896" in server.log()
    )
    wait_for_clients(client, 1)
    clients = [server.connect() for _ in range(895)]
    assert all(other("PING") == "PONG" for other in clients)
    for _ in range(100):
        extra = server.connect()
        assert extra.read() == MAX_REACHED
        assert extra.is_closed()
    # It still has the descriptors to work with.
    for i in range(1000):
        assert client("SET", f"k{i}", b"x" * 1000) == "OK"
    assert "FATAL" not in server.log()


@pytest.mark.ferric_only("Redis raises even the hard limit when it runs as root")
def test_more_clients_than_open_files_are_refused(short_of_files):
    client = short_of_files.connect()
    reply = client("CONFIG", "SET", "maxclients", 5000)
    assert "The operating system is not able to handle the specified number of clients" in reply
    assert client("CONFIG", "GET", "maxclients") == [b"maxclients", b"896"]
    assert client("CONFIG", "SET", "maxclients", 100) == "OK"
