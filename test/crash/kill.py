# SPDX-License-Identifier: Apache-2.0
"""When a server is killed: after a time, right behind something it did in its directory, or in the
nth of its calls that change files (crashpoint.c).

A thread of its own waits for the moment, so that the load's business does not delay it. Another
takes the data files out of the page cache, so that cold values are read from the disk.
"""

import ctypes
import math
import os
import re
import select
import signal
import struct
import threading
import time

from process import preload

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x80, 0x100, 0x200
IN_NONBLOCK = os.O_NONBLOCK
EVENT = struct.Struct("iIII")

# Something happens to a file so called ...
PATTERNS = [
    r"^manifest",  # a checkpoint's last step
    r"\.seg",  # a log segment is prepared, recycled, removed
    r"^\d+\.log$",  # a data file is begun
    r".",  # anything
]
# ... or bytes are written to one.
WRITES = r"^(manifest.*|\d+\.log)$"
# How the nth call ends, numbered as in crashpoint.c.
ENDINGS = ["before", "middle", "behind"]
CRASHPOINT = struct.Struct("=qq")


class Watch:
    """inotify over a data directory, as far as it exists by now."""

    def __init__(self, directory, mask):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(IN_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        for path in [directory, *(path for path in directory.rglob("*") if path.is_dir())]:
            self.libc.inotify_add_watch(self.fd, os.fsencode(path), mask)

    def names(self, timeout):
        """Names of what has been touched, after waiting for it."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return []
        data = os.read(self.fd, 1 << 16)
        names, at = [], 0
        while at < len(data):
            size = EVENT.unpack_from(data, at)[3]
            at += EVENT.size
            names.append(data[at : at + size].rstrip(b"\0").decode(errors="replace"))
            at += size
        return names

    def close(self):
        os.close(self.fd)


class Moment:
    """Drawn from a seed: `seconds` at the latest, and maybe the nth event of a kind before, or the
    nth call, of which there are about `calls`."""

    def __init__(self, rng, longest, calls, kind=None):
        self.seconds = longest * rng.random() ** 1.5
        self.pattern = None
        self.nth = 0
        self.ending = rng.choice(ENDINGS)
        kind = kind or rng.choices(["time", "event", "call"], [4, 3, 3])[0]
        self.is_call = kind == "call"
        if kind != "time":
            self.seconds = longest
        if self.is_call:
            self.nth = int(math.exp(rng.random() * math.log(calls)))
        if kind == "event":
            is_write = rng.random() < 0.3
            self.pattern = WRITES if is_write else rng.choice(PATTERNS)
            self.mask = IN_MODIFY if is_write else IN_MOVED_TO | IN_CREATE | IN_DELETE
            self.nth = 1 + int(rng.expovariate(1 / 30.0 if is_write else 1 / 6.0))
            self.behind = rng.choice([0, 0, rng.random() * 0.003])

    def __repr__(self):
        text = f"{self.seconds * 1000:.0f} ms"
        if self.pattern:
            late = f"{self.behind * 1000:.1f} ms"
            text = f"{self.pattern!r} the {self.nth}th time + {late}, or {text}"
        if self.is_call:
            text = f"{self.ending} call {self.nth}, or {text}"
        return text


class Crashpoint:
    """The file that the preloaded library reads."""

    def __init__(self, path):
        self.path = path
        self.disarm()

    def env(self):
        return preload("crashpoint", self.path)

    def arm(self, nth, ending):
        """In place, for it may be mapped: the nth call from now on is the last."""
        with open(self.path, "r+b" if self.path.exists() else "wb") as file:
            file.write(CRASHPOINT.pack(nth, ENDINGS.index(ending)))

    def disarm(self):
        self.arm(-1, "before")


class Killer(threading.Thread):
    """Kills the process at the moment, or sees it die in the call."""

    def __init__(self, process, directory, moment):
        super().__init__(daemon=True)
        self.process = process
        self.moment = moment
        self.fired = False
        self.by_event = False
        self.by_call = False
        self.is_over = False
        self.watch = Watch(directory, moment.mask) if moment.pattern else None
        self.start()

    def run(self):
        deadline = time.monotonic() + self.moment.seconds
        left = self.moment.nth if self.watch else 0
        while not self.is_over and time.monotonic() < deadline:
            if self.moment.is_call:
                if self.process.poll() == -signal.SIGKILL:
                    self.by_call = self.fired = True
                    return
                time.sleep(0.001)
                continue
            if self.watch is None:
                time.sleep(min(0.05, max(0, deadline - time.monotonic())))
                continue
            names = self.watch.names(min(0.05, max(0, deadline - time.monotonic())))
            left -= sum(re.search(self.moment.pattern, name) is not None for name in names)
            if left <= 0:
                self.by_event = True
                time.sleep(self.moment.behind)
                break
        if not self.is_over:
            # First: whoever sees the process gone must know that it was killed.
            self.fired = True
            self.process.kill()

    def finish(self):
        self.is_over = True
        self.join()
        if self.watch:
            self.watch.close()


class Forgetter(threading.Thread):
    """Drops the data files' clean pages again and again."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.directory = directory
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            for path in self.directory.glob("data/*/*.log"):
                try:
                    fd = os.open(path, os.O_RDONLY)
                except FileNotFoundError:
                    continue
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)

    def finish(self):
        self.over.set()
        self.join()
