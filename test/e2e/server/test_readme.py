# SPDX-License-Identifier: Apache-2.0
"""What README.md says is what the server says: commands, directives, fields of INFO."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.ferric_only("it is Ferric's README")

ROOT = pathlib.Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
REMEMBERED = (ROOT / "docs/remembered.md").read_text()
UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
GIVEN_BY_TESTS = {"bind", "port", "dir", "disk-reserve", "enable-debug-command", "io-threads",
                  "shard-threads", "shards"}


def rows_of(header, text=README):
    """The cells of the table under the line of `header`, without its rule."""
    lines = text.split(header + "\n", 1)[1].splitlines()[1:]
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def in_bytes(value):
    return str(int(value[:-2]) * UNITS[value[-2:]]) if value[-2:] in UNITS else value


def documented_commands():
    """Of all families: "get", "config", "config|get"."""
    names = set()
    for _, commands in rows_of("| family | commands |"):
        for name, subcommands in re.findall(r"([A-Z_.]+)(?: \(([^)]*)\))?", commands):
            names.add(name.lower())
            names |= {f"{name}|{sub}".lower() for sub in subcommands.split()}
    return names


def documented_directives():
    """Name: (default, may be set), under old names too."""
    found = {}
    for name, default, doc in rows_of("| directive | default | |"):
        found[name.strip("*`")] = (default.strip("`"), name.startswith("*"))
        if old := re.search(r" Formerly: (\S+)\.$", doc):
            found[old[1]] = found[name.strip("*`")]
    return found


def remembered_directives():
    """Name: (default, may be set), under old names too."""
    found = {}
    for name, old, default in rows_of("| directive | old name | default |", REMEMBERED):
        found[name.strip("*`")] = (default.strip("`"), name.startswith("*"))
        if old:
            found[old.strip("`")] = found[name.strip("*`")]
    return found


def test_commands(client):
    assert documented_commands() == {name.decode() for name in client("COMMAND", "LIST")}


def test_directives_are_those_in_force(client):
    values = client("CONFIG", "GET", "*")
    in_force = {k.decode(): v.decode() for k, v in zip(values[::2], values[1::2])}
    documented = {**documented_directives(), **remembered_directives()}
    assert set(in_force) <= set(documented)
    for name, (default, _) in documented.items():
        if name in in_force and name not in GIVEN_BY_TESTS:
            assert in_force[name] == ("" if default == "empty" else in_bytes(default)), name


def test_which_directives_can_be_set(own_server):
    client = own_server.connect()
    for name, (_, is_live) in {**documented_directives(), **remembered_directives()}.items():
        value = client("CONFIG", "GET", name)[1]
        assert client("CONFIG", "SET", name, value) == "OK", name
        refused = client("CONFIG", "SET", name, b"other " + value).endswith("immutable config")
        assert refused == (not is_live), name


def test_fields_of_info(client):
    fields = {line.split(":")[0] for line in client("INFO").decode().splitlines()}
    for names, _ in rows_of("| INFO field | look at it because |"):
        for name in re.findall(r"`([a-z_]+)`", names):
            assert name in fields
