"""The verdict on a canary: three criteria, each with its test, its least number of answers and its limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from ...errors import InputError
from .counts import Side, Tally, bounds

CONFIDENCE = 0.99
"""Of every interval."""
QUANTILE = 0.95
"""Of the times that are compared."""
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_FEWEST = 20  # answers of the canary before anything is said

State = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True)
class Limits:
    """What a canary may be worse by than the default, and how many answers that takes."""

    errors: float = 0.01
    """By how much its share of answers with a status of 400 or above may be larger."""
    latency: float = 1.5
    """How many times the default's 95th percentile its own may be."""
    agreement: float = 0.95
    """Least share of the same answers, where requests are mirrored."""
    least: int = 1_000
    """Answers of the canary before it can pass."""

    def __post_init__(self) -> None:
        """Raise InputError for a limit that cannot be, or that fewer answers than `least` cannot show."""
        if not (0 < self.errors < 1 and 0 < self.agreement < 1 and self.latency >= 1 and self.least >= 1):
            raise InputError(
                f"The limits of a canary cannot be errors {self.errors:g}, latency {self.latency:g}, agreement "
                f"{self.agreement:g} with {self.least} answers; expected shares between 0 and 1, a factor of at "
                "least 1, and one answer or more.",
                code="LX-SERVE-192",
            )
        needed = max(self.least_for_errors, least_for_latency(), self.least_for_agreement)
        if self.least < needed:
            raise InputError(
                f"{self.least:,} answers cannot show that a canary keeps to its limits, whatever they are: errors "
                f"within {self.errors:.2%} take {self.least_for_errors:,}, a 95th percentile {least_for_latency()}, "
                f"and an agreement of {self.agreement:.2%} {self.least_for_agreement:,}. Expected --requests "
                f"{needed} or more, or wider limits.",
                code="LX-SERVE-193",
            )

    @property
    def least_for_errors(self) -> int:
        """Answers without an error, of both, that show that the limit is kept."""
        return math.ceil(_Z**2 * (1 / self.errors - 1))

    @property
    def least_for_agreement(self) -> int:
        """Pairs of the same answers that show that the limit is kept."""
        return math.ceil(_Z**2 * self.agreement / (1 - self.agreement))


@dataclass(frozen=True)
class Criterion:
    """One part of the verdict."""

    name: str
    """`errors`, `latency` or `agreement`."""
    test: str
    """The statistical test, in words."""
    least: int
    """Answers, or pairs of them, that the limit takes at least."""
    count: int
    """How many there are."""
    found: str
    """What was found, with its interval."""
    limit: str
    state: State


