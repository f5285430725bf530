# SPDX-License-Identifier: Apache-2.0
"""The table of commands as clients read it: COMMAND INFO, DOCS and LIST, against commands.txt."""

import dataclasses
import pathlib

import pytest

from support import server as servers
from support.client import NIL_ARRAY, Error, Map, Set

# Where the peers do not say what 7.2 says.
DIFFERS = {
    "redis": {
        "client|no-touch",
        "client|setinfo",
        "command|getkeys",
        "client|pause",
        "command|getkeysandflags",
        "cluster|myshardid",
        "cluster|shards",
        "cluster|slots",
        "wait",
        "waitaof",
    },
    "valkey": {
        "multi",
        "watch",
        "cluster|info",
        "cluster|myid",
        "cluster|myshardid",
        "cluster|nodes",
        "wait",
        "waitaof",
    },
}

# What no Redis has: arity, flags.
OURS = {
    "ferricstore.backup": (2, {"admin", "noscript", "no_async_loading", "no_multi"}),
    "ferricstore.merge": (1, {"admin", "noscript", "no_async_loading"}),
}

TIPS_SINCE_7_2 = {
    "client|setname",
    "config|resetstat",
    "config|rewrite",
    "latency|reset",
    "msetnx",
    "randomkey",
    "scan",
}


@dataclasses.dataclass
class Row:
    name: str
    arity: int
    flags: set
    keys: list
    categories: set
    group: str
    since: str
    uses: list
    tips: set


