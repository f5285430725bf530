# SPDX-License-Identifier: Apache-2.0
"""What each row has written is there after a restart (P1), for each row in its own transcripts.

Every request of a transcript that writes and succeeds is the last one of a run: its case is played
up to it, in a database of its own, and what that holds then has to be there after each kind of
start: when the log is replayed after a kill, when there is a checkpoint, after an orderly stop.
What reaches beyond its database is run in a server of its own.
"""

import dataclasses

import pytest

from support import coverage, transcript
from support import server as servers

# They write, too: what was queued, and the count that is kept in the value.
ALSO_WRITE = {"exec", "pfcount"}

# BITFIELD makes keys that hold zeros alone, and the peers forget to log that.
NOT_LOGGED_BY_PEERS = {"bitfield"}

# Requests with which a case reaches beyond its database, and those with which it is not played.
REACHING = {"select", "move", "swapdb", "flushall", "debug"}
NOT_PLAYED = {"client", "config", "hello", "info", "latency", "memory", "reset", "slowlog"}
# The rows that do nothing else, and COPY, which may.
REACHING_ROWS = ["copy", "debug|populate", "flushall", "move", "swapdb"]
DATABASES = {db: f"database {db}" for db in range(16)}
RUNS_ALONE = 4  # of a row; each takes a start


@dataclasses.dataclass
class Run:
    """A case up to a request that writes."""

    row: str
    request: coverage.Request
    db: int = 0

    @property
    def steps(self):
        return self.request.case.steps[: self.request.at + 1]

    @property
    def verbs(self):
        return {step.request.split()[0].lower() for step in self.steps}

    @property
    def is_possible(self):
        marks = [(mark.name, mark.args[0]) for mark in self.request.case.marks]
        is_skipped = ("not_on", servers.kind()) in marks
        is_skipped |= servers.kind() != "ferric" and "ferric_only" in dict(marks)
        is_raw = any(step.is_raw for step in self.steps)
        return not (is_skipped or is_raw or self.verbs & NOT_PLAYED)

    @property
    def is_reaching(self):
        return bool(self.verbs & REACHING) or any(" DB " in step.request for step in self.steps)


class PlayerIn(transcript.Player):
    """Plays in one database."""

    def __init__(self, server, run):
        super().__init__(server, run.request.case.protocols[0])
        self.db = run.db

    def client(self, who):
        is_new = who not in self.clients
        client = super().client(who)
        if is_new and self.db != 0:
            assert client("SELECT", self.db) == "OK"
        return client


def writing_rows(rows):
    """Of a peer, those that Ferric has, too."""
    names = {row.name for row in rows.values() if "write" in row.flags} | ALSO_WRITE
    if servers.kind() == "ferric":
        return names
    asked = coverage.requests_by_row(rows)
    return {name for name in names if asked[name]} - NOT_LOGGED_BY_PEERS


def runs_of(rows):
    asked = coverage.requests_by_row(rows)
    writing = sorted(writing_rows(rows))
    runs = [Run(name, request) for name in writing for request in asked[name] if request.is_done]
    return [run for run in runs if run.is_possible]


def held(client, dbs):
    """Everything in `dbs`, number: name, as (name, key): [DUMP, time of death, encoding]."""
    # An encoding does not outlive the process of a peer.
    encoding = [["OBJECT", "ENCODING"]] if servers.kind() == "ferric" else []
    questions = [["DUMP"], ["PEXPIRETIME"], *encoding]
    found = {}
    for db, name in dbs.items():
        assert client("SELECT", db) == "OK"
        keys = client("KEYS", "*")
        replies = client.pipeline(*[(*question, key) for key in keys for question in questions])
        for i, key in enumerate(keys):
            value = replies[i * len(questions) : (i + 1) * len(questions)]
            if None not in value and value[1] != -2:  # it has not died in between
                found[name, key] = value
    return found


def assert_same(before, client, dbs):
    """All is there, but for what has died in its time."""
    after = held(client, dbs)
    seconds, micros = map(int, client("TIME"))
    now = seconds * 1000 + micros // 1000
    # After a crash the server's clock goes on from where reads may have seen it: a second ahead.
    sure = now + 1000
    alive = {at for at, (_, death, *_) in before.items() if death == -1 or death > sure}
    assert {at: before[at] for at in alive} == {at: after[at] for at in alive if at in after}
    assert set(after) <= set(before)


def play(server, run, dbs):
    """Returns whether the last request has changed what the databases hold."""
    player = PlayerIn(server, run)
    client = server.connect()
    player.play(run.request.path, dataclasses.replace(run.request.case, steps=run.steps[:-1]))
    before = held(client, dbs)
    player.play(run.request.path, dataclasses.replace(run.request.case, steps=run.steps[-1:]))
    after = held(client, dbs)
    server.close_clients()
    return before != after


def crash(server, dbs):
    before = held(server.connect(), dbs)
    server.crash_and_restart()
    assert_same(before, server.connect(), dbs)


def restart_in_each_way(server, dbs):
    crash(server, dbs)
    before = held(server.connect(), dbs)
    assert server.connect()("SAVE") == "OK"
    crash(server, dbs)
    server.restart()
    assert_same(before, server.connect(), dbs)


@pytest.fixture
def start(start_server):
    """Servers whose log is whole until a checkpoint is asked for."""
    ours = {"checkpoint_interval_ms": 3600000} if servers.kind() == "ferric" else {}
    return lambda **options: start_server(**ours, **options)


def test_what_each_row_has_written_survives(start):
    """Also: each row changes something in at least one of its runs."""
    rows = coverage.rows_of(start().connect())
    runs = [run for run in runs_of(rows) if not run.is_reaching]
    for db, run in enumerate(runs, 1):
        run.db = db
    dbs = {run.db: run.request.where for run in runs}
    server = start(databases=len(runs) + 1)
    changing = {run.row for run in runs if play(server, run, {run.db: "its own"})}
    assert writing_rows(rows) - changing - set(REACHING_ROWS) == set()
    restart_in_each_way(server, dbs)


@pytest.mark.parametrize("name", REACHING_ROWS)
def test_what_reaches_beyond_its_database_survives(start, name):
    if name == "debug|populate" and servers.kind() != "ferric":
        pytest.skip("theirs is gone with the process")
    server = start()
    rows = coverage.rows_of(server.connect())
    runs = [run for run in runs_of(rows) if run.row == name and run.is_reaching]
    has_changed = False
    for run in runs[:RUNS_ALONE]:
        server.reset()
        if play(server, run, DATABASES):
            has_changed = True
            crash(server, DATABASES)
    assert has_changed
    restart_in_each_way(server, DATABASES)
