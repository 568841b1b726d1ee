"""The figures of a report: requests/s and latency by load, and the percentile curves."""

from __future__ import annotations

from dataclasses import dataclass

from ..reports.charts.axes import Axis, categories, linear, logarithmic, percentiles
from ..reports.charts.lines import Key, Line, keys, line_chart
from ..reports.numbers import number
from ..reports.pages import Figure
from .results import LoadReport, Row, load_in_words


@dataclass(frozen=True)
class Figures:
    """The figures of a report and the keys of their series."""

    keys: list[Key]
    by_load: list[Figure]
    distributions: list[Figure]


def figures(report: LoadReport) -> Figures | None:
    """Return all figures, or None if nothing was run."""
    if not report.rows:
        return None
    names = list(dict.fromkeys((row.archive, row.workers) for row in report.rows))
    several = len({archive for archive, _ in names}) > 1
    labels = [f"{archive} {workers}" if several else workers for archive, workers in names]
    series = [[row for row in report.rows if (row.archive, row.workers) == name] for name in names]
    levels = sorted({row.level for row in report.rows})
    by_load = [_throughput(series, labels, levels), _latency(series, labels, levels, _latency_limit(report))]
    return Figures(keys(labels), by_load, _distributions(series, levels))


def _throughput(series: list[list[Row]], labels: list[str], levels: list[float]) -> Figure:
    x = _load_axis(series, levels)
    y = linear("requests/s", max(row.requests_per_second for rows in series for row in rows))
    lines = [
        Line(
            place,
            tuple((float(levels.index(row.level)), row.requests_per_second) for row in rows),
            tuple(
                f"{label}, {row.load}: {'≥ ' if row.client_limit else ''}{number(row.requests_per_second)} requests/s"
                for row in rows
            ),
        )
        for place, (rows, label) in enumerate(zip(series, labels, strict=True))
    ]
    title = "Requests per second"
    return Figure(title, line_chart(title, x, y, lines), "Answered requests per second; higher is better.")


def _latency(
    series: list[list[Row]], labels: list[str], levels: list[float], limit: tuple[float, str] | None
) -> Figure:
    lines = []
    for place, (rows, label) in enumerate(zip(series, labels, strict=True)):
        for name, faint in (("p50", True), ("p99", False)):
            known = [(row, ms) for row in rows if (ms := row.p50_ms if faint else row.p99_ms) is not None]
            lines.append(
                Line(
                    place,
                    tuple((float(levels.index(row.level)), ms) for row, ms in known),
                    tuple(f"{label}, {row.load}: {name} {number(ms)} ms" for row, ms in known),
                    faint,
                )
            )
    y = _latency_axis([ms for line in lines for _, ms in line.points] + ([limit[0]] if limit else []))
    title = "Latency, p50 and p99"
    caption = "Filled and solid: p99. Hollow and dashed: p50. Logarithmic; lower is better."
    return Figure(title, line_chart(title, _load_axis(series, levels), y, lines, limit=limit), caption)


def _distributions(series: list[list[Row]], levels: list[float]) -> list[Figure]:
    y = _latency_axis([ms for rows in series for row in rows for _, ms in row.curve])
    x = percentiles(
        "percentile of requests", max((p for rows in series for r in rows for p, _ in r.curve), default=99.0)
    )
    found = []
    for level in levels:
        lines = [
            Line(place, row.curve, (), markers=False)
            for place, rows in enumerate(series)
            for row in rows
            if row.level == level and row.curve
        ]
        title = load_in_words(series[0][0].arrivals, level)
        drawing = line_chart(f"Latency by percentile, {title}", x, y, lines, width=380, height=280)
        found.append(Figure(title, drawing, "Each further nine takes the same room; logarithmic; lower is better."))
    return found


def _load_axis(series: list[list[Row]], levels: list[float]) -> Axis:
    closed = series[0][0].arrivals == "closed"
    return categories("users at once" if closed else "requests/s planned", [f"{level:,.6g}" for level in levels])


def _latency_axis(values: list[float]) -> Axis:
    return logarithmic("ms", min(values, default=1.0), max(values, default=1.0))


def _latency_limit(report: LoadReport) -> tuple[float, str] | None:
    """Return the p99 objective as a line to draw, in ms."""
    for objective in report.objectives:
        if objective.startswith("p99 <= "):
            return float(objective.removeprefix("p99 <= ").removesuffix(" ms")), f"SLO {objective}"
    return None
