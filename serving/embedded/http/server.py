"""The server: sockets, connections and their times, counts, and the end without a lost request."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from ...listening import drop_new, unaccepted
from . import refusals
from .limits import Limits
from .messages import Admission, Handler, Refuser
from .protocol import Connection
from .reader import Heads
from .room import Room

BACKLOG = 1_024
"""Connections that the system completes before they are accepted; Linux caps it by `net.core.somaxconn`."""
# uvloop accepts one connection of a socket in a turn of the loop, and a turn may be a batch of a slow model long.
_AT_ONCE = 8
_TURNED_AWAY = 64  # connections too many that are told so at once; further ones are cut
_GRACE = 1.0  # seconds since the last answer, or the connection's start, after which a draining server closes it
_SETTLE = 0.005  # seconds that the system has to complete connections that are under way; it needs less
_CROWDED = 7 / 8  # of the places, beyond which idle connections make room for others sooner
_TICKS = 4  # checks within the shortest of the times


@dataclass
class Counts:
    """What happened since the start."""

    connections: int = 0
    """Accepted, those too many included."""
    requests: int = 0
    """Handed to the handler."""
    refused: Counter[str] = field(default_factory=Counter)
    """Answered by the server itself or refused by the handler's errors, by code (docs/errors.md)."""
    statuses: Counter[int] = field(default_factory=Counter)
    """The same by status."""
    ended: Counter[str] = field(default_factory=Counter)
    """Connections ended by the server: `idle`, `write` (the client did not read), `drain` (cut when time was up)."""


