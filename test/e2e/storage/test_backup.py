# SPDX-License-Identifier: Apache-2.0
"""FERRICSTORE.BACKUP and BGSAVE with a backup-dir: a copy on which a server can be started."""

import os
import re
import shutil
import threading

import pytest

from support import storage
from support.client import Closed, Error, wait_until

pytestmark = pytest.mark.ferric_only("no Redis makes such copies")

KEYS = 100


@pytest.fixture
def start(start_server):
    return lambda **options: start_server(**{**storage.SMALL, **options})


@pytest.fixture
def start_on(start, tmp_path):
    """Starts a server on a copy, which its data directory is from then on."""

    def start_it(copy):
        server = start()
        server.kill()
        for entry in server.directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for entry in list(copy.iterdir()):
            entry.rename(server.directory / entry.name)
        return server.start()

    return start_it


def put_something(client):
    """More than one file a shard, dead records in most of them, an expiry, other databases."""
    storage.fill(client, KEYS, 4)
    client.pipeline("SET n 41", "SET later v PXAT 4102444800123", "DEL k1", "SELECT 5")
    client.pipeline("SET k1 five", "SELECT 7", "SET k1 seven", "SWAPDB 5 7", "SELECT 0")


def backup(client, directory):
    assert client("FERRICSTORE.BACKUP", directory) == "OK"


def inodes(directory):
    return {path.stat().st_ino for path in storage.files(directory).values()}


def test_a_server_on_the_copy_has_all_as_of_the_backup(start, start_on, tmp_path):
    server = start()
    client = server.connect()
    put_something(client)
    state = storage.held(client)
    before = server.info()
    assert (before["backup_last_time"], before["backup_last_status"]) == ("0", "ok")
    backup(client, tmp_path / "copy")
    info = server.info()
    assert int(info["backup_last_time"]) >= int(client("LASTSAVE")) > 0
    assert (info["backup_in_progress"], info["backup_total_bytes"]) == ("0", "0")
    assert int(info["backup_done_bytes"]) > KEYS * storage.VALUE_BYTES
    assert info["backup_last_status"] == "ok"
    # What takes no more records is not copied.
    shared = inodes(server.directory) & inodes(tmp_path / "copy")
    assert len(shared) == int(info["data_rotations"]) > 0
    storage.fill(client, KEYS, 2, "new%d")
    client.pipeline("INCR n", "DEL later k2", "SWAPDB 5 7")
    mine = storage.held(client)
    other = start_on(tmp_path / "copy")
    assert storage.held(other.connect()) == state
    assert other.connect()("INCR", "n") == 42
    storage.fill(other.connect(), KEYS, 2, "other%d")
    theirs = storage.held(other.connect())
    assert storage.held(client) == mine
    for each, expected in ((other, theirs), (server, mine), (other, theirs)):
        each.crash_and_restart()
        assert storage.held(each.connect()) == expected


def test_the_copy_survives_the_files_of_the_original(start, start_on, tmp_path):
    """They are merged and removed; or the whole directory is."""
    server = start()
    client = server.connect()
    put_something(client)
    state = storage.held(client)
    backup(client, tmp_path / "copy")
    linked = inodes(server.directory) & inodes(tmp_path / "copy")
    storage.fill(client, KEYS, 2)
    storage.merge_all(server)
    assert linked - inodes(server.directory)
    backup(server.connect(), tmp_path / "second")
    latest = storage.held(server.connect())
    server.kill()
    shutil.rmtree(server.directory)
    other = start_on(tmp_path / "copy")
    assert storage.held(other.connect()) == state
    storage.merge_all(other)
    assert storage.held(other.connect()) == state
    assert storage.held(start_on(tmp_path / "second").connect()) == latest


def test_a_copy_of_a_copy(start, start_on, tmp_path):
    server = start()
    put_something(server.connect())
    state = storage.held(server.connect())
    backup(server.connect(), tmp_path / "copy")
    other = start_on(tmp_path / "copy")
    backup(other.connect(), tmp_path / "again")
    last = start_on(tmp_path / "again")
    assert storage.held(last.connect()) == state
    for each in (other, last):
        each.restart()
        assert storage.held(each.connect()) == state


