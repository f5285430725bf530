# SPDX-License-Identifier: Apache-2.0
"""A RESP client over a plain socket: it sends any bytes and reads whole replies of both protocols.

Replies keep their type on the wire, so that tests can be exact:

    +text   Status        $n      bytes          $-1, _   None
    -text   Error         :n      int            *-1      NIL_ARRAY
    *n      list          %n      Map            ~n       Set
    ,x      Double        #t      bool           =n       Verbatim
    (n      BigNumber     >n      Push           |n       dropped; the value behind it is returned
"""

import os
import socket
import time

TIMEOUT = float(os.environ.get("E2E_TIMEOUT", "60"))


class Closed(Exception):
    """The server closed the connection where a reply was expected."""


class ProtocolError(Exception):
    """The server sent what is not RESP."""


class Status(str):
    def __repr__(self):
        return "+" + str(self)

    def __eq__(self, other):
        return type(other) in (Status, str) and str(self) == str(other)

    __hash__ = str.__hash__


class Error(str):
    def __repr__(self):
        return "-" + str(self)

    def __eq__(self, other):
        return type(other) is Error and str(self) == str(other)

    __hash__ = str.__hash__


class NilArray:
    def __repr__(self):
        return "nil-array"


NIL_ARRAY = NilArray()


class Map(list):
    """A list of (key, value) pairs, in the order of the wire."""

    def as_dict(self):
        return dict(self)


class Set(list):
    pass


class Push(list):
    pass


class Double(str):
    """As printed by the server."""


class BigNumber(str):
    pass


class Verbatim(bytes):
    ext = b"txt"


def encode(*args):
    """The multibulk request for the arguments; str is taken as UTF-8, numbers as their text."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        if not isinstance(arg, (bytes, bytearray)):
            arg = str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


class Client:
    """One connection. Calling it sends a command and returns its reply."""

    def __init__(self, port, host="127.0.0.1", protocol=2, timeout=TIMEOUT, path=None):
        self.timeout = timeout
        self.protocol = 2
        self.pushes = []
        self.unread = b""
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(path))
        else:
            self.socket = socket.create_connection((host, port), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if protocol == 3:
            self.hello = self("HELLO", 3)
            self.protocol = 3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- Sending

    def send(self, data):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)

    def send_command(self, *args):
        self.send(encode(*args))

    def send_in_pieces(self, data, size):
        """Each piece is a packet of its own as far as the machine lets it be."""
        for at in range(0, len(data), size):
            self.send(data[at : at + size])

    # ---- Reading

    def __call__(self, *args):
        self.send_command(*args)
        return self.read_reply()

    def pipeline(self, *commands):
        """Sends all commands, tuples or strings of words, in one piece; returns all replies."""
        split = [c.split() if isinstance(c, str) else c for c in commands]
        self.send(b"".join(encode(*c) for c in split))
        return [self.read_reply() for _ in split]

    def read_reply(self):
        """The next value that is not a push; pushes are kept in self.pushes."""
        while True:
            value = self.read()
            if not isinstance(value, Push):
                return value
            self.pushes.append(value)

    def read(self):
        """The next whole value of any type."""
        deadline = time.monotonic() + self.timeout
        return self._value(deadline)

    def read_bytes(self, size):
        deadline = time.monotonic() + self.timeout
        while len(self.unread) < size:
            self._receive(deadline)
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    def read_until_closed(self):
        """All bytes up to the end of the connection."""
        deadline = time.monotonic() + self.timeout
        try:
            while True:
                self._receive(deadline)
        except Closed:
            data, self.unread = self.unread, b""
            return data

    def is_closed(self):
        """Waits for the server to close; raises AssertionError when bytes come instead."""
        data = self.read_until_closed()
        assert data == b"", f"bytes instead of the end: {data[:200]!r}"
        return True

    def is_silent(self):
        """True if nothing is unread. Sound only behind a reply that must follow what is meant."""
        if self.unread:
            return False
        self.socket.settimeout(0)
        try:
            self.unread += self.socket.recv(65536)
        except (BlockingIOError, TimeoutError):
            pass
        return not self.unread

    def _receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole reply in {self.timeout} s; have {self.unread[:200]!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            raise TimeoutError(
                f"no whole reply in {self.timeout} s; have {self.unread[:200]!r}"
            ) from None
        except ConnectionResetError:
            raise Closed() from None
        if not data:
            raise Closed()
        self.unread += data

    def _line(self, deadline):
        while (end := self.unread.find(b"\r\n")) < 0:
            self._receive(deadline)
        line, self.unread = self.unread[:end], self.unread[end + 2 :]
        return line

    def _bulk(self, size, deadline):
        while len(self.unread) < size + 2:
            self._receive(deadline)
        data, end = self.unread[:size], self.unread[size : size + 2]
        self.unread = self.unread[size + 2 :]
        if end != b"\r\n":
            raise ProtocolError(f"bulk string without its end: {data[:100]!r} {end!r}")
        return data

    def _many(self, count, deadline):
        return [self._value(deadline) for _ in range(count)]

    def _pairs(self, count, deadline):
        return [(self._value(deadline), self._value(deadline)) for _ in range(count)]

    def _value(self, deadline):
        line = self._line(deadline)
        kind, text = line[:1], line[1:]
        if kind == b"+":
            return Status(text.decode("utf-8", "surrogateescape"))
        if kind == b"-":
            return Error(text.decode("utf-8", "surrogateescape"))
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == b"-1" else self._bulk(int(text), deadline)
        if kind == b"*":
            return NIL_ARRAY if text == b"-1" else self._many(int(text), deadline)
        if kind == b"_" and text == b"":
            return None
        if kind == b"#" and text in (b"t", b"f"):
            return text == b"t"
        if kind == b",":
            return Double(text.decode())
        if kind == b"(":
            return BigNumber(text.decode())
        if kind == b"~":
            return Set(self._many(int(text), deadline))
        if kind == b">":
            return Push(self._many(int(text), deadline))
        if kind == b"%":
            return Map(self._pairs(int(text), deadline))
        if kind == b"|":
            self._pairs(int(text), deadline)
            return self._value(deadline)
        if kind == b"=":
            data = self._bulk(int(text), deadline)
            value = Verbatim(data[4:])
            value.ext = data[:3]
            return value
        raise ProtocolError(f"not a reply: {line[:200]!r}")


def wait_until(condition, timeout=TIMEOUT, pause=0.005):
    """Calls `condition` until it returns something true, which is returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {timeout} s: {condition}")
        time.sleep(pause)
