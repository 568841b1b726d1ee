"""A load test in Markdown, for the summary of a job in GitHub Actions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...messages.escaping import visible
from ...reports.numbers import at_least, measured
from ..results import LoadReport, Row
from .verdict import verdict

VARIABLE = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file to which a step appends its summary."""


def append_summary(report: LoadReport) -> None:
    """Append the summary to the file that GitHub Actions names; nothing elsewhere, or where it cannot be written."""
    path = os.environ.get(VARIABLE)
    if path:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown(report))


def markdown(report: LoadReport) -> str:
    """Return the verdict, a table of all cells, what is worse than before, and what to know of the figures."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: LoadReport) -> Iterator[str]:
    yield f"## Load test of {_plain(', '.join(report.archives))}"
    yield ""
    yield _plain(verdict(report))
    yield ""
    several = len(report.archives) > 1
    names = ["archive"] * several + ["workers", "load", "runs", "requests/s", "p50 ms", "p99 ms", "failed"]
    if report.objectives:
        names.append("SLO")
    yield _line(names)
    yield _line(["--"] * (len(names)))
    for row in report.rows:
        cells = [row.archive] * several + [row.workers, row.load, str(row.runs), *_figures(row)]
        yield _line([*cells, report.judgement(row)] if report.objectives else cells)
    for missing in report.not_run:
        cells = [missing.archive] * several + [missing.workers, f"not run: {missing.reason}"]
        yield _line([*cells, *[""] * (len(names) - len(cells))])
    if report.comparison:
        yield from _comparison(report)
    if report.warnings:
        yield ""
        yield from (f"- {_plain(warning)}" for warning in report.warnings)


def _figures(row: Row) -> list[str]:
    return [
        at_least(row.requests_per_second, row.client_limit),
        *map(measured, (row.p50_ms, row.p99_ms)),
        f"{row.failures:,}",
    ]


def _comparison(report: LoadReport) -> Iterator[str]:
    compared = report.comparison
    assert compared is not None
    yield ""
    yield f"Compared with the test of {_plain(compared.started)} ({_plain(compared.source)}):"
    yield ""
    yield _line(["cell", "figure", "before", "now", "change", "outcome"])
    yield _line(["--"] * 6)
    for one in compared.changes:
        yield _line([one.cell, one.name, one.words(one.before), one.words(one.after), one.by, one.judgement])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Return a text without the signs that Markdown or HTML read."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", visible(text))
