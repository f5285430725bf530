#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a server again and again under load and holds what it remembers against what it said.

    ROUNDS=300 SEED=17 test/crash/rounds.py

SEED      what is done, and when; printed, drawn if absent
ROUNDS    how often (12)
CLIENTS   connections at a time (16)
LONGEST   seconds of load in a round, at most (6)
See README.md.
"""

import collections
import os
import random
import shutil
import sys
import time

from client import Client, Clock
from kill import Crashpoint, Forgetter, Killer, Moment
from load import Load
from process import Server, Workplace, Wrong
from script import SHARED, joint_key, own_db, part_key, shared_key

GENERATION_BYTES = 300 << 20
DATABASES = 40
SMALL = """
    --log-segment-size 1mb --data-file-size 4mb --log-budget 4mb
    --checkpoint-interval-ms 200 --checkpoint-idle-ms 0 --checkpoint-max-delay-ms 500
""".split()
ENDS = ["kill"] * 14 + ["term"] * 3 + ["shutdown nosave"] * 2 + ["shutdown"]
PLACEMENTS = [
    [],
    ["--io-threads", "1"],
    ["--io-threads", "2"],
    ["--io-threads", "2", "--shard-threads", "2"],
    ["--io-threads", "1", "--shard-threads", "3"],
]
WRITERS = ["auto", "thread", "io_uring"]
# So many rounds must have seen these, or they have not tested what they say; they may go on until
# there are several times as many.
ENOUGH_ROUNDS = 10
MORE_ROUNDS = 3
HAVE_HAPPENED = [
    "checkpoints",
    "data_rotations",
    "log_segments_recycled",
    "log_segments_prepared",
    "replayed_commands",
    "expired_keys",
    "reads_cold",
    "killed by event",
    "killed in a call",
    "killed in recovery",
    "unknown units",
]


def wall_ms():
    return int(time.time() * 1000)


class Plan:
    """What a round does: all that a seed can decide."""

    def __init__(self, seed, nth, longest):
        rng = random.Random(f"{seed}:{nth}")
        self.rng = rng
        self.options = [
            *rng.choice(PLACEMENTS),
            "--log-writer", rng.choice(WRITERS),
            "--hot-cache-max-value-size", rng.choice(["0", "300", "64kb"]),
            "--flush-interval-ms", rng.choice(["1", "10", "300"]),
            "--frames-in-flight", rng.choice(["0", "1", "4"]),
            "--max-inflight-bytes", rng.choice(["1mb", "64mb"]),
            "--max-unwritten-bytes", rng.choice(["1mb", "32mb"]),
        ]  # fmt: skip
        if rng.random() < 0.2:
            self.options += ["--log-segment-size", rng.choice(["1mb", "2mb", "4mb"])]
        self.sizes = rng.choice(["small", "mixed", "mixed", "large"])
        self.end = rng.choice(ENDS)
        self.moment = Moment(rng, longest, 10000)
        self.is_forgetting = rng.random() < 0.5
        self.recovery_kills = []
        if rng.random() < 0.35:
            self.recovery_kills = [Moment(rng, 0.15, 100) for _ in range(rng.randint(1, 3))]

    def aim(self, missing, longest):
        """At the ends that chance has not brought about on a machine that is busy otherwise."""
        for kind, name in (("event", "killed by event"), ("call", "killed in a call")):
            if name in missing:
                self.end = "kill"
                self.moment = Moment(self.rng, longest, 20, kind)

    def __repr__(self):
        kills = f", killed in recovery: {self.recovery_kills}" if self.recovery_kills else ""
        cold = ", cold" if self.is_forgetting else ""
        what = f"{' '.join(self.options)}, {self.sizes} values{cold}"
        return f"{what}, {self.end} at {self.moment}{kills}"


class Campaign:
    """Generations of a data directory; each is used until it is large."""

    def __init__(self, seed, place):
        self.seed = seed
        self.place = place
        self.totals = collections.Counter()
        self.clock = Clock(wall_ms)
        self.generation = 0
        self.server = None
        self.clients = []

    def begin_generation(self, count):
        if self.server is not None:
            shutil.rmtree(self.server.directory)
        self.generation += 1
        rng = random.Random(f"{self.seed}:generation {self.generation}")
        shards = rng.choice([1, 2, 2, 3, 5])
        options = [*SMALL, "--databases", DATABASES, "--shards", shards]
        self.server = Server(
            self.place / f"generation-{self.generation}", [str(word) for word in options]
        )
        self.crashpoint = Crashpoint(self.place / "crashpoint")
        self.server.env = self.crashpoint.env()
        self.clients = [Client(i, count, self.clock) for i in range(count)]
        self.shared = collections.Counter()
        self.must_not_replay = False
        self.sent = None

    # ---- A round

    def run(self, plan):
        server = self.server
        for moment in plan.recovery_kills:
            self.kill_in_recovery(plan, moment)
        seconds = server.start(plan.options)
        self.totals["slowest start, ms"] = max(
            self.totals["slowest start, ms"], int(seconds * 1000)
        )
        self.verify()
        for client in self.clients:
            client.script.begin(random.Random(plan.rng.random()), plan.sizes)
        load = Load(server, self.clients, plan.rng)
        forgetter = Forgetter(server.directory) if plan.is_forgetting else None
        try:
            self.drive(load, plan)
        finally:
            self.crashpoint.disarm()
            if forgetter:
                forgetter.finish()
            server.kill()
            load.close()
        self.totals["acknowledged units"] += sum(client.acked for client in self.clients)
        for client in self.clients:
            client.acked = 0
        self.sent = [line.sent for line in load.lines]
        for name in HAVE_HAPPENED:
            self.totals[name] += int(load.info.get(name, 0))
        self.totals["unknown units"] += sum(
            unit.end <= line.sent for line in load.lines for unit in line.client.pending
        )

    def drive(self, load, plan):
        server = self.server
        is_kill = plan.end == "kill"
        if is_kill:
            if plan.moment.is_call:
                self.crashpoint.arm(plan.moment.nth, plan.moment.ending)
            killer = Killer(server.process, server.directory, plan.moment)
            try:
                load.run(
                    lambda: killer.fired, lambda: killer.fired or server.process.poll() == -9
                )
            finally:
                killer.finish()
            self.totals["killed by event"] += killer.by_event
            self.totals["killed in a call"] += killer.by_call
            return
        deadline = time.monotonic() + plan.moment.seconds
        load.run(lambda: time.monotonic() > deadline)
        if plan.end == "term":
            server.process.terminate()
        else:
            with server.connect() as connection:
                connection.socket.sendall((plan.end + "\r\n").encode())
        # Goes on while it ends: what is refused must not be done, what is answered must.
        def has_ended():
            return server.process.poll() is not None

        load.run(has_ended, has_ended)
        server.wait_end()
        self.must_not_replay = plan.end != "shutdown nosave"

    def kill_in_recovery(self, plan, moment):
        server = self.server
        if moment.is_call:
            self.crashpoint.arm(moment.nth, moment.ending)
        server.spawn(plan.options)
        killer = Killer(server.process, server.directory, moment)
        try:
            while not killer.fired:
                if not moment.is_call:
                    server.check_alive()
                elif server.process.poll() is not None:
                    break
                time.sleep(0.001)
        finally:
            killer.finish()
            self.crashpoint.disarm()
            server.wait_killed()
        self.totals["killed in recovery"] += 1

    # ---- What must hold after a start

    def verify(self):
        with self.server.connect() as connection:
            self.clock.floor_ms = connection.server_ms()
            replayed = int(connection.info()["replayed_commands"])
            if self.must_not_replay and replayed > 0:
                raise Wrong(f"{replayed} commands replayed after a clean shutdown")
            self.must_not_replay = False
            observed = {}
            for client in self.clients:
                self.observe(connection, client, observed)
            self.check_names(connection, observed)
            # The probe is a write of this very run: what has expired before it is gone.
            now = (self.clock.floor_ms, self.clock.hi())
            ranges = collections.defaultdict(lambda: [0, 0])
            raised = collections.Counter()
            for i, client in enumerate(self.clients):
                raised.update(client.raised)
                sent = self.sent[i] if self.sent else 0
                for name, (least, most) in client.compare(sent, observed, now).items():
                    ranges[name][0] += least
                    ranges[name][1] += most
                client.adopt(observed)
            self.check_shared(connection, raised, ranges)

    def observe(self, connection, client, observed):
        for db in (0, own_db(client.number)):
            names = [name for name in (*client.names, *client.mortal) if name[0] == db]
            connection("select", db)
            requests = []
            for _, key in names:
                requests += [("get", key), ("pexpiretime", key)]
            replies = connection.pipeline(requests)
            for i, name in enumerate(names):
                value, at = replies[2 * i : 2 * i + 2]
                if value is None and at != -2:
                    raise Wrong(f"{name} has no value, but expires at {at}")
                observed[name] = None if at == -2 else (value, 0 if at == -1 else at)
        connection("select", 0)

    def check_names(self, connection, observed):
        """No key that nobody writes."""
        for db in range(DATABASES):
            connection("select", db)
            for key in connection("keys", "*"):
                known = (db, key) in observed or key == b"probe"
                if not known and not key.startswith((b"shared:", b"joint:")):
                    raise Wrong(f"db {db} has a key that nobody wrote: {key!r}")
        connection("select", 0)

    def check_shared(self, connection, raised, ranges):
        """Counters that all clients raise: neither lost nor done twice."""
        for i in range(SHARED):
            name = shared_key(i)
            found = int(connection("get", name) or 0)
            least, most = (self.shared[name] + raised[name] + count for count in ranges[name])
            seen = max(client.seen[name] for client in self.clients)
            if not max(least, seen) <= found <= most:
                raise Wrong(f"{name} is {found}, not in {least}..{most}; {seen} had been seen")
            self.shared[name] = found
            joint = int(connection("get", joint_key(i)) or 0)
            parts = [connection("get", part_key(client.number, i)) for client in self.clients]
            if joint != sum(int(part or 0) for part in parts):
                raise Wrong(f"{joint_key(i)} is {joint}, its parts are {parts}")
        for client in self.clients:
            client.seen.clear()

    # ---- The whole

    def finish(self):
        self.server.start()
        self.verify()
        self.server.terminate()
        self.must_not_replay = True
        self.server.start()
        self.verify()
        self.server.terminate()

    def missing(self):
        return [name for name in HAVE_HAPPENED if self.totals[name] == 0]

    def check_totals(self, rounds):
        if rounds >= ENOUGH_ROUNDS and self.missing():
            raise Wrong(f"in {rounds} rounds there was none of {self.missing()}")


def main():
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    rounds = int(os.environ.get("ROUNDS") or 12)
    clients = int(os.environ.get("CLIENTS") or 16)
    longest = float(os.environ.get("LONGEST") or 6)
    print(f"SEED={seed} ROUNDS={rounds} CLIENTS={clients}", flush=True)
    sys.setswitchinterval(0.0005)
    with Workplace("crash") as place:
        campaign = Campaign(seed, place)
        try:
            for nth in range(MORE_ROUNDS * rounds):
                # By chance something may not have come to pass; then it has more time.
                if nth >= rounds and (rounds < ENOUGH_ROUNDS or not campaign.missing()):
                    break
                is_full = nth > 0 and campaign.server.disk_bytes() > GENERATION_BYTES
                if nth == 0 or is_full:
                    if is_full:
                        campaign.finish()
                    campaign.begin_generation(clients)
                plan = Plan(seed, nth, longest)
                if nth >= rounds:
                    plan.aim(campaign.missing(), longest)
                print(f"round {nth}: {plan}", flush=True)
                campaign.run(plan)
            campaign.finish()
            campaign.check_totals(rounds)
        except Wrong as wrong:
            print(f"\nSEED={seed} round {nth}: {plan}\n\n{wrong}\n", flush=True)
            if "---- the end of" not in str(wrong):
                print(campaign.server.log_tail(), flush=True)
            raise SystemExit(1) from None
        finally:
            campaign.server.kill()
        for name, value in sorted(campaign.totals.items()):
            print(f"{value:12} {name}")


if __name__ == "__main__":
    main()
