#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Overwriting, deleting and expiring for a long time, with merges on: the disk does not fill up.

Clients that own their keys overwrite them, so that nearly all that is written is soon dead. All
along it is held that

- the data directory stays below its limits (limits() says why these);
- memory does not grow, once it has grown to its size;
- what was acknowledged is there, while it goes on, after a kill and after an orderly stop;
- a lone SET, sent at a steady pace from another process, does not stall.

LOAD_SECONDS (60) of it. With STRICT set, as `make endurance` does, ten times as much is alive, use
above the limit fails at once, and stalls fail. Without, beside other tests, clients pause until the
server has got below again, which it must within PAUSE_SECONDS, and stalls are told only. See
README.md.
"""

import multiprocessing
import os
import random
import statistics
import threading
import time

import cases
from cases import check
from process import Connection, Wrong
from resp import OK, Error, encode

LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS") or 60)
IS_STRICT = bool(os.environ.get("STRICT"))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
MB_A_SECOND = float(os.environ.get("RATE") or 16)

MB = 1 << 20
FILE_BYTES = 4 * MB
LOG_BUDGET = 32 * MB
SEGMENT_BYTES = 4 * MB
RESERVE_BYTES = 4 * MB
SHARDS = 2
MERGE_FILES = 10  # merge-max-files, as it ships
OPTIONS = [
    *("--shards", str(SHARDS), "--data-file-size", "4mb", "--log-budget", "32mb"),
    *("--log-segment-size", "4mb", "--checkpoint-max-delay-ms", "5000"),
    *("--checkpoint-interval-ms", "2000", "--disk-reserve", "4mb", "--loglevel", "verbose"),
    *os.environ.get("ARGS", "").split(),
]

CLIENTS = 4
KEYS = 60000 if IS_STRICT else 6000  # of a client; half of the clients prefer a few of theirs
CHUNK = 64  # commands in flight
SIZES = (16, 20 << 10)
SHORT_MS = 1500
LONG_MS = 3_600_000
RECORD_BYTES = 32
PADDING = random.Random(1).randbytes(SIZES[1] + 1024)

SAMPLE_SECONDS = 0.25
PAUSE_SECONDS = 60
MEMORY_GROWTH = 1.15
MEMORY_SLACK = 8 * MB
STALL_MS = 50


def limits(live_bytes):
    """What the data directory may take, with `live_bytes` of newest records. 2.5 x live + log
    budget is the promise, and with STRICT there is enough alive for it to be held as it stands.
    With a tenth of that, the rest cannot be hidden:

    data  a log budget, since merges keep to their rate as long as no more than that is dead beyond
          as much as lives; of each shard the file that takes records, which no merge can take, and
          one that fills up while a merge is under way; the inputs of one merge, which stay beside
          its outputs until the next checkpoint; the reserve
    log   a budget that calls for a checkpoint, one that is written while it is made, and one of
          segments kept to be used again
    """
    if IS_STRICT:
        return {"all": 2.5 * live_bytes + LOG_BUDGET}
    files = SHARDS * 2 + MERGE_FILES
    data = 2.5 * live_bytes + LOG_BUDGET + files * FILE_BYTES + RESERVE_BYTES
    return {"data": data, "log": 3 * LOG_BUDGET}


def disk_use(directory):
    """Bytes of the blocks taken by data files and all that is beside them, and by the log."""
    used = {"data": 0, "log": 0}
    for folder, _, names in os.walk(directory):
        kind = "log" if folder.startswith(str(directory / "log")) else "data"
        for name in names:
            try:
                used[kind] += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # removed meanwhile
    return {**used, "all": used["data"] + used["log"]}


# ---- Probes, in processes of their own


def run_at_a_pace(action, seconds, pipe):
    """Latencies from the moment at which it was due, in ms, until told to end."""
    latencies = []
    due = time.monotonic()
    while not pipe.poll():
        action()
        now = time.monotonic()
        latencies.append((now - due) * 1000)
        due = max(due + seconds, now) if now - due > 1 else due + seconds
        time.sleep(max(0, due - time.monotonic()))
    pipe.send(latencies)


def probe_sets(port, pipe):
    with Connection(port) as connection:
        count = iter(range(1 << 62))
        text = "x" * 100
        run_at_a_pace(lambda: connection("set", f"pace:{next(count) % 100}", text), 0.005, pipe)


def probe_disk(path, pipe):
    """A durable write of 4 KiB into a file that has its blocks, as the log does it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(4096), 0)
    os.fsync(fd)

    def write():
        os.pwrite(fd, b"x" * 4096, 0)
        os.fdatasync(fd)

    run_at_a_pace(write, 0.02, pipe)


