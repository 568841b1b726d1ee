"""Small HTML tables of runs, archives, servers and answers for notebooks; everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .pages import render

_MAX_ROWS = 50  # of answers are shown


@dataclass(frozen=True)
class _Cell:
    text: object
    tag: str = "td"
    align: str = "left"
    bar: str = ""  # its length in percent


def facts(title: str, rows: Mapping[str, object]) -> str:
    """Return a table with a title and one row for each name and value."""
    shown = [(_Cell(name, "th"), _cell(value)) for name, value in rows.items()]
    return render("notebook.html", title=title, heads=(), rows=shown, more=0)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, shares: frozenset[str] = frozenset()) -> str:
    """Return a table of answers; numbers of the columns in `shares`, from 0 to 1, get a bar behind them."""
    kept = list(rows)
    shown = [
        [_cell(value, bar=name in shares) for name, value in zip(columns, row, strict=True)]
        for row in kept[:_MAX_ROWS]
    ]
    return render("notebook.html", title="", heads=columns, rows=shown, more=max(0, len(kept) - _MAX_ROWS))


def _cell(value: object, *, bar: bool = False) -> _Cell:
    if not isinstance(value, float):
        return _Cell(value)
    length = f"{100 * min(max(value, 0.0), 1.0):.1f}" if bar else ""
    return _Cell(f"{value:.4g}", align="right", bar=length)
