"""Heads that are known already: the same bytes are the same requests, read for the first time or again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.serving.embedded.http import Server

from .clients import POST, Seen, _sent, echo, read, run
from .test_cuts import CUTS, cut, requests
from .test_differential import mutated
from .vectors import INVALID, VALID


@given(mutated(), CUTS)
@settings(max_examples=300, deadline=None)
def test_bytes_that_another_connection_has_sent_are_read_as_if_it_had_not(data: bytes, places: list[int]) -> None:
    assert run(read(cut(data, places), before=[data])) == run(read(cut(data, places)))


@pytest.mark.long
@given(mutated(), CUTS)
@settings(max_examples=10_000, deadline=None)
def test_bytes_that_another_connection_has_sent_are_read_as_if_it_had_not_many_times(
    data: bytes, places: list[int]
) -> None:
    assert run(read(cut(data, places), before=[data])) == run(read(cut(data, places)))


@given(st.lists(requests(), min_size=1, max_size=8), CUTS)
@settings(max_examples=100, deadline=None)
def test_a_connection_that_repeats_itself_is_read_twice_alike(
    made: list[tuple[bytes, str, str, bytes]], places: list[int]
) -> None:
    data = b"".join(one for one, *_ in made)
    seen, refused = run(read(cut(data * 3, places)))
    assert [(one.method, one.target, one.body) for one in seen] == [tuple(rest) for _, *rest in made] * 3
    assert refused == []


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data, *_ in [*VALID, *INVALID]])
def test_the_tables_are_read_twice_alike(data: bytes) -> None:
    assert run(read([data], before=[data])) == run(read([data]))


def test_a_body_that_is_cut_short_is_not_taken_from_the_request_before() -> None:
    whole, short = POST + b"Content-Length: 4\r\n\r\ngoal", POST + b"Content-Length: 4\r\n\r\ngo"
    seen, refused = run(read([short], before=[whole]))
    assert (seen, refused) == ([], [])
    seen, _ = run(read([short, b"at"], before=[whole]))
    assert seen == [Seen("POST", "/p", {b"host": b"x", b"content-length": b"4"}, b"goat")]


def test_few_heads_are_remembered_and_no_long_ones() -> None:
    async def main() -> list[int]:
        server, sizes = Server(echo), []
        for number in range(3_000):
            await _sent(server, [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number])
            sizes.append(len(server.heads))
        before = len(server.heads)
        await _sent(server, [b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: %b\r\n\r\n" % (b"x" * 4_000)])
        assert len(server.heads) == before
        return sizes

    sizes = run(main())
    assert max(sizes) == 1_024
    assert sizes[-1] > 0