def test_the_copy_is_of_one_moment(start, start_on, tmp_path):
    """Two keys of different shards that one transaction raises are equal in it."""
    server = start()
    pairs = ["{a}x", "{b}x", "{c}x", "{d}x"]
    counts = []
    copies = [tmp_path / f"copy{i}" for i in range(3)]

    def count():
        client = server.connect()
        try:
            while len(counts) < 100000:
                counts.append(client.pipeline("MULTI", *[f"INCR {x}" for x in pairs], "EXEC")[-1])
        except (Closed, OSError):
            pass

    thread = threading.Thread(target=count)
    thread.start()
    client = server.connect()
    bounds = []
    for copy in copies:
        wait_until(lambda: len(counts) > 20 * len(bounds))
        low = counts[-1][0]
        backup(client, copy)
        bounds.append((low, counts[-1][0] + 1))
    server.process.kill()
    thread.join()
    for copy, (low, high) in zip(copies, bounds):
        found = {int(x) for x in start_on(copy).connect()("MGET", *pairs)}
        assert len(found) == 1
        assert low <= found.pop() <= high


def test_what_is_refused(start, tmp_path):
    server = start()
    client = server.connect()
    client("SET", "a", 1)
    own = server.directory
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    (tmp_path / "file").touch()
    cases = [
        (tmp_path / "full", "* is not empty: name a directory that does not exist"),
        (tmp_path / "file", "cannot make the folder *: Not a directory"),
        (tmp_path / "file" / "copy", "cannot make the folder *: Not a directory"),
        (tmp_path / "missing" / "copy", "cannot make the folder *: No such file or directory"),
        (own, "* is the data directory or in it: name another"),
        (own / "copy", "* is the data directory or in it: name another"),
        (f"{own.parent}//./x/../{own.name}/copy", "* is the data directory or in it: *"),
        ("copy", "* is the data directory or in it: name another"),
        (tmp_path / ("x" * 300), "cannot make the folder *: File name too long"),
        ("/" + "x/" * 600, "the path is too long"),
    ]
    for path, text in cases:
        reply = client("FERRICSTORE.BACKUP", path)
        assert isinstance(reply, Error), path
        pattern = "ERR backup: " + re.escape(text).replace(r"\*", ".*")
        assert re.fullmatch(pattern, reply), reply
        info = server.info()
        assert (info["backup_last_time"], info["backup_in_progress"]) == ("0", "0")
    assert sorted(os.listdir(tmp_path / "full")) == ["something"]
    assert not (own / "copy").exists()
    (tmp_path / "empty").mkdir()
    backup(client, tmp_path / "empty")
    assert server.info()["backup_last_status"] == "ok"


def test_links_lead_nowhere_else(start, tmp_path):
    server = start()
    client = server.connect()
    client("SET", "a", 1)
    own = server.directory
    (tmp_path / "way").symlink_to(own)
    (tmp_path / "deep").symlink_to(own / "data")
    (tmp_path / "up").symlink_to(own.parent)
    for path in (tmp_path / "way", tmp_path / "way" / "copy", tmp_path / "deep" / "copy",
                 tmp_path / "up" / own.name / "copy"):
        reply = client("FERRICSTORE.BACKUP", path)
        assert str(reply).endswith("is the data directory or in it: name another"), path
        assert not path.name == "copy" or not path.exists()
    reply = client("FERRICSTORE.BACKUP", tmp_path / "up")
    assert str(reply).endswith("holds the data directory: name another")
    (tmp_path / "other").mkdir()
    (tmp_path / "aside").symlink_to(tmp_path / "other")
    backup(client, tmp_path / "aside" / "copy")
    assert (tmp_path / "other" / "copy" / "manifest").exists()


def test_a_linked_folder_is_ours_too(start, tmp_path):
    server = start()
    client = server.connect()
    client("SET", "a", 1)
    own = server.directory
    server.kill()
    (own / "data").rename(tmp_path / "far")
    (own / "data").symlink_to(tmp_path / "far")
    client = server.start().connect()
    reply = client("FERRICSTORE.BACKUP", tmp_path / "far" / "copy")
    assert str(reply).endswith("is the data directory or in it: name another")
    assert not (tmp_path / "far" / "copy").exists()
    backup(client, tmp_path / "copy")


