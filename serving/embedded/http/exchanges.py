"""Requests that wait for their answers, in order."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ....handlers.request.refusals import Refusal
from . import refusals
from .later import Later
from .messages import Request, Response

if TYPE_CHECKING:
    from .protocol import Connection

log = logging.getLogger("lexport")


class Exchange:
    """A request that was handed on, until its answer has been written."""

    __slots__ = ("_connection", "_held", "_request", "bodiless", "future", "keep", "minor", "response")

    def __init__(self, request: Request, connection: Connection) -> None:
        """Wait for the answer to a `request` of `connection`."""
        self._connection = connection
        self._request: Request | None = None
        # Bytes that its body takes of the server's room.
        self._held = 0
        self.minor = request.minor
        self.bodiless = request.method == "HEAD"
        self.keep = request.keep
        """Whether the connection may stay open after the answer."""
        self.response: Response | None = None
        self.future: asyncio.Future[Response] | Later[Response] | None = None

    def wait(self, future: asyncio.Future[Response] | Later[Response], request: Request, held: int) -> None:
        """Answer when the future is done. The request, and its body, is kept until then and no longer.

        `held` are the bytes that the body takes of the server's room.
        """
        self.future, self._request, self._held = future, request, held
        future.add_done_callback(self._take)

    def cancel(self) -> None:
        """Give up: nobody waits any more."""
        if self.future is not None:
            self.future.remove_done_callback(self._take)
            self.future.cancel()
            self._connection.free(self._held)

    def fail(self, error: BaseException, request: Request) -> None:
        """Answer with a handler's error: as it says if it is a refusal, else 500."""
        if isinstance(error, Refusal):
            self.response = self._connection.refused(error, request)
        else:
            log.error("A request could not be answered.", exc_info=error)
            self.response = self._connection.refused(refusals.failure(), request)

    def _take(self, future: asyncio.Future[Response] | Later[Response]) -> None:
        request, self._request = self._request, None
        assert request is not None
        self._connection.free(self._held)
        if future.cancelled():
            self.response = self._connection.refused(refusals.ending(), request)
        elif (error := future.exception()) is not None:
            self.fail(error, request)
        else:
            self.response = future.result()
        self._connection.flush()
