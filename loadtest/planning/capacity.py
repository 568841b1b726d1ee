"""What a worker set serves within its objectives, and how many such machines a given load needs, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...serving.engines import TITLES
from ...serving.plan import parse_threads, parse_workers
from ..measuring.figures import spread
from ..objectives import Objective
from ..results import Capacity, Row


def capacities(
    rows: Sequence[Row], objectives: Sequence[Objective], need: float | None = None
) -> tuple[Capacity, ...]:
    """Return what each worker set of each archive serves within `objectives`; nothing where there are none.

    It is claimed only from loads that are shown to meet every objective, and of which the client was not the limit;
    of several, from the one with the most requests/s. `need` are requests/s for which machines are counted. With
    repeated runs of a load, machines are counted with the lower end of the interval of their median.
    """
    if not objectives:
        return ()
    found = []
    for archive, workers in dict.fromkeys((row.archive, row.workers) for row in rows):
        loads = [row for row in rows if (row.archive, row.workers) == (archive, workers)]
        good = [row for row in loads if _met(row, objectives)]
        sound = [row for row in good if row.client_limit is None]
        if sound:
            found.append(_claimed(max(sound, key=lambda row: row.requests_per_second), objectives, need))
        else:
            found.append(Capacity(archive, workers, words=_why_none(workers, loads, good)))
    return tuple(found)


def stated(
    who: str, load: str, objectives: Sequence[Objective], rates: Sequence[float], need: float | None = None
) -> str:
    """Return the sentences on a capacity: `who` serves so many requests/s with `load` within `objectives`.

    `rates` are the requests/s of the runs, one or several.
    """
    found = spread(rates)
    within = ", ".join(
        f"{one.metric} {one.words(one.limit)}" for one in objectives if one.metric not in ("rps", "failures")
    )
    several = len(rates) > 1
    runs = (
        f"{load}, median of {len(rates)} runs, {found.confidence * 100:.3g}% interval {found.low:,.0f} to "
        f"{found.high:,.0f}"
        if several
        else load
    )
    words = f"{who} {found.median:,.0f} requests/s{f' within {within}' if within else ''} ({runs})."
    if need is not None:
        words += f" {_machines_in_words(need, found.low, found.high)}"
    if not several:
        words += " One run says nothing of the spread: keep a reserve, or repeat it."
    return f"{words} No reserve for peaks or for a machine that fails is included."


def machines_for(need: float, rate: float) -> int | None:
    """Return how many machines of `rate` requests/s serve `need`; None where they serve nothing."""
    return max(1, math.ceil(need / rate - 1e-9)) if rate > 0 else None


def served_by(workers: str) -> str:
    """Return a worker set with its verb: `2 CPU workers of the embedded engine here serve`."""
    engine, _, chosen = workers.rpartition(" ")
    if not chosen.startswith(("cpu", "gpu")):
        return f"The server at {workers} serves"
    device, number = parse_workers(chosen)
    threads = parse_threads(chosen)
    several = number != 1
    of_each = f" of {threads} thread{'s' if threads != 1 else ''}" if threads else ""
    of_engine = f" of {TITLES[engine]}" if engine else ""
    what = f"{number or 'The'} {device.upper()} worker{'s' if several else ''}{of_each}{of_engine}"
    return f"{what} here serve{'' if several else 's'}"


def _claimed(row: Row, objectives: Sequence[Objective], need: float | None) -> Capacity:
    rates = [run.requests_per_second for run in row.repeats] or [row.requests_per_second]
    found, several = spread(rates), len(rates) > 1
    return Capacity(
        row.archive,
        row.workers,
        load=row.load,
        runs=len(rates),
        requests_per_second=found.median,
        low=found.low if several else None,
        high=found.high if several else None,
        confidence=found.confidence if several else None,
        need=need,
        machines=None if need is None else machines_for(need, found.low),
        words=stated(served_by(row.workers), row.load, objectives, rates, need),
    )


def _met(row: Row, objectives: Sequence[Objective]) -> bool:
    """Return whether all runs of a load together meet every objective, and by more than the runs differ."""
    verdicts = [objective.judge(row) for objective in objectives]
    return all(verdict.passed and verdict.doubt is None for verdict in verdicts)


def _why_none(workers: str, loads: Sequence[Row], good: Sequence[Row]) -> str:
    if good:
        most = max(row.requests_per_second for row in good)
        why = f"the client was the limit of every load that met the objectives, so {most:,.0f} requests/s are a bound"
        remedy = "More processes of Locust, or a client on another machine, may find it."
    else:
        why = f"none of {len(loads)} load{'s' if len(loads) != 1 else ''} met the objectives"
        remedy = "Fewer users, or a lower rate, may meet them."
        if any(row.runs > 1 for row in loads):
            why += " by more than its runs differ"
    return f"No capacity is stated of {workers}: {why}. {remedy}"


def _machines_in_words(need: float, low: float, high: float) -> str:
    many, few = machines_for(need, low), machines_for(need, high)
    if many is None:
        return f"For {need:,.0f} no number of such machines is enough."
    machines = f"{many} such machine{'s' if many != 1 else ''}"
    words = f"For {need:,.0f} you need {machines}: {need:,.0f} ÷ {low:,.0f} = {need / low:.2f}, rounded up"
    if few != many:
        words += f"; at the upper end of the interval it would be {few}"
    return f"{words}."
