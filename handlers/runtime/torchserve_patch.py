"""Batches read from TorchServe's frontend with a few system calls, not some forty for each request.

TorchServe's worker (0.12, `ts/protocol/otf_message_handler.py`) reads every name, value and length of a batch with a
`recv` of exactly its size, twice for each header: more processor time than a small model takes for its answer. No
release will change that. The one function that reads is therefore replaced by one that takes what has arrived and
hands out pieces of it, equal to the byte.
"""

from __future__ import annotations

import logging
import sys
from typing import NoReturn, Protocol

# The release whose protocol was read and is tested; any other keeps its own function.
_RELEASE = "0.12."
_MODULE, _FUNCTION = "ts.protocol.otf_message_handler", "_retrieve_buffer"
# Longer values are read straight into place, so that this is all that is ever held.
CHUNK = 1 << 16


def install() -> bool:
    """Let this TorchServe worker read with a Reader from now on; whether it does, which is in TorchServe 0.12 alone.

    Called while a message is answered, when nothing of the next one has been read.
    """
    frontend, torchserve = sys.modules.get(_MODULE), sys.modules.get("ts")
    if frontend is None or not str(getattr(torchserve, "__version__", "")).startswith(_RELEASE):
        return False
    # One that reads already may hold bytes.
    if getattr(getattr(frontend, _FUNCTION, None), "__module__", None) == _MODULE:
        setattr(frontend, _FUNCTION, Reader().read)
    return True


class Connection(Protocol):
    """What is needed of the frontend's socket."""

    def recv(self, size: int, /) -> bytes:
        """At most `size` bytes that have arrived, none at the end."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer`; how many bytes, 0 at the end."""


class Reader:
    """Reads one connection in chunks and hands out pieces of the lengths asked for."""

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._held = bytearray()
        self._at = 0

    def read(self, conn: Connection, length: int) -> bytearray:
        """The next `length` bytes. Where they end before, the worker ends as with TorchServe's own (SystemExit 0)."""
        end = self._at + length
        if end <= len(self._held):
            piece = self._held[self._at : end]
            self._at = end
            return piece
        return self._read_more(conn, length)

    def _read_more(self, conn: Connection, length: int) -> bytearray:
        piece = self._held[self._at :]
        self._held, self._at = bytearray(), 0
        while length - len(piece) < CHUNK:
            chunk = bytearray(conn.recv(CHUNK))
            if not chunk:
                self._leave()
            missing = length - len(piece)
            piece += chunk[:missing]
            if len(piece) == length:
                self._held, self._at = chunk, missing
                return piece
        have = len(piece)
        piece.extend(bytes(length - have))
        with memoryview(piece) as rest:
            while have < length:
                count = conn.recv_into(rest[have:])
                if not count:
                    self._leave()
                have += count
        return piece

    @staticmethod
    def _leave() -> NoReturn:
        logging.info("Frontend disconnected.")
        sys.exit(0)
