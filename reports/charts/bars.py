"""Charts of horizontal bars with their names and values: for figures that are compared at one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...messages.escaping import visible
from ..pages import render_part
from .axes import Axis
from .lines import key

if TYPE_CHECKING:
    from markupsafe import Markup

_LEFT, _RIGHT, _TOP, _BOTTOM = 14, 22, 18, 46  # margins in px
_ROW, _BAR = 42, 14  # px of a bar with its name above, and of the bar
_NAME = 34  # characters of a name
_CHARACTER = 6.9  # px


@dataclass(frozen=True)
class Bar:
    """A value: `series` is its place in the legend, `inner` a lesser value that is drawn inside, `text` both."""

    series: int
    name: str
    value: float
    text: str
    inner: float | None = None


def bar_chart(
    title: str, x: Axis, bars: Sequence[Bar], *, limit: tuple[float, str] | None = None, width: int = 400
) -> Markup:
    """Return an `<svg>` of bars from the axis' lower end, one below the other, `width` px wide.

    `limit` is a vertical line with a caption, left out if it is off the axis. A name that is too long is cut; its bar
    has the whole of it as its title.
    """
    right = width - _RIGHT

    def across(value: float) -> float:
        return _LEFT + x.place(value) * (right - _LEFT)

    drawn = []
    for place, bar in enumerate(bars):
        name = visible(bar.name)
        room = _NAME - len(bar.text) // 2 if len(bar.text) > _NAME // 2 else _NAME
        drawn.append(
            {
                "style": key(bar.series).style.split()[0],
                "name": name if len(name) <= room else name[: room - 1] + "…",
                "text": bar.text,
                "title": f"{bar.name}: {bar.text}",
                "top": _TOP + place * _ROW,
                "length": across(bar.value) - _LEFT,
                "inner": None if bar.inner is None else across(bar.inner) - _LEFT,
            }
        )
    bottom = _TOP + len(bars) * _ROW
    at = (across(limit[0]), limit[1]) if limit and x.low <= limit[0] <= x.high else None
    return render_part(
        "bar_chart.svg",
        title=title,
        width=width,
        height=bottom + _BOTTOM,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        thick=_BAR,
        row=_ROW,
        x={"label": x.label, "ticks": [(across(value), name) for value, name in x.ticks]},
        # The caption is on the side of the line where there is room for it.
        limit=at and (*at, "end" if at[0] + _CHARACTER * len(at[1]) > width else "start"),
        bars=drawn,
    )
