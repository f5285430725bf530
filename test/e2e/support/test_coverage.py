# SPDX-License-Identifier: Apache-2.0
"""Every command of the server has a transcript, and what is expected of 7.2 is among them."""

import pathlib

import pytest

from support import transcript

E2E = pathlib.Path(__file__).resolve().parents[1]


def requests():
    """The first two words of every request of every transcript, in lower case."""
    for path in E2E.glob("*/*.transcript"):
        for case in transcript.parse(path.read_text()):
            for step in case.steps:
                if not step.is_raw:
                    words = [word.lower() for word in transcript.split_words(step.request)[:2]]
                    yield tuple(word.decode("latin-1") for word in words)


def without_transcript(names):
    asked = set(requests())
    verbs = {words[0] for words in asked if words}
    containers = {name.split("|")[0] for name in names if "|" in name}
    missing = []
    for name in names:
        words = tuple(name.split("|"))
        if len(words) == 2 and words not in asked and words[1] != "help":
            missing.append(name)
        if len(words) == 1 and name not in containers and name not in verbs:
            missing.append(name)
    return missing


def test_each_command_of_7_2_has_a_transcript():
    lines = (E2E / "server" / "commands.txt").read_text().splitlines()
    assert without_transcript([x.split(";")[0] for x in lines if not x.startswith("#")]) == []


@pytest.mark.ferric_only("a peer has commands that Ferric does not have yet")
def test_each_command_of_the_server_has_a_transcript(client):
    names = [name.decode() for name in client("COMMAND", "LIST")]
    assert without_transcript(names) == []