class Server:
    """An HTTP/1.1 server in the running loop. `start`, then `drain` or `close`."""

    def __init__(
        self,
        handle: Handler,
        limits: Limits | None = None,
        *,
        admit: Admission | None = None,
        refuse: Refuser | None = None,
    ) -> None:
        """Have `handle` answer requests within `limits`.

        `admit` is asked about requests with a body before it is read, and before `100 Continue`: it may answer
        what lacks a token. The connection is closed after such an answer. `refuse` makes the answers of refusals.
        """
        self.handle = handle
        self.admit = admit
        self.refuse = refuse or (lambda refusal, request: refusals.response(refusal))
        self.limits = limits or Limits()
        self.counts = Counts()
        self.heads = Heads()
        """Heads of requests that need not be read again."""
        self.idle_seconds = self.limits.idle_seconds
        """How long a connection may be idle now."""
        self.draining = False
        self.date = b""
        """The header line of the date."""
        self.room = Room(self.limits.bodies, refusals.crowded)
        """What long bodies take, from their first byte to their answer."""
        self.unread = Room(self.limits.answers, refusals.unread)
        """What answers take that clients have not read."""
        self._listening: list[asyncio.Server] = []
        self._bound: list[asyncio.Server] = []  # those of them that are no duplicates of another
        self._connections: set[Connection] = set()
        self._turned_away: set[Connection] = set()
        self._empty: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(
            0.5, *(value / _TICKS for name, value in vars(self.limits).items() if name.endswith("seconds"))
        )

    @property
    def connections(self) -> int:
        """Connections that are open, without those that were too many."""
        return len(self._connections)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens at. Raises RuntimeError if it does not."""
        if not self._listening or not self._listening[0].sockets:
            raise RuntimeError("the server does not listen; call `start` first")
        host, port = self._listening[0].sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def start(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        listening: socket.socket | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Listen at `host` and `port`, 0 being any free port, or with a socket that is bound.

        `ssl_context`: speak TLS; its handshakes have `head_seconds`. Raises OSError if that cannot be.
        """
        limits = self.limits
        options: dict[str, Any] = {"backlog": BACKLOG, "ssl": ssl_context}
        if ssl_context is not None:
            options |= {
                "ssl_handshake_timeout": limits.head_seconds,
                "ssl_shutdown_timeout": limits.linger_seconds,
            }
        if listening is None:
            options |= {"host": host, "port": port, "reuse_address": True}
        else:
            options["sock"] = listening
        await self._listen(options)
        self._check()

    async def listen(self, listening: socket.socket) -> None:
        """Listen with another socket too, once the server has started. Raises OSError if that cannot be."""
        await self._listen({"backlog": BACKLOG, "sock": listening})

    async def _listen(self, options: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        first = await loop.create_server(lambda: Connection(self), **options)
        self._listening.append(first)
        self._bound.append(first)
        if not isinstance(loop, asyncio.SelectorEventLoop):  # asyncio's accepts as many as there are
            options = {
                name: value for name, value in options.items() if name not in ("host", "port", "reuse_address")
            }
            for one in first.sockets:
                for _ in range(_AT_ONCE - 1):
                    options["sock"] = socket.socket(fileno=os.dup(one.fileno()))
                    self._listening.append(await loop.create_server(lambda: Connection(self), **options))

    async def drain(self, seconds: float, *, shared: bool = False) -> int:
        """Stop: accept nothing more, answer what is under way within `seconds`, close. Return how many were cut.

        `shared`: the listening socket stays open elsewhere, and new connections wait for whoever accepts there.
        Connections that have been idle for a second are closed at once. The others may ask once more; their last
        answers say `Connection: close`.
        """
        self.draining, self.idle_seconds = True, self.limits.idle_seconds
        if self._listening and not shared:
            await asyncio.gather(*map(_settle, self._bound))
        self._stop_listening()
        for connection in list(self._connections):
            connection.drain(_GRACE)
        if self._connections:
            self._empty = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)
        cut = len(self._connections)
        self.counts.ended["drain"] += cut
        self.close()
        return cut

    def close(self) -> None:
        """Stop at once: cut every connection."""
        self.draining = True
        self._stop_listening()
        if self._timer is not None:
            self._timer.cancel()
        for connection in [*self._connections, *self._turned_away]:
            connection.abort()

    def opened(self, connection: Connection) -> bool | None:
        """Take in a new connection: True; or say that there are too many, False; None if it is to be cut unheard.

        Those too many are answered rather than left waiting for `accept`: a load balancer goes elsewhere at once.
        """
        self.counts.connections += 1
        if len(self._connections) < self.limits.connections:
            self._connections.add(connection)
            return True
        if len(self._turned_away) < _TURNED_AWAY:
            self._turned_away.add(connection)
            return False
        return None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._turned_away.discard(connection)
        if self._empty is not None and not self._connections:
            self._empty.set()

    def cut_most_unread(self) -> None:
        """Cut the connection whose client has left most unread."""
        max(self._connections, key=lambda connection: connection.unread).cut_unread()

    def _stop_listening(self) -> None:
        for one in self._listening:
            one.close()

    def _check(self) -> None:
        """End what takes too long, and set the date."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        limits = self.limits
        crowded = not self.draining and len(self._connections) > limits.connections * _CROWDED
        self.idle_seconds = min(limits.idle_seconds, limits.short_idle_seconds) if crowded else limits.idle_seconds
        for connection in [*self._connections, *self._turned_away]:
            connection.check(now)
        self._timer = loop.call_later(self._tick, self._check)


async def _settle(listening: asyncio.Server) -> None:
    """Let no new connection begin, and wait until those that the system has completed are accepted.

    Where a listening socket is closed with connections that nobody has accepted, the system resets them, and with
    them the requests that they have sent.
    """
    sockets = [socket.socket(fileno=os.dup(one.fileno())) for one in listening.sockets]
    try:
        for one in sockets:
            drop_new(one)
        await asyncio.sleep(_SETTLE)
        for _ in range(200):
            if not any(map(unaccepted, sockets)):
                break
            await asyncio.sleep(_SETTLE)
    except (OSError, AttributeError):  # another system than Linux: what it has accepted by now is served
        await asyncio.sleep(0)
    finally:
        for one in sockets:
            one.close()
    await asyncio.sleep(0)
