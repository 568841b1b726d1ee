"""The page of two load tests side by side."""

from __future__ import annotations

from collections.abc import Iterator

from ...reports.charts.axes import linear
from ...reports.charts.bars import Bar, bar_chart
from ...reports.charts.lines import keys
from ...reports.numbers import measured
from ...reports.pages import Cell, Figure, render
from ..side_by_side import LoadComparison, Measured, Pair, in_ratio

_EQUAL = 0.02  # a ratio this near to 1 is shown as neither better nor worse
_Cells = tuple[str | Cell, ...]


def html(found: LoadComparison) -> str:
    """Return the whole page."""
    several = len({pair.archives for pair in found.pairs}) > 1
    return render(
        "comparison.html",
        title=f"Load tests of {found.before.subject} and {found.after.subject}",
        in_short=f"A: {found.before.started[:16].replace('T', ' ')} UTC · B: "
        f"{found.after.started[:16].replace('T', ' ')} UTC · B/A is the ratio of B to A",
        tests=[("A", found.before), ("B", found.after)],
        several=several,
        closed=all(pair.arrivals == "closed" for pair in found.pairs),
        rows=list(_rows(found, several)),
        keys=keys(["A", "B"]),
        figures=[
            _bars(found, "Requests per second", "requests/s", "requests_per_second", "Higher is better."),
            _bars(found, "Latency, p99", "ms", "p99_ms", "Lower is better."),
        ],
        only=[("A", name) for name in found.only_before] + [("B", name) for name in found.only_after],
        differences=found.differences,
    )


def _rows(found: LoadComparison, several: bool) -> Iterator[_Cells]:
    for pair in found.pairs:
        yield (
            *([" → ".join(dict.fromkeys(pair.archives))] if several else []),
            pair.workers or "the server",
            f"{pair.level:,.6g}",
            pair.before.bounded(),
            pair.after.bounded(),
            _judged(pair, "requests_per_second", higher=True),
            *(measured(value) for value in (pair.before.p50_ms, pair.after.p50_ms)),
            _judged(pair, "p50_ms"),
            *(measured(value) for value in (pair.before.p99_ms, pair.after.p99_ms)),
            _judged(pair, "p99_ms"),
            *(_failed(one) for one in (pair.before, pair.after)),
        )


def _judged(pair: Pair, name: str, *, higher: bool = False) -> Cell:
    """Return a ratio, coloured by whether B is better."""
    value = pair.ratio(name)
    if value is None or abs(value - 1) <= _EQUAL:
        return Cell(in_ratio(value), "soft")
    return Cell(in_ratio(value), "good" if (value > 1) == higher else "bad")


def _failed(one: Measured) -> str | Cell:
    return Cell(f"{one.failures:,}", "bad") if one.failures else "0"


def _bars(found: LoadComparison, title: str, unit: str, name: str, caption: str) -> Figure:
    """Return a bar of each test for each pair."""
    bars = []
    for pair in found.pairs:
        for place, one in enumerate((pair.before, pair.after)):
            value = getattr(one, name)
            if value is not None:
                words = f"{'AB'[place]}  {pair.workers or 'the server'}, {pair.load}"
                bars.append(Bar(place, words, value, measured(value)))
    highest = max((bar.value for bar in bars), default=1.0)
    return Figure(title, bar_chart(title, linear(unit, highest), bars), caption)
