"""The cells of a load test: one server under each load in turn, and what the client itself could not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from ..serving.monitoring.usage import Usage, usage_of
from ..storage.cores import cores
from ..storage.progress import Say
from . import locust_process as client
from .judging.conditions import other_work
from .locust_process import Load, Target
from .measuring.figures import TIMES, Repeat
from .measuring.gpus import sampled
from .measuring.repeats import Run
from .measuring.server_metrics import between, read_counters
from .programs.program import Program
from .results import Row
from .series import Slot, knee, recovery
from .watching import Watch, watched

SETTLE = 1.0  # seconds at the start of each run that are not measured; the server was warmed up before
CLIENT_LIMIT = 0.8  # of a core: beyond it Locust, of which each process has only one, slows the test down
LAG_LIMIT = 5.0  # ms, p99: requests that were sent later than this were not sent as planned
ALIKE = ("began", "seconds", "answered", "failures", "requests_per_second")


@dataclass(frozen=True)
class Loads:
    """The loads of each server: one for each number of users, or each rate."""

    each: tuple[Load, ...]
    warmup: float
    """Seconds of a run before, which is not measured."""
    processes: int | None
    """Locust's processes; None: one, and more where it is the limit and the machine has the cores."""
    needed: dict[Load, int] = field(default_factory=dict)
    """The processes that a load needed when it was run before."""
    watch: Watch | None = None
    """Called about each second of a run; None: nobody watches."""
    program: Program | None = None
    """What loads the server in the place of Locust, which warms it up all the same."""


def loads_of(load: Load, users: Sequence[int], rates: Sequence[float]) -> tuple[Load, ...]:
    """Return the load of each cell: by users in a closed loop, by rates in an open one, and one of a replay."""
    if load.arrivals == "closed":
        return tuple(replace(load, users=level) for level in users)
    return tuple(replace(load, rate=rate) for rate in rates) if rates else (load,)


def measured_runs(
    target: Target, archive: str, workers: str, loads: Loads, folder: Path, say: Say, number: int = 1
) -> Iterator[tuple[Load, Run]]:
    """Warm the server at `target` up, then yield what each load measured, as a run of the round `number`.

    Raises SystemProblem if Locust fails.
    """
    if loads.warmup:
        with watched(folder, f"{archive} {workers} warming up", loads.warmup, loads.watch):
            client.run(target, _warming(loads), folder)
    for load in loads.each:
        fewest = min(max(loads.needed.values(), default=1), max(1, most_processes(target, load)))
        processes = loads.processes or loads.needed.get(load, fewest)
        while True:
            own = replace(load, processes=processes)
            run = _measured(target, archive, workers, own, folder, number, loads)
            row = run.row
            say(in_words(row))
            if (
                loads.processes
                or row.client_cpu <= CLIENT_LIMIT * processes
                or 2 * processes > most_processes(target, load)
            ):
                break
            processes *= 2
            say(f"{row.label}: {row.client_limit}; the run is repeated with {processes} {row.parts}")
        loads.needed[load] = processes
        yield load, run


def _measured(target: Target, archive: str, workers: str, load: Load, folder: Path, number: int, loads: Loads) -> Run:
    """Run one load, and read before and after it what the server has taken and counted."""
    counted = read_counters(target.metrics_url, at_rest=target.reports_late)
    before = usage_of(target.server)
    named = f"{archive} {workers} {load.in_words()}"
    program, load = loads.program, replace(load, warmup=SETTLE)
    watch = None if program else loads.watch
    with sampled(folder, here=not target.remote) as gpus, watched(folder, named, load.duration, watch):
        measured = program.run(target, load, folder) if program else client.run(target, load, folder)
    settled = program.settle(load) if program else SETTLE
    usage = usage_of(target.server).since(before, settled + measured["seconds"])
    served = between(counted, read_counters(target.metrics_url, at_rest=target.reports_late))
    name = program.NAME if program else "Locust"
    row = replace(_row(archive, workers, load, measured, usage, number, name), server=served, gpus=gpus.uses())
    if program:
        row = replace(row, driver=program.NAME, driver_version=program.version, unchecked=program.UNCHECKED)
    return Run(row, measured["due"], measured["times"])


