# SPDX-License-Identifier: Apache-2.0
"""redis-benchmark, unmodified: it ends, and not one reply is an error."""

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("redis-benchmark"), reason="no redis-benchmark")

TESTS = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]


def run(server, *args):
    done = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    text = done.stdout.replace("WARNING: Keepalive disabled", "")
    for word in ("error", "warning", "could not", "refused", "reset"):
        assert word not in text.lower(), done.stdout
    return done.stdout


def rates(text):
    """The requests per second of each test, from the quiet form."""
    found = re.findall(r"([^\r\n:]+): ([0-9.]+) requests per second", text)
    return {name.strip(): float(rate) for name, rate in found}


@pytest.mark.parametrize(
    "options",
    [
        ["-c", "20"],
        ["-c", "50", "-P", "16"],
        ["-c", "50", "-P", "16", "-3"],
        ["-c", "10", "-P", "64", "--threads", "1"],
        ["-c", "20", "-P", "4", "-r", "1000", "-d", "1000"],
    ],
    ids=" ".join,
)
def test_all_is_answered(server, options):
    text = run(server, "-q", "-n", "10000", "-t", "ping,set,get,incr,mset", *options)
    assert list(rates(text)) == TESTS
    assert all(rate > 0 for rate in rates(text).values())


def test_a_connection_for_each_request(server):
    text = run(server, "-q", "-n", "2000", "-c", "20", "-k", "0", "-t", "ping,set,get")
    assert list(rates(text)) == TESTS[:4]


def test_what_is_counted_is_what_was_done(server):
    run(server, "-q", "-n", "5000", "-c", "10", "-P", "10", "-t", "incr")
    assert server.connect()("GET", "counter:__rand_int__") == b"5000"


def test_the_long_form_knows_our_settings(server):
    """Without -q it tells how the server persists, from CONFIG GET."""
    text = run(server, "-n", "1000", "-t", "set")
    assert "host configuration \"save\":" in text
    assert "host configuration \"appendonly\": yes" in text
