"""Bodies of requests as they arrive: of a known length, or in chunks."""

from __future__ import annotations

import re

from . import refusals
from .limits import Limits
from .reader import Reader

LONGEST_LINE = 256
"""Bytes of a chunk's size with its extensions, which nobody uses; longer lines are refused."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# llhttp takes an extension that lacks its value.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|\"[\t !#-\[\]-~]*\"))?)*\r\n" % (_TOKEN, _TOKEN))


class Sized:
    """A body whose length was said."""

    __slots__ = ("_length", "_reader", "complete", "data")

    def __init__(self, reader: Reader, length: int) -> None:
        """Expect `length` bytes, at least one."""
        self._reader = reader
        self._length = length
        self.data = bytearray()
        self.complete = False

    def take(self, data: bytes, position: int) -> int:
        """Take what belongs to the body from `position` on; return where it ends. Raises Refusal."""
        part = data[position : position + self._length - len(self.data)]
        self.data += part
        self.complete = len(self.data) == self._length
        self._reader.feed(part, last=self.complete)
        return position + len(part)


class Chunked:
    """A body in chunks. Extensions and trailers are checked and thrown away."""

    __slots__ = ("_chunks", "_left", "_limits", "_reader", "_trailers", "complete", "data")

    def __init__(self, reader: Reader, limits: Limits) -> None:
        """Expect the size of the first chunk."""
        self._reader = reader
        self._limits = limits
        self._chunks = 0
        # Bytes that are left of a chunk, with the line end behind it; of the trailers so far, or -1 before them.
        self._left = 0
        self._trailers = -1
        self.data = bytearray()
        self.complete = False

    def take(self, data: bytes, position: int) -> int:
        """Take what belongs to the body from `position` on; return where it ends, or its last whole line does.

        Raises Refusal.
        """
        while position < len(data) and not self.complete:
            if self._left:
                part = data[position : position + self._left]
                self.data += part[: max(0, self._left - 2)]
                self._left -= len(part)
                self._reader.feed(part, last=False)
            else:
                end = data.find(b"\r\n", position)
                if end < 0:
                    if data.find(b"\n", position) >= 0:
                        raise refusals.malformed("a line ends without CR")
                    self._check_line(len(data) - position)
                    break
                part = data[position : end + 2]
                self._check_line(len(part))
                self._line(part)
            position += len(part)
        return position

    def _check_line(self, length: int) -> None:
        if self._trailers >= 0:
            if self._trailers + length > self._limits.head:
                raise refusals.head(self._limits)
        elif length > LONGEST_LINE:
            raise refusals.malformed("the size of a chunk is too long")

    def _line(self, line: bytes) -> None:
        """Read the size of a chunk, a trailer, or the blank line behind all."""
        if self._trailers >= 0:
            self._trailers += len(line)
            self.complete = line == b"\r\n"
            self._reader.feed(line, last=self.complete)
            return
        self._reader.feed(line, last=False)
        found = _SIZE.fullmatch(line)
        if found is None:
            raise refusals.malformed("the size of a chunk cannot be read")
        size = int(found[1], 16)
        if not size:
            self._trailers = 0
            return
        self._chunks += 1
        if self._chunks > self._limits.chunks:
            raise refusals.chunks(self._limits)
        if len(self.data) + size > self._limits.body:
            raise refusals.body(self._limits)
        self._left = size + 2
