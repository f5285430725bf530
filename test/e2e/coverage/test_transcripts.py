# SPDX-License-Identifier: Apache-2.0
"""A row of the table of commands exists only if the command works: what is asked of each of them.

Of every row a transcript that succeeds; of one with keys a transcript where these are not there;
and of one that looks at values, what it says to a value of another type. Wrong numbers of arguments
are in test_arity.py, restarts in test_restart.py.
"""

import pathlib
import re

import pytest

from support import coverage

pytestmark = pytest.mark.ferric_only("a peer has commands that Ferric does not have yet")

# Other types are made by hand there, since no client can: a line for each row.
OTHER_TYPES = pathlib.Path(__file__).parents[2] / "unit" / "command" / "other_type_test.c"

# They see whether a key has changed, never what it holds.
BLIND_TO_VALUES = {"watch"}

# It needs what no transcript has, a file of configuration: path, text of the success.
IN_PYTHON = {"config|rewrite": ("limits/test_start.py", 'client("CONFIG", "REWRITE") == "OK"')}

# All that may be said to these, as to a Redis without cluster mode, is that there is none.
OF_CLUSTERS = {"asking", "readonly", "readwrite"}


@pytest.fixture
def rows(client):
    return coverage.rows_of(client)


@pytest.fixture
def asked(rows):
    return coverage.requests_by_row(rows)


def containers(rows):
    """Those that are nothing without a subcommand."""
    return {name.split("|")[0] for name in rows if "|" in name} - {"command"}


def is_in_python(name):
    path, text = IN_PYTHON.get(name, (None, None))
    return path is not None and text in (coverage.E2E / path).read_text()


def error_alone(name):
    """What a row says if it does what it is there for by saying no; or None."""
    if name in OF_CLUSTERS or name.startswith("cluster|"):
        return "ERR This instance has cluster support disabled"
    return "MINE of my own" if name == "debug|error" else None


def has_succeeded(rows, request):
    """It has; and what reads or removes has found something."""
    row = coverage.row_of(rows, request.words)
    needs_keys = row.has_keys and "denyoom" not in row.flags
    return request.is_done and not (needs_keys and coverage.finds_nothing(rows, request))


def test_each_row_does_its_work_in_a_transcript(rows, asked):
    missing = []
    for name in set(rows) - containers(rows):
        error = error_alone(name)
        if error is not None:
            works = error in [request.error for request in asked[name]]
        else:
            works = any(has_succeeded(rows, x) for x in asked[name]) or is_in_python(name)
        if not works:
            missing.append(name)
    assert missing == []


def test_each_container_refuses_what_it_does_not_know(rows, asked):
    missing = [
        name
        for name in containers(rows)
        if not any((request.error or "").startswith("ERR unknown sub") for request in asked[name])
    ]
    assert missing == []


def test_each_row_with_keys_is_asked_for_one_that_is_not_there(rows, asked):
    missing = [
        row.name
        for row in rows.values()
        if row.has_keys and not any(coverage.finds_nothing(rows, x) for x in asked[row.name])
    ]
    assert missing == []


def test_each_row_with_keys_is_asked_for_a_value_of_another_type(rows):
    """HyperLogLogs are strings to everyone but their own commands: see the next test."""
    lines = re.findall(r'\{"([A-Z_]+)(?: ([A-Z-]+))?', OTHER_TYPES.read_text())
    tried = {"|".join(words).lower().strip("|") for words in lines}
    tried |= {words[0].lower() for words in lines}
    wanted = {row.name for row in rows.values() if row.has_keys} - BLIND_TO_VALUES
    assert wanted - tried == set()


def test_each_row_of_hyperloglogs_refuses_other_strings(rows, asked):
    for row in rows.values():
        if row.has_keys and row.name.startswith("pf"):
            errors = [request.error or "" for request in asked[row.name]]
            assert "WRONGTYPE Key is not a valid HyperLogLog string value." in errors, row.name
