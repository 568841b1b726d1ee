"""What answers at a socket while the process that listens there is being started again."""

from __future__ import annotations

import socket
from types import TracebackType

from ....handlers.request.refusals import Refusal
from ..http import Request, Response, Server


class Refusing:
    """Context manager: requests that arrive at a listening socket are refused with 503, by name."""

    def __init__(self, listening: socket.socket, seconds: float) -> None:
        """Refuse what arrives at `listening`, which stays open; the process is started in `seconds`."""
        self._listening = listening
        self._seconds = seconds
        self._server = Server(self._refuse)

    async def __aenter__(self) -> None:
        """Begin."""
        await self._server.start(listening=self._listening.dup())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; the next connections wait for the process."""
        await self._server.drain(0.5, shared=True)

    def _refuse(self, request: Request) -> Response:
        request.keep = False
        raise Refusal(
            503,
            f"The process that answers has died several times; it is started again in {self._seconds:.0f} s.",
            "the same request again in a while; lexport status says more",
            code="LX-HTTP-119",
        )
