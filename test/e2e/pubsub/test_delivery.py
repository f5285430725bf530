# SPDX-License-Identifier: Apache-2.0
"""Who gets which messages, in which order, and what becomes of those who do not read."""

import re
import socket

import pytest

from support.client import Push, encode, wait_until

MB = 1024 * 1024


def subscribe(server, *channels, protocol=2, command="SUBSCRIBE"):
    client = server.connect(protocol=protocol)
    client.send_command(command, *channels)
    for _ in channels:
        client.read()
    return client


def omem(client, name):
    """Bytes that wait for the client of this name; None: there is none."""
    for line in client("CLIENT", "LIST").decode().splitlines():
        if f" name={name} " in line:
            return int(re.search(r" omem=(\d+)", line)[1])
    return None


def test_every_subscriber_gets_all_messages_of_a_publisher_in_order(server):
    subscribers = [subscribe(server, "c", protocol=p) for p in (2, 3, 2, 3, 2)]
    publishers = [server.connect() for _ in range(3)]
    count = 200
    for at, publisher in enumerate(publishers):
        publisher.send(b"".join(encode("PUBLISH", "c", f"{at}:{n}") for n in range(count)))
    for publisher in publishers:
        assert [publisher.read_reply() for _ in range(count)] == [5] * count
    for client in subscribers:
        got = [client.read()[2].decode() for _ in range(3 * count)]
        for at in range(3):
            mine = [text for text in got if text.startswith(f"{at}:")]
            assert mine == [f"{at}:{n}" for n in range(count)]


def test_who_hears_of_a_write_finds_it_done(server):
    subscriber = subscribe(server, "done", protocol=3)
    writer = server.connect()
    reader = server.connect()
    for n in range(50):
        writer.send(encode("SET", "k", n) + encode("PUBLISH", "done", n))
        assert subscriber.read()[2] == b"%d" % n
        assert int(reader("GET", "k")) >= n
        assert writer.read_reply() == "OK"
        assert writer.read_reply() == 1


def test_pushes_stand_between_whole_replies(server):
    client = subscribe(server, "c", protocol=3)
    publisher = server.connect()
    count = 300
    publisher.send(b"".join(encode("PUBLISH", "c", n) for n in range(count)))
    keys = [f"k{n % 7}" for n in range(count)]
    client.send(b"".join(encode("SET", k, n) + encode("GET", k) for n, k in enumerate(keys)))
    values = [client.read() for _ in range(3 * count)]
    pushed = [value[2] for value in values if isinstance(value, Push)]
    replies = [value for value in values if not isinstance(value, Push)]
    assert pushed == [b"%d" % n for n in range(count)]
    assert replies[1::2] == [b"%d" % n for n in range(count)]


def test_a_large_message(server):
    body = b"x" * (5 * MB)
    subscriber = subscribe(server, "c")
    assert server.connect()("PUBLISH", "c", body) == 1
    assert subscriber.read() == [b"message", b"c", body]


def test_many_channels_and_patterns_of_one_client(server):
    names = [f"channel:{n}" for n in range(3000)]
    client = subscribe(server, *names)
    client.send_command("PSUBSCRIBE", *[f"*:{n}" for n in range(100)])
    for _ in range(100):
        client.read()
    publisher = server.connect()
    assert publisher("PUBSUB", "NUMPAT") == 100
    assert len(publisher("PUBSUB", "CHANNELS")) == 3000
    assert publisher("PUBLISH", "channel:77", "x") == 2
    assert publisher("PUBLISH", "channel:2999", "x") == 1
    assert client.read() == [b"message", b"channel:77", b"x"]
    client.close()
    wait_until(lambda: publisher("PUBSUB", "CHANNELS") == [])
    assert publisher("PUBSUB", "NUMPAT") == 0


def test_subscribers_that_come_and_go_while_messages_flow(server):
    steady = subscribe(server, "c")
    publisher = server.connect()
    count = 400
    publisher.send(b"".join(encode("PUBLISH", "c", n) for n in range(count)))
    for _ in range(20):
        leaving = subscribe(server, "c", "d")
        leaving.close()
    assert [steady.read()[2] for _ in range(count)] == [b"%d" % n for n in range(count)]
    for _ in range(count):
        assert 1 <= publisher.read_reply() <= 21
    wait_until(lambda: publisher("PUBSUB", "NUMSUB", "c", "d") == [b"c", 1, b"d", 0])


