# SPDX-License-Identifier: Apache-2.0
"""Transcripts: conversations with the server, written down and replayed. README.md has the format.

Three parts: reading the file (parse), comparing replies with what is expected (the _Expected
classes), and handing the cases to pytest (TranscriptFile). render() writes a reply in the notation
of the files; it is used for messages and by record.py.
"""

import dataclasses
import fnmatch
import re
import types

import pytest

from . import client as resp
from .client import wait_until


class TranscriptError(Exception):
    """The file itself is wrong."""


# ---- Words of a request

ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}
HEX = re.compile(r"x([0-9a-fA-F]{2})")


def read_quoted(text, at):
    """The bytes of the "..." that opens at `at`, and the offset behind it."""
    out = bytearray()
    at += 1
    while at < len(text):
        c = text[at]
        if c == '"':
            return bytes(out), at + 1
        if c == "\\":
            if found := HEX.match(text, at + 1):
                out += bytes([int(found[1], 16)])
                at += 4
                continue
            out += ESCAPES.get(text[at + 1], text[at + 1].encode())
            at += 2
            continue
        out += c.encode()
        at += 1
    raise TranscriptError(f"quote is not closed: {text}")


def split_words(text):
    """Words separated by blanks; one that begins with a double quote may hold anything."""
    words = []
    at = 0
    while at < len(text):
        if text[at] == " ":
            at += 1
        elif text[at] == '"':
            word, at = read_quoted(text, at)
            words.append(word)
        else:
            end = text.find(" ", at)
            end = len(text) if end < 0 else end
            words.append(text[at:end].encode())
            at = end
    return words


def quote(data):
    out = []
    for byte in data:
        c = chr(byte)
        if c in '"\\':
            out.append("\\" + c)
        elif c in "\n\r\t":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[c])
        elif 32 <= byte < 127:
            out.append(c)
        else:
            out.append(f"\\x{byte:02x}")
    return '"' + "".join(out) + '"'


def render(value, is_top=True):
    """A reply in the notation of transcripts."""
    if value is None:
        return "nil"
    if isinstance(value, resp.NilArray):
        return "nil-array"
    if isinstance(value, bool):
        return "#t" if value else "#f"
    if isinstance(value, int):
        return f":{value}"
    if isinstance(value, (resp.Status, resp.Error)):
        mark = "+" if isinstance(value, resp.Status) else "-"
        text = value.encode("utf-8", "surrogateescape")
        is_plain = is_top and text.isascii() and not text.endswith(b" ")
        return mark + (value if is_plain else quote(text))
    if isinstance(value, resp.Verbatim):
        return f"={value.ext.decode()}:{quote(value)}"
    if isinstance(value, bytes):
        return quote(value)
    if isinstance(value, resp.Double):
        return "," + value
    if isinstance(value, resp.BigNumber):
        return "(" + value
    if isinstance(value, resp.Map):
        return "{" + " ".join(render(x, False) for pair in value for x in pair) + "}"
    mark = {resp.Set: "~", resp.Push: ">"}.get(type(value), "")
    return mark + "[" + " ".join(render(x, False) for x in value) + "]"


# ---- Expected replies


class Expected:
    """matches(value, protocol): is this what was expected, in the form of that protocol?"""


@dataclasses.dataclass
class Exactly(Expected):
    value: object

    def matches(self, value, protocol):
        wanted = self.value
        if protocol == 2:
            if isinstance(wanted, bool):
                wanted = int(wanted)
            elif isinstance(wanted, (resp.Double, resp.BigNumber)):
                wanted = wanted.encode()
            elif isinstance(wanted, resp.Verbatim):
                wanted = bytes(wanted)
        elif isinstance(wanted, resp.NilArray):
            wanted = None
        if isinstance(wanted, resp.Verbatim) and getattr(value, "ext", None) != wanted.ext:
            return False
        return type(value) is type(wanted) and value == wanted


@dataclasses.dataclass
class Between(Expected):
    low: int
    high: int

    def matches(self, value, protocol):
        return type(value) is int and self.low <= value <= self.high


@dataclasses.dataclass
class Like(Expected):
    """A bulk string, status, error or verbatim text that a pattern of fnmatch describes."""

    kind: type
    pattern: str

    def matches(self, value, protocol):
        if self.kind is resp.Verbatim and protocol == 2:
            return type(value) is bytes and self._fits(value)
        return isinstance(value, self.kind) and self._fits(value)

    def _fits(self, value):
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        return fnmatch.fnmatchcase(text, self.pattern)


@dataclasses.dataclass
class OfType(Expected):
    kind: type

    def matches(self, value, protocol):
        return self.kind is object or type(value) is self.kind


