# SPDX-License-Identifier: Apache-2.0
"""include: configuration files within others."""

import os

import pytest

from support.server import Server

pytestmark = pytest.mark.ferric_only("the texts are Ferric's own")


@pytest.fixture
def with_files(tmp_path):
    """with_files(main, name=text): a server that has not been started, and files beside its own."""
    made = []

    def make(main, **files):
        server = Server(tmp_path / "data", file=main)
        for name, text in files.items():
            (server.directory / f"{name}.conf").write_text(text)
        made.append(server)
        return server

    yield make
    for server in made:
        server.kill()


def setting(server, name):
    return server.connect()("CONFIG", "GET", name)[1].decode()


def test_what_stands_behind_wins(with_files):
    server = with_files("timeout 1\ntcp-keepalive 1\ninclude other.conf\ntcp-keepalive 3\n",
                        other="timeout 2\ntcp-keepalive 2\nmaxclients 20")
    server.start()
    assert [setting(server, name) for name in ("timeout", "tcp-keepalive", "maxclients")] == [
        "2", "3", "20"]


def test_a_pattern(with_files):
    server = with_files("include none*.conf\nINCLUDE part-*.conf\n", **{
        "part-b": "timeout 2\n", "part-a": "timeout 1\nmaxclients 10\n", "other": "timeout 3\n"})
    server.start()
    assert (setting(server, "timeout"), setting(server, "maxclients")) == ("2", "10")


def test_on_the_command_line(with_files):
    server = with_files("timeout 1\n", other="timeout 2\n")
    server.start(include="other.conf")
    assert setting(server, "timeout") == "2"


def test_paths_begin_at_the_working_directory(with_files):
    server = with_files("include sub/a.conf\n", b="timeout 5\n")
    (server.directory / "sub").mkdir()
    (server.directory / "sub/a.conf").write_text("include b.conf\n")
    server.start()
    assert setting(server, "timeout") == "5"


@pytest.mark.parametrize(
    "main, other, said",
    [
        ("\ninclude other.conf\n", "port 1\nnosuch 1\n", "other.conf, line 2: unknown directive"),
        ("\ninclude none.conf\n", "", "server.conf, line 2: configuration file none.conf: No such"),
        ("include other.conf\n", "\ninclude none.conf\n", "other.conf, line 2: configuration file"),
        ("include other.conf\nnosuch 1\n", "port 1\n", "server.conf, line 2: unknown directive"),
        ("include\n", "", "line 1: 'include': wrong number of arguments"),
        ("include a b\n", "", "line 1: 'include': wrong number of arguments"),
        ('include ""\n', "", "line 1: 'include': not the path of a file"),
        ("include other.conf\n", "include other.conf\n",
         "other.conf, line 1: 'include': more than 16 files within each other"),
        ("include other.conf\n", "include [os]*r.conf\n",
         "'include': more than 16 files within each other"),
        ("include *\n", "", "server.conf, line 1: 'include': more than 16 files within each other"),
    ],
)
def test_a_mistake_is_named_with_its_file(with_files, main, other, said):
    assert said in with_files(main, other=other).refuses_to_start(logfile="")


def test_a_pipe_that_nobody_writes_to(with_files):
    server = with_files("include pipe.conf\n")
    os.mkfifo(server.directory / "pipe.conf")
    assert "line 1: configuration file pipe.conf: No data" in server.refuses_to_start()


def test_very_many_files(with_files):
    server = with_files("include part*.conf\ntimeout 7\n")
    for i in range(1000):
        (server.directory / f"part{i}.conf").write_text(f"maxclients {i + 1}\n")
    server.start()
    assert (setting(server, "timeout"), setting(server, "maxclients")) == ("7", "1000")
    server.stop()
    (server.directory / "part-one-more.conf").write_text("")
    assert "line 1: 'include': " in server.refuses_to_start()


def test_rewrite_writes_to_the_main_file_alone(with_files):
    main = "timeout 1\ninclude other.conf\n# Ours.\n"
    other = "timeout 2\nmaxclients 20\nrequirepass secret\n"
    server = with_files(main, other=other)
    server.start(dir=server.directory / "data")
    client = server.connect()
    client("AUTH", "secret")
    assert client("CONFIG", "SET", "maxclients", 30) == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    said = server.file.read_text()
    assert said.startswith(main) and "\nmaxclients 30\n" in said
    assert "secret" not in said and "timeout 2" not in said
    assert client("CONFIG", "SET", "timeout", 3) == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    assert client("CONFIG", "SET", "timeout", 4) == "OK"
    assert client("CONFIG", "REWRITE") == "OK"
    before = server.file.read_text()
    assert client("CONFIG", "REWRITE") == "OK"
    assert server.file.read_text() == before
    assert before.count("timeout 4") == 1 and "include other.conf\n" in before
    assert (server.directory / "other.conf").read_text() == other
    server.restart()
    client = server.connect()
    client("AUTH", "secret")
    assert client("CONFIG", "GET", "timeout") == [b"timeout", b"4"]
    assert client("CONFIG", "GET", "maxclients") == [b"maxclients", b"30"]


@pytest.mark.parametrize(
    "line, why",
    [
        ("user alice on", "'user' is not supported: there is no user but 'default'"),
        ("loadmodule m.so", "'loadmodule' is not supported: there are no modules"),
        ("TLS-port 6380", "'TLS-port' is not supported: there is no TLS"),
        ("tlsport 6380", "unknown directive 'tlsport'"),
        ("aclfile /etc/acl", "'aclfile': not supported: only '' is taken"),
    ],
)
def test_what_is_not_supported_is_no_typo(with_files, line, why):
    assert f"server.conf, line 1: {why}" in with_files(line + "\n").refuses_to_start()
