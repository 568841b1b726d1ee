"""Charts as SVG files of their own, readable in light and dark, with a title, a legend and panels side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lexport.reports.html import COLOURS, DRAWING
from lexport.reports.svg import Axis, Line, chart, logarithmic, marker, number, style

from .claim import Estimate

_WIDTH, _HEIGHT = 440, 300  # of a panel, px
_EDGE, _HEAD = 16, 34
_STYLE = """
svg{font-family:system-ui,-apple-system,"Segoe UI",sans-serif}
.page{fill:var(--page)}
svg .title{fill:var(--ink);font-size:16px;font-weight:600}
svg .panel{fill:var(--ink);font-size:13px;font-weight:600}
"""


@dataclass(frozen=True)
class Panel:
    """One chart of a picture; `limit` is a horizontal line with its caption."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    limit: tuple[float, str] | None = None


def picture(title: str, legend: Sequence[str], panels: Sequence[Panel]) -> str:
    """An SVG file; the legend names the series by their numbers."""
    width = max(len(panels) * (_WIDTH + _EDGE) + _EDGE, 560)
    keys, rows = _legend(legend, width)
    top = _EDGE + _HEAD + 22 * rows
    height = top + 24 + _HEIGHT + _EDGE // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{COLOURS}{DRAWING}{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        f'<text class="title" x="{_EDGE}" y="{_EDGE + 12}">{escape(title)}</text>',
        *keys,
    ]
    for place, panel in enumerate(panels):
        left = _EDGE + place * (_WIDTH + _EDGE)
        drawing = chart(panel.title, panel.x, panel.y, panel.lines, limit=panel.limit, width=_WIDTH, height=_HEIGHT)
        parts.append(f'<text class="panel" x="{left + 8}" y="{top + 12}">{escape(panel.title)}</text>')
        parts.append(f'<g transform="translate({left} {top + 22})">')
        parts.append(drawing.replace("<svg ", f'<svg width="{_WIDTH}" height="{_HEIGHT}" ', 1))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


def _legend(names: Sequence[str], width: int) -> tuple[list[str], int]:
    """The keys, in as many rows as they need, and the number of rows."""
    parts, x, row = [], float(_EDGE), 0
    for series, name in enumerate(names):
        room = 44 + 6.9 * len(name) + 14
        if x + room > width and x > _EDGE:
            x, row = float(_EDGE), row + 1
        y = _EDGE + _HEAD + 22 * row
        parts.append(
            f'<g class="{style(series)}" transform="translate({x:g} {y})"><path class="line" d="M0 0H32"/>'
            f'<path class="mark" transform="translate(16 0)" d="{marker(series)}"/></g>'
            f'<text x="{x + 40:g}" y="{y + 4}">{escape(name)}</text>'
        )
        x += room
    return parts, row + 1 if names else 0


def around(label: str, values: Sequence[float], suffix: str = "") -> Axis:
    """A linear axis around values, which need not begin at 0, with about five round ticks."""
    low, high = min(values), max(values)
    reach = max(high - low, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(reach / 5))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor * 5 >= reach)
    first, last = math.floor(low / step), math.ceil(high / step)
    last += first == last
    ticks = tuple((step * place, f"{number(step * place)}{suffix}") for place in range(first, last + 1))
    return Axis(label, step * first, step * last, ticks)


def steps(label: str, values: Sequence[float], names: Sequence[str] | None = None) -> Axis:
    """A logarithmic axis with a tick at each of these ascending values."""
    names = names or [number(value) for value in values]
    ticks = tuple((float(value), name) for value, name in zip(values, names, strict=True))
    return Axis(label, values[0] / 1.15, values[-1] * 1.15, ticks, math.log10)


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
