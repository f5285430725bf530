# SPDX-License-Identifier: Apache-2.0
"""How the server is reached, and what it goes by: sockets, addresses, names of commands."""

import os
import socket
import stat

import pytest

from support.client import Client, wait_until
from support.server import Server


@pytest.fixture
def fresh(tmp_path):
    made = []

    def make(**options):
        made.append(Server(tmp_path / f"data{len(made)}", **options))
        return made[-1]

    yield make
    for server in made:
        server.kill()


# ---- Unix sockets


def test_a_unix_socket(start_server, socket_path):
    server = start_server(unixsocket=socket_path, unixsocketperm=700)
    assert stat.S_IMODE(os.stat(socket_path).st_mode) == 0o700
    with Client(None, path=socket_path) as client:
        assert client("SET", "k", "v") == "OK"
        info = client("CLIENT", "INFO").decode()
        assert f"addr={socket_path}:0 laddr={socket_path}:0 " in info
        assert " flags=U " in info
        got = client("CONFIG", "GET", "unixsocket", "unixsocketperm")
        assert dict(zip(got[::2], got[1::2])) == {
            b"unixsocket": socket_path.encode(),
            b"unixsocketperm": b"700",
        }
        assert client("CLIENT", "KILL", f"{socket_path}:0") == "OK"
    assert server.connect()("GET", "k") == b"v"
    server.stop()
    assert not os.path.exists(socket_path)


def test_a_unix_socket_that_was_left_behind(start_server, socket_path):
    server = start_server(unixsocket=socket_path)
    server.crash_and_restart()
    with Client(None, path=socket_path) as client:
        assert client("PING") == "PONG"


@pytest.mark.ferric_only("Redis takes it away from whoever listens there")
def test_a_unix_socket_that_is_in_use(start_server, fresh, socket_path):
    start_server(unixsocket=socket_path)
    said = fresh().refuses_to_start(unixsocket=socket_path)
    assert f"cannot listen on {socket_path}" in said and "give another --unixsocket" in said


@pytest.mark.ferric_only("it tells when it is ready")
@pytest.mark.parametrize("options", [{"port": 0}, {"bind": ""}], ids=["port 0", "no bind"])
def test_no_port_beside_a_unix_socket(fresh, socket_path, options):
    server = fresh(unixsocket=socket_path)
    server.begin(**options)
    wait_for_socket(server, socket_path)
    with Client(None, path=socket_path) as client:
        ports = client("INFO", "server").decode()
        while "LOADING" in str(client("PING")):
            pass
        assert client("SET", "k", "v") == "OK"
    if "port" in options:
        assert "tcp_port:0\r\n" in ports
    listening = open(f"/proc/{server.process.pid}/net/tcp").read().splitlines()[1:]
    inodes = {line.split()[9] for line in listening if line.split()[3] == "0A"}
    mine = {os.readlink(f"/proc/{server.process.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{server.process.pid}/fd")}
    assert not {f"socket:[{inode}]" for inode in inodes} & mine


def is_listening(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def wait_for_socket(server, path):
    """Until somebody listens there, or the server has ended."""
    wait_until(lambda: is_listening(path) or server.process.poll() is not None, timeout=60)
    assert server.process.poll() is None, server.log()


@pytest.mark.ferric_only("the text is Ferric's own")
def test_nowhere_to_listen(fresh):
    assert "no address of 'bind' could be listened on" in fresh().refuses_to_start(bind="")


# ---- Addresses


@pytest.mark.parametrize("bind", ["127.0.0.1 127.0.0.2", "*", "* -::*", "-192.0.2.255 127.0.0.1",
                                  "127.0.0.1 -::1 -2001:db8::1"])
def test_bind(start_server, bind):
    server = start_server(bind=bind)
    assert server.connect()("CONFIG", "GET", "bind") == [b"bind", bind.encode()]
    if "127.0.0.2" in bind:
        with Client(server.port, host="127.0.0.2") as client:
            assert client("PING") == "PONG"


def test_keepalive_is_taken(start_server):
    client = start_server(tcp_keepalive=60).connect()
    assert client("CONFIG", "GET", "tcp-keepalive") == [b"tcp-keepalive", b"60"]
    assert client("CONFIG", "SET", "tcp-keepalive", 0) == "OK"
    assert client("PING") == "PONG"


# ---- rename-command


RENAMED = 'rename-command CONFIG "conf ig"\nrename-command FLUSHDB ""\nrename-command get fetch\n'


def test_renamed_commands(fresh):
    server = fresh(file=RENAMED)
    server.start()
    client = server.connect()
    assert client("SET", "k", "v") == "OK"
    assert client("FETCH", "k") == b"v"
    assert client("GET", "k").startswith("ERR unknown command 'GET'")
    assert client("CONFIG", "GET", "port").startswith("ERR unknown command 'CONFIG'")
    assert client("conf ig", "GET", "port") == [b"port", str(server.port).encode()]
    assert client("FLUSHDB").startswith("ERR unknown command 'FLUSHDB'")
    assert b"flushdb" not in client("COMMAND", "LIST")
    # What is in the log goes by numbers.
    server.crash_and_restart()
    assert server.connect()("fetch", "k") == b"v"


@pytest.mark.ferric_only("Redis shows EXEC's keys by its name")
def test_transactions_of_renamed_commands(fresh):
    server = fresh(file="rename-command exec run\nrename-command exists there\n"
                        "rename-command set put\nrename-command multi begin\n")
    server.start()
    client = server.connect()
    assert client("WATCH", "k") == "OK"
    assert client("BEGIN") == "OK"
    assert client("PUT", "k", "v") == "QUEUED"
    assert client("THERE", "k") == "QUEUED"
    assert client("RUN") == ["OK", 1]
    server.crash_and_restart()
    assert server.connect()("GET", "k") == b"v"


@pytest.mark.ferric_only("Redis leaves them out of the file")
def test_rewrite_keeps_renames(fresh):
    server = fresh(file=RENAMED + "timeout 17\n")
    server.start()
    client = server.connect()
    assert client("conf ig", "SET", "timeout", 18) == "OK"
    assert client("conf ig", "REWRITE") == "OK"
    assert server.file.read_text().startswith(RENAMED + "timeout 18\n")
    assert client("conf ig", "GET", "rename-command") == []


def test_a_name_that_is_taken(fresh):
    said = fresh(file="rename-command get set\n").refuses_to_start()
    assert "there is a command of that name" in said or "already exists" in said
