# SPDX-License-Identifier: Apache-2.0
"""How the server ends, who may come in, and what it does when there is nothing to do."""

import re
import signal
import socket
import time

import pytest

from support.client import Client, Closed, Error, encode, wait_until

# ---- The end


def end(server, how, expected=0):
    client = server.connect()
    assert client("SET", "k", "v") == "OK"
    how(server, client)
    assert server.process.wait(timeout=60) == expected
    server.process = None
    server.close_clients()


def by_signal(number):
    return lambda server, client: server.process.send_signal(number)


def by_many_signals(server, client):
    """To its very end."""
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.001)


def by_command(*words):
    return lambda server, client: client.send_command("SHUTDOWN", *words)


ENDS = {
    "SIGTERM": by_signal(signal.SIGTERM),
    "SIGTERM again and again": by_many_signals,
    "SIGINT": by_signal(signal.SIGINT),
    "SHUTDOWN": by_command(),
    "SHUTDOWN NOSAVE": by_command("NOSAVE"),
    "SHUTDOWN SAVE": by_command("save"),
    "SHUTDOWN NOW FORCE": by_command("NOW", "FORCE"),
}


@pytest.mark.parametrize("name", ENDS)
def test_nothing_is_lost_whatever_the_end(own_server, name):
    end(own_server, ENDS[name])
    own_server.start()
    assert own_server.connect()("GET", "k") == b"v"


@pytest.mark.ferric_only("checkpoints are Ferric's own")
@pytest.mark.parametrize("name", ENDS)
def test_an_orderly_end_leaves_nothing_to_replay(own_server, name):
    end(own_server, ENDS[name])
    own_server.start()
    replayed = int(own_server.info()["replayed_commands"])
    assert replayed == (1 if name == "SHUTDOWN NOSAVE" else 0)
    assert own_server.log().count("bye") == 1


@pytest.mark.ferric_only("Redis ends without sending what it owes")
def test_what_was_sent_before_the_end_is_answered(own_server):
    """A pipeline that ends in SHUTDOWN: everything in front of it is done and answered."""
    client = own_server.connect()
    client.send(encode("INCR", "n") * 500 + encode("SHUTDOWN") + encode("INCR", "n"))
    replies = client.read_until_closed()
    assert replies == b"".join(b":%d\r\n" % (i + 1) for i in range(500))
    assert own_server.process.wait(timeout=60) == 0
    own_server.process = None
    own_server.start()
    assert own_server.connect()("GET", "n") == b"500"


def test_clients_that_do_not_read_do_not_hold_up_the_end(own_server):
    client = own_server.connect()
    client("SET", "k", b"x" * 60000)
    client.socket.settimeout(1)
    try:
        while True:
            client.socket.send(encode("GET", "k") * 100)
    except TimeoutError:
        pass
    assert own_server.process.poll() is None
    own_server.process.terminate()
    assert own_server.process.wait(timeout=60) == 0
    own_server.process = None


def test_half_commands_do_not_hold_up_the_end(own_server):
    clients = [own_server.connect() for _ in range(20)]
    for client in clients:
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nxxx")
    assert own_server.connect()("PING") == "PONG"
    assert own_server.stop() == 0


@pytest.mark.ferric_only("Redis takes a while to notice")
def test_an_end_under_load(own_server):
    clients = [own_server.connect() for _ in range(20)]
    for client in clients:
        client.send(encode("INCR", "n") * 2000)
    answered = [client.read() for client in clients]
    assert len(answered) == 20
    own_server.process.terminate()
    totals = []
    for client in clients:
        text = client.read_until_closed()
        totals += [int(n) for n in re.findall(rb":(\d+)\r\n", text)]
    assert own_server.process.wait(timeout=60) == 0
    own_server.process = None
    own_server.start()
    assert int(own_server.connect()("GET", "n")) >= max(totals + answered)


def test_a_closed_terminal_is_no_reason_to_end(own_server):
    client = own_server.connect()
    own_server.process.send_signal(signal.SIGHUP)
    own_server.process.send_signal(signal.SIGPIPE)
    assert client("SET", "k", "v") == "OK"


# ---- Who may come in


def test_protected_mode(start_server, address):
    server = start_server(bind=f"127.0.0.1 {address}")
    with Client(server.port, host=address) as stranger:
        reply = stranger.read()
        assert isinstance(reply, Error) and reply.startswith("DENIED ")
        assert stranger.is_closed()
    client = server.connect()
    assert client("PING") == "PONG"
    assert client("CONFIG", "SET", "protected-mode", "no") == "OK"
    with Client(server.port, host=address) as stranger:
        assert stranger("PING") == "PONG"


def test_a_password_ends_protected_mode(start_server, address):
    server = start_server(bind=f"127.0.0.1 {address}", requirepass="sesame")
    with Client(server.port, host=address) as stranger:
        assert stranger("PING") == Error("NOAUTH Authentication required.")
        assert stranger("AUTH", "sesame") == "OK"
        assert stranger("PING") == "PONG"


def test_idle_clients_are_closed_if_that_is_wanted(start_server):
    server = start_server(timeout=1)
    idle, busy = server.connect(), server.connect()
    idle("PING")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(busy("CLIENT", "LIST").splitlines()) > 1:
        pass
    assert idle.is_closed()
    assert busy("PING") == "PONG"


def test_idle_clients_stay_while_the_cron_is_paused(start_server):
    server = start_server()
    idle, busy = server.connect(), server.connect()
    assert busy("DEBUG", "PAUSE-CRON", 1) == "OK"
    assert busy("CONFIG", "SET", "timeout", 2) == "OK"
    time.sleep(3.5)
    assert idle("PING") == "PONG"
    assert busy("DEBUG", "PAUSE-CRON", 0) == "OK"
    wait_until(lambda: len(busy("CLIENT", "LIST").splitlines()) == 1)
    assert idle.is_closed()


def test_ipv6(start_server):
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback")
    server = start_server(bind="127.0.0.1 ::1 -192.0.2.255")
    with Client(server.port, host="::1") as client:
        assert client("PING") == "PONG"
        assert b"addr=[::1]:" in client("CLIENT", "INFO")


# ---- Nothing to do


def wakeups(client):
    return int(re.search(rb"loop_wakeups:(\d+)", client("INFO", "server")).group(1))


@pytest.mark.ferric_only("Redis wakes up hz times a second")
@pytest.mark.parametrize("what", ["empty", "keys", "times of death"])
def test_an_idle_server_sleeps(own_server, what):
    client = own_server.connect()
    if what != "empty":
        more = [] if what == "keys" else ["EX", 3600]
        client.pipeline(*[("SET", f"k{i}", "v", *more) for i in range(1000)])
        # The checkpoint that follows is work, not idleness.
        wait_until(lambda: own_server.info()["unwritten_bytes"] == "0")
    others = [own_server.connect() for _ in range(100)]
    assert all(other("PING") == "PONG" for other in others)
    first = quiet_start(client)
    time.sleep(3)
    woken = wakeups(client) - first
    print(f"{woken / 3:.1f} wake-ups a second")
    assert woken <= 3 * 5


def quiet_start(client):
    """Lets what was begun come to rest, then counts from there."""
    time.sleep(1)
    return wakeups(client)