def deaf_subscriber(server, channel):
    client = server.connect()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client("CLIENT", "SETNAME", "deaf")
    client.send_command("SUBSCRIBE", channel)
    client.read()
    return client


@pytest.mark.ferric_only("the log is Ferric's")
def test_a_subscriber_that_does_not_read_is_closed_at_the_hard_limit(own_server):
    publisher = own_server.connect()
    publisher("CONFIG", "SET", "client-output-buffer-limit", "pubsub 2mb 0 0")
    deaf = deaf_subscriber(own_server, "c")
    body = b"x" * 100000
    seen = 0
    while publisher("PUBLISH", "c", body) > 0:
        seen = max(seen, omem(publisher, "deaf") or 0)
    assert MB < seen <= 2 * MB + 200000
    wait_until(lambda: omem(publisher, "deaf") is None)
    assert "client-output-buffer-limit" in own_server.log()
    assert own_server.info()["client_output_buffer_limit_disconnections"] == "1"
    assert deaf is not None


def test_a_subscriber_over_the_soft_limit_is_closed_in_time(own_server):
    publisher = own_server.connect()
    publisher("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1")
    deaf = deaf_subscriber(own_server, "c")
    body = b"x" * 100000
    while (omem(publisher, "deaf") or 0) < 2 * MB:
        assert publisher("PUBLISH", "c", body) == 1
    wait_until(lambda: omem(publisher, "deaf") is None, timeout=60)
    assert publisher("PUBLISH", "c", body) == 0
    assert deaf is not None


def test_limits_are_set_class_by_class(own_server):
    client = own_server.connect()
    name = "client-output-buffer-limit"

    def get():
        return client("CONFIG", "GET", name)[1].decode()

    assert get() == "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    assert client("CONFIG", "SET", name, "pubsub 1mb 2kb 5") == "OK"
    assert client("CONFIG", "SET", name, "replica 1 2 3 normal 4mb 5mb 6") == "OK"
    assert get() == "normal 4194304 5242880 6 slave 1 2 3 pubsub 1048576 2048 5"
    for wrong, why in (
        ("normal 1 2", "Wrong number of arguments"),
        ("master 1 2 3", "Invalid client class"),
        ("normal 1x 2 3", "Error in hard, soft or soft_seconds"),
        ("normal 1 2 -3", "Error in hard, soft or soft_seconds"),
    ):
        assert why in client("CONFIG", "SET", name, wrong)
    assert get() == "normal 4194304 5242880 6 slave 1 2 3 pubsub 1048576 2048 5"


def test_listeners_are_clients_of_a_type_of_their_own(server):
    client = server.connect()
    listener = subscribe(server, "a", "b")
    listener.send_command("PSUBSCRIBE", "x*")
    listener.read()
    listener.send_command("SSUBSCRIBE", "s")
    listener.read()
    line = client("CLIENT", "LIST", "TYPE", "pubsub").decode()
    assert line.count("id=") == 1
    assert " flags=P " in line
    assert " sub=2 psub=1 ssub=1 " in line
    assert client("CLIENT", "LIST", "TYPE", "normal").count(b"id=") == 1
    assert client("CLIENT", "KILL", "TYPE", "pubsub") == 1
    assert listener.is_closed()


@pytest.mark.ferric_only("the option stands in one word here")
def test_who_publishes_to_itself_by_many_patterns_is_closed_at_the_hard_limit(start_server):
    server = start_server(client_output_buffer_limit="pubsub 4mb 0 0")
    client = server.connect(protocol=3)
    client.send_command("PSUBSCRIBE", *["*" * n for n in range(1, 301)])
    for _ in range(300):
        client.read()
    before = server.memory()
    client.send_command("PUBLISH", "c", b"x" * 1000000)
    assert client.is_closed()
    # Not 300 MB.
    assert server.growth(before) < 100 << 20
    assert server.connect()("PING") == "PONG"
