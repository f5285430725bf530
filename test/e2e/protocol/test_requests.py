# SPDX-License-Identifier: Apache-2.0
"""Requests as bytes: what is a command, what is an error, and that cuts change nothing."""

import pytest

from support.client import Error, encode

PING = encode("PING")
PONG = b"+PONG\r\n"


def protocol_error(text):
    return b"-ERR Protocol error: " + text + b"\r\n"


BAD_COUNT = protocol_error(b"invalid multibulk length")
BAD_LENGTH = protocol_error(b"invalid bulk length")
UNBALANCED = protocol_error(b"unbalanced quotes in request")

# Bytes of requests, each followed by a PING, and the bytes of the replies to them.
ANSWERED = {
    "multibulk": (b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n", b"$2\r\nhi\r\n"),
    "empty argument": (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"$0\r\n\r\n"),
    "line breaks in an argument": (
        b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n",
        b"$4\r\n\r\n\r\n\r\n",
    ),
    "NUL and high bytes": (b"*2\r\n$4\r\nECHO\r\n$3\r\n\0\xff\x80\r\n", b"$3\r\n\0\xff\x80\r\n"),
    "a request as an argument": (
        b"*2\r\n$4\r\nECHO\r\n$14\r\n" + PING + b"\r\n",
        b"$14\r\n" + PING + b"\r\n",
    ),
    "no arguments at all": (b"*0\r\n", b""),
    "minus one argument": (b"*-1\r\n", b""),
    "minus many arguments": (b"*-2147483649\r\n", b""),
    "empty lines": (b"\r\n\n\r\n", b""),
    "any two bytes end an argument": (b"*2\r\n$4\r\nECHOab$2\r\nhixy", b"$2\r\nhi\r\n"),
    "any byte follows a CR": (b"*2\rx$4\ryECHO\r\n$2\rzhi\r\n", b"$2\r\nhi\r\n"),
    "inline": (b"ECHO hi\r\n", b"$2\r\nhi\r\n"),
    "inline without CR": (b"ECHO hi\n", b"$2\r\nhi\r\n"),
    "inline with many blanks": (b"  ECHO \t  hi  \r\n", b"$2\r\nhi\r\n"),
    "inline in double quotes": (b'ECHO "a b"\r\n', b"$3\r\na b\r\n"),
    "inline escapes": (
        b'ECHO "\\n\\r\\t\\b\\a\\x41\\xe9\\\\\\"\\q"\r\n',
        b'$10\r\n\n\r\t\b\aA\xe9\\"q\r\n',
    ),
    "inline with half an escape": (b'ECHO "\\x4g\\x"\r\n', b"$4\r\nx4gx\r\n"),
    "inline in single quotes": (b"ECHO 'a\\'b\\n\"'\r\n", b"$6\r\na'b\\n\"\r\n"),
    "inline empty words": (b"ECHO ''\r\n", b"$0\r\n\r\n"),
    "inline quoted name": (b"\"ECHO\" 'hi'\r\n", b"$2\r\nhi\r\n"),
    "inline quotes in mid-word": (b'ECHO h"i"\r\n', b"$2\r\nhi\r\n"),
    "inline with a tab that is vertical": (b"ECHO a\vb\r\n", b"$3\r\na\vb\r\n"),
    "inline with two CRs": (b"ECHO hi\r\r\n", b"$2\r\nhi\r\n"),
    "inline of high bytes": (b"ECHO \xff\x80\r\n", b"$2\r\n\xff\x80\r\n"),
    "inline that looks like a length": (
        b"$4\r\n",
        b"-ERR unknown command '$4', with args beginning with: \r\n",
    ),
    "multibulk and inline mixed": (PING + b"PING\r\n" + PING, 3 * PONG),
    "empty name": (
        b"*1\r\n$0\r\n\r\n",
        b"-ERR unknown command '', with args beginning with: \r\n",
    ),
}

# After these the server says what is wrong and closes; a PING in front is still answered. Nothing
# stands behind the byte that is wrong: bytes that come after a close may cost the client the error.
REFUSED = {
    "count missing": (b"*\r\n", BAD_COUNT),
    "count a word": (b"*abc\r\n", BAD_COUNT),
    "count with a blank": (b"* 1\r\n", BAD_COUNT),
    "count with a plus": (b"*+1\r\n", BAD_COUNT),
    "count with a leading zero": (b"*01\r\n", BAD_COUNT),
    "count minus zero": (b"*-0\r\n", BAD_COUNT),
    "count of 2^31": (b"*2147483648\r\n", BAD_COUNT),
    "count of 2^32 + 1": (b"*4294967297\r\n", BAD_COUNT),
    "count of 2^63": (b"*9223372036854775808\r\n", BAD_COUNT),
    "count of 20 digits": (b"*99999999999999999999\r\n", BAD_COUNT),
    "length missing": (b"*1\r\n$\r\n", BAD_LENGTH),
    "length a word": (b"*1\r\n$abc\r\n", BAD_LENGTH),
    "length of minus one": (b"*1\r\n$-1\r\n", BAD_LENGTH),
    "length of minus two": (b"*1\r\n$-2\r\n", BAD_LENGTH),
    "length with a plus": (b"*1\r\n$+4\r\n", BAD_LENGTH),
    "length with a leading zero": (b"*1\r\n$04\r\n", BAD_LENGTH),
    "length over 512 MiB": (b"*1\r\n$536870913\r\n", BAD_LENGTH),
    "length of 2^32 + 4": (b"*1\r\n$4294967300\r\n", BAD_LENGTH),
    "length of 20 digits": (b"*1\r\n$99999999999999999999\r\n", BAD_LENGTH),
    "length bad in the second argument": (b"*2\r\n$4\r\nECHO\r\n$-1\r\n", BAD_LENGTH),
    "no dollar": (b"*1\r\nPING\r\n", protocol_error(b"expected '$', got 'P'")),
    "a number for a dollar": (b"*1\r\n:1\r\n", protocol_error(b"expected '$', got ':'")),
    "a CR for a dollar": (b"*1\r\n\r\n", protocol_error(b"expected '$', got ' '")),
    "a nested array": (b"*1\r\n*1\r\n", protocol_error(b"expected '$', got '*'")),
    "quote not closed": (b'ECHO "a\r\n', UNBALANCED),
    "single quote not closed": (b"ECHO 'a\r\n", UNBALANCED),
    "text behind a quote": (b'ECHO "a"b\r\n', UNBALANCED),
    "backslash before the end": (b'ECHO "a\\\r\n', UNBALANCED),
    "a count line without end": (
        b"*" + b"1" * 65536,
        protocol_error(b"too big mbulk count string"),
    ),
    "a length line without end": (
        b"*1\r\n$" + b"1" * 65536,
        protocol_error(b"too big bulk count string"),
    ),
    "an inline request without end": (b"x" * 65537, protocol_error(b"too big inline request")),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answered(client, name):
    request, reply = ANSWERED[name]
    client.send(request + PING)
    assert client.read_bytes(len(reply + PONG)) == reply + PONG


@pytest.mark.parametrize("name", ANSWERED)
def test_answered_byte_by_byte(client, name):
    request, reply = ANSWERED[name]
    client.send_in_pieces(request + PING, 1)
    assert client.read_bytes(len(reply + PONG)) == reply + PONG


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client, name):
    request, error = REFUSED[name]
    client.send(PING + request)
    assert client.read_until_closed() == PONG + error


@pytest.mark.parametrize("name", [name for name, (r, _) in REFUSED.items() if len(r) < 1000])
def test_refused_byte_by_byte(client, name):
    request, error = REFUSED[name]
    client.send_in_pieces(request, 1)
    assert client.read_until_closed() == error


@pytest.mark.not_on("valkey", "8.0 takes the next request for an inline one")
def test_a_line_of_blanks_is_skipped(client):
    client.send(b" \t \r\n" + PING)
    assert client.read_bytes(len(PONG)) == PONG


def test_everything_cut_everywhere(server):
    """All answered requests in one pipeline, cut into pieces of every size."""
    requests = b"".join(request for request, _ in ANSWERED.values()) + PING
    replies = b"".join(reply for _, reply in ANSWERED.values()) + PONG
    for size in [1, 2, 3, 5, 7, 11, 13, 17, 31, 64, 100]:
        client = server.connect()
        client.send_in_pieces(requests, size)
        assert client.read_bytes(len(replies)) == replies, size
        client.close()


def test_what_follows_an_error_is_not_run(server):
    client, other = server.connect(), server.connect()
    client.send(b"*x\r\n" + encode("SET", "k", "v"))
    assert client.read_until_closed() == BAD_COUNT
    assert other("EXISTS", "k") == 0


@pytest.mark.ferric_only("Redis waits behind a NUL until the line limit is reached")
def test_nul_in_lines(server):
    client = server.connect()
    client.send(b"ECHO a\0b\r\n*1\0\r\n")
    assert client.read_until_closed() == b"$3\r\na\0b\r\n" + BAD_COUNT


@pytest.mark.ferric_only("Redis 7 announces up to 2^31 - 1 arguments")
def test_too_many_arguments(server):
    client = server.connect()
    client.send(b"*1048577\r\n")
    assert client.read_until_closed() == BAD_COUNT


def test_announced_arguments_take_no_memory(server):
    """Clients that announce a million arguments each and send none."""
    clients = [server.connect() for _ in range(200)]
    for client in clients:
        client.send(b"*1048576\r\n$4\r\nMSET\r\n")
    assert server.connect()("PING") == "PONG"


def test_half_a_command_and_a_hangup(server):
    client = server.connect()
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n01234")
    client.close()
    assert server.connect()("EXISTS", "k") == 0


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 65535, 65536, 262143, 262144, 5000000])
def test_values_of_all_sizes(client, size):
    value = bytes(i * 7 % 256 for i in range(min(size, 4096)))
    value = (value * (size // max(len(value), 1) + 1))[:size]
    assert client("SET", "k", value) == "OK"
    assert client("GET", "k") == value
    assert client("STRLEN", "k") == size


def test_many_arguments(client):
    pairs = [x for i in range(20000) for x in (f"k{i}", f"v{i}")]
    assert client("MSET", *pairs) == "OK"
    assert client("DBSIZE") == 20000
    values = client("MGET", *pairs[::2])
    assert values == [v.encode() for v in pairs[1::2]]


def test_post_and_host_are_taken_for_an_attack(server):
    """Browsers tricked into talking to us: the connection is closed without a word."""
    for line in [b"POST / HTTP/1.1\r\n", b"Host: localhost\r\n"]:
        client = server.connect()
        client.send(line + PING)
        assert client.is_closed()


def test_errors_are_errors_in_both_protocols(any_client):
    assert isinstance(any_client("NOSUCH"), Error)
    any_client.send(b"*1\r\n$-1\r\n")
    assert any_client.read_until_closed() == BAD_LENGTH
