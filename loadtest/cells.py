"""The cells of a load test: one server under each load in turn, and what the client itself could not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..serving.usage import Usage, usage_of
from ..storage.cores import cores
from ..storage.progress import Say
from . import locust_process as client
from .locust_process import Load, Target
from .results import Row
from .series import Slot, knee, recovery

SETTLE = 1.0  # seconds at the start of each run that are not measured; the server was warmed up before
CLIENT_LIMIT = 0.8  # of a core: beyond it Locust, of which each process has only one, slows the test down
LAG_LIMIT = 5.0  # ms, p99: requests that were sent later than this were not sent as planned


@dataclass(frozen=True)
class Loads:
    """The loads of each server: one for each number of users, or each rate."""

    each: tuple[Load, ...]
    warmup: float
    """Seconds of a run before, which is not measured."""
    processes: int | None
    """Locust's processes; None: one, and more where it is the limit and the machine has the cores."""


def loads_of(load: Load, users: Sequence[int], rates: Sequence[float]) -> tuple[Load, ...]:
    """Return the load of each cell: by users in a closed loop, by rates in an open one, and one of a replay."""
    if load.arrivals == "closed":
        return tuple(replace(load, users=level) for level in users)
    return tuple(replace(load, rate=rate) for rate in rates) if rates else (load,)


def measured_rows(target: Target, archive: str, workers: str, loads: Loads, folder: Path, say: Say) -> Iterator[Row]:
    """Warm the server at `target` up, then yield what each load measured. Raises SystemProblem if Locust fails."""
    if loads.warmup:
        client.run(target, _warming(loads), folder)
    processes = loads.processes or 1
    for load in loads.each:
        while True:
            before = usage_of(target.server)
            measured = client.run(target, replace(load, warmup=SETTLE, processes=processes), folder)
            usage = usage_of(target.server).since(before, SETTLE + measured["seconds"])
            row = _row(archive, workers, load, measured, usage)
            say(in_words(row))
            if (
                loads.processes
                or row.client_cpu <= CLIENT_LIMIT * processes
                or 2 * processes > most_processes(target, load)
            ):
                break
            processes *= 2
            say(f"{row.label}: {row.client_limit}; the run is repeated with {processes} processes of Locust")
        yield row


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


def client_limit(measured: dict[str, Any], open_loop: bool) -> str | None:
    """Return why Locust, not the server, may have set the figures of a run; None where it did not."""
    if measured["busiest_client"] > CLIENT_LIMIT:
        return f"Locust took {measured['busiest_client']:.0%} of a core"
    lag = measured["lag_p99_ms"]
    if open_loop and lag is not None and lag > LAG_LIMIT:
        return f"1 % of the requests were sent {lag:.1f} ms or more after they were due"
    return None


def _row(archive: str, workers: str, load: Load, measured: dict[str, Any], usage: Usage) -> Row:
    client_cpu = measured["client_seconds"] / measured["seconds"]
    is_open = load.arrivals != "closed"
    limit = client_limit(measured, is_open)
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
        p50_ms=measured["p50_ms"],
        p95_ms=measured["p95_ms"],
        p99_ms=measured["p99_ms"],
        max_ms=measured["max_ms"],
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
        # The knee of a run that the client limited may be the client's.
        knee=knee(slots, load.rate, load.duration) if load.arrivals == "ramp" and limit is None else None,
        recovery=recovery(slots, load.rate, load.duration) if load.arrivals == "spike" else None,
        series=slots,
    )


def in_words(row: Row) -> str:
    """Return what a run measured, in a line."""
    times = (
        "no answers" if row.p50_ms is None or row.p99_ms is None else f"p50 {row.p50_ms:.1f}, p99 {row.p99_ms:.1f} ms"
    )
    bound = "≥ " if row.client_limit else ""
    failed = f", {row.failures} FAILED ({next(iter(row.reasons))})" if row.failures else ""
    more = f", knee near {row.knee:,.0f} requests/s" if row.knee else ""
    if row.recovery is not None:
        more = f", as before {row.recovery:.1f} s after the spike"
    return f"{row.label}: {bound}{row.requests_per_second:,.0f} requests/s, {times}{more}{failed}"


def warnings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return what a reader of the figures must know."""
    found = []
    limited = [row for row in rows if row.client_limit]
    if limited:
        worst = max(limited, key=lambda row: (row.client_cpu / row.processes, row.lag_p99_ms or 0.0))
        found.append(
            f"The client, not the server, may have been the limit in {len(limited)} of {len(rows)} runs: "
            f"{worst.client_limit} ({worst.label}). Their requests/s are lower bounds, and no latency or rate of "
            f"theirs is judged. More processes of Locust (--processes {2 * worst.processes}) show more, where there "
            "are cores for them."
        )
    failed = [row for row in rows if row.failures]
    if failed:
        worst = max(failed, key=lambda row: row.failures)
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in worst.reasons.items())
        found.append(f"Requests failed in {len(failed)} of {len(rows)} runs; {worst.label}: {reasons}.")
    return tuple(found)
