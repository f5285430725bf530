# SPDX-License-Identifier: Apache-2.0
"""Clients that do not read, or do not finish what they say: they cost what the limits say, and the
others do not notice (P7, R33)."""

import re
import socket
import threading
import time

import pytest

from support.client import Error, encode, wait_until
from support.server import Server

MB = 1 << 20
SHARED = 2 * 64 * MB  # what all clients together may leave unread, in buffers that double
SLACK = 24 * MB  # of the allocator and of what else goes on

pytestmark = pytest.mark.ferric_only("the limits are Ferric's own")


def say_without_reading(client, data):
    """Sends until the server takes no more. Returns how much it took."""
    client.socket.setblocking(False)
    sent = 0
    idle_since = time.monotonic()
    while sent < len(data) and time.monotonic() - idle_since < 0.3:
        try:
            sent += client.socket.send(data[sent : sent + 65536])
            idle_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.001)
    return sent


def assert_serves(server):
    """Others have their turn: within the client's own patience for each reply."""
    client = server.connect()
    for i in range(100):
        assert client("SET", f"other:{i}", i) == "OK"
        assert client("GET", f"other:{i}") == str(i).encode()


def hears_little(client, size=4096):
    """What is not read soon waits in the server: below 64 KB it is hardly read at all."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return client


def deaf_client(server):
    return hears_little(server.connect())


# ---- They do not read


@pytest.mark.parametrize("size", [10, 1000, 60000])
def test_replies_nobody_reads(own_server, size):
    own_server.connect()("SET", "k", b"x" * size)
    before = own_server.memory()
    clients = [deaf_client(own_server) for _ in range(4)]
    for client in clients:
        say_without_reading(client, encode("GET", "k") * 200000)
    assert_serves(own_server)
    assert own_server.growth(before) < 4 * 2 * MB + SHARED + SLACK


@pytest.mark.parametrize("size", [10, 60000])
def test_replies_nobody_reads_behind_writes(own_server, size):
    own_server.connect()("SET", "k", b"x" * size)
    before = own_server.memory()
    clients = [deaf_client(own_server) for _ in range(4)]
    for client in clients:
        say_without_reading(client, (encode("SET", "w", 1) + encode("GET", "k") * 50) * 2000)
    assert_serves(own_server)
    assert own_server.growth(before) < 4 * 8 * MB + SHARED + SLACK


def test_large_replies_nobody_reads(own_server):
    """Values that are never kept in memory: each is read from the disk for its reply."""
    own_server.connect()("SET", "k", b"x" * (8 * MB))
    before = own_server.memory()
    client = deaf_client(own_server)
    say_without_reading(client, encode("GET", "k") * 2000)
    assert_serves(own_server)
    assert own_server.growth(before) < SHARED + 100 * MB


def test_large_replies_nobody_reads_behind_a_write(own_server):
    own_server.connect()("SET", "k", b"x" * (8 * MB))
    before = own_server.memory()
    client = deaf_client(own_server)
    say_without_reading(client, encode("SET", "w", 1) + encode("GET", "k") * 2000)
    assert_serves(own_server)
    assert own_server.growth(before) < SHARED + 100 * MB


def test_a_pipeline_is_sent_before_anything_is_read(own_server):
    client = own_server.connect(timeout=60)
    value = b"x" * MB
    replies = client.pipeline(*[("SET", "k", value), ("GET", "k")] * 30)
    assert replies == ["OK", value] * 30


def test_a_deaf_client_gets_everything_when_it_hears_again(own_server):
    client = own_server.connect(timeout=60)
    value = b"x" * 50000
    client("SET", "k", value)
    taken = say_without_reading(client, encode("GET", "k") * 2000)
    client.socket.setblocking(True)
    whole = taken // len(encode("GET", "k"))
    assert whole > 20
    for _ in range(whole):
        assert client.read_reply() == value


def test_a_limit_may_be_set_on_what_waits_for_a_client(own_server):
    client = own_server.connect()
    assert client("CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0") == "OK"
    client("SET", "k", b"x" * 60000)
    deaf = deaf_client(own_server)
    say_without_reading(deaf, encode("GET", "k") * 1000)
    wait_until(lambda: client("CLIENT", "LIST").count(b"id=") == 1)
    assert "client-output-buffer-limit" in own_server.log()
    assert own_server.info()["client_output_buffer_limit_disconnections"] == "1"


# ---- They listen and do not read


LIMIT = 4 * MB
PUBSUB_LIMIT = {"client_output_buffer_limit": f"pubsub {LIMIT} 0 0"}


def listener(server, *command, protocol=2, size=4096):
    client = hears_little(server.connect(protocol=protocol), size)
    client("CLIENT", "SETNAME", "deaf")
    client.send_command(*command)
    client.read()
    return client


def waiting_for(client):
    """Bytes that wait for each listener that has not been closed."""
    lines = client("CLIENT", "LIST").decode().splitlines()
    return [int(re.search(r" omem=(\d+)", line)[1]) for line in lines if " name=deaf " in line]


class Peak:
    """How much more memory there was than at the beginning, at most."""

    def __init__(self, server):
        self.server = server
        self.before = server.memory()
        self.bytes = 0

    def look(self):
        self.bytes = max(self.bytes, self.server.growth(self.before))


def assert_they_are_closed(server, count, say):
    """say() until nobody listens any more: nobody has ever had more than the limit allows."""
    client = server.connect()
    assert len(waiting_for(client)) == count
    peak = Peak(server)
    most = 0
    while waiting := waiting_for(client):
        most = max(most, *waiting)
        say(client)
        peak.look()
    assert MB < most <= LIMIT + MB
    # Buffers double, and what is on its way from thread to thread counts as well.
    assert peak.bytes < count * 2 * LIMIT + SLACK
    assert server.info()["client_output_buffer_limit_disconnections"] == str(count)
    assert server.log().count("client-output-buffer-limit") == count
    assert_serves(server)


@pytest.mark.parametrize("size, times", [(100, 5000), (100000, 5)], ids=["small", "large"])
@pytest.mark.parametrize("command", ["SUBSCRIBE c", "PSUBSCRIBE ?"], ids=["channel", "pattern"])
def test_subscribers_that_do_not_read(start_server, command, size, times):
    server = start_server(**PUBSUB_LIMIT)
    deaf = [listener(server, *command.split()) for _ in range(5)]
    messages = [("PUBLISH", "c", b"x" * size)] * times
    assert_they_are_closed(server, len(deaf), lambda client: client.pipeline(*messages))


def test_listeners_to_events_that_do_not_read(start_server):
    server = start_server(notify_keyspace_events="KEA", **PUBSUB_LIMIT)
    deaf = [listener(server, "PSUBSCRIBE", "__key*") for _ in range(3)]
    writes = [("SET", b"k" * 10000, i) for i in range(20)]
    assert_they_are_closed(server, len(deaf), lambda client: client.pipeline(*writes))


def test_caches_that_do_not_read(start_server):
    """What is invalid is told to those who only listen for it."""
    server = start_server(**PUBSUB_LIMIT)
    deaf = [listener(server, "CLIENT", "TRACKING", "ON", "BCAST", protocol=3) for _ in range(3)]
    writes = [("SET", b"k" * 10000, i) for i in range(20)]
    assert_they_are_closed(server, len(deaf), lambda client: client.pipeline(*writes))


def test_a_monitor_that_does_not_read(own_server):
    deaf = listener(own_server, "MONITOR")
    client = own_server.connect()
    peak = Peak(own_server)
    commands = [("ECHO", b"x" * 100000)] * 20
    while waiting := waiting_for(client):
        assert waiting[0] <= 33 * MB
        client.pipeline(*commands)
        peak.look()
    assert peak.bytes < 2 * 33 * MB + SLACK
    assert "does not read what it monitors" in own_server.log()
    assert_serves(own_server)
    assert deaf is not None


def test_a_slow_subscriber_gets_all_within_the_limit(start_server):
    """It is behind all the time and keeps up in the long run: nothing is lost, little is held."""
    server = start_server(**PUBSUB_LIMIT)
    slow = listener(server, "SUBSCRIBE", "c", size=MB)
    publisher = server.connect()
    peak = Peak(server)
    sent = received = 0
    while sent < 600:
        while max(waiting_for(publisher)) < MB:
            assert publisher("PUBLISH", "c", b"%06d" % sent + b"x" * 50000) == 1
            sent += 1
        for _ in range(10):
            assert slow.read()[2][:6] == b"%06d" % received
            received += 1
        peak.look()
    while received < sent:
        assert slow.read()[2][:6] == b"%06d" % received
        received += 1
    assert peak.bytes < 2 * LIMIT + SLACK
    assert server.info()["client_output_buffer_limit_disconnections"] == "0"


def test_a_slow_reader_gets_all(own_server):
    """It asks for four times as much as it reads, in the end for 150 MB; then it reads the rest."""
    own_server.connect()("SET", "k", b"x" * 50000)
    peak = Peak(own_server)
    slow = hears_little(own_server.connect(), MB)
    for _ in range(20):
        slow.send(encode("GET", "k") * 200)
        for _ in range(50):
            assert len(slow.read()) == 50000
        peak.look()
    for _ in range(3000):
        assert len(slow.read()) == 50000
    peak.look()
    assert peak.bytes < SHARED + SLACK


# ---- They do not finish


def test_half_a_command(own_server):
    client = own_server.connect()
    value = b"x" * (4 * MB)
    command = encode("SET", "k", value)
    client.send(command[: len(command) // 2])
    assert_serves(own_server)
    client.send(command[len(command) // 2 :])
    assert client.read_reply() == "OK"
    assert own_server.connect()("STRLEN", "k") == len(value)


def test_announcements_alone_cost_nothing(own_server):
    before = own_server.memory()
    clients = [own_server.connect() for _ in range(300)]
    for client in clients:
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n" + b"x" * 1000)
    assert_serves(own_server)
    assert own_server.growth(before) < SLACK


def test_half_commands_of_many(start_server):
    """They hold as much as the budget allows, then wait; and all get their turn in the end."""
    server = start_server(max_inflight_bytes="16mb")
    assert_serves(server)
    before = server.memory()
    value = b"x" * (2 * MB)
    commands = [encode("SET", f"k{i}", value) for i in range(50)]
    clients = [server.connect(timeout=60) for _ in commands]
    rests = []
    for client, command in zip(clients, commands):
        rests.append(command[say_without_reading(client, command[: MB + MB // 2]) :])
    assert_serves(server)
    # What a waiting connection holds by itself: one read, and what it was granted before.
    assert server.growth(before) < 16 * MB + 50 * 300 * 1024 + SLACK
    for client, rest in zip(clients, rests):
        client.socket.setblocking(True)
        client.send(rest)
        assert client.read_reply() == "OK"
    assert server.connect()("DBSIZE") == 50 + 100


def test_one_that_never_finishes_does_not_hold_up_the_others(start_server):
    server = start_server(max_inflight_bytes="1mb")
    half = encode("SET", "k", b"x" * (4 * MB))[: 3 * MB]
    stuck = server.connect(timeout=60)
    stuck.send(half)
    # However many threads serve connections, some of these are with the same one.
    others = [server.connect(timeout=60) for _ in range(8)]
    senders = [
        threading.Thread(target=other.send_command, args=("SET", f"k{i}", b"x" * (4 * MB)))
        for i, other in enumerate(others)
    ]
    for sender in senders:
        sender.start()
    assert_serves(server)
    for sender, other in zip(senders, others):
        assert other.read_reply() == "OK"
        sender.join()
    assert stuck.is_closed()
    assert "does not finish" in server.log()


def test_transactions_that_never_end(start_server):
    """What is queued counts as well, and a transaction has an end."""
    server = start_server(max_entry_bytes="1mb")
    client = server.connect()
    client("MULTI")
    replies = [client("SET", f"k{i}", b"x" * 100000) for i in range(12)]
    assert replies[0] == "QUEUED"
    assert replies[-1] == Error("ERR the transaction is larger than max-entry-bytes")
    assert client("EXEC") == Error("EXECABORT Transaction discarded because of previous errors.")
    assert client("EXISTS", "k0") == 0


def test_watched_keys_without_end(start_server):
    server = start_server(max_entry_bytes="1mb")
    client = server.connect()
    replies = [client("WATCH", *[f"{i}:{j}" for j in range(1000)]) for i in range(20)]
    assert replies[0] == "OK"
    assert "too many watched keys" in replies[-1]
    assert client("UNWATCH") == "OK"
    assert client("WATCH", "k") == "OK"


def test_a_client_that_reads_its_replies_is_not_idle(start_server):
    server = start_server(timeout=4)
    client = server.connect()
    value = b"x" * (8 << 20)
    assert client("SET", "big", value) == "OK"
    client.send(b"GET big\r\n" * 4)
    for _ in range(4):
        assert client.read_bytes(len(b"$8388608\r\n")) == b"$8388608\r\n"
        for _ in range(4):
            time.sleep(0.4)
            assert client.read_bytes(2 << 20) == value[: 2 << 20]
        assert client.read_bytes(2) == b"\r\n"
    assert client.is_closed()  # now it is
