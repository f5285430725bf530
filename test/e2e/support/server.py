# SPDX-License-Identifier: Apache-2.0
"""Server processes under test: Ferric, or a real Redis or Valkey to check the tests themselves.

FERRIC_SERVER     the binary; default build/dev/ferric-server of this tree
FERRIC_SANITIZED  set: a sanitizer is in it, and its memory says nothing about a limit
FERRIC_ARGS       directives for each Ferric that is started, "--io-threads 2 --shards 3"
PEER_SERVER       a redis-server or valkey-server to run instead
"""

import ctypes
import os
import pathlib
import random
import resource
import signal
import socket
import subprocess
import time

from .client import Client, Closed, Error

ROOT = pathlib.Path(__file__).resolve().parents[3]
START_SECONDS = float(os.environ.get("E2E_START_SECONDS", "60"))
STOP_SECONDS = 60
PR_SET_PDEATHSIG = 1

# So that a restart finds what was acknowledged, as with Ferric.
PEER_OPTIONS = {
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",
}


def binary():
    peer = os.environ.get("PEER_SERVER")
    return peer or os.environ.get("FERRIC_SERVER") or str(ROOT / "build/dev/ferric-server")


def kind(path=None):
    """"ferric", "redis" or "valkey"; of the server under test unless told another's binary."""
    name = os.path.basename(path or binary())
    return next((peer for peer in ("valkey", "redis") if peer in name), "ferric")


def common_options():
    """Those of FERRIC_ARGS."""
    words = os.environ.get("FERRIC_ARGS", "").split() if kind() == "ferric" else []
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2])}


def free_port():
    """Below the range from which the kernel takes ports for outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """One data directory and the process that serves it, which may be stopped and started again.

    `file` is the text of a configuration file, `open_files` the limit of descriptors it is given,
    `peer` the binary of a Redis or Valkey to run whatever the others run, `environment` what is
    added to that of the tests.
    """

    def __init__(
        self, directory, file=None, open_files=None, peer=None, environment=None, **options
    ):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = None
        if file is not None:
            self.file = self.directory / "server.conf"
            self.file.write_text(file)
        self.open_files = open_files
        self.environment = environment or {}
        self.options = {name.replace("_", "-"): value for name, value in options.items()}
        self.binary = peer or binary()
        self.kind = kind(self.binary)
        self.port = None
        self.process = None
        self.clients = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    # ---- Life

    def start(self, **options):
        """Starts the process and waits until it answers PING. `options` are for this run only."""
        assert self.process is None, "it runs already"
        for attempt in range(5):
            self.port = free_port()
            self._spawn(options)
            if self._wait_until_ready():
                return self
            # Somebody else may have taken the port meanwhile.
            if "in use" not in self.log().lower() or attempt == 4:
                raise RuntimeError(f"the server did not start:\n{self.log()[-4000:]}")
        raise RuntimeError("no port to be had")

    def begin(self, **options):
        """Starts the process and does not wait for it."""
        assert self.process is None, "it runs already"
        self.port = free_port()
        self._spawn(options)

    def refuses_to_start(self, **options):
        """Starts a process that must end by itself, with status 1; returns what it said."""
        assert self.process is None, "it runs already"
        before = len(self.log())
        self.port = free_port()
        self._spawn(options)
        status = self.process.wait(timeout=STOP_SECONDS)
        self.process = None
        said = self.log()[before:]
        assert status == 1, f"status {status}:\n{said}"
        return said

    def stop(self):
        """Asks it to end (SIGTERM) and returns its exit status."""
        self.close_clients()
        self.process.terminate()
        status = self.process.wait(timeout=STOP_SECONDS)
        self.process = None
        return status

    def kill(self):
        """kill -9, as a crash of the process."""
        self.close_clients()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self, **options):
        self.stop()
        return self.start(**options)

    def crash_and_restart(self, **options):
        self.kill()
        return self.start(**options)

    # ---- Use

    def connect(self, protocol=2, **kwargs):
        """A new connection; closed with the server at the latest."""
        client = Client(self.port, protocol=protocol, **kwargs)
        self.clients.append(client)
        return client

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients = []

    def log(self):
        path = self.directory / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def memory(self, field="VmRSS"):
        """Bytes, from /proc/<pid>/status."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith(field + ":"))
        return int(line.split()[1]) * 1024

    def growth(self, before):
        """Bytes of memory more than `before`. 0 under a sanitizer, which keeps what was freed."""
        return 0 if os.environ.get("FERRIC_SANITIZED") else self.memory() - before

    def info(self):
        """All fields of INFO."""
        with Client(self.port) as client:
            lines = client("INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def reset(self):
        """Back to an empty server, with all connections of tests closed."""
        self.close_clients()
        with Client(self.port) as client:
            reply = client("FLUSHALL")
            assert reply == "OK", reply

    # ---- Inside

    def _spawn(self, options):
        used = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory}
        used["enable-debug-command"] = "yes"
        if self.kind != "ferric":
            used |= PEER_OPTIONS
        else:
            used["disk-reserve"] = "1mb"  # by default it takes more than all else here
            used |= common_options()
        used |= self.options
        used |= {name.replace("_", "-"): value for name, value in options.items()}
        command = [self.binary] + ([str(self.file)] if self.file else [])
        for name, value in used.items():
            command += [f"--{name}", str(value)]
        with open(self.directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=os.environ | self.environment,
                preexec_fn=self._prepare,
            )

    def _prepare(self):
        die_with_parent()
        if self.open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, self.open_files))

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.process = None
                return False
            if self._answers_ping():
                return True
            time.sleep(0.005)
        self.kill()
        raise TimeoutError(f"no PONG in {START_SECONDS} s:\n{self.log()[-4000:]}")

    def _answers_ping(self):
        try:
            with Client(self.port, timeout=START_SECONDS) as client:
                if "requirepass" in self.options:
                    client("AUTH", self.options["requirepass"])
                reply = client("PING")
                if isinstance(reply, Error) and "NOAUTH" in reply:  # it stands in its file
                    return self.kind != "ferric" or f"ready on port {self.port}:" in self.log()
                return reply == "PONG"
        except (ConnectionError, Closed, TimeoutError):
            return False
