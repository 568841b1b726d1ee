"""Compare a load test with an earlier one: the runs of each cell, figure by figure, by the Mann–Whitney test.

A figure is worse where its runs are worse than the earlier ones by more than chance (at most 1 in 100), and its
median by more than the least change that counts. Five runs on each side can show that; three cannot.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.evidence.load_results import SCHEMA, read_results
from ...storage.validation import build
from ..measuring.figures import Repeat
from ..results import LoadedModel, Row
from .comparison import BETTER, NOT_JUDGED, SAME, WORSE, Change, Comparison
from .ranks import ALPHA, chance_larger, least_chance

LEAST = 0.05  # of a figure: a smaller change does not count
_LEAST_FAILURES = 0.001  # of all requests
# What must be the same for two tests to have put the same load on a server.
_LOAD = (
    *("arrivals", "duration_seconds", "warmup_seconds", "unknown_share", "mix", "body", "text_column", "expect"),
    *("texts", "texts_sha256", "seed", "driver"),
)
_MACHINE = ("processor", "cores", "memory_gib")

Key = tuple[str, str, int, str, float]
"""Model, worker set, users, arrivals and rate: what a cell of two tests has in common."""


@dataclass(frozen=True)
class Earlier:
    """An earlier test."""

    path: Path
    started: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    cells: Mapping[Key, Row]


def read_baseline(path: Path) -> Earlier:
    """Return an earlier test's results.json. Raises InputError if it cannot be read, or has another schema."""
    try:
        report = read_results(path)
        schema = report.get("schema")
        if schema == SCHEMA:
            tested = {label: build(LoadedModel, one) for label, one in report["tested"].items()}
            settings, machine = dict(report["settings"]), dict(report["machine"])
            cells = {_key(row, tested): row for row in (build(Row, one) for one in report["rows"])}
            return Earlier(path, str(report["started"])[:40], settings, machine, cells)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"--baseline {path} cannot be read as the results of a load test ({type(error).__name__}: {error}). "
            "Expected the results.json of: lexport loadtest MAR --out FOLDER",
            code="LX-LOAD-084",
        ) from None
    raise InputError(
        f"--baseline {path} has the results' schema {schema}, and only those of schema {SCHEMA} have the single runs "
        "that are compared. Measure it again with this version.",
        code="LX-LOAD-085",
    )


def check_same_load(earlier: Earlier, settings: Mapping[str, Any], cells: Sequence[Key]) -> None:
    """Check before a test that it can be compared with an earlier one.

    Raises InputError if the load is another, or the two have no cell in common.
    """
    given = (earlier.settings.get("texts_sha256"), settings.get("texts_sha256"))
    other = [
        f"{name} {earlier.settings.get(name)!r} there and {settings.get(name)!r} here"
        for name in _LOAD
        if earlier.settings.get(name) != settings.get(name) and not (name == "texts" and all(given))
    ]
    if other:
        raise InputError(
            f"--baseline {earlier.path} was measured with another load: {'; '.join(other)}. Give the same options, "
            f"which it has as a command: {earlier.settings.get('command')}",
            code="LX-LOAD-086",
        )
    if not set(cells) & earlier.cells.keys():
        there = ", ".join(cell.label for cell in earlier.cells.values()) or "none"
        raise InputError(
            f"--baseline {earlier.path} has none of the cells of this test. Expected the same model, worker sets "
            f"and loads; it has: {there}.",
            code="LX-LOAD-087",
        )


def what_is_missing(earlier: Earlier, machine: Mapping[str, Any], repeats: int, *, anyway: bool) -> str:
    """Return, before a test, why nothing in it will be judged against an earlier one; "" if it will."""
    if other := _other_machine(earlier, machine):
        judged = "It is judged all the same." if anyway else "Nothing is judged; --judge-anyway does it all the same."
        return f"--baseline {earlier.path} was measured on another machine ({other}). {judged}"
    before = max((len(cell.repeats) for cell in earlier.cells.values()), default=0)
    if least_chance(max(before, 1), repeats) > ALPHA:
        return f"--baseline {earlier.path}: {_too_few(before, repeats)}, so nothing is judged."
    return ""


