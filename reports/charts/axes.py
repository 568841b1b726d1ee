"""Axes of charts: their ends, ticks and scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..numbers import number

_MOST_TICKS = 9  # of a logarithmic axis, before their names touch


@dataclass(frozen=True)
class Axis:
    """One axis: its label with the unit, its lower and upper end, its ticks and its scale."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    scale: Callable[[float], float] = float  # from a value to something linear

    def place(self, value: float) -> float:
        """Return the position of `value` on the axis, 0 at `low` and 1 at `high`."""
        low, high = self.scale(self.low), self.scale(self.high)
        return (self.scale(value) - low) / (high - low)


def linear(label: str, highest: float) -> Axis:
    """Return an axis from 0 past `highest` with about five round ticks."""
    highest = max(highest, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(highest / 5))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor * 5.5 >= highest)
    count = math.ceil(highest / step * 1.0001)
    return Axis(label, 0.0, step * count, tuple((step * i, number(step * i)) for i in range(count + 1)))


def around(label: str, values: Sequence[float], suffix: str = "") -> Axis:
    """Return a linear axis around values, which need not begin at 0, with about five round ticks."""
    low, high = min(values), max(values)
    reach = max(high - low, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(reach / 5))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor * 5 >= reach)
    first, last = math.floor(low / step), math.ceil(high / step)
    last += first == last
    ticks = tuple((step * place, f"{number(step * place)}{suffix}") for place in range(first, last + 1))
    return Axis(label, step * first, step * last, ticks)


def tenths(label: str, low: float, apart: int = 1) -> Axis:
    """Return an axis of shares from the tenth below `low` to 1, with ticks `apart` tenths from one another."""
    first = int(10 * low)
    return Axis(label, first / 10, 1.0, tuple((one / 10, f"{one / 10:.1f}") for one in range(first, 11, apart)))


def logarithmic(label: str, lowest: float, highest: float) -> Axis:
    """Return a logarithmic axis around positive values, with ticks at 1, 2 and 5 times powers of ten.

    Where these would be too many, they are at the powers alone.
    """
    steps = [factor * 10.0**power for power in range(-3, 8) for factor in (1, 2, 5)]
    low = max((step for step in steps if step <= lowest), default=steps[0])
    high = min((step for step in steps if step >= highest and step > low), default=steps[-1])
    ticks = tuple((step, number(step)) for step in steps if low <= step <= high)
    if len(ticks) > _MOST_TICKS:
        tens = [10.0**power for power in range(-3, 8)]
        ticks = tuple((step, number(step)) for step in tens if low <= step <= high)
    return Axis(label, low, high, ticks, math.log10)


def steps(label: str, values: Sequence[float], names: Sequence[str] | None = None) -> Axis:
    """Return a logarithmic axis with a tick at each of these ascending values."""
    names = names or [number(value) for value in values]
    ticks = tuple((float(value), name) for value, name in zip(values, names, strict=True))
    return Axis(label, values[0] / 1.15, values[-1] * 1.15, ticks, math.log10)


def categories(label: str, names: Sequence[str]) -> Axis:
    """Return an axis of evenly spaced names, at 0, 1, 2 …"""
    return Axis(label, -0.35, len(names) - 0.65, tuple((float(i), name) for i, name in enumerate(names)))


def percentiles(label: str, highest: float) -> Axis:
    """Return an axis of percentiles up to `highest`, stretched towards 100 so that each nine has the same width."""
    ticks = tuple((p, f"{p:g}") for p in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99) if p <= highest)
    return Axis(label, 0.0, highest, ticks, lambda percent: -math.log10(1 - percent / 100))