@dataclasses.dataclass
class Items(Expected):
    """An aggregate. `is_open`: more may follow; `is_loose`: in any order."""

    kind: type
    items: list
    is_open: bool = False
    is_loose: bool = False

    def matches(self, value, protocol):
        if type(value) is not (list if protocol == 2 else self.kind):
            return False
        found = list(value)
        if self.kind is resp.Map and protocol == 3:
            found = [x for pair in value for x in pair]
        if len(found) < len(self.items) or (len(found) > len(self.items) and not self.is_open):
            return False
        if self.is_loose or self.kind is resp.Set:
            return self._match_loosely(found, protocol)
        if self.kind is resp.Map and self.is_open:
            return self._match_pairs(found, protocol)
        return all(x.matches(v, protocol) for x, v in zip(self.items, found))

    def _match_loosely(self, found, protocol):
        for wanted in self.items:
            for i, value in enumerate(found):
                if wanted.matches(value, protocol):
                    del found[i]
                    break
            else:
                return False
        return True

    def _match_pairs(self, found, protocol):
        """Each pair wanted is among those found, wherever it stands."""
        wanted = zip(self.items[::2], self.items[1::2])
        pairs = list(zip(found[::2], found[1::2]))
        return all(
            any(k.matches(x, protocol) and v.matches(y, protocol) for x, y in pairs)
            for k, v in wanted
        )


TOKEN = re.compile(
    r"""\s*(?:
    (?P<open>~\[|>\[|u\[|\[|\{) | (?P<close>[\]}]) | (?P<rest>\.\.\.) |
    (?P<int>:(-?\d+)(?:\.\.(-?\d+))?) | (?P<double>,[^\s\]}]+) | (?P<big>\(-?\d+) |
    (?P<bool>\#[tf]) | (?P<verbatim>=(\w{3}):) | (?P<glob>g(?=")) | (?P<quote>(?=")) |
    (?P<line>[+-]) | (?P<word>nil-array|nil|any|int|bulk|status|none|closed)
    )""",
    re.VERBOSE,
)

WORDS = {
    "nil": Exactly(None),
    "nil-array": Exactly(resp.NIL_ARRAY),
    "any": OfType(object),
    "int": OfType(int),
    "bulk": OfType(bytes),
    "status": OfType(resp.Status),
    "none": "none",
    "closed": "closed",
}
OPEN = {"[": list, "u[": list, "~[": resp.Set, ">[": resp.Push, "{": resp.Map}


class Reader:
    """Reads expected replies from text, one after the other."""

    def __init__(self, text):
        self.text = text
        self.at = 0

    def all(self):
        values = []
        while self.text[self.at :].strip():
            values.append(self._value(is_top=True))
        return values

    def _value(self, is_top=False):
        found = TOKEN.match(self.text, self.at)
        if not found:
            raise TranscriptError(f"not a reply: {self.text[self.at:].strip()[:80]}")
        kind = next(name for name, text in found.groupdict().items() if text is not None)
        self.at = found.end()
        return getattr(self, "_read_" + kind)(found, is_top)

    def _read_open(self, found, _):
        mark = found["open"]
        items = []
        is_open = False
        while True:
            end = re.compile(r"\s*([\]}])").match(self.text, self.at)
            if end:
                self.at = end.end()
                return Items(OPEN[mark], items, is_open, mark == "u[")
            item = self._value()
            if item is Ellipsis:
                is_open = True
            else:
                items.append(item)

    def _read_close(self, found, _):
        raise TranscriptError(f"{found['close']} closes nothing")

    def _read_rest(self, *_):
        return Ellipsis

    def _read_int(self, found, _):
        low, high = re.fullmatch(r":(-?\d+)(?:\.\.(-?\d+))?", found["int"]).groups()
        return Exactly(int(low)) if high is None else Between(int(low), int(high))

    def _read_double(self, found, _):
        return Exactly(resp.Double(found["double"][1:]))

    def _read_big(self, found, _):
        return Exactly(resp.BigNumber(found["big"][1:]))

    def _read_bool(self, found, _):
        return Exactly(found["bool"] == "#t")

    def _quoted(self):
        data, self.at = read_quoted(self.text, self.at)
        return data

    def _read_verbatim(self, found, _):
        if self.text.startswith("g", self.at):
            self.at += 1
            return Like(resp.Verbatim, self._quoted().decode("latin-1"))
        value = resp.Verbatim(self._quoted())
        value.ext = found["verbatim"][1:4].encode()
        return Exactly(value)

    def _read_glob(self, *_):
        return Like(bytes, self._quoted().decode("latin-1"))

    def _read_quote(self, *_):
        return Exactly(self._quoted())

    def _read_line(self, found, is_top):
        kind = resp.Status if found["line"] == "+" else resp.Error
        if self.text.startswith('"', self.at):
            text = self._quoted().decode("utf-8", "surrogateescape")
        else:
            stop = r"[^\n]*" if is_top else r"[^\s\]}]*"
            match = re.compile(stop).match(self.text, self.at)
            self.at = match.end()
            text = match[0].rstrip()
        if text.endswith("..."):
            return Like(kind, fnmatch_literal(text[:-3]) + "*")
        return Exactly(kind(text))

    def _read_word(self, found, _):
        return WORDS[found["word"]]


def fnmatch_literal(text):
    return re.sub(r"([*?[])", r"[\1]", text)


# ---- Files


