# SPDX-License-Identifier: Apache-2.0
"""Many clients at once over non-blocking sockets, in one thread."""

import collections
import selectors
import socket
import time

from process import STOP_SECONDS, Wrong, parse_info
from resp import Replies, encode

DEPTHS = [1, 1, 1, 2, 4, 8, 20, 60, 200]
BURST_BYTES = 1 << 20
READ_BYTES = 1 << 18
INFO_SECONDS = 0.2
STALL_SECONDS = 60


class Line:
    """One client's connection."""

    def __init__(self, client, rng, port):
        self.client = client
        self.rng = rng
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.out = collections.deque()
        self.queued = 0  # bytes ever put into `out`
        self.sent = 0  # bytes taken by the kernel
        self.replies = Replies()
        self.is_open = True
        self.is_filling = True
        self.window = rng.choice([0, 0, 20, 300])  # units in flight behind which more are sent
        self.wants_write = False

    def fill(self, others):
        client = self.client
        depth = self.rng.choice(DEPTHS)
        budget = BURST_BYTES
        while depth > 0 and budget > 0:
            for unit in client.script.units(1):
                data = b"".join(map(encode, unit.requests()))
                client.about_to_send(unit, others)
                self.out.append(data)
                self.queued += len(data)
                unit.end = self.queued
                client.pending.append(unit)
                depth -= 1
                budget -= len(data)

    def write(self):
        while self.out:
            pieces = [self.out[i] for i in range(min(len(self.out), 64))]
            try:
                count = self.socket.sendmsg(pieces)
            except BlockingIOError:
                return
            self.sent += count
            while count > 0:
                if count >= len(self.out[0]):
                    count -= len(self.out.popleft())
                else:
                    self.out[0] = memoryview(self.out[0])[count:]
                    count = 0

    def read(self, others):
        """False when nothing was there."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError
        self.replies.feed(data)
        client = self.client
        for reply in self.replies:
            unit = client.pending[0]
            unit.replies.append(reply)
            if len(unit.replies) == len(unit.requests()):
                client.pending.popleft()
                client.answered(unit, others)
        return True

    def close(self):
        self.is_open = self.is_filling = False
        self.socket.close()


class Watcher:
    """A connection that asks for INFO now and then."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setblocking(False)
        self.replies = Replies()
        self.is_waiting = False
        self.next = 0
        self.info = {}
        self.is_open = True

    def ask(self):
        if self.is_open and not self.is_waiting and time.monotonic() >= self.next:
            self.is_waiting = True
            self.next = time.monotonic() + INFO_SECONDS
            try:
                self.socket.send(encode(("info",)))
            except ConnectionError:
                self.close()

    def read(self):
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            return
        self.replies.feed(data)
        for text in self.replies:
            self.info = parse_info(text)
            self.is_waiting = False

    def close(self):
        self.is_open = False
        self.socket.close()


class Load:
    """All clients against one process, until it is gone or enough is done."""

    def __init__(self, server, clients, rng):
        self.server = server
        self.clients = clients
        self.selector = selectors.DefaultSelector()
        self.lines = [Line(client, rng, server.port) for client in clients]
        self.watcher = Watcher(server.port)
        for line in self.lines:
            self.selector.register(line.socket, selectors.EVENT_READ, line)
        self.selector.register(self.watcher.socket, selectors.EVENT_READ, self.watcher)
        self.is_filling = True

    @property
    def info(self):
        return self.watcher.info

    def run(self, is_over, is_expected=lambda: False):
        """Until `is_over`, or all connections have been closed, which must be expected then."""
        last, moved = None, time.monotonic()
        while not is_over():
            self.turn()
            if not any(line.is_open for line in self.lines):
                self.wait_expected(is_expected)
                return
            done = sum(client.acked + client.refused for client in self.clients)
            if done != last:
                last, moved = done, time.monotonic()
            elif time.monotonic() - moved > STALL_SECONDS:
                raise Wrong(
                    f"no reply for {STALL_SECONDS} s\n{self.server.stacks()}\n"
                    f"INFO: {self.info}\n{self.server.log_tail()}"
                )

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        self.run(lambda: time.monotonic() > end)

    def wait_expected(self, is_expected):
        deadline = time.monotonic() + STOP_SECONDS
        while not is_expected():
            self.server.check_alive()
            if time.monotonic() > deadline:
                raise Wrong(f"all connections were closed\n{self.server.log_tail()}")
            time.sleep(0.01)

    def drain(self):
        """Sends no more and waits for all replies."""
        self.is_filling = False
        self.run(lambda: not any(client.pending for client in self.clients))
        self.is_filling = True

    def turn(self):
        self.watcher.ask()
        if self.is_filling:
            for line in self.lines:
                if line.is_filling and not line.out and len(line.client.pending) <= line.window:
                    line.fill(self.clients)
                    self.push(line)
        for key, events in self.selector.select(0.02):
            line = key.data
            if line is self.watcher:
                line.read()
                if not line.is_open:
                    self.selector.unregister(key.fileobj)
                continue
            if events & selectors.EVENT_WRITE:
                self.push(line)
            if events & selectors.EVENT_READ and line.is_open:
                self.pull(line)

    def push(self, line):
        try:
            line.write()
        except ConnectionError:
            line.is_filling = False  # what it had said before is still to be read
            line.out.clear()
        if line.is_open and line.wants_write != bool(line.out):
            line.wants_write = bool(line.out)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.out else 0)
            self.selector.modify(line.socket, events, line)

    def pull(self, line):
        try:
            line.read(self.clients)
        except ConnectionError:
            self.end(line)

    def end(self, line):
        if line.is_open:
            self.selector.unregister(line.socket)
            line.close()

    def close(self):
        """Reads what is left to be read, for all of it counts."""
        for line in self.lines:
            try:
                while line.is_open and line.read(self.clients):
                    pass
            except ConnectionError:
                pass
            self.end(line)
        if self.watcher.is_open:
            self.watcher.close()
        self.selector.close()
