# SPDX-License-Identifier: Apache-2.0
"""The server as a process: started, watched, killed. And simple blocking connections to it.

FERRIC_SERVER    the binary; default build/dev/ferric-server of this tree
FERRIC_PRELOADS  where libclockshift.so and libcrashpoint.so are; default test/ beside the binary
"""

import ctypes
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Error, Replies, encode

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 60
REPLY_SECONDS = 60
PR_SET_PDEATHSIG = 1
LOG_TAIL = 6000


class Wrong(Exception):
    """The server broke a promise."""


class Killed(Wrong):
    """... or was killed, which somebody may have wanted."""


def binary():
    return os.environ.get("FERRIC_SERVER") or str(ROOT / "build/dev/ferric-server")


def preload(name, file):
    """What has to be in a server's environment so that the library is there and reads `file`."""
    directory = os.environ.get("FERRIC_PRELOADS") or pathlib.Path(binary()).parent / "test"
    library = pathlib.Path(directory).resolve() / f"lib{name}.so"
    if not library.exists():
        raise RuntimeError(f"there is no {library}: build the target {name}")
    return {
        "LD_PRELOAD": str(library),
        name.upper(): str(file),
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
    }


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Connection:
    """Blocking: send requests, read replies."""

    def __init__(self, port, timeout=REPLY_SECONDS):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = Replies()
        self.ready = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def __call__(self, *args):
        self.socket.sendall(encode(args))
        return self.read()

    def read(self):
        while not self.ready:
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionResetError("closed by the server")
            self.replies.feed(data)
            self.ready = list(self.replies)
        return self.ready.pop(0)

    def pipeline(self, requests, chunk=200):
        """Replies to many requests, some of them under way at a time."""
        replies = []
        for i in range(0, len(requests), chunk):
            part = requests[i : i + chunk]
            self.socket.sendall(b"".join(map(encode, part)))
            got = []
            while len(got) < len(part):
                got.append(self.read())
                got += self.ready
                self.ready = []
            replies += got
        return replies

    def info(self):
        return parse_info(self("info"))

    def server_ms(self):
        """The group's clock, from a write's stamp."""
        span = 10**9
        reply = self("set", "probe", "x", "px", span)
        if reply != "OK":
            raise Wrong(f"SET probe: {reply!r}")
        return self("pexpiretime", "probe") - span


def parse_info(text):
    lines = (line.split(b":", 1) for line in text.split(b"\r\n") if b":" in line)
    return {name.decode(): value.decode() for name, value in lines}


def free_port():
    """Below the range from which the kernel takes ports for outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as probe:
            # As the server does; else a port would not be free while old connections fade.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Server:
    """One data directory and, at times, a process that serves it."""

    def __init__(self, directory, options=(), env=None):
        self.directory = pathlib.Path(directory)
        self.log_path = self.directory.with_name(self.directory.name + ".log")
        self.options = list(options)
        self.env = env or {}
        self.process = None
        self.port = None

    # ---- Life

    def spawn(self, options=(), env=None):
        """Starts the process without waiting for it."""
        assert self.process is None
        self.port = free_port()
        command = [binary(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.directory), *self.options, *options]
        with open(self.log_path, "a") as log:
            log.write(f"---- {' '.join(command[1:])}\n")
            log.flush()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self.env | (env or {}),
                preexec_fn=_die_with_parent,
            )

    def wait_ready(self):
        """Waits until it executes commands; gives the seconds since the call."""
        began = time.monotonic()
        while time.monotonic() < began + START_SECONDS:
            self.check_alive()
            try:
                with Connection(self.port) as connection:
                    reply = connection("exists", "no-key")
                    is_served = not isinstance(reply, Error)
                    # Another's server may listen there while this one has not come so far.
                    if is_served and connection.info()["process_id"] == str(self.process.pid):
                        return time.monotonic() - began
                if not is_served and not reply.startswith("LOADING"):
                    raise Wrong(f"after the start EXISTS gives {reply!r}\n{self.log_tail()}")
            except (ConnectionError, socket.timeout):
                pass
            time.sleep(0.002)
        raise Wrong(f"not ready in {START_SECONDS} s\n{self.stacks()}\n{self.log_tail()}")

    def wait_ready_or_killed(self):
        """True when it executes commands, False when it has been killed."""
        try:
            self.wait_ready()
        except Killed:
            return False
        return True

    def start(self, options=(), env=None):
        for _ in range(5):
            self.spawn(options, env)
            try:
                return self.wait_ready()
            except Wrong:
                if self.process is not None or "in use" not in self.log_tail(400).lower():
                    raise
        raise RuntimeError("no port to be had")

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            self.process = None
            if status == -signal.SIGKILL:
                raise Killed(f"the server was killed\n{self.log_tail()}")
            raise Wrong(f"the server ended by itself ({describe(status)})\n{self.log_tail()}")

    def status(self):
        status = self.process.poll() if self.process else None
        return "runs" if status is None else f"has ended: {describe(status)}"

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wait_killed(self):
        """Ends it, whatever it does; it must not have ended otherwise."""
        self.process.kill()
        status = self.process.wait()
        self.process = None
        if status != -signal.SIGKILL:
            raise Wrong(f"the server ended by itself ({describe(status)})\n{self.log_tail()}")

    def wait_end(self):
        """Waits for an end that was asked for; it must be a clean one."""
        try:
            status = self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Wrong(
                f"asked to stop, still there after {STOP_SECONDS} s\n"
                f"{self.stacks()}\n{self.log_tail()}"
            ) from None
        self.process = None
        if status != 0:
            raise Wrong(f"the server ended with {describe(status)}\n{self.log_tail()}")

    def terminate(self):
        self.process.terminate()
        self.wait_end()

    def connect(self, **kwargs):
        return Connection(self.port, **kwargs)

    # ---- Looking

    def log_tail(self, size=LOG_TAIL):
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_text(errors="replace")
        return f"---- the end of {self.log_path}:\n{text[-size:]}"

    def stacks(self):
        """Where every thread stands, if a debugger is at hand."""
        if self.process is None or not shutil.which("gdb"):
            return ""
        command = ["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return run.stdout[-LOG_TAIL:]

    def disk_bytes(self):
        return sum(
            path.stat().st_size
            for path in self.directory.rglob("*")
            if path.is_file()
        )


def describe(status):
    if status < 0:
        return signal.Signals(-status).name
    return f"exit status {status}"


class Workplace:
    """A directory for a test's data, kept if the test fails."""

    def __init__(self, name):
        parent = os.environ.get("CRASH_DIR")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"ferric-{name}-", dir=parent))

    def __enter__(self):
        return self.path

    def __exit__(self, kind, value, trace):
        if kind is None or issubclass(kind, KeyboardInterrupt):
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"the data is kept in {self.path}", flush=True)
        return False
