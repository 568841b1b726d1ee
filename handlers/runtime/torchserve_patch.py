"""Read batches from TorchServe's frontend with a few system calls instead of about forty per request.

TorchServe's worker (0.12, `ts/protocol/otf_message_handler.py`) reads every name, value and length of a batch with a
`recv` of exactly its size, twice for each header. This takes more processor time than the answer of a small model,
and no release will change it. So this module replaces the one function that reads: the new one reads all bytes that
have arrived and returns pieces of them, with the same bytes.
"""

from __future__ import annotations

import logging
import sys
from typing import NoReturn, Protocol

# The release whose protocol was read and is tested; any other keeps its own function.
_RELEASE = "0.12."
_MODULE, _FUNCTION = "ts.protocol.otf_message_handler", "_retrieve_buffer"
# Longer values are read directly into their buffer, so no more than this is ever buffered.
CHUNK = 1 << 16


def install() -> bool:
    """Patch TorchServe 0.12 to read in chunks. Return whether the patch was applied.

    Call it while a message is answered, when nothing of the next one has been read.
    """
    frontend, torchserve = sys.modules.get(_MODULE), sys.modules.get("ts")
    if frontend is None or not str(getattr(torchserve, "__version__", "")).startswith(_RELEASE):
        return False
    # A Reader that is already installed may have buffered bytes.
    if getattr(getattr(frontend, _FUNCTION, None), "__module__", None) == _MODULE:
        setattr(frontend, _FUNCTION, Reader().read)
    return True


class Connection(Protocol):
    """The methods of the frontend's socket that are used."""

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes that have arrived, none at the end."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer`. Return the number of bytes, 0 at the end."""


class Reader:
    """Read one connection in chunks and return pieces of the requested lengths."""

    def __init__(self) -> None:
        """Start with an empty buffer."""
        self._held = bytearray()
        self._at = 0

    def read(self, conn: Connection, length: int) -> bytearray:
        """Return the next `length` bytes.

        If the connection ends before, the worker ends as with TorchServe's function (SystemExit 0).
        """
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
