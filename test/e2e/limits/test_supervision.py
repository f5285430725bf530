# SPDX-License-Identifier: Apache-2.0
"""What those who run the server are told: its log, systemd, a start that takes long, a crash."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket

import pytest

from support.client import Client, Closed, Error, wait_until
from support.server import Server

pytestmark = pytest.mark.ferric_only("the texts are Ferric's own")
LOADING = Error("LOADING Ferric is loading the dataset in memory")


@pytest.fixture
def fresh(tmp_path):
    """A server that has not been started."""
    made = []

    def make(**options):
        made.append(Server(tmp_path / f"data{len(made)}", **options))
        return made[-1]

    yield make
    for server in made:
        server.kill()


# ---- The log


def test_the_start_says_what_durable_costs_here(own_server):
    wait_until(lambda: "every acknowledged write is durable" in own_server.log(), timeout=60)
    line = next(line for line in own_server.log().splitlines() if "write is durable" in line)
    assert f"a sync of {own_server.directory}/log, which takes" in line
    assert re.search(r"takes \d+\.\d{3} ms here$", line)


TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")
PAIR = re.compile(r'([a-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^" ]*))(?: |$)')


def pairs_of(line):
    """A line of logfmt; all of it must be pairs."""
    found = list(PAIR.finditer(line))
    assert "".join(match.group(0) for match in found) == line
    return {m[1]: json.loads(f'"{m[2]}"') if m[2] is not None else m[3] for m in found}


def test_logfmt(fresh):
    server = fresh(log_format="logfmt", pidfile='"quoted\\" \\\\ name"')
    said = server.refuses_to_start(logfile="", unixsocket="/no/such/folder/socket")
    lines = [pairs_of(line) for line in said.splitlines() if line.startswith("pid=")]
    assert [set(line) for line in lines] == [
        {"pid", "role", "timestamp", "level", "message"}
    ] * len(lines)
    assert lines[0]["message"].startswith("Ferric ")
    assert lines[0]["level"] == "notice" and lines[0]["role"] == "primary"
    for line in lines:
        assert TIMESTAMP.fullmatch(line["timestamp"])


def test_what_is_quoted_in_logfmt(fresh):
    server = fresh()
    server.start()
    client = server.connect()
    assert client("CONFIG", "SET", "log-format", "logfmt") == "OK"
    odd = server.directory / 'a "b" \\ c'
    other = Server(server.directory)
    log = server.directory / "said"
    said = other.refuses_to_start(log_format="logfmt", dir=odd / "d", logfile=log)
    assert 'a "b" \\ c' in said
    lines = [pairs_of(line) for line in log.read_text().splitlines()]
    assert any('a "b" \\ c/d' in line["message"] for line in lines)
    assert client("CONFIG", "SET", "log-format", "legacy", "save", "1 1") == "OK"
    assert re.match(r"\d+:M \d\d ", server.log().splitlines()[-1])


# ---- systemd


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        yield told


def heard_until(told, word):
    """All that systemd is told, to the first that says `word`."""
    heard = [told.recv(4096).decode()]
    while word not in heard[-1]:
        heard.append(told.recv(4096).decode())
    return heard


@pytest.mark.parametrize("how", ["systemd", "auto"])
def test_systemd_is_told(fresh, systemd, how):
    server = fresh(environment={"NOTIFY_SOCKET": systemd.getsockname()}, supervised=how)
    server.begin()
    heard = heard_until(systemd, "READY=1")
    assert all(text.startswith("STATUS=Loading: ") for text in heard[:-1])
    assert heard[-1].startswith("READY=1\nSTATUS=")
    # Data is served from then on, not a moment later.
    with Client(server.port) as client:
        assert client("SET", "k", "v") == "OK"
    assert server.stop() == 0
    assert heard_until(systemd, "STOPPING=1")[-1].startswith("STOPPING=1")


def test_systemd_is_not_told_unless_that_is_wanted(fresh, systemd):
    server = fresh(environment={"NOTIFY_SOCKET": systemd.getsockname()})
    server.start()
    assert server.stop() == 0
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(1)


@pytest.mark.parametrize("socket_name", [None, "/no/such/socket"])
def test_systemd_that_is_not_there(fresh, socket_name):
    server = fresh(environment={"NOTIFY_SOCKET": socket_name} if socket_name else {},
                   supervised="systemd")
    server.start()
    assert "systemd supervision is wanted, and systemd cannot be told anything" in server.log()
    assert server.connect()("PING") == "PONG"


# ---- Loading


@pytest.fixture
def loading(own_server):
    """A server whose recovery waits for ever: its manifest is a pipe that nobody writes to."""
    own_server.connect()("SET", "k", "v")
    own_server.stop()
    manifest = own_server.directory / "manifest"
    kept = manifest.rename(own_server.directory / "manifest.kept")
    os.mkfifo(manifest)
    own_server.begin()
    wait_until(lambda: is_listening(own_server), timeout=60)
    yield own_server
    own_server.kill()
    manifest.unlink()
    kept.rename(manifest)
    own_server.start()
    assert own_server.connect()("GET", "k") == b"v"


def is_listening(server):
    with contextlib.suppress(ConnectionError, Closed):
        return Client(server.port).close() is None
    return False


def test_what_is_answered_while_loading(loading):
    client = loading.connect()
    for request in [("GET", "k"), ("SET", "k", "w"), ("PING",), ("DBSIZE",), ("WATCH", "k")]:
        assert client(*request) == LOADING, request
    assert client("CONFIG", "GET", "port")[1] == str(loading.port).encode()
    assert client("CONFIG", "SET", "timeout", 0, "hot-cache-max-value-size", "32kb") == "OK"
    assert b"cmd=client|list" in client("CLIENT", "LIST")
    assert client("SELECT", 3) == "OK"
    assert client("MULTI") == "OK"
    assert client("GET", "k") == LOADING
    assert client("EXEC").startswith("EXECABORT ")


def test_info_while_loading(loading):
    info = loading.info()
    assert info["loading"] == "1"
    assert info["ferric_shards"] == "0"
    assert "db0" not in info
    for name in ("start_time", "total_bytes", "loaded_bytes", "eta_seconds"):
        assert int(info[f"loading_{name}"]) >= 0
    assert float(info["loading_loaded_perc"]) <= 100


@pytest.fixture
def reading_data(own_server):
    """A server that is kept from opening a data file, so that it has got as far as that: a lease
    that others hold is given up first, and the kernel waits for that 45 seconds long."""
    own_server.connect()("SET", "k", "v")
    own_server.stop()
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    with open(next(own_server.directory.glob("data/*/*.log")), "r+b") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"no lease is to be had: {error}")
        own_server.begin()
        wait_until(lambda: is_listening(own_server), timeout=60)
        is_held = lambda: fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_WRLCK
        wait_until(lambda: not is_held(), timeout=60)
        yield own_server
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    signal.signal(signal.SIGIO, before)
    client = own_server.connect()
    wait_until(lambda: client("PING") == "PONG", timeout=60)
    assert client("GET", "k") == b"v"


def test_statistics_while_data_files_are_read(reading_data):
    client = reading_data.connect()
    assert client("PING") == LOADING
    assert b"cmdstat_ping" in client("INFO", "everything")
    assert client("LATENCY", "HISTOGRAM") != []
    assert client("CONFIG", "RESETSTAT") == "OK"
    assert client("SLOWLOG", "GET") == []
    assert client("CLIENT", "PAUSE", 1, "WRITE") == "OK"
    assert client("CLIENT", "UNPAUSE") == "OK"
    assert client("CONFIG", "SET", "slowlog-log-slower-than", 1, "hot-cache-max-value", 1) == "OK"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "SHUTDOWN", "SHUTDOWN NOSAVE"])
def test_the_end_while_loading(loading, how):
    if isinstance(how, str):
        loading.connect().send_command(*how.split())
    else:
        loading.process.send_signal(how)
    assert loading.process.wait(timeout=60) == 0
    loading.process = None
    assert "ended before all was loaded; nothing has changed" in loading.log()


def test_a_connection_outlives_the_loading(own_server):
    """The lock of the directory is held for a moment, which a start waits for, and no longer."""
    own_server.connect()("SET", "k", "v")
    own_server.stop()
    own_server.kill()
    with open(own_server.directory / "lock", "r+b") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_EX)
            own_server.begin()
            with contextlib.suppress(ConnectionError, Closed, TimeoutError):
                wait_until(lambda: own_server.process.poll() is not None
                           or is_listening(own_server), timeout=60)
                client = own_server.connect()
                assert client("GET", "k") == LOADING
                break
            own_server.kill()  # it has waited for the lock too long
        fcntl.flock(lock, fcntl.LOCK_UN)
    wait_until(lambda: client("GET", "k") != LOADING, timeout=60)
    assert client("GET", "k") == b"v"
    assert b"cmd=client|list" in client("CLIENT", "LIST")
    assert "loading_total_bytes" not in own_server.info()
    assert own_server.info()["loading"] == "0"


# ---- A crash


@pytest.mark.skipif(bool(os.environ.get("FERRIC_SANITIZED")), reason="sanitizers report themselves")
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"])
def test_a_crash_is_reported(own_server, name):
    own_server.connect()("SET", "k", "v")
    number = getattr(signal, name)
    own_server.process.send_signal(number)
    assert own_server.process.wait(timeout=60) == -number
    pid, own_server.process = own_server.process.pid, None
    own_server.close_clients()
    said = own_server.log().partition("=== crash report ===\n")[2]
    assert re.match(r"Ferric \d+\.\d+\.\d+ \(.*\)\nbuild [0-9a-f]{8,}\n", said)
    assert re.search(rf"process {pid}, up \d+ s\n", said)
    assert re.search(rf"^signal {number:d} \({name}\) sent by process \d+$", said, re.MULTILINE)
    assert re.search(r"\), which crashed:\n  0x", said)
    assert "(append-0):\n" in said
    assert not re.search(r"\(iou-[^)]*\):\n", said)  # nobody waits for the kernel's own
    assert said.rstrip().endswith("=== end of crash report ===")
    own_server.start()
    assert own_server.connect()("GET", "k") == b"v"


@pytest.mark.skipif(bool(os.environ.get("FERRIC_SANITIZED")), reason="sanitizers report themselves")
def test_a_crash_is_reported_in_the_log_file(fresh, tmp_path):
    server = fresh(logfile=tmp_path / "ferric.log")
    server.start()
    server.process.send_signal(signal.SIGSEGV)
    assert server.process.wait(timeout=60) == -signal.SIGSEGV
    server.process = None
    for text in (server.log(), (tmp_path / "ferric.log").read_text()):
        assert text.count("=== crash report ===") == 1
        assert text.count("=== end of crash report ===") == 1
