# SPDX-License-Identifier: Apache-2.0
"""How a start goes wrong, and what the log says when it goes well."""

import contextlib
import os
import pathlib
import re
import tempfile

import pytest

from support.client import wait_until
from support.server import ROOT, Server, common_options

pytestmark = pytest.mark.ferric_only("the texts are Ferric's own")


@pytest.fixture
def fresh(tmp_path):
    """A server that has not been started; another(file=..) for more."""
    made = []

    def make(**options):
        made.append(Server(tmp_path / f"data{len(made)}", **options))
        return made[-1]

    yield make
    for server in made:
        server.kill()


def descriptors_of(server):
    """What the kernel tells of each; one that is closed while they are listed is passed over."""
    for entry in pathlib.Path(f"/proc/{server.process.pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield entry.read_text()


# ---- The directory


def test_a_second_server_on_the_same_directory(own_server):
    other = Server(own_server.directory)
    said = other.refuses_to_start(logfile="")
    assert "is in use by another Ferric: stop that one, or give another --dir" in said
    assert own_server.connect()("PING") == "PONG"


def test_the_directory_is_free_after_a_crash(own_server):
    own_server.connect()("SET", "k", "v")
    own_server.crash_and_restart()
    assert own_server.connect()("GET", "k") == b"v"


def test_the_lock_outlasts_the_log_writes_of_a_killed_process(own_server):
    """What io_uring has handed to the disk lands after kill -9, too: the ring keeps the lock."""
    if own_server.info()["log_writer"] != "io_uring":
        pytest.skip("only io_uring's writes outlast the process")
    rings = [text for text in descriptors_of(own_server) if "UserFiles" in text]
    if not rings:
        pytest.skip("this kernel does not tell what a ring keeps")
    assert any(f"{own_server.directory}/lock" in text for text in rings)


def test_another_number_of_shards(fresh):
    server = fresh(shards=2)
    server.start()
    server.connect()("SET", "k", "v")
    server.stop()
    said = server.refuses_to_start(shards=3)
    assert "has 2 shards and cannot be opened with 3: " in said
    assert "leave --shards out, or give --shards 2" in said
    server.start(shards=2)
    assert server.connect()("GET", "k") == b"v"
    server.restart(shards=0)
    assert server.connect()("GET", "k") == b"v"


def test_damage_says_where_and_what_to_do(own_server):
    client = own_server.connect()
    assert client("SET", "k", "v" * 100) == "OK"
    assert client("SAVE") == "OK"
    own_server.kill()
    (path,) = (f for f in own_server.directory.glob("data/shard_*/*") if b"vvvv" in f.read_bytes())
    good = path.read_bytes()
    path.write_bytes(good.replace(b"vvvv", b"vvxv", 1))
    said = own_server.refuses_to_start()
    assert f"{path.name}: the record at offset" in said and "restore a backup" in said
    path.unlink()
    said = own_server.refuses_to_start()
    assert f"{path.name}: missing" in said and "restore a backup" in said
    path.write_bytes(good)
    own_server.start()
    assert own_server.connect()("STRLEN", "k") == 100


def test_a_manifest_of_another_version(own_server):
    own_server.connect()("SET", "k", "v")
    own_server.stop()
    manifest = next(own_server.directory.glob("*anifest*"))
    good = manifest.read_bytes()
    manifest.write_bytes(good[:8] + b"\x63\x00\x00\x00" + good[12:])
    assert "its format version is 99, this program reads 1" in own_server.refuses_to_start()
    manifest.write_bytes(good)
    own_server.start()
    assert own_server.connect()("GET", "k") == b"v"


def test_a_directory_that_cannot_be_made(fresh):
    said = fresh().refuses_to_start(dir="/proc/no/such/place")
    assert "data directory /proc/no/such/place: cannot be made" in said


@pytest.mark.parametrize("given, meant", [("new", "/new"), ("./new/", "/new"), (".", "")])
def test_a_directory_is_told_as_an_absolute_path(fresh, given, meant):
    server = fresh(file="timeout 17\n")
    server.start(dir=given)
    meant = str(server.directory) + meant
    client = server.connect()
    assert client("CONFIG", "GET", "dir") == [b"dir", meant.encode()]
    assert client("SET", "k", "v") == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    assert f"\ndir {meant}\n" in server.file.read_text()
    server.restart(dir=meant)
    assert server.connect()("GET", "k") == b"v"


FOREIGN = "files of Redis (%s), which are left alone and not read"


@pytest.mark.parametrize("name", ["dump.rdb", "appendonlydir/x", "appendonly.aof"])
def test_files_of_redis_are_left_alone_with_a_warning(fresh, name):
    server = fresh()
    file = server.directory / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"REDIS0011")
    (server.directory / "notes.txt").write_text("mine")
    server.start()
    assert server.log().count(FOREIGN % name.split("/")[0]) == 1
    assert "with DUMP there and RESTORE here" in server.log()
    client = server.connect()
    assert client("DBSIZE") == 0
    assert client("SET", "k", "v") == "OK"
    server.restart()
    assert server.log().count("files of Redis") == 1  # the directory is Ferric's now
    assert server.connect()("GET", "k") == b"v"
    assert file.read_bytes() == b"REDIS0011"


