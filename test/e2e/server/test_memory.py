# SPDX-License-Identifier: Apache-2.0
"""MEMORY: figures that agree with each other and with what is done."""

import pytest


def stats(client):
    reply = client("MEMORY", "STATS")
    return dict(zip(reply[::2], reply[1::2]))


def test_a_large_value_is_seen_and_its_end_too(client):
    client("SET", "k", "v" * 100_000)
    assert client("MEMORY", "USAGE", "k") < 200_000
    client("SET", "k", "v")
    assert client("MEMORY", "USAGE", "k") < 200


def test_databases_with_keys_are_listed(client):
    client("SELECT", "3")
    client("SET", "k", "v", "EX", "1000")
    of_three = stats(client)[b"db.3"]
    assert of_three[1] > 0 and of_three[3] > 0
    client("FLUSHALL")
    figures = stats(client)
    assert b"db.3" not in figures and figures[b"keys.count"] == 0


def test_parts_make_the_whole(client):
    for i in range(1000):
        client("SET", f"k{i}", "v" * 100)
    figures = stats(client)
    assert figures[b"keys.count"] == 1000
    assert figures[b"peak.allocated"] >= figures[b"total.allocated"] > 100_000
    assert (figures[b"dataset.bytes"] + figures[b"overhead.total"] == figures[b"total.allocated"]
            or figures[b"dataset.bytes"] > 100_000)


@pytest.mark.ferric_only("Redis reads every value into memory")
def test_a_value_on_disk_takes_no_memory(own_server):
    client = own_server.connect()
    client("SET", "k", "v" * 100_000)
    client("APPEND", "k", "w")
    own_server.restart()
    client = own_server.connect()
    assert client("MEMORY", "USAGE", "k") < 200
    assert client("STRLEN", "k") == 100_001
    assert client("MEMORY", "USAGE", "nothing") is None
