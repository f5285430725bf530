#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a transcript with the replies that a server gives, to be read with care and then kept.

usage: PEER_SERVER=/path/to/redis-server test/e2e/record.py FILE

Requests without a reply get one; replies that are there stay as they are, and are compared: where
the server says something else, that is shown as a comment below.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support import transcript  # noqa: E402
from support.client import Closed  # noqa: E402
from support.server import Server  # noqa: E402


def answer(player, step):
    client = player.client(step.who)
    if step.is_raw:
        client.send(transcript.read_quoted(step.request, 0)[0])
    else:
        client.send_command(*transcript.split_words(step.request))
    try:
        return player.read(client, step)
    except (Closed, TimeoutError):
        return None


def with_slack(request, value):
    """Times to live as the range that a slow machine may give; None for all else."""
    verb = request.split()[0].upper()
    if type(value) is int and value > 1 and verb in ("TTL", "PTTL"):
        return f":{value - (3 if verb == 'TTL' else 3000)}..{value}"
    return None


def record_case(server, case, replies):
    """Fills `replies`: line number of a request to what is to be written below it."""
    server.reset()
    player = transcript.Player(server, case.protocols[-1])
    for step in case.steps:
        wanted = transcript.Reader(step.expected).all()
        if step.is_repeated and not wanted:
            raise SystemExit(f"line {step.line}: '>?' needs the reply to wait for")
        if wanted and (step.is_raw or step.is_repeated or isinstance(wanted[0], str)):
            player.play_step(step)
            continue
        value = answer(player, step)
        said = with_slack(step.request, value) or transcript.render(value)
        if not wanted:
            replies[step.line] = said
        elif not wanted[0].matches(value, player.client(step.who).protocol):
            replies[step.line] = "# IS " + said


def main():
    path = pathlib.Path(sys.argv[1])
    text = path.read_text()
    replies = {}
    with tempfile.TemporaryDirectory() as directory, Server(directory) as server:
        for case in transcript.parse(text):
            record_case(server, case, replies)
    for number, line in enumerate(text.rstrip("\n").split("\n"), 1):
        print(line)
        if number in replies:
            print(replies[number])


if __name__ == "__main__":
    main()
