# SPDX-License-Identifier: Apache-2.0
"""ferric-check on directories that the server has made. It lies beside the server, or is named by
FERRIC_CHECK."""

import base64
import json
import os
import pathlib
import pty
import subprocess

import pytest

from support import server as servers

pytestmark = pytest.mark.ferric_only("the tool reads Ferric's files")


def check(*words, status=0, **options):
    """Runs the tool; what it wrote to its output, and to stderr if that is the point."""
    tool = os.environ.get("FERRIC_CHECK") or pathlib.Path(servers.binary()).with_name(
        "ferric-check"
    )
    done = subprocess.run(
        [str(tool), *(str(word) for word in words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        **options,
    )
    out, said = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == status, f"status {done.returncode}\n{out}\n{said}"
    return said if status == 2 else out


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def records_of(dump, key):
    return [line for line in dump if line["kind"] == "record" and line.get("key") == key]


def damage(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def files_of(directory):
    """Every file with its bytes, but for the server's own log."""
    return {
        path.relative_to(directory): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "server.log"
    }


@pytest.fixture
def stopped(tmp_path):
    """A directory of a server that was stopped in order, with keys of several kinds."""
    with servers.Server(tmp_path / "data", shards=2, log_segment_size="1mb") as server:
        client = server.connect()
        for i in range(100):
            client("SET", f"key:{i}", f"value of {i}")
        client("SET", b"\xff\x00", b"\xfe")
        client("SET", "large", "x" * 5000)
        client("SET", "fleeting", "1", "EX", 10000)
        client("DEL", "key:50")
        client("SELECT", "3")
        client("SET", "elsewhere", "\u20ac")
        assert server.stop() == 0
        yield server


def test_a_directory_in_use_is_refused(own_server):
    own_server.connect()("SET", "k", "v")
    for words in (["verify"], ["repair", "--yes"]):
        said = check(*words, own_server.directory, status=2)
        assert "is in use: stop the server" in said
    assert not (own_server.directory / "quarantine").exists()
    assert own_server.connect()("GET", "k") == b"v"


def test_sound_directories_are_left_alone(stopped):
    directory = stopped.directory
    before = files_of(directory)
    assert check("verify", directory).endswith("\nsound\n")
    check("dump", directory)
    check("stats", directory)
    assert "sound: nothing is changed" in check("repair", directory)
    assert files_of(directory) == before


def test_a_killed_server_leaves_a_sound_directory(own_server):
    client = own_server.connect()
    for i in range(300):
        client("SET", f"key:{i}", "v" * i)
    own_server.kill()
    assert check("verify", own_server.directory).endswith("\nsound\n")
    commands = [
        line for line in lines(check("dump", "--json", own_server.directory))
        if line["kind"] == "command"
    ]
    assert commands[-1]["name"] == "set"
    assert commands[-1]["args"][0] == "key:299"


def test_a_backup_is_sound(own_server, tmp_path):
    client = own_server.connect()
    for i in range(300):
        client("SET", f"key:{i}", "v" * i)
    backup = tmp_path / "backup"
    assert client("FERRICSTORE.BACKUP", str(backup)) == "OK"
    client("FLUSHALL")
    before = files_of(backup)
    assert check("verify", backup).endswith("\nsound\n")
    assert len(lines(check("dump", "--json", backup))) > 300
    assert files_of(backup) == before
    damage(sorted(backup.glob("data/shard_*/*.log"))[0], 5000)
    check("verify", backup, status=1)


def test_a_dump_for_programs(stopped):
    directory = stopped.directory
    dump = lines(check("dump", "--json", directory))
    records = {}
    for line in dump:
        if line["kind"] == "record" and line["op"] != "pad":
            key = line.get("key") or base64.b64decode(line["key_base64"])
            records[key] = line
    assert records["key:7"]["value"] == "value of 7"
    assert records["key:7"]["file"].startswith("data/shard_")
    assert records["key:50"]["op"] == "remove"
    assert base64.b64decode(records[b"\xff\x00"]["value_base64"]) == b"\xfe"
    assert records["large"]["value"] == "x" * 256
    assert records["large"]["value_size"] == 5000
    assert records["fleeting"]["expire_at_ms"] > 0
    assert records["elsewhere"]["value"] == "\u20ac"
    full = lines(check("dump", "--json", "--full", directory))
    (large,) = records_of(full, "large")
    assert len(large["value"]) == 5000
    (hinted,) = [line for line in dump if line["kind"] == "hint_record" and line["off"] ==
                 records["large"]["off"] and line.get("key") == "large"]
    assert hinted["value_size"] == 5000
    one = lines(check("dump", "--json", directory / records["key:7"]["file"]))
    assert records["key:7"] in one
    assert {"manifest", "shard", "named", "data_file", "segment", "frame"} <= {
        line["kind"] for line in dump
    }


def test_stats(stopped):
    stats = lines(check("stats", "--json", stopped.directory))
    (data,) = [line for line in stats if line["kind"] == "data"]
    assert data["live_records"] == 103
    assert data["tombstones"] == 1
    assert sum(line["keys"] for line in stats if line["kind"] == "shard") == 103
    databases = [line for line in stats if line["kind"] == "database"]
    assert sum(line["expires"] for line in databases) == 1
    assert sum(line["keys"] for line in databases if line["db"] == 3) == 1
    (rest,) = [line for line in stats if line["kind"] == "rest"]
    assert rest["log_bytes"] > 0


def test_damage_is_named_and_repaired(stopped):
    directory = stopped.directory
    dump = lines(check("dump", "--json", directory))
    (record,) = records_of(dump, "key:20")
    path = directory / record["file"]
    end = record["off"] + record["size"]
    damage(path, end - 1)
    said = check("verify", directory, status=1)
    assert f"damage: {path}: bytes {record['off']} to {end} do not check" in said
    assert "by its hint, there stood" in said and '"key:20"' in said
    path.with_suffix(".hint").unlink()
    assert 'perhaps the value of "key:20"' in check("verify", directory, status=1)
    assert "is corrupt" in stopped.refuses_to_start()
    # Without a word of the user's nothing happens.
    before = files_of(directory)
    assert "nothing is changed" in check("repair", directory, status=1)
    assert files_of(directory) == before
    told = check("repair", "--yes", directory)
    assert "repaired: the server starts" in told
    kept = directory / "quarantine" / "1"
    assert (kept / record["file"].replace("/", "-")).read_bytes() == before[
        pathlib.Path(record["file"])
    ]
    assert '"key:20"' in (kept / "report.txt").read_text()
    assert check("verify", directory).endswith("\nsound\n")
    stopped.start()
    client = stopped.connect()
    assert client("GET", "key:20") is None
    assert client("DBSIZE") == 101
    assert client("GET", "key:21") == b"value of 21"
    client("SET", "key:20", "again")
    stopped.crash_and_restart()
    assert stopped.connect()("GET", "key:20") == b"again"


def test_a_damaged_log_is_cut_and_its_loss_told(own_server):
    client = own_server.connect()
    for i in range(20):
        client("SET", f"key:{i}", "v")
    own_server.kill()
    directory = own_server.directory
    dump = lines(check("dump", "--json", directory))
    frames = [line for line in dump if line["kind"] == "frame" and line["type"] == "entries"]
    frame = frames[-10]
    damage(directory / frame["file"], frame["off"] + 80)
    said = check("verify", directory, status=1)
    assert f"offset {frame['off']}" in said and frame["file"] in said
    told = check("repair", "--yes", directory)
    assert f"LOST: log entries {frame['first_index']} to {frames[-1]['first_index']}" in told
    own_server.start()
    assert own_server.connect()("DBSIZE") == 10


def test_a_terminal_is_asked(stopped):
    directory = stopped.directory
    (path, *_) = sorted(directory.glob("data/shard_*/*.log"))
    damage(path, 5000)
    for answer, status in (("no", 1), ("yes", 0)):
        ours, theirs = pty.openpty()
        tool = pathlib.Path(servers.binary()).with_name("ferric-check")
        process = subprocess.Popen(
            [os.environ.get("FERRIC_CHECK") or str(tool), "repair", str(directory)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        said = b""
        while b"[yes/no]" not in said:
            said += os.read(ours, 1000)
        os.write(ours, answer.encode() + b"\n")
        out = process.communicate(timeout=60)[0].decode()
        os.close(ours)
        assert process.returncode == status, out
        assert ("nothing is changed" in out) == (answer == "no")


def test_usage():
    assert "ferric-check verify DIR" in check("--help")
    assert check("--version").startswith("ferric-check ")
    for words in ([], ["verify"], ["mend", "x"], ["verify", "--json", "x"]):
        assert "--help" in check(*words, status=2)
    assert "No such file" in check("verify", "/nonexistent/directory", status=2)
    assert "is no data directory" in check("verify", "/usr", status=2)