def test_other_files_of_others_are_no_news(fresh):
    server = fresh()
    for name in ("notes.txt", "rdb", ".aof", "dump.rdb.txt"):
        (server.directory / name).write_text("mine")
    server.start()
    assert "files of Redis" not in server.log()


def test_a_directory_that_is_a_file(fresh, tmp_path):
    (tmp_path / "file").write_text("")
    said = fresh().refuses_to_start(dir=tmp_path / "file")
    assert "The data directory must be a folder that this user may write" in said


def test_a_directory_in_memory(fresh):
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    if ["/dev/shm", "tmpfs"] not in [mount[1:3] for mount in mounts]:
        pytest.skip("/dev/shm is no tmpfs here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        server = fresh()
        server.start(dir=f"{place}/data")
        assert server.log().count("lies in memory (tmpfs)") == 1
        server.stop()


def test_a_port_in_use(own_server, fresh):
    said = fresh().refuses_to_start(port=own_server.port)
    assert f"cannot listen on 127.0.0.1:{own_server.port}" in said
    assert "give another --port" in said


# ---- The configuration


@pytest.mark.parametrize(
    "text, said",
    [
        ("timeout 5\n\n# a comment\nnosuch 1\n", "line 4: unknown directive 'nosuch'"),
        ("timeout abc\n", "line 1: 'timeout': argument couldn't be parsed into an integer"),
        ("timeout -1\n", "line 1: 'timeout': argument must be between 0 and 2147483647"),
        ("\n  appendonly maybe", "line 2: 'appendonly': argument must be 'yes' or 'no'"),
        ("loglevel loud\n", "line 1: 'loglevel': argument(s) must be one of the following: debug"),
        ("maxclients 1 2\n", "line 1: 'maxclients': wrong number of arguments"),
        ("maxclients\n", "line 1: 'maxclients': wrong number of arguments"),
        ('requirepass "open\n', "line 1: unbalanced quotes"),
        ("log-segment-size 3mb\n", "line 1: 'log-segment-size': argument must be a power of two"),
        ("daemonize yes\n", "line 1: 'daemonize': Ferric stays in the foreground"),
        ("shards 65\n", "line 1: 'shards': argument must be between 0 and 64"),
    ],
    ids=lambda text: text.strip().split()[0] if "\n" in text else "",
)
def test_a_bad_line_is_named(fresh, text, said):
    assert said in fresh(file=text).refuses_to_start()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"nosuch": 1}, "command line: unknown directive 'nosuch'"),
        ({"timeout": "soon"}, "command line: 'timeout': argument couldn't be parsed"),
        ({"bind": "example"}, "'bind' takes addresses in numbers"),
        ({"bind": "192.0.2.1"}, "'bind' takes addresses of this machine"),
    ],
    ids=["nosuch", "timeout", "name", "address"],
)
def test_a_bad_directive_of_the_command_line(fresh, options, said):
    assert said in fresh().refuses_to_start(**options)


def test_a_file_that_is_missing(fresh, tmp_path):
    server = fresh()
    server.file = tmp_path / "missing.conf"
    assert f"configuration file {server.file}: No such file" in server.refuses_to_start()


