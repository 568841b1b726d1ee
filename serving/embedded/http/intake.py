"""The bytes of a connection, cut into requests."""

from __future__ import annotations

from collections.abc import Callable

from .bodies import Chunked, Sized
from .limits import Limits
from .messages import CHUNKED, Request
from .reader import Heads, Reader

_HEAD_END = b"\r\n\r\n"


class Intake:
    """Holds what was received and not read: one request's beginning, or requests that nobody has asked for yet."""

    __slots__ = ("_begun", "_checked", "_data", "_limits", "_on_head", "_position", "_reader", "body")

    def __init__(self, limits: Limits, heads: Heads, on_head: Callable[[Request, bool], bool]) -> None:
        """Read within `limits`; `heads` are those known of all connections.

        `on_head` is called with a request whose body has not arrived with its head, and whether some of it has. It
        returns whether the body is to be read.
        """
        self._limits = limits
        self._on_head = on_head
        self._reader = Reader(limits, heads)
        self._data = b""
        self._position = 0
        # How many of the bytes have been searched for the end of a head.
        self._checked = 0
        self._begun: Request | None = None
        self.body: Sized | Chunked | None = None
        """The body that is arriving."""

    @property
    def unread(self) -> bool:
        """Whether there are bytes that have not been read."""
        return self._position < len(self._data)

    def add(self, data: bytes) -> None:
        """Take what was received."""
        if self._position < len(self._data):
            rest = self._data[self._position :]
            self._checked = len(rest)
            self._data = rest + data
        else:
            self._checked = 0
            self._data = data
        self._position = 0

    def clear(self) -> None:
        """Forget everything, and read no more."""
        self._data, self._position = b"", 0
        self._begun = self.body = None

    def close(self) -> None:
        """Let the parser go."""
        self.clear()
        self._reader.close()

    def next(self) -> Request | None:
        """Return the next request with its body, or None if it is not all here. Raises Refusal."""
        if self.body is not None:
            return self._rest_of_body()
        data, start = self._data, self._position
        while data.startswith(b"\r\n", start):  # RFC 9112, 2.2: blank lines before a request
            start += 2
        self._position = start
        end = data.find(_HEAD_END, max(start, self._checked - 3)) + 4
        if end < 4:
            if start < len(data):
                self._reader.check_partial(data, start, self._checked)
            return None
        request = self._reader.read(data[start:end])
        self._position = end
        length = request.length
        if length == 0:
            return request
        here = len(data) - end
        if not self._on_head(request, here > 0):
            return None
        if 0 < length <= here:
            request.body = data[end : end + length]
            self._position = end + length
            self._reader.feed(request.body, last=True)
            return request
        self._begun = request
        self.body = Chunked(self._reader, self._limits) if length == CHUNKED else Sized(self._reader, length)
        return self._rest_of_body()

    def _rest_of_body(self) -> Request | None:
        body, request = self.body, self._begun
        assert body is not None
        self._position = body.take(self._data, self._position)
        if not body.complete or request is None:
            return None
        request.body = bytes(body.data)
        self._begun = self.body = None
        return request
