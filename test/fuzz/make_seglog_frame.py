#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes test/fuzz/corpus/seglog_frame: small logs in the form that fuzz_seglog_frame.c reads."""
import pathlib
import struct

OPEN, ENTRIES, HARDSTATE, TRUNCATE, VOUCH = 1, 2, 3, 4, 5


def frame(kind, sequence, durable, first, term, nth, payload=b"", count=0):
    head = struct.pack("<QIB3xQQQQQII", 0, 64 + len(payload), kind, 0, sequence, durable, first,
                       term, count, nth)
    return head + payload


def entries(*payloads):
    return b"".join(struct.pack("<IB3x", len(p), 1) + p for p in payloads)


def open_frame(sequence, durable, first, term, hard=(1, 1)):
    return frame(OPEN, sequence, durable, first, term, 0, struct.pack("<QQQ", *hard, 0) + b"conf")


def block(data, segment=0, sealed=True):
    return struct.pack("<H", len(data) | segment << 12 | sealed << 15) + data


def spoil(segment, how, value):
    return struct.pack("<HBH", 3 | segment << 12 | 1 << 14, how, value)


first = [open_frame(1, 0, 1, 0), frame(HARDSTATE, 2, 0, 1, 0, 1, struct.pack("<QQ", 1, 1)),
         frame(ENTRIES, 3, 2, 1, 1, 2, entries(b"one", b"two"), 2),
         frame(ENTRIES, 4, 3, 3, 1, 3, entries(b"three"), 1)]
second = [open_frame(5, 4, 4, 1), frame(TRUNCATE, 6, 5, 3, 1, 1),
          frame(ENTRIES, 7, 5, 3, 2, 2, entries(b"", b"x" * 300), 2), frame(VOUCH, 8, 7, 5, 2, 3)]
whole = [block(f) for f in first] + [block(f, 1) for f in second]

CORPUS = {
    "empty": [],
    "whole": whole,
    "checkpoint": whole,
    "torn_tail": whole[:-2] + [block(b"torn", 1, False), whole[-1]],
    "rotten": whole[:2] + [block(first[2], 0, False)] + whole[3:],
    "no_open": whole[:4] + [block(second[0], 1, False)] + whole[5:],
    "bad_header": whole + [spoil(1, 1, 33)],
    "short_file": whole + [spoil(1, 0, 1000)],
    "void_segment": whole[:4] + [block(open_frame(6, 3, 4, 1), 1)] + [
        block(open_frame(5, 4, 4, 1), 2), block(frame(VOUCH, 6, 5, 4, 1, 1), 2)],
    "wrong_index": [block(open_frame(1, 0, 1, 0)),
                    block(frame(ENTRIES, 2, 1, 2, 1, 1, entries(b"a"), 1))],
    "large_numbers": [block(open_frame(2**63 - 2, 2**63 - 3, 2**63 - 1, 2**64 - 1)),
                      block(frame(ENTRIES, 2**63 - 1, 0, 2**63 - 1, 2**64 - 1, 1,
                                  entries(b"a"), 1))],
}

folder = pathlib.Path(__file__).parent / "corpus" / "seglog_frame"
folder.mkdir(parents=True, exist_ok=True)
for name, blocks in CORPUS.items():
    (folder / name).write_bytes((b"\2" if name == "checkpoint" else b"\0") + b"".join(blocks))
