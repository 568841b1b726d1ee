"""Batches come off the frontend's socket as TorchServe's own code reads them, whatever pieces they arrive in."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ts.protocol import otf_message_handler as torchserve

from lexport.handlers.runtime import torchserve_patch as sockets
from lexport.handlers.runtime.torchserve_patch import CHUNK, Reader

OWN = torchserve._retrieve_buffer


class Stream:
    """A connection on which a content arrives in pieces of these sizes, again and again."""

    def __init__(self, content: bytes, sizes: Sequence[int]) -> None:
        self._content, self._sizes, self._calls = content, sizes, 0

    def recv(self, size: int, /) -> bytes:
        size = min(size, self._sizes[self._calls % len(self._sizes)])
        self._calls += 1
        piece, self._content = self._content[:size], self._content[size:]
        return piece

    def recv_into(self, buffer: memoryview, /) -> int:
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def read_all(read: Callable[[Stream, int], bytearray], stream: Stream, lengths: Sequence[int]) -> list[bytes | str]:
    found: list[bytes | str] = []
    for length in lengths:
        try:
            piece = read(stream, length)
        except SystemExit as ended:
            return [*found, f"ended with {ended.code}"]
        assert type(piece) is bytearray
        found.append(bytes(piece))
    return found


@given(
    content=st.integers(0, 3 * CHUNK).map(lambda size: bytes(range(256)) * (size // 256) + bytes(size % 256)),
    lengths=st.lists(st.integers(0, 50) | st.integers(CHUNK - 3, CHUNK + 3) | st.integers(0, 2 * CHUNK), max_size=12),
    sizes=st.lists(st.integers(1, 9) | st.integers(1, 2 * CHUNK), min_size=1, max_size=4),
)
def test_any_lengths_are_read_as_torchserve_reads_them(content: bytes, lengths: list[int], sizes: list[int]) -> None:
    if max(sizes) < 10:  # a hundred thousand calls would show no more than a thousand
        content = content[:2000]
    expected = read_all(OWN, Stream(content, sizes), lengths)
    assert read_all(Reader().read, Stream(content, sizes), lengths) == expected


def packed(value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return struct.pack("!i", len(content)) + content


NONE = struct.pack("!i", -1)
REQUESTS = st.lists(
    st.tuples(
        st.text(max_size=40).map(packed),
        st.lists(st.tuples(st.text(max_size=9), st.text(max_size=99)), max_size=9),
        st.sampled_from(["application/json", "text/plain", ""]),
        st.binary(max_size=2000) | st.integers(0, 2 * CHUNK).map(bytes),
    ),
    max_size=6,
)


@given(batches=st.lists(REQUESTS, min_size=1, max_size=3))
def test_whole_batches_over_a_real_socket(
    batches: list[list[tuple[bytes, list[tuple[str, str]], str, bytes]]],
) -> None:
    sent = b""
    for batch in batches:
        sent += b"I"
        for name, headers, kind, body in batch:
            sent += name + b"".join(packed(key) + packed(value) for key, value in headers) + NONE
            sent += packed("body") + packed(kind) + packed(body) + NONE
        sent += NONE
    found = []
    for read in (OWN, Reader().read):
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.MonkeyPatch.context() as patch:
            patch.setenv("TS_DECODE_INPUT_REQUEST", "false")
            patch.setattr(torchserve, "_retrieve_buffer", read)
            sender = threading.Thread(target=ours.sendall, args=(sent,))
            sender.start()
            found.append([torchserve.retrieve_msg(theirs) for _ in batches])
            sender.join()
    assert found[0] == found[1]
    assert [len(message) for _, message in found[1]] == [len(batch) for batch in batches]


def test_a_batch_takes_few_calls() -> None:
    sent = b"".join(packed(f"value {number}") for number in range(1000))
    calls = []

    class Counted(Stream):
        def recv(self, size: int, /) -> bytes:
            calls.append(size)
            return super().recv(size)

    stream, read = Counted(sent, [CHUNK]), Reader().read
    for number in range(1000):
        (length,) = struct.unpack("!i", read(stream, 4))
        assert read(stream, length) == f"value {number}".encode()
    assert calls == [CHUNK]


def test_it_is_installed_once_in_the_release_it_was_written_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchserve, "_retrieve_buffer", OWN)
    monkeypatch.setattr(sys.modules["ts"], "__version__", "0.13.0")
    assert not sockets.install()
    assert torchserve._retrieve_buffer is OWN
    monkeypatch.undo()
    monkeypatch.setattr(torchserve, "_retrieve_buffer", OWN)
    assert sockets.install()
    installed = torchserve._retrieve_buffer
    assert isinstance(installed.__self__, Reader)
    # A second model in the same worker must not lose what the first one's reader holds.
    assert sockets.install()
    assert torchserve._retrieve_buffer is installed


def test_without_torchserve_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ts.protocol.otf_message_handler")
    assert not sockets.install()
