"""Compressed bodies: what gzip carries, and what is refused before it takes memory or time."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.request.compression import MAX_MEMBERS, unpacked
from lexport.handlers.request.limits import MAX_REQUEST
from lexport.handlers.request.refusals import Refusal

from ...refusals import refused
from ..cases import JSON

GZIP = {"Content-Encoding": "gzip"}


def body_of(packed: bytes, headers: dict[str, Any] = GZIP) -> bytes:
    return bytes(unpacked({"body": packed}, headers)["body"])


@given(body=st.binary(max_size=300), level=st.integers(0, 9), members=st.integers(1, 3))
def test_what_was_packed_comes_out(body: bytes, level: int, members: int) -> None:
    packed = gzip.compress(body, level) * members
    assert body_of(packed) == body * members
    for headers in ({"content-encoding": "x-gzip"}, {"CONTENT-encoding": " GZip "}):
        assert body_of(packed, headers) == body * members


def test_other_fields_and_bodies_stay_as_they_are() -> None:
    for headers in ({}, {"Content-Encoding": "identity"}, {"Content-Encoding": b"gzip"}, {"x": 1}):
        for parameters in ({"body": b"goal"}, {"body": gzip.compress(b"goal")}, {"data": b"goal"}, {"body": "goal"}):
            assert unpacked(parameters, headers) is parameters
    assert unpacked({"body": gzip.compress(b"goal"), "top_k": b"1"}, GZIP) == {"body": b"goal", "top_k": b"1"}


# Named, since a gzip stream holds the second it was made in: as a test's name it would differ between workers.
REFUSED = {
    "nothing": (b"", 400, ("LX-HTTP-002",)),
    "plain text": (b"goal", 400, ("LX-HTTP-003",)),
    "plain JSON": (b'{"text": "goal"}', 400, ("LX-HTTP-003",)),
    "the last byte missing": (gzip.compress(b"goal")[:-1], 400, ("LX-HTTP-005",)),
    "the header alone": (gzip.compress(b"goal")[:12], 400, ("LX-HTTP-005",)),
    "a byte too many": (gzip.compress(b"goal") + b"x", 400, ("LX-HTTP-005",)),
    "a wrong checksum": (gzip.compress(b"goal")[:-8] + b"12345678", 400, ("LX-HTTP-003",)),
    "zlib": (zlib.compress(b"goal"), 400, ("LX-HTTP-003",)),
    "too many members": (gzip.compress(b"") * (MAX_MEMBERS + 1), 400, ("LX-HTTP-006", "64")),
    "a byte too long": (gzip.compress(b"x" * (MAX_REQUEST + 1)), 413, ("LX-HTTP-004", "6,553,500")),
    "too long in three members": (gzip.compress(b"x" * (MAX_REQUEST // 2)) * 3, 413, ("LX-HTTP-004", "6,553,500")),
}


@pytest.mark.parametrize(("packed", "status", "error"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_unpacked_is_refused(packed: bytes, status: int, error: tuple[str, ...]) -> None:
    with refused(Refusal, *error) as caught:
        body_of(packed)
    assert caught.value.status == status


def test_the_longest_body_is_unpacked() -> None:
    assert len(body_of(gzip.compress(b"x" * MAX_REQUEST))) == MAX_REQUEST


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd" * 100])
def test_other_encodings_are_refused(encoding: str) -> None:
    with refused(Refusal, "LX-HTTP-001", encoding[:40]) as caught:
        body_of(b"goal", {"content-encoding": encoding})
    assert caught.value.status == 415


@pytest.mark.usefixtures("unharmed")
def test_the_server_takes_gzip_and_refuses_bombs(client: Any) -> None:
    path = "/predictions/onnx"
    plain = client.json(path, {"text": "goal rain"})
    assert (plain.headers["lexport-version"], plain.headers["lexport-variant"]) == ("1.0", "onnx-int8")
    for name in ("Content-Encoding", "content-encoding", "CONTENT-ENCODING"):
        body = gzip.compress(json.dumps({"text": "goal rain"}).encode())
        assert client.post(path, body, JSON, headers={name: "gzip"}).json == plain.json
    assert client.post(path, gzip.compress(b"goal rain"), headers=GZIP).json == plain.json
    # Half a gigabyte of zeros in half a megabyte.
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1 << 24)) for _ in range(32)), packer.flush()])
    began = time.monotonic()
    reply = client.post(path, bomb, JSON, headers=GZIP)
    assert (reply.status, reply.json["error"][:30]) == (413, "The body has more than 6,553,5")
    assert time.monotonic() - began < 20
    for body in (b"goal", bomb[:1000]):
        reply = client.post(path, body, JSON, headers=GZIP)
        assert reply.status in (400, 413)
        assert reply.headers["lexport-version"] == "1.0"
    assert client.post(path, b"goal", headers={"Content-Encoding": "br"}).status == 415
