"""Heads of requests, read by llhttp in its strict mode and held to what it lets through.

llhttp sees every byte of a connection. Where a message ends is found here as well, and both must agree: a request
that could be cut in two ways is refused.
"""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from . import refusals
from .limits import Limits
from .messages import CHUNKED, Request

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
# Without a fragment, which is no part of a request; other bytes are judged by llhttp.
_SLASH = ord("/")
_URL = re.compile(rb"(?i:https?)://[^#/?@]+(?:[/?][^#]*)?")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_DIGITS = 15  # of a length
_VERSIONS = ("1.0", "1.1")
_UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)
# Line ends without CR, and NUL, are refused before a head is complete, which it never is where all lines end so.
_STRAY = re.compile(rb"(?<!\r)\n|\0")
_BLANK = b" \t"
_LONGEST_KEPT, _MOST_KEPT = 2_048, 1_024  # bytes of a head that is remembered, and how many of them
# Of which several lines do not make a list.
_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})


class Heads:
    """Heads that were read and found in order, by their bytes.

    Most clients send one and the same head again and again, but for the length of the body. What a head says follows
    from its bytes alone, so that the same bytes need not be read twice.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[bytes, Request] = {}

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._known)

    def find(self, data: bytes) -> Request | None:
        """Return another request with this head, if it is known."""
        known = self._known.get(data)
        return None if known is None else known.again()

    def keep(self, data: bytes, request: Request) -> None:
        """Remember a head, unless it is long, or its body has no length that llhttp has agreed on."""
        if len(data) > _LONGEST_KEPT or request.length == CHUNKED or request.expects:
            return
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        request.memo = {}
        self._known[data] = request.again()


class Reader:
    """Reads the heads of one connection and has llhttp check the bodies behind them."""

    def __init__(self, limits: Limits, heads: Heads) -> None:
        """Refuse what goes beyond `limits`; `heads` are those that all connections with these limits have sent."""
        self._limits = limits
        self._heads = heads
        # Whether the head before was known, so that llhttp has not seen it and must not see its body.
        self._skips = False
        self._fields: dict[bytes, bytes] = {}
        self._repeated = b""
        self._host = b""
        self._in_head = False
        self._keep = False
        self._version = ""
        self._ended = False
        self._parser = HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header line; those behind a chunked body, which llhttp reads as well, are left out."""
        if not self._in_head:
            return
        name = name.lower()
        if name in self._fields:
            if name in _SINGLE:
                self._repeated = name
            self._fields[name] += b", " + value
        else:
            self._fields[name] = value

    def on_headers_complete(self) -> None:
        """Keep what llhttp says of the connection, which it forgets with the message's end."""
        self._in_head = False
        self._keep = self._parser.should_keep_alive()
        self._version = self._parser.get_http_version()

    def on_message_complete(self) -> None:
        """Keep that llhttp is at the end of a message."""
        self._ended = True

    def close(self) -> None:
        """Let the parser go, which refers to this reader."""
        del self._parser

    def check_partial(self, data: bytes, start: int, fresh: int) -> None:
        """Refuse the beginning of a head, from `start`, that cannot become one; bytes before `fresh` were checked.

        Raises Refusal.
        """
        if _STRAY.search(data, max(start, fresh)):
            raise refusals.malformed("a line ends without CR, or a byte is NUL")
        if not _METHOD.match(data, start) and data[start:] != b"\r":
            raise refusals.malformed("it does not begin with a method")
        if len(data) - start > self._limits.target:
            self._check_target(data[start:].partition(b"\r\n")[0].split(b" "))
        if len(data) - start > self._limits.head:
            raise refusals.head(self._limits)

    def read(self, data: bytes) -> Request:
        """Read a whole head, blank line and all, and check it. Raises Refusal."""
        known = self._heads.find(data)
        self._skips = known is not None
        if known is not None:
            return known
        limits = self._limits
        line = data[: data.index(b"\r\n")]
        parts = line.split(b" ")
        # llhttp skips any line ends before a method; blank lines have been skipped already.
        if len(parts) != 3 or data[0] <= 32:
            self._check_target(parts)
            raise refusals.malformed("its first line is not `METHOD TARGET HTTP/1.1`")
        method, target, version = parts
        if len(target) > limits.target:
            raise refusals.target(limits)
        lines = data.count(b"\n")
        if len(data) > limits.head or lines - 2 > limits.fields:
            raise refusals.head(limits)
        if lines != data.count(b"\r\n"):
            raise refusals.malformed("a line ends without CR")
        if version == b"HTTP/1.1":
            minor = 1
        elif version == b"HTTP/1.0":
            minor = 0
        elif _VERSION.fullmatch(version):
            raise refusals.version(version.decode())
        else:
            raise refusals.malformed("its first line does not end with HTTP/1.1")
        self._parse(data, method)
        fields = self._fields
        # `keep-alive, close`: in HTTP/1.0 llhttp would stay.
        keep = self._keep and (minor == 1 or b"close" not in fields[b"connection"].lower())
        if self._repeated == b"host":
            raise refusals.host("several Hosts")
        if self._repeated:
            raise refusals.malformed(f"{self._repeated.decode()} is repeated")
        if (target[0] != _SLASH or b"#" in target) and not _URL.fullmatch(target) and line[:10] != b"OPTIONS * ":
            raise refusals.malformed("its target is neither a path nor a URL of HTTP")
        host = fields.get(b"host")
        if host is None:
            if minor:
                raise refusals.host("no Host")
        elif host != self._host:  # the same in every request of most connections
            if not _HOST.fullmatch(host.rstrip(_BLANK)):
                raise refusals.host("a Host that is no name")
            self._host = host
        length = self._length(minor)
        expects = False
        if minor and b"expect" in fields:
            expectation = fields[b"expect"].rstrip(_BLANK)
            if expectation.lower() != b"100-continue":
                raise refusals.expectation(expectation[:40].decode("latin-1"))
            expects = length != 0
        if self._ended != (length == 0) or self._version != _VERSIONS[minor]:
            # llhttp takes `GET /` and a line end for HTTP/0.9, with headers behind it.
            raise refusals.malformed("it can be read in two ways")
        request = Request(
            method.decode(), target.decode(), fields, minor=minor, keep=keep, length=length, expects=expects
        )
        self._heads.keep(data, request)
        return request

    def feed(self, data: bytes, *, last: bool) -> None:
        """Have llhttp check a part of a body. `last`: whether the body ends with it. Raises Refusal."""
        if self._skips:  # of the same head llhttp has said before where the body ends
            return
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise refusals.malformed(_reason(error)) from None
        if self._ended != last:
            raise refusals.malformed("its length can be read in two ways")

    def _parse(self, data: bytes, method: bytes) -> None:
        self._fields, self._repeated = {}, b""
        self._in_head, self._ended = True, False
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            if method == b"CONNECT":
                raise refusals.method("CONNECT") from None
            # Another protocol is offered, and not taken. llhttp would leave the body to it: it reads the offer as a
            # header of another name.
            self._parser = HttpRequestParser(self)
            self._parse(_UPGRADE.sub(b"ignored", data), method)
        except HttpParserInvalidMethodError:
            if _METHOD.fullmatch(method):
                raise refusals.method(method.decode()) from None
            raise refusals.malformed("it does not begin with a method") from None
        except HttpParserError as error:
            raise refusals.malformed(_reason(error)) from None

    def _check_target(self, parts: list[bytes]) -> None:
        if len(parts) > 1 and len(parts[1]) > self._limits.target:
            raise refusals.target(self._limits)

    def _length(self, minor: int) -> int:
        """Return the bytes of the body, 0 without one, or CHUNKED. Raises Refusal."""
        fields = self._fields
        if b"transfer-encoding" in fields:
            coding = fields[b"transfer-encoding"].rstrip(_BLANK)
            if coding.lower() != b"chunked" or not minor or b"content-length" in fields:
                raise refusals.encoding(coding[:40].decode("latin-1"))
            return CHUNKED
        if b"content-length" not in fields:
            return 0
        told = fields[b"content-length"].rstrip(_BLANK)
        if not told.isdigit():
            raise refusals.malformed("its length is no number")
        if len(told) > _DIGITS or int(told) > self._limits.body:
            raise refusals.body(self._limits)
        return int(told)


def _reason(error: HttpParserError) -> str:
    return str(error)[:1].lower() + str(error)[1:].replace("`", "")