def test_a_failure_is_told_by_info(start, tmp_path):
    server = start()
    client = server.connect()
    client("SET", "a", 1)
    client("FERRICSTORE.BACKUP", tmp_path / "missing" / "copy")
    assert server.info()["backup_last_status"] == "err"
    assert "backup failed: cannot make the folder" in server.log()
    backup(client, tmp_path / "copy")
    assert server.info()["backup_last_status"] == "ok"


def test_where_nobody_may_write(start, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    reply = start().connect()("FERRICSTORE.BACKUP", closed / "copy")
    assert re.fullmatch("ERR backup: cannot make the folder .*: Permission denied", reply)


def test_the_copy_has_nothing_of_the_log(start, start_on, tmp_path):
    """And so a start on it replays nothing."""
    server = start()
    client = server.connect()
    put_something(client)
    backup(client, tmp_path / "copy")
    assert sorted(os.listdir(tmp_path / "copy")) == ["data", "manifest"]
    other = start_on(tmp_path / "copy")
    assert storage.number(other, "replayed_commands") == 0


def test_a_copy_without_manifest_is_none(start, start_on, tmp_path):
    """It is written last: without it nobody knows whether all is there."""
    server = start()
    put_something(server.connect())
    backup(server.connect(), tmp_path / "copy")
    other = start_on(tmp_path / "copy")
    other.kill()
    (other.directory / "manifest").unlink()
    assert "manifest" in other.refuses_to_start()


# ---- BGSAVE


def test_bgsave_makes_a_backup_where_backup_dir_says(start, start_on, tmp_path):
    (tmp_path / "backups").mkdir()
    server = start(backup_dir=tmp_path / "backups")
    client = server.connect()
    put_something(client)
    state = storage.held(client)
    for count in (1, 2):
        before = client("LASTSAVE")
        assert client("BGSAVE") == "Background saving started"
        wait_until(lambda: server.info()["rdb_bgsave_in_progress"] == "0")
        assert client("LASTSAVE") >= before
        assert len(os.listdir(tmp_path / "backups")) == count
    info = server.info()
    assert int(info["backup_last_time"]) > 0
    assert (info["backup_last_status"], info["rdb_last_bgsave_status"]) == ("ok", "ok")
    names = sorted(os.listdir(tmp_path / "backups"))
    form = re.compile(r"ferric-[\d-]{10}T[\d:]{8}\.\d{3}[+-]\d\d:\d\d")
    assert all(form.fullmatch(name) for name in names)
    for name in names:
        assert storage.held(start_on(tmp_path / "backups" / name).connect()) == state


def test_bgsave_without_a_backup_dir_makes_a_checkpoint_only(start, tmp_path):
    server = start(backup_dir=tmp_path)
    client = server.connect()
    client("CONFIG", "SET", "backup-dir", "")
    client("SET", "a", 1)
    before = storage.number(server, "checkpoints")
    assert client("BGSAVE") == "Background saving started"
    wait_until(lambda: storage.number(server, "checkpoints") > before)
    info = server.info()
    assert (info["backup_last_time"], info["backup_last_status"]) == ("0", "ok")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("ferric-")]


def test_bgsave_that_fails_is_told_and_can_be_repeated(start, tmp_path):
    server = start(backup_dir=tmp_path / "missing")
    client = server.connect()
    client("SET", "a", 1)
    assert client("BGSAVE") == "Background saving started"
    wait_until(lambda: server.info()["backup_last_status"] == "err")
    wait_until(lambda: server.info()["rdb_bgsave_in_progress"] == "0")
    (tmp_path / "missing").mkdir()
    assert client("BGSAVE") == "Background saving started"
    wait_until(lambda: server.info()["backup_last_status"] == "ok")
    assert len(os.listdir(tmp_path / "missing")) == 1


def test_bgsave_takes_a_backup_dir_that_is_set(start, tmp_path):
    server = start()
    client = server.connect()
    client("SET", "a", 1)
    assert client("CONFIG", "SET", "backup-dir", tmp_path) == "OK"
    assert client("BGSAVE") == "Background saving started"
    wait_until(lambda: storage.number(server, "backup_last_time") > 0)
    assert [name for name in os.listdir(tmp_path) if name.startswith("ferric-")]
