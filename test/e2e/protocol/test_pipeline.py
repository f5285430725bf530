# SPDX-License-Identifier: Apache-2.0
"""Pipelines: replies come in the order of requests, and each command sees what went before it."""

import random
import threading

from support.client import Error, encode


def test_replies_in_order(client):
    replies = client.pipeline(*[("ECHO", i) for i in range(5000)])
    assert replies == [str(i).encode() for i in range(5000)]


def test_reads_see_the_writes_before_them(client):
    commands, wanted = [], []
    for i in range(2000):
        commands += [("SET", f"k{i % 7}", i), ("GET", f"k{i % 7}")]
        wanted += ["OK", str(i).encode()]
    assert client.pipeline(*commands) == wanted


def test_reads_do_not_see_the_writes_behind_them(client):
    commands, wanted = [], []
    for i in range(1000):
        commands += [("GET", "k"), ("INCR", "k"), ("MGET", "k", f"other{i}")]
        before = None if i == 0 else str(i).encode()
        wanted += [before, i + 1, [str(i + 1).encode(), None]]
    assert client.pipeline(*commands) == wanted


def test_keys_of_all_slots_in_order(client):
    dice = random.Random(7)
    model, commands, wanted = {}, [], []
    for i in range(3000):
        key = f"key:{dice.randrange(200)}"
        if dice.random() < 0.5:
            commands.append(("SET", key, i))
            model[key] = str(i).encode()
            wanted.append("OK")
        else:
            commands.append(("GET", key))
            wanted.append(model.get(key))
    assert client.pipeline(*commands) == wanted


def test_errors_between(client):
    replies = client.pipeline("SET k abc", "INCR k", "NOSUCH", "GET k", "GET", "PING")
    assert replies[0] == "OK"
    assert isinstance(replies[1], Error)
    assert isinstance(replies[2], Error)
    assert replies[3] == b"abc"
    assert isinstance(replies[4], Error)
    assert replies[5] == "PONG"


def test_transactions_between(client):
    commands = []
    for i in range(200):
        commands += ["MULTI", "INCR a", ("SET", "b", i), "EXEC", "GET b"]
    replies = client.pipeline(*commands)
    for i in range(200):
        assert replies[5 * i : 5 * i + 5] == [
            "OK",
            "QUEUED",
            "QUEUED",
            [i + 1, "OK"],
            str(i).encode(),
        ]


def test_several_databases_in_a_pipeline(client):
    commands = []
    for db in range(16):
        commands += [("SELECT", db), ("SET", "k", db)]
    for db in range(16):
        commands += [("SELECT", db), ("GET", "k")]
    replies = client.pipeline(*commands)
    assert replies[33::2] == [str(db).encode() for db in range(16)]


def test_replies_larger_than_any_buffer(server):
    """The client sends all and reads nothing; the server must neither stall nor lose any."""
    client = server.connect(timeout=60)
    value = b"x" * 100000
    client("SET", "k", value)
    count = 500
    sender = threading.Thread(target=client.socket.sendall, args=(encode("GET", "k") * count,))
    sender.start()
    for _ in range(count):
        assert client.read_reply() == value
    sender.join()


def test_large_and_small_values_mixed(client):
    big = b"b" * 1000000
    commands, wanted = [], []
    for i in range(10):
        commands += [("SET", "big", big), ("SET", "small", i), "GET small", "STRLEN big", "GET big"]
        wanted += ["OK", "OK", str(i).encode(), len(big), big]
    assert client.pipeline(*commands) == wanted


def test_many_clients_count_together(server):
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        client.send(encode("INCR", "n") * 100)
    for client in clients:
        values = [client.read_reply() for _ in range(100)]
        assert values == sorted(values)
    assert server.connect()("GET", "n") == b"5000"


def test_a_pipeline_then_a_hangup_is_still_run(server):
    """What was sent whole is run although nobody waits for the replies."""
    client, other = server.connect(), server.connect()
    client.send(encode("SET", "k", "v") + encode("QUIT"))
    assert client.read_until_closed() == b"+OK\r\n+OK\r\n"
    assert other("GET", "k") == b"v"
