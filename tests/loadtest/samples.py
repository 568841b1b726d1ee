"""A row and a report to vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lexport.loadtest.measuring.figures import Repeat, spread
from lexport.loadtest.results import LoadReport, Row

ROW = Row(
    archive="films-1.0",
    workers="cpu:1",
    users=16,
    seconds=10.0,
    answered=10_000,
    failures=0,
    reasons={},
    requests_per_second=1000.0,
    p50_ms=4.0,
    p90_ms=8.5,
    p95_ms=11.25,
    p99_ms=20.0,
    p99_9_ms=30.0,
    max_ms=31.0,
    curve=((1, 2.0), (50, 4.0), (99, 20.0), (99.9, 30.0)),
    client_cpu=0.25,
    client_cpu_machine=0.125,
    machine_cpu=0.9,
    unknown_share=0.1,
)
REPORT = LoadReport(
    started="2026-01-02T03:04:05+00:00",
    rows=(ROW,),
    not_run=(),
    objectives=(),
    verdicts=(),
    warnings=(),
    settings={"duration_seconds": 10.0, "unknown_share": 0.1},
    machine={"cores": 2, "processor": "a processor"},
    versions={"python": "3.11"},
)


def repeated(row: Row, rates: Sequence[float], p99_ms: Sequence[float] | None = None) -> Row:
    """The row of as many runs as there are `rates`, with these requests/s and, if they differ, 99th percentiles."""
    repeats = tuple(
        Repeat(
            round=number,
            began=1_767_323_045.0 + 60 * number,
            seconds=row.seconds,
            answered=row.answered,
            failures=row.failures,
            requests_per_second=rate,
            p50_ms=row.p50_ms,
            p90_ms=row.p90_ms,
            p95_ms=row.p95_ms,
            p99_ms=row.p99_ms if p99_ms is None else p99_ms[number - 1],
            p99_9_ms=row.p99_9_ms,
            max_ms=row.max_ms,
            machine_cpu=row.machine_cpu,
            other_cpu=row.other_cpu,
            client_limit=row.client_limit,
        )
        for number, rate in enumerate(rates, 1)
    )
    times = [repeat.p99_ms for repeat in repeats if repeat.p99_ms is not None]
    found = {"requests_per_second": spread(rates), "p99_ms": spread(times)}
    return replace(
        row,
        requests_per_second=found["requests_per_second"].median,
        repeats=repeats,
        spread=found if len(rates) > 1 else {},
    )
