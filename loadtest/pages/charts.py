"""The figures of a report, in sections: by load, the knee, over time, distributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...export.evidence.load_results import load_in_words
from ...reports.charts.axes import Axis, categories, linear, logarithmic, percentiles
from ...reports.charts.bars import Bar, bar_chart
from ...reports.charts.lines import Key, Line, keys, line_chart
from ...reports.numbers import at_least, measured, number
from ...reports.pages import Figure
from ..driver.arrivals import Ramp
from ..results import LoadReport, Row
from ..series import Slot

_NEAR = 10  # times the slowest p99: an objective beyond it is not drawn
_SMALL = (330, 250)  # px of the charts of which there are many

Limit = tuple[float, str]
"""Where the line of an objective is, and its caption."""


@dataclass(frozen=True)
class Series:
    """The runs of one archive and worker set: a line of each chart."""

    place: int
    """In the legend."""
    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Section:
    """Figures below a heading. `grid` is how they stand: `pair` or `many`, which are smaller."""

    heading: str
    text: str
    figures: tuple[Figure, ...]
    grid: str = "pair"


@dataclass(frozen=True)
class Figures:
    """All figures of a report and the keys of their series."""

    keys: list[Key]
    sections: list[Section]


def figures(report: LoadReport) -> Figures | None:
    """Return all figures, or None if nothing was run."""
    if not report.rows:
        return None
    series = series_of(report)
    levels = sorted({row.level for row in report.rows})
    found = [_by_load(series, levels, latency_limit(report)), _knee(series, levels), _over_time(series, levels)]
    found.append(_distributions(series, levels))
    return Figures(keys(one.label for one in series), [section for section in found if section.figures])


def series_of(report: LoadReport) -> list[Series]:
    """Return the runs by archive and worker set, in their order."""
    names = list(dict.fromkeys((row.archive, row.workers) for row in report.rows))
    several = len({archive for archive, _ in names}) > 1
    return [
        Series(
            place,
            f"{archive} {workers}" if several else workers,
            tuple(row for row in report.rows if (row.archive, row.workers) == (archive, workers)),
        )
        for place, (archive, workers) in enumerate(names)
    ]


def latency_limit(report: LoadReport) -> Limit | None:
    """Return the p99 objective as a line to draw, in ms."""
    for objective in report.objectives:
        if objective.startswith("p99 <= "):
            return float(objective.removeprefix("p99 <= ").removesuffix(" ms")), f"SLO {objective}"
    return None


def bars_of(rows: Sequence[tuple[Series, Row]], limit: Limit | None) -> tuple[Figure, Figure]:
    """Return requests/s and latencies of runs with the same load, as bars."""
    rates = [
        Bar(series.place, series.label, row.requests_per_second, at_least(row.requests_per_second, row.client_limit))
        for series, row in rows
    ]
    waits = [
        Bar(series.place, series.label, row.p99_ms, f"{measured(row.p50_ms)} · {measured(row.p99_ms)}", row.p50_ms)
        for series, row in rows
        if row.p99_ms is not None
    ]
    highest = max((bar.value for bar in waits), default=1.0)
    if limit and highest < limit[0] <= 2 * highest:
        highest = limit[0]
    throughput, latency = "Requests per second", "Latency, p50 and p99"
    rate_axis = linear("requests/s", max(bar.value for bar in rates))
    return (
        Figure(throughput, bar_chart(throughput, rate_axis, rates), _RATE),
        Figure(
            latency,
            bar_chart(latency, linear("ms", highest), waits, limit=limit),
            "Full colour: p50. Pale: p99. The figures are p50 · p99 in ms. Lower is better.",
        ),
    )


_RATE = "Answered requests per second; higher is better."


def _by_load(series: list[Series], levels: list[float], limit: Limit | None) -> Section:
    if len(levels) == 1:
        bars = bars_of([(one, row) for one in series for row in one.rows], limit)
        load = load_in_words(series[0].rows[0].arrivals, levels[0])
        return Section(f"Throughput and latency, {load}", "", bars)
    both = (_throughput(series, levels), _latency(series, levels, limit))
    return Section("Throughput and latency by load", "", both)


def _throughput(series: list[Series], levels: list[float]) -> Figure:
    y = linear("requests/s", max(row.requests_per_second for one in series for row in one.rows))
    lines = [
        Line(
            one.place,
            tuple((float(levels.index(row.level)), row.requests_per_second) for row in one.rows),
            tuple(
                f"{one.label}, {row.load}: {_bound(row)}{number(row.requests_per_second)} requests/s"
                for row in one.rows
            ),
        )
        for one in series
    ]
    title = "Requests per second"
    return Figure(title, line_chart(title, _load_axis(series, levels), y, lines), _RATE)


def _latency(series: list[Series], levels: list[float], limit: Limit | None) -> Figure:
    lines = []
    for one in series:
        for name, faint in (("p50", True), ("p99", False)):
            known = [(row, ms) for row in one.rows if (ms := row.p50_ms if faint else row.p99_ms) is not None]
            lines.append(
                Line(
                    one.place,
                    tuple((float(levels.index(row.level)), ms) for row, ms in known),
                    tuple(f"{one.label}, {row.load}: {name} {number(ms)} ms" for row, ms in known),
                    faint,
                )
            )
    times = [ms for line in lines for _, ms in line.points]
    if limit and limit[0] <= _NEAR * max(times, default=1.0):
        times.append(limit[0])  # one that is far away would leave the lines no room
    y = _latency_axis(times)
    title = "Latency, p50 and p99"
    caption = "Filled and solid: p99. Hollow and dashed: p50. Logarithmic; lower is better."
    return Figure(title, line_chart(title, _load_axis(series, levels), y, lines, limit=limit), caption)


def _knee(series: list[Series], levels: list[float]) -> Section:
    """Return latency against throughput, by load or along a ramp."""
    heading, title = "The knee", "p99 against throughput"
    if series[0].rows[0].arrivals == "ramp":
        text = "The rate rose evenly. From the knee on, requests failed, or waited three times as long as before."
        return Section(heading, text, tuple(_ramps(series, levels)))
    lines = []
    for one in series:
        known = [(row, row.p99_ms) for row in one.rows if row.p99_ms is not None]
        points = tuple((row.requests_per_second, ms) for row, ms in known)
        titles = tuple(
            f"{one.label}, {row.load}: {_bound(row)}{number(row.requests_per_second)} requests/s, p99 {number(ms)} ms"
            for row, ms in known
        )
        lines.append(Line(one.place, points, titles))
    points_of = [point for line in lines for point in line.points]
    if len(levels) < 2 or not points_of:
        return Section(heading, "", ())
    x = linear("requests/s", max(rate for rate, _ in points_of))
    drawing = line_chart(title, x, _latency_axis([ms for _, ms in points_of]), lines)
    caption = "A point for each load, joined in their order. Logarithmic; right and low is best."
    text = "Where a line turns upwards, more load brings longer waits and hardly more answers."
    return Section(heading, text, (Figure(title, drawing, caption),))


def _ramps(series: list[Series], levels: list[float]) -> Iterator[Figure]:
    for level in levels:
        lines, knees = [], []
        for one, row in _at(series, level):
            ramp = Ramp(row.rate, row.seconds)
            points = tuple(
                (ramp.rate_at(slot.second + slot.seconds / 2), slot.p99_ms)
                for slot in row.series
                if slot.p99_ms is not None
            )
            lines.append(Line(one.place, points, (), markers=False))
            if row.knee is not None:
                knees.append((one.place, row.knee, f"knee {number(row.knee)} requests/s"))
        times = [ms for line in lines for _, ms in line.points]
        if len(times) > 1:
            title = f"p99 along the ramp to {level:,.6g} requests/s"
            x = linear("requests/s planned", 0.999 * level)
            drawing = line_chart(title, x, _latency_axis(times), lines, uprights=knees)
            yield Figure(title, drawing, "Logarithmic; lower is better.")


def _over_time(series: list[Series], levels: list[float]) -> Section:
    """Return what was answered, how late, and what failed, slot by slot of the measured window."""
    closed = series[0].rows[0].arrivals == "closed"
    courses: dict[str, Callable[[Slot], float | None]] = {"p99": lambda slot: slot.p99_ms}
    if not closed:
        courses = {"Requests/s": lambda slot: slot.answered / slot.seconds} | courses
    if any(slot.failures for one in series for row in one.rows for slot in row.series):
        courses["Failures/s"] = lambda slot: slot.failures / slot.seconds
    found = []
    for level in levels:
        at_level = [(one, row) for one, row in _at(series, level) if len(row.series) > 1]
        for name, value in courses.items():
            lines = [
                Line(
                    one.place,
                    tuple(
                        (slot.second + slot.seconds / 2, shown)
                        for slot in row.series
                        if (shown := value(slot)) is not None
                    ),
                    (),
                    markers=False,
                )
                for one, row in at_level
            ]
            values = [shown for line in lines for _, shown in line.points]
            if not any(len(line.points) > 1 for line in lines) or not any(values):
                continue
            title = f"{name}, {load_in_words(series[0].rows[0].arrivals, level)}"
            x = linear("seconds", 0.999 * max(row.seconds for _, row in at_level))
            y = _latency_axis(values) if name == "p99" else linear(name.lower(), max(values))
            drawing = line_chart(title, x, y, lines, width=_SMALL[0], height=_SMALL[1])
            found.append(Figure(title, drawing, _OVER_TIME[name]))
    recovered = "; ".join(
        f"{one.label} {number(row.recovery)} s" for one in series for row in one.rows if row.recovery is not None
    )
    text = f"After the spike requests went as before within: {recovered}." if recovered else ""
    return Section("Over time", text, tuple(found), "many")


_OVER_TIME = {
    "p99": "Of the requests that were due in each part of the run. Logarithmic; lower is better.",
    "Requests/s": "Answered, by when they were due.",
    "Failures/s": "Not answered, or not as expected, by when they were due.",
}


def _distributions(series: list[Series], levels: list[float]) -> Section:
    y = _latency_axis([ms for one in series for row in one.rows for _, ms in row.curve])
    x = percentiles(
        "percentile of requests", max((p for one in series for row in one.rows for p, _ in row.curve), default=99.0)
    )
    found = []
    for level in levels:
        lines = [Line(one.place, row.curve, (), markers=False) for one, row in _at(series, level) if row.curve]
        if lines:
            title = load_in_words(series[0].rows[0].arrivals, level)
            drawing = line_chart(f"Latency by percentile, {title}", x, y, lines, width=_SMALL[0], height=_SMALL[1])
            found.append(
                Figure(title, drawing, "Each further nine takes the same room; logarithmic; lower is better.")
            )
    return Section("Latency distribution", "", tuple(found), "many")


def _at(series: list[Series], level: float) -> list[tuple[Series, Row]]:
    return [(one, row) for one in series for row in one.rows if row.level == level]


def _bound(row: Row) -> str:
    return "≥ " if row.client_limit else ""


def _load_axis(series: list[Series], levels: list[float]) -> Axis:
    closed = series[0].rows[0].arrivals == "closed"
    return categories("users at once" if closed else "requests/s planned", [f"{level:,.6g}" for level in levels])


def _latency_axis(values: list[float]) -> Axis:
    return logarithmic("ms", min(values, default=1.0), max(values, default=1.0))
