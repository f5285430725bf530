# SPDX-License-Identifier: Apache-2.0
"""redis-py as Debian ships it, unmodified: what an application does with it."""

import threading
import time

import pytest

from support.client import TIMEOUT, wait_until

redis = pytest.importorskip("redis")


@pytest.fixture
def r(server):
    client = redis.Redis(port=server.port, decode_responses=True)
    yield client
    client.close()
    client.connection_pool.disconnect()


@pytest.fixture
def raw(server):
    client = redis.Redis(port=server.port)
    yield client
    client.close()
    client.connection_pool.disconnect()


# ---- Commands


def test_strings(r):
    assert r.ping() is True
    assert r.echo("hello") == "hello"
    assert r.set("k", "v") is True
    assert r.get("k") == "v"
    assert r["k"] == "v"
    assert r.get("nothing") is None
    assert r.set("k", "w", nx=True) is None
    assert r.set("k", "w", xx=True, get=True) == "v"
    assert r.setnx("k", "x") is False
    assert r.getset("k", "y") == "w"
    assert r.append("k", "z") == 2
    assert r.strlen("k") == 2
    assert r.setrange("k", 4, "!") == 5
    assert r.getrange("k", 0, 1) == "yz"
    assert r.mset({"a": 1, "b": 2, "c": 3}) is True
    assert r.mget("a", "b", "nothing") == ["1", "2", None]
    assert r.msetnx({"c": 4, "d": 5}) is False
    assert r.getdel("c") == "3"
    assert r.exists("a", "b", "c") == 2


def test_numbers(r):
    assert r.incr("n") == 1
    assert r.incrby("n", 41) == 42
    assert r.decr("n", 2) == 40
    assert r.incrbyfloat("f", 1.5) == 1.5
    r.set("text", "x")
    with pytest.raises(redis.ResponseError, match="value is not an integer"):
        r.incr("text")


def test_keys_and_times(r):
    r.set("k", "v", ex=100)
    assert 90 < r.ttl("k") <= 100
    assert r.persist("k") is True
    assert r.ttl("k") == -1
    assert r.ttl("nothing") == -2
    assert r.expire("k", 50) is True
    assert r.pexpireat("k", 4102444800000) is True
    assert r.getex("k", persist=True) == "v"
    assert r.rename("k", "l") is True
    assert r.renamenx("l", "m") is True
    assert r.copy("m", "n") is True
    assert r.type("m") == "string"
    assert r.touch("m", "n", "nothing") == 2
    assert r.randomkey() in ("m", "n")
    assert sorted(r.keys("*")) == ["m", "n"]
    assert r.unlink("m") == 1
    assert r.delete("n", "nothing") == 1
    with pytest.raises(redis.ResponseError, match="no such key"):
        r.rename("nothing", "k")


def test_databases(server, r):
    other = redis.Redis(port=server.port, db=5, decode_responses=True)
    r.set("k", "0")
    other.set("k", "5")
    assert (r.get("k"), other.get("k")) == ("0", "5")
    assert r.dbsize() == 1
    other.flushdb()
    assert (r.exists("k"), other.exists("k")) == (1, 0)
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        redis.Redis(port=server.port, db=99).ping()


@pytest.mark.not_on("redis", "it is 7.0")
def test_the_server_about_itself(r):
    info = r.info()
    assert info["redis_version"].startswith("7.2")
    assert info["role"] == "master" and info["loading"] == 0
    assert r.info("keyspace") == {}
    r.set("k", "v")
    assert r.info("keyspace")["db0"]["keys"] == 1
    assert r.config_get("max*")["maxclients"]
    assert r.config_set("timeout", 0) is True
    assert r.client_setname("me") is True
    assert r.client_getname() == "me"
    assert [c["name"] for c in r.client_list() if c["id"] == str(r.client_id())] == ["me"]
    assert r.command_count() == len(r.command())
    assert r.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    seconds, micros = r.time()
    assert seconds > 1700000000 and 0 <= micros < 1000000


def test_bytes(raw):
    key, value = bytes(range(256)), bytes(reversed(range(256))) * 1000
    assert raw.set(key, value)
    assert raw.get(key) == value
    assert raw.keys() == [key]


def test_large_values(raw):
    value = b"x" * (20 << 20)
    assert raw.set("big", value)
    assert raw.get("big") == value


# ---- Pipelines and transactions


