# SPDX-License-Identifier: Apache-2.0
"""CLIENT TRACKING: who is told what, and that nobody is left with an old value."""

import random
import threading

import pytest

from support.client import Push, encode, wait_until


def tracker(server, *options, protocol=3):
    client = server.connect(protocol=protocol)
    assert client("CLIENT", "TRACKING", "ON", *options) == "OK"
    return client


def redirection(server):
    """Who listens for others, and its id."""
    client = server.connect()
    number = client("CLIENT", "ID")
    client.send_command("SUBSCRIBE", "__redis__:invalidate")
    client.read()
    return client, number


def invalidated(client):
    value = client.read()
    assert isinstance(value, Push) and value[0] == b"invalidate"
    return value[1]


def test_redirected_to_a_resp2_listener(server):
    listeners = [redirection(server) for _ in range(3)]
    writer = server.connect()
    for listener, number in listeners:
        client = tracker(server, "REDIRECT", number, protocol=2)
        assert client("CLIENT", "GETREDIR") == number
        # A key each: what the others' keys were told of may still be on its way to this loop.
        client("GET", number)
        writer("SET", number, 1)
        assert listener.read() == [b"message", b"__redis__:invalidate", [b"%d" % number]]
    writer("FLUSHALL")
    for listener, _ in listeners:
        assert listener.read() == [b"message", b"__redis__:invalidate", None]


def test_a_redirection_that_has_gone(server):
    listener, number = redirection(server)
    client = tracker(server, "REDIRECT", number)
    client("GET", "k")
    listener.close()
    writer = server.connect()
    wait_until(lambda: b"id=%d " % number not in writer("CLIENT", "LIST"))
    writer("SET", "k", 1)
    assert client.read() == [b"tracking-redir-broken", number]
    info = dict(client("CLIENT", "TRACKINGINFO"))
    assert b"broken_redirect" in info[b"flags"]
    line = writer("CLIENT", "LIST", "ID", client("CLIENT", "ID")).decode()
    assert " flags=tR " in line
    assert f" redir={number} " in line


def test_broadcast_by_prefix(server):
    client = tracker(server, "BCAST", "PREFIX", "a:", "PREFIX", "b:")
    writer = server.connect()
    writer.pipeline("MULTI", "SET a:1 1", "SET c:1 1", "SET a:2 1", "EXEC")
    keys = invalidated(client)
    while len(keys) < 2:
        keys += invalidated(client)
    assert sorted(keys) == [b"a:1", b"a:2"]
    writer("SET", "b:1", 1)
    assert invalidated(client) == [b"b:1"]


@pytest.mark.parametrize("mode", [(), ("BCAST",)])
def test_noloop(server, mode):
    client = tracker(server, "NOLOOP", *mode)
    client("GET", "k")
    client("SET", "k", 1)
    client("GET", "k")
    other = server.connect()
    other("SET", "k", 2)
    assert invalidated(client) == [b"k"]
    assert client("PING") == "PONG"
    assert client.pushes == []


def test_optin_and_optout(server):
    writer = server.connect()
    opting_in = tracker(server, "OPTIN")
    opting_in("GET", "a")
    opting_in("CLIENT", "CACHING", "YES")
    opting_in("GET", "b")
    opting_in("GET", "c")
    opting_out = tracker(server, "OPTOUT")
    opting_out("CLIENT", "CACHING", "NO")
    opting_out("GET", "a")
    opting_out("GET", "b")
    opting_in("CLIENT", "CACHING", "YES")
    opting_in.pipeline("MULTI", "GET d", "GET e", "EXEC")
    for key in "abcde":
        writer("SET", key, 1)
    assert [invalidated(opting_in) for _ in range(3)] == [[b"b"], [b"d"], [b"e"]]
    assert invalidated(opting_out) == [b"b"]


def test_expired_keys(server):
    client = tracker(server)
    writer = server.connect()
    writer("SET", "k", 1, "PX", 20)
    client("GET", "k")
    assert invalidated(client) == [b"k"]
    # What has become of k may still be on its way to a client that begins only now.
    broad = tracker(server, "BCAST", "PREFIX", "mine", "NOLOOP")
    broad("SET", "mine", 1, "PX", 20)
    assert invalidated(broad) == [b"mine"]


