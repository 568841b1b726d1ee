"""How many replicas a model gets: as many as keep each below a share of a core."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

BUSY = "busy"
"""The name of the figure that replicas give to Ray's autoscaler."""

_SCHEDULER = Path("/proc/thread-self/schedstat")


class BusyShare:
    """The share of time that the thread which answers has work, whether or not it gets a core for it.

    Requests under way, which Ray counts, say little of a model that answers in a millisecond: 64 clients have up to
    64 of them at a tenth of the load and at all of it.
    """

    def __init__(self) -> None:
        """Begin now, in the thread that is looked at."""
        self._wall, self._worked = time.monotonic(), _worked()

    def since(self) -> float:
        """Return the share since the last call, 0 to 1. To be called in that thread."""
        wall, worked = time.monotonic(), _worked()
        share = (worked - self._worked) / max(1e-6, wall - self._wall)
        self._wall, self._worked = wall, worked
        return min(1.0, share)


def _worked() -> float:
    """Return the seconds that this thread ran or waited for a core; where the system does not say, that it ran."""
    try:
        ran, waited, _ = _SCHEDULER.read_text().split()
        return (int(ran) + int(waited)) / 1e9
    except (OSError, ValueError):
        return time.thread_time()


def replicas(context: Any) -> tuple[float, dict[str, Any]]:
    """Return the number of replicas wanted: Ray's autoscaler asks this with its `AutoscalingContext`."""
    busy = (context.aggregated_metrics or {}).get(BUSY) or {}
    if not busy:
        return context.target_num_replicas, {}
    return math.ceil(sum(busy.values()) / context.config.target_ongoing_requests), {}
