# SPDX-License-Identifier: Apache-2.0
"""notify-keyspace-events: what each command tells, in which order and form."""

import pytest

from support.client import encode, wait_until

# Command: what it tells of keys, "key event".
TOLD = [
    ("SET k v", ["k new", "k set"]),
    ("SET k v EX 100", ["k set", "k expire"]),
    ("SET k v KEEPTTL", ["k set"]),
    ("SET k v NX", []),
    ("SET none v XX", []),
    ("SETEX k 100 v", ["k set", "k expire"]),
    ("PSETEX k 100000 v", ["k set", "k expire"]),
    ("SETNX k v", []),
    ("SETNX k2 v", ["k2 new", "k2 set"]),
    ("GETSET k w", ["k set"]),
    ("GETSET k3 w", ["k3 keymiss", "k3 new", "k3 set"]),
    ("GETDEL k3", ["k3 del"]),
    ("GETDEL k3", ["k3 keymiss"]),
    ("GETEX k", []),
    ("GETEX k EX 100", ["k expire"]),
    ("GETEX k PERSIST", ["k persist"]),
    ("GETEX k PERSIST", []),
    ("GETEX k PXAT 1", ["k del"]),
    ("GETEX k", ["k keymiss"]),
    ("MSET a 1 b 2", ["a new", "a set", "b new", "b set"]),
    ("MSETNX a 1 c 2", []),
    ("MSETNX c 1 d 2", ["c new", "c set", "d new", "d set"]),
    ("INCR a", ["a incrby"]),
    ("DECR a", ["a incrby"]),
    ("INCRBY a 3", ["a incrby"]),
    ("DECRBY a 2", ["a incrby"]),
    ("INCRBYFLOAT a 1.5", ["a incrbyfloat"]),
    ("INCR b x", []),
    ("APPEND b xx", ["b append"]),
    ("APPEND fresh xx", ["fresh new", "fresh append"]),
    ("SETRANGE b 1 zz", ["b setrange"]),
    ("SETRANGE none 0 ", []),
    ("DEL a b none", ["a del", "b del"]),
    ("UNLINK c", ["c del"]),
    ("EXPIRE d 100", ["d expire"]),
    ("PEXPIRE d 100000", ["d expire"]),
    ("EXPIREAT d 99999999999", ["d expire"]),
    ("PEXPIREAT d 99999999999999", ["d expire"]),
    ("EXPIRE d 100 NX", []),
    ("PERSIST d", ["d persist"]),
    ("PERSIST d", []),
    ("EXPIRE none 10", []),
    ("EXPIRE d -1", ["d del"]),
    ("SET s v", ["s new", "s set"]),
    ("RENAME s t", ["t new", "s rename_from", "t rename_to"]),
    ("RENAME t t", []),
    ("SET u v", ["u new", "u set"]),
    ("RENAME t u", ["u new", "t rename_from", "u rename_to"]),
    ("RENAMENX u w", ["w new", "u rename_from", "w rename_to"]),
    ("SET x v", ["x new", "x set"]),
    ("RENAMENX x w", []),
    ("COPY w y", ["y new", "y copy_to"]),
    ("COPY w y", []),
    ("COPY w y REPLACE", ["y new", "y copy_to"]),
    ("COPY none q", ["none keymiss"]),
    ("RENAME none q", []),
    ("TOUCH w none", ["none keymiss"]),
    ("EXISTS w none", ["none keymiss"]),
    ("TTL none", ["none keymiss"]),
    ("TYPE none", ["none keymiss"]),
    ("GET none", ["none keymiss"]),
    ("MGET none w", ["none keymiss"]),
    ("STRLEN none", ["none keymiss"]),
    ("GETRANGE none 0 1", ["none keymiss"]),
    ("SET w v GET", ["w set"]),
    ("SET none v XX GET", ["none keymiss"]),
    ("SETBIT bits 7 1", ["bits new", "bits setbit"]),
    ("BITFIELD bits SET u8 0 255", ["bits setbit"]),
    ("BITFIELD bits SET u8 0 255", []),
    ("BITFIELD bits INCRBY u8 0 -1 INCRBY u8 0 1", ["bits setbit"]),
    ("BITFIELD bits GET u8 0", []),
    ("BITOP NOT dest bits", ["dest new", "dest set"]),
    ("BITOP AND dest none none2", ["none keymiss", "none2 keymiss", "dest del"]),
    ("PFADD hll a b", ["hll new", "hll pfadd"]),
    ("PFADD hll a", []),
    ("PFMERGE hll2 hll", ["hll2 keymiss", "hll2 new", "hll2 pfadd"]),
    ("PFCOUNT none hll", ["none keymiss"]),
    ("RESTORE restored 0 PAYLOAD", ["restored new", "restored restore"]),
    ("RESTORE restored 0 PAYLOAD REPLACE", ["restored new", "restored restore"]),
    ("RESTORE restored 1 PAYLOAD REPLACE ABSTTL", ["restored del"]),
    ("SWAPDB 0 1", []),
    ("SWAPDB 0 1", []),
    ("RANDOMKEY", []),
    ("KEYS *", []),
    ("FLUSHDB", []),
]