def test_a_file_is_read_as_redis_reads_it(fresh):
    server = fresh(
        file="""# Comment
            TIMEOUT 17
            maxclients 100
            maxclients 50
            requirepass "se\\x63ret \\"word\\""
            client-query-buffer-limit 3mb
            save 900 1
        """
    )
    server.start()
    client = server.connect()
    assert client("AUTH", 'secret "word"') == "OK"
    got = client("CONFIG", "GET", "timeout", "maxclients", "client-query-buffer-limit")
    assert dict(zip(got[::2], got[1::2])) == {
        b"timeout": b"17",
        b"maxclients": b"50",
        b"client-query-buffer-limit": b"3145728",
    }


def test_the_command_line_wins_over_the_file(fresh):
    server = fresh(file="timeout 17\n", timeout=18)
    server.start()
    assert server.connect()("CONFIG", "GET", "timeout") == [b"timeout", b"18"]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"appendfsync": "everysec"}, "appendfsync: writes are always durable"),
        ({"appendfsync": "no"}, "appendfsync: writes are always durable"),
        ({"appendonly": "no"}, "appendonly no: Ferric always writes its log"),
        ({"save": "900 1"}, "save: every write is durable by itself"),
    ],
    ids=["everysec", "no", "appendonly", "save"],
)
def test_directives_that_promise_less_change_nothing(fresh, options, said):
    server = fresh(**options)
    server.start()
    assert server.log().count(said) == 1
    client = server.connect()
    assert client("CONFIG", "GET", "appendfsync") == [b"appendfsync", b"always"]
    assert client("CONFIG", "GET", "appendonly") == [b"appendonly", b"yes"]
    assert client("SET", "k", "v") == "OK"
    server.crash_and_restart()
    assert server.connect()("GET", "k") == b"v"


def test_the_promise_cannot_be_set_away(own_server):
    client = own_server.connect()
    for name, value, kept, said in [
        ("appendfsync", "no", b"always", "appendfsync: writes are always durable"),
        ("appendonly", "no", b"yes", "appendonly no: Ferric always writes its log"),
        ("save", "900 1", b"900 1", "save: every write is durable by itself"),
    ]:
        assert client("CONFIG", "SET", name, value) == "OK"
        assert client("CONFIG", "GET", name) == [name.encode(), kept]
        assert own_server.log().count(said) == 1


def test_what_is_only_remembered_is_named(fresh):
    server = fresh(file="list-max-ziplist-size 7\nhz 50\nactivedefrag no\nmaxmemory-samples 9\n")
    server.start(activedefrag="yes", maxmemory_samples=5, maxmemory_policy="allkeys-lru")
    lines = [line for line in server.log().splitlines() if "only remembered" in line]
    assert len(lines) == 1 and lines[0].endswith(
        " # only remembered, and without effect here: hz, maxmemory-policy, activedefrag, "
        "list-max-listpack-size: see docs/remembered.md"
    )


def test_the_names_of_very_many_fit_into_one_line(fresh):
    remembered = (ROOT / "docs/remembered.md").read_text()
    numbers = re.findall(r"^\| \*?`([a-z-]+)`\*? \|.*\| `(\d+)` \|$", remembered, re.MULTILINE)
    server = fresh(file="\n".join(f"{name} {int(value) + 1}" for name, value in numbers))
    server.start(client_default_resp=2)
    said = server.log().split("without effect here: ")[1].splitlines()[0]
    assert said.endswith(": see docs/remembered.md")
    left = re.search(r" and (\d+) more", said)
    assert said.count(", ") + 1 + int(left[1] if left else 0) >= len(numbers) - 1


MAXMEMORY = "maxmemory: no limit is enforced and nothing is evicted"


def test_a_limit_of_memory_is_remarked(fresh):
    server = fresh(file="maxmemory 1gb\n")
    server.start(maxmemory="2gb")
    assert server.log().count(MAXMEMORY) == 1
    client = server.connect()
    assert client("CONFIG", "SET", "maxmemory", 0) == "OK"
    assert server.log().count(MAXMEMORY) == 1
    assert client("CONFIG", "SET", "maxmemory", "1mb") == "OK"
    assert server.log().count(MAXMEMORY) == 2
    server.restart(maxmemory=0)
    assert server.log().count(MAXMEMORY) == 2


