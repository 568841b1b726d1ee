"""What the processes of a server take: processor time and memory."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from ..process import members


@dataclass(frozen=True)
class Usage:
    """The processor time and memory of all processes of a server."""

    cpu: float | None
    """Seconds since their start, or cores where it is the average of a time; None where the system does not say."""
    memory: int | None
    """Bytes, what several processes share counted once (PSS, which Linux has); None where the system does not say."""

    def since(self, before: Usage, seconds: float) -> Usage:
        """Return the cores that were used on average in the `seconds` since `before`, and the memory of now."""
        if self.cpu is None or before.cpu is None or self.cpu < before.cpu:  # a process has ended meanwhile
            return Usage(None, self.memory)
        return Usage((self.cpu - before.cpu) / seconds, self.memory)


def usage_of(identity: str) -> Usage:
    """Return what the processes of the server with the id `identity` have used so far, and the memory they hold."""
    seconds, memory = 0.0, 0
    try:
        processes = members(identity)
        for process in processes:
            times = process.cpu_times()
            seconds += times.user + times.system
            memory += process.memory_full_info().pss
    except (psutil.Error, AttributeError):
        return Usage(None, None)
    return Usage(seconds, memory) if processes else Usage(None, None)
