# SPDX-License-Identifier: Apache-2.0
"""CLIENT LIST, INFO and KILL: connections as others see them."""

import pytest

from support.client import Error
from support.client import wait_until

FIELDS_OF_7_2 = (
    "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem "
    "rbs rbp obl oll omem tot-mem events cmd user redir resp"
).split()


def fields(line):
    return dict(item.split("=", 1) for item in line.strip().split(" "))


def listed(client, *args):
    """id -> fields of every connection that CLIENT LIST shows."""
    text = bytes(client("CLIENT", "LIST", *args)).decode()
    rows = [fields(line) for line in text.splitlines()]
    return {int(row["id"]): row for row in rows}


def address(client):
    host, port = client.socket.getsockname()
    return f"{host}:{port}"


def test_info_has_the_fields_of_7_2(client):
    info = fields(client("CLIENT", "INFO").decode())
    for name in FIELDS_OF_7_2:
        assert name in info, name


@pytest.mark.not_on("redis", "lib-name and lib-ver came with 7.2")
def test_info_shows_the_library(client):
    client("CLIENT", "SETINFO", "LIB-NAME", "ferric-py")
    client("CLIENT", "SETINFO", "LIB-VER", "1.2")
    info = fields(client("CLIENT", "INFO").decode())
    assert (info["lib-name"], info["lib-ver"]) == ("ferric-py", "1.2")


def test_ids_ascend(server):
    ids = [server.connect()("CLIENT", "ID") for _ in range(5)]
    assert ids == sorted(set(ids))


def test_list_shows_every_connection(server):
    clients = [server.connect() for _ in range(3)]
    clients[0]("CLIENT", "SETNAME", "first")
    clients[1]("SELECT", 5)
    clients[2]("MULTI")
    clients[2]("PING")
    ids = [c("CLIENT", "ID") for c in clients[:2]]
    rows = listed(clients[0])
    assert rows[ids[0]]["name"] == "first"
    assert rows[ids[0]]["cmd"] == "client|list"
    assert rows[ids[1]]["db"] == "5"
    by_address = {row["addr"]: row for row in rows.values()}
    assert by_address[address(clients[2])]["multi"] == "1"
    assert "x" in by_address[address(clients[2])]["flags"]
    assert by_address[address(clients[0])]["resp"] == "2"


@pytest.mark.not_on("valkey", "what is read by itself is not counted since Valkey 8")
def test_a_running_command_counts_as_input(client):
    """qbuf is the size of the request that asks, and 0 for one who waits for nothing."""
    sizes = {}
    mine = f"id={client('CLIENT', 'ID')} "
    for name in ("INFO", "LIST"):
        client.send(f"*2\r\n$6\r\nclient\r\n$4\r\n{name}\r\n".encode())
        rows = bytes(client.read()).decode().splitlines()
        sizes[name] = fields(next(row for row in rows if row.startswith(mine)))["qbuf"]
    assert sizes == {"INFO": "26", "LIST": "26"}


def test_list_says_which_protocol(server):
    rows = listed(server.connect(), "ID", server.connect(protocol=3)("CLIENT", "ID"))
    assert [row["resp"] for row in rows.values()] == ["3"]


def test_list_by_id_and_type(server):
    clients = [server.connect() for _ in range(3)]
    ids = [c("CLIENT", "ID") for c in clients]
    assert list(listed(clients[0], "ID", ids[2], ids[1])) == [ids[2], ids[1]]
    assert set(ids) <= set(listed(clients[0], "TYPE", "normal"))
    assert not listed(clients[0], "TYPE", "replica")


def test_list_forgets_those_who_left(server):
    client, other = server.connect(), server.connect()
    other_id = other("CLIENT", "ID")
    assert other_id in listed(client)
    other.close()
    wait_until(lambda: other_id not in listed(client))


def test_kill_by_id(server):
    client, victim = server.connect(), server.connect()
    assert client("CLIENT", "KILL", "ID", victim("CLIENT", "ID")) == 1
    assert victim.is_closed()


def test_kill_by_address_old_form(server):
    client, victim = server.connect(), server.connect()
    victim("PING")
    assert client("CLIENT", "KILL", address(victim)) == "OK"
    assert victim.is_closed()


def test_kill_by_address_new_form(server):
    client, victim = server.connect(), server.connect()
    victim("PING")
    assert client("CLIENT", "KILL", "ADDR", address(victim)) == 1
    assert victim.is_closed()


def test_kill_by_type_skips_oneself(server):
    client, *victims = [server.connect() for _ in range(4)]
    for victim in victims:
        victim("PING")
    assert client("CLIENT", "KILL", "TYPE", "normal") == len(victims)
    assert all(victim.is_closed() for victim in victims)
    assert client("PING") == "PONG"


def test_kill_by_laddr_and_user(server):
    client, victim = server.connect(), server.connect()
    victim("PING")
    local = f"127.0.0.1:{server.port}"
    assert client("CLIENT", "KILL", "LADDR", local, "USER", "default", "SKIPME", "yes") == 1
    assert victim.is_closed()
    assert client("CLIENT", "KILL", "LADDR", "127.0.0.1:1") == 0


def test_filters_are_joined(server):
    client, victim = server.connect(), server.connect()
    victim_id = victim("CLIENT", "ID")
    nobody = client("CLIENT", "KILL", "ID", victim_id, "ADDR", address(client), "SKIPME", "no")
    assert nobody == 0
    assert client("CLIENT", "KILL", "ID", victim_id, "TYPE", "normal") == 1
    assert victim.is_closed()


def test_killing_oneself_answers_first(server):
    client = server.connect()
    my_id = client("CLIENT", "ID")
    assert client("CLIENT", "KILL", "ID", my_id, "SKIPME", "no") == 1
    assert client.is_closed()


def test_a_killed_client_loses_its_transaction_and_watches(server):
    client, victim = server.connect(), server.connect()
    victim_id = victim("CLIENT", "ID")
    victim("WATCH", "k")
    victim("MULTI")
    victim("SET", "k", "v")
    client("CLIENT", "KILL", "ID", victim_id)
    assert victim.is_closed()
    assert client("EXISTS", "k") == 0


def test_reply_off_does_not_hide_what_is_done(server):
    client, other = server.connect(), server.connect()
    client("CLIENT", "REPLY", "ON")
    client.send_command("CLIENT", "REPLY", "OFF")
    client.send_command("SET", "k", "v")
    client.send_command("NOSUCH")
    client.send_command("CLIENT", "REPLY", "ON")
    assert client.read_reply() == "OK"
    assert other("GET", "k") == b"v"


def test_unknown_subcommand_of_a_later_version_is_an_error(client):
    """Newer client libraries try this in their handshake and go on after an error."""
    reply = client("CLIENT", "MAINT_NOTIFICATIONS", "ON")
    assert isinstance(reply, Error) and reply.startswith("ERR unknown subcommand")