class Probe:
    def __init__(self, target, *args):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=target, args=(*args, theirs), daemon=True)
        self.process.start()

    def end(self):
        self.pipe.send("end")
        latencies = sorted(self.pipe.recv())
        self.process.join()
        return latencies


def percentile(sorted_values, percent):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * percent / 100))]


# ---- Clients


class Client:
    """Owns its keys. `state`: key: [number, size, lives until], of what was acknowledged."""

    def __init__(self, idx):
        self.idx = idx
        self.rng = random.Random(f"{SEED} {idx}")
        self.is_skewed = idx % 2 == 1
        self.state = {}
        self.unknown = []  # (key, state) of commands without a reply
        self.count = 0
        self.bytes_written = 0
        self.live_bytes = 0  # of keys that nobody has given a short life
        self.error = None

    def key(self, n):
        return b"c%d:%d" % (self.idx, n)

    def value(self, number, size):
        tag = b"%d.%d." % (self.idx, number)
        at = number % 1000
        return (tag + PADDING[at : at + size])[:size]

    def pick(self):
        if self.is_skewed:
            return min(int(KEYS * self.rng.random() ** 4), KEYS - 1)
        return self.rng.randrange(KEYS)

    def draw_size(self):
        low, high = SIZES
        return int(low * (high / low) ** self.rng.random())

    def draw(self, n=None):
        """A command and what it makes of its key; None: the key is gone."""
        key = self.key(self.pick() if n is None else n)
        kind = 1.0 if n is not None else self.rng.random()
        if kind < 0.08:
            return ("del", key), key, None
        self.count += 1
        size = self.draw_size()
        command = ("set", key, self.value(self.count, size))
        if kind < 0.12:
            command += ("px", self.rng.randrange(1, SHORT_MS))
            return command, key, (self.count, size, "short")
        if kind < 0.16:
            return (*command, "px", LONG_MS), key, (self.count, size, "long")
        return command, key, (self.count, size, None)

    def size_on_disk(self, key, state):
        if state is None or state[2] == "short":
            return 0
        return RECORD_BYTES + len(key) + state[1] + (8 if state[2] else 0)

    def take(self, key, state):
        self.live_bytes -= self.size_on_disk(key, self.state.get(key))
        self.live_bytes += self.size_on_disk(key, state)
        self.state[key] = state

    def run_chunk(self, connection, drawn):
        self.unknown += [(key, state) for _, key, state in drawn]
        connection.socket.sendall(b"".join(encode(command) for command, _, _ in drawn))
        for command, key, state in drawn:
            reply = connection.read()
            is_right = reply in (0, 1) if command[0] == "del" else reply == OK
            if not is_right:
                raise Wrong(f"{command[:2]!r} gives {reply!r}")
            self.take(key, state)
            del self.unknown[0]
            self.bytes_written += state[1] if state else 0

    def read_some(self, connection):
        """A few of its keys, while all goes on."""
        keys = [self.key(self.pick()) for _ in range(8)]
        for key, reply in zip(keys, connection.pipeline([("get", key) for key in keys])):
            self.check_value(key, reply, self.state.get(key))

    def check_value(self, key, reply, state):
        if state is None:
            check(reply is None, f"{key!r} was deleted and has {reply!r:.60}")
        elif state[2] != "short" or reply is not None:
            check(reply == self.value(*state[:2]), f"{key!r} of {state} is {reply!r:.60}")

    # ---- After a start

    def settle(self, connection):
        """Finds out what has become of the unknown commands: the first k were executed."""
        keys = list(dict.fromkeys(key for key, _ in self.unknown))
        found = dict(zip(keys, connection.pipeline([("get", key) for key in keys])))
        for k in range(len(self.unknown) + 1):
            state = {key: self.state.get(key) for key in keys} | dict(self.unknown[:k])
            try:
                for key in keys:
                    self.check_value(key, found[key], state[key])
            except Wrong:
                continue
            for key in keys:
                self.take(key, state[key])
            self.unknown = []
            return
        raise Wrong(f"client {self.idx}: not the first k of {len(self.unknown)} unknown commands")

    def check_all(self, connection):
        keys = list(self.state)
        for first in range(0, len(keys), CHUNK):
            some = keys[first : first + CHUNK]
            for key, reply in zip(some, connection.pipeline([("get", key) for key in some])):
                self.check_value(key, reply, self.state[key])

    def short_lived(self):
        return [key for key, state in self.state.items() if state and state[2] == "short"]


