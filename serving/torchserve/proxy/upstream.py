"""Connections from the proxy to TorchServe: each has one request at a time and is used again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import httptools

from ....handlers.request.refusals import Refusal
from ...embedded.http import Fields, Request, Response

# Of one connection, by RFC 9110, and what the server in front writes by itself.
_OWN = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"content-length", b"expect")
)
_WRITTEN = _OWN | {b"date"}
_IDLE = 256  # connections that are kept


class Broken(Exception):
    """TorchServe closed a connection before it had answered."""

    def __init__(self, *, begun: bool) -> None:
        """`begun`: whether a part of the answer came."""
        super().__init__("TorchServe closed the connection")
        self.begun = begun


class Upstream:
    """All connections to one address."""

    def __init__(self, host: str, port: int, source: str | None) -> None:
        """Connect to `host` and `port` from the address `source`; None: as the system chooses."""
        self._address = host, port
        self._source = None if source is None else (source, 0)
        self._idle: list[_Connection] = []

    async def ask(self, request: Request, target: str) -> Response:
        """Return TorchServe's answer to a request that is sent to the path and query of `target`.

        Raises Refusal, 502, if it gives none.
        """
        head = _head(request, target)
        while True:
            connection = self._idle.pop() if self._idle else None
            fresh = connection is None
            if connection is None:
                connection = await self._connect()
            try:
                response = await connection.ask(head, request.body, bodiless=request.method == "HEAD")
            except Broken as broken:
                if fresh or broken.begun:
                    raise _refused("it closed the connection before it had answered") from None
                continue  # it had closed an idle one just then
            except BaseException:
                connection.close()
                raise
            if connection.is_open and len(self._idle) < _IDLE:
                self._idle.append(connection)
            else:
                connection.close()
            return response

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._forget), *self._address, local_addr=self._source
            )
        except OSError as error:
            raise _refused(error.strerror or str(error)) from None
        return connection

    def _forget(self, connection: _Connection) -> None:
        with suppress(ValueError):
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    def __init__(self, lost: Callable[[_Connection], None]) -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._bodiless = False
        self._keeps = True

    @property
    def is_open(self) -> bool:
        """Whether it can have another request."""
        return self._keeps and self._transport is not None and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes, *, bodiless: bool) -> Response:
        """Send a request and return the answer. Raises Broken."""
        if self._transport is None or self._transport.is_closing():
            raise Broken(begun=False)
        self._parser = httptools.HttpResponseParser(self)
        self._pairs: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._begun, self._bodiless = False, bodiless
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines((head, body) if body else (head,))
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nothing was asked
            self.close()
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()
            self.close()

    def eof_received(self) -> None:
        return None  # closes

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost(self)
        self._fail()

    def _fail(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(begun=self._begun))

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        if self._bodiless:  # nothing follows, whatever its length says
            self._keeps = False
            self._finish()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._keeps = self._keeps and self._parser.should_keep_alive()
        self._finish()

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done() and self._parser.get_status_code() >= 200:
            pairs = [
                (name.decode("latin-1"), value.decode("latin-1").strip())
                for name, value in self._pairs
                if name.lower() not in _WRITTEN
            ]
            try:
                response = Response(self._parser.get_status_code(), b"".join(self._parts), Fields(*pairs))
            except ValueError as error:  # headers that may not be passed on
                self._answer.set_exception(_refused(str(error)))
            else:
                self._answer.set_result(response)


def _head(request: Request, target: str) -> bytes:
    lines = [f"{request.method} {target} HTTP/1.1\r\n".encode()]
    lines += [b"%b: %b\r\n" % (name, value) for name, value in request.fields.items() if name not in _OWN]
    if b"host" not in request.fields:
        lines.append(b"host: localhost\r\n")
    if request.body or request.length:
        lines.append(b"content-length: %d\r\n" % len(request.body))
    return b"".join((*lines, b"\r\n"))


def _refused(reason: str) -> Refusal:
    return Refusal(
        502,
        f"TorchServe gave no answer to the proxy of a canary: {reason}.",
        "a server that runs; ask again in a second",
        code="LX-HTTP-140",
    )