def compare(
    earlier: Earlier,
    rows: Sequence[Row],
    tested: Mapping[str, LoadedModel],
    machine: Mapping[str, Any],
    *,
    least: float = LEAST,
    anyway: bool = False,
) -> Comparison:
    """Compare the rows of a test with the cells of an earlier one.

    `least` is the share by which a median must change to count. On another machine nothing is judged, unless it is
    `anyway`; nor are cells that the client or other work limited, in which only failures count.
    """
    other = _other_machine(earlier, machine)
    note = f"it was measured on another machine ({other})" if other else ""
    changes: list[Change] = []
    alone: list[str] = []
    found = {_key(row, tested): row for row in rows}
    for key, row in found.items():
        before = earlier.cells.get(key)
        if before is None:
            alone.append(f"{row.label} (only here)")
            continue
        then, now = (one.client_limit or (None if anyway else one.other_work) for one in (before, row))
        limited = f"then {then}" if then else now or ""
        elsewhere = "" if anyway or not note else "it was measured on another machine"
        changes += [_change(metric, row, before, elsewhere, limited, least) for metric in _METRICS]
    alone += [f"{cell.label} (only there)" for key, cell in earlier.cells.items() if key not in found]
    return Comparison(earlier.path.name, earlier.started, least, tuple(changes), tuple(alone), note)


def key_of(
    archive: str, workers: str, users: int, arrivals: str, rate: float, tested: Mapping[str, LoadedModel]
) -> Key:
    """Return what a cell has in common with that of another test, which may be of another version of the model."""
    names = Counter(one.name for one in tested.values())
    own = tested.get(archive)
    name = own.name if own is not None and names[own.name] == 1 else archive
    pattern = arrivals.partition(":")[0]
    # The rate of a replay is measured, and is never quite the same.
    return name, workers, users, pattern, 0.0 if pattern == "replay" else rate


def _key(row: Row, tested: Mapping[str, LoadedModel]) -> Key:
    return key_of(row.archive, row.workers, row.users, row.arrivals, row.rate, tested)


@dataclass(frozen=True)
class _Metric:
    """A figure that is compared."""

    name: str
    value: Callable[[Repeat], float | None]
    more_is_worse: bool = True
    of_server: bool = True
    """Whether it is not the server's where the client or other work was the limit."""


_METRICS = (
    _Metric("requests_per_second", lambda run: run.requests_per_second, more_is_worse=False),
    _Metric("p50_ms", lambda run: run.p50_ms),
    _Metric("p99_ms", lambda run: run.p99_ms),
    _Metric("failures", lambda run: run.failure_share, of_server=False),
)


def _change(metric: _Metric, row: Row, before: Row, elsewhere: str, limited: str, least: float) -> Change:
    """Compare one figure of a cell; `elsewhere` and `limited` are reasons against it, or empty."""
    there = [value for run in before.repeats if (value := metric.value(run)) is not None]
    here = [value for run in row.repeats if (value := metric.value(run)) is not None]
    old = statistics.median(there) if len(there) == len(before.repeats) > 0 else None
    new = statistics.median(here) if len(here) == len(row.repeats) > 0 else None
    runs = len(before.repeats), len(row.repeats)
    change = None if old is None or new is None else _changed(metric, old, new)
    reason = elsewhere or (limited if metric.of_server else "")
    if not reason and change is None:
        reason = "nothing was answered in one of the runs"
    if not reason and least_chance(*runs) > ALPHA:
        reason = _too_few(*runs)
    outcome, chance = NOT_JUDGED, None
    if not reason and change is not None:
        more, less = chance_larger(there, here), chance_larger(here, there)
        chance = min(more, less)
        outcome = SAME
        if chance <= ALPHA and abs(change) >= (least if metric.of_server else _LEAST_FAILURES):
            outcome = WORSE if (more < less) == metric.more_is_worse else BETTER
    place = (row.archive, row.workers, row.users, row.arrivals, row.rate)
    return Change(*place, metric.name, old, new, change, chance, runs, outcome, reason)


def _changed(metric: _Metric, old: float, new: float) -> float | None:
    """Return the share by which a figure changed, of failures the difference; None of nothing."""
    if not metric.of_server:
        return new - old
    return (new - old) / old if old else None


def _too_few(there: int, here: int) -> str:
    return f"{there} run{'s' * (there != 1)} there and {here} here show nothing; --repeat 5 is needed in both"


def _other_machine(earlier: Earlier, machine: Mapping[str, Any]) -> str:
    """Return in what two machines differ; "" for nothing."""
    return ", ".join(
        f"{name.removesuffix('_gib')} {earlier.machine.get(name)} there and {machine.get(name)} here"
        for name in _MACHINE
        if not _alike(earlier.machine.get(name), machine.get(name))
    )


def _alike(one: Any, other: Any) -> bool:
    """Return whether two facts of a machine are the same; its memory may differ by what the system keeps."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 0.02 * max(one, other)
    return bool(one == other)