class Load:
    """The clients, in threads; they pause together and end together."""

    def __init__(self, clients, port):
        self.clients, self.port = clients, port
        self.may_go = threading.Event()
        self.may_go.set()
        self.is_over = False
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.run, args=(client,)) for client in clients]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        budget = MB_A_SECOND * MB / CLIENTS
        sent_before = client.bytes_written
        paused = 0.0
        try:
            with Connection(self.port) as connection:
                while not self.is_over:
                    asleep = time.monotonic()
                    self.may_go.wait()
                    paused += time.monotonic() - asleep
                    client.run_chunk(connection, [client.draw() for _ in range(CHUNK)])
                    client.read_some(connection)
                    due = (client.bytes_written - sent_before) / budget
                    ahead = due - (time.monotonic() - self.began - paused)
                    time.sleep(max(0, min(ahead, 1)))
        except (ConnectionError, OSError) as error:
            client.error = None if self.is_over else error
        except Wrong as error:
            client.error = error

    def check_going(self):
        for client in self.clients:
            if client.error is not None:
                raise Wrong(f"client {client.idx}: {client.error}")

    def end(self):
        self.is_over = True
        self.may_go.set()
        for thread in self.threads:
            thread.join()
        self.check_going()

    def live_bytes(self):
        return sum(client.live_bytes for client in self.clients)


# ---- Watching


class Watch:
    """Samples of disk and memory while the load runs."""

    def __init__(self, server, load):
        self.server, self.load = server, load
        self.rss = []
        self.worst = dict.fromkeys(limits(1), 0.0)
        self.worst_text = {}
        self.pauses = 0

    def look(self):
        """The share of its limit that is taken, of data or log, whichever is more."""
        used = disk_use(self.server.directory)
        live = self.load.live_bytes()
        shares = {kind: used[kind] / most for kind, most in limits(live).items()}
        for kind, share in shares.items():
            if share > self.worst[kind]:
                self.worst[kind] = share
                self.worst_text[kind] = (
                    f"{kind} {used[kind] / MB:.0f} of {limits(live)[kind] / MB:.0f} MiB, "
                    f"{used[kind] / live:.2f} x live"
                )
        return max(shares.values())

    def sample(self):
        self.load.check_going()
        self.server.check_alive()
        if self.look() > 1:
            check(not IS_STRICT, f"the disk is over its limit: {self.most()}")
            self.wait_for_space()
        self.rss.append(memory_of(self.server))

    def wait_for_space(self):
        self.pauses += 1
        self.load.may_go.clear()
        self.tell_files("over its limit")
        began = time.monotonic()
        cases.wait_until(lambda: self.look() <= 1, PAUSE_SECONDS, f"space: {self.most()}")
        self.tell_files(f"below again after {time.monotonic() - began:.1f} s")
        self.load.may_go.set()

    def tell_files(self, what):
        """What the server says of its files, for whoever has to find out."""
        with self.server.connect() as connection:
            info = connection.info()
        names = [name for name in info if name.startswith(("data_", "merge", "log_live"))]
        told = ", ".join(f"{name} {info[name]}" for name in [*names, "checkpoints"])
        print(f"  {what}: {self.most()}; {told}", flush=True)

    def most(self):
        return "; ".join(self.worst_text.values())

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.sample()
            time.sleep(SAMPLE_SECONDS)

    def check_memory(self):
        """Flat: the middle one of the last fifth's samples against that of the second fifth's; the
        first is for tables and caches that grow to their size."""
        if os.environ.get("FERRIC_SANITIZED"):
            return "not judged, a sanitizer keeps what was freed"
        part = len(self.rss) // 5
        early = statistics.median(self.rss[part : 2 * part])
        late = statistics.median(self.rss[-part:])
        check(
            late <= early * MEMORY_GROWTH + MEMORY_SLACK,
            f"memory has grown from {early / MB:.0f} to {late / MB:.0f} MiB",
        )
        return f"{early / MB:.0f} MiB, then {late / MB:.0f}"


