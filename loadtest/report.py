"""A load test's outputs: tables for the terminal, results.csv, results.json, report.html and latency.hlog."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ..errors import InputError
from ..export.evidence.load_results import RESULTS
from ..messages.escaping import visible
from ..reports.numbers import at_least, measured
from ..reports.tables import Table
from ..storage.atomic import check_folder, json_bytes, new_folder
from .judging.comparison import BETTER, NOT_JUDGED, SAME, WORSE, Comparison
from .pages.report import html
from .results import LoadReport, Row

FILES = ("report.html", "results.csv", RESULTS, "latency.hlog")
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
    "slo",  # met, missed METRICS, uncertain METRICS, or not judged; empty without objectives
    "arrivals",
    "rate",
    "due_per_second",
    "lag_p99_ms",
    "slowest_failure_ms",
    "processes",
    "client_limit",  # why requests_per_second is a lower bound; empty where it is not
    "knee",
    "recovery_seconds",
    "p90_ms",
    "p99_9_ms",
    "runs",
    # Ends of the interval of the median of the runs; empty of a single run.
    "requests_per_second_low",
    "requests_per_second_high",
    "p50_ms_low",
    "p50_ms_high",
    "p99_ms_low",
    "p99_ms_high",
    "other_cpu_percent",
    "other_work",  # why the figures may be due to other work on the machine; empty where they are not
    "server_batch_texts",
    "server_queue_ms",
    "server_inference_ms",
    "gpu_percent",  # of all GPUs, on average
    "gpu_memory_bytes",
    "driver",
    "driver_version",  # empty of Locust
    "unchecked",  # how its figures differ from Locust's; empty of Locust
)


_SHORT = {"met": "met", "missed": "missed", "uncertain": "?", "not": "–"}
_STYLES = {"met": "green", "missed": "red", "uncertain": "yellow", "not": "dim"}
_NARROW = 100  # columns of a terminal in which further percentiles do not fit
_SPREAD = ("requests_per_second", "p50_ms", "p99_ms")


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


def write(report: LoadReport, out: Path, latencies: str) -> None:
    """Write the files into `out`, all or none; an older report there is replaced. `latencies` is the latency log."""
    with new_folder(out, replace=True) as folder:
        (folder / "report.html").write_text(html(report), encoding="utf-8")
        (folder / "results.csv").write_text(csv_text(report), encoding="utf-8", newline="")
        (folder / RESULTS).write_bytes(json_bytes(report.as_dict()))
        (folder / "latency.hlog").write_text(latencies, encoding="utf-8")


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
                visible(report.judgement(row)) if report.objectives else "",
                row.arrivals,
                *(_plain(value) for value in (row.rate, row.due_per_second, row.lag_p99_ms, row.slowest_failure_ms)),
                row.processes,
                row.client_limit or "",
                *(_plain(value) for value in (row.knee, row.recovery, row.p90_ms, row.p99_9_ms)),
                row.runs,
                *(_plain(end) for metric in _SPREAD for end in _ends(row, metric)),
                _plain(None if row.other_cpu is None else row.other_cpu * 100),
                row.other_work or "",
                *(_plain(value) for value in _served(row)),
                *(row.driver, row.driver_version, row.unchecked or ""),
            )
        )
    for missing in report.not_run:
        blank = [""] * (len(COLUMNS) - 4)
        cells = (visible(missing.archive), visible(missing.workers), "", visible(f"not run: {missing.reason}"))
        lines.writerow((*cells, *blank))
    return text.getvalue()


def _ends(row: Row, metric: str) -> tuple[float | None, float | None]:
    """Return the ends of the interval of the runs' median; None of a single run."""
    spread = row.spread.get(metric)
    return (None, None) if spread is None else (spread.low, spread.high)


def _served(row: Row) -> tuple[float | None, ...]:
    """Return what the server and the GPUs say: texts of a batch, ms of queue and batch, percent, bytes."""
    server, gpus = row.server, row.gpus
    counted = (None, None, None) if server is None else (server.batch_texts, server.queue_ms, server.inference_ms)
    if gpus is None:
        return (*counted, None, None)
    return (*counted, 100 * statistics.mean(gpu.busy for gpu in gpus), sum(gpu.memory for gpu in gpus))


