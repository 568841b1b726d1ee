"""What makes a difference: workers, devices, engines and variants side by side, at the same load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from ...export.evidence.load_results import load_in_words
from ...reports.charts.axes import categories, linear
from ...reports.charts.lines import Key, Line, keys, line_chart
from ...reports.numbers import at_least, measured, number
from ...reports.pages import Figure
from ..results import LoadReport, Row
from .charts import Series, bars_of, latency_limit, series_of

_WORKERS = re.compile(r"(?:([a-z]+) )?(cpu|gpu):([0-9]+)")


@dataclass(frozen=True)
class Setting:
    """What a run was served by."""

    archive: str
    engine: str
    device: str
    workers: int

    @classmethod
    def of(cls, row: Row) -> Setting | None:
        """Return that of a row; None of a server that ran, of which nothing is known."""
        match = _WORKERS.fullmatch(row.workers)
        return match and cls(row.archive, match[1] or "torchserve", match[2], int(match[3]))


@dataclass(frozen=True)
class Contrasts:
    """The section: at which load, bars of all runs, throughput by workers with its keys, and a table of ratios."""

    load: str
    bars: tuple[Figure, ...]
    keys: list[Key]
    workers: Figure | None
    pairs: list[tuple[str, ...]]


HEADS = ("Difference", "Of", "Requests/s", "Ratio", "p99, ms", "Ratio of p99")


def contrasts(report: LoadReport) -> Contrasts | None:
    """Return what differs, at the highest load that all were run with; None of a single archive and worker set."""
    series = series_of(report)
    if len(series) < 2:
        return None
    shared = set.intersection(*({row.level for row in one.rows} for one in series))
    level = max(shared, default=None)
    if level is None:
        return None
    rows = [(one, row) for one in series for row in one.rows if row.level == level]
    # With a single load these bars are the report's first figures.
    several = len({row.level for row in report.rows}) > 1
    names, workers = _by_workers(series)
    return Contrasts(
        load_in_words(report.rows[0].arrivals, level),
        bars_of(rows, latency_limit(report)) if several else (),
        keys(names),
        workers,
        list(_pairs([row for _, row in rows], len(report.archives) > 1)),
    )


def _by_workers(series: list[Series]) -> tuple[list[str], Figure | None]:
    """Return the names of the lines, and most requests/s by number of workers; no figure of a single number."""
    best: dict[tuple[str, ...], dict[int, Row]] = {}
    for one in series:
        row = max(one.rows, key=lambda row: row.requests_per_second)
        setting = Setting.of(row)
        if setting:
            best.setdefault((setting.archive, setting.engine, setting.device), {})[setting.workers] = row
    counts = sorted({count for found in best.values() for count in found})
    if len(counts) < 2:
        return [], None
    # What all lines have in common is left out of their names.
    kinds = list(zip(*best, strict=True))
    names = [" ".join(part for part, kind in zip(key, kinds, strict=True) if len(set(kind)) > 1) for key in best]
    names = [name or f"{key[1]} {key[2]}" for name, key in zip(names, best, strict=True)]
    lines = [
        Line(
            place,
            tuple((float(counts.index(count)), found[count].requests_per_second) for count in sorted(found)),
            tuple(
                f"{name}, {count} worker{'s' * (count > 1)}, {found[count].load}: "
                f"{number(found[count].requests_per_second)} requests/s"
                for count in sorted(found)
            ),
        )
        for place, (name, found) in enumerate(zip(names, best.values(), strict=True))
    ]
    title = "Requests per second by workers"
    y = linear("requests/s", max(row.requests_per_second for found in best.values() for row in found.values()))
    drawing = line_chart(title, categories("workers", [str(count) for count in counts]), y, lines)
    return names, Figure(title, drawing, "At each one's best load; higher is better.")


def _pairs(rows: list[Row], several: bool) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a table: two runs that differ in one respect only, the second by the first."""
    for one, other in combinations(rows, 2):
        before, after = Setting.of(one), Setting.of(other)
        if before is None or after is None:
            continue
        what = {
            f"{after.archive} against {before.archive}": after.archive != before.archive,
            f"{after.engine} against {before.engine}": after.engine != before.engine,
            f"{after.device.upper()} against {before.device.upper()}": after.device != before.device,
            f"{after.workers} workers against {before.workers}": after.workers != before.workers,
        }
        differences = [words for words, differs in what.items() if differs]
        if len(differences) != 1:
            continue
        same = [
            *([before.archive] if several and before.archive == after.archive else []),
            *([before.engine] if before.engine == after.engine else []),
            *([before.device] if before.device == after.device else []),
            *([f"{before.workers} worker{'s' * (before.workers > 1)}"] if before.workers == after.workers else []),
        ]
        yield (
            differences[0],
            ", ".join(same),
            " → ".join(at_least(row.requests_per_second, row.client_limit) for row in (one, other)),
            ratio(one.requests_per_second, other.requests_per_second, bool(one.client_limit or other.client_limit)),
            f"{measured(one.p99_ms)} → {measured(other.p99_ms)}",
            ratio(one.p99_ms, other.p99_ms, bool(one.client_limit or other.client_limit)),
        )


def ratio(before: float | None, after: float | None, bounded: bool = False) -> str:
    """Return how many times `before` `after` is; a dash where one is missing, or only a bound."""
    return "–" if bounded or not before or after is None else f"{measured(after / before)}×"
