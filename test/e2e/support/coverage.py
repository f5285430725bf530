# SPDX-License-Identifier: Apache-2.0
"""What the transcripts ask of each command: their requests, beside the rows of COMMAND INFO."""

import dataclasses
import functools
import pathlib

from . import client as resp
from . import transcript

E2E = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Row:
    """A command as the server lists it: "get", "config", "config|get"."""

    name: str
    arity: int
    flags: frozenset
    first: int
    last: int
    step: int
    uses: frozenset

    @property
    def words(self):
        return self.name.split("|")

    @property
    def has_keys(self):
        return self.first > 0 and "not_key" not in self.uses

    def keys_of(self, words):
        last = self.last if self.last >= 0 else len(words) + self.last
        return words[self.first : last + 1 : self.step]


def rows_of(client):
    """All rows of the server, by name."""
    names = sorted(name.decode() for name in client("COMMAND", "LIST"))
    return {row.name: row for row in map(read_row, client("COMMAND", "INFO", *names))}


def read_row(info):
    name, arity, flags, first, last, step, _, _, specs, _ = info
    specs = [dict(zip(spec[::2], spec[1::2])) for spec in specs]
    uses = {str(use) for spec in specs for use in spec[b"flags"]}
    return Row(name.decode(), arity, frozenset(map(str, flags)), first, last, step, frozenset(uses))


@dataclasses.dataclass
class Request:
    """A step of a transcript that is not sent as mere bytes, and the case up to it."""

    path: pathlib.Path
    case: transcript.Case
    at: int  # of case.steps
    words: list
    reply: object  # the first one expected; None if there is to be none

    @property
    def where(self):
        return f"{self.path.relative_to(E2E)}:{self.case.steps[self.at].line}"

    @property
    def error(self):
        """The text of the error that is expected, or None."""
        return self._expected(resp.Error)

    @property
    def is_queued(self):
        return self._expected(resp.Status) == "QUEUED"

    @property
    def is_done(self):
        """It is expected to succeed, and at once: an error would not be taken for its reply."""
        if self.reply is None or self.is_queued:
            return False
        if isinstance(self.reply, transcript.Exactly):
            is_exec = self.words[0].lower() == b"exec"
            return not (self.error or (is_exec and self.reply.value in (None, resp.NIL_ARRAY)))
        return getattr(self.reply, "kind", None) not in (object, resp.Error)

    def _expected(self, kind):
        """The exact text, or the beginning that is expected, of a reply of one line."""
        text = getattr(self.reply, "value", getattr(self.reply, "pattern", None))
        of_kind = getattr(self.reply, "kind", type(text)) is kind
        return str(text) if of_kind else None


@functools.cache
def requests():
    """Those of all cases that Ferric is asked."""
    return [
        request
        for path in sorted(E2E.glob("*/*.transcript"))
        for case in transcript.parse(path.read_text())
        if "ferric" not in [mark.args[0] for mark in case.marks]  # not-on
        for request in requests_of(path, case)
    ]


def requests_of(path, case):
    for at, step in enumerate(case.steps):
        words = [] if step.is_raw else transcript.split_words(step.request)
        if words:
            expected = transcript.Reader(step.expected).all()
            yield Request(path, case, at, words, expected[0] if expected else None)


def row_of(rows, words):
    """The row of a request; a container's if it names none of its subcommands."""
    names = [word.decode("latin-1").lower() for word in words[:2]]
    return rows.get("|".join(names)) or (rows.get(names[0]) if names else None)


def requests_by_row(rows):
    """The same by the name of their row."""
    found = {name: [] for name in rows}
    for request in requests():
        row = row_of(rows, request.words)
        if row:
            found[row.name].append(request)
    return found


# What may make keys without being refused when memory is short.
MAKERS = {"rename", "renamenx", "move"}
NO_SUCH_KEY = {"ERR no such key", "ERR The specified key does not exist"}


def finds_nothing(rows, request):
    """None of its keys is there: no request before it in its case could have made one."""
    keys = row_of(rows, request.words).keys_of(request.words)
    made = set()
    for step in request.case.steps[: request.at]:
        words = [] if step.is_raw else transcript.split_words(step.request)
        row = row_of(rows, words)
        if row is None or row.name in ("swapdb", "debug|populate"):
            return False  # who knows what is there now
        if "denyoom" in row.flags or row.name in MAKERS:
            made.update(words)
    answered = request.is_done or request.error in NO_SUCH_KEY
    return answered and bool(keys) and not made & set(keys)
