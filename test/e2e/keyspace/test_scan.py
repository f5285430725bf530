# SPDX-License-Identifier: Apache-2.0
"""Whole walks with SCAN: what is there from start to end is seen, whatever else happens."""

import random

import pytest


def fill(client, names):
    client.pipeline(*[("SET", name, "v") for name in names])


def walk(client, *options, between=lambda: None):
    """All names that one walk gives, with repetitions."""
    names = []
    cursor = b"0"
    while True:
        cursor, page = client("SCAN", cursor, *options)
        assert cursor.isdigit() and int(cursor) < 1 << 64
        names += page
        if cursor == b"0":
            return names
        between()


def keys(count, prefix="key"):
    return [f"{prefix}:{i}".encode() for i in range(count)]


@pytest.mark.parametrize("count", [1, 7, 100, 10000])
def test_a_quiet_walk_sees_each_key_once(client, count):
    names = keys(1000)
    fill(client, names)
    assert sorted(walk(client, "COUNT", count)) == sorted(names)


def test_a_walk_in_resp3(client3):
    names = keys(100)
    fill(client3, names)
    assert sorted(walk(client3)) == sorted(names)


def test_count_bounds_a_page_roughly(client):
    fill(client, keys(1000))
    _, page = client("SCAN", "0", "COUNT", 10)
    assert 1 <= len(page) <= 100


def test_match_filters_a_walk(client):
    fill(client, keys(500) + keys(20, "other"))
    assert sorted(walk(client, "MATCH", "other:*", "COUNT", 10)) == sorted(keys(20, "other"))
    assert walk(client, "MATCH", "nothing", "COUNT", 10) == []


def test_type_filters_a_walk(client):
    fill(client, keys(300))
    assert sorted(walk(client, "TYPE", "string", "COUNT", 10)) == sorted(keys(300))
    assert walk(client, "TYPE", "hash", "COUNT", 10) == []


def test_growth_during_a_walk_hides_nothing(server):
    client, other = server.connect(), server.connect()
    names = keys(500)
    fill(client, names)
    added = iter(range(10**6))

    def add():
        if next(added) < 50:
            fill(other, keys(200, f"new{next(added)}"))

    seen = walk(client, "COUNT", 10, between=add)
    assert set(names) <= set(seen)


def test_deletion_during_a_walk_hides_nothing_else(server):
    client, other = server.connect(), server.connect()
    staying, going = keys(300, "staying"), keys(3000, "going")
    fill(client, staying + going)
    random.Random(1).shuffle(going)

    def delete():
        if going:
            other("DEL", *[going.pop() for _ in range(min(100, len(going)))])

    seen = walk(client, "COUNT", 10, between=delete)
    assert set(staying) <= set(seen)


def test_a_walk_stays_in_its_database(client):
    fill(client, keys(100))
    client("SELECT", 1)
    fill(client, keys(50, "one"))
    assert sorted(walk(client)) == sorted(keys(50, "one"))


def test_walks_of_several_clients_do_not_disturb_each_other(server):
    first, second = server.connect(), server.connect()
    names = keys(300)
    fill(first, names)
    found = []

    def other_walk():
        if not found:
            found.extend(walk(second, "COUNT", 50))

    assert sorted(walk(first, "COUNT", 10, between=other_walk)) == sorted(names)
    assert sorted(found) == sorted(names)


def test_randomkey_gives_every_key_some_day(client):
    names = set(keys(10))
    fill(client, sorted(names))
    seen = set(client.pipeline(*["RANDOMKEY"] * 2000))
    assert seen == names
