"""A row and a report to vary."""

from __future__ import annotations

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
    p95_ms=11.25,
    p99_ms=20.0,
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
