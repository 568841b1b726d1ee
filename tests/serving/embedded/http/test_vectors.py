"""Each request of the tables is read as it says, whole and byte by byte, and a refused one ends its connection."""

from __future__ import annotations

import pytest

from .clients import connected, read, run, serving
from .vectors import GET, INVALID, VALID


@pytest.mark.parametrize(("data", "expected"), [pytest.param(*rest, id=name) for name, *rest in VALID])
@pytest.mark.parametrize("step", [1, 1 << 20], ids=["by bytes", "whole"])
def test_a_valid_request_is_read(data: bytes, expected: list[tuple[str, str, bytes]], step: int) -> None:
    pieces = [data[place : place + step] for place in range(0, len(data), step)]
    seen, refused = run(read(pieces))
    assert [(one.method, one.target, one.body) for one in seen] == expected
    assert refused == []


@pytest.mark.parametrize(("data", "status"), [pytest.param(*rest, id=name) for name, *rest in INVALID])
@pytest.mark.parametrize("step", [1, 1 << 20], ids=["by bytes", "whole"])
def test_another_is_refused_and_nothing_behind_it_is_read(data: bytes, status: int, step: int) -> None:
    data += GET + b"\r\n"
    pieces = [data[place : place + step] for place in range(0, len(data), step)]
    seen, refused = run(read(pieces))
    assert seen == []
    assert refused == [status]


def test_names_and_values_are_those_of_the_request() -> None:
    lines = b"A:b\r\nC-D: \t e \r\nempty:\r\nList: 1\r\nlist: 2, 3\r\n"
    [seen], _ = run(read([GET + lines + b"\r\n"]))
    stripped = {name: value.rstrip(b" \t") for name, value in seen.fields.items()}
    assert stripped == {b"host": b"x", b"a": b"b", b"c-d": b"e", b"empty": b"", b"list": b"1, 2, 3"}


@pytest.mark.parametrize("status", sorted({status for *_, status in INVALID}))
def test_a_refusal_reaches_the_client_before_the_connection_ends(status: int) -> None:
    data = next(data for _, data, expected in INVALID if expected == status)

    async def main() -> None:
        async with serving() as server, connected(server) as client:
            client.send(data + b"x" * 100_000)
            answer = await client.answer()
            assert answer.status == status
            assert answer.headers["connection"] == "close"
            assert answer.code.startswith("LX-HTTP-")
            assert await client.closed()

    run(main())
