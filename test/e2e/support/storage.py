# SPDX-License-Identifier: Apache-2.0
"""Data files of a server under test: small ones, what is in them, and merging them."""

import pathlib

from .client import wait_until

# Small files, so that there are many; merges and checkpoints only when a test asks for them.
SMALL = {
    "data_file_size": "1mb",
    "log_segment_size": "2mb",
    "merge_mode": "off",
    "checkpoint_interval_ms": 3600000,
    "checkpoint_max_delay_ms": 3600000,
}
FILE_BYTES = 1 << 20
VALUE_BYTES = 8000
RECORD_BYTES = 32  # without key, value and expiry
EXPIRY_BYTES = 8


def files(directory, suffix=".log"):
    """Of all shards, by their path below the data directory: data files or others."""
    data = pathlib.Path(directory) / "data"
    return {str(path.relative_to(data)): path for path in sorted(data.glob(f"*/*{suffix}"))}


def size_of_files(directory):
    return sum(path.stat().st_size for path in files(directory).values())


def value(i, generation=0):
    return (b"%d.%d." % (i, generation)).ljust(VALUE_BYTES, b"v")


def fill(client, count, generations=1, name="k%d"):
    """Each key is written so often; the last value is that of the last generation."""
    for generation in range(generations):
        requests = [("SET", name % i, value(i, generation)) for i in range(count)]
        assert set(client.pipeline(*requests)) == {"OK"}


def number(server, field):
    return int(server.info()[field])


def held(client, databases=16):
    """Everything, as (database, key): [DUMP, time of death, length]."""
    asks = ("DUMP", "PEXPIRETIME", "STRLEN")
    found = {}
    for db in range(databases):
        assert client("SELECT", db) == "OK"
        keys = client("KEYS", "*")
        replies = client.pipeline(*[(ask, key) for key in keys for ask in asks])
        for i, key in enumerate(keys):
            found[db, key] = replies[len(asks) * i : len(asks) * (i + 1)]
    assert client("SELECT", 0) == "OK"
    return found


def live_bytes(state):
    """What the newest records of these keys take; `state` is of held()."""
    return sum(
        RECORD_BYTES + len(key) + length + (EXPIRY_BYTES if death > 0 else 0)
        for (_, key), (_, death, length) in state.items()
    )


def begin_merges(server):
    """A merge of each shard that has something to win, as soon as it can."""
    with server.connect() as client:
        assert client("FERRICSTORE.MERGE") == "OK"


def merge_all(server):
    """Until nothing is left but what lives, files that take records, and what cannot be won: blocks
    that files end with, and tombstones. Checkpoints give the space back."""
    shards = len(list((pathlib.Path(server.directory) / "data").glob("shard_*")))

    def is_done():
        begin_merges(server)
        with server.connect() as client:
            assert client("SAVE") == "OK"
        info = server.info()
        room = int(info["data_live_bytes"]) * 5 // 4 + shards * (FILE_BYTES + 65536)
        return size_of_files(server.directory) <= room and info["merge_in_progress"] == "0"

    wait_until(is_done, pause=0.05)
