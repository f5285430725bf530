# SPDX-License-Identifier: Apache-2.0
"""RESP2, as much of it as the load needs: requests out, whole replies in, nothing copied twice."""


class Error(str):
    """An error reply. Never equal to a plain string."""

    __slots__ = ()

    def __eq__(self, other):
        return type(other) is Error and str.__eq__(self, other)

    __hash__ = str.__hash__

    def __repr__(self):
        return "-" + str(self)


class Status(str):
    __slots__ = ()

    def __repr__(self):
        return "+" + str(self)


OK = Status("OK")
QUEUED = Status("QUEUED")


def encode(args):
    """One request as bytes; arguments are bytes, str or int."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        if type(arg) is not bytes:
            arg = str(arg).encode()
        out.append(b"$%d\r\n" % len(arg))
        out.append(arg)
        out.append(b"\r\n")
    return b"".join(out)


class _Incomplete(Exception):
    def __init__(self, need):
        self.need = need


class Replies:
    """Takes bytes as they come and gives whole replies."""

    def __init__(self):
        self.data = bytearray()
        self.at = 0
        self.need = 1  # bytes behind `at` below which parsing again is useless

    def feed(self, data):
        self.data += data

    def __iter__(self):
        while len(self.data) - self.at >= self.need:
            try:
                value, end = self._value(self.at)
            except _Incomplete as more:
                self.need = max(more.need - self.at, self.need + 1)
                break
            self.at = end
            self.need = 1
            yield value
        if self.at > 1 << 16 or self.at == len(self.data):
            del self.data[: self.at]
            self.at = 0

    def _value(self, at):
        data = self.data
        end = data.find(b"\r\n", at)
        if end < 0:
            raise _Incomplete(len(data) + 1)
        kind = data[at]
        text = data[at + 1 : end]
        end += 2
        if kind == 0x2B:
            return (OK if text == b"OK" else Status(text.decode())), end
        if kind == 0x3A:
            return int(text), end
        if kind == 0x24:
            size = int(text)
            if size < 0:
                return None, end
            if len(data) < end + size + 2:
                raise _Incomplete(end + size + 2)
            return bytes(memoryview(data)[end : end + size]), end + size + 2
        if kind == 0x2A:
            values = []
            if int(text) < 0:
                return None, end
            for _ in range(int(text)):
                value, end = self._value(end)
                values.append(value)
            return values, end
        if kind == 0x2D:
            return Error(text.decode(errors="replace")), end
        raise ValueError(f"not a reply: {bytes(data[at:at + 80])!r}")
