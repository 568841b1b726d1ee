"""Charts of lines, and the keys of their legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..pages import render_part
from .axes import Axis

if TYPE_CHECKING:
    from markupsafe import Markup

_COLOURS = 5  # classes c0 to c4 in colours.css
_DASHES = 3  # classes d0 to d2 in drawing.css
_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",  # circle
    "M-3.6-3.6h7.2v7.2h-7.2Z",  # square
    "M0-4.8L4.6 3.4H-4.6Z",  # triangle
    "M0-5L4.6 0L0 5L-4.6 0Z",  # diamond
    "M-4.6-3.4H4.6L0 4.8Z",  # triangle, point down
)
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 22, 14, 46  # margins in px
_CHARACTER, _BETWEEN = 6.9, 4  # px of a character, and between the names of ticks


@dataclass(frozen=True)
class Key:
    """How a series is drawn: the classes of its colour and dashes, its marker (a path around 0 0), and its name."""

    style: str
    marker: str
    name: str


@dataclass(frozen=True)
class Line:
    """A series: its place in the legend (which gives colour and marker), points and their descriptions."""

    series: int
    points: tuple[tuple[float, float], ...]
    titles: tuple[str, ...]
    faint: bool = False  # dashed and hollow, for the lesser of two lines of one series
    markers: bool = True
    spans: tuple[tuple[float, float], ...] = ()  # of each point, the interval of its value


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return those ticks of a horizontal axis whose names do not touch the one before."""
    kept: list[tuple[float, str]] = []
    end = -math.inf
    for place, name in ticks:
        half = _CHARACTER * len(name) / 2
        if place - half > end:
            kept.append((place, name))
            end = place + half + _BETWEEN
    return kept


def keys(names: Iterable[str]) -> list[Key]:
    """Return the keys of a legend that names the series by their numbers."""
    return [key(series, name) for series, name in enumerate(names)]


def key(series: int, name: str = "") -> Key:
    """Return the key of a series, by its number in the legend."""
    return Key(f"c{series % _COLOURS} d{series // _COLOURS % _DASHES}", _MARKERS[series % len(_MARKERS)], name)


def line_chart(
    title: str,
    x: Axis,
    y: Axis,
    lines: Sequence[Line],
    *,
    limit: tuple[float, str] | None = None,
    uprights: Sequence[tuple[int, float, str]] = (),
    width: int = 400,
    height: int = 280,
) -> Markup:
    """Return an `<svg>` of lines, of a size in px.

    `limit` is a horizontal line with a caption, left out if it is off the axis; `uprights` are vertical lines, each
    with the series whose colour it has, its place and a caption.
    """
    right, bottom = width - _RIGHT, height - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + x.place(value) * (right - _LEFT)

    def up(value: float) -> float:
        return bottom - y.place(value) * (bottom - _TOP)

    drawn = []
    for line in lines:
        places = [(across(one), up(other)) for one, other in line.points]
        spans = [(place[0], up(low), up(high)) for place, (low, high) in zip(places, line.spans, strict=False)]
        marks = [(*place, text) for place, text in zip(places, line.titles, strict=True)] if line.markers else []
        drawn.append({"key": key(line.series), "faint": line.faint, "places": places, "spans": spans, "marks": marks})
    return render_part(
        "line_chart.svg",
        title=title,
        width=width,
        height=height,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        x={"label": x.label, "ticks": _apart([(across(value), name) for value, name in x.ticks])},
        y={"label": y.label, "ticks": [(up(value), name) for value, name in y.ticks]},
        uprights=[
            # The caption is on the side of the line where there is more room.
            (key(series), across(value), caption, "end" if across(value) > width / 2 else "start")
            for series, value, caption in uprights
        ],
        limit=(up(limit[0]), limit[1]) if limit and y.low <= limit[0] <= y.high else None,
        lines=drawn,
    )
