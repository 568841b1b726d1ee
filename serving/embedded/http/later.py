"""An answer to come. A future's callbacks wait for the next turn of the loop; this one's are called at once.

For a small model the turn costs as much as a tenth of its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

Result = TypeVar("Result")

_WAITING, _DONE, _CANCELLED = range(3)


class Later(Generic[Result]):
    """A result, or an exception, that is set once and that one callback may wait for."""

    __slots__ = ("_callback", "_error", "_result", "_state")

    def __init__(self) -> None:
        """Wait."""
        self._state = _WAITING
        self._result: Result
        self._error: BaseException | None = None
        self._callback: Callable[[Later[Result]], object] | None = None

    def __await__(self) -> Generator[object, None, Result]:
        """Wait in a coroutine. Cancelling it cancels this."""
        if self._state == _WAITING:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.add_done_callback(lambda later: None if future.done() else future.set_result(None))
            try:
                yield from future
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self.result()

    def done(self) -> bool:
        """Return whether it is set or cancelled."""
        return self._state != _WAITING

    def cancelled(self) -> bool:
        """Return whether it is cancelled."""
        return self._state == _CANCELLED

    def exception(self) -> BaseException | None:
        """Return the exception that was set, or None."""
        return self._error

    def result(self) -> Result:
        """Return the result. Raises the exception that was set; CancelledError if it is cancelled."""
        if self._state == _CANCELLED:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
        return self._result

    def set_result(self, result: Result) -> None:
        """Set the result and call the callback; nothing happens if it is cancelled."""
        if self._state == _WAITING:
            self._result = result
            self._finish(_DONE)

    def set_exception(self, error: BaseException) -> None:
        """Set an exception and call the callback; nothing happens if it is cancelled."""
        if self._state == _WAITING:
            self._error = error
            self._finish(_DONE)

    def cancel(self) -> bool:
        """Give up, and call the callback. Return whether it was waiting."""
        if self._state != _WAITING:
            return False
        self._finish(_CANCELLED)
        return True

    def add_done_callback(self, callback: Callable[[Later[Result]], object]) -> None:
        """Call `callback` with this once it is done; at once if it is."""
        if self._state == _WAITING:
            self._callback = callback
        else:
            callback(self)

    def remove_done_callback(self, callback: Callable[[Later[Result]], object]) -> None:
        """Call nothing."""
        self._callback = None

    def _finish(self, state: int) -> None:
        self._state = state
        callback = self._callback
        if callback is not None:
            self._callback = None  # else the two would hold each other until the garbage collector comes
            callback(self)
