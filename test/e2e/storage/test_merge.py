# SPDX-License-Identifier: Apache-2.0
"""FERRICSTORE.MERGE and merges by themselves: what lives stays, what is dead goes."""

import pytest

from support import storage
from support.client import Error, wait_until

pytestmark = pytest.mark.ferric_only("no Redis has data files to merge")

KEYS = 100
DEATH_MS = 4102444800123
# So slow that a merge never ends.
BYTE_A_SECOND = 1


@pytest.fixture
def start(start_server):
    return lambda **options: start_server(**{**storage.SMALL, **options})


def put_all_kinds(client):
    """Of each kind of string something, some of it in other databases and some with an expiry."""
    storage.fill(client, KEYS)
    client.pipeline("SET n 1", "INCRBY n 41", "SET f 1.5", "INCRBYFLOAT f 0.25", "SET empty v")
    client.pipeline("SETRANGE empty 0 x", "SETBIT bits 70000 1", "PFADD hll a b c", "APPEND a b")
    client.pipeline(("SET", "empty", ""), ("SET", b"\0\r\n\xff", b"\xff\0"), "SET later v")
    client.pipeline(f"PEXPIREAT later {DEATH_MS}", f"PEXPIREAT k1 {DEATH_MS}", "COPY k2 copy")
    client.pipeline("SELECT 3", "SET k1 three", "SELECT 15", "SET k1 fifteen", "SELECT 0")


def make_dead(client, generations=3):
    storage.fill(client, KEYS, generations, "dead%d")
    storage.fill(client, KEYS, generations)
    client("DEL", *[f"dead{i}" for i in range(KEYS)])


def assert_held(server, state):
    """Also: what INFO says of live bytes is exactly what lives."""
    assert storage.held(server.connect()) == state
    wait_until(lambda: storage.number(server, "data_live_bytes") == storage.live_bytes(state))


def test_all_that_lives_stays_and_space_returns(start):
    server = start()
    client = server.connect()
    put_all_kinds(client)
    make_dead(client)
    state = storage.held(client)
    assert client("SAVE") == "OK"
    assert_held(server, state)
    before = server.info()
    assert storage.size_of_files(server.directory) == int(before["data_bytes"])
    assert (before["merges"], before["merge_in_progress"]) == ("0", "0")
    storage.merge_all(server)
    after = server.info()
    assert int(after["merges"]) >= 1
    assert int(after["merge_freed_bytes"]) > 0
    assert int(after["hints_written"]) >= 1
    assert (after["merges_failed"], after["merge_total_bytes"]) == ("0", "0")
    assert int(after["data_bytes"]) < int(before["data_bytes"]) // 2
    assert_held(server, state)
    server.crash_and_restart()
    assert_held(server, state)
    server.restart()
    assert_held(server, state)


def test_what_is_replaced_is_removed_by_the_next_checkpoint(start):
    server = start()
    make_dead(server.connect())
    server.connect()("SAVE")
    before = set(storage.files(server.directory))
    storage.begin_merges(server)
    wait_until(lambda: storage.number(server, "data_replaced_bytes"))
    assert before <= set(storage.files(server.directory))

    def is_removed():
        server.connect()("SAVE")
        is_there = before <= set(storage.files(server.directory))
        return not is_there and storage.number(server, "data_replaced_bytes") == 0

    wait_until(is_removed, pause=0.05)


def test_deleted_and_expired_keys_stay_gone(start):
    server = start()
    client = server.connect()
    storage.fill(client, KEYS, name="deleted%d")
    storage.fill(client, KEYS, name="expired%d")
    storage.fill(client, KEYS, 2)
    client.pipeline(*[("PEXPIRE", f"expired{i}", 1) for i in range(KEYS)])
    client.pipeline(*[("DEL", f"deleted{i}") for i in range(KEYS)])
    wait_until(lambda: client("EXISTS", *[f"expired{i}" for i in range(KEYS)]) == 0)
    state = storage.held(client)
    assert len(state) == KEYS
    for _ in range(2):  # the second one meets what the first had to keep
        storage.fill(client, KEYS, 2)
        storage.merge_all(server)
        state = storage.held(client)
        server.crash_and_restart()
        client = server.connect()
        assert client("DBSIZE") == KEYS
        assert_held(server, state)


