"""What the pictures of the claims have in common: lines of estimates, and pictures of settings compared."""

from __future__ import annotations

from collections.abc import Sequence

from lexport.reports.charts.axes import Axis, around, logarithmic
from lexport.reports.charts.lines import Line
from lexport.reports.charts.picture import Panel, picture
from lexport.reports.numbers import number

from .claim import Estimate


def thousands(value: int) -> str:
    """A number of words, short: 3k, 1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{number(value / size)}{letter}"
    return str(value)


def estimates(series: int, points: Sequence[tuple[float, Estimate]], name: str, unit: str = "") -> Line:
    """A line through estimates at places on the x axis, each with its interval."""
    return Line(
        series,
        tuple((x, estimate.value) for x, estimate in points),
        tuple(f"{name}: {number(one.value)} [{number(one.low)}, {number(one.high)}]{unit}" for _, one in points),
        spans=tuple((estimate.low, estimate.high) for _, estimate in points),
    )


def values(series: int, points: Sequence[tuple[float, float]], name: str, unit: str = "") -> Line:
    """A line through single values."""
    return Line(series, tuple(points), tuple(f"{name}: {number(y)}{unit}" for _, y in points))


def accuracies(
    title: str, legend: Sequence[str], x: Axis, levels: Sequence[Line], points: Sequence[Line], reference: str
) -> str:
    """The picture of settings compared: accuracy in percent, and points from the `reference`, each with its spans."""
    heights, reach = ([end for line in lines for span in line.spans for end in span] for lines in (levels, points))
    return picture(
        title,
        legend,
        [
            Panel("Test accuracy, lowest to highest seed", x, around("%", heights), levels),
            Panel(f"Points from {reference}, 95 %", x, around("points", [0, *reach]), points, (0.0, "")),
        ],
    )


def logarithmic_ratios(values: Sequence[float]) -> Axis:
    """A logarithmic axis of ratios around 1."""
    return logarithmic("ratio", min(0.9, *values), max(1.1, *values))
