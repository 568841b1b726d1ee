"""The outputs of a search: the Pareto front and the final as tables, and the files in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE

from ...errors import InputError
from ...export.archive.batching import with_batches
from ...reports.numbers import at_least, measured
from ...reports.tables import Table
from ...storage.atomic import check_folder, json_bytes, write_file
from . import journal
from .results import TuneReport
from .settings import PROPERTIES, Tunable, properties_of
from .space import Candidate

RESULT = "tune.json"


def check_out(out: Path) -> None:
    """Check, before anything runs, that a search can write to `out`: a new folder, or an older search's.

    Raises InputError otherwise.
    """
    check_folder(out, replace=True)
    if not out.exists():
        return
    ours = {journal.NAME, RESULT, PROPERTIES}
    foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in ours and entry.suffix != ".mar")
    if foreign or (any(out.iterdir()) and not (out / journal.NAME).exists()):
        what = f"other files ({foreign[0]})" if foreign else "no journal of a search"
        raise InputError(
            f"{out} contains {what}, so no search is written there. Choose a new folder with --out.",
            code="LX-LOAD-139",
        )


def write(report: TuneReport, tested: Tunable) -> None:
    """Write the winner's file, if it needs one, then `tune.json`."""
    if report.file is not None:
        batches = report.winner.batches(tested.served.batches)
        target = report.out / report.file
        if tested.archive.made_by_lexport:
            with_batches(tested.path, target, batches)
        else:
            write_file(target, properties_of(tested.archive, batches).encode())
    write_file(report.out / RESULT, json_bytes(report.as_dict()))


def front_table(report: TuneReport) -> Table:
    """Return the Pareto front as a table for a terminal, times in ms."""
    several = len({one.candidate.archive for one in report.front}) > 1
    shown = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    _settings_columns(shown, several)
    load = "users" if report.arrivals == "closed" else "rate"
    for name in (load, "req/s", "p50 ms", "p99 ms", "runs"):
        shown.add_column(name, justify="right")
    shown.add_column("SLO")
    for one in report.front:
        shown.add_row(
            *_settings_cells(one.candidate, several),
            f"{one.level:,.6g}",
            at_least(one.requests_per_second, one.limited),
            measured(one.p50_ms),
            measured(one.p99_ms),
            f"{one.runs} × {one.seconds:g} s",
            "met" if one.met else "missed",
        )
    return shown


def final_table(report: TuneReport) -> Table:
    """Return the final as a table for a terminal: medians, and ratios to the default with their intervals."""
    finalists = report.outcome.finalists
    several = len({one.candidate.archive for one in finalists}) > 1
    shown = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    shown.add_column("")
    _settings_columns(shown, several)
    load = "users" if report.arrivals == "closed" else "rate"
    for name in (load, "req/s", "× default", "CPU a request × default"):
        shown.add_column(name, justify="right")
    shown.add_column("SLO")
    for number, one in enumerate(finalists):
        mark = "winner" if one.candidate == report.winner else "default" if number == 0 else ""
        shown.add_row(
            mark,
            *_settings_cells(one.candidate, several),
            f"{one.level:,.6g}",
            at_least(one.rate, one.limited),
            str(one.ratio) if one.ratio else "1",
            str(one.cpu_ratio) if one.cpu_ratio else "1" if number == 0 else "–",
            "met" if one.met else "missed",
        )
    return shown


def lines(report: TuneReport) -> Iterator[str]:
    """Yield what follows the tables: the winner, what its settings changed, its capacity, and how to serve it."""
    yield f"Winner: {report.winner}. {report.why}"
    for effect in report.effects:
        yield f"  {effect.words}"
    yield report.capacity
    yield from report.warnings
    if report.file is not None:
        what = "settings" if report.file == PROPERTIES else "the archive with these batches, unsigned"
        yield f"{report.out / report.file} has {what}. Serve it so:"
    else:
        yield "Serve it so:"
    for command in report.commands:
        yield f"  {command}"


def _settings_columns(shown: Table, several: bool) -> None:
    for name in ["archive"] * several + ["engine", "workers"]:
        shown.add_column(name)
    for name in ("batch", "delay ms"):
        shown.add_column(name, justify="right")


def _settings_cells(candidate: Candidate, several: bool) -> list[str]:
    delay = str(candidate.batch_delay) if candidate.batch_delay else "–"
    archive = [candidate.archive] * several
    return [*archive, candidate.engine, candidate.worker_set, str(candidate.batch_size), delay]
