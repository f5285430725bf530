# SPDX-License-Identifier: Apache-2.0
"""LATENCY: events, and what INFO says of commands."""

import re

import pytest

from support.client import Error
from support.client import wait_until


def section(client, name):
    text = client("INFO", name).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def numbers(line):
    return {k: float(v) for k, v in re.findall(r"([^=,]+)=([0-9.]+)", line)}




@pytest.fixture
def client(own_server):
    return own_server.connect()


def test_an_event(client):
    client.pipeline(*[("SET", f"{'a' * 1000}{i}", "v") for i in range(10000)])
    client("CONFIG", "SET", "latency-monitor-threshold", 1)
    wait_until(lambda: client("KEYS", "*b*") == [] and client("LATENCY", "LATEST"), timeout=60)
    client("CONFIG", "SET", "latency-monitor-threshold", 0)
    events = {entry[0]: entry[1:] for entry in client("LATENCY", "LATEST")}
    when, last, longest = events[b"command"]
    assert when > 1600000000 and 1 <= last <= longest
    history = client("LATENCY", "HISTORY", "command")
    assert history[-1] == [when, last]
    graph = client("LATENCY", "GRAPH", "command").decode()
    assert graph.startswith("command - high ")
    assert "command" in client("LATENCY", "DOCTOR").decode()
    assert client("LATENCY", "RESET", "command") == 1
    assert client("LATENCY", "HISTORY", "command") == []


def test_histograms_count_every_call(client):
    client("CONFIG", "RESETSTAT")
    client.pipeline(*[("SET", "k", i) for i in range(100)])
    client.pipeline(*[("GET", "k") for _ in range(1000)])
    flat = client("LATENCY", "HISTOGRAM", "get")
    details = dict(zip(flat[1][::2], flat[1][1::2]))
    assert flat[0] == b"get" and details[b"calls"] == 1000
    bounds, counts = details[b"histogram_usec"][::2], details[b"histogram_usec"][1::2]
    assert bounds == sorted(bounds) and counts == sorted(counts) and counts[-1] == 1000


def test_commandstats(client):
    client("CONFIG", "RESETSTAT")
    client("SET", "k", "v")
    client("SET", "k", "v")
    assert client("INCR", "k") == Error("ERR value is not an integer or out of range")
    assert client("SET", "k") == Error("ERR wrong number of arguments for 'set' command")
    assert "WRONGTYPE" in client("PFCOUNT", "k")
    client("CLIENT", "ID")
    stats = section(client, "commandstats")
    of_set = numbers(stats["cmdstat_set"])
    assert (of_set["calls"], of_set["rejected_calls"], of_set["failed_calls"]) == (2, 1, 0)
    of_incr = numbers(stats["cmdstat_incr"])
    assert (of_incr["calls"], of_incr["rejected_calls"], of_incr["failed_calls"]) == (1, 0, 1)
    of_pf = numbers(stats["cmdstat_pfcount"])
    assert (of_pf["calls"], of_pf["rejected_calls"], of_pf["failed_calls"]) == (1, 0, 1)
    assert numbers(stats["cmdstat_client|id"])["calls"] == 1
    assert set(stats) == {
        "cmdstat_set",
        "cmdstat_incr",
        "cmdstat_pfcount",
        "cmdstat_client|id",
        "cmdstat_config|resetstat",
    }


@pytest.mark.ferric_only("the limit is Ferric's own")
def test_a_write_that_is_too_large_is_rejected(start_server):
    client = start_server(max_entry_bytes="1mb").connect()
    assert "larger than max-entry-bytes" in client("SET", "k", b"x" * (2 << 20))
    of_set = numbers(section(client, "commandstats")["cmdstat_set"])
    assert (of_set["calls"], of_set["rejected_calls"], of_set["failed_calls"]) == (0, 1, 0)


def test_commandstats_of_a_transaction(client):
    client("CONFIG", "RESETSTAT")
    client("MULTI")
    client("SET", "k", "v")
    client("INCR", "k")
    client("PING")
    client("EXEC")
    stats = {k[len("cmdstat_") :]: numbers(v) for k, v in section(client, "commandstats").items()}
    assert {name: (row["calls"], row["failed_calls"]) for name, row in stats.items()} == {
        "config|resetstat": (1, 0),
        "multi": (1, 0),
        "set": (1, 0),
        "incr": (1, 1),
        "ping": (1, 0),
        "exec": (1, 0),
    }


def test_errorstats(client):
    client("CONFIG", "RESETSTAT")
    client("NOSUCH")
    client("SET", "k")
    client("EXEC")
    client("MULTI")
    client("NOSUCH")
    client("EXEC")
    assert section(client, "errorstats") == {
        "errorstat_ERR": "count=4",
        "errorstat_EXECABORT": "count=1",
    }
    assert section(client, "stats")["total_error_replies"] == "5"
    client("CONFIG", "RESETSTAT")
    assert section(client, "errorstats") == {}


def test_latencystats(client):
    client("CONFIG", "RESETSTAT")
    client("SET", "k", "v")
    shown = numbers(section(client, "latencystats")["latency_percentiles_usec_set"])
    assert list(shown) == ["p50", "p99", "p99.9"]
    client("CONFIG", "SET", "latency-tracking-info-percentiles", "0.0 50.0 100.0")
    assert client("CONFIG", "GET", "latency-tracking-info-percentiles")[1] == b"0 50 100"
    shown = numbers(section(client, "latencystats")["latency_percentiles_usec_set"])
    assert list(shown) == ["p0", "p50", "p100"]
    for wrong in ("10.0 50.0 a", "10.0 50.0 101.0", "-1"):
        reply = client("CONFIG", "SET", "latency-tracking-info-percentiles", wrong)
        assert str(reply).startswith("ERR CONFIG SET failed") or isinstance(reply, Error)
    assert client("CONFIG", "GET", "latency-tracking-info-percentiles")[1] == b"0 50 100"
    client("CONFIG", "SET", "latency-tracking-info-percentiles", "")
    assert set(section(client, "latencystats").values()) == {""}


def test_hits_and_misses(client):
    client("CONFIG", "RESETSTAT")
    client("SET", "k", "v")
    client("GET", "k")
    client("GET", "nosuch")
    client("MGET", "k", "nosuch", "k")
    client("EXISTS", "k", "nosuch")
    client("SET", "k", "v", "GET")
    client("GETDEL", "k")
    client("DEL", "nosuch")
    stats = section(client, "stats")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == ("6", "3")
