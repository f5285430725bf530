# SPDX-License-Identifier: Apache-2.0
"""The transcripts' own machinery: what must match does, and what must not does not."""

import pytest

from support import client as resp
from support import transcript
from support.client import NIL_ARRAY, Double, Error, Map, Push, Set, Status, Verbatim

# Expected text, protocol, replies that match, replies that do not.
MATCHES = [
    ("+OK", 2, [Status("OK")], [b"OK", Error("OK"), Status("KO"), None]),
    ("-ERR no key", 2, [Error("ERR no key")], [Error("ERR no"), Status("ERR no key")]),
    ("-ERR no ...", 2, [Error("ERR no "), Error("ERR no such key")], [Error("ERR n")]),
    ('-"ERR a "', 2, [Error("ERR a ")], [Error("ERR a")]),
    (":5", 2, [5], [6, b"5", True, None]),
    (":5..7", 2, [5, 6, 7], [4, 8, b"6"]),
    (":-2..-1", 2, [-2, -1], [0]),
    ('"a\\x00\\r\\n"', 2, [b"a\0\r\n"], [b"a", Status("a\0\r\n")]),
    ("nil", 2, [None], [NIL_ARRAY, b"", 0]),
    ("nil-array", 2, [NIL_ARRAY], [None, []]),
    ("nil-array", 3, [None], [NIL_ARRAY]),
    ("[]", 2, [[]], [None, NIL_ARRAY, [1]]),
    ('["a" :1 [nil]]', 2, [[b"a", 1, [None]]], [[b"a", 1, []], [b"a", 1], [1, b"a", [None]]]),
    ("[:1 ...]", 2, [[1], [1, 2]], [[], [2, 1]]),
    ("u[:1 :2]", 2, [[1, 2], [2, 1]], [[1], [1, 1], [1, 2, 2]]),
    ("{:1 :2}", 2, [[1, 2]], [[2, 1], Map([(1, 2)])]),
    ("{:1 :2}", 3, [Map([(1, 2)])], [[1, 2], Map([(2, 1)]), Map([])]),
    ("{:3 :4 ...}", 3, [Map([(1, 2), (3, 4)])], [Map([(1, 2)]), Map([(4, 3), (1, 2)])]),
    ("{:3 :4 ...}", 2, [[1, 2, 3, 4]], [[1, 3, 4, 2]]),
    ("~[:1 :2]", 3, [Set([2, 1])], [[1, 2], Set([1])]),
    ("~[:1 :2]", 2, [[2, 1]], [[1]]),
    (",1.5", 3, [Double("1.5")], [b"1.5", Double("1.50")]),
    (",1.5", 2, [b"1.5"], [Double("1.5")]),
    ("#t", 3, [True], [1, False]),
    ("#t", 2, [1], [True, 0]),
    ('=txt:"a"', 2, [b"a"], [b"b"]),
    ('=txt:"a"', 3, [Verbatim(b"a")], [b"a", Verbatim(b"b")]),
    ('g"a*c"', 2, [b"ac", b"abc"], [b"ab", Status("abc")]),
    (">[:1]", 3, [Push([1])], [[1]]),
    ("any", 2, [None, 1, [1]], []),
    ("int", 2, [1], [b"1", True, None]),
    ("bulk", 2, [b""], [Status(""), None]),
]


@pytest.mark.parametrize("text, protocol, good, bad", MATCHES, ids=lambda x: str(x)[:30])
def test_matching(text, protocol, good, bad):
    (expected,) = transcript.Reader(text).all()
    for value in good:
        assert expected.matches(value, protocol), value
    for value in bad:
        assert not expected.matches(value, protocol), value


@pytest.mark.parametrize("text", ["OK", "[", "]", '"open', "[:1", "$5", "-"])
def test_what_is_no_reply_is_refused(text):
    if text == "-":
        assert transcript.Reader(text).all()[0].matches(Error(""), 2)
        return
    with pytest.raises((transcript.TranscriptError, IndexError)):
        transcript.Reader(text).all()


def test_what_render_writes_reads_back():
    values = [Status("OK"), Error("ERR x "), 5, b'a"\\\n\xff', None, NIL_ARRAY]
    values += [[1, [b"x", Status("a b")]]]
    values += [Map([(b"a", 1)]), Set([1]), Double("1.5"), True, Verbatim(b"t")]
    for value in values:
        (expected,) = transcript.Reader(transcript.render(value)).all()
        protocol = 2 if isinstance(value, resp.NilArray) else 3
        assert expected.matches(value, protocol), value


def test_words():
    assert transcript.split_words('a  "b \\x41\\n\\"" c"d \\x') == [b"a", b'b A\n"', b'c"d', b"\\x"]


def test_a_file():
    text = """# about
@ own-server

== first
@ protocol 2
> SET a 1
+OK
B>? GET a
"1"
>> "PING\\r\\n"
+PONG
closed
== second
> PING
+PONG
"""
    first, second = transcript.parse(text)
    assert (first.title, first.protocols, second.protocols) == ("first", [2], [2, 3])
    assert first.has_own_server and second.has_own_server
    assert [(s.who, s.request, s.is_raw, s.is_repeated) for s in first.steps] == [
        ("A", "SET a 1", False, False),
        ("B", "GET a", False, True),
        ("A", '"PING\\r\\n"', True, False),
    ]
    assert transcript.Reader(first.steps[2].expected).all()[1] == "closed"


@pytest.mark.parametrize("text", ["> PING\n+PONG", "== a\n+OK", "== a\n@ nonsense\n> PING\n+PONG"])
def test_a_wrong_file_is_refused(text):
    with pytest.raises(transcript.TranscriptError):
        transcript.parse(text)


def test_a_wrong_reply_fails_a_case(server):
    (case,) = transcript.parse("== a\n> PING\n+PING\n")
    said = r"file:2: A> PING\nexpected \+PING\ngot +\+PONG"
    with pytest.raises(pytest.fail.Exception, match=said):
        transcript.Player(server, 2).play("file", case)


def test_a_request_without_a_reply_fails_a_case(server):
    (case,) = transcript.parse("== a\n> PING\n")
    with pytest.raises(pytest.fail.Exception, match="no expected reply"):
        transcript.Player(server, 2).play("file", case)