@dataclass(frozen=True)
class Verdict:
    """On a canary, at one moment."""

    state: State
    """`failed` if one criterion has, `passed` if all have."""
    criteria: tuple[Criterion, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def judge(tally: Tally, limits: Limits, *, mirror: bool = False) -> Verdict:
    """Return the verdict on what has been counted: `passed` only with as many answers as the limits ask for.

    A criterion fails when its interval of 99 % lies beyond the limit, and passes when it lies within.
    """
    criteria = [_errors(tally, limits), _latency(tally, limits)]
    if mirror:
        criteria.append(_agreement(tally, limits))
    states = {one.state for one in criteria}
    if tally.canary.answers < _FEWEST:
        state: State = "undecided"
    elif "failed" in states:
        state = "failed"
    else:
        state = "passed" if states == {"passed"} and tally.canary.answers >= limits.least else "undecided"
    return Verdict(state, tuple(criteria))


def _errors(tally: Tally, limits: Limits) -> Criterion:
    stable, canary = tally.stable, tally.canary
    low, high = difference(canary.errors, canary.answers, stable.errors, stable.answers)
    found = f"{_share(canary.errors, canary.answers)}, the default {_share(stable.errors, stable.answers)}"
    return Criterion(
        "errors",
        "Newcombe interval, 99 %",
        limits.least_for_errors,
        canary.answers,
        f"{found}; difference {low:+.2%} to {high:+.2%}",
        f"at most {limits.errors:.2%} more",
        _state(fails=low > limits.errors, passes=high <= limits.errors),
    )


def _latency(tally: Tally, limits: Limits) -> Criterion:
    (own_low, own_high), (low, high) = percentile(tally.canary.times), percentile(tally.stable.times)
    count = sum(tally.canary.times)
    enough = count >= least_for_latency() and sum(tally.stable.times) >= least_for_latency()
    return Criterion(
        "latency",
        "order statistics, 99 %",
        least_for_latency(),
        count,
        f"p95 {_milliseconds(own_low, own_high)}, the default {_milliseconds(low, high)}",
        f"at most {limits.latency:g} times as long",
        _state(fails=own_low > limits.latency * high, passes=enough and own_high <= limits.latency * low),
    )


def _agreement(tally: Tally, limits: Limits) -> Criterion:
    low, high = wilson(tally.agreed, tally.compared)
    return Criterion(
        "agreement",
        "Wilson interval, 99 %",
        limits.least_for_agreement,
        tally.compared,
        f"{_share(tally.agreed, tally.compared)} the same; {low:.2%} to {high:.2%}",
        f"at least {limits.agreement:.2%}",
        _state(
            fails=tally.compared >= _FEWEST and high < limits.agreement,
            passes=low >= limits.agreement,
        ),
    )


def _state(*, fails: bool, passes: bool) -> State:
    return "failed" if fails else ("passed" if passes else "undecided")


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return the score interval of 99 % of a share (Wilson, 1927); 0 to 1 for a `total` of 0."""
    if not total:
        return 0.0, 1.0
    share, square = count / total, _Z**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = _Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(count: int, total: int, other_count: int, other_total: int) -> tuple[float, float]:
    """Return the interval of 99 % of how much larger the first share is (Newcombe, 1998, method 10)."""
    if not total or not other_total:
        return -1.0, 1.0
    share, other = count / total, other_count / other_total
    (low, high), (other_low, other_high) = wilson(count, total), wilson(other_count, other_total)
    return (
        share - other - math.hypot(share - low, other_high - other),
        share - other + math.hypot(high - share, other - other_low),
    )


def percentile(times: Sequence[int]) -> tuple[float, float]:
    """Return bounds of 99 % of the 95th percentile in seconds, from counts by bucket.

    They are the order statistics whose ranks a normal approximation of the binomial gives (Conover, Practical
    Nonparametric Statistics, 3.2), widened to their buckets' bounds.
    """
    total = sum(times)
    half = _Z * math.sqrt(total * QUANTILE * (1 - QUANTILE))
    first, last = math.floor(total * QUANTILE - half), math.ceil(total * QUANTILE + half)
    return _at(times, first)[0] if first >= 1 else 0.0, _at(times, last)[1] if 1 <= last <= total else math.inf


def least_for_latency() -> int:
    """Return how many answers an upper bound of the 95th percentile takes."""
    return math.ceil(_Z**2 * QUANTILE / (1 - QUANTILE)) + 1


def _at(times: Sequence[int], rank: int) -> tuple[float, float]:
    """Return the bounds of the bucket that has the answer of a rank, from 1."""
    seen = 0
    for number, count in enumerate(times):
        seen += count
        if seen >= rank:
            return bounds(number)
    return bounds(len(times) - 1)


def _share(count: int, total: int) -> str:
    return f"{count / total:.2%} ({count:,} of {total:,})" if total else "none yet"


def _milliseconds(low: float, high: float) -> str:
    if math.isinf(high):
        return "not known yet" if not low else f"above {low * 1000:.2f} ms"
    return f"{low * 1000:.2f} to {high * 1000:.2f} ms"


def errors_of(side: Side) -> str:
    """Return the statuses of a side's errors in words, the most frequent first; "" if there are none."""
    errors = [(status, count) for status, count in side.statuses.most_common() if status >= 400]
    return ", ".join(f"{count:,} × {status}" for status, count in errors)
