"""The open loop: requests are sent when they are due, however many of those before are still unanswered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent  # type: ignore[import-untyped]


class Dispatcher:
    """Sends each request in a greenlet of its own, over a connection that is free then.

    Any locustfile can use it: `connect()` opens a connection, with a method `close`; `send(connection, due)` sends a
    request and waits for its answer; `overload(due)` is called in its place where `most` are unanswered.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        send: Callable[[Any, float], None],
        overload: Callable[[float], None],
        most: int,
    ) -> None:
        """Take the functions; times are those of `time.perf_counter`."""
        self._connect, self._send, self._overload, self._most = connect, send, overload, most
        self._free: list[Any] = []
        self.unanswered = 0

    def run(self, times: Iterable[float], start: float) -> None:
        """Send a request at each of `times`, in seconds after `start`; return after the last was sent."""
        for at in times:
            due = start + at
            # It also lets the requests that are late go before the next one.
            gevent.sleep(max(0.0, due - time.perf_counter()))
            if self.unanswered < self._most:
                self.unanswered += 1
                gevent.spawn(self._one, due)
            else:
                self._overload(due)

    def close(self) -> None:
        """Close the connections that are free."""
        while self._free:
            self._free.pop().close()

    def _one(self, due: float) -> None:
        connection = self._free.pop() if self._free else self._connect()
        try:
            self._send(connection, due)
        finally:
            self.unanswered -= 1
            self._free.append(connection)