def test_a_pipeline_without_transaction(r):
    pipe = r.pipeline(transaction=False)
    for i in range(10000):
        pipe.set(f"k{i}", i)
    for i in range(10000):
        pipe.get(f"k{i}")
    replies = pipe.execute()
    assert replies == [True] * 10000 + [str(i) for i in range(10000)]


def test_errors_within_a_pipeline(r):
    pipe = r.pipeline(transaction=False)
    pipe.set("k", "x").incr("k").get("k")
    ok, error, value = pipe.execute(raise_on_error=False)
    assert (ok, value) == (True, "x")
    assert isinstance(error, redis.ResponseError)


def test_a_transaction(r):
    with r.pipeline() as pipe:
        assert pipe.set("a", 1).incr("a").mget("a", "b").execute() == [True, 2, ["2", None]]


def test_a_transaction_with_an_error_in_the_middle(r):
    r.set("text", "x")
    with r.pipeline() as pipe:
        pipe.set("a", 1).incr("text").set("b", 2)
        replies = pipe.execute(raise_on_error=False)
    assert isinstance(replies[1], redis.ResponseError)
    assert r.mget("a", "b") == ["1", "2"]


def test_watch_sees_a_change(server, r):
    other = redis.Redis(port=server.port)
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.watch("k")
        value = int(pipe.get("k"))
        other.incr("k")
        pipe.multi()
        pipe.set("k", value * 10)
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert r.get("k") == "2"


def test_watch_without_a_change(r):
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.watch("k")
        value = int(pipe.get("k"))
        pipe.multi()
        pipe.set("k", value * 10)
        assert pipe.execute() == [True]
    assert r.get("k") == "10"


