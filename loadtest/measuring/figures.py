"""What is measured of one run or of several: the figures of each, their spread, and those of the server itself."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CERTAIN = 6  # values from which on an interval of at least 95 % lies within the lowest and the highest
TIMES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99_9_ms", "max_ms")
METRICS = ("requests_per_second", *TIMES)
"""Those of which a row has the spread over its repeats."""


@dataclass(frozen=True)
class Repeat:
    """One run of a cell. Times are in ms, of answered requests; None where nothing was answered."""

    round: int
    """The round of the test that it belongs to, from 1."""
    began: float
    """When its measured window began, in seconds since 1970."""
    seconds: float
    """Length of the measured window."""
    answered: int
    failures: int
    requests_per_second: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
    max_ms: float | None
    machine_cpu: float
    """Share of all cores that was busy."""
    other_cpu: float | None
    """Share of all cores that neither the client nor the server took; None where the server's is not known."""
    client_limit: str | None
    """Why the client may have been the limit; None where it was not."""

    @property
    def failure_share(self) -> float:
        """Failed requests among all, 0 to 1; 1 where nothing was sent."""
        return share_of(self.failures, self.answered)


@dataclass(frozen=True)
class Spread:
    """How a figure differs between runs: its median, and an interval of it that assumes no distribution."""

    median: float
    low: float
    """Lower end of the interval, by order statistics: of fewer than 6 values the lowest."""
    high: float
    """Upper end; of fewer than 6 values the highest."""
    confidence: float
    """The share of tests in which it holds the true median, 0 to 1: of 6 values or more at least 0.95, of one 0."""

    def __str__(self) -> str:
        """Return `1.42 [1.30, 1.55]`."""
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class ServerFigures:
    """What the server counted in the runs of a cell, by its metrics address. None where its engine does not say."""

    requests: int
    """Requests that it answered, refusals among them."""
    batches: int | None
    """Batches that were put to the model; None for a model that lexport did not make."""
    texts: int | None
    """Texts and images in them."""
    queue_seconds: float
    """Time that all requests waited for their batch, added up."""
    inference_seconds: float | None
    """Time of all batches, from texts to answers, added up."""
    batch_texts: float | None
    """Texts of a batch, on average; None without a batch."""
    queue_ms: float | None
    """Time that a request waited for its batch, on average; None without a request."""
    inference_ms: float | None
    """Time of a batch, on average; None without a batch."""
    batch_requests: tuple[tuple[float | None, int], ...] | None
    """Batches by their requests: (at most so many, None for more; batches). Only the embedded engine counts them."""


@dataclass(frozen=True)
class GpuUse:
    """What a GPU did in the runs of a cell, sampled twice a second by `nvidia-smi`."""

    index: int
    name: str
    busy: float
    """Share of the time in which it computed, 0 to 1, on average."""
    memory: int
    """Bytes in use, by all processes, at most."""


def share_of(failures: int, answered: int) -> float:
    """Return the failed among all requests, 0 to 1; 1 where there was none."""
    total = failures + answered
    return failures / total if total else 1.0


def spread(values: Sequence[float]) -> Spread:
    """Return the median of values, and an interval of it. Raises ValueError without values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    cut, missed = _cut(len(ordered))
    return Spread(statistics.median(ordered), ordered[cut], ordered[-1 - cut], 1 - missed)


def _cut(count: int) -> tuple[int, float]:
    """Return how many values lie outside the interval of the median on each side, and how often it misses the median.

    They are as many as leave it 95 % or more, else none. Of independent values each is above the true median with a
    chance of a half, so the k-th is above it as often as fewer than k of `count` fair coins show heads.
    """
    cut, missed = 0, 2 / 2**count
    while cut + 1 < count / 2:
        further = missed + 2 * math.comb(count, cut + 1) / 2**count
        if further > 0.05:
            break
        cut, missed = cut + 1, further
    return cut, missed
