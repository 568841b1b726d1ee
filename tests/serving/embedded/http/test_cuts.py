"""Requests that are made at random: read alike however they are cut, in one connection and in many."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.serving.embedded.http import Limits

from .clients import read, run
from .vectors import INVALID, VALID

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-_", min_size=1, max_size=12).map(str.encode)
VALUE = st.text("abc XYZ019,;=/\"'()\t:", max_size=20).map(lambda text: text.strip().encode())
TARGET = st.text("abcz09/?&=%-._~:", max_size=60).map(lambda text: b"/" + text.encode())
BODY = st.binary(max_size=200)
TAKEN = (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade")
FIELDS = st.lists(st.tuples(TOKEN, VALUE), max_size=5).map(
    lambda pairs: [pair for pair in pairs if pair[0].lower() not in TAKEN]
)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    parts = []
    for size in sizes:
        if body[:size]:
            parts.append(b"%x\r\n%b\r\n" % (len(body[:size]), body[:size]))
        body = body[size:]
    rest = b"%X;last\r\n%b\r\n" % (len(body), body) if body else b""
    return b"".join(parts) + rest + b"0\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, str, str, bytes]:
    """A request's bytes, and what it says: method, target, body."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "DELETE"]))
    target, body, fields = draw(TARGET), draw(BODY), draw(FIELDS)
    lines = [b"Host: x", *(b"%b: %b" % pair for pair in fields)]
    sent = b""
    match draw(st.sampled_from(["none", "length", "chunks"])):
        case "none":
            body = b""
        case "length":
            lines.append(b"Content-Length: %d" % len(body))
            sent = body
        case _:
            lines.append(b"Transfer-Encoding: chunked")
            sent = chunked(body, draw(st.lists(st.integers(1, 40), max_size=6)))
    lines = draw(st.permutations(lines))
    head = b"\r\n".join([b"%b %b HTTP/1.1" % (method.encode(), target), *lines, b"", b""])
    return head + sent, method, target.decode(), body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(at)]


CUTS = st.lists(st.integers(0, 5_000), max_size=12)


@given(st.lists(requests(), min_size=1, max_size=40), CUTS)
@settings(max_examples=150, deadline=None)
def test_a_pipeline_is_read_in_its_order_wherever_it_is_cut(
    made: list[tuple[bytes, str, str, bytes]], places: list[int]
) -> None:
    data = b"".join(one for one, *_ in made)
    seen, refused = run(read(cut(data, places)))
    assert [(one.method, one.target, one.body) for one in seen] == [tuple(rest) for _, *rest in made]
    assert refused == []


@given(st.sampled_from([data for _, data, _ in [*VALID, *INVALID]]), CUTS)
@settings(max_examples=300, deadline=None)
def test_what_is_read_and_refused_does_not_depend_on_cuts(data: bytes, places: list[int]) -> None:
    assert run(read(cut(data, places))) == run(read([data]))


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, data, _ in [*VALID, *INVALID]])
def test_a_cut_at_any_place_changes_nothing(name: str, data: bytes) -> None:
    whole = run(read([data]))
    for place in range(1, min(len(data), 300)):
        assert run(read(cut(data, [place]))) == whole, place


SMALL = Limits(head=120, target=40, fields=4, body=50, chunks=3)


@given(requests(), CUTS)
@settings(max_examples=300, deadline=None)
def test_neither_do_limits(made: tuple[bytes, str, str, bytes], places: list[int]) -> None:
    data = made[0]
    assert run(read(cut(data, places), SMALL)) == run(read([data], SMALL))