def test_optimistic_counting_by_many(server, r):
    """transaction() retries until EXEC goes through: no increment may be lost."""
    r.set("n", 0)

    def count():
        mine = redis.Redis(port=server.port)
        for _ in range(50):
            mine.transaction(add_one, "n")

    def add_one(pipe):
        value = int(pipe.get("n"))
        pipe.multi()
        pipe.set("n", value + 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("n") == "200"


# ---- Walks


def test_scan_iter_finds_every_key(r):
    wanted = {f"user:{i}" for i in range(5000)}
    r.mset({key: "x" for key in wanted} | {"other": 1})
    assert set(r.scan_iter(match="user:*", count=100)) == wanted
    assert set(r.scan_iter(_type="string")) == wanted | {"other"}
    assert list(r.scan_iter(_type="list")) == []


def test_scan_by_hand_while_keys_come(r):
    r.mset({f"k{i}": "x" for i in range(2000)})
    found, cursor, turn = set(), None, 0
    while cursor != 0:
        cursor, keys = r.scan(cursor or 0, count=50)
        found.update(keys)
        r.set(f"new{turn}", "x")
        turn += 1
    assert {f"k{i}" for i in range(2000)} <= found


# ---- Messages


def listen(pubsub, count):
    """The next messages, confirmations too."""
    found = []
    deadline = time.monotonic() + TIMEOUT
    while len(found) < count:
        assert time.monotonic() < deadline, found
        message = pubsub.get_message(timeout=1)
        if message is not None:
            found.append(message)
    return found


def test_messages(r):
    with r.pubsub() as pubsub:
        pubsub.subscribe("c", "d")
        pubsub.psubscribe("news.*")
        assert [m["data"] for m in listen(pubsub, 3)] == [1, 2, 3]
        with r.pipeline(transaction=False) as pipe:
            for i in range(100):
                pipe.publish("c", i)
            assert pipe.execute() == [1] * 100
        assert r.publish("news.today", "rain") == 1
        assert [m["data"] for m in listen(pubsub, 100)] == [str(i) for i in range(100)]
        assert listen(pubsub, 1) == [
            {"type": "pmessage", "pattern": "news.*", "channel": "news.today", "data": "rain"}
        ]
        assert sorted(r.pubsub_channels()) == ["c", "d"]
        assert r.pubsub_numsub("c", "nobody") == [("c", 1), ("nobody", 0)]
        assert r.pubsub_numpat() == 1
        pubsub.ping()
        assert listen(pubsub, 1)[0]["type"] == "pong"
        pubsub.unsubscribe("c")
        assert listen(pubsub, 1)[0]["type"] == "unsubscribe"
        assert r.publish("c", "unheard") == 0


def test_messages_within_a_transaction(r):
    with r.pubsub() as pubsub:
        pubsub.subscribe("c")
        listen(pubsub, 1)
        with r.pipeline() as pipe:
            assert pipe.set("k", "v").publish("c", "done").execute() == [True, 1]
        assert listen(pubsub, 1)[0]["data"] == "done"


def test_a_thread_that_listens(r):
    got = []
    done = threading.Event()

    def note(message):
        got.append(message["data"])
        if len(got) == 100:
            done.set()

    pubsub = r.pubsub()
    pubsub.subscribe(c=note)
    thread = pubsub.run_in_thread(sleep_time=0.01)
    wait_until(lambda: r.pubsub_numsub("c") == [("c", 1)])
    for i in range(100):
        assert r.publish("c", i) == 1
    assert done.wait(TIMEOUT)
    thread.stop()
    thread.join()
    assert got == [str(i) for i in range(100)]


def test_keyspace_events(r):
    r.config_set("notify-keyspace-events", "KEA")
    with r.pubsub() as pubsub:
        pubsub.psubscribe("__key*@0__:*")
        listen(pubsub, 1)
        r.set("k", "v")
        r.delete("k")
        told = [(m["channel"], m["data"]) for m in listen(pubsub, 4)]
    r.config_set("notify-keyspace-events", "")
    assert told == [
        ("__keyspace@0__:k", "set"),
        ("__keyevent@0__:set", "k"),
        ("__keyspace@0__:k", "del"),
        ("__keyevent@0__:del", "k"),
    ]


def test_tracking(server, r):
    """Invalidations in RESP2: as messages to the connection to which they are redirected."""
    with r.pubsub() as pubsub:
        pubsub.execute_command("CLIENT", "ID")
        target = pubsub.parse_response()
        pubsub.subscribe("__redis__:invalidate")
        listen(pubsub, 1)
        reader = redis.Redis(port=server.port, decode_responses=True, single_connection_client=True)
        assert reader.client_tracking_on(clientid=target) == "OK"
        assert reader.client_trackinginfo()[3] == target
        r.mset({"a": 1, "b": 2, "other": 3})
        assert reader.mget("a", "b") == ["1", "2"]
        r.set("other", 4)
        r.set("a", 5)
        r.delete("b")
        assert sorted(m["data"] for m in listen(pubsub, 2)) == [["a"], ["b"]]
        reader.close()


# ---- Connections


def test_a_pool_shared_by_threads(server, r):
    pool = redis.BlockingConnectionPool(port=server.port, max_connections=4, timeout=60)

    def count():
        mine = redis.Redis(connection_pool=pool)
        for _ in range(250):
            mine.incr("n")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("n") == "2000"
    pool.disconnect()


def test_passwords(start_server):
    server = start_server(requirepass="sesame")
    assert redis.Redis(port=server.port, password="sesame").ping()
    assert redis.Redis(port=server.port, username="default", password="sesame").ping()
    with pytest.raises(redis.ResponseError, match="WRONGPASS"):
        redis.Redis(port=server.port, password="wrong").ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=server.port).ping()


def test_it_reconnects_when_its_connection_is_killed(r, server):
    r.set("k", "v")
    admin = redis.Redis(port=server.port)
    assert admin.client_kill_filter(_type="normal") >= 1
    assert r.get("k") == "v"


def test_shutdown(own_server):
    redis.Redis(port=own_server.port).set("k", "v")
    redis.Redis(port=own_server.port).shutdown()
    assert own_server.process.wait(timeout=60) == 0


def test_it_reconnects_when_the_server_comes_back(start_server, socket_path):
    """At a unix socket: somebody else may take a port meanwhile."""
    server = start_server(unixsocket=socket_path)
    r = redis.Redis(unix_socket_path=socket_path, decode_responses=True)
    pubsub = r.pubsub()
    pubsub.subscribe("c")
    listen(pubsub, 1)
    r.set("k", "kept")
    server.kill()
    with pytest.raises(redis.ConnectionError):
        r.get("k")
    with pytest.raises(redis.ConnectionError):
        listen(pubsub, 1)
    server.start()
    assert r.get("k") == "kept"
    # It subscribes again by itself.
    assert listen(pubsub, 1)[0]["type"] == "subscribe"
    assert r.publish("c", "again") == 1
    assert listen(pubsub, 1)[0]["data"] == "again"
    pubsub.close()
    r.close()