def rename(client):
    client.pipeline(*[("RENAME", f"k{i}", f"new{i}") for i in range(KEYS // 2)])


def flush(client):
    client.pipeline("SELECT 1", "SET k0 kept", "SELECT 0", "FLUSHDB", "SET k0 new")


def swap(client):
    client.pipeline("SELECT 1", "SET k0 other", "SWAPDB 0 1", "SET k1 there", "SELECT 0")


def transaction(client):
    moves = [("RENAME", f"k{i}", f"k{i + 1}") for i in range(0, KEYS, 2)]
    client.pipeline("MULTI", *moves, "DEL k1", "SET k0 0", "EXEC")


@pytest.mark.parametrize("change", [rename, flush, swap, transaction])
def test_what_changes_many_keys_at_once_holds(start, change):
    server = start()
    client = server.connect()
    storage.fill(client, KEYS, 3)
    change(client)
    state = storage.held(client)
    storage.merge_all(server)
    assert_held(server, state)
    server.crash_and_restart()
    assert_held(server, state)


def test_changes_while_a_merge_goes_on(start):
    """A merge that is held still in its middle, changes to what it has copied, and its end."""
    server = start(merge_rate_limit=BYTE_A_SECOND)
    client = server.connect()
    put_all_kinds(client)
    make_dead(client)
    client("SAVE")
    storage.begin_merges(server)
    wait_until(lambda: storage.number(server, "merge_done_bytes") > 0)
    storage.fill(client, KEYS // 2, 2)
    rename(client)
    client.pipeline("DEL n", "SWAPDB 3 4", "INCR f", "SET later now")
    state = storage.held(client)
    assert storage.number(server, "merge_in_progress") == 1
    assert_held(server, state)
    assert client("CONFIG", "SET", "merge-rate-limit", 0) == "OK"
    storage.merge_all(server)
    assert_held(server, state)
    server.crash_and_restart()
    assert_held(server, state)


@pytest.mark.parametrize("end", ["crash_and_restart", "restart"])
def test_an_end_in_the_middle_of_a_merge(start, end):
    server = start()
    client = server.connect()
    put_all_kinds(client)
    for rate in (BYTE_A_SECOND, 1 << 20, 8 << 20, 0):
        make_dead(client, 2)
        client("SAVE")
        client("CONFIG", "SET", "merge-rate-limit", rate)
        state = storage.held(client)
        storage.begin_merges(server)
        if rate == BYTE_A_SECOND:
            wait_until(lambda: storage.number(server, "merge_done_bytes") > 0)
        else:
            wait_until(lambda: storage.number(server, "merge_in_progress") or
                       storage.number(server, "merges"))
        getattr(server, end)()
        client = server.connect()
        assert_held(server, state)
    storage.merge_all(server)
    assert_held(server, state)


# ---- When


def never():
    return (5, 5)


def around_now(client):
    """By its clock, in UTC."""
    hour = int(client("TIME")[0]) // 3600 % 24
    return ((hour + 23) % 24, (hour + 3) % 24)


def set_window(client, window):
    first, end = window
    client("CONFIG", "SET", "merge-window-start-hour", first, "merge-window-end-hour", end)


def assert_no_merge(server):
    """It has had the time to begin: hints, which come first, have been written meanwhile."""
    storage.fill(server.connect(), 5 * KEYS, name="alive%d")
    wait_until(lambda: storage.number(server, "hints_written") >= 2)
    assert storage.number(server, "merges") == 0
    assert storage.number(server, "merge_in_progress") == 0


@pytest.mark.parametrize("mode", ["bulk", "age"])
def test_merges_begin_in_the_hours_of_the_window(start, mode):
    server = start(merge_cooldown_ms=0, merge_min_age_ms=0)
    client = server.connect()
    set_window(client, never())
    client("CONFIG", "SET", "merge-mode", mode)
    make_dead(client)
    assert_no_merge(server)
    set_window(client, around_now(client))
    wait_until(lambda: storage.number(server, "merges") >= 2)


def test_files_must_be_old_in_mode_age(start):
    server = start(merge_cooldown_ms=0, merge_min_age_ms=10**15)
    client = server.connect()
    set_window(client, around_now(client))
    client("CONFIG", "SET", "merge-mode", "age")
    make_dead(client)
    assert_no_merge(server)
    client("CONFIG", "SET", "merge-min-age-ms", 0)
    wait_until(lambda: storage.number(server, "merges") >= 2)


def test_outside_of_the_window_one_may_be_asked_for(start):
    server = start(merge_mode="bulk", merge_window_start_hour=5, merge_window_end_hour=5)
    make_dead(server.connect())
    storage.begin_merges(server)
    wait_until(lambda: storage.number(server, "merges") >= 1)


def test_mode_hot_on_an_idle_server(start):
    server = start()
    client = server.connect()
    make_dead(client)
    client("CONFIG", "SET", "merge-mode", "hot")
    wait_until(lambda: storage.number(server, "merges") >= 1)


def test_a_cooldown_that_is_taken_away(start):
    server = start(merge_max_files=1, merge_cooldown_ms=86400000, shards=1)
    client = server.connect()
    make_dead(client)
    client("CONFIG", "SET", "merge-mode", "hot")
    wait_until(lambda: storage.number(server, "merges") == 1)
    client("CONFIG", "SET", "merge-cooldown-ms", 0)
    wait_until(lambda: storage.number(server, "merges") >= 3)


def test_files_with_little_that_is_dead_are_left_alone(start):
    server = start(merge_mode="hot", merge_cooldown_ms=0)
    client = server.connect()
    storage.fill(client, 5 * KEYS)
    client.pipeline(*[("APPEND", f"k{i}", "+") for i in range(0, 5 * KEYS, 5)])
    assert_no_merge(server)
    client("CONFIG", "SET", "merge-dead-percent", 10, "merge-min-dead-bytes", 1)
    wait_until(lambda: storage.number(server, "merges") >= 1)


OPTIONS = {
    "merge-cooldown-ms": ("0", "86400000", "86400001"),
    "merge-dead-percent": ("1", "100", "0"),
    "merge-max-files": ("1", "1000", "0"),
    "merge-min-age-ms": ("0", "7200000", "-1"),
    "merge-min-dead-bytes": ("0", "1048576", "-1"),
    "merge-min-files": ("2", "1000", "1"),
    "merge-min-free-percent": ("0", "99", "100"),
    "merge-mode": ("age", "off", "sometimes"),
    "merge-rate-limit": ("0", "1048576", "-1"),
    "merge-small-file-size": ("0", "1048576", "-1"),
    "merge-window-end-hour": ("0", "23", "24"),
    "merge-window-start-hour": ("0", "23", "24"),
    "backup-dir": ("/nowhere", "", None),
}


def test_every_option_can_be_set_while_a_merge_goes_on(start):
    server = start(merge_rate_limit=BYTE_A_SECOND)
    client = server.connect()
    make_dead(client)
    state = storage.held(client)
    storage.begin_merges(server)
    wait_until(lambda: storage.number(server, "merge_done_bytes") > 0)
    names = [name.decode() for name in client("CONFIG", "GET", "merge-*")[::2]]
    assert sorted([*names, "backup-dir"]) == sorted(OPTIONS)
    for name, (*good, bad) in OPTIONS.items():
        for text in good:
            assert client("CONFIG", "SET", name, text) == "OK", name
            assert client("CONFIG", "GET", name) == [name.encode(), text.encode()]
        if bad is not None:
            assert isinstance(client("CONFIG", "SET", name, bad), Error), name
            assert client("CONFIG", "GET", name)[1] == good[-1].encode()
    assert_held(server, state)
    client("CONFIG", "SET", "merge-rate-limit", 0)
    wait_until(lambda: storage.number(server, "merge_in_progress") == 0)
    assert_held(server, state)