def listen(server, flags, pattern="*"):
    server.connect()("CONFIG", "SET", "notify-keyspace-events", flags)
    listener = server.connect()
    listener.send_command("PSUBSCRIBE", pattern)
    listener.read()
    return listener


def told(listener, end=b"end"):
    """What has been told until a message that says the end."""
    found = []
    while end not in (message := listener.read())[2:]:
        found.append((message[2].decode(), message[3].decode()))
    return found


@pytest.fixture
def quiet(server):
    yield server
    server.connect()("CONFIG", "SET", "notify-keyspace-events", "")


def test_what_each_command_tells(quiet):
    listener = listen(quiet, "KAnm")
    client = quiet.connect()
    client("SET", "end", "v")
    payload = client("DUMP", "end")
    client("DEL", "end")
    told(listener, b"del")
    for command, expected in TOLD:
        client(*[payload if word == "PAYLOAD" else word for word in command.split(" ")])
        # Events reach the listener as they happen, the end after all before it has been told.
        client("SET", "end", "v")
        client("DEL", "end")
        found = []
        while True:
            channel, event = (part.decode() for part in listener.read()[2:])
            key = channel.removeprefix("__keyspace@0__:")
            if key == "end":
                if event == "del":
                    break
                continue
            found.append(f"{key} {event}")
        # Of several keys, each tells its own in order; on several loops that is all.
        assert sorted(found) == sorted(expected), command
        for key in {line.split()[0] for line in expected}:
            mine = [line for line in found if line.startswith(key + " ")]
            assert mine == [line for line in expected if line.startswith(key + " ")], command


def test_forms_classes_and_databases(quiet):
    client = quiet.connect()
    listener = listen(quiet, "KE$")
    client("SELECT", 3)
    client("SET", "a key\r\n", "v", "EX", 100)
    client("PUBLISH", "end", "")
    client("DEL", "a key\r\n")
    assert told(listener)[:2] == [
        ("__keyspace@3__:a key\r\n", "set"),
        ("__keyevent@3__:set", "a key\r\n"),
    ]
    listener = listen(quiet, "Eg", "__keyevent@3__:*")
    client("SET", "k", "v")
    client("EXPIRE", "k", 100)
    client("DEL", "k")
    assert listener.read()[2:] == [b"__keyevent@3__:expire", b"k"]
    assert listener.read()[2:] == [b"__keyevent@3__:del", b"k"]


def test_a_channel_of_one_key(quiet):
    client = quiet.connect()
    client("CONFIG", "SET", "notify-keyspace-events", "KA")
    listener = quiet.connect(protocol=3)
    listener.send_command("SUBSCRIBE", "__keyspace@0__:mine")
    listener.read()
    client("MSET", "other", 1, "mine", 1)
    assert listener.read() == [b"message", b"__keyspace@0__:mine", b"set"]


