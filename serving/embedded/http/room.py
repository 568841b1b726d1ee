"""How many bytes a process holds for its clients at once."""

from __future__ import annotations

from collections.abc import Callable

from ....handlers.request.refusals import Refusal


class Room:
    """Bytes that several holders may have together. Those of one process share one, over HTTP and gRPC."""

    __slots__ = ("_full", "most", "taken")

    def __init__(self, most: int, full: Callable[[], Refusal]) -> None:
        """Have room for `most` bytes; `full` makes what is raised where there is none left."""
        self.most = most
        self.taken = 0
        """Bytes that are held."""
        self._full = full

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Refusal if they become too many; then none is held."""
        if self.taken + size > self.most:
            raise self._full()
        self.taken += size

    def free(self, size: int) -> None:
        """Hold `size` bytes less."""
        self.taken -= size
