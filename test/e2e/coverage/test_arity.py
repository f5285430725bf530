# SPDX-License-Identifier: Apache-2.0
"""Every row that the server lists refuses too few and too many arguments, in the words of Redis."""

import pytest

from support import coverage
from support.client import Error


def wrong_requests(row):
    """One argument fewer than the least, and one more than the most, where there is such."""
    least = abs(row.arity)
    if least > len(row.words):
        yield [*row.words, *["x"] * (least - len(row.words) - 1)]
    if row.arity > 0:
        yield [*row.words, *["x"] * (least - len(row.words) + 1)]


def refusal(row):
    text = f"wrong number of arguments for '{row.name}' command"
    if row.name.startswith("debug|"):
        name = row.words[1]
        text = f"unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."
    if row.name == "exec":
        return Error("EXECABORT Transaction discarded because of: " + text)
    return Error("ERR " + text)


@pytest.fixture
def rows(client):
    return coverage.rows_of(client).values()


def test_each_row_refuses_a_wrong_number_of_arguments(any_client, rows):
    for row in rows:
        for words in wrong_requests(row):
            assert any_client(*words) == refusal(row), words
    assert any_client("DBSIZE") == 0


def test_a_transaction_that_holds_one_is_discarded(client, rows):
    aborted = Error("EXECABORT Transaction discarded because of previous errors.")
    gone = Error("ERR EXEC without MULTI")
    for row in rows:
        for words in wrong_requests(row):
            assert client("MULTI") == "OK", words
            assert client(*words) == refusal(row), words
            assert client("EXEC") == (gone if row.name == "exec" else aborted), words
