# SPDX-License-Identifier: Apache-2.0
"""enable-debug-command: who may say DEBUG."""

import pytest

from support.client import Client, Error

REFUSAL = Error(
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can '
    "run it from a local connection, otherwise you need to set this option in the configuration "
    "file, and then restart the server."
)


def test_nobody_may(start_server):
    client = start_server(enable_debug_command="no").connect()
    for words in ("OBJECT k", "POPULATE 1", "SLEEP 0", "JMAP", "HELP", "DIGEST x y", "NOSUCH"):
        assert client("DEBUG", *words.split()) == REFUSAL
        assert client("debug", *words.split()) == REFUSAL
    assert client("DBSIZE") == 0
    assert client("DEBUG") == Error("ERR wrong number of arguments for 'debug' command")
    assert client("CONFIG", "GET", "enable-debug-command") == [b"enable-debug-command", b"no"]
    assert client("PFADD", "h", "a") == 1
    assert client("PFDEBUG", "ENCODING", "h") == "sparse"


def test_a_transaction_is_refused_with_it(start_server):
    client = start_server(enable_debug_command="no").connect()
    assert client("MULTI") == "OK"
    assert client("SET", "k", "v") == "QUEUED"
    assert client("DEBUG", "OBJECT", "k") == REFUSAL
    assert client("EXEC").startswith("EXECABORT ")
    assert client("EXISTS", "k") == 0


def test_it_comes_before_the_password_and_subscriptions(start_server):
    client = start_server(enable_debug_command="no", requirepass="secret").connect()
    assert client("DEBUG", "SLEEP", 0) == REFUSAL
    assert client("AUTH", "secret") == "OK"
    client("SUBSCRIBE", "channel")
    assert client("DEBUG", "SLEEP", 0) == REFUSAL


@pytest.mark.parametrize("value", ["no", "local", "yes"])
def test_it_cannot_be_changed(start_server, value):
    client = start_server(enable_debug_command=value).connect()
    for other in {"no", "local", "yes"} - {value}:
        assert client("CONFIG", "SET", "enable-debug-command", other) == Error(
            "ERR CONFIG SET failed (possibly related to argument 'enable-debug-command') - can't "
            "set immutable config"
        )
    assert client("CONFIG", "GET", "enable-debug-command")[1] == value.encode()


def test_whoever_is_local_may(start_server, socket_path, address):
    server = start_server(enable_debug_command="local", bind="0.0.0.0 -::1", requirepass="x",
                          unixsocket=socket_path)
    for near in (Client(server.port), Client(None, path=socket_path)):
        with near as client:
            assert client("AUTH", "x") == "OK"
            assert client("DEBUG", "SLEEP", 0) == "OK"
            assert client("MULTI") == "OK"
            assert client("DEBUG", "SLEEP", 0) == "QUEUED"
            assert client("EXEC") == ["OK"]
    with Client(server.port, host=address) as far:
        assert far("AUTH", "x") == "OK"
        assert far("DEBUG", "SLEEP", 0) == REFUSAL
