"""What every claim is: something tutorials say, a way to measure it, and a way to show what was measured.

Figures are what JSON can hold. All that is shown, verdicts too, is derived from them, so that a page can be set again
without measuring and no sentence survives the figures that it was true of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lexport.benchmarks.figures import Values, interval
from lexport.reports.numbers import number

Figures = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A claim's part of the page. short: the verdict in some words, for the table at the top. how, tables: Markdown.

    picture: an SVG file; alt: what it shows, for who does not see it.
    """

    short: str
    verdict: str
    how: str
    tables: str
    picture: str
    alt: str


@dataclass(frozen=True)
class Claim:
    """said: as tutorials have it, in our words. measure: takes whether it is to be quick, at the price of sense."""

    name: str
    title: str
    said: str
    measure: Callable[[bool], Figures]
    show: Callable[[Figures], Shown]


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of_ratios(cls, ratios: Values) -> Estimate:
        """The median of ratios, one a round, and its bootstrap interval."""
        return cls(float(np.median(ratios)), *interval(ratios))

    @classmethod
    def restored(cls, figures: Figures) -> Estimate:
        """From JSON in which it may have company."""
        return cls(figures["value"], figures["low"], figures["high"])

    def side(self, level: float) -> int:
        """1 if all of the interval lies above `level`, -1 if below, else 0."""
        return int(self.low > level) - int(self.high < level)

    @property
    def times(self) -> str:
        """As a ratio."""
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"

    @property
    def points(self) -> str:
        """As a difference in points, signed."""
        return f"{signed(self.value)} [{signed(self.low)}, {signed(self.high)}]"


def percent(share: float) -> str:
    """A share in whole percent with its sign."""
    return f"{100 * share:+.0f} %".replace("-", "−")


def signed(value: float) -> str:
    """A number with one digit and its sign."""
    return f"{value:+.1f}".replace("-", "−")


def takes(ratio: Estimate, other: str) -> str:
    """A ratio of times in words, such as "takes 1.3 times as long as `other`"."""
    match ratio.side(1):
        case 1:
            return f"takes {number(ratio.value)} times as long as {other}"
        case -1:
            return f"is {number(1 / ratio.value)} times as fast as {other}"
        case _:
            return f"takes as long as {other} within the noise ({ratio.times})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"; "none" where there are none."""
    if len(names) < 2:
        return names[0] if names else "none"
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def tried(what: Callable[[], object]) -> str:
    """What comes of it: the error by its kind and first line, or what it gives."""
    try:
        return str(what())
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
