"""Line charts as inline SVG: no library, no script, colours from the page's style sheet.

A chart is plain XML without a namespace, as HTML takes it. Series differ by colour, marker and, from the sixth on, by
dashes, so a reader does not need the colours; hovering over a point shows its values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .html import escaped

COLOURS = 5  # classes c0 to c4 in the page's style sheet
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2Z",  # square
    "M0-4.8L4.6 3.4H-4.6Z",  # triangle
    "M0-5L4.6 0L0 5L-4.6 0Z",  # diamond
    "M-4.6-3.4H4.6L0 4.8Z",  # triangle, point down
)
LEFT, RIGHT, TOP, BOTTOM = 62, 22, 14, 46  # margins in px


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


@dataclass(frozen=True)
class Line:
    """A series: its place in the legend (which gives colour and marker), points and their descriptions."""

    series: int
    points: tuple[tuple[float, float], ...]
    titles: tuple[str, ...]
    faint: bool = False  # dashed and hollow, for the lesser of two lines of one series
    markers: bool = True
    spans: tuple[tuple[float, float], ...] = ()  # of each point, the interval of its value


def linear(label: str, highest: float) -> Axis:
    """Return an axis from 0 past `highest` with about five round ticks."""
    highest = max(highest, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(highest / 5))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor * 5.5 >= highest)
    count = math.ceil(highest / step * 1.0001)
    return Axis(label, 0.0, step * count, tuple((step * i, number(step * i)) for i in range(count + 1)))


def logarithmic(label: str, lowest: float, highest: float) -> Axis:
    """Return a logarithmic axis around positive values, with ticks at 1, 2 and 5 times powers of ten."""
    steps = [factor * 10.0**power for power in range(-3, 8) for factor in (1, 2, 5)]
    low = max((step for step in steps if step <= lowest), default=steps[0])
    high = min((step for step in steps if step >= highest and step > low), default=steps[-1])
    ticks = tuple((step, number(step)) for step in steps if low <= step <= high)
    return Axis(label, low, high, ticks, math.log10)


def categories(label: str, names: Sequence[str]) -> Axis:
    """Return an axis of evenly spaced names, at 0, 1, 2 …"""
    return Axis(label, -0.35, len(names) - 0.65, tuple((float(i), name) for i, name in enumerate(names)))


def percentiles(label: str, highest: float) -> Axis:
    """Return an axis of percentiles up to `highest`, stretched towards 100 so that each nine has the same width."""
    ticks = tuple((p, f"{p:g}") for p in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99) if p <= highest)
    return Axis(label, 0.0, highest, ticks, lambda percent: -math.log10(1 - percent / 100))


def number(value: float) -> str:
    """Return a value for people: three digits, thousands separated, no exponent, no zeros at the end."""
    text = measured(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def measured(value: float | None) -> str:
    """Return a measured value with its three digits, also where they are zeros; a dash for None."""
    if value is None:
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(0, digits), 6)}f}"


def chart(
    title: str,
    x: Axis,
    y: Axis,
    lines: Sequence[Line],
    *,
    limit: tuple[float, str] | None = None,
    width: int = 520,
    height: int = 320,
) -> str:
    """Return an `<svg>` of lines; `limit` is a horizontal line with a caption, left out if it is off the axis."""

    def across(value: float) -> float:
        return LEFT + x.place(value) * (width - LEFT - RIGHT)

    def up(value: float) -> float:
        return height - BOTTOM - y.place(value) * (height - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(title)}">',
        f"<title>{escaped(title)}</title>",
    ]
    for value, name in y.ticks:
        place = up(value)
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{width - RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{escaped(name)}</text>'
        )
    for value, name in x.ticks:
        place, below = across(value), height - BOTTOM + 18
        parts.append(f'<path class="axis" d="M{place:.1f} {height - BOTTOM}v5"/>')
        parts.append(f'<text class="tick" x="{place:.1f}" y="{below}" text-anchor="middle">{escaped(name)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {height - BOTTOM}H{width - RIGHT}"/>')
    middle, centre = (LEFT + width - RIGHT) / 2, (TOP + height - BOTTOM) / 2
    parts.append(f'<text class="label" x="{middle}" y="{height - 8}" text-anchor="middle">{escaped(x.label)}</text>')
    parts.append(
        f'<text class="label" transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">'
        f"{escaped(y.label)}</text>"
    )
    if limit and y.low <= limit[0] <= y.high:
        place = up(limit[0])
        parts.append(f'<path class="limit" d="M{LEFT} {place:.1f}H{width - RIGHT}"/>')
        parts.append(f'<text class="limit-name" x="{LEFT + 4}" y="{place - 5:.1f}">{escaped(limit[1])}</text>')
    for line in lines:
        parts.append(_drawn(line, across, up))
    parts.append("</svg>")
    return "\n".join(parts)


def _drawn(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    places = [(across(x), up(y)) for x, y in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    kind = f"{style(line.series)}{' faint' if line.faint else ''}"
    parts = [f'<g class="{kind}">', f'<path class="line" d="M{path}"/>' if places else ""]
    for (x, _), (low, high) in zip(places, line.spans, strict=False):
        parts.append(f'<path class="span" d="M{x:.1f} {up(low):.1f}V{up(high):.1f}"/>')
    if line.markers:
        for (x, y), title in zip(places, line.titles, strict=True):
            parts.append(
                f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{marker(line.series)}">'
                f"<title>{escaped(title)}</title></path>"
            )
    return "\n".join([*filter(None, parts), "</g>"])


def style(series: int) -> str:
    """Return the style classes of a series, by its number in the legend."""
    return f"c{series % COLOURS} d{series // COLOURS % 3}"


def marker(series: int) -> str:
    """Return the path of a series' marker, around 0 0."""
    return MARKERS[series % len(MARKERS)]


def swatch(series: int) -> str:
    """Return a small `<svg>` for the legend: the line with its marker."""
    return (
        f'<svg class="swatch" viewBox="0 0 34 14" aria-hidden="true"><g class="{style(series)}">'
        f'<path class="line" d="M2 7H32"/><path class="mark" transform="translate(17 7)" d="{marker(series)}"/>'
        "</g></svg>"
    )