def test_nothing_is_remarked_without_cause(own_server):
    # The tests' own directory may lie on tmpfs, and that is remarked with cause.
    said = "\n".join(line for line in own_server.log().splitlines() if "in memory" not in line)
    for word in ("appendfsync", "appendonly", "save:", "#"):
        assert word not in said


def test_the_replay_is_told_when_it_is_done(own_server):
    own_server.connect()("SET", "k", "v")
    assert "the log is replayed" not in own_server.log()
    own_server.crash_and_restart()
    assert own_server.connect()("GET", "k") == b"v"
    assert "the log is replayed (commands: 1)" in own_server.log()


# ---- CONFIG REWRITE


def test_rewrite_keeps_what_people_wrote(fresh):
    text = "# Ours.\nmaxclients 100\n\n  timeout 17   \ntimeout 18\nbind 127.0.0.1\n"
    server = fresh(file=text)
    server.start()
    client = server.connect()
    assert client("CONFIG", "SET", "timeout", 19, "requirepass", 'a "b"') == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    lines = server.file.read_text().split("\n")
    assert lines[:6] == text.replace("timeout 18", "timeout 19").split("\n")[:6]
    assert 'requirepass "a \\"b\\""' in lines
    assert f"dir {server.directory}" in lines
    before = server.file.read_text()
    assert client("CONFIG", "REWRITE") == "OK"
    assert server.file.read_text() == before


def test_a_rewritten_file_can_be_read(fresh):
    server = fresh(file="timeout 17\n")
    server.start()
    client = server.connect()
    client("CONFIG", "SET", "requirepass", "\x01\x7f #'\\", "save", "900 1 300 10", "timeout", "3")
    assert client("CONFIG", "REWRITE") == "OK"
    server.restart()
    client = server.connect()
    assert client("AUTH", "\x01\x7f #'\\") == "OK"
    assert client("CONFIG", "GET", "save") == [b"save", b"900 1 300 10"]
    assert client("CONFIG", "GET", "timeout") == [b"timeout", b"3"]


def test_what_is_remembered_outlives_rewrite_and_restart(fresh):
    text = "slave-priority 7\n# Ours.\nlist-max-ziplist-value 64\n"
    server = fresh(file=text)
    server.start()
    client = server.connect()
    assert client("CONFIG", "GET", "replica-priority") == [b"replica-priority", b"7"]
    client("CONFIG", "SET", "maxmemory-clients", "5%", "shutdown-on-sigint", "nosave now")
    assert client("CONFIG", "REWRITE") == "OK"
    assert server.file.read_text().startswith(text)
    server.restart()
    client = server.connect()
    for name, value in [("maxmemory-clients", "5%"), ("shutdown-on-sigint", "nosave now"),
                        ("slave-priority", "7")]:
        assert client("CONFIG", "GET", name) == [name.encode(), value.encode()]


@pytest.mark.parametrize("line", ["cluster-enabled yes", "replicaof 127.0.0.1 6379"])
def test_what_would_be_missed_is_refused(fresh, line):
    server = fresh(file=line + "\n")
    said = server.refuses_to_start(logfile="")
    assert f"'{line.split()[0]}': not supported: only '" in said


def test_a_file_that_cannot_be_rewritten(fresh):
    server = fresh(file="timeout 17\n")
    server.start()
    server.file.write_text("timeout abc\n")
    reply = server.connect()("CONFIG", "REWRITE")
    assert reply.startswith("ERR Rewriting config file: ")
    assert server.file.read_text() == "timeout abc\n"


def test_several_rewrite_at_once(fresh):
    text = "timeout 17\n" + "# Ours.\n" * 1000 + 'rename-command MOVE ""\n'
    server = fresh(file=text)
    server.start()
    clients = [server.connect() for _ in range(8)]
    for n in range(25):
        for client in clients:
            client.send_command("CONFIG", "REWRITE")
        assert [client.read_reply() for client in clients] == ["OK"] * len(clients)
        assert server.file.read_text().startswith(text)
    assert not list(server.file.parent.glob("*.tmp"))