@dataclasses.dataclass
class Step:
    line: int
    who: str
    request: str
    is_raw: bool
    is_repeated: bool
    expected: str = ""


@dataclasses.dataclass
class Case:
    title: str
    line: int
    steps: list
    protocols: list = dataclasses.field(default_factory=lambda: [2, 3])
    marks: list = dataclasses.field(default_factory=list)
    has_own_server: bool = False


REQUEST = re.compile(r"(?P<who>[A-Z]?)>(?P<how>[>?]?) (?P<what>.*)")


def parse(text):
    cases = []
    for_all = []  # directives in front of the first case
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip()
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("== "):
            cases.append(Case(line[3:], number, []))
            for directive in for_all:
                _direct(cases[-1], directive, number)
        elif line.startswith("@ ") and not cases:
            for_all.append(line[2:])
        elif not cases:
            raise TranscriptError(f"line {number}: a case must begin with '== title'")
        elif line.startswith("@ "):
            _direct(cases[-1], line[2:], number)
        elif found := REQUEST.fullmatch(line):
            how = found["how"]
            step = Step(number, found["who"] or "A", found["what"], how == ">", how == "?")
            cases[-1].steps.append(step)
        elif not cases[-1].steps:
            raise TranscriptError(f"line {number}: a reply without a request")
        else:
            cases[-1].steps[-1].expected += line + "\n"
    return cases


def _direct(case, text, number):
    """@ protocol 2 | @ own-server | @ ferric-only why | @ not-on redis why"""
    name, _, rest = text.partition(" ")
    if name == "protocol":
        case.protocols = [int(rest)]
    elif name == "own-server":
        case.has_own_server = True
    elif name == "ferric-only":
        case.marks.append(pytest.mark.ferric_only(rest))
    elif name == "not-on":
        kind, _, reason = rest.partition(" ")
        case.marks.append(pytest.mark.not_on(kind, reason))
    else:
        raise TranscriptError(f"line {number}: unknown directive {name}")


class Player:
    """Plays one case against a server."""

    def __init__(self, server, protocol):
        self.server = server
        self.protocol = protocol
        self.clients = {}

    def client(self, who):
        if who not in self.clients:
            self.clients[who] = self.server.connect(protocol=self.protocol)
        return self.clients[who]

    def play(self, path, case):
        for step in case.steps:
            problem = self._try_step(step)
            if problem:
                pytest.fail(f"{path}:{step.line}: {step.who}> {step.request}\n{problem}", False)

    def _try_step(self, step):
        """None, or what went wrong."""
        try:
            self.play_step(step)
        except AssertionError as error:
            return str(error)
        except (resp.Closed, resp.ProtocolError, OSError) as error:
            return f"{type(error).__name__} {error}"
        return None

    def play_step(self, step):
        client = self.client(step.who)
        expected = Reader(step.expected).all()
        if step.is_raw:
            client.send(read_quoted(step.request, 0)[0])
        elif step.is_repeated:
            wait_until(lambda: expected[0].matches(self.ask(client, step), client.protocol))
            return
        else:
            client.send_command(*split_words(step.request))
        if not expected and not step.is_raw:
            raise AssertionError("no expected reply in the transcript")
        for wanted in expected:
            self._expect(client, step, wanted)

    def ask(self, client, step):
        client.send_command(*split_words(step.request))
        return self.read(client, step)

    def read(self, client, step, is_push=False):
        value = client.read() if is_push else client.read_reply()
        words = split_words(step.request) if not step.is_raw else []
        verb = words[0].upper() if words else b""
        if verb == b"HELLO" and len(words) > 1 and not isinstance(value, resp.Error):
            client.protocol = int(words[1])
        if verb == b"RESET":
            client.protocol = 2
        return value

    def _expect(self, client, step, wanted):
        if wanted == "none":
            return
        if wanted == "closed":
            client.is_closed()
            return
        is_push = isinstance(wanted, Items) and wanted.kind is resp.Push
        value = self.read(client, step, is_push)
        if not wanted.matches(value, client.protocol):
            raise AssertionError(f"expected {step.expected.strip()}\ngot      {render(value)}")


# ---- pytest


class TranscriptFile(pytest.Module):
    """A transcript as a module of tests, one per case, run once in each protocol."""

    def _getobj(self):
        module = types.ModuleType(self.path.stem)
        for case in parse(self.path.read_text()):
            name = "test_" + case.title
            if hasattr(module, name):
                raise TranscriptError(f"{self.path}:{case.line}: a second '{case.title}'")
            setattr(module, name, self._make_test(case))
        return module

    def _make_test(self, case):
        path = self.path

        def on_shared(server, protocol):
            Player(server, protocol).play(path, case)

        def on_own(own_server, protocol):
            Player(own_server, protocol).play(path, case)

        ids = [f"resp{protocol}" for protocol in case.protocols]
        test = on_own if case.has_own_server else on_shared
        test = pytest.mark.parametrize("protocol", case.protocols, ids=ids)(test)
        for mark in case.marks:
            test = mark(test)
        return test
