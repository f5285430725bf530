# SPDX-License-Identifier: Apache-2.0
"""AUTH, HELLO AUTH, and what a client may do before."""

import pytest

from support.client import Client, Error, Map
from support.server import Server

PASSWORD = "se cret"

NOAUTH = Error("NOAUTH Authentication required.")
WRONGPASS = Error("WRONGPASS invalid username-password pair or user is disabled.")
NOAUTH_HELLO = Error(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
    "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
    "protocol version at the same time"
)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("locked"), requirepass=PASSWORD) as server:
        yield server


@pytest.fixture
def stranger(locked):
    with Client(locked.port) as client:
        yield client


def test_auth_without_a_password_set(client):
    assert client("AUTH", "x") == Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?"
    )
    assert client("AUTH", "default", "x") == "OK"
    assert client("AUTH", "nobody", "x") == WRONGPASS
    assert client("AUTH") == Error("ERR wrong number of arguments for 'auth' command")
    assert client("AUTH", "a", "b", "c") == Error("ERR syntax error")


def test_nothing_goes_before_auth(stranger):
    for command in ["PING", "GET k", "SET k v", "CLIENT ID", "COMMAND COUNT", "MULTI", "NOSUCH"]:
        reply = stranger(*command.split())
        assert reply == NOAUTH or (command == "NOSUCH" and "unknown command" in reply), command


def test_auth_opens(stranger):
    assert stranger("AUTH", PASSWORD) == "OK"
    assert stranger("PING") == "PONG"


def test_auth_with_the_name_of_the_user(stranger):
    assert stranger("AUTH", "default", PASSWORD) == "OK"
    assert stranger("PING") == "PONG"


def test_wrong_password(stranger):
    assert stranger("AUTH", "wrong") == WRONGPASS
    assert stranger("AUTH", "") == WRONGPASS
    assert stranger("AUTH", "default", "wrong") == WRONGPASS
    assert stranger("AUTH", "nobody", PASSWORD) == WRONGPASS
    assert stranger("PING") == NOAUTH


def test_a_wrong_password_later_changes_nothing(stranger):
    stranger("AUTH", PASSWORD)
    assert stranger("AUTH", "wrong") == WRONGPASS
    assert stranger("PING") == "PONG"


def test_reset_forgets_who_one_is(stranger):
    stranger("AUTH", PASSWORD)
    assert stranger("RESET") == "RESET"
    assert stranger("PING") == NOAUTH


def test_quit_goes_before_auth(stranger):
    assert stranger("QUIT") == "OK"
    assert stranger.is_closed()


def test_hello_with_auth(stranger):
    reply = stranger("HELLO", 3, "AUTH", "default", PASSWORD, "SETNAME", "me")
    assert isinstance(reply, Map)
    assert stranger("CLIENT", "GETNAME") == b"me"


@pytest.mark.not_on("redis", "7.2 words it another way than 7.0")
def test_hello_without_auth(stranger):
    assert stranger("HELLO", 3) == NOAUTH_HELLO
    assert stranger("HELLO") == NOAUTH_HELLO
    assert stranger("PING") == NOAUTH


def test_hello_with_a_wrong_password_changes_nothing(stranger):
    assert stranger("HELLO", 3, "AUTH", "default", "wrong") == WRONGPASS
    assert stranger("PING") == NOAUTH
    stranger("AUTH", PASSWORD)
    assert stranger("GET", "nothing") is None
    stranger.send_command("GET", "nothing")
    assert stranger.read_bytes(5) == b"$-1\r\n"


def test_a_stranger_may_not_send_much(locked):
    with Client(locked.port) as client:
        client.send(b"*11\r\n")
        assert client.read() == Error("ERR Protocol error: unauthenticated multibulk length")
        assert client.is_closed()
    with Client(locked.port) as client:
        client.send(b"*2\r\n$4\r\nAUTH\r\n$16385\r\n")
        assert client.read() == Error("ERR Protocol error: unauthenticated bulk length")
        assert client.is_closed()


def test_a_friend_may(stranger):
    stranger("AUTH", PASSWORD)
    assert stranger("SET", "k", b"x" * 20000) == "OK"
    assert len(stranger("MGET", *["k"] * 20)) == 20


def test_a_pipeline_with_auth_in_front(stranger):
    assert stranger.pipeline(("AUTH", PASSWORD), "PING", ("SET", "k", "v"), "GET k") == [
        "OK",
        "PONG",
        "OK",
        b"v",
    ]


def test_the_password_can_be_changed(start_server):
    server = start_server()
    client, other = server.connect(), server.connect()
    assert client("CONFIG", "SET", "requirepass", "new") == "OK"
    assert client("CONFIG", "GET", "requirepass") == [b"requirepass", b"new"]
    assert client("PING") == "PONG"
    assert server.connect()("PING") == NOAUTH
    assert other("AUTH", "new") == "OK"
    assert client("CONFIG", "SET", "requirepass", "") == "OK"
    assert server.connect()("PING") == "PONG"
