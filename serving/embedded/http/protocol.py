"""One connection: requests are read, handed on, and answered in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from ....handlers.request.refusals import Refusal
from . import refusals
from .exchanges import Exchange
from .intake import Intake
from .later import Later
from .messages import Request, Response, render
from .phases import Phase

if TYPE_CHECKING:
    from .server import Server

WRITE_BUFFER = 1 << 16
"""Bytes of answers that wait for a client to read; with more, no further request of it is read."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


# An enumeration's members are slow to look up.
_FRESH, _IDLE, _HEAD, _BODY, _ANSWER, _LAST, _LINGER = Phase


class Connection(asyncio.Protocol):
    """The protocol of one connection; its times are watched by the server, which calls `check`."""

    def __init__(self, server: Server) -> None:
        """Serve for `server`, whose handler, limits and counts it uses."""
        self._server = server
        self._limits = server.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._peer: Any = None
        self._intake = Intake(server.limits, server.heads, self._on_head)
        self._pending: deque[Exchange] = deque()
        self._phase = _FRESH
        self._since = self._loop.time()
        # Whether requests stay unread for now, and whether the transport reads.
        self._held_back = False
        self._reading = True
        self._owes_continue = False
        # When a client that does not read will be cut off.
        self._write_by: float | None = None
        # Bytes of the body that is arriving, as the server counts them.
        self._reserved = 0
        self.unread = 0
        """Bytes of answers that the client leaves unread, as the server counts them."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or say that there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._peer = transport.get_extra_info("peername")
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        admitted = self._server.opened(self)
        if admitted is None:
            self._transport.abort()
        elif not admitted:
            self._refuse(refusals.full(self._limits))

    def data_received(self, data: bytes) -> None:
        """Read what came, unless the connection is about to end: then it is thrown away."""
        if self._phase is not _LAST and self._phase is not _LINGER:
            self._intake.add(data)
            self._read()

    def eof_received(self) -> None:
        """Close: a client that sends no more is taken for one that has gone, and what it waits for is given up.

        So does nginx. Otherwise answers would be made for every client that ran out of patience.
        """

    def connection_lost(self, error: Exception | None) -> None:
        """Give up what the client waited for."""
        pending, self._pending = self._pending, deque()
        self._phase = _LINGER
        self._reserve(0)
        self._count_unread(0)
        self._intake.close()
        self._server.closed(self)
        for exchange in pending:
            exchange.cancel()

    def pause_writing(self) -> None:
        """Read no more: the client does not read its answers."""
        waiting = self._transport.get_write_buffer_size()
        self._write_by = self._loop.time() + self._limits.write_seconds + waiting / self._limits.least_rate
        self._hold_back()
        self._count_unread(waiting)

    def resume_writing(self) -> None:
        """Read again."""
        self._write_by = None
        self._count_unread(0)
        self._go_on()

    # What the server calls.

    def check(self, now: float) -> None:
        """End what takes too long at the loop's time `now`, in seconds."""
        limits, phase, took = self._limits, self._phase, now - self._since
        if self._write_by is not None and now > self._write_by:
            self.cut_unread()
        elif phase is _LINGER:
            if took > limits.linger_seconds + self._transport.get_write_buffer_size() / limits.least_rate:
                self._transport.abort()
        elif self._held_back:
            return
        elif phase is _HEAD:
            if took > limits.head_seconds:
                self._refuse(refusals.slow_head(limits))
        elif phase is _BODY:
            if self._reserved < (took - limits.body_seconds) * limits.least_rate:
                self._refuse(refusals.slow_body(limits))
        elif (phase is _IDLE and took > self._server.idle_seconds) or (
            phase is _FRESH and took > limits.head_seconds
        ):
            self._server.counts.ended["idle"] += 1
            self._finish()

    def drain(self, grace: float) -> None:
        """Close once nothing has come for `grace` seconds: the next request may be on its way."""
        limits = {_IDLE: self._limits.idle_seconds, _FRESH: self._limits.head_seconds}
        if self._phase in limits:
            self._since -= max(0.0, limits[self._phase] - grace)
            self.check(self._loop.time())

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def cut_unread(self) -> None:
        """Cut the connection, whose client does not read."""
        self._server.counts.ended["write"] += 1
        self._count_unread(0)
        self._transport.abort()

    def _read(self) -> None:
        """Hand on as many requests as are here and may be."""
        intake, pending, most = self._intake, self._pending, self._limits.pipelined
        turn, now = most, self._loop.time()
        try:
            while intake.unread and self._phase is not _LAST and self._phase is not _LINGER:
                if (len(pending) >= most or not turn or self._write_by is not None) and intake.body is None:
                    self._hold_back()
                    if not turn:  # Others have theirs, even where all answers are made at once.
                        self._loop.call_soon(self._go_on)
                    return
                request = intake.next()
                if request is None:
                    break
                turn -= 1
                request.arrived = now
                self._hand_on(request)
            if intake.body is not None:
                self._reserve(len(intake.body.data))
                return
        except Refusal as refusal:
            self._refuse(refusal)
        if self._phase is _LAST or self._phase is _LINGER:
            intake.clear()  # what came behind the last request
        elif intake.unread and self._phase is not _HEAD:
            self._phase, self._since = _HEAD, self._loop.time()

    def _on_head(self, request: Request, begun: bool) -> bool:
        """Decide whether to read a request's body; `begun`: whether some of it is here."""
        if self._server.admit is not None:
            request.peer, request.arrived = self._peer, self._loop.time()
            refused = self._server.admit(request)
            if refused is not None:
                self._last(request, refused)
                return False
        self._phase, self._since = _BODY, self._loop.time()
        if request.expects and not begun:
            self._owes_continue = True
            self._continue()
        return True

    def _continue(self) -> None:
        """Ask for a body that the client holds back, once all earlier answers are written."""
        if self._owes_continue and not self._pending:
            self._owes_continue = False
            self._since = self._loop.time()
            self._transport.write(_CONTINUE)

    def _reserve(self, size: int) -> None:
        """Count `size` bytes of a body that arrives. Raises Refusal if all bodies together become too long."""
        self._server.room.take(size - self._reserved)
        self._reserved = size

    def _count_unread(self, size: int) -> None:
        """Count `size` bytes of answers that the client has not read."""
        kept = self._server.unread
        kept.taken += size - self.unread
        self.unread = size
        if size and kept.taken > kept.most:
            self._server.cut_most_unread()

    def _hold_back(self) -> None:
        self._held_back = True
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Read on where reading was held back and nothing is in its way any more."""
        if not self._held_back or self._write_by is not None or len(self._pending) >= self._limits.pipelined:
            return
        self._held_back = False
        self._since = self._loop.time()
        if self._intake.unread:
            self._read()
        if not self._held_back:
            self._read_on()

    def _read_on(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def _hand_on(self, request: Request) -> None:
        """Have the handler answer, now or later."""
        request.peer = self._peer
        if self._reserved:
            self._reserve(len(request.body))
        held, self._reserved = self._reserved, 0
        self._owes_continue = False
        self._phase = _ANSWER if request.keep else _LAST
        exchange = Exchange(request, self)
        self._pending.append(exchange)
        self._server.counts.requests += 1
        try:
            answer = self._server.handle(request)
        except Exception as error:
            exchange.fail(error, request)
        else:
            if not isinstance(answer, Response):
                exchange.wait(answer if isinstance(answer, Later) else asyncio.ensure_future(answer), request, held)
                return
            exchange.response = answer
        if not request.keep:  # the handler has decided so, perhaps
            exchange.keep, self._phase = False, _LAST
        self.free(held)
        self.flush()

    def free(self, held: int) -> None:
        """Count the bytes of a body no more whose request has its answer."""
        if held:
            self._server.room.free(held)

    def flush(self) -> None:
        """Write the answers that are ready and whose turn it is."""
        pending, server = self._pending, self._server
        keep = True
        parts = []
        while pending and (response := pending[0].response) is not None:
            exchange = pending.popleft()
            last = not pending and self._phase is _ANSWER and not self._intake.unread
            keep = exchange.keep and not (server.draining and last)
            parts.append(render(response, server.date, minor=exchange.minor, bodiless=exchange.bodiless, keep=keep))
        if parts:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
            if self.unread:
                self._count_unread(self._transport.get_write_buffer_size())
        if not keep:
            self._finish()
            return
        if not pending:
            if self._phase is _ANSWER:
                self._phase, self._since = _IDLE, self._loop.time()
            elif self._owes_continue:
                self._continue()
        if self._held_back:
            self._go_on()

    def refused(self, refusal: Refusal, request: Request) -> Response:
        """Return the answer of a refusal, and count it."""
        self._server.counts.refused[refusal.body["code"]] += 1
        self._server.counts.statuses[refusal.status] += 1
        return self._server.refuse(refusal, request)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be read, after all that could, and close."""
        unread = Request("", "", {})
        self._last(unread, self.refused(refusal, unread))

    def _last(self, request: Request, response: Response) -> None:
        """Answer a request of which nothing more is read, and close."""
        exchange = Exchange(request, self)
        exchange.keep, exchange.response = False, response
        self._pending.append(exchange)
        self._phase, self._owes_continue = _LAST, False
        self._intake.clear()
        self._reserve(0)
        # What still comes is thrown away as it comes, so that the client gets to read the answer.
        self._read_on()
        self.flush()

    def _finish(self) -> None:
        """Close once all is written.

        What the client still sends after its last answer is thrown away for a while: closed at once, the connection
        would be reset, and the client's system may drop the answer then.
        """
        if self._transport.is_closing():
            return
        last = self._phase is _LAST
        self._phase, self._since = _LINGER, self._loop.time()
        if last and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
