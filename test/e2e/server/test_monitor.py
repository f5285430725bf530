# SPDX-License-Identifier: Apache-2.0
"""MONITOR shows what others do, as it is done."""

import re
import time

import pytest

from support.client import Error
from support.client import wait_until
from support.server import Server

LINE = re.compile(r"\d+\.\d{6} \[(\d+) ([^\]]+)\] (.*)$")


def monitor(server, protocol=2):
    client = server.connect(protocol=protocol)
    assert client("MONITOR") == "OK"
    return client


def shown(monitor, count):
    return [LINE.match(str(monitor.read_reply())).groups() for _ in range(count)]


def words(monitor, count):
    return [line[2] for line in shown(monitor, count)]


def test_a_line(server):
    watcher, client = monitor(server), server.connect()
    client("SET", "k", 'a"b\\c\r\n\x01é')
    client("SELECT", 3)
    client("GET", "k")
    lines = shown(watcher, 3)
    host, port = client.socket.getsockname()
    assert {line[1] for line in lines} == {f"{host}:{port}"}
    assert [line[0] for line in lines] == ["0", "3", "3"]
    assert lines[0][2] == r'"SET" "k" "a\"b\\c\r\n\x01\xc3\xa9"'


def test_every_byte(server):
    watcher, client = monitor(server), server.connect()
    client("ECHO", bytes(range(256)))
    letters = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 13: r"\r", 34: r"\"", 92: r"\\"}
    forms = [chr(c) if 32 <= c < 127 else rf"\x{c:02x}" for c in range(256)]
    for c, form in letters.items():
        forms[c] = form
    assert words(watcher, 1) == [f'"ECHO" "{"".join(forms)}"']


@pytest.mark.ferric_only("it has a limit for what waits for a monitor")
def test_a_line_longer_than_may_wait_ends_the_monitor(server):
    watcher, client = monitor(server), server.connect()
    assert client("SET", "k", b"\0" * (9 << 20)) == "OK"
    assert watcher.read_until_closed() == b""
    assert client("STRLEN", "k") == 9 << 20
    assert "it does not read what it monitors" in server.log()


def test_a_pipeline_is_shown_in_its_order(any_client, server):
    watcher = monitor(server, protocol=3)
    any_client.pipeline(*[("INCR", f"n{i}") for i in range(50)])
    assert words(watcher, 50) == [f'"INCR" "n{i}"' for i in range(50)]


def test_a_transaction(server):
    watcher, client = monitor(server), server.connect()
    client("MULTI")
    client("SET", "k", "v")
    client("PING")
    client("EXEC")
    assert [line.lower() for line in words(watcher, 4)] == [
        '"multi"',
        '"set" "k" "v"',
        '"ping"',
        '"exec"',
    ]


def test_what_fails_before_it_runs_is_not_shown(server):
    watcher, client = monitor(server), server.connect()
    client("NOSUCH")
    client("SET", "k")
    client("CONFIG", "GET", "maxclients")
    client("ECHO", "end")
    assert words(watcher, 1) == ['"ECHO" "end"']


def test_secrets_are_left_out(server):
    watcher, client = monitor(server), server.connect()
    client("AUTH", "secret")
    client("AUTH", "user", "secret")
    client("HELLO", 2, "AUTH", "user", "secret")
    assert words(watcher, 3) == [
        '"AUTH" "(redacted)"',
        '"AUTH" "(redacted)" "(redacted)"',
        '"HELLO" "2" "AUTH" "(redacted)" "(redacted)"',
    ]


def test_secrets_of_renamed_commands_are_left_out(tmp_path):
    with Server(tmp_path, file="rename-command AUTH open\nrename-command CONFIG conf\n") as server:
        watcher, client = monitor(server), server.connect()
        client("CONF", "SET", "slowlog-log-slower-than", 0, "requirepass", "secret")
        client("OPEN", "secret")
        assert words(watcher, 1) == ['"OPEN" "(redacted)"']
        kept = [entry[3] for entry in client("SLOWLOG", "GET", 2)]
        assert kept[0] == [b"OPEN", b"(redacted)"]
        assert kept[1][-2:] == [b"requirepass", b"(redacted)"]


def test_a_command_that_is_begun_again_is_shown_and_counted_once(own_server):
    """WATCH of a key that has just fallen due waits for the clock, and is looked at anew."""
    watcher, client = monitor(own_server), own_server.connect()
    client("CONFIG", "RESETSTAT")
    for nth in range(20):
        client("SET", f"k{nth}", "v", "PX", 5)
        due = time.monotonic() + 0.006
        wait_until(lambda: time.monotonic() > due)
        client("WATCH", f"k{nth}")
    lines = words(watcher, 1)
    client("ECHO", "end")
    while '"ECHO"' not in lines[-1]:
        lines += words(watcher, 1)
    assert sum(line.startswith('"WATCH"') for line in lines) == 20
    assert b"cmdstat_watch:calls=20," in client("INFO", "commandstats")


def test_several_monitors(server):
    watchers, client = [monitor(server) for _ in range(4)], server.connect()
    client("ECHO", "x")
    for watcher in watchers:
        assert '"ECHO" "x"' in words(watcher, 1)


def test_a_monitor_is_listed_and_ends_with_reset(server):
    watcher, client = monitor(server), server.connect()
    number = server.connect()
    assert "flags=O" in client("CLIENT", "LIST").decode()
    del number
    watcher.send_command("RESET")
    reply = watcher.read_reply()
    while reply != "RESET":
        reply = watcher.read_reply()
    client("ECHO", "unseen")
    assert watcher("PING") == "PONG"


def test_not_in_a_transaction(server):
    client = server.connect()
    client("MULTI")
    client("MONITOR")
    assert client("EXEC") == [Error("ERR MONITOR isn't allowed for DENY BLOCKING client")]


def test_a_monitor_is_not_idle(own_server):
    watcher, idle = monitor(own_server), own_server.connect()
    with own_server.connect() as client:
        client("CONFIG", "SET", "timeout", 1)
    assert idle.read_until_closed() == b""
    with own_server.connect() as client:
        client("ECHO", "x")
    assert words(watcher, 1) == ['"ECHO" "x"']


def test_killing_a_monitor(server):
    watcher, client = server.connect(), server.connect()
    number = watcher("CLIENT", "ID")
    watcher("MONITOR")
    assert client("CLIENT", "KILL", "ID", number) == 1
    wait_until(lambda: "flags=O" not in client("CLIENT", "LIST").decode())
    assert client("ECHO", "x") == b"x"