def test_a_key_that_moves(quiet):
    listener = listen(quiet, "KAn")
    client = quiet.connect()
    client("SET", "k", "v")
    client("MOVE", "k", 3)
    told_here = [(message[2], message[3]) for message in (listener.read() for _ in range(5))]
    assert sorted(told_here[2:]) == [
        (b"__keyspace@0__:k", b"move_from"),
        (b"__keyspace@3__:k", b"move_to"),
        (b"__keyspace@3__:k", b"new"),
    ]


def test_an_aborted_or_failed_transaction_tells_nothing(quiet):
    listener = listen(quiet, "KA")
    client = quiet.connect()
    client.pipeline("MULTI", "SET k v", "DISCARD")
    client("WATCH", "k")
    quiet.connect()("SET", "k", "x")
    client.pipeline("MULTI", "SET k v", "DEL k", "EXEC")
    client.pipeline("MULTI", "APPEND k y", "INCR k", "DEL k", "EXEC")
    assert [listener.read()[3] for _ in range(3)] == [b"set", b"append", b"del"]


def test_expired(quiet):
    listener = listen(quiet, "Ex")
    client = quiet.connect()
    client.pipeline("SET a v PX 1", "SET b v PX 20", "SET c v EX 1000")
    assert sorted(listener.read()[3] for _ in range(2)) == [b"a", b"b"]
    client("SELECT", 5)
    client("SET", "d", "v", "PX", 1)
    assert listener.read()[2:] == [b"__keyevent@5__:expired", b"d"]


def test_a_key_has_expired_before_it_is_set_anew(quiet):
    listener = listen(quiet, "KAn")
    client = quiet.connect()
    client("SET", "k", "v", "PX", 1)
    wait_until(lambda: client("EXISTS", "k") == 0)
    client("SET", "k", "v")
    events = [listener.read()[3] for _ in range(6)]
    assert events == [b"new", b"set", b"expire", b"expired", b"new", b"set"]


def test_events_of_a_key_are_in_order_whoever_writes(quiet):
    listener = listen(quiet, "K$", "__keyspace@0__:k")
    writers = [quiet.connect() for _ in range(4)]
    count = 100
    for writer in writers:
        pipeline = [encode("APPEND", "k", "x"), encode("MSET", "other", 1, "k", 2)]
        writer.send(b"".join(pipeline) * count)
    for writer in writers:
        for _ in range(count):
            assert isinstance(writer.read_reply(), int)
            assert writer.read_reply() == "OK"
    events = [listener.read()[3] for _ in range(2 * count * len(writers))]
    assert events.count(b"append") == events.count(b"set") == count * len(writers)


def test_whoever_is_told_finds_the_change(quiet):
    listener = listen(quiet, "E$")
    writer = quiet.connect()
    reader = quiet.connect()
    for n in range(100):
        writer.send(encode("SET", f"k{n % 5}", n))
        key = listener.read()[3]
        assert int(reader("GET", key)) == n
        assert writer.read_reply() == "OK"


@pytest.mark.ferric_only("Redis has lost them by then")
def test_nothing_is_told_of_a_replay(own_server):
    own_server.connect().pipeline("SET a 1", "SET b 2 PX 1")
    own_server.crash_and_restart()
    listener = listen(own_server, "KA")
    own_server.connect()("SET", "c", 1)
    first = listener.read()
    while first[3] == b"expired":
        first = listener.read()
    assert first[2:] == [b"__keyspace@0__:c", b"set"]


def test_the_setting(own_server):
    client = own_server.connect()

    def get():
        return client("CONFIG", "GET", "notify-keyspace-events")[1].decode()

    assert get() == ""
    for flags, shown in (("gKE", "gKE"), ("KA", "AK"), ("EKm", "KEm"), ("g$lshzxetdKE", "AKE")):
        assert client("CONFIG", "SET", "notify-keyspace-events", flags) == "OK"
        assert get() == shown
    refusal = client("CONFIG", "SET", "notify-keyspace-events", "Kq")
    assert "Invalid event class character" in refusal
    assert get() == "AKE"