def read_rows():
    for line in (pathlib.Path(__file__).parent / "commands.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(";")]
        name, arity, flags, keys, categories, group, since, uses, tips = fields
        yield Row(
            name,
            int(arity),
            set(flags.split()),
            [int(x) for x in keys.split()],
            {"@" + x for x in categories.split()},
            group,
            since,
            [set(use.split()) for use in uses.split(" / ") if use],
            set(tips.split()),
        )


ROWS = {row.name: row for row in read_rows()}


@pytest.fixture
def row(request):
    if request.param in DIFFERS.get(servers.kind(), ()):
        pytest.skip(f"{servers.kind()} differs from 7.2")
    return ROWS[request.param]


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_info(client, row):
    (info,) = client("COMMAND", "INFO", row.name)
    assert info is not NIL_ARRAY, "unknown command"
    assert len(info) == 10
    assert info[0] == row.name.encode()
    assert info[1] == row.arity
    assert set(info[2]) == row.flags
    assert info[3:6] == row.keys
    assert set(info[6]) == row.categories


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_use_of_keys(client, row):
    ((*_, specs, _),) = client("COMMAND", "INFO", row.name)
    assert [set(pairs(spec)[b"flags"]) for spec in specs] == row.uses
    at = [pairs(pairs(pairs(spec)[b"begin_search"])[b"spec"])[b"index"] for spec in specs]
    assert at == list(range(row.keys[0], row.keys[0] + len(specs)))
    if len(specs) == 1:
        (found,) = [pairs(pairs(pairs(spec)[b"find_keys"])[b"spec"]) for spec in specs]
        first, last, step = row.keys
        assert found[b"lastkey"] == (last if last < 0 else last - first)
        assert found[b"keystep"] == step


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_tips(client, row):
    if servers.kind() == "redis" and row.name in TIPS_SINCE_7_2:
        pytest.skip("came with 7.2")
    ((*_, tips, _, _),) = client("COMMAND", "INFO", row.name)
    assert {tip.decode() for tip in tips} == row.tips


def test_sets_are_sets_in_resp3(client3):
    (info,) = client3("COMMAND", "INFO", "ping")
    assert [type(field) for field in (info[2], *info[6:])] == [Set] * 5
    (info,) = client3("COMMAND", "INFO", "rename")
    assert [type(spec) for spec in info[8]] == [Map, Map]
    assert type(info[8][0].as_dict()[b"flags"]) is Set
    (info,) = client3("COMMAND", "INFO", "config")
    assert type(info[9]) is list


@pytest.mark.parametrize("row", ROWS, indirect=True)
def test_docs(client, row):
    docs = pairs(client("COMMAND", "DOCS", row.name))
    doc = pairs(docs[row.name.encode()])
    assert doc[b"group"] == row.group.encode()
    assert doc[b"since"] == row.since.encode()
    assert doc[b"summary"]


def test_list_and_count_name_them_all(client):
    names = {name.decode() for name in client("COMMAND", "LIST")}
    assert set(ROWS) - DIFFERS.get(servers.kind(), set()) <= names
    if servers.kind() == "ferric":  # in Redis, DEBUG has no rows for what it knows
        assert {name for name in names if not name.startswith("debug|")} == {*ROWS, *OURS}
    assert client("COMMAND", "COUNT") == len([name for name in names if "|" not in name])


@pytest.mark.ferric_only("no Redis has them")
@pytest.mark.parametrize("name", OURS)
def test_what_no_redis_has(client, name):
    (info,) = client("COMMAND", "INFO", name)
    assert (info[0].decode(), info[1], set(info[2])) == (name, *OURS[name])
    assert info[3:6] == [0, 0, 0]
    assert set(info[6]) == {"@admin", "@dangerous", "@slow"}
    doc = pairs(pairs(client("COMMAND", "DOCS", name))[name.encode()])
    assert (doc[b"group"], doc[b"since"]) == (b"server", b"7.2.0")
    assert doc[b"summary"] and doc[b"complexity"]
    names = [pairs(argument)[b"name"] for argument in doc.get(b"arguments", [])]
    assert names == [b"directory"] * (info[1] - 1)
    assert client("COMMAND", "GETKEYS", name, *["x"] * (info[1] - 1)) == Error(
        "ERR The command has no key arguments"
    )


def test_command_alone_tells_of_all(client):
    """What cluster clients ask at their start."""
    infos = {info[0].decode(): info for info in client("COMMAND")}
    assert len(infos) == client("COMMAND", "COUNT")
    for name, row in ROWS.items():
        if "|" not in name and name not in DIFFERS.get(servers.kind(), set()):
            assert infos[name][1] == row.arity


def test_docs_of_all(client):
    """What redis-cli asks at its start."""
    docs = pairs(client("COMMAND", "DOCS"))
    assert len(docs) == client("COMMAND", "COUNT")
    subcommands = pairs(pairs(docs[b"config"])[b"subcommands"])
    assert b"config|get" in subcommands


def test_list_by_category(client):
    names = {name.decode() for name in client("COMMAND", "LIST", "FILTERBY", "ACLCAT", "string")}
    for name, row in ROWS.items():
        assert (name in names) == ("@string" in row.categories), name


def tokens_of(arguments):
    """Every token in the order in which it stands."""
    found = []
    for argument in arguments:
        found += [argument["token"]] if "token" in argument else []
        found += tokens_of(argument.get("arguments", []))
    return found


def as_dict(pairs):
    """Maps as dicts, with text for bytes, whatever the protocol."""
    if isinstance(pairs, list) and pairs and isinstance(pairs[0], bytes) and len(pairs) % 2 == 0:
        return {k.decode(): as_dict(v) for k, v in zip(pairs[::2], pairs[1::2])}
    if isinstance(pairs, list):
        return [as_dict(value) for value in pairs]
    return pairs.decode() if isinstance(pairs, bytes) else pairs


def arguments_of(client, name):
    (_, docs) = client("COMMAND", "DOCS", name)
    return as_dict(dict(zip(docs[::2], docs[1::2]))[b"arguments"])


def each_argument(arguments):
    for argument in arguments:
        yield argument
        yield from each_argument(argument.get("arguments", []))


def test_arguments_are_such_as_clients_can_show(client):
    """redis-cli takes some things for granted when it makes hints of them."""
    for name, docs in zip(*[iter(client("COMMAND", "DOCS"))] * 2):
        docs = as_dict(docs)
        for row in [docs, *docs.get("subcommands", {}).values()]:
            for argument in each_argument(row.get("arguments", [])):
                flags = argument.get("flags", [])
                assert ("arguments" in argument) == (argument["type"] in ("oneof", "block")), name
                assert ("display_text" in argument) == ("arguments" not in argument), name
                assert "token" in argument or "multiple_token" not in flags, name
                assert argument["type"] != "pure-token" or "token" in argument, name


def test_arguments(client):
    (key,) = arguments_of(client, "GET")
    assert (key["name"], key["type"], key["key_spec_index"]) == ("key", "key", 0)
    key, value, condition, get, expiration = arguments_of(client, "SET")
    assert (key["type"], value["type"]) == ("key", "string")
    assert condition["type"] == "oneof" and "optional" in condition["flags"]
    assert (get["type"], get["token"]) == ("pure-token", "GET")
    assert tokens_of([expiration]) == ["EX", "PX", "EXAT", "PXAT", "KEEPTTL"]
    (pairs,) = arguments_of(client, "MSET")
    assert pairs["type"] == "block" and pairs["flags"] == ["multiple"]
    assert [part["type"] for part in pairs["arguments"]] == ["key", "string"]
    source, destination, db, _ = arguments_of(client, "COPY")
    assert (source["key_spec_index"], destination["key_spec_index"]) == (0, 1)
    assert (db["token"], db["type"]) == ("DB", "integer")