def _warming(loads: Loads) -> Load:
    """Return a load that warms a server up: that of the most users, or of the lowest rate."""
    if loads.each[0].arrivals == "closed":
        return replace(max(loads.each, key=lambda load: load.users), duration=loads.warmup)
    slowest = min(loads.each, key=lambda load: load.rate)
    if not slowest.rate:  # a replay
        return replace(slowest, arrivals="closed", users=1, duration=loads.warmup)
    return replace(slowest, arrivals="open", duration=loads.warmup)


def most_processes(target: Target, load: Load) -> int:
    """Return how many processes may be taken: half of the cores, where the server takes the others, a user each."""
    most = cores() if target.remote else cores() // 2
    return min(most, load.users) if load.arrivals == "closed" else most


def client_limit(measured: dict[str, Any], open_loop: bool, client: str = "Locust") -> str | None:
    """Return why the client, not the server, may have set the figures of a run; None where it did not."""
    if measured["busiest_client"] > CLIENT_LIMIT:
        return f"{client} took {measured['busiest_client']:.0%} of a core"
    lag = measured["lag_p99_ms"]
    if open_loop and lag is not None and lag > LAG_LIMIT:
        return f"1 % of the requests were sent {lag:.1f} ms or more after they were due"
    return None


def _row(
    archive: str, workers: str, load: Load, measured: dict[str, Any], usage: Usage, number: int, client: str
) -> Row:
    client_cpu = measured["client_seconds"] / measured["seconds"]
    other_cpu = _other_cpu(measured["machine_share"] - measured["interrupt_share"], client_cpu, usage.cpu)
    is_open = load.arrivals != "closed"
    limit = client_limit(measured, is_open, client)
    slots = tuple(Slot(**slot) for slot in measured["series"])
    return Row(
        archive=archive,
        workers=workers,
        users=0 if is_open else load.users,
        seconds=measured["seconds"],
        answered=measured["answered"],
        failures=measured["failures"],
        reasons=measured["reasons"],
        requests_per_second=measured["requests_per_second"],
        **{name: measured[name] for name in TIMES},
        curve=tuple((percent, milliseconds) for percent, milliseconds in measured["curve"]),
        client_cpu=client_cpu,
        client_cpu_machine=client_cpu / cores(),
        machine_cpu=measured["machine_share"],
        unknown_share=measured["unknown_tokens"] / max(1, measured["tokens"]),
        server_cpu=usage.cpu,
        server_memory=usage.memory,
        arrivals=load.arrivals.partition(":")[0],
        rate=(load.rate or measured["due_per_second"]) if is_open else 0.0,
        due_per_second=measured["due_per_second"],
        lag_p99_ms=measured["lag_p99_ms"] if is_open else None,
        slowest_failure_ms=measured["slowest_failure_ms"],
        processes=measured["processes"],
        client_limit=limit,
        other_cpu=other_cpu,
        other_work=other_work(other_cpu, measured["machine_share"]),
        # The knee of a run that the client limited may be the client's.
        knee=knee(slots, load.rate, load.duration) if load.arrivals == "ramp" and limit is None else None,
        recovery=recovery(slots, load.rate, load.duration) if load.arrivals == "spike" else None,
        series=slots,
        repeats=(
            Repeat(
                round=number,
                **{name: measured[name] for name in (*ALIKE, *TIMES)},
                machine_cpu=measured["machine_share"],
                other_cpu=other_cpu,
                client_limit=limit,
            ),
        ),
    )


def _other_cpu(machine: float, client: float, server: float | None) -> float | None:
    """Return the share of all cores that neither took, of the cores that each of them took; None where unknown.

    `machine` is the share that processes took, without the interrupts of the network.
    """
    # Of all cores of the machine, of which a container may use only some: those that its busy share is of.
    return None if server is None else max(0.0, machine - (client + server) / (psutil.cpu_count() or 1))


def in_words(row: Row) -> str:
    """Return what a run measured, in a line."""
    times = (
        "no answers" if row.p50_ms is None or row.p99_ms is None else f"p50 {row.p50_ms:.1f}, p99 {row.p99_ms:.1f} ms"
    )
    bound = "≥ " if row.client_limit else ""
    failed = f", {row.failures} FAILED ({next(iter(row.reasons))})" if row.failures else ""
    more = f", by {row.driver} {row.driver_version}" if row.driver_version else ""
    if row.knee:
        more = f", knee near {row.knee:,.0f} requests/s"
    if row.recovery is not None:
        more = f", as before {row.recovery:.1f} s after the spike"
    return f"{row.label}: {bound}{row.requests_per_second:,.0f} requests/s, {times}{more}{failed}"
