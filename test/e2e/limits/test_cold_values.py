# SPDX-License-Identifier: Apache-2.0
"""Pipelines over values that are on disk only: replies are as the connection left things."""

import glob
import os
import random

import pytest

from support.client import wait_until

PLACEMENTS = {"one loop": {"io_threads": 1}, "threads": {"io_threads": 2, "shard_threads": 2}}


def forget_pages(server):
    """The kernel drops what it keeps of the data files, as far as that is written back."""
    for path in glob.glob(f"{server.directory}/data/*/*.log"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class Script:
    """Commands by chance, and the replies they must have."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.values = {}
        self.commands = []
        self.replies = []

    def key(self):
        return f"key{self.random.randrange(200)}"

    def add(self, *command, reply):
        self.commands.append(command)
        self.replies.append(reply)

    def get(self, key):
        return self.values.get(key)

    def step(self):
        key, other, dice = self.key(), self.key(), self.random.random()
        if dice < 0.3:
            self.values[key] = b"%d-" % self.random.randrange(10**9) * self.random.randint(1, 60)
            self.add("SET", key, self.values[key], reply="OK")
        elif dice < 0.4:
            self.values[key] = (self.get(key) or b"") + b"zz"
            self.add("APPEND", key, "zz", reply=len(self.values[key]))
        elif dice < 0.5:
            self.add("MGET", key, other, reply=[self.get(key), self.get(other)])
        elif dice < 0.65:
            self.add("MULTI", reply="OK")
            self.add("GET", key, reply="QUEUED")
            self.add("STRLEN", other, reply="QUEUED")
            self.add("EXEC", reply=[self.get(key), len(self.get(other) or b"")])
        else:
            self.add("GET", key, reply=self.get(key))

    def take(self):
        taken = self.commands, self.replies
        self.commands, self.replies = [], []
        return taken


def cold_reads(client):
    return int(client("INFO", "stats").split(b"reads_cold:")[1].split()[0])


@pytest.mark.ferric_only("others keep every value in memory")
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_pipelines_over_cold_values(start_server, placement):
    options = {"hot_cache_max_value_size": 64, "shards": 4, "flush_interval_ms": 1}
    server = start_server(**options, **PLACEMENTS[placement])
    client = server.connect()
    script = Script(17)
    for _ in range(150):
        forget_pages(server)
        for _ in range(script.random.randint(1, 40)):
            script.step()
        commands, replies = script.take()
        assert client.pipeline(*commands) == replies
    wait_until(lambda: cold_reads(client) > 50)
