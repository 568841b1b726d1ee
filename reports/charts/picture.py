"""Charts as SVG files of their own, readable in light and dark, with a title, a legend and panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..pages import render
from .axes import Axis
from .lines import Key, Line, keys, line_chart

_WIDTH, _HEIGHT = 440, 300  # of a panel, px
_NARROWEST = 560  # px of a picture
_EDGE, _HEAD, _ROW = 16, 34, 22  # px around panels, of the title, of a row of the legend
_CHARACTER = 6.9  # px


@dataclass(frozen=True)
class Panel:
    """One chart of a picture; `limit` is a horizontal line with its caption."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    limit: tuple[float, str] | None = None


def picture(title: str, legend: Sequence[str], panels: Sequence[Panel]) -> str:
    """Return an SVG file; the legend names the series by their numbers."""
    width = max(len(panels) * (_WIDTH + _EDGE) + _EDGE, _NARROWEST)
    placed, rows = _placed(keys(legend), width)
    top = _EDGE + _HEAD + _ROW * rows
    return render(
        "picture.svg",
        title=title,
        keys=placed,
        panels=[
            (
                _EDGE + place * (_WIDTH + _EDGE),
                one.title,
                line_chart(one.title, one.x, one.y, one.lines, limit=one.limit, width=_WIDTH, height=_HEIGHT),
            )
            for place, one in enumerate(panels)
        ],
        width=width,
        height=top + 24 + _HEIGHT + _EDGE // 2,
        top=top,
        edge=_EDGE,
    )


def _placed(legend: Sequence[Key], width: int) -> tuple[list[tuple[float, int, Key]], int]:
    """Return x and y of each key, in as many rows as they need, and the number of rows."""
    found, x, row = [], float(_EDGE), 0
    for key in legend:
        room = 44 + _CHARACTER * len(key.name) + 14
        if x + room > width and x > _EDGE:
            x, row = float(_EDGE), row + 1
        found.append((x, _EDGE + _HEAD + _ROW * row, key))
        x += room
    return found, row + 1 if legend else 0
