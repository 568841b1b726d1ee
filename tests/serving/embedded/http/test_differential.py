"""The same bytes to this server and to h11, another reader of HTTP/1.1: they read the same requests and bodies.

Where they differ, one of them stops earlier than the other, for a reason that is listed. Never do they read
different requests out of the same bytes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .clients import read, run
from .test_cuts import requests
from .vectors import INVALID, VALID

# What a request has that h11 reads and this server refuses, by a pattern of its head or of what stands behind it.
STRICTER_HEAD = {
    "a line that ends without CR": rb"(?<!\r)\n",
    "a CR alone": rb"\r(?!\n)",
    "two blanks, or other bytes, in the first line": rb"\A[^\r]*(?:  |[\x00-\x1f\x7f-\xff])",
    "a target that is no path": rb"\A[^ ]* (?!/|(?i:https?)://[^#/?@ ])",
    "a fragment": rb"\A[^\r]*#",
    "a method that llhttp does not know": rb"\A(?!(?:GET|POST|PUT|DELETE|OPTIONS|HEAD) )",
    "a version": rb"\A[^\r]* HTTP/(?!1\.[01]\r)",
    "a folded line": rb"\r\n[ \t]",
    "a length that is repeated": rb"(?is)content-length:.*content-length:",
    "a length that is a list": rb"(?i)content-length:[^\r]*,",
    "a length and an encoding": rb"(?is)content-length:.*transfer-encoding:|transfer-encoding:.*content-length:",
    "an encoding in HTTP/1.0": rb"(?is)HTTP/1\.0.*transfer-encoding:",
    "a Host that is no name": rb"(?i)host:(?![ \t]*(?:\[[\da-f:.]+\]|[\da-z._~!$&'()*+,;=%-]*)(?::\d*)?[ \t]*\r)",
    "another expectation": rb"(?i)expect:(?![ \t]*100-continue[ \t]*\r)",
    "a repeated expectation": rb"(?is)expect:.*expect:",
}  # fmt: skip
STRICTER_BODY = {
    "a chunk's size with blanks or bad extensions": rb"(?:\A|\r\n)[0-9A-Fa-f]+[ \t;]",
    "a line that ends without CR": rb"(?<!\r)\n",
    "what may not be a trailer": rb"(?i)\r\n(?:content-length|transfer-encoding):",
    "a folded trailer": rb"\r\n[ \t]",
}
# What a request has that this server reads and h11 does not.
LAXER = {
    "blank lines before it": (rb"\A\r(?:\n|\Z)", "rest"),
    "HTTP/1.0 before it that stays": (rb"(?is)HTTP/1\.0.*keep-alive", "data"),
}


class Read(NamedTuple):
    """What a reader made of the bytes of a connection."""

    requests: list[tuple[str, str, bytes]]
    refused: bool
    """Whether it refused what follows them."""
    rest: bytes = b""
    """The bytes of what follows."""


def with_h11(data: bytes, most: int = 1_000) -> Read:
    """Method, target and body of each request that h11 reads, until one ends the connection; so many at most."""
    found: list[tuple[str, str, bytes]] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    rest = data
    try:
        while len(found) < most:
            begun = connection.next_event()
            if not isinstance(begun, h11.Request):
                break
            if begun.method == b"CONNECT":
                return Read(found, True, rest)
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                break
            found.append((begun.method.decode(), begun.target.decode("latin-1"), body))
            rest = connection.trailing_data[0]
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break
            connection.start_next_cycle()
    except h11.RemoteProtocolError:
        return Read(found, True, rest)
    return Read(found, False, rest)


def here(data: bytes) -> Read:
    seen, refused = run(read([data]))
    return Read([(one.method, one.target, one.body) for one in seen], bool(refused))


def compare(data: bytes) -> None:
    """Fail unless both read the same, or one stops earlier for a listed reason."""
    ours, theirs = here(data), with_h11(data)
    if ours[:2] == theirs[:2]:
        return
    both = min(len(ours.requests), len(theirs.requests))
    assert ours.requests[:both] == theirs.requests[:both]
    rest = with_h11(data, both).rest
    if len(theirs.requests) > both or (len(ours.requests) == both and ours.refused):
        assert ours.refused
        end = re.search(rb"\r?\n\r?\n", rest)
        place = end.end() if end else len(rest)
        assert any(re.search(pattern, rest[:place]) for pattern in STRICTER_HEAD.values()) or any(
            re.search(pattern, rest[place:]) for pattern in STRICTER_BODY.values()
        )
    else:
        where = {"rest": rest, "data": data}
        assert any(re.search(pattern, where[part]) for pattern, part in LAXER.values())


@given(st.lists(requests(), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_valid_requests_are_the_same_to_both(made: list[tuple[bytes, str, str, bytes]]) -> None:
    data = b"".join(one for one, *_ in made)
    assert here(data)[:2] == with_h11(data)[:2] == ([tuple(rest) for _, *rest in made], False)


SEEDS = st.one_of(requests().map(lambda made: made[0]), st.sampled_from([data for _, data, *_ in [*VALID, *INVALID]]))
PIECES = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b"\t",
            b"\0",
            b":",
            b"0",
            b"1",
            b",",
            b";",
            b"\xff",
            b"\x0b",
            b"A",
            b"/",
            b"-",
        ),
        *(b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Host: y\r\n"),
        *(
            b"0\r\n\r\n",
            b"\r\n\r\n",
            b"5\r\nhello\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"Expect: 100-continue\r\n",
        ),
        *(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"\r\n ", b"chunked", b"gzip, ", b"Content-Length: 0x1\r\n"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Requests with a few bytes put in, left out, doubled or replaced."""
    data = b"".join(draw(st.lists(SEEDS, min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 4))
        match draw(st.sampled_from(["put in", "left out", "replaced", "doubled", "case"])):
            case "put in":
                data = data[:at] + draw(PIECES) + data[at:]
            case "left out":
                data = data[:at] + data[at + length :]
            case "replaced":
                data = data[:at] + draw(PIECES) + data[at + length :]
            case "doubled":
                data = data[:at] + data[at : at + 20] + data[at:]
            case _:
                data = data[:at] + data[at : at + 20].swapcase() + data[at + 20 :]
    return data


@given(mutated())
@settings(max_examples=500, deadline=None)
def test_no_bytes_are_different_requests_to_them(data: bytes) -> None:
    compare(data)


@pytest.mark.long
@given(mutated())
@settings(max_examples=20_000, deadline=None)
def test_no_bytes_are_different_requests_to_them_many_times(data: bytes) -> None:
    compare(data)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data, *_ in [*VALID, *INVALID]])
def test_the_tables_are_the_same_to_both_or_stricter_here(data: bytes) -> None:
    compare(data)
