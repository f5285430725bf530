# SPDX-License-Identifier: Apache-2.0
"""CLIENT PAUSE: who waits, and for how long."""

import pytest

from support.client import wait_until


def blocked(client):
    return int(info(client, "clients")["blocked_clients"])


def info(client, section):
    text = client("INFO", section).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


@pytest.fixture
def admin(own_server):
    client = own_server.connect()
    yield client
    client("CLIENT", "UNPAUSE")


def test_writes_wait_until_unpause(own_server, admin):
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    writers = [own_server.connect() for _ in range(3)]
    for writer in writers:
        writer.send_command("INCR", "n")
    wait_until(lambda: blocked(admin) == 3)
    assert admin("GET", "n") is None
    admin("CLIENT", "UNPAUSE")
    assert sorted(writer.read_reply() for writer in writers) == [1, 2, 3]
    assert blocked(admin) == 0


def test_a_pause_ends_by_itself(own_server, admin):
    admin("CLIENT", "PAUSE", 50, "WRITE")
    assert admin("SET", "k", "v") == "OK"


def test_a_short_pause_behind_one_that_was_ended(own_server, admin):
    writer = own_server.connect()
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    writer.send_command("SET", "k", "v")
    wait_until(lambda: blocked(admin) == 1)
    admin("CLIENT", "UNPAUSE")
    assert writer.read_reply() == "OK"
    admin("CLIENT", "PAUSE", 200, "WRITE")
    assert writer("SET", "k", "w") == "OK"


def test_all_holds_reads_too(own_server, admin):
    other = own_server.connect()
    admin("CLIENT", "PAUSE", 100)
    other.send_command("GET", "k")
    assert other.read_reply() is None


def expired(client):
    return int(info(client, "stats")["expired_keys"])


def test_what_falls_due_meanwhile_goes_afterwards(own_server, admin):
    before = expired(admin)
    admin("MULTI")
    admin("SET", "a{t}", "1", "PX", 10)
    admin("SET", "b{t}", "1", "PX", 10)
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    admin("EXEC")
    wait_until(lambda: admin("MGET", "a{t}", "b{t}") == [None, None])
    assert admin("DBSIZE") == 2
    assert expired(admin) == before
    admin("CLIENT", "UNPAUSE")
    assert admin("MGET", "a{t}", "b{t}") == [None, None]
    assert expired(admin) == before + 2


def test_nothing_goes_meanwhile_however_keys_go(own_server, admin):
    before = expired(admin)
    admin("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    admin("MULTI")
    admin("SET", "a{t}", "1", "PX", 10)
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    admin("EXEC")
    wait_until(lambda: admin("MGET", "a{t}", "b{t}") == [None, None])
    assert admin("DBSIZE") == 1
    assert expired(admin) == before
    admin("CLIENT", "UNPAUSE")
    assert admin("GET", "a{t}") is None
    admin("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    assert expired(admin) == before + 1


def test_what_follows_in_the_pipeline_waits_as_well(own_server, admin):
    other = own_server.connect()
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    for command in (("GET", "k"), ("SET", "k", "v"), ("GET", "k")):
        other.send_command(*command)
    assert other.read_reply() is None
    wait_until(lambda: blocked(admin) == 1)
    admin("CLIENT", "UNPAUSE")
    assert [other.read_reply(), other.read_reply()] == ["OK", b"v"]


def test_a_transaction_waits_if_it_writes(own_server, admin):
    reader, writer = own_server.connect(), own_server.connect()
    writer("MULTI")
    writer("SET", "k", "v")
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    reader("MULTI")
    reader("GET", "k")
    assert reader("EXEC") == [None]
    writer.send_command("EXEC")
    wait_until(lambda: blocked(admin) == 1)
    admin("CLIENT", "UNPAUSE")
    assert writer.read_reply() == ["OK"]


def test_a_client_that_waits_may_be_killed(own_server, admin):
    other = own_server.connect()
    number = other("CLIENT", "ID")
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    other.send_command("SET", "k", "v")
    wait_until(lambda: blocked(admin) == 1)
    assert admin("CLIENT", "KILL", "ID", number) == 1
    wait_until(lambda: blocked(admin) == 0)
    admin("CLIENT", "UNPAUSE")
    assert admin("GET", "k") is None


@pytest.mark.ferric_only("fields of later versions")
def test_info_tells_of_the_pause(admin):
    assert info(admin, "clients")["paused_actions"] == "none"
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    told = info(admin, "clients")
    assert (told["paused_reason"], told["paused_actions"]) == ("client_pause", "write")
    assert 0 < int(told["paused_timeout_milliseconds"]) <= 1000000


def test_the_stricter_and_longer_pause_counts(own_server, admin):
    other = own_server.connect()
    admin("CLIENT", "PAUSE", 1000000, "WRITE")
    admin("CLIENT", "PAUSE", 1, "WRITE")
    other.send_command("SET", "k", "v")
    wait_until(lambda: blocked(admin) == 1)
    admin("CLIENT", "UNPAUSE")
    assert other.read_reply() == "OK"
