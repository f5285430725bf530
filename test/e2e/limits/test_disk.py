# SPDX-License-Identifier: Apache-2.0
"""A disk that is nearly full, by a limit that is set too high for this one; a disk that really is
full is test/crash/disk_full.py.
"""

import pytest

from support.client import Error, wait_until

pytestmark = pytest.mark.ferric_only("disk-free-low is Ferric's own")


def is_pressed(server):
    return server.info()["disk_pressure"] == "1"


def press(server, client):
    assert client("CONFIG", "SET", "disk-free-low", "100%") == "OK"
    wait_until(lambda: is_pressed(server))


def is_refused(reply):
    return isinstance(reply, Error) and str(reply).startswith("MISCONF The disk of ")


def test_growth_is_refused_and_deletes_are_not(own_server):
    client = own_server.connect()
    for key in "abcdef":
        assert client("SET", key, "1") == "OK"
    assert client("CONFIG", "GET", "disk-free-low") == [b"disk-free-low", b"0"]
    press(own_server, client)
    for words in ("SET a 2", "INCR a", "APPEND a 1", "MSET a 1 b 2", "PFADD h x", "COPY a z"):
        assert is_refused(client(*words.split())), words
    reply = client("SET", "a", "2")
    assert str(own_server.directory) in str(reply) and "free)" in str(reply)
    assert client("GET", "a") == b"1"
    assert client("DEL", "b") == 1
    assert client("UNLINK", "c") == 1
    assert client("GETDEL", "d") == b"1"
    assert client("EXPIRE", "a", "100") == 1
    assert client("PERSIST", "a") == 1
    assert client("PEXPIRE", "e", "1") == 1
    wait_until(lambda: client("EXISTS", "e") == 0)
    assert client("SAVE") == "OK"
    assert own_server.info()["aof_last_write_status"] == "err"
    own_server.crash_and_restart()
    client = own_server.connect()
    assert client("EXISTS", "b", "c", "d", "e") == 0
    assert client("MGET", "a", "f") == [b"1", b"1"]
    assert client("SET", "a", "2") == "OK"


def test_a_transaction_goes_by_what_is_in_it(own_server):
    client = own_server.connect()
    assert client("MSET", "a", "1", "b", "2") == "OK"
    press(own_server, client)
    client("MULTI")
    client("DEL", "a")
    client("INCR", "b")
    assert is_refused(client("EXEC"))
    assert client("MGET", "a", "b") == [b"1", b"2"]
    client("MULTI")
    client("DEL", "a")
    client("GET", "b")
    assert client("EXEC") == [1, b"2"]
    assert client("FLUSHALL") == "OK"


def test_it_ends_without_a_restart(own_server):
    client = own_server.connect()
    assert client("SET", "a", "1") == "OK"
    press(own_server, client)
    log = own_server.log()
    assert log.count("disk pressure: ") == 1
    assert client("CONFIG", "SET", "disk-free-low", "1mb") == "OK"
    wait_until(lambda: client("SET", "a", "2") == "OK")
    assert not is_pressed(own_server)
    assert own_server.log().count("disk pressure has ended") == 1


def test_the_reserve_has_blocks_of_its_own(start_server):
    server = start_server(disk_reserve="8mb")
    reserve = server.directory / "data" / "reserve"
    wait_until(reserve.exists)
    assert reserve.stat().st_size == 8 << 20
    assert reserve.stat().st_blocks * 512 >= 8 << 20
    assert server.connect()("SET", "a", "1") == "OK"
    made = reserve.stat().st_ino
    server.restart()
    assert reserve.stat().st_ino == made
    assert server.info()["disk_reserve_bytes"] == str(8 << 20)
    server.restart(disk_reserve="0")
    wait_until(lambda: not reserve.exists())
    assert server.connect()("GET", "a") == b"1"
