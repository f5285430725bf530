# SPDX-License-Identifier: Apache-2.0
"""HyperLogLogs that are carried about as strings, that grow dense, and after a restart."""

import pytest


def fill(client, key, first, last):
    for at in range(first, last, 1000):
        client("PFADD", key, *[f"e{i}" for i in range(at, min(at + 1000, last))])


def test_estimates_are_near(client):
    fill(client, "h", 0, 50000)
    assert client("STRLEN", "h") == 12304
    assert abs(client("PFCOUNT", "h") - 50000) < 50000 * 0.04


def test_a_value_may_be_set_elsewhere(client):
    """Sparse and dense, with the count that is kept and without."""
    for count in (0, 1, 200, 1500, 5000):
        client("DEL", "h")
        client("PFADD", "h")
        fill(client, "h", 0, count)
        before = client("GET", "h")
        estimate = client("PFCOUNT", "h")
        client("SET", "a", before)
        client("SET", "b", client("GET", "h"))
        assert client("PFCOUNT", "a") == client("PFCOUNT", "b") == estimate
        assert client("GET", "a") == client("GET", "b") == client("GET", "h")
        assert client("PFADD", "a", *[f"e{i}" for i in range(min(count, 1000))]) == 0
        assert client("PFMERGE", "m", "a", "b") == "OK"
        assert client("PFCOUNT", "m") == estimate


def test_registers(client):
    client("PFADD", "h", "a", "b", "c")
    ranks = client("PFDEBUG", "GETREG", "h")
    assert len(ranks) == 16384
    assert {i: rank for i, rank in enumerate(ranks) if rank > 0} == {8436: 1, 12711: 2, 15780: 1}


@pytest.mark.parametrize("how", ["restart", "crash_and_restart"])
def test_hyperloglogs_survive(own_server, how):
    client = own_server.connect()
    fill(client, "dense", 0, 4000)
    fill(client, "sparse", 3000, 3300)
    client("PFMERGE", "merged", "sparse", "dense")
    counts = [client("PFCOUNT", key) for key in ("dense", "sparse", "merged")]
    values = client("MGET", "dense", "sparse", "merged")
    getattr(own_server, how)()
    client = own_server.connect()
    assert client("MGET", "dense", "sparse", "merged") == values
    assert [client("PFCOUNT", key) for key in ("dense", "sparse", "merged")] == counts
    assert client("PFADD", "dense", "e17", "e3999") == 0
