"""What a worker set serves within its objectives, and how many such machines a given load needs, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...export.evidence.load_results import load_in_words
from ...serving.plan import parse_threads, parse_workers
from ..objectives import Objective
from ..results import Capacity, Row
from .spread import median_interval

_ENGINES = {"embedded": " of the embedded engine"}


@dataclass(frozen=True)
class _Load:
    """The runs of one worker set with one load: several where the load was repeated."""

    runs: tuple[Row, ...]
    met: bool
    """Whether every run met every objective."""

    @property
    def limited(self) -> bool:
        """Whether the client may have been the limit of a run."""
        return any(row.client_limit is not None for row in self.runs)

    @property
    def rate(self) -> float:
        """The median of the requests/s."""
        return median_interval(_rates(self.runs)).median


def capacities(
    rows: Sequence[Row], objectives: Sequence[Objective], need: float | None = None
) -> tuple[Capacity, ...]:
    """Return what each worker set of each archive serves within `objectives`; nothing where there are none.

    It is claimed only from loads that met every objective, and of which the client was not the limit; of several,
    from the one with the most requests/s. `need` are requests/s for which machines are counted. With repeated runs of
    a load, machines are counted with the lower end of the interval of their median.
    """
    if not objectives:
        return ()
    found = []
    for archive, workers in dict.fromkeys((row.archive, row.workers) for row in rows):
        runs = [row for row in rows if (row.archive, row.workers) == (archive, workers)]
        loads = [_Load(own, _met(own, objectives)) for own in _by_load(runs)]
        good = [load for load in loads if load.met]
        sound = [load for load in good if not load.limited]
        if sound:
            best = max(sound, key=lambda load: load.rate)
            found.append(_claimed(best.runs, objectives, need))
        else:
            found.append(Capacity(archive, workers, words=_why_none(workers, loads, good)))
    return tuple(found)


def stated(
    who: str, load: str, objectives: Sequence[Objective], rates: Sequence[float], need: float | None = None
) -> str:
    """Return the sentences on a capacity: `who` serves so many requests/s with `load` within `objectives`.

    `rates` are the requests/s of the runs, one or several.
    """
    spread = median_interval(rates)
    within = ", ".join(
        f"{one.metric} {one.words(one.limit)}" for one in objectives if one.metric not in ("rps", "failures")
    )
    several = len(rates) > 1
    runs = (
        f"{load}, median of {len(rates)} runs, {spread.confidence * 100:.3g}% interval {spread.low:,.0f} to "
        f"{spread.high:,.0f}"
        if several
        else load
    )
    words = f"{who} {spread.median:,.0f} requests/s{f' within {within}' if within else ''} ({runs})."
    if need is not None:
        words += f" {_machines_in_words(need, spread.low, spread.high)}"
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
    what = f"{number or 'The'} {device.upper()} worker{'s' if several else ''}{of_each}{_ENGINES.get(engine, '')}"
    return f"{what} here serve{'' if several else 's'}"


def _claimed(runs: Sequence[Row], objectives: Sequence[Objective], need: float | None) -> Capacity:
    rates = _rates(runs)
    spread, first = median_interval(rates), runs[0]
    return Capacity(
        first.archive,
        first.workers,
        load=first.load,
        runs=len(rates),
        requests_per_second=spread.median,
        low=spread.low if len(rates) > 1 else None,
        high=spread.high if len(rates) > 1 else None,
        confidence=spread.confidence if len(rates) > 1 else None,
        need=need,
        machines=None if need is None else machines_for(need, spread.low),
        words=stated(served_by(first.workers), load_in_words(first.arrivals, first.level), objectives, rates, need),
    )


def _rates(rows: Sequence[Row]) -> list[float]:
    """Return the requests/s of every single run."""
    return [run.requests_per_second for row in rows for run in row.repeats or (row,)]


def _by_load(rows: list[Row]) -> list[tuple[Row, ...]]:
    levels = dict.fromkeys((row.arrivals, row.level) for row in rows)
    return [tuple(row for row in rows if (row.arrivals, row.level) == level) for level in levels]


def _met(rows: Sequence[Row], objectives: Sequence[Objective]) -> bool:
    return all(objective.judge(row).passed for row in rows for objective in objectives)


def _why_none(workers: str, loads: Sequence[_Load], good: Sequence[_Load]) -> str:
    if good:
        most = max(load.rate for load in good)
        why = f"the client was the limit of every load that met the objectives, so {most:,.0f} requests/s are a bound"
        remedy = "More processes of Locust, or a client on another machine, may find it."
    else:
        why = f"none of {len(loads)} load{'s' if len(loads) != 1 else ''} met the objectives"
        remedy = "Fewer users, or a lower rate, may meet them."
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
