# SPDX-License-Identifier: Apache-2.0
"""Clients that WAIT in vain, and how they get out of it."""

import pytest

from support.client import Error


def wait_until_blocked(client, id_):
    """By its flags; a client that is asked about too early is asked about again."""
    while b" flags=b " not in client("CLIENT", "LIST", "ID", id_):
        pass


@pytest.fixture
def blocked(connect):
    """A client for whom nothing ends the wait, and its id."""
    waiting = connect()
    id_ = waiting("CLIENT", "ID")
    waiting.send(b"WAIT 1 0\r\n")
    return waiting, id_


def test_a_wait_ends_by_itself(client):
    assert client("WAIT", 1, 20) == 0
    assert client("PING") == "PONG"


def test_what_comes_behind_waits(client, connect, blocked):
    waiting, id_ = blocked
    wait_until_blocked(client, id_)
    waiting.send(b"SET behind 1\r\n")
    assert client("GET", "behind") is None
    assert client("CLIENT", "UNBLOCK", id_) == 1
    assert waiting.read() == 0
    assert waiting.read() == "OK"
    assert client("GET", "behind") == b"1"


def test_unblocked_with_an_error(client, blocked):
    waiting, id_ = blocked
    wait_until_blocked(client, id_)
    assert client("CLIENT", "UNBLOCK", id_, "ERROR") == 1
    assert waiting.read() == Error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
    assert waiting("PING") == "PONG"
    assert client("CLIENT", "UNBLOCK", id_) == 0


@pytest.mark.not_on("redis", "came with 7.2")
@pytest.mark.ferric_only("a shared peer has no log on disk")
def test_unblocked_waitaof(client, connect):
    waiting = connect()
    id_ = waiting("CLIENT", "ID")
    waiting.send(b"WAITAOF 1 1 0\r\n")
    wait_until_blocked(client, id_)
    assert client("CLIENT", "UNBLOCK", id_, "TIMEOUT") == 1
    assert waiting.read() == [1, 0]


def test_a_client_that_waits_can_be_killed(client, blocked):
    waiting, id_ = blocked
    wait_until_blocked(client, id_)
    assert client("CLIENT", "KILL", "ID", id_) == 1
    assert waiting.is_closed()


def test_a_client_that_waits_can_go(client, blocked):
    waiting, id_ = blocked
    wait_until_blocked(client, id_)
    waiting.close()
    while client("CLIENT", "LIST", "ID", id_):
        pass


def test_a_stop_does_not_wait_for_it(own_server):
    client = own_server.connect()
    waiting = own_server.connect()
    id_ = waiting("CLIENT", "ID")
    waiting.send(b"WAIT 1 0\r\n")
    wait_until_blocked(client, id_)
    own_server.stop()
