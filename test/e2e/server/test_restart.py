# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there after a restart, orderly or not (P1)."""

import threading

import pytest

from support.client import Closed, wait_until

RESTARTS = ["restart", "crash_and_restart"]


def fill(client, count):
    client.pipeline(*[("SET", f"k{i}", f"v{i}") for i in range(count)])


@pytest.fixture(params=RESTARTS)
def again(own_server, request):
    """Stops the server in one of two ways and starts it again."""
    return getattr(own_server, request.param)


def test_values_survive(own_server, again):
    fill(own_server.connect(), 1000)
    again()
    client = own_server.connect()
    assert client("DBSIZE") == 1000
    assert client("MGET", *[f"k{i}" for i in range(1000)]) == [
        f"v{i}".encode() for i in range(1000)
    ]


def test_changes_survive(own_server, again):
    client = own_server.connect()
    client.pipeline("SET n 1", "INCRBY n 41", "SET s ab", "APPEND s cd", "SET gone x", "DEL gone")
    client.pipeline("SET a 1", "RENAME a b", "SET f 1.5", "INCRBYFLOAT f 0.25", "GETDEL nothing")
    again()
    client = own_server.connect()
    assert client("MGET", "n", "s", "gone", "a", "b", "f") == [
        b"42",
        b"abcd",
        None,
        None,
        b"1",
        b"1.75",
    ]
    assert client("INCR", "n") == 43


def test_moved_keys_and_swapped_databases_survive(own_server, again):
    client = own_server.connect()
    client.pipeline("SET a 0", "SET b 0 PXAT 4102444800123", "MOVE b 1", "COPY a c DB 2")
    client.pipeline("SWAPDB 0 1", "SET a 1", "SWAPDB 2 3")
    again()
    client = own_server.connect()
    found = []
    for db in range(4):
        client("SELECT", db)
        found.append(sorted(client("KEYS", "*")))
    assert found == [[b"a", b"b"], [b"a"], [], [b"c"]]
    client("SELECT", 0)
    assert client("GET", "a") == b"1"
    assert client("PEXPIRETIME", "b") == 4102444800123


@pytest.mark.ferric_only("theirs is gone with the process")
def test_what_debug_populate_makes_survives(own_server, again):
    own_server.connect()("DEBUG", "POPULATE", 1000, "p", 20)
    again()
    client = own_server.connect()
    assert client("DBSIZE") == 1000
    assert client("GET", "p:999") == b"value:999".ljust(20, b"\0")


def test_a_checkpoint_asked_for_changes_nothing(own_server, again):
    client = own_server.connect()
    before = client("LASTSAVE")
    fill(client, 100)
    digest = client("DEBUG", "DIGEST")
    assert client("SAVE") == "OK"
    assert client("LASTSAVE") >= before
    assert client("DEBUG", "RELOAD") == "OK"
    client("APPEND", "k0", "+")
    again()
    client = own_server.connect()
    assert client("DBSIZE") == 100
    assert client("GET", "k0") == b"v0+"
    client("SET", "k0", "v0")
    assert client("DEBUG", "DIGEST") == digest


def test_times_of_death_survive(own_server, again):
    client = own_server.connect()
    client.pipeline(
        "SET later v PXAT 4102444800123", "SET never v EX 100", "PERSIST never", "SET now v PX 1"
    )
    again()
    client = own_server.connect()
    assert client("PEXPIRETIME", "later") == 4102444800123
    assert client("TTL", "never") == -1
    assert client("EXISTS", "now") == 0


def test_databases_survive(own_server, again):
    client = own_server.connect()
    for db in (0, 1, 15):
        client.pipeline(("SELECT", db), ("SET", "k", db))
    client.pipeline("SELECT 1", "FLUSHDB", "SET only 1")
    again()
    client = own_server.connect()
    assert client("GET", "k") == b"0"
    client("SELECT", 1)
    assert client("KEYS", "*") == [b"only"]
    client("SELECT", 15)
    assert client("GET", "k") == b"15"


def test_flushall_survives(own_server, again):
    client = own_server.connect()
    fill(client, 100)
    client.pipeline("FLUSHALL", "SET new v")
    again()
    assert own_server.connect()("KEYS", "*") == [b"new"]


def test_transactions_survive_whole(own_server, again):
    client = own_server.connect()
    client.pipeline("MULTI", "SET {a}k 1", "SET {b}k 2", "SET {c}k 3", "EXEC")
    client.pipeline("MULTI", "SET never 1")
    again()
    client = own_server.connect()
    assert client("MGET", "{a}k", "{b}k", "{c}k", "never") == [b"1", b"2", b"3", None]


def test_large_values_survive(own_server, again):
    client = own_server.connect()
    sizes = [0, 1, 4095, 4096, 65536, 262144, 3000000]
    for size in sizes:
        client("SET", f"k{size}", b"x" * size)
    again()
    client = own_server.connect()
    assert [client("GET", f"k{size}") for size in sizes] == [b"x" * size for size in sizes]


def test_several_restarts_in_a_row(own_server, again):
    for i in range(4):
        assert own_server.connect()("INCR", "n") == i + 1
        again()
    assert own_server.connect()("GET", "n") == b"4"


def test_an_orderly_stop_says_so(own_server):
    own_server.connect()("SET", "k", "v")
    assert own_server.stop() == 0


def test_nothing_acknowledged_is_lost_when_killed_under_load(own_server):
    """A counter per client: what was answered last is the least that must be there."""
    answered = {}

    def count(name):
        client = own_server.connect()
        try:
            while True:
                answered[name] = client("INCR", name)
        except (Closed, OSError):
            pass

    threads = [threading.Thread(target=count, args=(f"n{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    while len(answered) < 8 or min(answered.values()) < 50:
        threads[0].join(timeout=0.005)
    own_server.process.kill()
    for thread in threads:
        thread.join()
    own_server.crash_and_restart()
    client = own_server.connect()
    for name, value in answered.items():
        found = int(client("GET", name))
        assert value <= found <= value + 1, name


@pytest.mark.ferric_only("a Redis has no log that fixes how many databases there are")
def test_a_database_selected_while_loading_may_not_be_there(start_server):
    server = start_server(checkpoint_interval_ms=600000)
    client = server.connect()
    value = b"x" * 1000000
    for i in range(200):
        assert client("SET", i % 20, value) == "OK"
    server.kill()
    server.begin(databases=32)
    selecting = wait_until(lambda: try_to_connect(server))
    # The server knows of 32 as long as it has not looked at its log.
    chosen = selecting("SELECT", 20) == "OK"
    client = server.connect()
    wait_until(lambda: client("DBSIZE") == 20)
    assert "out of range" in str(client("SELECT", 20))
    if chosen:
        with pytest.raises(Closed):
            selecting("GET", 1)
    assert client("PING") == "PONG"


def try_to_connect(server):
    try:
        return server.connect()
    except ConnectionError:
        return None
