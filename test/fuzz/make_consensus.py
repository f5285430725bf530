#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpora of fuzz_consensus_configuration.c and fuzz_consensus_message.c."""
import pathlib
import struct

STANDBY, VOTER, SPARE = 0, 1, 2
APPEND, RESULT, VOTE, VOTED, SNAPSHOT, HAND_OVER = 1, 2, 3, 4, 5, 6
SUBMIT, CHANGE, CHECKPOINT, RUN, SETTLE = 10, 11, 7, 8, 9


def configuration(*members):
    data = struct.pack('<BQ', 1, len(members))
    for number, address, role in members:
        data += struct.pack('<Q', number) + address + b'\0' + bytes([role])
    return data + bytes(-len(data) % 8)


CONFIGURATION = {
    'one': configuration((1, b'127.0.0.1:6379', VOTER)),
    'three': configuration((1, b'a', VOTER), (2, b'b', STANDBY), (3, b'c', SPARE)),
    'many': configuration(*((n, b'node-%d' % n, VOTER) for n in range(1, 33))),
    'none': configuration(),
    'same_id': configuration((1, b'a', VOTER), (1, b'b', VOTER)),
    'same_address': configuration((1, b'a', VOTER), (2, b'a', VOTER)),
    'unending': configuration((1, b'a' * 300, VOTER))[:64],
    'empty': b'',
}


# Terms are relative to the member's less 4, indices to the next one less 8.
def append(term, prev, commit, *entries, sender=2, rise=0):
    return bytes([APPEND, sender, term, prev, rise, commit, len(entries), *entries])


COMMAND = 1 << 2


def change(which):
    return 3 << 2 | which << 4


follow = append(5, 7, 7, COMMAND, COMMAND, COMMAND) + bytes([SETTLE])
MESSAGE = {
    'follow': follow + append(4, 7, 7) + bytes([SETTLE, CHECKPOINT]),
    'replace': follow + append(5, 5, 4, COMMAND | 1, sender=3) + bytes([SETTLE]),
    'change': follow + append(4, 7, 7, COMMAND, change(3), COMMAND) + bytes([SETTLE]),
    'shrink': follow + append(4, 7, 7, change(0)) + bytes([SETTLE, RUN, 255, SUBMIT, SETTLE]),
    'vote': bytes([VOTE, 3, 6, 8, 1, 0, SETTLE, VOTE, 2, 4, 8, 1, 0]),
    'lead': (bytes([RUN, 200, VOTED, 2, 5, 0, 3, RUN, 1, VOTED, 2, 4, 0, 1, SETTLE, SUBMIT, SETTLE,
                    RESULT, 2, 4, 7, 0, SETTLE, CHANGE, 1, CHECKPOINT, RESULT, 3, 4, 7, 1, 7])),
    'hand_over': follow + bytes([HAND_OVER, 2, 4, 7, 0, 0, SETTLE]),
    'empty': b'',
}


def main():
    corpus = pathlib.Path(__file__).resolve().parent / 'corpus'
    for name, files in (('consensus_configuration', CONFIGURATION),
                        ('consensus_message', MESSAGE)):
        folder = corpus / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (folder / file).write_bytes(data)


if __name__ == '__main__':
    main()
