"""Requests and responses, as the code behind the server sees them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from ....handlers.request.refusals import Refusal

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A value that no client reads as two: visible ASCII, with blanks inside.
_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")
# What the server writes by itself, by framing and state of the connection.
_OWN = frozenset({"connection", "content-length", "date", "keep-alive", "trailer", "transfer-encoding", "upgrade"})

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BODILESS = frozenset({204, 304})


CHUNKED = -1
"""The length of a body that comes in chunks."""


class Request:
    """One request. Methods and names are as RFC 9110 has them: the first in capitals, the second in any case."""

    __slots__ = (
        "arrived",
        "body",
        "expects",
        "fields",
        "keep",
        "length",
        "memo",
        "method",
        "minor",
        "peer",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        fields: dict[bytes, bytes],
        *,
        minor: int = 1,
        keep: bool = True,
        length: int = 0,
        expects: bool = False,
    ) -> None:
        """Make a request whose body has not been read."""
        self.method = method
        self.target = target
        """Path and query as they were sent, or an absolute URL, or `*`."""
        self.fields = fields
        """Header values by lower-case name; several lines of one name are joined by commas. Not to be changed."""
        self.minor = minor
        """1 for HTTP/1.1, 0 for HTTP/1.0."""
        self.keep = keep
        """Whether the connection may stay open after the answer; a handler that answers at once may say no."""
        self.length = length
        """Bytes of the body, or CHUNKED."""
        self.expects = expects
        """Whether the client waits for `100 Continue` before it sends the body."""
        self.body = b""
        self.peer: Any = None
        """What the socket calls the other side: (address, port) or (address, port, flow, scope)."""
        self.arrived = 0.0
        """Time of the loop at which the last of it was received, in seconds; for `Admission`, of its head."""
        self.memo: dict[object, Any] | None = None
        """What a handler wants to know again of requests with the same head, byte by byte; None if none will come."""

    def again(self) -> Request:
        """Return another request with the same head."""
        other = Request.__new__(Request)
        other.method, other.target, other.fields = self.method, self.target, self.fields
        other.minor, other.keep, other.length, other.expects = self.minor, self.keep, self.length, self.expects
        other.body, other.peer, other.arrived, other.memo = b"", None, 0.0, self.memo
        return other

    @property
    def path(self) -> str:
        """The path, percent signs and all; `*` of `OPTIONS *`."""
        return self._local.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark, as it was sent."""
        return self._local.partition("?")[2]

    @property
    def _local(self) -> str:
        if self.target[0] in "/*":
            return self.target
        _, _, behind = self.target.partition("://")
        place = re.search("[/?]", behind)
        local = behind[place.start() :] if place else ""
        return local if local.startswith("/") else f"/{local}"

    def header(self, name: str) -> str | None:
        """Return the value of the header called `name`, in lower case, or None. Bytes above 127 read as Latin-1."""
        value = self.fields.get(name.encode())
        return None if value is None else value.decode("latin-1").rstrip(" \t")


class Fields:
    """Header lines of answers, checked and written once and used for many.

    No name or value can end a line or a head: raises ValueError for a name that is no token or that the server
    writes by itself, and for a value with other characters than visible ASCII and blanks between them.
    """

    __slots__ = ("lines",)

    def __init__(self, *pairs: tuple[str, str]) -> None:
        """`pairs` of name and value."""
        self.lines = b"".join(_line(name, value) for name, value in pairs)

    def with_line(self, line: bytes) -> Fields:
        """Return these lines and one more, which is known to be in order and ends with CRLF."""
        more = Fields.__new__(Fields)
        more.lines = self.lines + line
        return more

    def also(self, name: str, value: str) -> Fields:
        """Return these lines and one more. Raises ValueError as for the others."""
        return self.with_line(_line(name, value))


def _line(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name) or name.lower() in _OWN:
        raise ValueError(f"a header cannot be called {name!r}; expected a token that the server does not write")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the header {name} cannot be {value!r}; expected visible ASCII characters")
    return f"{name}: {value}\r\n".encode()


JSON = Fields(("content-type", "application/json"))


class Response:
    """An answer: status, body, headers. Its length, date and fate of the connection are written by the server."""

    __slots__ = ("body", "fields", "status")

    def __init__(self, status: int, body: bytes = b"", fields: Fields = JSON) -> None:
        """`status`: 200 to 599, final; 204 and 304 have no body. Raises ValueError for others."""
        if not 200 <= status <= 599 or (body and status in _BODILESS):
            raise ValueError(f"an answer cannot have the status {status} and {len(body)} bytes of body")
        self.status = status
        self.body = body
        self.fields = fields


Handler = Callable[[Request], Response | Awaitable[Response]]
"""Answers a request at once, or by a future or coroutine, which is cancelled when the client has gone."""

Admission = Callable[[Request], Response | None]
"""Answers a request whose body has not been read, or returns None, and it is read and handled."""

Refuser = Callable[[Refusal, Request], Response]
"""Makes the answer of a refusal; the request has no path where not even its head could be read."""


def render(response: Response, date: bytes, *, minor: int, bodiless: bool, keep: bool) -> bytes:
    """Return the bytes of an answer to HTTP/1.`minor`; without its body for HEAD.

    `date`: the line of the date; `keep`: whether the connection stays open.
    """
    stays = b"\r\n" if minor else b"connection: keep-alive\r\n\r\n"
    status, body = response.status, response.body
    return b"".join(
        (
            _LINES.get(status) or b"HTTP/1.1 %d \r\n" % status,
            response.fields.lines,
            date,
            b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body),
            stays if keep else b"connection: close\r\n\r\n",
            b"" if bodiless else body,
        )
    )
