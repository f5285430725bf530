# SPDX-License-Identifier: Apache-2.0
"""redis-cli, unmodified: what people type and what scripts pipe into it."""

import os
import pty
import re
import select
import shutil
import subprocess
import termios

import pytest

from support.client import TIMEOUT, encode, wait_until
from support.server import die_with_parent

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


@pytest.fixture
def keys(cli):
    """Of sizes that are known: b10, b20, .. b990, and one that is larger; one in database 3."""
    lines = "".join(f"SET b{size} {'x' * size}\n" for size in range(10, 1000, 10))
    cli(stdin=lines + f"SET large {'x' * 5000}\nSELECT 3\nSET elsewhere {'x' * 9000}\n")


def test_bigkeys(cli, keys):
    text = cli("--bigkeys")
    assert "Sampled 100 keys in the keyspace!" in text
    assert 'Biggest string found \'"large"\' has 5000 bytes' in text
    assert f"100 strings with {sum(range(10, 1000, 10)) + 5000} bytes (100.00% of keys" in text
    for kind in ("lists", "hashs", "streams", "sets", "zsets"):
        assert f"0 {kind} with 0 " in text
    assert 'Biggest string found \'"elsewhere"\' has 9000 bytes' in cli("-n", "3", "--bigkeys")
    assert "Sampled 0 keys" in cli("-n", "4", "--bigkeys")


@pytest.mark.parametrize("options", [["--memkeys"], ["--memkeys-samples", "0"]], ids=" ".join)
def test_memkeys(cli, keys, options):
    usage = int(cli("MEMORY", "USAGE", "large"))
    text = cli(*options)
    assert "Sampled 100 keys in the keyspace!" in text
    assert f'Biggest string found \'"large"\' has {usage} bytes' in text


def test_hotkeys(own_server):
    cli = Cli(own_server.port)
    cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    client = own_server.connect()
    client.pipeline("SET cold x", "SET hot x")

    def is_hot():
        client.pipeline(*[("GET", "hot")] * 1000)
        return client("OBJECT", "FREQ", "hot") > client("OBJECT", "FREQ", "cold") + 2

    wait_until(is_hot)
    text = cli("--hotkeys")
    assert "Sampled 2 keys in the keyspace!" in text
    found = re.findall(r'hot key found with counter: (\d+)\s+keyname: "(\w+)"', text)
    assert [name for _, name in found] == ["hot", "cold"]


def test_latency_of_a_few_pings(cli):
    """--latency in its raw form ends by itself after one round."""
    text = cli("--raw", "--latency", "-i", "1")
    assert len(text.split()) == 4 and int(text.split()[3]) > 0


# ---- What goes on until it is ended


class Running:
    """A redis-cli that goes on, at a terminal: what it says comes line by line, not at its end."""

    def __init__(self, port, *args):
        self.terminal, other = pty.openpty()
        mode = termios.tcgetattr(other)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(other, termios.TCSANOW, mode)
        self.process = subprocess.Popen(
            ["redis-cli", "-p", str(port), *args],
            stdin=other,
            stdout=other,
            stderr=other,
            env=os.environ | {"TERM": "dumb", "REDISCLI_HISTFILE": "/dev/null"},
            preexec_fn=die_with_parent,
        )
        os.close(other)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)

    def read(self):
        """Waits for more of what it says."""
        ready, _, _ = select.select([self.terminal], [], [], TIMEOUT)
        assert ready, f"nothing more comes: {self.text}"
        self.text += os.read(self.terminal, 65536).decode()
        return self.text

    def until(self, pattern):
        """The match of what it will have said."""
        while not (found := re.search(pattern, self.text, re.MULTILINE)):
            self.read()
        return found

    def type(self, line):
        os.write(self.terminal, line.encode() + b"\n")


def test_stat(server):
    client = server.connect()
    client.pipeline(*[("SET", f"k{i}", "v") for i in range(77)])
    with Running(server.port, "--stat", "-i", "0.05") as stat:
        stat.until(r"^------- data ------ --------------------- load ---")
        stat.until(r"^keys +mem +clients +blocked +requests +connections")
        for _ in range(3):
            row = stat.until(r"^77 +[\d.]+[KMG] +\d+ +0 +\d+ \(\+\d+\) +\d+ *\r\n")
            stat.text = stat.text[row.end() :]
        client("FLUSHALL")
        stat.until(r"^0 +[\d.]+[KMG] +\d+ +0 +\d+ \(\+\d+\)")


def test_latency_goes_on(server):
    with Running(server.port, "--latency", "-i", "1") as latency:
        latency.until(r"min: \d+, max: \d+, avg: [\d.]+ \(\d\d+ samples\)")


def test_what_others_publish(server):
    with Running(server.port, "PSUBSCRIBE", "news.*") as listener:
        listener.until(r"psubscribe")
        assert server.connect()("PUBLISH", "news.today", "it rains") == 1
        listener.until(r"pmessage(.*\n){1,3}.*news\.today.*\n.*it rains")


def test_monitor(server):
    with Running(server.port, "MONITOR") as monitor:
        monitor.until(r"^OK")
        server.connect()("SET", "seen", "here")
        monitor.until(r'^[\d.]+ \[0 127\.0\.0\.1:\d+\] "SET" "seen" "here"')


def test_pushes_in_resp3(server):
    """The client-side caching of RESP3: what comes between replies is shown."""
    other = server.connect()
    with Running(server.port, "-3", "--show-pushes", "yes") as cli:
        cli.type("CLIENT TRACKING ON")
        cli.until("OK")
        cli.type("GET cached")
        cli.type("ECHO first")
        cli.until(r"first")
        other("SET", "cached", "v")
        # It looks for pushes when it reads a reply, and that may overtake one.
        while "-> invalidate: 'cached'" not in cli.text:
            cli.type("ECHO second")
            cli.until(r"second")
            cli.text = cli.text.replace("second", "")


def test_a_session_by_hand(server):
    """It asks for COMMAND DOCS when it begins, and shows them."""
    prompt = f"127.0.0.1:{server.port}"
    with Running(server.port) as cli:
        cli.until(re.escape(prompt) + "> ")
        cli.type("HELP GETEX")
        cli.until(r"GETEX.* ")
        cli.until(r"since:.* 6\.2\.0")
        cli.type("SET greeting 'two words'")
        cli.until("OK")
        cli.type("GET greeting")
        cli.until(r'"two words"')
        cli.type("SELECT 5")
        cli.until(re.escape(prompt) + r"\[5\]> ")
        cli.type("MULTI")
        cli.until(re.escape(prompt) + r"\[5\]\(TX\)> ")
        cli.type("DBSIZE")
        cli.until("QUEUED")
        cli.type("EXEC")
        cli.until(r"1\) \(integer\) 0")
        cli.type("QUIT")
        cli.process.wait(timeout=TIMEOUT)
        assert cli.process.returncode == 0


@pytest.mark.not_on("redis", "it is 7.0")
def test_info_and_clients(cli):
    assert "redis_version:7.2" in cli("INFO", "server")
    assert "cmd=client|list" in cli("CLIENT", "LIST")
