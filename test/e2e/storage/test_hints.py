# SPDX-License-Identifier: Apache-2.0
"""Hints beside data files: a start that has them reads no values, one that has not is as right."""

import pytest

from support import storage
from support.client import Error, wait_until

pytestmark = pytest.mark.ferric_only("no Redis has data files")

KEYS = 400


@pytest.fixture
def server(start_server):
    return start_server(**storage.SMALL)


def put_something(server):
    client = server.connect()
    storage.fill(client, KEYS)
    client.pipeline("SET later v PXAT 4102444800123", "DEL k1", "SET k2 new", "SELECT 3", "SET k 3")
    client("SELECT", 0)
    return storage.held(client)


def hints(server):
    return storage.files(server.directory, ".hint")


def assert_right(server, state):
    assert storage.held(server.connect()) == state
    wait_until(lambda: storage.number(server, "data_live_bytes") == storage.live_bytes(state))


def damage(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def test_an_orderly_end_leaves_one_for_each_file(server):
    state = put_something(server)
    server.stop()
    files = storage.files(server.directory)
    assert [name.replace(".hint", ".log") for name in hints(server)] == list(files)
    assert sum(path.stat().st_size for path in hints(server).values()) < KEYS * 200
    server.start()
    assert_right(server, state)


def test_they_are_what_a_start_goes_by(server):
    """A value that is damaged on disk refuses a start that reads it, and no other."""
    state = put_something(server)
    server.stop()
    path = next(iter(storage.files(server.directory).values()))
    damage(path, path.stat().st_size // 2)  # nearly all of it are values
    server.start()
    client = server.connect()
    replies = client.pipeline(*[("GET", key) for db, key in state if db == 0])
    (refused,) = [reply for reply in replies if isinstance(reply, Error)]
    assert path.name in refused
    server.kill()
    for hint in hints(server).values():
        hint.unlink()
    said = server.refuses_to_start()
    assert path.name in said and "offset" in said


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_start_without_them_is_right(server, end):
    state = put_something(server)
    server.connect()("SAVE")
    wait_until(lambda: storage.number(server, "hints_written") >= 2)
    getattr(server, end)()
    assert hints(server)
    for hint in hints(server).values():
        hint.unlink()
    server.start()
    assert_right(server, state)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_one_that_is_damaged_is_not_trusted(server, part):
    state = put_something(server)
    server.stop()
    name, path = list(hints(server).items())[0]
    damage(path, int(path.stat().st_size * part))
    before = len(server.log())
    server.start()
    said = server.log()[before:]
    assert "the file itself is read instead" in said and name in said
    assert_right(server, state)
    server.crash_and_restart()
    assert_right(server, state)


def test_one_of_another_file_is_not_trusted(server):
    state = put_something(server)
    server.stop()
    first, second, *_ = hints(server).values()
    first.write_bytes(second.read_bytes())
    before = len(server.log())
    server.start()
    assert "the file itself is read instead" in server.log()[before:]
    assert_right(server, state)


def test_one_that_was_cut_is_not_trusted(server):
    state = put_something(server)
    server.stop()
    for i, path in enumerate(hints(server).values()):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * i // 4])
    server.start()
    assert_right(server, state)


def test_they_go_with_their_files(server):
    put_something(server)
    client = server.connect()
    wait_until(lambda: storage.number(server, "hints_written") >= 2)
    storage.fill(client, KEYS, 2)
    state = storage.held(client)
    storage.merge_all(server)

    def no_hint_is_alone():
        names = {name.replace(".hint", ".log") for name in hints(server)}
        return names <= set(storage.files(server.directory))

    wait_until(no_hint_is_alone)
    server.crash_and_restart()
    assert_right(server, state)
    server.restart()
    assert_right(server, state)
