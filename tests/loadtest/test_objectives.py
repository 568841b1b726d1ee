from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.loadtest.objectives import Objective, check_slo, judge, parse
from lexport.loadtest.results import LoadReport, NotRun, Row

from ..refusals import refused
from .samples import REPORT, ROW

NUMBERS = st.integers(0, 10**6).map(str) | st.decimals(0, 10**4, places=3, allow_nan=False).map(str)


@given(
    metric=st.sampled_from(["p50", "p90", "p95", "p99", "p99.9", "max"]),
    number=NUMBERS,
    unit=st.sampled_from(["ms", "s"]),
)
def test_latencies_are_upper_limits_in_ms(metric: str, number: str, unit: str) -> None:
    factor = {"ms": 1, "s": 1000}[unit]
    for sign in ("=", "<=", " <= "):
        assert parse([f"{metric}{sign}{number}{unit}"])[0] == Objective(metric, float(number) * factor)


@given(number=NUMBERS)
def test_rps_is_a_lower_limit_and_failures_an_upper_one(number: str) -> None:
    assert parse([f"rps>={number},failures={number}%"]) == (
        Objective("rps", float(number)),
        Objective("failures", float(number) / 100),
    )


@given(st.text())
def test_anything_else_is_an_input_error(text: str) -> None:
    with suppress(InputError):
        assert "failures" in {objective.metric for objective in parse([text])}


@pytest.mark.parametrize(
    ("term", "error"),
    [
        ("p99=50", ("LX-LOAD-012", "'p99=50'", "''", "ms or s")),
        ("p99>=50ms", ("LX-LOAD-013", "'p99>=50ms'", "<=")),
        ("rps<=5", ("LX-LOAD-013", "'rps<=5'", ">=")),
        ("rps=5ms", ("LX-LOAD-012", "'rps=5ms'", "'ms'", "no unit")),
        ("failures=0", ("LX-LOAD-012", "'failures=0'", "''", "%")),
        ("p98=1ms", ("LX-LOAD-011", "'p98'", "p50, p90, p95, p99, p99.9, max, rps, failures")),
        ("p99=-1ms", ("LX-LOAD-009", "'p99=-1ms'")),
        ("p99=nanms", ("LX-LOAD-009", "'p99=nanms'")),
        ("", ("LX-LOAD-009", "''")),
        ("p99=1ms,p99=2ms", ("LX-LOAD-008", "p99", "'p99=2ms'")),
        ("max=" + "9" * 400 + "ms", ("LX-LOAD-010", "'max=999")),
    ],
)
def test_says_what_is_wrong(term: str, error: tuple[str, ...]) -> None:
    with refused(InputError, *error):
        parse([term])


def test_no_failed_request_is_allowed_unless_a_share_is_named() -> None:
    assert parse([]) == ()
    assert [str(objective) for objective in parse(["p99=50ms"])] == ["p99 <= 50 ms", "failures <= 0%"]
    assert [str(objective) for objective in parse(["failures=1%", "max<=1s"])] == ["failures <= 1%", "max <= 1000 ms"]


def judged(terms: list[str], *rows: Row) -> LoadReport:
    objectives = parse(terms)
    return replace(REPORT, rows=rows, objectives=tuple(map(str, objectives)), verdicts=judge(objectives, rows))


def test_every_row_is_judged_and_the_limit_itself_passes() -> None:
    report = judged(["p99=20ms,rps=1000"], ROW, replace(ROW, users=64, p99_ms=20.001))
    assert [verdict.passed for verdict in report.verdicts] == [True, True, True, False, True, True]
    with refused(RefusedError, "LX-LOAD-016", "1 of 6", "cpu:1 at 64 users: p99 <= 20 ms, was 20.001 ms") as caught:
        check_slo(report)
    assert caught.value.exit_code == 1
    check_slo(judged(["p99=20ms"], ROW))


def test_failures_and_silence_miss_the_objective() -> None:
    failing = replace(ROW, answered=999, failures=1)
    assert judged(["p99=20ms"], failing).misses() == ["cpu:1 at 16 users: failures <= 0%, was 0.1%"]
    check_slo(judged(["p99=20ms,failures=0.1%"], failing))
    silent = replace(ROW, answered=0, failures=3, p50_ms=None, p95_ms=None, p99_ms=None, max_ms=None)
    assert judged(["max=20s,failures=100%"], silent).misses() == ["cpu:1 at 16 users: max <= 20000 ms, was no answer"]


def test_where_no_request_was_answered_the_test_failed_with_or_without_objectives() -> None:
    silent = replace(ROW, answered=0, failures=3, reasons={"HTTP 503": 3}, p50_ms=None, p99_ms=None, max_ms=None)
    for terms in ([], ["failures=100%"]):
        with refused(RefusedError, "LX-LOAD-015", "1", "2", "HTTP 503 (3") as caught:
            check_slo(judged(terms, ROW, silent))
        assert caught.value.exit_code == 1


def test_nothing_run_shows_nothing() -> None:
    report = replace(judged(["p99=20ms"]), not_run=(NotRun("films-1.0", "gpu:1", "no CUDA device"),))
    for one in (report, replace(report, objectives=())):
        with refused(SystemProblem, "LX-LOAD-014", "gpu:1", "no CUDA device") as caught:
            check_slo(one)
        assert caught.value.exit_code == 3
