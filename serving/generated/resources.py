"""Processor cores and memory of a server: from a load test that was run, or stated defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.evidence.load_results import read_results
from ...messages.escaping import visible
from ..plan import parse_workers
from .models import Model

MIB = 1 << 20
# MiB with a small model, measured on Linux with Python 3.11: the server without its workers (of Ray: a node without
# replicas), and each worker.
_BASE = {"embedded": (75, 40), "torchserve": (400, 200), "ray": (1000, 250)}


@dataclass(frozen=True)
class Resources:
    """What a server is given: memory in MiB, processors in cores."""

    workers: str
    """For `lexport serve --workers`."""
    cpu: float
    """Cores that it needs."""
    cpu_limit: int
    """Cores that it may take at most; workers and threads are planned by it."""
    memory: int
    memory_limit: int
    why: tuple[str, ...]
    """Lines that say how the figures were computed."""


def usual(engine: str, models: Sequence[Model], workers: str) -> Resources:
    """Return defaults: a core for each worker, and one for TorchServe's frontend; memory by their number.

    Of Ray they are those of one node, which has one replica of each model.
    """
    count = parse_workers(workers)[1] or 1
    processes = {"embedded": count, "torchserve": count * len(models), "ray": len(models)}[engine]
    cores = processes + (engine == "torchserve")
    base, each = _BASE[engine]
    size = math.ceil(sum(model.size for model in models) / MIB)
    memory = base + each * processes + size
    what = "a node of Ray" if engine == "ray" else "the server"
    return Resources(
        workers=workers if parse_workers(workers)[1] else f"{workers}:{count}",
        cpu=cores,
        cpu_limit=cores,
        memory=memory,
        memory_limit=_up(2 * memory, 64),
        why=(
            "Defaults, since no load test was given (--from-loadtest results.json):",
            f"{cores} core{'s' * (cores > 1)}: one for each of {processes} worker{'s' * (processes > 1)}"
            + (", one for TorchServe's Java." if engine == "torchserve" else "."),
            f"{memory} MiB: {base} for {what}, {each} for each worker, {size} for archives; at most twice.",
        ),
    )


def from_loadtest(path: Path, engine: str, models: Sequence[Model], workers: str | None) -> Resources:
    """Return what a load test (`results.json` of `lexport loadtest`) has measured of these models on this engine.

    Of the worker sets on CPUs in which each model has a run that failed no request and met all objectives, the one
    with the most requests per second counts (or `workers`, if given), and of each model its fastest such run. Cores
    and memory of the models are added up. Raises InputError if the file cannot be read or has no such run.
    """
    report = _read(path)
    passed = [row for row in report["rows"] if _engine(row["workers"]) == engine and _is_good(row, report)]
    best: dict[str, dict[str, dict[str, Any]]] = {}
    for row in passed:
        chosen = row["workers"].rpartition(" ")[2]
        if chosen.startswith("cpu") and workers in (None, "cpu", chosen):
            of_set = best.setdefault(chosen, {})
            before = of_set.get(row["archive"])
            if before is None or row["requests_per_second"] > before["requests_per_second"]:
                of_set[row["archive"]] = row
    complete = {
        chosen: rows
        for chosen, found in best.items()
        if len(rows := [row for model in models if (row := _of(model, found))]) == len(models)
    }
    if not complete:
        raise InputError(
            f"{path} has no run of {', '.join(map(str, models))} on {engine} with {workers or 'CPU'} workers in "
            "which no request failed, every objective was met and the server's processors and memory were measured. "
            f"Expected the results.json of: lexport loadtest MAR --engines {engine}",
            code="LX-SERVE-134",
        )
    chosen, rows = max(complete.items(), key=lambda one: sum(row["requests_per_second"] for row in one[1]))
    used = sum(row["server_cpu"] for row in rows)
    held = math.ceil(sum(row["server_memory"] for row in rows) / MIB)
    cpu = max(0.1, math.ceil(used * 10) / 10)
    count = parse_workers(chosen)[1] or 1
    figures = "; ".join(
        f"{row['archive']} with {_load(row)}: {row['requests_per_second']:,.0f} requests/s, "
        f"{row['server_cpu']:.2f} cores, {row['server_memory'] / MIB:,.0f} MiB"
        for row in rows
    )
    return Resources(
        workers=chosen,
        cpu=cpu,
        cpu_limit=max(count, math.ceil(1.5 * used)),
        memory=_up(held, 32),
        memory_limit=_up(math.ceil(1.5 * held), 64),
        # Comments of a file that runs a server: what a report says must not begin a line of its own there.
        why=(
            visible(
                f"From the load test of {report['started']} ({path.name}), the fastest runs with {engine} {chosen}"
            ),
            visible(f"in which nothing failed. {figures}."),
            f"Cores: what was used, {used:.2f}, rounded up; at most 1.5 times that, in whole cores, one a worker.",
            f"Memory: what was held, {held} MiB, rounded up; at most 1.5 times as much.",
        ),
    )


def _read(path: Path) -> dict[str, Any]:
    """Return the report in a results.json, as far as it is needed here. Raises InputError for anything else."""
    try:
        report = read_results(path)
        for row in report["rows"]:
            values = (row["archive"], row["workers"], row["users"], row["requests_per_second"], row["failures"])
            if [type(value) for value in values] not in ([str, str, int, kind, int] for kind in (int, float)):
                raise TypeError("another type")
        verdicts = [(*_place(one), bool(one["passed"])) for one in report["verdicts"]]
        return {"rows": report["rows"], "started": str(report["started"])[:40], "verdicts": verdicts}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as the results of a load test ({type(error).__name__}: {error}). Expected the "
            "results.json of: lexport loadtest MAR --out FOLDER",
            code="LX-SERVE-135",
        ) from None


def _engine(workers: str) -> str:
    """Return the engine of a worker set: results name it before the set, but for TorchServe."""
    return workers.partition(" ")[0] if " " in workers else "torchserve"


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells a row and its verdicts from others; older reports have no rate."""
    return row["archive"], row["workers"], row["users"], row.get("rate", 0)


def _load(row: dict[str, Any]) -> str:
    return f"{row['users']} users" if row["users"] else f"{row.get('rate')} requests/s planned"


def _is_good(row: dict[str, Any], report: dict[str, Any]) -> bool:
    place = _place(row)
    met = all(passed for *where, passed in report["verdicts"] if tuple(where) == place)
    measured = all(type(row.get(name)) in (int, float) for name in ("server_cpu", "server_memory"))
    # Of a run that the client of the load test limited, or other work, latencies and rates were not judged.
    judged = not report["verdicts"] or (row.get("client_limit"), row.get("other_work")) == (None, None)
    return met and judged and measured and row["failures"] == 0 and row["requests_per_second"] > 0


def _of(model: Model, found: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return a model's run: a load test calls it NAME-VERSION, or by its file where two have the same name."""
    return found.get(f"{model.name}-{model.version}") or found.get(model.path.stem)


def _up(value: float, step: int) -> int:
    return math.ceil(value / step) * step
