"""What a run's course over time shows: the knee of a ramp, and how long a server took to recover from a spike."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .driver.arrivals import Ramp, Spike

TIMES = 3.0  # the latency at low load: from there on a server is past its knee, or not yet back to normal
PAUSE = 5.0  # ms on top, so that the noise of fast servers is not taken for it


@dataclass(frozen=True)
class Slot:
    """A part of the measured window. Times are in ms, of answered requests by when they were due."""

    second: float
    """Its beginning, in seconds since that of the window."""
    seconds: float
    """Its length in seconds."""
    answered: int
    failures: int
    p50_ms: float | None
    """None where nothing was answered."""
    p99_ms: float | None
    max_ms: float | None

    @property
    def sent(self) -> int:
        """Requests that were due, answered or not."""
        return self.answered + self.failures


def knee(slots: Sequence[Slot], rate: float, seconds: float) -> float | None:
    """Return the rate, in requests/s, from which on a server no longer kept up with a ramp to `rate`.

    That is where for the first time two slots in a row have failures, or a median latency of more than three times
    that of the first quarter. None where this did not happen, or where too little was answered to say.
    """
    usual = _usual(slots[: len(slots) // 4])
    if usual is None:
        return None
    busy = [slot for slot in slots if slot.sent]
    for slot, following in pairwise(busy):
        if _late(slot, usual) and _late(following, usual):
            return Ramp(rate, seconds).rate_at(slot.second)
    return None


def recovery(slots: Sequence[Slot], rate: float, seconds: float) -> float | None:
    """Return how many seconds after the end of a spike the last slot was that was not as those before the spike.

    None where nothing was answered before it, or the window ended first.
    """
    before, spike, _ = (length for length, _, _ in Spike(rate, seconds).segments())
    usual = _usual([slot for slot in slots if slot.second + slot.seconds <= before])
    after = [slot for slot in slots if slot.second >= before + spike and slot.sent]
    if usual is None or not after or _late(after[-1], usual):
        return None
    late = [slot for slot in after if _late(slot, usual)]
    return late[-1].second + late[-1].seconds - (before + spike) if late else 0.0


def _usual(slots: Sequence[Slot]) -> float | None:
    """Return the median of the slots' medians, in ms."""
    medians = [slot.p50_ms for slot in slots if slot.p50_ms is not None]
    return statistics.median(medians) if medians else None


def _late(slot: Slot, usual: float) -> bool:
    return bool(slot.failures) or (slot.p50_ms is not None and slot.p50_ms > TIMES * usual + PAUSE)
