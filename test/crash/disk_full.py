#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up under load, and is given room again: a small tmpfs of the test's own.

Needs the right to mount one, which root has, and elsewhere whoever may make a user namespace.
See README.md.
"""

import ctypes
import os
import random
import time

import cases
from cases import Skip, check, wait_until
from load import Load
from process import Wrong, describe
from resp import Error
from rounds import SMALL, Campaign

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
DISK_BYTES = 112 << 20
BALLAST_BYTES = 24 << 20
FULL_SECONDS = 120
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    if getattr(LIBC, name)(*args) != 0:
        error = ctypes.get_errno()
        raise Skip(f"{name}: {os.strerror(error)}: this test needs the right to mount a tmpfs")


def private_mounts():
    """A mount namespace of this process, so that what is mounted goes with it."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        call("unshare", CLONE_NEWNS)
    else:
        call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {user} 1"),
            ("gid_map", f"0 {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


class Disk:
    def __init__(self, place):
        self.path = place / "disk"
        self.path.mkdir()
        size = f"size={DISK_BYTES}".encode()
        call("mount", b"tmpfs", os.fsencode(self.path), b"tmpfs", 0, size)
        self.ballast = self.path / "ballast"
        self.ballast.write_bytes(bytes(BALLAST_BYTES))

    def free_bytes(self):
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def leave(self, free_bytes):
        """Somebody else writes until no more than that is left."""
        with open(self.path / "more", "ab", buffering=0) as file:
            try:
                while self.free_bytes() > free_bytes:
                    file.write(bytes(65536))
            except OSError:
                pass

    def give_room(self):
        for file in (self.ballast, self.path / "more"):
            file.unlink(missing_ok=True)

    def close(self):
        LIBC.umount2(os.fsencode(self.path), 2)


class Scene:
    """Clients of the rounds' load on a disk of their own."""

    def __init__(self, server, seed=None):
        self.disk = Disk(server.directory.parent)
        self.campaign = Campaign(seed or random.SystemRandom().randrange(10**9), self.disk.path)
        print(f"SEED={self.campaign.seed}", flush=True)
        self.campaign.begin_generation(8)
        self.server = self.campaign.server
        # Logs do not belong on a disk that is to be full.
        self.server.log_path = server.log_path
        self.load = None

    def start(self, *options):
        # The load overwrites its keys: merging would make room for ever.
        self.server.start(("--merge-mode", "off", *options))
        self.campaign.verify()
        for client in self.campaign.clients:
            client.script.begin(random.Random(self.campaign.seed), "mixed")
            client.refused = 0
        self.load = Load(self.server, self.campaign.clients, random.Random(self.campaign.seed))

    def run(self, seconds, condition=lambda: False):
        end = time.monotonic() + seconds
        self.load.run(lambda: time.monotonic() > end or condition())

    def refused(self):
        return sum(client.refused for client in self.campaign.clients)

    def acked(self):
        return sum(client.acked for client in self.campaign.clients)

    def fill(self):
        self.run(FULL_SECONDS, lambda: self.refused() > 1000)
        check(self.refused() > 1000, f"no write is refused; {self.disk.free_bytes()} bytes free")
        # A checkpoint may have given segments of the log back since: not so much that it matters.
        self.disk.leave(3 << 20)
        with self.server.connect() as connection:
            self.run(FULL_SECONDS, lambda: is_short_of_space(connection))
            check(is_short_of_space(connection), f"no pressure: {persistence(connection)}")

    def run_pressed(self):
        """What has no reply yet has been sent to a server that takes no growth."""
        self.load.drain()
        for client in self.campaign.clients:
            client.is_pressed = True
        self.run(1)

    def kill(self):
        self.server.kill()
        self.load.close()
        self.campaign.sent = [line.sent for line in self.load.lines]

    def close(self):
        self.server.kill()
        self.disk.close()


def persistence(connection):
    """The fields of INFO, as a dictionary."""
    text = connection("info", "persistence").decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def is_short_of_space(connection):
    fields = persistence(connection)
    free, low = (int(fields[name]) for name in ("disk_free_bytes", "disk_free_low"))
    return fields["disk_pressure"] == "1" and free < low


def scene(function):
    def run(server):
        it = Scene(server)
        try:
            function(it)
        finally:
            it.close()

    run.__name__ = function.__name__
    return run


def reads_go_on(it):
    """All that was acknowledged is there, and what was refused is not."""
    with it.server.connect() as connection:
        reply = connection("set", "a-write", "x")
        check(
            isinstance(reply, Error) and reply.startswith("MISCONF"),
            f"a write is answered {reply!r}"
        )
        for client in it.campaign.clients:
            observed = {}
            began = it.campaign.clock.lo()
            it.campaign.observe(connection, client, observed)
            client.compare(0, observed, (began, it.campaign.clock.hi()))


def says_what_is_wrong(it, is_full):
    with it.server.connect() as connection:
        fields = persistence(connection)
    status = fields["aof_last_write_status"]
    check(status == ("err" if is_full else "ok"), f"INFO says {status} while full is {is_full}")
    check(fields["disk_pressure"] == str(int(is_full)), f"INFO gives as the cause {fields}")
    if not is_full:
        check(int(fields["disk_free_bytes"]) >= int(fields["disk_free_low"]), fields)


def due_keys_hold_nobody_up(it):
    """A key falls due and no time can be logged: whoever wants it is answered, and nobody spins."""
    with it.server.connect() as connection:
        for request in (("watch", "due"), ("get", "due"), ("exists", "due", "other")):
            reply = connection(*request)
            is_refused = isinstance(reply, Error) and reply.startswith("MISCONF")
            check(is_refused or reply in ("OK", None, 0), f"{request} is answered {reply!r}")
        check(connection("ping") == "PONG", "the connection goes on")


def writes_are_taken(it):
    with it.server.connect() as connection:
        wait_until(
            lambda: connection("set", "probe", "x", "px", 10**6) == "OK", 60, "writes work again"
        )


def writes_work_again(it):
    it.disk.give_room()
    writes_are_taken(it)
    says_what_is_wrong(it, False)
    before = it.acked()
    it.run(10, lambda: it.acked() > before + 2000)
    check(it.acked() > before, "the load does not go on")


@scene
def refused_then_room_again(it):
    it.start()
    says_what_is_wrong(it, False)
    it.fill()
    it.load.drain()
    says_what_is_wrong(it, True)
    reads_go_on(it)
    writes_work_again(it)
    it.kill()
    it.server.start()
    it.campaign.verify()


@scene
def keys_fall_due_on_the_full_disk(it):
    it.start()
    with it.server.connect() as connection:

        def is_refused():
            return connection("set", "due", "x", "px", 3000) != "OK"

        # A checkpoint may give room back for a moment: one refusal is not the end of it.
        it.run(FULL_SECONDS, lambda: is_refused() and it.refused() > 1000)
        check(it.refused() > 1000, "no write is refused")
    it.load.drain()
    time.sleep(4)  # until it is due, and later than anything that the log has promised
    due_keys_hold_nobody_up(it)


@scene
def killed_on_the_full_disk(it):
    """It must start again there, too: reads at once, writes when there is room."""
    it.start()
    it.fill()
    it.run_pressed()
    it.kill()
    it.server.start()
    it.disk.give_room()
    writes_are_taken(it)
    it.campaign.verify()


DOOMED = [f"doomed:{i}" for i in range(400)]


def is_refused_growth(it):
    with it.server.connect() as connection:
        for request in (("set", "grown", "x"), ("incr", "grown"), ("append", "grown", "x")):
            reply = connection(*request)
            is_refused = isinstance(reply, Error) and reply.startswith("MISCONF ")
            check(is_refused, f"{request} is answered {reply!r}")
        connection("multi")
        connection("set", "grown", "x")
        check(isinstance(connection("exec"), Error), "EXEC that writes")
        check(connection("exists", "grown") == 0, "what was refused is there")


def deletes_go_on_without_a_byte(it, keys):
    """From the reserve. Who finds that it is needed is refused, and so is who comes before."""
    with it.server.connect() as connection:
        for key in keys:
            wait_until(lambda: not isinstance(connection("del", key), Error), 60, "DEL is taken")
        check(connection("exists", *keys) == 0, "deleted keys are there")
        wait_until(lambda: connection("save") == "OK", 60, "a checkpoint succeeds")
    is_refused_growth(it)


def deletes_go_on(it, keys):
    """One by one, so that each takes a page of the log, and in transactions; and what is due."""
    with it.server.connect() as connection:
        # What was under way when the last byte went may hold them up for a moment.
        wait_until(lambda: connection("del", "none") == 0, 60, "deletes are taken")
        for key in keys[2:]:
            reply = connection("del", key)
            check(reply == 1, f"DEL is answered {reply!r} on the full disk")
        for request in (("multi",), ("del", keys[0]), ("unlink", keys[1])):
            connection(*request)
        check(connection("exec") == [1, 1], "EXEC that only deletes")
        check(connection("exists", *keys) == 0, "deleted keys are there")
        check(connection("pexpire", "kept", 1) == 1, "PEXPIRE")
        wait_until(lambda: connection("exists", "kept") == 0, 60, "keys fall due")
        check(connection("save") == "OK", "a checkpoint succeeds on the full disk")
    is_refused_growth(it)


@scene
def deletes_on_the_full_disk(it):
    """They are taken, and last, whatever happens, while nothing may grow; without a byte free."""
    it.start()
    with it.server.connect() as connection:
        connection.pipeline([("set", key, "x" * 100) for key in (*DOOMED, "kept")])
        reserve = it.disk.path / "generation-1" / "data" / "reserve"
        wait_until(reserve.exists, 60, "there is a reserve")
    it.fill()
    it.load.drain()
    deletes_go_on(it, DOOMED[:200])
    it.disk.leave(0)
    deletes_go_on_without_a_byte(it, DOOMED[200:])
    it.kill()
    it.server.start()
    says_what_is_wrong(it, True)
    is_refused_growth(it)
    with it.server.connect() as connection:
        check(connection("exists", *DOOMED) == 0, "deleted keys have come back")
    it.disk.give_room()
    writes_are_taken(it)
    says_what_is_wrong(it, False)
    wait_until(reserve.exists, 60, "there is a reserve again")
    it.campaign.verify()


@scene
def stopped_on_the_full_disk(it):
    """SIGTERM there ends the process; nothing is lost, whether its checkpoint succeeds or not."""
    it.start()
    it.fill()
    it.run_pressed()
    it.server.process.terminate()
    it.load.run(lambda: it.server.process.poll() is not None, lambda: True)
    status = it.server.process.wait(timeout=60)
    it.server.process = None
    check(status in (0, 1), f"the server ended with {describe(status)}")
    it.load.close()
    it.disk.give_room()
    it.server.start()
    it.campaign.verify()


if __name__ == "__main__":
    try:
        private_mounts()
    except Skip as skip:
        print(f"SKIPPED disk_full: {skip}", flush=True)
        raise SystemExit(cases.SKIPPED) from None
    cases.run(
        "disk_full",
        [
            refused_then_room_again,
            keys_fall_due_on_the_full_disk,
            killed_on_the_full_disk,
            deletes_on_the_full_disk,
            stopped_on_the_full_disk,
        ],
    )
