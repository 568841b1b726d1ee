"""Arrival patterns: when each request of an open loop is due, whatever becomes of those before it.

A pattern is a rate in requests/s over time. `schedule` draws the times from it, the same for the same seed.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

MOST_ARRIVALS = 5_000_000
Segment = tuple[float, float, float]
"""Seconds, and the rate at their beginning and end, between which it changes evenly."""


@dataclass(frozen=True)
class Pattern(ABC):
    """A rate of arrivals over time."""

    rate: float
    """Requests/s; what of the pattern it is, the subclass says."""
    seconds: float
    """Length of the whole pattern."""
    gaps: ClassVar[str] = "random"
    """`random`: those of a Poisson process, as of many independent users; `equal`: evenly spaced."""

    @abstractmethod
    def segments(self) -> list[Segment]:
        """Return the parts of the pattern in their order."""

    def rate_at(self, second: float) -> float:
        """Return the rate at a time since the beginning; after the end that of the end."""
        rate = self.rate
        for seconds, first, last in self.segments():
            rate = first + (last - first) * min(1.0, max(0.0, second) / seconds)
            if second < seconds:
                break
            second -= seconds
        return rate

    def expected(self) -> float:
        """Return the mean number of arrivals."""
        return sum(seconds * (first + last) / 2 for seconds, first, last in self.segments())


class Open(Pattern):
    """The same rate all the time, with random gaps."""

    def segments(self) -> list[Segment]:
        """Return one part."""
        return [(self.seconds, self.rate, self.rate)]


class Constant(Open):
    """The same rate all the time, with equal gaps."""

    gaps = "equal"


class Step(Pattern):
    """A rate that rises in equal steps, the last of which is `rate`."""

    steps: ClassVar[int] = 5

    def segments(self) -> list[Segment]:
        """Return one part for each step."""
        levels = [self.rate * step / self.steps for step in range(1, self.steps + 1)]
        return [(self.seconds / self.steps, level, level) for level in levels]


class Ramp(Pattern):
    """A rate that rises evenly from nothing to `rate`, to find the knee of a server on the way."""

    def segments(self) -> list[Segment]:
        """Return one part."""
        return [(self.seconds, 0.0, self.rate)]


class Spike(Pattern):
    """`rate` for a quarter of the time, ten times that for the next quarter, then `rate` again."""

    factor: ClassVar[float] = 10.0

    def segments(self) -> list[Segment]:
        """Return the time before, the spike and the time after."""
        quarter, peak = self.seconds / 4, self.rate * self.factor
        return [(quarter, self.rate, self.rate), (quarter, peak, peak), (2 * quarter, self.rate, self.rate)]


class Soak(Pattern):
    """A rate that rises evenly to `rate` in the first tenth of the time and stays there."""

    def segments(self) -> list[Segment]:
        """Return the rise and the rest."""
        return [(self.seconds / 10, 0.0, self.rate), (self.seconds * 9 / 10, self.rate, self.rate)]


PATTERNS: dict[str, type[Pattern]] = {
    "open": Open,
    "constant": Constant,
    "step": Step,
    "ramp": Ramp,
    "spike": Spike,
    "soak": Soak,
}
CHOICES = f"closed, {', '.join(PATTERNS)}, or replay:FILE"


@dataclass(frozen=True)
class Plan:
    """The arrivals of a run."""

    name: str
    """`open`, `spike` and so on, or `replay`."""
    times: list[float]
    """When each request is due, in seconds since the beginning, rising."""
    seconds: float
    """Length of the run."""
    first_rate: float
    """Requests/s at the beginning, at which a warm-up may send."""


def plan(arrivals: str, rate: float, seconds: float, seed: int) -> Plan:
    """Return the arrivals that the words of --arrivals, --rate and the length of the run ask for.

    A replay takes as long as what was recorded. Raises ValueError, with what to give instead, for words or a rate
    that mean nothing and for a file that cannot be read.
    """
    if arrivals.startswith("replay:"):
        times = read_times(Path(arrivals.removeprefix("replay:")))
        seconds = max(times[-1] + 0.01, 0.5)  # the last one is due inside the window
        return Plan("replay", times, seconds, len(times) / seconds)
    if arrivals not in PATTERNS:
        raise ValueError(f"--arrivals {arrivals!r} is not known; expected {CHOICES}.")
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"--arrivals {arrivals} needs --rate, in requests/s and more than 0; it was {rate:g}.")
    pattern = PATTERNS[arrivals](rate, seconds)
    if pattern.expected() > MOST_ARRIVALS:
        raise ValueError(
            f"--arrivals {arrivals} at --rate {rate:g} for {seconds:g} s is {pattern.expected():,.0f} requests; "
            f"at most {MOST_ARRIVALS:,} are planned. Give a lower rate or a shorter run."
        )
    return Plan(arrivals, list(schedule(pattern, seed)), seconds, pattern.rate_at(0.0))


def schedule(pattern: Pattern, seed: int) -> Iterator[float]:
    """Yield when each request is due, in seconds since the beginning, rising.

    The times of a Poisson process whose rate changes are those of one with rate 1, brought from the number of
    arrivals that was to be expected until then to the time at which it was reached.
    """
    draw = random.Random(seed).expovariate
    even = pattern.gaps == "equal"
    wanted = 0.5 if even else draw(1.0)
    begins = expected = 0.0
    for seconds, first, last in pattern.segments():
        arrivals = seconds * (first + last) / 2
        while wanted < expected + arrivals:
            yield begins + _reached(wanted - expected, seconds, first, last)
            wanted += 1.0 if even else draw(1.0)
        begins += seconds
        expected += arrivals


def _reached(arrivals: float, seconds: float, first: float, last: float) -> float:
    """Return after how many seconds of a segment so many arrivals are to be expected."""
    growth = (last - first) / seconds
    if abs(growth) * seconds < 1e-9 * max(first, last):
        return arrivals / first
    return (math.sqrt(first * first + 2 * growth * arrivals) - first) / growth


def read_times(path: Path) -> list[float]:
    """Return a recorded schedule, in seconds since its first request, rising.

    Each line has a time: a number of seconds, or a date and time of ISO 8601. Raises ValueError for anything else.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The schedule {path} cannot be read: {error}. Expected a time on each line.") from None
    times = sorted(_time(path, number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    if not 1 <= len(times) <= MOST_ARRIVALS:
        raise ValueError(f"The schedule {path} has {len(times):,} times; expected 1 to {MOST_ARRIVALS:,}.")
    return [time - times[0] for time in times]


def _time(path: Path, number: int, words: str) -> float:
    try:
        found = float(words)
    except ValueError:
        try:
            found = datetime.fromisoformat(words).timestamp()
        except ValueError:
            found = math.nan
    if not math.isfinite(found):
        raise ValueError(
            f"{path}, line {number:,} is {words[:40]!r}, not a time; expected seconds, such as 1.25, or a date and "
            "time, such as 2026-01-31T12:00:00.250+00:00."
        )
    return found
