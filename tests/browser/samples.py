"""A load test of everything that a report can tell apart, made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lexport.loadtest.objectives import judge, parse
from lexport.loadtest.results import LoadReport, NotRun, Row
from lexport.loadtest.series import Slot

from ..loadtest.samples import REPORT, ROW

WORKERS = ("cpu:1", "cpu:2", "gpu:1", "embedded cpu:1")


def rows(
    archives: Sequence[str] = ("films-1.0",), workers: Sequence[str] = WORKERS, users: Sequence[int] = (1, 16, 64)
) -> tuple[Row, ...]:
    """A row for each of these, faster the later it stands; with most users some requests of the first set failed."""
    return tuple(
        _row(ROW, archive, name, level, 1 + 0.6 * place + 0.2 * number, failing=level == 64 and not place)
        for number, archive in enumerate(archives)
        for place, name in enumerate(workers)
        for level in users
    )


def _row(row: Row, archive: str, workers: str, users: int, speed: float, *, failing: bool) -> Row:
    rate = 900 * speed * users / (users + 8)
    p50 = users / rate * 1000
    p99 = p50 * (2.5 - 0.3 * speed)
    series = tuple(
        Slot(
            second=half / 2,
            seconds=0.5,
            answered=int(rate / 2),
            failures=3 if failing and half == 7 else 0,
            p50_ms=p50 * (1 + 0.1 * math.sin(half)),
            p99_ms=p99 * (1 + 0.2 * math.sin(2 * half + speed)),
            max_ms=2 * p99,
        )
        for half in range(20)
    )
    curve = tuple((float(percent), p50 + (p99 - p50) * (percent / 99) ** 6) for percent in range(1, 100))
    failures = 3 if failing else 0
    return replace(
        row,
        archive=archive,
        workers=workers,
        users=users,
        requests_per_second=rate,
        p50_ms=p50,
        p95_ms=0.8 * p99,
        p99_ms=p99,
        max_ms=2 * p99,
        curve=curve,
        series=series,
        failures=failures,
        reasons={"HTTP 503": 3} if failing else {},
    )


def report(given: tuple[Row, ...], slo: str = "p99=50ms") -> LoadReport:
    """These rows, judged, with a set that was not run."""
    objectives = parse([slo])
    return replace(
        REPORT,
        rows=given,
        not_run=(NotRun(given[0].archive, "gpu:2", "no CUDA device"),),
        objectives=tuple(map(str, objectives)),
        verdicts=judge(objectives, given),
    )


def open_loops(arrivals: str) -> LoadReport:
    """Two servers at one rate, with the knee of a ramp and the recovery from a spike."""
    given = tuple(
        replace(
            row,
            users=0,
            arrivals=arrivals,
            rate=200.0,
            knee=120.0 + 30 * place if arrivals == "ramp" else None,
            recovery=1.0 + place if arrivals == "spike" else None,
        )
        for place, row in enumerate(rows(workers=("cpu:1", "embedded cpu:1"), users=(64,)))
    )
    return report(given)