def memory_of(server):
    with open(f"/proc/{server.process.pid}/status", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def figures(latencies):
    shares = "".join(f"p{p} {percentile(latencies, p):.2f}, " for p in (50, 99, 99.9))
    return f"{len(latencies)}, {shares}max {latencies[-1]:.1f} ms"


def tell_stalls(sets, disk, info):
    """A SET waits for the log write under way and for its own: two syncs explain so much."""
    slow, sync = percentile(sets, 99.9), percentile(disk, 99.9)
    beyond = slow - 2 * sync
    print(
        f"  SET: {figures(sets)}; the disk's sync: {figures(disk)}\n"
        f"  p99.9 of SET beyond two syncs: {max(beyond, 0):.1f} ms of {STALL_MS}; longest turn of "
        f"a loop {int(info['loop_longest_turn_us']) / 1000:.1f} ms",
        flush=True,
    )
    check(not IS_STRICT or beyond <= STALL_MS, f"SET stalls: p99.9 is {slow:.1f} ms")


# ---- The run


def fill(clients, connection):
    for client in clients:
        for first in range(0, KEYS, CHUNK):
            client.run_chunk(
                connection, [client.draw(n) for n in range(first, min(first + CHUNK, KEYS))]
            )


def check_clients(clients, connection, what):
    """All is as acknowledged; what had a short life is gone, and stays so."""
    for client in clients:
        client.settle(connection)
        client.check_all(connection)
        keys = client.short_lived()
        for first in range(0, len(keys), CHUNK):
            some = keys[first : first + CHUNK]
            gone = lambda keys=some: connection("exists", *keys) == 0  # noqa: E731
            cases.wait_until(gone, 60, f"{what}: expired keys go")
        for key in keys:
            client.take(key, None)
    alive = sum(state is not None for client in clients for state in client.state.values())
    alive += connection("exists", *[f"pace:{i}" for i in range(100)])
    # It counts what has expired and was not swept yet.
    cases.wait_until(lambda: connection("dbsize") == alive, 60, f"{what}: {alive} keys")


def restart(server, clients, what):
    seconds = server.start()
    with server.connect() as connection:
        check_clients(clients, connection, what)
        info = connection.info()
    print(
        f"  {what}: ready after {seconds:.2f} s, all there, "
        f"{int(info['data_bytes']) / max(int(info['data_live_bytes']), 1):.2f} x live",
        flush=True,
    )


def overwritten_for_long(server):
    print(f"  seed {SEED}, {LOAD_SECONDS:.0f} s{', strict' if IS_STRICT else ''}", flush=True)
    server.start()
    clients = [Client(i) for i in range(CLIENTS)]
    with server.connect() as connection:
        fill(clients, connection)
    probes = [Probe(probe_sets, server.port), Probe(probe_disk, f"{server.directory}.probe")]
    load = Load(clients, server.port)
    watch = Watch(server, load)
    try:
        watch.run(LOAD_SECONDS * 0.8)
    finally:
        load.is_over = True
        load.may_go.set()
    load.end()
    sets, disk = [probe.end() for probe in probes]
    with server.connect() as connection:
        info = connection.info()
        check_clients(clients, connection, "the load has ended")
    written = sum(client.bytes_written for client in clients)
    print(
        f"  {written >> 20} MiB written, {info['merges']} merges freed "
        f"{int(info['merge_freed_bytes']) >> 20} MiB, {info['checkpoints']} checkpoints; "
        f"{watch.pauses} pauses\n  at most {watch.most()}\n"
        f"  memory: {watch.check_memory()}",
        flush=True,
    )
    check(int(info["merges"]) > 0 and info["merges_failed"] == "0", "merges have failed")
    tell_stalls(sets, disk, info)
    killed_under_load(server, clients)


def killed_under_load(server, clients):
    load = Load(clients, server.port)
    watch = Watch(server, load)
    try:
        watch.run(LOAD_SECONDS * 0.2)
    finally:
        load.is_over = True
        server.kill()
    load.end()
    restart(server, clients, "killed")
    server.terminate()
    restart(server, clients, "stopped in order")


if __name__ == "__main__":
    cases.run("endurance", [overwritten_for_long], OPTIONS)
