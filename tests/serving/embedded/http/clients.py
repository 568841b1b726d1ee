"""A server in the test's own loop, clients that send any bytes, and a connection without sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from lexport.serving.embedded.http import Fields, Limits, Request, Response, Server, new_event_loop
from lexport.serving.embedded.http.protocol import Connection

T = TypeVar("T")
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PATIENCE = 10  # seconds until a test fails rather than waits
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": new_event_loop}
PLAIN = Fields(("content-type", "text/plain"))


class Answer(NamedTuple):
    """One answer: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(json.loads(self.body)["code"])


def run(main: Coroutine[Any, Any, T], loop: str = "asyncio") -> T:
    """Run a coroutine to its end in a loop of one of LOOPS."""

    async def patiently() -> T:
        async with asyncio.timeout(PATIENCE):
            return await main

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(patiently())


def echo(request: Request) -> Response:
    """Answer with method, target and body."""
    return Response(200, b"%s %s %s" % (request.method.encode(), request.target.encode(), request.body), PLAIN)


class Held:
    """A handler whose answers come when the test says so."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.futures: list[asyncio.Future[Response]] = []

    def __call__(self, request: Request) -> asyncio.Future[Response]:
        self.requests.append(request)
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def answer(self, place: int) -> None:
        self.futures[place].set_result(echo(self.requests[place]))

    async def until(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < count:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    handle: Callable[[Request], Response | Awaitable[Response]] = echo,
    limits: Limits | None = None,
    admit: Callable[[Request], Response | None] | None = None,
) -> AsyncIterator[Server]:
    """A server at a free port."""
    server = Server(handle, limits, admit=admit)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        server.close()
        await asyncio.sleep(0)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer, an interim one too."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        assert re.fullmatch("HTTP/1.1 [0-9]{3} [A-Za-z' -]*", first)
        fields = [line.split(": ", 1) for line in lines]
        assert len({name.lower() for name, _ in fields}) == len(fields)
        return int(first[9:12]), {name.lower(): value for name, value in fields}

    async def answer(self, *, bodiless: bool = False) -> Answer:
        status, headers = await self.head()
        body = b"" if bodiless else await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)

    async def nothing(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes for so long, and the connection stays open."""
        try:
            await asyncio.wait_for(self._reader.read(1), seconds)
        except TimeoutError:
            return True
        return False

    async def closed(self) -> bool:
        """Whether the server closes without another byte."""
        try:
            return await self._reader.read() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Client]:
    """A connection to the server."""
    client = Client(*await asyncio.open_connection(*server.address))
    try:
        yield client
    finally:
        client.writer.transport.abort()


async def ask(server: Server, data: bytes) -> Answer:
    """The first answer to some bytes."""
    async with connected(server) as client:
        client.send(data)
        return await client.answer()


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.ended = True

    abort = close


class Seen(NamedTuple):
    """What a handler was given."""

    method: str
    target: str
    fields: dict[bytes, bytes]
    body: bytes


async def read(
    pieces: list[bytes], limits: Limits | None = None, *, before: list[bytes] | None = None
) -> tuple[list[Seen], list[int]]:
    """The requests that a connection reads in some pieces, and the statuses that it answers by itself.

    `before`: what another connection has sent to the same server.
    """
    seen: list[Seen] = []

    def handle(request: Request) -> Response:
        seen.append(Seen(request.method, request.target, request.fields, request.body))
        return Response(299)

    server = Server(handle, limits)
    if before is not None:
        await _sent(server, before)
        seen.clear()
    written = await _sent(server, pieces)
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", written)]
    return seen, [status for status in statuses if status not in (100, 299)]


async def _sent(server: Server, pieces: list[bytes]) -> bytes:
    """What a connection answers to some pieces."""
    wire, connection = Wire(), Connection(server)
    connection.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        connection.data_received(piece)
        # Reading is held back for a turn of the loop after a number of requests.
        while connection._held_back:
            await asyncio.sleep(0)
    connection.connection_lost(None)
    return bytes(wire.written)
