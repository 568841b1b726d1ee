"""What a process counts of a model: statuses, times, sizes of batches. Sums of several processes are added up."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms of times, in seconds."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper bounds of the histogram of batch sizes, in requests."""


class Histogram:
    """How many values were at most as large as each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Start at 0: a count for each bound, not cumulative, and one for what is larger than all."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def to_json(self) -> dict[str, Any]:
        """Return the counts and the sum."""
        return {"counts": self.counts, "total": self.total}


class Statistics:
    """What happened to the requests of one version of a model."""

    def __init__(self) -> None:
        """Start at 0."""
        self.statuses: Counter[int] = Counter()
        """Answers by status."""
        self.latency = Histogram(SECONDS)
        """From the last byte of a request to its answer."""
        self.inference = Histogram(SECONDS)
        """Time that each batch took."""
        self.sizes = Histogram(SIZES)
        """Requests of each batch."""
        self.queued = 0.0
        """Seconds that all requests waited for their batch to begin."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "latency": self.latency.to_json(),
            "inference": self.inference.to_json(),
            "sizes": self.sizes.to_json(),
            "queued": self.queued,
        }


def added(several: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of JSON objects of numbers, lists of numbers and such objects, key by key."""
    sums: dict[str, Any] = {}
    for one in several:
        for key, value in one.items():
            before = sums.get(key)
            if before is None:
                sums[key] = value
            elif isinstance(value, Mapping):
                sums[key] = added((before, value))
            elif isinstance(value, list):
                sums[key] = [left + right for left, right in zip(before, value, strict=True)]
            else:
                sums[key] = before + value
    return sums
