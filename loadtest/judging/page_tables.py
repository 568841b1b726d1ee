"""The tables of a report's page on runs, the server's own metrics, GPUs and the comparison with an earlier test."""

from __future__ import annotations

from ...reports.numbers import measured
from ...reports.pages import Cell
from ..results import LoadReport
from .comparison import BETTER, NOT_JUDGED, SAME, WORSE

_STYLES = {WORSE: "bad", BETTER: "good", NOT_JUDGED: "soft", SAME: ""}
_SPREAD = ("requests_per_second", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99_9_ms")


def runs(report: LoadReport) -> list[tuple[str, ...]]:
    """Return of each repeated cell its runs, and the median and its interval of each figure."""
    lines = []
    for row in report.rows:
        if row.spread:
            found = [row.spread.get(metric) for metric in _SPREAD]
            shown = ["–" if one is None else f"{measured(one.low)} – {measured(one.high)}" for one in found]
            lines.append((row.archive, row.workers, row.load, str(row.runs), *shown))
    return lines


def served(report: LoadReport) -> list[tuple[str, ...]]:
    """Return of each cell what the server counted: texts of a batch, queue and inference in ms."""
    return [
        (
            *(row.archive, row.workers, row.load, f"{row.server.requests:,}"),
            *map(measured, (row.server.batch_texts, row.server.queue_ms, row.server.inference_ms)),
        )
        for row in report.rows
        if row.server is not None
    ]


def gpus(report: LoadReport) -> list[tuple[str, ...]]:
    """Return of each cell what each GPU did."""
    return [
        (
            row.archive,
            row.workers,
            row.load,
            f"{gpu.index}: {gpu.name}",
            f"{gpu.busy:.0%}",
            f"{gpu.memory / 2**30:.1f}",
        )
        for row in report.rows
        for gpu in row.gpus or ()
    ]


def compared(report: LoadReport) -> list[tuple[str | Cell, ...]]:
    """Return each figure before and now."""
    found = report.comparison.changes if report.comparison else ()
    lines: list[tuple[str | Cell, ...]] = []
    for one in found:
        lines.append(
            (
                *(one.cell, one.name, one.words(one.before), one.words(one.after)),
                one.by,
                "" if one.chance is None else f"{one.chance:.2g}",
                Cell(one.judgement, _STYLES[one.outcome]),
            )
        )
    return lines
