"""Messages of calls as they arrive: gRPC tells when one is here, and nothing of how much of it is.

So the calls whose messages take long are counted as if these had their largest size, and have a limit together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from ....handlers.request.refusals import Refusal
from ..http import Room, refusals
from .refused import of_refusal

LONG = 1 << 16
"""Bytes of a message from which on it is counted."""
_TICK = 0.1  # seconds between two looks at the calls
_QUICK = 5  # looks that a message may miss without being counted; also the turns that a busy loop has for it
_SECONDS = 30.0  # that a message may take

Tell = Callable[[Any, Refusal], None]
"""Ends a call, whose context is given, with a refusal."""


class _Call:
    """A call whose message is arriving."""

    __slots__ = ("began", "looks", "size", "told")

    def __init__(self, began: float) -> None:
        self.began = began
        self.looks = 0
        self.size = 0
        self.told = False


class Arriving:
    """The calls of a server whose messages have not arrived."""

    def __init__(self, room: Room, largest: int, refuse: Tell) -> None:
        """Count in `room` messages of at most `largest` bytes; half of it is for those that take long."""
        self._room = room
        self._largest = largest
        self._refuse = refuse
        self._slow = Room(max(largest, room.most // 2), refusals.crowded)
        self._calls: dict[Any, _Call] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
        """Return the message of a call; None where the call has been refused meanwhile.

        A LONG message is counted in the room, where the caller frees it. Raises Refusal if there is no room for it,
        Refused if the call ends without a message.
        """
        loop = asyncio.get_running_loop()
        call = self._calls[context] = _Call(loop.time())
        if self._timer is None:
            self._timer = loop.call_later(_TICK, self._look)
        try:
            data = await context.read()
        finally:
            del self._calls[context]
            self._free(call)
        if call.told:
            return None
        if not isinstance(data, bytes):
            # Its client has gone, or the message was too long; rarely is anybody there to be told.
            none = Refusal(400, "The call ended without a message.", "one message", code="LX-HTTP-135")
            raise of_refusal(none.status, none.body, noted=True)
        if len(data) >= LONG:
            self._room.take(len(data))
        return data

    def _look(self) -> None:
        """Count the calls that take long, and refuse those that take too long or for which there is no room."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TICK, self._look) if self._calls else None
        now = loop.time()
        for context, call in self._calls.items():
            call.looks += 1
            if call.told or call.looks < _QUICK:
                continue
            try:
                if now - call.began > _SECONDS:
                    raise _too_slow()
                if not call.size:
                    self._hold(call)
            except Refusal as refusal:
                call.told = True
                self._free(call)
                self._refuse(context, refusal)

    def _hold(self, call: _Call) -> None:
        self._slow.take(self._largest)
        try:
            self._room.take(self._largest)
        except Refusal:
            self._slow.free(self._largest)
            raise
        call.size = self._largest

    def _free(self, call: _Call) -> None:
        self._slow.free(call.size)
        self._room.free(call.size)
        call.size = 0


def _too_slow() -> Refusal:
    return Refusal(
        408, "The message took too long to arrive.", f"all of it within {_SECONDS:g} s", code="LX-HTTP-136"
    )