def test_what_the_next_start_would_refuse_is_not_written(fresh):
    server = fresh(file="timeout 17\n")
    server.start()
    client = server.connect()
    many = " ".join(["1 1"] * 200)
    for name, value in [("save", many), ("proc-title-template", "x" * (17 << 20))]:
        assert client("CONFIG", "SET", name, value) == "OK"
        assert client("CONFIG", "REWRITE").startswith("ERR Rewriting config file: ")
        assert server.file.read_text() == "timeout 17\n"
        assert client("CONFIG", "SET", name, "") == "OK"
    percentiles = " ".join(str(n) for n in range(64)).encode()
    assert client("CONFIG", "SET", "latency-tracking-info-percentiles", percentiles) == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    server.restart()
    assert server.connect()("CONFIG", "GET", "latency-tracking-*")[1] == percentiles


# ---- Files for people


def test_the_pid_file(fresh, tmp_path):
    path = tmp_path / "ferric.pid"
    server = fresh(pidfile=path)
    server.start()
    assert path.read_text() == f"{server.process.pid}\n"
    server.stop()
    assert not path.exists()


def test_a_pid_file_that_is_left_over(fresh, tmp_path):
    path = tmp_path / "ferric.pid"
    path.write_text("12345678901234567890\n")
    server = fresh(pidfile=path)
    server.start()
    assert path.read_text() == f"{server.process.pid}\n"


def test_a_pid_file_that_cannot_be_written(fresh, tmp_path):
    path = tmp_path / "missing/ferric.pid"
    server = fresh(pidfile=path)
    server.start()
    assert server.log().count(f" # pid file {path}: No such file") == 1
    assert "give a --pidfile in a folder that this user may write" in server.log()
    assert server.connect()("SET", "k", "v") == "OK"
    path.parent.mkdir()
    path.write_text("another's\n")
    assert server.stop() == 0
    assert path.read_text() == "another's\n"


def test_a_log_file_that_cannot_be_opened(fresh, tmp_path):
    server = fresh(logfile=tmp_path / "missing/ferric.log")
    said = server.refuses_to_start(dir=tmp_path / "made")
    assert f"log file {tmp_path}/missing/ferric.log: No such file" in said
    assert "Give a --logfile in a folder that is there and that this user may write" in said
    assert not (tmp_path / "made").exists()


def test_a_log_file(fresh, tmp_path):
    path = tmp_path / "ferric.log"
    server = fresh(logfile=path)
    server.start()
    wait_until(lambda: "ready on port" in path.read_text())
    assert "ready on port" not in server.log()
    server.restart()
    wait_until(lambda: path.read_text().count("ready on port") == 2)
    assert "cannot listen" in (
        fresh(logfile=path).refuses_to_start(port=server.port) and path.read_text()
    )


@pytest.mark.parametrize("level, levels", [("debug", ".-*#"), ("notice", "*#"), ("warning", "#")])
def test_log_levels(fresh, level, levels):
    server = fresh(loglevel=level, appendonly="no")
    server.start()
    wait_until(lambda: "*" not in levels or "ready on port" in server.log())
    server.stop()
    lines = server.log().splitlines()
    pattern = r"\d+:M \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} ([.\-*#]) \S"
    letters = {re.match(pattern, line).group(1) for line in lines}
    assert letters <= set(levels) and "#" in letters
    assert ("ready on port" in server.log()) == ("*" in levels)


def test_nothing_is_logged_if_that_is_wanted(fresh):
    server = fresh(loglevel="nothing", appendonly="no")
    server.start()
    server.stop()
    assert server.log() == ""


def test_the_log_level_can_be_changed(own_server):
    client = own_server.connect()
    assert client("CONFIG", "SET", "loglevel", "nothing") == "OK"
    before = own_server.log()
    assert client("CONFIG", "SET", "save", "1 1") == "OK"
    assert client("CONFIG", "SET", "loglevel", "notice") == "OK"
    assert own_server.log() == before


def test_the_placement_is_told(own_server):
    info = own_server.info()
    assert info["ferric_placement"] in own_server.log()
    if "io-threads" in common_options():
        assert info["ferric_placement"].startswith(common_options()["io-threads"] + " io loops")


def test_a_directory_and_files_are_private(own_server):
    """Values and passwords are nobody else's business."""
    own_server.connect()("SET", "k", "v")
    for folder, _, names in os.walk(own_server.directory):
        for name in names:
            if not name.startswith("server."):
                mode = os.stat(os.path.join(folder, name)).st_mode
                assert mode & 0o077 == 0, name
