"""What is counted while a canary runs: statuses and times of both versions, and how often their answers agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .agreement import compare

_FIRST = 50e-6  # seconds: the upper bound of the first bucket of times
_STEPS = 16  # buckets for a factor of two, each 4.4 % wider than the one before
_BUCKETS = 20 * _STEPS + 2  # up to 52 s, and one for all beyond
_MOST_CHANGES = 50  # pairs of answers that are told apart


def bucket(seconds: float) -> int:
    """Return the number of the bucket that has a time."""
    if seconds <= _FIRST:
        return 0
    return min(_BUCKETS - 1, math.ceil(_STEPS * math.log2(seconds / _FIRST)))


def bounds(number: int) -> tuple[float, float]:
    """Return the lower and the upper bound of a bucket in seconds."""
    lower = _FIRST * 2 ** ((number - 1) / _STEPS) if number else 0.0
    return lower, _FIRST * 2 ** (number / _STEPS) if number < _BUCKETS - 1 else math.inf


@dataclass
class Side:
    """The answers of one version."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Answers by HTTP status; 502 for a connection that broke."""
    times: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    """Answers that are no errors, by the bucket of the time that they took."""

    @property
    def answers(self) -> int:
        """How many there are."""
        return sum(self.statuses.values())

    @property
    def errors(self) -> int:
        """How many have a status of 400 or above."""
        return sum(count for status, count in self.statuses.items() if status >= 400)

    def note(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status < 400:
            self.times[bucket(seconds)] += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts, which may be added up over processes."""
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "times": list(self.times),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Side:
        """Return what `to_json` has made JSON of, or a sum of such."""
        return cls(Counter({int(status): count for status, count in values["statuses"].items()}), values["times"])


@dataclass
class Tally:
    """What a canary and the default have answered since it began."""

    stable: Side = field(default_factory=Side)
    canary: Side = field(default_factory=Side)
    compared: int = 0
    """Pairs of answers to the same request."""
    agreed: int = 0
    """Of these, how many were the same answer."""
    changes: Counter[str] = field(default_factory=Counter)
    """How often an answer became another, such as `negative → positive`; at most 50 kinds."""

    def compare(self, stable: bytes, canary: bytes) -> None:
        """Count whether two bodies have the same answer."""
        agrees, change = compare(stable, canary)
        self.compared += 1
        self.agreed += agrees
        if change and (change in self.changes or len(self.changes) < _MOST_CHANGES):
            self.changes[change] += 1

    def to_json(self) -> dict[str, Any]:
        """Return the counts, which may be added up over processes."""
        return {
            "stable": self.stable.to_json(),
            "canary": self.canary.to_json(),
            "compared": self.compared,
            "agreed": self.agreed,
            "changes": dict(self.changes),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Tally:
        """Return what `to_json` has made JSON of, or a sum of such."""
        return cls(
            Side.of(values["stable"]),
            Side.of(values["canary"]),
            values["compared"],
            values["agreed"],
            Counter(values["changes"]),
        )