class Screen:
    """All tables of a report for a terminal, with as many columns as it has room for."""

    def __init__(self, report: LoadReport) -> None:
        """Keep the report."""
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the tables."""
        yield table(self._report, wide=options.max_width >= _NARROW)
        if any(row.spread for row in self._report.rows):
            yield spread_table(self._report)
        if self._report.comparison is not None:
            yield comparison_table(self._report.comparison)


def table(report: LoadReport, *, wide: bool = False) -> Table:
    """Return the runs as a table for a terminal: latencies in ms, and the client's share of one core.

    A `wide` one has all percentiles, and what the server says of its batches, where it does.
    """
    several = len(report.archives) > 1
    shown = _titled(several)
    closed = all(row.arrivals == "closed" for row in report.rows)
    served = wide and any(row.server is not None for row in report.rows)
    percentiles = ("p50", "p90", "p95", "p99", "p99.9", "max") if wide else ("p50", "p95", "p99", "max")
    times = [f"{name} ms" if name == "p50" else name for name in percentiles]
    batches = ["batch", "queue ms"] * served
    for name in ("users" if closed else "rate", "req/s", *times, "failed", "client", *batches):
        shown.add_column(name, justify="right")
    if report.objectives:
        shown.add_column("SLO", no_wrap=True)
    before: tuple[str, str] | None = None
    for row in report.rows:
        if before and before != (row.archive, row.workers):
            shown.add_section()
        before = (row.archive, row.workers)
        counted = (
            ["–", "–"] if row.server is None else list(map(measured, (row.server.batch_texts, row.server.queue_ms)))
        )
        kind = report.judgement(row).partition(" ")[0] if report.objectives else ""
        shown.add_row(
            *([row.archive] if several else []),
            row.workers,
            f"{row.level:,.6g}",
            at_least(row.requests_per_second, row.client_limit),
            *(measured(getattr(row, f"{name.replace('.', '_')}_ms")) for name in percentiles),
            Text(f"{row.failures:,}", style="red" if row.failures else ""),
            f"{row.client_cpu:.0%}",
            *(counted if served else []),
            *([Text(_SHORT[kind], style=_STYLES[kind])] if kind else []),
        )
    for missing in report.not_run:
        shown.add_section()
        shown.add_row(*([missing.archive] if several else []), missing.workers, "", Text("not run", style="dim"))
    return shown


def spread_table(report: LoadReport) -> Table:
    """Return how the runs of each cell differ: their median, and the interval of it."""
    several = len(report.archives) > 1
    shown = _titled(several)
    for name in ("users" if all(row.arrivals == "closed" for row in report.rows) else "rate", "runs"):
        shown.add_column(name, justify="right")
    for name in ("req/s", "p50 ms", "p99 ms"):
        shown.add_column(f"{name}, median", justify="right")
        shown.add_column("low–high", justify="right")
    for row in report.rows:
        cells = []
        for metric in _SPREAD:
            one = row.spread.get(metric)
            cells += ["–", ""] if one is None else [measured(one.median), f"{measured(one.low)}–{measured(one.high)}"]
        archive = [row.archive] if several else []
        shown.add_row(*archive, row.workers, f"{row.level:,.6g}", str(row.runs), *cells)
    return shown


def comparison_table(compared: Comparison) -> Table:
    """Return the figures before and now, and whether they differ by more than noise."""
    shown = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    shown.add_column("cell")
    shown.add_column("figure")
    for name in ("before", "now", "change"):
        shown.add_column(name, justify="right")
    shown.add_column("outcome")
    styles = {WORSE: "red", BETTER: "green", SAME: "", NOT_JUDGED: "dim"}
    for one in compared.changes:
        outcome = Text(one.outcome, style=styles[one.outcome])
        shown.add_row(one.cell, one.name, one.words(one.before), one.words(one.after), one.by, outcome)
    return shown


def _titled(several: bool) -> Table:
    shown = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    for name in (["archive"] if several else []) + ["workers"]:
        shown.add_column(name)
    return shown


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
