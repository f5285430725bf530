# SPDX-License-Identifier: Apache-2.0
"""redis-cli, unmodified: what people type and what scripts pipe into it."""

import shutil
import subprocess

import pytest

from support.client import encode

pytestmark = pytest.mark.skipif(not shutil.which("redis-cli"), reason="no redis-cli")


class Cli:
    def __init__(self, port):
        self.port = port

    def __call__(self, *args, stdin="", status=0):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *args],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        text = done.stdout.decode("utf-8", "replace")
        assert done.returncode == status, text
        return text


@pytest.fixture
def cli(server):
    return Cli(server.port)


def test_one_command(cli):
    assert cli("SET", "k", "v") == "OK\n"
    assert cli("GET", "k") == "v\n"
    assert cli("--no-raw", "GET", "k") == '"v"\n'
    assert cli("--no-raw", "GET", "nothing") == "(nil)\n"
    assert cli("--no-raw", "INCR", "n") == "(integer) 1\n"
    assert cli("--csv", "MGET", "k", "n", "nothing") == '"v","1",NULL\n'
    assert "ERR value is not an integer" in cli("INCR", "k")


def test_resp3(cli):
    assert cli("-3", "SET", "k", "v") == "OK\n"
    assert cli("-3", "--no-raw", "CONFIG", "GET", "timeout") == '1# "timeout" => "0"\n'
    assert cli("-3", "--json", "CONFIG", "GET", "timeout") == '{"timeout":"0"}\n'


def test_lines_from_stdin(cli):
    lines = "SET a 1\nINCRBY a 41\nGET a\nMULTI\nSET b 2\nGET b\nEXEC\nNOSUCH\nPING\n"
    replies = cli(stdin=lines)
    assert replies.startswith("OK\n42\n42\nOK\nQUEUED\nQUEUED\nOK\n2\n")
    assert replies.endswith("PONG\n")


def test_the_last_argument_from_stdin(cli):
    value = "x" * 100000
    assert cli("-x", "SET", "k", stdin=value) == "OK\n"
    assert cli("STRLEN", "k") == "100000\n"


def test_databases_and_repetition(cli):
    assert cli("-n", "3", "SET", "k", "v") == "OK\n"
    assert cli("GET", "k") == "\n"
    assert cli("-r", "3", "INCR", "n") == "1\n2\n3\n"


def test_passwords(start_server):
    cli = Cli(start_server(requirepass="sesame").port)
    assert "NOAUTH" in cli("PING")
    assert cli("--no-auth-warning", "-a", "sesame", "PING") == "PONG\n"
    assert cli("--no-auth-warning", "-a", "sesame", "--user", "default", "-3", "PING") == "PONG\n"
    assert "WRONGPASS" in cli("--no-auth-warning", "-a", "wrong", "PING")


def test_pipe(cli):
    """Mass insertion: it sends all, and an ECHO to know where the replies end."""
    count = 20000
    data = b"".join(encode("SET", f"k{i}", i) for i in range(count))
    assert f"errors: 0, replies: {count}" in cli("--pipe", stdin=data)
    assert cli("DBSIZE") == f"{count}\n"


def test_pipe_with_errors(cli):
    data = encode("SET", "k", "x") + encode("INCR", "k") + encode("PING")
    assert "errors: 1, replies: 3" in cli("--pipe", stdin=data, status=1)


def test_scan(cli):
    cli(stdin="".join(f"SET user:{i} x\n" for i in range(1000)) + "SET other 1\n")
    assert len(cli("--scan", "--pattern", "user:*").split()) == 1000
    assert len(cli("--scan").split()) == 1001


def test_bigkeys(cli):
    cli("SET", "small", "x")
    cli("SET", "big", "x" * 5000)
    assert 'Biggest string found \'"big"\' has 5000 bytes' in cli("--bigkeys")


@pytest.mark.not_on("redis", "it is 7.0")
def test_info_and_clients(cli):
    assert "redis_version:7.2" in cli("INFO", "server")
    assert "cmd=client|list" in cli("CLIENT", "LIST")


def test_latency_of_a_few_pings(cli):
    """--latency in its raw form ends by itself after one round."""
    text = cli("--raw", "--latency", "-i", "1")
    assert len(text.split()) == 4 and int(text.split()[3]) > 0
