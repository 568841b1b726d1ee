"""How far repeated measurements spread: the median, with an interval that assumes no distribution."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
METHOD = "the order statistics of the median (the interval of the sign test)"


@dataclass(frozen=True)
class Interval:
    """The median of some values, between which two of them the true median lies, and with what confidence."""

    median: float
    low: float
    high: float
    confidence: float
    """0 to 1, exact; below 0.95 where there are fewer than six values, and 0 of a single one."""
    values: int
    """How many values it is of."""

    def __str__(self) -> str:
        """Return `1.42 [1.30, 1.55]`."""
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the median of `values`, one at least, with an interval of at least this confidence if there is one.

    Each value lies above the true median with a chance of a half, so the number of those above it is binomial: from
    the k-th smallest value to the k-th largest the interval misses it with a chance of twice that of fewer than k
    above. k is the largest that is sure enough, else 1. It holds for any distribution of independent values.
    """
    ordered, count = sorted(values), len(values)
    place, beyond, tail = 1, 2.0 / 2**count, 1.0 / 2**count
    for further in range(1, count // 2):
        tail += math.comb(count, further) / 2**count
        if 2 * tail > 1 - confidence:
            break
        place, beyond = further + 1, 2 * tail
    return Interval(
        statistics.median(ordered), ordered[place - 1], ordered[count - place], max(0.0, 1.0 - beyond), count
    )
