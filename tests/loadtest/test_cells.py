"""Cells: how a server is warmed up, and where the client itself was the limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.errors import RefusedError
from lexport.loadtest import cells
from lexport.loadtest import locust_process as client
from lexport.loadtest.cells import Loads, client_limit, in_words, loads_of, measured_runs
from lexport.loadtest.driver.recorder import merged
from lexport.loadtest.judging.conditions import warnings
from lexport.loadtest.locust_process import Load, Target
from lexport.loadtest.objectives import check_slo, judge, parse
from lexport.loadtest.pages.report import html
from lexport.loadtest.report import csv_text, table
from lexport.loadtest.results import LoadReport, Row
from lexport.reports.tables import Table
from lexport.serving.monitoring.usage import Usage

from ..refusals import refused
from .samples import REPORT, ROW

TARGET = Target("http://127.0.0.1:9", "m", "")
LIMITED = replace(ROW, client_cpu=0.97, client_limit="Locust took 97% of a core", users=64)


def part(client_seconds: float, lag: float = 0.0) -> dict[str, Any]:
    times = [float(place) for place in range(1, 101)]
    return {
        "times": times,
        "due": [time / 50 for time in times],
        "failed_due": [],
        "failed_times": [],
        "lags": [lag] * 100,
        "reasons": {},
        "began": 1_767_323_045.0,
        "seconds": 2.0,
        "finished": 100,
        "client_seconds": client_seconds,
        "machine_share": 0.55,
        "interrupt_share": 0.05,
    }


def measured(*client_seconds: float, lag: float = 0.0) -> dict[str, Any]:
    parts = [part(seconds, lag) for seconds in client_seconds]
    kept = {name: np.array([one for part in parts for one in part[name]]) for name in ("due", "times")}
    return merged(parts) | kept | {"tokens": 1, "unknown_tokens": 0}


def test_a_process_of_the_client_over_80_percent_of_a_core_is_the_limit() -> None:
    assert client_limit(measured(1.6), False) is None
    assert client_limit(measured(1.7), False) == "Locust took 85% of a core"
    assert client_limit(measured(0.2, 1.9), False) == "Locust took 95% of a core"  # one of two is enough


def test_a_late_schedule_is_the_limit_in_an_open_loop() -> None:
    assert client_limit(measured(0.1, lag=5.0), True) is None
    assert (
        client_limit(measured(0.1, lag=5.2), True)
        == "1 % of the requests were sent 5.2 ms or more after they were due"
    )
    assert client_limit(measured(0.1, lag=5.2), False) is None


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Load]:
    """The loads that were asked of Locust, which needs all of one core and half of each of two."""
    asked: list[Load] = []

    def run(target: Target, load: Load, folder: Path) -> dict[str, Any]:
        asked.append(load)
        return measured(*([1.9] if load.processes == 1 else [0.9] * load.processes))

    monkeypatch.setattr(client, "run", run)
    monkeypatch.setattr(cells, "cores", lambda: 4)
    return asked


def rows(*loads: Load, processes: int | None = None, say: Any = lambda line: None, **target: Any) -> list[Row]:
    wanted = Loads(loads, 2.0, processes)
    return [run.row for _, run in measured_runs(replace(TARGET, **target), "films", "cpu:1", wanted, Path(), say)]


LOAD = Load(16, 0.0, 2.0, None, 0.0, 0)


def test_more_processes_are_taken_where_one_is_the_limit(runs: list[Load]) -> None:
    said: list[str] = []
    one, two = rows(LOAD, replace(LOAD, users=32), say=said.append)
    assert (one.processes, one.client_limit, two.processes) == (2, None, 2)
    assert [(load.users, load.processes) for load in runs] == [(32, 1), (16, 1), (16, 2), (32, 2)]
    assert (
        said[1] == "films cpu:1 16 users: Locust took 95% of a core; the run is repeated with 2 processes of Locust"
    )


def test_the_given_number_of_processes_is_kept(runs: list[Load]) -> None:
    (row,) = rows(LOAD, processes=1)
    assert row.client_limit == "Locust took 95% of a core"
    assert [load.processes for load in runs] == [1, 1]


def test_a_load_is_repeated_with_the_processes_that_it_needed(runs: list[Load]) -> None:
    wanted = Loads((replace(LOAD, users=1), LOAD), 0.0, None)
    for number in (1, 2):
        each = tuple(reversed(wanted.each)) if number == 2 else wanted.each
        list(measured_runs(TARGET, "films", "cpu:1", replace(wanted, each=each), Path(), lambda line: None, number))
    assert [(load.users, load.processes) for load in runs] == [(1, 1), (16, 1), (16, 2), (16, 2), (1, 1)]


def test_a_run_says_when_it_was_made_and_what_it_measured(runs: list[Load]) -> None:
    (row,) = rows(LOAD, processes=1)
    (repeat,) = row.repeats
    assert (repeat.round, repeat.began, repeat.answered) == (1, 1_767_323_045.0, row.answered)
    assert (repeat.p90_ms, repeat.p99_9_ms) == (row.p90_ms, row.p99_9_ms) == (90.0, 100.0)
    assert row.spread == {}


def test_other_work_is_what_neither_client_nor_server_took(runs: list[Load], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "usage_of", lambda identity: Usage(None, None))
    assert rows(LOAD, processes=1)[0].other_cpu is None
    readings = iter([Usage(10.0, 1), Usage(10.3, 1)])
    monkeypatch.setattr(cells, "usage_of", lambda identity: next(readings))
    monkeypatch.setattr("psutil.cpu_count", lambda: 4)
    (row,) = rows(LOAD, processes=1)
    # Half of four cores were busy; the client took 0.95 of one, the server 0.3 seconds of 3: a tenth of one.
    assert row.other_cpu == pytest.approx(0.5 - (0.95 + 0.1) / 4)


def test_the_server_keeps_half_of_the_cores_unless_it_is_elsewhere(
    runs: list[Load], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "cores", lambda: 2)
    assert rows(LOAD)[0].processes == 1
    assert rows(LOAD, remote=True)[0].processes == 2


def test_a_lone_user_is_not_shared_among_processes(runs: list[Load]) -> None:
    assert rows(replace(LOAD, users=1))[0].processes == 1


def test_a_server_is_warmed_up_no_harder_than_it_is_loaded(runs: list[Load]) -> None:
    spike = replace(LOAD, users=0, arrivals="spike")
    rows(*loads_of(spike, (1, 16), (50.0, 20.0)), processes=1)
    assert [(load.arrivals, load.rate) for load in runs] == [("open", 20.0), ("spike", 50.0), ("spike", 20.0)]
    runs.clear()
    rows(*loads_of(replace(spike, arrivals="replay:a"), (1, 16), ()), processes=1)
    assert [(load.arrivals, load.users) for load in runs] == [("closed", 1), ("replay:a", 0)]


def judged(*given: Row) -> LoadReport:
    objectives = parse(["p99=50ms,rps=100"])
    return replace(REPORT, rows=given, objectives=tuple(map(str, objectives)), verdicts=judge(objectives, given))


def test_a_limited_row_is_a_lower_bound_everywhere() -> None:
    report = judged(ROW, LIMITED)
    assert in_words(LIMITED).startswith("films-1.0 cpu:1 64 users: ≥ 1,000 requests/s")
    assert "≥ 1,000" in html(report)
    assert "not judged" in html(report)
    assert "SLO met</strong> in all 1 runs that the client did not limit" in html(report)
    assert "not judged: the client was the limit" in csv_text(report)
    shown = table(report)
    assert isinstance(shown, Table)
    assert [str(cell) for cell in shown.columns[2]._cells] == ["1,000", "≥ 1,000"]
    assert "lower bounds" in warnings(report.rows)[0]
    assert "(--processes 2)" in warnings(report.rows)[0]


def test_latencies_and_rates_are_judged_only_where_the_client_was_not_the_limit() -> None:
    slow = replace(LIMITED, p99_ms=900.0, requests_per_second=1.0)
    assert [(verdict.users, verdict.objective) for verdict in judged(ROW, slow).verdicts] == [
        (16, "p99 <= 50 ms"),
        (16, "rps >= 100 requests/s"),
        (16, "failures <= 0%"),
        (64, "failures <= 0%"),
    ]
    check_slo(judged(ROW, slow))
    assert judged(ROW, slow).passed


def test_an_objective_that_no_run_could_judge_is_not_met() -> None:
    report = judged(LIMITED)
    assert not report.passed
    assert report.unjudged == ("p99 <= 50 ms", "rps >= 100 requests/s")
    assert "SLO not judged" in html(report)
    with refused(RefusedError, "LX-LOAD-060", "p99 <= 50 ms", "Locust took 97% of a core", "--processes"):
        check_slo(report)


def test_a_failed_request_counts_whoever_was_the_limit() -> None:
    with refused(RefusedError, "LX-LOAD-016", "failures <= 0%"):
        check_slo(judged(replace(LIMITED, failures=3, reasons={"HTTP 503": 3})))
