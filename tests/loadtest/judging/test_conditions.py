"""What the figures cannot show, said in the report and by the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lexport.errors import RefusedError
from lexport.loadtest.judging.conditions import other_work, rankings, warnings
from lexport.loadtest.judging.verdict import verdict
from lexport.loadtest.objectives import check_slo, judge, parse
from lexport.loadtest.pages.report import html
from lexport.loadtest.report import csv_text
from lexport.loadtest.results import LoadReport, Row

from ...refusals import refused
from ..samples import REPORT, ROW, repeated

BUSY = replace(
    ROW, users=64, machine_cpu=1.0, other_cpu=0.45, other_work="the machine was 100% busy, 45% with other work"
)


def judged(terms: list[str], *rows: Row, anyway: bool = False) -> LoadReport:
    objectives = parse(terms)
    return replace(
        REPORT,
        rows=rows,
        objectives=tuple(map(str, objectives)),
        verdicts=judge(objectives, rows, anyway=anyway),
        warnings=warnings(rows),
    )


@pytest.mark.parametrize(
    ("other", "machine", "disturbed"),
    [
        (0.3, 1.0, True),
        (0.3, 0.8, False),  # cores were free
        (0.05, 1.0, False),  # client and server were what kept it busy
        (None, 1.0, False),  # the server's share is not known
    ],
)
def test_other_work_counts_where_the_machine_was_busy_with_it(
    other: float | None, machine: float, disturbed: bool
) -> None:
    assert (other_work(other, machine) is not None) == disturbed


def test_an_objective_is_not_judged_beside_other_work_whether_it_seems_met_or_missed() -> None:
    for limit in ("p99=50ms", "p99=1ms"):
        report = judged([limit], ROW, BUSY) if limit == "p99=50ms" else judged([limit], BUSY)
        assert not report.passed
        assert report.judgement(BUSY) == "not judged: the machine had other work"
        with refused(
            RefusedError, "LX-LOAD-081", "1 of", "64 users", "45% with other work", "--judge-anyway"
        ) as caught:
            check_slo(report)
        assert caught.value.exit_code == 1


def test_failures_are_judged_beside_other_work() -> None:
    report = judged(["failures=0%"], BUSY)
    assert report.passed
    check_slo(report)
    with refused(RefusedError, "LX-LOAD-016", "failures <= 0%"):
        check_slo(judged(["p99=50ms"], replace(BUSY, failures=1)))


def test_everything_is_judged_beside_other_work_if_that_is_asked_for() -> None:
    report = judged(["p99=50ms"], BUSY, anyway=True)
    check_slo(report)
    assert report.judgement(BUSY) == "met"
    assert any("Other work on this machine" in warning for warning in report.warnings)
    with refused(RefusedError, "LX-LOAD-016", "p99 <= 1 ms"):
        check_slo(judged(["p99=1ms"], BUSY, anyway=True))


def test_other_work_is_said_on_the_page_in_the_table_and_in_the_verdict() -> None:
    report = judged(["p99=50ms"], BUSY)
    assert "45% with other work" in verdict(report)
    assert "45% with other work" in html(report)
    assert "not judged: the machine had other work" in html(report)
    assert "45% with other work" in csv_text(report)


def test_a_single_run_is_a_stated_caveat_and_no_failure() -> None:
    report = judged(["p99=50ms"], repeated(ROW, [1000.0]))
    check_slo(report)
    assert report.passed
    assert "single run" in report.warnings[-1]
    assert "once each" in verdict(report)
    assert "single run" in html(report)


def test_a_limit_within_the_noise_of_the_runs_is_not_shown_to_be_met() -> None:
    row = repeated(ROW, [1000.0] * 5, p99_ms=[18.0, 19.0, 20.0, 21.0, 22.0])
    report = judged(["p99=20.5ms"], row)
    assert report.verdicts[0].passed
    assert report.judgement(row) == "uncertain p99"
    with refused(RefusedError, "LX-LOAD-082", "1 of 2", "p99 <= 20.5 ms, was 20 ms", "18 ms to 22 ms", "--repeat"):
        check_slo(report)
    assert not report.passed
    assert "uncertain p99" in html(report)


@pytest.mark.parametrize(("limit", "shown"), [("p99=22ms", True), ("p99=21.9ms", False), ("rps=990", True)])
def test_the_limit_itself_may_be_reached_by_every_run(limit: str, shown: bool) -> None:
    row = repeated(ROW, [990.0, 1000.0, 1010.0], p99_ms=[19.0, 20.0, 22.0])
    assert judged([limit], row).passed == shown


def test_a_miss_within_the_noise_is_a_miss_and_says_so() -> None:
    row = replace(repeated(ROW, [1000.0] * 3, p99_ms=[18.0, 20.0, 22.0]), p99_ms=21.0)
    report = judged(["p99=20ms"], row)
    assert report.verdicts[0].doubt is not None
    with refused(RefusedError, "LX-LOAD-016", "p99 <= 20 ms, was 21 ms"):
        check_slo(report)


def test_a_ranking_is_said_to_be_noise_where_the_runs_do_not_show_it() -> None:
    close = repeated(ROW, [1000.0, 1010.0, 990.0, 1005.0, 995.0])
    other = repeated(replace(ROW, workers="cpu:2"), [1001.0, 1012.0, 988.0, 1003.0, 999.0])
    far = repeated(replace(ROW, workers="embedded cpu:1"), [2000.0, 2010.0, 1990.0, 2005.0, 1995.0])
    assert list(rankings([close, other, far])) == [
        "At 16 users the order of cpu:2 and cpu:1 is within the noise of the runs."
    ]
    assert list(rankings([close, far])) == []


def test_too_few_runs_show_no_ranking() -> None:
    slow = repeated(ROW, [1000.0, 1010.0, 990.0])
    fast = repeated(replace(ROW, workers="cpu:2"), [2000.0, 2010.0, 1990.0])
    assert list(rankings([slow, fast])) == [
        "At 16 users the order of cpu:2 and cpu:1 is not shown by 3 runs: --repeat 5 may."
    ]
    assert list(rankings([repeated(ROW, [1.0]), repeated(ROW, [2.0])])) == []


def test_open_loops_are_ranked_by_their_p99() -> None:
    base = replace(ROW, users=0, arrivals="open", rate=50.0)
    calm = repeated(base, [50.0] * 5, p99_ms=[10.0, 11.0, 12.0, 13.0, 14.0])
    slow = repeated(replace(base, workers="cpu:2"), [50.0] * 5, p99_ms=[20.0, 21.0, 22.0, 23.0, 24.0])
    assert list(rankings([calm, slow])) == []
    same = replace(calm, workers="cpu:4")
    assert list(rankings([calm, same])) == [
        "At 50 requests/s (open) the order of cpu:1 and cpu:4 is within the noise of the runs."
    ]
