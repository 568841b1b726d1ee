"""A load test's outputs: a table for the terminal, results.csv, results.json and report.html."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.box import SIMPLE
from rich.text import Text

from ..errors import InputError
from ..messages.escaping import visible
from ..reports.numbers import measured
from ..reports.tables import Table
from ..storage.atomic import check_folder, json_bytes, new_folder
from .pages.report import html
from .results import LoadReport, Row

FILES = ("report.html", "results.csv", "results.json")
COLUMNS = (
    "archive",
    "workers",
    "users",
    "status",  # run, or: not run: REASON
    "requests_per_second",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
    "answered",
    "failures",
    "failure_percent",
    "client_cpu_percent_of_core",
    "client_cpu_percent_of_machine",
    "machine_cpu_percent",
    "seconds",
    "slo",  # met, missed METRICS, or not judged; empty without objectives
    "arrivals",
    "rate",
    "due_per_second",
    "lag_p99_ms",
    "slowest_failure_ms",
    "processes",
    "client_limit",  # why requests_per_second is a lower bound; empty where it is not
    "knee",
    "recovery_seconds",
)


_SHORT = {"met": "met", "missed": "missed", "not": "–"}
_STYLES = {"met": "green", "missed": "red", "not": "dim"}


def check_out(out: Path) -> None:
    """Check, before anything runs, that the report can be written to `out`: a new folder, or an older report's.

    Raises InputError otherwise.
    """
    check_folder(out, replace=True)
    if not out.exists():
        return
    foreign = sorted({entry.name for entry in out.iterdir()} - set(FILES))
    if foreign:
        raise InputError(
            f"{out} contains other files ({foreign[0]}), so no report is written. Choose a new folder with --out.",
            code="LX-LOAD-020",
        )


def write(report: LoadReport, out: Path) -> None:
    """Write the three files into `out`, all or none; an older report there is replaced."""
    with new_folder(out, replace=True) as folder:
        (folder / "report.html").write_text(html(report), encoding="utf-8")
        (folder / "results.csv").write_text(csv_text(report), encoding="utf-8", newline="")
        (folder / "results.json").write_bytes(json_bytes(report.as_dict()))


def csv_text(report: LoadReport) -> str:
    """Return one line for each run in the order of COLUMNS, then one for each worker set that was not run."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in report.rows:
        lines.writerow(
            (
                visible(row.archive),
                visible(row.workers),
                row.users,
                "run",
                *(_plain(row.requests_per_second), _plain(row.p50_ms), _plain(row.p95_ms), _plain(row.p99_ms)),
                _plain(row.max_ms),
                row.answered,
                row.failures,
                _plain(row.failure_share * 100),
                *(_plain(share * 100) for share in (row.client_cpu, row.client_cpu_machine, row.machine_cpu)),
                _plain(row.seconds),
                visible(next(iter(_judged(report, row)), "")),
                row.arrivals,
                *(_plain(value) for value in (row.rate, row.due_per_second, row.lag_p99_ms, row.slowest_failure_ms)),
                row.processes,
                row.client_limit or "",
                *(_plain(value) for value in (row.knee, row.recovery)),
            )
        )
    for missing in report.not_run:
        blank = [""] * (len(COLUMNS) - 4)
        cells = (visible(missing.archive), visible(missing.workers), "", visible(f"not run: {missing.reason}"))
        lines.writerow((*cells, *blank))
    return text.getvalue()


def table(report: LoadReport) -> Table:
    """Return the runs as a table for a terminal: latencies in ms, and the client's share of one core."""
    several = len(report.archives) > 1
    shown = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    for name in (["archive"] if several else []) + ["workers"]:
        shown.add_column(name)
    closed = all(row.arrivals == "closed" for row in report.rows)
    for name in ("users" if closed else "rate", "req/s", "p50 ms", "p95", "p99", "max", "failed", "client"):
        shown.add_column(name, justify="right")
    if report.objectives:
        shown.add_column("SLO", no_wrap=True)
    before: tuple[str, str] | None = None
    for row in report.rows:
        if before and before != (row.archive, row.workers):
            shown.add_section()
        before = (row.archive, row.workers)
        verdict = _judged(report, row)
        shown.add_row(
            *([row.archive] if several else []),
            row.workers,
            f"{row.level:,.6g}",
            bounded(row),
            *(measured(value) for value in (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)),
            Text(f"{row.failures:,}", style="red" if row.failures else ""),
            f"{row.client_cpu:.0%}",
            *(Text(_SHORT[words.partition(" ")[0]], style=_STYLES[words.partition(" ")[0]]) for words in verdict),
        )
    for missing in report.not_run:
        shown.add_section()
        shown.add_row(*([missing.archive] if several else []), missing.workers, "", Text("not run", style="dim"))
    return shown


def bounded(row: Row) -> str:
    """Return a row's requests/s, as a lower bound where the client was the limit."""
    return f"{'≥ ' if row.client_limit else ''}{measured(row.requests_per_second)}"


def _judged(report: LoadReport, row: Row) -> list[str]:
    """Return the row's verdict as a cell; no cell without objectives."""
    if not report.objectives:
        return []
    missed = report.misses(row)
    if missed:
        return [f"missed {', '.join(missed)}"]
    return ["not judged: the client was the limit" if row.client_limit else "met"]


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