@pytest.mark.ferric_only("Redis remembers keys of clients that track no more")
def test_forgotten_keys(own_server):
    client = tracker(own_server)
    setter = own_server.connect()
    count = 250
    client.pipeline(*[f"GET k{n}" for n in range(count)])
    assert own_server.info()["tracking_total_keys"] == str(count)
    setter("CONFIG", "SET", "tracking-table-max-keys", 50)
    keys = [invalidated(client)[0] for _ in range(count - 50)]
    assert len(set(keys)) == count - 50
    wait_until(lambda: own_server.info()["tracking_total_keys"] == "50")
    assert own_server.info()["tracking_clients"] == "1"
    client("CLIENT", "TRACKING", "OFF")
    wait_until(lambda: own_server.info()["tracking_total_keys"] == "0")
    assert own_server.info()["tracking_total_items"] == "0"


@pytest.mark.ferric_only("Redis looks at the limit once in a while")
def test_commands_with_many_keys_meet_the_limit(start_server):
    server = start_server(tracking_table_max_keys=100, io_threads=1)
    client = tracker(server)
    for n in range(5):
        client("MGET", *[f"{n}:{at}" for at in range(10000)])
    # The last one's keys go before the next command runs.
    client("GET", "k")
    assert int(server.info()["tracking_total_keys"]) <= 101


@pytest.mark.ferric_only("Redis lets them pile up")
def test_who_does_not_read_invalidations_is_closed(own_server):
    setter = own_server.connect()
    setter("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
    deaf = tracker(own_server, "BCAST")
    deaf("CLIENT", "SETNAME", "deaf")
    value = b"x"
    while b"name=deaf" in setter("CLIENT", "LIST"):
        setter.send(b"".join(encode("SET", "k" * 60000, value) for _ in range(20)))
        for _ in range(20):
            assert setter.read_reply() == "OK"


class Copies(threading.Thread):
    """A client that reads keys and keeps what it was told until it is told otherwise."""

    def __init__(self, server, keys, rounds):
        super().__init__()
        self.client = tracker(server)
        self.keys = keys
        self.rounds = rounds
        self.copies = {}

    def take(self, value):
        if isinstance(value, Push):
            for key in value[1]:
                self.copies.pop(key, None)
            return True
        return False

    def run(self):
        rng = random.Random(self.rounds)
        for _ in range(self.rounds):
            key = rng.choice(self.keys)
            self.client.send_command("GET", key)
            while self.take(value := self.client.read()):
                pass
            self.copies[key] = value


@pytest.mark.ferric_only("Redis leaves the old values with the client")
def test_swapped_databases(server):
    client, writer = tracker(server), server.connect()
    writer("SET", "k", "here")
    assert client("GET", "k") == b"here"
    assert writer("SWAPDB", 0, 1) == "OK"
    # The SET may be told of after the reading of what it set, on another loop.
    keys = invalidated(client)
    assert keys is None or (keys == [b"k"] and invalidated(client) is None)
    assert client("GET", "k") is None
    writer("SWAPDB", 0, 1)


def test_who_begins_while_a_write_is_executed_hears_of_it(start_server):
    server = start_server(io_threads=1, shard_threads=1)
    writer = server.connect()
    writer.pipeline("SET k old", ("SET", "{k}a", b"a" * 11000), ("SET", "{k}b", b"b" * 11000))
    slow = ["LCS {k}a {k}b LEN"] * 5
    client = server.connect(protocol=3)
    writer.send(b"".join(encode(*c.split()) for c in ["MULTI", "SET k new", *slow, "EXEC"]))
    # Sooner or later the transaction is being executed, and the tracking begins meanwhile. If it
    # is over before that, the new value is there, and nothing has been tested.
    for _ in range(500):
        client("PING")
    assert client("CLIENT", "TRACKING", "ON") == "OK"
    value = client("GET", "k")
    while value == b"old":
        assert client.read()[0] == b"invalidate"
        value = client("GET", "k")
    assert value == b"new"


def test_nobody_is_left_with_an_old_value(server):
    keys = [b"key:%d" % n for n in range(8)]
    readers = [Copies(server, keys, rounds) for rounds in (400, 401, 402)]
    writers = [server.connect() for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(150):
        for at, writer in enumerate(writers):
            pairs = [word for key in keys[at::2] for word in (key, n)]
            assert writer("MSET", *pairs) == "OK"
    for reader in readers:
        reader.join()
    # Whatever is still on its way comes before the push for a key that is only touched now.
    for reader in readers:
        reader.client.send_command("GET", "last")
        while reader.take(reader.client.read()):
            pass
    writers[0]("SET", "last", 1)
    values = dict(zip(keys, writers[0]("MGET", *keys)))
    for reader in readers:
        reader.copies[b"last"] = b""
        while b"last" in reader.copies:
            reader.take(reader.client.read())
        # On several loops the keys of other shards may be told of a moment later.
        while stale := {k: v for k, v in reader.copies.items() if values[k] != v}:
            assert reader.take(reader.client.read()), stale
