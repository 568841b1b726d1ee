"""Repeats of a load test: in which order the runs are made, and the cell that the runs of one load make together.

A round goes through all servers, and on each through all loads, in an order of its own. What changes slowly on a
machine (its temperature, other work) then meets every cell and shows in its spread, and does not pass for a
difference between two cells. A round starts each server anew and warms it up: one server runs at a time, and the
spread has what differs from one start to the next, which is in any comparison with another day's test.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..driver.recorder import latencies
from ..judging.conditions import other_work
from ..results import Row
from .figures import METRICS, ServerFigures, Spread, spread
from .gpus import together as gpus_together
from .server_metrics import together as metrics_together

T = TypeVar("T")
Doubles = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Run:
    """One run of a cell."""

    row: Row
    """Its figures."""
    due: Doubles
    """Of each answered request: seconds from the beginning of the window until it was due."""
    times: Doubles
    """Its latency in ms."""


def ordered(items: Iterable[T], repeats: int, *seeds: object) -> list[T]:
    """Return the items as given for a test without repeats; with them in an order that the `seeds` draw."""
    order = list(items)
    if repeats > 1:
        random.Random(" ".join(map(str, seeds))).shuffle(order)
    return order


def pooled(runs: Sequence[Run]) -> Row:
    """Return the row of a cell of its runs, one at least, in the order in which they were made."""
    rows = [run.row for run in runs]
    if len(rows) == 1:
        return rows[0]
    found = latencies(np.sort(np.concatenate([run.times for run in runs])).tolist())
    usual = sorted(rows, key=lambda row: row.requests_per_second)[(len(rows) - 1) // 2]
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row.reasons)
    limited = [row.client_limit for row in rows if row.client_limit]
    machine_cpu = statistics.mean(row.machine_cpu for row in rows)
    other_cpu = _known(statistics.mean, [row.other_cpu for row in rows])
    slowest = [row.slowest_failure_ms for row in rows if row.slowest_failure_ms is not None]
    return replace(
        usual,
        **{name: value for name, value in found.items() if name != "curve"},
        curve=tuple((percent, milliseconds) for percent, milliseconds in found["curve"]),
        seconds=sum(row.seconds for row in rows),
        answered=sum(row.answered for row in rows),
        failures=sum(row.failures for row in rows),
        reasons=dict(reasons.most_common()),
        requests_per_second=statistics.median(row.requests_per_second for row in rows),
        client_cpu=statistics.mean(row.client_cpu for row in rows),
        client_cpu_machine=statistics.mean(row.client_cpu_machine for row in rows),
        machine_cpu=machine_cpu,
        other_cpu=other_cpu,
        other_work=other_work(other_cpu, machine_cpu),
        server_cpu=_known(statistics.mean, [row.server_cpu for row in rows]),
        server_memory=_known(max, [row.server_memory for row in rows]),
        due_per_second=_known(statistics.mean, [row.due_per_second for row in rows]),
        lag_p99_ms=_known(max, [row.lag_p99_ms for row in rows]),
        slowest_failure_ms=max(slowest, default=None),
        processes=max(row.processes for row in rows),
        client_limit=f"{limited[0]} (in {len(limited)} of {len(rows)} runs)" if limited else None,
        # Where one of the runs had none, the middle of all is not known.
        knee=_known(statistics.median, [row.knee for row in rows]),
        recovery=_known(statistics.median, [row.recovery for row in rows]),
        server=_server(rows),
        gpus=gpus_together([row.gpus for row in rows]),
        repeats=tuple(repeat for row in rows for repeat in row.repeats),
        spread=_spread(rows),
    )


def _known(of: Any, values: Sequence[Any]) -> Any:
    """Return a statistic of values; None if one is not known."""
    return None if None in values else of(values)


def _server(rows: Sequence[Row]) -> ServerFigures | None:
    counted = [row.server for row in rows if row.server is not None]
    return metrics_together(counted) if len(counted) == len(rows) else None


def _spread(rows: Sequence[Row]) -> dict[str, Spread]:
    """Return the spread of each figure that every run has."""
    values = {metric: [getattr(repeat, metric) for row in rows for repeat in row.repeats] for metric in METRICS}
    return {metric: spread(found) for metric, found in values.items() if None not in found}
