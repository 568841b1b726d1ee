"""Small HTML tables of runs, archives, servers and answers for notebooks; everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ..messages.escaping import visible

# Most rows of answers that are shown.
_MAX_ROWS = 50
_BAR = "background:linear-gradient(to right,#4a90d955 {share:.1f}%,transparent {share:.1f}%)"


def facts(title: str, rows: Mapping[str, object]) -> str:
    """Return a table with a title and one row for each name and value."""
    lines = "".join(f"<tr><th style='text-align:left'>{_shown(name)}</th>{_cell(rows[name])}</tr>" for name in rows)
    return f"<table><caption style='text-align:left'><b>{_shown(title)}</b></caption>{lines}</table>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, shares: frozenset[str] = frozenset()) -> str:
    """Return a table of answers; numbers of the columns in `shares`, from 0 to 1, get a bar behind them."""
    kept = list(rows)
    head = "".join(f"<th style='text-align:left'>{_shown(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(_cell(value, bar=name in shares) for name, value in zip(columns, row, strict=True)) + "</tr>"
        for row in kept[:_MAX_ROWS]
    )
    more = f"<p>and {len(kept) - _MAX_ROWS:,} more</p>" if len(kept) > _MAX_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: object, *, bar: bool = False) -> str:
    if isinstance(value, float):
        style = (
            f"text-align:right;{_BAR.format(share=100 * min(max(value, 0.0), 1.0))}" if bar else "text-align:right"
        )
        return f"<td style='{style}'>{value:.4g}</td>"
    return f"<td style='text-align:left'>{_shown(value)}</td>"


def _shown(value: object) -> str:
    return escape(visible(value))
